//! Folders of conversations, and their tags.

use rusqlite::{Connection, OptionalExtension, params};

use super::fault::Fault;
use super::words::{unsigned, uuid, uuid_if};
use crate::core::settings::fold;
use crate::proto::{ConversationId, Folder, FolderId};

pub(super) const ALL: &str = "SELECT f.id, p.id, f.name, f.template, f.search,
        (SELECT ifnull(sum(count), 0) FROM shelf_tally AS t WHERE t.shelf = 0 AND t.folder = f.key),
        (SELECT ifnull(sum(count), 0) FROM shelf_tally AS t WHERE t.shelf = 0 AND t.folder = f.key AND t.unread = 1)
     FROM folder AS f LEFT JOIN folder AS p ON p.key = f.parent ORDER BY f.folded";

/// All folders by name, with their counts.
pub(super) fn all(connection: &Connection) -> Result<Vec<Folder>, Fault> {
    let mut statement = connection.prepare_cached(ALL)?;
    let folders = statement.query_map([], |row| {
        Ok(Folder {
            id: FolderId(uuid(row, 0)?),
            parent: uuid_if(row, 1)?.map(FolderId),
            name: row.get(2)?,
            template: row.get(3)?,
            search: row.get(4)?,
            count: unsigned(row, 5)?,
            unread: unsigned(row, 6)?,
        })
    })?;
    Ok(folders.collect::<rusqlite::Result<_>>()?)
}

/// The key of a folder.
pub(super) fn key(connection: &Connection, id: FolderId) -> rusqlite::Result<Option<i64>> {
    connection.prepare_cached("SELECT key FROM folder WHERE id = ?1")?.query_row([id.0.as_bytes()], |row| row.get(0)).optional()
}

pub(super) const WITHIN: &str = "SELECT id FROM conversation WHERE folder = ?1";
pub(super) const BIN: &str = "SELECT id FROM conversation WHERE deleted IS NOT NULL";

/// The conversations that lie in a folder, put away or not; `None`: those in the bin.
pub(super) fn lying_in(connection: &Connection, folder: Option<FolderId>) -> Result<Vec<ConversationId>, Fault> {
    let read = |row: &rusqlite::Row<'_>| uuid(row, 0).map(ConversationId);
    let Some(folder) = folder else {
        let mut statement = connection.prepare_cached(BIN)?;
        return Ok(statement.query_map([], read)?.collect::<rusqlite::Result<_>>()?);
    };
    let Some(key) = key(connection, folder)? else { return Ok(Vec::new()) };
    let mut statement = connection.prepare_cached(WITHIN)?;
    Ok(statement.query_map([key], read)?.collect::<rusqlite::Result<_>>()?)
}

/// Replaces the tags of a conversation; nothing is written when they are what they were.
pub(super) fn put_tags(connection: &Connection, conversation: i64, new: &[String]) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached("SELECT name FROM tag WHERE conversation = ?1 ORDER BY name")?;
    let old: Vec<String> = statement.query_map([conversation], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    if old == new {
        return Ok(());
    }
    connection.prepare_cached("DELETE FROM tag WHERE conversation = ?1")?.execute([conversation])?;
    let mut statement = connection.prepare_cached("INSERT INTO tag (conversation, name) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?;
    for name in new {
        statement.execute(params![conversation, name])?;
    }
    Ok(())
}

/// Adds or replaces a folder. Its parent is written before it.
pub(super) fn put(connection: &Connection, folder: &Folder) -> Result<(), Fault> {
    let parent = folder.parent.map(|parent| key(connection, parent)).transpose()?.flatten().unwrap_or(0);
    connection
        .prepare_cached(
            "INSERT INTO folder (id, parent, name, folded, template, search) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (id) DO UPDATE SET
                parent = excluded.parent, name = excluded.name, folded = excluded.folded, template = excluded.template,
                search = excluded.search",
        )?
        .execute(params![folder.id.0.as_bytes(), parent, folder.name, fold(&folder.name), folder.template, folder.search])?;
    Ok(())
}

/// Removes a folder. What still lies in it, which nobody looked at, goes to the top.
pub(super) fn forget(connection: &Connection, id: FolderId) -> Result<(), Fault> {
    let Some(key) = key(connection, id)? else { return Ok(()) };
    connection.prepare_cached("UPDATE conversation SET folder = NULL WHERE folder = ?1")?.execute([key])?;
    connection.prepare_cached("DELETE FROM folder WHERE key = ?1")?.execute([key])?;
    Ok(())
}
