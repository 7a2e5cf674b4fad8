//! Search over the text of all messages.
//!
//! Owns: what a query means, which messages are looked at and in which order, the piece of text that is shown. Invariant: a hit
//! contains every word of the query (and none that is ruled out), upper and lower case alike, and its snippet holds no control
//! characters but the two marks.
//!
//! A query is in the filter language of messages. A message is found when it contains all its words, in any place, also within a longer
//! word, and when the filter lets it through. The newest messages are looked at first, in windows that grow, so that a frequent word
//! is answered from the newest few and nobody sorts a million matches; where the filter leaves only few messages, those are looked
//! at and no other. Among what was found, those come first that contain the query as it stands, then those with whole words, then
//! with beginnings of words, then the newest.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, params};

use super::fault::Fault;
use super::grams;
use super::sieve::Sieve;
use super::words::{role, uuid};
use crate::core::filter::conversations::{Filter, Test};
use crate::proto::{ConversationId, NodeId, Role, SearchHit};
use crate::sanitise;

/// Where a hit begins and ends in a snippet.
pub const MARKS: [char; 2] = ['\u{E000}', '\u{E001}'];

/// Words beyond these many of a query are compared with the text but not looked up.
const MOST_WORDS: usize = 8;
/// Tokens that are looked up; more would narrow down no further and cost time.
const MOST_TOKENS: usize = 12;
/// The first window, in keys of messages; each following one is twice as wide.
const WINDOW: i64 = 20_000;
/// Matches that are ranked for each that is wanted.
const RANKED: usize = 4;
/// So many of the newest messages tell how frequent a token is.
const SAMPLED: i64 = 1_000;
/// What it costs to read a message's text, in entries of a token's list (some 10 µs and 15 ns).
const READING: f64 = 700.0;
/// What each further token of the same word leaves of the messages: they are not independent of each other.
const SAME_WORD: f64 = 0.3;
/// Longest query, in characters; a message that was pasted into the search field is cut.
pub(super) const LONGEST: usize = 400;
/// Characters of a snippet before the hit, and in all.
const BEFORE: usize = 30;
const SNIPPET: usize = 120;

pub(super) use grams::fold;

/// How many messages between two keys have a token.
pub(super) const SAMPLE: &str = "SELECT count(*) FROM gram WHERE gram MATCH ?1 AND rowid BETWEEN ?2 AND ?3";
pub(super) const NEWEST: &str = "SELECT max(key) FROM node";
/// Messages of one window that have all tokens, newest first.
pub(super) const BY_GRAMS: &str = "SELECT rowid FROM gram WHERE gram MATCH ?1 AND rowid BETWEEN ?2 AND ?3 ORDER BY rowid DESC";
/// Where a conversation lies among all messages.
pub(super) const SPAN: &str = "SELECT key, messages, (SELECT min(key) FROM node WHERE conversation = c.key),
        (SELECT max(key) FROM node WHERE conversation = c.key)
     FROM conversation AS c WHERE id = ?1";
/// All text of a conversation, newest message first.
pub(super) const BY_CONVERSATION: &str = "SELECT n.key, p.text FROM node AS n JOIN part AS p ON p.node = n.key
     WHERE n.conversation = ?1 AND p.kind = 'text' ORDER BY n.key DESC, p.at";
/// The text of one message.
pub(super) const TEXT: &str = "SELECT text FROM part WHERE node = ?1 AND kind = 'text' ORDER BY at";
pub(super) const HIT: &str = "SELECT n.id, n.role, n.created, c.id, c.title, n.parent
     FROM node AS n JOIN conversation AS c ON c.key = n.conversation WHERE n.key = ?1";
pub(super) const ABOVE: &str = "SELECT role, snippet, parent FROM node WHERE key = ?1";
/// The newest messages of one range.
pub(super) const KEYS: &str = "SELECT key FROM node WHERE key BETWEEN ?1 AND ?2 ORDER BY key DESC";

/// Messages above a hit that are shown.
const ANCESTRY: usize = 3;
/// What it costs to look at a message's row, against its text.
const GLANCE: f64 = 0.4;
/// Of so few messages, all texts are read.
const READ_ALL: i64 = 1_500;
/// Conversations whose messages are gathered at once.
const GATHERED: usize = 32;

/// How many messages of others may lie between those of a conversation, for each of its own, before it is quicker to read all its text
/// than to look its words up.
const SCATTERED: i64 = 16;

/// Better is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    /// The words stand there as they stand in the query.
    phrase: bool,
    /// For each word of the query: two when it stands there as a word, one when it begins one.
    words: usize,
}

/// The query, ready for comparison.
struct Wanted {
    /// Folded, single spaces.
    phrase: String,
    /// Of what stood in quotes, with its spaces.
    words: Vec<String>,
    /// What must not stand there.
    never: Vec<String>,
}

impl Wanted {
    fn new(filter: &Filter) -> Self {
        let (mut words, mut never): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
        for term in filter.terms() {
            if let Test::Text { text, .. } = &term.test {
                let word = fold(text).trim_matches(' ').to_owned();
                if !word.is_empty() {
                    if term.not { &mut never } else { &mut words }.push(word);
                }
            }
        }
        let phrase = words.join(" ");
        let mut seen = HashSet::new();
        words.retain(|word| seen.insert(word.clone()));
        Self { phrase, words, never }
    }

    /// The tokens to look up, each with the word that it is of.
    fn tokens(&self) -> Vec<(usize, String)> {
        let words = self.words.iter().take(MOST_WORDS).enumerate();
        let mut tokens: Vec<(usize, String)> = words
            .flat_map(|(at, word)| word.split(' ').filter(|piece| !piece.is_empty()).flat_map(grams::tokens_for).map(move |t| (at, t)))
            .collect();
        // Longer tokens are rarer.
        tokens.sort_by_key(|(_, token)| std::cmp::Reverse(token.len()));
        tokens.truncate(MOST_TOKENS);
        tokens
    }

    /// How well a folded text matches; not at all when a word is missing.
    fn rank(&self, folded: &str) -> Option<Rank> {
        if !self.words.iter().all(|word| folded.contains(word.as_str())) || self.never.iter().any(|word| folded.contains(word.as_str())) {
            return None;
        }
        let worth = |word: &String| places(folded, word).map(|at| worth(folded, at, word.len())).max().unwrap_or(0);
        Some(Rank { phrase: folded.contains(&self.phrase), words: self.words.iter().map(worth).sum() })
    }
}

/// Searches; best first, at most `limit`. Ends early, with what it has, when nobody waits any more.
pub(super) fn search(
    connection: &mut Connection,
    filter: &Filter,
    conversation: Option<ConversationId>,
    limit: usize,
    cancelled: &AtomicBool,
) -> Result<Vec<SearchHit>, Fault> {
    if filter.is_empty() || limit == 0 {
        return Ok(Vec::new());
    }
    let transaction = connection.transaction()?;
    let (found, mut sieve, wanted) = matches(&transaction, filter, conversation, limit, cancelled)?;
    let keys = found.into_iter().take(limit);
    keys.map(|(_, key)| show(&transaction, key, &wanted, &mut sieve)).collect()
}

type Matches<'c> = (Vec<(Rank, i64)>, Sieve<'c>, Wanted);

/// What is found in all conversations, by its keys; some times `limit` where there is so much.
pub(super) fn keys(connection: &Connection, filter: &Filter, limit: usize) -> Result<Vec<i64>, Fault> {
    let (found, ..) = matches(connection, filter, None, limit, &AtomicBool::new(false))?;
    Ok(found.into_iter().map(|(_, key)| key).collect())
}

/// What is found, best first, by its keys.
fn matches<'c>(
    connection: &'c Connection,
    filter: &Filter,
    conversation: Option<ConversationId>,
    limit: usize,
    cancelled: &AtomicBool,
) -> Result<Matches<'c>, Fault> {
    let wanted = Wanted::new(filter);
    let sieve = Sieve::new(connection, filter, conversation.is_some())?;
    // Without a word there is nothing to rank by: the newest come first.
    let ranked = if wanted.words.is_empty() { 1 } else { RANKED };
    let mut seeker = Seeker { connection, wanted, sieve, enough: limit.saturating_mul(ranked), cancelled, found: Vec::new() };
    match conversation {
        Some(id) => seeker.in_conversation(id)?,
        None => seeker.everywhere()?,
    }
    let Seeker { mut found, wanted, sieve, .. } = seeker;
    found.sort_by(|a, b| b.cmp(a));
    Ok((found, sieve, wanted))
}

/// A search under way.
struct Seeker<'s, 'c> {
    connection: &'c Connection,
    wanted: Wanted,
    sieve: Sieve<'c>,
    /// So many matches are ranked.
    enough: usize,
    cancelled: &'s AtomicBool,
    /// Matches by their keys.
    found: Vec<(Rank, i64)>,
}

impl Seeker<'_, '_> {
    /// Compares a text with the query. False when it is time to end.
    fn look(&mut self, key: i64, text: &str) -> bool {
        if let Some(rank) = self.wanted.rank(&fold(text)) {
            self.found.push((rank, key));
        }
        self.goes_on()
    }

    fn goes_on(&self) -> bool {
        self.found.len() < self.enough && !self.cancelled.load(Ordering::Relaxed)
    }

    fn everywhere(&mut self) -> Result<(), Fault> {
        if let Some(few) = self.sieve.few() {
            let few = few.to_vec();
            return self.among(&few, None);
        }
        let newest: Option<i64> = self.connection.prepare_cached(NEWEST)?.query_row([], |row| row.get(0))?;
        let newest = newest.unwrap_or(0);
        let ranges = self.sieve.ranges(newest)?;
        if self.begins_with_conversations(newest, ranges == [(1, newest)])? {
            return self.in_conversations();
        }
        for (first, last) in ranges {
            if self.wanted.words.is_empty() {
                self.in_range(first, last)?;
            } else {
                self.in_windows(first.max(1), last, None)?
            }
            if !self.goes_on() {
                break;
            }
        }
        Ok(())
    }

    /// Whether it is quicker to look through the conversations that fit than to look the words up and pass over what lies in others.
    fn begins_with_conversations(&self, newest: i64, any_time: bool) -> Result<bool, Fault> {
        let Some(fit) = &self.sieve.conversations else { return Ok(false) };
        let (part, all) = (fit.messages as f64, newest.max(1) as f64);
        if fit.messages <= READ_ALL || self.wanted.words.is_empty() && (any_time || part <= all / 20.0) {
            return Ok(true);
        }
        let mut statement = self.connection.prepare_cached(SAMPLE)?;
        let mut frequency = 1.0_f64;
        for (_, token) in self.wanted.tokens() {
            let found: i64 = statement.query_row(params![format!("\"{token}\""), newest - SAMPLED + 1, newest], |row| row.get(0))?;
            frequency = frequency.min(found.max(1) as f64 / SAMPLED as f64);
        }
        let enough = self.enough as f64;
        let by_words = (frequency * all).min(enough * all / part) * GLANCE;
        Ok(part.min(enough / frequency) < by_words)
    }

    /// Looks at the messages of the conversations that fit, the last changed first: of some at a time, since what is wanted may be found
    /// in the first of them.
    fn in_conversations(&mut self) -> Result<(), Fault> {
        let recent = self.sieve.conversations.as_ref().map(|fit| fit.recent.clone()).unwrap_or_default();
        for some in recent.chunks(GATHERED) {
            let keys = self.sieve.messages_of(some)?;
            self.among(&keys, None)?;
            if !self.goes_on() {
                break;
            }
        }
        Ok(())
    }

    /// Looks at these messages, in their order.
    fn among(&mut self, keys: &[i64], conversation: Option<i64>) -> Result<(), Fault> {
        let mut reader = self.connection.prepare_cached(TEXT)?;
        for key in keys {
            if self.sieve.lets_through(*key, conversation)? && !self.look(*key, &text_of(&mut reader, *key)?) {
                break;
            }
            if !self.goes_on() {
                break;
            }
        }
        Ok(())
    }

    /// Looks at all messages between two keys, newest first.
    fn in_range(&mut self, first: i64, last: i64) -> Result<(), Fault> {
        let mut statement = self.connection.prepare_cached(KEYS)?;
        let mut reader = self.connection.prepare_cached(TEXT)?;
        let mut keys = statement.query([first, last])?;
        while let Some(row) = keys.next()? {
            let key = row.get(0)?;
            if self.sieve.lets_through(key, None)? {
                self.look(key, &text_of(&mut reader, key)?);
            }
            if !self.goes_on() {
                break;
            }
        }
        Ok(())
    }

    /// Looks at the messages between two keys that the index names, newest first.
    fn in_windows(&mut self, first: i64, mut last: i64, conversation: Option<i64>) -> Result<(), Fault> {
        let mut tokens = self.wanted.tokens();
        let mut statement = self.connection.prepare_cached(BY_GRAMS)?;
        let mut reader = self.connection.prepare_cached(TEXT)?;
        let mut wide = WINDOW;
        while last >= first && !self.cancelled.load(Ordering::Relaxed) {
            let begin = last.saturating_sub(wide - 1).max(first);
            let mut keys = statement.query(params![expression(&tokens), begin, last])?;
            while let Some(row) = keys.next()? {
                let key = row.get(0)?;
                if self.sieve.lets_through(key, conversation)? && !self.look(key, &text_of(&mut reader, key)?) || !self.goes_on() {
                    return Ok(());
                }
            }
            if wide == WINDOW && last - first > 2 * WINDOW {
                tokens = worth_looking_up(self.connection, tokens, last)?;
            }
            last = begin - 1;
            wide = wide.saturating_mul(2);
        }
        Ok(())
    }

    fn in_conversation(&mut self, id: ConversationId) -> Result<(), Fault> {
        let span = |row: &Row<'_>| Ok((row.get(0)?, row.get::<_, i64>(1)?, row.get::<_, Option<i64>>(2)?, row.get::<_, Option<i64>>(3)?));
        let found = self.connection.prepare_cached(SPAN)?.query_row([id.0.as_bytes()], span).optional()?;
        let Some((conversation, messages, Some(first), Some(last))) = found else { return Ok(()) };
        if !self.wanted.words.is_empty() && (last - first) / SCATTERED <= messages {
            return self.in_windows(first, last, Some(conversation));
        }
        let mut statement = self.connection.prepare_cached(BY_CONVERSATION)?;
        let mut parts = statement.query([conversation])?;
        let mut message: (i64, String) = (0, String::new());
        while let Some(row) = parts.next()? {
            let key = row.get(0)?;
            if message.0 != key {
                self.look_within(&message, conversation)?;
                if !self.goes_on() {
                    return Ok(());
                }
                message = (key, String::new());
            }
            message.1.push_str(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?);
        }
        self.look_within(&message, conversation)
    }

    /// The text is at hand already: it is compared before the row is read.
    fn look_within(&mut self, (key, text): &(i64, String), conversation: i64) -> Result<(), Fault> {
        if let Some(rank) = self.wanted.rank(&fold(text))
            && self.sieve.lets_through(*key, Some(conversation))?
        {
            self.found.push((rank, *key));
        }
        Ok(())
    }
}

/// What FTS5 is asked for: it sees nothing of the query but tokens of letters and digits.
fn expression(tokens: &[(usize, String)]) -> String {
    tokens.iter().map(|(_, token)| format!("\"{token}\"")).collect::<Vec<_>>().join(" ")
}

/// The tokens that narrow the search down by more than reading their lists costs, judged by how frequent they are among the newest
/// messages. (SQLite reads the list of every token of a query to its end, however rare the others are.)
fn worth_looking_up(connection: &Connection, tokens: Vec<(usize, String)>, newest: i64) -> Result<Vec<(usize, String)>, Fault> {
    let mut statement = connection.prepare_cached(SAMPLE)?;
    let mut judged: Vec<(f64, usize, String)> = Vec::with_capacity(tokens.len());
    for (word, token) in tokens {
        let found: i64 = statement.query_row(params![format!("\"{token}\""), newest - SAMPLED + 1, newest], |row| row.get(0))?;
        // None in the sample is not none at all.
        judged.push((found.max(1) as f64 / SAMPLED as f64, word, token));
    }
    judged.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut kept: Vec<(usize, String)> = Vec::new();
    // The part of all messages that is left to be read.
    let mut left = 1.0;
    for (frequency, word, token) in judged {
        if kept.is_empty() || left * (1.0 - frequency) * READING > frequency {
            left *= if kept.iter().any(|(other, _)| *other == word) { frequency.max(SAME_WORD) } else { frequency };
            kept.push((word, token));
        }
    }
    Ok(kept)
}

/// All text of a message.
pub(super) fn text_of(statement: &mut CachedStatement<'_>, key: i64) -> Result<String, Fault> {
    let mut text = String::new();
    let mut parts = statement.query([key])?;
    while let Some(row) = parts.next()? {
        text.push_str(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?);
    }
    Ok(text)
}

fn show(connection: &Connection, key: i64, wanted: &Wanted, sieve: &mut Sieve<'_>) -> Result<SearchHit, Fault> {
    let snippet = snippet(&text_of(&mut connection.prepare_cached(TEXT)?, key)?, wanted);
    let (mut hit, mut parent) = connection.prepare_cached(HIT)?.query_row([key], |row| {
        let hit = SearchHit {
            node: NodeId(uuid(row, 0)?),
            role: role(row, 1)?,
            created: row.get(2)?,
            conversation: ConversationId(uuid(row, 3)?),
            title: row.get(4)?,
            snippet,
            above: Vec::new(),
            archived: false,
        };
        Ok((hit, row.get::<_, Option<i64>>(5)?))
    })?;
    let mut statement = connection.prepare_cached(ABOVE)?;
    while let Some(key) = parent.filter(|_| hit.above.len() < ANCESTRY) {
        let above = |row: &Row<'_>| Ok(((role(row, 0)?, row.get(1)?), row.get(2)?));
        let found: Option<((Role, String), Option<i64>)> = statement.query_row([key], above).optional()?;
        let Some((message, next)) = found else { break };
        hit.above.push(message);
        parent = next;
    }
    hit.above.reverse();
    hit.archived = sieve.puts_away(key)?;
    Ok(hit)
}

/// Where `needle` stands in `text`, in bytes, from the first place on; places may touch but not overlap.
fn places<'a>(text: &'a str, needle: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(needle).map(|(at, _)| at)
}

/// Two when neither neighbour continues the word, one when it begins there, else none.
fn worth(text: &str, at: usize, len: usize) -> usize {
    let before = text[..at].chars().next_back();
    let after = text[at + len..].chars().next();
    if before.is_some_and(char::is_alphanumeric) {
        return 0;
    }
    1 + usize::from(!after.is_some_and(char::is_alphanumeric))
}

/// The text around the best place, on one line, each hit between [`MARKS`].
fn snippet(text: &str, wanted: &Wanted) -> String {
    let folded = fold(text);
    let phrase = wanted.phrase.as_str();
    let whole = wanted.words.iter().find_map(|word| places(&folded, word).find(|at| worth(&folded, *at, word.len()) == 2));
    let at = Some(phrase)
        .filter(|phrase| !phrase.is_empty())
        .and_then(|phrase| folded.find(phrase))
        .or(whole)
        .or_else(|| folded.find(wanted.words.first().map_or("", String::as_str)))
        .unwrap_or(0);
    // A folded text has the characters of the text, one for one.
    let hit = folded[..at].chars().count();
    let start = match hit.saturating_sub(BEFORE) {
        0 => 0,
        // Not within a word, where there is a gap near.
        early => early + folded.chars().skip(early).take(BEFORE).position(|c| c == ' ').map_or(0, |gap| gap + 1),
    };
    let mut rest = text.chars().skip(start);
    let shown: Vec<char> = rest.by_ref().take(SNIPPET).collect();
    let compared: Vec<char> = shown.iter().copied().map(grams::fold_char).collect();
    let mut marked = vec![false; shown.len()];
    let needles: &[String] = if phrase.is_empty() {
        &[]
    } else if folded.contains(phrase) {
        std::slice::from_ref(&wanted.phrase)
    } else {
        &wanted.words
    };
    for needle in needles {
        mark(&compared, needle, &mut marked);
    }
    if hit >= start && !phrase.is_empty() && !marked.contains(&true) {
        // The hit is longer than what is shown.
        marked[(hit - start).min(shown.len())..].fill(true);
    }
    let mut line = String::with_capacity(shown.len() + 16);
    if start > 0 {
        line.push('…');
    }
    let mut piece = String::new();
    let mut at = 0;
    while at < shown.len() {
        let is_hit = marked[at];
        piece.clear();
        while at < shown.len() && marked[at] == is_hit {
            match compared[at] {
                // One space for a gap, however wide.
                ' ' if at > 0 && compared[at - 1] == ' ' => {}
                ' ' => piece.push(' '),
                _ if MARKS.contains(&shown[at]) => {}
                _ => piece.push(shown[at]),
            }
            at += 1;
        }
        if is_hit {
            line.push(MARKS[0]);
        }
        line.push_str(&sanitise::line(&piece));
        if is_hit {
            line.push(MARKS[1]);
        }
    }
    if rest.next().is_some() {
        line.push('…');
    }
    line
}

fn mark(text: &[char], needle: &str, marked: &mut [bool]) {
    let needle: Vec<char> = needle.chars().collect();
    let mut at = 0;
    while let Some(window) = text.get(at..at + needle.len()) {
        if window == needle {
            marked[at..at + needle.len()].fill(true);
            at += needle.len();
        } else {
            at += 1;
        }
    }
}
