//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::ceiling::Ceiling;
use crate::failover::Drill;
use crate::plan::Needs;
use crate::run::Shape;
use crate::server::{self, Kind, Programs};
use crate::snapshots::Imaging;
use crate::tree::TreeShape;

/// Loads for servers of ZooKeeper's protocol, and side-by-side runs.
#[derive(Debug, Parser)]
#[command(name = "ringkeeper-bench", version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// A load on servers that run.
    Load {
        /// Where they listen: host:port,host:port.
        server: String,
        /// What to ask: a name that `loads` lists.
        #[arg(long, default_value = "get", conflicts_with = "file")]
        load: String,
        /// What to ask, as a TOML file.
        #[arg(long)]
        file: Option<PathBuf>,
        #[command(flatten)]
        how: How,
        /// Rounds of each load.
        #[arg(long, default_value_t = 1)]
        rounds: usize,
        /// The server's process, if it runs here: its CPU time, memory and disk are counted.
        #[arg(long)]
        pid: Vec<u32>,
        /// Where its data is: the writes of that device are counted.
        #[arg(long)]
        data: Option<PathBuf>,
        /// Where to put the results as JSON.
        #[arg(long)]
        json: Option<PathBuf>,
    },
    /// The names of loads and suites.
    Loads,
    /// The same loads on several servers in turn, and the ratios of the pairs: loads by name, or with --quick or --full a whole report.
    Compare {
        #[command(flatten)]
        how: How,
        #[command(flatten)]
        programs: Where,
        /// What to ask: names that `loads` lists.
        #[arg(long, value_delimiter = ',', default_value = "get,set")]
        loads: Vec<String>,
        /// Which servers. Without: Ringkeeper and the reference, and in a report the ceilings too.
        #[arg(long, value_enum, value_delimiter = ',')]
        servers: Vec<Kind>,
        /// Servers of each kind: 1 alone, or an ensemble over which the connections are spread.
        #[arg(long, default_value_t = 1, conflicts_with_all = ["quick", "full"])]
        members: usize,
        /// Pairs of runs for each load.
        #[arg(long, default_value_t = 5)]
        pairs: usize,
        /// Pairs beyond those, for each load, where other processes had more than 0.4 cores: the most disturbed are left out.
        #[arg(long, default_value_t = 0)]
        spare_pairs: usize,
        /// Seconds of load on the reference before the first pair; 15 unless named, 5 in a quick report.
        #[arg(long)]
        jvm_warmup: Option<f64>,
        #[command(flatten)]
        suite: Box<Suite>,
        /// Where to put the results as JSON.
        #[arg(long)]
        json: Option<PathBuf>,
    },
    /// A server that keeps nothing: what this machine allows to anybody.
    Ceiling(Ceiling),
    /// A write of Ringkeeper's beside a bare round trip and a bare forced write.
    Floor(Alone),
    /// The page and the picture of a report that `compare` wrote.
    Report {
        /// The JSON file.
        file: PathBuf,
        /// Where to put the page.
        #[arg(long)]
        html: Option<PathBuf>,
        /// Where to put the picture, as SVG.
        #[arg(long)]
        picture: Option<PathBuf>,
    },
    /// Latency of writes while a snapshot is written, and the memory that it takes.
    Snapshot {
        #[command(flatten)]
        programs: Where,
        /// Which servers, one after the other.
        #[arg(long, value_enum, value_delimiter = ',', default_value = "ringkeeper,reference")]
        servers: Vec<Kind>,
        #[command(flatten)]
        imaging: Imaging,
        /// Where to put the results as JSON.
        #[arg(long)]
        json: Option<PathBuf>,
    },
    /// From the kill of an ensemble's leader to the next write, and from a killed follower's start to its first session.
    FailOver {
        #[command(flatten)]
        programs: Where,
        /// Which servers, one after the other.
        #[arg(long, value_enum, value_delimiter = ',', default_value = "ringkeeper,reference")]
        servers: Vec<Kind>,
        #[command(flatten)]
        drill: Drill,
        /// Where to put the results as JSON.
        #[arg(long)]
        json: Option<PathBuf>,
    },
    /// Cores, memory and disk for a need, from what was measured.
    Plan {
        #[command(flatten)]
        need: Need,
        #[command(flatten)]
        programs: Where,
        /// A report of `compare`; without it some minutes of measuring come first.
        #[arg(long)]
        report: Option<PathBuf>,
        /// Where to put the plan as JSON.
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

/// A whole report.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Suite {
    /// Every kind of row in short rounds, in some minutes.
    #[arg(long, conflicts_with_all = ["full", "loads"])]
    pub(crate) quick: bool,
    /// Every row, in most of an hour.
    #[arg(long, conflicts_with = "loads")]
    pub(crate) full: bool,
    /// Only these rows of it, or parts: fills, snapshot, idle.
    #[arg(long, value_delimiter = ',')]
    pub(crate) rows: Vec<String>,
    /// Go on with the report in --json: what it has is not measured again.
    #[arg(long, requires = "json")]
    pub(crate) resume: bool,
    /// Only these rows, and measured anew though the report has them.
    #[arg(long, value_delimiter = ',', conflicts_with = "rows", requires = "resume")]
    pub(crate) again: Vec<String>,
    /// No fills beyond so many znodes: ten million want 16 GB of disk.
    #[arg(long, default_value_t = 10_000_000)]
    pub(crate) most_znodes: u64,
    /// A sentence about the circumstances, for the report.
    #[arg(long)]
    pub(crate) remark: Option<String>,
    /// Where to put the report as a page.
    #[arg(long)]
    pub(crate) html: Option<PathBuf>,
    /// Where to put the report's picture, as SVG.
    #[arg(long)]
    pub(crate) picture: Option<PathBuf>,
}

/// What somebody needs.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Need {
    /// Znodes.
    #[arg(long, default_value_t = 100_000)]
    pub(crate) znodes: u64,
    /// Bytes of data of each.
    #[arg(long, default_value_t = 100)]
    pub(crate) size: u64,
    /// Sessions at the same time.
    #[arg(long, default_value_t = 1_000)]
    pub(crate) sessions: u64,
    /// Reads per second.
    #[arg(long, default_value_t = 10_000.0)]
    pub(crate) reads: f64,
    /// Writes per second.
    #[arg(long, default_value_t = 1_000.0)]
    pub(crate) writes: f64,
    /// Watchers that are told of each write, on average.
    #[arg(long, default_value_t = 0.0)]
    pub(crate) watchers: f64,
    /// What 99 % of requests are to be quicker than, milliseconds.
    #[arg(long)]
    pub(crate) p99_ms: Option<f64>,
    /// Servers in the ensemble.
    #[arg(long, default_value_t = 3)]
    pub(crate) servers: u32,
}

impl Need {
    /// As the planner takes it.
    pub(crate) fn needs(&self) -> Needs {
        Needs {
            znodes: self.znodes,
            size: self.size,
            sessions: self.sessions,
            reads: self.reads,
            writes: self.writes,
            watchers: self.watchers,
            p99_us: self.p99_ms.map(|it| it * 1e3),
            servers: self.servers,
        }
    }
}

/// A write with one in flight, beside its floor.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Alone {
    #[command(flatten)]
    pub(crate) how: How,
    #[command(flatten)]
    pub(crate) programs: Where,
    /// Turns of each.
    #[arg(long, default_value_t = 5)]
    pub(crate) turns: usize,
    /// Where to put the results as JSON.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
}

/// What to fill servers with.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Fill {
    #[command(flatten)]
    pub(crate) programs: Where,
    /// Which servers, one after the other.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "ringkeeper,reference")]
    pub(crate) servers: Vec<Kind>,
    /// The shape of the tree.
    #[arg(long, value_enum, default_value = "leaves")]
    pub(crate) tree: TreeShape,
    /// How many leaves.
    #[arg(long, value_delimiter = ',', default_value = "1000000")]
    pub(crate) znodes: Vec<u64>,
    /// Bytes of data of each.
    #[arg(long, default_value_t = 100)]
    pub(crate) size: usize,
    /// Where to put the results as JSON.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
}

/// How hard to press. What is left out is as the load's source had it, or 16 connections with 16 in flight each.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct How {
    /// Connections, each with a session.
    #[arg(long)]
    pub(crate) connections: Option<usize>,
    /// Requests in flight on each.
    #[arg(long)]
    pub(crate) depth: Option<usize>,
    /// Requests per second in all, due at fixed moments; without it, as many as are answered.
    #[arg(long)]
    pub(crate) rate: Option<f64>,
    /// Seconds that count; 5 unless named, less in reports.
    #[arg(long)]
    pub(crate) seconds: Option<f64>,
    /// Seconds before.
    #[arg(long, default_value_t = 1.0)]
    pub(crate) warmup: f64,
    /// Znodes that reads and sets choose from.
    #[arg(long)]
    pub(crate) znodes: Option<u64>,
    /// Bytes of data of each.
    #[arg(long)]
    pub(crate) size: Option<usize>,
    /// Threads of the generator.
    #[arg(long, default_value_t = 1)]
    pub(crate) threads: usize,
    /// The core of each of them; without it, where the system puts them.
    #[arg(long, value_delimiter = ',')]
    pub(crate) load_cores: Vec<usize>,
}

impl How {
    /// For a job that may have a shape of its own.
    pub(crate) fn shape(&self, job: &mut crate::preset::Job) -> Shape {
        if let Some(setup) = job.setup() {
            setup.znodes = self.znodes.unwrap_or(setup.znodes);
            setup.size = self.size.unwrap_or(setup.size);
        }
        let open_loop = if self.rate.is_some() { 1_000 } else { 16 };
        Shape {
            connections: self.connections.or(job.connections).unwrap_or(16),
            depth: self.depth.or(job.depth).unwrap_or(open_loop),
            rate: self.rate,
            seconds: self.seconds.unwrap_or(5.0),
            warmup_seconds: self.warmup,
            threads: self.threads,
            cores: self.load_cores.clone(),
        }
    }
}

/// Programs and places.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Where {
    /// The ringkeeper binary.
    #[arg(long, default_value = "target/release/ringkeeper")]
    pub(crate) ringkeeper: PathBuf,
    /// The script that starts the reference server.
    #[arg(long, default_value = "tests/reference/server")]
    pub(crate) reference: PathBuf,
    /// The home of an installed reference server, whose `lib` has its jars. Without, the script fetches release 3.9.5.
    #[arg(long)]
    pub(crate) reference_home: Option<PathBuf>,
    /// Where data directories are made.
    #[arg(long)]
    pub(crate) data: Option<PathBuf>,
    /// Options of the reference's JVM. Without: 4 GiB of G1 heap, touched before, for loads; for fills a heap that may grow to
    /// 512 MiB and 1 KiB a znode.
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) jvm_flags: Option<String>,
    /// The core for servers; the load should have another.
    #[arg(long, default_value_t = 0)]
    pub(crate) core: usize,
}

impl Where {
    /// For loads: the heap is large, and touched before.
    pub(crate) fn programs(&self) -> Programs {
        self.with_heap("-Xms4g -Xmx4g -XX:+AlwaysPreTouch")
    }

    /// For loads on an ensemble: a smaller heap, touched before too.
    pub(crate) fn members(&self) -> Programs {
        self.with_heap("-Xms1g -Xmx1g -XX:+AlwaysPreTouch")
    }

    /// For fills: the heap is as large as it gets by itself, up to about twice of what the znodes need.
    pub(crate) fn filling(&self, znodes: u64) -> Programs {
        self.with_heap(&format!("-Xmx{}m", 512 + (znodes >> 10)))
    }

    fn with_heap(&self, heap: &str) -> Programs {
        let default = || format!("{heap} {}", server::JVM_FLAGS);
        let temporary = || {
            let own = format!("ringkeeper-bench-{}", std::process::id());
            std::env::temp_dir().join(own)
        };
        Programs {
            ringkeeper: self.ringkeeper.clone(),
            reference: self.reference.clone(),
            reference_home: self.reference_home.clone(),
            data: self.data.clone().unwrap_or_else(temporary),
            jvm_flags: self.jvm_flags.clone().unwrap_or_else(default),
            core: self.core,
            snap_count: None,
        }
    }
}
