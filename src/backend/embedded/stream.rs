//! From tokens to what people read: whole characters, thinking apart, nothing of a stop text.
//!
//! Invariant: what was given out is never taken back; a character is given out whole or, when the model never finished it, as
//! U+FFFD; of a stop text nothing is given out, however it is spread over tokens.

use crate::proto::DeltaKind;

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// Where the text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Nothing but space so far: a `<think>` may come.
    Start,
    Thinking,
    /// After `</think>`: empty lines are left out.
    Between,
    Text,
}

/// Turns the bytes of an answer into deltas.
pub struct Splitter {
    stops: Vec<String>,
    /// Bytes that are no whole character yet.
    partial: Vec<u8>,
    /// Text that may become a stop text or a mark.
    held: String,
    place: Place,
    stopped: bool,
}

impl Splitter {
    #[must_use]
    pub fn new(stops: Vec<String>, thinking: bool, continues: bool) -> Self {
        let place = match (thinking, continues) {
            (true, _) => Place::Thinking,
            (false, true) => Place::Text,
            (false, false) => Place::Start,
        };
        Self {
            stops: stops.into_iter().filter(|s| !s.is_empty()).collect(),
            partial: Vec::new(),
            held: String::new(),
            place,
            stopped: false,
        }
    }

    /// A stop text came; nothing more is given out.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.stopped
    }

    /// Takes the bytes of a token and gives out what is certain.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<(DeltaKind, String)> {
        if self.stopped {
            return Vec::new();
        }
        self.partial.extend_from_slice(bytes);
        let text = whole(&mut self.partial);
        self.held.push_str(&text);
        self.flow(false)
    }

    /// The answer has ended: gives out the rest.
    pub fn finish(&mut self) -> Vec<(DeltaKind, String)> {
        if self.stopped {
            return Vec::new();
        }
        let rest = std::mem::take(&mut self.partial);
        self.held.push_str(&String::from_utf8_lossy(&rest));
        self.flow(true)
    }

    fn flow(&mut self, last: bool) -> Vec<(DeltaKind, String)> {
        let mut out = Vec::new();
        if let Some(at) = self.stops.iter().filter_map(|stop| self.held.find(stop.as_str())).min() {
            self.held.truncate(at);
            self.stopped = true;
        }
        let last = last || self.stopped;
        loop {
            match self.place {
                Place::Start => {
                    let rest = self.held.trim_start();
                    if let Some(after) = rest.strip_prefix(OPEN) {
                        self.held = after.trim_start_matches('\n').to_owned();
                        self.place = Place::Thinking;
                    } else if !last && (rest.is_empty() || OPEN.starts_with(rest)) {
                        return out;
                    } else {
                        self.place = Place::Text;
                    }
                }
                Place::Thinking => {
                    if let Some(at) = self.held.find(CLOSE) {
                        let thought: String = self.held.drain(..at).collect();
                        self.held.drain(..CLOSE.len());
                        give(&mut out, DeltaKind::Thinking, thought.trim_end_matches('\n').to_owned());
                        self.place = Place::Between;
                    } else {
                        self.give_certain(DeltaKind::Thinking, last, &mut out);
                        return out;
                    }
                }
                Place::Between => {
                    let rest = self.held.trim_start_matches(['\n', '\r', ' ']);
                    if rest.is_empty() {
                        self.held.clear();
                        return out;
                    }
                    self.held = rest.to_owned();
                    self.place = Place::Text;
                }
                Place::Text => {
                    self.give_certain(DeltaKind::Text, last, &mut out);
                    return out;
                }
            }
        }
    }

    /// Gives out all that cannot be the beginning of a stop text or of the closing mark.
    fn give_certain(&mut self, kind: DeltaKind, last: bool, out: &mut Vec<(DeltaKind, String)>) {
        let mark = (kind == DeltaKind::Thinking).then_some(CLOSE);
        let keep = if last {
            0
        } else {
            let marks = self.stops.iter().map(String::as_str).chain(mark);
            let begun = marks.map(|stop| begun(&self.held, stop)).max().unwrap_or(0);
            // Line ends before `</think>` are not part of the thought.
            let before = self.held.get(..self.held.len() - begun).unwrap_or_default();
            if mark.is_some() { self.held.len() - before.trim_end_matches('\n').len() } else { begun }
        };
        let certain = self.held.len() - keep;
        let text: String = self.held.drain(..certain).collect();
        give(out, kind, text);
    }
}

fn give(out: &mut Vec<(DeltaKind, String)>, kind: DeltaKind, text: String) {
    if !text.is_empty() {
        out.push((kind, text));
    }
}

/// How many bytes at the end of `text` are a beginning of `stop`.
fn begun(text: &str, stop: &str) -> usize {
    (1..stop.len().min(text.len() + 1))
        .rev()
        .find(|n| stop.is_char_boundary(*n) && text.as_bytes().ends_with(&stop.as_bytes()[..*n]))
        .unwrap_or(0)
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
