//! Prints how many messages a second one core simulates: `cargo run --release -p scenarios --example simulator_speed`.
//! With a number behind `--`, one tick and a half of so many devices, to see what memory they need.

use std::time::Instant;

use scenarios::simulator::{Delivery, Features, Fleet, Options, Simulator};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if let Some(devices) = std::env::args().nth(1) {
        let fleet = Fleet::generate(devices.parse()?, 1)?;
        let started = Instant::now();
        let options = Options { duration_ms: Some(15_000), ..Options::default() };
        let mut simulator = Simulator::new(&fleet, &options)?;
        println!("{devices} devices set up in {:.2} s", started.elapsed().as_secs_f64());
        let mut messages = Vec::new();
        while simulator.next_batch(&mut messages) {}
        println!("{} messages, {:.2} s in all", simulator.tally().messages, started.elapsed().as_secs_f64());
        return Ok(());
    }
    let disturbed = Delivery {
        drop_rate: 0.01,
        duplicate_rate: 0.01,
        out_of_order_rate: 0.01,
        late_rate: 0.001,
        malformed_rate: 0.001,
        ..Delivery::default()
    };
    for (name, devices, features, delivery) in [
        ("original dynamics", 11, Features::original(), Delivery::default()),
        ("all features", 11, Features::default(), Delivery::default()),
        ("all features", 10_000, Features::default(), Delivery::default()),
        ("all features, disturbed", 10_000, Features::default(), disturbed),
    ] {
        let ticks = 4_000_000 / (devices as i64 * 14);
        let options = Options { duration_ms: Some(ticks * 10_000), features, delivery, ..Options::default() };
        let mut simulator = Simulator::new(&Fleet::generate(devices, 1)?, &options)?;
        let started = Instant::now();
        let (mut messages, mut count, mut bytes) = (Vec::new(), 0usize, 0usize);
        while simulator.next_batch(&mut messages) {
            count += messages.len();
            bytes += messages.iter().filter_map(|message| message.bytes.as_ref()).map(Vec::len).sum::<usize>();
        }
        let seconds = started.elapsed().as_secs_f64();
        let rate = count as f64 / seconds / 1e6;
        println!("{name}, {devices} devices: {count} messages, {bytes} bytes, {rate:.2} million messages/s");
    }
    let options = Options { duration_ms: Some(2_000_000_000 / 156), ..Options::default() };
    let mut simulator = Simulator::new(&Fleet::default_eleven(), &options)?;
    let started = Instant::now();
    let tally = simulator.write_lines(&mut std::io::sink(), |_| true)?;
    let rate = tally.messages as f64 / started.elapsed().as_secs_f64() / 1e6;
    println!("as lines of a recording: {} messages, {rate:.2} million messages/s", tally.messages);
    Ok(())
}
