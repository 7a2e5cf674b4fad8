//! A list to choose one from, narrowed as one types.
//!
//! Owns: the list, the filter, the cursor. Refuses: what a choice does: each item carries its intent. Invariant: what is only tried while
//! the cursor moves (`preview`) is taken back when nothing is chosen.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Overlay, field, palette};
use crate::tui::action::{Action, Scope};
use crate::tui::command_line::Line;
use crate::tui::composer::Edit;
use crate::tui::output::Cursor;
use crate::tui::paint::{Row, tint};
use crate::tui::pane::rows::Rows;
use crate::tui::pane::{Call, Cx, Intent, Outcome};
use crate::tui::text::width::{drawable, width};
use crate::tui::theme::Role;

/// Makes an intent, each time it is wanted.
pub type Make = Box<dyn Fn() -> Intent>;

/// One row.
pub struct Item {
    /// Before the text: a state.
    pub glyph: (&'static str, Role),
    pub text: String,
    /// After it, quiet.
    pub note: String,
    pub choose: Make,
    /// Done when the cursor comes to it.
    pub preview: Option<Make>,
    /// A letter that chooses it at once.
    pub letter: Option<String>,
    /// The heading that it stands under while nothing is typed.
    pub section: Option<String>,
    /// It can be chosen, but need not be noticed.
    pub quiet: bool,
}

impl Item {
    #[must_use]
    pub fn new(text: impl Into<String>, note: impl Into<String>, choose: impl Fn() -> Intent + 'static) -> Self {
        Self {
            glyph: ("", Role::Text),
            text: text.into(),
            note: note.into(),
            choose: Box::new(choose),
            preview: None,
            letter: None,
            section: None,
            quiet: false,
        }
    }
}

/// So many rows need no line to narrow them with.
const FEW: usize = 7;

/// A row of the list as it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// Of the section that the item begins.
    Heading(usize),
    Item(usize),
}

/// A chooser.
pub struct Choose {
    title: String,
    /// Sentences above the list.
    pub intro: Vec<String>,
    items: Vec<Item>,
    shown: Vec<Shown>,
    line: Line,
    rows: Rows,
    back: Option<Make>,
}

impl Choose {
    /// `at`: the item that the cursor is on at first.
    #[must_use]
    pub fn new(title: impl Into<String>, items: Vec<Item>, at: usize) -> Self {
        let mut choose = Self {
            title: title.into(),
            intro: Vec::new(),
            items,
            shown: Vec::new(),
            line: Line::default(),
            rows: Rows::default(),
            back: None,
        };
        choose.list((0..choose.items.len()).collect(), true);
        choose.rows.at = choose.shown.iter().position(|row| *row == Shown::Item(at)).unwrap_or(0);
        choose
    }

    /// These items are shown; under their headings while nothing is typed.
    fn list(&mut self, found: Vec<usize>, headed: bool) {
        self.shown.clear();
        let mut section: Option<&String> = None;
        for at in found {
            let own = self.items[at].section.as_ref();
            if headed && own.is_some() && own != section {
                self.shown.push(Shown::Heading(at));
                section = own;
            }
            self.shown.push(Shown::Item(at));
        }
        self.rows.at = self.shown.iter().position(|row| matches!(row, Shown::Item(_))).unwrap_or(0);
    }

    fn current(&self) -> Option<&Item> {
        match self.shown.get(self.rows.at)? {
            Shown::Item(at) => self.items.get(*at),
            Shown::Heading(_) => None,
        }
    }

    /// What takes a preview back.
    #[must_use]
    pub fn back(mut self, make: impl Fn() -> Intent + 'static) -> Self {
        self.back = Some(Box::new(make));
        self
    }

    #[must_use]
    pub fn intro(mut self, sentences: &[&str]) -> Self {
        self.intro = sentences.iter().map(|s| (*s).to_owned()).collect();
        self
    }

    fn narrow(&mut self) -> Outcome {
        let typed = self.line.text().trim();
        let lettered = self.items.iter().position(|item| item.letter.as_deref().is_some_and(|letter| letter == typed));
        if let Some(at) = lettered {
            return Outcome::closed().with((self.items[at].choose)());
        }
        let texts: Vec<String> = self.items.iter().map(|item| format!("{} {}", item.text, item.note)).collect();
        let found = palette::rank(typed, texts.iter().map(String::as_str));
        self.list(found, typed.is_empty());
        self.preview()
    }

    fn preview(&self) -> Outcome {
        match self.current().and_then(|item| item.preview.as_ref()) {
            Some(preview) => Outcome::from(preview()),
            None => Outcome::done(),
        }
    }
}

impl Overlay for Choose {
    fn scope(&self) -> Scope {
        Scope::Prompt
    }

    fn title(&self, _cx: &Cx<'_>) -> String {
        self.title.clone()
    }

    fn size(&self, _cx: &Cx<'_>, (width_room, room): (u16, u16)) -> (u16, u16) {
        let widest =
            self.items.iter().map(|i| width(&i.text) + width(&i.note) + 8).chain(self.intro.iter().map(|s| width(s))).max().unwrap_or(30);
        let wide = u16::try_from(widest).unwrap_or(u16::MAX).clamp(36, width_room.clamp(36, 90));
        let lines: usize = self.intro.iter().map(|s| width(s) / usize::from(wide) + 1).sum();
        let headings = self.shown.iter().filter(|row| matches!(row, Shown::Heading(_))).count();
        let line = usize::from(self.items.len() > FEW || !self.line.is_empty());
        let rows = u16::try_from(self.items.len() + headings + lines + line).unwrap_or(u16::MAX);
        (wide, rows.min(room.saturating_sub(4)))
    }

    fn act(&mut self, call: &Call<'_>, _cx: &Cx<'_>) -> Outcome {
        let before = self.rows.at;
        if self.rows.act(call, self.shown.len()) {
            // The cursor goes past headings, the way it was going.
            if let Some(Shown::Heading(_)) = self.shown.get(self.rows.at) {
                let up = self.rows.at < before && self.rows.at > 0;
                self.rows.at = if up { self.rows.at - 1 } else { self.rows.at + 1 };
            }
            return self.preview();
        }
        match call.action {
            Action::Accept | Action::Activate => match self.current() {
                Some(item) => Outcome::closed().with((item.choose)()),
                None => Outcome::done(),
            },
            _ => Outcome::ignored(),
        }
    }

    fn typed(&mut self, text: &str, _cx: &Cx<'_>) -> Outcome {
        self.line.insert(text);
        self.narrow()
    }

    fn edit(&mut self, edit: Edit, times: usize, _cx: &Cx<'_>) -> Outcome {
        let before = self.line.text().to_owned();
        self.line.edit(edit, u32::try_from(times).ok());
        if self.line.text() == before { Outcome::done() } else { self.narrow() }
    }

    fn closed(&mut self) -> Outcome {
        self.back.as_ref().map_or_else(Outcome::done, |back| Outcome::from(back()))
    }

    fn view(&mut self, cx: &Cx<'_>, area: Rect, buf: &mut Buffer) -> Option<Cursor> {
        let mut y = 0;
        for sentence in &self.intro {
            for line in crate::tui::paint::wrap(sentence, usize::from(area.width)) {
                Row::new(buf, area, y).text(&line, cx.style(Role::Quiet));
                y += 1;
            }
        }
        // Few rows are seen at a glance; typing narrows them all the same.
        let typing = self.items.len() > FEW || !self.line.is_empty();
        let line = Rect { y: area.y + y, height: u16::from(typing && y < area.height), ..area };
        let cursor = field::draw(&self.line, cx, "› ", "type to narrow", line, buf);
        let list = Rect { y: line.bottom(), height: area.bottom().saturating_sub(line.bottom()), ..area };
        if self.shown.is_empty() {
            Row::new(buf, list, 0).text("Nothing fits.", cx.style(Role::Quiet));
        }
        for (y, at) in self.rows.show(usize::from(list.height), self.shown.len()).enumerate() {
            let y = u16::try_from(y).unwrap_or(u16::MAX);
            let mut row = Row::new(buf, list, y);
            let item = match self.shown[at] {
                Shown::Heading(of) => {
                    row.text(self.items[of].section.as_deref().unwrap_or_default(), cx.style(Role::Accent));
                    continue;
                }
                Shown::Item(at) => &self.items[at],
            };
            row.right(&drawable(&item.note), cx.style(Role::Quiet), 12);
            if let Some(letter) = &item.letter {
                row.text(letter, cx.style(Role::CodeLabel)).gap(2);
            }
            if !item.glyph.0.is_empty() {
                row.text(item.glyph.0, cx.style(item.glyph.1)).gap(1);
            }
            row.foreign(&item.text, cx.style(if item.quiet { Role::Quiet } else { Role::Text }));
            if at == self.rows.at {
                tint(buf, list, y, cx.style(Role::Selection));
            }
        }
        cursor
    }

    fn foot(&self, cx: &Cx<'_>) -> String {
        format!("{} takes it · {} closes", cx.key(Scope::Prompt, Action::Accept), cx.key(Scope::Prompt, Action::Close))
    }
}
