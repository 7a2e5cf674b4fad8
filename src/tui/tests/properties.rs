//! Whatever is typed and whatever comes, the screen stands.

use proptest::prelude::*;

use super::super::fixture::*;
use super::super::msg::Msg;
use crate::error::{Error, Kind};
use crate::proto::*;

#[derive(Debug, Clone)]
enum Act {
    Key(String),
    Paste(String),
    Resize(u16, u16),
    Delta(u8, String),
    Finish(u8, u8),
    Wait(u16),
    Lost,
    Restored,
    Frame,
}

fn act() -> impl Strategy<Value = Act> {
    let keys = prop::sample::select(vec![
        "<Enter>",
        "<Esc>",
        "<Tab>",
        "<S-Tab>",
        "<BS>",
        "<Up>",
        "<Down>",
        "<Left>",
        "<Right>",
        "<PageUp>",
        "<PageDown>",
        "<Home>",
        "<End>",
        "<C-w>",
        "<C-c>",
        "<C-d>",
        "<C-u>",
        "<C-p>",
        "<C-e>",
        "<C-j>",
        "<Space>",
        "i",
        "j",
        "k",
        "h",
        "l",
        "g",
        "G",
        "z",
        "y",
        "c",
        "x",
        "a",
        "b",
        "d",
        "e",
        "r",
        "R",
        "E",
        "[",
        "]",
        "?",
        "/",
        ":",
        "n",
        "N",
        "q",
        "s",
        "S",
        "f",
        "m",
        "1",
        "3",
        "9",
        "D",
        "J",
        "K",
        "H",
        "M",
        "v",
        "2",
        "t",
        "o",
        "w",
        "X",
        "F",
        "P",
        "I",
        "!",
        "g2",
        "gs",
        "go",
        "gc",
        "/size:<lt>",
        "日",
        "é",
    ]);
    prop_oneof![
        12 => keys.prop_map(|k| Act::Key(k.to_owned())),
        1 => "\\PC{0,40}".prop_map(Act::Paste),
        1 => (1u16..200, 1u16..60).prop_map(|(w, h)| Act::Resize(w, h)),
        2 => (0u8..8, "[a-z`|#*\\n -]{0,30}").prop_map(|(n, t)| Act::Delta(n, t)),
        1 => (0u8..8, 0u8..12).prop_map(|(n, s)| Act::Finish(n, s)),
        1 => (0u16..2000).prop_map(Act::Wait),
        1 => Just(Act::Lost),
        1 => Just(Act::Restored),
        4 => Just(Act::Frame),
    ]
}

const STATES: [State; 12] = [
    State::Queued,
    State::Connecting,
    State::Waiting,
    State::Loading,
    State::Reading,
    State::Thinking,
    State::Writing,
    State::Done,
    State::Stopped,
    State::Failed,
    State::Sent,
    State::Accepted,
];

fn perform(bench: &mut Bench, act: &Act) {
    match act {
        Act::Key(key) => {
            bench.keys(key);
        }
        Act::Paste(text) => {
            bench.msg(Msg::Paste(text.clone()));
        }
        Act::Resize(width, height) => {
            bench.msg(Msg::Resize { width: *width, height: *height });
        }
        Act::Delta(n, text) => {
            let id = node(u128::from(*n));
            let at = bench.model.shared.doc().and_then(|d| d.node(id)).map_or(0, |n| n.bytes);
            let kind = if n % 3 == 0 { DeltaKind::Thinking } else { DeltaKind::Text };
            bench.event(EventKind::Delta { conversation: conversation(1), node: id, kind, at, text: text.clone() });
        }
        Act::Finish(n, state) => {
            let (mut made, content) = message(u128::from(*n) + 1, Some(1), if n % 2 == 0 { Role::Assistant } else { Role::User }, "text");
            made.state = STATES[usize::from(*state) % 12];
            if n % 3 == 0 {
                bench.event(EventKind::Node { conversation: conversation(1), node: made, content });
            } else {
                bench.event(EventKind::Finished { conversation: conversation(1), node: made });
            }
        }
        Act::Wait(ms) => {
            bench.wait(u64::from(*ms)).msg(Msg::Tick);
        }
        Act::Lost => {
            bench.msg(Msg::Lost(Error::new(Kind::HostGone, "The link broke.")));
        }
        Act::Restored => {
            bench.msg(Msg::Restored(Box::new(snapshot())));
        }
        Act::Frame => {
            bench.frame();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn nothing_makes_it_panic(acts in prop::collection::vec(act(), 1..60), width in 40u16..160, height in 12u16..50, plain: bool, opens: bool) {
        let mut bench = Bench::with(width, height, if plain { "plain" } else { "vim" }, "dark");
        bench.attach(snapshot());
        if opens {
            bench.answer_open(opened());
        }
        for act in &acts {
            perform(&mut bench, act);
        }
        bench.frame();
        bench.keys("<Esc><Esc><Esc><Esc>").frame();
    }

    /// Drawing only what is marked shows the same as drawing everything.
    #[test]
    fn what_is_not_marked_did_not_change(acts in prop::collection::vec(act(), 1..30)) {
        let mut bench = Bench::full(120, 40);
        for act in &acts {
            let due = bench.model.deadline();
            perform(&mut bench, act);
            // The loop wakes at deadlines: what counts seconds is drawn then.
            if due.is_some_and(|at| at <= bench.now.mono) {
                bench.msg(Msg::Tick);
            }
            let partial = bench.text();
            bench.model.mark_all();
            let whole = bench.text();
            prop_assert_eq!(partial, whole, "after {:?}", act);
        }
    }
}
