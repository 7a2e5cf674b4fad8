//! Which attachments something names: messages by their index, and what is kept as JSON.

use std::collections::BTreeSet;

use rusqlite::{Connection, params};

use super::fault::Fault;

pub(super) const NAMED: &str = "SELECT EXISTS (SELECT 1 FROM part WHERE blob = ?1)";
/// Where content stands as JSON: prompts that wait, drafts, acts that can be undone, settings.
pub(super) const WRITTEN: &[&str] = &[
    "SELECT queued FROM prompt_queue WHERE instr(queued, '\"blob\"')",
    "SELECT attached FROM draft WHERE instr(attached, '\"blob\"')",
    "SELECT steps FROM op WHERE state < 2 AND instr(steps, '\"blob\"')",
    "SELECT value FROM setting WHERE instr(value, '\"blob\"')",
];

/// Those of these attachments that nothing names.
pub(super) fn unnamed(connection: &mut Connection, hashes: Vec<String>) -> Result<Vec<String>, Fault> {
    // One state for all that follows.
    let transaction = connection.transaction()?;
    let mut unnamed = BTreeSet::new();
    for hash in hashes {
        if !transaction.prepare_cached(NAMED)?.query_row(params![hash], |row| row.get::<_, bool>(0))? {
            unnamed.insert(hash);
        }
    }
    for written in WRITTEN {
        if unnamed.is_empty() {
            break;
        }
        let mut statement = transaction.prepare_cached(written)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let text = row.get_ref(0)?.as_str().unwrap_or_default();
            unnamed.retain(|hash| !text.contains(hash.as_str()));
        }
    }
    Ok(unnamed.into_iter().collect())
}
