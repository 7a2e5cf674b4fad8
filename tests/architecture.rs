//! Holds every path in the source against the table "who may import whom" of ARCHITECTURE.md.
//!
//! Owns: the table below. One crate gives no walls between its rooms, so this test is the wall: it parses each file, resolves
//! `crate::`, `self::`, `super::`, `arbour::` and third-party paths (in `use` trees, expressions, types, attributes and, token
//! by token, inside macros) and names file, line and rule. It also holds files to 600 lines and printing to `cli/`.

#[path = "support/paths.rs"]
mod paths;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use paths::{Found, Source};

/// What one room may name of the others. A room is the first module under `src/`.
struct Room {
    name: &'static str,
    /// Other rooms; its own and `COMMON` are always open.
    may: &'static [&'static str],
    why: &'static str,
}

/// What everyone speaks.
const COMMON: [&str; 3] = ["proto", "error", "sanitise"];

const ROOMS: &[Room] = &[
    Room { name: "error", may: &[], why: "errors are at the bottom: everyone speaks them" },
    Room { name: "sanitise", may: &[], why: "sanitising is at the bottom: everyone speaks it" },
    Room { name: "proto", may: &[], why: "the protocol carries nouns, no behaviour" },
    Room { name: "core", may: &[], why: "the core is pure: clocks, disks and servers are the edges' affair" },
    Room { name: "config", may: &[], why: "configuration yields plain tables and knows nobody who reads them" },
    Room { name: "store", may: &["core"], why: "the store knows the database and core's types only" },
    Room { name: "backend", may: &["core", "config"], why: "a backend knows servers, not conversations, hosts or screens" },
    Room { name: "fetch", may: &["core", "config"], why: "downloads know addresses and files only" },
    Room { name: "metrics", may: &["core"], why: "samplers read the machine and know nobody who shows it" },
    Room {
        name: "host",
        may: &["core", "store", "backend", "fetch", "metrics", "config", "export", "import"],
        why: "the host owns core and edges, and never knows who watches",
    },
    Room {
        name: "client",
        may: &["config"],
        why: "a client knows the protocol and the way to a host; only client::local knows the host itself",
    },
    Room { name: "daemon", may: &["client"], why: "the daemon lets clients in: it speaks the protocol through client::local" },
    Room { name: "tui", may: &["client", "config", "core"], why: "the screen is a client: it sees the host only through proto and Client" },
    Room {
        name: "cli",
        may: &["core", "store", "backend", "fetch", "metrics", "host", "client", "daemon", "config", "export", "import", "tui"],
        why: "the command line wires rooms together",
    },
    Room {
        name: "main",
        may: &["core", "store", "backend", "fetch", "metrics", "host", "client", "daemon", "config", "export", "import", "tui", "cli"],
        why: "main wires rooms together",
    },
    Room { name: "lib", may: &[], why: "lib.rs is only the map of the house" },
];

/// Files that may name rooms beyond their own room's list.
const DOORS: &[(&str, &str)] = &[
    // The in-process constructor of Client is the one place where client and host meet.
    ("client/local.rs", "host"),
    // What a file would add to a prompt is estimated where it is read.
    ("client/attach.rs", "core"),
];

/// Third-party crates that have one home. Test code may use them anywhere.
const HOMES: &[(&str, &[&str], &str)] = &[
    ("ratatui", &["tui/", "cli/doctor"], "only the screen draws"),
    ("ratatui_core", &["tui/", "cli/doctor"], "only the screen draws"),
    ("crossterm", &["tui/", "cli/doctor"], "only the screen talks to the terminal"),
    ("tui_textarea", &["tui/"], "only the screen edits text"),
    ("terminal_colorsaurus", &["tui/", "cli/doctor"], "only the screen talks to the terminal"),
    ("arboard", &["tui/"], "only the screen copies"),
    ("image", &["client/attach", "host/"], "pictures are measured where they are attached and scaled where they are sent"),
    ("syntect", &["tui/"], "only the screen highlights"),
    ("two_face", &["tui/"], "only the screen highlights"),
    ("pulldown_cmark", &["tui/"], "only the screen reads Markdown"),
    ("rusqlite", &["store/"], "the store is the only place with SQL"),
    ("reqwest", &["backend/", "fetch/", "metrics/", "client/"], "HTTP is asked for at the edges only"),
    ("axum", &["daemon/"], "only the daemon lets clients in"),
    ("clap", &["cli/", "main.rs"], "arguments are the command line's affair"),
    ("candle_core", &["backend/"], "engines are backends"),
    ("candle_nn", &["backend/"], "engines are backends"),
    ("candle_transformers", &["backend/"], "engines are backends"),
    ("tokenizers", &["backend/"], "engines are backends"),
    ("sysinfo", &["metrics/"], "samplers read the machine"),
    ("nvml_wrapper", &["metrics/"], "samplers read the machine"),
];

/// The only third-party crates that pure code may name, and why each is pure.
const PURE_CRATES: &[(&str, &str)] = &[
    ("serde", "data"),
    ("serde_json", "data"),
    ("uuid", "ids are values; new ones come from an `IdGen` that is passed in"),
    ("unicode_segmentation", "tables"),
    ("unicode_width", "tables"),
    ("thiserror", "derives"),
];

/// What pure code may not name of `std`: clocks, disks, processes, the environment.
const IMPURE_STD: &[&[&str]] =
    &[&["fs"], &["net"], &["io"], &["process"], &["thread"], &["env"], &["time", "Instant"], &["time", "SystemTime"]];

/// What the screen may not name of `core`: it reads, the host decides.
const WRITE_SIDE: &[&str] = &["machine", "Machine", "write", "Write", "Input", "Effect"];

/// What others may name of the screen; the rest are its insides.
const SCREEN_DOOR: &[&str] = &["run", "connecting", "Options"];

/// Longest source file in lines, tests apart.
const LONGEST: usize = 600;

/// Flat tables without control flow that may be longer, each with its reason.
const LONG_TABLES: &[(&str, &str)] = &[];

#[test]
fn the_source_keeps_to_the_house() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let crates = dependencies(root);
    let mut broken = Vec::new();
    let mut files = Vec::new();
    collect(&root.join("src"), &mut files);
    files.sort();
    assert!(files.len() > 20, "the source was not found under {}", root.display());
    let sources: Vec<(String, String)> = files
        .iter()
        .map(|file| {
            let name = file.strip_prefix(root.join("src")).expect("under src").to_string_lossy().replace('\\', "/");
            (name, std::fs::read_to_string(file).expect("a source file is UTF-8"))
        })
        .collect();
    let none = BTreeSet::new();
    let tests: BTreeSet<Vec<String>> =
        sources.iter().filter_map(|(name, text)| Source::parse(name, text, &crates, &none).ok()).flat_map(|s| s.test_modules).collect();
    for (name, text) in &sources {
        broken.extend(check(name, text, &crates, &tests));
    }
    for (name, _) in LONG_TABLES {
        assert!(files.iter().any(|file| file.ends_with(Path::new("src").join(name))), "LONG_TABLES names {name}, which is not there");
    }
    assert!(broken.is_empty(), "{} rules broken:\n{}", broken.len(), broken.join("\n"));
}

/// Third-party crates by the names that code uses.
fn dependencies(root: &Path) -> BTreeSet<String> {
    let manifest: toml::Table = std::fs::read_to_string(root.join("Cargo.toml")).expect("Cargo.toml").parse().expect("a manifest");
    ["dependencies", "dev-dependencies"]
        .iter()
        .filter_map(|section| manifest.get(*section)?.as_table())
        .flat_map(|table| table.keys().map(|name| name.replace('-', "_")))
        .collect()
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

/// Every broken rule of one file (`name` is relative to `src/`), as `src/file:line: rule`.
fn check(name: &str, text: &str, crates: &BTreeSet<String>, tests: &BTreeSet<Vec<String>>) -> Vec<String> {
    let source = match Source::parse(name, text, crates, tests) {
        Ok(source) => source,
        Err((line, error)) => return vec![format!("src/{name}:{line}: cannot be parsed: {error}")],
    };
    let mut broken = Vec::new();
    let Some(room) = ROOMS.iter().find(|room| room.name == source.room()) else {
        return vec![format!(
            "src/{name}:1: the room `{}` has no line in ROOMS of tests/architecture.rs: who may it import?",
            source.room()
        )];
    };
    for found in &source.found {
        if let Some(rule) = verdict(name, room, found) {
            broken.push(format!("src/{name}:{}: {rule}", found.line));
        }
    }
    if source.lines > LONGEST && !LONG_TABLES.iter().any(|(table, _)| *table == name) {
        broken.push(format!("src/{name}:{LONGEST}: {} lines without its tests: split it by meaning (at most {LONGEST})", source.lines));
    }
    broken
}

fn verdict(name: &str, room: &Room, found: &Found) -> Option<String> {
    let path = found.path.join("::");
    if let Some(say) = &found.alias {
        return Some(format!("`{path}` hides where things come from ({say}): name the room"));
    }
    if found.print {
        let open = name.starts_with("cli/") || name == "main.rs";
        return (!open && !found.test)
            .then(|| format!("`{path}!` outside cli/: a screen's terminal belongs to the screen; use tracing or return an Error"));
    }
    let first = found.path.first()?;
    if found.external {
        return third_party(name, room, found).map(|why| format!("`{path}` in room `{}`: {why}", room.name));
    }
    let target = first.as_str();
    if room.name == "lib" {
        return None;
    }
    let rest: Vec<&str> = found.path[1..].iter().map(String::as_str).collect();
    if target == room.name || COMMON.contains(&target) && room.name != "error" && room.name != "sanitise" {
        return None;
    }
    if DOORS.contains(&(name, target)) {
        return None;
    }
    if !ROOMS.iter().any(|r| r.name == target) {
        return None; // A macro or an item at the crate's root: lib.rs holds none but modules.
    }
    if !(room.may.contains(&target) || room.name == "proto" && COMMON.contains(&target)) {
        return Some(format!("`{path}`: `{}` may not import `{target}`: {}", room.name, room.why));
    }
    match (room.name, target, rest.first()) {
        ("tui", "core", Some(item)) if WRITE_SIDE.contains(item) => {
            Some(format!("`{path}`: the screen may read core (Replica, Doc), not its write side: the host decides"))
        }
        ("cli" | "main", "tui", Some(item)) if !SCREEN_DOOR.contains(item) || rest.len() > 1 => {
            Some(format!("`{path}`: only {SCREEN_DOOR:?} of the screen may be named outside it: the rest are its insides"))
        }
        (from, "client", Some(&"local")) if from != "client" && from == "tui" => {
            Some(format!("`{path}`: a screen is given its Client and does not know which kind it is"))
        }
        _ => None,
    }
}

fn third_party(name: &str, room: &Room, found: &Found) -> Option<String> {
    let first = found.path.first()?.as_str();
    if found.test {
        return None;
    }
    let pure = matches!(room.name, "core" | "proto" | "error" | "sanitise");
    if matches!(first, "std" | "core" | "alloc") {
        let rest: Vec<&str> = found.path[1..].iter().map(String::as_str).collect();
        // What formats wire frames and ids lives in proto; it is data, but ids need a clock to be sortable.
        return (room.name == "core" && IMPURE_STD.iter().any(|banned| rest.starts_with(banned)))
            .then(|| "pure code is given time, text and chance; it does not fetch them".to_owned());
    }
    if pure && !PURE_CRATES.iter().any(|(allowed, _)| *allowed == first) && !(room.name == "proto" && first == "rmp_serde") {
        return Some(format!("`{first}` is not among the pure crates (PURE_CRATES in tests/architecture.rs)"));
    }
    let (_, homes, why) = HOMES.iter().find(|(owner, ..)| *owner == first)?;
    (!homes.iter().any(|home| name.starts_with(home))).then(|| format!("`{first}` lives under {} only: {why}", homes.join(", ")))
}

#[test]
fn the_check_finds_what_it_must() {
    let crates: BTreeSet<String> = ["rusqlite", "tokio", "reqwest", "ratatui", "serde"].map(str::to_owned).into();
    let cases: &[(&str, &str, &[&str])] = &[
        ("tui/pane/chat.rs", "use crate::store::Store;", &[":1: `store::Store`: `tui` may not import `store`"]),
        ("tui/mod.rs", "fn f() {\n    super::host::start();\n}", &[":2: `host::start`"]),
        ("tui/pane/chat.rs", "type A = super::super::super::daemon::X;", &[":1: `daemon::X`"]),
        ("tui/update.rs", "use crate::{core::Doc, core::{Machine as M}, proto::Event};", &[":1: `core::Machine`"]),
        ("tui/update.rs", "fn f() {\n  select! {\n    _ = async { crate::host::x() } => {}\n  }\n}", &[":3: `host::x`"]),
        ("tui/update.rs", "fn f() { tokio::select! { _ = a => println!(\"x\") } }", &[":1: `println!`"]),
        ("host/mod.rs", "use rusqlite::Connection;", &["`rusqlite` lives under store/"]),
        ("host/mod.rs", "fn f() -> rusqlite::Result<()> { ::reqwest::get(); }", &["`rusqlite::Result`", "`reqwest::get`"]),
        ("core/tree.rs", "use std::{fmt, time::{Duration, Instant}};", &["`std::time::Instant`"]),
        ("core/tree.rs", "use tokio::sync::mpsc;", &["not among the pure crates"]),
        ("core/tree.rs", "use crate as root;", &["hides where things come from"]),
        ("client/remote.rs", "use crate::host::Host;", &["`client` may not import `host`"]),
        ("client/local.rs", "use crate::host::Host;", &[]),
        ("daemon/mod.rs", "macro_rules! m { () => { $crate::store::open() } }", &["`store::open`"]),
        ("cli/ask.rs", "use crate::tui::theme::Theme;\nuse crate::tui::run;", &[":1: `tui::theme::Theme`"]),
        ("main.rs", "fn main() { arbour::tui::pane::draw(); arbour::tui::run(); }", &["`tui::pane::draw`"]),
        ("cli/ask.rs", "fn f() { println!(\"x\"); }", &[]),
        ("store/mod.rs", "#[derive(serde::Serialize)]\nstruct A;\n#[axum::debug_handler]\nfn f() {}", &[]),
        ("attic/mod.rs", "", &["has no line in ROOMS"]),
        ("host/mod.rs", "#[cfg(test)]\nmod tests {\n  use rusqlite::Connection;\n  use super::super::tui::X;\n}", &[":4: `tui::X`"]),
        ("proto/mod.rs", "use crate::core::Doc;\nuse crate::error::Error;", &[":1: `core::Doc`"]),
        ("host/mod.rs", "fn broken( {", &["cannot be parsed"]),
    ];
    let mut wrong = String::new();
    for (name, text, expected) in cases {
        let got = check(name, text, &crates, &BTreeSet::new());
        let matches = got.len() == expected.len() && got.iter().zip(*expected).all(|(got, want)| got.contains(want));
        if !matches {
            let _ = writeln!(wrong, "{name} {text:?}\n  expected {expected:?}\n  got      {got:?}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn a_file_is_measured_without_its_tests() {
    let body = "fn f() {}\n".repeat(LONGEST);
    let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "    fn g() {}\n".repeat(300));
    let (crates, none) = (BTreeSet::new(), BTreeSet::new());
    assert_eq!(check("host/a.rs", &format!("{body}{tests}"), &crates, &none), Vec::<String>::new());
    let long = check("host/a.rs", &format!("fn one_more() {{}}\n{body}{tests}"), &crates, &none);
    assert!(long.len() == 1 && long[0].contains("601 lines"), "{long:?}");

    let parent = Source::parse("host/mod.rs", "mod a;\n#[cfg(test)]\nmod proofs;\n#[cfg(not(test))]\nmod b;", &crates, &none);
    let declared: BTreeSet<Vec<String>> = parent.ok().into_iter().flat_map(|s| s.test_modules).collect();
    assert_eq!(declared, [vec!["host".to_owned(), "proofs".to_owned()]].into());
    assert_eq!(check("host/proofs.rs", &body.repeat(2), &crates, &declared), Vec::<String>::new(), "declared as tests elsewhere");
    assert_eq!(check("host/proofs/more.rs", &body.repeat(2), &crates, &declared), Vec::<String>::new(), "below such a module");
    assert_eq!(check("host/b.rs", &body.repeat(2), &crates, &declared).len(), 1);
}
