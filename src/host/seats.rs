//! The clients that are attached, and which event is for whom.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Seat;
use super::outbox::{Outbox, Pushed};
use crate::core::Machine;
use crate::error::{Error, Kind};
use crate::proto::wire::HostFrame;
use crate::proto::{ClientId, Event, EventKind};

/// One attached client.
pub(super) struct Attachment {
    pub(super) client: ClientId,
    pub(super) outbox: Outbox,
    /// A person looks at it.
    pub(super) screen: bool,
    /// Somebody looks at it now, as far as its terminal tells.
    pub(super) awake: bool,
    /// It wants metric samples.
    pub(super) watches: bool,
    /// Its last search; a newer one ends it.
    pub(super) search: Option<Search>,
}

/// A search that goes on.
pub(super) struct Search {
    pub(super) id: u64,
    pub(super) answered: Arc<AtomicBool>,
    pub(super) task: tokio::task::AbortHandle,
}

impl Drop for Attachment {
    fn drop(&mut self) {
        self.outbox.close();
    }
}

/// All attached clients.
#[derive(Default)]
pub(super) struct Seats {
    next: Seat,
    all: BTreeMap<Seat, Attachment>,
    /// Seats whose outbox left events out: they need a snapshot.
    lagging: Vec<Seat>,
}

impl Seats {
    /// Takes a client in. One that comes back before its old connection was found dead takes its place.
    pub(super) fn sit(&mut self, client: ClientId, screen: bool, outbox: Outbox) -> Seat {
        self.all.retain(|_, other| other.client != client);
        self.next += 1;
        self.all.insert(self.next, Attachment { client, outbox, screen, awake: true, watches: false, search: None });
        self.next
    }

    /// Lets a client go; `None` when another has taken its place.
    pub(super) fn leave(&mut self, seat: Seat) -> Option<ClientId> {
        self.all.remove(&seat).map(|gone| gone.client)
    }

    pub(super) fn get_mut(&mut self, seat: Seat) -> Option<&mut Attachment> {
        self.all.get_mut(&seat)
    }

    pub(super) fn client(&self, seat: Seat) -> Option<ClientId> {
        self.all.get(&seat).map(|attachment| attachment.client)
    }

    /// Who is here.
    pub(super) fn clients(&self) -> Vec<ClientId> {
        self.all.values().map(|attachment| attachment.client).collect()
    }

    /// Whether a person looks at this client.
    pub(super) fn is_screen(&self, seat: Seat) -> bool {
        self.all.get(&seat).is_some_and(|attachment| attachment.screen)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether anybody wants metric samples.
    pub(super) fn watched(&self) -> bool {
        self.all.values().any(|attachment| attachment.watches)
    }

    /// Whether a person looks at a screen now.
    pub(super) fn somebody_looks(&self) -> bool {
        self.all.values().any(|attachment| attachment.screen && attachment.awake)
    }

    /// Hands an event to everyone whom it concerns.
    pub(super) fn fan_out(&mut self, event: &Arc<Event>, machine: &Machine) {
        let conversation = event.kind.conversation();
        let metrics = matches!(event.kind, EventKind::Metrics(_));
        for (seat, attachment) in &self.all {
            let wanted = match conversation {
                Some(conversation) => machine.view_of(attachment.client) == Some(conversation),
                None => !metrics || attachment.watches,
            };
            if wanted && attachment.outbox.event(event) == Pushed::Lagged {
                self.lagging.push(*seat);
            }
        }
    }

    /// Answers one client. Nobody there: nobody to answer.
    pub(super) fn answer(&self, seat: Seat, frame: HostFrame) {
        if let Some(attachment) = self.all.get(&seat) {
            attachment.outbox.frame(frame);
        }
    }

    pub(super) fn outbox(&self, seat: Seat) -> Option<Outbox> {
        self.all.get(&seat).map(|attachment| attachment.outbox.clone())
    }

    /// Those that need a snapshot since this was asked last.
    pub(super) fn take_lagging(&mut self) -> Vec<Seat> {
        let mut lagging = std::mem::take(&mut self.lagging);
        lagging.dedup();
        lagging
    }

    /// No more for anybody; what waits is still sent.
    pub(super) fn close(&mut self) {
        for attachment in self.all.values() {
            attachment.outbox.close();
        }
    }
}

impl Search {
    /// Ends this search; its question is answered once, by whoever comes first.
    pub(super) fn supersede(self, outbox: &Outbox) {
        self.task.abort();
        if !self.answered.swap(true, Ordering::AcqRel) {
            outbox
                .frame(HostFrame::Reply { id: self.id, result: Err(Error::new(Kind::Cancelled, "A newer search took this one's place.")) });
        }
    }
}
