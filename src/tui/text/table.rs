//! Tables: columns fitted to the width, cells wrapped; where there is no room for columns, each row as `head: value`.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::blocks::{Node, Part, cells};
use super::inline::{Piece, inline};
use super::render::{Extent, Notes, Place, Scene};
use super::width;
use super::wrap::{Prefix, Wrap};
use crate::sanitise;
use crate::tui::theme::Role;

/// Columns are as wide as the first so many rows ask for; then rows are settled one by one.
const MEASURED: usize = 64;
/// A column that needs more than this gets no more than its share before others have theirs.
const WORD: usize = 12;

/// A row is shown up to so many bytes; longer ones are no tables.
const ROW: usize = 8192;

/// A table of which some rows are there.
#[derive(Debug, Clone, Default)]
pub(super) struct TableRows {
    grid: Option<Grid>,
    /// Rows that are drawn.
    rows: usize,
    /// The last of them has several lines.
    tall: bool,
    /// What stands before the first line, while that is not drawn.
    first: Option<Prefix>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Align {
    Left,
    Centre,
    Right,
}

#[derive(Debug, Clone)]
struct Grid {
    widths: Vec<usize>,
    aligns: Vec<Align>,
    head: Row,
    /// No room for columns.
    records: bool,
    prefix: Prefix,
    style: Style,
}

type Row = Vec<Cell>;

/// Styled words, and line breaks between them.
#[derive(Debug, Clone, Default)]
struct Cell {
    words: Vec<Option<(String, Style)>>,
}

impl Cell {
    /// Columns without wrapping, and of the longest word.
    fn measure(&self) -> (usize, usize) {
        let (mut widest, mut line, mut longest, mut word) = (0, 0, 0, 0);
        for piece in &self.words {
            let Some((text, _)) = piece else {
                (line, word) = (0, 0);
                continue;
            };
            for (index, part) in text.split(' ').enumerate() {
                if index > 0 {
                    line += 1;
                    word = 0;
                }
                let columns = width::width(part);
                line += columns;
                // Wide characters may be parted anywhere.
                word = if part.is_ascii() { word + columns } else { word.max(columns.min(2)) };
                longest = longest.max(word);
                widest = widest.max(line);
            }
        }
        (widest, longest)
    }

    fn lines(&self, columns: usize, over: Style, out: &mut Vec<Line<'static>>) {
        let mut wrap = Wrap::new(columns, Prefix::default(), Prefix::default());
        for piece in &self.words {
            match piece {
                Some((text, style)) => wrap.text(text, style.patch(over), out),
                None => wrap.line_break(out),
            }
        }
        wrap.finish(out);
    }
}

/// Draws more of a table.
pub(super) fn draw(
    scene: Scene<'_>,
    node: &Node,
    state: &mut TableRows,
    extent: Extent,
    place: impl FnOnce() -> Place,
    out: &mut Vec<Line<'static>>,
    notes: &mut Notes,
) {
    let parts = scene.parts(node);
    let (certain, _) = scene.document.certain(node);
    let whole = if extent == Extent::Certain { certain } else { parts.len() };
    let mut start = out.len();
    if state.grid.is_none() {
        if extent == Extent::Certain && whole < MEASURED + 2 {
            return;
        }
        let place = place();
        out.extend(place.gap.clone());
        state.first = Some(place.first.clone());
        start = out.len();
        let grid = Grid::new(scene, parts, place, notes);
        if !grid.records {
            grid.row(scene, &grid.head, true, out);
            grid.rule(scene, out);
        }
        state.grid = Some(grid);
    }
    let Some(grid) = &state.grid else { return };
    for part in parts.iter().take(whole).skip(2 + state.rows) {
        let row = read(scene, part, grid.style, grid.widths.len(), notes);
        if grid.records {
            grid.record(scene, &row, state.rows > 0, out);
        } else {
            let before = out.len();
            grid.row(scene, &row, false, out);
            let tall = out.len() - before > 1;
            if state.rows > 0 && (tall || state.tall) {
                // Where rows have several lines, rules tell where one begins.
                let row: Vec<Line<'static>> = out.drain(before..).collect();
                grid.rule(scene, out);
                out.extend(row);
            }
            state.tall = tall;
        }
        state.rows += 1;
    }
    if grid.records && state.rows == 0 && extent != Extent::Certain {
        grid.heads(scene, out);
    }
    if let Some(line) = out.get_mut(start)
        && let Some(first) = state.first.take()
    {
        line.spans.splice(..grid.prefix.spans.len(), first.spans);
    }
    notes.end = (out.len().saturating_sub(1), out.last().map_or(0, Line::width));
}

fn read(scene: Scene<'_>, part: &Part, style: Style, columns: usize, notes: &mut Notes) -> Row {
    let text = sanitise::prefix(scene.part(part), ROW);
    cells(text)
        .take(columns)
        .map(|range| {
            let mut cell = Cell::default();
            let source = text[range].replace("\\|", "|");
            notes.missing |= inline(&source, style, scene.document, scene.look, &mut |piece| match piece {
                Piece::Text(text, style) => cell.words.push(Some((text.to_owned(), style))),
                Piece::Break => cell.words.push(None),
            });
            cell
        })
        .collect()
}

fn aligns(row: &str) -> Vec<Align> {
    cells(row)
        .map(|range| match (row[range.clone()].starts_with(':'), row[range].ends_with(':')) {
            (true, true) => Align::Centre,
            (false, true) => Align::Right,
            _ => Align::Left,
        })
        .collect()
}

impl Grid {
    fn new(scene: Scene<'_>, parts: &[Part], place: Place, notes: &mut Notes) -> Self {
        let count = parts.first().map_or(0, |part| cells(scene.part(part)).count()).max(1);
        let rows: Vec<Row> = parts
            .iter()
            .take(MEASURED + 2)
            .enumerate()
            .filter(|(index, _)| *index != 1)
            .map(|(_, part)| read(scene, part, place.style, count, notes))
            .collect();
        let head = rows.first().cloned().unwrap_or_default();
        let (mut widest, mut words) = (vec![1; count], vec![1; count]);
        for row in &rows {
            for (index, cell) in row.iter().take(count).enumerate() {
                let (wide, word) = cell.measure();
                widest[index] = wide.max(widest[index]);
                words[index] = word.max(words[index]);
            }
        }
        let room = usize::from(scene.look.width).saturating_sub(place.rest.width).saturating_sub(3 * (count - 1));
        let widths = fit(&widest, room);
        let cramped = widths.iter().sum::<usize>() > room || widths.iter().zip(&words).any(|(width, word)| *width < (*word).min(WORD));
        let records = count > 1 && cramped;
        let aligns = parts.get(1).map(|part| aligns(scene.part(part))).unwrap_or_default();
        Self { widths, aligns, head, records, prefix: place.rest, style: place.style }
    }

    fn row(&self, scene: Scene<'_>, row: &Row, head: bool, out: &mut Vec<Line<'static>>) {
        let over = if head { scene.style(Role::TableHead) } else { Style::new() };
        let none = Cell::default();
        let columns: Vec<Vec<Line<'static>>> = self
            .widths
            .iter()
            .enumerate()
            .map(|(index, width)| {
                let mut lines = Vec::new();
                row.get(index).unwrap_or(&none).lines(*width, over, &mut lines);
                lines
            })
            .collect();
        let height = columns.iter().map(Vec::len).max().unwrap_or(1);
        for y in 0..height {
            let mut spans = self.prefix.spans.clone();
            for (index, (lines, columns)) in columns.iter().zip(&self.widths).enumerate() {
                if index > 0 {
                    spans.push(Span::styled(scene.look.glyphs().column, scene.style(Role::TableRule)));
                }
                let empty = Line::default();
                let line = lines.get(y).unwrap_or(&empty);
                let left = columns.saturating_sub(line.width());
                let before = match self.aligns.get(index) {
                    Some(Align::Right) => left,
                    Some(Align::Centre) => left / 2,
                    _ => 0,
                };
                if before > 0 {
                    spans.push(Span::raw(" ".repeat(before)));
                }
                spans.extend(line.spans.iter().cloned());
                // Nothing needs to follow the last column.
                if left > before && index + 1 < self.widths.len() {
                    spans.push(Span::raw(" ".repeat(left - before)));
                }
            }
            out.push(Line::from(spans));
        }
    }

    fn rule(&self, scene: Scene<'_>, out: &mut Vec<Line<'static>>) {
        let glyphs = scene.look.glyphs();
        let rules: Vec<String> = self.widths.iter().map(|width| glyphs.rule.repeat(*width)).collect();
        let mut line = self.prefix.clone();
        line.push(rules.join(glyphs.cross), scene.style(Role::TableRule));
        out.push(Line::from(line.spans));
    }

    /// The heads alone, while there are no rows to be told by them.
    fn heads(&self, scene: Scene<'_>, out: &mut Vec<Line<'static>>) {
        let over = scene.style(Role::TableHead);
        let mut wrap = Wrap::new(usize::from(scene.look.width), self.prefix.clone(), self.prefix.clone());
        for (index, head) in self.head.iter().enumerate() {
            wrap.text(if index > 0 { ", " } else { "" }, over, out);
            for (text, style) in head.words.iter().flatten() {
                wrap.text(text, style.patch(over), out);
            }
        }
        wrap.finish(out);
    }

    /// A row as `head: value`, one under the other.
    fn record(&self, scene: Scene<'_>, row: &Row, further: bool, out: &mut Vec<Line<'static>>) {
        if further {
            out.push(Line::from(self.prefix.spans.clone()));
        }
        let over = scene.style(Role::TableHead);
        for (head, cell) in self.head.iter().zip(row) {
            if cell.words.is_empty() {
                continue;
            }
            let mut rest = self.prefix.clone();
            rest.push("  ", Style::new());
            let mut wrap = Wrap::new(usize::from(scene.look.width), self.prefix.clone(), rest);
            for (text, style) in head.words.iter().flatten() {
                wrap.text(text, style.patch(over), out);
            }
            wrap.text(": ", over, out);
            for piece in &cell.words {
                match piece {
                    Some((text, style)) => wrap.text(text, *style, out),
                    None => wrap.line_break(out),
                }
            }
            wrap.finish(out);
        }
    }
}

/// Shares `room` among columns: who needs less than a fair share gets what it needs, the others share the rest.
fn fit(widest: &[usize], room: usize) -> Vec<usize> {
    let mut widths = widest.to_vec();
    let mut open: Vec<usize> = (0..widest.len()).collect();
    let mut left = room;
    loop {
        let share = left / open.len().max(1);
        let (small, large): (Vec<usize>, Vec<usize>) = open.iter().partition(|column| widest[**column] <= share);
        for column in &small {
            left -= widest[*column];
        }
        open = large;
        if small.is_empty() || open.is_empty() {
            break;
        }
    }
    for (index, column) in open.iter().enumerate() {
        // The first ones get what does not divide.
        widths[*column] = (left / open.len() + usize::from(index < left % open.len())).max(1);
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_share_the_room() {
        assert_eq!(fit(&[3, 5, 4], 20), [3, 5, 4]);
        assert_eq!(fit(&[3, 50, 4], 20), [3, 13, 4]);
        assert_eq!(fit(&[30, 50, 4], 21), [9, 8, 4]);
        assert_eq!(fit(&[30, 50], 0), [1, 1]);
    }
}
