//! What a `:` line may go on with.

use super::KINDS;
use super::parse::find;
use crate::core::parameters::{self, PARAMETERS, Type};
use crate::tui::action::{ALL, Action, ActionInfo, Takes};
use crate::tui::screen::{self, SCREENS};

/// The names that there are now; the caller has them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lists<'a> {
    /// `backend/model`, the most useful first.
    pub models: &'a [String],
    pub branches: &'a [String],
    pub presets: &'a [String],
    /// Id and title.
    pub conversations: &'a [(String, String)],
    pub themes: &'a [String],
    pub keymaps: &'a [String],
    /// Topics of help beside actions.
    pub topics: &'a [String],
    /// The user's own groups of models, tags, and saved filters.
    pub groups: &'a [String],
    pub tags: &'a [String],
    pub filters: &'a [String],
    /// Folders of conversations, by their paths, and tags of conversations.
    pub folders: &'a [String],
    pub labels: &'a [String],
}

/// Something that the line may go on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// What stands in the line.
    pub text: String,
    /// What it is, quietly beside it; may be empty.
    pub about: String,
}

impl Candidate {
    fn new(text: impl Into<String>, about: impl Into<String>) -> Self {
        Self { text: text.into(), about: about.into() }
    }
}

/// More would not be looked at.
const MOST: usize = 200;

/// What may stand in place of the text from a byte on, given what stands before the cursor. Best first.
#[must_use]
pub fn candidates(before: &str, lists: &Lists<'_>) -> (usize, Vec<Candidate>) {
    let lead = before.len() - before.trim_start_matches([':', ' ']).len();
    let line = &before[lead..];
    let mut names = commands(line);
    if let Ok((info, rest)) = find(line)
        && line.ends_with(|c: char| c.is_whitespace()) | !rest.is_empty()
    {
        let (start, mut items) = arguments(info, rest, lists);
        if names.is_empty() {
            items.truncate(MOST);
            return (before.len() - rest.len() + start, items);
        }
        // `model s` may become `model start`, or a model with an s in it: all as whole lines.
        let head = &line[..line.len() - rest.len() + start];
        names.extend(items.into_iter().map(|item| Candidate { text: format!("{head}{}", item.text), ..item }));
    }
    names.truncate(MOST);
    (lead, names)
}

/// The commands that begin so: of each action the first of its names that does.
fn commands(line: &str) -> Vec<Candidate> {
    let begins = |name: &&&str| name.starts_with(line) && **name != line;
    ALL.iter()
        .filter_map(|info| {
            let name = info.names.iter().chain(std::iter::once(&info.id)).find(begins)?;
            Some(Candidate::new(*name, info.what))
        })
        .collect()
}

/// What the argument at the line's end may be, and where in `rest` it begins.
fn arguments(info: &ActionInfo, rest: &str, lists: &Lists<'_>) -> (usize, Vec<Candidate>) {
    let Some(last) = info.arguments.len().checked_sub(1) else { return (0, Vec::new()) };
    let (mut start, mut at) = (0, 0);
    while at < last {
        match rest[start..].find(char::is_whitespace) {
            Some(space) => start += space + 1,
            None => break,
        }
        at += 1;
    }
    let typed = &rest[start..];
    let items: Vec<Candidate> = match info.arguments[at].takes {
        Takes::Model => lists.models.iter().map(|model| Candidate::new(model, "")).collect(),
        Takes::Parameter => PARAMETERS.iter().map(|p| Candidate::new(p.key, p.about)).collect(),
        Takes::Value => values(rest.split_whitespace().next().unwrap_or_default()),
        Takes::Preset => plain(lists.presets),
        Takes::Branch => plain(lists.branches),
        Takes::Conversation => lists.conversations.iter().map(|(id, title)| Candidate::new(id, title)).collect(),
        Takes::Theme => plain(lists.themes),
        Takes::Keymap => plain(lists.keymaps),
        Takes::Pane => screen::panes().map(|pane| Candidate::new(pane, "")).collect(),
        Takes::Screen => SCREENS.iter().map(|screen| Candidate::new(screen.id, "")).collect(),
        Takes::Topic => {
            let actions = ALL.iter().map(|info| Candidate::new(info.name(), info.what));
            plain(lists.topics).into_iter().chain(actions).collect()
        }
        Takes::Kind => KINDS.iter().map(|kind| Candidate::new(*kind, "")).collect(),
        Takes::ModelGroup => plain(lists.groups),
        Takes::Tag => plain(lists.tags),
        Takes::Filter => plain(lists.filters),
        Takes::Folder => plain(lists.folders),
        Takes::ConversationTag => plain(lists.labels),
        Takes::OneOf(words) => words.iter().map(|word| Candidate::new(*word, "")).collect(),
        Takes::Path | Takes::Letter | Takes::Text => Vec::new(),
    };
    // Typing `:switch ` of a branch that is being named would only get in the way.
    let items = if info.action == Action::Branch { Vec::new() } else { ranked(items, typed) };
    (start, items)
}

fn plain(names: &[String]) -> Vec<Candidate> {
    names.iter().map(|name| Candidate::new(name, "")).collect()
}

fn values(key: &str) -> Vec<Candidate> {
    match parameters::find(key).map(|parameter| parameter.kind) {
        Some(Type::Word(words)) => words.iter().map(|word| Candidate::new(*word, "")).collect(),
        _ => Vec::new(),
    }
}

/// Those that begin with what is typed, then those that have it anywhere, also in what they are; case does not matter.
fn ranked(items: Vec<Candidate>, typed: &str) -> Vec<Candidate> {
    let typed = typed.trim_start().to_lowercase();
    let rank = |item: &Candidate| {
        let text = item.text.to_lowercase();
        if text == typed {
            None
        } else if text.starts_with(&typed) {
            Some(0)
        } else if text.contains(&typed) {
            Some(1)
        } else {
            item.about.to_lowercase().contains(&typed).then_some(2)
        }
    };
    let mut ranked: Vec<(u8, Candidate)> = items.into_iter().filter_map(|item| Some((rank(&item)?, item))).collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, item)| item).collect()
}
