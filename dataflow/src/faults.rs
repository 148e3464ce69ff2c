//! Rules of the job that can be broken one at a time, to prove that a scenario or a walk notices.
//!
//! Off in every run but those of `cargo xtask mutate`: nothing on the command line or in a configuration sets them.

/// Each field breaks one rule where it is true.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Lateness is counted from the window's start instead of its end.
    pub late_below_start: bool,
    /// The watermark follows the device's clock alone.
    pub trust_device_clock: bool,
    /// A restart begins at the read position instead of the smallest offset needed.
    pub resume_at_read_position: bool,
    /// A restart forgets the watermark in front of the offset.
    pub forget_watermark: bool,
    /// A restart forgets which devices and metrics a partition has shown.
    pub forget_known: bool,
    /// Records below T are applied again.
    pub apply_covered: bool,
    /// Messages that can't be used move the watermark.
    pub poison_moves_watermark: bool,
    /// Idle marks are ignored in a replay.
    pub forget_marks: bool,
    /// A partition that the topic gained is read at once, without a mark.
    pub open_without_mark: bool,
    /// Windows are judged though nothing durable says so to a partition that a later start finds.
    pub close_unannounced: bool,
    /// Idle marks are used before they are durable.
    pub use_marks_early: bool,
    /// Of duplicates the lower (partition, offset) wins.
    pub lower_duplicate_wins: bool,
    /// A window takes the reading at its end.
    pub closed_windows: bool,
    /// A late reading is stamped with its own window instead of the watermark's.
    pub late_at_own_window: bool,
    /// A restart forgets the readings that late ones would correct.
    pub forget_recent: bool,
    /// Floats are added in the order of arrival.
    pub arrival_order: bool,
    /// Detector state is saved as of now instead of T.
    pub save_state_now: bool,
    /// Totals are saved as of now instead of below T.
    pub count_now: bool,
    /// The manifest is written before the rows below T are durable.
    pub manifest_first: bool,
    /// The last write wins, whatever its version.
    pub ignore_versions: bool,
    /// Windows close without waiting for the control stream.
    pub ungated: bool,
    /// A state is compared with its peers of the same window instead of the window before.
    pub peers_of_same_window: bool,
    /// A restart forgets what the peers showed in the window before the boundary.
    pub forget_peers: bool,
    /// Silent devices are noticed beyond the newest window that has readings.
    pub silent_for_ever: bool,
    /// What people asked for is used before it is durable.
    pub place_early: bool,
    /// A word on an incident is written into its row before the row is durable.
    pub settle_early: bool,
    /// A checkpoint does not wait until such words are in the rows.
    pub cut_unsettled: bool,
    /// The write operator lets go of its capability before the store has answered.
    pub drop_capability_early: bool,
}
