//! The one loop: input first, then what the host sends, then at most one frame; then sleep until something happens.
//!
//! Owns: the terminal, the client, timers, and everything that a [`Cmd`] asks for. Refuses: deciding anything (`update` does). Invariant: no
//! timer is armed when nothing is pending; the first frame is drawn before the host answers; the terminal is given back on every way out.

use std::collections::HashMap;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use crossterm::event::{Event as Input, EventStream};
use futures_util::{FutureExt, Stream, StreamExt};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

use super::action::settings;
use super::clipboard::{self, Desktop, Report};
use super::errand::Desk;
use super::files;
use super::frame::{Cause, FrameLimiter};
use super::model::Model;
use super::msg::{Cmd, Leave, Msg, Now, Tag};
use super::output::Output;
use super::pipe;
pub use super::signals::Signals;
use super::update::{after_view, update};
use super::view::view;
use crate::client::{Client, Incoming};
use crate::error::{Error, Kind, Result};
use crate::proto::{Command, CommandId, Query, Snapshot, UnixMs};

/// How long events of the host are taken in before a frame is considered.
const BUDGET: Duration = Duration::from_millis(4);
/// How long a closing screen waits for what it posted to be handed over.
const CLOSE: Duration = Duration::from_millis(700);
/// Results of jobs (copies, files) that wait: there are never more than a few.
const JOBS: usize = 16;

/// The way to a host, as the screen uses it: [`Client`], or a script of a test.
#[async_trait]
pub trait Link: Send {
    fn post(&mut self, command: Command) -> CommandId;
    fn ask(&mut self, query: Query) -> u64;
    /// The snapshot of the attach, once.
    fn snapshot(&mut self) -> Snapshot;
    /// The next thing that comes. Safe to drop while it waits.
    async fn next(&mut self) -> Incoming;
    /// What has come already.
    fn try_next(&mut self) -> Option<Incoming>;
    /// Detaches, after what was posted is handed over or the deadline is over.
    async fn close(self: Box<Self>, deadline: Duration);
}

#[async_trait]
impl Link for Client {
    fn post(&mut self, command: Command) -> CommandId {
        Self::post(self, command)
    }
    fn ask(&mut self, query: Query) -> u64 {
        Self::ask(self, query)
    }
    fn snapshot(&mut self) -> Snapshot {
        self.take_snapshot()
    }
    async fn next(&mut self) -> Incoming {
        Self::next(self).await
    }
    fn try_next(&mut self) -> Option<Incoming> {
        Self::try_next(self)
    }
    async fn close(self: Box<Self>, deadline: Duration) {
        Self::close(*self, deadline).await;
    }
}

/// A link that is being made.
pub type Connecting = Pin<Box<dyn Future<Output = Result<Box<dyn Link>>> + Send>>;

/// What the loop draws on and reads from.
pub trait Screen {
    /// Keys, pastes, sizes.
    type Input: Stream<Item = std::io::Result<Input>> + Unpin;
    /// Begins to read. What was returned before has been dropped.
    fn input(&mut self) -> Self::Input;
    /// Writes one frame.
    ///
    /// # Errors
    /// The terminal is gone.
    fn write(&mut self, bytes: &[u8]) -> Result<()>;
    fn size(&self) -> (u16, u16);
    /// Gives the terminal back, for an editor.
    fn release(&mut self);
    /// Takes it again.
    ///
    /// # Errors
    /// The terminal refuses.
    fn take(&mut self) -> Result<()>;
    /// Gives it back and stops the process group.
    fn suspend(&mut self);
}

impl Screen for super::terminal::Terminal {
    type Input = EventStream;
    fn input(&mut self) -> EventStream {
        EventStream::new()
    }
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        Self::write(self, bytes)
    }
    fn size(&self) -> (u16, u16) {
        Self::size(self)
    }
    fn release(&mut self) {
        super::terminal::restore();
    }
    fn take(&mut self) -> Result<()> {
        Self::take(self)
    }
    fn suspend(&mut self) {
        Self::suspend(self);
    }
}

/// What the loop needs beside the model.
pub struct Wiring {
    pub connecting: Connecting,
    pub way: clipboard::Way,
    pub desktop: Desktop,
    /// Where lines of `:` and `/` are kept.
    pub history: Option<PathBuf>,
    pub desk: Desk,
    /// The terminal is at the other end of a link.
    pub remote: bool,
    pub signals: Signals,
    /// Told when code was coloured that was drawn plain.
    pub coloured: Arc<Notify>,
}

/// Figures of one session, for the log and for tests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Session {
    pub frames: u64,
    pub bytes: u64,
    /// How often the loop woke up.
    pub wakeups: u64,
}

struct Loop<S: Screen> {
    model: Model,
    screen: S,
    input: Option<S::Input>,
    output: Output,
    canvas: Buffer,
    limiter: FrameLimiter,
    link: Option<Box<dyn Link>>,
    connecting: Option<Connecting>,
    commands: HashMap<CommandId, Tag>,
    questions: HashMap<u64, Tag>,
    jobs: JoinSet<()>,
    /// The command that was given a text.
    piping: Option<tokio::task::AbortHandle>,
    results: mpsc::Receiver<Msg>,
    done: mpsc::Sender<Msg>,
    way: clipboard::Way,
    desktop: Arc<Desktop>,
    history: Option<PathBuf>,
    desk: Desk,
    signals: Signals,
    coloured: Arc<Notify>,
    began: Instant,
    leave: Option<Leave>,
    session: Session,
}

/// Runs the screen until the person leaves.
///
/// # Errors
/// The terminal is gone.
pub async fn run<S: Screen>(model: Model, screen: S, wiring: Wiring) -> Result<Session> {
    let (width, height) = screen.size();
    let (done, results) = mpsc::channel(JOBS);
    let began = model.began;
    let mut this = Loop {
        model,
        input: None,
        output: Output::new(width, height),
        canvas: Buffer::empty(Rect::new(0, 0, width, height)),
        limiter: FrameLimiter::new(wiring.remote),
        link: None,
        connecting: Some(wiring.connecting),
        commands: HashMap::new(),
        questions: HashMap::new(),
        jobs: JoinSet::new(),
        piping: None,
        results,
        done,
        way: wiring.way,
        desktop: Arc::new(wiring.desktop),
        history: wiring.history,
        desk: wiring.desk,
        signals: wiring.signals,
        coloured: wiring.coloured,
        began,
        leave: None,
        session: Session::default(),
        screen,
    };
    let result = this.turn().await;
    this.session.frames = this.output.counters.frames;
    this.session.bytes = this.output.counters.bytes;
    // The terminal first: what follows may take a moment, and nobody should have to look at a dead screen.
    this.input = None;
    this.screen.release();
    while this.jobs.join_next().now_or_never().flatten().is_some() {}
    if let Some(link) = this.link.take() {
        link.close(CLOSE).await;
    }
    result.map(|()| this.session)
}

/// What woke the loop.
enum Woken {
    Input(Option<std::io::Result<Input>>),
    Connected(Result<Box<dyn Link>>),
    Incoming(Box<Incoming>),
    Result(Msg),
    Signal(Msg),
    Coloured,
    Timer,
}

impl<S: Screen> Loop<S> {
    fn now(&self) -> Now {
        let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Now { mono: self.began.elapsed(), wall: UnixMs::try_from(wall.as_millis()).unwrap_or(UnixMs::MAX) }
    }

    async fn turn(&mut self) -> Result<()> {
        self.model.shared.now = self.now();
        self.limiter.ask(Cause::Input);
        self.frame()?;
        // Reading keys starts a thread; the first frame does not wait for it.
        self.input = Some(self.screen.input());
        while self.leave.is_none() {
            let woken = self.wait().await;
            self.session.wakeups += 1;
            self.woken(woken).await?;
            self.drain().await?;
            if self.leave.is_none() {
                self.frame()?;
            }
        }
        Ok(())
    }

    /// Sleeps until something happens.
    async fn wait(&mut self) -> Woken {
        let draw = if self.model.redraw.is_needed() { self.limiter.due() } else { None };
        let until = super::shared::earliest(draw, self.model.deadline());
        let timer = until.map(|at| tokio::time::Instant::from_std(self.began + at));
        let input = async {
            match &mut self.input {
                Some(input) => input.next().await,
                None => std::future::pending().await,
            }
        };
        let connecting = async {
            match &mut self.connecting {
                Some(connecting) => connecting.await,
                None => std::future::pending().await,
            }
        };
        let incoming = async {
            match &mut self.link {
                Some(link) => link.next().await,
                None => std::future::pending().await,
            }
        };
        let timer = async {
            match timer {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            event = input => Woken::Input(event),
            msg = self.signals.next() => Woken::Signal(msg),
            Some(msg) = self.results.recv() => Woken::Result(msg),
            incoming = incoming => Woken::Incoming(Box::new(incoming)),
            link = connecting => Woken::Connected(link),
            () = self.coloured.notified() => Woken::Coloured,
            () = timer => Woken::Timer,
        }
    }

    async fn woken(&mut self, woken: Woken) -> Result<()> {
        match woken {
            Woken::Input(Some(Ok(event))) => self.typed(event).await,
            // The terminal is gone: nothing more can be read or shown.
            Woken::Input(Some(Err(error))) => {
                self.leave = Some(Leave::Detach);
                Err(Error::new(Kind::Internal, "The terminal does not answer any more.").cause(error))
            }
            Woken::Input(None) => self.take(Msg::Terminated, Cause::Input).await,
            Woken::Connected(Ok(mut link)) => {
                self.connecting = None;
                let snapshot = link.snapshot();
                self.link = Some(link);
                self.take(Msg::Attached(Box::new(snapshot)), Cause::Input).await
            }
            Woken::Connected(Err(error)) => {
                self.connecting = None;
                self.take(Msg::Unreachable(error), Cause::Input).await
            }
            Woken::Incoming(incoming) => self.arrived(*incoming).await,
            Woken::Signal(Msg::Resumed) => {
                // Somebody else stopped us: the shell may have changed the terminal's modes meanwhile.
                self.screen.take()?;
                self.take(Msg::Resumed, Cause::Input).await
            }
            Woken::Result(msg) | Woken::Signal(msg) => self.take(msg, Cause::Input).await,
            Woken::Coloured => self.take(Msg::Coloured, Cause::Stream).await,
            Woken::Timer => {
                let now = self.now();
                if self.model.deadline().is_some_and(|at| at <= now.mono) {
                    self.take(Msg::Tick, Cause::Stream).await?;
                }
                Ok(())
            }
        }
    }

    /// All input that is there, then what the host sent, for as long as the budget lasts.
    async fn drain(&mut self) -> Result<()> {
        let began = Instant::now();
        loop {
            if self.leave.is_some() {
                return Ok(());
            }
            if let Some(Ok(event)) = self.read_already().await {
                self.typed(event).await?;
                continue;
            }
            if began.elapsed() >= BUDGET {
                return Ok(());
            }
            let Some(incoming) = self.link.as_mut().and_then(|link| link.try_next()) else { return Ok(()) };
            self.arrived(incoming).await?;
        }
    }

    /// What was read from the terminal already. Asked with this task's own waker: crossterm's reader keeps the waker of the first
    /// poll that found nothing, so one that wakes nobody (`now_or_never`) would leave the next key lying until something else happens.
    async fn read_already(&mut self) -> Option<std::io::Result<Input>> {
        let input = self.input.as_mut()?;
        std::future::poll_fn(|context| match input.poll_next_unpin(context) {
            Poll::Ready(event) => Poll::Ready(event),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    async fn typed(&mut self, event: Input) -> Result<()> {
        let msg = match event {
            Input::Key(key) => Msg::Key(key),
            Input::Paste(text) => Msg::Paste(text),
            Input::Resize(width, height) => Msg::Resize { width, height },
            Input::FocusGained => Msg::Focus(true),
            Input::FocusLost => Msg::Focus(false),
            Input::Mouse(_) => return Ok(()),
        };
        self.take(msg, Cause::Input).await
    }

    async fn arrived(&mut self, incoming: Incoming) -> Result<()> {
        let msg = match incoming {
            Incoming::Event(event) => Msg::Event(event),
            Incoming::Ack { id, result } => match self.commands.remove(&id) {
                Some(tag) => Msg::Ack { tag, result },
                None => return Ok(()),
            },
            Incoming::Reply { id, result } => match self.questions.remove(&id) {
                Some(tag) => Msg::Reply { tag, result },
                None => return Ok(()),
            },
            Incoming::Lost(error) => Msg::Lost(error),
            Incoming::Restored(snapshot) => Msg::Restored(snapshot),
            Incoming::Gone(error) => Msg::Gone(error),
        };
        self.take(msg, Cause::Stream).await
    }

    /// Updates the model and carries out what it asks for.
    async fn take(&mut self, msg: Msg, cause: Cause) -> Result<()> {
        let now = self.now();
        let cmds = update(&mut self.model, msg, now);
        if self.model.redraw.is_needed() {
            self.limiter.ask(cause);
        }
        for cmd in cmds {
            self.carry_out(cmd).await?;
        }
        Ok(())
    }

    /// Draws, when something is marked and it is time.
    fn frame(&mut self) -> Result<()> {
        let now = self.now();
        if !self.model.redraw.is_needed() || !self.limiter.is_due(now.mono) {
            return Ok(());
        }
        self.model.shared.now = now;
        self.model.shared.slow = self.limiter.is_slow();
        let cursor = view(&mut self.model, &mut self.canvas);
        let began = Instant::now();
        let bytes = self.output.frame(&self.canvas, cursor);
        if !bytes.is_empty() {
            self.screen.write(bytes)?;
        }
        self.limiter.drawn(now.mono, began.elapsed());
        for cmd in after_view(&mut self.model) {
            if let Cmd::Post { .. } | Cmd::Ask { .. } = cmd {
                self.tell(cmd);
            }
        }
        Ok(())
    }

    /// Hands something to the host. Without a link it is answered here.
    fn tell(&mut self, cmd: Cmd) {
        let refused = || Error::new(Kind::HostGone, "There is no host to tell it to.").hint("Start arbour again to go on.");
        match (cmd, &mut self.link) {
            (Cmd::Post { tag, command }, Some(link)) => {
                let id = link.post(command);
                self.commands.insert(id, tag);
            }
            (Cmd::Ask { tag, query }, Some(link)) => {
                let id = link.ask(query);
                self.questions.insert(id, tag);
            }
            (Cmd::Post { tag, .. }, None) => {
                // Full only when nothing reads any more; then nobody misses it.
                let _ = self.done.try_send(Msg::Ack { tag, result: Err(refused()) });
            }
            (Cmd::Ask { tag, .. }, None) => {
                let _ = self.done.try_send(Msg::Reply { tag, result: Err(refused()) });
            }
            _ => {}
        }
    }

    async fn carry_out(&mut self, cmd: Cmd) -> Result<()> {
        match cmd {
            Cmd::Post { .. } | Cmd::Ask { .. } => self.tell(cmd),
            Cmd::Copy { text, what } => return self.copy(text, what),
            Cmd::Save { path, data, over } => drop(self.job(async move {
                let saved = tokio::task::spawn_blocking(move || files::save(path, data, over)).await;
                saved.unwrap_or_else(|e| Msg::Saved(Err(Error::new(Kind::Internal, "Saving was broken off.").cause(e))))
            })),
            Cmd::Pipe { command, text } => {
                let job = self.job(async move { Msg::Piped(pipe::run(&command, text).await) });
                self.piping = Some(job);
            }
            Cmd::EndPipe => {
                if let Some(job) = self.piping.take() {
                    job.abort();
                }
            }
            Cmd::ReadPresets(path) => drop(self.job(async move {
                let read = tokio::task::spawn_blocking(move || settings::read_file(&path)).await;
                Msg::Presets(read.unwrap_or_else(|e| Err(vec![Error::new(Kind::Internal, "Reading was broken off.").cause(e)])))
            })),
            Cmd::Errand(errand) => {
                let desk = self.desk.clone();
                drop(self.job(async move {
                    let done = tokio::task::spawn_blocking(move || desk.run(errand)).await;
                    done.unwrap_or_else(|e| Msg::Saved(Err(Error::new(Kind::Internal, "Reading files was broken off.").cause(e))))
                }));
            }
            Cmd::History(lines) => {
                if let Some(path) = self.history.clone() {
                    // A history that cannot be written is not worth a word.
                    self.jobs.spawn_blocking(move || drop(files::write_history(&path, &lines)));
                }
            }
            Cmd::Edit { purpose, text, extension } => {
                let result = self.in_editor(files::edit(&text, &extension)).await?;
                return Box::pin(self.take(Msg::Edited { purpose, result }, Cause::Input)).await;
            }
            Cmd::EditFile(path) => {
                let result = self.in_editor(files::edit_file(&path)).await?;
                return Box::pin(self.take(Msg::EditedFile { path, result }, Cause::Input)).await;
            }
            Cmd::ReadClipboard => {
                let desktop = Arc::clone(&self.desktop);
                drop(self.job(async move { Msg::Clipboard(desktop.text().await) }));
            }
            Cmd::Suspend => {
                self.input = None;
                self.screen.suspend();
                // Stopped here until somebody says `fg`. Without job control nothing stops, and a moment later it goes on.
                let resumed = async {
                    match &mut self.signals.resumed {
                        Some(signal) => {
                            signal.recv().await;
                        }
                        None => std::future::pending().await,
                    }
                };
                // The clock runs on while the process is stopped, so either wakes it at once.
                let _ = tokio::time::timeout(Duration::from_millis(250), resumed).await;
                self.screen.take()?;
                self.input = Some(self.screen.input());
                self.resized();
                return Box::pin(self.take(Msg::Resumed, Cause::Input)).await;
            }
            Cmd::Repaint => self.output.invalidate(),
            Cmd::Quit(leave) => self.leave = Some(leave),
        }
        Ok(())
    }

    /// Gives the terminal to an editor for as long as it runs.
    async fn in_editor<T>(&mut self, editor: impl Future<Output = Result<T>>) -> Result<Result<T>> {
        // The reader must be gone, or it would eat the editor's keys.
        self.input = None;
        self.screen.release();
        let result = editor.await;
        self.screen.take()?;
        self.input = Some(self.screen.input());
        self.output.invalidate();
        self.resized();
        Ok(result)
    }

    /// The size may have changed while nobody read events.
    fn resized(&mut self) {
        self.model.size = self.screen.size();
        self.model.mark_all();
    }

    fn copy(&mut self, text: String, what: String) -> Result<()> {
        let terminal = match clipboard::osc52(&text, self.way) {
            Some(bytes) => {
                self.screen.write(&bytes)?;
                Some(self.way)
            }
            None => None,
        };
        let desktop = Arc::clone(&self.desktop);
        self.job(async move { Msg::Copied(Report { what, terminal, desktop: desktop.copy(text).await }) });
        Ok(())
    }

    /// Does something beside the loop; its result comes back as a message.
    fn job(&mut self, work: impl Future<Output = Msg> + Send + 'static) -> tokio::task::AbortHandle {
        // Those that are done make room.
        while self.jobs.try_join_next().is_some() {}
        let done = self.done.clone();
        self.jobs.spawn(async move {
            let msg = work.await;
            // A loop that has ended does not wait for it.
            let _ = done.send(msg).await;
        })
    }
}
