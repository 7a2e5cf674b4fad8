//! How nouns of the protocol stand in columns, both ways.
//!
//! Invariant: whatever is written here is read back as it was; a word that is not known is damage, never a guess.

use rusqlite::Row;
use uuid::Uuid;

use super::fault::unreadable;
use crate::proto::{Facts, Figure, Figures, Finish, Part, Role, Source, State, Titled};

/// A UUID in a column.
pub(super) fn uuid(row: &Row<'_>, column: usize) -> rusqlite::Result<Uuid> {
    row.get::<_, [u8; 16]>(column).map(Uuid::from_bytes)
}

/// A UUID in a column that may be empty.
pub(super) fn uuid_if(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Uuid>> {
    Ok(row.get::<_, Option<[u8; 16]>>(column)?.map(Uuid::from_bytes))
}

pub(super) fn role(row: &Row<'_>, column: usize) -> rusqlite::Result<Role> {
    let word = row.get_ref(column)?.as_str()?;
    [Role::System, Role::User, Role::Assistant, Role::Tool]
        .into_iter()
        .find(|role| role.word() == word)
        .ok_or_else(|| unreadable(column, "the role", word))
}

pub(super) fn state(row: &Row<'_>, column: usize) -> rusqlite::Result<State> {
    let word = row.get_ref(column)?.as_str()?;
    State::from_word(word).ok_or_else(|| unreadable(column, "the state", word))
}

/// A letter that is none.
pub(super) fn unreadable_letter(column: usize) -> rusqlite::Error {
    unreadable(column, "the letter of a mark", "")
}

pub(super) fn titled(row: &Row<'_>, column: usize) -> rusqlite::Result<Titled> {
    let word = row.get_ref(column)?.as_str()?;
    [Titled::Words, Titled::Model, Titled::Person]
        .into_iter()
        .find(|titled| titled.word() == word)
        .ok_or_else(|| unreadable(column, "who gave the title", word))
}

/// Reasons with a word of their own. [`Finish::Other`] is `other:` and the server's word.
const FINISHES: [(Finish, &str); 7] = [
    (Finish::Stop, "stop"),
    (Finish::Length, "length"),
    (Finish::ToolCalls, "tool_calls"),
    (Finish::ContentFilter, "content_filter"),
    (Finish::Cancelled, "cancelled"),
    (Finish::Error, "error"),
    (Finish::HostStopped, "host_stopped"),
];

pub(super) fn finish_word(finish: &Finish) -> String {
    if let Finish::Other(word) = finish {
        return format!("other:{word}");
    }
    FINISHES.iter().find(|(known, _)| known == finish).map_or("stop", |(_, word)| word).to_owned()
}

pub(super) fn finish(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Finish>> {
    let Some(word) = row.get_ref(column)?.as_str_or_null()? else { return Ok(None) };
    if let Some(other) = word.strip_prefix("other:") {
        return Ok(Some(Finish::Other(other.to_owned())));
    }
    let known = FINISHES.iter().find(|(_, known)| *known == word);
    known.map(|(finish, _)| Some(finish.clone())).ok_or_else(|| unreadable(column, "the end", word))
}

/// A JSON value in a column.
pub(super) fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error)))
}

/// A JSON value in a column that may be empty.
pub(super) fn json_if<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>> {
    if row.get_ref(column)?.as_str_or_null()?.is_some() { json(row, column).map(Some) } else { Ok(None) }
}

/// A count or size in a column; SQLite knows no unsigned numbers.
pub(super) fn unsigned<T: TryFrom<i64>>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let value: i64 = row.get(column)?;
    T::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

/// The letter of a figure's source.
pub(super) fn letter(source: Source) -> char {
    match source {
        Source::Server => 's',
        Source::Measured => 'm',
        Source::Estimated => 'e',
    }
}

/// The source that such a letter stands for.
pub(super) fn source(column: usize, word: &str) -> rusqlite::Result<Source> {
    let known = [Source::Server, Source::Measured, Source::Estimated];
    known
        .into_iter()
        .find(|source| word == letter(*source).to_string())
        .ok_or_else(|| unreadable(column, "where a figure comes from", word))
}

/// Calls a macro with the figures in the order of their columns.
macro_rules! figures {
    ($then:ident) => {
        $then!(
            queued_ms,
            connect_ms,
            load_ms,
            prompt_ms,
            ttft_ms,
            generate_ms,
            total_ms,
            prompt_tokens,
            cached_tokens,
            completion_tokens,
            prompt_per_s,
            tokens_per_s,
            context,
            cost,
            thinking_ms,
            thinking_tokens
        )
    };
}

macro_rules! figure_columns {
    ($first:ident $(, $field:ident)*) => { concat!(stringify!($first) $(, ", ", stringify!($field))*) };
}

/// The columns of all figures, for a statement.
pub(super) const FIGURE_COLUMNS: &str = figures!(figure_columns);

/// How many figures there are.
pub(super) const FIGURES: usize = {
    macro_rules! count {
        ($($field:ident),*) => { [$(stringify!($field)),*].len() };
    }
    figures!(count)
};

/// All figures: first the column with their sources, then a column each.
pub(super) fn figures_at(row: &Row<'_>, first: usize) -> rusqlite::Result<Figures> {
    let sources = row.get_ref(first)?.as_str()?;
    let mut at = first;
    let mut letters = sources.chars();
    let mut next = || {
        at += 1;
        let source = match letters.next() {
            // A column that is younger than the row has no letter.
            Some('-') | None => return Ok(None),
            Some('s') => Source::Server,
            Some('m') => Source::Measured,
            Some('e') => Source::Estimated,
            Some(_) => return Err(unreadable(first, "one of the sources", sources)),
        };
        Ok(Some(Figure { value: row.get(at)?, source }))
    };
    macro_rules! read {
        ($($field:ident),*) => { Figures { $($field: next()?),* } };
    }
    Ok(figures!(read))
}

/// The sources of all figures, and their values in the order of the columns. What is no number cannot be stored: it is not known.
pub(super) fn figure_values(figures: &Figures) -> (String, [Option<f64>; FIGURES]) {
    macro_rules! list {
        ($($field:ident),*) => { [$(figures.$field),*] };
    }
    let known = figures!(list).map(|figure| figure.filter(|figure| !figure.value.is_nan()));
    (known.iter().map(|figure| figure.map_or('-', |figure| letter(figure.source))).collect(), known.map(|figure| figure.map(|f| f.value)))
}

/// A part as its columns.
pub(super) struct PartColumns<'a> {
    pub kind: &'static str,
    pub call: Option<&'a str>,
    pub name: Option<&'a str>,
    pub mime: Option<&'a str>,
    pub blob: Option<&'a str>,
    pub text: &'a str,
    /// JSON, of attachments.
    pub facts: Option<String>,
}

/// Takes a part apart into its columns.
pub(super) fn part_columns(part: &Part) -> PartColumns<'_> {
    let plain = PartColumns { kind: "text", call: None, name: None, mime: None, blob: None, text: "", facts: None };
    match part {
        Part::Text { text } => PartColumns { text, ..plain },
        Part::Thinking { text } => PartColumns { kind: "thinking", text, ..plain },
        Part::ToolCall { id, name, arguments } => {
            PartColumns { kind: "tool_call", call: Some(id), name: Some(name), text: arguments, ..plain }
        }
        Part::ToolResult { id, content } => PartColumns { kind: "tool_result", call: Some(id), text: content, ..plain },
        Part::Image { blob, mime, name, facts } => {
            PartColumns { kind: "image", blob: Some(blob), mime: Some(mime), name: Some(name), facts: written(facts), ..plain }
        }
        Part::File { blob, mime, name, facts } => {
            PartColumns { kind: "file", blob: Some(blob), mime: Some(mime), name: Some(name), facts: written(facts), ..plain }
        }
    }
}

fn written(facts: &Facts) -> Option<String> {
    serde_json::to_string(facts).ok()
}

/// Puts a part together from `kind, call, name, mime, blob, text, facts` beginning at a column.
pub(super) fn part_at(row: &Row<'_>, first: usize) -> rusqlite::Result<Part> {
    let or_empty = |column: usize| row.get::<_, Option<String>>(column).map(Option::unwrap_or_default);
    let (call, name, mime, blob, text) = (first + 1, first + 2, first + 3, first + 4, first + 5);
    let facts = || Ok::<_, rusqlite::Error>(json_if::<Facts>(row, first + 6)?.unwrap_or_default());
    Ok(match row.get_ref(first)?.as_str()? {
        "text" => Part::Text { text: row.get(text)? },
        "thinking" => Part::Thinking { text: row.get(text)? },
        "tool_call" => Part::ToolCall { id: or_empty(call)?, name: or_empty(name)?, arguments: row.get(text)? },
        "tool_result" => Part::ToolResult { id: or_empty(call)?, content: row.get(text)? },
        "image" => Part::Image { blob: or_empty(blob)?, mime: or_empty(mime)?, name: or_empty(name)?, facts: facts()? },
        "file" => Part::File { blob: or_empty(blob)?, mime: or_empty(mime)?, name: or_empty(name)?, facts: facts()? },
        other => return Err(unreadable(first, "the kind of part", other)),
    })
}
