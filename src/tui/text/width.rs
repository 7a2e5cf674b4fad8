//! How many columns text takes, counted as terminals draw it: by grapheme cluster.
//!
//! Owns: measuring, cutting and padding. Refuses: styles and wrapping (`wrap`). Invariant: a width told here is the number of
//! cells that ratatui fills, so nothing drifts. That holds for text without U+FE0F (VS16), on which terminals disagree;
//! [`drawable`] strips it (and only there: stored and copied text keeps it).

use std::borrow::Cow;

use ratatui::buffer::CellWidth;
use unicode_segmentation::UnicodeSegmentation;

use crate::sanitise;

/// The columns of a text of one line.
#[must_use]
pub fn width(text: &str) -> usize {
    if text.is_ascii() {
        return text.len();
    }
    text.graphemes(true).map(grapheme).sum()
}

/// The columns of one grapheme cluster.
#[must_use]
pub fn grapheme(cluster: &str) -> usize {
    if cluster.len() == 1 {
        return 1;
    }
    usize::from(cluster.cell_width())
}

/// One harmless line without VS16: what may go into a cell. For every text that is not Markdown (titles, names, errors).
#[must_use]
pub fn drawable(text: &str) -> Cow<'_, str> {
    match sanitise::line(text) {
        Cow::Borrowed(clean) => without_vs16(clean),
        Cow::Owned(clean) => Cow::Owned(without_vs16(&clean).into_owned()),
    }
}

/// Drops U+FE0F. Borrows when there is none.
#[must_use]
pub fn without_vs16(text: &str) -> Cow<'_, str> {
    if text.is_ascii() || !text.contains('\u{fe0f}') { Cow::Borrowed(text) } else { Cow::Owned(text.replace('\u{fe0f}', "")) }
}

/// The longest prefix that takes at most `columns`, and its width.
#[must_use]
pub fn split_at(text: &str, columns: usize) -> (&str, usize) {
    if text.is_ascii() {
        let end = columns.min(text.len());
        return (&text[..end], end);
    }
    let mut used = 0;
    for (at, cluster) in text.grapheme_indices(true) {
        let wide = grapheme(cluster);
        if used + wide > columns {
            return (&text[..at], used);
        }
        used += wide;
    }
    (text, used)
}

/// At most `columns` wide; where something is cut off, the last column is `…`.
#[must_use]
pub fn truncate(text: &str, columns: usize) -> Cow<'_, str> {
    let (head, _) = split_at(text, columns);
    if head.len() == text.len() {
        return Cow::Borrowed(text);
    }
    if columns == 0 {
        return Cow::Borrowed("");
    }
    let (head, _) = split_at(text, columns - 1);
    Cow::Owned(format!("{}…", head.trim_end()))
}

/// At most `columns` wide; where something is cut off, it is the beginning: `…/models/a.gguf`.
#[must_use]
pub fn truncate_start(text: &str, columns: usize) -> Cow<'_, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    if columns == 0 {
        return Cow::Borrowed("");
    }
    let mut used = 1;
    let mut from = text.len();
    for (at, cluster) in text.grapheme_indices(true).rev() {
        used += grapheme(cluster);
        if used > columns {
            break;
        }
        from = at;
    }
    Cow::Owned(format!("…{}", text[from..].trim_start()))
}

/// Exactly `columns` wide, text at the left; cut with `…` when it is too long.
#[must_use]
pub fn pad(text: &str, columns: usize) -> String {
    let cut = truncate(text, columns);
    let mut out = cut.into_owned();
    out.extend(std::iter::repeat_n(' ', columns.saturating_sub(width(&out))));
    out
}

/// Exactly `columns` wide, text at the right (figures); cut with `…` when it is too long.
#[must_use]
pub fn pad_start(text: &str, columns: usize) -> String {
    let cut = truncate(text, columns);
    let mut out: String = std::iter::repeat_n(' ', columns.saturating_sub(width(&cut))).collect();
    out.push_str(&cut);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ratatui::buffer::Buffer;
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    #[test]
    fn widths_as_terminals_draw() {
        for (text, columns) in
            [("", 0), ("abc", 3), ("日本", 4), ("é", 1), ("e\u{301}", 1), ("👩‍👩‍👧‍👦", 2), ("🇩🇪", 2), ("❤", 1), ("한국", 4), ("…", 1)]
        {
            assert_eq!(width(text), columns, "{text:?}");
        }
        assert_eq!(drawable("❤\u{fe0f} 1\u{fe0f}\u{20e3}\x1b"), "❤ 1\u{20e3}␛");
    }

    #[test]
    fn cutting_leaves_whole_characters() {
        assert_eq!(truncate("hello", 5), "hello");
        assert_eq!(truncate("hello", 4), "hel…");
        assert_eq!(truncate("日本語", 5), "日本…");
        assert_eq!(truncate("日本語", 4), "日…");
        assert_eq!(truncate("ab cd", 4), "ab…");
        assert_eq!(truncate("x", 0), "");
        assert_eq!(truncate_start("/home/me/models/a.gguf", 9), "…s/a.gguf");
        assert_eq!(truncate_start("日本語", 4), "…語");
        assert_eq!(pad("日", 4), "日  ");
        assert_eq!(pad_start("7", 3), "  7");
        assert_eq!(pad_start("12345", 3), "12…");
    }

    proptest! {
        #[test]
        fn what_is_counted_is_what_ratatui_fills(text in "\\PC{0,12}") {
            let text = drawable(&text).into_owned();
            let mut buffer = Buffer::empty(Rect::new(0, 0, 60, 1));
            let (x, _) = buffer.set_stringn(0, 0, &text, 60, Style::new());
            prop_assert_eq!(usize::from(x), width(&text));
        }

        #[test]
        fn padded_text_is_exactly_as_wide(text in "\\PC{0,12}", columns in 0_usize..20) {
            let text = drawable(&text);
            prop_assert_eq!(width(&pad(&text, columns)), columns);
            prop_assert_eq!(width(&pad_start(&text, columns)), columns);
            prop_assert!(width(&truncate_start(&text, columns)) <= columns);
        }
    }
}
