//! Markdown as it grows.

use std::sync::atomic::{AtomicU32, Ordering};

/// Tells one document of this process from every other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DocumentId(u32);

static NEXT: AtomicU32 = AtomicU32::new(1);

/// A block of code that can be copied, saved or edited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// Its letter in the frame: `a`, `b`, … `z`, `aa`, ….
    pub label: String,
    /// The word after the fence, empty where there is none. As it came.
    pub language: String,
    /// The code as it came, each line with its break.
    pub text: String,
}

/// A text and its blocks.
#[derive(Debug, Clone)]
pub struct Document {
    id: DocumentId,
    source: String,
    plain: bool,
    finished: bool,
}

impl Default for Document {
    fn default() -> Self {
        Self::new()
    }
}

impl Document {
    /// Markdown that is still to come.
    #[must_use]
    pub fn new() -> Self {
        Self { id: DocumentId(NEXT.fetch_add(1, Ordering::Relaxed)), source: String::new(), plain: false, finished: false }
    }

    /// Text that is no Markdown: shown as it is, line by line.
    #[must_use]
    pub fn plain() -> Self {
        Self { plain: true, ..Self::new() }
    }

    /// Markdown that is all there.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        let mut document = Self::new();
        document.push(text);
        document.finish();
        document
    }

    /// Adds what came.
    pub fn push(&mut self, text: &str) {
        self.source.push_str(text);
    }

    /// Makes this the text: adds the rest where it begins with what is there, else begins anew.
    pub fn set(&mut self, text: &str) {
        if let Some(rest) = text.strip_prefix(self.source.as_str()) {
            self.push(rest);
        } else {
            *self = Self { plain: self.plain, ..Self::new() };
            self.push(text);
        }
    }

    /// No more comes: frames that are open are closed. More may be pushed all the same.
    pub fn finish(&mut self) {
        self.finished = true;
    }

    #[must_use]
    pub fn id(&self) -> DocumentId {
        self.id
    }

    /// The text as it came.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.source
    }

    /// Blocks of code, in order.
    #[must_use]
    pub fn codes(&self) -> Vec<Code> {
        Vec::new()
    }
}
