//! A screen for tests: a model with a made-up host, driven by keys, read as text.

use std::time::{Duration, Instant};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::tz::TimeZone;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use unicode_width::UnicodeWidthStr;

use super::composer::Composer;
use super::model::{Choices, Model, Setup};
use super::msg::{Cmd, Msg, Now, Tag};
use super::output::Output;
use super::pane::composer;
use super::shared::Shared;
use super::text::Highlighter;
use super::theme::{Depth, Facts, Themes};
use super::update::{after_view, update};
use super::view::view;
use super::{keymap, layout};
use crate::error::{Error, Kind};
use crate::proto::*;

/// Sat 22 Nov 2025 14:00 UTC.
pub const NOON: UnixMs = 1_763_820_000_000;

/// A screen under test.
pub struct Bench {
    pub model: Model,
    pub canvas: Buffer,
    pub output: Output,
    pub terminal: vt100::Parser,
    pub cmds: Vec<Cmd>,
    pub now: Now,
    seq: u64,
    /// Bytes of the last frame.
    pub last: usize,
}

pub fn conversation(n: u128) -> ConversationId {
    uuid::Uuid::from_u128(0x1000 + n).into()
}

pub fn node(n: u128) -> NodeId {
    uuid::Uuid::from_u128(0x2000 + n).into()
}

pub fn model_ref(name: &str) -> ModelRef {
    ModelRef { backend: "workstation".into(), model: name.into() }
}

pub fn backend(name: &str, kind: BackendKind, state: BackendState) -> BackendStatus {
    BackendStatus {
        name: name.into(),
        kind,
        url: Some("http://127.0.0.1:11434".into()),
        state,
        error: None,
        version: Some("0.12.6".into()),
        latency_ms: Some(1.2),
        slow: false,
        retry_at: None,
        discovered: false,
    }
}

pub fn row(n: u128, title: &str) -> ConversationRow {
    ConversationRow {
        title: title.into(),
        updated: NOON - 60_000 * n as i64,
        messages: 6,
        branches: 2,
        model: Some(model_ref("qwen3:8b")),
        ..ConversationRow::new(conversation(n), NOON - 3_600_000)
    }
}

pub fn message(id: u128, parent: Option<u128>, role: Role, text: &str) -> (Node, Content) {
    let (state, run, by) = match role {
        Role::Assistant => (State::Done, Some(run(text)), Some(model_ref("qwen3:8b"))),
        _ => (State::Accepted, None, None),
    };
    let made = Node {
        model: by,
        snippet: text.lines().next().unwrap_or_default().chars().take(80).collect(),
        bytes: text.len() as u64,
        tokens: crate::core::estimate::text(text) + 5,
        run: run.map(Box::new),
        ..Node::new(node(id), parent.map(node), role, state, NOON - 600_000 + id as i64 * 1000)
    };
    (made, vec![Part::Text { text: text.into() }])
}

pub fn run(text: &str) -> Run {
    Run {
        finished: Some(NOON - 490_000),
        finish: Some(Finish::Stop),
        figures: Figures {
            ttft_ms: Some(Figure::measured(412.0)),
            tokens_per_s: Some(Figure::server(41.8)),
            completion_tokens: Some(Figure::server(f64::from(crate::core::estimate::text(text)))),
            prompt_tokens: Some(Figure::server(120.0)),
            ..Figures::default()
        },
        ..Run::new(uuid::Uuid::from_u128(7).into(), model_ref("qwen3:8b"), NOON - 500_000)
    }
}

/// A snapshot with two backends, five models and some conversations.
pub fn snapshot() -> Snapshot {
    let mut models: Vec<ModelInfo> = ["smollm2:135m", "qwen3:8b", "gemma3:270m", "mistral:7b", "日本語モデル:1b"]
        .into_iter()
        .map(|name| ModelInfo::named("workstation", BackendKind::Ollama, name))
        .collect();
    models[0].state = ModelState::Unloaded;
    models[0].size_bytes = Some(98_000_000);
    models[0].card.favourite = true;
    models[1].state = ModelState::Loaded;
    models[1].size_bytes = Some(4_900_000_000);
    models[1].quantisation = Some("Q4_K_M".into());
    models[1].context = Some(8192);
    models[1].context_max = Some(40_960);
    models[1].family = Some("qwen3".into());
    models[1].card.favourite = true;
    models[2].state = ModelState::Loading;
    models[2].permille = Some(430);
    models[3].state = ModelState::Failed;
    models[3].error = Some(Error::new(Kind::ModelMissing, "There is no such file."));
    models[4].state = ModelState::Sleeping;
    let mut rows = vec![
        row(1, "quicksort in rust"),
        row(2, "release notes"),
        row(3, ""),
        row(4, "a title that is much longer than the pane in which it is to stand, for sure"),
        row(5, "日本語の会話"),
    ];
    rows[1].unread = true;
    rows[3].running = 1;
    Snapshot {
        seq: 10,
        conversations: Window { offset: 0, total: 5, items: rows },
        backends: vec![
            backend("workstation", BackendKind::Ollama, BackendState::Up),
            backend("embedded", BackendKind::Embedded, BackendState::Up),
        ],
        models,
        settings: [("keymap".to_owned(), "vim".into())].into(),
        last: Some(conversation(1)),
        discovered: true,
        looked_at: "11434, 8080, 1234, 8000".into(),
        ..Snapshot::default()
    }
}

/// The first run on a machine without servers.
pub fn nothing_found() -> Snapshot {
    Snapshot {
        discovered: true,
        looked_at: "11434, 8080, 1234, 8000".into(),
        pip: true,
        backends: vec![backend("embedded", BackendKind::Embedded, BackendState::Up)],
        settings: [("keymap".to_owned(), "vim".into())].into(),
        ..Snapshot::default()
    }
}

pub const ANSWER: &str = "Lomuto is **shorter**, Hoare *moves less*. Hoare's:\n\n```rust\nfn quicksort<T: Ord>(v: &mut [T]) {\n    if v.len() < 2 { return }\n}\n```\n\n| sort | stable |\n|---|---|\n| quick | no |\n| 并归 | yes |\n";

/// The conversation of wireframes.md: two answers to the first question, the second followed.
pub fn opened() -> Opened {
    let mut nodes = Vec::new();
    let mut contents = Vec::new();
    for (made, content) in [
        message(1, None, Role::User, "Write quicksort in Rust, in place."),
        message(2, Some(1), Role::Assistant, "Here is a simple one."),
        message(3, Some(1), Role::Assistant, ANSWER),
        message(4, Some(3), Role::User, "Hoare, please"),
        message(5, Some(3), Role::User, "Why is it not stable?"),
        message(6, Some(5), Role::Assistant, "A partition swaps elements across equal keys, so their order is lost."),
    ] {
        contents.push((made.id, content));
        nodes.push(made);
    }
    nodes[1].model = Some(model_ref("smollm2:135m"));
    if let Some(run) = &mut nodes[1].run {
        run.model = model_ref("smollm2:135m");
    }
    let conversation = Conversation {
        head: Some(node(6)),
        branches: [("main".to_owned(), node(6))].into(),
        ..Conversation::new(row(1, "quicksort in rust"))
    };
    Opened { seq: 10, conversation, nodes, contents }
}

impl Bench {
    /// Before the host answers.
    pub fn new(width: u16, height: u16) -> Self {
        Self::with(width, height, "vim", "dark")
    }

    pub fn with(width: u16, height: u16, keymap: &str, theme: &str) -> Self {
        let facts = Facts { depth: Depth::True, light: Some(false) };
        let themes = Themes::built_in();
        let theme = themes.resolve(theme, &facts).unwrap().theme;
        let loaded = keymap::load(keymap, &[], &keymap::Options::default());
        let composer = Composer::new(loaded.keymap.modal());
        let shared = Shared::new(composer, theme, Highlighter::immediate(), loaded.keymap, TimeZone::UTC, composer::ID);
        let mut model = Model::new(Setup {
            shared,
            themes,
            facts,
            theme_name: "dark".into(),
            keymaps: Vec::new(),
            choices: Choices::default(),
            arrangement: layout::Arrangement::default(),
            ids: IdGen::Counting(0x5000),
            size: (width, height),
            began: Instant::now(),
            history: Vec::new(),
        });
        let now = Now { mono: Duration::from_secs(1), wall: NOON };
        model.shared.now = now;
        Self {
            model,
            canvas: Buffer::empty(Rect::new(0, 0, width, height)),
            output: Output::new(width, height),
            terminal: vt100::Parser::new(height.try_into().unwrap(), width.try_into().unwrap(), 0),
            cmds: Vec::new(),
            now,
            seq: 10,
            last: 0,
        }
    }

    /// Attached, with the conversation of the wireframes open.
    pub fn full(width: u16, height: u16) -> Self {
        let mut bench = Self::new(width, height);
        bench.attach(snapshot());
        bench.answer_open(opened());
        bench.frame();
        bench
    }

    pub fn attach(&mut self, snapshot: Snapshot) -> &mut Self {
        self.msg(Msg::Attached(Box::new(snapshot)))
    }

    pub fn msg(&mut self, msg: Msg) -> &mut Self {
        let cmds = update(&mut self.model, msg, self.now);
        self.cmds.extend(cmds);
        self
    }

    /// The tag of the last question that fits.
    pub fn asked(&self, fits: impl Fn(&Query) -> bool) -> Option<Tag> {
        self.cmds.iter().rev().find_map(|cmd| match cmd {
            Cmd::Ask { tag, query } if fits(query) => Some(*tag),
            _ => None,
        })
    }

    pub fn answer_open(&mut self, opened: Opened) -> &mut Self {
        let tag = self.asked(|q| matches!(q, Query::Open { .. })).unwrap();
        self.msg(Msg::Reply { tag, result: Ok(Reply::Opened(Box::new(opened))) })
    }

    pub fn event(&mut self, kind: EventKind) -> &mut Self {
        self.seq += 1;
        let event = Event { seq: self.seq, at: self.now.wall, kind };
        self.msg(Msg::Event(Box::new(event)))
    }

    /// Commands that were posted since the last look.
    pub fn posted(&mut self) -> Vec<Command> {
        let posted =
            self.cmds.iter().filter_map(|cmd| if let Cmd::Post { command, .. } = cmd { Some(command.clone()) } else { None }).collect();
        self.cmds.clear();
        posted
    }

    /// Fetches what the composer wants from files, with templates in this folder, until it wants nothing more.
    pub fn errands(&mut self, templates: &std::path::Path) -> &mut Self {
        let desk = super::errand::Desk { templates: templates.to_owned() };
        while let Some(at) = self.cmds.iter().position(|cmd| matches!(cmd, Cmd::Errand(_))) {
            if let Cmd::Errand(errand) = self.cmds.remove(at) {
                self.msg(desk.run(errand));
            }
        }
        self
    }

    /// The host takes everything that is brought to it.
    pub fn take_pieces(&mut self) -> &mut Self {
        while let Some(at) = self.cmds.iter().position(|cmd| matches!(cmd, Cmd::Post { command: Command::PutBlob { .. }, .. })) {
            if let Cmd::Post { tag, command: Command::PutBlob { offset, data, .. } } = self.cmds.remove(at) {
                self.msg(Msg::Ack { tag, result: Ok(Ack::Blob { have: offset + data.len() as u64 }) });
            }
        }
        self
    }

    pub fn wait(&mut self, ms: u64) -> &mut Self {
        self.now.mono += Duration::from_millis(ms);
        self.now.wall += ms as i64;
        self
    }

    /// Types keys: characters as they stand, others as `<Esc>`, `<C-w>`, `<lt>`. A moment passes between two.
    pub fn keys(&mut self, script: &str) -> &mut Self {
        for key in parse(script) {
            self.wait(20);
            self.msg(Msg::Key(key));
        }
        self
    }

    /// Draws a frame as the loop would, and puts it through a terminal.
    pub fn frame(&mut self) -> &mut Self {
        let cursor = view(&mut self.model, &mut self.canvas);
        let bytes = self.output.frame(&self.canvas, cursor).to_vec();
        self.last = bytes.len();
        self.terminal.process(&bytes);
        let cmds = after_view(&mut self.model);
        self.cmds.extend(cmds);
        self
    }

    /// What is on the screen.
    pub fn text(&mut self) -> String {
        self.frame();
        let mut out = String::new();
        for y in 0..self.canvas.area.height {
            let mut line = String::new();
            let mut x = 0;
            while x < self.canvas.area.width {
                let symbol = self.canvas[(x, y)].symbol();
                line.push_str(symbol);
                x += u16::try_from(symbol.width().max(1)).unwrap_or(1);
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }

    pub fn shows(&mut self, text: &str) -> bool {
        self.text().contains(text)
    }

    /// The canvas is what the terminal shows.
    pub fn assert_terminal(&mut self) {
        let text = self.text();
        for (y, line) in text.lines().enumerate() {
            let shown: String = self.terminal.screen().rows(0, self.canvas.area.width).nth(y).unwrap_or_default();
            assert_eq!(shown.trim_end(), line, "row {y}");
        }
    }
}

/// Keys of a script.
pub fn parse(script: &str) -> Vec<KeyEvent> {
    let mut out = Vec::new();
    let mut rest = script;
    while let Some(c) = rest.chars().next() {
        if let Some(end) = rest.find('>').filter(|_| c == '<') {
            out.push(named(&rest[1..end]));
            rest = &rest[end + 1..];
        } else {
            out.push(KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE));
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

fn named(name: &str) -> KeyEvent {
    let (modifiers, name) = match name.split_once('-') {
        Some(("C", rest)) => (KeyModifiers::CONTROL, rest),
        Some(("A", rest)) => (KeyModifiers::ALT, rest),
        Some(("S", rest)) => (KeyModifiers::SHIFT, rest),
        _ => (KeyModifiers::NONE, name),
    };
    let code = match name {
        "Enter" => KeyCode::Enter,
        "Esc" => KeyCode::Esc,
        "Tab" if modifiers == KeyModifiers::SHIFT => KeyCode::BackTab,
        "Tab" => KeyCode::Tab,
        "BS" => KeyCode::Backspace,
        "Up" => KeyCode::Up,
        "Down" => KeyCode::Down,
        "Left" => KeyCode::Left,
        "Right" => KeyCode::Right,
        "Home" => KeyCode::Home,
        "End" => KeyCode::End,
        "PageUp" => KeyCode::PageUp,
        "PageDown" => KeyCode::PageDown,
        "F1" => KeyCode::F(1),
        "F2" => KeyCode::F(2),
        "lt" => KeyCode::Char('<'),
        "Space" => KeyCode::Char(' '),
        other => KeyCode::Char(other.chars().next().unwrap_or(' ')),
    };
    KeyEvent::new(code, modifiers)
}
