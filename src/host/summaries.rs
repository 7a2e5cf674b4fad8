//! Summaries of what a prompt leaves out, written by the model that is to answer, in the run's own task.
//!
//! Invariant: they are whole before the answer is asked for; a run whose summary fails sends nothing, and one that is asked again has its
//! summary written once. Dropping the future stops the model, as with answers.

use std::sync::OnceLock;

use super::runs::{News, Work};
use crate::backend::{Request, Sink, Update, channel};
use crate::core::summary::Wanted;
use crate::error::{Error, Kind, Result};
use crate::proto::{DeltaKind, Progress, State};

/// A summary that a run needs, until it is there and from then on.
pub(super) struct Summary {
    wanted: Wanted,
    written: OnceLock<String>,
}

impl Summary {
    pub(super) fn new(wanted: Wanted) -> Self {
        Self { wanted, written: OnceLock::new() }
    }
}

impl Work {
    /// The request with the summary in it that it needs.
    pub(super) async fn summed_up(&self, out: &Sink) -> Result<Request> {
        let mut request = self.request.clone();
        let Some(Summary { wanted, written }) = &self.summary else { return Ok(request) };
        let summary = match written.get() {
            Some(summary) => summary.clone(),
            None => self.summarise(wanted, out).await.map_err(unsummarised)?,
        };
        wanted.fill(&mut request.messages, &summary);
        if written.set(summary.clone()).is_ok() {
            self.report(News::Summarised { summary, request: Box::new(request.clone()) }).await;
        }
        out.phase(State::Connecting);
        Ok(request)
    }

    async fn summarise(&self, wanted: &Wanted, out: &Sink) -> Result<String> {
        let tell = |state, progress| {
            let summarising = u32::try_from(wanted.count).unwrap_or(u32::MAX);
            out.send(Update::Phase(state, Progress { summarising, ..progress }));
        };
        tell(State::Connecting, Progress::default());
        let ask = |messages| Request {
            model: self.request.model.clone(),
            messages,
            parameters: wanted.parameters(&self.request.parameters),
            continues: false,
            // A name of its own, so that the conversation's cached prompt stays.
            conversation: "summary".to_owned(),
        };
        // What is attached is summarised too.
        let told = self.attachments.shown(ask(wanted.messages.clone())).await.messages;
        let mut known = wanted.known.clone();
        for chunk in wanted.chunks(&told)? {
            let request = ask(wanted.question(known.as_deref(), &chunk));
            let (sink, mut source) = channel();
            let mut text = String::new();
            let mut take = |update: Update| match update {
                Update::Delta(DeltaKind::Text, more) => text.push_str(&more),
                // Words of its own would look as if the answer came.
                Update::Phase(state @ (State::Waiting | State::Loading), progress) => tell(state, progress),
                Update::Phase(..) => tell(State::Reading, Progress::default()),
                Update::Delta(..) | Update::ToolCall { .. } | Update::Figures(_) => {}
            };
            let mut generate = std::pin::pin!(self.backend.generate(request, sink));
            loop {
                tokio::select! {
                    biased;
                    ended = &mut generate => break ended.map(drop)?,
                    Some(update) = source.next() => take(update),
                }
            }
            source.drain().into_iter().for_each(&mut take);
            known = Some(wanted.clean(&text).ok_or_else(|| Error::new(Kind::Malformed, "The model wrote no summary."))?);
        }
        known.ok_or_else(|| Error::new(Kind::Malformed, "There is nothing to summarise."))
    }
}

/// Why nothing was sent, and what to do.
fn unsummarised(error: Error) -> Error {
    let message = format!("What the context does not hold could not be summarised, so nothing was sent: {}", error.message);
    Error { message, ..error }.hint("Ask again, or leave it out instead: :set overflow cut")
}
