//! Carrying a server's stream to the sink.
//!
//! Owns: the loop between a socket and a pure decoder. Refuses: knowing any protocol. Invariant: what a decoder made of the bytes
//! goes out before an error that follows it.

use bytes::Bytes;

use super::fault::Fault;
use super::http::Http;
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
