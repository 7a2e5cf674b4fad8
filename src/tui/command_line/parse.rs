//! What a `:` line says: an action and its arguments.

use crate::core::parameters;
use crate::error::{Error, Kind, Result, nearest, quoted};
use crate::tui::action::{ALL, Action, ActionInfo, Invocation, Takes};
use crate::tui::screen;

/// Reads a command line; a leading `:` is allowed. The last argument takes the rest of the line as it stands; earlier ones end at a
/// space, or stand in double quotes.
///
/// # Errors
/// [`Kind::Usage`] when nothing is called so, when an argument is missing, too many are given, or one is not among those possible.
pub fn parse(line: &str) -> Result<Invocation> {
    let line = line.trim().trim_start_matches(':').trim();
    if line.is_empty() {
        return Err(Error::new(Kind::Usage, "There is no command.").hint("`:help` lists them all."));
    }
    let (info, rest) = find(line)?;
    let invocation = Invocation { action: info.action, args: arguments(info, rest)? };
    if let Some(missing) = invocation.missing() {
        return Err(Error::new(Kind::Usage, format!("`:{}` needs a {}.", info.name(), missing.name.replace('_', " ")))
            .hint(format!("Write `:{}`.", info.usage())));
    }
    check(info, &invocation.args)?;
    Ok(invocation)
}

/// The same for a keymap's value, where a needed argument may be left out: it is asked for then.
///
/// # Errors
/// As [`parse`], but for missing arguments; and edit commands are known.
pub fn parse_binding(value: &str) -> Result<Invocation> {
    let value = value.trim();
    if let Ok(action @ Action::Edit(_)) = value.parse() {
        return Ok(Invocation::new(action));
    }
    let (info, rest) = find(value)?;
    let args = arguments(info, rest)?;
    check(info, &args)?;
    Ok(Invocation { action: info.action, args })
}

/// The action that a line begins with (the longest name wins: `model start` before `model`), and what follows.
pub(super) fn find(line: &str) -> Result<(&'static ActionInfo, &str)> {
    let mut best: Option<(&'static ActionInfo, &str, usize)> = None;
    for info in ALL {
        for name in std::iter::once(&info.id).chain(info.names) {
            if let Some(rest) = strip_words(line, name)
                && best.is_none_or(|(.., length)| length < name.len())
            {
                best = Some((info, rest, name.len()));
            }
        }
    }
    if let Some((info, rest, _)) = best {
        return Ok((info, rest));
    }
    let first = line.split_whitespace().next().unwrap_or_default();
    let error = Error::new(Kind::Usage, format!("No command is called {}.", quoted(first)));
    let names = || ALL.iter().flat_map(|info| info.names.iter().chain(std::iter::once(&info.id))).copied();
    let lower = first.to_lowercase();
    let near = nearest(&lower, names()).or_else(|| (lower.len() > 1).then(|| names().find(|name| name.starts_with(&lower))).flatten());
    Err(match near {
        Some(near) => error.hint(format!("Did you mean `:{near}`?")),
        None => error,
    }
    .hint("`:help` lists all commands."))
}

/// The line after `words`, when it begins with just these words.
fn strip_words<'l>(line: &'l str, words: &str) -> Option<&'l str> {
    let mut rest = line;
    for word in words.split(' ') {
        rest = rest.trim_start().strip_prefix(word)?;
        if !rest.is_empty() && !rest.starts_with(char::is_whitespace) {
            return None;
        }
    }
    Some(rest.trim_start())
}

fn arguments(info: &ActionInfo, rest: &str) -> Result<Vec<String>> {
    let mut rest = rest.trim();
    if info.arguments.is_empty() && !rest.is_empty() {
        return Err(Error::new(Kind::Usage, format!("`:{}` takes nothing, and {} follows.", info.name(), quoted(rest)))
            .hint(format!("Write `:{}`.", info.name())));
    }
    let mut args = Vec::new();
    for left in (0..info.arguments.len()).rev() {
        if rest.is_empty() {
            break;
        }
        let (arg, after) = if left == 0 { (unquoted(rest), "") } else { word(rest) };
        args.push(arg.to_owned());
        rest = after.trim_start();
    }
    Ok(args)
}

/// The first word of a line, or its first quoted text, and what follows.
fn word(line: &str) -> (&str, &str) {
    if let Some((inside, after)) = line.strip_prefix('"').and_then(|rest| rest.split_once('"'))
        && (after.is_empty() || after.starts_with(char::is_whitespace))
    {
        return (inside, after);
    }
    line.split_once(char::is_whitespace).unwrap_or((line, ""))
}

fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).filter(|inside| !inside.contains('"')).unwrap_or(text)
}

/// More words than a person would read in a line.
const MANY: usize = 20;

/// Holds the arguments whose values are known for good; models, branches and the like are for whoever has the lists.
fn check(info: &ActionInfo, args: &[String]) -> Result<()> {
    for (argument, given) in info.arguments.iter().zip(args) {
        if let (Takes::Value, Some(key)) = (argument.takes, args.first()) {
            parameters::parse(key, given)?;
        }
        let words: Vec<&str> = match argument.takes {
            Takes::Parameter => parameters::PARAMETERS.iter().map(|p| p.key).collect(),
            Takes::OneOf(words) => words.to_vec(),
            Takes::Pane => screen::panes().collect(),
            Takes::Kind => super::KINDS.to_vec(),
            _ => continue,
        };
        if !words.contains(&given.as_str()) {
            let error = Error::new(Kind::Usage, format!("{} is not a {}.", quoted(given), argument.name.replace('_', " ")));
            return Err(match nearest(given, words.iter().copied()) {
                Some(near) => error.hint(format!("Did you mean {near}?")),
                None => error,
            }
            .hint(if words.len() > MANY {
                "`:parameters` shows them all.".to_owned()
            } else {
                format!("It takes {}.", words.join(", "))
            }));
        }
    }
    Ok(())
}
