//! What a backend can do with models beyond answering, and what it tells by itself.

use crate::error::{Error, Kind};
use crate::proto::Layer;

/// What a backend can do with its models. What it cannot do is refused by [`refuse`], with a sentence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a set of independent abilities, read by name")]
pub struct Abilities {
    pub start: bool,
    pub stop: bool,
    /// Fetch a model from a registry.
    pub pull: bool,
    pub copy: bool,
    pub remove: bool,
    /// It unloads idle models by itself when told so (`keep_alive`); else the host does where `stop` is there.
    pub idle: bool,
}

/// How far a pull has come.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PullProgress {
    /// Everything that is to be fetched, in order. A layer that was there before counts as done.
    pub layers: Vec<Layer>,
    /// What it does when it is not fetching (`verifying`, `writing`), in the backend's word.
    pub stage: Option<String>,
    /// All bytes are there and are being checked.
    pub checking: bool,
}

/// Something that a backend told by itself. It is a reason to look, except where it carries what nobody could ask for later.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// The list of models, or the state of some, is not what it was.
    Models,
    /// A model is being loaded: 0 to 1000.
    Loading { model: String, permille: u16 },
    /// It was loaded, and is not any more, though nobody here stopped it: made room for that other one, as far as it shows.
    Evicted { model: String, room_for: Option<String> },
    /// Loading it failed, or it ended in a fault.
    Failed { model: String, error: Error },
}

/// The refusal of something that a backend of this kind cannot do.
pub(crate) fn refuse(backend: &str, what: &str, instead: &str) -> Error {
    Error::new(Kind::Unsupported, format!("The backend {} cannot {what}.", crate::error::quoted(backend))).hint(instead)
}
