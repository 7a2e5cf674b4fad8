//! What was written to models before, over all conversations, to bring one back.

use crate::tui::model::Model;
use crate::tui::overlay::prompts::Prompts;

/// `:history`, with what is looked for when that is known.
pub fn open(model: &mut Model, text: Option<&String>) {
    if model.refuse_offline() {
        return;
    }
    let (overlay, query) = Prompts::new(text.map_or("", String::as_str));
    model.push_overlay(Box::new(overlay));
    crate::tui::perform::intent(model, query);
}
