//! A page of text to read: requests, notices, topics of help. Scrolled by lines; its text can be copied.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::Overlay;
use crate::tui::action::{Action, Scope};
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
}

impl Page {
    #[must_use]
    pub fn new(title: impl Into<String>, paragraphs: Vec<(String, Role)>) -> Self {
        let paragraphs = paragraphs.into_iter().map(|(text, role)| Paragraph { text, role }).collect();
        Self { title: title.into(), paragraphs, copy: None, top: 0, height: 0, rows: 0 }
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

impl Overlay for Page {
    fn scope(&self) -> Scope {
        Scope::Overlay
    }

    fn title(&self, _cx: &Cx<'_>) -> String {
        self.title.clone()
    }

    fn size(&self, _cx: &Cx<'_>, (room, height): (u16, u16)) -> (u16, u16) {
        let widest = self.paragraphs.iter().flat_map(|p| p.text.lines()).map(width).max().unwrap_or(0);
        let wide = u16::try_from(widest).unwrap_or(u16::MAX).clamp(40, 100.min(room.saturating_sub(4)).max(40));
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
            Action::Accept | Action::Activate => return Outcome::closed(),
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
        self.height = usize::from(area.height);
        self.top = self.top.min(self.rows.saturating_sub(self.height));
        for (y, (line, role)) in lines.iter().skip(self.top).take(self.height).enumerate() {
            Row::new(buf, area, u16::try_from(y).unwrap_or(u16::MAX)).text(line, cx.style(*role));
        }
        None
    }

    fn foot(&self, cx: &Cx<'_>) -> String {
        let mut parts = Vec::new();
        if self.rows > self.height {
            parts.push(format!("{} of {}", (self.top + self.height).min(self.rows), self.rows));
        }
        if self.copy.is_some() {
            parts.push(format!("{} copies", cx.key(Scope::Overlay, Action::Copy)));
        }
        parts.push(format!("{} closes", cx.key(Scope::Overlay, Action::Close)));
        parts.join(" · ")
    }
}
