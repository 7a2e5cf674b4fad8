//! Pictures of every pane at three sizes, in three states: with nothing, with everything, in trouble.

use super::super::fixture::*;
use super::super::msg::Msg;
use crate::error::{Error, Kind};
use crate::proto::*;

/// With nothing: a host without models and conversations.
fn empty(width: u16, height: u16) -> Bench {
    let mut bench = Bench::new(width, height);
    bench.attach(nothing_found());
    bench
}

/// With everything, and samples of the machine.
fn full(width: u16, height: u16) -> Bench {
    let mut bench = Bench::full(width, height);
    for i in 0..40 {
        bench.event(EventKind::Metrics(Sample {
            at: NOON,
            cpu: Some((i * 5 % 100) as f32),
            memory_used: Some(12_025_908_428),
            memory_total: Some(25_769_803_776),
            gpus: vec![Gpu {
                name: "card".into(),
                busy: Some(91.0),
                memory_used: Some(6_012_954_214),
                memory_total: Some(25_769_803_776),
                temperature: Some(62.0),
                power: Some(210.0),
            }],
            tokens_per_s: (i % 3 > 0).then_some(41.2),
            ttft_ms: Some(412.0),
            latency_ms: [("workstation".to_owned(), Some(1.2)), ("remote".to_owned(), None)].into(),
            host_memory: Some(21_000_000),
            instances: Vec::new(),
        }));
    }
    bench.keys("<Esc>");
    bench
}

/// In trouble: an answer that broke off, a backend that is down, a link that is lost.
fn trouble(width: u16, height: u16) -> Bench {
    let mut bench = Bench::new(width, height);
    let mut start = snapshot();
    start.backends[0].state = BackendState::Down;
    start.backends[0].error = Some(Error::new(Kind::Refused, "Nothing listens at 127.0.0.1:11434.").hint("Start Ollama."));
    bench.attach(start);
    let mut broken = opened();
    let node = &mut broken.nodes[5];
    node.state = State::Failed;
    if let Some(run) = &mut node.run {
        run.finish = Some(Finish::Error);
        run.error = Some(
            Error::new(Kind::Disconnected, "The server closed the connection before the answer's end.").hint("Look whether it still runs."),
        );
    }
    bench.answer_open(broken);
    bench.msg(Msg::Lost(Error::new(Kind::HostGone, "The link to the host broke; trying again.")));
    bench
}

fn pictures(name: &str, make: fn(u16, u16) -> Bench) {
    // All panes are seen at once where there is room for all.
    insta::assert_snapshot!(format!("{name}_160x45"), make(160, 45).text());
    for pane in ["chat", "tree"] {
        let mut bench = make(80, 24);
        bench.model.focus(pane);
        insta::assert_snapshot!(format!("{name}_80x24_{pane}"), bench.text());
    }
    for pane in ["models", "conversations", "chat", "tree", "metrics"] {
        let mut bench = make(52, 30);
        bench.model.focus(pane);
        insta::assert_snapshot!(format!("{name}_52x30_{pane}"), bench.text());
    }
}

#[test]
fn with_nothing() {
    pictures("empty", empty);
}

#[test]
fn with_everything() {
    pictures("full", full);
}

#[test]
fn in_trouble() {
    pictures("trouble", trouble);
}

#[test]
fn before_the_host_answers() {
    insta::assert_snapshot!("skeleton_120x30", Bench::new(120, 30).text());
}

#[test]
fn overlays() {
    let mut bench = full(100, 30);
    bench.keys("<Space>m");
    insta::assert_snapshot!("overlay_models", bench.text());
    bench.keys("<Esc>?");
    insta::assert_snapshot!("overlay_help", bench.text());
    bench.keys("<Esc>:the<Tab>");
    insta::assert_snapshot!("line_completion", bench.text());
    bench.keys("<Esc><Space>");
    bench.wait(300).msg(Msg::Tick);
    insta::assert_snapshot!("which_key", bench.text());
    bench.keys("<Esc>D:empty bin<Enter>");
    insta::assert_snapshot!("confirm", bench.text());
}

/// Every phase of an answer has its words.
#[test]
fn phases() {
    let mut lines = String::new();
    for (state, progress) in [
        (State::Queued, Progress::default()),
        (State::Connecting, Progress::default()),
        (
            State::Connecting,
            Progress { retry_at: Some(NOON + 3_400), attempt: 2, attempts: 5, why: "refused".to_owned(), ..Progress::default() },
        ),
        (State::Connecting, Progress { attempt: 2, attempts: 5, why: "refused".to_owned(), ..Progress::default() }),
        (State::Waiting, Progress { ahead: Some(2), ..Progress::default() }),
        (State::Loading, Progress { done: Some(430), ..Progress::default() }),
        (State::Reading, Progress { done: Some(1204), total: Some(2980), ..Progress::default() }),
        (State::Thinking, Progress::default()),
        (State::Writing, Progress::default()),
    ] {
        let mut bench = Bench::full(79, 30);
        let (mut made, _) = message(60, Some(5), Role::Assistant, "");
        made.state = state;
        if let Some(run) = &mut made.run {
            run.figures = Figures::default();
            run.finish = None;
            run.progress = Progress { since: NOON - 6000, ..progress };
        }
        bench.model.shared.view.awaited = Some(node(60));
        bench.event(EventKind::Node { conversation: conversation(1), node: made, content: Vec::new() });
        let kind = if state == State::Thinking { DeltaKind::Thinking } else { DeltaKind::Text };
        if matches!(state, State::Thinking | State::Writing) {
            bench.event(EventKind::Delta {
                conversation: conversation(1),
                node: node(60),
                kind,
                at: 0,
                text: "Well, let me see. ".repeat(20),
            });
            bench.wait(1000);
            bench.event(EventKind::Delta { conversation: conversation(1), node: node(60), kind, at: 360, text: "so".into() });
        }
        let text = bench.text();
        let shown: Vec<&str> = text.lines().skip(1).filter(|line| line.contains('▸')).map(str::trim).collect();
        lines.push_str(&shown.join("\n"));
        lines.push('\n');
    }
    insta::assert_snapshot!("phases", lines);
}
