//! Presets, templates of groups, versions of settings, and what runs used.
//!
//! Invariant: a version is never changed; a subject's versions are numbered from 1 without gaps, and no two that follow each other
//! are the same.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Store;
use super::fault::Fault;
use super::rows::{node_key, parameters_key};
use super::words::{json, unsigned, uuid};
use crate::core::settings::{State, fold};
use crate::error::Result;
use crate::proto::{ConversationId, Group, NodeId, Parameters, Pointed, Preset, Subject, UnixMs, UsedBy, Version};

/// What a version has beside its parameters.
#[derive(Serialize, Deserialize)]
struct Beside {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    preset: Option<Preset>,
    #[serde(default)]
    pointed: Pointed,
}

/// What a run was begun with.
#[derive(Debug, Clone, PartialEq)]
pub struct RunSettings {
    pub parameters: Parameters,
    /// The system prompt, empty for none; `None`: it was begun by an arbour that did not keep it.
    pub system: Option<String>,
}

/// What is kept of settings.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Kept {
    pub presets: Vec<Preset>,
    pub groups: BTreeMap<String, Group>,
}

pub(super) fn used(
    connection: &Connection,
    node: NodeId,
    parameters: &Parameters,
    system: Option<&str>,
    subjects: &[Subject],
) -> Result<(), Fault> {
    let Some(key) = node_key(connection, node)? else { return Ok(()) };
    let parameters = parameters_key(connection, parameters)?;
    let text = system.unwrap_or_default();
    let hash: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    connection
        .prepare_cached("INSERT INTO system_prompt (hash, text) VALUES (?1, ?2) ON CONFLICT (hash) DO NOTHING")?
        .execute(params![hash, text])?;
    connection
        .prepare_cached("UPDATE run SET parameters = ?2, system = (SELECT key FROM system_prompt WHERE hash = ?3) WHERE node = ?1")?
        .execute(params![key, parameters, hash])?;
    let mut statement = connection.prepare_cached(
        "INSERT INTO run_version (run, version)
         SELECT ?1, key FROM version WHERE subject = ?2 ORDER BY number DESC LIMIT 1
         ON CONFLICT DO NOTHING",
    )?;
    for subject in subjects {
        statement.execute(params![key, subject.to_string()])?;
    }
    Ok(())
}

pub(super) fn put_version(
    connection: &Connection,
    subject: &Subject,
    at: UnixMs,
    about: &str,
    state: &State,
    first: bool,
) -> Result<(), Fault> {
    let subject = subject.to_string();
    let parameters = parameters_key(connection, &state.parameters)?;
    let beside = Beside { preset: state.preset.clone(), pointed: state.pointed.clone() };
    let beside = serde_json::to_value(&beside).unwrap_or_default().to_string();
    let last: Option<(i64, i64, String)> = connection
        .prepare_cached("SELECT number, parameters, beside FROM version WHERE subject = ?1 ORDER BY number DESC LIMIT 1")?
        .query_row([&subject], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let number = match &last {
        Some(_) if first => return Ok(()),
        Some((_, same, besides)) if *same == parameters && *besides == beside => return Ok(()),
        Some((number, ..)) => number + 1,
        None => 1,
    };
    connection
        .prepare_cached("INSERT INTO version (subject, number, at, about, parameters, beside) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![subject, number, at, about, parameters, beside])?;
    Ok(())
}

/// Forgets the versions of a subject whose runs are gone.
pub(super) fn forget(connection: &Connection, subject: &Subject) -> Result<(), Fault> {
    connection.prepare_cached("DELETE FROM version WHERE subject = ?1")?.execute([subject.to_string()])?;
    Ok(())
}

pub(super) fn put_preset(connection: &Connection, name: &str, preset: Option<&Preset>) -> Result<(), Fault> {
    let folded = fold(name);
    match preset {
        Some(preset) => {
            let text = serde_json::to_value(preset).unwrap_or_default().to_string();
            connection
                .prepare_cached(
                    "INSERT INTO preset (folded, preset) VALUES (?1, ?2) ON CONFLICT (folded) DO UPDATE SET preset = excluded.preset",
                )?
                .execute(params![folded, text])?
        }
        None => connection.prepare_cached("DELETE FROM preset WHERE folded = ?1")?.execute([folded])?,
    };
    Ok(())
}

pub(super) fn rename_preset(connection: &Connection, from: &str, to: &str) -> Result<(), Fault> {
    connection.prepare_cached("UPDATE conversation SET preset = ?2 WHERE preset = ?1")?.execute([from, to])?;
    let (from, to) = (Subject::Preset(from.to_owned()).to_string(), Subject::Preset(to.to_owned()).to_string());
    // A preset of that name may have been there before: its versions stay the older ones. From above, so that no two meet.
    let before: i64 =
        connection.prepare_cached("SELECT ifnull(max(number), 0) FROM version WHERE subject = ?1")?.query_row([&to], |row| row.get(0))?;
    connection
        .prepare_cached("UPDATE version SET subject = ?2, number = number + ?3 WHERE subject = ?1")?
        .execute(params![from, to, before])?;
    Ok(())
}

pub(super) fn put_group(connection: &Connection, name: &str, group: Option<&Group>) -> Result<(), Fault> {
    match group {
        Some(group) => {
            let text = serde_json::to_value(group).unwrap_or_default().to_string();
            connection
                .prepare_cached(
                    "INSERT INTO model_group (name, pointed) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET pointed = excluded.pointed",
                )?
                .execute([name, &text])?
        }
        None => connection.prepare_cached("DELETE FROM model_group WHERE name = ?1")?.execute([name])?,
    };
    Ok(())
}

/// All presets and what the groups point to. One that cannot be read any more is left out.
fn kept(connection: &Connection) -> Result<Kept, Fault> {
    let mut kept = Kept::default();
    let mut statement = connection.prepare_cached("SELECT preset FROM preset ORDER BY folded")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        match json(row, 0) {
            Ok(preset) => kept.presets.push(preset),
            Err(error) => tracing::warn!(%error, "a preset cannot be read"),
        }
    }
    let mut statement = connection.prepare_cached("SELECT name, pointed FROM model_group")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        match json(row, 1) {
            Ok(group) => drop(kept.groups.insert(row.get(0)?, group)),
            Err(error) => tracing::warn!(%error, "a group's templates cannot be read"),
        }
    }
    Ok(kept)
}

pub(super) const VERSIONS: &str = "SELECT v.key, v.number, v.at, v.about, p.parameters, v.beside,
            (SELECT count(*) FROM run_version WHERE version = v.key)
     FROM version AS v JOIN parameter_version AS p ON p.key = v.parameters
     WHERE v.subject = ?1 AND (?2 IS NULL OR v.number = ?2) ORDER BY v.number DESC LIMIT ?3";
/// Runs rise with their nodes' keys, so the last of a version is the one with the highest.
pub(super) const LAST_RUN: &str = "SELECT c.id, n.id, c.title, r.started
     FROM run_version AS u JOIN run AS r ON r.node = u.run JOIN node AS n ON n.key = u.run JOIN conversation AS c ON c.key = n.conversation
     WHERE u.version = ?1 ORDER BY u.run DESC LIMIT 1";

fn versions(connection: &mut Connection, subject: &Subject, number: Option<u32>, limit: u32) -> Result<Vec<Version>, Fault> {
    let transaction = connection.transaction()?;
    let mut statement = transaction.prepare_cached(VERSIONS)?;
    let read = |row: &Row<'_>| {
        let beside: Beside = json(row, 5)?;
        let version = Version {
            number: unsigned(row, 1)?,
            at: row.get(2)?,
            about: row.get(3)?,
            parameters: json(row, 4)?,
            preset: beside.preset,
            pointed: beside.pointed,
            runs: unsigned(row, 6)?,
            last_run: None,
        };
        Ok((row.get::<_, i64>(0)?, version))
    };
    let found: Vec<(i64, Version)> =
        statement.query_map(params![subject.to_string(), number, limit], read)?.collect::<rusqlite::Result<_>>()?;
    let mut versions = Vec::with_capacity(found.len());
    for (key, mut version) in found {
        let last = |row: &Row<'_>| {
            Ok(UsedBy { conversation: ConversationId(uuid(row, 0)?), node: NodeId(uuid(row, 1)?), title: row.get(2)?, at: row.get(3)? })
        };
        version.last_run = transaction.prepare_cached(LAST_RUN)?.query_row([key], last).optional()?;
        versions.push(version);
    }
    Ok(versions)
}

fn run_settings(connection: &Connection, node: NodeId) -> Result<Option<RunSettings>, Fault> {
    let read = |row: &Row<'_>| Ok(RunSettings { parameters: json(row, 0)?, system: row.get(1)? });
    let found = connection
        .prepare_cached(
            "SELECT p.parameters, s.text FROM node AS n JOIN run AS r ON r.node = n.key
             JOIN parameter_version AS p ON p.key = r.parameters LEFT JOIN system_prompt AS s ON s.key = r.system
             WHERE n.id = ?1",
        )?
        .query_row([node.0.as_bytes()], read)
        .optional()?;
    Ok(found)
}

impl Store {
    /// Presets, templates, and what groups point to.
    ///
    /// # Errors
    /// What the database says.
    pub async fn kept_settings(&self) -> Result<Kept> {
        self.inner.readers.read(|connection| kept(connection)).await
    }

    /// The versions of a subject's settings, newest first; with `number` that one.
    ///
    /// # Errors
    /// What the database says.
    pub async fn versions(&self, subject: Subject, number: Option<u32>, limit: u32) -> Result<Vec<Version>> {
        self.inner.readers.read(move |connection| versions(connection, &subject, number, limit)).await
    }

    /// What a run was begun with. `None` when there is no such run.
    ///
    /// # Errors
    /// What the database says.
    pub async fn run_settings(&self, node: NodeId) -> Result<Option<RunSettings>> {
        self.inner.readers.read(move |connection| run_settings(connection, node)).await
    }
}
