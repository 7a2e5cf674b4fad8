//! How many tokens a text is, without a tokenizer.
//!
//! An estimate, always marked `~`: English prose in byte-pair vocabularies of 32k–150k entries runs at about 4.2 bytes a token, code
//! and digits at about 3, CJK at about one token a character. A conversation's own measured prompts replace it where there are some (`prompt`).

use crate::proto::{Part, content_text};

/// Tokens that a chat template adds around each message (role markers, separators).
pub const PER_MESSAGE: u32 = 5;

/// Tokens around an attached text: its name and its fences.
pub const PER_FILE: u32 = 12;

/// Pixels of a picture's longer side that are sent at most; no model is known to see more.
pub const LONGEST_SIDE: u32 = 1568;

/// Tokens of a picture of so many pixels, which are sent scaled. Models differ widely: this is how Anthropic counts, others stay below.
#[must_use]
pub fn picture(width: u32, height: u32) -> u32 {
    let (long, short) = (u64::from(width.max(height)).max(1), u64::from(width.min(height)));
    let most = u64::from(LONGEST_SIDE);
    let (long, short) = if long > most { (most, short * most / long) } else { (long, short) };
    u32::try_from((long * short).div_ceil(750)).unwrap_or(u32::MAX).clamp(1, 1600)
}

/// Tokens of a text, estimated.
#[must_use]
pub fn text(text: &str) -> u32 {
    let mut quarters: u64 = 0;
    for c in text.chars() {
        quarters += match c {
            'a'..='z' | 'A'..='Z' => 10,
            ' ' => 4,
            '0'..='9' => 25,
            '\n' => 20,
            c if c.is_ascii() => 28,
            c if (0x2E80..=0x9FFF).contains(&(c as u32)) || (0xAC00..=0xD7AF).contains(&(c as u32)) || (c as u32) >= 0x1_0000 => 50,
            _ => 25,
        };
    }
    u32::try_from(quarters.div_ceil(50)).unwrap_or(u32::MAX)
}

/// Tokens that a message adds to a prompt: its text, attachments and tool traffic, not its thinking.
#[must_use]
pub fn content(parts: &[Part]) -> u32 {
    let mut tokens = PER_MESSAGE + text(&content_text(parts));
    for part in parts {
        match part {
            Part::ToolCall { name, arguments, .. } => tokens += text(name) + text(arguments),
            Part::ToolResult { content, .. } => tokens += text(content),
            Part::Image { facts, .. } | Part::File { facts, .. } => tokens = tokens.saturating_add(facts.tokens),
            Part::Text { .. } | Part::Thinking { .. } => {}
        }
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_within_a_third_of_what_real_servers_counted() {
        // Left: text; right: tokens as llama-server counted them for SmolLM2 (49k vocabulary).
        let cases: [(&str, u32); 3] = [
            ("Once upon a time there was a small village at the edge of the forest.", 15),
            ("fn main() { println!(\"hello\"); }", 11),
            ("The quick brown fox jumps over the lazy dog.", 10),
        ];
        for (sample, counted) in cases {
            let guess = text(sample);
            assert!(guess.abs_diff(counted) * 3 <= counted.max(guess), "{sample}: {guess} for {counted}");
        }
    }

    #[test]
    fn pictures_count_by_what_is_sent_of_them() {
        let counted: Vec<u32> = [(1, 1), (750, 100), (1568, 1568), (8000, 6000), (6000, 8), (0, 0)].map(|(w, h)| picture(w, h)).into();
        assert_eq!(counted, [1, 100, 1600, 1600, 5, 1]);
    }

    #[test]
    fn nothing_is_nothing() {
        assert_eq!(text(""), 0);
        assert_eq!(content(&[]), PER_MESSAGE);
    }
}
