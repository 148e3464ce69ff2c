//! Numbers, times, tables and JSON as commands print them, safe for a terminal.

use std::io::{IsTerminal as _, Write};

use comfy_table::{CellAlignment, Table, presets};
use model::time::format_ms;
use serde_json::Value as Json;

/// Whether stdout is a terminal whose user did not ask for plain text (see no-color.org).
pub fn is_colourful() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Names and texts come from devices: nothing of them may steer a terminal or turn its direction of writing.
pub fn printable(text: &str) -> String {
    let steers = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(steers) {
        return text.to_owned();
    }
    text.chars().map(|c| if steers(c) { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// JSON as text without anything that steers a terminal; the control characters that JSON allows inside texts are escaped,
/// which means the same.
pub fn json_text(value: &Json) -> String {
    escape_json(value.to_string())
}

/// The same with line breaks and indents.
pub fn json_pretty(value: &Json) -> String {
    escape_json(serde_json::to_string_pretty(value).expect("a JSON value can be written"))
}

fn escape_json(text: String) -> String {
    let steers = |c: char| matches!(c, '\u{7f}'..='\u{9f}');
    if !text.contains(steers) {
        return text;
    }
    text.chars().map(|c| if steers(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() }).collect()
}

/// A list of JSON objects, each on its line, written as it comes.
pub struct JsonList<W: Write> {
    out: W,
    any: bool,
}

impl<W: Write> JsonList<W> {
    /// An empty list.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn new(mut out: W) -> std::io::Result<Self> {
        out.write_all(b"[")?;
        Ok(JsonList { out, any: false })
    }

    /// One more element.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn push(&mut self, value: &Json) -> std::io::Result<()> {
        let comma = if self.any { "," } else { "" };
        self.any = true;
        write!(self.out, "{comma}\n{}", json_text(value))
    }

    /// Its end.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn finish(mut self) -> std::io::Result<()> {
        self.out.write_all(if self.any { b"\n]\n" } else { b"]\n" })?;
        self.out.flush()
    }
}

/// A table without lines; `right` are the columns of numbers.
pub fn table(header: &[&str], right: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.to_vec());
    for &column in right {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// A table's text without the blanks at the ends of its lines.
pub fn table_text(table: &Table) -> String {
    table.to_string().lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// A time for tables: the blank instead of the `T`, whole minutes without seconds.
pub fn short_time(ms: i64) -> String {
    let text = format_ms(ms).replace('T', " ");
    match text.strip_suffix(":00Z") {
        Some(minutes) => minutes.to_owned(),
        None => text.trim_end_matches('Z').to_owned(),
    }
}

/// A duration for tables.
pub fn short_duration(ms: i64) -> String {
    let (seconds, minutes) = (ms / 1_000, ms / 60_000);
    match minutes {
        ..1 => format!("{seconds} s"),
        1..120 => format!("{minutes} min"),
        120..2_880 => format!("{} h {:02} min", minutes / 60, minutes % 60),
        _ => format!("{} d {} h", minutes / 1_440, minutes / 60 % 24),
    }
}

/// A whole number with its thousands set apart.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A measured number: as many digits as its size makes sensible.
pub fn number(value: f64) -> String {
    let size = value.abs();
    let digits = match size {
        1000.0.. => 0,
        100.0.. => 1,
        _ => 2,
    };
    if size != 0.0 && size < 0.005 { format!("{value:.1e}") } else { format!("{value:.digits$}") }
}

/// The unit of a metric by the catalogue; empty where it lacks it.
pub fn unit_of(device_type: &str, metric: &str) -> &'static str {
    let known = model::Catalogue::builtin().types.get(device_type);
    known.and_then(|known| known.metrics.get(metric)).map_or("", |spec| spec.unit.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_a_device_steers_a_terminal() {
        assert_eq!(printable("RTU\u{1b}[2J\n\u{202e}x °F"), "RTU\\u{1b}[2J\\n\\u{202e}x °F");
        let json = json_text(&Json::from("a\u{1b}\u{9b}b\u{7f}"));
        assert_eq!(json, "\"a\\u001b\\u009bb\\u007f\"");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), "a\u{1b}\u{9b}b\u{7f}");
    }

    #[test]
    fn numbers_are_short() {
        let numbers = [0.0, 0.0012, -0.5, 12.345, 123.45, 12345.6].map(number);
        assert_eq!(numbers, ["0.00", "1.2e-3", "-0.50", "12.35", "123.5", "12346"]);
        assert_eq!([999, 1_000, 1_234_567].map(thousands), ["999", "1,000", "1,234,567"]);
        assert_eq!(
            [59_000, 3_600_000, 7_260_000, 180_000_000].map(short_duration),
            ["59 s", "60 min", "2 h 01 min", "2 d 2 h"]
        );
    }
}
