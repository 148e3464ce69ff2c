//! What only worker 0 does: follow the read frontier, announce a cut when one is due, join the workers' parts, hand the manifest
//! to the store once everything below the cut is durable.

use std::collections::BTreeMap;

use connectors::IdleMark;

use super::grow::{Ahead, Grown};
use super::people::People;
use super::{Job, Up, Watermarks};
use crate::Input;
use crate::checkpoint::{Manifest, Position, WorkerPart, assemble};
use crate::operators::{Announced, Order};
use crate::queue::Work;
use crate::status::CheckpointStand;

/// What only worker 0 keeps.
pub(super) struct Lead {
    pub(super) peers: usize,
    pub(super) next_id: u64,
    pub(super) least_interval_ms: i64,
    pub(super) interval_ms: i64,
    pub(super) boundary_ms: i64,
    pub(super) last_start_ms: Option<i64>,
    pub(super) cut: Option<Joining>,
    pub(super) ended: bool,
    pub(super) at_end: bool,
    pub(super) stopping: bool,
    pub(super) source: String,
    pub(super) meaning: String,
    pub(super) reports: BTreeMap<usize, Watermarks>,
    pub(super) marks: Option<(Option<u64>, Vec<IdleMark>)>,
    pub(super) grown: Grown,
    pub(super) ahead: Ahead,
    pub(super) people: People,
    /// The job ends when all partitions have been idle for so long.
    pub(super) until_idle_ms: Option<i64>,
    pub(super) idle_since_ms: Option<i64>,
    pub(super) window_ms: i64,
    /// The newest manifest that is durable.
    pub(super) manifest: Option<Manifest>,
    pub(super) taken: u64,
}

/// A checkpoint under way.
pub(super) struct Joining {
    pub(super) boundary_ms: i64,
    pub(super) last: bool,
    pub(super) parts: Vec<WorkerPart>,
    pub(super) ticket: Option<u64>,
    pub(super) submitted_ms: i64,
    /// Size of manifest and parts.
    pub(super) bytes: u64,
    pub(super) manifest: Option<Manifest>,
}

impl Joining {
    fn new(boundary_ms: i64, last: bool) -> Self {
        Joining { boundary_ms, last, parts: Vec::new(), ticket: None, submitted_ms: 0, bytes: 0, manifest: None }
    }
}

/// Sends at once: timely delivers what an input was given when its time moves on.
pub(super) fn say<T: Clone + 'static>(input: &mut Input<T>, said: T) {
    input.send(said);
    let next = input.time() + 1;
    input.advance_to(next);
}

impl Job {
    /// Worker 0: follow the read frontier, cut, join, hand in.
    pub(super) fn lead(&mut self, now_ms: i64) {
        self.hear_people(now_ms);
        let lead = self.lead.as_mut().expect("only worker 0 leads");
        let started = *lead.last_start_ms.get_or_insert(now_ms);
        for said in std::mem::take(&mut *self.graph.inbox.borrow_mut()) {
            match said {
                Up::Part(part) => {
                    let cut = lead.cut.as_mut().expect("a part follows its cut");
                    assert_eq!(cut.boundary_ms, part.boundary_ms, "one checkpoint at a time");
                    cut.parts.push(*part);
                }
                Up::Stop => lead.stopping = true,
                Up::Watermarks(report) => {
                    super::publish::publish_report(&self.progress.status, self.threads, &report);
                    lead.reports.insert(report.worker, report);
                }
            }
        }
        let frontier = self.graph.read.with_frontier(|frontier| frontier.first().copied());
        if let Some(control) = &mut self.graph.control {
            let can_cut = lead.cut.is_none() && !lead.ended;
            match frontier {
                Some(read_ms) => {
                    if !lead.ended && !lead.stopping {
                        lead.people.place(*control.time(), lead.window_ms, None);
                    }
                    let frontier_ms = read_ms.min(lead.ahead.durable_ms).min(lead.people.hold_ms());
                    // Only together with a step of the control stream: what an input was given is delivered when its time
                    // moves on (or when it closes, at the last cut).
                    let moves = frontier_ms > *control.time();
                    let due = now_ms - started >= lead.interval_ms && frontier_ms > lead.boundary_ms && moves;
                    let can_end = frontier_ms == i64::MIN || lead.ahead.durable_ms > frontier_ms;
                    let last = lead.stopping && can_end && !lead.people.is_writing();
                    if can_cut && (due || last) {
                        let cut = Joining::new(frontier_ms.max(lead.boundary_ms), last);
                        control.send(Announced::Cut { boundary_ms: cut.boundary_ms, last: cut.last });
                        lead.ended = cut.last;
                        lead.last_start_ms = Some(now_ms);
                        lead.cut = Some(cut);
                    }
                    if lead.ended {
                        // Nothing is announced any more; what is judged beyond the last cut will be judged again.
                        if self.source.live().is_some() {
                            control.advance_to(lead.ahead.durable_ms.max(frontier_ms.saturating_add(1)));
                        } else {
                            self.graph.control = None;
                        }
                    } else if moves {
                        control.advance_to(frontier_ms);
                    }
                }
                None if can_cut => {
                    // The source ended: one cut behind everything.
                    let newest_ms = self.graph.newest_ms.get();
                    let end_ms =
                        newest_ms.map_or(lead.boundary_ms, |newest_ms| newest_ms.saturating_add(lead.window_ms));
                    let boundary_ms = end_ms.max(lead.boundary_ms).max(i64::MIN + 1);
                    lead.people.place(*control.time(), lead.window_ms, Some(boundary_ms));
                    if !lead.people.is_writing() {
                        control.send(Announced::Cut { boundary_ms, last: true });
                        lead.ended = true;
                        lead.at_end = true;
                        lead.cut = Some(Joining::new(boundary_ms, true));
                        self.graph.control = None;
                    }
                }
                None => {}
            }
        }
        let goes_on = !lead.ended && !lead.stopping;
        // Of a job that comes to rest the frontier also passes what will be judged again.
        let durable_ms = self.graph.durable.with_frontier(|frontier| frontier.first().copied());
        durable_ms.filter(|_| goes_on).into_iter().for_each(|stamp_ms| self.progress.set_durable_ms(stamp_ms));
        self.join_parts(now_ms);
        self.look_for_partitions(now_ms);
        self.mark_idle(now_ms);
        self.judge_ahead(now_ms);
    }

    fn join_parts(&mut self, now_ms: i64) {
        let lead = self.lead.as_mut().expect("only worker 0 leads");
        let Some(cut) = &mut lead.cut else { return };
        let mut writer = self.writer.borrow_mut();
        match cut.ticket {
            None => {
                let durable = !self.graph.durable.less_than(&cut.boundary_ms) || self.faults.manifest_first;
                let at_end = cut.last && lead.at_end;
                let unsettled = lead.people.is_unsettled(cut.boundary_ms, at_end) && !self.faults.cut_unsettled;
                if cut.parts.len() < lead.peers || !durable || unsettled {
                    return;
                }
                let (manifest, checkpoint) =
                    assemble(lead.next_id, cut.parts.clone(), at_end, lead.source.clone(), lead.meaning.clone());
                let parts = checkpoint.parts.iter().map(|(_, part)| part.len()).sum::<usize>();
                cut.bytes = (checkpoint.manifest.len() + parts) as u64;
                // A full queue: tried again at the next step.
                if let Ok(ticket) = writer.submit(Work::Checkpoint(Box::new(checkpoint))) {
                    cut.ticket = Some(ticket);
                    cut.submitted_ms = now_ms;
                    cut.manifest = Some(manifest);
                }
            }
            Some(ticket) => {
                let Some(at) = writer.others_done.iter().position(|done| *done == ticket) else { return };
                writer.others_done.swap_remove(at);
                let cut = lead.cut.take().expect("it was just looked at");
                lead.next_id += 1;
                lead.taken += 1;
                self.progress.tally.checkpoint();
                lead.boundary_ms = cut.boundary_ms;
                lead.manifest = cut.manifest;
                if let Some(manifest) = lead.manifest.as_ref().filter(|_| self.progress.status.is_watched()) {
                    self.progress.status.publish_checkpoint(CheckpointStand {
                        id: lead.next_id - 1,
                        boundary_ms: cut.boundary_ms,
                        bytes: cut.bytes,
                        took_ms: now_ms - cut.submitted_ms,
                        at: std::time::Instant::now(),
                        totals: manifest.totals,
                    });
                }
                if let (Some(live), Some(manifest)) = (self.source.live(), &lead.manifest) {
                    let position = |position: &Position| (position.partition, position.offset);
                    live.commit(&manifest.positions.iter().map(position).collect::<Vec<_>>());
                }
                // Writing checkpoints takes at most a tenth of the time; waiting for rows is no part of it, they are written anyway.
                lead.interval_ms = lead.least_interval_ms.max(9 * (now_ms - cut.submitted_ms));
                if cut.last {
                    if let (false, Some(orders)) = (lead.at_end, &mut self.graph.orders) {
                        say(orders, Order::Done);
                    }
                    self.graph.orders = None;
                }
            }
        }
    }
}
