//! The figures that this project is built for, each held against what was measured.

use crate::compare::Spread;
use crate::failover::Drilled;
use crate::memory::Filled;
use crate::outcome::{Outcome, Used};
use crate::report::Report;
use crate::server::Kind;
use crate::snapshots::Imaged;
use crate::suite::{ALONE_WRITES, ENSEMBLE_WRITES, READ_SATURATION, WRITE_SATURATION};

/// What is asked of a figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Asked {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
}

/// What a figure is given in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Times what it is compared with.
    Times,
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
    /// A plain number.
    Each,
}

/// One figure.
#[derive(Clone, Debug)]
pub(crate) struct Goal {
    /// Of what.
    pub(crate) figure: &'static str,
    /// Against what.
    pub(crate) against: &'static str,
    /// What is asked.
    pub(crate) asked: Asked,
    /// In what.
    pub(crate) unit: Unit,
    /// What was measured; none if the run did not.
    pub(crate) reached: Option<Spread>,
}

/// How a figure stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// It is reached.
    Reached,
    /// It is missed by this share of what is asked.
    MissedBy(f64),
    /// This run did not measure it.
    NotMeasured,
}

impl Goal {
    /// How it stands, by its median.
    pub(crate) fn verdict(&self) -> Verdict {
        let Some(Spread { median, .. }) = self.reached else { return Verdict::NotMeasured };
        let (missing, asked) = match self.asked {
            Asked::AtLeast(asked) => (asked - median, asked),
            Asked::AtMost(asked) => (median - asked, asked),
        };
        if missing <= 0.0 { Verdict::Reached } else { Verdict::MissedBy(missing / asked) }
    }
}

impl std::fmt::Display for Goal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { figure, against, asked, unit, reached } = self;
        write!(f, "{figure}: ")?;
        if let Some(reached) = reached {
            write!(f, "{reached}{} ", unit.word())?;
        }
        if !against.is_empty() {
            write!(f, "of {against} ")?;
        }
        write!(f, "({asked} asked): {}", self.verdict())
    }
}

impl std::fmt::Display for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtLeast(it) => write!(f, "at least {it}"),
            Self::AtMost(it) => write!(f, "at most {it}"),
        }
    }
}

impl Unit {
    /// Behind a figure.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Times => "x",
            Self::Bytes => " B",
            Self::Seconds => " s",
            Self::Each => "",
        }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Reached => f.write_str("reached"),
            Self::MissedBy(share) => write!(f, "missed by {:.0} %", (share * 100.0).max(1.0)),
            Self::NotMeasured => f.write_str("not measured in this run"),
        }
    }
}

/// A million znodes, and ten.
const MILLION: u64 = 1_000_000;

const REFERENCE: &str = "the reference";

/// Every figure.
pub(crate) fn goals(report: &Report) -> Vec<Goal> {
    let mut goals = beside_reference(report);
    goals.extend(beside_ceiling(report));
    goals.extend(stored(report));
    goals.extend(steady(report));
    goals.extend(together(report));
    goals
}

fn ratio(
    report: &Report,
    row: &str,
    other: Kind,
    figure: impl Fn(&Outcome) -> f64,
) -> Option<Spread> {
    report.row(row)?.ratio([Kind::Ringkeeper, other], figure)
}

fn goal(
    figure: &'static str,
    against: &'static str,
    asked: Asked,
    reached: Option<Spread>,
) -> Goal {
    Goal { figure, against, asked, unit: Unit::Times, reached }
}

/// The server's CPU time per reply.
fn cpu(outcome: &Outcome) -> f64 {
    used(outcome, |it| it.cpu_us)
}

fn used(outcome: &Outcome, figure: impl Fn(Used) -> f64) -> f64 {
    outcome.server.map_or(f64::NAN, figure)
}

fn beside_reference(report: &Report) -> Vec<Goal> {
    let of = |row: &str, figure: fn(&Outcome) -> f64| ratio(report, row, Kind::Reference, figure);
    let least = |figure, factor, reached| goal(figure, REFERENCE, Asked::AtLeast(factor), reached);
    let most = |figure, factor, reached| goal(figure, REFERENCE, Asked::AtMost(factor), reached);
    vec![
        least("getData per second, 16 x 16", 12.0, of(READ_SATURATION, |it| it.per_second)),
        least("setData per second, 16 x 16", 10.0, of(WRITE_SATURATION, |it| it.per_second)),
        least("create per second, 16 x 16", 10.0, of("create-16x16", |it| it.per_second)),
        most(
            "setData p50, one client, one in flight",
            0.5,
            of(ALONE_WRITES, |it| it.latency_us.p50),
        ),
        most("getData p50, one client, one in flight", 0.6, of("get-1x1", |it| it.latency_us.p50)),
        most(
            "getData p99 at half of the reference's saturation",
            0.1,
            of("half-load-get", |it| it.latency_us.p99),
        ),
        most(
            "getData p99.9 at half of the reference's saturation",
            0.1,
            of("half-load-get", |it| it.latency_us.p999),
        ),
        most(
            "setData p99 at half of the reference's saturation",
            0.1,
            of("half-load-set", |it| it.latency_us.p99),
        ),
        most(
            "setData p99.9 at half of the reference's saturation",
            0.1,
            of("half-load-set", |it| it.latency_us.p999),
        ),
        most("CPU time per getData", 0.08, of(READ_SATURATION, cpu)),
        most("CPU time per setData", 0.1, of(WRITE_SATURATION, cpu)),
        least(
            "watch notifications per second, 1,000 watchers",
            10.0,
            of("fan-out-1000", |it| it.events_per_second),
        ),
        least("sessions opened and closed per second", 10.0, of("sessions", |it| it.per_second)),
    ]
}

fn beside_ceiling(report: &Report) -> Vec<Goal> {
    let rate = |row: &str, other: Kind| ratio(report, row, other, |it| it.per_second);
    let socket = |row: &str| ratio(report, row, Kind::Epoll, cpu);
    let (constant, epoll) = ("constant replies, same sockets", "constant replies, bare epoll");
    let forced = "constant replies, each request forced";
    vec![
        goal(
            "getData per second, 16 x 16",
            constant,
            Asked::AtLeast(0.6),
            rate(READ_SATURATION, Kind::Constant),
        ),
        goal(
            "setData per second, 16 x 16",
            forced,
            Asked::AtLeast(0.6),
            rate(WRITE_SATURATION, Kind::Forced),
        ),
        goal(
            "create per second, 16 x 16",
            forced,
            Asked::AtLeast(0.6),
            rate("create-16x16", Kind::Forced),
        ),
        goal("CPU time per getData, 16 x 16", epoll, Asked::AtMost(1.3), socket(READ_SATURATION)),
        goal("CPU time per getData, 200 x 4", epoll, Asked::AtMost(1.3), socket("get-200x4")),
        goal("CPU time per getData, 1000 x 1", epoll, Asked::AtMost(1.3), socket("get-1000x1")),
        goal(
            "setData p50, one client, one in flight",
            "a bare round trip and a bare forced write",
            Asked::AtMost(1.25),
            write_floor(report),
        ),
    ]
}

/// A write's p50 at depth 1 against a round trip to the bare server and one bare forced write.
fn write_floor(report: &Report) -> Option<Spread> {
    let write = report.row(ALONE_WRITES)?.spread(Kind::Ringkeeper, |it| it.latency_us.p50)?;
    let trip = report.row("get-1x1")?.spread(Kind::Epoll, |it| it.latency_us.p50)?;
    let disk = Spread::of(report.forced_writes.iter().map(|it| it.p50).collect())?;
    Some(Spread::exactly(write.median / (trip.median + disk.median)))
}

fn stored(report: &Report) -> Vec<Goal> {
    let ours = report.fill(Kind::Ringkeeper, MILLION);
    let theirs = report.fill(Kind::Reference, MILLION);
    let memory = ours.zip(theirs).map(|(ours, theirs)| ours.bytes_each() / theirs.bytes_each());
    let restart = ours.zip(theirs).and_then(|(ours, theirs)| {
        let both = ours.restart_median().zip(theirs.restart_median());
        both.map(|(ours, theirs)| ours / theirs)
    });
    let ten = report.fill(Kind::Ringkeeper, 10 * MILLION);
    let plain = |figure, asked, unit, reached: Option<f64>| Goal {
        figure,
        against: "",
        asked: Asked::AtMost(asked),
        unit,
        reached: reached.map(Spread::exactly),
    };
    let most = |figure, factor, reached: Option<f64>| {
        goal(figure, REFERENCE, Asked::AtMost(factor), reached.map(Spread::exactly))
    };
    vec![
        most("memory of a million 100-byte znodes", 0.2, memory),
        plain(
            "memory of each, path of 30 bytes, all included",
            280.0,
            Unit::Bytes,
            ours.map(Filled::bytes_each),
        ),
        most("kill to first read, a million znodes", 0.05, restart),
        plain(
            "kill to first read, ten million znodes",
            3.0,
            Unit::Seconds,
            ten.and_then(Filled::restart_median),
        ),
    ]
}

fn steady(report: &Report) -> Vec<Goal> {
    let image = report.snapshot(Kind::Ringkeeper);
    let own = |row: &str, figure: fn(&Outcome) -> f64| {
        report.row(row).and_then(|it| it.spread(Kind::Ringkeeper, figure))
    };
    // Others write to the device too: the round with the fewest is nearest to what the server writes.
    let writes = |row: &str| {
        own(row, |it| used(it, |it| it.disk_writes)).map(|it| Spread::exactly(it.least))
    };
    let itself = |figure, against, factor, reached: Option<f64>| {
        goal(figure, against, Asked::AtMost(factor), reached.map(Spread::exactly))
    };
    let each = |figure, asked, reached| Goal {
        figure,
        against: "",
        asked: Asked::AtMost(asked),
        unit: Unit::Each,
        reached,
    };
    let cliff = own("steady-set", |it| it.latency_us.p999 / it.latency_us.p50);
    vec![
        itself(
            "setData p99 while a snapshot of a million znodes is written",
            "its own quiet p99",
            1.2,
            image.map(Imaged::p99_ratio),
        ),
        itself(
            "memory while it is written",
            "its own at rest",
            1.1,
            image.map(Imaged::memory_ratio),
        ),
        goal(
            "setData p99.9 at half of its own saturation, 60 s",
            "its own p50",
            Asked::AtMost(5.0),
            cliff,
        ),
        each("writes of the device per setData, 256 in flight", 0.02, writes(WRITE_SATURATION)),
        // The log's next segment is made ready meanwhile.
        each(
            "blocks of 4 KiB that the server writes per setData, one in flight",
            1.02,
            own(ALONE_WRITES, |it| used(it, |it| it.written / 4096.0))
                .map(|it| Spread::exactly(it.least)),
        ),
    ]
}

/// Of three servers.
fn together(report: &Report) -> Vec<Goal> {
    let of = |figure: fn(&Outcome) -> f64| ratio(report, ENSEMBLE_WRITES, Kind::Reference, figure);
    let ours = |znodes| report.fail_over(Kind::Ringkeeper, znodes);
    let seconds = |figure, asked, reached| Goal {
        figure,
        against: "",
        asked: Asked::AtMost(asked),
        unit: Unit::Seconds,
        reached,
    };
    let p99 = |it: &Drilled| Some(Spread::exactly(it.percentile_ms(99)? / 1e3));
    vec![
        goal(
            "setData per second, three servers, 16 x 16",
            REFERENCE,
            Asked::AtLeast(10.0),
            of(|it| it.per_second),
        ),
        goal("CPU time per setData, summed over three", REFERENCE, Asked::AtMost(0.1), of(cpu)),
        seconds("leader killed to the next write, p99", 0.2, ours(0).and_then(p99)),
        seconds(
            "leader killed to the next write, p99, a million znodes",
            0.2,
            ours(MILLION).and_then(p99),
        ),
        seconds(
            "a follower's return, a million znodes and a thousand writes behind",
            1.0,
            ours(MILLION).and_then(Drilled::returned),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::{Asked, Goal, Unit, Verdict, goals};
    use crate::compare::Spread;
    use crate::report::Report;

    fn verdict(asked: Asked, reached: Option<f64>) -> Verdict {
        let reached = reached.map(Spread::exactly);
        Goal { figure: "", against: "", asked, unit: Unit::Times, reached }.verdict()
    }

    #[test]
    fn a_figure_is_missed_by_a_share_of_what_is_asked() {
        assert_eq!(verdict(Asked::AtLeast(10.0), Some(10.0)), Verdict::Reached);
        assert_eq!(verdict(Asked::AtLeast(10.0), Some(8.0)), Verdict::MissedBy(0.2));
        assert_eq!(verdict(Asked::AtMost(2.0), Some(3.0)), Verdict::MissedBy(0.5));
        assert_eq!(verdict(Asked::AtMost(2.0), None), Verdict::NotMeasured);
    }

    #[test]
    fn an_empty_report_has_every_figure_and_measured_none() {
        let goals = goals(&Report::new(&std::env::temp_dir()));
        assert!(goals.len() > 20);
        assert!(goals.iter().all(|it| it.verdict() == Verdict::NotMeasured));
    }
}
