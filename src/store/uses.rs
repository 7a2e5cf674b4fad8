//! What the runs of models say: how many, how many failed, when the last was, and how quick the last good ones were.
//!
//! Invariant: nothing is counted (triggers keep the counts); of each model at most [`WINDOW`] runs are read.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::fault::Fault;
use super::words::unsigned;
use crate::proto::{ModelRef, ModelUse};

/// Good runs that a median is taken over: enough to be steady, few enough to tell of today's machine.
const WINDOW: u32 = 200;

pub(super) const MODELS: &str =
    "SELECT t.model, m.backend, m.name FROM model_tally AS t JOIN model AS m ON m.key = t.model WHERE t.runs > 0";
pub(super) const MODEL: &str = "SELECT key FROM model WHERE backend = ?1 AND name = ?2";
pub(super) const COUNTS: &str = "SELECT runs, failed FROM model_tally WHERE model = ?1";
pub(super) const LAST: &str = "SELECT max(started) FROM run WHERE model = ?1";
/// The last runs that ended well, newest first. The words are those of the index.
pub(super) const GOOD: &str = "SELECT tokens_per_s, ttft_ms FROM run
     WHERE model = ?1 AND finish IN ('stop', 'length', 'tool_calls') ORDER BY started DESC LIMIT ?2";

/// The models that have runs, or one of them.
pub(super) fn uses(connection: &mut Connection, model: Option<&ModelRef>) -> Result<Vec<(ModelRef, ModelUse)>, Fault> {
    // One state for all that follows.
    let transaction = connection.transaction()?;
    let models = match model {
        Some(model) => {
            let key = transaction.prepare_cached(MODEL)?.query_row([&model.backend, &model.model], |row| row.get(0)).optional()?;
            key.map(|key: i64| (key, model.clone())).into_iter().collect()
        }
        None => {
            let read = |row: &Row<'_>| Ok((row.get(0)?, ModelRef { backend: row.get(1)?, model: row.get(2)? }));
            transaction.prepare_cached(MODELS)?.query_map([], read)?.collect::<rusqlite::Result<Vec<_>>>()?
        }
    };
    let mut uses = Vec::new();
    for (key, model) in models {
        let figures = of(&transaction, key)?;
        if figures.runs > 0 {
            uses.push((model, figures));
        }
    }
    Ok(uses)
}

fn of(connection: &Connection, model: i64) -> Result<ModelUse, Fault> {
    let counted = |row: &Row<'_>| Ok(ModelUse { runs: unsigned(row, 0)?, failed: unsigned(row, 1)?, ..ModelUse::default() });
    let Some(mut figures) = connection.prepare_cached(COUNTS)?.query_row([model], counted).optional()? else {
        return Ok(ModelUse::default());
    };
    figures.last = connection.prepare_cached(LAST)?.query_row([model], |row| row.get(0))?;
    if figures.runs > figures.failed {
        let mut statement = connection.prepare_cached(GOOD)?;
        let (mut rates, mut waits) = (Vec::new(), Vec::new());
        let mut good = statement.query(params![model, WINDOW])?;
        while let Some(row) = good.next()? {
            rates.push(row.get::<_, Option<f64>>(0)?);
            waits.push(row.get::<_, Option<f64>>(1)?);
        }
        figures.tokens_per_s = median(rates);
        figures.ttft_ms = median(waits);
    }
    Ok(figures)
}

/// The middle of what is known; of an even count the mean of both.
fn median(values: Vec<Option<f64>>) -> Option<f64> {
    let mut known: Vec<f64> = values.into_iter().flatten().filter(|value| value.is_finite()).collect();
    known.sort_by(f64::total_cmp);
    let middle = known.len() / 2;
    match known.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(known[middle]),
        _ => Some(f64::midpoint(known[middle - 1], known[middle])),
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_the_middle_of_what_is_known() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![None, Some(f64::INFINITY)]), None);
        assert_eq!(median(vec![Some(9.0), None, Some(1.0), Some(2.0)]), Some(2.0));
        assert_eq!(median(vec![Some(4.0), Some(1.0), Some(2.0), Some(9.0)]), Some(3.0));
    }
}
