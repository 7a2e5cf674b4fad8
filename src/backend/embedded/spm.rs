//! SentencePiece vocabularies: merges by score, bytes where nothing fits.
//!
//! Owns: the greedy merge of llama.cpp's `llm_tokenizer_spm` (MIT): of all neighbours that together are a token the pair of the
//! highest score is merged, the leftmost first. Refuses: special tokens (`tokenizer`). Invariant: decoding what was encoded gives
//! the text back, but for a leading space that the family adds.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

use super::tokenizer::Token;

/// What stands for a space in the vocabulary.
const SPACE: &str = "\u{2581}";

/// A vocabulary with scores.
pub struct Spm {
    ids: HashMap<Box<str>, Token>,
    scores: Vec<f32>,
    /// The token of each byte, where there is one.
    bytes: Vec<Option<Token>>,
    unknown: Option<Token>,
}

/// A piece of the text, linked to its neighbours; an empty piece was merged into its left one.
struct Symbol {
    start: usize,
    end: usize,
    left: Option<usize>,
    right: Option<usize>,
}

/// Two neighbours that together are a token.
struct Pair {
    score: f32,
    left: usize,
    right: usize,
    /// Length of both when the pair was found: a pair of which one side has changed since is stale.
    length: usize,
}

impl PartialEq for Pair {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Pair {}
impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Pair {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(other.left.cmp(&self.left))
    }
}

impl Spm {
    /// `texts` and `scores` are of one length.
    #[must_use]
    pub fn new(texts: &[String], scores: &[f32], unknown: Option<usize>) -> Self {
        let mut ids = HashMap::with_capacity(texts.len());
        for (id, text) in (0..).zip(texts) {
            ids.insert(Box::from(text.as_str()), id);
        }
        let bytes = (0..=255u8).map(|b| ids.get(format!("<0x{b:02X}>").as_str()).copied()).collect();
        Self { ids, scores: scores.to_vec(), bytes, unknown: unknown.and_then(|id| Token::try_from(id).ok()) }
    }

    /// Appends the tokens of a text without special tokens.
    pub fn encode(&self, text: &str, space_first: bool, out: &mut Vec<Token>) {
        let mut text = text.replace(' ', SPACE);
        if space_first {
            text.insert_str(0, SPACE);
        }
        let mut symbols: Vec<Symbol> = Vec::new();
        for (start, c) in text.char_indices() {
            let at = symbols.len();
            symbols.push(Symbol { start, end: start + c.len_utf8(), left: at.checked_sub(1), right: Some(at + 1) });
        }
        if let Some(last) = symbols.last_mut() {
            last.right = None;
        }
        let mut pairs = BinaryHeap::new();
        for right in 1..symbols.len() {
            self.consider(&text, &symbols, right - 1, right, &mut pairs);
        }
        while let Some(pair) = pairs.pop() {
            let (Some(left), Some(right)) = (symbols.get(pair.left), symbols.get(pair.right)) else { continue };
            let (l, r) = (left.end - left.start, right.end - right.start);
            if l == 0 || r == 0 || l + r != pair.length {
                continue;
            }
            let (end, next, before) = (right.end, right.right, left.left);
            if let Some(right) = symbols.get_mut(pair.right) {
                right.end = right.start;
            }
            if let Some(left) = symbols.get_mut(pair.left) {
                left.end = end;
                left.right = next;
            }
            if let Some(next) = next {
                if let Some(symbol) = symbols.get_mut(next) {
                    symbol.left = Some(pair.left);
                }
                self.consider(&text, &symbols, pair.left, next, &mut pairs);
            }
            if let Some(before) = before {
                self.consider(&text, &symbols, before, pair.left, &mut pairs);
            }
        }
        let mut at = (!symbols.is_empty()).then_some(0);
        while let Some(symbol) = at.and_then(|at| symbols.get(at)) {
            if let Some(piece) = text.get(symbol.start..symbol.end) {
                self.emit(piece, out);
            }
            at = symbol.right;
        }
    }

    fn consider(&self, text: &str, symbols: &[Symbol], left: usize, right: usize, pairs: &mut BinaryHeap<Pair>) {
        let (Some(a), Some(b)) = (symbols.get(left), symbols.get(right)) else { return };
        let Some(id) = text.get(a.start..b.end).and_then(|both| self.ids.get(both)) else { return };
        let score = self.scores.get(*id as usize).copied().unwrap_or(f32::NEG_INFINITY);
        pairs.push(Pair { score, left, right, length: b.end - a.start });
    }

    fn emit(&self, piece: &str, out: &mut Vec<Token>) {
        if let Some(id) = self.ids.get(piece) {
            out.push(*id);
            return;
        }
        for byte in piece.bytes() {
            out.extend(self.bytes.get(usize::from(byte)).copied().flatten().or(self.unknown));
        }
    }
}
