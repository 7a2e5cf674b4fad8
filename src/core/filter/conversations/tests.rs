use proptest::prelude::*;

use super::*;
use crate::proto::{IdGen, ModelRef};

/// 22 November 2026, 10:00 in Berlin.
const NOW: UnixMs = 1_795_338_000_000;
const HOUR: UnixMs = 3_600_000;
const DAY: UnixMs = 24 * HOUR;

/// Berlin's clocks went back on 25 October 2026, at 01:00 UTC.
fn berlin(at: UnixMs) -> i32 {
    if at < 1_792_890_000_000 { 7_200 } else { 3_600 }
}

fn parse(text: &str, subject: Subject) -> Filter {
    Filter::parse(text, subject, &Calendar { now: NOW, offset: &berlin })
}

fn tests(text: &str) -> Vec<(bool, Test)> {
    let filter = parse(text, Subject::Messages);
    assert_eq!(filter.problems(), [], "{text}");
    filter.terms().iter().map(|term| (term.not, term.test.clone())).collect()
}

fn one(text: &str) -> Test {
    let [(false, test)] = &tests(text)[..] else { panic!("{text}: {:?}", tests(text)) };
    test.clone()
}

fn text(text: &str, exact: bool) -> Test {
    Test::Text { text: text.into(), exact }
}

#[test]
fn every_word_of_the_language() {
    let name = |name, part: &str| Test::Name { name, any: vec![Wanted::Part(part.into())] };
    for (typed, expected) in [
        ("Quick", text("Quick", false)),
        ("\"two words\"", text("two words", true)),
        ("title:Release", name(Name::Title, "release")),
        ("folder:work/rust", name(Name::Folder, "work/rust")),
        ("in:work", name(Name::Folder, "work")),
        ("tag:rust", name(Name::Tag, "rust")),
        ("model:qwen", name(Name::Model, "qwen")),
        ("backend:=work", Test::Name { name: Name::Backend, any: vec![Wanted::Whole("work".into())] }),
        ("tag:a,\u{e9}", Test::Name { name: Name::Tag, any: vec![Wanted::Part("a".into()), Wanted::Part("é".into())] }),
        ("is:unread", Test::Is(vec![Is::Unread])),
        ("is:archived,deleted", Test::Is(vec![Is::Archived, Is::Deleted])),
        ("is:b", Test::Is(vec![Is::Bookmarked, Is::Branched])),
        ("messages:>10", Test::Count { count: Count::Messages, range: Range { least: Some((10.0, true)), most: None } }),
        ("tokens>1k", Test::Count { count: Count::Tokens, range: Range { least: Some((1_000.0, true)), most: None } }),
        ("branches:2", Test::Count { count: Count::Branches, range: Range::only(2.0) }),
        ("role:user,tool", Test::Role(vec![Role::User, Role::Tool])),
        ("rating:+", Test::Rating(vec![1])),
        ("rating:-", Test::Rating(vec![-1])),
        ("has:image,code", Test::Has(vec![Has::Image, Has::Code])),
    ] {
        assert_eq!(one(typed), expected, "{typed}");
    }
    assert_eq!(tests("-tag:old !is:pinned -\"a b\"").iter().map(|(not, _)| *not).collect::<Vec<_>>(), [true; 3]);
    // Not written to the end yet: it filters nothing.
    assert_eq!(tests("tag: is: before: after:tod messages:> folder:= - \"\" after:20"), []);
}

#[test]
fn what_has_signs_in_it_is_text() {
    for typed in ["std::vec", "http://x.y", "c++", "e.g.", "a=b", "--json", "!=", "-->", "日本", "12:30"] {
        assert_eq!(tests(typed), [(false, text(typed, false))], "{typed}");
    }
    assert_eq!(tests("-rust"), [(true, text("rust", false))]);
}

#[test]
fn days_begin_where_the_asker_is() {
    // 2026-11-22T00:00+01:00.
    let today = NOW - 10 * HOUR;
    for (typed, expected) in [
        ("after:today", Test::From(today)),
        ("before:yesterday", Test::Before(today - DAY)),
        ("after:7d", Test::From(NOW - 7 * DAY)),
        ("before:2w", Test::Before(NOW - 14 * DAY)),
        ("after:2026-11-22", Test::From(today)),
        ("before:2026-11-01", Test::Before(today - 21 * DAY)),
        ("after:2026-11", Test::From(today - 21 * DAY)),
        // In summer time: 51 days and one hour before.
        ("after:2026-10-02", Test::From(today - 51 * DAY - HOUR)),
        // On the day of the change itself, midnight was still summer time.
        ("after:2026-10-25", Test::From(today - 28 * DAY - HOUR)),
        ("after:2024-02-29", Test::From(1_709_161_200_000 - HOUR)),
    ] {
        assert_eq!(one(typed), expected, "{typed}");
    }
}

#[test]
fn what_is_not_understood_is_said_and_the_rest_still_filters() {
    for (typed, message, hint) in [
        ("a tilte:x", "There is no filter word “tilte”.", "Did you mean title:?"),
        ("a is:unraed", "There is no is:unraed.", "Did you mean is:unread?"),
        ("a has:wings", "There is no has:wings.", "There are image, file, code, tool."),
        ("a messages:many", "“many” is not a number: write 10, >10, 1k or 5..20.", "For example messages:>10."),
        (
            "a before:2026-13-01",
            "“2026-13-01” is no day: write 2026-11-01, today, yesterday, or how long ago: 7d, 2w.",
            "For example before:2026-11-01.",
        ),
        ("a after:soon", "“soon” is no day: write 2026-11-01, today, yesterday, or how long ago: 7d, 2w.", "For example after:yesterday."),
    ] {
        let filter = parse(typed, Subject::Messages);
        let [problem] = filter.problems() else { panic!("{typed}: {:?}", filter.problems()) };
        assert_eq!((problem.message.as_str(), problem.hint.as_deref()), (message, Some(hint)));
        assert_eq!(&typed[problem.at.clone()], &typed[2..]);
        assert_eq!(filter.terms().len(), 1, "{typed}");
    }
    let filter = parse("role:user rust", Subject::Conversations);
    assert_eq!(filter.problems()[0].message, "`role:` is said of messages, and this is a list of conversations.");
    assert_eq!(filter.terms().len(), 1);
}

fn tree() -> Vec<Folder> {
    let mut ids = IdGen::Counting(0);
    let mut folder = |name: &str, parent: Option<FolderId>, search: Option<&str>| Folder {
        id: ids.fresh(),
        parent,
        name: name.into(),
        template: None,
        search: search.map(str::to_owned),
        count: 0,
        unread: 0,
    };
    let work = folder("Work", None, None);
    let rust = folder("Rust", Some(work.id), None);
    let deep = folder("async", Some(rust.id), None);
    let home = folder("home", None, None);
    let smart = folder("unread", Some(work.id), Some("is:unread"));
    vec![work, rust, deep, home, smart]
}

#[test]
fn folders_are_found_by_name_or_path_with_what_lies_in_them() {
    let all = tree();
    let found = |typed: &str| {
        let Test::Name { any, .. } = one(typed) else { panic!("{typed}") };
        let mut paths: Vec<String> = folders(&all, &any).into_iter().map(|id| folder_path(&all, id)).collect();
        paths.sort();
        paths
    };
    assert_eq!(found("folder:work/rust"), ["Work/Rust", "Work/Rust/async"]);
    assert_eq!(found("folder:ru"), ["Work/Rust", "Work/Rust/async"]);
    assert_eq!(found("folder:work"), ["Work", "Work/Rust", "Work/Rust/async"]);
    assert_eq!(found("folder:=rust"), ["Work/Rust", "Work/Rust/async"]);
    assert_eq!(found("folder:=ru"), [""; 0]);
    assert_eq!(found("folder:home/rust"), [""; 0]);
    assert_eq!(found("folder:home,async"), ["Work/Rust/async", "home"]);
    assert_eq!(found("folder:*").len(), 4, "a smart folder holds nothing");
}

#[test]
fn words_and_values_are_completed() {
    let model = ModelRef { backend: "work".into(), model: "qwen3:8b".into() };
    let known = Known::of(&tree(), ["rust", "two words"], [&model]);
    let texts = |before: &str, subject| {
        let (start, items) = complete(before, subject, &known);
        (start, items.into_iter().map(|(text, _)| text).collect::<Vec<_>>())
    };
    let messages = |before: &str| texts(before, Subject::Messages);
    assert_eq!(messages("a ti"), (2, vec!["title:".to_owned()]));
    assert_eq!(messages("-fo"), (1, vec!["folder:".to_owned()]));
    assert_eq!(messages("folder:").1, ["folder:Work", "folder:Work/Rust", "folder:Work/Rust/async", "folder:home"]);
    assert_eq!(messages("tag:ru,t").1, ["tag:ru,\"two words\"", "tag:ru,rust"]);
    assert_eq!(messages("is:unread,pi").1, ["is:unread,pinned"]);
    assert_eq!(messages("model:8").1, ["model:qwen3:8b"]);
    assert_eq!(messages("after:to").1, ["after:today"]);
    assert_eq!(messages("tokens:").1, ["tokens:>1k"]);
    assert_eq!(messages("role:us").1, ["role:user"]);
    assert_eq!(texts("role", Subject::Conversations).1, [""; 0]);
    assert_eq!(texts("", Subject::Conversations).1.len(), WORDS.len());
    assert_eq!(messages("").1.len(), WORDS.len() + MESSAGE_WORDS.len());
}

#[test]
fn every_example_of_the_tables_is_understood() {
    for word in WORDS.iter().chain(MESSAGE_WORDS) {
        let filter = parse(word.example, Subject::Messages);
        assert_eq!((filter.problems().len(), filter.terms().len()), (0, 1), "{}", word.example);
        assert!(!word.about.ends_with('.'), "{}", word.about);
    }
}

proptest! {
    #[test]
    fn any_text_parses_and_completes(text in "\\PC{0,40}") {
        for subject in [Subject::Conversations, Subject::Messages] {
            let filter = parse(&text, subject);
            for problem in filter.problems() {
                prop_assert!(text.get(problem.at.clone()).is_some());
            }
            let (start, _) = complete(&text, subject, &Known::default());
            prop_assert!(text.is_char_boundary(start));
        }
    }

    #[test]
    fn any_day_is_read_or_refused(text in "[0-9a-z-]{0,12}") {
        let _ = parse(&format!("before:{text}"), Subject::Messages);
    }
}
