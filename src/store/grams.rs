//! The words of the full-text index: every run of one, two or three characters within a word.
//!
//! Owns: how text is folded for comparison, and how grams are written as tokens. Invariant: if a folded word stands somewhere in
//! a text, all grams of the word are among the grams of the text; so the index may find too much, never too little.
//!
//! SQLite's own trigram tokenizer finds nothing for two characters, which is a word in Chinese; and a tokenizer of one's own
//! needs unsafe code. So each gram is written as a token of letters and digits, for the plain `ascii` tokenizer.

/// Folds a character: lower case, full-width forms as ASCII, every white space a space. One character stays one character, so
/// that places in the folded text are places in the text.
pub(super) fn fold_char(c: char) -> char {
    if c.is_ascii() {
        return if c.is_ascii_whitespace() { ' ' } else { c.to_ascii_lowercase() };
    }
    match c {
        // Full-width ASCII.
        '\u{FF01}'..='\u{FF5E}' => char::from_u32(c as u32 - 0xFEE0).map_or(c, |narrow| narrow.to_ascii_lowercase()),
        'İ' => 'i',
        'ς' => 'σ',
        _ if c.is_whitespace() => ' ',
        _ => {
            let mut lower = c.to_lowercase();
            match (lower.next(), lower.next()) {
                (Some(one), None) => one,
                _ => c,
            }
        }
    }
}

/// Folds a text.
pub(super) fn fold(text: &str) -> String {
    if text.is_ascii() {
        let mut folded = text.to_ascii_lowercase();
        if folded.bytes().any(|b| b.is_ascii_whitespace() && b != b' ') {
            folded = folded.replace(|c: char| c.is_ascii_whitespace(), " ");
        }
        return folded;
    }
    text.chars().map(fold_char).collect()
}

/// Up to three characters of 20 bits each, and above them how many they are.
fn gram(chars: &[char]) -> u64 {
    chars.iter().fold(0, |packed, c| (packed << 20) | (u64::from(*c as u32) & 0xF_FFFF)) | ((chars.len() as u64) << 60)
}

/// Every letter and digit of ASCII stands in nearly every message, so a gram of one of them alone narrows nothing down.
fn tells_something(c: char) -> bool {
    !c.is_ascii_alphanumeric()
}

/// The tokens of a text, for the index; empty when there is nothing to find.
pub(super) fn tokens_of(text: &str) -> String {
    let mut grams: Vec<u64> = Vec::with_capacity(text.len().min(1 << 20) * 2);
    let mut last = [' '; 2];
    for c in text.chars().map(fold_char) {
        if c == ' ' {
            last = [' '; 2];
            continue;
        }
        if tells_something(c) {
            grams.push(gram(&[c]));
        }
        if last[1] != ' ' {
            grams.push(gram(&[last[1], c]));
            if last[0] != ' ' {
                grams.push(gram(&[last[0], last[1], c]));
            }
        }
        last = [last[1], c];
    }
    grams.sort_unstable();
    grams.dedup();
    let mut tokens = String::with_capacity(grams.len() * 7);
    for gram in grams {
        write_token(gram, &mut tokens);
        tokens.push(' ');
    }
    tokens
}

/// The tokens that a text must have if it contains `word` (folded, without spaces). Empty when they would tell nothing.
pub(super) fn tokens_for(word: &str) -> Vec<String> {
    let chars: Vec<char> = word.chars().collect();
    let mut grams: Vec<u64> = match chars.as_slice() {
        [] => Vec::new(),
        [one] => Vec::from_iter(tells_something(*one).then(|| gram(&[*one]))),
        [_, _] => vec![gram(&chars)],
        _ => chars.windows(3).map(gram).collect(),
    };
    grams.sort_unstable();
    grams.dedup();
    grams
        .into_iter()
        .map(|gram| {
            let mut token = String::new();
            write_token(gram, &mut token);
            token
        })
        .collect()
}

/// Writes a gram: each character as two digits of base 32 when its number is below 896 (Latin, Greek), else as `s` and four digits.
/// The first digit tells which, so two different grams never look alike. Planes 15 and 16 (private use) may share a token.
fn write_token(gram: u64, out: &mut String) {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
    let digit = |number: u64| char::from(DIGITS[(number & 31) as usize]);
    for at in (0..gram >> 60).rev() {
        let c = (gram >> (20 * at)) & 0xF_FFFF;
        if c < 28 * 32 {
            out.extend([digit(c >> 5), digit(c)]);
        } else {
            out.extend(['s', digit(c >> 15), digit(c >> 10), digit(c >> 5), digit(c)]);
        }
    }
}
