//! What goes over the wire to the terminal: budgets as counts.

use super::super::fixture::*;
use super::super::msg::Msg;
use crate::proto::*;

fn streaming(width: u16, height: u16) -> (Bench, u64) {
    let mut bench = Bench::full(width, height);
    let (mut made, _) = message(60, Some(5), Role::Assistant, "");
    made.state = State::Writing;
    if let Some(run) = &mut made.run {
        run.finish = None;
        run.figures = Figures::default();
        run.progress.since = NOON;
    }
    bench.model.shared.view.awaited = Some(node(60));
    bench.event(EventKind::Node { conversation: conversation(1), node: made, content: Vec::new() });
    bench.frame();
    (bench, 0)
}

fn token(bench: &mut Bench, at: &mut u64, text: &str) -> usize {
    bench.wait(10);
    let length = text.len() as u64;
    let text = text.to_owned();
    bench.event(EventKind::Delta { conversation: conversation(1), node: node(60), kind: DeltaKind::Text, at: *at, text });
    *at += length;
    bench.frame();
    bench.last
}

#[test]
fn what_is_drawn_is_what_the_terminal_shows() {
    for (width, height) in [(160, 45), (80, 24), (52, 30), (40, 12)] {
        let mut bench = Bench::full(width, height);
        bench.assert_terminal();
        for keys in ["<Esc>k", "[", "<Space>m", "<Esc>", ":focus tree<Enter>", "?", "<Esc>", "itext 日本<Esc>"] {
            bench.keys(keys);
            bench.assert_terminal();
        }
    }
}

#[test]
fn an_idle_frame_and_a_key_without_effect_cost_nothing() {
    let mut bench = Bench::full(160, 45);
    bench.keys("<Esc>").frame();
    bench.frame();
    assert_eq!(bench.last, 0);
    assert!(!bench.model.redraw.is_needed());
    // Up at the top of the text: nothing moves.
    bench.keys("G").frame();
    bench.keys("G").frame();
    assert_eq!(bench.last, 0, "already at the end");
    bench.msg(Msg::Tick).frame();
    assert_eq!(bench.last, 0);
    assert_eq!(bench.model.deadline(), None, "nothing is pending, no timer is armed");
}

#[test]
fn a_token_costs_at_most_a_hundred_bytes_scrolling_included() {
    let (mut bench, mut at) = streaming(160, 45);
    let words = ["The ", "partition ", "swaps ", "elements ", "across ", "equal ", "keys, ", "so ", "their ", "order ", "is ", "lost. "];
    let mut total = 0;
    let tokens = 1500;
    for i in 0..tokens {
        let text = if i % 60 == 59 { "\n\n" } else { words[i % words.len()] };
        total += token(&mut bench, &mut at, text);
    }
    let mean = total / tokens;
    assert!(mean <= 100, "{mean} bytes a token");
    bench.assert_terminal();
}

#[test]
fn a_token_between_scrolls_costs_little() {
    let (mut bench, mut at) = streaming(160, 45);
    token(&mut bench, &mut at, "One ");
    let bytes = token(&mut bench, &mut at, "two ");
    assert!(bytes <= 70, "{bytes}");
    bench.model.shared.slow = true;
    token(&mut bench, &mut at, "three ");
    let bytes = token(&mut bench, &mut at, "four ");
    assert!(bytes <= 50, "{bytes} on a slow terminal");
}

#[test]
fn moving_the_selection_costs_little() {
    let mut bench = Bench::full(160, 45);
    bench.keys("<Esc>:focus conversations<Enter>").frame();
    bench.keys("j").frame();
    assert!(bench.last > 0 && bench.last <= 900, "{}", bench.last);
}

#[test]
fn while_one_reads_above_a_stream_nothing_is_written() {
    let (mut bench, mut at) = streaming(100, 24);
    for _ in 0..40 {
        token(&mut bench, &mut at, "some words to fill the pane with text that goes on and on and on. ");
    }
    bench.keys("<Esc>gg").frame();
    let text = bench.text();
    let mut moved = 0;
    for _ in 0..20 {
        token(&mut bench, &mut at, "more ");
        moved += usize::from(bench.text() != text);
    }
    // Only the count of rows below may change.
    assert!(moved <= 20);
    assert!(bench.shows("more ↓"));
}
