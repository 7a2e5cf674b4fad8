//! A few connections that only read.
//!
//! Invariant: at most [`READERS`] queries read at once, off the async threads; a query sees one state of the database and
//! never one that was not committed.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tokio::sync::Semaphore;

use super::fault::Fault;
use crate::error::{Error, Kind, Result};

/// One for a search that takes its time, one for a list, one for a conversation; each holds up to 2 MiB of pages.
const READERS: usize = 3;

/// The pool. Connections are opened when they are first needed, and kept.
pub(super) struct Readers {
    path: PathBuf,
    patience: Duration,
    vfs: Option<&'static str>,
    places: Semaphore,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Readers {
    pub(super) fn new(path: &Path, patience: Duration, vfs: Option<&'static str>) -> Self {
        Self { path: path.to_owned(), patience, vfs, places: Semaphore::new(READERS), idle: Arc::default() }
    }

    /// Runs a query on a thread of its own. It goes on when the caller stops waiting.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&mut Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T> {
        let closed = || Error::new(Kind::HostGone, "The database is closed: arbour is about to end.");
        let place = self.places.acquire().await.map_err(|_| closed())?;
        let (path, patience, vfs, idle) = (self.path.clone(), self.patience, self.vfs, Arc::clone(&self.idle));
        let work = move || {
            let kept = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut connection = match kept {
                Some(connection) => connection,
                None => open(&path, patience, vfs).map_err(|fault| fault.tell(&path))?,
            };
            let result = query(&mut connection).map_err(|fault| fault.tell(&path));
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            result
        };
        let result = tokio::task::spawn_blocking(work).await;
        drop(place);
        result.map_err(|error| Error::new(Kind::Internal, "A query of the database ended in a fault of arbour's own.").cause(error))?
    }

    /// Waits for the queries that are going, then closes all connections. Later queries are refused.
    pub(super) async fn close(&self) {
        if let Ok(all) = self.places.acquire_many(READERS as u32).await {
            self.places.close();
            drop(all);
        }
        self.drop_idle();
    }

    /// Closes the connections that nobody uses now.
    pub(super) fn drop_idle(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// A connection that cannot write.
pub(super) fn open(path: &Path, patience: Duration, vfs: Option<&str>) -> Result<Connection, Fault> {
    let connection = super::open_file(path, OpenFlags::SQLITE_OPEN_READ_ONLY, vfs)?;
    connection.busy_timeout(patience)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}
