//! Where one talks: models and conversations, the chat with its composer, the tree, the machine's figures.

use super::ScreenInfo;
use crate::tui::layout::Arrangement;
use crate::tui::pane::{chat, composer, conversations, metrics, models, tree};

pub static SCREEN: ScreenInfo = ScreenInfo {
    id: "workspace",
    title: "Workspace",
    panes: &[models::ID, conversations::ID, chat::ID, composer::ID, tree::ID, metrics::ID],
    home: composer::ID,
    arrangement: Arrangement::default,
};
