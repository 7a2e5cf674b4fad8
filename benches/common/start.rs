//! From the start of the process to a composer that takes keys, and to the first list of conversations.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::common::{Clocked, SIZE, figure, fill, heading, ms, percentile};
use crate::home::{Home, QUIET, backend};
use crate::pty::Term;

const RUNS: usize = 11;

pub fn measure() {
    let server = Clocked::start(vec!["hello".to_owned()], 100.0);
    let config = format!("{}{}", QUIET.replace("2s", "60s"), backend("work", "llama-server", &server.server.url()));
    heading("Start to usable (median of 11 / slowest)");

    let empty = Home::with_config(&config);
    let cold = times(&empty, "clocked", true);
    show("empty, no host yet: composer takes keys", cold.iter().map(|t| t.0), "≤ 40 ms");
    show("empty, no host yet: the host's models are there", cold.iter().map(|t| t.1), "");
    let warm = times(&empty, "clocked", false);
    show("empty, the host runs: composer takes keys", warm.iter().map(|t| t.0), "≤ 40 ms");
    show("empty, the host runs: the host's models are there", warm.iter().map(|t| t.1), "");

    let big = Home::with_config(&config);
    fill(&big.path().join("data/arbour.db"), 2000, 50);
    let cold = times(&big, "Conversation 1999", true);
    show("2,000 × 50, no host yet: composer takes keys", cold.iter().map(|t| t.0), "≤ 50 ms");
    show("2,000 × 50, no host yet: conversations are listed", cold.iter().map(|t| t.1), "");
    let warm = times(&big, "Conversation 1999", false);
    show("2,000 × 50, the host runs: composer takes keys", warm.iter().map(|t| t.0), "≤ 50 ms");
    show("2,000 × 50, the host runs: conversations are listed", warm.iter().map(|t| t.1), "");
}

/// For each run: until a status line stands there and a key is taken, until `listed` is on the screen.
fn times(home: &Home, listed: &str, cold: bool) -> Vec<(Duration, Duration)> {
    (0..RUNS)
        .map(|_| {
            if cold {
                home.end_host(Signal::TERM);
            }
            let begun = Instant::now();
            let mut term = Term::start(home, SIZE.0, SIZE.1, &[]);
            term.wait("a status line", |screen| {
                screen.contents().lines().last().is_some_and(|l| l.contains("INSERT") || l.contains("NORMAL"))
            });
            let usable = begun.elapsed();
            term.wait_for(listed);
            let complete = begun.elapsed();
            term.signal(Signal::TERM);
            let _ = term.wait_exit();
            (usable, complete)
        })
        .collect()
}

fn show(name: &str, times: impl Iterator<Item = Duration>, budget: &str) {
    let mut times: Vec<Duration> = times.collect();
    let (middle, slowest) = (percentile(&mut times, 0.5), percentile(&mut times, 1.0));
    figure(name, &format!("{} / {}", ms(middle), ms(slowest)), budget);
}
