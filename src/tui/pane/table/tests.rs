use crate::proto::*;
use crate::tui::fixture::*;
use crate::tui::listing::{Column, Order};
use crate::tui::pane::{Call, Cx, Pane};

use super::*;

/// So many models at two backends.
fn many(count: usize) -> Bench {
    let mut bench = Bench::new(200, 60);
    let mut start = snapshot();
    start.models = (0..count)
        .map(|i| {
            let mut model = ModelInfo::named(["workstation", "embedded"][i % 2], BackendKind::Ollama, &format!("model-{i:04}"));
            model.size_bytes = Some(i as u64 * 1_000_000);
            model.family = Some(format!("family{}", i % 9));
            model.quantisation = Some("Q4_K_M".into());
            model.state = if i % 100 == 0 { ModelState::Loaded } else { ModelState::Unloaded };
            model
        })
        .collect();
    bench.attach(start);
    bench
}

fn view(table: &mut Table, bench: &Bench) {
    let area = Rect::new(0, 0, 140, 50);
    let mut buf = Buffer::empty(area);
    let cx = Cx { shared: &bench.model.shared, focused: true };
    table.view(&cx, area, &mut buf);
}

#[test]
fn a_frame_looks_at_the_rows_it_shows_and_a_key_at_what_fitted() {
    let mut bench = many(5_000);
    let mut table = Table::default();
    view(&mut table, &bench);
    assert_eq!((table.drawn, table.catalogue.looked_at), (48, 5_000));
    for _ in 0..3 {
        view(&mut table, &bench);
    }
    assert_eq!((table.drawn, table.catalogue.looked_at), (48 * 4, 5_000), "a frame seeks nothing");
    let cx = Cx { shared: &bench.model.shared, focused: true };
    table.filter(Some("model-12"), &cx);
    assert_eq!((table.catalogue.found().len(), table.catalogue.looked_at), (100, 10_000));
    table.filter(Some("model-123"), &cx);
    table.filter(Some("model-1234"), &cx);
    assert_eq!((table.catalogue.found().len(), table.catalogue.looked_at), (1, 10_000 + 100 + 10));
    table.filter(None, &cx);
    // One model changes: only that one is read anew (the list is passed once).
    let mut changed = bench.model.shared.replica.models[7].clone();
    changed.state = ModelState::Loading;
    let kind = EventKind::Model(changed);
    table.catalogue.event(&kind);
    bench.event(kind);
    view(&mut table, &bench);
    assert_eq!(table.catalogue.found().len(), 5_000);
}

#[test]
fn a_model_of_a_backend_that_is_down_says_so() {
    let mut bench = many(2);
    let mut models = bench.model.shared.replica.models.clone();
    models[0].state = ModelState::Unknown;
    let mut backend = bench.model.shared.replica.backends.iter().find(|b| b.name == models[0].backend).unwrap().clone();
    let word = |bench: &Bench, model: &ModelInfo| {
        Column::State.text(&crate::tui::listing::Cell { model, uses: None, instance: None }, &bench.model.shared).0
    };
    assert_eq!(word(&bench, &models[0]), "");
    backend.state = BackendState::Down;
    bench.event(EventKind::Backend(backend));
    assert_eq!(word(&bench, &models[0]), "down");
}

#[test]
fn two_of_one_name_are_told_apart_by_their_backend() {
    let backend_at_52 = |bench: &Bench| {
        let mut table = Table::default();
        view(&mut table, bench);
        table.fit(52).iter().any(|f| f.column == Column::Backend)
    };
    let mut bench = many(4);
    assert!(!backend_at_52(&bench), "names alone tell them apart");
    let mut twin = bench.model.shared.replica.models[0].clone();
    twin.backend = "embedded".into();
    bench.event(EventKind::Models { backend: "embedded".into(), models: vec![twin] });
    assert!(backend_at_52(&bench));
}

#[test]
fn columns_drop_out_whole_and_the_name_and_state_stay() {
    let bench = many(10);
    let mut table = Table::default();
    view(&mut table, &bench);
    let mut before = usize::MAX;
    for width in (30..200).rev() {
        let fitted = table.fit(width);
        assert_eq!(fitted[0].column, Column::Name);
        let taken: u16 = fitted.iter().map(|f| f.columns + 2).sum::<u16>() - 2;
        assert!(taken + 6 <= width, "{width}: {fitted:?}");
        assert!(fitted.len() <= before, "{width}: narrower shows no more");
        before = fitted.len();
        if width >= 44 {
            assert_eq!(fitted.get(1).map(|f| f.column), Some(Column::State), "{width}: {fitted:?}");
            assert_eq!(fitted[0].columns, table.catalogue.widest(Column::Name).max(12), "{width}: the name is whole");
        }
    }
    assert_eq!(before, 2, "even there the state is told");
}

#[test]
fn any_column_sorts_and_again_turns_it_round() {
    let bench = many(9);
    let cx = Cx { shared: &bench.model.shared, focused: true };
    let mut table = Table::default();
    let names = |table: &mut Table| -> Vec<u32> {
        Table::refresh(table, &bench.model.shared);
        table.catalogue.found().to_vec()
    };
    let sort = |table: &mut Table, word: &str| {
        table.act(&Call { action: Action::Sort, args: &[word.to_owned()], count: None }, &cx);
        names(table)
    };
    assert_eq!(sort(&mut table, "size")[..3], [8, 7, 6], "figures: the greatest first");
    assert_eq!(sort(&mut table, "size")[..3], [0, 1, 2]);
    assert_eq!(table.catalogue.order(), Order { by: Column::Size, descending: false });
    assert_eq!(sort(&mut table, "name")[..3], [0, 1, 2]);
    assert_eq!(sort(&mut table, "family")[8], 8);
    for word in crate::tui::listing::IDS {
        assert_eq!(sort(&mut table, word).len(), 9);
    }
}

fn screen(width: u16, height: u16) -> Bench {
    let mut bench = Bench::full(width, height);
    bench.keys("<Esc>g2").frame();
    bench
}

#[test]
fn screens_are_gone_to_by_keys_and_remembered() {
    let mut bench = Bench::full(160, 45);
    bench.posted();
    bench.keys("<Esc>g2");
    assert_eq!((bench.model.screen.id, bench.model.shared.focus), ("models", "table"));
    assert!(bench.asked(|q| *q == Query::Uses).is_some());
    assert!(bench.posted().contains(&Command::SetSetting { key: "screen".into(), value: "models".into() }));
    assert!(bench.model.placed.shows("table") && bench.model.placed.shows("details") && !bench.model.placed.shows("chat"));
    bench.keys("<Tab>");
    assert_eq!(bench.model.shared.focus, "details");
    bench.keys("<C-w>z");
    assert!(bench.posted().iter().any(|c| matches!(c, Command::SetSetting { key, .. } if key == "layout.models")));
    bench.keys("gt");
    assert_eq!((bench.model.screen.id, bench.model.shared.focus), ("workspace", "chat"), "as it was left");
    assert_eq!(bench.model.arrangement.zoomed, None, "each has an arrangement of its own");
    bench.keys("gT");
    assert_eq!((bench.model.shared.focus, bench.model.arrangement.zoomed.as_deref()), ("details", Some("details")));
    bench.keys("i");
    assert_eq!((bench.model.screen.id, bench.model.mode().to_string().as_str()), ("workspace", "INSERT"));
    bench.keys("<Esc>:screen models<Enter>");
    assert_eq!(bench.model.screen.id, "models");
    bench.keys(":screen monitor<Enter>");
    assert!(bench.shows("There is no screen monitor; there are workspace, models."));
    // The next time it opens where one was.
    let mut again = Bench::new(160, 45);
    let mut start = snapshot();
    start.settings.insert("screen".into(), "models".into());
    again.attach(start);
    again.answer_open(opened());
    assert_eq!(again.model.screen.id, "models");
    assert!(again.asked(|q| *q == Query::Uses).is_some());
}

#[test]
fn pictures_of_the_models_screen() {
    for (width, height) in [(160, 45), (80, 24), (52, 30)] {
        let mut bench = screen(width, height);
        furnish(&mut bench);
        insta::assert_snapshot!(format!("models_{width}x{height}"), bench.text());
    }
    let mut bench = screen(52, 30);
    furnish(&mut bench);
    bench.keys("<Tab>");
    insta::assert_snapshot!("models_52x30_details", bench.text());
    let mut bench = Bench::with(120, 30, "vim", "light");
    bench.attach(snapshot());
    bench.keys("<Esc>g2").frame();
    furnish(&mut bench);
    insta::assert_snapshot!("models_light_120x30", colours(&bench));
    let mut bench = screen(120, 30);
    furnish(&mut bench);
    bench.keys(":group-by backend<Enter>/-state:failed size:<8X");
    insta::assert_snapshot!("models_filter_120x30", bench.text());
}

/// The first rows of the table with the colours of their cells.
fn colours(bench: &Bench) -> String {
    let mut out = String::new();
    for y in 0..6 {
        let mut last = None;
        for x in 0..60 {
            let cell = &bench.canvas[(x, y)];
            let style = (cell.fg, cell.bg);
            if last != Some(style) && cell.symbol() != " " {
                out.push_str(&format!("{{{:?}/{:?}}}", style.0, style.1));
                last = Some(style);
            }
            out.push_str(cell.symbol());
        }
        out.push('\n');
    }
    out
}

/// Uses, a card and a live instance.
fn furnish(bench: &mut Bench) {
    let tag = bench.asked(|q| *q == Query::Uses).unwrap();
    let uses = ModelUse { runs: 128, failed: 2, last: Some(NOON - 3_600_000), tokens_per_s: Some(41.8), ttft_ms: Some(412.0) };
    bench.msg(crate::tui::msg::Msg::Reply { tag, result: Ok(Reply::Uses(vec![(model_ref("qwen3:8b"), uses)])) });
    let mut model = snapshot().models[1].clone();
    model.capabilities = vec!["completion".into(), "tools".into(), "thinking".into()];
    model.card.groups = vec!["work".into()];
    model.card.tags = vec!["daily".into()];
    model.card.note = "The one for code.".into();
    bench.event(EventKind::Model(model));
    for i in 0..40 {
        let mut instance = Instance::of(model_ref("qwen3:8b"));
        instance.memory = Some(Figure::server(600_000_000.0));
        instance.gpu_memory = Some(Figure::server(5_400_000_000.0));
        instance.context_used = Some(i * 150);
        instance.context = Some(8192);
        instance.busy = Some(1);
        instance.slots = Some(4);
        instance.queued = Some(2);
        instance.expires = Some(NOON + 240_000);
        bench.event(EventKind::Metrics(Sample { at: NOON, instances: vec![instance], ..Sample::default() }));
    }
    bench.keys("gg/qwen<Enter><Esc>");
}

#[test]
fn marks_and_ranges_survive_what_the_list_does() {
    let mut bench = screen(160, 45);
    bench.keys("ggxx");
    assert!(bench.shows("2 marked · 5.0 G"), "{}", bench.text());
    bench.keys("/gemma<Enter>x:sort size<Enter><Esc>");
    assert!(bench.shows("/gemma") && !bench.shows("marked"), "Esc clears marks before the filter: {}", bench.text());
    bench.keys("<Esc>");
    assert!(!bench.shows("Models /gemma"));
    bench.keys("ggvj");
    assert_eq!(bench.model.mode().to_string(), "VISUAL");
    assert_eq!(bench.model.models_at_hand().len(), 2);
    bench.keys("x");
    assert_eq!(bench.model.mode().to_string(), "NORMAL");
    bench.keys("/gemma<Enter>");
    assert_eq!(bench.model.models_at_hand().len(), 2, "what is filtered away stays marked");
    bench.keys("<Esc>X");
    assert!(bench.shows("1 marked"), "of what is shown: {}", bench.text());
    bench.keys("X");
    assert!(!bench.shows(" marked"));
}

#[test]
fn acts_on_many_are_a_job_that_is_summed_up() {
    let mut bench = screen(160, 45);
    bench.keys("X");
    bench.posted();
    bench.keys("S");
    let posted = bench.posted();
    let Some(Command::BeginJob { id, act: JobAct::Stop, models, .. }) = posted.first() else { panic!("{posted:?}") };
    assert_eq!(models.len(), 5);
    let item = |name: &str, state: JobState| JobItem { state, ..JobItem::waiting(model_ref(name)) };
    let mut job = Job {
        id: *id,
        act: JobAct::Stop,
        parameters: Parameters::default(),
        started: NOON,
        finished: None,
        items: vec![item("qwen3:8b", JobState::Done), item("smollm2:135m", JobState::Waiting), item("mistral:7b", JobState::Running)],
    };
    bench.event(EventKind::Job(job.clone()));
    assert!(bench.shows("waiting"), "{}", bench.text());
    bench.keys(":jobs<Enter>");
    assert!(bench.shows("Stopping 3 models: 1 done"));
    bench.keys("c");
    assert!(bench.posted().contains(&Command::CancelJob { id: *id }));
    job.items[1].state = JobState::Done;
    job.items[2].state = JobState::Failed;
    job.items[2].error = Some(crate::error::Error::new(crate::error::Kind::Server, "The server said no."));
    let items = vec![(1, job.items[1].clone()), (2, job.items[2].clone())];
    bench.event(EventKind::JobProgress { id: *id, items, finished: Some(NOON + 1000) });
    assert!(bench.shows("2 of 3 models stopped; 1 failed: workstation/mistral:7b: The server said no."), "{}", bench.text());
    bench.keys("r");
    assert!(bench.posted().contains(&Command::RetryJob { id: *id }));
    bench.keys("q");
    assert!(!bench.shows("waiting"), "the table follows: {}", bench.text());
}

#[test]
fn what_is_big_is_looked_at_before_it_starts() {
    let mut bench = screen(160, 45);
    let mut model = snapshot().models[1].clone();
    model.state = ModelState::Unloaded;
    bench.event(EventKind::Model(model));
    bench.keys("/qwen<Enter>");
    let fit = |verdict: Verdict, stop: Vec<ModelRef>| Fit {
        model: model_ref("qwen3:8b"),
        parameters: Parameters::default(),
        estimate: Some(Estimate {
            parts: vec![
                EstimatePart { kind: PartKind::Weights, memory: 4_700_000_000, gpu: 0, how: "all tensors".into() },
                EstimatePart { kind: PartKind::KvCache, memory: 1_200_000_000, gpu: 0, how: "8,192 tokens".into() },
            ],
            memory: 5_900_000_000,
            gpu: 0,
            margin: 0.1,
            assumed: Vec::new(),
            context: 8192,
        }),
        unknown: None,
        verdict,
        free_memory: Some(3_000_000_000),
        total_memory: Some(16_000_000_000),
        free_gpu: None,
        total_gpu: None,
        stop,
        real: None,
        real_apart: None,
    };
    let ask = |bench: &mut Bench, reply: crate::error::Result<Reply>| {
        bench.posted();
        bench.keys("s");
        let tag = bench.asked(|q| matches!(q, Query::Fit { models, .. } if models.len() == 1)).expect("a look");
        bench.msg(crate::tui::msg::Msg::Reply { tag, result: reply });
        bench.posted()
    };
    let started = |posted: &[Command]| posted.iter().any(|c| matches!(c, Command::StartModel { .. }));
    assert!(started(&ask(&mut bench, Ok(Reply::Fits(vec![fit(Verdict::Fits, Vec::new())])))), "what plainly fits just starts");
    let refused = crate::error::Error::new(crate::error::Kind::Unsupported, "Estimates are not there.");
    assert!(started(&ask(&mut bench, Err(refused))), "what cannot be told is no reason not to start");
    let posted = ask(&mut bench, Ok(Reply::Fits(vec![fit(Verdict::Full, vec![model_ref("gemma3:270m")])])));
    assert!(!started(&posted));
    for part in ["To make room: stop", "in all        5.9 GB ± 10 %", "cache         1.2 GB", "3.0 GB of 16.0 GB", "start anyway"] {
        assert!(bench.shows(part), "{part}\n{}", bench.text());
    }
    bench.keys("<Enter>");
    let tag = bench.cmds.iter().find_map(|cmd| match cmd {
        crate::tui::msg::Cmd::Post { tag, command: Command::StopModel { model } } if model.model == "gemma3:270m" => Some(*tag),
        _ => None,
    });
    assert!(!started(&bench.posted()), "first the other one has to go");
    bench.msg(crate::tui::msg::Msg::Ack { tag: tag.expect("stops what was proposed"), result: Ok(Ack::Done) });
    assert!(started(&bench.posted()));
    ask(&mut bench, Ok(Reply::Fits(vec![fit(Verdict::Never, Vec::new())])));
    bench.keys("<Enter>");
    assert!(started(&bench.posted()), "start anyway is always offered");
}

#[test]
fn removing_says_what_is_lost() {
    let mut bench = screen(160, 45);
    bench.keys("/qwen<Enter>D");
    assert!(bench.shows("must be fetched again") && bench.shows("4.9 G") && bench.shows("Answers that it gave stay"), "{}", bench.text());
    bench.posted();
    bench.keys("n");
    assert!(bench.posted().is_empty());
    bench.keys("Dy");
    assert_eq!(bench.posted(), [Command::RemoveModel { model: model_ref("qwen3:8b") }]);
    bench.keys("<Esc>XDy");
    assert!(matches!(&bench.posted()[..], [Command::BeginJob { act: JobAct::Remove, models, .. }] if models.len() == 5));
}

#[test]
fn groups_tags_and_notes_are_kept() {
    let mut bench = screen(120, 40);
    bench.keys("/qwen<Enter>");
    bench.posted();
    let set = |change: CardChange| Command::SetCards { models: vec![model_ref("qwen3:8b")], change };
    bench.keys("awork<Enter>");
    assert_eq!(bench.posted(), [set(CardChange::Group { name: "work".into(), member: true })]);
    let mut model = snapshot().models[1].clone();
    model.card.groups = vec!["work".into()];
    bench.event(EventKind::Model(model));
    assert!(bench.shows("[x] work"), "{}", bench.text());
    bench.keys("<Enter><Esc>");
    assert_eq!(bench.posted(), [set(CardChange::Group { name: "work".into(), member: false })]);
    bench.keys(":tag add daily<Enter>");
    assert_eq!(bench.posted(), [set(CardChange::Tag { name: "daily".into(), on: true })]);
    bench.keys("mfor code<Enter>");
    assert_eq!(bench.posted(), [set(CardChange::Note("for code".into()))]);
    bench.keys("zh!f");
    assert_eq!(bench.posted(), [set(CardChange::Hidden(true)), set(CardChange::Pinned(true)), set(CardChange::Favourite(false))]);
}

#[test]
fn filters_are_saved_chosen_and_deleted() {
    let mut bench = screen(160, 40);
    bench.keys("gF");
    assert!(bench.shows("There is no filter to save") || !bench.model.overlays.is_empty());
    bench.keys("<Esc>/state:loaded<Enter>");
    bench.posted();
    bench.keys(":filter save running<Enter>");
    let value = serde_json::json!({ "running": "state:loaded" });
    assert_eq!(bench.posted(), [Command::SetSetting { key: "filters".into(), value: value.clone() }]);
    bench.event(EventKind::Setting { key: "filters".into(), value });
    bench.keys("<Esc>");
    assert!(bench.shows("gemma3:270m"));
    bench.keys("gf<Enter>");
    assert!(bench.shows("/state:loaded") && !bench.shows("gemma3:270m"), "{}", bench.text());
    bench.keys("<Esc>:group-by filters<Enter>");
    assert!(bench.shows("▾ running  1 · 4.9 G") && bench.shows("in none of these"), "{}", bench.text());
    bench.keys("ggza");
    assert!(bench.shows("▸ running"));
    bench.posted();
    bench.keys(":filter delete running<Enter>");
    assert_eq!(bench.posted(), [Command::SetSetting { key: "filters".into(), value: serde_json::json!({}) }]);
    bench.keys(":filter nothing<Enter>");
    assert!(bench.shows("No filter is saved as nothing"));
}

#[test]
fn a_filter_is_completed_and_told_what_is_wrong() {
    let mut bench = screen(160, 40);
    bench.keys("/sta<Tab>");
    assert_eq!(bench.model.search_line.text(), "state:");
    bench.keys("loa<Tab>");
    assert_eq!(bench.model.search_line.text(), "state:loaded");
    assert!(!bench.shows("gemma3:270m"));
    bench.keys(" szie:<lt>8G");
    assert!(bench.shows("There is no filter word “szie”. Did you mean size:?"), "{}", bench.text());
    assert!(bench.shows("qwen3:8b"), "the rest still filters");
    // Given up: what held before holds again.
    bench.keys("<Esc>/gemma<Enter>/x<Esc>");
    assert!(bench.shows("/gemma") && !bench.shows("/gemmax"), "{}", bench.text());
}

#[test]
fn columns_are_chosen_moved_and_remembered() {
    let mut bench = screen(160, 40);
    bench.posted();
    bench.keys("gcjx");
    assert!(bench.shows("[ ] state"), "{}", bench.text());
    let value = |bench: &mut Bench| match bench.posted().pop() {
        Some(Command::SetSetting { key, value }) if key == SETTING => value,
        other => panic!("{other:?}"),
    };
    assert!(!value(&mut bench)["columns"].as_array().unwrap().contains(&"state".into()));
    bench.keys("jJ<Esc>");
    assert_eq!(value(&mut bench)["columns"][1], "quantisation", "moved before the size");
    bench.keys(":sort size<Enter>");
    let kept = value(&mut bench);
    assert_eq!((&kept["sort"], &kept["descending"]), (&"size".into(), &true.into()));
    assert!(bench.shows("▼size"));
    let mut again = Bench::new(160, 40);
    let mut start = snapshot();
    start.settings.insert(SETTING.into(), kept);
    start.settings.insert("screen".into(), "models".into());
    again.attach(start);
    assert!(again.shows("▼size"), "{}", again.text());
}

#[test]
fn all_that_is_known_of_a_model_is_read_and_searched() {
    let mut bench = screen(100, 30);
    bench.keys("/qwen<Enter>I");
    let tag = bench.asked(|q| matches!(q, Query::Inspect { model } if model.model == "qwen3:8b")).expect("asked");
    let inspection = Inspection {
        model: snapshot().models[1].clone(),
        template: Some("{{ .Prompt }}\x1b[31m".into()),
        licence: Some("Apache License\nVersion 2.0".into()),
        system: None,
        parameters: vec![("stop".into(), "<|im_end|>".into())],
        metadata: (0..60).map(|i| (format!("qwen3.key.{i}"), i.to_string())).collect(),
        files: vec![ModelFile { path: "/models/qwen.gguf".into(), bytes: 4_900_000_000 }],
        anatomy: None,
        modified: None,
        digest: Some("abc".into()),
        arguments: Vec::new(),
    };
    bench.msg(crate::tui::msg::Msg::Reply { tag, result: Ok(Reply::Inspection(Box::new(inspection))) });
    assert!(bench.shows("Parameters that it comes with") && bench.shows("/models/qwen.gguf"), "{}", bench.text());
    bench.keys("/key.5");
    assert!(bench.shows("qwen3.key.5") && bench.shows("1 of 11"), "{}", bench.text());
    bench.keys("<Enter>n");
    assert!(bench.shows("2 of 11") && bench.shows("qwen3.key.50"), "{}", bench.text());
    bench.keys("<Esc><Esc>");
    assert!(bench.model.overlays.is_empty());
}

#[test]
fn fetching_goes_to_the_backend_that_can() {
    let mut bench = screen(120, 30);
    bench.posted();
    bench.keys("Pqwen3:4b<Enter><Enter>");
    assert_eq!(bench.posted(), [Command::Pull { backend: "workstation".into(), source: "qwen3:4b".into() }]);
    bench.keys(":pull owner/name/file.gguf<Enter>");
    assert_eq!(bench.posted(), [Command::Pull { backend: "embedded".into(), source: "owner/name/file.gguf".into() }]);
    bench.keys(":pull starter<Enter>");
    assert_eq!(bench.posted(), [Command::PullStarter { pip: false }]);
    let download = Download {
        state: DownloadState::Running,
        done_bytes: 500,
        total_bytes: Some(1000),
        ..Download::queued("workstation/qwen3:4b", "workstation", "qwen3:4b", 0)
    };
    bench.event(EventKind::Download(download.clone()));
    bench.keys(":pulls<Enter>");
    assert!(bench.shows("50 % of 1 k"), "{}", bench.text());
    bench.keys("p");
    assert_eq!(bench.posted(), [Command::PausePull { key: "workstation/qwen3:4b".into() }]);
    bench.event(EventKind::Download(Download { state: DownloadState::Paused, ..download }));
    bench.keys("pcD");
    assert_eq!(
        bench.posted(),
        [
            Command::ResumePull { key: "workstation/qwen3:4b".into() },
            Command::CancelPull { key: "workstation/qwen3:4b".into(), forget: false },
            Command::CancelPull { key: "workstation/qwen3:4b".into(), forget: true },
        ]
    );
}

#[test]
fn the_cursor_is_on_a_model_and_not_on_a_place() {
    let mut bench = screen(160, 40);
    bench.keys("/mistral<Enter>");
    // The list is replaced, in another order, before anything is drawn.
    let mut models = snapshot().models;
    models.reverse();
    models.retain(|m| m.name != "qwen3:8b");
    bench.event(EventKind::Models { backend: "workstation".into(), models });
    assert_eq!(bench.model.model_at_hand(), Some(model_ref("mistral:7b")));
    bench.keys("<Esc>Vj");
    assert_eq!(bench.model.models_at_hand()[0], model_ref("mistral:7b"));
    bench.event(EventKind::Models { backend: "workstation".into(), models: Vec::new() });
    bench.posted();
    bench.keys("D");
    assert!(bench.model.overlays.is_empty() || !bench.shows("mistral"), "what is gone is not acted on: {}", bench.text());
}

#[test]
fn hidden_models_are_listed_when_asked_for() {
    let mut bench = screen(160, 40);
    let mut model = snapshot().models[0].clone();
    model.card.hidden = true;
    bench.event(EventKind::Model(model));
    assert!(!bench.shows("smollm2:135m") && bench.shows("4 of 5"), "{}", bench.text());
    bench.keys("/hidden:<Enter>");
    assert!(bench.shows("smollm2:135m"));
    bench.keys("<Esc>zH");
    assert!(bench.shows("smollm2:135m") && bench.shows("qwen3:8b"));
    bench.keys("<Space>m");
    let listed = bench.text();
    let chooser = listed.split("Which model answers next?").nth(1).unwrap();
    assert!(!chooser.contains("workstation/smollm2:135m"), "{listed}");
}

#[test]
fn a_loaded_model_stands_beside_what_was_estimated_and_has_a_past() {
    let mut bench = screen(160, 45);
    bench.keys("/qwen<Enter>").frame();
    let mut asked = 0;
    // One question after the other: the pasts, then the estimate.
    while let Some((tag, query)) = bench.cmds.iter().rev().find_map(|cmd| match cmd {
        crate::tui::msg::Cmd::Ask { tag, query: query @ (Query::Series { .. } | Query::Fit { .. }) } => Some((*tag, query.clone())),
        _ => None,
    }) {
        bench.cmds.clear();
        asked += 1;
        assert!(asked < 9);
        let reply = match query {
            Query::Series { .. } => Reply::Series((0..20).map(|i| (NOON - 1000 * i, i as f64)).collect()),
            _ => {
                let estimate = Estimate { memory: 5_000_000_000, margin: 0.1, ..Estimate::default() };
                let fit = Fit { estimate: Some(estimate), ..unknown("qwen3:8b") };
                Reply::Fits(vec![fit])
            }
        };
        bench.msg(crate::tui::msg::Msg::Reply { tag, result: Ok(reply) }).frame();
    }
    assert_eq!(asked, 5);
    let mut instance = Instance::of(model_ref("qwen3:8b"));
    instance.memory = Some(Figure::measured(5_200_000_000.0));
    bench.event(EventKind::Metrics(Sample { at: NOON, instances: vec![instance], ..Sample::default() }));
    let text = bench.text();
    assert!(text.contains("▃▄▅▅▆▆▇▇█ 5.2 G") || text.contains("█ 5.2 G"), "{text}");
    assert!(text.contains("~5.0 G ± 10 %"), "{text}");
}

fn unknown(name: &str) -> Fit {
    Fit {
        model: model_ref(name),
        parameters: Parameters::default(),
        estimate: None,
        unknown: None,
        verdict: Verdict::Unknown,
        free_memory: None,
        total_memory: None,
        free_gpu: None,
        total_gpu: None,
        stop: Vec::new(),
        real: None,
        real_apart: None,
    }
}
