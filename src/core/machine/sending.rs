//! What may be sent: who speaks in a message, and whether the model can read what goes with it.

use super::Machine;
use crate::core::settings::Effective;
use crate::core::summary::{self, Wanted};
use crate::core::{Doc, names, overflow, prompt};
use crate::error::{Error, Kind, Result, harmless, quoted};
use crate::proto::{Content, LeftOut, ModelRef, ModelState, NodeId, Part, Role};

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

/// What goes out for an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Sendable {
    pub messages: Vec<prompt::Message>,
    /// What is left out because it would not fit.
    pub left_out: Option<LeftOut>,
    /// A summary of that, which has to be written first.
    pub summary: Option<Box<Wanted>>,
}

impl Machine {
    /// What goes out for an answer below `leaf`, and what is left out of it because it would not fit.
    ///
    /// # Errors
    /// [`Kind::ContextExceeded`] when the middle is to be cut and that is not enough.
    pub fn sendable(
        &self,
        doc: &Doc,
        settings: &Effective,
        model: &ModelRef,
        leaf: Option<NodeId>,
        draft: Option<&[Part]>,
    ) -> Result<Sendable> {
        let system = settings.system();
        let info = self.replica.model(model).filter(|_| overflow::cuts(settings));
        let Some((info, room)) = info.and_then(|info| Some((info, overflow::room(info, settings)?))) else {
            return Ok(Sendable { messages: prompt::messages(doc, system, leaf, draft), left_out: None, summary: None });
        };
        let summarises = overflow::summarises(settings);
        let plan = if summarises { overflow::plan_summary } else { overflow::plan };
        let plan = plan(doc, system, leaf, draft.map(overflow::Draft::content), room);
        if !plan.fits {
            let (tokens, context) = (plan.tokens, room.context);
            return Err(Error::new(
                Kind::ContextExceeded,
                format!("The context holds {context} tokens, and what cannot be left out takes ~{tokens}."),
            )
            .hint("The first and the last message are always sent: shorten the prompt, begin a new conversation, or raise `context`."));
        }
        let mut left_out = plan.left_out;
        let Some(first) = left_out.nodes.first().copied() else {
            return Ok(Sendable { messages: prompt::messages(doc, system, leaf, draft), left_out: None, summary: None });
        };
        let whole = summary::known(doc, &left_out.nodes).filter(|(count, _)| *count == left_out.nodes.len());
        left_out.summary = whole.map(|(_, summary)| summary.to_owned()).filter(|_| summarises);
        if !summarises || left_out.summary.is_some() {
            let messages = overflow::messages(doc, system, leaf, draft, &left_out);
            return Ok(Sendable { messages, left_out: Some(left_out), summary: None });
        }
        // No text holds this: ids are not shown to anybody, and no character is that one.
        let mark = format!("\u{FDD0}{first}\u{FDD1}");
        let marked = LeftOut { summary: Some(mark.clone()), ..left_out.clone() };
        let mut messages = overflow::messages(doc, system, leaf, draft, &marked);
        let slot = summary::slot(&mut messages, &mark);
        let summary = slot.map(|slot| Box::new(summary::wanted(doc, info, room.context, &left_out, slot)));
        Ok(Sendable { messages, left_out: Some(left_out), summary })
    }

    /// Whether a person has to be asked before this is sent: not all of it fits, and the settings do not say what becomes of it.
    pub(super) fn must_ask(&self, doc: &Doc, model: &ModelRef, leaf: NodeId, draft: &[Part]) -> bool {
        let settings = self.settings(model, Some(&doc.conversation));
        let info = self.replica.model(model).filter(|_| !overflow::cuts(&settings));
        let room = info.and_then(|info| overflow::room(info, &settings));
        let plan = room.map(|room| overflow::plan(doc, settings.system(), Some(leaf), Some(overflow::Draft::content(draft)), room));
        plan.is_some_and(|plan| !plan.fits || !plan.left_out.nodes.is_empty())
    }

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
