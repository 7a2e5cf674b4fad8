//! Whose settings a form shows, and its rows. Reads only.

use std::collections::BTreeMap;

use crate::core::parameters::{self, PARAMETERS, Parameter, Problem};
use crate::core::settings::{self, Effective, Own, Sources};
use crate::proto::{BackendKind, Card, ModelInfo, ModelRef, ModelState, Parameters, Preset, PresetKind, Subject};
use crate::tui::shared::Shared;
use crate::tui::text::width::drawable;

/// Whose settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Of {
    /// Of the conversation in view, or of the one that begins with the next message.
    Here,
    Model(ModelRef),
    Preset(String),
}

/// A row that is no parameter: something that the settings point to, or their text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// The preset of the conversation, or that new ones with the model begin with.
    Preset,
    Load,
    Request,
    Parent,
    System,
}

impl Slot {
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Preset => "preset",
            Self::Load => "load template",
            Self::Request => "request template",
            Self::Parent => "inherits from",
            Self::System => "system prompt",
        }
    }

    #[must_use]
    pub fn about(self, of: &Of) -> &'static str {
        match (self, of) {
            (Self::Preset, Of::Model(_)) => "The preset that new conversations with this model begin with",
            (Self::Preset, _) => "Named settings that lie under those of the conversation",
            (Self::Load, _) => "A template of load settings that lies under those of the model",
            (Self::Request, _) => "A template of parameters that lies under those of the model",
            (Self::Parent, _) => "Everything that is not set here comes from there",
            (Self::System, _) => "What the model should be and do; opens in $EDITOR",
        }
    }
}

/// A row of the form.
#[derive(Debug, Clone, Copy)]
pub enum Row {
    Heading(&'static str),
    Slot(Slot),
    Field(&'static Parameter),
}

/// Everything that a form shows at one moment.
pub struct Facts {
    pub kind: Option<BackendKind>,
    pub own: Parameters,
    pub all: Effective,
    pub problems: Vec<Problem>,
    /// The model is loaded, so that a change of its load settings needs a reload.
    pub loaded: bool,
}

impl Of {
    #[must_use]
    pub fn title(&self, shared: &Shared) -> String {
        match self {
            Self::Here => match shared.model() {
                Some(model) => format!("Parameters of this conversation · {}", drawable(&model.to_string())),
                None => "Parameters of this conversation".to_owned(),
            },
            Self::Model(model) => format!("Settings of {}", drawable(&model.to_string())),
            Self::Preset(name) => {
                let kind = self.preset(shared).map_or(PresetKind::Preset, |preset| preset.kind);
                format!("The {} {}", kind.noun(), drawable(name))
            }
        }
    }

    /// Whose versions these settings have; `None` for a conversation that is not at the host yet.
    #[must_use]
    pub fn subject(&self, shared: &Shared) -> Option<Subject> {
        match self {
            Self::Here => shared.view.conversation.map(Subject::Conversation),
            Self::Model(model) => Some(Subject::Model(model.clone())),
            Self::Preset(name) => Some(Subject::Preset(name.clone())),
        }
    }

    /// The model that they are for.
    #[must_use]
    pub fn model(&self, shared: &Shared) -> Option<ModelRef> {
        match self {
            Self::Here => shared.model(),
            Self::Model(model) => Some(model.clone()),
            Self::Preset(_) => self.preset(shared)?.model.clone(),
        }
    }

    #[must_use]
    pub fn preset<'a>(&self, shared: &'a Shared) -> Option<&'a Preset> {
        match self {
            Self::Preset(name) => settings::find(&shared.replica.presets, name),
            Self::Here | Self::Model(_) => None,
        }
    }

    fn own(&self, shared: &Shared) -> Parameters {
        match self {
            Self::Here => shared.parameters().clone(),
            Self::Model(model) => shared.replica.model(model).map(|info| info.card.parameters.clone()).unwrap_or_default(),
            Self::Preset(_) => self.preset(shared).map(|preset| preset.parameters.clone()).unwrap_or_default(),
        }
    }

    fn all(&self, shared: &Shared) -> Effective {
        match self {
            Self::Here => shared.settings(),
            Self::Model(model) => {
                let none = Card::default();
                let card = shared.replica.model(model).map_or(&none, |info| &info.card);
                let replica = &shared.replica;
                let sources = Sources { presets: &replica.presets, groups: &replica.groups, model: Some((model, card)) };
                settings::effective(sources, Own::default())
            }
            Self::Preset(name) => settings::of_preset(&shared.replica.presets, name, true),
        }
    }

    #[must_use]
    pub fn facts(&self, shared: &Shared) -> Facts {
        let info: Option<&ModelInfo> = self.model(shared).and_then(|model| shared.replica.model(&model));
        let all = self.all(shared);
        let facts = parameters::Facts {
            kind: info.map(|info| info.kind),
            context: info.and_then(|info| info.context),
            context_max: info.and_then(|info| info.context_max),
        };
        Facts {
            kind: facts.kind,
            own: self.own(shared),
            problems: parameters::problems(&all.parameters(), facts),
            all,
            loaded: info.is_some_and(|info| matches!(info.state, ModelState::Loaded | ModelState::Sleeping)),
        }
    }

    /// The name that a slot points to.
    #[must_use]
    pub fn pointed(&self, slot: Slot, shared: &Shared) -> Option<String> {
        let card = |model| shared.replica.model(model).map(|info| &info.card);
        match (self, slot) {
            (Self::Here, Slot::Preset) => shared.preset().map(str::to_owned),
            (Self::Here, Slot::System) => shared.system().map(str::to_owned),
            (Self::Model(model), Slot::Preset) => card(model)?.preset.clone(),
            (Self::Model(model), Slot::Load) => card(model)?.load.clone(),
            (Self::Model(model), Slot::Request) => card(model)?.request.clone(),
            (Self::Preset(_), Slot::Parent) => self.preset(shared)?.parent.clone(),
            (Self::Preset(_), Slot::System) => self.preset(shared)?.system.clone(),
            _ => None,
        }
    }

    /// The rows, those that contain `filter` in their name or help. What is set and not taken stands under a heading of its own.
    #[must_use]
    pub fn rows(&self, facts: &Facts, shared: &Shared, filter: &str) -> Vec<Row> {
        let fits =
            |texts: [&str; 2]| filter.split_whitespace().all(|word| texts.iter().any(|t| t.to_lowercase().contains(&word.to_lowercase())));
        let preset = self.preset(shared).map_or(PresetKind::Preset, |preset| preset.kind);
        let slots: &[Slot] = match self {
            Self::Here => &[Slot::Preset, Slot::System],
            Self::Model(_) => &[Slot::Preset, Slot::Load, Slot::Request],
            Self::Preset(_) if preset == PresetKind::Preset => &[Slot::Parent, Slot::System],
            Self::Preset(_) => &[Slot::Parent],
        };
        let mut rows: Vec<Row> = slots.iter().filter(|slot| fits([slot.label(), slot.about(self)])).map(|slot| Row::Slot(*slot)).collect();
        let mut sections: BTreeMap<_, Vec<&'static Parameter>> = BTreeMap::new();
        let mut foreign = Vec::new();
        for parameter in PARAMETERS.iter().filter(|p| fits([p.key, p.about])) {
            let belongs = settings::belongs(preset, parameter.key).is_ok();
            if belongs && facts.kind.is_none_or(|kind| parameter.kinds.contains(&kind)) {
                sections.entry(parameter.section).or_default().push(parameter);
            } else if facts.all.values.contains_key(parameter.key) {
                foreign.push(parameter);
            }
        }
        for (section, parameters) in sections {
            rows.push(Row::Heading(section.title()));
            rows.extend(parameters.into_iter().map(Row::Field));
        }
        if !foreign.is_empty() {
            rows.push(Row::Heading("Set, and not taken by this backend"));
            rows.extend(foreign.into_iter().map(Row::Field));
        }
        rows
    }
}
