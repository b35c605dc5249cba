//! A whole side-by-side run: rows of a suite, fills, snapshots and idle sessions, into one report that is saved after each of them.

use std::path::PathBuf;

use anyhow::{Result, ensure};

use crate::compare::{Effort, Field, say};
use crate::failover::{self, Drill};
use crate::floor;
use crate::memory::{self, Filling};
use crate::report::{Described, Report};
use crate::run::Shape;
use crate::server::{Kind, Programs};
use crate::sessions;
use crate::snapshots::{self, Imaging};
use crate::suite::{self, Row, Size};
use crate::tree::TreeShape;

/// What is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Campaign {
    /// How much.
    pub(crate) size: Size,
    /// Names of rows and parts; all if there are none.
    pub(crate) only: Vec<String>,
    /// Servers that take part.
    pub(crate) servers: Vec<Kind>,
    /// Seconds, threads and cores of the rounds; connections and depth are each row's own.
    pub(crate) shape: Shape,
    /// How often.
    pub(crate) effort: Effort,
    /// Where the report is, and is kept up to date.
    pub(crate) file: PathBuf,
    /// No fills beyond so many znodes.
    pub(crate) most_znodes: u64,
    /// The core of servers.
    pub(crate) core: usize,
    /// Where data is made.
    pub(crate) data: PathBuf,
}

/// The parts that are not rows.
pub(crate) const PARTS: [&str; 4] = ["fills", "snapshot", "idle", "fail-over"];

impl Campaign {
    /// Measures what the report does not have yet, with programs for loads on servers that stand alone and on members of an ensemble, and
    /// for fills of so many znodes.
    ///
    /// # Errors
    /// A server does not start or a load fails; what was measured before is saved.
    pub(crate) fn run(
        &self,
        report: &mut Report,
        loads: [&Programs; 2],
        fills: impl Fn(u64) -> Programs,
    ) -> Result<()> {
        self.check()?;
        self.rows(report, loads)?;
        if self.wanted("fills") {
            self.fills(report, &fills)?;
        }
        if self.wanted("snapshot") {
            self.snapshots(report, &fills)?;
        }
        if self.wanted("idle") {
            self.idle(report, &fills)?;
        }
        if self.wanted("fail-over") {
            self.fail_overs(report, &fills)?;
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        let rows = suite::rows(self.size);
        for name in &self.only {
            let known = PARTS.contains(&name.as_str()) || rows.iter().any(|it| it.name == *name);
            let names: Vec<&str> = rows.iter().map(|it| it.name.as_str()).chain(PARTS).collect();
            ensure!(known, "there is no row `{name}`; there are {}", names.join(", "));
        }
        Ok(())
    }

    fn wanted(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|it| it == name)
    }

    fn rows(&self, report: &mut Report, [loads, members]: [&Programs; 2]) -> Result<()> {
        let missing = |row: &Row| self.wanted(&row.name) && report.row(&row.name).is_none();
        let (alone, together): (Vec<Row>, Vec<Row>) =
            suite::rows(self.size).into_iter().filter(missing).partition(|it| it.members == 1);
        self.rows_of(&alone, report, loads)?;
        self.rows_of(&together, report, members)
    }

    /// Rows with as many members each.
    fn rows_of(&self, rows: &[Row], report: &mut Report, programs: &Programs) -> Result<()> {
        let Some(members) = rows.first().map(|it| it.members) else { return Ok(()) };
        let needed = |kind: &Kind| rows.iter().any(|row| row.servers.contains(kind));
        let kinds: Vec<Kind> = self.servers.iter().copied().filter(needed).collect();
        let field = Field::start(&kinds, programs, members)?;
        for party in field.parties() {
            let (version, command) = (party.version(), party.command_line());
            // Members differ from who stands alone by their heap, which the rows' names tell.
            if members == 1 || report.servers.iter().all(|it| it.server != party.kind()) {
                describe(report, Described { server: party.kind(), version, command });
            }
        }
        let count = rows.len();
        for (number, row) in rows.iter().enumerate() {
            let mut trial = row.trial(&self.shape, self.effort, &report.rows)?;
            trial.servers.retain(|(kind, _)| kinds.contains(kind));
            if trial.servers.is_empty() {
                continue;
            }
            say(&format!("row {} of {count}: {}", number + 1, row.name));
            if row.name == suite::ALONE_WRITES {
                self.floor(report)?;
            }
            let pairs = field.compare(&trial)?;
            say(&pairs.to_string());
            report.rows.push(pairs);
            report.save(&self.file)?;
        }
        Ok(())
    }

    /// The bare forced write, in as many rounds as there are pairs.
    fn floor(&self, report: &mut Report) -> Result<()> {
        report.forced_writes.clear();
        for _ in 0..self.effort.pairs {
            let latency = floor::forced_writes(&self.data, self.core, 0.5)?;
            say(&format!("  a bare forced write: p50 {:.0} us", latency.p50));
            report.forced_writes.push(latency);
        }
        Ok(())
    }

    /// The servers that keep what they are given.
    fn keepers(&self) -> impl Iterator<Item = Kind> {
        self.servers.clone().into_iter().filter(|it| it.keeps())
    }

    fn fills(&self, report: &mut Report, programs: &impl Fn(u64) -> Programs) -> Result<()> {
        let full = self.size == Size::Full;
        let sizes: &[u64] =
            if full { &[10_000, 100_000, 1_000_000, 10_000_000] } else { &[10_000, 100_000] };
        for &znodes in sizes.iter().filter(|it| **it <= self.most_znodes) {
            for kind in self.keepers() {
                // Ten million in a JVM would take most of the hour.
                let too_long = kind == Kind::Reference && znodes > 1_000_000;
                if too_long || report.fill(kind, znodes).is_some() {
                    continue;
                }
                let shape = TreeShape::Leaves;
                let filling = Filling { shape, znodes, size: 100, restarts: 3 };
                let filled = memory::fill(kind, &programs(znodes), filling)?;
                say(&filled.to_string());
                report.fills.push(filled);
                report.save(&self.file)?;
            }
        }
        Ok(())
    }

    fn snapshots(&self, report: &mut Report, programs: &impl Fn(u64) -> Programs) -> Result<()> {
        let full = self.size == Size::Full;
        let imaging = Imaging {
            znodes: if full { 1_000_000 } else { 100_000 },
            rate: 10_000.0,
            seconds: if full { 45.0 } else { 15.0 },
            snap_count: 100_000,
            load_core: self.shape.cores.first().copied(),
        };
        for kind in self.keepers() {
            if report.snapshot(kind).is_none() {
                let imaged = snapshots::imaged(kind, &programs(imaging.znodes), imaging)?;
                say(&imaged.to_string());
                report.snapshots.push(imaged);
                report.save(&self.file)?;
            }
        }
        Ok(())
    }

    fn fail_overs(&self, report: &mut Report, programs: &impl Fn(u64) -> Programs) -> Result<()> {
        let full = self.size == Size::Full;
        let sizes: &[u64] = if full { &[0, 1_000_000] } else { &[0] };
        for &znodes in sizes.iter().filter(|it| **it <= self.most_znodes) {
            for kind in self.keepers() {
                if report.fail_over(kind, znodes).is_some() {
                    continue;
                }
                let kills = if full && znodes == 0 { 100 } else { 10 };
                let drill = Drill { members: 3, znodes, kills, returns: 3 };
                let drilled = failover::drill(kind, &programs(znodes), drill)?;
                say(&drilled.to_string());
                report.fail_overs.push(drilled);
                report.save(&self.file)?;
            }
        }
        Ok(())
    }

    fn idle(&self, report: &mut Report, programs: &impl Fn(u64) -> Programs) -> Result<()> {
        let count = if self.size == Size::Full { 10_000 } else { 1_000 };
        for kind in self.keepers() {
            if report.held.iter().all(|it| it.server != kind) {
                say(&format!("{}: opens {count} idle sessions", kind.word()));
                let held = sessions::hold(kind, &programs(count as u64), count, 10.0)?;
                say(&held.to_string());
                report.held.push(held);
                report.save(&self.file)?;
            }
        }
        Ok(())
    }
}

/// The latest of each server stands.
fn describe(report: &mut Report, described: Described) {
    report.servers.retain(|it| it.server != described.server);
    report.servers.push(described);
}
