//! A page of text to read: requests, notices, topics of help. Scrolled by lines; its text can be copied.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Overlay, field};
use crate::tui::action::{Action, Scope};
use crate::tui::command_line::Line;
use crate::tui::composer::Edit;
use crate::tui::output::Cursor;
use crate::tui::paint::{Row, wrap};
use crate::tui::pane::{Call, Cx, Intent, Outcome};
use crate::tui::text::width::{drawable, width};
use crate::tui::theme::Role;

/// A paragraph and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paragraph {
    pub text: String,
    pub role: Role,
}

/// Text over the panes.
pub struct Page {
    title: String,
    paragraphs: Vec<Paragraph>,
    /// What `yy` copies, and its name.
    copy: Option<(String, String)>,
    top: usize,
    height: usize,
    rows: usize,
    /// What is looked for in it: being typed, and as it was taken.
    line: Option<Line>,
    needle: String,
    /// Rows in which it stands.
    hits: Vec<usize>,
    at: usize,
    /// Columns, as drawn last.
    columns: usize,
    /// Columns of names that stand before what they name; 0: there are none.
    names: usize,
}

impl Page {
    #[must_use]
    pub fn new(title: impl Into<String>, paragraphs: Vec<(String, Role)>) -> Self {
        let paragraphs = paragraphs.into_iter().map(|(text, role)| Paragraph { text, role }).collect();
        Self {
            title: title.into(),
            paragraphs,
            copy: None,
            top: 0,
            height: 0,
            rows: 0,
            line: None,
            needle: String::new(),
            hits: Vec::new(),
            at: 0,
            columns: 80,
            names: 0,
        }
    }

    /// What stands behind a name of so many columns goes on below itself.
    #[must_use]
    pub fn named(mut self, columns: usize) -> Self {
        self.names = columns;
        self
    }

    #[must_use]
    pub fn copies(mut self, text: String, what: &str) -> Self {
        self.copy = Some((text, what.to_owned()));
        self
    }

    fn lines(&self, columns: usize) -> Vec<(String, Role)> {
        let mut out = Vec::new();
        for paragraph in &self.paragraphs {
            let clean = crate::sanitise::block(&paragraph.text);
            if clean.is_empty() {
                out.push((String::new(), paragraph.role));
            }
            for line in clean.lines() {
                let named = line.get(..self.names).filter(|name| name.ends_with(' ') && !name.starts_with(' ') && width(line) > columns);
                if let Some(name) = named.filter(|_| columns > 2 * self.names) {
                    for (at, part) in wrap(&line[name.len()..], columns - name.len()).iter().enumerate() {
                        let before = if at == 0 { name } else { &" ".repeat(name.len()) };
                        out.push((format!("{before}{}", drawable(part)), paragraph.role));
                    }
                    continue;
                }
                let indent = line.len() - line.trim_start().len();
                let columns = columns.saturating_sub(indent.min(columns / 2));
                let lines = wrap(line.trim_start(), columns);
                if lines.is_empty() {
                    out.push((String::new(), paragraph.role));
                }
                out.extend(lines.into_iter().map(|l| (format!("{}{}", " ".repeat(indent), drawable(&l)), paragraph.role)));
            }
        }
        out
    }
}

impl Page {
    /// Ends the line that is typed into. Returns whether there was one.
    fn shut_line(&mut self) -> bool {
        let open = self.line.take().is_some();
        self.height += usize::from(open);
        open
    }

    /// Finds what is looked for, and goes so many hits further.
    fn look(&mut self, by: isize) {
        let lines = self.lines(self.columns);
        let holds = |(_, (line, _)): &(usize, &(String, Role))| !self.needle.is_empty() && line.to_lowercase().contains(&self.needle);
        self.hits = lines.iter().enumerate().filter(holds).map(|(at, _)| at).collect();
        let many = isize::try_from(self.hits.len()).unwrap_or(isize::MAX);
        if many == 0 {
            return;
        }
        // As it is typed: the first at or below the top; after that, from one to the next, round and round.
        let at = if by == 0 {
            self.hits.iter().position(|row| *row >= self.top).unwrap_or(0)
        } else {
            usize::try_from((isize::try_from(self.at).unwrap_or(0) + by).rem_euclid(many)).unwrap_or(0)
        };
        self.at = at;
        let row = self.hits[at];
        if row < self.top || row >= self.top + self.height {
            self.top = row.saturating_sub(self.height / 3);
        }
    }
}

impl Overlay for Page {
    fn scope(&self) -> Scope {
        if self.line.is_some() { Scope::Prompt } else { Scope::Overlay }
    }

    fn escape(&mut self) -> bool {
        let open = self.shut_line();
        if open || !self.needle.is_empty() {
            self.needle.clear();
            return true;
        }
        false
    }

    fn typed(&mut self, text: &str, _cx: &Cx<'_>) -> Outcome {
        if let Some(line) = &mut self.line {
            line.insert(text);
            self.needle = line.text().to_lowercase();
            self.look(0);
        }
        Outcome::done()
    }

    fn edit(&mut self, edit: Edit, times: usize, _cx: &Cx<'_>) -> Outcome {
        if let Some(line) = &mut self.line {
            line.edit(edit, u32::try_from(times).ok());
            self.needle = line.text().to_lowercase();
            self.look(0);
        }
        Outcome::done()
    }

    fn title(&self, _cx: &Cx<'_>) -> String {
        self.title.clone()
    }

    fn size(&self, _cx: &Cx<'_>, (room, height): (u16, u16)) -> (u16, u16) {
        let widest = self.paragraphs.iter().flat_map(|p| p.text.lines()).map(width).max().unwrap_or(0);
        let wide = u16::try_from(widest).unwrap_or(u16::MAX).clamp(56.min(room.saturating_sub(4)), 100.min(room.saturating_sub(4)).max(40));
        let rows = u16::try_from(self.lines(usize::from(wide)).len()).unwrap_or(u16::MAX);
        (wide, rows.min(height.saturating_sub(4)))
    }

    fn act(&mut self, call: &Call<'_>, _cx: &Cx<'_>) -> Outcome {
        let last = self.rows.saturating_sub(self.height);
        let times = call.times();
        let half = (self.height / 2).max(1);
        let page = self.height.saturating_sub(1).max(1);
        self.top = match call.action {
            Action::ListDown | Action::LineDown => self.top + times,
            Action::ListUp | Action::LineUp => self.top.saturating_sub(times),
            Action::HalfDown => self.top + half * times,
            Action::HalfUp => self.top.saturating_sub(half * times),
            Action::PageDown => self.top + page * times,
            Action::PageUp => self.top.saturating_sub(page * times),
            Action::ListTop => 0,
            Action::ListBottom => last,
            Action::Accept | Action::Activate if self.shut_line() => return Outcome::done(),
            Action::Accept | Action::Activate => return Outcome::closed(),
            Action::Find => {
                // The line takes a row from the text.
                if self.line.replace(Line::default()).is_none() {
                    self.height = self.height.saturating_sub(1);
                }
                return Outcome::done();
            }
            Action::FindNext | Action::FindPrevious if !self.needle.is_empty() => {
                let by = isize::try_from(times).unwrap_or(1);
                self.look(if call.action == Action::FindNext { by } else { -by });
                return Outcome::done();
            }
            Action::Copy => {
                return match &self.copy {
                    Some((text, what)) => Intent::Copy { text: text.clone(), what: what.clone() }.into(),
                    None => Outcome::ignored(),
                };
            }
            _ => return Outcome::ignored(),
        }
        .min(last);
        Outcome::done()
    }

    fn view(&mut self, cx: &Cx<'_>, area: Rect, buf: &mut Buffer) -> Option<Cursor> {
        let lines = self.lines(usize::from(area.width));
        self.rows = lines.len();
        let typing = self.line.is_some();
        let foot = Rect { y: area.bottom().saturating_sub(1), height: u16::from(typing && area.height > 1), ..area };
        let area = Rect { height: area.height - foot.height, ..area };
        self.height = usize::from(area.height);
        self.columns = usize::from(area.width);
        self.top = self.top.min(self.rows.saturating_sub(self.height));
        for (y, (line, role)) in lines.iter().skip(self.top).take(self.height).enumerate() {
            let y = u16::try_from(y).unwrap_or(u16::MAX);
            Row::new(buf, area, y).text(line, cx.style(*role));
            let place = (!self.needle.is_empty()).then(|| line.to_lowercase().find(&self.needle)).flatten();
            if let Some(before) = place.and_then(|at| line.get(..at)) {
                let x = u16::try_from(width(before)).unwrap_or(u16::MAX);
                let wide = u16::try_from(width(&self.needle)).unwrap_or(u16::MAX);
                let hit = Rect { x: area.x.saturating_add(x), y: area.y + y, width: wide, height: 1 };
                buf.set_style(hit.intersection(area), cx.style(Role::SearchHit));
            }
        }
        self.line.as_ref().and_then(|line| field::draw(line, cx, "/", "look for", foot, buf))
    }

    fn foot(&self, cx: &Cx<'_>) -> String {
        let mut parts = Vec::new();
        if self.rows > self.height {
            parts.push(format!("{} of {}", (self.top + self.height).min(self.rows), self.rows));
        }
        if !self.needle.is_empty() {
            let at = if self.hits.is_empty() { 0 } else { self.at + 1 };
            parts.push(format!("/{} {at} of {}", drawable(&self.needle), self.hits.len()));
        } else if self.rows > self.height {
            parts.push(format!("{} looks for", cx.key(Scope::Overlay, Action::Find)));
        }
        if self.copy.is_some() {
            parts.push(format!("{} copies", cx.key(Scope::Overlay, Action::Copy)));
        }
        parts.push(format!("{} closes", cx.key(Scope::Overlay, Action::Close)));
        parts.join(" · ")
    }
}
