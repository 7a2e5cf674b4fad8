//! `arbour models rm` and `cp`: deleting models, after saying what is lost, and giving them second names.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use serde_json::{Value, json};

use super::super::context::{Context, report};
use super::super::plain;
use super::super::session::Session;
use super::super::{json, output};
use super::find;
use super::pull::listed;
use super::show::print;
use crate::error::{Error, Kind, Result, quoted};
use crate::proto::{BackendKind, Command, ModelInfo, ModelRef, ModelUse, Order, Query, Reply, Shelf};
use crate::sanitise;

/// Files that are named one by one before they are deleted; of more the number is told.
const NAMED: usize = 8;

pub(super) async fn remove(context: &Context, names: &[String], yes: bool, as_json: bool) -> Result<u8> {
    let mut session = context.session().await?;
    let mut models: Vec<ModelInfo> = Vec::new();
    for name in names {
        let model = find(&mut session, name).await?;
        if yes && model.name != *name && model.reference().to_string() != *name {
            // What is not asked about has to be said in full.
            let whole = model.reference().to_string();
            return Err(Error::new(Kind::Usage, format!("{} is a part of a name, and --yes does not ask.", quoted(name)))
                .hint(format!("Name it in full: {}.", sanitise::shell_quote(&whole))));
        }
        if models.iter().all(|known| known.reference() != model.reference()) {
            models.push(model);
        }
    }
    if !yes && !confirmed(&mut session, &models).await? {
        return Err(Error::new(Kind::Cancelled, "Nothing was removed."));
    }
    let mut values = Vec::new();
    let mut failed = Vec::new();
    for model in &models {
        let reference = model.reference();
        let error = session.command(Command::RemoveModel { model: reference.clone() }).await.err();
        values.push(json!({
            "name": reference.model,
            "backend": reference.backend,
            "removed": error.is_none(),
            "error": error.as_ref().map(json::error),
        }));
        match error {
            Some(error) => {
                let message = format!("{}: {}", crate::error::harmless(&reference.to_string()), error.message);
                failed.push(Error { message, ..error });
            }
            None if as_json => {}
            None => drop(writeln!(std::io::stderr(), "{} is removed.", sanitise::line(&reference.to_string()))),
        }
    }
    if as_json {
        output::value(&Value::Array(values))?;
    }
    match failed.pop() {
        None => Ok(0),
        Some(last) => {
            failed.iter().for_each(report);
            Err(last)
        }
    }
}

/// Says what is lost, and asks.
async fn confirmed(session: &mut Session, models: &[ModelInfo]) -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        return Err(
            Error::new(Kind::Usage, "Removing models asks first, and nobody is there to answer.").hint("`--yes` removes without asking.")
        );
    }
    let uses = match session.client.query(Query::Uses).await {
        Ok(Reply::Uses(uses)) => uses,
        // What is not known is not told.
        Ok(_) | Err(_) => Vec::new(),
    };
    let conversations = session.conversations(Shelf::Everything, Order::default(), None, None).await?;
    let mut text = String::new();
    for model in models {
        let reference = model.reference();
        let used = uses.iter().find(|(of, _)| *of == reference).map(|(_, used)| used);
        let talks = conversations.iter().filter(|row| row.model.as_ref() == Some(&reference)).count();
        text.push_str(&lost(model, used, talks));
        for file in files(session, &reference).await {
            text.push_str(&format!("    {file}\n"));
        }
    }
    let question = if models.len() == 1 { "Remove it?" } else { "Remove them?" };
    let mut err = std::io::stderr();
    let _ = write!(err, "{text}{question} [y/N] ");
    let _ = err.flush();
    let mut answer = String::new();
    // An end of input is no yes.
    let _ = std::io::stdin().lock().read_line(&mut answer);
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

fn lost(model: &ModelInfo, used: Option<&ModelUse>, talks: usize) -> String {
    let size = model.size_bytes.map_or_else(|| "of unknown size".to_owned(), plain::size);
    let mut text = format!("{}, {size}", sanitise::line(&model.reference().to_string()));
    if let Some(used) = used.filter(|used| used.runs > 0) {
        let runs = if used.runs == 1 { "run" } else { "runs" };
        text.push_str(&format!("; {} {runs} used it", used.runs));
    }
    if talks > 0 {
        let what = if talks == 1 { "conversation was" } else { "conversations were" };
        text.push_str(&format!("; {talks} {what} with it last (they stay)"));
    }
    text.push('\n');
    text
}

async fn files(session: &mut Session, model: &ModelRef) -> Vec<String> {
    let Ok(Reply::Inspection(inspection)) = session.client.query(Query::Inspect { model: model.clone() }).await else {
        return Vec::new();
    };
    let one = |file: &crate::proto::ModelFile| format!("{}  {}", sanitise::line(&file.path), plain::size(file.bytes));
    let mut lines: Vec<String> = inspection.files.iter().take(NAMED).map(one).collect();
    if inspection.files.len() > NAMED {
        lines.push(format!("and {} more files", inspection.files.len() - NAMED));
    }
    lines
}

pub(super) async fn copy(context: &Context, name: &str, to: &str, as_json: bool) -> Result<u8> {
    let mut session = context.session().await?;
    let model = find(&mut session, name).await?;
    session.command(Command::CopyModel { model: model.reference(), to: to.to_owned() }).await?;
    let named = match model.kind {
        BackendKind::Ollama if !to.rsplit('/').next().unwrap_or(to).contains(':') => format!("{to}:latest"),
        BackendKind::Embedded => to.strip_suffix(".gguf").unwrap_or(to).to_owned(),
        _ => to.to_owned(),
    };
    let copy = listed(&mut session, &ModelRef { backend: model.backend, model: named }).await?;
    if as_json {
        print(&copy, true)?;
    } else {
        let _ = writeln!(std::io::stderr(), "{} is there.", sanitise::line(&copy.reference().to_string()));
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_is_said() {
        let mut model = ModelInfo::named("work", BackendKind::Ollama, "q\u{1b}[2J:8b");
        assert!(!lost(&model, None, 0).contains('\u{1b}'));
        model.name = "q:8b".into();
        assert_eq!(lost(&model, None, 0), "work/q:8b, of unknown size\n");
        model.size_bytes = Some(4_900_000_000);
        let used = ModelUse { runs: 12, ..ModelUse::default() };
        assert_eq!(lost(&model, Some(&used), 1), "work/q:8b, 4.9 GB; 12 runs used it; 1 conversation was with it last (they stay)\n");
    }
}
