//! Server-sent events, as bytes come.
//!
//! Owns: finding events in a byte stream, however it is cut. Refuses: sockets and the meaning of an event. Invariant: the events
//! do not depend on where the bytes were cut, memory is bounded by [`MAX_EVENT`], and no input panics.

use super::fault::Fault;

/// The largest event (and line) in bytes. A chunk of a chat is hundreds of bytes; one with log probabilities some thousands.
pub const MAX_EVENT: usize = 4 << 20;

/// How much of a line that is no field is kept: enough for an error object.
const MAX_STRAY: usize = 16 << 10;

/// How lines begin that a server may be cut off in.
const FIELDS: [&[u8]; 4] = [b"data:", b"event:", b"id:", b"retry:"];

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A whole event: its `event:` name, and its `data:` lines joined.
    Event { name: Option<String>, data: String },
    /// A line that is no field of the protocol. Proxies write such lines when what they forward breaks.
    Stray(String),
}

/// The parser. [`Parser::feed`] it chunks, then [`Parser::end`] it.
#[derive(Debug, Clone, Default)]
pub struct Parser {
    line: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    name: Option<String>,
    /// The last byte was a CR: an LF that follows belongs to it.
    after_cr: bool,
    /// A first line has been seen: a byte order mark can no longer come.
    begun: bool,
}

impl Parser {
    /// Adds bytes; frames that they complete are pushed to `out`, also when an error follows them.
    ///
    /// # Errors
    /// [`Fault::Malformed`] when a line or an event is larger than [`MAX_EVENT`]. The parser is then spent.
    pub fn feed(&mut self, mut bytes: &[u8], out: &mut Vec<Frame>) -> Result<(), Fault> {
        if self.after_cr && !bytes.is_empty() {
            self.after_cr = false;
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        while let Some(at) = bytes.iter().position(|b| matches!(b, b'\n' | b'\r')) {
            self.grow(&bytes[..at])?;
            let cr = bytes[at] == b'\r';
            bytes = &bytes[at + 1..];
            if cr {
                match bytes.split_first() {
                    Some((b'\n', rest)) => bytes = rest,
                    Some(_) => {}
                    None => self.after_cr = true,
                }
            }
            self.line_ends(out)?;
        }
        self.grow(bytes)
    }

    /// The stream has ended: what was begun and not finished. The standard discards it; servers that forget the last empty line
    /// and proxies that write a last word are the reason to look at it.
    pub fn end(&mut self) -> Vec<Frame> {
        let mut out = Vec::new();
        // A field that was cut in its name is no last word.
        let cut = FIELDS.iter().any(|field| field.starts_with(&self.line));
        if !cut && self.line_ends(&mut out).is_err() {
            return out;
        }
        self.dispatch(&mut out);
        out
    }

    fn grow(&mut self, more: &[u8]) -> Result<(), Fault> {
        if self.line.len() + self.data.len() + more.len() > MAX_EVENT {
            return Err(Fault::Malformed(format!("an event of more than {} MiB", MAX_EVENT >> 20)));
        }
        self.line.extend_from_slice(more);
        Ok(())
    }

    fn line_ends(&mut self, out: &mut Vec<Frame>) -> Result<(), Fault> {
        let line = std::mem::take(&mut self.line);
        let mut line = line.as_slice();
        if !self.begun {
            self.begun = true;
            line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
        }
        if line.is_empty() {
            self.dispatch(out);
            return Ok(());
        }
        let (field, value) = match line.iter().position(|b| *b == b':') {
            Some(at) => (&line[..at], line[at + 1..].strip_prefix(b" ").unwrap_or(&line[at + 1..])),
            None => (line, &b""[..]),
        };
        match field {
            // A comment, or a field that only matters to browsers.
            b"" | b"id" | b"retry" => {}
            b"data" => {
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.has_data = true;
                self.data.extend_from_slice(value);
                if self.data.len() > MAX_EVENT {
                    return Err(Fault::Malformed(format!("an event of more than {} MiB", MAX_EVENT >> 20)));
                }
            }
            b"event" => self.name = Some(String::from_utf8_lossy(value).into_owned()),
            _ => out.push(Frame::Stray(String::from_utf8_lossy(&line[..line.len().min(MAX_STRAY)]).into_owned())),
        }
        Ok(())
    }

    fn dispatch(&mut self, out: &mut Vec<Frame>) {
        let name = self.name.take();
        if self.has_data {
            let data = String::from_utf8_lossy(&self.data).into_owned();
            out.push(Frame::Event { name, data });
        }
        self.has_data = false;
        self.data.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(bytes: &[u8]) -> Vec<Frame> {
        let mut parser = Parser::default();
        let mut out = Vec::new();
        parser.feed(bytes, &mut out).unwrap();
        out.extend(parser.end());
        out
    }

    fn event(data: &str) -> Frame {
        Frame::Event { name: None, data: data.into() }
    }

    #[test]
    fn reads_what_the_standard_says() {
        let text =
            "\u{feff}: hello\nid: 7\nretry: 3\nevent: delta\ndata: a\ndata:b\ndata:  c\n\ndata\n\n\n\ndata: é\r\n\r\ndata: x\r\rdata: last";
        assert_eq!(
            all(text.as_bytes()),
            [Frame::Event { name: Some("delta".into()), data: "a\nb\n c".into() }, event(""), event("é"), event("x"), event("last")]
        );
    }

    #[test]
    fn any_cut_gives_the_same() {
        let text = "\u{feff}data: {\"a\":\"ü🦀\"}\r\n\r\n:c\r\ndata: 1\rdata: 2\r\revent: e\ndata: [DONE]\n\nproxy error: gone".as_bytes();
        let whole = all(text);
        for cut in 0..=text.len() {
            let mut parser = Parser::default();
            let mut out = Vec::new();
            parser.feed(&text[..cut], &mut out).unwrap();
            parser.feed(&text[cut..], &mut out).unwrap();
            out.extend(parser.end());
            assert_eq!(out, whole, "cut at {cut}");
        }
        let mut parser = Parser::default();
        let mut out = Vec::new();
        for byte in text {
            parser.feed(&[*byte], &mut out).unwrap();
        }
        out.extend(parser.end());
        assert_eq!(out, whole);
    }

    #[test]
    fn lines_that_are_no_fields_are_told() {
        assert_eq!(all(b"data: 1\n\nproxy error: gone"), [event("1"), Frame::Stray("proxy error: gone".into())]);
        assert_eq!(all(b"{\"error\":\"x\"}"), [Frame::Stray("{\"error\":\"x\"}".into())]);
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut parser = Parser::default();
        let chunk = vec![b'a'; 1 << 20];
        let mut out = Vec::new();
        let refused = (0..6).map(|_| parser.feed(&chunk, &mut out)).find_map(Result::err);
        assert!(matches!(refused, Some(Fault::Malformed(_))));
    }

    #[test]
    fn an_event_without_end_is_refused() {
        let mut parser = Parser::default();
        let line = [b"data: ".as_slice(), &vec![b'a'; 1 << 20], b"\n"].concat();
        let mut out = Vec::new();
        let refused = (0..6).map(|_| parser.feed(&line, &mut out)).find_map(Result::err);
        assert!(matches!(refused, Some(Fault::Malformed(_))));
        assert!(out.is_empty());
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_no_cut_matters(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0usize..300) {
            let whole = all(&bytes);
            let at = at.min(bytes.len());
            let mut parser = Parser::default();
            let mut out = Vec::new();
            parser.feed(&bytes[..at], &mut out).unwrap();
            parser.feed(&bytes[at..], &mut out).unwrap();
            out.extend(parser.end());
            prop_assert_eq!(out, whole);
        }

        #[test]
        fn field_soup_is_cut_proof(text in "(data|event|id|:|\r|\n|\r\n| |x|é|\u{feff}){0,60}", at in 0usize..400) {
            let bytes = text.as_bytes();
            let whole = all(bytes);
            let at = at.min(bytes.len());
            let mut parser = Parser::default();
            let mut out = Vec::new();
            parser.feed(&bytes[..at], &mut out).unwrap();
            parser.feed(&bytes[at..], &mut out).unwrap();
            out.extend(parser.end());
            prop_assert_eq!(out, whole);
        }
    }
}
