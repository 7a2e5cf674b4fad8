//! Templates: texts for messages (`NAME.md`) and beginnings of conversations (`NAME.toml`), as people keep them in files.
//!
//! Owns: the folder, both formats, the language of `{{variables}}` and its expansion. Refuses: to know parameters and models (whoever
//! reads says what a value must be), to ask a person, and clocks: what `{{date}}` is, is passed in. Invariant: a fault costs the template
//! that it stands in and nothing else, and names file, line and fix; what is expanded has no open variable, no circle, and a bounded size.

mod files;
mod message;
mod read;
mod setup;
mod text;

#[cfg(test)]
mod tests;

use crate::error::{Error, Kind, Result, nearest, quoted};
use crate::proto::{Parameters, Role};

pub use files::{read, save};
pub use setup::written;
pub use text::{BUILT_IN, Values, fill};

use text::Piece;

/// What a value of a parameter must be: gives it as it is kept.
pub type Check<'a> = &'a dyn Fn(&str, serde_json::Value) -> Result<serde_json::Value>;

/// Longest text that a template becomes, in bytes: what the composer takes.
const LONGEST: usize = 1024 * 1024;
/// Includes within each other, and pieces in all: beyond it a template is a mistake or a prank.
const DEEPEST: usize = 32;
const MOST_PIECES: usize = 20_000;

/// Something that is asked for before a template is used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variable {
    pub name: String,
    /// Without one it has to be asked for.
    pub default: Option<String>,
    /// What it can be; empty: anything.
    pub choices: Vec<String>,
    pub help: String,
    /// Its text may have several lines.
    pub multiline: bool,
}

/// A text with variables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text(Vec<Piece>);

/// A template of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// The path below the folder without its ending: `team/review`.
    pub name: String,
    pub path: String,
    pub about: String,
    /// What its head says of variables.
    pub declared: Vec<Variable>,
    pub text: Text,
}

/// A template of a conversation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Setup {
    pub name: String,
    pub path: String,
    pub about: String,
    pub declared: Vec<Variable>,
    pub title: Option<Text>,
    /// As a person names it: any part of its name that is unique.
    pub model: Option<String>,
    pub system: Option<Text>,
    pub preset: Option<String>,
    pub parameters: Parameters,
    /// The names of the folders on the way to it, with slashes between.
    pub folder: Option<String>,
    pub tags: Vec<String>,
    pub messages: Vec<(Role, Text)>,
    /// The last message, which is then the person's, is sent; else it is put into the composer.
    pub send: bool,
}

/// Which kind of file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    Message,
    Conversation,
}

/// A file that is no template, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Broken {
    pub name: String,
    pub path: String,
    pub sort: Sort,
    /// At least one.
    pub errors: Vec<Error>,
}

/// All templates of a folder, by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Library {
    pub messages: Vec<Message>,
    pub conversations: Vec<Setup>,
    pub broken: Vec<Broken>,
}

impl Library {
    /// The template of a message. `None`: nothing in the folder is called so.
    ///
    /// # Errors
    /// What is wrong with its file.
    #[must_use]
    pub fn message(&self, name: &str) -> Option<Result<&Message>> {
        match self.messages.iter().find(|message| message.name == name) {
            Some(message) => Some(Ok(message)),
            None => self.fault(Sort::Message, name).map(Err),
        }
    }

    /// The template of a conversation.
    ///
    /// # Errors
    /// There is none, or what is wrong with its file.
    pub fn conversation(&self, name: &str) -> Result<&Setup> {
        if let Some(setup) = self.conversations.iter().find(|setup| setup.name == name) {
            return Ok(setup);
        }
        if let Some(error) = self.fault(Sort::Conversation, name) {
            return Err(error);
        }
        let error = Error::new(Kind::NotFound, format!("There is no template of conversations called {}.", quoted(name)));
        Err(match nearest(name, self.conversations.iter().map(|setup| setup.name.as_str())) {
            Some(near) => error.hint(format!("Did you mean {near}?")),
            None => error.hint("They are TOML files in the folder templates/ of the config directory; `:new-from` lists them."),
        })
    }

    fn fault(&self, sort: Sort, name: &str) -> Option<Error> {
        let broken = self.broken.iter().find(|broken| broken.sort == sort && broken.name == name)?;
        let mut error = broken.errors.first()?.clone();
        if broken.errors.len() > 1 {
            error.hints.push(format!("{} more in this file.", broken.errors.len() - 1));
        }
        Some(error)
    }

    /// A text with what it includes in its place.
    ///
    /// # Errors
    /// An include that is not there, is broken or leads back to itself (the chain is named), or a text without end.
    pub fn flat(&self, from: &str, text: &Text) -> Result<Text> {
        let mut out = Vec::new();
        let mut chain = vec![from.to_owned()];
        self.flatten(text, &mut chain, &mut out)?;
        Ok(Text(out))
    }

    fn flatten(&self, text: &Text, chain: &mut Vec<String>, out: &mut Vec<Piece>) -> Result<()> {
        for piece in &text.0 {
            let Piece::Include { name, at } = piece else {
                out.push(piece.clone());
                if out.len() > MOST_PIECES {
                    return Err(endless(chain));
                }
                continue;
            };
            if let Some(start) = chain.iter().position(|known| known == name) {
                let circle: Vec<&str> = chain[start..].iter().chain([name]).map(String::as_str).collect();
                return Err(Error::new(Kind::Config, format!("{at}: templates include each other in a circle: {}.", circle.join(" → ")))
                    .hint("Take one of the includes out."));
            }
            let included = match self.message(name) {
                Some(found) => found?,
                None => {
                    let error = Error::new(Kind::Config, format!("{at}: there is no template {} to include.", quoted(name)));
                    return Err(match nearest(name, self.messages.iter().map(|message| message.name.as_str())) {
                        Some(near) => error.hint(format!("Did you mean {near}?")),
                        None => error.hint("A template is included by its name below templates/, as in {{> team/footer}}."),
                    });
                }
            };
            if chain.len() >= DEEPEST {
                return Err(endless(chain));
            }
            chain.push(name.clone());
            self.flatten(&included.text, chain, out)?;
            chain.pop();
        }
        Ok(())
    }

    /// What the texts ask for, in the order in which it stands in them: with what this template, else an included one, says of each.
    #[must_use]
    pub fn asks(&self, declared: &[Variable], texts: &[&Text]) -> Vec<Variable> {
        let mut out: Vec<Variable> = Vec::new();
        for piece in texts.iter().flat_map(|text| &text.0) {
            let Piece::Variable { name, default } = piece else { continue };
            if BUILT_IN.contains(&name.as_str()) {
                continue;
            }
            if let Some(known) = out.iter_mut().find(|known| known.name == *name) {
                if known.default.is_none() {
                    known.default.clone_from(default);
                }
                continue;
            }
            let said = declared.iter().chain(self.messages.iter().flat_map(|message| &message.declared)).find(|said| said.name == *name);
            let mut variable = said.cloned().unwrap_or_else(|| Variable { name: name.clone(), ..Variable::default() });
            if default.is_some() {
                variable.default.clone_from(default);
            }
            out.push(variable);
        }
        out
    }
}

fn endless(chain: &[String]) -> Error {
    let first = chain.first().map_or("", String::as_str);
    Error::new(Kind::Config, format!("The template {} includes too much: it would become longer than a message can be.", quoted(first)))
        .hint("Take some of its includes out.")
}

impl Message {
    /// All that is asked for, and the text to fill in.
    ///
    /// # Errors
    /// What is wrong with what it includes.
    pub fn resolved(&self, library: &Library) -> Result<(Vec<Variable>, Text)> {
        let text = library.flat(&self.name, &self.text)?;
        Ok((library.asks(&self.declared, &[&text]), text))
    }
}

impl Setup {
    /// The same with what its texts include in its place, and all that is asked for.
    ///
    /// # Errors
    /// What is wrong with what it includes.
    pub fn resolved(&self, library: &Library) -> Result<(Vec<Variable>, Self)> {
        let flat = |text: &Text| library.flat(&self.name, text);
        let flat = Self {
            title: self.title.as_ref().map(flat).transpose()?,
            system: self.system.as_ref().map(flat).transpose()?,
            messages: self.messages.iter().map(|(role, text)| Ok((*role, flat(text)?))).collect::<Result<_>>()?,
            ..self.clone()
        };
        let texts: Vec<&Text> = flat.title.iter().chain(&flat.system).chain(flat.messages.iter().map(|(_, text)| text)).collect();
        let asks = library.asks(&self.declared, &texts);
        Ok((asks, flat))
    }
}
