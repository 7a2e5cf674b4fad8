//! What a table of 5,000 models costs: a key in its filter (at most 2 ms) and a frame at 200x60.
//!
//! `cargo bench --bench models` first types filters letter by letter and prints percentiles of a key with the frame that follows
//! it, then divan's table.

use std::time::{Duration, Instant};

use arbour::proto::{BackendKind, ModelInfo, ModelState, ModelUse};
use arbour::tui::composer::Composer;
use arbour::tui::keymap;
use arbour::tui::pane::{Cx, Pane, table};
use arbour::tui::shared::{Link, Shared};
use arbour::tui::text::Highlighter;
use arbour::tui::theme::{Depth, Facts, Theme, Themes};
use divan::{Bencher, black_box};
use jiff::tz::TimeZone;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

const MODELS: usize = 5_000;
/// A Saturday in November 2025.
const NOW: i64 = 1_763_820_000_000;

/// What people type, each letter by letter.
const TYPED: &[&str] = &[
    "qwen3",
    "coder 7b",
    "q38",
    "state:loaded",
    "size:<8G -tag:old",
    "ctx:>=32k cap:vision family:gemma",
    "runs:>0 used:<7d",
    "zzzz",
    "backend:work,box quant:q4",
    "\"exact words\"",
];

fn main() {
    typing();
    divan::main();
}

fn theme() -> Theme {
    let facts = Facts { depth: Depth::True, light: Some(false) };
    Themes::built_in().resolve("dark", &facts).map_or_else(|_| Theme::mono(), |choice| choice.theme)
}

fn model(i: usize) -> ModelInfo {
    let family = ["qwen3", "llama", "gemma3", "mistral", "phi4", "deepseek2"][i % 6];
    let backend = ["workstation", "box", "embedded"][i % 3];
    let kind = ["instruct", "coder", "base", "vision"][i % 4];
    let mut model = ModelInfo::named(backend, BackendKind::Ollama, &format!("hub/{family}-{kind}-{i:04}:{}b-q4_K_M", i % 70 + 1));
    model.state = if i.is_multiple_of(50) { ModelState::Loaded } else { ModelState::Unloaded };
    model.family = Some(family.to_owned());
    model.quantisation = Some(["Q4_K_M", "Q8_0", "F16"][i % 3].to_owned());
    model.size_bytes = Some((i % 70 + 1) as u64 * 600_000_000);
    model.context_max = Some(4096 << (i % 6));
    model.capabilities = vec!["completion".to_owned(), if i % 4 == 3 { "vision".to_owned() } else { "tools".to_owned() }];
    model.card.favourite = i.is_multiple_of(97);
    model.card.groups = if i.is_multiple_of(9) { vec!["work".to_owned()] } else { Vec::new() };
    model.card.tags = if i.is_multiple_of(13) { vec!["old".to_owned()] } else { Vec::new() };
    model
}

/// A screen that is attached to a host with so many models.
fn screen() -> Shared {
    let keymap = keymap::load("vim", &[], &keymap::Options::default()).keymap;
    let mut shared = Shared::new(Composer::new(true), theme(), Highlighter::immediate(), keymap, TimeZone::UTC, table::ID);
    shared.link = Link::Up;
    shared.now.wall = NOW;
    shared.replica.discovered = true;
    shared.replica.models = (0..MODELS).map(model).collect();
    let used = shared.replica.models.iter().step_by(3).map(|model| {
        let uses = ModelUse { runs: 7, failed: 0, last: Some(NOW - 86_400_000), tokens_per_s: Some(41.8), ttft_ms: Some(412.0) };
        (model.reference(), uses)
    });
    shared.replica.uses = used.collect();
    shared.revisions.models = 1;
    shared
}

struct Ground {
    shared: Shared,
    pane: Box<dyn Pane>,
    buffer: Buffer,
}

impl Ground {
    fn new() -> Self {
        let mut ground = Self { shared: screen(), pane: table::pane(), buffer: Buffer::empty(Rect::new(0, 0, 200, 60)) };
        ground.frame();
        ground
    }

    fn frame(&mut self) {
        self.buffer.reset();
        let area = self.buffer.area;
        self.pane.view(&Cx { shared: &self.shared, focused: true }, area, &mut self.buffer);
    }

    fn filter(&mut self, text: &str) {
        self.pane.filter(Some(text), &Cx { shared: &self.shared, focused: true });
    }
}

/// Types each filter as a person does: every letter a filter and a frame.
fn typing() {
    let mut ground = Ground::new();
    let mut took: Vec<(Duration, Duration, String)> = Vec::new();
    for _ in 0..2 {
        took.clear();
        for text in TYPED {
            ground.filter("");
            ground.frame();
            for (end, c) in text.char_indices() {
                let typed = &text[..end + c.len_utf8()];
                let begun = Instant::now();
                ground.filter(typed);
                let filtered = begun.elapsed();
                ground.frame();
                took.push((filtered, begun.elapsed(), typed.to_owned()));
            }
        }
    }
    took.sort();
    let at = |percent: usize| &took[(took.len() * percent / 100).min(took.len() - 1)];
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    for percent in [50, 95, 100] {
        let (filtered, whole, typed) = at(percent);
        println!("a key among {MODELS} models, p{percent}: {:.2} ms, with its frame {:.2} ms  ({typed})", ms(*filtered), ms(*whole));
    }
}

#[divan::bench(sample_count = 50)]
fn frame_of_5000_models_at_200x60(bencher: Bencher<'_, '_>) {
    let mut ground = Ground::new();
    bencher.bench_local(|| ground.frame());
}

#[divan::bench(sample_count = 20)]
fn first_key_of_a_filter(bencher: Bencher<'_, '_>) {
    let mut ground = Ground::new();
    bencher.bench_local(|| {
        ground.filter("");
        ground.filter(black_box("q"));
    });
}

#[divan::bench(sample_count = 20)]
fn the_list_came_anew(bencher: Bencher<'_, '_>) {
    let mut ground = Ground::new();
    bencher.bench_local(|| {
        ground.shared.revisions.attached += 1;
        ground.frame();
    });
}
