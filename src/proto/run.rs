//! The measured answer: its states, its figures and where each figure comes from.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{ModelRef, RunId, UnixMs};
use crate::error::Error;

/// The state of a message, in words that tests and `--json` may rely on.
///
/// An answer goes `queued connecting waiting loading reading thinking writing` (some may be skipped, `thinking` and `writing`
/// may alternate), then ends as `done`, `stopped` or `failed`. A user message is `queued`, `sent` (committed by the host: ✓) or
/// `accepted` (the model has read it: ✓✓).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Queued,
    Connecting,
    Waiting,
    Loading,
    Reading,
    Thinking,
    Writing,
    Done,
    Stopped,
    Failed,
    Sent,
    Accepted,
}

impl State {
    /// The word itself.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Connecting => "connecting",
            Self::Waiting => "waiting",
            Self::Loading => "loading",
            Self::Reading => "reading",
            Self::Thinking => "thinking",
            Self::Writing => "writing",
            Self::Done => "done",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Sent => "sent",
            Self::Accepted => "accepted",
        }
    }

    /// Reads a word that [`State::word`] wrote.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        const ALL: [State; 12] = [
            State::Queued,
            State::Connecting,
            State::Waiting,
            State::Loading,
            State::Reading,
            State::Thinking,
            State::Writing,
            State::Done,
            State::Stopped,
            State::Failed,
            State::Sent,
            State::Accepted,
        ];
        ALL.into_iter().find(|state| state.word() == word)
    }

    /// Whether an answer in this state is still being produced.
    #[must_use]
    pub fn is_running(self) -> bool {
        matches!(self, Self::Queued | Self::Connecting | Self::Waiting | Self::Loading | Self::Reading | Self::Thinking | Self::Writing)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Why an answer ended, apart from how ([`State`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// The model came to an end, or met a stop sequence.
    Stop,
    /// `max_tokens` or the context was reached.
    Length,
    /// The model asks for tools.
    ToolCalls,
    /// The service cut it.
    ContentFilter,
    /// A person stopped it.
    Cancelled,
    /// It failed; the run's error says how.
    Error,
    /// The host ended (or was killed) while it ran.
    HostStopped,
    /// A reason that arbour does not know, in the server's word (made harmless).
    Other(String),
}

/// Where a figure comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    Server,
    Measured,
    Estimated,
}

/// A number and where it comes from. Shown with `~` when estimated.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    pub value: f64,
    pub source: Source,
}

impl Figure {
    #[must_use]
    pub fn server(value: f64) -> Self {
        Self { value, source: Source::Server }
    }
    #[must_use]
    pub fn measured(value: f64) -> Self {
        Self { value, source: Source::Measured }
    }
    #[must_use]
    pub fn estimated(value: f64) -> Self {
        Self { value, source: Source::Estimated }
    }
}

/// What is known of a run in numbers. `None` is "not known" and is shown as `–`, never as 0. Times in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Figures {
    /// From the command to the first byte sent to the backend.
    pub queued_ms: Option<Figure>,
    /// Until the connection stood.
    pub connect_ms: Option<Figure>,
    /// Loading the model.
    pub load_ms: Option<Figure>,
    /// Reading the prompt.
    pub prompt_ms: Option<Figure>,
    /// From the request to the first token (of thinking or text).
    pub ttft_ms: Option<Figure>,
    /// Writing, from the first token to the last.
    pub generate_ms: Option<Figure>,
    /// Of that, thinking.
    pub thinking_ms: Option<Figure>,
    /// Everything, from the command to the end.
    pub total_ms: Option<Figure>,
    /// Tokens of the prompt, cached ones included.
    pub prompt_tokens: Option<Figure>,
    /// Tokens of the prompt that the server's cache already had.
    pub cached_tokens: Option<Figure>,
    /// Tokens produced, thinking included.
    pub completion_tokens: Option<Figure>,
    /// Of these, thinking.
    pub thinking_tokens: Option<Figure>,
    /// Tokens per second while reading the prompt.
    pub prompt_per_s: Option<Figure>,
    /// Tokens per second while writing.
    pub tokens_per_s: Option<Figure>,
    /// The context in force, in tokens.
    pub context: Option<Figure>,
    /// Money, in the currency of the price table.
    pub cost: Option<Figure>,
}

impl Figures {
    /// Takes from `newer` whatever it knows; keeps the rest.
    pub fn merge(&mut self, newer: &Self) {
        macro_rules! take {
            ($($field:ident),+ $(,)?) => { $( if newer.$field.is_some() { self.$field = newer.$field; } )+ };
        }
        take!(
            queued_ms,
            connect_ms,
            load_ms,
            prompt_ms,
            ttft_ms,
            generate_ms,
            total_ms,
            prompt_tokens,
            cached_tokens,
            completion_tokens,
            prompt_per_s,
            tokens_per_s,
            context,
            cost,
            thinking_ms,
            thinking_tokens,
        );
    }
}

/// How far a running answer is, beyond its [`State`]. Units depend on the state: tokens while reading, permille while loading.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    pub done: Option<u64>,
    pub total: Option<u64>,
    /// How many requests are ahead, while waiting, where the server tells.
    pub ahead: Option<u32>,
    /// When this state began.
    pub since: UnixMs,
    /// The attempt before this failed; when the next one begins, by the host's clock.
    pub retry_at: Option<UnixMs>,
    /// Which attempt this is, from 2; 0 for the first.
    pub attempt: u32,
    /// How many there will be at most.
    pub attempts: u32,
    /// Why the attempt before this failed: a few words (`refused`, `429`).
    pub why: String,
    /// A summary of so many messages is being written, which is sent in their place; 0: none.
    pub summarising: u32,
}

/// An attempt that failed before its first token and was made again by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    pub at: UnixMs,
    pub error: Error,
}

/// What of the conversation a prompt did without, because it would not have fitted the context.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LeftOut {
    /// The messages that were not sent, in order.
    pub nodes: Vec<super::NodeId>,
    /// What they would have taken, in tokens; an estimate.
    pub tokens: u32,
    /// What was sent in their place: a summary that a model wrote.
    pub summary: Option<String>,
}

/// One attempt to produce an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub id: RunId,
    pub model: ModelRef,
    /// When the command was accepted.
    pub started: UnixMs,
    #[serde(default)]
    pub finished: Option<UnixMs>,
    #[serde(default)]
    pub finish: Option<Finish>,
    #[serde(default)]
    pub error: Option<Error>,
    #[serde(default)]
    pub progress: Progress,
    #[serde(default)]
    pub figures: Figures,
    /// Each state that it was in, with when it began.
    #[serde(default)]
    pub timeline: Vec<(State, UnixMs)>,
    /// Attempts that failed before this one.
    #[serde(default)]
    pub failed: Vec<Attempt>,
    #[serde(default)]
    pub left_out: Option<LeftOut>,
}

impl Run {
    /// A run that begins now.
    #[must_use]
    pub fn new(id: RunId, model: ModelRef, started: UnixMs) -> Self {
        Self {
            id,
            model,
            started,
            finished: None,
            finish: None,
            error: None,
            progress: Progress { since: started, ..Progress::default() },
            figures: Figures::default(),
            timeline: vec![(State::Queued, started)],
            failed: Vec::new(),
            left_out: None,
        }
    }

    /// It is in this state since then. Between thinking and writing a model may go back and forth without end: of a long timeline the
    /// beginning and the end are kept.
    pub fn enter(&mut self, state: State, at: UnixMs) {
        const LONGEST: usize = 64;
        if self.timeline.last().is_some_and(|(last, _)| *last == state) {
            return;
        }
        if self.timeline.len() >= LONGEST {
            self.timeline.pop();
        }
        self.timeline.push((state, at));
    }
}
