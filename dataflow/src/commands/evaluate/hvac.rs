//! Air handlers of the LBNL data for fault detection: a row a minute, labelled by day. The first half of a unit's fault-free
//! days is for training, all its other days are scored in their occupied minutes: minute by minute, and by day, where a day
//! counts as faulty when more than a tenth of its minutes are flagged.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, ensure};
use serde_json::{Value as Json, json};

use super::counts::Counts;
use super::graph::{Outcome, Recording, judge};
use super::input::{Table, lacks, time_ms};
use super::skab::metric_name;
use super::{
    HERE, Labelled, OWN, Part, Report, Task, left_out, left_out_name, progress, published, reference, without,
    without_files,
};
use crate::config::Config;

const TIME: &str = "%m/%d/%Y %H:%M";
const DAY_MS: i64 = 86_400_000;
const MINUTE_MS: i64 = 60_000;
/// A day is faulty when more than this share of its minutes is flagged.
const DAY_SHARE: f64 = 0.1;

/// A unit's file: its occupied minutes, training days first.
pub struct File {
    /// The unit.
    pub name: String,
    recording: Recording,
    training_rows: usize,
    /// Days of the test part.
    days: Vec<Day>,
}

/// One day of the test part.
struct Day {
    date: String,
    faulty: bool,
    /// Its rows in the recording.
    rows: std::ops::Range<usize>,
}

/// How good a detector was.
#[derive(Clone, Copy, Debug, Default)]
pub struct Score {
    /// By minute.
    pub minutes: Counts,
    /// By day.
    pub days: Counts,
}

impl Score {
    /// Both together.
    pub fn join(self, other: Score) -> Score {
        Score { minutes: self.minutes.join(other.minutes), days: self.days.join(other.days) }
    }
}

/// Columns as the catalogue's metrics of an air handler: the end of the column's name, the metric, its unit.
const COLUMNS: [(&str, &str, &str); 19] = [
    ("Supply Air Temperature", "supply_air_temp", "°F"),
    ("Supply Air Temperature Set Point", "supply_air_temp_setpoint", "°F"),
    ("Supply Air Temperature Heating Set Point", "heating_setpoint", "°F"),
    ("Supply Air Temperature Cooling Set Point", "cooling_setpoint", "°F"),
    ("Outdoor Air Temperature", "outdoor_air_temp", "°F"),
    ("Mixed Air Temperature", "mixed_air_temp", "°F"),
    ("Return Air Temperature", "return_air_temp", "°F"),
    ("Supply Air Fan Status", "supply_fan_status", "0/1"),
    ("Return Air Fan Status", "return_fan_status", "0/1"),
    ("Supply Air Fan Speed Control Signal", "supply_fan_speed", "ratio"),
    ("Return Air Fan Speed Control Signal", "return_fan_speed", "ratio"),
    ("Exhaust Air Damper Control Signal", "exhaust_air_damper", "ratio"),
    ("Outdoor Air Damper Control Signal", "outdoor_air_damper", "ratio"),
    ("Return Air Damper Control Signal", "return_air_damper", "ratio"),
    ("Cooling Coil Valve Control Signal", "cooling_valve", "ratio"),
    ("Heating Coil Valve Control Signal", "heating_valve", "ratio"),
    ("Supply Air Duct Static Pressure Set Point", "static_pressure_setpoint", "psi"),
    ("Supply Air Duct Static Pressure", "static_pressure", "psi"),
    ("Occupancy Mode Indicator", "occupancy_status", "0/1"),
];

/// Reads `day_labels.csv` and the units' files that it names and the folder holds.
///
/// # Errors
/// If the labels or all files are missing, or one is not of the format.
pub fn read(folder: &Path) -> anyhow::Result<(Vec<File>, Vec<String>)> {
    let path = folder.join("day_labels.csv");
    if !path.is_file() {
        return Err(lacks(folder, "file day_labels.csv"));
    }
    let labels = Table::read(&path, ',')?;
    let [file, date, truth] = [labels.column("file")?, labels.column("date")?, labels.column("ground_truth")?];
    let mut by_file: BTreeMap<&str, BTreeMap<&str, bool>> = BTreeMap::new();
    for row in &labels.rows {
        let day = (row[date].as_str(), row[truth] != "0");
        by_file.entry(&row[file]).or_default().extend([day]);
    }
    let (mut files, mut absent) = (Vec::new(), Vec::new());
    for (name, days) in by_file {
        let path = folder.join(format!("{name}.csv"));
        if !path.is_file() {
            absent.push(format!("{name}.csv"));
        } else {
            let table = Table::read(&path, ',')?;
            files.push(File::of(&table, name, &days).with_context(|| format!("could not use {}", path.display()))?);
        }
    }
    if files.is_empty() {
        return Err(lacks(folder, "table that day_labels.csv names"));
    }
    Ok((files, absent))
}

impl File {
    fn of(table: &Table, name: &str, labels: &BTreeMap<&str, bool>) -> anyhow::Result<File> {
        let time = table.column("Datetime")?;
        let occupancy = table.column("Occupancy Mode Indicator")?;
        let truth = table.column("Fault Detection Ground Truth")?;
        let mut by_day: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        let mut times_ms = Vec::with_capacity(table.rows.len());
        for (at, row) in table.rows.iter().enumerate() {
            let time_ms = time_ms(TIME, &row[time]);
            let time_ms = time_ms.with_context(|| format!("{:?} is no time of format {TIME:?}", row[time]))?;
            times_ms.push(time_ms);
            if row[occupancy].parse::<f64>().is_ok_and(|occupied| occupied > 0.5) {
                by_day.entry(model::time::date_of(time_ms)).or_default().push(at);
            }
        }
        let good = || by_day.keys().filter(|day| labels.get(day.as_str()) == Some(&false));
        let training: Vec<&String> = good().take(good().count().div_ceil(2)).collect();
        ensure!(!training.is_empty(), "day_labels.csv has no fault-free day of it to train on");
        let tested = by_day.keys().filter(|day| labels.contains_key(day.as_str()) && !training.contains(day));
        let columns: Vec<usize> = (0..table.header().len()).filter(|at| ![time, truth].contains(at)).collect();
        let (mut rows, mut days, mut training_rows) = (Vec::new(), Vec::new(), 0);
        let first_ms = times_ms[by_day[training[0]][0]].div_euclid(DAY_MS) * DAY_MS;
        for (number, day) in (0..).zip(training.iter().copied().chain(tested)) {
            let begin = rows.len();
            for &at in &by_day[day] {
                // Training comes first and the clock never goes back: days are moved behind one another.
                let time_ms = first_ms + number * DAY_MS + times_ms[at].rem_euclid(DAY_MS);
                rows.push((time_ms, columns.iter().map(|column| table.rows[at][*column].clone()).collect()));
            }
            if training.contains(&day) {
                training_rows = rows.len();
            } else {
                days.push(Day { date: day.clone(), faulty: labels[day.as_str()], rows: begin..rows.len() });
            }
        }
        Ok(File {
            name: name.to_owned(),
            recording: Recording {
                device_id: name.to_owned(),
                device_type: "air_handling_unit",
                metrics: columns.iter().map(|at| metric(&table.header()[*at])).collect(),
                rows,
            },
            training_rows,
            days,
        })
    }

    /// Scores flags by row of the whole recording.
    pub fn score(&self, flags: &[bool]) -> Score {
        let mut score = Score::default();
        for day in &self.days {
            let flagged = flags[day.rows.clone()].iter().filter(|flag| **flag).count();
            score.days.add(flagged as f64 > DAY_SHARE * day.rows.len() as f64, day.faulty);
            score.minutes =
                score.minutes.join(Counts::of(flags[day.rows.clone()].iter().map(|flag| (*flag, day.faulty))));
        }
        score
    }

    /// The days with the share of each that is flagged, faulty ones first.
    pub fn days(&self, flags: &[bool]) -> String {
        let share = |day: &Day| {
            let flagged = flags[day.rows.clone()].iter().filter(|flag| **flag).count();
            format!("{} {:.0} %", day.date, 100.0 * flagged as f64 / day.rows.len().max(1) as f64)
        };
        let of = |faulty| self.days.iter().filter(|day| day.faulty == faulty).map(share).collect::<Vec<_>>().join(", ");
        format!("faulty: {}; good: {}", of(true), of(false))
    }

    /// The project's own judgement: a minute is flagged while an incident is open.
    ///
    /// # Errors
    /// If the job fails.
    pub fn judge(&self, config: &Config) -> anyhow::Result<(Vec<bool>, Outcome)> {
        let mut config = config.clone();
        config.job.window_ms = MINUTE_MS;
        config.detectors.usual.warm_up_windows = u32::try_from(self.training_rows).context("too many rows")?;
        let outcome = judge(&self.recording, &config)?;
        let flags = self.recording.rows.iter().map(|(time_ms, _)| outcome.is_open(*time_ms)).collect();
        Ok((flags, outcome))
    }

    /// More than three deviations from the training in any column, as the median of five rows.
    pub fn furthest(&self) -> Vec<bool> {
        let row = |(_, cells): &(i64, Vec<String>)| cells.iter().map(|cell| cell.parse().unwrap_or(f64::NAN)).collect();
        let rows: Vec<Vec<f64>> = self.recording.rows.iter().map(row).collect();
        let scores: Vec<f64> = reference::furthest(&rows[..self.training_rows], &rows);
        (0..scores.len())
            .map(|at| {
                let mut last = scores[at.saturating_sub(4)..=at].to_vec();
                last.sort_by(f64::total_cmp);
                last[last.len() / 2] > 3.0
            })
            .collect()
    }

    /// The file as a plot shows it.
    pub fn labelled(&self) -> Labelled<'_> {
        let time_ms = |row: usize| self.recording.rows[row].0;
        let faulty = self.days.iter().filter(|day| day.faulty);
        let faults_ms = faulty.map(|day| (time_ms(day.rows.start), time_ms(day.rows.end - 1))).collect();
        Labelled { name: &self.name, metrics: &self.recording.metrics, faults_ms }
    }
}

fn metric(column: &str) -> (String, &'static str) {
    let column = column.split_once(':').map_or(column, |(_, name)| name.trim());
    match COLUMNS.iter().find(|(name, ..)| *name == column) {
        Some((_, metric, unit)) => ((*metric).to_owned(), unit),
        None => (metric_name(column), ""),
    }
}

/// Detectors of a few lines, run here on the same files: they show that the scorers are right.
pub fn references(files: &[File]) -> Vec<(&'static str, Score)> {
    let pooled = |flags: &dyn Fn(&File) -> Vec<bool>| {
        files.iter().map(|file| file.score(&flags(file))).fold(Score::default(), Score::join)
    };
    vec![
        ("null", pooled(&|file| vec![false; file.recording.rows.len()])),
        ("always alarm", pooled(&|file| vec![true; file.recording.rows.len()])),
        ("z > 3 any, median 5", pooled(&File::furthest)),
    ]
}

/// A row of the table.
pub fn row(score: &Score) -> Vec<String> {
    let rates =
        |counts: &Counts| format!("{:.3} / {:.1} / {:.1}", counts.f1(), counts.far() * 100.0, counts.mar() * 100.0);
    let Counts { tp, fp, fn_, tn } = score.days;
    vec![rates(&score.minutes), rates(&score.days), format!("{tp} {fp} {fn_} {tn}")]
}

/// One file of the table.
pub fn part(file: &File, flags: &[bool]) -> Part {
    let mut cells = row(&file.score(flags));
    cells.push(file.days(flags));
    Part { name: file.name.clone(), cells }
}

/// Scores the project beside others.
///
/// # Errors
/// As [`read`]; or if a job fails.
pub fn report(task: &Task<'_>) -> anyhow::Result<Report> {
    let (files, absent) = read(task.folder)?;
    let (mut sum, mut parts) = (Score::default(), Vec::new());
    for file in &files {
        let (flags, outcome) = file.judge(task.config)?;
        sum = sum.join(file.score(&flags));
        parts.push(part(file, &flags));
        task.plots.draw(&file.labelled(), &outcome)?;
    }
    let mut rows = vec![(OWN.to_owned(), row(&sum), HERE)];
    let mut json = json!({"hvac": figures(&sum)});
    let score = |file: &File, config: &Config| Ok(file.score(&file.judge(config)?.0));
    if task.leave_one_out {
        // Days are few: minutes decide between equals.
        let value = |score: &Score| score.days.f1() + 1e-3 * score.minutes.f1();
        let left_out = left_out(&files, task.config, score, Score::join, value)?;
        rows.push((left_out_name(), row(&left_out), HERE));
        json["hvac"]["left_out"] = figures(&left_out);
    }
    for (part, config) in progress(task.ablated) {
        let scores = files.iter().map(|file| score(file, config)).collect::<anyhow::Result<Vec<_>>>()?;
        let sum = scores.into_iter().fold(Score::default(), Score::join);
        rows.push((without(part), row(&sum), HERE));
        json["hvac"]["ablation"][part] = figures(&sum);
    }
    rows.extend(references(&files).into_iter().map(|(name, score)| (name.to_owned(), row(&score), HERE)));
    Ok(Report {
        header: &["detector", "minutes", "days", "TP FP FN TN", "source"],
        known: published::HVAC,
        rows,
        part_header: &["unit", "minutes", "days", "TP FP FN TN", "share flagged by day"],
        parts,
        notes: [
            "minutes and days: F1 / FAR % / MAR %".to_owned(),
            "plots: a unit's days as they are judged, training days first and one behind another, so their dates are not the calendar's"
                .to_owned(),
        ]
        .into_iter()
        .chain(without_files(&absent, "day_labels.csv"))
        .collect(),
        json,
    })
}

fn figures(score: &Score) -> Json {
    let (minutes, days) = (score.minutes, score.days);
    json!({
        "minute": {"f1": minutes.f1(), "far": minutes.far(), "mar": minutes.mar()},
        "day": {
            "f1": days.f1(), "far": days.far(), "mar": days.mar(),
            "tp": days.tp, "fp": days.fp, "fn": days.fn_, "tn": days.tn,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_named_as_in_the_catalogue() {
        assert_eq!(metric("AHU: Supply Air Temperature"), ("supply_air_temp".to_owned(), "°F"));
        assert_eq!(metric("VAV Box: Room 102 Air Temperature"), ("room_102_air_temperature".to_owned(), ""));
        let known = &model::Catalogue::builtin().types["air_handling_unit"].metrics;
        for (_, name, unit) in COLUMNS {
            assert_eq!(
                known.get(name).map(|spec| spec.unit.as_str()),
                Some(if unit == "psi" { "PSIG" } else { unit }),
                "{name}"
            );
        }
    }
}
