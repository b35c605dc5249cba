//! What the process is surrounded by: machine, user, directories, file descriptors, memory.
//!
//! ZooKeeper: `Environment.list`, `OSMXBean`, `ZooKeeperServer.getDirSize`. For `envi`, `dirs`, `conf` and `mntr`; reads files of
//! /proc and may block, so the control thread calls it. What cannot be found out is `<NA>` or 0: it is there to be looked at.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use net::words::Environment;

/// What does not change while the process runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surroundings {
    /// This machine's name.
    pub host_name: String,
    /// The kernel's release.
    pub os_version: String,
    /// Whom the process runs as.
    pub user_name: String,
    /// That user's home.
    pub user_home: String,
    /// Working directory.
    pub user_dir: String,
}

const ABSENT: &str = "<NA>";

impl Surroundings {
    /// Looks around.
    pub fn look() -> Self {
        let line = |path: &str| match fs::read_to_string(path) {
            Ok(text) => text.trim().to_owned(),
            Err(_) => ABSENT.to_owned(),
        };
        let uid = fs::metadata("/proc/self").map(|it| it.uid()).ok();
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let (user_name, user_home) =
            uid.and_then(|uid| user(&passwd, uid)).unwrap_or((ABSENT, ABSENT));
        let dir = std::env::current_dir();
        Self {
            host_name: line("/proc/sys/kernel/hostname"),
            os_version: line("/proc/sys/kernel/osrelease"),
            user_name: user_name.into(),
            user_home: user_home.into(),
            user_dir: dir.map_or_else(|_| ABSENT.into(), |it| it.display().to_string()),
        }
    }

    /// What `envi` shows; `version` as in `srvr`.
    pub fn environment<'a>(&'a self, version: &'a str) -> Environment<'a> {
        Environment {
            version,
            host_name: &self.host_name,
            os_arch: os_arch(),
            os_version: &self.os_version,
            user_name: &self.user_name,
            user_home: &self.user_home,
            user_dir: &self.user_dir,
            memory_mib: memory_mib(),
        }
    }
}

/// Name and home of the user `uid`, as /etc/passwd has them.
fn user(passwd: &str, uid: u32) -> Option<(&str, &str)> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let found = fields.nth(1)?.parse::<u32>().ok()?;
        let home = fields.nth(2)?;
        (found == uid).then_some((name, home))
    })
}

/// The architecture in Java's words.
const fn os_arch() -> &'static str {
    match std::env::consts::ARCH.as_bytes() {
        b"x86_64" => "amd64",
        _ => std::env::consts::ARCH,
    }
}

/// Memory that the machine has free, that it has, and that the process uses. MiB.
pub fn memory_mib() -> [u64; 3] {
    let machine = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let process = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = [
        number_after(&machine, "MemAvailable:"),
        number_after(&machine, "MemTotal:"),
        number_after(&process, "VmRSS:"),
    ];
    kib.map(|it| it.unwrap_or(0) >> 10)
}

/// File descriptors that the process has.
pub fn open_file_descriptor_count() -> u64 {
    // One of them is this look.
    fs::read_dir("/proc/self/fd").map_or(0, |it| it.count().saturating_sub(1) as u64)
}

/// File descriptors that it may have.
pub fn max_file_descriptor_count() -> u64 {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    number_after(&limits, "Max open files").unwrap_or(u64::MAX >> 1)
}

/// Bytes of all files in `dir` and below; links are not followed. 0 if it is not there.
pub fn bytes_below(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    let bytes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(it) if it.is_dir() => bytes_below(&entry.path()),
        Ok(it) => it.len(),
        // Deleted since it was listed.
        Err(_) => 0,
    });
    bytes.sum()
}

/// The number that follows `label` at the beginning of a line.
fn number_after(text: &str, label: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(label))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_finds_itself() {
        let found = Surroundings::look();
        assert_ne!(found.host_name, "");
        assert!(found.os_version.starts_with(|it: char| it.is_ascii_digit()), "{found:?}");
        assert_eq!(found.user_dir, std::env::current_dir().unwrap().display().to_string());
        let [free, max, used] = memory_mib();
        assert!(0 < free && free <= max && 0 < used && used < max, "{free} {max} {used}");
    }

    #[test]
    fn an_open_file_is_counted() {
        assert!(open_file_descriptor_count() <= max_file_descriptor_count());
        // Other tests open and close files meanwhile, so many are needed to tell.
        let files: Vec<_> = (0..200).map(|_| fs::File::open("/dev/null").unwrap()).collect();
        assert!(files.len() as u64 <= open_file_descriptor_count());
    }

    #[test]
    fn a_user_is_found_by_number() {
        let passwd =
            "root:x:0:0:root:/root:/bin/bash\n\nbad\nzk:x:105:106::/var/lib/zk:/bin/false\n";
        assert_eq!(user(passwd, 0), Some(("root", "/root")));
        assert_eq!(user(passwd, 105), Some(("zk", "/var/lib/zk")));
        assert_eq!(user(passwd, 7), None);
    }

    #[test]
    fn bytes_are_summed_over_directories() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        fs::write(dir.path().join("a"), [0; 10]).unwrap();
        fs::write(dir.path().join("sub/b"), [0; 5]).unwrap();
        assert_eq!(bytes_below(dir.path()), 15);
        assert_eq!(bytes_below(&dir.path().join("absent")), 0);
    }
}
