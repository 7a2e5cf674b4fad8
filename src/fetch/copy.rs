//! A model file of this machine, copied into the folder of models: piece by piece, so that it can be watched, paused and gone on with.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::UNIX_EPOCH;

use super::part::{Origin, Part};
use super::{Fault, Job, Report, name};
use crate::error::{Error, Kind, Result};

/// Bytes that are read at a time: a few milliseconds of a slow disk.
const PIECE: usize = 1 << 20;

/// Copies `from` to where the job says. Gives the SHA-256.
///
/// # Errors
/// [`Kind::File`] when it cannot be read or changes meanwhile; as for a download else.
pub(super) async fn copy(from: &Path, job: &Job, report: Report<'_>) -> Result<String> {
    let unreadable = |e: std::io::Error| {
        Error::new(Kind::File, format!("{} cannot be read on the host's machine.", name(from))).hint("Look at the path.").cause(e)
    };
    let mut file = File::open(from).map_err(unreadable)?;
    let meta = file.metadata().map_err(unreadable)?;
    if !meta.is_file() {
        return Err(Error::new(Kind::File, format!("{} is no file.", name(from))).hint("Name one GGUF file."));
    }
    let changed = meta.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok()).map_or(0, |since| since.as_nanos());
    let origin = Origin { url: from.to_string_lossy().into_owned(), validator: Some(format!("{} {changed}", meta.len())) };
    let mut part = Part::open(job, report).await?;
    if part.origin != origin || part.length() > meta.len() {
        part.restart()?;
        part.set_origin(origin)?;
    }
    file.seek(SeekFrom::Start(part.length())).map_err(unreadable)?;
    let total = Some(meta.len());
    part.tell(total, true, report);
    let mut buffer = Vec::new();
    loop {
        let read = tokio::task::spawn_blocking(move || {
            buffer.resize(PIECE, 0);
            let read = loop {
                match file.read(&mut buffer) {
                    Err(e) if e.kind() == ErrorKind::Interrupted => {}
                    other => break other,
                }
            };
            (file, buffer, read)
        });
        let (given_back, pieces, read) =
            read.await.map_err(|e| Error::new(Kind::Internal, "Copying a model file was broken off.").cause(e))?;
        (file, buffer) = (given_back, pieces);
        let piece = buffer.get(..read.map_err(unreadable)?).unwrap_or_default();
        if piece.is_empty() {
            break;
        }
        part.push(piece)?;
        part.tell(total, false, report);
    }
    if part.length() != meta.len() {
        part.restart()?;
        return Err(Error::new(Kind::File, format!("{} changed while it was copied.", name(from))).hint("Copy it again when it is whole."));
    }
    part.tell(total, true, report);
    match part.check(job) {
        Ok(()) => part.finish(job).await,
        Err(Fault::Again(error, _) | Fault::Next(error) | Fault::Fatal(error)) => Err(error),
    }
}
