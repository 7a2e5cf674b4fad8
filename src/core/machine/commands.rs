//! What each command does.

use super::grown::{Grown, fresh};
use super::runs::line;
use super::sending::{Sendable, speaker};
use super::undo::{Did, said};
use super::{Effect, Live, Machine, Start, Write};
use crate::core::settings::{self, State as Settings};
use crate::core::undo::{Op, Step};
use crate::core::{Doc, names, overflow, parameters, queue as waiting};
use crate::error::{Error, Kind, Result, harmless, quoted};
use crate::proto::{
    Ack, ClientId, Command, CommandId, Content, Conversation, ConversationId, ConversationRow, EventKind, Figures, ModelRef, NodeId,
    Opened, Part, PresetKind, Role, Run, RunId, State, Subject, Titled, UnixMs,
};

/// Longest title and branch name, in characters.
const LONGEST_NAME: usize = 200;

/// The conversation whose document a command reads; `None` for those that need none.
#[must_use]
pub fn subject(command: &Command) -> Option<ConversationId> {
    match command {
        Command::Rename { conversation, .. }
        | Command::Fork { conversation, .. }
        | Command::Graft { conversation, .. }
        | Command::ArchiveBranch { conversation, .. }
        | Command::Rate { conversation, .. }
        | Command::React { conversation, .. }
        | Command::Bookmark { conversation, .. }
        | Command::SetMark { conversation, .. }
        | Command::Visit { conversation, .. }
        | Command::SetSystem { conversation, .. }
        | Command::SetParameters { subject: Subject::Conversation(conversation), .. }
        | Command::SetModel { conversation, .. }
        | Command::SetPreset { conversation, .. }
        | Command::Send { conversation, .. }
        | Command::Add { conversation, .. }
        | Command::Answer { conversation, .. }
        | Command::Stop { conversation, .. }
        | Command::SetHead { conversation, .. }
        | Command::SetBranch { conversation, .. }
        | Command::SetDraft { conversation, .. }
        | Command::Enqueue { conversation, .. }
        | Command::EditQueued { conversation, .. }
        | Command::MoveQueued { conversation, .. }
        | Command::DropQueued { conversation, .. }
        | Command::SendQueued { conversation, .. }
        | Command::View { conversation: Some(conversation) } => Some(*conversation),
        _ => None,
    }
}

/// Conversations of which a command needs no more than how lists show them.
pub(super) fn rows(command: &Command) -> &[ConversationId] {
    match command {
        Command::Keep { conversations, .. } => conversations,
        Command::DeleteConversation { conversation } => std::slice::from_ref(conversation),
        _ => &[],
    }
}

/// What a command changes, before it is known to be committed.
#[derive(Default)]
pub(super) struct Change {
    pub(super) writes: Vec<Write>,
    pub(super) events: Vec<EventKind>,
    pub(super) load: Option<Opened>,
    pub(super) start: Option<Start>,
    pub(super) aborts: Vec<NodeId>,
    /// Where somebody went, to be remembered.
    pub(super) visit: Option<(ConversationId, NodeId)>,
    /// What it did, when that can be undone.
    pub(super) op: Option<Did>,
    /// What is said to whoever asked; `None`: that it is done.
    pub(super) ack: Option<Ack>,
    /// Not worth waiting for the disk itself.
    pub(super) lazy: bool,
}

impl Machine {
    pub(super) fn command(&mut self, client: ClientId, id: CommandId, command: Command, run: RunId, at: UnixMs) -> Vec<Effect> {
        let subject = match &command {
            Command::NewConversation { id, .. } => Some(*id),
            other => subject(other),
        };
        let change = match command {
            Command::NewConversation { .. } => self.new_conversation(command, at),
            Command::View { conversation } => self.view(client, conversation),
            Command::Send { .. } | Command::Answer { .. } => self.ask(command, run, at, None),
            Command::Enqueue { .. } => self.enqueue(command, run, at),
            Command::EditQueued { .. } | Command::MoveQueued { .. } | Command::DropQueued { .. } => self.change_queue(command),
            Command::SendQueued { conversation, node, beside } => self.send_queued(conversation, node, beside, (client, id), run, at),
            Command::Add { conversation, node, parent, role, content } => self.add(conversation, node, parent, role, content, at),
            Command::Stop { conversation, node } => self.stop(conversation, node),
            Command::DeleteConversation { conversation } => self.delete(conversation),
            Command::SetBranch { conversation, name, leaf } => self.set_branch(conversation, &name, leaf, at),
            Command::SetHead { conversation, head } => self.set_head(conversation, head, at),
            Command::Keep { conversations, change } => self.keep(&conversations, &change, at),
            Command::SaveFolder { folder } => self.save_folder(folder, at),
            fork @ Command::Fork { .. } => self.fork(&fork, run, at),
            graft @ Command::Graft { .. } => self.graft(&graft, run, at),
            Command::ArchiveBranch { conversation, node, archived } => self.archive_branch(conversation, node, archived, at),
            Command::Rate { conversation, node, rating } => self.rate(conversation, node, rating, at),
            Command::React { conversation, node, reaction, on } => self.react(conversation, node, &reaction, on, at),
            Command::Bookmark { conversation, node, note } => self.bookmark(conversation, node, note.as_deref(), at),
            Command::SetMark { conversation, letter, node } => self.set_mark(conversation, letter, node, at),
            Command::Visit { conversation, leaf } => self.visit_leaf(conversation, leaf),
            Command::Rename { .. }
            | Command::SetSystem { .. }
            | Command::SetParameters { subject: Subject::Conversation(_), .. }
            | Command::SetPreset { .. }
            | Command::SetModel { .. }
            | Command::SetDraft { .. } => self.settle(command, at),
            other => return vec![Effect::Perform { client, id, command: other }],
        };
        self.carried(client, id, subject, change, at)
    }

    /// A conversation's settings become those of a version.
    pub(super) fn restore(
        &mut self,
        client: ClientId,
        id: CommandId,
        conversation: ConversationId,
        state: Settings,
        number: u32,
        at: UnixMs,
    ) -> Vec<Effect> {
        let change = self.doc(conversation).map(|doc| {
            let mut changed = doc.conversation.clone();
            changed.parameters = state.parameters;
            changed.row.preset = state.pointed.preset;
            changed.system = state.pointed.system;
            settled(
                &doc.conversation,
                changed,
                at,
                Some(&format!("back to version {number}")),
                format!("went back to version {number}"),
                false,
            )
        });
        self.carried(client, id, Some(conversation), change, at)
    }

    /// A command about what lies in a folder or in the bin, and what lies there.
    pub(super) fn found(
        &mut self,
        client: ClientId,
        id: CommandId,
        command: &Command,
        conversations: &[ConversationId],
        at: UnixMs,
    ) -> Vec<Effect> {
        let change = match command {
            Command::DeleteFolder { id } => self.delete_folder(*id, conversations, at),
            _ => Ok(self.empty_bin(conversations)),
        };
        self.carried(client, id, None, change, at)
    }

    /// The effects of a change, or of why there is none.
    pub(super) fn carried(
        &mut self,
        client: ClientId,
        id: CommandId,
        subject: Option<ConversationId>,
        change: Result<Change>,
        at: UnixMs,
    ) -> Vec<Effect> {
        let change = match change {
            Ok(change) => change,
            Err(error) => return vec![Effect::Ack { client, id, result: Err(error) }],
        };
        let saved = subject.is_none_or(|subject| !self.unsaved.contains(&subject));
        let mut effects = Vec::new();
        if saved && !change.writes.is_empty() {
            let mut writes = change.writes;
            if let Some(did) = change.op.filter(|did| !did.steps.is_empty()) {
                let Did { conversation, about, steps } = did;
                writes.push(Write::Op(Op { command: id, client, at, conversation, about, steps }));
            }
            if !change.lazy {
                writes.push(Write::Applied { command: id, at });
            }
            effects.push(Effect::Persist { writes, sync: !change.lazy });
        }
        effects.extend(change.load.map(|opened| Effect::Load(Box::new(opened))));
        effects.extend(change.visit.map(|(conversation, leaf)| Effect::Visit { conversation, leaf }));
        let shown = change.events.into_iter().filter(|event| saved || !matches!(event, EventKind::Row(_)));
        effects.extend(shown.map(Effect::Emit));
        if let Some(start) = change.start {
            effects.push(self.begin(start));
        }
        effects.extend(change.aborts.into_iter().map(|node| Effect::Abort { node }));
        effects.push(Effect::Ack { client, id, result: Ok(change.ack.unwrap_or(Ack::Done)) });
        effects
    }

    /// An answer is produced from now on.
    pub(super) fn begin(&mut self, start: Start) -> Effect {
        let figures = Figures::default();
        let summarises = start.summary.is_some();
        self.live.insert(
            start.node,
            Live { conversation: start.conversation, figures, dirty: false, began: false, failed: Vec::new(), then: None, summarises },
        );
        Effect::Start(Box::new(start))
    }

    pub(super) fn doc(&self, conversation: ConversationId) -> Result<&Doc> {
        self.replica.docs.get(&conversation).ok_or_else(no_conversation)
    }

    fn new_conversation(&mut self, command: Command, at: UnixMs) -> Result<Change> {
        let Command::NewConversation { id, title, system, parameters: set, model, saved } = command else { return Ok(Change::default()) };
        if self.replica.docs.contains_key(&id) {
            return Ok(Change::default());
        }
        for (key, value) in &set.0 {
            parameters::check(key, value)?;
        }
        if !saved {
            self.unsaved.insert(id);
        }
        let title = title.map(|t| name("title", &t)).transpose()?.unwrap_or_default();
        // Whoever begins with a model begins with its preset.
        let preset = model.clone().or_else(|| self.default_model().ok()).and_then(|model| self.replica.model(&model)?.card.preset.clone());
        let titled = if title.is_empty() { Titled::Words } else { Titled::Person };
        let row = ConversationRow { title, titled, preset, model, ..ConversationRow::new(id, at) };
        let conversation = Conversation { system, parameters: set, ..Conversation::new(row.clone()) };
        let load = Opened { seq: 0, conversation: conversation.clone(), nodes: Vec::new(), contents: Vec::new() };
        let mut writes = vec![Write::Conversation(conversation.clone())];
        let begun = Settings::of_conversation(&conversation);
        writes.extend(Write::versions(&Subject::Conversation(id), &Settings::default(), &begun, at, Some("begun")));
        let steps = vec![Step::Deleted { conversation: id, from: Some(at), to: None }];
        let op = Some(Did { conversation: Some(id), about: "began a conversation".to_owned(), steps });
        Ok(Change { writes, load: Some(load), events: vec![EventKind::Row(row)], op, ..Change::default() })
    }

    fn view(&mut self, client: ClientId, conversation: Option<ConversationId>) -> Result<Change> {
        let Some(id) = conversation else {
            self.views.remove(&client);
            return Ok(Change::default());
        };
        let doc = self.doc(id)?;
        let mut changed = doc.conversation.clone();
        let unread = std::mem::take(&mut changed.row.unread);
        self.views.insert(client, id);
        if !unread {
            return Ok(Change::default());
        }
        let row = changed.row.clone();
        Ok(Change { writes: vec![Write::Conversation(changed)], events: vec![EventKind::Row(row)], lazy: true, ..Change::default() })
    }

    /// `Send` and `Answer`: both end in a new answer that a backend is to produce. `queued`: the prompt
    /// comes out of the queue.
    pub(super) fn ask(&self, command: Command, run: RunId, at: UnixMs, queued: Option<Begun>) -> Result<Change> {
        let (conversation, user, parent, answer, model, continues) = match command {
            Command::Send { conversation, node, parent, content, answer, model } => {
                (conversation, Some((node, content)), parent, answer, model, None)
            }
            Command::Answer { conversation, parent, answer, model, continues } => {
                (conversation, None, Some(parent), answer, model, continues)
            }
            _ => return Ok(Change::default()),
        };
        let doc = self.doc(conversation)?;
        if doc.node(answer).is_some() {
            return Ok(Change::default());
        }
        let above = parent.map(|id| super::marks::shown(doc, id)).transpose()?;
        if let Some(above) = above.filter(|above| above.state.is_running() && !queued.as_ref().is_some_and(|queued| queued.by_itself)) {
            return Err(Error::new(Kind::Busy, format!("The answer above is still {}.", above.state))
                .hint("Wait until it is done, or stop it with C-c; what you typed is kept."));
        }
        if user.is_none() && above.is_some_and(|above| !matches!(above.role, Role::User | Role::Tool)) {
            return Err(Error::new(Kind::Usage, "Only a message of yours can be answered."));
        }
        let model = match model.or_else(|| doc.conversation.row.model.clone()) {
            Some(model) => model,
            None => self.default_model()?,
        };
        let mut grown = queued.map_or_else(|| Grown::new(doc), Grown::queued);
        let mut change = Change::default();
        let settings = self.settings(&model, Some(&doc.conversation));
        let mut draft: Option<Content> = None;
        let mut under = parent;
        if let Some((id, content)) = user {
            let text = crate::proto::content_text(&content);
            has_words(&content)?;
            let role = speaker(doc, parent, &content)?;
            if doc.node(id).is_some() {
                return Err(Error::new(Kind::Usage, "This message was sent already."));
            }
            // Any other draft is still being written: on another screen, or put aside for an edit.
            if text == grown.conversation.draft {
                grown.conversation.draft.clear();
                grown.conversation.attached.clear();
            }
            draft = Some(content.clone());
            let node = fresh(id, parent, role, State::Sent, at, &content);
            if grown.conversation.row.title.is_empty() && parent.is_none() {
                grown.conversation.row.title = line(&text, &content, 48);
            }
            grown.node(&mut change, node, content);
            under = Some(id);
        }
        let mut begun = Content::new();
        if let Some(old) = continues {
            let known = doc.node(old).filter(|old| old.role == Role::Assistant && old.parent == parent);
            known.ok_or_else(|| no_message("the answer to continue"))?;
            begun = doc.content(old).cloned().unwrap_or_default();
        }
        // What it called tools for is not called again.
        begun.retain(|part| matches!(part, Part::Text { .. } | Part::Thinking { .. }));
        let continues_text = continues.is_some() && !crate::proto::content_text(&begun).is_empty();
        if !continues_text {
            begun.clear();
        }
        let Sendable { messages, left_out, summary } = self.sendable(doc, &settings, &model, continues.or(parent), draft.as_deref())?;
        self.can_read(&model, &messages)?;
        let mut node = fresh(answer, under, Role::Assistant, State::Queued, at, &begun);
        node.model = Some(model.clone());
        node.continues = continues.filter(|_| continues_text);
        node.run = Some(Box::new(Run { left_out, ..Run::new(run, model.clone(), at) }));
        grown.node(&mut change, node, begun);
        grown.conversation.row.model = Some(model.clone());
        grown.conversation.row.running += 1;
        grown.about = match &change.writes[..] {
            [Write::Node { content, .. }, _] => format!("sent {}", said(&crate::proto::content_text(content), "a message")),
            _ if continues_text => "let an answer go on".to_owned(),
            _ => format!("asked for an answer to {}", said(above.map_or("", |above| &above.snippet), "a message")),
        };
        waiting::follow(doc, &mut grown.conversation.queue, under, answer);
        let parameters = settings.parameters();
        change.writes.push(Write::Used {
            node: answer,
            parameters: parameters.clone(),
            system: settings.system().map(str::to_owned),
            subjects: settings.used.into_iter().chain([Subject::Conversation(conversation)]).collect(),
        });
        let mut parameters = parameters;
        parameters.0.remove(overflow::KEY);
        let start =
            Start { conversation, node: answer, run, model: model.clone(), messages, parameters, continues: continues_text, summary };
        grown.finish(&mut change, doc, answer, at);
        if names::recent(&self.replica.settings).first() != Some(&model) {
            let recent = names::used(&self.replica.settings, &model);
            for (key, value) in [(names::LAST_MODEL, serde_json::to_value(&model)), (names::RECENT_MODELS, serde_json::to_value(&recent))] {
                let (key, value) = (key.to_owned(), value.unwrap_or_default());
                change.writes.push(Write::Setting { key: key.clone(), value: value.clone() });
                change.events.push(EventKind::Setting { key, value });
            }
        }
        change.start = Some(start);
        Ok(change)
    }

    /// Which model answers when none is named.
    ///
    /// # Errors
    /// [`Kind::NoModel`], which lists what could be named.
    pub fn default_model(&self) -> Result<ModelRef> {
        names::default_model(&names::recent(&self.replica.settings), &self.replica.models, &self.replica.backends)
    }

    fn add(
        &self,
        conversation: ConversationId,
        id: NodeId,
        parent: Option<NodeId>,
        role: Role,
        content: Content,
        at: UnixMs,
    ) -> Result<Change> {
        let doc = self.doc(conversation)?;
        if doc.node(id).is_some() {
            return Ok(Change::default());
        }
        if let Some(parent) = parent {
            super::marks::shown(doc, parent)?;
        }
        let state = if role == Role::Assistant { State::Done } else { State::Sent };
        let mut grown = Grown::new(doc);
        let mut change = Change::default();
        let node = fresh(id, parent, role, state, at, &content);
        if grown.conversation.row.title.is_empty() && parent.is_none() {
            grown.conversation.row.title = line(&crate::proto::content_text(&content), &content, 48);
        }
        grown.about = format!("added {}", said(&node.snippet, "a message"));
        grown.node(&mut change, node, content);
        grown.finish(&mut change, doc, id, at);
        Ok(change)
    }

    /// The answers that are being produced in a conversation.
    pub(super) fn running_in(&self, conversation: ConversationId) -> impl Iterator<Item = NodeId> {
        self.live.iter().filter(move |(_, live)| live.conversation == conversation).map(|(id, _)| *id)
    }

    fn stop(&self, conversation: ConversationId, node: Option<NodeId>) -> Result<Change> {
        let aborts = self.running_in(conversation).filter(|id| node.is_none_or(|node| node == *id)).collect();
        Ok(Change { aborts, ..Change::default() })
    }

    fn set_head(&self, conversation: ConversationId, head: NodeId, at: UnixMs) -> Result<Change> {
        let doc = self.doc(conversation)?;
        let known = doc.node(head).filter(|node| !node.hidden).ok_or_else(|| no_message("the message to make HEAD"))?;
        if doc.conversation.head == Some(head) {
            return Ok(Change::default());
        }
        let about = format!("made {} HEAD", said(&known.snippet, "a message"));
        let steps = vec![Step::Head { conversation, from: doc.conversation.head, to: Some(head) }];
        self.act(Did { conversation: Some(conversation), about, steps }, at)
    }

    fn set_branch(&self, conversation: ConversationId, given: &str, leaf: Option<NodeId>, at: UnixMs) -> Result<Change> {
        let doc = self.doc(conversation)?;
        let name = name("branch", given)?;
        let known = doc.conversation.branches.get(&name).copied();
        if known == leaf && known.is_some() {
            return Ok(Change::default());
        }
        match leaf {
            Some(leaf) => {
                super::marks::shown(doc, leaf)?;
                if known.is_some() {
                    return Err(Error::new(Kind::Usage, format!("Another branch is called {} already.", quoted(&name)))
                        .hint("Choose another name, or forget the old one with :branch! NAME."));
                }
            }
            None if known.is_none() => {
                return Err(Error::new(Kind::NotFound, format!("No branch is called {}.", quoted(&name))));
            }
            None => {}
        }
        let shown = said(&name, "a branch");
        let about = if leaf.is_some() { format!("named the branch {shown}") } else { format!("forgot the branch {shown}") };
        let steps = vec![Step::Branch { conversation, name, from: known, to: leaf }];
        self.act(Did { conversation: Some(conversation), about, steps }, at)
    }

    /// Changes of a conversation's own fields.
    fn settle(&self, command: Command, at: UnixMs) -> Result<Change> {
        let Some(id) = subject(&command) else { return Ok(Change::default()) };
        let before = &self.doc(id)?.conversation;
        let mut changed = before.clone();
        let mut about = String::new();
        let mut lazy = false;
        match command {
            Command::Rename { title, .. } => {
                changed.row.title = name("title", &title)?;
                changed.row.titled = Titled::Person;
                about = format!("renamed {} to {}", said(&before.row.title, "the conversation"), said(&changed.row.title, "untitled"));
            }
            Command::SetSystem { text, .. } => {
                changed.system = text.filter(|t| !t.trim().is_empty());
                about = if changed.system.is_some() { "changed the system prompt" } else { "took the system prompt away" }.to_owned();
            }
            Command::SetParameters { changes, .. } => {
                changed.parameters = settings::change(&changed.parameters, &changes)?;
                let words = Settings::of_conversation(before).about(&Settings::of_conversation(&changed));
                about = format!("changed the settings ({})", words.unwrap_or_default());
            }
            Command::SetPreset { preset, .. } => {
                changed.row.preset = preset.map(|name| self.preset(&name)).transpose()?;
                about = match &changed.row.preset {
                    Some(preset) => format!("chose the preset {}", said(preset, "")),
                    None => "chose no preset".to_owned(),
                };
            }
            Command::SetModel { model, .. } => {
                about = format!("chose the model {}", harmless(&model.to_string()));
                changed.row.model = Some(model);
            }
            Command::SetDraft { text, attached, .. } => {
                changed.draft = text;
                changed.attached = attached;
                lazy = true;
            }
            _ => {}
        }
        Ok(settled(before, changed, at, None, about, lazy))
    }

    /// The name of a preset that a conversation can have, as it is written.
    fn preset(&self, name: &str) -> Result<String> {
        let presets = &self.replica.presets;
        let preset = settings::find(presets, name).ok_or_else(|| settings::no_preset(presets, name))?;
        if preset.kind != PresetKind::Preset {
            let (name, noun) = (quoted(&preset.name), preset.kind.noun());
            return Err(Error::new(Kind::Usage, format!("{name} is a {noun}: models and groups point to it, conversations have presets."))
                .hint("`:preset` lists those that there are."));
        }
        Ok(preset.name.clone())
    }
}

/// A conversation's own fields were changed: what is written and told, with a version when its settings are others.
fn settled(before: &Conversation, changed: Conversation, at: UnixMs, why: Option<&str>, about: String, lazy: bool) -> Change {
    let subject = Subject::Conversation(changed.row.id);
    let mut writes = vec![Write::Conversation(changed.clone())];
    writes.extend(Write::versions(&subject, &Settings::of_conversation(before), &Settings::of_conversation(&changed), at, why));
    let op = Some(Did { conversation: Some(changed.row.id), about, steps: Step::between(before, &changed) });
    let mut events = vec![EventKind::Conversation(changed.clone())];
    if !lazy {
        events.push(EventKind::Row(changed.row));
    }
    Change { writes, events, lazy, op, ..Change::default() }
}

pub(super) fn no_conversation() -> Error {
    Error::new(Kind::NotFound, "There is no such conversation; it may have been deleted.")
        .hint("`arbour conversations ls` lists those that there are.")
}

/// A conversation whose queue gave away a prompt that is now to be sent.
pub(super) struct Begun {
    pub(super) conversation: Conversation,
    /// The answer above has just ended; nobody pressed a key.
    pub(super) by_itself: bool,
}

/// A message with nothing in it is not sent.
pub(super) fn has_words(content: &Content) -> Result<()> {
    let empty = crate::proto::content_text(content).trim().is_empty();
    if empty && content.iter().all(|part| matches!(part, Part::Text { .. } | Part::Thinking { .. })) {
        return Err(Error::new(Kind::Usage, "There is nothing to send."));
    }
    Ok(())
}

pub(super) fn no_message(which: &str) -> Error {
    Error::new(Kind::NotFound, format!("There is no such message ({which}); it may be of another conversation."))
}

/// A title or a branch's name: one line, not empty, not endless.
pub(super) fn name(what: &str, given: &str) -> Result<String> {
    let clean: String = given.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let clean = clean.trim();
    if clean.is_empty() {
        return Err(Error::new(Kind::Usage, format!("A {what} needs at least one character.")));
    }
    Ok(clean.chars().take(LONGEST_NAME).collect())
}
