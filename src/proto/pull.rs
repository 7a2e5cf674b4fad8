//! Downloads: where each stands, and how much of what.

use serde::{Deserialize, Serialize};

use super::{ModelRef, UnixMs};
use crate::error::Error;

/// Where a download stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DownloadState {
    /// Its turn has not come.
    Queued,
    Running,
    Checking,
    /// A person paused it; what came is kept.
    Paused,
    Done,
    Failed,
    Cancelled,
}

impl DownloadState {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Checking => "checking",
            Self::Paused => "paused",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more will happen unless a person asks for it.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }
}

/// One file or layer of a download.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    /// A file's name, or the first figures of a digest.
    pub name: String,
    pub done_bytes: u64,
    #[serde(default)]
    pub total_bytes: Option<u64>,
    /// Of the whole file, in hexadecimal, once somebody said it or all of it was read.
    #[serde(default)]
    pub sha256: Option<String>,
}

/// Something being fetched. `key` names it: "starter", or what was asked for as `backend/source`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Download {
    pub key: String,
    /// Where it goes.
    #[serde(default)]
    pub backend: String,
    /// What was asked for: a model's name at a registry, an address, `owner/name/file.gguf`.
    #[serde(default)]
    pub source: String,
    #[serde(default)]
    pub asked: UnixMs,
    pub state: DownloadState,
    pub done_bytes: u64,
    #[serde(default)]
    pub total_bytes: Option<u64>,
    /// Smoothed, bytes per second.
    #[serde(default)]
    pub bytes_per_s: Option<f64>,
    /// Files or layers, where there are several.
    #[serde(default)]
    pub layers: Vec<Layer>,
    /// What the backend says that it does, when that is not fetching (made harmless).
    #[serde(default)]
    pub stage: Option<String>,
    #[serde(default)]
    pub error: Option<Error>,
    /// What a person should know of the end beside its state: a sentence (that nothing vouched for the file, that it cannot be run).
    #[serde(default)]
    pub note: Option<String>,
    /// The model that it became, when done.
    #[serde(default)]
    pub model: Option<ModelRef>,
}

impl Download {
    /// One whose turn has not come.
    #[must_use]
    pub fn queued(key: &str, backend: &str, source: &str, asked: UnixMs) -> Self {
        Self {
            key: key.to_owned(),
            backend: backend.to_owned(),
            source: source.to_owned(),
            asked,
            state: DownloadState::Queued,
            done_bytes: 0,
            total_bytes: None,
            bytes_per_s: None,
            layers: Vec::new(),
            stage: None,
            error: None,
            note: None,
            model: None,
        }
    }

    /// Seconds until it is there, from the smoothed rate; `None` where that is not known.
    #[must_use]
    pub fn eta_s(&self) -> Option<u64> {
        let left = self.total_bytes?.checked_sub(self.done_bytes)?;
        let rate = self.bytes_per_s.filter(|rate| *rate >= 1.0)?;
        // Bounded: a year is as good as never.
        Some((left as f64 / rate).min(31_536_000.0) as u64)
    }
}
