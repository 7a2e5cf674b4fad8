//! The composer, driven by keys through the shipped keymaps: text with the cursor as `|`, keys, text with the cursor.

use std::sync::LazyLock;

use proptest::prelude::*;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Modifier, Style};
use unicode_segmentation::UnicodeSegmentation;

use super::*;
use crate::tui::action::Action;
use crate::tui::keymap::{Key, Keymap, Options, Resolved, Resolver, key, load};

static VIM: LazyLock<Keymap> = LazyLock::new(|| load("vim", &[], &Options { escape: Some("jk".to_owned()), ..Options::default() }).keymap);
static PLAIN: LazyLock<Keymap> = LazyLock::new(|| load("plain", &[], &Options::default()).keymap);

/// Presses a key as the screen does. Actions of the screen that concern the composer are done, others ignored.
fn press(composer: &mut Composer, resolver: &mut Resolver, keymap: &Keymap, key: Key) -> Outcome {
    if composer.awaits_char() {
        return match key.typed() {
            Some(c) => composer.type_char(c),
            None => {
                composer.cancel_pending();
                Outcome::default()
            }
        };
    }
    match resolver.press(keymap, key, composer.scope()) {
        Resolved::Insert(c) => composer.type_char(c),
        Resolved::Act { invocation, count, erase } => {
            if erase > 0 {
                composer.erase(erase);
            }
            match invocation.action {
                Action::Edit(edit) => composer.edit(edit, count),
                Action::NormalMode => {
                    composer.enter_normal();
                    Outcome::default()
                }
                Action::Newline => composer.newline(),
                _ => Outcome::default(),
            }
        }
        _ => Outcome::default(),
    }
}

/// Text with `|` where the cursor stands, in NORMAL (or INSERT without modes).
fn composer(text: &str, modal: bool) -> Composer {
    let mut composer = Composer::new(modal);
    let (before, after) = text.split_once('|').unwrap_or((text, ""));
    composer.set_text(&format!("{before}{after}"));
    composer.enter_normal();
    composer.text.set_cursor(text::end_of(Pos::default(), before));
    composer.clamp();
    composer
}

fn shown(composer: &Composer) -> String {
    let at = composer.text.cursor();
    let before = composer.text.slice(Pos::default(), at);
    let after = composer.text.slice(at, composer.text.end());
    format!("{before}|{after}")
}

fn run(keymap: &Keymap, composer: &mut Composer, keys: &str) {
    let mut resolver = Resolver::default();
    for key in key::parse_keys(keys).unwrap() {
        press(composer, &mut resolver, keymap, key);
    }
}

#[track_caller]
fn check(cases: &[(&str, &str, &str)]) {
    let keymap = &*VIM;
    for (text, keys, expected) in cases {
        let mut composer = composer(text, true);
        run(keymap, &mut composer, keys);
        assert_eq!(shown(&composer), *expected, "{text:?} {keys}");
    }
}

#[test]
fn motions() {
    check(&[
        ("|one two", "w", "one |two"),
        ("|one, two", "w", "one|, two"),
        ("|one, two", "W", "one, |two"),
        ("|one\n\n  two", "w", "one\n|\n  two"),
        ("|one\n\n  two", "2 w", "one\n\n  |two"),
        ("one tw|o", "w", "one tw|o"),
        ("one |two", "b", "|one two"),
        ("one\n|two", "b", "|one\ntwo"),
        ("a.b|", "b", "a|.b"),
        ("a.b cd|", "B", "a.b |cd"),
        ("|one two", "e", "on|e two"),
        ("on|e two", "e", "one tw|o"),
        ("|one\ntwo", "2 e", "one\ntw|o"),
        ("  a|b", "0", "|  ab"),
        ("  a|b", "^", "  |ab"),
        ("|ab", "$", "a|b"),
        ("|ab\ncd", "2 $", "ab\nc|d"),
        ("a\nb\n|c", "g g", "|a\nb\nc"),
        ("|a\nb\nc", "G", "a\nb\n|c"),
        ("|a\nb\nc", "2 G", "a\n|b\nc"),
        ("a|bc", "l l l", "ab|c"),
        ("a|bc", "h h h", "|abc"),
        ("ab\n|cd", "h", "ab\n|cd"),
        ("abc|d\nx\nabcd", "j j", "abcd\nx\nabc|d"),
        ("|a\n\nb\n\nc", "}", "a\n|\nb\n\nc"),
        ("a\n\nb\n\n|c", "2 {", "a\n|\nb\n\nc"),
        ("|a,b,c", "f ,", "a|,b,c"),
        ("|a,b,c", "2 f ,", "a,b|,c"),
        ("|a,b,c", "t ,", "|a,b,c"),
        ("|xa,b,c", "t , ;", "xa,|b,c"),
        ("|xa,b,c", "t ,", "x|a,b,c"),
        ("a,b,|c", "F , ;", "a|,b,c"),
        ("a,b,|c", "F , ; ,", "a,b|,c"),
        ("|abc", "f z", "|abc"),
    ]);
}

#[test]
fn operators() {
    check(&[
        ("|one two three", "d w", "|two three"),
        ("|one two three", "2 d w", "|three"),
        ("|one two three", "d 2 w", "|three"),
        ("|a b c d e f g", "2 d 2 w", "|e f g"),
        ("one |two", "d w", "one| "),
        ("|one\ntwo", "d w", "|\ntwo"),
        ("o|ne two", "d e", "o| two"),
        ("one t|wo", "d b", "one |wo"),
        ("o|ne two", "d $", "|o"),
        ("o|ne two", "D", "|o"),
        ("one t|wo", "d 0", "|wo"),
        ("a\n|b\nc", "d d", "a\n|c"),
        ("a\nb\n|c", "d d", "a\n|b"),
        ("|a", "d d", "|"),
        ("|a\nb\nc", "2 d d", "|c"),
        ("|a\nb\nc", "9 d d", "|"),
        ("a\n|b\nc\nd", "d j", "a\n|d"),
        ("a\n|b\nc", "d k", "|c"),
        ("a\nb\n|c", "d g g", "|"),
        ("a\n|b\nc", "d G", "|a"),
        ("a|x,b", "d f ,", "a|b"),
        ("a|xy,b", "d t ,", "a|,b"),
        ("a,bx|y", "d F ,", "a|y"),
        ("|one two", "c w X Esc", "|X two"),
        ("|one  two", "c w X Esc", "|X  two"),
        ("on|e two", "c w X Esc", "on|X two"),
        ("one| two", "c w X Esc", "one|Xtwo"),
        ("|one two three", "c 2 w X Esc", "|X three"),
        ("a\n|b b\nc", "c c X Esc", "a\n|X\nc"),
        ("a\nb |b\nc", "S X Esc", "a\n|X\nc"),
        ("o|ne two", "C X Esc", "o|X"),
        ("|one", "s X Esc", "|Xne"),
        ("|one", "2 s X Esc", "|Xe"),
        ("one |two three", "d i w", "one | three"),
        ("one t|wo three", "d a w", "one |three"),
        ("one t|wo", "d a w", "on|e"),
        ("f(a, |b)", "d i (", "f(|)"),
        ("f(a, |b)", "d a b", "|f"),
        ("f(g(x), |b)", "d i (", "f(|)"),
        ("f(\n  |a\n)", "d i (", "f(|)"),
        ("s = \"o|ne\";", "c i \" X Esc", "s = \"|X\";"),
        ("s |= \"one\";", "c i \" X Esc", "s = \"|X\";"),
        ("a\n\nb\n|c\n\nd", "d i p", "a\n\n|\nd"),
        ("a\n\nb\n|c\n\nd", "d a p", "a\n\n|d"),
        // What is no motion ends the operator and does nothing.
        ("|one two", "d p w", "one |two"),
        ("|one two", "d y w", "one |two"),
        ("|one two", "d Esc w", "one |two"),
        ("|one two", "d f Esc w", "one |two"),
        ("|one", "d f z x", "|ne"),
    ]);
}

#[test]
fn single_acts() {
    check(&[
        ("a|bc", "x", "a|c"),
        ("a|bc", "9 x", "|a"),
        ("|", "x", "|"),
        ("ab|c", "X", "a|c"),
        ("ab|c", "5 X", "|c"),
        ("|abc", "r x", "|xbc"),
        ("|abc", "2 r x", "x|xc"),
        ("|abc", "4 r x", "|abc"),
        ("|aBc", "~", "A|Bc"),
        ("|aBc", "3 ~", "Ab|C"),
        ("|a\n  b\nc", "J", "a| b\nc"),
        ("|a\n  b\nc", "3 J", "a b| c"),
        ("a\n|b", "J", "a\n|b"),
        ("|a\nb\nc", "y y j p", "a\nb\n|a\nc"),
        ("|a\nb", "y y P", "|a\na\nb"),
        ("|a\nb", "Y 2 p", "a\n|a\na\nb"),
        ("|one two", "y w $ p", "one twoone| "),
        ("one |two", "y i w P", "one tw|otwo"),
        ("|ab", "x p", "b|a"),
        ("|ab", "x 3 p", "baa|a"),
        ("|a\nb", "d d p", "b\n|a"),
        ("|a\nb", "v j y P", "|a\nba\nb"),
        ("a|b", "i x Esc", "a|xb"),
        ("a|b", "a x Esc", "ab|x"),
        ("  a|b", "I x Esc", "  |xab"),
        ("a|b", "A x Esc", "ab|x"),
        ("|a\nb", "o x Esc", "a\n|x\nb"),
        ("a\n|b", "O x Esc", "a\n|x\nb"),
        ("|", "i a j k", "|a"),
        ("|", "i j k", "|"),
    ]);
}

#[test]
fn visual() {
    check(&[
        ("|one two", "v e d", "| two"),
        ("one |two", "v h h d", "on|wo"),
        ("|one two", "v w o d", "|wo"),
        ("a\n|b\nc", "V d", "a\n|c"),
        ("|a\nb\nc", "V j d", "|c"),
        ("|one two", "v e c X Esc", "|X two"),
        ("|one two", "v e y $ p", "one twoon|e"),
        ("|one two", "v e ~", "|ONE two"),
        ("|one two", "v e r x", "|xxx two"),
        ("|a\nb\nc", "V 2 j J", "a b| c"),
        ("one |two x", "v i w d", "one | x"),
        ("f(a, |b)", "v i ( d", "f(|)"),
        ("|one two", "y w w v e p", "one one| "),
        ("|one two", "v Esc x", "|ne two"),
        ("|one two", "v V d", "|"),
        ("|a\nb", "v V V j x", "a\n|"),
        ("|abc", "v l I x Esc", "|xabc"),
        ("|abc", "v l A x Esc", "ab|xc"),
    ]);
}

#[test]
fn undo_redo_and_repeat() {
    check(&[
        ("|one two three", "d w d w u", "|two three"),
        ("|one two three", "d w d w 2 u", "|one two three"),
        ("|one two three", "d w d w u u C-r", "|two three"),
        ("|one", "A Space Esc u", "on|e"),
        ("|", "i o n e Enter t w o Esc u", "|"),
        ("|one two", "c w X Y Esc u", "|one two"),
        ("|one", "x u C-r u", "|one"),
        ("|a b c d", "d w .", "|c d"),
        ("|a b c d e", "d w 3 .", "|e"),
        ("|a b", "c w X Esc w .", "X |X"),
        ("|a\nb", "A ! Esc j .", "a!\nb|!"),
        ("|a", "o x Esc . .", "a\nx\nx\n|x"),
        ("|aab", "x u .", "|ab"),
        ("|a,b,c", "d f , .", "|c"),
        ("|abcd", "r x l .", "x|xcd"),
        ("|a a", "c i w b Esc w . u", "b |a"),
    ]);
}

#[test]
fn clusters_stay_whole() {
    let family = "👨‍👩‍👧";
    check(&[
        ("|漢字かなカナ abc", "w", "漢字|かなカナ abc"),
        ("|漢字かなカナ abc", "2 w", "漢字かな|カナ abc"),
        ("|漢字 abc", "d w", "|abc"),
        ("漢|字", "x", "|漢"),
        ("|한국어 x", "e", "한국|어 x"),
    ]);
    for (keys, expected) in [("x", "|b"), ("l x", "|👨‍👩‍👧"), ("2 x", "|"), ("r z", "|zb"), ("v d", "|b")] {
        let mut composer = composer(&format!("|{family}b"), true);
        run(&VIM, &mut composer, keys);
        assert_eq!(shown(&composer), expected, "{keys}");
    }
    let mut composer = composer("", false);
    composer.paste(&format!("e\u{301}{family}🇩🇪"));
    for expected in [format!("e\u{301}{family}|"), "e\u{301}|".to_owned(), "|".to_owned()] {
        composer.edit(Edit::Backspace, None);
        assert_eq!(shown(&composer), expected);
    }
}

#[test]
fn typing() {
    let keymap = &*VIM;
    let mut composer = Composer::new(true);
    run(keymap, &mut composer, "H e l l o Space w o r l d C-w");
    assert_eq!(shown(&composer), "Hello |");
    run(keymap, &mut composer, "x Home C-j Up a Backspace Backspace");
    assert_eq!(shown(&composer), "|\nHello x");
    run(keymap, &mut composer, "Delete End C-u");
    assert_eq!(shown(&composer), "|");
    run(keymap, &mut composer, "a C-j b C-u C-u C-w");
    assert_eq!(shown(&composer), "|");
    run(keymap, &mut composer, "a Space b Home C-Right x A-d");
    assert_eq!(shown(&composer), "a x|");
    assert_eq!(composer.mode(), Mode::Insert);
}

#[test]
fn without_modes() {
    let keymap = &*PLAIN;
    let check = |text: &str, keys: &str, expected: &str| {
        let mut composer = composer(text, false);
        run(keymap, &mut composer, keys);
        assert_eq!(shown(&composer), expected, "{text} {keys}");
        assert_eq!(composer.mode(), Mode::Insert);
    };
    check("one |two", "S-Right S-Right x", "one x|o");
    check("one |two", "S-End Backspace", "one |");
    check("one |two", "S-Home C-x End C-v", "twoone |");
    check("one two|", "C-S-Left C-y Right C-v", "one twotwo|");
    check("one |two", "C-a x", "x|");
    check("a\n|b", "S-Up Delete", "|b");
    check("one |two", "S-Right Left x", "one x|two");
    check("|", "o n e Space t w o C-_", "one|");
    check("|", "o n e Space t w o C-_ C-_ A-r", "one|");
    check("ab|", "Backspace c C-_ C-_", "ab|");
    check("one two|", "C-Left C-Left C-Delete", "|two");
}

#[test]
fn pastes_are_harmless() {
    let mut composer = Composer::new(true);
    let outcome = composer.paste("a\r\nb\rc\0\x1b[31md\te\u{202e}f\u{7f}");
    assert!(outcome.changed && outcome.problem.is_none());
    assert_eq!(composer.text(), "a\nb\nc[31md\tef");
    // One paste is one undo, also between typed text.
    composer.type_char('x');
    composer.edit(Edit::Undo, None);
    assert_eq!(composer.text(), "a\nb\nc[31md\tef");
    composer.edit(Edit::Undo, None);
    assert_eq!(composer.text(), "");

    let big = "x".repeat(70_000);
    let outcome = composer.paste(&big);
    assert!(outcome.problem.is_some_and(|p| p.message.contains("60000 characters")));
    assert!(composer.is_empty());
    let lines = "0123456789\n".repeat(19_000);
    assert_eq!(composer.paste(&lines).problem, None);
    assert!(composer.paste(&lines).problem.is_some());
    assert_eq!(composer.text(), lines);
    let mut composer = self::composer("|abc", true);
    let keymap = &*VIM;
    run(keymap, &mut composer, "y y 9 9 9 9 p");
    assert_eq!(composer.text.lines().len(), 10_000);
    run(keymap, &mut composer, "g g V G y 9 9 9 9 p");
    assert_eq!(composer.text.lines().len(), 10_000, "refused, and nothing is lost");
}

#[test]
fn history_keeps_what_was_typed() {
    for (keymap, modal) in [(&*VIM, true), (&*PLAIN, false)] {
        let mut composer = Composer::new(modal);
        composer.set_history(["first", "second\nwith two lines", "third"].map(str::to_owned).to_vec());
        run(keymap, &mut composer, "Up");
        assert_eq!(shown(&composer), "third|");
        run(keymap, &mut composer, "Up Up Up");
        assert_eq!(shown(&composer), "first|");
        run(keymap, &mut composer, "Down");
        assert_eq!(shown(&composer), "second\nwith two lines|");
        run(keymap, &mut composer, "Left Up");
        assert_eq!(composer.cursor().0, 0, "after a motion, up goes up");
        composer.set_text("");
        run(keymap, &mut composer, "f Up");
        assert_eq!(shown(&composer), "first|");
        run(keymap, &mut composer, "Down");
        assert_eq!(shown(&composer), "f|");
        run(keymap, &mut composer, "x");
        assert_eq!(composer.take(), "fx");
        assert!(composer.is_empty());
        run(keymap, &mut composer, "Up");
        assert_eq!(shown(&composer), "fx|");
    }
}

#[test]
fn backslash_continues_the_line() {
    let mut composer = Composer::new(true);
    composer.paste("a\\");
    assert!(composer.continue_line());
    assert_eq!(shown(&composer), "a\n|");
    assert!(!composer.continue_line());
}

#[test]
fn completion_goes_round() {
    let mut composer = Composer::new(true);
    composer.paste("say /mo");
    assert_eq!(composer.token(), "/mo");
    assert!(!composer.complete_next(false));
    composer.complete(vec!["/model".to_owned(), "/move".to_owned()]);
    let mut seen = vec![composer.text()];
    for back in [false, false, false, true] {
        assert!(composer.complete_next(back));
        seen.push(composer.text());
    }
    assert_eq!(seen, ["say /model", "say /move", "say /mo", "say /model", "say /mo"]);
    composer.type_char('x');
    assert!(!composer.complete_next(false));
    assert!(composer.complete(Vec::new()).nothing);
}

#[test]
fn other_texts() {
    let mut composer = composer("|draft", true);
    let before = composer.revision();
    composer.replace_text("edited").unwrap();
    assert_ne!(composer.revision(), before);
    composer.edit(Edit::Undo, None);
    assert_eq!(composer.text(), "draft");
    composer.set_text("other");
    assert!(composer.edit(Edit::Undo, None).nothing);
    assert!(composer.revision() > before);
    run(&VIM, &mut composer, "2 d");
    assert_eq!(composer.pending(), "2d");
    assert_eq!(composer.scope(), Scope::ComposerOperator);
    run(&VIM, &mut composer, "f");
    assert_eq!(composer.pending(), "2df");
    assert!(composer.cancel_pending());
    assert_eq!(composer.pending(), "");
    let outcome = composer.edit(Edit::YankLine, None);
    assert_eq!(outcome.copied.as_deref(), Some("other"));
    composer.set_modal(false);
    assert_eq!(composer.mode(), Mode::Insert);
    composer.enter_normal();
    assert_eq!(composer.mode(), Mode::Insert);
}

fn draw(composer: &mut Composer, width: u16, height: u16) -> (Vec<String>, Option<Position>, Buffer) {
    let area = Rect::new(0, 0, width, height);
    let mut buf = Buffer::empty(area);
    let look = Look { selection: Style::new().add_modifier(Modifier::REVERSED), ..Look::default() };
    let at = composer.render(area, &mut buf, look, "Write a message");
    let rows = (0..height).map(|y| (0..width).map(|x| buf[(x, y)].symbol()).collect::<String>()).collect();
    (rows, at, buf)
}

#[test]
fn draws_wrapped_text_and_cursor() {
    let mut composer = Composer::new(true);
    assert_eq!(draw(&mut composer, 16, 2).0, ["Write a message ", "                "]);
    assert_eq!(draw(&mut composer, 8, 1).0, ["Write a…"]);
    composer.paste("hello world\n漢字漢字漢字\n👨‍👩‍👧x\ta");
    assert_eq!(composer.height(9, 10), 6);
    assert_eq!(composer.height(9, 3), 3);
    let (rows, at, _) = draw(&mut composer, 9, 6);
    // Wide characters are followed by an empty cell. The widget counts the family as three people and so wraps early.
    assert_eq!(rows, ["hello    ", "world    ", "漢 字 漢 字  ", "漢 字      ", "👨‍👩‍👧 x      ", "a        "]);
    assert_eq!(at, Some(Position::new(1, 5)));
}

#[test]
fn scrolls_to_the_cursor() {
    let mut composer = Composer::new(true);
    composer.paste("1\n2\n3\n4\n5");
    let (rows, at, _) = draw(&mut composer, 4, 2);
    assert_eq!(rows, ["4   ", "5   "]);
    assert_eq!(at, Some(Position::new(1, 1)));
    composer.edit(Edit::Top, None);
    let (rows, at, _) = draw(&mut composer, 4, 2);
    assert_eq!(rows, ["1   ", "2   "]);
    assert_eq!(at, Some(Position::new(0, 0)));
    let (rows, ..) = draw(&mut composer, 4, 5);
    assert_eq!(rows[4], "5   ");
}

#[test]
fn a_full_row_leaves_room_for_the_cursor() {
    let mut composer = Composer::new(true);
    composer.paste("abcdefgh");
    let (rows, at, _) = draw(&mut composer, 9, 2);
    assert_eq!(rows[0], "abcdefgh ");
    assert_eq!(at, Some(Position::new(8, 0)));
    composer.type_char('i');
    let (rows, at, _) = draw(&mut composer, 9, 2);
    assert_eq!(rows, ["abcdefgh ", "i        "]);
    assert_eq!(at, Some(Position::new(1, 1)));
}

#[test]
fn up_and_down_go_by_wrapped_rows() {
    let keymap = &*VIM;
    let mut composer = composer("aaaa bbbb cccc\nx|", true);
    draw(&mut composer, 6, 6);
    run(keymap, &mut composer, "k");
    assert_eq!(composer.cursor(), (0, 10));
    run(keymap, &mut composer, "l l k k");
    assert_eq!(composer.cursor(), (0, 2));
    run(keymap, &mut composer, "j");
    assert_eq!(composer.cursor(), (0, 7));
    run(keymap, &mut composer, "d j");
    assert_eq!(composer.text(), "", "with an operator, lines are lines");
}

#[test]
fn a_selection_shows_with_its_ends() {
    let mut composer = composer("a|b\ncd", true);
    run(&VIM, &mut composer, "v j");
    let (_, _, buf) = draw(&mut composer, 4, 2);
    let reversed = |x, y| buf[(x, y)].modifier.contains(Modifier::REVERSED);
    let cells: Vec<bool> = (0..2).flat_map(|y| (0..4).map(move |x| (x, y))).map(|(x, y)| reversed(x, y)).collect();
    assert_eq!(cells, [false, true, true, false, true, true, false, false]);
}

fn any_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-z ]{1,6}",
        1 => "[漢字かな]{1,3}",
        1 => Just("👨‍👩‍👧".to_owned()),
        1 => Just("e\u{301}".to_owned()),
        1 => Just("\u{fe0f}".to_owned()),
        1 => Just("\n".to_owned()),
        1 => Just("\t(\"x\")".to_owned()),
        1 => "\\PC{1,3}",
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn any_press() -> impl Strategy<Value = Key> {
    prop_oneof![
        10 => "[ -~]".prop_map(|s| Key::char(s.chars().next().unwrap())),
        2 => Just(Key::plain(key::Code::Esc)),
        1 => Just(Key::plain(key::Code::Up)),
        1 => Just(Key::plain(key::Code::Down)),
        1 => Just(Key::plain(key::Code::Backspace)),
        1 => "[a-z]".prop_map(|s| Key::ctrl(s.chars().next().unwrap())),
        1 => Just(Key { shift: true, ..Key::plain(key::Code::Left) }),
        1 => Just(Key::char('漢')),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_keys_keep_the_text_whole(text in any_text(), keys in prop::collection::vec(any_press(), 0..60), modal: bool, width in 1u16..30) {
        let keymap = if modal { &*VIM } else { &*PLAIN };
        let mut composer = Composer::new(modal);
        composer.set_history(vec!["old one".to_owned(), text.clone()]);
        composer.paste(&text);
        let mut resolver = Resolver::default();
        for (i, key) in keys.into_iter().enumerate() {
            let before = (composer.revision(), composer.text());
            let outcome = press(&mut composer, &mut resolver, keymap, key);
            let (row, col) = composer.cursor();
            prop_assert!(row < composer.text.lines().len());
            let boundaries: Vec<usize> = motion::Clusters::of(composer.text.line(row)).cols;
            prop_assert!(boundaries.contains(&col), "{col} is no boundary of {:?}", composer.text.line(row));
            prop_assert!(outcome.changed || composer.revision() == before.0 || composer.text() == before.1 || key.typed().is_some());
            if composer.revision() == before.0 {
                prop_assert_eq!(composer.text(), before.1);
            }
            if i % 5 == 0 {
                let (_, at, _) = draw(&mut composer, width, 4);
                let at = at.unwrap();
                prop_assert!(at.x < width && at.y < 4);
            }
        }
        prop_assert!(!composer.text().contains(|c: char| c.is_control() && c != '\n' && c != '\t'));
    }

    #[test]
    fn undo_takes_everything_back(text in any_text(), keys in prop::collection::vec(any_press(), 0..40), modal: bool) {
        let keymap = if modal { &*VIM } else { &*PLAIN };
        let mut composer = Composer::new(modal);
        composer.set_text(&text);
        let first = composer.text();
        let mut resolver = Resolver::default();
        for key in keys {
            press(&mut composer, &mut resolver, keymap, key);
        }
        composer.enter_normal();
        composer.cancel_pending();
        let last = composer.text();
        let mut undone = 0;
        while composer.text.undo() {
            undone += 1;
        }
        prop_assert_eq!(composer.text(), first);
        for _ in 0..undone {
            composer.text.redo();
        }
        // What was redone at the end may have been undone by a key: then there is more to redo.
        if composer.text() != last {
            prop_assert!(undone > 0 || composer.text() == text::clean(&text));
        }
    }

    #[test]
    fn drawing_shows_the_text(text in "[a-zäß漢 ]{0,80}", width in 2u16..40) {
        let mut composer = Composer::new(true);
        composer.paste(&text);
        let height = composer.height(width, 200);
        let (rows, ..) = draw(&mut composer, width, height);
        let drawn: String = rows.concat().graphemes(true).filter(|g| *g != " ").collect();
        let expected: String = text.chars().filter(|c| *c != ' ').collect();
        if !text.is_empty() {
            // A column too narrow for a wide character cannot show it.
            prop_assert!(drawn == expected || width < 3, "{drawn} {expected}");
        }
    }
}
