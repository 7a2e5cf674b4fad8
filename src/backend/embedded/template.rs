//! Chat templates: a conversation as the text that the model was trained to read.
//!
//! Owns: the Jinja environment as transformers sets it up, and what stands in when a file has no template. Refuses: tokens
//! (`tokenizer`). Invariant: a hostile template ends: its steps are bounded by fuel, and it reaches nothing but its arguments.

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, ErrorKind, Value, context};

use super::pre;
use crate::backend::gguf::Header;
use crate::backend::{Call, Message, Returned};
use crate::error::{Error, Kind, Result};
use crate::proto::Role;
use crate::sanitise::cut;

/// Steps that a template may take: the longest known ones take some thousands for a hundred messages.
const FUEL: u64 = 20_000_000;

const CHATML: &str = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
const GEMMA: &str = "{{ bos_token }}{% for message in messages %}{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else 'user') + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}";
const LLAMA3: &str = "{{ bos_token }}{% for message in messages %}{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}";

/// The template of one model.
pub struct Template {
    environment: Environment<'static>,
    source: String,
    bos: String,
    eos: String,
    /// Texts that end a turn in the stand-in; empty when the file has its own template.
    pub stops: Vec<String>,
    /// What a person should know. Sentences.
    pub notes: Vec<String>,
}

/// A prompt as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    pub text: String,
    /// The model begins inside a section of thinking.
    pub thinking: bool,
    /// What was changed to suit the template. Sentences.
    pub notes: Vec<String>,
}

impl Template {
    /// The template of the file, or the one that its vocabulary suggests.
    #[must_use]
    pub fn new(header: &Header) -> Self {
        let mut notes = Vec::new();
        let mut stops = Vec::new();
        let source = match header.text("tokenizer.chat_template") {
            Some(own) => own.to_owned(),
            None => {
                let known = |text: &str| header.texts("tokenizer.ggml.tokens").is_some_and(|all| all.iter().any(|t| t == text));
                let (name, source, end) = if known("<|im_start|>") {
                    ("ChatML", CHATML, "<|im_end|>")
                } else if known("<start_of_turn>") {
                    ("Gemma's", GEMMA, "<end_of_turn>")
                } else if known("<|start_header_id|>") {
                    ("Llama 3's", LLAMA3, "<|eot_id|>")
                } else {
                    ("ChatML", CHATML, "<|im_end|>")
                };
                notes.push(format!(
                    "The file has no chat template: {name} is used. If the model was not tuned for conversation, its answers will ramble."
                ));
                stops.push(end.to_owned());
                source.to_owned()
            }
        };
        notes.extend(pre::note(header));
        let source = without_generation_marks(&source);
        let special = |key: &str| {
            let id = header.count(&format!("tokenizer.ggml.{key}"));
            id.and_then(|id| header.texts("tokenizer.ggml.tokens")?.get(id).cloned()).unwrap_or_default()
        };
        let (bos, eos) = (special("bos_token_id"), special("eos_token_id"));
        Self { environment: environment(), source, bos, eos, stops, notes }
    }

    /// Renders a conversation. With `continues` the last message is the assistant's, and the text ends within it.
    ///
    /// # Errors
    /// `Kind::BadRequest` when the template refuses the conversation or is broken.
    pub fn render(&self, messages: &[Message], continues: bool, thinking: Option<bool>) -> Result<Rendered> {
        let (path, begun) = match messages.split_last() {
            Some((last, path)) if continues && last.role == Role::Assistant => (path, Some(last)),
            _ => (messages, None),
        };
        let mut notes = Vec::new();
        let mut text = match self.try_render(path, thinking) {
            Ok(text) => text,
            // Some templates take no system prompt or want strict turns; the same words, arranged so, usually suit them.
            Err(first) => {
                let text = self.try_render(&strict_turns(path), thinking).map_err(|_| refused(&first))?;
                notes.push(
                    "The model's template takes no system prompt or wants strict turns: the system prompt stands before the first \
                     message, and messages of one side are joined."
                        .to_owned(),
                );
                text
            }
        };
        let mut in_thinking = text.trim_end().ends_with("<think>");
        if let Some(begun) = begun {
            let thought = begun.thinking.as_deref().unwrap_or_default();
            match (in_thinking, thought.is_empty(), begun.text.is_empty()) {
                (true, _, true) => text.push_str(thought),
                (true, _, false) => {
                    text.push_str(thought);
                    text.push_str("\n</think>\n\n");
                }
                (false, false, true) => {
                    text.push_str("<think>\n");
                    text.push_str(thought);
                }
                (false, _, _) => {}
            }
            in_thinking = begun.text.is_empty() && (in_thinking || !thought.is_empty());
            text.push_str(&begun.text);
        }
        Ok(Rendered { text, thinking: in_thinking, notes })
    }

    fn try_render(&self, messages: &[Message], thinking: Option<bool>) -> Result<String, minijinja::Error> {
        // A template that knows no tools reads what was asked of them and what came of it as text.
        let knows = self.source.contains("tool_calls");
        let messages: Vec<Value> =
            messages.iter().flat_map(|message| if knows { tooled(message) } else { vec![plain(&told(message))] }).collect();
        let base = context! {
            messages => messages,
            add_generation_prompt => true,
            bos_token => self.bos.as_str(),
            eos_token => self.eos.as_str(),
        };
        let all = match thinking {
            Some(on) => context! { enable_thinking => on, ..base },
            None => base,
        };
        self.environment.template_from_named_str("chat_template", &self.source)?.render(all)
    }
}

fn plain(m: &Message) -> Value {
    match &m.thinking {
        Some(thought) if m.role == Role::Assistant => {
            context! { role => m.role.word(), content => m.text.as_str(), reasoning_content => thought.as_str() }
        }
        _ => context! { role => m.role.word(), content => m.text.as_str() },
    }
}

/// With its calls, and each result by itself, as transformers hands them to templates.
fn tooled(message: &Message) -> Vec<Value> {
    if !message.results.is_empty() {
        let result = |r: &Returned| context! { role => "tool", tool_call_id => r.id.as_str(), name => r.name.as_str(), content => r.content.as_str() };
        return message.results.iter().map(result).collect();
    }
    if message.calls.is_empty() {
        return vec![plain(message)];
    }
    let call = |c: &Call| context! { id => c.id.as_str(), type => "function", function => context! { name => c.name.as_str(), arguments => value(c.given()) } };
    let calls: Vec<Value> = message.calls.iter().map(call).collect();
    vec![context! { tool_calls => calls, ..plain(message) }]
}

fn value(json: serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match json {
        Json::Null => Value::from(()),
        Json::Bool(on) => Value::from(on),
        Json::Number(number) => number.as_i64().map_or_else(|| Value::from(number.as_f64()), Value::from),
        Json::String(text) => Value::from(text),
        Json::Array(items) => Value::from(items.into_iter().map(value).collect::<Vec<_>>()),
        Json::Object(fields) => fields.into_iter().map(|(key, field)| (key, value(field))).collect(),
    }
}

/// With its calls and results in words.
fn told(message: &Message) -> Message {
    let calls = message.calls.iter().map(|c| format!("[calls the tool {} with {}]", c.name, c.arguments));
    let results = message.results.iter().map(|r| format!("The tool {} returned:\n{}", r.name, r.content));
    let own = (!message.text.is_empty()).then(|| message.text.clone());
    let text = own.into_iter().chain(calls).chain(results).collect::<Vec<_>>().join("\n\n");
    let role = if message.role == Role::Tool { Role::User } else { message.role };
    Message { role, text, calls: Vec::new(), results: Vec::new(), ..message.clone() }
}

/// Whether the template speaks of thinking.
#[must_use]
pub fn thinks(header: &Header) -> bool {
    header.text("tokenizer.chat_template").is_some_and(|t| t.contains("<think>") || t.contains("enable_thinking"))
}

/// transformers marks what the assistant wrote for training; Jinja itself does not know the tag.
fn without_generation_marks(source: &str) -> String {
    let mut out = source.to_owned();
    for (open, close) in [("{%", "%}"), ("{%-", "%}"), ("{%", "-%}"), ("{%-", "-%}")] {
        out = out.replace(&format!("{open} generation {close}"), &format!("{open} if true {close}"));
        out = out.replace(&format!("{open} endgeneration {close}"), &format!("{open} endif {close}"));
    }
    out
}

fn environment() -> Environment<'static> {
    let mut env = Environment::new();
    // As transformers and llama.cpp set Jinja up for chat templates.
    if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
        env.set_syntax(syntax);
    }
    env.set_fuel(Some(FUEL));
    env.set_recursion_limit(64);
    env.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    env.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    env.add_function("raise_exception", |message: String| -> Result<Value, minijinja::Error> {
        Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
    });
    env.add_function("strftime_now", |format: String| -> Result<String, minijinja::Error> {
        jiff::fmt::strtime::format(&format, &jiff::Zoned::now())
            .map_err(|e| minijinja::Error::new(ErrorKind::InvalidOperation, e.to_string()))
    });
    env
}

/// System text before the first message of the user; neighbours of one role joined; the user first.
fn strict_turns(messages: &[Message]) -> Vec<Message> {
    let mut out: Vec<Message> = Vec::new();
    for message in messages.iter().map(told) {
        let role = if message.role == Role::Assistant { Role::Assistant } else { Role::User };
        match out.last_mut() {
            Some(last) if last.role == role => {
                last.text.push_str("\n\n");
                last.text.push_str(&message.text);
            }
            _ => out.push(Message { role, ..message }),
        }
    }
    out
}

fn refused(error: &minijinja::Error) -> Error {
    let detail = error.detail().unwrap_or_default();
    let said = if error.kind() == ErrorKind::OutOfFuel {
        "The model's chat template does not come to an end, so the prompt could not be made.".to_owned()
    } else if detail.is_empty() {
        "The model's chat template has a fault, so the prompt could not be made.".to_owned()
    } else {
        format!("The model's chat template refuses this conversation: {}", cut(detail, 200))
    };
    Error::new(Kind::BadRequest, said).hint("Take another file of this model, or another model.").cause(cut(&error.to_string(), 400))
}
