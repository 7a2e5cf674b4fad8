//! The store through its public face: what is written is read back, also by the next process, whatever became of this one.

use std::collections::BTreeMap;
use std::path::Path;

use arbour::core::Write;
use arbour::error::{Error, Kind};
use arbour::proto::{
    CommandId, Content, Conversation, ConversationId, ConversationRow, Figure, Figures, Finish, IdGen, ModelRef, Node, NodeId, Parameters,
    Part, Progress, Role, Run, RunId, State,
};
use arbour::store::Store;
use serde_json::json;

const NOW: i64 = 1_800_000_000_000;

fn open(path: &Path) -> Store {
    Store::open(path, NOW).expect("the database opens").0
}

fn model(name: &str) -> ModelRef {
    ModelRef { backend: "ollama".into(), model: name.into() }
}

fn text(text: &str) -> Content {
    vec![Part::Text { text: text.into() }]
}

fn conversation(ids: &mut IdGen, title: &str, updated: i64) -> Conversation {
    Conversation {
        row: ConversationRow {
            id: ids.fresh(),
            title: title.into(),
            created: 1,
            updated,
            messages: 0,
            branches: 0,
            unread: false,
            running: 0,
            model: None,
        },
        head: None,
        system: None,
        parameters: Parameters::default(),
        branches: BTreeMap::new(),
        draft: String::new(),
    }
}

fn message(ids: &mut IdGen, parent: Option<NodeId>, role: Role, state: State) -> Node {
    Node {
        id: ids.fresh(),
        parent,
        further_parents: Vec::new(),
        role,
        state,
        created: 5,
        model: None,
        continues: None,
        copy_of: None,
        snippet: String::new(),
        bytes: 0,
        tokens: 0,
        run: None,
        hidden: false,
    }
}

fn run(ids: &mut IdGen) -> Run {
    Run {
        id: ids.fresh::<RunId>(),
        model: model("qwen3:8b"),
        started: 100,
        finished: None,
        finish: None,
        error: None,
        progress: Progress::default(),
        figures: Figures::default(),
    }
}

fn node_write(conversation: ConversationId, node: &Node, content: &Content) -> Write {
    Write::Node { conversation, node: node.clone(), content: content.clone() }
}

#[tokio::test]
async fn everything_that_is_written_is_read_back_by_the_next_process() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("data/arbour.db");
    let ids = &mut IdGen::Counting(0);
    let (store, recovered) = Store::open(&path, NOW).unwrap();
    assert_eq!(recovered, arbour::store::Recovered::default());

    let mut kept = conversation(ids, "Trees", 70);
    kept.row.model = Some(model("qwen3:8b"));
    kept.row.messages = 3;
    kept.row.branches = 2;
    kept.row.unread = true;
    kept.system = Some("Be brief.\0 Really.".into());
    kept.parameters = Parameters(BTreeMap::from([("temperature".into(), json!(0.7)), ("stop".into(), json!(["\n", "终"]))]));
    kept.draft = "half a thou".into();
    let id = kept.row.id;

    let mut root = message(ids, None, Role::User, State::Accepted);
    root.snippet = "What is a tree?".into();
    root.bytes = 15;
    root.tokens = 9;
    let root_content = vec![
        Part::Text { text: "What is a tree?".into() },
        Part::Image { blob: "sha256:00".into(), mime: "image/png".into(), name: "oak.png".into() },
        Part::File { blob: "sha256:01".into(), mime: "text/plain".into(), name: "notes".into() },
    ];
    let mut answer = message(ids, Some(root.id), Role::Assistant, State::Failed);
    answer.model = Some(model("qwen3:8b"));
    answer.run = Some(Run {
        finished: Some(900),
        finish: Some(Finish::Other("eos\u{1b}".into())),
        error: Some(Error::new(Kind::Server, "It broke.").hint("Try again.").cause("500")),
        figures: Figures {
            ttft_ms: Some(Figure::measured(81.5)),
            prompt_tokens: Some(Figure::server(0.0)),
            tokens_per_s: Some(Figure::estimated(f64::MAX)),
            cost: Some(Figure::estimated(0.001)),
            ..Figures::default()
        },
        ..run(ids)
    });
    let answer_content = vec![
        Part::Thinking { text: "hm".into() },
        Part::ToolCall { id: "c1".into(), name: "look".into(), arguments: "{\"at\":1}".into() },
        Part::Text { text: "A plant. 🌳".into() },
    ];
    let mut merged = message(ids, Some(root.id), Role::Tool, State::Done);
    merged.further_parents = vec![answer.id, root.id];
    merged.continues = Some(answer.id);
    merged.copy_of = Some(root.id);
    merged.hidden = true;
    let merged_content = vec![Part::ToolResult { id: "c1".into(), content: String::new() }];
    kept.head = Some(answer.id);
    let command: CommandId = ids.fresh();
    store
        .write(
            vec![
                Write::Conversation(kept.clone()),
                node_write(id, &root, &root_content),
                node_write(id, &answer, &answer_content),
                node_write(id, &merged, &merged_content),
                Write::Branch { conversation: id, name: "main".into(), leaf: Some(answer.id) },
                Write::Branch { conversation: id, name: "gone".into(), leaf: Some(answer.id) },
                Write::Branch { conversation: id, name: "gone".into(), leaf: None },
                Write::Setting { key: "theme".into(), value: json!("dark") },
                Write::Setting { key: "theme".into(), value: json!({"name": "light"}) },
                Write::Applied { command, at: NOW },
            ],
            true,
        )
        .await
        .unwrap();
    kept.branches = BTreeMap::from([("main".into(), answer.id)]);

    store.close().await;
    let store = open(&path);
    let (opened, nodes) = store.open_conversation(id).await.unwrap().unwrap();
    assert_eq!(opened, kept);
    assert_eq!(nodes, [root.clone(), answer.clone(), merged.clone()]);
    let unknown: NodeId = ids.fresh();
    let contents = store.contents(vec![merged.id, unknown, answer.id, root.id]).await.unwrap();
    assert_eq!(contents, [(merged.id, merged_content), (answer.id, answer_content), (root.id, root_content)]);
    assert_eq!(store.settings().await.unwrap(), BTreeMap::from([("theme".into(), json!({"name": "light"}))]));
    assert!(store.was_applied(command).await.unwrap());
    assert!(!store.was_applied(ids.fresh()).await.unwrap());
    let listed = store.conversations(0, 10, None).await.unwrap();
    assert_eq!((listed.total, listed.items), (1, vec![kept.row]));
    assert!(store.open_conversation(ids.fresh()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_message_is_found_by_any_part_of_its_text() {
    let home = tempfile::tempdir().unwrap();
    let store = open(&home.path().join("arbour.db"));
    let ids = &mut IdGen::Counting(0);
    let kept = conversation(ids, "Trees", 1);
    let node = message(ids, None, Role::User, State::Sent);
    store.write(vec![Write::Conversation(kept.clone()), node_write(kept.row.id, &node, &text("我喜欢猫 and OAKS"))], true).await.unwrap();
    for (query, snippet) in [("oak", "我喜欢猫 and \u{E000}OAK\u{E001}S"), ("欢猫", "我喜\u{E000}欢猫\u{E001} and OAKS")] {
        let hits = store.search(query, None, 5).await.unwrap();
        assert_eq!(hits.len(), 1, "{query}");
        assert_eq!((hits[0].node, hits[0].title.as_str(), hits[0].snippet.as_str()), (node.id, "Trees", snippet));
    }
    assert!(store.search("oaf", None, 5).await.unwrap().is_empty());
}
