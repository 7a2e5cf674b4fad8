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
    /// A folder of conversations.
    FolderId,
    /// One command; sent again with the same id it counts once.
    CommandId,
    /// One act on many models.
    JobId,
    /// One client of a host, for as long as that client lives.
    ClientId,
}

/// Ids that follow from one that is passed in: the same each time, in rising order. For messages that are copied many at a time.
#[derive(Debug, Clone)]
pub struct Derived(u128);

impl Derived {
    #[must_use]
    pub fn from(seed: Uuid) -> Self {
        Self(seed.as_u128())
    }

    /// The next id. Version and variant of the seed stay: only the low 62 bits count on.
    pub fn fresh<T: From<Uuid>>(&mut self) -> T {
        const LOW: u128 = (1 << 62) - 1;
        self.0 = (self.0 & !LOW) | (self.0.wrapping_add(1) & LOW);
        Uuid::from_u128(self.0).into()
    }
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
