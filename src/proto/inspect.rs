//! All that is known of one model, for `models show` and `I`.

use serde::{Deserialize, Serialize};

use super::{Anatomy, ModelInfo};

/// A file of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelFile {
    pub path: String,
    pub bytes: u64,
}

/// Everything that a backend tells of one model. Texts are as they came: whoever shows them makes them harmless.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inspection {
    pub model: ModelInfo,
    #[serde(default)]
    pub template: Option<String>,
    #[serde(default)]
    pub licence: Option<String>,
    /// The system prompt that it comes with.
    #[serde(default)]
    pub system: Option<String>,
    /// Parameters that it comes with, as the backend writes them.
    #[serde(default)]
    pub parameters: Vec<(String, String)>,
    /// Keys and values, in the file's order; long ones cut, with how long they are.
    #[serde(default)]
    pub metadata: Vec<(String, String)>,
    #[serde(default)]
    pub files: Vec<ModelFile>,
    #[serde(default)]
    pub anatomy: Option<Anatomy>,
    #[serde(default)]
    pub modified: Option<String>,
    #[serde(default)]
    pub digest: Option<String>,
    /// How its server was started, where that is told (secrets removed).
    #[serde(default)]
    pub arguments: Vec<String>,
}

impl Inspection {
    /// A model of which nothing is known beyond what lists tell.
    #[must_use]
    pub fn of(model: ModelInfo) -> Self {
        Self {
            model,
            template: None,
            licence: None,
            system: None,
            parameters: Vec::new(),
            metadata: Vec::new(),
            files: Vec::new(),
            anatomy: None,
            modified: None,
            digest: None,
            arguments: Vec::new(),
        }
    }
}
