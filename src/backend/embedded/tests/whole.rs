//! The backend as the host sees it, with a tiny model: listing, loading, queueing, stopping, limits.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use super::super::Embedded;
use super::{Writer, noise};
use crate::backend::{Backend, Message, Request, Source, Update, channel};
use crate::error::{Error, Kind};
use crate::proto::{DeltaKind, Figures, Finish, ModelState, Parameters, Role, State};

const WIDTH: usize = 32;

/// A model that speaks bytes. Its weights are noise, so what it says is nonsense, but always the same.
fn talker() -> Writer {
    let mut texts: Vec<String> = (0..=255).map(|b| format!("<0x{b:02X}>")).collect();
    texts.extend(["<|im_start|>".to_owned(), "<|im_end|>".to_owned()]);
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut kinds = vec![6; 256];
    kinds.extend([3, 3]);
    let mut w = Writer::default()
        .text("general.architecture", "llama")
        .int("general.file_type", 0)
        .int("llama.block_count", 1)
        .int("llama.context_length", 4096)
        .int("llama.embedding_length", WIDTH as u32)
        .int("llama.feed_forward_length", 32)
        .int("llama.attention.head_count", 2)
        .text("tokenizer.ggml.model", "llama")
        .flag("tokenizer.ggml.add_bos_token", false)
        .flag("tokenizer.ggml.add_space_prefix", false)
        .texts("tokenizer.ggml.tokens", &texts)
        .ints("tokenizer.ggml.token_type", &kinds)
        .floats("tokenizer.ggml.scores", &vec![0.0; 258])
        .int("tokenizer.ggml.eos_token_id", 257);
    for (seed, (name, shape)) in [
        ("token_embd.weight", vec![258, WIDTH]),
        ("output_norm.weight", vec![WIDTH]),
        ("blk.0.attn_norm.weight", vec![WIDTH]),
        ("blk.0.ffn_norm.weight", vec![WIDTH]),
        ("blk.0.attn_q.weight", vec![WIDTH, WIDTH]),
        ("blk.0.attn_k.weight", vec![WIDTH, WIDTH]),
        ("blk.0.attn_v.weight", vec![WIDTH, WIDTH]),
        ("blk.0.attn_output.weight", vec![WIDTH, WIDTH]),
        ("blk.0.ffn_gate.weight", vec![32, WIDTH]),
        ("blk.0.ffn_up.weight", vec![32, WIDTH]),
        ("blk.0.ffn_down.weight", vec![WIDTH, 32]),
    ]
    .into_iter()
    .enumerate()
    {
        let mut values = noise(seed as u64 + 1, shape.iter().product());
        if name == "token_embd.weight" {
            // Printable letters are far likelier than the rest, and the end never comes by itself.
            for (token, row) in values.chunks_exact_mut(WIDTH).enumerate() {
                let letter = u8::try_from(token).is_ok_and(|b| b.is_ascii_lowercase());
                row.iter_mut().for_each(|v| *v *= if letter { 1.0 } else { 0.01 });
            }
        }
        w = w.tensor(name, &shape, &values);
    }
    w
}

struct Place {
    folder: tempfile::TempDir,
    engine: Embedded,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("talker.gguf"), talker().bytes()).unwrap();
        let engine = Embedded::new("embedded", vec![folder.path().to_owned(), PathBuf::from("/nowhere/at/all")]);
        Self { folder, engine }
    }

    async fn state(&self) -> ModelState {
        self.engine.model("talker").await.unwrap().state
    }

    /// Waits until the model is in a state.
    async fn until(&self, state: ModelState) {
        let wait = async {
            while self.state().await != state {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap_or_else(|_| panic!("it never becomes {state:?}"));
    }
}

fn user(text: &str) -> Vec<Message> {
    vec![Message::new(Role::User, text)]
}

fn request(messages: Vec<Message>, parameters: &[(&str, serde_json::Value)]) -> Request {
    let mut all = Parameters(parameters.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect());
    all.0.entry("temperature".into()).or_insert(json!(0.0));
    Request { model: "talker".into(), messages, parameters: all, continues: false, conversation: "c".into() }
}

async fn listen(mut source: Source) -> (String, Figures, Vec<State>) {
    let (mut text, mut figures, mut states) = (String::new(), Figures::default(), Vec::new());
    while let Some(update) = source.next().await {
        match update {
            Update::Delta(DeltaKind::Text, more) => text += &more,
            Update::Figures(more) => figures.merge(&more),
            Update::Phase(state, _) if states.last() != Some(&state) => states.push(state),
            _ => {}
        }
    }
    (text, figures, states)
}

async fn ask(place: &Place, request: Request) -> (Result<Finish, Error>, String, Figures, Vec<State>) {
    let (sink, source) = channel();
    let (result, (text, figures, states)) =
        tokio::time::timeout(Duration::from_secs(60), async { tokio::join!(place.engine.generate(request, sink), listen(source)) })
            .await
            .unwrap();
    (result, text, figures, states)
}

fn value(figure: Option<crate::proto::Figure>) -> f64 {
    figure.unwrap().value
}

#[tokio::test]
async fn listing_tells_what_each_file_is_and_loads_nothing() {
    let place = Place::new();
    let write = |name: &str, bytes: &[u8]| {
        let path = place.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    write("broken.gguf", &talker().bytes()[..5000]);
    write("mamba.gguf", &Writer::default().text("general.architecture", "mamba").tensor("token_embd.weight", &[4, 4], &[0.0; 16]).bytes());
    write("deep/a/talker.gguf", &talker().bytes());
    write("mmproj-x.gguf", b"an image encoder");
    write(".hidden.gguf", b"hidden");
    write("notes.txt", b"no model");
    write("big-00001-of-00002.gguf", &talker().bytes());
    write("big-00002-of-00002.gguf", &talker().bytes());
    let models = place.engine.models().await.unwrap();
    let of = |name: &str| models.iter().find(|m| m.name == name).unwrap_or_else(|| panic!("{name} is not in {models:?}"));
    assert_eq!(models.len(), 5);
    let folder = place.folder.path().file_name().unwrap().to_string_lossy().into_owned();
    let talker = of(&format!("{folder}/talker"));
    assert_eq!((talker.state, talker.context, talker.context_max), (ModelState::Unloaded, Some(4096), Some(4096)));
    assert_eq!((talker.quantisation.as_deref(), talker.family.as_deref()), (Some("F32"), Some("llama")));
    assert_eq!(talker.capabilities, ["completion"]);
    of("a/talker");
    for (name, kind, word) in
        [("broken", Kind::File, "cut off"), ("mamba", Kind::Unsupported, "mamba"), ("big", Kind::Unsupported, "parts")]
    {
        let model = of(name);
        let error = model.error.as_ref().unwrap();
        assert_eq!((model.state, error.kind), (ModelState::Failed, kind), "{name}");
        assert!(error.message.contains(word), "{error:?}");
    }
    let (sink, _source) = channel();
    let error = place.engine.generate(Request { model: "broken".into(), ..request(user("x"), &[]) }, sink).await.unwrap_err();
    assert_eq!(error.kind, Kind::File);
}

#[tokio::test]
async fn a_file_that_changes_is_read_again() {
    let place = Place::new();
    let path = place.folder.path().join("talker.gguf");
    assert_eq!(place.state().await, ModelState::Unloaded);
    std::fs::write(&path, b"GGUF and no more").unwrap();
    assert_eq!(place.state().await, ModelState::Failed);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(place.engine.model("talker").await.unwrap_err().kind, Kind::ModelMissing);
}

#[tokio::test]
async fn a_single_file_is_opened_by_its_path() {
    let place = Place::new();
    let other = tempfile::tempdir().unwrap();
    let path = other.path().join("guest.gguf");
    std::fs::write(&path, talker().bytes()).unwrap();
    assert_eq!(place.engine.open_file(&path).unwrap(), "guest");
    assert_eq!(place.engine.open_file(&path).unwrap(), "guest", "twice is once");
    assert_eq!(place.engine.open_file(&place.folder.path().join("talker.gguf")).unwrap(), "talker");
    assert_eq!(place.engine.models().await.unwrap().len(), 2);
    assert_eq!(place.engine.open_file(&other.path().join("no.gguf")).unwrap_err().kind, Kind::File);
    std::fs::write(&path, b"PK\x03\x04").unwrap();
    assert!(place.engine.open_file(&path).unwrap_err().message.contains("zip"));
}

#[tokio::test]
async fn an_answer_has_its_phases_figures_and_end() {
    let place = Place::new();
    let (result, text, figures, states) = ask(&place, request(user("hello"), &[("max_tokens", json!(20))])).await;
    assert_eq!(result.unwrap(), Finish::Length);
    assert_eq!(text.len(), 20, "{text:?}");
    assert_eq!(states, [State::Loading, State::Reading, State::Writing]);
    assert_eq!(value(figures.completion_tokens), 20.0);
    assert_eq!(value(figures.cached_tokens), 0.0);
    assert_eq!(value(figures.context), 4096.0);
    assert!(value(figures.ttft_ms) > 0.0 && value(figures.load_ms) > 0.0 && value(figures.tokens_per_s) > 0.0);
    let (_, same, figures, _) = ask(&place, request(user("hello"), &[("max_tokens", json!(20))])).await;
    assert_eq!(same, text, "from the cache or not, the words are the same");
    assert_eq!(value(figures.cached_tokens), value(figures.prompt_tokens) - 1.0);
    assert_eq!(figures.load_ms, None);
    let (_, seeded, ..) =
        ask(&place, request(user("hello"), &[("max_tokens", json!(20)), ("temperature", json!(1.5)), ("seed", json!(5))])).await;
    let (_, again, ..) =
        ask(&place, request(user("hello"), &[("max_tokens", json!(20)), ("temperature", json!(1.5)), ("seed", json!(5))])).await;
    assert_eq!(seeded, again);
}

#[tokio::test]
async fn branches_share_what_they_have_in_common() {
    let place = Place::new();
    let long = "x".repeat(300);
    let few = [("max_tokens", json!(3))];
    ask(&place, request(user(&long), &few)).await.0.unwrap();
    let branch = |end: &str| [user(&long), vec![Message::new(Role::Assistant, "yes")], user(end)].concat();
    let (_, first, f, _) = ask(&place, request(branch(&"a".repeat(100)), &few)).await;
    assert!(value(f.cached_tokens) >= 300.0);
    let (_, _, f, _) = ask(&place, request(branch(&"b".repeat(100)), &few)).await;
    assert!(value(f.cached_tokens) >= 300.0);
    // Back on the first branch: it was not thrown away for the second.
    let (_, again, f, _) = ask(&place, request(branch(&"a".repeat(100)), &few)).await;
    assert!(value(f.cached_tokens) >= 400.0, "{f:?}");
    assert_eq!(first, again);
}

#[tokio::test]
async fn stop_texts_end_the_answer_and_are_not_in_it() {
    let place = Place::new();
    let (_, text, ..) = ask(&place, request(user("hello"), &[("max_tokens", json!(40))])).await;
    let stop = &text[10..13];
    let at = text.find(stop).unwrap();
    let (result, cut, ..) = ask(&place, request(user("hello"), &[("max_tokens", json!(40)), ("stop", json!(["nope", stop]))])).await;
    assert_eq!((result.unwrap(), cut.as_str()), (Finish::Stop, &text[..at]));
}

#[tokio::test]
async fn what_does_not_fit_is_refused_before_work_with_the_counts() {
    let place = Place::new();
    let (result, _, figures, states) = ask(&place, request(user(&"x".repeat(200)), &[("context", json!(100))])).await;
    let error = result.unwrap_err();
    assert_eq!(error.kind, Kind::ContextExceeded);
    assert!(error.message.contains("100") && error.hints.iter().any(|h| h.contains("4096")), "{error:?}");
    assert!(!states.contains(&State::Reading));
    assert!(value(figures.prompt_tokens) > 200.0);
    // The context is also where an answer ends.
    let (result, text, figures, _) = ask(&place, request(user("hello"), &[("context", json!(60))])).await;
    assert_eq!(result.unwrap(), Finish::Length);
    assert_eq!(text.len() as f64, 60.0 - value(figures.prompt_tokens));
    assert_eq!(place.engine.model("talker").await.unwrap().context, Some(60));
}

#[tokio::test]
async fn an_answer_goes_on_where_it_ended() {
    let place = Place::new();
    let (_, whole, ..) = ask(&place, request(user("hello"), &[("max_tokens", json!(30))])).await;
    let mut messages = user("hello");
    messages.push(Message::new(Role::Assistant, &whole[..12]));
    let (_, rest, figures, _) = ask(&place, Request { continues: true, ..request(messages, &[("max_tokens", json!(18))]) }).await;
    assert_eq!(rest, whole[12..]);
    assert!(value(figures.cached_tokens) > 12.0);
}

#[tokio::test]
async fn a_json_schema_is_refused_with_a_sentence() {
    let place = Place::new();
    let error = ask(&place, request(user("x"), &[("json_schema", json!({}))])).await.0.unwrap_err();
    assert_eq!(error.kind, Kind::Unsupported);
    assert_eq!(ask(&place, Request { model: "nobody".into(), ..request(user("x"), &[]) }).await.0.unwrap_err().kind, Kind::ModelMissing);
}

#[tokio::test]
async fn models_are_loaded_and_unloaded_by_name() {
    let place = Place::new();
    let (sink, source) = channel();
    let parameters = Parameters::default();
    let (result, (_, _, states)) = tokio::join!(place.engine.start("talker", &parameters, sink), listen(source));
    result.unwrap();
    assert_eq!(states, [State::Loading]);
    let info = place.engine.model("talker").await.unwrap();
    assert_eq!(info.state, ModelState::Loaded);
    assert!(info.memory_bytes.is_some_and(|b| b > 1000) && info.expires.is_some(), "{info:?}");
    place.engine.stop("talker").await.unwrap();
    assert_eq!(place.state().await, ModelState::Unloaded);
    place.engine.stop("talker").await.unwrap();
}

#[tokio::test]
async fn a_model_nobody_asks_goes_by_itself() {
    let place = Place::new();
    ask(&place, request(user("x"), &[("max_tokens", json!(2)), ("keep_alive", json!("0"))])).await.0.unwrap();
    place.until(ModelState::Unloaded).await;
    ask(&place, request(user("x"), &[("max_tokens", json!(2)), ("keep_alive", json!("1s"))])).await.0.unwrap();
    place.until(ModelState::Loaded).await;
    place.until(ModelState::Unloaded).await;
    ask(&place, request(user("x"), &[("max_tokens", json!(2)), ("keep_alive", json!("-1"))])).await.0.unwrap();
    place.until(ModelState::Loaded).await;
    assert_eq!(place.engine.model("talker").await.unwrap().expires, None);
}

#[tokio::test]
async fn dropping_an_answer_frees_the_model_for_the_next() {
    let place = Place::new();
    let (sink, mut source) = channel();
    {
        let endless = place.engine.generate(request(user("x"), &[("max_tokens", json!(4000))]), sink);
        tokio::pin!(endless);
        let begun = async {
            while let Some(update) = source.next().await {
                if matches!(update, Update::Delta(..)) {
                    return;
                }
            }
        };
        tokio::select! {
            r = &mut endless => panic!("it ended: {r:?}"),
            () = begun => {}
        }
    }
    // The next one gets its turn long before 4,000 tokens would be written.
    ask(&place, request(user("y"), &[("max_tokens", json!(1))])).await.0.unwrap();
    drop(source);
    // Nobody reads: the same.
    let (sink, source) = channel();
    drop(source);
    let error = place.engine.generate(request(user("x"), &[("max_tokens", json!(4000))]), sink).await.unwrap_err();
    assert_eq!(error.kind, Kind::Cancelled);
}

#[tokio::test]
async fn answers_wait_for_each_other_and_say_so() {
    let place = Place::new();
    let (sink, mut source) = channel();
    let first = place.engine.generate(request(user("x"), &[("max_tokens", json!(600))]), sink);
    let second = async {
        while let Some(update) = source.next().await {
            if matches!(update, Update::Delta(..)) {
                break;
            }
        }
        let (sink, mut queued) = channel();
        let asked = place.engine.generate(request(user("y"), &[("max_tokens", json!(2))]), sink);
        let heard = async {
            let mut ahead = None;
            while let Some(update) = queued.next().await {
                if let Update::Phase(State::Waiting, progress) = update {
                    ahead = progress.ahead;
                }
            }
            ahead
        };
        let drain = async { while source.next().await.is_some() {} };
        let (result, ahead, ()) = tokio::join!(asked, heard, drain);
        (result, ahead)
    };
    let (a, (b, ahead)) = tokio::time::timeout(Duration::from_secs(60), async { tokio::join!(first, second) }).await.unwrap();
    assert_eq!((a.unwrap(), b.unwrap(), ahead), (Finish::Length, Finish::Length, Some(1)));
}

#[tokio::test]
async fn stopping_a_model_ends_its_answers() {
    let place = Place::new();
    let (sink, mut source) = channel();
    let endless = place.engine.generate(request(user("x"), &[("max_tokens", json!(4000))]), sink);
    let stop = async {
        while let Some(update) = source.next().await {
            if matches!(update, Update::Delta(..)) {
                break;
            }
        }
        place.engine.stop("talker").await.unwrap();
    };
    let (result, ()) = tokio::time::timeout(Duration::from_secs(60), async { tokio::join!(endless, stop) }).await.unwrap();
    assert_eq!(result.unwrap_err().kind, Kind::Cancelled);
    assert_eq!(place.state().await, ModelState::Unloaded);
    ask(&place, request(user("x"), &[("max_tokens", json!(1))])).await.0.unwrap();
}

#[tokio::test]
async fn the_preview_is_the_prompt_itself() {
    let place = Place::new();
    let preview = place.engine.preview(&request(user("hello"), &[]));
    assert_eq!(preview.body, "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n");
    assert!(preview.notes.iter().any(|n| n.contains("no chat template")));
    assert_eq!(place.state().await, ModelState::Unloaded, "a look loads nothing");
    let set = place.engine.preview(&request(user("hello"), &[("top_k", json!(7)), ("grammar", json!("x"))]));
    assert!(set.notes.contains(&"The engine is asked with temperature 0.0, top_k 7.".to_owned()), "{:?}", set.notes);
    let lost = place.engine.preview(&Request { model: "nobody".into(), ..request(user("x"), &[]) });
    assert!(lost.body.is_empty() && lost.notes[0].contains("nobody"));
}

/// `stop`, `max_tokens` and `thinking` are read where the answer is made; the tests above hold them.
#[test]
fn every_parameter_of_the_table_reaches_the_engine() {
    use super::super::answer::context_of;
    use super::super::sample::Settings;
    let derived = |p: &Parameters| (Settings::from_parameters(p, 1), context_of(p, 100_000), super::super::keep_alive(p));
    let plain = derived(&Parameters::default());
    for parameter in
        crate::core::parameters::PARAMETERS.iter().filter(|p| p.kinds.contains(&crate::proto::BackendKind::Embedded) && !p.is_kept())
    {
        let text = match parameter.key {
            "stop" | "max_tokens" | "thinking" => continue,
            "temperature" | "top_p" | "min_p" | "repeat_penalty" => "0.33",
            "keep_alive" => "7m",
            _ => "77",
        };
        let value = crate::core::parameters::parse(parameter.key, text).unwrap().unwrap();
        let set = Parameters([(parameter.key.to_owned(), value)].into());
        assert_ne!(derived(&set), plain, "{}", parameter.key);
    }
}

#[test]
fn the_environment_leaves_a_core_to_a_screen() {
    let threads = |screen: bool| {
        super::super::process_env(screen).into_iter().find(|(k, _)| *k == "CANDLE_NUM_THREADS").unwrap().1.parse::<usize>().unwrap()
    };
    let cores = std::thread::available_parallelism().unwrap().get();
    assert_eq!(threads(false), cores);
    assert_eq!(threads(true), (cores - 1).max(1));
}
