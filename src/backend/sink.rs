//! The way out of a backend: bounded, and deltas merge instead of queueing.
//!
//! Invariant: text is never dropped and never reordered against a change between text and thinking; phases and figures keep
//! the last. The producer waits only when [`LIMIT`] bytes are unread.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::proto::{DeltaKind, Figures, Progress, State};

/// How much text may wait unread, in bytes. A host that is this far behind is not reading at all; then the server waits too.
const LIMIT: usize = 1 << 20;

/// Something a backend reports while it works.
#[derive(Debug, Clone, PartialEq)]
pub enum Update {
    Phase(State, Progress),
    Delta(DeltaKind, String),
    ToolCall { id: String, name: String, arguments: String },
    Figures(Figures),
}

#[derive(Default)]
struct Queue {
    updates: VecDeque<Update>,
    bytes: usize,
    writers: usize,
    reader_gone: bool,
}

struct Shared {
    queue: Mutex<Queue>,
    filled: Notify,
    drained: Notify,
}

impl Shared {
    /// A poisoned queue is whole: nothing in here panics between two writes to it.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writing end.
pub struct Sink(Arc<Shared>);

/// The reading end.
pub struct Source(Arc<Shared>);

/// A fresh pair.
#[must_use]
pub fn channel() -> (Sink, Source) {
    let shared =
        Arc::new(Shared { queue: Mutex::new(Queue { writers: 1, ..Queue::default() }), filled: Notify::new(), drained: Notify::new() });
    (Sink(Arc::clone(&shared)), Source(shared))
}

impl Clone for Sink {
    fn clone(&self) -> Self {
        self.0.lock().writers += 1;
        Self(Arc::clone(&self.0))
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.0.lock().writers -= 1;
        self.0.filled.notify_one();
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.0.lock().reader_gone = true;
        self.0.drained.notify_one();
    }
}

impl Sink {
    /// Whether nobody reads any more: a blocking engine polls this once per token and gives up.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.lock().reader_gone
    }

    /// Reports without waiting. Deltas of the same kind that nobody has read yet become one.
    pub fn send(&self, update: Update) {
        let mut queue = self.0.lock();
        match (queue.updates.back_mut(), update) {
            (Some(Update::Delta(last, text)), Update::Delta(kind, more)) if *last == kind => {
                text.push_str(&more);
                queue.bytes += more.len();
            }
            (Some(Update::Phase(state, progress)), Update::Phase(new, newer)) => {
                *state = new;
                *progress = newer;
            }
            (Some(Update::Figures(figures)), Update::Figures(newer)) => figures.merge(&newer),
            (_, update) => {
                if let Update::Delta(_, text) = &update {
                    queue.bytes += text.len();
                }
                queue.updates.push_back(update);
            }
        }
        drop(queue);
        self.0.filled.notify_one();
    }

    /// Waits while too much is unread. Asynchronous producers call this after each chunk.
    pub async fn ready(&self) {
        loop {
            let drained = self.0.drained.notified();
            {
                let queue = self.0.lock();
                if queue.bytes < LIMIT || queue.reader_gone {
                    return;
                }
            }
            drained.await;
        }
    }

    pub fn text(&self, text: impl Into<String>) {
        self.send(Update::Delta(DeltaKind::Text, text.into()));
    }

    pub fn thinking(&self, text: impl Into<String>) {
        self.send(Update::Delta(DeltaKind::Thinking, text.into()));
    }

    pub fn phase(&self, state: State) {
        self.send(Update::Phase(state, Progress::default()));
    }

    pub fn progress(&self, state: State, done: u64, total: u64) {
        self.send(Update::Phase(state, Progress { done: Some(done), total: Some(total), ..Progress::default() }));
    }

    pub fn figures(&self, figures: Figures) {
        self.send(Update::Figures(figures));
    }
}

impl Source {
    /// The next update; `None` when every sink is gone and all is read. Safe to drop at any time: nothing is lost.
    pub async fn next(&mut self) -> Option<Update> {
        loop {
            let filled = self.0.filled.notified();
            {
                let mut queue = self.0.lock();
                if let Some(update) = queue.updates.pop_front() {
                    if let Update::Delta(_, text) = &update {
                        queue.bytes -= text.len();
                    }
                    drop(queue);
                    self.0.drained.notify_one();
                    return Some(update);
                }
                if queue.writers == 0 {
                    return None;
                }
            }
            filled.await;
        }
    }

    /// Takes what is there without waiting.
    pub fn drain(&mut self) -> Vec<Update> {
        let mut queue = self.0.lock();
        queue.bytes = 0;
        let all = queue.updates.drain(..).collect();
        drop(queue);
        self.0.drained.notify_one();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn deltas_merge_and_kinds_keep_their_order() {
        let (sink, mut source) = channel();
        sink.text("a");
        sink.text("b");
        sink.thinking("c");
        sink.text("d");
        drop(sink);
        let mut seen = Vec::new();
        while let Some(update) = source.next().await {
            seen.push(update);
        }
        assert_eq!(
            seen,
            [
                Update::Delta(DeltaKind::Text, "ab".into()),
                Update::Delta(DeltaKind::Thinking, "c".into()),
                Update::Delta(DeltaKind::Text, "d".into()),
            ]
        );
    }

    #[tokio::test]
    async fn a_reader_that_is_gone_lets_the_writer_go() {
        let (sink, source) = channel();
        sink.text("x".repeat(2 * LIMIT));
        drop(source);
        sink.ready().await;
        assert!(sink.is_closed());
    }
}
