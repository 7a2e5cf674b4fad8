-- Version 3: how conversations are kept, what people say about messages, the queue, undo, attachments.

-- Folders of conversations; with `search`, smart ones. Names are unique among siblings without regard to case (`folded`); the root's
-- parent is 0.
CREATE TABLE folder (
    key      INTEGER PRIMARY KEY,
    id       BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    parent   INTEGER NOT NULL,
    name     TEXT NOT NULL,
    folded   TEXT NOT NULL,
    template TEXT,
    search   TEXT,
    UNIQUE (parent, folded)
) STRICT;

ALTER TABLE conversation ADD COLUMN titled TEXT NOT NULL DEFAULT 'words' CHECK (titled IN ('words', 'model', 'person'));
ALTER TABLE conversation ADD COLUMN tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE conversation ADD COLUMN queued INTEGER NOT NULL DEFAULT 0;
ALTER TABLE conversation ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0 CHECK (pinned IN (0, 1));
ALTER TABLE conversation ADD COLUMN archived INTEGER NOT NULL DEFAULT 0 CHECK (archived IN (0, 1));
ALTER TABLE conversation ADD COLUMN folder INTEGER REFERENCES folder (key);
-- In the bin since then.
ALTER TABLE conversation ADD COLUMN deleted INTEGER;
-- JSON: at forks, the child that was looked at last (`proto::Conversation::visited`).
ALTER TABLE conversation ADD COLUMN visited TEXT NOT NULL DEFAULT '{}';
UPDATE conversation SET tokens = (SELECT ifnull(sum(tokens), 0) FROM node WHERE node.conversation = conversation.key AND hidden = 0);

CREATE TABLE tag (
    conversation INTEGER NOT NULL REFERENCES conversation (key) ON DELETE CASCADE,
    name         TEXT NOT NULL,
    PRIMARY KEY (conversation, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX tag_by_name ON tag (name);

ALTER TABLE node ADD COLUMN archived INTEGER NOT NULL DEFAULT 0 CHECK (archived IN (0, 1));
ALTER TABLE node ADD COLUMN rating INTEGER NOT NULL DEFAULT 0 CHECK (rating BETWEEN -1 AND 1);
-- JSON: a list of words; NULL: none.
ALTER TABLE node ADD COLUMN reactions TEXT;
-- The note of its bookmark; NULL: no bookmark.
ALTER TABLE node ADD COLUMN bookmark TEXT;
CREATE INDEX node_bookmarked ON node (key) WHERE bookmark IS NOT NULL;

-- What is known of an attachment beside its name, as JSON (`proto::Facts`).
ALTER TABLE part ADD COLUMN facts TEXT;
CREATE INDEX part_by_blob ON part (blob) WHERE blob IS NOT NULL;

ALTER TABLE run ADD COLUMN thinking_ms REAL;
ALTER TABLE run ADD COLUMN thinking_tokens REAL;
-- JSON: `proto::Run::{timeline, failed, left_out}`; NULL: nothing.
ALTER TABLE run ADD COLUMN timeline TEXT;
ALTER TABLE run ADD COLUMN failed TEXT;
ALTER TABLE run ADD COLUMN left_out TEXT;

-- Marks as in vim.
CREATE TABLE mark (
    conversation INTEGER NOT NULL REFERENCES conversation (key) ON DELETE CASCADE,
    letter       TEXT NOT NULL,
    node         BLOB NOT NULL CHECK (length(node) = 16),
    PRIMARY KEY (conversation, letter)
) STRICT, WITHOUT ROWID;

-- What is attached to a draft, as JSON (`proto::Content`); NULL: nothing.
ALTER TABLE draft ADD COLUMN attached TEXT;

-- Prompts that wait (`proto::Queued`), in their order.
CREATE TABLE prompt_queue (
    conversation INTEGER NOT NULL REFERENCES conversation (key) ON DELETE CASCADE,
    at           INTEGER NOT NULL,
    queued       TEXT NOT NULL,
    PRIMARY KEY (conversation, at)
) STRICT, WITHOUT ROWID;

-- What was done and can be undone. `steps` is JSON (`core::undo::Step`); `state`: 0 done, 1 undone, 2 neither can be any more.
CREATE TABLE op (
    seq          INTEGER PRIMARY KEY,
    command      BLOB NOT NULL UNIQUE CHECK (length(command) = 16),
    client       BLOB NOT NULL CHECK (length(client) = 16),
    at           INTEGER NOT NULL,
    conversation BLOB CHECK (length(conversation) = 16),
    about        TEXT NOT NULL,
    steps        TEXT NOT NULL,
    state        INTEGER NOT NULL DEFAULT 0 CHECK (state IN (0, 1, 2))
) STRICT;
CREATE INDEX op_by_client ON op (client, state, seq);
-- Folders, their counts, and the lists within them.
CREATE INDEX conversation_by_folder ON conversation (folder, archived, deleted, unread);
