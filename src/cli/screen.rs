//! `arbour` without a subcommand: the screen.

use std::sync::Arc;

use super::context::Context;
use crate::error::Result;
use crate::tui;

pub async fn run(context: &Arc<Context>) -> Result<u8> {
    let attaching = Arc::clone(context);
    let options = tui::Options {
        connect: tui::connecting(async move { attaching.client(true).await }),
        config: context.config.clone(),
        paths: context.paths.clone(),
        theme: context.global.theme.clone(),
        keymap: context.global.keymap.clone(),
        problems: context.problems.clone(),
        log: Some(super::log_file(context, None)),
    };
    tui::run(options).await?;
    Ok(0)
}
