//! What instances cost to run, over time: a row for a figure and a moment.
//!
//! Invariant: what is kept is bounded, by age and by number; the oldest goes first.

use rusqlite::{Connection, params};

use super::fault::Fault;
use super::rows;
use crate::proto::{ModelRef, UnixMs};

/// How long figures are kept, in milliseconds.
pub(super) const KEPT: UnixMs = 7 * 24 * 60 * 60 * 1000;
/// How often old ones are looked for, in milliseconds.
pub(super) const THIN: UnixMs = 60 * 60 * 1000;
/// Rows at most; a row is some 30 bytes.
pub(super) const MOST: i64 = 200_000;
/// Points that one question gets: more than a screen has columns, and what a week of minutes has.
const MOST_POINTS: u32 = 12_000;

pub(super) const READ: &str = "SELECT s.at, s.value FROM model AS m JOIN series AS s ON s.model = m.key
     WHERE m.backend = ?1 AND m.name = ?2 AND s.name = ?3 AND s.at >= ?4 ORDER BY s.at DESC LIMIT ?5";
pub(super) const OLD: &str = "DELETE FROM series WHERE at < ?1";
/// The moment of the first row that is too many.
pub(super) const TOO_MANY: &str = "SELECT at FROM series ORDER BY at DESC LIMIT 1 OFFSET ?1";

pub(super) fn put(connection: &Connection, model: &ModelRef, at: UnixMs, points: &[(&'static str, f64)]) -> Result<(), Fault> {
    let model = rows::model_key(connection, model)?;
    let mut statement = connection.prepare_cached(
        "INSERT INTO series (model, name, at, value) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (model, name, at) DO UPDATE SET value = excluded.value",
    )?;
    for (name, value) in points.iter().filter(|(_, value)| value.is_finite()) {
        statement.execute(params![model, name, at, value])?;
    }
    Ok(())
}

/// Forgets what is too old, or too much.
pub(super) fn thin(connection: &Connection, now: UnixMs) -> Result<(), Fault> {
    thin_to(connection, now, MOST)
}

pub(super) fn thin_to(connection: &Connection, now: UnixMs, most: i64) -> Result<(), Fault> {
    connection.prepare_cached(OLD)?.execute([now.saturating_sub(KEPT)])?;
    let mut statement = connection.prepare_cached(TOO_MANY)?;
    let mut found = statement.query([most])?;
    if let Some(row) = found.next()? {
        let at: UnixMs = row.get(0)?;
        connection.prepare_cached(OLD)?.execute([at.saturating_add(1)])?;
    }
    Ok(())
}

pub(super) fn read(connection: &Connection, model: &ModelRef, name: &str, since: UnixMs) -> Result<Vec<(UnixMs, f64)>, Fault> {
    let mut statement = connection.prepare_cached(READ)?;
    let found = statement.query_map(params![model.backend, model.model, name, since, MOST_POINTS], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut points = found.collect::<rusqlite::Result<Vec<_>>>()?;
    points.reverse();
    Ok(points)
}
