//! A message's text as documents that follow the replica, and how many rows each takes.
//!
//! Owns: one [`Document`] per part. Refuses: scrolling. Invariant: syncing costs what is new, and pushing the same state twice changes
//! nothing, so nobody has to say what changed.

use crate::proto::{Content, Part};
use crate::sanitise;
use crate::tui::format;
use crate::tui::text::Document;
use crate::tui::text::width::drawable;

/// What a part is drawn as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Thinking,
    /// A tool that is called for: its arguments.
    Call,
    /// What a tool gave back.
    Result,
    /// A picture or a file: one line.
    Attached,
}

impl Kind {
    /// What a label stands for; folded, its text is not shown, or not all of it.
    pub fn folds(self) -> bool {
        matches!(self, Self::Thinking | Self::Call | Self::Result)
    }
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
                Part::ToolCall { .. } => (Kind::Call, ""),
                Part::ToolResult { content, .. } => (Kind::Result, content.as_str()),
                Part::Image { .. } | Part::File { .. } => (Kind::Attached, ""),
            };
            let fits = self
                .pieces
                .get(i)
                .is_some_and(|p| p.kind == kind && p.pushed <= text.len() && (p.pushed == text.len() || text.is_char_boundary(p.pushed)));
            if !fits {
                stale.extend(self.pieces.drain(i.min(self.pieces.len())..).map(|p| p.document.id()));
                let markdown = !plain && matches!(kind, Kind::Text | Kind::Thinking);
                let document = if markdown { Document::new() } else { Document::plain() };
                self.pieces.push(Piece { kind, document, pushed: 0, finished: false });
                if let Part::ToolCall { arguments, .. } = part {
                    self.pieces[i].document.push(&pretty(arguments));
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

/// Longer arguments are shown as they came: laying them out is for reading, and nobody reads so much.
const PRETTY: usize = 256 * 1024;

/// The arguments of a call for reading: laid out where they are JSON, else as they came.
fn pretty(arguments: &str) -> String {
    if arguments.len() > PRETTY {
        return arguments.to_owned();
    }
    let value: Option<serde_json::Value> = serde_json::from_str(arguments).ok();
    value.and_then(|value| serde_json::to_string_pretty(&value).ok()).unwrap_or_else(|| arguments.to_owned())
}

/// What stands for a part that is no text: a picture, a file, a call, a result.
pub fn label(part: &Part, name_of: impl Fn(&str) -> Option<String>) -> String {
    let short = |text: &str, limit: usize| drawable(&sanitise::cut(text, limit)).into_owned();
    match part {
        Part::ToolCall { name, arguments, .. } => {
            let arguments = if matches!(arguments.trim(), "" | "{}") { String::new() } else { format!("  {}", short(arguments, 200)) };
            format!("▸ {}{arguments}", short(name, 48))
        }
        Part::ToolResult { id, .. } => {
            let name = name_of(id).map_or_else(|| "a tool".to_owned(), |name| short(&name, 48));
            format!("◂ result of {name}")
        }
        Part::Image { name, facts, .. } => {
            let size = if facts.width > 0 { format!("{}×{}", facts.width, facts.height) } else { format::bytes(facts.bytes) };
            format!("▣ {}  {size}", short(name, 64))
        }
        Part::File { name, facts, .. } => format!("▤ {}  {}", short(name, 64), format::bytes(facts.bytes)),
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
