//! A case: a folder with its story, its messages and what must come of them.
//!
//! `cases/<name>/case.toml` says what the case shows and why it exists, which settings of the job it needs, and what must
//! and must not be in the result; that part is written by hand. The messages are `input.jsonl` (or `input.jsonl.zst`), or a
//! `[simulate]` table from which the simulator makes them, or
//! a `[situations]` table. `expected.txt` is the whole result as a run gave it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use model::recording::{Line, LineError, parse_line};
use serde::Deserialize;

use crate::render::Show;
use crate::simulate::{SimulateError, Simulation};
use crate::situations::Situations;

/// One case, read and checked; its messages are read by [`Case::recording`].
#[derive(Clone, Debug)]
pub struct Case {
    /// The folder's name.
    pub name: String,
    /// The folder.
    pub folder: PathBuf,
    /// What it shows and why it exists.
    pub title: String,
    /// Settings of the job that differ from its defaults, as in the `[job]` table of a configuration.
    pub job: toml::Table,
    /// Which parts of the store its golden holds.
    pub show: Show,
    /// Lines that the result must have; `*` stands for any text in a line.
    pub must: Vec<String>,
    /// Beginnings that no line of the result may have; `*` stands for any text in a line.
    pub must_not: Vec<String>,
    /// Where its messages come from.
    pub input: Input,
}

/// Where the messages of a case come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A recording: JSON lines, or the same compressed with zstd.
    Recording(PathBuf),
    /// The simulator, with these parameters.
    Simulate(toml::Table),
    /// Rules in their situations.
    Situations(Situations),
}

/// Why a case can't be used.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// A file or folder can't be read or written.
    #[error("could not {action} {path:?}: {source}")]
    File {
        /// What was tried.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// No such case.
    #[error("case {name:?} is not in {folder:?}{}", nearest_of(nearest))]
    Unknown {
        /// The name asked for.
        name: String,
        /// Where it was looked for.
        folder: PathBuf,
        /// A name like it.
        nearest: Option<String>,
    },
    /// `case.toml` can't be read.
    #[error("case {name:?} has a bad case.toml: {source}")]
    Toml {
        /// The case.
        name: String,
        /// Why.
        source: Box<toml::de::Error>,
    },
    /// `case.toml` and the files beside it don't fit together.
    #[error("case {name:?} {what}")]
    Shape {
        /// The case.
        name: String,
        /// What is wrong.
        what: String,
    },
    /// Its messages can't be simulated.
    #[error("case {name:?} has a {source}")]
    Simulate {
        /// The case.
        name: String,
        /// Why.
        source: Box<SimulateError>,
    },
    /// A line of the recording is none.
    #[error("case {name:?} line {line} of its recording: {source}")]
    Line {
        /// The case.
        name: String,
        /// Line number from 1.
        line: usize,
        /// Why.
        source: LineError,
    },
    /// The offsets of a partition don't rise.
    #[error("case {name:?} line {line} of its recording: offset {offset} of partition {partition} does not rise")]
    Offset {
        /// The case.
        name: String,
        /// Line number from 1.
        line: usize,
        /// The partition.
        partition: u32,
        /// The offset that is not above the one before.
        offset: i64,
    },
}

fn nearest_of(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or_else(String::new, |name| format!("; the nearest name is {name:?}"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Toml {
    title: String,
    #[serde(default)]
    job: toml::Table,
    #[serde(default)]
    show: Show,
    must: Vec<String>,
    #[serde(default)]
    must_not: Vec<String>,
    simulate: Option<toml::Table>,
    situations: Option<toml::Table>,
}

/// The folder of the cases that come with the source.
pub fn bundled_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cases")
}

/// The names of all cases of a folder, sorted.
///
/// # Errors
/// The folder can't be read.
pub fn list(folder: &Path) -> Result<Vec<String>, CaseError> {
    let failed = |source| CaseError::File { action: "list", path: folder.to_owned(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.join("case.toml").is_file()
            && let Some(name) = path.file_name().and_then(|name| name.to_str())
        {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Reads one case.
///
/// # Errors
/// There is no such case, or its files don't fit together.
pub fn load(folder: &Path, name: &str) -> Result<Case, CaseError> {
    let own = folder.join(name);
    let path = own.join("case.toml");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let nearest = list(folder)?.into_iter().min_by_key(|known| distance(known, name));
            let nearest = nearest.filter(|known| distance(known, name) <= name.len() / 2);
            return Err(CaseError::Unknown { name: name.to_owned(), folder: folder.to_owned(), nearest });
        }
        Err(source) => return Err(CaseError::File { action: "read", path, source }),
    };
    let toml: Toml =
        toml::from_str(&text).map_err(|source| CaseError::Toml { name: name.to_owned(), source: Box::new(source) })?;
    let wrong = |what: &str| CaseError::Shape { name: name.to_owned(), what: what.to_owned() };
    let recordings: Vec<PathBuf> = ["input.jsonl", "input.jsonl.zst"]
        .map(|file| own.join(file))
        .into_iter()
        .filter(|file| file.is_file())
        .collect();
    let input = match (toml.simulate, toml.situations, recordings.as_slice()) {
        (None, None, [recording]) => Input::Recording(recording.clone()),
        (Some(parameters), None, []) => Input::Simulate(parameters),
        (None, Some(table), []) => Input::Situations(
            Situations::parse(&table).map_err(|error| wrong(&format!("has a bad [situations] table: {error}")))?,
        ),
        (None, None, []) => return Err(wrong("has neither an input.jsonl nor a [simulate] table")),
        (Some(_), Some(_), _) => return Err(wrong("has both a [simulate] and a [situations] table")),
        (Some(_), None, _) => return Err(wrong("has both a recording and a [simulate] table")),
        (None, Some(_), _) => return Err(wrong("has both a recording and a [situations] table")),
        (None, None, _) => return Err(wrong("has both an input.jsonl and an input.jsonl.zst")),
    };
    if toml.title.trim().is_empty() {
        return Err(wrong("has an empty title, so nobody will know what it is for"));
    }
    if toml.must.is_empty() && toml.must_not.is_empty() {
        return Err(wrong("expects nothing: write at least one line of must or must_not by hand"));
    }
    Ok(Case {
        name: name.to_owned(),
        folder: own,
        title: toml.title,
        job: toml.job,
        show: toml.show,
        must: toml.must,
        must_not: toml.must_not,
        input,
    })
}

impl Case {
    /// Its messages, read or simulated, and checked line by line.
    ///
    /// # Errors
    /// The recording can't be read or is none, or the simulation can't be run.
    pub fn recording(&self) -> Result<Vec<u8>, CaseError> {
        let bytes = match &self.input {
            Input::Recording(path) => read_recording(path)?,
            Input::Simulate(parameters) => Simulation::parse(parameters)
                .and_then(|simulation| simulation.recording())
                .map_err(|source| CaseError::Simulate { name: self.name.clone(), source: Box::new(source) })?,
            Input::Situations(situations) => situations.recording(),
        };
        check_recording(&self.name, &bytes)?;
        Ok(bytes)
    }

    /// Where its golden lies.
    pub fn golden_path(&self) -> PathBuf {
        self.folder.join("expected.txt")
    }

    /// Its golden; `None` where it was never blessed.
    ///
    /// # Errors
    /// The file is there and can't be read.
    pub fn golden(&self) -> Result<Option<String>, CaseError> {
        let path = self.golden_path();
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(CaseError::File { action: "read", path, source }),
        }
    }
}

/// Reads a recording, compressed where its name ends in `.zst`.
///
/// # Errors
/// The file can't be read or decompressed.
pub fn read_recording(path: &Path) -> Result<Vec<u8>, CaseError> {
    let bytes = fs::read(path).and_then(|bytes| {
        if path.extension().is_some_and(|extension| extension == "zst") {
            zstd::decode_all(bytes.as_slice())
        } else {
            Ok(bytes)
        }
    });
    bytes.map_err(|source| CaseError::File { action: "read", path: path.to_owned(), source })
}

/// Checks that every line is one of a recording and that the offsets of each partition rise.
///
/// # Errors
/// The first line that is wrong.
pub fn check_recording(name: &str, bytes: &[u8]) -> Result<(), CaseError> {
    let mut next: BTreeMap<u32, i64> = BTreeMap::new();
    for (at, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        let parsed =
            parse_line(line).map_err(|source| CaseError::Line { name: name.to_owned(), line: at + 1, source })?;
        // A mark stands before the message of its offset, so it may name that offset and not a lower one.
        let (partition, offset, after) = match parsed {
            Line::Message { partition, offset, .. } => (partition, offset, offset + 1),
            Line::Mark { partition, offset, .. } => (partition, offset, offset),
        };
        let least = next.entry(partition).or_insert(offset);
        if offset < *least {
            return Err(CaseError::Offset { name: name.to_owned(), line: at + 1, partition, offset });
        }
        *least = after;
    }
    Ok(())
}

/// Edits between two names (Levenshtein), to guess what was meant.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of its own under the build's, so that tests run beside each other.
    fn folder(test: &str, files: &[(&str, &str)]) -> PathBuf {
        let root = std::env::temp_dir().join(format!("plenum-case-{}-{test}", std::process::id()));
        fs::create_dir_all(root.join("some-case")).expect("the folder can be made");
        for (name, text) in files {
            fs::write(root.join("some-case").join(name), text).expect("the file can be written");
        }
        root
    }

    fn error(test: &str, files: &[(&str, &str)]) -> String {
        let root = folder(test, files);
        let text = load(&root, "some-case").expect_err("the case is wrong").to_string();
        fs::remove_dir_all(root).expect("the folder can be removed");
        text
    }

    const RIGHT: &str = "title = \"It shows this.\"\nmust = [\"fates received=0 *\"]\n";

    #[test]
    fn a_case_that_does_not_fit_together_says_how() {
        assert_eq!(
            error("neither", &[("case.toml", RIGHT)]),
            "case \"some-case\" has neither an input.jsonl nor a [simulate] table"
        );
        assert_eq!(
            error("both", &[("case.toml", &format!("{RIGHT}[simulate]\nhours = 1\n")), ("input.jsonl", "")]),
            "case \"some-case\" has both a recording and a [simulate] table"
        );
        assert_eq!(
            error("nothing", &[("case.toml", "title = \"x\"\nmust = []\n"), ("input.jsonl", "")]),
            "case \"some-case\" expects nothing: write at least one line of must or must_not by hand"
        );
        let unknown = error("unknown", &[("case.toml", &format!("{RIGHT}mustnot = []\n")), ("input.jsonl", "")]);
        assert!(
            unknown.contains("some-case") && unknown.contains("mustnot") && unknown.contains("must_not"),
            "{unknown}"
        );
    }

    #[test]
    fn an_unknown_name_gets_the_nearest_one() {
        let root = folder("nearest", &[("case.toml", RIGHT), ("input.jsonl", "")]);
        let text = load(&root, "some-cas").expect_err("no such case").to_string();
        assert!(text.ends_with("; the nearest name is \"some-case\""), "{text}");
        assert_eq!(list(&root).expect("the folder is there"), ["some-case"]);
        assert!(load(&root, "some-case").expect("it is there").golden().expect("it can be looked for").is_none());
        fs::remove_dir_all(root).expect("the folder can be removed");
    }

    #[test]
    fn a_recording_is_checked_line_by_line() {
        let check = |text: &str| check_recording("x", text.as_bytes()).map_err(|error| error.to_string());
        let mark = "{\"partition\":1,\"offset\":5,\"watermark\":0}\n";
        let message =
            |offset: i64| format!("{{\"partition\":1,\"offset\":{offset},\"broker_time\":0,\"message\":null}}\n");
        assert_eq!(check(&format!("{mark}{}{}", message(5), message(9))), Ok(()));
        assert_eq!(
            check(&format!("{}{}", message(5), message(5))),
            Err("case \"x\" line 2 of its recording: offset 5 of partition 1 does not rise".to_owned())
        );
        assert_eq!(
            check(&format!("{}{mark}", message(5))),
            Err("case \"x\" line 2 of its recording: offset 5 of partition 1 does not rise".to_owned())
        );
        let bad = check("\nno line\n").expect_err("it is no line");
        assert!(bad.starts_with("case \"x\" line 2 of its recording: not a recording's line: "), "{bad}");
    }
}
