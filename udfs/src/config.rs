//! What people can set: when a device is judged, what counts as unusual, and when an incident opens and closes.

mod check;

use serde::{Deserialize, Serialize};

/// Settings of a [`Monitor`](crate::Monitor). All counts of windows are windows in which the device had a state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MonitorConfig {
    /// States before anything but a critical rule is reported. The models are fitted on the first two thirds and
    /// their limits found on the last.
    pub warm_up_windows: u32,
    /// In the warm-up a value beyond so many deviations of the first states is not learned unless it persists.
    pub guard_deviations: f64,
    /// The models are fitted again each time the count of normal states has doubled, up to here; then each time as
    /// many have come again, with the older ones at half weight.
    pub refit_until_windows: u32,
    /// At an operating point that the device never had (a status or command on for the first time, a set point beyond all
    /// seen), so many states are learned without being judged by the methods that learn.
    pub regime_windows: u32,
    /// In the first so many normal states a device still shows new operating points (its first morning): where a large
    /// part of its metrics moves at once and no rule is broken, that is learned like a new input.
    pub acquaint_windows: u32,
    /// Incidents that one healthy device may have in a month of thirty days: the limits of all methods that learn follow from it (see
    /// [`MonitorConfig::limit_factor`]).
    pub false_alarms_per_month: f64,
    /// In an hour (of working days or weekends) or in weather that the device has hardly been seen in, limits of all metrics together are
    /// so many times the usual ones.
    pub unknown_factor: f64,
    /// An anomaly that lasts so long is taken as the new normal: its incident closes and the models start anew.
    pub relearn_windows: u32,
    /// Anomalous states before an incident opens, where two methods agree or a rule is broken.
    pub confirm_windows: u32,
    /// Anomalous states before an incident opens, where a single method speaks.
    pub info_confirm_windows: u32,
    /// Quiet states after which an incident closes.
    pub clear_windows: u32,
    /// Windows without any state after which a device is silent (or three times its longest usual gap, if longer).
    pub silent_after_windows: u32,
    /// States without a metric after which it is missing (or three times its longest usual gap, if longer).
    pub missing_after_windows: u32,
    /// States with the very same value after which a metric is stuck (or ten times its longest usual run, if longer).
    pub stuck_after_windows: u32,
    /// Standardised metrics are clipped here, so that one wild metric does not hide the others.
    pub vector_clip: f64,
    /// One metric alone: decades of rarity that trigger. 4 is about once in 17 days of one-minute windows.
    pub rarity_decades: f64,
    /// One metric alone: how its value is looked at.
    pub views: ViewsConfig,
    /// One metric alone: a value counts as at most so many spreads away, for one glitch must not own the range for ever. Where the
    /// length of a spike is all that is known of a metric, infinite is right.
    pub feed_spreads: f64,
    /// Fingerprint: decades of rarity of the distance to the centroid that trigger.
    pub fingerprint_decades: f64,
    /// Similar states: decades of rarity of the distance to the k-th nearest earlier state that trigger.
    pub similar_decades: f64,
    /// Similar states: how many near neighbours a normal state has.
    pub similar_neighbours: u32,
    /// Similar states: how many earlier states are remembered.
    pub similar_memory: u32,
    /// Several metrics together, each against its past and the inputs.
    pub residual: ResidualConfig,
    /// Several metrics together, each against the others.
    pub relation: RelationConfig,
    /// When metrics begin to move and when they have settled.
    pub change: ChangeConfig,
    /// The device against the others of its type.
    pub peers: PeersConfig,
    /// Weights of the methods in the consensus score, in the order rules, statistics, fingerprint, similar. A method with weight
    /// 0 is not asked.
    pub weights: [f64; 4],
    /// A method that learns and whose weighted score is at least this counts as two.
    pub strong_score: f64,
}

/// Settings of the residual method: what is measured of each is in its module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResidualConfig {
    /// What a metric is predicted from.
    pub regressors: Regressors,
    /// The states of the warm-up are held, 8 bytes a metric, and the models fitted on all of them at its end, with the limits
    /// that follow from them; both then stay. Without, the models are fitted as the states come, and again later.
    pub hold_warm_up: bool,
    /// Of a held warm-up of two days or more the limits are taken from days that the model was not fitted on, each in turn: wider, but
    /// they hold for days that are not like the ones seen. Else, and of a shorter one, they come from the very states fitted on.
    pub left_out_days: bool,
    /// Step of the moving average that collects evidence.
    pub lambda: f64,
    /// Step of the slow moving average that finds drift and small lasting shifts; 0: there is none.
    pub drift_lambda: f64,
    /// One residual counts at most so many deviations.
    pub clip: f64,
    /// Lowest limit of the averaged residual, in its own deviations.
    pub limit_min: f64,
    /// The limit is at least so many times the .995 quantile seen while normal.
    pub limit_factor: f64,
    /// The event closes below this share of the limit.
    pub close_share: f64,
    /// A metric is recovered below this share of its peak.
    pub peak_share: f64,
    /// A metric that is away only later than so many states after the event opened ...
    pub join_windows: u32,
    /// ... keeps it open only at this share of its strongest metric; 0: always.
    pub join_share: f64,
    /// States above the limit before the event opens.
    pub confirm_windows: u32,
    /// States without an active metric before the event closes.
    pub hold_windows: u32,
    /// States after the event that show where the metrics have settled.
    pub settle_windows: u32,
    /// Step by which a slow offset is followed while quiet.
    pub follow: f64,
    /// Largest offset that is followed, in deviations. A larger one lets an event that ends in another operating point
    /// leave a false zero behind, which the slow average then takes for drift.
    pub follow_limit: f64,
}

/// How a metric's value is looked at by itself: the rarest of these views counts. All learn, those that are off say nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct ViewsConfig {
    /// Beyond anything seen.
    pub range: bool,
    /// Against the usual value of this hour.
    pub season: bool,
    /// Against the usual step from one state to the next.
    pub jump: bool,
    /// The mean of the last states against all older ones.
    pub level: bool,
    /// What comes every day at about this hour counts less.
    pub habit: bool,
    /// After more windows without a state than this the last value says nothing of the next: jump and level start anew.
    pub gap_windows: u32,
}

impl Default for ViewsConfig {
    fn default() -> Self {
        ViewsConfig { range: true, season: true, jump: true, level: true, habit: true, gap_windows: 10 }
    }
}

/// What a metric is predicted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Regressors {
    /// Its own last two values and the device's inputs (statuses, set points, commands).
    Both,
    /// Its own last two values.
    Past,
    /// All other metrics of the same state: what [`RelationConfig`] makes of it, and no setting of `residual`.
    #[serde(skip)]
    Siblings,
    /// The inputs alone; then the weather is judged, too, for what a controller asks for follows from it.
    Inputs,
}

/// Settings of the relations: evidence is collected, and events open and end, as those of the residuals do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RelationConfig {
    /// Step of the moving average that collects evidence; 0: relations are not looked at.
    pub lambda: f64,
    /// Lowest limit of the averaged residual, in its own deviations.
    pub limit_min: f64,
    /// The limit is at least so many times the .995 quantile seen while normal.
    pub limit_factor: f64,
    /// States above the limit before the event opens.
    pub confirm_windows: u32,
    /// States without an active metric before the event closes.
    pub hold_windows: u32,
    /// States after the event that show where the metrics have settled.
    pub settle_windows: u32,
    /// Step by which a slow offset is followed while quiet: wear.
    pub follow: f64,
    /// Largest offset that is followed, in deviations.
    pub follow_limit: f64,
}

impl RelationConfig {
    /// As the residuals' arithmetic takes them.
    pub(crate) fn residual(&self) -> ResidualConfig {
        ResidualConfig {
            regressors: Regressors::Siblings,
            hold_warm_up: false,
            left_out_days: false,
            lambda: self.lambda,
            drift_lambda: 0.0,
            limit_min: self.limit_min,
            limit_factor: self.limit_factor,
            confirm_windows: self.confirm_windows,
            hold_windows: self.hold_windows,
            settle_windows: self.settle_windows,
            follow: self.follow,
            follow_limit: self.follow_limit,
            ..ResidualConfig::default()
        }
    }
}

impl Default for RelationConfig {
    fn default() -> Self {
        RelationConfig {
            lambda: 0.05,
            limit_min: 5.0,
            limit_factor: 1.1,
            confirm_windows: 3,
            hold_windows: 60,
            settle_windows: 45,
            follow: 0.002,
            follow_limit: 1.0,
        }
    }
}

/// Settings of the changes, which are found with `residual.hold_warm_up` only: what is told of them is in their module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChangeConfig {
    /// Steps of the two moving averages whose difference is looked at.
    pub fast: f64,
    /// The slower one.
    pub slow: f64,
    /// One residual counts at most so many deviations.
    pub clip: f64,
    /// Difference in its own deviations above which a metric begins to move; 0: changes are not looked for.
    pub on: f64,
    /// Difference below which all have settled.
    pub off: f64,
    /// States in a row above `on` with which a change begins.
    pub confirm_windows: u32,
    /// States between two changes.
    pub apart_windows: u32,
}

/// Settings of the comparison with the other devices of the type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PeersConfig {
    /// Devices of a type that have a metric in a window before they are anybody's peers; 0: nobody has any.
    pub min_devices: u32,
    /// What the devices of a type show is taken from one of so many windows.
    pub every_windows: u32,
    /// What a metric is away from what was expected is its whole type's doing where the distance to the median of the type has
    /// changed by less than this share of it; 0: nothing is.
    pub shared: f64,
    /// Decades of rarity of a metric's distance to the median of its type that trigger; 0: none does.
    pub decades: f64,
    /// Normal states with peers before a distance can trigger.
    pub after_windows: u32,
    /// Step of the moving average of that distance.
    pub lambda: f64,
}

impl Default for PeersConfig {
    fn default() -> Self {
        PeersConfig { min_devices: 8, every_windows: 5, shared: 0.25, decades: 0.0, after_windows: 1_440, lambda: 0.1 }
    }
}

impl PeersConfig {
    /// The newest window before the one at `start_ms` from which peers are taken.
    pub fn before_ms(&self, start_ms: i64, width_ms: i64) -> i64 {
        let every_ms = self.every_ms(width_ms);
        start_ms.saturating_sub(width_ms).div_euclid(every_ms).saturating_mul(every_ms)
    }

    /// Time between two windows from which peers are taken.
    pub fn every_ms(&self, width_ms: i64) -> i64 {
        width_ms.saturating_mul(i64::from(self.every_windows.max(1))).max(1)
    }
}

impl Default for ChangeConfig {
    fn default() -> Self {
        ChangeConfig { fast: 0.2, slow: 0.03, clip: 4.0, on: 0.0, off: 2.0, confirm_windows: 2, apart_windows: 30 }
    }
}

impl Default for MonitorConfig {
    fn default() -> Self {
        MonitorConfig {
            warm_up_windows: 360,
            guard_deviations: 10.0,
            refit_until_windows: 10_080,
            regime_windows: 60,
            acquaint_windows: 1_440,
            false_alarms_per_month: 1.0,
            unknown_factor: 2.0,
            relearn_windows: 4_320,
            confirm_windows: 3,
            info_confirm_windows: 30,
            clear_windows: 15,
            silent_after_windows: 5,
            missing_after_windows: 5,
            stuck_after_windows: 60,
            vector_clip: 6.0,
            rarity_decades: 4.0,
            views: ViewsConfig::default(),
            feed_spreads: 20.0,
            fingerprint_decades: 5.0,
            similar_decades: 5.0,
            similar_neighbours: 3,
            similar_memory: 128,
            residual: ResidualConfig::default(),
            relation: RelationConfig::default(),
            change: ChangeConfig::default(),
            peers: PeersConfig::default(),
            weights: [1.0, 0.9, 0.8, 0.8],
            strong_score: 0.7,
        }
    }
}

impl Default for ResidualConfig {
    fn default() -> Self {
        ResidualConfig {
            regressors: Regressors::Both,
            hold_warm_up: false,
            left_out_days: false,
            lambda: 0.2,
            drift_lambda: 0.03,
            clip: 6.0,
            limit_min: 5.5,
            limit_factor: 1.1,
            close_share: 0.6,
            peak_share: 0.1,
            join_windows: 20,
            join_share: 0.0,
            confirm_windows: 3,
            hold_windows: 60,
            settle_windows: 45,
            follow: 0.002,
            follow_limit: 0.5,
        }
    }
}

impl MonitorConfig {
    /// Multiple of the usual limits that the budget of false alarms asks for: 1 at one a month, a fifth more for each half of it, a twelfth
    /// less for each doubling. Measured on four simulated fleets (without peers) of 110 healthy and faulty devices for 14 days each: budgets of 1/8, 1/4,
    /// 1/2, 1, 2, 4 gave 0.18, 0.27, 0.41, 0.8, 1.4, 3.1 incidents without a fault, a device and month.
    pub fn limit_factor(&self) -> f64 {
        let halvings = -libm::log2(self.false_alarms_per_month.max(1e-6));
        let step = if halvings > 0.0 { 0.2 } else { 0.08 };
        (1.0 + step * halvings).clamp(0.5, 4.0)
    }

    /// States held back at the very start, so that single wild readings among them are found by those that follow.
    pub(crate) fn pilot_windows(&self) -> u32 {
        (self.warm_up_windows / 3).min(50)
    }

    /// Normal states at which the models are fitted for the first time.
    pub(crate) fn first_fit_windows(&self) -> u32 {
        (self.warm_up_windows / 3 * 2).max(1)
    }
}
