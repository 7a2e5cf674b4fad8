//! What a host is told when it starts, and the hidden subcommand that is one.

use super::args::{Arguments, Subcommands};
use super::context::Context;
use crate::config::Loaded;
use crate::error::{Error, Kind, Result};
use crate::host::HostOptions;

/// `arbour host`: the host of a data folder, until it has nothing to do.
pub async fn run(context: &Context) -> Result<u8> {
    crate::daemon::run(options(context), true).await?;
    Ok(0)
}

/// The configuration as the host takes it.
pub fn options(context: &Context) -> HostOptions {
    HostOptions::new(&context.paths, Loaded { config: context.config.clone(), problems: context.problems.clone() })
}

/// What a host's process needs in its environment: the engine's threads are fixed when it starts. With a screen one core is left
/// to it; a lone `ask` takes all.
pub fn environment(screen: bool) -> Vec<(String, String)> {
    #[cfg(feature = "embedded")]
    let variables = crate::backend::embedded::process_env(screen);
    #[cfg(not(feature = "embedded"))]
    let variables: Vec<(&str, String)> = {
        let _ = screen;
        Vec::new()
    };
    variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Where this process is to be a host itself, begins again with that environment, which can only be set from outside.
///
/// # Errors
/// When the system refuses to run this file again.
pub fn fix_threads(arguments: &Arguments) -> Result<()> {
    use std::os::unix::process::CommandExt as _;
    let is_host = arguments.global.in_process || matches!(arguments.command, Some(Subcommands::Serve(_)));
    let missing: Vec<(String, String)> =
        environment(arguments.command.is_none()).into_iter().filter(|(name, _)| std::env::var_os(name).is_none()).collect();
    if !is_host || missing.is_empty() {
        return Ok(());
    }
    let this = std::env::current_exe().map_err(|e| Error::new(Kind::Internal, "This program's own file is not known.").cause(e))?;
    let error = std::process::Command::new(this).args(std::env::args_os().skip(1)).envs(missing).exec();
    Err(Error::new(Kind::Internal, "This program could not be started again with what the engine needs.").cause(error))
}
