//! Parameters and presets: opening their editor, choosing, saving, and what the editor asks for.

use serde_json::Value;

use super::{Action, Invocation};
use crate::config::presets;
use crate::core::settings::{self, Effective, Own, Sources, State, written};
use crate::error::{Error, Kind};
use crate::proto::{Card, CardChange, Command, Group, ModelRef, Parameters, Preset, PresetKind, Subject};
use crate::tui::model::{Model, Waiting};
use crate::tui::msg::Cmd;
use crate::tui::overlay::Overlay;
use crate::tui::overlay::choose::{Choose, Item};
use crate::tui::overlay::confirm::Confirm;
use crate::tui::overlay::settings::{Editor, Of, Slot};
use crate::tui::pane::{Call, Intent, composer};
use crate::tui::perform;
use crate::tui::shared::Shared;
use crate::tui::text::width::drawable;

/// `Space o`, `:parameters`: the editor for the conversation.
pub fn open(model: &mut Model, key: Option<&String>) {
    let editor = Editor::new(Of::Here);
    let editor = match key {
        Some(key) => editor.at(key, &model.cx()),
        None => editor,
    };
    model.push_overlay(Box::new(editor));
}

/// `p` in Models: the editor for the model.
pub fn open_model(model: &mut Model, call: &Call<'_>) {
    let found = match call.args.first() {
        Some(name) => crate::core::names::resolve(name, &model.shared.replica.models),
        None => model.model_at_hand().ok_or_else(|| Error::new(Kind::NoModel, "There is no model at hand.")),
    };
    match found {
        Ok(reference) => model.push_overlay(Box::new(Editor::new(Of::Model(reference)))),
        Err(error) => model.fail(&error),
    }
}

/// `:preset edit NAME`.
pub fn open_preset(model: &mut Model, name: Option<&String>) {
    match name {
        Some(name) => match settings::find(&model.shared.replica.presets, name) {
            Some(preset) => {
                let of = Of::Preset(preset.name.clone());
                model.push_overlay(Box::new(Editor::new(of)));
            }
            None => model.fail(&settings::no_preset(&model.shared.replica.presets, name)),
        },
        None => {
            let items: Vec<Item> = model
                .shared
                .replica
                .presets
                .iter()
                .map(|preset| {
                    let name = preset.name.clone();
                    let call = Invocation { action: Action::PresetEdit, args: vec![name.clone()] };
                    Item::new(name, about(preset), move || Intent::Call(call.clone()))
                })
                .collect();
            if items.is_empty() {
                return model.say("There is no preset yet; :preset save NAME makes one of what holds here.");
            }
            model.push_overlay(Box::new(Choose::new("Edit which preset or template?", items, 0)));
        }
    }
}

/// What a preset is, in a few words.
fn about(preset: &Preset) -> String {
    let mut parts = vec![preset.kind.noun().to_owned()];
    parts.extend(preset.model.as_ref().map(|model| drawable(&model.to_string()).into_owned()));
    if preset.about.is_empty() {
        parts.extend(State::default().about(&State { parameters: preset.parameters.clone(), ..State::default() }));
    } else {
        parts.push(preset.about.clone());
    }
    parts.join(" · ")
}

/// What would hold with another preset.
fn with_preset(shared: &Shared, preset: Option<&str>) -> Effective {
    let model = shared.model();
    let none = Card::default();
    let known = model.as_ref().map(|reference| (reference, shared.replica.model(reference).map_or(&none, |info| &info.card)));
    let sources = Sources { presets: &shared.replica.presets, groups: &shared.replica.groups, model: known };
    settings::effective(sources, Own { preset, system: shared.system(), parameters: Some(shared.parameters()) })
}

/// What would be different with another preset, in words.
fn difference(shared: &Shared, preset: Option<&str>) -> String {
    let state = |effective: &Effective| {
        let mut state = State { parameters: effective.parameters(), ..State::default() };
        state.pointed.system = effective.system().map(str::to_owned);
        state
    };
    state(&shared.settings()).about(&state(&with_preset(shared, preset))).unwrap_or_else(|| "as now".to_owned())
}

/// `:preset [NAME]`: switches; without a name, a list with what each would change.
pub fn preset(model: &mut Model, name: Option<&String>) {
    let Some(name) = name else {
        let chooser = pointer(&model.shared, &Of::Here, Slot::Preset);
        return model.push_overlay(chooser);
    };
    if name == "none" {
        return take(model, None);
    }
    match settings::find(&model.shared.replica.presets, name) {
        Some(preset) => {
            let name = preset.name.clone();
            take(model, Some(name));
        }
        None => model.fail(&settings::no_preset(&model.shared.replica.presets, name)),
    }
}

/// The next of those that are offered for the model; behind the last stands none.
pub fn preset_next(model: &mut Model, back: bool) {
    let answering = model.shared.model();
    let names: Vec<String> =
        settings::offered(&model.shared.replica.presets, answering.as_ref()).into_iter().map(|preset| preset.name.clone()).collect();
    if names.is_empty() {
        return model.say("There is no preset for this model yet; :preset save NAME makes one of what holds here.");
    }
    let now = model.shared.preset().and_then(|now| names.iter().position(|name| name == now)).map_or(0, |at| at + 1);
    let many = names.len() + 1;
    let at = if back { now + many - 1 } else { now + 1 } % many;
    take(model, at.checked_sub(1).and_then(|at| names.get(at).cloned()));
}

/// This preset holds in the conversation in view, or in the one that is to begin.
pub fn take(model: &mut Model, preset: Option<String>) {
    if model.refuse_offline() {
        return;
    }
    let said = match &preset {
        Some(name) => format!("The preset {} holds from the next answer on.", drawable(name)),
        None => "No preset holds.".to_owned(),
    };
    match model.shared.view.conversation {
        Some(conversation) => model.post_for(Command::SetPreset { conversation, preset }, Waiting::Say(said)),
        None => {
            model.shared.view.preset = Some(preset);
            model.say(said);
            model.mark_all();
        }
    }
}

/// The list from which a slot is filled.
#[must_use]
pub fn pointer(shared: &Shared, of: &Of, slot: Slot) -> Box<dyn Overlay> {
    let replica = &shared.replica;
    let now = of.pointed(slot, shared);
    let here = *of == Of::Here;
    let candidates: Vec<&Preset> = match slot {
        Slot::Preset => settings::offered(&replica.presets, of.model(shared).as_ref()),
        Slot::Load => replica.presets.iter().filter(|p| p.kind == PresetKind::Load).collect(),
        Slot::Request => replica.presets.iter().filter(|p| p.kind == PresetKind::Request).collect(),
        Slot::Parent | Slot::System => {
            let own = of.preset(shared);
            replica.presets.iter().filter(|p| own.is_some_and(|own| own.kind == p.kind && own.name != p.name)).collect()
        }
    };
    let mut items: Vec<Item> = candidates
        .iter()
        .map(|preset| {
            let note = if here { difference(shared, Some(&preset.name)) } else { about(preset) };
            let (of, name) = (of.clone(), preset.name.clone());
            let mut item = Item::new(name.clone(), note, move || Intent::Point { of: of.clone(), slot, name: Some(name.clone()) });
            let bound = if preset.model.is_some() { "For this model" } else { "For any model" };
            item.section = here.then(|| bound.to_owned());
            item
        })
        .collect();
    let none = of.clone();
    let note = if here { difference(shared, None) } else { String::new() };
    let mut item = Item::new("none", note, move || Intent::Point { of: none.clone(), slot, name: None });
    item.quiet = true;
    items.push(item);
    let at = candidates.iter().position(|preset| now.as_deref().is_some_and(|now| settings::fold(now) == settings::fold(&preset.name)));
    let at = at.unwrap_or(items.len() - 1);
    let title = match slot {
        Slot::Preset if here => "Which preset holds here?",
        Slot::Preset => "With which preset do new conversations begin?",
        Slot::Load => "Which template of load settings?",
        Slot::Request => "Which template of parameters?",
        Slot::Parent | Slot::System => "What does it inherit from?",
    };
    let chooser = Choose::new(title, items, at);
    let make = "`:preset save NAME` makes a preset, `:preset save NAME load` or `request` a template, of what holds in the conversation.";
    Box::new(if candidates.is_empty() { chooser.intro(&[make]) } else { chooser })
}

/// A slot was filled.
pub fn point(model: &mut Model, of: Of, slot: Slot, name: Option<String>) {
    match (of, slot) {
        (Of::Here, _) => take(model, name),
        (Of::Model(reference), slot) => {
            let change = match slot {
                Slot::Load => CardChange::Load(name),
                Slot::Request => CardChange::Request(name),
                _ => CardChange::Preset(name),
            };
            point_models(model, vec![reference], change);
        }
        (Of::Preset(was), _) => {
            let Some(preset) = settings::find(&model.shared.replica.presets, &was).cloned() else { return };
            model.post_for(Command::SavePreset { preset: Preset { parent: name, ..preset }, was: Some(was) }, Waiting::Quiet);
        }
    }
}

/// Many models point to a template or a preset, or to none.
pub fn point_models(model: &mut Model, models: Vec<ModelRef>, change: CardChange) {
    let (what, name) = match &change {
        CardChange::Load(name) => ("load template", name),
        CardChange::Request(name) => ("request template", name),
        CardChange::Preset(name) => ("preset", name),
        _ => return,
    };
    let whose = match models.as_slice() {
        [one] => drawable(&one.to_string()).into_owned(),
        many => format!("{} models", many.len()),
    };
    let said = match name {
        Some(name) => format!("{whose}: {what} {}.", drawable(name)),
        None => format!("{whose}: no {what}."),
    };
    model.post_for(Command::SetCards { models, change }, Waiting::Say(said));
}

/// `T` in Models: a template, or the preset that conversations begin with, for these models at once.
pub fn templates(model: &mut Model, models: Vec<ModelRef>) {
    if models.is_empty() {
        return model.say("There is no model at hand.");
    }
    let mut items = Vec::new();
    for (kind, section) in
        [(PresetKind::Load, "Load settings"), (PresetKind::Request, "Parameters"), (PresetKind::Preset, "New conversations begin with")]
    {
        let change = move |name: Option<String>| match kind {
            PresetKind::Load => CardChange::Load(name),
            PresetKind::Request => CardChange::Request(name),
            PresetKind::Preset => CardChange::Preset(name),
        };
        let named = model.shared.replica.presets.iter().filter(|preset| preset.kind == kind);
        let rows = named.map(|preset| (Some(preset.name.clone()), about(preset))).chain([(None, String::new())]);
        for (name, note) in rows {
            let models = models.clone();
            let text = name.clone().unwrap_or_else(|| "none".to_owned());
            let mut item = Item::new(text, note, move || Intent::PointModels(models.clone(), change(name.clone())));
            item.section = Some(section.to_owned());
            items.push(item);
        }
    }
    let title = match models.as_slice() {
        [one] => format!("Templates of {}", drawable(&one.to_string())),
        many => format!("Templates of {} models", many.len()),
    };
    model.push_overlay(Box::new(Choose::new(title, items, 0)));
}

/// `:group-template GROUP load|request [TEMPLATE]`: what a group of models points to.
pub fn group_template(model: &mut Model, args: &[String]) {
    let [name, which, rest @ ..] = args else { return };
    let mut group: Group = model.shared.replica.groups.get(name).cloned().unwrap_or_default();
    let template = rest.first().map(|t| t.trim().to_owned()).filter(|t| !t.is_empty() && t != "none");
    let said = format!("The group {}: {which} template {}.", drawable(name), template.as_deref().map_or("none".into(), drawable));
    if which == "load" {
        group.load = template
    } else {
        group.request = template
    }
    model.post_for(Command::SetGroup { name: name.clone(), group }, Waiting::Say(said));
}

/// Values were changed in the editor.
pub fn change(model: &mut Model, of: &Of, changes: Vec<(String, Option<Value>)>) {
    if model.refuse_offline() {
        return;
    }
    match of.subject(&model.shared) {
        Some(subject) => model.post(Command::SetParameters { subject, changes }),
        // The conversation begins with the next message, and then with these.
        None => match settings::change(&model.shared.view.parameters, &changes) {
            Ok(parameters) => model.shared.view.parameters = parameters,
            Err(error) => model.fail(&error),
        },
    }
    model.mark(composer::ID);
    model.mark_all();
}

/// A system prompt was written.
pub fn text(model: &mut Model, of: Of, text: String) {
    match of {
        Of::Here => super::talk::system(model, Some(&text)),
        Of::Model(_) => {}
        Of::Preset(was) => {
            let Some(preset) = settings::find(&model.shared.replica.presets, &was).cloned() else { return };
            let system = Some(text).filter(|text| !text.trim().is_empty());
            model.post_for(Command::SavePreset { preset: Preset { system, ..preset }, was: Some(was) }, Waiting::Quiet);
        }
    }
}

/// `:preset save NAME [load|request]`: what holds in the conversation, under a name.
///
/// A preset takes the conversation's own values and system prompt, inherits from the preset that holds, and holds from then on.
pub fn save(model: &mut Model, args: &[String]) {
    let Some(name) = args.first().map(|name| name.trim().to_owned()) else { return };
    if model.refuse_offline() {
        return;
    }
    let shared = &model.shared;
    let kind = match args.get(1).map(|kind| kind.trim()) {
        Some("load") => PresetKind::Load,
        Some("request") => PresetKind::Request,
        _ => PresetKind::Preset,
    };
    let known = settings::find(&shared.replica.presets, &name).cloned();
    let was = known.as_ref().map(|preset| preset.name.clone());
    let fits = |key: &String| settings::belongs(kind, key).is_ok();
    let preset = if kind == PresetKind::Preset {
        let onto = known.as_ref().filter(|known| shared.preset().is_some_and(|now| settings::fold(now) == settings::fold(&known.name)));
        let own = shared.parameters().clone();
        let system = shared.system().map(str::to_owned);
        match onto {
            // Saved onto itself: what was changed since goes into it.
            Some(known) => {
                let mut preset = known.clone();
                preset.parameters.0.extend(own.0);
                preset.system = system.or(preset.system);
                preset
            }
            None => Preset { name: name.clone(), parent: shared.preset().map(str::to_owned), system, parameters: own, ..Preset::default() },
        }
    } else {
        let all = shared.settings().parameters().0;
        Preset {
            name: name.clone(),
            kind,
            parameters: Parameters(all.into_iter().filter(|(key, _)| fits(key)).collect()),
            ..Preset::default()
        }
    };
    let preset = match settings::checked(&shared.replica.presets, preset, was.as_deref()) {
        Ok(preset) => preset,
        Err(error) => return model.fail(&error),
    };
    let fresh = was
        .as_ref()
        .is_none_or(|_| known.as_ref().is_some_and(|known| known.kind == preset.kind && Some(known.name.as_str()) == shared.preset()));
    let intent = Intent::SavePreset { preset: Box::new(preset), was };
    if fresh {
        return perform::intent(model, intent);
    }
    let text = vec![format!("There is a preset called {} already. What it was stays in its history.", drawable(&name))];
    model.push_overlay(Confirm::boxed("Save over it?", text, "saves over it", intent));
}

/// Saves; a preset holds in the conversation then, which has no values of its own any more.
pub fn saved(model: &mut Model, preset: Preset, was: Option<String>) {
    let (name, kind) = (preset.name.clone(), preset.kind);
    let said = format!("Saved as the {} {}.", kind.noun(), drawable(&name));
    model.post_for(Command::SavePreset { preset, was }, Waiting::Say(said));
    if kind != PresetKind::Preset {
        return;
    }
    match model.shared.view.conversation {
        Some(conversation) => {
            let changes: Vec<_> = model.shared.parameters().0.keys().map(|key| (key.clone(), None)).collect();
            model.post(Command::SetPreset { conversation, preset: Some(name) });
            if !changes.is_empty() {
                model.post(Command::SetParameters { subject: Subject::Conversation(conversation), changes });
            }
            if model.shared.system().is_some() {
                model.post(Command::SetSystem { conversation, text: None });
            }
        }
        None => {
            let view = &mut model.shared.view;
            (view.preset, view.parameters, view.system) = (Some(Some(name)), Parameters::default(), None);
            model.mark_all();
        }
    }
}

/// `:preset delete NAME`, after a question.
pub fn delete(model: &mut Model, name: &str) {
    let Some(preset) = settings::find(&model.shared.replica.presets, name) else {
        let error = settings::no_preset(&model.shared.replica.presets, name);
        return model.fail(&error);
    };
    let name = preset.name.clone();
    let shown = drawable(&name).into_owned();
    let text = vec!["Conversations that have it say that it is gone; a preset of the same name goes on with its history.".to_owned()];
    let yes = Intent::PostAndSay(Command::DeletePreset { name }, format!("{shown} was deleted."));
    model.push_overlay(Confirm::boxed(format!("Delete {shown}?"), text, "deletes it", yes));
}

/// `:preset export NAME PATH`: into a new file.
pub fn export(model: &mut Model, args: &[String]) {
    let [name, path] = args else { return };
    let chosen: Vec<Preset> = match settings::find(&model.shared.replica.presets, name) {
        Some(preset) => vec![preset.clone()],
        None if name == "all" => model.shared.replica.presets.clone(),
        None => return model.fail(&settings::no_preset(&model.shared.replica.presets, name)),
    };
    model.cmds.push(Cmd::Save {
        path: crate::config::expand(path.trim(), crate::config::home_folder().as_deref()),
        data: presets::write(&chosen).into_bytes(),
        over: false,
    });
}

/// `:preset import PATH`: reads it; what it would replace is asked for.
pub fn import(model: &mut Model, path: &str) {
    let path = crate::config::expand(path.trim(), crate::config::home_folder().as_deref());
    model.cmds.push(Cmd::ReadPresets(path));
}

/// Reads a file of presets. Blocks: for the loop's side.
///
/// # Errors
/// All that is wrong with it.
pub fn read_file(path: &std::path::Path) -> Result<Vec<Preset>, Vec<Error>> {
    presets::read_file(path, &written)
}

/// A file of presets was read.
pub fn imported(model: &mut Model, result: Result<Vec<Preset>, Vec<Error>>) {
    let presets = match result {
        Ok(presets) => presets,
        Err(problems) => {
            let many = problems.len();
            if let Some(mut first) = problems.into_iter().next() {
                if many > 1 {
                    first.hints.push(format!("{} more in this file; nothing was imported.", many - 1));
                }
                model.fail(&first);
            }
            return;
        }
    };
    // All are held against what is there before the first is saved.
    let mut known = model.shared.replica.presets.clone();
    let mut saves = Vec::new();
    let mut replaced = Vec::new();
    for preset in presets {
        let was = settings::find(&known, &preset.name).map(|old| old.name.clone());
        match settings::checked(&known, preset, was.as_deref()) {
            Ok(preset) => {
                known.retain(|other| Some(&other.name) != was.as_ref());
                known.push(preset.clone());
                replaced.extend(was.clone());
                saves.push((preset, was));
            }
            Err(error) => return model.fail(&error),
        }
    }
    if replaced.is_empty() {
        return import_all(model, saves);
    }
    let names = replaced.iter().map(|name| drawable(name).into_owned()).collect::<Vec<_>>().join(", ");
    let text = vec![format!("There are already: {names}. The file wins; what they were stays in their histories.")];
    model.push_overlay(Confirm::boxed("Replace presets by those of the file?", text, "replaces them", Intent::ImportPresets(saves)));
}

/// Saves what was read.
pub fn import_all(model: &mut Model, saves: Vec<(Preset, Option<String>)>) {
    let said = format!("{} imported.", crate::tui::format::plural(saves.len() as u64, "preset"));
    let last = saves.len().saturating_sub(1);
    for (at, (preset, was)) in saves.into_iter().enumerate() {
        let waiting = if at == last { Waiting::Say(said.clone()) } else { Waiting::Quiet };
        model.post_for(Command::SavePreset { preset, was }, waiting);
    }
}
