//! Deleting models at their backends, and giving them second names.
//!
//! Invariant: a model that is answering is not deleted; conversations with it, and what is kept about it, stay.

use super::acts::{Act, Asker};
use super::driver::{Host, Whose};
use super::{Message, Seat};
use crate::error::{Error, Kind, Result, quoted};
use crate::proto::{Ack, CommandId, EventKind, ModelInfo, ModelRef};

impl Host {
    /// Deletes a model's files; acknowledged when they are gone.
    pub(super) fn remove_model(&mut self, seat: Seat, id: CommandId, model: &ModelRef) {
        if let Err(error) = self.begin_act(model, Act::Remove, Asker::Client(seat, id)) {
            self.ack(seat, id, Err(error));
        }
    }

    /// Whether a model may be deleted now, as far as the host can tell.
    ///
    /// # Errors
    /// [`Kind::Busy`] while it answers.
    pub(super) fn removable(&self, model: &ModelRef) -> Result<()> {
        if self.runs.uses(model) {
            return Err(Error::new(Kind::Busy, format!("{} is answering now.", quoted(&model.model)))
                .hint("Wait until it is done, or stop the answer, then remove the model."));
        }
        Ok(())
    }

    /// A model is gone: it is off the list before its backend tells.
    pub(super) fn model_removed(&mut self, model: &ModelRef) {
        let models = &self.machine.replica.models;
        if models.iter().any(|known| known.reference() == *model) {
            let others: Vec<ModelInfo> =
                models.iter().filter(|known| known.backend == model.backend && known.name != model.model).cloned().collect();
            self.emit(EventKind::Models { backend: model.backend.clone(), models: others });
        }
    }

    /// Gives a model a second name; acknowledged when it has it.
    pub(super) fn copy_model(&mut self, seat: Seat, id: CommandId, model: ModelRef, to: String) {
        let backend = match self.ready(&model) {
            Ok(backend) => backend,
            Err(error) => return self.ack(seat, id, Err(error)),
        };
        let inbox = self.inbox.clone();
        self.spawn(Whose::Command(seat, id), async move {
            let result = backend.copy(&model.model, &to).await;
            drop(inbox.send(Message::Copied { seat, id, backend: model.backend, result }).await);
        });
    }

    pub(super) fn model_copied(&mut self, seat: Seat, id: CommandId, backend: &str, result: Result<()>) {
        self.ask_backend(backend);
        self.ack(seat, id, result.map(|()| Ack::Done));
    }
}
