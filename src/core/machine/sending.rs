//! What may be sent: who speaks in a message, and whether the model can read what goes with it.

use super::Machine;
use crate::core::{Doc, names, prompt};
use crate::error::{Error, Kind, Result, harmless, quoted};
use crate::proto::{Content, ModelRef, ModelState, NodeId, Part, Role};

/// Who speaks: the person, or what came of tools when nothing else stands in the message. Results answer calls of the message above.
pub(super) fn speaker(doc: &Doc, parent: Option<NodeId>, content: &Content) -> Result<Role> {
    let above = parent.and_then(|id| doc.content(id)).map(Vec::as_slice).unwrap_or_default();
    let called = |wanted: &str| above.iter().any(|part| matches!(part, Part::ToolCall { id, .. } if id == wanted));
    let mut results = 0;
    for part in content {
        if let Part::ToolResult { id, .. } = part {
            if !called(id) {
                return Err(Error::new(Kind::Usage, format!("The message above calls no tool as {}.", quoted(id)))
                    .hint("A result goes under the answer that called the tool."));
            }
            results += 1;
        }
    }
    Ok(if results > 0 && results == content.len() { Role::Tool } else { Role::User })
}

impl Machine {
    /// Refuses pictures for a model that is known not to see: it would answer as if there were none.
    pub(super) fn can_read(&self, model: &ModelRef, messages: &[prompt::Message]) -> Result<()> {
        let blind = self.replica.model(model).is_some_and(|info| names::sees(info) == Some(false));
        let Some(picture) = messages.iter().flat_map(prompt::Message::pictures).next().filter(|_| blind) else { return Ok(()) };
        let (name, model) = (quoted(&picture.name), quoted(&model.to_string()));
        let seeing = self.replica.models.iter().filter(|info| names::sees(info) == Some(true));
        let best = seeing.min_by_key(|info| !matches!(info.state, ModelState::Loaded | ModelState::Sleeping));
        let error = Error::new(Kind::Unsupported, format!("{model} cannot see pictures, and {name} would be sent to it."));
        Err(match best {
            Some(info) => error.hint(format!("Choose a model that sees, such as {}.", harmless(&info.reference().to_string()))),
            None => error.hint("No model that is known to see is there: get one with vision, or branch off before the picture."),
        })
    }
}
