//! Downloads that are not forgotten.
//!
//! Owns: the table `download`. Invariant: written at changes of state only, so a row tells where a download stood, not how far it is.

use rusqlite::{Connection, params};

use super::fault::{Fault, unreadable};
use crate::proto::Download;

pub(super) const ALL: &str = "SELECT download FROM download ORDER BY asked, key";

pub(super) fn put(connection: &Connection, download: &Download) -> Result<(), Fault> {
    // A rate is of now, and nobody reads it later.
    let kept = serde_json::to_string(&Download { bytes_per_s: None, ..download.clone() }).unwrap_or_default();
    connection
        .prepare_cached(
            "INSERT INTO download (key, asked, download) VALUES (?1, ?2, ?3)
             ON CONFLICT (key) DO UPDATE SET asked = excluded.asked, download = excluded.download",
        )?
        .execute(params![download.key, download.asked, kept])?;
    Ok(())
}

pub(super) fn forget(connection: &Connection, key: &str) -> Result<(), Fault> {
    connection.prepare_cached("DELETE FROM download WHERE key = ?1")?.execute([key])?;
    Ok(())
}

/// All of them, in the order in which they were asked for.
pub(super) fn all(connection: &Connection) -> Result<Vec<Download>, Fault> {
    let mut statement = connection.prepare_cached(ALL)?;
    let rows = statement.query_map([], |row| {
        let text = row.get_ref(0)?.as_str()?;
        serde_json::from_str(text).map_err(|_| unreadable(0, "the download", text))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
