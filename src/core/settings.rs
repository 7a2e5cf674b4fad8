//! Which settings hold, and where each comes from.
//!
//! Owns: the order of what lies over what (the kind's defaults, templates of the model's groups, templates of the model, the
//! model's own, the conversation's preset, the conversation's own), inheritance of presets, what a change is in words, what a
//! preset may be. Refuses: to store or send anything. Invariant: pure; a circle of parents ends, and a parent that is not there is said.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use super::parameters;
use crate::error::{Error, Kind, Result, quoted};
use crate::proto::{Card, Conversation, Group, ModelRef, Parameters, Pointed, Preset, PresetKind, Subject};

/// Longest name of a preset or a group, in characters.
pub const LONGEST_NAME: usize = 60;
/// Longest system prompt of a preset, in bytes.
pub const LONGEST_SYSTEM: usize = 256 * 1024;
/// Most presets and templates.
pub const MOST_PRESETS: usize = 1_000;

/// Where a setting comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A template that a group of the model's points to.
    Group { group: String, template: String },
    /// A template that the model points to.
    Template(String),
    /// The model's own settings.
    Model,
    /// The preset of the conversation, or one that it inherits from.
    Preset(String),
    /// The conversation's own settings.
    Conversation,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group { group, template } => write!(f, "{template} of group {group}"),
            Self::Template(name) => write!(f, "template {name}"),
            Self::Model => f.write_str("model"),
            Self::Preset(name) => write!(f, "preset {name}"),
            Self::Conversation => f.write_str("here"),
        }
    }
}

/// What settings are put together from.
#[derive(Debug, Clone, Copy)]
pub struct Sources<'a> {
    pub presets: &'a [Preset],
    pub groups: &'a BTreeMap<String, Group>,
    /// What is kept about the model, with its name.
    pub model: Option<(&'a ModelRef, &'a Card)>,
}

/// The settings that a conversation has itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Own<'a> {
    pub preset: Option<&'a str>,
    pub system: Option<&'a str>,
    pub parameters: Option<&'a Parameters>,
}

impl<'a> Own<'a> {
    #[must_use]
    pub fn of(conversation: &'a Conversation) -> Self {
        Self {
            preset: conversation.row.preset.as_deref(),
            system: conversation.system.as_deref(),
            parameters: Some(&conversation.parameters),
        }
    }
}

/// The settings in force.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Effective {
    pub values: BTreeMap<String, (Value, Origin)>,
    pub system: Option<(String, Origin)>,
    /// What could not be found, in sentences.
    pub problems: Vec<String>,
    /// Whose settings were looked at, the lowest first: the conversation is not among them.
    pub used: Vec<Subject>,
}

impl Effective {
    /// The values alone.
    #[must_use]
    pub fn parameters(&self) -> Parameters {
        Parameters(self.values.iter().map(|(key, (value, _))| (key.clone(), value.clone())).collect())
    }

    #[must_use]
    pub fn system(&self) -> Option<&str> {
        self.system.as_ref().map(|(text, _)| text.as_str())
    }

    /// Those that go along when a model is started.
    #[must_use]
    pub fn load(&self) -> Parameters {
        let mut all = self.parameters();
        all.0.retain(|key, _| parameters::find(key).is_some_and(parameters::Parameter::starts));
        all
    }

    fn lay(&mut self, set: &Parameters, origin: &Origin) {
        for (key, value) in &set.0 {
            self.values.insert(key.clone(), (value.clone(), origin.clone()));
        }
    }

    /// Lays a preset or template with all that it inherits.
    fn lay_preset(&mut self, presets: &[Preset], name: &str, who: &str, origin: impl Fn(&str) -> Origin) {
        let chain = chain(presets, name);
        if let Some(missing) = chain.missing {
            let name = quoted(&missing.name);
            self.problems.push(match missing.child {
                Some(child) => format!("The preset {} inherits from {name}, which is not there any more.", quoted(&child)),
                None => format!("{who} names the preset {name}, which is not there any more."),
            });
        }
        for preset in chain.presets {
            self.used.push(Subject::Preset(preset.name.clone()));
            let origin = origin(&preset.name);
            self.lay(&preset.parameters, &origin);
            if let Some(system) = preset.system.as_deref().filter(|s| !s.trim().is_empty()) {
                self.system = Some((system.to_owned(), origin));
            }
        }
    }
}

/// The settings in force for a model, and for a conversation with it.
#[must_use]
pub fn effective(sources: Sources<'_>, own: Own<'_>) -> Effective {
    let mut out = Effective::default();
    if let Some((model, card)) = sources.model {
        let groups: BTreeSet<&String> = card.groups.iter().collect();
        for name in groups {
            let Some(group) = sources.groups.get(name) else { continue };
            out.used.push(Subject::Group(name.clone()));
            for template in [&group.load, &group.request].into_iter().flatten() {
                out.lay_preset(sources.presets, template, &format!("The group {}", quoted(name)), |template| Origin::Group {
                    group: name.clone(),
                    template: template.to_owned(),
                });
            }
        }
        for template in [&card.load, &card.request].into_iter().flatten() {
            out.lay_preset(sources.presets, template, &format!("The model {}", quoted(&model.to_string())), |name| {
                Origin::Template(name.to_owned())
            });
        }
        out.used.push(Subject::Model(model.clone()));
        out.lay(&card.parameters, &Origin::Model);
    }
    if let Some(preset) = own.preset {
        out.lay_preset(sources.presets, preset, "The conversation", |name| Origin::Preset(name.to_owned()));
    }
    if let Some(set) = own.parameters {
        out.lay(set, &Origin::Conversation);
    }
    if let Some(system) = own.system.filter(|s| !s.trim().is_empty()) {
        out.system = Some((system.to_owned(), Origin::Conversation));
    }
    let mut seen = BTreeSet::new();
    out.used.retain(|subject| seen.insert(subject.clone()));
    out
}

/// The settings that a preset holds together with what it inherits; `own` leaves out the preset's own.
#[must_use]
pub fn of_preset(presets: &[Preset], name: &str, own: bool) -> Effective {
    let mut out = Effective::default();
    match find(presets, name) {
        Some(preset) if !own => {
            if let Some(parent) = &preset.parent {
                out.lay_preset(presets, parent, &format!("The preset {}", quoted(&preset.name)), |name| Origin::Preset(name.to_owned()));
            }
        }
        _ => out.lay_preset(presets, name, "This", |name| Origin::Preset(name.to_owned())),
    }
    out
}

/// A preset by its name, without regard to case.
#[must_use]
pub fn find<'a>(presets: &'a [Preset], name: &str) -> Option<&'a Preset> {
    let folded = fold(name);
    presets.iter().find(|preset| fold(&preset.name) == folded)
}

/// A name as names are compared.
#[must_use]
pub fn fold(name: &str) -> String {
    name.trim().to_lowercase()
}

struct Missing {
    name: String,
    child: Option<String>,
}

struct Chain<'a> {
    /// The root first.
    presets: Vec<&'a Preset>,
    missing: Option<Missing>,
}

fn chain<'a>(presets: &'a [Preset], name: &str) -> Chain<'a> {
    let mut up: Vec<&Preset> = Vec::new();
    let mut next = Some(name.to_owned());
    let mut missing = None;
    while let Some(name) = next.take() {
        match find(presets, &name) {
            // A circle cannot be saved; if one is there all the same, it ends here.
            Some(preset) if up.iter().any(|known| std::ptr::eq(*known, preset)) => {}
            Some(preset) => {
                up.push(preset);
                next.clone_from(&preset.parent);
            }
            None => missing = Some(Missing { name, child: up.last().map(|child| child.name.clone()) }),
        }
    }
    up.reverse();
    Chain { presets: up, missing }
}

/// The presets that may hold in conversations with a model: those bound to it first, then the free ones, each by name.
#[must_use]
pub fn offered<'a>(presets: &'a [Preset], model: Option<&ModelRef>) -> Vec<&'a Preset> {
    let mut offered: Vec<&Preset> =
        presets.iter().filter(|p| p.kind == PresetKind::Preset && p.model.as_ref().is_none_or(|bound| Some(bound) == model)).collect();
    offered.sort_by_key(|preset| (preset.model.is_none(), fold(&preset.name)));
    offered
}

/// A preset as it may be saved: tidied, and held against everything that a preset must be.
///
/// # Errors
/// [`Kind::Usage`] with what is wrong and what to do.
pub fn checked(presets: &[Preset], preset: Preset, was: Option<&str>) -> Result<Preset> {
    let preset = tidy(preset)?;
    let usage = |text: String| Error::new(Kind::Usage, text);
    let shown = quoted(&preset.name);
    let old = match was {
        Some(was) => Some(find(presets, was).ok_or_else(|| no_preset(presets, was))?),
        None => None,
    };
    let renamed = old.is_none_or(|old| fold(&old.name) != fold(&preset.name));
    if let Some(other) = find(presets, &preset.name).filter(|_| renamed) {
        return Err(usage(format!("There is a {} called {} already.", other.kind.noun(), quoted(&other.name)))
            .hint("Choose another name, or change that one."));
    }
    if old.is_none() && presets.len() >= MOST_PRESETS {
        return Err(usage(format!("There are {MOST_PRESETS} presets already.")).hint("Delete some of them first."));
    }
    if let Some(parent) = &preset.parent {
        let found = find(presets, parent).ok_or_else(|| no_preset(presets, parent))?;
        if found.kind != preset.kind {
            return Err(usage(format!(
                "{} is a {}; a {} inherits from its own kind.",
                quoted(&found.name),
                found.kind.noun(),
                preset.kind.noun()
            )));
        }
        let above = chain(presets, parent).presets;
        let circle = fold(parent) == fold(&preset.name) || old.is_some_and(|old| above.iter().any(|p| fold(&p.name) == fold(&old.name)));
        if circle {
            return Err(usage(format!("{shown} cannot inherit from {}: that one inherits from it.", quoted(&found.name)))
                .hint("Choose another parent, or none."));
        }
    }
    if let Some(old) = old.filter(|old| old.kind != preset.kind) {
        let heirs = presets.iter().any(|p| p.parent.as_deref().is_some_and(|parent| fold(parent) == fold(&old.name)));
        if heirs {
            return Err(usage(format!("Others inherit from {}, so it stays a {}.", quoted(&old.name), old.kind.noun())));
        }
    }
    Ok(preset)
}

/// Everything about a preset that does not depend on others.
///
/// # Errors
/// [`Kind::Usage`].
pub fn tidy(mut preset: Preset) -> Result<Preset> {
    preset.name = name("preset", &preset.name)?;
    preset.parent = preset.parent.map(|parent| name("preset", &parent)).transpose()?;
    preset.about = preset.about.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect::<String>().trim().to_owned();
    preset.system = preset.system.filter(|s| !s.trim().is_empty());
    if preset.system.as_ref().is_some_and(|s| s.len() > LONGEST_SYSTEM) {
        return Err(Error::new(Kind::Usage, format!("The system prompt is longer than {} KiB.", LONGEST_SYSTEM / 1024)));
    }
    for (key, value) in &preset.parameters.0 {
        parameters::check(key, value)?;
        belongs(preset.kind, key)?;
    }
    if preset.kind != PresetKind::Preset && preset.system.is_some() {
        return Err(Error::new(Kind::Usage, format!("A {} has no system prompt.", preset.kind.noun())).hint("A preset may have one."));
    }
    Ok(preset)
}

/// A value as a file gives it, as it is kept: `true` is `on`, a schema may be the text of its JSON, a duration a number of seconds.
///
/// # Errors
/// [`Kind::Usage`] when the parameter is unknown, does not belong into this kind of preset, or takes something else.
pub fn written(kind: PresetKind, key: &str, value: Value) -> Result<Value> {
    let value = match (parameters::find(key).map(|p| p.kind), value) {
        (Some(parameters::Type::Word(words)), Value::Bool(flag)) if words.contains(&"on") => (if flag { "on" } else { "off" }).into(),
        (Some(parameters::Type::Json | parameters::Type::Tools), Value::String(text)) => {
            serde_json::from_str(&text).unwrap_or(Value::String(text))
        }
        (Some(parameters::Type::Duration), Value::Number(number)) => number.to_string().into(),
        (_, value) => value,
    };
    parameters::check(key, &value)?;
    belongs(kind, key)?;
    Ok(value)
}

/// Whether a preset of this kind may hold this parameter.
///
/// # Errors
/// [`Kind::Usage`].
pub fn belongs(kind: PresetKind, key: &str) -> Result<()> {
    let Some(parameter) = parameters::find(key) else { return Ok(()) };
    let (fits, other) = match kind {
        PresetKind::Preset => (true, ""),
        PresetKind::Load => (parameter.starts(), "a template of request parameters"),
        PresetKind::Request => (!parameter.load, "a template of load settings"),
    };
    if fits {
        return Ok(());
    }
    Err(Error::new(Kind::Usage, format!("{key} does not belong into a {}.", kind.noun()))
        .hint(format!("Put it into {other}, or a preset.")))
}

/// A name: one line, not empty, not endless.
///
/// # Errors
/// [`Kind::Usage`].
pub fn name(what: &str, given: &str) -> Result<String> {
    let clean = given.trim();
    let wrong = |text: String| Err(Error::new(Kind::Usage, text));
    if clean.is_empty() {
        return wrong(format!("A {what} needs a name."));
    }
    if clean.chars().any(|c| c.is_control() || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{200B}'..='\u{200F}')) {
        return wrong(format!("The name of a {what} has no control characters: {}.", quoted(clean)));
    }
    if clean.chars().count() > LONGEST_NAME {
        return wrong(format!("The name of a {what} has {LONGEST_NAME} characters at the most."));
    }
    Ok(clean.to_owned())
}

/// That there is no preset of this name, with what may have been meant.
#[must_use]
pub fn no_preset(presets: &[Preset], name: &str) -> Error {
    let error = Error::new(Kind::NotFound, format!("There is no preset called {}.", quoted(name)));
    match super::names::nearest(name, presets.iter().map(|p| p.name.as_str())) {
        Some(near) => error.hint(format!("Did you mean {}?", quoted(near))),
        None if presets.is_empty() => error.hint("`:preset save NAME` makes one of what holds in the conversation."),
        None => error.hint("`arbour presets` lists them."),
    }
}

/// Changes a set of parameters, all or none.
///
/// # Errors
/// [`Kind::Usage`] for an unknown key or a value that does not fit.
pub fn change(parameters: &Parameters, changes: &[(String, Option<Value>)]) -> Result<Parameters> {
    let mut out = parameters.clone();
    for (key, value) in changes {
        match value {
            Some(value) => {
                parameters::check(key, value)?;
                out.0.insert(key.clone(), value.clone());
            }
            None => {
                // An unknown key that is set all the same can be taken away.
                if out.0.remove(key).is_none() && parameters::find(key).is_none() {
                    parameters::parse(key, "")?;
                }
            }
        }
    }
    Ok(out)
}

/// One difference between two states of settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub what: String,
    pub before: Option<String>,
    pub after: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: &Option<String>| value.as_deref().map_or_else(|| "default".to_owned(), short);
        write!(f, "{} {} → {}", self.what, shown(&self.before), shown(&self.after))
    }
}

/// On one line, not long.
fn short(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(33).collect();
    if line.chars().count() > 32 { format!("{}…", line.chars().take(31).collect::<String>()) } else { line }
}

/// What differs between two sets of parameters, in the table's order.
#[must_use]
pub fn differences(before: &Parameters, after: &Parameters) -> Vec<Difference> {
    let mut keys: Vec<&String> = before.0.keys().chain(after.0.keys()).collect();
    let place = |key: &str| parameters::PARAMETERS.iter().position(|p| p.key == key).unwrap_or(usize::MAX);
    keys.sort_by_key(|key| (place(key), key.as_str()));
    keys.dedup();
    let shown = |set: &Parameters, key: &String| set.0.get(key).map(parameters::show);
    keys.into_iter()
        .filter(|key| before.0.get(*key) != after.0.get(*key))
        .map(|key| Difference { what: key.clone(), before: shown(before, key), after: shown(after, key) })
        .collect()
}

/// All of a subject's settings at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    pub parameters: Parameters,
    /// Of a preset: all of it.
    pub preset: Option<Preset>,
    /// What it points to, beside its own parameters.
    pub pointed: Pointed,
}

impl State {
    #[must_use]
    pub fn of_conversation(conversation: &Conversation) -> Self {
        let pointed = Pointed { preset: conversation.row.preset.clone(), system: conversation.system.clone(), ..Pointed::default() };
        Self { parameters: conversation.parameters.clone(), preset: None, pointed }
    }

    #[must_use]
    pub fn of_card(card: &Card) -> Self {
        let pointed = Pointed { preset: card.preset.clone(), load: card.load.clone(), request: card.request.clone(), system: None };
        Self { parameters: card.parameters.clone(), preset: None, pointed }
    }

    #[must_use]
    pub fn of_preset(preset: &Preset) -> Self {
        Self { parameters: preset.parameters.clone(), preset: Some(preset.clone()), pointed: Pointed::default() }
    }

    #[must_use]
    pub fn of_group(group: &Group) -> Self {
        let pointed = Pointed { load: group.load.clone(), request: group.request.clone(), ..Pointed::default() };
        Self { pointed, ..Self::default() }
    }

    /// What is different in `after`.
    #[must_use]
    pub fn differences(&self, after: &Self) -> Vec<Difference> {
        let mut out = Vec::new();
        let mut add = |what: &str, before: Option<&String>, after: Option<&String>| {
            if before != after {
                out.push(Difference { what: what.to_owned(), before: before.cloned(), after: after.cloned() });
            }
        };
        let (was, is) = (self.preset.clone().unwrap_or_default(), after.preset.clone().unwrap_or_default());
        let text = |text: &str| Some(text.to_owned()).filter(|t| !t.is_empty());
        add("name", text(&was.name).as_ref(), text(&is.name).as_ref());
        add("kind", text(was.kind.word()).as_ref(), text(is.kind.word()).as_ref());
        add("parent", was.parent.as_ref(), is.parent.as_ref());
        add("for", was.model.map(|m| m.to_string()).as_ref(), is.model.map(|m| m.to_string()).as_ref());
        add("about", text(&was.about).as_ref(), text(&is.about).as_ref());
        add("preset", self.pointed.preset.as_ref(), after.pointed.preset.as_ref());
        add("load template", self.pointed.load.as_ref(), after.pointed.load.as_ref());
        add("request template", self.pointed.request.as_ref(), after.pointed.request.as_ref());
        add("system prompt", self.pointed.system.as_ref().or(was.system.as_ref()), after.pointed.system.as_ref().or(is.system.as_ref()));
        out.extend(differences(&self.parameters, &after.parameters));
        out
    }

    /// A change to `after`, in words; `None` when nothing is different.
    #[must_use]
    pub fn about(&self, after: &Self) -> Option<String> {
        const MOST: usize = 4;
        let differences = self.differences(after);
        if differences.is_empty() {
            return None;
        }
        let mut words: Vec<String> = differences.iter().take(MOST).map(ToString::to_string).collect();
        if differences.len() > MOST {
            words.push(format!("and {} more", differences.len() - MOST));
        }
        Some(words.join(", "))
    }
}

#[cfg(test)]
mod tests;
