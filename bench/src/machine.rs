//! What the machine is that figures were measured on. Names of hosts, users and directories are left out.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// A machine, at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// The processor's own name.
    pub(crate) cpu: String,
    /// Cores that the system has.
    pub(crate) cores: usize,
    /// Memory, bytes.
    pub(crate) memory: u64,
    /// The kernel's release.
    pub(crate) kernel: String,
    /// The file system that holds the data.
    pub(crate) file_system: String,
    /// Its device.
    pub(crate) disk: String,
    /// Whether the device says that it may lose what it has not flushed: `write back` or `write through`.
    pub(crate) write_cache: String,
    /// Processes that wanted to run, averaged over the last minute.
    pub(crate) load_average: f64,
    /// When, UTC.
    pub(crate) at: String,
}

impl Machine {
    /// This one; `data` is a directory on the disk that counts.
    pub(crate) fn this(data: &Path) -> Self {
        let text = |file: &str| fs::read_to_string(file).unwrap_or_default();
        let disk = block_device(data);
        let queue = |what: &str| {
            let found = text(&format!("/sys/class/block/{disk}/queue/{what}")).trim().to_owned();
            if found.is_empty() { "unknown".to_owned() } else { found }
        };
        let rotates = if queue("rotational") == "1" { "rotating" } else { "not rotating" };
        Self {
            cpu: field(&text("/proc/cpuinfo"), "model name").unwrap_or_else(|| "unknown".into()),
            cores: crate::process::cores(),
            memory: memory(&text("/proc/meminfo")),
            kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
            file_system: file_system(data, &text("/proc/self/mounts")),
            write_cache: queue("write_cache"),
            disk: format!("{disk} ({rotates})"),
            load_average: load_average(&text("/proc/loadavg")),
            at: jiff::Timestamp::now().strftime("%F %H:%M UTC").to_string(),
        }
    }
}

/// The value of the first `key : value`.
fn field(text: &str, key: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(key))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn memory(meminfo: &str) -> u64 {
    let total = field(meminfo, "MemTotal").unwrap_or_default();
    total.split_whitespace().next().and_then(|it| it.parse::<u64>().ok()).unwrap_or(0) << 10
}

fn load_average(text: &str) -> f64 {
    text.split_whitespace().next().and_then(|it| it.parse().ok()).unwrap_or(0.0)
}

/// The name of the device that a directory is on, without what is in front of it.
fn block_device(dir: &Path) -> String {
    let Ok(metadata) = fs::metadata(dir) else { return "unknown".into() };
    let device = metadata.dev();
    let link =
        format!("/sys/dev/block/{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    let name = fs::read_link(link).ok().and_then(|it| Some(it.file_name()?.to_owned()));
    name.map_or_else(|| "none".into(), |it| it.to_string_lossy().into_owned())
}

/// The kind of the file system with the longest mount point above `dir`.
fn file_system(dir: &Path, mounts: &str) -> String {
    let dir = fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
    let of = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        let (point, kind) = (words.next()?.to_owned(), words.next()?.to_owned());
        dir.starts_with(&point).then_some((point.len(), kind))
    };
    let longest = mounts.lines().filter_map(of).max_by_key(|(len, _)| *len);
    longest.map_or_else(|| "unknown".into(), |(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Machine, file_system, memory};

    #[test]
    fn the_longest_mount_point_above_a_directory_counts() {
        let mounts = "/dev/a / ext4 rw 0 0\nnone /nowhere tmpfs rw 0 0\n";
        assert_eq!(file_system(Path::new("/nowhere/at/all"), mounts), "tmpfs");
        assert_eq!(file_system(Path::new("/"), mounts), "ext4");
    }

    #[test]
    fn memory_is_bytes() {
        assert_eq!(memory("MemTotal:       1024 kB\nMemFree: 1 kB\n"), 1 << 20);
    }

    #[test]
    fn this_machine_has_cores_and_memory() {
        let machine = Machine::this(Path::new("."));
        assert!(0 < machine.cores && 0 < machine.memory, "{machine:?}");
    }
}
