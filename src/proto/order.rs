//! What a person keeps about a model, and what its runs tell: the order of the Models screen.

use serde::{Deserialize, Serialize};

use super::{Figure, ModelRef, Parameters, UnixMs};

/// What a person keeps about one model. It outlives the model's absence: a backend that is down takes nothing away.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Card {
    pub favourite: bool,
    /// Not listed unless hidden models are asked for.
    pub hidden: bool,
    /// Never proposed to be stopped to make room.
    pub pinned: bool,
    /// The user's own groups; a model may be in several. Sorted, each once.
    pub groups: Vec<String>,
    /// Sorted, each once.
    pub tags: Vec<String>,
    pub note: String,
    /// The preset that a new conversation with this model begins with.
    pub preset: Option<String>,
    /// Configuration templates that this model points to: of load settings, and of request parameters.
    pub load: Option<String>,
    pub request: Option<String>,
    /// The model's own settings, above its templates. Only what differs.
    pub parameters: Parameters,
}

impl Card {
    /// Whether nothing is kept, so that nothing need be stored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One change of cards, for one model or many.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CardChange {
    Favourite(bool),
    Hidden(bool),
    Pinned(bool),
    Group {
        name: String,
        member: bool,
    },
    Tag {
        name: String,
        on: bool,
    },
    Note(String),
    Preset(Option<String>),
    /// The configuration template for load settings.
    Load(Option<String>),
    /// The configuration template for request parameters.
    Request(Option<String>),
}

/// What the runs of one model say. Percentiles are over the last 200 runs that ended well.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelUse {
    pub runs: u32,
    pub failed: u32,
    pub last: Option<UnixMs>,
    /// Tokens per second while writing, median.
    pub tokens_per_s: Option<f64>,
    /// Milliseconds to the first token, median.
    pub ttft_ms: Option<f64>,
}

/// A loaded model at one moment: what it costs to run. `None` is "not known".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    pub model: ModelRef,
    /// Memory of the machine that it takes, in bytes.
    #[serde(default)]
    pub memory: Option<Figure>,
    /// Memory of GPUs that it takes, in bytes.
    #[serde(default)]
    pub gpu_memory: Option<Figure>,
    /// Percent of one core, of its own process.
    #[serde(default)]
    pub cpu: Option<f32>,
    /// Tokens in its context now, over all slots, and the size of all slots together.
    #[serde(default)]
    pub context_used: Option<u64>,
    #[serde(default)]
    pub context: Option<u64>,
    /// Requests that are worked on, how many can be at once, and how many wait.
    #[serde(default)]
    pub busy: Option<u32>,
    #[serde(default)]
    pub slots: Option<u32>,
    #[serde(default)]
    pub queued: Option<u32>,
    /// When it will be unloaded by itself.
    #[serde(default)]
    pub expires: Option<UnixMs>,
    /// Its process, when it runs on the host's machine and has one of its own.
    #[serde(default)]
    pub pid: Option<u32>,
    /// Where its process listens on its machine: by that the host finds it. Not sent.
    #[serde(skip)]
    pub port: Option<u16>,
    /// When arbour saw it loaded first.
    #[serde(default)]
    pub since: Option<UnixMs>,
}

impl Instance {
    /// An instance of which nothing is known but that it is there.
    #[must_use]
    pub fn of(model: ModelRef) -> Self {
        Self {
            model,
            memory: None,
            gpu_memory: None,
            cpu: None,
            context_used: None,
            context: None,
            busy: None,
            slots: None,
            queued: None,
            expires: None,
            pid: None,
            port: None,
            since: None,
        }
    }

    /// The share of its memory that lies on GPUs, 0 to 1.
    #[must_use]
    pub fn gpu_share(&self) -> Option<f64> {
        let gpu = self.gpu_memory?.value;
        let total = gpu + self.memory.map_or(0.0, |memory| memory.value);
        (total > 0.0).then(|| gpu / total)
    }
}
