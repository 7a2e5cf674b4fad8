//! The request of a message.
//!
//! Owns: where the system prompt goes, which parameters go under which names, and what thinking does to the others. Refuses: sending
//! it. Invariant: pure; what the service would refuse together is not sent together, and a note says what was left out.

use serde_json::{Map, Value, json};

use crate::backend::openai::request::{continued, messages};
use crate::backend::{File, Message, Request};
use crate::core::parameters;
use crate::proto::Role;

/// The protocol wants a bound for every answer; this one unless a person or the model's own bound says otherwise.
pub const MAX_TOKENS: i64 = 8192;

/// The service thinks in no smaller budget.
pub const LEAST_THINKING: i64 = 1024;

/// A body, and what a person should know of it.
pub struct Made {
    pub body: Value,
    pub notes: Vec<String>,
}

/// The body. `longest`: the longest answer that the model gives, if it is known.
#[must_use]
pub fn body(request: &Request, longest: Option<u32>) -> Made {
    let p = &request.parameters;
    let mut notes = Vec::new();
    let mut body = Map::new();
    body.insert("model".into(), json!(request.model));
    let usual = longest.map_or(MAX_TOKENS, |longest| MAX_TOKENS.min(i64::from(longest)));
    let most = p.integer("max_tokens").unwrap_or(usual);
    body.insert("max_tokens".into(), json!(most));
    let (system, turns) = split(request);
    let tools: Vec<Value> = parameters::tools::tools(p).into_iter().map(tool).collect();
    if !tools.is_empty() {
        body.insert("tools".into(), Value::Array(tools));
    }
    if !system.is_empty() {
        body.insert("system".into(), json!(system));
    }
    body.insert("messages".into(), Value::Array(turns));
    body.insert("stream".into(), json!(true));
    let stop = p.list("stop");
    if !stop.is_empty() {
        body.insert("stop_sequences".into(), json!(stop));
    }
    let budget = thinking(request, most, &mut notes);
    if let Some(budget) = budget {
        body.insert("thinking".into(), json!({ "type": "enabled", "budget_tokens": budget }));
    }
    for key in ["temperature", "top_p", "top_k"] {
        let Some(value) = p.0.get(key) else { continue };
        // While it thinks the service chooses by itself, but for a wide top_p.
        let free = budget.is_none() || (key == "top_p" && value.as_f64().is_some_and(|n| n >= 0.95));
        if free {
            body.insert(key.to_owned(), value.clone());
        } else {
            notes.push(format!("{key} is set and not sent: it cannot be chosen while the model thinks."));
        }
    }
    Made { body: Value::Object(body), notes }
}

/// The tokens to think in, if it is to think.
fn thinking(request: &Request, most: i64, notes: &mut Vec<String>) -> Option<i64> {
    let p = &request.parameters;
    let share = match p.text("thinking") {
        None | Some("off") => return None,
        Some("low") => most / 4,
        Some("high") => most / 4 * 3,
        Some(_) => most / 2,
    };
    if continued(request).is_some() {
        notes.push("thinking is set and not sent: an answer that is gone on with is not thought about again.".to_owned());
        return None;
    }
    if request.messages.last().is_some_and(|last| !last.results.is_empty()) {
        notes.push(
            "thinking is set and not sent: the service wants its signed thinking back with the results of tools, and that is not kept."
                .to_owned(),
        );
        return None;
    }
    if most <= LEAST_THINKING {
        notes.push(format!("thinking is set and not sent: it takes a max_tokens above {LEAST_THINKING}."));
        return None;
    }
    // Above the least there is room by the check before.
    Some(p.integer("thinking_budget").unwrap_or(share).clamp(LEAST_THINKING, most - 1))
}

fn tool(tool: parameters::tools::Tool) -> Value {
    let mut one = Map::new();
    one.insert("name".into(), json!(tool.name));
    if let Some(description) = tool.description {
        one.insert("description".into(), json!(description));
    }
    one.insert("input_schema".into(), tool.parameters);
    Value::Object(one)
}

/// One turn: what stands in it, in order.
struct Turn {
    role: &'static str,
    blocks: Vec<Block>,
}

enum Block {
    Text(String),
    Other(Value),
}

/// The system prompt, and the turns: two of the same role become one.
fn split(request: &Request) -> (String, Vec<Value>) {
    let prefill = continued(request).is_some();
    let all = messages(request);
    let mut system: Vec<&str> = Vec::new();
    let mut turns: Vec<Turn> = Vec::new();
    for (nth, message) in all.iter().enumerate() {
        let role = match message.role {
            Role::System => {
                system.push(&message.text);
                continue;
            }
            // Without the id of its call, a tool's answer goes as what a person would have pasted.
            Role::User | Role::Tool => "user",
            Role::Assistant => "assistant",
        };
        let text = if prefill && nth + 1 == all.len() { prefilled(message) } else { &message.text };
        let blocks = blocks(message, text);
        match turns.last_mut() {
            Some(last) if last.role == role => {
                for block in blocks {
                    last.push(block);
                }
            }
            _ => turns.push(Turn { role, blocks }),
        }
    }
    let turns = turns.into_iter().filter(|turn| !turn.blocks.is_empty());
    (system.join("\n\n"), turns.map(Turn::json).collect())
}

impl Turn {
    fn push(&mut self, block: Block) {
        match (self.blocks.last_mut(), block) {
            (Some(Block::Text(text)), Block::Text(more)) => {
                text.push_str("\n\n");
                text.push_str(&more);
            }
            (_, block) => self.blocks.push(block),
        }
    }

    fn json(self) -> Value {
        if let [Block::Text(text)] = self.blocks.as_slice() {
            return json!({ "role": self.role, "content": text });
        }
        let block = |block| match block {
            Block::Text(text) => json!({ "type": "text", "text": text }),
            Block::Other(value) => value,
        };
        json!({ "role": self.role, "content": self.blocks.into_iter().map(block).collect::<Vec<_>>() })
    }
}

/// What stands in a message, as the service wants it ordered: results first, pictures before their words, calls last. Earlier thinking
/// is never sent: the service takes it with its signature only, which is not kept.
fn blocks(message: &Message, text: &str) -> Vec<Block> {
    let results =
        message.results.iter().map(|result| json!({ "type": "tool_result", "tool_use_id": id(&result.id), "content": result.content }));
    let pictures = message.pictures().map(picture);
    let words = (!text.is_empty()).then(|| Block::Text(text.to_owned()));
    let calls =
        message.calls.iter().map(|call| json!({ "type": "tool_use", "id": id(&call.id), "name": call.name, "input": call.given() }));
    results.chain(pictures).map(Block::Other).chain(words).chain(calls.map(Block::Other)).collect()
}

fn picture(file: &File) -> Value {
    let data = file.data.as_deref().map_or_else(|| json!(file.placeholder()), |data| json!(data));
    json!({ "type": "image", "source": { "type": "base64", "media_type": file.mime, "data": data } })
}

/// The service takes letters, digits, `_` and `-` in ids; other servers made some of the calls.
fn id(id: &str) -> String {
    id.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect()
}

/// The service refuses an unfinished answer that ends in white space.
fn prefilled(message: &Message) -> &str {
    message.text.trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::Parameters;

    fn made(texts: &[(Role, &str)], set: Value, longest: Option<u32>) -> Made {
        let Value::Object(set) = set else { panic!("an object") };
        let request = Request {
            model: "m".into(),
            messages: texts.iter().map(|(role, text)| Message::new(*role, *text)).collect(),
            parameters: Parameters(set.into_iter().collect()),
            continues: texts.last().is_some_and(|(role, _)| *role == Role::Assistant),
            conversation: "c".into(),
        };
        body(&request, longest)
    }

    #[test]
    fn the_system_prompt_stands_apart_and_turns_alternate() {
        let texts = [(Role::System, "Be brief."), (Role::User, "a"), (Role::Tool, "42"), (Role::User, "b"), (Role::Assistant, "So ")];
        let body = made(&texts, json!({}), None).body;
        assert_eq!(body["system"], "Be brief.");
        assert_eq!(body["messages"], json!([{ "role": "user", "content": "a\n\n42\n\nb" }, { "role": "assistant", "content": "So" }]));
        assert_eq!((body["max_tokens"].as_i64(), body["stream"].as_bool()), (Some(MAX_TOKENS), Some(true)));
        assert_eq!(made(&texts, json!({}), Some(4096)).body["max_tokens"], 4096);
        assert_eq!(made(&texts, json!({ "max_tokens": 5000 }), Some(4096)).body["max_tokens"], 5000, "a person's word holds");
    }

    #[test]
    fn thinking_has_a_budget_below_the_answer_and_leaves_sampling_alone() {
        let hi = [(Role::User, "hi")];
        for (set, budget) in [
            (json!({}), None),
            (json!({ "thinking": "off" }), None),
            (json!({ "thinking": "on" }), Some(4096)),
            (json!({ "thinking": "low" }), Some(2048)),
            (json!({ "thinking": "high" }), Some(6144)),
            (json!({ "thinking": "low", "max_tokens": 1025 }), Some(1024)),
            (json!({ "thinking": "on", "thinking_budget": 99, "max_tokens": 3000 }), Some(1024)),
            (json!({ "thinking": "on", "thinking_budget": 9000, "max_tokens": 3000 }), Some(2999)),
            (json!({ "thinking": "on", "max_tokens": 1024 }), None),
        ] {
            let made = made(&hi, set.clone(), None);
            assert_eq!(made.body["thinking"]["budget_tokens"].as_i64(), budget, "{set}");
            let wanted = set["thinking"].as_str().is_some_and(|word| word != "off");
            assert_eq!(made.notes.is_empty(), budget.is_some() || !wanted, "{set} {:?}", made.notes);
        }
        let made = made(&hi, json!({ "thinking": "on", "temperature": 0.2, "top_k": 5, "top_p": 0.97 }), None);
        assert!(made.body.get("temperature").is_none() && made.body.get("top_k").is_none());
        assert_eq!((made.body["top_p"].as_f64(), made.notes.len()), (Some(0.97), 2));
    }
}
