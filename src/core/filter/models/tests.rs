use proptest::prelude::*;

use super::*;
use crate::proto::BackendKind;

const NOW: UnixMs = 1_763_820_000_000;
const DAY: UnixMs = 86_400_000;

fn model(name: &str, change: impl FnOnce(&mut ModelInfo)) -> (ModelInfo, Option<ModelUse>) {
    let mut model = ModelInfo::named("workstation", BackendKind::Ollama, name);
    change(&mut model);
    (model, None)
}

fn models() -> Vec<(ModelInfo, Option<ModelUse>)> {
    let mut all = vec![
        model("qwen3:8b", |m| {
            m.state = ModelState::Loaded;
            m.family = Some("qwen3".into());
            m.quantisation = Some("Q4_K_M".into());
            m.size_bytes = Some(4_900_000_000);
            m.context = Some(8192);
            m.context_max = Some(40_960);
            m.capabilities = vec!["completion".into(), "tools".into()];
            m.card.favourite = true;
            m.card.groups = vec!["work".into()];
        }),
        model("gemma3:27b", |m| {
            m.state = ModelState::Unloaded;
            m.family = Some("gemma3".into());
            m.size_bytes = Some(17_000_000_000);
            m.context_max = Some(131_072);
            m.capabilities = vec!["completion".into(), "vision".into()];
            m.card.tags = vec!["big one".into(), "old".into()];
        }),
        model("smollm2:135m", |m| {
            m.backend = "embedded".into();
            m.kind = BackendKind::Embedded;
            m.state = ModelState::Sleeping;
            m.size_bytes = Some(98_000_000);
            m.card.note = "A toy.".into();
        }),
        model("secret", |m| m.card.hidden = true),
    ];
    all[0].1 = Some(ModelUse { runs: 12, failed: 1, last: Some(NOW - 2 * DAY), tokens_per_s: Some(41.8), ttft_ms: Some(412.0) });
    all[1].1 = Some(ModelUse { runs: 1, last: Some(NOW - 30 * DAY), ..ModelUse::default() });
    all
}

fn found(text: &str) -> Vec<String> {
    let filter = Filter::parse(text);
    assert_eq!(filter.problems(), [], "{text}");
    shown(&filter)
}

fn shown(filter: &Filter) -> Vec<String> {
    models().into_iter().filter(|(model, uses)| filter.shows_model(model, uses.as_ref(), NOW)).map(|(model, _)| model.name).collect()
}

#[test]
fn every_word_of_the_language() {
    let (qwen, gemma, smol) = ("qwen3:8b", "gemma3:27b", "smollm2:135m");
    for (text, expected) in [
        ("", vec![qwen, gemma, smol]),
        ("GEMMA", vec![gemma]),
        ("state:loaded", vec![qwen]),
        ("state:loaded,sleeping", vec![qwen, smol]),
        ("state:unl", vec![gemma]),
        ("-state:loaded", vec![gemma, smol]),
        ("!state:loaded", vec![gemma, smol]),
        ("backend:work", vec![qwen, gemma]),
        ("kind:emb", vec![smol]),
        ("family:3", vec![qwen, gemma]),
        ("family:=qwen3", vec![qwen]),
        ("family:\"qwen\"", vec![]),
        ("-family:*", vec![smol]),
        ("quant:k_m", vec![qwen]),
        ("size:<8G", vec![qwen, smol]),
        ("size<8G", vec![qwen, smol]),
        ("size:>=4.9GB", vec![qwen, gemma]),
        ("size:1..5", vec![qwen]),
        ("size:17G", vec![gemma]),
        ("size:<100MiB", vec![smol]),
        ("ctx:>=32k", vec![qwen, gemma]),
        ("ctx:128k", vec![gemma]),
        ("-ctx:*", vec![smol]),
        ("cap:vision", vec![gemma]),
        ("cap:tools,vision", vec![qwen, gemma]),
        ("tag:\"big one\"", vec![gemma]),
        ("tag:big", vec![gemma]),
        ("tag:one", vec![]),
        ("group:work", vec![qwen]),
        ("-group:*", vec![gemma, smol]),
        ("fav:", vec![qwen]),
        ("fav:no size:>1G", vec![gemma]),
        ("hidden:", vec!["secret"]),
        ("hidden:any -state:unknown", vec![qwen, gemma, smol]),
        ("runs:>0", vec![qwen, gemma]),
        ("runs:0", vec![smol]),
        ("used:<7d", vec![qwen]),
        ("used:7d", vec![qwen]),
        ("used:>1w", vec![gemma]),
        ("tps:>20", vec![qwen]),
        ("ttft:<1s", vec![qwen]),
        ("toy", vec![smol]),
        ("\"big one\"", vec![gemma]),
        ("q38", vec![qwen]),
        ("sm2", vec![smol]),
        ("sml2", vec![]),
        ("\"q38\"", vec![]),
        ("qwen3:8b", vec![qwen]),
        ("3b", vec![qwen, gemma]),
        ("gemma size:>10G -tag:new", vec![gemma]),
        // Not written to the end yet: it filters nothing.
        ("state:", vec![qwen, gemma, smol]),
        ("size:<", vec![qwen, gemma, smol]),
        ("group: -", vec![qwen, gemma, smol]),
    ] {
        assert_eq!(found(text), expected, "{text}");
    }
}

#[test]
fn what_is_not_understood_is_said_and_the_rest_still_filters() {
    for (text, message, hint) in [
        ("gemma szie:<8G", "There is no filter word “szie”.", "Did you mean size:?"),
        ("gemma size:<8X", "“8X” is not a size: write 8G, 500M or 4G..8G.", "For example size:<8G."),
        ("gemma state:laoded", "No model has the state “laoded”.", "Did you mean state:loaded?"),
        ("gemma kind:olama", "No backend is of the kind “olama”.", "Did you mean kind:ollama?"),
        ("gemma fav:perhaps", "`fav:` is yes or no, and not “perhaps”.", "Write fav: or fav:no."),
        ("gemma used:<>7d", "`<>` compares nothing: there are < <= > >= = and FROM..TO.", "For example used:<7d."),
        ("gemma ctx:many", "“many” is not a number of tokens: write 8192 or 32k.", "For example ctx:>=32k."),
    ] {
        let filter = Filter::parse(text);
        let [problem] = filter.problems() else { panic!("{text}: {:?}", filter.problems()) };
        assert_eq!((problem.message.as_str(), problem.hint.as_deref()), (message, Some(hint)));
        assert_eq!(&text[problem.at.clone()], text.split(' ').next_back().unwrap());
        assert_eq!(shown(&filter), ["gemma3:27b"], "{text}");
    }
}

#[test]
fn words_and_values_are_completed() {
    let known = Known::of(&models().into_iter().map(|(model, _)| model).collect::<Vec<_>>());
    let texts = |before: &str| {
        let (start, items) = complete(before, &known);
        (start, items.into_iter().map(|(text, _)| text).collect::<Vec<_>>())
    };
    assert_eq!(texts("qwen si"), (5, vec!["size:".to_owned()]));
    assert_eq!(texts("-sta"), (1, vec!["state:".to_owned()]));
    assert_eq!(texts("state:lo").1, ["state:loaded", "state:loading", "state:unloaded", "state:downloading"]);
    assert_eq!(texts("state:loaded,sl").1, ["state:loaded,sleeping"]);
    assert_eq!(texts("tag:").1, ["tag:\"big one\"", "tag:old"]);
    assert_eq!(texts("a cap:v"), (2, vec!["cap:vision".to_owned()]));
    assert_eq!(texts("size:").1, ["size:<8G"]);
    assert_eq!(texts("").1.len(), WORDS.len());
    assert_eq!(texts("qwen ").0, 5);
}

#[test]
fn every_example_of_the_table_is_understood() {
    for word in WORDS {
        let filter = Filter::parse(word.example);
        assert_eq!((filter.problems().len(), filter.is_empty()), (0, false), "{}", word.example);
        assert!(word.about.chars().next().is_some_and(char::is_uppercase) && !word.about.ends_with('.'), "{}", word.about);
    }
}

fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "q",
        "qw",
        "3",
        "8b",
        "gem",
        "size:<8G",
        "state:lo",
        "-",
        "!",
        "fav:",
        "hidden:any",
        "\"",
        ":",
        "tag:",
        "x:y",
        " ",
        "日",
        "used:<7d",
        "runs:>0",
        "<",
    ]);
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    /// What is typed narrows: a list that keeps only what fitted before never loses anything by it.
    #[test]
    fn narrowing_loses_nothing(text in pieces()) {
        let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
        let mut before = Filter::parse("");
        for end in ends {
            let filter = Filter::parse(&text[..end]);
            if filter.narrows(&before) {
                let old = shown(&before);
                prop_assert!(shown(&filter).iter().all(|name| old.contains(name)), "{:?}", &text[..end]);
            }
            before = filter;
        }
    }

    #[test]
    fn any_text_parses_and_completes(text in "\\PC{0,40}") {
        let filter = Filter::parse(&text);
        for problem in filter.problems() {
            prop_assert!(text.get(problem.at.clone()).is_some());
        }
        let (start, _) = complete(&text, &Known::default());
        prop_assert!(text.is_char_boundary(start));
    }
}
