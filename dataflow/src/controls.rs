//! What people say of incidents and devices: rows of `controls`, each with the window in which it takes effect.
//!
//! A command writes what was **asked** for, in front of all windows ([`ASKED_MS`]). Only the job knows what it has not judged
//! yet: it **places** the control, which is the same row once more at its effective window, and holds that window until the row
//! is durable. So what is judged is a function of the records and of placed controls, and a crash or a replay repeats it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use connectors::{Control, IdleMark, Store, StoreError};
use model::tables::TableId;
use model::time::{date_of, window_start};
use model::{Row, Value, Version};
use serde::{Deserialize, Serialize};

/// In place of a window: asked for, and not placed yet.
pub const ASKED_MS: i64 = i64::MIN;

/// What people made of an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// There was nothing: the device's bar for such an incident rises.
    FalsePositive,
    /// It was one, and was taken care of: a raised bar for such an incident falls again.
    Fault,
    /// Somebody worked on the device.
    Maintenance,
}

impl Resolution {
    /// Its word in `resolution_status`.
    pub fn status(self) -> &'static str {
        match self {
            Resolution::FalsePositive => "false_positive",
            Resolution::Fault => "resolved",
            Resolution::Maintenance => "maintenance",
        }
    }
}

/// A word on an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolve {
    /// Which device.
    pub device_id: String,
    /// The incident's id.
    pub anomaly_id: String,
    /// Its kind.
    pub kind: String,
    /// Its start.
    pub start_ms: i64,
    /// Its first metric, empty where it has none: with the kind it makes the pattern.
    pub metric: String,
    /// What it was.
    pub resolution: Resolution,
    /// In people's words.
    pub note: Option<String>,
    /// Orders words on one incident that take effect in front of one window.
    #[serde(default)]
    pub step: u16,
}

/// Work on devices from one time to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maintenance {
    /// Only this device.
    pub device_id: Option<String>,
    /// All devices of this building.
    pub building_id: Option<String>,
    /// Beginning, milliseconds since the epoch.
    pub from_ms: i64,
    /// End, exclusive.
    pub to_ms: i64,
    /// In people's words.
    pub note: Option<String>,
}

/// What a control asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// See there.
    Resolve(Resolve),
    /// See there.
    Maintenance(Maintenance),
}

/// A control with its window, or [`ASKED_MS`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// Start of the first window in which it counts.
    pub window_ms: i64,
    /// Which; orders those of one window as they were asked for.
    pub id: String,
    /// What is asked for.
    pub ask: Ask,
}

impl Placed {
    /// From the store's form.
    ///
    /// # Errors
    /// If its body is none that this version writes.
    pub fn of_control(control: &Control) -> anyhow::Result<Placed> {
        let unknown = || format!("control {:?} holds nothing that this version knows", control.id);
        let ask = serde_json::from_slice(&control.body).with_context(unknown)?;
        if let Ask::Resolve(resolve) = &ask {
            uuid::Uuid::parse_str(&resolve.anomaly_id).with_context(unknown)?;
        }
        Ok(Placed { window_ms: control.window_ms, id: control.id.clone(), ask })
    }

    /// The store's form.
    pub fn to_control(&self) -> Control {
        let body = serde_json::to_vec(&self.ask).expect("an ask can be written as JSON");
        Control { window_ms: self.window_ms, id: self.id.clone(), body }
    }
}

/// Gives controls their windows, one after the other.
#[derive(Clone, Debug, Default)]
pub struct Placing {
    /// How many words on an incident take effect in front of a window.
    steps: BTreeMap<(String, i64), u16>,
}

impl Placing {
    /// Behind those that have theirs.
    pub fn behind(placed: &[Placed]) -> Placing {
        let mut placing = Placing::default();
        for placed in placed {
            if let Ask::Resolve(resolve) = &placed.ask {
                placing.step(&resolve.anomaly_id, placed.window_ms);
            }
        }
        placing
    }

    fn step(&mut self, anomaly_id: &str, window_ms: i64) -> u16 {
        let next = self.steps.entry((anomaly_id.to_owned(), window_ms)).or_default();
        let step = *next;
        *next = (step + 1).min(MOST_STEPS);
        step
    }

    /// Places a control at the first window from `open_ms` on in which it counts.
    #[must_use]
    pub fn place(&mut self, asked: &Placed, open_ms: i64, width_ms: i64) -> Placed {
        let mut placed = Placed { window_ms: open_ms, ..asked.clone() };
        match &mut placed.ask {
            Ask::Maintenance(maintenance) => {
                placed.window_ms = open_ms.max(window_start(maintenance.from_ms, width_ms));
            }
            Ask::Resolve(resolve) => resolve.step = self.step(&resolve.anomaly_id, open_ms),
        }
        placed
    }
}

/// Words on one incident in front of one window; more are one.
const MOST_STEPS: u16 = 999;

/// What a start finds in the store.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Controls {
    /// In the order in which they count.
    pub placed: Vec<Placed>,
    /// Not placed yet, as they were asked for.
    pub asked: Vec<Placed>,
    /// Earlier runs may have judged windows, and nothing durable says how far they came.
    pub past_unknown: bool,
}

impl Controls {
    /// Reads them for a start that finds this checkpoint and these marks. Of a recording nobody writes down how far it was judged
    /// before a checkpoint, only that a run has begun it (`begin`).
    ///
    /// # Errors
    /// If the store fails, or a placed control can't be understood: results would differ from those that it made.
    pub fn load(
        store: &mut dyn Store,
        is_live: bool,
        has_checkpoint: bool,
        marks: &[IdleMark],
    ) -> anyhow::Result<Controls> {
        let is_begun = has_checkpoint || marks.iter().any(|mark| mark.partition == IdleMark::TO_COME);
        Ok(Controls { past_unknown: !is_live && is_begun, ..read(store)? })
    }
}

/// All controls of a store: a placed one hides its asking.
///
/// # Errors
/// If the store fails or a placed control can't be understood.
pub fn read(store: &mut dyn Store) -> anyhow::Result<Controls> {
    let stored = store.controls().context("could not read the controls")?;
    let (asked, placed): (Vec<Control>, Vec<Control>) =
        stored.into_iter().partition(|control| control.window_ms == ASKED_MS);
    let placed = placed.iter().map(Placed::of_control).collect::<anyhow::Result<Vec<_>>>()?;
    let done: BTreeSet<&str> = placed.iter().map(|placed| placed.id.as_str()).collect();
    let asked = asked.iter().filter(|control| !done.contains(control.id.as_str())).filter_map(understood).collect();
    Ok(Controls { placed, asked, past_unknown: false })
}

/// What was asked for; what this version can't read is left to one that can.
pub fn understood(control: &Control) -> Option<Placed> {
    match Placed::of_control(control) {
        Ok(placed) => Some(placed),
        Err(error) => {
            tracing::warn!("left alone: {error:#}");
            None
        }
    }
}

/// Version of what takes effect in front of a window: above all that was written of earlier ones.
fn in_front_of(window_ms: i64, step: u16) -> Version {
    Version::from_us(Version::window(window_ms).us().saturating_sub(1_000).saturating_add(i64::from(step)))
}

/// Writes what people made of an incident into its row, as it is once everything stamped below the control's window is durable.
/// A row of a later window knows already. Twice is the same as once.
///
/// # Errors
/// If the store fails.
pub fn settle(store: &mut dyn Store, control: &Placed) -> Result<(), StoreError> {
    let Ask::Resolve(resolve) = &control.ask else { return Ok(()) };
    let key = vec![
        Value::Text(resolve.device_id.clone()),
        Value::Text(date_of(resolve.start_ms)),
        Value::Uuid(
            uuid::Uuid::parse_str(&resolve.anomaly_id).expect("it was looked at when it was read").into_bytes(),
        ),
    ];
    let version = in_front_of(control.window_ms, resolve.step);
    let mut rows = store.find(TableId::AnomalyEvents, &[key])?;
    rows.retain(|row| row.version <= version);
    for row in &mut rows {
        resolved(row, resolve.resolution, resolve.note.as_deref());
        row.version = version;
    }
    if rows.is_empty() { Ok(()) } else { store.write(&rows) }
}

/// Sets the two columns that people's words stand in.
pub fn resolved(row: &mut Row, resolution: Resolution, note: Option<&str>) {
    row.set("resolution_status", Value::Text(resolution.status().to_owned()));
    row.set("notes", note.map_or(Value::Null, |note| Value::Text(note.to_owned())));
}

/// Places and settles what was asked of a store whose job has come to its source's end at `boundary_ms`. Nothing is judged any
/// more; a replay from the beginning does the same at its end.
///
/// # Errors
/// If the store fails.
pub fn settle_finished(
    store: &mut dyn Store,
    controls: &Controls,
    boundary_ms: i64,
    width_ms: i64,
) -> anyhow::Result<()> {
    let mut placing = Placing::behind(&controls.placed);
    let placed: Vec<Placed> = controls.asked.iter().map(|asked| placing.place(asked, boundary_ms, width_ms)).collect();
    store
        .write_controls(&placed.iter().map(Placed::to_control).collect::<Vec<_>>())
        .context("could not write the controls")?;
    placed
        .iter()
        .try_for_each(|control| settle(store, control))
        .context("could not write what people made of an incident")
}

/// What a worker's devices go by: resolutions that wait for their window, and all maintenance there ever was, for it decides when
/// a device is silent also long after.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// By window, step and id.
    waiting: BTreeMap<(i64, u16, String), Resolve>,
    /// With the first window in which each counts.
    of_devices: BTreeMap<String, Vec<(i64, Maintenance)>>,
    of_buildings: BTreeMap<String, Vec<(i64, Maintenance)>>,
}

impl Standing {
    /// As of a checkpoint: the devices know of the resolutions that took effect below `boundary_ms`.
    pub fn resume(placed: &[Placed], boundary_ms: i64) -> Standing {
        let mut standing = Standing::default();
        let counts = |placed: &&Placed| placed.window_ms >= boundary_ms || matches!(placed.ask, Ask::Maintenance(_));
        placed.iter().filter(counts).cloned().for_each(|placed| standing.add(placed));
        standing
    }

    /// One more.
    pub fn add(&mut self, placed: Placed) {
        match placed.ask {
            Ask::Resolve(resolve) => drop(self.waiting.insert((placed.window_ms, resolve.step, placed.id), resolve)),
            Ask::Maintenance(maintenance) => {
                let (places, name) = match (&maintenance.device_id, &maintenance.building_id) {
                    (Some(device), _) => (&mut self.of_devices, device),
                    (None, Some(building)) => (&mut self.of_buildings, building),
                    (None, None) => return,
                };
                places.entry(name.clone()).or_default().push((placed.window_ms, maintenance));
            }
        }
    }

    /// The window of the next resolution.
    pub fn next_ms(&self) -> Option<i64> {
        self.waiting.first_key_value().map(|((window_ms, ..), _)| *window_ms)
    }

    /// The next resolution that takes effect in this window or before.
    pub fn next_at(&mut self, window_ms: i64) -> Option<Resolve> {
        let next = self.waiting.first_entry()?;
        (next.key().0 <= window_ms).then(|| next.remove())
    }

    /// A maintenance in which a device's window lies, if any.
    pub fn maintenance(
        &self,
        device_id: &str,
        building_id: Option<&str>,
        start_ms: i64,
        width_ms: i64,
    ) -> Option<&Maintenance> {
        if self.of_devices.is_empty() && self.of_buildings.is_empty() {
            return None;
        }
        let covers = |(window_ms, maintenance): &&(i64, Maintenance)| {
            let overlaps = start_ms < maintenance.to_ms && start_ms.saturating_add(width_ms) > maintenance.from_ms;
            overlaps && start_ms >= *window_ms
        };
        let of_building = building_id.and_then(|building| self.of_buildings.get(building));
        let of_device = self.of_devices.get(device_id);
        of_device.into_iter().chain(of_building).flatten().find(covers).map(|(_, maintenance)| maintenance)
    }
}
