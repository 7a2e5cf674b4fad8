//! What is kept about messages, and what is done to branches: ratings, reactions, bookmarks, marks, undo, archive, fork, graft.

use super::super::fixture::*;
use super::super::jumps::Place;
use super::super::msg::{Cmd, Msg};
use crate::error::{Error, Kind};
use crate::proto::*;

/// The last command is done, and the host answers so.
fn acked(bench: &mut Bench, ack: Ack) {
    let tag = bench.cmds.iter().rev().find_map(|cmd| if let Cmd::Post { tag, .. } = cmd { Some(*tag) } else { None }).unwrap();
    bench.msg(Msg::Ack { tag, result: Ok(ack) });
}

/// A message changed in what is kept about it.
fn changed(bench: &mut Bench, id: u128, change: impl FnOnce(&mut Node)) {
    let mut made = bench.model.shared.doc().unwrap().node(node(id)).unwrap().clone();
    change(&mut made);
    bench.event(EventKind::Nodes { conversation: conversation(1), nodes: vec![made] });
}

fn undone(about: &str, place: Option<u128>, at: Option<u128>) -> Ack {
    Ack::Undone(Undone { about: about.into(), conversation: place.map(conversation), node: at.map(node) })
}

#[test]
fn u_takes_back_and_says_what_and_c_r_does_it_again() {
    let mut bench = Bench::full(140, 30);
    bench.keys("<Esc>u");
    assert!(bench.posted().contains(&Command::Undo));
    bench.keys("u");
    changed(&mut bench, 6, |node| node.hidden = true);
    acked(&mut bench, undone("sent “Why is it not stable?”", Some(1), Some(5)));
    assert_eq!(bench.model.shared.view.leaf, Some(node(5)), "what was taken back is not looked at any more");
    assert!(bench.shows("Undone: sent “Why is it not stable?”. C-r does it again."));
    assert!(!bench.shows("A partition swaps"));
    bench.keys("<C-r>");
    changed(&mut bench, 6, |node| node.hidden = false);
    acked(&mut bench, undone("sent “Why is it not stable?”", Some(1), Some(6)));
    assert!(bench.posted().contains(&Command::Redo));
    assert!(bench.shows("Done again: sent “Why is it not stable?”. u takes it back."));
    assert_eq!(bench.model.shared.view.leaf, Some(node(6)));
    bench.keys("u");
    acked(&mut bench, undone("renamed it", Some(2), None));
    assert!(bench.shows("Undone: renamed it in “release notes”."));
}

#[test]
fn where_nothing_is_left_to_undo_the_host_says_so() {
    let mut bench = Bench::full(120, 30);
    bench.keys("<Esc>:undo<Enter>");
    let tag = bench.cmds.iter().rev().find_map(|cmd| if let Cmd::Post { tag, .. } = cmd { Some(*tag) } else { None }).unwrap();
    bench.msg(Msg::Ack { tag, result: Err(Error::new(Kind::NotFound, "There is nothing to undo.")) });
    assert!(bench.shows("There is nothing to undo."));
}

#[test]
fn in_the_composer_u_edits() {
    let mut bench = Bench::full(120, 30);
    bench.keys("iword<Esc>");
    bench.posted();
    bench.keys("u");
    assert!(!bench.posted().contains(&Command::Undo));
    assert_eq!(bench.model.shared.composer.borrow().text(), "");
}

#[test]
fn ratings_go_on_and_off() {
    let mut bench = Bench::full(120, 30);
    bench.keys("<Esc>+");
    let rate = |rating| Command::Rate { conversation: conversation(1), node: node(6), rating };
    assert!(bench.posted().contains(&rate(1)));
    changed(&mut bench, 6, |node| node.rating = 1);
    assert!(bench.shows("+1"));
    bench.keys("+");
    assert!(bench.posted().contains(&rate(0)), "the same again takes it back");
    bench.keys("-");
    assert!(bench.posted().contains(&rate(-1)));
}

#[test]
fn reactions_are_chosen_or_typed_and_the_recent_ones_come_first() {
    let mut bench = Bench::full(120, 30);
    bench.keys("<Esc>gr<Enter>");
    let react = |reaction: &str, on| Command::React { conversation: conversation(1), node: node(6), reaction: reaction.into(), on };
    assert!(bench.posted().contains(&react("👍", true)));
    bench.keys("gr");
    bench.keys("meh<Enter>");
    let posted = bench.posted();
    assert!(posted.contains(&react("meh", true)), "{posted:?}");
    bench.event(EventKind::Setting { key: "reactions".into(), value: serde_json::json!(["meh", "👍"]) });
    changed(&mut bench, 6, |node| node.reactions = vec!["👍".into(), "\u{1b}[31mx\u{202e}".into()]);
    let text = bench.text();
    assert!(text.contains("👍") && !text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text}");
    bench.keys("gr");
    let text = bench.text();
    let at = |what: &str| text.lines().position(|line| line.contains(what));
    assert!(at("[x] 👍") < at("[ ] meh") && at("[ ] meh") < at("[ ] 👎"), "{text}");
    bench.keys("<Enter>");
    assert!(bench.posted().contains(&react("👍", false)));
}

#[test]
fn bookmarks_have_notes_and_a_list() {
    let mut bench = Bench::full(100, 30);
    bench.keys("<Esc>B");
    bench.keys("read again<Enter>");
    let mark = |note: Option<&str>| Command::Bookmark { conversation: conversation(1), node: node(6), note: note.map(str::to_owned) };
    assert!(bench.posted().contains(&mark(Some("read again"))));
    changed(&mut bench, 6, |node| node.bookmark = Some("read again".into()));
    assert!(bench.shows("⚑"));
    bench.keys("Bd");
    assert!(bench.posted().contains(&mark(None)));
    bench.keys("gb").frame();
    let tag = bench.asked(|q| matches!(q, Query::Bookmarks { offset: 0, filter: None, .. })).unwrap();
    let item = |place: u128, title: &str, id: u128, note: &str| Bookmark {
        conversation: conversation(place),
        title: title.into(),
        node: node(id),
        role: Role::Assistant,
        created: NOON - 60_000 * id as i64,
        snippet: format!("message {id}"),
        note: note.into(),
    };
    let items =
        vec![item(2, "release notes", 91, ""), item(1, "quicksort in rust", 6, "read \u{1b}again"), item(2, "release notes", 93, "old")];
    bench.msg(Msg::Reply { tag, result: Ok(Reply::Bookmarks(Window { offset: 0, total: 3, items })) });
    insta::assert_snapshot!("bookmarks", bench.text());
    bench.keys("je");
    bench.keys("<C-u>new<Enter>");
    let edited = Command::Bookmark { conversation: conversation(2), node: node(93), note: Some("new".into()) };
    assert!(bench.posted().contains(&edited), "the list is grouped by conversation");
    bench.keys("D");
    assert!(bench.posted().iter().any(|c| matches!(c, Command::Bookmark { note: None, node: id, .. } if *id == node(93))));
    bench.keys("/").frame();
    bench.keys("notes").frame();
    let asked = bench.asked(|q| matches!(q, Query::Bookmarks { filter: Some(_), .. })).unwrap();
    bench.msg(Msg::Reply { tag: asked, result: Ok(Reply::Bookmarks(Window::default())) });
    bench.frame();
    let last = bench.cmds.iter().rev().find_map(|cmd| if let Cmd::Ask { query, .. } = cmd { Some(query.clone()) } else { None });
    assert!(matches!(last, Some(Query::Bookmarks { filter: Some(f), .. }) if f == "notes"), "what was typed meanwhile is asked for then");
}

#[test]
fn marks_take_a_letter() {
    let mut bench = Bench::full(120, 30);
    bench.keys("<Esc>k");
    bench.keys("m");
    assert!(bench.model.letter.is_some());
    bench.keys("<Esc>");
    assert!(bench.model.letter.is_none() && bench.posted().iter().all(|c| !matches!(c, Command::SetMark { .. })));
    bench.keys("mq");
    let set = Command::SetMark { conversation: conversation(1), letter: 'q', node: Some(node(5)) };
    assert!(bench.posted().contains(&set));
    bench.keys("m1");
    assert!(bench.shows("Marks are the letters a to z."));
    bench.keys("'q");
    assert!(bench.shows("There is no mark q in this conversation (mq sets it)."));
    let mut kept = bench.model.shared.doc().unwrap().conversation.clone();
    kept.marks = [('q', node(2))].into();
    bench.event(EventKind::Conversation(kept));
    bench.keys("'").wait(400).msg(Msg::Tick);
    assert!(bench.shows("Here is a simple one."), "what there is to choose from is shown after a moment");
    bench.keys("q");
    assert_eq!(bench.model.shared.view.leaf, Some(node(2)), "also to another branch");
    bench.keys(":marks<Enter>");
    assert!(bench.shows("Go to which mark?"));
}

#[test]
fn a_branch_is_put_away_and_brought_back() {
    let mut bench = Bench::full(140, 36);
    bench.keys("<Esc>:focus tree<Enter>");
    bench.posted();
    bench.keys("D");
    let away = |id, archived| Command::ArchiveBranch { conversation: conversation(1), node: node(id), archived };
    assert!(bench.posted().contains(&away(5, true)), "the nearest that has others beside it");
    bench.keys("D");
    changed(&mut bench, 5, |node| node.archived = true);
    acked(&mut bench, Ack::Done);
    assert_eq!(bench.model.shared.view.leaf, Some(node(4)), "another version is looked at");
    assert!(bench.shows("Put away: “Why is it not stable?” and 1 message below it. zA shows what is put away, u brings it back."));
    assert!(!bench.shows("you Why is"));
    bench.keys("zA");
    assert!(bench.shows("2 messages put away; D on one brings its branch back."));
    insta::assert_snapshot!("tree_with_what_is_put_away", bench.text());
    bench.keys("G");
    bench.posted();
    bench.keys("D");
    assert!(bench.posted().contains(&away(5, false)));
    // A conversation of one line has nothing to put away.
    let mut bench = Bench::new(100, 30);
    bench.attach(snapshot());
    let mut one = opened();
    one.nodes.truncate(2);
    one.contents.truncate(2);
    bench.answer_open(one);
    bench.keys("<Esc>:focus tree<Enter>");
    bench.posted();
    bench.keys("D");
    assert!(bench.posted().is_empty());
    assert!(bench.shows("There is no other branch, so this one stays."));
}

#[test]
fn a_named_branch_that_is_put_away_is_in_the_list_and_comes_back() {
    let mut bench = Bench::full(120, 30);
    changed(&mut bench, 5, |node| node.archived = true);
    bench.keys("<Esc><Space>b");
    assert!(bench.shows("put away"));
    bench.keys("<Enter>");
    let back = Command::ArchiveBranch { conversation: conversation(1), node: node(5), archived: false };
    assert!(bench.posted().contains(&back));
}

#[test]
fn naming_a_branch_again_renames_it() {
    let mut bench = Bench::full(120, 30);
    bench.keys("<Esc>b");
    assert!(bench.shows("Rename the branch main"));
    bench.keys("<C-u>trunk<Enter>");
    let posted = bench.posted();
    let named =
        |name: &str, leaf: Option<u128>| Command::SetBranch { conversation: conversation(1), name: name.into(), leaf: leaf.map(node) };
    assert!(posted.contains(&named("trunk", Some(6))) && posted.contains(&named("main", None)), "{posted:?}");
}

#[test]
fn a_fork_asks_what_goes_along_and_opens() {
    let mut bench = Bench::full(120, 30);
    bench.keys("<Esc>F");
    insta::assert_snapshot!("fork", bench.text());
    bench.keys("<Down><Enter>");
    let forked = bench.cmds.iter().find_map(|cmd| match cmd {
        Cmd::Post { command: Command::Fork { conversation: id, node: at, scope, to }, .. } => Some((*id, *at, *scope, *to)),
        _ => None,
    });
    let (from, at, scope, to) = forked.unwrap();
    assert_eq!((from, at, scope), (conversation(1), Some(node(6)), Scope::PathAndSiblings));
    acked(&mut bench, Ack::Done);
    assert!(bench.asked(|q| matches!(q, Query::Open { conversation, .. } if *conversation == to)).is_some());
}

#[test]
fn what_is_taken_is_put_under_another_message_also_elsewhere() {
    let mut bench = Bench::full(140, 30);
    bench.keys("<Esc>k");
    bench.keys("X");
    assert!(bench.shows("Taken: “Why is it not stable?” and 1 message below it."));
    bench.keys("P");
    assert!(bench.shows("That message is a part of what was taken"));
    let mut other = opened();
    other.conversation.row = row(2, "release notes");
    bench.keys(":open release<Enter>");
    bench.answer_open(other);
    bench.posted();
    bench.keys("P");
    let graft =
        |to| Command::Graft { conversation: conversation(1), node: node(5), to: conversation(to), under: Some(node(6)), moved: true };
    assert!(bench.posted().contains(&graft(2)));
    bench.keys("Y");
    let made = bench.model.shared.doc().unwrap().node(node(2)).unwrap().clone();
    bench.keys("gg");
    bench.keys("P");
    let copy = Node { id: node(70), parent: Some(node(1)), copy_of: Some(node(6)), ..made };
    bench.event(EventKind::Node { conversation: conversation(2), node: copy, content: vec![Part::Text { text: "copied".into() }] });
    acked(&mut bench, Ack::Done);
    assert_eq!(bench.model.shared.view.leaf, Some(node(70)), "the copy is shown");
    assert!(bench.shows("Copied"));
}

#[test]
fn the_path_that_was_gone_to_is_remembered_once_it_is_looked_at() {
    let mut bench = Bench::full(120, 30);
    bench.keys("<Esc>kk");
    bench.posted();
    bench.keys("[").wait(500).msg(Msg::Tick);
    bench.keys("]");
    assert!(bench.posted().is_empty(), "passing by is not looking");
    bench.wait(2_100).msg(Msg::Tick);
    assert_eq!(bench.posted(), [Command::Visit { conversation: conversation(1), leaf: node(6) }]);
    assert!(bench.model.deadline().is_none_or(|at| at > bench.now.mono));
    bench.keys("[");
    bench.keys(":new<Enter>");
    assert!(bench.posted().contains(&Command::Visit { conversation: conversation(1), leaf: node(2) }), "leaving remembers it too");
}

#[test]
fn what_was_binned_while_it_was_looked_at_is_looked_at_again_when_it_comes_back() {
    let mut bench = Bench::full(120, 30);
    bench.keys("<Esc>:focus conversations<Enter>D");
    let mut row = bench.model.shared.replica.rows[&conversation(1)].clone();
    row.deleted = Some(NOON);
    bench.event(EventKind::Row(row.clone()));
    assert_eq!(bench.model.shared.view.conversation, None);
    bench.keys("u");
    row.deleted = None;
    bench.event(EventKind::Row(row));
    acked(&mut bench, undone("put “quicksort in rust” into the bin", Some(1), None));
    assert_eq!(bench.model.shared.view.conversation, Some(conversation(1)));
    assert!(bench.shows("Undone: put “quicksort in rust” into the bin. C-r"), "{}", bench.text());
    assert_eq!(bench.model.shared.focus, "conversations");
}

#[test]
fn a_fork_that_is_undone_is_left_for_where_one_came_from() {
    let mut bench = Bench::full(120, 30);
    bench.model.jumps.leave(Place { conversation: Some(conversation(1)), node: None });
    bench.model.shared.view.conversation = Some(conversation(2));
    bench.keys("<Esc>u");
    let mut row = bench.model.shared.replica.rows[&conversation(2)].clone();
    row.deleted = Some(NOON);
    bench.event(EventKind::Row(row));
    acked(&mut bench, undone("forked “quicksort in rust” into a new conversation", Some(2), None));
    assert_eq!(bench.model.shared.view.conversation, Some(conversation(1)));
}
