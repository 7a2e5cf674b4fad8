//! `arbour models fit`: how much memory models will take, and whether it is there.

use serde_json::{Value, json};

use super::super::context::Context;
use super::super::{json, output, session};
use super::find;
use crate::core::fit;
use crate::error::{Result, harmless};
use crate::proto::{Fit, Parameters, Query, Reply};

/// Settings that lie over those of the models.
pub(super) fn settings(context: Option<i64>, kv_type: Option<String>, gpu_layers: Option<i64>) -> Parameters {
    let mut parameters = Parameters::default();
    let all = [("context", context.map(Value::from)), ("kv_type", kv_type.map(Value::from)), ("gpu_layers", gpu_layers.map(Value::from))];
    for (key, value) in all {
        if let Some(value) = value {
            parameters.0.insert(key.to_owned(), value);
        }
    }
    parameters
}

pub(super) async fn fit(context: &Context, names: &[String], parameters: Parameters, as_json: bool) -> Result<u8> {
    let mut session = context.session().await?;
    let mut models = Vec::new();
    for name in names {
        let model = find(&mut session, name).await?.reference();
        if !models.contains(&model) {
            models.push(model);
        }
    }
    let Reply::Fits(fits) = session.client.query(Query::Fit { models, parameters }).await? else { return Err(session::misunderstood()) };
    let together = fit::together(&fits).filter(|_| fits.len() > 1);
    if as_json {
        let all: Vec<Value> = fits.iter().map(json::fit).collect();
        output::value(&json!({ "fits": all, "together": together.as_ref().map(json::fit) }))?;
        return Ok(0);
    }
    let mut text = String::new();
    for fit in &fits {
        block(&mut text, &harmless(&fit.model.to_string()), fit);
    }
    if let Some(together) = &together {
        block(&mut text, "together", together);
    }
    output::text(&text)?;
    Ok(0)
}

fn block(text: &mut String, title: &str, fit: &Fit) {
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(&format!("{title}\n"));
    let mut before = String::new();
    for (label, line) in fit::describe(fit) {
        // A label that is the same as the one above is not said again.
        let shown = if label == before { "" } else { label.as_str() };
        text.push_str(&format!("  {shown:<13} {}\n", crate::sanitise::line(&line)));
        before = label;
    }
}
