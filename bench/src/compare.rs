//! Side by side: the same load on each server in turn, and the ratio of each pair.

use anyhow::Result;
use serde::Serialize;

use crate::preset::Job;
use crate::requests::Root;
use crate::run::{self, Outcome, Shape, Target};
use crate::server::{Kind, Programs, Server};

/// One round of one load on one server.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Run {
    /// On which.
    pub(crate) server: Kind,
    /// What came of it.
    pub(crate) outcome: Outcome,
}

/// A load on every server, interleaved.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Pairs {
    /// The load.
    pub(crate) job: Job,
    /// How hard.
    pub(crate) shape: Shape,
    /// One run of each server in turn, and again.
    pub(crate) runs: Vec<Run>,
}

/// A median with what lies around it.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Spread {
    /// The middle.
    pub(crate) median: f64,
    /// The smallest.
    pub(crate) least: f64,
    /// The largest.
    pub(crate) most: f64,
}

impl Spread {
    /// Of any figures; none of none.
    pub(crate) fn of(mut figures: Vec<f64>) -> Option<Self> {
        figures.sort_by(f64::total_cmp);
        let median = match figures.len() {
            0 => return None,
            odd if odd % 2 == 1 => figures[odd / 2],
            even => f64::midpoint(figures[even / 2 - 1], figures[even / 2]),
        };
        Some(Self { median, least: figures[0], most: figures[figures.len() - 1] })
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = if self.median < 0.1 { 3 } else { 2 };
        write!(f, "{:.digits$} ({:.digits$} to {:.digits$})", self.median, self.least, self.most)
    }
}

impl Pairs {
    /// One server's figures in the order of its runs.
    fn of(&self, kind: Kind, figure: &impl Fn(&Outcome) -> f64) -> Vec<f64> {
        let runs = self.runs.iter().filter(|run| run.server == kind);
        runs.map(|run| figure(&run.outcome)).collect()
    }

    /// The first's figure divided by the second's, pair by pair.
    pub(crate) fn ratio(
        &self,
        [first, second]: [Kind; 2],
        figure: impl Fn(&Outcome) -> f64,
    ) -> Option<Spread> {
        let (first, second) = (self.of(first, &figure), self.of(second, &figure));
        let ratios = first.iter().zip(&second).map(|(ours, theirs)| ours / theirs);
        Spread::of(ratios.filter(|it| it.is_finite()).collect())
    }

    /// One server's figures.
    pub(crate) fn spread(&self, kind: Kind, figure: impl Fn(&Outcome) -> f64) -> Option<Spread> {
        Spread::of(self.of(kind, &figure))
    }

    /// Which servers ran, in their order.
    pub(crate) fn servers(&self) -> Vec<Kind> {
        let mut kinds = Vec::new();
        for run in &self.runs {
            if !kinds.contains(&run.server) {
                kinds.push(run.server);
            }
        }
        kinds
    }
}

/// Servers that stay up, of which one at a time is under load.
#[derive(Debug)]
pub(crate) struct Field {
    servers: Vec<Server>,
}

/// How often, and how long before the first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Runs of each server.
    pub(crate) pairs: usize,
    /// Seconds of the same load on each server before the first pair: compiles Java's code.
    pub(crate) warmup_seconds: f64,
}

impl Field {
    /// Starts one server of each kind.
    ///
    /// # Errors
    /// One does not start.
    pub(crate) fn start(kinds: &[Kind], programs: &Programs) -> Result<Self> {
        let start = |kind: &Kind| Server::start(*kind, programs);
        Ok(Self { servers: kinds.iter().map(start).collect::<Result<_>>()? })
    }

    /// The command line of each server.
    pub(crate) fn commands(&self) -> Vec<(Kind, String)> {
        self.servers.iter().map(|it| (it.kind, it.command_line())).collect()
    }

    /// Runs a load on every server in turn, as often as `effort` says.
    ///
    /// # Errors
    /// A load is impossible or fails.
    pub(crate) fn compare(&self, job: &Job, shape: &Shape, effort: Effort) -> Result<Pairs> {
        let root = Root(format!("/bench/{}", job.name));
        let targets: Vec<(Kind, Target)> =
            self.servers.iter().map(|server| (server.kind, server.target())).collect();
        for (kind, target) in &targets {
            run::prepare(target, job, &root)?;
            if effort.warmup_seconds > 0.0 && *kind == Kind::Reference {
                let seconds = effort.warmup_seconds;
                let warm = Shape { seconds, warmup_seconds: 0.0, ..shape.clone() };
                run::round(target, job, &warm, &root)?;
            }
        }
        let mut pairs = Pairs { job: job.clone(), shape: shape.clone(), runs: Vec::new() };
        for pair in 0..effort.pairs {
            for (kind, target) in &targets {
                let outcome = run::round(target, job, shape, &root)?;
                progress(pair, *kind, &outcome);
                pairs.runs.push(Run { server: *kind, outcome });
            }
        }
        Ok(pairs)
    }
}

#[expect(clippy::print_stderr, reason = "progress is for the person who waits")]
fn progress(pair: usize, kind: Kind, outcome: &Outcome) {
    eprintln!("{pair} {:<10} {outcome}", kind.word());
}

impl std::fmt::Display for Pairs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:", self.job.name)?;
        for kind in self.servers() {
            let median = |figure: fn(&Outcome) -> f64| {
                self.spread(kind, figure).map_or(f64::NAN, |it| it.median)
            };
            write!(
                f,
                "\n  {:<10} {:>9.0}/s  p50 {:.0} p99 {:.0} p99.9 {:.0} us  CPU {:.2} us  {} errors",
                kind.word(),
                median(|it| it.per_second),
                median(|it| it.latency_us.p50),
                median(|it| it.latency_us.p99),
                median(|it| it.latency_us.p999),
                median(|it| it.server.map_or(f64::NAN, |used| used.cpu_us)),
                self.runs
                    .iter()
                    .filter(|run| run.server == kind)
                    .map(|run| run.outcome.error_count())
                    .sum::<u64>(),
            )?;
        }
        for other in self.servers().into_iter().filter(|kind| *kind != Kind::Ringkeeper) {
            let pair = [Kind::Ringkeeper, other];
            let show =
                |ratio: Option<Spread>| ratio.map_or_else(|| "-".to_owned(), |it| it.to_string());
            write!(
                f,
                "\n  ringkeeper / {}: rate {}, p50 {}, p99 {}, CPU {}",
                other.word(),
                show(self.ratio(pair, |it| it.per_second)),
                show(self.ratio(pair, |it| it.latency_us.p50)),
                show(self.ratio(pair, |it| it.latency_us.p99)),
                show(self.ratio(pair, |it| it.server.map_or(f64::NAN, |used| used.cpu_us))),
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Spread;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        let spread = Spread::of(vec![4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!((spread.median, spread.least, spread.most), (2.5, 1.0, 4.0));
        assert!(Spread::of(Vec::new()).is_none());
    }
}
