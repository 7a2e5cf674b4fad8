//! Keys and values of the tokens that a model has read.
//!
//! Invariant: every layer holds exactly [`Cache::len`] positions between two passes, and `tokens` says which; cutting back is
//! exact, because positions are never moved.

use super::shape::Shape;
use super::tokenizer::Token;

/// Keys and values of one layer: for each shared head one run of positions.
pub struct LayerCache {
    pub keys: Vec<Vec<f32>>,
    pub values: Vec<Vec<f32>>,
}

/// The memory of one conversation.
pub struct Cache {
    layers: Vec<LayerCache>,
    head: usize,
    tokens: Vec<Token>,
}

impl Cache {
    #[must_use]
    pub fn new(shape: &Shape) -> Self {
        let layer = || LayerCache { keys: vec![Vec::new(); shape.kv_heads], values: vec![Vec::new(); shape.kv_heads] };
        Self { layers: (0..shape.layers).map(|_| layer()).collect(), head: shape.head, tokens: Vec::new() }
    }

    /// How many positions are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// What it takes in memory, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let numbers: usize = self.layers.iter().flat_map(|l| l.keys.iter().chain(&l.values)).map(Vec::capacity).sum();
        (numbers * size_of::<f32>()) as u64
    }

    /// How many tokens at the start are the same.
    #[must_use]
    pub fn common(&self, tokens: &[Token]) -> usize {
        self.tokens.iter().zip(tokens).take_while(|(a, b)| a == b).count()
    }

    /// Forgets everything from position `length` on; also what a pass that failed had half written.
    pub fn truncate(&mut self, length: usize) {
        self.tokens.truncate(length);
        let numbers = self.tokens.len() * self.head;
        for layer in &mut self.layers {
            layer.keys.iter_mut().chain(&mut layer.values).for_each(|run| run.truncate(numbers));
        }
    }

    /// Takes over the first `length` positions of another conversation.
    pub fn copy_prefix(&mut self, other: &Self, length: usize) {
        let length = length.min(other.len());
        let numbers = length * self.head;
        for (mine, theirs) in self.layers.iter_mut().zip(&other.layers) {
            let runs = mine.keys.iter_mut().chain(&mut mine.values).zip(theirs.keys.iter().chain(&theirs.values));
            for (mine, theirs) in runs {
                mine.clear();
                mine.extend_from_slice(theirs.get(..numbers).unwrap_or_default());
            }
        }
        self.tokens.clear();
        self.tokens.extend_from_slice(other.tokens.get(..length).unwrap_or_default());
    }

    /// Adds rows of keys and values (all shared heads of a token side by side) to one layer.
    pub fn append(&mut self, layer: usize, keys: &[f32], values: &[f32]) {
        let Some(layer) = self.layers.get_mut(layer) else { return };
        for (runs, rows) in [(&mut layer.keys, keys), (&mut layer.values, values)] {
            for row in rows.chunks_exact(runs.len() * self.head) {
                for (run, head) in runs.iter_mut().zip(row.chunks_exact(self.head)) {
                    run.extend_from_slice(head);
                }
            }
        }
    }

    /// All layers of these tokens have been appended.
    pub fn advance(&mut self, tokens: &[Token]) {
        self.tokens.extend_from_slice(tokens);
    }

    #[must_use]
    pub fn layer(&self, at: usize) -> Option<&LayerCache> {
        self.layers.get(at)
    }
}
