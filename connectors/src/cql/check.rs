//! What `dataflow doctor` asks of a keyspace. A row that is written is taken back; its tombstone goes with the others.

use scylla::cluster::metadata::Strategy;

use super::dialect::Dialect;
use super::{CqlStore, keyspace, lease, scan};
use crate::check::{self, Answer, Checkup};
use crate::{Store as _, StoreError};

/// Finds out whether the servers serve as a store.
pub(crate) fn check(url: &str, checkup: &mut Checkup) {
    let store = checkup.ask("connect", || {
        let store = CqlStore::connect(url)?;
        let dialect = store.wait(keyspace::dialect(&store.link))?;
        let nodes = store.link.session.get_session().get_cluster_state().get_nodes_info().len();
        let answer = Answer::fine(format!("{}, nodes known: {nodes}", dialect.name()));
        Ok(((store, dialect), answer))
    });
    let Some((mut store, dialect)) = store else { return };
    checkup.ask("durability", || Ok(((), durability(&store, dialect))));
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

/// Whether what a node has acknowledged is on its disk. Users may not be allowed to read either setting.
fn durability(store: &CqlStore, dialect: Dialect) -> Answer {
    const ACTION: &str = "read the settings of";
    let link = &store.link;
    let durable = "SELECT durable_writes FROM system_schema.keyspaces WHERE keyspace_name = ?";
    let durable = store.wait(link.rows(ACTION, durable, (&link.address.keyspace,)));
    let durable =
        durable.ok().and_then(|rows| rows.maybe_first_row::<(Option<bool>,)>().ok()?).and_then(|(flag,)| flag);
    if durable == Some(false) {
        let keyspace = &link.address.keyspace;
        return Answer::advice(
            "the keyspace is made without durable_writes: a node that is killed loses minutes of what it acknowledged",
            format!("ALTER KEYSPACE {keyspace} WITH durable_writes = true"),
        );
    }
    let sync = store.wait(link.rows(ACTION, dialect.setting(), ("commitlog_sync",)));
    let sync = sync.ok().and_then(|rows| rows.maybe_first_row::<(Option<String>,)>().ok()?).and_then(|(value,)| value);
    match sync.as_deref().map(|value| value.trim_matches('"')) {
        Some(sync @ ("batch" | "group")) => {
            Answer::fine(format!("commitlog_sync is {sync}: acknowledged is on the disk"))
        }
        Some(sync) => Answer::advice(
            format!("commitlog_sync is {sync}: a node that is killed loses what it acknowledged last"),
            "commitlog_sync: batch in the servers' configuration, or enough copies that not all of them die at once",
        ),
        None => Answer::fine("the server does not tell its commitlog_sync"),
    }
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
