//! From tokens to what people read: whole characters, nothing of a stop text, thinking apart.
//!
//! Invariant: what was given out is never taken back; a character is given out whole or, when the model never finished it, as
//! U+FFFD; of a stop text nothing is given out, however it is spread over tokens.

use crate::backend::think::Think;
use crate::proto::DeltaKind;

/// Turns the bytes of an answer into deltas.
pub struct Splitter {
    stops: Vec<String>,
    /// Bytes that are no whole character yet.
    partial: Vec<u8>,
    /// Text that may become a stop text.
    held: String,
    think: Think,
    stopped: bool,
}

impl Splitter {
    /// `thinking`: the answer begins inside a section of thinking; `continues`: it goes on with another.
    #[must_use]
    pub fn new(stops: Vec<String>, thinking: bool, continues: bool) -> Self {
        Self {
            stops: stops.into_iter().filter(|s| !s.is_empty()).collect(),
            partial: Vec::new(),
            held: String::new(),
            think: if thinking { Think::inside() } else { Think::new(!continues) },
            stopped: false,
        }
    }

    /// A stop text came; nothing more is given out.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.stopped
    }

    /// Takes the bytes of a token and gives out what is certain.
    pub fn push(&mut self, bytes: &[u8], out: &mut impl FnMut(DeltaKind, &str)) {
        if self.stopped {
            return;
        }
        self.partial.extend_from_slice(bytes);
        self.held.push_str(&whole(&mut self.partial));
        if let Some(at) = self.stops.iter().filter_map(|stop| self.held.find(stop.as_str())).min() {
            self.held.truncate(at);
            self.stopped = true;
            self.flow(0, out);
            self.think.end(out);
            return;
        }
        let keep = self.stops.iter().map(|stop| begun(&self.held, stop)).max().unwrap_or(0);
        self.flow(keep, out);
    }

    /// The answer has ended: gives out the rest.
    pub fn finish(&mut self, out: &mut impl FnMut(DeltaKind, &str)) {
        if !self.stopped {
            let rest = std::mem::take(&mut self.partial);
            self.held.push_str(&String::from_utf8_lossy(&rest));
            self.flow(0, out);
            self.think.end(out);
        }
    }

    /// Gives out all but the last `keep` bytes.
    fn flow(&mut self, keep: usize, out: &mut impl FnMut(DeltaKind, &str)) {
        let certain: String = self.held.drain(..self.held.len() - keep).collect();
        if !certain.is_empty() {
            self.think.push(&certain, out);
        }
    }
}

/// How many bytes at the end of `text` are a beginning of `stop`.
fn begun(text: &str, stop: &str) -> usize {
    let most = stop.len().saturating_sub(1).min(text.len());
    (1..=most).rev().find(|n| stop.get(..*n).is_some_and(|start| text.ends_with(start))).unwrap_or(0)
}

/// Takes all whole characters off the front of `bytes`; what can never become one turns into U+FFFD.
fn whole(bytes: &mut Vec<u8>) -> String {
    let mut out = String::new();
    loop {
        match std::str::from_utf8(bytes) {
            Ok(text) => {
                out.push_str(text);
                bytes.clear();
                return out;
            }
            Err(e) => {
                let good = e.valid_up_to();
                out.push_str(&String::from_utf8_lossy(bytes.get(..good).unwrap_or_default()));
                let Some(bad) = e.error_len() else {
                    bytes.drain(..good);
                    return out;
                };
                out.push('\u{FFFD}');
                bytes.drain(..good + bad);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// (thinking, text, stopped) of an answer that comes in pieces.
    fn run(pieces: &[&[u8]], stops: &[&str], thinking: bool) -> (String, String, bool) {
        let mut splitter = Splitter::new(stops.iter().map(|s| (*s).to_owned()).collect(), thinking, false);
        let (mut thought, mut text) = (String::new(), String::new());
        let mut out = |kind: DeltaKind, piece: &str| match kind {
            DeltaKind::Thinking => thought.push_str(piece),
            DeltaKind::Text => text.push_str(piece),
        };
        for piece in pieces {
            splitter.push(piece, &mut out);
        }
        splitter.finish(&mut out);
        (thought, text, splitter.stopped())
    }

    #[test]
    fn characters_come_whole_and_stop_texts_never_however_they_are_cut() {
        let whole = "Grüße 👩‍👩‍👧 an alle STOP und nie mehr";
        for a in 0..=whole.len() {
            for b in a..=whole.len() {
                let bytes = whole.as_bytes();
                let (_, text, stopped) = run(&[&bytes[..a], &bytes[a..b], &bytes[b..]], &["STOP", "STX"], false);
                assert_eq!((text.as_str(), stopped), ("Grüße 👩‍👩‍👧 an alle ", true), "cut at {a}, {b}");
            }
        }
    }

    #[test]
    fn a_beginning_of_a_stop_text_that_comes_to_nothing_is_given_out() {
        assert_eq!(run(&[b"a S", b"TO", b"RY"], &["STOP"], false).1, "a STORY");
        assert_eq!(run(&[b"a S", b"TO"], &["STOP"], false).1, "a STO");
    }

    #[test]
    fn broken_characters_become_marks() {
        assert_eq!(run(&[b"a\xF0\x9F", b"b\xFFc", b"\xE2\x82"], &[], false).1, "a\u{FFFD}b\u{FFFD}c\u{FFFD}");
    }

    #[test]
    fn a_prompt_that_opened_thinking_is_gone_on_with() {
        let (thought, text, _) = run(&[b"two and", b" two</th", b"ink>\n\nFour"], &[], true);
        assert_eq!((thought.as_str(), text.as_str()), ("two and two", "Four"));
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_give_the_same(bytes in prop::collection::vec(any::<u8>(), 0..60), cuts in prop::collection::vec(0usize..60, 0..4)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(bytes.len())).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut at = 0;
            for cut in cuts {
                pieces.push(&bytes[at..cut]);
                at = cut;
            }
            pieces.push(&bytes[at..]);
            prop_assert_eq!(run(&pieces, &["\n\n"], false), run(&[&bytes], &["\n\n"], false));
        }
    }
}
