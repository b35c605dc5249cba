//! Side by side: the same load on each server in turn, and the ratio of each pair.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::outcome::Outcome;
use crate::party::Party;
use crate::preset::Job;
use crate::requests::Root;
use crate::run::{self, Shape};
use crate::server::{Kind, Programs};

/// One round of one load on one server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    /// On which.
    pub(crate) server: Kind,
    /// Requests per second that were due, in an open loop.
    #[serde(default)]
    pub(crate) rate: Option<f64>,
    /// What came of it.
    pub(crate) outcome: Outcome,
}

/// A load on several servers, interleaved.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Pairs {
    /// What tells it from the same load in another shape.
    pub(crate) name: String,
    /// The load.
    pub(crate) job: Job,
    /// How hard.
    pub(crate) shape: Shape,
    /// One run of each server in turn, and again.
    pub(crate) runs: Vec<Run>,
    /// Pairs that were left out because other processes had more of the machine than in those that are kept.
    #[serde(default)]
    pub(crate) left_out: usize,
}

/// A median with what lies around it.
#[derive(Clone, Copy, Debug, PartialEq)]
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
        figures.retain(|it| it.is_finite());
        figures.sort_by(f64::total_cmp);
        let median = match figures.len() {
            0 => return None,
            odd if odd % 2 == 1 => figures[odd / 2],
            even => f64::midpoint(figures[even / 2 - 1], figures[even / 2]),
        };
        Some(Self { median, least: figures[0], most: figures[figures.len() - 1] })
    }

    /// One figure, without spread.
    pub(crate) fn exactly(figure: f64) -> Self {
        Self { median: figure, least: figure, most: figure }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = match self.median {
            small if small < 0.1 => 3,
            middle if middle < 100.0 => 2,
            _ => 0,
        };
        write!(f, "{:.digits$}", self.median)?;
        if self.least >= self.most {
            return Ok(());
        }
        write!(f, " ({:.digits$} to {:.digits$})", self.least, self.most)
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
        Spread::of(first.iter().zip(&second).map(|(ours, theirs)| ours / theirs).collect())
    }

    /// One server's figures.
    pub(crate) fn spread(&self, kind: Kind, figure: impl Fn(&Outcome) -> f64) -> Option<Spread> {
        Spread::of(self.of(kind, &figure))
    }

    /// One server's replies with an error, of all its rounds.
    pub(crate) fn errors(&self, kind: Kind) -> u64 {
        let runs = self.runs.iter().filter(|run| run.server == kind);
        runs.map(|run| run.outcome.error_count()).sum()
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

/// What other processes may have of the machine before a pair counts as disturbed, cores. The kernel's own threads have some of it.
const DISTURBED_CORES: f64 = 0.4;

/// The most that other processes had of the machine in one of these rounds, cores.
fn disturbance(runs: &[Run]) -> f64 {
    runs.iter().filter_map(|run| run.outcome.others_cores).fold(0.0, f64::max)
}

impl Pairs {
    /// Leaves out the most disturbed pairs until so many are left; what was measured in them does not matter.
    fn keep_calmest(&mut self, count: usize, servers: usize) {
        let all: Vec<Vec<Run>> = self.runs.chunks(servers).map(<[Run]>::to_vec).collect();
        self.left_out = all.len().saturating_sub(count);
        let mut order: Vec<usize> = (0..all.len()).collect();
        order.sort_by(|a, b| disturbance(&all[*a]).total_cmp(&disturbance(&all[*b])));
        order.truncate(count);
        order.sort_unstable();
        self.runs = order.into_iter().flat_map(|at| all[at].clone()).collect();
    }
}

/// Servers that stay up, of which one at a time is under load.
#[derive(Debug)]
pub(crate) struct Field {
    parties: Vec<Party>,
}

/// How often, and how long before the first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Runs of each server.
    pub(crate) pairs: usize,
    /// Pairs that may be measured beyond those, where other processes disturbed some.
    pub(crate) spare_pairs: usize,
    /// Seconds of the same load on the reference before the first pair: compiles Java's code.
    pub(crate) warmup_seconds: f64,
}

/// A load on some of the servers.
#[derive(Clone, Debug)]
pub(crate) struct Trial {
    /// What tells it from the same load in another shape.
    pub(crate) name: String,
    /// The load.
    pub(crate) job: Job,
    /// How hard; its rate is not looked at.
    pub(crate) shape: Shape,
    /// On which servers, each with its requests per second if that is fixed.
    pub(crate) servers: Vec<(Kind, Option<f64>)>,
    /// How often.
    pub(crate) effort: Effort,
}

impl Field {
    /// Starts one server of each kind, or an ensemble of `members`.
    ///
    /// # Errors
    /// One does not start.
    pub(crate) fn start(kinds: &[Kind], programs: &Programs, members: usize) -> Result<Self> {
        let start = |kind: &Kind| Party::start(*kind, programs, members);
        Ok(Self { parties: kinds.iter().map(start).collect::<Result<_>>()? })
    }

    /// Who takes part.
    pub(crate) fn parties(&self) -> &[Party] {
        &self.parties
    }

    fn party(&self, kind: Kind) -> Result<&Party> {
        let party = self.parties.iter().find(|it| it.kind() == kind);
        party.with_context(|| format!("{} does not run", kind.word()))
    }

    /// What a server has said, for an error.
    fn said(&self, kind: Kind) -> String {
        let words = self.party(kind).map(Party::last_words).unwrap_or_default();
        format!("{} said at last: {words}", kind.word())
    }

    /// Runs a load on servers in turn, as often as its effort says.
    ///
    /// # Errors
    /// A load is impossible or fails, or a server that it names is not in the field.
    pub(crate) fn compare(&self, trial: &Trial) -> Result<Pairs> {
        let Trial { name, job, effort, .. } = trial;
        let root = Root(format!("/bench/{name}"));
        let mut targets = Vec::new();
        for &(kind, rate) in &trial.servers {
            targets.push((kind, self.party(kind)?.target(), Shape { rate, ..trial.shape.clone() }));
        }
        for (kind, target, shape) in &targets {
            run::check(job, shape)?;
            self.party(*kind)?.purge()?;
            run::prepare(target, job, &root)?;
            if effort.warmup_seconds > 0.0 && *kind == Kind::Reference {
                let seconds = effort.warmup_seconds;
                say(&format!("{name}: warms the JVM for {seconds:.0} s"));
                let warm = Shape { seconds, warmup_seconds: 0.0, ..shape.clone() };
                run::round(target, job, &warm, &root)?;
            }
        }
        say(&format!("{name}: {} rounds of {} servers begin", effort.pairs, targets.len()));
        let (job, shape) = (job.clone(), trial.shape.clone());
        let mut pairs = Pairs { name: name.clone(), job, shape, runs: Vec::new(), left_out: 0 };
        let mut calm = 0;
        for pair in 1..=effort.pairs + effort.spare_pairs {
            for (kind, target, shape) in &targets {
                // What a round used up is made again.
                if pair > 1 && pairs.job.uses_up() {
                    run::prepare(target, &pairs.job, &root)?;
                }
                let outcome = run::round(target, &pairs.job, shape, &root);
                let outcome = outcome.with_context(|| self.said(*kind))?;
                say(&format!("  {pair}/{} {:<10} {outcome}", effort.pairs, kind.word()));
                pairs.runs.push(Run { server: *kind, rate: shape.rate, outcome });
            }
            let last = &pairs.runs[pairs.runs.len() - targets.len()..];
            calm += usize::from(disturbance(last) < DISTURBED_CORES);
            if effort.pairs <= calm {
                break;
            }
        }
        pairs.keep_calmest(effort.pairs, targets.len());
        say(&format!("{name}: done"));
        Ok(pairs)
    }
}

/// A line of progress.
#[expect(clippy::print_stderr, reason = "progress is for the person who waits")]
pub(crate) fn say(line: &str) {
    eprintln!("{line}");
}

impl std::fmt::Display for Pairs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:", self.name)?;
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
                self.errors(kind),
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
    use super::{Pairs, Run, Spread};
    use crate::outcome::Outcome;
    use crate::server::Kind;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        let spread = Spread::of(vec![4.0, 1.0, 3.0, 2.0, f64::NAN]).unwrap();
        assert_eq!((spread.median, spread.least, spread.most), (2.5, 1.0, 4.0));
        assert!(Spread::of(Vec::new()).is_none());
    }

    #[test]
    fn the_pairs_that_others_disturbed_most_are_left_out_whatever_was_measured_in_them() {
        let job = crate::preset::named("get").unwrap().remove(0);
        let run = |others: f64, number: u64| {
            let window = crate::meter::Window { from: 0, to: 1 };
            let mut outcome = Outcome::new(&job, &crate::meter::Meter::new(window, []));
            (outcome.others_cores, outcome.replies) = (Some(others), number);
            Run { server: Kind::Ringkeeper, rate: None, outcome }
        };
        let runs =
            vec![run(0.1, 1), run(0.9, 2), run(0.2, 3), run(0.3, 4), run(1.5, 5), run(0.0, 6)];
        let shape = crate::run::Shape {
            connections: 1,
            depth: 1,
            rate: None,
            seconds: 1.0,
            warmup_seconds: 0.0,
            threads: 1,
            cores: Vec::new(),
        };
        let mut pairs = Pairs { name: "get".into(), job: job.clone(), shape, runs, left_out: 0 };
        pairs.keep_calmest(2, 2);
        let kept: Vec<u64> = pairs.runs.iter().map(|run| run.outcome.replies).collect();
        assert_eq!((kept, pairs.left_out), (vec![1, 2, 3, 4], 1));
    }

    #[test]
    fn figures_have_as_many_digits_as_mean_something() {
        let text = |median, most| Spread { median, least: median, most }.to_string();
        assert_eq!(text(0.066, 0.07), "0.066 (0.066 to 0.070)");
        assert_eq!(text(15.234, 15.234), "15.23");
        assert_eq!(text(953_712.4, 953_713.0), "953712 (953712 to 953713)");
    }
}
