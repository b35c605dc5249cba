//! Moments, which the driver reads and the machines only compare.

use core::fmt;
use core::ops::Add;
use core::time::Duration;

use crate::Sid;

/// A moment of a clock that does not go back: microseconds since an origin that the driver chose.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// The origin.
    pub const ZERO: Self = Self(0);

    /// The moment `micros` microseconds after the origin.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// The moment `millis` milliseconds after the origin.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis * 1_000)
    }

    /// Microseconds since the origin.
    pub const fn micros(self) -> u64 {
        self.0
    }

    /// A part of `most` that differs from server to server and from time to time, as if by chance: for what all would do at once. Nothing else may
    /// depend on it.
    pub(crate) fn spread(sid: Sid, nth: u64, most: Duration) -> Duration {
        // splitmix64, of a number that no two servers have at once.
        let mut mixed = (sid.0 as u64).rotate_left(32).wrapping_add(nth);
        mixed = mixed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        let part = ((mixed ^ mixed >> 31) >> 32) as u32;
        most.mul_f64(f64::from(part) / f64::from(u32::MAX))
    }

    /// How long after `earlier` this is; zero if it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;
    /// Saturates at the end of time, which is 584,000 years after the origin.
    fn add(self, span: Duration) -> Self {
        let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(micros))
    }
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06} s", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}
