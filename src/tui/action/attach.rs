//! Attaching: files that the text names, files asked for by name, long pastes; and taking them away again.
//!
//! Invariant: what is to go along is shown with its size before the message is sent; what cannot go along is said, and the message stays.

use crate::client::attach::Attachment;
use crate::client::folder::Taken;
use crate::error::{Error, Kind, Result};
use crate::proto::{Ack, Part, Query};
use crate::tui::attached::{MOST, Offer, label, name};
use crate::tui::composer::{Edit, MOST_BYTES, MOST_COLUMNS};
use crate::tui::errand::{Errand, For, quoted_word, words};
use crate::tui::format;
use crate::tui::keymap::Mode;
use crate::tui::model::{Model, Waiting};
use crate::tui::msg::Cmd;
use crate::tui::overlay::choose::{Choose, Item};
use crate::tui::pane::{Intent, composer};
use crate::tui::shared::Writing;
use crate::tui::text::width::drawable;

use super::{Action, Scope, talk};

/// Longer pastes become attachments: lines, characters of a line.
const LINES: usize = 10;
const COLUMNS: usize = 1000;
/// Longer ones are refused, in bytes.
const LONGEST: usize = 5_000_000;
/// Texts beyond this are not looked through for names of files as they are typed.
const LOOKED_THROUGH: usize = 100_000;

/// `A`, `:attach PATH`, `:attach clipboard`.
pub fn attach(model: &mut Model, path: &str) {
    if refused(model) {
        return;
    }
    match path.trim() {
        "clipboard" => model.cmds.push(Cmd::ReadClipboard),
        path => fetch(model, vec![path.trim_start_matches('@').to_owned()], For::Named),
    }
}

/// Whether nothing can be attached now. Why is said.
fn refused(model: &mut Model) -> bool {
    if let Writing::System { .. } | Writing::Tool { .. } = model.shared.view.writing {
        model.say("Nothing can be attached to what is written now.");
        return true;
    }
    model.refuse_offline()
}

fn fetch(model: &mut Model, paths: Vec<String>, why: For) {
    for path in &paths {
        match why {
            For::Words => model.shared.attached.look(path.clone()),
            // What names nothing is text, also when the message is sent again.
            For::Sending => model.shared.attached.know(path.clone()),
            For::Named | For::Pasted(_) => {}
        }
    }
    model.shared.attached.reading += 1;
    model.cmds.push(Cmd::Errand(Errand::Attach { paths, why }));
}

/// Words of the text that were finished: those that name files are attached.
pub fn look(model: &mut Model) {
    let words = {
        let composer = model.shared.composer.borrow();
        let text = composer.text();
        if !text.contains('@') || text.len() > LOOKED_THROUGH {
            return;
        }
        model.shared.attached.unseen(words(&text))
    };
    if !words.is_empty() && model.shared.is_up() && !matches!(model.shared.view.writing, Writing::System { .. } | Writing::Tool { .. }) {
        fetch(model, words, For::Words);
    }
}

/// Whether everything that goes along with this text is at the host. If not, it is brought there, and the message is sent after it.
pub fn ready(model: &mut Model, text: &str) -> bool {
    let words = if text.contains('@') { model.shared.attached.unknown(words(text)) } else { Vec::new() };
    if !words.is_empty() {
        model.shared.attached.sending = true;
        fetch(model, words, For::Sending);
        return false;
    }
    if model.shared.attached.is_there() {
        return true;
    }
    model.shared.attached.sending = true;
    model.say("The message is sent once what is attached is at the host.");
    false
}

/// Files were read, or not.
pub fn read(model: &mut Model, why: For, files: Vec<(String, Result<Attachment>)>, folders: Vec<(String, Result<Taken>)>) {
    model.shared.attached.reading = model.shared.attached.reading.saturating_sub(1);
    model.mark(composer::ID);
    if let For::Pasted(text) = why {
        return pasted_path(model, &text, files);
    }
    let mut problem = None;
    for (written, result) in files {
        // What a word names and cannot be attached is said as it is written, which passes with the next key; so it is said again when
        // the message is sent.
        if why == For::Sending || (why == For::Words && result.is_ok()) {
            model.shared.attached.know(written);
        }
        match result {
            Ok(file) => add(model, file),
            Err(error) => problem = problem.or(Some(error)),
        }
    }
    // A folder is asked about, which is for the moment when the message is sent, or when somebody asked for it.
    for (written, result) in folders.into_iter().filter(|_| why != For::Words) {
        match result {
            Ok(taken) => {
                // Asked again when the question is closed without an answer.
                model.shared.attached.unknow(&written);
                return offer(model, Offer { written, taken, sending: model.shared.attached.sending });
            }
            Err(error) => {
                model.shared.attached.know(written);
                problem = problem.or(Some(error));
            }
        }
    }
    if let Some(mut error) = problem {
        if std::mem::take(&mut model.shared.attached.sending) {
            error.hints.push("The message stays here; sent again, the word goes as text.".to_owned());
        }
        return model.fail(&error);
    }
    on_with_it(model);
}

fn add(model: &mut Model, file: Attachment) {
    if model.refuse_offline() {
        return;
    }
    let name = file.name.clone();
    match model.shared.attached.add(file) {
        Some((id, command)) => model.post_for(command, Waiting::Piece(id)),
        None if model.shared.attached.chips().len() >= MOST => {
            model.warn(format!("A message takes {MOST} attachments; {} was not attached.", drawable(&name)));
        }
        None => model.say(format!("{} is attached already.", drawable(&name))),
    }
    model.mark(composer::ID);
    model.mark_status();
}

/// Says what of a folder goes along, and asks.
fn offer(model: &mut Model, offer: Offer) {
    let taken = &offer.taken;
    let bytes: u64 = taken.files.iter().map(|file| file.facts.bytes).sum();
    let tokens: u64 = taken.files.iter().map(|file| u64::from(file.facts.tokens)).sum();
    let shown = crate::sanitise::cut(&offer.written, 40).into_owned();
    let mut intro = vec![format!(
        "{}, {}, ~{} tokens.",
        format::plural(taken.files.len() as u64, "text file"),
        format::file_size(bytes),
        format::short(tokens)
    )];
    let names: Vec<_> = taken.files.iter().take(8).map(|file| drawable(&file.name).into_owned()).collect();
    let more = taken.files.len().saturating_sub(names.len());
    intro.push(if more > 0 { format!("{} and {more} more.", names.join(", ")) } else { format!("{}.", names.join(", ")) });
    let left: Vec<String> = [(taken.ignored, "by ignore rules"), (taken.other, "no text"), (taken.long, "too long")]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, why)| format!("{count} {why}"))
        .collect();
    if !left.is_empty() {
        intro.push(format!("Left out: {}.", left.join(", ")));
    }
    let yes = if offer.sending { "Attach them and send" } else { "Attach them" };
    let mut items = vec![Item::new(yes, "", || Intent::TakeFolder(true))];
    if offer.sending {
        items.push(Item::new("Send the word as text", "", || Intent::TakeFolder(false)));
    }
    model.shared.attached.offer = Some(offer);
    model.shared.attached.sending = false;
    let sentences: Vec<&str> = intro.iter().map(String::as_str).collect();
    model.push_overlay(Box::new(Choose::new(format!("Attach {}?", drawable(&shown)), items, 0).intro(&sentences)));
}

/// What becomes of the folder that was asked about.
pub fn offered(model: &mut Model, take: bool) {
    let Some(Offer { written, taken, sending }) = model.shared.attached.offer.take() else { return };
    model.shared.attached.know(written);
    if take {
        for file in taken.files {
            add(model, file);
        }
    }
    if sending {
        model.shared.attached.sending = true;
        on_with_it(model);
    }
}

/// A piece is at the host, or was refused.
pub fn arrived(model: &mut Model, id: u64, result: Result<Ack>) {
    match result {
        Ok(Ack::Blob { have }) => {
            if model.shared.attached.arrived(id, have) {
                again(model, id);
            }
        }
        Ok(_) => {}
        Err(error) => {
            model.shared.attached.sending = false;
            model.shared.attached.remove(id);
            model.fail(&error);
        }
    }
    talk::draft_changed(model);
    on_with_it(model);
}

fn again(model: &mut Model, id: u64) {
    if let Some(piece) = model.shared.attached.piece(id) {
        model.post_for(piece, Waiting::Piece(id));
    }
}

/// The link stands again: what was on its way goes on.
pub fn go_on(model: &mut Model) {
    for id in model.shared.attached.going() {
        again(model, id);
    }
}

/// Sends the message that waited for its attachments.
fn on_with_it(model: &mut Model) {
    if model.shared.attached.sending && model.shared.attached.is_there() {
        model.shared.attached.sending = false;
        talk::send_on(model);
    }
}

/// Tab behind an `@`: the path before the cursor. `false`: there is none.
pub fn complete_path(model: &mut Model, back: bool) -> bool {
    let before = model.shared.composer.borrow().before();
    let Some((_, typed)) = token(&before) else { return false };
    model.cmds.push(Cmd::Errand(Errand::Paths { typed, back }));
    true
}

/// What it may go on with.
pub fn complete(model: &mut Model, typed: &str, back: bool, names: Vec<String>) {
    let before = model.shared.composer.borrow().before();
    // What was typed meanwhile is another question.
    let Some((token, _)) = token(&before).filter(|(_, now)| now == typed) else { return };
    let written = |name: &String| match name.ends_with('/') && name.contains(char::is_whitespace) {
        true => format!("@\"{name}"),
        false => quoted_word(name),
    };
    let mut items: Vec<String> = names.iter().map(written).filter(|item| *item != token).collect();
    if back {
        items.reverse();
    }
    if items.is_empty() {
        return model.say("No file there begins so.");
    }
    let alone = items.len() == 1 && !items[0].ends_with('/');
    let outcome = model.shared.composer.borrow_mut().complete_from(&token, items);
    talk::edited(model, outcome);
    if alone {
        look(model);
    }
}

/// The `@path` that a line ends with: as it stands there, and the path in it.
fn token(before: &str) -> Option<(String, String)> {
    let begins = |at: usize| before[..at].chars().next_back().is_none_or(|c| c.is_whitespace() || "([{".contains(c));
    if let Some(at) = before.rfind("@\"").filter(|at| begins(*at))
        && !before[at + 2..].contains('"')
    {
        return Some((before[at..].to_owned(), before[at + 2..].to_owned()));
    }
    let at = before.rfind('@').filter(|at| begins(*at))?;
    let typed = &before[at + 1..];
    (!typed.contains(char::is_whitespace) && !typed.contains('"')).then(|| (before[at..].to_owned(), typed.to_owned()))
}

/// Whether a text is more than the composer takes.
pub fn is_too_long(text: &str) -> bool {
    text.len() > MOST_BYTES || text.lines().any(|line| line.len() > MOST_COLUMNS && line.chars().count() > MOST_COLUMNS)
}

/// Something was pasted into the composer. `false`: it is text like any other.
pub fn paste(model: &mut Model, text: &str) -> bool {
    if let Writing::System { .. } | Writing::Tool { .. } = model.shared.view.writing {
        return false;
    }
    if text.len() > LONGEST {
        let size = format::file_size(text.len() as u64);
        model.fail(
            &Error::new(Kind::Usage, format!("The pasted text is {size} long; up to 5 MB can be pasted, so it was left out."))
                .hint("Save it as a file and take out what matters; no model reads that much at once."),
        );
        return true;
    }
    if !model.shared.is_up() {
        return false;
    }
    if text.lines().count() > LINES || text.lines().any(|line| line.len() > COLUMNS && line.chars().count() > COLUMNS) {
        let name = model.shared.attached.paste_name();
        text_errand(model, name, text.replace("\r\n", "\n").replace('\r', "\n"));
        return true;
    }
    if let Some(path) = dragged(text) {
        fetch(model, vec![path], For::Pasted(text.to_owned()));
        return true;
    }
    false
}

fn text_errand(model: &mut Model, name: String, text: String) {
    model.shared.attached.reading += 1;
    model.cmds.push(Cmd::Errand(Errand::Text { name, text }));
}

/// The path that a terminal writes for a file that is dropped on it: whole, in quotes, with backslashes, or as an address.
fn dragged(text: &str) -> Option<String> {
    let text = text.trim();
    if text.len() > 4096 || text.contains('\n') {
        return None;
    }
    let quoted = ['\'', '"'].iter().find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote));
    let bare = quoted.unwrap_or(text);
    if let Some(address) = bare.strip_prefix("file://") {
        return decoded(address);
    }
    if !bare.starts_with('/') && !bare.starts_with("~/") {
        return None;
    }
    Some(if quoted.is_some() {
        bare.to_owned()
    } else {
        bare.replace("\\ ", " ").replace("\\(", "(").replace("\\)", ")").replace("\\'", "'")
    })
}

/// The path of a `file://` address.
fn decoded(address: &str) -> Option<String> {
    let path = &address[address.find('/')?..];
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        match after.get(..2).filter(|_| *first == b'%').and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

/// A path was pasted: of a file that can be attached, it is; anything else is text.
fn pasted_path(model: &mut Model, text: &str, files: Vec<(String, Result<Attachment>)>) {
    let file = files.into_iter().find_map(|(written, result)| Some((written, result.ok()?)));
    let text = match &file {
        Some((written, _)) => format!("{} ", quoted_word(written)),
        None => text.to_owned(),
    };
    let outcome = model.shared.composer.borrow_mut().paste(&text);
    talk::edited(model, outcome);
    if let Some((written, file)) = file {
        model.shared.attached.know(written);
        add(model, file);
    }
}

/// A text that was pasted became an attachment, or not.
pub fn text(model: &mut Model, result: Result<Attachment>) {
    model.shared.attached.reading = model.shared.attached.reading.saturating_sub(1);
    match result {
        Ok(file) => {
            let lines = String::from_utf8_lossy(&file.bytes).lines().count() as u64;
            let (name, expands) = (file.name.clone(), model.shared.key(Scope::ComposerNormal, Action::PasteExpand));
            add(model, file);
            if model.shared.is_up() {
                model.say(format!("{name}, {}, is attached ({expands} puts it into the text).", format::plural(lines, "line")));
            }
        }
        Err(error) => {
            model.shared.attached.sending = false;
            model.fail(&error);
        }
    }
    on_with_it(model);
}

/// What the desktop's clipboard holds.
pub fn clipboard(model: &mut Model, result: Option<std::result::Result<String, String>>) {
    match result {
        Some(Ok(text)) if !text.trim().is_empty() && text.len() <= LONGEST => text_errand(model, "clipboard.txt".to_owned(), text),
        Some(Ok(text)) if text.len() > LONGEST => model.warn("The clipboard holds more than 5 MB of text, so it was not attached."),
        Some(Ok(_)) => model.say("The clipboard holds no text."),
        Some(Err(why)) => model.fail(
            &Error::new(Kind::File, format!("The clipboard holds no text that could be read: {why}"))
                .hint("Save a picture as a file, and attach that."),
        ),
        None => model.fail(
            &Error::new(Kind::Unsupported, "There is no clipboard here that arbour can read; over SSH it would be another machine's.")
                .hint("Paste with your terminal's own key instead: what is long becomes an attachment."),
        ),
    }
}

/// `:detach [N]`: the last one, or the one of that number.
pub fn detach(model: &mut Model, number: Option<&String>) {
    let chips = model.shared.attached.chips();
    let at = match number.map(|number| number.trim().parse::<usize>()) {
        None => chips.len(),
        Some(Ok(number)) => number,
        Some(Err(_)) => 0,
    };
    let Some((id, shown)) = at.checked_sub(1).and_then(|at| chips.get(at)).map(|chip| (chip.id, name(&chip.part).to_owned())) else {
        return model.say(if chips.is_empty() {
            "Nothing is attached.".to_owned()
        } else {
            format!("There are attachments 1 to {}.", chips.len())
        });
    };
    model.shared.attached.remove(id);
    // Its word stays text, wherever it stands.
    model.shared.attached.know(shown.clone());
    talk::draft_changed(model);
    model.say(format!("{} is not attached any more.", drawable(&shown)));
}

/// Backspace in an empty composer takes the last attachment away. True: it did.
pub fn backspace(model: &mut Model, edit: Edit) -> bool {
    let empty = {
        let composer = model.shared.composer.borrow();
        composer.is_empty() && composer.mode() == Mode::Insert
    };
    let takes = edit == Edit::Backspace && empty && !model.shared.attached.is_empty();
    if takes {
        detach(model, None);
    }
    takes
}

/// `:paste-expand [N]`: the text of an attachment comes into the composer instead.
pub fn expand(model: &mut Model, number: Option<&String>) {
    let wanted = number.and_then(|number| number.trim().parse::<usize>().ok());
    let chips = model.shared.attached.chips().iter().enumerate().rev();
    let found = chips
        .filter(|(at, _)| wanted.is_none_or(|wanted| wanted == at + 1))
        .find_map(|(_, chip)| if let Part::File { blob, .. } = &chip.part { Some((chip.id, blob.clone())) } else { None });
    let Some((id, hash)) = found else { return model.say("No text is attached that could be put into the message.") };
    if !model.shared.attached.is_there() {
        return model.say("It is still on its way to the host; try again in a moment.");
    }
    if !model.refuse_offline() {
        model.ask(Query::Blob { hash, offset: 0 }, Waiting::Expand(id));
    }
}

/// The text of an attachment came.
pub fn expanded(model: &mut Model, id: u64, total: u64, data: Vec<u8>) {
    let Some(shown) = model.shared.attached.chips().iter().find(|chip| chip.id == id).map(label) else { return };
    let text = String::from_utf8(data).ok().filter(|text| text.len() as u64 == total);
    let Some(text) = text else { return model.warn(format!("{shown} is too long to stand in the message; it stays attached.")) };
    let outcome = model.shared.composer.borrow_mut().paste(&text);
    if outcome.problem.is_none() {
        model.shared.attached.remove(id);
    }
    talk::edited(model, outcome);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_as_terminals_paste_them() {
        assert_eq!(dragged("'/home/me/my oak.png' ").as_deref(), Some("/home/me/my oak.png"));
        assert_eq!(dragged("/home/me/my\\ oak\\(1\\).png").as_deref(), Some("/home/me/my oak(1).png"));
        assert_eq!(dragged("file:///tmp/a%20b.txt").as_deref(), Some("/tmp/a b.txt"));
        assert_eq!(dragged("two words"), None);
        assert_eq!(dragged("/a\n/b"), None);
    }

    #[test]
    fn the_path_before_the_cursor() {
        let of = |text: &str| token(text).map(|(_, typed)| typed);
        assert_eq!(of("see @src/m").as_deref(), Some("src/m"));
        assert_eq!(of("see @\"my fi").as_deref(), Some("my fi"));
        assert_eq!(of("me@src"), None);
        assert_eq!(of("@\"a b\""), None);
        assert_eq!(of("@a b"), None);
        assert_eq!(of("(@").as_deref(), Some(""));
    }
}
