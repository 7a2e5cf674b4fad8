//! The prompts that wait in the shown conversation: their order, and what to do with each. Live.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::Overlay;
use crate::core::queue::{Standing, standing};
use crate::proto::{Command, Queued};
use crate::tui::action::{Action, Scope, queue};
use crate::tui::format;
use crate::tui::output::Cursor;
use crate::tui::paint::{Row, wrap};
use crate::tui::pane::rows::Rows;
use crate::tui::pane::{Call, Cx, Intent, Outcome};
use crate::tui::theme::Role;

/// Rows for what is said of the prompt under the cursor.
const SAID: u16 = 2;

#[must_use]
pub fn boxed() -> Box<dyn Overlay> {
    Box::new(Queue { rows: Rows::default() })
}

struct Queue {
    rows: Rows,
}

fn items<'a>(cx: &'a Cx<'_>) -> &'a [Queued] {
    cx.doc().map_or(&[], |doc| &doc.conversation.queue)
}

/// How a prompt stands, and what Enter does about it.
fn said(cx: &Cx<'_>, queued: &Queued) -> (String, Role) {
    let Some(doc) = cx.doc() else { return (String::new(), Role::Quiet) };
    let enter = cx.key(Scope::Overlay, Action::Accept);
    match standing(doc, queued) {
        Standing::Waits => {
            (format!("waits for the answer above · {enter} stops that, keeps what came and sends this under it"), Role::Quiet)
        }
        Standing::Held(why) => (format!("held: {} · {enter} sends it", why.words()), Role::Warning),
    }
}

impl Overlay for Queue {
    fn scope(&self) -> Scope {
        Scope::Overlay
    }

    fn title(&self, cx: &Cx<'_>) -> String {
        format!("Queue: {}", format::plural(items(cx).len() as u64, "prompt"))
    }

    fn size(&self, cx: &Cx<'_>, (width, height): (u16, u16)) -> (u16, u16) {
        let rows = u16::try_from(items(cx).len()).unwrap_or(u16::MAX).saturating_add(SAID);
        (96.min(width.saturating_sub(4)), rows.clamp(1, height.saturating_sub(4).max(1)))
    }

    fn act(&mut self, call: &Call<'_>, cx: &Cx<'_>) -> Outcome {
        let items = items(cx);
        if self.rows.act(call, items.len()) {
            return Outcome::done();
        }
        let (Some(queued), Some(conversation)) = (items.get(self.rows.at), cx.view.conversation) else { return Outcome::ignored() };
        let node = queued.node;
        match call.action {
            Action::Accept | Action::Activate => Outcome::closed().with(Intent::SendQueued { node, beside: false }),
            Action::SendBeside => Outcome::closed().with(Intent::SendQueued { node, beside: true }),
            Action::OpenEditor => Outcome::closed().with(Intent::EditQueued(node)),
            Action::MoveDown | Action::MoveUp => {
                let down = call.action == Action::MoveDown;
                let to = if down { self.rows.at.saturating_add(call.times()) } else { self.rows.at.saturating_sub(call.times()) };
                let to = to.min(items.len() - 1);
                if to == self.rows.at {
                    return Outcome::done();
                }
                self.rows.at = to;
                Intent::Post(Command::MoveQueued { conversation, node, to: u32::try_from(to).unwrap_or(u32::MAX) }).into()
            }
            Action::Forget => Intent::Post(Command::DropQueued { conversation, node }).into(),
            _ => Outcome::ignored(),
        }
    }

    fn is_live(&self) -> bool {
        true
    }

    fn view(&mut self, cx: &Cx<'_>, area: Rect, buf: &mut Buffer) -> Option<Cursor> {
        let items = items(cx);
        if items.is_empty() {
            Row::new(buf, area, 0).text("Nothing waits any more.", cx.style(Role::Quiet));
            return None;
        }
        let said_rows = if area.height > SAID + 1 { SAID } else { 0 };
        let list = Rect { height: area.height - said_rows, ..area };
        super::list(cx, &mut self.rows, list, buf, items.len(), |at, row| {
            let queued = &items[at];
            let held = cx.doc().is_some_and(|doc| matches!(standing(doc, queued), Standing::Held(_)));
            row.right(if held { "held" } else { "queued" }, cx.style(if held { Role::Warning } else { Role::Quiet }), 20);
            row.text(&format!("{:>2} ", at + 1), cx.style(Role::Quiet));
            row.text(&queue::words(&queued.content), cx.style(Role::Text));
        });
        if let (Some(queued), true) = (items.get(self.rows.at), said_rows > 0) {
            let (text, role) = said(cx, queued);
            for (y, line) in (list.height..area.height).zip(wrap(&text, usize::from(area.width))) {
                Row::new(buf, area, y).text(&line, cx.style(role));
            }
        }
        None
    }

    fn foot(&self, cx: &Cx<'_>) -> String {
        let key = |action| cx.key(Scope::Overlay, action);
        format!(
            "{} sends now · {} beside · {} edits · {} {} move · {} drops · {} closes",
            key(Action::Accept),
            key(Action::SendBeside),
            key(Action::OpenEditor),
            key(Action::MoveDown),
            key(Action::MoveUp),
            key(Action::Forget),
            key(Action::Close)
        )
    }
}
