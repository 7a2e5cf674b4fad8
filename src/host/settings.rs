//! Settings of models, groups and presets, and the versions of each.

use serde_json::Value;

use super::driver::Host;
use crate::error::{Error, Kind, Result};
use crate::proto::{Ack, CommandId, Group, Preset, Subject, Version};

fn unbuilt() -> Error {
    Error::new(Kind::Unsupported, "Settings are not built yet.")
}

impl Host {
    pub(super) async fn set_parameters(
        &mut self,
        _id: CommandId,
        _subject: Subject,
        _changes: Vec<(String, Option<Value>)>,
    ) -> Result<Ack> {
        Err(unbuilt())
    }

    pub(super) async fn save_preset(&mut self, _id: CommandId, _preset: Preset, _was: Option<String>) -> Result<Ack> {
        Err(unbuilt())
    }

    pub(super) async fn delete_preset(&mut self, _id: CommandId, _name: &str) -> Result<Ack> {
        Err(unbuilt())
    }

    pub(super) async fn set_group(&mut self, _id: CommandId, _name: String, _group: Group) -> Result<Ack> {
        Err(unbuilt())
    }

    pub(super) async fn restore_version(&mut self, _id: CommandId, _subject: Subject, _number: u32) -> Result<Ack> {
        Err(unbuilt())
    }

    pub(super) async fn versions(&self, _subject: Subject, _limit: u32) -> Result<Vec<Version>> {
        Err(unbuilt())
    }
}
