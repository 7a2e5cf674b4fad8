//! The rules of conversations, without IO: commands go in, effects come out, a driver of ten lines carries them out.

mod acts;

use super::*;
use crate::core::Doc;
use crate::error::Kind;
use crate::proto::{Event, Figure, IdGen, ModelInfo, Part, Role, Subject, content_text};

/// Carries out effects as the host does, on nothing but memory.
pub(super) struct Bench {
    pub(super) machine: Machine,
    pub(super) ids: IdGen,
    pub(super) client: ClientId,
    seq: u64,
    now: UnixMs,
    pub(super) conversation: ConversationId,
    pub(super) starts: Vec<Start>,
    pub(super) aborts: Vec<NodeId>,
    pub(super) writes: Vec<Write>,
    pub(super) last: Result<Ack, Error>,
}

impl Bench {
    pub(super) fn new() -> Self {
        let mut ids = IdGen::Counting(0);
        let mut bench = Self {
            machine: Machine::default(),
            client: ids.fresh(),
            conversation: ids.fresh(),
            seq: 0,
            now: 1_000,
            starts: Vec::new(),
            aborts: Vec::new(),
            writes: Vec::new(),
            last: Ok(Ack::Done),
            ids,
        };
        let id = bench.conversation;
        bench.run(Command::NewConversation { id, title: None, system: None, parameters: Parameters::default(), model: None, saved: true });
        bench
    }

    pub(super) fn run(&mut self, command: Command) {
        let (id, run) = (self.ids.fresh(), self.ids.fresh());
        let client = self.client;
        self.feed(Input::Command { client, id, command, run });
    }

    pub(super) fn feed(&mut self, input: Input) {
        self.now += 10;
        for effect in self.machine.handle(input, self.now) {
            match effect {
                Effect::Persist { writes, .. } => self.writes.extend(writes),
                Effect::Load(opened) => self.machine.load(*opened),
                Effect::Visit { conversation, leaf } => self.machine.visited(conversation, leaf),
                Effect::Emit(kind) => {
                    self.seq += 1;
                    self.machine.replica.apply(&Event { seq: self.seq, at: self.now, kind });
                }
                Effect::Start(start) => self.starts.push(*start),
                Effect::Abort { node } => self.aborts.push(node),
                Effect::Ack { result, .. } => self.last = result,
                Effect::Perform { command, .. } => panic!("not a conversation's command: {command:?}"),
            }
        }
    }

    pub(super) fn model(&self) -> ModelRef {
        ModelRef { backend: "test".into(), model: "m".into() }
    }

    pub(super) fn send(&mut self, parent: Option<NodeId>, text: &str) -> (NodeId, NodeId) {
        let (node, answer) = (self.ids.fresh(), self.ids.fresh());
        let content = vec![Part::Text { text: text.into() }];
        let (conversation, model) = (self.conversation, Some(self.model()));
        self.run(Command::Send { conversation, node, parent, content, answer, model });
        (node, answer)
    }

    pub(super) fn answer(&mut self, parent: NodeId, continues: Option<NodeId>) -> NodeId {
        let answer = self.ids.fresh();
        let conversation = self.conversation;
        self.run(Command::Answer { conversation, parent, answer, model: None, continues });
        answer
    }

    pub(super) fn write(&mut self, node: NodeId, text: &str) {
        self.feed(Input::Delta { node, kind: DeltaKind::Text, text: text.into() });
    }

    pub(super) fn end(&mut self, node: NodeId) {
        self.feed(Input::Ended { node, result: Ok(Finish::Stop) });
    }

    pub(super) fn doc(&self) -> &Doc {
        &self.machine.replica.docs[&self.conversation]
    }

    pub(super) fn text(&self, node: NodeId) -> String {
        self.doc().content(node).map(|c| content_text(c)).unwrap_or_default()
    }
}

#[test]
fn a_message_is_sent_answered_and_measured() {
    let mut b = Bench::new();
    let (user, answer) = b.send(None, "# Write quicksort\nin Rust");
    assert_eq!(b.doc().conversation.row.title, "Write quicksort");
    assert_eq!(b.doc().conversation.head, Some(answer));
    assert_eq!(b.doc().node(user).unwrap().state, State::Sent);
    assert_eq!(b.starts[0].messages, [Message::new(Role::User, "# Write quicksort\nin Rust")]);
    b.feed(Input::Phase { node: answer, state: State::Connecting, progress: Progress::default() });
    assert_eq!(b.doc().node(answer).unwrap().state, State::Connecting);
    b.feed(Input::Delta { node: answer, kind: DeltaKind::Thinking, text: "hm".into() });
    assert_eq!(b.doc().node(answer).unwrap().state, State::Thinking);
    assert_eq!(b.doc().node(user).unwrap().state, State::Accepted, "the first token shows that the prompt was read");
    b.write(answer, "Here ");
    b.write(answer, "it is");
    b.feed(Input::Phase { node: answer, state: State::Reading, progress: Progress::default() });
    assert_eq!(b.doc().node(answer).unwrap().state, State::Writing, "a late phase tells nothing");
    b.feed(Input::Figures { node: answer, figures: Figures { prompt_tokens: Some(Figure::server(7.0)), ..Figures::default() } });
    b.end(answer);
    let node = b.doc().node(answer).unwrap();
    let run = node.run.as_ref().unwrap();
    assert_eq!((node.state, node.bytes, node.snippet.as_str()), (State::Done, 12, "Here it is"));
    assert_eq!(run.finish, Some(Finish::Stop));
    assert_eq!(run.figures.prompt_tokens, Some(Figure::server(7.0)));
    assert!(run.figures.total_ms.is_some_and(|t| t.value > 0.0));
    assert_eq!(b.doc().conversation.row.running, 0);
    assert!(b.doc().conversation.row.unread, "nobody looked");
}

#[test]
fn asking_again_makes_a_sibling_and_the_branch_follows() {
    let mut b = Bench::new();
    let (user, first) = b.send(None, "hello");
    b.write(first, "one");
    b.end(first);
    let conversation = b.conversation;
    b.run(Command::SetBranch { conversation, name: "main".into(), leaf: Some(first) });
    let second = b.answer(user, None);
    assert_eq!(b.doc().place(second), (2, 2));
    assert_eq!(b.doc().conversation.branches["main"], second, "its leaf was HEAD and was replaced");
    assert_eq!(b.doc().conversation.row.branches, 2);
    b.write(second, "two");
    b.end(second);
    let (_, third) = b.send(Some(second), "more");
    assert_eq!(b.doc().conversation.branches["main"], third, "its leaf was extended");
    b.end(third);
    let other = b.answer(user, None);
    assert_eq!(b.doc().conversation.branches["main"], third, "an act above leaves it where it was");
    assert_eq!(b.doc().conversation.head, Some(other));
    assert_eq!(b.doc().conversation.row.messages, 6);
}

#[test]
fn a_continued_answer_begins_with_the_old_text_and_measures_the_new() {
    let mut b = Bench::new();
    let (user, first) = b.send(None, "count");
    b.write(first, "one two");
    b.feed(Input::Ended { node: first, result: Err(Error::new(Kind::Cancelled, "stopped")) });
    assert_eq!(b.doc().node(first).unwrap().state, State::Stopped);
    let second = b.answer(user, Some(first));
    assert_eq!(b.text(second), "one two");
    let start = b.starts.last().unwrap();
    assert!(start.continues);
    assert_eq!(start.messages.last().unwrap().text, "one two");
    b.write(second, " three");
    b.end(second);
    assert_eq!((b.text(first), b.text(second)), ("one two".into(), "one two three".into()));
    assert_eq!(b.doc().node(second).unwrap().continues, Some(first));
}

#[test]
fn what_failed_keeps_what_came_and_is_not_sent_when_empty() {
    let mut b = Bench::new();
    let (_, answer) = b.send(None, "hello");
    b.feed(Input::Ended { node: answer, result: Err(Error::new(Kind::Refused, "Nobody listens.")) });
    assert_eq!(b.doc().node(answer).unwrap().state, State::Failed);
    b.send(Some(answer), "are you there?");
    let sent: Vec<&str> = b.starts[1].messages.iter().map(|m| m.text.as_str()).collect();
    assert_eq!(sent, ["hello\n\nare you there?"], "roles alternate, the empty answer is left out");
}

#[test]
fn a_prompt_under_a_running_answer_is_refused_and_nothing_changes() {
    let mut b = Bench::new();
    let (_, answer) = b.send(None, "hello");
    let before = b.doc().clone();
    b.send(Some(answer), "and?");
    assert_eq!(b.last.as_ref().unwrap_err().kind, Kind::Busy);
    assert_eq!(*b.doc(), before);
    assert_eq!(b.starts.len(), 1);
}

#[test]
fn the_same_command_counts_once() {
    let mut b = Bench::new();
    let (node, answer): (NodeId, NodeId) = (b.ids.fresh(), b.ids.fresh());
    let content = vec![Part::Text { text: "hi".into() }];
    let command = Command::Send { conversation: b.conversation, node, parent: None, content, answer, model: Some(b.model()) };
    b.run(command.clone());
    let writes = b.writes.len();
    b.run(command);
    assert_eq!((b.last.clone(), b.writes.len(), b.starts.len()), (Ok(Ack::Done), writes, 1));
}

#[test]
fn stopping_aborts_what_runs_there_only() {
    let mut b = Bench::new();
    let (_, answer) = b.send(None, "hello");
    let conversation = b.conversation;
    b.run(Command::Stop { conversation, node: None });
    assert_eq!(b.aborts, [answer]);
    let elsewhere = b.ids.fresh();
    b.run(Command::Stop { conversation: elsewhere, node: None });
    assert_eq!(b.aborts.len(), 1);
}

#[test]
fn an_answer_that_is_looked_at_is_not_unread() {
    let mut b = Bench::new();
    let conversation = b.conversation;
    b.run(Command::View { conversation: Some(conversation) });
    let (_, answer) = b.send(None, "hello");
    b.end(answer);
    assert!(!b.doc().conversation.row.unread);
    b.feed(Input::ClientGone { client: b.client });
    let (_, answer) = b.send(Some(answer), "again");
    b.end(answer);
    assert!(b.doc().conversation.row.unread);
    b.run(Command::View { conversation: Some(conversation) });
    assert!(!b.doc().conversation.row.unread);
}

#[test]
fn checkpoints_write_only_what_grew() {
    let mut b = Bench::new();
    let (_, answer) = b.send(None, "hello");
    b.writes.clear();
    b.feed(Input::Checkpoint);
    assert!(b.writes.is_empty());
    b.write(answer, "abc");
    assert!(b.machine.is_dirty());
    b.feed(Input::Checkpoint);
    b.feed(Input::Checkpoint);
    assert_eq!(b.writes, [Write::Checkpoint { node: answer, content: vec![Part::Text { text: "abc".into() }] }]);
}

#[test]
fn an_unsaved_conversation_writes_nothing_and_shows_in_no_list() {
    let mut b = Bench::new();
    b.conversation = b.ids.fresh();
    b.writes.clear();
    let id = b.conversation;
    b.run(Command::NewConversation { id, title: None, system: None, parameters: Parameters::default(), model: None, saved: false });
    let (_, answer) = b.send(None, "secret");
    b.write(answer, "x");
    b.feed(Input::Checkpoint);
    b.end(answer);
    assert_eq!(b.doc().node(answer).unwrap().state, State::Done);
    assert!(b.writes.iter().all(|w| matches!(w, Write::Setting { .. })), "{:?}", b.writes);
}

#[test]
fn bad_parameters_and_names_are_refused() {
    let mut b = Bench::new();
    let conversation = b.conversation;
    for command in [
        Command::SetParameters { subject: Subject::Conversation(conversation), changes: vec![("temperature".into(), Some("hot".into()))] },
        Command::SetParameters { subject: Subject::Conversation(conversation), changes: vec![("nonsense".into(), None)] },
        Command::Rename { conversation, title: " \n ".into() },
    ] {
        b.run(command.clone());
        assert_eq!(b.last.as_ref().map_err(|e| e.kind), Err(Kind::Usage), "{command:?}");
    }
    b.run(Command::SetBranch { conversation, name: "x".into(), leaf: None });
    assert_eq!(b.last.as_ref().map_err(|e| e.kind), Err(Kind::NotFound));
}

#[test]
fn usage_takes_the_servers_count_where_there_is_one() {
    let mut b = Bench::new();
    let (_, answer) = b.send(None, "hello");
    b.write(answer, "hi there");
    b.feed(Input::Figures { node: answer, figures: Figures { prompt_tokens: Some(Figure::server(1000.0)), ..Figures::default() } });
    b.end(answer);
    let usage = prompt::usage(b.doc(), None, Some(answer), "next");
    assert!(usage.measured && (1005..1030).contains(&usage.tokens), "{usage:?}");
    assert!(!prompt::usage(b.doc(), None, None, "next").measured);
}

#[test]
fn lists_show_the_first_line_with_words() {
    for (text, line) in [
        ("```rust\nfn main() {}\n```", "fn main() {}"),
        ("\n\n  ## A title\nmore", "A title"),
        ("---\n> quoted", "quoted"),
        ("```\n```", "```"),
        ("", ""),
    ] {
        assert_eq!(super::runs::first_line(text, 40), line, "{text:?}");
    }
}

#[test]
fn every_state_of_an_answer_has_its_time_and_failed_attempts_are_kept() {
    let mut b = Bench::new();
    let (_, answer) = b.send(None, "hello");
    let phase = |state, progress| Input::Phase { node: answer, state, progress };
    b.feed(phase(State::Connecting, Progress::default()));
    let failed = Attempt { at: 1_030, error: Error::new(Kind::Refused, "Nobody listens there.") };
    let waits = Progress { retry_at: Some(5_000), attempt: 2, attempts: 5, why: "refused".into(), ..Progress::default() };
    b.feed(Input::Again { node: answer, failed: failed.clone(), progress: waits });
    let run = |b: &Bench| b.doc().node(answer).unwrap().run.clone().unwrap();
    assert_eq!((run(&b).progress.retry_at, run(&b).progress.since), (Some(5_000), b.now));
    b.feed(phase(State::Connecting, Progress { attempt: 2, attempts: 5, ..Progress::default() }));
    assert_eq!(run(&b).progress.retry_at, None, "the next attempt goes on");
    b.feed(phase(State::Reading, Progress::default()));
    b.feed(phase(State::Reading, Progress { done: Some(1), total: Some(2), ..Progress::default() }));
    b.feed(Input::Delta { node: answer, kind: DeltaKind::Thinking, text: "hm".into() });
    b.write(answer, "Hello");
    let late = Attempt { at: b.now, error: Error::new(Kind::Disconnected, "It broke.") };
    b.feed(Input::Again { node: answer, failed: late, progress: Progress::default() });
    assert_eq!(b.doc().node(answer).unwrap().state, State::Writing, "never after the first token");
    b.end(answer);
    let run = run(&b);
    assert_eq!(run.failed, [failed]);
    let states: Vec<State> = run.timeline.iter().map(|(state, _)| *state).collect();
    assert_eq!(states, [State::Queued, State::Connecting, State::Reading, State::Thinking, State::Writing, State::Done]);
    assert!(run.timeline.windows(2).all(|pair| pair[0].1 < pair[1].1), "{:?}", run.timeline);
    assert_eq!(run.timeline.last().map(|(_, at)| *at), run.finished);
    let stored = b.writes.iter().rev().find_map(|write| match write {
        Write::Finish { node, .. } if node.id == answer => node.run.clone(),
        _ => None,
    });
    assert_eq!(stored, Some(run), "what is shown is stored");
}

#[test]
fn a_model_that_goes_back_and_forth_makes_no_endless_timeline() {
    let mut b = Bench::new();
    let (_, answer) = b.send(None, "hello");
    for n in 0..500 {
        let kind = if n % 2 == 0 { DeltaKind::Thinking } else { DeltaKind::Text };
        b.feed(Input::Delta { node: answer, kind, text: "x".into() });
    }
    b.end(answer);
    let run = b.doc().node(answer).unwrap().run.clone().unwrap();
    assert_eq!((run.timeline.len(), run.timeline[63].0), (64, State::Done));
}

#[test]
fn a_prompt_that_is_answered_by_a_tool_call_or_by_nothing_was_read() {
    let mut b = Bench::new();
    let (user, answer) = b.send(None, "call");
    b.feed(Input::ToolCall { node: answer, id: "1".into(), name: "f".into(), arguments: "{}".into() });
    assert_eq!(b.doc().node(user).unwrap().state, State::Accepted);
    b.end(answer);
    let (silent, nothing) = b.send(Some(answer), "say nothing");
    assert_eq!(b.doc().node(silent).unwrap().state, State::Sent);
    b.end(nothing);
    assert_eq!(b.doc().node(silent).unwrap().state, State::Accepted);
    let stored = |write: &Write| matches!(write, Write::Finish { node, .. } if node.id == silent && node.state == State::Accepted);
    assert!(b.writes.iter().any(stored));
    let (lost, failed) = b.send(Some(nothing), "nobody is there");
    b.feed(Input::Ended { node: failed, result: Err(Error::new(Kind::Refused, "No.")) });
    assert_eq!(b.doc().node(lost).unwrap().state, State::Sent, "nobody read it");
}

#[test]
fn pictures_go_to_models_that_see_or_may() {
    let mut b = Bench::new();
    let model = |name: &str, kind, capabilities: &[&str]| ModelInfo {
        state: crate::proto::ModelState::Loaded,
        capabilities: capabilities.iter().map(|c| (*c).to_owned()).collect(),
        ..ModelInfo::named("b", kind, name)
    };
    use crate::proto::BackendKind::{Anthropic, LlamaServer, Ollama, OpenAi};
    b.machine.replica.models = vec![
        model("blind", Ollama, &["completion", "tools"]),
        model("seeing", Ollama, &["completion", "vision"]),
        model("untold", Ollama, &[]),
        model("llama", LlamaServer, &["completion"]),
        model("service", OpenAi, &[]),
        model("claude", Anthropic, &["completion"]),
    ];
    let facts = crate::proto::Facts::default();
    let picture = Part::Image { blob: "b".into(), mime: "image/png".into(), name: "oak.png".into(), facts };
    for (name, goes) in [("blind", false), ("seeing", true), ("untold", true), ("llama", false), ("service", true), ("claude", true)] {
        let (conversation, node, answer) = (b.conversation, b.ids.fresh(), b.ids.fresh());
        let model = Some(ModelRef { backend: "b".into(), model: name.into() });
        b.run(Command::Send { conversation, node, parent: None, content: vec![picture.clone()], answer, model });
        assert_eq!(b.last.is_ok(), goes, "{name}: {:?}", b.last);
        assert_eq!(b.doc().node(node).is_some(), goes, "{name}");
        if let Err(error) = &b.last {
            assert_eq!(error.message, format!("“b/{name}” cannot see pictures, and “oak.png” would be sent to it."));
            assert_eq!(error.hints, ["Choose a model that sees, such as b/seeing."]);
        }
    }
}

#[test]
fn calls_without_ids_get_their_own() {
    let mut b = Bench::new();
    let (_, answer) = b.send(None, "look");
    for name in ["look", "measure"] {
        b.feed(Input::ToolCall { node: answer, id: String::new(), name: name.into(), arguments: "{}".into() });
    }
    b.end(answer);
    let content = b.doc().content(answer).unwrap();
    let ids: Vec<&str> =
        content.iter().filter_map(|part| if let Part::ToolCall { id, .. } = part { Some(id.as_str()) } else { None }).collect();
    assert!(ids.len() == 2 && ids[0] != ids[1], "{ids:?}");
    assert!(ids.iter().all(|id| id.len() == 9 && id.chars().all(|c| c.is_ascii_alphanumeric())), "{ids:?}");
    let node = b.doc().node(answer).unwrap();
    assert!(node.tokens > 0 && node.snippet == "look", "{node:?}");
}

#[test]
fn what_comes_while_nobody_looks_is_unread_until_somebody_does() {
    let mut b = Bench::new();
    let (conversation, client) = (b.conversation, b.client);
    b.run(Command::View { conversation: Some(conversation) });
    let (_, answer) = b.send(None, "hello");
    b.feed(Input::Awake { client, awake: false });
    b.write(answer, "Hi");
    b.end(answer);
    assert!(b.doc().conversation.row.unread);
    b.feed(Input::Awake { client, awake: true });
    assert!(!b.doc().conversation.row.unread);
    assert!(matches!(b.writes.last(), Some(Write::Row(row)) if !row.unread), "and stays read after a restart");
    let (_, second) = b.send(Some(answer), "again");
    b.feed(Input::Awake { client, awake: false });
    b.feed(Input::ClientGone { client });
    b.run(Command::View { conversation: Some(conversation) });
    b.write(second, "Hi");
    b.end(second);
    assert!(!b.doc().conversation.row.unread, "a client that came back is looked at");
}
