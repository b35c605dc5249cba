//! The answer to `mntr`: every line that the reference's server of the same role has, in its order.
//!
//! Source: `ZooKeeperServer.dumpMonitorValues` and `registerMetrics`, `ServerMetrics`, `DefaultMetricsProvider.dump`. The order is
//! that of release 3.9.5 as captured from it: each kind of figure in the order of a hash table.
//! What has no counterpart here is 0, as on a server where it does not happen; docs/operations.md gives the reasons, and a test
//! compares them with [`mntr_rows`].

use super::java::{Double, push};
use super::mntr_rows::{COUNTER_ROWS, GAUGE_ROWS, SUMMARY_ROWS};
use crate::figures::{Percentiles, PipelineFigures, ShardFigures, Sizes, Summary};

/// What `mntr` shows: figures of all shards together, and the state.
#[derive(Clone, Debug, Default)]
pub struct Gauges<'a> {
    /// As `srvr` shows it.
    pub version: &'a str,
    /// `standalone`; see `srvr`'s mode.
    pub server_state: &'a str,
    /// Ephemeral znodes.
    pub ephemerals_count: u64,
    /// Client connections.
    pub num_alive_connections: u64,
    /// Requests in flight.
    pub outstanding_requests: u64,
    /// Znodes, the root twice, as the reference counts.
    pub znode_count: u64,
    /// Sessions.
    pub global_sessions: u64,
    /// Sessions that this server alone knows.
    pub local_sessions: u64,
    /// Probability that a new connection is refused, 0 to 1.
    pub connection_drop_probability: f64,
    /// Watches, both tables.
    pub watch_count: u64,
    /// File descriptors that the process may have.
    pub max_file_descriptor_count: u64,
    /// File descriptors that it has.
    pub open_file_descriptor_count: u64,
    /// Bytes of paths and data of all znodes.
    pub approximate_data_size: u64,
    /// Milliseconds since the start.
    pub uptime_ms: u64,
    /// Top-level znodes that have a quota.
    pub quotas: &'a [QuotaRow],
    /// Where it is one of an ensemble.
    pub member: Option<&'a MemberGauges>,
}

/// What a member of an ensemble shows beside a server's other gauges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberGauges {
    /// What it is doing, and how far: `leading - broadcast`.
    pub peer_state: &'static str,
    /// Of an observer: the number of the server that tells it.
    pub learner_master: Option<i64>,
    /// Voters.
    pub quorum_size: u64,
    /// Milliseconds since the role serves.
    pub uptime_ms: u64,
    /// Observers that it tells, if it may.
    pub synced_observers: Option<u64>,
    /// The members, as the word `conf` shows them.
    pub membership: String,
    /// Of a leader.
    pub leader: Option<LeaderGauges>,
}

/// What only a leader shows. Source: `LeaderZooKeeperServer.registerMetrics`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaderGauges {
    /// Connections of learners.
    pub learners: u64,
    /// Followers that get proposals.
    pub synced_followers: u64,
    /// Of these, those without a vote.
    pub synced_non_voting_followers: u64,
    /// `sync`s that wait.
    pub pending_syncs: u64,
    /// Milliseconds since it leads.
    pub uptime_ms: u64,
    /// Bytes of transactions proposed.
    pub proposal_size: Sizes,
}

/// The quota of one top-level znode, and what is used of it. -1 is no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaRow {
    /// Its name, without slash.
    pub namespace: String,
    /// Znodes that it may hold.
    pub count_limit: i64,
    /// Bytes that they may hold.
    pub bytes_limit: i64,
    /// Znodes that it holds.
    pub count_usage: i64,
    /// Bytes that they hold.
    pub bytes_usage: i64,
}

/// Why a line of `mntr` is always 0 here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// Servers do not authenticate to each other.
    QuorumSasl,
    /// There is no chain of processors.
    Processors,
    /// What a learner lacks waits in its connection's queue.
    SyncQueues,
    /// Closing a connection waits for nobody.
    Closing,
    /// What observers are told is not kept for them.
    ObserverMaster,
    /// It counts what TLS does.
    Tls,
    /// It counts what the admin port does.
    Admin,
    /// Reads need no cache.
    ResponseCache,
    /// A connection's watches go with it.
    DeadWatchers,
    /// There is no commit processor: a batch is applied in one go.
    CommitProcessor,
    /// No virtual machine pauses.
    Jvm,
    /// It would cost a look at the clock for each request.
    NotMeasured,
    /// What it counts ends the server.
    EndsServer,
    /// The port is opened when the server serves, not before.
    Serving,
}

impl Absence {
    /// The reason, for documentation.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::QuorumSasl => "servers do not authenticate to each other yet",
            Self::Processors => "there is no chain of processors",
            Self::SyncQueues => {
                "what a learner lacks waits in its connection's queue, and how many are brought up to date at once is not drawn"
            }
            Self::Closing => "closing a connection waits for nobody",
            Self::ObserverMaster => "what observers are told leaves in the turn in which it came",
            Self::Tls => "no port speaks TLS yet",
            Self::Admin => "there is no admin port yet",
            Self::ResponseCache => {
                "reads are answered from the tree in wire order, without a cache"
            }
            Self::DeadWatchers => "a connection's watches go with it",
            Self::CommitProcessor => "there is no commit processor: a batch is applied in one go",
            Self::Jvm => "no virtual machine pauses",
            Self::NotMeasured => "it would cost a look at the clock for each request",
            Self::EndsServer => "what it counts ends the server",
            Self::Serving => "the port is opened when the server serves, not before",
        }
    }
}

/// What the rows of `mntr` are drawn from.
#[derive(Clone, Copy, Debug)]
pub struct MntrFigures<'a> {
    pub(super) gauges: &'a Gauges<'a>,
    pub(super) shards: &'a ShardFigures,
    pub(super) pipeline: &'a PipelineFigures,
}

/// One figure of `mntr`, with the name of its lines and where it comes from.
#[derive(Clone, Copy, Debug)]
pub enum MntrRow {
    /// One line: a number that goes up and down.
    Integer(&'static str, fn(&MntrFigures<'_>) -> i64),
    /// One line, where there is such a number: what only members of an ensemble show, or leaders.
    Optional(&'static str, fn(&MntrFigures<'_>) -> Option<i64>),
    /// One line: the same with a decimal point.
    Decimal(&'static str, fn(&MntrFigures<'_>) -> f64),
    /// One line: a number that goes up.
    Counter(&'static str, fn(&MntrFigures<'_>) -> u64),
    /// Five lines.
    Basic(&'static str, for<'a> fn(&MntrFigures<'a>) -> &'a Summary),
    /// Nine lines.
    Advanced(&'static str, for<'a> fn(&MntrFigures<'a>) -> &'a Percentiles),
    /// One line, always 0.
    NoCounter(&'static str, Absence),
    /// Five lines, always 0.
    NoBasic(&'static str, Absence),
    /// Nine lines, always 0.
    NoAdvanced(&'static str, Absence),
}

impl MntrRow {
    /// Its name, and why it is always 0 if it is.
    pub fn name_and_absence(&self) -> (&'static str, Option<Absence>) {
        match *self {
            Self::Integer(name, _)
            | Self::Optional(name, _)
            | Self::Decimal(name, _)
            | Self::Counter(name, _)
            | Self::Basic(name, _)
            | Self::Advanced(name, _) => (name, None),
            Self::NoCounter(name, absence)
            | Self::NoBasic(name, absence)
            | Self::NoAdvanced(name, absence) => (name, Some(absence)),
        }
    }

    fn show(&self, out: &mut String, it: &MntrFigures<'_>) {
        match *self {
            Self::Integer(name, read) => push(out, format_args!("zk_{name}\t{}\n", read(it))),
            Self::Optional(name, read) => {
                if let Some(value) = read(it) {
                    push(out, format_args!("zk_{name}\t{value}\n"));
                }
            }
            Self::Decimal(name, read) => {
                push(out, format_args!("zk_{name}\t{}\n", Double(read(it))));
            }
            Self::Counter(name, read) => push(out, format_args!("zk_{name}\t{}\n", read(it))),
            Self::Basic(name, read) => push_summary(out, name, read(it)),
            Self::Advanced(name, read) => push_percentiles(out, name, read(it)),
            Self::NoCounter(name, _) => push(out, format_args!("zk_{name}\t0\n")),
            Self::NoBasic(name, _) => push_summary(out, name, &Summary::default()),
            Self::NoAdvanced(name, _) => push_percentiles(out, name, &Percentiles::default()),
        }
    }
}

/// Answer to `mntr`.
///
/// Differs: the reference adds five lines per top-level znode for reads and writes below it, which would cost every request a
/// look into a table; quotas are shown by namespace as there.
pub fn mntr(gauges: &Gauges<'_>, shards: &ShardFigures, pipeline: &PipelineFigures) -> String {
    let figures = MntrFigures { gauges, shards, pipeline };
    let mut out = format!("zk_version\t{}\n", gauges.version);
    push(&mut out, format_args!("zk_server_state\t{}\n", gauges.server_state));
    if let Some(member) = gauges.member {
        push(&mut out, format_args!("zk_peer_state\t{}\n", member.peer_state));
        if let Some(number) = member.learner_master {
            push(&mut out, format_args!("zk_observer_master_id\t{number}\n"));
        }
    }
    show(&mut out, GAUGE_ROWS, &figures);
    for quota in gauges.quotas {
        push_quota(&mut out, quota);
    }
    show(&mut out, COUNTER_ROWS, &figures);
    for (name, count) in &pipeline.quota_exceeded_error_per_namespace.counts {
        push(&mut out, format_args!("zk_{name}_quota_exceeded_error_per_namespace\t{count}\n"));
    }
    show(&mut out, SUMMARY_ROWS, &figures);
    out
}

fn show(out: &mut String, rows: &[MntrRow], figures: &MntrFigures<'_>) {
    for row in rows {
        row.show(out, figures);
    }
}

/// Every row, in the order of the answer.
pub fn mntr_rows() -> impl Iterator<Item = &'static MntrRow> {
    GAUGE_ROWS.iter().chain(COUNTER_ROWS).chain(SUMMARY_ROWS)
}

fn push_quota(out: &mut String, it: &QuotaRow) {
    let name = &it.namespace;
    for (figure, value) in [
        ("quota_bytes_limit", it.bytes_limit),
        ("quota_count_usage", it.count_usage),
        ("quota_count_limit", it.count_limit),
        ("quota_bytes_usage", it.bytes_usage),
    ] {
        push(out, format_args!("zk_{name}_{figure}_per_namespace\t{value}\n"));
    }
}

fn push_summary(out: &mut String, name: &str, it: &Summary) {
    push(out, format_args!("zk_avg_{name}\t{}\n", Double(it.avg())));
    let numbers = [("min", it.min()), ("max", it.max), ("cnt", it.count), ("sum", it.sum)];
    for (figure, value) in numbers {
        push(out, format_args!("zk_{figure}_{name}\t{value}\n"));
    }
}

fn push_percentiles(out: &mut String, name: &str, it: &Percentiles) {
    push_summary(out, name, &it.summary);
    for (figure, share) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999)] {
        push(out, format_args!("zk_{figure}_{name}\t{}\n", it.quantile(share)));
    }
}
