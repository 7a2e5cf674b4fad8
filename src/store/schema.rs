//! What the database file must be: whose it is, which version, and how an older one becomes the newest.
//!
//! Owns: the list of migrations, the application id, the journal mode. Refuses: a foreign file, a newer version, a damaged one;
//! it never repairs and never deletes. Invariant: after [`prepare`] the schema is [`VERSION`], whatever version the file had, and
//! a migration that fails leaves the file as it was.

use rusqlite::{Connection, TransactionBehavior};

use super::fault::{Fault, said};
use crate::error::{Error, Kind};

/// `arbr`: stands in the file's header, so that `file` and arbour know whose it is.
pub(super) const APPLICATION_ID: i32 = 0x6172_6272;

/// One file for each version, the first is version 1. Never edited once released.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_first.sql"),
    include_str!("migrations/0002_models.sql"),
    include_str!("migrations/0003_conversations.sql"),
];

/// The version that this arbour reads and writes.
pub(super) const VERSION: i64 = MIGRATIONS.len() as i64;

/// How commits become durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Journal {
    Wal,
    /// Where the file system has no shared memory (some network disks).
    Rollback,
}

/// Makes the file ready for reading and writing. Returns the version that it had, when that was an older one.
pub(super) fn prepare(connection: &mut Connection) -> Result<(Journal, Option<i64>), Fault> {
    let found = check(connection)?;
    // A file that is refused has not been touched until here.
    let journal = set_journal(connection)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    let migrated = migrate(connection, found)?;
    Ok((journal, migrated.then_some(found).filter(|version| *version > 0)))
}

/// Whose file it is and which version. Reads the header only.
pub(super) fn check(connection: &Connection) -> Result<i64, Fault> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if application != APPLICATION_ID {
        let empty = version == 0 && application == 0 && !connection.prepare("SELECT 1 FROM sqlite_schema LIMIT 1")?.exists([])?;
        if !empty {
            return Err(said(
                Error::new(
                    Kind::File,
                    "The file that should be arbour's database is a database of another program; arbour leaves it alone.",
                )
                .hint("Move that file away, or give arbour another folder with --home or ARBOUR_HOME."),
            ));
        }
    }
    if version > VERSION {
        return Err(said(
            Error::new(
                Kind::DatabaseNewer,
                format!("The database was written by a newer arbour (version {version} of its tables; this one knows {VERSION})."),
            )
            .hint("Use the newer arbour.")
            .hint("Or give this one another folder with --home or ARBOUR_HOME."),
        ));
    }
    Ok(version)
}

fn set_journal(connection: &Connection) -> Result<Journal, Fault> {
    // The answer is the mode that is now in force, which is not always the one that was asked for.
    let asked = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0));
    if asked.as_deref().is_ok_and(|mode| mode == "wal") {
        // After a burst the log shrinks again; 16 MiB is some thousand messages.
        connection.pragma_update_and_check(None, "journal_size_limit", 16 << 20, |_| Ok(()))?;
        return Ok(Journal::Wal);
    }
    match connection.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get::<_, String>(0)) {
        Ok(_) => Ok(Journal::Rollback),
        // What kept WAL from working says more than what keeps the older way from working.
        Err(second) => Err(asked.err().unwrap_or(second).into()),
    }
}

fn migrate(connection: &mut Connection, found: i64) -> Result<bool, Fault> {
    if found == VERSION {
        return Ok(false);
    }
    let from = usize::try_from(found).unwrap_or(0);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for sql in &MIGRATIONS[from..] {
        transaction.execute_batch(sql)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()?;
    Ok(true)
}
