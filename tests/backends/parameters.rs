//! Every parameter that the table says a kind takes is really sent to it, and no other.

use arbour::core::parameters::{self, PARAMETERS, Type};
use arbour::proto::{BackendKind, Role};
use serde_json::{Value, json};

use super::support::hear::{make, request};

/// A value that is nobody's default.
fn unusual(key: &str, kind: Type) -> Value {
    let value = match (key, kind) {
        ("thinking", _) => json!("high"),
        ("cache_prompt" | "mmap" | "truncate" | "shift", _) => json!("off"),
        (_, Type::Number { min, max }) => json!((min + max) / 2.0 + 0.0625),
        (_, Type::Integer { min, max }) => json!((min + max) / 2),
        (_, Type::Word(words)) => json!(words[0]),
        (_, Type::Strings { .. }) => json!(["one", "two"]),
        (_, Type::Text { .. }) => json!("root ::= \"yes\""),
        (_, Type::Duration) => json!("7m"),
        (_, Type::Json) => json!({ "a": 1 }),
        (_, Type::Tools) => json!([{ "name": "now" }]),
    };
    assert!(parameters::check(key, &value).is_ok(), "{key} {value}");
    value
}

#[test]
fn what_the_table_claims_is_sent_and_nothing_else() {
    let kinds = [BackendKind::Ollama, BackendKind::LlamaServer, BackendKind::OpenAi, BackendKind::Anthropic];
    for kind in kinds.into_iter().filter(|kind| arbour::backend::BACKENDS.iter().any(|entry| entry.kind == *kind)) {
        let backend = make(kind, "http://127.0.0.1:9");
        let body = |set: &[(&str, Value)]| -> Value {
            let mut request = request("m", &[(Role::User, "hi"), (Role::Assistant, "hello"), (Role::User, "well")], set);
            request.messages[1].thinking = Some("hm".into());
            serde_json::from_str(&backend.preview(&request).body).unwrap()
        };
        let plain = body(&[]);
        for parameter in PARAMETERS {
            let value = unusual(parameter.key, parameter.kind);
            let sent = body(&[(parameter.key, value.clone())]);
            // What keep_alive asks of a router, the host does.
            let host = kind == BackendKind::LlamaServer && parameter.key == "keep_alive";
            let claimed = parameter.kinds.contains(&kind) && !host && !parameter.is_kept();
            // A budget means something only to a model that thinks; Anthropic is told both at once.
            let with = kind == BackendKind::Anthropic && parameter.key == "thinking_budget";
            let sent = if with { body(&[("thinking", json!("on")), (parameter.key, json!(4321))]) } else { sent };
            assert_eq!(sent != plain, claimed, "{} to {}: {sent}", parameter.key, kind.word());
            if claimed && matches!(parameter.kind, Type::Number { .. } | Type::Integer { .. }) && !with {
                assert!(sent.to_string().contains(&value.to_string()), "{} to {}: {sent}", parameter.key, kind.word());
            }
        }
    }
}
