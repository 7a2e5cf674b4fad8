//! Styled text into lines of a width.
//!
//! Owns: where a line breaks. Words break at spaces and around wide characters, words longer than a line anywhere; closing
//! punctuation stays with what it closes. Refuses: what the text means. Invariant: putting a text in piece by piece gives the
//! lines that putting it in at once gives, and a line that was given out never changes. What is held back is at most one line
//! and one word, so copying a [`Wrap`] to try out the rest is cheap.

use std::borrow::Cow;

use ratatui::style::Style;
use ratatui::text::{Line, Span};
use unicode_segmentation::UnicodeSegmentation;

use super::width;

/// What stands before the text of a line: bars of quotations, indentation, bullets.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Prefix {
    pub spans: Vec<Span<'static>>,
    pub width: usize,
}

impl Prefix {
    pub fn push(&mut self, text: impl Into<Cow<'static, str>>, style: Style) {
        let text = text.into();
        self.width += width::width(&text);
        self.spans.push(Span::styled(text, style));
    }
}

/// The line that is being filled, and what waits for its place in it.
#[derive(Debug, Clone)]
pub(super) struct Wrap {
    columns: usize,
    rest: Prefix,
    /// The current line, with its prefix.
    spans: Vec<Span<'static>>,
    /// Where its text began, and where the next character goes.
    start: usize,
    at: usize,
    /// Spaces that go in before the word, if it stays on this line.
    gap: Vec<(String, Style)>,
    gap_width: usize,
    /// A word that is not over.
    word: Vec<(String, Style)>,
    word_width: usize,
    /// The word was longer than a line: the rest of it is put where it falls.
    long: bool,
    /// The word ends with an opening bracket, which stays with what follows.
    open: bool,
    /// Spaces at the start of a line stay (text that is no Markdown).
    keep_indent: bool,
}

impl Wrap {
    /// Lines of `columns`, the first with one prefix and the others with the other.
    pub fn new(columns: usize, first: Prefix, rest: Prefix) -> Self {
        let columns = columns.max(1);
        let start = first.width;
        Self {
            columns,
            rest,
            spans: first.spans,
            start,
            at: start,
            gap: Vec::new(),
            gap_width: 0,
            word: Vec::new(),
            word_width: 0,
            long: false,
            open: false,
            keep_indent: false,
        }
    }

    /// Keeps spaces at the start of lines, as code and poems have them.
    pub fn keep_indent(mut self) -> Self {
        self.keep_indent = true;
        self
    }

    /// Puts in text of one line, clean and without line breaks.
    pub fn text(&mut self, text: &str, style: Style, out: &mut Vec<Line<'static>>) {
        let mut rest = text;
        while !rest.is_empty() {
            let spaces = rest.len() - rest.trim_start_matches(' ').len();
            if spaces > 0 {
                self.space(&rest[..spaces], style, out);
                rest = &rest[spaces..];
                continue;
            }
            let end = rest.find(' ').unwrap_or(rest.len());
            let word = &rest[..end];
            if word.is_ascii() {
                if word.as_bytes()[0].is_ascii_alphanumeric() && !self.open && self.ends_wide() {
                    self.end_word(out);
                }
                self.fragment(word, word.len(), style, out);
            } else {
                self.clusters(word, style, out);
            }
            rest = &rest[end..];
        }
    }

    fn clusters(&mut self, word: &str, style: Style, out: &mut Vec<Line<'static>>) {
        // Runs without an opportunity to break go in together.
        let mut from = 0;
        let mut wide = 0;
        for (at, cluster) in word.grapheme_indices(true) {
            let columns = width::grapheme(cluster);
            if columns > 1 || closes(cluster) {
                if at > from {
                    self.fragment(&word[from..at], wide, style, out);
                }
                if !closes(cluster) && !self.open {
                    self.end_word(out);
                }
                self.fragment(cluster, columns, style, out);
                self.open = opens(cluster);
                from = at + cluster.len();
                wide = 0;
            } else if at == from && !cluster.as_bytes()[0].is_ascii_punctuation() && !self.open && self.ends_wide() {
                self.end_word(out);
                wide = columns;
            } else {
                wide += columns;
            }
        }
        if from < word.len() {
            self.fragment(&word[from..], wide, style, out);
        }
    }

    /// The word so far ends with a wide character, after which a line may break.
    fn ends_wide(&self) -> bool {
        self.word.last().and_then(|(text, _)| text.graphemes(true).next_back()).is_some_and(|cluster| width::grapheme(cluster) > 1)
    }

    /// Ends the line.
    pub fn line_break(&mut self, out: &mut Vec<Line<'static>>) {
        self.end_word(out);
        self.gap.clear();
        self.gap_width = 0;
        self.turn(out);
    }

    /// Ends the text: gives out the last line, and says at which column it ends.
    pub fn finish(mut self, out: &mut Vec<Line<'static>>) -> usize {
        self.end_word(out);
        out.push(Line::from(self.spans));
        self.at
    }

    fn space(&mut self, spaces: &str, style: Style, out: &mut Vec<Line<'static>>) {
        self.end_word(out);
        if self.at > self.start || self.keep_indent {
            push(&mut self.gap, spaces, style);
            self.gap_width += spaces.len();
        }
    }

    fn fragment(&mut self, text: &str, columns: usize, style: Style, out: &mut Vec<Line<'static>>) {
        self.open = false;
        if self.long {
            self.hard(text, style, out);
            return;
        }
        push(&mut self.word, text, style);
        self.word_width += columns;
        let room = self.columns.saturating_sub(self.rest.width).max(1);
        if self.word_width > room {
            // It fits on no line, whatever follows: begin a line with it and break it where lines end.
            if self.at > self.start {
                self.turn(out);
            }
            self.gap.clear();
            self.gap_width = 0;
            self.long = true;
            self.word_width = 0;
            for (text, style) in std::mem::take(&mut self.word) {
                self.hard(&text, style, out);
            }
        }
    }

    fn hard(&mut self, text: &str, style: Style, out: &mut Vec<Line<'static>>) {
        let mut rest = text;
        while !rest.is_empty() {
            let (mut head, mut columns) = width::split_at(rest, self.columns.saturating_sub(self.at));
            if head.is_empty() {
                if self.at > self.start {
                    self.turn(out);
                    continue;
                }
                // Not even one character fits: put it all the same, the screen cuts it.
                head = rest.graphemes(true).next().unwrap_or(rest);
                columns = width::grapheme(head);
            }
            put(&mut self.spans, head, style);
            self.at += columns;
            rest = &rest[head.len()..];
        }
    }

    fn end_word(&mut self, out: &mut Vec<Line<'static>>) {
        self.long = false;
        self.open = false;
        if self.word.is_empty() {
            return;
        }
        if self.at + self.gap_width + self.word_width > self.columns && self.at > self.start {
            self.turn(out);
            self.gap.clear();
        }
        if self.at + self.gap_width + self.word_width > self.columns {
            // Indentation that leaves no room for the word.
            self.gap.clear();
        }
        for (text, style) in self.gap.drain(..) {
            self.at += text.len();
            put(&mut self.spans, &text, style);
        }
        let word = std::mem::take(&mut self.word);
        if self.at + self.word_width > self.columns {
            // The first prefix is wider than the others, and the word fits behind those only.
            for (text, style) in word {
                self.hard(&text, style, out);
            }
        } else {
            for (text, style) in word {
                put(&mut self.spans, &text, style);
            }
            self.at += self.word_width;
        }
        self.word_width = 0;
        self.gap_width = 0;
    }

    /// Gives out the line and begins the next.
    fn turn(&mut self, out: &mut Vec<Line<'static>>) {
        let full = std::mem::replace(&mut self.spans, self.rest.spans.clone());
        out.push(Line::from(full));
        self.start = self.rest.width;
        self.at = self.start;
    }
}

fn push(runs: &mut Vec<(String, Style)>, text: &str, style: Style) {
    match runs.last_mut() {
        Some((last, same)) if *same == style => last.push_str(text),
        _ => runs.push((text.to_owned(), style)),
    }
}

/// Adds text to a line, joined to the last span where the style is the same.
pub(super) fn put(spans: &mut Vec<Span<'static>>, text: &str, style: Style) {
    match spans.last_mut() {
        Some(last) if last.style == style => last.content.to_mut().push_str(text),
        _ => spans.push(Span::styled(text.to_owned(), style)),
    }
}

/// Punctuation that does not begin a line.
fn closes(cluster: &str) -> bool {
    matches!(
        cluster,
        "、" | "。"
            | "，"
            | "．"
            | "："
            | "；"
            | "！"
            | "？"
            | "」"
            | "』"
            | "）"
            | "】"
            | "》"
            | "〉"
            | "〕"
            | "］"
            | "｝"
            | "ー"
            | "…"
            | "’"
            | "”"
            | "々"
            | "・"
    )
}

/// Punctuation that does not end a line.
fn opens(cluster: &str) -> bool {
    matches!(cluster, "「" | "『" | "（" | "【" | "《" | "〈" | "〔" | "［" | "｛" | "‘" | "“")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wrap(text: &str, columns: usize) -> Vec<String> {
        let mut out = Vec::new();
        let mut wrap = Wrap::new(columns, Prefix::default(), Prefix::default());
        wrap.text(text, Style::new(), &mut out);
        wrap.finish(&mut out);
        out.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn words_go_where_they_fit() {
        assert_eq!(wrap("the quick brown fox", 10), ["the quick", "brown fox"]);
        assert_eq!(wrap("exactly ten", 11), ["exactly ten"]);
        assert_eq!(wrap("a  b   c ", 4), ["a  b", "c"]);
        assert_eq!(wrap("", 4), [""]);
        assert_eq!(wrap("  x", 4), ["x"]);
    }

    #[test]
    fn long_words_are_broken() {
        assert_eq!(wrap("see https://example.com/abc now", 10), ["see", "https://ex", "ample.com/", "abc now"]);
        assert_eq!(wrap("ééééé", 2), ["éé", "éé", "é"]);
    }

    #[test]
    fn wide_characters_break_anywhere_but_before_closing_ones() {
        assert_eq!(wrap("日本語のテキスト", 7), ["日本語", "のテキ", "スト"]);
        assert_eq!(wrap("日本語。次", 6), ["日本", "語。次"]);
        assert_eq!(wrap("日「本」語", 6), ["日", "「本」", "語"]);
        assert_eq!(wrap("ab日本cd", 5), ["ab日", "本cd"]);
        assert_eq!(wrap("👩‍👩‍👧‍👦👩‍👩‍👧‍👦x", 3), ["👩‍👩‍👧‍👦", "👩‍👩‍👧‍👦x"]);
    }

    #[test]
    fn prefixes_hang() {
        let mut first = Prefix::default();
        first.push("1. ", Style::new());
        let mut rest = Prefix::default();
        rest.push("   ", Style::new());
        let mut out = Vec::new();
        let mut wrap = Wrap::new(8, first, rest);
        wrap.text("one two three", Style::new(), &mut out);
        wrap.line_break(&mut out);
        wrap.text("four", Style::new(), &mut out);
        wrap.finish(&mut out);
        let lines: Vec<String> = out.iter().map(ToString::to_string).collect();
        assert_eq!(lines, ["1. one", "   two", "   three", "   four"]);
    }

    #[test]
    fn indentation_is_kept_where_it_is_asked_for() {
        let mut out = Vec::new();
        let mut wrap = Wrap::new(10, Prefix::default(), Prefix::default()).keep_indent();
        wrap.text("  a b", Style::new(), &mut out);
        wrap.line_break(&mut out);
        wrap.text("            far", Style::new(), &mut out);
        wrap.finish(&mut out);
        let lines: Vec<String> = out.iter().map(ToString::to_string).collect();
        assert_eq!(lines, ["  a b", "far"]);
    }

    /// Pieces between which nothing is cut apart: ends of words and single wide characters.
    fn pieces() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec(
            prop::sample::select(vec!["a", "bc", "word", " ", "   ", "日", "本", "。", "「", "」", "é", "👩‍👩‍👧‍👦", "longlonglonglong", "x日y"]),
            0..40,
        )
        .prop_map(|v| v.into_iter().map(str::to_owned).collect())
    }

    proptest! {
        #[test]
        fn no_line_is_too_wide_and_nothing_is_lost(parts in pieces(), columns in 2_usize..20) {
            let text = parts.concat();
            let lines = wrap(&text, columns);
            for line in &lines {
                prop_assert!(width::width(line) <= columns, "{line:?} in {lines:?}");
            }
            let squeeze = |t: &str| t.chars().filter(|c| *c != ' ').collect::<String>();
            prop_assert_eq!(squeeze(&lines.concat()), squeeze(&text));
        }

        #[test]
        fn piece_by_piece_is_the_same_as_at_once(parts in pieces(), columns in 2_usize..20) {
            let mut out = Vec::new();
            let mut state = Wrap::new(columns, Prefix::default(), Prefix::default());
            let mut seen = 0;
            for part in &parts {
                state.text(part, Style::new(), &mut out);
                let mut trial = out.clone();
                state.clone().finish(&mut trial);
                prop_assert!(trial.len() >= seen);
                seen = out.len();
            }
            state.finish(&mut out);
            let lines: Vec<String> = out.iter().map(ToString::to_string).collect();
            prop_assert_eq!(lines, wrap(&parts.concat(), columns));
        }
    }
}
