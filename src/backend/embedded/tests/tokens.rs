//! Tokenizers and templates from tiny files.

use super::super::pre;
use super::super::sample::{Sampler, Settings};
use super::super::template::Template;
use super::super::tokenizer::Tokenizer;
use super::Writer;
use crate::backend::Message;
use crate::backend::gguf::{Header, Want};
use crate::error::Kind;
use crate::proto::{Parameters, Role};

fn header(writer: &Writer) -> Header {
    let (_folder, path) = writer.file();
    Header::read(&path, Want::Everything).unwrap()
}

fn tokenizer(writer: &Writer) -> crate::error::Result<Tokenizer> {
    Tokenizer::from_header(&header(writer))
}

/// A SentencePiece vocabulary: bytes 3..=258, then pieces.
fn spm() -> Writer {
    spm_with("llama", 1, |_, _| {})
}

/// The same under another name, its pieces and scores changed.
fn spm_with(model: &str, bos: u32, change: impl FnOnce(&mut Vec<&str>, &mut Vec<f32>)) -> Writer {
    let bytes: Vec<String> = (0..=255).map(|b| format!("<0x{b:02X}>")).collect();
    let mut texts = vec!["<unk>", "<s>", "</s>"];
    texts.extend(bytes.iter().map(String::as_str));
    let mut kinds = vec![2, 3, 3];
    kinds.extend([6; 256]);
    let mut scores = vec![0.0; 259];
    for (piece, score) in [("▁", -1.0), ("a", -2.0), ("b", -3.0), ("c", -4.0), ("ab", -5.0), ("bc", -4.5), ("▁a", -6.0), ("abc", -7.0)]
    {
        texts.push(piece);
        kinds.push(1);
        scores.push(score);
    }
    texts.push("<end_of_turn>");
    kinds.push(3);
    scores.push(0.0);
    change(&mut texts, &mut scores);
    Writer::default()
        .text("general.architecture", "llama")
        .text("tokenizer.ggml.model", model)
        .texts("tokenizer.ggml.tokens", &texts)
        .ints("tokenizer.ggml.token_type", &kinds)
        .floats("tokenizer.ggml.scores", &scores)
        .int("tokenizer.ggml.bos_token_id", bos)
        .int("tokenizer.ggml.eos_token_id", 2)
        .int("tokenizer.ggml.unknown_token_id", 0)
}

#[test]
fn pieces_of_the_highest_score_are_merged_first_and_bytes_fill_gaps() {
    let t = tokenizer(&spm().flag("tokenizer.ggml.add_space_prefix", false)).unwrap();
    let read = |text: &str| t.encode(text).unwrap().iter().map(|id| String::from_utf8_lossy(t.piece(*id)).into_owned()).collect::<Vec<_>>();
    // `bc` scores higher than `ab`, and `a` with `bc` is a token again.
    assert_eq!(read("abc"), ["abc"]);
    assert_eq!(read("abab"), ["ab", "ab"]);
    assert_eq!(read("a bcc"), ["a", " ", "bc", "c"]);
    assert_eq!(t.encode("é").unwrap(), [3 + 0xC3, 3 + 0xA9]);
    assert_eq!(t.piece(3 + 0xC3), [0xC3]);
    assert_eq!(t.encode("a<end_of_turn>b").unwrap().len(), 3);
    assert!(t.encode("").unwrap().is_empty());
}

#[test]
fn a_space_is_put_before_text_where_the_family_wants_it() {
    let with = tokenizer(&spm()).unwrap();
    let ids = |t: &Tokenizer, text: &str| {
        t.encode(text).unwrap().iter().map(|id| String::from_utf8_lossy(t.piece(*id)).into_owned()).collect::<String>()
    };
    assert_eq!(ids(&with, "ab"), " ab");
    assert_eq!(ids(&with, "<end_of_turn>ab"), "<end_of_turn> ab");
}

#[test]
fn the_beginning_is_marked_once() {
    let t = tokenizer(&spm()).unwrap();
    assert_eq!(t.encode_prompt("<s>a").unwrap()[0], 1);
    assert_eq!(t.encode_prompt("<s>a").unwrap().iter().filter(|id| **id == 1).count(), 1);
    assert_eq!(t.encode_prompt("a").unwrap()[0], 1);
    let without = tokenizer(&spm().flag("tokenizer.ggml.add_bos_token", false)).unwrap();
    assert_ne!(without.encode_prompt("a").unwrap()[0], 1);
    assert!(t.ends_turn(2) && t.ends_turn(t.encode("<end_of_turn>").unwrap()[0]) && !t.ends_turn(3));
}

#[test]
fn long_texts_without_a_merge_or_a_space_end() {
    let t = tokenizer(&spm()).unwrap();
    assert!(t.encode(&"é ".repeat(20_000)).unwrap().len() > 40_000);
    assert!(t.encode(&"ab".repeat(50_000)).unwrap().len() <= 100_001);
}

#[test]
fn contradictions_are_refused() {
    for (writer, kind) in [
        (Writer::default().text("tokenizer.ggml.model", "llama"), Kind::File),
        (spm_with("llama", 1, |texts, _| texts.clear()), Kind::File),
        (spm_with("llama", 1, |_, scores| scores.truncate(1)), Kind::File),
        (spm_with("t5", 1, |_, _| {}), Kind::Unsupported),
        (spm_with("gpt2", 1, |_, _| {}), Kind::File),
    ] {
        let error = tokenizer(&writer).err().unwrap();
        assert_eq!(error.kind, kind, "{error:?}");
    }
    // Ids beyond the vocabulary are as good as none.
    let t = tokenizer(&spm_with("llama", 1_000_000, |_, _| {})).unwrap();
    assert_ne!(t.encode_prompt("a").unwrap()[0], 1_000_000);
    assert_eq!(t.piece(1_000_000), b"");
}

/// A byte-level vocabulary of a few merges.
fn bpe(pre: &str) -> Writer {
    let texts = ["a", "b", "1", "2", "Ġ", "ab", "12", "Ġa", "<|im_start|>", "<|im_end|>", "Ċ"];
    Writer::default()
        .text("tokenizer.ggml.model", "gpt2")
        .text("tokenizer.ggml.pre", pre)
        .texts("tokenizer.ggml.tokens", &texts)
        .ints("tokenizer.ggml.token_type", &[1, 1, 1, 1, 1, 1, 1, 1, 3, 3, 1])
        .texts("tokenizer.ggml.merges", &["a b", "1 2", "Ġ a", "x y", "broken"])
}

#[test]
fn pre_tokenizers_decide_what_may_merge() {
    // GPT-2 reads digits together, SmolLM one by one.
    assert_eq!(tokenizer(&bpe("gpt-2")).unwrap().encode("ab12 a").unwrap(), [5, 6, 7]);
    assert_eq!(tokenizer(&bpe("smollm")).unwrap().encode("ab12 a").unwrap(), [5, 2, 3, 7]);
    let t = tokenizer(&bpe("smollm")).unwrap();
    assert_eq!(t.encode("<|im_start|>a\n<|im_end|>").unwrap(), [8, 0, 10, 9]);
    assert_eq!(t.piece(7), b" a");
    assert!(t.is_control(8) && t.ends_turn(9) && !t.is_control(0));
}

#[test]
fn an_unknown_pre_tokenizer_is_said_and_every_known_one_compiles() {
    assert!(pre::note(&header(&bpe("from-the-future"))).unwrap().contains("from-the-future"));
    assert_eq!(pre::note(&header(&bpe("qwen2"))), None);
    assert_eq!(pre::note(&header(&spm())), None);
    for name in [
        "llama-bpe",
        "qwen2",
        "smollm",
        "gpt-2",
        "deepseek-llm",
        "deepseek-coder",
        "deepseek-v3",
        "falcon",
        "tekken",
        "gpt-4o",
        "bloom",
        "viking",
        "superbpe",
        "chatglm-bpe",
        "qwen35",
    ] {
        assert!(pre::rules(name).known, "{name}");
        let t = tokenizer(&bpe(name)).unwrap();
        // All of them read all of a text, in whatever pieces.
        let text = "ab 12ab  1 a\n\nab";
        let back: Vec<u8> = t.encode(text).unwrap().iter().flat_map(|id| t.piece(*id).to_vec()).collect();
        assert_eq!(String::from_utf8(back).unwrap(), text, "{name}");
    }
}

#[test]
fn endless_spaces_are_read_or_refused_but_never_hang() {
    let t = tokenizer(&bpe("gpt-2")).unwrap();
    let _ = t.encode(&" ".repeat(200_000));
}

fn say(role: Role, text: &str) -> Message {
    Message::new(role, text)
}

fn template(source: Option<&str>) -> Template {
    let writer = bpe("smollm").int("tokenizer.ggml.bos_token_id", 8).int("tokenizer.ggml.eos_token_id", 9);
    Template::new(&header(&match source {
        Some(source) => writer.text("tokenizer.chat_template", source),
        None => writer,
    }))
}

#[test]
fn a_file_without_a_template_gets_one_and_says_so() {
    let t = template(None);
    assert!(t.notes[0].contains("no chat template") && t.stops == ["<|im_end|>"]);
    let text = t.render(&[say(Role::System, "Be brief."), say(Role::User, "Hi")], false, None).unwrap().text;
    assert_eq!(text, "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
}

#[test]
fn an_answer_is_continued_within_its_turn() {
    let messages = [say(Role::User, "Count."), say(Role::Assistant, "One, two,")];
    let rendered = template(None).render(&messages, true, None).unwrap();
    assert!(rendered.text.ends_with("<|im_start|>assistant\nOne, two,"), "{}", rendered.text);
    assert!(!rendered.thinking);
    let thought = Message { thinking: Some("Easy".into()), text: String::new(), ..messages[1].clone() };
    let rendered = template(None).render(&[messages[0].clone(), thought], true, None).unwrap();
    assert!(rendered.text.ends_with("assistant\n<think>\nEasy") && rendered.thinking, "{rendered:?}");
}

#[test]
fn thinking_is_switched_where_the_template_has_a_switch() {
    let t = template(Some(
        "{% for m in messages %}{{ m.content }}{% endfor %}{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% else %}<think>\n{% endif %}",
    ));
    assert!(t.render(&[say(Role::User, "x")], false, None).unwrap().thinking);
    assert!(!t.render(&[say(Role::User, "x")], false, Some(false)).unwrap().thinking);
    let begun = [say(Role::User, "x"), say(Role::Assistant, "It is")];
    assert!(t.render(&begun, true, None).unwrap().text.ends_with("</think>\n\nIt is"));
}

#[test]
fn templates_behave_as_in_transformers() {
    let t = template(Some(
        "{%- for m in messages %}\n    {% generation %}\n    {%- if m['role'].upper().startswith('USER') %}\n{{ bos_token + m.content.strip() }}|\n    {%- endif %}\n    {% endgeneration %}\n{%- endfor %}\n{{ strftime_now('%Y') | length }}{{ eos_token }}",
    ));
    assert_eq!(t.render(&[say(Role::User, " hi ")], false, None).unwrap().text, "<|im_start|>hi|4<|im_end|>");
}

#[test]
fn a_template_without_system_prompts_gets_the_words_another_way() {
    let t = template(Some(
        "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}[{{ m.role }}:{{ m.content }}]{% endfor %}",
    ));
    let rendered = t
        .render(&[say(Role::System, "Be kind."), say(Role::User, "a"), say(Role::User, "b"), say(Role::Assistant, "c")], false, None)
        .unwrap();
    assert_eq!(rendered.text, "[user:Be kind.\n\na\n\nb][assistant:c]");
    assert_eq!(rendered.notes.len(), 1);
}

#[test]
fn hostile_templates_end_with_a_sentence() {
    for source in [
        "{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}",
        "{{ raise_exception('no \u{1b}[31m way') }}",
        "{% if %}",
        "{% include '/etc/passwd' %}",
        "{{ ''.__class__.__mro__ }}{{ raise_exception('x') }}",
    ] {
        let error = template(Some(source)).render(&[say(Role::User, "x")], false, None).unwrap_err();
        assert_eq!(error.kind, Kind::BadRequest, "{source}");
        assert!(!error.message.contains('\u{1b}'), "{error:?}");
    }
}

fn sampler(settings: &[(&str, f64)]) -> Sampler {
    let parameters = Parameters(
        settings
            .iter()
            .map(|(k, v)| ((*k).to_owned(), if v.fract() == 0.0 && *k != "temperature" { (*v as i64).into() } else { (*v).into() }))
            .collect(),
    );
    Sampler::new(Settings::from_parameters(&parameters, 42))
}

#[test]
fn the_likeliest_is_taken_without_temperature_and_odd_numbers_never() {
    let mut s = sampler(&[("temperature", 0.0)]);
    assert_eq!(s.choose(&mut [0.0, 3.0, f32::NAN, 3.0, 1.0]), Some(1));
    assert_eq!(s.choose(&mut [f32::NAN; 3]), None);
    assert_eq!(s.choose(&mut []), None);
    let mut s = sampler(&[("temperature", 1.0)]);
    assert_eq!(s.choose(&mut [f32::NAN, f32::NEG_INFINITY, 0.0]), Some(2));
    assert_eq!(s.choose(&mut [f32::NAN]), None);
}

#[test]
fn one_seed_gives_one_sequence() {
    let run = |seed: f64| {
        let mut s = sampler(&[("temperature", 1.0), ("seed", seed), ("top_k", 0.0)]);
        (0..50).map(|_| s.choose(&mut [0.0; 100]).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(run(7.0), run(7.0));
    assert_ne!(run(7.0), run(8.0));
    assert!(run(7.0).iter().collect::<std::collections::HashSet<_>>().len() > 20);
}

#[test]
fn each_setting_leaves_out_what_it_should() {
    let seen = |settings: &[(&str, f64)]| {
        let mut s = sampler(settings);
        // e^0 : e^-1 : e^-2 : e^-5, that is 0.66, 0.24, 0.09, 0.004.
        (0..500)
            .map(|_| s.choose(&mut [-2.0, 0.0, -5.0, -1.0]).unwrap())
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect::<Vec<_>>()
    };
    let off = [("top_k", 0.0), ("top_p", 1.0), ("min_p", 0.0)];
    assert_eq!(seen(&[&off[..], &[("temperature", 1.5)]].concat()), [0, 1, 2, 3]);
    assert_eq!(seen(&[("top_k", 2.0), ("top_p", 1.0), ("min_p", 0.0), ("temperature", 1.5)]), [1, 3]);
    assert_eq!(seen(&[("top_k", 0.0), ("top_p", 0.7), ("min_p", 0.0), ("temperature", 1.5)]), [1, 3]);
    assert_eq!(seen(&[("top_k", 0.0), ("top_p", 1.0), ("min_p", 0.1), ("temperature", 1.5)]), [0, 1, 3]);
    assert_eq!(seen(&[("top_k", 1.0), ("temperature", 2.0)]), [1]);
}

#[test]
fn what_was_said_is_made_less_likely() {
    let mut s = sampler(&[("temperature", 0.0), ("repeat_penalty", 1.5)]);
    s.accept(0);
    assert_eq!(s.choose(&mut [2.0, 1.9]), Some(1));
    assert_eq!(s.choose(&mut [-1.0, -1.4]), Some(1), "also below zero");
    for other in 1..=64 {
        s.accept(100 + other);
    }
    assert_eq!(s.choose(&mut [2.0, 1.9]), Some(0), "long ago does not count");
}
