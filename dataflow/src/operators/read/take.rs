//! One record: its stamp, its fate, what follows from it.

use model::message::{Rejected, decode};
use model::{Catalogue, DeadLetterReason, Message, Row};

use super::Reader;
use super::partition::{First, Partition, stamp_of_watermark_ms};
use crate::directory::Introduction;
use crate::ledger::Ledger;
use crate::operators::Reading;
use crate::rows;
use crate::series::Recalled;
use crate::settings::JobSettings;

/// What one turn of reading gives, by stamp.
#[derive(Default)]
pub(super) struct Turn {
    pub(super) readings: Vec<(i64, Vec<Reading>)>,
    pub(super) late: Vec<(i64, Vec<Reading>)>,
    pub(super) rows: Vec<(i64, Vec<Row>)>,
    pub(super) introductions: Vec<Introduction>,
    /// Stamps, and whether a reading has them.
    pub(super) ticks: Vec<(i64, bool)>,
    /// The window that was last noted as under way.
    pub(super) noted_window_ms: Option<i64>,
}

fn at_stamp<T>(batches: &mut Vec<(i64, Vec<T>)>, stamp_ms: i64) -> &mut Vec<T> {
    // The newest batch is nearly always the one: readings come in about their order.
    let at = match batches.iter().rposition(|(stamp, _)| *stamp == stamp_ms) {
        Some(at) => at,
        None => {
            batches.push((stamp_ms, Vec::new()));
            batches.len() - 1
        }
    };
    &mut batches[at].1
}

/// Takes one record: its stamp, its fate, what follows from it.
#[inline]
pub(super) fn take(
    partition: &mut Partition,
    reader: &mut Reader,
    ledger: &mut Ledger,
    catalogue: &'static Catalogue,
    record: &connectors::SourceMessage<'_>,
    turn: &mut Turn,
) {
    let settings = &reader.settings;
    partition.apply_marks(record.offset);
    let before_ms = partition.watermark_ms;
    partition.next_offset = record.offset + 1;
    let covered = |stamp_ms: i64| stamp_ms < reader.boundary_ms && !reader.faults.apply_covered;
    let Some(bytes) = record.bytes else {
        let before_stamp_ms = stamp_of_watermark_ms(before_ms, settings);
        partition.note_first(before_stamp_ms, record.offset);
        if !covered(before_stamp_ms) {
            ledger.at(before_stamp_ms).skipped += 1;
            tick_other(&mut reader.newest_other_ms, before_stamp_ms, turn);
        }
        return;
    };
    let known = partition.known.count();
    let fits = bytes.len() <= settings.max_message_bytes;
    let usable = match fits.then(|| partition.interner.recall(bytes)).flatten() {
        Some(recalled) => check_time(recalled.timestamp_ms, record.broker_ms, settings)
            .and_then(|()| partition.interner.entry(recalled.at).check(recalled.value))
            .map(|()| (recalled, false)),
        None => decode(bytes, settings.max_message_bytes).and_then(|message| {
            let Message { timestamp_ms, metric_value: value, .. } = message;
            check_time(timestamp_ms, record.broker_ms, settings)?;
            let found = partition.interner.find_or_admit(&message, catalogue, &mut partition.known, settings)?;
            partition.interner.note(found.at, bytes);
            Ok((Recalled { at: found.at, timestamp_ms, value }, found.is_new))
        }),
    };
    let (Recalled { at, timestamp_ms, value }, is_new) = match usable {
        Ok(usable) => usable,
        Err(rejected) => {
            let before_stamp_ms = stamp_of_watermark_ms(before_ms, settings);
            partition.note_first(before_stamp_ms, record.offset);
            if reader.faults.poison_moves_watermark {
                partition.raise(record.broker_ms.saturating_sub(settings.lateness_ms));
            }
            if covered(before_stamp_ms) {
                return;
            }
            ledger.at(before_stamp_ms).dead_lettered += 1;
            tick_other(&mut reader.newest_other_ms, before_stamp_ms, turn);
            if !reader.store_rows {
                return;
            }
            let row = rows::dead_letter(&reader.topic, partition.number, record, &rejected);
            at_stamp(&mut turn.rows, before_stamp_ms).push(row);
            return;
        }
    };
    let first_ms = timestamp_ms - i64::from(reader.faults.closed_windows);
    let window_ms = partition.window_of_ms(first_ms, settings.window_ms);
    let window_ends_ms = window_ms + settings.window_ms;
    let late = if reader.faults.late_below_start { window_ms <= before_ms } else { window_ends_ms <= before_ms };
    let late = late && before_ms != i64::MIN;
    let stamp_ms =
        if late && !reader.faults.late_at_own_window { stamp_of_watermark_ms(before_ms, settings) } else { window_ms };
    if partition.last_stamp_ms != Some(stamp_ms) {
        partition.last_stamp_ms = Some(stamp_ms);
        let first = First { offset: record.offset, watermark_ms: before_ms, known };
        partition.firsts.entry(stamp_ms).or_insert(first);
    }
    let seen_ms = if reader.faults.trust_device_clock { timestamp_ms } else { timestamp_ms.min(record.broker_ms) };
    partition.raise(seen_ms.saturating_sub(settings.lateness_ms));
    if is_new {
        turn.introductions.push(partition.interner.introduce(at));
    }
    if covered(stamp_ms) {
        return;
    }
    let entry = partition.interner.entry(at);
    if reader.store_rows {
        let row = rows::raw(&entry.message(timestamp_ms, value), entry, partition.number, record, late);
        at_stamp(&mut turn.rows, stamp_ms).push(row);
    }
    let reading = Reading {
        series: entry.series,
        timestamp_ms,
        value: entry.convert(value),
        offset: record.offset,
        partition: partition.number,
        route: entry.route_low,
    };
    if late {
        let late_by_ms = before_ms - window_ends_ms;
        if settings.corrected_for_ms().is_some_and(|within_ms| late_by_ms <= within_ms) {
            at_stamp(&mut turn.late, stamp_ms).push(reading);
        }
        ledger.at(stamp_ms).late += 1;
        tick_other(&mut reader.newest_other_ms, stamp_ms, turn);
        if reader.store_rows {
            let row = rows::late(&entry.message(timestamp_ms, value), partition.number, record, late_by_ms);
            at_stamp(&mut turn.rows, stamp_ms).push(row);
        }
        return;
    }
    at_stamp(&mut turn.readings, window_ms).push(reading);
    // Within a turn nothing leaves the windows under way.
    if turn.noted_window_ms != Some(window_ms) {
        turn.noted_window_ms = Some(window_ms);
        reader.newest_window_ms = reader.newest_window_ms.max(Some(window_ms));
        if reader.under_way.insert(window_ms) {
            turn.ticks.push((window_ms, true));
        }
    }
}

/// The last checkpoint of a run lies behind every stamp, so the newest one is told even where no reading has it.
fn tick_other(newest_ms: &mut Option<i64>, stamp_ms: i64, turn: &mut Turn) {
    if *newest_ms < Some(stamp_ms) {
        *newest_ms = Some(stamp_ms);
        turn.ticks.push((stamp_ms, false));
    }
}

/// The plausibility of an event time against the broker's.
fn check_time(timestamp_ms: i64, broker_ms: i64, settings: &JobSettings) -> Result<(), Rejected> {
    let ahead_ms = timestamp_ms.saturating_sub(broker_ms);
    if ahead_ms > settings.max_future_ms {
        let detail = format!("event time is {ahead_ms}ms after the broker's, more than {}ms", settings.max_future_ms);
        return Err(Rejected::new(DeadLetterReason::TooFarInFuture, detail));
    }
    if !model::time::CALENDAR_MS.contains(&timestamp_ms) {
        let detail = format!("event time {timestamp_ms}ms lies outside the years -9999 to 9999");
        return Err(Rejected::new(DeadLetterReason::BadTimestamp, detail));
    }
    match settings.max_age_ms {
        Some(max_age_ms) if ahead_ms.saturating_neg() > max_age_ms => {
            let detail = format!("event time is {}ms before the broker's, more than {max_age_ms}ms", -ahead_ms);
            Err(Rejected::new(DeadLetterReason::TooOld, detail))
        }
        _ => Ok(()),
    }
}
