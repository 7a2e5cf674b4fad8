//! The code blocks of a message: copy one, save it, open it in the editor.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::Overlay;
use super::choose::{Choose, Item};
use super::confirm::Confirm;
use super::prompt::{Prompt, Question};
use crate::proto::UnixMs;
use crate::tui::action::{Action, Invocation, Scope};
use crate::tui::format;
use crate::tui::msg::Purpose;
use crate::tui::output::Cursor;
use crate::tui::pane::rows::Rows;
use crate::tui::pane::{Call, Cx, Intent, Outcome};
use crate::tui::text::Code;
use crate::tui::text::width::drawable;
use crate::tui::theme::Role;

/// Asks for the letter of the block to copy.
#[must_use]
pub fn pick(codes: Vec<Code>) -> Box<dyn Overlay> {
    let items = codes
        .into_iter()
        .map(|code| {
            let (text, what) = (code.text.clone(), format!("code block {}", code.label));
            let mut item = Item::new(first_line(&code), drawable(&code.language).into_owned(), move || Intent::Copy {
                text: text.clone(),
                what: what.clone(),
            });
            item.letter = Some(code.label);
            item
        })
        .collect();
    Box::new(Choose::new("Copy which code block?", items, 0))
}

/// Shows all blocks, with what can be done with them.
#[must_use]
pub fn browse(codes: Vec<Code>) -> Box<dyn Overlay> {
    Box::new(Codes { codes, rows: Rows::default() })
}

struct Codes {
    codes: Vec<Code>,
    rows: Rows,
}

fn first_line(code: &Code) -> String {
    let line = code.text.lines().find(|l| !l.trim().is_empty()).unwrap_or_default();
    crate::sanitise::cut(line.trim(), 60).into_owned()
}

/// What a block's file is called: by a path in its language line or first comment, else by its language.
#[must_use]
pub fn file_name(code: &Code) -> String {
    let named = code.language.split_whitespace().find(|word| word.contains('.') && is_name(word));
    if let Some(named) = named {
        return named.to_owned();
    }
    let first = code.text.lines().next().unwrap_or_default();
    let comment = first.trim().trim_start_matches(['/', '#', '-', '*', ';', '<', '!', ' ']).trim_end_matches(['-', '>', '*', '/', ' ']);
    if !first.trim().is_empty() && first.trim() != comment && comment.contains('.') && is_name(comment) {
        return comment.to_owned();
    }
    format!("block-{}.{}", code.label, extension(&code.language))
}

/// A name that is a file in this folder or below, and nothing else.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 80
        && !name.starts_with(['/', '.', '~', '-'])
        && !name.contains("..")
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '/'))
        && name.rsplit('.').next().is_some_and(|end| !end.is_empty() && end.len() <= 10 && end.chars().all(char::is_alphanumeric))
}

/// The usual extension of a language.
#[must_use]
pub fn extension(language: &str) -> &str {
    let word = language.split(|c: char| !(c.is_alphanumeric() || c == '+' || c == '#')).next().unwrap_or_default();
    match word.to_lowercase().as_str() {
        "rust" | "rs" => "rs",
        "python" | "py" => "py",
        "javascript" | "js" => "js",
        "typescript" | "ts" => "ts",
        "bash" | "sh" | "shell" | "zsh" => "sh",
        "c" => "c",
        "cpp" | "c++" => "cpp",
        "csharp" | "c#" | "cs" => "cs",
        "go" => "go",
        "java" => "java",
        "json" => "json",
        "toml" => "toml",
        "yaml" | "yml" => "yaml",
        "html" => "html",
        "css" => "css",
        "sql" => "sql",
        "markdown" | "md" => "md",
        "ruby" | "rb" => "rb",
        "lua" => "lua",
        "diff" | "patch" => "diff",
        "xml" | "svg" => "xml",
        "kotlin" | "kt" => "kt",
        "swift" => "swift",
        "scala" => "scala",
        "haskell" | "hs" => "hs",
        "elixir" | "ex" => "ex",
        "php" => "php",
        "perl" | "pl" => "pl",
        "r" => "r",
        "zig" => "zig",
        "nix" => "nix",
        "tsx" => "tsx",
        "jsx" => "jsx",
        "vue" => "vue",
        "ini" | "cfg" => "ini",
        "csv" => "csv",
        "tex" | "latex" => "tex",
        _ => "txt",
    }
}

/// So many lines of a block are shown before it is given to a command.
const SHOWN: usize = 5;

/// Asks before a command runs: which one, where, with what.
fn sure(code: &Code, command: &str) -> Box<dyn Overlay> {
    let lines = code.text.lines().count();
    let mut text = vec![
        format!("$ {}", drawable(command)),
        "It runs on this machine, where this screen is, with your rights, and gets the code block as its input:".to_owned(),
    ];
    text.extend(code.text.lines().take(SHOWN).map(|line| format!("│ {}", drawable(&crate::sanitise::cut(line, 54)))));
    if lines > SHOWN {
        text.push(format!("│ … {}", format::plural((lines - SHOWN) as u64, "more line")));
    }
    let yes = Intent::Pipe { command: command.to_owned(), text: code.text.clone() };
    Confirm::boxed("Run this command?", text, "runs it", yes)
}

/// Asks before a file is replaced: what is there.
#[must_use]
pub fn over(cx: &Cx<'_>, path: &std::path::Path, data: Vec<u8>, bytes: u64, changed: Option<UnixMs>) -> Box<dyn Overlay> {
    let shown = drawable(&path.display().to_string()).into_owned();
    let when = changed.map(|at| format!(", changed {}", format::second(at, cx.now.wall, &cx.zone))).unwrap_or_default();
    let sentences = vec![
        format!("{shown} is there already: {} bytes{when}.", format::grouped(bytes)),
        format!("{} bytes would take its place; what is there would be gone.", format::grouped(data.len() as u64)),
    ];
    let yes = Intent::Save { path: path.display().to_string(), data, over: true };
    Confirm::boxed("Replace the file?", sentences, "replaces it", yes)
}

impl Overlay for Codes {
    fn scope(&self) -> Scope {
        Scope::Overlay
    }

    fn title(&self, _cx: &Cx<'_>) -> String {
        "Code blocks".to_owned()
    }

    fn size(&self, _cx: &Cx<'_>, (width, height): (u16, u16)) -> (u16, u16) {
        let rows = u16::try_from(self.codes.len()).unwrap_or(u16::MAX);
        (76.min(width.saturating_sub(4)), rows.saturating_add(1).min(height.saturating_sub(4)))
    }

    fn act(&mut self, call: &Call<'_>, _cx: &Cx<'_>) -> Outcome {
        if self.rows.act(call, self.codes.len()) {
            return Outcome::done();
        }
        let Some(code) = self.codes.get(self.rows.at) else { return Outcome::ignored() };
        match call.action {
            Action::Accept | Action::Activate | Action::Copy => {
                Outcome::closed().with(Intent::Copy { text: code.text.clone(), what: format!("code block {}", code.label) })
            }
            Action::OpenEditor => Outcome::closed().with(Intent::Edit {
                text: code.text.clone(),
                extension: extension(&code.language).to_owned(),
                purpose: Purpose::Code,
            }),
            Action::CodeSave => match call.args.first() {
                Some(path) => {
                    Outcome::closed().with(Intent::Save { path: path.clone(), data: code.text.clone().into_bytes(), over: false })
                }
                None => {
                    let question = Question {
                        label: "File".to_owned(),
                        hint: "Relative to the folder that arbour was started in. A file that is there is replaced only after a question."
                            .to_owned(),
                        text: file_name(code),
                        free: false,
                    };
                    Intent::Overlay(Prompt::boxed("Save the code block", Invocation::new(Action::CodeSave), vec![question])).into()
                }
            },
            Action::CodePipe => match call.args.first() {
                Some(command) => Intent::Overlay(sure(code, command)).into(),
                None => {
                    let question = Question {
                        label: "$".to_owned(),
                        hint: "A command of the shell, as `wc -l` or `python3 -`. It gets the block as its input.".to_owned(),
                        text: String::new(),
                        free: false,
                    };
                    Intent::Overlay(Prompt::boxed("Give the code block to a command", Invocation::new(Action::CodePipe), vec![question]))
                        .into()
                }
            },
            _ => Outcome::ignored(),
        }
    }

    fn view(&mut self, cx: &Cx<'_>, area: Rect, buf: &mut Buffer) -> Option<Cursor> {
        let codes = &self.codes;
        super::list(cx, &mut self.rows, area, buf, codes.len(), |at, row| {
            let code = &codes[at];
            let lines = format::plural(code.text.lines().count() as u64, "line");
            row.right(&lines, cx.style(Role::Quiet), 20);
            row.text(&code.label, cx.style(Role::CodeLabel)).gap(1);
            row.text(&crate::tui::text::width::pad(&drawable(&code.language), 10), cx.style(Role::Quiet)).gap(1);
            row.text(&drawable(&first_line(code)), cx.style(Role::CodeText));
        });
        None
    }

    fn foot(&self, cx: &Cx<'_>) -> String {
        let key = |action| cx.key(Scope::Overlay, action);
        format!(
            "{} copies · {} saves · {} edits · {} pipes · {} closes",
            key(Action::Accept),
            key(Action::CodeSave),
            key(Action::OpenEditor),
            key(Action::CodePipe),
            key(Action::Close)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(language: &str, text: &str) -> Code {
        Code { label: "a".into(), language: language.into(), text: text.into(), block: 0 }
    }

    #[test]
    fn names_are_guessed_and_stay_in_the_folder() {
        for (language, text, name) in [
            ("rust", "fn main() {}", "block-a.rs"),
            ("python src/app.py", "", "src/app.py"),
            ("toml", "# Cargo.toml\n[package]", "Cargo.toml"),
            ("", "// src/lib.rs", "src/lib.rs"),
            ("sh /etc/passwd.sh", "", "block-a.sh"),
            ("sh", "# ../../.bashrc.sh", "block-a.sh"),
            ("js", "x.y", "block-a.js"),
            ("", "<!-- index.html -->", "index.html"),
        ] {
            assert_eq!(file_name(&code(language, text)), name, "{language:?} {text:?}");
        }
    }
}
