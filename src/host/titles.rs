//! Titles by a model, where that is turned on: a short question in a quiet moment.
//!
//! Invariant: a run never waits for a title: one that is being written is dropped when a run begins. No model is loaded for it unless
//! the configuration names it. What could not be named keeps its first words, and is not tried again before it has grown.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::driver::{Host, Whose, now};
use super::{Message, Seat};
use crate::backend::{Request, Update, channel};
use crate::core::undo::{Op, Step};
use crate::core::{Write, names, titles};
use crate::error::{Error, Kind, Result, quoted};
use crate::proto::{
    Ack, BackendKind, ClientId, CommandId, ConversationId, ConversationRow, DeltaKind, EventKind, Level, ModelRef, ModelState, NodeId,
    Parameters, Titled,
};
use crate::sanitise;

/// How long nothing must have gone on before a title is asked for.
const QUIET: Duration = Duration::from_secs(5);
/// How long a model may take for it.
const PATIENCE: Duration = Duration::from_secs(60);
/// Conversations that wait for a title at most; of more the oldest keep their words.
const MOST: usize = 64;

/// What the configuration says of titles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TitleOptions {
    /// A model writes them; else they are the first words.
    pub by_model: bool,
    /// Which one, loaded or not; `None`: the conversation's own, if it is loaded.
    pub model: Option<String>,
}

/// A conversation that is to get a title.
struct Wanted {
    conversation: ConversationId,
    /// A person asked for it: whatever title it has, and what fails is told.
    asked: bool,
    /// The screen that asked, and its command: it can undo that.
    by: Option<(ClientId, CommandId)>,
}

/// The titles that are to be written.
#[derive(Default)]
pub(super) struct Titles {
    waiting: VecDeque<Wanted>,
    going: Option<(Wanted, AbortHandle)>,
    /// How many messages a conversation had when a title was asked for.
    tried: HashMap<ConversationId, u32>,
    due: Option<Instant>,
}

impl Titles {
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    fn want(&mut self, wanted: Wanted) {
        self.waiting.retain(|known| known.conversation != wanted.conversation);
        if wanted.asked {
            self.waiting.push_front(wanted)
        } else {
            self.waiting.push_back(wanted)
        }
        while self.waiting.len() > MOST {
            self.waiting.pop_front();
        }
    }

    /// A run begins: whatever is asked for a title makes room, and is asked for later.
    pub(super) fn make_room(&mut self) {
        self.due = None;
        if let Some((wanted, task)) = self.going.take() {
            task.abort();
            self.waiting.push_front(wanted);
        }
    }
}

impl Host {
    /// A run has ended; when the last one has, quiet begins.
    pub(super) fn title_later(&mut self, node: NodeId, done: bool) {
        if done && self.options.titles.by_model {
            let conversation = self.machine.replica.docs.values().find(|doc| doc.node(node).is_some()).map(|doc| &doc.conversation.row);
            if let Some(row) = conversation.filter(|row| row.titled == Titled::Words && !self.machine.is_unsaved(row.id)) {
                self.titles.want(Wanted { conversation: row.id, asked: false, by: None });
            }
        }
        if self.runs.is_empty() && !self.titles.waiting.is_empty() {
            self.titles.due = Some(Instant::now() + QUIET);
        }
    }

    /// A person wants a title by a model now.
    pub(super) async fn give_title(&mut self, seat: Seat, id: CommandId, conversation: ConversationId) -> Result<Ack> {
        let row = self.row(conversation).await?.filter(|_| !self.machine.is_unsaved(conversation));
        let row = row.ok_or_else(|| Error::new(Kind::NotFound, "There is no such conversation; it may have been deleted."))?;
        self.title_model(&row, true)?;
        let by = self.seats.client(seat).filter(|_| self.seats.is_screen(seat)).map(|client| (client, id));
        self.titles.want(Wanted { conversation, asked: true, by });
        if self.runs.is_empty() && self.titles.going.is_none() {
            self.titles.due = Some(Instant::now());
        }
        Ok(Ack::Done)
    }

    /// It is quiet: the next title is asked for.
    pub(super) async fn ask_for_title(&mut self) {
        self.titles.due = None;
        while self.runs.is_empty()
            && self.titles.going.is_none()
            && let Some(wanted) = self.titles.waiting.pop_front()
        {
            let asked = wanted.asked;
            if let Err(error) = self.begin_title(wanted).await {
                self.no_title(error, asked);
            }
        }
    }

    async fn begin_title(&mut self, wanted: Wanted) -> Result<()> {
        let conversation = wanted.conversation;
        if !self.load(conversation).await? {
            return Ok(());
        }
        let Some(doc) = self.machine.replica.docs.get(&conversation) else { return Ok(()) };
        let row = doc.conversation.row.clone();
        let known = self.titles.tried.get(&conversation) == Some(&row.messages);
        if !wanted.asked && (row.titled != Titled::Words || known || row.deleted.is_some()) {
            return Ok(());
        }
        let Some((user, answer)) = titles::subject(doc) else {
            return Err(Error::new(Kind::NotFound, "There is no answer yet to make a title from."));
        };
        let Some(model) = self.title_model(&row, wanted.asked)? else { return Ok(()) };
        let mut contents = HashMap::new();
        for (node, content) in self.contents(conversation, vec![user, answer]).await? {
            contents.insert(node, content);
        }
        let content = |node| contents.get(&node).cloned().unwrap_or_default();
        let backend = self.backends.get(&model.backend).and_then(|slot| slot.backend.clone());
        let backend = backend.ok_or_else(|| self.no_backend(&model.backend))?;
        let mut parameters = Parameters::default();
        parameters.0.insert("max_tokens".to_owned(), 24.into());
        if self.machine.replica.model(&model).is_some_and(|info| info.capabilities.iter().any(|can| can == "thinking")) {
            parameters.0.insert("thinking".to_owned(), "off".into());
        }
        self.keeps_asked(&model, &mut parameters);
        // A name of its own, so that the conversation's cached prompt stays.
        let request = Request {
            model: model.model,
            messages: titles::messages(&content(user), &content(answer)),
            parameters,
            continues: false,
            conversation: "title".to_owned(),
        };
        self.titles.tried.insert(conversation, row.messages);
        let inbox = self.inbox.clone();
        let task = self.spawn(Whose::Other, async move {
            let (sink, mut source) = channel();
            let asking = async {
                let mut text = String::new();
                let mut take = |update: Update| {
                    if let Update::Delta(DeltaKind::Text, more) = update {
                        text.push_str(&more);
                    }
                };
                let mut generate = std::pin::pin!(backend.generate(request, sink));
                let ended = loop {
                    tokio::select! {
                        biased;
                        ended = &mut generate => break ended,
                        Some(update) = source.next() => take(update),
                    }
                };
                source.drain().into_iter().for_each(&mut take);
                ended.map(|_| text)
            };
            let late = || Error::new(Kind::Unreachable, "The model took too long for a title.");
            let result = tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| Err(late()));
            // A host that has ended needs no titles.
            drop(inbox.send(Message::Titled { conversation, result }).await);
        });
        self.titles.going = Some((wanted, task));
        Ok(())
    }

    /// A model has answered.
    pub(super) async fn titled(&mut self, conversation: ConversationId, result: Result<String>) {
        let Some((wanted, _)) = self.titles.going.take_if(|(wanted, _)| wanted.conversation == conversation) else { return };
        if let Err(error) = self.take_title(&wanted, result).await {
            self.no_title(error, wanted.asked);
        }
        if !self.titles.waiting.is_empty() {
            self.titles.due = Some(Instant::now());
        }
    }

    async fn take_title(&mut self, wanted: &Wanted, result: Result<String>) -> Result<()> {
        let title = titles::clean(&result?).ok_or_else(|| Error::new(Kind::Malformed, "The model's answer is no title."))?;
        let Some(mut row) = self.row(wanted.conversation).await? else { return Ok(()) };
        // A person may have named it meanwhile.
        if row.titled == Titled::Person && !wanted.asked {
            return Ok(());
        }
        let from = (row.title.clone(), row.titled);
        (row.title, row.titled) = (title, Titled::Model);
        let mut writes = vec![Write::Row(row.clone())];
        if let Some((client, command)) = wanted.by {
            let about = format!("had a model call it “{}”", sanitise::line(&row.title));
            let steps = vec![Step::Title { conversation: row.id, from, to: (row.title.clone(), row.titled) }];
            writes.push(Write::Op(Op { command, client, at: now(), conversation: Some(row.id), about, steps }));
        }
        self.commit(writes, false).await?;
        self.emit(EventKind::Row(row));
        Ok(())
    }

    /// What fails by itself is not worth a sentence.
    fn no_title(&mut self, error: Error, asked: bool) {
        tracing::debug!(%error, "no title");
        if asked {
            let message = format!("It got no title: {}", error.message);
            self.emit(EventKind::Notice { level: Level::Warning, error: Error { message, ..error } });
        }
    }

    /// A conversation's row as it is now.
    async fn row(&self, conversation: ConversationId) -> Result<Option<ConversationRow>> {
        if let Some(doc) = self.machine.replica.docs.get(&conversation) {
            return Ok(Some(doc.conversation.row.clone()));
        }
        Ok(self.store.rows(vec![conversation]).await?.pop())
    }

    /// The model that is to write a title. None is loaded for it unless it is named; `asked`: a person wants to know why there is none.
    fn title_model(&self, row: &ConversationRow, asked: bool) -> Result<Option<ModelRef>> {
        if let Some(name) = &self.options.titles.model {
            return match names::resolve(name, &self.machine.replica.models) {
                Ok(model) => Ok(Some(model)),
                Err(error) if asked => Err(error),
                Err(_) => Ok(None),
            };
        }
        let Some(model) = row.model.clone() else {
            let error = Error::new(Kind::NoModel, "No model has answered here yet.");
            return if asked { Err(error) } else { Ok(None) };
        };
        let ready = self.machine.replica.model(&model).is_some_and(|info| {
            info.state == ModelState::Loaded
                || info.state == ModelState::Unknown && matches!(info.kind, BackendKind::OpenAi | BackendKind::Anthropic)
        });
        match ready {
            true => Ok(Some(model)),
            false if asked => {
                Err(Error::new(Kind::NoModel, format!("{} is not loaded, and no model is loaded for a title.", quoted(&model.to_string())))
                    .hint("Start it, or name a small one in config.toml: title_model = \"backend/model\"."))
            }
            false => Ok(None),
        }
    }
}
