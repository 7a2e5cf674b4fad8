//! What a person feels, measured from outside, in one command: `cargo bench --bench pty`.
//!
//! The binary runs in a terminal of 160×45; its server is in this process and knows when it sent what. Parts can be named:
//! `cargo bench --bench pty -- idle stream`. `ARBOUR_BENCH_BIN` names another binary; with `ARBOUR_TEST_LLAMA_URL` a real server is
//! measured too. Figures of processes are read from /proc, so they are there on Linux only.

#[path = "common/mod.rs"]
mod common;
#[path = "../tests/support/home.rs"]
mod home;
#[path = "../tests/support/pty.rs"]
mod pty;
#[path = "common/start.rs"]
mod start;
#[path = "../tests/support/mod.rs"]
mod support;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::{Clocked, Cost, SIZE, figure, fill, heading, last_word, machine, markdown, ms, percentile, pss, wanted};
use home::{Home, QUIET, backend, until};
use pty::Term;

/// How long an idle screen is watched.
const IDLE: Duration = Duration::from_secs(20);
/// Keys that are typed to measure their echo.
const KEYS: usize = 200;
/// Between two of them: a fast typist.
const PACE: Duration = Duration::from_millis(60);

fn main() {
    machine(&Home::binary());
    if wanted("start") {
        start::measure();
    }
    if wanted("idle") {
        idle();
    }
    if wanted("stream") {
        stream();
    }
    if wanted("flood") {
        flood();
    }
    if wanted("echo") {
        echo();
    }
    if wanted("real") {
        real();
    }
}

/// A screen on a server that writes these tokens.
struct Bench {
    server: Clocked,
    home: Home,
    term: Term,
}

impl Bench {
    fn start(tokens: Vec<String>, rate: f64, big: bool) -> Self {
        let server = Clocked::start(tokens, rate);
        let home = Home::with_config(&format!("{}{}", QUIET.replace("2s", "60s"), backend("work", "llama-server", &server.server.url())));
        if big {
            fill(&home.path().join("data/arbour.db"), 2000, 50);
        }
        let mut term = Term::start(&home, SIZE.0, SIZE.1, &[]);
        term.wait_for("clocked");
        home.host_pid();
        if big {
            term.wait_for("Conversation 1999");
            term.keys(":new<Enter>");
        }
        term.wait_for("INSERT");
        Self { server, home, term }
    }

    fn pids(&self) -> [u32; 2] {
        [self.term.pid(), self.home.host_pid()]
    }

    fn say(&mut self, text: &str) {
        self.term.write(text);
        self.term.keys("<Enter>");
    }

    /// Waits until the answer has ended, everywhere.
    fn done(&mut self) {
        self.term.wait_gone("▸");
    }
}

/// Gives the processor away for a while: what is measured is what happens meanwhile.
fn watch(time: Duration) {
    let end = Instant::now() + time;
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        std::thread::park_timeout(left);
    }
}

fn idle() {
    for (name, big, budget) in [("empty", false, "≤ 20 MB"), ("2,000 × 50", true, "≤ 30 MB")] {
        let mut bench = Bench::start(vec!["hello".into()], 100.0, big);
        heading(&format!("Idle for {} s, {name}", IDLE.as_secs()));
        // Nobody looks: as a terminal says it when another window is in front.
        bench.term.raw(b"\x1b[O");
        watch(Duration::from_secs(3));
        let [screen, host] = bench.pids();
        let (bytes, before_screen, before_host) = (bench.term.bytes(), Cost::of(&[screen]), Cost::of(&[host]));
        watch(IDLE);
        let (cost_screen, cost_host) = (Cost::of(&[screen]).since(before_screen), Cost::of(&[host]).since(before_host));
        figure("unfocused: bytes", &(bench.term.bytes() - bytes).to_string(), "0");
        figure("unfocused: CPU of screen / host", &format!("{} / {}", ms(cost_screen.cpu), ms(cost_host.cpu)), "0 / 0");
        figure("unfocused: wakeups of screen / host", &format!("{} / {}", cost_screen.wakeups, cost_host.wakeups), "0 / ≤ 1 a minute");
        let memory = (pss(&[screen]) as f64 / 1e6, pss(&[host]) as f64 / 1e6);
        figure("memory (PSS) of screen + host", &format!("{:.1} + {:.1} = {:.1} MB", memory.0, memory.1, memory.0 + memory.1), budget);
        if big {
            continue;
        }
        bench.term.raw(b"\x1b[I");
        watch(Duration::from_secs(3));
        let (bytes, before) = (bench.term.bytes(), Cost::of(&bench.pids()));
        watch(IDLE);
        let cost = Cost::of(&bench.pids()).since(before);
        let seconds = IDLE.as_secs_f64();
        figure("Metrics shown: bytes per second", &format!("{:.0} B/s", (bench.term.bytes() - bytes) as f64 / seconds), "≤ 250 B/s");
        let share = cost.cpu.as_secs_f64() / seconds * 100.0;
        figure("Metrics shown: CPU of screen + host", &format!("{share:.2} % of a core"), "≤ 0.3 %");
    }
}

/// When each numbered word was first on the screen.
fn sightings(term: &Term) -> Arc<Mutex<Vec<Instant>>> {
    let seen: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let notes = Arc::clone(&seen);
    term.observe(Box::new(move |screen, now| {
        if let Some(last) = last_word(screen)
            && let Ok(mut notes) = notes.lock()
        {
            while notes.len() <= last {
                notes.push(now);
            }
        }
    }));
    seen
}

fn stream() {
    const TOKENS: usize = 1500;
    let mut bench = Bench::start(markdown(TOKENS), 100.0, false);
    heading(&format!("Streaming {TOKENS} tokens of Markdown at 100 tok/s"));
    let seen = sightings(&bench.term);
    let (bytes, before) = (bench.term.bytes(), Cost::of(&bench.pids()));
    bench.say("go");
    bench.term.wait_for(&format!("w{:04}", TOKENS - 1));
    bench.done();
    let cost = Cost::of(&bench.pids()).since(before);
    figure("CPU of screen + host", &format!("{:.2} s", cost.cpu.as_secs_f64()), "≤ 0.8 s");
    let a_token = (bench.term.bytes() - bytes) as f64 / TOKENS as f64;
    figure("bytes per token", &format!("{a_token:.0} B"), "≤ 100 B");
    let mut lags = lags(&bench.server.sent(), &seen.lock().expect("sightings"));
    figure(
        "from sent to visible, p50 / p99",
        &format!("{} / {}", ms(percentile(&mut lags, 0.5)), ms(percentile(&mut lags, 0.99))),
        "≤ 12 / 30 ms",
    );
    let memory = pss(&bench.pids()) as f64 / 1e6;
    figure("memory (PSS) of screen + host afterwards", &format!("{memory:.1} MB"), "");
}

fn lags(sent: &[Instant], seen: &[Instant]) -> Vec<Duration> {
    sent.iter().zip(seen).map(|(sent, seen)| seen.saturating_duration_since(*sent)).collect()
}

fn flood() {
    // Four digits number the words, so the last ones share a number; the end is told by the state.
    const TOKENS: usize = 20_000;
    let tokens: Vec<String> = markdown(TOKENS).into_iter().map(|t| t.replace("w1", "v1")).collect();
    let mut bench = Bench::start(tokens, 1000.0, false);
    heading("20,000 tokens at 1,000 tok/s");
    let before = Cost::of(&bench.pids());
    let memory = pss(&bench.pids());
    bench.say("go");
    bench.term.wait_for("writing");
    bench.done();
    let ended = Instant::now();
    let last = bench.server.sent().last().copied().unwrap_or(ended);
    let cost = Cost::of(&bench.pids()).since(before);
    figure("CPU of screen + host", &format!("{:.2} s", cost.cpu.as_secs_f64()), "≤ 3 s");
    figure("done after the server's last token", &ms(ended.saturating_duration_since(last)), "≤ 100 ms");
    let grown = pss(&bench.pids()).saturating_sub(memory) as f64 / 1e6;
    figure("memory grown by (text: 0.14 MB)", &format!("{grown:.1} MB"), "≤ 3× the text");
}

/// Types letters and measures when each stands in the composer.
fn echoes(term: &mut Term) -> Vec<Duration> {
    let mut times = Vec::with_capacity(KEYS);
    let mut written = String::new();
    for n in 0..KEYS {
        if written.len() == 40 {
            term.keys("<C-u>");
            term.wait_gone(&written);
            written.clear();
        }
        let letter = char::from(b'a' + (n * 7 % 26) as u8);
        written.push(letter);
        let begun = Instant::now();
        term.raw(&[letter as u8]);
        let expected = format!("│ {written}");
        term.wait("the letter", |screen| screen.contents().contains(&expected));
        times.push(begun.elapsed());
        watch(PACE.saturating_sub(begun.elapsed()));
    }
    term.keys("<C-u>");
    times
}

fn echo() {
    let mut bench = Bench::start(markdown(3000), 100.0, false);
    heading("From key to echo");
    let mut idle = echoes(&mut bench.term);
    figure("idle, p50 / p99", &format!("{} / {}", ms(percentile(&mut idle, 0.5)), ms(percentile(&mut idle, 0.99))), "p99 ≤ 8 ms");
    bench.say("go");
    bench.term.wait_for("w0050");
    let mut busy = echoes(&mut bench.term);
    figure(
        "while an answer streams at 100 tok/s, p50 / p99",
        &format!("{} / {}", ms(percentile(&mut busy, 0.5)), ms(percentile(&mut busy, 0.99))),
        "p99 ≤ 12 ms",
    );
}

/// The same against a real server, as far as it can be measured from outside.
fn real() {
    let Ok(url) = std::env::var("ARBOUR_TEST_LLAMA_URL") else {
        heading("A real server: ARBOUR_TEST_LLAMA_URL is not set");
        return;
    };
    let home = Home::with_config(&format!("{}{}", QUIET.replace("2s", "60s"), backend("real", "llama-server", &url)));
    let mut term = Term::start(&home, SIZE.0, SIZE.1, &[]);
    term.wait_for("answers.");
    term.wait_for("INSERT");
    let pids = [term.pid(), home.host_pid()];
    heading(&format!("A real server ({url})"));
    let (bytes, before) = (term.bytes(), Cost::of(&pids));
    term.write("Write a long story about a lighthouse, in Markdown.");
    term.keys("<Enter>");
    let run = until("the end of the answer", || {
        let rows = home.run(&["conversations", "ls", "--json"]).json();
        let id = rows[0]["id"].as_str()?.to_owned();
        let tree = home.run(&["conversations", "show", &id, "--json"]).json();
        let run = tree["nodes"][1]["run"].clone();
        run["finished"].is_string().then_some(run)
    });
    let cost = Cost::of(&pids).since(before);
    let tokens = run["completion_tokens"].as_f64().unwrap_or(1.0);
    let number = |key: &str| run[key].as_f64().map_or_else(|| "–".to_owned(), |n| format!("{n:.1}"));
    figure("tokens, tokens/s, time to first token", &format!("{tokens:.0}, {}, {} ms", number("tokens_per_s"), number("ttft_ms")), "");
    figure("CPU of screen + host per 1,000 tokens", &format!("{:.2} s", cost.cpu.as_secs_f64() / tokens * 1000.0), "");
    figure("bytes per token", &format!("{:.0} B", (term.bytes() - bytes) as f64 / tokens), "≤ 100 B");
}
