//! What `dataflow doctor` asks of a store in a file. Nothing stays behind: a row is written in a transaction that is rolled
//! back, and where there is no store yet, one beside its place is made and removed.

use std::fs::TryLockError;
use std::path::{Path, PathBuf};

use rusqlite::TransactionBehavior;

use super::{SqliteStore, failure, lease, values};
use crate::check::{self, Answer, Checkup};
use crate::{Store as _, StoreError};

/// Finds out whether the file, or the folder it will be in, serves as a store.
pub fn check(path: &Path, checkup: &mut Checkup) {
    let is_there = path.metadata().is_ok_and(|file| file.len() > 0);
    if !is_there {
        checkup.ask("place", || place(path));
        return;
    }
    let store = checkup.ask("open", || {
        let store = SqliteStore::open(path)?;
        let bytes = path.metadata().map_or(0, |file| file.len());
        let seen = format!("schema is this version's, SQLite {}, {} MiB", rusqlite::version(), bytes >> 20);
        Ok((store, Answer::fine(seen)))
    });
    let Some(mut store) = store else { return };
    checkup.ask("job", || Ok(((), job(&store)?)));
    checkup.ask("write", || {
        try_row(&mut store)?;
        Ok(((), Answer::fine("a row was written, read and rolled back")))
    });
    checkup.ask("checkpoint", || {
        let seen = match store.latest_checkpoint()? {
            Some(checkpoint) => format!("number {} is whole: the job goes on from there", checkpoint.id),
            None => "none yet: the job begins at the beginning".to_owned(),
        };
        Ok(((), Answer::fine(seen)))
    });
}

/// The store does not exist: its first folder that does has to take one.
fn place(path: &Path) -> Result<((), Answer), Answer> {
    let folder = path.ancestors().skip(1).find(|folder| folder.as_os_str().is_empty() || folder.exists());
    let folder = folder.unwrap_or(Path::new(""));
    let name = folder.join(format!(".plenum-doctor-{}.db", std::process::id()));
    let tried = SqliteStore::open(&name).and_then(|mut store| try_row(&mut store));
    let removed = ["", "-wal", "-shm", "-journal"].into_iter().try_for_each(|end| {
        let file = PathBuf::from(format!("{}{end}", name.display()));
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(failure::of_system("remove the trial of", &file, error))
            }
            _ => Ok(()),
        }
    });
    tried.and(removed)?;
    let shown = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    Ok(((), Answer::fine(format!("no store yet; one can be made in folder {:?}", shown.display()))))
}

/// Whether a job works on the store.
fn job(store: &SqliteStore) -> Result<Answer, StoreError> {
    // Without the lock's file nobody has ever held it; asking must not make it.
    let lock = match std::fs::File::open(lease::lock_path(&store.path)) {
        Ok(file) => file.try_lock(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => return Err(failure::of_system("open the lock file of", &store.path, error)),
    };
    match lock {
        Ok(()) => Ok(Answer::fine("no job holds it")),
        Err(TryLockError::WouldBlock) => {
            let held = lease::held(&store.connection, &store.path);
            Ok(Answer::advice(held.to_string(), "this is as it should be while that job runs"))
        }
        Err(TryLockError::Error(error)) => Err(failure::of_system("lock", &store.path, error)),
    }
}

fn try_row(store: &mut SqliteStore) -> Result<(), StoreError> {
    let row = check::row();
    let sql = &store.tables[row.table as usize];
    let failed = |cause| failure::of_sqlite("write a row to", &store.path, cause);
    let transaction = store.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    {
        let mut statement = transaction.prepare_cached(&sql.upsert).map_err(failed)?;
        values::bind_row(&mut statement, &row).and_then(|()| statement.raw_execute()).map_err(failed)?;
    }
    let read = values::read_page(&transaction, sql, &values::Part { prefix: row.key(), range: None, after: None }, 2)
        .map_err(|error| error.into_store_error(&store.path, row.table))?;
    transaction.rollback().map_err(failed)?;
    if read == [row] {
        return Ok(());
    }
    Err(failure::damaged("write a row to", &store.path, format!("{} other rows were read back", read.len())))
}
