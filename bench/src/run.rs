//! One load on one server: threads, warm-up, rounds, and what the server used meanwhile.

use std::collections::BTreeMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::clock;
use crate::crowd::Crowd;
use crate::load::Stream;
use crate::meter::{Meter, Window, code_name};
use crate::preset::{Job, Work};
use crate::process::{self, Disk, Usage};
use crate::requests::{self, Requests, Root};

/// How hard to press, and how long.
#[derive(Clone, Debug, Serialize)]
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
    /// The server's process, if it runs here.
    pub(crate) pid: Option<u32>,
    /// Where its data is, to watch that disk.
    pub(crate) data: Option<PathBuf>,
}

/// Latencies, microseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Latency {
    /// Half are quicker.
    pub(crate) p50: f64,
    /// 90 % are quicker.
    pub(crate) p90: f64,
    /// 99 % are quicker.
    pub(crate) p99: f64,
    /// 99.9 % are quicker.
    pub(crate) p999: f64,
    /// 99.99 % are quicker.
    pub(crate) p9999: f64,
    /// The slowest.
    pub(crate) max: f64,
    /// The middle by weight.
    pub(crate) mean: f64,
}

impl Latency {
    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1e3;
        Self {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            p9999: at(0.9999),
            max: histogram.max() as f64 / 1e3,
            mean: histogram.mean() / 1e3,
        }
    }
}

/// One kind of request in a round.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct KindOutcome {
    /// Its name.
    pub(crate) name: String,
    /// Replies.
    pub(crate) replies: u64,
    /// From due to reply.
    pub(crate) latency_us: Latency,
}

/// What came of one round.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Outcome {
    /// The load's name.
    pub(crate) load: String,
    /// How long it counted, seconds.
    pub(crate) seconds: f64,
    /// Replies.
    pub(crate) replies: u64,
    /// Replies per second.
    pub(crate) per_second: f64,
    /// Events of watches per second.
    pub(crate) events_per_second: f64,
    /// Replies with an error, by code.
    pub(crate) errors: BTreeMap<String, u64>,
    /// From due to reply, all kinds.
    pub(crate) latency_us: Latency,
    /// By kind of request.
    pub(crate) kinds: Vec<KindOutcome>,
    /// The distribution: quantile, and microseconds.
    pub(crate) distribution: Vec<(f64, f64)>,
    /// Whether an open loop kept its rate; a closed one always does.
    pub(crate) sustained: bool,
    /// What the server used, if it runs here.
    pub(crate) server: Option<Used>,
    /// The generator's own CPU time per reply, microseconds. An open loop spins while it waits.
    pub(crate) generator_cpu_us: f64,
}

/// What a server used in a round.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Used {
    /// CPU time per reply, microseconds.
    pub(crate) cpu_us: f64,
    /// CPU time, cores.
    pub(crate) cores: f64,
    /// Resident bytes at the end.
    pub(crate) resident: u64,
    /// Bytes that it caused to be written, per reply.
    pub(crate) written: f64,
    /// Context switches, per reply.
    pub(crate) switches: f64,
    /// Writes of the whole device, per reply.
    pub(crate) disk_writes: f64,
    /// Bytes written by the whole device, per reply.
    pub(crate) disk_bytes: f64,
    /// Cache flushes of the whole device, per reply.
    pub(crate) disk_flushes: f64,
}

impl Outcome {
    /// Replies with an error.
    pub(crate) fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }

    fn new(job: &Job, meter: &Meter) -> Self {
        let seconds = meter.window.to.saturating_sub(meter.window.from) as f64 / 1e9;
        let all = meter.latency();
        let kind = |row: &crate::meter::Row| KindOutcome {
            name: row.name.clone(),
            replies: row.replies,
            latency_us: Latency::of(&row.latency),
        };
        let quantiles = all.iter_quantiles(2);
        let point = |it: hdrhistogram::iterators::IterationValue<u64>| {
            (it.quantile_iterated_to(), it.value_iterated_to() as f64 / 1e3)
        };
        Self {
            load: job.name.clone(),
            seconds,
            replies: meter.replies(),
            per_second: meter.replies() as f64 / seconds,
            events_per_second: meter.events as f64 / seconds,
            errors: meter.errors.iter().map(|(code, n)| (code_name(*code), *n)).collect(),
            latency_us: Latency::of(&all),
            kinds: meter.rows.iter().map(kind).collect(),
            distribution: quantiles.map(point).collect(),
            sustained: true,
            server: None,
            generator_cpu_us: meter.cpu_ns as f64 / 1e3 / meter.handled.max(1) as f64,
        }
    }
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
    ensure!(shape.seconds > 0.0, "a load of {} s", shape.seconds);
    ensure!(shape.threads > 0, "a load needs a thread");
    ensure!(
        shape.threads <= shape.connections,
        "{} threads for {} connections",
        shape.threads,
        shape.connections
    );
    ensure!(shape.rate.is_none_or(|it| it > 0.0 && it <= 1e8), "a rate of {:?}", shape.rate);
    let files = process::raise_file_limit();
    let needed = shape.connections as u64 + 64;
    ensure!(
        needed <= files,
        "{} connections need {needed} open files, {files} are allowed: raise `ulimit -Hn`",
        shape.connections
    );
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
    check(job, shape)?;
    let barrier = Arc::new(Barrier::new(shape.threads + 1));
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for thread in 0..shape.threads {
            let barrier = Arc::clone(&barrier);
            threads.push(scope.spawn(move || {
                let played = one_thread(target, job, shape, root, (thread, &barrier));
                played.with_context(|| format!("load thread {thread}"))
            }));
        }
        barrier.wait();
        let watched = watch(target, shape);
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
        let (meter, sustained) = sum.context("no thread")?;
        let mut outcome = Outcome::new(job, &meter);
        outcome.sustained = sustained;
        watched?.fill(&mut outcome);
        Ok(outcome)
    })
}

fn one_thread(
    target: &Target,
    job: &Job,
    shape: &Shape,
    root: &Root,
    (thread, barrier): (usize, &Barrier),
) -> Result<(Meter, bool)> {
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
            let meter = Meter::new(window, spec.names());
            let mut stream = Stream::new(requests, shape.depth, rate, meter);
            crowd.run(&mut stream, window.to)?;
            // An open loop that is late by more than a blink of its time has not kept its rate.
            let late = stream.behind(clock::now());
            (stream.meter, late <= clock::ns(shape.seconds * 0.02))
        }
        Work::Scene(scene) => {
            let meter = Meter::new(window, scene.names().iter().map(|it| (*it).to_owned()));
            (scene.play(&mut crowd, root, meter, window.to)?, true)
        }
    };
    meter.cpu_ns = process::own_cpu_ns() - before;
    crowd.close()?;
    Ok((meter, sustained))
}

/// What the watcher saw between the warm-up and the end.
struct Watched {
    server: Option<Usage>,
    disk: Option<Disk>,
}

fn watch(target: &Target, shape: &Shape) -> Result<Watched> {
    std::thread::sleep(Duration::from_secs_f64(shape.warmup_seconds));
    let usage = || target.pid.map(Usage::of).transpose();
    let disk = || target.data.as_deref().and_then(Disk::of);
    let (server, before) = (usage()?, disk());
    std::thread::sleep(Duration::from_secs_f64(shape.seconds));
    let server = usage()?.zip(server).map(|(now, then)| now.since(then));
    let disk = disk().zip(before).map(|(now, then)| now.since(then));
    Ok(Watched { server, disk })
}

impl Watched {
    fn fill(&self, outcome: &mut Outcome) {
        let replies = outcome.replies.max(1) as f64;
        let disk = self.disk.unwrap_or_default();
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

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let latency = self.latency_us;
        write!(
            f,
            "{:<24} {:>9.0}/s  p50 {:.0} p99 {:.0} p99.9 {:.0} max {:.0} us",
            self.load, self.per_second, latency.p50, latency.p99, latency.p999, latency.max
        )?;
        if self.events_per_second > 0.0 {
            write!(f, "  {:.0} events/s", self.events_per_second)?;
        }
        if let Some(used) = self.server {
            write!(
                f,
                "  server: {:.2} us CPU, {:.0} B and {:.3} writes to the disk each, {:.1} MiB",
                used.cpu_us,
                used.written,
                used.disk_writes,
                used.resident as f64 / f64::from(1 << 20)
            )?;
        }
        write!(f, "  generator: {:.2} us", self.generator_cpu_us)?;
        let percent = 100.0 * self.error_count() as f64 / self.replies.max(1) as f64;
        write!(f, "  errors: {} ({percent:.3} %)", self.error_count())?;
        for (code, count) in &self.errors {
            write!(f, " {code} {count}")?;
        }
        if !self.sustained {
            write!(f, "  THE RATE WAS NOT REACHED")?;
        }
        if self.kinds.len() > 1 {
            for kind in &self.kinds {
                let latency = kind.latency_us;
                write!(
                    f,
                    "\n  {:<22} {:>9.0}/s  p50 {:.0} p99 {:.0} p99.9 {:.0} us",
                    kind.name,
                    kind.replies as f64 / self.seconds,
                    latency.p50,
                    latency.p99,
                    latency.p999
                )?;
            }
        }
        Ok(())
    }
}
