//! The files that went with a message, fetched from the host: to be saved here, looked at, copied.
//!
//! Invariant: a file is whole before anything is done with it, and nothing of it is written anywhere unasked.

use crate::proto::{Part, Query};
use crate::tui::model::{Model, Waiting};
use crate::tui::msg::{Cmd, Purpose};
use crate::tui::overlay::files;
use crate::tui::pane::Intent;
use crate::tui::perform;
use crate::tui::text::width::drawable;

/// What a file is fetched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum For {
    /// To be saved at this path.
    Save(String),
    /// To be looked at in the editor.
    Edit,
    Copy,
}

/// A file on its way from the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    pub hash: String,
    pub name: String,
    pub why: For,
    /// What came of it.
    pub data: Vec<u8>,
}

impl Fetch {
    /// Of an attachment; `None` for other parts.
    #[must_use]
    pub fn of(part: &Part, why: For) -> Option<Self> {
        let (Part::Image { blob, name, .. } | Part::File { blob, name, .. }) = part else { return None };
        Some(Self { hash: blob.clone(), name: name.clone(), why, data: Vec::new() })
    }
}

/// `:attachments`, about the selected message.
pub fn show(model: &mut Model) {
    let content = model.node_at_hand().and_then(|id| Some((id, model.shared.doc()?.content(id)?)));
    let Some((_, content)) = content else { return model.say("The message is not here yet; try again in a moment.") };
    let attached: Vec<Part> = content.iter().filter(|part| matches!(part, Part::Image { .. } | Part::File { .. })).cloned().collect();
    if attached.is_empty() {
        return model.say("No file goes with this message.");
    }
    model.push_overlay(files::open(attached));
}

/// Asks the host for it.
pub fn fetch(model: &mut Model, fetch: Fetch) {
    if !model.refuse_offline() {
        let query = Query::Blob { hash: fetch.hash.clone(), offset: fetch.data.len() as u64 };
        model.ask(query, Waiting::Fetch(Box::new(fetch)));
    }
}

/// A piece of it came.
pub fn arrived(model: &mut Model, mut file: Fetch, total: u64, piece: &[u8]) {
    file.data.extend_from_slice(piece);
    if (file.data.len() as u64) < total && !piece.is_empty() {
        return fetch(model, file);
    }
    let shown = drawable(&file.name).into_owned();
    if file.data.len() as u64 != total {
        return model.warn(format!("{shown} did not come whole, so nothing was done with it."));
    }
    let text = match file.why {
        For::Save(path) => return perform::intent(model, Intent::Save { path, data: file.data, over: false }),
        For::Edit | For::Copy => String::from_utf8(file.data),
    };
    let Ok(text) = text else { return model.warn(format!("{shown} is no text; it can only be saved.")) };
    match file.why {
        For::Copy => perform::intent(model, Intent::Copy { text, what: shown }),
        _ => {
            let extension = std::path::Path::new(&file.name).extension().and_then(|end| end.to_str());
            let extension = extension.filter(|end| end.len() <= 10 && end.chars().all(char::is_alphanumeric)).unwrap_or("txt").to_owned();
            model.cmds.push(Cmd::Edit { purpose: Purpose::Code, text, extension });
        }
    }
}
