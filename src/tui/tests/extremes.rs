//! Messages that lie, and conversations that are as large as nobody wants them.

use std::collections::HashSet;

use super::super::fixture::*;
use super::super::msg::{Cmd, Msg};
use super::super::shared::Writing;
use crate::proto::*;

/// An answer of these parts, as the last message of the conversation.
fn with_answer(width: u16, height: u16, content: Content, change: impl FnOnce(&mut Node)) -> Bench {
    let mut bench = Bench::new(width, height);
    bench.attach(snapshot());
    let mut all = opened();
    let (mut made, _) = message(7, Some(4), Role::Assistant, "an answer");
    change(&mut made);
    all.contents.push((made.id, content));
    all.conversation.head = Some(made.id);
    all.nodes.push(made);
    bench.answer_open(all);
    bench.keys("<Esc>").frame();
    bench
}

fn call(id: &str, name: &str, arguments: &str) -> Part {
    Part::ToolCall { id: id.into(), name: name.into(), arguments: arguments.into() }
}

#[test]
fn thinking_and_calls_fold_and_say_what_they_are() {
    let content = vec![
        Part::Thinking { text: "Let me see. ".repeat(40) },
        Part::Text { text: "I look it up.".into() },
        call("1", "get_weather", "{\"city\":\"Oslo\",\"days\":[1,2]}"),
        call("2", "get_time", "not json"),
    ];
    let mut bench = with_answer(100, 40, content, |node| {
        if let Some(run) = &mut node.run {
            run.finish = Some(Finish::ToolCalls);
            run.figures.thinking_ms = Some(Figure::measured(12_000.0));
            run.figures.thinking_tokens = Some(Figure::estimated(340.0));
        }
    });
    insta::assert_snapshot!("tools_folded", bench.text());
    bench.keys("za");
    insta::assert_snapshot!("tools_unfolded", bench.text());
}

#[test]
fn what_tools_give_back_is_written_by_hand_and_sent_together() {
    let content = vec![call("1", "get_weather", "{}"), call("2", "get_time", "{}")];
    let mut bench = with_answer(120, 30, content, |_| {});
    bench.keys("ia draft<Esc><Esc>ga");
    assert!(bench.shows("result of get_weather (1 of 2)"));
    bench.keys("rain<Enter>");
    assert!(bench.shows("result of get_time (2 of 2)"));
    assert!(bench.posted().iter().all(|c| !matches!(c, Command::Send { .. })), "all of them go together");
    bench.keys("noon<Enter>");
    let tag = bench.cmds.iter().find_map(|c| match c {
        Cmd::Post { tag, command: Command::Send { parent, content, .. } } => Some((*tag, *parent, content.clone())),
        _ => None,
    });
    let (tag, parent, content) = tag.unwrap();
    let result = |id: &str, content: &str| Part::ToolResult { id: id.into(), content: content.into() };
    assert_eq!((parent, content), (Some(node(7)), vec![result("1", "rain"), result("2", "noon")]));
    assert_eq!(bench.model.shared.composer.borrow().text(), "a draft");
    bench.msg(Msg::Ack { tag, result: Err(crate::error::Error::new(crate::error::Kind::Busy, "Not now.")) });
    assert_eq!(bench.model.shared.composer.borrow().text(), "noon", "what was written is there again");
    assert!(matches!(&bench.model.shared.view.writing, Writing::Tool { results, .. } if *results == ["rain"]));
    bench.keys("<C-c>");
    assert_eq!(bench.model.shared.composer.borrow().text(), "a draft");
}

#[test]
fn results_are_cut_until_they_are_asked_for() {
    let lines: Vec<String> = (0..30).map(|n| format!("row {n}")).collect();
    let content = vec![Part::ToolResult { id: "x".into(), content: lines.join("\n") }];
    let mut bench = with_answer(100, 44, content, |node| {
        node.role = Role::Tool;
        node.run = None;
    });
    assert!(bench.shows("◂ result of a tool") && bench.shows("row 5") && !bench.shows("row 6"));
    assert!(bench.shows("24 more rows  za shows it"));
    bench.keys("za");
    assert!(bench.shows("row 29"));
}

#[test]
fn no_message_forges_a_label_or_reaches_the_terminal() {
    let hostile = "\u{1b}]52;c;ZXZpbA==\u{7}\u{1b}]0;title\u{7}\u{1b}[2J\u{1b}[1;1H\u{9b}31m\u{202e}evil\u{e000}mark\u{e001}";
    let forged = format!("▸ thought 1 s · 2 tok  za shows it\n\nqwen3:8b  13:50  +1 ⚑\n\n▸ get_weather {{}}\n\n{hostile}");
    let content = vec![
        Part::Thinking { text: format!("{hostile}\n▸ thought") },
        Part::Text { text: forged.clone() },
        call(hostile, hostile, hostile),
        Part::ToolResult { id: hostile.into(), content: forged.clone() },
        Part::File { blob: "0".into(), mime: hostile.into(), name: hostile.into(), facts: Facts::default() },
        Part::Image { blob: "0".into(), mime: hostile.into(), name: forged.clone(), facts: Facts::default() },
    ];
    for folded in [true, false] {
        let mut bench = with_answer(80, 60, content.clone(), |node| {
            node.reactions = vec![hostile.into(), "▸".into()];
            node.bookmark = Some(hostile.into());
            if let Some(run) = &mut node.run {
                run.finish = Some(Finish::Other(hostile.into()));
            }
        });
        bench.keys(":focus chat<Enter>");
        if !folded {
            bench.keys("za");
        }
        let text = bench.text();
        for bad in ['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}'] {
            assert!(!text.contains(bad), "{bad:?} in {text}");
        }
        bench.assert_terminal();
        // What the message says stands behind the margin; only arbour writes into it.
        let margin = |line: &str, what: &str| line.chars().skip_while(|c| *c != '│').skip(1).take(3).collect::<String>().contains(what);
        let labels = text.lines().filter(|line| margin(line, "▸") || margin(line, "▾")).count();
        assert!(labels <= 3, "a label was forged:\n{text}");
        bench.keys("I");
        let text = bench.text();
        assert!(text.contains("How this message came about") && !text.contains('\u{1b}'), "{text}");
    }
}

#[test]
fn attachments_say_what_they_are() {
    let facts = Facts { bytes: 4_100, tokens: 900, width: 640, height: 480 };
    let content = vec![
        Part::File { blob: "0".into(), mime: "text/x-rust".into(), name: "main.rs".into(), facts: Facts { width: 0, height: 0, ..facts } },
        Part::Image { blob: "1".into(), mime: "image/png".into(), name: "oak.png".into(), facts },
    ];
    let mut bench = with_answer(100, 30, content, |_| {});
    assert!(bench.shows("▤ main.rs  4 k") && bench.shows("▣ oak.png  640×480"), "{}", bench.text());
}

#[test]
fn the_details_of_an_answer_are_a_page() {
    let mut bench = with_answer(110, 50, vec![Part::Text { text: "an answer".into() }], |node| {
        if let Some(run) = &mut node.run {
            run.timeline = vec![(State::Queued, NOON - 500_000), (State::Loading, NOON - 499_000), (State::Writing, NOON - 491_000)];
            run.failed = vec![Attempt {
                at: NOON - 501_000,
                error: crate::error::Error::new(crate::error::Kind::HostGone, "The server refused the connection."),
            }];
            run.left_out = Some(LeftOut { nodes: vec![NodeId::from(uuid::Uuid::from_u128(0x2001))], tokens: 12, summary: None });
        }
    });
    bench.keys("I");
    insta::assert_snapshot!("details_of_an_answer", bench.text());
}

#[test]
fn code_goes_to_a_command_only_after_it_was_shown() {
    let mut bench = Bench::full(120, 36);
    bench.keys("<Esc>kk");
    bench.keys("gx|");
    bench.keys("wc -l<Enter>");
    insta::assert_snapshot!("pipe_asks", bench.text());
    assert!(!bench.cmds.iter().any(|c| matches!(c, Cmd::Pipe { .. })));
    bench.keys("y");
    let piped =
        bench.cmds.iter().find_map(|c| if let Cmd::Pipe { command, text } = c { Some((command.clone(), text.clone())) } else { None });
    let (command, text) = piped.unwrap();
    assert_eq!(command, "wc -l");
    assert!(text.starts_with("fn quicksort"));
    assert!(bench.shows("It runs…"));
    let took = std::time::Duration::from_millis(20);
    let done = crate::tui::pipe::Piped { output: "3 \u{1b}]0;x\u{7}\n".into(), ended: "It ended well.".into(), failed: false, took };
    bench.msg(Msg::Piped(Ok(done)));
    assert!(bench.shows("It ended well. It took 20 ms.") && bench.shows("3 ␛]0;x␇"));
    bench.keys("q");
    bench.keys("|sleep 9<Enter>y<C-c>");
    assert!(bench.cmds.contains(&Cmd::EndPipe));
    assert!(bench.shows("The command was ended."));
}

#[test]
fn a_file_that_is_there_is_asked_about() {
    let mut bench = Bench::full(120, 36);
    let path = std::path::PathBuf::from("block-a.rs");
    bench.msg(Msg::Exists { path, data: b"fn main() {}".to_vec(), bytes: 1_234, changed: Some(NOON - 3_600_000) });
    assert!(bench.shows("block-a.rs is there already: 1,234 bytes, changed 13:00:00."));
    bench.keys("y");
    assert!(bench.cmds.iter().any(|c| matches!(c, Cmd::Save { over: true, data, .. } if data == b"fn main() {}")));
}

/// A conversation of these messages: each with its parent, every second one an answer.
fn large(parents: impl Iterator<Item = Option<u128>>) -> Bench {
    let mut bench = Bench::new(120, 40);
    bench.attach(snapshot());
    let (mut nodes, mut contents) = (Vec::new(), Vec::new());
    for (id, parent) in parents.enumerate() {
        let role = if id % 2 == 0 { Role::User } else { Role::Assistant };
        let (made, content) = message(id as u128, parent, role, &format!("message {id}"));
        contents.push((made.id, content));
        nodes.push(made);
    }
    let keep: HashSet<NodeId> = nodes.iter().rev().take(40).map(|n| n.id).collect();
    contents.retain(|(id, _)| keep.contains(id));
    let conversation = Conversation { head: nodes.last().map(|n| n.id), ..Conversation::new(row(1, "large")) };
    bench.answer_open(Opened { seq: 10, conversation, nodes, contents });
    bench.keys("<Esc>").frame();
    bench
}

/// Keys that go everywhere in it.
fn walk(bench: &mut Bench) {
    for keys in
        ["gg", "G", "[", "]", "k", "K", ":focus tree<Enter>", "gg", "G", "h", "l", "za", "za", "zh", "zh", "zA", "/message 9<Enter>", "n"]
    {
        bench.keys(keys).frame();
    }
    bench.assert_terminal();
}

#[test]
fn ten_thousand_versions_of_one_message() {
    let mut bench = large((0..10_000).map(|id| (id > 0).then_some(0)));
    assert!(bench.shows("‹9999/9999›"));
    walk(&mut bench);
}

#[test]
fn a_thousand_forks_below_each_other() {
    // A spine of a thousand messages, each with a version beside it.
    let mut bench = large((0..2_000u128).map(|id| match id {
        0 | 1 => None,
        id => Some(if id % 2 == 0 { id - 2 } else { id - 3 }),
    }));
    walk(&mut bench);
}

#[test]
fn ten_thousand_messages_in_one_line() {
    let mut bench = large((0..10_000u128).map(|id| id.checked_sub(1)));
    walk(&mut bench);
}

#[test]
fn five_megabytes_in_one_line() {
    let text = "x".repeat(5_000_000);
    let mut bench = with_answer(100, 30, vec![Part::Text { text: text.clone() }], |node| node.bytes = text.len() as u64);
    for keys in ["gg", "G", "J", "K", "<C-u>", "<C-d>", "/xy<Enter>", "I", "q"] {
        bench.keys(keys).frame();
    }
    bench.assert_terminal();
}
