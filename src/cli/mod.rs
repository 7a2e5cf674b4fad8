//! The command line: everything that arbour does without its screen, and the way into it.
//!
//! Owns: arguments, exit codes, what is printed, the log of a process. Refuses: doing the work; every subcommand but `serve` and
//! `doctor` asks the host. Invariant: standard output holds what was asked for and nothing else, every error goes to standard
//! error as a sentence with what to do, and the exit code is 0 done, 1 failed, 2 wrong use, 3 nothing reachable, 130 interrupted.

mod args;
mod ask;
mod context;
mod conversations;
mod doctor;
mod host;
mod json;
mod keep;
mod log;
mod models;
mod output;
mod plain;
mod presets;
mod screen;
mod serve;
mod session;
mod status;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser as _;

use args::{Arguments, Subcommands};
use context::{Context, report};

use crate::error::{Error, Kind, Result};

/// Runs arbour with these arguments (the first is the program's name).
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version go to standard output, mistakes to standard error.
            drop(error.print());
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match run(arguments) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            report(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(arguments: Arguments) -> Result<u8> {
    host::fix_threads(&arguments)?;
    let context = Arc::new(Context::load(arguments.global)?);
    log::start(log_file(&context, arguments.command.as_ref()));
    // The first provider stays; a second call finds it there.
    drop(rustls::crypto::ring::default_provider().install_default());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // The host's loop and its clients; whoever only waits needs no thread for each core.
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| Error::new(Kind::Internal, "The threads that arbour needs could not be started.").cause(e))?;
    let result = runtime.block_on(async {
        let result = dispatch(&context, arguments.command).await;
        context.finish().await;
        result
    });
    // A thread that waits for a reader of standard output must not keep the program.
    runtime.shutdown_background();
    result
}

async fn dispatch(context: &Arc<Context>, command: Option<Subcommands>) -> Result<u8> {
    match command {
        None => screen::run(context).await,
        Some(Subcommands::Ask(ask)) => ask::run(context, ask).await,
        Some(Subcommands::Models(models)) => models::run(context, models).await,
        Some(Subcommands::Conversations(conversations)) => conversations::run(context, conversations).await,
        Some(Subcommands::Presets(presets)) => presets::run(context, presets).await,
        Some(Subcommands::Serve(serve)) => serve::run(context, serve).await,
        Some(Subcommands::Doctor(doctor)) => doctor::run(context, doctor).await,
        Some(Subcommands::Host) => host::run(context).await,
    }
}

/// One file for each kind of process, so that none rotates another's away.
fn log_file(context: &Context, command: Option<&Subcommands>) -> PathBuf {
    match command {
        Some(Subcommands::Host | Subcommands::Serve(_)) => context.paths.log(),
        None => context.paths.state.join("screen.log"),
        Some(_) => context.paths.state.join("cli.log"),
    }
}
