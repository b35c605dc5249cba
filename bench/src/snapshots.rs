//! What a snapshot costs those who write meanwhile: latency and memory while one is written, beside the same server at rest.
//!
//! A server is filled, then sets come at a fixed rate (an open loop: a stall is not hidden), and both servers take a snapshot
//! after a number of transactions, as their configuration says. A snapshot is being written while its file is there and grows.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::compare::say;
use crate::outcome::Latency;
use crate::party::Party;
use crate::preset::sets_of;
use crate::process::Usage;
use crate::requests::Root;
use crate::run::{self, Probe, Series, Shape};
use crate::server::{Kind, Programs};

/// What to do.
#[derive(Clone, Copy, Debug, clap::Args, Serialize, Deserialize)]
pub(crate) struct Imaging {
    /// Znodes of 100 bytes in the tree; the sets are of all of them.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) znodes: u64,
    /// Sets per second.
    #[arg(long, default_value_t = 10_000.0)]
    pub(crate) rate: f64,
    /// For how long, seconds.
    #[arg(long, default_value_t = 45.0)]
    pub(crate) seconds: f64,
    /// Transactions between two snapshots, at most; both servers draw between half of it and all.
    #[arg(long, default_value_t = 100_000)]
    pub(crate) snap_count: u32,
    /// The core of the generator; none for where the system puts it.
    #[arg(long)]
    pub(crate) load_core: Option<usize>,
}

/// What snapshots cost one server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Imaged {
    /// Which.
    pub(crate) server: Kind,
    /// With what.
    pub(crate) imaging: Imaging,
    /// Options of the JVM, if it is one.
    pub(crate) jvm_flags: Option<String>,
    /// Sets that no snapshot met.
    pub(crate) quiet: Latency,
    /// How many they were.
    pub(crate) quiet_replies: u64,
    /// Sets that were due or answered while one was written, or in between.
    pub(crate) during: Latency,
    /// How many they were.
    pub(crate) during_replies: u64,
    /// How long each snapshot took, seconds.
    pub(crate) took_seconds: Vec<f64>,
    /// Bytes of the last.
    pub(crate) image_bytes: u64,
    /// Resident bytes before the sets.
    pub(crate) resident_before: u64,
    /// The most resident bytes while none was written.
    pub(crate) resident_quiet: u64,
    /// The most resident bytes while one was written.
    pub(crate) resident_peak: u64,
    /// Replies with an error.
    pub(crate) errors: u64,
    /// Whether the rate was kept.
    pub(crate) sustained: bool,
}

impl Imaged {
    /// p99 while a snapshot is written, against p99 while none is.
    pub(crate) fn p99_ratio(&self) -> f64 {
        self.during.p99 / self.quiet.p99
    }

    /// The most memory while a snapshot is written, against the most while none is.
    pub(crate) fn memory_ratio(&self) -> f64 {
        self.resident_peak as f64 / self.resident_quiet.max(1) as f64
    }
}

impl std::fmt::Display for Imaged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let line =
            |it: Latency| format!("p50 {:.0} p99 {:.0} p99.9 {:.0} us", it.p50, it.p99, it.p999);
        write!(
            f,
            "{}: {} snapshots of {:.1} MiB with {} znodes, {:.2?} s each; sets at {:.0}/s: quiet {} ({} replies), while one is written {} \
             ({} replies), p99 {:.2} of the quiet one; resident at most {:.1} MiB quiet, {:.1} MiB while one is written: {:.3}; {} errors",
            self.server.word(),
            self.took_seconds.len(),
            self.image_bytes as f64 / MIB,
            self.imaging.znodes,
            self.took_seconds,
            self.imaging.rate,
            line(self.quiet),
            self.quiet_replies,
            line(self.during),
            self.during_replies,
            self.p99_ratio(),
            self.resident_quiet as f64 / MIB,
            self.resident_peak as f64 / MIB,
            self.memory_ratio(),
            self.errors,
        )?;
        if self.sustained { Ok(()) } else { write!(f, "; THE RATE WAS NOT REACHED") }
    }
}

const MIB: f64 = (1 << 20) as f64;

/// Fills a server, writes at a fixed rate, and tells the time of snapshots from the rest.
///
/// # Errors
/// The server does not start, a request cannot be sent, or no snapshot was written meanwhile.
pub(crate) fn imaged(kind: Kind, programs: &Programs, imaging: Imaging) -> Result<Imaged> {
    let programs = Programs { snap_count: Some(imaging.snap_count), ..programs.clone() };
    let party = Party::start(kind, &programs, 1)?;
    let server = &party.members[0];
    say(&format!("{}: creates {} znodes", kind.word(), imaging.znodes));
    // Of all of the tree: of a few, only what changed would be written again.
    let job = sets_of(imaging.znodes);
    let root = Root("/bench/while-snapshots".to_owned());
    let shape = Shape {
        connections: 16,
        depth: 1_000,
        rate: Some(imaging.rate),
        seconds: imaging.seconds,
        warmup_seconds: 5.0,
        threads: 1,
        cores: imaging.load_core.into_iter().collect(),
    };
    let target = party.target();
    run::prepare(&target, &job, &root)?;
    settle(&server.data())?;
    let resident_before = Usage::of(server.pid())?.resident;
    say(&format!("{}: sets at {:.0}/s for {:.0} s", kind.word(), imaging.rate, imaging.seconds));
    let over = AtomicBool::new(false);
    let data = server.data();
    let (played, seen) = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| Watcher::default().until(&over, &data, server.pid()));
        let probe = Probe { live: None, series: true };
        let played = run::probed(&target, &job, &shape, &root, &probe);
        over.store(true, Ordering::Relaxed);
        (played, watcher.join())
    });
    let (outcome, series) = played?;
    let seen = seen.map_err(|_| anyhow::anyhow!("the watching thread panicked"))?;
    let images = seen.images();
    ensure!(
        !images.is_empty(),
        "{} wrote no snapshot in {:.0} s: more seconds, a higher rate or a lower --snap-count are needed",
        kind.word(),
        imaging.seconds
    );
    let [quiet, during] = split(&series, &images);
    let [resident_quiet, resident_peak] = seen.resident(&images);
    let took = |(from, to): &(u64, u64)| to.saturating_sub(*from) as f64 / 1e9;
    Ok(Imaged {
        server: kind,
        imaging,
        jvm_flags: (kind == Kind::Reference).then(|| programs.jvm_flags.clone()),
        quiet: Latency::of(&quiet),
        quiet_replies: quiet.len(),
        during: Latency::of(&during),
        during_replies: during.len(),
        took_seconds: images.iter().map(took).collect(),
        image_bytes: seen.bytes,
        resident_before,
        resident_quiet,
        resident_peak,
        errors: outcome.error_count(),
        sustained: outcome.sustained,
    })
}

/// Latencies of requests that no image met, and of those that one met.
fn split(series: &Series, images: &[(u64, u64)]) -> [Histogram<u64>; 2] {
    let empty = || Histogram::new(3).expect("three digits are allowed");
    let mut both = [empty(), empty()];
    for &(due, answered) in series {
        let met = images.iter().any(|&(from, to)| due <= to && from <= answered);
        both[usize::from(met)] += answered.saturating_sub(due).max(1);
    }
    both
}

/// Looks at the data directory and at the server's memory, again and again.
#[derive(Debug, Default)]
struct Watcher {
    /// The moment of the first look.
    begun: u64,
    /// By name without what marks an unfinished one: length, when it was first seen, when it last changed.
    files: BTreeMap<String, Seen>,
    /// Resident bytes at moments.
    memory: Vec<(u64, u64)>,
    /// Bytes of the file that changed last.
    bytes: u64,
}

#[derive(Debug)]
struct Seen {
    /// The whole name and the length.
    state: (String, u64),
    first: u64,
    changed: u64,
    /// Whether it was there before anybody watched.
    old: bool,
}

impl Watcher {
    fn until(mut self, over: &AtomicBool, data: &Path, pid: u32) -> Self {
        self.begun = clock::now();
        let mut now = self.begun;
        while !over.load(Ordering::Relaxed) {
            for (name, len) in snapshots(data) {
                self.saw(name, len, now);
            }
            if let Ok(usage) = Usage::of(pid) {
                self.memory.push((now, usage.resident));
            }
            std::thread::sleep(Duration::from_millis(5));
            now = clock::now();
        }
        self
    }

    fn saw(&mut self, name: String, len: u64, now: u64) {
        let key = name.trim_end_matches(".tmp").to_owned();
        let state = (name, len);
        match self.files.get_mut(&key) {
            Some(seen) if seen.state != state => {
                (seen.state, seen.changed, seen.old) = (state, now, false);
                self.bytes = len;
            }
            Some(_) => {}
            None => {
                self.bytes = len;
                let old = now <= self.begun;
                self.files.insert(key, Seen { state, first: now, changed: now, old });
            }
        }
    }

    /// From when to when each snapshot was written, nanoseconds.
    fn images(&self) -> Vec<(u64, u64)> {
        let whole = |seen: &&Seen| !seen.old;
        self.files.values().filter(whole).map(|seen| (seen.first, seen.changed)).collect()
    }

    /// The most memory while no image was written, and while one was.
    fn resident(&self, images: &[(u64, u64)]) -> [u64; 2] {
        let mut most = [0; 2];
        for &(at, bytes) in &self.memory {
            let during = images.iter().any(|&(from, to)| (from..=to).contains(&at));
            let most = &mut most[usize::from(during)];
            *most = bytes.max(*most);
        }
        most
    }
}

/// Waits until no snapshot is being written, for the fill's are not what is looked at: a second long nothing changes.
///
/// # Errors
/// That takes more than a minute.
fn settle(data: &Path) -> Result<()> {
    const STILL: Duration = Duration::from_secs(1);
    let begun = clock::now();
    let (mut seen, mut since) = (snapshots(data), begun);
    loop {
        std::thread::sleep(Duration::from_millis(20));
        let (found, now) = (snapshots(data), clock::now());
        if found != seen || found.iter().any(|(name, _)| name.strip_suffix(".tmp").is_some()) {
            (seen, since) = (found, now);
        } else if STILL < Duration::from_nanos(now - since) {
            return Ok(());
        }
        ensure!(now - begun < 60_000_000_000, "a snapshot of the fill takes more than a minute");
    }
}

/// The snapshots below a data directory, of either server, with their lengths.
fn snapshots(data: &Path) -> Vec<(String, u64)> {
    let below = |dir: &Path| fs::read_dir(dir).into_iter().flatten().flatten();
    let mut found = Vec::new();
    for entry in below(data).flat_map(|it| below(&it.path())) {
        let name = entry.file_name().to_string_lossy().into_owned();
        if (name.starts_with("snapshot.") || name.starts_with("image."))
            && name.strip_suffix(".spare").is_none()
            && let Ok(metadata) = entry.metadata()
        {
            found.push((name, metadata.len()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{Watcher, split};

    #[test]
    fn a_file_that_grows_and_gets_its_name_is_one_snapshot() {
        let mut watcher = Watcher { begun: 1, ..Watcher::default() };
        watcher.saw("image.1".into(), 7, 1);
        watcher.saw("image.2.tmp".into(), 0, 10);
        watcher.saw("image.2.tmp".into(), 5, 20);
        watcher.saw("image.2".into(), 5, 30);
        watcher.saw("image.2".into(), 5, 40);
        assert_eq!(watcher.images(), [(10, 30)]);
        watcher.memory = vec![(5, 100), (15, 120), (40, 110)];
        assert_eq!(watcher.resident(&watcher.images()), [110, 120]);
    }

    #[test]
    fn a_request_that_waited_through_a_snapshot_has_met_it() {
        let series = vec![(0, 5), (5, 50), (15, 16), (31, 40)];
        let [quiet, during] = split(&series, &[(10, 30)]);
        assert_eq!((quiet.len(), during.len()), (2, 2));
    }
}
