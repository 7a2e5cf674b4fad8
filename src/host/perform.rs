//! Commands that are about backends, models, settings and the host itself.

use std::sync::Arc;

use serde_json::Value;

use super::Seat;
use super::acts::{Act, Asker};
use super::driver::{Host, now};
use super::options::Configured;
use crate::backend::Spec;
use crate::config::append_backend;
use crate::core::{Input, Write};
use crate::error::{Error, Kind, Result, quoted};
use crate::proto::{Ack, BackendKind, Command, CommandId, EventKind, ModelRef};

impl Host {
    pub(super) async fn perform(&mut self, seat: Seat, id: CommandId, command: Command) {
        let result = match command {
            Command::Watch { metrics, awake } => {
                if let Some(attachment) = self.seats.get_mut(seat) {
                    (attachment.watches, attachment.awake) = (metrics, awake);
                    let effects = self.machine.handle(Input::Awake { client: attachment.client, awake }, now());
                    self.carry_out(effects, None).await;
                }
                Ok(Ack::Done)
            }
            Command::SetSetting { key, value } => self.set(id, key, value).await,
            Command::SetCards { models, change } => self.set_cards(id, &models, &change).await,
            Command::BeginJob { id: job, act, models, parameters } => self.begin_job(job, act, models, parameters).await,
            Command::RetryJob { id: job } => self.retry_job(job).await,
            Command::CancelJob { id: job } => self.cancel_job(job).await,
            Command::RemoveModel { model } => return self.remove_model(seat, id, &model),
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
            Command::GiveTitle { conversation } => self.give_title(seat, id, conversation).await,
            Command::TryNow { conversation, node } => self.try_now(conversation, node),
            Command::PutBlob { hash, offset, total, data } => self.put_blob(hash, offset, total, data).await,
            Command::Refresh => return self.refresh(seat, id),
            Command::StartModel { model, parameters } => {
                let act = self.start_with(&model, &parameters);
                match self.begin_act(&model, act, Asker::Client(seat, id)) {
                    Ok(()) => return,
                    Err(error) => Err(error),
                }
            }
            Command::StopModel { model } => match self.begin_act(&model, Act::Stop, Asker::Client(seat, id)) {
                Ok(()) => return,
                Err(error) => Err(error),
            },
            Command::AddBackend { name, kind, url, key_env } => self.add_backend(name, kind, url, key_env).await,
            Command::OpenGguf { path } => self.open_gguf(path).await,
            Command::PullStarter { pip } => self.pull_starter(pip).await,
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
            | Command::Visit { .. }
            | Command::View { .. } => Err(Error::new(Kind::Internal, "The host does not know what to do with this command.")),
        };
        self.ack(seat, id, result);
    }

    async fn set(&mut self, id: CommandId, key: String, value: Value) -> Result<Ack> {
        let write = Write::Setting { key: key.clone(), value: value.clone() };
        self.commit(vec![write, Write::Applied { command: id, at: now() }], true).await?;
        self.emit(EventKind::Setting { key, value });
        Ok(Ack::Done)
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
