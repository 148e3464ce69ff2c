//! Labelled data as it was published: tables with a header, and the folder that they lie in.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

use crate::commands::WrongUse;

/// A table as text, its header trimmed.
pub struct Table {
    path: PathBuf,
    header: Vec<String>,
    /// Cells by row.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// Reads a table; a cell with delimiters in it stands in double quotes.
    ///
    /// # Errors
    /// If the file can't be read, is empty, or a row has other than the header's number of cells.
    pub fn read(path: &Path, delimiter: char) -> anyhow::Result<Table> {
        let text = std::fs::read_to_string(path).with_context(|| format!("could not read table {}", path.display()))?;
        let mut lines = text.lines().map(str::trim_end).enumerate().filter(|(_, line)| !line.is_empty());
        let cells = |line: &str| split(line, delimiter);
        let Some((_, header)) = lines.next() else { bail!("table {} is empty", path.display()) };
        let header = cells(header.trim_start_matches('\u{feff}'));
        let mut rows = Vec::new();
        for (at, line) in lines {
            let row = cells(line);
            if row.len() != header.len() {
                let (found, wanted) = (row.len(), header.len());
                bail!("table {}, line {}: has {found} cells, the header has {wanted}", path.display(), at + 1);
            }
            rows.push(row);
        }
        Ok(Table { path: path.to_owned(), header, rows })
    }

    /// All column names.
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// Where a column stands.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn column(&self, name: &str) -> anyhow::Result<usize> {
        self.header
            .iter()
            .position(|known| known == name)
            .with_context(|| format!("table {} has no column {name:?}; it has {:?}", self.path.display(), self.header))
    }

    /// The event times of all rows in milliseconds, the clock read as UTC.
    ///
    /// # Errors
    /// Names the first cell that is no time.
    pub fn times_ms(&self, column: usize, format: &str) -> anyhow::Result<Vec<i64>> {
        let each = |(at, row): (usize, &Vec<String>)| {
            time_ms(format, &row[column]).with_context(|| {
                let place = self.path.display();
                format!("table {place}, row {}: {:?} is no time of format {format:?}", at + 1, row[column])
            })
        };
        self.rows.iter().enumerate().map(each).collect()
    }
}

/// The cells of a line, without blanks at their ends.
fn split(line: &str, delimiter: char) -> Vec<String> {
    let (mut cells, mut cell, mut quoted) = (Vec::new(), String::new(), false);
    for letter in line.chars() {
        match letter {
            '"' => quoted = !quoted,
            letter if letter == delimiter && !quoted => cells.push(std::mem::take(&mut cell).trim().to_owned()),
            letter => cell.push(letter),
        }
    }
    cells.push(cell.trim().to_owned());
    cells
}

/// A local time read as UTC, in milliseconds.
pub fn time_ms(format: &str, text: &str) -> Option<i64> {
    let datetime = strtime::parse(format, text).ok()?.to_datetime().ok()?;
    Some(TimeZone::UTC.to_timestamp(datetime).ok()?.as_millisecond())
}

/// The tables (`*.csv`) of a folder and of the folders in it, by path.
///
/// # Errors
/// [`WrongUse`] if there is no such folder.
pub fn tables(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    list(folder, 2, &mut found).map_err(|error| {
        WrongUse(format!("could not read folder {}: {error}; name the folder with the labelled data", folder.display()))
    })?;
    found.sort();
    Ok(found)
}

fn list(folder: &Path, depth: u32, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && depth > 1 {
            list(&path, depth - 1, found)?;
        } else if path.extension().is_some_and(|extension| extension == "csv") {
            found.push(path);
        }
    }
    Ok(())
}

/// A file's name relative to the folder, with `/` between.
pub fn name_of(folder: &Path, path: &Path) -> String {
    let relative = path.strip_prefix(folder).unwrap_or(path);
    relative.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// Refuses a folder that lacks what the protocol needs.
pub fn lacks(folder: &Path, what: &str) -> anyhow::Error {
    WrongUse(format!(
        "folder {} has no {what}; see `dataflow evaluate --help` for what it has to hold",
        folder.display()
    ))
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_cell_may_hold_the_delimiter() {
        assert_eq!(split("a, b ,\"stage 1, 0.4 GPM\",", ','), ["a", "b", "stage 1, 0.4 GPM", ""]);
    }

    #[test]
    fn published_times_are_read_as_utc() {
        let read = |format, text| time_ms(format, text).map(model::time::format_ms);
        assert_eq!(read("%m/%d/%Y %H:%M", "8/28/2007 0:05").as_deref(), Some("2007-08-28T00:05:00Z"));
        assert_eq!(read("%Y-%m-%d %H:%M:%S", "2020-03-09 10:34:33").as_deref(), Some("2020-03-09T10:34:33Z"));
        assert_eq!(read("%Y-%m-%d %H:%M:%S", "soon"), None);
    }
}
