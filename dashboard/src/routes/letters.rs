//! Messages that could not be used, and readings that came late.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine as _;
use connectors::Store;
use model::tables::TableId;
use model::{Row, Value};
use serde::Deserialize;
use utoipa::IntoParams;

use super::devices::row_of;
use super::take::{Asked, Body, page};
use crate::problem::{Problem, Problems, WriteProblems};
use crate::readers::Deadline;
use crate::server::Shared;
use crate::wire::{Late, LateDevice, Letter, LetterKey, Letters, ReasonCount, Replay, Sent};

/// Bytes of a letter that are shown as text.
const TEXT_BYTES: usize = 4_096;
/// Letters that are sent again at once.
const AT_ONCE: usize = 100;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LettersQuery {
    /// Only with this reason.
    reason: Option<String>,
    /// At most so many, up to 10,000; 500 where nothing is said.
    #[param(maximum = 10_000)]
    limit: Option<usize>,
    /// Leaves out so many.
    #[param(maximum = 1_000_000_000)]
    offset: Option<usize>,
}

/// Messages that could not be used
#[utoipa::path(get, path = "/api/v1/dead-letters", tag = "dead letters", params(LettersQuery),
    responses((status = 200, body = Letters), Problems))]
pub(crate) async fn letters(
    State(shared): State<Arc<Shared>>,
    Asked(asked): Asked<LettersQuery>,
) -> Result<Json<Letters>, Problem> {
    let (limit, offset) = page(asked.limit, asked.offset)?;
    let reason = asked.reason.filter(|reason| !reason.is_empty());
    let read = move |store: &mut dyn Store, deadline: Deadline| {
        let (mut reasons, mut letters, mut total) = (BTreeMap::<String, u64>::new(), Vec::new(), 0);
        store.scan(TableId::DeadLetters, &[], &mut |row| {
            let of_row = row.value("reason").as_text().unwrap_or_default();
            *reasons.entry(of_row.to_owned()).or_default() += 1;
            if reason.as_deref().is_none_or(|reason| reason == of_row) {
                if total >= offset as u64 && letters.len() < limit {
                    letters.push(letter(&row));
                }
                total += 1;
            }
            deadline.flow()
        })?;
        deadline.check()?;
        let reasons = reasons.into_iter().map(|(reason, count)| ReasonCount { reason, count }).collect();
        Ok(Letters { total, reasons, letters })
    };
    Ok(Json(shared.readers.ask(read).await?))
}

fn bytes_of(row: &Row) -> &[u8] {
    if let Value::Blob(bytes) = row.value("bytes") { bytes } else { &[] }
}

fn letter(row: &Row) -> Letter {
    let text = |column| row.value(column).as_text().unwrap_or_default().to_owned();
    let number = |column| row.value(column).as_int().unwrap_or_default();
    let bytes = bytes_of(row);
    Letter {
        topic: text("topic"),
        partition: number("partition"),
        offset: number("offset"),
        reason: text("reason"),
        detail: text("detail"),
        broker_time_ms: row.value("broker_time").as_int(),
        bytes_base64: base64::engine::general_purpose::STANDARD.encode(bytes),
        text: String::from_utf8_lossy(&bytes[..bytes.len().min(TEXT_BYTES)]).into_owned(),
        bytes: bytes.len(),
    }
}

/// Sends messages again, as they came or repaired
#[utoipa::path(post, path = "/api/v1/dead-letters/replay", tag = "dead letters",
    security((), ("token" = [])), request_body = Replay, responses((status = 202, body = Sent), Problems, WriteProblems))]
pub(crate) async fn replay(
    State(shared): State<Arc<Shared>>,
    Body(replay): Body<Replay>,
) -> Result<(StatusCode, Json<Sent>), Problem> {
    if replay.letters.is_empty() || replay.letters.len() > AT_ONCE {
        return Err(Problem::bad(format!("field \"letters\" does not hold 1 to {AT_ONCE} letters")));
    }
    let program = Arc::clone(&shared.program);
    let send = move |store: &mut dyn Store| {
        let messages = replay.letters.into_iter().map(|key| message(store, key)).collect::<Result<Vec<_>, _>>()?;
        Ok(program.send_again(&messages)?)
    };
    let sent = shared.readers.ask(move |store, _| send(store)).await?;
    Ok((StatusCode::ACCEPTED, Json(Sent { sent })))
}

fn message(store: &mut dyn Store, letter: LetterKey) -> Result<Vec<u8>, Problem> {
    let LetterKey { topic, partition, offset, text } = letter;
    let unknown = || format!("there is no dead letter of topic {topic:?}, partition {partition}, offset {offset}");
    let number = i32::try_from(partition).map_err(|_| Problem::unknown(unknown()))?;
    let key = vec![Value::Text(topic.clone()), Value::Int(i64::from(number)), Value::Int(offset)];
    let row = row_of(store, TableId::DeadLetters, key)?.ok_or_else(|| Problem::unknown(unknown()))?;
    if row.value("reason").as_text() == Some(connectors::refused::REASON) {
        return Err(Problem::bad(format!("{}: it is a row that the store refused, no message", unknown())));
    }
    Ok(text.map_or_else(|| bytes_of(&row).to_vec(), String::into_bytes))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LateQuery {
    /// At most so many, up to 10,000; 500 where nothing is said.
    #[param(maximum = 10_000)]
    limit: Option<usize>,
}

/// Devices whose readings came late, and by how much
#[utoipa::path(get, path = "/api/v1/late", tag = "dead letters", params(LateQuery), responses((status = 200, body = Late), Problems))]
pub(crate) async fn late(
    State(shared): State<Arc<Shared>>,
    Asked(asked): Asked<LateQuery>,
) -> Result<Json<Late>, Problem> {
    let (limit, _) = page(asked.limit, None)?;
    let read = move |store: &mut dyn Store, deadline: Deadline| {
        let mut all: BTreeMap<String, Delays> = BTreeMap::new();
        store.scan(TableId::LateMetrics, &[], &mut |row| {
            if let Some(device) = row.value("device_id").as_text() {
                let number = |column| row.value(column).as_int().unwrap_or_default();
                let ahead_ms = number("timestamp").saturating_sub(number("broker_time"));
                all.entry(device.to_owned()).or_default().take(number("late_by_ms"), ahead_ms);
            }
            deadline.flow()
        })?;
        deadline.check()?;
        let mut devices: Vec<LateDevice> = all.into_iter().map(|(device, delays)| delays.finish(device)).collect();
        devices.sort_by_key(|device| std::cmp::Reverse(device.late));
        devices.truncate(limit);
        Ok(Late { devices })
    };
    Ok(Json(shared.readers.ask(read).await?))
}

/// Readings of a device whose delays are kept for the median: beyond, every second, every fourth and so on.
const KEPT: usize = 1_024;

/// Late readings of a device.
#[derive(Default)]
struct Delays {
    late: u64,
    max_ms: i64,
    /// Every so manyth is kept.
    every: u64,
    /// Lateness and how far the reading's time is ahead of the broker's.
    kept: Vec<(i64, i64)>,
}

impl Delays {
    fn take(&mut self, late_by_ms: i64, ahead_ms: i64) {
        self.every = self.every.max(1);
        if self.late.is_multiple_of(self.every) {
            if self.kept.len() == KEPT {
                let mut at = 0;
                self.kept.retain(|_| {
                    at += 1;
                    at % 2 == 1
                });
                self.every *= 2;
            }
            self.kept.push((late_by_ms, ahead_ms));
        }
        self.late += 1;
        self.max_ms = self.max_ms.max(late_by_ms);
    }

    fn finish(self, device_id: String) -> LateDevice {
        let mut late: Vec<i64> = self.kept.iter().map(|(late_by_ms, _)| *late_by_ms).collect();
        let mut ahead: Vec<i64> = self.kept.iter().map(|(_, ahead_ms)| *ahead_ms).collect();
        late.sort_unstable();
        ahead.sort_unstable();
        let median = |sorted: &[i64]| sorted.get(sorted.len() / 2).copied().unwrap_or_default();
        // A clock that is wrong is wrong by the same all the time; a line that delays is not.
        let (low, middle, high) = (ahead[ahead.len() / 10], median(&ahead), ahead[ahead.len() * 9 / 10]);
        let steady = self.late >= 10 && high.saturating_sub(low) <= (middle.saturating_abs() / 10).max(1_000);
        LateDevice {
            device_id,
            late: self.late,
            late_by_ms_max: self.max_ms,
            late_by_ms_median: median(&late),
            clock_skew_ms: (steady && middle.saturating_abs() > 1_000).then_some(middle),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(delays: impl IntoIterator<Item = (i64, i64)>) -> LateDevice {
        let mut all = Delays::default();
        delays.into_iter().for_each(|(late, ahead)| all.take(late, ahead));
        all.finish("D".to_owned())
    }

    #[test]
    fn a_clock_is_told_from_a_slow_line_and_memory_is_bounded() {
        let clock = told((0..100_000).map(|at| (60_000 + at % 100, -120_000 - at % 500)));
        assert_eq!((clock.late, clock.late_by_ms_max), (100_000, 60_099));
        assert!((60_040..60_060).contains(&clock.late_by_ms_median), "{clock:?}");
        assert!(clock.clock_skew_ms.is_some_and(|ms| (-120_500..=-120_000).contains(&ms)), "{clock:?}");
        let line = told((0..1_000).map(|at| (at * 37 % 90_000, -(at * 37 % 90_000))));
        assert_eq!(line.clock_skew_ms, None);
        assert_eq!(told([(5, -5)]).clock_skew_ms, None);
    }
}
