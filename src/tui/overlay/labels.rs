//! Groups or tags of some models, or tags of some conversations, to put on and take off. A name that there is not yet is made by
//! typing it.

use std::collections::BTreeMap;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Overlay, field};
use crate::error::Result;
use crate::proto::{Card, CardChange, Command, ConversationRow, Keep, ModelRef, Query, Reply};
use crate::tui::action::{Action, Scope};
use crate::tui::command_line::Line;
use crate::tui::composer::Edit;
use crate::tui::output::Cursor;
use crate::tui::paint::Row;
use crate::tui::pane::rows::Rows;
use crate::tui::pane::{Call, Cx, Intent, Outcome};
use crate::tui::shared::Shared;
use crate::tui::theme::Role;

/// Which labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    Group,
    Tag,
}

impl Sort {
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Group => "Groups",
            Self::Tag => "Tags",
        }
    }

    /// The change that puts it on, or takes it off.
    #[must_use]
    pub fn change(self, name: &str, on: bool) -> CardChange {
        let name = name.to_owned();
        match self {
            Self::Group => CardChange::Group { name, member: on },
            Self::Tag => CardChange::Tag { name, on },
        }
    }

    fn of(self, card: &Card) -> &[String] {
        match self {
            Self::Group => &card.groups,
            Self::Tag => &card.tags,
        }
    }
}

#[must_use]
pub fn open(sort: Sort, title: String, models: Vec<ModelRef>) -> Box<dyn Overlay> {
    Box::new(Labels { of: Of::Models(sort, models), title, line: Line::default(), rows: Rows::default() })
}

/// Tags of conversations. Which ones there are is asked for.
#[must_use]
pub fn of_conversations(title: String, conversations: Vec<ConversationRow>) -> Box<dyn Overlay> {
    let of = Of::Conversations { conversations, known: None, asked: false };
    Box::new(Labels { of, title, line: Line::default(), rows: Rows::default() })
}

/// Whose labels.
enum Of {
    Models(Sort, Vec<ModelRef>),
    Conversations {
        /// As they are after what was done here.
        conversations: Vec<ConversationRow>,
        /// Every tag that there is.
        known: Option<Vec<String>>,
        asked: bool,
    },
}

impl Of {
    fn many(&self) -> usize {
        match self {
            Self::Models(_, models) => models.len(),
            Self::Conversations { conversations, .. } => conversations.len(),
        }
    }

    /// Every label, with how many of them have it.
    fn all(&self, shared: &Shared) -> BTreeMap<String, usize> {
        let mut all: BTreeMap<String, usize> = BTreeMap::new();
        match self {
            Self::Models(sort, models) => {
                for model in &shared.replica.models {
                    let labels = sort.of(&model.card);
                    if labels.is_empty() {
                        continue;
                    }
                    let ours = models.iter().any(|m| m.model == model.name && m.backend == model.backend);
                    labels.iter().for_each(|label| *all.entry(label.clone()).or_insert(0) += usize::from(ours));
                }
                // A group that points to templates is there although no model is in it.
                if *sort == Sort::Group {
                    shared.replica.groups.keys().for_each(|name| {
                        all.entry(name.clone()).or_insert(0);
                    });
                }
            }
            Self::Conversations { conversations, known, .. } => {
                known.iter().flatten().for_each(|tag| {
                    all.entry(tag.clone()).or_insert(0);
                });
                conversations.iter().flat_map(|row| &row.tags).for_each(|tag| *all.entry(tag.clone()).or_insert(0) += 1);
            }
        }
        all
    }

    /// Puts a label on, or takes it off.
    fn put(&mut self, name: &str, on: bool) -> Command {
        match self {
            Self::Models(sort, models) => Command::SetCards { models: models.clone(), change: sort.change(name, on) },
            Self::Conversations { conversations, .. } => {
                for row in conversations.iter_mut() {
                    row.tags.retain(|tag| tag != name);
                    row.tags.extend(on.then(|| name.to_owned()));
                    row.tags.sort();
                }
                let conversations = conversations.iter().map(|row| row.id).collect();
                Command::Keep { conversations, change: Keep::Tag { name: name.to_owned(), on } }
            }
        }
    }
}

struct Labels {
    of: Of,
    title: String,
    line: Line,
    rows: Rows,
}

/// A row: a label with how many of them have it; `None`: the one that is typed and is not there yet.
struct Shown {
    name: String,
    have: Option<usize>,
}

impl Labels {
    fn list(&self, shared: &Shared) -> Vec<Shown> {
        let all = self.of.all(shared);
        let typed = self.line.text().trim();
        let lower = typed.to_lowercase();
        let mut out: Vec<Shown> = all
            .iter()
            .filter(|(name, _)| name.to_lowercase().contains(&lower))
            .map(|(name, have)| Shown { name: name.clone(), have: Some(*have) })
            .collect();
        if !typed.is_empty() && !all.contains_key(typed) {
            out.push(Shown { name: typed.to_owned(), have: None });
        }
        out
    }
}

impl Overlay for Labels {
    fn scope(&self) -> Scope {
        Scope::Prompt
    }

    fn title(&self, _cx: &Cx<'_>) -> String {
        self.title.clone()
    }

    fn size(&self, cx: &Cx<'_>, (width, height): (u16, u16)) -> (u16, u16) {
        let rows = u16::try_from(self.list(cx.shared).len().max(1)).unwrap_or(u16::MAX);
        (50.min(width.saturating_sub(4)), rows.saturating_add(1).min(height.saturating_sub(4)))
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
        let on = row.have.is_none_or(|have| have < self.of.many());
        if row.have.is_none() {
            self.line.set("");
            self.rows.at = 0;
        }
        Intent::Post(self.of.put(&row.name, on)).into()
    }

    fn typed(&mut self, text: &str, _cx: &Cx<'_>) -> Outcome {
        self.line.insert(text);
        self.rows.at = 0;
        Outcome::done()
    }

    fn edit(&mut self, edit: Edit, times: usize, _cx: &Cx<'_>) -> Outcome {
        self.line.edit(edit, u32::try_from(times).ok());
        Outcome::done()
    }

    fn is_live(&self) -> bool {
        matches!(self.of, Of::Models(..))
    }

    fn wants(&mut self, cx: &Cx<'_>) -> Vec<Intent> {
        match &mut self.of {
            Of::Conversations { asked, .. } if !*asked && cx.is_up() => {
                *asked = true;
                vec![Intent::AskOverlay(Query::Tags)]
            }
            _ => Vec::new(),
        }
    }

    fn reply(&mut self, reply: &Result<Reply>) -> bool {
        match (&mut self.of, reply) {
            (Of::Conversations { known, .. }, Ok(Reply::Tags(tags))) => {
                *known = Some(tags.iter().map(|(tag, _)| tag.clone()).collect());
                true
            }
            _ => false,
        }
    }

    fn view(&mut self, cx: &Cx<'_>, area: Rect, buf: &mut Buffer) -> Option<Cursor> {
        let line = Rect { height: 1.min(area.height), ..area };
        let cursor = field::draw(&self.line, cx, "› ", "type a name: a new one, or a part of one", line, buf);
        let body = Rect { y: line.bottom(), height: area.bottom().saturating_sub(line.bottom()), ..area };
        let list = self.list(cx.shared);
        let many = self.of.many();
        if list.is_empty() {
            Row::new(buf, body, 0).text("There are none yet.", cx.style(Role::Quiet));
        }
        super::list(cx, &mut self.rows, body, buf, list.len(), |at, row| {
            let shown = &list[at];
            let (sign, role) = match shown.have {
                None => ("[+]", Role::Accent),
                Some(0) => ("[ ]", Role::Quiet),
                Some(have) if have < many => ("[-]", Role::Accent),
                Some(_) => ("[x]", Role::Accent),
            };
            if let Some(have) = shown.have.filter(|have| *have > 0 && *have < many) {
                row.right(&format!("{have} of {many}"), cx.style(Role::Quiet), 10);
            }
            row.text(sign, cx.style(role)).gap(1).foreign(&shown.name, cx.style(Role::Text));
        });
        cursor
    }

    fn foot(&self, cx: &Cx<'_>) -> String {
        format!("{} puts on, takes off · {} closes", cx.key(Scope::Prompt, Action::Accept), cx.key(Scope::Prompt, Action::Close))
    }
}
