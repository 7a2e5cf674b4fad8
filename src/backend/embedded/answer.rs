//! One answer: prompt to tokens, tokens to text, with the figures of both.
//!
//! Owns: the memory of the last conversations, and the loop. Invariant: a token that was read for a prompt's beginning before is
//! not read again; what does not fit the context is refused before any work.

use std::time::{Duration, Instant};

use super::cache::Cache;
use super::instance::{Engine, stopped};
use super::sample::{Sampler, Settings};
use super::shape::Shape;
use super::stream::Splitter;
use super::tokenizer::Token;
use crate::backend::{Message, Request, Sink, Update};
use crate::error::{Error, Kind, Result, quoted};
use crate::proto::{DeltaKind, Figure, Figures, Finish, Parameters, State};

/// The context unless `context` says otherwise, in tokens: long enough for a talk, and its cache fits beside a small model.
pub const CONTEXT: usize = 8192;
/// Conversations whose memory is kept, and what they may take together in bytes.
const KEPT: usize = 6;
const KEPT_BYTES: u64 = 1 << 30;
/// A memory that loses fewer tokens than this when cut back is cut; else the other branch keeps it.
const CUT: usize = 64;
/// Prompt tokens per pass at first; then as many as take about [`CHUNK_TIME`], so that stopping and progress stay quick.
const CHUNK: usize = 32;
const CHUNK_MOST: usize = 512;
const CHUNK_TIME: Duration = Duration::from_millis(200);
/// How often figures are sent while writing, in tokens.
const FIGURES_EVERY: u32 = 16;

/// What was read for the last conversations and branches, the latest last.
#[derive(Default)]
pub struct Conversations {
    caches: Vec<Cache>,
}

impl Conversations {
    /// What they take in memory, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.caches.iter().map(Cache::bytes).sum()
    }

    /// Tokens that they hold.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.caches.iter().map(|cache| cache.len() as u64).sum()
    }

    /// The memory that shares most with `tokens`, cut back to what it shares, as the last of the list.
    fn recall(&mut self, shape: &Shape, tokens: &[Token]) -> Cache {
        // The last token is always read: its row is what the first choice is made from.
        let most = tokens.len().saturating_sub(1);
        let best = self.caches.iter().enumerate().map(|(at, c)| (c.common(tokens).min(most), at)).max();
        let mut cache = match best {
            Some((common, at)) if common > 0 => {
                let lost = self.caches.get(at).map_or(0, |c| c.len() - common);
                if lost < CUT {
                    let mut cache = self.caches.remove(at);
                    cache.truncate(common);
                    cache
                } else {
                    let mut cache = Cache::new(shape);
                    if let Some(source) = self.caches.get(at) {
                        cache.copy_prefix(source, common);
                    }
                    cache
                }
            }
            _ => Cache::new(shape),
        };
        cache.truncate(most);
        cache
    }

    fn keep(&mut self, cache: Cache) {
        self.caches.push(cache);
        while self.caches.len() > KEPT || (self.caches.len() > 1 && self.bytes() > KEPT_BYTES) {
            self.caches.remove(0);
        }
    }
}

/// The context in force for these parameters.
#[must_use]
pub fn context_of(parameters: &Parameters, trained: usize) -> usize {
    parameters.integer("context").and_then(|n| usize::try_from(n).ok()).unwrap_or(CONTEXT).min(trained)
}

/// Produces an answer; also gives the context that was in force.
///
/// # Errors
/// `Kind::ContextExceeded` before any work, `Kind::Unsupported` for what this engine cannot do, `Kind::Cancelled` when stopped.
pub fn answer(
    engine: &mut Engine,
    request: &Request,
    sink: &Sink,
    asked: Instant,
    over: &(dyn Fn() -> bool + Sync),
) -> Result<(Finish, u32)> {
    if request.parameters.0.get("json_schema").is_some_and(|v| !v.is_null()) {
        return Err(Error::new(Kind::Unsupported, "The embedded engine cannot hold an answer to a JSON schema.")
            .hint("Remove it with `:set json_schema default`, or ask a model of llama-server or Ollama."));
    }
    if let Some(picture) = request.messages.iter().flat_map(Message::pictures).next() {
        return Err(Error::new(
            Kind::Unsupported,
            format!("The embedded engine cannot see pictures, and {} goes with this.", quoted(&picture.name)),
        )
        .hint("Choose a model of a server that sees pictures."));
    }
    let thinking = request.parameters.text("thinking").map(|word| word != "off");
    let rendered = engine.template.render(&request.messages, request.continues, thinking)?;
    let prompt = engine.tokenizer.encode_prompt(&rendered.text)?;
    let context = context_of(&request.parameters, engine.model.shape.context);
    let context_figure = u32::try_from(context).unwrap_or(u32::MAX);
    sink.figures(Figures {
        context: Some(Figure::server(f64::from(context_figure))),
        prompt_tokens: Some(figure(prompt.len())),
        ..Figures::default()
    });
    if prompt.is_empty() {
        return Err(Error::new(Kind::BadRequest, "There is nothing to answer: the prompt is empty."));
    }
    if prompt.len() >= context {
        return Err(too_long(prompt.len(), context, engine.model.shape.context));
    }
    let mut cache = engine.conversations.recall(&engine.model.shape, &prompt);
    let mut run = Run { engine, sink, over, asked, prompt: &prompt, logits: Vec::new() };
    let result = run.read(&mut cache).and_then(|()| run.write(&mut cache, request, rendered.thinking, context));
    if result.as_ref().err().is_none_or(|e| e.kind == Kind::Cancelled) {
        cache.truncate(cache.len());
        engine.conversations.keep(cache);
    }
    Ok((result?, context_figure))
}

struct Run<'a> {
    engine: &'a mut Engine,
    sink: &'a Sink,
    over: &'a (dyn Fn() -> bool + Sync),
    asked: Instant,
    prompt: &'a [Token],
    logits: Vec<f32>,
}

impl Run<'_> {
    /// Reads what the cache has not.
    fn read(&mut self, cache: &mut Cache) -> Result<()> {
        let total = self.prompt.len();
        let cached = cache.len();
        let started = Instant::now();
        self.sink.figures(Figures { cached_tokens: Some(figure(cached)), ..Figures::default() });
        let mut chunk = CHUNK;
        while cache.len() < total {
            self.sink.progress(State::Reading, cache.len() as u64, total as u64);
            if (self.over)() {
                return Err(stopped());
            }
            let at = cache.len();
            let end = (at + chunk).min(total);
            let tokens = self.prompt.get(at..end).unwrap_or_default();
            let begun = Instant::now();
            let logits = (end == total).then_some(&mut self.logits);
            self.engine.model.pass(tokens, cache, logits)?;
            let took = begun.elapsed().max(Duration::from_micros(1));
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "clamped")]
            let fitting = (tokens.len() as f64 * CHUNK_TIME.as_secs_f64() / took.as_secs_f64()) as usize;
            chunk = fitting.clamp(CHUNK, (chunk * 2).min(CHUNK_MOST));
        }
        let seconds = started.elapsed().as_secs_f64();
        let read = figure(total - cached).value;
        self.sink.figures(Figures {
            prompt_ms: Some(Figure::measured(seconds * 1000.0)),
            prompt_per_s: (seconds > 0.0).then(|| Figure::measured(read / seconds)),
            ..Figures::default()
        });
        Ok(())
    }

    /// Writes until the end.
    fn write(&mut self, cache: &mut Cache, request: &Request, thinking: bool, context: usize) -> Result<Finish> {
        let room = context - self.prompt.len();
        let most = request.parameters.integer("max_tokens").and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX).min(room);
        let fresh = uuid::Uuid::new_v4().as_u64_pair().0;
        let mut sampler = Sampler::new(Settings::from_parameters(&request.parameters, fresh));
        for token in self.prompt {
            sampler.accept(*token);
        }
        let stops: Vec<String> = request.parameters.list("stop").into_iter().chain(self.engine.template.stops.iter().cloned()).collect();
        let mut splitter = Splitter::new(stops, thinking, request.continues);
        let mut speaking = None;
        let mut first: Option<Instant> = None;
        let mut count: u32 = 0;
        let finish = loop {
            if (self.over)() {
                self.report(count, first);
                return Err(stopped());
            }
            let token = sampler.choose(&mut self.logits).ok_or_else(|| {
                Error::new(Kind::Internal, "The model computes no numbers any more: its file may be damaged.")
                    .hint("Compare the file's SHA-256 with its source.")
            })?;
            count += 1;
            let begun = *first.get_or_insert_with(|| {
                self.sink.figures(Figures {
                    ttft_ms: Some(Figure::measured(self.asked.elapsed().as_secs_f64() * 1000.0)),
                    ..Figures::default()
                });
                Instant::now()
            });
            if self.engine.tokenizer.ends_turn(token) {
                break Finish::Stop;
            }
            sampler.accept(token);
            if !self.engine.tokenizer.is_control(token) {
                splitter.push(self.engine.tokenizer.piece(token), &mut |kind, text| emit(self.sink, &mut speaking, kind, text));
                if splitter.stopped() {
                    break Finish::Stop;
                }
            }
            if count as usize >= most {
                break Finish::Length;
            }
            if count.is_multiple_of(FIGURES_EVERY) {
                self.report(count, Some(begun));
            }
            self.engine.model.pass(&[token], cache, Some(&mut self.logits))?;
        };
        splitter.finish(&mut |kind, text| emit(self.sink, &mut speaking, kind, text));
        self.report(count, first);
        Ok(finish)
    }

    fn report(&self, count: u32, first: Option<Instant>) {
        let seconds = first.map(|f| f.elapsed().as_secs_f64());
        // The first token came out of reading the prompt; the time is that of the others.
        let rate = seconds.filter(|s| *s > 0.0 && count > 1).map(|s| Figure::measured(f64::from(count - 1) / s));
        self.sink.figures(Figures {
            generate_ms: seconds.map(|s| Figure::measured(s * 1000.0)),
            completion_tokens: Some(Figure::server(f64::from(count))),
            tokens_per_s: rate,
            ..Figures::default()
        });
    }
}

/// Gives text out, and says when thinking becomes writing.
fn emit(sink: &Sink, speaking: &mut Option<DeltaKind>, kind: DeltaKind, text: &str) {
    if *speaking != Some(kind) {
        *speaking = Some(kind);
        sink.phase(if kind == DeltaKind::Thinking { State::Thinking } else { State::Writing });
    }
    sink.send(Update::Delta(kind, text.to_owned()));
}

fn figure(count: usize) -> Figure {
    Figure::server(f64::from(u32::try_from(count).unwrap_or(u32::MAX)))
}

fn too_long(prompt: usize, context: usize, trained: usize) -> Error {
    let error = Error::new(
        Kind::ContextExceeded,
        format!("The prompt takes {prompt} tokens, and the context in force is {context}: nothing was sent to the model."),
    );
    let error = if prompt < trained && context < trained {
        error.hint(format!("Raise it with `:set context N`; this model was trained for {trained} tokens."))
    } else {
        error
    };
    error.hint("Branch from an earlier message, or begin a new conversation.")
}
