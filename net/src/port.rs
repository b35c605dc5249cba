//! What the election port and the learner port have in common: where they listen, how they connect, what fails.

mod error;

pub use self::error::{PortError, PortKind};
