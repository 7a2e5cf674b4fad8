//! Pulling, removing and copying from the command line, over killed hosts and full disks.

use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use super::home::{Home, QUIET, finish, signal, until};
use super::support::registry::{Act, Registry, content, sha};

/// A home whose hub is this.
fn with_hub(registry: &Registry) -> Home {
    Home::with_config(&format!("{QUIET}[embedded]\nhub = \"{}\"\n", registry.url()))
}

fn downloads(home: &Home) -> Vec<Value> {
    home.run(&["models", "pulls", "--json"]).ok().json().as_array().expect("an array").clone()
}

#[track_caller]
fn until_state(home: &Home, source: &str, state: &str) -> Value {
    until(&format!("{source} {state}"), || downloads(home).into_iter().find(|d| d["source"] == source && d["state"] == state))
}

#[test]
fn a_model_is_pulled_listed_copied_and_removed() {
    let registry = Registry::start();
    let bytes = content(200_000, 1);
    registry.add("o/r", "x-Q4_K_M.gguf", &bytes).add("o/r", "x-Q8_0.gguf", &content(999_000, 2));
    let home = with_hub(&registry);
    let unclear = home.run(&["models", "pull", "o/r"]);
    assert_eq!((unclear.code, unclear.out.as_str()), (2, ""), "{unclear:?}");
    assert!(unclear.err.contains("o/r:Q4_K_M  200.0 kB") && unclear.err.contains("o/r:Q8_0  999.0 kB"), "{unclear:?}");
    let pulled = home.run(&["models", "pull", "o/r:Q4_K_M", "--json"]).ok().json();
    assert_eq!((&pulled["name"], &pulled["backend"]), (&"x-Q4_K_M".into(), &"embedded".into()), "{pulled}");
    let file = home.path().join("data/models/o/r/x-Q4_K_M.gguf");
    assert_eq!(sha(&std::fs::read(&file).expect("the file")), sha(&bytes));
    let listed = downloads(&home);
    let done = listed.iter().find(|d| d["state"] == "done").expect("it is listed");
    assert_eq!((&done["layers"][0]["sha256"], &done["total_bytes"]), (&sha(&bytes).into(), &200_000.into()));

    let copied = home.run(&["models", "cp", "x-Q4_K_M", "second", "--json"]).ok().json();
    assert_eq!(copied["name"], "second");
    let asked = home.run(&["models", "rm", "second"]);
    assert_eq!((asked.code, file.with_file_name("second.gguf").exists()), (2, true), "nobody is there to say yes: {asked:?}");
    let short = home.run(&["models", "rm", "secon", "--yes"]);
    assert_eq!((short.code, file.with_file_name("second.gguf").exists()), (2, true), "a part of a name is not enough: {short:?}");
    let removed = home.run(&["models", "rm", "second", "x-Q4_K_M", "--yes", "--json"]).ok().json();
    assert_eq!((&removed[0]["removed"], &removed[1]["removed"]), (&true.into(), &true.into()), "{removed}");
    assert!(!file.exists() && !file.with_file_name("second.gguf").exists());
    assert_eq!(home.run(&["models", "ls", "--json"]).json(), Value::Array(Vec::new()), "the list knows");
    let key = done["key"].as_str().expect("a key");
    home.run(&["models", "pulls", "forget", key]).ok();
    assert!(downloads(&home).iter().all(|d| d["key"] != key));
}

#[test]
fn a_host_that_is_killed_midway_is_gone_on_with_by_the_next() {
    let registry = Registry::start();
    let (a, b) = (content(900_000, 3), content(300_000, 4));
    registry.add("o/r", "a.gguf", &a).plan("o/r", "a.gguf", &[Act::Hang(600_000)]);
    registry.add("o/r", "b.gguf", &b).plan("o/r", "b.gguf", &[Act::Hang(100_000)]);
    let home = with_hub(&registry);
    let begun = home.run(&["models", "pull", "--detach", "--json", "o/r/a.gguf", "o/r/b.gguf"]).ok().json();
    assert_eq!(begun.as_array().map(Vec::len), Some(2), "{begun}");
    let part = home.path().join("data/models/o/r/a.gguf.part");
    // What came is written in pieces, the last of which may still be in the host's hands.
    until("some of it came", || std::fs::metadata(&part).is_ok_and(|meta| meta.len() >= 200_000).then_some(()));
    home.run(&["models", "pulls", "pause", "b.gguf"]).ok();
    home.end_host(Signal::KILL);
    let kept = std::fs::metadata(&part).expect("what came").len();

    let done = until_state(&home, "o/r/a.gguf", "done");
    assert_eq!(done["layers"][0]["sha256"], sha(&a).as_str());
    assert_eq!(sha(&std::fs::read(home.path().join("data/models/o/r/a.gguf")).expect("the file")), sha(&a));
    assert_eq!(registry.ranges("a.gguf"), [0, usize::try_from(kept).expect("a length")], "it went on where it was");
    until_state(&home, "o/r/b.gguf", "paused");
    home.run(&["models", "pulls", "resume", "b.gguf"]).ok();
    until_state(&home, "o/r/b.gguf", "done");
    assert_eq!(std::fs::read(home.path().join("data/models/o/r/b.gguf")).expect("the file"), b);
}

#[test]
fn an_interrupt_pauses_and_the_same_again_goes_on() {
    let registry = Registry::start();
    let bytes = content(400_000, 5);
    registry.add("o/r", "x.gguf", &bytes).plan("o/r", "x.gguf", &[Act::Hang(300_000)]);
    let home = with_hub(&registry);
    let child = home.command(&["models", "pull", "o/r"]).spawn().expect("arbour starts");
    assert!(registry.server.wait_until_asked("GET /o/r/resolve/main/x.gguf", 1, Duration::from_secs(60)));
    until_state(&home, "o/r", "running");
    signal(child.id(), Signal::INT);
    let said = finish(child);
    assert_eq!((said.code, said.out.as_str()), (130, ""), "{said:?}");
    assert!(said.err.contains("Paused") && said.err.contains("same again"), "{said:?}");
    until_state(&home, "o/r", "paused");
    let again = home.run(&["models", "pull", "o/r"]).ok();
    assert!(again.err.contains("x is there."), "{again:?}");
    assert_eq!(std::fs::read(home.path().join("data/models/o/r/x.gguf")).expect("the file"), bytes);
}

#[test]
fn a_disk_that_fills_midway_is_told_with_what_came_kept() {
    const LIMIT: u64 = 4 << 20;
    let registry = Registry::start();
    let bytes = content(6 << 20, 6);
    registry.add("o/r", "x.gguf", &bytes);
    let home = with_hub(&registry);
    // A limit for files of this process is the nearest to a full disk that needs no rights: writing fails midway.
    let arbour = Home::binary();
    let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" --in-process models pull o/r", LIMIT / 512);
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).arg(arbour).envs(home.environment()).current_dir(home.path());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let said = finish(command.spawn().expect("a shell"));
    assert_eq!((said.code, said.out.as_str()), (1, ""), "{said:?}");
    assert!(said.err.contains("could not be written to its end"), "{said:?}");
    let part = home.path().join("data/models/o/r/x.gguf.part");
    let kept = std::fs::metadata(part).expect("what came").len();
    assert!((1..=LIMIT).contains(&kept), "{kept}");
    home.run(&["models", "pull", "o/r"]).ok();
    assert_eq!(std::fs::read(home.path().join("data/models/o/r/x.gguf")).expect("the file"), bytes);
    assert_eq!(registry.ranges("x.gguf").last(), Some(&usize::try_from(kept).expect("a length")));
}

#[test]
fn what_is_no_model_is_told_and_thrown_away() {
    let registry = Registry::start();
    registry.put("/page.gguf", b"<!DOCTYPE html><title>Sign in</title>").put("/cut.gguf", &content(70_000, 7)).silent();
    registry.add("o/private", "x.gguf", &content(50, 8));
    let home = with_hub(&registry);
    let pull = |source: &str| home.run(&["models", "pull", source]);
    for (path, says) in [("/page.gguf", "a page for people"), ("/cut.gguf", "thrown away"), ("/none.gguf", "does not have")] {
        let said = pull(&format!("{}{path}", registry.url()));
        assert_eq!((said.code, said.out.as_str()), (1, ""), "{said:?}");
        assert!(said.err.contains(says), "{path}: {said:?}");
        assert!(!home.path().join("data/models").join(&path[1..]).exists());
    }
    registry.wants("hf_right");
    let private = pull("o/private");
    assert!(private.code == 1 && private.err.contains("HF_TOKEN"), "{private:?}");
    let name = pull("qwen3:8b");
    assert!(name.code == 2 && name.err.contains("Ollama"), "{name:?}");
    let mut allowed = with_hub(&registry);
    allowed.set("HF_TOKEN", "hf_right");
    allowed.run(&["models", "pull", "o/private"]).ok();
    for file in ["data/arbour.db", "data/arbour.db-wal", "state/arbour.log"] {
        let bytes = std::fs::read(allowed.path().join(file)).unwrap_or_default();
        assert!(!bytes.windows(8).any(|window| window == b"hf_right"), "the token is in {file}");
    }
}
