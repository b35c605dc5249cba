//! A slow disk: a control group whose processes get few writes a second.
//!
//! Root only, and a kernel with the groups mounted: the older hierarchy's `blkio`, or the newer one's `io`.
//! Absent here: what is tried on such a disk; see `durability`.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{major, minor};

use crate::process::Process;

/// A control group, gone with the value.
pub(crate) struct Throttle {
    group: PathBuf,
}

impl Throttle {
    /// A group that may write so often to the device of `dir`; why there is none, if there is none.
    pub(crate) fn new(dir: &Path, writes_per_second: u32) -> io::Result<Self> {
        let (root, file) = if Path::new("/sys/fs/cgroup/blkio").is_dir() {
            ("/sys/fs/cgroup/blkio", "blkio.throttle.write_iops_device")
        } else {
            ("/sys/fs/cgroup", "io.max")
        };
        let device = fs::metadata(dir)?.dev();
        let device = format!("{}:{}", major(device), minor(device));
        let group = Path::new(root).join(format!("ringkeeper-e2e-{}", std::process::id()));
        fs::create_dir(&group)?;
        let throttle = Self { group };
        let limit = match file {
            "io.max" => format!("{device} wiops={writes_per_second}"),
            _ => format!("{device} {writes_per_second}"),
        };
        fs::write(throttle.group.join(file), limit)?;
        Ok(throttle)
    }

    /// From now on the process has this disk.
    pub(crate) fn slow_down(&self, process: &Process) -> io::Result<()> {
        fs::write(self.group.join("cgroup.procs"), process.id().to_string())
    }
}

impl Drop for Throttle {
    fn drop(&mut self) {
        // Whoever is in it was killed, and leaves it soon.
        for _ in 0..200 {
            if fs::remove_dir(&self.group).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        eprintln!("{} would not be removed", self.group.display());
    }
}
