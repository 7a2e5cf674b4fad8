//! A one-shot's view of a host: a [`Client`] with the replica that its events keep true.

use std::time::Duration;

use tokio::time::Instant;

use crate::client::{Client, Incoming};
use crate::core::{Doc, Replica};
use crate::error::{Error, Kind, Result, quoted};
use crate::proto::{Ack, BackendState, Command, ConversationId, ConversationRow, Event, NodeId, Order, Query, Reply, Shelf};

/// How long a listing waits for backends that do not answer; a probe gives up after 5 s by itself.
const PATIENCE: Duration = Duration::from_secs(7);
/// Conversations that are asked for at once when a title is looked for.
const PAGE: u32 = 500;
/// Messages whose content is asked for at once.
const CONTENTS: usize = 200;

/// What one step of a session brought.
pub enum Step {
    Event(Box<Event>),
    /// Events were lost on the way; the lists are new, and opened conversations must be opened again.
    Restored,
}

pub struct Session {
    pub client: Client,
    pub replica: Replica,
}

impl Session {
    pub fn new(mut client: Client) -> Self {
        let mut replica = Replica::default();
        replica.restore(client.take_snapshot());
        Self { client, replica }
    }

    /// The next thing that happened at the host, already applied to the replica. Safe to drop while it waits.
    ///
    /// # Errors
    /// When the host is gone for good.
    pub async fn next(&mut self) -> Result<Step> {
        loop {
            let incoming = self.client.next().await;
            if let Some(step) = self.take(incoming)? {
                return Ok(step);
            }
        }
    }

    /// Applies what has come already: what a command changed comes before its acknowledgement, and waits here behind it.
    ///
    /// # Errors
    /// When the host is gone for good.
    pub fn catch_up(&mut self) -> Result<()> {
        while let Some(incoming) = self.client.try_next() {
            self.take(incoming)?;
        }
        Ok(())
    }

    fn take(&mut self, incoming: Incoming) -> Result<Option<Step>> {
        match incoming {
            Incoming::Event(event) => {
                self.replica.apply(&event);
                return Ok(Some(Step::Event(event)));
            }
            Incoming::Restored(snapshot) => {
                self.replica.restore(*snapshot);
                return Ok(Some(Step::Restored));
            }
            Incoming::Gone(error) => return Err(error),
            Incoming::Lost(error) => tracing::info!("{error}"),
            // Answers to what was posted and not waited for: nothing depends on them.
            Incoming::Ack { result, .. } => drop(result.inspect_err(|error| tracing::warn!("{error}"))),
            Incoming::Reply { .. } => {}
        }
        Ok(None)
    }

    pub async fn command(&mut self, command: Command) -> Result<Ack> {
        self.client.command(command).await
    }

    /// Waits until `enough` holds, or every backend was asked and answered or gave up.
    ///
    /// # Errors
    /// When the host is gone.
    pub async fn settle(&mut self, enough: impl Fn(&Replica) -> bool) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !enough(&self.replica) && !settled(&self.replica) {
            match tokio::time::timeout_at(deadline, self.next()).await {
                Ok(step) => drop(step?),
                Err(_) => return Ok(()),
            }
        }
        Ok(())
    }

    /// Opens a conversation with the content of every message.
    ///
    /// # Errors
    /// The host's refusal.
    pub async fn open_whole(&mut self, conversation: ConversationId) -> Result<Doc> {
        let Reply::Opened(opened) = self.client.query(Query::Open { conversation, leaf: None, contents: u32::MAX }).await? else {
            return Err(misunderstood());
        };
        let mut doc = Doc::new(opened.conversation, opened.nodes, opened.contents);
        let missing: Vec<NodeId> = doc.nodes().iter().map(|n| n.id).filter(|id| doc.content(*id).is_none()).collect();
        for nodes in missing.chunks(CONTENTS) {
            let Reply::Contents(contents) = self.client.query(Query::Contents { conversation, nodes: nodes.to_vec() }).await? else {
                return Err(misunderstood());
            };
            for (node, content) in contents {
                doc.set_content(node, content);
            }
        }
        Ok(doc)
    }

    /// All conversations of a shelf that a filter fits, at most `limit`.
    ///
    /// # Errors
    /// The host's refusal.
    pub async fn conversations(
        &mut self,
        shelf: Shelf,
        order: Order,
        filter: Option<&str>,
        limit: Option<u32>,
    ) -> Result<Vec<ConversationRow>> {
        let mut rows = Vec::new();
        let most = limit.unwrap_or(u32::MAX);
        loop {
            let offset = u32::try_from(rows.len()).unwrap_or(u32::MAX);
            let query = Query::Conversations { shelf, order, offset, limit: PAGE.min(most - offset), filter: filter.map(str::to_owned) };
            let Reply::Conversations(window) = self.client.query(query).await? else { return Err(misunderstood()) };
            let came = window.items.len();
            rows.extend(window.items);
            if came == 0 || rows.len() >= window.total as usize || rows.len() >= most as usize {
                return Ok(rows);
            }
        }
    }

    /// The conversation that a person means: its id, a unique beginning or end of it, its title, or a unique part of the title.
    ///
    /// # Errors
    /// [`Kind::Usage`] with candidates when it is none or several.
    pub async fn find_conversation(&mut self, wanted: &str) -> Result<ConversationRow> {
        let rows = self.conversations(Shelf::Everything, Order::default(), None, None).await?;
        pick_conversation(wanted, &rows).cloned()
    }
}

/// Every backend was looked for, asked, and answered or gave up.
fn settled(replica: &Replica) -> bool {
    replica.discovered && replica.backends.iter().all(|b| b.state != BackendState::Connecting)
}

pub fn misunderstood() -> Error {
    Error::new(Kind::Version, "The host answered something else than was asked; it may be of another version.")
        .hint("Compare `arbour --version` on both sides.")
}

/// The conversation that is meant, among these: see [`Session::find_conversation`].
pub fn pick_conversation<'a>(wanted: &str, rows: &'a [ConversationRow]) -> Result<&'a ConversationRow> {
    let wanted = wanted.trim();
    let lower = wanted.to_lowercase();
    let id = |row: &ConversationRow| row.id.to_string();
    let tests: [&dyn Fn(&ConversationRow) -> bool; 4] = [
        &|row| id(row) == lower,
        &|row| row.title == wanted,
        // Ids begin with the time, so those of one day begin alike; their ends do not.
        &|row| lower.len() >= 4 && (id(row).starts_with(&lower) || id(row).ends_with(&lower)),
        &|row| row.title.to_lowercase().contains(&lower),
    ];
    if !wanted.is_empty() {
        for test in tests {
            let found: Vec<&ConversationRow> = rows.iter().filter(|row| test(row)).collect();
            match found.as_slice() {
                [] => {}
                [one] => return Ok(one),
                several => {
                    let mut error = Error::new(Kind::Usage, format!("{} could be {} conversations.", quoted(wanted), several.len()));
                    for row in several.iter().take(8) {
                        error = error.hint(format!("{}  {}", row.id, title(row)));
                    }
                    return Err(error);
                }
            }
        }
    }
    Err(Error::new(Kind::Usage, format!("No conversation is called {}.", quoted(wanted)))
        .hint("`arbour conversations ls` lists them, `arbour conversations search` looks into them."))
}

/// A conversation's title, harmless, on one line.
pub fn title(row: &ConversationRow) -> String {
    let title = crate::sanitise::line(&row.title);
    if title.is_empty() { "untitled".to_owned() } else { title.into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, title: &str) -> ConversationRow {
        ConversationRow { title: title.to_owned(), ..ConversationRow::new(id.parse().expect("an id"), 0) }
    }

    #[test]
    fn a_conversation_is_named_by_id_ends_of_it_or_title() {
        let rows = [
            row("0195a0c4-0000-7000-8000-00000000aaaa", "Quicksort in Rust"),
            row("0195a0c4-0000-7000-8000-00000000bbbb", "Quick"),
            row("0195a0c4-ffff-7000-8000-00000000cccc", "release notes\u{1b}[2J"),
        ];
        let found = |wanted: &str| pick_conversation(wanted, &rows).map(|r| r.title.as_str());
        assert_eq!(found("0195a0c4-0000-7000-8000-00000000aaaa"), Ok("Quicksort in Rust"));
        assert_eq!(found("BBBB"), Ok("Quick"));
        assert_eq!(found("0195a0c4-f"), Ok("release notes\u{1b}[2J"));
        assert_eq!(found("Quick"), Ok("Quick"), "the whole title wins over a part of another");
        assert_eq!(found("in rust"), Ok("Quicksort in Rust"));

        let several = found("0195a0c4").expect_err("three");
        assert_eq!((several.kind, several.exit_code(), several.hints.len()), (Kind::Usage, 2, 3));
        assert!(!several.hints.concat().contains('\u{1b}'));
        assert_eq!(found("nothing").expect_err("none").exit_code(), 2);
        assert_eq!(found(" ").expect_err("none").exit_code(), 2);
    }
}
