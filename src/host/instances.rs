//! What loaded models cost to run: asked while somebody watches, kept as series.

use super::driver::Host;
use crate::error::{Error, Kind, Result};
use crate::proto::{ModelRef, UnixMs};

impl Host {
    pub(super) async fn series(&self, _model: ModelRef, _name: String, _since: UnixMs) -> Result<Vec<(UnixMs, f64)>> {
        Err(Error::new(Kind::Unsupported, "Series are not built yet."))
    }
}
