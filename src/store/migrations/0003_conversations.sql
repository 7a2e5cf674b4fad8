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

-- On which shelf a conversation lies: 0 in the list, 1 archived, 2 in the bin. It follows from `archived` and `deleted`, and stands for
-- itself because no index covers what is reckoned.
ALTER TABLE conversation ADD COLUMN shelf INTEGER NOT NULL DEFAULT 0 CHECK (shelf = iif(deleted IS NOT NULL, 2, archived));

-- A page of a list is found in one of these, in order, without a look at the table. The first also holds all that filters compare.
DROP INDEX conversation_by_update;
CREATE INDEX conversation_by_update ON conversation
    (shelf, updated, id, folded, folder, pinned, unread, running, queued, messages, branches, tokens, created, model);
CREATE INDEX conversation_by_creation ON conversation (shelf, created, id);
CREATE INDEX conversation_by_title ON conversation (shelf, folded, id);
CREATE INDEX conversation_in_folder_by_update ON conversation (folder, shelf, updated, id, pinned);
CREATE INDEX conversation_in_folder_by_creation ON conversation (folder, shelf, created, id, pinned);
CREATE INDEX conversation_in_folder_by_title ON conversation (folder, shelf, folded, id, pinned);
CREATE INDEX conversation_pinned ON conversation (shelf, updated, id, created, folded) WHERE pinned = 1;

-- How many conversations lie where, kept by triggers; folder 0 is none.
CREATE TABLE shelf_tally (
    shelf  INTEGER NOT NULL,
    folder INTEGER NOT NULL,
    pinned INTEGER NOT NULL,
    unread INTEGER NOT NULL,
    count  INTEGER NOT NULL,
    PRIMARY KEY (shelf, folder, pinned, unread)
) STRICT, WITHOUT ROWID;
INSERT INTO shelf_tally SELECT shelf, ifnull(folder, 0), pinned, unread, count(*) FROM conversation GROUP BY 1, 2, 3, 4;
CREATE TRIGGER conversation_shelved AFTER INSERT ON conversation
BEGIN
    INSERT INTO shelf_tally VALUES (new.shelf, ifnull(new.folder, 0), new.pinned, new.unread, 1) ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER conversation_moved AFTER UPDATE OF shelf, folder, pinned, unread ON conversation
    WHEN (old.shelf, old.folder, old.pinned, old.unread) IS NOT (new.shelf, new.folder, new.pinned, new.unread)
BEGIN
    UPDATE shelf_tally SET count = count - 1
        WHERE shelf = old.shelf AND folder = ifnull(old.folder, 0) AND pinned = old.pinned AND unread = old.unread;
    INSERT INTO shelf_tally VALUES (new.shelf, ifnull(new.folder, 0), new.pinned, new.unread, 1) ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER conversation_unshelved AFTER DELETE ON conversation
BEGIN
    UPDATE shelf_tally SET count = count - 1
        WHERE shelf = old.shelf AND folder = ifnull(old.folder, 0) AND pinned = old.pinned AND unread = old.unread;
END;

-- How many conversations have a tag, those in the bin not counted.
CREATE TABLE tag_tally (
    name  TEXT PRIMARY KEY,
    count INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER tag_added AFTER INSERT ON tag
BEGIN
    INSERT INTO tag_tally VALUES (new.name, (SELECT deleted IS NULL FROM conversation WHERE key = new.conversation))
        ON CONFLICT DO UPDATE SET count = count + excluded.count;
END;
CREATE TRIGGER tag_removed AFTER DELETE ON tag
BEGIN
    UPDATE tag_tally SET count = count - (SELECT deleted IS NULL FROM conversation WHERE key = old.conversation) WHERE name = old.name;
END;
-- While it is known whether it lay in the bin.
CREATE TRIGGER conversation_untagged BEFORE DELETE ON conversation
BEGIN
    DELETE FROM tag WHERE conversation = old.key;
END;
CREATE TRIGGER conversation_binned AFTER UPDATE OF deleted ON conversation WHEN (old.deleted IS NULL) <> (new.deleted IS NULL)
BEGIN
    UPDATE tag_tally SET count = count + iif(new.deleted IS NULL, 1, -1)
        WHERE name IN (SELECT name FROM tag WHERE conversation = new.key);
END;

-- What few messages are: search begins with them where it is asked for one of these.
CREATE INDEX node_rated ON node (key) WHERE rating <> 0;
CREATE INDEX node_by_model ON node (model) WHERE role = 'assistant';
CREATE INDEX node_archived ON node (conversation) WHERE archived = 1;
CREATE INDEX part_special ON part (node, kind) WHERE kind <> 'text' AND kind <> 'thinking';

-- Between which moments the messages of 4096 keys were written: search passes over stretches that cannot fit.
CREATE TABLE stretch (
    at    INTEGER PRIMARY KEY,
    first INTEGER NOT NULL,
    last  INTEGER NOT NULL
) STRICT;
INSERT INTO stretch SELECT key / 4096, min(created), max(created) FROM node GROUP BY 1;
CREATE TRIGGER node_added AFTER INSERT ON node
BEGIN
    INSERT INTO stretch VALUES (new.key / 4096, new.created, new.created)
        ON CONFLICT DO UPDATE SET first = min(first, excluded.first), last = max(last, excluded.last)
        WHERE excluded.first < first OR excluded.last > last;
END;
