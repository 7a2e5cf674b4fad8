//! Heads of files: whole, cut off, and lying.

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::anatomy::{anatomy, shown, tensors};
use super::writer::Writer;
use super::{Header, Value, Want, Whole, part_of};
use crate::core::fit::{LoadPlan, estimate};
use crate::error::{Error, Kind};
use crate::proto::{Anatomy, BackendKind, Parameters};

fn read(bytes: &[u8]) -> Result<Header, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x\u{1b}[31m.gguf");
    std::fs::write(&path, bytes).unwrap();
    let listing = Header::read(&path, Want::Listing);
    let all = Header::read(&path, Want::Everything);
    assert_eq!(listing.as_ref().err(), all.as_ref().err(), "both ways of reading judge alike");
    all
}

fn whole() -> Writer {
    Writer::default()
        .text("general.architecture", "llama")
        .int("llama.block_count", 2)
        .float("llama.rope.freq_base", 10_000.0)
        .flag("tokenizer.ggml.add_bos_token", true)
        .texts("tokenizer.ggml.tokens", &["a", "b", "ü"])
        .ints("tokenizer.ggml.token_type", &[1, 3, 1])
        .floats("tokenizer.ggml.scores", &[0.0, -1.5, 2.0])
        .tensor("w", &[2, 3], &[1.0; 6])
        .tensor("v", &[3], &[2.0; 3])
}

#[test]
fn a_whole_head_is_read() {
    let header = read(&whole().bytes()).unwrap();
    assert_eq!(header.architecture(), "llama");
    assert_eq!(header.count("llama.block_count"), Some(2));
    assert_eq!(header.float("llama.rope.freq_base"), Some(10_000.0));
    assert_eq!(header.flag("tokenizer.ggml.add_bos_token"), Some(true));
    assert_eq!(header.texts("tokenizer.ggml.tokens").unwrap(), ["a", "b", "ü"]);
    assert_eq!(header.integers("tokenizer.ggml.token_type").unwrap(), [1, 3, 1]);
    assert_eq!(header.floats("tokenizer.ggml.scores").unwrap(), [0.0, -1.5, 2.0]);
    let tensor = &header.tensors["w"];
    assert_eq!((tensor.shape.as_slice(), tensor.size, tensor.kind.name), ([2, 3].as_slice(), 24, "F32"));
    assert_eq!(tensor.offset % 32, 0);
}

#[test]
fn a_listing_leaves_lists_out() {
    let many = vec!["token"; 65];
    let (_folder, path) = whole().texts("many.texts", &many).ints("many.numbers", &[7; 4097]).ints("few", &[1, 0, 2]).file();
    let header = Header::read(&path, Want::Listing).unwrap();
    assert_eq!(header.metadata["many.texts"], Value::Skipped { of: "texts", length: 65 });
    assert_eq!(header.metadata["many.numbers"], Value::Skipped { of: "numbers", length: 4097 });
    assert_eq!(header.length("many.texts"), Some(65));
    assert_eq!(header.integers("few").unwrap(), [1, 0, 2], "one number for each layer is needed to say what it takes");
    assert_eq!(header.tensors.len(), 2);
}

#[test]
fn a_file_cut_off_anywhere_says_so() {
    let bytes = whole().bytes();
    for length in 0..bytes.len() {
        let error = read(&bytes[..length]).unwrap_err();
        assert_eq!(error.kind, Kind::File, "{length}: {error:?}");
        let said = error.message.contains("cut off") || error.message.contains("empty") || error.message.contains("not a GGUF");
        assert!(said, "{length}: {error:?}");
        assert!(!error.message.contains('\u{1b}'), "{error:?}");
        assert!(!error.hints.is_empty());
    }
}

#[test]
fn one_wrong_byte_anywhere_never_harms() {
    let bytes = whole().bytes();
    for at in 0..bytes.len() {
        for value in [0, 1, 9, 0x7F, 0xFF] {
            let mut bad = bytes.clone();
            bad[at] = value;
            // Read or refused; what matters is that it ends, small and without a panic.
            let _ = read(&bad);
        }
    }
}

#[test]
fn what_is_no_model_is_named() {
    for (bytes, word) in [
        (b"PK\x03\x04 and so on".as_slice(), "zip"),
        (b"<!DOCTYPE html>", "web page"),
        (b"version https://git-lfs", "Git LFS"),
        (b"ggjt....", "old GGML"),
        (b"", "empty"),
        (b"GG", "not a GGUF"),
        (b"\x7fELF", "not a GGUF"),
    ] {
        let error = read(bytes).unwrap_err();
        assert!(error.message.contains(word), "{error:?}");
    }
}

#[test]
fn versions_and_byte_orders_are_told_apart() {
    let with = |version: u32| [b"GGUF".as_slice(), &version.to_le_bytes(), &[0; 16]].concat();
    assert!(read(&with(1)).unwrap_err().message.contains("version 1"));
    assert!(read(&with(4)).unwrap_err().message.contains("version 4"));
    assert!(read(&with(3u32.swap_bytes())).unwrap_err().message.contains("big-endian"));
    assert!(read(&with(2)).is_ok());
}

/// A head with one metadata entry, given as raw bytes after its key.
fn entry(bytes: &[u8]) -> Vec<u8> {
    let mut out = [b"GGUF".as_slice(), &3u32.to_le_bytes(), &0u64.to_le_bytes(), &1u64.to_le_bytes()].concat();
    out.extend(1u64.to_le_bytes());
    out.push(b'k');
    out.extend(bytes);
    out.resize(out.len() + 64, 0);
    out
}

#[test]
fn claimed_sizes_allocate_nothing() {
    let huge = (1u64 << 60).to_le_bytes();
    let most = u64::MAX.to_le_bytes();
    let counts = |tensors: [u8; 8], entries: [u8; 8]| [b"GGUF".as_slice(), &3u32.to_le_bytes(), &tensors, &entries, &[0; 64]].concat();
    let list = |code: u32, length: [u8; 8]| entry(&[9u32.to_le_bytes().as_slice(), &code.to_le_bytes(), &length].concat());
    let mut cases =
        vec![counts(huge, [0; 8]), counts([0; 8], huge), counts(most, most), entry(&[8u32.to_le_bytes().as_slice(), &huge].concat())];
    for code in 0..=13 {
        cases.push(list(code, huge));
        cases.push(list(code, most));
    }
    // Lists of lists of lists…
    let mut nested = 9u32.to_le_bytes().to_vec();
    for _ in 0..100 {
        nested.extend(9u32.to_le_bytes());
        nested.extend(1u64.to_le_bytes());
    }
    cases.push(entry(&nested));
    for bytes in cases {
        let error = read(&bytes).unwrap_err();
        assert_eq!(error.kind, Kind::File, "{error:?}");
    }
}

#[test]
fn unknown_types_and_impossible_tensors_are_refused() {
    assert!(read(&entry(&99u32.to_le_bytes())).unwrap_err().message.contains("unknown type 99"));
    let tensor = |shape: &[usize], code: u32, bytes: usize| read(&Writer::default().raw("t", shape, code, vec![0; bytes]).bytes());
    assert!(tensor(&[2, 33], 3, 100).unwrap_err().message.contains("blocks of 32"));
    assert!(tensor(&[4], 77, 16).unwrap_err().message.contains("unknown way 77"));
    assert!(tensor(&[1 << 40, 1 << 40], 0, 16).unwrap_err().message.contains("larger than any memory"));
    assert!(tensor(&[1; 5], 0, 4).unwrap_err().message.contains("5 dimensions"));
    assert!(tensor(&[1 << 30], 0, 16).unwrap_err().message.contains("cut off"));
    assert!(tensor(&[2, 32], 3, 40).is_ok());
    let odd = Writer::default().int("general.alignment", 3).tensor("t", &[1], &[0.0]);
    assert!(read(&odd.bytes()).unwrap_err().message.contains("aligned"));
}

/// A file that PyPI's `gguf` wrote.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gguf").join(name)
}

fn anatomy_of(path: &Path) -> Anatomy {
    let whole = Whole::read(path, Want::Listing).unwrap();
    anatomy(&whole.header, tensors(&whole.header), "the file").unwrap()
}

#[test]
fn every_type_that_pypis_gguf_writes_is_read() {
    for want in [Want::Listing, Want::Everything] {
        let header = Header::read(&fixture("types.gguf"), want).unwrap();
        let integer = |key: &str| header.integer(key);
        assert_eq!(["t.u8", "t.i8", "t.u16", "t.i16"].map(integer), [Some(200), Some(-100), Some(60_000), Some(-30_000)]);
        assert_eq!(["t.u32", "t.i32"].map(integer), [Some(4_000_000_000), Some(-2_000_000_000)]);
        assert_eq!(integer("t.u64"), Some(i64::MAX), "what does not fit is the largest");
        assert_eq!(integer("t.i64"), Some(-(1 << 62)));
        assert_eq!((header.float("t.f32"), header.float("t.f64")), (Some(0.5), Some(0.1)));
        assert_eq!((header.flag("t.yes"), header.flag("t.no")), (Some(true), Some(false)));
        assert_eq!(header.text("t.text"), Some("Grüße, 世界 🌍\u{1b}[31m"));
        assert_eq!(header.texts("a.texts").unwrap(), ["a", "", "ü"]);
        assert_eq!(header.integers("a.flags").unwrap(), [1, 0, 1]);
        assert_eq!(header.integers("a.ints").unwrap(), [1, -2, 3]);
        assert_eq!(header.integers("a.u8").unwrap(), [1, 2, 255]);
        assert_eq!(header.integers("a.u64").unwrap(), [1, 1 << 40]);
        assert_eq!(header.floats("a.floats").unwrap(), [0.5, -1.5]);
        assert_eq!(header.floats("a.f64").unwrap(), [0.25]);
        assert_eq!(header.order.iter().take(3).map(String::as_str).collect::<Vec<_>>(), ["general.architecture", "t.u8", "t.i8"]);
        assert_eq!(header.order.len(), header.metadata.len());
    }
}

#[test]
fn every_way_to_store_a_tensor_has_the_size_that_pypis_gguf_gives_it() {
    let header = Header::read(&fixture("types.gguf"), Want::Listing).unwrap();
    // The writer lays tensors after each other, each padded: so their sizes show in their places.
    let mut all: Vec<_> = header.tensors.iter().collect();
    assert!(all.len() >= 31, "{}", all.len());
    all.sort_by_key(|(_, tensor)| tensor.offset);
    for pair in all.windows(2) {
        let [(name, tensor), (_, next)] = pair else { unreachable!() };
        assert_eq!(name.strip_prefix("stored."), Some(tensor.kind.name));
        assert_eq!((tensor.offset + tensor.size).next_multiple_of(32), next.offset, "{name}");
        assert_eq!(tensor.size, 2 * tensor.kind.block.1, "{name}: two rows of one block");
    }
}

#[test]
fn a_big_endian_file_of_pypis_gguf_is_refused() {
    let error = Header::read(&fixture("big-endian.gguf"), Want::Listing).unwrap_err();
    assert!(error.message.contains("big-endian"), "{error:?}");
}

#[test]
fn windows_follow_the_period_of_the_architecture() {
    let found = anatomy_of(&fixture("gemma3.gguf"));
    assert_eq!((found.layers, found.heads, found.kv_heads.as_slice()), (8, 4, [1].as_slice()));
    assert_eq!((found.head_k, found.head_v, found.vocabulary, found.inner), (16, 16, 70, 64));
    assert_eq!(found.window, Some(512));
    assert_eq!(found.windowed, [true, true, true, true, true, false, true, true]);
    assert!(found.tied);
    assert_eq!((found.input_weights, found.output_weights), (70 * 32 * 4, 32 * 4));
    assert_eq!(found.layer_weights, [2 * 32 * 4; 8]);
    assert_eq!(found.weights, 70 * 32 * 4 + 32 * 4 + 8 * 2 * 32 * 4);
}

#[test]
fn heads_and_windows_may_be_told_layer_by_layer() {
    let found = anatomy_of(&fixture("gemma4.gguf"));
    assert_eq!(found.kv_heads, [2, 2, 1, 2, 0, 0], "the last two use the caches of others");
    assert_eq!(found.windowed, [true, true, false, true, true, false]);
    assert_eq!((found.head_k, found.windowed_head_k, found.windowed_head_v), (64, Some(16), Some(16)));
}

#[test]
fn latent_attention_keeps_one_key_for_all_heads() {
    let found = anatomy_of(&fixture("deepseek2.gguf"));
    assert_eq!((found.kv_heads.as_slice(), found.head_k, found.head_v), ([1].as_slice(), 576, 0));
    assert_eq!(found.inner, 96, "a dense layer is wider than two experts");
    assert!(!found.tied);
    assert_eq!(found.layer_weights, [0, 0, 8 * 2 * 32 * 4], "all experts are loaded");
}

#[test]
fn recurrent_layers_keep_a_state_and_no_keys() {
    let found = anatomy_of(&fixture("mamba.gguf"));
    // Per layer 3 columns of 64 and 16 × 64 numbers, as 32-bit floats.
    assert_eq!((found.kv_heads.as_slice(), found.state_bytes), ([0].as_slice(), 2 * (3 * 64 + 16 * 64) * 4));
    let found = anatomy_of(&fixture("granitehybrid.gguf"));
    assert_eq!(found.kv_heads, [0, 0, 2, 0]);
    assert_eq!(found.state_bytes, 3 * (3 * (64 + 2 * 16) + 16 * 64) * 4);
}

/// The three parts, in a folder of their own.
fn parts() -> (tempfile::TempDir, [PathBuf; 3]) {
    let folder = tempfile::tempdir().unwrap();
    let paths = [1, 2, 3].map(|n| {
        let name = format!("parts-0000{n}-of-00003.gguf");
        let to = folder.path().join(&name);
        std::fs::copy(fixture(&name), &to).unwrap();
        to
    });
    (folder, paths)
}

#[test]
fn parts_are_put_together_from_any_of_them() {
    let (_folder, paths) = parts();
    for path in &paths {
        let whole = Whole::read(path, Want::Listing).unwrap();
        assert_eq!(whole.files.len(), 3);
        assert_eq!(whole.bytes(), whole.files.iter().map(|(_, bytes)| bytes).sum::<u64>());
        assert_eq!(whole.header.tensors.len(), 3);
        assert_eq!(whole.header.count("llama.block_count"), Some(2), "the metadata lie in the first part");
        assert_eq!(anatomy_of(path).layers, 2);
    }
    let whole = Whole::read(&fixture("gemma3.gguf"), Want::Listing).unwrap();
    assert_eq!(whole.files.len(), 1);
}

#[test]
fn parts_that_do_not_belong_together_are_refused() {
    let said = |path: &Path| {
        let error = Whole::read(path, Want::Listing).unwrap_err();
        assert_eq!(error.kind, Kind::File);
        assert!(!error.hints.is_empty(), "{error:?}");
        error.message
    };
    let (_folder, [first, second, third]) = parts();
    std::fs::remove_file(&second).unwrap();
    assert_eq!(
        said(&first),
        "Part 2 of 3 of this model is missing: `parts-00002-of-00003.gguf` is not beside `parts-00001-of-00003.gguf`."
    );
    // The same part twice.
    std::fs::copy(&third, &second).unwrap();
    assert_eq!(said(&first), "`parts-00002-of-00003.gguf` is named part 2 and says itself that it is part 3.");
    // A link to itself is the same.
    std::fs::remove_file(&second).unwrap();
    std::os::unix::fs::symlink(&first, &second).unwrap();
    assert!(said(&first).contains("named part 2"), "{}", said(&first));
    std::fs::remove_file(&second).unwrap();
    std::os::unix::fs::symlink(&second, &second).unwrap();
    assert!(said(&first).contains("missing"), "{}", said(&first));

    let (_folder, [first, second, _]) = parts();
    let alone = first.with_file_name("model.gguf");
    std::fs::copy(&first, &alone).unwrap();
    assert!(said(&alone).contains("its name does not end in -00001-of-00003,"), "{}", said(&alone));
    let wrong = first.with_file_name("parts-00001-of-00004.gguf");
    std::fs::copy(&first, &wrong).unwrap();
    assert!(said(&wrong).contains("one of 4 parts and says itself that there are 3"), "{}", said(&wrong));
    // A whole model in the place of a part.
    std::fs::copy(fixture("gemma3.gguf"), &second).unwrap();
    assert!(said(&first).contains("one of 3 parts and says itself that there are 1"), "{}", said(&first));

    let (_folder, [first, ..]) = parts();
    let bytes = std::fs::read(&first).unwrap();
    let at = bytes.windows(19).position(|w| w == b"split.tensors.count").unwrap() + 19 + 4;
    let mut more = bytes.clone();
    more[at] = 9;
    std::fs::write(&first, &more).unwrap();
    assert!(said(&first).contains("announces 9 tensors in all its parts, and 3 are there"), "{}", said(&first));
}

#[test]
fn names_of_parts_are_taken_apart() {
    let part = |name: &str| part_of(Path::new(name)).map(|p| (p.stem, p.number, p.of)).unwrap();
    assert_eq!(part("a-00002-of-00003.gguf"), ("a".into(), 2, 3));
    assert_eq!(part("a-2-of-3.gguf"), ("a-2-of-3".into(), 1, 1));
    assert_eq!(part("a-+0002-of-00003.gguf"), ("a-+0002-of-00003".into(), 1, 1));
    assert_eq!(part("plain.gguf"), ("plain".into(), 1, 1));
}

#[test]
fn what_stands_twice_is_refused() {
    let twice = whole().int("llama.block_count", 3);
    assert!(read(&twice.bytes()).unwrap_err().message.contains("the entry `llama.block_count` twice"));
    let twice = whole().tensor("w", &[1], &[0.0]);
    assert!(read(&twice.bytes()).unwrap_err().message.contains("the tensor `w` twice"));
}

#[test]
fn values_are_shown_short() {
    assert_eq!(shown(&Value::Integers(vec![1, 2])), "[1, 2]");
    assert_eq!(shown(&Value::Integers((0..20).collect())), "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, …] (20 numbers)");
    assert_eq!(shown(&Value::Skipped { of: "texts", length: 49_152 }), "[49152 texts]");
    assert_eq!([0.1, f64::from(1e-6_f32), 3.0].map(|x| shown(&Value::Float(x))), ["0.1", "0.000001", "3"]);
    let long = shown(&Value::Text("ü".repeat(1000)));
    assert!(long.ends_with("… (1000 characters)") && long.chars().count() < 430, "{long}");
}

/// Files whose metadata lie in every way about what decides memory.
fn lies() -> impl Strategy<Value = Vec<u8>> {
    let arch = prop_oneof![Just("llama"), Just("gemma3"), Just("gemma4"), Just("mamba"), Just("deepseek2"), Just("qwen3next"), Just("x")];
    let keys = [
        "block_count",
        "embedding_length",
        "feed_forward_length",
        "context_length",
        "expert_used_count",
        "attention.head_count",
        "attention.head_count_kv",
        "attention.key_length",
        "attention.key_length_mla",
        "attention.kv_lora_rank",
        "attention.sliding_window",
        "attention.sliding_window_pattern",
        "attention.shared_kv_layers",
        "full_attention_interval",
        "ssm.conv_kernel",
        "ssm.inner_size",
        "ssm.state_size",
        "ssm.group_count",
        "wkv.head_size",
        "vocab_size",
    ];
    let value = prop_oneof![
        prop_oneof![Just(0), Just(1), Just(7), Just(u32::MAX), Just(1 << 24), any::<u32>()].prop_map(|n| vec![n]),
        prop::collection::vec(prop_oneof![Just(0), Just(1), Just(u32::MAX), 0..64u32], 0..40),
    ];
    (arch, prop::collection::vec(value, keys.len())).prop_map(move |(arch, values)| {
        let mut writer = Writer::default().text("general.architecture", arch).tensor("token_embd.weight", &[1], &[0.0]);
        for (key, value) in keys.iter().zip(values) {
            let key = format!("{arch}.{key}");
            writer = match value.as_slice() {
                [one] => writer.int(&key, *one),
                many => writer.ints(&key, &many.iter().map(|n| n.cast_signed()).collect::<Vec<_>>()),
            };
        }
        writer.bytes()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn no_mutation_of_a_real_file_harms(
        which in 0..4usize,
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        end in prop::option::of(any::<prop::sample::Index>()),
        grown in prop::option::of((any::<prop::sample::Index>(), any::<u64>())),
    ) {
        let name = ["types.gguf", "gemma4.gguf", "granitehybrid.gguf", "deepseek2.gguf"][which];
        let mut bytes = std::fs::read(fixture(name)).unwrap();
        for (at, value) in cuts {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some((at, claim)) = grown {
            let at = at.index(bytes.len() - 8);
            bytes[at..at + 8].copy_from_slice(&claim.to_le_bytes());
        }
        if let Some(end) = end {
            bytes.truncate(end.index(bytes.len()));
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.gguf");
        std::fs::write(&path, &bytes).unwrap();
        match Whole::read(&path, Want::Listing) {
            Ok(whole) => {
                if let Some(found) = anatomy(&whole.header, tensors(&whole.header), "the file") {
                    // Each lies within the file; where a dimension was changed, two may lie over each other.
                    let most = bytes.len() as u64 * tensors(&whole.header).count() as u64;
                    prop_assert!(found.weights <= most, "tensors lie within the file");
                }
            }
            Err(error) => {
                prop_assert_eq!(error.kind, Kind::File);
                prop_assert!(error.message.ends_with('.') && error.message.len() < 600, "{}", error.message);
            }
        }
    }

    #[test]
    fn no_lie_about_sizes_harms_the_estimate(bytes in lies()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.gguf");
        std::fs::write(&path, &bytes).unwrap();
        let header = Header::read(&path, Want::Listing).unwrap();
        if let Some(found) = anatomy(&header, tensors(&header), "the file") {
            prop_assert!(found.layers <= 4096 && found.windowed.len() <= 4096 && found.kv_heads.len() <= 4096);
            prop_assert!(found.layer_weights.len() <= 4096);
            for kind in [BackendKind::Embedded, BackendKind::Ollama, BackendKind::LlamaServer] {
                let arguments = ["-np".to_owned(), u32::MAX.to_string(), "-ub".to_owned(), u32::MAX.to_string()];
                let plan = LoadPlan::new(kind, &found, &Parameters::default(), &arguments, Some(u64::MAX));
                let estimate = estimate(&found, &plan);
                prop_assert!(estimate.margin.is_finite() && estimate.memory >= estimate.parts[0].memory);
            }
        }
    }
}
