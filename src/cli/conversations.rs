//! `arbour conversations`: list, print, search; folders, tags, bookmarks.

use serde_json::Value;

use super::args::{Conversations, ConversationsCommand, List};
use super::context::Context;
use super::keep::{self, Act};
use super::plain::{self, UNKNOWN};
use super::session::{Session, misunderstood, title};
use super::{json, output};
use crate::core::Doc;
use crate::core::filter::Wanted;
use crate::core::filter::conversations::{Calendar, Filter, Subject, folder_path, folders};
use crate::error::{Error, Kind, Result, nearest, quoted};
use crate::proto::{
    Bookmark, ConversationRow, Folder, Node, Order, Part, Query, Reply, Role, SearchHit, Shelf, State, UnixMs, content_text,
};
use crate::sanitise;

pub async fn run(context: &Context, conversations: Conversations) -> Result<u8> {
    let all = conversations.json;
    match conversations.command.unwrap_or_else(|| ConversationsCommand::Ls(List::default())) {
        ConversationsCommand::Ls(which) => list(context, &which, which.json || all).await,
        ConversationsCommand::Show { conversation, hidden, json } => show(context, &conversation, hidden, json || all).await,
        ConversationsCommand::Search { words, limit, json } => search(context, &words.join(" "), limit, json || all).await,
        ConversationsCommand::Archive { conversations } => keep::run(context, &conversations, Act::Archive).await,
        ConversationsCommand::Restore { conversations } => keep::run(context, &conversations, Act::Restore).await,
        ConversationsCommand::Rm { conversations, for_good } => {
            keep::run(context, &conversations, if for_good { Act::Delete } else { Act::Bin }).await
        }
        ConversationsCommand::Folders { json } => list_folders(context, json || all).await,
        ConversationsCommand::Tags { json } => tags(context, json || all).await,
        ConversationsCommand::Bookmarks { filter, limit, json } => bookmarks(context, &filter.join(" "), limit, json || all).await,
    }
}

async fn list(context: &Context, which: &List, as_json: bool) -> Result<u8> {
    let (mut filter, named) = understood(&which.filter.join(" "), Subject::Conversations)?;
    let mut session = context.session().await?;
    let shelf = match (which.archived, which.bin, which.all) {
        (true, ..) => Shelf::Archive,
        (_, true, _) => Shelf::Bin,
        (.., true) => Shelf::Everything,
        (false, false, false) => named,
    };
    if let Some(name) = &which.folder {
        filter = format!("folder:\"{}\" {filter}", named_folder(&session, name)?);
    }
    let order = Order { by: which.sort.order(), reversed: which.reverse };
    let rows = session.conversations(shelf, order, Some(&filter), which.limit).await?;
    if as_json {
        let all = &session.replica.folders;
        output::value(&Value::Array(rows.iter().map(|row| json::conversation(row, all)).collect()))?;
    } else if !rows.is_empty() {
        output::text(&listing(&rows, &session.replica.folders, jiff::Timestamp::now().as_millisecond()))?;
    }
    Ok(0)
}

/// A filter as it was typed; on the command line, what is not understood is a mistake.
/// With the shelf that it names.
fn understood(text: &str, subject: Subject) -> Result<(String, Shelf)> {
    let zone = jiff::tz::TimeZone::system();
    let offset = |at: UnixMs| jiff::Timestamp::from_millisecond(at).map_or(0, |at| zone.to_offset(at).seconds());
    let calendar = Calendar { now: jiff::Timestamp::now().as_millisecond(), offset: &offset };
    let filter = Filter::parse(text, subject, &calendar);
    match filter.problems().first() {
        None => Ok((text.to_owned(), filter.shelf())),
        Some(problem) => {
            let error = Error::new(Kind::Usage, problem.message.clone());
            Err(problem.hint.iter().fold(error, |error, hint| error.hint(hint.clone())))
        }
    }
}

/// The folder that is meant, by its name or path.
fn named_folder(session: &Session, name: &str) -> Result<String> {
    let all = &session.replica.folders;
    let wanted = name.trim().replace('"', "");
    if !wanted.is_empty() && !folders(all, &[Wanted::Whole(wanted.to_lowercase())]).is_empty() {
        return Ok(wanted);
    }
    let error = Error::new(Kind::Usage, format!("No folder is called {}.", quoted(name)));
    let paths: Vec<String> = all.iter().filter(|folder| folder.search.is_none()).map(|folder| folder_path(all, folder.id)).collect();
    Err(match nearest(&wanted, paths.iter().map(String::as_str)) {
        Some(near) => error.hint(format!("Did you mean {}?", sanitise::line(near))),
        None => error.hint("`arbour conversations folders` lists those that there are."),
    })
}

fn listing(rows: &[ConversationRow], folders: &[Folder], now: UnixMs) -> String {
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let id = row.id.to_string();
            let mut shown = String::new();
            match (row.running, row.unread) {
                (1.., _) => shown.push_str("▸ "),
                (0, true) => shown.push_str("• "),
                (0, false) => {}
            }
            shown.push_str(&title(row));
            for tag in &row.tags {
                shown.push_str(&format!(" #{}", sanitise::line(tag)));
            }
            let kept = [(row.pinned, "pinned"), (row.archived, "archived"), (row.deleted.is_some(), "in the bin")];
            for (_, word) in kept.iter().filter(|(is, _)| *is) {
                shown.push_str(&format!("  ({word})"));
            }
            vec![
                // The last group: ids begin with the time, so their beginnings are alike.
                id.rsplit('-').next().unwrap_or(&id).to_owned(),
                plain::age(row.updated, now),
                row.messages.to_string(),
                row.branches.to_string(),
                row.model.as_ref().map_or_else(|| UNKNOWN.to_owned(), |m| m.model.clone()),
                row.folder.map_or_else(String::new, |id| sanitise::line(&folder_path(folders, id)).into_owned()),
                shown,
            ]
        })
        .collect();
    plain::table(&["ID", "CHANGED", "MESSAGES", "BRANCHES", "MODEL", "FOLDER", "TITLE"], &[false, false, true, true], &rows)
}

async fn show(context: &Context, wanted: &str, hidden: bool, as_json: bool) -> Result<u8> {
    let mut session = context.session().await?;
    let row = session.find_conversation(wanted).await?;
    let doc = session.open_whole(row.id).await?;
    if as_json {
        output::value(&json::tree(&doc, hidden, &session.replica.folders))?;
    } else {
        output::text(&transcript(&doc, hidden))?;
    }
    Ok(0)
}

/// The path to HEAD as a person reads it; with `hidden` every message, in order of addition.
fn transcript(doc: &Doc, hidden: bool) -> String {
    let row = &doc.conversation.row;
    let mut out = format!("{}\n{}\n", title(row), row.id);
    for (name, leaf) in &doc.conversation.branches {
        let head = if doc.conversation.head == Some(*leaf) { " (HEAD)" } else { "" };
        out.push_str(&format!("branch {}{head}\n", sanitise::line(name)));
    }
    if let Some(system) = &doc.conversation.system {
        out.push_str(&format!("\nsystem\n{}\n", indented(system)));
    }
    let shown: Vec<&Node> = if hidden {
        doc.nodes().iter().collect()
    } else {
        doc.default_leaf().map(|leaf| doc.path(leaf)).unwrap_or_default().into_iter().filter_map(|id| doc.node(id)).collect()
    };
    for node in shown {
        out.push_str(&format!("\n{}\n", heading(doc, node)));
        let parts = doc.content(node.id).map(Vec::as_slice).unwrap_or_default();
        out.push_str(&indented(&content_text(parts)));
        out.push('\n');
        for part in parts {
            match part {
                Part::File { name, .. } | Part::Image { name, .. } => out.push_str(&format!("  [{}]\n", sanitise::line(name))),
                Part::ToolCall { name, arguments, .. } => {
                    out.push_str(&format!("  calls {} {}\n", sanitise::line(name), sanitise::line(arguments)));
                }
                Part::ToolResult { content, .. } => out.push_str(&format!("  returned:\n{}\n", indented(content))),
                Part::Text { .. } | Part::Thinking { .. } => {}
            }
        }
    }
    out
}

fn heading(doc: &Doc, node: &Node) -> String {
    let who = match (node.role, &node.model) {
        (Role::Assistant, Some(model)) => sanitise::line(&model.model).into_owned(),
        (Role::User, _) => "you".to_owned(),
        (role, _) => role.word().to_owned(),
    };
    let time = jiff::Timestamp::from_millisecond(node.created)
        .map(|stamp| stamp.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string())
        .unwrap_or_default();
    let mut out = format!("{who}  {time}");
    let (place, count) = doc.place(node.id);
    if count > 1 {
        out.push_str(&format!("  ‹{place}/{count}›"));
    }
    if node.hidden {
        out.push_str("  taken back");
    }
    if node.archived {
        out.push_str("  put away");
    }
    if !matches!(node.state, State::Done | State::Sent | State::Accepted) {
        out.push_str(&format!("  {}", node.state));
    }
    let figures = node.run.as_ref().map(|run| run.figures).unwrap_or_default();
    if let Some(ttft) = figures.ttft_ms {
        out.push_str(&format!("  {}", plain::duration(ttft.value)));
    }
    if let Some(rate) = figures.tokens_per_s {
        out.push_str(&format!(" · {:.1} t/s", rate.value));
    }
    if let Some(tokens) = figures.completion_tokens {
        out.push_str(&format!(" · {:.0} tok", tokens.value));
    }
    out
}

fn indented(text: &str) -> String {
    sanitise::block(text.trim_end())
        .lines()
        .map(|line| if line.is_empty() { String::new() } else { format!("  {line}") })
        .collect::<Vec<_>>()
        .join("\n")
}

async fn search(context: &Context, words: &str, limit: u32, as_json: bool) -> Result<u8> {
    let (words, _) = understood(words, Subject::Messages)?;
    let mut session = context.session().await?;
    let query = Query::Search { text: words, conversation: None, limit };
    let Reply::Hits(hits) = session.client.query(query).await? else { return Err(misunderstood()) };
    if as_json {
        output::value(&Value::Array(hits.iter().map(json::hit).collect()))?;
    } else if !hits.is_empty() {
        output::text(&found(&hits, output::is_terminal()))?;
    }
    Ok(0)
}

fn found(hits: &[SearchHit], bold: bool) -> String {
    let (on, off) = if bold { ("\x1b[1m", "\x1b[m") } else { ("", "") };
    let mut out = String::new();
    for hit in hits {
        let id = hit.conversation.to_string();
        let title = sanitise::line(&hit.title);
        let title = if title.is_empty() { "untitled" } else { &*title };
        out.push_str(&format!("{}  {title}\n", id.rsplit('-').next().unwrap_or(&id)));
        // The marks are private-use characters, which sanitising leaves alone.
        let snippet = sanitise::line(&hit.snippet).replace('\u{E000}', on).replace('\u{E001}', off);
        let archived = if hit.archived { " (archived)" } else { "" };
        out.push_str(&format!("  {}{archived}: {snippet}\n", hit.role.word()));
    }
    out
}

async fn list_folders(context: &Context, as_json: bool) -> Result<u8> {
    let session = context.session().await?;
    let all = &session.replica.folders;
    let mut paths: Vec<(String, &Folder)> = all.iter().map(|folder| (folder_path(all, folder.id), folder)).collect();
    paths.sort_by_key(|(path, _)| path.to_lowercase());
    if as_json {
        output::value(&Value::Array(paths.iter().map(|(path, folder)| json::folder(folder, path)).collect()))?;
    } else if !paths.is_empty() {
        let row = |(path, folder): &(String, &Folder)| {
            let of = folder.search.as_ref().map(|search| format!("finds {}", sanitise::line(search)));
            vec![
                if folder.search.is_some() { UNKNOWN.to_owned() } else { folder.count.to_string() },
                if folder.search.is_some() { UNKNOWN.to_owned() } else { folder.unread.to_string() },
                sanitise::line(path).into_owned(),
                of.or_else(|| folder.template.as_ref().map(|name| format!("template {}", sanitise::line(name)))).unwrap_or_default(),
            ]
        };
        let rows: Vec<Vec<String>> = paths.iter().map(row).collect();
        output::text(&plain::table(&["CONVERSATIONS", "UNREAD", "FOLDER", ""], &[true, true], &rows))?;
    }
    Ok(0)
}

async fn tags(context: &Context, as_json: bool) -> Result<u8> {
    let mut session = context.session().await?;
    let Reply::Tags(tags) = session.client.query(Query::Tags).await? else { return Err(misunderstood()) };
    if as_json {
        output::value(&Value::Array(tags.iter().map(|(name, count)| json::tag(name, *count)).collect()))?;
    } else if !tags.is_empty() {
        let rows: Vec<Vec<String>> = tags.iter().map(|(name, count)| vec![count.to_string(), sanitise::line(name).into_owned()]).collect();
        output::text(&plain::table(&["CONVERSATIONS", "TAG"], &[true], &rows))?;
    }
    Ok(0)
}

async fn bookmarks(context: &Context, filter: &str, limit: u32, as_json: bool) -> Result<u8> {
    let (filter, _) = understood(filter, Subject::Messages)?;
    let mut session = context.session().await?;
    let query = Query::Bookmarks { offset: 0, limit, filter: Some(filter) };
    let Reply::Bookmarks(window) = session.client.query(query).await? else { return Err(misunderstood()) };
    if as_json {
        output::value(&Value::Array(window.items.iter().map(json::bookmark).collect()))?;
    } else if !window.items.is_empty() {
        output::text(&marked(&window.items))?;
    }
    Ok(0)
}

fn marked(bookmarks: &[Bookmark]) -> String {
    let mut out = String::new();
    for bookmark in bookmarks {
        let id = bookmark.conversation.to_string();
        let title = sanitise::line(&bookmark.title);
        let title = if title.is_empty() { "untitled" } else { &*title };
        out.push_str(&format!("{}  {title}\n", id.rsplit('-').next().unwrap_or(&id)));
        out.push_str(&format!("  {}: {}\n", bookmark.role.word(), sanitise::line(&bookmark.snippet)));
        if !bookmark.note.is_empty() {
            out.push_str(&format!("  note: {}\n", sanitise::line(&bookmark.note)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{Conversation, IdGen, NodeId};

    fn doc() -> Doc {
        let mut ids = IdGen::Counting(0);
        let row = ConversationRow {
            title: "quick\u{1b}[2Jsort".into(),
            messages: 3,
            branches: 2,
            unread: true,
            ..ConversationRow::new(ids.fresh(), 0)
        };
        let node = |id: NodeId, parent: Option<NodeId>, role: Role, state: State| Node::new(id, parent, role, state, 0);
        let (user, first, second): (NodeId, NodeId, NodeId) = (ids.fresh(), ids.fresh(), ids.fresh());
        let text = |t: &str| vec![Part::Text { text: t.to_owned() }];
        let nodes = vec![
            node(user, None, Role::User, State::Accepted),
            node(first, Some(user), Role::Assistant, State::Done),
            Node { hidden: false, ..node(second, Some(user), Role::Assistant, State::Stopped) },
        ];
        let conversation = Conversation {
            head: Some(second),
            system: Some("Be brief.".into()),
            branches: [("main".to_owned(), second)].into(),
            ..Conversation::new(row)
        };
        Doc::new(conversation, nodes, [(user, text("Sort\nthis\u{7}")), (first, text("One")), (second, text("Two"))])
    }

    #[test]
    fn a_transcript_follows_head_and_is_harmless() {
        let text = transcript(&doc(), false);
        assert!(!text.contains(['\u{1b}', '\u{7}']), "{text:?}");
        assert!(text.contains("branch main (HEAD)\n"), "{text}");
        assert!(text.contains("system\n  Be brief.\n"), "{text}");
        assert!(text.contains("‹2/2›  stopped\n  Two\n"), "{text}");
        assert!(text.contains("\n  Sort\n  this"), "{text}");
        assert!(!text.contains("One"), "the other branch is not on the path: {text}");
    }

    #[test]
    fn the_json_of_a_conversation_is_its_whole_tree() {
        let doc = doc();
        let tree = json::tree(&doc, false, &[]);
        let contents: Vec<&str> = tree["nodes"].as_array().into_iter().flatten().filter_map(|n| n["content"].as_str()).collect();
        assert_eq!(contents, ["Sort\nthis\u{7}", "One", "Two"], "as it came, every branch");
        assert_eq!(tree["branches"]["main"], tree["nodes"][2]["id"]);
        assert_eq!(tree["head"], tree["nodes"][2]["id"]);
        assert_eq!(tree["nodes"][1]["parents"], serde_json::json!([tree["nodes"][0]["id"]]));
    }

    #[test]
    fn a_listing_shows_the_telling_end_of_the_id() {
        let row = doc().conversation.row;
        let text = listing(std::slice::from_ref(&row), &[], 90_000);
        let end = row.id.to_string().rsplit('-').next().map(str::to_owned).unwrap_or_default();
        assert!(
            text.lines().nth(1).is_some_and(|line| line.starts_with(&end) && line.contains("1 min") && line.contains("• quick")),
            "{text}"
        );
    }
}
