//! What SQLite's errors mean for the person who reads them.

use std::path::Path;

use rusqlite::ErrorCode;

use crate::StoreError;

/// What helps against a damaged file.
pub(super) const DAMAGED: &str =
    "the file is damaged: move it away together with its -wal and -shm files and replay, or restore a copy";
const PERMISSION: &str = "check that this user may write the file, its -wal and -shm files and their folder";

/// An error of SQLite while doing something to a store.
pub(super) fn of_sqlite(action: &str, path: &Path, cause: rusqlite::Error) -> StoreError {
    let (help, passing) = match cause.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            ("another process works on it: wait for that to end, or stop it", true)
        }
        Some(ErrorCode::DatabaseCorrupt) => (DAMAGED, false),
        Some(ErrorCode::NotADatabase) => ("the file is no SQLite database: name another one", false),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => (PERMISSION, false),
        Some(ErrorCode::DiskFull) => ("free space on its disk: what was written before is safe", true),
        Some(ErrorCode::CannotOpen) => ("check that it is a file in a folder that this user may write", false),
        Some(ErrorCode::SystemIoFailure) => ("its disk or file system failed: look into the system's log", false),
        _ => ("this is unexpected: keep the file for a report", false),
    };
    StoreError::Failed {
        action: action.to_owned(),
        place: path.display().to_string(),
        help,
        passing,
        cause: Box::new(cause),
    }
}

/// An error of the operating system.
pub(super) fn of_system(action: &str, path: &Path, cause: std::io::Error) -> StoreError {
    let help = match cause.kind() {
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => PERMISSION,
        std::io::ErrorKind::AlreadyExists | std::io::ErrorKind::NotADirectory => {
            "a part of its path is a file and no folder: name another one"
        }
        std::io::ErrorKind::Unsupported => "its file system has no file locks: put the store on a local disk",
        _ => "check its path and disk",
    };
    StoreError::Failed {
        action: action.to_owned(),
        place: path.display().to_string(),
        help,
        passing: false,
        cause: Box::new(cause),
    }
}

/// Something in the file that this program did not write.
pub(super) fn damaged(action: &str, path: &Path, problem: String) -> StoreError {
    StoreError::Failed {
        action: action.to_owned(),
        place: path.display().to_string(),
        help: DAMAGED,
        passing: false,
        cause: problem.into(),
    }
}
