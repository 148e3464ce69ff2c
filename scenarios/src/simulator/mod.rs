//! A fleet of building equipment, simulated: five types, 71 metrics, weather, people, wear, faults with labels, and a
//! network that loses, repeats, delays and spoils messages. The same seed gives the same bytes on every platform.
//!
//! ```
//! use scenarios::simulator::{Fleet, Options, Simulator};
//! let options = Options { duration_ms: Some(60_000), ..Options::default() };
//! let mut simulator = Simulator::new(&Fleet::default_eleven(), &options)?;
//! let mut messages = Vec::new();
//! let mut count = 0;
//! while simulator.next_batch(&mut messages) {
//!     count += messages.len();
//! }
//! assert_eq!(count, 6 * 156);
//! # Ok::<(), scenarios::simulator::SimulatorError>(())
//! ```
//!
//! A reading's way: `fleet` says which devices there are, `stream` calls their ticks (`device` is one of them), `climate` says what it is like
//! outside, `equipment` and `physics` move the metrics, `breakage` breaks them (`fault` says how), `encode` writes them,
//! `delivery` decides whether and when they arrive, `write` puts them into a recording.

mod breakage;
mod climate;
mod delivery;
mod device;
mod encode;
mod equipment;
mod error;
mod fault;
mod fleet;
mod metrics;
mod options;
mod physics;
mod random;
mod stream;
#[cfg(test)]
mod tests;
mod write;

pub use device::partition_of;
pub use error::SimulatorError;
pub use fault::{FaultKind, FaultRequest, FaultSeverity, FaultStart};
pub use fleet::{DeviceSpec, Fleet, MAX_DEVICES};
pub use metrics::{DeviceKind, Metric};
pub use options::{Climate, Clock, Delivery, FaultOptions, Features, Options, TypeSpelling};
pub use stream::{SimulatedMessage, Simulator, Tally};
pub use write::Progress;
