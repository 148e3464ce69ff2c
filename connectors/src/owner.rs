//! Who holds a store, and whether that process still lives.

/// Who works on a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseOwner {
    /// Name of the machine or container.
    pub host: String,
    /// Process on it.
    pub pid: u32,
    /// Tells apart two processes that had the same number one after the other.
    pub instance: String,
    /// When the job started, milliseconds since the epoch.
    pub started_ms: i64,
}

impl LeaseOwner {
    /// This process, as far as the system says who it is.
    pub fn this_process(started_ms: i64) -> Self {
        let host = read_trimmed("/proc/sys/kernel/hostname").or_else(|| std::env::var("HOSTNAME").ok());
        let pid = std::process::id();
        let host = host.filter(|host| !host.is_empty()).unwrap_or_else(|| "of unknown name".to_owned());
        let instance = match (machine(), born(pid)) {
            (Some(machine), Some(born)) => format!("{machine}:{born}"),
            _ => format!("{pid}:{started_ms}"),
        };
        LeaseOwner { host, pid, instance, started_ms }
    }

    /// Whether it was a process of this machine, of this run of the kernel and of this view of its processes, and is gone.
    pub(crate) fn is_dead_here(&self) -> bool {
        let Some((place, born_then)) = self.instance.rsplit_once(':') else { return false };
        machine().is_some_and(|machine| machine == place) && born(self.pid).as_deref() != Some(born_then)
    }
}

fn read_trimmed(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// Which run of which kernel this is, and in which namespace its processes are numbered; a container has its own.
fn machine() -> Option<String> {
    let boot = read_trimmed("/proc/sys/kernel/random/boot_id")?;
    let namespace = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{boot}:{}", namespace.display()))
}

/// When a process started, in ticks since the kernel did; `None` if there is none. Numbers of processes are used again.
fn born(pid: u32) -> Option<String> {
    let stat = read_trimmed(&format!("/proc/{pid}/stat"))?;
    // The second field, a name, may hold anything but ends with the last bracket.
    let behind_name = stat.rsplit_once(')')?.1;
    behind_name.split_whitespace().nth(19).map(str::to_owned)
}
