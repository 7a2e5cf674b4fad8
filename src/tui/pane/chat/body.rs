//! A message's text as documents that follow the replica, and how many rows each takes.
//!
//! Owns: one [`Document`] per part. Refuses: scrolling. Invariant: syncing costs what is new, and pushing the same state twice changes
//! nothing, so nobody has to say what changed.

use crate::proto::{Content, Part};
use crate::tui::text::Document;

/// What a part is drawn as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Thinking,
    /// Tool traffic, images, files: one line each.
    Note,
}

#[derive(Debug)]
pub struct Piece {
    pub kind: Kind,
    pub document: Document,
    /// Bytes of the part that were pushed.
    pushed: usize,
    finished: bool,
}

/// The documents of one message.
#[derive(Debug, Default)]
pub struct Body {
    pub pieces: Vec<Piece>,
}

impl Body {
    /// Takes over what the content has more than this. Returns the documents that are of no use any more.
    pub fn sync(&mut self, content: &Content, plain: bool, running: bool) -> Vec<crate::tui::text::DocumentId> {
        let mut stale = Vec::new();
        for (i, part) in content.iter().enumerate() {
            let (kind, text) = match part {
                Part::Text { text } => (Kind::Text, text.as_str()),
                Part::Thinking { text } => (Kind::Thinking, text.as_str()),
                _ => (Kind::Note, ""),
            };
            let fits = self
                .pieces
                .get(i)
                .is_some_and(|p| p.kind == kind && p.pushed <= text.len() && (p.pushed == text.len() || text.is_char_boundary(p.pushed)));
            if !fits {
                stale.extend(self.pieces.drain(i.min(self.pieces.len())..).map(|p| p.document.id()));
                let document = if plain || kind == Kind::Note { Document::plain() } else { Document::new() };
                self.pieces.push(Piece { kind, document, pushed: 0, finished: false });
                if kind == Kind::Note {
                    self.pieces[i].document.push(&note(part));
                }
            }
            let last = i + 1 == content.len();
            let piece = &mut self.pieces[i];
            if piece.pushed < text.len() {
                piece.document.push(&text[piece.pushed..]);
                piece.pushed = text.len();
                piece.finished = false;
            }
            if !(piece.finished || running && last) {
                piece.document.finish();
                piece.finished = true;
            }
        }
        stale.extend(self.pieces.drain(content.len().min(self.pieces.len())..).map(|p| p.document.id()));
        stale
    }
}

/// What is shown of a part that is no text.
fn note(part: &Part) -> String {
    match part {
        Part::ToolCall { name, arguments, .. } => format!("▸ tool call: {name} {arguments}"),
        Part::ToolResult { content, .. } => format!("◂ tool result: {content}"),
        Part::Image { name, .. } => format!("[image {name}]"),
        Part::File { name, .. } => format!("[file {name}]"),
        Part::Text { .. } | Part::Thinking { .. } => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Part {
        Part::Text { text: text.into() }
    }

    fn thinking(text: &str) -> Part {
        Part::Thinking { text: text.into() }
    }

    #[test]
    fn it_grows_with_the_content_and_keeps_its_documents() {
        let mut body = Body::default();
        body.sync(&vec![thinking("hm")], false, true);
        let id = body.pieces[0].document.id();
        body.sync(&vec![thinking("hmm")], false, true);
        body.sync(&vec![thinking("hmm"), text("# An")], false, true);
        body.sync(&vec![thinking("hmm"), text("# Answer")], false, true);
        body.sync(&vec![thinking("hmm"), text("# Answer")], false, false);
        assert_eq!(body.pieces.len(), 2);
        assert_eq!(body.pieces[0].document.id(), id);
        assert_eq!(body.pieces[1].document.text(), "# Answer");
    }

    #[test]
    fn another_content_begins_anew() {
        let mut body = Body::default();
        body.sync(&vec![text("long text"), text("more")], false, false);
        let stale = body.sync(&vec![text("short")], false, false);
        assert_eq!(stale.len(), 2);
        assert_eq!(body.pieces.len(), 1);
        assert_eq!(body.pieces[0].document.text(), "short");
    }
}
