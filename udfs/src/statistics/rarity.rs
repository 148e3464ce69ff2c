//! One metric alone: four views of a value, each turned into how rare it is for this metric, then the rarest.
//!
//! - range: beyond anything seen, as a share of the range seen
//! - season: against the usual value of this hour on weekdays or weekends, on the clock where the device stands
//! - jump: against the usual step from one state to the next
//! - level: the mean of the last 24 states against everything older
//!
//! Scores are decades of rarity on a common scale whose constants were fitted without labels, so that each view has the
//! same alarm budget; 4 is about one alarm in 17 days of one-minute states. What comes every day at about this time
//! (a nightly backup, a daily start) becomes habit. `dataflow evaluate nab` says how good that is on public series.

mod rare;

use serde::{Deserialize, Serialize};

use crate::ViewsConfig;
use crate::acquaintance::{hour_cell as season_cell, hour_of};
use crate::tail::Tail;
pub use rare::{Rare, View};

/// Rows that only learn.
pub const SILENT_ROWS: u32 = 50;
/// Rows whose mean is compared with what is older.
const RECENT: usize = 24;
/// Scores below this are given as 0: nothing is triggered or remembered there, and a logarithm is saved.
const FLOOR_DECADES: f64 = 2.0;
/// `A + B log10(rarity)` by view.
const RANGE: (f64, f64) = (4.29, 0.46);
const SEASON: (f64, f64) = (2.02, 1.79);
const JUMP: (f64, f64) = (1.65, 2.53);
const LEVEL: (f64, f64) = (1.26, 3.94);
/// Rarities below which the scaled value is under the floor: 10^((2 - A) / B), rounded down.
const SEASON_FLOOR: f64 = 0.97;
const JUMP_FLOOR: f64 = 1.37;
const LEVEL_FLOOR: f64 = 1.54;

/// Least tail widths of season, jump and level, in deviations: a fraction of white noise's. A counter's increase in
/// steps repeats the same few scores for days, and the next phase of its rounding is no event.
const LEAST_WIDTHS: [f64; 3] = [0.05, 0.05, 0.03];

const DAY_MS: i64 = 86_400_000;

/// What a view sees of a value: what it compares, what the distance is measured in, and the distance.
#[derive(Clone, Copy, Debug)]
struct Seen {
    value: f64,
    deviation: f64,
    score: f64,
}

/// The running state of one metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rarity {
    row: u32,
    hi: f64,
    lo: f64,
    season: Vec<f64>,
    visits: Vec<u16>,
    season_square: f64,
    season_rows: u32,
    previous: f64,
    jump_square: f64,
    jump_rows: u32,
    ring: Vec<f64>,
    ring_at: u8,
    ring_sum: f64,
    level: f64,
    level_square: f64,
    left: u32,
    tails: [Tail; 3],
    habit: Vec<f64>,
    today: Vec<f64>,
    day: Vec<i32>,
}

impl Default for Rarity {
    fn default() -> Self {
        Rarity {
            row: 0,
            hi: f64::NEG_INFINITY,
            lo: f64::INFINITY,
            season: vec![0.0; 48],
            visits: vec![0; 48],
            season_square: 0.0,
            season_rows: 0,
            previous: f64::NAN,
            jump_square: 0.0,
            jump_rows: 0,
            ring: Vec::with_capacity(RECENT),
            ring_at: 0,
            ring_sum: 0.0,
            level: f64::NAN,
            level_square: 0.0,
            left: 0,
            tails: LEAST_WIDTHS.map(Tail::with_least_width),
            habit: vec![0.0; 24],
            today: vec![0.0; 24],
            day: vec![i32::MIN; 24],
        }
    }
}

impl Rarity {
    /// Rows learned.
    pub fn rows(&self) -> u32 {
        self.row
    }

    /// After a long gap the last value says nothing of the next: no jump, and the recent mean starts anew.
    pub fn gap(&mut self) {
        self.previous = f64::NAN;
        self.ring.clear();
        self.ring_at = 0;
        self.ring_sum = 0.0;
    }

    /// Judges a value without learning it: range and season only, which need no unbroken past.
    pub fn peek(&self, views: ViewsConfig, value: f64, local_ms: i64) -> Rare {
        let mut rare = Rare::none(View::Range, value);
        if self.row <= SILENT_ROWS {
            return rare;
        }
        if views.range {
            self.range(value, &mut rare);
        }
        let cell = season_cell(local_ms);
        if views.season && self.visits[cell] > 0 && self.season_square > 0.0 {
            let (expected, deviation) = (self.season[cell], self.season_square.sqrt());
            let score = (value - expected).abs() / deviation;
            let decades = scale(self.tails[0].rarity(score), SEASON, SEASON_FLOOR);
            if decades > rare.decades {
                let tail = self.tails[0].shape();
                rare = Rare { decades, view: View::Season, expected, value, deviation, tail, habit: 0.0 };
            }
        }
        rare
    }

    fn range(&self, value: f64, rare: &mut Rare) {
        let beyond = if value > self.hi {
            value - self.hi
        } else if value < self.lo {
            self.lo - value
        } else {
            return;
        };
        let span = self.hi - self.lo;
        let deviation = if span > 0.0 { span } else { beyond };
        let share = beyond / deviation;
        let decades = scale(share, RANGE, 0.0);
        if decades > rare.decades {
            let expected = if value > self.hi { self.hi } else { self.lo };
            *rare = Rare { decades, expected, deviation, ..Rare::none(View::Range, value) };
        }
    }

    /// Judges a value and learns it.
    pub fn observe(&mut self, views: ViewsConfig, value: f64, local_ms: i64) -> Rare {
        let speaks = self.row > SILENT_ROWS;
        let mut range = Rare::none(View::Range, value);
        if speaks && views.range {
            self.range(value, &mut range);
        }
        self.hi = self.hi.max(value);
        self.lo = self.lo.min(value);

        let mut usual = Rare::none(View::Season, value);
        let mut view = |tail: &Tail, seen: Seen, constants: (f64, f64), floor: f64, view: View, expected: f64| {
            if speaks && views.has(view) {
                let decades = scale(tail.rarity(seen.score), constants, floor);
                if decades > usual.decades {
                    let Seen { value, deviation, .. } = seen;
                    usual = Rare { decades, view, expected, value, deviation, tail: tail.shape(), habit: 0.0 };
                }
            }
        };

        let cell = season_cell(local_ms);
        let expected = self.season[cell];
        let seen = self.see_season(value, cell, speaks);
        view(&self.tails[0], seen, SEASON, SEASON_FLOOR, View::Season, expected);
        // What comes before there is anything to compare with is not rare, and the tails are told so.
        let heard = f64::from(u8::from(speaks));
        self.tails[0].learn(seen.score * heard, self.row);

        let expected = self.previous;
        let seen = self.see_jump(value);
        view(&self.tails[1], seen, JUMP, JUMP_FLOOR, View::Jump, expected);
        self.tails[1].learn(seen.score * heard, self.row);

        let seen = self.see_level(value);
        view(&self.tails[2], seen, LEVEL, LEVEL_FLOOR, View::Level, self.level);
        self.tails[2].learn(seen.score * heard, self.row);

        let unreduced = usual.decades;
        let reduced = self.habituate(unreduced, local_ms);
        usual.decades = if views.habit { reduced } else { unreduced };
        usual.habit = unreduced - usual.decades;
        self.row = self.row.saturating_add(1);
        if range.decades >= usual.decades { range } else { usual }
    }

    fn see_season(&mut self, value: f64, cell: usize, speaks: bool) -> Seen {
        self.visits[cell] = self.visits[cell].saturating_add(1);
        if self.visits[cell] == 1 {
            self.season[cell] = value;
            return Seen { value, deviation: 0.0, score: 0.0 };
        }
        let mut apart = value - self.season[cell];
        let deviation = self.season_square.sqrt();
        let score = if speaks && deviation > 0.0 { apart.abs() / deviation } else { 0.0 };
        if speaks {
            apart = apart.clamp(-6.0 * deviation, 6.0 * deviation);
        }
        let step = (1.0 / (f64::from(self.season_rows) + 1.0)).max(0.006);
        self.season_square += step * (apart * apart - self.season_square);
        self.season_rows = self.season_rows.saturating_add(1);
        self.season[cell] += (1.0 / f64::from(self.visits[cell])).max(0.15) * apart;
        Seen { value, deviation, score }
    }

    fn see_jump(&mut self, value: f64) -> Seen {
        let jump = value - self.previous;
        self.previous = value;
        if jump.is_nan() {
            return Seen { value, deviation: 0.0, score: 0.0 };
        }
        let deviation = self.jump_square.sqrt();
        let score = if self.jump_square > 0.0 { jump.abs() / deviation } else { 0.0 };
        self.jump_rows = self.jump_rows.saturating_add(1);
        self.jump_square += (1.0 / f64::from(self.jump_rows)).max(0.001) * (jump * jump - self.jump_square);
        Seen { value, deviation, score }
    }

    fn see_level(&mut self, value: f64) -> Seen {
        if self.level.is_nan() {
            self.level = value;
        }
        if self.ring.len() < RECENT {
            self.ring.push(value);
            self.ring_sum += value;
            return Seen { value, deviation: 0.0, score: 0.0 };
        }
        let at = usize::from(self.ring_at);
        let leaving = std::mem::replace(&mut self.ring[at], value);
        self.ring_at = if at + 1 == RECENT { 0 } else { self.ring_at + 1 };
        if self.ring_at == 0 {
            self.ring_sum = self.ring.iter().sum();
        } else {
            self.ring_sum += value - leaving;
        }
        let step = (1.0 / (f64::from(self.left) + 1.0)).max(0.002);
        self.left = self.left.saturating_add(1);
        let apart = leaving - self.level;
        self.level += step * apart;
        self.level_square = (1.0 - step) * (self.level_square + step * apart * apart);
        let (value, deviation) = (self.ring_sum / 24.0, self.level_square.sqrt());
        let score = if self.level_square > 0.0 { (value - self.level).abs() / deviation } else { 0.0 };
        Seen { value, deviation, score }
    }

    /// What has come at about this time on earlier days counts less. Remembers the unreduced score.
    fn habituate(&mut self, decades: f64, local_ms: i64) -> f64 {
        #[expect(clippy::cast_possible_truncation, reason = "days fit in 32 bits for five million years")]
        let day = local_ms.div_euclid(DAY_MS) as i32;
        let hour = hour_of(local_ms);
        if self.day[hour] != day {
            self.habit[hour] = self.today[hour].max(0.7 * self.habit[hour]);
            self.today[hour] = 0.0;
            self.day[hour] = day;
        }
        let mut reduced = decades;
        if decades > 3.0 {
            let mut known = 0.0f64;
            for cell in [(hour + 23) % 24, hour, (hour + 1) % 24] {
                let held =
                    if self.day[cell] == day { self.habit[cell] } else { self.today[cell].max(0.7 * self.habit[cell]) };
                known = known.max(held);
            }
            if known > 3.0 {
                reduced = (decades - (known - 3.0)).max(0.0);
            }
        }
        self.today[hour] = self.today[hour].max(decades);
        reduced
    }
}

fn scale(rarity: f64, (a, b): (f64, f64), floor: f64) -> f64 {
    if rarity <= floor {
        return 0.0;
    }
    let decades = a + b * libm::log10(rarity);
    let decades = if decades > 6.0 { 6.0 + 0.01 * (decades - 6.0) } else { decades };
    if decades < FLOOR_DECADES { 0.0 } else { decades }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A noise of 24 bits from a row number.
    fn noise(row: u64) -> f64 {
        let mixed = model::hash::hash_bytes(&row.to_le_bytes());
        f64::from(u32::try_from(mixed >> 40).unwrap()) / f64::from(1u32 << 24) - 0.5
    }

    fn feed(rarity: &mut Rarity, rows: std::ops::Range<u64>, value: impl Fn(u64) -> f64) -> Vec<(u64, View)> {
        let mut found = Vec::new();
        for row in rows {
            let rare = rarity.observe(ViewsConfig::default(), value(row), i64::try_from(row).unwrap() * 60_000);
            if rare.decades >= 4.0 {
                found.push((row, rare.view));
            }
        }
        found
    }

    #[test]
    fn noise_is_quiet_and_a_spike_is_beyond_anything_seen() {
        let mut rarity = Rarity::default();
        assert_eq!(feed(&mut rarity, 0..20_000, noise), []);
        assert_eq!(feed(&mut rarity, 20_000..20_001, |_| 3.0)[0].0, 20_000);
    }

    #[test]
    fn a_constant_is_quiet_until_it_changes() {
        let mut rarity = Rarity::default();
        assert_eq!(feed(&mut rarity, 0..2_000, |_| 7.0), []);
        assert_eq!(feed(&mut rarity, 2_000..2_010, |_| 8.0), [(2_000, View::Range)]);
    }

    #[test]
    fn the_range_view_follows_its_formula() {
        let mut rarity = Rarity::default();
        feed(&mut rarity, 0..100, |row| if row % 2 == 0 { 0.0 } else { 10.0 });
        let rare = rarity.peek(ViewsConfig::default(), 15.0, 0);
        assert_eq!((rare.view, rare.expected), (View::Range, 10.0));
        assert!((rare.decades - (4.29 + 0.46 * libm::log10(0.5))).abs() < 1e-12);
    }

    #[test]
    fn what_comes_every_day_at_this_hour_becomes_habit() {
        let mut rarity = Rarity::default();
        let nightly = |row: u64| noise(row) + if row % 1_440 == 120 { 6.0 } else { 0.0 };
        let found = feed(&mut rarity, 0..14_400, nightly);
        assert!(found.iter().all(|(row, _)| *row < 3 * 1_440), "{found:?}");
    }
}
