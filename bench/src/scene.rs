//! Loads where one client's doing makes another's: watches, sessions that come and go, locks, elections.

mod fanout;
mod gate;
mod lock;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use crate::crowd::Crowd;
use crate::meter::Meter;
use crate::requests::Root;

pub(crate) use gate::RootsReady;

/// Which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scene {
    /// One client sets a znode, all others watch it; the next set comes when everybody was told. Persistent watches.
    FanOut,
    /// The same with watches that fire once, set again by a read.
    FanOutOnce,
    /// Each connection opens a session and closes it, again and again.
    Sessions,
    /// All connections break at once, and all sessions come back.
    Storm,
    /// The lock recipe: an ephemeral sequential znode, a watch on the one before; released at once.
    Lock,
    /// The same, where the leader's session ends and the next one leads.
    Election,
}

impl Scene {
    /// Every one.
    pub(crate) const ALL: &[Self] =
        &[Self::FanOut, Self::FanOutOnce, Self::Sessions, Self::Storm, Self::Lock, Self::Election];

    /// Its name.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::FanOut => "fan-out",
            Self::FanOutOnce => "fan-out-once",
            Self::Sessions => "sessions",
            Self::Storm => "storm",
            Self::Lock => "lock",
            Self::Election => "election",
        }
    }

    /// What is counted, in the order of the meter's rows.
    pub(crate) fn names(self) -> &'static [&'static str] {
        match self {
            Self::FanOut | Self::FanOutOnce => &["notification", "everybody-told"],
            Self::Sessions => &["open", "close"],
            Self::Storm => &["session-back", "everybody-back"],
            Self::Lock => &["acquire"],
            Self::Election => &["handover"],
        }
    }

    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// What, and why.
    pub(crate) fn check(self, connections: usize) -> Result<()> {
        let least = match self {
            Self::Sessions | Self::Storm => 1,
            _ => 2,
        };
        let word = self.word();
        ensure!(connections >= least, "{word} needs {least} connections, not {connections}");
        Ok(())
    }

    /// Plays until `stop`.
    ///
    /// # Errors
    /// A connection ends where that was not expected, or a request fails that must not.
    pub(crate) fn play(
        self,
        crowd: &mut Crowd,
        root: &Root,
        meter: Meter,
        stop: u64,
    ) -> Result<Meter> {
        RootsReady::make(crowd, root)?;
        match self {
            Self::FanOut => fanout::play(crowd, root, fanout::Arm::Persistent, meter, stop),
            Self::FanOutOnce => fanout::play(crowd, root, fanout::Arm::Once, meter, stop),
            Self::Sessions => gate::churn(crowd, meter, stop),
            Self::Storm => gate::storm(crowd, meter, stop),
            Self::Lock => lock::play(crowd, root, lock::Release::Delete, meter, stop),
            Self::Election => lock::play(crowd, root, lock::Release::End, meter, stop),
        }
    }
}
