//! Where motions lead: pure functions from lines and a place to a place.
//!
//! Invariant: every place that comes out stands on a boundary of grapheme clusters, for any text.

use unicode_segmentation::UnicodeSegmentation;

use super::text::Pos;

/// What a word is made of: a motion stops where the sort changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Space,
    Word,
    Sign,
    Han,
    Hiragana,
    Katakana,
    Hangul,
    Picture,
}

fn sort(cluster: &str, big: bool) -> Sort {
    let Some(c) = cluster.chars().next() else { return Sort::Space };
    if c.is_whitespace() {
        return Sort::Space;
    }
    if big {
        return Sort::Word;
    }
    match c {
        '\u{3040}'..='\u{309F}' => Sort::Hiragana,
        '\u{30A0}'..='\u{30FF}' | '\u{FF66}'..='\u{FF9F}' => Sort::Katakana,
        '\u{3400}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}' | '々' => Sort::Han,
        '\u{AC00}'..='\u{D7AF}' | '\u{1100}'..='\u{11FF}' => Sort::Hangul,
        '\u{1F000}'..='\u{1FAFF}' => Sort::Picture,
        c if c.is_alphanumeric() || c == '_' => Sort::Word,
        _ => Sort::Sign,
    }
}

/// A line cut into clusters: the column of each, and its text. The last entry of `cols` is the line's end.
pub struct Clusters<'l> {
    pub cols: Vec<usize>,
    pub texts: Vec<&'l str>,
}

impl<'l> Clusters<'l> {
    pub fn of(line: &'l str) -> Self {
        let texts: Vec<&str> = line.graphemes(true).collect();
        let mut cols = Vec::with_capacity(texts.len() + 1);
        let mut col = 0;
        for text in &texts {
            cols.push(col);
            col += text.chars().count();
        }
        cols.push(col);
        Self { cols, texts }
    }

    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// The cluster at a column; the number of clusters at the line's end.
    pub fn index(&self, col: usize) -> usize {
        self.cols.partition_point(|start| *start <= col).saturating_sub(1)
    }

    fn sort(&self, index: usize, big: bool) -> Sort {
        sort(self.texts[index], big)
    }
}

/// The line's text at a row.
fn line(lines: &[String], row: usize) -> &str {
    lines.get(row).map_or("", String::as_str)
}

/// `count` clusters to the left, within the line.
pub fn left(lines: &[String], at: Pos, count: usize) -> Pos {
    let clusters = Clusters::of(line(lines, at.row));
    Pos::new(at.row, clusters.cols[clusters.index(at.col).saturating_sub(count)])
}

/// `count` clusters to the right, at most to the line's end.
pub fn right(lines: &[String], at: Pos, count: usize) -> Pos {
    let clusters = Clusters::of(line(lines, at.row));
    Pos::new(at.row, clusters.cols[clusters.index(at.col).saturating_add(count).min(clusters.len())])
}

/// The last cluster of a line: where the cursor of NORMAL stops.
pub fn last(lines: &[String], row: usize) -> Pos {
    let clusters = Clusters::of(line(lines, row));
    Pos::new(row, clusters.cols[clusters.len().saturating_sub(1)])
}

pub fn first_non_blank(lines: &[String], row: usize) -> Pos {
    let text = line(lines, row);
    let blank = text.chars().take_while(|c| c.is_whitespace()).count();
    if blank == text.chars().count() { last(lines, row) } else { Pos::new(row, blank) }
}

pub fn word_forward(lines: &[String], at: Pos, big: bool) -> Pos {
    let (mut row, mut clusters) = (at.row, Clusters::of(line(lines, at.row)));
    let mut i = clusters.index(at.col);
    if i < clusters.len() {
        let here = clusters.sort(i, big);
        while here != Sort::Space && i < clusters.len() && clusters.sort(i, big) == here {
            i += 1;
        }
    }
    loop {
        while i < clusters.len() && clusters.sort(i, big) == Sort::Space {
            i += 1;
        }
        if i < clusters.len() || row + 1 >= lines.len() {
            return Pos::new(row, clusters.cols[i]);
        }
        row += 1;
        clusters = Clusters::of(line(lines, row));
        i = 0;
        if clusters.len() == 0 {
            return Pos::new(row, 0);
        }
    }
}

pub fn word_back(lines: &[String], at: Pos, big: bool) -> Pos {
    let (mut row, mut clusters) = (at.row, Clusters::of(line(lines, at.row)));
    let mut i = clusters.index(at.col);
    loop {
        while i > 0 && clusters.sort(i - 1, big) == Sort::Space {
            i -= 1;
        }
        if i > 0 {
            break;
        }
        if row == 0 {
            return Pos::new(0, 0);
        }
        row -= 1;
        clusters = Clusters::of(line(lines, row));
        i = clusters.len();
        if i == 0 {
            return Pos::new(row, 0);
        }
    }
    let here = clusters.sort(i - 1, big);
    while i > 0 && clusters.sort(i - 1, big) == here {
        i -= 1;
    }
    Pos::new(row, clusters.cols[i])
}

pub fn word_end(lines: &[String], at: Pos, big: bool) -> Pos {
    let (mut row, mut clusters) = (at.row, Clusters::of(line(lines, at.row)));
    let mut i = clusters.index(at.col) + 1;
    loop {
        while i < clusters.len() && clusters.sort(i, big) == Sort::Space {
            i += 1;
        }
        if i < clusters.len() {
            break;
        }
        if row + 1 >= lines.len() {
            return last(lines, row);
        }
        row += 1;
        clusters = Clusters::of(line(lines, row));
        i = 0;
    }
    let here = clusters.sort(i, big);
    while i + 1 < clusters.len() && clusters.sort(i + 1, big) == here {
        i += 1;
    }
    Pos::new(row, clusters.cols[i])
}

/// The next empty line, else the end of the text.
pub fn paragraph_forward(lines: &[String], at: Pos) -> Pos {
    let mut row = at.row;
    while row + 1 < lines.len() && line(lines, row).is_empty() {
        row += 1;
    }
    while row + 1 < lines.len() {
        row += 1;
        if line(lines, row).is_empty() {
            return Pos::new(row, 0);
        }
    }
    Pos::new(row, line(lines, row).chars().count())
}

/// The empty line before, else the start of the text.
pub fn paragraph_back(lines: &[String], at: Pos) -> Pos {
    let mut row = at.row;
    while row > 0 && line(lines, row).is_empty() {
        row -= 1;
    }
    while row > 0 {
        row -= 1;
        if line(lines, row).is_empty() {
            return Pos::new(row, 0);
        }
    }
    Pos::default()
}

/// How `f`, `F`, `t` and `T` look for a character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Find {
    pub wanted: char,
    pub forward: bool,
    /// Stop beside it.
    pub till: bool,
}

impl Find {
    #[must_use]
    pub fn reversed(self) -> Self {
        Self { forward: !self.forward, ..self }
    }
}

/// The `count`th place of a character in the line; `again` steps over one that the cursor already stands beside.
pub fn find(lines: &[String], at: Pos, find: Find, count: usize, again: bool) -> Option<Pos> {
    let clusters = Clusters::of(line(lines, at.row));
    let here = clusters.index(at.col);
    let skip = usize::from(again && find.till);
    let is = |i: &usize| clusters.texts[*i].starts_with(find.wanted);
    let nth = count.max(1) - 1;
    let found = if find.forward {
        (here + 1 + skip..clusters.len()).filter(is).nth(nth).map(|i| i - usize::from(find.till))
    } else {
        (0..here.saturating_sub(skip)).rev().filter(is).nth(nth).map(|i| i + usize::from(find.till))
    };
    found.map(|i| Pos::new(at.row, clusters.cols[i]))
}

/// What a text object covers: from, to (exclusive), and whether it is whole lines.
pub type Span = (Pos, Pos, bool);

/// The object that a character names, around a place: `w W p " ' \` ( [ { <` and their other halves, `b B`.
pub fn object(lines: &[String], at: Pos, name: char, around: bool) -> Option<Span> {
    match name {
        'w' | 'W' => word_object(lines, at, name == 'W', around),
        'p' => Some(paragraph_object(lines, at, around)),
        '"' | '\'' | '`' => quote_object(lines, at, name, around),
        '(' | ')' | 'b' => bracket_object(lines, at, '(', ')', around),
        '[' | ']' => bracket_object(lines, at, '[', ']', around),
        '{' | '}' | 'B' => bracket_object(lines, at, '{', '}', around),
        '<' | '>' => bracket_object(lines, at, '<', '>', around),
        _ => None,
    }
}

fn word_object(lines: &[String], at: Pos, big: bool, around: bool) -> Option<Span> {
    let clusters = Clusters::of(line(lines, at.row));
    let here = clusters.index(at.col).min(clusters.len().checked_sub(1)?);
    let of = |i: usize| clusters.sort(i, big);
    let (mut start, mut end) = (here, here + 1);
    while start > 0 && of(start - 1) == of(here) {
        start -= 1;
    }
    while end < clusters.len() && of(end) == of(here) {
        end += 1;
    }
    if around {
        let (before, after) = (start, end);
        if of(here) == Sort::Space && end < clusters.len() {
            let word = of(end);
            while end < clusters.len() && of(end) == word {
                end += 1;
            }
        } else {
            while end < clusters.len() && of(end) == Sort::Space {
                end += 1;
            }
        }
        if end == after {
            while start > 0 && of(start - 1) == Sort::Space {
                start -= 1;
            }
            // Indentation is no space between words.
            if start == 0 {
                start = before;
            }
        }
    }
    Some((Pos::new(at.row, clusters.cols[start]), Pos::new(at.row, clusters.cols[end]), false))
}

fn paragraph_object(lines: &[String], at: Pos, around: bool) -> Span {
    let blank = |row: usize| line(lines, row).trim().is_empty();
    let (mut start, mut end) = (at.row, at.row);
    while start > 0 && blank(start - 1) == blank(at.row) {
        start -= 1;
    }
    while end + 1 < lines.len() && blank(end + 1) == blank(at.row) {
        end += 1;
    }
    if around {
        let next = end + 1;
        while end + 1 < lines.len() && blank(end + 1) != blank(at.row) && blank(end + 1) == blank(next) {
            end += 1;
        }
    }
    (Pos::new(start, 0), Pos::new(end, line(lines, end).chars().count()), true)
}

fn quote_object(lines: &[String], at: Pos, quote: char, around: bool) -> Option<Span> {
    let chars: Vec<char> = line(lines, at.row).chars().collect();
    let mut quotes = Vec::new();
    let mut escaped = false;
    for (col, c) in chars.iter().enumerate() {
        if *c == quote && !escaped {
            quotes.push(col);
        }
        escaped = *c == '\\' && !escaped;
    }
    let pair = quotes.chunks_exact(2).find(|pair| at.col <= pair[1])?;
    let (start, end) = if around { (pair[0], pair[1] + 1) } else { (pair[0] + 1, pair[1]) };
    Some((Pos::new(at.row, start), Pos::new(at.row, end), false))
}

fn bracket_object(lines: &[String], at: Pos, open: char, close: char, around: bool) -> Option<Span> {
    let mut depth = 0usize;
    let mut start = None;
    'back: for row in (0..=at.row).rev() {
        let chars: Vec<char> = line(lines, row).chars().collect();
        let from = if row == at.row { chars.len().min(at.col + 1) } else { chars.len() };
        for col in (0..from).rev() {
            let on_cursor = row == at.row && col == at.col;
            if chars[col] == close && !on_cursor {
                depth += 1;
            } else if chars[col] == open {
                if depth == 0 {
                    start = Some(Pos::new(row, col));
                    break 'back;
                }
                depth -= 1;
            }
        }
    }
    let start = start?;
    let mut depth = 0usize;
    for row in start.row..lines.len() {
        let skip = if row == start.row { start.col + 1 } else { 0 };
        for (col, c) in line(lines, row).chars().enumerate().skip(skip) {
            if c == open {
                depth += 1;
            } else if c == close {
                if depth == 0 {
                    let (from, to) =
                        if around { (start, Pos::new(row, col + 1)) } else { (Pos::new(start.row, start.col + 1), Pos::new(row, col)) };
                    return Some((from, to, false));
                }
                depth -= 1;
            }
        }
    }
    None
}
