//! What `dataflow doctor` asks of a keyspace. A row that is written is taken back; its tombstone goes with the others.

use scylla::cluster::metadata::Strategy;

use super::{CqlStore, keyspace, lease, scan};
use crate::check::{self, Answer, Checkup};
use crate::{Store as _, StoreError};

/// Finds out whether the servers serve as a store.
pub(crate) fn check(url: &str, checkup: &mut Checkup) {
    let store = checkup.ask("connect", || {
        let store = CqlStore::connect(url)?;
        let dialect = store.wait(keyspace::dialect(&store.link))?;
        let nodes = store.link.session.get_session().get_cluster_state().get_nodes_info().len();
        Ok((store, Answer::fine(format!("{}, nodes known: {nodes}", dialect.name()))))
    });
    let Some(mut store) = store else { return };
    let is_there = checkup.ask("schema", || match store.wait(keyspace::differences(&store.link))? {
        None => {
            Ok((false, Answer::fine("no keyspace yet: the first start makes it, or `dataflow store schema create`")))
        }
        Some(found) if !found.wrong.is_empty() => {
            Err(Answer::failed(found.words().join("; "), "change what differs, or name another keyspace"))
        }
        Some(found) if found.words().is_empty() => Ok((true, Answer::fine("schema is this version's"))),
        Some(found) => {
            let help = "the next start makes what is missing, or `dataflow store schema create`";
            Ok((false, Answer::advice(found.words().join("; "), help)))
        }
    });
    if is_there != Some(true) {
        return;
    }
    checkup.ask("copies", || Ok(((), copies(&store))));
    checkup.ask("job", || {
        let answer = match store.wait(lease::standing(&store.link))?.holder {
            None => Answer::fine("no job holds it"),
            Some(owner) if owner.is_dead_here() => {
                Answer::fine("the job that held it died: the next one takes over at once")
            }
            Some(owner) => {
                let held = StoreError::Held { place: store.link.place(), owner };
                Answer::advice(held.to_string(), "this is as it should be while that job runs")
            }
        };
        Ok(((), answer))
    });
    checkup.ask("write", || {
        try_row(&mut store)?;
        Ok(((), Answer::fine("a row was written, read and taken back")))
    });
    checkup.ask("checkpoint", || {
        let seen = match store.latest_checkpoint()? {
            Some(checkpoint) => format!("number {} is whole: the job goes on from there", checkpoint.id),
            None => "none yet: the job begins at the beginning".to_owned(),
        };
        Ok(((), Answer::fine(seen)))
    });
}

/// How many copies the keyspace has of each row.
fn copies(store: &CqlStore) -> Answer {
    let state = store.link.session.get_session().get_cluster_state();
    let copies = match state.get_keyspace(&store.link.address.keyspace).map(|keyspace| &keyspace.strategy) {
        Some(Strategy::NetworkTopologyStrategy { datacenter_repfactors }) => {
            datacenter_repfactors.values().copied().min().unwrap_or(0)
        }
        Some(Strategy::SimpleStrategy { replication_factor }) => *replication_factor,
        _ => return Answer::advice("the number of copies is not known", "see DESCRIBE KEYSPACE"),
    };
    if copies > 1 {
        return Answer::fine(format!("{copies} copies of each row"));
    }
    Answer::advice(
        "one copy of each row",
        "a node that is lost takes its rows along: ALTER KEYSPACE to 3 copies where there are 3 nodes; with one node, \
         commitlog_sync: batch keeps what was acknowledged when it is killed",
    )
}

fn try_row(store: &mut CqlStore) -> Result<(), StoreError> {
    const ACTION: &str = "write a row to";
    let row = check::row();
    store.write(std::slice::from_ref(&row))?;
    let mut read = Vec::new();
    store.wait(scan::scan(&store.link, row.table, row.key(), &mut |row| {
        read.push(row);
        std::ops::ControlFlow::Continue(())
    }))?;
    store.remove(std::slice::from_ref(&row))?;
    if read == [row] {
        return Ok(());
    }
    Err(super::failure::unreadable(ACTION, &store.link.place(), format!("{} other rows were read back", read.len())))
}
