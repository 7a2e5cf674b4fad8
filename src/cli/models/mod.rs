//! `arbour models`: what every backend has, and what can be done with it. One file for each family of subcommands.

mod fit;
mod load;
mod ls;
mod ps;
mod pull;
mod pulls;
mod remove;
mod set;
mod show;

use super::args::{Models, ModelsCommand};
use super::ask::parse_parameters;
use super::context::Context;
use super::session::Session;
use crate::core::names;
use crate::error::{Error, Kind, Result};
use crate::proto::{ModelInfo, ModelRef, ModelState};

pub async fn run(context: &Context, models: Models) -> Result<u8> {
    let all = models.json;
    match models.command.unwrap_or(ModelsCommand::Ls { filter: None, json: all }) {
        ModelsCommand::Ls { filter, json } => ls::list(context, filter.as_deref(), json || all).await,
        ModelsCommand::Ps { json } => ps::list(context, json || all).await,
        ModelsCommand::Show { model, json } => show::show(context, &model, json || all).await,
        ModelsCommand::Fit { models, context: tokens, kv_type, gpu_layers, json } => {
            fit::fit(context, &models, fit::settings(tokens, kv_type, gpu_layers), json || all).await
        }
        ModelsCommand::Start { model, set, json } => load::start(context, &model, parse_parameters(&set)?, json || all).await,
        ModelsCommand::Set { model, set, load, request, preset, json } => {
            set::set(context, &model, set::Changes { set, load, request, preset }, json || all).await
        }
        ModelsCommand::Stop { model, json } => load::stop(context, &model, json || all).await,
        ModelsCommand::Pull { sources, to, detach, via, json } => {
            let wanted = pull::Wanted { to: to.unwrap_or_default(), pip: via.is_some(), detach, json: json || all };
            pull::pull(context, &sources, wanted).await
        }
        ModelsCommand::Pulls { command, json } => pulls::run(context, command, json || all).await,
        ModelsCommand::Rm { models, yes, json } => remove::remove(context, &models, yes, json || all).await,
        ModelsCommand::Cp { model, name, json } => remove::copy(context, &model, &name, json || all).await,
    }
}

fn word(state: ModelState) -> &'static str {
    match state {
        ModelState::Unloaded => "unloaded",
        ModelState::Loading => "loading",
        ModelState::Loaded => "loaded",
        ModelState::Sleeping => "sleeping",
        ModelState::Downloading => "downloading",
        ModelState::Failed => "failed",
        ModelState::Unknown => "unknown",
    }
}

/// Finds the model that is meant, once every backend has been asked.
async fn find(session: &mut Session, name: &str) -> Result<ModelInfo> {
    session.settle(|replica| replica.models.iter().any(|m| m.reference().to_string() == name)).await?;
    let nobody = session.replica.models.is_empty();
    let reference =
        names::resolve(name, &session.replica.models).map_err(|e| if nobody { Error { kind: Kind::NoModel, ..e } } else { e })?;
    known(session, &reference)
}

fn known(session: &Session, reference: &ModelRef) -> Result<ModelInfo> {
    session.replica.model(reference).cloned().ok_or_else(|| {
        Error::new(Kind::ModelMissing, format!("The backend does not list {} any more.", crate::error::harmless(&reference.to_string())))
    })
}
