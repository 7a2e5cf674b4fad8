//! The list of conversations: pictures, acts, and what is asked of a host with a hundred thousand of them.

use crate::proto::*;
use crate::tui::fixture::*;
use crate::tui::msg::{Cmd, Msg};

/// The lists of a host.
#[derive(Default)]
struct Lists {
    rows: Vec<ConversationRow>,
    /// Questions that were asked, and the most that were under way for one shelf.
    asked: usize,
    most: usize,
}

impl Lists {
    fn answer(&self, query: &Query) -> Option<Reply> {
        let Query::Conversations { shelf, order, offset, limit, filter } = query else { return None };
        let lies = |row: &&ConversationRow| {
            let listed = !row.archived && row.deleted.is_none();
            let there = match shelf {
                Shelf::All => listed,
                Shelf::Pinned => listed && row.pinned,
                Shelf::Loose => listed && !row.pinned && row.folder.is_none(),
                Shelf::Folder(id) => listed && row.folder == Some(*id),
                Shelf::Archive => row.archived && row.deleted.is_none(),
                Shelf::Bin => row.deleted.is_some(),
                Shelf::Everything => row.deleted.is_none(),
            };
            there && filter.as_ref().is_none_or(|filter| row.title.contains(filter.as_str()))
        };
        let mut found: Vec<&ConversationRow> = self.rows.iter().filter(lies).collect();
        found.sort_by(|a, b| super::list::compare(*order, a, b));
        let total = u32::try_from(found.len()).unwrap();
        let items = found.into_iter().skip(*offset as usize).take(*limit as usize).cloned().collect();
        Some(Reply::Conversations(Window { offset: *offset, total, items }))
    }

    /// Draws and answers until nothing is asked any more.
    fn serve(&mut self, bench: &mut Bench) {
        loop {
            bench.frame();
            let mut asked: Vec<(u64, Query)> = Vec::new();
            bench.cmds.retain(|cmd| match cmd {
                Cmd::Ask { tag, query: query @ Query::Conversations { .. } } => {
                    asked.push((*tag, query.clone()));
                    false
                }
                _ => true,
            });
            if asked.is_empty() {
                return;
            }
            let of =
                |query: &Query| if let Query::Conversations { shelf, filter, .. } = query { Some((*shelf, filter.clone())) } else { None };
            for (_, query) in &asked {
                self.most = self.most.max(asked.iter().filter(|(_, other)| of(other) == of(query)).count());
            }
            self.asked += asked.len();
            for (tag, query) in asked {
                let reply = self.answer(&query).unwrap();
                bench.msg(Msg::Reply { tag, result: Ok(reply) });
            }
        }
    }

    /// A row changes at the host.
    fn change(&mut self, bench: &mut Bench, id: ConversationId, change: impl FnOnce(&mut ConversationRow)) {
        let row = self.rows.iter_mut().find(|row| row.id == id).unwrap();
        change(row);
        let row = row.clone();
        bench.event(EventKind::Row(row));
    }
}

fn folder_id(n: u128) -> FolderId {
    uuid::Uuid::from_u128(0x3000 + n).into()
}

fn folder(n: u128, name: &str, parent: Option<u128>) -> Folder {
    let parent = parent.map(folder_id);
    Folder { id: folder_id(n), parent, name: name.into(), template: None, search: None, count: 0, unread: 0 }
}

fn counted(rows: &[ConversationRow], mut folders: Vec<Folder>) -> Vec<Folder> {
    for folder in &mut folders {
        let own = rows.iter().filter(|row| row.folder == Some(folder.id) && !row.archived && row.deleted.is_none());
        folder.count = u32::try_from(own.clone().count()).unwrap();
        folder.unread = u32::try_from(own.filter(|row| row.unread).count()).unwrap();
    }
    folders
}

/// Everything that the pane shows: pins, nested folders, a smart one, archive and bin.
fn kept() -> (Snapshot, Lists) {
    let mut rows: Vec<ConversationRow> = [
        "quicksort in rust",
        "release notes",
        "",
        "a title that is much longer than the pane in which it is to stand, for sure",
        "日本語の会話",
        "budget of the year",
        "old letters",
        "to be forgotten",
        "recipes",
    ]
    .into_iter()
    .enumerate()
    .map(|(n, title)| row(n as u128 + 1, title))
    .collect();
    rows[0].pinned = true;
    rows[1].unread = true;
    rows[1].folder = Some(folder_id(2));
    rows[2].branches = 1;
    rows[3].running = 2;
    rows[3].queued = 3;
    rows[3].tokens = 12_400;
    rows[4].folder = Some(folder_id(1));
    rows[4].tags = vec!["lang".into(), "読む".into()];
    rows[5].folder = Some(folder_id(3));
    rows[6].archived = true;
    rows[7].deleted = Some(NOON - 86_400_000);
    let mut smart = folder(4, "long ones", None);
    smart.search = Some("title".into());
    let folders = vec![folder(1, "work", None), folder(2, "drafts", Some(1)), folder(3, "Home", None), smart];
    let folders = counted(&rows, folders);
    let listed: Vec<ConversationRow> = rows.iter().filter(|row| !row.archived && row.deleted.is_none()).cloned().collect();
    let total = u32::try_from(listed.len()).unwrap();
    let start = Snapshot { conversations: Window { offset: 0, total, items: listed }, folders, ..snapshot() };
    (start, Lists { rows, ..Lists::default() })
}

fn screen(width: u16, height: u16) -> (Bench, Lists) {
    let mut bench = Bench::new(width, height);
    let (start, mut lists) = kept();
    bench.attach(start);
    let mut shown = opened();
    shown.conversation.row.pinned = true;
    bench.answer_open(shown);
    bench.keys("<Esc>");
    bench.model.focus(super::ID);
    lists.serve(&mut bench);
    bench.cmds.clear();
    (bench, lists)
}

fn keeps(bench: &mut Bench) -> Vec<(Vec<ConversationId>, Keep)> {
    let posted = bench.posted().into_iter();
    posted.filter_map(|c| if let Command::Keep { conversations, change } = c { Some((conversations, change)) } else { None }).collect()
}

#[test]
fn pictures() {
    for (width, height) in [(160, 45), (80, 24), (52, 30)] {
        let (mut bench, _) = screen(width, height);
        insta::assert_snapshot!(format!("kept_{width}x{height}"), bench.text());
    }
    let (mut bench, mut lists) = screen(120, 30);
    bench.keys("Gzakza");
    lists.serve(&mut bench);
    bench.keys("<C-w>z");
    lists.serve(&mut bench);
    insta::assert_snapshot!("kept_zoomed", bench.text());
    bench.keys("ggx:order title<Enter>");
    lists.serve(&mut bench);
    insta::assert_snapshot!("kept_ordered", bench.text());
    bench.keys("/title");
    lists.serve(&mut bench);
    insta::assert_snapshot!("kept_filtered", bench.text());
}

#[test]
fn marks_go_to_the_bin_and_come_back() {
    let (mut bench, mut lists) = screen(120, 30);
    bench.keys(":order title<Enter>");
    lists.serve(&mut bench);
    bench.keys("/s");
    lists.serve(&mut bench);
    bench.keys("<Enter>gg2x");
    bench.cmds.clear();
    bench.keys("D");
    let posted = keeps(&mut bench);
    let [(ids, Keep::Deleted(true))] = posted.as_slice() else { panic!("{posted:?}") };
    assert_eq!(ids.len(), 2, "one command for both");
    for id in ids.clone() {
        lists.change(&mut bench, id, |row| row.deleted = Some(NOON));
    }
    bench.keys("/<C-u><Enter>");
    lists.serve(&mut bench);
    assert!(!bench.shows("marked"), "what went away is marked no more");
    bench.keys("G");
    assert!(bench.text().lines().any(|line| line.contains("Bin") && line.contains('3')), "{}", bench.text());
    // There, D asks first and says what is lost; R brings back.
    bench.keys("l");
    lists.serve(&mut bench);
    bench.keys("GD");
    assert!(bench.shows("goes for good"), "{}", bench.text());
    bench.keys("n").cmds.clear();
    bench.keys("R");
    let posted = keeps(&mut bench);
    assert!(matches!(posted.as_slice(), [(ids, Keep::Deleted(false))] if ids.len() == 1), "{posted:?}");
    bench.keys("Dy");
    assert!(bench.posted().iter().any(|c| matches!(c, Command::DeleteConversation { .. })));
}

#[test]
fn conversations_and_folders_move() {
    let (mut bench, _) = screen(120, 30);
    // Onto the pinned one, and into a folder by a part of its path.
    bench.keys("ggmdraf<Enter>");
    assert_eq!(keeps(&mut bench), [(vec![conversation(1)], Keep::Folder(Some(folder_id(2))))]);
    bench.keys("m<Down><Down><Down><Enter>");
    assert_eq!(keeps(&mut bench), [(vec![conversation(1)], Keep::Folder(None))], "the last row is no folder at all");
    // A new one, within a new one.
    bench.keys("mtrips / 2026<Enter>");
    let posted = bench.posted();
    let made: Vec<&Folder> =
        posted.iter().filter_map(|c| if let Command::SaveFolder { folder } = c { Some(folder) } else { None }).collect();
    assert_eq!(made.iter().map(|f| f.name.as_str()).collect::<Vec<_>>(), ["trips", "2026"]);
    assert_eq!(made[1].parent, Some(made[0].id));
    assert!(posted.iter().any(|c| matches!(c, Command::Keep { change: Keep::Folder(Some(id)), .. } if *id == made[1].id)));
    // The cursor on a folder: it is what moves, is renamed, goes away.
    bench.keys("j:move work<Enter>");
    let posted = bench.posted();
    let [Command::SaveFolder { folder }] = posted.as_slice() else { panic!("{posted:?}") };
    assert_eq!((folder.name.as_str(), folder.parent), ("Home", Some(folder_id(1))));
    bench.keys("r<C-u>house<Enter>");
    assert!(matches!(bench.posted().as_slice(), [Command::SaveFolder { folder }] if folder.name == "house"));
    bench.keys("D");
    assert!(matches!(bench.posted().as_slice(), [Command::DeleteFolder { id }] if *id == folder_id(3)));
}

#[test]
fn acts_have_keys_and_names() {
    let (mut bench, _) = screen(120, 30);
    bench.keys("gg");
    bench.cmds.clear();
    bench.keys("p");
    assert_eq!(keeps(&mut bench), [(vec![conversation(1)], Keep::Pinned(false))], "it is pinned already");
    bench.keys(":archive<Enter>");
    assert_eq!(keeps(&mut bench), [(vec![conversation(1)], Keep::Archived(true))]);
    bench.keys(":tag code<Enter>");
    assert_eq!(keeps(&mut bench), [(vec![conversation(1)], Keep::Tag { name: "code".into(), on: true })]);
    bench.keys("t").frame();
    let tag = bench.asked(|q| matches!(q, Query::Tags)).unwrap();
    bench.msg(Msg::Reply { tag, result: Ok(Reply::Tags(vec![("lang".into(), 1)])) });
    assert!(bench.shows("[ ] lang"));
    bench.keys("<Enter>");
    assert!(bench.shows("[x] lang"));
    assert_eq!(keeps(&mut bench), [(vec![conversation(1)], Keep::Tag { name: "lang".into(), on: true })]);
    bench.keys("<Esc>C");
    assert!(matches!(bench.posted().as_slice(), [Command::Fork { node: None, scope: Scope::All, .. }]));
    bench.keys("jOplans<Enter>");
    let posted = bench.posted();
    assert!(matches!(posted.as_slice(), [Command::SaveFolder { folder }] if folder.parent == Some(folder_id(3))), "{posted:?}");
    // What begins here lies here.
    bench.keys("ohello<Enter>");
    let posted = bench.posted();
    assert!(posted.iter().any(|c| matches!(c, Command::Keep { change: Keep::Folder(Some(id)), .. } if *id == folder_id(3))), "{posted:?}");
}

#[test]
fn a_filter_becomes_a_folder() {
    let (mut bench, mut lists) = screen(120, 30);
    bench.keys("/title");
    lists.serve(&mut bench);
    bench.keys("<Enter>gFlong<Enter>");
    let posted = bench.posted();
    let folder = posted.iter().find_map(|c| if let Command::SaveFolder { folder } = c { Some(folder) } else { None }).unwrap();
    assert_eq!((folder.name.as_str(), folder.search.as_deref()), ("long", Some("title")));
}

#[test]
fn folds_and_order_are_remembered() {
    let (mut bench, mut lists) = screen(120, 30);
    bench.keys("ggjza:order title<Enter>:order title<Enter>");
    lists.serve(&mut bench);
    let posted = bench.posted();
    let kept = posted.iter().rev().find_map(|c| match c {
        Command::SetSetting { key, value } if key == super::SETTING => Some(value.clone()),
        _ => None,
    });
    let kept = kept.unwrap();
    assert_eq!((kept["by"].as_str(), kept["reversed"].as_bool()), (Some("title"), Some(true)));
    let before = bench.text();
    let (mut start, _) = self::kept();
    start.settings.insert(super::SETTING.to_owned(), kept);
    bench.msg(Msg::Restored(Box::new(start)));
    lists.serve(&mut bench);
    let list = |text: &str| -> Vec<String> { text.lines().take(29).map(|line| line.chars().take(28).collect()).collect() };
    assert_eq!(list(&bench.text()), list(&before));
}

#[test]
fn the_cursor_stays_on_its_conversation() {
    let (mut bench, mut lists) = screen(120, 30);
    bench.keys("G2k");
    let here = |bench: &mut Bench| bench.model.pane(super::ID).and_then(|pane| pane.subject(&bench.model.cx()));
    let before = here(&mut bench);
    assert!(before.is_some());
    lists.change(&mut bench, conversation(9), |row| row.updated = NOON + 1);
    assert_eq!(here(&mut bench), before);
    lists.serve(&mut bench);
    assert_eq!(here(&mut bench), before);
}

#[test]
fn a_hundred_thousand_are_asked_for_window_by_window() {
    let mut lists = Lists { rows: (0..100_000).map(|n| row(n, &format!("no{n}"))).collect(), ..Lists::default() };
    let items: Vec<ConversationRow> = lists.rows[..200].to_vec();
    let mut bench = Bench::new(120, 40);
    bench.attach(Snapshot { conversations: Window { offset: 0, total: 100_000, items }, last: None, ..snapshot() });
    bench.model.focus(super::ID);
    lists.serve(&mut bench);
    let held = |bench: &Bench| bench.model.shared.replica.rows.len();
    let start = lists.asked;
    for _ in 0..3 {
        bench.keys("<C-d>jjjjj");
        lists.serve(&mut bench);
    }
    assert!(bench.text().contains("no3"));
    bench.keys("G");
    lists.serve(&mut bench);
    assert!(bench.shows("no99999"), "{}", bench.text());
    bench.keys("9000G");
    lists.serve(&mut bench);
    assert!(bench.shows("no8999"));
    assert!(lists.asked - start <= 6, "{} questions for three places", lists.asked - start);
    // Runs begin and end here and there: what is in view is asked for once for all of them.
    let before = lists.asked;
    for n in 0..500u128 {
        lists.change(&mut bench, conversation(n * 199), |row| {
            row.running = 1;
            row.updated = NOON + n as i64;
        });
    }
    lists.serve(&mut bench);
    assert!(lists.asked - before <= 8, "{} questions", lists.asked - before);
    assert!(held(&bench) < 1_100, "{} rows are kept beside those of the list", held(&bench));
    // A filter as it is typed: the newest counts, one question at a time.
    bench.keys("/no4242");
    lists.serve(&mut bench);
    assert!(bench.shows("11 of 100,000"), "{}", bench.text());
    assert_eq!(lists.most, 1, "one question of a shelf at a time");
}
