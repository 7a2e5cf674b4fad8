//! What a person keeps about models, and what their runs say.

use super::driver::Host;
use crate::error::{Error, Kind, Result};
use crate::proto::{Ack, Card, CardChange, CommandId, ModelRef, ModelUse};

impl Host {
    /// What is kept about a model.
    pub(super) fn card(&self, _model: &ModelRef) -> Card {
        Card::default()
    }

    pub(super) async fn set_cards(&mut self, _id: CommandId, _models: &[ModelRef], _change: &CardChange) -> Result<Ack> {
        Err(Error::new(Kind::Unsupported, "Cards are not built yet."))
    }

    pub(super) async fn uses(&self) -> Result<Vec<(ModelRef, ModelUse)>> {
        Err(Error::new(Kind::Unsupported, "Uses are not built yet."))
    }
}
