//! The store through its public face: what is written is read back, also by the next process, whatever became of this one.

use std::collections::BTreeMap;
use std::path::Path;

use arbour::core::Write;
use arbour::core::undo::{Op, Step};
use arbour::error::{Error, Kind};
use arbour::proto::{
    Card, CommandId, Content, Conversation, ConversationId, ConversationRow, Facts, Figure, Figures, Finish, Folder, IdGen, ModelRef, Node,
    NodeId, Order, Parameters, Part, Progress, Queued, Role, Run, RunId, Shelf, State, Titled,
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
    Conversation::new(ConversationRow { title: title.into(), updated, ..ConversationRow::new(ids.fresh(), 1) })
}

fn message(ids: &mut IdGen, parent: Option<NodeId>, role: Role, state: State) -> Node {
    Node::new(ids.fresh(), parent, role, state, 5)
}

fn run(ids: &mut IdGen) -> Box<Run> {
    // How far it is is live only.
    Box::new(Run { progress: Progress::default(), ..Run::new(ids.fresh::<RunId>(), model("qwen3:8b"), 100) })
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
    kept.attached =
        vec![Part::File { blob: "ab".repeat(32), mime: "text/plain".into(), name: "notes.txt".into(), facts: Facts::default() }];
    let id = kept.row.id;

    let mut root = message(ids, None, Role::User, State::Accepted);
    root.snippet = "What is a tree?".into();
    root.bytes = 15;
    root.tokens = 9;
    let root_content = vec![
        Part::Text { text: "What is a tree?".into() },
        Part::Image { blob: "sha256:00".into(), mime: "image/png".into(), name: "oak.png".into(), facts: Facts::default() },
        Part::File { blob: "sha256:01".into(), mime: "text/plain".into(), name: "notes".into(), facts: Facts::default() },
    ];
    let mut answer = message(ids, Some(root.id), Role::Assistant, State::Failed);
    answer.model = Some(model("qwen3:8b"));
    answer.run = Some(Box::new(Run {
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
        ..*run(ids)
    }));
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
    let listed = store.conversations(Shelf::All, Order::default(), 0, 10, None).await.unwrap();
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

#[tokio::test]
async fn what_is_written_twice_counts_once() {
    let home = tempfile::tempdir().unwrap();
    let store = open(&home.path().join("arbour.db"));
    let ids = &mut IdGen::Counting(0);
    let mut kept = conversation(ids, "Trees", 1);
    kept.row.model = Some(model("qwen3:8b"));
    let mut node = message(ids, None, Role::Assistant, State::Done);
    node.further_parents = vec![ids.fresh()];
    node.run = Some(run(ids));
    let batch = vec![
        Write::Conversation(kept.clone()),
        node_write(kept.row.id, &node, &text("first")),
        Write::Branch { conversation: kept.row.id, name: "main".into(), leaf: Some(node.id) },
        Write::Applied { command: ids.fresh(), at: NOW },
    ];
    store.write(batch.clone(), true).await.unwrap();
    store.write(batch, true).await.unwrap();
    // A message is written once: the same id with another text is the first message still.
    store.write(vec![node_write(kept.row.id, &node, &text("second"))], true).await.unwrap();

    kept.branches.insert("main".into(), node.id);
    assert_eq!(store.open_conversation(kept.row.id).await.unwrap().unwrap(), (kept.clone(), vec![node.clone()]));
    assert_eq!(store.contents(vec![node.id]).await.unwrap(), [(node.id, text("first"))]);
    assert_eq!(store.conversations(Shelf::All, Order::default(), 0, 10, None).await.unwrap().total, 1);
    assert_eq!(store.search("first", None, 10).await.unwrap().len(), 1);
    assert!(store.search("second", None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_answer_grows_by_checkpoints_and_is_found_when_it_ended() {
    let home = tempfile::tempdir().unwrap();
    let store = open(&home.path().join("arbour.db"));
    let ids = &mut IdGen::Counting(0);
    let kept = conversation(ids, "Trees", 1);
    let mut node = message(ids, None, Role::Assistant, State::Queued);
    node.run = Some(run(ids));
    store.write(vec![Write::Conversation(kept.clone()), node_write(kept.row.id, &node, &Content::new())], true).await.unwrap();
    let growing = [
        vec![Part::Thinking { text: "Let me".into() }],
        vec![Part::Thinking { text: "Let me see.".into() }, Part::Text { text: "An oa".into() }],
        vec![Part::Text { text: "An oak grows".into() }],
    ];
    for content in growing {
        store.write(vec![Write::Checkpoint { node: node.id, content: content.clone() }], false).await.unwrap();
        assert_eq!(store.contents(vec![node.id]).await.unwrap(), [(node.id, content.clone())]);
        let (_, nodes) = store.open_conversation(kept.row.id).await.unwrap().unwrap();
        let bytes: usize =
            content.iter().map(|part| if let Part::Text { text } | Part::Thinking { text } = part { text.len() } else { 0 }).sum();
        assert_eq!(nodes[0].bytes, bytes as u64, "what is told of the text is true of it");
    }
    assert!(store.search("grows", None, 5).await.unwrap().is_empty());

    node.state = State::Done;
    node.snippet = "An oak".into();
    node.run = node.run.map(|run| Box::new(Run { finished: Some(9), finish: Some(Finish::Stop), ..*run }));
    let finish = |content| Write::Finish { conversation: kept.row.id, node: node.clone(), content };
    store.write(vec![finish(None)], true).await.unwrap();
    assert_eq!(store.search("grows", None, 5).await.unwrap().len(), 1, "the text of the last checkpoint");
    store.write(vec![finish(Some(text("An elm")))], true).await.unwrap();
    assert!(store.search("grows", None, 5).await.unwrap().is_empty(), "what it said before is not found");
    assert_eq!(store.search("elm", None, 5).await.unwrap().len(), 1);
    assert_eq!(store.open_conversation(kept.row.id).await.unwrap().unwrap().1, std::slice::from_ref(&node));

    node.hidden = true;
    store.write(vec![Write::Finish { conversation: kept.row.id, node: node.clone(), content: None }], true).await.unwrap();
    assert!(store.search("elm", None, 5).await.unwrap().is_empty(), "what was taken back is not found");
}

#[tokio::test]
async fn a_removed_conversation_leaves_nothing_and_late_text_for_it_is_no_error() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("arbour.db");
    let store = open(&path);
    let ids = &mut IdGen::Counting(0);
    let (gone, stays) = (conversation(ids, "Gone", 1), conversation(ids, "Stays", 2));
    let mut node = message(ids, None, Role::Assistant, State::Done);
    node.run = Some(run(ids));
    node.further_parents = vec![ids.fresh()];
    let other = message(ids, None, Role::User, State::Sent);
    let mut with_draft = gone.clone();
    with_draft.draft = "typed".into();
    store
        .write(
            vec![
                Write::Conversation(with_draft),
                Write::Conversation(stays.clone()),
                node_write(gone.row.id, &node, &text("an oak")),
                node_write(stays.row.id, &other, &text("an oak")),
                Write::Branch { conversation: gone.row.id, name: "main".into(), leaf: Some(node.id) },
            ],
            true,
        )
        .await
        .unwrap();
    store.write(vec![Write::DeleteConversation(gone.row.id), Write::DeleteConversation(gone.row.id)], true).await.unwrap();
    let late = vec![
        Write::Checkpoint { node: node.id, content: text("late") },
        Write::Finish { conversation: gone.row.id, node: node.clone(), content: Some(text("late")) },
        Write::Branch { conversation: gone.row.id, name: "late".into(), leaf: Some(node.id) },
    ];
    store.write(late, true).await.unwrap();
    let error = store.write(vec![node_write(gone.row.id, &node, &text("late"))], true).await.unwrap_err();
    assert_eq!(error.kind, Kind::NotFound);

    let hits = store.search("oak", None, 5).await.unwrap();
    assert_eq!(hits.iter().map(|hit| hit.node).collect::<Vec<_>>(), [other.id]);
    assert!(store.open_conversation(gone.row.id).await.unwrap().is_none());
    assert_eq!(store.conversations(Shelf::All, Order::default(), 0, 5, None).await.unwrap().total, 1);
    store.close().await;
    let connection = rusqlite::Connection::open(&path).unwrap();
    for (table, left) in [("node", 1), ("part", 1), ("run", 0), ("node_parent", 0), ("branch", 0), ("draft", 0), ("gram_docsize", 1)] {
        let count: i64 = connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
        assert_eq!(count, left, "{table}");
    }
}

#[tokio::test]
async fn conversations_come_by_last_change_in_windows_and_by_a_part_of_their_title() {
    let home = tempfile::tempdir().unwrap();
    let store = open(&home.path().join("arbour.db"));
    let ids = &mut IdGen::Counting(0);
    let titles = ["Grüße an Oma", "100% sure_thing", "GRÜSSE", "ΟΔΟΣ", "Ｆｕｌｌ ｗｉｄｔｈ", "it's \"quoted\"", ""];
    let kept: Vec<Conversation> = titles.iter().enumerate().map(|(at, title)| conversation(ids, title, at as i64 / 2)).collect();
    store.write(kept.iter().cloned().map(Write::Conversation).collect(), true).await.unwrap();

    // Of the same moment the later id comes first.
    let expected: Vec<ConversationId> = kept.iter().rev().map(|kept| kept.row.id).collect();
    let all = store.conversations(Shelf::All, Order::default(), 0, 100, None).await.unwrap();
    assert_eq!((all.total, all.items.iter().map(|row| row.id).collect::<Vec<_>>()), (7, expected.clone()));
    let window = store.conversations(Shelf::All, Order::default(), 2, 3, None).await.unwrap();
    assert_eq!((window.offset, window.total), (2, 7));
    assert_eq!(window.items.iter().map(|row| row.id).collect::<Vec<_>>(), expected[2..5]);
    assert!(store.conversations(Shelf::All, Order::default(), 7, 3, None).await.unwrap().items.is_empty());

    let cases = [
        ("grü", vec!["GRÜSSE", "Grüße an Oma"]),
        ("0%", vec!["100% sure_thing"]),
        ("%", vec!["100% sure_thing"]),
        ("E_T", vec!["100% sure_thing"]),
        ("οδοσ", vec!["ΟΔΟΣ"]),
        ("full w", vec!["Ｆｕｌｌ ｗｉｄｔｈ"]),
        ("'s \"Q", vec!["it's \"quoted\""]),
        ("nowhere", vec![]),
    ];
    for (filter, expected) in cases {
        let found = store.conversations(Shelf::All, Order::default(), 0, 100, Some(filter.into())).await.unwrap();
        assert_eq!(found.items.iter().map(|row| row.title.as_str()).collect::<Vec<_>>(), expected, "{filter}");
        assert_eq!(found.total as usize, expected.len(), "{filter}");
    }
    assert_eq!(store.conversations(Shelf::All, Order::default(), 0, 100, Some(String::new())).await.unwrap().total, 7);
    let second = store.conversations(Shelf::All, Order::default(), 1, 5, Some("grü".into())).await.unwrap();
    assert_eq!((second.total, second.items.len()), (2, 1));
}

#[tokio::test]
async fn what_ran_when_the_host_was_killed_is_stopped_measured_and_found() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("arbour.db");
    let ids = &mut IdGen::Counting(0);
    let mut kept = conversation(ids, "Trees", 1);
    kept.row.running = 2;
    let asked = message(ids, None, Role::User, State::Queued);
    let mut answers = Vec::new();
    {
        let store = open(&path);
        store.write(vec![Write::Conversation(kept.clone()), node_write(kept.row.id, &asked, &text("why?"))], true).await.unwrap();
        for state in [State::Loading, State::Writing, State::Done] {
            let mut node = message(ids, Some(asked.id), Role::Assistant, state);
            node.run = Some(run(ids));
            store.write(vec![node_write(kept.row.id, &node, &Content::new())], true).await.unwrap();
            answers.push(node);
        }
        let content = vec![Part::Thinking { text: "hm".into() }, Part::Text { text: "# Because\nof the roots".into() }];
        store.write(vec![Write::Checkpoint { node: answers[1].id, content }], false).await.unwrap();
        // No close: what matters is what is on disk.
        std::mem::forget(store);
    }
    let copy = home.path().join("killed/arbour.db");
    copy_database(&path, &copy);

    let (store, recovered) = Store::open(&copy, NOW).unwrap();
    assert_eq!(recovered.stopped, [(kept.row.id, answers[0].id), (kept.row.id, answers[1].id)]);
    let (conversation, nodes) = store.open_conversation(kept.row.id).await.unwrap().unwrap();
    assert_eq!(conversation.row.running, 0);
    assert_eq!(nodes.iter().map(|node| node.state).collect::<Vec<_>>(), [State::Sent, State::Stopped, State::Stopped, State::Done]);
    let stopped = nodes[2].run.as_ref().unwrap();
    assert_eq!((&stopped.finish, stopped.finished, &stopped.error), (&Some(Finish::HostStopped), Some(NOW), &None));
    assert_eq!((nodes[2].bytes, nodes[2].snippet.as_str()), (24, "Because"));
    assert!(nodes[2].tokens > 0);
    assert_eq!(nodes[3].run, answers[2].run, "what had ended is as it was");
    assert_eq!(store.search("roots", None, 5).await.unwrap()[0].node, answers[1].id);
    assert_eq!(store.search("why", None, 5).await.unwrap()[0].node, asked.id);
    store.close().await;
    assert_eq!(Store::open(&copy, NOW + 1).unwrap().1.stopped, []);
}

/// The files as a killed process leaves them, while it is still there.
fn copy_database(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.parent().expect("a folder")).expect("the folder is made");
    for end in ["", "-wal"] {
        let name = |path: &Path| format!("{}{end}", path.display());
        std::fs::copy(name(from), name(to)).expect("the file is copied");
    }
}

#[tokio::test]
async fn commands_of_long_ago_are_forgotten() {
    let home = tempfile::tempdir().unwrap();
    let store = open(&home.path().join("arbour.db"));
    let ids = &mut IdGen::Counting(0);
    let day = 24 * 60 * 60 * 1000;
    let (old, young, last): (CommandId, CommandId, CommandId) = (ids.fresh(), ids.fresh(), ids.fresh());
    for (command, at) in [(old, NOW - 31 * day), (young, NOW - 2 * day), (last, NOW)] {
        store.write(vec![Write::Applied { command, at }], true).await.unwrap();
    }
    assert!(!store.was_applied(old).await.unwrap());
    assert!(store.was_applied(young).await.unwrap() && store.was_applied(last).await.unwrap());
}

#[tokio::test]
async fn one_more_attempt_is_counted_and_keeps_what_the_first_was_asked_with() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("arbour.db");
    let store = open(&path);
    let ids = &mut IdGen::Counting(0);
    let mut kept = conversation(ids, "Trees", 1);
    kept.parameters.0.insert("temperature".into(), json!(0.1));
    let mut node = message(ids, None, Role::Assistant, State::Failed);
    node.run = Some(run(ids));
    store.write(vec![Write::Conversation(kept.clone()), node_write(kept.row.id, &node, &text(""))], true).await.unwrap();
    kept.parameters.0.insert("temperature".into(), json!(0.9));
    let finish = |node: &Node| Write::Finish { conversation: kept.row.id, node: node.clone(), content: None };
    store.write(vec![Write::Conversation(kept.clone()), finish(&node)], true).await.unwrap();
    let asked_with = |path: &Path| -> (i64, String) {
        let connection = rusqlite::Connection::open(path).unwrap();
        let sql = "SELECT attempts, p.parameters FROM run JOIN parameter_version AS p ON p.key = run.parameters";
        connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    };
    assert_eq!(asked_with(&path), (1, r#"{"temperature":0.1}"#.into()));
    node.run = Some(run(ids));
    store.write(vec![finish(&node)], true).await.unwrap();
    assert_eq!(asked_with(&path), (2, r#"{"temperature":0.9}"#.into()));
    assert_eq!(store.open_conversation(kept.row.id).await.unwrap().unwrap().1, [node]);
}

#[tokio::test]
async fn after_closing_every_call_is_refused_and_the_log_is_gone() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("arbour.db");
    let store = open(&path);
    let setting = || vec![Write::Setting { key: "theme".into(), value: json!(1) }];
    // Handed over before the end, so it is done before the end.
    let pending = tokio::spawn({
        let store = store.clone();
        async move { store.write(setting(), true).await }
    });
    pending.await.unwrap().unwrap();
    store.settings().await.unwrap();
    store.close().await;
    store.close().await;
    assert!(!path.with_extension("db-wal").exists());
    assert_eq!(store.write(setting(), true).await.unwrap_err().kind, Kind::HostGone);
    assert_eq!(store.settings().await.unwrap_err().kind, Kind::HostGone);
    // Dropping does the same.
    let store = open(&path);
    store.write(setting(), true).await.unwrap();
    store.settings().await.unwrap();
    drop(store);
    assert!(!path.with_extension("db-wal").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_see_whole_commits_while_many_write() {
    let home = tempfile::tempdir().unwrap();
    let store = open(&home.path().join("arbour.db"));
    let kept = conversation(&mut IdGen::Counting(0), "Trees", 1);
    let id = kept.row.id;
    store.write(vec![Write::Conversation(kept)], true).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..4 {
        let store = store.clone();
        tasks.spawn(async move {
            let ids = &mut IdGen::Counting(1_000 * (writer + 1));
            for round in 0..25 {
                // A pair: nobody may see one without the other.
                let (asked, mut answer) = (message(ids, None, Role::User, State::Sent), message(ids, None, Role::Assistant, State::Done));
                answer.parent = Some(asked.id);
                let batch = vec![node_write(id, &asked, &text("a question")), node_write(id, &answer, &text("an answer"))];
                store.write(batch, round % 2 == 0).await.unwrap();
                let seen = store.contents(vec![asked.id, answer.id]).await.unwrap();
                assert_eq!(seen.len(), 2, "what was acknowledged is there for whoever reads next");
            }
        });
    }
    for _ in 0..4 {
        let store = store.clone();
        tasks.spawn(async move {
            let mut before = 0;
            while before < 200 {
                let (_, nodes) = store.open_conversation(id).await.unwrap().unwrap();
                assert_eq!(nodes.len() % 2, 0, "a commit was seen in part");
                assert!(nodes.len() >= before, "what was seen is gone");
                for pair in nodes.chunks(2) {
                    assert_eq!(pair[1].parent, Some(pair[0].id));
                }
                before = nodes.len();
                store.search("question", None, 10).await.unwrap();
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    assert_eq!(store.stats(true).await.unwrap().problems, Vec::<String>::new());
}

/// A database with one conversation whose messages say these things, and what a query finds of them, best first.
async fn searcher(home: &Path, messages: &[&str]) -> (Store, ConversationId, Vec<NodeId>) {
    let store = open(&home.join("arbour.db"));
    let ids = &mut IdGen::Counting(0);
    let kept = conversation(ids, "Trees", 1);
    let mut batch = vec![Write::Conversation(kept.clone())];
    let mut nodes = Vec::new();
    for said in messages {
        let node = message(ids, None, Role::User, State::Sent);
        nodes.push(node.id);
        batch.push(node_write(kept.row.id, &node, &text(said)));
    }
    store.write(batch, true).await.expect("it is written");
    (store, kept.row.id, nodes)
}

#[tokio::test]
async fn every_character_of_a_query_is_text() {
    let long = format!("{} needle-in-100-KB {}", "hay ".repeat(12_500), "straw ".repeat(8_500));
    let messages = [
        "say \"hello\" to NOT and OR",
        "it's 100% C++ (really) a*b ^c -d e:f {g} [h] ~i \\ / ; DROP TABLE node; --",
        "我喜欢猫，也喜欢狗。",
        "日本語のテキスト 東京都",
        "안녕하세요 세계",
        "👩‍👩‍👧 family, 🇪🇺 flag, 🌳",
        "Straße ΟΔΟΣ İstanbul ÉCOLE Ｗｉｄｅ",
        &long,
        "nul\0byte \u{1b}[31mred\u{202e}",
        "x",
    ];
    let home = tempfile::tempdir().unwrap();
    let (store, conversation, nodes) = searcher(home.path(), &messages).await;
    let cases: &[(&str, &[usize])] = &[
        ("\"", &[]),
        ("\"hello\"", &[0]),
        ("\"to not\"", &[0]),
        ("\"not to\"", &[]),
        ("NOT", &[0]),
        ("not and OR", &[0]),
        ("NEAR(a b)", &[]),
        ("C++", &[1]),
        ("100%", &[1]),
        ("a*b", &[1]),
        ("a*", &[1]),
        ("^c", &[1]),
        ("\"-d\"", &[1]),
        ("c++ -d", &[]),
        ("c++ -nothing", &[1]),
        ("e:f", &[1]),
        ("tokens:f", &[]),
        ("' OR 1=1", &[]),
        ("\\ /", &[1]),
        ("table node;", &[1]),
        ("猫", &[2]),
        ("喜欢", &[2]),
        ("也喜欢狗。", &[2]),
        ("狗 猫", &[2]),
        ("欢喜", &[]),
        ("東京", &[3]),
        ("京都", &[3]),
        ("テキスト", &[3]),
        ("세계", &[4]),
        ("하세", &[4]),
        ("🌳", &[5]),
        ("👩‍👧", &[5]),
        ("🇪🇺", &[5]),
        ("STRASSE", &[]),
        ("straße", &[6]),
        ("οδος", &[6]),
        ("istanbul", &[6]),
        ("école", &[6]),
        ("wide", &[6]),
        ("needle-in-100", &[7]),
        ("le-in", &[7]),
        ("straw hay", &[7]),
        ("nul\0byte", &[8]),
        ("[31m", &[8]),
        ("x", &[9]),
        ("", &[]),
        (" \t\n\u{3000}", &[]),
    ];
    for (query, expected) in cases {
        for within in [None, Some(conversation)] {
            let hits = store.search(query, within, 20).await.unwrap();
            let found: Vec<usize> = hits.iter().map(|hit| nodes.iter().position(|node| *node == hit.node).unwrap()).collect();
            assert_eq!(found, *expected, "{query:?} in {within:?}");
            for hit in hits {
                let clean = !hit.snippet.chars().any(|c| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c));
                assert!(clean && hit.snippet.matches('\u{E000}').count() >= 1, "{:?}", hit.snippet);
                assert_eq!(hit.snippet.matches('\u{E000}').count(), hit.snippet.matches('\u{E001}').count());
                assert!(hit.snippet.chars().count() < 200, "{:?}", hit.snippet);
            }
        }
    }
    assert!(store.search("hello", None, 0).await.unwrap().is_empty());
    let unknown: ConversationId = IdGen::Counting(99_999).fresh();
    assert!(store.search("hello", Some(unknown), 5).await.unwrap().is_empty());
    // What was pasted into the field by mistake.
    assert!(store.search(&"word ".repeat(50_000), None, 5).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_phrase_comes_first_then_whole_words_then_beginnings_then_the_newest() {
    let home = tempfile::tempdir().unwrap();
    let messages = ["an oak tree", "tree of oak", "oaken trees", "an Oak\nTree", "oak alone", "cloak streets"];
    let (store, conversation, nodes) = searcher(home.path(), &messages).await;
    for within in [None, Some(conversation)] {
        let hits = store.search("oak tree", within, 10).await.unwrap();
        let found: Vec<&str> = hits.iter().map(|hit| messages[nodes.iter().position(|node| *node == hit.node).unwrap()]).collect();
        assert_eq!(found, ["an Oak\nTree", "an oak tree", "tree of oak", "oaken trees", "cloak streets"]);
        assert_eq!(store.search("oak tree", within, 2).await.unwrap(), hits[..2]);
    }
}

#[tokio::test]
async fn a_snippet_shows_the_hit_with_what_is_around_it() {
    let home = tempfile::tempdir().unwrap();
    let far = format!("{}the needle  lies\n\nhere {}", "some words before it ".repeat(50), "and many words after it ".repeat(50));
    let broken = "a \u{E000}forged\u{E001} mark and \u{7}bell";
    let endless = "n".repeat(5_000);
    let (store, _, _) = searcher(home.path(), &[&far, broken, &endless]).await;
    let snippet = async |query: &str| store.search(query, None, 5).await.unwrap().remove(0).snippet;
    let shown = snippet("NEEDLE").await;
    assert!(shown.starts_with('…') && shown.contains("the \u{E000}needle\u{E001} lies here and many") && shown.ends_with('…'), "{shown}");
    assert_eq!(snippet("mark forged").await, "a \u{E000}forged\u{E001} \u{E000}mark\u{E001} and ␇bell");
    let shown = snippet(&"n".repeat(300)).await;
    assert!(shown.starts_with("\u{E000}nnn") && shown.ends_with("n\u{E001}…"), "{shown}");
}

#[tokio::test]
async fn inspecting_changes_nothing_of_a_database_that_a_host_uses() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("arbour.db");
    assert_eq!(Store::inspect(&path, true).unwrap_err().kind, Kind::NotFound);
    assert!(!path.exists());
    let store = open(&path);
    let ids = &mut IdGen::Counting(0);
    let mut kept = conversation(ids, "Trees", 1);
    kept.row.messages = 1;
    kept.row.running = 1;
    let mut node = message(ids, None, Role::Assistant, State::Writing);
    node.run = Some(run(ids));
    store.write(vec![Write::Conversation(kept.clone()), node_write(kept.row.id, &node, &Content::new())], true).await.unwrap();
    let stats = Store::inspect(&path, true).unwrap();
    assert_eq!((stats.conversations, stats.messages, stats.problems.len(), stats.journal.as_str()), (1, 1, 0, "wal"));
    assert!(stats.bytes > 4_096 && stats.path == path);
    assert_eq!(store.open_conversation(kept.row.id).await.unwrap().unwrap(), (kept, vec![node]), "what runs goes on");
}

// ---- files that are not as they should be ----

/// Opening is refused, says what to do, and leaves the file as it was.
fn refused(path: &Path) -> Error {
    let before = std::fs::read(path).ok();
    let error = Store::open(path, NOW).err().expect("it is refused");
    assert_eq!(std::fs::read(path).ok(), before, "the file was touched");
    assert!(error.message.ends_with('.') && !error.hints.is_empty(), "{error:?}");
    error
}

#[test]
fn a_file_that_is_no_database_is_refused_and_kept() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("arbour.db");
    std::fs::write(&path, "my shopping list, which is long enough to be read as a header of a hundred bytes or more: ".repeat(9)).unwrap();
    let error = refused(&path);
    assert_eq!(error.kind, Kind::DatabaseCorrupt);
    assert!(error.hints.iter().any(|hint| hint.contains(".recover")) && error.hints.iter().any(|hint| hint.contains("copy")), "{error:?}");
}

#[tokio::test]
async fn a_damaged_database_is_told_and_kept() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("arbour.db");
    let messages = vec!["some text that fills a page or two ".repeat(40); 40];
    let (store, conversation, nodes) = searcher(home.path(), &messages.iter().map(String::as_str).collect::<Vec<_>>()).await;
    store.close().await;
    let mut bytes = std::fs::read(&path).unwrap();
    let whole = bytes.len();
    // All but the first pages, which hold the schema.
    bytes[whole / 2..].fill(0xAB);
    std::fs::write(&path, &bytes).unwrap();
    let errors = match Store::open(&path, NOW) {
        Err(error) => vec![error],
        Ok((store, _)) => {
            let mut errors = Vec::new();
            errors.extend(store.contents(nodes).await.err());
            errors.extend(store.open_conversation(conversation).await.err());
            errors.extend(store.search("fills", None, 50).await.err());
            assert!(store.stats(true).await.is_err() || !store.stats(true).await.unwrap().problems.is_empty());
            errors
        }
    };
    assert!(!errors.is_empty());
    for error in errors {
        assert_eq!(error.kind, Kind::DatabaseCorrupt, "{error:?}");
    }
    assert_eq!(std::fs::metadata(&path).unwrap().len() as usize, whole, "nothing was cut off");
}

#[test]
fn a_newer_database_and_one_of_another_program_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let newer = home.path().join("newer.db");
    drop(open(&newer));
    let connection = rusqlite::Connection::open(&newer).unwrap();
    connection.pragma_update(None, "user_version", 1_000).unwrap();
    connection.close().unwrap();
    let error = refused(&newer);
    assert_eq!(error.kind, Kind::DatabaseNewer);
    assert!(error.message.contains("1000"), "{error:?}");

    let foreign = home.path().join("foreign.db");
    let connection = rusqlite::Connection::open(&foreign).unwrap();
    connection.execute_batch("CREATE TABLE photo (id INTEGER PRIMARY KEY)").unwrap();
    connection.close().unwrap();
    assert_eq!(refused(&foreign).kind, Kind::File);
}

#[test]
fn what_is_no_file_is_refused_and_an_empty_file_becomes_a_database() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("arbour.db");
    std::fs::create_dir(&folder).unwrap();
    assert_eq!(refused(&folder).kind, Kind::File);
    let below_a_file = home.path().join("file/arbour.db");
    std::fs::write(home.path().join("file"), "").unwrap();
    assert_eq!(refused(&below_a_file).kind, Kind::File);
    let empty = home.path().join("empty.db");
    std::fs::write(&empty, "").unwrap();
    drop(open(&empty));
}

#[test]
fn only_its_owner_may_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("data/deep/arbour.db");
    let _store = open(&path);
    let mode = |path: &Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&path.with_extension("db-wal")), 0o600);
}

// ---- databases of every version ----

fn fixtures() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/db")
}

/// What every fixture holds, whatever its version: written once by the arbour of that version.
fn fixture_writes() -> (Conversation, Vec<(Node, Content)>, Vec<Write>) {
    let ids = &mut IdGen::Counting(0);
    let mut kept = conversation(ids, "Bäume", 70);
    kept.row.created = 50;
    kept.row.messages = 3;
    kept.row.branches = 1;
    kept.row.running = 1;
    kept.row.model = Some(model("qwen3:8b"));
    kept.system = Some("Be brief.".into());
    kept.parameters.0.insert("temperature".into(), json!(0.7));
    kept.draft = "half a thou".into();
    let mut asked = message(ids, None, Role::User, State::Accepted);
    asked.snippet = "Warum?".into();
    asked.bytes = 6;
    asked.tokens = 7;
    let mut answer = message(ids, Some(asked.id), Role::Assistant, State::Done);
    answer.bytes = 15;
    answer.snippet = "因为有根。".into();
    answer.model = Some(model("qwen3:8b"));
    answer.run = Some(Box::new(Run {
        finished: Some(900),
        finish: Some(Finish::Stop),
        figures: Figures { ttft_ms: Some(Figure::measured(81.5)), cost: Some(Figure::estimated(0.001)), ..Figures::default() },
        ..*run(ids)
    }));
    let mut half = message(ids, Some(asked.id), Role::Assistant, State::Writing);
    half.model = Some(model("qwen3:8b"));
    half.run = Some(run(ids));
    kept.head = Some(answer.id);
    kept.branches.insert("main".into(), answer.id);
    let nodes = vec![
        (asked, text("Warum?")),
        (answer, text("因为有根。")),
        (half, vec![Part::Thinking { text: "Hm".into() }, Part::Text { text: "Because".into() }]),
    ];
    let mut writes = vec![Write::Conversation(kept.clone())];
    writes.extend(nodes.iter().map(|(node, content)| node_write(kept.row.id, node, content)));
    writes.push(Write::Branch { conversation: kept.row.id, name: "main".into(), leaf: kept.head });
    writes.push(Write::Setting { key: "theme".into(), value: json!("dark") });
    (kept, nodes, writes)
}

/// What version 2 added and the fixture holds.
fn fixture_card() -> (ModelRef, Card) {
    let parameters = Parameters(BTreeMap::from([("temperature".into(), json!(0.2))]));
    let card = Card { favourite: true, tags: vec!["fast".into()], note: "for drafts".into(), parameters, ..Card::default() };
    (ModelRef { backend: "work".into(), model: "small".into() }, card)
}

/// What version 3 added and the fixture holds, beside what it held before: how the conversation is kept, and what was said of messages.
fn fixture_kept(kept: &Conversation, nodes: &[Node]) -> (Folder, Conversation, Node, Op) {
    let ids = &mut IdGen::Counting(900);
    let id = ids.fresh();
    let folder = Folder { id, parent: None, name: "Wald".into(), template: Some("oak".into()), search: None, count: 1, unread: 0 };
    let mut kept = kept.clone();
    let (root, leaf) = (nodes[0].id, nodes[1].id);
    (kept.row.pinned, kept.row.folder, kept.row.tags) = (true, Some(folder.id), vec!["green".into()]);
    (kept.row.titled, kept.row.tokens, kept.row.queued) = (Titled::Person, 7, 1);
    kept.marks.insert('q', root);
    kept.visited.insert(root, leaf);
    kept.queue.push(Queued { node: ids.fresh(), answer: ids.fresh(), line: leaf, content: text("next"), model: None, at: 60 });
    let mut said = nodes[1].clone();
    (said.rating, said.reactions, said.bookmark) = (1, vec!["🌳".into()], Some("roots".into()));
    let conversation = kept.row.id;
    let steps = vec![Step::Rating { conversation, node: said.id, from: 0, to: 1 }];
    let (command, client, about) = (ids.fresh(), ids.fresh(), "rated “因为有根。” as good".into());
    (folder, kept, said, Op { command, client, at: 65, conversation: Some(conversation), about, steps })
}

#[tokio::test]
async fn a_database_of_every_version_is_brought_up_to_date_and_read() {
    let (mut kept, nodes, _) = fixture_writes();
    let home = tempfile::tempdir().unwrap();
    let newest = open(&home.path().join("newest.db")).stats(false).await.unwrap().schema;
    for version in 1..=newest {
        let fixture = fixtures().join(format!("v{version}.db"));
        let path = home.path().join(format!("v{version}.db"));
        std::fs::copy(&fixture, &path).unwrap_or_else(|error| panic!("{}: {error}; see make_the_fixture", fixture.display()));
        let (store, recovered) = Store::open(&path, NOW).unwrap();
        assert_eq!(recovered.migrated_from, (version < newest).then_some(version));
        assert_eq!(recovered.stopped, [(kept.row.id, nodes[2].0.id)]);
        let stats = store.stats(true).await.unwrap();
        assert_eq!((stats.schema, stats.conversations, stats.problems), (newest, 1, vec![]));

        kept.row.running = 0;
        let mut expected: Vec<Node> = nodes.iter().map(|(node, _)| node.clone()).collect();
        for run in expected.iter_mut().filter_map(|node| node.run.as_mut()).filter(|_| version < 3) {
            // What an older arbour did not keep.
            run.timeline.clear();
        }
        let half = &mut expected[2];
        (half.state, half.bytes, half.snippet) = (State::Stopped, 9, "Because".into());
        half.run = half.run.take().map(|run| Box::new(Run { finish: Some(Finish::HostStopped), finished: Some(NOW), ..*run }));
        let (mut conversation, mut found) = store.open_conversation(kept.row.id).await.unwrap().unwrap();
        // An estimate, which may improve.
        found[2].tokens = 0;
        let mut wanted = kept.clone();
        wanted.row.tokens = std::mem::take(&mut conversation.row.tokens);
        assert!(wanted.row.tokens >= 7, "what the messages take is counted, also of an older version");
        conversation.row.tokens = wanted.row.tokens;
        if version >= 3 {
            let (folder, kept, said, op) = fixture_kept(&kept, &expected);
            wanted = Conversation { row: ConversationRow { tokens: wanted.row.tokens, ..kept.row }, ..kept };
            expected[1] = said;
            assert_eq!(store.folders().await.unwrap(), [folder]);
            assert_eq!(store.next_op(op.client, Vec::new(), false).await.unwrap(), Some(op));
        }
        assert_eq!((conversation, found), (wanted, expected), "version {version}");
        let contents = store.contents(nodes.iter().map(|(node, _)| node.id).collect()).await.unwrap();
        assert_eq!(contents, nodes.iter().map(|(node, content)| (node.id, content.clone())).collect::<Vec<_>>());
        for (query, node) in [("warum", 0), ("有根", 1), ("because", 2)] {
            assert_eq!(store.search(query, None, 5).await.unwrap().first().map(|hit| hit.node), Some(nodes[node].0.id), "{query}");
        }
        assert_eq!(store.settings().await.unwrap(), BTreeMap::from([("theme".into(), json!("dark"))]));
        if version >= 2 {
            let (model, card) = fixture_card();
            assert_eq!(store.cards().await.unwrap(), BTreeMap::from([(model, card)]), "version {version}");
        }
        store.write(vec![Write::DeleteConversation(kept.row.id)], true).await.unwrap();
        assert!(store.search("warum", None, 5).await.unwrap().is_empty());
    }
}

/// Run by hand once for each version, before it is released: `cargo test --test store make_the_fixture -- --ignored`.
#[tokio::test]
#[ignore = "writes the fixture of the newest version"]
async fn make_the_fixture() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("fixture.db");
    let store = open(&path);
    store.write(fixture_writes().2, true).await.unwrap();
    let (model, card) = fixture_card();
    store.write(vec![Write::Card { model, card }], true).await.unwrap();
    let (kept, nodes, _) = fixture_writes();
    let (folder, kept, said, op) = fixture_kept(&kept, &nodes.into_iter().map(|(node, _)| node).collect::<Vec<_>>());
    let writes = vec![Write::Folder(folder), Write::Conversation(kept), Write::Nodes { nodes: vec![said] }, Write::Op(op)];
    store.write(writes, true).await.unwrap();
    let version = store.stats(false).await.unwrap().schema;
    store.close().await;
    let connection = rusqlite::Connection::open(&path).unwrap();
    // Small pages, since each of some thirty tables and indexes takes one.
    connection.execute_batch("PRAGMA journal_mode = DELETE; PRAGMA page_size = 512; VACUUM").unwrap();
    connection.close().unwrap();
    let fixture = fixtures().join(format!("v{version}.db"));
    assert!(!fixture.exists(), "a fixture is never made anew: it is what an older arbour wrote");
    std::fs::copy(&path, fixture).unwrap();
}

// ---- processes that end without a word ----

/// What a child process of a test is to do, and with which database. The children are the tests below that do nothing without it.
const CHILD: &str = "ARBOUR_STORE_TEST_CHILD";

fn child_path() -> Option<std::path::PathBuf> {
    std::env::var_os(CHILD).map(Into::into)
}

/// This test binary again, running one test.
fn child(test: &str, path: &Path) -> std::process::Command {
    let mut command = std::process::Command::new(std::env::current_exe().expect("the test has a path"));
    as_child(&mut command, test, path);
    command
}

fn as_child(command: &mut std::process::Command, test: &str, path: &Path) {
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(CHILD, path);
}

/// A process that is killed when it is dropped, also by a failing test.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What message `at` of a round says, so that the parent knows it without being told.
fn saying(round: u64, at: u64) -> String {
    format!("round {round} message {at} {}", "and so on ".repeat(usize::try_from(at % 40).unwrap_or(0) * 20))
}

/// Writes until it is killed; a line for each message that was acknowledged, `sync` or not.
#[tokio::test]
async fn child_that_writes() {
    let Some(path) = child_path() else { return };
    let round: u64 = std::env::var("ROUND").unwrap().parse().unwrap();
    let (store, recovered) = Store::open(&path, NOW).unwrap();
    println!("\nopened {}", recovered.stopped.len());
    let mut all = tokio::task::JoinSet::new();
    for task in 0..3 {
        let store = store.clone();
        all.spawn(async move {
            let ids = &mut IdGen::Counting((round * 10 + task) * 1_000_000);
            let kept = conversation(ids, "Trees", i64::try_from(round).unwrap());
            store.write(vec![Write::Conversation(kept.clone())], true).await.unwrap();
            for at in 0.. {
                let mut node = message(ids, None, Role::Assistant, State::Writing);
                node.run = Some(run(ids));
                let said = saying(round, at);
                let half = said[..said.len() / 2].to_owned();
                store.write(vec![node_write(kept.row.id, &node, &Content::new())], true).await.unwrap();
                store.write(vec![Write::Checkpoint { node: node.id, content: text(&half) }], false).await.unwrap();
                println!("half {} {at}", node.id);
                node.state = State::Done;
                node.rating = if at % 2 == 0 { 1 } else { -1 };
                let finish = Write::Finish { conversation: kept.row.id, node: node.clone(), content: Some(text(&said)) };
                // What is done to a message, to lists and to folders comes in the same commit as its undo: all of it or nothing.
                let folder = Folder {
                    id: node.id.0.into(),
                    parent: None,
                    name: node.id.to_string(),
                    template: None,
                    search: None,
                    count: 0,
                    unread: 0,
                };
                let mut row = kept.row.clone();
                (row.folder, row.tags, row.pinned) = (Some(folder.id), vec![format!("t{at}")], at % 2 == 0);
                let step = Step::Rating { conversation: row.id, node: node.id, from: 0, to: node.rating };
                let (command, client) = (node.id.0.into(), node.id.0.into());
                let op = Op { command, client, at: NOW, conversation: Some(row.id), about: "rated it".into(), steps: vec![step] };
                let acts = vec![finish, Write::Folder(folder), Write::Row(row), Write::Op(op), Write::Applied { command, at: NOW }];
                store.write(acts, true).await.unwrap();
                println!("done {} {at}", node.id);
            }
        });
    }
    while let Some(task) = all.join_next().await {
        task.unwrap();
    }
}

/// Processes that are killed, each at a moment of its own.
const ROUNDS: u64 = 200;

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill_at_any_moment() {
    use std::io::BufRead;
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("arbour.db");
    let mut done: BTreeMap<NodeId, (u64, u64)> = BTreeMap::new();
    let mut random = 7_u64;
    let mut stopped = 0;
    for round in 0..ROUNDS {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut command = child("child_that_writes", &path);
        command.env("ROUND", round.to_string()).stdout(std::process::Stdio::piped());
        let mut process = Killed(command.spawn().unwrap());
        let mut lines = std::io::BufReader::new(process.0.stdout.take().unwrap()).lines();
        let mut half = BTreeMap::new();
        let mut note = |line: &str| {
            let mut words = line.split(' ');
            if let (Some(word @ ("half" | "done")), Some(id), Some(at)) = (words.next(), words.next(), words.next()) {
                let (id, at): (NodeId, u64) = (id.parse().unwrap(), at.parse().unwrap());
                if word == "done" {
                    done.insert(id, (round, at))
                } else {
                    half.insert(id, (round, at))
                };
            }
        };
        // Some rounds die while they open, most while they write, at any point of it.
        let wanted = random >> 33 & 31;
        for _ in 0..wanted {
            match lines.next() {
                Some(line) => note(&line.unwrap()),
                None => panic!("the child ended by itself"),
            }
        }
        let until = std::time::Instant::now() + std::time::Duration::from_micros(random >> 40 & 4_095);
        while std::time::Instant::now() < until {
            std::hint::spin_loop();
        }
        process.0.kill().unwrap();
        // What it had said before it died counts too; its last line may be half a line.
        let rest: Vec<String> = lines.map_while(Result::ok).collect();
        for line in rest.iter().filter(|line| line.len() > 41) {
            note(line);
        }
        drop(process);

        let (store, recovered) = Store::open(&path, NOW).unwrap();
        stopped += recovered.stopped.len();
        // What is old was looked at often; now and then all of it is looked at again.
        let young = |of: u64| of + 2 > round || round % 25 == 0;
        for (id, (round, at)) in done.iter().filter(|(_, (of, _))| young(*of)) {
            let contents = store.contents(vec![*id]).await.unwrap();
            assert_eq!(contents, [(*id, text(&saying(*round, *at)))], "round {round}: an acknowledged message is not as it was");
            assert!(store.was_applied(id.0.into()).await.unwrap());
            let op = store.next_op(id.0.into(), Vec::new(), false).await.unwrap().expect("what was done can be undone");
            assert!(matches!(op.steps[..], [Step::Rating { node, to, .. }] if node == *id && to == if at % 2 == 0 { 1 } else { -1 }));
        }
        let folders = store.folders().await.unwrap();
        for (id, _) in done.iter().filter(|(_, (of, _))| young(*of)) {
            assert!(folders.iter().any(|folder| folder.id.0 == id.0), "a folder is gone");
        }
        for (id, (round, at)) in &half {
            // A killed process loses nothing that was committed, synced or not.
            let found = arbour::proto::content_text(&store.contents(vec![*id]).await.unwrap()[0].1);
            let said = saying(*round, *at);
            assert!(said.starts_with(&found) && found.len() >= said.len() / 2, "round {round}: a checkpoint is gone");
        }
        if let Some((id, (round, _))) = done.last_key_value() {
            let hits = store.search(&format!("round {round} message"), None, 1_000).await.unwrap();
            assert!(hits.iter().any(|hit| hit.node == *id), "round {round}: a message is not found");
        }
        store.close().await;
        let connection = rusqlite::Connection::open(&path).unwrap();
        let check: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(check, "ok");
        connection.execute("INSERT INTO gram (gram) VALUES ('integrity-check')", []).unwrap();
    }
    assert!(done.len() > 50 && stopped > 5, "the children did not get to write: {} {stopped}", done.len());
}

/// Tells what opening and writing came to.
#[tokio::test]
async fn child_that_may_not_write() {
    let Some(path) = child_path() else { return };
    match Store::open(&path, NOW) {
        Err(error) => println!("\nrefused {:?}: {}", error.kind, error.message),
        Ok(_) => println!("\nopened"),
    }
}

#[test]
fn a_folder_or_a_file_that_may_not_be_written_is_told() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    let home = tempfile::tempdir().unwrap();
    let allow = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("the mode is set");
    allow(home.path(), 0o755);
    // Nothing is read-only for root, so the child is somebody else; who may not enter a home folder to find this program.
    let program = home.path().join("program");
    std::fs::copy(std::env::current_exe().expect("the test has a path"), &program).expect("there is room for a copy");
    let run = |path: &Path| {
        let mut command = std::process::Command::new(&program);
        as_child(&mut command, "child_that_may_not_write", path);
        if rustix::process::geteuid().is_root() {
            command.uid(65_534).gid(65_534);
        }
        let output = command.output().expect("the child runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let empty = home.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    allow(&empty, 0o555);
    let said = run(&empty.join("arbour.db"));
    assert!(said.contains("refused ReadOnly: arbour may not write to its database"), "{said}");
    let said = run(&empty.join("below/arbour.db"));
    assert!(said.contains("refused ReadOnly"), "{said}");

    let full = home.path().join("full");
    let path = full.join("arbour.db");
    drop(open(&path));
    allow(&path, 0o444);
    allow(&full, 0o555);
    let said = run(&path);
    assert!(said.contains("refused ReadOnly"), "{said}");
    allow(&empty, 0o755);
    allow(&full, 0o755);
}
