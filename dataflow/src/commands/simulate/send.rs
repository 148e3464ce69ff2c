//! Sends a simulation to a topic of Kafka: as fast as it can, at a rate, or as time goes by.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use connectors::KafkaProducer;
use scenarios::simulator::{Options, SimulatedMessage, Simulator, Tally};

use super::write::{Pace, bar};
use crate::clock::now_ms;
use crate::commands::common::thousands;

/// Messages that are due within this time go out together.
const TICK: Duration = Duration::from_millis(5);

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Sends all messages with their device as key, and returns when the brokers have acknowledged all of them.
pub(super) fn to_kafka(
    simulator: &mut Simulator,
    options: &Options,
    producer: &KafkaProducer,
    pace: Pace,
    live: bool,
    write_labels: &dyn Fn(&Simulator) -> anyhow::Result<()>,
) -> anyhow::Result<Tally> {
    let bar = bar(options, pace.show);
    let began = Instant::now();
    let mut told = Instant::now();
    let mut messages: Vec<SimulatedMessage> = Vec::new();
    let (mut sent, mut labelled) = (0u64, 0);
    while simulator.next_batch(&mut messages) {
        for message in &messages {
            #[expect(clippy::cast_precision_loss, reason = "only a pace")]
            let by_rate = pace.rate.map_or(Duration::ZERO, |rate| {
                let due = Duration::try_from_secs_f64(sent as f64 / rate).unwrap_or(Duration::MAX);
                due.saturating_sub(began.elapsed())
            });
            let by_clock = if live { message.broker_ms.saturating_sub(now_ms()).max(0).unsigned_abs() } else { 0 };
            let ahead = by_rate.max(Duration::from_millis(by_clock));
            if ahead > TICK {
                std::thread::sleep(ahead);
            }
            let key = simulator.device_id(message.device).as_bytes();
            producer.send(Some(key), message.bytes.as_deref(), &[], None, None)?;
            sent += 1;
            if pace.show && bar.is_hidden() && !std::io::stderr().is_terminal() && told.elapsed() >= LINE_EVERY {
                eprintln!("{} messages sent after {} s", thousands(sent), began.elapsed().as_secs());
                told = Instant::now();
            }
        }
        // Who sends as time goes by is often stopped before the end.
        let labels = simulator.labels().len();
        if live && labels > labelled {
            labelled = labels;
            write_labels(simulator)?;
        }
        let done_ms = simulator.simulated_until_ms() - options.start_ms;
        bar.set_position(u64::try_from(done_ms / 1_000).unwrap_or(0));
        bar.set_message(format!("{sent} messages"));
    }
    producer.flush()?;
    bar.finish_and_clear();
    Ok(simulator.tally())
}
