//! Right and wrong by row or day: F1, false-alarm rate and missed-alarm rate.

/// What was flagged against what is labelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Flagged and faulty.
    pub tp: u64,
    /// Flagged and good.
    pub fp: u64,
    /// Not flagged and faulty.
    pub fn_: u64,
    /// Not flagged and good.
    pub tn: u64,
}

impl Counts {
    /// Takes one row in.
    pub fn add(&mut self, flagged: bool, faulty: bool) {
        let count = match (flagged, faulty) {
            (true, true) => &mut self.tp,
            (true, false) => &mut self.fp,
            (false, true) => &mut self.fn_,
            (false, false) => &mut self.tn,
        };
        *count += 1;
    }

    /// Counts of many rows.
    pub fn of(rows: impl Iterator<Item = (bool, bool)>) -> Counts {
        let mut counts = Counts::default();
        rows.for_each(|(flagged, faulty)| counts.add(flagged, faulty));
        counts
    }

    /// Counts of two parts together.
    pub fn join(self, other: Counts) -> Counts {
        Counts { tp: self.tp + other.tp, fp: self.fp + other.fp, fn_: self.fn_ + other.fn_, tn: self.tn + other.tn }
    }

    /// Harmonic mean of precision and recall: tp / (tp + (fp + fn) / 2).
    pub fn f1(&self) -> f64 {
        share(2 * self.tp, 2 * self.tp + self.fp + self.fn_)
    }

    /// Share of good rows that were flagged.
    pub fn far(&self) -> f64 {
        share(self.fp, self.fp + self.tn)
    }

    /// Share of faulty rows that were not.
    pub fn mar(&self) -> f64 {
        share(self.fn_, self.fn_ + self.tp)
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_always_and_a_mix() {
        let faulty = [false, true, true, false, false];
        let score = |flags: [bool; 5]| {
            let counts = Counts::of(flags.into_iter().zip(faulty));
            (counts.f1(), counts.far(), counts.mar())
        };
        assert_eq!(score([false; 5]), (0.0, 0.0, 1.0));
        assert_eq!(score([true; 5]), (4.0 / 7.0, 1.0, 0.0));
        assert_eq!(score([true, true, false, false, false]), (0.5, 1.0 / 3.0, 0.5));
        assert_eq!(score(faulty), (1.0, 0.0, 0.0));
    }
}
