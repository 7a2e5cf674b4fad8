//! `arbour models ps`: what the loaded models cost to run, now.

use serde_json::Value;

use super::super::context::Context;
use super::super::plain::{self, UNKNOWN};
use super::super::session::misunderstood;
use super::super::{json, output};
use crate::error::Result;
use crate::proto::{Figure, Instance, Query, Reply, Source};

pub(super) async fn list(context: &Context, as_json: bool) -> Result<u8> {
    let mut session = context.session().await?;
    session.settle(|_| false).await?;
    let Reply::Instances(instances) = session.client.query(Query::Instances).await? else { return Err(misunderstood()) };
    if as_json {
        output::value(&Value::Array(instances.iter().map(json::instance).collect()))?;
    } else if instances.is_empty() {
        // On standard error: it is news, not data.
        let _ = std::io::Write::write_all(&mut std::io::stderr(), b"No model is loaded.\n");
    } else {
        output::text(&table(&instances))?;
    }
    Ok(0)
}

fn table(instances: &[Instance]) -> String {
    let unknown = || UNKNOWN.to_owned();
    // What arbour read at the process itself, and what a server says of itself, are told apart.
    let bytes = |figure: Option<Figure>| {
        figure.map_or_else(unknown, |f| {
            let mark = if f.source == Source::Estimated { "~" } else { "" };
            // Bytes of a machine: far below 2^53.
            format!("{mark}{}", plain::size(f.value.max(0.0) as u64))
        })
    };
    let of = |part: Option<String>, whole: Option<String>| match (part, whole) {
        (None, None) => unknown(),
        (part, whole) => format!("{} of {}", part.unwrap_or_else(unknown), whole.unwrap_or_else(unknown)),
    };
    let now = jiff::Timestamp::now().as_millisecond();
    let rows: Vec<Vec<String>> = instances
        .iter()
        .map(|i| {
            vec![
                i.model.model.clone(),
                i.model.backend.clone(),
                bytes(i.memory),
                bytes(i.gpu_memory),
                i.gpu_share().map_or_else(unknown, |share| format!("{:.0} %", share * 100.0)),
                of(i.context_used.map(|n| n.to_string()), i.context.map(|n| n.to_string())),
                of(i.busy.map(|n| n.to_string()), i.slots.map(|n| n.to_string())),
                i.queued.map_or_else(unknown, |n| n.to_string()),
                i.expires.map_or_else(unknown, |at| plain::age(now, at.max(now))),
                i.pid.map_or_else(unknown, |pid| pid.to_string()),
            ]
        })
        .collect();
    let right = [false, false, true, true, true, true, true, true, true, true];
    plain::table(&["MODEL", "BACKEND", "MEMORY", "GPU", "SHARE", "CONTEXT", "BUSY", "QUEUED", "LEAVES IN", "PID"], &right, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::ModelRef;

    #[test]
    fn what_is_not_known_is_a_dash_and_names_are_harmless() {
        let model = ModelRef { backend: "box".into(), model: "evil\u{1b}[2J".into() };
        let known = Instance {
            memory: Some(Figure::measured(3e9)),
            gpu_memory: Some(Figure::server(1e9)),
            context_used: Some(122),
            context: Some(4096),
            busy: Some(1),
            slots: Some(2),
            queued: Some(3),
            pid: Some(42),
            ..Instance::of(model.clone())
        };
        let text = table(&[known, Instance::of(model)]);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].contains("3.0 GB") && lines[1].contains("25 %") && lines[1].contains("122 of 4096"), "{text}");
        assert!(lines[1].contains("1 of 2") && lines[1].contains("42"), "{text}");
        assert!(lines[2].contains(UNKNOWN) && !text.contains('\u{1b}'), "{text}");
    }
}
