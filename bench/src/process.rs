//! What the kernel says of a server's process: CPU time, memory, disk, switches.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::process::{Resource, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};

/// Counters of one process at one moment.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub(crate) struct Usage {
    /// User and system time, microseconds.
    pub(crate) cpu_us: u64,
    /// Resident memory, bytes.
    pub(crate) resident: u64,
    /// Bytes that it caused to be written to a disk.
    pub(crate) written: u64,
    /// Voluntary and other context switches of all its threads.
    pub(crate) switches: u64,
}

impl Usage {
    /// Reads the counters of `pid`.
    ///
    /// # Errors
    /// There is no such process.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let cpu_us = cpu_ns(pid).context("no such process")? / 1_000;
        let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        Ok(Self {
            cpu_us,
            resident: value(&status, "VmRSS:") << 10,
            written: value(&io, "write_bytes:"),
            switches: switches(pid),
        })
    }

    /// The sum of several; none of none.
    ///
    /// # Errors
    /// One of them is no process.
    pub(crate) fn of_all(pids: &[u32]) -> Result<Option<Self>> {
        let mut sum = None;
        for pid in pids {
            let one = Self::of(*pid)?;
            let all: Self = sum.unwrap_or_default();
            sum = Some(Self {
                cpu_us: all.cpu_us + one.cpu_us,
                resident: all.resident + one.resident,
                written: all.written + one.written,
                switches: all.switches + one.switches,
            });
        }
        Ok(sum)
    }

    /// What came since `earlier`; memory is as it is now.
    #[must_use]
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            cpu_us: self.cpu_us.saturating_sub(earlier.cpu_us),
            resident: self.resident,
            written: self.written.saturating_sub(earlier.written),
            switches: self.switches.saturating_sub(earlier.switches),
        }
    }
}

/// Lets this process, and those it starts, have as many open files as the system allows; how many.
pub(crate) fn raise_file_limit() -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // If it cannot be raised, the answer says so.
    setrlimit(Resource::Nofile, limit).unwrap_or_default();
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Keeps the calling thread on one core.
///
/// # Errors
/// There is no such core for it.
pub(crate) fn pin(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).with_context(|| format!("core {core}"))
}

/// Counters of the device that holds a directory, at one moment. Others write to it too.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Disk {
    /// Writes that were completed and carried bytes.
    pub(crate) writes: u64,
    /// Bytes of them.
    pub(crate) bytes: u64,
    /// Flushes of its cache.
    pub(crate) flushes: u64,
}

impl Disk {
    /// Reads the counters of the device that `dir` is on; none if it is on no device.
    pub(crate) fn of(dir: &Path) -> Option<Self> {
        let device = fs::metadata(dir).ok()?.dev();
        let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
        let text = fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat")).ok()?;
        let fields: Vec<u64> = text.split_whitespace().filter_map(|it| it.parse().ok()).collect();
        let at = |field: usize| fields.get(field).copied().unwrap_or(0);
        // The kernel counts the empty request that asks for a flush among the writes.
        let (writes, flushes) = (at(4), at(15));
        Some(Self { writes: writes.saturating_sub(flushes), bytes: at(6) * 512, flushes })
    }

    /// What came since `earlier`.
    #[must_use]
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            writes: self.writes.saturating_sub(earlier.writes),
            bytes: self.bytes.saturating_sub(earlier.bytes),
            flushes: self.flushes.saturating_sub(earlier.flushes),
        }
    }
}

fn value(text: &str, key: &str) -> u64 {
    let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|it| it.parse().ok()).unwrap_or(0)
}

/// Time on a core of all threads of this process, those that have ended too, microseconds.
pub(crate) fn own_process_cpu_us() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1_000
}

/// Cores of the machine, whichever of them this process may use.
pub(crate) fn cores() -> usize {
    let here = |core: &usize| Path::new(&format!("/sys/devices/system/cpu/cpu{core}")).exists();
    (0..4_096).take_while(here).count().max(1)
}

/// Time that all cores of the machine were busy, or another machine had them, microseconds.
pub(crate) fn machine_cpu_us() -> u64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    let ticks: Vec<u64> = line.split_whitespace().filter_map(|it| it.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal
    let busy = ticks.iter().take(8).enumerate().filter(|(at, _)| !matches!(at, 3 | 4));
    // A tick is 10 ms on every Linux that is not built by hand.
    busy.map(|(_, ticks)| ticks * 10_000).sum()
}

/// Time on a core of all threads, user and kernel, nanoseconds. Counts of `stat` come in ticks of 10 ms.
fn cpu_ns(pid: u32) -> Option<u64> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let of = |text: String| text.split_whitespace().next()?.parse::<u64>().ok();
    let read = |task: fs::DirEntry| fs::read_to_string(task.path().join("schedstat")).ok();
    Some(tasks.flatten().filter_map(read).filter_map(of).sum())
}

/// Time on a core of the calling thread, nanoseconds.
pub(crate) fn own_cpu_ns() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_whitespace().next().and_then(|it| it.parse().ok()).unwrap_or(0)
}

fn switches(pid: u32) -> u64 {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return 0 };
    let of = |status: &str| {
        value(status, "voluntary_ctxt_switches:") + value(status, "nonvoluntary_ctxt_switches:")
    };
    tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("status")).ok())
        .map(|status| of(&status))
        .sum()
}
