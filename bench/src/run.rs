//! One load on one server: threads, warm-up, rounds, and what the server used meanwhile.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::crowd::Crowd;
use crate::live::{Live, Ticker};
use crate::load::Stream;
use crate::meter::{Meter, Window};
use crate::outcome::{Outcome, Used};
use crate::preset::{Job, Work};
use crate::process::{self, Disk, Usage};
use crate::requests::{self, Requests, Root};

/// Requests per second that a load can be given at most: a hundred times what one generator sends.
const RATE_MAX: f64 = 1e8;

/// Seconds that a load or its warm-up can take at most: a week.
const SECONDS_MAX: f64 = 604_800.0;

/// How hard to press, and how long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Shape {
    /// Connections, each with a session.
    pub(crate) connections: usize,
    /// Requests in flight on each. In an open loop: at most.
    pub(crate) depth: usize,
    /// Requests per second in all, due at fixed moments (open loop); none for as many as are answered (closed loop).
    pub(crate) rate: Option<f64>,
    /// How long each round counts.
    pub(crate) seconds: f64,
    /// How long before anything is counted.
    pub(crate) warmup_seconds: f64,
    /// Threads of the generator.
    pub(crate) threads: usize,
    /// The core of each thread; none for where the system puts them.
    pub(crate) cores: Vec<usize>,
}

/// Against whom.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Where servers listen; connections are spread over them.
    pub(crate) servers: Vec<SocketAddr>,
    /// The servers' processes, as far as they run here: what they use is summed.
    pub(crate) pids: Vec<u32>,
    /// Where its data is, to watch that disk.
    pub(crate) data: Option<PathBuf>,
}

/// Resolves `host:port,host:port`.
///
/// # Errors
/// A name cannot be resolved.
pub(crate) fn resolve(list: &str) -> Result<Vec<SocketAddr>> {
    let one = |name: &str| {
        let mut found = name.to_socket_addrs().with_context(|| format!("`{name}`"))?;
        found.next().with_context(|| format!("`{name}` has no address"))
    };
    list.split(',').map(one).collect()
}

/// Refuses what cannot be run.
///
/// # Errors
/// What, and why.
pub(crate) fn check(job: &Job, shape: &Shape) -> Result<()> {
    ensure!(shape.connections > 0, "a load needs a connection");
    ensure!(shape.depth > 0, "a load needs a request in flight");
    let (seconds, warmup) = (shape.seconds, shape.warmup_seconds);
    ensure!(
        seconds > 0.0 && seconds <= SECONDS_MAX,
        "a load of {seconds} s: it is to be more than 0, and at most {SECONDS_MAX}"
    );
    ensure!(
        (0.0..=SECONDS_MAX).contains(&warmup),
        "a warm-up of {warmup} s: it is to be 0 at least, and at most {SECONDS_MAX}"
    );
    ensure!(shape.threads > 0, "a load needs a thread");
    ensure!(
        shape.threads <= shape.connections,
        "{} threads for {} connections",
        shape.threads,
        shape.connections
    );
    if let Some(rate) = shape.rate {
        ensure!(
            rate > 0.0 && rate <= RATE_MAX,
            "a rate of {rate} requests per second: it is to be more than 0, and at most {RATE_MAX}"
        );
    }
    let files = process::raise_file_limit();
    let needed = shape.connections as u64 + 64;
    ensure!(
        needed <= files,
        "{} connections need {needed} open files, {files} are allowed: raise `ulimit -Hn`",
        shape.connections
    );
    let cores = process::cores();
    if let Some(core) = shape.cores.iter().find(|core| cores <= **core) {
        bail!("there is no core {core}: they are numbered from 0 to {}", cores - 1);
    }
    match &job.work {
        Work::Stream(spec) => spec.check(),
        Work::Scene(scene) => {
            ensure!(shape.rate.is_none(), "{} has no fixed rate", job.name);
            ensure!(shape.threads == 1, "{} runs on one thread", job.name);
            scene.check(shape.connections)
        }
    }
}

/// Creates what the load needs.
///
/// # Errors
/// The server cannot be reached or a create fails.
pub(crate) fn prepare(target: &Target, job: &Job, root: &Root) -> Result<()> {
    if let Work::Stream(spec) = &job.work {
        let mut crowd = Crowd::open(&target.servers, 8)?;
        requests::prepare(&mut crowd, spec, root).context("preparing")?;
        crowd.close()?;
    }
    Ok(())
}

/// Runs one round of what was prepared.
///
/// # Errors
/// The load is impossible, or a connection ends, or nothing is answered for half a minute.
pub(crate) fn round(target: &Target, job: &Job, shape: &Shape, root: &Root) -> Result<Outcome> {
    probed(target, job, shape, root, &Probe::default()).map(|(outcome, _)| outcome)
}

/// What is wanted beside the outcome.
#[derive(Clone, Debug, Default)]
pub(crate) struct Probe {
    /// Told how the load is doing; a line goes to the standard error each second.
    pub(crate) live: Option<Arc<Live>>,
    /// Keep when each request was due and answered.
    pub(crate) series: bool,
}

/// When each request was due and when it was answered, nanoseconds of [`clock`].
pub(crate) type Series = Vec<(u64, u64)>;

/// Runs one round; the series is empty unless the probe asks for it.
///
/// # Errors
/// As [`round`].
pub(crate) fn probed(
    target: &Target,
    job: &Job,
    shape: &Shape,
    root: &Root,
    probe: &Probe,
) -> Result<(Outcome, Series)> {
    check(job, shape)?;
    let barrier = Arc::new(Barrier::new(shape.threads + 1));
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for thread in 0..shape.threads {
            let barrier = Arc::clone(&barrier);
            threads.push(scope.spawn(move || {
                let load = Load { target, job, shape, root, probe };
                let played = one_thread(&load, thread, &barrier);
                played.with_context(|| format!("load thread {thread}"))
            }));
        }
        barrier.wait();
        let watched = watch(target, &job.name, shape, probe);
        let mut sum: Option<(Meter, bool)> = None;
        for thread in threads {
            let (meter, sustained) =
                thread.join().map_err(|_| anyhow::anyhow!("a load thread panicked"))??;
            match &mut sum {
                None => sum = Some((meter, sustained)),
                Some((all, kept)) => {
                    all.add(&meter);
                    *kept &= sustained;
                }
            }
        }
        let (mut meter, sustained) = sum.context("no thread")?;
        let mut outcome = Outcome::new(job, &meter);
        outcome.sustained = sustained;
        watched?.fill(&mut outcome);
        Ok((outcome, meter.series.take().unwrap_or_default()))
    })
}

/// What every thread of a round plays.
struct Load<'a> {
    target: &'a Target,
    job: &'a Job,
    shape: &'a Shape,
    root: &'a Root,
    probe: &'a Probe,
}

fn one_thread(load: &Load<'_>, thread: usize, barrier: &Barrier) -> Result<(Meter, bool)> {
    let Load { target, job, shape, root, probe } = *load;
    if let Some(core) = shape.cores.get(thread) {
        process::pin(*core)?;
    }
    let own =
        shape.connections / shape.threads + usize::from(thread < shape.connections % shape.threads);
    let opened = Crowd::open(&target.servers, own);
    // Everybody begins together; whoever has failed must not keep the others waiting.
    barrier.wait();
    let mut crowd = opened?;
    let from = clock::now() + clock::ns(shape.warmup_seconds);
    let window = Window { from, to: from + clock::ns(shape.seconds) };
    let before = process::own_cpu_ns();
    let (mut meter, sustained) = match &job.work {
        Work::Stream(spec) => {
            let requests = Requests::new(spec, root, thread as u64, shape.threads as u64);
            let rate = shape.rate.map(|it| it / shape.threads as f64);
            let meter = metered(window, spec.names(), probe);
            let mut stream = Stream::new(requests, shape.depth, rate, meter);
            crowd.run(&mut stream, window.to)?;
            // An open loop that is late by more than a blink of its time has not kept its rate.
            let late = stream.behind(clock::now());
            (stream.meter, late <= clock::ns(shape.seconds * 0.02))
        }
        Work::Scene(scene) => {
            let names = scene.names().iter().map(|it| (*it).to_owned()).collect();
            let meter = metered(window, names, probe);
            (scene.play(&mut crowd, root, meter, window.to)?, true)
        }
    };
    meter.cpu_ns = process::own_cpu_ns() - before;
    crowd.close()?;
    Ok((meter, sustained))
}

fn metered(window: Window, names: Vec<String>, probe: &Probe) -> Meter {
    let mut meter = Meter::new(window, names);
    meter.live.clone_from(&probe.live);
    meter.series = probe.series.then(Vec::new);
    meter
}

/// What the watcher saw between the warm-up and the end.
struct Watched {
    server: Option<Usage>,
    disk: Option<Disk>,
    /// Busy time of the machine that is neither the server's nor ours, microseconds.
    others_us: Option<u64>,
}

fn watch(target: &Target, name: &str, shape: &Shape, probe: &Probe) -> Result<Watched> {
    std::thread::sleep(Duration::from_secs_f64(shape.warmup_seconds));
    let usage = || Usage::of_all(&target.pids);
    let disk = || target.data.as_deref().and_then(Disk::of);
    let machine = || (process::machine_cpu_us(), process::own_process_cpu_us());
    let (server, before, machine_before) = (usage()?, disk(), machine());
    let end = clock::now() + clock::ns(shape.seconds);
    let mut ticker = probe.live.as_deref().map(|live| Ticker::new(live, clock::now()));
    loop {
        let left = end.saturating_sub(clock::now());
        if left == 0 {
            break;
        }
        std::thread::sleep(Duration::from_nanos(left.min(1_000_000_000)));
        if let Some(ticker) = &mut ticker {
            let now = clock::now();
            ticker.tick(name, now, end.saturating_sub(now) as f64 / 1e9);
        }
    }
    let server = usage()?.zip(server).map(|(now, then)| now.since(then));
    let disk = disk().zip(before).map(|(now, then)| now.since(then));
    let (busy, own) = machine();
    let own = own.saturating_sub(machine_before.1);
    let busy = busy.saturating_sub(machine_before.0);
    let others_us = server.map(|used| busy.saturating_sub(used.cpu_us + own));
    Ok(Watched { server, disk, others_us })
}

impl Watched {
    fn fill(&self, outcome: &mut Outcome) {
        let replies = outcome.replies.max(1) as f64;
        let disk = self.disk.unwrap_or_default();
        outcome.others_cores = self.others_us.map(|it| it as f64 / 1e6 / outcome.seconds);
        outcome.server = self.server.map(|used| Used {
            cpu_us: used.cpu_us as f64 / replies,
            cores: used.cpu_us as f64 / 1e6 / outcome.seconds.max(1e-9),
            resident: used.resident,
            written: used.written as f64 / replies,
            switches: used.switches as f64 / replies,
            disk_writes: disk.writes as f64 / replies,
            disk_bytes: disk.bytes as f64 / replies,
            disk_flushes: disk.flushes as f64 / replies,
        });
    }
}
