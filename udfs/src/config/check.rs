//! What the types of the settings can't say: which values make sense.

use super::MonitorConfig;

/// What a number may be.
#[derive(Clone, Copy)]
enum May {
    /// A step or a share that may not be none: above 0, at most 1.
    Step,
    /// A share: from 0 to 1.
    Share,
    /// Above 0; infinite is allowed, for "never".
    Positive,
    /// 0 or more; infinite is allowed.
    NotNegative,
    /// A factor: 1 or more.
    Factor,
}

impl May {
    fn allows(self, value: f64) -> bool {
        match self {
            May::Step => value > 0.0 && value <= 1.0,
            May::Share => (0.0..=1.0).contains(&value),
            May::Positive => value > 0.0,
            May::NotNegative => value >= 0.0,
            May::Factor => value >= 1.0,
        }
    }

    fn text(self) -> &'static str {
        match self {
            May::Step => "above 0 and at most 1",
            May::Share => "from 0 to 1",
            May::Positive => "above 0",
            May::NotNegative => "0 or more",
            May::Factor => "1 or more",
        }
    }
}

impl MonitorConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// Names the first one that makes no sense, its value and what it may be.
    pub fn check(&self) -> Result<(), String> {
        let MonitorConfig { residual, relation, change, peers, .. } = self;
        let numbers = [
            ("guard_deviations", self.guard_deviations, May::Positive),
            ("false_alarms_per_month", self.false_alarms_per_month, May::Positive),
            ("unknown_factor", self.unknown_factor, May::Factor),
            ("vector_clip", self.vector_clip, May::Positive),
            ("rarity_decades", self.rarity_decades, May::Positive),
            ("feed_spreads", self.feed_spreads, May::Positive),
            ("fingerprint_decades", self.fingerprint_decades, May::Positive),
            ("similar_decades", self.similar_decades, May::Positive),
            ("strong_score", self.strong_score, May::NotNegative),
            ("residual.lambda", residual.lambda, May::Share),
            ("residual.drift_lambda", residual.drift_lambda, May::Share),
            ("residual.clip", residual.clip, May::Positive),
            ("residual.limit_min", residual.limit_min, May::NotNegative),
            ("residual.limit_factor", residual.limit_factor, May::NotNegative),
            ("residual.close_share", residual.close_share, May::Share),
            ("residual.peak_share", residual.peak_share, May::Share),
            ("residual.join_share", residual.join_share, May::Share),
            ("residual.follow", residual.follow, May::Share),
            ("residual.follow_limit", residual.follow_limit, May::NotNegative),
            ("relation.lambda", relation.lambda, May::Share),
            ("relation.limit_min", relation.limit_min, May::NotNegative),
            ("relation.limit_factor", relation.limit_factor, May::NotNegative),
            ("relation.follow", relation.follow, May::Share),
            ("relation.follow_limit", relation.follow_limit, May::NotNegative),
            ("change.fast", change.fast, May::Step),
            ("change.slow", change.slow, May::Step),
            ("change.clip", change.clip, May::Positive),
            ("change.on", change.on, May::NotNegative),
            ("change.off", change.off, May::NotNegative),
            ("peers.shared", peers.shared, May::Share),
            ("peers.decades", peers.decades, May::NotNegative),
            ("peers.lambda", peers.lambda, May::Step),
        ];
        let weights = self.weights.iter().map(|weight| ("weights", *weight, May::Share));
        if let Some((name, value, may)) = numbers.into_iter().chain(weights).find(|(_, value, may)| !may.allows(*value))
        {
            return Err(format!("setting {name:?} is {value}, which is not {}", may.text()));
        }
        let counts = [
            ("warm_up_windows", self.warm_up_windows, 3),
            ("refit_until_windows", self.refit_until_windows, 1),
            ("relearn_windows", self.relearn_windows, 1),
            ("confirm_windows", self.confirm_windows, 1),
            ("info_confirm_windows", self.info_confirm_windows, 1),
            ("clear_windows", self.clear_windows, 1),
            ("silent_after_windows", self.silent_after_windows, 1),
            ("missing_after_windows", self.missing_after_windows, 1),
            ("stuck_after_windows", self.stuck_after_windows, 1),
            ("similar_neighbours", self.similar_neighbours, 1),
            ("similar_memory", self.similar_memory, self.similar_neighbours),
            ("residual.confirm_windows", residual.confirm_windows, 1),
            ("relation.confirm_windows", relation.confirm_windows, 1),
            ("change.confirm_windows", change.confirm_windows, 1),
            ("peers.every_windows", peers.every_windows, 1),
        ];
        match counts.into_iter().find(|(_, value, least)| value < least) {
            Some((name, value, least)) => Err(format!("setting {name:?} is {value}, which is not {least} or more")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_make_sense() {
        MonitorConfig::default().check().unwrap();
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let wrong = |change: fn(&mut MonitorConfig)| {
            let mut config = MonitorConfig::default();
            change(&mut config);
            config.check().unwrap_err()
        };
        for (said, expected) in [
            (wrong(|config| config.rarity_decades = -3.0), r#"setting "rarity_decades" is -3, which is not above 0"#),
            (
                wrong(|config| config.residual.lambda = 7.0),
                r#"setting "residual.lambda" is 7, which is not from 0 to 1"#,
            ),
            (wrong(|config| config.weights[2] = f64::NAN), r#"setting "weights" is NaN, which is not from 0 to 1"#),
            (wrong(|config| config.clear_windows = 0), r#"setting "clear_windows" is 0, which is not 1 or more"#),
            (wrong(|config| config.similar_memory = 2), r#"setting "similar_memory" is 2, which is not 3 or more"#),
        ] {
            assert_eq!(said, expected);
        }
        let mut never = MonitorConfig::default();
        (never.rarity_decades, never.guard_deviations) = (f64::INFINITY, f64::INFINITY);
        never.check().unwrap();
    }
}
