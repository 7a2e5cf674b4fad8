//! What a host that was killed left behind, put in order before anything else is read.
//!
//! Invariant: afterwards no message is in a running state; the text that was saved is kept, measured, found by search and marked
//! `stopped`.

use rusqlite::{Connection, TransactionBehavior, params};

use super::fault::Fault;
use super::rows;
use super::words::{finish_word, role, uuid};
use crate::core::measure;
use crate::proto::{ConversationId, Finish, Node, NodeId, Role, State, UnixMs};

/// The states are those of [`State::is_running`], written as the partial index `node_running` has them.
pub(super) const LEFT_RUNNING: &str = "SELECT n.key, n.id, n.role, n.created, c.id
     FROM node AS n JOIN conversation AS c ON c.key = n.conversation
     WHERE n.state IN ('queued', 'connecting', 'waiting', 'loading', 'reading', 'thinking', 'writing') ORDER BY n.key";

pub(super) const FORGET_RUNNING: &str = "UPDATE conversation SET running = 0 WHERE running > 0";

/// Marks every answer that was being produced as stopped at `now`, and tells which they were.
pub(super) fn stop_what_ran(connection: &mut Connection, now: UnixMs) -> Result<Vec<(ConversationId, NodeId)>, Fault> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let left: Vec<(i64, ConversationId, Node)> = transaction
        .prepare(LEFT_RUNNING)?
        .query_map([], |row| {
            let id = NodeId(uuid(row, 1)?);
            Ok((row.get(0)?, ConversationId(uuid(row, 4)?), outline(id, role(row, 2)?, row.get(3)?)))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let mut stopped = Vec::new();
    for (key, conversation, mut node) in left {
        let content = rows::parts_of(&transaction, key)?;
        measure(&mut node, &content);
        transaction
            .prepare_cached("UPDATE node SET state = ?2, bytes = ?3, tokens = ?4, snippet = ?5 WHERE key = ?1")?
            .execute(params![key, node.state.word(), rows::size(node.bytes), node.tokens, node.snippet])?;
        rows::index(&transaction, key, &content)?;
        if node.role == Role::Assistant {
            transaction.prepare_cached("UPDATE run SET finish = ?2, finished = ifnull(finished, ?3) WHERE node = ?1")?.execute(params![
                key,
                finish_word(&Finish::HostStopped),
                now
            ])?;
            stopped.push((conversation, node.id));
        }
    }
    transaction.execute(FORGET_RUNNING, [])?;
    transaction.commit()?;
    Ok(stopped)
}

/// As much of a message as its measures need. A prompt that is on disk was sent, whatever became of its answer.
fn outline(id: NodeId, role: Role, created: UnixMs) -> Node {
    Node::new(id, None, role, if role == Role::Assistant { State::Stopped } else { State::Sent }, created)
}
