//! Rows and cells of a table, each row judged for itself: one that is broken is named by its line and costs only itself.

use std::io::BufRead;

use super::CsvError;

/// One row: the line it begins at, and its cells or why it has none.
pub(super) type RawRow = (u64, Result<Vec<String>, String>);

/// Rows of a table by RFC 4180: quoted cells may hold delimiters, line ends and doubled quotes.
pub(super) struct Table<R> {
    input: R,
    delimiter: u8,
    line: u64,
}

impl<R: BufRead> Table<R> {
    pub(super) fn new(input: R, delimiter: char) -> Result<Self, CsvError> {
        match u8::try_from(delimiter) {
            Ok(byte) if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => {
                Ok(Table { input, delimiter: byte, line: 0 })
            }
            _ => Err(CsvError::Setting(format!("\"delimiter\" is {delimiter:?}, which can't stand between cells"))),
        }
    }

    /// The next row that isn't blank.
    pub(super) fn next_row(&mut self) -> Result<Option<RawRow>, CsvError> {
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            let first = self.line + 1;
            loop {
                let read = self.input.read_until(b'\n', &mut bytes);
                let read = read.map_err(|source| CsvError::Read { line: self.line + 1, source })?;
                self.line += u64::from(read > 0);
                // Within a quoted cell the number of quotes so far is odd, and the row goes on behind the line end.
                if read == 0 || bytes.iter().filter(|byte| **byte == b'"').count() % 2 == 0 {
                    break;
                }
            }
            if bytes.is_empty() {
                return Ok(None);
            }
            let row = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
            let row = row.strip_suffix(b"\r").unwrap_or(row);
            if row.is_empty() {
                continue;
            }
            return Ok(Some((first, cells(row, self.delimiter))));
        }
    }
}

fn cells(row: &[u8], delimiter: u8) -> Result<Vec<String>, String> {
    let text = |cell: &[u8]| {
        std::str::from_utf8(cell).map(str::to_owned).map_err(|error| format!("row is not UTF-8: {error}"))
    };
    let mut cells = Vec::new();
    let mut rest = row;
    loop {
        let end = if let Some(inner) = rest.strip_prefix(b"\"") {
            let mut cell = Vec::new();
            let mut at = 0;
            loop {
                match (inner.get(at), inner.get(at + 1)) {
                    (Some(b'"'), Some(b'"')) => {
                        cell.push(b'"');
                        at += 2;
                    }
                    (Some(b'"'), _) => break,
                    (Some(byte), _) => {
                        cell.push(*byte);
                        at += 1;
                    }
                    (None, _) => return Err("row has a quote that is never closed".to_owned()),
                }
            }
            cells.push(text(&cell)?);
            at + 2
        } else {
            let end = rest.iter().position(|byte| *byte == delimiter).unwrap_or(rest.len());
            cells.push(text(&rest[..end])?);
            end
        };
        match rest.get(end) {
            None => return Ok(cells),
            Some(byte) if *byte == delimiter => rest = &rest[end + 1..],
            Some(_) => return Err("row has text behind a closing quote".to_owned()),
        }
    }
}
