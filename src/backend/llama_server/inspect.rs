//! What a llama-server tells of a model: its entry in the list, its properties, and its file where that can be read here.

use std::path::Path;

use serde_json::Value;

use super::facts;
use crate::backend::inspect::{flat, read_file, text, without_secrets};
use crate::proto::{Inspection, ModelInfo};

/// Everything about one model. `props`: its properties, where it is loaded; `here`: the server runs on this machine, so that its paths
/// mean files here.
pub async fn inspect(model: ModelInfo, entry: &Value, props: Option<&Value>, here: bool) -> Inspection {
    let mut inspection = Inspection::of(model);
    inspection.metadata = entry.get("meta").map(flat).unwrap_or_default();
    let args = entry.get("status").and_then(|status| status.get("args")).and_then(Value::as_array);
    inspection.arguments = without_secrets(args.into_iter().flatten().filter_map(Value::as_str));
    if let Some(props) = props {
        inspection.template = text(props.get("chat_template"));
        let settings = props.get("default_generation_settings").and_then(|settings| settings.get("params"));
        inspection.parameters = settings.map(flat).unwrap_or_default();
        let told = ["total_slots", "model_path", "build_info"].iter().filter_map(|key| Some((*key, props.get(*key)?)));
        inspection
            .metadata
            .extend(told.map(|(key, value)| (key.to_owned(), value.as_str().map_or_else(|| value.to_string(), str::to_owned))));
    }
    let told = inspection.metadata.clone();
    let path = props.and_then(|props| props.get("model_path")).and_then(Value::as_str);
    let path = path.or_else(|| facts::argument(entry.get("status"), &["--model", "-m"]));
    if let Some(path) = path.filter(|_| here) {
        let projector = facts::argument(entry.get("status"), &["--mmproj", "-mm"]).map(Path::new);
        read_file(&mut inspection, Path::new(path), projector).await;
        // What the file says comes after what the server says.
        if !inspection.files.is_empty() {
            let from_file = std::mem::replace(&mut inspection.metadata, told);
            inspection.metadata.extend(from_file);
        }
    }
    inspection
}
