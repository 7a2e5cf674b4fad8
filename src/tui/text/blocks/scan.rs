//! What a line of Markdown can begin or end, told from its own characters (CommonMark 0.31 §4 and §5, GFM tables, display math).
//! No state: what is open is the tree's affair.

/// A line that is being read from the left, in columns as tabs count them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    /// Bytes taken.
    pub at: usize,
    column: usize,
    /// Columns left of a tab of which some were taken.
    pub pad: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0, column: 0, pad: 0 }
    }

    /// What is left, without the columns of [`Cursor::pad`].
    pub fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// What is left behind its white space.
    pub fn word(&self) -> &'a str {
        self.rest().trim_start_matches([' ', '\t'])
    }

    /// Columns of white space from here.
    pub fn indent(&self) -> usize {
        let mut column = self.column + self.pad;
        for byte in self.rest().bytes() {
            match byte {
                b' ' => column += 1,
                b'\t' => column += 4 - column % 4,
                _ => break,
            }
        }
        column - self.column
    }

    pub fn is_blank(&self) -> bool {
        self.rest().bytes().all(|b| b == b' ' || b == b'\t')
    }

    /// Takes up to that many columns of white space.
    pub fn skip_columns(&mut self, columns: usize) {
        let mut left = columns;
        let part = self.pad.min(left);
        self.pad -= part;
        self.column += part;
        left -= part;
        while left > 0 {
            match self.text.as_bytes().get(self.at) {
                Some(b' ') => {
                    self.at += 1;
                    self.column += 1;
                    left -= 1;
                }
                Some(b'\t') => {
                    let wide = 4 - self.column % 4;
                    let part = wide.min(left);
                    self.at += 1;
                    self.column += part;
                    self.pad = wide - part;
                    left -= part;
                }
                _ => break,
            }
        }
    }

    /// Takes all white space.
    pub fn skip_space(&mut self) {
        self.skip_columns(usize::MAX);
    }

    /// Takes bytes that are one column each.
    pub fn skip(&mut self, bytes: usize) {
        self.at += bytes;
        self.column += bytes;
        self.pad = 0;
    }
}

/// `***`, `---`, `___`.
pub(super) fn is_break(word: &str) -> bool {
    let Some(mark @ (b'*' | b'-' | b'_')) = word.bytes().next() else { return false };
    let mut marks = 0;
    for byte in word.bytes() {
        match byte {
            b' ' | b'\t' => {}
            b if b == mark => marks += 1,
            _ => return false,
        }
    }
    marks >= 3
}

/// Level of `# Heading`, and how many bytes its opening takes.
pub(super) fn heading(word: &str) -> Option<u8> {
    let level = word.bytes().take_while(|b| *b == b'#').count();
    let end = matches!(word.as_bytes().get(level), None | Some(b' ' | b'\t'));
    ((1..=6).contains(&level) && end).then_some(level as u8)
}

/// The words of a heading's line without its closing `#`s.
pub(super) fn heading_text(text: &str) -> &str {
    let text = text.trim_matches([' ', '\t']);
    let bare = text.trim_end_matches('#');
    if bare.is_empty() {
        return "";
    }
    if bare.len() < text.len() && bare.ends_with([' ', '\t']) { bare.trim_end() } else { text }
}

/// Level of the line under a heading: `===` or `---`.
pub(super) fn underline(word: &str) -> Option<u8> {
    let bare = word.trim_end_matches([' ', '\t']);
    let mark = bare.bytes().next()?;
    let level = match mark {
        b'=' => 1,
        b'-' => 2,
        _ => return None,
    };
    bare.bytes().all(|b| b == mark).then_some(level)
}

/// The opening of a fence: its character, its length.
pub(super) fn fence(word: &str) -> Option<(u8, usize)> {
    let mark = word.bytes().next().filter(|b| matches!(b, b'`' | b'~'))?;
    let len = word.bytes().take_while(|b| *b == mark).count();
    let info = &word[len..];
    (len >= 3 && !(mark == b'`' && info.contains('`'))).then_some((mark, len))
}

/// The line closes a fence of such a character and length.
pub(super) fn fence_ends(word: &str, mark: u8, len: usize) -> bool {
    let run = word.bytes().take_while(|b| *b == mark).count();
    run >= len && word[run..].bytes().all(|b| b == b' ' || b == b'\t')
}

/// A bullet or a number before an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Marker {
    /// `-`, `*`, `+`, `.` or `)`: items of one list have the same.
    pub mark: u8,
    pub number: Option<u32>,
    pub bytes: usize,
    /// Nothing follows on the line.
    pub empty: bool,
}

pub(super) fn marker(word: &str) -> Option<Marker> {
    let bytes = word.as_bytes();
    let (mark, number, len) = match bytes.first()? {
        mark @ (b'-' | b'*' | b'+') => (*mark, None, 1),
        b'0'..=b'9' => {
            let digits = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
            let mark = *bytes.get(digits).filter(|b| matches!(b, b'.' | b')'))?;
            (mark, Some(word.get(..digits)?.parse().ok().filter(|_| digits <= 9)?), digits + 1)
        }
        _ => return None,
    };
    if !matches!(bytes.get(len), None | Some(b' ' | b'\t')) {
        return None;
    }
    let empty = bytes[len..].iter().all(|b| matches!(b, b' ' | b'\t'));
    Some(Marker { mark, number, bytes: len, empty })
}

/// Columns of a table's delimiter row (`|---|:-:|`).
pub(super) fn delimiter_row(word: &str) -> Option<usize> {
    let word = word.trim_matches([' ', '\t']);
    if !word.starts_with(['|', '-', ':']) || !word.bytes().all(|b| matches!(b, b'|' | b'-' | b':' | b' ' | b'\t')) {
        return None;
    }
    let inner = word.strip_prefix('|').unwrap_or(word);
    let inner = inner.strip_suffix('|').unwrap_or(inner);
    if inner.len() == word.len() && !word.contains('|') && !word.contains(':') {
        // A bare `---` underlines a heading.
        return None;
    }
    let mut columns = 0;
    for cell in inner.split('|') {
        let cell = cell.trim_matches([' ', '\t']);
        let dashes = cell.strip_prefix(':').unwrap_or(cell);
        let dashes = dashes.strip_suffix(':').unwrap_or(dashes);
        if dashes.is_empty() || !dashes.bytes().all(|b| b == b'-') {
            return None;
        }
        columns += 1;
    }
    (columns > 0).then_some(columns)
}

/// The cells of a table's row, as byte ranges without the white space around them. `\|` does not part cells.
pub(in crate::tui::text) fn cells(row: &str) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
    let end = row.trim_end_matches([' ', '\t']).len();
    let mut at = row.len() - row.trim_start_matches([' ', '\t']).len();
    if row[at..].starts_with('|') {
        at += 1;
    }
    let mut done = at >= end;
    std::iter::from_fn(move || {
        if done {
            return None;
        }
        let bytes = row.as_bytes();
        let mut stop = at;
        while stop < end && bytes[stop] != b'|' {
            // An escaped character is taken as a whole.
            stop += if bytes[stop] == b'\\' && stop + 1 < end && bytes[stop + 1].is_ascii() { 2 } else { 1 };
        }
        let stop = stop.min(end);
        let cell = &row[at..stop];
        let from = at + (cell.len() - cell.trim_start_matches([' ', '\t']).len());
        let to = from.max(at + cell.trim_end_matches([' ', '\t']).len());
        at = stop + 1;
        done = at >= end;
        Some(from..to)
    })
}

/// What closes a block of display math: `$$` or `\]`.
pub(super) fn math(word: &str) -> Option<(&'static str, bool)> {
    let (open, close) = if word.starts_with("$$") {
        ("$$", "$$")
    } else if word.starts_with("\\[") {
        ("\\[", "\\]")
    } else {
        return None;
    };
    let inner = word[open.len()..].trim_matches([' ', '\t']);
    match inner.find(close) {
        // All on one line; with words behind it, it is a sentence.
        Some(at) => (at > 0 && at + close.len() == inner.len()).then_some((close, true)),
        None => Some((close, false)),
    }
}

/// The kind (1 to 7) of an HTML block that begins here.
pub(super) fn html(word: &str, in_paragraph: bool) -> Option<u8> {
    let rest = word.strip_prefix('<')?;
    if rest.starts_with("!--") {
        return Some(2);
    }
    if rest.starts_with('?') {
        return Some(3);
    }
    if rest.starts_with("![CDATA[") {
        return Some(5);
    }
    if rest.starts_with('!') {
        return rest.as_bytes().get(1).is_some_and(u8::is_ascii_alphabetic).then_some(4);
    }
    let name = rest.strip_prefix('/').unwrap_or(rest);
    let end = name.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'-').count();
    let (name, after) = name.split_at(end);
    let lower = name.to_ascii_lowercase();
    let stops = after.is_empty() || after.starts_with([' ', '\t', '>']);
    if !rest.starts_with('/') && stops && RAW.contains(&lower.as_str()) {
        return Some(1);
    }
    if (stops || after.starts_with("/>")) && BLOCKS.binary_search(&lower.as_str()).is_ok() {
        return Some(6);
    }
    (!in_paragraph && whole_tag(rest)).then_some(7)
}

/// The line ends an HTML block of kinds 1 to 5.
pub(super) fn html_ends(kind: u8, line: &str) -> bool {
    match kind {
        1 => {
            let lower = line.to_ascii_lowercase();
            RAW.iter().any(|name| lower.contains(&format!("</{name}>")))
        }
        2 => line.contains("-->"),
        3 => line.contains("?>"),
        4 => line.contains('>'),
        5 => line.contains("]]>"),
        _ => false,
    }
}

/// A complete opening or closing tag, alone on its line. `rest` is what follows the `<`.
fn whole_tag(rest: &str) -> bool {
    let bytes = rest.as_bytes();
    let closing = bytes.first() == Some(&b'/');
    let mut at = usize::from(closing);
    if !bytes.get(at).is_some_and(u8::is_ascii_alphabetic) {
        return false;
    }
    let space = |at: usize| bytes[at.min(bytes.len())..].iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
    at += bytes[at..].iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'-').count();
    loop {
        let gap = space(at);
        at += gap;
        match bytes.get(at) {
            Some(b'>') => return bytes[at + 1..].iter().all(|b| matches!(b, b' ' | b'\t')),
            Some(b'/') if !closing && bytes.get(at + 1) == Some(&b'>') => return bytes[at + 2..].iter().all(|b| matches!(b, b' ' | b'\t')),
            Some(b) if !closing && gap > 0 && (b.is_ascii_alphabetic() || matches!(b, b'_' | b':')) => {}
            _ => return false,
        }
        at += bytes[at..].iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':' | b'.' | b'-')).count();
        let value = at + space(at);
        if bytes.get(value) != Some(&b'=') {
            continue;
        }
        at = value + 1 + space(value + 1);
        match bytes.get(at) {
            Some(quote @ (b'"' | b'\'')) => match bytes[at + 1..].iter().position(|b| b == quote) {
                Some(len) => at += len + 2,
                None => return false,
            },
            Some(_) => {
                let len = bytes[at..].iter().take_while(|b| !matches!(b, b' ' | b'\t' | b'"' | b'\'' | b'=' | b'<' | b'>' | b'`')).count();
                if len == 0 {
                    return false;
                }
                at += len;
            }
            None => return false,
        }
    }
}

const RAW: [&str; 4] = ["pre", "script", "style", "textarea"];

/// Names of HTML's block elements, sorted.
const BLOCKS: [&str; 62] = [
    "address",
    "article",
    "aside",
    "base",
    "basefont",
    "blockquote",
    "body",
    "caption",
    "center",
    "col",
    "colgroup",
    "dd",
    "details",
    "dialog",
    "dir",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "frame",
    "frameset",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "head",
    "header",
    "hr",
    "html",
    "iframe",
    "legend",
    "li",
    "link",
    "main",
    "menu",
    "menuitem",
    "nav",
    "noframes",
    "ol",
    "optgroup",
    "option",
    "p",
    "param",
    "search",
    "section",
    "summary",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "title",
    "tr",
    "track",
    "ul",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tabs_are_columns() {
        let mut cursor = Cursor::new("\t\tfoo");
        assert_eq!(cursor.indent(), 8);
        cursor.skip_columns(2);
        assert_eq!((cursor.indent(), cursor.pad, cursor.at), (6, 2, 1));
        cursor.skip_columns(4);
        assert_eq!((cursor.indent(), cursor.pad, cursor.rest()), (2, 2, "foo"));
        cursor.skip_space();
        assert_eq!((cursor.indent(), cursor.rest()), (0, "foo"));
    }

    #[test]
    fn lines_are_told_apart() {
        assert!(is_break("* * *") && is_break("---") && !is_break("--") && !is_break("- a"));
        assert_eq!((heading("## x"), heading("#"), heading("#x"), heading("#######")), (Some(2), Some(1), None, None));
        assert_eq!((heading_text(" a # b ##  "), heading_text("a#"), heading_text(" ## ")), ("a # b", "a#", ""));
        assert_eq!((underline("=== "), underline("-"), underline("=-=")), (Some(1), Some(2), None));
        assert_eq!((fence("```rust"), fence("~~~~ a`b"), fence("``` a`b"), fence("``")), (Some((b'`', 3)), Some((b'~', 4)), None, None));
        assert!(fence_ends("````  ", b'`', 3) && !fence_ends("``` x", b'`', 3) && !fence_ends("``", b'`', 3));
        assert_eq!(marker("- a").map(|m| (m.mark, m.bytes, m.empty)), Some((b'-', 1, false)));
        assert_eq!(marker("12) ").map(|m| (m.mark, m.number, m.empty)), Some((b')', Some(12), true)));
        assert_eq!((marker("-a"), marker("1234567890. x"), marker("1x")), (None, None, None));
    }

    #[test]
    fn tables_are_told_from_headings() {
        assert_eq!(delimiter_row("|---|:-:|"), Some(2));
        assert_eq!(delimiter_row("--- | ---"), Some(2));
        assert_eq!((delimiter_row("---"), delimiter_row("|--|x|"), delimiter_row("||")), (None, None, None));
        let split = |row: &str| cells(row).map(|r| row[r].to_owned()).collect::<Vec<_>>();
        assert_eq!(split("| a | b\\|c |  | `d` |"), ["a", "b\\|c", "", "`d`"]);
        assert_eq!(split("a|b"), ["a", "b"]);
        assert_eq!(split("|"), Vec::<String>::new());
        assert_eq!(split("| é\\"), ["é\\"]);
    }

    #[test]
    fn html_and_math_are_told_from_text() {
        assert_eq!(
            (html("<div>", true), html("<think>", false), html("<think>", true), html("<a b='c' d/> ", false)),
            (Some(6), Some(7), None, Some(7))
        );
        assert_eq!((html("<think> x", false), html("<3", false), html("<!-- x", false), html("</p", true)), (None, None, Some(2), Some(6)));
        assert!(html_ends(1, "x</SCRIPT>") && html_ends(2, "-->") && !html_ends(6, "</div>"));
        assert_eq!((math("$$"), math("\\[ x \\]"), math("$$ x $$ y"), math("$5")), (Some(("$$", false)), Some(("\\]", true)), None, None));
        assert!(BLOCKS.is_sorted());
    }
}
