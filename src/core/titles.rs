//! Titles that a model writes: what it is asked, and what is made of its answer.
//!
//! Invariant: a title is one harmless line of at most [`LONGEST`] characters with a letter or digit in it, or there is none.

use super::Doc;
use super::prompt::Message;
use crate::proto::{Content, Role, State, content_text};

/// Longest title, in characters: what lists have room for.
const LONGEST: usize = 60;
/// What of a message a title needs to know, in characters: it must cost little.
const EXCERPT: usize = 1_200;

/// The first prompt of a conversation and an answer to it that came to its end: what a title is made from.
#[must_use]
pub fn subject(doc: &Doc) -> Option<(crate::proto::NodeId, crate::proto::NodeId)> {
    let path = doc.path(doc.default_leaf()?);
    let user = path.iter().copied().find(|id| doc.node(*id).is_some_and(|node| node.role == Role::User))?;
    let answered = |id: &crate::proto::NodeId| {
        doc.node(*id).is_some_and(|node| node.role == Role::Assistant && node.state == State::Done && node.bytes > 0)
    };
    Some((user, path.iter().copied().find(answered)?))
}

/// What a model is asked.
#[must_use]
pub fn messages(prompt: &Content, answer: &Content) -> Vec<Message> {
    let excerpt = |content: &Content| content_text(content).chars().take(EXCERPT).collect::<String>();
    let text = format!(
        "Give this conversation a title of two to six words, in its own language. Answer with the title only.\n\n\
         --- Question ---\n{}\n\n--- Answer ---\n{}\n\n--- End ---\nTitle:",
        excerpt(prompt),
        excerpt(answer)
    );
    vec![Message::new(Role::User, text)]
}

/// The title in what a model answered.
#[must_use]
pub fn clean(answer: &str) -> Option<String> {
    let line = answer.lines().map(bare).find(|line| line.chars().any(char::is_alphanumeric))?;
    let harmless = |c: &char| {
        !c.is_control() && !matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
    };
    let kept: String = line.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(harmless).collect();
    let words: Vec<&str> = kept.split_whitespace().collect();
    let mut title = words.join(" ");
    if title.chars().count() > LONGEST {
        let cut: String = title.chars().take(LONGEST - 1).collect();
        let end = cut.rfind(' ').filter(|at| *at * 2 > cut.len()).unwrap_or(cut.len());
        title = format!("{}…", cut[..end].trim_end());
    }
    title.chars().any(char::is_alphanumeric).then_some(title)
}

/// A line without what models put around titles: marks, quotes, the word `Title:`, a full stop.
fn bare(line: &str) -> &str {
    let around = |c: char| c.is_whitespace() || "\"'`*#_“”„‟‘’«»「」『』<>".contains(c);
    let mut line = line.trim_matches(around);
    if let Some(head) = line.get(..6)
        && head.eq_ignore_ascii_case("title:")
    {
        line = line[6..].trim_matches(around);
    }
    line.strip_suffix('.').unwrap_or(line).trim_matches(around)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_models_put_around_titles_is_taken_away() {
        for (said, title) in [
            ("Sorting in Rust", "Sorting in Rust"),
            ("\n  **\"Sorting in Rust.\"**\nHere is why", "Sorting in Rust"),
            ("Title: `Sorting` in Rust", "Sorting` in Rust"),
            ("TITLE: „Schöne Grüße“", "Schöne Grüße"),
            ("# 排序算法", "排序算法"),
            ("---\nAfter a rule", "After a rule"),
            ("a\tb\u{202E}c\u{7}d", "a bcd"),
        ] {
            assert_eq!(clean(said).as_deref(), Some(title), "{said:?}");
        }
        for nothing in ["", "\n\n", "\"\"", "…", "\u{1b}[2J".trim_matches('J').trim_matches('2')] {
            assert_eq!(clean(nothing), None, "{nothing:?}");
        }
        assert_eq!(clean("\u{1b}]0;evil\u{7}").as_deref(), Some("]0;evil"), "no escape comes through");
        let long = clean(&"many words ".repeat(40)).unwrap();
        assert!(long.chars().count() <= LONGEST && long.ends_with("words…"), "{long}");
        assert_eq!(clean(&"字".repeat(200)).unwrap().chars().count(), LONGEST);
    }
}
