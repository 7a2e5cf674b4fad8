//! The versions of a subject's settings: what was changed, who used it, the way back.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::field::Of;
use crate::core::settings::{Difference, State};
use crate::error::Result;
use crate::proto::{Command, Reply, Subject, Version};
use crate::tui::action::{Action, Scope};
use crate::tui::format;
use crate::tui::output::Cursor;
use crate::tui::overlay::confirm::Confirm;
use crate::tui::paint::{Row, wrap};
use crate::tui::pane::rows::Rows;
use crate::tui::pane::{Call, Cx, Intent, Outcome};
use crate::tui::shared::Shared;
use crate::tui::text::width::drawable;
use crate::tui::theme::Role;

/// The history, once it was asked for.
pub(super) struct History {
    subject: Subject,
    versions: Option<Result<Vec<Version>>>,
    rows: Rows,
}

impl History {
    pub(super) fn new(subject: Subject) -> Self {
        Self { subject, versions: None, rows: Rows::default() }
    }

    /// The answer to the question. Says whether it was waited for.
    pub(super) fn take(&mut self, reply: &Result<Reply>) -> bool {
        match reply {
            Ok(Reply::Versions(versions)) => self.versions = Some(Ok(versions.clone())),
            Ok(_) => return false,
            Err(error) => self.versions = Some(Err(error.clone())),
        }
        true
    }

    fn list(&self) -> &[Version] {
        match &self.versions {
            Some(Ok(versions)) => versions,
            _ => &[],
        }
    }

    pub(super) fn act(&mut self, call: &Call<'_>, of: &Of, cx: &Cx<'_>) -> Outcome {
        if self.rows.act(call, self.list().len()) {
            return Outcome::done();
        }
        let Some(version) = self.list().get(self.rows.at) else { return Outcome::done() };
        match call.action {
            Action::Accept | Action::Activate => {
                let differences = now(of, cx.shared).differences(&state(version));
                if differences.is_empty() {
                    return Outcome::done().say("This is what holds now.");
                }
                let mut text = vec![format!("Version {} becomes what holds now; the history goes on with it.", version.number)];
                text.extend(differences.iter().map(|difference| drawable(&difference.to_string()).into_owned()));
                let command = Command::RestoreVersion { subject: self.subject.clone(), number: version.number };
                let yes = Intent::PostAndSay(command, format!("Version {} holds again.", version.number));
                Intent::Overlay(Confirm::boxed(format!("Go back to version {}?", version.number), text, "goes back", yes)).into()
            }
            Action::RunOpen => match &version.last_run {
                Some(used) => Outcome::closed().with(Intent::Open(used.conversation, Some(used.node))),
                None => Outcome::done().say("No answer was asked for with this version."),
            },
            Action::SettingDefault | Action::SettingReload | Action::Find | Action::OpenEditor => Outcome::done(),
            _ => Outcome::ignored(),
        }
    }

    pub(super) fn view(&mut self, of: &Of, cx: &Cx<'_>, area: Rect, buf: &mut Buffer) -> Option<Cursor> {
        let versions = match &self.versions {
            None => {
                Row::new(buf, area, 0).text("Looking…", cx.style(Role::Quiet));
                return None;
            }
            Some(Err(error)) => {
                for (y, line) in wrap(&drawable(&error.message), usize::from(area.width)).iter().enumerate() {
                    Row::new(buf, area, u16::try_from(y).unwrap_or(u16::MAX)).text(line, cx.style(Role::Error));
                }
                return None;
            }
            Some(Ok(versions)) => versions.clone(),
        };
        if versions.is_empty() {
            Row::new(buf, area, 0).text("Nothing was changed here yet.", cx.style(Role::Quiet));
            return None;
        }
        let foot = foot_lines(versions.get(self.rows.at), of, cx, usize::from(area.width));
        let most = (area.height / 2).max(2);
        let foot_rows = u16::try_from(foot.len()).unwrap_or(most).min(most);
        let list = Rect { height: area.height.saturating_sub(foot_rows), ..area };
        crate::tui::overlay::list(cx, &mut self.rows, list, buf, versions.len(), |at, row| {
            let version = &versions[at];
            if version.runs > 0 {
                row.right(&format::plural(u64::from(version.runs), "run"), cx.style(Role::Quiet), 16);
            }
            row.text(&format!("{:>3}", version.number), cx.style(Role::Accent)).gap(1);
            row.text(&format!("{:>9}", format::clock(version.at, cx.now.wall, &cx.zone)), cx.style(Role::Quiet)).gap(1);
            row.foreign(&version.about, cx.style(Role::Text));
        });
        for (y, (text, role)) in foot.iter().take(usize::from(foot_rows)).enumerate() {
            let place = Rect { y: list.bottom() + u16::try_from(y).unwrap_or(0), height: 1, ..area };
            let mut row = Row::new(buf, place, 0);
            if text.is_empty() {
                row.fill("─", cx.style(Role::Rule));
            } else {
                row.text(text, cx.style(*role));
            }
        }
        None
    }

    pub(super) fn foot(&self, cx: &Cx<'_>) -> String {
        let key = |action| cx.key(Scope::Form, action);
        format!(
            "{} goes back to it · {} last run · {} form · {} closes",
            key(Action::Accept),
            key(Action::RunOpen),
            key(Action::SettingHistory),
            key(Action::Close)
        )
    }
}

/// What would be different if the version held, and its last run. An empty line is a rule.
fn foot_lines(version: Option<&Version>, of: &Of, cx: &Cx<'_>, columns: usize) -> Vec<(String, Role)> {
    let mut out = vec![(String::new(), Role::Rule)];
    let Some(version) = version else { return out };
    let mut add = |text: String, role: Role| out.extend(wrap(&drawable(&text), columns).into_iter().map(|line| (line, role)));
    let differences: Vec<String> = now(of, cx.shared).differences(&state(version)).iter().map(Difference::to_string).collect();
    if differences.is_empty() {
        add("This is what holds now.".to_owned(), Role::Quiet);
    } else {
        add(format!("Against now: {}.", differences.join(", ")), Role::Text);
    }
    if let Some(used) = &version.last_run {
        let title = if used.title.is_empty() { "untitled" } else { &used.title };
        add(format!("Last used {} in “{title}”.", format::clock(used.at, cx.now.wall, &cx.zone)), Role::Quiet);
    }
    out
}

fn state(version: &Version) -> State {
    State { parameters: version.parameters.clone(), preset: version.preset.clone(), pointed: version.pointed.clone() }
}

fn now(of: &Of, shared: &Shared) -> State {
    match of {
        Of::Here => shared.doc().map(|doc| State::of_conversation(&doc.conversation)).unwrap_or_default(),
        Of::Model(model) => shared.replica.model(model).map(|info| State::of_card(&info.card)).unwrap_or_default(),
        Of::Preset(_) => of.preset(shared).map(State::of_preset).unwrap_or_default(),
    }
}
