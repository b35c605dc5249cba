//! Everything that a side-by-side run found, as it is kept: JSON that this program reads again, and a page made from it.

mod curves;
mod goals;
mod page;
pub(crate) mod plot;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::compare::Pairs;
use crate::failover::Drilled;
use crate::machine::Machine;
use crate::memory::Filled;
use crate::outcome::Latency;
use crate::server::Kind;
use crate::sessions::Held;
use crate::snapshots::Imaged;

pub(crate) use goals::goals;
pub(crate) use page::page;

/// What this program writes, and the only one it reads.
const FORM: u32 = 1;

/// A run's results.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// The form of this file.
    pub(crate) form: u32,
    /// Name and version of what wrote it.
    pub(crate) program: String,
    /// Where it ran, as it was at the begin.
    pub(crate) machine: Machine,
    /// What whoever ran it says of the circumstances.
    pub(crate) remark: Option<String>,
    /// How this program was called, each time.
    pub(crate) calls: Vec<String>,
    /// The servers.
    pub(crate) servers: Vec<Described>,
    /// Loads, interleaved.
    pub(crate) rows: Vec<Pairs>,
    /// Bare forced writes of one block, a round each.
    pub(crate) forced_writes: Vec<Latency>,
    /// Memory and restart.
    pub(crate) fills: Vec<Filled>,
    /// Idle sessions.
    pub(crate) held: Vec<Held>,
    /// Writes while a snapshot is written.
    pub(crate) snapshots: Vec<Imaged>,
    /// Leaders killed, and followers that came back.
    #[serde(default)]
    pub(crate) fail_overs: Vec<Drilled>,
}

/// A server as it was started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Described {
    /// Which.
    pub(crate) server: Kind,
    /// What it says of its version.
    pub(crate) version: String,
    /// Its command line.
    pub(crate) command: String,
}

impl Report {
    /// One without results, of the machine that `data` is on.
    pub(crate) fn new(data: &Path) -> Self {
        Self {
            form: FORM,
            program: concat!("ringkeeper-bench ", env!("CARGO_PKG_VERSION")).to_owned(),
            machine: Machine::this(data),
            remark: None,
            calls: Vec::new(),
            servers: Vec::new(),
            rows: Vec::new(),
            forced_writes: Vec::new(),
            fills: Vec::new(),
            held: Vec::new(),
            snapshots: Vec::new(),
            fail_overs: Vec::new(),
        }
    }

    /// Reads what [`Report::save`] wrote.
    ///
    /// # Errors
    /// It cannot be read, or is of another form.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let name = || file.display().to_string();
        let text = std::fs::read_to_string(file).with_context(name)?;
        let report: Self = serde_json::from_str(&text)
            .with_context(|| format!("{} is no report of this program", name()))?;
        let form = report.form;
        ensure!(form == FORM, "{}: form {form}, this program reads form {FORM}", name());
        Ok(report)
    }

    /// Writes it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn save(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_string(self)?;
        std::fs::write(file, text).with_context(|| file.display().to_string())
    }

    /// A row.
    pub(crate) fn row(&self, name: &str) -> Option<&Pairs> {
        self.rows.iter().find(|it| it.name == name)
    }

    /// A fill of one server with that many leaves of 100 bytes.
    pub(crate) fn fill(&self, kind: Kind, znodes: u64) -> Option<&Filled> {
        let leaves = |it: &&Filled| it.filling.shape == crate::tree::TreeShape::Leaves;
        let mut fills = self.fills.iter().filter(leaves);
        fills.find(|it| it.server == kind && it.filling.znodes == znodes)
    }

    /// What happened when leaders of one kind were killed, with so many znodes loaded.
    pub(crate) fn fail_over(&self, kind: Kind, znodes: u64) -> Option<&Drilled> {
        let mut all = self.fail_overs.iter();
        all.find(|it| it.server == kind && it.drill.znodes == znodes)
    }

    /// What a snapshot cost one server.
    pub(crate) fn snapshot(&self, kind: Kind) -> Option<&Imaged> {
        self.snapshots.iter().find(|it| it.server == kind)
    }
}

/// The picture for a README: how throughput goes with the share of reads, and latency at the same load.
///
/// # Errors
/// It cannot be drawn.
pub(crate) fn picture(report: &Report) -> Result<String> {
    plot::standing_alone(&[
        curves::read_ratio(report),
        curves::distribution(report, "half-load-set"),
    ])
}
