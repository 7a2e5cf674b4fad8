use proptest::prelude::*;
use ratatui::style::{Color, Modifier, Style};

use super::*;
use crate::tui::text::width;
use crate::tui::theme::{Depth, Facts, Themes};

fn theme() -> Theme {
    Themes::built_in().resolve("dark", &Facts { depth: Depth::True, light: Some(false) }).unwrap().theme
}

fn lines(document: &Document, look: &Look<'_>) -> Vec<Line<'static>> {
    let mut pages = Pages::new(1_000_000);
    let height = pages.height(document, look);
    let lines: Vec<Line<'static>> = pages.lines(document, look, 0, height).cloned().collect();
    assert_eq!(lines.len(), height);
    lines
}

fn text_of(lines: &[Line<'_>]) -> String {
    lines.iter().map(|line| line.to_string().trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

fn drawn(text: &str, width: u16) -> String {
    let theme = theme();
    text_of(&lines(&Document::from_text(text), &Look { width, ..Look::new(&theme) }))
}

fn ascii(text: &str, width: u16) -> String {
    let theme = theme();
    text_of(&lines(&Document::from_text(text), &Look { width, ascii: true, ..Look::new(&theme) }))
}

/// A text with everything in it.
const REPLY: &str = "# Sorting\n\nThere are **two** ways, see [the book](https://example.com/book) or <https://example.com>.\nA *second* line with `code` and ~~old~~ words.\n\n1. First, partition:\n   - pick a `pivot`\n   - move what is less\n\n   > A quotation in an item\n   > goes on.\n2. Then recurse.\n\n   ```rust\n   fn sort(v: &mut [i32]) {\n       // a long comment that does not fit into a narrow frame at all\n   }\n   ```\n\n- [x] done\n- [ ] to do\n\n| Name | Size | Notes |\n|:-----|-----:|:-----:|\n| quick | 12 | in place, not stable |\n| merge | 1024 | stable |\n\n> quoted\n>\n> > deeper\n\n---\n\n\\[\nE = mc^2\n\\]\n\n<details>\nraw\n</details>\n\nThe end: 日本語のテキストも折り返される。\n";

#[test]
fn a_reply_at_a_common_width() {
    insta::assert_snapshot!(drawn(REPLY, 60));
}

#[test]
fn a_reply_on_a_phone() {
    insta::assert_snapshot!(drawn(REPLY, 28));
}

#[test]
fn a_reply_without_box_drawing() {
    insta::assert_snapshot!(ascii(REPLY, 60));
}

#[test]
fn lists_hang_and_nest() {
    assert_eq!(
        drawn("9. nine is a longer item\n10. ten\n    1. inner\n11. - bullet\n    - other\n", 16),
        "9. nine is a\n   longer item\n10. ten\n    1. inner\n11. • bullet\n    • other".replace("• ", "◦ ")
    );
    assert_eq!(drawn("- a\n- b\n\n- c\n\n  d\n-\n- [x] e", 20), "• a\n• b\n\n• c\n\n  d\n•\n☑ e");
    assert_eq!(drawn("1. a\n1. b\n1. c", 20), "1. a\n2. b\n3. c");
    assert_eq!(drawn("3) a\n4) b", 20), "3) a\n4) b");
}

#[test]
fn quotations_have_bars() {
    assert_eq!(drawn("> one two three\n>\n> - four\n> > five", 10), "┃ one two\n┃ three\n┃\n┃ • four\n┃ ┃ five");
}

#[test]
fn code_is_framed_and_broken_anywhere() {
    assert_eq!(
        drawn("```rust\nlet x = 1234567890;\n\tok\n```\n", 20),
        "┌ rust ───────── a ┐\n│ let x = 12345678 ↩\n│ 90;              │\n│     ok           │\n└──────────────────┘"
    );
    assert_eq!(
        drawn("    a\n\n    b\n\n", 20),
        "┌─────────────── a ┐\n│ a                │\n│                  │\n│ b                │\n└──────────────────┘"
    );
    assert_eq!(drawn("```sh\nabcdefghij\n```", 8), "a sh\nabcdefgh\nij");
    assert_eq!(drawn("```\n日本語テキスト\n```", 16), "┌─────────── a ┐\n│ 日本語テキス ↩\n│ ト           │\n└──────────────┘");
}

#[test]
fn tables_fit() {
    assert_eq!(drawn("| a | b |\n|---|--:|\n| x | 1 |\n| yy | 22 |", 40), "a  │  b\n───┼───\nx  │  1\nyy │ 22");
    assert_eq!(
        drawn("| name | text |\n|---|---|\n| a | some words that wrap |\n| b | short |", 20),
        "name │ text\n─────┼──────────────\na    │ some words\n     │ that wrap\n─────┼──────────────\nb    │ short"
    );
    assert_eq!(
        drawn("| language | description | rating |\n|---|---|---|\n| Haskell | lazily evaluated | excellent |\n| C | close | |", 24),
        "language: Haskell\ndescription: lazily\n  evaluated\nrating: excellent\n\nlanguage: C\ndescription: close"
    );
    assert_eq!(drawn("- | a | b |\n  |---|---|\n  | 1 | 2 |", 20), "• a │ b\n  ──┼──\n  1 │ 2");
}

#[test]
fn links_show_their_target_when_it_differs() {
    assert_eq!(drawn("[text](https://a.b/c) <https://a.b> [https://a.b](https://a.b)", 80), "text (https://a.b/c) https://a.b https://a.b");
    assert_eq!(drawn("![alt](x.png) [](y)", 80), "▣ alt (x.png) (y)");
    assert_eq!(drawn("see [here](https://me:secret@evil.example/)", 80), "see here (https://me:…@evil.example/)");
}

#[test]
fn bare_addresses_are_links() {
    let theme = theme();
    let document = Document::from_text("see https://example.com/a_b_c, or http");
    let found = lines(&document, &Look::new(&theme));
    let link = found[0].spans.iter().find(|span| span.content == "https://example.com/a_b_c").unwrap();
    assert_eq!(link.style, theme.style(Role::Link));
    assert_eq!(text_of(&found), "see https://example.com/a_b_c, or http");
}

#[test]
fn references_are_filled_in_when_they_come() {
    let theme = theme();
    let look = Look::new(&theme);
    let mut pages = Pages::new(100_000);
    let mut document = Document::new();
    document.push("See [docs] and [x][Docs].\n\nNext.\n\n");
    assert_eq!(pages.height(&document, &look), 3);
    document.push("[docs]: https://example.com\n\nlast");
    let height = pages.height(&document, &look);
    let now: Vec<Line<'static>> = pages.lines(&document, &look, 0, height).cloned().collect();
    assert_eq!(text_of(&now), "See docs (https://example.com) and x (https://example.com).\n\nNext.\n\nlast");
}

#[test]
fn nothing_from_outside_reaches_the_screen_raw() {
    let hostile = "a\x1b[31mb &#27;[2J &#x202e;\n\n```sh\x1b]0;t\x07\n\x1b[2J\u{9b}\n```\n\n| \x1b | &#7; |\n|---|---|\n| \u{202e} | [x](http://\x1b) |\n\n<b\x1b>\n\n# \x07\n\n\\[ \x1b \\]\n";
    for width in [8, 20, 60] {
        let out = drawn(hostile, width);
        assert!(!out.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "{out:?}");
    }
    let mut plain = Document::plain();
    plain.push("\x1b[31m\n\ttab");
    let theme = theme();
    assert_eq!(text_of(&lines(&plain, &Look::new(&theme))), "␛[31m\n    tab");
}

#[test]
fn emphasis_and_headings_have_styles() {
    let theme = theme();
    let found = lines(&Document::from_text("# Big\n\n**bold *both*** `code`"), &Look::new(&theme));
    assert_eq!(found[0].spans[0].style, theme.style(Role::Heading).add_modifier(Modifier::UNDERLINED));
    let style = |text: &str| found[2].spans.iter().find(|span| span.content == text).unwrap().style;
    assert_eq!(style("bold "), Style::new().add_modifier(Modifier::BOLD));
    assert_eq!(style("both"), Style::new().add_modifier(Modifier::BOLD | Modifier::ITALIC));
    assert_eq!(style("code").fg, theme.style(Role::CodeInline).fg);
    assert!(matches!(style("code").fg, Some(Color::Rgb(..))));
}

#[test]
fn code_has_colours_when_they_were_read() {
    let theme = theme();
    let highlighter = Highlighter::immediate();
    let look = Look { highlighter: Some(&highlighter), ..Look::new(&theme) };
    let found = lines(&Document::from_text("```rust\nfn main() {}\n```"), &look);
    let word = found[1].spans.iter().find(|span| span.content == "fn").unwrap();
    assert_eq!(word.style.fg, theme.style(Role::CodeKeyword).fg);
    let mut open = Document::new();
    open.push("```rust\nfn a() {}\nfn b");
    let found = lines(&open, &look);
    assert_eq!(found[2].spans.iter().find(|span| span.content == "fn").unwrap().style.fg, theme.style(Role::CodeKeyword).fg);
    assert_eq!(found.len(), 3, "an open frame has no foot");
}

#[test]
fn colours_that_come_later_are_drawn_then() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let highlighter = Highlighter::new(move || {
        let _ = sender.send(());
    });
    let theme = theme();
    let look = Look { highlighter: Some(&highlighter), ..Look::new(&theme) };
    let mut pages = Pages::new(1_000_000);
    // More lines than anybody waits for.
    let document = Document::from_text(&format!("```rust\n{}```\n", "fn f() {}\n".repeat(100)));
    let height = pages.height(&document, &look);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let first = pages.lines(&document, &look, 1, 1).next().cloned().unwrap();
        if first.spans.iter().any(|span| span.content == "fn" && span.style.fg == theme.style(Role::CodeKeyword).fg) {
            break;
        }
        receiver.recv_timeout(deadline - std::time::Instant::now()).expect("nobody woke the screen");
    }
    assert_eq!(pages.height(&document, &look), height);
}

#[test]
fn the_end_is_where_writing_goes_on() {
    let theme = theme();
    let look = Look { width: 10, ..Look::new(&theme) };
    let mut pages = Pages::new(10_000);
    let mut document = Document::new();
    assert_eq!(pages.end(&document, &look), (0, 0));
    document.push("one two three");
    assert_eq!(pages.end(&document, &look), (1, 5));
    document.push("\n\n- item");
    assert_eq!(pages.end(&document, &look), (3, 6));
    let look = Look { width: 40, ..look };
    document.push("\n\n```sh\nls -l");
    assert_eq!(pages.end(&document, &look), (5, 7));
}

#[test]
fn rows_and_blocks_find_each_other() {
    let theme = theme();
    let look = Look::new(&theme);
    let mut pages = Pages::new(10_000);
    let document = Document::from_text("one\n\ntwo\nlines\n\n```sh\nls\n```");
    assert_eq!(pages.rows_of(&document, &look, 1), (1, 3));
    assert_eq!(pages.rows_of(&document, &look, document.codes()[0].block), (4, 4));
    assert_eq!(
        (pages.block_at(&document, &look, 0), pages.block_at(&document, &look, 3), pages.block_at(&document, &look, 99)),
        (Some(0), Some(1), None)
    );
}

#[test]
fn settled_blocks_are_drawn_twice_at_most() {
    let reply = REPLY.repeat(20_000 / REPLY.len() + 1);
    let theme = theme();
    let look = Look { width: 60, ..Look::new(&theme) };
    let mut pages = Pages::new(1_000_000);
    let mut document = Document::new();
    let mut deltas = 0;
    for delta in pieces(&reply, 5) {
        document.push(delta);
        pages.height(&document, &look);
        deltas += 1;
    }
    document.finish();
    pages.height(&document, &look);
    let blocks = document.blocks().len() as u64;
    let counters = pages.counters();
    assert!(counters.drawn_settled <= 2 * blocks, "{blocks} blocks, {counters:?}");
    // Each delta draws what grew: the open block, now and then the one before it.
    assert!(counters.drawn <= 2 * deltas + 2 * blocks, "{deltas} deltas, {counters:?}");
    assert_eq!(counters.dropped, 0);
    // Asking again draws nothing.
    pages.height(&document, &look);
    pages.lines(&document, &look, 0, 50).count();
    assert_eq!(pages.counters().drawn, counters.drawn);
}

#[test]
fn a_frame_late_in_a_reply_makes_no_more_lines_than_one_early() {
    let theme = Theme::mono();
    let look = Look { width: 60, ..Look::new(&theme) };
    for text in [
        REPLY.repeat(200_000 / REPLY.len()),
        "Words **go** on without a line break. ".repeat(5_000),
        "- an item with `code`\n".repeat(9_000),
        format!("```\n{}", "a line of code\n".repeat(13_000)),
        format!("> {}", "quoted and quoted again\n> ".repeat(7_500)),
        "x".repeat(200_000),
    ] {
        let mut pages = Pages::new(10_000_000);
        let mut document = Document::new();
        let mut made = Vec::new();
        let tenth = text.len() / 10 + 1;
        for part in pieces(&text, tenth) {
            let before = pages.counters().lines;
            for delta in pieces(part, 500) {
                document.push(delta);
                pages.height(&document, &look);
            }
            made.push(pages.counters().lines - before);
        }
        assert!(made[8] as f64 <= 1.1 * made[1] as f64, "{made:?} for {:?}", &text[..30]);
    }
}

#[test]
fn what_is_kept_is_bounded() {
    let theme = theme();
    let look = Look { width: 60, ..Look::new(&theme) };
    let limit = 20_000;
    let mut pages = Pages::new(limit);
    let documents: Vec<Document> = (0..50).map(|_| Document::from_text(REPLY)).collect();
    for document in &documents {
        let height = pages.height(document, &look);
        assert_eq!(pages.lines(document, &look, 0, 20).count(), 20.min(height));
        assert!(pages.counters().cells <= limit as u64 + 60 * 60, "{:?}", pages.counters());
    }
    assert!(pages.counters().dropped > 0);
    // What was dropped comes back as it was.
    let fresh = lines(&documents[0], &look);
    let back: Vec<Line<'static>> = pages.lines(&documents[0], &look, 0, fresh.len()).cloned().collect();
    assert_eq!(back, fresh);
    for document in &documents {
        pages.forget(document.id());
    }
    assert_eq!(pages.counters().cells, 0);
}

#[test]
fn a_height_only_change_draws_nothing_and_a_width_does() {
    let theme = theme();
    let mut pages = Pages::new(1_000_000);
    let document = Document::from_text(REPLY);
    pages.lines(&document, &Look::new(&theme), 0, 20).count();
    let drawn = pages.counters().drawn;
    pages.lines(&document, &Look::new(&theme), 0, 40).count();
    assert_eq!(pages.counters().drawn, drawn);
    pages.height(&document, &Look { width: 50, ..Look::new(&theme) });
    assert!(pages.counters().drawn > drawn);
}

/// Cuts a text into pieces of about `size` bytes.
fn pieces(text: &str, size: usize) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let mut end = size.min(rest.len());
        while !rest.is_char_boundary(end) {
            end += 1;
        }
        let (head, tail) = rest.split_at(end);
        rest = tail;
        (!head.is_empty()).then_some(head)
    })
}

fn streamed(text: &str, sizes: &[usize], look: &Look<'_>) -> Vec<Line<'static>> {
    let mut pages = Pages::new(10_000_000);
    let mut document = Document::new();
    let mut rest = text;
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let mut end = (*size).min(rest.len());
        while !rest.is_char_boundary(end) {
            end += 1;
        }
        document.push(&rest[..end]);
        rest = &rest[end..];
        let height = pages.height(&document, look);
        for line in pages.lines(&document, look, 0, height) {
            assert!(line.width() <= usize::from(look.width), "{line} in {text:?}");
        }
    }
    document.finish();
    let height = pages.height(&document, look);
    pages.lines(&document, look, 0, height).cloned().collect()
}

#[test]
fn huge_blocks_look_the_same_however_they_came() {
    let theme = theme();
    let highlighter = Highlighter::immediate();
    let look = Look { width: 47, highlighter: Some(&highlighter), ..Look::new(&theme) };
    let sentence = "Words go on, **bold** and `code` and [links](https://example.com), 日本語も、so it is. ";
    let mut texts = vec![
        sentence.repeat(300),
        format!("```rust\n{}", "let x = \"s\"; ".repeat(2_000)),
        format!("```\n{}", "line of code\n".repeat(500)),
        format!("> {}", "quoted words\n> ".repeat(1_500)),
        format!("{}\n", (0..400).map(|i| format!("{i}. item {sentence}\n")).collect::<String>()),
        format!("| a | b |\n|---|---|\n{}", (0..200).map(|i| format!("| {i} | {sentence} |\n")).collect::<String>()),
        format!("{}\n===\n", sentence.repeat(150)),
        format!("{}\n| a | b |\n|---|---|\n| 1 | 2 |", sentence.repeat(150)),
        "x".repeat(30_000),
        format!("# {}", sentence.repeat(200)),
        format!("<div>\n{}", "html text here\n".repeat(1_000)),
    ];
    texts.push(texts.join("\n\n"));
    for text in &texts {
        let whole = lines(&Document::from_text(text), &look);
        let grown = streamed(text, &[777, 3, 1500], &look);
        assert_eq!(text_of(&grown), text_of(&whole), "{}", &text[..60.min(text.len())]);
        assert_eq!(grown, whole);
    }
}

fn markdown() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "\n",
        "\n",
        "\n\n",
        "\n\n",
        "text",
        "some words ",
        " ",
        "  ",
        "    ",
        "\t",
        "# ",
        "## ",
        "- ",
        "* ",
        "+ ",
        "1. ",
        "2. ",
        "> ",
        "```\n",
        "```rust\n",
        "~~~\n",
        "`",
        "---\n",
        "===\n",
        "**bold**",
        "*it",
        "~~",
        "| a | b |\n",
        "|---|---|\n",
        "| 1 | 2 |\n",
        "<div>\n",
        "</div>\n",
        "[a]: /b\n",
        "[a]",
        "[t](u)",
        "![i](j)",
        "https://a.b/c ",
        "\\",
        "日本語",
        "$$\n",
        "$x$",
        "\\[",
        "é",
        "[ ] ",
        "[x] ",
        "&amp;",
        "<br>",
        "👩‍👩‍👧‍👦",
        "averyveryverylongwordindeed",
        "fn main() {}\n",
    ]);
    prop::collection::vec(piece, 0..50).prop_map(|v| v.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn lines_do_not_depend_on_the_pieces(text in markdown(), sizes in prop::collection::vec(1_usize..30, 1..10), columns in 18_u16..70) {
        let theme = Theme::mono();
        let look = Look { width: columns, ..Look::new(&theme) };
        let whole = lines(&Document::from_text(&text), &look);
        prop_assert_eq!(streamed(&text, &sizes, &look), whole);
    }

    #[test]
    fn no_line_is_too_wide(text in markdown(), columns in 4_u16..30, ascii in any::<bool>()) {
        let theme = Theme::mono();
        let look = Look { width: columns, ascii, ..Look::new(&theme) };
        for line in lines(&Document::from_text(&text), &look) {
            prop_assert!(line.width() <= usize::from(columns), "{:?} is wider than {columns}", line.to_string());
            prop_assert!(!line.to_string().chars().any(char::is_control));
            prop_assert_eq!(line.width(), width::width(&line.to_string()));
        }
    }
}

#[test]
fn a_block_that_begins_elsewhere_is_drawn_anew() {
    // The second line is a paragraph until the third piece makes it an item, and the block after it something else.
    let theme = Theme::mono();
    let look = Look { width: 18, ..Look::new(&theme) };
    let mut pages = Pages::new(100_000);
    let mut document = Document::new();
    for piece in ["1. <div>\n1", ".  <div>\n```\n"] {
        document.push(piece);
        pages.height(&document, &look);
    }
    let now: Vec<Line<'static>> = pages.lines(&document, &look, 0, 9).cloned().collect();
    assert_eq!(text_of(&now), "1. <div>\n2. <div>\n┌───────────── a ┐");
}
