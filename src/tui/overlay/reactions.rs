//! Reactions to a message, to put on and take off: those that were given lately first; any other word by typing it.

use std::collections::BTreeSet;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use serde_json::Value;

use super::{Overlay, field};
use crate::proto::{Command, ConversationId, NodeId};
use crate::tui::action::keep::RECENT;
use crate::tui::action::{Action, Scope};
use crate::tui::command_line::Line;
use crate::tui::composer::Edit;
use crate::tui::output::Cursor;
use crate::tui::pane::rows::Rows;
use crate::tui::pane::{Call, Cx, Intent, Outcome};
use crate::tui::shared::Shared;
use crate::tui::text::width::drawable;
use crate::tui::theme::Role;

/// What is offered before anybody gave any: a sign and what it is called.
const KNOWN: &[(&str, &str)] = &[
    ("👍", "good"),
    ("👎", "bad"),
    ("❤", "love"),
    ("😂", "funny"),
    ("🎉", "great"),
    ("🤔", "doubtful"),
    ("👀", "look again"),
    ("✅", "checked"),
    ("❌", "wrong"),
    ("⭐", "best"),
    ("todo", "to be done"),
    ("quote", "to be quoted"),
];

/// So many that were given lately are remembered.
const REMEMBERED: usize = 12;
/// A reaction is a sign or a short word.
const LONGEST: usize = 16;

#[must_use]
pub fn open(conversation: ConversationId, node: NodeId) -> Box<dyn Overlay> {
    Box::new(Reactions { conversation, node, line: Line::default(), rows: Rows::default() })
}

/// The commands that put a reaction on or take it off, and remember that it was given.
#[must_use]
pub fn change(shared: &Shared, conversation: ConversationId, node: NodeId, reaction: &str, on: bool) -> Vec<Command> {
    let reaction = crate::sanitise::cut(reaction.trim(), LONGEST).into_owned();
    if reaction.is_empty() {
        return Vec::new();
    }
    let mut commands = vec![Command::React { conversation, node, reaction: reaction.clone(), on }];
    let known = recent(shared);
    if on && known.first() != Some(&reaction) {
        let others = known.into_iter().filter(|other| *other != reaction);
        let all: Vec<Value> = std::iter::once(reaction.clone()).chain(others).take(REMEMBERED).map(Value::from).collect();
        commands.push(Command::SetSetting { key: RECENT.to_owned(), value: Value::from(all) });
    }
    commands
}

fn recent(shared: &Shared) -> Vec<String> {
    let given = shared.replica.settings.get(RECENT).and_then(Value::as_array);
    given.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

struct Reactions {
    conversation: ConversationId,
    node: NodeId,
    line: Line,
    rows: Rows,
}

/// A row: the reaction, what it is called, and whether the message has it.
struct Shown {
    reaction: String,
    about: &'static str,
    on: bool,
    fresh: bool,
}

impl Reactions {
    fn list(&self, shared: &Shared) -> Vec<Shown> {
        let node = shared.doc().and_then(|doc| doc.node(self.node));
        let given: &[String] = node.map_or(&[], |node| &node.reactions);
        let about = |reaction: &str| KNOWN.iter().find(|(sign, _)| *sign == reaction).map_or("", |(_, about)| about);
        let mut seen = BTreeSet::new();
        let typed = self.line.text().trim().to_owned();
        let lower = typed.to_lowercase();
        let known = KNOWN.iter().map(|(sign, _)| (*sign).to_owned());
        let mut out: Vec<Shown> = given
            .iter()
            .cloned()
            .chain(recent(shared))
            .chain(known)
            .filter(|reaction| seen.insert(reaction.clone()))
            .filter(|reaction| reaction.to_lowercase().contains(&lower) || about(reaction).contains(&lower))
            .map(|reaction| Shown { about: about(&reaction), on: given.contains(&reaction), fresh: false, reaction })
            .collect();
        if !typed.is_empty() && !seen.contains(&typed) {
            let reaction = crate::sanitise::cut(&typed, LONGEST).into_owned();
            out.push(Shown { reaction, about: "", on: false, fresh: true });
        }
        out
    }
}

impl Overlay for Reactions {
    fn scope(&self) -> Scope {
        Scope::Prompt
    }

    fn title(&self, _cx: &Cx<'_>) -> String {
        "React".to_owned()
    }

    fn size(&self, cx: &Cx<'_>, (width, height): (u16, u16)) -> (u16, u16) {
        let rows = u16::try_from(self.list(cx.shared).len().max(1)).unwrap_or(u16::MAX);
        (44.min(width.saturating_sub(4)), rows.saturating_add(1).min(height.saturating_sub(4)))
    }

    fn act(&mut self, call: &Call<'_>, cx: &Cx<'_>) -> Outcome {
        let list = self.list(cx.shared);
        if self.rows.act(call, list.len()) {
            return Outcome::done();
        }
        if !matches!(call.action, Action::Accept | Action::Activate) {
            return Outcome::ignored();
        }
        let Some(row) = list.get(self.rows.at) else { return Outcome::done() };
        let commands = change(cx.shared, self.conversation, self.node, &row.reaction, !row.on);
        commands.into_iter().fold(Outcome::closed(), |outcome, command| outcome.with(Intent::Post(command)))
    }

    fn typed(&mut self, text: &str, _cx: &Cx<'_>) -> Outcome {
        self.line.insert(text);
        self.rows.at = 0;
        Outcome::done()
    }

    fn edit(&mut self, edit: Edit, times: usize, _cx: &Cx<'_>) -> Outcome {
        self.line.edit(edit, u32::try_from(times).ok());
        self.rows.at = 0;
        Outcome::done()
    }

    fn is_live(&self) -> bool {
        true
    }

    fn view(&mut self, cx: &Cx<'_>, area: Rect, buf: &mut Buffer) -> Option<Cursor> {
        let line = Rect { height: 1.min(area.height), ..area };
        let cursor = field::draw(&self.line, cx, "› ", "a part of one, or a sign or word of your own", line, buf);
        let body = Rect { y: line.bottom(), height: area.bottom().saturating_sub(line.bottom()), ..area };
        let list = self.list(cx.shared);
        super::list(cx, &mut self.rows, body, buf, list.len(), |at, row| {
            let shown = &list[at];
            let (sign, role) = match (shown.fresh, shown.on) {
                (true, _) => ("[+]", Role::Accent),
                (_, true) => ("[x]", Role::Accent),
                _ => ("[ ]", Role::Quiet),
            };
            row.text(sign, cx.style(role)).gap(1).text(&drawable(&shown.reaction), cx.style(Role::Text)).gap(2);
            row.text(shown.about, cx.style(Role::Quiet));
        });
        cursor
    }

    fn foot(&self, cx: &Cx<'_>) -> String {
        format!("{} puts on, takes off · {} closes", cx.key(Scope::Prompt, Action::Accept), cx.key(Scope::Prompt, Action::Close))
    }
}
