//! The binary in a terminal, driven by keys only, over every way to a host: in its own process, a Unix socket, TCP.

#[path = "support/home.rs"]
mod home;
#[path = "support/pty.rs"]
mod pty;
#[path = "support/mod.rs"]
mod support;

use home::{Home, PATIENCE, QUIET, Serving, alive, backend, until};
use pty::Term;
use rustix::process::Signal;
use serde_json::{Value, json};
use support::scripted::{Accident, Dialect, Script, Scripted};
use support::zoo::Zoo;

/// The way from the screen to its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    InProcess,
    Socket,
    Tcp,
}

/// A server, a data folder, and perhaps a `serve` with a second folder for the screens that come from elsewhere.
struct Rig {
    way: Way,
    server: Scripted,
    elsewhere: Option<(Home, Serving)>,
    home: Home,
}

impl Rig {
    fn new(way: Way, script: Script) -> Self {
        let server = Scripted::start(Dialect::LlamaServer, script);
        let home = Home::with_backend("llama-server", &server.url());
        let elsewhere = (way == Way::Tcp).then(|| (Home::with_config(QUIET), Serving::start(&home)));
        Self { way, server, elsewhere, home }
    }

    fn screen(&self) -> Term {
        self.screen_of(120, 36)
    }

    fn screen_of(&self, columns: u16, rows: u16) -> Term {
        match (&self.elsewhere, self.way) {
            (Some((home, serving)), _) => {
                Term::start(home, columns, rows, &["--connect", &serving.url, "--token-file", &serving.token_file.to_string_lossy()])
            }
            (None, Way::InProcess) => Term::start(&self.home, columns, rows, &["--in-process"]),
            (None, _) => Term::start(&self.home, columns, rows, &[]),
        }
    }
}

/// Runs a scenario over every way to a host.
macro_rules! over_every_way {
    ($($scenario:ident),+ $(,)?) => {$(
        mod $scenario {
            #[test]
            fn in_process() {
                super::$scenario(super::Way::InProcess);
            }
            #[test]
            fn over_a_socket() {
                super::$scenario(super::Way::Socket);
            }
            #[test]
            fn over_tcp() {
                super::$scenario(super::Way::Tcp);
            }
        }
    )+};
}

// Below the macro, which it uses.
#[path = "pty/conversations.rs"]
mod conversations;

over_every_way!(answers_grow_into_a_tree, the_terminal_is_given_back, small_terminals);

/// A screen that is ready for the first words.
fn ready(rig: &Rig) -> Term {
    let mut term = rig.screen();
    term.wait_for("scripted answers.");
    term.wait_for("INSERT");
    term
}

/// Writes in the composer and sends.
#[track_caller]
fn say(term: &mut Term, text: &str) {
    term.write(text);
    term.keys("<Enter>");
    term.wait_for("Ask anything.");
}

/// From INSERT in the composer to the last message of the chat. One `Esc` at a time: with another key right behind it, it would be
/// the beginning of a sequence.
#[track_caller]
fn to_chat(term: &mut Term) {
    term.keys("<Esc>");
    term.wait_for("NORMAL");
    term.keys("<Esc>");
    term.wait_for("ask again");
}

/// Waits until no answer is being written (`▸` marks those that are).
#[track_caller]
fn at_rest(term: &mut Term) {
    term.wait_gone("▸");
}

/// Leaves from INSERT.
#[track_caller]
fn leave(term: &mut Term) {
    to_chat(term);
    term.keys("ZZ");
    assert_eq!(term.wait_exit(), Ok(0));
}

fn answers_grow_into_a_tree(way: Way) {
    let rig = Rig::new(way, Script::says("The first answer, with **weight**, and some more words to read.").at(15.0));
    let mut term = ready(&rig);

    say(&mut term, "Why is the sky blue?");
    term.wait_for("writing");
    term.wait_for("The first answer, with weight, and some more words to read.");
    term.wait_gone("writing");
    term.wait_for("t/s");

    // Stop.
    rig.server.set(Script::says("Half of an answer that").after(3, Accident::Hang));
    say(&mut term, "And at night?");
    term.wait_for("Half of an");
    term.keys("<C-c>");
    term.wait_for("stopped");
    assert!(rig.server.server.wait_until_left(PATIENCE), "the server is told");

    // Continue: a sibling that begins with the old text.
    rig.server.set(Script::says(" answer is whole now."));
    to_chat(&mut term);
    term.keys("c");
    term.wait_for("Half of an answer is whole now.");
    term.wait_for("‹2/2›");
    at_rest(&mut term);
    let continued = rig.server.chats().pop().expect("a chat");
    let last = continued["messages"].as_array().and_then(|m| m.last()).cloned().expect("a message");
    assert_eq!((&last["role"], &last["content"]), (&json!("assistant"), &json!("Half of an")));

    // Ask again.
    rig.server.set(Script::says("Another view."));
    term.keys("r");
    term.wait_for("‹3/3›");
    term.wait_for("Another view.");
    at_rest(&mut term);

    // Walk the siblings.
    term.keys("[");
    term.wait_for("‹2/3›");
    term.wait_for("Half of an answer is whole now.");
    term.keys("[");
    term.wait_for("‹1/3›");
    term.wait_for("stopped");
    term.keys("3g]");
    term.wait_for("‹3/3›");
    term.wait_for("Another view.");

    // Edit the question: it becomes a sibling, and is asked.
    rig.server.set(Script::says("By day."));
    term.keys("k");
    term.keys("e");
    term.wait_for("INSERT");
    term.keys("<End><C-u>");
    term.write("And by day?");
    term.keys("<Enter>");
    term.wait_for("By day.");
    term.wait_for("‹2/2›");
    at_rest(&mut term);

    // The tree shows both.
    assert!(term.contents().contains("And at night?"), "the old question is still in the tree:\n{}", term.contents());
    let asked = rig.server.chats().pop().expect("a chat");
    let contents: Vec<&Value> = asked["messages"].as_array().into_iter().flatten().map(|m| &m["content"]).collect();
    let first = json!("The first answer, with **weight**, and some more words to read.");
    assert_eq!(contents, [&json!("Why is the sky blue?"), &first, &json!("And by day?")]);
    term.keys("ZZ");
    assert_eq!(term.wait_exit(), Ok(0));
}

fn the_terminal_is_given_back(way: Way) {
    let rig = Rig::new(way, Script::says("An answer."));
    // By its own end.
    let mut term = ready(&rig);
    let during = term.modes();
    assert!(during.alternate_screen && during.bracketed_paste && during != term.before, "{during:?}");
    say(&mut term, "hello");
    term.wait_for("An answer.");
    leave(&mut term);
    assert_eq!(term.modes(), term.before);

    // Told to end, and with the terminal gone.
    for signal in [Signal::TERM, Signal::HUP] {
        let mut term = rig.screen();
        term.wait_for("An answer.");
        term.signal(signal);
        let _ = term.wait_exit();
        assert_eq!(term.modes(), term.before, "after {signal:?}");
    }
    if way == Way::InProcess {
        assert!(rig.home.host().is_none(), "the lock is free");
    }
}

fn small_terminals(way: Way) {
    let rig = Rig::new(way, Script::says("An answer."));
    let mut term = rig.screen_of(52, 30);
    term.wait_for("scripted answers.");
    say(&mut term, "hello");
    term.wait_for("An answer.");
    term.resize(40, 12);
    term.wait("a status line at the foot of 40×12", |screen| {
        screen.contents().lines().nth(11).is_some_and(|line| line.contains("INSERT"))
    });
    assert!(term.contents().contains("An answer."), "{}", term.contents());
    term.resize(39, 12);
    term.wait_gone("An answer.");
    term.wait_for("40");
    term.resize(120, 36);
    term.wait_for("Conversations");
    term.wait_for("An answer.");
    leave(&mut term);
}

#[test]
fn two_screens_see_one_conversation() {
    for way in [Way::Socket, Way::Tcp] {
        let rig = Rig::new(way, Script::says("Seen by two."));
        let mut one = ready(&rig);
        say(&mut one, "hello");
        one.wait_for("Seen by two.");
        let mut two = rig.screen();
        two.wait_for("Seen by two.");
        rig.server.set(Script::says("And this as it is written, word by word.").at(8.0));
        say(&mut one, "more");
        // It is told, and not moved.
        two.wait_for("further messages");
        two.keys("<Esc>");
        two.wait_for("writing");
        two.wait_for("And this as it is written, word by word.");
        one.wait_for("And this as it is written, word by word.");
        at_rest(&mut one);
        leave(&mut one);
        two.keys("r");
        two.wait_for("‹2/2›");
    }
}

#[test]
fn an_answer_goes_on_without_its_screen() {
    for way in [Way::Socket, Way::Tcp] {
        let rig = Rig::new(way, Script::says("begin one two three four five six seven eight nine end").at(10.0));
        let mut term = ready(&rig);
        say(&mut term, "count");
        term.wait_for("begin");
        // As when the link drops: nobody says good-bye.
        term.signal(Signal::KILL);
        let _ = term.wait_exit();
        drop(term);
        let row = until("the end of the answer", || {
            let rows = rig.home.run(&["conversations", "ls", "--json"]).ok().json();
            (rows[0]["running"] == json!(0)).then(|| rows[0].clone())
        });
        assert_eq!(row["unread"], json!(true), "it came when nobody looked");
        let mut term = rig.screen();
        term.wait_for("begin one two three four five six seven eight nine end");
        until("it to be read", || {
            let rows = rig.home.run(&["conversations", "ls", "--json"]).ok().json();
            (rows[0]["unread"] == json!(false)).then_some(())
        });
    }
}

#[test]
fn a_killed_host_loses_nothing_that_was_acknowledged() {
    let rig = Rig::new(Way::Socket, Script::says("Half of an answer").after(3, Accident::Hang));
    let mut term = ready(&rig);
    say(&mut term, "hello");
    term.wait_for("Half of an");
    // Within 400 ms it is on disk; it is looked for where it is written first.
    let log = rig.home.path().join("data/arbour.db-wal");
    until("the text on disk", || {
        let bytes = std::fs::read(&log).unwrap_or_default();
        bytes.windows(10).any(|w| w == b"Half of an").then_some(())
    });
    let pid = rig.home.host_pid();
    home::signal(pid, Signal::KILL);
    // The screen finds its way back to a new host by itself, and says what became of the answer.
    term.wait_for("■ stopped (the host ended)");
    term.wait_for("Half of an");
    assert_ne!(rig.home.host_pid(), pid);
    let answer = rig.home.run(&["conversations", "show", "hello", "--json"]).ok().json()["nodes"][1].clone();
    assert_eq!((&answer["state"], &answer["run"]["finish"]), (&json!("stopped"), &json!("host_stopped")));
    rig.server.set(Script::says(" answer, continued."));
    to_chat(&mut term);
    term.keys("c");
    term.wait_for("Half of an answer, continued.");
    term.wait_for("‹2/2›");
}

#[test]
fn wrong_files_are_named_and_the_rest_works() {
    let server = Scripted::start(Dialect::LlamaServer, Script::says("Works all the same."));
    let home = Home::with_config(&format!(
        "linger = \"2s\"\ndiscover = false\nkeymap = \"vim\"\nescap = \"jj\"\n{}",
        backend("work", "llama-server", &server.url())
    ));
    for (folder, name, text) in
        [("keymaps", "vim.toml", "[anywhere]\n\"C-y\" = \"no-such-action\"\n"), ("themes", "odd.toml", "[roles]\ntext = \"no-colour\"\n")]
    {
        let folder = home.path().join("config").join(folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join(name), text).expect("a file");
    }
    let mut term = Term::start(&home, 160, 45, &[]);
    term.wait_for("config.toml:4");
    say(&mut term, "hello");
    term.wait_for("Works all the same.");
    leave(&mut term);
}

#[test]
fn ask_in_a_terminal_is_harmless_and_tells_what_it_waits_for() {
    let script = Script::says("red \u{1b}[31malert\u{1b}[m \u{1b}]0;owned\u{7}end")
        .waits(std::time::Duration::ZERO, std::time::Duration::from_millis(600));
    let rig = Rig::new(Way::Socket, script);
    let mut term = Term::start(&rig.home, 80, 24, &["ask", "hi"]);
    term.wait_for("reading prompt");
    term.wait_for("end");
    assert_eq!(term.wait_exit(), Ok(0));
    let text = term.contents();
    assert!(text.contains("red ") && text.contains("alert") && !text.contains("reading prompt"), "{text}");
    assert_eq!(term.title(), "", "a model does not set the title");
    assert!(term.look(|screen| screen.cell(0, 6).is_some_and(|cell| cell.fgcolor() == vt100::Color::Default)), "nor colours");
}

#[test]
fn nothing_is_left_behind() {
    let rig = Rig::new(Way::Socket, Script::says("An answer."));
    let mut term = ready(&rig);
    let pid = rig.home.host_pid();
    say(&mut term, "hello");
    term.wait_for("An answer.");
    leave(&mut term);
    until("the end of the host", || (!alive(pid)).then_some(()));
}

/// Whether the row of this model says so.
fn row_says(screen: &vt100::Screen, model: &str, state: &str) -> bool {
    screen.contents().lines().any(|line| line.contains(&format!("{state} {model}")))
}

#[test]
fn models_are_filtered_marked_and_started_together() {
    let zoo = Zoo::start(&["ant:1b", "bear:7b", "bee:1b", "cat:3b"]);
    let home = Home::with_backend("ollama", &zoo.server.url());
    let mut term = Term::start(&home, 160, 45, &[]);
    // The workspace lists them, and begins in INSERT.
    term.wait_for("cat:3b");
    term.keys("<Esc>");
    term.wait_for("NORMAL");
    term.keys("g2");
    term.wait_for("gs sort");
    term.keys("/1b");
    term.wait_gone("cat:3b");
    term.wait_gone("bear:7b");
    term.keys("<Enter>");
    term.wait_for("2 of 4");
    term.keys("ggxx");
    term.wait_for("2 marked");
    term.keys("s");
    term.wait("both loaded", |screen| row_says(screen, "ant:1b", "●") && row_says(screen, "bee:1b", "●"));
    term.wait_for("2 of 2 models started.");
    assert_eq!(zoo.loaded(), ["ant:1b", "bee:1b"]);
    // Marks stay; the same two are stopped, and the rest is listed again.
    term.keys("S");
    term.wait("both gone", |screen| row_says(screen, "ant:1b", "○") && row_says(screen, "bee:1b", "○"));
    assert_eq!(zoo.loaded(), Vec::<String>::new());
    term.keys("<Esc>");
    term.wait_gone("2 marked");
    term.keys("<Esc>");
    term.wait_for("bear:7b");
    // `i` writes: back in the workspace; the next start of the screen is where it was left.
    term.keys("g2");
    term.keys("i");
    term.wait_for("INSERT");
    term.wait_for("Conversations");
    term.keys("<Esc>");
    term.wait_for("NORMAL");
    term.keys("gt");
    term.wait_for("gs sort");
    term.keys("ZZ");
    assert_eq!(term.wait_exit(), Ok(0));
    let mut term = Term::start(&home, 160, 45, &[]);
    term.wait_for("gs sort");
    term.wait_for("bear:7b");
}

/// Settings from the form to the server: edited, sent, shown by `:request`, changed since, and after a restart of the host still what
/// was sent then.
#[test]
fn settings_are_edited_sent_and_shown_as_they_were() {
    let rig = Rig::new(Way::Socket, Script::says("Well."));
    let mut term = ready(&rig);
    term.keys("<Esc>");
    term.wait_for("NORMAL");
    term.keys(" o");
    term.wait_for("Parameters of this conversation");
    term.keys("/top_k<Enter>");
    term.wait_for("Choose among this many likeliest tokens");
    term.keys("<Enter>1.");
    term.wait_for("top_k takes a whole number");
    term.keys("<BS>7<Enter>");
    term.wait_for("• top_k");
    term.keys("<Esc>");
    term.wait_for("temperature");
    term.keys("<Esc>");
    term.wait_gone("Parameters of this conversation");
    term.keys("i");
    term.wait_for("INSERT");
    say(&mut term, "hello");
    term.wait_for("Well.");
    at_rest(&mut term);
    assert_eq!(rig.server.chats().pop().unwrap()["top_k"], json!(17));

    // What holds gets a name, and then another value.
    term.keys("<Esc>");
    term.wait_for("NORMAL");
    term.keys(":preset save seventeen<Enter>");
    term.wait_for("· seventeen");
    term.keys(":preset edit seventeen<Enter>");
    term.wait_for("The preset seventeen");
    term.keys("/top_k<Enter>");
    term.wait_for("• top_k");
    term.keys("<Enter><C-u>18<Enter>");
    term.wait_for("18");
    term.keys("<Esc>");
    term.wait_for("temperature");
    term.keys("<Esc>");
    term.wait_gone("The preset seventeen");
    term.keys("ZZ");
    assert_eq!(term.wait_exit(), Ok(0));
    rig.home.end_host(Signal::TERM);

    let mut term = rig.screen();
    term.wait_for("· seventeen");
    term.wait_for("NORMAL");
    term.keys("<Esc>");
    term.wait_for("ask again");
    term.keys(" v");
    term.wait_for("\"top_k\": 17");
    term.keys("<Esc>");
    term.wait_gone("\"top_k\": 17");
    term.keys("r");
    at_rest(&mut term);
    until("a second chat", || (rig.server.chats().len() == 2).then_some(()));
    assert_eq!(rig.server.chats().pop().unwrap()["top_k"], json!(18), "the preset holds now");
    term.keys(" oH");
    term.wait_for("begun: top_k default → 17");
}
