//! Carrying a server's stream to the sink.
//!
//! Owns: the loop between a socket and a pure decoder. Refuses: knowing any protocol. Invariant: what a decoder made of the bytes
//! goes out before an error that follows it.

use bytes::Bytes;

use super::fault::Fault;
use super::http::Http;
use super::sse::{Frame, Parser};
use super::{Sink, Update};
use crate::error::Result;
use crate::proto::Finish;

/// A pure decoder of one streamed answer.
pub trait Decode: Send {
    /// Adds bytes. What they mean is pushed to `out`, also when a fault follows. `Some` is the answer's end.
    ///
    /// # Errors
    /// A [`Fault`]; the decoder is then spent.
    fn feed(&mut self, bytes: &[u8], out: &mut Vec<Update>) -> Result<Option<Finish>, Fault>;

    /// The stream has ended. What was held back is pushed to `out`.
    ///
    /// # Errors
    /// [`Fault::Cut`] when the answer had not ended, or what the last bytes say.
    fn end(&mut self, out: &mut Vec<Update>) -> Result<Finish, Fault>;
}

/// What a decoder of server-sent events has of its own; how they are fed and how such a stream ends is the same for all ([`Decode`]).
pub trait Events: Send {
    fn parser(&mut self) -> &mut Parser;

    /// Takes whole events in.
    ///
    /// # Errors
    /// A [`Fault`] that an event is or tells.
    fn frames(&mut self, frames: Vec<Frame>, out: &mut Vec<Update>) -> Result<Option<Finish>, Fault>;

    /// The reason that was told for the answer's end. Some servers send nothing after it.
    fn finish(&mut self) -> Option<Finish>;

    /// A line that was no event: what a proxy says when the server behind it broke.
    fn stray(&mut self) -> Option<String>;

    /// Everything that was held back comes out, once.
    fn settle(&mut self, out: &mut Vec<Update>);

    /// What the stream comes to when nothing more follows.
    ///
    /// # Errors
    /// [`Fault::Cut`], or what the last bytes say.
    fn last(&mut self, out: &mut Vec<Update>) -> Result<Finish, Fault> {
        let rest = self.parser().end();
        let frames = self.frames(rest, out).map_err(|fault| match fault {
            // An event without its empty line may have been cut anywhere.
            Fault::Malformed(_) => Fault::Cut,
            fault => fault,
        });
        if let Some(finish) = frames? {
            return Ok(finish);
        }
        self.finish().ok_or_else(|| self.stray().map_or(Fault::Cut, |text| Fault::last_word(&text)))
    }
}

impl<T: Events> Decode for T {
    fn feed(&mut self, bytes: &[u8], out: &mut Vec<Update>) -> Result<Option<Finish>, Fault> {
        let mut frames = Vec::new();
        let fed = self.parser().feed(bytes, &mut frames);
        let result = match self.frames(frames, out) {
            Ok(None) => fed.map(|()| None),
            other => other,
        };
        if result.is_err() {
            self.settle(out);
        }
        result
    }

    fn end(&mut self, out: &mut Vec<Update>) -> Result<Finish, Fault> {
        let result = self.last(out);
        self.settle(out);
        result
    }
}

/// Reads the response to its end.
///
/// # Errors
/// What the decoder found, or a broken connection.
pub async fn carry(http: &Http, mut response: reqwest::Response, mut decoder: impl Decode, model: &str, out: &Sink) -> Result<Finish> {
    loop {
        let chunk = response.chunk().await;
        let mut updates = Vec::new();
        let result: Result<Option<Finish>, Fault> = match &chunk {
            Ok(Some(bytes)) => decoder.feed(bytes as &Bytes, &mut updates),
            Ok(None) | Err(_) => decoder.end(&mut updates).map(Some),
        };
        for update in updates {
            out.send(update);
        }
        match (result, chunk) {
            (Ok(Some(finish)), _) => return Ok(finish),
            (Ok(None), _) => out.ready().await,
            // The transport knows better why it broke; a last word of the server knows better still.
            (Err(Fault::Cut), Err(broken)) => return Err(http.who.transport(&broken, true)),
            (Err(fault), _) => return Err(http.who.fault(&fault, Some(model))),
        }
    }
}
