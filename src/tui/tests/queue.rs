//! Prompts that wait, as a person meets them.

use super::super::fixture::*;
use super::super::msg::{Cmd, Msg};
use crate::error::{Error, Kind};
use crate::proto::*;

/// An answer that is being written at the end of the shown branch.
fn writing(bench: &mut Bench) {
    let (mut made, _) = message(60, Some(6), Role::User, "Go on.");
    made.state = State::Accepted;
    bench.event(EventKind::Node { conversation: conversation(1), node: made, content: vec![Part::Text { text: "Go on.".into() }] });
    let (mut made, _) = message(61, Some(60), Role::Assistant, "");
    made.state = State::Writing;
    if let Some(run) = &mut made.run {
        (run.finish, run.figures) = (None, Figures::default());
        run.progress.since = NOON;
    }
    bench.model.shared.view.leaf = Some(node(60));
    bench.model.shared.view.awaited = Some(node(61));
    bench.event(EventKind::Node { conversation: conversation(1), node: made, content: Vec::new() });
    assert_eq!(bench.model.shared.view.leaf, Some(node(61)));
}

fn queued(n: u128, text: &str) -> Queued {
    Queued { node: node(n), answer: node(n + 1), line: node(61), content: vec![Part::Text { text: text.into() }], model: None, at: NOON }
}

/// The host tells what waits.
fn waits(bench: &mut Bench, queue: Vec<Queued>) {
    let mut told = bench.model.shared.doc().unwrap().conversation.clone();
    told.row.queued = u32::try_from(queue.len()).unwrap();
    told.queue = queue;
    bench.event(EventKind::Conversation(told));
}

fn ends(bench: &mut Bench, state: State, finish: Finish) {
    let mut ended = bench.model.shared.doc().unwrap().node(node(61)).unwrap().clone();
    ended.state = state;
    if let Some(run) = &mut ended.run {
        run.finish = Some(finish);
    }
    bench.event(EventKind::Finished { conversation: conversation(1), node: ended });
}

#[test]
fn enter_while_the_answer_is_written_queues_the_prompt_and_says_so() {
    let mut bench = Bench::full(120, 30);
    writing(&mut bench);
    bench.keys("iand then?<Enter>");
    let posted = bench.posted();
    let enqueued = posted.iter().find_map(|command| match command {
        Command::Enqueue { line, node, answer, content, .. } => Some((*line, *node, *answer, content_text(content))),
        _ => None,
    });
    let Some((line, asked, answer, text)) = enqueued else { panic!("nothing was queued: {posted:?}") };
    assert_eq!((line, text.as_str()), (node(61), "and then?"));
    assert!(!posted.iter().any(|command| matches!(command, Command::Send { .. })));
    assert!(bench.model.shared.composer.borrow().is_empty());
    let mut item = queued(70, "and then?");
    (item.node, item.answer) = (asked, answer);
    waits(&mut bench, vec![item]);
    assert!(bench.shows("1 queued  and then?"));
    // It goes out: the view follows.
    ends(&mut bench, State::Done, Finish::Stop);
    for (id, parent, role) in [(asked, node(61), Role::User), (answer, asked, Role::Assistant)] {
        let (mut made, content) = message(71, None, role, "x");
        (made.id, made.parent) = (id, Some(parent));
        bench.event(EventKind::Node { conversation: conversation(1), node: made, content });
    }
    waits(&mut bench, Vec::new());
    assert_eq!(bench.model.shared.view.leaf, Some(answer));
    assert!(!bench.shows("1 queued"));
}

#[test]
fn a_second_prompt_typed_before_the_host_has_answered_waits_for_the_first() {
    let mut bench = Bench::full(120, 30);
    bench.keys("ione<Enter>two<Enter>");
    let posted = bench.posted();
    let sent = posted.iter().find_map(|c| if let Command::Send { answer, .. } = c { Some(*answer) } else { None });
    let line = posted.iter().find_map(|c| if let Command::Enqueue { line, .. } = c { Some(*line) } else { None });
    assert!(sent.is_some() && sent == line, "{posted:?}");
}

#[test]
fn a_prompt_that_the_host_does_not_queue_comes_back() {
    let mut bench = Bench::full(120, 30);
    writing(&mut bench);
    bench.keys("ione too many<Enter>");
    let tag = bench.cmds.iter().find_map(|c| if let Cmd::Post { tag, command: Command::Enqueue { .. } } = c { Some(*tag) } else { None });
    bench.msg(Msg::Ack { tag: tag.unwrap(), result: Err(Error::new(Kind::Busy, "100 prompts wait here already.")) });
    assert_eq!(bench.model.shared.composer.borrow().text(), "one too many");
}

#[test]
fn on_a_branch_that_has_ended_it_is_sent_at_once() {
    let mut bench = Bench::full(120, 30);
    let (mut made, _) = message(61, Some(5), Role::Assistant, "");
    made.state = State::Writing;
    bench.event(EventKind::Node { conversation: conversation(1), node: made, content: Vec::new() });
    bench.keys("ihere<Enter>");
    assert!(bench.posted().iter().any(|c| matches!(c, Command::Send { parent, .. } if *parent == Some(node(6)))));
}

#[test]
fn the_queue_is_listed_sent_edited_moved_and_dropped() {
    let mut bench = Bench::full(120, 30);
    writing(&mut bench);
    waits(&mut bench, vec![queued(70, "first"), queued(72, "second\nline"), queued(74, "third")]);
    bench.keys("<Esc><Space>Q");
    insta::assert_snapshot!("queue", bench.text());
    bench.keys("jJ");
    let here = conversation(1);
    assert!(bench.posted().contains(&Command::MoveQueued { conversation: here, node: node(72), to: 2 }));
    bench.keys("kD");
    assert!(bench.posted().contains(&Command::DropQueued { conversation: here, node: node(72) }));
    bench.keys("b");
    assert!(bench.posted().contains(&Command::SendQueued { conversation: here, node: node(72), beside: true }));
    bench.model.shared.view.awaited = None;
    bench.keys("<Space>Q<Enter>");
    assert!(bench.posted().contains(&Command::SendQueued { conversation: here, node: node(70), beside: false }));
    bench.keys("<Space>Qje");
    assert_eq!(bench.model.shared.composer.borrow().text(), "second\nline");
    assert!(bench.shows("queued prompt: keeps its place"));
    bench.keys("!<Enter>");
    let content = vec![Part::Text { text: "second\nline!".into() }];
    assert!(bench.posted().contains(&Command::EditQueued { conversation: here, node: node(72), content }));
    assert!(bench.model.shared.composer.borrow().is_empty());
}

#[test]
fn what_is_held_says_why_and_what_to_do() {
    let mut bench = Bench::full(100, 30);
    writing(&mut bench);
    waits(&mut bench, vec![queued(70, "first"), queued(72, "second")]);
    bench.keys("<Esc><C-c>");
    assert!(bench.shows("2 queued prompts are held (Space Q shows the queue)."));
    ends(&mut bench, State::Stopped, Finish::Cancelled);
    bench.keys("<Esc>");
    insta::assert_snapshot!("queue_held", bench.text());
    bench.keys("<Space>Q");
    assert!(bench.shows("held: the answer that it waited for was stopped · Enter sends it"));
}

#[test]
fn small_screens_show_the_queue_too() {
    for (width, height) in [(40, 12), (24, 6), (20, 4)] {
        let mut bench = Bench::full(width, height);
        writing(&mut bench);
        waits(&mut bench, (0..9).map(|n| queued(70 + 2 * n, "a prompt with some more words than fit")).collect());
        bench.keys("<Esc><Space>QG");
        bench.frame();
        bench.assert_terminal();
    }
}
