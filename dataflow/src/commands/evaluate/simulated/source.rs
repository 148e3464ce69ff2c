//! A simulation as a topic of one partition: messages are made when they are read, so that weeks of a fleet need no memory.

use std::sync::{Arc, Mutex, PoisonError};

use connectors::{Event, PartitionReader, Poll, Source, SourceError, SourceMessage};
use model::recording::Label;
use scenarios::simulator::{SimulatedMessage, Simulator};

use super::original::Original;
use super::plan::Plan;
use super::visible::Twin;

/// What is known of a simulation that has been read to its end.
#[derive(Debug, Default)]
pub struct Truth {
    /// Its faults.
    pub labels: Vec<Label>,
    /// For each of them when it first showed in its device's values; `None`: never.
    pub visible_ms: Vec<Option<i64>>,
    /// What the detectors of the system before say, if they were asked.
    pub original: Option<Original>,
    /// Messages read.
    pub messages: u64,
}

/// The topic.
pub struct SimulatedSource {
    plan: Plan,
    asks_original: bool,
    truth: Arc<Mutex<Truth>>,
}

impl SimulatedSource {
    /// The topic and where its truth stands once it has been read.
    pub fn new(plan: Plan, asks_original: bool) -> (SimulatedSource, Arc<Mutex<Truth>>) {
        let truth = Arc::new(Mutex::new(Truth::default()));
        (SimulatedSource { plan, asks_original, truth: Arc::clone(&truth) }, truth)
    }
}

impl Source for SimulatedSource {
    fn topic(&self) -> &str {
        "simulated"
    }

    fn identity(&self) -> String {
        format!("simulated:{}", self.plan.seed)
    }

    fn partitions(&self) -> Vec<u32> {
        vec![0]
    }

    fn messages_total(&self) -> Option<u64> {
        None
    }

    fn open(&self, partition: u32, offset: i64) -> Result<Box<dyn PartitionReader>, SourceError> {
        assert!(partition == 0 && offset == 0, "it is read once, from its beginning");
        let refused =
            |error| SourceError::Line { place: self.topic().to_owned(), line: 0, problem: format!("{error}") };
        Ok(Box::new(Reader {
            simulator: Simulator::new(&self.plan.fleet, &self.plan.options).map_err(refused)?,
            batch: Vec::new(),
            next: 0,
            twin: Twin::new(&self.plan).map_err(refused)?,
            original: self.asks_original.then(|| Original::new(&self.plan)),
            messages: 0,
            truth: Arc::clone(&self.truth),
        }))
    }
}

struct Reader {
    simulator: Simulator,
    batch: Vec<SimulatedMessage>,
    next: usize,
    twin: Twin,
    original: Option<Original>,
    messages: u64,
    truth: Arc<Mutex<Truth>>,
}

impl PartitionReader for Reader {
    fn poll(&mut self, max: usize, each: &mut dyn FnMut(Event<'_>)) -> Result<Poll, SourceError> {
        if self.next == self.batch.len() {
            self.next = 0;
            if !self.simulator.next_batch(&mut self.batch) {
                self.batch.clear();
                self.end();
                return Ok(Poll::Finished);
            }
        }
        let part = &self.batch[self.next..];
        let part = &part[..part.len().min(max)];
        for message in part {
            self.twin.see(message);
            if let Some(original) = &mut self.original {
                original.see(message);
            }
            let SimulatedMessage { offset, broker_ms, bytes, .. } = message;
            each(Event::Message(SourceMessage { offset: *offset, broker_ms: *broker_ms, bytes: bytes.as_deref() }));
        }
        self.next += part.len();
        self.messages += part.len() as u64;
        Ok(Poll::Ready(part.len()))
    }
}

impl Reader {
    fn end(&mut self) {
        let mut truth = self.truth.lock().unwrap_or_else(PoisonError::into_inner);
        truth.labels = self.simulator.labels();
        truth.visible_ms = truth.labels.iter().map(|label| self.twin.visible_ms(label)).collect();
        truth.messages = self.messages;
        if let Some(original) = self.original.take() {
            truth.original = Some(original);
        }
    }
}
