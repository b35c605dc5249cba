//! Whole ensembles in one thread, from one seed.
//!
//! The machines are the product's: [`quorum::Server`], with a driver that is made of chance. A seed makes the ensemble, its
//! settings, its clients and all that goes wrong; a *safety stage* with faults is followed by a *liveness stage* without. What
//! is seen is checked as it happens ([`checker`]); what is found is replayed by its seed.
//!
//! Clients are served by the program's own pipeline, tree and session shards; `replay` says what they should have been told.

extern crate alloc;

pub mod chance;
pub mod checker;
mod client;
pub mod clock;
pub mod disk;
mod locals;
#[path = "../../../engine/src/twin/model.rs"]
#[expect(dead_code, reason = "clients here do not ask for everything")]
mod model;
pub mod net;
pub mod node;
pub mod plan;
#[cfg(planted)]
pub mod planted;
mod replay;
pub mod service;
pub mod violation;
pub mod walk;
pub mod world;

pub use plan::Plan;
pub use violation::Violation;
pub use world::{Failure, Summary, World};
