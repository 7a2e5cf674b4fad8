//! How the command line shows things to people: sizes, ages, tables. Everything that goes through here is harmless.

use unicode_width::UnicodeWidthStr as _;

use crate::sanitise;

/// What is not known.
pub const UNKNOWN: &str = "–";

/// `4.9 GB`, `98 MB`: decimal units, as models are sold in.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 || value >= 99.5 { format!("{value:.0} {}", UNITS[unit]) } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// `0.4 s`, `2 min 5 s`: from milliseconds.
pub fn duration(ms: f64) -> String {
    let seconds = ms / 1000.0;
    match seconds {
        s if s < 9.95 => format!("{s:.1} s"),
        s if s < 59.5 => format!("{s:.0} s"),
        s => {
            let whole = s.round() as u64;
            format!("{} min {} s", whole / 60, whole % 60)
        }
    }
}

/// How long ago, in one word: `now`, `5 min`, `3 h`, `2 d`, then the date.
pub fn age(then: i64, now: i64) -> String {
    let seconds = (now - then).max(0) / 1000;
    match seconds {
        0..60 => "now".to_owned(),
        60..3600 => format!("{} min", seconds / 60),
        3600..86400 => format!("{} h", seconds / 3600),
        86400..1_209_600 => format!("{} d", seconds / 86400),
        _ => jiff::Timestamp::from_millisecond(then)
            .map_or_else(|_| UNKNOWN.to_owned(), |stamp| stamp.to_zoned(jiff::tz::TimeZone::system()).date().to_string()),
    }
}

/// Columns side by side, two spaces between them; `right` marks those that are numbers. The last column is not padded.
pub fn table(head: &[&str], right: &[bool], rows: &[Vec<String>]) -> String {
    let clean: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| sanitise::line(cell).into_owned()).collect()).collect();
    let mut widths: Vec<usize> = head.iter().map(|h| h.width()).collect();
    for row in &clean {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }
    let mut out = String::new();
    let head: Vec<String> = head.iter().map(|h| (*h).to_owned()).collect();
    for row in std::iter::once(&head).chain(&clean) {
        let mut line = String::new();
        for (at, cell) in row.iter().enumerate() {
            let pad = " ".repeat(widths[at].saturating_sub(cell.width()));
            if right.get(at).copied().unwrap_or(false) {
                line.push_str(&pad);
                line.push_str(cell);
            } else {
                line.push_str(cell);
                line.push_str(&pad);
            }
            line.push_str("  ");
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// Text that grows, made harmless piece by piece for a terminal.
///
/// What can still change with the next piece (the last character of a line: a mark may join it) waits until it is settled; a
/// stream of ASCII waits for nothing.
#[derive(Default)]
pub struct Stream {
    /// The line so far, as it came.
    line: String,
    /// How much of its harmless form is out, in bytes.
    out: usize,
}

impl Stream {
    /// Longest line that is kept whole; a longer one is taken in pieces.
    const LONGEST: usize = 4096;

    /// What can be shown now that `text` has come.
    pub fn push(&mut self, text: &str) -> String {
        let mut shown = String::new();
        for piece in text.split_inclusive('\n') {
            self.line.push_str(piece);
            if piece.ends_with('\n') || self.line.len() > Self::LONGEST {
                shown.push_str(&self.end());
            } else {
                let clean = sanitise::block(&self.line);
                let settled = settled(&clean);
                if settled > self.out {
                    shown.push_str(&clean[self.out..settled]);
                    self.out = settled;
                }
            }
        }
        shown
    }

    /// The rest: nothing more will join it.
    pub fn end(&mut self) -> String {
        let clean = sanitise::block(&self.line);
        let rest = clean.get(self.out..).unwrap_or_default().to_owned();
        self.line.clear();
        self.out = 0;
        rest
    }
}

/// Up to where the text stays as it is whatever comes: all of it when it ends in ASCII, else up to its last character.
fn settled(text: &str) -> usize {
    use unicode_segmentation::UnicodeSegmentation as _;
    match text.chars().next_back() {
        Some(last) if !last.is_ascii() => text.grapheme_indices(true).next_back().map_or(0, |(at, _)| at),
        _ => text.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_two_or_three_digits() {
        let got: Vec<String> = [0, 999, 1_000, 98_000_000, 4_920_000_000, 99_960_000_000, 1_500_000_000_000].map(size).into();
        assert_eq!(got, ["0 B", "999 B", "1.0 kB", "98.0 MB", "4.9 GB", "100 GB", "1.5 TB"]);
    }

    #[test]
    fn ages_are_words() {
        let got: Vec<String> = [0, 61_000, 7_200_000, 200_000_000].map(|ms| age(0, ms)).into();
        assert_eq!(got, ["now", "1 min", "2 h", "2 d"]);
        assert!(age(0, 1_800_000_000_000).contains("19"), "a date of 1970 or 1969");
    }

    #[test]
    fn a_table_lines_up_also_with_wide_and_hostile_names() {
        let rows =
            vec![vec!["模型".to_owned(), "1".to_owned(), "a".to_owned()], vec!["x\u{1b}[2J".to_owned(), "20".to_owned(), String::new()]];
        let got = table(&["NAME", "N", "LAST"], &[false, true, false], &rows);
        assert_eq!(got.lines().count(), 3);
        assert!(!got.contains('\u{1b}'), "{got:?}");
        let columns: Vec<usize> = got.lines().take(2).map(|l| l.find(['N', '1']).map_or(0, |at| l[..at].width())).collect();
        assert_eq!(columns[0], 0);
        assert_eq!(got.lines().next().map(str::trim_end), got.lines().next(), "nothing hangs at the end of a line");
    }

    #[test]
    fn a_stream_in_any_pieces_is_the_whole() {
        let text = "a\u{1b}[31mb 👩\u{200d}👩\u{200d}👧 e\u{301}x\r\nline two ‹\u{202e}›\n最後";
        let whole = sanitise::block(text).into_owned();
        let chars: Vec<char> = text.chars().collect();
        for step in 1..=chars.len() {
            let mut stream = Stream::default();
            let mut got = String::new();
            for piece in chars.chunks(step) {
                got.push_str(&stream.push(&piece.iter().collect::<String>()));
            }
            got.push_str(&stream.end());
            assert_eq!(got, whole, "in pieces of {step}");
        }
    }

    #[test]
    fn plain_text_does_not_wait() {
        let mut stream = Stream::default();
        assert_eq!(stream.push("Hel"), "Hel");
        assert_eq!(stream.push("lo"), "lo");
    }
}
