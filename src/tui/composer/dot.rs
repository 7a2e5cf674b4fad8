//! `.`: the last change, kept as the steps that made it.
//!
//! Invariant: what is kept changed the text and can be repeated anywhere; motions, undo and walks through the history cannot.

use super::{Composer, Edit, State};
use crate::error::Result;

/// A part of a change, to do it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Edit(Edit, Option<u32>),
    Char(char),
    Text(String),
}

/// The last change, and the one that is being made.
#[derive(Debug, Default)]
pub struct Dot {
    last: Vec<Step>,
    now: Vec<Step>,
    /// The text's revision when `now` began.
    began: u64,
    replaying: bool,
    /// `now` has something in it that cannot be repeated.
    spoiled: bool,
}

impl Dot {
    pub fn replaying(&self) -> bool {
        self.replaying
    }

    pub fn note(&mut self, step: Step, inserting: bool, revision: u64) {
        if self.replaying {
            return;
        }
        if self.now.is_empty() {
            self.began = revision;
            self.spoiled = false;
            if inserting {
                self.now.push(Step::Edit(Edit::Insert, None));
            }
        }
        self.spoiled |= matches!(step, Step::Edit(Edit::Undo | Edit::Redo | Edit::Repeat | Edit::UpOrHistory | Edit::DownOrHistory, _));
        let typed = match step {
            Step::Char(c) if inserting => c.to_string(),
            Step::Text(text) => text,
            other => return self.now.push(other),
        };
        match self.now.last_mut() {
            Some(Step::Text(text)) => text.push_str(&typed),
            _ => self.now.push(Step::Text(typed)),
        }
    }

    pub fn erase(&mut self, count: usize) {
        if let Some(Step::Text(text)) = self.now.last_mut() {
            (0..count).for_each(|_| {
                text.pop();
            });
        }
    }

    pub fn spoil(&mut self) {
        self.spoiled = true;
    }

    /// The command is complete: if it changed the text, it is what `.` repeats.
    pub fn finish(&mut self, revision: u64) {
        if self.replaying {
            return;
        }
        let now = std::mem::take(&mut self.now);
        if !self.spoiled && !now.is_empty() && revision != self.began {
            self.last = now;
        }
        self.spoiled = false;
    }

    pub fn drop_pending(&mut self) {
        if !self.replaying {
            self.now.clear();
        }
    }
}

impl Composer {
    /// Makes the last change again; a count replaces the one that it had.
    pub(super) fn repeat(&mut self, count: Option<u32>) -> Result<bool> {
        let mut steps = self.dot.last.clone();
        if steps.is_empty() {
            return Ok(false);
        }
        if let (Some(Step::Edit(_, first)), Some(_)) = (steps.first_mut(), count) {
            *first = count;
        }
        self.dot.replaying = true;
        let mut result = Ok(true);
        for step in steps {
            let outcome = match step {
                Step::Edit(edit, count) => self.edit(edit, count),
                Step::Char(c) => self.type_char(c),
                Step::Text(text) => {
                    result = self.insert(&text).map(|()| true);
                    continue;
                }
            };
            if let Some(problem) = outcome.problem {
                result = Err(problem);
                break;
            }
        }
        if self.state == State::Insert {
            self.enter_normal();
        }
        self.dot.replaying = false;
        result
    }
}
