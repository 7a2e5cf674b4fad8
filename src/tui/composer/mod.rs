//! The text that is being written, and the keys that change it.
//!
//! Owns: the draft with its cursor, modes, registers, undo and history of sent messages; how it wraps and is drawn. Refuses: to know
//! which key does what (that is the keymap's affair), to send, and to read a clipboard or a clock. Invariant: whatever is typed or
//! pasted, the text is clean, the cursor stands on a cluster, and every change can be undone.

pub mod burst;
mod dot;
mod edit;
mod insert;
mod motion;
mod operate;
mod render;
mod text;
mod vim;

#[cfg(test)]
mod tests;

pub use edit::Edit;
pub use render::Look;
pub use text::{MOST_BYTES, MOST_COLUMNS, clean};

use crate::error::{Error, Result};
use crate::tui::action::Scope;
use crate::tui::keymap::Mode;
use crate::tui::recall::Recall;
use dot::{Dot, Step};
use motion::Find;
use text::{Pos, Text};
use vim::Operator;

/// What came of a key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The text is another.
    pub changed: bool,
    /// What was copied, for the clipboard.
    pub copied: Option<String>,
    /// Nothing could be done: the cursor stands at the edge, nothing matches, there is nothing to undo.
    pub nothing: bool,
    /// Why it was refused.
    pub problem: Option<Error>,
}

/// What was deleted or copied last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Register {
    text: String,
    /// Whole lines: put above or below the line, not into it.
    lines: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Insert,
    Normal,
    Visual { anchor: Pos, lines: bool },
}

#[derive(Debug)]
struct Completion {
    start: Pos,
    items: Vec<String>,
    at: usize,
    revision: u64,
}

#[derive(Debug)]
pub struct Composer {
    text: Text,
    modal: bool,
    state: State,
    operator: Option<(Operator, Option<u32>)>,
    /// A command that wants a character: `f`, `r`, `iw`…
    awaits: Option<(Edit, Option<u32>)>,
    register: Register,
    copied: Option<String>,
    last_find: Option<Find>,
    /// The column that up and down aim at.
    goal: Option<usize>,
    /// Where a selection without modes began.
    mark: Option<Pos>,
    sent: Recall,
    /// The last change took something away.
    deleting: bool,
    dot: Dot,
    completion: Option<Completion>,
    /// First wrapped row that is drawn.
    top: usize,
    measured: Option<(u64, u16, usize)>,
}

impl Default for Composer {
    fn default() -> Self {
        Self::new(true)
    }
}

impl Composer {
    /// An empty composer in INSERT; without modes it never leaves it.
    #[must_use]
    pub fn new(modal: bool) -> Self {
        Self {
            text: Text::new(""),
            modal,
            state: State::Insert,
            operator: None,
            awaits: None,
            register: Register::default(),
            copied: None,
            last_find: None,
            goal: None,
            mark: None,
            sent: Recall::default(),
            deleting: false,
            dot: Dot::default(),
            completion: None,
            top: 0,
            measured: None,
        }
    }

    /// Another keymap: with modes, or without.
    pub fn set_modal(&mut self, modal: bool) {
        self.modal = modal;
        if !modal {
            self.enter_insert();
        }
    }

    #[must_use]
    pub fn mode(&self) -> Mode {
        match self.state {
            State::Insert => Mode::Insert,
            State::Normal => Mode::Normal,
            State::Visual { .. } => Mode::Visual,
        }
    }

    /// Which keymap table holds in it now.
    #[must_use]
    pub fn scope(&self) -> Scope {
        match self.state {
            State::Insert => Scope::Insert,
            State::Normal if self.operator.is_some() => Scope::ComposerOperator,
            State::Normal => Scope::ComposerNormal,
            State::Visual { .. } => Scope::ComposerVisual,
        }
    }

    /// The next character is the argument of a command (`f`, `r`): it goes to [`Composer::type_char`] past the keymap, and Esc to
    /// [`Composer::cancel_pending`].
    #[must_use]
    pub fn awaits_char(&self) -> bool {
        self.awaits.is_some()
    }

    /// What is pending, for the status line: `2d`, `f`.
    #[must_use]
    pub fn pending(&self) -> String {
        let mut out = String::new();
        if let Some((operator, count)) = self.operator {
            out.push_str(&count.map_or_else(String::new, |count| count.to_string()));
            out.push_str(operator.sign());
        }
        if let Some((edit, count)) = self.awaits {
            out.push_str(&count.map_or_else(String::new, |count| count.to_string()));
            out.push_str(vim::sign(edit));
        }
        out
    }

    /// Gives up a pending operator or character. Tells whether there was one.
    pub fn cancel_pending(&mut self) -> bool {
        self.dot.drop_pending();
        self.awaits.take().is_some() | self.operator.take().is_some()
    }

    #[must_use]
    pub fn text(&self) -> String {
        self.text.text()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Counts changes: equal numbers mean equal texts.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.text.revision()
    }

    /// The cursor: line and column, both from 0, the column in characters.
    #[must_use]
    pub fn cursor(&self) -> (usize, usize) {
        (self.text.cursor().row, self.text.cursor().col)
    }

    /// Another text, with an undo history of its own: another conversation's draft.
    pub fn set_text(&mut self, text: &str) {
        let revision = self.text.revision() + 1;
        self.text = Text::new(text);
        self.text.set_revision(revision);
        self.forget_all();
    }

    /// Another text that can be undone: what came back from `$EDITOR`, a cleared draft, a message to edit.
    ///
    /// # Errors
    /// [`crate::error::Kind::Usage`] when it is too large.
    pub fn replace_text(&mut self, text: &str) -> Result<()> {
        self.text.close_group();
        self.text.replace(Pos::default(), self.text.end(), text)?;
        self.text.close_group();
        self.forget_all();
        Ok(())
    }

    /// Takes the text for sending and remembers it in the history.
    pub fn take(&mut self) -> String {
        let text = self.text();
        self.sent.push(text.clone());
        self.set_text("");
        self.top = 0;
        text
    }

    /// The messages that were sent before, oldest first.
    pub fn set_history(&mut self, sent: Vec<String>) {
        self.sent = Recall::new(sent);
    }

    fn forget_all(&mut self) {
        self.operator = None;
        self.awaits = None;
        self.mark = None;
        self.goal = None;
        self.completion = None;
        self.sent.forget();
        self.dot.drop_pending();
        if let State::Visual { .. } = self.state {
            self.state = State::Normal;
        }
        self.clamp();
    }

    /// Into INSERT, where the cursor stands.
    pub fn enter_insert(&mut self) {
        self.cancel_pending();
        self.state = State::Insert;
    }

    /// Into NORMAL, as Esc does. Nothing happens without modes.
    pub fn enter_normal(&mut self) {
        if !self.modal {
            return;
        }
        let was_insert = self.state == State::Insert;
        self.operator = None;
        self.awaits = None;
        self.state = State::Normal;
        self.goal = None;
        self.mark = None;
        self.completion = None;
        self.text.close_group();
        if was_insert {
            let at = motion::left(self.text.lines(), self.text.cursor(), 1);
            self.text.set_cursor(at);
        }
        self.clamp();
        self.dot.finish(self.text.revision());
    }

    /// Does an edit command.
    pub fn edit(&mut self, edit: Edit, count: Option<u32>) -> Outcome {
        self.act(Step::Edit(edit, count), |composer| composer.run(edit, count))
    }

    /// Types a character: into the text, or as the argument that a command waits for.
    pub fn type_char(&mut self, c: char) -> Outcome {
        self.act(Step::Char(c), |composer| match composer.awaits.take() {
            Some((edit, count)) => composer.run_with_char(edit, count, c),
            None if composer.state == State::Insert => composer.insert_typed(c),
            None => Ok(false),
        })
    }

    /// Begins a new line while writing.
    pub fn newline(&mut self) -> Outcome {
        self.act(Step::Char('\n'), |composer| if composer.state == State::Insert { composer.insert_typed('\n') } else { Ok(false) })
    }

    /// Puts a pasted text where the cursor stands, in any mode.
    pub fn paste(&mut self, text: &str) -> Outcome {
        self.act(Step::Text(text.to_owned()), |composer| {
            composer.operator = None;
            composer.awaits = None;
            composer.text.close_group();
            composer.insert(text)?;
            composer.text.close_group();
            Ok(true)
        })
    }

    /// Takes back characters before the cursor: those of a key sequence that turned out to be a command.
    pub fn erase(&mut self, count: usize) {
        let at = self.text.cursor();
        let from = Pos::new(at.row, at.col.saturating_sub(count));
        // Removing never refuses.
        let _ = self.text.replace(from, at, "");
        self.dot.erase(count);
    }

    /// A `\` before the cursor makes Enter a newline: replaces it by one and tells so.
    pub fn continue_line(&mut self) -> bool {
        let at = self.text.cursor();
        let from = Pos::new(at.row, at.col.saturating_sub(1));
        self.state == State::Insert && self.text.slice(from, at) == "\\" && self.text.replace(from, at, "\n").is_ok()
    }

    /// What stands between the last space and the cursor, for completion.
    #[must_use]
    pub fn token(&self) -> String {
        let at = self.text.cursor();
        let before = self.text.slice(Pos::new(at.row, 0), at);
        before.rsplit(char::is_whitespace).next().unwrap_or_default().to_owned()
    }

    /// The line up to the cursor.
    #[must_use]
    pub fn before(&self) -> String {
        let at = self.text.cursor();
        self.text.slice(Pos::new(at.row, 0), at)
    }

    /// Goes on completing: the next candidate, or the one before. `false`: nothing is being completed, so candidates are wanted. One
    /// that was alone is gone on from: what follows it may be completed next.
    pub fn complete_next(&mut self, back: bool) -> bool {
        let going = |completion: &&mut Completion| completion.revision == self.text.revision() && completion.items.len() > 1;
        let Some(completion) = self.completion.as_mut().filter(going) else {
            return false;
        };
        let many = completion.items.len();
        completion.at = (completion.at + if back { many - 1 } else { 1 }) % many;
        let (start, item) = (completion.start, completion.items[completion.at].clone());
        if self.text.replace(start, self.text.cursor(), &item).is_err() {
            return false;
        }
        if let Some(completion) = &mut self.completion {
            completion.revision = self.text.revision();
        }
        true
    }

    /// Replaces the [`Composer::token`] by the first of these candidates.
    pub fn complete(&mut self, items: Vec<String>) -> Outcome {
        let token = self.token();
        self.complete_from(&token, items)
    }

    /// Replaces what stands before the cursor and is being completed by the first of these candidates.
    pub fn complete_from(&mut self, token: &str, mut items: Vec<String>) -> Outcome {
        let end = self.text.cursor();
        let start = Pos::new(end.row, end.col.saturating_sub(token.chars().count()));
        if items.is_empty() || self.state != State::Insert {
            return Outcome { nothing: true, ..Outcome::default() };
        }
        // What was typed comes round again after the last candidate.
        if items.len() > 1 {
            items.push(token.to_owned());
        }
        self.text.close_group();
        let first = items[0].clone();
        let outcome = self.act(Step::Text(String::new()), |composer| composer.text.replace(start, end, &first).map(|()| true));
        self.completion = Some(Completion { start, items, at: 0, revision: self.text.revision() });
        self.dot.spoil();
        outcome
    }

    /// What stands there of what is being completed, and how many candidates there are.
    #[must_use]
    pub fn completing(&self) -> Option<(&str, usize)> {
        let completion = self.completion.as_ref().filter(|completion| completion.revision == self.text.revision())?;
        Some((completion.items.get(completion.at)?, completion.items.len().saturating_sub(1).max(1)))
    }

    /// Runs an act and tells what came of it.
    fn act(&mut self, step: Step, run: impl FnOnce(&mut Self) -> Result<bool>) -> Outcome {
        let before = self.text.revision();
        let idle = self.operator.is_none() && self.awaits.is_none() && self.state != State::Insert;
        if idle && !self.dot.replaying() {
            self.text.close_group();
        }
        if self.modal {
            self.dot.note(step, self.state == State::Insert, before);
        }
        let result = run(self);
        self.clamp();
        let after = self.text.revision();
        if self.state == State::Normal && self.operator.is_none() && self.awaits.is_none() {
            self.dot.finish(after);
        }
        Outcome { changed: after != before, copied: self.copied.take(), nothing: matches!(result, Ok(false)), problem: result.err() }
    }

    /// In NORMAL and VISUAL the cursor stands on a cluster, not behind the last.
    fn clamp(&mut self) {
        let at = self.text.cursor();
        if self.state != State::Insert {
            let last = motion::last(self.text.lines(), at.row);
            self.text.set_cursor(at.min(last));
        }
    }

    fn insert_typed(&mut self, c: char) -> Result<bool> {
        let at = self.text.cursor();
        let before = self.text.slice(Pos::new(at.row, at.col.saturating_sub(1)), at);
        // Without modes a word is what undo takes back; with them, all that was written in one INSERT.
        if !self.modal && (c == '\n' || c.is_whitespace() && !before.ends_with(char::is_whitespace)) {
            self.text.close_group();
        }
        self.insert(c.encode_utf8(&mut [0; 4]))?;
        self.deleting = false;
        Ok(true)
    }

    /// Puts text at the cursor, in place of a selection.
    fn insert(&mut self, text: &str) -> Result<()> {
        let (from, to) = self.selected().unwrap_or((self.text.cursor(), self.text.cursor()));
        self.text.replace(from, to, text)?;
        self.moved();
        if let State::Visual { .. } = self.state {
            self.state = State::Normal;
        }
        Ok(())
    }

    /// What is selected: from, and the place behind it.
    fn selected(&self) -> Option<(Pos, Pos)> {
        let at = self.text.cursor();
        match (self.state, self.mark) {
            (State::Visual { anchor, lines: true }, _) => {
                let (first, last) = (anchor.row.min(at.row), anchor.row.max(at.row));
                Some((Pos::new(first, 0), Pos::new(last, self.text.len(last))))
            }
            (State::Visual { anchor, lines: false }, _) => {
                let (from, to) = (anchor.min(at), anchor.max(at));
                Some((from, motion::right(self.text.lines(), to, 1)))
            }
            (_, Some(mark)) if mark != at => Some((mark.min(at), mark.max(at))),
            _ => None,
        }
    }

    /// The cursor went somewhere on its own: what hung on its place is forgotten.
    fn moved(&mut self) {
        self.goal = None;
        self.mark = None;
        self.sent.forget();
    }
}
