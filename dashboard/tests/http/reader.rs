//! A client that watches.

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use super::stage::Stage;

/// Reads events of a stream.
pub struct Reader(BufReader<TcpStream>);

impl Reader {
    /// Watches; `more` are further headers.
    pub fn open(stage: &Stage, more: &str) -> Reader {
        let mut reader = Reader(BufReader::new(stage.open(&format!("GET /api/v1/events HTTP/1.1{more}"), b"")));
        let mut line = String::new();
        reader.0.read_line(&mut line).unwrap();
        assert!(line.contains(" 200 "), "{line}");
        while line.trim() != "" {
            line.clear();
            reader.0.read_line(&mut line).unwrap();
        }
        reader
    }

    /// The next event that is of a kind: its id and data.
    pub fn next(&mut self, kind: &str) -> (u64, Json) {
        let began = Instant::now();
        let (mut id, mut event, mut data) = (0, String::new(), String::new());
        loop {
            assert!(began.elapsed() < Duration::from_secs(30), "no event {kind}");
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            if let Some(rest) = line.strip_prefix("id: ") {
                id = rest.trim().parse().unwrap();
            } else if let Some(rest) = line.strip_prefix("event: ") {
                rest.trim().clone_into(&mut event);
            } else if let Some(rest) = line.strip_prefix("data: ") {
                rest.trim_end().clone_into(&mut data);
            } else if event == kind && !data.is_empty() {
                return (id, serde_json::from_str(&data).unwrap());
            }
        }
    }
}
