//! Carrying out what the machine says: commit, number, apply, send, acknowledge, in that order.

use std::sync::Arc;

use tokio::time::Instant;

use super::Seat;
use super::driver::{Host, Whose, now};
use super::runs::Work;
use super::summaries::Summary;
use crate::backend::Request;
use crate::core::machine::{self, Needs, Start};
use crate::core::{Effect, Input, Machine, Write};
use crate::error::{Error, Kind, Result};
use crate::proto::wire::{HostFrame, Welcome};
use crate::proto::{
    Ack, ClientId, Command, CommandId, ConversationId, Event, EventKind, Finish, IdGen, Level, MAJOR, MINOR, NodeId, Opened,
};

/// Documents at hand beyond which those that nobody needs are let go.
const MOST_DOCS: usize = 16;

/// Rows at hand beyond which most are let go: an act on everything that is kept brings all of them here.
const MOST_ROWS: usize = 2_000;

impl Host {
    /// Numbers an event, applies it and sends it to whom it concerns. What it says is committed.
    pub(super) fn emit(&mut self, kind: EventKind) {
        self.seq += 1;
        let event = Arc::new(Event { seq: self.seq, at: now(), kind });
        self.machine.replica.apply(&event);
        if matches!(&event.kind, EventKind::ConversationRemoved { id } if self.machine.replica.last == Some(*id)) {
            self.machine.replica.last = None;
        }
        self.mind(&event.kind);
        self.seats.fan_out(&event, &self.machine);
    }

    pub(super) fn ack(&mut self, seat: Seat, id: CommandId, result: Result<Ack>) {
        self.seats.answer(seat, HostFrame::Ack { id, result });
    }

    /// A client's command.
    pub(super) async fn command(&mut self, seat: Seat, id: CommandId, command: Command) {
        if self.must_wait(&command).await {
            self.waiting.push((seat, id, command));
            return;
        }
        if let Command::Stop { conversation, .. } = &command {
            self.stop_waiting(*conversation);
        }
        let Some(client) = self.seats.client(seat) else { return };
        match self.was_applied(id, &command).await {
            Ok(false) => {}
            Ok(true) => return self.ack(seat, id, Ok(Ack::Done)),
            Err(error) => return self.ack(seat, id, Err(error)),
        }
        if let Err(error) = self.attached(&command).await {
            return self.ack(seat, id, Err(error));
        }
        if let Err(error) = self.bring_to_hand(&command).await {
            return self.ack(seat, id, Err(error));
        }
        if let Command::View { conversation: Some(conversation) } = &command
            && self.seats.is_screen(seat)
            && self.machine.replica.docs.contains_key(conversation)
        {
            self.remember_last(*conversation).await;
        }
        let input = match self.input(client, id, command).await {
            Ok(input) => input,
            Err(error) => return self.ack(seat, id, Err(error)),
        };
        let effects = self.machine.handle(input, now());
        self.carry_out(effects, Some((seat, id))).await;
        if self.machine.replica.docs.len() > MOST_DOCS || self.machine.replica.rows.len() > MOST_ROWS {
            self.let_go();
        }
    }

    /// What the machine is told of a command: with what the store alone knows.
    async fn input(&mut self, client: ClientId, id: CommandId, command: Command) -> Result<Input> {
        let lying = match &command {
            Command::Undo | Command::Redo => {
                let redo = command == Command::Redo;
                let op = self.store.next_op(client, self.seats.clients(), redo).await?;
                let op = op.ok_or_else(|| nothing_to_undo(redo))?;
                self.bring(|machine| machine.needs_of(&op.steps), None).await?;
                return Ok(Input::Undo { client, id, op, redo });
            }
            Command::EmptyBin => self.store.lying_in(None).await?,
            Command::DeleteFolder { id } => self.store.lying_in(Some(*id)).await?,
            _ => return Ok(Input::Command { client, id, command, run: IdGen::Real.fresh() }),
        };
        let known = &self.machine.replica.rows;
        let missing: Vec<ConversationId> = lying.iter().filter(|id| !known.contains_key(id)).copied().collect();
        self.machine.load_rows(self.store.rows(missing).await?);
        Ok(Input::Found { client, id, command, conversations: lying })
    }

    /// Prompts that wait for the first look at the backends are stopped before they begin.
    fn stop_waiting(&mut self, stopped: ConversationId) {
        let asks = |command: &Command| matches!(command, Command::Send { conversation, .. } | Command::Answer { conversation, .. } if *conversation == stopped);
        let (stopped, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiting).into_iter().partition(|(.., command)| asks(command));
        self.waiting = waiting;
        for (seat, id, _) in stopped {
            self.ack(seat, id, Err(Error::new(Kind::Cancelled, "It was stopped before it was sent.")));
        }
    }

    /// Whether a command that changes what is stored was carried out before.
    async fn was_applied(&self, id: CommandId, command: &Command) -> Result<bool> {
        match command {
            // These leave no mark, and doing them twice does nothing twice.
            Command::View { .. }
            | Command::Visit { .. }
            | Command::PutBlob { .. }
            | Command::Watch { .. }
            | Command::SetDraft { .. }
            | Command::Stop { .. }
            | Command::TryNow { .. }
            | Command::GiveTitle { .. }
            | Command::StartModel { .. }
            | Command::StopModel { .. }
            | Command::Refresh
            | Command::OpenGguf { .. }
            | Command::PullStarter { .. }
            | Command::CancelPull { .. }
            | Command::Pull { .. }
            | Command::PausePull { .. }
            | Command::ResumePull { .. }
            | Command::BeginJob { .. }
            | Command::RetryJob { .. }
            | Command::CancelJob { .. }
            | Command::RemoveModel { .. }
            | Command::CopyModel { .. }
            | Command::Shutdown { .. }
            | Command::Listen { .. } => Ok(false),
            Command::NewConversation { .. }
            | Command::Rename { .. }
            | Command::DeleteConversation { .. }
            | Command::SetSystem { .. }
            | Command::SetModel { .. }
            | Command::Send { .. }
            | Command::Add { .. }
            | Command::Answer { .. }
            | Command::SetHead { .. }
            | Command::SetBranch { .. }
            | Command::SetCards { .. }
            | Command::SetParameters { .. }
            | Command::SetPreset { .. }
            | Command::SavePreset { .. }
            | Command::DeletePreset { .. }
            | Command::SetGroup { .. }
            | Command::RestoreVersion { .. }
            | Command::AddBackend { .. }
            | Command::EmptyBin
            | Command::Keep { .. }
            | Command::SaveFolder { .. }
            | Command::DeleteFolder { .. }
            | Command::Fork { .. }
            | Command::Graft { .. }
            | Command::ArchiveBranch { .. }
            | Command::Rate { .. }
            | Command::React { .. }
            | Command::Bookmark { .. }
            | Command::SetMark { .. }
            | Command::Enqueue { .. }
            | Command::EditQueued { .. }
            | Command::MoveQueued { .. }
            | Command::DropQueued { .. }
            | Command::SendQueued { .. }
            | Command::Undo
            | Command::Redo
            | Command::SetSetting { .. } => self.store.was_applied(id).await,
        }
    }

    /// Loads what the machine needs for a command.
    async fn bring_to_hand(&mut self, command: &Command) -> Result<()> {
        self.bring(|machine| machine.needs(command), machine::subject(command)).await
    }

    /// Loads what is needed until nothing is; contents are those of `subject`.
    async fn bring(&mut self, needed: impl Fn(&Machine) -> Needs, subject: Option<ConversationId>) -> Result<()> {
        loop {
            let needs = needed(&self.machine);
            if !needs.rows.is_empty() {
                let rows = self.store.rows(needs.rows.clone()).await?;
                let all = rows.len() == needs.rows.len();
                self.machine.load_rows(rows);
                if !all {
                    // The machine says that there is no such conversation.
                    return Ok(());
                }
            } else if let Some(conversation) = needs.conversation {
                if !self.load(conversation).await? {
                    return Ok(());
                }
            } else if needs.contents.is_empty() {
                return Ok(());
            } else if let Some(conversation) = subject {
                self.load_contents(conversation, needs.contents).await?;
            } else {
                return Ok(());
            }
        }
    }

    /// Puts a stored conversation at hand. Says whether there is one.
    pub(super) async fn load(&mut self, conversation: ConversationId) -> Result<bool> {
        if self.machine.replica.docs.contains_key(&conversation) {
            return Ok(true);
        }
        let Some((conversation, nodes)) = self.store.open_conversation(conversation).await? else { return Ok(false) };
        self.machine.load(Opened { seq: self.seq, conversation, nodes, contents: Vec::new() });
        Ok(true)
    }

    /// Puts stored contents at hand. What is not stored is empty.
    pub(super) async fn load_contents(&mut self, conversation: ConversationId, nodes: Vec<NodeId>) -> Result<()> {
        let mut contents = self.store.contents(nodes.clone()).await?;
        for node in nodes {
            if !contents.iter().any(|(known, _)| *known == node) {
                contents.push((node, Vec::new()));
            }
        }
        self.machine.load_contents(conversation, contents);
        Ok(())
    }

    /// Carries out effects in order. `asked` is who is to hear of a failure.
    pub(super) async fn carry_out(&mut self, effects: Vec<Effect>, asked: Option<(Seat, CommandId)>) {
        let mut effects = effects.into_iter();
        while let Some(effect) = effects.next() {
            match effect {
                Effect::Persist { mut writes, sync } => {
                    if asked.is_some_and(|(seat, _)| !self.seats.is_screen(seat)) {
                        // Only what people do by hand is undone by hand.
                        writes.retain(|write| !matches!(write, Write::Op(_)));
                    }
                    let kept = if asked.is_none() { writes.clone() } else { Vec::new() };
                    if let Err(error) = self.commit(writes, sync).await {
                        match asked {
                            Some((seat, id)) => {
                                // Nothing was shown, so nothing has happened.
                                for effect in effects {
                                    if let Effect::Start(start) = effect {
                                        self.machine.forget_run(start.node);
                                    }
                                }
                                return self.ack(seat, id, Err(error));
                            }
                            // What came from a model is shown all the same, and owed to the disk.
                            None => self.owe(kept, error),
                        }
                    }
                }
                Effect::Load(opened) => self.machine.load(*opened),
                Effect::Visit { conversation, leaf } => self.machine.visited(conversation, leaf),
                Effect::Emit(kind) => self.emit(kind),
                Effect::Start(start) => self.start_run(*start),
                Effect::Abort { node } => self.runs.stop(node, Error::new(Kind::Cancelled, "The answer was stopped.")),
                Effect::Ack { id, result, .. } => {
                    if let Some((seat, _)) = asked {
                        self.ack(seat, id, result);
                    }
                }
                Effect::Perform { id, command, .. } => {
                    if let Some((seat, _)) = asked {
                        Box::pin(self.perform(seat, id, command)).await;
                    }
                }
            }
        }
    }

    /// Commits, after what is owed: an older state never goes over a newer one.
    pub(super) async fn commit(&mut self, writes: Vec<Write>, sync: bool) -> Result<()> {
        self.pay_debt().await?;
        self.store.write(writes, sync).await
    }

    /// Tries again what could not be committed.
    ///
    /// # Errors
    /// Why there is no room for it still.
    pub(super) async fn pay_debt(&mut self) -> Result<()> {
        if self.debt.is_empty() {
            return Ok(());
        }
        match self.store.write(self.debt.clone(), true).await {
            Ok(()) => {}
            Err(error) if is_of_the_disk(&error) => return Err(error),
            Err(_) => {
                // One of them will never go in; it must not keep the others out.
                for write in std::mem::take(&mut self.debt) {
                    if let Err(error) = self.store.write(vec![write], true).await {
                        self.emit(EventKind::Notice { level: Level::Error, error });
                    }
                }
            }
        }
        self.debt.clear();
        let error = Error::new(Kind::DiskFull, "What could not be saved before is saved now.");
        self.emit(EventKind::Notice { level: Level::Info, error });
        Ok(())
    }

    /// Lets go of what nobody needs; not before all of it is on disk.
    pub(super) fn let_go(&mut self) {
        if self.debt.is_empty() {
            self.machine.evict();
        }
    }

    /// Keeps what could not be committed, to be tried again. People are told once.
    fn owe(&mut self, writes: Vec<Write>, error: Error) {
        if self.debt.is_empty() {
            self.emit(EventKind::Notice { level: Level::Error, error });
        }
        for write in writes {
            // Only the last state of a message counts.
            let same = |known: &Write| match (known, &write) {
                (Write::Checkpoint { node: a, .. }, Write::Checkpoint { node: b, .. }) => a == b,
                (Write::Checkpoint { node, .. }, Write::Finish { node: ended, .. }) => *node == ended.id,
                (Write::Conversation(a), Write::Conversation(b)) => a.row.id == b.row.id,
                _ => false,
            };
            self.debt.retain(|known| !same(known));
            self.debt.push(write);
        }
    }

    fn start_run(&mut self, start: Start) {
        let node = start.node;
        let backend = self.backends.get(&start.model.backend).and_then(|slot| slot.backend.clone());
        let Some(backend) = backend else {
            let error = self.no_backend(&start.model.backend);
            let inbox = self.inbox.clone();
            // Through the inbox, since the effects of this command are still being carried out.
            self.spawn(Whose::Run(node), async move {
                drop(inbox.send(super::Message::Run { node, news: super::runs::News::Ended(Err(error)) }).await);
            });
            return;
        };
        let mut parameters = start.parameters;
        self.keeps_asked(&start.model, &mut parameters);
        let request = Request {
            model: start.model.model.clone(),
            messages: start.messages,
            parameters,
            continues: start.continues,
            conversation: start.conversation.to_string(),
        };
        self.sent(node, request.clone());
        self.titles.make_room();
        let (attachments, inbox) = (self.attachments.clone(), self.inbox.clone());
        let summary = start.summary.map(|wanted| Summary::new(*wanted));
        let work = Work { node, backend, request, summary, attachments, accepted: Instant::now(), retries: self.options.retries, inbox };
        let task = self.runs.begin(work);
        self.spawn(Whose::Run(node), task);
        self.mind_again(&start.model);
    }

    /// Why a backend cannot be asked.
    pub(super) fn no_backend(&self, name: &str) -> Error {
        let shown = crate::error::quoted(name);
        match self.machine.replica.backends.iter().find(|status| status.name == name).map(|status| status.error.clone()) {
            Some(Some(error)) => error,
            Some(None) => {
                Error::new(Kind::Unreachable, format!("The backend {shown} has not answered yet.")).hint("Try again in a moment.")
            }
            None => Error::new(Kind::NoModel, format!("There is no backend called {shown} any more."))
                .hint("Choose another model, or put the backend back into config.toml."),
        }
    }

    pub(super) async fn run_ended(&mut self, node: NodeId, result: Result<Finish>) {
        let model = self.runs.ended(node);
        let unreachable = matches!(&result, Err(e) if matches!(e.kind, Kind::Unreachable | Kind::Refused | Kind::Disconnected));
        if let Some(fault) = result.as_ref().err().filter(|error| error.kind == Kind::Internal) {
            self.emit(EventKind::Notice { level: Level::Error, error: fault.clone() });
        }
        let done = result.is_ok();
        if let Some((conversation, contents)) = self.machine.needs_at_end(node).filter(|(_, contents)| !contents.is_empty())
            && let Err(error) = self.load_contents(conversation, contents).await
        {
            // Then what waits is held.
            tracing::warn!(%error, "the messages above a queued prompt were not read");
        }
        let effects = self.machine.handle(Input::Ended { node, result }, now());
        self.carry_out(effects, None).await;
        self.title_later(node, done);
        if self.machine.replica.docs.len() > MOST_DOCS {
            self.let_go();
        }
        if let Some(model) = model.filter(|_| self.ending.is_none()) {
            self.mind_again(&model);
            self.after_run(&model.backend, unreachable);
            self.used(model);
        }
    }

    /// Remembers which conversation was opened last, for the next screen.
    async fn remember_last(&mut self, conversation: ConversationId) {
        if self.machine.replica.last == Some(conversation) || self.machine.is_unsaved(conversation) {
            return;
        }
        self.machine.replica.last = Some(conversation);
        let write = Write::Setting { key: LAST_CONVERSATION.to_owned(), value: conversation.to_string().into() };
        if let Err(error) = self.commit(vec![write], false).await {
            tracing::warn!(%error, "the last conversation was not remembered");
        }
    }

    /// Gives a client that was too slow everything anew.
    pub(super) async fn resync(&mut self, seat: Seat) {
        let snapshot = match self.snapshot().await {
            Ok(snapshot) => snapshot,
            Err(error) => {
                tracing::error!(%error, "no snapshot for a slow client");
                self.seats.leave(seat);
                return;
            }
        };
        let welcome = Welcome {
            major: MAJOR,
            minor: MINOR,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            kept: self.options.kept,
            snapshot,
        };
        self.seats.answer(seat, HostFrame::Welcome(Box::new(welcome)));
    }
}

/// Whether a commit failed for what may pass: the disk, and who else holds it.
fn is_of_the_disk(error: &Error) -> bool {
    matches!(error.kind, Kind::DiskFull | Kind::File | Kind::ReadOnly | Kind::Locked)
}

fn nothing_to_undo(redo: bool) -> Error {
    let what = if redo { "There is nothing to do again." } else { "There is nothing to undo." };
    Error::new(Kind::NotFound, what)
}

/// The setting that remembers which conversation was opened last.
pub(super) const LAST_CONVERSATION: &str = "last_conversation";
