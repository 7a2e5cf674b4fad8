//! The database: one SQLite file, one writer, a few readers.
//!
//! Owns: the file, its schema and migrations, all SQL, the full-text index. Refuses: to decide anything; what is written comes as
//! [`Write`]s from `core`, and nothing is ever deleted that was not asked for. Invariant: a write is answered after its COMMIT,
//! and what was answered survives `kill -9` (with `sync` also a power loss); a reader sees committed states only.
//!
//! Opening reads nothing that grows: not the messages, not the conversations. Counts are columns, totals are kept by triggers.

mod blobs;
mod cards;
mod conversations;
mod downloads;
mod fault;
mod folders;
mod grams;
mod lists;
mod loaded;
mod messages;
mod ops;
mod queries;
mod reader;
mod recover;
mod rows;
mod schema;
mod search;
mod series;
mod settings;
mod sieve;
#[cfg(test)]
mod tests;
mod uses;
mod words;
mod writer;

use std::collections::BTreeMap;
use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use crate::core::filter::conversations::Subject;
use crate::core::undo::Op;
use crate::core::{Taken, Write};
use crate::error::{Error, Kind, Result};
use crate::proto::{
    Bookmark, Card, ClientId, CommandId, Content, Conversation, ConversationId, ConversationRow, Download, Folder, FolderId, ModelRef,
    ModelUse, Node, NodeId, Order, Parameters, SearchHit, Shelf, UnixMs, Window,
};
use fault::Fault;
use reader::Readers;

pub use search::MARKS;

/// How long a statement waits for a lock that another program holds. The host's lock keeps other hosts away, so this is a backup or a
/// shell.
const PATIENCE: Duration = Duration::from_secs(5);

/// A handle on the database; clones share it. The last one that is dropped waits for what is queued, and closes the file.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    readers: Readers,
    writer: Mutex<Writing>,
}

/// The way to the writer; gone after closing.
struct Writing {
    queue: Option<mpsc::Sender<writer::Job>>,
    thread: Option<JoinHandle<()>>,
}

/// What opening the database found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Answers that were being produced when the last host ended without a word; they are marked `stopped` now.
    pub stopped: Vec<(ConversationId, NodeId)>,
    /// The version that the file had, when it was an older one.
    pub migrated_from: Option<i64>,
}

/// What `doctor` tells of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    pub path: PathBuf,
    /// Size of the file and its write-ahead log, in bytes.
    pub bytes: u64,
    /// Version of the tables.
    pub schema: i64,
    /// `wal`, or `delete` where the file system cannot do that.
    pub journal: String,
    pub sqlite: String,
    pub conversations: u64,
    /// Messages of all conversations, hidden ones not counted.
    pub messages: u64,
    /// What SQLite's check found wrong; empty when all is well.
    pub problems: Vec<String>,
}

/// How to open; tests choose otherwise.
struct Options {
    patience: Duration,
    /// SQLite's way to the file; the system's own unless named.
    vfs: Option<&'static str>,
    /// The file may not grow beyond so many pages.
    most_pages: Option<u32>,
}

impl Store {
    /// Opens the database at `path`; makes it, and the folder, when there is none. `now` is written as the end of what was
    /// running. Blocks for some milliseconds; longer when it migrates.
    ///
    /// # Errors
    /// [`Kind::DatabaseNewer`], [`Kind::DatabaseCorrupt`], [`Kind::Locked`], [`Kind::ReadOnly`], [`Kind::DiskFull`], or [`Kind::File`]
    /// when it is another program's file or cannot be opened at all. A file that is refused is left as it is.
    pub fn open(path: &Path, now: UnixMs) -> Result<(Self, Recovered)> {
        Self::open_with(path, now, &Options { patience: PATIENCE, vfs: None, most_pages: None })
    }

    fn open_with(path: &Path, now: UnixMs, options: &Options) -> Result<(Self, Recovered)> {
        let tell = |fault: Fault| fault.tell(path);
        let mut connection = connect(path, options).map_err(tell)?;
        let (journal, migrated_from) = schema::prepare(&mut connection).map_err(tell)?;
        let stopped = recover::stop_what_ran(&mut connection, now).map_err(tell)?;
        let (queue, thread) = writer::start(connection, journal, path.to_owned()).map_err(tell)?;
        let inner = Inner {
            path: path.to_owned(),
            readers: Readers::new(path, options.patience, options.vfs),
            writer: Mutex::new(Writing { queue: Some(queue), thread: Some(thread) }),
        };
        Ok((Self { inner: Arc::new(inner) }, Recovered { stopped, migrated_from }))
    }

    /// What `doctor` tells of the database at `path`, without writing to it: it may be in use by a host. Blocks; with `check` SQLite
    /// reads the whole file, which takes about a second for each gigabyte.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when there is none yet; else as [`Store::open`].
    pub fn inspect(path: &Path, check: bool) -> Result<Stats> {
        if !path.exists() {
            return Err(Error::new(Kind::NotFound, format!("There is no database at {} yet.", path.display()))
                .hint("arbour makes it when it is started for the first time."));
        }
        let inspect = || {
            let mut connection = reader::open(path, PATIENCE, None)?;
            schema::check(&connection)?;
            queries::stats(&mut connection, path.to_owned(), check)
        };
        inspect().map_err(|fault: Fault| fault.tell(path))
    }

    /// Carries out all writes in one transaction, or none of them. Returns after COMMIT; with `sync` what was written survives a power loss
    /// too. Goes on when the caller stops waiting. Waits while the queue is full.
    ///
    /// # Errors
    /// [`Kind::DiskFull`], [`Kind::ReadOnly`], [`Kind::Locked`]…; [`Kind::NotFound`] for a message of a conversation that is not there;
    /// [`Kind::HostGone`] after [`Store::close`].
    pub async fn write(&self, writes: Vec<Write>, sync: bool) -> Result<()> {
        let gone = || Error::new(Kind::HostGone, "The database is closed: arbour is about to end, and this was not saved.");
        let queue = self.inner.writing().queue.clone().ok_or_else(gone)?;
        let (done, answer) = oneshot::channel();
        queue.send(writer::Job { writes, sync, done }).await.map_err(|_| gone())?;
        drop(queue);
        answer.await.map_err(|_| gone())?
    }

    /// A part of a list of conversations; `filter` is in their filter language, and what is not understood of it filters nothing. Reads
    /// no messages.
    ///
    /// # Errors
    /// What the database says.
    pub async fn conversations(
        &self,
        shelf: Shelf,
        order: Order,
        offset: u32,
        limit: u32,
        filter: Option<String>,
    ) -> Result<Window<ConversationRow>> {
        let filter = filter.map(|text| lists::filter(&text, Subject::Conversations));
        self.inner.readers.read(move |connection| lists::conversations(connection, shelf, order, offset, limit, filter.as_ref())).await
    }

    /// Every tag that a conversation has which is not in the bin, with how many have it.
    ///
    /// # Errors
    /// What the database says.
    pub async fn tags(&self) -> Result<Vec<(String, u32)>> {
        self.inner.readers.read(|connection| lists::all_tags(connection)).await
    }

    /// These conversations, in the order asked for; those that are not there are left out.
    ///
    /// # Errors
    /// What the database says.
    pub async fn rows(&self, ids: Vec<ConversationId>) -> Result<Vec<ConversationRow>> {
        self.inner.readers.read(move |connection| queries::rows(connection, &ids)).await
    }

    /// The conversations that lie in a folder, put away or not; `None`: those in the bin.
    ///
    /// # Errors
    /// What the database says.
    pub async fn lying_in(&self, folder: Option<FolderId>) -> Result<Vec<ConversationId>> {
        self.inner.readers.read(move |connection| folders::lying_in(connection, folder)).await
    }

    /// All folders, with their counts.
    ///
    /// # Errors
    /// What the database says.
    pub async fn folders(&self) -> Result<Vec<Folder>> {
        self.inner.readers.read(|connection| folders::all(connection)).await
    }

    /// What `client` would undo now (or, with `redo`, do again). When it did nothing that can be undone, the last act of a client that is
    /// not `here`.
    ///
    /// # Errors
    /// What the database says.
    pub async fn next_op(&self, client: ClientId, here: Vec<ClientId>, redo: bool) -> Result<Option<Op>> {
        self.inner.readers.read(move |connection| ops::next(connection, client, &here, redo)).await
    }

    /// A conversation and the outline of its tree, in order of addition. `None` when there is none of this id.
    ///
    /// # Errors
    /// What the database says.
    pub async fn open_conversation(&self, id: ConversationId) -> Result<Option<(Conversation, Vec<Node>)>> {
        self.inner.readers.read(move |connection| queries::open(connection, id)).await
    }

    /// What these messages say, in the order asked for. Messages that are not there are left out.
    ///
    /// # Errors
    /// What the database says.
    pub async fn contents(&self, ids: Vec<NodeId>) -> Result<Vec<(NodeId, Content)>> {
        self.inner.readers.read(move |connection| queries::contents(connection, &ids)).await
    }

    /// Messages that contain every word of `text` and fit its filter words (`core::filter`), in all conversations or in one; best first,
    /// at most `limit`; filter words alone find the newest that fit. What was taken back is never found, what lies in the bin only when it
    /// is asked for. A search whose caller stops waiting ends early.
    ///
    /// # Errors
    /// What the database says.
    pub async fn search(&self, text: &str, conversation: Option<ConversationId>, limit: u32) -> Result<Vec<SearchHit>> {
        let asked = Asked(Arc::default());
        let text: String = text.chars().take(search::LONGEST).collect();
        let (filter, cancelled) = (lists::filter(&text, Subject::Messages), Arc::clone(&asked.0));
        let search = move |connection: &mut Connection| search::search(connection, &filter, conversation, limit as usize, &cancelled);
        self.inner.readers.read(search).await
    }

    /// Bookmarked messages of all conversations, the newest first; `filter` is in the language of messages.
    ///
    /// # Errors
    /// What the database says.
    pub async fn bookmarks(&self, offset: u32, limit: u32, filter: Option<String>) -> Result<Window<Bookmark>> {
        let filter = lists::filter(&filter.unwrap_or_default(), Subject::Messages);
        self.inner.readers.read(move |connection| messages::bookmarks(connection, &filter, offset, limit)).await
    }

    /// What was written to models lately with `text` in it, over all conversations, newest first, each once.
    ///
    /// # Errors
    /// What the database says.
    pub async fn prompts(&self, text: String, limit: u32) -> Result<Vec<String>> {
        self.inner.readers.read(move |connection| messages::prompts(connection, &text, limit as usize)).await
    }

    /// What the screen remembers.
    ///
    /// # Errors
    /// What the database says.
    pub async fn settings(&self) -> Result<BTreeMap<String, Value>> {
        self.inner.readers.read(|connection| queries::settings(connection)).await
    }

    /// What people keep about models.
    ///
    /// # Errors
    /// What the database says.
    pub async fn cards(&self) -> Result<BTreeMap<ModelRef, Card>> {
        self.inner.readers.read(|connection| cards::all(connection)).await
    }

    /// What the runs of every model say that has any, or of `model` alone.
    ///
    /// # Errors
    /// What the database says.
    pub async fn uses(&self, model: Option<ModelRef>) -> Result<Vec<(ModelRef, ModelUse)>> {
        self.inner.readers.read(move |connection| uses::uses(connection, model.as_ref())).await
    }

    /// What a model took when it was last loaded with these load settings.
    ///
    /// # Errors
    /// What the database says.
    pub async fn loaded(&self, model: ModelRef, parameters: Parameters) -> Result<Option<Taken>> {
        self.inner.readers.read(move |connection| loaded::of(connection, &model, &parameters)).await
    }

    /// The downloads that are not forgotten, in the order in which they were asked for.
    ///
    /// # Errors
    /// What the database says.
    pub async fn downloads(&self) -> Result<Vec<Download>> {
        self.inner.readers.read(|connection| downloads::all(connection)).await
    }

    /// Whether a command was carried out within the last 30 days.
    ///
    /// # Errors
    /// What the database says.
    pub async fn was_applied(&self, command: CommandId) -> Result<bool> {
        self.inner.readers.read(move |connection| queries::was_applied(connection, command)).await
    }

    /// Those of these attachments (by hash) that no message, queue, draft, act or setting names.
    ///
    /// # Errors
    /// What the database says.
    pub async fn unnamed(&self, hashes: Vec<String>) -> Result<Vec<String>> {
        self.inner.readers.read(move |connection| blobs::unnamed(connection, hashes)).await
    }

    /// What was kept of a figure of a model's instance from `since` on, in time order; the newest where there are very many.
    ///
    /// # Errors
    /// What the database says.
    pub async fn series(&self, model: ModelRef, name: String, since: UnixMs) -> Result<Vec<(UnixMs, f64)>> {
        self.inner.readers.read(move |connection| series::read(connection, &model, &name, since)).await
    }

    /// What `doctor` tells. With `check` SQLite reads the whole file, which takes about a second for each gigabyte.
    ///
    /// # Errors
    /// What the database says.
    pub async fn stats(&self, check: bool) -> Result<Stats> {
        let path = self.inner.path.clone();
        self.inner.readers.read(move |connection| queries::stats(connection, path, check)).await
    }

    /// Waits until all that was handed over is committed, checkpoints and closes the file. Afterwards every call is refused.
    pub async fn close(&self) {
        let (queue, thread) = self.inner.stop_writing();
        // Whoever closes last removes the log, and a reader may not: so the writer ends after the readers.
        self.inner.readers.close().await;
        drop(queue);
        if let Some(thread) = thread {
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                tracing::error!("the store's writer ended in a fault");
            }
        }
    }
}

impl Inner {
    fn writing(&self) -> std::sync::MutexGuard<'_, Writing> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop_writing(&self) -> (Option<mpsc::Sender<writer::Job>>, Option<JoinHandle<()>>) {
        let mut writing = self.writing();
        (writing.queue.take(), writing.thread.take())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let (queue, thread) = self.stop_writing();
        self.readers.drop_idle();
        drop(queue);
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the store's writer ended in a fault");
        }
    }
}

/// A search that somebody waits for.
struct Asked(Arc<AtomicBool>);

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Opens the file for writing; makes it readable by its owner only.
fn connect(path: &Path, options: &Options) -> Result<Connection, Fault> {
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    // SQLite would make it with the usual permissions; its log and shared memory take over those of the file.
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error.into()),
    }
    let connection = open_file(path, OpenFlags::SQLITE_OPEN_READ_WRITE, options.vfs)?;
    connection.busy_timeout(options.patience)?;
    connection.set_prepared_statement_cache_capacity(48);
    if let Some(pages) = options.most_pages {
        connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
    }
    Ok(connection)
}

fn open_file(path: &Path, flags: OpenFlags, vfs: Option<&str>) -> rusqlite::Result<Connection> {
    // Each connection is used by one thread at a time.
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    match vfs {
        Some(vfs) => Connection::open_with_flags_and_vfs(path, flags, vfs),
        None => Connection::open_with_flags(path, flags),
    }
}
