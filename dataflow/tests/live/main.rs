//! The job between real services. How these tests are run: `xtask/src/main.rs`.

mod kafka;
#[path = "../../../connectors/tests/live/services.rs"]
mod services;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

#[test]
fn ollama_tells_its_version() {
    let address = services::address("PLENUM_TEST_OLLAMA");
    let mut stream = TcpStream::connect(&address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "GET /api/version HTTP/1.0\r\nHost: {address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.0 200") && answer.contains("\"version\""), "{answer}");
}
