//! The format of the lock file: how a client finds the host of a data folder.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::UnixMs;

/// Name of the lock file in the state folder. It is held with an exclusive file lock for as long as the host lives.
pub const LOCK_FILE: &str = "lock";
/// Name of the 0600 file with the token, in the state folder.
pub const TOKEN_FILE: &str = "token";

/// What the holder of the lock wrote into it (JSON).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    pub pid: u32,
    pub started: UnixMs,
    /// Where it listens; `None` for `--in-process`, which cannot be attached to.
    pub socket: Option<String>,
    pub major: u16,
    pub version: String,
    /// TCP address, when it serves.
    #[serde(default)]
    pub listen: Option<String>,
}

impl Lock {
    /// What the holder of the lock in this state folder wrote, if it wrote anything readable. Says nothing about whether it lives.
    #[must_use]
    pub fn read(state: &Path) -> Option<Self> {
        let mut text = Vec::new();
        // A lock is some hundred bytes; whatever else lies there is not read.
        File::open(state.join(LOCK_FILE)).ok()?.take(1 << 16).read_to_end(&mut text).ok()?;
        serde_json::from_slice(&text).ok()
    }
}
