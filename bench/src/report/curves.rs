//! The points of each plot, taken from the rows of a report.

use crate::outcome::Outcome;
use crate::report::Report;
use crate::report::plot::{Axis, Line, Plot, Scale, short, time};
use crate::server::Kind;
use crate::suite::{SHARES, WATCHERS};

const SERVERS: [Kind; 2] = [Kind::Ringkeeper, Kind::Reference];

const RATE: Axis = Axis { name: "requests per second", scale: Scale::Log, text: short };
const LATENCY: Axis = Axis { name: "latency", scale: Scale::Log, text: time };

/// Every plot that the report has points for.
pub(crate) fn all(report: &Report) -> Vec<Plot> {
    let plots = [
        read_ratio(report),
        against_load(report),
        distribution(report, "half-load-set"),
        distribution(report, "half-load-get"),
        fan_out(report),
        memory(report),
        restart(report),
    ];
    plots.into_iter().filter(|plot| plot.lines.iter().any(|it| !it.points.is_empty())).collect()
}

fn median(
    report: &Report,
    row: &str,
    server: Kind,
    figure: impl Fn(&Outcome) -> f64,
) -> Option<f64> {
    Some(report.row(row)?.spread(server, figure)?.median)
}

fn lines(of: impl Fn(Kind) -> Vec<(f64, f64)>) -> Vec<Line> {
    let line = |server| Line { server, suffix: "", points: of(server) };
    SERVERS.into_iter().map(line).collect()
}

/// Throughput with a growing share of reads.
pub(crate) fn read_ratio(report: &Report) -> Plot {
    let points = |server| {
        let rows = report.rows.iter().filter_map(|row| {
            let reads: u32 = row.name.strip_prefix("atc-")?.split('-').next()?.parse().ok()?;
            let median = row.spread(server, |it| it.per_second)?.median;
            Some((f64::from(reads), median))
        });
        let mut points: Vec<(f64, f64)> = rows.collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points
    };
    Plot {
        title: "Throughput against the share of reads: 250 clients, 100 in flight each, 1 KiB",
        x: Axis { name: "reads, %", scale: Scale::Linear, text: short },
        y: Axis { scale: Scale::Linear, ..RATE },
        lines: lines(points),
    }
}

/// Latency at growing shares of each server's own saturation.
fn against_load(report: &Report) -> Plot {
    let mut lines = Vec::new();
    for server in SERVERS {
        let curve = |suffix, figure: fn(&Outcome) -> f64| {
            let rows = SHARES.into_iter().filter_map(|share| {
                let row = format!("load-{share}");
                let rate = median(report, &row, server, |it| it.per_second)?;
                Some((rate, median(report, &row, server, figure)?))
            });
            Line { server, suffix, points: rows.collect() }
        };
        lines.push(curve(" p50", |it| it.latency_us.p50));
        lines.push(curve(" p99", |it| it.latency_us.p99));
    }
    let title = "Latency against load: nine reads and one write in ten, open loop";
    Plot { title, x: RATE, y: LATENCY, lines }
}

/// How many requests took longer than so long, at the same open-loop load.
pub(crate) fn distribution(report: &Report, row: &str) -> Plot {
    let points = |server| {
        let Some(pairs) = report.row(row) else { return Vec::new() };
        let mut runs: Vec<&Outcome> =
            pairs.runs.iter().filter(|run| run.server == server).map(|run| &run.outcome).collect();
        // The round with the middle p99 stands for all.
        runs.sort_by(|a, b| a.latency_us.p99.total_cmp(&b.latency_us.p99));
        let Some(middle) = runs.get(runs.len() / 2) else { return Vec::new() };
        // Behind the last tenth of a thousandth it is a handful of requests.
        let shown = middle.distribution.iter().filter(|(quantile, _)| *quantile < 0.9999);
        shown.map(|(quantile, us)| (1.0 / (1.0 - quantile), *us)).collect()
    };
    let title = if row.ends_with("set") {
        "setData latency at half of ZooKeeper's saturation"
    } else {
        "getData latency at half of ZooKeeper's saturation"
    };
    let x = Axis { name: "one request in so many takes longer", scale: Scale::Log, text: short };
    Plot { title, x, y: LATENCY, lines: lines(points) }
}

/// Notifications per second with growing crowds of watchers.
fn fan_out(report: &Report) -> Plot {
    let points = |server| {
        let rows = WATCHERS.into_iter().filter_map(|watchers| {
            let row = format!("fan-out-{watchers}");
            let events = median(report, &row, server, |it| it.events_per_second)?;
            Some((watchers as f64, events))
        });
        rows.collect()
    };
    Plot {
        title: "Watch fan-out: one znode, everybody watches it",
        x: Axis { name: "watchers", scale: Scale::Log, text: short },
        y: Axis { name: "notifications per second", scale: Scale::Log, text: short },
        lines: lines(points),
    }
}

fn filled(
    report: &Report,
    server: Kind,
    figure: impl Fn(&crate::memory::Filled) -> Option<f64>,
) -> Vec<(f64, f64)> {
    let leaves = crate::tree::TreeShape::Leaves;
    let fills = report.fills.iter().filter(|it| it.server == server && it.filling.shape == leaves);
    let point = |it: &crate::memory::Filled| Some((it.filling.znodes as f64, figure(it)?));
    let mut points: Vec<(f64, f64)> = fills.filter_map(point).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    points
}

const ZNODES: Axis = Axis { name: "znodes of 100 bytes", scale: Scale::Log, text: short };

fn memory(report: &Report) -> Plot {
    let bytes = |value: f64| format!("{}B", short(value));
    Plot {
        title: "Resident memory against znodes",
        x: ZNODES,
        y: Axis { name: "resident memory", scale: Scale::Log, text: bytes },
        lines: lines(|server| filled(report, server, |it| Some(it.resident as f64))),
    }
}

fn restart(report: &Report) -> Plot {
    Plot {
        title: "From kill -9 to the reply to the first read",
        x: ZNODES,
        y: Axis { name: "time", scale: Scale::Log, text: time },
        lines: lines(|server| filled(report, server, |it| Some(it.restart_median()? * 1e6))),
    }
}
