//! A block of code: a frame with its language and its letter, lines that are broken anywhere, words in colours.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::blocks::{Node, Part, Shape, label, language, shown_parts};
use super::highlight::{Pen, Token};
use super::render::{Extent, Notes, PIECE, Place, Scene};
use super::width;
use super::wrap::{Prefix, put};
use crate::sanitise;
use crate::tui::theme::Role;

/// Narrower than this there is no frame.
const FRAMED: usize = 16;

/// A block of code of which some rows are there.
#[derive(Debug, Clone)]
pub(super) struct CodeRows {
    head: Option<Line<'static>>,
    gap: Option<Line<'static>>,
    prefix: Prefix,
    /// Columns of the frame, or of the text where there is none.
    columns: usize,
    framed: bool,
    pen: Option<Pen>,
    begun: bool,
    /// Lines that are drawn.
    lines: usize,
    /// Bytes of the next line that are drawn, and the row that it is in, where it is very long.
    offset: usize,
    row: Option<Row>,
}

/// A row that is being filled.
#[derive(Debug, Clone, Default)]
struct Row {
    spans: Vec<Span<'static>>,
    at: usize,
}

impl CodeRows {
    pub fn new(scene: Scene<'_>, node: &Node, place: Place) -> Self {
        let columns = usize::from(scene.look.width).saturating_sub(place.rest.width).max(1);
        let framed = columns >= FRAMED;
        let (code, info) = match node.shape {
            Shape::Fence { code, info, .. } => (code, language(scene.document.slice(info))),
            Shape::Indented { code } => (code, ""),
            _ => (0, ""),
        };
        let pen = scene.look.highlighter.and_then(|highlighter| highlighter.pen(info));
        let info = width::drawable(info);
        let info = width::truncate(&info, columns.saturating_sub(if framed { 10 } else { 2 }).min(24)).into_owned();
        let label = label(code);
        let mut head = place.first;
        if framed {
            let glyphs = scene.look.glyphs();
            let frame = scene.style(Role::CodeFrame);
            let named = if info.is_empty() { 0 } else { width::width(&info) + 2 };
            let rule = columns.saturating_sub(2 + named + label.len() + 2);
            head.push(glyphs.corners[0], frame);
            if !info.is_empty() {
                head.push(format!(" {info} "), scene.style(Role::Quiet));
            }
            head.push(glyphs.rule.repeat(rule), frame);
            head.push(format!(" {label} "), scene.style(Role::CodeLabel));
            head.push(glyphs.corners[1], frame);
        } else {
            head.push(label, scene.style(Role::CodeLabel));
            head.push(format!(" {info}"), scene.style(Role::Quiet));
        }
        Self {
            head: Some(Line::from(head.spans)),
            gap: place.gap,
            prefix: place.rest,
            columns,
            framed,
            pen,
            begun: false,
            lines: 0,
            offset: 0,
            row: None,
        }
    }

    fn room(&self) -> usize {
        if self.framed { self.columns - 4 } else { self.columns }
    }

    /// Gives out a row; `goes_on` marks that its line does.
    fn close(&self, scene: Scene<'_>, row: Row, goes_on: bool, out: &mut Vec<Line<'static>>) {
        let glyphs = scene.look.glyphs();
        let mut spans = self.prefix.spans.clone();
        if !self.framed {
            spans.extend(row.spans);
            out.push(Line::from(spans));
            return;
        }
        let frame = scene.style(Role::CodeFrame);
        spans.push(Span::styled(glyphs.side_left, frame));
        spans.extend(row.spans);
        let pad = self.room().saturating_sub(row.at);
        if pad > 0 {
            spans.push(Span::raw(" ".repeat(pad)));
        }
        if goes_on {
            spans.push(Span::styled(glyphs.wrap, scene.style(Role::CodeWrap)));
        } else {
            spans.push(Span::styled(glyphs.side_right, frame));
        }
        out.push(Line::from(spans));
    }

    fn fill(&self, scene: Scene<'_>, row: &mut Row, text: &str, style: Style, out: &mut Vec<Line<'static>>) {
        let room = self.room();
        let mut rest = text;
        while !rest.is_empty() {
            let (mut head, mut columns) = width::split_at(rest, room.saturating_sub(row.at));
            if head.is_empty() {
                if row.at > 0 {
                    self.close(scene, std::mem::take(row), true, out);
                    continue;
                }
                // Not even one character fits: put it all the same, the screen cuts it.
                let end = rest.chars().next().map_or(1, char::len_utf8);
                head = &rest[..end];
                columns = width::grapheme(head);
            }
            put(&mut row.spans, head, style);
            row.at += columns;
            rest = &rest[head.len()..];
        }
    }

    /// Draws a line, or what is left of it.
    fn line(&mut self, scene: Scene<'_>, part: &Part, tokens: &[Token], out: &mut Vec<Line<'static>>) -> usize {
        let mut row = self.row.take().unwrap_or_default();
        let plain = scene.style(Role::CodeText);
        if part.end as usize - part.start as usize > PIECE {
            self.long(scene, part, part.end as usize, &mut row, out);
            let rest = &scene.part(part)[self.offset..];
            self.fill(scene, &mut row, &clean(rest, 0), plain, out);
        } else {
            let text = clean(scene.part(part), part.pad);
            let mut at = 0;
            for token in tokens {
                let end = (token.end as usize).min(text.len());
                if let Some(word) = text.get(at..end) {
                    self.fill(scene, &mut row, word, scene.look.theme.over(plain, token.role), out);
                    at = end;
                }
            }
            self.fill(scene, &mut row, &text[at..], plain, out);
        }
        self.offset = 0;
        let column = row.at;
        self.close(scene, row, false, out);
        column
    }

    /// Draws a very long line as far as there is much more of it.
    fn long(&mut self, scene: Scene<'_>, part: &Part, end: usize, row: &mut Row, out: &mut Vec<Line<'static>>) {
        let text = scene.part(part);
        let end = end.min(part.end as usize).saturating_sub(part.start as usize);
        while end.saturating_sub(self.offset) >= 2 * PIECE {
            let piece = sanitise::prefix(&text[self.offset..], PIECE);
            self.fill(scene, row, &clean(piece, 0), scene.style(Role::CodeText), out);
            self.offset += piece.len();
        }
    }
}

/// Draws more of a block of code; false if colours are still to come.
pub(super) fn draw(
    scene: Scene<'_>,
    at: usize,
    rows: &mut CodeRows,
    extent: Extent,
    out: &mut Vec<Line<'static>>,
    notes: &mut Notes,
) -> bool {
    let node = &scene.document.nodes()[at];
    let parts = scene.parts(node);
    let (certain, bytes) = scene.document.certain(node);
    let shown = shown_parts(node, parts, scene.document.text());
    let whole = if extent == Extent::Certain { shown_parts(node, &parts[..certain], scene.document.text()) } else { shown };
    if !std::mem::replace(&mut rows.begun, true) {
        out.extend(rows.gap.take());
        out.extend(rows.head.take());
    }
    if extent != Extent::Now {
        ask(scene, rows, parts, whole, shown);
    }
    let mut waits = false;
    let mut column = 0;
    while rows.lines < whole {
        let part = &parts[rows.lines];
        let tokens = match (&rows.pen, extent) {
            (None, _) => Vec::new(),
            (Some(pen), Extent::Now) => {
                let last = rows.lines + 1 == shown;
                let found = pen.line(rows.lines).or_else(|| pen.trial(&clean(scene.part(part), part.pad)).filter(|_| last));
                notes.pending |= found.is_none();
                found.unwrap_or_default()
            }
            (Some(pen), _) => match pen.take_line(rows.lines) {
                Some(tokens) => tokens,
                None => {
                    waits = true;
                    break;
                }
            },
        };
        column = rows.line(scene, part, &tokens, out);
        rows.lines += 1;
    }
    match extent {
        Extent::Certain => {
            // A line so long that it is drawn while it grows.
            if !waits
                && rows.lines == certain
                && certain < parts.len()
                && parts[certain].end as usize - parts[certain].start as usize > PIECE
            {
                let mut row = rows.row.take().unwrap_or_default();
                rows.long(scene, &parts[certain], bytes, &mut row, out);
                rows.row = Some(row);
            }
        }
        Extent::All if waits => {}
        Extent::All | Extent::Now => {
            let lead = if rows.framed { 2 } else { 0 };
            notes.end = (out.len().saturating_sub(1), rows.prefix.width + if shown == 0 { 0 } else { lead + column });
            if rows.framed && (extent == Extent::All || scene.document.is_settled(at)) {
                let glyphs = scene.look.glyphs();
                let mut foot = rows.prefix.clone();
                let rule = glyphs.rule.repeat(rows.columns - 2);
                foot.push(format!("{}{rule}{}", glyphs.corners[2], glyphs.corners[3]), scene.style(Role::CodeFrame));
                out.push(Line::from(foot.spans));
            }
        }
    }
    !waits
}

/// Gives the lines that are whole to be read, and the one that is not on trial.
fn ask(scene: Scene<'_>, rows: &mut CodeRows, parts: &[Part], whole: usize, shown: usize) {
    let Some(pen) = &mut rows.pen else { return };
    let text = |part: &Part| {
        let text = scene.part(part);
        // So long a line is plain; what is given of it says so.
        clean(sanitise::prefix(text, PIECE), part.pad)
    };
    let lines: Vec<String> = parts.get(pen.sent()..whole).unwrap_or_default().iter().map(text).collect();
    let trial = parts.get(whole).filter(|_| whole < shown).map(text);
    pen.read(lines, trial.as_deref());
}

/// A line of code as it is drawn.
fn clean(text: &str, pad: u8) -> String {
    let mut padded = String::new();
    let text = if pad > 0 {
        padded.extend(std::iter::repeat_n(' ', usize::from(pad)));
        padded.push_str(text);
        padded.as_str()
    } else {
        text
    };
    width::without_vs16(&sanitise::block(text)).into_owned()
}
