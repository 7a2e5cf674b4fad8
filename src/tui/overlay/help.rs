//! Help: what the keys do here, with reasons for what is not possible now, and topics.
//!
//! Invariant: all of it is a rendering of the table and the keymap; nothing in here knows a key.

use super::Overlay;
use super::choose::{Choose, Item};
use super::page::Page;
use crate::core::filter::WORDS;
use crate::core::parameters;
use crate::tui::action::{ALL, Action, Invocation, Scope};
use crate::tui::keymap::show_keys;
use crate::tui::pane::{Cx, Intent};
use crate::tui::text::width::pad;
use crate::tui::theme::Role;

/// What works here: innermost keys first, what is possible before what is not.
#[must_use]
pub fn here(cx: &Cx<'_>, scope: Scope, pane: Scope, why: impl Fn(Action) -> Option<String>) -> Box<dyn Overlay> {
    // Over an overlay, the help is on the overlay.
    let scope = if scope.types() && scope != Scope::Insert { pane } else { scope };
    let mut items = Vec::new();
    for table in scope.chain() {
        // One row for each thing that can be done, with all its keys.
        let mut rows: Vec<(&Invocation, Vec<String>)> = Vec::new();
        for (binding, invocation) in cx.keymap.bindings(scope).filter(|(binding, _)| binding.scope == *table) {
            // The composer's many edit commands have their own topic.
            if matches!(invocation.action, Action::Edit(_)) {
                continue;
            }
            let keys = show_keys(&binding.keys);
            match rows.iter_mut().find(|(known, _)| *known == invocation) {
                Some((_, all)) => all.push(keys),
                None => rows.push((invocation, vec![keys])),
            }
        }
        let mut section: Vec<(bool, Item)> = Vec::new();
        for (invocation, keys) in rows {
            let refusal = why(invocation.action);
            let call = invocation.clone();
            let note = refusal.as_ref().map_or_else(String::new, |why| format!("not now: {why}"));
            let mut item =
                Item::new(format!("{} {}", pad(&keys.join(" "), 12), invocation.what()), note, move || Intent::Call(call.clone()));
            item.section = Some(table.name().replace('-', " "));
            item.quiet = refusal.is_some();
            section.push((refusal.is_some(), item));
        }
        section.sort_by_key(|(refused, _)| *refused);
        items.extend(section.into_iter().map(|(_, item)| item));
    }
    Box::new(Choose::new(format!("Keys here ({})", cx.keymap.name()), items, 0))
}

/// Topics beside actions.
pub const TOPICS: &[&str] = &["keys", "servers", "parameters", "filters", "commands"];

/// A topic: an action by any of its names, or one of a few words.
#[must_use]
pub fn topic(cx: &Cx<'_>, name: &str) -> Option<Box<dyn Overlay>> {
    let name = name.trim().trim_start_matches(':').to_lowercase();
    let page = match name.as_str() {
        "servers" | "server" => servers(),
        "keys" => keys(cx),
        "commands" | "topics" => commands(cx),
        "parameters" | "set" => parameter_list(),
        "filters" => filters(),
        _ => return action(cx, &name),
    };
    Some(Box::new(page))
}

fn servers() -> Page {
    let text = |s: &str| (s.to_owned(), Role::Text);
    let code = |s: &str| (s.to_owned(), Role::CodeText);
    let quiet = |s: &str| (s.to_owned(), Role::Quiet);
    let mut out = vec![text("Ollama")];
    if cfg!(target_os = "macos") {
        out.push(code("  brew install ollama && brew services start ollama"));
    } else {
        out.push(code("  curl -fsSL https://ollama.com/install.sh | sh"));
        out.push(quiet("  Read the script before you run it; it installs a service that listens on port 11434."));
    }
    out.extend([code("  ollama pull qwen3:4b"), text(""), text("llama-server (llama.cpp)")]);
    out.push(if cfg!(target_os = "macos") {
        code("  brew install llama.cpp")
    } else {
        quiet("  From your distribution, or a release of github.com/ggml-org/llama.cpp.")
    });
    out.extend([
        code("  llama-server -m model.gguf --port 8080"),
        text(""),
        text("Anything that speaks OpenAI's protocol (LM Studio, vLLM, a service)"),
        code("  :backend add NAME openai http://HOST:PORT KEY_VARIABLE"),
        text(""),
        quiet("arbour looks at OLLAMA_HOST and at ports 11434, 8080, 1234 and 8000 by itself; `:refresh` looks again."),
    ]);
    Page::new("Starting a server", out)
}

/// Every key of the keymap, by table.
fn keys(cx: &Cx<'_>) -> Page {
    let mut out = Vec::new();
    for scope in Scope::ALL {
        let mut lines: Vec<String> = Vec::new();
        for (binding, invocation) in cx.keymap.bindings(*scope).filter(|(binding, _)| binding.scope == *scope) {
            lines.push(format!("  {} {}", pad(&show_keys(&binding.keys), 14), invocation.what()));
        }
        if lines.is_empty() {
            continue;
        }
        out.push((scope.name().replace('-', " "), Role::Accent));
        out.extend(lines.into_iter().map(|line| (line, Role::Text)));
        out.push((String::new(), Role::Text));
    }
    Page::new(format!("All keys of the keymap {}", cx.keymap.name()), out)
}

fn commands(cx: &Cx<'_>) -> Page {
    let mut out = vec![("Topics: keys · servers · parameters · filters, and every command below (:help COMMAND).".to_owned(), Role::Quiet)];
    out.push((String::new(), Role::Text));
    for info in ALL {
        let key = cx.keymap.hint_elsewhere(info.action).map(|(_, keys)| keys).unwrap_or_default();
        out.push((format!("{} {} {}", pad(&format!(":{}", info.usage()), 34), pad(&key, 9), info.what), Role::Text));
    }
    Page::new("Commands", out)
}

fn parameter_list() -> Page {
    let mut out = Vec::new();
    for parameter in parameters::PARAMETERS {
        out.push((format!(":set {} …", parameter.key), Role::Accent));
        out.push((format!("  {}.", parameter.about), Role::Text));
        let load = if parameter.load { " Changing it loads the model again." } else { "" };
        out.push((format!("  {}; default: {}.{load}", parameters::range(parameter.kind), parameter.default), Role::Quiet));
    }
    Page::new("Parameters", out)
}

/// The language of filters in lists of models.
fn filters() -> Page {
    let mut out: Vec<(String, Role)> = [
        "Words side by side must all hold: qwen state:loaded size:<8G -tag:old",
        "A word without a key is looked for everywhere, and loosely in the name: q38 finds qwen3:8b. \"In quotes\" it must stand there as it is.",
        "- or ! before a word turns it round; a,b lists values; = or quotes want the whole value; * is any value.",
        "Figures are compared by < <= > >= = or FROM..TO.",
        "",
    ]
    .into_iter()
    .map(|text| (text.to_owned(), Role::Text))
    .collect();
    for word in WORDS {
        out.push((format!("{} {}", pad(word.example, 18), word.about), Role::Text));
    }
    Page::new("Filters of models", out)
}

/// One action: what it does, how it is written, its keys everywhere.
fn action(cx: &Cx<'_>, name: &str) -> Option<Box<dyn Overlay>> {
    let info = ALL.iter().find(|info| info.id == name || info.names.contains(&name))?;
    let mut out =
        vec![(format!("{}.", info.what), Role::Text), (String::new(), Role::Text), (format!(":{}", info.usage()), Role::CodeText)];
    for scope in Scope::ALL {
        for (binding, invocation) in cx.keymap.bindings(*scope).filter(|(binding, _)| binding.scope == *scope) {
            if invocation.action == info.action {
                let args = if invocation.args.is_empty() { String::new() } else { format!(" ({})", invocation.args.join(" ")) };
                out.push((format!("{} in {}{args}", pad(&show_keys(&binding.keys), 10), scope.name().replace('-', " ")), Role::Quiet));
            }
        }
    }
    Some(Box::new(Page::new(format!(":{}", info.name()), out)))
}
