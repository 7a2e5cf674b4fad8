//! What a person does with many models: cards, bulk work, uses, idle models. Over local clients, with a herd that does as it is told.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::herd::{Herd, Plan, reference};
use super::stage::{Guest, Puppet, Stage, options, within};
use arbour::client::{Client, Introduction};
use arbour::error::Kind;
use arbour::host::HostHandle;
use arbour::proto::*;
use serde_json::json;

async fn stage(herd: &Arc<Herd>) -> Stage {
    Stage::with(|options| herd.into_options(options)).await
}

/// A host over the data of one that has ended.
async fn again(folder: &tempfile::TempDir, herd: &Arc<Herd>) -> HostHandle {
    let mut options = options(folder.path(), &Puppet::new());
    herd.into_options(&mut options);
    HostHandle::start(options).await.unwrap()
}

fn names(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|at| format!("m{at}"))
}

fn begin(guest: &mut Guest, act: JobAct, models: &[&str]) -> (JobId, Command) {
    let id = guest.client.fresh();
    let models = models.iter().map(|model| reference(model)).collect();
    (id, Command::BeginJob { id, act, models, parameters: Parameters::default() })
}

fn states(guest: &Guest, id: JobId) -> Vec<JobState> {
    guest.replica.jobs.get(&id).map(|job| job.items.iter().map(|item| item.state).collect()).unwrap_or_default()
}

async fn until_finished(guest: &mut Guest, id: JobId) -> Job {
    guest.until("the job ended", |g| g.replica.jobs.get(&id).is_some_and(|job| job.finished.is_some())).await;
    guest.replica.jobs[&id].clone()
}

/// Everything that was told before this has come.
async fn drain(guest: &mut Guest) {
    guest.client.ask(Query::Snapshot);
    guest.until_reply().await;
}

#[tokio::test]
async fn a_job_goes_through_what_fails_says_why_and_does_only_that_again() {
    let herd = Herd::new(names(5), ModelState::Unloaded);
    herd.plan(&[("m1", Plan::Fail("No memory.")), ("m3", Plan::Fail("No memory."))]);
    let stage = stage(&herd).await;
    let mut guest = stage.guest().await;
    let (id, begun) = begin(&mut guest, JobAct::Start, &["m0", "m1", "m2", "m3", "m4", "m0"]);
    guest.act(begun.clone()).await.unwrap();
    let job = until_finished(&mut guest, id).await;
    assert_eq!(job.items.len(), 5, "a model that is named twice counts once");
    assert_eq!((job.count(JobState::Done), job.count(JobState::Failed)), (3, 2));
    assert_eq!(job.items[1].error.as_ref().unwrap().message, "No memory.");
    assert_eq!(herd.most.load(Ordering::SeqCst), 1, "one load at a time");
    guest.until("the summary", |g| !g.notices.is_empty()).await;
    assert_eq!(guest.notices[0].message, "3 of 5 models started; 2 failed: herd/m1, herd/m3: No memory.");
    herd.take_log();

    // The same command again is the same job.
    guest.act(begun).await.unwrap();
    herd.plan(&[("m3", Plan::Fail("Still none."))]);
    guest.act(Command::RetryJob { id }).await.unwrap();
    guest.until("ended again", |g| g.notices.len() == 2).await;
    assert_eq!(herd.take_log(), ["start m1", "start m3"]);
    let job = &guest.replica.jobs[&id];
    assert_eq!((job.count(JobState::Done), job.count(JobState::Failed)), (4, 1));
    herd.plan(&[]);
    guest.act(Command::RetryJob { id }).await.unwrap();
    guest.until("ended well", |g| g.notices.len() == 3).await;
    assert_eq!(guest.notices[2].message, "5 of 5 models started.");
    assert_eq!(guest.act(Command::RetryJob { id }).await.unwrap_err().kind, Kind::Usage, "nothing failed");
    let nowhere = guest.client.fresh();
    assert_eq!(guest.act(Command::RetryJob { id: nowhere }).await.unwrap_err().kind, Kind::NotFound);
    let (_, none) = begin(&mut guest, JobAct::Start, &[]);
    assert_eq!(guest.act(none).await.unwrap_err().kind, Kind::Usage);
    stage.end().await;
}

#[tokio::test]
async fn a_load_that_hangs_shows_and_is_dropped_when_the_job_is_cancelled() {
    let herd = Herd::new(names(3), ModelState::Unloaded);
    herd.plan(&[("m0", Plan::Hang)]);
    let stage = stage(&herd).await;
    let mut guest = stage.guest().await;
    let (id, begun) = begin(&mut guest, JobAct::Start, &["m0", "m1", "m2"]);
    guest.act(begun).await.unwrap();
    guest.until("a quarter", |g| g.replica.jobs.get(&id).is_some_and(|job| job.items[0].permille == Some(250))).await;
    assert_eq!(states(&guest, id), [JobState::Running, JobState::Waiting, JobState::Waiting]);
    assert!(guest.replica.jobs[&id].items[0].moved.is_some(), "since when it stands still");
    assert_eq!(guest.act(Command::Shutdown { force: false }).await.unwrap_err().kind, Kind::Busy, "a job holds the host");

    // A screen that comes later sees it, and the one that began it may leave.
    let mut other = stage.guest().await;
    drop(guest);
    assert_eq!(states(&other, id), [JobState::Running, JobState::Waiting, JobState::Waiting]);
    assert_eq!(other.act(Command::RetryJob { id }).await.unwrap_err().kind, Kind::Busy);
    other.act(Command::CancelJob { id }).await.unwrap();
    let job = until_finished(&mut other, id).await;
    assert_eq!(job.count(JobState::Cancelled), 3);
    other.until("the summary", |g| !g.notices.is_empty()).await;
    assert_eq!(other.notices[0].message, "0 of 3 models started; 3 cancelled.");
    let state = |g: &Guest| g.replica.model(&reference("m0")).map(|m| m.state);
    other.until("unloaded", |g| state(g) == Some(ModelState::Unloaded)).await;
    assert_eq!(herd.take_log(), ["start m0", "dropped m0", "stop m0"], "a server that loads on is told to stop");
    other.act(Command::CancelJob { id }).await.unwrap();

    herd.plan(&[]);
    other.act(Command::RetryJob { id }).await.unwrap();
    other.until("ended well", |g| g.notices.len() == 2).await;
    assert_eq!(herd.take_log(), ["start m0", "start m1", "start m2"]);
    stage.end().await;
}

#[tokio::test]
async fn one_start_is_shared_by_those_who_ask_and_dropped_by_a_stop() {
    let herd = Herd::new(names(2), ModelState::Unloaded);
    herd.plan(&[("m0", Plan::Hang)]);
    let stage = stage(&herd).await;
    let (mut one, mut two) = (stage.guest().await, stage.guest().await);
    let start = |context: u64| {
        let parameters = Parameters([("context".to_owned(), json!(context))].into());
        Command::StartModel { model: reference("m0"), parameters }
    };
    let first = one.client.post(start(4096));
    let state = |g: &Guest| g.replica.model(&reference("m0")).map(|m| (m.state, m.permille));
    one.until("a quarter", |g| state(g) == Some((ModelState::Loading, Some(250)))).await;
    // Its list does not know yet that it loads.
    one.act(Command::Refresh).await.unwrap();
    assert_eq!(state(&one), Some((ModelState::Loading, Some(250))));
    // The second is answered before the stop is.
    two.client.post(start(4096));
    assert_eq!(two.act(start(512)).await.unwrap_err().kind, Kind::Busy, "other settings are another start");
    two.act(Command::StopModel { model: reference("m0") }).await.unwrap();
    assert_eq!(one.until_ack(first).await.unwrap_err().kind, Kind::Cancelled);
    assert_eq!(herd.take_log(), ["start m0", "dropped m0", "stop m0"]);
    one.until("unloaded", |g| state(g) == Some((ModelState::Unloaded, None))).await;
    stage.end().await;
}

#[tokio::test]
async fn stopping_reloading_and_removing_many() {
    let herd = Herd::new(names(4), ModelState::Loaded);
    herd.states.lock().unwrap().insert("m3".into(), ModelState::Unloaded);
    let stage = stage(&herd).await;
    let mut guest = stage.guest().await;
    guest.act(Command::Refresh).await.unwrap();
    let (id, begun) = begin(&mut guest, JobAct::Reload, &["m0", "m3"]);
    guest.act(begun).await.unwrap();
    assert_eq!(until_finished(&mut guest, id).await.count(JobState::Done), 2);
    assert_eq!(herd.take_log(), ["stop m0", "start m0", "start m3"]);
    let (id, begun) = begin(&mut guest, JobAct::Stop, &["m0", "m1", "m2", "nobody"]);
    guest.act(begun).await.unwrap();
    until_finished(&mut guest, id).await;
    let mut log = herd.take_log();
    log.sort();
    assert_eq!(log, ["stop m0", "stop m1", "stop m2", "stop nobody"]);
    guest.act(Command::Refresh).await.unwrap();
    let (id, begun) = begin(&mut guest, JobAct::Stop, &["m0", "m1"]);
    guest.act(begun).await.unwrap();
    assert_eq!(until_finished(&mut guest, id).await.count(JobState::Done), 2);
    assert!(herd.take_log().is_empty(), "what is unloaded needs no stopping");
    let (id, begun) = begin(&mut guest, JobAct::Remove, &["m0", "m1"]);
    guest.act(begun).await.unwrap();
    until_finished(&mut guest, id).await;
    guest.until("gone", |g| g.replica.model(&reference("m0")).is_none() && g.replica.model(&reference("m1")).is_none()).await;
    let (id, begun) = begin(&mut guest, JobAct::Pull, &["m2"]);
    guest.act(begun).await.unwrap();
    let job = until_finished(&mut guest, id).await;
    assert_eq!(job.items[0].error.as_ref().unwrap().kind, Kind::NotFound, "nobody knows where it came from");
    stage.end().await;
}

#[tokio::test]
async fn a_server_that_vanishes_in_the_middle_is_said_and_no_model_is_forgotten() {
    let herd = Herd::new(names(6), ModelState::Unloaded);
    herd.plan(&[("m2", Plan::Vanish)]);
    let stage = stage(&herd).await;
    let mut guest = stage.guest().await;
    let (id, begun) = begin(&mut guest, JobAct::Start, &["m0", "m1", "m2", "m3", "m4", "m5"]);
    guest.act(begun).await.unwrap();
    let job = until_finished(&mut guest, id).await;
    use JobState::{Done, Failed};
    assert_eq!(states(&guest, id), [Done, Done, Failed, Failed, Failed, Failed]);
    assert!(job.items[2..].iter().all(|item| item.error.is_some()));
    guest.until("the summary", |g| g.notices.iter().any(|n| n.message.starts_with("2 of 6 models started; 4 failed:"))).await;
    guest.until("states unknown", |g| g.replica.models.iter().all(|m| m.state == ModelState::Unknown)).await;
    herd.down.store(false, Ordering::SeqCst);
    herd.plan(&[]);
    guest.act(Command::RetryJob { id }).await.unwrap();
    guest.until("all of it", |g| g.notices.last().is_some_and(|n| n.message == "6 of 6 models started.")).await;
    stage.end().await;
}

#[tokio::test]
async fn a_job_that_ended_with_its_host_is_told_and_what_it_did_is_true() {
    let herd = Herd::new(names(3), ModelState::Unloaded);
    herd.plan(&[("m1", Plan::Hang)]);
    let stage = stage(&herd).await;
    let mut guest = stage.guest().await;
    let (id, begun) = begin(&mut guest, JobAct::Start, &["m0", "m1", "m2"]);
    guest.act(begun).await.unwrap();
    guest.until("the second", |g| states(g, id).get(1) == Some(&JobState::Running)).await;
    let folder = stage.end().await;
    assert_eq!(herd.take_log(), ["start m0", "start m1", "dropped m1"]);

    let door = again(&folder, &herd).await;
    let mut guest = Guest::new(Client::through(door.clone(), Introduction::default()).await.unwrap());
    guest.until("told", |g| !g.notices.is_empty()).await;
    assert!(guest.notices[0].message.contains("start of 3 models"), "{:?}", guest.notices);
    guest.until("listed", |g| g.replica.models.len() == 3).await;
    let loaded: Vec<&str> = guest.replica.models.iter().filter(|m| m.state == ModelState::Loaded).map(|m| m.name.as_str()).collect();
    assert_eq!(loaded, ["m0"]);
    assert!(guest.replica.jobs.is_empty() && !guest.replica.settings.contains_key("jobs_going"));
    door.end("over");
    within(door.ended()).await;
    // It is told once.
    let door = again(&folder, &herd).await;
    let mut guest = Guest::new(Client::through(door.clone(), Introduction::default()).await.unwrap());
    guest.until("listed", |g| g.replica.models.len() == 3).await;
    drain(&mut guest).await;
    assert!(guest.notices.is_empty(), "{:?}", guest.notices);
    door.end("over");
    within(door.ended()).await;
}

#[tokio::test]
async fn ten_thousand_models_are_listed_ordered_and_stopped() {
    const MANY: usize = 10_000;
    let herd = Herd::new(names(MANY), ModelState::Loaded);
    let stage = stage(&herd).await;
    let mut guest = stage.guest().await;
    guest.act(Command::Refresh).await.unwrap();
    assert_eq!(guest.replica.models.len(), MANY);
    let seq = guest.replica.seq;
    let all: Vec<ModelRef> = guest.replica.models.iter().map(ModelInfo::reference).collect();
    let tag = CardChange::Tag { name: "many".into(), on: true };
    guest.act(Command::SetCards { models: all.clone(), change: tag }).await.unwrap();
    assert!(guest.replica.models.iter().all(|m| m.card.tags == ["many"]));
    assert!(guest.replica.seq - seq <= 2, "one list, not ten thousand rows");

    let (seq, lists) = (guest.replica.seq, herd.lists.load(Ordering::SeqCst));
    let id = guest.client.fresh();
    guest.act(Command::BeginJob { id, act: JobAct::Stop, models: all.clone(), parameters: Parameters::default() }).await.unwrap();
    let begun = std::time::Instant::now();
    let job = until_finished(&mut guest, id).await;
    let seconds = usize::try_from(begun.elapsed().as_secs()).unwrap() + 1;
    assert_eq!(job.count(JobState::Done), MANY);
    let lists = herd.lists.load(Ordering::SeqCst) - lists;
    assert!(lists <= seconds + 2, "it is listed once a second, not once a model: {lists} times in {seconds} s");
    // Each model's state is an event of its own; what the job tells is few.
    let events = usize::try_from(guest.replica.seq - seq).unwrap();
    assert!(events <= MANY + 7 * seconds + 10, "{events} events in {seconds} s");
    let mut too_many: Vec<ModelRef> = all;
    too_many.extend(names(MANY + 1).map(|name| reference(&format!("x{name}"))));
    let id = guest.client.fresh();
    let begin = Command::BeginJob { id, act: JobAct::Stop, models: too_many, parameters: Parameters::default() };
    assert_eq!(guest.act(begin).await.unwrap_err().kind, Kind::Usage);
    let folder = stage.end().await;
    let door = again(&folder, &herd).await;
    let mut guest = Guest::new(Client::through(door.clone(), Introduction::default()).await.unwrap());
    guest.until("remembered", |g| g.replica.models.len() == MANY && g.replica.models.iter().all(|m| m.card.tags == ["many"])).await;
    door.end("over");
    within(door.ended()).await;
}

#[tokio::test]
async fn what_is_kept_about_a_model_outlives_its_absence_and_is_harmless() {
    let hostile = "evil\u{1b}]0;title\u{7}\u{202e}gpj";
    let herd = Herd::new(["plain".to_owned(), hostile.to_owned()], ModelState::Unloaded);
    let stage = stage(&herd).await;
    let mut guest = stage.guest().await;
    guest.act(Command::Refresh).await.unwrap();
    let set = |models: &[&str], change: CardChange| Command::SetCards { models: models.iter().map(|m| reference(m)).collect(), change };
    let tag = |name: &str, on| CardChange::Tag { name: name.into(), on };
    guest.act(set(&["plain"], tag("  Code\u{1b}[31m ", true))).await.unwrap();
    // In use already in another spelling, by another model.
    guest.act(set(&["plain", hostile], tag("CODE\u{1b}[31m", true))).await.unwrap();
    let card = |g: &Guest, m: &str| g.replica.model(&reference(m)).unwrap().card.clone();
    assert_eq!(card(&guest, hostile).tags, card(&guest, "plain").tags);
    assert!(card(&guest, hostile).tags.len() == 1 && !card(&guest, hostile).tags[0].contains('\u{1b}'));
    guest.act(set(&[hostile], CardChange::Note("a \u{1b}[2J note".into()))).await.unwrap();
    assert!(!card(&guest, hostile).note.contains('\u{1b}'));
    for (change, kind) in [
        (tag("", true), Kind::Usage),
        (CardChange::Group { name: "x".repeat(65), member: true }, Kind::Usage),
        (CardChange::Preset(Some("none of these".into())), Kind::NotFound),
    ] {
        assert_eq!(guest.act(set(&["plain"], change)).await.unwrap_err().kind, kind);
    }
    let id = guest.client.fresh();
    guest.act_as(id, set(&["plain"], CardChange::Pinned(true))).await.unwrap();
    guest.act(set(&["plain"], CardChange::Pinned(false))).await.unwrap();
    guest.act_as(id, set(&["plain"], CardChange::Pinned(true))).await.unwrap();
    assert!(!card(&guest, "plain").pinned, "the same command counts once");
    // It goes and comes back.
    let state = herd.states.lock().unwrap().remove(hostile).unwrap();
    guest.act(Command::Refresh).await.unwrap();
    assert!(guest.replica.model(&reference(hostile)).is_none());
    guest.act(set(&[hostile], CardChange::Hidden(true))).await.unwrap();
    herd.states.lock().unwrap().insert(hostile.into(), state);
    guest.act(Command::Refresh).await.unwrap();
    let kept = card(&guest, hostile);
    assert!(kept.hidden && kept.tags.len() == 1 && !kept.note.is_empty(), "{kept:?}");
    stage.end().await;
}

#[tokio::test]
async fn what_runs_say_is_told_to_those_who_asked() {
    let herd = Herd::new(names(2), ModelState::Loaded);
    let stage = stage(&herd).await;
    let mut guest = stage.guest().await;
    let conversation = guest.conversation().await;
    let (_, answer) = guest.send(conversation, None, "hello").await;
    guest.until_state(conversation, answer, State::Done).await;
    drain(&mut guest).await;
    assert!(guest.replica.uses.is_empty(), "nobody asked");
    let Reply::Uses(uses) = guest.client.query(Query::Uses).await.unwrap() else { panic!() };
    assert_eq!(uses.len(), 1);
    assert_eq!((uses[0].0.clone(), uses[0].1.runs, uses[0].1.failed), (reference("m0"), 1, 0));
    assert!(uses[0].1.last.is_some() && uses[0].1.ttft_ms.is_some());
    let (_, answer) = guest.send(conversation, Some(answer), "more").await;
    guest.until("told", |g| g.replica.uses.get(&reference("m0")).is_some_and(|figures| figures.runs == 2)).await;
    assert_eq!(guest.node(conversation, answer).unwrap().state, State::Done);
    stage.end().await;
}

#[tokio::test]
async fn an_idle_model_is_unloaded_when_its_time_is_over_and_not_before() {
    let herd = Herd::new(names(3), ModelState::Unloaded);
    let stage = stage(&herd).await;
    let mut guest = stage.guest().await;
    let set = |model: &str, change: CardChange| Command::SetCards { models: vec![reference(model)], change };
    let start = |model: &str, keep: &str| {
        let parameters = Parameters([("keep_alive".to_owned(), json!(keep))].into());
        Command::StartModel { model: reference(model), parameters }
    };
    let state = |g: &Guest, model: &str| g.replica.model(&reference(model)).map(|m| m.state);
    guest.act(set("m1", CardChange::Pinned(true))).await.unwrap();
    guest.act(start("m2", "1h")).await.unwrap();
    guest.act(Command::Refresh).await.unwrap();
    assert!(guest.replica.model(&reference("m2")).unwrap().expires.is_some(), "people see when it goes");
    guest.act(start("m1", "0")).await.unwrap();
    guest.act(start("m0", "1s")).await.unwrap();
    assert_eq!(guest.act(Command::Shutdown { force: false }).await.unwrap_err().kind, Kind::Busy, "it holds the host");
    guest.until("unloaded", |g| state(g, "m0") == Some(ModelState::Unloaded)).await;
    assert_eq!(
        herd.take_log(),
        ["start m2", "start m1", "start m0", "stop m0"],
        "the pinned one stays, and the other one's time is not over"
    );
    // Others are at work on it: not yet.
    herd.busy.store(true, Ordering::SeqCst);
    guest.act(set("m1", CardChange::Pinned(false))).await.unwrap();
    guest.until("asked whether it is at work", |_| herd.looks.load(Ordering::SeqCst) > 1).await;
    assert!(herd.take_log().is_empty());
    herd.busy.store(false, Ordering::SeqCst);
    guest.until("unloaded", |g| state(g, "m1") == Some(ModelState::Unloaded)).await;
    assert_eq!(herd.take_log(), ["stop m1"]);
    // One that was evicted meanwhile is nobody's affair.
    herd.states.lock().unwrap().insert("m2".into(), ModelState::Unloaded);
    guest.act(Command::Refresh).await.unwrap();
    guest.act(Command::Shutdown { force: false }).await.unwrap();
    assert!(herd.take_log().is_empty());
    within(stage.door.ended()).await;
}

#[tokio::test]
async fn the_time_that_a_model_was_started_with_goes_along_with_requests() {
    let herd = Herd::new(names(1), ModelState::Unloaded);
    herd.idle.store(true, Ordering::SeqCst);
    let stage = stage(&herd).await;
    let mut guest = stage.guest().await;
    let parameters = Parameters([("keep_alive".to_owned(), json!("30m"))].into());
    guest.act(Command::StartModel { model: reference("m0"), parameters }).await.unwrap();
    let conversation = guest.conversation().await;
    let (_, answer) = guest.send(conversation, None, "hello").await;
    guest.until_state(conversation, answer, State::Done).await;
    assert_eq!(herd.parameters.lock().unwrap().text("keep_alive"), Some("30m"), "else the server's own would hold from now on");
    let keep = |conversation, value| Command::SetParameters {
        subject: Subject::Conversation(conversation),
        changes: vec![("keep_alive".to_owned(), value)],
    };
    let own = keep(conversation, Some(json!("1m")));
    guest.act(own).await.unwrap();
    let (_, answer) = guest.send(conversation, Some(answer), "more").await;
    guest.until_state(conversation, answer, State::Done).await;
    assert_eq!(herd.parameters.lock().unwrap().text("keep_alive"), Some("1m"));
    guest.act(Command::StopModel { model: reference("m0") }).await.unwrap();
    guest.act(Command::Refresh).await.unwrap();
    let unset = keep(conversation, None);
    guest.act(unset).await.unwrap();
    let (_, answer) = guest.send(conversation, Some(answer), "again").await;
    guest.until_state(conversation, answer, State::Done).await;
    assert_eq!(herd.parameters.lock().unwrap().text("keep_alive"), None, "it was unloaded: forgotten");
    stage.end().await;
}
