//! What the benches of the whole program share: reading what a process costs, a server that knows when it sent what, a big
//! database, and a table of figures beside their budgets.

#![allow(dead_code, reason = "each bench that includes this uses a part of it")]

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arbour::core::Write;
use arbour::proto::{Content, Conversation, ConversationRow, IdGen, ModelRef, Node, NodeId, Part, Role, State};
use serde_json::json;

use crate::support::serve::{Asked, Gone, Handled, Handler, Out, Server};

/// The size at which rivals were measured.
pub const SIZE: (u16, u16) = (160, 45);

/// What processes have cost since they began.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    pub cpu: Duration,
    /// Times that a thread went to sleep and was woken.
    pub wakeups: u64,
}

impl Cost {
    /// Of these processes together; zero where the system does not tell.
    pub fn of(pids: &[u32]) -> Self {
        let mut cost = Self::default();
        for pid in pids {
            for task in std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
                let read = |file: &str| std::fs::read_to_string(task.path().join(file)).unwrap_or_default();
                let nanos = read("schedstat").split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0);
                cost.cpu += Duration::from_nanos(nanos);
                let switches =
                    read("status").lines().find_map(|l| l.strip_prefix("voluntary_ctxt_switches:").map(|n| n.trim().parse::<u64>()));
                cost.wakeups += switches.and_then(Result::ok).unwrap_or(0);
            }
        }
        cost
    }

    pub fn since(self, before: Self) -> Self {
        Self { cpu: self.cpu.saturating_sub(before.cpu), wakeups: self.wakeups.saturating_sub(before.wakeups) }
    }
}

/// Proportional memory of these processes, in bytes.
pub fn pss(pids: &[u32]) -> u64 {
    let of = |pid: &u32| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let line = text.lines().find_map(|l| l.strip_prefix("Pss:"))?;
        line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()
    };
    pids.iter().filter_map(of).sum::<u64>() * 1024
}

/// The `share` (0 to 1) of the sorted values.
pub fn percentile(values: &mut [Duration], share: f64) -> Duration {
    values.sort_unstable();
    let at = ((values.len() as f64 * share).ceil() as usize).clamp(1, values.len().max(1)) - 1;
    values.get(at).copied().unwrap_or_default()
}

pub fn ms(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1e3;
    if ms < 9.95 { format!("{ms:.1} ms") } else { format!("{ms:.0} ms") }
}

/// Prints one figure.
pub fn figure(name: &str, value: &str, budget: &str) {
    println!("  {name:<58} {value:>22}   {budget}");
}

pub fn heading(text: &str) {
    println!("\n{text}");
}

/// Which parts were asked for on the command line; all when none was.
pub fn wanted(part: &str) -> bool {
    let asked: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    asked.is_empty() || asked.iter().any(|a| part.contains(a.as_str()))
}

/// What was run on which machine.
pub fn machine(binary: &Path) {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|l| l.strip_prefix("model name").and_then(|r| r.split(':').nth(1))).unwrap_or("a processor").trim();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let size = std::fs::metadata(binary).map_or(0, |m| m.len());
    println!("{model}, {cores} cores, {} {}; terminal {}×{}", std::env::consts::OS, std::env::consts::ARCH, SIZE.0, SIZE.1);
    println!("{} ({:.1} MB)", binary.display(), size as f64 / 1e6);
}

/// An OpenAI-compatible server that writes numbered words at a steady rate and remembers when it sent each.
pub struct Clocked {
    pub server: Server,
    sent: Arc<Mutex<Vec<Instant>>>,
}

struct Writer {
    tokens: Vec<String>,
    rate: f64,
    sent: Arc<Mutex<Vec<Instant>>>,
}

impl Clocked {
    pub fn start(tokens: Vec<String>, rate: f64) -> Self {
        let sent = Arc::new(Mutex::new(Vec::with_capacity(tokens.len())));
        let server = Server::start(0, Writer { tokens, rate, sent: Arc::clone(&sent) }).expect("a free port");
        Self { server, sent }
    }

    /// When the `n`th word of the answer was sent.
    pub fn sent(&self) -> Vec<Instant> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Handler for Writer {
    fn handle<'a>(&'a self, asked: Asked, out: &'a mut Out) -> Handled<'a> {
        Box::pin(async move {
            let kind = [("Content-Type", "application/json"), ("Server", "llama.cpp")];
            match asked.route().as_str() {
                "GET /health" => out.answer(200, &kind, r#"{"status":"ok"}"#).await,
                "GET /props" => {
                    let props = json!({ "default_generation_settings": { "n_ctx": 131_072 }, "total_slots": 1, "build_info": "bench" });
                    out.answer(200, &kind, &props.to_string()).await
                }
                "GET /v1/models" => {
                    let models = json!({ "object": "list", "data": [{ "id": "clocked", "object": "model", "owned_by": "llamacpp" }] });
                    out.answer(200, &kind, &models.to_string()).await
                }
                "POST /v1/chat/completions" => self.write(out).await,
                _ => out.answer(404, &kind, r#"{"error":{"message":"no such route"}}"#).await,
            }
        })
    }
}

impl Writer {
    async fn write(&self, out: &mut Out) -> Result<(), Gone> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).clear();
        out.head(200, &[("Content-Type", "text/event-stream"), ("Server", "llama.cpp")], None).await?;
        let begun = tokio::time::Instant::now();
        for (nth, token) in self.tokens.iter().enumerate() {
            let chunk = json!({ "object": "chat.completion.chunk", "choices": [{ "index": 0, "finish_reason": null, "delta": { "content": token } }] });
            out.send(format!("data: {chunk}\n\n").as_bytes()).await?;
            self.sent.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
            let due = begun + Duration::from_secs_f64((nth + 1) as f64 / self.rate);
            out.pause(due.saturating_duration_since(tokio::time::Instant::now())).await?;
        }
        let end = json!({ "choices": [{ "index": 0, "finish_reason": "stop", "delta": {} }], "usage": { "prompt_tokens": 9, "completion_tokens": self.tokens.len() } });
        out.send(format!("data: {end}\n\ndata: [DONE]\n\n").as_bytes()).await?;
        out.end().await
    }
}

/// `count` tokens of Markdown: paragraphs, headings, lists, a table, code. Every token carries its number, as `w0042`, so that
/// it can be seen when it stands on the screen.
pub fn markdown(count: usize) -> Vec<String> {
    (0..count)
        .map(|n| {
            let word = format!("w{n:04}");
            match n % 150 {
                0 => format!("\n\n## {word} "),
                8 => format!("\n\n{word} "),
                60 | 66 | 72 | 78 => format!("\n- {word} "),
                84 => format!("\n\n```rust\nlet {word} "),
                92 | 99 | 106 => format!("\n    {word} "),
                113 => format!("\n```\n\n{word} "),
                120 => format!("\n\n| {word} "),
                121..=122 | 124 | 126..=127 => format!("| {word} "),
                123 => format!("|\n|---|---|---|\n| {word} "),
                125 => format!("|\n| {word} "),
                128 => format!("|\n\n{word} "),
                n if n % 17 == 3 => format!("**{word}** "),
                n if n % 23 == 5 => format!("`{word}` "),
                _ => format!("{word} "),
            }
        })
        .collect()
}

/// The highest number of a word on the screen.
pub fn last_word(screen: &vt100::Screen) -> Option<usize> {
    let text = screen.contents();
    let mut last = None;
    for (at, _) in text.match_indices('w') {
        if let Some(n) = text.get(at + 1..at + 5).filter(|d| d.bytes().all(|b| b.is_ascii_digit())).and_then(|d| d.parse().ok()) {
            last = last.max(Some(n));
        }
    }
    last
}

/// Writes `conversations` of `messages` each into a database.
pub fn fill(database: &Path, conversations: usize, messages: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (store, _) = arbour::store::Store::open(database, 0).expect("a database");
        let mut ids = IdGen::Counting(1_700_000_000_000);
        for c in 0..conversations {
            let mut writes = Vec::with_capacity(messages + 2);
            let id = ids.fresh();
            let row = ConversationRow {
                title: format!("Conversation {c} about quicksort, gardens and the sea"),
                messages: u32::try_from(messages).unwrap_or(0),
                branches: 1,
                model: Some(ModelRef { backend: "work".into(), model: "clocked".into() }),
                ..ConversationRow::new(id, c as i64 * 1000)
            };
            let mut conversation = Conversation::new(row);
            writes.push(Write::Conversation(conversation.clone()));
            let mut parent: Option<NodeId> = None;
            for m in 0..messages {
                let node_id = ids.fresh();
                let user = m % 2 == 0;
                let text =
                    format!("Message {m} of {c}: {}", "the river ran slowly past the mill, and nobody counted the swallows. ".repeat(4));
                let node = Node {
                    snippet: text[..40].to_owned(),
                    bytes: text.len() as u64,
                    tokens: 80,
                    ..Node::new(
                        node_id,
                        parent,
                        if user { Role::User } else { Role::Assistant },
                        if user { State::Accepted } else { State::Done },
                        c as i64 * 1000 + m as i64,
                    )
                };
                let content: Content = vec![Part::Text { text }];
                writes.push(Write::Node { conversation: id, node, content });
                parent = Some(node_id);
            }
            conversation.head = parent;
            writes.push(Write::Conversation(conversation));
            store.write(writes, false).await.expect("it is written");
        }
        store.close().await;
    });
}
