-- Version 2: what people keep about models, presets and versions of settings, downloads, series of instances.
-- JSON columns hold one noun of the protocol each; nothing is searched inside them.

-- What a person keeps about a model (`proto::Card`). A model about which nothing is kept has no row.
CREATE TABLE model_card (
    model INTEGER PRIMARY KEY REFERENCES model (key),
    card  TEXT NOT NULL
) STRICT;

-- Presets and configuration templates (`proto::Preset`); names are unique without regard to case.
CREATE TABLE preset (
    folded TEXT PRIMARY KEY,
    preset TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What groups of models point to (`proto::Group`).
CREATE TABLE model_group (
    name    TEXT PRIMARY KEY,
    pointed TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Every state that a subject's settings ever had. `subject` is `conversation:ID`, `model:BACKEND/NAME`, `preset:NAME`, `group:NAME`.
CREATE TABLE version (
    key        INTEGER PRIMARY KEY,
    subject    TEXT NOT NULL,
    number     INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    about      TEXT NOT NULL,
    parameters INTEGER NOT NULL REFERENCES parameter_version (key),
    beside     TEXT NOT NULL, -- JSON: what it pointed to; of a preset all of it
    UNIQUE (subject, number)
) STRICT;

-- Which versions a run used: of its conversation, its preset, its model, its templates.
CREATE TABLE run_version (
    run     INTEGER NOT NULL REFERENCES run (node) ON DELETE CASCADE,
    version INTEGER NOT NULL REFERENCES version (key),
    PRIMARY KEY (version, run)
) STRICT, WITHOUT ROWID;
CREATE INDEX run_version_by_run ON run_version (run);

-- System prompts that runs were sent with, each once. `hash` is SHA-256 of it.
CREATE TABLE system_prompt (
    key  INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    text TEXT NOT NULL
) STRICT;
ALTER TABLE run ADD COLUMN system INTEGER REFERENCES system_prompt (key);
ALTER TABLE conversation ADD COLUMN preset TEXT;

-- What the runs of a model say: the last, the last good ones newest first, and how many there are, kept by triggers, so that nobody
-- counts a million of them.
CREATE INDEX run_by_model ON run (model, started);
CREATE INDEX run_good_by_model ON run (model, started) WHERE finish IN ('stop', 'length', 'tool_calls');
CREATE TABLE model_tally (
    model  INTEGER PRIMARY KEY REFERENCES model (key),
    runs   INTEGER NOT NULL,
    failed INTEGER NOT NULL
) STRICT;
INSERT INTO model_tally (model, runs, failed) SELECT model, count(*), ifnull(sum(finish = 'error'), 0) FROM run GROUP BY model;
CREATE TRIGGER run_added AFTER INSERT ON run
BEGIN
    INSERT INTO model_tally (model, runs, failed) VALUES (new.model, 1, new.finish IS 'error')
        ON CONFLICT (model) DO UPDATE SET runs = runs + 1, failed = failed + excluded.failed;
END;
CREATE TRIGGER run_removed AFTER DELETE ON run
BEGIN
    UPDATE model_tally SET runs = runs - 1, failed = failed - (old.finish IS 'error') WHERE model = old.model;
END;
CREATE TRIGGER run_changed AFTER UPDATE OF model, finish ON run WHEN old.model <> new.model OR old.finish IS NOT new.finish
BEGIN
    UPDATE model_tally SET runs = runs - 1, failed = failed - (old.finish IS 'error') WHERE model = old.model;
    INSERT INTO model_tally (model, runs, failed) VALUES (new.model, 1, new.finish IS 'error')
        ON CONFLICT (model) DO UPDATE SET runs = runs + 1, failed = failed + excluded.failed;
END;

-- Downloads that are not forgotten (`proto::Download`), so that they go on after a restart.
CREATE TABLE download (
    key      TEXT PRIMARY KEY,
    asked    INTEGER NOT NULL,
    download TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What instances cost to run, over time.
CREATE TABLE series (
    model INTEGER NOT NULL REFERENCES model (key),
    name  TEXT NOT NULL,
    at    INTEGER NOT NULL,
    value REAL NOT NULL,
    PRIMARY KEY (model, name, at)
) STRICT, WITHOUT ROWID;
CREATE INDEX series_by_age ON series (at);

-- What a model really took when it was loaded with these load settings: the figure beside the estimate.
CREATE TABLE loaded (
    model      INTEGER NOT NULL REFERENCES model (key),
    parameters INTEGER NOT NULL REFERENCES parameter_version (key),
    at         INTEGER NOT NULL,
    memory     REAL,
    gpu        REAL,
    source     TEXT NOT NULL,
    PRIMARY KEY (model, parameters)
) STRICT, WITHOUT ROWID;

-- Favourites were a setting: they move to their cards. A model's name may hold slashes, a backend's cannot.
INSERT INTO model (backend, name)
    SELECT substr(each.value, 1, instr(each.value, '/') - 1), substr(each.value, instr(each.value, '/') + 1)
    FROM setting, json_each(setting.value) AS each
    WHERE setting.key = 'favourites' AND json_valid(setting.value) AND instr(each.value, '/') > 1
    ON CONFLICT DO NOTHING;
INSERT INTO model_card (model, card)
    SELECT model.key, '{"favourite":true}'
    FROM setting, json_each(setting.value) AS each
    JOIN model ON model.backend || '/' || model.name = each.value
    WHERE setting.key = 'favourites' AND json_valid(setting.value)
    ON CONFLICT DO NOTHING;
DELETE FROM setting WHERE key = 'favourites';
