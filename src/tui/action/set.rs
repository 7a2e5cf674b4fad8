//! `:set`: a parameter of the conversation, checked before it is sent.

use crate::core::parameters;
use crate::proto::{Command, Subject};
use crate::tui::model::{Model, Waiting};
use crate::tui::overlay::choose::{Choose, Item};
use crate::tui::pane::{Intent, composer};
use crate::tui::text::width::drawable;

/// `:set`: a parameter, checked before it is sent.
pub fn set(model: &mut Model, args: &[String]) {
    let Some(key) = args.first() else { return show_parameters(model) };
    let value = match parameters::parse(key, args.get(1).map_or("", String::as_str)) {
        Ok(value) => value,
        Err(error) => return model.fail(&error),
    };
    if let Some(problem) = unsupported(model, key) {
        model.warn(problem);
    }
    let shown = value.as_ref().map_or_else(|| "its default".to_owned(), ToString::to_string);
    let said = format!("{key} is {} from the next answer on.", drawable(&shown));
    match model.shared.view.conversation {
        Some(conversation) => {
            model.post_for(
                Command::SetParameters { subject: Subject::Conversation(conversation), changes: vec![(key.clone(), value)] },
                Waiting::Say(said),
            );
        }
        None => {
            let parameters = &mut model.shared.view.parameters.0;
            match value {
                Some(value) => parameters.insert(key.clone(), value),
                None => parameters.remove(key),
            };
            model.say(said);
            model.mark(composer::ID);
        }
    }
}

/// What a backend of the chosen model's kind does not take.
fn unsupported(model: &Model, key: &str) -> Option<String> {
    let kind = model.shared.model_info()?.kind;
    let parameter = parameters::find(key)?;
    (!parameter.kinds.contains(&kind)).then(|| format!("A backend of the kind {} does not take {key}; it is kept for others.", kind.word()))
}

/// All parameters with what they are; choosing one begins a `:set` line.
fn show_parameters(model: &mut Model) {
    let now = model.shared.parameters().clone();
    let items = parameters::PARAMETERS
        .iter()
        .map(|parameter| {
            let value = now
                .0
                .get(parameter.key)
                .map_or_else(|| format!("default: {}", parameter.default), |v| drawable(&v.to_string()).into_owned());
            let key = parameter.key;
            Item::new(format!("{key:<15} {}", parameter.about), value, move || Intent::Line(format!("set {key} ")))
        })
        .collect();
    model.push_overlay(Box::new(Choose::new("Parameters", items, 0)));
}
