//! What cannot be seen from outside: plans of statements, a disk that is full, a file system without shared memory, which batch a
//! fault spoils.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::proto::{IdGen, Parameters, Part, Role, State};

mod lists;

const QUICK: Options = Options { patience: Duration::from_millis(40), vfs: None, most_pages: None };

fn conversation(ids: &mut IdGen) -> Conversation {
    let row = ConversationRow { title: "A title".into(), ..ConversationRow::new(ids.fresh(), 1) };
    Conversation::new(row)
}

fn message(ids: &mut IdGen, conversation: ConversationId, text: &str) -> (NodeId, Write) {
    let node = Node { bytes: text.len() as u64, ..Node::new(ids.fresh(), None, Role::User, State::Sent, 1) };
    (node.id, Write::Node { conversation, node, content: vec![Part::Text { text: text.into() }] })
}

/// What SQLite would do, step by step.
fn plan(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let count = statement.parameter_count();
    for at in 1..=count {
        statement.raw_bind_parameter(at, 1).unwrap();
    }
    let mut rows = statement.raw_query();
    let mut steps = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        steps.push(row.get(3).unwrap());
    }
    steps
}

fn fresh() -> Connection {
    let mut connection = Connection::open_in_memory().unwrap();
    schema::prepare(&mut connection).unwrap();
    connection
}

#[test]
fn every_list_is_answered_by_an_index() {
    let connection = fresh();
    let cases: &[(&str, &[&str])] = &[
        (queries::TOTAL, &["SEARCH tally USING PRIMARY KEY (name=?)"]),
        (
            queries::ROW,
            &[
                "SEARCH c USING INTEGER PRIMARY KEY (rowid=?)",
                "SEARCH m USING INTEGER PRIMARY KEY (rowid=?) LEFT-JOIN",
                "SEARCH f USING INTEGER PRIMARY KEY (rowid=?) LEFT-JOIN",
                "CORRELATED SCALAR SUBQUERY 2",
                "CO-ROUTINE (subquery-1)",
                "SEARCH tag USING PRIMARY KEY (conversation=?)",
                "SCAN (subquery-1)",
            ],
        ),
        (
            queries::CONVERSATION,
            &[
                "SEARCH c USING INDEX sqlite_autoindex_conversation_1 (id=?)",
                "SEARCH p USING INTEGER PRIMARY KEY (rowid=?)",
                "SEARCH m USING INTEGER PRIMARY KEY (rowid=?) LEFT-JOIN",
                "SEARCH f USING INTEGER PRIMARY KEY (rowid=?) LEFT-JOIN",
                "SEARCH d USING INTEGER PRIMARY KEY (rowid=?) LEFT-JOIN",
                "CORRELATED SCALAR SUBQUERY 2",
                "CO-ROUTINE (subquery-1)",
                "SEARCH tag USING PRIMARY KEY (conversation=?)",
                "SCAN (subquery-1)",
            ],
        ),
        (queries::NODES, &["SEARCH node USING INDEX node_by_conversation (conversation=?)"]),
        (
            &queries::RUNS,
            &["SEARCH n USING COVERING INDEX node_by_conversation (conversation=?)", "SEARCH r USING INTEGER PRIMARY KEY (rowid=?)"],
        ),
        (queries::BRANCHES, &["SEARCH branch USING PRIMARY KEY (conversation=?)"]),
        (queries::FURTHER, &["SEARCH node_parent USING PRIMARY KEY (node=?)"]),
        (rows::PARTS, &["SEARCH part USING INDEX sqlite_autoindex_part_1 (node=?)"]),
        (recover::LEFT_RUNNING, &["SCAN n USING INDEX node_running", "SEARCH c USING INTEGER PRIMARY KEY (rowid=?)"]),
        (recover::FORGET_RUNNING, &["SCAN conversation USING INDEX conversation_running"]),
        (rows::PRUNE, &["SEARCH applied USING COVERING INDEX applied_by_age (at<?)"]),
        (search::TEXT, &["SEARCH part USING INDEX sqlite_autoindex_part_1 (node=?)"]),
        (search::KEYS, &["SEARCH node USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"]),
        (search::ABOVE, &["SEARCH node USING INTEGER PRIMARY KEY (rowid=?)"]),
        (sieve::NODE, &["SEARCH node USING INTEGER PRIMARY KEY (rowid=?)"]),
        (sieve::SHELF, &["SEARCH conversation USING INTEGER PRIMARY KEY (rowid=?)"]),
        (sieve::RATED, &["SCAN node USING INDEX node_rated"]),
        (sieve::BOOKMARKED, &["SCAN node USING INDEX node_bookmarked"]),
        (sieve::SPECIAL, &["SCAN part USING COVERING INDEX part_special"]),
        (sieve::PUT_AWAY, &["SEARCH node USING COVERING INDEX node_archived (conversation=?)"]),
        (sieve::OF_CONVERSATION, &["SEARCH node USING COVERING INDEX node_by_conversation (conversation=?)"]),
        (messages::BOOKMARK, &["SEARCH n USING INTEGER PRIMARY KEY (rowid=?)", "SEARCH c USING INTEGER PRIMARY KEY (rowid=?)"]),
        (messages::WRITTEN, &["CO-ROUTINE n", "SCAN node", "SCAN n"]),
        // The folders are few; their conversations are not counted.
        (
            folders::ALL,
            &[
                "SCAN f USING INDEX sqlite_autoindex_folder_2",
                "SEARCH p USING INTEGER PRIMARY KEY (rowid=?) LEFT-JOIN",
                "CORRELATED SCALAR SUBQUERY 1",
                "SEARCH t USING PRIMARY KEY (shelf=? AND folder=?)",
                "CORRELATED SCALAR SUBQUERY 2",
                "SEARCH t USING PRIMARY KEY (shelf=? AND folder=?)",
                "USE TEMP B-TREE FOR ORDER BY",
            ],
        ),
        (
            search::BY_CONVERSATION,
            &[
                "SEARCH n USING COVERING INDEX node_by_conversation (conversation=?)",
                "SEARCH p USING INDEX sqlite_autoindex_part_1 (node=?)",
            ],
        ),
        (
            search::SPAN,
            &[
                "SEARCH c USING INDEX sqlite_autoindex_conversation_1 (id=?)",
                "CORRELATED SCALAR SUBQUERY 1",
                "SEARCH node USING COVERING INDEX node_by_conversation (conversation=?)",
                "CORRELATED SCALAR SUBQUERY 2",
                "SEARCH node USING COVERING INDEX node_by_conversation (conversation=?)",
            ],
        ),
        (search::HIT, &["SEARCH n USING INTEGER PRIMARY KEY (rowid=?)", "SEARCH c USING INTEGER PRIMARY KEY (rowid=?)"]),
        (search::NEWEST, &["SEARCH node"]),
        (search::SAMPLE, &["SCAN gram VIRTUAL TABLE INDEX 0:M1><"]),
        // Rowids between two, newest first, straight from the full-text index.
        (search::BY_GRAMS, &["SCAN gram VIRTUAL TABLE INDEX 192:M1><"]),
        (
            series::READ,
            &[
                "SEARCH m USING COVERING INDEX sqlite_autoindex_model_1 (backend=? AND name=?)",
                "SEARCH s USING PRIMARY KEY (model=? AND name=? AND at>?)",
            ],
        ),
        (series::OLD, &["SEARCH series USING INDEX series_by_age (at<?)"]),
        (series::TOO_MANY, &["SCAN series USING COVERING INDEX series_by_age"]),
        (cards::CARDS, &["SCAN c", "SEARCH m USING INTEGER PRIMARY KEY (rowid=?)"]),
        (
            loaded::LOADED,
            &[
                "SEARCH m USING COVERING INDEX sqlite_autoindex_model_1 (backend=? AND name=?)",
                "SEARCH p USING COVERING INDEX sqlite_autoindex_parameter_version_1 (hash=?)",
                "SEARCH l USING PRIMARY KEY (model=? AND parameters=?)",
            ],
        ),
        (uses::MODEL, &["SEARCH model USING COVERING INDEX sqlite_autoindex_model_1 (backend=? AND name=?)"]),
        // A million runs are not counted, and the last good ones are found in order.
        (uses::MODELS, &["SCAN t", "SEARCH m USING INTEGER PRIMARY KEY (rowid=?)"]),
        (uses::COUNTS, &["SEARCH model_tally USING INTEGER PRIMARY KEY (rowid=?)"]),
        (uses::LAST, &["SEARCH run USING COVERING INDEX run_by_model (model=?)"]),
        (uses::GOOD, &["SEARCH run USING INDEX run_good_by_model (model=?)"]),
        // A history reads its own versions only, and of the runs of each only the last one.
        (
            settings::VERSIONS,
            &[
                "SEARCH v USING INDEX sqlite_autoindex_version_1 (subject=?)",
                "SEARCH p USING INTEGER PRIMARY KEY (rowid=?)",
                "CORRELATED SCALAR SUBQUERY 1",
                "SEARCH run_version USING PRIMARY KEY (version=?)",
            ],
        ),
        (
            settings::LAST_RUN,
            &[
                "SEARCH u USING PRIMARY KEY (version=?)",
                "SEARCH r USING INTEGER PRIMARY KEY (rowid=?)",
                "SEARCH n USING INTEGER PRIMARY KEY (rowid=?)",
                "SEARCH c USING INTEGER PRIMARY KEY (rowid=?)",
            ],
        ),
        // What goes with a conversation, and with a message, is found by its own index.
        (
            "DELETE FROM conversation WHERE key = 1",
            &[
                "SEARCH conversation USING INTEGER PRIMARY KEY (rowid=?)",
                "SEARCH prompt_queue USING PRIMARY KEY (conversation=?)",
                "SEARCH mark USING PRIMARY KEY (conversation=?)",
                "SEARCH tag USING PRIMARY KEY (conversation=?)",
                "SEARCH draft USING INTEGER PRIMARY KEY (rowid=?)",
                "SEARCH branch USING PRIMARY KEY (conversation=?)",
                "SEARCH node USING COVERING INDEX node_by_conversation (conversation=?)",
            ],
        ),
        (
            "DELETE FROM node WHERE key = 1",
            &[
                "SEARCH node USING INTEGER PRIMARY KEY (rowid=?)",
                "SEARCH run USING INTEGER PRIMARY KEY (rowid=?)",
                "SEARCH part USING COVERING INDEX sqlite_autoindex_part_1 (node=?)",
                "SEARCH node_parent USING PRIMARY KEY (node=?)",
            ],
        ),
    ];
    for (sql, expected) in cases {
        assert_eq!(plan(&connection, sql), *expected, "{sql}");
    }
}

#[test]
fn words_of_running_states_are_those_of_the_index() {
    let words =
        ["queued", "connecting", "waiting", "loading", "reading", "thinking", "writing", "done", "stopped", "failed", "sent", "accepted"];
    let known: Vec<State> = words.iter().filter_map(|word| State::from_word(word)).collect();
    assert_eq!(known.len(), words.len());
    for state in known {
        let listed = recover::LEFT_RUNNING.contains(&format!("'{}'", state.word()));
        assert_eq!(state.is_running(), listed, "{state}: a new running state needs a migration that makes the index anew");
    }
}

#[tokio::test]
async fn a_full_disk_is_told_and_loses_nothing_that_was_acknowledged() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("arbour.db");
    let ids = &mut IdGen::Counting(0);
    let (store, _) = Store::open_with(&path, 0, &Options { most_pages: Some(100), ..QUICK }).unwrap();
    let kept = conversation(ids);
    store.write(vec![Write::Conversation(kept.clone())], true).await.unwrap();
    let mut acknowledged = Vec::new();
    let error = loop {
        let (id, write) = message(ids, kept.row.id, &"word ".repeat(1_000));
        match store.write(vec![write], true).await {
            Ok(()) => acknowledged.push(id),
            Err(error) => break error,
        }
        assert!(acknowledged.len() < 100, "the disk never fills");
    };
    assert_eq!(error.kind, Kind::DiskFull, "{error:?}");
    assert!(error.message.contains("disk is full") && !error.hints.is_empty());
    // It goes on for what fits, and reads as before.
    store.write(vec![Write::Setting { key: "theme".into(), value: 1.into() }], true).await.unwrap();
    let (_, nodes) = store.open_conversation(kept.row.id).await.unwrap().unwrap();
    assert_eq!(nodes.iter().map(|node| node.id).collect::<Vec<_>>(), acknowledged);
    store.close().await;
    // With room again it takes what it refused.
    let (store, _) = Store::open_with(&path, 0, &QUICK).unwrap();
    store.write(vec![message(ids, kept.row.id, "more").1], true).await.unwrap();
    assert_eq!(store.stats(true).await.unwrap().problems, Vec::<String>::new());
}

#[tokio::test]
async fn without_shared_memory_it_falls_back_to_a_rollback_journal() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("arbour.db");
    let ids = &mut IdGen::Counting(0);
    // This way to the file locks with a folder beside it, and cannot do WAL.
    let options = Options { patience: PATIENCE, vfs: Some("unix-dotfile"), most_pages: None };
    let (store, _) = Store::open_with(&path, 0, &options).unwrap();
    let kept = conversation(ids);
    let (id, write) = message(ids, kept.row.id, "found again");
    store.write(vec![Write::Conversation(kept), write], false).await.unwrap();
    let stats = store.stats(true).await.unwrap();
    assert_eq!((stats.journal.as_str(), stats.problems.len()), ("delete", 0));
    assert_eq!(store.search("again", None, 5).await.unwrap()[0].node, id);
    store.close().await;
    let (store, _) = Store::open_with(&path, 0, &QUICK).unwrap();
    assert_eq!(store.stats(false).await.unwrap().journal, "wal");
    assert_eq!(store.contents(vec![id]).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_lock_that_another_program_holds_is_told() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("arbour.db");
    let (store, _) = Store::open_with(&path, 0, &QUICK).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let setting = || vec![Write::Setting { key: "theme".into(), value: 1.into() }];
    let error = store.write(setting(), true).await.unwrap_err();
    assert_eq!(error.kind, Kind::Locked, "{error:?}");
    assert!(store.settings().await.unwrap().is_empty(), "who reads is not in the way");
    other.execute_batch("ROLLBACK").unwrap();
    store.write(setting(), true).await.unwrap();
    store.close().await;

    other.pragma_update(None, "locking_mode", "EXCLUSIVE").unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    assert_eq!(Store::open_with(&path, 0, &QUICK).err().unwrap().kind, Kind::Locked);
}

#[tokio::test]
async fn a_batch_that_fails_spoils_no_other_and_leaves_nothing() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("arbour.db");
    let ids = &mut IdGen::Counting(0);
    let (store, _) = Store::open_with(&path, 0, &Options { patience: PATIENCE, ..QUICK }).unwrap();
    let kept = conversation(ids);
    store.write(vec![Write::Conversation(kept.clone())], true).await.unwrap();

    // While another program holds the lock, the first batch waits and the others gather behind it.
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut expected = Vec::new();
    let mut writes = Vec::new();
    for at in 0..20 {
        let (id, good) = message(ids, kept.row.id, "good");
        let (_, bad) = message(ids, ids.clone().fresh(), "of no conversation");
        let fails = at % 5 == 2;
        writes.push((fails, if fails { vec![good, bad] } else { vec![good] }));
        if !fails {
            expected.push(id);
        }
    }
    let mut waiting = tokio::task::JoinSet::new();
    let mut order = Vec::new();
    for (at, (fails, batch)) in writes.into_iter().enumerate() {
        let (done, answer) = oneshot::channel();
        let queue = store.inner.writing().queue.clone().unwrap();
        queue.send(writer::Job { writes: batch, sync: at % 2 == 0, done }).await.unwrap();
        order.push(fails);
        waiting.spawn(async move { (at, answer.await.unwrap()) });
    }
    other.execute_batch("ROLLBACK").unwrap();
    while let Some(result) = waiting.join_next().await {
        let (at, result) = result.unwrap();
        assert_eq!(result.is_err(), order[at], "batch {at}: {result:?}");
        if let Err(error) = result {
            assert_eq!(error.kind, Kind::NotFound);
        }
    }
    let (_, nodes) = store.open_conversation(kept.row.id).await.unwrap().unwrap();
    assert_eq!(nodes.iter().map(|node| node.id).collect::<Vec<_>>(), expected, "in the order in which they were handed over");
}

#[tokio::test]
async fn synchronous_follows_what_was_asked_for() {
    // Through the writer's own connection, which nobody outside can see.
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("arbour.db");
    let mut connection = connect(&path, &QUICK).unwrap();
    let (journal, _) = schema::prepare(&mut connection).unwrap();
    let mut writer = writer::Writer::new(connection, journal, path);
    for (sync, expected) in [(false, 1), (true, 2), (true, 2), (false, 1)] {
        writer.transact(sync, std::iter::empty()).unwrap();
        assert_eq!(writer.synchronous(), expected, "sync: {sync}");
    }
}

#[tokio::test]
async fn a_search_that_nobody_waits_for_ends() {
    let connection = &mut fresh();
    let ids = &mut IdGen::Counting(0);
    let kept = conversation(ids);
    rows::carry_out(connection, &Write::Conversation(kept.clone())).unwrap();
    for _ in 0..10 {
        rows::carry_out(connection, &message(ids, kept.row.id, "the same").1).unwrap();
    }
    let asked = Asked(Arc::default());
    let flag = Arc::clone(&asked.0);
    assert_eq!(search::search(connection, &super::lists::filter("same", Subject::Messages), None, 10, &flag).unwrap().len(), 10);
    drop(asked);
    assert!(search::search(connection, &super::lists::filter("same", Subject::Messages), None, 10, &flag).unwrap().is_empty());
}

#[test]
fn what_the_writer_may_not_write_is_told_as_such() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("arbour.db");
    drop(Store::open_with(&path, 0, &QUICK).unwrap());
    let connection = open_file(&path, OpenFlags::SQLITE_OPEN_READ_ONLY, None).unwrap();
    let write = Write::Setting { key: "theme".into(), value: 1.into() };
    let error = rows::carry_out(&connection, &write).unwrap_err().tell(&path);
    assert_eq!(error.kind, Kind::ReadOnly);
    assert!(error.message.contains(Path::new("arbour.db").to_str().unwrap()));
}

#[tokio::test]
async fn messages_that_come_one_by_one_leave_few_pieces_to_search() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("arbour.db");
    let ids = &mut IdGen::Counting(0);
    let (store, _) = Store::open_with(&path, 0, &QUICK).unwrap();
    let kept = conversation(ids);
    store.write(vec![Write::Conversation(kept.clone())], true).await.unwrap();
    for at in 0..15 {
        store.write(vec![message(ids, kept.row.id, &format!("message {at}")).1], false).await.unwrap();
    }
    // Merging goes on after the last answer, and then comes to an end.
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    loop {
        let pieces: i64 = store
            .inner
            .readers
            .read(|connection| {
                Ok(connection.query_row("SELECT count(DISTINCT id >> 37) FROM gram_data WHERE id > 10", [], |row| row.get(0))?)
            })
            .await
            .unwrap();
        // At most three of each size, and 15 messages make two sizes.
        if pieces <= 6 {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{pieces} pieces are left");
        tokio::task::yield_now().await;
    }
    assert_eq!(store.search("message", None, 100).await.unwrap().len(), 15);
}

/// Text as people and models write it, with what is hard about it: scripts, signs, gaps, characters that change when folded.
fn hard_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-c]{1,6}",
        "[A-C]{1,5}",
        "[ \\n\\t\u{3000}]{1,3}",
        "[猫狗喜欢]{1,4}",
        "[а-гА-Г]{1,5}",
        "[İςΣßéÉＡｂ]{1,3}",
        "[\"'*^()\\-+:%_\\\\]{1,3}",
        "[🌳👩🇪🇺\u{200d}\u{fe0f}]{1,3}",
        "[\u{0}\u{1b}\u{e000}\u{e001}\u{202e}\u{10fffd}]{1,2}",
        any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// As text, whatever is in it.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\" \""))
}

proptest! {
    #[test]
    fn the_index_never_hides_what_a_text_contains(text in hard_text(), from in 0..60_usize, many in 1..9_usize) {
        let tokens: std::collections::HashSet<String> = grams::tokens_of(&text).split_whitespace().map(str::to_owned).collect();
        let folded = grams::fold(&text);
        prop_assert_eq!(folded.chars().count(), text.chars().count(), "places stay places");
        let part: String = folded.chars().skip(from).take(many).collect();
        for word in part.split(' ').filter(|word| !word.is_empty()) {
            for token in grams::tokens_for(word) {
                prop_assert!(token.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()), "{token:?} is a token to the `ascii` tokenizer");
                prop_assert!(tokens.contains(&token), "{token} of {word:?}");
            }
        }
    }

    #[test]
    fn any_part_of_any_text_is_found_and_shown(text in hard_text(), from in 0..60_usize, many in 1..40_usize) {
        let part: String = text.chars().skip(from).take(many).collect();
        let connection = &mut fresh();
        let ids = &mut IdGen::Counting(0);
        let kept = conversation(ids);
        rows::carry_out(connection, &Write::Conversation(kept.clone())).unwrap();
        let (node, write) = message(ids, kept.row.id, &text);
        rows::carry_out(connection, &write).unwrap();
        rows::carry_out(connection, &message(ids, kept.row.id, "something else").1).unwrap();
        for within in [None, Some(kept.row.id)] {
            let hits = search::search(connection, &super::lists::filter(&quoted(&part), Subject::Messages), within, 5, &AtomicBool::new(false)).unwrap();
            if grams::fold(&part).replace('"', " ").trim_matches(' ').is_empty() {
                prop_assert!(hits.is_empty());
                continue;
            }
            let hit = hits.iter().find(|hit| hit.node == node).expect("it is found");
            prop_assert_eq!(hit.snippet.matches(MARKS[0]).count(), hit.snippet.matches(MARKS[1]).count());
            prop_assert!(hit.snippet.contains(MARKS[0]) && !hit.snippet.chars().any(char::is_control), "{:?}", hit.snippet);
        }
    }
}

#[tokio::test]
async fn favourites_of_the_first_version_become_cards() {
    let model = |backend: &str, model: &str| ModelRef { backend: backend.to_owned(), model: model.to_owned() };
    let favourite = Card { favourite: true, ..Card::default() };
    let both = vec![(model("box", "org/qwen3:8b"), favourite.clone()), (model("engine", "smol"), favourite)];
    for (setting, expected) in [
        // The first is used by a run already, the second is new; the others are what nobody should ever have written.
        (r#"["box/org/qwen3:8b", "engine/smol", "nameless", "/x", 7, null, "engine/smol"]"#, both),
        (r#"{"a": 1}"#, vec![]),
        ("not JSON", vec![]),
        ("[]", vec![]),
    ] {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("arbour.db");
        let old = Connection::open(&path).unwrap();
        old.execute_batch(schema::MIGRATIONS[0]).unwrap();
        old.execute("INSERT INTO model (backend, name) VALUES ('box', 'org/qwen3:8b')", []).unwrap();
        old.execute("INSERT INTO setting (key, value) VALUES ('favourites', ?1), ('theme', '\"dark\"')", [setting]).unwrap();
        old.pragma_update(None, "application_id", schema::APPLICATION_ID).unwrap();
        old.pragma_update(None, "user_version", 1).unwrap();
        drop(old);
        let (store, recovered) = Store::open(&path, 0).unwrap();
        assert_eq!(recovered.migrated_from, Some(1));
        assert_eq!(store.cards().await.unwrap().into_iter().collect::<Vec<_>>(), expected, "{setting}");
        assert_eq!(store.settings().await.unwrap().into_keys().collect::<Vec<_>>(), ["theme"], "the setting has gone: {setting}");
    }
}

#[tokio::test]
async fn cards_are_kept_replaced_and_forgotten() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("arbour.db");
    let (store, _) = Store::open(&path, 0).unwrap();
    let model = ModelRef { backend: "b\u{1b}[2J".into(), model: "m/\"'; DROP TABLE model".into() };
    let card = Card { hidden: true, tags: vec!["ä".into()], note: "two\nlines".into(), ..Card::default() };
    let put = |card: &Card| vec![Write::Card { model: model.clone(), card: card.clone() }];
    store.write(put(&Card { favourite: true, ..Card::default() }), true).await.unwrap();
    store.write(put(&card), true).await.unwrap();
    store.close().await;
    let (store, _) = Store::open(&path, 0).unwrap();
    assert_eq!(store.cards().await.unwrap(), BTreeMap::from([(model.clone(), card)]));
    store.write(put(&Card::default()), true).await.unwrap();
    assert!(store.cards().await.unwrap().is_empty());
}

#[test]
fn what_the_runs_of_a_model_say() {
    let mut connection = fresh();
    connection
        .execute_batch(
            "INSERT INTO model (key, backend, name) VALUES (1, 'b', 'quick'), (2, 'b', 'failing'), (3, 'b', 'unused');
             INSERT INTO parameter_version (key, hash, parameters) VALUES (1, zeroblob(32), '{}');
             INSERT INTO conversation (key, id, title, folded, created, updated, messages, branches, unread, running, parameters)
                VALUES (1, zeroblob(16), '', '', 0, 0, 0, 0, 0, 0, 1);",
        )
        .unwrap();
    let mut key = 0;
    let mut run = |model: i64, started: i64, finish: Option<&str>, rate: Option<f64>, ttft: Option<f64>| {
        key += 1;
        let id = [(key % 256) as u8, (key / 256) as u8].repeat(8);
        connection
            .execute(
                "INSERT INTO node (key, id, conversation, role, state, created, bytes, tokens, hidden, snippet)
                    VALUES (?1, ?2, 1, 'assistant', 'done', 0, 0, 0, 0, '')",
                rusqlite::params![key, id],
            )
            .unwrap();
        connection
            .execute(
                "INSERT INTO run (node, id, model, parameters, started, finish, sources, tokens_per_s, ttft_ms)
                    VALUES (?1, ?2, ?3, 1, ?4, ?5, '', ?6, ?7)",
                rusqlite::params![key, id, model, started, finish, rate, ttft],
            )
            .unwrap();
    };
    // Long ago it was slow; of the last 200 good ones half are at 10 and half at 20, and what ended otherwise does not count.
    for at in 0..300 {
        let rate = if at < 100 {
            1.0
        } else if at % 2 == 0 {
            10.0
        } else {
            20.0
        };
        run(1, at, Some(if at % 3 == 0 { "length" } else { "stop" }), Some(rate), Some(rate * 10.0));
    }
    run(1, 400, Some("cancelled"), Some(999.0), Some(999.0));
    run(1, 401, Some("error"), None, None);
    run(1, 500, None, None, None);
    run(2, 7, Some("error"), None, Some(3.0));
    let quick = ModelRef { backend: "b".into(), model: "quick".into() };
    let of_quick = ModelUse { runs: 303, failed: 1, last: Some(500), tokens_per_s: Some(15.0), ttft_ms: Some(150.0) };
    let of_failing = ModelUse { runs: 1, failed: 1, last: Some(7), ..ModelUse::default() };
    let all = uses::uses(&mut connection, None).unwrap();
    assert_eq!(
        all.iter().map(|(model, figures)| (model.model.as_str(), figures)).collect::<Vec<_>>(),
        [("quick", &of_quick), ("failing", &of_failing)]
    );
    assert_eq!(uses::uses(&mut connection, Some(&quick)).unwrap(), [(quick, of_quick)]);
    let nobody = ModelRef { backend: "b".into(), model: "nobody".into() };
    assert!(uses::uses(&mut connection, Some(&nobody)).unwrap().is_empty());
    // One that runs ends in a failure, one was asked again of another model, and one goes with its message.
    connection.execute_batch("UPDATE run SET finish = 'error' WHERE finish IS NULL; DELETE FROM node WHERE key = 300").unwrap();
    connection.execute("UPDATE run SET model = 3, started = 900 WHERE node = 304", []).unwrap();
    let counts = uses::uses(&mut connection, None).unwrap();
    let counts: Vec<_> = counts.iter().map(|(model, uses)| (model.model.as_str(), uses.runs, uses.failed, uses.last)).collect();
    assert_eq!(counts, [("quick", 302, 2, Some(500)), ("unused", 1, 1, Some(900))]);
    let tally = "SELECT sum(runs) = (SELECT count(*) FROM run) FROM model_tally";
    assert!(connection.query_row(tally, [], |row| row.get::<_, bool>(0)).unwrap());
}

#[test]
fn series_are_read_in_order_and_thinned_from_the_old_end() {
    let connection = fresh();
    let model = crate::proto::ModelRef { backend: "b".into(), model: "m/x".into() };
    for at in 0..20 {
        let points = [("memory", at as f64), ("cpu", f64::NAN)];
        series::put(&connection, &model, at * 1000, &points).unwrap();
        series::put(&connection, &model, at * 1000, &points).unwrap();
    }
    let read = |name: &str, since| series::read(&connection, &model, name, since).unwrap();
    assert_eq!(read("memory", 17_000), [(17_000, 17.0), (18_000, 18.0), (19_000, 19.0)]);
    assert!(read("cpu", 0).is_empty(), "what is no number is not kept");
    series::thin_to(&connection, 20_000, 5).unwrap();
    assert_eq!(read("memory", 0).len(), 5);
    series::thin(&connection, 17_500 + series::KEPT).unwrap();
    assert_eq!(read("memory", 0), [(18_000, 18.0), (19_000, 19.0)]);
    let other = crate::proto::ModelRef { backend: "b".into(), model: "other".into() };
    assert!(series::read(&connection, &other, "memory", 0).unwrap().is_empty());
}

#[test]
fn what_a_load_took_is_kept_for_its_settings() {
    let connection = fresh();
    let model = crate::proto::ModelRef { backend: "b".into(), model: "m/x".into() };
    let with = |context: i64| crate::proto::Parameters([("context".to_owned(), context.into())].into());
    let taken = |memory: f64| Taken { at: 7, memory: Some(memory), gpu: None, source: crate::proto::Source::Measured };
    assert_eq!(loaded::of(&connection, &model, &with(1)).unwrap(), None);
    loaded::put(&connection, &model, &with(1), &taken(5.0)).unwrap();
    loaded::put(&connection, &model, &with(1), &taken(6.0)).unwrap();
    loaded::put(&connection, &model, &with(2), &Taken { gpu: Some(3.0), ..taken(8.0) }).unwrap();
    assert_eq!(loaded::of(&connection, &model, &with(1)).unwrap(), Some(taken(6.0)), "the last time counts");
    assert_eq!(loaded::of(&connection, &model, &with(2)).unwrap().and_then(|t| t.gpu), Some(3.0));
    let other = crate::proto::ModelRef { model: "other".into(), ..model };
    assert_eq!(loaded::of(&connection, &other, &with(1)).unwrap(), None);
}

/// A version is numbered on only when something is different; a rename takes them along.
#[tokio::test]
async fn versions_are_numbered_counted_and_renamed() {
    use crate::core::settings::State;
    use crate::proto::{Pointed, Preset, Subject};
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("arbour.db");
    let (store, _) = Store::open(&path, 0).unwrap();
    let state = |seed: i64| State {
        parameters: Parameters([("seed".to_owned(), seed.into())].into()),
        preset: None,
        pointed: Pointed { system: Some("S".into()), ..Pointed::default() },
    };
    let subject = |name: &str| Subject::Preset(name.to_owned());
    let version = |of: Subject, seed: i64, first: bool| Write::Version {
        subject: of,
        at: seed,
        about: format!("seed {seed}"),
        state: state(seed),
        first,
    };
    store
        .write(
            vec![
                version(subject("a"), 1, true),
                version(subject("a"), 7, true),
                version(subject("a"), 1, false),
                version(subject("a"), 2, false),
                version(subject("a"), 1, false),
                version(subject("b"), 9, false),
                Write::Preset { name: "A".into(), preset: Some(Preset { name: "A".into(), ..Preset::default() }) },
                Write::Preset { name: "a".into(), preset: Some(Preset { name: "a".into(), ..Preset::default() }) },
            ],
            true,
        )
        .await
        .unwrap();
    let numbers = |versions: Vec<crate::proto::Version>| versions.into_iter().map(|v| (v.number, v.at)).collect::<Vec<_>>();
    assert_eq!(numbers(store.versions(subject("a"), None, 10).await.unwrap()), [(3, 1), (2, 2), (1, 1)]);
    assert_eq!(numbers(store.versions(subject("a"), Some(2), 10).await.unwrap()), [(2, 2)]);
    let one = store.versions(subject("a"), None, 1).await.unwrap().remove(0);
    assert_eq!((one.parameters, one.pointed.system.as_deref(), one.runs, one.last_run), (state(1).parameters, Some("S"), 0, None));
    assert_eq!(store.kept_settings().await.unwrap().presets.len(), 1, "one name, however it is written");

    store.write(vec![Write::PresetRenamed { from: "a".into(), to: "b".into() }], true).await.unwrap();
    assert!(store.versions(subject("a"), None, 10).await.unwrap().is_empty());
    assert_eq!(numbers(store.versions(subject("b"), None, 10).await.unwrap()), [(4, 1), (3, 2), (2, 1), (1, 9)]);
    store.close().await;
}
