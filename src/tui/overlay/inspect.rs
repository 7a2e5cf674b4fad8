//! All that is known of a model, as a page: facts, licence, template, parameters, metadata.

use super::page::Page;
use crate::proto::Inspection;
use crate::tui::format;
use crate::tui::text::width::{drawable, pad};
use crate::tui::theme::Role;

/// Makes the page.
#[must_use]
pub fn page(inspection: &Inspection) -> Page {
    let model = &inspection.model;
    let mut text: Vec<(String, Role)> = Vec::new();
    let mut fact = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            text.push((format!("{} {}", pad(name, 13), drawable(&value)), Role::Text));
        }
    };
    fact("backend", Some(format!("{} ({})", model.backend, model.kind.word())));
    fact("family", model.family.clone());
    fact("size", model.size_bytes.map(|n| format!("{} ({} bytes)", format::bytes(n), format::grouped(n))));
    fact("quantisation", model.quantisation.clone());
    fact("context", crate::tui::listing::context(model));
    fact("can", Some(model.capabilities.join(", ")));
    fact("modified", inspection.modified.clone());
    fact("digest", inspection.digest.clone());
    if let Some(anatomy) = &inspection.anatomy {
        let heads = anatomy.kv_heads.iter().max().copied().unwrap_or(0);
        fact("layers", (anatomy.layers > 0).then(|| format!("{}, {} heads, {heads} for keys and values", anatomy.layers, anatomy.heads)));
        fact("width", (anatomy.width > 0).then(|| format::grouped(u64::from(anatomy.width))));
        fact("weights", (anatomy.weights > 0).then(|| format::bytes(anatomy.weights)));
        fact("window", anatomy.window.map(|n| format!("{} tokens", format::grouped(u64::from(n)))));
    }
    for file in &inspection.files {
        fact("file", Some(format!("{} ({})", file.path, format::bytes(file.bytes))));
    }
    if !inspection.arguments.is_empty() {
        fact("started as", Some(inspection.arguments.join(" ")));
    }
    let mut section = |title: &str, body: Vec<(String, Role)>| {
        if !body.is_empty() {
            text.push((String::new(), Role::Text));
            text.push((title.to_owned(), Role::Accent));
            text.extend(body);
        }
    };
    let pairs = |pairs: &[(String, String)]| -> Vec<(String, Role)> {
        pairs.iter().map(|(key, value)| (format!("{}  {}", pad(&drawable(key), 20), drawable(value)), Role::Text)).collect()
    };
    let code = |text: &Option<String>| -> Vec<(String, Role)> { text.iter().map(|text| (text.clone(), Role::CodeText)).collect() };
    section("Parameters that it comes with", pairs(&inspection.parameters));
    section("System prompt that it comes with", code(&inspection.system));
    section("Template", code(&inspection.template));
    section("Licence", code(&inspection.licence));
    section("Metadata", pairs(&inspection.metadata));
    let name = model.reference().to_string();
    let copy: String = text.iter().map(|(line, _)| format!("{line}\n")).collect();
    Page::new(drawable(&name), text).copies(copy, "all that is known of the model")
}
