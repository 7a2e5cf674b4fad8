//! Bulk work: one act on many models, with a state for each and one summary.

use serde::{Deserialize, Serialize};

use super::{JobId, ModelRef, Parameters, UnixMs};
use crate::error::Error;

/// What is done to each model of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobAct {
    Start,
    Stop,
    /// Stops it when it is loaded, then starts it with the settings of now.
    Reload,
    /// Deletes the model's files at its backend.
    Remove,
    /// Pulls the model again from where it came.
    Pull,
}

impl JobAct {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Reload => "reload",
            Self::Remove => "remove",
            Self::Pull => "pull",
        }
    }
}

/// Where one model of a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    Waiting,
    Running,
    Done,
    Failed,
    Cancelled,
}

/// One model of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobItem {
    pub model: ModelRef,
    pub state: JobState,
    /// While it runs, where the backend tells: 0 to 1000.
    #[serde(default)]
    pub permille: Option<u16>,
    #[serde(default)]
    pub error: Option<Error>,
    /// While it runs: when it began, or was seen to come further last. Long ago means that the backend may hang; nothing is killed
    /// unasked.
    #[serde(default)]
    pub moved: Option<UnixMs>,
}

impl JobItem {
    /// A model whose turn has not come.
    #[must_use]
    pub fn waiting(model: ModelRef) -> Self {
        Self { model, state: JobState::Waiting, permille: None, error: None, moved: None }
    }
}

/// One act on many models. What fails does not stop the rest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    pub id: JobId,
    pub act: JobAct,
    /// Load settings over each model's own.
    #[serde(default)]
    pub parameters: Parameters,
    pub started: UnixMs,
    #[serde(default)]
    pub finished: Option<UnixMs>,
    pub items: Vec<JobItem>,
}

impl Job {
    #[must_use]
    pub fn count(&self, state: JobState) -> usize {
        self.items.iter().filter(|item| item.state == state).count()
    }
}
