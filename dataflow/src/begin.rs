//! Where a run on a live topic begins. The answer is durable before the first record is used: "latest" must mean the same
//! after a crash, and what retention took must not be noticed twice.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use connectors::{Checkpoint, Extent, IdleMark, Live, Store};

use crate::checkpoint::{LAYOUT, Manifest, Position, Start, judged_ms};
use crate::controls::Controls;
use crate::job::JobConfig;
use crate::ledger::Totals;
use crate::settings::Begin;

/// A live topic's start.
pub struct Settled {
    /// What to start from, durable already.
    pub checkpoint: Option<Checkpoint>,
    /// All idle marks, durable already.
    pub marks: Vec<IdleMark>,
    /// What people asked for.
    pub controls: Controls,
    /// Offsets that are gone before they were read, and that the settings accept; counted at this start.
    pub lost: u64,
}

/// A run has begun a recording; it says nothing of how far.
const BEGUN: IdleMark = IdleMark { partition: IdleMark::TO_COME, offset: 0, watermark_ms: i64::MIN };

/// Completes what the store holds to a start on the topic as it is now; of recordings it is only written down that they
/// are begun.
///
/// # Errors
/// When the topic can't be asked, the store can't be written, or messages are gone and the settings do not accept it.
pub fn settle(
    config: &JobConfig,
    store: &mut dyn Store,
    checkpoint: Option<Checkpoint>,
    mut marks: Vec<IdleMark>,
) -> anyhow::Result<Settled> {
    let is_live = config.source.live().is_some();
    let controls = Controls::load(store, is_live, checkpoint.is_some(), &marks)?;
    let Some(live) = config.source.live() else {
        // From here on windows may be judged: durable before the first one is.
        store.write_marks(&[BEGUN]).context("could not write down that the recording is begun")?;
        return Ok(Settled { checkpoint, marks, controls, lost: 0 });
    };
    let extents = live.extents().context("could not learn what the topic holds")?;
    let stored = Start::decode(checkpoint.clone(), Vec::new())?.manifest;
    let GoneOn { manifest, lost, begun } = match &stored {
        Some((_, manifest)) => go_on(config, manifest, &extents, &marks)?,
        None => GoneOn { manifest: first(config, live, &extents)?, lost: 0, begun: Vec::new() },
    };
    if !begun.is_empty() {
        store.write_marks(&begun).context("could not write down where new partitions begin")?;
        marks.extend(begun);
    }
    if stored.as_ref().is_some_and(|(_, stored)| *stored == manifest) {
        return Ok(Settled { checkpoint, marks, controls, lost });
    }
    let checkpoint = Checkpoint {
        id: stored.map_or(1, |(id, _)| id + 1),
        manifest: bincode::serialize(&manifest).context("could not encode where to start")?,
        parts: checkpoint.map(|checkpoint| checkpoint.parts).unwrap_or_default(),
    };
    store.write_checkpoint(&checkpoint).context("could not write down where to start")?;
    Ok(Settled { checkpoint: Some(checkpoint), marks, controls, lost })
}

/// The first start on this topic.
fn first(config: &JobConfig, live: &dyn Live, extents: &[Extent]) -> anyhow::Result<Manifest> {
    let offsets: Vec<(u32, i64)> = match config.settings.from {
        Begin::Earliest => extents.iter().map(|extent| (extent.partition, extent.first_offset)).collect(),
        Begin::Latest => extents.iter().map(|extent| (extent.partition, extent.end_offset)).collect(),
        Begin::Time(ms) => live.offsets_at(ms).context("could not find where that time is in the topic")?,
    };
    let begin = |(partition, offset)| Position { partition, offset, watermark_ms: i64::MIN, known: Vec::new() };
    Ok(Manifest {
        layout: LAYOUT,
        boundary_ms: i64::MIN,
        positions: offsets.into_iter().map(begin).collect(),
        totals: Totals::default(),
        peers: Vec::new(),
        finished: false,
        source: config.source.identity(),
        settings: config.meaning(),
    })
}

/// What a later start makes of a manifest.
struct GoneOn {
    manifest: Manifest,
    /// Offsets that are gone.
    lost: u64,
    /// The marks at which new partitions begin.
    begun: Vec<IdleMark>,
}

/// A later start: what the topic lost since then, and which partitions are new. The manifest changes only where it has to.
fn go_on(config: &JobConfig, manifest: &Manifest, extents: &[Extent], marks: &[IdleMark]) -> anyhow::Result<GoneOn> {
    let extents: BTreeMap<u32, Extent> = extents.iter().map(|extent| (extent.partition, *extent)).collect();
    let mut manifest = manifest.clone();
    let judged_ms = judged_ms(manifest.boundary_ms, marks);
    // A partition that was cut before it had its mark has a watermark in front of its first record.
    let is_unmarked = |position: &&Position| {
        let is_marked = marks.iter().any(|mark| mark.partition == position.partition && mark.offset == 0);
        position.offset == 0 && position.watermark_ms > i64::MIN && !is_marked
    };
    let mark_at = |position: &Position| IdleMark {
        partition: position.partition,
        offset: 0,
        watermark_ms: position.watermark_ms.max(judged_ms),
    };
    let mut begun: Vec<IdleMark> = manifest.positions.iter().filter(is_unmarked).map(mark_at).collect();
    let (mut problems, mut lost) = (Vec::new(), 0);
    for Position { partition, offset, .. } in &mut manifest.positions {
        let Some(extent) = extents.get(partition) else {
            bail!(
                "topic {:?} no longer has partition {partition}: it was made anew; choose another --store, or --fresh to begin again",
                config.source.topic()
            );
        };
        let (first, end) = (extent.first_offset, extent.end_offset);
        let problem = if *offset < first {
            lost += (first - *offset).unsigned_abs();
            format!("partition {partition} has lost up to {} messages from offset {offset} on", first - *offset)
        } else if *offset > end {
            lost += (*offset - end).unsigned_abs();
            format!(
                "partition {partition} ends at offset {end}, before {offset} where the job was: it was made anew or cut off"
            )
        } else {
            continue;
        };
        problems.push(problem);
        *offset = first;
    }
    if !problems.is_empty() {
        let problems = problems.join("; ");
        if !config.settings.accept_loss {
            bail!(
                "topic {:?}: {problems}. Retention may be shorter than the job was away. --accept-loss goes on with the oldest messages \
                 there are, --fresh forgets the store and begins again",
                config.source.topic()
            );
        }
        tracing::warn!(lost, "going on without what is gone: {problems}");
    }
    for (partition, extent) in extents {
        if manifest.positions.iter().any(|position| position.partition == partition) {
            continue;
        }
        // A run that was not cut any more may have begun it, with a mark; otherwise it gets one behind what was judged.
        let mark = marks.iter().filter(|mark| mark.partition == partition).map(|mark| mark.offset).min();
        let offset = mark.unwrap_or(extent.first_offset);
        if mark.is_none() && judged_ms > i64::MIN {
            begun.push(IdleMark { partition, offset, watermark_ms: judged_ms });
        }
        tracing::info!(partition, offset, "a new partition");
        manifest.positions.push(Position { partition, offset, watermark_ms: i64::MIN, known: Vec::new() });
    }
    manifest.positions.sort_by_key(|position| position.partition);
    Ok(GoneOn { manifest, lost, begun })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use connectors::memory::MemorySource;

    use super::*;
    use crate::detectors::Detectors;
    use crate::faults::Faults;
    use crate::settings::JobSettings;

    fn config(accept_loss: bool) -> JobConfig {
        JobConfig {
            settings: JobSettings { accept_loss, ..JobSettings::default() },
            monitor: Detectors::default(),
            source: Arc::new(MemorySource::finite("topic", BTreeMap::new())),
            store_rows: true,
            raw_rows: true,
            embedder: None,
            texts: None,
            faults: Faults::default(),
            timed: true,
        }
    }

    fn manifest(offsets: &[i64]) -> Manifest {
        let position = |(partition, &offset)| Position { partition, offset, watermark_ms: 7, known: vec![(1, 2)] };
        Manifest {
            layout: LAYOUT,
            boundary_ms: 60_000,
            positions: (0..).zip(offsets).map(position).collect(),
            totals: Totals::default(),
            peers: Vec::new(),
            finished: false,
            source: String::new(),
            settings: String::new(),
        }
    }

    fn extents(of: &[(i64, i64)]) -> Vec<Extent> {
        let extent = |(partition, &(first_offset, end_offset))| Extent { partition, first_offset, end_offset };
        (0..).zip(of).map(extent).collect()
    }

    #[test]
    fn a_position_at_either_end_of_the_log_is_whole() {
        let stored = manifest(&[5, 9]);
        let same = go_on(&config(false), &stored, &extents(&[(5, 9), (0, 9)]), &[]).unwrap();
        assert_eq!((same.manifest, same.lost, same.begun), (stored, 0, Vec::new()));
    }

    #[test]
    fn what_is_gone_is_said_and_counted_where_it_is_accepted() {
        let (stored, now) = (manifest(&[5, 9]), extents(&[(8, 20), (0, 3)]));
        let refused =
            |accept, extents: &[Extent]| go_on(&config(accept), &stored, extents, &[]).err().unwrap().to_string();
        let said = refused(false, &now);
        expect_test::expect![[r#"topic "topic": partition 0 has lost up to 3 messages from offset 5 on; partition 1 ends at offset 3, before 9 where the job was: it was made anew or cut off. Retention may be shorter than the job was away. --accept-loss goes on with the oldest messages there are, --fresh forgets the store and begins again"#]].assert_eq(&said);
        let settled = go_on(&config(true), &stored, &now, &[]).unwrap();
        let offsets: Vec<i64> = settled.manifest.positions.iter().map(|position| position.offset).collect();
        assert_eq!((offsets, settled.lost), (vec![8, 0], 9));
        let said = refused(true, &extents(&[(0, 9)]));
        assert!(said.contains("no longer has partition 1"), "{said}");
    }

    #[test]
    fn a_new_partition_begins_at_its_mark_or_at_the_boundary() {
        let mark = |offset, watermark_ms| IdleMark { partition: 2, offset, watermark_ms };
        let now = extents(&[(0, 9), (3, 4), (2, 8)]);
        let settled = go_on(&config(false), &manifest(&[5]), &now, &[mark(6, 90_000), mark(2, 70_000)]).unwrap();
        let positions = settled.manifest.positions.iter();
        let positions: Vec<_> = positions.map(|at| (at.partition, at.offset, at.watermark_ms)).collect();
        assert_eq!(positions, [(0, 5, 7), (1, 3, i64::MIN), (2, 2, i64::MIN)]);
        assert_eq!(settled.begun, [IdleMark { partition: 1, offset: 3, watermark_ms: 60_000 }]);
        // One that was cut before it had its mark.
        let cut = go_on(&config(false), &manifest(&[5, 0, 8]), &extents(&[(0, 9), (0, 4), (2, 8)]), &[]).unwrap();
        assert_eq!(cut.begun, [IdleMark { partition: 1, offset: 0, watermark_ms: 60_000 }]);
        // A run that was killed had judged beyond its last cut.
        let beyond = IdleMark { partition: IdleMark::TO_COME, offset: 0, watermark_ms: 120_000 };
        let killed = go_on(&config(false), &manifest(&[5]), &now, &[mark(2, 70_000), beyond]).unwrap();
        assert_eq!(killed.begun, [IdleMark { partition: 1, offset: 3, watermark_ms: 120_000 }]);
        // Before the first cut every partition begins with nothing known.
        let first = Manifest { boundary_ms: i64::MIN, ..manifest(&[5]) };
        assert_eq!(go_on(&config(false), &first, &now, &[]).unwrap().begun, []);
    }
}
