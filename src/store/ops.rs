//! What was done and can be undone.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::fault::Fault;
use super::words::{json, uuid, uuid_if};
use crate::core::undo::{Op, OpState};
use crate::proto::{ClientId, CommandId, ConversationId};

/// Ops that are kept; older ones cannot be undone any more.
const KEPT: i64 = 5_000;

pub(super) const LAST: &str = "SELECT seq, command, client, at, conversation, about, steps FROM op WHERE client = ?1 AND state = ?2
     ORDER BY seq DESC LIMIT 1";
/// Undone ones are done again in the order in which they were done.
pub(super) const FIRST_UNDONE: &str = "SELECT seq, command, client, at, conversation, about, steps FROM op WHERE client = ?1 AND state = 1
     ORDER BY seq LIMIT 1";
/// The same of the client that is gone and did something last; `?1` as below.
pub(super) const FIRST_UNDONE_OF_OTHERS: &str = "SELECT seq, command, client, at, conversation, about, steps FROM op
     WHERE state = 1 AND client =
        (SELECT client FROM op WHERE hex(client) NOT IN (SELECT value FROM json_each(?1)) ORDER BY seq DESC LIMIT 1)
     ORDER BY seq LIMIT 1";
/// Of clients that are gone: the newest; `?1` is a JSON list of those that are here, in hex.
pub(super) const LAST_OF_OTHERS: &str = "SELECT seq, command, client, at, conversation, about, steps FROM op
     WHERE state = 0 AND hex(client) NOT IN (SELECT value FROM json_each(?1)) ORDER BY seq DESC LIMIT 1";

/// Keeps what was done; what its client had undone can be done again no more.
pub(super) fn put(connection: &Connection, op: &Op) -> Result<(), Fault> {
    connection.prepare_cached("UPDATE op SET state = 2 WHERE client = ?1 AND state = 1")?.execute([op.client.0.as_bytes()])?;
    connection
        .prepare_cached(
            "INSERT INTO op (command, client, at, conversation, about, steps) VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            op.command.0.as_bytes(),
            op.client.0.as_bytes(),
            op.at,
            op.conversation.as_ref().map(|id| id.0.as_bytes()),
            op.about,
            serde_json::to_string(&op.steps).unwrap_or_default(),
        ])?;
    let seq = connection.last_insert_rowid();
    connection.prepare_cached("DELETE FROM op WHERE seq <= ?1")?.execute([seq - KEPT])?;
    Ok(())
}

pub(super) fn set_state(connection: &Connection, command: CommandId, client: ClientId, state: OpState) -> Result<(), Fault> {
    connection.prepare_cached("UPDATE op SET state = ?3, client = ?2 WHERE command = ?1")?.execute(params![
        command.0.as_bytes(),
        client.0.as_bytes(),
        state as i64
    ])?;
    Ok(())
}

/// What `client` would undo now (or, with `redo`, do again); `here` are the clients that are attached. A client that did nothing yet
/// goes on where one that is gone left off.
pub(super) fn next(connection: &Connection, client: ClientId, here: &[ClientId], redo: bool) -> Result<Option<Op>, Fault> {
    let own = if redo {
        connection.prepare_cached(FIRST_UNDONE)?.query_row([client.0.as_bytes()], op).optional()?
    } else {
        connection.prepare_cached(LAST)?.query_row(params![client.0.as_bytes(), 0], op).optional()?
    };
    // Whoever did something since has nothing of others to do again.
    if own.is_some() || redo && connection.prepare_cached(LAST)?.exists(params![client.0.as_bytes(), 0])? {
        return Ok(own);
    }
    let here: Vec<String> = here.iter().map(|id| id.0.simple().to_string().to_uppercase()).collect();
    let here = serde_json::to_string(&here).unwrap_or_default();
    let others = if redo { FIRST_UNDONE_OF_OTHERS } else { LAST_OF_OTHERS };
    Ok(connection.prepare_cached(others)?.query_row([here], op).optional()?)
}

fn op(row: &Row<'_>) -> rusqlite::Result<Op> {
    Ok(Op {
        command: CommandId(uuid(row, 1)?),
        client: ClientId(uuid(row, 2)?),
        at: row.get(3)?,
        conversation: uuid_if(row, 4)?.map(ConversationId),
        about: row.get(5)?,
        steps: json(row, 6)?,
    })
}
