//! The figures of performance.md that the database answers for: opening, pages of every shelf, filters and search as one types,
//! opening a conversation of 10,000 messages.
//!
//! `cargo bench --bench store` makes a database of 2,000 conversations with 50 messages each; with `ARBOUR_BENCH_LARGE=1` one of
//! 100,000 with 10 each (a million messages, some gigabytes, some minutes). They lie in folders, have tags, are archived and in the bin.
//! It is kept under `target/` for the next time. First the figures of lists and of search are printed, then divan's table
//! (`ARBOUR_BENCH_TABLE=0`: not).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use arbour::core::Write;
use arbour::proto::{
    Conversation, ConversationId, ConversationRow, Figure, Figures, Finish, Folder, IdGen, ModelRef, Node, NodeId, Order, OrderBy,
    Parameters, Part, Role, Run, Shelf, State,
};
use arbour::store::Store;
use tokio::runtime::Runtime;

/// Raised when what is generated changes, so that an old file is not taken for a new one.
const GENERATION: u32 = 4;
/// Messages of the long conversation.
const LONG: u64 = 10_000;

/// What people type: words that stand everywhere, rare ones, some words together, parts of words, two Chinese characters, signs,
/// and what stands nowhere. Each is typed letter by letter.
const TYPED: &[&str] = &[
    "the people",
    "water",
    "number",
    "because they",
    "interesting",
    "zq",
    "ka",
    "th",
    "xylo",
    "morukate",
    "sentence order",
    "c++",
    "e.g.",
    "you would think",
    "不是",
    "学生",
    "我们 时间",
    "中国",
    "的人",
    "great work",
    "answer is 42",
    "tasokimu",
    "rulo",
    "the the",
    "ing",
    "nothing like this stands anywhere",
    "qqqq",
    "different from",
    "🌳",
    "一",
];

struct Ground {
    runtime: Runtime,
    store: Store,
    path: PathBuf,
    long: ConversationId,
}

static GROUND: LazyLock<Ground> = LazyLock::new(prepare);

/// Filter words, alone and beside words.
const FILTERED: &[&str] = &[
    "role:user water",
    "tag:tag7 the people",
    "tag:tag7",
    "folder:folder3 water",
    "model:llama number",
    "is:bookmarked",
    "is:bookmarked water",
    "rating:+ the",
    "before:1971 the people",
    "after:1971 the people",
    "title:water the",
    "role:user 学生",
    "-role:user th",
    "is:archived water",
];

fn main() {
    lists();
    typing("search as you type", TYPED);
    typing("search with filter words, typed", FILTERED);
    if std::env::var_os("ARBOUR_BENCH_TABLE").is_none_or(|value| value != "0") {
        divan::main();
    }
}

/// Prints how long each list takes: the median and the worst of some tries.
fn lists() {
    let Ground { runtime, store, .. } = &*GROUND;
    let folders = runtime.block_on(store.folders()).expect("the folders are read");
    let folder = folders.iter().max_by_key(|folder| folder.count).expect("there are folders").id;
    let shelves = [Shelf::All, Shelf::Pinned, Shelf::Loose, Shelf::Folder(folder), Shelf::Archive, Shelf::Bin, Shelf::Everything];
    let orders = [OrderBy::Updated, OrderBy::Created, OrderBy::Title, OrderBy::Messages, OrderBy::Tokens, OrderBy::Model];
    let list = |shelf, by, offset, filter: Option<&str>| {
        let order = Order { by, reversed: false };
        let filter = filter.map(str::to_owned);
        runtime.block_on(store.conversations(shelf, order, offset, 50, filter)).expect("the list is read").total
    };
    for shelf in shelves {
        for by in orders {
            timed(&format!("first page of {shelf:?} by {by:?}"), || list(shelf, by, 0, None));
        }
    }
    for by in orders {
        timed(&format!("page of All at 50,000 by {by:?}"), || list(Shelf::All, by, 50_000, None));
    }
    for filter in ["w", "wa", "water", "tag:tag7", "folder:folder3", "model:llama", "is:unread", "messages:>100", "is:bookmarked", "-tag:*"]
    {
        timed(&format!("filter {filter}"), || list(Shelf::All, OrderBy::Updated, 0, Some(filter)));
    }
    timed("folders with their counts", || runtime.block_on(store.folders()).expect("they are read").len() as u32);
    timed("tags with their counts", || runtime.block_on(store.tags()).expect("they are read").len() as u32);
    timed("bookmarks", || runtime.block_on(store.bookmarks(0, 50, None)).expect("they are read").total);
    timed("prompts", || runtime.block_on(store.prompts(String::new(), 50)).expect("they are read").len() as u32);
    timed("prompts with water", || runtime.block_on(store.prompts("water".into(), 50)).expect("they are read").len() as u32);
    let long = GROUND.long;
    timed("open the conversation of 10,000", || {
        let opened = runtime.block_on(store.open_conversation(long)).expect("it is read").expect("it is there");
        u32::try_from(opened.1.len()).unwrap_or(u32::MAX)
    });
}

/// Runs something some times, and prints the median, the worst, and what it found.
fn timed(what: &str, run: impl Fn() -> u32) {
    const TRIES: usize = 7;
    let mut found = 0;
    let mut took: Vec<f64> = (0..TRIES)
        .map(|_| {
            let begun = Instant::now();
            found = run();
            begun.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    took.sort_by(f64::total_cmp);
    println!("{:8.2} ms, worst {:8.2} ms, of {found:7}  {what}", took[TRIES / 2], took[TRIES - 1]);
}

/// What it costs to send a message and to keep it.
#[divan::bench]
fn append_a_message(bencher: divan::Bencher) {
    let Ground { runtime, store, long, .. } = &*GROUND;
    let mut ids = IdGen::Real;
    let mut words = Words::new();
    let conversation = runtime.block_on(store.open_conversation(*long)).expect("it is read").expect("it is there").0;
    bencher.bench_local(|| {
        let (node, content) = message(&mut ids, conversation.head, false, &mut words);
        let writes = vec![Write::Node { conversation: *long, node, content }, Write::Conversation(conversation.clone())];
        runtime.block_on(store.write(writes, true)).expect("it is written");
    });
}

/// From nothing to a handle, as a host does it at its start.
#[divan::bench(sample_count = 50)]
fn open_the_database(bencher: divan::Bencher) {
    let path = &GROUND.path;
    bencher.bench_local(|| Store::open(path, 0).expect("the database opens"));
}

#[divan::bench(args = [0, 1_000])]
fn page_of_50_conversations(bencher: divan::Bencher, offset: u32) {
    let Ground { runtime, store, .. } = &*GROUND;
    bencher
        .bench_local(|| runtime.block_on(store.conversations(Shelf::All, Order::default(), offset, 50, None)).expect("the list is read"));
}

#[divan::bench]
fn conversations_whose_title_contains(bencher: divan::Bencher) {
    let Ground { runtime, store, .. } = &*GROUND;
    bencher.bench_local(|| {
        runtime.block_on(store.conversations(Shelf::All, Order::default(), 0, 50, Some("Water".into()))).expect("the list is read")
    });
}

#[divan::bench]
fn open_a_conversation_of_10_000(bencher: divan::Bencher) {
    let Ground { runtime, store, long, .. } = &*GROUND;
    bencher.bench_local(|| {
        runtime.block_on(async {
            let (_, nodes) = store.open_conversation(*long).await.expect("it is read").expect("it is there");
            let last: Vec<NodeId> = nodes.iter().rev().take(50).map(|node| node.id).collect();
            (store.contents(last).await.expect("they are read"), nodes)
        })
    });
}

#[divan::bench]
fn search_within_a_conversation_of_10_000(bencher: divan::Bencher) {
    let Ground { runtime, store, long, .. } = &*GROUND;
    bencher.bench_local(|| runtime.block_on(store.search("nothing like this", Some(*long), 20)).expect("it is searched"));
}

#[divan::bench]
fn a_checkpoint_and_its_commit(bencher: divan::Bencher) {
    let Ground { runtime, store, long, .. } = &*GROUND;
    let nodes = runtime.block_on(store.open_conversation(*long)).expect("it is read").expect("it is there").1;
    let node = nodes.last().expect("it has messages").id;
    let content = runtime.block_on(store.contents(vec![node])).expect("it is read").remove(0).1;
    bencher.bench_local(|| {
        runtime.block_on(store.write(vec![Write::Checkpoint { node, content: content.clone() }], false)).expect("it is written");
    });
}

/// Types each query and prints how long each letter took to its first page.
fn typing(what: &str, queries: &[&str]) {
    let Ground { runtime, store, .. } = &*GROUND;
    let mut took: Vec<(Duration, String, usize)> = Vec::new();
    for _ in 0..2 {
        took.clear();
        for query in queries {
            for (end, c) in query.char_indices() {
                let typed = &query[..end + c.len_utf8()];
                let begun = Instant::now();
                let hits = runtime.block_on(store.search(typed, None, 20)).expect("it is searched");
                took.push((begun.elapsed(), typed.to_owned(), hits.len()));
            }
        }
    }
    took.sort();
    let at = |percent: usize| took[(took.len() * percent / 100).min(took.len() - 1)].0.as_secs_f64() * 1e3;
    println!("{what}, {} letters: p50 {:.1} ms, p95 {:.1} ms, p99 {:.1} ms, worst {:.1} ms", took.len(), at(50), at(95), at(99), at(100));
    println!("the slowest:");
    for (time, typed, hits) in took.iter().rev().take(12) {
        println!("  {:7.1} ms  {hits:3} hits  {typed}", time.as_secs_f64() * 1e3);
    }
}

fn prepare() -> Ground {
    let large = std::env::var_os("ARBOUR_BENCH_LARGE").is_some_and(|value| value != "0");
    let (conversations, messages) = if large { (100_000, 10) } else { (2_000, 50) };
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let path = folder.join(format!("bench-{GENERATION}-{conversations}x{messages}.db"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
    if !path.exists() {
        let unfinished = path.with_extension("unfinished");
        let _ = std::fs::remove_file(&unfinished);
        let begun = Instant::now();
        let store = Store::open(&unfinished, 0).expect("the database opens").0;
        runtime.block_on(async {
            generate(&store, conversations, messages).await;
            store.close().await;
        });
        std::fs::rename(&unfinished, &path).expect("the file is renamed");
        println!("generated {} messages in {:.0} s", conversations * messages + LONG, begun.elapsed().as_secs_f64());
    }
    let begun = Instant::now();
    let store = Store::open(&path, 0).expect("the database opens").0;
    let opened = begun.elapsed();
    let first = runtime.block_on(store.conversations(Shelf::All, Order::default(), 0, 50, None)).expect("the list is read");
    let paged = begun.elapsed() - opened;
    let long = first.items[0].id;
    let size = std::fs::metadata(&path).map_or(0, |metadata| metadata.len()) >> 20;
    println!(
        "{} conversations, {size} MiB: opened in {:.1} ms, first page (first connection) in {:.1} ms",
        first.total,
        opened.as_secs_f64() * 1e3,
        paged.as_secs_f64() * 1e3
    );
    Ground { runtime, store, path, long }
}

async fn generate(store: &Store, conversations: u64, messages: u64) {
    let mut ids = IdGen::Counting(0);
    let mut words = Words::new();
    let folders: Vec<Folder> = (0..40).map(|at| folder(&mut ids, at)).collect();
    let mut batch: Vec<Write> = folders.iter().cloned().map(Write::Folder).collect();
    for at in 0..=conversations {
        let messages = if at == conversations { LONG } else { messages };
        let title = words.sentence(4);
        let mut conversation = conversation(&mut ids, title, i64::try_from(at).unwrap_or(0), u32::try_from(messages).unwrap_or(0));
        if at < conversations {
            keep(&mut conversation.row, at, &folders);
        }
        let id = conversation.row.id;
        batch.push(Write::Conversation(conversation.clone()));
        let mut parent = None;
        for at in 0..messages {
            let (mut node, content) = message(&mut ids, parent, at % 2 == 1, &mut words);
            match words.below(1_000) {
                0 => node.bookmark = Some("worth keeping".into()),
                1 => node.rating = 1,
                2 => node.rating = -1,
                _ => {}
            }
            parent = Some(node.id);
            batch.push(Write::Node { conversation: id, node, content });
        }
        conversation.head = parent;
        batch.push(Write::Conversation(conversation));
        if batch.len() > 4_000 || at == conversations {
            store.write(std::mem::take(&mut batch), false).await.expect("it is written");
        }
    }
}

fn folder(ids: &mut IdGen, at: u64) -> Folder {
    Folder { id: ids.fresh(), parent: None, name: format!("folder{at}"), template: None, search: None, count: 0, unread: 0 }
}

/// Most lie loose, a third in folders, of which the first is large; some are pinned, unread, archived, in the bin.
fn keep(row: &mut ConversationRow, at: u64, folders: &[Folder]) {
    row.folder = match at % 12 {
        0 | 1 => Some(folders[0].id),
        2 | 3 => usize::try_from(at / 12).ok().map(|nth| folders[nth % folders.len()].id),
        _ => None,
    };
    row.pinned = at % 4_000 == 7;
    row.unread = at % 50 == 3;
    row.archived = at % 10 == 4;
    row.deleted = (at % 33 == 5).then_some(1);
    row.tokens = at * 7 % 9_001;
    row.tags = if at.is_multiple_of(5) { vec![format!("tag{}", at / 5 % 60)] } else { Vec::new() };
    if at % 200 == 9 {
        row.model = Some(ModelRef { backend: "ollama".into(), model: "llama3:8b".into() });
    }
}

fn conversation(ids: &mut IdGen, title: String, updated: i64, messages: u32) -> Conversation {
    let model = Some(ModelRef { backend: "ollama".into(), model: "qwen3:8b".into() });
    let row = ConversationRow { title, messages, branches: 1, model, ..ConversationRow::new(ids.fresh(), updated) };
    let parameters = Parameters(BTreeMap::from([("temperature".to_owned(), 0.7.into())]));
    Conversation { parameters, ..Conversation::new(row) }
}

fn message(ids: &mut IdGen, parent: Option<NodeId>, answer: bool, words: &mut Words) -> (Node, Vec<Part>) {
    let length = if answer { 60 + words.below(140) } else { 8 + words.below(30) };
    let text = words.sentence(length);
    let model = ModelRef { backend: "ollama".into(), model: "qwen3:8b".into() };
    let run = answer.then(|| Run {
        finished: Some(2),
        finish: Some(Finish::Stop),
        figures: Figures {
            ttft_ms: Some(Figure::measured(80.0)),
            total_ms: Some(Figure::measured(4_000.0)),
            prompt_tokens: Some(Figure::server(900.0)),
            completion_tokens: Some(Figure::server(220.0)),
            tokens_per_s: Some(Figure::measured(55.0)),
            ..Figures::default()
        },
        ..Run::new(ids.fresh(), model.clone(), 1)
    });
    let node = Node {
        model: answer.then_some(model),
        snippet: text.chars().take(80).collect(),
        bytes: text.len() as u64,
        tokens: 10,
        run: run.map(Box::new),
        ..Node::new(
            ids.fresh(),
            parent,
            if answer { Role::Assistant } else { Role::User },
            if answer { State::Done } else { State::Accepted },
            1,
        )
    };
    (node, vec![Part::Text { text }])
}

/// Prose of made-up and of frequent words, as frequent as words are (Zipf); every tenth message is Chinese.
struct Words {
    random: u64,
    vocabulary: Vec<String>,
    characters: Vec<char>,
}

const FREQUENT: &str = "the of and a to in is you that it he was for on are as with his they I at be this have from or one had by \
    word but not what all were we when your can said there use an each which she do how their if will up other about out many then them \
    these so some her would make like him into time has look two more write go see number no way could people my than first water been \
    call who oil its now find long down day did get come made may part over new sound take only little work know place year live me back \
    give most very after thing our just name good sentence man think say great where help through much before line right too mean old any \
    same tell boy follow came want show also around form three small set put end does another well large must big even such because turn \
    here why ask went men read need land different home us move try kind hand picture again change off play spell air away animal house \
    point page letter mother answer found study still learn should world";

impl Words {
    fn new() -> Self {
        let mut words = Self { random: 42, vocabulary: FREQUENT.split_whitespace().map(str::to_owned).collect(), characters: Vec::new() };
        for _ in 0..30_000 {
            let syllables = 2 + words.below(3);
            let mut word = String::new();
            for _ in 0..syllables {
                word.push(char::from(b"bcdfghjklmnprstvwz"[words.below(18)]));
                word.push(char::from(b"aeiou"[words.below(5)]));
                if words.below(4) == 0 {
                    word.push(char::from(b"nrslt"[words.below(5)]));
                }
            }
            words.vocabulary.push(word);
        }
        words.characters = "的一是不了人我在有他这为之大来以个中上们到说国和地也子时道出而要于就下得可你年生自会那后能对着事其里所去行过家十用发天如然作方成者多日都三小军二无同么经法当起与好看学进种将还分此心前面又定见只主没公从".chars().collect();
        words.characters.extend((0..2_500).filter_map(|at| char::from_u32(0x4E00 + at * 7)));
        words
    }

    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> usize {
        usize::try_from(self.next() % end).unwrap_or(0)
    }

    /// A rank of which the nth is about n times rarer than the first.
    fn rank(&mut self, many: usize) -> usize {
        let uniform = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        ((many as f64).powf(uniform) as usize - 1).min(many - 1)
    }

    fn sentence(&mut self, words: usize) -> String {
        let mut text = String::new();
        if self.below(10) == 0 {
            for at in 0..words * 2 {
                let rank = self.rank(self.characters.len());
                text.push(self.characters[rank]);
                if at % 17 == 16 {
                    text.push('。');
                }
            }
            return text;
        }
        for at in 0..words {
            let rank = self.rank(self.vocabulary.len());
            text.push_str(&self.vocabulary[rank]);
            text.push_str(if at % 13 == 12 { ".\n" } else { " " });
        }
        text
    }
}
