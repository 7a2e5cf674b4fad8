//! What operators and single commands do to a part of the text.
//!
//! Invariant: what is taken away is in the register; what is refused for its size changes neither text nor register.

use super::motion;
use super::text::{MOST_BYTES, Pos, byte, end_of};
use super::vim::Operator;
use super::{Composer, Register, State};
use crate::error::Result;

impl Composer {
    pub(super) fn operate_selection(&mut self, operator: Operator, lines: bool) -> Result<bool> {
        let Some((from, to)) = self.selected() else { return Ok(false) };
        self.state = State::Normal;
        self.go(from);
        if lines { self.operate_lines(operator, from.row, to.row) } else { self.operate(operator, from, to) }
    }

    pub(super) fn operate(&mut self, operator: Operator, from: Pos, to: Pos) -> Result<bool> {
        if from == to && operator != Operator::Change {
            return Ok(false);
        }
        if from != to {
            self.register = Register { text: self.text.slice(from, to), lines: false };
        }
        self.finish_operator(operator, from, to)
    }

    pub(super) fn operate_lines(&mut self, operator: Operator, first: usize, last: usize) -> Result<bool> {
        let (start, end) = (Pos::new(first, 0), Pos::new(last, self.text.len(last)));
        self.register = Register { text: self.text.slice(start, end), lines: true };
        if operator != Operator::Delete {
            let at = self.text.cursor();
            self.finish_operator(operator, start, end)?;
            if operator == Operator::Yank {
                self.go(Pos::new(first, at.col));
            }
            return Ok(true);
        }
        let rows = self.text.lines().len();
        let (from, to) = if last + 1 < rows {
            (start, Pos::new(last + 1, 0))
        } else if first > 0 {
            (Pos::new(first - 1, self.text.len(first - 1)), end)
        } else {
            (start, end)
        };
        self.text.replace(from, to, "")?;
        let row = first.min(self.text.lines().len() - 1);
        self.go(motion::first_non_blank(self.text.lines(), row));
        Ok(true)
    }

    fn finish_operator(&mut self, operator: Operator, from: Pos, to: Pos) -> Result<bool> {
        if operator == Operator::Yank {
            self.copied = Some(self.register.text.clone());
        } else {
            self.text.replace(from, to, "")?;
        }
        if operator == Operator::Change {
            self.state = State::Insert;
        }
        self.go(from);
        Ok(true)
    }

    pub(super) fn put(&mut self, after: bool, n: usize) -> Result<bool> {
        let Register { text, lines } = self.register.clone();
        if text.is_empty() && !lines {
            return Ok(false);
        }
        // More than fits is refused by the text; it need not be built first.
        let n = n.min(MOST_BYTES / text.len().max(1) + 1);
        let at = self.text.cursor();
        if lines {
            let all = vec![text.as_str(); n].join("\n");
            if after {
                let end = Pos::new(at.row, self.text.len(at.row));
                self.text.replace(end, end, &format!("\n{all}"))?;
            } else {
                let start = Pos::new(at.row, 0);
                self.text.replace(start, start, &format!("{all}\n"))?;
            }
            let row = at.row + usize::from(after);
            self.go(motion::first_non_blank(self.text.lines(), row));
            return Ok(true);
        }
        let from = if after { motion::right(self.text.lines(), at, 1) } else { at };
        self.text.replace(from, from, &text.repeat(n))?;
        let end = self.text.cursor();
        self.go(if end.row == from.row { motion::left(self.text.lines(), end, 1) } else { from });
        Ok(true)
    }

    pub(super) fn replace_chars(&mut self, n: usize, c: char) -> Result<bool> {
        let lines = self.text.lines();
        let at = self.text.cursor();
        let (from, to) = match self.state {
            State::Visual { .. } => self.selected().unwrap_or((at, at)),
            _ => (at, motion::right(lines, at, n)),
        };
        let clusters = motion::Clusters::of(self.text.line(at.row));
        let enough = clusters.len() - clusters.index(at.col).min(clusters.len()) >= n;
        if from == to || !(enough || matches!(self.state, State::Visual { .. })) {
            return Ok(false);
        }
        let old = self.text.slice(from, to);
        let new: String = match self.state {
            State::Visual { .. } => {
                old.split('\n').map(|line| c.to_string().repeat(motion::Clusters::of(line).len())).collect::<Vec<_>>().join("\n")
            }
            _ if c == '\n' => "\n".to_owned(),
            _ => c.to_string().repeat(n),
        };
        let visual = matches!(self.state, State::Visual { .. });
        self.state = State::Normal;
        self.text.replace(from, to, &new)?;
        let end = self.text.cursor();
        self.go(if visual { from } else { motion::left(self.text.lines(), end, usize::from(c != '\n')) });
        Ok(true)
    }

    pub(super) fn toggle_case(&mut self, from: Pos, to: Pos) -> Result<bool> {
        if from == to {
            return Ok(false);
        }
        let swapped: String = self
            .text
            .slice(from, to)
            .chars()
            .flat_map(|c| if c.is_uppercase() { c.to_lowercase().collect::<Vec<_>>() } else { c.to_uppercase().collect() })
            .collect();
        self.text.replace(from, to, &swapped)?;
        self.go(end_of(from, &swapped));
        Ok(true)
    }

    pub(super) fn join(&mut self, row: usize, times: usize) -> Result<bool> {
        let mut done = false;
        for _ in 0..times {
            if row + 1 >= self.text.lines().len() {
                break;
            }
            let next = self.text.line(row + 1);
            let indent = next.chars().take_while(|c| c.is_whitespace()).count();
            let rest = &next[byte(next, indent)..];
            let glue =
                if rest.is_empty() || rest.starts_with(')') || self.text.line(row).ends_with(char::is_whitespace) { "" } else { " " };
            let end = Pos::new(row, self.text.len(row));
            self.text.replace(end, Pos::new(row + 1, indent), glue)?;
            self.go(end);
            done = true;
        }
        Ok(done)
    }
}
