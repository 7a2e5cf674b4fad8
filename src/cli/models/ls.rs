//! `arbour models ls`.

use std::cmp::Ordering;

use serde_json::Value;

use super::super::args::Ls;
use super::super::context::{Context, report};
use super::super::plain::{self, UNKNOWN};
use super::super::session::Session;
use super::super::{json, output};
use super::choose::{self, now};
use crate::core::filter::state_word;
use crate::error::{Error, Kind, Result, quoted};
use crate::proto::{BackendKind, BackendState, ModelInfo, ModelUse};

pub(super) async fn list(context: &Context, ls: &Ls) -> Result<u8> {
    let text = ls.filter.clone().unwrap_or_else(|| ls.words.join(" "));
    let sort = ls.sort.as_deref().map(Sort::parse).transpose()?;
    let mut session = context.session().await?;
    session.settle(|_| false).await?;
    let filter = choose::filter(&session, &text)?;
    choose::uses(&mut session).await?;
    let mut models: Vec<(&ModelInfo, ModelUse)> = choose::fitting(&session, &filter, ls.all)
        .into_iter()
        .map(|model| (model, session.replica.uses.get(&model.reference()).cloned().unwrap_or_default()))
        .collect();
    let usual = |a: &ModelInfo, b: &ModelInfo| {
        b.card.favourite.cmp(&a.card.favourite).then_with(|| (&a.backend, &a.name).cmp(&(&b.backend, &b.name)))
    };
    models.sort_by(|a, b| sort.map_or(Ordering::Equal, |sort| sort.compare(a, b)).then_with(|| usual(a.0, b.0)));
    if ls.json {
        output::value(&Value::Array(models.iter().map(|(model, uses)| json::model_used(model, uses)).collect()))?;
    } else if !models.is_empty() {
        output::text(&listing(&models, sort))?;
    }
    for backend in session.replica.backends.iter().filter(|b| b.state != BackendState::Up) {
        if let Some(error) = &backend.error {
            report(&Error { message: format!("{}: {}", crate::error::harmless(&backend.name), error.message), ..error.clone() });
        }
    }
    if session.replica.models.is_empty() {
        return Err(no_models(&session));
    }
    Ok(0)
}

/// A column to sort by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Name,
    Backend,
    State,
    Family,
    Size,
    Quant,
    Context,
    Used,
    Runs,
    Speed,
    Ttft,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sort {
    by: By,
    turned: bool,
}

impl Sort {
    const WORDS: [(&'static str, By); 11] = [
        ("name", By::Name),
        ("backend", By::Backend),
        ("state", By::State),
        ("family", By::Family),
        ("size", By::Size),
        ("quant", By::Quant),
        ("context", By::Context),
        ("used", By::Used),
        ("runs", By::Runs),
        ("speed", By::Speed),
        ("ttft", By::Ttft),
    ];

    fn parse(text: &str) -> Result<Self> {
        let (turned, word) = match text.strip_prefix('-') {
            Some(word) => (true, word),
            None => (false, text),
        };
        match Self::WORDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)) {
            Some((_, by)) => Ok(Self { by: *by, turned }),
            None => {
                let words: Vec<&str> = Self::WORDS.iter().map(|(word, _)| *word).collect();
                Err(Error::new(Kind::Usage, format!("There is no column called {}.", quoted(word)))
                    .hint(format!("Columns: {}.", words.join(", "))))
            }
        }
    }

    /// Figures: the greatest first, a wait the shortest; words from A to Z. What is not known comes last, whichever way.
    fn compare(self, (a, a_uses): &(&ModelInfo, ModelUse), (b, b_uses): &(&ModelInfo, ModelUse)) -> Ordering {
        let turn = |order: Ordering| if self.turned { order.reverse() } else { order };
        let words = |a: &str, b: &str| turn(a.to_lowercase().cmp(&b.to_lowercase()));
        let figures = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => turn(b.total_cmp(&a)),
            (a, b) => b.is_some().cmp(&a.is_some()),
        };
        match self.by {
            By::Name => words(&a.name, &b.name),
            By::Backend => words(&a.backend, &b.backend),
            By::State => words(state_word(a.state), state_word(b.state)),
            By::Family => known_first(a.family.as_deref(), b.family.as_deref(), words),
            By::Quant => known_first(a.quantisation.as_deref(), b.quantisation.as_deref(), words),
            By::Size => figures(a.size_bytes.map(|n| n as f64), b.size_bytes.map(|n| n as f64)),
            By::Context => figures(a.context.map(f64::from), b.context.map(f64::from)),
            By::Used => figures(a_uses.last.map(|at| at as f64), b_uses.last.map(|at| at as f64)),
            By::Runs => figures(Some(f64::from(a_uses.runs)), Some(f64::from(b_uses.runs))),
            By::Speed => figures(a_uses.tokens_per_s, b_uses.tokens_per_s),
            By::Ttft => figures(a_uses.ttft_ms.map(|ms| -ms), b_uses.ttft_ms.map(|ms| -ms)),
        }
    }
}

fn known_first(a: Option<&str>, b: Option<&str>, compare: impl Fn(&str, &str) -> Ordering) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => compare(a, b),
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}

fn no_models(session: &Session) -> Error {
    let up = session.replica.backends.iter().find(|b| b.state == BackendState::Up && b.kind != BackendKind::Embedded);
    let error = match up {
        Some(backend) => Error::new(Kind::NoModel, format!("{} answers and has no models.", crate::error::harmless(&backend.name))),
        None => Error::new(Kind::NoModel, format!("No model server answers (looked at {}).", looked_at(session))),
    };
    let error = match up.map(|backend| backend.kind) {
        Some(BackendKind::Ollama) => error.hint("Get one there: `ollama pull smollm2:135m`."),
        Some(_) => error.hint("See to it that the server has a model loaded."),
        None => error.hint("Start Ollama or llama-server, or name a server in config.toml."),
    };
    error.hint("`arbour models pull starter` fetches a small model that arbour runs by itself.")
}

fn looked_at(session: &Session) -> String {
    match session.replica.looked_at.as_str() {
        "" => "what is configured".to_owned(),
        ports => crate::error::harmless(ports),
    }
}

/// The usual columns; what is sorted by and does not stand among them, and groups and tags where there are any, beside them.
fn listing(models: &[(&ModelInfo, ModelUse)], sort: Option<Sort>) -> String {
    let unknown = || UNKNOWN.to_owned();
    let by = sort.map(|sort| sort.by);
    let mut head = vec!["MODEL", "BACKEND", "KIND", "STATE", "SIZE", "QUANT", "CONTEXT"];
    let mut right = vec![false, false, false, false, true, false, true];
    let further = match by {
        Some(By::Family) => Some(("FAMILY", false)),
        Some(By::Used) => Some(("LAST USED", false)),
        Some(By::Runs) => Some(("RUNS", true)),
        Some(By::Speed) => Some(("TOKENS/S", true)),
        Some(By::Ttft) => Some(("TTFT", true)),
        _ => None,
    };
    if let Some((name, number)) = further {
        head.push(name);
        right.push(number);
    }
    let labelled = models.iter().any(|(model, _)| !model.card.groups.is_empty() || !model.card.tags.is_empty());
    if labelled {
        head.push("GROUPS AND TAGS");
        right.push(false);
    }
    let now = now();
    let row = |(m, uses): &(&ModelInfo, ModelUse)| {
        let mut row = vec![
            format!("{}{}{}", if m.card.favourite { "★ " } else { "" }, m.name, if m.card.hidden { " (hidden)" } else { "" }),
            m.backend.clone(),
            m.kind.word().to_owned(),
            state_word(m.state).to_owned(),
            m.size_bytes.map_or_else(unknown, plain::size),
            m.quantisation.clone().unwrap_or_else(unknown),
            m.context.map_or_else(unknown, |c| c.to_string()),
        ];
        match by {
            Some(By::Family) => row.push(m.family.clone().unwrap_or_else(unknown)),
            Some(By::Used) => row.push(uses.last.map_or_else(unknown, |at| plain::age(at, now))),
            Some(By::Runs) => row.push(uses.runs.to_string()),
            Some(By::Speed) => row.push(uses.tokens_per_s.map_or_else(unknown, |rate| format!("{rate:.1}"))),
            Some(By::Ttft) => row.push(uses.ttft_ms.map_or_else(unknown, plain::duration)),
            _ => {}
        }
        if labelled {
            let tags = m.card.tags.iter().map(|tag| format!("#{tag}"));
            row.push(m.card.groups.iter().cloned().chain(tags).collect::<Vec<_>>().join(" "));
        }
        row
    };
    let rows: Vec<Vec<String>> = models.iter().map(row).collect();
    plain::table(&head, &right, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorting_puts_what_is_not_known_last() {
        let model = |name: &str, size: Option<u64>| ModelInfo { size_bytes: size, ..ModelInfo::named("b", BackendKind::Ollama, name) };
        let models = [model("a", None), model("B", Some(1)), model("c", Some(9))];
        let sorted = |by: &str| {
            let sort = Sort::parse(by).expect("a column");
            let mut all: Vec<(&ModelInfo, ModelUse)> = models
                .iter()
                .enumerate()
                .map(|(at, m)| (m, ModelUse { ttft_ms: (at > 0).then_some(at as f64), runs: at as u32, ..ModelUse::default() }))
                .collect();
            all.sort_by(|a, b| sort.compare(a, b));
            all.iter().map(|(m, _)| m.name.as_str()).collect::<Vec<_>>().concat()
        };
        for (by, expected) in
            [("size", "cBa"), ("-size", "Bca"), ("name", "aBc"), ("-name", "cBa"), ("runs", "cBa"), ("TTFT", "Bca"), ("-ttft", "cBa")]
        {
            assert_eq!(sorted(by), expected, "{by}");
        }
        assert_eq!(Sort::parse("colour").expect_err("none").exit_code(), 2);
    }

    #[test]
    fn a_table_shows_hostile_names_harmlessly() {
        let mut model = ModelInfo::named("b", BackendKind::Ollama, "m\u{1b}[2J");
        model.card.tags = vec!["t\u{1b}]0;x\u{7}".into()];
        model.card.hidden = true;
        let text = listing(&[(&model, ModelUse::default())], None);
        assert!(!text.contains('\u{1b}') && text.contains("(hidden)") && text.contains("#t"), "{text:?}");
    }
}
