//! Attachments: named in the text, asked for, pasted; on their way, sent, given back.

use std::path::Path;

use super::super::fixture::*;
use super::super::msg::{Cmd, Msg};
use crate::error::{Error, Kind};
use crate::proto::*;

fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = home.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    home
}

fn written(bench: &Bench) -> String {
    bench.model.shared.composer.borrow().text()
}

/// Files are read and brought to the host, until nothing waits.
fn settle(bench: &mut Bench) {
    for _ in 0..4 {
        bench.errands(Path::new("")).take_pieces();
    }
}

fn sent(bench: &mut Bench) -> Option<Content> {
    bench.posted().into_iter().find_map(|command| if let Command::Send { content, .. } = command { Some(content) } else { None })
}

fn names(content: &Content) -> Vec<&str> {
    content
        .iter()
        .filter_map(|part| if let Part::File { name, .. } | Part::Image { name, .. } = part { Some(name.as_str()) } else { None })
        .collect()
}

fn path(home: &tempfile::TempDir, name: &str) -> String {
    home.path().join(name).display().to_string()
}

#[test]
fn a_file_that_the_text_names_is_shown_with_its_size_and_goes_along() {
    let home = folder(&[("main.rs", b"fn main() { println!(\"hello\"); }\n")]);
    let mut bench = Bench::full(100, 30);
    bench.keys(&format!("iwhat is @{} and @nothing here?", path(&home, "main.rs")));
    settle(&mut bench);
    assert!(bench.shows("▤ main.rs 33 B ~"), "{}", bench.text());
    bench.wait(2000).msg(Msg::Tick);
    let drafts = bench.posted();
    let draft = drafts
        .iter()
        .rev()
        .find_map(|command| if let Command::SetDraft { attached, .. } = command { Some(attached.clone()) } else { None });
    assert_eq!(draft.as_ref().map(names), Some(vec!["main.rs"]), "it is there after a restart: {drafts:?}");
    bench.keys("<Enter>");
    settle(&mut bench);
    let content = sent(&mut bench).unwrap();
    assert_eq!(names(&content), ["main.rs"]);
    assert!(content_text(&content).contains("@nothing"), "a word that names nothing is text");
    assert!(!bench.shows("▤ main.rs"), "the chips are gone with the message");
}

#[test]
fn a_message_waits_for_what_is_on_its_way() {
    let home = folder(&[("a.txt", b"words")]);
    let mut bench = Bench::full(120, 30);
    bench.keys(&format!("i@{}<Enter>", path(&home, "a.txt")));
    assert_eq!(bench.cmds.iter().filter(|cmd| matches!(cmd, Cmd::Post { command: Command::Send { .. }, .. })).count(), 0);
    bench.errands(Path::new(""));
    assert!(bench.shows("▤ a.txt 5 B"), "{}", bench.text());
    bench.take_pieces();
    assert_eq!(sent(&mut bench).as_ref().map(names), Some(vec!["a.txt"]));
}

#[test]
fn what_the_host_refuses_comes_back_with_its_attachments() {
    let home = folder(&[("a.txt", b"words")]);
    let mut bench = Bench::full(120, 30);
    bench.keys(&format!("ilook @{}<Enter>", path(&home, "a.txt")));
    settle(&mut bench);
    let tag = bench.cmds.iter().find_map(|c| if let Cmd::Post { tag, command: Command::Send { .. } } = c { Some(*tag) } else { None });
    assert!(!bench.shows("▤ a.txt"));
    bench.msg(Msg::Ack { tag: tag.unwrap(), result: Err(Error::new(Kind::DiskFull, "The disk is full.")) });
    assert!(written(&bench).starts_with("look @") && bench.shows("▤ a.txt 5 B"), "{}", bench.text());
}

#[test]
fn what_could_not_be_attached_while_it_was_written_is_said_when_it_is_sent() {
    let home = folder(&[("binary", b"\0\x01\x02")]);
    let mut bench = Bench::full(200, 30);
    bench.keys(&format!("iwhat is in @{} ", path(&home, "binary")));
    settle(&mut bench);
    assert!(bench.shows("is neither text nor a picture"), "{}", bench.text());
    bench.keys("now?");
    settle(&mut bench);
    assert!(!bench.shows("is neither text nor a picture"), "it passes with the next key: {}", bench.text());
    bench.keys("<Enter>");
    settle(&mut bench);
    assert!(bench.shows("is neither text nor a picture"), "{}", bench.text());
    assert!(sent(&mut bench).is_none() && written(&bench).ends_with("now?"));
    bench.keys("<Enter>");
    settle(&mut bench);
    assert_eq!(sent(&mut bench).map(|content| content.len()), Some(1), "sent again it is text");
}

#[test]
fn what_cannot_be_attached_is_said_and_the_message_stays() {
    let home = folder(&[("binary", b"\0\x01\x02"), ("my notes.txt", b"words")]);
    rustix::fs::mknodat(rustix::fs::CWD, home.path().join("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    std::os::unix::fs::symlink("loop", home.path().join("loop")).unwrap();
    let mut bench = Bench::full(200, 30);
    for (name, said) in [("pipe", "is a pipe (FIFO)"), ("binary", "is neither text nor a picture"), ("loop", "leads back to itself")] {
        bench.keys(&format!("<Esc>i@{}<Enter>", path(&home, name)));
        settle(&mut bench);
        assert!(bench.shows(said), "{name}: {}", bench.text());
        assert!(sent(&mut bench).is_none());
        assert!(written(&bench).ends_with(name));
        bench.keys("<Enter>");
        settle(&mut bench);
        assert_eq!(sent(&mut bench).map(|content| content.len()), Some(1), "sent again it is text");
        // Whatever is sent before that answer has begun would wait for it.
        bench.model.shared.view.awaited = None;
        bench.event(EventKind::Finished { conversation: conversation(1), node: message(6, Some(5), Role::Assistant, "x").0 });
    }
    bench.keys(&format!("<Esc>:attach {}<Enter>", path(&home, "none.txt")));
    settle(&mut bench);
    assert!(bench.shows("There is no file"), "{}", bench.text());
    bench.keys(&format!(":attach {}<Enter>", path(&home, "my notes.txt")));
    settle(&mut bench);
    assert!(bench.shows("▤ my notes.txt"), "{}", bench.text());
    bench.keys("i<BS>");
    assert!(!bench.shows("▤ my notes.txt") && bench.shows("is not attached any more"), "{}", bench.text());
}

#[test]
fn a_file_that_vanishes_between_typing_and_sending_is_text() {
    let home = folder(&[("gone.txt", b"words")]);
    let mut bench = Bench::full(120, 30);
    bench.keys(&format!("i@{}", path(&home, "gone.txt")));
    std::fs::remove_file(home.path().join("gone.txt")).unwrap();
    bench.keys("<Enter>");
    settle(&mut bench);
    assert_eq!(sent(&mut bench).map(|content| content.len()), Some(1));
}

#[test]
fn of_a_folder_it_is_said_what_goes_along_before_it_does() {
    let home = folder(&[
        ("p/src/main.rs", b"fn main() {}"),
        ("p/readme.md", b"hello"),
        ("p/x.bin", b"\0"),
        ("p/drop.log", b"x"),
        ("p/.gitignore", b"*.log"),
    ]);
    let mut bench = Bench::full(110, 30);
    bench.keys(&format!("iread @{}<Enter>", path(&home, "p")));
    settle(&mut bench);
    let shown = bench.text().replace(&path(&home, "p"), "p");
    for part in [
        "2 text files, 17 B",
        "p/readme.md, p/src/main.rs.",
        "Left out: 1 by ignore rules, 1 no text.",
        "Attach them and send",
        "Send the word as text",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    bench.keys("<Enter>");
    settle(&mut bench);
    assert_eq!(sent(&mut bench).as_ref().map(names), Some(vec!["p/readme.md", "p/src/main.rs"]));
}

#[test]
fn long_pastes_become_chips_that_can_be_put_back() {
    let mut bench = Bench::full(100, 30);
    let long: String = (0..212).map(|n| format!("line {n}\r\n")).collect();
    bench.keys("i").msg(Msg::Paste(long.clone()));
    settle(&mut bench);
    assert!(bench.shows("▤ paste-1.txt") && bench.shows("paste-1.txt, 212 lines, is attached"), "{}", bench.text());
    assert_eq!(written(&bench), "");
    bench.keys("<Esc>gp");
    let tag = bench.asked(|query| matches!(query, Query::Blob { offset: 0, .. })).unwrap();
    let data = long.replace("\r\n", "\n").into_bytes();
    bench.msg(Msg::Reply { tag, result: Ok(Reply::Blob { total: data.len() as u64, data }) });
    assert!(written(&bench).starts_with("line 0\nline 1\n") && !bench.shows("▤ paste-1.txt"));

    let mut bench = Bench::full(100, 30);
    bench.keys("i").msg(Msg::Paste("x".repeat(4_900_000)));
    settle(&mut bench);
    assert!(bench.shows("▤ paste-1.txt 4.9 MB"), "{}", bench.text());
    bench.msg(Msg::Paste("x".repeat(5_100_000)));
    assert!(bench.shows("up to 5 MB can be pasted"), "{}", bench.text());
    bench.msg(Msg::Paste("short\ntext".to_owned()));
    assert_eq!(written(&bench), "short\ntext");
}

#[test]
fn the_path_of_a_dropped_file_becomes_an_attachment_and_any_other_is_text() {
    let home = folder(&[("my oak.txt", b"words")]);
    let mut bench = Bench::full(140, 30);
    bench.keys("i").msg(Msg::Paste(format!("'{}' ", path(&home, "my oak.txt"))));
    settle(&mut bench);
    assert!(bench.shows("▤ my oak.txt 5 B"), "{}", bench.text());
    assert_eq!(written(&bench), format!("@\"{}\" ", path(&home, "my oak.txt")));
    bench.keys("<C-u>").msg(Msg::Paste("/no/such/file".to_owned()));
    settle(&mut bench);
    assert_eq!(written(&bench), "/no/such/file");
}

#[test]
fn tab_completes_paths() {
    let home = folder(&[("src/main.rs", b"x"), ("src/model.rs", b"x"), ("a b/c d.txt", b"x"), (".hidden", b"x")]);
    let at = home.path().display();
    let mut bench = Bench::full(140, 30);
    let tab = |bench: &mut Bench, typed: &str| {
        bench.keys(&format!("<Esc>ddi{typed}<Tab>"));
        settle(bench);
        written(bench).replace(&format!("{at}/"), "")
    };
    assert_eq!(tab(&mut bench, &format!("@{at}/s")), "@src/");
    bench.keys("<Tab>");
    settle(&mut bench);
    assert!(written(&bench).ends_with("src/main.rs"));
    bench.keys("<Tab>");
    assert!(written(&bench).ends_with("src/model.rs"));
    assert_eq!(tab(&mut bench, &format!("@{at}/a")), "@\"a b/");
    bench.keys("<Tab>");
    settle(&mut bench);
    assert!(written(&bench).ends_with("a b/c d.txt\""), "{}", written(&bench));
    assert_eq!(tab(&mut bench, &format!("@{at}/.h")), "@.hidden");
    tab(&mut bench, &format!("@{at}/nothing"));
    assert!(bench.shows("No file there begins so."));
}

#[test]
fn drafts_keep_their_attachments_apart() {
    let part = Part::File {
        blob: "ab".repeat(32),
        mime: "text/plain".into(),
        name: "kept.txt".into(),
        facts: Facts { bytes: 4100, tokens: 1200, ..Facts::default() },
    };
    let mut bench = Bench::new(100, 30);
    bench.attach(snapshot());
    let mut first = opened();
    first.conversation.attached = vec![part];
    bench.answer_open(first);
    assert!(bench.shows("▤ kept.txt 4.1 kB ~1.2k tok"), "after a restart: {}", bench.text());
    // An edit has attachments of its own; the draft's come back after it.
    bench.keys("<Esc><Esc>ke");
    assert!(!bench.shows("kept.txt"), "{}", bench.text());
    bench.keys("<Esc><Esc>");
    assert!(bench.shows("kept.txt"), "{}", bench.text());
    bench.keys("<Esc>:new<Enter>");
    assert!(!bench.shows("kept.txt"), "{}", bench.text());
}

#[test]
fn editing_a_message_keeps_what_was_attached_to_it() {
    let mut bench = Bench::new(100, 30);
    bench.attach(snapshot());
    let mut with = opened();
    let part = Part::Image {
        blob: "ab".repeat(32),
        mime: "image/png".into(),
        name: "oak.png".into(),
        facts: Facts { width: 640, height: 480, tokens: 550, bytes: 9 },
    };
    with.contents[4].1.push(part);
    bench.answer_open(with);
    bench.keys("<Esc>ke");
    assert!(bench.shows("▣ oak.png 640×480 ~550 tok"), "{}", bench.text());
    bench.keys("!<Enter>");
    settle(&mut bench);
    assert_eq!(sent(&mut bench).as_ref().map(names), Some(vec!["oak.png"]));
}

#[test]
fn chips_on_a_small_screen() {
    let mut bench = Bench::full(52, 30);
    let chip = |name: &str| Part::File {
        blob: "ab".repeat(32),
        mime: "text/plain".into(),
        name: name.into(),
        facts: Facts { bytes: 4100, tokens: 1200, ..Facts::default() },
    };
    let image = Part::Image {
        blob: "cd".repeat(32),
        mime: "image/png".into(),
        name: "oak.png".into(),
        facts: Facts { width: 640, height: 480, tokens: 550, bytes: 9 },
    };
    let names = ["main.rs", "a name that is far too long for any screen of this size.txt", "日本語\u{1b}[2J.txt", "d.rs", "e.rs"];
    let parts: Content = names.into_iter().map(chip).chain([image]).collect();
    bench.model.shared.attached.restore(parts);
    bench.keys("ilook at these");
    insta::assert_snapshot!("chips_52x30", bench.text());
}

#[test]
fn files_of_a_message_are_fetched_whole_and_saved_shown_or_copied() {
    let mut bench = Bench::full(100, 30);
    let facts = Facts { bytes: 6, tokens: 4, ..Facts::default() };
    let file = |blob: &str, name: &str| Part::File { blob: blob.into(), mime: "text/plain".into(), name: name.into(), facts };
    let image =
        Part::Image { blob: "cc".into(), mime: "image/png".into(), name: "oak.png".into(), facts: Facts { width: 3, height: 2, ..facts } };
    let content = vec![Part::Text { text: "look".into() }, file("aa", "src/../.profile"), file("bb", "notes.txt"), image];
    let (made, _) = message(60, Some(6), Role::User, "look");
    bench.model.shared.view.awaited = Some(node(60));
    bench.event(EventKind::Node { conversation: conversation(1), node: made, content });
    bench.keys("gf");
    assert!(bench.shows("Attachments of this message") && bench.shows("▣ oak.png") && bench.shows("3×2 ~4 tok"), "{}", bench.text());
    // In two pieces, under a name that leads nowhere.
    bench.keys("s<Enter>");
    let ask = |bench: &mut Bench, from: u64| bench.asked(|query| matches!(query, Query::Blob { offset, .. } if *offset == from)).unwrap();
    let tag = ask(&mut bench, 0);
    bench.msg(Msg::Reply { tag, result: Ok(Reply::Blob { total: 6, data: b"oak".to_vec() }) });
    let tag = ask(&mut bench, 3);
    bench.msg(Msg::Reply { tag, result: Ok(Reply::Blob { total: 6, data: b"elm".to_vec() }) });
    let saved = bench
        .cmds
        .iter()
        .find_map(|c| if let Cmd::Save { path, data, over: false } = c { Some((path.clone(), data.clone())) } else { None });
    let (path, data) = saved.unwrap();
    assert!(path.ends_with("attachment") && data == b"oakelm", "{path:?} {data:?}");
    bench.keys("gfj<Enter>");
    let tag = ask(&mut bench, 0);
    bench.msg(Msg::Reply { tag, result: Ok(Reply::Blob { total: 3, data: b"elm".to_vec() }) });
    assert!(bench.cmds.iter().any(|c| matches!(c, Cmd::Edit { text, extension, .. } if text == "elm" && extension == "txt")));
    bench.keys("gfG<Enter>");
    let tag = ask(&mut bench, 0);
    bench.msg(Msg::Reply { tag, result: Ok(Reply::Blob { total: 2, data: vec![0xff, 0xd8] }) });
    assert!(bench.shows("oak.png is no text; it can only be saved."), "{}", bench.text());
}
