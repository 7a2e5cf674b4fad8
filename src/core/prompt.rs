//! What is sent to a model for a message: the system prompt and the path of first parents, nothing else.
//!
//! Invariant: it depends only on what is passed in and on nodes that are never changed, so an old path keeps its meaning.
//! Answers without text (failed before the first token) and hidden messages are left out; neighbours of the same role are
//! joined, since many chat templates demand that roles alternate.

use super::{Doc, estimate};
use crate::proto::{NodeId, Part, Role, Source, content_text};

/// One message as a model reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub role: Role,
    pub text: String,
    /// Earlier thinking; sent back only where the kind's protocol wants it.
    pub thinking: Option<String>,
}

/// Messages of the path whose content is not at hand.
#[must_use]
pub fn missing(doc: &Doc, leaf: Option<NodeId>) -> Vec<NodeId> {
    leaf.map(|leaf| doc.path(leaf)).unwrap_or_default().into_iter().filter(|id| doc.content(*id).is_none()).collect()
}

/// The messages for an answer below `leaf`, after the system prompt in force; `draft` is a user message that is not in the tree yet. Content that is not at hand
/// ([`missing`]) is left out: whoever sends has fetched it before.
#[must_use]
pub fn messages(doc: &Doc, system: Option<&str>, leaf: Option<NodeId>, draft: Option<&str>) -> Vec<Message> {
    let mut out: Vec<Message> = Vec::new();
    if let Some(system) = system.filter(|s| !s.trim().is_empty()) {
        out.push(Message { role: Role::System, text: system.to_owned(), thinking: None });
    }
    let path = leaf.map(|leaf| doc.path(leaf)).unwrap_or_default();
    for id in path {
        let (Some(node), Some(content)) = (doc.node(id), doc.content(id)) else { continue };
        let text = content_text(content);
        if node.hidden || text.is_empty() {
            continue;
        }
        let thinking: String =
            content.iter().filter_map(|p| if let Part::Thinking { text } = p { Some(text.as_str()) } else { None }).collect();
        push(&mut out, Message { role: node.role, text, thinking: (!thinking.is_empty()).then_some(thinking) });
    }
    if let Some(draft) = draft.filter(|d| !d.is_empty()) {
        push(&mut out, Message { role: Role::User, text: draft.to_owned(), thinking: None });
    }
    out
}

fn push(out: &mut Vec<Message>, message: Message) {
    match out.last_mut() {
        Some(last) if last.role == message.role && message.role != Role::System => {
            last.text.push_str("\n\n");
            last.text.push_str(&message.text);
        }
        _ => out.push(message),
    }
}

/// How much of the context a prompt takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt as it would be sent.
    pub tokens: u32,
    /// Part of it was counted by the server (for an earlier answer on this path); the rest is estimated.
    pub measured: bool,
}

/// The size of the prompt for a draft below `leaf`, with the system prompt in force. Where a server counted the prompt of an answer on the path, its count is used
/// up to there.
#[must_use]
pub fn usage(doc: &Doc, system: Option<&str>, leaf: Option<NodeId>, draft: &str) -> Usage {
    let path = leaf.map(|leaf| doc.path(leaf)).unwrap_or_default();
    let mut tokens = system.map_or(0, |s| estimate::text(s) + estimate::PER_MESSAGE);
    let mut measured = false;
    for id in path {
        let Some(node) = doc.node(id) else { continue };
        let counted = node
            .run
            .as_ref()
            .filter(|_| node.continues.is_none())
            .and_then(|run| run.figures.prompt_tokens)
            .filter(|figure| figure.source == Source::Server);
        if let Some(figure) = counted {
            // Token counts are far below 2^32; a server that lies is cut.
            tokens = figure.value.clamp(0.0, f64::from(u32::MAX / 2)) as u32;
            measured = true;
        }
        tokens = tokens.saturating_add(node.tokens);
    }
    if !draft.is_empty() {
        tokens = tokens.saturating_add(estimate::text(draft) + estimate::PER_MESSAGE);
    }
    Usage { tokens, measured }
}
