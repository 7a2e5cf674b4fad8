//! `arbour conversations`: list, print, search.

use serde_json::Value;

use super::args::{Conversations, ConversationsCommand};
use super::context::Context;
use super::plain::{self, UNKNOWN};
use super::session::{misunderstood, title};
use super::{json, output};
use crate::core::Doc;
use crate::error::Result;
use crate::proto::{ConversationRow, Node, Part, Query, Reply, Role, SearchHit, State, UnixMs, content_text};
use crate::sanitise;

pub async fn run(context: &Context, conversations: Conversations) -> Result<u8> {
    let all = conversations.json;
    match conversations.command.unwrap_or(ConversationsCommand::Ls { filter: None, limit: None, json: all }) {
        ConversationsCommand::Ls { filter, limit, json } => list(context, filter.as_deref(), limit, json || all).await,
        ConversationsCommand::Show { conversation, hidden, json } => show(context, &conversation, hidden, json || all).await,
        ConversationsCommand::Search { words, limit, json } => search(context, &words.join(" "), limit, json || all).await,
    }
}

async fn list(context: &Context, filter: Option<&str>, limit: Option<u32>, as_json: bool) -> Result<u8> {
    let rows = context.session().await?.conversations(filter, limit).await?;
    if as_json {
        output::value(&Value::Array(rows.iter().map(json::conversation).collect()))?;
    } else if !rows.is_empty() {
        output::text(&listing(&rows, jiff::Timestamp::now().as_millisecond()))?;
    }
    Ok(0)
}

fn listing(rows: &[ConversationRow], now: UnixMs) -> String {
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let id = row.id.to_string();
            let mark = match (row.running, row.unread) {
                (1.., _) => "▸ ",
                (0, true) => "• ",
                (0, false) => "",
            };
            vec![
                // The last group: ids begin with the time, so their beginnings are alike.
                id.rsplit('-').next().unwrap_or(&id).to_owned(),
                plain::age(row.updated, now),
                row.messages.to_string(),
                row.branches.to_string(),
                row.model.as_ref().map_or_else(|| UNKNOWN.to_owned(), |m| m.model.clone()),
                format!("{mark}{}", title(row)),
            ]
        })
        .collect();
    plain::table(&["ID", "CHANGED", "MESSAGES", "BRANCHES", "MODEL", "TITLE"], &[false, false, true, true], &rows)
}

async fn show(context: &Context, wanted: &str, hidden: bool, as_json: bool) -> Result<u8> {
    let mut session = context.session().await?;
    let row = session.find_conversation(wanted).await?;
    let doc = session.open_whole(row.id).await?;
    if as_json {
        output::value(&json::tree(&doc, hidden))?;
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
            if let Part::File { name, .. } | Part::Image { name, .. } = part {
                out.push_str(&format!("  [{}]\n", sanitise::line(name)));
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
    let mut session = context.session().await?;
    let query = Query::Search { text: words.to_owned(), conversation: None, limit };
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
        out.push_str(&format!("  {}: {snippet}\n", hit.role.word()));
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
        let tree = json::tree(&doc, false);
        let contents: Vec<&str> = tree["nodes"].as_array().into_iter().flatten().filter_map(|n| n["content"].as_str()).collect();
        assert_eq!(contents, ["Sort\nthis\u{7}", "One", "Two"], "as it came, every branch");
        assert_eq!(tree["branches"]["main"], tree["nodes"][2]["id"]);
        assert_eq!(tree["head"], tree["nodes"][2]["id"]);
        assert_eq!(tree["nodes"][1]["parents"], serde_json::json!([tree["nodes"][0]["id"]]));
    }

    #[test]
    fn a_listing_shows_the_telling_end_of_the_id() {
        let row = doc().conversation.row;
        let text = listing(std::slice::from_ref(&row), 90_000);
        let end = row.id.to_string().rsplit('-').next().map(str::to_owned).unwrap_or_default();
        assert!(
            text.lines().nth(1).is_some_and(|line| line.starts_with(&end) && line.contains("1 min") && line.contains("• quick")),
            "{text}"
        );
    }
}
