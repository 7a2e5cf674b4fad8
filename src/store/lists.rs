//! Lists of conversations: shelves, orders, filters.
//!
//! Owns: which index answers which list, what a filter's words are in SQL. Invariant: a page without a filter is found in one index, in
//! its order where a person pages through long lists (by change, creation, title; the few pinned ones are sorted); with a filter, one
//! index is read from end to end and the table only for the rows that are shown. Totals without a filter are kept by triggers.

use std::fmt::Write as _;

use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use super::fault::Fault;
use super::queries::{ROW, conversation_row};
use super::words::unsigned;
use super::{folders, grams};
use crate::core::filter::conversations::{self as language, Calendar, Count, Filter, Is, Name, Subject, Term, Test};
use crate::core::filter::{Range, Wanted};
use crate::proto::{ConversationRow, FolderId, Order, OrderBy, Shelf, UnixMs, Window};

/// Reads a filter as of now and here.
pub(super) fn filter(text: &str, subject: Subject) -> Filter {
    let zone = jiff::tz::TimeZone::system();
    let offset = |at: UnixMs| jiff::Timestamp::from_millisecond(at).map_or(0, |at| zone.to_offset(at).seconds());
    Filter::parse(text, subject, &Calendar { now: jiff::Timestamp::now().as_millisecond(), offset: &offset })
}

/// A part of a list.
pub(super) fn conversations(
    connection: &mut Connection,
    shelf: Shelf,
    order: Order,
    offset: u32,
    limit: u32,
    filter: Option<&Filter>,
) -> Result<Window<ConversationRow>, Fault> {
    // One state for all that follows.
    let transaction = connection.transaction()?;
    let Some(place) = Place::of(&transaction, shelf)? else {
        return Ok(Window { offset, total: 0, items: Vec::new() });
    };
    let mut keys: Vec<i64> = Vec::new();
    let mut total: u32 = 0;
    match filter.filter(|filter| !filter.is_empty()) {
        None => {
            total = transaction.prepare_cached(&place.total())?.query_row([], |row| unsigned(row, 0))?;
            let mut statement = transaction.prepare_cached(&place.page(order))?;
            let found = statement.query_map([limit, offset], |row| row.get(0))?;
            keys.extend(found.collect::<rusqlite::Result<Vec<i64>>>()?);
        }
        Some(filter) => {
            let mut clause = Clause::new(&transaction)?;
            let fits = clause.all(filter.terms())?;
            let sql = place.widened(filter).filtered(order, &fits);
            let mut statement = transaction.prepare(&sql)?;
            let mut found = statement.query(params_from_iter(clause.values))?;
            let end = offset.saturating_add(limit);
            // All that fit, since the total is wanted too.
            while let Some(row) = found.next()? {
                if (offset..end).contains(&total) {
                    keys.push(row.get(0)?);
                }
                total = total.saturating_add(1);
            }
        }
    }
    let mut statement = transaction.prepare_cached(ROW)?;
    let items = keys.iter().map(|key| statement.query_row([key], conversation_row)).collect::<rusqlite::Result<_>>()?;
    Ok(Window { offset, total, items })
}

/// What lies on a shelf.
#[derive(Clone)]
pub(super) struct Place {
    /// Numbers of the column `shelf`.
    shelves: &'static [i64],
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Whole,
    Pinned,
    Loose,
    Folder(i64),
}

impl Place {
    /// `None`: a folder that is not there.
    pub(super) fn of(connection: &Connection, shelf: Shelf) -> Result<Option<Self>, Fault> {
        let (shelves, kind): (&[i64], Kind) = match shelf {
            Shelf::All => (&[0], Kind::Whole),
            Shelf::Pinned => (&[0], Kind::Pinned),
            Shelf::Loose => (&[0], Kind::Loose),
            Shelf::Folder(id) => match folders::key(connection, id)? {
                Some(key) => (&[0], Kind::Folder(key)),
                None => return Ok(None),
            },
            Shelf::Archive => (&[1], Kind::Whole),
            Shelf::Bin => (&[2], Kind::Whole),
            Shelf::Everything => (&[0, 1], Kind::Whole),
        };
        Ok(Some(Self { shelves, kind }))
    }

    /// With what a filter asks for by name.
    fn widened(&self, filter: &Filter) -> Self {
        let shelves: &[i64] = match (self.shelves, filter.asks(Is::Archived), filter.asks(Is::Deleted)) {
            ([0] | [0, 1], true, true) | ([0, 1], false, true) => &[0, 1, 2],
            ([0], true, false) => &[0, 1],
            ([0], false, true) => &[0, 2],
            (own, ..) => own,
        };
        Self { shelves, kind: self.kind }
    }

    fn narrowed(&self) -> String {
        match self.kind {
            Kind::Whole => String::new(),
            Kind::Pinned => " AND c.pinned = 1".to_owned(),
            Kind::Loose => " AND c.folder IS NULL AND c.pinned = 0".to_owned(),
            Kind::Folder(key) => format!(" AND c.folder = {key}"),
        }
    }

    pub(super) fn total(&self) -> String {
        let rest = match self.kind {
            Kind::Whole => String::new(),
            Kind::Pinned => " AND pinned = 1".to_owned(),
            Kind::Loose => " AND folder = 0 AND pinned = 0".to_owned(),
            Kind::Folder(key) => format!(" AND folder = {key}"),
        };
        format!("SELECT ifnull(sum(count), 0) FROM shelf_tally WHERE shelf IN ({}){rest}", list(self.shelves))
    }

    /// The keys of a page: `?1` rows after the first `?2`.
    pub(super) fn page(&self, order: Order) -> String {
        let by = By::of(order);
        let index = match (self.kind, order.by) {
            (Kind::Pinned, OrderBy::Updated | OrderBy::Created | OrderBy::Title) => "conversation_pinned",
            (Kind::Whole, OrderBy::Created) => "conversation_by_creation",
            (Kind::Whole, OrderBy::Title) => "conversation_by_title",
            (Kind::Loose | Kind::Folder(_), OrderBy::Updated) => "conversation_in_folder_by_update",
            (Kind::Loose | Kind::Folder(_), OrderBy::Created) => "conversation_in_folder_by_creation",
            (Kind::Loose | Kind::Folder(_), OrderBy::Title) => "conversation_in_folder_by_title",
            (Kind::Whole, OrderBy::Updated) | (_, OrderBy::Messages | OrderBy::Tokens | OrderBy::Model) => "conversation_by_update",
        };
        // Shelves one by one, each in order, merged.
        let one = |shelf: &i64| {
            format!(
                "SELECT c.key, {}, c.id FROM conversation AS c INDEXED BY {index}{} WHERE c.shelf = {shelf}{}",
                by.column,
                by.join,
                self.narrowed()
            )
        };
        let mut sql = self.shelves.iter().map(one).collect::<Vec<_>>().join(" UNION ALL ");
        let _ = write!(sql, " ORDER BY 2 {0}, 3 {0} LIMIT ?1 OFFSET ?2", by.way);
        sql
    }

    /// The keys of all that fit.
    pub(super) fn filtered(&self, order: Order, fits: &str) -> String {
        let By { column, join, way } = By::of(order);
        format!(
            "SELECT c.key FROM conversation AS c INDEXED BY conversation_by_update{join} WHERE c.shelf IN ({}){} AND {fits}
             ORDER BY {column} {way}, c.id {way}",
            list(self.shelves),
            self.narrowed(),
        )
    }
}

/// What a list is sorted by.
struct By {
    column: &'static str,
    join: &'static str,
    way: &'static str,
}

impl By {
    fn of(order: Order) -> Self {
        let (column, join, rises) = match order.by {
            OrderBy::Updated => ("c.updated", "", false),
            OrderBy::Created => ("c.created", "", false),
            OrderBy::Title => ("c.folded", "", true),
            OrderBy::Messages => ("c.messages", "", false),
            OrderBy::Tokens => ("c.tokens", "", false),
            OrderBy::Model => ("lower(m.name)", " LEFT JOIN model AS m ON m.key = c.model", true),
        };
        Self { column, join, way: if rises == order.reversed { "DESC" } else { "ASC" } }
    }
}

fn list(numbers: &[i64]) -> String {
    numbers.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")
}

/// A filter's words in SQL, on `conversation AS c`, with the values that they are compared with.
pub(super) struct Clause<'c> {
    connection: &'c Connection,
    folders: Vec<crate::proto::Folder>,
    pub values: Vec<Value>,
}

impl<'c> Clause<'c> {
    pub fn new(connection: &'c Connection) -> Result<Self, Fault> {
        Ok(Self { connection, folders: folders::all(connection)?, values: Vec::new() })
    }

    /// What must hold for all of these words.
    pub fn all<'t>(&mut self, terms: impl IntoIterator<Item = &'t Term>) -> Result<String, Fault> {
        let mut sql = "1".to_owned();
        for term in terms {
            let test = self.test(&term.test)?;
            let _ = write!(sql, " AND {}({test})", if term.not { "NOT " } else { "" });
        }
        Ok(sql)
    }

    fn test(&mut self, test: &Test) -> Result<String, Fault> {
        Ok(match test {
            Test::Text { text, .. } => self.holds(text),
            Test::Name { name: Name::Title, any } => either(any.iter().map(|wanted| match wanted {
                Wanted::Any => "c.folded <> ''".to_owned(),
                Wanted::Part(part) => self.holds(part),
                Wanted::Whole(whole) => {
                    let value = self.value(grams::fold(whole));
                    format!("c.folded = {value}")
                }
            })),
            Test::Name { name: name @ (Name::Model | Name::Backend), any } => {
                format!("ifnull(c.model IN ({}), 0)", list(&models(self.connection, *name, any)?))
            }
            Test::Name { name: Name::Folder, any } => format!("ifnull(c.folder IN ({}), 0)", list(&self.folder_keys(any)?)),
            Test::Name { name: Name::Tag, any } => {
                let names = tags(self.connection, any)?;
                let names: Vec<String> = names.into_iter().map(|name| self.value(name)).collect();
                format!("c.key IN (SELECT conversation FROM tag WHERE name IN ({}))", names.join(", "))
            }
            Test::Is(any) => either(any.iter().map(|is| is_sql(*is).to_owned())),
            Test::Count { count, range } => {
                let column = match count {
                    Count::Messages => "c.messages",
                    Count::Tokens => "c.tokens",
                    Count::Branches => "c.branches",
                };
                within(column, *range)
            }
            Test::Before(at) => format!("c.updated < {at}"),
            Test::From(at) => format!("c.updated >= {at}"),
            // Of messages: the language has no such words for conversations.
            Test::Role(_) | Test::Rating(_) | Test::Has(_) => "1".to_owned(),
        })
    }

    fn holds(&mut self, part: &str) -> String {
        let value = self.value(grams::fold(part));
        format!("instr(c.folded, {value}) > 0")
    }

    fn value(&mut self, text: String) -> String {
        self.values.push(Value::Text(text));
        format!("?{}", self.values.len())
    }

    fn folder_keys(&self, any: &[Wanted]) -> Result<Vec<i64>, Fault> {
        let wanted: Vec<FolderId> = language::folders(&self.folders, any);
        let mut keys = Vec::with_capacity(wanted.len());
        for id in wanted {
            keys.extend(folders::key(self.connection, id)?);
        }
        Ok(keys)
    }
}

fn either(tests: impl Iterator<Item = String>) -> String {
    tests.map(|test| format!("({test})")).collect::<Vec<_>>().join(" OR ")
}

pub(super) fn is_sql(is: Is) -> &'static str {
    match is {
        Is::Unread => "c.unread = 1",
        Is::Running => "c.running > 0",
        Is::Queued => "c.queued > 0",
        Is::Pinned => "c.pinned = 1",
        Is::Archived => "c.shelf = 1",
        Is::Bookmarked => "c.key IN (SELECT conversation FROM node WHERE bookmark IS NOT NULL AND hidden = 0)",
        Is::Deleted => "c.shelf = 2",
        Is::Branched => "c.branches > 1",
    }
}

fn within(column: &str, range: Range) -> String {
    let mut sql = "1".to_owned();
    if let Some((least, open)) = range.least {
        let _ = write!(sql, " AND {column} {} {least}", if open { ">" } else { ">=" });
    }
    if let Some((most, open)) = range.most {
        let _ = write!(sql, " AND {column} {} {most}", if open { "<" } else { "<=" });
    }
    sql
}

/// The models whose name, or whose backend's name, is wanted: there are few, and they are compared as the language compares.
pub(super) fn models(connection: &Connection, name: Name, any: &[Wanted]) -> Result<Vec<i64>, Fault> {
    let mut statement = connection.prepare_cached("SELECT key, name, backend FROM model")?;
    let mut found = statement.query([])?;
    let mut keys = Vec::new();
    while let Some(row) = found.next()? {
        let value = row.get_ref(if name == Name::Backend { 2 } else { 1 })?.as_str().map_err(rusqlite::Error::from)?;
        if any.iter().any(|wanted| wanted.fits(value, name.anywhere())) {
            keys.push(row.get(0)?);
        }
    }
    Ok(keys)
}

/// The tags that are wanted.
fn tags(connection: &Connection, any: &[Wanted]) -> Result<Vec<String>, Fault> {
    let mut statement = connection.prepare_cached("SELECT name FROM tag_tally")?;
    let names = statement.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(names.into_iter().filter(|name| any.iter().any(|wanted| wanted.fits(name, Name::Tag.anywhere()))).collect())
}

/// Every tag that a conversation has which is not in the bin, with how many have it.
pub(super) fn all_tags(connection: &Connection) -> Result<Vec<(String, u32)>, Fault> {
    let mut statement = connection.prepare_cached("SELECT name, count FROM tag_tally WHERE count > 0 ORDER BY name")?;
    let tags = statement.query_map([], |row: &Row<'_>| Ok((row.get(0)?, unsigned(row, 1)?)))?;
    Ok(tags.collect::<rusqlite::Result<_>>()?)
}
