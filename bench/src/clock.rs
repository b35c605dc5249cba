//! The only clock: nanoseconds since the program first looked.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Nanoseconds of the monotonic clock.
pub(crate) fn now() -> u64 {
    START.elapsed().as_nanos() as u64
}

/// Nanoseconds that these seconds are.
pub(crate) fn ns(seconds: f64) -> u64 {
    Duration::from_secs_f64(seconds.max(0.0)).as_nanos() as u64
}
