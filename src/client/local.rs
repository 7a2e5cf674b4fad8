//! A host in this process: `--in-process`, and tests. Also the door through which the daemon lets others in.
//!
//! Invariant: every frame goes through the same encoding as on the wire, so that what works here works there.

pub use crate::host::{Attached, HostHandle as Door, HostOptions};

use super::link::{Road, Way};
use super::{Client, Introduction, host_gone};
use crate::error::Result;
use crate::proto::wire::{ClientFrame, Hello, HostFrame, Welcome, decode, encode};

/// One client's connection to a host in this process.
pub(super) struct Session(Attached);

impl Door {
    pub(super) async fn enter(&self, hello: Hello) -> Result<(Session, Welcome)> {
        let ClientFrame::Hello(hello) = decode(&encode(&ClientFrame::Hello(hello)))? else { return Err(host_gone()) };
        let (attached, welcome) = self.attach(hello).await?;
        let HostFrame::Welcome(welcome) = decode(&encode(&HostFrame::Welcome(Box::new(welcome))))? else { return Err(host_gone()) };
        Ok((Session(attached), *welcome))
    }
}

impl Session {
    pub(super) async fn send(&self, frame: &ClientFrame) -> Result<()> {
        self.0.send(decode(&encode(frame))?).await
    }

    pub(super) async fn receive(&self) -> Result<HostFrame> {
        match self.0.receive().await {
            Some(frame) => decode(&encode(&frame)),
            None => Err(host_gone()),
        }
    }
}

impl Client {
    /// Attaches to a host of this process.
    ///
    /// # Errors
    /// When that host has ended.
    pub async fn through(door: Door, introduction: Introduction) -> Result<Self> {
        Self::attach(Road::new(Way::Door(door), introduction)).await
    }
}
