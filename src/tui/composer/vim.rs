//! What edit commands do, by mode: INSERT, NORMAL with operators and motions, VISUAL, and `.`.
//!
//! Invariant: a command either does all it says or nothing (`Ok(false)`); what is refused for its size changes nothing.

use super::motion::{self, Find};
use super::text::{MOST_BYTES, Pos, byte};
use super::{Composer, Edit, Register, State};
use crate::error::Result;

/// What waits for a motion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Delete,
    Change,
    Yank,
}

impl Operator {
    fn of(edit: Edit) -> Option<Self> {
        match edit {
            Edit::Delete => Some(Self::Delete),
            Edit::Change => Some(Self::Change),
            Edit::Yank => Some(Self::Yank),
            _ => None,
        }
    }

    /// vim's letter for it.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Delete => "d",
            Self::Change => "c",
            Self::Yank => "y",
        }
    }
}

/// vim's letter for a command that waits for a character.
pub fn sign(edit: Edit) -> &'static str {
    match edit {
        Edit::FindForward => "f",
        Edit::FindBack => "F",
        Edit::TillForward => "t",
        Edit::TillBack => "T",
        Edit::Replace => "r",
        Edit::Inner => "i",
        Edit::Around => "a",
        _ => "",
    }
}

/// What a motion's end means to an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Up to the cluster at the end.
    Exclusive,
    /// With it.
    Inclusive,
    /// Whole lines.
    Lines,
}

#[derive(Debug, Clone, Copy)]
struct Target {
    to: Pos,
    reach: Reach,
}

impl Target {
    fn exclusive(to: Pos) -> Self {
        Self { to, reach: Reach::Exclusive }
    }
    fn inclusive(to: Pos) -> Self {
        Self { to, reach: Reach::Inclusive }
    }
}

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
    pub(super) fn run(&mut self, edit: Edit, count: Option<u32>) -> Result<bool> {
        match self.state {
            State::Insert => self.run_insert(edit, times(count)),
            State::Normal => self.run_normal(edit, count),
            State::Visual { anchor, lines } => self.run_visual(edit, count, anchor, lines),
        }
    }

    /// Does a motion; `Ok(None)` when the command is none.
    fn run_motion(&mut self, edit: Edit, count: Option<u32>) -> Result<Option<bool>> {
        let vertical = match edit {
            Edit::Up | Edit::UpOrHistory => Some(true),
            Edit::Down | Edit::DownOrHistory => Some(false),
            _ => None,
        };
        let free = self.operator.is_none();
        if free && self.sent.browsing() && matches!(edit, Edit::UpOrHistory | Edit::DownOrHistory) {
            return Ok(Some(false));
        }
        if let Some(up) = vertical.filter(|_| free) {
            return Ok(Some(self.vertical(up, times(count))));
        }
        if let Some(find) = self.repeated_find(edit) {
            return self.run_find(find, count, true).map(Some);
        }
        let total = self.total(count);
        let Some(target) = self.motion(edit, total) else { return Ok(None) };
        match target {
            Some(target) => self.reach(target).map(Some),
            None => {
                self.operator = None;
                Ok(Some(false))
            }
        }
    }

    /// Goes there, or lets the pending operator act up to there.
    fn reach(&mut self, target: Target) -> Result<bool> {
        let Some((operator, _)) = self.operator.take() else {
            let before = self.text.cursor();
            self.go(target.to);
            self.clamp();
            return Ok(self.text.cursor() != before);
        };
        let at = self.text.cursor();
        let (from, mut to) = (at.min(target.to), at.max(target.to));
        match target.reach {
            Reach::Lines => return self.operate_lines(operator, from.row, to.row),
            Reach::Inclusive => to = motion::right(self.text.lines(), to, 1),
            // Ending at a line's start means: with the line before.
            Reach::Exclusive if to.col == 0 && to.row > from.row => to = Pos::new(to.row - 1, self.text.len(to.row - 1)),
            Reach::Exclusive => {}
        }
        self.operate(operator, from, to)
    }

    /// The operator's count times the motion's.
    fn total(&self, count: Option<u32>) -> Option<u32> {
        match (self.operator.and_then(|(_, count)| count), count) {
            (None, count) | (count, None) => count,
            (Some(a), Some(b)) => Some(a.saturating_mul(b)),
        }
    }

    /// Where a motion leads: `None` if the command is no motion, `Some(None)` if it leads nowhere.
    fn motion(&self, edit: Edit, count: Option<u32>) -> Option<Option<Target>> {
        let (lines, at, n) = (self.text.lines(), self.text.cursor(), times(count));
        let operator = self.operator.map(|(operator, _)| operator);
        let last_row = lines.len() - 1;
        let row_of = |default: usize| count.map_or(default, |line| (line as usize).max(1) - 1).min(last_row);
        // Words and paragraphs beyond the text's end are all the same one.
        let again = |mut to: Pos, step: &dyn Fn(Pos) -> Pos| {
            for _ in 0..n {
                let next = step(to);
                if next == to {
                    break;
                }
                to = next;
            }
            to
        };
        let lines_to = |row: usize| Target { to: Pos::new(row, self.text.cursor().col), reach: Reach::Lines };
        let target = match edit {
            Edit::Left => Target::exclusive(motion::left(lines, at, n)),
            Edit::Right => Target::exclusive(motion::right(lines, at, n)),
            Edit::Up | Edit::UpOrHistory if at.row > 0 => lines_to(at.row.saturating_sub(n)),
            Edit::Down | Edit::DownOrHistory if at.row < last_row => lines_to((at.row + n).min(last_row)),
            Edit::Up | Edit::UpOrHistory | Edit::Down | Edit::DownOrHistory => return Some(None),
            Edit::WordForward | Edit::BigWordForward => {
                let big = edit == Edit::BigWordForward;
                if operator == Some(Operator::Change)
                    && let Some(target) = self.change_word(big, n)
                {
                    return Some(Some(target));
                }
                let mut to = again(at, &|to| motion::word_forward(lines, to, big));
                let indent = self.text.line(to.row).chars().take(to.col).all(char::is_whitespace);
                if operator.is_some() && to.row > at.row && indent {
                    to = Pos::new(to.row - 1, self.text.len(to.row - 1));
                }
                Target::exclusive(to)
            }
            Edit::WordBack => Target::exclusive(again(at, &|to| motion::word_back(lines, to, false))),
            Edit::BigWordBack => Target::exclusive(again(at, &|to| motion::word_back(lines, to, true))),
            Edit::WordEnd => Target::inclusive(again(at, &|to| motion::word_end(lines, to, false))),
            Edit::BigWordEnd => Target::inclusive(again(at, &|to| motion::word_end(lines, to, true))),
            Edit::LineStart => Target::exclusive(Pos::new(at.row, 0)),
            Edit::FirstNonBlank => Target::exclusive(motion::first_non_blank(lines, at.row)),
            Edit::LineEnd => {
                let row = (at.row + n - 1).min(last_row);
                // On an empty line there is nothing to include.
                if self.text.len(row) == 0 { Target::exclusive(Pos::new(row, 0)) } else { Target::inclusive(motion::last(lines, row)) }
            }
            Edit::Top | Edit::Bottom => {
                let row = row_of(if edit == Edit::Top { 0 } else { last_row });
                Target { to: motion::first_non_blank(lines, row), reach: Reach::Lines }
            }
            Edit::ParagraphForward => Target::exclusive(again(at, &|to| motion::paragraph_forward(lines, to))),
            Edit::ParagraphBack => Target::exclusive(again(at, &|to| motion::paragraph_back(lines, to))),
            _ => return None,
        };
        Some(Some(target))
    }

    /// `cw` changes to the end of the word, not the space behind it. `None` on a space.
    fn change_word(&self, big: bool, n: usize) -> Option<Target> {
        let (lines, at) = (self.text.lines(), self.text.cursor());
        if self.text.line(at.row).chars().nth(at.col)?.is_whitespace() {
            return None;
        }
        let (_, end, _) = motion::object(lines, at, if big { 'W' } else { 'w' }, false)?;
        let mut to = motion::left(lines, end, 1);
        for _ in 1..n {
            let next = motion::word_end(lines, to, big);
            if next == to {
                break;
            }
            to = next;
        }
        Some(Target::inclusive(to))
    }

    fn repeated_find(&self, edit: Edit) -> Option<Find> {
        match edit {
            Edit::FindAgain => self.last_find,
            Edit::FindReverse => self.last_find.map(Find::reversed),
            _ => None,
        }
    }

    fn run_find(&mut self, find: Find, count: Option<u32>, again: bool) -> Result<bool> {
        let count = times(self.total(count));
        match motion::find(self.text.lines(), self.text.cursor(), find, count, again) {
            Some(to) if find.forward => self.reach(Target::inclusive(to)),
            Some(to) => self.reach(Target::exclusive(to)),
            None => {
                self.operator = None;
                Ok(false)
            }
        }
    }

    /// A command that waited for a character has it.
    pub(super) fn run_with_char(&mut self, edit: Edit, count: Option<u32>, c: char) -> Result<bool> {
        let find = |forward, till| Find { wanted: c, forward, till };
        let find = match edit {
            Edit::FindForward => find(true, false),
            Edit::FindBack => find(false, false),
            Edit::TillForward => find(true, true),
            Edit::TillBack => find(false, true),
            Edit::Inner | Edit::Around => return self.run_object(c, edit == Edit::Around),
            Edit::Replace => return self.replace_chars(times(count), c),
            _ => return Ok(false),
        };
        self.last_find = Some(find);
        self.run_find(find, count, false)
    }

    fn run_object(&mut self, name: char, around: bool) -> Result<bool> {
        let operator = self.operator.take();
        let Some((from, to, lines)) = motion::object(self.text.lines(), self.text.cursor(), name, around) else { return Ok(false) };
        match (operator, self.state) {
            (Some((operator, _)), _) if lines => self.operate_lines(operator, from.row, to.row),
            (Some((operator, _)), _) => self.operate(operator, from, to),
            (None, State::Visual { .. }) => {
                self.state = State::Visual { anchor: from, lines };
                self.text.set_cursor(motion::left(self.text.lines(), to, 1));
                Ok(true)
            }
            (None, _) => Ok(false),
        }
    }

    fn run_normal(&mut self, edit: Edit, count: Option<u32>) -> Result<bool> {
        if let Some(done) = self.run_motion(edit, count)? {
            return self.or_history(edit, done);
        }
        let (at, n) = (self.text.cursor(), times(count));
        let rows = self.text.lines().len();
        if let Some(operator) = Operator::of(edit) {
            return match self.operator.take() {
                None => {
                    self.operator = Some((operator, count));
                    Ok(true)
                }
                Some((pending, first)) if pending == operator => {
                    let n = times(first).saturating_mul(n);
                    self.operate_lines(operator, at.row, at.row.saturating_add(n - 1).min(rows - 1))
                }
                Some(_) => Ok(false),
            };
        }
        if matches!(edit, Edit::FindForward | Edit::FindBack | Edit::TillForward | Edit::TillBack)
            || matches!(edit, Edit::Inner | Edit::Around) && self.operator.is_some()
            || edit == Edit::Replace && self.operator.is_none()
        {
            self.awaits = Some((edit, count));
            return Ok(true);
        }
        // Anything but a motion ends an operator without doing anything.
        if self.operator.take().is_some() {
            return Ok(edit == Edit::OperatorCancel);
        }
        let last = at.row.saturating_add(n - 1).min(rows - 1);
        match edit {
            Edit::DeleteChar | Edit::DeleteForward => self.operate(Operator::Delete, at, motion::right(self.text.lines(), at, n)),
            Edit::DeleteCharBack | Edit::Backspace => self.operate(Operator::Delete, motion::left(self.text.lines(), at, n), at),
            Edit::DeleteToEnd => self.operate(Operator::Delete, at, Pos::new(last, self.text.len(last))),
            Edit::ChangeToEnd => self.operate(Operator::Change, at, Pos::new(last, self.text.len(last))),
            Edit::Substitute => self.operate(Operator::Change, at, motion::right(self.text.lines(), at, n)),
            Edit::SubstituteLine => self.operate_lines(Operator::Change, at.row, last),
            Edit::YankLine => self.operate_lines(Operator::Yank, at.row, last),
            Edit::PutAfter | Edit::PutBefore | Edit::Paste => self.put(edit == Edit::PutAfter, n),
            Edit::ToggleCase => self.toggle_case(at, motion::right(self.text.lines(), at, n)),
            Edit::Join => self.join(at.row, n.max(2) - 1),
            Edit::Undo | Edit::Redo => Ok(self.undo_redo(edit == Edit::Undo, n)),
            Edit::Repeat => self.repeat(count),
            Edit::Visual | Edit::VisualLine => {
                self.state = State::Visual { anchor: at, lines: edit == Edit::VisualLine };
                Ok(true)
            }
            Edit::Insert => self.insert_at(at),
            Edit::InsertLineStart => {
                let blank = self.text.line(at.row).chars().take_while(|c| c.is_whitespace()).count();
                self.insert_at(Pos::new(at.row, blank))
            }
            Edit::Append => self.insert_at(motion::right(self.text.lines(), at, 1)),
            Edit::AppendLineEnd => self.insert_at(Pos::new(at.row, self.text.len(at.row))),
            Edit::OpenBelow => {
                let end = Pos::new(at.row, self.text.len(at.row));
                self.text.replace(end, end, "\n")?;
                self.insert_at(Pos::new(at.row + 1, 0))
            }
            Edit::OpenAbove => {
                let start = Pos::new(at.row, 0);
                self.text.replace(start, start, "\n")?;
                self.insert_at(start)
            }
            Edit::OperatorCancel => Ok(true),
            _ => Ok(false),
        }
    }

    fn insert_at(&mut self, at: Pos) -> Result<bool> {
        self.state = State::Insert;
        self.go(at);
        Ok(true)
    }

    fn run_visual(&mut self, edit: Edit, count: Option<u32>, anchor: Pos, lines: bool) -> Result<bool> {
        if let Some(done) = self.run_motion(edit, count)? {
            return Ok(done);
        }
        let at = self.text.cursor();
        let toggled = |to: bool| if lines == to { State::Normal } else { State::Visual { anchor, lines: to } };
        match edit {
            Edit::FindForward | Edit::FindBack | Edit::TillForward | Edit::TillBack | Edit::Inner | Edit::Around | Edit::Replace => {
                self.awaits = Some((edit, count));
            }
            Edit::Visual => self.state = toggled(false),
            Edit::VisualLine => self.state = toggled(true),
            Edit::OperatorCancel => self.state = State::Normal,
            Edit::SwapEnds => {
                self.state = State::Visual { anchor: at, lines };
                self.go(anchor);
            }
            Edit::Delete | Edit::DeleteChar | Edit::DeleteForward | Edit::Cut | Edit::Backspace => {
                return self.operate_selection(Operator::Delete, lines);
            }
            Edit::DeleteToEnd | Edit::DeleteCharBack => return self.operate_selection(Operator::Delete, true),
            Edit::Change | Edit::Substitute => return self.operate_selection(Operator::Change, lines),
            Edit::ChangeToEnd | Edit::SubstituteLine => return self.operate_selection(Operator::Change, true),
            Edit::Yank | Edit::CopySelection => return self.operate_selection(Operator::Yank, lines),
            Edit::YankLine => return self.operate_selection(Operator::Yank, true),
            Edit::PutAfter | Edit::PutBefore | Edit::Paste => {
                let Some((from, to)) = self.selected() else { return Ok(false) };
                let register = self.register.clone();
                let with = match (lines, register.lines) {
                    (false, true) => format!("\n{}\n", register.text),
                    _ => register.text,
                };
                let old = Register { text: self.text.slice(from, to), lines };
                self.text.replace(from, to, &with)?;
                self.register = old;
                self.state = State::Normal;
            }
            Edit::ToggleCase => {
                let Some((from, to)) = self.selected() else { return Ok(false) };
                self.state = State::Normal;
                self.toggle_case(from, to)?;
                self.go(from);
            }
            Edit::Join => {
                self.state = State::Normal;
                let (first, last) = (anchor.row.min(at.row), anchor.row.max(at.row));
                return self.join(first, (last - first).max(1));
            }
            Edit::InsertLineStart | Edit::AppendLineEnd => {
                let Some((from, to)) = self.selected() else { return Ok(false) };
                return self.insert_at(if edit == Edit::InsertLineStart { from } else { to });
            }
            Edit::Undo | Edit::Redo => {
                self.state = State::Normal;
                return Ok(self.undo_redo(edit == Edit::Undo, times(count)));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn operate_selection(&mut self, operator: Operator, lines: bool) -> Result<bool> {
        let Some((from, to)) = self.selected() else { return Ok(false) };
        self.state = State::Normal;
        self.go(from);
        if lines { self.operate_lines(operator, from.row, to.row) } else { self.operate(operator, from, to) }
    }

    fn operate(&mut self, operator: Operator, from: Pos, to: Pos) -> Result<bool> {
        if from == to && operator != Operator::Change {
            return Ok(false);
        }
        if from != to {
            self.register = Register { text: self.text.slice(from, to), lines: false };
        }
        self.finish_operator(operator, from, to)
    }

    fn operate_lines(&mut self, operator: Operator, first: usize, last: usize) -> Result<bool> {
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

    fn put(&mut self, after: bool, n: usize) -> Result<bool> {
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

    fn replace_chars(&mut self, n: usize, c: char) -> Result<bool> {
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

    fn toggle_case(&mut self, from: Pos, to: Pos) -> Result<bool> {
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
        self.go(super::text::end_of(from, &swapped));
        Ok(true)
    }

    fn join(&mut self, row: usize, times: usize) -> Result<bool> {
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

    pub(super) fn undo_redo(&mut self, undo: bool, n: usize) -> bool {
        let mut done = false;
        for _ in 0..n {
            let step = if undo { self.text.undo().then_some(None) } else { self.text.redo().map(Some) };
            let Some(start) = step else { break };
            if let Some(start) = start.filter(|_| self.state != State::Insert) {
                self.text.set_cursor(start);
            }
            done = true;
        }
        self.moved();
        done
    }

    fn repeat(&mut self, count: Option<u32>) -> Result<bool> {
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

    /// Moves by wrapped rows, aiming at the column where it began.
    pub(super) fn vertical(&mut self, up: bool, n: usize) -> bool {
        let row = self.text.row_of(self.text.cursor());
        let last = self.text.rows() - 1;
        let to = if up { row.saturating_sub(n) } else { row.saturating_add(n).min(last) };
        if to == row {
            return false;
        }
        let goal = self.goal.unwrap_or_else(|| self.text.x_of(row, self.text.cursor()));
        let at = self.text.at_x(to, goal);
        self.text.set_cursor(at);
        self.goal = Some(goal);
        true
    }

    /// Up on the first row and down on the last one walk through the messages that were sent.
    pub(super) fn or_history(&mut self, edit: Edit, done: bool) -> Result<bool> {
        if done || !matches!(edit, Edit::UpOrHistory | Edit::DownOrHistory) {
            return Ok(done);
        }
        let found = match edit {
            Edit::UpOrHistory => self.sent.older(&self.text.text()),
            _ => self.sent.newer(),
        };
        let Some(text) = found.map(str::to_owned) else { return Ok(false) };
        self.text.close_group();
        self.text.replace(Pos::default(), self.text.end(), &text)?;
        self.text.close_group();
        self.text.set_cursor(self.text.end());
        self.goal = None;
        self.mark = None;
        Ok(true)
    }

    /// Puts the cursor somewhere.
    pub(super) fn go(&mut self, to: Pos) {
        self.text.set_cursor(to);
        self.moved();
    }
}

/// How often: once when nothing is said.
fn times(count: Option<u32>) -> usize {
    count.unwrap_or(1).max(1) as usize
}
