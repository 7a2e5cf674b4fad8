//! `arbour models`: what every backend has, and what can be done with it. One file for each family of subcommands.

mod choose;
mod fit;
mod load;
mod ls;
mod order;
mod ps;
mod pull;
mod pulls;
mod remove;
mod set;
mod show;

use super::args::{Ls, Models, ModelsCommand, Named, Start};
use super::context::Context;
use super::session::Session;
use crate::core::names;
use crate::error::{Error, Kind, Result};
use crate::proto::{CardChange, ModelInfo, ModelRef};

pub async fn run(context: &Context, models: Models) -> Result<u8> {
    let all = models.json;
    match models.command.unwrap_or_else(|| ModelsCommand::Ls(Ls { json: all, ..Ls::default() })) {
        ModelsCommand::Ls(ls) => ls::list(context, &Ls { json: ls.json || all, ..ls }).await,
        ModelsCommand::Show { model, json } => show::show(context, &model, json || all).await,
        ModelsCommand::Ps { json } => ps::list(context, json || all).await,
        ModelsCommand::Fit { models, context: tokens, kv_type, gpu_layers, json } => {
            fit::fit(context, &models, fit::settings(tokens, kv_type, gpu_layers), json || all).await
        }
        ModelsCommand::Set { model, set, load, request, preset, json } => {
            set::set(context, &model, set::Changes { set, load, request, preset }, json || all).await
        }
        ModelsCommand::Start(start) => load::start(context, &Start { json: start.json || all, ..start }).await,
        ModelsCommand::Stop { which, all: every, json } => load::stop(context, &which, every, json || all).await,
        ModelsCommand::Fav(which) => order::set(context, &which, CardChange::Favourite(true)).await,
        ModelsCommand::Unfav(which) => order::set(context, &which, CardChange::Favourite(false)).await,
        ModelsCommand::Hide(which) => order::set(context, &which, CardChange::Hidden(true)).await,
        ModelsCommand::Unhide(which) => order::set(context, &which, CardChange::Hidden(false)).await,
        ModelsCommand::Pin(which) => order::set(context, &which, CardChange::Pinned(true)).await,
        ModelsCommand::Unpin(which) => order::set(context, &which, CardChange::Pinned(false)).await,
        ModelsCommand::Tag(Named { name, which }) => order::set(context, &which, CardChange::Tag { name, on: true }).await,
        ModelsCommand::Untag(Named { name, which }) => order::set(context, &which, CardChange::Tag { name, on: false }).await,
        ModelsCommand::Group(Named { name, which }) => order::set(context, &which, CardChange::Group { name, member: true }).await,
        ModelsCommand::Ungroup(Named { name, which }) => order::set(context, &which, CardChange::Group { name, member: false }).await,
        ModelsCommand::Note { model, text } => order::note(context, &model, text).await,
        ModelsCommand::Groups { json } => order::groups(context, json || all).await,
        ModelsCommand::Filters { save, rm, filter, json } => order::filters(context, save, rm, &filter.join(" "), json || all).await,
        ModelsCommand::Pull { sources, to, detach, via, json } => {
            let wanted = pull::Wanted { to: to.unwrap_or_default(), pip: via.is_some(), detach, json: json || all };
            pull::pull(context, &sources, wanted).await
        }
        ModelsCommand::Pulls { command, json } => pulls::run(context, command, json || all).await,
        ModelsCommand::Rm { models, yes, json } => remove::remove(context, &models, yes, json || all).await,
        ModelsCommand::Cp { model, name, json } => remove::copy(context, &model, &name, json || all).await,
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
