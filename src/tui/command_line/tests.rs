//! Lines as people type them.

use proptest::prelude::*;

use super::*;
use crate::tui::action::{ALL, Action, Invocation};

fn run(action: Action, args: &[&str]) -> Invocation {
    Invocation { action, args: args.iter().map(|arg| (*arg).to_owned()).collect() }
}

#[test]
fn the_names_that_scripts_rely_on() {
    for (line, expected) in [
        (":model qwen3:8b", run(Action::ModelChoose, &["qwen3:8b"])),
        ("model start qwen3:8b", run(Action::ModelStart, &["qwen3:8b"])),
        (":model stop work/qwen", run(Action::ModelStop, &["work/qwen"])),
        (":model", run(Action::ModelChoose, &[])),
        (":system Answer in one sentence.", run(Action::System, &["Answer in one sentence."])),
        (":system \"quoted\"", run(Action::System, &["quoted"])),
        (":system say \"a\" or \"b\"", run(Action::System, &["say \"a\" or \"b\""])),
        (":set temperature 0.2", run(Action::Set, &["temperature", "0.2"])),
        (":set stop a, b", run(Action::Set, &["stop", "a, b"])),
        (":set temperature", run(Action::Set, &["temperature"])),
        (":set", run(Action::Set, &[])),
        (":branch  my idea ", run(Action::Branch, &["my idea"])),
        (":switch main", run(Action::Switch, &["main"])),
        (":edit", run(Action::EditMessage, &[])),
        (":retry", run(Action::Retry, &[])),
        (":stop", run(Action::Stop, &[])),
        (":continue", run(Action::Continue, &[])),
        (":cancel", run(Action::Cancel, &[])),
        (":request", run(Action::Request, &[])),
        (":theme dark", run(Action::Theme, &["dark"])),
        (":keymap plain", run(Action::Keymap, &["plain"])),
        (":search two words", run(Action::Search, &["two words"])),
        (":open 0198", run(Action::Open, &["0198"])),
        (":new", run(Action::New, &[])),
        (":q", run(Action::Quit, &[])),
        (":quit", run(Action::Quit, &[])),
        (":help keys", run(Action::Help, &["keys"])),
        (":rename A title", run(Action::Rename, &["A title"])),
        (":delete", run(Action::Delete, &[])),
        (":zoom", run(Action::PaneZoom, &[])),
        (":pull starter", run(Action::PullStarter, &[])),
        (":pull starter pip", run(Action::PullStarter, &["pip"])),
        (":backend add work openai http://a:1/v1 MY_KEY", run(Action::BackendAdd, &["work", "openai", "http://a:1/v1", "MY_KEY"])),
        (":backend add \"work\" ollama http://a", run(Action::BackendAdd, &["work", "ollama", "http://a"])),
        (":model open ~/a file.gguf", run(Action::OpenFile, &["~/a file.gguf"])),
    ] {
        assert_eq!(parse(line), Ok(expected), "{line}");
    }
}

#[test]
fn mistakes_name_what_is_near() {
    let told: Vec<String> = [
        "",
        ":",
        ":retyr",
        ":mod x",
        ":frobnicate",
        ":retry now",
        ":set temprature 1",
        ":set temperature hot",
        ":open",
        ":focus char",
        ":backend add work",
        ":backend add work olama http://x",
        ":backend remove x",
        ":pulls qwen",
        ":edit-word-forward",
        ":\u{1b}[31m",
    ]
    .iter()
    .map(|line| {
        let error = parse(line).unwrap_err();
        format!("{line:?}: {}\n    {}", error.message, error.hints.join("\n    "))
    })
    .collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn keymaps_may_leave_arguments_open() {
    assert_eq!(parse_binding("open-file"), Ok(run(Action::OpenFile, &[])));
    assert_eq!(parse_binding("edit-undo"), Ok(run(Action::Edit(Edit::Undo), &[])));
    assert_eq!(parse_binding("focus tree"), Ok(run(Action::Focus, &["tree"])));
    assert!(parse_binding("focus tere").is_err());
}

struct Names {
    models: Vec<String>,
    branches: Vec<String>,
    presets: Vec<String>,
    conversations: Vec<(String, String)>,
    themes: Vec<String>,
}

impl Names {
    fn new() -> Self {
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            models: own(&["ollama/qwen3:8b", "work/gemma3", "ollama/Smol"]),
            branches: own(&["main", "idea"]),
            presets: own(&["terse"]),
            conversations: vec![("0198a".to_owned(), "Quicksort in Rust".to_owned())],
            themes: own(&["dark", "light"]),
        }
    }

    fn lists(&self) -> Lists<'_> {
        Lists {
            models: &self.models,
            branches: &self.branches,
            presets: &self.presets,
            conversations: &self.conversations,
            themes: &self.themes,
            ..Lists::default()
        }
    }
}

#[test]
fn completion_knows_what_may_follow() {
    let names = Names::new();
    let texts = |before: &str| -> Vec<String> {
        let (start, items) = candidates(before, &names.lists());
        items.into_iter().map(|item| format!("{}{}", &before[..start], item.text)).collect()
    };
    assert_eq!(texts("re"), ["retry", "retry-with", "request", "redo", "react", "refresh", "rename", "restore", "redraw"]);
    assert_eq!(texts(":theme "), [":theme dark", ":theme light"]);
    assert_eq!(texts("theme l"), ["theme light"]);
    assert_eq!(texts("switch i"), ["switch idea", "switch main"]);
    assert_eq!(texts("model start sm"), ["model start ollama/Smol"]);
    assert_eq!(texts("model sto"), ["model stop"]);
    assert_eq!(texts("model s"), ["model start", "model stop", "model ollama/Smol"]);
    assert_eq!(texts("set temp"), ["set temperature", "set dynatemp_range", "set dynatemp_exponent"]);
    assert_eq!(texts("set thinking o"), ["set thinking on", "set thinking off", "set thinking low"]);
    assert_eq!(texts("open quick"), ["open 0198a"]);
    assert_eq!(texts("backend add x o"), ["backend add x ollama", "backend add x openai", "backend add x anthropic"]);
    assert_eq!(texts("pull starter "), ["pull starter pip"]);
    assert_eq!(texts("retry x"), Vec::<String>::new());
    assert_eq!(texts("system hel"), Vec::<String>::new());
    assert_eq!(texts("").len(), ALL.len());
}

#[test]
fn tab_goes_round() {
    let names = Names::new();
    let mut line = CommandLine::default();
    line.open("theme ");
    let mut seen = Vec::new();
    for back in [false, false, false, false, true] {
        assert!(line.complete(back, |before| candidates(before, &names.lists())));
        seen.push(line.text().to_owned());
    }
    assert_eq!(seen, ["theme dark", "theme light", "theme ", "theme dark", "theme "]);
    assert_eq!(line.round().unwrap().1, None);
    line.insert("l");
    assert_eq!(line.round(), None);
    assert!(line.complete(false, |before| candidates(before, &names.lists())));
    assert_eq!(line.text(), "theme light ");
    line.open("zoo");
    assert!(line.complete(true, |before| candidates(before, &names.lists())));
    assert_eq!(line.text(), "zoom ");
    assert!(!line.complete(false, |before| candidates(before, &names.lists())));
}

#[test]
fn lines_come_back() {
    let mut line = CommandLine::new(vec!["model a".to_owned(), "theme dark".to_owned()]);
    line.open("mod");
    assert!(line.recall(true));
    assert_eq!(line.text(), "model a");
    assert!(!line.recall(true));
    assert!(line.recall(false));
    assert_eq!(line.text(), "mod");
    line.edit(Edit::DeleteToStart, None);
    line.insert("new");
    assert_eq!(line.take(), "new");
    assert!(line.line().is_empty());
    assert!(line.recall(true));
    assert_eq!(line.text(), "new");
}

#[test]
fn slashes_of_ollama_users() {
    for (message, expected) in [
        ("/model qwen", run(Action::ModelChoose, &["qwen"])),
        ("/load qwen", run(Action::ModelChoose, &["qwen"])),
        ("/system Be\nbrief.", run(Action::System, &["Be\nbrief."])),
        ("/set temperature 0.5", run(Action::Set, &["temperature", "0.5"])),
        ("/set parameter temperature 0.5", run(Action::Set, &["temperature", "0.5"])),
        ("/set system \"Be brief.\"", run(Action::System, &["Be brief."])),
        ("/clear", run(Action::New, &[])),
        ("/bye", run(Action::Quit, &[])),
        ("/?", run(Action::Help, &[])),
    ] {
        assert_eq!(slash(message), Slash::Run(expected), "{message}");
    }
    for message in ["hello", "/etc/hosts is wrong", " /", "/ x", "//", "/*comment*/", "a /model x", "/send"] {
        assert_eq!(slash(message), Slash::Message, "{message}");
    }
    let Slash::Wrong(error) = slash("/modle x") else { panic!() };
    assert_eq!(error.message, "“/modle” was not sent: No command is called “modle”.");
    assert_eq!(error.hints[0], "Did you mean `/model`?");
    assert!(matches!(slash("/shrug"), Slash::Wrong(_)));
    assert!(matches!(slash("/set parameter nothing 1"), Slash::Wrong(_)));
}

proptest! {
    #[test]
    fn any_line_parses_or_says_why(line in "(:?(model|set|system|backend add|pull|theme|open)? ?)?[ -~äß漢\"]{0,30}") {
        let names = Names::new();
        match parse(&line) {
            Ok(invocation) => prop_assert_eq!(invocation.missing(), None),
            Err(error) => prop_assert!(!error.hints.is_empty() && error.message.ends_with('.')),
        }
        let _ = slash(&format!("/{line}"));
        let (start, items) = candidates(&line, &names.lists());
        prop_assert!(line.is_char_boundary(start) && items.len() <= 200);
        let mut command = CommandLine::default();
        command.open(&line);
        for back in [false, true, true] {
            command.complete(back, |before| candidates(before, &names.lists()));
        }
    }
}
