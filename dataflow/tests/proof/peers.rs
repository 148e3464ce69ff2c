//! What states are told of their peers, against plain sorted lists.

use std::ops::ControlFlow;

use connectors::Store as _;
use connectors::memory::MemoryStore;
use model::tables::TableId;
use model::{Compared, Peers, Verdict};

use crate::plain::{Means, means};
use crate::world::World;

/// Every comparison in the store is with the window before, and where there are peers for a metric that is found there is one.
/// How many there are.
pub fn agree(world: &World, store: &MemoryStore) -> Result<u64, String> {
    let means = means(world);
    let (mut compared, mut wrong) = (0, None);
    store
        .clone()
        .scan(TableId::DeviceStateSnapshots, &[], &mut |row| {
            let text = |column: &str| row.value(column).as_text().unwrap_or_default().to_owned();
            let start_ms = row.value("snapshot_time").as_int().expect("a state has a start");
            let verdicts: Vec<Verdict> = serde_json::from_str(&text("verdicts")).expect("a state has its verdicts");
            let every_ms = world.settings.window_ms * i64::from(crate::quick_monitor().peers.every_windows);
            let mut before_ms = start_ms - world.settings.window_ms;
            while before_ms % every_ms != 0 {
                before_ms -= world.settings.window_ms;
            }
            let before = (before_ms, text("device_type"));
            match one(&means, &before, &verdicts) {
                Ok(count) => compared += count,
                Err(error) => wrong = wrong.take().or(Some(format!("{} {start_ms}: {error}", text("device_id")))),
            }
            ControlFlow::Continue(())
        })
        .expect("memory does not fail");
    wrong.map_or(Ok(compared), Err)
}

fn one(means: &Means, before: &(i64, String), verdicts: &[Verdict]) -> Result<u64, String> {
    let all: Vec<&Compared> = verdicts.iter().flat_map(|verdict| &verdict.compared).collect();
    let wanted = |metric: &str| {
        let list = means.get(&(before.0, before.1.clone(), metric.to_owned()))?;
        (list.len() >= crate::quick_monitor().peers.min_devices as usize).then(|| plain(list))
    };
    for compared in &all {
        if wanted(&compared.metric) != Some(compared.peers) || compared.peers_ms != before.0 {
            return Err(format!("{compared:?}, and plainly {:?}", wanted(&compared.metric)));
        }
    }
    // Others may be taken for a status or a counter.
    let always = "supply_air_temp";
    let is_found = verdicts.iter().filter(|verdict| verdict.severity.is_some()).any(|verdict| {
        verdict.findings.iter().any(|finding| finding.metric.as_deref() == Some(always) && finding.kind != "missing")
    });
    if is_found && wanted(always).is_some() && !all.iter().any(|compared| compared.metric == always) {
        return Err(format!("nothing is compared, and plainly {:?}", wanted(always)));
    }
    Ok(all.len() as u64)
}

/// The spread of a sorted list, its values rounded to nine leading bits.
fn plain(list: &[f64]) -> Peers {
    let rounded = |at: usize| {
        let value: f64 = list[at];
        let mut step = 1.0;
        while value.abs() >= 512.0 * step {
            step *= 2.0;
        }
        while value != 0.0 && value.abs() < 256.0 * step {
            step /= 2.0;
        }
        (value / step).round() * step
    };
    let last = list.len() - 1;
    Peers {
        devices: list.len() as u32,
        lowest: rounded(0),
        lower: rounded(last / 4),
        median: rounded(last / 2),
        upper: rounded(last - last / 4),
        highest: rounded(last),
    }
}
