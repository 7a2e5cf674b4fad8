//! What the backends have in common when they tell all that they know of a model.
//!
//! Invariant: what is handed on is bounded, and holds no secrets.

use std::path::Path;

use serde_json::Value;

use super::gguf::{Want, Whole, anatomy};
use crate::proto::{Inspection, ModelFile};

/// The longest text that is handed on, in characters: licences run to some 30,000.
const TEXT: usize = 200_000;
/// The longest value of a listing.
const VALUE: usize = 400;
/// The most keys of a listing.
const KEYS: usize = 2_000;
/// Deeper than this nothing is listed.
const DEPTH: usize = 6;

/// A text that is not empty, cut where it is too long.
pub fn text(value: Option<&Value>) -> Option<String> {
    let text = value?.as_str()?;
    if text.trim().is_empty() {
        return None;
    }
    Some(cut(text, TEXT))
}

/// Cut to so many characters, with how long it was.
pub fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}… ({} characters)", text.get(..end).unwrap_or_default(), text.chars().count()),
    }
}

/// All values of an object, inner ones by `outer.inner`, lists by what is in them. What is null is left out.
pub fn flat(value: &Value) -> Vec<(String, String)> {
    let mut all = Vec::new();
    flatten(String::new(), value, 0, &mut all);
    all
}

fn flatten(key: String, value: &Value, depth: usize, out: &mut Vec<(String, String)>) {
    if out.len() >= KEYS || depth > DEPTH {
        return;
    }
    match value {
        Value::Null => {}
        Value::Object(entries) => {
            for (inner, value) in entries {
                let name = if key.is_empty() { cut(inner, 120) } else { format!("{key}.{}", cut(inner, 120)) };
                flatten(name, value, depth + 1, out);
            }
        }
        Value::String(text) => out.push((key, cut(text, VALUE))),
        // A list that is long enough to be cut is not written out first.
        Value::Array(entries) if entries.len() > 100 => out.push((key, format!("[{} entries]", entries.len()))),
        other => out.push((key, cut(&other.to_string(), VALUE))),
    }
}

/// Words in the names of options whose values are secrets.
const SECRETS: &[&str] = &["api-key", "token", "password", "secret"];

/// The arguments of a server without the secrets among them.
pub fn without_secrets<'a>(arguments: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut hide = false;
    arguments
        .take(1_000)
        .map(|argument| {
            if std::mem::take(&mut hide) {
                return "[removed]".to_owned();
            }
            let (name, inline) = argument.split_once('=').map_or((argument, false), |(name, _)| (name, true));
            let secret =
                name == "-hft" || (name.starts_with("--") && SECRETS.iter().any(|word| name.contains(word)) && !name.ends_with("-file"));
            match (secret, inline) {
                (true, true) => format!("{name}=[removed]"),
                (secret, _) => {
                    hide = secret;
                    cut(argument, VALUE)
                }
            }
        })
        .collect()
}

/// Reads a model's file on this machine for what decides its memory, and for its metadata. A file that cannot be read changes nothing:
/// the server has its own way to it.
pub async fn read_file(inspection: &mut Inspection, path: &Path, projector: Option<&Path>) {
    if !path.is_absolute() {
        return;
    }
    let path = path.to_owned();
    let read = tokio::task::spawn_blocking(move || Whole::read(&path, Want::Listing).ok()).await.ok().flatten();
    let Some(whole) = read else { return };
    describe(inspection, &whole);
    inspection.anatomy = anatomy::anatomy(&whole.header, anatomy::tensors(&whole.header), "the file");
    if let (Some(anatomy), Some(bytes)) = (&mut inspection.anatomy, projector.and_then(|path| path.metadata().ok())) {
        anatomy.projector = anatomy.projector.saturating_add(bytes.len());
    }
}

/// Lays what a file says over an inspection.
pub fn describe(inspection: &mut Inspection, whole: &Whole) {
    let header = &whole.header;
    let text = |key: &str| header.text(key).filter(|text| !text.trim().is_empty()).map(|text| cut(text, TEXT));
    inspection.template = inspection.template.take().or_else(|| text("tokenizer.chat_template"));
    inspection.licence = inspection.licence.take().or_else(|| text("general.license.text").or_else(|| text("general.license")));
    let shown = |key: &String| {
        // It has a place of its own.
        let value = header.metadata.get(key).filter(|_| key != "tokenizer.chat_template")?;
        Some((cut(key, 120), anatomy::shown(value)))
    };
    inspection.metadata = header.order.iter().take(KEYS).filter_map(shown).collect();
    inspection.files = whole.files.iter().map(|(path, bytes)| ModelFile { path: path.display().to_string(), bytes: *bytes }).collect();
    let modified = whole.files.first().and_then(|(path, _)| path.metadata().ok()?.modified().ok());
    inspection.modified = modified.and_then(|time| jiff::Timestamp::try_from(time).ok()).map(|time| time.strftime("%FT%TZ").to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_leave_the_arguments() {
        let of = |line: &str| without_secrets(line.split(' ')).join(" ");
        assert_eq!(of("llama-server --api-key abc -c 1"), "llama-server --api-key [removed] -c 1");
        assert_eq!(of("--api-key=abc --hf-token x -hft y"), "--api-key=[removed] --hf-token [removed] -hft [removed]");
        assert_eq!(of("--api-key-file /k --cache-type-k q8_0"), "--api-key-file /k --cache-type-k q8_0");
    }

    #[test]
    fn what_is_listed_is_bounded() {
        let mut deep = serde_json::json!(1);
        for _ in 0..100 {
            deep = serde_json::json!({ "a": deep });
        }
        assert!(flat(&deep).is_empty());
        let wide: serde_json::Map<String, Value> = (0..10_000).map(|n| (n.to_string(), Value::from(n))).collect();
        assert_eq!(flat(&Value::Object(wide)).len(), KEYS);
        let long = flat(&serde_json::json!({ "a": { "b": "x".repeat(1000), "c": null, "d": [1, 2] } }));
        assert_eq!(long[0].0, "a.b");
        assert!(long[0].1.ends_with("… (1000 characters)"));
        assert_eq!(long[1..], [("a.d".to_owned(), "[1,2]".to_owned())]);
    }
}
