//! What machine this is, as far as the operating system tells.

use std::fs;

use crate::results::Machine;

impl Machine {
    /// The machine that this process runs on. What cannot be found out is `unknown` or 0.
    pub fn here() -> Self {
        let unknown = || "unknown".to_string();
        Machine {
            cpu: field("/proc/cpuinfo", "model name").unwrap_or_else(unknown),
            cores: std::thread::available_parallelism().map_or(0, |n| n.get()),
            memory_bytes: field("/proc/meminfo", "MemTotal")
                .and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok())
                .map_or(0, |kib| kib * 1024),
            os: match fs::read_to_string("/proc/sys/kernel/osrelease") {
                Ok(release) => format!("{} {}", std::env::consts::OS, release.trim()),
                Err(_) => std::env::consts::OS.to_string(),
            },
        }
    }
}

/// The value of the first `name : value` line of a file.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_string())
    })
}
