//! What each command does.

use super::runs::{line, measure};
use super::sending::speaker;
use super::{Effect, Live, Machine, Start, Write};
use crate::core::settings::{self, State as Settings};
use crate::core::{Doc, names, parameters, prompt};
use crate::error::{Error, Kind, Result, quoted};
use crate::proto::{
    Ack, ClientId, Command, CommandId, Content, Conversation, ConversationId, ConversationRow, EventKind, Figures, ModelRef, Node, NodeId,
    Opened, Part, PresetKind, Role, Run, RunId, State, Subject, Titled, UnixMs,
};

/// Longest title and branch name, in characters.
const LONGEST_NAME: usize = 200;

/// The conversation whose document a command reads; `None` for those that need none.
pub(super) fn subject(command: &Command) -> Option<ConversationId> {
    match command {
        Command::Rename { conversation, .. }
        | Command::DeleteConversation { conversation }
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
        | Command::View { conversation: Some(conversation) } => Some(*conversation),
        _ => None,
    }
}

/// What a command changes, before it is known to be committed.
#[derive(Default)]
struct Change {
    writes: Vec<Write>,
    events: Vec<EventKind>,
    load: Option<Opened>,
    start: Option<Start>,
    aborts: Vec<NodeId>,
    /// Not worth waiting for the disk itself.
    lazy: bool,
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
            Command::Send { .. } | Command::Answer { .. } => self.ask(command, run, at),
            Command::Add { conversation, node, parent, role, content } => self.add(conversation, node, parent, role, content, at),
            Command::Stop { conversation, node } => self.stop(conversation, node),
            Command::DeleteConversation { conversation } => self.delete(conversation),
            Command::SetBranch { conversation, name, leaf } => self.set_branch(conversation, &name, leaf),
            Command::SetHead { conversation, head } => self.set_head(conversation, head),
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
            settled(&doc.conversation, changed, at, Some(&format!("back to version {number}")), false)
        });
        self.carried(client, id, Some(conversation), change, at)
    }

    /// The effects of a change, or of why there is none.
    fn carried(
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
            if !change.lazy {
                writes.push(Write::Applied { command: id, at });
            }
            effects.push(Effect::Persist { writes, sync: !change.lazy });
        }
        effects.extend(change.load.map(|opened| Effect::Load(Box::new(opened))));
        let shown = change.events.into_iter().filter(|event| saved || !matches!(event, EventKind::Row(_)));
        effects.extend(shown.map(Effect::Emit));
        if let Some(start) = change.start {
            let figures = Figures::default();
            self.live
                .insert(start.node, Live { conversation: start.conversation, figures, dirty: false, began: false, failed: Vec::new() });
            effects.push(Effect::Start(Box::new(start)));
        }
        effects.extend(change.aborts.into_iter().map(|node| Effect::Abort { node }));
        effects.push(Effect::Ack { client, id, result: Ok(Ack::Done) });
        effects
    }

    fn doc(&self, conversation: ConversationId) -> Result<&Doc> {
        self.replica.docs.get(&conversation).ok_or_else(|| {
            Error::new(Kind::NotFound, "There is no such conversation; it may have been deleted.")
                .hint("`arbour conversations ls` lists those that there are.")
        })
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
        Ok(Change { writes, load: Some(load), events: vec![EventKind::Row(row)], ..Change::default() })
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

    /// `Send` and `Answer`: both end in a new answer that a backend is to produce.
    fn ask(&self, command: Command, run: RunId, at: UnixMs) -> Result<Change> {
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
        let above = parent.map(|id| doc.node(id).ok_or_else(|| no_message("the message to answer"))).transpose()?;
        if let Some(above) = above.filter(|above| above.state.is_running()) {
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
        let mut grown = Grown::new(doc);
        let mut change = Change::default();
        let settings = self.settings(&model, Some(&doc.conversation));
        let system = settings.system();
        let mut messages = prompt::messages(doc, system, parent, None);
        let mut under = parent;
        if let Some((id, content)) = user {
            let text = crate::proto::content_text(&content);
            if text.trim().is_empty() && content.iter().all(|part| matches!(part, Part::Text { .. } | Part::Thinking { .. })) {
                return Err(Error::new(Kind::Usage, "There is nothing to send."));
            }
            let role = speaker(doc, parent, &content)?;
            if doc.node(id).is_some() {
                return Err(Error::new(Kind::Usage, "This message was sent already."));
            }
            // Any other draft is still being written: on another screen, or put aside for an edit.
            if text == grown.conversation.draft {
                grown.conversation.draft.clear();
                grown.conversation.attached.clear();
            }
            messages = prompt::messages(doc, system, parent, Some(&content));
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
            messages = prompt::messages(doc, system, Some(old), None);
        }
        // What it called tools for is not called again.
        begun.retain(|part| matches!(part, Part::Text { .. } | Part::Thinking { .. }));
        let continues_text = continues.is_some() && !crate::proto::content_text(&begun).is_empty();
        if !continues_text {
            begun.clear();
        }
        self.can_read(&model, &messages)?;
        let mut node = fresh(answer, under, Role::Assistant, State::Queued, at, &begun);
        node.model = Some(model.clone());
        node.continues = continues.filter(|_| continues_text);
        node.run = Some(Run::new(run, model.clone(), at));
        grown.node(&mut change, node, begun);
        grown.conversation.row.model = Some(model.clone());
        grown.conversation.row.running += 1;
        let parameters = settings.parameters();
        change.writes.push(Write::Used {
            node: answer,
            parameters: parameters.clone(),
            system: settings.system().map(str::to_owned),
            subjects: settings.used.into_iter().chain([Subject::Conversation(conversation)]).collect(),
        });
        let start = Start { conversation, node: answer, run, model: model.clone(), messages, parameters, continues: continues_text };
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
            doc.node(parent).ok_or_else(|| no_message("the message above"))?;
        }
        let state = if role == Role::Assistant { State::Done } else { State::Sent };
        let mut grown = Grown::new(doc);
        let mut change = Change::default();
        let node = fresh(id, parent, role, state, at, &content);
        if grown.conversation.row.title.is_empty() && parent.is_none() {
            grown.conversation.row.title = line(&crate::proto::content_text(&content), &content, 48);
        }
        grown.node(&mut change, node, content);
        grown.finish(&mut change, doc, id, at);
        Ok(change)
    }

    fn stop(&self, conversation: ConversationId, node: Option<NodeId>) -> Result<Change> {
        let aborts = self
            .live
            .iter()
            .filter(|(id, live)| live.conversation == conversation && node.is_none_or(|n| n == **id))
            .map(|(id, _)| *id)
            .collect();
        Ok(Change { aborts, ..Change::default() })
    }

    fn delete(&mut self, conversation: ConversationId) -> Result<Change> {
        self.doc(conversation)?;
        let aborts: Vec<NodeId> = self.live.iter().filter(|(_, live)| live.conversation == conversation).map(|(id, _)| *id).collect();
        for node in &aborts {
            self.live.remove(node);
        }
        self.views.retain(|_, viewed| *viewed != conversation);
        Ok(Change {
            writes: vec![Write::DeleteConversation(conversation)],
            events: vec![EventKind::ConversationRemoved { id: conversation }],
            aborts,
            ..Change::default()
        })
    }

    fn set_head(&self, conversation: ConversationId, head: NodeId) -> Result<Change> {
        let doc = self.doc(conversation)?;
        doc.node(head).filter(|node| !node.hidden).ok_or_else(|| no_message("the message to make HEAD"))?;
        if doc.conversation.head == Some(head) {
            return Ok(Change::default());
        }
        let mut changed = doc.conversation.clone();
        changed.head = Some(head);
        Ok(Change {
            writes: vec![Write::Conversation(changed)],
            events: vec![EventKind::Head { conversation, head: Some(head) }],
            ..Change::default()
        })
    }

    fn set_branch(&self, conversation: ConversationId, given: &str, leaf: Option<NodeId>) -> Result<Change> {
        let doc = self.doc(conversation)?;
        let name = name("branch", given)?;
        match leaf {
            Some(leaf) => {
                doc.node(leaf).ok_or_else(|| no_message("the message to name"))?;
                if doc.conversation.branches.get(&name).is_some_and(|at| *at != leaf) {
                    return Err(Error::new(Kind::Usage, format!("Another branch is called {} already.", quoted(&name)))
                        .hint("Choose another name, or forget the old one with :branch! NAME."));
                }
            }
            None if !doc.conversation.branches.contains_key(&name) => {
                return Err(Error::new(Kind::NotFound, format!("No branch is called {}.", quoted(&name))));
            }
            None => {}
        }
        Ok(Change {
            writes: vec![Write::Branch { conversation, name: name.clone(), leaf }],
            events: vec![EventKind::Branch { conversation, name, leaf }],
            ..Change::default()
        })
    }

    /// Changes of a conversation's own fields.
    fn settle(&self, command: Command, at: UnixMs) -> Result<Change> {
        let Some(id) = subject(&command) else { return Ok(Change::default()) };
        let before = &self.doc(id)?.conversation;
        let mut changed = before.clone();
        let mut lazy = false;
        match command {
            Command::Rename { title, .. } => {
                changed.row.title = name("title", &title)?;
                changed.row.titled = Titled::Person;
            }
            Command::SetSystem { text, .. } => changed.system = text.filter(|t| !t.trim().is_empty()),
            Command::SetParameters { changes, .. } => changed.parameters = settings::change(&changed.parameters, &changes)?,
            Command::SetPreset { preset, .. } => changed.row.preset = preset.map(|name| self.preset(&name)).transpose()?,
            Command::SetModel { model, .. } => changed.row.model = Some(model),
            Command::SetDraft { text, attached, .. } => {
                changed.draft = text;
                changed.attached = attached;
                lazy = true;
            }
            _ => {}
        }
        Ok(settled(before, changed, at, None, lazy))
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
fn settled(before: &Conversation, changed: Conversation, at: UnixMs, why: Option<&str>, lazy: bool) -> Change {
    let subject = Subject::Conversation(changed.row.id);
    let mut writes = vec![Write::Conversation(changed.clone())];
    writes.extend(Write::versions(&subject, &Settings::of_conversation(before), &Settings::of_conversation(&changed), at, why));
    let mut events = vec![EventKind::Conversation(changed.clone())];
    if !lazy {
        events.push(EventKind::Row(changed.row));
    }
    Change { writes, events, lazy, ..Change::default() }
}

/// A conversation to which nodes are being added.
struct Grown {
    conversation: Conversation,
    leaves: i64,
    first_parent: Option<NodeId>,
    added: u32,
}

impl Grown {
    fn new(doc: &Doc) -> Self {
        let (messages, leaves) = doc.counts();
        let mut conversation = doc.conversation.clone();
        conversation.row.messages = messages;
        Self { conversation, leaves: i64::from(leaves), first_parent: None, added: 0 }
    }

    fn node(&mut self, change: &mut Change, node: Node, content: Content) {
        if self.added == 0 {
            self.first_parent = node.parent;
        }
        self.added += 1;
        let conversation = self.conversation.row.id;
        change.writes.push(Write::Node { conversation, node: node.clone(), content: content.clone() });
        change.events.push(EventKind::Node { conversation, node, content });
    }

    /// Moves HEAD to the last added node, and the branches whose leaf was HEAD with it when that leaf was extended or replaced.
    fn finish(mut self, change: &mut Change, doc: &Doc, head: NodeId, at: UnixMs) {
        let id = self.conversation.row.id;
        let extends_leaf = self.first_parent.is_some_and(|parent| doc.children(Some(parent)).next().is_none());
        if !extends_leaf {
            self.leaves += 1;
        }
        self.conversation.row.messages += self.added;
        self.conversation.row.branches = u32::try_from(self.leaves).unwrap_or(0);
        self.conversation.row.updated = at;
        let old = doc.conversation.head;
        self.conversation.head = Some(head);
        let follows = old.is_some_and(|old| {
            let leaf = doc.node(old);
            let above = leaf.and_then(|n| n.parent);
            let above_that = above.and_then(|n| doc.node(n)).and_then(|n| n.parent);
            let extended = self.first_parent == Some(old);
            let asked_again = self.added == 1 && above.is_some() && self.first_parent == above;
            let edited = self.added == 2 && above.is_some() && self.first_parent == above_that;
            extended || asked_again || edited
        });
        if follows && let Some(old) = old {
            for name in doc.branch_names(old) {
                self.conversation.branches.insert(name.to_owned(), head);
                change.writes.push(Write::Branch { conversation: id, name: name.to_owned(), leaf: Some(head) });
            }
        }
        // After the nodes, so that foreign keys hold; before the run starts.
        change.writes.push(Write::Conversation(self.conversation.clone()));
        change.events.push(EventKind::Row(self.conversation.row.clone()));
        change.events.push(EventKind::Conversation(self.conversation));
    }
}

fn fresh(id: NodeId, parent: Option<NodeId>, role: Role, state: State, at: UnixMs, content: &Content) -> Node {
    let mut node = Node::new(id, parent, role, state, at);
    measure(&mut node, content);
    node
}

fn no_message(which: &str) -> Error {
    Error::new(Kind::NotFound, format!("There is no such message ({which}); it may be of another conversation."))
}

/// A title or a branch's name: one line, not empty, not endless.
fn name(what: &str, given: &str) -> Result<String> {
    let clean: String = given.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let clean = clean.trim();
    if clean.is_empty() {
        return Err(Error::new(Kind::Usage, format!("A {what} needs at least one character.")));
    }
    Ok(clean.chars().take(LONGEST_NAME).collect())
}
