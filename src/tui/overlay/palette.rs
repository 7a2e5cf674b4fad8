//! The palette: actions, conversations and models, found by any letters of their names.

use nucleo_matcher::pattern::{AtomKind, CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};

use super::choose::{Choose, Item};
use crate::tui::action::{ALL, Action, Invocation, Scope};
use crate::tui::pane::{Cx, Intent};
use crate::tui::shared::model_state;
use crate::tui::theme::Role;

/// Conversations that are offered; the others are found by searching.
const CONVERSATIONS: usize = 300;

/// Orders texts by how well they match: best first, what does not match left out. An empty pattern keeps everything in order.
#[must_use]
pub fn rank<'a>(typed: &str, texts: impl Iterator<Item = &'a str>) -> Vec<usize> {
    if typed.trim().is_empty() {
        return texts.enumerate().map(|(i, _)| i).collect();
    }
    let mut matcher = Matcher::new(Config::DEFAULT);
    let pattern = Pattern::new(typed, CaseMatching::Smart, Normalization::Smart, AtomKind::Fuzzy);
    let mut buffer = Vec::new();
    let mut found: Vec<(u32, usize)> = texts
        .enumerate()
        .filter_map(|(i, text)| pattern.score(Utf32Str::new(text, &mut buffer), &mut matcher).map(|score| (score, i)))
        .collect();
    found.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    found.into_iter().map(|(_, i)| i).collect()
}

/// Opens it. `scope` is where one was; `why` says why an action is not possible now.
#[must_use]
pub fn open(cx: &Cx<'_>, scope: Scope, why: impl Fn(Action) -> Option<String>) -> Choose {
    let mut items = Vec::new();
    for info in ALL {
        let action = info.action;
        if !is_offered(action) {
            continue;
        }
        let refusal = why(action);
        let keys =
            cx.keymap.hint(scope, action).or_else(|| cx.keymap.hint_elsewhere(action).map(|(scope, keys)| format!("{keys} in {scope}")));
        let note = match (&refusal, keys) {
            (Some(why), _) => format!("not now: {why}"),
            (None, Some(keys)) => keys,
            (None, None) => format!(":{}", info.name()),
        };
        let mut item = Item::new(info.what, note, move || Intent::Call(Invocation::new(action)));
        item.glyph = (if refusal.is_some() { "·" } else { "▸" }, if refusal.is_some() { Role::Quiet } else { Role::Accent });
        items.push((refusal.is_some(), item));
    }
    // What is possible comes first.
    items.sort_by_key(|(refused, _)| *refused);
    let mut items: Vec<Item> = items.into_iter().map(|(_, item)| item).collect();
    for row in cx.replica.recent_rows().into_iter().take(CONVERSATIONS) {
        let id = row.id;
        let title = if row.title.trim().is_empty() { "untitled" } else { row.title.trim() };
        let mut item = Item::new(title, "conversation", move || Intent::Open(id, None));
        item.glyph = (if row.unread { "•" } else { " " }, Role::Unread);
        items.push(item);
    }
    for model in cx.replica.models.iter().filter(|model| !model.card.hidden) {
        let reference = model.reference();
        let mut item = Item::new(reference.to_string(), "model", move || Intent::Choose(reference.clone()));
        item.glyph = model_state(model.state);
        items.push(item);
    }
    Choose::new("Find anything", items, 0)
}

/// Movements and what only means something in a line or an overlay are not chosen from a list.
fn is_offered(action: Action) -> bool {
    let Some(info) = action.info() else { return false };
    !matches!(info.scope, Scope::List | Scope::Overlay | Scope::Command | Scope::Search | Scope::Prompt | Scope::Confirm)
        && !matches!(action, Action::Palette | Action::Complete | Action::CompleteBack | Action::NormalMode | Action::Newline)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_anywhere_find_and_the_best_comes_first() {
        let texts = ["Ask again (adds a version)", "New conversation", "Rename the conversation", "Quit"];
        let find = |typed: &str| rank(typed, texts.iter().copied()).first().map(|i| texts[*i]);
        assert_eq!(find("newc"), Some("New conversation"));
        assert_eq!(find("again"), Some("Ask again (adds a version)"));
        assert_eq!(find("zzz"), None);
        assert_eq!(rank("", texts.iter().copied()), [0, 1, 2, 3]);
    }
}
