//! Tools that a model is told of: what a person may write, and one form of it for all kinds of backend.

use serde_json::{Value, json};

use crate::proto::Parameters;

/// As services want names to be.
const LONGEST_NAME: usize = 64;
/// More than any service takes.
const MOST: usize = 128;

/// One tool.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    pub name: String,
    pub description: Option<String>,
    /// JSON schema of its arguments: an object.
    pub parameters: Value,
}

/// The tools that are set; none where the value is not what [`read`] takes.
#[must_use]
pub fn tools(parameters: &Parameters) -> Vec<Tool> {
    parameters.0.get("tools").and_then(read).unwrap_or_default()
}

/// Reads a list of tools: OpenAI's form (`{"type": "function", "function": {…}}`), Anthropic's (`input_schema`), or bare
/// `{"name", "description", "parameters"}`. `None`: it is no such list.
#[must_use]
pub fn read(value: &Value) -> Option<Vec<Tool>> {
    let items = value.as_array().filter(|items| !items.is_empty() && items.len() <= MOST)?;
    let tools = items.iter().map(one).collect::<Option<Vec<Tool>>>()?;
    let twice = tools.iter().enumerate().any(|(at, tool)| tools[..at].iter().any(|other| other.name == tool.name));
    (!twice).then_some(tools)
}

fn one(item: &Value) -> Option<Tool> {
    let item = item.get("function").unwrap_or(item);
    let name = item.get("name")?.as_str()?;
    let fits = !name.is_empty() && name.len() <= LONGEST_NAME && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    let description = match item.get("description") {
        None | Some(Value::Null) => None,
        Some(text) => Some(text.as_str()?.to_owned()),
    };
    let parameters = match item.get("parameters").or_else(|| item.get("input_schema")) {
        None | Some(Value::Null) => json!({ "type": "object", "properties": {} }),
        Some(schema) => schema.is_object().then(|| schema.clone())?,
    };
    fits.then(|| Tool { name: name.to_owned(), description, parameters })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_forms_are_one() {
        let schema = json!({ "type": "object", "properties": { "city": { "type": "string" } } });
        let tool = Tool { name: "weather".into(), description: Some("Of a city".into()), parameters: schema.clone() };
        for item in [
            json!({ "type": "function", "function": { "name": "weather", "description": "Of a city", "parameters": schema } }),
            json!({ "name": "weather", "description": "Of a city", "parameters": schema }),
            json!({ "name": "weather", "description": "Of a city", "input_schema": schema }),
        ] {
            assert_eq!(read(&json!([item])), Some(vec![tool.clone()]), "{item}");
        }
        let bare = read(&json!([{ "name": "now" }])).unwrap();
        assert_eq!(bare[0].parameters, json!({ "type": "object", "properties": {} }));
    }

    #[test]
    fn what_is_no_list_of_tools_is_known() {
        for wrong in [
            json!([]),
            json!({}),
            json!("now"),
            json!([{ "description": "of nothing" }]),
            json!([{ "name": "two words" }]),
            json!([{ "name": "" }]),
            json!([{ "name": "a", "parameters": [] }]),
            json!([{ "name": "a", "description": 1 }]),
            json!([{ "name": "a" }, { "name": "a" }]),
        ] {
            assert_eq!(read(&wrong), None, "{wrong}");
        }
    }
}
