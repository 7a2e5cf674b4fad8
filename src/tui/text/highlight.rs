//! Code in colours, found away from the screen's thread.
//!
//! Owns: which words of a line of code play which [`Role`], line after line, with the state between lines. Refuses: colours (a
//! theme's), wrapping and frames. Invariant: whoever draws never waits for longer than [`PATIENCE`], whatever a model wrote: sets
//! of syntaxes are unpacked, regexes compiled and lines read on one thread of its own, which starts with the first block of
//! code and sleeps when there is nothing to read. Until a line is read it is plain.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use syntect::parsing::{ParseState, Scope, ScopeStack, ScopeStackOp, SyntaxSet};

use crate::tui::theme::Role;

/// How long a frame waits for lines that are nearly always read at once; else they are plain in it and drawn again.
const PATIENCE: Duration = Duration::from_millis(2);
/// Lines longer than this are plain; regexes take too long on them.
const LONGEST: usize = 2048;
/// A line that takes longer ends the colours of its block: it is a trap, or the machine has better things to do.
const PAIN: Duration = Duration::from_secs(2);
/// More lines than this at once are not waited for.
const FEW: usize = 60;

/// The end of a word, in bytes of its line, and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub end: u32,
    pub role: Role,
}

/// Reads code. Cheap to clone; the clones share one thread.
#[derive(Clone)]
pub struct Highlighter {
    shared: Arc<Shared>,
}

struct Shared {
    jobs: Mutex<Option<Sender<Job>>>,
    /// Reads on the caller's thread instead: tests and benches.
    here: bool,
    /// Grows whenever lines were read that nobody waited for.
    generation: AtomicU64,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for Highlighter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Highlighter").field("generation", &self.generation()).finish_non_exhaustive()
    }
}

impl Highlighter {
    /// `wake` is called, on another thread, when there is something to draw again.
    #[must_use]
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self { shared: Arc::new(Shared { jobs: Mutex::new(None), here: false, generation: AtomicU64::new(0), wake: Box::new(wake) }) }
    }

    /// Reads at once on the caller's thread, however long that takes: for tests, benches and what is printed.
    #[must_use]
    pub fn immediate() -> Self {
        let shared = Shared { jobs: Mutex::new(None), here: true, generation: AtomicU64::new(0), wake: Box::new(|| {}) };
        Self { shared: Arc::new(shared) }
    }

    /// Grows when lines that were drawn plain have been read since.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.shared.generation.load(Ordering::Acquire)
    }

    /// Begins to read a block of code; `None` where its language is not named.
    pub(super) fn pen(&self, language: &str) -> Option<Pen> {
        if language.is_empty() || language.len() > 40 {
            return None;
        }
        let session = Arc::new(Session { language: language.to_ascii_lowercase(), state: Mutex::default(), read: Condvar::new() });
        Some(Pen { shared: Arc::clone(&self.shared), session, sent: 0 })
    }
}

impl Shared {
    fn send(&self, job: Job) {
        if self.here {
            job.run();
            return;
        }
        let mut jobs = lock(&self.jobs);
        if jobs.is_none() {
            let (sender, receiver) = channel();
            let spawned = std::thread::Builder::new().name("highlight".to_owned()).spawn(move || work(&receiver));
            if spawned.is_ok() {
                *jobs = Some(sender);
            }
        }
        // Without a thread everything stays plain, which is no reason to fail.
        if let Some(sender) = jobs.as_ref()
            && let Err(lost) = sender.send(job)
        {
            lock(&lost.0.session.state).plain = true;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a panicking reader left is whole: it is replaced, never changed in place.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lines to read. The queue is unbounded, but each open block has at most its unread lines in it, which its document holds anyway.
struct Job {
    session: Arc<Session>,
    lines: Vec<String>,
    trial: Option<String>,
    shared: Weak<Shared>,
}

fn work(jobs: &Receiver<Job>) {
    while let Ok(job) = jobs.recv() {
        job.run();
    }
}

/// A block of code that is being read.
struct Session {
    language: String,
    state: Mutex<State>,
    read: Condvar,
}

#[derive(Default)]
struct State {
    /// Read lines, as far as nobody took them.
    lines: Vec<Vec<Token>>,
    /// The line that has no end yet, as it was when it was read last.
    trial: Option<(String, Vec<Token>)>,
    engine: Option<Engine>,
    /// It is not read, and will not be: an unknown language, a trap.
    plain: bool,
    /// Somebody waits for it, so nobody needs to be woken.
    awaited: bool,
}

/// Between two lines.
#[derive(Clone)]
struct Engine {
    parse: ParseState,
    stack: ScopeStack,
}

/// Reads one block of code for whoever draws it.
#[derive(Clone)]
pub(super) struct Pen {
    shared: Arc<Shared>,
    session: Arc<Session>,
    /// Lines that were given to be read.
    sent: usize,
}

impl std::fmt::Debug for Pen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pen").field("language", &self.session.language).field("sent", &self.sent).finish_non_exhaustive()
    }
}

impl Pen {
    /// Lines that were given to it so far.
    pub fn sent(&self) -> usize {
        self.sent
    }

    /// Gives more lines, in order, and the one after them that has no end yet. Waits a little for them.
    pub fn read(&mut self, lines: Vec<String>, trial: Option<&str>) {
        let mut state = lock(&self.session.state);
        let known = trial.is_none_or(|text| state.trial.as_ref().is_some_and(|(read, _)| read == text));
        if state.plain || (lines.is_empty() && known) {
            return;
        }
        let few = lines.len() <= FEW;
        self.sent += lines.len();
        let goal = self.sent;
        state.awaited = few && SYNTAXES.get().is_some();
        let wait = state.awaited;
        drop(state);
        let trial = trial.map(str::to_owned);
        self.shared.send(Job { session: Arc::clone(&self.session), lines, trial: trial.clone(), shared: Arc::downgrade(&self.shared) });
        if !wait {
            return;
        }
        let state = lock(&self.session.state);
        let unread = |state: &mut State| {
            !state.plain
                && (state.lines.len() < goal
                    || trial.as_deref().is_some_and(|text| state.trial.as_ref().is_none_or(|(read, _)| read != text)))
        };
        let (mut state, _) = self.session.read.wait_timeout_while(state, PATIENCE, unread).unwrap_or_else(PoisonError::into_inner);
        state.awaited = false;
    }

    /// The words of a line, if it was read; an empty list where it is plain.
    pub fn line(&self, index: usize) -> Option<Vec<Token>> {
        let state = lock(&self.session.state);
        match state.lines.get(index) {
            Some(tokens) => Some(tokens.clone()),
            None => state.plain.then(Vec::new),
        }
    }

    /// The same for a line that is drawn for good: it is not kept for another time.
    pub fn take_line(&self, index: usize) -> Option<Vec<Token>> {
        let mut state = lock(&self.session.state);
        let plain = state.plain;
        match state.lines.get_mut(index) {
            Some(tokens) => Some(std::mem::take(tokens)),
            None => plain.then(Vec::new),
        }
    }

    /// The words of the line that has no end yet, as far as it was read.
    pub fn trial(&self, text: &str) -> Option<Vec<Token>> {
        let state = lock(&self.session.state);
        if state.plain {
            return Some(Vec::new());
        }
        let (read, tokens) = state.trial.as_ref()?;
        text.starts_with(read.as_str()).then(|| tokens.clone())
    }
}

impl Job {
    fn run(self) {
        let Self { session, lines, trial, shared } = self;
        // Nobody draws it any more.
        if Arc::strong_count(&session) == 1 {
            return;
        }
        let engine = lock(&session.state).engine.take();
        let syntaxes = syntaxes();
        let Some(mut engine) = engine.or_else(|| Engine::new(syntaxes, &session.language)) else {
            tell(&session, &shared, |state| state.plain = true);
            return;
        };
        for line in &lines {
            let begun = Instant::now();
            let tokens = engine.line(syntaxes, line, true);
            if begun.elapsed() > PAIN {
                tell(&session, &shared, |state| state.plain = true);
                return;
            }
            lock(&session.state).lines.push(tokens);
        }
        let trial = trial.map(|text| {
            let tokens = engine.clone().line(syntaxes, &text, false);
            (text, tokens)
        });
        tell(&session, &shared, |state| {
            state.trial = trial;
            state.engine = Some(engine);
        });
    }
}

/// Puts down what was read, and wakes whoever should know.
fn tell(session: &Session, shared: &Weak<Shared>, change: impl FnOnce(&mut State)) {
    let mut state = lock(&session.state);
    change(&mut state);
    let awaited = state.awaited;
    drop(state);
    session.read.notify_all();
    if !awaited && let Some(shared) = shared.upgrade() {
        shared.generation.fetch_add(1, Ordering::Release);
        (shared.wake)();
    }
}

struct Syntaxes {
    set: SyntaxSet,
    roles: Vec<(Scope, Role)>,
    names: HashMap<String, usize>,
}

static SYNTAXES: OnceLock<Syntaxes> = OnceLock::new();

fn syntaxes() -> &'static Syntaxes {
    SYNTAXES.get_or_init(|| {
        let set = two_face::syntax::extra_newlines();
        let mut names = HashMap::new();
        for (at, syntax) in set.syntaxes().iter().enumerate() {
            names.insert(syntax.name.to_ascii_lowercase(), at);
            for extension in &syntax.file_extensions {
                names.entry(extension.to_ascii_lowercase()).or_insert(at);
            }
        }
        for (alias, name) in ALIASES {
            if let Some(at) = names.get(*name).copied() {
                names.entry((*alias).to_owned()).or_insert(at);
            }
        }
        let roles = ROLES.iter().filter_map(|(scope, role)| Scope::new(scope).ok().map(|scope| (scope, *role))).collect();
        Syntaxes { set, roles, names }
    })
}

/// Words that people and models write behind fences for what the sets call otherwise.
const ALIASES: &[(&str, &str)] = &[
    ("shell", "sh"),
    ("console", "sh"),
    ("shellsession", "sh"),
    ("shell-session", "sh"),
    ("terminal", "sh"),
    ("golang", "go"),
    ("c++", "cpp"),
    ("csharp", "cs"),
    ("jsonc", "json"),
    ("json5", "json"),
    ("node", "js"),
    ("jsx", "js"),
    ("docker", "dockerfile"),
    ("make", "makefile"),
    ("objective-c", "m"),
    ("objc", "m"),
    ("viml", "vim"),
    ("elisp", "el"),
    ("py3", "py"),
    ("python3", "py"),
    ("pycon", "py"),
    ("patch", "diff"),
    ("html5", "html"),
    ("postgres", "sql"),
    ("postgresql", "sql"),
    ("mysql", "sql"),
    ("sqlite", "sql"),
];

/// Scopes to roles; of the scopes on the stack the innermost that is listed counts, and of two that fit it the longer.
const ROLES: &[(&str, Role)] = &[
    ("comment", Role::CodeComment),
    ("string", Role::CodeString),
    ("string.unquoted", Role::CodeText),
    ("constant.numeric", Role::CodeNumber),
    ("constant.language", Role::CodeConstant),
    ("constant.character.escape", Role::CodeConstant),
    ("constant.other", Role::CodeConstant),
    ("keyword", Role::CodeKeyword),
    ("keyword.operator", Role::CodeOperator),
    ("keyword.operator.word", Role::CodeKeyword),
    ("storage", Role::CodeKeyword),
    ("entity.name.function", Role::CodeFunction),
    ("entity.name.macro", Role::CodeFunction),
    ("support.function", Role::CodeFunction),
    ("support.macro", Role::CodeFunction),
    ("variable.function", Role::CodeFunction),
    ("entity.name", Role::CodeType),
    ("entity.other.inherited-class", Role::CodeType),
    ("support.type", Role::CodeType),
    ("support.class", Role::CodeType),
    ("support.type.property-name", Role::CodeAttribute),
    ("variable", Role::CodeVariable),
    ("variable.language", Role::CodeConstant),
    ("entity.name.tag", Role::CodeTag),
    ("entity.other.attribute-name", Role::CodeAttribute),
    ("meta.mapping.key string", Role::CodeAttribute),
    ("variable.annotation", Role::CodeAttribute),
    ("meta.annotation", Role::CodeAttribute),
    ("punctuation", Role::CodePunctuation),
    ("punctuation.definition.string", Role::CodeString),
    ("punctuation.definition.comment", Role::CodeComment),
    ("punctuation.definition.constant", Role::CodeConstant),
    ("markup.inserted", Role::CodeInserted),
    ("markup.deleted", Role::CodeDeleted),
    ("punctuation.definition.inserted", Role::CodeInserted),
    ("punctuation.definition.deleted", Role::CodeDeleted),
    ("markup.heading", Role::CodeKeyword),
    ("meta.diff.header", Role::CodeComment),
    ("meta.diff.range", Role::CodeFunction),
];

impl Engine {
    fn new(syntaxes: &Syntaxes, language: &str) -> Option<Self> {
        let at = *syntaxes.names.get(language)?;
        let syntax = syntaxes.set.syntaxes().get(at)?;
        Some(Self { parse: ParseState::new(syntax), stack: ScopeStack::new() })
    }

    fn line(&mut self, syntaxes: &Syntaxes, text: &str, ended: bool) -> Vec<Token> {
        if text.len() > LONGEST {
            return Vec::new();
        }
        let mut line = String::with_capacity(text.len() + 1);
        line.push_str(text);
        if ended {
            line.push('\n');
        }
        let Ok(changes) = self.parse.parse_line(&line, &syntaxes.set) else { return Vec::new() };
        let mut tokens: Vec<Token> = Vec::new();
        let mut at = 0;
        for (end, change) in changes {
            self.word(syntaxes, &mut tokens, at, end.min(text.len()));
            at = end;
            self.apply(&change);
        }
        self.word(syntaxes, &mut tokens, at, text.len());
        tokens
    }

    fn apply(&mut self, change: &ScopeStackOp) {
        // A change that does not fit leaves the stack as it is: colours may be off, nothing else.
        if self.stack.apply(change).is_err() {
            self.stack = ScopeStack::new();
        }
    }

    fn word(&self, syntaxes: &Syntaxes, tokens: &mut Vec<Token>, from: usize, to: usize) {
        if from >= to {
            return;
        }
        let role = self.role(syntaxes);
        match tokens.last_mut() {
            Some(last) if last.role == role => last.end = to as u32,
            _ => tokens.push(Token { end: to as u32, role }),
        }
    }

    fn role(&self, syntaxes: &Syntaxes) -> Role {
        for scope in self.stack.as_slice().iter().rev() {
            let fitting = syntaxes.roles.iter().filter(|(prefix, _)| prefix.is_prefix_of(*scope));
            if let Some((_, role)) = fitting.max_by_key(|(prefix, _)| prefix.len()) {
                return *role;
            }
        }
        Role::CodeText
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(highlighter: &Highlighter, language: &str, code: &str) -> Vec<(String, Role)> {
        let mut pen = highlighter.pen(language).unwrap();
        pen.read(code.lines().map(str::to_owned).collect(), None);
        let mut out = Vec::new();
        for (index, line) in code.lines().enumerate() {
            let mut at = 0;
            for token in pen.line(index).unwrap() {
                let word = line[at..token.end as usize].trim();
                if !word.is_empty() {
                    out.push((word.to_owned(), token.role));
                }
                at = token.end as usize;
            }
        }
        out
    }

    #[test]
    fn words_of_code_have_roles() {
        let here = Highlighter::immediate();
        let found = words(&here, "rust", "/* a\nb */ fn main() { let x = \"s\"; 42 }");
        for (word, role) in [
            ("/* a", Role::CodeComment),
            ("b */", Role::CodeComment),
            ("fn", Role::CodeKeyword),
            ("main", Role::CodeFunction),
            ("\"s\"", Role::CodeString),
            ("42", Role::CodeNumber),
        ] {
            assert!(found.contains(&(word.to_owned(), role)), "{word} is not {role:?} in {found:?}");
        }
        let found = words(&here, "diff", "-old\n+new");
        assert_eq!(found, [("-old".to_owned(), Role::CodeDeleted), ("+new".to_owned(), Role::CodeInserted)]);
        let found = words(&here, "JSON", "{\"a\": true}");
        assert!(found.iter().any(|(word, role)| word == "true" && *role == Role::CodeConstant), "{found:?}");
    }

    #[test]
    fn languages_have_their_usual_names() {
        let syntaxes = syntaxes();
        for name in [
            "rust",
            "rs",
            "python",
            "py",
            "python3",
            "js",
            "javascript",
            "typescript",
            "ts",
            "tsx",
            "jsx",
            "sh",
            "bash",
            "shell",
            "console",
            "zsh",
            "c",
            "cpp",
            "c++",
            "csharp",
            "go",
            "golang",
            "java",
            "kotlin",
            "swift",
            "ruby",
            "php",
            "html",
            "css",
            "scss",
            "json",
            "yaml",
            "yml",
            "toml",
            "xml",
            "sql",
            "markdown",
            "md",
            "dockerfile",
            "docker",
            "makefile",
            "diff",
            "patch",
            "lua",
            "perl",
            "r",
            "haskell",
            "elixir",
            "nix",
            "vim",
            "ini",
            "graphql",
            "protobuf",
            "zig",
        ] {
            assert!(Engine::new(syntaxes, name).is_some(), "{name} is not known");
        }
        for (alias, _) in ALIASES {
            assert!(Engine::new(syntaxes, alias).is_some(), "{alias} leads nowhere");
        }
    }

    #[test]
    fn what_cannot_be_read_is_plain() {
        let here = Highlighter::immediate();
        assert!(here.pen("").is_none());
        let mut pen = here.pen("no-such-language").unwrap();
        pen.read(vec!["x".to_owned()], None);
        assert_eq!(pen.line(0), Some(Vec::new()));
        let mut pen = here.pen("rust").unwrap();
        pen.read(vec!["x".repeat(LONGEST + 1), "fn f() {}".to_owned()], None);
        assert_eq!(pen.line(0), Some(Vec::new()));
        assert!(pen.line(1).unwrap().iter().any(|t| t.role == Role::CodeKeyword));
    }

    #[test]
    fn a_line_without_an_end_is_read_on_trial() {
        let here = Highlighter::immediate();
        let mut pen = here.pen("rust").unwrap();
        pen.read(vec!["// a".to_owned()], Some("fn"));
        assert_eq!(pen.trial("fn"), Some(vec![Token { end: 2, role: Role::CodeKeyword }]));
        assert_eq!(pen.trial("fn main"), Some(vec![Token { end: 2, role: Role::CodeKeyword }]), "what was read of it still holds");
        assert_eq!(pen.trial("x"), None);
        pen.read(vec!["fn f() {".to_owned()], None);
        assert_eq!(pen.sent(), 2);
        assert!(pen.take_line(1).is_some_and(|tokens| !tokens.is_empty()));
        assert_eq!(pen.line(1), Some(Vec::new()));
    }

    #[test]
    fn reading_happens_elsewhere_and_wakes() {
        let (sender, receiver) = channel();
        let highlighter = Highlighter::new(move || {
            let _ = sender.send(());
        });
        let mut pen = highlighter.pen("rust").unwrap();
        // More lines than are waited for.
        pen.read(vec!["fn f() {}".to_owned(); FEW + 1], None);
        receiver.recv_timeout(Duration::from_secs(60)).unwrap();
        assert_eq!(highlighter.generation(), 1);
        assert!(pen.line(FEW).is_some());
        assert_eq!(pen.line(FEW + 1), None);
    }
}
