//! What `/api/show` tells of a model. Pure.

use serde_json::{Map, Value};

use crate::backend::gguf::anatomy::{self, Stored};
use crate::backend::gguf::by_name;
use crate::backend::inspect::{cut, flat, text};
use crate::proto::{Anatomy, Inspection, ModelFile};

/// The most tensors that are looked at.
const TENSORS: usize = 1 << 16;

/// Lays what `/api/show` says, and the model's entry of `/api/tags`, over an inspection.
pub fn show(inspection: &mut Inspection, show: &Value, tag: Option<&Value>) {
    inspection.template = text(show.get("template"));
    inspection.licence = text(show.get("license"));
    inspection.system = text(show.get("system"));
    inspection.parameters = text(show.get("parameters")).map(|lines| parameters(&lines)).unwrap_or_default();
    inspection.metadata = show.get("model_info").map(flat).unwrap_or_default();
    inspection.modified = text(show.get("modified_at"));
    inspection.digest = text(tag.and_then(|tag| tag.get("digest")));
    inspection.anatomy = anatomy(show, inspection.model.size_bytes);
    let from = text(show.get("modelfile")).and_then(|file| blob(&file));
    inspection.files = from.map(|path| ModelFile { path, bytes: inspection.model.size_bytes.unwrap_or(0) }).into_iter().collect();
}

/// `temperature 0.7`: a name, blanks and a value a line; quotes around a text are its own.
fn parameters(lines: &str) -> Vec<(String, String)> {
    let pair = |line: &str| {
        let (key, value) = line.trim().split_once(char::is_whitespace)?;
        let value = value.trim();
        let plain = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
        Some((cut(key, 120), cut(plain, 400)))
    };
    lines.lines().take(500).filter_map(pair).collect()
}

/// The file that a model is made from: `FROM /path` of its Modelfile.
fn blob(modelfile: &str) -> Option<String> {
    let path = modelfile.lines().find_map(|line| line.strip_prefix("FROM "))?.trim();
    path.starts_with('/').then(|| cut(path, 1_000))
}

fn anatomy(show: &Value, size: Option<u64>) -> Option<Anatomy> {
    let facts: &Map<String, Value> = show.get("model_info")?.as_object()?;
    let tensors = show.get("tensors").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut anatomy = anatomy::anatomy(facts, tensors.iter().take(TENSORS).filter_map(tensor), "Ollama")?;
    if anatomy.weights == 0 {
        anatomy.weights = size?;
    }
    Some(anatomy)
}

/// `{"name", "type": "Q4_1", "shape": [576, 192]}`: columns come first.
fn tensor(tensor: &Value) -> Option<Stored<'_>> {
    let name = tensor.get("name")?.as_str()?;
    let kind = by_name(tensor.get("type")?.as_str()?)?;
    let shape = tensor.get("shape")?.as_array()?;
    let numbers = shape.iter().map(Value::as_u64).try_fold(1_u64, |product, n| product.checked_mul(n?))?;
    let (per_block, bytes) = kind.block;
    let rows = shape.get(1).and_then(Value::as_u64).unwrap_or(1);
    Some(Stored { name, bytes: numbers.div_ceil(per_block).saturating_mul(bytes), rows })
}
