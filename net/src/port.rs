//! What the election port and the learner port have in common: where they listen, how they connect, what fails.
//!
//! *Invariants:* nothing here waits, but the thread that resolves names. Numbers of sources are never used twice, so an event of a
//! connection that is gone meets nobody.

mod dials;
mod ears;
mod error;
mod names;
mod security;
mod watch;

pub(crate) use self::dials::{Called, Dialled, Dials};
pub(crate) use self::ears::Ears;
pub use self::error::{PortError, PortKind};
pub use self::security::{Incoming, Security};
pub(crate) use self::watch::{Source, Watch};

/// Where a port listens, and with what.
#[derive(Clone, Debug)]
pub(crate) struct Listening {
    pub(crate) myid: quorum::Sid,
    pub(crate) kind: PortKind,
    pub(crate) addresses: Vec<quorum::Address>,
    /// On every address of the machine, at the ports of `addresses`.
    pub(crate) on_all: bool,
    pub(crate) keep_alive: crate::driver::KeepAlive,
}
