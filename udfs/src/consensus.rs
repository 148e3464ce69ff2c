//! Four verdicts joined into one.
//!
//! One method is `info`, two are `warning`, three `critical`; a broken rule is at least as grave as the catalogue says, and a method far
//! beyond its limit counts as two. The score joins the methods that report
//! as independent evidence, 1 - (1 - w s)(1 - w s)…; where none reports it is the highest weighted score, which is below one half.

use model::{Method, Severity, Verdict};

/// What all methods together say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Consensus {
    /// `None`: normal.
    pub severity: Option<Severity>,
    /// From 0 to 1.
    pub score: f64,
}

/// Joins verdicts. `votes`: which of them count (a method's finding may have an incident of its own instead).
pub fn join(verdicts: &[Verdict], votes: [bool; 4], weights: &[f64; 4], strong_score: f64) -> Consensus {
    let (mut count, mut of_rule) = (0, None);
    let (mut doubt, mut highest) = (1.0, 0.0f64);
    for ((verdict, vote), weight) in verdicts.iter().zip(votes).zip(weights) {
        let learns = verdict.method != Method::Rules;
        let score = (weight * verdict.score).clamp(0.0, 1.0);
        if vote {
            count += if learns && score >= strong_score { 2 } else { 1 };
            of_rule = of_rule.max(verdict.severity.filter(|_| !learns));
            doubt *= 1.0 - score;
        } else if verdict.severity.is_none() {
            highest = highest.max(score.min(0.5));
        }
    }
    let severity = match count {
        0 => None,
        1 => of_rule.max(Some(Severity::Info)),
        2 => of_rule.max(Some(Severity::Warning)),
        _ => Some(Severity::Critical),
    };
    Consensus { severity, score: if count > 0 { 1.0 - doubt } else { highest } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn votes_become_a_severity_and_a_score() {
        let mut lines = Vec::new();
        for scores in [
            [0.0; 4],
            [0.0, 0.3, 0.2, 0.1],
            [0.0, 0.6, 0.2, 0.1],
            [0.75, 0.6, 0.0, 0.0],
            [0.0, 0.6, 0.6, 0.6],
            [1.0, 0.0, 0.0, 0.0],
        ] {
            let verdicts: Vec<Verdict> = Method::ALL
                .iter()
                .zip(scores)
                .map(|(method, score)| Verdict {
                    method: *method,
                    score,
                    severity: (score >= 0.5).then_some(if score == 1.0 { Severity::Critical } else { Severity::Info }),
                    warm_up: 1.0,
                    findings: Vec::new(),
                    compared: Vec::new(),
                })
                .collect();
            let votes = scores.map(|score| score >= 0.5);
            let joined = join(&verdicts, votes, &[1.0, 0.9, 0.8, 0.8], 0.7);
            lines.push(format!("{scores:?} {} {:.3}", joined.severity.map_or("normal", Severity::name), joined.score));
        }
        expect![[r#"
            [0.0, 0.0, 0.0, 0.0] normal 0.000
            [0.0, 0.3, 0.2, 0.1] normal 0.270
            [0.0, 0.6, 0.2, 0.1] info 0.540
            [0.75, 0.6, 0.0, 0.0] warning 0.885
            [0.0, 0.6, 0.6, 0.6] critical 0.876
            [1.0, 0.0, 0.0, 0.0] critical 1.000"#]]
        .assert_eq(&lines.join("\n"));
    }
}
