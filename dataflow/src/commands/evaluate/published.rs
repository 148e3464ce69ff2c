//! What others have reached, for the lines beside the project's own. Published rows are of the whole data sets; so are, where
//! nothing else is said, the ones that were run again.

/// A detector's row: name, figures by column, where they come from.
pub type Known = (&'static str, &'static [&'static str], &'static str);

/// SKAB: F1, FAR %, MAR %, change points (standard / low FP / low FN), matched F1. Leaderboard of github:waico/SKAB.
pub const SKAB: &[Known] = &[
    ("Conv-AE", &["0.78", "13.6", "28.0", "23.6 / 21.5 / 27.6", ""], "published"),
    ("MSET", &["0.78", "39.7", "14.1", "13.8 / 10.2 / 17.4", ""], "published"),
    ("T2+Q (PCA)", &["0.76", "26.6", "24.9", "25.4 / 14.5 / 31.3", ""], "published"),
    ("LSTM-AE", &["0.74", "30.0", "25.9", "23.5 / 20.1 / 25.9", ""], "published"),
    ("MSCRED", &["0.36", "49.9", "69.9", "32.4 / 16.5 / 40.3", ""], "published, best change points"),
    ("isolation forest", &["0.29", "2.6", "82.9", "26.2 / 19.5 / 30.8", ""], "published"),
    (
        "AR(5) z > 3, median 3, held 10 rows",
        &["0.789", "13.1", "27.5", "42.1 / 33.4 / 48.0", ""],
        "run again, all 34 files",
    ),
];

/// NAB: scores at the best threshold of each profile. Results of github:numenta/NAB and of the detectors' authors.
pub const NAB: &[Known] = &[
    ("ARTime", &["74.9 / 65.1 / 80.4", "", ""], "published, all 58 files"),
    ("Numenta HTM", &["70.1 / 63.2 / 74.3", "", ""], "run again, all 58 files"),
    ("CAD OSE", &["69.9 / 67.0 / 73.2", "", ""], "published"),
    ("earthgecko Skyline", &["58.2 / 46.2 / 63.9", "", ""], "published"),
    ("KNN CAD", &["58.0 / 43.4 / 64.8", "", ""], "published"),
    ("relative entropy", &["54.6 / 47.6 / 58.8", "", ""], "published"),
    ("random cut forest", &["51.7 / 38.4 / 59.7", "", ""], "published"),
    ("windowed Gaussian", &["39.6 / 20.9 / 47.4", "", ""], "published"),
];

/// HVAC: minutes, days (each F1 / FAR % / MAR %), days as TP FP FN TN. No published row follows this protocol.
pub const HVAC: &[Known] = &[
    ("Mahalanobis .999", &["0.870 / 6.8 / 21.0", "0.886 / 21.4 / 13.9", "31 3 5 11"], "run on four units"),
    ("Mahalanobis .999, derived", &["0.865 / 16.1 / 19.1", "0.917 / 21.4 / 8.3", "33 3 3 11"], "run on four units"),
    ("PCA T2+Q .999", &["0.828 / 6.0 / 27.6", "0.882 / 14.3 / 16.7", "30 2 6 12"], "run on four units"),
    ("kNN-10 .999", &["0.807 / 12.6 / 29.1", "0.870 / 21.4 / 16.7", "30 3 6 11"], "run on four units"),
];
