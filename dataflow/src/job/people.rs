//! What people ask of a running job, by worker 0: read from the store at a bounded pace, placed at a window that nobody has
//! judged, durable before that window is let go, told to all workers, and settled in the incidents' rows.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, channel};

use connectors::Control;

use super::Job;
use crate::checkpoint::Start;
use crate::controls::{ASKED_MS, Ask, Controls, Placed, Placing, understood};
use crate::operators::Announced;
use crate::queue::Work;

/// How often the store is asked, in milliseconds, where partitions are not looked for more often.
const LOOK_EVERY_MS: i64 = 5_000;

/// People's wishes on their way.
pub(super) struct People {
    every_ms: i64,
    looked_ms: Option<i64>,
    /// The store's answer, and its ticket.
    reading: Option<(u64, Receiver<Vec<Control>>)>,
    /// Ids that are no news.
    known: BTreeSet<String>,
    asked: Vec<Placed>,
    placing: Placing,
    /// Windows below may have been judged by an earlier run; `None`: nothing says which.
    earlier_ms: Option<i64>,
    /// On their way to the store.
    writing: Option<(Option<u64>, Vec<Placed>)>,
    /// Words on incidents whose rows don't have them yet.
    unsettled: Vec<(Option<u64>, Placed)>,
}

impl People {
    /// As a start found it.
    pub(super) fn new(start: &Start, refresh_ms: i64) -> Self {
        let Controls { placed, asked, past_unknown } = start.controls.clone();
        let known = placed.iter().chain(&asked).map(|one| one.id.clone()).collect();
        let placing = Placing::behind(&placed);
        // What takes effect below the cut was settled before it.
        let boundary_ms = start.boundary_ms();
        let unsettled = placed.into_iter().filter(|placed| placed.window_ms >= boundary_ms).filter_map(to_settle);
        if past_unknown && !asked.is_empty() {
            tracing::warn!(
                asked = asked.len(),
                "the recording was begun before people asked for this: it takes effect at its end (from the beginning with --fresh)"
            );
        }
        People {
            every_ms: refresh_ms.min(LOOK_EVERY_MS),
            looked_ms: None,
            reading: None,
            known,
            asked,
            placing,
            earlier_ms: (!past_unknown).then(|| start.judged_ms()),
            writing: None,
            unsettled: unsettled.collect(),
        }
    }

    /// The windows from here on must not be judged: what takes effect there is not durable yet.
    pub(super) fn hold_ms(&self) -> i64 {
        let writing = self.writing.iter().flat_map(|(_, placed)| placed);
        writing.map(|placed| placed.window_ms).min().unwrap_or(i64::MAX)
    }

    /// Something is on its way to the store, and the windows behind it wait.
    pub(super) fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    /// A row has not got what a checkpoint at `boundary_ms` would take for done; at the source's end that is everything.
    pub(super) fn is_unsettled(&self, boundary_ms: i64, at_end: bool) -> bool {
        self.unsettled.iter().any(|(_, placed)| at_end || placed.window_ms < boundary_ms)
    }

    /// Gives windows to what was asked for: the first that may be judged next, `open_ms`, or the end of the source, `end_ms`, where
    /// there is none before it that surely has not been judged.
    pub(super) fn place(&mut self, open_ms: i64, width_ms: i64, end_ms: Option<i64>) {
        if self.writing.is_some() || self.asked.is_empty() {
            return;
        }
        let open_ms = self.earlier_ms.map(|earlier_ms| open_ms.max(earlier_ms));
        let mut placed = Vec::new();
        self.asked.retain(|asked| {
            let at_ms = match (open_ms, &asked.ask) {
                (Some(i64::MIN), Ask::Resolve(_)) | (None, _) => end_ms,
                // Nothing at all has been judged: it counts from its own beginning.
                (open_ms, _) => open_ms,
            };
            placed.extend(at_ms.map(|at_ms| self.placing.place(asked, at_ms, width_ms)));
            at_ms.is_none()
        });
        if !placed.is_empty() {
            self.writing = Some((None, placed));
        }
    }

    fn hear(&mut self, controls: &[Control]) {
        for control in controls.iter().filter(|control| control.window_ms == ASKED_MS) {
            if self.known.insert(control.id.clone()) {
                self.asked.extend(understood(control));
            }
        }
    }
}

fn to_settle(placed: Placed) -> Option<(Option<u64>, Placed)> {
    matches!(placed.ask, Ask::Resolve(_)).then_some((None, placed))
}

impl Job {
    /// Worker 0: one step of all of it, but for placing.
    pub(super) fn hear_people(&mut self, now_ms: i64) {
        let lead = self.lead.as_mut().expect("only worker 0 leads");
        let people = &mut lead.people;
        let mut writer = self.writer.borrow_mut();
        let mut done = |ticket: u64| {
            let at = writer.others_done.iter().position(|done| *done == ticket);
            at.map(|at| writer.others_done.swap_remove(at)).is_some()
        };
        if let Some((ticket, answer)) = &people.reading
            && done(*ticket)
        {
            let answer = answer.try_recv();
            people.reading = None;
            people.hear(&answer.unwrap_or_default());
        }
        if let Some((Some(ticket), _)) = people.writing
            && (done(ticket) || self.faults.place_early)
        {
            let (_, placed) = people.writing.take().expect("it was just looked at");
            for placed in placed {
                tracing::info!(control = placed.id, window = model::time::format_ms(placed.window_ms), "people asked");
                if let Some(control) = &mut self.graph.control {
                    control.send(Announced::Control(Box::new(placed.clone())));
                }
                people.unsettled.extend(to_settle(placed));
            }
        }
        people.unsettled.retain(|(ticket, _)| !ticket.is_some_and(&mut done));
        if let Some((ticket @ None, placed)) = &mut people.writing {
            let controls = placed.iter().map(Placed::to_control).collect();
            *ticket = writer.submit(Work::Controls(controls)).ok();
        }
        for (ticket, placed) in people.unsettled.iter_mut().filter(|(ticket, _)| ticket.is_none()) {
            let is_durable = !self.graph.durable.less_than(&placed.window_ms) || self.faults.settle_early;
            if is_durable {
                *ticket = writer.submit(Work::Settle(Box::new(placed.clone()))).ok();
            }
        }
        let due = people.looked_ms.is_none_or(|looked_ms| now_ms - looked_ms >= people.every_ms);
        if due && people.reading.is_none() && !lead.ended {
            let (answer, inbox) = channel();
            people.looked_ms = Some(now_ms);
            people.reading = writer.submit(Work::ReadControls(answer)).ok().map(|ticket| (ticket, inbox));
        }
    }
}
