//! Undo and redo: the steps of an act, taken back or taken again.
//!
//! Invariant: what cannot be undone any more is told and never tried again; what is undone is hidden or set back, and nothing is lost.

use super::commands::{Change, no_conversation};
use super::stage::{Stage, changed_since};
use super::{Effect, Machine, Needs};
use crate::core::Write;
use crate::core::undo::{Op, OpState, Step};
use crate::error::{Error, Kind, Result};
use crate::proto::{Ack, ClientId, CommandId, ConversationId, Undone, UnixMs};
use crate::sanitise;

/// What a command did, for undo.
#[derive(Debug, Default)]
pub(super) struct Did {
    pub(super) conversation: Option<ConversationId>,
    pub(super) about: String,
    pub(super) steps: Vec<Step>,
}

impl Machine {
    /// What must be at hand before these steps can be taken. What cannot be loaded does not exist any more; the steps are refused then.
    #[must_use]
    pub fn needs_of(&self, steps: &[Step]) -> Needs {
        let of = |step: &Step| (step.conversation(), step.is_of_row());
        let missing = steps.iter().map(of).find_map(|(id, of_row)| id.filter(|id| !of_row && !self.replica.docs.contains_key(id)));
        let rows = steps.iter().map(of).filter_map(|(id, of_row)| id.filter(|id| of_row && !self.replica.rows.contains_key(id)));
        Needs { conversation: missing, rows: rows.collect(), ..Needs::default() }
    }

    pub(super) fn undo(&mut self, client: ClientId, id: CommandId, op: &Op, redo: bool, at: UnixMs) -> Vec<Effect> {
        let state = |state| Write::OpState { command: op.command, client, state };
        match self.undone(op, redo, at) {
            Ok((mut change, undone)) => {
                change.writes.push(state(if redo { OpState::Done } else { OpState::Undone }));
                change.ack = Some(Ack::Undone(undone));
                self.carried(client, id, None, Ok(change), at)
            }
            Err(error) => {
                let what = if redo { "done again" } else { "undone" };
                let refused = Error { message: format!("It cannot be {what} ({}): {}", op.about, lower(&error.message)), ..error };
                let mut effects = Vec::new();
                if refused.kind != Kind::Busy {
                    effects.push(Effect::Persist { writes: vec![state(OpState::Void)], sync: false });
                }
                effects.push(Effect::Ack { client, id, result: Err(refused) });
                effects
            }
        }
    }

    fn undone(&self, op: &Op, redo: bool, at: UnixMs) -> Result<(Change, Undone)> {
        let steps: Vec<Step> = if redo { op.steps.clone() } else { op.steps.iter().rev().map(Step::reversed).collect() };
        // What an act did beside the main thing may have been changed since: then it stays as it is.
        let main = |step: &Step| matches!(step, Step::Hidden { .. } | Step::Archived { .. } | Step::Folder { .. });
        let lenient = steps.iter().any(main);
        let mut stage = Stage::new(self, at);
        let mut taken: Vec<&Step> = Vec::new();
        for step in &steps {
            match stage.take(step) {
                Ok(()) => taken.push(step),
                // A conversation that was removed for good is not missed where there are others.
                Err(error) if (lenient && !main(step)) || error.kind == Kind::NotFound => drop(error),
                Err(error) => return Err(error),
            }
        }
        if taken.is_empty() {
            return Err(if steps.is_empty() { changed_since() } else { no_conversation() });
        }
        stage.mend(false)?;
        let shows = |step: &&&Step| !matches!(step, Step::Head { .. });
        let look = taken.iter().filter(shows).find_map(|step| stage.look(step)).or_else(|| taken.iter().find_map(|step| stage.look(step)));
        let (conversation, node) = look.map_or((op.conversation, None), |(conversation, node)| (Some(conversation), Some(node)));
        let why = format!("{}: {}", if redo { "done again" } else { "undone" }, op.about);
        Ok((stage.finish(Some(&why)), Undone { about: op.about.clone(), conversation, node }))
    }
}

/// A text in the words of an act: short, harmless, in quotation marks; `otherwise` when there is none.
pub(super) fn said(text: &str, otherwise: &str) -> String {
    const MOST: usize = 40;
    let line = super::runs::first_line(text, MOST);
    if line.trim().is_empty() { otherwise.to_owned() } else { format!("“{}”", sanitise::line(line.trim())) }
}

/// A sentence that goes on after a colon.
fn lower(sentence: &str) -> String {
    let mut chars = sentence.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}
