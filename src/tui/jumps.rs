//! Where one was, to go back there and forth again: conversations, each with the message that was looked at.
//!
//! Invariant: a place stands in the list once; going back does not forget where one came from.

use crate::proto::{ConversationId, NodeId};

/// More than anyone goes back.
const MOST: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// `None`: the one that begins with the next message.
    pub conversation: Option<ConversationId>,
    pub node: Option<NodeId>,
}

#[derive(Debug, Default)]
pub struct Jumps {
    /// Oldest first.
    places: Vec<Place>,
    /// Where one is in it; its length: past the end.
    at: usize,
}

impl Jumps {
    /// One leaves this place for another.
    pub fn leave(&mut self, here: Place) {
        self.places.retain(|place| *place != here);
        self.places.push(here);
        let over = self.places.len().saturating_sub(MOST);
        self.places.drain(..over);
        self.at = self.places.len();
    }

    /// The place before this one.
    pub fn back(&mut self, here: Option<Place>) -> Option<Place> {
        let mut at = self.at;
        if at == self.places.len()
            && let Some(here) = here
        {
            self.leave(here);
            at = self.places.len() - 1;
        }
        self.at = at.checked_sub(1)?;
        self.places.get(self.at).copied()
    }

    /// The place after it, that one came back from.
    pub fn forward(&mut self) -> Option<Place> {
        let place = self.places.get(self.at + 1).copied()?;
        self.at += 1;
        Some(place)
    }

    /// A conversation is gone.
    pub fn forget(&mut self, conversation: ConversationId) {
        let before = self.places[..self.at.min(self.places.len())].iter().filter(|place| place.conversation == Some(conversation)).count();
        self.places.retain(|place| place.conversation != Some(conversation));
        self.at -= before.min(self.at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::fixture::conversation;

    fn place(n: u128) -> Place {
        Place { conversation: Some(conversation(n)), node: None }
    }

    #[test]
    fn back_and_forth() {
        let mut jumps = Jumps::default();
        assert_eq!((jumps.back(None), jumps.forward()), (None, None));
        jumps.leave(place(1));
        jumps.leave(place(2));
        assert_eq!(jumps.back(Some(place(3))), Some(place(2)));
        assert_eq!(jumps.back(Some(place(2))), Some(place(1)));
        assert_eq!(jumps.back(Some(place(1))), None);
        assert_eq!(jumps.forward(), Some(place(2)));
        assert_eq!(jumps.forward(), Some(place(3)));
        assert_eq!(jumps.forward(), None);
        jumps.forget(conversation(2));
        assert_eq!(jumps.back(Some(place(3))), Some(place(1)));
    }
}
