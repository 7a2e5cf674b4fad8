//! Lists, filters and search over conversations that are kept in many ways.

use super::*;
use crate::proto::{FolderId, OrderBy};

const SHELVES: [Shelf; 6] = [Shelf::All, Shelf::Pinned, Shelf::Loose, Shelf::Archive, Shelf::Bin, Shelf::Everything];
const ORDERS: [OrderBy; 6] = [OrderBy::Updated, OrderBy::Created, OrderBy::Title, OrderBy::Messages, OrderBy::Tokens, OrderBy::Model];

fn folder(ids: &mut IdGen, name: &str, parent: Option<FolderId>) -> Folder {
    Folder { id: ids.fresh(), parent, name: name.into(), template: None, search: None, count: 0, unread: 0 }
}

fn kept(ids: &mut IdGen, title: &str, updated: i64, change: impl FnOnce(&mut ConversationRow)) -> Conversation {
    let mut row = ConversationRow { title: title.into(), updated, ..ConversationRow::new(ids.fresh(), 100 - updated) };
    change(&mut row);
    Conversation::new(row)
}

fn model(name: &str) -> Option<ModelRef> {
    Some(ModelRef { backend: "work".into(), model: name.into() })
}

struct Ground {
    _home: tempfile::TempDir,
    store: Store,
    folders: Vec<Folder>,
    all: Vec<Conversation>,
    ids: IdGen,
}

/// Eight conversations: `a` to `f` in the list, one archived, one in the bin.
async fn ground() -> Ground {
    let home = tempfile::tempdir().unwrap();
    let mut ids = IdGen::Counting(0);
    let (store, _) = Store::open_with(&home.path().join("arbour.db"), 0, &QUICK).unwrap();
    let work = folder(&mut ids, "Work", None);
    let rust = folder(&mut ids, "rust", Some(work.id));
    let all = vec![
        kept(&mut ids, "alpha", 1, |row| row.model = model("qwen3:8b")),
        kept(&mut ids, "Beta", 2, |row| row.pinned = true),
        kept(&mut ids, "gamma", 3, |row| (row.folder, row.unread) = (Some(work.id), true)),
        kept(&mut ids, "delta", 4, |row| (row.folder, row.tags) = (Some(rust.id), vec!["code".into(), "old".into()])),
        kept(&mut ids, "epsilon", 5, |row| (row.folder, row.pinned, row.messages) = (Some(rust.id), true, 12)),
        kept(&mut ids, "zeta", 6, |row| (row.branches, row.tokens, row.model) = (3, 5_000, model("gemma3"))),
        kept(&mut ids, "archived", 7, |row| (row.archived, row.tags) = (true, vec!["code".into()])),
        kept(&mut ids, "binned", 8, |row| (row.deleted, row.tags) = (Some(9), vec!["code".into()])),
    ];
    let mut writes: Vec<Write> = [&work, &rust].into_iter().cloned().map(Write::Folder).collect();
    writes.extend(all.iter().cloned().map(Write::Conversation));
    store.write(writes, false).await.unwrap();
    Ground { _home: home, store, folders: vec![work, rust], all, ids }
}

impl Ground {
    async fn titles(&self, shelf: Shelf, by: OrderBy, reversed: bool, filter: Option<&str>) -> Vec<String> {
        let order = Order { by, reversed };
        let window = self.store.conversations(shelf, order, 0, 100, filter.map(str::to_owned)).await.unwrap();
        assert_eq!(window.total as usize, window.items.len(), "{shelf:?} {by:?} {filter:?}");
        window.items.into_iter().map(|row| row.title).collect()
    }

    async fn fits(&self, shelf: Shelf, filter: &str) -> Vec<String> {
        self.titles(shelf, OrderBy::Updated, false, Some(filter)).await
    }
}

#[tokio::test]
async fn each_shelf_shows_what_lies_on_it() {
    let ground = ground().await;
    let list = async |shelf| ground.titles(shelf, OrderBy::Updated, false, None).await;
    assert_eq!(list(Shelf::All).await, ["zeta", "epsilon", "delta", "gamma", "Beta", "alpha"]);
    assert_eq!(list(Shelf::Pinned).await, ["epsilon", "Beta"]);
    assert_eq!(list(Shelf::Loose).await, ["zeta", "alpha"]);
    assert_eq!(list(Shelf::Folder(ground.folders[0].id)).await, ["gamma"]);
    assert_eq!(list(Shelf::Folder(ground.folders[1].id)).await, ["epsilon", "delta"]);
    assert_eq!(list(Shelf::Folder(IdGen::Counting(900).fresh())).await, [""; 0]);
    assert_eq!(list(Shelf::Archive).await, ["archived"]);
    assert_eq!(list(Shelf::Bin).await, ["binned"]);
    assert_eq!(list(Shelf::Everything).await, ["archived", "zeta", "epsilon", "delta", "gamma", "Beta", "alpha"]);
}

#[tokio::test]
async fn each_order_holds_both_ways_and_page_by_page() {
    let ground = ground().await;
    assert_eq!(ground.titles(Shelf::All, OrderBy::Title, false, None).await, ["alpha", "Beta", "delta", "epsilon", "gamma", "zeta"]);
    assert_eq!(ground.titles(Shelf::All, OrderBy::Created, false, None).await[0], "alpha");
    assert_eq!(ground.titles(Shelf::All, OrderBy::Messages, false, None).await[0], "epsilon");
    assert_eq!(ground.titles(Shelf::All, OrderBy::Tokens, false, None).await[0], "zeta");
    assert_eq!(ground.titles(Shelf::All, OrderBy::Model, false, None).await[4..], ["zeta", "alpha"], "unknown ones first");
    let folder = Shelf::Folder(ground.folders[1].id);
    for shelf in SHELVES.into_iter().chain([folder]) {
        for by in ORDERS {
            let there = ground.titles(shelf, by, false, None).await;
            let mut back = ground.titles(shelf, by, true, None).await;
            back.reverse();
            assert_eq!(there, back, "{shelf:?} {by:?}");
            let filtered = ground.titles(shelf, by, false, Some("messages:>=0")).await;
            assert_eq!(there, filtered, "{shelf:?} {by:?}: the same with a filter that all fit");
            for (at, title) in there.iter().enumerate() {
                let order = Order { by, reversed: false };
                let page = ground.store.conversations(shelf, order, at as u32, 1, None).await.unwrap();
                assert_eq!((page.items[0].title.as_str(), page.total as usize), (title.as_str(), there.len()));
            }
        }
    }
}

#[tokio::test]
async fn words_of_the_filter_narrow_a_list() {
    let ground = ground().await;
    for (filter, expected) in [
        ("ETA", vec!["zeta", "Beta"]),
        ("-eta", vec!["epsilon", "delta", "gamma", "alpha"]),
        ("title:=beta", vec!["Beta"]),
        ("model:qwen", vec!["alpha"]),
        ("-model:qwen", vec!["zeta", "epsilon", "delta", "gamma", "Beta"]),
        ("backend:work", vec!["zeta", "alpha"]),
        ("folder:work", vec!["epsilon", "delta", "gamma"]),
        ("folder:work/rust", vec!["epsilon", "delta"]),
        ("-folder:*", vec!["zeta", "Beta", "alpha"]),
        ("tag:code", vec!["delta"]),
        ("tag:co,new", vec!["delta"]),
        ("-tag:*", vec!["zeta", "epsilon", "gamma", "Beta", "alpha"]),
        ("is:unread", vec!["gamma"]),
        ("is:pinned,unread", vec!["epsilon", "gamma", "Beta"]),
        ("is:branched", vec!["zeta"]),
        ("messages:>10", vec!["epsilon"]),
        ("tokens:1k..9k", vec!["zeta"]),
        ("before:today", vec!["zeta", "epsilon", "delta", "gamma", "Beta", "alpha"]),
        ("after:today", vec![]),
        ("a folder:rust -is:pinned", vec!["delta"]),
        // Asked for by name, what is put away is shown too.
        ("is:archived", vec!["archived"]),
        ("is:deleted", vec!["binned"]),
        ("tag:code is:archived,deleted", vec!["binned", "archived"]),
        // Not understood: it filters nothing.
        ("zeta is:nonsense", vec!["zeta"]),
    ] {
        assert_eq!(ground.fits(Shelf::All, filter).await, expected, "{filter}");
    }
    assert_eq!(ground.fits(Shelf::Pinned, "e").await, ["epsilon", "Beta"]);
    assert_eq!(ground.fits(Shelf::Everything, "tag:code").await, ["archived", "delta"]);
}

#[tokio::test]
async fn counts_follow_what_is_moved_and_deleted() {
    let mut ground = ground().await;
    let counts = async |ground: &Ground| -> Vec<(String, u32, u32)> {
        ground.store.folders().await.unwrap().into_iter().map(|folder| (folder.name, folder.count, folder.unread)).collect()
    };
    assert_eq!(counts(&ground).await, [("rust".to_owned(), 2, 0), ("Work".to_owned(), 1, 1)]);
    assert_eq!(ground.store.tags().await.unwrap(), [("code".to_owned(), 2), ("old".to_owned(), 1)]);

    // Delta goes to the bin, gamma is read and moves; the one in the bin comes back.
    let mut rows: Vec<ConversationRow> = ground.all.iter().map(|conversation| conversation.row.clone()).collect();
    rows[3].deleted = Some(10);
    (rows[2].unread, rows[2].folder) = (false, Some(ground.folders[1].id));
    (rows[7].deleted, rows[7].folder) = (None, Some(ground.folders[0].id));
    ground.store.write([2, 3, 7].map(|at| Write::Row(rows[at].clone())).to_vec(), false).await.unwrap();
    assert_eq!(counts(&ground).await, [("rust".to_owned(), 2, 0), ("Work".to_owned(), 1, 0)]);
    assert_eq!(ground.store.tags().await.unwrap(), [("code".to_owned(), 2)]);

    ground.store.write(vec![Write::DeleteConversation(rows[7].id), Write::DeleteConversation(rows[3].id)], false).await.unwrap();
    assert_eq!(counts(&ground).await, [("rust".to_owned(), 2, 0), ("Work".to_owned(), 0, 0)]);
    assert_eq!(ground.store.tags().await.unwrap(), [("code".to_owned(), 1)]);
    ground.all.retain(|conversation| ![rows[7].id, rows[3].id].contains(&conversation.row.id));
    for shelf in SHELVES {
        ground.titles(shelf, OrderBy::Updated, false, None).await;
    }
}

#[test]
fn every_page_is_found_in_an_index_in_its_order() {
    let connection = fresh();
    let mut ids = IdGen::Counting(0);
    let held = folder(&mut ids, "work", None);
    folders::put(&connection, &held).unwrap();
    for shelf in SHELVES.into_iter().chain([Shelf::Folder(held.id)]) {
        let place = super::super::lists::Place::of(&connection, shelf).unwrap().unwrap();
        for by in ORDERS {
            for reversed in [false, true] {
                let sql = place.page(Order { by, reversed });
                let steps = plan(&connection, &sql);
                let covered = |step: &String| !step.contains("conversation_") || step.contains("USING COVERING INDEX");
                assert!(steps.iter().all(covered), "the table is not read: {sql}\n{steps:#?}");
                // The pinned ones are few; what is counted is sorted, in the index alone.
                let may_sort =
                    shelf == Shelf::Pinned && by != OrderBy::Updated || matches!(by, OrderBy::Messages | OrderBy::Tokens | OrderBy::Model);
                assert!(may_sort || !steps.iter().any(|step| step.contains("TEMP B-TREE")), "it is not sorted: {sql}\n{steps:#?}");
            }
        }
        let total = plan(&connection, &place.total());
        assert!(total.iter().all(|step| step.contains("shelf_tally USING PRIMARY KEY")), "{total:#?}");
        let filtered =
            plan(&connection, &place.filtered(Order::default(), "instr(c.folded, ?1) > 0 AND c.messages > 1 AND c.model IN (1)"));
        assert!(filtered.iter().any(|step| step.contains("USING COVERING INDEX conversation_by_update")), "{filtered:#?}");
    }
}

/// Messages in `conversation`, each under the one before; the last ones are made by `change`.
fn thread(ids: &mut IdGen, conversation: ConversationId, texts: &[(&str, Role)], mut change: impl FnMut(usize, &mut Node)) -> Vec<Write> {
    let mut parent = None;
    let mut writes = Vec::new();
    for (at, (text, role)) in texts.iter().enumerate() {
        let state = if *role == Role::User { State::Accepted } else { State::Done };
        let mut node = Node { snippet: (*text).into(), ..Node::new(ids.fresh(), parent, *role, state, 1_000) };
        change(at, &mut node);
        parent = Some(node.id);
        writes.push(Write::Node { conversation, node, content: vec![Part::Text { text: (*text).into() }] });
    }
    writes
}

#[tokio::test]
async fn words_of_the_filter_narrow_a_search() {
    let mut ground = ground().await;
    let at = |title: &str| ground.all.iter().find(|c| c.row.title == title).unwrap().row.id;
    let (alpha, delta, archived, binned) = (at("alpha"), at("delta"), at("archived"), at("binned"));
    let ids = &mut ground.ids;
    let mut writes = thread(
        ids,
        alpha,
        &[
            ("what is a fox", Role::User),
            ("a fox is ```red```", Role::Assistant),
            ("and a fox den", Role::User),
            ("a fox den is deep", Role::Assistant),
            ("no fox here", Role::User),
        ],
        |at, node| match at {
            1 => (node.model, node.rating) = (model("qwen3:8b"), 1),
            2 => node.archived = true,
            3 => (node.model, node.created, node.bookmark) = (model("gemma3"), 90_000_000_000, Some("the den".into())),
            4 => node.hidden = true,
            _ => {}
        },
    );
    writes.extend(thread(ids, delta, &[("fox in rust", Role::User)], |_, _| {}));
    writes.extend(thread(ids, archived, &[("old fox", Role::User)], |_, _| {}));
    writes.extend(thread(ids, binned, &[("gone fox", Role::User)], |_, _| {}));
    ground.store.write(writes, false).await.unwrap();
    let found = async |text: &str| -> Vec<String> {
        let hits = ground.store.search(text, None, 50).await.unwrap();
        let mut said: Vec<String> = hits.into_iter().map(|hit| hit.snippet.replace(MARKS, "")).collect();
        said.sort();
        said
    };
    let (what, red, den, deep, rust, old, gone) =
        ("what is a fox", "a fox is ```red```", "and a fox den", "a fox den is deep", "fox in rust", "old fox", "gone fox");
    for (text, mut expected) in [
        ("fox", vec![what, red, den, deep, rust, old]),
        ("fox role:user", vec![what, den, rust, old]),
        ("fox -role:user", vec![red, deep]),
        ("fox -den", vec![what, red, rust, old]),
        ("\"fox den\"", vec![den, deep]),
        ("\"den fox\"", vec![]),
        ("fox model:qwen", vec![red]),
        ("fox rating:+", vec![red]),
        ("fox has:code", vec![red]),
        ("fox is:bookmarked", vec![deep]),
        ("fox is:archived", vec![den, deep, old]),
        ("fox is:deleted", vec![gone]),
        ("fox tag:code", vec![rust, old]),
        ("fox folder:work", vec![rust]),
        ("fox title:alp", vec![what, red, den, deep]),
        ("fox after:1971", vec![deep]),
        ("fox before:1971", vec![what, red, den, rust, old]),
        // Filter words alone list the newest.
        ("role:assistant", vec![red, deep]),
        ("folder:rust", vec![rust]),
        ("is:bookmarked", vec![deep]),
        ("fox role:nonsense tag:code", vec![rust, old]),
    ] {
        expected.sort_unstable();
        assert_eq!(found(text).await, expected, "{text}");
    }
    assert_eq!(ground.store.search("role:user", None, 2).await.unwrap().len(), 2);
    assert_eq!(ground.store.search("gone", Some(binned), 5).await.unwrap().len(), 1, "within a conversation, wherever it lies");

    let hits = ground.store.search("deep", None, 5).await.unwrap();
    let above: Vec<(Role, &str)> = hits[0].above.iter().map(|(role, line)| (*role, line.as_str())).collect();
    assert_eq!(above, [(Role::User, what), (Role::Assistant, red), (Role::User, den)]);
    assert!(hits[0].archived, "it lies below what was put away");
    assert!(!ground.store.search("red", None, 5).await.unwrap()[0].archived);

    let window = ground.store.bookmarks(0, 10, None).await.unwrap();
    assert_eq!((window.total, window.items[0].note.as_str(), window.items[0].snippet.as_str()), (1, "the den", deep));
    assert_eq!(ground.store.bookmarks(0, 10, Some("the den".into())).await.unwrap().total, 1, "words of the note");
    assert_eq!(ground.store.bookmarks(0, 10, Some("role:user".into())).await.unwrap().total, 0);
    assert_eq!(ground.fits(Shelf::All, "is:bookmarked").await, ["alpha"]);

    assert_eq!(ground.store.prompts(String::new(), 10).await.unwrap(), [old, rust, den, what]);
    assert_eq!(ground.store.prompts("a fox".into(), 1).await.unwrap(), [den]);
    assert_eq!(ground.store.prompts("is:deleted".into(), 9).await.unwrap(), [""; 0], "every character is text");
}

#[tokio::test]
async fn conversations_that_fit_are_found_however_old_their_messages_are() {
    let mut ground = ground().await;
    let ids = &mut ground.ids;
    let of = |ids: &mut IdGen, title: &str, tag: Option<&str>, messages| {
        kept(ids, title, 20, |row| (row.tags, row.messages) = (tag.into_iter().map(Into::into).collect(), messages))
    };
    let (old, new) = (of(ids, "old", Some("rare"), 2_000), of(ids, "new", None, 11_000));
    let mut writes: Vec<Write> = [&old, &new].into_iter().cloned().map(Write::Conversation).collect();
    let flat = |_: usize, node: &mut Node| node.parent = None;
    writes.extend(thread(ids, old.row.id, &vec![("an old oak", Role::User); 2_000], flat));
    writes.extend(thread(ids, new.row.id, &vec![("a new elm", Role::User); 11_000], flat));
    ground.store.write(writes, false).await.unwrap();
    // The newest of them come first.
    let hits = ground.store.search("tag:rare", None, 3_000).await.unwrap();
    assert_eq!(hits.len(), 2_000);
    assert!(hits.iter().all(|hit| hit.conversation == old.row.id) && hits.is_sorted_by(|a, b| a.node.0 > b.node.0));
    assert_eq!(ground.store.search("tag:rare oak", None, 5).await.unwrap().len(), 5);
    assert_eq!(ground.store.search("-tag:rare", None, 12_000).await.unwrap().len(), 11_000);
    assert_eq!(ground.store.search("tag:rare elm", None, 5).await.unwrap().len(), 0);
}

#[tokio::test]
async fn times_pass_over_what_cannot_fit() {
    let mut ground = ground().await;
    let alpha = ground.all[0].row.id;
    // Three stretches: of 1970, of 2020, of 1970 again.
    let moment = |at: usize| if (4_200..8_400).contains(&at) { 1_590_000_000_000 } else { 1_000 };
    let texts = vec![("a tree", Role::User); 9_000];
    let writes = thread(&mut ground.ids, alpha, &texts, |at, node| (node.created, node.parent) = (moment(at), None));
    ground.store.write(writes, false).await.unwrap();
    let hits = ground.store.search("tree after:2020 before:2021", None, 5_000).await.unwrap();
    assert_eq!(hits.len(), 4_200);
    assert_eq!(ground.store.search("before:2021-01-01 after:2020", None, 5).await.unwrap().len(), 5);
    assert_eq!(ground.store.search("tree after:2021", None, 5).await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_screen_goes_on_undoing_where_one_that_is_gone_left_off() {
    use crate::core::undo::{Op, OpState};
    use crate::proto::{ClientId, CommandId};
    let mut ground = ground().await;
    let (gone, here): (ClientId, ClientId) = (ground.ids.fresh(), ground.ids.fresh());
    let ops: Vec<Op> = ["first", "second"]
        .into_iter()
        .map(|about| Op { command: ground.ids.fresh(), client: gone, at: 1, conversation: None, about: about.into(), steps: Vec::new() })
        .collect();
    ground.store.write(ops.iter().cloned().map(Write::Op).collect(), false).await.unwrap();
    let next = async |client: ClientId, seen: &[ClientId], redo: bool| {
        ground.store.next_op(client, seen.to_vec(), redo).await.unwrap().map(|op| op.about)
    };
    let set = async |command: CommandId, client: ClientId, state: OpState| {
        ground.store.write(vec![Write::OpState { command, client, state }], false).await.unwrap();
    };
    assert_eq!(next(here, &[gone, here], false).await, None, "it is still here and undoes its own acts");
    assert_eq!(next(here, &[here], false).await.as_deref(), Some("second"));
    // The other one undid both and left: they are done again in their order.
    set(ops[1].command, gone, OpState::Undone).await;
    set(ops[0].command, gone, OpState::Undone).await;
    assert_eq!(next(here, &[here], true).await.as_deref(), Some("first"));
    assert_eq!(next(here, &[gone, here], true).await, None);
    set(ops[0].command, here, OpState::Done).await;
    assert_eq!(next(here, &[here], false).await.as_deref(), Some("first"), "what it did again is its own");
}
