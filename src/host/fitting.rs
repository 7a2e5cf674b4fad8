//! What is known of a model, and whether it fits.

use super::Seat;
use super::driver::Host;
use crate::error::{Error, Kind};
use crate::proto::wire::HostFrame;
use crate::proto::{ModelRef, Parameters};

impl Host {
    pub(super) fn inspect(&mut self, seat: Seat, id: u64, _model: ModelRef) {
        self.seats.answer(seat, HostFrame::Reply { id, result: Err(Error::new(Kind::Unsupported, "Inspecting is not built yet.")) });
    }

    pub(super) fn fit(&mut self, seat: Seat, id: u64, _models: Vec<ModelRef>, _parameters: Parameters) {
        self.seats.answer(seat, HostFrame::Reply { id, result: Err(Error::new(Kind::Unsupported, "Estimates are not built yet.")) });
    }
}
