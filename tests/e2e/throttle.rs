//! A slow disk: a control group whose processes get few writes a second, or none.
//!
//! Root only, and a kernel with the groups mounted: the older hierarchy's `blkio`, or the newer one's `io`.
//! Absent here: what is tried on such a disk; see `durability`.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{major, minor};

use crate::process::Process;

/// A control group, gone with the value.
pub(crate) struct Throttle {
    group: PathBuf,
    root: &'static str,
    /// What lifts the limit, and where that is written.
    lift: (&'static str, String),
}

impl Throttle {
    /// A group that may write so often to the device of `dir`; why there is none, if there is none.
    pub(crate) fn new(dir: &Path, writes_per_second: u32) -> io::Result<Self> {
        Self::limited(dir, ("iops", writes_per_second))
    }

    /// A group whose writes to the device of `dir` hang: a byte each second.
    pub(crate) fn hanging(dir: &Path) -> io::Result<Self> {
        Self::limited(dir, ("bps", 1))
    }

    fn limited(dir: &Path, (what, limit): (&str, u32)) -> io::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let (root, file) = match (Path::new("/sys/fs/cgroup/blkio").is_dir(), what) {
            (true, "bps") => ("/sys/fs/cgroup/blkio", "blkio.throttle.write_bps_device"),
            (true, _) => ("/sys/fs/cgroup/blkio", "blkio.throttle.write_iops_device"),
            (false, _) => ("/sys/fs/cgroup", "io.max"),
        };
        let device = fs::metadata(dir)?.dev();
        let device = format!("{}:{}", major(device), minor(device));
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("ringkeeper-e2e-{}-{number}", std::process::id());
        let group = Path::new(root).join(name);
        fs::create_dir(&group)?;
        let (limit, none) = match file {
            "io.max" => (format!("{device} w{what}={limit}"), format!("{device} w{what}=max")),
            _ => (format!("{device} {limit}"), format!("{device} 0")),
        };
        let throttle = Self { group, root, lift: (file, none) };
        fs::write(throttle.group.join(file), limit)?;
        Ok(throttle)
    }

    /// From now on the process has this disk.
    pub(crate) fn slow_down(&self, process: &Process) -> io::Result<()> {
        fs::write(self.group.join("cgroup.procs"), process.id().to_string())
    }

    /// From now on whoever has this disk has it as it is.
    pub(crate) fn lift(&self) -> io::Result<()> {
        let (file, none) = &self.lift;
        fs::write(self.group.join(file), none)
    }
}

impl Drop for Throttle {
    fn drop(&mut self) {
        // What hangs would hold up its process's end.
        self.lift().ok();
        for process in
            fs::read_to_string(self.group.join("cgroup.procs")).unwrap_or_default().lines()
        {
            fs::write(Path::new(self.root).join("cgroup.procs"), process).ok();
        }
        // Whoever was killed leaves it soon.
        for _ in 0..200 {
            if fs::remove_dir(&self.group).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        eprintln!("{} would not be removed", self.group.display());
    }
}
