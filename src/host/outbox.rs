//! What waits to be sent to one client: bounded, and what can merge merges.
//!
//! Invariant: the order of everything that is kept is the order in which it was put in; text is never put in front of a reply
//! that was asked for before it. Deltas of a message become one, its states and metric samples keep the last. When more than
//! [`LIMIT`] events wait nevertheless, events that a snapshot can replace are left out and the client gets a snapshot instead.
//! Acks, replies and ends of answers are never left out.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::proto::wire::{HostFrame, MAX_UNANSWERED};
use crate::proto::{Event, EventKind, NodeId};

/// Events that may wait after merging. A screen that is 512 distinct changes behind redraws everything anyway.
pub const LIMIT: usize = 512;

/// Whether an event went in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    Yes,
    /// The client is too far behind: replaceable events are gone, and it needs a snapshot ([`Outbox::resync`]).
    Lagged,
}

#[derive(Debug)]
enum Item {
    Event(Arc<Event>),
    Frame(HostFrame),
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Item>,
    /// Absolute number of the first item, so that positions survive popping.
    first: u64,
    /// Items before this absolute number must not be merged into: a reply was put in after them.
    floor: u64,
    events: usize,
    answers: usize,
    deltas: HashMap<NodeId, u64>,
    states: HashMap<NodeId, u64>,
    metrics: Option<u64>,
    closed: bool,
}

impl Queue {
    fn end(&self) -> u64 {
        self.first + self.items.len() as u64
    }

    /// The event at an absolute number, when it may still be merged into.
    fn mergeable(&mut self, at: Option<u64>) -> Option<&mut Event> {
        let at = at.filter(|at| *at >= self.floor && *at >= self.first)?;
        match self.items.get_mut(usize::try_from(at - self.first).ok()?)? {
            Item::Event(event) => Some(Arc::make_mut(event)),
            Item::Frame(_) => None,
        }
    }

    /// Puts the event into one that waits already. The older number is kept: a higher one would make the client skip what lies
    /// between.
    fn merge(&mut self, event: &Event) -> bool {
        match &event.kind {
            EventKind::Delta { node, kind, text, .. } => {
                let at = self.deltas.get(node).copied();
                match self.mergeable(at) {
                    Some(Event { kind: EventKind::Delta { kind: last, text: waiting, .. }, .. }) if last == kind => {
                        waiting.push_str(text);
                        true
                    }
                    _ => false,
                }
            }
            EventKind::State { node, .. } => {
                let at = self.states.get(node).copied();
                self.mergeable(at).is_some_and(|waiting| {
                    waiting.kind = event.kind.clone();
                    true
                })
            }
            EventKind::Metrics(_) => {
                let at = self.metrics;
                self.mergeable(at).is_some_and(|waiting| {
                    waiting.kind = event.kind.clone();
                    true
                })
            }
            _ => false,
        }
    }

    fn push_event(&mut self, event: Arc<Event>) {
        let at = self.end();
        match &event.kind {
            EventKind::Delta { node, .. } => {
                self.deltas.insert(*node, at);
            }
            EventKind::State { node, .. } => {
                self.states.insert(*node, at);
            }
            // It carries what they would change.
            EventKind::Node { node, .. } | EventKind::Finished { node, .. } => {
                self.deltas.remove(&node.id);
                self.states.remove(&node.id);
            }
            EventKind::Metrics(_) => self.metrics = Some(at),
            _ => {}
        }
        self.events += 1;
        self.items.push_back(Item::Event(event));
    }

    fn push_frame(&mut self, frame: HostFrame) {
        if matches!(frame, HostFrame::Ack { .. } | HostFrame::Reply { .. }) {
            self.answers += 1;
        }
        self.items.push_back(Item::Frame(frame));
        self.floor = self.end();
    }

    fn pop(&mut self) -> Option<Item> {
        let item = self.items.pop_front()?;
        self.first += 1;
        match &item {
            Item::Event(_) => self.events -= 1,
            Item::Frame(HostFrame::Ack { .. } | HostFrame::Reply { .. }) => self.answers -= 1,
            Item::Frame(_) => {}
        }
        if self.items.is_empty() {
            self.deltas.clear();
            self.states.clear();
            self.metrics = None;
        }
        Some(item)
    }

    /// Leaves out what a snapshot replaces.
    fn shed(&mut self) {
        self.first = self.end();
        self.floor = self.first;
        self.items.retain(|item| match item {
            Item::Event(event) => matches!(event.kind, EventKind::Finished { .. } | EventKind::Notice { .. } | EventKind::Stopping { .. }),
            Item::Frame(frame) => !matches!(frame, HostFrame::Welcome(_)),
        });
        // The kept items take the numbers before the old end; nothing may be merged into them.
        self.first -= self.items.len() as u64;
        self.events = self.items.iter().filter(|item| matches!(item, Item::Event(_))).count();
        self.deltas.clear();
        self.states.clear();
        self.metrics = None;
    }
}

#[derive(Default)]
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

/// The host's end. Clones write into the same box; whoever owns the seat closes it.
#[derive(Clone)]
pub struct Outbox(Arc<Shared>);

/// The client's end.
pub struct Reader(Arc<Shared>);

/// A fresh pair.
#[must_use]
pub fn outbox() -> (Outbox, Reader) {
    let shared = Arc::new(Shared::default());
    (Outbox(Arc::clone(&shared)), Reader(shared))
}

impl Outbox {
    /// Puts an event in without waiting.
    pub fn event(&self, event: &Arc<Event>) -> Pushed {
        let mut queue = self.0.lock();
        if queue.closed {
            return Pushed::Yes;
        }
        if !queue.merge(event) {
            if queue.events >= LIMIT {
                queue.shed();
                if matches!(event.kind, EventKind::Finished { .. } | EventKind::Notice { .. } | EventKind::Stopping { .. }) {
                    queue.push_event(Arc::clone(event));
                }
                return Pushed::Lagged;
            }
            queue.push_event(Arc::clone(event));
        }
        drop(queue);
        self.0.filled.notify_one();
        Pushed::Yes
    }

    /// Puts an ack, a reply or a fresh snapshot in. Never refused; see [`Reader::room`] for what bounds them.
    pub fn frame(&self, frame: HostFrame) {
        let mut queue = self.0.lock();
        if !queue.closed {
            queue.push_frame(frame);
        }
        drop(queue);
        self.0.filled.notify_one();
    }

    /// Nothing more will come; what waits is still sent.
    pub fn close(&self) {
        self.0.lock().closed = true;
        self.0.filled.notify_one();
        self.0.drained.notify_waiters();
    }
}

impl Reader {
    /// The next frame; `None` when the host let this client go and all is read. Safe to drop at any time: nothing is lost.
    pub async fn next(&self) -> Option<HostFrame> {
        loop {
            let filled = self.0.filled.notified();
            {
                let mut queue = self.0.lock();
                if let Some(item) = queue.pop() {
                    drop(queue);
                    return Some(self.frame(item));
                }
                if queue.closed {
                    return None;
                }
            }
            filled.await;
        }
    }

    /// The next frame if one waits.
    #[must_use]
    pub fn try_next(&self) -> Option<HostFrame> {
        let item = self.0.lock().pop()?;
        Some(self.frame(item))
    }

    fn frame(&self, item: Item) -> HostFrame {
        match item {
            Item::Event(event) => HostFrame::Event(Box::new(Arc::unwrap_or_clone(event))),
            Item::Frame(frame) => {
                self.0.drained.notify_waiters();
                frame
            }
        }
    }

    /// Waits while too many answers are unread: whoever reads from the client asks this before each frame, so that a client that
    /// asks and never reads waits for itself.
    pub async fn room(&self) {
        loop {
            let drained = self.0.drained.notified();
            {
                let queue = self.0.lock();
                if queue.answers < MAX_UNANSWERED || queue.closed {
                    return;
                }
            }
            drained.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{Ack, ConversationId, DeltaKind, IdGen, Progress, Sample, State};

    struct Case {
        ids: IdGen,
        conversation: ConversationId,
        seq: u64,
        outbox: Outbox,
        reader: Reader,
    }

    impl Case {
        fn new() -> Self {
            let mut ids = IdGen::Counting(0);
            let (outbox, reader) = outbox();
            Self { conversation: ids.fresh(), ids, seq: 0, outbox, reader }
        }

        fn put(&mut self, kind: EventKind) -> Pushed {
            self.seq += 1;
            self.outbox.event(&Arc::new(Event { seq: self.seq, at: 0, kind }))
        }

        fn delta(&mut self, node: NodeId, kind: DeltaKind, at: u64, text: &str) {
            let conversation = self.conversation;
            assert_eq!(self.put(EventKind::Delta { conversation, node, kind, at, text: text.into() }), Pushed::Yes);
        }

        fn state(&mut self, node: NodeId, state: State) {
            let conversation = self.conversation;
            self.put(EventKind::State { conversation, node, state, progress: Progress::default() });
        }

        fn ack(&mut self) {
            let id = self.ids.fresh();
            self.outbox.frame(HostFrame::Ack { id, result: Ok(Ack::Done) });
        }

        /// What waits, in short.
        fn read(&self) -> Vec<String> {
            let mut all = Vec::new();
            while let Some(frame) = self.reader.try_next() {
                all.push(match frame {
                    HostFrame::Event(event) => match event.kind {
                        EventKind::Delta { text, at, .. } => format!("{}:{at}+{text}", event.seq),
                        EventKind::State { state, .. } => format!("{}:{state}", event.seq),
                        EventKind::Metrics(sample) => format!("{}:sample {}", event.seq, sample.at),
                        EventKind::Setting { key, .. } => format!("{}:{key}", event.seq),
                        EventKind::Stopping { .. } => format!("{}:stopping", event.seq),
                        other => panic!("{other:?}"),
                    },
                    HostFrame::Ack { .. } => "ack".to_owned(),
                    other => panic!("{other:?}"),
                });
            }
            all
        }
    }

    #[test]
    fn deltas_states_and_samples_merge_where_nothing_is_reordered() {
        let mut c = Case::new();
        let (a, b): (NodeId, NodeId) = (c.ids.fresh(), c.ids.fresh());
        c.delta(a, DeltaKind::Thinking, 0, "hm");
        c.delta(b, DeltaKind::Text, 0, "x");
        c.delta(a, DeltaKind::Thinking, 2, "m");
        c.state(a, State::Thinking);
        c.delta(a, DeltaKind::Text, 3, "one ");
        c.state(a, State::Writing);
        c.delta(a, DeltaKind::Text, 7, "two");
        c.put(EventKind::Metrics(Sample { at: 1, ..Sample::default() }));
        c.put(EventKind::Metrics(Sample { at: 2, ..Sample::default() }));
        // Numbers rise still, or the client would take what follows for old.
        assert_eq!(c.read(), ["1:0+hmm", "2:0+x", "4:writing", "5:3+one two", "8:sample 2"]);
        c.delta(a, DeltaKind::Text, 10, "!");
        assert_eq!(c.read(), ["10:10+!"], "what was read is not merged into");
    }

    #[test]
    fn nothing_moves_in_front_of_an_answer() {
        let mut c = Case::new();
        let node: NodeId = c.ids.fresh();
        c.delta(node, DeltaKind::Text, 0, "a");
        c.ack();
        c.delta(node, DeltaKind::Text, 1, "b");
        c.delta(node, DeltaKind::Text, 2, "c");
        assert_eq!(c.read(), ["1:0+a", "ack", "2:1+bc"]);
    }

    #[test]
    fn too_much_is_shed_but_answers_and_ends_stay() {
        let mut c = Case::new();
        let value = serde_json::Value::Null;
        c.ack();
        for n in 0..LIMIT {
            assert_eq!(c.put(EventKind::Setting { key: n.to_string(), value: value.clone() }), Pushed::Yes);
        }
        c.ack();
        assert_eq!(c.put(EventKind::Stopping { reason: String::new() }), Pushed::Lagged);
        assert_eq!(c.put(EventKind::Setting { key: "after".into(), value }), Pushed::Yes);
        let stopping = LIMIT + 1;
        assert_eq!(c.read(), ["ack".into(), "ack".into(), format!("{stopping}:stopping"), format!("{}:after", stopping + 1)]);
    }

    #[tokio::test]
    async fn whoever_asks_without_reading_waits() {
        let mut c = Case::new();
        for _ in 0..MAX_UNANSWERED {
            c.ack();
        }
        let soon = std::time::Duration::from_millis(1);
        assert!(tokio::time::timeout(soon, c.reader.room()).await.is_err());
        assert!(c.reader.try_next().is_some());
        c.reader.room().await;
        c.outbox.close();
        c.ack();
        assert_eq!(c.read().len(), MAX_UNANSWERED - 1, "what waited is still there, nothing more comes");
        assert!(c.reader.next().await.is_none());
    }
}
