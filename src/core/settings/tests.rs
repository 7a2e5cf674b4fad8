use serde_json::json;

use super::*;

fn set(value: Value) -> Parameters {
    serde_json::from_value(value).unwrap()
}

fn preset(name: &str, parent: Option<&str>, parameters: Value) -> Preset {
    Preset { name: name.into(), parent: parent.map(str::to_owned), parameters: set(parameters), ..Preset::default() }
}

fn model() -> ModelRef {
    ModelRef { backend: "b".into(), model: "m".into() }
}

/// Everything that can lie over everything.
fn house() -> (Vec<Preset>, BTreeMap<String, Group>, Card) {
    let template = |kind, name: &str, parent: Option<&str>, parameters| Preset { kind, ..preset(name, parent, parameters) };
    let presets = vec![
        template(PresetKind::Load, "small", None, json!({"context": 2048, "threads": 4})),
        template(PresetKind::Load, "large", Some("small"), json!({"context": 32768})),
        template(PresetKind::Request, "calm", None, json!({"temperature": 0.1, "top_k": 10})),
        template(PresetKind::Request, "wild", None, json!({"temperature": 1.5})),
        Preset { system: Some("Be brief.".into()), ..preset("Terse", None, json!({"max_tokens": 50, "top_k": 5})) },
        preset("terser", Some("TERSE"), json!({"max_tokens": 20})),
    ];
    let group = |load: Option<&str>, request: Option<&str>| Group { load: load.map(str::to_owned), request: request.map(str::to_owned) };
    let groups = BTreeMap::from([("a".into(), group(Some("small"), Some("calm"))), ("z".into(), group(None, Some("wild")))]);
    let card = Card {
        groups: vec!["z".into(), "a".into(), "unpointed".into()],
        load: Some("large".into()),
        parameters: set(json!({"seed": 7, "gpu_layers": 3})),
        ..Card::default()
    };
    (presets, groups, card)
}

#[test]
fn what_lies_over_what_and_where_it_comes_from() {
    let (presets, groups, card) = house();
    let reference = model();
    let own = set(json!({"seed": 9}));
    let sources = Sources { presets: &presets, groups: &groups, model: Some((&reference, &card)) };
    let all = effective(sources, Own { preset: Some("terser"), system: None, parameters: Some(&own) });
    let shown: Vec<String> = all.values.iter().map(|(key, (value, origin))| format!("{key} {value} {origin}")).collect();
    assert_eq!(
        shown,
        [
            "context 32768 template large",
            "gpu_layers 3 model",
            "max_tokens 20 preset terser",
            "seed 9 here",
            "temperature 1.5 wild of group z",
            "threads 4 template small",
            "top_k 5 preset Terse",
        ]
    );
    assert_eq!(all.system, Some(("Be brief.".into(), Origin::Preset("Terse".into()))));
    assert!(all.problems.is_empty());
    assert_eq!(all.load(), set(json!({"context": 32768, "threads": 4, "gpu_layers": 3})));
    let used: Vec<String> = all.used.iter().map(ToString::to_string).collect();
    let expected =
        ["group:a", "preset:small", "preset:calm", "group:z", "preset:wild", "preset:large", "model:b/m", "preset:Terse", "preset:terser"];
    assert_eq!(used, expected, "each once");
    let said = effective(sources, Own { preset: None, system: Some("Mine."), parameters: None });
    assert_eq!(said.system, Some(("Mine.".into(), Origin::Conversation)));
    assert_eq!(said.values["seed"], (json!(7), Origin::Model));
}

#[test]
fn what_is_missing_is_said_and_the_rest_holds() {
    let (mut presets, groups, mut card) = house();
    presets.retain(|p| p.name != "small" && p.name != "Terse");
    card.request = Some("gone".into());
    let reference = model();
    let sources = Sources { presets: &presets, groups: &groups, model: Some((&reference, &card)) };
    let all = effective(sources, Own { preset: Some("terser"), ..Own::default() });
    assert_eq!(
        all.problems,
        [
            "The group “a” names the preset “small”, which is not there any more.",
            "The preset “large” inherits from “small”, which is not there any more.",
            "The model “b/m” names the preset “gone”, which is not there any more.",
            "The preset “terser” inherits from “TERSE”, which is not there any more.",
        ]
    );
    assert_eq!(all.values["context"].0, json!(32768));
    assert_eq!(all.values["max_tokens"].0, json!(20));
}

#[test]
fn a_circle_ends_and_cannot_be_saved() {
    let circle = vec![preset("a", Some("b"), json!({"seed": 1})), preset("b", Some("a"), json!({"seed": 2}))];
    let own = Own { preset: Some("a"), ..Own::default() };
    let all = effective(Sources { presets: &circle, groups: &BTreeMap::new(), model: None }, own);
    assert_eq!(all.values["seed"].0, json!(1), "the one that is named lies on top");

    let line = vec![preset("a", None, json!({})), preset("b", Some("a"), json!({})), preset("c", Some("b"), json!({}))];
    for (parent, was) in [("a", "a"), ("c", "a"), ("B", "a")] {
        let error = checked(&line, Preset { parent: Some(parent.into()), ..preset("a", None, json!({})) }, Some(was)).unwrap_err();
        assert!(error.message.starts_with("“a” cannot inherit from"), "{}", error.message);
    }
    assert!(checked(&line, preset("c", Some("a"), json!({})), Some("c")).is_ok());
    assert!(checked(&line, preset("self", Some("SELF"), json!({})), None).is_err());
}

#[test]
fn what_a_preset_may_not_be_is_said() {
    let (presets, ..) = house();
    let refused = |preset: Preset, was: Option<&str>| checked(&presets, preset, was).unwrap_err().message;
    assert_eq!(refused(preset(" ", None, json!({})), None), "A preset needs a name.");
    assert!(refused(preset("a\u{1b}[2J", None, json!({})), None).starts_with("The name of a preset has no control characters"));
    assert_eq!(refused(preset(&"x".repeat(61), None, json!({})), None), "The name of a preset has 60 characters at the most.");
    assert_eq!(refused(preset("TERSE", None, json!({})), None), "There is a preset called “Terse” already.");
    assert_eq!(refused(preset("Terse", None, json!({})), Some("terser")), "There is a preset called “Terse” already.");
    assert_eq!(refused(preset("x", Some("nobody"), json!({})), None), "There is no preset called “nobody”.");
    assert_eq!(refused(preset("x", Some("calm"), json!({})), None), "“calm” is a request template; a preset inherits from its own kind.");
    assert_eq!(refused(preset("x", None, json!({"temperature": 9})), None), "temperature takes a number from 0 to 2.");
    assert_eq!(refused(preset("x", None, json!({"warmth": 1})), None), "There is no parameter “warmth”.");
    let load = Preset { kind: PresetKind::Load, ..preset("x", None, json!({"temperature": 1})) };
    assert_eq!(refused(load, None), "temperature does not belong into a load template.");
    let request = Preset { kind: PresetKind::Request, ..preset("x", None, json!({"context": 512})) };
    assert_eq!(refused(request, None), "context does not belong into a request template.");
    let changed = Preset { kind: PresetKind::Request, ..preset("small", None, json!({})) };
    assert_eq!(refused(changed, Some("small")), "Others inherit from “small”, so it stays a load template.");
    let renamed = checked(&presets, preset("TERSE", None, json!({})), Some("terse")).unwrap();
    assert_eq!(renamed.name, "TERSE", "another spelling of its own name");
}

#[test]
fn changes_are_told_in_words() {
    let before = State { parameters: set(json!({"temperature": 0.8, "stop": ["a,b"]})), ..State::default() };
    let after = State {
        parameters: set(json!({"temperature": 0.2, "top_k": 20, "grammar": format!("root ::= {}", "x ".repeat(40))})),
        pointed: Pointed { preset: Some("terse".into()), ..Pointed::default() },
        preset: None,
    };
    let words = before.about(&after).unwrap();
    assert_eq!(words, "preset default → terse, temperature 0.8 → 0.2, top_k default → 20, stop a\\,b → default, and 1 more");
    assert_eq!(before.about(&before), None);
    let grammar = after.differences(&before).into_iter().find(|d| d.what == "grammar").unwrap();
    assert_eq!(grammar.to_string(), "grammar root ::= x x x x x x x x x x x … → default");
}

#[test]
fn changes_are_all_or_none() {
    let now = set(json!({"temperature": 0.8, "from_the_future": 1}));
    let changed = change(&now, &[("temperature".into(), None), ("seed".into(), Some(json!(3)))]).unwrap();
    assert_eq!(changed, set(json!({"seed": 3, "from_the_future": 1})));
    assert!(change(&now, &[("seed".into(), Some(json!(3))), ("top_p".into(), Some(json!(3)))]).is_err());
    assert_eq!(change(&now, &[("from_the_future".into(), None)]).unwrap(), set(json!({"temperature": 0.8})));
    assert!(change(&now, &[("never_heard".into(), None)]).is_err());
}

#[test]
fn presets_of_the_model_are_offered_first_and_those_of_others_not() {
    let bound =
        |name: &str, to: &str| Preset { model: Some(ModelRef { backend: "b".into(), model: to.into() }), ..preset(name, None, json!({})) };
    let presets = vec![preset("free", None, json!({})), bound("mine", "m"), bound("other", "x"), preset("Ahead", None, json!({}))];
    let names = |model: Option<&ModelRef>| offered(&presets, model).into_iter().map(|p| p.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(Some(&model())), ["mine", "Ahead", "free"]);
    assert_eq!(names(None), ["Ahead", "free"]);
}
