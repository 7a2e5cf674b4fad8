//! What hangs on a conversation in tables of its own: marks and the queue.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::fault::Fault;
use super::words::{json, unreadable_letter, uuid};
use crate::proto::{NodeId, Queued};

/// Marks as in vim.
pub(super) fn marks(connection: &Connection, conversation: i64) -> Result<BTreeMap<char, NodeId>, Fault> {
    let mut statement = connection.prepare_cached("SELECT letter, node FROM mark WHERE conversation = ?1")?;
    let marks = statement.query_map([conversation], |row| {
        let letter = row.get_ref(0)?.as_str()?.chars().next().ok_or_else(|| unreadable_letter(0))?;
        Ok((letter, NodeId(uuid(row, 1)?)))
    })?;
    Ok(marks.collect::<rusqlite::Result<_>>()?)
}

/// Replaces all marks of a conversation; nothing is written when they are what they were.
pub(super) fn put_marks(connection: &Connection, conversation: i64, new: &BTreeMap<char, NodeId>) -> Result<(), Fault> {
    if marks(connection, conversation)? == *new {
        return Ok(());
    }
    connection.prepare_cached("DELETE FROM mark WHERE conversation = ?1")?.execute([conversation])?;
    let mut statement = connection.prepare_cached("INSERT INTO mark (conversation, letter, node) VALUES (?1, ?2, ?3)")?;
    for (letter, node) in new {
        statement.execute(params![conversation, letter.to_string(), node.0.as_bytes()])?;
    }
    Ok(())
}

/// The prompts that wait, in their order.
pub(super) fn queue(connection: &Connection, conversation: i64) -> Result<Vec<Queued>, Fault> {
    let mut statement = connection.prepare_cached("SELECT queued FROM prompt_queue WHERE conversation = ?1 ORDER BY at")?;
    let queue = statement.query_map([conversation], |row| json(row, 0))?;
    Ok(queue.collect::<rusqlite::Result<_>>()?)
}

/// Replaces the queue of a conversation; nothing is written when it is what it was.
pub(super) fn put_queue(connection: &Connection, conversation: i64, new: &[Queued]) -> Result<(), Fault> {
    if queue(connection, conversation)? == *new {
        return Ok(());
    }
    connection.prepare_cached("DELETE FROM prompt_queue WHERE conversation = ?1")?.execute([conversation])?;
    let mut statement = connection.prepare_cached("INSERT INTO prompt_queue (conversation, at, queued) VALUES (?1, ?2, ?3)")?;
    for (at, queued) in (0_i64..).zip(new) {
        statement.execute(params![conversation, at, serde_json::to_string(queued).unwrap_or_default()])?;
    }
    Ok(())
}
