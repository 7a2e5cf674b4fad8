//! What text costs: reading and drawing replies as they stream, a frame late in a long reply against one early in it, wrapping.
//!
//! `cargo bench --bench text`; the budgets are those of `performance.md`: a frame in the ninth tenth of a 200 KB reply costs at
//! most 1.1 times one in the second, and 20,000 tokens take at most three seconds of the processor.

use arbour::tui::text::{Document, Highlighter, Look, Pages};
use arbour::tui::theme::{Depth, Facts, Theme, Themes};
use divan::{Bencher, black_box};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

fn main() {
    divan::main();
}

const WIDTH: u16 = 100;
const HEIGHT: u16 = 40;

/// Two kilobytes with everything that replies are made of.
const SECTION: &str = "## Partitioning\n\nA partition swaps elements across *equal* keys, so the sort is **not stable**; see [the book](https://example.com/book) \
for why that is, and how `slice::sort` goes about it. The text goes on for some lines, as models do, and says the same again in other words.\n\n\
1. First, choose a pivot:\n   - the middle element is good enough\n   - the median of three is better\n2. Then move what is less before it.\n3. Recurse, smaller side first.\n\n\
```rust\nfn quicksort<T: Ord>(v: &mut [T]) {\n    // Nothing to do for one element.\n    if v.len() < 2 {\n        return;\n    }\n    let p = partition(v);\n    let (a, b) = v.split_at_mut(p);\n    quicksort(a);\n    quicksort(&mut b[1..]);\n}\n```\n\n\
| sort | time | space | stable |\n|:-----|-----:|------:|:------:|\n| quick | n log n | log n | no |\n| merge | n log n | n | yes |\n| heap | n log n | 1 | no |\n\n\
> What is stable keeps the order of equal elements.\n> That matters when one sorts by one key after another.\n\n\
Another paragraph, longer than the first one, that has a few `inline words` and is otherwise plain: it tells that choosing a pivot at random \
makes bad inputs improbable, that introsort falls back to a heap when recursion gets too deep, and that small slices are better sorted by insertion.\n\n";

fn reply(bytes: usize) -> String {
    let mut text = SECTION.repeat(bytes / SECTION.len() + 1);
    text.truncate(bytes);
    text
}

fn theme() -> Theme {
    let facts = Facts { depth: Depth::True, light: Some(false) };
    Themes::built_in().resolve("dark", &facts).map(|choice| choice.theme).unwrap_or_else(|_| Theme::mono())
}

/// A screen that follows a reply.
struct Screen {
    theme: Theme,
    highlighter: Highlighter,
    pages: Pages,
    document: Document,
    buffer: Buffer,
}

impl Screen {
    fn new() -> Self {
        Self {
            theme: theme(),
            highlighter: Highlighter::immediate(),
            pages: Pages::new(200_000),
            document: Document::new(),
            buffer: Buffer::empty(Rect::new(0, 0, WIDTH, HEIGHT)),
        }
    }

    fn frame(&mut self) {
        let look = Look { width: WIDTH, highlighter: Some(&self.highlighter), ..Look::new(&self.theme) };
        let height = self.pages.height(&self.document, &look);
        let area = self.buffer.area;
        self.buffer.reset();
        self.pages.draw(&self.document, &look, height.saturating_sub(usize::from(HEIGHT)), area, &mut self.buffer);
    }

    /// A frame for every so many deltas of five bytes.
    fn stream(&mut self, text: &str, deltas: usize) {
        for (index, delta) in text.as_bytes().chunks(5).enumerate() {
            self.document.push(&String::from_utf8_lossy(delta));
            if index % deltas == 0 {
                self.frame();
            }
        }
        self.frame();
    }
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn reply_20k_a_frame_for_each_delta(bencher: Bencher<'_, '_>) {
    let text = reply(20_000);
    bencher.with_inputs(Screen::new).bench_local_values(|mut screen| screen.stream(black_box(&text), 1));
}

/// 90 KB are about 20,000 tokens; 33 tokens arrive between two frames at 1,000 a second.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn tokens_20_000_at_1_000_a_second(bencher: Bencher<'_, '_>) {
    let text = reply(90_000);
    bencher.with_inputs(Screen::new).bench_local_values(|mut screen| screen.stream(black_box(&text), 33));
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn reply_200k_opened(bencher: Bencher<'_, '_>) {
    let text = reply(200_000);
    bencher.with_inputs(Screen::new).bench_local_values(|mut screen| {
        screen.document.push(black_box(&text));
        screen.document.finish();
        screen.frame();
    });
}

/// 400 frames of one delta each, in that tenth of the text.
fn tenth(bencher: Bencher<'_, '_>, text: &str, tenth: usize) {
    let begin = text.len() / 10 * (tenth - 1);
    bencher
        .with_inputs(|| {
            let mut screen = Screen::new();
            screen.document.push(&text[..begin]);
            screen.frame();
            screen
        })
        .bench_local_values(|mut screen| screen.stream(black_box(&text[begin..begin + 2_000]), 1));
}

#[divan::bench(args = [2, 9], sample_count = 10, sample_size = 1)]
fn frames_of_a_200k_reply_in_tenth(bencher: Bencher<'_, '_>, at: usize) {
    tenth(bencher, &reply(200_000), at);
}

#[divan::bench(args = [2, 9], sample_count = 10, sample_size = 1)]
fn frames_of_a_200k_paragraph_in_tenth(bencher: Bencher<'_, '_>, at: usize) {
    tenth(bencher, &"Words **go** on and `on`, without a line break, as long as it takes. ".repeat(3_000), at);
}

#[divan::bench(args = [2, 9], sample_count = 10, sample_size = 1)]
fn frames_of_a_200k_list_in_tenth(bencher: Bencher<'_, '_>, at: usize) {
    tenth(bencher, &"- an item of a list that never ends, with `code` in it\n".repeat(4_000), at);
}

#[divan::bench(args = [2, 9], sample_count = 10, sample_size = 1)]
fn frames_of_200k_code_in_tenth(bencher: Bencher<'_, '_>, at: usize) {
    tenth(bencher, &format!("```rust\n{}", "    let x = call(1, \"two\", 3.0); // and so on\n".repeat(4_400)), at);
}

#[divan::bench(args = [2, 9], sample_count = 10, sample_size = 1)]
fn frames_of_a_5m_line_in_tenth(bencher: Bencher<'_, '_>, at: usize) {
    tenth(bencher, &"word ".repeat(1_000_000), at);
}

#[divan::bench(sample_count = 10, sample_size = 1)]
fn wrap_200k_of_cjk(bencher: Bencher<'_, '_>) {
    let text = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。\n\n".repeat(2_000);
    let theme = theme();
    let look = Look { width: WIDTH, ..Look::new(&theme) };
    bencher
        .with_inputs(|| (Pages::new(10_000_000), Document::from_text(&text)))
        .bench_local_values(|(mut pages, document)| pages.height(&document, &look));
}
