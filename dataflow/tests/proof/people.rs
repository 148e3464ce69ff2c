//! People who ask something of a running job now and then: words on incidents that its store holds, and maintenance.

use std::ops::ControlFlow;

use connectors::Store as _;
use connectors::memory::MemoryStore;
use dataflow::controls::{ASKED_MS, Ask, Maintenance, Placed, Resolution, Resolve};
use model::tables::TableId;
use model::{Row, Value};

use crate::random::Random;
use crate::world::START_MS;

fn rows(store: &mut MemoryStore, table: TableId) -> Vec<Row> {
    let mut rows = Vec::new();
    let keep = &mut |row| {
        rows.push(row);
        ControlFlow::Continue(())
    };
    store.scan(table, &[], keep).expect("memory does not fail");
    rows
}

/// Asks for one thing; `now` tells apart and orders what is asked for.
pub fn ask(store: &mut MemoryStore, now: i64, random: &mut Random) {
    let incidents = rows(store, TableId::AnomalyEvents);
    let ask = if !incidents.is_empty() && random.chance(0.6) {
        Ask::Resolve(resolve(random.pick(&incidents), now, random))
    } else {
        let statistics = rows(store, TableId::DeviceStatistics);
        let newest_ms = statistics.iter().filter_map(|row| row.value("last_seen").as_int()).max().unwrap_or(START_MS);
        let from_ms = newest_ms + random.between(-60_000, 120_000);
        let building_id = random.chance(0.3).then(|| "b1".to_owned());
        Ask::Maintenance(Maintenance {
            device_id: building_id.is_none().then(|| format!("d{}", random.between(0, 4))),
            building_id,
            from_ms,
            to_ms: from_ms + random.between(1, 300_000),
            note: None,
        })
    };
    let asked = Placed { window_ms: ASKED_MS, id: format!("{now:08}"), ask };
    store.write_controls(&[asked.to_control()]).expect("memory does not fail");
}

fn resolve(row: &Row, now: i64, random: &mut Random) -> Resolve {
    let text = |column| row.value(column).as_text().expect("every incident has it").to_owned();
    let Value::Uuid(id) = row.value("anomaly_id") else { panic!("every incident has an id") };
    let contributions: Vec<model::Contribution> =
        serde_json::from_str(&text("contributions")).expect("the job wrote them");
    Resolve {
        device_id: text("device_id"),
        anomaly_id: uuid::Uuid::from_bytes(*id).to_string(),
        kind: text("anomaly_type"),
        start_ms: row.value("started_at").as_int().expect("every incident starts"),
        metric: contributions.first().map(|first| first.metric.clone()).unwrap_or_default(),
        resolution: *random.pick(&[
            Resolution::FalsePositive,
            Resolution::FalsePositive,
            Resolution::Fault,
            Resolution::Maintenance,
        ]),
        note: random.chance(0.5).then(|| format!("at step {now}")),
        step: 0,
    }
}
