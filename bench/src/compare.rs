//! Side by side: the same load on both servers in turn, and the ratio of each pair.

use std::path::PathBuf;

use anyhow::Result;

use crate::load::{Driver, Shape};
use crate::process::Usage;
use crate::server::{Kind, Programs, Server};
use crate::workload::{Requests, Workload, Znodes};

/// One run of one load on one server.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub(crate) struct Run {
    /// On which.
    pub(crate) server: Kind,
    /// Replies per second.
    pub(crate) per_second: f64,
    /// Replies with an error.
    pub(crate) errors: u64,
    /// From due to reply, microseconds, at 50 %, 99 % and 99.9 %.
    pub(crate) latency_us: [f64; 3],
    /// The server's CPU time per reply, microseconds.
    pub(crate) cpu_us: f64,
    /// Bytes that the server wrote, per reply.
    pub(crate) written: f64,
    /// The server's context switches, per reply.
    pub(crate) switches: f64,
}

/// A load on both servers, interleaved.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Pairs {
    /// The load.
    pub(crate) workload: Workload,
    /// How hard.
    pub(crate) shape: Shape,
    /// Ringkeeper's and the reference's runs in turn.
    pub(crate) runs: Vec<Run>,
}

impl Pairs {
    /// Ringkeeper's figure divided by the reference's, pair by pair, ascending.
    pub(crate) fn ratios(&self, figure: impl Fn(&Run) -> f64) -> Vec<f64> {
        let of = |kind: Kind| self.runs.iter().filter(move |run| run.server == kind);
        let mut ratios: Vec<f64> = of(Kind::Ringkeeper)
            .zip(of(Kind::Reference))
            .map(|(ours, theirs)| figure(ours) / figure(theirs))
            .collect();
        ratios.sort_by(f64::total_cmp);
        ratios
    }

    /// The middle of [`Pairs::ratios`].
    pub(crate) fn ratio(&self, figure: impl Fn(&Run) -> f64) -> f64 {
        let ratios = self.ratios(figure);
        ratios.get(ratios.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// The middle of one server's figures.
    pub(crate) fn median(&self, kind: Kind, figure: impl Fn(&Run) -> f64) -> f64 {
        let runs = self.runs.iter().filter(|run| run.server == kind);
        let mut figures: Vec<f64> = runs.map(figure).collect();
        figures.sort_by(f64::total_cmp);
        figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

/// What to compare.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Where the programs are.
    pub(crate) programs: Programs,
    /// The loads.
    pub(crate) workloads: Vec<Workload>,
    /// How hard.
    pub(crate) shape: Shape,
    /// Pairs per load.
    pub(crate) pairs: usize,
    /// Seconds of load on each server before the first pair: compiles Java's code.
    pub(crate) warmup_seconds: f64,
    /// Znodes prepared, and bytes of each.
    pub(crate) znodes: (u64, usize),
}

/// Runs the plan: both servers are up all the time, and only one is under load.
///
/// # Errors
/// A server does not start or a load fails.
pub(crate) fn compare(plan: &Plan) -> Result<Vec<Pairs>> {
    let servers = [
        Server::start(Kind::Ringkeeper, &plan.programs)?,
        Server::start(Kind::Reference, &plan.programs)?,
    ];
    let (count, len) = plan.znodes;
    let znodes = Znodes { root: "/bench/set".to_owned(), count, data: vec![b'x'; len] };
    let mut drivers = Vec::new();
    for server in &servers {
        let mut driver = Driver::open(server.address, plan.shape.connections)?;
        driver.prepare(&znodes)?;
        drivers.push(driver);
    }
    let mut all = Vec::new();
    for &workload in &plan.workloads {
        let mut pairs = Pairs { workload, shape: plan.shape, runs: Vec::new() };
        let mut requests: Vec<Requests> =
            (0..2).map(|_| Requests::new(workload, znodes.clone(), 0x5eed)).collect();
        let warm = Shape { seconds: plan.warmup_seconds, warmup_seconds: 0.0, ..plan.shape };
        for (driver, requests) in drivers.iter_mut().zip(&mut requests) {
            driver.run(warm, requests)?;
        }
        for pair in 0..plan.pairs {
            for ((server, driver), requests) in servers.iter().zip(&mut drivers).zip(&mut requests)
            {
                let run = measure(server, driver, plan.shape, requests)?;
                eprintln_run(workload, pair, &run);
                pairs.runs.push(run);
            }
        }
        all.push(pairs);
    }
    Ok(all)
}

fn measure(
    server: &Server,
    driver: &mut Driver,
    shape: Shape,
    requests: &mut Requests,
) -> Result<Run> {
    let before = Usage::of(server.pid())?;
    let outcome = driver.run(shape, requests)?;
    let used = Usage::of(server.pid())?.since(before);
    let warmed = shape.warmup_seconds / shape.seconds + 1.0;
    let replies = outcome.replies as f64 * warmed;
    let at = |quantile: f64| outcome.latency.value_at_quantile(quantile) as f64 / 1e3;
    Ok(Run {
        server: server.kind,
        per_second: outcome.per_second(),
        errors: outcome.errors,
        latency_us: [at(0.5), at(0.99), at(0.999)],
        cpu_us: used.cpu_us as f64 / replies,
        written: used.written as f64 / replies,
        switches: used.switches as f64 / replies,
    })
}

#[expect(clippy::print_stderr, reason = "progress is for the person who waits")]
fn eprintln_run(workload: Workload, pair: usize, run: &Run) {
    let [p50, p99, p999] = run.latency_us;
    eprintln!(
        "{workload:?} {pair} {:<10?} {:>9.0}/s  p50 {p50:.0} p99 {p99:.0} p99.9 {p999:.0} us  \
         cpu {:.2} us  {:.0} B written  {} errors",
        run.server, run.per_second, run.cpu_us, run.written, run.errors
    );
}

/// The place for data directories when none is named.
pub(crate) fn default_data() -> PathBuf {
    std::env::temp_dir().join(format!("ringkeeper-bench-{}", std::process::id()))
}
