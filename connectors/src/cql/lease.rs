//! One job a store. Who works on it stands in static columns of the checkpoints' partition, where it fades 30 s after it was
//! last renewed; the epoch beside it stays and rises with each owner. Whoever writes a checkpoint names the epoch that it
//! believes in, in one conditional write, so that a job that lost its lease without noticing changes nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use scylla::statement::Statement;
use scylla::statement::batch::{Batch, BatchType};
use scylla::value::CqlTimestamp;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::bookkeeping::{JOB, applied};
use super::failure::unreadable;
use super::link::Link;
use crate::{LeaseOwner, StoreError};

/// A lease that is not renewed for so long is free.
const LIFE_S: i32 = 30;
/// How often somebody else may be faster.
const ATTEMPTS: u32 = 10;
/// How often it is renewed.
const RENEWAL: Duration = Duration::from_secs(10);

/// A lease that this handle holds.
pub(super) struct Lease {
    pub(super) epoch: i64,
    /// Somebody else has taken it.
    lost: Arc<AtomicBool>,
    /// Dropped to end the renewals.
    stop: oneshot::Sender<()>,
    renewals: JoinHandle<()>,
}

/// What stands beside the checkpoints.
pub(super) struct Standing {
    pub(super) epoch: Option<i64>,
    pub(super) holder: Option<LeaseOwner>,
}

pub(super) async fn standing(link: &Link) -> Result<Standing, StoreError> {
    const ACTION: &str = "read the lease of";
    let text =
        format!("SELECT epoch, host, pid, instance, started FROM {} WHERE job = ? LIMIT 1", link.table("checkpoints"));
    let rows = link.rows(ACTION, text, (JOB,)).await?;
    type Columns = (Option<i64>, Option<String>, Option<i64>, Option<String>, Option<CqlTimestamp>);
    let row = rows.maybe_first_row::<Columns>().map_err(|error| unreadable(ACTION, &link.place(), error))?;
    let Some((epoch, host, pid, instance, started)) = row else { return Ok(Standing { epoch: None, holder: None }) };
    let holder = match (host, pid, instance, started) {
        (Some(host), Some(pid), Some(instance), Some(CqlTimestamp(started_ms))) => {
            let pid = u32::try_from(pid).map_err(|error| unreadable(ACTION, &link.place(), error))?;
            Some(LeaseOwner { host, pid, instance, started_ms })
        }
        _ => None,
    };
    Ok(Standing { epoch, holder })
}

pub(super) async fn acquire(link: &Arc<Link>, owner: &LeaseOwner) -> Result<Lease, StoreError> {
    for _ in 0..ATTEMPTS {
        let Standing { epoch, holder } = standing(link).await?;
        if let Some(holder) = holder {
            if !holder.is_dead_here() {
                return Err(StoreError::Held { place: link.place(), owner: holder });
            }
            tracing::info!(store = link.place(), pid = holder.pid, "takes over from a job of this machine that died");
        }
        let next = epoch.unwrap_or(0) + 1;
        if take(link, owner, epoch, next).await? {
            let lost = Arc::new(AtomicBool::new(false));
            let (stop, stopped) = oneshot::channel();
            let renewals = renew(Arc::clone(link), owner.clone(), next, Arc::clone(&lost), stopped);
            return Ok(Lease { epoch: next, lost, stop, renewals: Handle::current().spawn(renewals) });
        }
        // Somebody was faster: who that is stands there now, unless they are done already.
    }
    Err(StoreError::Failed {
        action: "take".to_owned(),
        place: link.place(),
        help: "other programs take it and give it back all the time: stop them",
        passing: true,
        cause: format!("it was taken by others {ATTEMPTS} times").into(),
    })
}

fn hold(link: &Link) -> String {
    format!(
        "UPDATE {} USING TTL {LIFE_S} SET host = ?, pid = ?, instance = ?, started = ? WHERE job = ? IF epoch = ?",
        link.table("checkpoints")
    )
}

async fn take(link: &Link, owner: &LeaseOwner, before: Option<i64>, epoch: i64) -> Result<bool, StoreError> {
    const ACTION: &str = "take";
    // The epoch itself never fades.
    let raise = format!("UPDATE {} SET epoch = ? WHERE job = ? IF epoch = ?", link.table("checkpoints"));
    let mut batch = Batch::new(BatchType::Unlogged);
    batch.append_statement(link.prepare(ACTION, &Statement::new(raise)).await?);
    batch.append_statement(link.prepare(ACTION, &Statement::new(hold(link))).await?);
    let LeaseOwner { host, pid, instance, started_ms } = owner;
    let hold = (host, i64::from(*pid), instance, CqlTimestamp(*started_ms), JOB, before);
    applied(link, ACTION, &batch, ((epoch, JOB, before), hold)).await
}

/// Renews until it is told to stop or finds the lease gone.
async fn renew(
    link: Arc<Link>,
    owner: LeaseOwner,
    epoch: i64,
    lost: Arc<AtomicBool>,
    mut stopped: oneshot::Receiver<()>,
) {
    while tokio::time::timeout(RENEWAL, &mut stopped).await.is_err() {
        let LeaseOwner { host, pid, instance, started_ms } = &owner;
        let values = (host, i64::from(*pid), instance, CqlTimestamp(*started_ms), JOB, epoch);
        match link
            .rows("renew the lease of", hold(&link), values)
            .await
            .map(|rows| super::bookkeeping::was_applied(&rows))
        {
            Ok(true) => {}
            Ok(false) => {
                tracing::error!(store = link.place(), "another job has taken the store: this one ends");
                lost.store(true, Ordering::Relaxed);
                return;
            }
            // A checkpoint would notice if it were lost.
            Err(error) => tracing::warn!(%error, "could not renew the lease, and tries again"),
        }
    }
}

impl Lease {
    /// An error if somebody else has it now.
    pub(super) async fn check(&self, link: &Link) -> Result<(), StoreError> {
        if self.lost.load(Ordering::Relaxed) { Err(lost(link).await) } else { Ok(()) }
    }

    pub(super) async fn release(self, link: &Link) -> Result<(), StoreError> {
        // A renewal that is under way would outlive the release.
        drop(self.stop);
        if let Err(error) = self.renewals.await {
            tracing::warn!(%error, "the renewals of the lease ended badly");
        }
        let text = format!(
            "UPDATE {} SET host = null, pid = null, instance = null, started = null WHERE job = ? IF epoch = ?",
            link.table("checkpoints")
        );
        link.run("give back", text, (JOB, self.epoch)).await
    }
}

/// Who has a lease that this handle had, as an error.
pub(super) async fn lost(link: &Link) -> StoreError {
    match standing(link).await {
        Ok(Standing { holder: Some(owner), .. }) => StoreError::Held { place: link.place(), owner },
        Ok(Standing { holder: None, .. }) => StoreError::Failed {
            action: "keep".to_owned(),
            place: link.place(),
            help: "start this one again",
            passing: false,
            cause: "another job took it meanwhile".into(),
        },
        Err(error) => error,
    }
}
