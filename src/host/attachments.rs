//! Attachments between clients and models: their pieces come and go, and what is sent holds them.
//!
//! Owns: commands and questions about the store of attachments, and filling a request with what it names. Invariants: what a message
//! names is in the store when the message is acknowledged; remembered requests name attachments and never hold them; a missing or damaged
//! one fails the answer with a sentence.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::Semaphore;

use super::Seat;
use super::blobs::{Blobs, Swept};
use super::driver::{Host, Whose};
use super::pictures;
use crate::backend::{File, Message, Request};
use crate::error::{Error, Kind, Result, quoted};
use crate::proto::wire::HostFrame;
use crate::proto::{Ack, Command, Part, Reply};

/// Pictures that are ready stay so, up to so many bytes: asking again is common, and unpacking takes a second.
const READY: usize = 24 << 20;
/// After a start, before the first look for what nothing names: a start has better things to do.
const FIRST: Duration = Duration::from_secs(60);
const EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// The store, and the pictures made ready from it. Cheap to clone.
#[derive(Clone)]
pub(super) struct Attachments {
    blobs: Blobs,
    /// By their hash, the last used at the end.
    ready: Arc<Mutex<VecDeque<(String, Sent)>>>,
    /// One is unpacked at a time: each may take hundreds of megabytes.
    place: Arc<Semaphore>,
}

/// A picture as it is sent.
#[derive(Clone)]
struct Sent {
    mime: &'static str,
    data: Arc<str>,
}

impl Attachments {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { blobs: Blobs::new(folder), ready: Arc::default(), place: Arc::new(Semaphore::new(1)) }
    }

    /// The request with everything that its messages name.
    pub(super) async fn bring(&self, request: &Request) -> Result<Request> {
        let mut request = request.clone();
        for message in &mut request.messages {
            let mut words = String::new();
            let mut pictures = Vec::new();
            for mut file in std::mem::take(&mut message.files) {
                if file.picture {
                    let sent = self.picture(&file).await?;
                    sent.mime.clone_into(&mut file.mime);
                    file.data = Some(sent.data);
                    pictures.push(file);
                } else {
                    words.push_str(&fenced(&file.name, &self.text(&file).await?));
                }
            }
            message.files = pictures;
            before(message, &words);
        }
        Ok(request)
    }

    /// The request as people see it: texts as they are sent, pictures by name; what is not there any more by name too.
    pub(super) async fn shown(&self, mut request: Request) -> Request {
        for message in &mut request.messages {
            let (pictures, texts): (Vec<File>, Vec<File>) = std::mem::take(&mut message.files).into_iter().partition(|file| file.picture);
            let mut words = String::new();
            for file in &texts {
                match self.text(file).await {
                    Ok(text) => words.push_str(&fenced(&file.name, &text)),
                    Err(_) => words.push_str(&format!("{}\n\n", file.placeholder())),
                }
            }
            message.files = pictures;
            before(message, &words);
        }
        request
    }

    async fn text(&self, file: &File) -> Result<String> {
        let (blobs, hash, name) = (self.blobs.clone(), file.blob.clone(), file.name.clone());
        let bytes = beside(move || blobs.read(&hash, &name)).await??;
        String::from_utf8(bytes).map_err(|_| {
            Error::new(Kind::File, format!("The attachment {} is no text, so it cannot be sent as such.", quoted(&file.name)))
                .hint("Attach it again.")
        })
    }

    async fn picture(&self, file: &File) -> Result<Sent> {
        if let Some(sent) = self.known(&file.blob) {
            return Ok(sent);
        }
        // It is never closed.
        let _place = self.place.acquire().await;
        if let Some(sent) = self.known(&file.blob) {
            return Ok(sent);
        }
        let (blobs, hash, name) = (self.blobs.clone(), file.blob.clone(), file.name.clone());
        let sent = beside(move || {
            let picture = pictures::ready(&name, blobs.read(&hash, &name)?)?;
            Ok::<_, Error>(Sent { mime: picture.mime, data: STANDARD.encode(picture.bytes).into() })
        })
        .await??;
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        ready.push_back((file.blob.clone(), sent.clone()));
        while ready.len() > 1 && ready.iter().map(|(_, sent)| sent.data.len()).sum::<usize>() > READY {
            ready.pop_front();
        }
        Ok(sent)
    }

    fn known(&self, hash: &str) -> Option<Sent> {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        let at = ready.iter().position(|(known, _)| known == hash)?;
        let found = ready.remove(at)?;
        let sent = found.1.clone();
        ready.push_back(found);
        Some(sent)
    }
}

async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::new(Kind::Internal, "Reading an attachment failed.").cause(e))
}

fn before(message: &mut Message, words: &str) {
    if !words.is_empty() {
        message.text = format!("{words}{}", message.text);
        message.text.truncate(message.text.trim_end_matches('\n').len());
    }
}

/// A text as models know files in Markdown, in fences that it cannot end itself.
fn fenced(name: &str, text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    let name: String = name.chars().filter(|c| !c.is_control() && *c != '`').collect();
    let end = if text.ends_with('\n') { "" } else { "\n" };
    format!("{fence}{name}\n{text}{end}{fence}\n\n")
}

/// The attachments that a command puts into a message, by hash and name.
fn named(command: &Command) -> Vec<(String, String)> {
    let content = match command {
        Command::Send { content, .. }
        | Command::Add { content, .. }
        | Command::Enqueue { content, .. }
        | Command::EditQueued { content, .. } => content,
        _ => return Vec::new(),
    };
    let blob = |part: &Part| match part {
        Part::Image { blob, name, .. } | Part::File { blob, name, .. } => Some((blob.clone(), name.clone())),
        Part::Text { .. } | Part::Thinking { .. } | Part::ToolCall { .. } | Part::ToolResult { .. } => None,
    };
    content.iter().filter_map(blob).collect()
}

impl Host {
    /// Refuses a message that names what is not in the store.
    pub(super) async fn attached(&self, command: &Command) -> Result<()> {
        let named = named(command);
        if named.is_empty() {
            return Ok(());
        }
        let blobs = self.attachments.blobs.clone();
        match beside(move || named.into_iter().find(|(hash, _)| !blobs.has(hash))).await? {
            None => Ok(()),
            Some((_, name)) => Err(Error::new(Kind::NotFound, format!("The attachment {} is not at the host.", quoted(&name)))
                .hint("Attach the file again, then send.")),
        }
    }

    /// In the loop, so that a message which follows finds it. A piece is a megabyte, and only the last one waits for the disk.
    pub(super) async fn put_blob(&self, hash: String, offset: u64, total: u64, data: Vec<u8>) -> Result<Ack> {
        let blobs = self.attachments.blobs.clone();
        let have = beside(move || blobs.put(&hash, offset, total, &data)).await??;
        Ok(Ack::Blob { have })
    }

    pub(super) fn blob(&mut self, seat: Seat, id: u64, hash: String, offset: u64) {
        let Some(outbox) = self.seats.outbox(seat) else { return };
        let blobs = self.attachments.blobs.clone();
        self.spawn(Whose::Other, async move {
            let piece = beside(move || blobs.piece(&hash, offset)).await.flatten();
            outbox.frame(HostFrame::Reply { id, result: piece.map(|(total, data)| Reply::Blob { total, data }) });
        });
    }

    /// Takes away, each day, what no message, queue or draft names any more.
    pub(super) fn sweep_attachments(&mut self) {
        let (blobs, store) = (self.attachments.blobs.clone(), self.store.clone());
        self.spawn(Whose::Other, async move {
            tokio::time::sleep(FIRST).await;
            loop {
                let looking = blobs.clone();
                let listed = beside(move || {
                    let mut swept = Swept::default();
                    (looking.old(SystemTime::now(), &mut swept), swept)
                });
                if let Ok((old, mut swept)) = listed.await {
                    match store.unnamed(old).await {
                        Ok(unnamed) => {
                            let taking = blobs.clone();
                            let taken = beside(move || {
                                taking.sweep(&unnamed, SystemTime::now(), &mut swept);
                                swept
                            });
                            if let Ok(swept) = taken.await.inspect_err(|error| tracing::warn!(%error, "attachments were not swept")) {
                                tracing::info!(files = swept.files, bytes = swept.bytes, "attachments that nothing names were taken away");
                            }
                        }
                        Err(error) => tracing::warn!(%error, "attachments were not swept"),
                    }
                }
                tokio::time::sleep(EVERY).await;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_end_its_fence() {
        assert_eq!(fenced("src/a.rs", "fn a() {}\n"), "```src/a.rs\nfn a() {}\n```\n\n");
        assert_eq!(fenced("a`b\n.md", "```rust\nx\n````"), "`````ab.md\n```rust\nx\n````\n`````\n\n");
        let mut message = Message::new(crate::proto::Role::User, "");
        before(&mut message, "```a\nx\n```\n\n");
        assert_eq!(message.text, "```a\nx\n```");
    }
}
