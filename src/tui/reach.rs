//! What a search in one conversation found at the host: in branches that are not shown and content that is not at hand.
//!
//! Owns: the hits and of what they are. Refuses: asking. Invariant: one question is under way at most; hits are of a text in a
//! conversation with so many messages, and of no other.

use crate::proto::{ConversationId, NodeId};

/// Hits that are asked for.
pub const MOST: u32 = 1_000;
/// Messages whose content is asked for at once.
pub const FETCHED: usize = 200;

/// What was looked for, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Of {
    pub conversation: ConversationId,
    pub needle: String,
    /// Messages that the conversation had.
    pub nodes: usize,
}

#[derive(Debug, Default)]
pub struct Reach {
    found: Option<(Of, Vec<NodeId>)>,
    asked: Option<Of>,
    /// What to do when the answer is here.
    pub step: Option<(crate::tui::pane::Seek, usize)>,
    /// Content was asked for, in which hits are.
    pub fetching: bool,
    /// A hit that is opened is to be brought into view.
    pub again: bool,
}

impl Reach {
    /// The hits, in the order of the conversation, when they are here.
    #[must_use]
    pub fn hits(&self, of: &Of) -> Option<&[NodeId]> {
        self.found.as_ref().filter(|(found, _)| found == of).map(|(_, hits)| hits.as_slice())
    }

    /// It is to be asked for. False: a question is under way already; when its answer is here, the newest text is looked for again.
    pub fn ask(&mut self, of: &Of) -> bool {
        if self.asked.is_some() {
            return false;
        }
        self.asked = Some(of.clone());
        true
    }

    pub fn take(&mut self, of: Of, hits: Vec<NodeId>) {
        self.asked = None;
        self.found = Some((of, hits));
    }
}
