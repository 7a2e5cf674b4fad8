//! Carries out each [`Write`] on the writer's connection.
//!
//! Owns: every INSERT, UPDATE and DELETE of arbour's own tables. Invariant: a write that was carried out already changes nothing
//! (a message is inserted once); what streams on after its conversation was deleted is dropped without an error.

use std::fmt::Write as _;
use std::sync::LazyLock;

use rusqlite::types::ToSqlOutput;
use rusqlite::{CachedStatement, Connection, OptionalExtension, ToSql, params};
use sha2::{Digest, Sha256};

use super::fault::{Fault, said};
use super::words::{FIGURE_COLUMNS, FIGURES, figure_values, finish_word, part_columns};
use super::{cards, conversations, downloads, folders, grams, loaded, ops, search, series, settings};
use crate::core::Write;
use crate::error::{Error, Kind};
use crate::proto::{
    Content, Conversation, ConversationId, ConversationRow, ModelRef, Node, NodeId, Parameters, Part, Run, Subject, content_text,
};

pub(super) const PARTS: &str = "SELECT kind, call, name, mime, blob, text, facts FROM part WHERE node = ?1 ORDER BY at";
pub(super) const PRUNE: &str = "DELETE FROM applied WHERE at < ?1";

/// Carries out one change. Runs inside the caller's transaction.
pub(super) fn carry_out(connection: &Connection, write: &Write) -> Result<(), Fault> {
    match write {
        Write::Conversation(conversation) => put_conversation(connection, conversation),
        Write::DeleteConversation(id) => delete_conversation(connection, *id),
        Write::Node { conversation, node, content } => insert_node(connection, *conversation, node, content),
        Write::Checkpoint { node, content } => checkpoint(connection, *node, content),
        Write::Finish { node, content, .. } => finish(connection, node, content.as_ref()),
        Write::Branch { conversation, name, leaf } => put_branch(connection, *conversation, name, *leaf),
        Write::Nodes { nodes } => nodes.iter().try_for_each(|node| finish(connection, node, None)),
        Write::Row(row) => put_row(connection, row),
        Write::Folder(folder) => folders::put(connection, folder),
        Write::ForgetFolder(id) => folders::forget(connection, *id),
        Write::Op(op) => ops::put(connection, op),
        Write::OpState { command, client, state } => ops::set_state(connection, *command, *client, *state),
        Write::Setting { key, value } => {
            connection
                .prepare_cached("INSERT INTO setting (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value")?
                .execute(params![key, value.to_string()])?;
            Ok(())
        }
        Write::Loaded { model, parameters, taken } => loaded::put(connection, model, parameters, taken),
        Write::Card { model, card } => cards::put(connection, model, card),
        Write::Download(download) => downloads::put(connection, download),
        Write::ForgetDownload { key } => downloads::forget(connection, key),
        Write::Used { node, parameters, system, subjects } => settings::used(connection, *node, parameters, system.as_deref(), subjects),
        Write::Version { subject, at, about, state, first } => settings::put_version(connection, subject, *at, about, state, *first),
        Write::Preset { name, preset } => settings::put_preset(connection, name, preset.as_ref()),
        Write::PresetRenamed { from, to } => settings::rename_preset(connection, from, to),
        Write::Group { name, group } => settings::put_group(connection, name, group.as_ref()),
        Write::Series { model, at, points } => series::put(connection, model, *at, points),
        Write::Applied { command, at } => {
            connection
                .prepare_cached("INSERT INTO applied (command, at) VALUES (?1, ?2) ON CONFLICT (command) DO NOTHING")?
                .execute(params![command.0.as_bytes(), at])?;
            Ok(())
        }
    }
}

/// Forgets commands that were carried out before `before` (milliseconds): nobody sends them again.
pub(super) fn prune_applied(connection: &Connection, before: i64) -> Result<(), Fault> {
    connection.prepare_cached(PRUNE)?.execute([before])?;
    Ok(())
}

fn put_conversation(connection: &Connection, conversation: &Conversation) -> Result<(), Fault> {
    let row = &conversation.row;
    let model = row.model.as_ref().map(|model| model_key(connection, model)).transpose()?;
    let parameters = parameters_key(connection, &conversation.parameters)?;
    let mut statement = connection.prepare_cached(
        "INSERT INTO conversation
            (id, title, folded, created, updated, messages, branches, unread, running, model, head, parameters, system, preset,
             titled, tokens, queued, pinned, archived, folder, deleted, visited, shelf)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23)
         ON CONFLICT (id) DO UPDATE SET
            title = excluded.title, folded = excluded.folded, created = excluded.created, updated = excluded.updated,
            messages = excluded.messages, branches = excluded.branches, unread = excluded.unread, running = excluded.running,
            model = excluded.model, head = excluded.head, parameters = excluded.parameters, system = excluded.system,
            preset = excluded.preset, titled = excluded.titled, tokens = excluded.tokens, queued = excluded.queued,
            pinned = excluded.pinned, archived = excluded.archived, folder = excluded.folder, deleted = excluded.deleted,
            visited = excluded.visited, shelf = excluded.shelf
         RETURNING key",
    )?;
    let key: i64 = statement.query_row(
        params![
            row.id.0.as_bytes(),
            row.title,
            search::fold(&row.title),
            row.created,
            row.updated,
            row.messages,
            row.branches,
            row.unread,
            row.running,
            model,
            conversation.head.as_ref().map(|head| head.0.as_bytes()),
            parameters,
            conversation.system,
            row.preset,
            row.titled.word(),
            size(row.tokens),
            row.queued,
            row.pinned,
            row.archived,
            row.folder.map(|folder| folders::key(connection, folder)).transpose()?.flatten(),
            row.deleted,
            serde_json::to_string(&conversation.visited).unwrap_or_else(|_| "{}".to_owned()),
            shelf(row),
        ],
        |row| row.get(0),
    )?;
    folders::put_tags(connection, key, &row.tags)?;
    conversations::put_marks(connection, key, &conversation.marks)?;
    conversations::put_queue(connection, key, &conversation.queue)?;
    if conversation.draft.is_empty() && conversation.attached.is_empty() {
        connection.prepare_cached("DELETE FROM draft WHERE conversation = ?1")?.execute([key])?;
    } else {
        let attached = (!conversation.attached.is_empty()).then(|| serde_json::to_string(&conversation.attached).unwrap_or_default());
        connection
            .prepare_cached(
                "INSERT INTO draft (conversation, text, attached) VALUES (?1, ?2, ?3)
                 ON CONFLICT (conversation) DO UPDATE SET text = excluded.text, attached = excluded.attached
                 WHERE text <> excluded.text OR attached IS NOT excluded.attached",
            )?
            .execute(params![key, conversation.draft, attached])?;
    }
    Ok(())
}

/// The number of the shelf that it lies on.
fn shelf(row: &ConversationRow) -> i64 {
    if row.deleted.is_some() { 2 } else { i64::from(row.archived) }
}

/// A conversation's place in lists.
fn put_row(connection: &Connection, row: &ConversationRow) -> Result<(), Fault> {
    let Some(key) = conversation_key(connection, row.id)? else { return Ok(()) };
    let folder = row.folder.map(|folder| folders::key(connection, folder)).transpose()?.flatten();
    connection
        .prepare_cached(
            "UPDATE conversation SET title = ?2, folded = ?3, titled = ?4, unread = ?5, pinned = ?6, archived = ?7, folder = ?8, deleted = ?9,
                shelf = ?10
             WHERE key = ?1",
        )?
        .execute(params![
            key,
            row.title,
            search::fold(&row.title),
            row.titled.word(),
            row.unread,
            row.pinned,
            row.archived,
            folder,
            row.deleted,
            shelf(row)
        ])?;
    folders::put_tags(connection, key, &row.tags)
}

fn delete_conversation(connection: &Connection, id: ConversationId) -> Result<(), Fault> {
    let Some(key) = conversation_key(connection, id)? else { return Ok(()) };
    // The index cannot be named in a foreign key.
    connection
        .prepare_cached("DELETE FROM gram WHERE rowid IN (SELECT key FROM node WHERE conversation = ?1 AND indexed = 1)")?
        .execute([key])?;
    connection.prepare_cached("DELETE FROM conversation WHERE key = ?1")?.execute([key])?;
    // Only its own runs used its versions, and they are gone with it.
    settings::forget(connection, &Subject::Conversation(id))
}

fn insert_node(connection: &Connection, conversation: ConversationId, node: &Node, content: &Content) -> Result<(), Fault> {
    let Some(conversation) = conversation_key(connection, conversation)? else {
        return Err(said(Error::new(Kind::NotFound, "The conversation of this message is no longer in the database.")));
    };
    let parent = node.parent.map(|parent| node_key(connection, parent)).transpose()?.flatten();
    let model = node.model.as_ref().map(|model| model_key(connection, model)).transpose()?;
    let added = connection
        .prepare_cached(
            "INSERT INTO node
                (id, conversation, parent, merged, role, state, created, model, continues, copy_of, bytes, tokens, hidden, snippet,
                 archived, rating, reactions, bookmark)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)
             ON CONFLICT (id) DO NOTHING",
        )?
        .execute(params![
            node.id.0.as_bytes(),
            conversation,
            parent,
            count(node.further_parents.len()),
            node.role.word(),
            node.state.word(),
            node.created,
            model,
            node.continues.as_ref().map(|id| id.0.as_bytes()),
            node.copy_of.as_ref().map(|id| id.0.as_bytes()),
            size(node.bytes),
            node.tokens,
            node.hidden,
            node.snippet,
            node.archived,
            node.rating,
            reactions(node),
            node.bookmark,
        ])?;
    if added == 0 {
        return Ok(());
    }
    let key = connection.last_insert_rowid();
    for (at, parent) in node.further_parents.iter().enumerate() {
        connection.prepare_cached("INSERT INTO node_parent (node, at, parent) VALUES (?1, ?2, ?3)")?.execute(params![
            key,
            count(at),
            parent.0.as_bytes()
        ])?;
    }
    put_parts(connection, key, content)?;
    if let Some(run) = &node.run {
        put_run(connection, key, run)?;
    }
    // An answer that only begins is indexed when it ends.
    if node.state.is_running() { Ok(()) } else { index(connection, key, content) }
}

fn checkpoint(connection: &Connection, node: NodeId, content: &Content) -> Result<(), Fault> {
    let Some(key) = node_key(connection, node)? else { return Ok(()) };
    put_parts(connection, key, content)?;
    connection
        .prepare_cached("UPDATE node SET bytes = ?2, indexed = 0 WHERE key = ?1")?
        .execute(params![key, size(text_bytes(content))])?;
    Ok(())
}

fn finish(connection: &Connection, node: &Node, content: Option<&Content>) -> Result<(), Fault> {
    let Some(key) = node_key(connection, node.id)? else { return Ok(()) };
    let model = node.model.as_ref().map(|model| model_key(connection, model)).transpose()?;
    let indexed: bool = connection
        .prepare_cached(
            "UPDATE node SET state = ?2, model = ?3, bytes = ?4, tokens = ?5, hidden = ?6, snippet = ?7, archived = ?8, rating = ?9,
                reactions = ?10, bookmark = ?11 WHERE key = ?1 RETURNING indexed",
        )?
        .query_row(
            params![
                key,
                node.state.word(),
                model,
                size(node.bytes),
                node.tokens,
                node.hidden,
                node.snippet,
                node.archived,
                node.rating,
                reactions(node),
                node.bookmark
            ],
            |row| row.get(0),
        )?;
    if let Some(run) = &node.run {
        put_run(connection, key, run)?;
    }
    match content {
        Some(content) => {
            put_parts(connection, key, content)?;
            index(connection, key, content)
        }
        None if !indexed => index(connection, key, &parts_of(connection, key)?),
        None => Ok(()),
    }
}

/// As JSON; nothing when there are none.
fn reactions(node: &Node) -> Option<String> {
    (!node.reactions.is_empty()).then(|| serde_json::to_string(&node.reactions).ok()).flatten()
}

fn put_branch(connection: &Connection, conversation: ConversationId, name: &str, leaf: Option<NodeId>) -> Result<(), Fault> {
    // Of a conversation that is gone there is nothing to name.
    let Some(key) = conversation_key(connection, conversation)? else { return Ok(()) };
    match leaf {
        Some(leaf) => connection
            .prepare_cached(
                "INSERT INTO branch (conversation, name, leaf) VALUES (?1, ?2, ?3)
                 ON CONFLICT (conversation, name) DO UPDATE SET leaf = excluded.leaf",
            )?
            .execute(params![key, name, leaf.0.as_bytes()])?,
        None => connection.prepare_cached("DELETE FROM branch WHERE conversation = ?1 AND name = ?2")?.execute(params![key, name])?,
    };
    Ok(())
}

/// Replaces the parts of a message; parts that did not change are not written again.
pub(super) fn put_parts(connection: &Connection, key: i64, content: &Content) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO part (node, at, kind, call, name, mime, blob, text, facts) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (node, at) DO UPDATE SET
            kind = excluded.kind, call = excluded.call, name = excluded.name, mime = excluded.mime, blob = excluded.blob, text = excluded.text,
            facts = excluded.facts
         WHERE (kind, call, name, mime, blob, text, facts)
            IS NOT (excluded.kind, excluded.call, excluded.name, excluded.mime, excluded.blob, excluded.text, excluded.facts)",
    )?;
    for (at, part) in content.iter().enumerate() {
        let columns = part_columns(part);
        statement.execute(params![
            key,
            count(at),
            columns.kind,
            columns.call,
            columns.name,
            columns.mime,
            columns.blob,
            columns.text,
            columns.facts
        ])?;
    }
    connection.prepare_cached("DELETE FROM part WHERE node = ?1 AND at >= ?2")?.execute(params![key, count(content.len())])?;
    Ok(())
}

/// The parts of a message by its key.
pub(super) fn parts_of(connection: &Connection, key: i64) -> Result<Content, Fault> {
    let mut statement = connection.prepare_cached(PARTS)?;
    let parts = statement.query_map([key], |row| super::words::part_at(row, 0))?;
    Ok(parts.collect::<rusqlite::Result<Content>>()?)
}

/// Puts what a message says now into the full-text index, in place of what it said.
pub(super) fn index(connection: &Connection, key: i64, content: &Content) -> Result<(), Fault> {
    let tokens = grams::tokens_of(&content_text(content));
    if tokens.is_empty() {
        connection.prepare_cached("DELETE FROM gram WHERE rowid = ?1")?.execute([key])?;
    } else {
        connection.prepare_cached("INSERT OR REPLACE INTO gram (rowid, tokens) VALUES (?1, ?2)")?.execute(params![key, tokens])?;
    }
    connection.prepare_cached("UPDATE node SET indexed = 1 WHERE key = ?1 AND indexed = 0")?.execute([key])?;
    Ok(())
}

/// A run is inserted with its first write and updated with the next; a new id is one more attempt, and so is each that failed.
pub(super) fn put_run(connection: &Connection, key: i64, run: &Run) -> Result<(), Fault> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        let mut sql = format!(
            "INSERT INTO run (node, id, model, started, finished, finish, error, parameters, sources, timeline, failed, left_out, attempts, {FIGURE_COLUMNS})
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, conversation.parameters, ?8, ?9, ?10, ?11, ?12"
        );
        for at in 0..FIGURES {
            let _ = write!(sql, ", ?{}", at + 13);
        }
        sql.push_str(
            " FROM node JOIN conversation ON conversation.key = node.conversation WHERE node.key = ?1
             ON CONFLICT (node) DO UPDATE SET
                attempts = excluded.attempts + iif(id = excluded.id, 0, attempts),
                parameters = iif(id = excluded.id, parameters, excluded.parameters),
                id = excluded.id, model = excluded.model, started = excluded.started, finished = excluded.finished,
                finish = excluded.finish, error = excluded.error, sources = excluded.sources, timeline = excluded.timeline,
                failed = excluded.failed, left_out = excluded.left_out",
        );
        for column in FIGURE_COLUMNS.split(", ") {
            let _ = write!(sql, ", {column} = excluded.{column}");
        }
        sql
    });
    let mut statement = connection.prepare_cached(&SQL)?;
    let model = model_key(connection, &run.model)?;
    bind(&mut statement, 1, key)?;
    bind(&mut statement, 2, run.id.0.as_bytes())?;
    bind(&mut statement, 3, model)?;
    bind(&mut statement, 4, run.started)?;
    bind(&mut statement, 5, run.finished)?;
    bind(&mut statement, 6, run.finish.as_ref().map(finish_word))?;
    bind(&mut statement, 7, run.error.as_ref().and_then(|error| serde_json::to_string(error).ok()))?;
    let (sources, values) = figure_values(&run.figures);
    bind(&mut statement, 8, sources)?;
    bind(&mut statement, 9, (!run.timeline.is_empty()).then(|| serde_json::to_string(&run.timeline).ok()).flatten())?;
    bind(&mut statement, 10, (!run.failed.is_empty()).then(|| serde_json::to_string(&run.failed).ok()).flatten())?;
    bind(&mut statement, 11, run.left_out.as_ref().and_then(|left_out| serde_json::to_string(left_out).ok()))?;
    bind(&mut statement, 12, i64::try_from(run.failed.len()).unwrap_or(i64::MAX).saturating_add(1))?;
    for (at, value) in values.into_iter().enumerate() {
        bind(&mut statement, 13 + at, value)?;
    }
    statement.raw_execute()?;
    Ok(())
}

fn bind(statement: &mut CachedStatement<'_>, at: usize, value: impl ToSql) -> rusqlite::Result<()> {
    statement.raw_bind_parameter(at, value)
}

/// The key of a conversation.
pub(super) fn conversation_key(connection: &Connection, id: ConversationId) -> rusqlite::Result<Option<i64>> {
    connection.prepare_cached("SELECT key FROM conversation WHERE id = ?1")?.query_row([id.0.as_bytes()], |row| row.get(0)).optional()
}

/// The key of a message.
pub(super) fn node_key(connection: &Connection, id: NodeId) -> rusqlite::Result<Option<i64>> {
    connection.prepare_cached("SELECT key FROM node WHERE id = ?1")?.query_row([id.0.as_bytes()], |row| row.get(0)).optional()
}

/// The key of a model; it gets one when it has none.
pub(super) fn model_key(connection: &Connection, model: &ModelRef) -> rusqlite::Result<i64> {
    let known = connection
        .prepare_cached("SELECT key FROM model WHERE backend = ?1 AND name = ?2")?
        .query_row([&model.backend, &model.model], |row| row.get(0))
        .optional()?;
    match known {
        Some(key) => Ok(key),
        None => connection.prepare_cached("INSERT INTO model (backend, name) VALUES (?1, ?2)")?.insert([&model.backend, &model.model]),
    }
}

/// Parameters as they are kept, and what they are found by.
pub(super) fn parameters_text(parameters: &Parameters) -> (String, [u8; 32]) {
    let text = serde_json::Value::from_iter(parameters.0.clone()).to_string();
    let hash = Sha256::digest(text.as_bytes()).into();
    (text, hash)
}

pub(super) fn parameters_key(connection: &Connection, parameters: &Parameters) -> Result<i64, Fault> {
    let (text, hash) = parameters_text(parameters);
    let known =
        connection.prepare_cached("SELECT key FROM parameter_version WHERE hash = ?1")?.query_row([hash], |row| row.get(0)).optional()?;
    Ok(match known {
        Some(key) => key,
        None => {
            connection.prepare_cached("INSERT INTO parameter_version (hash, parameters) VALUES (?1, ?2)")?.insert(params![hash, text])?
        }
    })
}

/// Length of all text and thinking in bytes, as [`Node::bytes`] counts it.
fn text_bytes(content: &[Part]) -> u64 {
    let lengths = content.iter().map(|part| match part {
        Part::Text { text } | Part::Thinking { text } => text.len() as u64,
        Part::ToolCall { .. } | Part::ToolResult { .. } | Part::Image { .. } | Part::File { .. } => 0,
    });
    lengths.sum()
}

/// SQLite knows signed numbers only.
pub(super) fn size(value: u64) -> ToSqlOutput<'static> {
    i64::try_from(value).unwrap_or(i64::MAX).into()
}

fn count(value: usize) -> ToSqlOutput<'static> {
    i64::try_from(value).unwrap_or(i64::MAX).into()
}
