//! The search over all messages, the way back from a hit, and the search through one conversation beyond what is at hand.

use super::super::fixture::*;
use super::super::msg::{Cmd, Msg};
use crate::proto::*;

fn hit(of: u128, message: u128, role: Role, snippet: &str) -> SearchHit {
    SearchHit {
        conversation: conversation(of),
        title: ["", "quicksort in rust", "release notes"][of as usize].into(),
        node: node(message),
        role,
        created: NOON - 600_000,
        snippet: snippet.into(),
        above: vec![(Role::User, "Write quicksort in Rust, in place.".into())],
        archived: message == 2,
    }
}

fn answer(bench: &mut Bench, text: &str, hits: Vec<SearchHit>) {
    let tag =
        bench.asked(|q| matches!(q, Query::Search { text: asked, .. } if asked == text)).unwrap_or_else(|| panic!("{text} was not asked"));
    bench.msg(Msg::Reply { tag, result: Ok(Reply::Hits(hits)) });
}

fn searches(bench: &Bench) -> usize {
    bench.cmds.iter().filter(|cmd| matches!(cmd, Cmd::Ask { query: Query::Search { .. }, .. })).count()
}

fn hits() -> Vec<SearchHit> {
    vec![
        hit(1, 3, Role::Assistant, "Lomuto is shorter, \u{e000}Hoare\u{e001} moves less. Hoare's:"),
        hit(
            2,
            90,
            Role::User,
            "a much longer line that stands before what was found in it, so that it is cut at its beginning: \u{e000}Hoare\u{e001}, please",
        ),
        hit(1, 2, Role::Assistant, "the answer of \u{e000}Hoare\u{e001} on another branch"),
    ]
}

#[test]
fn hits_are_found_as_one_types_and_left_again() {
    for (width, height) in [(120, 30), (52, 30)] {
        let mut bench = Bench::full(width, height);
        bench.keys("<Esc><Space>/").frame();
        bench.keys("h").frame();
        bench.keys("oa").frame();
        assert_eq!(searches(&bench), 1, "one question under way");
        answer(&mut bench, "h", Vec::new());
        bench.frame();
        answer(&mut bench, "hoa", hits());
        insta::assert_snapshot!(format!("search_{width}x{height}"), bench.text());
    }
    let mut bench = Bench::full(120, 30);
    bench.keys("<Esc><Space>/hoa").frame();
    answer(&mut bench, "hoa", hits());
    bench.keys("<Down><Enter>");
    // The other branch of the shown conversation comes into view, and the hit is marked.
    assert_eq!(bench.model.shared.view.leaf, Some(node(2)));
    assert_eq!(bench.model.shared.needle.text, "hoare");
    bench.keys("<C-o>");
    assert_eq!(bench.model.shared.view.leaf, Some(node(6)), "back where one was");
    bench.keys("gi");
    assert_eq!(bench.model.shared.view.leaf, Some(node(2)), "and forth again");
    // It opens as it was left.
    bench.keys("<Space>/");
    assert!(bench.shows("hoa") && bench.shows("quicksort in rust"));
    bench.keys("<C-u>rating:9").frame();
    assert!(bench.text().contains("rating"), "{}", bench.text());
}

#[test]
fn a_hit_of_another_conversation_opens_it() {
    let mut bench = Bench::full(120, 30);
    bench.keys("<Esc><Space>/hoa").frame();
    answer(&mut bench, "hoa", hits());
    bench.keys("<Down><Down><Enter>");
    let fits =
        |q: &Query| matches!(q, Query::Open { conversation: id, leaf: Some(leaf), .. } if *id == conversation(2) && *leaf == node(90));
    assert!(bench.asked(fits).is_some());
    bench.keys("<C-o>");
    assert!(bench.asked(|q| matches!(q, Query::Open { conversation: id, .. } if *id == conversation(1))).is_some());
}

#[test]
fn a_hit_at_the_top_of_a_message_that_is_longer_than_the_screen_is_in_view() {
    let mut bench = Bench::full(80, 24);
    bench.keys("<Esc><Space>/tony").frame();
    answer(&mut bench, "tony", vec![hit(2, 6, Role::Assistant, "\u{e000}tony\u{e001} was here")]);
    bench.keys("<Enter>");
    let tag = bench.asked(|q| matches!(q, Query::Open { conversation: id, .. } if *id == conversation(2))).unwrap();
    let mut other = opened();
    other.conversation.row.id = conversation(2);
    let long: String = std::iter::once("tony was here\n\n".to_owned()).chain((0..60).map(|at| format!("paragraph {at}\n\n"))).collect();
    other.contents.retain(|(id, _)| *id != node(6));
    other.contents.push((node(6), vec![Part::Text { text: long }]));
    bench.msg(Msg::Reply { tag, result: Ok(Reply::Opened(Box::new(other))) });
    bench.frame();
    assert!(bench.shows("tony was here") && !bench.shows("paragraph 59"), "{}", bench.text());
    // And from there on, as always.
    bench.keys("G").frame();
    assert!(bench.shows("paragraph 59"), "{}", bench.text());
}

#[test]
fn the_way_back_leads_to_what_was_being_written() {
    let mut bench = Bench::full(100, 30);
    bench.keys("<Esc>:new<Enter>half a thought<Esc>");
    bench.keys("<Esc><Space>/hoa").frame();
    answer(&mut bench, "hoa", hits());
    bench.keys("<Enter>");
    assert_eq!(bench.model.shared.view.conversation, Some(conversation(1)));
    let tag = bench.asked(|q| matches!(q, Query::Open { conversation: id, .. } if *id == conversation(1))).unwrap();
    bench.msg(Msg::Reply { tag, result: Ok(Reply::Opened(Box::new(opened()))) });
    // The host keeps it, as it keeps every draft.
    let kept = bench.posted().into_iter().rev().find_map(|command| match command {
        Command::SetSetting { key, value } if key == "draft" => Some(value),
        _ => None,
    });
    bench.event(EventKind::Setting { key: "draft".into(), value: kept.unwrap() });
    bench.keys("<C-o>");
    assert_eq!(bench.model.shared.view.conversation, None);
    assert_eq!(bench.model.shared.composer.borrow().text(), "half a thought");
}

#[test]
fn a_filter_that_is_wrong_says_so() {
    let mut bench = Bench::full(120, 30);
    bench.keys("<Esc><Space>/role:robot").frame();
    insta::assert_snapshot!("search_problem", bench.text());
}

#[test]
fn the_whole_tree_is_searched_over_branches() {
    let mut bench = Bench::full(120, 30);
    bench.keys("<Esc>:focus chat<Enter>g//simple<Enter>");
    let of = |q: &Query| matches!(q, Query::Search { conversation: Some(id), text, .. } if *id == conversation(1) && text == "\"simple\"");
    let tag = bench.asked(of).expect("the host is asked");
    bench.msg(Msg::Reply { tag, result: Ok(Reply::Hits(vec![hit(1, 6, Role::Assistant, ""), hit(1, 2, Role::Assistant, "")])) });
    bench.keys("n");
    let first = bench.model.shared.view.leaf;
    assert!(bench.shows("/2 in the whole tree"), "{}", bench.text());
    bench.keys("n");
    let second = bench.model.shared.view.leaf;
    let mut both = [first, second];
    both.sort();
    assert_eq!(both, [Some(node(2)), Some(node(6))], "the path goes along");
    assert_eq!(bench.cmds.iter().filter(|c| matches!(c, Cmd::Ask { query, .. } if of(query))).count(), 1, "and asked once");
    bench.keys("g/");
    assert!(!bench.model.shared.needle.whole);
}

#[test]
fn content_of_the_path_that_is_not_at_hand_is_searched_too() {
    let mut bench = Bench::new(100, 30);
    bench.attach(snapshot());
    let mut half = opened();
    half.contents.retain(|(id, _)| *id != node(1));
    let whole = opened().contents;
    bench.answer_open(half);
    bench.frame().keys("<Esc>:focus chat<Enter>");
    bench.cmds.clear();
    bench.keys("/in place<Enter>");
    let tag = bench.asked(|q| matches!(q, Query::Search { conversation: Some(_), .. })).expect("the host is asked");
    bench.msg(Msg::Reply { tag, result: Ok(Reply::Hits(vec![hit(1, 1, Role::User, "")])) });
    let tag = bench.asked(|q| matches!(q, Query::Contents { nodes, .. } if nodes == &[node(1)])).expect("what holds it is asked for");
    let contents = whole.into_iter().filter(|(id, _)| *id == node(1)).collect();
    bench.msg(Msg::Reply { tag, result: Ok(Reply::Contents(contents)) });
    assert!(bench.shows("/in place  1 of 1"), "{}", bench.text());
    assert_eq!(bench.model.shared.view.selected, Some(node(1)));
}
