//! Where a run on a live topic begins. The answer is durable before the first record is used: "latest" must mean the same
//! after a crash, and what retention took must not be noticed twice.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use connectors::{Checkpoint, Extent, IdleMark, Live, Store};

use crate::checkpoint::{LAYOUT, Manifest, Position, Start};
use crate::job::JobConfig;
use crate::ledger::Totals;
use crate::settings::Begin;

/// A live topic's start.
pub struct Settled {
    /// What to start from, durable already.
    pub checkpoint: Option<Checkpoint>,
    /// Offsets that are gone before they were read, and that the settings accept; counted at this start.
    pub lost: u64,
}

/// Completes what the store holds to a start on the topic as it is now; for recordings nothing changes.
///
/// # Errors
/// When the topic can't be asked, the store can't be written, or messages are gone and the settings do not accept it.
pub fn settle(
    config: &JobConfig,
    store: &mut dyn Store,
    checkpoint: Option<Checkpoint>,
    marks: &[IdleMark],
) -> anyhow::Result<Settled> {
    let Some(live) = config.source.live() else { return Ok(Settled { checkpoint, lost: 0 }) };
    let extents = live.extents().context("could not learn what the topic holds")?;
    let stored = Start::decode(checkpoint.clone(), Vec::new())?.manifest;
    let (manifest, lost) = match &stored {
        Some((_, manifest)) => go_on(config, manifest, &extents, marks)?,
        None => (first(config, live, &extents)?, 0),
    };
    if stored.as_ref().is_some_and(|(_, stored)| *stored == manifest) {
        return Ok(Settled { checkpoint, lost });
    }
    let checkpoint = Checkpoint {
        id: stored.map_or(1, |(id, _)| id + 1),
        manifest: bincode::serialize(&manifest).context("could not encode where to start")?,
        parts: checkpoint.map(|checkpoint| checkpoint.parts).unwrap_or_default(),
    };
    store.write_checkpoint(&checkpoint).context("could not write down where to start")?;
    Ok(Settled { checkpoint: Some(checkpoint), lost })
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
        finished: false,
        source: config.source.identity(),
        settings: config.meaning(),
    })
}

/// A later start: what the topic lost since then, and which partitions are new. The manifest changes only where it has to.
fn go_on(
    config: &JobConfig,
    manifest: &Manifest,
    extents: &[Extent],
    marks: &[IdleMark],
) -> anyhow::Result<(Manifest, u64)> {
    let extents: BTreeMap<u32, Extent> = extents.iter().map(|extent| (extent.partition, *extent)).collect();
    let mut manifest = manifest.clone();
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
        // A run that was not cut any more may have begun it, with a mark; otherwise it begins at the boundary.
        let begun = marks.iter().filter(|mark| mark.partition == partition).map(|mark| mark.offset).min();
        let (offset, watermark_ms) = match begun {
            Some(offset) => (offset, i64::MIN),
            None => (extent.first_offset, manifest.boundary_ms),
        };
        tracing::info!(partition, offset, "a new partition");
        manifest.positions.push(Position { partition, offset, watermark_ms, known: Vec::new() });
    }
    manifest.positions.sort_by_key(|position| position.partition);
    Ok((manifest, lost))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use connectors::memory::MemorySource;
    use udfs::MonitorConfig;

    use super::*;
    use crate::faults::Faults;
    use crate::settings::JobSettings;

    fn config(accept_loss: bool) -> JobConfig {
        JobConfig {
            settings: JobSettings { accept_loss, ..JobSettings::default() },
            monitor: MonitorConfig::default(),
            source: Arc::new(MemorySource::finite("topic", BTreeMap::new())),
            store_rows: true,
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
        let (same, lost) = go_on(&config(false), &stored, &extents(&[(5, 9), (0, 9)]), &[]).unwrap();
        assert_eq!((same, lost), (stored, 0));
    }

    #[test]
    fn what_is_gone_is_said_and_counted_where_it_is_accepted() {
        let (stored, now) = (manifest(&[5, 9]), extents(&[(8, 20), (0, 3)]));
        let said = go_on(&config(false), &stored, &now, &[]).unwrap_err().to_string();
        expect_test::expect![[r#"topic "topic": partition 0 has lost up to 3 messages from offset 5 on; partition 1 ends at offset 3, before 9 where the job was: it was made anew or cut off. Retention may be shorter than the job was away. --accept-loss goes on with the oldest messages there are, --fresh forgets the store and begins again"#]].assert_eq(&said);
        let (settled, lost) = go_on(&config(true), &stored, &now, &[]).unwrap();
        let offsets: Vec<i64> = settled.positions.iter().map(|position| position.offset).collect();
        assert_eq!((offsets, lost), (vec![8, 0], 9));
        let said = go_on(&config(true), &stored, &extents(&[(0, 9)]), &[]).unwrap_err().to_string();
        assert!(said.contains("no longer has partition 1"), "{said}");
    }

    #[test]
    fn a_new_partition_begins_at_its_mark_or_at_the_boundary() {
        let mark = |offset, watermark_ms| IdleMark { partition: 2, offset, watermark_ms };
        let now = extents(&[(0, 9), (3, 4), (2, 8)]);
        let (settled, _) = go_on(&config(false), &manifest(&[5]), &now, &[mark(6, 90_000), mark(2, 70_000)]).unwrap();
        let begun: Vec<_> = settled.positions.iter().map(|at| (at.partition, at.offset, at.watermark_ms)).collect();
        assert_eq!(begun, [(0, 5, 7), (1, 3, 60_000), (2, 2, i64::MIN)]);
    }
}
