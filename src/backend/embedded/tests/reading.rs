//! Heads of files: whole, cut off, and lying.

use super::super::gguf::{Header, Value, Want};
use super::Writer;
use crate::error::{Error, Kind};

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
    let (_folder, path) = whole().file();
    let header = Header::read(&path, Want::Listing).unwrap();
    assert_eq!(header.metadata["tokenizer.ggml.tokens"], Value::Skipped(3));
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
