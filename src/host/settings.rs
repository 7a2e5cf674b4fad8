//! Settings of models, groups and presets, and the versions of each.
//!
//! Invariant: what is saved was held against `core::settings` before; every change of a subject is a version, written in the same
//! commit as the change itself.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Seat;
use super::driver::{Host, now};
use crate::core::settings::{self, State, fold};
use crate::core::{Input, Write};
use crate::error::{Error, Kind, Result, quoted};
use crate::proto::{Ack, Card, CommandId, ConversationId, EventKind, Group, ModelRef, Parameters, Preset, PresetKind, Subject, Version};

impl Host {
    /// The settings that a model is started with: of its groups, its templates, its own.
    pub(super) fn load_settings(&self, model: &ModelRef) -> Parameters {
        let replica = &self.machine.replica;
        let card = self.card(model);
        let sources = settings::Sources { presets: &replica.presets, groups: &replica.groups, model: Some((model, &card)) };
        settings::effective(sources, settings::Own::default()).load()
    }

    /// Settings of models and presets; those of conversations are the machine's.
    pub(super) async fn set_parameters(&mut self, id: CommandId, subject: Subject, changes: Vec<(String, Option<Value>)>) -> Result<Ack> {
        match subject {
            Subject::Model(model) => {
                let mut card = self.card(&model);
                card.parameters = settings::change(&card.parameters, &changes)?;
                self.put_cards(id, BTreeMap::from([(model, card)])).await?;
                Ok(Ack::Done)
            }
            Subject::Preset(name) => {
                let mut preset = self.preset(&name)?.clone();
                preset.parameters = settings::change(&preset.parameters, &changes)?;
                self.save_preset(id, preset, Some(name)).await
            }
            Subject::Group(name) => Err(Error::new(Kind::Usage, format!("The group {} has no settings of its own.", quoted(&name)))
                .hint("It points to templates: set those.")),
            Subject::Conversation(_) => Err(Error::new(Kind::Internal, "Settings of conversations are not set here.")),
        }
    }

    fn preset(&self, name: &str) -> Result<&Preset> {
        let presets = &self.machine.replica.presets;
        settings::find(presets, name).ok_or_else(|| settings::no_preset(presets, name))
    }

    /// Adds a preset, or replaces the one called `was`: who names it names it by its new name then.
    pub(super) async fn save_preset(&mut self, id: CommandId, preset: Preset, was: Option<String>) -> Result<Ack> {
        let preset = settings::checked(&self.machine.replica.presets, preset, was.as_deref())?;
        let old = was.and_then(|was| settings::find(&self.machine.replica.presets, &was).cloned());
        if let Some(old) = &old {
            self.still_fits(old, &preset)?;
        }
        self.write_preset(id, preset, old, None).await
    }

    /// A template that is pointed to keeps its kind.
    fn still_fits(&self, old: &Preset, new: &Preset) -> Result<()> {
        match self.users_of(&old.name).first().filter(|_| old.kind != new.kind) {
            Some(user) => {
                Err(Error::new(Kind::Usage, format!("{user} points to {}, so it stays a {}.", quoted(&old.name), old.kind.noun())))
            }
            None => Ok(()),
        }
    }

    async fn write_preset(&mut self, id: CommandId, preset: Preset, old: Option<Preset>, why: Option<&str>) -> Result<Ack> {
        let at = now();
        let mut presets = self.machine.replica.presets.clone();
        let mut groups = self.machine.replica.groups.clone();
        let mut writes = Vec::new();
        let mut cards = BTreeMap::new();
        let renamed = old.as_ref().filter(|old| old.name != preset.name);
        if let Some(old) = renamed {
            let named = |name: &Option<String>| name.as_deref().is_some_and(|name| fold(name) == fold(&old.name));
            writes.push(Write::Preset { name: old.name.clone(), preset: None });
            writes.push(Write::PresetRenamed { from: old.name.clone(), to: preset.name.clone() });
            for child in presets.iter_mut().filter(|child| named(&child.parent)) {
                child.parent = Some(preset.name.clone());
                writes.push(Write::Preset { name: child.name.clone(), preset: Some(child.clone()) });
            }
            for (name, group) in &mut groups {
                let before = group.clone();
                for pointed in [&mut group.load, &mut group.request] {
                    if named(pointed) {
                        *pointed = Some(preset.name.clone());
                    }
                }
                if *group != before {
                    writes.push(Write::Group { name: name.clone(), group: Some(group.clone()) });
                }
            }
            for (model, card) in &self.cards {
                let mut changed = card.clone();
                for pointed in [&mut changed.preset, &mut changed.load, &mut changed.request] {
                    if named(pointed) {
                        *pointed = Some(preset.name.clone());
                    }
                }
                if changed != *card {
                    cards.insert(model.clone(), changed);
                }
            }
        }
        let subject = Subject::Preset(preset.name.clone());
        let before = old.as_ref().map(State::of_preset).unwrap_or_default();
        writes.extend(Write::versions(&subject, &before, &State::of_preset(&preset), at, why));
        writes.push(Write::Preset { name: preset.name.clone(), preset: Some(preset.clone()) });
        writes.extend(self.card_writes(&cards));
        writes.push(Write::Applied { command: id, at });
        self.commit(writes, true).await?;
        let renamed = renamed.map(|old| old.name.clone());
        presets
            .retain(|known| old.as_ref().is_none_or(|old| fold(&known.name) != fold(&old.name)) && fold(&known.name) != fold(&preset.name));
        presets.push(preset.clone());
        presets.sort_by_key(|preset| fold(&preset.name));
        self.emit(EventKind::Presets { presets, groups });
        if let Some(from) = renamed {
            self.follow_preset(&from, &preset.name);
            self.took_cards(cards);
        }
        Ok(Ack::Done)
    }

    /// Conversations that name a preset name it by its new name: on disk they do already.
    fn follow_preset(&mut self, from: &str, to: &str) {
        let replica = &self.machine.replica;
        let mut events = Vec::new();
        for doc in replica.docs.values().filter(|doc| doc.conversation.row.preset.as_deref() == Some(from)) {
            let mut conversation = doc.conversation.clone();
            conversation.row.preset = Some(to.to_owned());
            events.push(EventKind::Conversation(conversation));
        }
        for row in replica.rows.values().filter(|row| row.preset.as_deref() == Some(from)) {
            let mut row = row.clone();
            row.preset = Some(to.to_owned());
            events.push(EventKind::Row(row));
        }
        for event in events {
            self.emit(event);
        }
    }

    /// Who points to a template or inherits from it, in words. Conversations are not asked: they say themselves that it is gone.
    fn users_of(&self, name: &str) -> Vec<String> {
        let named = |pointed: &Option<String>| pointed.as_deref().is_some_and(|pointed| fold(pointed) == fold(name));
        let replica = &self.machine.replica;
        let children = replica.presets.iter().filter(|p| named(&p.parent)).map(|p| format!("The preset {}", quoted(&p.name)));
        let groups = replica.groups.iter().filter(|(_, g)| named(&g.load) || named(&g.request));
        let groups = groups.map(|(name, _)| format!("The group {}", quoted(name)));
        let points = |card: &Card| named(&card.preset) || named(&card.load) || named(&card.request);
        let models =
            self.cards.iter().filter(|(_, card)| points(card)).map(|(model, _)| format!("The model {}", quoted(&model.to_string())));
        children.chain(groups).chain(models).collect()
    }

    pub(super) async fn delete_preset(&mut self, id: CommandId, name: &str) -> Result<Ack> {
        let name = self.preset(name)?.name.clone();
        let users = self.users_of(&name);
        if let Some(first) = users.first() {
            let others = if users.len() > 1 { format!(" (and {} more)", users.len() - 1) } else { String::new() };
            return Err(Error::new(Kind::Usage, format!("{first}{others} uses {}, so it is not deleted.", quoted(&name)))
                .hint("Let them use another one, or none, first."));
        }
        let writes = vec![Write::Preset { name: name.clone(), preset: None }, Write::Applied { command: id, at: now() }];
        self.commit(writes, true).await?;
        let mut presets = self.machine.replica.presets.clone();
        presets.retain(|preset| preset.name != name);
        self.emit(EventKind::Presets { presets, groups: self.machine.replica.groups.clone() });
        Ok(Ack::Done)
    }

    /// What a group of models points to; a group that points to nothing is forgotten.
    pub(super) async fn set_group(&mut self, id: CommandId, name: String, group: Group) -> Result<Ack> {
        self.write_group(id, name, group, None).await
    }

    async fn write_group(&mut self, id: CommandId, name: String, mut group: Group, why: Option<&str>) -> Result<Ack> {
        let name = settings::name("group", &name)?;
        for (pointed, kind) in [(&mut group.load, PresetKind::Load), (&mut group.request, PresetKind::Request)] {
            let Some(template) = pointed else { continue };
            let preset = self.preset(template)?;
            if preset.kind != kind {
                return Err(Error::new(
                    Kind::Usage,
                    format!("{} is a {}, not a {}.", quoted(&preset.name), preset.kind.noun(), kind.noun()),
                ));
            }
            template.clone_from(&preset.name);
        }
        let mut groups = self.machine.replica.groups.clone();
        let before = groups.get(&name).map(State::of_group).unwrap_or_default();
        let at = now();
        let mut writes = Write::versions(&Subject::Group(name.clone()), &before, &State::of_group(&group), at, why);
        let kept = Some(group).filter(|group| *group != Group::default());
        writes.push(Write::Group { name: name.clone(), group: kept.clone() });
        writes.push(Write::Applied { command: id, at });
        self.commit(writes, true).await?;
        match kept {
            Some(group) => groups.insert(name, group),
            None => groups.remove(&name),
        };
        self.emit(EventKind::Presets { presets: self.machine.replica.presets.clone(), groups });
        Ok(Ack::Done)
    }

    /// A version's settings become those of now. A preset that was deleted is there again.
    pub(super) async fn restore_version(&mut self, seat: Seat, id: CommandId, subject: Subject, number: u32) -> Result<Option<Ack>> {
        let found = self.store.versions(subject.clone(), Some(number), 1).await?.into_iter().next();
        let version = found.ok_or_else(|| {
            Error::new(Kind::NotFound, format!("There is no version {number} of these settings."))
                .hint("The history lists those that there are.")
        })?;
        let why = format!("back to version {number}");
        let Version { parameters, preset, pointed, .. } = version;
        match subject {
            Subject::Conversation(conversation) => {
                let state = State { parameters, preset, pointed };
                self.restore_conversation(seat, id, conversation, state, number).await?;
                Ok(None)
            }
            Subject::Model(model) => {
                let mut card = self.card(&model);
                card.parameters = parameters;
                let presets = &self.machine.replica.presets;
                // What a card points to must be there.
                let there = |name: Option<String>| name.filter(|name| settings::find(presets, name).is_some());
                (card.preset, card.load, card.request) = (there(pointed.preset), there(pointed.load), there(pointed.request));
                self.put_cards(id, BTreeMap::from([(model, card)])).await?;
                Ok(Some(Ack::Done))
            }
            Subject::Preset(name) => {
                let preset = preset.ok_or_else(|| Error::new(Kind::NotFound, "This version does not say what the preset was."))?;
                let old = settings::find(&self.machine.replica.presets, &name).cloned();
                // It keeps the name that it has now.
                let preset = Preset { name: old.as_ref().map_or(name, |old| old.name.clone()), ..preset };
                let preset = settings::checked(&self.machine.replica.presets, preset, old.as_ref().map(|old| old.name.as_str()))?;
                if let Some(old) = &old {
                    self.still_fits(old, &preset)?;
                }
                self.write_preset(id, preset, old, Some(&why)).await.map(Some)
            }
            Subject::Group(name) => {
                self.write_group(id, name, Group { load: pointed.load, request: pointed.request }, Some(&why)).await.map(Some)
            }
        }
    }

    async fn restore_conversation(
        &mut self,
        seat: Seat,
        id: CommandId,
        conversation: ConversationId,
        state: State,
        number: u32,
    ) -> Result<()> {
        self.load(conversation).await?;
        let Some(client) = self.seats.client(seat) else { return Ok(()) };
        let effects = self.machine.handle(Input::Restore { client, id, conversation, state, number }, now());
        self.carry_out(effects, Some((seat, id))).await;
        Ok(())
    }

    pub(super) async fn versions(&self, subject: Subject, limit: u32) -> Result<Vec<Version>> {
        self.store.versions(subject, None, limit).await
    }
}
