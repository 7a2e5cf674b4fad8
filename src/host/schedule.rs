//! Which model of which job has its turn, and what is still to be told of it. Pure: time is passed in.
//!
//! Invariant: of each backend no more models are worked on at once than [`at_once`] says, over all jobs; an item that ended is told
//! once, and nothing that was told is told again unless it changed.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::error::{Error, Kind, Result};
use crate::proto::{Job, JobAct, JobId, JobItem, JobState, ModelRef, UnixMs};

/// A job tells how it goes so often at the most: faster than anybody reads, and five small events a second for a slow link.
const TELL: Duration = Duration::from_millis(200);

/// How many models of one backend are worked on at once.
const fn at_once(act: JobAct) -> usize {
    match act {
        // Two loads at once share one disk and one bus, and each is slower for it; where memory is short, the second evicts the
        // first. A backend's own queue for pulls is fed one by one too: it has a limit of its own.
        JobAct::Start | JobAct::Reload => 1,
        // Unloading and deleting cost a server little; more at once would only crowd out people's requests.
        JobAct::Stop | JobAct::Remove | JobAct::Pull => 4,
    }
}

/// What goes on with an item that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    /// The act itself.
    Acting,
    /// It is unloaded, to be loaded again.
    Stopping,
    /// It is in the queue of downloads, by this key.
    Pulling(String),
}

struct Going {
    job: Job,
    /// By backend, in order.
    waiting: BTreeMap<String, VecDeque<usize>>,
    running: BTreeMap<usize, Phase>,
    /// What was not told yet.
    changed: BTreeSet<usize>,
    told: Option<Instant>,
}

/// The jobs that go on.
#[derive(Default)]
pub(super) struct Schedule {
    going: BTreeMap<JobId, Going>,
    /// Items that run, by backend.
    busy: HashMap<String, usize>,
}

/// An item whose turn has come.
pub(super) struct Turn {
    pub(super) job: JobId,
    pub(super) at: usize,
    pub(super) act: JobAct,
    pub(super) model: ModelRef,
}

/// What is to be told of a job.
pub(super) struct News {
    pub(super) job: JobId,
    pub(super) items: Vec<(u32, JobItem)>,
    /// It has ended; this is all of it.
    pub(super) ended: Option<Job>,
}

impl Schedule {
    /// Takes a job in; its waiting items wait for their turns.
    pub(super) fn add(&mut self, job: Job) {
        let mut waiting: BTreeMap<String, VecDeque<usize>> = BTreeMap::new();
        for (at, item) in job.items.iter().enumerate().filter(|(_, item)| item.state == JobState::Waiting) {
            waiting.entry(item.model.backend.clone()).or_default().push_back(at);
        }
        self.going.insert(job.id, Going { job, waiting, running: BTreeMap::new(), changed: BTreeSet::new(), told: None });
    }

    pub(super) fn get(&self, job: JobId) -> Option<&Job> {
        self.going.get(&job).map(|going| &going.job)
    }

    pub(super) fn len(&self) -> usize {
        self.going.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.going.is_empty()
    }

    /// All that go on.
    pub(super) fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.going.values().map(|going| &going.job)
    }

    /// The next item whose turn it is; it runs from now on.
    pub(super) fn next(&mut self, now: UnixMs) -> Option<Turn> {
        for (id, going) in &mut self.going {
            let most = at_once(going.job.act);
            let free = |backend: &String| self.busy.get(backend).is_none_or(|busy| *busy < most);
            let Some((backend, queue)) = going.waiting.iter_mut().find(|(backend, _)| free(backend)) else { continue };
            let backend = backend.clone();
            let at = queue.pop_front();
            if queue.is_empty() {
                going.waiting.remove(&backend);
            }
            let Some(at) = at else { continue };
            let item = &mut going.job.items[at];
            item.state = JobState::Running;
            item.moved = Some(now);
            going.running.insert(at, Phase::Acting);
            going.changed.insert(at);
            *self.busy.entry(backend).or_default() += 1;
            return Some(Turn { job: *id, at, act: going.job.act, model: item.model.clone() });
        }
        None
    }

    pub(super) fn phase(&self, job: JobId, at: usize) -> Option<&Phase> {
        self.going.get(&job)?.running.get(&at)
    }

    pub(super) fn set_phase(&mut self, job: JobId, at: usize, phase: Phase) {
        if let Some(known) = self.going.get_mut(&job).and_then(|going| going.running.get_mut(&at)) {
            *known = phase;
        }
    }

    /// Items that are in the queue of downloads: `(job, item, key)`.
    pub(super) fn pulling(&self) -> Vec<(JobId, usize, String)> {
        let mut found = Vec::new();
        for (id, going) in &self.going {
            found.extend(going.running.iter().filter_map(|(at, phase)| match phase {
                Phase::Pulling(key) => Some((*id, *at, key.clone())),
                Phase::Acting | Phase::Stopping => None,
            }));
        }
        found
    }

    /// A running item has come further.
    pub(super) fn moved(&mut self, job: JobId, at: usize, permille: Option<u16>, now: UnixMs) {
        let Some(going) = self.going.get_mut(&job).filter(|going| going.running.contains_key(&at)) else { return };
        let item = &mut going.job.items[at];
        if item.permille != permille {
            (item.permille, item.moved) = (permille, Some(now));
            going.changed.insert(at);
        }
    }

    /// A running item has ended. What was cancelled is no failure.
    pub(super) fn settled(&mut self, job: JobId, at: usize, result: Result<()>) {
        let Some(going) = self.going.get_mut(&job).filter(|going| going.running.contains_key(&at)) else { return };
        going.running.remove(&at);
        let item = &mut going.job.items[at];
        if let Some(busy) = self.busy.get_mut(&item.model.backend) {
            *busy -= 1;
            if *busy == 0 {
                self.busy.remove(&item.model.backend);
            }
        }
        (item.permille, item.moved) = (None, None);
        (item.state, item.error) = match result {
            Ok(()) => (JobState::Done, None),
            Err(error) if error.kind == Kind::Cancelled => (JobState::Cancelled, Some(error)),
            Err(error) => (JobState::Failed, Some(error)),
        };
        going.changed.insert(at);
    }

    /// Ends what waits. Says what still runs, to be ended by whoever runs it.
    pub(super) fn cancel(&mut self, job: JobId) -> Vec<(usize, Phase, ModelRef)> {
        let Some(going) = self.going.get_mut(&job) else { return Vec::new() };
        for at in std::mem::take(&mut going.waiting).into_values().flatten() {
            going.job.items[at].state = JobState::Cancelled;
            going.changed.insert(at);
        }
        going.running.iter().map(|(at, phase)| (*at, phase.clone(), going.job.items[*at].model.clone())).collect()
    }

    /// When something is to be told next.
    pub(super) fn due(&self) -> Option<Instant> {
        let untold = self.going.values().filter(|going| !going.changed.is_empty());
        untold.filter_map(|going| going.told.map(|told| told + TELL)).min()
    }

    /// What is to be told now. A job that has ended is told at once, and goes on no more.
    pub(super) fn take_news(&mut self, now: Instant, clock: UnixMs) -> Vec<News> {
        let mut news = Vec::new();
        self.going.retain(|id, going| {
            let ended = going.waiting.is_empty() && going.running.is_empty();
            let due = going.told.is_none_or(|told| now >= told + TELL);
            if !ended && (going.changed.is_empty() || !due) {
                return true;
            }
            going.told = Some(now);
            let changed = std::mem::take(&mut going.changed);
            // As many as fit a job fit a number of 32 bits.
            let items = changed.into_iter().map(|at| (at as u32, going.job.items[at].clone())).collect();
            if ended {
                going.job.finished = Some(clock);
            }
            news.push(News { job: *id, items, ended: ended.then(|| going.job.clone()) });
            !ended
        });
        news
    }
}

/// What is to be done again of a job that has ended: what failed, or was cancelled. `None` when all went well.
pub(super) fn again(job: &Job, now: UnixMs) -> Option<Job> {
    let mut job = Job { finished: None, started: now, ..job.clone() };
    let mut some = false;
    for item in job.items.iter_mut().filter(|item| matches!(item.state, JobState::Failed | JobState::Cancelled)) {
        *item = JobItem::waiting(item.model.clone());
        some = true;
    }
    some.then_some(job)
}

/// Why an item was not worked on to its end.
pub(super) fn cancelled() -> Error {
    Error::new(Kind::Cancelled, "It was cancelled.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::Parameters;

    fn job(number: u128, act: JobAct, models: impl IntoIterator<Item = (&'static str, usize)>) -> Job {
        let item = |(backend, at): (&str, usize)| JobItem::waiting(ModelRef { backend: backend.into(), model: format!("m{at}") });
        let items = models.into_iter().map(item).collect();
        Job { id: JobId(uuid::Uuid::from_u128(number)), act, parameters: Parameters::default(), started: 0, finished: None, items }
    }

    fn turns(schedule: &mut Schedule) -> Vec<(u128, String)> {
        std::iter::from_fn(|| schedule.next(1)).map(|turn| (turn.job.0.as_u128(), turn.model.to_string())).collect()
    }

    #[test]
    fn a_backend_gets_as_much_as_it_bears_over_all_jobs() {
        let mut schedule = Schedule::default();
        schedule.add(job(1, JobAct::Start, [("a", 0), ("a", 1), ("b", 2)]));
        schedule.add(job(2, JobAct::Start, [("a", 3), ("c", 4)]));
        schedule.add(job(3, JobAct::Stop, (0..9).map(|at| ("d", at))));
        let first = turns(&mut schedule);
        let starts: Vec<&str> = first.iter().filter(|(job, _)| *job < 3).map(|(_, model)| model.as_str()).collect();
        assert_eq!(starts, ["a/m0", "b/m2", "c/m4"], "one load for each backend");
        assert_eq!(first.len(), 3 + 4, "stops four at a time");
        let one = JobId(uuid::Uuid::from_u128(1));
        schedule.settled(one, 0, Err(Error::new(Kind::Server, "No.")));
        assert_eq!(turns(&mut schedule), [(1, "a/m1".to_owned())], "what failed stops nothing, and the first job goes first");
        schedule.settled(one, 0, Ok(()));
        assert!(turns(&mut schedule).is_empty(), "an end counts once");
        schedule.settled(one, 1, Ok(()));
        assert_eq!(turns(&mut schedule), [(2, "a/m3".to_owned())]);
    }

    #[test]
    fn it_tells_at_most_five_times_a_second_and_no_end_is_lost() {
        let start = Instant::now();
        let mut schedule = Schedule::default();
        schedule.add(job(1, JobAct::Stop, (0..10_000).map(|at| ("a", at))));
        let (mut events, mut told, mut at) = (0, BTreeMap::new(), start);
        let mut ended = None;
        // Each model takes a millisecond: ten seconds of work.
        while ended.is_none() {
            at += Duration::from_millis(1);
            while let Some(turn) = schedule.next(1) {
                schedule.moved(turn.job, turn.at, Some(500), 2);
            }
            let running: Vec<usize> = schedule.going.values().flat_map(|going| going.running.keys().copied()).collect();
            let id = JobId(uuid::Uuid::from_u128(1));
            schedule.settled(id, running[0], if running[0].is_multiple_of(100) { Err(Error::new(Kind::Server, "No.")) } else { Ok(()) });
            for news in schedule.take_news(at, 9) {
                events += 1;
                told.extend(news.items);
                ended = news.ended;
            }
        }
        let seconds = (at - start).as_secs() as usize;
        assert!(events <= seconds * 5 + 2, "{events} events in {seconds} s");
        assert_eq!(told.len(), 10_000);
        assert!(told.values().all(|item| item.error.is_some() == (item.state == JobState::Failed)));
        assert_eq!(told.values().filter(|item| item.state == JobState::Failed).count(), 100);
        assert!(told.values().all(|item| matches!(item.state, JobState::Done | JobState::Failed)), "ends, not middles");
        let ended = ended.unwrap();
        assert_eq!((ended.finished, ended.count(JobState::Done)), (Some(9), 9_900));
        assert!(schedule.is_empty() && schedule.due().is_none());
        let again = again(&ended, 10).unwrap();
        assert_eq!((again.count(JobState::Waiting), again.count(JobState::Done), again.finished), (100, 9_900, None));
    }

    #[test]
    fn what_is_cancelled_ends_and_can_be_done_again() {
        let mut schedule = Schedule::default();
        schedule.add(job(1, JobAct::Start, [("a", 0), ("a", 1)]));
        assert_eq!(turns(&mut schedule).len(), 1);
        let id = JobId(uuid::Uuid::from_u128(1));
        let running = schedule.cancel(id);
        assert_eq!(running.len(), 1);
        assert!(schedule.take_news(Instant::now(), 5)[0].ended.is_none(), "one still runs");
        schedule.settled(id, running[0].0, Err(cancelled()));
        let news = schedule.take_news(Instant::now(), 6);
        let ended = news[0].ended.as_ref().unwrap();
        assert_eq!(ended.count(JobState::Cancelled), 2);
        assert_eq!(again(ended, 7).unwrap().count(JobState::Waiting), 2);
    }
}
