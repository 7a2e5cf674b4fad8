//! The words of the full-text index: every run of one, two or three characters within a word, and of four in
//! alphabets.
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

/// Below the first ideograph: scripts with so few letters that three of them in a row stand in too many messages, so that four are
/// kept too. Four such characters fit into 56 bits.
fn is_of_few(c: char) -> bool {
    (c as u32) < 0x2E80
}

/// A gram as a number, to be sorted: in the highest bits how many characters it has, below them the characters, 20 bits each, or 14
/// bits when there are four. (Private characters of the last plane may share a number.)
fn gram(chars: &[char]) -> u64 {
    let wide = if chars.len() == 4 { 14 } else { 20 };
    let mask = (1 << wide) - 1;
    chars.iter().fold(0, |packed, c| (packed << wide) | (u64::from(*c as u32) & mask)) | ((chars.len() as u64) << 60)
}

/// The tokens of a text, for the index; empty when there is nothing to find.
pub(super) fn tokens_of(text: &str) -> String {
    let mut grams: Vec<u64> = Vec::with_capacity(text.len().min(1 << 20) * 3);
    // The word so far, its last four characters; how many of them are of few, counted from the end.
    let mut last = [' '; 4];
    let mut length = 0;
    let mut of_few = 0;
    for c in text.chars().map(fold_char) {
        if c == ' ' {
            (length, of_few) = (0, 0);
            continue;
        }
        last.rotate_left(1);
        last[3] = c;
        length = 3.min(length) + 1;
        of_few = if is_of_few(c) { of_few + 1 } else { 0 };
        for take in 1..=length.min(3) {
            grams.push(gram(&last[4 - take..]));
        }
        if of_few >= 4 {
            grams.push(gram(&last));
        }
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

/// The tokens that a text must have if it contains `word` (folded, without spaces, not empty): the longest that cover the word.
pub(super) fn tokens_for(word: &str) -> Vec<String> {
    let chars: Vec<char> = word.chars().collect();
    let mut grams: Vec<u64> = Vec::new();
    if chars.len() < 3 {
        grams.push(gram(&chars));
    } else {
        let four = |at: usize| chars.get(at..at + 4).is_some_and(|four| four.iter().copied().all(is_of_few));
        for (at, three) in chars.windows(3).enumerate() {
            if four(at) {
                grams.push(gram(&chars[at..at + 4]));
            } else if at == 0 || !four(at - 1) {
                grams.push(gram(three));
            }
        }
    }
    grams.sort_unstable();
    grams.dedup();
    let written = grams.into_iter().map(|gram| {
        let mut token = String::new();
        write_token(gram, &mut token);
        token
    });
    written.collect()
}

/// Writes a gram in base 32: each character as two digits when its number is below 896 (Latin, Greek), else as `s` and four
/// digits. The first digit tells which, so two different grams never look alike.
fn write_token(gram: u64, out: &mut String) {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
    let digit = |number: u64| char::from(DIGITS[(number & 31) as usize]);
    let many = gram >> 60;
    let wide = if many == 4 { 14 } else { 20 };
    for at in (0..many).rev() {
        let c = (gram >> (wide * at)) & ((1 << wide) - 1);
        if c < 28 * 32 {
            out.extend([digit(c >> 5), digit(c)]);
        } else {
            out.extend(['s', digit(c >> 15), digit(c >> 10), digit(c >> 5), digit(c)]);
        }
    }
}
