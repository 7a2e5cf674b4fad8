//! Templates of messages and conversations, and what was written before.

use std::path::Path;

use super::super::fixture::*;
use super::super::msg::{Cmd, Msg};
use crate::error::{Error, Kind};
use crate::proto::*;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = home.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    home
}

fn written(bench: &Bench) -> String {
    bench.model.shared.composer.borrow().text()
}

fn sends(bench: &mut Bench) -> bool {
    bench.posted().iter().any(|command| matches!(command, Command::Send { .. }))
}

const REVIEW: &str = "+++\nabout = \"Review code\"\n[variables.language]\nchoices = [\"Rust\", \"C\"]\nhelp = \"Which language\"\n+++\nReview this {{language}} as of {{date}} with {{model}}:\n{{input}}\n";

#[test]
fn a_template_comes_into_the_composer_and_is_not_sent() {
    let home = folder(&[("plain.md", "Explain simply."), ("team/tone.md", "Be {{how=kind}}.\n{{> plain}}")]);
    let mut bench = Bench::full(100, 30);
    bench.keys("i/plain the borrow checker<Enter>").errands(home.path());
    assert_eq!(written(&bench), "Explain simply.\n\nthe borrow checker", "what stands behind the name is not lost");
    bench.keys("<Esc>ggdGi/team/tone<Enter>").errands(home.path());
    assert_eq!(written(&bench), "Be kind.\nExplain simply.");
    assert!(!sends(&mut bench));
    bench.keys("<Esc>u");
    assert_eq!(written(&bench), "/team/tone", "undo brings back what was typed");
}

#[test]
fn what_has_no_default_is_asked_for_and_never_sent_as_braces() {
    let home = folder(&[("review.md", REVIEW)]);
    let mut bench = Bench::full(100, 30);
    bench.keys("i/review fn main() {}<Enter>").errands(home.path());
    insta::assert_snapshot!("template_form", bench.text());
    bench.keys("<Enter>Fortran<Enter>");
    assert!(bench.shows("It takes Rust, C."), "{}", bench.text());
    bench.keys("<C-u><Tab>");
    assert!(bench.shows("language Rust"));
    bench.keys("<Tab><Enter>");
    assert_eq!(written(&bench), "Review this C as of 2025-11-22 with qwen3:8b:\nfn main() {}");
    bench.keys("<Esc>ggdGi/review<Enter>").errands(home.path()).keys("<Esc>");
    assert_eq!(written(&bench), "/review", "given up: nothing was inserted");
    assert!(!sends(&mut bench));
}

#[test]
fn what_is_wrong_with_a_template_is_said_and_what_was_typed_stays() {
    let home = folder(&[("a.md", "{{> b}}"), ("b.md", "{{> a}}"), ("broken.md", "x {{y"), ("help.md", "never found")]);
    let mut bench = Bench::full(160, 30);
    for (typed, said) in [("/a", "in a circle: a → b → a"), ("/broken", "{{ is not closed by }} on its line")] {
        bench.keys(&format!("i{typed}<Enter>")).errands(home.path());
        assert!(bench.shows(said), "{}", bench.text());
        assert_eq!(written(&bench), typed);
        bench.keys("<C-u><Esc>");
    }
    bench.keys(":templates<Enter>").errands(home.path());
    let shown = bench.text().replace(&home.path().display().to_string(), "templates");
    for part in ["/a", "/b", "/help", "not used: a command has this name", "Not usable", "✗ broken"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    bench.keys("<Enter>");
    let opened = bench.cmds.iter().any(|cmd| matches!(cmd, Cmd::EditFile(path) if path == &home.path().join("a.md")));
    assert!(opened, "{:?}", bench.cmds);
    bench.msg(Msg::EditedFile { path: home.path().join("broken.md"), result: Ok(()) }).errands(home.path());
    assert!(bench.shows("{{ is not closed by }}"), "what is wrong is said when the editor closes");
}

#[test]
fn a_form_goes_from_line_to_line_and_back() {
    let home = folder(&[("ask.md", "{{one=1}} {{two}} {{three=3}}")]);
    let mut bench = Bench::full(100, 30);
    bench.keys("i/ask<Enter>").errands(home.path());
    bench.keys("<C-u>first<Tab>second<S-Tab>");
    assert!(bench.shows("one first") && !bench.shows("second"), "{}", bench.text());
    bench.keys("<C-u>again<Tab>2<Down><Down>");
    assert!(bench.shows("one again") && bench.shows("two 2") && bench.shows("three 3"), "the last one waits: {}", bench.text());
    bench.keys("<Enter>").errands(home.path());
    assert_eq!(written(&bench), "again 2 3");
}

#[test]
fn tab_goes_through_templates_and_says_what_they_are_for() {
    let home = folder(&[("review.md", "Review."), ("rewrite.md", "+++\nabout = \"Say it better\"\n+++\nRewrite.")]);
    let mut bench = Bench::full(120, 30);
    bench.keys("i/rew<Tab>").errands(home.path());
    assert_eq!(written(&bench), "/rewrite");
    assert!(bench.shows("Say it better"), "{}", bench.text());
    bench.keys("<C-u>/rev<Tab>").errands(home.path());
    assert_eq!(written(&bench), "/review");
}

#[test]
fn the_composers_text_becomes_a_template_and_none_is_overwritten() {
    let home = folder(&[("kept.md", "as it was")]);
    let mut bench = Bench::full(140, 30);
    bench.keys("iExplain {{what}}.<Esc>:template-save explain<Enter>").errands(home.path());
    assert_eq!(std::fs::read_to_string(home.path().join("explain.md")).unwrap(), "Explain {{what}}.\n");
    bench.keys(":template-save kept<Enter>").errands(home.path());
    assert!(bench.shows("already, and it was left as it is"), "{}", bench.text());
    assert_eq!(std::fs::read_to_string(home.path().join("kept.md")).unwrap(), "as it was");
    bench.keys(":template-save model<Enter>").errands(home.path());
    assert!(bench.shows("is a command"), "{}", bench.text());
}

const PAIR: &str = "title = \"With {{who}}\"\nmodel = \"smol\"\nsystem = \"You are {{who}}.\"\ntags = [\"pair\"]\n[parameters]\ntemperature = 0.2\n[[message]]\nrole = \"assistant\"\ntext = \"I am {{who}}.\"\n[[message]]\nrole = \"user\"\ntext = \"Hello {{who}}\"\n[variables]\nwho = \"Ada\"\n";

#[test]
fn a_conversation_begins_with_a_template() {
    let home = folder(&[("pair.toml", PAIR)]);
    let mut bench = Bench::full(100, 30);
    bench.keys("<Esc>:new-from<Enter>").errands(home.path());
    assert!(bench.shows("Begin with which template?"));
    bench.keys("<Enter>").errands(home.path()).keys("<C-u>Bob<Enter>");
    let posted = bench.posted();
    let made = posted.iter().find_map(|command| match command {
        Command::NewConversation { id, title, system, parameters, model, .. } => {
            Some((*id, title.clone(), system.clone(), parameters.number("temperature"), model.clone()))
        }
        _ => None,
    });
    let (id, title, system, temperature, by) = made.unwrap();
    assert_eq!((title.as_deref(), system.as_deref(), temperature), (Some("With Bob"), Some("You are Bob."), Some(0.2)));
    assert_eq!(by, Some(model_ref("smollm2:135m")));
    let tag = Keep::Tag { name: "pair".into(), on: true };
    assert!(posted.contains(&Command::Keep { conversations: vec![id], change: tag }), "{posted:?}");
    let opening = posted.iter().find_map(|command| match command {
        Command::Add { role, parent, content, .. } => Some((*role, *parent, content_text(content))),
        _ => None,
    });
    assert_eq!(opening, Some((Role::Assistant, None, "I am Bob.".to_owned())));
    assert!(!posted.iter().any(|command| matches!(command, Command::Send { .. })));
    assert_eq!(written(&bench), "Hello Bob", "the last word of the person waits in the composer");

    std::fs::write(home.path().join("pair.toml"), format!("send = true\n{}", PAIR.replace("who = \"Ada\"", ""))).unwrap();
    bench.keys("<Esc>:new-from pair<Enter>").errands(home.path()).keys("Eve<Enter>");
    let posted = bench.posted();
    let added = posted.iter().find_map(|command| if let Command::Add { node, .. } = command { Some(*node) } else { None });
    let sent = posted.iter().find_map(|command| match command {
        Command::Send { parent, content, .. } => Some((*parent, content_text(content))),
        _ => None,
    });
    assert_eq!(sent, Some((added, "Hello Eve".to_owned())), "files are read anew each time");
}

#[test]
fn mistakes_of_a_conversations_template_name_the_file_and_change_nothing() {
    let home = folder(&[
        ("model.toml", "model = \"nobody\""),
        ("preset.toml", "preset = \"none\""),
        ("folder.toml", "folder = \"work/rust\""),
        ("broken.toml", "modle = \"x\""),
    ]);
    let mut bench = Bench::full(200, 30);
    for (name, said) in [
        ("model", "model.toml: model = “nobody”"),
        ("preset", "there is no preset “none”"),
        ("folder", "there is no folder “work/rust”"),
        ("broken", "broken.toml:1: “modle” is not a key"),
        ("none", "There is no template of conversations called “none”."),
    ] {
        bench.keys(&format!("<Esc>:new-from {name}<Enter>")).errands(home.path());
        assert!(bench.shows(said), "{name}: {}", bench.text());
        assert!(bench.posted().iter().all(|command| !matches!(command, Command::NewConversation { .. })));
    }
}

#[test]
fn this_conversation_becomes_a_template() {
    let home = folder(&[]);
    let mut bench = Bench::full(100, 30);
    bench.keys("<Esc>kk:template-from kept<Enter>").errands(home.path());
    let text = std::fs::read_to_string(home.path().join("kept.toml")).unwrap();
    assert!(text.contains("model = \"workstation/qwen3:8b\"") && text.contains("Write quicksort in Rust"), "{text}");
    bench.keys(":new-from kept<Enter>").errands(home.path());
    assert!(bench.posted().iter().any(|command| matches!(command, Command::NewConversation { .. })), "{}", bench.text());
}

#[test]
fn what_was_written_before_is_found_as_one_types_and_not_sent() {
    let mut bench = Bench::full(90, 24);
    bench.keys("<Esc><Space>h");
    let asked = |bench: &Bench, looked_for: &str| bench.asked(|query| matches!(query, Query::Prompts { text, .. } if text == looked_for));
    let first = asked(&bench, "").unwrap();
    bench.keys("so");
    let second = asked(&bench, "so").unwrap();
    let found = |texts: &[&str]| Ok(Reply::Prompts(texts.iter().map(|text| (*text).to_owned()).collect()));
    bench.msg(Msg::Reply { tag: first, result: found(&["everything"]) });
    bench.msg(Msg::Reply { tag: asked(&bench, "s").unwrap(), result: found(&["something"]) });
    assert!(!bench.shows("everything") && !bench.shows("something"), "answers to older questions are not shown");
    let hostile = "sort \u{1b}[2Jthis\nand\nthat";
    bench.msg(Msg::Reply { tag: second, result: found(&["sort 日本語", hostile]) });
    insta::assert_snapshot!("prompts", bench.text());
    bench.keys("<Down><Enter>");
    assert!(written(&bench).contains("and\nthat"), "{}", written(&bench));
    assert!(!sends(&mut bench));
    bench.keys("<Esc><Space>h");
    let error = Error::new(Kind::HostGone, "The host is gone.");
    bench.msg(Msg::Reply { tag: asked(&bench, "").unwrap(), result: Err(error) });
    assert!(!bench.shows("…\n"), "{}", bench.text());
}

#[test]
fn without_a_folder_there_are_no_templates() {
    let mut bench = Bench::full(120, 30);
    bench.keys("<Esc>:templates<Enter>").errands(Path::new("/nowhere/at/all"));
    assert!(bench.shows("There are no templates yet."), "{}", bench.text());
    bench.keys(":new-from<Enter>").errands(Path::new("/nowhere/at/all"));
    assert!(bench.shows("There is no template of conversations yet."));
}
