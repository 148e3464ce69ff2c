//! The cut at T: what a manifest holds, and how a run starts from it.

use std::collections::BTreeMap;

use connectors::{Checkpoint, IdleMark};
use serde::{Deserialize, Serialize};

use crate::controls::Controls;
use crate::detect::DeviceState;
use crate::ledger::Totals;
use crate::operators::peers::Seen;

/// Where a partition goes on: the smallest offset whose stamp is at or after T, with the watermark in front of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Partition.
    pub partition: u32,
    /// First offset to read again.
    pub offset: i64,
    /// The partition's watermark in front of that offset; `i64::MIN`: none yet.
    pub watermark_ms: i64,
    /// (device, metric) hashes that the partition had shown in front of that offset, in order: limits depend on them.
    pub known: Vec<(u64, u64)>,
}

/// A checkpoint's head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this layout.
    pub layout: u32,
    /// T: everything stamped below it is durable.
    pub boundary_ms: i64,
    /// One a partition.
    pub positions: Vec<Position>,
    /// Counted below T.
    pub totals: Totals,
    /// What the devices' peers showed in the window before T.
    pub peers: Seen,
    /// The source ended and everything of it is below T.
    pub finished: bool,
    /// Which recording or topic it is.
    pub source: String,
    /// The settings that decide results, as text: a different value would mix two meanings in one store.
    pub settings: String,
}

/// The layout written now.
pub const LAYOUT: u32 = 6;
/// A checkpoint of this layout differs in recent states alone, and only a job that corrects states keeps any.
const WITHOUT_EXPECTED: u32 = 5;

/// What a run starts from.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// The newest manifest, if any, with its checkpoint's number.
    pub manifest: Option<(u64, Manifest)>,
    /// Saved devices by id.
    pub devices: Vec<DeviceState>,
    /// Idle marks.
    pub marks: Vec<IdleMark>,
    /// What people asked for.
    pub controls: Controls,
}

/// A checkpoint can't be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// Its bytes are not what this version writes.
    #[error("checkpoint {id} could not be decoded ({part}); use --fresh to start again from the source: {cause}")]
    Decode {
        /// Number of the checkpoint.
        id: u64,
        /// Which part.
        part: String,
        /// What the decoder said.
        cause: bincode::Error,
    },
    /// Written by another version.
    #[error(
        "checkpoint {id} has layout {found}, this version reads {LAYOUT}; use --fresh to start again from the source"
    )]
    Layout {
        /// Number of the checkpoint.
        id: u64,
        /// Its layout.
        found: u32,
    },
}

impl Start {
    /// Decodes a checkpoint.
    ///
    /// # Errors
    /// When it was written by another version or is damaged in a way that its checksum does not show.
    pub fn decode(checkpoint: Option<Checkpoint>, marks: Vec<IdleMark>) -> Result<Start, CheckpointError> {
        let Some(checkpoint) = checkpoint else { return Ok(Start { marks, ..Start::default() }) };
        let id = checkpoint.id;
        let failed = |part: &str| {
            let part = part.to_owned();
            move |cause| CheckpointError::Decode { id, part, cause }
        };
        let found =
            checkpoint.manifest.get(..4).map_or(0, |head| u32::from_le_bytes([head[0], head[1], head[2], head[3]]));
        if found != LAYOUT && found != WITHOUT_EXPECTED {
            return Err(CheckpointError::Layout { id, found });
        }
        let manifest: Manifest = bincode::deserialize(&checkpoint.manifest).map_err(failed("manifest"))?;
        if found == WITHOUT_EXPECTED && !keeps_no_states(&manifest.settings) {
            return Err(CheckpointError::Layout { id, found });
        }
        let mut devices = Vec::new();
        for (name, bytes) in &checkpoint.parts {
            let part: Vec<DeviceState> = bincode::deserialize(bytes).map_err(failed(name))?;
            devices.extend(part);
        }
        Ok(Start { manifest: Some((id, manifest)), devices, marks, controls: Controls::default() })
    }

    /// T, or `i64::MIN` for a first start.
    pub fn boundary_ms(&self) -> i64 {
        self.manifest.as_ref().map_or(i64::MIN, |(_, manifest)| manifest.boundary_ms)
    }

    /// Where earlier runs may have come to with judging.
    pub fn judged_ms(&self) -> i64 {
        judged_ms(self.boundary_ms(), &self.marks)
    }
}

/// Whether the text of a job's settings says that it corrects no states.
fn keeps_no_states(settings: &str) -> bool {
    settings.split(' ').any(|word| word == "corrected_for=None")
}

/// No run has judged a window that ends later: it would have said so to the partitions to come, or in its last cut.
pub fn judged_ms(boundary_ms: i64, marks: &[IdleMark]) -> i64 {
    let to_come = marks.iter().filter(|mark| mark.partition == IdleMark::TO_COME).map(|mark| mark.watermark_ms);
    to_come.fold(boundary_ms, i64::max)
}

/// One worker's part of a checkpoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WorkerPart {
    /// T.
    pub boundary_ms: i64,
    /// Which worker.
    pub worker: usize,
    /// Its totals below T.
    pub totals: Totals,
    /// Its partitions.
    pub positions: Vec<Position>,
    /// The peers in the window before T, which all workers know.
    pub peers: Seen,
    /// Its devices, encoded in chunks.
    pub devices: Vec<Vec<u8>>,
}

/// How many devices share a chunk: a chunk is a row of the store.
const DEVICES_A_CHUNK: usize = 64;

/// Encodes devices in chunks.
pub fn encode_devices<'a>(devices: impl Iterator<Item = &'a DeviceState>) -> Vec<Vec<u8>> {
    let devices: Vec<&DeviceState> = devices.collect();
    devices
        .chunks(DEVICES_A_CHUNK)
        .map(|chunk| bincode::serialize(chunk).expect("a device's state can be encoded in memory"))
        .collect()
}

/// Joins the workers' parts of one cut, in an order that does not depend on who came first.
pub fn assemble(
    id: u64,
    parts: Vec<WorkerPart>,
    finished: bool,
    source: String,
    settings: String,
) -> (Manifest, Checkpoint) {
    let mut by_worker: BTreeMap<usize, WorkerPart> = BTreeMap::new();
    for part in parts {
        by_worker.insert(part.worker, part);
    }
    let boundary_ms = by_worker.values().next().map_or(i64::MIN, |part| part.boundary_ms);
    let mut totals = Totals::default();
    let peers = by_worker.values().next().map_or_else(Seen::default, |part| part.peers.clone());
    let mut positions = Vec::new();
    let mut chunks = Vec::new();
    for (worker, part) in by_worker {
        assert_eq!(part.boundary_ms, boundary_ms, "all parts of a checkpoint have one boundary");
        assert_eq!(part.peers, peers, "all workers know the same of peers");
        totals.add(&part.totals);
        positions.extend(part.positions);
        for (number, chunk) in part.devices.into_iter().enumerate() {
            chunks.push((format!("devices/{worker:04}/{number:06}"), chunk));
        }
    }
    positions.sort_by_key(|position| position.partition);
    let manifest = Manifest { layout: LAYOUT, boundary_ms, positions, totals, peers, finished, source, settings };
    let bytes = bincode::serialize(&manifest).expect("a manifest can be encoded in memory");
    (manifest, Checkpoint { id, manifest: bytes, parts: chunks })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A checkpoint of the layout before, as a job with these settings wrote it.
    fn older(settings: &str) -> Checkpoint {
        let manifest = Manifest {
            layout: WITHOUT_EXPECTED,
            boundary_ms: 60_000,
            positions: Vec::new(),
            totals: Totals::default(),
            peers: Seen::default(),
            finished: false,
            source: "file:day".to_owned(),
            settings: settings.to_owned(),
        };
        let devices = vec![DeviceState::new("D", 0)];
        Checkpoint {
            id: 7,
            manifest: bincode::serialize(&manifest).unwrap(),
            parts: vec![("devices/0000/000000".to_owned(), bincode::serialize(&devices).unwrap())],
        }
    }

    /// An upgrade does not begin anew what it can go on with, and never takes recent states for what they are not.
    #[test]
    fn an_older_checkpoint_is_read_where_it_keeps_no_states() {
        let start = Start::decode(Some(older("window=60000 corrected_for=None detectors=1")), Vec::new()).unwrap();
        assert_eq!((start.boundary_ms(), start.devices[0].device_id.as_str()), (60_000, "D"));
        let kept = Start::decode(Some(older("window=60000 corrected_for=Some(3600000) detectors=1")), Vec::new());
        assert_eq!(
            kept.unwrap_err().to_string(),
            "checkpoint 7 has layout 5, this version reads 6; use --fresh to start again from the source"
        );
    }
}
