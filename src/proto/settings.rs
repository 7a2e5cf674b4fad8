//! Settings of models and conversations: presets, templates, and the versions of each.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{ConversationId, ModelRef, NodeId, Parameters, UnixMs};

/// What a preset may hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PresetKind {
    /// Anything; a conversation has one, switched by a key.
    #[default]
    Preset,
    /// A configuration template of load settings only; models and groups point to it.
    Load,
    /// A configuration template of request parameters only; models and groups point to it.
    Request,
}

impl PresetKind {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Preset => "preset",
            Self::Load => "load",
            Self::Request => "request",
        }
    }

    /// What people call it.
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::Preset => "preset",
            Self::Load => "load template",
            Self::Request => "request template",
        }
    }
}

/// Named settings. They inherit from `parent`, and lie over it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Preset {
    /// Unique over all kinds, compared without regard to case.
    pub name: String,
    pub kind: PresetKind,
    /// Another of the same kind. Never itself, never in a circle.
    pub parent: Option<String>,
    /// Offered for this model only.
    pub model: Option<ModelRef>,
    pub about: String,
    pub system: Option<String>,
    /// Only what differs from the parent.
    pub parameters: Parameters,
}

/// Whose settings.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    Conversation(ConversationId),
    Model(ModelRef),
    Preset(String),
    /// A group of models: the templates that it points to.
    Group(String),
}

impl fmt::Display for Subject {
    /// As versions store it: `conversation:ID`, `model:BACKEND/NAME`, `preset:NAME`, `group:NAME`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conversation(id) => write!(f, "conversation:{id}"),
            Self::Model(model) => write!(f, "model:{model}"),
            Self::Preset(name) => write!(f, "preset:{name}"),
            Self::Group(name) => write!(f, "group:{name}"),
        }
    }
}

/// What a group of models points to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Group {
    pub load: Option<String>,
    pub request: Option<String>,
}

/// What a subject points to beside its own parameters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pointed {
    /// Of a conversation: the preset that holds. Of a model: the one that new conversations begin with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// Of a model or a group: its templates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// Of a conversation: its system prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
}

/// One state of a subject's settings, kept for ever.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// Counts from 1 for each subject.
    pub number: u32,
    pub at: UnixMs,
    /// What was changed, in words: `temperature 0.8 → 0.2`.
    pub about: String,
    pub parameters: Parameters,
    /// Of a preset: all of it as it was.
    #[serde(default)]
    pub preset: Option<Preset>,
    #[serde(default)]
    pub pointed: Pointed,
    /// How many runs used it, and the last of them.
    #[serde(default)]
    pub runs: u32,
    #[serde(default)]
    pub last_run: Option<UsedBy>,
}

/// A run that used a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UsedBy {
    pub conversation: ConversationId,
    pub node: NodeId,
    pub title: String,
    pub at: UnixMs,
}
