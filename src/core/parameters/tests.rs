use super::*;

#[test]
fn reads_what_people_type() {
    assert_eq!(parse("temperature", "0.7").unwrap(), Some(Value::from(0.7)));
    assert_eq!(parse("temperature", " default ").unwrap(), None);
    assert_eq!(parse("stop", r"END,\n\n,a\,b").unwrap(), Some(Value::from(vec!["END", "\n\n", "a,b"])));
    assert_eq!(parse("seed", "42").unwrap(), Some(Value::from(42)));
    assert_eq!(parse("json_schema", "{}").unwrap(), Some(serde_json::json!({})));
    assert_eq!(parse("keep_alive", "-1").unwrap(), Some(Value::from("-1")));
}

#[test]
fn says_what_a_parameter_takes() {
    for (key, text, said) in [
        ("temperature", "hot", "temperature takes a number from 0 to 2."),
        ("temperature", "3", "temperature takes a number from 0 to 2."),
        ("temperature", "NaN", "temperature takes a number from 0 to 2."),
        ("top_k", "1.5", "top_k takes a whole number from 0 to 100000."),
        ("thinking", "maybe", "thinking takes one of on, off, low, medium, high."),
        ("keep_alive", "soon", "keep_alive takes a duration such as 30s, 5m or 1h, or 0, or -1 for ever."),
        ("json_schema", "[1]", "json_schema takes a JSON object."),
    ] {
        assert_eq!(parse(key, text).unwrap_err().message, said, "{key} {text}");
    }
    assert_eq!(parse("temprature", "1").unwrap_err().hints, ["Did you mean temperature?"]);
}

#[test]
fn what_is_shown_can_be_typed_again() {
    for (key, text) in [("stop", r"a\,b,\n"), ("temperature", "0.25"), ("keep_alive", "5m"), ("json_schema", r#"{"type":"object"}"#)] {
        let value = parse(key, text).unwrap().unwrap();
        assert_eq!(parse(key, &show(&value)).unwrap(), Some(value), "{key}");
    }
}

#[test]
fn durations() {
    assert_eq!(seconds("5m"), Some(Some(300)));
    assert_eq!(seconds("0"), Some(Some(0)));
    assert_eq!(seconds("-1"), Some(None));
    assert_eq!(seconds("5 minutes"), None);
    assert_eq!(seconds("99999999999999999999h"), None);
}

fn with(set: serde_json::Value) -> Parameters {
    serde_json::from_value(set).unwrap()
}

fn said(set: serde_json::Value, facts: Facts) -> Vec<String> {
    let set = with(set);
    for (key, value) in &set.0 {
        check(key, value).unwrap();
    }
    problems(&set, facts).into_iter().map(|p| p.text).collect()
}

#[test]
fn keys_are_unique_and_lines_are_whole() {
    for (at, parameter) in PARAMETERS.iter().enumerate() {
        assert!(PARAMETERS[at + 1..].iter().all(|other| other.key != parameter.key), "{} stands twice", parameter.key);
        assert!(!parameter.about.ends_with('.') && !parameter.default.is_empty(), "{}", parameter.key);
        assert!(
            parameter.defaults.iter().all(|(kind, _)| parameter.kinds.contains(kind)),
            "{}: a default of a kind that does not take it",
            parameter.key
        );
        assert!(parameter.kinds.iter().all(|kind| !parameter.load || parameter.reloads(*kind) || *kind == BackendKind::Embedded));
    }
    assert!(PARAMETERS.is_sorted_by_key(|p| p.section), "sections in one piece each");
}

#[test]
fn rules_between_parameters() {
    use serde_json::json;
    let kind = |kind| Facts { kind: Some(kind), context: Some(4096), context_max: Some(8192) };
    let llama = kind(BackendKind::LlamaServer);
    let cases = [
        (
            json!({"grammar": "root ::= \"a\"", "json_schema": {}}),
            llama,
            "grammar and json_schema exclude each other: json_schema {} has no effect beside the other.",
        ),
        (json!({"max_tokens": 4096}), llama, "The answer may take 4096 tokens and the context is 4096: nothing is left for the prompt."),
        (
            json!({"max_tokens": 900, "context": 512}),
            kind(BackendKind::Ollama),
            "The answer may take 900 tokens and the context is 512: nothing is left for the prompt.",
        ),
        (
            json!({"context": 9000}),
            kind(BackendKind::Ollama),
            "The model was trained for 8192 tokens of context; beyond it answers fall apart.",
        ),
        (json!({"batch": 5000}), kind(BackendKind::Ollama), "batch is larger than the context: it is cut to that."),
        (
            json!({"temperature": 0.0, "top_k": 3, "seed": 1}),
            llama,
            "At temperature 0 top_k and seed have no effect: the likeliest token is taken.",
        ),
        (json!({"mirostat": 2, "top_p": 0.5}), llama, "With mirostat top_p has no effect."),
        (json!({"mirostat_tau": 2.0}), llama, "Without mirostat mirostat_tau has no effect."),
        (
            json!({"dry_base": 2.0, "dry_allowed_length": 3}),
            llama,
            "Without dry_multiplier dry_base and dry_allowed_length have no effect.",
        ),
        (
            json!({"xtc_probability": 0.5, "xtc_threshold": 0.6}),
            llama,
            "No two tokens can be likelier than 0.5: with this xtc_threshold XTC does nothing.",
        ),
        (json!({"dynatemp_exponent": 2.0}), llama, "Without dynatemp_range dynatemp_exponent has no effect."),
        (json!({"repeat_last_n": 0, "repeat_penalty": 1.2}), llama, "With repeat_last_n 0 repeat_penalty has no effect."),
        (json!({"ignore_eos": "on"}), llama, "With ignore_eos and without max_tokens an answer ends with the context only."),
        (
            json!({"thinking_budget": 200, "max_tokens": 100}),
            llama,
            "thinking_budget (200) must be smaller than max_tokens (100), of which thinking is a part.",
        ),
        (json!({"thinking_budget": 200, "thinking": "off"}), llama, "Without thinking thinking_budget has no effect."),
        (json!({"temperature": 1.5}), kind(BackendKind::Anthropic), "Anthropic takes a temperature from 0 to 1."),
        (
            json!({"temperature": 0.5, "top_k": 3, "thinking": "on"}),
            kind(BackendKind::Anthropic),
            "temperature is set and not sent: it cannot be chosen while the model thinks.",
        ),
        (
            json!({"thinking_budget": 200}),
            kind(BackendKind::Anthropic),
            "Anthropic takes a thinking_budget of 1024 tokens or more: 1024 are sent.",
        ),
        (
            json!({"stop": ["a", "b", "c", "d", "e"]}),
            kind(BackendKind::OpenAi),
            "OpenAI takes up to 4 texts in stop; other servers often take more.",
        ),
        (json!({"keep_alive": "0"}), kind(BackendKind::Embedded), "With keep_alive 0 the model is loaded for every answer anew."),
        (json!({"min_p": 0.1}), kind(BackendKind::OpenAi), "min_p is set and not sent: openai does not take it."),
    ];
    for (set, facts, sentence) in cases {
        assert_eq!(said(set.clone(), facts), [sentence], "{set}");
    }
    // What is not sent breaks no rule.
    assert_eq!(
        said(json!({"grammar": "x", "json_schema": {}}), kind(BackendKind::OpenAi)),
        ["grammar is set and not sent: openai does not take it."]
    );
    assert_eq!(
        said(json!({"temperature": 0.7, "top_p": 0.9, "max_tokens": 100, "context": 4096}), kind(BackendKind::Ollama)),
        Vec::<String>::new()
    );
    assert_eq!(said(json!({"grammar": "x", "json_schema": {}}), Facts::default()).len(), 1, "without a model too");
}
