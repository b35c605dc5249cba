//! `ringkeeper-bench`: loads, and side-by-side runs of Ringkeeper and Apache ZooKeeper.

#![expect(clippy::disallowed_methods, reason = "a load generator reads the clock")]

mod compare;
mod connection;
mod jvm;
mod load;
mod memory;
mod process;
mod server;
mod sessions;
mod tree;
mod workload;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Parser, Subcommand};

use compare::{Pairs, Plan};
use load::{Driver, Shape};
use memory::Filling;
use server::{Kind, Programs};
use tree::TreeShape;
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
    /// What znodes cost in memory.
    Memory(Fill),
    /// What znodes cost in memory, and the time from a kill to the first read.
    Restart {
        #[command(flatten)]
        fill: Fill,
        /// Kills and starts.
        #[arg(long, default_value_t = 3)]
        restarts: usize,
    },
    /// How many idle sessions fit, what each costs in memory, and what their pings cost.
    Sessions {
        #[command(flatten)]
        programs: Where,
        /// Which servers.
        #[arg(long, value_enum, value_delimiter = ',', default_value = "ringkeeper,reference")]
        servers: Vec<Kind>,
        /// How many, or as many as fit if fewer do.
        #[arg(long, default_value_t = 10_000)]
        count: usize,
        /// Seconds for which their pings are watched.
        #[arg(long, default_value_t = 20.0)]
        seconds: f64,
        /// Where to put the results as JSON.
        #[arg(long)]
        json: Option<PathBuf>,
    },
}

#[derive(Clone, Debug, clap::Args)]
struct Fill {
    #[command(flatten)]
    programs: Where,
    /// Which servers, one after the other.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "ringkeeper,reference")]
    servers: Vec<Kind>,
    /// The shape of the tree.
    #[arg(long, value_enum, default_value = "leaves")]
    tree: TreeShape,
    /// How many leaves.
    #[arg(long, value_delimiter = ',', default_value = "1000000")]
    znodes: Vec<u64>,
    /// Bytes of data of each.
    #[arg(long, default_value_t = 100)]
    size: usize,
    /// Where to put the results as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
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
    /// Options of the reference's JVM. Without: 4 GiB of G1 heap, touched before, for loads; for fills a heap that may grow to
    /// 512 MiB and 1 KiB a znode.
    #[arg(long, allow_hyphen_values = true)]
    jvm_flags: Option<String>,
    /// The core for servers; the load should have another (taskset).
    #[arg(long, default_value_t = 0)]
    core: usize,
}

impl Where {
    /// For loads: the heap is large, and touched before.
    fn programs(&self) -> Programs {
        self.with_heap("-Xms4g -Xmx4g -XX:+AlwaysPreTouch")
    }

    /// For fills: the heap is as large as it gets by itself, up to about twice of what the znodes need.
    fn filling(&self, znodes: u64) -> Programs {
        self.with_heap(&format!("-Xmx{}m", 512 + (znodes >> 10)))
    }

    fn with_heap(&self, heap: &str) -> Programs {
        let default = || format!("{heap} {}", server::JVM_FLAGS);
        Programs {
            ringkeeper: self.ringkeeper.clone(),
            reference: self.reference.clone(),
            data: self.data.clone().unwrap_or_else(compare::default_data),
            jvm_flags: self.jvm_flags.clone().unwrap_or_else(default),
            core: self.core,
        }
    }
}

#[expect(clippy::print_stdout, reason = "results are the program's output")]
fn run_fill(fill: &Fill, restarts: usize) -> Result<()> {
    let mut all = Vec::new();
    for &znodes in &fill.znodes {
        for &kind in &fill.servers {
            let filling = Filling { shape: fill.tree, znodes, size: fill.size, restarts };
            let filled = memory::fill(kind, &fill.programs.filling(znodes), filling)?;
            println!("{filled}");
            all.push(filled);
        }
    }
    save(fill.json.as_deref(), &all)
}

fn save(file: Option<&Path>, results: &impl serde::Serialize) -> Result<()> {
    if let Some(file) = file {
        std::fs::write(file, serde_json::to_string_pretty(results)?)?;
    }
    Ok(())
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
            save(json.as_deref(), &all)?;
        }
        Command::Memory(fill) => run_fill(&fill, 0)?,
        Command::Restart { fill, restarts } => run_fill(&fill, restarts)?,
        Command::Sessions { programs, servers, count, seconds, json } => {
            let mut all = Vec::new();
            for kind in servers {
                let held = sessions::hold(kind, &programs.filling(count as u64), count, seconds)?;
                println!("{held}");
                all.push(held);
            }
            save(json.as_deref(), &all)?;
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
