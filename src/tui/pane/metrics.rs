//! Live figures with their recent past, as sparklines.
//!
//! Owns: which figures there are. Refuses: sampling (the host does, while somebody watches). Invariant: figures change once a second, a
//! column is added every four, so that a line of cells stays still most of the time; what is not known is `–`.

use std::collections::BTreeMap;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::rows::Rows;
use super::{Call, Cx, Outcome, Pane, PaneInfo, Title, tile};
use crate::proto::{Event, EventKind, Sample};
use crate::tui::action::Scope;
use crate::tui::format;
use crate::tui::layout::Slot;
use crate::tui::output::Cursor;
use crate::tui::paint::Row;
use crate::tui::spark::{COLUMN, Series};
use crate::tui::text::width::{drawable, truncate};
use crate::tui::theme::Role;

pub const ID: &str = "metrics";

static INFO: PaneInfo = PaneInfo { tile: tile(ID, Slot::Right, 3, 2), title: "Metrics", tab: "Metrics", scope: Scope::Metrics };

#[must_use]
pub fn pane() -> Box<dyn Pane> {
    Box::new(Metrics::default())
}

#[derive(Default)]
struct Metrics {
    series: BTreeMap<(u8, String), Series>,
    /// Samples since the last column.
    seconds: u32,
    rows: Rows,
}

impl Metrics {
    fn take(&mut self, sample: &Sample) {
        for series in self.series.values_mut() {
            series.figure = "–".to_owned();
        }
        if let Some(cpu) = sample.cpu {
            self.put(0, "cpu", Some(f64::from(cpu)), Some(100.0), format!("{cpu:.0} %"));
        }
        if let (Some(used), Some(total)) = (sample.memory_used, sample.memory_total) {
            self.put(1, "mem", Some(used as f64), Some(total as f64), format::used_of(used, total));
        }
        for (i, gpu) in sample.gpus.iter().enumerate() {
            let mark = if sample.gpus.len() > 1 { i.to_string() } else { String::new() };
            if let Some(busy) = gpu.busy {
                let heat = gpu.temperature.map(|t| format!("  {t:.0} °C")).unwrap_or_default();
                self.put(2, &format!("gpu{mark}"), Some(f64::from(busy)), Some(100.0), format!("{busy:.0} %{heat}"));
            }
            if let (Some(used), Some(total)) = (gpu.memory_used, gpu.memory_total) {
                self.put(3, &format!("vram{mark}"), Some(used as f64), Some(total as f64), format::used_of(used, total));
            }
        }
        let rate = sample.tokens_per_s;
        self.put(4, "tok/s", Some(rate.unwrap_or(0.0)), None, rate.map_or_else(|| "–".to_owned(), format::number));
        let ttft = sample.ttft_ms;
        self.put(5, "ttft", ttft, None, ttft.map_or_else(|| "–".to_owned(), format::wait));
        for (backend, latency) in &sample.latency_ms {
            let figure = latency.map_or_else(|| "down".to_owned(), |ms| format!("{} ms", format::number(ms)));
            self.put(6, backend, latency.or(Some(0.0)), None, figure);
        }
        self.seconds += 1;
        if self.seconds >= COLUMN {
            self.seconds = 0;
            self.series.values_mut().for_each(Series::close);
        }
    }

    fn put(&mut self, order: u8, name: &str, value: Option<f64>, full: Option<f64>, figure: String) {
        let series = self.series.entry((order, name.to_owned())).or_default();
        if let Some(value) = value {
            series.put(value);
        }
        series.full = full;
        series.figure = figure;
    }
}

impl Pane for Metrics {
    fn info(&self) -> &'static PaneInfo {
        &INFO
    }

    fn title(&self, cx: &Cx<'_>) -> Title {
        let right = cx.sample.as_ref().and_then(|s| s.host_memory).map(|n| format!("host {}", format::bytes(n))).unwrap_or_default();
        Title { left: INFO.title.to_owned(), right, ..Title::default() }
    }

    fn watches(&self) -> bool {
        true
    }

    fn act(&mut self, call: &Call<'_>, _cx: &Cx<'_>) -> Outcome {
        if self.rows.act(call, self.series.len()) { Outcome::done() } else { Outcome::ignored() }
    }

    fn event(&mut self, event: &Event, _cx: &Cx<'_>) {
        if let EventKind::Metrics(sample) = &event.kind {
            self.take(sample);
        }
    }

    fn view(&mut self, cx: &Cx<'_>, area: Rect, buf: &mut Buffer) -> Option<Cursor> {
        let quiet = cx.style(Role::Quiet);
        if self.series.is_empty() {
            Row::new(buf, area, 0).gap(1).text(if cx.is_up() { "Waiting for the first figures…" } else { "–" }, quiet);
            return None;
        }
        let all: Vec<(&(u8, String), &Series)> = self.series.iter().collect();
        let names = all.iter().map(|((_, name), _)| name.chars().count()).max().unwrap_or(5).clamp(5, 10);
        for (y, at) in self.rows.show(usize::from(area.height), all.len()).enumerate() {
            let ((_, name), series) = all[at];
            let mut row = Row::new(buf, area, u16::try_from(y).unwrap_or(u16::MAX));
            let name = drawable(name);
            let begin = row.margin(1).gap(1).x();
            row.text(&truncate(&name, names), quiet);
            row.to(begin + u16::try_from(names).unwrap_or(0) + 1);
            let figure_columns = 13.min(row.left() / 2).max(6);
            let line = row.left().saturating_sub(figure_columns + 1);
            row.text(&series.bars(line), cx.style(Role::Sparkline)).gap(1);
            let role = if series.figure == "down" { Role::Error } else { Role::Text };
            row.text(&series.figure, cx.style(role));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::spark::KEPT;

    #[test]
    fn a_column_is_the_mean_of_four_seconds_and_figures_change_each_second() {
        let mut metrics = Metrics::default();
        for cpu in [10.0, 20.0, 30.0, 40.0, 80.0] {
            metrics.take(&Sample { cpu: Some(cpu), ..Sample::default() });
        }
        let cpu = &metrics.series[&(0, "cpu".to_owned())];
        assert_eq!((cpu.columns.len(), cpu.columns[0], cpu.figure.as_str()), (1, 25.0, "80 %"));
        assert_eq!(cpu.bars(4), "   ▃");
    }

    #[test]
    fn what_is_not_told_any_more_is_not_known() {
        let mut metrics = Metrics::default();
        metrics.take(&Sample { cpu: Some(10.0), ..Sample::default() });
        metrics.take(&Sample::default());
        assert_eq!(metrics.series[&(0, "cpu".to_owned())].figure, "–");
    }

    #[test]
    fn the_past_is_bounded() {
        let mut metrics = Metrics::default();
        for _ in 0..(KEPT as u32 + 50) * COLUMN {
            metrics.take(&Sample { cpu: Some(1.0), ..Sample::default() });
        }
        assert_eq!(metrics.series[&(0, "cpu".to_owned())].columns.len(), KEPT);
    }
}
