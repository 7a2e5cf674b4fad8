//! The pre-tokenizers of byte-level BPE vocabularies, by their name in `tokenizer.ggml.pre`.
//!
//! Owns: the table. The patterns are those of llama.cpp's `llama-vocab.cpp` (MIT), written in Unicode classes where it spells ranges
//! out. Invariant: an unknown name gets GPT-2's rules and `known: false`, so that the caller can say so.

use crate::backend::gguf::Header;
use crate::sanitise::cut;

/// How text is cut before merges apply.
pub struct Rules {
    /// Each cuts what the one before it left; matches and gaps are both pieces.
    pub patterns: &'static [&'static str],
    /// A piece that is a token as a whole is taken as such, whatever the merges say.
    pub ignore_merges: bool,
    /// The family begins every text with its beginning token unless the file says otherwise.
    pub adds_bos: bool,
    pub known: bool,
}

const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const LLAMA3: &str = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN35: &str = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const DEEPSEEK3: &str = r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##;
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const GPT4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The rules for a name.
#[must_use]
pub fn rules(name: &str) -> Rules {
    let (patterns, ignore_merges, adds_bos): (&[&str], bool, bool) = match name {
        "llama3" | "llama-v3" | "llama-bpe" | "falcon3" | "falcon-h1" | "pixtral" | "midm-2.0" | "lfm2" => (&[LLAMA3], true, true),
        "smaug-bpe" | "dbrx" | "chatglm-bpe" | "glm4" => (&[LLAMA3], false, false),
        "qwen2" | "stablelm2" | "deepseek-r1-qwen" | "hunyuan" | "megrez" | "solar-open" | "bailingmoe" => (&[QWEN2], false, false),
        "qwen35" => (&[QWEN35], false, false),
        "smollm" | "starcoder" | "refact" | "command-r" | "codeshell" | "exaone" | "minerva-7b" | "roberta-bpe-digits" => {
            (&[r"\p{N}", GPT2], false, false)
        }
        "gpt-2" | "gpt2" | "phi-2" | "mpt" | "olmo" | "jais" | "trillion" | "granite-docling" | "jina-es" | "jina-de" | "jina-v1-en"
        | "jina-v2-es" | "jina-v2-de" | "jina-v2-code" | "gigachat" | "roberta-bpe" => (&[GPT2], false, false),
        "deepseek-llm" => (
            &[r"[\r\n]", r"\s?[\p{Ll}\p{Lu}\p{Lt}]+", r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s+$", r"[一-龥ࠀ-一가-퟿]+", r"\p{N}+"],
            false,
            true,
        ),
        "deepseek-coder" => (&[r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", r"[一-龥ࠀ-一가-퟿]+", r"\p{N}"], false, true),
        "deepseek-v3" | "hunyuan-dense" | "joyai-llm" => (&[r"\p{N}{1,3}", r"[一-龥぀-ゟ゠-ヿ]+", DEEPSEEK3], false, true),
        "falcon" => (&[r"[\p{P}\$\+<=>\^~\|`]+", GPT2, r"[0-9][0-9][0-9]"], false, false),
        "tekken" => (&[TEKKEN], true, true),
        "gpt-4o" | "llama4" | "kanana2" => (&[GPT4O], false, false),
        "poro-chat" | "bloom" | "gpt3-finnish" => (&[r" ?[^(\s|.,!?…。，、।۔،)]+"], false, false),
        "viking" => (&[r" ?[^(\s|.,!?…。，、।۔،)]+", r"\p{N}"], false, false),
        "superbpe" => (&[r"\p{N}+", r"(?=(\d{3})+(?!\d))"], false, false),
        _ => return Rules { patterns: &[GPT2], ignore_merges: false, adds_bos: false, known: false },
    };
    Rules { patterns, ignore_merges, adds_bos, known: true }
}

/// What to say of a file whose rules had to be guessed. A sentence.
#[must_use]
pub fn note(header: &Header) -> Option<String> {
    if header.text("tokenizer.ggml.model") != Some("gpt2") {
        return None;
    }
    let name = header.text("tokenizer.ggml.pre");
    if name.is_some_and(|name| rules(name).known) {
        return None;
    }
    let named =
        name.map_or("no pre-tokenizer".to_owned(), |name| format!("a pre-tokenizer that arbour does not know (`{}`)", cut(name, 40)));
    Some(format!("The file names {named}: GPT-2's is used, so some words may be read differently from how the model learnt them."))
}
