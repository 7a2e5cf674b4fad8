//! What is attached to the message that is being written: chips beside the text.
//!
//! Owns: the chips, how far each is on its way to the host, and which words of the text they came from. Refuses: files and the host. Invariant:
//! what is part of a message or of a draft lies at the host already.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::format;
use super::text::width::drawable;
use crate::client::attach::Attachment;
use crate::client::folder::Taken;
use crate::proto::{Command, Content, Part};

/// A piece on its way to the host: what `PutBlob` takes at most.
const PIECE: usize = 1 << 20;
/// More at one message would be a data set.
pub const MOST: usize = 200;

/// Where its bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upload {
    /// At the host.
    There,
    /// On their way: as many are there.
    Going { file: Arc<Attachment>, have: u64 },
}

/// One attachment.
#[derive(Debug, Clone, PartialEq)]
pub struct Chip {
    pub id: u64,
    pub part: Part,
    pub upload: Upload,
}

/// A folder whose files were read, and about which is asked.
#[derive(Debug)]
pub struct Offer {
    /// As it was written.
    pub written: String,
    pub taken: Taken,
    /// The message is sent once that is decided.
    pub sending: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Attached {
    chips: Vec<Chip>,
    next: u64,
    /// Words of the text that were looked at: attached, or left as text by the person.
    known: BTreeSet<String>,
    /// Words that were looked at while the text is still being written.
    seen: BTreeSet<String>,
    /// Errands that have not come back.
    pub reading: usize,
    /// The message is to be sent once everything is at the host.
    pub sending: bool,
    pub offer: Option<Offer>,
    /// Those of the draft, while something else is written.
    aside: Option<Vec<Chip>>,
    /// Pastes so far, for their names.
    pastes: u32,
}

impl Attached {
    #[must_use]
    pub fn chips(&self) -> &[Chip] {
        &self.chips
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chips.is_empty()
    }

    /// Everything is at the host.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.reading == 0 && self.chips.iter().all(|chip| chip.upload == Upload::There)
    }

    /// What they add to a prompt, in tokens; an estimate.
    #[must_use]
    pub fn tokens(&self) -> u32 {
        self.chips.iter().fold(0_u32, |sum, chip| sum.saturating_add(facts(&chip.part).map_or(0, |facts| facts.tokens)))
    }

    /// A file is attached. `None`: the same one is already. Else its number, and what begins to bring it to the host.
    pub fn add(&mut self, file: Attachment) -> Option<(u64, Command)> {
        let part = file.part();
        if self.chips.len() >= MOST || self.chips.iter().any(|chip| chip.part == part) {
            return None;
        }
        self.next += 1;
        let id = self.next;
        self.chips.push(Chip { id, part, upload: Upload::Going { file: Arc::new(file), have: 0 } });
        self.piece(id).map(|command| (id, command))
    }

    /// The next piece that a chip wants to send.
    #[must_use]
    pub fn piece(&self, id: u64) -> Option<Command> {
        let chip = self.all().find(|chip| chip.id == id)?;
        let Upload::Going { file, have } = &chip.upload else { return None };
        let from = usize::try_from(*have).ok()?.min(file.bytes.len());
        let data = file.bytes[from..].iter().copied().take(PIECE).collect();
        Some(Command::PutBlob { hash: file.hash.clone(), offset: *have, total: file.bytes.len() as u64, data })
    }

    /// So much of it is at the host now. True: it goes on from there.
    pub fn arrived(&mut self, id: u64, now: u64) -> bool {
        let Some(chip) = self.chips.iter_mut().chain(self.aside.iter_mut().flatten()).find(|chip| chip.id == id) else { return false };
        let Upload::Going { file, have } = &mut chip.upload else { return false };
        if now >= file.bytes.len() as u64 {
            chip.upload = Upload::There;
            return false;
        }
        // The same piece may have been sent twice.
        let on = now > *have;
        *have = now.max(*have);
        on
    }

    /// Those that are on their way, to begin again when the link stands again.
    #[must_use]
    pub fn going(&self) -> Vec<u64> {
        self.all().filter(|chip| chip.upload != Upload::There).map(|chip| chip.id).collect()
    }

    fn all(&self) -> impl Iterator<Item = &Chip> {
        self.chips.iter().chain(self.aside.iter().flatten())
    }

    /// Takes one away.
    pub fn remove(&mut self, id: u64) -> Option<Chip> {
        let at = self.chips.iter().position(|chip| chip.id == id)?;
        Some(self.chips.remove(at))
    }

    /// The words that were not looked at yet.
    #[must_use]
    pub fn unknown(&self, words: Vec<String>) -> Vec<String> {
        words.into_iter().filter(|word| !self.known.contains(word)).collect()
    }

    /// Of these, the words that were not even looked at.
    #[must_use]
    pub fn unseen(&self, words: Vec<String>) -> Vec<String> {
        words.into_iter().filter(|word| !self.known.contains(word) && !self.seen.contains(word)).collect()
    }

    /// A word is being looked at.
    pub fn look(&mut self, word: String) {
        self.seen.insert(word);
    }

    /// A word was looked at: it is attached, or stays text.
    pub fn know(&mut self, word: String) {
        self.known.insert(word);
    }

    /// It is to be looked at again.
    pub fn unknow(&mut self, word: &str) {
        self.known.remove(word);
    }

    /// The name for a text that was pasted.
    pub fn paste_name(&mut self) -> String {
        self.pastes += 1;
        while self.chips.iter().any(|chip| name(&chip.part) == format!("paste-{}.txt", self.pastes)) {
            self.pastes += 1;
        }
        format!("paste-{}.txt", self.pastes)
    }

    /// Takes all for sending.
    pub fn take(&mut self) -> Content {
        let parts = self.chips.drain(..).map(|chip| chip.part).collect();
        self.forget();
        parts
    }

    /// Another message is written: none of what was said of the last one holds.
    pub fn clear(&mut self) {
        self.chips.clear();
        self.aside = None;
        self.forget();
    }

    fn forget(&mut self) {
        self.known.clear();
        self.seen.clear();
        self.sending = false;
        self.offer = None;
        self.pastes = 0;
    }

    /// These are at the host, from a draft or a message.
    pub fn restore(&mut self, parts: Content) {
        for part in parts {
            self.next += 1;
            self.chips.push(Chip { id: self.next, part, upload: Upload::There });
        }
    }

    /// Something else is written, with these; what is attached to the draft waits.
    pub fn put_aside(&mut self, parts: Content) {
        let draft = std::mem::take(&mut self.chips);
        if self.aside.is_none() {
            self.aside = Some(draft);
        }
        self.restore(parts);
    }

    /// The draft's come back.
    pub fn bring_back(&mut self) {
        if let Some(draft) = self.aside.take() {
            self.chips = draft;
            self.sending = false;
        }
    }

    /// What belongs to the draft and is at the host.
    #[must_use]
    pub fn draft(&self) -> Content {
        let chips = self.aside.as_ref().unwrap_or(&self.chips);
        chips.iter().filter(|chip| chip.upload == Upload::There).map(|chip| chip.part.clone()).collect()
    }
}

fn facts(part: &Part) -> Option<crate::proto::Facts> {
    match part {
        Part::Image { facts, .. } | Part::File { facts, .. } => Some(*facts),
        Part::Text { .. } | Part::Thinking { .. } | Part::ToolCall { .. } | Part::ToolResult { .. } => None,
    }
}

/// What it is called.
#[must_use]
pub fn name(part: &Part) -> &str {
    match part {
        Part::Image { name, .. } | Part::File { name, .. } => name,
        Part::Text { .. } | Part::Thinking { .. } | Part::ToolCall { .. } | Part::ToolResult { .. } => "",
    }
}

/// `▤ main.rs 4.1 kB ~1.2k tok`, `▣ oak.png 640×480 ~550 tok`, harmless; on its way with how far it is.
#[must_use]
pub fn label(chip: &Chip) -> String {
    let (glyph, facts) = described(&chip.part);
    let shown = crate::sanitise::cut(name(&chip.part), 32).into_owned();
    let going = match &chip.upload {
        Upload::Going { file, have } if file.bytes.len() > PIECE => format!(" {} %", have * 100 / (file.bytes.len() as u64).max(1)),
        Upload::Going { .. } => " …".to_owned(),
        Upload::There => String::new(),
    };
    format!("{glyph} {} {facts}{going}", drawable(&shown))
}

/// `▤` and `4.1 kB ~1.2k tok`, `▣` and `640×480 ~550 tok`.
#[must_use]
pub fn described(part: &Part) -> (&'static str, String) {
    let facts = facts(part).unwrap_or_default();
    let (glyph, size) = match part {
        Part::Image { .. } if facts.width > 0 => ("▣", format!("{}×{}", facts.width, facts.height)),
        Part::Image { .. } => ("▣", format::file_size(facts.bytes)),
        _ => ("▤", format::file_size(facts.bytes)),
    };
    (glyph, format!("{size} ~{} tok", format::short(u64::from(facts.tokens))))
}
