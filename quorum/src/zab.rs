//! ZAB: discovery, synchronisation and broadcast, as leader and as learner.
//!
//! ZooKeeper: `Leader`, `LearnerHandler`, `Learner`, `Follower`, `Observer`. `docs/zab.md` maps each step of the protocol to a
//! function. A role is a struct that [`crate::Peer`] makes and consumes; what outlives roles is in `Replica`.

mod error;
mod history;
mod io;
mod leader;
mod learner;
mod planted;
mod replica;
mod sync_plan;
mod throttle;

use alloc::vec::Vec;

pub use error::{LeaveReason, LinkError, Phase};
pub use history::{History, WindowLimits};
pub use io::{Group, Input, Link, Output, Packet, Plain, SyncFrom, To, Validity, Write, WriteId};
pub(crate) use leader::Leader;
pub use leader::LearnerCounts;
pub(crate) use learner::Learner;
pub use learner::ObserverMasters;
#[cfg(planted)]
pub use planted::Bug;
pub(crate) use replica::Replica;
pub use replica::{ObserverDelays, Reconfig, Restored, Settings};
pub(crate) use sync_plan::SyncPlan;
pub use throttle::{SyncBy, SyncKind, SyncLimits};

use crate::Moment;

/// What a role sees while it takes one input.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    pub(crate) now: Moment,
    pub(crate) replica: &'a mut Replica,
    pub(crate) out: &'a mut Vec<Output>,
}

impl Step<'_> {
    /// Sends a packet of numbers.
    pub(crate) fn send(&mut self, to: To, plain: Plain) {
        self.out.push(Output::Send { to, packet: Packet::Plain(plain) });
    }
}
