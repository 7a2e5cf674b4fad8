//! Choosing the next token.
//!
//! Owns: the chain repeat penalty → top-k → top-p → min-p → temperature, in llama.cpp's order. Refuses: what a token means.
//! Invariant: with one seed and one row of logits the choice is the same on every machine that computes the same logits; NaN is
//! never chosen.

use std::collections::{HashSet, VecDeque};

use super::tokenizer::Token;
use crate::proto::Parameters;

/// How far back a repetition counts unless `repeat_last_n` says otherwise, in tokens.
const REPEAT_WINDOW: usize = 64;

/// Settings of one answer, with llama.cpp's defaults.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    pub temperature: f32,
    pub top_k: usize,
    pub top_p: f32,
    pub min_p: f32,
    pub repeat_penalty: f32,
    /// How far back it looks, in tokens; `usize::MAX` is the whole context.
    pub repeat_last_n: usize,
    pub seed: u64,
}

impl Settings {
    /// Reads what was set; `fresh` seeds what was not.
    #[must_use]
    pub fn from_parameters(parameters: &Parameters, fresh: u64) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "settings of two or three digits")]
        let number = |key: &str, default: f32| parameters.number(key).filter(|x| x.is_finite()).map_or(default, |x| x as f32);
        Self {
            temperature: number("temperature", 0.8),
            top_k: parameters.integer("top_k").and_then(|k| usize::try_from(k).ok()).unwrap_or(40),
            top_p: number("top_p", 0.95),
            min_p: number("min_p", 0.05),
            repeat_penalty: number("repeat_penalty", 1.0),
            // -1 is all of it.
            repeat_last_n: parameters.integer("repeat_last_n").map_or(REPEAT_WINDOW, |n| usize::try_from(n).unwrap_or(usize::MAX)),
            seed: parameters.integer("seed").and_then(|s| u64::try_from(s).ok()).unwrap_or(fresh),
        }
    }
}

/// Chooses tokens for one answer.
pub struct Sampler {
    settings: Settings,
    state: u64,
    recent: VecDeque<Token>,
    candidates: Vec<(f32, Token)>,
}

impl Sampler {
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings, state: settings.seed, recent: VecDeque::new(), candidates: Vec::new() }
    }

    /// Takes note of a token that now stands in the text.
    pub fn accept(&mut self, token: Token) {
        if self.settings.repeat_penalty != 1.0 && self.settings.repeat_last_n > 0 {
            if self.recent.len() == self.settings.repeat_last_n {
                self.recent.pop_front();
            }
            self.recent.push_back(token);
        }
    }

    /// Chooses from a row of logits, which it may change. `None` when there is no finite one.
    pub fn choose(&mut self, logits: &mut [f32]) -> Option<Token> {
        if self.settings.repeat_penalty != 1.0 && self.settings.repeat_penalty > 0.0 {
            for token in self.recent.iter().collect::<HashSet<_>>() {
                if let Some(logit) = logits.get_mut(*token as usize) {
                    *logit = if *logit > 0.0 { *logit / self.settings.repeat_penalty } else { *logit * self.settings.repeat_penalty };
                }
            }
        }
        if self.settings.temperature <= 0.0 {
            return (0..)
                .zip(logits.iter())
                .filter(|(_, l)| !l.is_nan())
                .max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(&a.0)))
                .map(|(id, _)| id);
        }
        let Settings { temperature, top_k, top_p, min_p, .. } = self.settings;
        let all = &mut self.candidates;
        all.clear();
        all.extend(logits.iter().copied().zip(0..).filter(|(l, _)| l.is_finite()));
        let likelier = |a: &(f32, Token), b: &(f32, Token)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        if top_k > 0 && top_k < all.len() {
            all.select_nth_unstable_by(top_k, likelier);
            all.truncate(top_k);
        }
        all.sort_unstable_by(likelier);
        let best = all.first()?.0;
        if top_p < 1.0 {
            let total: f32 = all.iter().map(|(l, _)| (l - best).exp()).sum();
            let mut sum = 0.0;
            let keep = all.iter().position(|(l, _)| {
                sum += (l - best).exp() / total;
                sum >= top_p
            });
            if let Some(last) = keep {
                all.truncate(last + 1);
            }
        }
        if min_p > 0.0 {
            let least = best + min_p.ln();
            let keep = all.iter().position(|(l, _)| *l < least).unwrap_or(all.len());
            all.truncate(keep.max(1));
        }
        let weights: f32 = all.iter().map(|(l, _)| ((l - best) / temperature).exp()).sum();
        let mut left = unit(&mut self.state) * weights;
        for (l, id) in all.iter() {
            left -= ((l - best) / temperature).exp();
            if left < 0.0 {
                return Some(*id);
            }
        }
        all.first().map(|(_, id)| *id)
    }
}

/// The next number of SplitMix64, in [0, 1).
fn unit(state: &mut u64) -> f32 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^= z >> 31;
    #[expect(clippy::cast_precision_loss, reason = "24 bits fit a float exactly")]
    let unit = (z >> 40) as f32 / 16_777_216.0;
    unit
}
