//! Which messages a filter lets through.
//!
//! Owns: what a filter's words mean of a message, where the search for them begins. Invariant: words on conversations are answered
//! once, before the search; those on messages by one look at a message's row, before its text is read.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};

use super::fault::Fault;
use super::lists::{Clause, is_sql, models};
use super::words::role;
use crate::core::filter::conversations::{Filter, Has, Is, Name, Term, Test};
use crate::proto::Role;

/// Fewer answers of a model than these are looked through one by one.
const FEW: i64 = 20_000;

pub(super) const NODE: &str =
    "SELECT conversation, role, model, rating, bookmark IS NOT NULL, created, hidden, archived, parent FROM node WHERE key = ?1";
pub(super) const SHELF: &str = "SELECT shelf FROM conversation WHERE key = ?1";
pub(super) const RATED: &str = "SELECT key FROM node WHERE rating <> 0 ORDER BY key DESC";
pub(super) const BOOKMARKED: &str = "SELECT key FROM node WHERE bookmark IS NOT NULL ORDER BY key DESC";
pub(super) const SPECIAL: &str = "SELECT DISTINCT node FROM part WHERE kind <> 'text' AND kind <> 'thinking' ORDER BY node DESC";
/// Whether anything of a conversation is put away.
pub(super) const PUT_AWAY: &str = "SELECT 1 FROM node WHERE conversation = ?1 AND archived = 1";
pub(super) const OF_CONVERSATION: &str = "SELECT key FROM node WHERE conversation = ?1";
pub(super) const STRETCHES: &str = "SELECT at FROM stretch WHERE first < ?1 AND last >= ?2 ORDER BY at DESC";

/// Keys of one stretch.
const STRETCH: i64 = 4_096;

/// A filter on messages, ready for use.
pub(super) struct Sieve<'c> {
    connection: &'c Connection,
    /// Of the words on single messages: what must hold, with the models that are meant.
    terms: Vec<(Term, Vec<i64>)>,
    /// The conversations that all words on conversations hold for; `None`: there are no such words.
    pub conversations: Option<Fit>,
    /// What is in the bin is not found unless it is asked for, or the conversation is named.
    bin: bool,
    /// Keys of messages that may fit, newest first, when they are few.
    few: Option<Vec<i64>>,
    /// Whether anything of these conversations is put away.
    put_away: HashMap<i64, bool>,
}

/// Conversations by their keys.
pub(super) struct Fit {
    /// The last changed first.
    pub recent: Vec<i64>,
    among: HashSet<i64>,
    /// How many they have.
    pub messages: i64,
}

/// A message's row.
struct Seen {
    conversation: i64,
    role: Role,
    model: Option<i64>,
    rating: i8,
    bookmark: bool,
    created: i64,
    hidden: bool,
    archived: bool,
    parent: Option<i64>,
}

fn seen(row: &Row<'_>) -> rusqlite::Result<Seen> {
    Ok(Seen {
        conversation: row.get(0)?,
        role: role(row, 1)?,
        model: row.get(2)?,
        rating: row.get(3)?,
        bookmark: row.get(4)?,
        created: row.get(5)?,
        hidden: row.get(6)?,
        archived: row.get(7)?,
        parent: row.get(8)?,
    })
}

impl<'c> Sieve<'c> {
    /// `inside`: of one conversation, wherever it lies.
    pub fn new(connection: &'c Connection, filter: &Filter, inside: bool) -> Result<Self, Fault> {
        let mut sieve = Self {
            connection,
            terms: Vec::new(),
            conversations: None,
            bin: inside || filter.asks(Is::Deleted),
            few: None,
            put_away: HashMap::new(),
        };
        let mut whole: Vec<&Term> = Vec::new();
        for term in filter.terms() {
            match &term.test {
                // What is looked for is the search's own affair.
                Test::Text { .. } => {}
                test if on_conversation(test) => whole.push(term),
                Test::Name { name, any } => sieve.terms.push((term.clone(), models(connection, *name, any)?)),
                Test::Is(_) | Test::Count { .. } | Test::Before(_) | Test::From(_) | Test::Role(_) | Test::Rating(_) | Test::Has(_) => {
                    sieve.terms.push((term.clone(), Vec::new()));
                }
            }
        }
        if !whole.is_empty() {
            let mut clause = Clause::new(connection)?;
            let fits = clause.all(whole)?;
            let most = if sieve.bin { 2 } else { 1 };
            // No order, and no index by name: a tag or a folder has its own.
            let sql = format!("SELECT c.key, c.messages, c.updated FROM conversation AS c WHERE c.shelf <= {most} AND {fits}");
            let mut statement = connection.prepare(&sql)?;
            let mut found = statement.query(params_from_iter(clause.values))?;
            let (mut fit, mut messages) = (Vec::new(), 0);
            while let Some(row) = found.next()? {
                fit.push((row.get::<_, i64>(2)?, row.get::<_, i64>(0)?));
                messages += row.get::<_, i64>(1)?;
            }
            fit.sort_unstable_by(|a, b| b.cmp(a));
            let recent: Vec<i64> = fit.into_iter().map(|(_, key)| key).collect();
            sieve.conversations = Some(Fit { among: recent.iter().copied().collect(), recent, messages });
        }
        sieve.few = sieve.find_few()?;
        Ok(sieve)
    }

    /// Keys of messages that may fit, newest first, when they are few or nothing else is looked for among them.
    pub fn few(&self) -> Option<&[i64]> {
        self.few.as_deref()
    }

    fn find_few(&self) -> Result<Option<Vec<i64>>, Fault> {
        let keys = |sql: &str| -> Result<Vec<i64>, Fault> {
            let mut statement = self.connection.prepare_cached(sql)?;
            Ok(statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
        };
        for (term, wanted) in self.terms.iter().filter(|(term, _)| !term.not) {
            match &term.test {
                Test::Rating(_) => return keys(RATED).map(Some),
                Test::Is(any) if any == &[Is::Bookmarked] => return keys(BOOKMARKED).map(Some),
                Test::Has(any) if !any.contains(&Has::Code) => return keys(SPECIAL).map(Some),
                Test::Name { .. } => {
                    let list = wanted.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
                    let answered = format!("FROM node WHERE role = 'assistant' AND model IN ({list})");
                    let many = format!("SELECT count(*) FROM (SELECT 1 {answered} LIMIT {FEW})");
                    if self.connection.query_row(&many, [], |row| row.get::<_, i64>(0))? < FEW {
                        return keys(&format!("SELECT key {answered} ORDER BY key DESC")).map(Some);
                    }
                }
                _ => {}
            }
        }
        Ok(None)
    }

    /// All messages of some conversations, newest first.
    pub fn messages_of(&self, conversations: &[i64]) -> Result<Vec<i64>, Fault> {
        let mut keys: Vec<i64> = Vec::new();
        let mut statement = self.connection.prepare_cached(OF_CONVERSATION)?;
        for conversation in conversations {
            let found = statement.query_map([conversation], |row| row.get(0))?;
            keys.extend(found.collect::<rusqlite::Result<Vec<i64>>>()?);
        }
        keys.sort_unstable_by(|a, b| b.cmp(a));
        Ok(keys)
    }

    /// Between which keys, newest first, messages of the wanted time may lie; `newest` is the last key that there is.
    pub fn ranges(&self, newest: i64) -> Result<Vec<(i64, i64)>, Fault> {
        let (mut before, mut from) = (i64::MAX, i64::MIN);
        for (term, _) in &self.terms {
            match (&term.test, term.not) {
                (Test::Before(at), false) | (Test::From(at), true) => before = before.min(*at),
                (Test::From(at), false) | (Test::Before(at), true) => from = from.max(*at),
                _ => {}
            }
        }
        if (before, from) == (i64::MAX, i64::MIN) {
            return Ok(vec![(1, newest)]);
        }
        let mut ranges: Vec<(i64, i64)> = Vec::new();
        let mut statement = self.connection.prepare_cached(STRETCHES)?;
        let mut found = statement.query([before, from])?;
        while let Some(row) = found.next()? {
            let at: i64 = row.get(0)?;
            let (first, last) = (at * STRETCH, ((at + 1) * STRETCH - 1).min(newest));
            match ranges.last_mut() {
                Some(above) if above.0 == last + 1 => above.0 = first,
                _ => ranges.push((first, last)),
            }
        }
        Ok(ranges)
    }

    /// Whether a message may be found, by its row alone; `inside` a conversation when there is one.
    pub fn lets_through(&mut self, key: i64, inside: Option<i64>) -> Result<bool, Fault> {
        let Some(node) = self.connection.prepare_cached(NODE)?.query_row([key], seen).optional()? else { return Ok(false) };
        if node.hidden || inside.is_some_and(|inside| inside != node.conversation) {
            return Ok(false);
        }
        match &self.conversations {
            Some(fit) if !fit.among.contains(&node.conversation) => return Ok(false),
            Some(_) => {}
            None if self.bin => {}
            None if self.shelf(node.conversation)? > 1 => return Ok(false),
            None => {}
        }
        for at in 0..self.terms.len() {
            if self.holds(at, key, &node)? == self.terms[at].0.not {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn shelf(&self, conversation: i64) -> Result<i64, Fault> {
        Ok(self.connection.prepare_cached(SHELF)?.query_row([conversation], |row| row.get(0))?)
    }

    fn holds(&mut self, at: usize, key: i64, node: &Seen) -> Result<bool, Fault> {
        let (term, models) = &self.terms[at];
        Ok(match &term.test {
            Test::Name { .. } => node.role == Role::Assistant && node.model.is_some_and(|model| models.contains(&model)),
            Test::Role(any) => any.contains(&node.role),
            Test::Rating(any) => any.contains(&node.rating),
            Test::Before(at) => node.created < *at,
            Test::From(at) => node.created >= *at,
            Test::Has(any) => {
                let any = any.clone();
                return any.into_iter().map(|has| self.has(key, has)).find(|found| !matches!(found, Ok(false))).unwrap_or(Ok(false));
            }
            Test::Is(any) => {
                let any = any.clone();
                return any.into_iter().map(|is| self.is(is, node)).find(|found| !matches!(found, Ok(false))).unwrap_or(Ok(false));
            }
            // Answered before the search.
            Test::Text { .. } | Test::Count { .. } => true,
        })
    }

    fn has(&self, key: i64, has: Has) -> Result<bool, Fault> {
        let sql = match has {
            Has::Image => "SELECT 1 FROM part WHERE node = ?1 AND kind = 'image'",
            Has::File => "SELECT 1 FROM part WHERE node = ?1 AND kind = 'file'",
            Has::Tool => "SELECT 1 FROM part WHERE node = ?1 AND kind IN ('tool_call', 'tool_result')",
            Has::Code => "SELECT 1 FROM part WHERE node = ?1 AND kind = 'text' AND (instr(text, '```') > 0 OR instr(text, '~~~') > 0)",
        };
        Ok(self.connection.prepare_cached(sql)?.exists([key])?)
    }

    fn is(&mut self, is: Is, node: &Seen) -> Result<bool, Fault> {
        match is {
            Is::Bookmarked => Ok(node.bookmark),
            Is::Archived => self.is_put_away(node),
            _ => {
                let sql = format!("SELECT 1 FROM conversation AS c WHERE c.key = ?1 AND {}", is_sql(is));
                Ok(self.connection.prepare_cached(&sql)?.exists([node.conversation])?)
            }
        }
    }

    /// Whether it lies on a branch that is put away, or its conversation is archived.
    fn is_put_away(&mut self, node: &Seen) -> Result<bool, Fault> {
        if self.shelf(node.conversation)? == 1 || node.archived {
            return Ok(true);
        }
        let some = match self.put_away.get(&node.conversation) {
            Some(known) => *known,
            None => {
                let some = self.connection.prepare_cached(PUT_AWAY)?.exists([node.conversation])?;
                self.put_away.insert(node.conversation, some);
                some
            }
        };
        let mut parent = node.parent.filter(|_| some);
        let mut statement = self.connection.prepare_cached("SELECT archived, parent FROM node WHERE key = ?1")?;
        while let Some(key) = parent {
            let found = statement.query_row([key], |row| Ok((row.get::<_, bool>(0)?, row.get(1)?))).optional()?;
            let Some((archived, above)) = found else { break };
            if archived {
                return Ok(true);
            }
            parent = above;
        }
        Ok(false)
    }

    /// The same of a message by its key.
    pub fn puts_away(&mut self, key: i64) -> Result<bool, Fault> {
        let node = self.connection.prepare_cached(NODE)?.query_row([key], seen)?;
        self.is_put_away(&node)
    }
}

/// Whether a word is said of whole conversations.
fn on_conversation(test: &Test) -> bool {
    match test {
        Test::Name { name, .. } => matches!(name, Name::Title | Name::Folder | Name::Tag),
        Test::Is(any) => any.iter().all(|is| !matches!(is, Is::Bookmarked | Is::Archived)),
        Test::Count { .. } => true,
        Test::Text { .. } | Test::Before(_) | Test::From(_) | Test::Role(_) | Test::Rating(_) | Test::Has(_) => false,
    }
}
