//! Prompts that wait: order, what holds them, what they follow, and two screens at one queue.

use super::super::tests::Bench;
use crate::core::queue::{MOST, Standing, Why, standing};
use crate::core::{Input, Write};
use crate::error::{Error, Kind};
use crate::proto::{Ack, Command, Finish, Node, NodeId, Part, Role, State, content_text};

impl Bench {
    fn enqueue(&mut self, line: NodeId, text: &str) -> (NodeId, NodeId) {
        let (node, answer) = (self.ids.fresh(), self.ids.fresh());
        let content = vec![Part::Text { text: text.into() }];
        let (conversation, model) = (self.conversation, Some(self.model()));
        self.run(Command::Enqueue { conversation, line, node, answer, content, model });
        (node, answer)
    }

    fn queue(&self) -> Vec<String> {
        self.doc().conversation.queue.iter().map(|queued| content_text(&queued.content)).collect()
    }

    fn standing(&self, at: usize) -> Standing {
        standing(self.doc(), &self.doc().conversation.queue[at])
    }

    fn node(&self, id: NodeId) -> Node {
        self.doc().node(id).expect("it is there").clone()
    }

    fn fail(&mut self, node: NodeId, kind: Kind) {
        self.feed(Input::Ended { node, result: Err(Error::new(kind, "It ended so.")) });
    }

    fn send_queued(&mut self, node: NodeId, beside: bool) {
        let conversation = self.conversation;
        self.run(Command::SendQueued { conversation, node, beside });
    }
}

#[test]
fn prompts_go_out_one_after_the_other_each_under_the_answer_before() {
    let mut b = Bench::new();
    let (_, first) = b.send(None, "one");
    let (two, second) = b.enqueue(first, "two");
    let (three, third) = b.enqueue(first, "three");
    assert_eq!((b.doc().conversation.row.queued, b.starts.len()), (2, 1));
    assert_eq!((b.standing(0), b.standing(1)), (Standing::Waits, Standing::Waits));
    b.writes.clear();
    b.write(first, "1");
    b.end(first);
    assert_eq!((b.node(two).parent, b.node(second).parent), (Some(first), Some(two)));
    assert_eq!((b.queue(), b.doc().conversation.row.queued), (vec!["three".to_owned()], 1));
    assert_eq!(b.doc().conversation.queue[0].line, second, "the rest of the line waits for that one's answer");
    assert_eq!((b.doc().conversation.head, b.doc().conversation.row.running), (Some(second), 1));
    let sent: Vec<&str> = b.starts[1].messages.iter().map(|m| m.text.as_str()).collect();
    assert_eq!(sent, ["one", "1", "two"]);
    b.end(second);
    b.end(third);
    assert_eq!((b.node(three).parent, b.node(third).state, b.queue().len()), (Some(second), State::Done, 0));
    assert_eq!((b.doc().conversation.row.messages, b.doc().conversation.row.running), (6, 0));
}

#[test]
fn the_end_of_an_answer_and_what_follows_are_one_transaction() {
    let mut b = Bench::new();
    let (_, first) = b.send(None, "one");
    let (two, _) = b.enqueue(first, "two");
    let effects = b.machine.handle(Input::Ended { node: first, result: Ok(Finish::Stop) }, 9_000);
    let persists: Vec<&Vec<Write>> = effects
        .iter()
        .filter_map(|effect| if let crate::core::Effect::Persist { writes, .. } = effect { Some(writes) } else { None })
        .collect();
    let [writes] = persists[..] else { panic!("one transaction: {persists:?}") };
    assert!(writes.iter().any(|write| matches!(write, Write::Finish { node, .. } if node.id == first)));
    assert!(writes.iter().any(|write| matches!(write, Write::Node { node, .. } if node.id == two)));
    let kept: Vec<usize> =
        writes.iter().filter_map(|write| if let Write::Conversation(c) = write { Some(c.queue.len()) } else { None }).collect();
    assert_eq!(kept, [0], "it is in the queue or in the tree, never in both");
}

#[test]
fn an_answer_that_did_not_come_to_its_end_holds_the_line_and_says_why() {
    for (kind, why) in [(Kind::Cancelled, Why::Stopped), (Kind::Disconnected, Why::Failed), (Kind::HostGone, Why::HostEnded)] {
        let mut b = Bench::new();
        let (_, first) = b.send(None, "one");
        b.enqueue(first, "two");
        b.fail(first, kind);
        assert_eq!((b.standing(0), b.starts.len()), (Standing::Held(why), 1));
    }
    for (finish, why) in [(Finish::ToolCalls, Why::Tools), (Finish::ContentFilter, Why::Cut), (Finish::Other("odd".into()), Why::Cut)] {
        let mut b = Bench::new();
        let (_, first) = b.send(None, "one");
        b.enqueue(first, "two");
        b.feed(Input::Ended { node: first, result: Ok(finish) });
        assert_eq!((b.standing(0), b.starts.len()), (Standing::Held(why), 1));
    }
}

#[test]
fn a_held_line_follows_the_answer_that_is_asked_for_anew() {
    let mut b = Bench::new();
    let (user, first) = b.send(None, "one");
    let (two, _) = b.enqueue(first, "two");
    b.write(first, "1");
    b.fail(first, Kind::Cancelled);
    let again = b.answer(user, Some(first));
    assert_eq!((b.doc().conversation.queue[0].line, b.standing(0)), (again, Standing::Waits));
    b.fail(again, Kind::Disconnected);
    let third = b.answer(user, None);
    b.end(third);
    assert_eq!(b.node(two).parent, Some(third));
}

#[test]
fn a_line_held_by_tools_follows_the_answer_to_their_results() {
    let mut b = Bench::new();
    let (_, first) = b.send(None, "one");
    let (two, _) = b.enqueue(first, "two");
    b.feed(Input::Ended { node: first, result: Ok(Finish::ToolCalls) });
    let tool: NodeId = b.ids.fresh();
    let (conversation, content) = (b.conversation, vec![Part::Text { text: "42".into() }]);
    b.run(Command::Add { conversation, node: tool, parent: Some(first), role: Role::Tool, content });
    let mut queue = b.doc().conversation.queue.clone();
    let answer: NodeId = b.ids.fresh();
    crate::core::queue::follow(b.doc(), &mut queue, Some(tool), answer);
    assert_eq!((queue[0].node, queue[0].line), (two, answer));
}

#[test]
fn what_waits_for_nothing_is_sent_at_once() {
    let mut b = Bench::new();
    let (_, first) = b.send(None, "one");
    b.end(first);
    let (two, second) = b.enqueue(first, "two");
    assert_eq!((b.node(two).parent, b.starts.len(), b.queue().len()), (Some(first), 2, 0));
    // A screen that has not heard yet that the line went on.
    let (_, third) = b.enqueue(first, "three");
    assert_eq!(b.doc().conversation.queue[0].line, second, "it waits behind, it does not begin a branch");
    b.end(second);
    assert_eq!(b.node(third).state, State::Queued);
    // Whoever comes to a line that is held stands behind those who are there.
    b.enqueue(third, "four");
    b.fail(third, Kind::Cancelled);
    b.enqueue(third, "five");
    assert_eq!((b.queue(), b.standing(1)), (vec!["four".to_owned(), "five".to_owned()], Standing::Held(Why::Stopped)));
}

#[test]
fn sending_now_stops_the_answer_keeps_what_came_and_goes_under_it() {
    let mut b = Bench::new();
    let (_, first) = b.send(None, "one");
    let (two, _) = b.enqueue(first, "two");
    let (three, third) = b.enqueue(first, "three");
    b.write(first, "half");
    b.send_queued(three, false);
    assert_eq!((b.aborts.as_slice(), b.starts.len()), ([first].as_slice(), 1), "not before it has stopped");
    b.fail(first, Kind::Cancelled);
    assert_eq!((b.node(first).state, b.text(first)), (State::Stopped, "half".into()));
    assert_eq!((b.node(three).parent, b.queue()), (Some(first), vec!["two".to_owned()]));
    assert_eq!(b.doc().conversation.queue[0].line, third);
    b.end(third);
    assert_eq!(b.node(two).parent, Some(third));
    let starts = b.starts.len();
    b.send_queued(two, false);
    assert_eq!((b.last.clone(), b.starts.len()), (Ok(Ack::Done), starts), "sent is sent");
}

#[test]
fn sending_a_held_prompt_goes_under_the_answer_that_held_it() {
    let mut b = Bench::new();
    let (_, first) = b.send(None, "one");
    let (two, second) = b.enqueue(first, "two");
    let (three, _) = b.enqueue(first, "three");
    b.fail(first, Kind::Disconnected);
    b.send_queued(two, false);
    assert_eq!((b.node(two).parent, b.queue(), b.doc().conversation.row.queued), (Some(first), vec!["three".to_owned()], 1));
    b.end(second);
    assert_eq!(b.node(three).parent, Some(second));
}

#[test]
fn sending_beside_begins_a_branch_and_lets_the_answer_go_on() {
    let mut b = Bench::new();
    let (_, root) = b.send(None, "zero");
    b.end(root);
    let (one, first) = b.send(Some(root), "one");
    let (two, second) = b.enqueue(first, "two");
    let (three, _) = b.enqueue(first, "three");
    b.send_queued(two, true);
    assert!(b.aborts.is_empty());
    assert_eq!((b.node(two).parent, b.doc().place(two)), (b.node(one).parent, (2, 2)));
    assert_eq!((b.node(first).state.is_running(), b.node(second).state.is_running()), (true, true));
    assert_eq!((b.doc().conversation.queue[0].line, b.doc().conversation.head), (first, Some(second)));
    b.end(second);
    b.end(first);
    assert_eq!((b.node(three).parent, b.doc().conversation.head), (Some(first), Some(second)), "whoever looks elsewhere goes on doing so");
}

#[test]
fn prompts_are_edited_in_their_place_moved_and_dropped() {
    let mut b = Bench::new();
    let (_, first) = b.send(None, "one");
    let (two, _) = b.enqueue(first, "two");
    let (three, _) = b.enqueue(first, "three");
    let (four, _) = b.enqueue(first, "four");
    let conversation = b.conversation;
    let content = vec![Part::Text { text: "2".into() }];
    b.run(Command::EditQueued { conversation, node: two, content: content.clone() });
    b.run(Command::MoveQueued { conversation, node: four, to: 0 });
    b.run(Command::MoveQueued { conversation, node: two, to: 99 });
    assert_eq!(b.queue(), ["four", "three", "2"]);
    b.run(Command::DropQueued { conversation, node: three });
    b.run(Command::DropQueued { conversation, node: three });
    assert_eq!((b.last.clone(), b.queue()), (Ok(Ack::Done), vec!["four".to_owned(), "2".to_owned()]));
    assert_eq!(b.doc().conversation.row.queued, 2);
    b.run(Command::EditQueued { conversation, node: two, content: vec![Part::Text { text: " ".into() }] });
    assert_eq!(b.last.as_ref().map_err(|e| e.kind), Err(Kind::Usage));
    b.run(Command::MoveQueued { conversation, node: three, to: 0 });
    assert_eq!(b.last.as_ref().map_err(|e| e.kind), Err(Kind::NotFound));
    b.end(first);
    b.run(Command::EditQueued { conversation, node: four, content });
    assert!(b.last.as_ref().is_err_and(|e| e.message.contains("sent already")), "{:?}", b.last);
}

#[test]
fn the_queue_is_bounded_and_the_same_prompt_waits_once() {
    let mut b = Bench::new();
    let (_, first) = b.send(None, "one");
    let (conversation, model) = (b.conversation, Some(b.model()));
    let (node, answer): (NodeId, NodeId) = (b.ids.fresh(), b.ids.fresh());
    let command = Command::Enqueue { conversation, line: first, node, answer, content: vec![Part::Text { text: "two".into() }], model };
    b.run(command.clone());
    b.run(command.clone());
    assert_eq!(b.queue().len(), 1);
    for at in 1..MOST {
        b.enqueue(first, &at.to_string());
    }
    b.enqueue(first, "too many");
    assert_eq!((b.last.as_ref().map_err(|e| e.kind), b.queue().len()), (Err(Kind::Busy), MOST));
    b.enqueue(first, "  ");
    assert_eq!(b.last.as_ref().map_err(|e| e.kind), Err(Kind::Usage));
    b.end(first);
    b.run(command);
    assert_eq!((b.last.clone(), b.queue().len(), b.starts.len()), (Ok(Ack::Done), MOST - 1, 2), "it was sent; it is not sent again");
}

#[test]
fn what_was_typed_meanwhile_and_where_one_looks_stay() {
    let mut b = Bench::new();
    let (user, first) = b.send(None, "one");
    let other = b.answer(user, None);
    b.end(other);
    b.enqueue(first, "two");
    let conversation = b.conversation;
    b.run(Command::SetDraft { conversation, text: "half a thought".into(), attached: Vec::new() });
    b.end(first);
    assert_eq!((b.doc().conversation.draft.as_str(), b.doc().conversation.head), ("half a thought", Some(other)));
}

#[test]
fn a_host_that_ends_sends_nothing_more() {
    let mut b = Bench::new();
    let (_, first) = b.send(None, "one");
    b.enqueue(first, "two");
    b.machine.hold_queues();
    b.end(first);
    assert_eq!((b.starts.len(), b.standing(0)), (1, Standing::Held(Why::Unsent)));
}

/// A model of so little context.
fn narrow(b: &mut Bench, context: u32) {
    let mut info = crate::proto::ModelInfo::named("test", crate::proto::BackendKind::LlamaServer, "m");
    info.context = Some(context);
    b.machine.replica.models = vec![info];
}

#[test]
fn what_does_not_fit_is_cut_from_the_middle_where_the_settings_say_so_and_the_run_tells() {
    let mut b = Bench::new();
    let mut last = None;
    let mut middle = Vec::new();
    for text in ["first", "second", "third"] {
        let (user, answer) = b.send(last, &format!("{text} {}", "word ".repeat(40)));
        b.write(answer, "yes");
        b.end(answer);
        if text == "second" {
            middle = vec![user, answer];
        }
        last = Some(answer);
    }
    narrow(&mut b, 140);
    let (conversation, changes) = (b.conversation, vec![("overflow".to_owned(), Some("cut".into()))]);
    b.run(Command::SetParameters { subject: crate::proto::Subject::Conversation(conversation), changes });
    let (_, answer) = b.send(last, "and now?");
    assert_eq!(b.last, Ok(Ack::Done));
    let start = b.starts.last().unwrap();
    let sent: Vec<String> = start.messages.iter().map(|m| m.text.chars().take(5).collect()).collect();
    assert_eq!(sent, ["first", "yes", "third", "yes", "and n"]);
    assert!(!start.parameters.0.contains_key("overflow"), "no backend is told");
    let left_out = b.node(answer).run.unwrap().left_out.unwrap();
    assert_eq!((left_out.nodes, left_out.tokens > 40), (middle, true));
    b.end(answer);
    let starts = b.starts.len();
    b.send(Some(answer), &"word ".repeat(400));
    assert_eq!((b.last.as_ref().map_err(|e| e.kind), b.starts.len()), (Err(Kind::ContextExceeded), starts));
}

#[test]
fn what_does_not_fit_is_summarised_where_the_settings_say_so_and_only_what_is_new_of_it() {
    let mut b = Bench::new();
    let mut path = Vec::new();
    for (text, words) in [("first", 40), ("second", 200), ("third", 40)] {
        let (user, answer) = b.send(path.last().copied(), &format!("{text} {}", "word ".repeat(words)));
        b.write(answer, "yes");
        b.end(answer);
        path.extend([user, answer]);
    }
    narrow(&mut b, 290);
    let (conversation, changes) = (b.conversation, vec![("overflow".to_owned(), Some("summarise".into()))]);
    b.run(Command::SetParameters { subject: crate::proto::Subject::Conversation(conversation), changes });
    let (user, answer) = b.send(path.last().copied(), &format!("and now? {}", "word ".repeat(20)));
    assert_eq!(b.last, Ok(Ack::Done));
    let start = b.starts.last().unwrap().clone();
    let wanted = start.summary.unwrap();
    assert_eq!((wanted.count, wanted.known.as_deref(), wanted.most), (2, None, 36));
    let chunks = wanted.chunks(&wanted.messages).unwrap();
    assert!(chunks[0].starts_with("User: second word") && chunks.last().unwrap().ends_with("Assistant: yes"), "{chunks:?}");
    let mut filled = start.messages.clone();
    wanted.fill(&mut filled, "They agreed.");
    let roles: Vec<Role> = filled.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::User, Role::Assistant, Role::User, Role::Assistant, Role::User], "they go on alternating");
    let framed =
        "[In place of 2 earlier messages, which the context does not hold, their summary:\nThey agreed.\nEnd of the summary.]\n\nthird";
    assert!(filled[2].text.starts_with(framed), "{:?}", filled[2].text);
    let asked = wanted.parameters(&start.parameters);
    assert_eq!((asked.integer("max_tokens"), asked.0.contains_key("overflow")), (Some(36), false));

    // Its end, before anything was sent, leaves nothing that would say otherwise.
    let (_, failed) = b.send(Some(path[5]), &format!("or so? {}", "word ".repeat(20)));
    b.fail(failed, Kind::Server);
    assert_eq!(b.node(failed).run.unwrap().left_out, None);

    b.feed(Input::Summarised { node: answer, summary: "They agreed.".into() });
    b.write(answer, "yes");
    b.end(answer);
    let left_out = b.node(answer).run.unwrap().left_out.unwrap();
    assert_eq!((left_out.nodes.as_slice(), left_out.summary.as_deref()), (&path[2..4], Some("They agreed.")));
    let again = crate::core::overflow::messages(b.doc(), None, Some(user), None, &left_out);
    assert_eq!(again, filled, "put together again it is what was sent");

    let other = b.ids.fresh();
    let model = Some(b.model());
    b.run(Command::Answer { conversation, parent: user, answer: other, model, continues: None });
    let start = b.starts.last().unwrap();
    assert_eq!((&start.messages, &start.summary), (&filled, &None), "the same is not summarised twice");
    b.end(other);
    b.send(Some(answer), &format!("more {}", "word ".repeat(60)));
    let wanted = b.starts.last().unwrap().summary.clone().unwrap();
    assert_eq!((wanted.count, wanted.known.as_deref()), (4, Some("They agreed.")));
    assert!(wanted.messages[0].text.starts_with("third") && wanted.messages.len() == 2, "only what is new: {:?}", wanted.messages);
}

#[test]
fn a_queued_prompt_that_does_not_fit_waits_for_a_person() {
    let mut b = Bench::new();
    let (_, first) = b.send(None, "one");
    let (two, _) = b.enqueue(first, &"word ".repeat(400));
    narrow(&mut b, 100);
    b.end(first);
    assert_eq!((b.standing(0), b.starts.len()), (Standing::Held(Why::Unsent), 1));
    b.send_queued(two, false);
    assert_eq!((b.last.clone(), b.starts.len()), (Ok(Ack::Done), 2), "whoever says so sends it");
}

#[test]
fn a_prompt_that_was_queued_is_taken_back_wherever_it_is_by_now() {
    let mut b = Bench::new();
    let (_, first) = b.send(None, "one");
    let (two, second) = b.enqueue(first, "two");
    let queued_two = b.op();
    // Another waits behind it: each is taken back alone.
    b.enqueue(first, "three");
    let queued_three = b.op();
    b.undo(&queued_two, false);
    assert_eq!((b.undone().about.as_str(), b.queue()), ("queued “two”", vec!["three".to_owned()]));
    b.undo(&queued_two, true);
    assert_eq!((b.queue(), b.doc().conversation.row.queued), (vec!["two".to_owned(), "three".to_owned()], 2));
    b.undo(&queued_three, false);
    assert_eq!(b.queue(), ["two"]);
    // It went out by itself: it is in the tree, and leaves it. The branch that went along comes back.
    let conversation = b.conversation;
    b.run(Command::SetBranch { conversation, name: "main".into(), leaf: Some(first) });
    b.end(first);
    assert_eq!(b.doc().conversation.branches["main"], second);
    assert_eq!(b.node(two).state, State::Sent);
    b.end(second);
    b.undo(&queued_two, false);
    assert!(b.node(two).hidden && b.node(second).hidden && b.queue().is_empty());
    assert_eq!((b.doc().conversation.head, b.doc().conversation.row.messages), (Some(first), 2));
    assert_eq!(b.doc().conversation.branches["main"], first);
    b.undo(&queued_two, true);
    assert!(!b.node(two).hidden && !b.node(second).hidden);
    assert_eq!(b.doc().conversation.head, Some(second));
    // Not from under what was built on it.
    b.send(Some(second), "and?");
    b.undo(&queued_two, false);
    assert!(b.last.clone().unwrap_err().message.contains("messages were added below it since"), "{:?}", b.last);
}

#[test]
fn a_prompt_that_was_sent_before_its_turn_is_taken_back_by_either_of_its_acts() {
    let mut b = Bench::new();
    let (_, first) = b.send(None, "one");
    let (two, second) = b.enqueue(first, "two");
    let queued = b.op();
    b.send_queued(two, false);
    b.fail(first, Kind::Cancelled);
    let sent = b.op();
    assert_eq!((sent.about.as_str(), b.node(two).parent), ("sent “two”", Some(first)));
    b.end(second);
    for op in [&sent, &queued] {
        b.undo(op, false);
        assert_eq!(b.undone().about, op.about);
        assert!(b.node(two).hidden && b.node(second).hidden && b.queue().is_empty());
    }
    for op in [&queued, &sent] {
        b.undo(op, true);
        assert_eq!(b.undone().about, op.about);
        assert!(!b.node(two).hidden && !b.node(second).hidden && b.queue().is_empty());
    }
    assert_eq!(b.doc().conversation.row.messages, 4);
}
