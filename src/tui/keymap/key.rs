//! One key, as arbour sees it, whatever the terminal calls it.
//!
//! Invariant: two events that a person would call the same key are equal [`Key`]s. Shift is part of a character (`G`, not `S-g`);
//! `C-i` is Tab, `C-m` Enter and `C-[` Esc, because most terminals cannot tell them apart; `C-j` stays itself (it begins a new line).

use std::fmt;

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// Which key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    Char(char),
    Enter,
    Esc,
    Tab,
    Backspace,
    Delete,
    Insert,
    Up,
    Down,
    Left,
    Right,
    Home,
    End,
    PageUp,
    PageDown,
    /// F1 to F35.
    F(u8),
}

/// A key with its modifiers, normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub code: Code,
    pub ctrl: bool,
    pub alt: bool,
    /// Never with a character.
    pub shift: bool,
    /// The Windows or command key; only some terminals send it.
    pub command: bool,
}

const NAMED: &[(&str, Code)] = &[
    ("Space", Code::Char(' ')),
    ("Enter", Code::Enter),
    ("Esc", Code::Esc),
    ("Tab", Code::Tab),
    ("Backspace", Code::Backspace),
    ("Delete", Code::Delete),
    ("Insert", Code::Insert),
    ("Up", Code::Up),
    ("Down", Code::Down),
    ("Left", Code::Left),
    ("Right", Code::Right),
    ("Home", Code::Home),
    ("End", Code::End),
    ("PageUp", Code::PageUp),
    ("PageDown", Code::PageDown),
    // Further names that people write; the first of each code is the one that is shown.
    ("Return", Code::Enter),
    ("CR", Code::Enter),
    ("Escape", Code::Esc),
    ("BS", Code::Backspace),
    ("Del", Code::Delete),
    ("Ins", Code::Insert),
    ("PgUp", Code::PageUp),
    ("PgDn", Code::PageDown),
    ("lt", Code::Char('<')),
    ("Minus", Code::Char('-')),
];

impl Key {
    #[must_use]
    pub const fn plain(code: Code) -> Self {
        Self { code, ctrl: false, alt: false, shift: false, command: false }
    }

    #[must_use]
    pub const fn char(c: char) -> Self {
        Self::plain(Code::Char(c))
    }

    #[must_use]
    pub fn ctrl(c: char) -> Self {
        Self { ctrl: true, ..Self::char(c) }.normal()
    }

    /// The key of a terminal's event; `None` for releases, bare modifiers, media and lock keys.
    #[must_use]
    pub fn from_event(event: &KeyEvent) -> Option<Self> {
        if event.kind == KeyEventKind::Release {
            return None;
        }
        let held = event.modifiers;
        let mut shift = held.contains(KeyModifiers::SHIFT);
        let code = match event.code {
            KeyCode::Char(c) => Code::Char(c),
            KeyCode::Enter => Code::Enter,
            KeyCode::Esc => Code::Esc,
            KeyCode::Tab => Code::Tab,
            KeyCode::BackTab => {
                shift = true;
                Code::Tab
            }
            KeyCode::Backspace => Code::Backspace,
            KeyCode::Delete => Code::Delete,
            KeyCode::Insert => Code::Insert,
            KeyCode::Up => Code::Up,
            KeyCode::Down => Code::Down,
            KeyCode::Left => Code::Left,
            KeyCode::Right => Code::Right,
            KeyCode::Home => Code::Home,
            KeyCode::End => Code::End,
            KeyCode::PageUp => Code::PageUp,
            KeyCode::PageDown => Code::PageDown,
            KeyCode::F(n) => Code::F(n),
            // Some terminals send NUL for C-Space.
            KeyCode::Null => return Some(Self { ctrl: true, ..Self::char(' ') }),
            KeyCode::CapsLock
            | KeyCode::ScrollLock
            | KeyCode::NumLock
            | KeyCode::PrintScreen
            | KeyCode::Pause
            | KeyCode::Menu
            | KeyCode::KeypadBegin
            | KeyCode::Media(_)
            | KeyCode::Modifier(_) => return None,
        };
        let key = Self {
            code,
            ctrl: held.contains(KeyModifiers::CONTROL),
            alt: held.intersects(KeyModifiers::ALT | KeyModifiers::META),
            shift,
            command: held.intersects(KeyModifiers::SUPER | KeyModifiers::HYPER),
        };
        Some(key.normal())
    }

    /// Folds the spellings of one key into one.
    fn normal(mut self) -> Self {
        if let Code::Char(c) = self.code {
            let mut c = c;
            if self.shift && c.is_lowercase() {
                let mut upper = c.to_uppercase();
                if let (Some(one), None) = (upper.next(), upper.next()) {
                    c = one;
                }
            } else if self.ctrl && !self.shift && c.is_uppercase() {
                // Caps lock: C-w is C-w.
                c = c.to_ascii_lowercase();
            }
            self.shift = false;
            self.code = match c {
                '\r' => Code::Enter,
                '\t' => Code::Tab,
                '\u{1b}' => Code::Esc,
                '\u{7f}' | '\u{8}' => Code::Backspace,
                c => Code::Char(c),
            };
            if self.ctrl {
                // What terminals send for these without the kitty protocol is one byte for both names.
                let (code, ctrl) = match c {
                    'i' => (Code::Tab, false),
                    'm' => (Code::Enter, false),
                    '[' | '3' => (Code::Esc, false),
                    '2' | '@' => (Code::Char(' '), true),
                    '4' => (Code::Char('\\'), true),
                    '5' => (Code::Char(']'), true),
                    '6' => (Code::Char('^'), true),
                    '7' | '/' => (Code::Char('_'), true),
                    '8' | '?' => (Code::Backspace, false),
                    _ => (self.code, true),
                };
                (self.code, self.ctrl) = (code, ctrl);
            }
        }
        self
    }

    /// The character that this key types.
    #[must_use]
    pub fn typed(self) -> Option<char> {
        match self.code {
            Code::Char(c) if !self.ctrl && !self.alt && !self.command && !c.is_control() => Some(c),
            _ => None,
        }
    }

    /// The digit of a count.
    #[must_use]
    pub fn digit(self) -> Option<u32> {
        self.typed()?.to_digit(10)
    }

    /// Reads one key: `C-w`, `S-Tab`, `A-Enter`, `F5`, `Space`, `g`, `<C-w>`.
    fn parse(token: &str) -> Result<Self, String> {
        let inside = token.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).filter(|inside| !inside.is_empty());
        let token = inside.unwrap_or(token);
        let mut key = Self::char(' ');
        let mut rest = token;
        while let Some((modifier, after)) = rest.split_once('-') {
            if after.is_empty() {
                break;
            }
            match modifier {
                "C" => key.ctrl = true,
                "A" | "M" => key.alt = true,
                "S" => key.shift = true,
                "D" => key.command = true,
                _ => break,
            }
            rest = after;
        }
        let mut chars = rest.chars();
        key.code = match (chars.next(), chars.next()) {
            (Some(c), None) if !c.is_control() => Code::Char(c),
            _ => named(rest).ok_or_else(|| format!("`{token}` is not a key"))?,
        };
        Ok(key.normal())
    }
}

fn named(name: &str) -> Option<Code> {
    if let Some((_, code)) = NAMED.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
        return Some(*code);
    }
    let number: u8 = name.strip_prefix(['F', 'f'])?.parse().ok()?;
    (1..=35).contains(&number).then_some(Code::F(number))
}

/// Reads a sequence: keys apart by spaces (`C-w h`), characters also together (`gg`, `g]`, `3`), vim's `<C-w>h`.
///
/// # Errors
/// What is wrong, as the middle of a sentence.
pub fn parse_keys(text: &str) -> Result<Vec<Key>, String> {
    let mut keys = Vec::new();
    for token in text.split_whitespace() {
        // A lone character, a name, or a key with modifiers; else characters and <names> in a row.
        if let Ok(key) = Key::parse(token) {
            keys.push(key);
            continue;
        }
        let modified = matches!(token.as_bytes(), [b'C' | b'A' | b'M' | b'S' | b'D', b'-', _, ..]);
        if modified || token.chars().count() > 4 && !token.contains('<') {
            return Err(format!("`{token}` is not a key"));
        }
        let mut rest = token;
        while let Some(c) = rest.chars().next() {
            let end = if c == '<' { rest.find('>').map(|at| at + 1).filter(|end| *end > 2) } else { None };
            let (key, after) = rest.split_at(end.unwrap_or(c.len_utf8()));
            keys.push(Key::parse(key)?);
            rest = after;
        }
    }
    if keys.is_empty() { Err("there is no key".to_owned()) } else { Ok(keys) }
}

/// A sequence as people read it: `gg`, `C-w h`, `Space m`. Reads back as the same keys.
#[must_use]
pub fn show_keys(keys: &[Key]) -> String {
    let mut out = String::new();
    let mut last_plain = true;
    for key in keys {
        let plain = matches!(key.typed(), Some(c) if c != ' ');
        let together = plain && last_plain;
        if !(out.is_empty() || together) {
            out.push(' ');
        }
        out.push_str(&key.to_string());
        last_plain = plain;
    }
    // `U p` is not Up, nor is `C - x` C-x.
    if parse_keys(&out).as_deref() != Ok(keys) {
        out = keys.iter().map(Key::to_string).collect::<Vec<_>>().join(" ");
    }
    out
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Capitals after C- need the word: `C-W` is how many write C-w.
        let capital = match self.code {
            Code::Char(c) if self.ctrl && c.is_uppercase() => c.to_lowercase().next(),
            _ => None,
        };
        for (held, mark) in [(self.ctrl, "C-"), (self.alt, "A-"), (self.shift || capital.is_some(), "S-"), (self.command, "D-")] {
            if held {
                f.write_str(mark)?;
            }
        }
        match self.code {
            Code::F(n) => write!(f, "F{n}"),
            Code::Char(_) if let Some(c) = capital => write!(f, "{c}"),
            Code::Char(c) if c != ' ' => write!(f, "{c}"),
            code => f.write_str(NAMED.iter().find(|(_, known)| *known == code).map_or("", |(name, _)| name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(code: KeyCode, modifiers: KeyModifiers) -> Key {
        Key::from_event(&KeyEvent::new(code, modifiers)).unwrap()
    }

    fn keys(text: &str) -> Vec<Key> {
        parse_keys(text).unwrap()
    }

    #[test]
    fn one_key_has_one_form() {
        use KeyModifiers as M;
        let same = [
            (event(KeyCode::Char('G'), M::SHIFT), "G"),
            (event(KeyCode::Char('g'), M::SHIFT), "G"),
            (event(KeyCode::Char('G'), M::NONE), "G"),
            (event(KeyCode::Char('?'), M::SHIFT), "?"),
            (event(KeyCode::BackTab, M::SHIFT), "S-Tab"),
            (event(KeyCode::BackTab, M::NONE), "S-Tab"),
            (event(KeyCode::Tab, M::SHIFT), "S-Tab"),
            (event(KeyCode::Char('i'), M::CONTROL), "Tab"),
            (event(KeyCode::Char('m'), M::CONTROL), "Enter"),
            (event(KeyCode::Char('['), M::CONTROL), "Esc"),
            (event(KeyCode::Char('j'), M::CONTROL), "C-j"),
            (event(KeyCode::Char('W'), M::CONTROL), "C-w"),
            (event(KeyCode::Char('w'), M::CONTROL | M::SHIFT), "C-S-w"),
            (event(KeyCode::Char('7'), M::CONTROL), "C-_"),
            (event(KeyCode::Null, M::NONE), "C-Space"),
            (event(KeyCode::Char(' '), M::SHIFT), "Space"),
            (event(KeyCode::Char('x'), M::META), "A-x"),
            (event(KeyCode::Char('c'), M::SUPER), "D-c"),
            (event(KeyCode::Enter, M::SHIFT), "S-Enter"),
            (event(KeyCode::Char('ß'), M::SHIFT), "ß"),
        ];
        for (key, name) in same {
            assert_eq!(vec![key], keys(name), "{name}");
            assert_eq!(show_keys(&[key]), name);
        }
    }

    #[test]
    fn releases_and_bare_modifiers_are_no_keys() {
        let release = KeyEvent::new_with_kind(KeyCode::Char('a'), KeyModifiers::NONE, KeyEventKind::Release);
        assert_eq!(Key::from_event(&release), None);
        assert_eq!(Key::from_event(&KeyEvent::new(KeyCode::CapsLock, KeyModifiers::NONE)), None);
    }

    #[test]
    fn sequences_read_as_people_write_them() {
        for (text, shown) in [
            ("g g", "gg"),
            ("gg", "gg"),
            ("g]", "g]"),
            ("C-w h", "C-w h"),
            ("<C-w>h", "C-w h"),
            ("<Space>m", "Space m"),
            ("Space m", "Space m"),
            ("Space w h", "Space wh"),
            ("C-w <", "C-w <"),
            ("C-w C--", "C-w C--"),
            ("-", "-"),
            ("<", "<"),
            ("g<lt>", "g<"),
            ("S-Tab", "S-Tab"),
            ("F12", "F12"),
            ("ZZ", "ZZ"),
            ("pgdn", "PageDown"),
            ("a-b", "a-b"),
            ("U p", "U p"),
            ("C - x", "C - x"),
            ("C-W", "C-w"),
        ] {
            assert_eq!(show_keys(&keys(text)), shown, "{text}");
            assert_eq!(keys(shown), keys(text), "{shown}");
        }
        for text in ["", " ", "C-wh", "Escpae", "C-Spcae"] {
            assert!(parse_keys(text).is_err(), "{text}: {:?}", parse_keys(text));
        }
    }

    #[test]
    fn only_bare_characters_type() {
        assert_eq!(Key::char('ä').typed(), Some('ä'));
        assert_eq!(Key::ctrl('a').typed(), None);
        assert_eq!(Key::plain(Code::Enter).typed(), None);
        assert_eq!(Key::char('7').digit(), Some(7));
    }
}
