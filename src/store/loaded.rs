//! What models really took when they were loaded: one row for each model and its load settings, the last time counts.

use rusqlite::{Connection, OptionalExtension, params};

use super::fault::Fault;
use super::rows;
use super::words::{letter, source};
use crate::core::Taken;
use crate::proto::{ModelRef, Parameters};

pub(super) const LOADED: &str = "SELECT l.at, l.memory, l.gpu, l.source FROM loaded AS l
     JOIN model AS m ON m.key = l.model
     JOIN parameter_version AS p ON p.key = l.parameters
     WHERE m.backend = ?1 AND m.name = ?2 AND p.hash = ?3";

pub(super) fn put(connection: &Connection, model: &ModelRef, parameters: &Parameters, taken: &Taken) -> Result<(), Fault> {
    let model = rows::model_key(connection, model)?;
    let parameters = rows::parameters_key(connection, parameters)?;
    connection
        .prepare_cached(
            "INSERT INTO loaded (model, parameters, at, memory, gpu, source) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (model, parameters) DO UPDATE SET
                at = excluded.at, memory = excluded.memory, gpu = excluded.gpu, source = excluded.source",
        )?
        .execute(params![model, parameters, taken.at, taken.memory, taken.gpu, letter(taken.source).to_string()])?;
    Ok(())
}

pub(super) fn of(connection: &Connection, model: &ModelRef, parameters: &Parameters) -> Result<Option<Taken>, Fault> {
    let (_, hash) = rows::parameters_text(parameters);
    let mut statement = connection.prepare_cached(LOADED)?;
    let found = statement.query_row(params![model.backend, model.model, hash], |row| {
        let word: String = row.get(3)?;
        Ok(Taken { at: row.get(0)?, memory: row.get(1)?, gpu: row.get(2)?, source: source(3, &word)? })
    });
    Ok(found.optional()?)
}
