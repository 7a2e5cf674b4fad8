//! Newline-delimited JSON, as bytes come.
//!
//! Owns: finding lines in a byte stream, however it is cut. Refuses: sockets, and the JSON in a line. Invariant: the lines do not
//! depend on where the bytes were cut, memory is bounded by [`MAX_LINE`], and no input panics.

use super::fault::Fault;

/// The largest line in bytes. A chunk of a chat is hundreds of bytes; one with a whole tool call some thousands.
pub const MAX_LINE: usize = 4 << 20;

/// The parser. [`Parser::feed`] it chunks, then [`Parser::end`] it.
#[derive(Debug, Clone, Default)]
pub struct Parser {
    line: Vec<u8>,
    begun: bool,
}

impl Parser {
    /// Adds bytes; lines that they complete are pushed to `out`, also when an error follows them. Empty lines are left out.
    ///
    /// # Errors
    /// [`Fault::Malformed`] when a line is longer than [`MAX_LINE`]. The parser is then spent.
    pub fn feed(&mut self, mut bytes: &[u8], out: &mut Vec<String>) -> Result<(), Fault> {
        while let Some(at) = bytes.iter().position(|b| *b == b'\n') {
            self.grow(&bytes[..at])?;
            bytes = &bytes[at + 1..];
            out.extend(self.take());
        }
        self.grow(bytes)
    }

    /// The stream has ended: a last line without its line break.
    pub fn end(&mut self) -> Option<String> {
        self.take()
    }

    fn grow(&mut self, more: &[u8]) -> Result<(), Fault> {
        if self.line.len() + more.len() > MAX_LINE {
            return Err(Fault::Malformed(format!("a line of more than {} MiB", MAX_LINE >> 20)));
        }
        self.line.extend_from_slice(more);
        Ok(())
    }

    fn take(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.line);
        let mut line = line.as_slice();
        if !self.begun {
            self.begun = true;
            line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
        }
        let line = line.trim_ascii();
        if line.is_empty() { None } else { Some(String::from_utf8_lossy(line).into_owned()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(bytes: &[u8]) -> Vec<String> {
        cut(bytes, bytes.len())
    }

    fn cut(bytes: &[u8], at: usize) -> Vec<String> {
        let mut parser = Parser::default();
        let mut out = Vec::new();
        parser.feed(&bytes[..at], &mut out).unwrap();
        parser.feed(&bytes[at..], &mut out).unwrap();
        out.extend(parser.end());
        out
    }

    #[test]
    fn lines_and_a_last_one_without_end() {
        let text = "\u{feff}{\"a\":1}\r\n\n  \n{\"b\":\"ü\"}\n{\"c\"".as_bytes();
        let whole = all(text);
        assert_eq!(whole, ["{\"a\":1}", "{\"b\":\"ü\"}", "{\"c\""]);
        for at in 0..=text.len() {
            assert_eq!(cut(text, at), whole, "cut at {at}");
        }
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut parser = Parser::default();
        let chunk = vec![b'a'; 1 << 20];
        let mut out = Vec::new();
        let refused = (0..6).map(|_| parser.feed(&chunk, &mut out)).find_map(Result::err);
        assert!(matches!(refused, Some(Fault::Malformed(_))));
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_no_cut_matters(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0usize..300) {
            prop_assert_eq!(cut(&bytes, at.min(bytes.len())), all(&bytes));
        }
    }
}
