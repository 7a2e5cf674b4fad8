//! What is sent to a model for a message: the system prompt and the path of first parents, nothing else.
//!
//! Invariants: it depends only on what is passed in and on nodes that are never changed, so an old path keeps its meaning.
//! Answers in which nothing stands (failed before the first token) and hidden messages are left out; neighbours of the same role are
//! joined, since many chat templates demand that roles alternate. A call of a tool is sent only with its result, and a result only
//! behind its call: services refuse one without the other. Attachments are named here; the host brings what they hold.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Doc, estimate};
use crate::proto::{Facts, NodeId, Part, Role, Source};

/// One message as a model reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub role: Role,
    pub text: String,
    /// Earlier thinking; sent back only where it is asked for, or an unfinished answer needs it.
    pub thinking: Option<String>,
    /// What is attached, in order: it stands before the text.
    pub files: Vec<File>,
    /// Tools that the assistant called, in order.
    pub calls: Vec<Call>,
    /// Of a message of [`Role::Tool`]: what came of calls.
    pub results: Vec<Returned>,
}

/// A file that goes along with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    pub blob: String,
    pub mime: String,
    pub name: String,
    pub picture: bool,
    pub facts: Facts,
    /// What is sent of a picture, in base64; `mime` says what it is. `None`: it is not at hand.
    pub data: Option<Arc<str>>,
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub id: String,
    pub name: String,
    /// JSON, as the model wrote it.
    pub arguments: String,
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Returned {
    pub id: String,
    /// Of the tool that was called.
    pub name: String,
    pub content: String,
}

impl Message {
    /// A message of text alone.
    #[must_use]
    pub fn new(role: Role, text: impl Into<String>) -> Self {
        Self { role, text: text.into(), thinking: None, files: Vec::new(), calls: Vec::new(), results: Vec::new() }
    }

    /// Whether nothing stands in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty() && self.files.is_empty() && self.calls.is_empty() && self.results.is_empty()
    }

    /// The pictures that go along.
    pub fn pictures(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.picture)
    }

    /// What it adds to a prompt, in tokens; an estimate.
    #[must_use]
    pub fn tokens(&self) -> u32 {
        let calls = self.calls.iter().map(|call| estimate::text(&call.name) + estimate::text(&call.arguments));
        let results = self.results.iter().map(|result| estimate::text(&result.content));
        let files = self.files.iter().map(|file| file.facts.tokens);
        calls.chain(results).chain(files).fold(estimate::PER_MESSAGE + estimate::text(&self.text), u32::saturating_add)
    }
}

impl Call {
    /// The arguments as an object, for protocols that want one; what is none stands in one.
    #[must_use]
    pub fn given(&self) -> Value {
        match serde_json::from_str(&self.arguments) {
            Ok(Value::Object(fields)) => Value::Object(fields),
            _ if self.arguments.trim().is_empty() => Value::Object(Map::new()),
            _ => serde_json::json!({ "arguments": self.arguments }),
        }
    }
}

impl File {
    /// What people see in its place: `[image oak.png, 34 kB]`.
    #[must_use]
    pub fn placeholder(&self) -> String {
        let what = if self.picture { "image" } else { "file" };
        format!("[{what} {}, {} kB]", crate::error::harmless(&self.name), self.facts.bytes.div_ceil(1000))
    }
}

/// Messages of the path whose content is not at hand.
#[must_use]
pub fn missing(doc: &Doc, leaf: Option<NodeId>) -> Vec<NodeId> {
    leaf.map(|leaf| doc.path(leaf)).unwrap_or_default().into_iter().filter(|id| doc.content(*id).is_none()).collect()
}

/// The messages for an answer below `leaf`, after the system prompt in force; `draft` is a message of the person that is not in the tree
/// yet. Content that is not at hand ([`missing`]) is left out: whoever sends has fetched it before.
#[must_use]
pub fn messages(doc: &Doc, system: Option<&str>, leaf: Option<NodeId>, draft: Option<&[Part]>) -> Vec<Message> {
    let mut out: Vec<Message> = Vec::new();
    if let Some(system) = system.filter(|s| !s.trim().is_empty()) {
        out.push(Message::new(Role::System, system));
    }
    let path = leaf.map(|leaf| doc.path(leaf)).unwrap_or_default();
    for id in path {
        let (Some(node), Some(content)) = (doc.node(id), doc.content(id)) else { continue };
        if !node.hidden {
            add(&mut out, node.role, content);
        }
    }
    if let Some(draft) = draft {
        add(&mut out, Role::User, draft);
    }
    paired(out)
}

/// Adds a message: results of tools first, as a message of their own.
fn add(out: &mut Vec<Message>, role: Role, content: &[Part]) {
    let (mut message, mut returned) = (Message::new(role, String::new()), Message::new(Role::Tool, String::new()));
    let mut thinking = String::new();
    for part in content {
        match part {
            Part::Text { text } => message.text.push_str(text),
            Part::Thinking { text } => thinking.push_str(text),
            Part::ToolCall { id, name, arguments } => {
                message.calls.push(Call { id: id.clone(), name: name.clone(), arguments: arguments.clone() });
            }
            Part::ToolResult { id, content } => {
                // Which tool it was is looked for when all calls are known.
                returned.results.push(Returned { id: id.clone(), name: String::new(), content: content.clone() });
            }
            Part::Image { blob, mime, name, facts } => message.files.push(file(blob, mime, name, *facts, true)),
            Part::File { blob, mime, name, facts } => message.files.push(file(blob, mime, name, *facts, false)),
        }
    }
    message.thinking = (!thinking.is_empty()).then_some(thinking);
    for message in [returned, message] {
        if !message.is_empty() {
            push(out, message);
        }
    }
}

fn file(blob: &str, mime: &str, name: &str, facts: Facts, picture: bool) -> File {
    File { blob: blob.to_owned(), mime: mime.to_owned(), name: name.to_owned(), picture, facts, data: None }
}

fn push(out: &mut Vec<Message>, message: Message) {
    match out.last_mut() {
        Some(last) if last.role == message.role && message.role != Role::System => {
            if !last.text.is_empty() && !message.text.is_empty() {
                last.text.push_str("\n\n");
            }
            last.text.push_str(&message.text);
            last.files.extend(message.files);
            last.calls.extend(message.calls);
            last.results.extend(message.results);
        }
        _ => out.push(message),
    }
}

/// Leaves out calls that nobody answered; a result whose call is not there is told in words.
fn paired(messages: Vec<Message>) -> Vec<Message> {
    let mut out: Vec<Message> = Vec::with_capacity(messages.len());
    let mut messages = messages.into_iter().peekable();
    while let Some(mut message) = messages.next() {
        let answered: Vec<&str> = messages
            .peek()
            .filter(|next| next.role == Role::Tool)
            .into_iter()
            .flat_map(|next| next.results.iter().map(|r| r.id.as_str()))
            .collect();
        message.calls.retain(|call| answered.contains(&call.id.as_str()));
        let calls = out.last().map(|last| last.calls.as_slice()).unwrap_or_default();
        let mut strays = String::new();
        message.results.retain_mut(|result| {
            let call = calls.iter().find(|call| call.id == result.id);
            match call {
                Some(call) => result.name.clone_from(&call.name),
                None => strays.push_str(&format!("A tool returned:\n{}\n", result.content)),
            }
            call.is_some()
        });
        // Once each, in the order of the calls: that is how they are paired where there are no ids.
        let order = |result: &Returned| calls.iter().position(|call| call.id == result.id);
        message.results.sort_by_key(order);
        message.results.dedup_by(|later, first| later.id == first.id);
        if !message.is_empty() {
            push(&mut out, message);
        }
        if !strays.is_empty() {
            push(&mut out, Message::new(Role::User, strays.trim_end()));
        }
    }
    out
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
            .filter(|run| node.continues.is_none() && run.left_out.is_none())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::Content;

    fn result(id: &str, content: &str) -> Part {
        Part::ToolResult { id: id.into(), content: content.into() }
    }

    fn call(id: &str) -> Part {
        Part::ToolCall { id: id.into(), name: format!("tool {id}"), arguments: "{}".into() }
    }

    fn text(text: &str) -> Part {
        Part::Text { text: text.into() }
    }

    /// What is sent of these, in words.
    fn told(messages: &[(Role, Content)]) -> Vec<String> {
        let mut out = Vec::new();
        for (role, content) in messages {
            add(&mut out, *role, content);
        }
        let words = |m: &Message| {
            let calls: String = m.calls.iter().map(|c| format!(" call {}", c.id)).collect();
            let results: String = m.results.iter().map(|r| format!(" {}: {} = {}", r.id, r.name, r.content)).collect();
            let files: String = m.files.iter().map(File::placeholder).collect();
            format!("{}:{files} {}{calls}{results}", m.role.word(), m.text)
        };
        paired(out).iter().map(words).collect()
    }

    #[test]
    fn calls_go_with_their_results_and_never_alone() {
        use Role::{Assistant, Tool, User};
        let both = [(User, vec![text("a")]), (Assistant, vec![call("1"), call("2")]), (Tool, vec![result("2", "y"), result("1", "x")])];
        assert_eq!(told(&both), ["user: a", "assistant:  call 1 call 2", "tool:  1: tool 1 = x 2: tool 2 = y"]);
        let apart =
            [(Assistant, vec![call("1"), call("2")]), (Tool, vec![result("2", "y")]), (Tool, vec![result("1", "x"), result("1", "z")])];
        assert_eq!(told(&apart), ["assistant:  call 1 call 2", "tool:  1: tool 1 = x 2: tool 2 = y"], "merged, each once");
        let one = [(Assistant, vec![text("b"), call("1"), call("2")]), (Tool, vec![result("1", "x")])];
        assert_eq!(told(&one), ["assistant: b call 1", "tool:  1: tool 1 = x"]);
        let none = [(User, vec![text("a")]), (Assistant, vec![call("1")]), (User, vec![text("never mind")])];
        assert_eq!(told(&none), ["user: a\n\nnever mind"], "what called nothing but an unanswered tool is left out");
        let stray = [(User, vec![text("a")]), (Tool, vec![result("9", "x")])];
        assert_eq!(told(&stray), ["user: a\n\nA tool returned:\nx"]);
        let words = [(Assistant, vec![call("1")]), (User, vec![result("1", "x"), text("go on")])];
        assert_eq!(told(&words), ["assistant:  call 1", "tool:  1: tool 1 = x", "user: go on"]);
    }

    #[test]
    fn attachments_go_along_without_words_too() {
        let facts = Facts { bytes: 33_500, tokens: 100, ..Facts::default() };
        let image = Part::Image { blob: "b".into(), mime: "image/png".into(), name: "o\u{1b}ak.png".into(), facts };
        assert_eq!(told(&[(Role::User, vec![image])]), ["user:[image o␦ak.png, 34 kB] "]);
        assert_eq!(told(&[(Role::User, Vec::new()), (Role::Assistant, vec![Part::Thinking { text: "hm".into() }])]), Vec::<String>::new());
    }
}
