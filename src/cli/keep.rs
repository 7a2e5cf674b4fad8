//! `arbour conversations archive`, `rm`, `restore`: where conversations are kept.
//!
//! Invariant: everything that is named is understood before anything is done; nothing is deleted for good unless that is said.

use super::context::Context;
use super::session::{Session, pick_conversation, title};
use crate::error::{Error, Kind, Result};
use crate::proto::{Command, ConversationRow, Keep, Order, Shelf};

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    Archive,
    Bin,
    /// Deleted, with all messages.
    Delete,
    /// Out of the bin and the archive.
    Restore,
}

pub async fn run(context: &Context, wanted: &[String], act: Act) -> Result<u8> {
    let mut session = context.session().await?;
    let mut all = session.conversations(Shelf::Everything, Order::default(), None, None).await?;
    if matches!(act, Act::Delete | Act::Restore) {
        all.extend(session.conversations(Shelf::Bin, Order::default(), None, None).await?);
    }
    let mut rows: Vec<ConversationRow> = Vec::new();
    for wanted in wanted {
        let row = pick_conversation(wanted, &all)?;
        if !rows.iter().any(|known| known.id == row.id) {
            rows.push(row.clone());
        }
    }
    if act == Act::Restore
        && let Some(row) = rows.iter().find(|row| row.deleted.is_none() && !row.archived)
    {
        return Err(Error::new(Kind::Usage, format!("{} is neither in the bin nor archived.", title(row))));
    }
    let changes: &[Keep] = match act {
        Act::Archive => &[Keep::Archived(true)],
        Act::Bin | Act::Delete => &[Keep::Deleted(true)],
        Act::Restore => &[Keep::Deleted(false), Keep::Archived(false)],
    };
    for change in changes {
        keep(&mut session, &rows, change).await?;
    }
    for row in &rows {
        if act == Act::Delete {
            session.client.command(Command::DeleteConversation { conversation: row.id }).await?;
        }
        eprintln!("{}", told(row, act));
    }
    Ok(0)
}

/// Changes those that are not so yet.
async fn keep(session: &mut Session, rows: &[ConversationRow], change: &Keep) -> Result<()> {
    let is_so = |row: &&ConversationRow| match change {
        Keep::Deleted(to) => row.deleted.is_some() != *to,
        Keep::Archived(to) => row.archived != *to,
        _ => true,
    };
    let conversations: Vec<_> = rows.iter().filter(is_so).map(|row| row.id).collect();
    if !conversations.is_empty() {
        session.client.command(Command::Keep { conversations, change: change.clone() }).await?;
    }
    Ok(())
}

fn told(row: &ConversationRow, act: Act) -> String {
    let title = title(row);
    let id = row.id;
    match act {
        Act::Archive => format!("{title} is archived. `arbour conversations restore {id}` takes it out."),
        Act::Bin => format!("{title} is in the bin. `arbour conversations restore {id}` takes it out."),
        Act::Delete => format!("{title} is deleted, with all its messages."),
        Act::Restore => format!("{title} is in the list again."),
    }
}
