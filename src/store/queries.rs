//! What is read, apart from lists and search.
//!
//! Invariant: no query reads more than it returns. Each is held against its plan in a test.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::LazyLock;

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::Value;

use super::Stats;
use super::fault::Fault;
use super::words::{self, FIGURE_COLUMNS, figures_at, json, json_if, role, state, unsigned, uuid, uuid_if};
use super::{conversations, rows};
use crate::proto::{
    CommandId, Content, Conversation, ConversationId, ConversationRow, FolderId, ModelRef, Node, NodeId, Parameters, Progress, Run,
};

macro_rules! row_columns {
    () => {
        "c.id, c.title, c.created, c.updated, c.messages, c.branches, c.unread, c.running, m.backend, m.name, c.preset, \
         c.titled, c.tokens, c.queued, c.pinned, c.archived, f.id, c.deleted, \
         (SELECT json_group_array(name) FROM (SELECT name FROM tag WHERE tag.conversation = c.key ORDER BY name))"
    };
}
/// The first column after those of a row.
const AFTER_ROW: usize = 19;

pub(super) const TOTAL: &str = "SELECT count FROM tally WHERE name = 'conversation'";
pub(super) const ROW: &str = concat!(
    "SELECT ",
    row_columns!(),
    " FROM conversation AS c LEFT JOIN model AS m ON m.key = c.model LEFT JOIN folder AS f ON f.key = c.folder WHERE c.key = ?1"
);
pub(super) const CONVERSATION: &str = concat!(
    "SELECT ",
    row_columns!(),
    ", c.key, c.head, c.system, p.parameters, d.text, c.visited, d.attached
      FROM conversation AS c
      JOIN parameter_version AS p ON p.key = c.parameters
      LEFT JOIN model AS m ON m.key = c.model
      LEFT JOIN folder AS f ON f.key = c.folder
      LEFT JOIN draft AS d ON d.conversation = c.key
      WHERE c.id = ?1"
);
pub(super) const BRANCHES: &str = "SELECT name, leaf FROM branch WHERE conversation = ?1";
pub(super) const FURTHER: &str = "SELECT parent FROM node_parent WHERE node = ?1 ORDER BY at";
/// Messages in order of addition.
pub(super) const NODES: &str =
    "SELECT key, id, parent, merged, role, state, created, model, continues, copy_of, bytes, tokens, hidden, snippet,
            archived, rating, reactions, bookmark
     FROM node WHERE conversation = ?1 ORDER BY key";
/// Their runs, in the same order. A join would read some dozen empty columns for each message that has no run.
pub(super) static RUNS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT r.node, r.id, r.model, r.started, r.finished, r.finish, r.error, r.timeline, r.failed, r.left_out, r.sources, {FIGURE_COLUMNS}
         FROM node AS n JOIN run AS r ON r.node = n.key WHERE n.conversation = ?1 ORDER BY n.key"
    )
});

/// These conversations, in the order asked for; those that are not there are left out.
pub(super) fn rows(connection: &mut Connection, ids: &[ConversationId]) -> Result<Vec<ConversationRow>, Fault> {
    let transaction = connection.transaction()?;
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        if let Some(key) = rows::conversation_key(&transaction, *id)? {
            found.push(transaction.prepare_cached(ROW)?.query_row([key], conversation_row)?);
        }
    }
    Ok(found)
}

pub(super) fn conversation_row(row: &Row<'_>) -> rusqlite::Result<ConversationRow> {
    let model = match (row.get(8)?, row.get(9)?) {
        (Some(backend), Some(model)) => Some(ModelRef { backend, model }),
        _ => None,
    };
    Ok(ConversationRow {
        id: ConversationId(uuid(row, 0)?),
        title: row.get(1)?,
        created: row.get(2)?,
        updated: row.get(3)?,
        messages: unsigned(row, 4)?,
        branches: unsigned(row, 5)?,
        unread: row.get(6)?,
        running: unsigned(row, 7)?,
        model,
        preset: row.get(10)?,
        titled: words::titled(row, 11)?,
        tokens: unsigned(row, 12)?,
        queued: unsigned(row, 13)?,
        pinned: row.get(14)?,
        archived: row.get(15)?,
        folder: uuid_if(row, 16)?.map(FolderId),
        deleted: row.get(17)?,
        tags: json(row, 18)?,
    })
}

/// A conversation and the outline of its tree. `None` when there is none of this id.
pub(super) fn open(connection: &mut Connection, id: ConversationId) -> Result<Option<(Conversation, Vec<Node>)>, Fault> {
    // One state for all that follows.
    let transaction = connection.transaction()?;
    let found = transaction
        .prepare_cached(CONVERSATION)?
        .query_row([id.0.as_bytes()], |row| {
            let conversation = Conversation {
                row: conversation_row(row)?,
                head: uuid_if(row, AFTER_ROW + 1)?.map(NodeId),
                system: row.get(AFTER_ROW + 2)?,
                parameters: json::<Parameters>(row, AFTER_ROW + 3)?,
                branches: BTreeMap::new(),
                draft: row.get::<_, Option<String>>(AFTER_ROW + 4)?.unwrap_or_default(),
                attached: json_if(row, AFTER_ROW + 6)?.unwrap_or_default(),
                marks: BTreeMap::new(),
                queue: Vec::new(),
                visited: json(row, AFTER_ROW + 5)?,
            };
            Ok((row.get::<_, i64>(AFTER_ROW)?, conversation))
        })
        .optional()?;
    let Some((key, mut conversation)) = found else { return Ok(None) };
    let branches = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, NodeId(uuid(row, 1)?)));
    conversation.branches = transaction.prepare_cached(BRANCHES)?.query_map([key], branches)?.collect::<rusqlite::Result<_>>()?;
    conversation.marks = conversations::marks(&transaction, key)?;
    conversation.queue = conversations::queue(&transaction, key)?;
    let nodes = nodes(&transaction, key, conversation.row.messages)?;
    Ok(Some((conversation, nodes)))
}

fn nodes(connection: &Connection, conversation: i64, expected: u32) -> Result<Vec<Node>, Fault> {
    let mut models = Models { connection, known: HashMap::new() };
    let mut keys: Vec<i64> = Vec::with_capacity(expected as usize);
    let mut nodes: Vec<Node> = Vec::with_capacity(expected as usize);
    let mut merges: Vec<usize> = Vec::new();
    let mut statement = connection.prepare_cached(NODES)?;
    let mut found = statement.query([conversation])?;
    while let Some(row) = found.next()? {
        if row.get::<_, i64>(3)? > 0 {
            merges.push(nodes.len());
        }
        // Parents come before their children, and keys rise.
        let parent = row.get::<_, Option<i64>>(2)?.and_then(|parent| keys.binary_search(&parent).ok()).map(|at| nodes[at].id);
        keys.push(row.get(0)?);
        nodes.push(Node {
            id: NodeId(uuid(row, 1)?),
            parent,
            further_parents: Vec::new(),
            role: role(row, 4)?,
            state: state(row, 5)?,
            created: row.get(6)?,
            model: row.get::<_, Option<i64>>(7)?.map(|key| models.get(key)).transpose()?,
            continues: uuid_if(row, 8)?.map(NodeId),
            copy_of: uuid_if(row, 9)?.map(NodeId),
            bytes: unsigned(row, 10)?,
            tokens: unsigned(row, 11)?,
            hidden: row.get(12)?,
            snippet: row.get(13)?,
            archived: row.get(14)?,
            rating: row.get(15)?,
            reactions: json_if(row, 16)?.unwrap_or_default(),
            bookmark: row.get(17)?,
            run: None,
        });
    }
    let mut statement = connection.prepare_cached(&RUNS)?;
    let mut found = statement.query([conversation])?;
    while let Some(row) = found.next()? {
        if let Ok(at) = keys.binary_search(&row.get(0)?) {
            nodes[at].run = Some(Box::new(run(row, &mut models)?));
        }
    }
    for at in merges {
        let mut statement = connection.prepare_cached(FURTHER)?;
        let parents = statement.query_map([keys[at]], |row| uuid(row, 0).map(NodeId))?;
        nodes[at].further_parents = parents.collect::<rusqlite::Result<_>>()?;
    }
    Ok(nodes)
}

fn run(row: &Row<'_>, models: &mut Models<'_>) -> rusqlite::Result<Run> {
    Ok(Run {
        id: uuid(row, 1)?.into(),
        model: models.get(row.get(2)?)?,
        started: row.get(3)?,
        finished: row.get(4)?,
        finish: words::finish(row, 5)?,
        error: json_if(row, 6)?,
        // Live only: nobody asks how far a run was that is over.
        progress: Progress::default(),
        figures: figures_at(row, 10)?,
        timeline: json_if(row, 7)?.unwrap_or_default(),
        failed: json_if(row, 8)?.unwrap_or_default(),
        left_out: json_if(row, 9)?,
    })
}

/// The models that one conversation used: a few, on many messages.
struct Models<'c> {
    connection: &'c Connection,
    known: HashMap<i64, ModelRef>,
}

impl Models<'_> {
    fn get(&mut self, key: i64) -> rusqlite::Result<ModelRef> {
        if let Some(model) = self.known.get(&key) {
            return Ok(model.clone());
        }
        let model = self
            .connection
            .prepare_cached("SELECT backend, name FROM model WHERE key = ?1")?
            .query_row([key], |row| Ok(ModelRef { backend: row.get(0)?, model: row.get(1)? }))?;
        self.known.insert(key, model.clone());
        Ok(model)
    }
}

/// What these messages say, in the order asked for; messages that are not there are left out.
pub(super) fn contents(connection: &mut Connection, ids: &[NodeId]) -> Result<Vec<(NodeId, Content)>, Fault> {
    let transaction = connection.transaction()?;
    let mut contents = Vec::with_capacity(ids.len());
    for id in ids {
        if let Some(key) = rows::node_key(&transaction, *id)? {
            contents.push((*id, rows::parts_of(&transaction, key)?));
        }
    }
    Ok(contents)
}

/// What the screen remembers.
pub(super) fn settings(connection: &Connection) -> Result<BTreeMap<String, Value>, Fault> {
    let mut statement = connection.prepare_cached("SELECT key, value FROM setting")?;
    let settings = statement.query_map([], |row| Ok((row.get(0)?, json(row, 1)?)))?;
    Ok(settings.collect::<rusqlite::Result<_>>()?)
}

/// Whether a command was carried out.
pub(super) fn was_applied(connection: &Connection, command: CommandId) -> Result<bool, Fault> {
    Ok(connection.prepare_cached("SELECT 1 FROM applied WHERE command = ?1")?.exists(params![command.0.as_bytes()])?)
}

/// What `doctor` tells.
pub(super) fn stats(connection: &mut Connection, path: PathBuf, check: bool) -> Result<Stats, Fault> {
    let one = |sql: &str| connection.query_row(sql, [], |row| unsigned(row, 0));
    let log = |name: &str| {
        let mut file = path.clone().into_os_string();
        file.push(name);
        std::fs::metadata(file).map_or(0, |metadata| metadata.len())
    };
    let mut problems = Vec::new();
    if check {
        let mut statement = connection.prepare("PRAGMA quick_check(10)")?;
        problems = statement.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<_>>()?;
        problems.retain(|problem| problem != "ok");
    }
    Ok(Stats {
        bytes: log("") + log("-wal"),
        schema: connection.pragma_query_value(None, "user_version", |row| row.get(0))?,
        journal: connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?,
        sqlite: rusqlite::version().to_owned(),
        conversations: one(TOTAL)?,
        messages: one("SELECT ifnull(sum(messages), 0) FROM conversation")?,
        problems,
        path,
    })
}
