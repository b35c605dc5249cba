//! What a side-by-side run measures: its rows, in an order in which a row comes behind those whose figures it needs.

use anyhow::{Context, Result};

use crate::compare::{Effort, Pairs, Trial};
use crate::preset::{self, Job};
use crate::run::Shape;
use crate::server::Kind;

/// How much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// Some minutes: every kind of row, short rounds.
    Quick,
    /// Most of an hour: every row of the figures that this project is built for.
    Full,
}

/// How fast requests come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pace {
    /// As they are answered.
    Closed,
    /// For all servers the same: this share of what the reference reached in another row.
    OfReference(&'static str, f64),
    /// For each server this share of what it reached itself in another row.
    OfOwn(&'static str, f64),
}

/// One load in one shape on some servers.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// Its name.
    pub(crate) name: String,
    /// The load's name.
    pub(crate) load: String,
    /// Connections, each with a session.
    pub(crate) connections: usize,
    /// Requests in flight on each.
    pub(crate) depth: usize,
    /// How fast.
    pub(crate) pace: Pace,
    /// On which.
    pub(crate) servers: &'static [Kind],
    /// Rounds against those of other rows: a curve of many points needs fewer.
    pub(crate) pairs: Option<usize>,
    /// Seconds of a round, where the figure needs more than others.
    pub(crate) seconds: Option<f64>,
    /// Servers of each kind: one alone, or an ensemble.
    pub(crate) members: usize,
}

const BOTH: &[Kind] = Kind::COMPARED;
/// Beside servers that do nothing but answer.
const READS: &[Kind] = &[Kind::Ringkeeper, Kind::Reference, Kind::Constant, Kind::Epoll];
/// Beside the server that forces every request to the disk.
const WRITES: &[Kind] = &[Kind::Ringkeeper, Kind::Reference, Kind::Forced];
const SOCKETS: &[Kind] = &[Kind::Ringkeeper, Kind::Epoll];
const ALONE: &[Kind] = &[Kind::Ringkeeper];

/// The row whose figure stands for a server's saturation with reads.
pub(crate) const READ_SATURATION: &str = "get-16x16";
/// The row whose figure stands for a server's saturation with writes.
pub(crate) const WRITE_SATURATION: &str = "set-16x16";
/// The row of one client that waits for each write.
pub(crate) const ALONE_WRITES: &str = "set-1x1";
/// The same two on an ensemble of three.
pub(crate) const ENSEMBLE_WRITES: &str = "three-set-16x16";
pub(crate) const ENSEMBLE_ALONE_WRITES: &str = "three-set-1x1";
/// The row that the curve of latency against load takes its shares of.
pub(crate) const MIXED_SATURATION: &str = "mixed-16x16";

/// Percents of reads in the sweep.
const READ_RATIOS: [u32; 7] = [0, 10, 30, 50, 70, 90, 100];
/// Percents of each server's own saturation in the curve of latency against load.
pub(crate) const SHARES: [u32; 5] = [10, 25, 50, 75, 90];
/// Watchers of one znode.
pub(crate) const WATCHERS: [usize; 5] = [1, 10, 100, 1_000, 10_000];

impl Row {
    fn closed(load: &str, connections: usize, depth: usize, servers: &'static [Kind]) -> Self {
        Self {
            name: format!("{load}-{connections}x{depth}"),
            load: load.to_owned(),
            connections,
            depth,
            pace: Pace::Closed,
            servers,
            pairs: None,
            seconds: None,
            members: 1,
        }
    }

    fn named(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// Open loops may have any number in flight: what waits in the generator counts as latency all the same.
    fn paced(self, pace: Pace) -> Self {
        Self { pace, depth: 1_000, ..self }
    }

    fn pairs(self, pairs: usize) -> Self {
        Self { pairs: Some(pairs), ..self }
    }

    /// The same on an ensemble of three, over whose members the connections are spread.
    fn on_three(self) -> Self {
        Self { name: format!("three-{}", self.name), members: 3, ..self }
    }

    /// The load in the shape of this row. `done`: the rows before it.
    ///
    /// # Errors
    /// It needs the figure of a row that is not among those.
    pub(crate) fn trial(&self, shape: &Shape, effort: Effort, done: &[Pairs]) -> Result<Trial> {
        let job = self.job()?;
        let rate = |kind: Kind| -> Result<Option<f64>> {
            let (row, of, share) = match self.pace {
                Pace::Closed => return Ok(None),
                Pace::OfReference(row, share) => (row, Kind::Reference, share),
                Pace::OfOwn(row, share) => (row, kind, share),
            };
            let spread = done.iter().find(|it| it.name == row);
            let spread = spread.and_then(|it| it.spread(of, |it| it.per_second));
            let needs = || {
                format!("{} needs the figure of {} in {row}, ask for both", self.name, of.word())
            };
            Ok(Some(share * spread.with_context(needs)?.median))
        };
        let servers: Result<_> =
            self.servers.iter().map(|kind| Ok((*kind, rate(*kind)?))).collect();
        let seconds = self.seconds.unwrap_or(shape.seconds);
        let shape =
            Shape { connections: self.connections, depth: self.depth, seconds, ..shape.clone() };
        let effort = match self.pairs {
            Some(pairs) => Effort { pairs, spare_pairs: effort.spare_pairs.min(pairs), ..effort },
            None => effort,
        };
        Ok(Trial { name: self.name.clone(), job, shape, servers: servers?, effort })
    }

    fn job(&self) -> Result<Job> {
        let mut jobs = preset::named(&self.load)?;
        let job = jobs.pop().with_context(|| format!("{} is no load", self.load))?;
        Ok(Job { connections: None, depth: None, ..job })
    }
}

/// The rows of a run.
pub(crate) fn rows(size: Size) -> Vec<Row> {
    let full = size == Size::Full;
    let mut rows = vec![
        Row::closed("get", 16, 16, READS),
        Row::closed("set", 16, 16, WRITES),
        Row::closed("mixed", 16, 16, BOTH),
        Row::closed("get", 1, 1, READS),
        Row::closed("set", 1, 1, WRITES),
        Row::closed("get", 200, 4, SOCKETS),
        Row::closed("get", 1_000, 1, SOCKETS),
        Row::closed("get", 16, 1, BOTH)
            .named("half-load-get")
            .paced(Pace::OfReference(READ_SATURATION, 0.5)),
        Row::closed("set", 16, 1, BOTH)
            .named("half-load-set")
            .paced(Pace::OfReference(WRITE_SATURATION, 0.5)),
        Row::closed("sessions", 32, 1, BOTH).named("sessions"),
    ];
    let seconds = if full { 60.0 } else { 5.0 };
    rows.push(Row {
        seconds: Some(seconds),
        ..Row::closed("set", 16, 1, ALONE)
            .named("steady-set")
            .paced(Pace::OfOwn(WRITE_SATURATION, 0.5))
            .pairs(1)
    });
    let ratios = READ_RATIOS.into_iter().filter(|it| full || it % 50 == 0);
    rows.extend(ratios.map(|reads| Row::closed(&format!("atc-{reads}"), 250, 100, BOTH)));
    let shares = SHARES.into_iter().filter(|it| full || *it != 25 && *it != 75);
    rows.extend(shares.map(|share| {
        Row::closed("mixed", 16, 1, BOTH)
            .named(format!("load-{share}"))
            .paced(Pace::OfOwn(MIXED_SATURATION, f64::from(share) / 100.0))
            .pairs(if full { 3 } else { 1 })
    }));
    let watchers = WATCHERS.into_iter().filter(|it| full || *it <= 1_000);
    rows.extend(watchers.map(|watchers| {
        Row::closed("fan-out", watchers + 1, 1, BOTH).named(format!("fan-out-{watchers}"))
    }));
    // Last, because what they create stays.
    rows.push(Row::closed("create-delete", 16, 16, BOTH));
    rows.push(Row::closed("create", 16, 16, WRITES));
    rows.extend([
        Row::closed("get", 16, 16, BOTH).on_three(),
        Row::closed("set", 16, 16, BOTH).on_three(),
        Row::closed("set", 1, 1, BOTH).on_three(),
    ]);
    rows
}

#[cfg(test)]
mod tests {
    use super::{Pace, Size, rows};

    #[test]
    fn every_row_is_a_load_and_comes_behind_those_that_it_needs() {
        for size in [Size::Quick, Size::Full] {
            let mut seen: Vec<String> = Vec::new();
            for row in rows(size) {
                row.job().unwrap();
                if let Pace::OfReference(needed, _) | Pace::OfOwn(needed, _) = row.pace {
                    assert!(seen.iter().any(|it| it == needed), "{} before {needed}", row.name);
                }
                assert!(!seen.contains(&row.name), "{} twice", row.name);
                seen.push(row.name);
            }
        }
    }

    #[test]
    fn a_quick_run_has_rows_of_a_full_one_only() {
        let full: Vec<String> = rows(Size::Full).into_iter().map(|it| it.name).collect();
        assert!(rows(Size::Quick).iter().all(|row| full.contains(&row.name)));
    }
}
