//! Whether one of two voters may go on alone: what the operator's oracle says, and how long that counts.
//!
//! ZooKeeper: `QuorumOracleMaj`. More than half of two is both of them, so somebody outside says which goes on while the other is away.
//!
//! **Differs:**
//! - What it says counts only for a server that is itself one of two voters that count alike, and that has acked what is asked about; the reference
//!   lets it decide about nobody's acks, too.
//! - It counts for a tick, and is asked again before that; the reference asks for each decision.
//! - With more voters, or groups, it says nothing. A reference server that has heard of no follower yet joins a leader whom nobody follows
//!   if its oracle says no, however many vote.
//!
//! *Absent:* the file that it is read from.

use core::time::Duration;

use crate::Moment;

/// Whether there is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Oracle {
    /// More than half decide, always.
    #[default]
    None,
    /// It is asked where one of two voters is alone. Source: `oraclePath`.
    Asked,
}

/// What it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Word {
    /// The other has gone, and does not go on by itself: this one may.
    GoOn,
    /// Anything else.
    Wait,
}

/// What it said last, as long as that counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Permit {
    until: Option<Moment>,
}

impl Permit {
    /// It has said `word`, which counts for this long.
    pub fn heard(now: Moment, word: Word, fresh: Duration) -> Self {
        Self { until: (word == Word::GoOn).then_some(now + fresh) }
    }

    /// Whether it allows to go on alone.
    pub fn holds(self, now: Moment) -> bool {
        self.until.is_some_and(|it| now < it)
    }
}
