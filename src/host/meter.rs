//! What one run is measured by, where the server does not measure itself. Pure: times are passed in, in milliseconds since the
//! command was accepted.

use std::collections::VecDeque;

use crate::core::estimate;
use crate::proto::{DeltaKind, Figure, Figures, Source};

/// How far back the live rate looks, in milliseconds: long enough to be steady, short enough to be now.
const WINDOW: f64 = 2_000.0;

/// The measures of one run.
#[derive(Debug, Default)]
pub(super) struct Meter {
    /// When the first request went out, and the last one.
    asked: Option<f64>,
    begun: Option<f64>,
    first: Option<f64>,
    last: f64,
    /// Tokens that came, estimated from their text. (A chunk is mostly one token, but not with every server.)
    tokens: f64,
    /// Of these, thinking.
    thought: f64,
    /// How long it has thought, and since when it thinks.
    thinking: f64,
    thinks: Option<f64>,
    /// Estimated tokens of the prompt.
    prompt: f64,
    server: Figures,
    recent: VecDeque<(f64, f64)>,
}

impl Meter {
    /// `prompt`: the estimated size of what is sent, in tokens.
    pub(super) fn new(prompt: u32) -> Self {
        Self { prompt: f64::from(prompt), ..Self::default() }
    }

    /// What is sent is of another size than was thought.
    pub(super) fn sends(&mut self, prompt: u32) {
        self.prompt = f64::from(prompt);
    }

    /// The request goes out; again, when an attempt before it failed.
    pub(super) fn begin(&mut self, now: f64) {
        self.asked.get_or_insert(now);
        self.begun = Some(now);
    }

    /// Text or thinking came.
    pub(super) fn text(&mut self, now: f64, kind: DeltaKind, text: &str) {
        let tokens = f64::from(estimate::text(text)).max(if text.is_empty() { 0.0 } else { 1.0 });
        self.first.get_or_insert(now);
        match (kind, self.thinks) {
            (DeltaKind::Thinking, None) => self.thinks = Some(now),
            (DeltaKind::Text, Some(since)) => {
                self.thinking += now - since;
                self.thinks = None;
            }
            (DeltaKind::Thinking, Some(_)) | (DeltaKind::Text, None) => {}
        }
        if kind == DeltaKind::Thinking {
            self.thought += tokens;
        }
        self.last = now;
        self.tokens += tokens;
        self.recent.push_back((now, tokens));
        while self.recent.front().is_some_and(|(at, _)| now - at > WINDOW) {
            self.recent.pop_front();
        }
    }

    /// The server told something.
    pub(super) fn told(&mut self, figures: &Figures) {
        self.server.merge(figures);
    }

    /// From the request to the first token.
    pub(super) fn ttft(&self) -> Option<f64> {
        self.server.ttft_ms.map(|f| f.value).or_else(|| Some(self.first? - self.begun?))
    }

    /// Tokens per second over the last moments; `None` before there is enough to tell.
    pub(super) fn rate(&self, now: f64) -> Option<f64> {
        let (oldest, first) = self.recent.front().filter(|(at, _)| now - at <= WINDOW)?;
        let seconds = (now - oldest) / 1000.0;
        let tokens: f64 = self.recent.iter().map(|(_, tokens)| tokens).sum::<f64>() - first;
        (seconds > 0.2).then(|| tokens / seconds)
    }

    /// Everything that is known at the end.
    pub(super) fn end(&self, now: f64) -> Figures {
        let mut all = Figures { total_ms: Some(Figure::measured(now)), ..self.server };
        all.queued_ms = all.queued_ms.or(self.asked.map(Figure::measured));
        all.ttft_ms = all.ttft_ms.or_else(|| self.ttft().map(Figure::measured));
        let Some(first) = self.first else { return all };
        let measured_ms = self.last - first;
        all.generate_ms = all.generate_ms.or(Some(Figure::measured(measured_ms)));
        all.completion_tokens = all.completion_tokens.or(Some(Figure::estimated(self.tokens.round())));
        if self.thought > 0.0 {
            let thinking = self.thinking + self.thinks.map_or(0.0, |since| self.last - since);
            all.thinking_ms = all.thinking_ms.or(Some(Figure::measured(thinking)));
            // Part of what was produced, however that was counted.
            let most = all.completion_tokens.map_or(f64::INFINITY, |tokens| tokens.value);
            all.thinking_tokens = all.thinking_tokens.or(Some(Figure::estimated(self.thought.round().min(most))));
        }
        all.prompt_tokens = all.prompt_tokens.or_else(|| (self.prompt > 0.0).then(|| Figure::estimated(self.prompt)));
        if all.tokens_per_s.is_none()
            && let (Some(tokens), Some(time)) = (all.completion_tokens, all.generate_ms)
        {
            // Between n tokens lie n-1 intervals, as far as they were measured from first to last.
            let intervals = if time.source == Source::Server { tokens.value } else { tokens.value - 1.0 };
            if time.value > 0.0 && intervals > 0.0 {
                let source = if tokens.source == Source::Estimated { Source::Estimated } else { Source::Measured };
                all.tokens_per_s = Some(Figure { value: intervals * 1000.0 / time.value, source });
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn streamed() -> Meter {
        let mut meter = Meter::new(12);
        meter.begin(5.0);
        for n in 0..11 {
            meter.text(105.0 + 100.0 * f64::from(n), DeltaKind::Text, "word ");
        }
        meter
    }

    #[test]
    fn a_silent_server_is_measured_and_what_is_guessed_is_marked() {
        let all = streamed().end(1_200.0);
        assert_eq!(all.queued_ms, Some(Figure::measured(5.0)));
        assert_eq!(all.ttft_ms, Some(Figure::measured(100.0)));
        assert_eq!(all.generate_ms, Some(Figure::measured(1_000.0)));
        assert_eq!(all.total_ms, Some(Figure::measured(1_200.0)));
        assert_eq!(all.prompt_tokens, Some(Figure::estimated(12.0)));
        let (tokens, rate) = (all.completion_tokens.unwrap(), all.tokens_per_s.unwrap());
        assert_eq!((tokens.source, rate.source), (Source::Estimated, Source::Estimated));
        assert!((rate.value - (tokens.value - 1.0)).abs() < 0.01, "{rate:?} of {tokens:?} in one second");
        assert_eq!(all.load_ms, None, "what nobody knows stays unknown");
    }

    #[test]
    fn what_the_server_told_stands() {
        let mut meter = streamed();
        meter.told(&Figures { completion_tokens: Some(Figure::server(21.0)), ttft_ms: Some(Figure::server(90.0)), ..Figures::default() });
        let all = meter.end(1_200.0);
        assert_eq!(all.completion_tokens, Some(Figure::server(21.0)));
        assert_eq!(all.ttft_ms, Some(Figure::server(90.0)));
        assert_eq!(all.tokens_per_s, Some(Figure::measured(20.0)));
    }

    #[test]
    fn thinking_is_measured_from_its_first_word_to_the_first_of_the_answer() {
        let mut meter = Meter::new(12);
        meter.begin(5.0);
        for (at, kind) in [(100.0, DeltaKind::Thinking), (300.0, DeltaKind::Thinking), (500.0, DeltaKind::Text), (900.0, DeltaKind::Text)] {
            meter.text(at, kind, "word ");
        }
        let all = meter.end(1_000.0);
        assert_eq!(all.thinking_ms, Some(Figure::measured(400.0)));
        let (thought, tokens) = (all.thinking_tokens.unwrap(), all.completion_tokens.unwrap());
        assert_eq!((thought.value * 2.0, thought.source), (tokens.value, Source::Estimated));
        meter.text(950.0, DeltaKind::Thinking, "word ");
        meter.text(1_050.0, DeltaKind::Thinking, "word ");
        assert_eq!(meter.end(1_100.0).thinking_ms, Some(Figure::measured(500.0)), "it thought again, and was cut there");
        meter.told(&Figures { completion_tokens: Some(Figure::server(1.0)), ..Figures::default() });
        assert_eq!(meter.end(1_100.0).thinking_tokens, Some(Figure::estimated(1.0)));
        meter.told(&Figures { thinking_tokens: Some(Figure::server(33.0)), ..Figures::default() });
        assert_eq!(meter.end(1_100.0).thinking_tokens, Some(Figure::server(33.0)));
        assert_eq!(streamed().end(1_200.0).thinking_ms, None, "it did not think");
    }

    #[test]
    fn a_second_attempt_is_waited_for_and_measured_by_itself() {
        let mut meter = Meter::new(1);
        meter.begin(5.0);
        meter.begin(1_005.0);
        meter.text(1_105.0, DeltaKind::Text, "word");
        let all = meter.end(1_200.0);
        assert_eq!((all.queued_ms, all.ttft_ms), (Some(Figure::measured(5.0)), Some(Figure::measured(100.0))));
    }

    #[test]
    fn the_live_rate_forgets() {
        let meter = streamed();
        assert!(meter.rate(1_105.0).is_some_and(|rate| (5.0..25.0).contains(&rate)));
        assert_eq!(meter.rate(9_000.0), None);
        assert_eq!(Meter::new(1).end(7.0).tokens_per_s, None);
    }
}
