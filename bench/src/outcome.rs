//! What came of a round of a load, as people and programs read it.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::meter::{Meter, code_name};
use crate::preset::Job;

/// Latencies, microseconds.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
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
    /// Of a histogram of nanoseconds.
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
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct KindOutcome {
    /// Its name.
    pub(crate) name: String,
    /// Replies.
    pub(crate) replies: u64,
    /// From due to reply.
    pub(crate) latency_us: Latency,
}

/// What came of one round.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
    /// What neither the server nor the generator used of the machine meanwhile, cores: the less, the more the figures mean. None if the
    /// server does not run here.
    #[serde(default)]
    pub(crate) others_cores: Option<f64>,
    /// The generator's own CPU time per reply, microseconds. An open loop spins while it waits.
    pub(crate) generator_cpu_us: f64,
}

/// What a server used in a round.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
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

    /// Of what a meter has counted.
    pub(crate) fn new(job: &Job, meter: &Meter) -> Self {
        let seconds = meter.window.to.saturating_sub(meter.window.from).max(1) as f64 / 1e9;
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
            others_cores: None,
            generator_cpu_us: meter.cpu_ns as f64 / 1e3 / meter.handled.max(1) as f64,
        }
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
