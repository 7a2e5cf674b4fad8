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

-- What the runs of a model say, newest first; how they ended is counted without reading them.
CREATE INDEX run_by_model ON run (model, started, finish);

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
