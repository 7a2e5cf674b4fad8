//! Which models a subcommand is about: names that are unique, or a filter.

use super::super::args::Which;
use super::super::session::{Session, misunderstood};
use crate::core::filter::Filter;
use crate::core::names;
use crate::error::{Error, Kind, Result, quoted};
use crate::proto::{ModelInfo, ModelRef, Query, Reply, UnixMs};

/// The setting in which saved filters lie: an object of texts by name.
pub(super) const FILTERS: &str = "filters";

/// The models that are meant, once every backend has been asked; at least one, each once.
pub(super) async fn choose(session: &mut Session, which: &Which) -> Result<Vec<ModelRef>> {
    if which.filter.is_none() && which.models.is_empty() {
        return Err(Error::new(Kind::Usage, "No model is named.").hint("Name some, or choose by a filter: --filter family:qwen3"));
    }
    session
        .settle(|replica| {
            // A full name need not wait for backends that do not answer.
            let listed = |name: &String| replica.models.iter().any(|model| model.reference().to_string() == *name);
            which.filter.is_none() && which.models.iter().all(listed)
        })
        .await?;
    let mut chosen = Vec::new();
    if let Some(text) = &which.filter {
        let filter = filter(session, text)?;
        uses(session).await?;
        chosen.extend(fitting(session, &filter, false).into_iter().map(ModelInfo::reference));
        if chosen.is_empty() {
            return Err(Error::new(Kind::Usage, format!("No model fits {}.", quoted(text))).hint("`arbour models ls` lists all."));
        }
    }
    for name in &which.models {
        let nobody = session.replica.models.is_empty();
        let model =
            names::resolve(name, &session.replica.models).map_err(|e| if nobody { Error { kind: Kind::NoModel, ..e } } else { e })?;
        if !chosen.contains(&model) {
            chosen.push(model);
        }
    }
    Ok(chosen)
}

/// Reads a filter: a text, or `@NAME` for a saved one.
pub(super) fn filter(session: &Session, text: &str) -> Result<Filter> {
    let saved = match text.trim().strip_prefix('@') {
        Some(name) => {
            let saved = saved(session);
            Some(saved.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, text)| text).ok_or_else(|| {
                Error::new(Kind::Usage, format!("No filter is saved as {}.", quoted(name))).hint("`arbour models filters` lists them.")
            })?)
        }
        None => None,
    };
    let filter = Filter::parse(saved.as_deref().unwrap_or(text));
    match filter.problems().first() {
        None => Ok(filter),
        Some(problem) => {
            let error = Error::new(Kind::Usage, problem.message.clone());
            Err(problem.hint.iter().fold(error, |error, hint| error.hint(hint.clone())))
        }
    }
}

/// Saved filters, by name.
pub(super) fn saved(session: &Session) -> Vec<(String, String)> {
    let stored = session.replica.settings.get(FILTERS).and_then(|value| value.as_object());
    let text = |(name, text): (&String, &serde_json::Value)| Some((name.clone(), text.as_str()?.to_owned()));
    stored.into_iter().flatten().filter_map(text).collect()
}

/// The models that a filter fits.
pub(super) fn fitting<'s>(session: &'s Session, filter: &Filter, hidden: bool) -> Vec<&'s ModelInfo> {
    let now = now();
    let fits = |model: &&ModelInfo| {
        let uses = session.replica.uses.get(&model.reference());
        filter.shows_model(model, uses, now) || (hidden && model.card.hidden && filter.shows_model(&shown(model), uses, now))
    };
    session.replica.models.iter().filter(fits).collect()
}

/// The same model as if it were not hidden.
fn shown(model: &ModelInfo) -> ModelInfo {
    let mut model = model.clone();
    model.card.hidden = false;
    model
}

/// Asks what the runs of models say, into the replica.
pub(super) async fn uses(session: &mut Session) -> Result<()> {
    let Reply::Uses(uses) = session.client.query(Query::Uses).await? else { return Err(misunderstood()) };
    session.replica.uses = uses.into_iter().collect();
    Ok(())
}

pub(super) fn now() -> UnixMs {
    jiff::Timestamp::now().as_millisecond()
}
