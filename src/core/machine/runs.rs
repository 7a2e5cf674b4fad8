//! Running answers: phases, text, figures, the end.

use super::commands::Change;
use super::{Effect, Machine, Write};
use crate::core::{Counts, estimate};
use crate::error::{Error, Kind};
use crate::proto::{
    Attempt, ClientId, Content, ConversationId, DeltaKind, EventKind, Figure, Finish, Node, NodeId, Part, Progress, Role, State, UnixMs,
    content_text,
};

impl Machine {
    pub(super) fn phase(&mut self, node: NodeId, state: State, mut progress: Progress, at: UnixMs) -> Vec<Effect> {
        let Some(live) = self.live.get(&node) else { return Vec::new() };
        let conversation = live.conversation;
        let Some(known) = self.node(conversation, node) else { return Vec::new() };
        // Once text flows, a late report of an earlier phase tells nothing.
        if live.began && !matches!(state, State::Thinking | State::Writing) {
            return Vec::new();
        }
        let same = known.state == state;
        let last = known.run.as_ref().map(|run| run.progress.clone()).unwrap_or_default();
        progress.since = if same && last.since != 0 { last.since } else { at };
        if same && last == progress {
            return Vec::new();
        }
        vec![Effect::Emit(EventKind::State { conversation, node, state, progress })]
    }

    /// An attempt failed before its first token and is to be made again.
    pub(super) fn again(&mut self, node: NodeId, failed: Attempt, mut progress: Progress, at: UnixMs) -> Vec<Effect> {
        let Some(live) = self.live.get_mut(&node).filter(|live| !live.began) else { return Vec::new() };
        live.failed.push(failed);
        progress.since = at;
        vec![Effect::Emit(EventKind::State { conversation: live.conversation, node, state: State::Connecting, progress })]
    }

    /// What a model wrote of the messages that are left out is sent in their place: it belongs to the answer from now on.
    pub(super) fn summarised(&mut self, node: NodeId, summary: String) -> Vec<Effect> {
        let Some(live) = self.live.get_mut(&node) else { return Vec::new() };
        live.summarises = false;
        let conversation = live.conversation;
        let Some(mut known) = self.node(conversation, node).cloned() else { return Vec::new() };
        let Some(left_out) = known.run.as_mut().and_then(|run| run.left_out.as_mut()) else { return Vec::new() };
        left_out.summary = Some(summary);
        let content = self.content(conversation, node);
        let mut effects = Vec::new();
        if !self.unsaved.contains(&conversation) {
            effects.push(Effect::Persist { writes: vec![Write::Nodes { nodes: vec![known.clone()] }], sync: false });
        }
        effects.push(Effect::Emit(EventKind::Node { conversation, node: known, content }));
        effects
    }

    pub(super) fn delta(&mut self, node: NodeId, kind: DeltaKind, text: String, at: UnixMs) -> Vec<Effect> {
        if text.is_empty() {
            return Vec::new();
        }
        let Some(live) = self.live.get_mut(&node) else { return Vec::new() };
        live.dirty = true;
        live.began = true;
        let conversation = live.conversation;
        let Some(known) = self.node(conversation, node) else { return Vec::new() };
        let mut effects: Vec<Effect> = self.accepted(conversation, known, at).into_iter().collect();
        let state = if kind == DeltaKind::Thinking { State::Thinking } else { State::Writing };
        if known.state != state {
            let progress = Progress { since: at, ..Progress::default() };
            effects.push(Effect::Emit(EventKind::State { conversation, node, state, progress }));
        }
        effects.push(Effect::Emit(EventKind::Delta { conversation, node, kind, at: known.bytes, text }));
        effects
    }

    pub(super) fn tool_call(&mut self, node: NodeId, id: String, name: String, arguments: String, at: UnixMs) -> Vec<Effect> {
        let Some(live) = self.live.get_mut(&node) else { return Vec::new() };
        live.dirty = true;
        live.began = true;
        let conversation = live.conversation;
        let Some(known) = self.node(conversation, node).cloned() else { return Vec::new() };
        let mut effects: Vec<Effect> = self.accepted(conversation, &known, at).into_iter().collect();
        let mut content = self.content(conversation, node);
        let id = if id.is_empty() { call_id(node, &content) } else { id };
        content.push(Part::ToolCall { id, name, arguments });
        effects.push(Effect::Emit(EventKind::Node { conversation, node: known, content }));
        effects
    }

    /// A model that answers has read the message that it answers: ✓✓.
    fn accepted(&self, conversation: ConversationId, answer: &Node, at: UnixMs) -> Option<Effect> {
        let node = answer.parent.filter(|parent| self.node(conversation, *parent).is_some_and(|n| n.state == State::Sent))?;
        let progress = Progress { since: at, ..Progress::default() };
        Some(Effect::Emit(EventKind::State { conversation, node, state: State::Accepted, progress }))
    }

    pub(super) fn checkpoint(&mut self) -> Vec<Effect> {
        let mut dirty: Vec<(ConversationId, NodeId)> = Vec::new();
        for (node, live) in &mut self.live {
            if std::mem::take(&mut live.dirty) {
                dirty.push((live.conversation, *node));
            }
        }
        let writes: Vec<Write> = dirty
            .into_iter()
            .filter(|(conversation, _)| !self.unsaved.contains(conversation))
            .map(|(conversation, node)| Write::Checkpoint { node, content: self.content(conversation, node) })
            .collect();
        if writes.is_empty() { Vec::new() } else { vec![Effect::Persist { writes, sync: false }] }
    }

    pub(super) fn ended(&mut self, node: NodeId, result: Result<Finish, Error>, at: UnixMs) -> Vec<Effect> {
        let Some(live) = self.live.remove(&node) else { return Vec::new() };
        let conversation = live.conversation;
        let Some(mut ended) = self.node(conversation, node).cloned() else { return Vec::new() };
        let content = self.content(conversation, node);
        let (state, finish, error) = match result {
            Ok(finish) => (State::Done, finish, None),
            Err(error) if error.kind == Kind::Cancelled => (State::Stopped, Finish::Cancelled, None),
            Err(error) if error.kind == Kind::HostGone => (State::Stopped, Finish::HostStopped, None),
            Err(error) => (State::Failed, Finish::Error, Some(error)),
        };
        ended.state = state;
        measure(&mut ended, &content);
        if let Some(run) = &mut ended.run {
            run.figures.merge(&live.figures);
            run.failed = live.failed;
            // Nothing was sent.
            run.left_out.take_if(|_| live.summarises);
            run.enter(state, at);
            // Millisecond clocks of this century fit a double exactly.
            let total = (at - run.started).max(0) as f64;
            run.figures.total_ms.get_or_insert(Figure::measured(total));
            run.finished = Some(at);
            run.finish = Some(finish);
            run.error = error;
            run.progress = Progress::default();
        }
        // An answer without a word is one too.
        let accepted = if state == State::Done { self.accepted(conversation, &ended, at) } else { None };
        let mut effects = Vec::new();
        let mut writes = vec![Write::Finish { conversation, node: ended.clone(), content: Some(content) }];
        let user = ended.parent.and_then(|parent| self.node(conversation, parent));
        if let Some(user) = user.filter(|user| user.state == State::Accepted || accepted.is_some()) {
            writes.push(Write::Finish { conversation, node: Node { state: State::Accepted, ..user.clone() }, content: None });
        }
        let seen = self.is_seen(conversation);
        if let Some(doc) = self.replica.docs.get(&conversation) {
            let mut changed = doc.conversation.clone();
            let others = doc.running().filter(|other| other.id != node).count();
            changed.row.running = u32::try_from(others).unwrap_or(u32::MAX);
            changed.row.updated = at;
            // Nobody waits for what was taken back.
            changed.row.unread = !seen && (!ended.hidden || changed.row.unread);
            let present = doc.nodes().iter().map(|other| if other.id == node { &ended } else { other });
            changed.row.tokens = Counts::of(present).tokens;
            let saved = !self.unsaved.contains(&conversation);
            // In the same transaction: a prompt that waited is never sent twice, nor lost.
            let next = self.go_on(&changed, &ended, live.then, at).unwrap_or_else(|| Change {
                writes: vec![Write::Conversation(changed.clone())],
                events: vec![EventKind::Row(changed.row)],
                ..Change::default()
            });
            writes.extend(next.writes);
            if saved {
                effects.push(Effect::Persist { writes, sync: true });
            }
            effects.extend(accepted);
            effects.push(Effect::Emit(EventKind::Finished { conversation, node: ended }));
            let shown = next.events.into_iter().filter(|event| saved || !matches!(event, EventKind::Row(_)));
            effects.extend(shown.map(Effect::Emit));
            effects.extend(next.start.map(|start| self.begin(start)));
        }
        effects
    }

    /// Somebody looks at a client again: what waits there is read.
    pub(super) fn awake(&mut self, client: ClientId, awake: bool) -> Vec<Effect> {
        if !awake {
            self.asleep.insert(client);
            return Vec::new();
        }
        let was = self.asleep.remove(&client);
        let viewed = self.views.get(&client).and_then(|viewed| self.replica.docs.get(viewed)).filter(|_| was);
        let Some(mut row) = viewed.map(|doc| doc.conversation.row.clone()).filter(|row| row.unread) else { return Vec::new() };
        row.unread = false;
        let mut effects = Vec::new();
        if !self.unsaved.contains(&row.id) {
            effects.push(Effect::Persist { writes: vec![Write::Row(row.clone())], sync: false });
        }
        effects.push(Effect::Emit(EventKind::Row(row)));
        effects
    }

    pub(super) fn node(&self, conversation: ConversationId, node: NodeId) -> Option<&Node> {
        self.replica.docs.get(&conversation)?.node(node)
    }

    pub(super) fn content(&self, conversation: ConversationId, node: NodeId) -> Content {
        self.replica.docs.get(&conversation).and_then(|doc| doc.content(node)).cloned().unwrap_or_default()
    }
}

/// Fills in what is derived from a message's content: size, tokens, the line that lists show.
pub fn measure(node: &mut Node, content: &[Part]) {
    let text = content_text(content);
    node.bytes = content
        .iter()
        .map(|part| match part {
            Part::Text { text } | Part::Thinking { text } => text.len() as u64,
            _ => 0,
        })
        .sum();
    node.tokens = estimate::content(content);
    let calls = content.iter().any(|part| matches!(part, Part::ToolCall { .. }));
    if node.role == Role::Assistant && text.is_empty() && !calls {
        node.tokens = 0;
    }
    node.snippet = line(&text, content, 80);
}

/// The line that lists show of a message: of its text, else of what else stands in it.
pub(super) fn line(text: &str, content: &[Part], most: usize) -> String {
    let own = first_line(text, most);
    if !own.is_empty() {
        return own;
    }
    let told = content.iter().find_map(|part| match part {
        Part::Image { name, .. } | Part::File { name, .. } | Part::ToolCall { name, .. } => Some(name),
        Part::ToolResult { content, .. } => Some(content),
        Part::Text { .. } | Part::Thinking { .. } => None,
    });
    told.map(|told| first_line(told, most)).unwrap_or_default()
}

/// An id for a call to which its server gave none: nine letters and digits, as the strictest chat templates want it.
fn call_id(node: NodeId, content: &[Part]) -> String {
    let nth = content.iter().filter(|part| matches!(part, Part::ToolCall { .. })).count();
    let whole = node.to_string().replace('-', "");
    format!("{}{nth:02}", &whole[whole.len().saturating_sub(7)..])
}

/// The first line that has words, harmless, cut to `most` characters at a word if one ends near.
pub(super) fn first_line(text: &str, most: usize) -> String {
    let words = |line: &&str| line.chars().any(char::is_alphanumeric) && !line.starts_with("```") && !line.starts_with("~~~");
    let line = text.lines().map(str::trim).find(words).or_else(|| text.lines().find(|l| !l.trim().is_empty()));
    let line = line.unwrap_or_default().trim().trim_start_matches(['#', '>', '*', '-', ' ']);
    let clean: String =
        line.chars().filter(|c| !c.is_control() && !matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')).collect();
    if clean.chars().count() <= most {
        return clean;
    }
    let cut: String = clean.chars().take(most - 1).collect();
    let end = cut.rfind(' ').filter(|at| *at * 3 > cut.len() * 2).unwrap_or(cut.len());
    format!("{}…", cut[..end].trim_end())
}
