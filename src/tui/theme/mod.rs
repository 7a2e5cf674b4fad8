//! Themes: roles to styles, resolved once at load.
//!
//! Owns: the roles ([`Role`]), the files' format ([`file`]), the built-in themes and the user's ([`Themes`]), what a terminal can
//! show ([`Facts`]). Refuses: layout, and asking the terminal while the screen runs ([`probe`] is for before). Invariant: no
//! colour stands anywhere else on the screen, and looking up a style is an index, never a search.
//!
//! ```ignore
//! let light = probe::is_light(Duration::from_millis(200));       // before the event stream starts
//! let (themes, problems) = Themes::load(Some(&paths.themes()));   // built-in ones and the user's; problems are for people
//! let (theme, problems) = themes.resolve("auto", &Facts::from_env(light))?;
//! let style = theme.style(Role::Title);
//! ```

pub mod colour;
pub mod file;
pub mod probe;
mod role;
mod set;

use std::sync::atomic::{AtomicU32, Ordering};

use ratatui::style::{Modifier, Style};

pub use colour::{Depth, Facts};
pub use role::Role;
pub use set::{Choice, Themes};

/// A theme ready for use: one style for each role.
#[derive(Debug, Clone, PartialEq)]
pub struct Theme {
    styles: Box<[Style; Role::COUNT]>,
    /// Tells this theme from every other that this process resolved; part of the keys of caches.
    pub generation: u32,
    pub name: String,
}

static GENERATION: AtomicU32 = AtomicU32::new(1);

impl Theme {
    fn new(name: &str, styles: [Style; Role::COUNT]) -> Self {
        Self { styles: Box::new(styles), generation: GENERATION.fetch_add(1, Ordering::Relaxed), name: name.to_owned() }
    }

    /// How a role looks.
    #[must_use]
    pub fn style(&self, role: Role) -> Style {
        self.styles[role as usize]
    }

    /// How `role` looks on top of `base`: what `role` leaves open is as in `base`.
    #[must_use]
    pub fn over(&self, base: Style, role: Role) -> Style {
        base.patch(self.style(role))
    }

    /// Attributes only, no colour: for `NO_COLOR`, and what is there before any file was read.
    #[must_use]
    pub fn mono() -> Self {
        let mut styles = [Style::new(); Role::COUNT];
        for role in Role::ALL {
            styles[*role as usize] = Style::new().add_modifier(mono(*role));
        }
        Self::new("mono", styles)
    }
}

/// What remains of a role without colours. Reverse is kept for what must be found at a glance.
fn mono(role: Role) -> Modifier {
    match role {
        Role::TitleFocused
        | Role::Heading
        | Role::Strong
        | Role::TableHead
        | Role::User
        | Role::Assistant
        | Role::Unread
        | Role::Favourite
        | Role::Error
        | Role::Key
        | Role::Accent
        | Role::RuleFocused
        | Role::Running
        | Role::Marked
        | Role::CodeKeyword
        | Role::CodeLabel
        | Role::Badge => Modifier::BOLD,
        Role::Selection
        | Role::SearchCurrent
        | Role::ModeNormal
        | Role::ModeInsert
        | Role::ModeVisual
        | Role::ModeCommand
        | Role::ModeSearch => Modifier::REVERSED,
        Role::Link | Role::SearchHit | Role::SelectionQuiet | Role::Warning => Modifier::UNDERLINED,
        Role::Emphasis => Modifier::ITALIC,
        Role::Strike | Role::CodeDeleted => Modifier::CROSSED_OUT,
        Role::Quiet
        | Role::Rule
        | Role::Title
        | Role::Thinking
        | Role::LinkTarget
        | Role::CodeComment
        | Role::CodeFrame
        | Role::CodeWrap
        | Role::QuoteBar
        | Role::TableRule
        | Role::GaugeEmpty
        | Role::Hint
        | Role::Placeholder
        | Role::Skeleton
        | Role::Break => Modifier::DIM,
        Role::Text
        | Role::Ok
        | Role::System
        | Role::Tool
        | Role::Cursor
        | Role::Quote
        | Role::Bullet
        | Role::Math
        | Role::CodeInline
        | Role::CodeText
        | Role::CodeString
        | Role::CodeNumber
        | Role::CodeConstant
        | Role::CodeOperator
        | Role::CodeFunction
        | Role::CodeType
        | Role::CodeVariable
        | Role::CodeTag
        | Role::CodeAttribute
        | Role::CodePunctuation
        | Role::CodeInserted
        | Role::Sparkline
        | Role::Gauge
        | Role::Status
        | Role::Overlay => Modifier::empty(),
    }
}

#[cfg(test)]
mod tests;
