//! What `--json` prints. The names here are public: README documents them, scripts rely on them; one may be added, none changed.
//!
//! Invariant: what is not known is `null`, never absent and never 0; times are RFC 3339 in UTC; sizes are bytes, durations
//! milliseconds. Text is as it came: whoever prints it to a terminal makes it harmless.

use serde_json::{Map, Value, json};

use crate::core::Doc;
use crate::core::filter::conversations::folder_path;
use crate::error::Error;
use crate::proto::{
    Bookmark, Content, ConversationRow, Download, EstimatePart, Figure, Figures, Finish, Fit, Folder, FolderId, Inspection, Instance,
    JobItem, Layer, ModelInfo, ModelUse, Node, Part, Run, SearchHit, UnixMs, content_text,
};

/// A moment as `2026-11-22T10:02:03.456Z`.
pub fn time(at: UnixMs) -> Value {
    jiff::Timestamp::from_millisecond(at).map_or(Value::Null, |stamp| Value::String(format!("{stamp:.3}")))
}

/// A model of which it was not asked what its runs say.
pub fn model(model: &ModelInfo) -> Value {
    described(model, None)
}

/// A model with what its runs say.
pub fn model_used(model: &ModelInfo, uses: &ModelUse) -> Value {
    described(model, Some(uses))
}

fn described(model: &ModelInfo, uses: Option<&ModelUse>) -> Value {
    json!({
        "name": model.name,
        "backend": model.backend,
        "kind": model.kind.word(),
        "state": model.state,
        "size_bytes": model.size_bytes,
        "quantisation": model.quantisation,
        "context": model.context,
        "context_max": model.context_max,
        "family": model.family,
        "capabilities": model.capabilities,
        "memory_bytes": model.memory_bytes,
        "gpu_bytes": model.gpu_bytes,
        "expires": model.expires.map(time),
        "favourite": model.card.favourite,
        "hidden": model.card.hidden,
        "pinned": model.card.pinned,
        "groups": model.card.groups,
        "tags": model.card.tags,
        "note": model.card.note,
        "preset": model.card.preset,
        "load": model.card.load,
        "request": model.card.request,
        "settings": model.card.parameters,
        "runs": uses.map(|uses| uses.runs),
        "failed_runs": uses.map(|uses| uses.failed),
        "last_used": uses.and_then(|uses| uses.last).map(time),
        "tokens_per_s": uses.and_then(|uses| uses.tokens_per_s).map(number),
        "ttft_ms": uses.and_then(|uses| uses.ttft_ms).map(number),
        "error": model.error.as_ref().map(error),
    })
}

/// A loaded model, and what it costs to run.
pub fn instance(instance: &Instance) -> Value {
    let whole = |figure: Option<Figure>| figure.map_or(Value::Null, |f| number(f.value.round()));
    let source = |figure: Option<Figure>| figure.map_or(Value::Null, |f| json!(f.source));
    json!({
        "model": instance.model.model,
        "backend": instance.model.backend,
        "memory_bytes": whole(instance.memory),
        "gpu_bytes": whole(instance.gpu_memory),
        "gpu_share": instance.gpu_share().map_or(Value::Null, number),
        "cpu_percent": instance.cpu.map_or(Value::Null, |percent| number(f64::from(percent))),
        "context_used": instance.context_used,
        "context": instance.context,
        "busy": instance.busy,
        "slots": instance.slots,
        "queued": instance.queued,
        "expires": instance.expires.map(time),
        "since": instance.since.map(time),
        "pid": instance.pid,
        "sources": { "memory_bytes": source(instance.memory), "gpu_bytes": source(instance.gpu_memory) },
    })
}

/// A model with all that its backend tells of it.
pub fn inspection(all: &Inspection) -> Value {
    let pairs = |pairs: &[(String, String)]| Value::Object(pairs.iter().map(|(key, value)| (key.clone(), json!(value))).collect());
    let mut out = model(&all.model);
    if let Value::Object(out) = &mut out {
        out.insert("template".to_owned(), json!(all.template));
        out.insert("licence".to_owned(), json!(all.licence));
        out.insert("system".to_owned(), json!(all.system));
        out.insert("parameters".to_owned(), pairs(&all.parameters));
        out.insert("metadata".to_owned(), pairs(&all.metadata));
        let files = all.files.iter().map(|file| json!({ "path": file.path, "size_bytes": file.bytes })).collect();
        out.insert("files".to_owned(), Value::Array(files));
        out.insert("anatomy".to_owned(), json!(all.anatomy));
        out.insert("modified".to_owned(), json!(all.modified));
        out.insert("digest".to_owned(), json!(all.digest));
        out.insert("arguments".to_owned(), json!(all.arguments));
    }
    out
}

/// Whether a model fits; or several together, then `model` is the first of them.
pub fn fit(fit: &Fit) -> Value {
    let estimate = fit.estimate.as_ref().map(|estimate| {
        let part = |part: &EstimatePart| json!({ "kind": part.kind, "memory_bytes": part.memory, "gpu_bytes": part.gpu, "how": part.how });
        json!({
            "memory_bytes": estimate.memory,
            "gpu_bytes": estimate.gpu,
            "margin": estimate.margin,
            "context": estimate.context,
            "parts": estimate.parts.iter().map(part).collect::<Vec<_>>(),
            "assumed": estimate.assumed,
        })
    });
    json!({
        "model": fit.model.model,
        "backend": fit.model.backend,
        "verdict": fit.verdict,
        "estimate": estimate,
        "unknown": fit.unknown,
        "free_bytes": fit.free_memory,
        "total_bytes": fit.total_memory,
        "free_gpu_bytes": fit.free_gpu,
        "total_gpu_bytes": fit.total_gpu,
        "stop": fit.stop.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "real_bytes": fit.real.map(|figure| number(figure.value)),
        "parameters": fit.parameters,
    })
}

/// One model of a job.
pub fn item(item: &JobItem) -> Value {
    json!({
        "name": item.model.model,
        "backend": item.model.backend,
        "state": item.state,
        "error": item.error.as_ref().map(error),
    })
}

/// A conversation as lists have it; its folder by its path among `folders`.
pub fn conversation(row: &ConversationRow, folders: &[Folder]) -> Value {
    json!({
        "id": row.id,
        "title": row.title,
        "titled": row.titled.word(),
        "created": time(row.created),
        "updated": time(row.updated),
        "messages": row.messages,
        "branches": row.branches,
        "tokens": row.tokens,
        "unread": row.unread,
        "running": row.running,
        "queued": row.queued,
        "model": row.model.as_ref().map(|m| m.model.clone()),
        "backend": row.model.as_ref().map(|m| m.backend.clone()),
        "folder": path(row.folder, folders),
        "tags": row.tags,
        "pinned": row.pinned,
        "archived": row.archived,
        "deleted": row.deleted.map(time),
    })
}

fn path(folder: Option<FolderId>, folders: &[Folder]) -> Option<String> {
    folder.map(|id| folder_path(folders, id)).filter(|path| !path.is_empty())
}

/// A folder; a smart one holds nothing itself.
pub fn folder(folder: &Folder, path: &str) -> Value {
    let own = |count: u32| folder.search.is_none().then_some(count);
    json!({
        "id": folder.id,
        "path": path,
        "name": folder.name,
        "conversations": own(folder.count),
        "unread": own(folder.unread),
        "template": folder.template,
        "search": folder.search,
    })
}

pub fn tag(name: &str, conversations: u32) -> Value {
    json!({ "name": name, "conversations": conversations })
}

pub fn bookmark(bookmark: &Bookmark) -> Value {
    json!({
        "conversation": bookmark.conversation,
        "title": bookmark.title,
        "node": bookmark.node,
        "role": bookmark.role.word(),
        "created": time(bookmark.created),
        "snippet": bookmark.snippet,
        "note": bookmark.note,
    })
}

pub fn download(download: &Download) -> Value {
    let layer = |layer: &Layer| json!({ "name": layer.name, "done_bytes": layer.done_bytes, "total_bytes": layer.total_bytes, "sha256": layer.sha256 });
    json!({
        "key": download.key,
        "backend": download.backend,
        "source": download.source,
        "state": download.state.word(),
        "asked": time(download.asked),
        "done_bytes": download.done_bytes,
        "total_bytes": download.total_bytes,
        "bytes_per_s": download.bytes_per_s.map(number),
        "eta_s": download.eta_s(),
        "stage": download.stage,
        "layers": download.layers.iter().map(layer).collect::<Vec<_>>(),
        "model": download.model.as_ref().map(|model| model.model.clone()),
        "note": download.note,
        "error": download.error.as_ref().map(error),
    })
}

/// A whole conversation; nodes that were taken back only with `hidden`.
pub fn tree(doc: &Doc, hidden: bool, folders: &[Folder]) -> Value {
    let conversation = &doc.conversation;
    let nodes: Vec<Value> =
        doc.nodes().iter().filter(|n| hidden || !n.hidden).map(|n| node(n, doc.content(n.id).unwrap_or(&Content::new()))).collect();
    json!({
        "id": conversation.row.id,
        "title": conversation.row.title,
        "created": time(conversation.row.created),
        "updated": time(conversation.row.updated),
        "unread": conversation.row.unread,
        "folder": path(conversation.row.folder, folders),
        "tags": conversation.row.tags,
        "pinned": conversation.row.pinned,
        "archived": conversation.row.archived,
        "deleted": conversation.row.deleted.map(time),
        "model": conversation.row.model.as_ref().map(|m| m.model.clone()),
        "backend": conversation.row.model.as_ref().map(|m| m.backend.clone()),
        "system": conversation.system,
        "parameters": conversation.parameters,
        "head": conversation.head,
        "branches": conversation.branches,
        "draft": conversation.draft,
        "nodes": nodes,
    })
}

fn node(node: &Node, parts: &Content) -> Value {
    let parents: Vec<_> = node.parent.iter().chain(&node.further_parents).collect();
    json!({
        "id": node.id,
        "parents": parents,
        "role": node.role.word(),
        "content": content_text(parts),
        "parts": parts.iter().map(part).collect::<Vec<_>>(),
        "state": node.state.word(),
        "created": time(node.created),
        "model": node.model.as_ref().map(|m| m.model.clone()),
        "backend": node.model.as_ref().map(|m| m.backend.clone()),
        "continues": node.continues,
        "copy_of": node.copy_of,
        "hidden": node.hidden,
        "archived": node.archived,
        "rating": node.rating,
        "reactions": node.reactions,
        "bookmark": node.bookmark,
        "run": node.run.as_deref().map(run),
    })
}

/// A typed piece: its type by name beside its fields.
fn part(part: &Part) -> Value {
    match part {
        Part::Text { text } => json!({ "type": "text", "text": text }),
        Part::Thinking { text } => json!({ "type": "thinking", "text": text }),
        Part::ToolCall { id, name, arguments } => json!({ "type": "tool_call", "id": id, "name": name, "arguments": arguments }),
        Part::ToolResult { id, content } => json!({ "type": "tool_result", "id": id, "content": content }),
        Part::Image { blob, mime, name, facts } => json!({
            "type": "image", "blob": blob, "mime": mime, "name": name, "bytes": facts.bytes, "tokens": facts.tokens,
            "width": facts.width, "height": facts.height,
        }),
        Part::File { blob, mime, name, facts } => {
            json!({ "type": "file", "blob": blob, "mime": mime, "name": name, "bytes": facts.bytes, "tokens": facts.tokens })
        }
    }
}

/// A measured answer: its figures by name, and under `sources` where each comes from.
pub fn run(run: &Run) -> Value {
    let mut out = Map::new();
    out.insert("id".to_owned(), json!(run.id));
    out.insert("model".to_owned(), json!(run.model.model));
    out.insert("backend".to_owned(), json!(run.model.backend));
    out.insert("started".to_owned(), time(run.started));
    out.insert("finished".to_owned(), run.finished.map_or(Value::Null, time));
    out.insert("finish".to_owned(), run.finish.as_ref().map_or(Value::Null, finish));
    out.insert("error".to_owned(), run.error.as_ref().map_or(Value::Null, error));
    let timeline: Vec<Value> = run.timeline.iter().map(|(state, at)| json!({ "state": state.word(), "at": time(*at) })).collect();
    out.insert("timeline".to_owned(), Value::Array(timeline));
    let failed: Vec<Value> = run.failed.iter().map(|failed| json!({ "at": time(failed.at), "error": error(&failed.error) })).collect();
    out.insert("failed_attempts".to_owned(), Value::Array(failed));
    let mut sources = Map::new();
    for (name, figure) in figures(&run.figures) {
        out.insert(name.clone(), figure.as_ref().map_or(Value::Null, |(value, _)| number(*value)));
        sources.insert(name, figure.map_or(Value::Null, |(_, source)| source));
    }
    out.insert("sources".to_owned(), Value::Object(sources));
    Value::Object(out)
}

/// Every figure by its name, in the order of the type, so that a new one needs no line here.
fn figures(figures: &Figures) -> Vec<(String, Option<(f64, Value)>)> {
    let Ok(Value::Object(map)) = serde_json::to_value(figures) else { return Vec::new() };
    map.into_iter()
        .map(|(name, figure)| {
            let known = figure.get("value").and_then(Value::as_f64).map(|value| (value, figure["source"].clone()));
            (name, known)
        })
        .collect()
}

/// Whole numbers without a point, others to a thousandth.
fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 9e15 {
        return Value::from(value as i64);
    }
    serde_json::Number::from_f64((value * 1000.0).round() / 1000.0).map_or(Value::Null, Value::Number)
}

/// The word of a finish reason; one that arbour does not know is the server's own.
fn finish(finish: &Finish) -> Value {
    match finish {
        Finish::Other(word) => Value::String(word.clone()),
        known => serde_json::to_value(known).unwrap_or(Value::Null),
    }
}

pub fn error(error: &Error) -> Value {
    json!({ "kind": error.kind, "message": error.message, "hints": error.hints, "cause": error.cause })
}

/// A found message; its snippet without the marks of the hit, which `matches` repeats.
pub fn hit(hit: &SearchHit) -> Value {
    let mut matches = Vec::new();
    let mut rest = hit.snippet.as_str();
    while let Some((_, after)) = rest.split_once('\u{E000}') {
        let (matched, after) = after.split_once('\u{E001}').unwrap_or((after, ""));
        matches.push(matched.to_owned());
        rest = after;
    }
    json!({
        "conversation": hit.conversation,
        "title": hit.title,
        "node": hit.node,
        "role": hit.role.word(),
        "created": time(hit.created),
        "snippet": hit.snippet.replace(['\u{E000}', '\u{E001}'], ""),
        "matches": matches,
        "above": hit.above.iter().map(|(role, line)| json!({ "role": role.word(), "line": line })).collect::<Vec<_>>(),
        "archived": hit.archived,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{BackendKind, Figure, IdGen, ModelRef, NodeId, Role, State};

    #[test]
    fn times_are_rfc_3339() {
        assert_eq!(time(1_795_341_723_456), json!("2026-11-22T10:02:03.456Z"));
        assert_eq!(time(0), json!("1970-01-01T00:00:00.000Z"));
        assert_eq!(time(i64::MAX), Value::Null);
    }

    #[test]
    fn what_is_not_known_of_a_model_is_null() {
        let got = model(&ModelInfo::named("work", BackendKind::LlamaServer, "qwen3:8b"));
        assert_eq!(
            got,
            json!({
                "name": "qwen3:8b", "backend": "work", "kind": "llama-server", "state": "unknown", "size_bytes": null,
                "quantisation": null, "context": null, "context_max": null, "family": null, "capabilities": [],
                "memory_bytes": null, "gpu_bytes": null, "expires": null, "favourite": false, "hidden": false, "pinned": false,
                "groups": [], "tags": [], "note": "", "preset": null, "load": null, "request": null, "settings": {}, "runs": null,
                "failed_runs": null, "last_used": null, "tokens_per_s": null, "ttft_ms": null, "error": null,
            })
        );
        let unused = model_used(&ModelInfo::named("work", BackendKind::LlamaServer, "qwen3:8b"), &ModelUse::default());
        assert_eq!((&unused["runs"], &unused["last_used"]), (&json!(0), &Value::Null), "asked for, and none");
    }

    #[test]
    fn a_run_tells_figures_and_where_they_come_from() {
        let figures =
            Figures { ttft_ms: Some(Figure::measured(412.3456)), completion_tokens: Some(Figure::server(312.0)), ..Figures::default() };
        let got = run(&Run {
            finish: Some(Finish::HostStopped),
            figures,
            ..Run::new(IdGen::Counting(0).fresh(), ModelRef { backend: "work".into(), model: "qwen3:8b".into() }, 0)
        });
        assert_eq!((&got["ttft_ms"], &got["completion_tokens"], &got["prompt_tokens"]), (&json!(412.346), &json!(312), &Value::Null));
        assert!(got.as_object().is_some_and(|o| o.contains_key("prompt_tokens")), "unknown is null, not absent");
        assert_eq!((&got["sources"]["ttft_ms"], &got["sources"]["completion_tokens"]), (&json!("measured"), &json!("server")));
        assert_eq!((&got["finish"], &got["finished"]), (&json!("host_stopped"), &Value::Null));
        assert_eq!(got["timeline"], json!([{ "state": "queued", "at": "1970-01-01T00:00:00.000Z" }]));
        assert_eq!(got["failed_attempts"], json!([]));
    }

    #[test]
    fn a_node_names_first_and_further_parents() {
        let mut ids = IdGen::Counting(0);
        let (id, first, further): (NodeId, NodeId, NodeId) = (ids.fresh(), ids.fresh(), ids.fresh());
        let merged = Node { further_parents: vec![further], ..Node::new(id, Some(first), Role::User, State::Sent, 0) };
        let parts = vec![Part::Thinking { text: "hm".into() }, Part::Text { text: "a".into() }, Part::Text { text: "b".into() }];
        let got = node(&merged, &parts);
        assert_eq!(got["parents"], json!([first, further]));
        assert_eq!(got["content"], json!("ab"));
        assert_eq!(got["parts"], json!([{"type": "thinking", "text": "hm"}, {"type": "text", "text": "a"}, {"type": "text", "text": "b"}]));
    }

    #[test]
    fn a_snippet_loses_its_marks() {
        let mut ids = IdGen::Counting(0);
        let got = hit(&SearchHit {
            conversation: ids.fresh(),
            title: "t".into(),
            node: ids.fresh(),
            role: Role::Assistant,
            created: 0,
            snippet: "a \u{E000}quick\u{E001} brown \u{E000}fox\u{E001}".into(),
            above: Vec::new(),
            archived: false,
        });
        assert_eq!((&got["snippet"], &got["matches"]), (&json!("a quick brown fox"), &json!(["quick", "fox"])));
    }
}
