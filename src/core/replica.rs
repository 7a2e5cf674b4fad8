//! What a client knows of its host, kept true by events. The host keeps one too, built by the same [`Replica::apply`].

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::Doc;
use crate::proto::{
    BackendStatus, ConversationId, ConversationRow, DeltaKind, Download, Event, EventKind, Folder, Group, Job, JobId, ModelInfo, ModelRef,
    ModelUse, NodeId, Opened, Preset, Snapshot, UnixMs,
};

/// What an event changed, so that a screen knows what to draw again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touched {
    Nothing,
    Rows,
    /// The outline or the settings of an opened conversation.
    Doc(ConversationId),
    /// Only text at the end of this node.
    Text(ConversationId, NodeId),
    /// State or figures of this node.
    Node(ConversationId, NodeId),
    Models,
    Metrics,
    Settings,
    Downloads,
    Jobs,
    /// Something for people to read; see the event itself.
    Notice,
    /// A delta did not fit: the conversation must be opened again.
    Drifted(ConversationId),
}

/// Bulk jobs that are remembered; ids rise with time, so the oldest go first. One that goes on stays.
const MOST_JOBS: usize = 16;

/// Rows of conversations that a screen keeps beside those of its list: what changed lately.
const MOST_ROWS: usize = 500;

/// A client's copy of the host's state: lists, models, settings, and the documents that it opened.
#[derive(Debug, Clone, Default)]
pub struct Replica {
    /// The last event applied.
    pub seq: u64,
    pub rows: BTreeMap<ConversationId, ConversationRow>,
    /// How many conversations the host named in its snapshot; `rows` may hold fewer.
    pub total_rows: u32,
    pub docs: HashMap<ConversationId, Doc>,
    pub backends: Vec<BackendStatus>,
    pub models: Vec<ModelInfo>,
    pub downloads: BTreeMap<String, Download>,
    pub jobs: BTreeMap<JobId, Job>,
    /// Presets and templates, by name.
    pub presets: Vec<Preset>,
    /// What groups of models point to.
    pub groups: BTreeMap<String, Group>,
    /// What the runs of models say, for those that were asked for.
    pub uses: BTreeMap<ModelRef, ModelUse>,
    /// Folders of conversations.
    pub folders: Vec<Folder>,
    pub settings: BTreeMap<String, Value>,
    pub last: Option<ConversationId>,
    pub discovered: bool,
    pub looked_at: String,
    pub pip: bool,
}

impl Replica {
    /// Replaces everything but the opened documents, which must be opened again.
    pub fn restore(&mut self, snapshot: Snapshot) {
        self.seq = snapshot.seq;
        self.total_rows = snapshot.conversations.total;
        self.rows = snapshot.conversations.items.into_iter().map(|row| (row.id, row)).collect();
        self.backends = snapshot.backends;
        self.models = snapshot.models;
        self.downloads = snapshot.downloads.into_iter().map(|d| (d.key.clone(), d)).collect();
        self.jobs = snapshot.jobs.into_iter().map(|job| (job.id, job)).collect();
        self.presets = snapshot.presets;
        self.groups = snapshot.groups;
        self.folders = snapshot.folders;
        self.settings = snapshot.settings;
        self.last = snapshot.last;
        self.discovered = snapshot.discovered;
        self.looked_at = snapshot.looked_at;
        self.pip = snapshot.pip;
        self.docs.clear();
    }

    /// Puts an opened conversation beside the others.
    pub fn open(&mut self, opened: Opened) {
        let id = opened.conversation.row.id;
        self.rows.insert(id, opened.conversation.row.clone());
        let mut doc = Doc::new(opened.conversation, opened.nodes, opened.contents);
        if let Some(head) = doc.default_leaf() {
            doc.visit(head);
        }
        self.docs.insert(id, doc);
    }

    /// Forgets rows when there are many more than a screen needs: those first that changed longest ago, and of what is opened, being
    /// written or unread none before the others.
    pub fn trim_rows(&mut self) {
        if self.rows.len() < 2 * MOST_ROWS {
            return;
        }
        let mut rows: Vec<(bool, bool, UnixMs, ConversationId)> =
            self.rows.values().map(|row| (row.running > 0 || self.docs.contains_key(&row.id), row.unread, row.updated, row.id)).collect();
        rows.sort_unstable();
        for (.., id) in rows.into_iter().take(self.rows.len() - MOST_ROWS) {
            self.rows.remove(&id);
        }
    }

    /// The rows at hand by last change, newest first.
    #[must_use]
    pub fn recent_rows(&self) -> Vec<&ConversationRow> {
        let mut rows: Vec<&ConversationRow> = self.rows.values().collect();
        rows.sort_by(|a, b| b.updated.cmp(&a.updated).then(b.id.cmp(&a.id)));
        rows
    }

    #[must_use]
    pub fn model(&self, reference: &ModelRef) -> Option<&ModelInfo> {
        self.models.iter().find(|m| m.name == reference.model && m.backend == reference.backend)
    }

    /// Applies an event. Events up to `seq` have been applied already and change nothing.
    pub fn apply(&mut self, event: &Event) -> Touched {
        if event.seq != 0 && event.seq <= self.seq {
            return Touched::Nothing;
        }
        self.seq = self.seq.max(event.seq);
        self.change(&event.kind, event.at)
    }

    fn change(&mut self, kind: &EventKind, at: UnixMs) -> Touched {
        match kind {
            EventKind::Row(row) => {
                self.rows.insert(row.id, row.clone());
                if let Some(doc) = self.docs.get_mut(&row.id) {
                    doc.conversation.row = row.clone();
                }
                Touched::Rows
            }
            EventKind::ConversationRemoved { id } => {
                self.rows.remove(id);
                self.docs.remove(id);
                Touched::Rows
            }
            EventKind::Backend(status) => {
                match self.backends.iter_mut().find(|b| b.name == status.name) {
                    Some(known) => *known = status.clone(),
                    None => self.backends.push(status.clone()),
                }
                Touched::Models
            }
            EventKind::BackendRemoved { name } => {
                self.backends.retain(|b| b.name != *name);
                self.models.retain(|m| m.backend != *name);
                Touched::Models
            }
            EventKind::Discovered { looked_at, pip } => {
                self.discovered = true;
                self.looked_at.clone_from(looked_at);
                self.pip = *pip;
                Touched::Models
            }
            EventKind::Models { backend, models } => {
                self.models.retain(|m| m.backend != *backend);
                self.models.extend(models.iter().cloned());
                Touched::Models
            }
            EventKind::Model(model) => {
                match self.models.iter_mut().find(|m| m.name == model.name && m.backend == model.backend) {
                    Some(known) => *known = model.clone(),
                    None => self.models.push(model.clone()),
                }
                Touched::Models
            }
            EventKind::Download(download) => {
                self.downloads.insert(download.key.clone(), download.clone());
                Touched::Downloads
            }
            EventKind::DownloadRemoved { key } => {
                self.downloads.remove(key);
                Touched::Downloads
            }
            EventKind::Job(job) => {
                self.jobs.insert(job.id, job.clone());
                while self.jobs.len() > MOST_JOBS
                    && let Some(oldest) = self.jobs.values().find(|job| job.finished.is_some()).map(|job| job.id)
                {
                    self.jobs.remove(&oldest);
                }
                Touched::Jobs
            }
            EventKind::JobProgress { id, items, finished } => {
                let Some(job) = self.jobs.get_mut(id) else { return Touched::Nothing };
                job.finished = *finished;
                for (at, item) in items {
                    if let Some(known) = job.items.get_mut(*at as usize) {
                        known.clone_from(item);
                    }
                }
                Touched::Jobs
            }
            EventKind::Presets { presets, groups } => {
                self.presets.clone_from(presets);
                self.groups.clone_from(groups);
                Touched::Settings
            }
            EventKind::Folders(folders) => {
                self.folders.clone_from(folders);
                Touched::Rows
            }
            EventKind::Use { model, figures } => {
                self.uses.insert(model.clone(), figures.clone());
                Touched::Models
            }
            EventKind::Setting { key, value } => {
                self.settings.insert(key.clone(), value.clone());
                Touched::Settings
            }
            EventKind::Metrics(_) => Touched::Metrics,
            EventKind::Notice { .. } | EventKind::Stopping { .. } => Touched::Notice,
            EventKind::Conversation(_)
            | EventKind::Node { .. }
            | EventKind::Nodes { .. }
            | EventKind::Delta { .. }
            | EventKind::State { .. }
            | EventKind::Finished { .. }
            | EventKind::Head { .. }
            | EventKind::Branch { .. } => self.change_doc(kind, at),
        }
    }

    fn change_doc(&mut self, kind: &EventKind, at: UnixMs) -> Touched {
        let Some(id) = kind.conversation() else { return Touched::Nothing };
        let Some(doc) = self.docs.get_mut(&id) else { return Touched::Nothing };
        match kind {
            EventKind::Conversation(conversation) => {
                self.rows.insert(id, conversation.row.clone());
                doc.conversation = conversation.clone();
                Touched::Doc(id)
            }
            EventKind::Nodes { nodes, .. } => {
                let all_known = nodes.iter().all(|node| doc.node(node.id).is_some());
                for node in nodes {
                    doc.replace(node.clone());
                }
                if all_known { Touched::Doc(id) } else { Touched::Drifted(id) }
            }
            EventKind::Node { node, content, .. } => {
                doc.insert(node.clone(), Some(content.clone()));
                Touched::Doc(id)
            }
            EventKind::Delta { node, kind, at, text, .. } => apply_delta(doc, id, *node, *kind, *at, text),
            EventKind::State { node, state, progress, .. } => {
                let Some(known) = doc.node_mut(*node) else { return Touched::Drifted(id) };
                known.state = *state;
                if let Some(run) = &mut known.run {
                    run.progress = progress.clone();
                    if run.progress.since == 0 {
                        run.progress.since = at;
                    }
                    run.enter(*state, run.progress.since);
                }
                Touched::Node(id, *node)
            }
            EventKind::Finished { node, .. } => {
                let Some(known) = doc.node(node.id) else { return Touched::Drifted(id) };
                let drifted = known.bytes != node.bytes;
                doc.insert(node.clone(), None);
                if drifted { Touched::Drifted(id) } else { Touched::Node(id, node.id) }
            }
            EventKind::Head { head, .. } => {
                doc.conversation.head = *head;
                Touched::Doc(id)
            }
            EventKind::Branch { name, leaf, .. } => {
                match leaf {
                    Some(leaf) => doc.conversation.branches.insert(name.clone(), *leaf),
                    None => doc.conversation.branches.remove(name),
                };
                Touched::Doc(id)
            }
            _ => Touched::Nothing,
        }
    }
}

/// A delta counts once: what is already there is skipped, a gap is drift.
fn apply_delta(doc: &mut Doc, id: ConversationId, node: NodeId, kind: DeltaKind, at: u64, text: &str) -> Touched {
    let Some(known) = doc.node(node) else { return Touched::Drifted(id) };
    if known.bytes > 0 && doc.content(node).is_none() {
        // Content that was not asked for grows unseen.
        let end = at + text.len() as u64;
        if let Some(known) = doc.node_mut(node) {
            known.bytes = known.bytes.max(end);
        }
        return Touched::Node(id, node);
    }
    if at > known.bytes {
        return Touched::Drifted(id);
    }
    let skip = usize::try_from(known.bytes - at).unwrap_or(usize::MAX);
    match text.get(skip..) {
        Some("") | None => Touched::Nothing,
        Some(more) => {
            doc.append(node, kind == DeltaKind::Thinking, more);
            Touched::Text(id, node)
        }
    }
}
