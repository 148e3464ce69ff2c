//! One job a store. The kernel's lock on a file beside the store says whether the holder lives: it goes with the process,
//! however that ends, and it also holds between containers that share a folder but not their process numbers. The row in
//! the store only says who it is.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::failure;
use crate::{LeaseOwner, StoreError};

/// The lock, for as long as it lives.
pub(super) struct FileLock {
    _file: File,
}

pub(super) fn acquire(connection: &Connection, path: &Path, owner: &LeaseOwner) -> Result<FileLock, StoreError> {
    let fail = |cause| failure::of_sqlite("take", path, cause);
    let lock = lock(connection, path)?;
    if let Some(dead) = holder(connection).map_err(fail)?
        && dead != *owner
    {
        tracing::info!(store = %path.display(), host = dead.host, pid = dead.pid, "took over from a job that died");
    }
    connection
        .execute(
            "INSERT OR REPLACE INTO lease VALUES (1, ?, ?, ?, ?)",
            params![owner.host, owner.pid, owner.instance, owner.started_ms],
        )
        .map_err(fail)?;
    Ok(lock)
}

pub(super) fn release(connection: &Connection, path: &Path, lock: FileLock) -> Result<(), StoreError> {
    connection.execute("DELETE FROM lease", []).map_err(|cause| failure::of_sqlite("give back", path, cause))?;
    drop(lock);
    Ok(())
}

/// Takes the lock, or says who has it. The lock file stays: removing it would let two jobs lock two files.
pub(super) fn lock(connection: &Connection, path: &Path) -> Result<FileLock, StoreError> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(lock_path(path))
        .map_err(|cause| failure::of_system("open the lock file of", path, cause))?;
    match file.try_lock() {
        Ok(()) => Ok(FileLock { _file: file }),
        Err(TryLockError::Error(cause)) => Err(failure::of_system("lock", path, cause)),
        Err(TryLockError::WouldBlock) => Err(held(connection, path)),
    }
}

/// Says who has the lock.
pub(super) fn held(connection: &Connection, path: &Path) -> StoreError {
    // A holder that has just taken the lock needs a moment to write who it is.
    for _ in 0..20 {
        match holder(connection) {
            Ok(Some(owner)) => return StoreError::Held { place: path.display().to_string(), owner },
            Ok(None) => std::thread::sleep(Duration::from_millis(50)),
            Err(cause) => return failure::of_sqlite("read the lease of", path, cause),
        }
    }
    StoreError::Failed {
        action: "take".to_owned(),
        place: path.display().to_string(),
        help: "another program is at work on it, such as one that clears it: wait for it to end",
        passing: true,
        cause: format!("file {:?} is locked", lock_path(path).display()).into(),
    }
}

fn holder(connection: &Connection) -> rusqlite::Result<Option<LeaseOwner>> {
    connection
        .query_row("SELECT host, pid, instance, started FROM lease", [], |row| {
            Ok(LeaseOwner { host: row.get(0)?, pid: row.get(1)?, instance: row.get(2)?, started_ms: row.get(3)? })
        })
        .optional()
}

pub(super) fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}
