//! `replay`: decoded readings into the graph, in place of `read`: no bytes, no names, no fates.
//!
//! What stays of reading is what the rest of the graph needs: the stamp, the watermark, and introductions before readings.

use std::sync::Arc;
use std::time::Duration;

use model::time::window_start;
use timely::dataflow::Scope;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::probe::Handle as ProbeHandle;

use super::prepare::Decoded;
use crate::operators::peers::Told;
use crate::operators::read::Streams;
use crate::operators::{Reading, Tick};
use crate::settings::JobSettings;

/// Records taken from a partition at a time, as in `read`.
const RECORDS_A_TURN: usize = 4_096;

struct Partition {
    all: Arc<Vec<Decoded>>,
    number: usize,
    len: usize,
    next: usize,
    watermark_ms: i64,
}

/// Builds the operator; it reads no further than the settings allow ahead of `durable`.
pub fn replay<'scope>(
    scope: Scope<'scope, i64>,
    all: &Arc<Vec<Decoded>>,
    (index, peers): (usize, usize),
    settings: JobSettings,
    min_peers: u32,
    durable: ProbeHandle<i64>,
) -> Streams<'scope> {
    let mut builder = OperatorBuilder::new("replay".to_owned(), scope);
    let activator = scope.activator_for(builder.operator_info().address);
    let (readings_out, readings) = builder.new_output();
    let (introductions_out, introductions) = builder.new_output();
    // Rows need messages: this output stays empty.
    let (rows_out, rows) = builder.new_output();
    let (ticks_out, ticks) = builder.new_output();
    // Nothing of it is late.
    let (late_out, late) = builder.new_output();
    let mut readings_out = OutputBuilder::from(readings_out);
    let mut introductions_out = OutputBuilder::from(introductions_out);
    let rows_out: OutputBuilder<_, timely::container::CapacityContainerBuilder<Vec<model::Row>>> =
        OutputBuilder::from(rows_out);
    let mut ticks_out = OutputBuilder::from(ticks_out);
    let late_out: OutputBuilder<_, timely::container::CapacityContainerBuilder<Vec<Reading>>> =
        OutputBuilder::from(late_out);
    let ours = (0..all.len()).filter(|number| number % peers == index);
    let mut partitions: Vec<Partition> = ours.map(|number| Partition::new(all, number)).collect();
    builder.build(move |capabilities| {
        let mut capabilities: Option<[Capability<i64>; 5]> =
            Some(capabilities.try_into().expect("one capability an output"));
        let mut batches: Vec<(i64, Vec<Reading>)> = Vec::new();
        let mut ticked_ms = i64::MIN;
        let mut told = Told::default();
        let (_rows_out, _late_out) = (rows_out, late_out);
        move |_frontiers| {
            let Some(caps) = capabilities.as_mut() else { return };
            let turn = partitions.iter_mut().min_by_key(|partition| partition.watermark_ms);
            let ahead_ms = i64::try_from(settings.ahead_windows).unwrap_or(i64::MAX).saturating_mul(settings.window_ms);
            let lowest_ms = durable.with_frontier(|frontier| frontier.first().copied());
            let may_go = |watermark_ms: i64| {
                lowest_ms.is_none_or(|lowest_ms| watermark_ms.saturating_sub(ahead_ms) <= lowest_ms)
            };
            let turn = turn.filter(|partition| may_go(partition.watermark_ms));
            let is_waiting = turn.is_none();
            if let Some(partition) = turn {
                if partition.next == 0 {
                    let mut introduced = introductions_out.activate();
                    let introductions = &partition.all[partition.number].introductions;
                    introduced.session(&caps[1]).give_iterator(introductions.iter().cloned());
                    let mut ticked = ticks_out.activate();
                    let members = told.members(introductions, min_peers);
                    ticked.session(&caps[3]).give_iterator(members.into_iter());
                }
                partition.take_turn(&settings, &mut batches);
                let mut read = readings_out.activate();
                let mut ticked = ticks_out.activate();
                for (stamp_ms, mut batch) in batches.drain(..) {
                    if stamp_ms > ticked_ms {
                        ticked_ms = stamp_ms;
                        ticked.session(&caps[3].delayed(&stamp_ms)).give(Tick::Stamp { stamp_ms, has_reading: true });
                    }
                    read.session(&caps[0].delayed(&stamp_ms)).give_container(&mut batch);
                }
            }
            partitions.retain(|partition| partition.next < partition.len);
            match partitions.iter().map(|partition| partition.watermark_ms).min() {
                None => capabilities = None,
                Some(watermark_ms) => {
                    if watermark_ms > i64::MIN {
                        let frontier_ms = window_start(watermark_ms, settings.window_ms);
                        for cap in caps.iter_mut().filter(|cap| frontier_ms > *cap.time()) {
                            cap.downgrade(&frontier_ms);
                        }
                    }
                    // Nothing below the limit: the others have to come first.
                    if is_waiting {
                        activator.activate_after(Duration::from_micros(200));
                    } else {
                        activator.activate();
                    }
                }
            }
        }
    });
    Streams { readings, introductions, late, rows, ticks }
}

impl Partition {
    fn new(all: &Arc<Vec<Decoded>>, number: usize) -> Self {
        let len = all[number].lock().view().len();
        Partition { all: Arc::clone(all), number, len, next: 0, watermark_ms: i64::MIN }
    }

    fn take_turn(&mut self, settings: &JobSettings, batches: &mut Vec<(i64, Vec<Reading>)>) {
        let mut records = self.all[self.number].lock();
        let view = records.view();
        let end = (self.next + RECORDS_A_TURN).min(self.len);
        for at in self.next..end {
            let record = view.get(at);
            let stamp_ms = window_start(record.ts, settings.window_ms);
            let reading = Reading {
                series: record.series,
                timestamp_ms: record.ts,
                value: record.value,
                offset: record.offset,
                partition: record.partition,
                route: record.route,
            };
            match batches.iter_mut().rev().find(|(batch_ms, _)| *batch_ms == stamp_ms) {
                Some((_, batch)) => batch.push(reading),
                None => batches.push((stamp_ms, vec![reading])),
            }
            self.watermark_ms = self.watermark_ms.max(record.ts - settings.lateness_ms);
        }
        self.next = end;
    }
}
