//! Bulk work: one act on many models, side by side within bounds, with a state for each.

use super::Seat;
use super::driver::Host;
use crate::error::{Error, Kind, Result};
use crate::proto::{Ack, CommandId, JobAct, JobId, ModelRef, Parameters};

impl Host {
    pub(super) fn begin_job(&mut self, _job: JobId, _act: JobAct, _models: Vec<ModelRef>, _parameters: Parameters) -> Result<Ack> {
        Err(Error::new(Kind::Unsupported, "Jobs are not built yet."))
    }

    pub(super) fn retry_job(&mut self, _job: JobId) -> Result<Ack> {
        Err(Error::new(Kind::Unsupported, "Jobs are not built yet."))
    }

    pub(super) fn cancel_job(&mut self, _job: JobId) -> Result<Ack> {
        Err(Error::new(Kind::Unsupported, "Jobs are not built yet."))
    }

    pub(super) fn remove_model(&mut self, seat: Seat, id: CommandId, _model: ModelRef) {
        self.ack(seat, id, Err(Error::new(Kind::Unsupported, "Removing is not built yet.")));
    }

    pub(super) fn copy_model(&mut self, seat: Seat, id: CommandId, _model: ModelRef, _to: String) {
        self.ack(seat, id, Err(Error::new(Kind::Unsupported, "Copying is not built yet.")));
    }
}
