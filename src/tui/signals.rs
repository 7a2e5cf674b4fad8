//! Signals that concern a screen: the ends of its terminal, and the shell's `fg`.

use super::msg::Msg;

/// Signals that concern a screen.
pub struct Signals {
    terminate: Option<tokio::signal::unix::Signal>,
    hangup: Option<tokio::signal::unix::Signal>,
    interrupt: Option<tokio::signal::unix::Signal>,
    pub(super) resumed: Option<tokio::signal::unix::Signal>,
}

impl Signals {
    /// Begins to listen. What cannot be listened to is left to the system.
    #[must_use]
    pub fn listen() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        Self {
            terminate: signal(SignalKind::terminate()).ok(),
            hangup: signal(SignalKind::hangup()).ok(),
            interrupt: signal(SignalKind::interrupt()).ok(),
            resumed: signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw())).ok(),
        }
    }

    /// None at all, for tests.
    #[must_use]
    pub fn none() -> Self {
        Self { terminate: None, hangup: None, interrupt: None, resumed: None }
    }

    pub(super) async fn next(&mut self) -> Msg {
        async fn one(signal: &mut Option<tokio::signal::unix::Signal>) {
            match signal {
                Some(signal) => {
                    if signal.recv().await.is_none() {
                        std::future::pending::<()>().await;
                    }
                }
                None => std::future::pending().await,
            }
        }
        tokio::select! {
            () = one(&mut self.terminate) => Msg::Terminated,
            () = one(&mut self.hangup) => Msg::Terminated,
            () = one(&mut self.interrupt) => Msg::Terminated,
            () = one(&mut self.resumed) => Msg::Resumed,
        }
    }
}
