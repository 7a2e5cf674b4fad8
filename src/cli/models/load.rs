//! `arbour models start` and `stop`: into memory, and out of it.

use std::io::Write as _;
use std::time::Duration;

use tokio::time::Instant;

use super::super::context::{Context, Interrupted};
use super::super::session::Session;
use super::super::status::StatusLine;
use super::show::print;
use super::{find, known};
use crate::error::{Error, Kind, Result};
use crate::proto::{Command, ModelInfo, ModelRef, ModelState, Parameters, Progress, State};

/// How long a model may take to load or unload before nobody believes in it any more.
const LOADING: Duration = Duration::from_secs(600);

pub(super) async fn start(context: &Context, name: &str, parameters: Parameters, as_json: bool) -> Result<u8> {
    let mut session = context.session().await?;
    let reference = find(&mut session, name).await?.reference();
    let mut interrupted = Interrupted::new()?;
    let done = async {
        session.command(Command::StartModel { model: reference.clone(), parameters }).await?;
        wait_for_state(&mut session, &reference, |state| matches!(state, ModelState::Loaded | ModelState::Sleeping)).await
    };
    let model = tokio::select! {
        model = done => model?,
        () = interrupted.wait() => return Err(Error::new(Kind::Cancelled, "Not waited for: the model goes on loading.")),
    };
    print_after(&model, as_json, "loaded")?;
    Ok(0)
}

pub(super) async fn stop(context: &Context, name: &str, as_json: bool) -> Result<u8> {
    let mut session = context.session().await?;
    let reference = find(&mut session, name).await?.reference();
    let mut interrupted = Interrupted::new()?;
    let done = async {
        session.command(Command::StopModel { model: reference.clone() }).await?;
        wait_for_state(&mut session, &reference, |state| !matches!(state, ModelState::Loaded | ModelState::Loading)).await
    };
    let model = tokio::select! {
        model = done => model?,
        () = interrupted.wait() => return Err(Error::new(Kind::Cancelled, "Not waited for.")),
    };
    print_after(&model, as_json, "unloaded")?;
    Ok(0)
}

fn print_after(model: &ModelInfo, as_json: bool, what: &str) -> Result<()> {
    if as_json {
        return print(model, true);
    }
    // On standard error: it is news, not data.
    let _ = writeln!(std::io::stderr(), "{} is {what}.", crate::sanitise::line(&model.reference().to_string()));
    Ok(())
}

/// Waits until the model is as wanted, showing how far it is.
async fn wait_for_state(session: &mut Session, reference: &ModelRef, wanted: impl Fn(ModelState) -> bool) -> Result<ModelInfo> {
    let deadline = Instant::now() + LOADING;
    let mut status = StatusLine::new();
    loop {
        let model = known(session, reference)?;
        if wanted(model.state) {
            return Ok(model);
        }
        if model.state == ModelState::Failed {
            let error = model.error.clone();
            return Err(
                error.unwrap_or_else(|| Error::new(Kind::Server, "The model could not be loaded, and the backend does not say why."))
            );
        }
        let progress = Progress { done: model.permille.map(u64::from), total: Some(1000), ..Progress::default() };
        status.phase(reference, State::Loading, &progress);
        match tokio::time::timeout_at(deadline, session.next()).await {
            Ok(step) => drop(step?),
            Err(_) => {
                return Err(Error::new(
                    Kind::Unreachable,
                    format!("The backend did not finish within {} minutes.", LOADING.as_secs() / 60),
                )
                .hint("`arbour models ls` shows how far it is."));
            }
        }
    }
}
