//! Writing, sending, editing, asking again, stopping.

use super::super::fixture::*;
use super::super::msg::{Cmd, Leave, Msg};
use super::super::shared::Writing;
use crate::error::{Error, Kind};
use crate::proto::*;

fn sent(bench: &mut Bench) -> (Option<NodeId>, String, NodeId, NodeId) {
    let posted = bench.posted();
    posted
        .iter()
        .find_map(|command| match command {
            Command::Send { parent, content, answer, node, .. } => Some((*parent, content_text(content), *node, *answer)),
            _ => None,
        })
        .unwrap_or_else(|| panic!("nothing was sent: {posted:?}"))
}

/// The answer begins to run.
fn begin(bench: &mut Bench, answer: NodeId, parent: NodeId) {
    let (mut made, _) = message(50, None, Role::Assistant, "");
    made.id = answer;
    made.parent = Some(parent);
    made.state = State::Writing;
    if let Some(run) = &mut made.run {
        run.finish = None;
        run.figures = Figures::default();
        run.progress.since = NOON;
    }
    bench.event(EventKind::Node { conversation: conversation(1), node: made, content: Vec::new() });
}

#[test]
fn enter_sends_below_the_leaf_and_the_view_follows_the_answer() {
    let mut bench = Bench::full(100, 30);
    bench.keys("iAnd in terms of memory?<Enter>");
    let (parent, text, question, answer) = sent(&mut bench);
    assert_eq!((parent, text.as_str()), (Some(node(6)), "And in terms of memory?"));
    assert!(bench.model.shared.composer.borrow().is_empty());
    let (mut asked, content) = message(40, None, Role::User, "And in terms of memory?");
    asked.id = question;
    asked.parent = Some(node(6));
    bench.event(EventKind::Node { conversation: conversation(1), node: asked, content });
    begin(&mut bench, answer, question);
    assert_eq!(bench.model.shared.view.leaf, Some(answer));
    for (at, piece) in [(0, "Log n"), (5, " stack frames.")] {
        let text = piece.to_owned();
        bench.event(EventKind::Delta { conversation: conversation(1), node: answer, kind: DeltaKind::Text, at, text });
    }
    assert!(bench.shows("Log n stack frames."));
    assert!(bench.shows("▸ writing"));
}

#[test]
fn a_message_that_another_client_adds_does_not_move_the_view() {
    let mut bench = Bench::full(100, 30);
    let (made, content) = message(30, Some(6), Role::User, "from elsewhere");
    bench.event(EventKind::Node { conversation: conversation(1), node: made, content });
    bench.event(EventKind::Head { conversation: conversation(1), head: Some(node(30)) });
    assert_eq!(bench.model.shared.view.leaf, Some(node(6)));
    assert!(bench.shows("1 further message on this branch"));
    bench.keys("i<Esc><Esc>");
    assert_eq!(bench.model.shared.view.leaf, Some(node(30)), "going to the end shows it");
    assert!(bench.shows("from elsewhere"));
}

#[test]
fn a_message_that_the_host_refuses_comes_back() {
    let mut bench = Bench::full(120, 30);
    bench.keys("ihello<Enter>");
    let tag = bench.cmds.iter().find_map(|c| match c {
        Cmd::Post { tag, command: Command::Send { .. } } => Some(*tag),
        _ => None,
    });
    let error = Error::new(Kind::DiskFull, "The disk is full, so nothing can be saved.").hint("Make room.");
    bench.msg(Msg::Ack { tag: tag.unwrap(), result: Err(error) });
    assert_eq!(bench.model.shared.composer.borrow().text(), "hello");
    assert!(bench.shows("The disk is full"));
}

#[test]
fn without_a_link_nothing_is_sent_and_nothing_is_lost() {
    let mut bench = Bench::full(120, 30);
    bench.msg(Msg::Lost(Error::new(Kind::HostGone, "The link to the host broke.")));
    bench.keys("ihello<Enter>");
    assert!(bench.posted().iter().all(|c| !matches!(c, Command::Send { .. })));
    assert_eq!(bench.model.shared.composer.borrow().text(), "hello");
    assert!(bench.shows("link lost"));
    bench.msg(Msg::Restored(Box::new(snapshot())));
    bench.answer_open(opened());
    assert_eq!(bench.model.shared.composer.borrow().text(), "hello", "what was typed survives the link");
    bench.keys("<Enter>");
    assert_eq!(sent(&mut bench).1, "hello");
}

#[test]
fn the_first_message_makes_the_conversation() {
    let mut bench = Bench::new(100, 30);
    let mut start = snapshot();
    start.last = None;
    bench.attach(start);
    assert_eq!(bench.model.mode().to_string(), "INSERT", "an empty conversation opens in INSERT");
    bench.keys(":set seed 1");
    assert_eq!(bench.model.shared.composer.borrow().text(), ":set seed 1", "INSERT types");
    bench.keys("<C-u><Esc>:system Be short.<Enter>:set temperature 0.2<Enter>ihi<Enter>");
    let posted = bench.posted();
    let made = posted.iter().find_map(|c| match c {
        Command::NewConversation { id, system, parameters, model, saved, .. } => {
            Some((*id, system.clone(), parameters.clone(), model.clone(), *saved))
        }
        _ => None,
    });
    let (id, system, parameters, by, saved) = made.unwrap();
    assert_eq!((system.as_deref(), parameters.number("temperature"), saved), (Some("Be short."), Some(0.2), true));
    assert_eq!(by, Some(model_ref("qwen3:8b")), "the one that is loaded");
    assert!(posted.iter().any(|c| matches!(c, Command::Send { conversation, parent: None, .. } if *conversation == id)));
    let order: Vec<usize> = [
        posted.iter().position(|c| matches!(c, Command::NewConversation { .. })),
        posted.iter().position(|c| matches!(c, Command::View { conversation: Some(_) })),
        posted.iter().position(|c| matches!(c, Command::Send { .. })),
    ]
    .into_iter()
    .flatten()
    .collect();
    assert!(order.is_sorted() && order.len() == 3, "made, looked at, sent: {order:?}");
}

#[test]
fn editing_adds_a_sibling_and_asks_again() {
    let mut bench = Bench::full(100, 30);
    bench.keys("ia draft<Esc><Esc>k");
    assert_eq!(bench.model.node_at_hand(), Some(node(5)));
    bench.keys("e");
    assert!(matches!(bench.model.shared.view.writing, Writing::Edit { ask: true, .. }));
    assert!(bench.shows("another version: asks again"));
    bench.keys("<C-u>Is it stable?<Enter>");
    let (parent, text, ..) = sent(&mut bench);
    assert_eq!((parent, text.as_str()), (Some(node(3)), "Is it stable?"));
    assert_eq!(bench.model.shared.composer.borrow().text(), "a draft", "the draft is there again");
}

#[test]
fn a_new_conversation_has_a_way_back_and_keeps_what_was_not_sent() {
    let mut bench = Bench::full(100, 30);
    bench.keys("<Esc><Esc><Space>nnot sent yet<Esc><Space>n");
    assert_eq!(bench.model.shared.composer.borrow().text(), "not sent yet", "begun once more: it is the same one");
    let kept =
        bench.posted().into_iter().any(|c| matches!(c, Command::SetSetting { key, value } if key == "draft" && value == "not sent yet"));
    assert!(kept);
    bench.event(EventKind::Setting { key: "draft".into(), value: "not sent yet".into() });
    bench.keys("<Esc><C-o>");
    assert_eq!(bench.model.shared.view.conversation, Some(conversation(1)));
    bench.keys("<Space>n");
    assert_eq!((bench.model.shared.view.conversation, bench.model.shared.composer.borrow().text().as_str()), (None, "not sent yet"));
}

#[test]
fn saving_an_edit_asks_nobody() {
    let mut bench = Bench::full(100, 30);
    bench.keys("E<C-u>My own words.<Enter>");
    let posted = bench.posted();
    let added = posted.iter().find_map(|c| match c {
        Command::Add { parent, role, content, .. } => Some((*parent, *role, content_text(content))),
        _ => None,
    });
    assert_eq!(added, Some((Some(node(5)), Role::Assistant, "My own words.".to_owned())));
    assert!(!posted.iter().any(|c| matches!(c, Command::Send { .. })));
}

#[test]
fn asking_again_and_continuing() {
    let mut bench = Bench::full(100, 30);
    bench.keys("r");
    let posted = bench.posted();
    assert!(posted.iter().any(|c| matches!(c, Command::Answer { parent, continues: None, .. } if *parent == node(5))), "{posted:?}");
    bench.keys("c");
    let posted = bench.posted();
    assert!(posted.iter().any(|c| matches!(c, Command::Answer { continues: Some(id), .. } if *id == node(6))), "{posted:?}");
    bench.keys("kc");
    assert!(bench.shows("Only an answer can be continued."));
    bench.keys("GR");
    bench.keys("smol<Enter>");
    let posted = bench.posted();
    let by = posted.iter().find_map(|c| if let Command::Answer { model, .. } = c { model.clone() } else { None });
    assert_eq!(by, Some(model_ref("smollm2:135m")));
}

#[test]
fn stop_stops_then_clears_then_offers_to_leave() {
    let mut bench = Bench::full(120, 30);
    begin(&mut bench, node(60), node(5));
    bench.keys("ihalf a thought");
    bench.posted();
    bench.keys("<C-c>");
    assert!(bench.posted().iter().any(|c| matches!(c, Command::Stop { node: Some(id), .. } if *id == node(60))));
    let (mut done, _) = message(60, Some(5), Role::Assistant, "");
    done.state = State::Stopped;
    bench.event(EventKind::Finished { conversation: conversation(1), node: done });
    bench.keys("<C-c>");
    assert!(bench.model.shared.composer.borrow().is_empty());
    bench.keys("<Esc>u");
    assert_eq!(bench.model.shared.composer.borrow().text(), "half a thought", "clearing can be undone");
    bench.keys("<C-c>");
    bench.event(EventKind::Row({
        let mut gone = row(4, "x");
        gone.running = 0;
        gone
    }));
    bench.keys("<C-c>");
    assert!(bench.shows("C-c again leaves arbour"));
    bench.cmds.clear();
    bench.keys("<C-c>");
    assert!(bench.cmds.contains(&Cmd::Quit(Leave::Detach)), "{:?}", bench.cmds);
}

#[test]
fn leaving_while_answers_are_written_asks_what_becomes_of_them() {
    let mut bench = Bench::full(100, 30);
    bench.keys("<Esc>:quit<Enter>");
    assert!(!bench.cmds.iter().any(|c| matches!(c, Cmd::Quit(_))));
    assert!(bench.shows("1 answer being written. Leave how?"));
    bench.keys("<Down><Enter>");
    assert!(bench.posted().iter().any(|c| matches!(c, Command::Stop { conversation: id, node: None } if *id == conversation(4))));
}

#[test]
fn drafts_are_saved_after_a_moment_and_come_back() {
    let mut bench = Bench::full(100, 30);
    bench.posted();
    bench.keys("inot sent");
    assert!(bench.posted().iter().all(|c| !matches!(c, Command::SetDraft { .. })), "not with every key");
    assert!(bench.model.deadline().is_some());
    bench.wait(1500).msg(Msg::Tick);
    assert!(bench.posted().contains(&Command::SetDraft { conversation: conversation(1), text: "not sent".into(), attached: Vec::new() }));
    let mut other = opened();
    other.conversation.row = row(2, "release notes");
    other.conversation.draft = "the other draft".into();
    bench.keys("<Esc>:open release<Enter>");
    bench.answer_open(other);
    assert_eq!(bench.model.shared.composer.borrow().text(), "the other draft");
}

#[test]
fn a_prompt_that_does_not_fit_is_warned_about() {
    let mut bench = Bench::full(120, 30);
    let long = "word ".repeat(10_000);
    bench.keys("ilook:").msg(Msg::Paste(long));
    bench.errands(std::path::Path::new("")).take_pieces().keys("<Enter>");
    assert!(!bench.posted().iter().any(|c| matches!(c, Command::Send { .. })));
    assert!(bench.shows("Ollama would cut the oldest messages silently"));
    assert!(!bench.shows("cut the middle"), "that would not be enough");
    bench.keys("<Esc>");
    assert!(!bench.model.shared.composer.borrow().is_empty());
    bench.keys("<Enter><Down><Enter>");
    assert!(bench.posted().iter().any(|c| matches!(c, Command::Send { .. })));
}

#[test]
fn slash_words_run_and_unknown_ones_ask() {
    let mut bench = Bench::full(120, 30);
    bench.keys("i/model smol<Enter>");
    assert!(bench.posted().iter().any(|c| matches!(c, Command::SetModel { model, .. } if model.model == "smollm2:135m")));
    let nothing = std::path::Path::new("");
    bench.keys("/frobnicate<Enter>").errands(nothing);
    assert!(!bench.posted().iter().any(|c| matches!(c, Command::Send { .. })));
    assert!(bench.shows("Send it as a message?"));
    bench.keys("y");
    assert_eq!(sent(&mut bench).1, "/frobnicate");
    bench.event(EventKind::Finished { conversation: conversation(1), node: message(6, Some(5), Role::Assistant, "x").0 });
    bench.model.shared.view.awaited = None;
    bench.keys("/etc/hosts is what?<Enter>").errands(nothing);
    assert_eq!(sent(&mut bench).1, "/etc/hosts is what?", "a path is a message");
}

#[test]
fn the_system_prompt_is_edited_in_the_composer() {
    let mut bench = Bench::full(100, 30);
    bench.keys("idraft<Esc><Space>s");
    assert!(bench.shows("system prompt"));
    bench.keys("Be kind.<C-j>Be brief.<Enter>");
    let posted = bench.posted();
    assert!(posted.contains(&Command::SetSystem { conversation: conversation(1), text: Some("Be kind.\nBe brief.".into()) }), "{posted:?}");
    assert_eq!(bench.model.shared.composer.borrow().text(), "draft");
}

#[test]
fn parameters_are_checked_before_they_are_sent() {
    let mut bench = Bench::full(120, 30);
    bench.posted();
    bench.keys("<Esc>:set temperature 7<Enter>");
    assert!(bench.posted().is_empty());
    assert!(bench.shows("from 0 to 2"));
    bench.keys(":set temperature 0.7<Enter>");
    assert!(
        bench
            .posted()
            .iter()
            .any(|c| matches!(c, Command::SetParameters { changes, .. } if *changes == [("temperature".to_owned(), Some(0.7.into()))]))
    );
}

#[test]
fn the_request_is_shown_as_it_is() {
    let mut bench = Bench::full(100, 30);
    bench.keys("<Space>v");
    let tag = bench.asked(|q| matches!(q, Query::Request { answer: Some(id), .. } if *id == node(6))).unwrap();
    let preview = RequestPreview {
        method: "POST".into(),
        url: "http://127.0.0.1:11434/api/chat".into(),
        body: "{\n  \"model\": \"qwen3:8b\"\n}".into(),
        curl: Some("curl http://127.0.0.1:11434/api/chat".into()),
        notes: vec!["top_k is not sent.".into()],
    };
    bench.msg(Msg::Reply { tag, result: Ok(Reply::Request(Box::new(preview))) });
    for text in ["POST http://127.0.0.1:11434/api/chat", "  \"model\": \"qwen3:8b\"", "top_k is not sent."] {
        assert!(bench.shows(text), "{text}");
    }
    bench.keys("yy");
    assert!(bench.cmds.iter().any(|c| matches!(c, Cmd::Copy { text, .. } if text.starts_with("curl"))));
    bench.keys("q");
    assert!(bench.model.overlays.is_empty());
}

#[test]
fn a_paste_without_brackets_does_not_send() {
    let mut bench = Bench::full(100, 30);
    bench.keys("i");
    for key in parse("first line<Enter>second line<Enter>") {
        bench.wait(1).msg(Msg::Key(key));
    }
    assert!(!bench.posted().iter().any(|c| matches!(c, Command::Send { .. })));
    assert_eq!(bench.model.shared.composer.borrow().text(), "first line\nsecond line\n");
}

#[test]
fn copying_says_what_was_done() {
    let mut bench = Bench::full(120, 30);
    bench.keys("<Esc>yy");
    assert!(
        bench
            .cmds
            .iter()
            .any(|c| matches!(c, Cmd::Copy { text, what } if text.starts_with("A partition") && what == "the message, 69 characters"))
    );
    bench.cmds.clear();
    bench.keys("kkyc");
    assert!(bench.cmds.iter().any(|c| matches!(c, Cmd::Copy { text, .. } if text.starts_with("fn quicksort"))), "{:?}", bench.cmds);
    bench.keys("gx");
    assert!(bench.shows("Code blocks") && bench.shows("fn quicksort<T: Ord>"));
    bench.keys("s");
    assert!(bench.shows("block-a.rs"));
    bench.keys("<Enter>");
    assert!(bench.cmds.iter().any(|c| matches!(c, Cmd::Save { path, .. } if path.ends_with("block-a.rs"))));
}

#[test]
fn an_answer_or_a_queued_prompt_that_does_not_fit_is_asked_about_too() {
    let narrow = |bench: &mut Bench, to| {
        let model = bench.model.shared.replica.models.iter_mut().find(|m| m.name == "qwen3:8b").unwrap();
        model.context = Some(to);
    };
    let mut bench = Bench::full(120, 30);
    narrow(&mut bench, 100);
    for key in ["r", "c"] {
        bench.keys(key);
        assert!(bench.shows("Too long for the context"), "{key}: {}", bench.text());
        assert!(!bench.posted().iter().any(|command| matches!(command, Command::Answer { .. })));
        bench.keys("<Esc>");
    }
    // As it is, on purpose.
    bench.keys("rsend it as<Enter>");
    assert!(bench.posted().iter().any(|command| matches!(command, Command::Answer { parent, .. } if *parent == node(5))));

    let mut bench = Bench::full(120, 30);
    narrow(&mut bench, 140);
    let queued = Queued {
        node: node(70),
        answer: node(71),
        line: node(6),
        content: vec![Part::Text { text: "and then?".into() }],
        model: None,
        at: NOON,
    };
    let mut told = bench.model.shared.doc().unwrap().conversation.clone();
    told.queue = vec![queued];
    bench.event(EventKind::Conversation(told));
    bench.keys("<Space>Q<Enter>");
    assert!(bench.shows("Too long for the context"), "{}", bench.text());
    assert!(!bench.posted().iter().any(|command| matches!(command, Command::SendQueued { .. })));
    bench.keys("<Enter>");
    let posted = bench.posted();
    assert!(posted.iter().any(|command| matches!(command, Command::SetParameters { .. })), "{posted:?}");
    assert!(posted.contains(&Command::SendQueued { conversation: conversation(1), node: node(70), beside: false }), "{posted:?}");
}

#[test]
fn a_prompt_that_does_not_fit_asks_what_is_to_become_of_it() {
    let mut bench = Bench::full(120, 30);
    let narrow = |bench: &mut Bench| {
        let model = bench.model.shared.replica.models.iter_mut().find(|m| m.name == "qwen3:8b").unwrap();
        model.context = Some(140);
    };
    narrow(&mut bench);
    bench.keys("iAnd in terms of memory?<Enter>");
    insta::assert_snapshot!("too_long", bench.text());
    bench.keys("<Enter>");
    let posted = bench.posted();
    let changes = vec![("overflow".to_owned(), Some("cut".into()))];
    assert!(posted.contains(&Command::SetParameters { subject: Subject::Conversation(conversation(1)), changes }), "{posted:?}");
    assert!(posted.iter().any(|c| matches!(c, Command::Send { .. })), "{posted:?}");
    assert!(bench.shows("What does not fit is cut from the middle here"));
}

#[test]
fn what_does_not_fit_is_summarised_where_a_person_says_so() {
    let mut bench = Bench::full(120, 30);
    let model = bench.model.shared.replica.models.iter_mut().find(|m| m.name == "qwen3:8b").unwrap();
    model.context = Some(800);
    bench.model.shared.replica.docs.get_mut(&conversation(1)).unwrap().node_mut(node(6)).unwrap().tokens = 1000;
    bench.keys("iAnd in terms of memory?<Enter>");
    assert!(bench.shows("summarise 2 messages (~"), "{}", bench.text());
    bench.keys("<Down><Enter>");
    let posted = bench.posted();
    let changes = vec![("overflow".to_owned(), Some("summarise".into()))];
    assert!(posted.contains(&Command::SetParameters { subject: Subject::Conversation(conversation(1)), changes }), "{posted:?}");
    assert!(bench.shows("What does not fit is summarised here"));
    let Some(Command::Send { node: question, answer, .. }) = posted.into_iter().find(|c| matches!(c, Command::Send { .. })) else {
        panic!("it is sent")
    };
    begin(&mut bench, answer, question);
    let progress = Progress { since: NOON, summarising: 2, ..Progress::default() };
    bench.event(EventKind::State { conversation: conversation(1), node: answer, state: State::Reading, progress });
    bench.model.shared.view.leaf = Some(answer);
    bench.model.shared.revisions.doc += 1;
    bench.model.mark_all();
    assert!(bench.shows("summarising 2 messages…"), "{}", bench.text());
    let mut ended = bench.model.shared.doc().unwrap().node(answer).unwrap().clone();
    ended.state = State::Done;
    let left_out = LeftOut { nodes: vec![node(5), node(6)], tokens: 1234, summary: Some("They agreed.".into()) };
    ended.run = Some(Box::new(Run { left_out: Some(left_out), ..run("x") }));
    bench.event(EventKind::Finished { conversation: conversation(1), node: ended });
    bench.model.mark_all();
    assert!(bench.shows("2 messages were summarised"), "{}", bench.text());
}

#[test]
fn what_is_left_out_is_said_before_it_is_sent_and_under_the_answer() {
    let mut bench = Bench::full(120, 30);
    let model = bench.model.shared.replica.models.iter_mut().find(|m| m.name == "qwen3:8b").unwrap();
    model.context = Some(140);
    let mut told = bench.model.shared.doc().unwrap().conversation.clone();
    told.parameters.0.insert("overflow".into(), "cut".into());
    bench.event(EventKind::Conversation(told));
    bench.keys("iAnd in terms of memory?");
    assert!(bench.shows("2 of 4 left out"));
    bench.keys("<Enter>");
    let (_, _, question, answer) = sent(&mut bench);
    begin(&mut bench, answer, question);
    let mut ended = bench.model.shared.doc().unwrap().node(answer).unwrap().clone();
    ended.state = State::Done;
    let left_out = LeftOut { nodes: vec![node(5), node(6)], tokens: 1234, summary: None };
    ended.run = Some(Box::new(Run { left_out: Some(left_out), ..run("x") }));
    bench.event(EventKind::Finished { conversation: conversation(1), node: ended });
    bench.model.shared.view.leaf = Some(answer);
    bench.model.shared.revisions.doc += 1;
    bench.model.mark_all();
    assert!(bench.shows("asked without 2 messages (~1,234 tokens) of the middle"));
}
