//! The one thread that writes.
//!
//! Owns: the writing connection, the order of writes, what is committed together, how hard a commit is synced. Invariant: writes
//! are carried out in the order in which they were handed over; a batch is answered after its COMMIT returned; a batch that
//! fails leaves nothing behind and takes no other batch with it.

use std::path::PathBuf;
use std::thread::JoinHandle;

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};

use super::fault::Fault;
use super::schema::Journal;
use super::{rows, series};
use crate::core::Write;
use crate::error::Result;
use crate::proto::UnixMs;

/// Batches that may wait. A host that streams ten answers hands over 25 a second; who writes faster waits here.
pub(super) const QUEUE: usize = 1024;
/// Batches in one commit: bounds how long the first of them waits for its answer.
const TOGETHER: usize = 128;
/// Pages of the full-text index that are rewritten at a time when there is nothing else to do: about a millisecond, for which a batch that
/// arrives meanwhile waits.
const MERGED: i64 = 64;
/// How long a carried-out command is remembered, in milliseconds: a client that was away for longer starts anew.
const REMEMBER: UnixMs = 30 * DAY;
const DAY: UnixMs = 24 * 60 * 60 * 1000;

/// One batch: carried out wholly or not at all.
pub(super) struct Job {
    pub writes: Vec<Write>,
    /// The answer may be given only when a power loss cannot undo it.
    pub sync: bool,
    pub done: oneshot::Sender<Result<()>>,
}

/// Starts the thread. It ends when all senders are gone and the queue is empty, and leaves the database checkpointed.
pub(super) fn start(connection: Connection, journal: Journal, path: PathBuf) -> Result<(mpsc::Sender<Job>, JoinHandle<()>), Fault> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let writer = Writer::new(connection, journal, path);
    let thread = std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || writer.run(receiver))?;
    Ok((sender, thread))
}

pub(super) struct Writer {
    connection: Connection,
    path: PathBuf,
    journal: Journal,
    /// What `synchronous` is now, when it is known.
    full: Option<bool>,
    /// When old commands were forgotten last.
    pruned: UnixMs,
    /// When old figures were forgotten last.
    thinned: UnixMs,
    /// The full-text index may be in more pieces than it needs to be.
    scattered: bool,
}

impl Writer {
    pub(super) fn new(connection: Connection, journal: Journal, path: PathBuf) -> Self {
        Self { connection, path, journal, full: None, pruned: UnixMs::MIN, thinned: UnixMs::MIN, scattered: false }
    }

    /// What SQLite says of `synchronous`: 1 is NORMAL, 2 is FULL.
    #[cfg(test)]
    pub(super) fn synchronous(&self) -> i64 {
        self.connection.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap_or(-1)
    }

    fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let mut jobs = Vec::with_capacity(TOGETHER);
        loop {
            let next = if self.scattered { queue.try_recv() } else { queue.blocking_recv().ok_or(TryRecvError::Disconnected) };
            match next {
                Ok(first) => jobs.push(first),
                Err(TryRecvError::Empty) => {
                    self.merge_some();
                    continue;
                }
                Err(TryRecvError::Disconnected) => break,
            }
            while jobs.len() < TOGETHER
                && let Ok(next) = queue.try_recv()
            {
                jobs.push(next);
            }
            self.commit(&mut jobs);
        }
        if self.journal == Journal::Wal
            && let Err(error) = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        {
            // Nothing is lost: the log is read at the next start.
            tracing::warn!(%error, "the write-ahead log stays");
        }
        if let Err((_, error)) = self.connection.close() {
            tracing::warn!(%error, "the database was not closed cleanly");
        }
    }

    /// Commits all jobs together; when that fails, each alone, so that one bad batch spoils no other.
    fn commit(&mut self, jobs: &mut Vec<Job>) {
        let sync = jobs.iter().any(|job| job.sync);
        match self.transact(sync, jobs.iter().flat_map(|job| &job.writes)) {
            Ok(()) => {
                for job in jobs.drain(..) {
                    // Whoever asked may have gone; what was asked for is done.
                    let _ = job.done.send(Ok(()));
                }
            }
            Err(fault) => {
                let alone = jobs.len() == 1;
                let mut first = Some(fault);
                for job in jobs.drain(..) {
                    let result = match first.take_if(|_| alone) {
                        Some(fault) => Err(fault),
                        None => self.transact(job.sync, job.writes.iter()),
                    };
                    let result = result.map_err(|fault| fault.tell(&self.path));
                    if let Err(error) = &result {
                        tracing::warn!(kind = ?error.kind, cause = error.cause, "a write failed");
                    }
                    let _ = job.done.send(result);
                }
            }
        }
    }

    /// Every commit adds a piece to the full-text index, and a search looks into each piece. SQLite merges them too late for messages that
    /// come one by one, so it is done here, in small steps, until nothing is left to merge.
    fn merge_some(&mut self) {
        let before = self.connection.total_changes();
        let merged = self.set_synchronous(false).and_then(|()| {
            self.connection.prepare_cached("INSERT INTO gram (gram, rank) VALUES ('merge', ?1)")?.execute([MERGED])?;
            Ok(())
        });
        // What is asked for counts as one change; any more is work that was done.
        self.scattered = merged.is_ok() && self.connection.total_changes() - before > 1;
        if let Err(Fault::Sql(error)) = merged {
            tracing::warn!(%error, "the full-text index was not merged");
        }
    }

    pub(super) fn transact<'a>(&mut self, sync: bool, writes: impl Iterator<Item = &'a Write>) -> Result<(), Fault> {
        self.set_synchronous(sync)?;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut indexed = false;
        for write in writes {
            rows::carry_out(&transaction, write)?;
            indexed |= matches!(write, Write::Node { .. } | Write::Finish { .. } | Write::DeleteConversation(_));
            if let Write::Series { at, .. } = write
                && at.saturating_sub(series::THIN) > self.thinned
            {
                series::thin(&transaction, *at)?;
                self.thinned = *at;
            }
            if let Write::Applied { at, .. } = write
                && at.saturating_sub(DAY) > self.pruned
            {
                rows::prune_applied(&transaction, at.saturating_sub(REMEMBER))?;
                self.pruned = *at;
            }
        }
        transaction.commit()?;
        self.scattered |= indexed && self.journal == Journal::Wal;
        Ok(())
    }

    /// A switch takes effect between transactions only. A rollback journal is damaged by a power loss under NORMAL, so there it stays FULL.
    fn set_synchronous(&mut self, sync: bool) -> Result<(), Fault> {
        let full = sync || self.journal == Journal::Rollback;
        if self.full != Some(full) {
            self.connection.pragma_update(None, "synchronous", if full { "FULL" } else { "NORMAL" })?;
            self.full = Some(full);
        }
        Ok(())
    }
}
