//! The command line against a server that does as its script says: what is on standard output and error, exit codes, `--json`.

#[path = "downloads/cli.rs"]
mod downloads;
#[path = "support/home.rs"]
mod home;
#[path = "support/mod.rs"]
mod support;

use std::io::Read as _;
use std::process::Child;

use home::{Home, PATIENCE, QUIET, Said, Serving, alive, backend, code, finish, until};
use rustix::process::Signal;
use serde_json::{Value, json};
use support::scripted::{Accident, Dialect, Script, Scripted};

/// A llama-server of one loaded model that says this, and a home that knows it.
fn speaking(text: &str) -> (Scripted, Home) {
    stage(Script::says(text))
}

fn stage(script: Script) -> (Scripted, Home) {
    let server = Scripted::start(Dialect::LlamaServer, script);
    let home = Home::with_backend("llama-server", &server.url());
    (server, home)
}

/// The last message of the last chat that the server was asked for.
fn last_prompt(server: &Scripted) -> String {
    let chats = server.chats();
    let messages = chats.last().and_then(|chat| chat["messages"].as_array()).expect("a chat");
    messages.last().and_then(|m| m["content"].as_str()).expect("a message").to_owned()
}

/// The one conversation of this home, as `conversations show --json` has it.
fn only_conversation(home: &Home) -> Value {
    let rows = home.run(&["conversations", "ls", "--json"]).ok().json();
    let [row] = rows.as_array().map(Vec::as_slice).expect("an array") else { panic!("one conversation, not {rows}") };
    home.run(&["conversations", "show", row["id"].as_str().expect("an id"), "--json"]).ok().json()
}

/// Starts an `ask` whose answer never ends by itself, and waits until the beginning of it is on standard output.
fn endless(home: &Home, beginning: &str) -> Child {
    let mut child = home.command(&["ask", "go on for ever"]).spawn().expect("arbour starts");
    let mut first = vec![0u8; beginning.len()];
    child.stdout.as_mut().expect("a pipe").read_exact(&mut first).expect("the beginning");
    assert_eq!(first, beginning.as_bytes());
    child
}

/// What comes before the server of [`endless_script`] hangs: once it is there, nothing is on its way.
const ALL_OF_IT: &str = "begin and no";

fn endless_script() -> Script {
    Script::says("begin and no end").after(3, Accident::Hang)
}

#[test]
fn ask_prints_the_answer_and_nothing_else() {
    let (server, home) = speaking("Paris.\nIn \u{1b}[1mFrance\u{1b}[m ✓");
    let said = home.run(&["ask", "capital", "of", "France?"]).ok();
    assert_eq!(said.out, "Paris.\nIn \u{1b}[1mFrance\u{1b}[m ✓", "a pipe gets what the model wrote, byte for byte");
    assert_eq!(said.err, "");
    assert_eq!(last_prompt(&server), "capital of France?");
}

#[test]
fn standard_input_is_appended_to_the_prompt() {
    let (server, home) = speaking("ok");
    home.pipe("line one\nline two\n", &["ask", "Summarise:"]).ok();
    assert_eq!(last_prompt(&server), "Summarise:\n\nline one\nline two");
    home.pipe("only this\n", &["ask"]).ok();
    assert_eq!(last_prompt(&server), "only this");
}

#[test]
fn nothing_to_ask_is_wrong_use() {
    let (server, home) = speaking("ok");
    for said in [home.run(&["ask"]), home.pipe(" \n", &["ask"])] {
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{said:?}");
        assert!(said.err.contains("nothing to ask"), "{said:?}");
    }
    assert_eq!(server.chats().len(), 0);
}

#[test]
fn files_are_attached_and_what_cannot_be_is_wrong_use() {
    let (server, home) = speaking("ok");
    let at = |name: &str| home.path().join(name).display().to_string();
    std::fs::write(at("note.md"), "# An oak\n").expect("a file");
    home.run(&["ask", "-a", &at("note.md"), "--attach", &at("note.md"), "What is it?"]).ok();
    let file = "```note.md\n# An oak\n```\n\n";
    assert_eq!(last_prompt(&server), format!("{file}{file}What is it?"));
    home.run(&["ask", "--no-save", "-a", &at("note.md")]).ok();
    assert_eq!(last_prompt(&server), file.trim_end(), "a file is enough");
    let shown = home.run(&["conversations", "show", "What is it"]).ok().out;
    assert!(shown.contains("  [note.md]\n"), "{shown}");
    let doctor = home.run(&["doctor"]).out;
    assert!(doctor.contains("1 file, 9 B"), "{doctor}");
    rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("a pipe");
    std::fs::write(at("binary"), b"a\0b").expect("a file");
    std::fs::write(at("empty"), "").expect("a file");
    std::fs::File::create(at("huge")).and_then(|file| file.set_len(1 << 40)).expect("a sparse file");
    std::os::unix::fs::symlink("loop", at("loop")).expect("a link");
    let before = server.chats().len();
    for (name, says) in [
        ("pipe", "is a pipe"),
        ("binary", "neither text nor a picture"),
        ("empty", "is empty"),
        ("huge", "is longer than 5 MB"),
        ("loop", "leads back to itself"),
        ("none", "There is no file"),
        (".", "is a folder"),
    ] {
        let said = home.run(&["ask", "-a", &at(name), "hi"]);
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{said:?}");
        assert!(said.err.contains(says), "{name}: {said:?}");
    }
    assert_eq!(server.chats().len(), before, "nothing was sent");
}

#[test]
fn ask_json_has_the_documented_names() {
    let (_server, home) = stage(Script::says("Hello there.").thinks("Hm, a greeting."));
    let said = home.run(&["ask", "--json", "hi"]).ok();
    let value = said.json();
    assert_eq!(value["text"], json!("Hello there."), "no thinking in it");
    assert_eq!((&value["model"], &value["backend"], &value["state"]), (&json!("scripted"), &json!("work"), &json!("done")));
    let run = &value["run"];
    assert_eq!((&run["finish"], &run["error"], &run["cost"]), (&json!("stop"), &Value::Null, &Value::Null));
    assert_eq!((&run["prompt_tokens"], &run["sources"]["prompt_tokens"]), (&json!(32), &json!("server")));
    assert!(run["ttft_ms"].as_f64().is_some_and(|ms| ms > 0.0) && run["sources"]["ttft_ms"] == json!("measured"), "{run}");

    let tree = only_conversation(&home);
    assert_eq!(tree["id"], value["conversation"]);
    assert_eq!(tree["head"], value["node"]);
    let answer = &tree["nodes"][1];
    assert_eq!((&answer["id"], &answer["content"], &answer["role"]), (&value["node"], &value["text"], &json!("assistant")));
    assert_eq!(answer["parents"], json!([tree["nodes"][0]["id"]]));
    assert_eq!(answer["parts"][0], json!({ "type": "thinking", "text": "Hm, a greeting." }));
    assert_eq!(answer["run"]["id"], run["id"]);
}

#[test]
fn a_model_is_named_by_any_part_that_is_unique() {
    let (one, two) = (Scripted::start(Dialect::LlamaServer, Script::says("one")), Scripted::start(Dialect::OpenAi, Script::says("two")));
    let config = format!("{QUIET}{}{}", backend("first", "llama-server", &one.url()), backend("second", "openai", &two.url()));
    let home = Home::with_config(&config);
    assert_eq!(home.run(&["ask", "-m", "second/scripted", "hi"]).ok().out, "two");
    assert_eq!(home.run(&["ask", "-m", "FIRST", "hi"]).ok().out, "one");

    let ambiguous = home.run(&["ask", "-m", "scripted", "hi"]);
    assert_eq!((ambiguous.code, ambiguous.out.as_str()), (2, ""), "{ambiguous:?}");
    assert!(ambiguous.err.contains("first/scripted") && ambiguous.err.contains("second/scripted"), "{ambiguous:?}");
    let unknown = home.run(&["ask", "-m", "nope", "hi"]);
    assert_eq!((unknown.code, unknown.out.as_str()), (2, ""), "{unknown:?}");
    assert!(unknown.err.contains("first/scripted"), "candidates are listed: {unknown:?}");
}

#[test]
fn without_a_name_the_last_used_answers_else_one_that_is_loaded() {
    let (one, two) = (Scripted::start(Dialect::OpenAi, Script::says("one")), Scripted::start(Dialect::LlamaServer, Script::says("two")));
    let config = format!("{QUIET}{}{}", backend("a", "openai", &one.url()), backend("b", "llama-server", &two.url()));
    let home = Home::with_config(&config);
    assert_eq!(home.run(&["ask", "hi"]).ok().out, "two", "only b says that its model is loaded");
    assert_eq!(home.run(&["ask", "-m", "a/scripted", "hi"]).ok().out, "one");
    assert_eq!(home.run(&["ask", "hi"]).ok().out, "one", "the last used");
}

#[test]
fn nothing_is_loaded_unasked() {
    let server = Scripted::start(Dialect::OpenAi, Script::says("no"));
    let home = Home::with_backend("openai", &server.url());
    let said = home.run(&["ask", "hi"]);
    assert_eq!((said.code, said.out.as_str()), (3, ""), "{said:?}");
    assert!(said.err.contains("work/scripted"), "what could be named is listed: {said:?}");
    assert_eq!(server.chats().len(), 0);
}

#[test]
fn nobody_reachable_is_exit_3() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
    let home = Home::with_backend("llama-server", &format!("http://127.0.0.1:{port}"));
    let ask = home.run(&["ask", "hi"]);
    assert_eq!((ask.code, ask.out.as_str()), (3, ""), "{ask:?}");
    let named = home.run(&["ask", "-m", "scripted", "hi"]);
    assert_eq!(named.code, 3, "{named:?}");
    let list = home.run(&["models", "ls", "--json"]);
    assert_eq!((list.code, list.json()), (3, json!([])), "{list:?}");
    assert!(list.err.contains("work"), "which backend does not answer: {list:?}");
}

#[test]
fn parameters_are_checked_here_and_reach_the_server() {
    let (server, home) = speaking("ok");
    home.run(&["ask", "--set", "temperature=0.25", "--set", "max_tokens=7", "-s", "Be brief.", "hi"]).ok();
    let chat = server.chats().pop().expect("a chat");
    assert_eq!((&chat["temperature"], &chat["max_tokens"]), (&json!(0.25), &json!(7)));
    assert_eq!(chat["messages"][0], json!({ "role": "system", "content": "Be brief." }));
    for wrong in ["temperature=hot", "temperature=99", "no_such=1", "temperature"] {
        let said = home.run(&["ask", "--set", wrong, "hi"]);
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{wrong}: {said:?}");
    }
    assert_eq!(server.chats().len(), 1);
}

#[test]
fn presets_go_in_and_out_as_files_and_hold_in_what_is_asked() {
    let (server, home) = speaking("yes");
    let file = home.path().join("mine.toml");
    std::fs::write(
        &file,
        "[[preset]]\nname = \"terser\"\nparent = \"Terse\"\n[preset.parameters]\nmax_tokens = 20\n\n\
         [[preset]]\nname = \"Terse\"\nsystem = \"Be brief.\"\n[preset.parameters]\ntop_k = 5\nignore_eos = false\n",
    )
    .unwrap();
    let path = file.to_str().unwrap();
    assert_eq!(home.run(&["presets", "import", path]).ok().out, "Terse\nterser\n");
    let again = home.run(&["presets", "import", path]);
    assert_eq!(
        (again.code, again.err.contains("There is a preset called “Terse” already; nothing was imported.")),
        (2, true),
        "{}",
        again.err
    );
    home.run(&["presets", "import", "--replace", path]).ok();

    let listed = home.run(&["presets", "--json"]).ok().json();
    assert_eq!(listed[1]["name"], "terser");
    assert_eq!(listed[1]["effective"], json!({"ignore_eos": "off", "max_tokens": 20, "top_k": 5}));
    assert_eq!((&listed[1]["effective_system"], &listed[1]["parameters"]), (&json!("Be brief."), &json!({"max_tokens": 20})));
    assert!(home.run(&["presets"]).ok().out.contains("terser"));
    let shown = home.run(&["presets", "show", "TERSER"]).ok().out;
    assert!(shown.contains("# top_k = 5 (preset Terse)"), "{shown}");
    let exported = home.run(&["presets", "export"]).ok().out;
    let other = home.path().join("other.toml");
    home.run(&["presets", "export", "-o", other.to_str().unwrap()]).ok();
    assert_eq!(std::fs::read_to_string(&other).unwrap(), exported);
    assert_eq!(home.run(&["presets", "export", "-o", other.to_str().unwrap()]).code, 1, "never over a file");

    home.run(&["ask", "-p", "terser", "hello"]).ok();
    let sent = server.chats().pop().unwrap();
    assert_eq!((&sent["top_k"], &sent["max_tokens"], &sent["messages"][0]["content"]), (&json!(5), &json!(20), &json!("Be brief.")));
    let unknown = home.run(&["ask", "-p", "tersest", "hello"]);
    assert_eq!((unknown.code, unknown.err.contains("Did you mean “terser”?")), (2, true), "{}", unknown.err);

    let held = home.run(&["presets", "rm", "Terse"]);
    assert_eq!((held.code, held.err.contains("The preset “terser” uses “Terse”, so it is not deleted.")), (2, true), "{}", held.err);
    home.run(&["presets", "rm", "terser", "Terse"]).ok();
    assert_eq!(home.run(&["presets", "--json"]).ok().json(), json!([]));
    std::fs::write(&file, "[[preset]]\nname = \"x\"\n[preset.parameters]\ntemprature = 1\n").unwrap();
    let wrong = home.run(&["presets", "import", path]);
    assert!(
        wrong.code == 1
            && wrong.err.contains("mine.toml:4: There is no parameter “temprature”.")
            && wrong.err.contains("Did you mean temperature?"),
        "{}",
        wrong.err
    );
}

#[test]
fn settings_of_a_model_are_shown_with_their_origin() {
    let (server, home) = speaking("yes");
    let none = home.run(&["models", "set", "scripted"]).ok().out;
    assert!(none.ends_with(": everything is at its default.\n"), "{none}");
    let file = home.path().join("calm.toml");
    std::fs::write(&file, "[[preset]]\nname = \"calm\"\nkind = \"request\"\n[preset.parameters]\ntemperature = 0.25\n").unwrap();
    home.run(&["presets", "import", file.to_str().unwrap()]).ok();
    let set = home.run(&["models", "set", "scripted", "top_k=7", "context=512", "--request", "calm", "--json"]).ok().json();
    assert_eq!(set["settings"]["temperature"], json!({"value": 0.25, "origin": "template calm"}));
    assert_eq!(set["settings"]["top_k"], json!({"value": 7, "origin": "model"}));
    assert_eq!(set["problems"], json!(["context is set and not sent: llama-server does not take it."]));
    home.run(&["ask", "hello"]).ok();
    let sent = server.chats().pop().unwrap();
    assert_eq!((&sent["top_k"], &sent["temperature"], sent.get("context")), (&json!(7), &json!(0.25), None));
    let back = home.run(&["models", "set", "scripted", "top_k=", "context=", "--request", "", "--json"]).ok().json();
    assert_eq!(back["settings"], json!({}));
    assert_eq!(home.run(&["models", "set", "scripted", "top_k=much"]).code, 2);
}

#[test]
fn a_conversation_goes_on_by_id_end_of_it_or_title() {
    let (server, home) = speaking("A first answer.");
    let first = home.run(&["ask", "--json", "Tell me of quicksort"]).ok().json();
    let id = first["conversation"].as_str().expect("an id").to_owned();
    server.set(Script::says("A second."));
    for name in [&*id, &id[id.len() - 8..], "quicksort"] {
        assert_eq!(home.run(&["ask", "-c", name, "and then?"]).ok().out, "A second.");
    }
    let contents: Vec<Value> =
        server.chats().pop().expect("a chat")["messages"].as_array().expect("messages").iter().map(|m| m["content"].clone()).collect();
    assert_eq!(contents[..3], [json!("Tell me of quicksort"), json!("A first answer."), json!("and then?")]);
    assert_eq!(only_conversation(&home)["nodes"].as_array().map(Vec::len), Some(8));

    let unknown = home.run(&["ask", "-c", "mergesort", "hm"]);
    assert_eq!((unknown.code, unknown.out.as_str()), (2, ""), "{unknown:?}");
}

#[test]
fn no_save_leaves_nothing() {
    let (_server, home) = speaking("a secret answer");
    assert_eq!(home.run(&["ask", "--no-save", "a secret question"]).ok().out, "a secret answer");
    assert_eq!(home.run(&["conversations", "ls", "--json"]).ok().json(), json!([]));
    assert_eq!(home.run(&["conversations", "search", "secret", "--json"]).ok().json(), json!([]));
    home.end_host(Signal::TERM);
    let database = std::fs::read(home.path().join("data/arbour.db")).expect("the database");
    assert!(!database.windows(6).any(|w| w == b"secret"), "not in the file either");
}

#[test]
fn a_server_that_refuses_is_exit_1_with_its_reason() {
    let server = Scripted::start(Dialect::LlamaServer, Script::refuses(500, "the cat sat on it"));
    let home = Home::with_backend_once("llama-server", &server.url());
    let said = home.run(&["ask", "hi"]);
    assert_eq!((said.code, said.out.as_str()), (1, ""), "{said:?}");
    assert!(said.err.starts_with("arbour: ") && said.err.contains("the cat sat on it"), "{said:?}");
    server.set(Script::refuses(429, "slow down").with_header("Retry-After", "7"));
    let said = home.run(&["ask", "hi"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains('7'), "how long to wait: {said:?}");
}

#[test]
fn a_server_that_fails_once_is_asked_again_before_its_first_word() {
    let (server, home) = stage(Script::says("here I am"));
    server.queue(Script::refuses(503, "not now"));
    let said = home.run(&["ask", "--json", "hi"]).ok();
    assert_eq!((said.json()["text"].as_str(), said.err.as_str()), (Some("here I am"), ""), "{said:?}");
    let run = &said.json()["run"];
    assert_eq!(run["failed_attempts"][0]["error"]["kind"], json!("server"), "{run}");
    let states: Vec<&str> = run["timeline"].as_array().expect("states").iter().filter_map(|entry| entry["state"].as_str()).collect();
    assert_eq!((states.first(), states.last()), (Some(&"queued"), Some(&"done")), "{states:?}");
    assert_eq!(server.chats().len(), 2);
}

#[test]
fn what_came_before_a_break_is_printed_and_kept() {
    let (_server, home) = stage(Script::says("one two three four five").after(3, Accident::Disconnect));
    let said = home.run(&["ask", "count"]);
    assert_eq!((said.code, said.out.as_str()), (1, "one two three"), "{said:?}");
    let answer = only_conversation(&home)["nodes"][1].clone();
    assert_eq!((&answer["state"], &answer["content"]), (&json!("failed"), &json!("one two three")));
    assert_eq!(answer["run"]["error"]["kind"], json!("disconnected"));
}

#[test]
fn interrupt_and_terminate_stop_the_run() {
    for signal in [Signal::INT, Signal::TERM] {
        let (server, home) = stage(endless_script());
        let child = endless(&home, ALL_OF_IT);
        home::signal(child.id(), signal);
        let said = finish(child);
        assert_eq!(said.code, 130, "{said:?}");
        assert!(server.server.wait_until_left(PATIENCE), "the server is told to stop");
        let answer = only_conversation(&home)["nodes"][1].clone();
        assert_eq!((&answer["state"], &answer["content"]), (&json!("stopped"), &json!(ALL_OF_IT)));
        assert_eq!(answer["run"]["finish"], json!("cancelled"));
    }
}

#[test]
fn a_hang_up_leaves_the_run_going() {
    let (server, home) = stage(Script::says("begin, then end.").at(4.0));
    let child = endless(&home, "begin");
    home::signal(child.id(), Signal::HUP);
    assert_ne!(finish(child).code, 0);
    let answer = until("the end of the run", || {
        let answer = only_conversation(&home)["nodes"][1].clone();
        (answer["state"] == json!("done")).then_some(answer)
    });
    assert_eq!(answer["content"], json!("begin, then end."));
    assert_eq!(server.server.left(), 0);
}

#[test]
fn a_closed_output_stops_the_run() {
    let (server, home) = stage(endless_script());
    let mut child = endless(&home, "begin");
    drop(child.stdout.take());
    assert!(server.server.wait_until_left(PATIENCE), "also while nothing is being written");
    child.stdout = None;
    let status = child.wait().expect("a status");
    assert_eq!(code(status), 130);
}

#[test]
fn a_reader_that_does_not_read_does_not_keep_from_stopping() {
    let (_server, home) =
        stage(Script::says(&"all work and no play makes a dull pipe\n".repeat(20_000)).after(100_000_000, Accident::Hang));
    let child = home.command(&["ask", "fill the pipe"]).spawn().expect("arbour starts");
    until("a full pipe", || {
        let answer = home.run(&["conversations", "ls", "--json"]).ok().json();
        (answer[0]["running"] == json!(1)).then_some(())
    });
    home::signal(child.id(), Signal::INT);
    until("its end", || (!alive(child.id())).then_some(()));
    let said = finish(child);
    assert_eq!(said.code, 130);
}

#[test]
fn conversations_are_listed_shown_and_found() {
    let (_server, home) = speaking("The quick brown fox.");
    home.run(&["ask", "Tell me of foxes"]).ok();
    let rows = home.run(&["conversations", "--json"]).ok().json();
    let row = &rows[0];
    assert_eq!((&row["title"], &row["messages"], &row["branches"]), (&json!("Tell me of foxes"), &json!(2), &json!(1)));
    assert!(row["updated"].as_str().is_some_and(|t| t.ends_with('Z') && t.contains('T')), "{row}");

    let text = home.run(&["conversations", "show", "foxes"]).ok().out;
    assert!(text.contains("you") && text.contains("  Tell me of foxes\n") && text.contains("  The quick brown fox.\n"), "{text}");
    let listing = home.run(&["conversations", "ls"]).ok().out;
    assert!(listing.starts_with("ID") && listing.contains("Tell me of foxes"), "{listing}");

    let hits = home.run(&["conversations", "search", "brown", "--json"]).ok().json();
    assert_eq!((&hits[0]["conversation"], &hits[0]["matches"], &hits[0]["role"]), (&row["id"], &json!(["brown"]), &json!("assistant")));
    assert!(!hits.to_string().contains(['\u{E000}', '\u{E001}']));
    assert_eq!(home.run(&["conversations", "search", "zebra", "--json"]).ok().json(), json!([]));
    assert_eq!(home.run(&["conversations", "show", "nothing"]).code, 2);

    let titles = |arguments: &[&str]| -> Vec<String> {
        let all = [&["conversations", "ls", "--json"][..], arguments].concat();
        let rows = home.run(&all).ok().json();
        rows.as_array().into_iter().flatten().filter_map(|row| row["title"].as_str().map(str::to_owned)).collect()
    };
    assert_eq!(titles(&["FOXES", "messages:2", "after:today", "model:scripted", "--sort", "title", "--reverse"]), ["Tell me of foxes"]);
    assert_eq!(titles(&["--", "-foxes"]), [""; 0]);
    assert_eq!((titles(&["--archived"]), titles(&["--bin"]), titles(&["--all"]).len()), (vec![], vec![], 1));
    assert_eq!((&row["folder"], &row["tags"], &row["pinned"], &row["deleted"]), (&Value::Null, &json!([]), &json!(false), &Value::Null));

    // Put away and brought back, deleted only when that is said.
    let keep = |arguments: &[&str]| home.run(&[&["conversations"][..], arguments].concat());
    assert!(keep(&["archive", "foxes"]).ok().err.contains("is archived."));
    assert_eq!((titles(&[]), titles(&["is:archived"])), (vec![], vec!["Tell me of foxes".to_owned()]));
    assert!(keep(&["rm", "foxes"]).ok().err.contains("is in the bin."));
    assert_eq!((titles(&["--all"]), titles(&["is:deleted"]).len(), titles(&["--bin"]).len()), (vec![], 1, 1));
    assert_eq!(keep(&["rm", "foxes"]).code, 2, "it is there already");
    assert!(keep(&["restore", "foxes"]).ok().err.contains("in the list again"));
    assert!(keep(&["restore", "foxes"]).err.contains("neither in the bin nor archived"));
    assert_eq!(titles(&[]), ["Tell me of foxes"]);
    home.run(&["ask", "Something else"]).ok();
    assert_eq!(keep(&["rm", "--for-good", "Something else", "nothing"]).code, 2, "all of them or none");
    assert_eq!(titles(&[]).len(), 2);
    assert!(keep(&["rm", "--for-good", "Something else"]).ok().err.contains("is deleted, with all its messages"));
    assert_eq!((titles(&["--all"]).len(), titles(&["--bin"]).len()), (1, 0));

    let mistaken = home.run(&["conversations", "ls", "tilte:x"]);
    assert!(mistaken.code == 2 && mistaken.err.contains("Did you mean title:?"), "{mistaken:?}");
    let nowhere = home.run(&["conversations", "ls", "--folder", "work"]);
    assert!(nowhere.code == 2 && nowhere.err.contains("No folder is called “work”."), "{nowhere:?}");

    let found = |text: &str| home.run(&["conversations", "search", "--json", text]).ok().json();
    assert_eq!(found("role:user foxes")[0]["role"], json!("user"));
    assert_eq!(found("brown role:user"), json!([]));
    let hit = &found("role:assistant")[0];
    assert_eq!((&hit["above"], &hit["archived"]), (&json!([{"role": "user", "line": "Tell me of foxes"}]), &json!(false)));
    for list in ["folders", "tags", "bookmarks"] {
        assert_eq!(home.run(&["conversations", list, "--json"]).ok().json(), json!([]), "{list}");
    }
}

#[test]
fn models_are_listed_and_shown() {
    let (_server, home) = speaking("ok");
    let models = home.run(&["models", "ls", "--json"]).ok().json();
    let model = models.as_array().into_iter().flatten().find(|m| m["backend"] == "work").expect("the model");
    assert_eq!(
        model,
        &json!({
            "name": "scripted", "backend": "work", "kind": "llama-server", "state": "loaded", "size_bytes": 98_000_000,
            "quantisation": "Q4_1", "context": 4096, "context_max": 8192, "family": model["family"], "capabilities": model["capabilities"],
            "memory_bytes": null, "gpu_bytes": null, "expires": null, "favourite": false, "hidden": false, "pinned": false, "groups": [],
            "tags": [], "note": "", "preset": null, "load": null, "request": null, "settings": {}, "runs": 0, "failed_runs": 0,
            "last_used": null, "tokens_per_s": null, "ttft_ms": null, "error": null,
        })
    );
    assert_eq!(home.run(&["models", "show", "scripted", "--json"]).ok().json()["name"], "scripted");
    let table = home.run(&["models"]).ok().out;
    assert!(table.lines().any(|l| l.starts_with("scripted ") && l.contains("98.0 MB") && l.contains("loaded")), "{table}");
    assert_eq!(home.run(&["models", "show", "nope"]).code, 2);
    assert_eq!(home.run(&["models", "ls", "nothing-like-it", "--json"]).ok().json(), json!([]));
}

#[test]
fn a_model_is_started_and_stopped_where_the_backend_can() {
    let server = Scripted::start(Dialect::Ollama, Script::says("ok"));
    let home = Home::with_backend("ollama", &server.url());
    let started = home.run(&["models", "start", "scripted", "--json"]).ok().json();
    assert_eq!((&started["name"], &started["state"]), (&json!("scripted:latest"), &json!("loaded")));
    let wrong = home.run(&["models", "start", "scripted", "--set", "context=-5"]);
    assert_eq!(wrong.code, 2, "{wrong:?}");

    let (_server, home) = speaking("ok");
    let stop = home.run(&["models", "stop", "scripted"]);
    assert_eq!(stop.code, 1, "llama-server cannot: {stop:?}");
    assert!(stop.err.starts_with("arbour: "), "{stop:?}");
}

#[test]
fn models_are_ordered_and_found_by_what_is_kept_about_them() {
    let (_server, home) = speaking("ok");
    let kept = |home: &Home| home.run(&["models", "ls", "--all", "--json"]).ok().json()[0].clone();
    home.run(&["models", "fav", "scripted"]).ok();
    home.run(&["models", "pin", "work/scripted"]).ok();
    let tagged = home.run(&["models", "tag", "Code", "--filter", "kind:llama-server"]).ok();
    assert!(tagged.err.contains("work/scripted is tagged Code.") && tagged.out.is_empty(), "{tagged:?}");
    home.run(&["models", "tag", "code", "scripted"]).ok();
    home.run(&["models", "group", "daily \u{1b}[31muse", "scripted"]).ok();
    home.run(&["models", "note", "scripted", "good", "at", "tests"]).ok();
    let model = kept(&home);
    assert_eq!((&model["favourite"], &model["pinned"], &model["tags"]), (&json!(true), &json!(true), &json!(["Code"])));
    assert_eq!(model["note"], "good at tests");
    assert!(model["groups"][0].as_str().is_some_and(|name| name.starts_with("daily ") && !name.contains('\u{1b}')), "{model}");
    assert_eq!(home.run(&["models", "note", "scripted"]).ok().out, "good at tests\n");
    let groups = home.run(&["models", "groups", "--json"]).ok().json();
    assert_eq!((&groups[0]["name"], &groups[0]["models"][0]["name"]), (&model["groups"][0], &json!("scripted")));
    let table = home.run(&["models"]).ok().out;
    assert!(table.contains("★ scripted") && table.contains("#Code"), "{table}");

    let found = |filter: &[&str]| {
        let arguments: Vec<&str> = ["models", "ls", "--json"].iter().chain(filter).copied().collect();
        home.run(&arguments).ok().json().as_array().map(Vec::len)
    };
    assert_eq!((found(&["tag:code", "fav:"]), found(&["tag:other"]), found(&["--filter", "!tag:code"])), (Some(1), Some(0), Some(0)));
    home.run(&["models", "filters", "--save", "mine", "tag:code"]).ok();
    assert_eq!(home.run(&["models", "filters", "--json"]).ok().json(), json!([{ "name": "mine", "filter": "tag:code" }]));
    assert_eq!(found(&["@mine"]), Some(1));
    home.run(&["models", "filters", "--rm", "mine"]).ok();
    assert_eq!(home.run(&["models", "ls", "@mine"]).code, 2);

    home.run(&["models", "hide", "scripted"]).ok();
    assert_eq!((found(&[]), found(&["--all"]), found(&["hidden:"])), (Some(0), Some(1), Some(1)));
    for opposite in [&["unhide"][..], &["unfav"], &["unpin"], &["untag", "CODE"], &["ungroup", groups[0]["name"].as_str().unwrap_or("")]] {
        let arguments: Vec<&str> = ["models"].iter().chain(opposite).copied().chain(["scripted"]).collect();
        home.run(&arguments).ok();
    }
    home.run(&["models", "note", "scripted", ""]).ok();
    let bare = kept(&home);
    let empty = ["favourite", "pinned", "hidden"].iter().all(|key| bare[key] == false) && bare["tags"] == json!([]) && bare["note"] == "";
    assert!(empty && bare["groups"] == json!([]), "{bare}");

    assert_eq!(home.run(&["models", "fav"]).code, 2, "nobody is named");
    assert_eq!(home.run(&["models", "fav", "nope"]).code, 2);
    assert_eq!(home.run(&["models", "ls", "--sort", "colour"]).code, 2);
    assert_eq!(home.run(&["models", "tag", " ", "scripted"]).code, 2);
    home.run(&["ask", "hi"]).ok();
    let used = home.run(&["models", "ls", "--sort", "-runs", "--json"]).ok().json()[0].clone();
    assert_eq!((&used["runs"], &used["failed_runs"]), (&json!(1), &json!(0)));
    assert!(used["last_used"].is_string() && used["ttft_ms"].is_number(), "{used}");
}

#[test]
fn many_are_started_and_what_failed_is_said() {
    let one = Scripted::start(Dialect::Ollama, Script::says("ok"));
    let other = Scripted::start(Dialect::LlamaServer, Script::says("ok"));
    let home =
        Home::with_config(&format!("{QUIET}{}{}", backend("can", "ollama", &one.url()), backend("cannot", "llama-server", &other.url())));
    let said = home.run(&["models", "start", "can/scripted:latest", "cannot/scripted", "--keep-alive", "10m"]).ok();
    assert!(said.err.contains("can/scripted:latest: started\n") && said.err.contains("2 of 2 models started."), "{said:?}");
    assert_eq!(home.run(&["models", "start", "can/scripted", "--keep-alive", "soon"]).code, 2);
    let said = home.run(&["models", "stop", "can/scripted:latest", "cannot/scripted", "--json"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("cannot/scripted: ") && said.err.ends_with("1 of 2 models stopped; 1 failed.\n"), "{said:?}");
    let items = said.json();
    assert_eq!((&items[0]["state"], &items[0]["error"], &items[1]["state"]), (&json!("done"), &json!(null), &json!("failed")));
    assert!(items[1]["error"]["message"].is_string(), "{items}");
    let stopped = home.run(&["models", "stop", "--filter", "backend:=can"]).ok();
    assert!(stopped.err.contains("can/scripted:latest is stopped."), "{stopped:?}");
    assert_eq!(home.run(&["models", "stop"]).code, 2);
}

#[test]
fn serve_lets_others_in_with_the_token() {
    let (_server, home) = speaking("from afar");
    let serving = Serving::start(&home);
    let token = home.run(&["serve", "--print-token"]).ok().out;
    assert!(token.trim().len() >= 32, "{token:?}");

    let elsewhere = Home::with_config(QUIET);
    let file = elsewhere.path().join("token");
    std::fs::write(&file, &token).expect("a file");
    let file = file.to_string_lossy().into_owned();
    assert_eq!(elsewhere.run(&["--connect", &serving.url, "--token-file", &file, "ask", "hi"]).ok().out, "from afar");
    assert!(elsewhere.host().is_none(), "no host of its own was started");

    std::fs::write(&file, "not the token").expect("a file");
    let refused = elsewhere.run(&["--connect", &serving.url, "--token-file", &file, "ask", "hi"]);
    assert_eq!((refused.code, refused.out.as_str()), (1, ""), "{refused:?}");
    assert!(refused.err.contains("token"), "{refused:?}");

    let mut with_variable = Home::with_config(QUIET);
    with_variable.set("ARBOUR_TOKEN", token.trim());
    assert_eq!(
        with_variable.run(&["--connect", &serving.url, "conversations", "ls", "--json"]).ok().json().as_array().map(Vec::len),
        Some(1)
    );

    let pid = serving.pid();
    drop(serving);
    assert!(!alive(pid) && home.host().is_none(), "SIGTERM ends it, and the lock is free");
}

#[test]
fn connecting_to_nobody_is_exit_3() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
    let home = Home::with_config(QUIET);
    let said = home.run(&["--connect", &format!("ws://127.0.0.1:{port}"), "conversations"]);
    assert_eq!((said.code, said.out.as_str()), (3, ""), "{said:?}");
    assert_eq!(home.run(&["--connect", "http://x", "conversations"]).code, 2);
}

#[test]
fn in_process_needs_no_host_and_tells_others_who_holds_the_folder() {
    let (_server, home) = stage(endless_script());
    let mut child = home.command(&["--in-process", "ask", "go on for ever"]).spawn().expect("arbour starts");
    let mut first = [0u8; 5];
    child.stdout.as_mut().expect("a pipe").read_exact(&mut first).expect("the beginning");
    let other = home.run(&["conversations", "ls"]);
    assert_eq!((other.code, other.out.as_str()), (1, ""), "{other:?}");
    assert!(other.err.contains(&child.id().to_string()), "the process is named: {other:?}");
    home::signal(child.id(), Signal::INT);
    assert_eq!(finish(child).code, 130);
    assert!(home.host().is_none());
    assert_eq!(only_conversation(&home)["nodes"][1]["state"], json!("stopped"), "what ran in the process was stored");
}

#[test]
fn doctor_tells_and_starts_nothing() {
    let (_server, home) = speaking("ok");
    let said = home.run(&["doctor", "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
    let report = said.json();
    let check = |area: &str, name: &str| {
        let all = report["checks"].as_array().expect("checks").iter();
        all.clone().find(|c| c["area"] == area && c["name"] == name).cloned().unwrap_or_else(|| panic!("{area}/{name} in {report}"))
    };
    assert_eq!(check("backends", "work")["state"], json!("ok"));
    assert_eq!(check("database", "content")["says"], json!("There is none yet."));
    assert!(home.host().is_none() && !home.state().exists() && !home.path().join("data").exists(), "nothing was started or made");
    assert!(report["checks"].as_array().is_some_and(|all| all.iter().all(|c| c["state"] == "ok" || c["todo"] != json!([]))));

    home.run(&["ask", "hi"]).ok();
    let text = home.run(&["doctor"]).ok().out;
    assert!(text.contains("1 conversations, 2 messages"), "beside a host that runs: {text}");
}

#[test]
fn a_wrong_configuration_is_named_with_its_line_and_the_rest_works() {
    let (server, home) = speaking("still works");
    home.write_config(&format!("{QUIET}no_such_key = 3\n{}", backend("work", "llama-server", &server.url())));
    let said = home.run(&["ask", "hi"]).ok();
    assert_eq!(said.out, "still works");
    assert!(said.err.contains("config.toml:5") && said.err.contains("no_such_key"), "{said:?}");
    let doctor = home.run(&["doctor"]);
    assert_eq!(doctor.code, 1);
    assert!(doctor.out.contains("config.toml:5"), "{doctor:?}");
}

#[test]
fn a_database_that_cannot_be_used_is_refused_with_a_sentence() {
    let (_server, home) = speaking("ok");
    std::fs::create_dir_all(home.path().join("data")).expect("a folder");
    std::fs::write(home.path().join("data/arbour.db"), "certainly not a database, but long enough to be looked at\n".repeat(200))
        .expect("a file");
    let said = home.run(&["ask", "hi"]);
    assert_eq!((said.code, said.out.as_str()), (1, ""), "{said:?}");
    assert!(said.err.starts_with("arbour: ") && said.err.contains("database"), "{said:?}");
    assert!(!said.err.contains("panicked"), "{said:?}");
    assert_eq!(home.run(&["doctor"]).code, 1);
}

#[test]
fn keys_reach_the_server_and_nothing_else() {
    const KEY: &str = "sk-very-secret-0123456789";
    let server = Scripted::start(Dialect::OpenAi, Script::says("ok"));
    let mut home = Home::with_config(&format!("{QUIET}{}api_key = {{ env = \"MY_KEY\" }}\n", backend("work", "openai", &server.url())));
    home.set("MY_KEY", KEY);
    home.set("ARBOUR_LOG", "trace");
    home.run(&["ask", "-m", "scripted", "hi"]).ok();
    let asked = server.server.asked_for("POST /v1/chat/completions");
    assert_eq!(asked[0].header("authorization"), Some(&*format!("Bearer {KEY}")));
    home.end_host(Signal::TERM);
    let mut looked = 0;
    for folder in ["state", "data", "cache"] {
        for entry in std::fs::read_dir(home.path().join(folder)).into_iter().flatten().flatten() {
            let bytes = std::fs::read(entry.path()).unwrap_or_default();
            looked += 1;
            assert!(!bytes.windows(KEY.len()).any(|w| w == KEY.as_bytes()), "the key lies in {}", entry.path().display());
        }
    }
    assert!(looked >= 2, "there was something to look at");
}

#[test]
fn a_gguf_path_wins_and_a_broken_file_says_why() {
    let (server, home) = speaking("ok");
    std::fs::write(home.path().join("scripted.gguf"), "GGUF but not really").expect("a file");
    let broken = home.run(&["ask", "-m", "./scripted.gguf", "hi"]);
    assert_eq!((broken.code, broken.out.as_str()), (1, ""), "{broken:?}");
    assert!(broken.err.contains("scripted.gguf"), "{broken:?}");
    let missing = home.run(&["ask", "-m", "./missing.gguf", "hi"]);
    assert_eq!(missing.code, 2, "a name like any other, and it fits none: {missing:?}");
    assert_eq!(server.chats().len(), 0);
}

#[test]
fn help_and_mistakes_go_where_they_belong() {
    let home = Home::with_config(QUIET);
    let help = home.run(&["--help"]).ok();
    assert!(help.out.contains("ask") && help.out.contains("--connect") && help.err.is_empty(), "{help:?}");
    assert!(!help.out.contains("host  "), "the hidden subcommand stays hidden: {}", help.out);
    assert!(home.run(&["--version"]).ok().out.starts_with("arbour "));
    let wrong = home.run(&["--no-such-option"]);
    assert_eq!((wrong.code, wrong.out.as_str()), (2, ""), "{wrong:?}");
    assert!(home.host().is_none());
}

#[test]
fn a_host_lingers_and_then_goes_by_itself() {
    let (_server, home) = speaking("ok");
    home.run(&["ask", "hi"]).ok();
    let pid = home.host_pid();
    let again: Said = home.run(&["conversations", "ls", "--json"]).ok();
    assert_eq!(again.json().as_array().map(Vec::len), Some(1));
    assert_eq!(home.host_pid(), pid, "the second command found the host of the first");
    until("the end of the idle host", || (!alive(pid)).then_some(()));
    assert!(
        std::fs::read_dir(home.state()).is_ok_and(|entries| !entries.flatten().any(|e| e.path().extension().is_some_and(|x| x == "sock")))
    );
}

#[test]
fn a_killed_host_is_no_host_to_doctor() {
    let (_server, home) = speaking("ok");
    home.run(&["ask", "hi"]).ok();
    home.end_host(Signal::KILL);
    let text = home.run(&["doctor"]).ok().out;
    assert!(text.contains("None runs now"), "what it left in the lock says nothing: {text}");
}

#[test]
fn a_starter_that_cannot_be_fetched_says_why() {
    let server = Scripted::start(Dialect::OpenAi, Script::default());
    let home = Home::with_config(&format!("{QUIET}[starter]\nsource = \"{}/no-such-model.gguf\"\n", server.url()));
    let said = home.run(&["models", "pull", "starter"]);
    assert_eq!((said.code, said.out.as_str()), (1, ""), "{said:?}");
    assert!(said.err.starts_with("arbour: "), "{said:?}");
    assert!(!home.path().join("data/models").join("SmolLM2-135M-Instruct.Q4_1.gguf").exists());
}

/// Every name that `--json` prints is in README, where scripts' authors look.
#[test]
fn the_names_of_json_are_documented() {
    let (_server, home) = speaking("The quick brown fox.");
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("README.md");
    let ask = home.run(&["ask", "--json", "hi"]).ok().json();
    let models = home.run(&["models", "ls", "--json"]).ok().json();
    let rows = home.run(&["conversations", "ls", "--json"]).ok().json();
    let hits = home.run(&["conversations", "search", "brown", "--json"]).ok().json();
    let running = home.run(&["models", "ps", "--json"]).ok().json();
    assert_eq!((&running[0]["model"], &running[0]["context"]), (&serde_json::json!("scripted"), &serde_json::json!(4096)), "{running}");
    let tree = only_conversation(&home);
    // Nobody listens there: it fails at once, and is listed.
    home.run(&["models", "pull", "http://127.0.0.1:1/x.gguf"]);
    let pulls = home.run(&["models", "pulls", "--json"]).ok().json();
    home.run(&["models", "group", "daily", "scripted"]).ok();
    home.run(&["models", "filters", "--save", "mine", "tag:code"]).ok();
    let groups = home.run(&["models", "groups", "--json"]).ok().json();
    let filters = home.run(&["models", "filters", "--json"]).ok().json();
    let name = models[0]["name"].as_str().expect("a name").to_owned();
    let shown = home.run(&["models", "show", &name, "--json"]).ok().json();
    let fits = home.run(&["models", "fit", &name, "--json"]).ok().json();
    let mut missing = Vec::new();
    for value in [
        &groups[0],
        &filters[0],
        &shown,
        &fits,
        &fits["fits"][0],
        &ask,
        &ask["run"],
        &models[0],
        &running[0],
        &rows[0],
        &hits[0],
        &pulls[0],
        &tree,
        &tree["nodes"][1],
    ] {
        for name in value.as_object().expect("an object").keys() {
            let whole = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if !readme.split(|c: char| !whole(c)).any(|word| word == name) {
                missing.push(name.clone());
            }
        }
    }
    assert!(missing.is_empty(), "README does not name {missing:?}");
}
