//! Whether an attempt that failed before its first token is made again by itself, and when.
//!
//! Owns: the policy. Refuses: clocks, randomness (a fraction is passed in), and to know whether a token came: whoever asks has looked.
//! Invariant: a server that says how long to wait is never asked sooner; what waiting cannot mend is never asked again.

use std::time::Duration;

use crate::error::{Error, Kind};

/// The pause after the first failure; it doubles with each further one.
const FIRST: Duration = Duration::from_secs(1);
/// The longest pause that arbour chooses by itself.
const LONGEST: Duration = Duration::from_secs(30);
/// The longest pause that a server may ask for. Beyond it a person has left the screen, and an answer that comes by itself at some time
/// surprises more than it helps.
const LONGEST_ASKED: Duration = Duration::from_secs(5 * 60);
/// How far a pause is moved, up and down, so that many who were sent away together do not come back together.
const JITTER: f64 = 0.25;

/// What follows a failed attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// It is made again after this pause.
    Again(Duration),
    /// It is not: the failure stands.
    Stands,
    /// The server asks for a longer pause than arbour waits by itself.
    TooLong(Duration),
}

/// What follows. `failed` attempts were made, this one included; `retries` more are allowed in all; `fraction` is drawn from 0 to 1.
#[must_use]
pub fn next(error: &Error, failed: u32, retries: u32, fraction: f64) -> Next {
    if retries == 0 || error.lasting || !is_passing(error.kind) {
        return Next::Stands;
    }
    let asked = error.retry_after_ms.map(Duration::from_millis);
    if let Some(asked) = asked.filter(|asked| *asked > LONGEST_ASKED) {
        return Next::TooLong(asked);
    }
    if failed > retries {
        return Next::Stands;
    }
    let doubled = FIRST.saturating_mul(1 << failed.saturating_sub(1).min(16)).min(LONGEST);
    let fraction = fraction.clamp(0.0, 1.0);
    let own = doubled.mul_f64(1.0 - JITTER + 2.0 * JITTER * fraction);
    // What a server asks for is only made longer, by a second at most.
    let asked = asked.map(|asked| asked + Duration::from_secs(1).mul_f64(fraction));
    Next::Again(asked.map_or(own, |asked| asked.max(own)))
}

/// Failures that may be over in a moment, where nobody did anything wrong.
fn is_passing(kind: Kind) -> bool {
    match kind {
        Kind::Unreachable | Kind::Refused | Kind::Disconnected | Kind::RateLimited | Kind::Server | Kind::Starting => true,
        Kind::Tls
        | Kind::Unauthorized
        | Kind::ModelMissing
        | Kind::NoModel
        | Kind::ContextExceeded
        | Kind::Malformed
        | Kind::Unsupported
        | Kind::BadRequest
        | Kind::DiskFull
        | Kind::ReadOnly
        | Kind::File
        | Kind::Locked
        | Kind::DatabaseNewer
        | Kind::DatabaseCorrupt
        | Kind::Version
        | Kind::HostGone
        | Kind::Busy
        | Kind::Config
        | Kind::Usage
        | Kind::NotFound
        | Kind::Cancelled
        | Kind::Internal => false,
    }
}

/// Whether a backend with this failure was not there at all, so that its coming back mends it.
#[must_use]
pub fn is_absence(kind: Kind) -> bool {
    matches!(kind, Kind::Unreachable | Kind::Refused | Kind::Disconnected | Kind::Starting)
}

/// Why an attempt failed, in the few words that a line has room for.
#[must_use]
pub fn why(error: &Error) -> String {
    let status = || error.cause.as_deref()?.strip_prefix("HTTP ")?.get(..3).filter(|code| code.bytes().all(|b| b.is_ascii_digit()));
    match error.kind {
        Kind::Refused => "refused".to_owned(),
        Kind::Unreachable => "no answer".to_owned(),
        Kind::Disconnected => "broken off".to_owned(),
        Kind::Starting => "still loading".to_owned(),
        Kind::RateLimited => status().unwrap_or("429").to_owned(),
        Kind::Server => status().map_or_else(|| "failed".to_owned(), str::to_owned),
        _ => "failed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRIES: u32 = 4;

    fn failed(kind: Kind) -> Error {
        Error::new(kind, "No.")
    }

    #[test]
    fn pauses_double_within_a_quarter_and_end_after_the_last_attempt() {
        let error = failed(Kind::Refused);
        for (at, seconds) in [(1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (5, 16.0), (6, 30.0), (40, 30.0)] {
            let pause = |fraction| match next(&error, at, 50, fraction) {
                Next::Again(pause) => pause.as_secs_f64(),
                other => panic!("{other:?}"),
            };
            assert!((pause(0.0) - seconds * 0.75).abs() < 1e-6 && (pause(1.0) - seconds * 1.25).abs() < 1e-6, "{at}");
            assert!((pause(0.5) - seconds).abs() < 1e-6 && (pause(7.0) - seconds * 1.25).abs() < 1e-6, "{at}");
        }
        assert!(matches!(next(&error, 4, RETRIES, 0.5), Next::Again(_)));
        assert_eq!(next(&error, 5, RETRIES, 0.5), Next::Stands, "five attempts in all");
        assert_eq!(next(&error, 1, 0, 0.5), Next::Stands, "turned off");
    }

    #[test]
    fn a_server_is_never_asked_sooner_than_it_said() {
        for fraction in [0.0, 0.3, 1.0] {
            for ms in [0, 400, 7_000, 300_000] {
                let error = Error { retry_after_ms: Some(ms), ..failed(Kind::RateLimited) };
                let Next::Again(pause) = next(&error, 1, RETRIES, fraction) else { panic!("{ms}") };
                assert!(pause >= Duration::from_millis(ms) && pause <= Duration::from_millis(ms + 1_250), "{ms}: {pause:?}");
            }
        }
        let error = Error { retry_after_ms: Some(300_001), ..failed(Kind::RateLimited) };
        assert_eq!(next(&error, 1, RETRIES, 0.5), Next::TooLong(Duration::from_millis(300_001)));
    }

    #[test]
    fn what_waiting_cannot_mend_stands() {
        let stands = [
            Kind::Unauthorized,
            Kind::ModelMissing,
            Kind::ContextExceeded,
            Kind::BadRequest,
            Kind::Cancelled,
            Kind::Tls,
            Kind::HostGone,
            Kind::Malformed,
            Kind::Internal,
        ];
        for kind in stands {
            assert_eq!(next(&failed(kind), 1, RETRIES, 0.5), Next::Stands, "{kind:?}");
        }
        for kind in [Kind::Unreachable, Kind::Refused, Kind::Disconnected, Kind::RateLimited, Kind::Server, Kind::Starting] {
            assert!(matches!(next(&failed(kind), 1, RETRIES, 0.5), Next::Again(_)), "{kind:?}");
        }
        let spent = Error { lasting: true, ..failed(Kind::RateLimited) };
        assert_eq!(next(&spent, 1, RETRIES, 0.5), Next::Stands, "a spent quota");
    }

    #[test]
    fn a_line_has_room_for_why() {
        assert_eq!(why(&failed(Kind::Refused)), "refused");
        assert_eq!(why(&failed(Kind::Server).cause("HTTP 502 for /v1/chat/completions")), "502");
        assert_eq!(why(&failed(Kind::RateLimited)), "429");
        assert_eq!(why(&failed(Kind::Server).cause("HTTP x")), "failed");
        assert_eq!(why(&failed(Kind::Server).cause("HTTP ä€")), "failed");
    }
}
