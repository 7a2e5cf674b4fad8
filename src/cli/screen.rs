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
        place: place(context.global.connect.as_deref()),
        theme: context.global.theme.clone(),
        keymap: context.global.keymap.clone(),
        problems: context.problems.clone(),
        log: Some(super::log_file(context, None)),
    };
    tui::run(options).await?;
    Ok(0)
}

/// Where the host is, as the status line says it: the name or the address that was given, without scheme and port.
fn place(connect: Option<&str>) -> String {
    let Some(target) = connect.filter(|target| !target.starts_with("unix:")) else { return "local".to_owned() };
    let address = target.split_once("://").map_or(target, |(_, rest)| rest);
    let address = address.split('/').next().unwrap_or(address);
    let host = address.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(address, |(host, _)| host);
    host.to_owned()
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn the_place_is_a_word() {
        for (given, word) in [
            (None, "local"),
            (Some("unix:/run/arbour.sock"), "local"),
            (Some("server"), "server"),
            (Some("ws://gpu.example:7717"), "gpu.example"),
            (Some("wss://[::1]:7717/x"), "[::1]"),
        ] {
            assert_eq!(place(given), word);
        }
    }
}
