//! Whole ensembles in one thread, from one seed.
//!
//! The machines are the product's: [`quorum::Server`], with a driver that is made of chance. A seed makes the ensemble, its
//! settings, its clients and all that goes wrong; a *safety stage* with faults is followed by a *liveness stage* without. What
//! is seen is checked as it happens ([`checker`]); what is found is replayed by its seed.
//!
//! *Absent:* the tree, sessions.

pub mod chance;
pub mod checker;
pub mod clock;
pub mod disk;
pub mod net;
pub mod node;
pub mod plan;
#[cfg(planted)]
pub mod planted;
pub mod violation;
pub mod walk;
pub mod world;

pub use plan::Plan;
pub use violation::Violation;
pub use world::{Failure, Summary, World};
