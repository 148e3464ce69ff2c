//! What the views of a single metric say of a value, with the numbers to redo it.

use std::collections::BTreeMap;

use super::{JUMP, LEVEL, RANGE, SEASON};
use crate::ViewsConfig;

/// Which view found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// Beyond anything seen.
    Range,
    /// Unusual for this hour.
    Season,
    /// A jump.
    Jump,
    /// The level has moved.
    Level,
}

impl View {
    /// The finding's kind.
    pub fn name(self) -> &'static str {
        match self {
            View::Range => "range",
            View::Season => "season",
            View::Jump => "jump",
            View::Level => "level",
        }
    }
}

impl ViewsConfig {
    /// Whether a view is on.
    pub(super) fn has(self, view: View) -> bool {
        match view {
            View::Range => self.range,
            View::Season => self.season,
            View::Jump => self.jump,
            View::Level => self.level,
        }
    }
}

/// What the views say of one value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rare {
    /// Decades of rarity; 0 where nothing is to be said.
    pub decades: f64,
    /// The rarest view.
    pub view: View,
    /// What that view expected, in the metric's unit.
    pub expected: f64,
    /// What it compared with that: the value, or the mean of the last states.
    pub(super) value: f64,
    /// What the distance between them is measured in, in the metric's unit.
    pub(super) deviation: f64,
    /// Quantile and width of the view's tail; not a number where it has none.
    pub(super) tail: (f64, f64),
    /// Decades taken off for habit.
    pub(super) habit: f64,
}

impl Rare {
    /// Nothing is to be said.
    pub(super) fn none(view: View, value: f64) -> Rare {
        let nothing = f64::NAN;
        Rare { decades: 0.0, view, expected: value, value, deviation: nothing, tail: (nothing, nothing), habit: 0.0 }
    }

    /// The numbers to redo it.
    pub(crate) fn parts(&self) -> BTreeMap<String, f64> {
        let (offset, slope) = match self.view {
            View::Range => RANGE,
            View::Season => SEASON,
            View::Jump => JUMP,
            View::Level => LEVEL,
        };
        crate::parts([
            ("value", self.value),
            ("deviation", self.deviation),
            ("quantile", self.tail.0),
            ("width", self.tail.1),
            ("offset", offset),
            ("slope", slope),
            ("habit", self.habit),
        ])
    }
}
