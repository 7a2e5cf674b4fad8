//! What people keep about models: one row each, one JSON value.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::fault::Fault;
use super::rows;
use super::words::json;
use crate::proto::{Card, ModelRef};

/// Few: only models about which something is kept have a row.
pub(super) const CARDS: &str = "SELECT m.backend, m.name, c.card FROM model_card AS c JOIN model AS m ON m.key = c.model";

pub(super) fn all(connection: &Connection) -> Result<BTreeMap<ModelRef, Card>, Fault> {
    let mut statement = connection.prepare_cached(CARDS)?;
    let cards = statement.query_map([], |row| Ok((ModelRef { backend: row.get(0)?, model: row.get(1)? }, json(row, 2)?)))?;
    Ok(cards.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn put(connection: &Connection, model: &ModelRef, card: &Card) -> Result<(), Fault> {
    let key = rows::model_key(connection, model)?;
    if card.is_empty() {
        connection.prepare_cached("DELETE FROM model_card WHERE model = ?1")?.execute([key])?;
        return Ok(());
    }
    let text = serde_json::to_string(card).map_err(std::io::Error::from)?;
    connection
        .prepare_cached("INSERT INTO model_card (model, card) VALUES (?1, ?2) ON CONFLICT (model) DO UPDATE SET card = excluded.card")?
        .execute(params![key, text])?;
    Ok(())
}
