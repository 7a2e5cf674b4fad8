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

#[cfg(test)]
mod tests {
    use crate::core::Write;
    use crate::proto::{Conversation, ConversationRow, Facts, IdGen, Node, Part, Queued, Role, State};
    use crate::store::Store;

    fn file(blob: &str) -> Part {
        Part::File { blob: blob.into(), mime: "text/plain".into(), name: "n".into(), facts: Facts::default() }
    }

    #[tokio::test]
    async fn what_is_written_anywhere_is_named() {
        let home = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(&home.path().join("arbour.db"), 1).unwrap();
        let mut ids = IdGen::Counting(0);
        let mut conversation = Conversation::new(ConversationRow::new(ids.fresh(), 1));
        conversation.attached = vec![file("drafted")];
        let content = vec![file("queued")];
        conversation.queue = vec![Queued { node: ids.fresh(), answer: ids.fresh(), line: ids.fresh(), content, model: None, at: 1 }];
        let id = conversation.row.id;
        let node = Node::new(ids.fresh(), None, Role::User, State::Sent, 1);
        let said = Write::Node { conversation: id, node, content: vec![file("said")] };
        store.write(vec![Write::Conversation(conversation), said], true).await.unwrap();
        let all = ["said", "queued", "drafted", "nowhere"].map(str::to_owned).to_vec();
        assert_eq!(store.unnamed(all).await.unwrap(), ["nowhere"]);
        store.write(vec![Write::DeleteConversation(id)], true).await.unwrap();
        assert_eq!(store.unnamed(vec!["said".into(), "queued".into()]).await.unwrap(), ["queued", "said"]);
        store.close().await;
    }
}
