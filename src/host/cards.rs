//! What a person keeps about models, and what their runs say.
//!
//! Owns: every card, in memory from the start, whether its model is listed now or not. Invariant: a card that clients see is on
//! disk; a change of many models is one transaction, and happens to all of them or to none.

use std::collections::{BTreeMap, BTreeSet};

use super::Seat;
use super::driver::{Host, Whose, now};
use crate::core::settings::State;
use crate::core::{Write, cards};
use crate::error::{Error, Kind, Result, quoted};
use crate::proto::wire::HostFrame;
use crate::proto::{Ack, Card, CardChange, CommandId, EventKind, ModelInfo, ModelRef, PresetKind, Reply, Subject};

/// Of one backend, changes of more models than this are told as one new list: a client takes in one list sooner than many rows.
const ONE_BY_ONE: usize = 16;

impl Host {
    /// What is kept about a model.
    pub(super) fn card(&self, model: &ModelRef) -> Card {
        self.cards.get(model).cloned().unwrap_or_default()
    }

    /// Changes the cards of models; all or none.
    pub(super) async fn set_cards(&mut self, id: CommandId, models: &[ModelRef], change: &CardChange) -> Result<Ack> {
        let change = cards::clean(change, |name| self.spelling(name, change))?;
        self.check_pointed(&change)?;
        let mut changed = BTreeMap::new();
        for model in models {
            let old = self.cards.get(model).cloned().unwrap_or_default();
            let new = cards::changed(&old, &change)
                .map_err(|e| Error { message: format!("{}: {}", crate::error::harmless(&model.to_string()), e.message), ..e })?;
            if new != old {
                changed.insert(model.clone(), new);
            }
        }
        self.put_cards(id, changed).await?;
        Ok(Ack::Done)
    }

    /// Keeps these cards: first on disk, then for everybody to see.
    pub(super) async fn put_cards(&mut self, id: CommandId, changed: BTreeMap<ModelRef, Card>) -> Result<()> {
        let mut writes = self.card_writes(&changed);
        writes.push(Write::Applied { command: id, at: now() });
        self.commit(writes, true).await?;
        self.took_cards(changed);
        Ok(())
    }

    /// What keeps these cards, with the versions of the models whose settings they change.
    pub(super) fn card_writes(&self, changed: &BTreeMap<ModelRef, Card>) -> Vec<Write> {
        let at = now();
        let mut writes = Vec::new();
        for (model, card) in changed {
            let before = self.cards.get(model).map(State::of_card).unwrap_or_default();
            writes.extend(Write::versions(&Subject::Model(model.clone()), &before, &State::of_card(card), at, None));
            writes.push(Write::Card { model: model.clone(), card: card.clone() });
        }
        writes
    }

    /// These cards are on disk: now everybody sees them.
    pub(super) fn took_cards(&mut self, changed: BTreeMap<ModelRef, Card>) {
        for (model, card) in &changed {
            if card.is_empty() {
                self.cards.remove(model);
            } else {
                self.cards.insert(model.clone(), card.clone());
            }
        }
        self.show_cards(&changed.into_keys().collect());
    }

    /// Tells everybody of the cards of these models, where they are listed.
    fn show_cards(&mut self, changed: &BTreeSet<ModelRef>) {
        let mut lists: BTreeMap<&str, Vec<ModelInfo>> = BTreeMap::new();
        for model in &self.machine.replica.models {
            let reference = model.reference();
            if changed.contains(&reference) {
                let card = self.card(&reference);
                lists.entry(&model.backend).or_default().push(ModelInfo { card, ..model.clone() });
            }
        }
        let mut events = Vec::new();
        for (backend, models) in lists {
            if models.len() <= ONE_BY_ONE {
                events.extend(models.into_iter().map(EventKind::Model));
                continue;
            }
            let mut all: Vec<ModelInfo> = self.machine.replica.models.iter().filter(|known| known.backend == backend).cloned().collect();
            for model in &mut all {
                model.card = self.card(&model.reference());
            }
            events.push(EventKind::Models { backend: backend.to_owned(), models: all });
        }
        for event in events {
            self.emit(event);
        }
    }

    /// How a group or tag that is in use already is spelt.
    fn spelling(&self, name: &str, change: &CardChange) -> Option<String> {
        let groups = matches!(change, CardChange::Group { .. });
        let of_cards = self.cards.values().flat_map(|card| if groups { &card.groups } else { &card.tags });
        let pointing = self.machine.replica.groups.keys().filter(|_| groups);
        pointing.chain(of_cards).find(|known| cards::same(known, name)).cloned()
    }

    /// A card points only to what there is.
    fn check_pointed(&self, change: &CardChange) -> Result<()> {
        let (name, kind, what) = match change {
            CardChange::Preset(Some(name)) => (name, PresetKind::Preset, "preset"),
            CardChange::Load(Some(name)) => (name, PresetKind::Load, "template of load settings"),
            CardChange::Request(Some(name)) => (name, PresetKind::Request, "template of parameters"),
            _ => return Ok(()),
        };
        if self.machine.replica.presets.iter().any(|preset| preset.kind == kind && cards::same(&preset.name, name)) {
            return Ok(());
        }
        Err(Error::new(Kind::NotFound, format!("There is no {what} called {}.", quoted(name))).hint("`arbour presets ls` lists them."))
    }

    /// What the runs of every model say. Read beside the loop; from now on it is told when a run has ended.
    pub(super) fn uses(&mut self, seat: Seat, id: u64) {
        let Some(outbox) = self.seats.outbox(seat) else { return };
        self.uses_wanted = true;
        let store = self.store.clone();
        self.spawn(Whose::Other, async move {
            let result = store.uses(None).await.map(Reply::Uses);
            outbox.frame(HostFrame::Reply { id, result });
        });
    }

    /// A run of this model has ended, and is on disk.
    pub(super) fn used(&mut self, model: ModelRef) {
        if !self.uses_wanted || self.ending.is_some() {
            return;
        }
        let (store, inbox) = (self.store.clone(), self.inbox.clone());
        self.spawn(Whose::Other, async move {
            match store.uses(Some(model)).await {
                // A host that has ended wants no figures.
                Ok(uses) => drop(inbox.send(super::Message::Used(uses)).await),
                Err(error) => tracing::warn!(%error, "what a model's runs say was not read"),
            }
        });
    }

    pub(super) fn tell_uses(&mut self, uses: Vec<(ModelRef, crate::proto::ModelUse)>) {
        for (model, figures) in uses {
            self.emit(EventKind::Use { model, figures });
        }
    }
}
