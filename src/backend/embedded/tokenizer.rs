//! Text to tokens and back, as the model's own file says.
//!
//! Owns: both families that GGUF files carry (byte-level BPE with its pre-tokenizers, SentencePiece in `spm`), special tokens,
//! beginning and end of text. Refuses: chat templates (`template`), splitting of an answer (`stream`). Invariant: for the same
//! file the tokens are those of llama.cpp with special tokens parsed; every id has bytes, and bytes are never cut by this module.

use std::collections::{HashMap, HashSet};

use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::tokenizer::SplitDelimiterBehavior;

use super::pre;
use super::spm::Spm;
use crate::backend::gguf::Header;
use crate::error::{Error, Kind, Result};
use crate::sanitise::cut;

/// A token's number.
pub type Token = u32;

enum Model {
    Bpe(Box<tokenizers::Tokenizer>),
    Spm(Spm),
}

/// The tokenizer of one model.
pub struct Tokenizer {
    model: Model,
    /// The bytes of all tokens, one after the other, and where each ends.
    bytes: Vec<u8>,
    ends: Vec<usize>,
    special: Specials,
    bos: Option<Token>,
    add_bos: bool,
    add_space_prefix: bool,
    stops: HashSet<Token>,
    control: HashSet<Token>,
}

/// `tokenizer.ggml.token_type`.
const UNKNOWN: i64 = 2;
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;
const BYTE: i64 = 6;

/// Texts that end a turn in some family, whatever the file's own end token is.
const TURN_ENDS: &[&str] = &[
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<end_of_turn>",
    "<end_of_utterance>",
    "<|return|>",
    "<|call|>",
    "<EOT>",
    "_<EOT>",
    "<｜end▁of▁sentence｜>",
];

impl Tokenizer {
    /// Builds the tokenizer that the file describes.
    ///
    /// # Errors
    /// `Kind::Unsupported` for a family that arbour has no code for, `Kind::File` for a vocabulary that contradicts itself.
    pub fn from_header(header: &Header) -> Result<Self> {
        let family = header.text("tokenizer.ggml.model").unwrap_or("none");
        let texts = header.texts("tokenizer.ggml.tokens").ok_or_else(|| damaged(header, "has no vocabulary"))?;
        if texts.is_empty() {
            return Err(damaged(header, "has an empty vocabulary"));
        }
        let kinds = header.integers("tokenizer.ggml.token_type").unwrap_or_default();
        let kind_of = |id: usize| kinds.get(id).copied().unwrap_or(1);
        let add_bos;
        let decode_bytes = family == "gpt2";
        let model = match family {
            "gpt2" => {
                let name = header.text("tokenizer.ggml.pre").unwrap_or("");
                let rules = pre::rules(name);
                add_bos = rules.adds_bos;
                Model::Bpe(Box::new(bpe(header, texts, &rules)?))
            }
            "llama" => {
                add_bos = true;
                let scores = header.floats("tokenizer.ggml.scores").ok_or_else(|| damaged(header, "has no scores for its vocabulary"))?;
                if scores.len() != texts.len() {
                    return Err(damaged(header, "has more or fewer scores than tokens"));
                }
                Model::Spm(Spm::new(texts, scores, header.count("tokenizer.ggml.unknown_token_id")))
            }
            other => {
                return Err(Error::new(
                    Kind::Unsupported,
                    format!("The model uses a tokenizer of the family `{}`, which the embedded engine has no code for.", cut(other, 40)),
                )
                .hint("Run this model with llama-server or Ollama, and add that as a backend."));
            }
        };
        let mut bytes = Vec::new();
        let mut ends = Vec::with_capacity(texts.len());
        let unicode_to_byte = byte_level_table();
        for (id, text) in texts.iter().enumerate() {
            match kind_of(id) {
                CONTROL | USER_DEFINED => bytes.extend_from_slice(text.as_bytes()),
                BYTE if !decode_bytes => bytes.extend(byte_piece(text)),
                _ if decode_bytes => bpe_piece(text, &unicode_to_byte, &mut bytes),
                _ => bytes.extend_from_slice(text.replace('\u{2581}', " ").as_bytes()),
            }
            ends.push(bytes.len());
        }
        let id_of: HashMap<&str, Token> = texts.iter().enumerate().map(|(id, text)| (text.as_str(), token(id))).collect();
        let special: Vec<(&str, Token)> = texts
            .iter()
            .enumerate()
            .filter(|(id, text)| matches!(kind_of(*id), CONTROL | USER_DEFINED | UNKNOWN) && !text.is_empty())
            .map(|(id, text)| (text.as_str(), token(id)))
            .collect();
        let id = |key: &str| header.count(&format!("tokenizer.ggml.{key}")).filter(|id| *id < texts.len()).map(token);
        let mut stops: HashSet<Token> = [id("eos_token_id"), id("eot_token_id"), id("eom_token_id")].into_iter().flatten().collect();
        stops.extend(
            TURN_ENDS.iter().filter_map(|text| id_of.get(text)).filter(|id| matches!(kind_of(**id as usize), CONTROL | USER_DEFINED)),
        );
        Ok(Self {
            model,
            bytes,
            ends,
            special: Specials::new(&special),
            bos: id("bos_token_id"),
            add_bos: header.flag("tokenizer.ggml.add_bos_token").unwrap_or(add_bos),
            add_space_prefix: header.flag("tokenizer.ggml.add_space_prefix").unwrap_or(true),
            stops,
            control: (0..texts.len()).filter(|id| kind_of(*id) == CONTROL).map(token).collect(),
        })
    }

    /// How many tokens there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The tokens of a text in which special tokens stand as their texts. Nothing is added.
    ///
    /// # Errors
    /// `Kind::Internal` when the tokenizer library refuses the text.
    pub fn encode(&self, text: &str) -> Result<Vec<Token>> {
        let mut out = Vec::new();
        let mut after_special = true;
        for piece in self.special.split(text) {
            match piece {
                Piece::Special(id) => {
                    out.push(id);
                    after_special = true;
                }
                Piece::Text(text) => {
                    match &self.model {
                        Model::Bpe(bpe) => {
                            let encoding = bpe
                                .encode_fast(text, false)
                                .map_err(|e| Error::new(Kind::Internal, "The model's tokenizer could not read the prompt.").cause(e))?;
                            out.extend_from_slice(encoding.get_ids());
                        }
                        Model::Spm(spm) => spm.encode(text, self.add_space_prefix && after_special, &mut out),
                    }
                    after_special = false;
                }
            }
        }
        Ok(out)
    }

    /// The tokens of a whole prompt: with the beginning-of-text token where the model wants one and the text has none.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_prompt(&self, text: &str) -> Result<Vec<Token>> {
        let mut tokens = self.encode(text)?;
        if let (true, Some(bos)) = (self.add_bos, self.bos)
            && tokens.first() != Some(&bos)
        {
            tokens.insert(0, bos);
        }
        Ok(tokens)
    }

    /// The bytes that a token stands for; none for an unknown id.
    #[must_use]
    pub fn piece(&self, id: Token) -> &[u8] {
        let at = id as usize;
        let start = at.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied());
        match (start, self.ends.get(at)) {
            (Some(start), Some(end)) => self.bytes.get(start..*end).unwrap_or_default(),
            _ => &[],
        }
    }

    /// Whether an answer ends here.
    #[must_use]
    pub fn ends_turn(&self, id: Token) -> bool {
        self.stops.contains(&id)
    }

    /// Whether the token is a mark for the machine, not text for people.
    #[must_use]
    pub fn is_control(&self, id: Token) -> bool {
        self.control.contains(&id)
    }
}

fn token(id: usize) -> Token {
    Token::try_from(id).unwrap_or(Token::MAX)
}

fn damaged(header: &Header, what: &str) -> Error {
    Error::new(Kind::File, format!("{} {what}, so it cannot be run.", crate::backend::gguf::shown(&header.path)))
        .hint("Take another GGUF file of this model.")
}

fn bpe(header: &Header, texts: &[String], rules: &pre::Rules) -> Result<tokenizers::Tokenizer> {
    let vocabulary: HashMap<String, Token> = texts.iter().enumerate().map(|(id, text)| (text.clone(), token(id))).collect();
    // A merge of or into something that is no token can never happen; some converters leave such lines.
    let merges: Vec<(String, String)> = header
        .texts("tokenizer.ggml.merges")
        .ok_or_else(|| damaged(header, "has no merges for its vocabulary"))?
        .iter()
        .filter_map(|line| line.split_once(' '))
        .filter(|(a, b)| vocabulary.contains_key(*a) && vocabulary.contains_key(*b) && vocabulary.contains_key(&format!("{a}{b}")))
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .collect();
    let internal = |e| Error::new(Kind::File, "The model's vocabulary contradicts itself, so it cannot be run.").cause(e);
    let model = BPE::builder()
        .vocab_and_merges(vocabulary.into_iter().collect::<tokenizers::models::bpe::Vocab>(), merges)
        .ignore_merges(rules.ignore_merges)
        .build()
        .map_err(internal)?;
    let mut steps: Vec<PreTokenizerWrapper> = Vec::new();
    for pattern in rules.patterns {
        let split = Split::new(SplitPattern::Regex((*pattern).to_owned()), SplitDelimiterBehavior::Isolated, false).map_err(internal)?;
        steps.push(split.into());
    }
    steps.push(ByteLevel::new(false, false, false).into());
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(PreTokenizerWrapper::from(Sequence::new(steps))));
    Ok(tokenizer)
}

/// GPT-2's printable stand-in for each byte, turned round.
fn byte_level_table() -> HashMap<char, u8> {
    let printable = |b: u8| matches!(b, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    let mut next = 256u32;
    (0..=255u8)
        .filter_map(|b| {
            let c = if printable(b) {
                char::from(b)
            } else {
                let c = char::from_u32(next)?;
                next += 1;
                c
            };
            Some((c, b))
        })
        .collect()
}

fn bpe_piece(text: &str, table: &HashMap<char, u8>, out: &mut Vec<u8>) {
    for c in text.chars() {
        match table.get(&c) {
            Some(b) => out.push(*b),
            None => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// `<0x0A>` → one byte.
fn byte_piece(text: &str) -> Option<u8> {
    u8::from_str_radix(text.strip_prefix("<0x")?.strip_suffix('>')?, 16).ok()
}

enum Piece<'a> {
    Text(&'a str),
    Special(Token),
}

/// Finds special tokens in a text: leftmost first, of those the longest.
struct Specials {
    ids: HashMap<Box<[u8]>, Token>,
    /// For each first byte the lengths that occur, longest first.
    lengths: HashMap<u8, Vec<usize>>,
}

impl Specials {
    fn new(all: &[(&str, Token)]) -> Self {
        let mut lengths: HashMap<u8, Vec<usize>> = HashMap::new();
        let mut ids = HashMap::new();
        for (text, id) in all {
            if let Some(first) = text.as_bytes().first() {
                lengths.entry(*first).or_default().push(text.len());
                ids.entry(Box::from(text.as_bytes())).or_insert(*id);
            }
        }
        for list in lengths.values_mut() {
            list.sort_unstable_by(|a, b| b.cmp(a));
            list.dedup();
        }
        Self { ids, lengths }
    }

    fn at(&self, rest: &[u8]) -> Option<(Token, usize)> {
        let lengths = self.lengths.get(rest.first()?)?;
        lengths.iter().find_map(|length| self.ids.get(rest.get(..*length)?).map(|id| (*id, *length)))
    }

    fn split<'a>(&self, text: &'a str) -> Vec<Piece<'a>> {
        let bytes = text.as_bytes();
        let mut out = Vec::new();
        let (mut start, mut at) = (0, 0);
        while at < bytes.len() {
            match bytes.get(at..).and_then(|rest| self.at(rest)) {
                // Special texts are whole strings, so both cuts lie between characters.
                Some((id, length)) => {
                    if start < at {
                        out.extend(text.get(start..at).map(Piece::Text));
                    }
                    out.push(Piece::Special(id));
                    at += length;
                    start = at;
                }
                None => at += 1,
            }
        }
        if start < bytes.len() {
            out.extend(text.get(start..).map(Piece::Text));
        }
        out
    }
}
