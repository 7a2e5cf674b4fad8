use std::borrow::Cow;

use proptest::prelude::*;

use super::*;

#[test]
fn escape_sequences_cannot_reach_a_terminal() {
    assert_eq!(line("\x1b[2J\x07ok\x7f"), "␛[2J␇ok␡");
    assert_eq!(line("a\u{9b}31mb\u{85}c"), "a‹U+009B›31mb‹U+0085›c");
    assert_eq!(line("\0"), "␀");
}

#[test]
fn bidi_overrides_are_shown_and_other_scripts_stay() {
    assert_eq!(line("user\u{202e}txt.exe\u{2066}"), "user‹U+202E›txt.exe‹U+2066›");
    for text in ["שלום עולם", "مرحبا بالعالم", "नमस्ते", "สวัสดี", "日本語テキスト", "ＡＢ", "é́", "한국어"]
    {
        assert!(matches!(line(text), Cow::Borrowed(t) if t == text), "{text:?}");
    }
}

#[test]
fn emoji_keep_what_holds_them_together() {
    for text in ["👩‍👩‍👧‍👦", "❤️", "👍🏽", "🇩🇪", "1️⃣", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🏳️‍🌈", "می‌خواهم", "क्‍ष"]
    {
        assert!(matches!(line(text), Cow::Borrowed(t) if t == text), "{text:?} became {:?}", line(text));
    }
}

#[test]
fn invisible_tricks_go() {
    assert_eq!(line("pay\u{200b}pal\u{feff}\u{2060}\u{ad}"), "paypal");
    assert_eq!(line("a\u{200d}b\u{200c}"), "ab");
    assert_eq!(line("x\u{e0041}"), "x‹U+E0041›");
    assert_eq!(line("❤\u{fe0f}\u{fe0e}\u{e0101}"), "❤\u{fe0f}");
    let pile = format!("a{}b", "\u{301}".repeat(50));
    assert_eq!(line(&pile), format!("a{}b", "\u{301}".repeat(8)));
    let chain = "👩\u{200d}".repeat(40);
    assert!(line(&chain).matches('\u{200d}').count() < 40);
}

#[test]
fn lines_and_tabs() {
    assert_eq!(line("a\r\nb\nc\rd\te\u{2028}f"), "a b c d e f");
    assert_eq!(block("a\r\nb\tc\n\td\u{2029}e"), "a\nb   c\n    d\ne");
    assert_eq!(block("日\tx"), "日  x");
    assert!(matches!(block("a\nb"), Cow::Borrowed(_)));
}

#[test]
fn cut_counts_characters_and_says_so() {
    assert_eq!(cut("hello", 5), "hello");
    assert_eq!(cut("hello!", 5), "hell…");
    assert_eq!(cut("hell oh", 6), "hell…");
    assert_eq!(cut("👩‍👩‍👧‍👦👩‍👩‍👧‍👦👩‍👩‍👧‍👦", 2), "👩‍👩‍👧‍👦…");
    assert_eq!(cut("", 0), "");
    assert_eq!(cut("a", 0), "…");
    assert_eq!(cut("a\nb", 9), "a b");
    let long = "x".repeat(100_000);
    assert_eq!(cut(&long, 3), "xx…");
    assert!(matches!(cut("fits", 80), Cow::Borrowed("fits")));
}

#[test]
fn shell_words_survive_the_shell() {
    assert_eq!(shell_quote("model.gguf"), "model.gguf");
    assert_eq!(shell_quote(""), "''");
    assert_eq!(shell_quote("it's $HOME"), "'it'\\''s $HOME'");
    assert_eq!(shell_quote("a\x1b[31m'b\\"), "$'a\\033[31m\\'b\\\\'");
    assert_eq!(shell_quote("two\nlines"), "'two\nlines'");
    assert_eq!(shell_quote("x\u{202e}y"), "$'x\\342\\200\\256y'");
}

#[test]
fn urls_show_their_host_and_hide_their_password() {
    assert_eq!(url_display("https://example.com/a?b#c"), "https://example.com/a?b#c");
    assert_eq!(url_display("https://me:secret@example.com/x"), "https://me:…@example.com/x");
    assert_eq!(url_display("https://bücher.example/ü"), "https://xn--bcher-kva.example/ü");
    assert_eq!(url_display("https://аpple.com"), "https://xn--pple-43d.com");
    assert_eq!(url_display("http://例え.テスト/"), "http://xn--r8jz45g.xn--zckzah/");
    assert_eq!(url_display("javascript:\u{1b}alert(1)"), "javascript:␛alert(1)");
    assert_eq!(url_display("relative/path"), "relative/path");
}

/// Text made of what goes wrong.
fn nasty() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => any::<char>().prop_map(String::from),
        4 => "[ -~]{0,6}",
        2 => prop::sample::select(vec!["\x1b[31m", "\r\n", "\r", "\n", "\t", "\u{9b}", "\u{202e}", "\u{200d}", "\u{200c}", "\u{fe0f}", "\u{200b}", "\u{301}", "\u{e0067}", "\u{e007f}", "🏴", "👩", "❤", "日", "›", "\u{2028}"]).prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|v| v.concat())
}

proptest! {
    #[test]
    fn a_line_holds_no_control_character(text in nasty()) {
        let out = line(&text);
        prop_assert!(!out.chars().any(|c| c.is_control() || is_bidi(c)), "{out:?}");
        let again = line(&out);
        prop_assert!(matches!(again, Cow::Borrowed(_)), "{out:?} became {again:?}");
    }

    #[test]
    fn a_block_holds_only_line_breaks(text in nasty()) {
        let out = block(&text);
        prop_assert!(!out.chars().any(|c| (c.is_control() && c != '\n') || is_bidi(c)), "{out:?}");
        let again = block(&out);
        prop_assert!(matches!(again, Cow::Borrowed(_)), "{out:?} became {again:?}");
    }

    #[test]
    fn cut_is_short_and_clean(text in nasty(), limit in 0_usize..12) {
        let out = cut(&text, limit);
        prop_assert!(out.graphemes(true).count() <= limit.max(1), "{out:?}");
        prop_assert!(!out.chars().any(char::is_control));
    }

    #[test]
    fn quoting_leaves_no_control_character_but_a_line_break(text in nasty()) {
        let out = shell_quote(&text);
        prop_assert!(!out.chars().any(|c| (c.is_control() && c != '\n') || is_bidi(c)), "{out:?}");
    }
}
