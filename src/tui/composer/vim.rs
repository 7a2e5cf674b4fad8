//! What edit commands do, by mode: INSERT, NORMAL with operators and motions, VISUAL, and `.`.
//!
//! Invariant: a command either does all it says or nothing (`Ok(false)`); what is refused for its size changes nothing.

use super::motion::{self, Find};
use super::text::Pos;
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
