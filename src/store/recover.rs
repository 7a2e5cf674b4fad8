//! What a host that was killed left behind, put in order before anything else is read.
//!
//! Invariant: afterwards no message is in a running state; the text that was saved is kept, measured, found by search and marked
//! `stopped`.

use rusqlite::{Connection, TransactionBehavior, params};

use super::fault::Fault;
use super::rows;
use super::words::{finish_word, role, uuid};
use crate::core::estimate;
use crate::proto::{ConversationId, Finish, NodeId, Role, State, UnixMs, content_text};

/// Longest snippet, in characters (`Node::snippet`).
const SNIPPET: usize = 80;

/// The words of [`State::is_running`], as the partial index `node_running` has them.
pub(super) const LEFT_RUNNING: &str = "SELECT n.key, n.id, n.role, c.id FROM node AS n JOIN conversation AS c ON c.key = n.conversation
     WHERE n.state IN ('queued', 'connecting', 'waiting', 'loading', 'reading', 'thinking', 'writing') ORDER BY n.key";

/// Marks every answer that was being produced as stopped at `now`, and tells which they were.
pub(super) fn stop_what_ran(connection: &mut Connection, now: UnixMs) -> Result<Vec<(ConversationId, NodeId)>, Fault> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut stopped = Vec::new();
    let left: Vec<(i64, NodeId, Role, ConversationId)> = transaction
        .prepare(LEFT_RUNNING)?
        .query_map([], |row| Ok((row.get(0)?, uuid(row, 1)?.into(), role(row, 2)?, uuid(row, 3)?.into())))?
        .collect::<rusqlite::Result<_>>()?;
    for (key, id, role, conversation) in left {
        let content = rows::parts_of(&transaction, key)?;
        // A prompt that is on disk was sent, whatever became of its answer.
        let state = if role == Role::Assistant { State::Stopped } else { State::Sent };
        transaction.prepare_cached("UPDATE node SET state = ?2, bytes = ?3, tokens = ?4, snippet = ?5 WHERE key = ?1")?.execute(
            params![
                key,
                state.word(),
                i64::try_from(rows::text_bytes(&content)).unwrap_or(i64::MAX),
                estimate::content(&content),
                first_line(&content_text(&content)),
            ],
        )?;
        rows::index(&transaction, key, &content)?;
        if role == Role::Assistant {
            transaction.prepare_cached("UPDATE run SET finish = ?2, finished = ifnull(finished, ?3) WHERE node = ?1")?.execute(params![
                key,
                finish_word(&Finish::HostStopped),
                now
            ])?;
            stopped.push((conversation, id));
        }
    }
    transaction.execute("UPDATE conversation SET running = 0 WHERE running > 0", [])?;
    transaction.commit()?;
    Ok(stopped)
}

/// The first line that says something, made harmless.
fn first_line(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("");
    line.chars().filter(|c| super::is_harmless(*c)).take(SNIPPET).collect()
}
