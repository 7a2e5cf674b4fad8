use ratatui::style::Style;
use unicode_width::UnicodeWidthStr;

use super::*;

const W: u16 = 20;
const H: u16 = 4;

fn screen(lines: &[&str]) -> Buffer {
    let mut buffer = Buffer::empty(Rect::new(0, 0, W, H));
    for (y, line) in lines.iter().enumerate() {
        buffer.set_string(0, u16::try_from(y).unwrap(), line, Style::new());
    }
    buffer
}

fn terminal() -> vt100::Parser {
    vt100::Parser::new(H.try_into().unwrap(), W.try_into().unwrap(), 0)
}

/// Feeds frames to a terminal and returns what it shows.
fn play(frames: &[(Buffer, Option<Cursor>)]) -> (vt100::Parser, Vec<usize>) {
    let mut parser = terminal();
    let mut output = Output::new(W, H);
    let mut sizes = Vec::new();
    for (buffer, cursor) in frames {
        let bytes = output.frame(buffer, *cursor);
        sizes.push(bytes.len());
        parser.process(bytes);
    }
    (parser, sizes)
}

fn same(parser: &vt100::Parser, buffer: &Buffer) {
    for y in 0..H {
        let mut x = 0;
        while x < W {
            let want = &buffer[(x, y)];
            let got = parser.screen().cell(y, x).unwrap();
            let shown = if got.contents().is_empty() { " " } else { got.contents() };
            assert_eq!(shown, want.symbol(), "at {x},{y}\n{}", parser.screen().contents());
            assert_eq!(got.bold(), want.modifier.contains(Modifier::BOLD), "bold at {x},{y}");
            assert_eq!(got.inverse(), want.modifier.contains(Modifier::REVERSED), "inverse at {x},{y}");
            if want.bg == Color::Reset {
                assert_eq!(got.bgcolor(), vt100::Color::Default, "background at {x},{y}");
            }
            x += u16::try_from(want.symbol().width().max(1)).unwrap();
        }
    }
}

#[test]
fn a_frame_that_changes_nothing_is_zero_bytes() {
    let a = screen(&["hello", "world"]);
    let cursor = Some(Cursor { at: Position::new(3, 1), shape: Shape::Bar });
    let (parser, sizes) = play(&[(a.clone(), cursor), (a.clone(), cursor), (a.clone(), cursor)]);
    assert_eq!(&sizes[1..], &[0, 0]);
    same(&parser, &a);
    assert_eq!(parser.screen().cursor_position(), (1, 3));
}

#[test]
fn every_frame_is_one_bracket() {
    let mut output = Output::new(W, H);
    let bytes = output.frame(&screen(&["x"]), None).to_vec();
    assert!(bytes.starts_with(BEGIN) && bytes.ends_with(END));
    assert_eq!(bytes.windows(BEGIN.len()).filter(|w| *w == BEGIN).count(), 1);
    assert_eq!(bytes.windows(END.len()).filter(|w| *w == END).count(), 1);
}

#[test]
fn a_token_appended_costs_few_bytes() {
    let cursor = Some(Cursor { at: Position::new(0, 3), shape: Shape::Bar });
    let (_, sizes) = play(&[(screen(&["one two"]), cursor), (screen(&["one two thre"]), cursor)]);
    assert!(sizes[1] <= 45, "{} bytes", sizes[1]);
}

#[test]
fn what_is_shown_is_what_was_drawn() {
    let mut a = screen(&["wide 日本語 ok", "0123456789abcdefghij", "", "tail"]);
    a.set_style(Rect::new(2, 1, 6, 1), Style::new().fg(Color::Rgb(1, 2, 3)).bg(Color::Blue).add_modifier(Modifier::BOLD));
    a.set_style(Rect::new(0, 2, 12, 1), Style::new().add_modifier(Modifier::REVERSED));
    let mut b = screen(&["日 wide 本", "0123    89      ghij", "x", ""]);
    b.set_style(Rect::new(0, 1, 3, 1), Style::new().fg(Color::Indexed(200)).add_modifier(Modifier::ITALIC));
    let c = screen(&["", "", "", "                   z"]);
    let empty = screen(&[]);
    let all = [a, b, c, empty];
    for from in &all {
        for to in &all {
            let (parser, _) = play(&[(from.clone(), None), (to.clone(), None)]);
            same(&parser, to);
        }
    }
}

#[test]
fn after_invalidation_everything_is_painted_in_the_same_bracket() {
    let a = screen(&["keep me"]);
    let mut output = Output::new(W, H);
    let mut parser = terminal();
    parser.process(output.frame(&a, None));
    parser.process(b"\x1b[2Jgarbage of an editor");
    output.invalidate();
    let bytes = output.frame(&a, None).to_vec();
    assert!(bytes.starts_with(b"\x1b[?2026h\x1b[m\x1b[2J"));
    parser.process(&bytes);
    same(&parser, &a);
}

#[test]
fn the_cursor_is_shown_hidden_and_shaped() {
    let a = screen(&["x"]);
    let bar = Some(Cursor { at: Position::new(1, 0), shape: Shape::Bar });
    let block = Some(Cursor { at: Position::new(1, 0), shape: Shape::Block });
    let mut output = Output::new(W, H);
    let mut parser = terminal();
    parser.process(output.frame(&a, None));
    assert!(parser.screen().hide_cursor());
    parser.process(output.frame(&a, bar));
    assert!(!parser.screen().hide_cursor());
    let bytes = output.frame(&a, block).to_vec();
    assert_eq!(bytes, [BEGIN, b"\x1b[2 q", END].concat());
    parser.process(output.frame(&a, None));
    assert!(parser.screen().hide_cursor());
}

#[test]
fn the_pen_rests_after_every_frame() {
    let mut a = screen(&["red"]);
    a.set_style(Rect::new(0, 0, 3, 1), Style::new().fg(Color::Red).add_modifier(Modifier::UNDERLINED));
    let (parser, _) = play(&[(a, None)]);
    assert_eq!(parser.screen().fgcolor(), vt100::Color::Default);
    assert!(!parser.screen().underline());
}
