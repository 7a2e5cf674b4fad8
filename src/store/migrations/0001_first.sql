-- Version 1. A released migration is never edited: a change is the next file.
--
-- Every table that is long has an integer key of its own; ids are UUIDs as 16 bytes and stand once. `state`, `role`, `kind` and
-- `finish` are the words of arbour's protocol. Times are milliseconds since 1970 (UTC), durations milliseconds.

-- How many there are, kept by triggers, so that nobody counts a big table.
CREATE TABLE tally (
    name  TEXT PRIMARY KEY,
    count INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO tally (name, count) VALUES ('conversation', 0);

-- Every (backend, model) that was ever used, once.
CREATE TABLE model (
    key     INTEGER PRIMARY KEY,
    backend TEXT NOT NULL,
    name    TEXT NOT NULL,
    UNIQUE (backend, name)
) STRICT;

-- Every set of parameters that was ever used, once; a JSON object. `hash` is SHA-256 of it.
CREATE TABLE parameter_version (
    key        INTEGER PRIMARY KEY,
    hash       BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    parameters TEXT NOT NULL
) STRICT;

CREATE TABLE conversation (
    key        INTEGER PRIMARY KEY,
    id         BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    title      TEXT NOT NULL,
    folded     TEXT NOT NULL, -- the title as filters compare it: lower case
    created    INTEGER NOT NULL,
    updated    INTEGER NOT NULL,
    messages   INTEGER NOT NULL,
    branches   INTEGER NOT NULL,
    unread     INTEGER NOT NULL CHECK (unread IN (0, 1)),
    running    INTEGER NOT NULL,
    model      INTEGER REFERENCES model (key),
    head       BLOB CHECK (length(head) = 16),
    parameters INTEGER NOT NULL REFERENCES parameter_version (key),
    system     TEXT
) STRICT;
-- Lists and their filter are answered by this index; the table is read for the rows that are shown.
CREATE INDEX conversation_by_update ON conversation (updated DESC, id DESC, folded);
CREATE INDEX conversation_running ON conversation (key) WHERE running > 0;
CREATE TRIGGER conversation_added AFTER INSERT ON conversation
BEGIN
    UPDATE tally SET count = count + 1 WHERE name = 'conversation';
END;
CREATE TRIGGER conversation_removed AFTER DELETE ON conversation
BEGIN
    UPDATE tally SET count = count - 1 WHERE name = 'conversation';
END;

-- Messages. Append-only but for state, measures, `hidden` and (while it is written) the parts. Keys rise with time: a higher key is
-- a later message, and a parent's key is below its children's.
CREATE TABLE node (
    key          INTEGER PRIMARY KEY,
    id           BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    conversation INTEGER NOT NULL REFERENCES conversation (key) ON DELETE CASCADE,
    parent       INTEGER, -- a node's key; no constraint, which would cost an index
    merged       INTEGER NOT NULL DEFAULT 0, -- how many further parents there are
    role         TEXT NOT NULL CHECK (role IN ('system', 'user', 'assistant', 'tool')),
    state        TEXT NOT NULL,
    created      INTEGER NOT NULL,
    model        INTEGER REFERENCES model (key),
    continues    BLOB CHECK (length(continues) = 16),
    copy_of      BLOB CHECK (length(copy_of) = 16),
    bytes        INTEGER NOT NULL,
    tokens       INTEGER NOT NULL,
    hidden       INTEGER NOT NULL CHECK (hidden IN (0, 1)),
    indexed      INTEGER NOT NULL DEFAULT 0 CHECK (indexed IN (0, 1)), -- `gram` holds what `part` holds
    snippet      TEXT NOT NULL
) STRICT;
CREATE INDEX node_by_conversation ON node (conversation);
-- What a host that was killed left behind.
CREATE INDEX node_running ON node (key)
    WHERE state IN ('queued', 'connecting', 'waiting', 'loading', 'reading', 'thinking', 'writing');

-- Further parents of a merge: provenance, never sent.
CREATE TABLE node_parent (
    node   INTEGER NOT NULL REFERENCES node (key) ON DELETE CASCADE,
    at     INTEGER NOT NULL,
    parent BLOB NOT NULL CHECK (length(parent) = 16),
    PRIMARY KEY (node, at)
) STRICT, WITHOUT ROWID;

-- What a message says, piece by piece. `text` is the text, the thinking, a call's arguments or a result's content; `blob`
-- names an attachment; `name` is the tool's or the file's; `call` is the id that ties a result to its call.
CREATE TABLE part (
    key  INTEGER PRIMARY KEY,
    node INTEGER NOT NULL REFERENCES node (key) ON DELETE CASCADE,
    at   INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('text', 'thinking', 'tool_call', 'tool_result', 'image', 'file')),
    call TEXT,
    name TEXT,
    mime TEXT,
    blob TEXT,
    text TEXT NOT NULL,
    UNIQUE (node, at)
) STRICT;

-- The measured answer. `sources` has a letter for each figure, in the order of their columns, that says where it is from:
-- (s)erver, (m)easured, (e)stimated, - not known.
CREATE TABLE run (
    node       INTEGER PRIMARY KEY REFERENCES node (key) ON DELETE CASCADE,
    id         BLOB NOT NULL CHECK (length(id) = 16),
    model      INTEGER NOT NULL REFERENCES model (key),
    parameters INTEGER NOT NULL REFERENCES parameter_version (key), -- as they were when it began
    attempts   INTEGER NOT NULL DEFAULT 1,
    started    INTEGER NOT NULL,
    finished   INTEGER,
    finish     TEXT,
    error      TEXT, -- JSON
    sources    TEXT NOT NULL,
    queued_ms         REAL,
    connect_ms        REAL,
    load_ms           REAL,
    prompt_ms         REAL,
    ttft_ms           REAL,
    generate_ms       REAL,
    total_ms          REAL,
    prompt_tokens     REAL,
    cached_tokens     REAL,
    completion_tokens REAL,
    prompt_per_s      REAL,
    tokens_per_s      REAL,
    context           REAL,
    cost              REAL
) STRICT;

-- Named leaves.
CREATE TABLE branch (
    conversation INTEGER NOT NULL REFERENCES conversation (key) ON DELETE CASCADE,
    name         TEXT NOT NULL,
    leaf         BLOB NOT NULL CHECK (length(leaf) = 16),
    PRIMARY KEY (conversation, name)
) STRICT, WITHOUT ROWID;

-- What was typed and not sent.
CREATE TABLE draft (
    conversation INTEGER PRIMARY KEY REFERENCES conversation (key) ON DELETE CASCADE,
    text         TEXT NOT NULL
) STRICT;

-- What the screen remembers; values are JSON.
CREATE TABLE setting (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Commands that were carried out, so that one that is sent twice counts once. Old ones are pruned.
CREATE TABLE applied (
    command BLOB PRIMARY KEY CHECK (length(command) = 16),
    at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX applied_by_age ON applied (at);

-- Full text: for each message (rowid = node.key) the distinct grams of its words (1 to 4 characters), written as tokens by
-- `store/grams.rs`. It narrows a search down; what it finds is then compared with the text itself.
CREATE VIRTUAL TABLE gram USING fts5 (tokens, content = '', contentless_delete = 1, detail = 'none', tokenize = 'ascii');
