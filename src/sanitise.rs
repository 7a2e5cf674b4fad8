//! Text from outside made harmless: model output, names, titles, server errors.
//!
//! Owns: what a terminal, a log, an error message or a shell may be given of text that arbour did not write. Refuses: meaning;
//! Markdown, widths and layout are `tui::text`'s. Invariant: what [`line`] and [`block`] return holds no control character (but
//! `\n` in a block), no bidi override and no invisible trick; both are idempotent and borrow when there is nothing to change.
//!
//! Made visible: C0 and C1 controls (`␛`, `‹U+009B›`), bidi embeddings, overrides and isolates (`‹U+202E›`), tag characters
//! outside flags. Removed: zero-width spaces, byte-order marks, soft hyphens, marks of direction, joiners that join nothing, piles
//! of combining marks. Kept: every letter of every script, emoji with their joiners and variation selectors.

use std::borrow::Cow;
use std::fmt::Write as _;

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthChar;

/// Columns from one tab stop to the next in a [`block`].
pub const TAB: usize = 4;

/// More combining marks than this on one character are a prank, not a script.
const MARKS: u8 = 8;
/// More joiners than this in one emoji are a prank (a family of four has three).
const JOINERS: u8 = 8;

/// One line, harmless: a line break (also `\r\n`, U+2028) becomes one space, a tab becomes a space.
///
/// Borrows when there is nothing to change.
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    clean(text, Mode::Line)
}

/// Several lines, harmless: keeps `\n`, drops `\r`, expands tabs to stops of [`TAB`] columns.
///
/// Borrows when there is nothing to change.
#[must_use]
pub fn block(text: &str) -> Cow<'_, str> {
    clean(text, Mode::Block)
}

/// One harmless line of at most `limit` characters as people count them (grapheme clusters); the last is `…` where something
/// was cut off.
#[must_use]
pub fn cut(text: &str, limit: usize) -> Cow<'_, str> {
    // A character has at most a few bytes; what lies far behind the limit need not be cleaned.
    let head = prefix(text, limit.saturating_mul(64).saturating_add(64));
    let clean = line(head);
    let mut ends = clean.grapheme_indices(true).map(|(at, _)| at);
    let Some(last) = ends.nth(limit.saturating_sub(1)) else { return clean };
    if limit == 0 {
        return if text.is_empty() { Cow::Borrowed("") } else { Cow::Borrowed("…") };
    }
    if ends.next().is_none() && head.len() == text.len() {
        return clean;
    }
    let mut out = clean[..last].trim_end().to_owned();
    out.push('…');
    Cow::Owned(out)
}

/// The longest prefix of at most `bytes` bytes that ends between two characters.
#[must_use]
pub fn prefix(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// A word for a POSIX shell: bare where that is safe, else in single quotes, else (control characters) as `$'…'`.
///
/// A NUL, which no shell can hold, is left out.
#[must_use]
pub fn shell_quote(word: &str) -> Cow<'_, str> {
    let bare = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(bare) {
        return Cow::Borrowed(word);
    }
    let escape = |c: char| (c.is_control() && c != '\n') || is_bidi(c) || is_tag(c);
    let mut out = String::with_capacity(word.len() + 2);
    if !word.chars().any(escape) {
        out.push('\'');
        for c in word.chars() {
            if c == '\'' {
                out.push_str("'\\''");
            } else {
                out.push(c);
            }
        }
        out.push('\'');
        return Cow::Owned(out);
    }
    out.push_str("$'");
    for c in word.chars() {
        match c {
            '\0' => {}
            '\'' => out.push_str("\\'"),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if escape(c) => {
                // Octal bytes are what every shell with $'…' reads, whatever its locale.
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    let _ = write!(out, "\\{byte:03o}");
                }
            }
            c => out.push(c),
        }
    }
    out.push('\'');
    Cow::Owned(out)
}

/// A link's target as people should see it: harmless, without a password, with a host in other scripts spelled in Punycode, so
/// that `аpple.com` (with a Cyrillic а) does not pass for `apple.com`.
#[must_use]
pub fn url_display(url: &str) -> Cow<'_, str> {
    let clean = line(url.trim());
    let Some(scheme) = clean.find("://") else { return clean };
    let start = scheme + 3;
    let end = clean[start..].find(['/', '?', '#']).map_or(clean.len(), |at| start + at);
    let authority = &clean[start..end];
    let (user, host) = match authority.rfind('@') {
        Some(at) => (Some(&authority[..at]), &authority[at + 1..]),
        None => (None, authority),
    };
    let secret = user.is_some_and(|user| user.contains(':'));
    if !secret && host.is_ascii() {
        return clean;
    }
    let mut out = String::with_capacity(clean.len() + 16);
    out.push_str(&clean[..start]);
    if let Some(user) = user {
        let (name, password) = user.split_once(':').map_or((user, false), |(name, _)| (name, true));
        out.push_str(name);
        out.push_str(if password { ":…@" } else { "@" });
    }
    for (index, label) in host.split('.').enumerate() {
        if index > 0 {
            out.push('.');
        }
        if label.is_ascii() {
            out.push_str(label);
        } else {
            out.push_str("xn--");
            punycode(label, &mut out);
        }
    }
    out.push_str(&clean[end..]);
    Cow::Owned(out)
}

/// RFC 3492, encoding only.
fn punycode(label: &str, out: &mut String) {
    const BASE: u32 = 36;
    let digit = |value: u32| char::from(if value < 26 { b'a' + value as u8 } else { b'0' + (value - 26) as u8 });
    let basic: String = label.chars().filter(char::is_ascii).collect();
    let total = label.chars().count() as u32;
    out.push_str(&basic.to_ascii_lowercase());
    if !basic.is_empty() {
        out.push('-');
    }
    let (mut n, mut delta, mut bias) = (128_u32, 0_u32, 72_u32);
    let basics = basic.len() as u32;
    let mut handled = basics;
    while handled < total {
        let Some(next) = label.chars().map(u32::from).filter(|c| *c >= n).min() else { break };
        delta = delta.saturating_add((next - n).saturating_mul(handled + 1));
        n = next;
        for c in label.chars().map(u32::from) {
            if c < n {
                delta = delta.saturating_add(1);
            }
            if c == n {
                let (mut q, mut k) = (delta, BASE);
                loop {
                    let t = if k <= bias { 1 } else { (k - bias).min(26) };
                    if q < t {
                        break;
                    }
                    out.push(digit(t + (q - t) % (BASE - t)));
                    q = (q - t) / (BASE - t);
                    k += BASE;
                }
                out.push(digit(q));
                let mut d = if handled == basics { delta / 700 } else { delta / 2 };
                d += d / (handled + 1);
                let mut k = 0;
                while d > 455 {
                    d /= BASE - 1;
                    k += BASE;
                }
                bias = k + (BASE * d) / (d + 38);
                delta = 0;
                handled += 1;
            }
        }
        delta = delta.saturating_add(1);
        n += 1;
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Line,
    Block,
}

/// What was written last, as far as the next decision needs it. Every decision looks only at what was *kept* before, so cleaning
/// what is clean decides the same again: idempotent by construction.
#[derive(Default)]
struct Before {
    /// The last kept character, and whether it may carry a joiner or a selector.
    last: Option<char>,
    /// Combining marks on the current character.
    marks: u8,
    /// Joiners in the current cluster.
    joiners: u8,
    /// Within a black flag and its tags.
    flag: bool,
    /// Column of the next character, for tabs.
    column: usize,
}

enum Verdict {
    Keep,
    Drop,
    Space,
    Tab,
    Break,
    Picture(char),
    Number,
}

impl Before {
    fn judge(&self, c: char, mode: Mode) -> Verdict {
        match c {
            ' '..='~' => Verdict::Keep,
            '\n' => match mode {
                Mode::Line => Verdict::Space,
                Mode::Block => Verdict::Keep,
            },
            '\t' => match mode {
                Mode::Line => Verdict::Space,
                Mode::Block => Verdict::Tab,
            },
            '\r' => match mode {
                Mode::Line => Verdict::Space,
                Mode::Block => Verdict::Drop,
            },
            '\u{0}'..='\u{1f}' => Verdict::Picture(char::from_u32(0x2400 + u32::from(c)).unwrap_or('�')),
            '\u{7f}' => Verdict::Picture('␡'),
            '\u{80}'..='\u{9f}' => Verdict::Number,
            '\u{2028}' | '\u{2029}' => match mode {
                Mode::Line => Verdict::Space,
                Mode::Block => Verdict::Break,
            },
            c if is_bidi(c) || ('\u{fff9}'..='\u{fffb}').contains(&c) => Verdict::Number,
            // Soft hyphen, marks of direction, zero-width space, word joiner and invisible operators, byte-order mark, and
            // fillers that show nothing.
            '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2060}'..='\u{2064}'
            | '\u{206a}'..='\u{206f}'
            | '\u{feff}' => Verdict::Drop,
            '\u{3164}' | '\u{ffa0}' | '\u{2800}' => Verdict::Space,
            '\u{200c}' | '\u{200d}' => {
                let joins = self.last.is_some_and(|last| !last.is_ascii() && last != '›' && !is_joiner(last) && !last.is_whitespace());
                if joins && self.joiners < JOINERS { Verdict::Keep } else { Verdict::Drop }
            }
            c if is_selector(c) => {
                let selects = self.last.is_some_and(|last| !is_selector(last) && !is_joiner(last) && last != '\n' && last != ' ');
                if selects { Verdict::Keep } else { Verdict::Drop }
            }
            c if is_tag(c) => {
                if self.flag {
                    Verdict::Keep
                } else {
                    Verdict::Number
                }
            }
            c if c.width() == Some(0) => {
                if self.marks < MARKS {
                    Verdict::Keep
                } else {
                    Verdict::Drop
                }
            }
            _ => Verdict::Keep,
        }
    }

    fn kept(&mut self, c: char) {
        if c == '\n' {
            self.column = 0;
        } else {
            self.column += c.width().unwrap_or(0);
        }
        if is_joiner(c) {
            self.joiners += 1;
        } else if c.width() == Some(0) {
            self.marks = self.marks.saturating_add(1);
        } else {
            if !self.last.is_some_and(is_joiner) {
                self.joiners = 0;
            }
            self.marks = 0;
        }
        self.flag = c == '\u{1f3f4}' || (self.flag && is_tag(c) && c != '\u{e007f}');
        self.last = Some(c);
    }
}

fn clean(text: &str, mode: Mode) -> Cow<'_, str> {
    // Most text is plain ASCII, and most of the rest is clean: look before writing.
    let plain = |b: &u8| (b' '..=b'~').contains(b) || (mode == Mode::Block && *b == b'\n');
    if text.as_bytes().iter().all(plain) {
        return Cow::Borrowed(text);
    }
    let mut before = Before::default();
    let mut chars = text.char_indices();
    let dirty = chars.find(|(_, c)| {
        let keep = matches!(before.judge(*c, mode), Verdict::Keep);
        if keep {
            before.kept(*c);
        }
        !keep
    });
    let Some((at, first)) = dirty else { return Cow::Borrowed(text) };
    let mut out = String::with_capacity(text.len() + 16);
    out.push_str(&text[..at]);
    let mut previous_cr = false;
    for c in std::iter::once(first).chain(chars.map(|(_, c)| c)) {
        let verdict = match (c, previous_cr, mode) {
            // `\r\n` is one line break.
            ('\n', true, Mode::Line) => Verdict::Drop,
            _ => before.judge(c, mode),
        };
        previous_cr = c == '\r';
        write_verdict(&mut out, &mut before, c, &verdict);
    }
    Cow::Owned(out)
}

fn write_verdict(out: &mut String, before: &mut Before, c: char, verdict: &Verdict) {
    let mut put = |before: &mut Before, c: char| {
        out.push(c);
        before.kept(c);
    };
    match verdict {
        Verdict::Keep => put(before, c),
        Verdict::Drop => {}
        Verdict::Space => put(before, ' '),
        Verdict::Break => put(before, '\n'),
        Verdict::Tab => {
            for _ in 0..TAB - before.column % TAB {
                put(before, ' ');
            }
        }
        Verdict::Picture(picture) => put(before, *picture),
        Verdict::Number => {
            let mut name = String::with_capacity(12);
            let _ = write!(name, "‹U+{:04X}›", u32::from(c));
            for c in name.chars() {
                put(before, c);
            }
        }
    }
}

fn is_bidi(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

fn is_selector(c: char) -> bool {
    matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' | '\u{180b}'..='\u{180d}')
}

fn is_tag(c: char) -> bool {
    matches!(c, '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests;
