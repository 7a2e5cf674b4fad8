//! One act on one model at a time: loading it, unloading it, deleting it.
//!
//! Owns: the acts that go on, their tasks, and who waits for each. Invariant: whoever asks for what goes on already waits for the
//! same; an act that is cancelled drops the backend's future, and a load that is cancelled is unloaded too, since some servers
//! load on when nobody waits.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::driver::{Host, Whose, now};
use super::{Message, Seat};
use crate::backend::{Backend, Update, channel};
use crate::error::{Error, Kind, Result, harmless};
use crate::proto::{Ack, BackendKind, CommandId, EventKind, JobId, Level, ModelInfo, ModelRef, ModelState, Parameters};

/// Models that may be loading or unloading at once, over all clients.
const MOST: usize = 64;

/// What is done to a model.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Act {
    Start(Parameters),
    Stop,
    Remove,
}

/// Who waits for the end of an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    Client(Seat, CommandId),
    /// An item of a job.
    Job(JobId, usize),
    /// Nobody: the host unloads it of its own accord.
    Host,
}

struct Going {
    serial: u64,
    act: Act,
    askers: Vec<Asker>,
    task: AbortHandle,
    /// A start that was asked for while it was being unloaded.
    next: Option<(Act, Vec<Asker>)>,
}

/// The acts that go on, by model.
#[derive(Default)]
pub(super) struct Acts {
    going: HashMap<ModelRef, Going>,
    serial: u64,
}

impl Acts {
    pub(super) fn is_empty(&self) -> bool {
        self.going.is_empty()
    }

    /// Whether this model is being loaded on somebody's behalf.
    pub(super) fn is_starting(&self, model: &ModelRef) -> bool {
        self.going.get(model).is_some_and(|going| matches!(going.act, Act::Start(_)))
    }

    fn askers(&self, model: &ModelRef) -> &[Asker] {
        self.going.get(model).map_or(&[], |going| &going.askers)
    }
}

impl Host {
    /// The backend of a model, when it can be asked.
    pub(super) fn ready(&self, model: &ModelRef) -> Result<Arc<dyn Backend>> {
        let backend = self.backends.get(&model.backend).and_then(|slot| slot.backend.clone());
        backend.ok_or_else(|| self.no_backend(&model.backend))
    }

    /// What a model is loaded with: its own load settings, and over them what was asked for.
    pub(super) fn start_with(&mut self, model: &ModelRef, over: &Parameters) -> Act {
        self.keeps(model, over);
        let mut parameters = self.load_settings(model);
        parameters.0.extend(over.0.clone());
        Act::Start(parameters)
    }

    /// Begins an act; `asker` is told how it ended.
    ///
    /// # Errors
    /// When it cannot begin; then nobody is told.
    pub(super) fn begin_act(&mut self, model: &ModelRef, act: Act, asker: Asker) -> Result<()> {
        if act == Act::Stop && self.acts.is_starting(model) {
            self.cancel_act(model, &Error::new(Kind::Cancelled, "It was stopped while it was being loaded."));
        }
        let Some(going) = self.acts.going.get_mut(model) else {
            // A job keeps within bounds of its own.
            if matches!(asker, Asker::Client(..)) && self.acts.going.len() >= MOST {
                return Err(Error::new(Kind::Busy, format!("{MOST} models are being loaded or unloaded already."))
                    .hint("Wait until some of them are done."));
            }
            let backend = self.ready(model)?;
            if act == Act::Remove {
                self.removable(model)?;
            }
            self.spawn_act(model.clone(), act, vec![asker], backend);
            return Ok(());
        };
        match (&going.act, &act) {
            (Act::Stop, Act::Stop) => {
                // Whoever wanted it loaded after that does not get it.
                let next = going.next.take();
                going.askers.push(asker);
                let why = Error::new(Kind::Cancelled, "It was stopped before it was loaded.");
                self.tell(next.into_iter().flat_map(|(_, askers)| askers).collect(), &Err(why));
                Ok(())
            }
            (known, asked) if known == asked => {
                going.askers.push(asker);
                Ok(())
            }
            (Act::Stop, Act::Start(_)) => match &mut going.next {
                Some((next, askers)) if *next == act => {
                    askers.push(asker);
                    Ok(())
                }
                Some(_) => Err(at_work(model, "loaded with other settings")),
                None => {
                    going.next = Some((act, vec![asker]));
                    Ok(())
                }
            },
            (Act::Start(_), Act::Start(_)) => Err(at_work(model, "loaded with other settings")),
            (Act::Start(_), _) => Err(at_work(model, "loaded")),
            (Act::Stop, _) => Err(at_work(model, "unloaded")),
            (Act::Remove, _) => Err(at_work(model, "deleted")),
        }
    }

    fn spawn_act(&mut self, model: ModelRef, act: Act, askers: Vec<Asker>, backend: Arc<dyn Backend>) {
        self.acts.serial += 1;
        let serial = self.acts.serial;
        if matches!(act, Act::Start(_)) {
            self.model_state(&model, ModelState::Loading, None);
        }
        let (inbox, usual) = (self.inbox.clone(), self.options.quiet);
        let (of, doing) = (model.clone(), act.clone());
        let task = self.spawn(Whose::Act(model.clone(), serial), async move {
            let result = match doing {
                Act::Start(parameters) => {
                    let (sink, mut source) = channel();
                    let mut start = std::pin::pin!(backend.start(&of.model, &parameters, sink));
                    // A load has no time limit: how long it is quiet is said, and a person decides.
                    let (mut moved, mut patience) = (Instant::now(), usual);
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
                            update = update => {
                                (moved, patience) = (Instant::now(), usual);
                                drop(inbox.send(Message::Loading { model: of.clone(), update }).await);
                            }
                            () = tokio::time::sleep_until(moved + patience) => {
                                let quiet = Message::Quiet { model: of.clone(), quiet: patience };
                                patience *= 2;
                                drop(inbox.send(quiet).await);
                            }
                        }
                    }
                }
                Act::Stop => backend.stop(&of.model).await,
                Act::Remove => backend.remove(&of.model).await,
            };
            // A host that has ended does not care.
            drop(inbox.send(Message::Settled { model: of, serial, result }).await);
        });
        self.acts.going.insert(model, Going { serial, act, askers, task, next: None });
    }

    /// A model that is being loaded has come further.
    pub(super) fn loading(&mut self, model: &ModelRef, update: Update) {
        if let Update::Phase(_, progress) = update
            && let (Some(done), Some(total)) = (progress.done, progress.total.filter(|total| *total > 0))
            && self.acts.is_starting(model)
        {
            // At most 1000 by the clamp.
            let permille = (u128::from(done.min(total)) * 1000 / u128::from(total)) as u16;
            self.model_state(model, ModelState::Loading, Some(permille));
            for asker in self.acts.askers(model).to_vec() {
                if let Asker::Job(job, at) = asker {
                    self.jobs.moved(job, at, Some(permille), now());
                }
            }
        }
    }

    /// A model that is being loaded has told no progress for so long.
    pub(super) fn quiet(&mut self, model: &ModelRef, quiet: Duration) {
        if self.acts.is_starting(model) {
            let name = harmless(&model.to_string());
            let error = Error::new(Kind::Server, format!("{name} has told no progress for {:.0} s while it loads.", quiet.as_secs_f64()))
                .hint("Large models take long, and some servers tell nothing. Stopping the model ends the wait.");
            self.emit(EventKind::Notice { level: Level::Info, error });
        }
    }

    /// Shows a model's state until its backend tells.
    pub(super) fn model_state(&mut self, model: &ModelRef, state: ModelState, permille: Option<u16>) {
        let changed = self.machine.replica.model(model).filter(|known| known.state != state || known.permille != permille).cloned();
        if let Some(known) = changed {
            self.emit(EventKind::Model(ModelInfo { state, permille, error: None, ..known }));
        }
    }

    /// An act has ended. One that was cancelled before has nobody waiting for it any more.
    pub(super) fn act_settled(&mut self, model: &ModelRef, serial: u64, result: &Result<()>) {
        if self.acts.going.get(model).is_none_or(|going| going.serial != serial) {
            return;
        }
        let Some(going) = self.acts.going.remove(model) else { return };
        if result.is_ok()
            && let Some(slot) = self.backends.get_mut(&model.backend)
            && slot.backend.as_ref().is_some_and(|backend| backend.kind() == BackendKind::Embedded)
        {
            match going.act {
                Act::Start(_) => drop(slot.started.insert(model.model.clone())),
                Act::Stop | Act::Remove => drop(slot.started.remove(&model.model)),
            }
        }
        // The list that follows says how it stands; until then, this.
        match (result, &going.act) {
            (Ok(()), Act::Start(_)) => self.model_state(model, ModelState::Loaded, None),
            (Ok(()), Act::Stop) => self.model_state(model, ModelState::Unloaded, None),
            (Err(_), Act::Start(_) | Act::Stop) => self.model_state(model, ModelState::Unknown, None),
            (_, Act::Remove) => {}
        }
        if let (Ok(()), Act::Start(parameters)) = (result, &going.act) {
            self.ended_loading(model, parameters);
        }
        let many = going.askers.iter().any(|asker| matches!(asker, Asker::Job(..)));
        if result.is_ok() && going.act == Act::Remove && !many {
            self.model_removed(model);
        }
        if let Err(error) = result
            && going.askers == [Asker::Host]
        {
            tracing::info!(%error, model = %harmless(&model.to_string()), "it was not unloaded");
        }
        self.tell(going.askers, result);
        if let Some((act, askers)) = going.next {
            match self.ready(model) {
                Ok(backend) => self.spawn_act(model.clone(), act, askers, backend),
                Err(error) => self.tell(askers, &Err(error)),
            }
        }
        if many {
            self.look_soon(&model.backend);
        } else {
            self.ask_backend(&model.backend);
        }
    }

    fn tell(&mut self, askers: Vec<Asker>, result: &Result<()>) {
        for asker in askers {
            match asker {
                Asker::Client(seat, id) => self.ack(seat, id, result.clone().map(|()| Ack::Done)),
                Asker::Job(job, at) => self.item_settled(job, at, result.clone()),
                Asker::Host => {}
            }
        }
    }

    /// Ends an act for everybody who waits for it.
    pub(super) fn cancel_act(&mut self, model: &ModelRef, why: &Error) {
        let Some(going) = self.acts.going.remove(model) else { return };
        going.task.abort();
        self.tell(going.askers, &Err(why.clone()));
        if let Some((_, askers)) = going.next {
            self.tell(askers, &Err(why.clone()));
        }
    }

    /// One who waited does not any more. When nobody else does, the act ends; a load is unloaded.
    pub(super) fn leave_act(&mut self, model: &ModelRef, asker: Asker) {
        let Some(going) = self.acts.going.get_mut(model) else { return };
        if let Some((_, askers)) = &mut going.next {
            askers.retain(|known| *known != asker);
            going.next = going.next.take().filter(|(_, askers)| !askers.is_empty());
        }
        if !going.askers.contains(&asker) {
            return;
        }
        going.askers.retain(|known| *known != asker);
        if going.askers.is_empty() && going.next.is_none() {
            let half = matches!(going.act, Act::Start(_));
            self.cancel_act(model, &super::schedule::cancelled());
            // A server that cannot is asked how it stands; that it cannot is nobody's fault.
            if !half || self.begin_act(model, Act::Stop, Asker::Host).is_err() {
                self.look_soon(&model.backend);
            }
        }
    }

    /// Models that are being loaded are shown so, whatever a list says that was asked for meanwhile: not every server tells.
    pub(super) fn show_starting(&self, models: &mut [ModelInfo]) {
        if self.acts.is_empty() {
            return;
        }
        let known: BTreeMap<ModelRef, Option<u16>> =
            self.machine.replica.models.iter().filter(|m| m.state == ModelState::Loading).map(|m| (m.reference(), m.permille)).collect();
        for model in models.iter_mut().filter(|model| matches!(model.state, ModelState::Unloaded | ModelState::Unknown)) {
            let reference = model.reference();
            if self.acts.is_starting(&reference) {
                model.state = ModelState::Loading;
                model.permille = known.get(&reference).copied().flatten();
            }
        }
    }
}

fn at_work(model: &ModelRef, how: &str) -> Error {
    Error::new(Kind::Busy, format!("{} is being {how} just now.", harmless(&model.to_string())))
        .hint("Wait until that is done, or stop the model first.")
}
