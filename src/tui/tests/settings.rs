//! The editor of settings, presets, and the history of both.

use serde_json::{Value, json};

use crate::error::{Error, Kind};
use crate::proto::*;
use crate::tui::fixture::{Bench, NOON, conversation, model_ref, node, opened, snapshot};
use crate::tui::msg::{Cmd, Msg, Purpose};

fn set(value: Value) -> Parameters {
    serde_json::from_value(value).unwrap()
}

fn preset(name: &str, kind: PresetKind, parent: Option<&str>, parameters: Value) -> Preset {
    Preset { name: name.into(), kind, parent: parent.map(str::to_owned), parameters: set(parameters), ..Preset::default() }
}

/// A conversation with a preset, with a model that has a template and settings of its own.
fn furnished(width: u16, height: u16) -> Bench {
    let mut bench = Bench::new(width, height);
    let mut start = snapshot();
    start.presets = vec![
        preset("balanced", PresetKind::Preset, None, json!({"temperature": 0.7, "top_p": 0.9})),
        preset("big", PresetKind::Load, None, json!({"context": 16384})),
        Preset {
            system: Some("Be brief.\nVery.".into()),
            ..preset("terse", PresetKind::Preset, Some("balanced"), json!({"max_tokens": 80}))
        },
    ];
    start.models[1].card.load = Some("big".into());
    start.models[1].card.parameters = set(json!({"keep_alive": "1h"}));
    bench.attach(start);
    let mut open = opened();
    open.conversation.row.preset = Some("terse".into());
    open.conversation.parameters = set(json!({"seed": 7, "temperature": 0.0}));
    bench.answer_open(open);
    bench.keys("<Esc>").frame();
    bench.posted();
    bench
}

fn here() -> Subject {
    Subject::Conversation(conversation(1))
}

type Changes = Vec<(String, Option<Value>)>;

/// The changes of settings that were posted since the last look.
fn changes(bench: &mut Bench) -> Vec<(Subject, Changes)> {
    let posted = bench.posted().into_iter();
    posted.filter_map(|c| if let Command::SetParameters { subject, changes } = c { Some((subject, changes)) } else { None }).collect()
}

/// What the host would say of it.
fn holds(bench: &mut Bench, parameters: Value) {
    let mut now = opened().conversation;
    now.row.preset = Some("terse".into());
    now.parameters = set(parameters);
    bench.event(EventKind::Conversation(now));
}

#[test]
fn the_form_at_three_sizes() {
    for (width, height) in [(160, 45), (80, 24), (52, 30)] {
        let mut bench = furnished(width, height);
        bench.keys("<Space>o");
        bench.keys("jjj");
        insta::assert_snapshot!(format!("settings_form_{width}x{height}"), bench.text());
        bench.assert_terminal();
    }
}

#[test]
fn the_form_of_a_model_and_of_a_preset() {
    let mut bench = furnished(100, 30);
    bench.keys(":model parameters qwen3:8b<Enter>");
    insta::assert_snapshot!("settings_form_model", bench.text());
    bench.keys("<Esc>:preset edit terse<Enter>");
    insta::assert_snapshot!("settings_form_preset", bench.text());
}

#[test]
fn a_value_is_checked_while_it_is_typed_and_saved_when_it_fits() {
    let mut bench = furnished(100, 34);
    bench.keys("<Space>o/top_k<Enter>");
    assert!(bench.shows("top_k") && !bench.shows("min_p"), "{}", bench.text());
    bench.keys("<Enter>1.");
    assert!(bench.shows("top_k takes a whole number from 0 to 100000."), "{}", bench.text());
    bench.keys("<Enter>");
    assert!(changes(&mut bench).is_empty(), "what does not fit is not taken");
    bench.keys("<BS>2");
    assert!(!bench.shows("top_k takes a whole"));
    bench.keys("<Enter>");
    assert_eq!(changes(&mut bench), [(here(), vec![("top_k".into(), Some(json!(12)))])]);
    holds(&mut bench, json!({"seed": 7, "temperature": 0.0, "top_k": 12}));
    assert!(bench.shows("At temperature 0 top_p, top_k and seed have no effect"), "{}", bench.text());
    bench.keys("u");
    assert_eq!(changes(&mut bench), [(here(), vec![("top_k".into(), None)])]);
    holds(&mut bench, json!({"seed": 7, "temperature": 0.0}));
    bench.keys("u");
    assert!(changes(&mut bench).is_empty() && bench.shows("Nothing was changed here"), "{}", bench.text());
    bench.keys("<Enter>99<Esc>");
    assert!(bench.shows("top_k"), "Esc leaves the value, not the form");
    bench.keys("<Esc>");
    assert!(bench.shows("temperature"), "then the filter");
    bench.keys("<Esc>");
    assert!(!bench.shows("Parameters of this conversation"), "then the form");
    assert!(changes(&mut bench).is_empty());
}

#[test]
fn words_turn_and_d_goes_back() {
    let mut bench = furnished(100, 34);
    bench.keys("<Space>o/thinking<Enter>");
    bench.keys("l");
    assert_eq!(changes(&mut bench), [(here(), vec![("thinking".into(), Some(json!("on")))])]);
    bench.keys("h");
    assert_eq!(changes(&mut bench), [(here(), vec![("thinking".into(), Some(json!("high")))])]);
    holds(&mut bench, json!({"thinking": "high"}));
    bench.keys("<Enter>");
    assert_eq!(changes(&mut bench), [(here(), vec![("thinking".into(), None)])]);
    bench.keys("d");
    assert_eq!(changes(&mut bench), [(here(), vec![("thinking".into(), None)])]);
}

#[test]
fn a_load_setting_says_that_it_needs_a_reload_and_offers_it() {
    let mut bench = furnished(100, 34);
    bench.keys(":model parameters qwen3:8b<Enter>/context<Enter>");
    assert!(bench.shows("needs a reload"), "{}", bench.text());
    bench.keys("<Enter>4096<Enter>");
    assert_eq!(changes(&mut bench), [(Subject::Model(model_ref("qwen3:8b")), vec![("context".into(), Some(json!(4096)))])]);
    let mut info = snapshot().models.remove(1);
    info.card.parameters = set(json!({"context": 4096}));
    bench.event(EventKind::Model(info));
    assert!(bench.shows("it holds after a reload (R loads the model anew)"), "{}", bench.text());
    bench.keys("R");
    let started = bench.posted();
    assert!(
        matches!(&started[..], [Command::StartModel { model, parameters }] if *model == model_ref("qwen3:8b") && *parameters == set(json!({"context": 4096}))),
        "{started:?}"
    );
}

#[test]
fn long_texts_open_in_an_editor() {
    let mut bench = furnished(100, 34);
    bench.keys(":preset edit terse<Enter>/system<Enter><Enter>");
    let asked = bench.cmds.iter().find_map(|c| if let Cmd::Edit { purpose, text, .. } = c { Some((*purpose, text.clone())) } else { None });
    assert_eq!(asked, Some((Purpose::Setting, "Be brief.\nVery.".to_owned())));
    bench.posted();
    bench.msg(Msg::Edited { purpose: Purpose::Setting, result: Ok("Be long.\n".into()) });
    let posted = bench.posted();
    let [Command::SavePreset { preset, was }] = &posted[..] else { panic!("{posted:?}") };
    assert_eq!((preset.system.as_deref(), was.as_deref()), (Some("Be long."), Some("terse")));

    bench.keys("<Esc><Esc>:preset edit balanced<Enter>/schema<Enter>e");
    bench.posted();
    bench.msg(Msg::Edited { purpose: Purpose::Setting, result: Ok("{ not json".into()) });
    assert!(changes(&mut bench).is_empty() && bench.shows("json_schema takes a JSON object."), "{}", bench.text());
    bench.keys("e");
    bench.msg(Msg::Edited { purpose: Purpose::Setting, result: Ok("{\"type\": \"object\"}\n".into()) });
    assert_eq!(changes(&mut bench), [(Subject::Preset("balanced".into()), vec![("json_schema".into(), Some(json!({"type": "object"})))])]);
}

#[test]
fn the_history_says_what_was_and_goes_back() {
    let mut bench = furnished(100, 30);
    bench.keys("<Space>oH");
    let tag = bench.asked(|q| matches!(q, Query::Versions { subject, .. } if *subject == here())).unwrap();
    let version = |number: u32, about: &str, parameters: Value, runs: u32| Version {
        number,
        at: NOON - 3_600_000 / i64::from(number),
        about: about.into(),
        parameters: set(parameters),
        preset: None,
        pointed: Pointed { preset: Some("terse".into()), ..Pointed::default() },
        runs,
        last_run: (runs > 0).then(|| UsedBy { conversation: conversation(1), node: node(6), title: "quick\u{1b}[2Jsort".into(), at: NOON }),
    };
    let versions = vec![
        version(2, "temperature 0.8 → 0.0, seed default → 7", json!({"temperature": 0.0, "seed": 7}), 0),
        version(1, "temperature default → 0.8", json!({"temperature": 0.8}), 3),
    ];
    bench.msg(Msg::Reply { tag, result: Ok(Reply::Versions(versions)) });
    assert!(bench.shows("This is what holds now."), "{}", bench.text());
    bench.keys("j");
    insta::assert_snapshot!("settings_history", bench.text());
    bench.keys("<Enter>");
    assert!(bench.shows("Go back to version 1?"));
    bench.keys("y");
    assert!(matches!(&bench.posted()[..], [Command::RestoreVersion { subject, number: 1 }] if *subject == here()));
    bench.keys("o");
    assert!(
        bench.posted().iter().any(|c| matches!(c, Command::View { conversation: Some(id) } if *id == conversation(1)))
            || !bench.shows("history")
    );
}

#[test]
fn a_history_that_cannot_be_read_says_why() {
    let mut bench = furnished(100, 30);
    bench.keys("<Space>oH");
    let tag = bench.asked(|q| matches!(q, Query::Versions { .. })).unwrap();
    bench.msg(Msg::Reply { tag, result: Err(Error::new(Kind::DiskFull, "The disk is full.")) });
    assert!(bench.shows("The disk is full."));
    bench.keys("H");
    assert!(bench.shows("temperature"), "back to the form");
}

#[test]
fn presets_are_chosen_with_what_they_would_change() {
    let mut bench = furnished(120, 30);
    assert!(bench.shows("qwen3:8b · terse"), "{}", bench.text());
    bench.keys("<Space>y");
    insta::assert_snapshot!("settings_preset_choose", bench.text());
    bench.keys("balanced<Enter>");
    assert!(matches!(&bench.posted()[..], [Command::SetPreset { preset: Some(name), .. }] if name == "balanced"));
    bench.keys("<F2>");
    assert!(matches!(&bench.posted()[..], [Command::SetPreset { preset: None, .. }]), "behind the last stands none");
    bench.keys("<S-F2>");
    assert!(matches!(&bench.posted()[..], [Command::SetPreset { preset: Some(name), .. }] if name == "balanced"));
    bench.keys(":preset nobody<Enter>");
    assert!(bench.shows("There is no preset called “nobody”."), "{}", bench.text());
}

#[test]
fn what_holds_is_saved_as_a_preset_that_holds_then() {
    let mut bench = furnished(120, 30);
    bench.keys(":preset save mine<Enter>");
    let posted = bench.posted();
    let [Command::SavePreset { preset, was: None }, Command::SetPreset { preset: Some(name), .. }, Command::SetParameters { changes, .. }] =
        &posted[..]
    else {
        panic!("{posted:?}")
    };
    assert_eq!((preset.name.as_str(), preset.parent.as_deref(), name.as_str()), ("mine", Some("terse"), "mine"));
    assert_eq!(preset.parameters, set(json!({"seed": 7, "temperature": 0.0})));
    assert_eq!(*changes, [("seed".to_owned(), None), ("temperature".to_owned(), None)]);

    bench.keys(":preset save roomy load<Enter>");
    let posted = bench.posted();
    let [Command::SavePreset { preset, .. }] = &posted[..] else { panic!("{posted:?}") };
    assert_eq!((preset.kind, &preset.parameters), (PresetKind::Load, &set(json!({"context": 16384, "keep_alive": "1h"}))));

    bench.keys(":preset save balanced<Enter>");
    assert!(bench.posted().is_empty() && bench.shows("“balanced” cannot inherit from “terse”"), "{}", bench.text());
    bench.keys(":preset save big load<Enter>");
    assert!(bench.posted().is_empty(), "asked first");
    assert!(bench.shows("Save over it?"), "{}", bench.text());
}

#[test]
fn files_of_presets_come_and_go() {
    let mut bench = furnished(120, 30);
    bench.keys(":preset export terse /tmp/x.toml<Enter>");
    let saved =
        bench.cmds.iter().find_map(|c| if let Cmd::Save { data, .. } = c { String::from_utf8(data.clone()).ok() } else { None }).unwrap();
    assert!(saved.starts_with("[[preset]]\nname = \"terse\"\nparent = \"balanced\"\n"), "{saved}");
    bench.keys(":preset import /tmp/x.toml<Enter>");
    assert!(bench.cmds.iter().any(|c| matches!(c, Cmd::ReadPresets(path) if path.ends_with("x.toml"))));
    bench.posted();
    bench.msg(Msg::Presets(Err(vec![
        Error::new(Kind::Config, "x.toml:4: There is no parameter “warmth”."),
        Error::new(Kind::Config, "more"),
    ])));
    assert!(bench.shows("x.toml:4: There is no parameter “warmth”."), "{}", bench.text());
    let fresh = preset("fresh", PresetKind::Preset, None, json!({"seed": 1}));
    bench.msg(Msg::Presets(Ok(vec![fresh.clone()])));
    assert!(matches!(&bench.posted()[..], [Command::SavePreset { preset, was: None }] if *preset == fresh));
    bench.msg(Msg::Presets(Ok(vec![preset("TERSE", PresetKind::Preset, None, json!({}))])));
    assert!(bench.posted().is_empty() && bench.shows("Replace presets by those of the file?"), "{}", bench.text());
    bench.keys("y");
    assert!(matches!(&bench.posted()[..], [Command::SavePreset { preset, was: Some(was) }] if preset.name == "TERSE" && was == "terse"));
}

#[test]
fn a_conversation_that_is_to_begin_has_settings_too() {
    let mut bench = furnished(100, 34);
    bench.keys("<Space>n<Esc><Esc>");
    bench.posted();
    bench.keys("<Space>o/top_k<Enter><Enter>5<Enter><Esc><Esc>");
    assert!(bench.posted().is_empty(), "nothing is at the host yet");
    bench.keys(":preset terse<Enter>iHello<Enter>");
    let posted = bench.posted();
    let made =
        posted.iter().find_map(|c| if let Command::NewConversation { parameters, .. } = c { Some(parameters.clone()) } else { None });
    assert_eq!(made, Some(set(json!({"top_k": 5}))), "{posted:?}");
    assert!(posted.iter().any(|c| matches!(c, Command::SetPreset { preset: Some(name), .. } if name == "terse")));
}

#[test]
fn templates_are_given_to_models() {
    let mut bench = furnished(100, 30);
    bench.keys("<Space>1T");
    assert!(bench.shows("Load settings"), "{}", bench.text());
    bench.keys("big<Enter>");
    let posted = bench.posted();
    assert!(matches!(&posted[..], [Command::SetCards { change: CardChange::Load(Some(name)), .. }] if name == "big"), "{posted:?}");
    bench.keys(":group template work load big<Enter>");
    let posted = bench.posted();
    assert!(
        matches!(&posted[..], [Command::SetGroup { name, group }] if name == "work" && group.load.as_deref() == Some("big")),
        "{posted:?}"
    );
}
