//! What is laid over the panes: chooser, palette, help, questions, pages of text.
//!
//! Owns: the trait and where an overlay stands. Refuses: to do what was chosen (intents). Invariant: every overlay closes by `Esc`, says
//! how in its foot, and the panes under it stay as they were.

pub mod answer;
pub mod bookmarks;
pub mod choose;
pub mod codes;
pub mod columns;
pub mod confirm;
pub mod field;
pub mod files;
pub mod folders;
pub mod help;
pub mod inspect;
pub mod labels;
pub mod page;
pub mod palette;
pub mod piped;
pub mod prompt;
pub mod prompts;
pub mod queue;
pub mod reactions;
pub mod search;
pub mod settings;
pub mod which_key;
pub mod work;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::action::Scope;
use super::composer::Edit;
use super::output::Cursor;
use super::paint::{Row, clear, tint};
use super::pane::rows::Rows;
use super::pane::{Call, Cx, Intent, Outcome};
use super::pipe::Piped;
use super::text::width::width;
use super::theme::Role;
use crate::error::Result;
use crate::proto::Reply;

/// Something laid over the panes.
pub trait Overlay {
    /// Where keys have a meaning while it is open.
    fn scope(&self) -> Scope;

    fn title(&self, cx: &Cx<'_>) -> String;

    /// Columns and rows that its inside would like to have.
    fn size(&self, cx: &Cx<'_>, room: (u16, u16)) -> (u16, u16);

    fn act(&mut self, call: &Call<'_>, cx: &Cx<'_>) -> Outcome;

    /// Text was typed or pasted.
    fn typed(&mut self, text: &str, cx: &Cx<'_>) -> Outcome {
        let _ = (text, cx);
        Outcome::ignored()
    }

    /// A command for the line that is typed into.
    fn edit(&mut self, edit: Edit, times: usize, cx: &Cx<'_>) -> Outcome {
        let _ = (edit, times, cx);
        Outcome::ignored()
    }

    /// It was closed without a choice: what was only tried is taken back.
    fn closed(&mut self) -> Outcome {
        Outcome::done()
    }

    /// Esc ends something within it first. True: it did, and it stays open.
    fn escape(&mut self) -> bool {
        false
    }

    /// The answer to an [`Intent::AskOverlay`](super::pane::Intent::AskOverlay). True: it was waited for here.
    fn reply(&mut self, reply: &Result<Reply>) -> bool {
        let _ = reply;
        false
    }

    /// What is missing. Asked for after each frame in which it was drawn.
    fn wants(&mut self, cx: &Cx<'_>) -> Vec<Intent> {
        let _ = cx;
        Vec::new()
    }

    /// `$EDITOR` was closed with this text.
    fn edited(&mut self, text: &str, cx: &Cx<'_>) -> Outcome {
        let _ = (text, cx);
        Outcome::done()
    }

    /// A command has ended. True: it was waited for here.
    fn piped(&mut self, result: &Result<Piped>) -> bool {
        let _ = result;
        false
    }

    /// Whether the wheel of events may change what it shows (lists of models, say).
    fn is_live(&self) -> bool {
        false
    }

    /// Draws the inside.
    fn view(&mut self, cx: &Cx<'_>, area: Rect, buf: &mut Buffer) -> Option<Cursor>;

    /// Keys, for its foot.
    fn foot(&self, cx: &Cx<'_>) -> String;
}

/// Where an overlay of this size stands: in the middle, a third of the free rows above it, never wider than the screen.
#[must_use]
pub fn place(screen: Rect, (width, height): (u16, u16)) -> Rect {
    let width = (width + 4).clamp(24, 120).min(screen.width);
    let height = (height + 2).clamp(3, screen.height.saturating_sub(1).max(3)).min(screen.height);
    Rect { x: screen.x + (screen.width - width) / 2, y: screen.y + (screen.height - height) / 3, width, height }
}

/// The frame with its title. Returns the inside.
pub fn frame(cx: &Cx<'_>, rect: Rect, title: &str, buf: &mut Buffer) -> Rect {
    clear(buf, rect, cx.style(Role::Text));
    if rect.width < 4 || rect.height < 2 {
        return Rect { width: 0, height: 0, ..rect };
    }
    let rule = cx.style(Role::Overlay);
    let top = Rect { height: 1, ..rect };
    let bottom = Rect { y: rect.bottom() - 1, height: 1, ..rect };
    Row::new(buf, top, 0).text("┌", rule).fill("─", rule);
    Row::new(buf, bottom, 0).text("└", rule).fill("─", rule);
    for y in rect.top() + 1..rect.bottom() - 1 {
        buf[(rect.x, y)].set_symbol("│").set_style(rule);
        buf[(rect.right() - 1, y)].set_symbol("│").set_style(rule);
    }
    buf[(rect.right() - 1, rect.top())].set_symbol("┐").set_style(rule);
    buf[(rect.right() - 1, rect.bottom() - 1)].set_symbol("┘").set_style(rule);
    let inner = |r: Rect| Rect { x: r.x + 2, width: r.width.saturating_sub(4), ..r };
    if !title.is_empty() {
        Row::new(buf, inner(top), 0).text(&format!(" {title} "), cx.style(Role::TitleFocused));
    }
    Rect { x: rect.x + 2, y: rect.y + 1, width: rect.width.saturating_sub(4), height: rect.height.saturating_sub(2) }
}

/// The foot in the frame's lower edge; drawn after the inside, which may have found out how much of it has room.
pub fn foot(cx: &Cx<'_>, rect: Rect, foot: &str, buf: &mut Buffer) {
    if foot.is_empty() || rect.width < 4 || rect.height < 2 {
        return;
    }
    let foot = format!(" {foot} ");
    let bottom = Rect { x: rect.x + 2, y: rect.bottom() - 1, width: rect.width - 4, height: 1 };
    let wide = u16::try_from(width(&foot)).unwrap_or(bottom.width).min(bottom.width);
    Row::new(buf, Rect { x: bottom.right() - wide, width: wide, ..bottom }, 0).text(&foot, cx.style(Role::Hint));
}

/// Draws the rows of a list that have room, the one under the cursor marked. `draw` gets a row's number and where it stands.
pub fn list(cx: &Cx<'_>, rows: &mut Rows, area: Rect, buf: &mut Buffer, count: usize, mut draw: impl FnMut(usize, &mut Row<'_>)) {
    for (y, at) in rows.show(usize::from(area.height), count).enumerate() {
        let y = u16::try_from(y).unwrap_or(u16::MAX);
        draw(at, &mut Row::new(buf, area, y));
        if at == rows.at {
            tint(buf, area, y, cx.style(Role::Selection));
        }
    }
}
