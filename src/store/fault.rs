//! What SQLite and the disk say, turned into what a person can use.
//!
//! Invariant: every failure that leaves the store names the file and says what to do; nothing here deletes or repairs.

use std::io;
use std::path::Path;

use rusqlite::ffi::ErrorCode;

use crate::error::{Error, Kind};

/// A failure inside the store, before it is told to anybody.
#[derive(Debug)]
pub(super) enum Fault {
    Sql(rusqlite::Error),
    Io(io::Error),
    /// Already in words.
    Said(Box<Error>),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A failure that is in words already.
pub(super) fn said(error: Error) -> Fault {
    Fault::Said(Box::new(error))
}

/// A value in the database that no arbour of this version writes.
pub(super) fn unreadable(column: usize, what: &'static str, value: &str) -> rusqlite::Error {
    let cause = format!("{what} {value:?} is not known");
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, cause.into())
}

impl Fault {
    /// In words, for the database at `path`.
    pub(super) fn tell(self, path: &Path) -> Error {
        match self {
            Self::Said(error) => *error,
            Self::Io(error) => tell_io(&error, path),
            Self::Sql(error) => tell_sql(&error, path),
        }
    }
}

fn tell_io(error: &io::Error, path: &Path) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Kind::DiskFull,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Kind::ReadOnly,
        _ => Kind::File,
    };
    words(kind, path).cause(error)
}

fn tell_sql(error: &rusqlite::Error, path: &Path) -> Error {
    let kind = match error {
        rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
            ErrorCode::DiskFull => Kind::DiskFull,
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied => Kind::ReadOnly,
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed => Kind::Locked,
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Kind::DatabaseCorrupt,
            ErrorCode::CannotOpen | ErrorCode::SystemIoFailure | ErrorCode::NoLargeFileSupport => Kind::File,
            _ => Kind::Internal,
        },
        // A table that should be there is not, or a column holds what no arbour writes.
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::Utf8Error(..) => Kind::DatabaseCorrupt,
        _ => Kind::Internal,
    };
    words(kind, path).cause(error)
}

fn words(kind: Kind, path: &Path) -> Error {
    let path = path.display();
    match kind {
        Kind::DiskFull => Error::new(kind, format!("The disk is full: what just happened could not be saved to {path}."))
            .hint("Free some space on that disk, then do it again; what was saved before is safe.")
            .hint("Or give arbour a folder on another disk with --home or ARBOUR_HOME."),
        Kind::ReadOnly => Error::new(kind, format!("arbour may not write to its database {path}."))
            .hint("Make the file and its folder writable for you (chmod u+w), or mount that disk for writing.")
            .hint("Or give arbour a folder of your own with --home or ARBOUR_HOME."),
        Kind::Locked => Error::new(kind, format!("Another program holds the database {path}, so arbour cannot use it now."))
            .hint("Close that program (perhaps an open sqlite3 shell or a backup), then try again.")
            .hint("`fuser` with that path names the process that has it open."),
        Kind::DatabaseCorrupt => Error::new(kind, format!("The database {path} is damaged or is no database; arbour leaves it as it is."))
            .hint("First copy the file and those beside it that end in -wal and -shm to a safe place.")
            .hint("Then rescue what is readable: `sqlite3 arbour.db .recover | sqlite3 rescued.db`, and put rescued.db in its place.")
            .hint("Or move the file aside (do not delete it): arbour then begins with an empty one."),
        Kind::File => Error::new(kind, format!("The database {path} cannot be opened, read or written."))
            .hint("See that the path is a file, that its disk is there, and that you may read and write it and its folder."),
        _ => Error::new(kind, format!("The database {path} refused what arbour asked of it; this is a fault of arbour's own."))
            .hint("Please report it, with the log; what was saved before is safe."),
    }
}
