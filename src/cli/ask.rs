//! `arbour ask`: one answer on standard output.
//!
//! Owns: what goes to standard output (the answer, nothing else), what interrupts a run and what leaves it alone. Invariant:
//! the text on standard output is the answer's text from its beginning, each byte once, also when the link broke in between.

use std::fs::File;
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::args;
use super::context::{Context, report};
use super::plain;
use super::session::{Session, Step, misunderstood};
use super::status::StatusLine;
use crate::client::attach::{self, Attachment, Limits};
use crate::core::{names, parameters, settings};
use crate::error::{Error, Kind, Result, quoted};
use crate::proto::{
    Ack, Command, Content, ConversationId, DeltaKind, EventKind, Finish, ModelRef, Node, NodeId, Parameters, Part, Query, Reply, State,
    Subject, content_text,
};

/// Exit code of an interrupted run.
const INTERRUPTED: u8 = 130;
/// Exit code after the terminal went away: 128 + SIGHUP, as shells count.
const HUNG_UP: u8 = 129;
/// How long a stopped run may take to say that it has stopped.
const STOPPING: Duration = Duration::from_secs(3);
/// How often a quiet run looks whether anybody still reads its output.
const LOOK: Duration = Duration::from_millis(500);
/// Most that is taken from standard input, in bytes: more than any context holds.
const LONGEST_INPUT: u64 = 8 << 20;
/// Pieces of text that wait for a slow reader; then the host's deltas wait, and merge.
const PIECES: usize = 64;

pub async fn run(context: &Context, ask: args::Ask) -> Result<u8> {
    let attachments = ask.attach.iter().map(|path| attach::read(path, Limits::default())).collect::<Result<Vec<_>>>()?;
    let prompt = prompt(&ask.prompt, piped_input()?, !attachments.is_empty())?;
    let parameters = parse_parameters(&ask.set)?;
    let mut signals = Signals::new()?;
    let mut session = context.session().await?;
    let asked = tokio::select! {
        asked = begin(&mut session, context, &ask, (prompt, attachments), parameters) => asked?,
        _ = signals.next() => return Ok(INTERRUPTED),
    };
    let code = asked.follow(&mut session, &mut signals, ask.json, context.in_process()).await?;
    if ask.no_save && code != HUNG_UP {
        // It lives in the host's memory only, and nobody can look at it any more.
        session.command(Command::DeleteConversation { conversation: asked.conversation }).await?;
    }
    Ok(code)
}

/// The words of the command line, then what came through a pipe. What is attached may go without.
fn prompt(words: &[String], input: Option<String>, attached: bool) -> Result<String> {
    let words = words.join(" ");
    // The last line's end is the pipe's, not the prompt's.
    let input = input.unwrap_or_default().trim_end_matches(['\n', '\r']).to_owned();
    match (words.trim().is_empty(), input.trim().is_empty()) {
        (false, true) => Ok(words),
        (true, false) => Ok(input),
        (false, false) => Ok(format!("{words}\n\n{input}")),
        (true, true) if attached => Ok(String::new()),
        (true, true) => {
            Err(Error::new(Kind::Usage, "There is nothing to ask.").hint("Write the prompt behind `arbour ask`, or pipe it in."))
        }
    }
}

/// Standard input, when it is a pipe, a file or a socket: a terminal and `/dev/null` hold no prompt.
fn piped_input() -> Result<Option<String>> {
    use rustix::fs::FileType;
    let stdin = std::io::stdin();
    let Ok(stat) = rustix::fs::fstat(stdin.as_fd()) else { return Ok(None) };
    if !matches!(FileType::from_raw_mode(stat.st_mode), FileType::Fifo | FileType::RegularFile | FileType::Socket) {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    stdin
        .lock()
        .take(LONGEST_INPUT + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| Error::new(Kind::File, "Standard input cannot be read.").cause(e))?;
    if bytes.len() as u64 > LONGEST_INPUT {
        return Err(Error::new(Kind::Usage, format!("Standard input is longer than {}.", plain::size(LONGEST_INPUT)))
            .hint("No model reads that much at once: give it a part, with `head -c` for instance."));
    }
    Ok(Some(String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())))
}

/// Reads `KEY=VALUE` options against the table of parameters.
pub fn parse_parameters(set: &[String]) -> Result<Parameters> {
    let mut out = Parameters::default();
    for option in set {
        let Some((key, text)) = option.split_once('=') else {
            return Err(Error::new(Kind::Usage, format!("--set {} says no value.", quoted(option))).hint("Write --set temperature=0.2."));
        };
        match parameters::parse(key.trim(), text)? {
            Some(value) => drop(out.0.insert(key.trim().to_owned(), value)),
            None => drop(out.0.remove(key.trim())),
        }
    }
    Ok(out)
}

/// Chooses the model, makes or finds the conversation, sends.
async fn begin(
    session: &mut Session,
    context: &Context,
    ask: &args::Ask,
    (prompt, attachments): (String, Vec<Attachment>),
    parameters: Parameters,
) -> Result<Asked> {
    let known = match &ask.conversation {
        Some(wanted) => Some(session.find_conversation(wanted).await?),
        None => None,
    };
    let before = known.as_ref().and_then(|row| row.model.clone());
    let preset = match &ask.preset {
        Some(name) => {
            let presets = &session.replica.presets;
            // Before anything is made: an unknown name is wrong use.
            let found = settings::find(presets, name).ok_or_else(|| Error { kind: Kind::Usage, ..settings::no_preset(presets, name) })?;
            Some(found.name.clone())
        }
        None => None,
    };
    let model = choose(session, context, ask.model.as_deref(), before).await?;
    // Before a conversation is made for it.
    for attachment in &attachments {
        attach::upload(&mut session.client, attachment).await?;
    }
    let (conversation, parent) = match known {
        Some(row) => {
            session.command(Command::View { conversation: Some(row.id) }).await?;
            let Reply::Opened(opened) = session.client.query(Query::Open { conversation: row.id, leaf: None, contents: 0 }).await? else {
                return Err(misunderstood());
            };
            if let Some(system) = &ask.system {
                session.command(Command::SetSystem { conversation: row.id, text: Some(system.clone()) }).await?;
            }
            let changes: Vec<_> = parameters.0.into_iter().map(|(key, value)| (key, Some(value))).collect();
            if !changes.is_empty() {
                session.command(Command::SetParameters { subject: Subject::Conversation(row.id), changes }).await?;
            }
            (row.id, opened.conversation.head)
        }
        None => {
            let id: ConversationId = session.client.fresh();
            let (system, saved) = (ask.system.clone(), !ask.no_save);
            session.command(Command::NewConversation { id, title: None, system, parameters, model: Some(model.clone()), saved }).await?;
            session.command(Command::View { conversation: Some(id) }).await?;
            (id, None)
        }
    };
    if preset.is_some() {
        session.command(Command::SetPreset { conversation, preset }).await?;
    }
    let (node, answer) = (session.client.fresh(), session.client.fresh());
    let words = (!prompt.is_empty()).then_some(Part::Text { text: prompt });
    let content: Content = words.into_iter().chain(attachments.iter().map(Attachment::part)).collect();
    session.command(Command::Send { conversation, node, parent, content, answer, model: Some(model.clone()) }).await?;
    Ok(Asked { conversation, answer, model })
}

/// The model that is to answer: a `.gguf` file, the named one, the conversation's, the last used, or one that is loaded.
async fn choose(session: &mut Session, context: &Context, named: Option<&str>, before: Option<ModelRef>) -> Result<ModelRef> {
    if let Some(name) = named {
        if let Some(path) = gguf(name).filter(|_| context.host_is_here()) {
            return match session.command(Command::OpenGguf { path }).await? {
                Ack::Model(model) => Ok(model),
                _ => Err(misunderstood()),
            };
        }
        // The full name needs no waiting for other backends; a part could still turn out to be ambiguous.
        session.settle(|replica| replica.models.iter().any(|m| m.reference().to_string() == name)).await?;
        return names::resolve(name, &session.replica.models).map_err(|e| nobody_there(e, session));
    }
    let mut recent = names::recent(&session.replica.settings);
    recent.splice(0..0, before);
    session
        .settle(|replica| {
            recent.first().is_some_and(|last| {
                let only = std::slice::from_ref(last);
                names::default_model(only, &replica.models, &replica.backends).as_ref() == Ok(last)
            })
        })
        .await?;
    names::default_model(&recent, &session.replica.models, &session.replica.backends)
}

/// A name that fits nothing because nothing could be reached is not wrong use.
fn nobody_there(error: Error, session: &Session) -> Error {
    if session.replica.models.is_empty() { Error { kind: Kind::NoModel, ..error } } else { error }
}

/// The absolute path of an existing GGUF file.
fn gguf(name: &str) -> Option<String> {
    let path = Path::new(name);
    let fits = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf")) && path.is_file();
    fits.then(|| std::path::absolute(path).ok()).flatten().map(|path| path.to_string_lossy().into_owned())
}

/// A run that was asked for.
struct Asked {
    conversation: ConversationId,
    answer: NodeId,
    model: ModelRef,
}

impl Asked {
    /// Shows the answer until it ends. Returns the exit code. `keep`: the run lives in this process, so a closed terminal must
    /// not end it.
    async fn follow(&self, session: &mut Session, signals: &mut Signals, as_json: bool, keep: bool) -> Result<u8> {
        let mut out = Output::new(as_json)?;
        let mut status = StatusLine::new();
        let mut tail = Tail::default();
        let mut look = tokio::time::interval(LOOK);
        let mut unwatched = false;
        let node = loop {
            let mut hung_up = false;
            let mut ended = None;
            tokio::select! {
                biased;
                caught = signals.next() => match caught {
                    Caught::HangUp => hung_up = true,
                    Caught::Stop => {
                        status.clear();
                        return self.interrupt(session, signals, out, tail).await;
                    }
                },
                read = out.go_on(), if !unwatched => match (read, out.terminal) {
                    (true, _) => {}
                    (false, true) => hung_up = true,
                    (false, false) => return self.interrupt(session, signals, out, tail).await,
                },
                _ = look.tick() => status.tick(),
                step = session.next(), if unwatched || out.waiting.is_empty() => match step? {
                    Step::Event(event) => match event.kind {
                        EventKind::Delta { node, kind, at, text, .. } if node == self.answer => match tail.take(kind, at, &text) {
                            Taken::Text(new) if !new.is_empty() => {
                                status.clear();
                                out.text(&new);
                            }
                            Taken::Text(_) => {}
                            Taken::Gap => self.resync(session, &mut tail, &mut out).await?,
                        },
                        EventKind::State { node, state, progress, .. } if node == self.answer && tail.text.is_empty() => {
                            status.phase(&self.model, state, &progress);
                        }
                        EventKind::Finished { node, .. } if node.id == self.answer => ended = Some(node),
                        EventKind::Stopping { reason } => status.note(&format!("The host ends: {reason}")),
                        _ => {}
                    },
                    Step::Restored => {
                        let node = self.reopen(session).await?;
                        self.resync(session, &mut tail, &mut out).await?;
                        ended = (!node.state.is_running()).then_some(node);
                    }
                }
            }
            if hung_up {
                if !keep {
                    return Ok(HUNG_UP);
                }
                unwatched = true;
            }
            if let Some(node) = ended {
                if node.bytes != tail.seen {
                    self.resync(session, &mut tail, &mut out).await?;
                }
                break node;
            }
        };
        status.clear();
        if unwatched {
            return Ok(HUNG_UP);
        }
        let value = as_json.then(|| self.json(&node, &tail));
        let read = tokio::select! {
            read = out.finish(value.as_ref()) => read,
            _ = signals.next() => return Ok(INTERRUPTED),
        };
        let code = outcome(&node, &tail)?;
        Ok(if read { code } else { INTERRUPTED })
    }

    /// Stops the run and waits until it says so, but not for long.
    async fn interrupt(&self, session: &mut Session, signals: &mut Signals, mut out: Output, mut tail: Tail) -> Result<u8> {
        let stop = async {
            session.command(Command::Stop { conversation: self.conversation, node: Some(self.answer) }).await?;
            let node = loop {
                if let Step::Event(event) = session.next().await?
                    && let EventKind::Finished { node, .. } = event.kind
                    && node.id == self.answer
                {
                    break node;
                }
            };
            if out.is_gone() {
                return Ok(());
            }
            let value = if out.json {
                self.resync(session, &mut tail, &mut out).await?;
                Some(self.json(&node, &tail))
            } else {
                None
            };
            out.finish(value.as_ref()).await;
            Ok(())
        };
        tokio::select! {
            stopped = tokio::time::timeout(STOPPING, stop) => stopped.unwrap_or(Ok(()))?,
            // C-c again: at once.
            _ = signals.next() => {}
        }
        Ok(INTERRUPTED)
    }

    /// After a broken link: looks at the conversation again.
    async fn reopen(&self, session: &mut Session) -> Result<Node> {
        session.command(Command::View { conversation: Some(self.conversation) }).await?;
        let query = Query::Open { conversation: self.conversation, leaf: Some(self.answer), contents: 0 };
        let Reply::Opened(opened) = session.client.query(query).await? else { return Err(misunderstood()) };
        opened.nodes.into_iter().find(|node| node.id == self.answer).ok_or_else(|| {
            Error::new(Kind::HostGone, "The host was restarted and does not know this answer any more.")
                .hint("With --no-save nothing survives the host. Ask again.")
        })
    }

    /// Fetches the whole answer and shows what is missing.
    async fn resync(&self, session: &mut Session, tail: &mut Tail, out: &mut Output) -> Result<()> {
        let query = Query::Contents { conversation: self.conversation, nodes: vec![self.answer] };
        let Reply::Contents(contents) = session.client.query(query).await? else { return Err(misunderstood()) };
        if let Some((_, parts)) = contents.into_iter().find(|(id, _)| *id == self.answer) {
            out.text(&tail.replace(&parts));
        }
        Ok(())
    }

    fn json(&self, node: &Node, tail: &Tail) -> Value {
        json!({
            "text": tail.text,
            "model": self.model.model,
            "backend": self.model.backend,
            "conversation": self.conversation,
            "node": self.answer,
            "state": node.state.word(),
            "run": node.run.as_deref().map(super::json::run),
        })
    }
}

/// How it ended, as exit code, or as the error to print.
fn outcome(node: &Node, tail: &Tail) -> Result<u8> {
    let finish = node.run.as_ref().and_then(|run| run.finish.as_ref());
    match node.state {
        State::Done => {
            if finish == Some(&Finish::Length) {
                report(
                    &Error::new(Kind::Internal, "The answer was cut: max_tokens or the context was reached.")
                        .hint("Allow more with --set max_tokens=N, or go on with `arbour` and `c`."),
                );
            }
            Ok(0)
        }
        State::Stopped if finish == Some(&Finish::HostStopped) => {
            Err(Error::new(Kind::HostGone, "The host ended before the answer was complete; what came is saved.")
                .hint("Open `arbour` and press `c` to continue it."))
        }
        State::Stopped => Err(Error::new(Kind::Cancelled, "The answer was stopped from another screen.")),
        _ => {
            let error = node.run.as_ref().and_then(|run| run.error.clone());
            let error = error.unwrap_or_else(|| Error::new(Kind::Internal, "The answer failed, and nothing says why."));
            Err(if tail.text.is_empty() {
                error
            } else {
                error.hint("What came before is saved: open `arbour` and press `c` to continue it.")
            })
        }
    }
}

/// The answer as far as it is known here.
#[derive(Default)]
struct Tail {
    text: String,
    /// Bytes of text and thinking taken in: where the next delta must begin.
    seen: u64,
}

enum Taken {
    /// New text, to be shown.
    Text(String),
    /// Something before it was missed.
    Gap,
}

impl Tail {
    fn take(&mut self, kind: DeltaKind, at: u64, text: &str) -> Taken {
        if at > self.seen {
            return Taken::Gap;
        }
        let known = usize::try_from(self.seen - at).unwrap_or(usize::MAX);
        let Some(new) = text.get(known..) else { return Taken::Text(String::new()) };
        self.seen += new.len() as u64;
        match kind {
            DeltaKind::Thinking => Taken::Text(String::new()),
            DeltaKind::Text => {
                self.text.push_str(new);
                Taken::Text(new.to_owned())
            }
        }
    }

    /// Takes the whole answer; returns the text that was not known before.
    fn replace(&mut self, parts: &Content) -> String {
        let text = content_text(parts);
        self.seen = parts
            .iter()
            .map(|part| match part {
                Part::Text { text } | Part::Thinking { text } => text.len() as u64,
                _ => 0,
            })
            .sum();
        let new = text.get(self.text.len()..).unwrap_or_default().to_owned();
        self.text = text;
        new
    }
}

/// Standard output, written by a thread of its own: a reader that does not read must not keep C-c from being heard.
struct Output {
    pieces: mpsc::Sender<String>,
    /// Ends with whether everything was read.
    writer: JoinHandle<bool>,
    file: File,
    terminal: bool,
    /// The text itself is not shown: it comes in the JSON value at the end.
    json: bool,
    clean: plain::Stream,
    /// What the writer has no room for yet; as long as there is some, no more is taken from the host.
    waiting: String,
    /// The last byte shown was a line's end, or nothing was shown.
    at_start: bool,
}

impl Output {
    fn new(json: bool) -> Result<Self> {
        let stdout = std::io::stdout();
        let duplicate = || stdout.as_fd().try_clone_to_owned().map(File::from);
        let broken = |e| Error::new(Kind::File, "Standard output cannot be written.").cause(e);
        let (file, mut target) = (duplicate().map_err(broken)?, duplicate().map_err(broken)?);
        let (pieces, mut queue) = mpsc::channel::<String>(PIECES);
        let writer = tokio::task::spawn_blocking(move || {
            while let Some(piece) = queue.blocking_recv() {
                if target.write_all(piece.as_bytes()).is_err() {
                    return false;
                }
            }
            true
        });
        let terminal = stdout.is_terminal();
        Ok(Self { pieces, writer, file, terminal, json, clean: plain::Stream::default(), waiting: String::new(), at_start: true })
    }

    /// A piece of the answer.
    fn text(&mut self, text: &str) {
        if self.json {
        } else if self.terminal {
            let shown = self.clean.push(text);
            self.push(&shown);
        } else {
            self.push(text);
        }
    }

    fn push(&mut self, text: &str) {
        let Some(last) = text.chars().next_back() else { return };
        self.at_start = last == '\n';
        self.waiting.push_str(text);
        if let Ok(room) = self.pieces.try_reserve() {
            room.send(std::mem::take(&mut self.waiting));
        }
    }

    /// Hands over what waits, or waits until nobody reads any more: says whether somebody still does. Safe to drop.
    async fn go_on(&mut self) -> bool {
        if self.is_gone() {
            return false;
        }
        if self.waiting.is_empty() {
            self.pieces.closed().await;
            return false;
        }
        match self.pieces.reserve().await {
            Ok(room) => {
                room.send(std::mem::take(&mut self.waiting));
                true
            }
            Err(_) => false,
        }
    }

    fn is_gone(&self) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        if self.pieces.is_closed() {
            return true;
        }
        // A pipe without a reader tells so at once; whether a terminal is there is told by SIGHUP.
        let mut fds = [PollFd::new(&self.file, PollFlags::empty())];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        !self.terminal && poll(&mut fds, Some(&now)).is_ok() && fds[0].revents().intersects(PollFlags::ERR)
    }

    /// Writes what waits and the JSON value, if there is one. Says whether all was read.
    async fn finish(mut self, value: Option<&Value>) -> bool {
        let rest = self.clean.end();
        self.push(&rest);
        if let Some(value) = value {
            self.push(&format!("{value}\n"));
        }
        if self.terminal && !self.at_start {
            self.push("\n");
        }
        if !self.waiting.is_empty() {
            self.go_on().await;
        }
        drop(self.pieces);
        self.writer.await.unwrap_or(false)
    }
}

enum Caught {
    /// C-c, SIGTERM.
    Stop,
    /// The terminal is gone: the run is left alone.
    HangUp,
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        let catch = |kind| signal(kind).map_err(|e| Error::new(Kind::Internal, "Signals cannot be caught.").cause(e));
        Ok(Self {
            interrupt: catch(SignalKind::interrupt())?,
            terminate: catch(SignalKind::terminate())?,
            hang_up: catch(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Caught {
        tokio::select! {
            _ = self.interrupt.recv() => Caught::Stop,
            _ = self.terminate.recv() => Caught::Stop,
            _ = self.hang_up.recv() => Caught::HangUp,
        }
    }
}
