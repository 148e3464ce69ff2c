//! How often methods call the same states unusual.

use std::fmt;

use model::Method;
use serde_json::{Value as Json, json};

use crate::commands::common::{table, table_text, thousands};

/// The methods, in the order of the counts.
pub const METHODS: [Method; 4] = Method::ALL;

/// Counts of states by which methods called them unusual.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agreement {
    /// By a set of methods: bit i is method i.
    judged: [u64; 16],
    /// The same for states of devices that are still learned: only rules speak there.
    learning: [u64; 16],
}

fn bits(unusual: [bool; 4]) -> usize {
    unusual.iter().enumerate().map(|(at, &said)| usize::from(said) << at).sum()
}

impl Agreement {
    /// A state that all methods judged.
    pub fn judge(&mut self, unusual: [bool; 4]) {
        self.judged[bits(unusual)] += 1;
    }

    /// A state of a device that is still learned.
    pub fn learning(&mut self, unusual: [bool; 4]) {
        self.learning[bits(unusual)] += 1;
    }

    /// States that all methods judged.
    pub fn judged(&self) -> u64 {
        self.judged.iter().sum()
    }

    fn count(&self, which: impl Fn(usize) -> bool) -> u64 {
        self.judged.iter().enumerate().filter(|(set, _)| which(*set)).map(|(_, count)| count).sum()
    }

    /// States that this method calls unusual.
    pub fn unusual(&self, method: usize) -> u64 {
        self.count(|set| set >> method & 1 == 1)
    }

    /// Of those the ones that so many methods call unusual, itself included.
    pub fn with(&self, method: usize, methods: u32) -> u64 {
        self.count(|set| set >> method & 1 == 1 && set.count_ones() == methods)
    }

    /// Of the states that either of two methods calls unusual, the share that both do (Jaccard's index); `None`: there are none.
    pub fn overlap(&self, one: usize, other: usize) -> Option<f64> {
        let either = self.count(|set| set >> one & 1 == 1 || set >> other & 1 == 1);
        let both = self.count(|set| set >> one & 1 == 1 && set >> other & 1 == 1);
        (either > 0).then(|| both as f64 / either as f64)
    }

    /// Cohen's kappa of two methods: agreement beyond what their frequencies alone would give, 1 where they always agree, 0 where they are
    /// independent (J. Cohen, A coefficient of agreement for nominal scales, 1960); `None` where one of them always says the same.
    pub fn kappa(&self, one: usize, other: usize) -> Option<f64> {
        let all = self.judged() as f64;
        let share = |which: &dyn Fn(usize) -> bool| self.count(which) as f64 / all;
        let (p, q) = (share(&|set| set >> one & 1 == 1), share(&|set| set >> other & 1 == 1));
        let same = share(&|set| (set >> one & 1) == (set >> other & 1));
        let by_chance = p * q + (1.0 - p) * (1.0 - q);
        let both_answers = |share: f64| share > 0.0 && share < 1.0;
        (both_answers(p) && both_answers(q)).then(|| (same - by_chance) / (1.0 - by_chance))
    }

    /// For machines.
    pub fn to_json(&self) -> Json {
        let methods: Vec<Json> = (0..4)
            .map(|at| {
                json!({
                    "method": METHODS[at].name(), "unusual": self.unusual(at),
                    "alone": self.with(at, 1), "with_one": self.with(at, 2), "with_two": self.with(at, 3), "with_all": self.with(at, 4),
                })
            })
            .collect();
        let pairs: Vec<Json> = pairs()
            .map(|(one, other)| {
                let names = [METHODS[one].name(), METHODS[other].name()];
                json!({"methods": names, "overlap": self.overlap(one, other), "kappa": self.kappa(one, other)})
            })
            .collect();
        json!({
            "states": self.judged(), "normal": self.judged[0], "learning": self.learning.iter().sum::<u64>(),
            "methods": methods, "pairs": pairs,
        })
    }
}

fn pairs() -> impl Iterator<Item = (usize, usize)> {
    (0..4).flat_map(|one| (one + 1..4).map(move |other| (one, other)))
}

impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut counts = table(
            &["", "method", "unusual", "of all", "alone", "with one", "with two", "with all"],
            &[2, 3, 4, 5, 6, 7],
        );
        let share = |part: u64, of: u64| {
            if of == 0 { "-".to_owned() } else { format!("{:.2} %", part as f64 / of as f64 * 100.0) }
        };
        for (at, method) in METHODS.iter().enumerate() {
            let mut cells = vec![String::new(), method.name().to_owned(), thousands(self.unusual(at))];
            cells.push(share(self.unusual(at), self.judged()));
            cells.extend((1..=4).map(|methods| thousands(self.with(at, methods))));
            counts.add_row(cells);
        }
        writeln!(f, "States that a method calls unusual, alone and together with others")?;
        write!(f, "{}", table_text(&counts))?;

        let names = METHODS.map(Method::name);
        let header: Vec<&str> = ["", ""].into_iter().chain(names).collect();
        let mut both = table(&header, &[2, 3, 4, 5]);
        for (one, name) in names.iter().enumerate() {
            let cell = |other: usize| match self.overlap(one, other) {
                _ if one == other => String::new(),
                None => "-".to_owned(),
                Some(overlap) => {
                    // Adding a zero takes the sign off one that is rounded.
                    let kappa = self.kappa(one, other).map(|kappa| (kappa * 100.0).round() / 100.0 + 0.0);
                    let kappa = kappa.map_or("-".to_owned(), |kappa| format!("{kappa:.2}"));
                    format!("{:.0} % ({kappa})", overlap * 100.0)
                }
            };
            both.add_row([String::new(), (*name).to_owned()].into_iter().chain((0..4).map(cell)));
        }
        writeln!(f, "\nBoth, of the states that either calls unusual (and agreement beyond chance: Cohen's kappa)")?;
        write!(f, "{}", table_text(&both))?;
        let learning: u64 = self.learning.iter().sum();
        if learning > 0 {
            writeln!(
                f,
                "\n{} more states are of devices that are still learned; rules alone speak there",
                thousands(learning)
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counted one state at a time, as one would by hand.
    #[test]
    fn counts_and_shares_are_those_of_the_plain_list() {
        let said = |set: usize| [0, 1, 2, 3].map(|at| set >> at & 1 == 1);
        let states: Vec<[bool; 4]> = [0, 0, 0, 0, 0, 0, 1, 3, 3, 7, 15, 2, 8].map(said).to_vec();
        let mut agreement = Agreement::default();
        states.iter().for_each(|&state| agreement.judge(state));
        agreement.learning(said(1));
        assert_eq!(agreement.judged(), 13);
        for at in 0..4 {
            let of: Vec<_> = states.iter().filter(|state| state[at]).collect();
            assert_eq!(agreement.unusual(at), of.len() as u64);
            for methods in 1..=4 {
                let with = of.iter().filter(|state| state.iter().filter(|&&said| said).count() == methods).count();
                assert_eq!(agreement.with(at, methods as u32), with as u64);
            }
        }
        // Rules and statistics: both four times, either six times; 11 of 13 alike.
        assert_eq!(agreement.overlap(0, 1), Some(4.0 / 6.0));
        let (same, chance) = (11.0 / 13.0, (5.0 * 5.0 + 8.0 * 8.0) / 169.0);
        assert!((agreement.kappa(0, 1).unwrap() - (same - chance) / (1.0 - chance)).abs() < 1e-12);
        assert_eq!(Agreement::default().overlap(0, 1), None);
        assert_eq!(Agreement::default().kappa(0, 1), None);
    }
}
