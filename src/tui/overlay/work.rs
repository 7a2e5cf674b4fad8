//! What goes on over time: bulk work with each of its models, and downloads. Live; each row can be taken up or given up here.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::Overlay;
use super::page::Page;
use crate::core::jobs::summary;
use crate::error::Error;
use crate::proto::{Command, Download, DownloadState, Job, JobItem, JobState, UnixMs};
use crate::tui::action::{Action, Scope, jobs};
use crate::tui::format;
use crate::tui::listing::shown;
use crate::tui::output::Cursor;
use crate::tui::paint::Row;
use crate::tui::pane::rows::Rows;
use crate::tui::pane::{Call, Cx, Intent, Outcome};
use crate::tui::text::width::drawable;
use crate::tui::theme::Role;

/// Bulk work, the newest first.
#[must_use]
pub fn jobs() -> Box<dyn Overlay> {
    Box::new(Jobs { rows: Rows::default() })
}

/// Downloads.
#[must_use]
pub fn pulls() -> Box<dyn Overlay> {
    Box::new(Pulls { rows: Rows::default() })
}

struct Jobs {
    rows: Rows,
}

struct Pulls {
    rows: Rows,
}

/// As high and wide as is useful, growing with what it shows.
fn size(rows: usize, (width, height): (u16, u16)) -> (u16, u16) {
    let rows = u16::try_from(rows).unwrap_or(u16::MAX);
    (96.min(width.saturating_sub(4)), rows.clamp(1, height.saturating_sub(4).max(1)))
}

/// A job, and one of its models where the row is of one. The newest job stands first.
fn job_rows<'a>(cx: &'a Cx<'_>) -> Vec<(&'a Job, Option<&'a JobItem>)> {
    let jobs = cx.replica.jobs.values().rev();
    jobs.flat_map(|job| std::iter::once((job, None)).chain(job.items.iter().map(move |item| (job, Some(item))))).collect()
}

/// So many milliseconds without coming further are worth a word.
const STILL: i64 = 30_000;

fn state(item: &JobItem, now: UnixMs) -> (&'static str, String, Role) {
    match item.state {
        JobState::Waiting => ("·", "waiting".to_owned(), Role::Quiet),
        JobState::Running => {
            let percent = item.permille.map_or_else(|| "…".to_owned(), |n| format!("{} %", n / 10));
            // A load that stands still may hang; nothing is killed unasked, but it is said.
            let still = item.moved.map(|at| now.saturating_sub(at)).filter(|ms| *ms >= STILL);
            let text = still.map_or(percent.clone(), |ms| format!("{percent} for {}", format::wait(ms as f64)));
            ("◐", text, Role::Running)
        }
        JobState::Done => ("✓", "done".to_owned(), Role::Ok),
        JobState::Failed => ("✗", "failed".to_owned(), Role::Error),
        JobState::Cancelled => ("■", "cancelled".to_owned(), Role::Quiet),
    }
}

impl Overlay for Jobs {
    fn scope(&self) -> Scope {
        Scope::Overlay
    }

    fn title(&self, _cx: &Cx<'_>) -> String {
        "Jobs".to_owned()
    }

    fn size(&self, cx: &Cx<'_>, room: (u16, u16)) -> (u16, u16) {
        size(job_rows(cx).len(), room)
    }

    fn act(&mut self, call: &Call<'_>, cx: &Cx<'_>) -> Outcome {
        let rows = job_rows(cx);
        if self.rows.act(call, rows.len()) {
            return Outcome::done();
        }
        let Some((job, item)) = rows.get(self.rows.at) else { return Outcome::ignored() };
        let again = job.count(JobState::Failed) + job.count(JobState::Cancelled);
        match call.action {
            Action::Accept | Action::Activate => match item.and_then(|item| Some((item, item.error.as_ref()?))) {
                Some((item, error)) => page(&shown(&item.model), error),
                None if item.is_none() && job.finished.is_some() => page("What came of it", &summary(job).1),
                None => Outcome::closed(),
            },
            Action::Again if again > 0 => {
                Outcome::from(Intent::Post(Command::RetryJob { id: job.id })).say(format!("Trying {again} again."))
            }
            Action::Again => Outcome::done().say("Nothing of it failed."),
            Action::GiveUp if job.finished.is_none() => Intent::Post(Command::CancelJob { id: job.id }).into(),
            Action::GiveUp => Outcome::done().say("It has ended already."),
            _ => Outcome::ignored(),
        }
    }

    fn is_live(&self) -> bool {
        true
    }

    fn view(&mut self, cx: &Cx<'_>, area: Rect, buf: &mut Buffer) -> Option<Cursor> {
        let rows = job_rows(cx);
        super::list(cx, &mut self.rows, area, buf, rows.len(), |at, row| match rows[at] {
            (job, None) => {
                let going = jobs::word(job.act);
                let done = job.items.len() - job.count(JobState::Waiting) - job.count(JobState::Running);
                row.right(&format::clock(job.started, cx.now.wall, &cx.zone), cx.style(Role::Quiet), 20);
                let text = match job.finished {
                    None => format!("{going} {}: {done} done", format::plural(job.items.len() as u64, "model")),
                    Some(_) => summary(job).1.message,
                };
                row.text(&text, cx.style(Role::Strong));
            }
            (_, Some(item)) => {
                let (glyph, word, role) = state(item, cx.now.wall);
                row.gap(2).text(glyph, cx.style(role)).gap(1);
                match &item.error {
                    Some(error) => {
                        row.text(&shown(&item.model), cx.style(Role::Text)).gap(2).foreign(&error.message, cx.style(role));
                    }
                    None => {
                        row.right(&word, cx.style(role), 12).text(&shown(&item.model), cx.style(Role::Text));
                    }
                }
            }
        });
        None
    }

    fn foot(&self, cx: &Cx<'_>) -> String {
        let key = |action| cx.key(Scope::Overlay, action);
        format!("{} tries failed ones again · {} cancels · {} closes", key(Action::Again), key(Action::GiveUp), key(Action::Close))
    }
}

/// All of an error, to read.
fn page(title: &str, error: &Error) -> Outcome {
    let mut text = vec![(error.message.clone(), Role::Text)];
    text.extend(error.hints.iter().map(|hint| (hint.clone(), Role::Hint)));
    text.extend(error.cause.iter().map(|cause| (cause.clone(), Role::Quiet)));
    Intent::Overlay(Box::new(Page::new(title, text))).into()
}

/// A download, and one of its layers where the row is of one.
fn pull_rows<'a>(cx: &'a Cx<'_>) -> Vec<(&'a Download, Option<&'a crate::proto::Layer>)> {
    let rank = |download: &Download| match download.state {
        DownloadState::Running | DownloadState::Checking => 0,
        DownloadState::Queued => 1,
        DownloadState::Paused => 2,
        _ => 3,
    };
    let mut all: Vec<&Download> = cx.replica.downloads.values().collect();
    all.sort_by_key(|download| (rank(download), download.asked));
    let layers = |download: &'a Download| {
        let many = download.layers.len() > 1 && !download.state.is_over();
        many.then_some(&download.layers).into_iter().flatten().map(move |layer| (download, Some(layer)))
    };
    all.into_iter().flat_map(|download| std::iter::once((download, None)).chain(layers(download))).collect()
}

impl Overlay for Pulls {
    fn scope(&self) -> Scope {
        Scope::Overlay
    }

    fn title(&self, _cx: &Cx<'_>) -> String {
        "Downloads".to_owned()
    }

    fn size(&self, cx: &Cx<'_>, room: (u16, u16)) -> (u16, u16) {
        size(pull_rows(cx).len(), room)
    }

    fn act(&mut self, call: &Call<'_>, cx: &Cx<'_>) -> Outcome {
        let rows = pull_rows(cx);
        if self.rows.act(call, rows.len()) {
            return Outcome::done();
        }
        let Some((download, _)) = rows.get(self.rows.at) else { return Outcome::ignored() };
        let key = download.key.clone();
        let going = matches!(download.state, DownloadState::Queued | DownloadState::Running | DownloadState::Checking);
        let post = |command| Outcome::from(Intent::Post(command));
        match call.action {
            Action::Accept | Action::Activate => match &download.error {
                Some(error) => page(&drawable(&download.source), error),
                None => Outcome::closed(),
            },
            Action::Halt if going => post(Command::PausePull { key }),
            Action::Halt | Action::Again if !going && download.state != DownloadState::Done => post(Command::ResumePull { key }),
            Action::GiveUp if !download.state.is_over() => post(Command::CancelPull { key, forget: false }),
            Action::Forget => post(Command::CancelPull { key, forget: true }).say("It is off the list, and what came of it is dropped."),
            Action::Halt | Action::Again | Action::GiveUp => Outcome::done().say("There is nothing to do about that one now."),
            _ => Outcome::ignored(),
        }
    }

    fn is_live(&self) -> bool {
        true
    }

    fn view(&mut self, cx: &Cx<'_>, area: Rect, buf: &mut Buffer) -> Option<Cursor> {
        let rows = pull_rows(cx);
        if rows.is_empty() {
            Row::new(buf, area, 0).text("Nothing is being fetched.", cx.style(Role::Quiet));
        }
        super::list(cx, &mut self.rows, area, buf, rows.len(), |at, row| match rows[at] {
            (download, None) => pull_row(cx, download, row),
            (_, Some(layer)) => {
                let total = layer.total_bytes.map(|n| format!("/{}", format::bytes(n))).unwrap_or_default();
                row.gap(4).right(&format!("{}{total}", format::bytes(layer.done_bytes)), cx.style(Role::Quiet), 8);
                row.foreign(&layer.name, cx.style(Role::Quiet));
            }
        });
        None
    }

    fn foot(&self, cx: &Cx<'_>) -> String {
        let key = |action| cx.key(Scope::Overlay, action);
        format!(
            "{} pauses, goes on · {} cancels · {} forgets · {} closes",
            key(Action::Halt),
            key(Action::GiveUp),
            key(Action::Forget),
            key(Action::Close)
        )
    }
}

fn pull_row(cx: &Cx<'_>, download: &Download, row: &mut Row<'_>) {
    let (glyph, role) = match download.state {
        DownloadState::Queued => ("·", Role::Quiet),
        DownloadState::Running | DownloadState::Checking => ("◐", Role::Running),
        DownloadState::Paused => ("◌", Role::Quiet),
        DownloadState::Done => ("✓", Role::Ok),
        DownloadState::Failed => ("✗", Role::Error),
        DownloadState::Cancelled => ("■", Role::Quiet),
    };
    let name = if download.source.is_empty() { &download.key } else { &download.source };
    let text = match (&download.error, download.state) {
        (Some(error), DownloadState::Failed) => drawable(&error.message).into_owned(),
        (_, DownloadState::Running) => {
            let stage = download.stage.as_ref().map(|stage| format!("{} · ", drawable(stage))).unwrap_or_default();
            format!("{stage}{}", jobs::progress(download))
        }
        (_, state) => state.word().to_owned(),
    };
    row.text(glyph, cx.style(role)).gap(1);
    row.right(&text, cx.style(role), 16);
    row.text(&drawable(name), cx.style(Role::Text));
    if !download.backend.is_empty() {
        row.gap(2).foreign(&download.backend, cx.style(Role::Quiet));
    }
}
