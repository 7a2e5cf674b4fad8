//! What is in a paragraph, a heading, a cell: emphasis, code, links.
//!
//! Owns: inline Markdown to styled words, by pulldown-cmark. Refuses: where lines break. Invariant: every word that comes out is
//! harmless, also what entities (`&#27;`) spell.

use std::borrow::Cow;

use pulldown_cmark::{BrokenLink, CowStr, Event, Options, Parser, Tag, TagEnd};
use ratatui::style::Style;

use super::Look;
use super::blocks::Document;
use super::width;
use crate::sanitise;
use crate::tui::theme::Role;

/// Something to put on a line.
pub(super) enum Piece<'a> {
    Text(&'a str, Style),
    Break,
}

/// A link's target is cut after so many characters.
const TARGET: usize = 200;

/// Put before what is read, so that it begins a paragraph whatever it looks like (`- x` in a cell, the rest of a long paragraph).
/// A full stop changes nothing about the markup behind it.
const GUARD: char = '.';

/// Puts the words of `text` out. True if it has links whose targets were not there.
pub(super) fn inline(text: &str, base: Style, document: &Document, look: &Look<'_>, put: &mut dyn FnMut(Piece<'_>)) -> bool {
    if !text.bytes().any(is_special) && !text.contains("://") {
        // Most lines have no markup at all.
        for (index, line) in text.split('\n').enumerate() {
            if index > 0 {
                put(Piece::Break);
            }
            put_text(line, base, put);
        }
        return false;
    }
    // Definitions of references count only at the start of a paragraph.
    let guarded = !text.starts_with('[');
    let mut owned = String::with_capacity(text.len() + 1);
    if guarded {
        owned.push(GUARD);
    }
    owned.push_str(text);
    let mut missing = false;
    let mut resolve = |link: BrokenLink<'_>| {
        let found = document.reference(&link.reference).map(|target| (CowStr::from(target.to_owned()), CowStr::Borrowed("")));
        missing |= found.is_none();
        found
    };
    let options = Options::ENABLE_STRIKETHROUGH | Options::ENABLE_MATH;
    let parser = Parser::new_with_broken_link_callback(&owned, options, Some(&mut resolve));
    let mut words = Words { base, look, styles: Vec::new(), links: Vec::new(), guard: guarded, put };
    for event in parser {
        words.event(event);
    }
    missing
}

/// A byte that may be markup, or that pulldown-cmark reads otherwise than as itself.
fn is_special(byte: u8) -> bool {
    matches!(byte, b'*' | b'_' | b'`' | b'[' | b']' | b'<' | b'&' | b'\\' | b'~' | b'$' | 0)
}

struct Words<'a, 'b> {
    base: Style,
    look: &'a Look<'a>,
    /// Styles of the markup that is open.
    styles: Vec<Style>,
    /// Targets of open links, and what was shown of them so far.
    links: Vec<(String, String)>,
    guard: bool,
    put: &'b mut dyn FnMut(Piece<'_>),
}

impl Words<'_, '_> {
    fn style(&self) -> Style {
        self.styles.last().copied().unwrap_or(self.base)
    }

    fn role(&self, role: Role) -> Style {
        self.look.theme.over(self.style(), role)
    }

    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => {
                let text = if std::mem::take(&mut self.guard) { text.strip_prefix(GUARD).unwrap_or(&text) } else { &text };
                self.text(text);
            }
            Event::Code(text) => self.word(&text, Role::CodeInline),
            Event::InlineMath(text) => self.word(&format!("${text}$"), Role::Math),
            Event::DisplayMath(text) => self.word(&format!("$${text}$$"), Role::Math),
            Event::InlineHtml(tag) | Event::Html(tag) => {
                if matches!(tag.trim_end().to_ascii_lowercase().as_str(), "<br>" | "<br/>" | "<br />") {
                    (self.put)(Piece::Break);
                } else {
                    self.word(&tag, Role::Quiet);
                }
            }
            Event::SoftBreak | Event::HardBreak => (self.put)(Piece::Break),
            // Not enabled, or not inline.
            Event::FootnoteReference(_) | Event::Rule | Event::TaskListMarker(_) => {}
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        let style = match tag {
            Tag::Emphasis => self.role(Role::Emphasis),
            Tag::Strong => self.role(Role::Strong),
            Tag::Strikethrough => self.role(Role::Strike),
            Tag::Link { dest_url, .. } => {
                self.links.push((dest_url.into_string(), String::new()));
                self.role(Role::Link)
            }
            Tag::Image { dest_url, .. } => {
                self.links.push((dest_url.into_string(), String::new()));
                let style = self.role(Role::Link);
                (self.put)(Piece::Text(self.look.glyphs().image, style));
                style
            }
            _ => return,
        };
        self.styles.push(style);
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough => {
                self.styles.pop();
            }
            TagEnd::Link | TagEnd::Image => {
                self.styles.pop();
                let Some((target, shown)) = self.links.pop() else { return };
                let bare = target.strip_prefix("mailto:").unwrap_or(&target);
                if target.is_empty() || bare == shown || target == shown {
                    return;
                }
                let target = sanitise::url_display(&target);
                let target = sanitise::cut(&target, TARGET);
                let style = self.look.theme.over(self.base, Role::LinkTarget);
                let text = if shown.is_empty() { format!("({target})") } else { format!(" ({target})") };
                put_text(&text, style, self.put);
            }
            _ => {}
        }
    }

    /// Text, in which addresses that are no markup are links too.
    fn text(&mut self, text: &str) {
        if let Some((_, shown)) = self.links.last_mut() {
            shown.push_str(text);
            put_text(text, self.style(), self.put);
            return;
        }
        let mut rest = text;
        while let Some(at) = rest.find("http").filter(|_| rest.contains("://")) {
            let (before, from) = rest.split_at(at);
            let address = from.starts_with("http://") || from.starts_with("https://");
            if !address || before.ends_with(|c: char| c.is_alphanumeric()) {
                let (word, after) = from.split_at(4);
                put_text(before, self.style(), self.put);
                put_text(word, self.style(), self.put);
                rest = after;
                continue;
            }
            let end = from.find(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | '`')).unwrap_or(from.len());
            let address = from[..end].trim_end_matches(['.', ',', ';', ':', '!', '?', ')', '\'', '*', '_']);
            put_text(before, self.style(), self.put);
            put_text(address, self.role(Role::Link), self.put);
            rest = &from[address.len()..];
        }
        put_text(rest, self.style(), self.put);
    }

    fn word(&mut self, text: &str, role: Role) {
        if let Some((_, shown)) = self.links.last_mut() {
            shown.push_str(text);
        }
        let style = self.role(role);
        put_text(text, style, self.put);
    }
}

/// Closes the markup that is open at the end of a text which is still being written, so that `**bo` is bold from its first letter
/// and nothing moves when its end comes. Delimiters with nothing behind them yet are left out.
pub(super) fn mend(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    if !bytes.iter().any(|b| matches!(b, b'*' | b'_' | b'`' | b'~')) {
        return Cow::Borrowed(text);
    }
    let mut open: Vec<&str> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        let run = bytes[at..].iter().take_while(|b| **b == byte).count();
        let end = at + run;
        match byte {
            b'\\' => {
                at += 2;
                continue;
            }
            b'`' => {
                let ticks = &text[at..end];
                let closing = text[end..]
                    .match_indices(ticks)
                    .find(|(found, _)| !text[end + found + run..].starts_with('`') && !text[..end + found].ends_with('`'));
                match closing {
                    Some((found, _)) => at = end + found + run,
                    None => {
                        // All that follows is code.
                        return closed(text, at, end, &open, Some(ticks));
                    }
                }
                continue;
            }
            b'*' | b'_' | b'~' if run <= 3 && (byte != b'~' || run == 2) => {
                let before = text[..at].chars().next_back();
                let after = text[end..].chars().next();
                let closes = before.is_some_and(|c| !c.is_whitespace()) && open.last().is_some_and(|mark| *mark == &text[at..end]);
                let opens = before.is_none_or(|c| !c.is_alphanumeric()) && after.is_none_or(|c| !c.is_whitespace());
                if closes {
                    open.pop();
                } else if opens && after.is_some() {
                    open.push(&text[at..end]);
                } else if opens && before.is_some_and(char::is_whitespace) {
                    return closed(text, at, end, &open, None);
                }
            }
            _ => {}
        }
        at = if matches!(byte, b'*' | b'_' | b'~') { end } else { at + 1 };
    }
    closed(text, text.len(), text.len(), &open, None)
}

/// The text with closing delimiters: up to `from` where nothing follows the delimiter that ends at `to`, else all of it.
fn closed<'a>(text: &'a str, from: usize, to: usize, open: &[&str], ticks: Option<&str>) -> Cow<'a, str> {
    let ends = to >= text.trim_end().len();
    let kept = if ends { text[..from].trim_end() } else { text.trim_end() };
    if open.is_empty() && (ends || ticks.is_none()) {
        return Cow::Borrowed(if from < text.len() { kept } else { text });
    }
    let mut out = kept.to_owned();
    if let Some(ticks) = ticks.filter(|_| !ends) {
        out.push_str(ticks);
    }
    out.extend(open.iter().rev().copied());
    Cow::Owned(out)
}

fn put_text(text: &str, style: Style, put: &mut dyn FnMut(Piece<'_>)) {
    if text.is_empty() {
        return;
    }
    let clean = sanitise::line(text);
    put(Piece::Text(&width::without_vs16(&clean), style));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_markup_is_closed_while_it_is_written() {
        for (text, mended) in [
            ("plain", "plain"),
            ("a **bo", "a **bo**"),
            ("a **bold** and *it", "a **bold** and *it*"),
            ("a **bo *it", "a **bo *it***"),
            ("a **bold** ", "a **bold** "),
            ("a **bold ", "a **bold**"),
            ("text **", "text"),
            ("text `", "text"),
            ("text `co", "text `co`"),
            ("**see `co", "**see `co`**"),
            ("`` a ` b", "`` a ` b``"),
            ("`a` b", "`a` b"),
            ("5 * 3 and 2*3", "5 * 3 and 2*3"),
            ("snake_case and a_b", "snake_case and a_b"),
            ("\\*no", "\\*no"),
            ("~~old", "~~old~~"),
            ("~ 5", "~ 5"),
            ("日本**語", "日本**語"),
            ("é `日", "é `日`"),
        ] {
            assert_eq!(mend(text), mended, "{text:?}");
        }
    }
}
