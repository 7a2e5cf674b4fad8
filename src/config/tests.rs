//! Known-bad configs are files; each has its expected words.

use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;

use super::document::Source;
use super::*;

fn read(text: &str) -> Loaded {
    Config::read(&Source::new("config", "config.toml", text), Some(Path::new("/home/me")))
}

#[test]
fn an_empty_file_is_the_default() {
    assert_eq!(read(""), Loaded::default());
    let folder = tempfile::tempdir().unwrap();
    let paths = Paths::new(Some(folder.path()), |_| None).unwrap();
    assert_eq!(Config::load(&paths), Loaded::default());
}

#[test]
fn everything_that_can_be_said() {
    let loaded = read(
        r#"
theme = "dark"
keymap = "plain"
discover = false
escape = "jj"
enter = "newline"
linger = "5m"
osc52 = "tmux"
retries = 2
titles = "model"
title_model = "workstation/small"
pulls = 3
[[backend]]
name = "workstation"
kind = "llama-server"
url = "http://127.0.0.1:8080/"
api_key = { command = ["pass", "show", "llm"] }
[[backend]]
name = "inside"
kind = "embedded"
[embedded]
models = ["~/models", "/data/m"]
hub = "https://hub.example/"
hub_mirrors = ["http://a/hf"]
hub_token = { env = "HUB" }
[starter]
source = "https://mirror.example/s.gguf"
mirrors = ["http://a/s.gguf"]
[[host]]
name = "server"
url = "wss://server:7717"
token_file = "~/token"
"#,
    );
    assert_eq!(loaded.problems, []);
    let expected = Config {
        theme: "dark".to_owned(),
        keymap: Some("plain".to_owned()),
        discover: false,
        escape: Some("jj".to_owned()),
        enter: Enter::Newline,
        linger: Duration::from_secs(300),
        osc52: Osc52::Tmux,
        retries: 2,
        titles_by_model: true,
        title_model: Some("workstation/small".to_owned()),
        pulls: 3,
        backends: vec![
            Backend {
                name: "workstation".to_owned(),
                kind: BackendKind::LlamaServer,
                url: Some("http://127.0.0.1:8080".to_owned()),
                api_key: Some(ApiKey::Command(["pass", "show", "llm"].map(str::to_owned).to_vec())),
            },
            Backend { name: "inside".to_owned(), kind: BackendKind::Embedded, url: None, api_key: None },
        ],
        embedded: Embedded {
            models: vec![PathBuf::from("/home/me/models"), PathBuf::from("/data/m")],
            hub: Some("https://hub.example".to_owned()),
            hub_mirrors: vec!["http://a/hf".to_owned()],
            hub_token: Some(ApiKey::Env("HUB".to_owned())),
        },
        starter: Starter { source: Some("https://mirror.example/s.gguf".to_owned()), mirrors: vec!["http://a/s.gguf".to_owned()] },
        hosts: vec![HostEntry {
            name: "server".to_owned(),
            url: "wss://server:7717".to_owned(),
            token_file: Some(PathBuf::from("/home/me/token")),
        }],
    };
    assert_eq!(loaded.config, expected);
    assert_eq!(loaded.config.host("server"), Some(&expected.hosts[0]));
}

#[test]
fn known_bad_files() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/config");
    let (sources, problems) = Source::read_folder(&folder);
    assert_eq!(problems, []);
    assert!(sources.len() >= 8);
    for source in sources {
        let name = source.name.clone();
        let source = Source { path: format!("{name}.toml"), ..source };
        let loaded = Config::read(&source, Some(Path::new("/home/me")));
        assert!(!loaded.problems.is_empty(), "{name}");
        for problem in &loaded.problems {
            assert!(problem.message.starts_with(&format!("{name}.toml:")), "{problem}");
            assert!(!problem.hints.is_empty(), "{problem}");
        }
        let told: Vec<String> = loaded.problems.iter().map(|p| format!("{}\n    {}", p.message, p.hints.join("\n    "))).collect();
        let text = format!("{}\n\nthe rest: {:#?}", told.join("\n"), loaded.config);
        assert!(!text.contains("secret"), "{text}");
        insta::assert_snapshot!(name, text);
    }
}

#[test]
fn files_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let paths = Paths::new(Some(folder.path()), |_| None).unwrap();
    paths.create().unwrap();
    std::fs::write(paths.config_file(), [0xff, 0xfe]).unwrap();
    let loaded = Config::load(&paths);
    assert_eq!(loaded.config, Config::default());
    assert_eq!(loaded.problems.len(), 1);
    assert_eq!(loaded.problems[0].kind, crate::error::Kind::File);
}

proptest! {
    #[test]
    fn any_text_is_a_config_with_problems(text in "(\\[{1,2}(backend|host|embedded|x)\\]{1,2}\n|[a-z_]{1,8} = ([0-9]{1,25}|\"[ -~]{0,9}\"|\\[\"?a\"?\\]|\\{ env = 1 \\})\n|[ -~\n]{0,6}){0,15}") {
        let _ = read(&text);
    }
}
