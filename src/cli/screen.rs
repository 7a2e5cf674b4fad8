//! `arbour` without a subcommand: the screen.

use super::context::Context;
use crate::error::Result;

pub async fn run(context: &Context) -> Result<u8> {
    let _ = context;
    Ok(0)
}
