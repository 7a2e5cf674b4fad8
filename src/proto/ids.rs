//! Ids are UUIDv7 made by whoever starts the act (mostly a client), so that a command can be sent twice and counts once.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(s: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(s).map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
    )+};
}

ids! {
    /// A conversation.
    ConversationId,
    /// A message of a conversation.
    NodeId,
    /// One attempt to produce an answer.
    RunId,
    /// One command; sent again with the same id it counts once.
    CommandId,
    /// One act on many models.
    JobId,
    /// One client of a host, for as long as that client lives.
    ClientId,
}

/// Where new ids come from. Randomness is passed in, so that tests can count on the ids they get.
#[derive(Debug, Clone)]
pub enum IdGen {
    /// The clock and the system's randomness.
    Real,
    /// `1, 2, 3…` as UUIDv7s of the year 1970, for tests.
    Counting(u64),
}

impl IdGen {
    /// The next id, of whichever type is asked for.
    pub fn fresh<T: From<Uuid>>(&mut self) -> T {
        match self {
            Self::Real => Uuid::now_v7().into(),
            Self::Counting(n) => {
                *n += 1;
                uuid::Builder::from_unix_timestamp_millis(*n, &[0; 10]).into_uuid().into()
            }
        }
    }
}
