//! Lists of messages over all conversations: bookmarks, and what was written to models.

use std::collections::HashSet;

use rusqlite::{Connection, Row};

use super::fault::Fault;
use super::search::{self, TEXT, fold, text_of};
use super::sieve::{BOOKMARKED, Sieve};
use super::words::{role, uuid};
use crate::core::filter::conversations::{Filter, Subject, Test};
use crate::proto::{Bookmark, ConversationId, NodeId, Window};

pub(super) const BOOKMARK: &str = "SELECT c.id, c.title, n.id, n.role, n.created, n.snippet, n.bookmark
     FROM node AS n JOIN conversation AS c ON c.key = n.conversation WHERE n.key = ?1";
/// Prompts that are looked at when nothing is asked for.
const LOOKED_AT: u32 = 20_000;
/// What was written last, newest first, as far as it is looked at.
pub(super) const WRITTEN: &str = "SELECT n.key FROM (SELECT key, role, hidden FROM node ORDER BY key DESC LIMIT ?1) AS n
     WHERE n.role = 'user' AND n.hidden = 0 ORDER BY n.key DESC";
/// What lies in the bin is not offered.
pub(super) const OUT_OF_THE_BIN: &str =
    "SELECT 1 FROM node AS n JOIN conversation AS c ON c.key = n.conversation WHERE n.key = ?1 AND c.deleted IS NULL";
/// Longest prompt that is told, in bytes: a history is not there to read books in.
const LONGEST: usize = 64 << 10;

/// Bookmarked messages, newest first; the words of the filter are looked for in notes and messages.
pub(super) fn bookmarks(connection: &mut Connection, filter: &Filter, offset: u32, limit: u32) -> Result<Window<Bookmark>, Fault> {
    let transaction = connection.transaction()?;
    let mut sieve = Sieve::new(&transaction, filter, false)?;
    let mut texts: Vec<(bool, String)> = Vec::new();
    for term in filter.terms() {
        if let Test::Text { text, .. } = &term.test {
            texts.push((term.not, fold(text)));
        }
    }
    let mut statement = transaction.prepare_cached(BOOKMARKED)?;
    let keys = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<i64>>>()?;
    let mut reader = transaction.prepare_cached(TEXT)?;
    let mut shown = transaction.prepare_cached(BOOKMARK)?;
    let mut window = Window { offset, total: 0, items: Vec::new() };
    for key in keys {
        if !sieve.lets_through(key, None)? {
            continue;
        }
        let mut found: Option<Bookmark> = None;
        if !texts.is_empty() {
            let bookmark = shown.query_row([key], bookmark)?;
            let text = format!("{}\n{}", fold(&bookmark.note), fold(&text_of(&mut reader, key)?));
            if texts.iter().any(|(not, wanted)| text.contains(wanted.as_str()) == *not) {
                continue;
            }
            found = Some(bookmark);
        }
        if (offset..offset.saturating_add(limit)).contains(&window.total) {
            window.items.push(match found {
                Some(found) => found,
                None => shown.query_row([key], bookmark)?,
            });
        }
        window.total = window.total.saturating_add(1);
    }
    Ok(window)
}

fn bookmark(row: &Row<'_>) -> rusqlite::Result<Bookmark> {
    Ok(Bookmark {
        conversation: ConversationId(uuid(row, 0)?),
        title: row.get(1)?,
        node: NodeId(uuid(row, 2)?),
        role: role(row, 3)?,
        created: row.get(4)?,
        snippet: row.get(5)?,
        note: row.get::<_, Option<String>>(6)?.unwrap_or_default(),
    })
}

/// What was written to models lately with `text` in it, newest first, each once.
pub(super) fn prompts(connection: &mut Connection, text: &str, limit: usize) -> Result<Vec<String>, Fault> {
    let transaction = connection.transaction()?;
    let text = text.trim();
    let mut keys: Vec<i64> = if text.is_empty() {
        let mut statement = transaction.prepare_cached(WRITTEN)?;
        statement.query_map([LOOKED_AT], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?
    } else {
        // Every character of it is text: in quotes, nothing is a word of the language.
        let filter = super::lists::filter(&format!("role:user \"{}\"", text.replace('"', " ")), Subject::Messages);
        search::keys(&transaction, &filter, limit.saturating_mul(2))?
    };
    keys.sort_unstable_by(|a, b| b.cmp(a));
    let mut reader = transaction.prepare_cached(TEXT)?;
    let mut offered = transaction.prepare_cached(OUT_OF_THE_BIN)?;
    let (mut seen, mut prompts): (HashSet<String>, Vec<String>) = (HashSet::new(), Vec::new());
    for key in keys {
        if prompts.len() >= limit {
            break;
        }
        let prompt = text_of(&mut reader, key)?;
        let fit = !prompt.trim().is_empty() && prompt.len() <= LONGEST;
        if fit && offered.exists([key])? && seen.insert(prompt.trim().to_owned()) {
            prompts.push(prompt);
        }
    }
    Ok(prompts)
}
