//! The only clock of the server: monotonic milliseconds for leases, wall milliseconds for znodes.
#![expect(clippy::disallowed_methods, reason = "this is where drivers read the clock")]

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::pipeline::Moment;

static START: OnceLock<Instant> = OnceLock::new();

/// The present moment.
pub(crate) fn now() -> Moment {
    Moment { now_ms: now_ms(), wall_ms: wall_ms() }
}

/// Monotonic milliseconds since the clock was first read, the same for every thread.
pub(crate) fn now_ms() -> u64 {
    START.get_or_init(Instant::now).elapsed().as_millis() as u64
}

/// The present moment, for the machines of the ensemble.
pub(crate) fn moment() -> quorum::Moment {
    quorum::Moment::from_micros(START.get_or_init(Instant::now).elapsed().as_micros() as u64)
}

/// Wall milliseconds since 1970; 0 before that.
pub(crate) fn wall_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
