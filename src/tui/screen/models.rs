//! Every model in one table, with all that is known of the one under the cursor beside it.

use super::ScreenInfo;
use crate::tui::layout::Arrangement;
use crate::tui::pane::{details, table};

pub static SCREEN: ScreenInfo = ScreenInfo {
    id: "models",
    title: "Models",
    panes: &[table::ID, details::ID],
    home: table::ID,
    arrangement: || Arrangement { right: 300, ..Arrangement::default() },
};
