//! Screens: which panes are looked at together. One file each, registered in [`SCREENS`]; a screen is data that names panes.
//!
//! Owns: the registry. Refuses: drawing, and where panes stand (`layout` divides what a screen names). Invariant: a pane belongs to
//! one screen, so that going to a pane says which screen is shown.

pub mod models;
pub mod workspace;

use super::layout::{Arrangement, PaneId};

/// A screen's entry in the registry.
#[derive(Debug)]
pub struct ScreenInfo {
    /// Its name, on the `:` line and in what is remembered.
    pub id: &'static str,
    /// As people read it.
    pub title: &'static str,
    /// The panes on it, in the order of `Tab`.
    pub panes: &'static [PaneId],
    /// Which of them has the focus at first.
    pub home: PaneId,
    /// How they stand unless somebody moved them.
    pub arrangement: fn() -> Arrangement,
}

/// Every screen, in the order of `g1`, `g2`…
pub static SCREENS: &[&ScreenInfo] = &[&workspace::SCREEN, &models::SCREEN];

impl ScreenInfo {
    #[must_use]
    pub fn has(&self, pane: PaneId) -> bool {
        self.panes.contains(&pane)
    }

    /// Whether it is this one: there is one entry of each id.
    #[must_use]
    pub fn is(&self, id: &str) -> bool {
        self.id == id
    }

    /// Under which name its arrangement is remembered. The workspace's was there before there were others.
    #[must_use]
    pub fn setting(&self) -> String {
        if self.is(workspace::SCREEN.id) { "layout".to_owned() } else { format!("layout.{}", self.id) }
    }
}

/// The screen that a pane is on.
#[must_use]
pub fn of(pane: &str) -> Option<&'static ScreenInfo> {
    SCREENS.iter().copied().find(|screen| screen.panes.contains(&pane))
}

/// The screen of that name (or the beginning of one), or number.
#[must_use]
pub fn named(name: &str) -> Option<&'static ScreenInfo> {
    let wanted = name.trim().to_lowercase();
    let number: Option<usize> = wanted.parse().ok();
    match number {
        Some(number) => SCREENS.get(number.checked_sub(1)?).copied(),
        None => SCREENS.iter().copied().find(|screen| !wanted.is_empty() && screen.id.starts_with(&wanted)),
    }
}

/// The panes of all screens.
pub fn panes() -> impl Iterator<Item = PaneId> {
    SCREENS.iter().flat_map(|screen| screen.panes.iter().copied())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::tui::pane::PANES;

    #[test]
    fn every_pane_is_on_one_screen() {
        let registered: BTreeSet<&str> = PANES.iter().map(|make| make().info().tile.id).collect();
        let named: Vec<&str> = panes().collect();
        assert_eq!(named.len(), registered.len());
        assert_eq!(named.into_iter().collect::<BTreeSet<_>>(), registered);
        for screen in SCREENS {
            assert!(screen.has(screen.home), "{}", screen.id);
        }
    }

    #[test]
    fn screens_are_found_by_name_and_number() {
        assert_eq!(named("models").map(|s| s.id), Some("models"));
        assert_eq!(named(" W").map(|s| s.id), Some("workspace"));
        assert_eq!(named("2").map(|s| s.id), Some("models"));
        for nothing in ["", "0", "9", "monitor"] {
            assert!(named(nothing).is_none(), "{nothing}");
        }
    }
}
