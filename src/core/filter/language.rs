//! The grammar that all filters share: pieces, keys, lists of values, ranges.

use crate::error::quoted;

/// Something that was not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands in the text, in bytes.
    pub at: std::ops::Range<usize>,
    /// A sentence.
    pub message: String,
    /// What to do: a sentence.
    pub hint: Option<String>,
}

/// A sentence on what was wrong, and what to do.
pub(super) type Wrong = (String, Option<String>);

/// A piece of the text between spaces.
pub(super) struct Token {
    pub at: std::ops::Range<usize>,
    pub not: bool,
    /// Without its quotes.
    pub text: String,
    /// Where in `text` the part after the key begins, when a sign of one stands in it outside of quotes.
    key: Option<(usize, usize)>,
    /// Something of it stood in quotes.
    pub quoted: bool,
}

/// The pieces of a text. A quote that is not closed reaches to the end.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut out: Vec<Token> = Vec::new();
    let mut open: Option<Token> = None;
    let mut inside = false;
    for (at, c) in text.char_indices() {
        if c.is_whitespace() && !inside {
            out.extend(open.take());
            continue;
        }
        let begins = open.is_none();
        let token = open.get_or_insert_with(|| Token { at: at..at, not: false, text: String::new(), key: None, quoted: false });
        token.at.end = at + c.len_utf8();
        match c {
            '"' => {
                inside = !inside;
                token.quoted = true;
            }
            '-' | '!' if begins => token.not = true,
            ':' if !inside && token.key.is_none() && !token.quoted => {
                token.key = Some((token.text.len(), token.text.len() + 1));
                token.text.push(c);
            }
            '<' | '>' | '=' if !inside && token.key.is_none() && !token.quoted => {
                token.key = Some((token.text.len(), token.text.len()));
                token.text.push(c);
            }
            c => token.text.push(c),
        }
    }
    out.extend(open);
    out
}

impl Token {
    /// Its key as typed, and what follows; `None`: it is text.
    pub fn split(&self) -> Option<(&str, &str)> {
        let (end, value) = self.key.filter(|(end, _)| *end > 0)?;
        Some((&self.text[..end], &self.text[value..]))
    }
}

/// The values of a list, without those that are not written yet.
pub(super) fn list(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|value| !value.is_empty())
}

/// A value that something told in words must have.
#[derive(Debug, Clone, PartialEq)]
pub enum Wanted {
    /// Lower case.
    Part(String),
    /// Lower case.
    Whole(String),
    Any,
}

impl Wanted {
    /// The values that were written after a key; none when none is written yet.
    pub(super) fn read(value: &str, in_quotes: bool) -> Vec<Self> {
        let read = |value: &str| {
            let lower = value.to_lowercase();
            match lower.strip_prefix('=') {
                _ if lower == "*" => Self::Any,
                Some(whole) => Self::Whole(whole.trim().to_owned()),
                None if in_quotes => Self::Whole(lower),
                None => Self::Part(lower),
            }
        };
        // A name in quotes may have a comma in it.
        match in_quotes {
            true if !value.trim().is_empty() => vec![read(value.trim())],
            true => Vec::new(),
            false => list(value).filter(|value| *value != "=").map(read).collect(),
        }
    }

    /// Whether a value is wanted. A part may stand `anywhere` in it, or at its beginning only.
    #[must_use]
    pub fn fits(&self, value: &str, anywhere: bool) -> bool {
        let value = value.trim();
        match self {
            Self::Any => !value.is_empty(),
            Self::Whole(whole) => lower(value).eq(whole.chars()),
            Self::Part(part) if anywhere => find(value, part),
            Self::Part(part) => begins(value, part),
        }
    }
}

/// The characters of a text in lower case.
fn lower(text: &str) -> impl Iterator<Item = char> + '_ {
    text.chars().flat_map(char::to_lowercase)
}

fn begins(value: &str, part: &str) -> bool {
    let mut value = lower(value);
    part.chars().all(|c| value.next() == Some(c))
}

fn find(value: &str, part: &str) -> bool {
    value.char_indices().any(|(at, _)| begins(&value[at..], part)) || part.is_empty()
}

/// From one figure to another; the ends belong to it unless they are `open`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    pub least: Option<(f64, bool)>,
    pub most: Option<(f64, bool)>,
}

impl Range {
    /// Any figure that is known.
    pub const ANY: Self = Self { least: None, most: None };

    #[must_use]
    pub fn holds(self, value: f64) -> bool {
        self.least.is_none_or(|(least, open)| if open { value > least } else { value >= least })
            && self.most.is_none_or(|(most, open)| if open { value < most } else { value <= most })
    }

    /// This figure and no other.
    pub(super) fn only(figure: f64) -> Self {
        Self { least: Some((figure, false)), most: Some((figure, false)) }
    }

    /// Reads `<8G`, `>=4G`, `4G..8G`, `*`, or a figure alone, which is whatever `about` makes of it (without a sign: true). `Ok(None)`:
    /// nothing is written yet.
    pub(super) fn read(
        text: &str,
        figure: impl Fn(&str) -> Result<f64, String>,
        about: impl Fn(f64, bool) -> Self,
    ) -> Result<Option<Self>, String> {
        if text == "*" {
            return Ok(Some(Self::ANY));
        }
        if let Some((from, to)) = text.split_once("..") {
            let least = if from.is_empty() { None } else { Some((figure(from)?, false)) };
            let most = if to.is_empty() { None } else { Some((figure(to)?, false)) };
            return Ok((least.is_some() || most.is_some()).then_some(Self { least, most }));
        }
        let sign = text.len() - text.trim_start_matches(['<', '>', '=']).len();
        let (sign, rest) = text.split_at(sign);
        if rest.trim().is_empty() && matches!(sign, "" | "<" | ">" | "=" | "<=" | ">=" | "==") {
            return Ok(None);
        }
        let figure = figure(rest)?;
        let range = match sign {
            "<" => Self { least: None, most: Some((figure, true)) },
            "<=" | "=<" => Self { least: None, most: Some((figure, false)) },
            ">" => Self { least: Some((figure, true)), most: None },
            ">=" | "=>" => Self { least: Some((figure, false)), most: None },
            "" | "=" | "==" => about(figure, sign.is_empty()),
            _ => return Err(format!("`{sign}` compares nothing: there are < <= > >= = and FROM..TO.")),
        };
        Ok(Some(range))
    }
}

/// A number with a unit, of which `factor` says what it stands for; else a sentence on what it is not.
pub(super) fn figure(text: &str, factor: impl Fn(&str) -> Option<f64>, (what, how): (&str, &str)) -> Result<f64, String> {
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
    let (number, unit) = text.split_at(digits);
    let factor = factor(&unit.trim().to_ascii_lowercase());
    let wrong = || format!("{} is not {what}: write {how}.", quoted(text));
    number.parse::<f64>().ok().zip(factor).map(|(number, factor)| number * factor).ok_or_else(wrong)
}

/// The token that the cursor stands behind: where what is completed begins.
pub(super) struct Half {
    pub start: usize,
    /// What is typed of it, as it stands there.
    pub typed: String,
    pub split: Option<(String, String)>,
}

impl Half {
    /// `None`: a new piece begins.
    pub fn of(before: &str) -> Option<Self> {
        let token = tokens(before).pop().filter(|token| token.at.end == before.len())?;
        let start = token.at.start + usize::from(token.not);
        let split = token.split().map(|(key, value)| (key.to_owned(), value.to_owned()));
        Some(Self { start, typed: before[start..].to_owned(), split })
    }
}

/// Of the values that a key can have, those that the last of the list `value` may become, those that begin so first; written out with the
/// key and what stands before.
pub(super) fn going_on(key: &str, value: &str, values: Vec<(String, &str)>) -> Vec<(String, String)> {
    let done = value.rfind(',').map_or(0, |comma| comma + 1);
    let part = value[done..].trim_start_matches('=').to_lowercase();
    let head = format!("{key}:{}", &value[..done]);
    let bare = |value: &str| value.trim_matches('"').to_lowercase();
    let fits = |value: &str| bare(value).contains(&part) && bare(value) != part;
    let mut values: Vec<_> = values.into_iter().filter(|(value, _)| fits(value)).collect();
    values.sort_by_key(|(value, _)| !bare(value).starts_with(&part));
    values.into_iter().map(|(value, about)| (format!("{head}{value}"), about.to_owned())).collect()
}

/// In quotes where it could not stand without.
pub(super) fn quote(value: &str) -> String {
    let plain = !value.chars().any(|c| c.is_whitespace() || matches!(c, ',' | '"'));
    if plain { value.to_owned() } else { format!("\"{}\"", value.replace('"', "")) }
}
