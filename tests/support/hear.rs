//! Listening to a backend: everything that an answer brought, sorted.

use std::sync::Arc;

use arbour::backend::{self, Backend, Message, Request, Secret, Spec, Update, channel};
use arbour::error::Error;
use arbour::proto::{BackendKind, DeltaKind, Figures, Finish, Parameters, Progress, Role, State};
use serde_json::Value;

/// An answer that has ended.
#[derive(Debug)]
pub struct Heard {
    pub result: Result<Finish, Error>,
    pub updates: Vec<Update>,
}

impl Heard {
    fn joined(&self, wanted: DeltaKind) -> String {
        let pieces = self.updates.iter().filter_map(|u| match u {
            Update::Delta(kind, text) if *kind == wanted => Some(text.as_str()),
            _ => None,
        });
        pieces.collect()
    }

    pub fn text(&self) -> String {
        self.joined(DeltaKind::Text)
    }

    pub fn thinking(&self) -> String {
        self.joined(DeltaKind::Thinking)
    }

    /// The phases, each once for as long as it lasted.
    pub fn phases(&self) -> Vec<State> {
        let mut out = Vec::new();
        for update in &self.updates {
            if let Update::Phase(state, _) = update
                && out.last() != Some(state)
            {
                out.push(*state);
            }
        }
        out
    }

    pub fn progress(&self) -> Vec<Progress> {
        self.updates.iter().filter_map(|u| if let Update::Phase(_, progress) = u { Some(progress.clone()) } else { None }).collect()
    }

    /// All figures, merged.
    pub fn figures(&self) -> Figures {
        let mut all = Figures::default();
        for update in &self.updates {
            if let Update::Figures(figures) = update {
                all.merge(figures);
            }
        }
        all
    }

    /// How often the usage was told.
    pub fn usages(&self) -> usize {
        self.updates.iter().filter(|u| matches!(u, Update::Figures(f) if f.completion_tokens.is_some())).count()
    }

    pub fn error(&self) -> &Error {
        self.result.as_ref().expect_err("an error")
    }
}

/// A backend without a key.
pub fn make(kind: BackendKind, url: &str) -> Arc<dyn Backend> {
    make_with(kind, url, None)
}

/// A backend with a key, which people know as `$TEST_KEY`.
pub fn make_with(kind: BackendKind, url: &str, key: Option<&str>) -> Arc<dyn Backend> {
    let spec = Spec {
        name: "test".into(),
        kind: Some(kind),
        url: url.into(),
        key: key.map(|key| Secret::new(key.to_owned())),
        key_origin: key.map(|_| "$TEST_KEY".to_owned()),
        ..Spec::default()
    };
    backend::build(&spec).expect("a good spec")
}

/// A request; it continues the last message if that is an assistant's.
pub fn request(model: &str, texts: &[(Role, &str)], parameters: &[(&str, Value)]) -> Request {
    Request {
        model: model.into(),
        messages: texts.iter().map(|(role, text)| Message::new(*role, *text)).collect(),
        parameters: Parameters(parameters.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect()),
        continues: texts.last().is_some_and(|(role, _)| *role == Role::Assistant),
        conversation: "test".into(),
    }
}

/// A user's "hi".
pub fn hi(model: &str) -> Request {
    request(model, &[(Role::User, "hi")], &[])
}

/// Asks and listens to the end.
pub async fn hear(backend: &dyn Backend, request: Request) -> Heard {
    let (sink, mut source) = channel();
    let (result, updates) = tokio::join!(backend.generate(request, sink), async {
        let mut updates = Vec::new();
        while let Some(update) = source.next().await {
            updates.push(update);
        }
        updates
    });
    Heard { result, updates }
}
