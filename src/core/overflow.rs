//! What of a path is sent when not all of it fits the context.
//!
//! Owns: which messages are left out, and how much there is room for. Refuses: to send or to ask. Invariant: pure; what is left out are
//! whole exchanges from the middle: the system prompt, the first message with its answer and the last exchange always stay, in their order,
//! and a call of a tool never loses its result.

use super::prompt::{self, Message};
use super::settings::Effective;
use super::{Doc, estimate, summary};
use crate::error::Kind;
use crate::proto::{BackendKind, LeftOut, ModelInfo, Node, NodeId, Part, Role, Source};

/// The parameter that says what becomes of a prompt that does not fit.
pub const KEY: &str = "overflow";
/// Its words: the screen asks first; what does not fit is left out from the middle; a summary is sent in its place.
pub const WORDS: &[&str] = &["ask", "cut", SUMMARISE];
/// The word for a summary.
pub const SUMMARISE: &str = "summarise";

/// How much there is room for, in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    pub context: u32,
    /// The longest answer, where that is set.
    pub answer: Option<u32>,
}

impl Room {
    /// The longest prompt that fits at all.
    #[must_use]
    pub fn most(self) -> u32 {
        self.context.saturating_sub(self.answer.unwrap_or(0))
    }

    /// The prompt to cut to: an answer whose length nobody bounds gets an eighth of the context, up to 1,024 tokens.
    #[must_use]
    pub fn cut_to(self) -> u32 {
        self.context.saturating_sub(self.answer.unwrap_or_else(|| (self.context / 8).min(1024)))
    }
}

/// The context that would really be in force: what a load is asked for, where the backend takes that, else what the backend says.
#[must_use]
pub fn context(info: &ModelInfo, settings: &Effective) -> Option<u32> {
    let asked = settings.values.get("context").and_then(|(n, _)| u32::try_from(n.as_i64()?).ok());
    match info.kind {
        BackendKind::Ollama | BackendKind::Embedded => asked.or(info.context),
        BackendKind::LlamaServer | BackendKind::OpenAi | BackendKind::Anthropic => info.context,
    }
    .or(info.context_max)
}

/// The room that a model has under these settings; `None`: nobody knows its context.
#[must_use]
pub fn room(info: &ModelInfo, settings: &Effective) -> Option<Room> {
    let answer = settings.values.get("max_tokens").and_then(|(n, _)| u32::try_from(n.as_i64()?).ok());
    context(info, settings).map(|context| Room { context, answer })
}

/// Whether what does not fit is left out without a question.
#[must_use]
pub fn cuts(settings: &Effective) -> bool {
    settings.values.get(KEY).is_some_and(|(word, _)| word.as_str().is_some_and(|word| word != "ask"))
}

/// Whether a summary is sent in place of what is left out.
#[must_use]
pub fn summarises(settings: &Effective) -> bool {
    settings.values.get(KEY).is_some_and(|(word, _)| word.as_str() == Some(SUMMARISE))
}

/// What comes below the path and is not in the tree yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draft {
    pub tokens: u32,
    /// It brings what came of tools that the last message called.
    pub results: bool,
}

impl Draft {
    /// A text that is being written; nothing, when it is empty.
    #[must_use]
    pub fn text(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self { tokens: estimate::text(text) + estimate::PER_MESSAGE, results: false })
    }

    #[must_use]
    pub fn content(content: &[Part]) -> Self {
        Self { tokens: estimate::content(content), results: content.iter().any(|part| matches!(part, Part::ToolResult { .. })) }
    }
}

/// What would be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub left_out: LeftOut,
    /// Messages of the path, those that are left out too.
    pub messages: usize,
    /// What goes out, in tokens.
    pub tokens: u32,
    /// Whether that fits.
    pub fits: bool,
}

/// Messages that belong together: one of the person with all that answers it.
#[derive(Default)]
struct Exchange {
    nodes: Vec<NodeId>,
    tokens: u32,
}

/// What is left out of the path to `leaf`, with a draft below it.
#[must_use]
pub fn plan(doc: &Doc, system: Option<&str>, leaf: Option<NodeId>, draft: Option<Draft>, room: Room) -> Plan {
    let system = system.filter(|text| !text.trim().is_empty()).map_or(0, |text| estimate::text(text) + estimate::PER_MESSAGE);
    let path: Vec<&Node> = leaf.map(|leaf| doc.path(leaf)).unwrap_or_default().into_iter().filter_map(|id| doc.node(id)).collect();
    let ratio = ratio(doc, &path, system);
    // Estimates are far below 2^52.
    let size = |tokens: u32| (f64::from(tokens) * ratio).ceil() as u32;
    let mut exchanges: Vec<Exchange> = Vec::new();
    let mut messages = 0;
    for node in path.iter().filter(|node| !node.hidden) {
        let results = doc.content(node.id).is_some_and(|content| content.iter().any(|part| matches!(part, Part::ToolResult { .. })));
        if (node.role == Role::User && !results) || exchanges.is_empty() {
            exchanges.push(Exchange::default());
        }
        if let Some(last) = exchanges.last_mut() {
            last.nodes.push(node.id);
            last.tokens = last.tokens.saturating_add(size(tokens(doc, node)));
        }
        messages += 1;
    }
    match (draft, exchanges.last_mut()) {
        (Some(draft), Some(last)) if draft.results => last.tokens = last.tokens.saturating_add(size(draft.tokens)),
        (Some(draft), _) => exchanges.push(Exchange { nodes: Vec::new(), tokens: size(draft.tokens) }),
        (None, _) => {}
    }
    let all = exchanges.iter().fold(size(system), |sum, exchange| sum.saturating_add(exchange.tokens));
    if all <= room.most() || exchanges.len() < 3 {
        return Plan { left_out: LeftOut::default(), messages, tokens: all, fits: all <= room.most() };
    }
    let last = exchanges.len() - 1;
    let mut kept = size(system).saturating_add(exchanges[0].tokens).saturating_add(exchanges[last].tokens);
    let mut from = last;
    while from > 1 && kept.saturating_add(exchanges[from - 1].tokens) <= room.cut_to() {
        from -= 1;
        kept = kept.saturating_add(exchanges[from].tokens);
    }
    let middle = &exchanges[1..from];
    let left_out = LeftOut {
        nodes: middle.iter().flat_map(|exchange| exchange.nodes.iter().copied()).collect(),
        tokens: middle.iter().fold(0, |sum: u32, exchange| sum.saturating_add(exchange.tokens)),
        summary: None,
    };
    Plan { left_out, messages, tokens: kept, fits: kept <= room.most() }
}

/// What is left out where a summary is sent in its place: that takes room too.
#[must_use]
pub fn plan_summary(doc: &Doc, system: Option<&str>, leaf: Option<NodeId>, draft: Option<Draft>, room: Room) -> Plan {
    let whole = plan(doc, system, leaf, draft, room);
    if whole.left_out.nodes.is_empty() {
        return whole;
    }
    plan(doc, system, leaf, draft, summary::beside(room))
}

/// The messages for an answer below `leaf` without those that are left out; a summary of them stands before the message of the person
/// that follows.
#[must_use]
pub fn messages(doc: &Doc, system: Option<&str>, leaf: Option<NodeId>, draft: Option<&[Part]>, left_out: &LeftOut) -> Vec<Message> {
    if left_out.nodes.is_empty() {
        return prompt::messages(doc, system, leaf, draft);
    }
    let mut lean = doc.clone();
    for id in &left_out.nodes {
        if let Some(node) = lean.node_mut(*id) {
            node.hidden = true;
        }
    }
    let Some(summary) = &left_out.summary else { return prompt::messages(&lean, system, leaf, draft) };
    let count = left_out.nodes.len();
    let path = leaf.map(|leaf| doc.path(leaf)).unwrap_or_default();
    let behind = path.iter().skip_while(|id| !left_out.nodes.contains(id)).filter(|id| lean.node(**id).is_some_and(|node| !node.hidden));
    match behind.copied().next() {
        Some(next) => {
            let content = summary::before(count, summary, doc.content(next).map(Vec::as_slice).unwrap_or_default());
            lean.set_content(next, content);
            prompt::messages(&lean, system, leaf, draft)
        }
        None => {
            let draft = draft.map(|draft| summary::before(count, summary, draft));
            prompt::messages(&lean, system, leaf, draft.as_deref())
        }
    }
}

/// What is left out, in words: `12 messages (~3,400 tokens)`.
#[must_use]
pub fn words(left_out: &LeftOut) -> String {
    let count = left_out.nodes.len();
    let tokens = left_out.tokens.to_string();
    let mut grouped = String::new();
    for (at, digit) in tokens.chars().enumerate() {
        if at > 0 && (tokens.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{count} message{} (~{grouped} tokens)", if count == 1 { "" } else { "s" })
}

/// What a message adds to the prompt. One that is being written is measured when it ends.
fn tokens(doc: &Doc, node: &Node) -> u32 {
    if !node.state.is_running() {
        return node.tokens;
    }
    doc.content(node.id).map_or(node.tokens, |content| estimate::content(content))
}

/// How much more a message is than estimated: as a server counted the last whole prompt of the path.
fn ratio(doc: &Doc, path: &[&Node], system: u32) -> f64 {
    let mut before = f64::from(system);
    let mut ratio = 1.0;
    for node in path.iter().filter(|node| !node.hidden) {
        let run = node.run.as_ref().filter(|run| run.left_out.is_none() && node.continues.is_none());
        let counted = run.and_then(|run| run.figures.prompt_tokens).filter(|figure| figure.source == Source::Server);
        if let Some(figure) = counted.filter(|_| before > 0.0) {
            // A server that lies moves no estimate further than that.
            ratio = (figure.value / before).clamp(0.5, 2.0);
        }
        before += f64::from(tokens(doc, node));
    }
    // It was sent as it is, and found too long: the server has said how long.
    let refused = path.last().into_iter().flat_map(|leaf| doc.all_children(Some(leaf.id))).filter_map(|answer| {
        let run = answer.run.as_ref().filter(|run| run.left_out.is_none())?;
        let too_long = run.error.as_ref().is_some_and(|error| error.kind == Kind::ContextExceeded);
        run.figures.prompt_tokens.filter(|figure| too_long && figure.source == Source::Server)
    });
    if let Some(figure) = refused.last().filter(|_| before > 0.0) {
        ratio = (figure.value / before).clamp(0.5, 2.0);
    }
    ratio
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::Error;
    use crate::proto::{Conversation, ConversationRow, Figure, IdGen, ModelRef, Run, State};

    /// A path of these messages, each so many tokens.
    fn path(messages: &[(Role, u32)]) -> (Doc, Vec<NodeId>) {
        let mut ids = IdGen::Counting(0);
        let conversation = Conversation::new(ConversationRow::new(ids.fresh(), 0));
        let mut nodes = Vec::new();
        let mut contents = Vec::new();
        let mut parent = None;
        for (role, tokens) in messages {
            let mut node = Node::new(ids.fresh(), parent, *role, State::Done, 0);
            node.tokens = *tokens;
            parent = Some(node.id);
            contents.push((node.id, vec![Part::Text { text: format!("{tokens}") }]));
            nodes.push(node);
        }
        let ids = nodes.iter().map(|node| node.id).collect();
        (Doc::new(conversation, nodes, contents), ids)
    }

    const TALK: [(Role, u32); 8] = [
        (Role::User, 10),
        (Role::Assistant, 10),
        (Role::User, 20),
        (Role::Assistant, 30),
        (Role::User, 20),
        (Role::Assistant, 30),
        (Role::User, 10),
        (Role::Assistant, 10),
    ];

    #[test]
    fn what_fits_is_sent_whole() {
        let (doc, ids) = path(&TALK);
        let plan = plan(&doc, None, ids.last().copied(), None, Room { context: 140, answer: None });
        assert_eq!((plan.left_out.nodes.len(), plan.tokens, plan.fits, plan.messages), (0, 140, true, 8));
    }

    #[test]
    fn the_middle_goes_first_by_whole_exchanges() {
        let (doc, ids) = path(&TALK);
        let draft = Some(Draft { tokens: 10, results: false });
        let plan = plan(&doc, None, ids.last().copied(), draft, Room { context: 120, answer: Some(10) });
        assert_eq!((plan.left_out.nodes.as_slice(), plan.left_out.tokens), (&ids[2..4], 50));
        assert_eq!((plan.tokens, plan.fits), (100, true));
        let draft = vec![Part::Text { text: "next".into() }];
        let sent = messages(&doc, Some("be"), ids.last().copied(), Some(&draft), &plan.left_out);
        let texts: Vec<&str> = sent.iter().map(|m| m.text.as_str()).collect();
        assert_eq!(texts, ["be", "10", "10", "20", "30", "10", "10", "next"]);
        assert_eq!(words(&LeftOut { nodes: ids, tokens: 1_234_567, summary: None }), "8 messages (~1,234,567 tokens)");
    }

    #[test]
    fn calls_stay_with_their_results() {
        let tools = [
            (Role::User, 10),
            (Role::Assistant, 10),
            (Role::User, 20),
            (Role::Assistant, 20),
            (Role::Tool, 20),
            (Role::Assistant, 20),
            (Role::User, 10),
        ];
        let (doc, ids) = path(&tools);
        let plan = plan(&doc, None, ids.last().copied(), None, Room { context: 100, answer: Some(10) });
        assert_eq!(plan.left_out.nodes, &ids[2..6]);
        let draft = Some(Draft { tokens: 500, results: true });
        let long = super::plan(&doc, None, Some(ids[4]), draft, Room { context: 100, answer: None });
        assert_eq!((long.left_out.nodes.len(), long.fits), (0, false), "what came of tools belongs to their call");
    }

    #[test]
    fn what_cannot_fit_is_said_and_not_cut_to_nothing() {
        let (doc, ids) = path(&TALK);
        let draft = Some(Draft { tokens: 1000, results: false });
        let plan = plan(&doc, None, ids.last().copied(), draft, Room { context: 500, answer: None });
        assert_eq!((plan.fits, plan.left_out.nodes.len()), (false, 6));
    }

    #[test]
    fn a_server_that_refused_the_prompt_has_said_how_long_it_is() {
        let (doc, ids) = path(&TALK);
        let total: u32 = TALK.iter().map(|(_, tokens)| tokens).sum();
        let room = Room { context: total + 10, answer: Some(0) };
        assert!(plan(&doc, None, ids.last().copied(), None, room).left_out.nodes.is_empty());
        let mut ids_of = IdGen::Counting(100);
        let mut refused = Node::new(ids_of.fresh(), ids.last().copied(), Role::Assistant, State::Failed, 1);
        let model = ModelRef { backend: "b".into(), model: "m".into() };
        let mut run = Run::new(ids_of.fresh(), model, 1);
        run.error = Some(Error::new(Kind::ContextExceeded, "Too long."));
        run.figures.prompt_tokens = Some(Figure::server(f64::from(total) * 1.2));
        refused.run = Some(Box::new(run));
        let nodes = doc.nodes().iter().cloned().chain([refused]).collect();
        let contents = ids.iter().filter_map(|id| Some((*id, doc.content(*id)?.clone())));
        let doc = Doc::new(doc.conversation.clone(), nodes, contents);
        let plan = plan(&doc, None, ids.last().copied(), None, room);
        assert!(plan.fits && !plan.left_out.nodes.is_empty(), "{plan:?}");
    }

    proptest! {
        #[test]
        fn a_plan_keeps_both_ends_and_the_order_and_fits_where_anything_does(
            sizes in proptest::collection::vec((any::<bool>(), 0u32..400), 1..40),
            draft in proptest::option::of(0u32..400),
            context in 16u32..6000,
            answer in proptest::option::of(1u32..2000),
        ) {
            let talk: Vec<(Role, u32)> =
                sizes.iter().map(|(user, tokens)| (if *user { Role::User } else { Role::Assistant }, *tokens)).collect();
            let (doc, ids) = path(&talk);
            let room = Room { context, answer };
            let draft = draft.map(|tokens| Draft { tokens, results: false });
            let plan = plan(&doc, None, ids.last().copied(), draft, room);
            let gone = &plan.left_out.nodes;
            prop_assert_eq!(plan.fits, plan.tokens <= room.most());
            prop_assert!(gone.is_empty() || !gone.contains(&ids[0]), "the first stays");
            let at: Vec<usize> = gone.iter().map(|id| ids.iter().position(|other| other == id).unwrap()).collect();
            prop_assert!(at.windows(2).all(|pair| pair[0] + 1 == pair[1]), "one run from the middle");
            if draft.is_none() {
                prop_assert!(!gone.contains(ids.last().unwrap()), "the last stays");
            }
            if let Some(first) = at.first() {
                prop_assert_eq!(talk[*first].0, Role::User, "whole exchanges");
            }
            let total: u32 = talk.iter().map(|(_, tokens)| tokens).sum::<u32>() + draft.map_or(0, |d| d.tokens);
            prop_assert_eq!(plan.tokens + plan.left_out.tokens, total);
            if total <= room.most() {
                prop_assert!(gone.is_empty());
            }
        }
    }
}
