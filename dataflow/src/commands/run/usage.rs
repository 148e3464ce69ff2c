//! What a process has used of the machine.

/// CPU seconds of this process and of those it waited for, in steps of 10 ms.
pub fn cpu_seconds() -> f64 {
    /// `USER_HZ`, fixed at 100 for programs on every Linux architecture.
    const TICKS_A_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name in brackets may hold blanks; times are fields 14 to 17, counted from 1.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    fields.iter().skip(11).take(4).filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / TICKS_A_SECOND
}

/// Highest resident memory so far; 0 where the system does not say.
pub fn peak_rss_bytes() -> u64 {
    memory_bytes("VmHWM:")
}

/// Resident memory now; 0 where the system does not say.
pub fn resident_bytes() -> u64 {
    memory_bytes("VmRSS:")
}

fn memory_bytes(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()).unwrap_or(0) * 1024
}
