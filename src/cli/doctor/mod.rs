//! `arbour doctor`: how things look, and what to do about each that is not well.
//!
//! Owns: the checks and how they are shown. Refuses: changing anything; it starts no host, and reads the database without
//! writing. Invariant: every check that is not `ok` says what to do.

mod backends;
mod machine;
mod session;
mod terminal;

use serde_json::{Value, json};

use super::args::Doctor;
use super::context::Context;
use super::output;
use crate::error::{Error, Result};
use crate::sanitise;

/// How a check went. The words are those of `--json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ok,
    /// Works, and could be better, or is merely good to know.
    Note,
    /// Something will not work.
    Problem,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Problem => "problem",
        }
    }

    fn mark(self) -> &'static str {
        match self {
            Self::Ok => "✓",
            Self::Note => "·",
            Self::Problem => "✗",
        }
    }
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Check {
    area: &'static str,
    name: String,
    state: State,
    /// What was found.
    says: String,
    /// What to do, in sentences.
    todo: Vec<String>,
}

impl Check {
    fn ok(area: &'static str, name: impl Into<String>, says: impl Into<String>) -> Self {
        Self { area, name: name.into(), state: State::Ok, says: says.into(), todo: Vec::new() }
    }

    fn note(area: &'static str, name: impl Into<String>, says: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { area, name: name.into(), state: State::Note, says: says.into(), todo: vec![todo.into()] }
    }

    fn problem(area: &'static str, name: impl Into<String>, says: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { area, name: name.into(), state: State::Problem, says: says.into(), todo: vec![todo.into()] }
    }

    fn error(area: &'static str, name: impl Into<String>, error: &Error) -> Self {
        let mut todo = error.hints.clone();
        if todo.is_empty() {
            todo.push("The log in the state folder may tell more.".to_owned());
        }
        Self { area, name: name.into(), state: State::Problem, says: error.message.clone(), todo }
    }
}

/// Exit code 1 when something will not work.
pub async fn run(context: &Context, doctor: Doctor) -> Result<u8> {
    let mut checks = vec![Check::ok("arbour", "version", version())];
    checks.extend(terminal::checks());
    checks.extend(machine::files(context));
    checks.extend(configuration(context));
    checks.extend(machine::database(&context.paths.database()));
    checks.push(machine::attachments(&context.paths.data.join("blobs")));
    checks.extend(backends::checks(context).await);
    checks.extend(session::checks());
    checks.extend(machine::checks(context));
    if doctor.json {
        output::value(&as_json(&checks))?;
    } else {
        output::text(&report(&checks, output::is_terminal()))?;
    }
    Ok(u8::from(checks.iter().any(|check| check.state == State::Problem)))
}

fn version() -> String {
    let mut features = Vec::new();
    for (name, there) in
        [("embedded", cfg!(feature = "embedded")), ("clipboard", cfg!(feature = "clipboard")), ("gpu", cfg!(feature = "gpu"))]
    {
        features.push(format!("{}{name}", if there { "+" } else { "-" }));
    }
    format!("{} on {} {}, {}", env!("CARGO_PKG_VERSION"), std::env::consts::OS, std::env::consts::ARCH, features.join(" "))
}

fn configuration(context: &Context) -> Vec<Check> {
    let file = context.paths.config_file();
    let mut checks = Vec::new();
    if context.problems.is_empty() {
        let says =
            if file.exists() { format!("{} is read.", file.display()) } else { format!("There is no {}; it is optional.", file.display()) };
        checks.push(Check::ok("config", "config.toml", says));
    }
    checks.extend(context.problems.iter().map(|problem| Check::error("config", "config.toml", problem)));
    checks
}

fn as_json(checks: &[Check]) -> Value {
    let checks: Vec<Value> =
        checks.iter().map(|c| json!({ "area": c.area, "name": c.name, "state": c.state.word(), "says": c.says, "todo": c.todo })).collect();
    json!({ "checks": checks })
}

fn report(checks: &[Check], colour: bool) -> String {
    let paint = |code: &str, text: &str| if colour { format!("\x1b[{code}m{text}\x1b[m") } else { text.to_owned() };
    let mut out = String::new();
    let mut area = "";
    for check in checks {
        if check.area != area {
            area = check.area;
            out.push_str(&format!("{}{}\n", if out.is_empty() { "" } else { "\n" }, paint("1", area)));
        }
        let code = match check.state {
            State::Ok => "32",
            State::Note => "33",
            State::Problem => "31",
        };
        let mark = paint(code, check.state.mark());
        out.push_str(&format!("  {mark} {:<14} {}\n", sanitise::line(&check.name), sanitise::line(&check.says)));
        for todo in &check.todo {
            out.push_str(&format!("      → {}\n", sanitise::line(todo)));
        }
    }
    let problems = checks.iter().filter(|c| c.state == State::Problem).count();
    let notes = checks.iter().filter(|c| c.state == State::Note).count();
    out.push_str(&match (problems, notes) {
        (0, 0) => "\nAll is well.\n".to_owned(),
        (0, n) => format!("\nAll works; {n} worth knowing.\n"),
        (1, _) => "\n1 problem.\n".to_owned(),
        (n, _) => format!("\n{n} problems.\n"),
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn a_report_is_grouped_harmless_and_says_what_to_do() {
        let checks = [
            Check::ok("terminal", "TERM", "xterm-256color"),
            Check::error("backends", "work\u{1b}[2J", &Error::new(Kind::Refused, "Nobody listens.").hint("Start it.")),
            Check::error("backends", "home", &Error::new(Kind::Internal, "Odd.")),
        ];
        let text = report(&checks, false);
        assert!(!text.contains('\u{1b}'), "{text:?}");
        assert_eq!(text.matches("backends\n").count(), 1, "{text}");
        assert!(text.contains("Nobody listens.\n      → Start it.\n"), "{text}");
        assert!(text.contains("Odd.\n      → "), "what is wrong always says what to do: {text}");
        assert!(text.ends_with("2 problems.\n"), "{text}");
    }

    #[test]
    fn json_has_the_documented_names() {
        let got = as_json(&[Check::note("session", "linger", "off", "Switch it on.")]);
        assert_eq!(
            got,
            json!({ "checks": [{ "area": "session", "name": "linger", "state": "note", "says": "off", "todo": ["Switch it on."] }] })
        );
    }
}
