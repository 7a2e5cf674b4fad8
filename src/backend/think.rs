//! Thinking that stands in the answer's text between tags.
//!
//! Owns: telling it from the answer, however the text is cut. Refuses: tags anywhere but at the answer's start (an answer may be
//! *about* tags). Invariant: nothing is lost: all text comes out, but for the tags and the white space around them.

use crate::proto::DeltaKind;

const TAGS: [(&str, &str); 2] = [("<think>", "</think>"), ("<thinking>", "</thinking>")];

/// More white space than this before a tag, and no tag is waited for any more.
const MAX_HELD: usize = 64;

#[derive(Debug, Clone, Copy)]
enum At {
    /// Nothing but white space, and what may become a tag.
    Start,
    /// Inside; the tag that ends it.
    Inside(&'static str),
    /// After it; white space is dropped.
    After,
    /// In the answer.
    Text,
}

/// The splitter.
#[derive(Debug, Clone)]
pub struct Think {
    at: At,
    held: String,
}

impl Think {
    /// `fresh`: the text begins an answer; otherwise it goes on with one, and no tag is looked for.
    #[must_use]
    pub fn new(fresh: bool) -> Self {
        Self { at: if fresh { At::Start } else { At::Text }, held: String::new() }
    }

    /// The answer begins in the middle of thinking: the prompt itself opened it.
    #[must_use]
    pub fn inside() -> Self {
        let [(_, close), ..] = TAGS;
        Self { at: At::Inside(close), held: String::new() }
    }

    /// Adds text; what can be told apart by now goes to `out`.
    pub fn push(&mut self, text: &str, out: &mut impl FnMut(DeltaKind, &str)) {
        if matches!(self.at, At::Text) && self.held.is_empty() {
            if !text.is_empty() {
                out(DeltaKind::Text, text);
            }
            return;
        }
        self.held.push_str(text);
        loop {
            match self.at {
                At::Start => {
                    let seen = self.held.trim_start();
                    if self.held.len() - seen.len() > MAX_HELD {
                        self.at = At::Text;
                    } else if let Some((open, close)) = TAGS.into_iter().find(|(open, _)| seen.starts_with(open)) {
                        self.held = seen[open.len()..].to_owned();
                        self.at = At::Inside(close);
                    } else if TAGS.iter().any(|(open, _)| open.starts_with(seen)) {
                        return;
                    } else {
                        self.at = At::Text;
                    }
                }
                At::Inside(close) => {
                    if let Some(end) = self.held.find(close) {
                        if end > 0 {
                            out(DeltaKind::Thinking, &self.held[..end]);
                        }
                        self.held.drain(..end + close.len());
                        self.at = At::After;
                    } else {
                        let keep = partial(&self.held, close);
                        let end = self.held.len() - keep;
                        if end > 0 {
                            out(DeltaKind::Thinking, &self.held[..end]);
                            self.held.drain(..end);
                        }
                        return;
                    }
                }
                At::After => {
                    let rest = self.held.trim_start().len();
                    self.held.drain(..self.held.len() - rest);
                    if self.held.is_empty() {
                        return;
                    }
                    self.at = At::Text;
                }
                At::Text => {
                    if !self.held.is_empty() {
                        out(DeltaKind::Text, &self.held);
                        self.held.clear();
                    }
                    return;
                }
            }
        }
    }

    /// The text has ended: what was held back comes out as what it turned out to be.
    pub fn end(&mut self, out: &mut impl FnMut(DeltaKind, &str)) {
        let held = std::mem::take(&mut self.held);
        let kind = if matches!(self.at, At::Inside(_)) { DeltaKind::Thinking } else { DeltaKind::Text };
        if !held.is_empty() {
            out(kind, &held);
        }
    }
}

/// How many bytes at the end of `text` begin `tag`.
fn partial(text: &str, tag: &str) -> usize {
    (1..tag.len()).rev().find(|n| text.ends_with(&tag[..*n])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(pieces: &[&str]) -> (String, String) {
        let (mut thinking, mut text) = (String::new(), String::new());
        let mut think = Think::new(true);
        let mut out = |kind: DeltaKind, piece: &str| match kind {
            DeltaKind::Thinking => thinking.push_str(piece),
            DeltaKind::Text => text.push_str(piece),
        };
        for piece in pieces {
            think.push(piece, &mut out);
        }
        think.end(&mut out);
        (thinking, text)
    }

    #[test]
    fn tells_thinking_from_text_wherever_it_is_cut() {
        let whole = "\n<think>\nTwo < three </thin king </think>\n\nIt is <think>four</think>. ü";
        let expected = ("\nTwo < three </thin king ".to_owned(), "It is <think>four</think>. ü".to_owned());
        assert_eq!(split(&[whole]), expected);
        for at in (0..whole.len()).filter(|at| whole.is_char_boundary(*at)) {
            assert_eq!(split(&[&whole[..at], &whole[at..]]), expected, "cut at {at}");
        }
        let letters: Vec<String> = whole.chars().map(String::from).collect();
        assert_eq!(split(&letters.iter().map(String::as_str).collect::<Vec<_>>()), expected);
    }

    #[test]
    fn what_only_looks_like_a_tag_is_text() {
        assert_eq!(split(&["<th", "e> answer"]), (String::new(), "<the> answer".into()));
        assert_eq!(split(&["\n\n", "Hi"]), (String::new(), "\n\nHi".into()));
        assert_eq!(split(&["<think"]), (String::new(), "<think".into()));
        assert_eq!(split(&["<think>never ends </th"]), ("never ends </th".into(), String::new()));
    }

    #[test]
    fn a_continued_answer_has_no_tags() {
        let mut think = Think::new(false);
        let mut text = String::new();
        think.push("<think>x</think>", &mut |kind, piece| {
            assert_eq!(kind, DeltaKind::Text);
            text.push_str(piece);
        });
        assert_eq!(text, "<think>x</think>");
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(pieces in proptest::collection::vec("(<think>|</think>|<|>|th|ink|/| |\n|a|é){0,6}", 0..8)) {
            let whole = pieces.concat();
            prop_assert_eq!(split(&pieces.iter().map(String::as_str).collect::<Vec<_>>()), split(&[&whole]));
        }
    }
}
