//! Searching in the shown messages: where the hits are, and how they look.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::Chat;
use crate::proto::{NodeId, content_text};
use crate::tui::pane::tree::matches;
use crate::tui::pane::{Cx, Intent, Outcome, Seek};
use crate::tui::text::width::grapheme;

/// Hits of a needle, as (message, row).
#[derive(Debug, Default)]
pub struct Find {
    needle: String,
    width: u16,
    hits: Vec<(usize, usize)>,
    made: bool,
    /// The hit that is shown.
    at: Option<usize>,
    /// Where the search began: a message.
    began: Option<NodeId>,
}

impl Find {
    pub fn forget(&mut self) {
        self.made = false;
    }
}

impl Chat {
    fn collect_hits(&mut self, cx: &Cx<'_>) {
        let needle = &cx.needle.text;
        if self.find.made && self.find.needle == *needle && self.find.width == self.width {
            return;
        }
        let mut hits = Vec::new();
        if let Some(doc) = cx.doc().filter(|_| !needle.is_empty()) {
            for item in 0..self.path.len() {
                let holds = doc.content(self.path[item]).is_some_and(|content| matches(needle, &content_text(content)));
                if holds {
                    hits.extend(self.hit_rows(cx, doc, item).into_iter().map(|row| (item, row)));
                }
            }
        }
        self.find.needle.clone_from(needle);
        self.find.width = self.width;
        self.find.hits = hits;
        self.find.made = true;
        self.find.at = None;
    }

    /// Goes to a hit. Returns its place and how many there are.
    pub(super) fn find(&mut self, seek: Seek, times: usize, cx: &Cx<'_>) -> (Outcome, usize, usize) {
        if seek == Seek::Back {
            let began = self.find.began.take();
            self.find.forget();
            return (began.map_or_else(Outcome::done, |id| Intent::Select(Some(id)).into()), 0, 0);
        }
        if seek == Seek::Here && self.find.began.is_none() {
            self.find.began = cx.target().map(|n| n.id);
        }
        self.collect_hits(cx);
        let count = self.find.hits.len();
        if count == 0 {
            return (Outcome::done(), 0, 0);
        }
        let begin =
            self.find.began.or(cx.target().map(|n| n.id)).and_then(|id| self.path.iter().position(|other| *other == id)).unwrap_or(0);
        let here = match (self.find.at, seek) {
            // The newest hit at or before where one reads: answers are read from the end.
            (None, _) => self.find.hits.iter().rposition(|(item, _)| *item <= begin).unwrap_or(count - 1),
            (Some(at), Seek::Next) => (at + times) % count,
            (Some(at), Seek::Previous) => (at + count - times % count) % count,
            (Some(at), Seek::Here | Seek::Back) => at.min(count - 1),
        };
        if seek == Seek::Next {
            self.find.began = None;
        }
        self.find.at = Some(here);
        let (item, row) = self.find.hits[here];
        let pane = self.height;
        if let Some(doc) = cx.doc() {
            self.list.stay(pane);
            self.settle(cx, doc, pane);
            self.list.reveal_rows(item, row, 1, pane);
            // The hit is what is to be seen, not the message as a whole.
            self.reveal = cx.view.reveal;
        }
        (Intent::Rest(Some(self.path[item])).into(), here + 1, count)
    }
}

/// Lays the style of a hit over every place in the area where the needle stands. What is broken over two rows is not marked.
pub fn highlight(needle: &str, area: Rect, buf: &mut Buffer, style: Style) {
    let area = area.intersection(buf.area);
    let exact = needle.chars().any(char::is_uppercase);
    let wanted: Vec<char> = if exact { needle.chars().collect() } else { needle.to_lowercase().chars().collect() };
    if wanted.is_empty() {
        return;
    }
    for y in area.top()..area.bottom() {
        let mut chars: Vec<(char, u16)> = Vec::with_capacity(usize::from(area.width));
        let mut x = area.left();
        while x < area.right() {
            let symbol = buf[(x, y)].symbol();
            for c in symbol.chars() {
                if exact {
                    chars.push((c, x));
                } else {
                    chars.extend(c.to_lowercase().map(|c| (c, x)));
                }
            }
            // Behind a wide character lies a cell that shows nothing.
            x += u16::try_from(grapheme(symbol).max(1)).unwrap_or(1);
        }
        let mut at = 0;
        while at + wanted.len() <= chars.len() {
            if chars[at..at + wanted.len()].iter().zip(&wanted).all(|((c, _), w)| c == w) {
                let (from, to) = (chars[at].1, chars[at + wanted.len() - 1].1);
                buf.set_style(Rect { x: from, y, width: to - from + 1, height: 1 }, style);
                at += wanted.len();
            } else {
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ratatui::style::Color;

    use super::*;

    #[test]
    fn hits_are_marked_wherever_they_stand() {
        let mut buf = Buffer::empty(Rect::new(0, 0, 20, 2));
        buf.set_string(0, 0, "One two ONE 日one", Style::new());
        let hit = Style::new().bg(Color::Yellow);
        highlight("one", buf.area, &mut buf, hit);
        let marked: String = (0..20).map(|x| if buf[(x, 0)].bg == Color::Yellow { '^' } else { '.' }).collect();
        assert_eq!(marked, "^^^.....^^^...^^^...");
        let mut buf = Buffer::empty(Rect::new(0, 0, 12, 1));
        buf.set_string(0, 0, "One one", Style::new());
        highlight("One", buf.area, &mut buf, hit);
        assert_eq!((0..12).filter(|x| buf[(*x, 0)].bg == Color::Yellow).count(), 3, "a capital asks for just this");
    }
}
