//! The frames on the wire: MessagePack with named fields, one frame in one binary WebSocket message.
//!
//! A connection begins with the client's [`Hello`]; the host answers [`HostFrame::Welcome`] or [`HostFrame::Refused`] and, after
//! a refusal, closes. Both ends are authenticated by the token that lies in a 0600 file beside the lock.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Ack, ClientId, Command, CommandId, Event, Query, Reply, Snapshot};
use crate::error::{Error, Kind, Result};

/// The WebSocket sub-protocol.
pub const SUBPROTOCOL: &str = "arbour.v1.msgpack";
/// Longest frame in bytes that either end accepts: a conversation of 10,000 long messages fits, a runaway peer does not.
pub const MAX_FRAME: usize = 64 << 20;

/// Longest frame in bytes that a host accepts from a client: the longest prompt, by far.
pub const MAX_CLIENT_FRAME: usize = 16 << 20;
/// How many clients' frames may wait for their answer before the host stops reading from that client.
pub const MAX_UNANSWERED: usize = 32;

/// The first frame of a client. Its shape stays over majors, so that two versions can at least tell each other apart.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    pub major: u16,
    pub minor: u16,
    /// The binary's own version.
    pub version: String,
    pub token: String,
    pub client: ClientId,
    /// The last event that this client has applied, when it comes back.
    #[serde(default)]
    pub last_seq: Option<u64>,
    /// A person looks at this client: a screen.
    #[serde(default)]
    pub screen: bool,
    /// Of another major: end, if nobody is attached and nothing goes on, so that this client's version can take over.
    #[serde(default)]
    pub replace: bool,
    /// Values of environment variables that the configuration names, for a host that lacks them. Kept in memory only.
    #[serde(default)]
    pub env: Vec<(String, String)>,
}

impl std::fmt::Debug for Hello {
    /// Without the token and the environment's values: this may reach a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hello")
            .field("major", &self.major)
            .field("version", &self.version)
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

/// The host's answer to [`Hello`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    pub major: u16,
    pub minor: u16,
    pub version: String,
    pub pid: u32,
    /// The host was made to stay (`arbour serve`).
    pub kept: bool,
    pub snapshot: Snapshot,
}

/// Client to host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ClientFrame {
    Hello(Hello),
    Command { id: CommandId, command: Command },
    Query { id: u64, query: Query },
}

/// Host to client. A second `Welcome` on the same connection says that events were left out (the client was slow): its snapshot
/// replaces what the client has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum HostFrame {
    Welcome(Box<Welcome>),
    Refused(Error),
    Event(Box<Event>),
    Ack { id: CommandId, result: Result<Ack, Error> },
    Reply { id: u64, result: Result<Reply, Error> },
}

/// Writes a frame.
#[must_use]
pub fn encode<T: Serialize>(frame: &T) -> Vec<u8> {
    // Only maps with non-string keys can fail, and proto has none.
    rmp_serde::to_vec_named(frame).unwrap_or_default()
}

/// Reads a frame.
///
/// # Errors
/// [`Kind::Malformed`] when the bytes are not such a frame.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    rmp_serde::from_slice(bytes)
        .map_err(|e| Error::new(Kind::Malformed, "The other end sent a message that this version does not understand.").cause(e))
}
