//! `ringkeeper-bench`: loads, and side-by-side runs of Ringkeeper and Apache ZooKeeper.

#![expect(clippy::disallowed_methods, reason = "a load generator reads the clock")]

mod compare;
mod connection;
mod load;
mod process;
mod server;
mod workload;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

use compare::{Pairs, Plan};
use load::{Driver, Shape};
use server::{Kind, Programs};
use workload::{Requests, Workload, Znodes};

/// Loads for servers of ZooKeeper's protocol.
#[derive(Debug, Parser)]
#[command(name = "ringkeeper-bench", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// One load on a server that runs.
    Load {
        /// Where it listens.
        server: SocketAddr,
        #[command(flatten)]
        load: Load,
        /// What to ask.
        #[arg(long, value_enum, default_value = "get")]
        workload: Workload,
    },
    /// The same loads on Ringkeeper and the reference server in turn; prints the ratios, and JSON to a file.
    Compare {
        #[command(flatten)]
        load: Load,
        #[command(flatten)]
        programs: Where,
        /// What to ask.
        #[arg(long, value_enum, value_delimiter = ',', default_value = "get,set")]
        workloads: Vec<Workload>,
        /// Pairs of runs for each workload.
        #[arg(long, default_value_t = 5)]
        pairs: usize,
        /// Seconds of load before the first pair.
        #[arg(long, default_value_t = 15.0)]
        jvm_warmup: f64,
        /// Where to put the result as JSON.
        #[arg(long)]
        json: Option<PathBuf>,
    },
    /// Memory of each znode, and the time to the first session after a kill.
    Fill {
        #[command(flatten)]
        programs: Where,
        /// Which servers.
        #[arg(long, value_enum, value_delimiter = ',', default_value = "ringkeeper,reference")]
        servers: Vec<Kind>,
        /// How many znodes.
        #[arg(long, default_value_t = 1_000_000)]
        znodes: u64,
        /// Bytes of data of each.
        #[arg(long, default_value_t = 100)]
        size: usize,
    },
}

#[derive(Clone, Debug, clap::Args)]
struct Load {
    /// Connections.
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// Requests in flight on each.
    #[arg(long, default_value_t = 16)]
    depth: usize,
    /// Requests per second in all; without it, as many as are answered.
    #[arg(long)]
    rate: Option<f64>,
    /// Seconds that count.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Seconds before.
    #[arg(long, default_value_t = 1.0)]
    warmup: f64,
    /// Znodes.
    #[arg(long, default_value_t = 10_000)]
    znodes: u64,
    /// Bytes of data of each.
    #[arg(long, default_value_t = 100)]
    size: usize,
}

impl Load {
    fn shape(&self) -> Shape {
        Shape {
            connections: self.connections,
            depth: self.depth,
            rate: self.rate,
            seconds: self.seconds,
            warmup_seconds: self.warmup,
        }
    }
}

#[derive(Clone, Debug, clap::Args)]
struct Where {
    /// The ringkeeper binary.
    #[arg(long, default_value = "target/release/ringkeeper")]
    ringkeeper: PathBuf,
    /// The script that starts the reference server.
    #[arg(long, default_value = "tests/reference/server")]
    reference: PathBuf,
    /// Where data directories are made.
    #[arg(long)]
    data: Option<PathBuf>,
    /// The core for servers; the load should have another (taskset).
    #[arg(long, default_value_t = 0)]
    core: usize,
}

impl Where {
    fn programs(&self) -> Programs {
        Programs {
            ringkeeper: self.ringkeeper.clone(),
            reference: self.reference.clone(),
            data: self.data.clone().unwrap_or_else(compare::default_data),
            core: self.core,
        }
    }
}

#[expect(clippy::print_stdout, reason = "results are the program's output")]
fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Load { server, load, workload } => {
            let mut driver = Driver::open(server, load.connections)?;
            let root = format!("/bench/load-{}", std::process::id());
            let znodes = Znodes { root, count: load.znodes, data: vec![b'x'; load.size] };
            driver.prepare(&znodes)?;
            let mut requests = Requests::new(workload, znodes, 0x5eed);
            let outcome = driver.run(load.shape(), &mut requests)?;
            let at = |quantile| outcome.latency.value_at_quantile(quantile) as f64 / 1e3;
            println!(
                "{workload:?}: {:.0}/s, {} errors, p50 {:.1} p99 {:.1} p99.9 {:.1} us",
                outcome.per_second(),
                outcome.errors,
                at(0.5),
                at(0.99),
                at(0.999)
            );
        }
        Command::Compare { load, programs, workloads, pairs, jvm_warmup, json } => {
            let plan = Plan {
                programs: programs.programs(),
                workloads,
                shape: load.shape(),
                pairs,
                warmup_seconds: jvm_warmup,
                znodes: (load.znodes, load.size),
            };
            let all = compare::compare(&plan)?;
            all.iter().for_each(print);
            if let Some(file) = json {
                std::fs::write(file, serde_json::to_string_pretty(&all)?)?;
            }
        }
        Command::Fill { programs, servers, znodes, size } => {
            for kind in servers {
                let filled = compare::fill(kind, &programs.programs(), znodes, size)?;
                println!("{}", serde_json::to_string(&filled)?);
            }
        }
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "results are the program's output")]
fn print(pairs: &Pairs) {
    let ratios = pairs.ratios(|run| run.per_second);
    println!(
        "{:?}: ringkeeper {:.0}/s, reference {:.0}/s, ratio {:.2} ({:.2} to {:.2}); \
         p50 {:.2}x p99 {:.2}x; cpu {:.2} against {:.2} us, {:.3}x",
        pairs.workload,
        pairs.median(Kind::Ringkeeper, |run| run.per_second),
        pairs.median(Kind::Reference, |run| run.per_second),
        pairs.ratio(|run| run.per_second),
        ratios.first().copied().unwrap_or(f64::NAN),
        ratios.last().copied().unwrap_or(f64::NAN),
        pairs.ratio(|run| run.latency_us[0]),
        pairs.ratio(|run| run.latency_us[1]),
        pairs.median(Kind::Ringkeeper, |run| run.cpu_us),
        pairs.median(Kind::Reference, |run| run.cpu_us),
        pairs.ratio(|run| run.cpu_us),
    );
}
