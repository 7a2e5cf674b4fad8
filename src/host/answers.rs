//! Answers to questions. What grows is read from the store beside the loop; what must fit the events is read in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::driver::{Host, Whose};
use super::seats::Search;
use super::{Message, Seat};
use crate::backend::Request;
use crate::core::machine::Sendable;
use crate::core::parameters::{self, Facts};
use crate::core::{overflow, prompt};
use crate::error::{Error, Kind, Result};
use crate::proto::wire::HostFrame;
use crate::proto::{Content, ConversationId, LeftOut, ModelRef, NodeId, Opened, Part, Query, Reply, RequestPreview, Window};
use crate::store::Store;

/// Requests of this host's life that are remembered exactly, for `:request`.
const REMEMBERED: usize = 32;
/// Longest list that one question gets.
const MOST_ROWS: u32 = 1_000;

impl Host {
    pub(super) async fn query(&mut self, seat: Seat, id: u64, query: Query) {
        let result = match query {
            Query::Conversations { shelf, order, offset, limit, filter } => {
                return self.list(seat, id, move |store| async move {
                    store.conversations(shelf, order, offset, limit.min(MOST_ROWS), filter).await.map(Reply::Conversations)
                });
            }
            Query::Rows { mut conversations } => {
                conversations.truncate(MOST_ROWS as usize);
                return self.list(seat, id, move |store| async move { store.rows(conversations).await.map(Reply::Rows) });
            }
            Query::Tags => return self.list(seat, id, move |store| async move { store.tags().await.map(Reply::Tags) }),
            Query::Bookmarks { offset, limit, filter } => {
                return self.list(seat, id, move |store| async move {
                    store.bookmarks(offset, limit.min(MOST_ROWS), filter).await.map(Reply::Bookmarks)
                });
            }
            Query::Prompts { text, limit } => {
                return self.list(
                    seat,
                    id,
                    move |store| async move { store.prompts(text, limit.min(MOST_ROWS)).await.map(Reply::Prompts) },
                );
            }
            Query::Open { conversation, leaf, contents } => {
                self.open_for(conversation, leaf, contents).await.map(|opened| Reply::Opened(Box::new(opened)))
            }
            Query::Contents { conversation, nodes } => self.contents(conversation, nodes).await.map(Reply::Contents),
            Query::Search { text, conversation, limit } => return self.search(seat, id, text, conversation, limit.min(MOST_ROWS)),
            Query::Request { conversation, answer, parent, draft, model } => {
                let preview = match answer {
                    Some(answer) => self.request_of(conversation, answer).await,
                    None => self.request_for(conversation, parent, draft, model).await,
                };
                preview.map(|preview| Reply::Request(Box::new(preview)))
            }
            Query::Inspect { model } => return self.inspect(seat, id, model),
            Query::Fit { models, parameters } => return self.fit(seat, id, models, parameters),
            Query::Uses => return self.uses(seat, id),
            Query::Versions { subject, limit } => self.versions(subject, limit.min(MOST_ROWS)).await.map(Reply::Versions),
            Query::Instances => return self.instances_for(seat, id),
            Query::Series { model, name, since } => self.series(model, name, since).await.map(Reply::Series),
            Query::Blob { hash, offset } => return self.blob(seat, id, hash, offset),
            Query::Snapshot => self.snapshot().await.map(|snapshot| Reply::Snapshot(Box::new(snapshot))),
        };
        self.seats.answer(seat, HostFrame::Reply { id, result });
    }

    /// Beside the loop: a list may take long. Its answer comes back through the loop, so that what was said since is not taken back by it.
    fn list<F>(&mut self, seat: Seat, id: u64, read: impl FnOnce(Store) -> F + Send + 'static)
    where
        F: Future<Output = Result<Reply>> + Send,
    {
        let (store, inbox) = (self.store.clone(), self.inbox.clone());
        self.spawn(Whose::Other, async move {
            let result = read(store).await;
            // A host that has ended answers nobody.
            drop(inbox.send(Message::Listed { seat, id, result: Box::new(result) }).await);
        });
    }

    /// A list was read: what runs now, and what changed since, lies over it.
    pub(super) fn listed(&mut self, seat: Seat, id: u64, mut result: Result<Reply>) {
        let rows = &self.machine.replica.rows;
        if let Ok(Reply::Conversations(Window { items, .. }) | Reply::Rows(items)) = &mut result {
            for row in items {
                if let Some(known) = rows.get(&row.id) {
                    row.clone_from(known);
                }
            }
        }
        self.seats.answer(seat, HostFrame::Reply { id, result });
    }

    /// Beside the loop: a search may take long, and a newer one of the same client ends it.
    fn search(&mut self, seat: Seat, id: u64, text: String, conversation: Option<ConversationId>, limit: u32) {
        let Some(outbox) = self.seats.outbox(seat) else { return };
        let answered = Arc::new(AtomicBool::new(false));
        let (store, answering, to) = (self.store.clone(), Arc::clone(&answered), outbox.clone());
        let task = self.spawn(Whose::Other, async move {
            let result = store.search(&text, conversation, limit).await.map(Reply::Hits);
            if !answering.swap(true, Ordering::AcqRel) {
                to.frame(HostFrame::Reply { id, result });
            }
        });
        if let Some(attachment) = self.seats.get_mut(seat)
            && let Some(older) = attachment.search.replace(Search { id, answered, task })
        {
            older.supersede(&outbox);
        }
    }

    async fn open_for(&mut self, conversation: ConversationId, leaf: Option<NodeId>, contents: u32) -> Result<Opened> {
        if !self.load(conversation).await? {
            return Err(no_conversation());
        }
        let wanted = {
            let Some(doc) = self.machine.replica.docs.get(&conversation) else { return Err(no_conversation()) };
            let leaf = match leaf {
                Some(leaf) if doc.node(leaf).is_none() => return Err(Error::new(Kind::NotFound, "There is no such message here.")),
                leaf => leaf.or_else(|| doc.default_leaf()),
            };
            let mut path = leaf.map(|leaf| doc.path(leaf)).unwrap_or_default();
            path.split_off(path.len().saturating_sub(contents as usize))
        };
        let contents = self.contents(conversation, wanted).await?;
        let Some(doc) = self.machine.replica.docs.get(&conversation) else { return Err(no_conversation()) };
        let opened = Opened { seq: self.seq, conversation: doc.conversation.clone(), nodes: doc.nodes().to_vec(), contents };
        // Nobody may be looking at it: then it need not stay.
        if !self.machine.is_viewed(conversation) {
            self.let_go();
        }
        Ok(opened)
    }

    /// Contents from what is at hand (newer, where an answer is being written), else from the store.
    pub(super) async fn contents(&self, conversation: ConversationId, nodes: Vec<NodeId>) -> Result<Vec<(NodeId, Content)>> {
        let doc = self.machine.replica.docs.get(&conversation);
        let mut found: Vec<(NodeId, Content)> = Vec::with_capacity(nodes.len());
        let mut missing = Vec::new();
        for node in nodes {
            match doc.and_then(|doc| doc.content(node)) {
                Some(content) => found.push((node, content.clone())),
                None => missing.push(node),
            }
        }
        if !missing.is_empty() {
            found.extend(self.store.contents(missing).await?);
        }
        Ok(found)
    }

    /// Remembers what goes out for an answer.
    pub(super) fn sent(&mut self, node: NodeId, request: Request) {
        self.requests.retain(|(known, _)| *known != node);
        if self.requests.len() >= REMEMBERED {
            self.requests.pop_front();
        }
        self.requests.push_back((node, request));
    }

    /// What was sent for an answer.
    async fn request_of(&mut self, conversation: ConversationId, answer: NodeId) -> Result<RequestPreview> {
        if !self.load(conversation).await? {
            return Err(no_conversation());
        }
        let no_run = || Error::new(Kind::NotFound, "Nothing was sent for this message: it is not an answer of a model.");
        let doc = self.machine.replica.docs.get(&conversation).ok_or_else(no_conversation)?;
        let node = doc.node(answer).ok_or_else(|| Error::new(Kind::NotFound, "There is no such message here."))?;
        let model = node.run.as_ref().map(|run| run.model.clone()).or_else(|| node.model.clone()).ok_or_else(no_run)?;
        let left_out = node.run.as_ref().and_then(|run| run.left_out.clone());
        let remembered = self.requests.iter().find(|(known, _)| *known == answer).map(|(_, request)| request.clone());
        let (request, note) = match remembered {
            Some(request) => (request, None),
            None => {
                let leaf = node.continues.or(node.parent);
                let missing = prompt::missing(doc, leaf);
                let continues = node.continues.is_some();
                self.load_contents(conversation, missing).await?;
                let begun = self.store.run_settings(answer).await?;
                let doc = self.machine.replica.docs.get(&conversation).ok_or_else(no_conversation)?;
                // An answer of a conversation that is in memory only, or one of an arbour that did not keep system prompts.
                let known = begun.as_ref().is_some_and(|begun| begun.system.is_some());
                let note = "Put together again from the stored messages, with the system prompt as it is now: an older arbour asked this.";
                let now = || self.machine.settings(&model, Some(&doc.conversation));
                let system = begun.as_ref().and_then(|b| b.system.clone()).or_else(|| now().system().map(str::to_owned));
                let request = Request {
                    model: model.model.clone(),
                    messages: overflow::messages(doc, system.as_deref(), leaf, None, &left_out.clone().unwrap_or_default()),
                    parameters: begun.map_or_else(|| now().parameters(), |begun| begun.parameters),
                    continues,
                    conversation: conversation.to_string(),
                };
                (request, (!known).then(|| note.to_owned()))
            }
        };
        let request = self.attachments.shown(request).await;
        let mut preview = self.preview(&model, &request)?;
        preview.notes.extend(note);
        preview.notes.extend(left_out.map(|left_out| without(&left_out, "were")));
        Ok(preview)
    }

    /// What would be sent for a draft.
    async fn request_for(
        &mut self,
        conversation: ConversationId,
        parent: Option<NodeId>,
        draft: Option<String>,
        model: Option<ModelRef>,
    ) -> Result<RequestPreview> {
        if !self.load(conversation).await? {
            return Err(no_conversation());
        }
        let doc = self.machine.replica.docs.get(&conversation).ok_or_else(no_conversation)?;
        let missing = prompt::missing(doc, parent);
        self.load_contents(conversation, missing).await?;
        let doc = self.machine.replica.docs.get(&conversation).ok_or_else(no_conversation)?;
        let model = match model.or_else(|| doc.conversation.row.model.clone()) {
            Some(model) => model,
            None => self.machine.default_model()?,
        };
        let settings = self.machine.settings(&model, Some(&doc.conversation));
        let draft = draft.map(|text| vec![Part::Text { text }]);
        let Sendable { mut messages, left_out, summary } = self.machine.sendable(doc, &settings, &model, parent, draft.as_deref())?;
        if let Some(wanted) = &summary {
            wanted.fill(&mut messages, "(The model is asked for it first.)");
        }
        let request = Request {
            model: model.model.clone(),
            messages,
            parameters: settings.parameters(),
            continues: false,
            conversation: conversation.to_string(),
        };
        let problems = settings.problems;
        let request = self.attachments.shown(request).await;
        let mut preview = self.preview(&model, &request)?;
        preview.notes.extend(problems);
        preview.notes.extend(left_out.map(|left_out| match summary {
            Some(_) => format!("{} of the middle will be summarised first: the context does not hold all.", overflow::words(&left_out)),
            None => without(&left_out, "will be"),
        }));
        Ok(preview)
    }

    fn preview(&self, model: &ModelRef, request: &Request) -> Result<RequestPreview> {
        let backend = self.backends.get(&model.backend).and_then(|slot| slot.backend.as_ref());
        let backend = backend.ok_or_else(|| self.no_backend(&model.backend))?;
        let mut preview = backend.preview(request);
        let known = self.machine.replica.model(model);
        let facts = Facts {
            kind: Some(backend.kind()),
            context: known.and_then(|info| info.context),
            context_max: known.and_then(|info| info.context_max),
        };
        for problem in parameters::problems(&request.parameters, facts) {
            if !preview.notes.contains(&problem.text) {
                preview.notes.push(problem.text);
            }
        }
        Ok(preview)
    }
}

/// That a request is not the whole path.
fn without(left_out: &LeftOut, when: &str) -> String {
    let how = if left_out.summary.is_some() { "sent as a summary" } else { "left out" };
    format!("{} of the middle {when} {how}: the context does not hold all.", overflow::words(left_out))
}

fn no_conversation() -> Error {
    Error::new(Kind::NotFound, "There is no such conversation; it may have been deleted.")
        .hint("`arbour conversations ls` lists those that there are.")
}
