//! What a plan is made from: the figures of one server, and of writes in an ensemble, taken out of a report.

use anyhow::{Context, Result};

use crate::outcome::{Outcome, Used};
use crate::report::Report;
use crate::server::Kind;
use crate::suite::{
    ALONE_WRITES, ENSEMBLE_ALONE_WRITES, ENSEMBLE_WRITES, MIXED_SATURATION, READ_SATURATION,
    SHARES, WRITE_SATURATION,
};

/// Figures of one server on one core, but for writes, which may be those of an ensemble.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Measured {
    /// The processor.
    pub(crate) machine: String,
    /// Servers of the ensemble whose writes were measured; 1 for one alone.
    pub(crate) write_servers: u32,
    /// Writes per second when saturated, each server having a core.
    pub(crate) writes_per_second: f64,
    /// CPU time that a write takes of each server, on the average of leader and followers, microseconds.
    pub(crate) write_cpu_us: f64,
    /// CPU time of a read, microseconds.
    pub(crate) read_cpu_us: f64,
    /// CPU time of a notification, microseconds.
    pub(crate) event_cpu_us: f64,
    /// CPU time of a ping, microseconds.
    pub(crate) ping_cpu_us: f64,
    /// p50 of one client's write with none beside it, microseconds.
    pub(crate) write_p50_us: f64,
    /// Shares of saturation, and the p99 there, microseconds.
    pub(crate) p99_by_share: Vec<(f64, f64)>,
    /// Bytes to the disk for each write in large batches.
    pub(crate) log_bytes: f64,
    /// Data of those writes, bytes.
    pub(crate) write_data: u64,
    /// Forced writes per second, one after the other.
    pub(crate) forced_per_second: f64,
    /// Memory of a znode, bytes.
    pub(crate) znode_bytes: f64,
    /// Data of those znodes, bytes.
    pub(crate) znode_data: u64,
    /// Memory of an empty server, bytes.
    pub(crate) empty_bytes: f64,
    /// Memory of an idle session, bytes.
    pub(crate) session_bytes: f64,
    /// From kill to first read for each znode, seconds.
    pub(crate) restart_seconds_per_znode: f64,
}

/// The rows and parts of a report that a plan needs.
pub(crate) const ROWS: [&str; 12] = [
    READ_SATURATION,
    WRITE_SATURATION,
    MIXED_SATURATION,
    ALONE_WRITES,
    ENSEMBLE_WRITES,
    ENSEMBLE_ALONE_WRITES,
    "load-10",
    "load-50",
    "load-90",
    "fan-out-100",
    "fills",
    "idle",
];

impl Measured {
    /// From a report's figures of Ringkeeper. Where `servers` is above one, writes are those of its ensemble, if it has them.
    ///
    /// # Errors
    /// The report lacks a row that a plan cannot do without.
    pub(crate) fn of(report: &Report, servers: u32) -> Result<Self> {
        let median = |row: &str, figure: fn(&Outcome) -> f64| -> Result<f64> {
            let spread = report.row(row).and_then(|it| it.spread(Kind::Ringkeeper, figure));
            Ok(spread.with_context(|| format!("the report has no figures of {row}"))?.median)
        };
        let events = |it: &Outcome| used(it, |it| it.cores) * 1e6 / it.events_per_second.max(1.0);
        // The largest crowd that was measured is the cheapest for each of its members.
        let fan_out = ["fan-out-1000", "fan-out-100", "fan-out-10"];
        let event = fan_out.iter().find_map(|row| median(row, events).ok());
        let share = |share: u32| {
            let p99 = median(&format!("load-{share}"), |it| it.latency_us.p99).ok()?;
            Some((f64::from(share) / 100.0, p99))
        };
        let leaves = crate::tree::TreeShape::Leaves;
        let ours = report.fills.iter().filter(|it| it.server == Kind::Ringkeeper);
        let fill = ours
            .filter(|it| it.filling.shape == leaves)
            .max_by_key(|it| it.znodes)
            .context("the report has no fills")?;
        let held = report.held.iter().find(|it| it.server == Kind::Ringkeeper);
        let ping = held.map(|it| it.cpu_percent * 1e4 / it.pings_per_second.max(1.0));
        let forced = report.forced_writes.iter().map(|it| it.p50).fold(f64::INFINITY, f64::min);
        let alone = median(WRITE_SATURATION, |it| it.per_second)?;
        let write_cpu_us = |row: &str| median(row, |it| used(it, |it| it.cpu_us));
        let p50_us = |row: &str| median(row, |it| it.latency_us.p50);
        // The three share a core in that row, and what they use is summed.
        let of_three = (write_cpu_us(ENSEMBLE_WRITES), p50_us(ENSEMBLE_ALONE_WRITES));
        let (write_servers, write_cpu_us, write_p50_us) = match of_three {
            (Ok(cpu_us), Ok(p50_us)) if servers > 1 => (3, cpu_us / 3.0, p50_us),
            _ => (1, write_cpu_us(WRITE_SATURATION)?, p50_us(ALONE_WRITES)?),
        };
        Ok(Self {
            machine: report.machine.cpu.clone(),
            write_servers,
            writes_per_second: if write_servers == 1 {
                alone
            } else {
                alone.min(1e6 / write_cpu_us)
            },
            write_cpu_us,
            read_cpu_us: median(READ_SATURATION, |it| used(it, |it| it.cpu_us))?,
            event_cpu_us: event.context("the report has no figures of fan-out")?,
            ping_cpu_us: ping.context("the report has no idle sessions")?,
            write_p50_us,
            p99_by_share: SHARES.into_iter().filter_map(share).collect(),
            log_bytes: median(WRITE_SATURATION, |it| used(it, |it| it.written))?,
            write_data: 100,
            forced_per_second: if forced.is_finite() { 1e6 / forced.max(1.0) } else { 1e5 },
            znode_bytes: fill.bytes_each(),
            znode_data: fill.filling.size as u64,
            empty_bytes: fill.resident_empty as f64,
            session_bytes: held.map_or(0.0, |it| it.resident_each),
            restart_seconds_per_znode: fill.restart_median().unwrap_or(0.0) / fill.znodes as f64,
        })
    }
}

fn used(outcome: &Outcome, figure: impl Fn(Used) -> f64) -> f64 {
    outcome.server.map_or(f64::NAN, figure)
}
