//! A server's clock: it runs faster or slower than time does, and jumps.
//!
//! It is the one that servers wait by, which never goes back; it goes on at another pace than others', and forward at once when
//! a machine was frozen, or moved to another host.

use std::time::Duration;

use quorum::Moment;

/// A clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Its milliseconds in a second of time.
    pace: u64,
    since: Moment,
    showed: Moment,
}

impl Clock {
    /// One of so many milliseconds in a second.
    pub fn new(pace: u64) -> Self {
        assert!(0 < pace);
        Self { pace, since: Moment::ZERO, showed: Moment::ZERO }
    }

    /// What it shows at a moment of time.
    pub fn shows(&self, at: Moment) -> Moment {
        let micros = at.since(self.since).as_micros() as u64;
        self.showed + Duration::from_micros(micros * self.pace / 1_000)
    }

    /// The first moment of time at which it shows this, if it is not behind.
    pub fn when(&self, shown: Moment) -> Moment {
        if shown <= self.showed {
            return self.since;
        }
        let micros = shown.since(self.showed).as_micros() as u64;
        self.since + Duration::from_micros((micros * 1_000).div_ceil(self.pace))
    }

    /// It goes forward at once.
    pub fn jump(&mut self, at: Moment, by: Duration) {
        (self.showed, self.since) = (self.shows(at) + by, at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_reached_when_the_clock_shows_it() {
        for pace in [700, 999, 1_000, 1_001, 1_300] {
            let mut clock = Clock::new(pace);
            clock.jump(Moment::ZERO + Duration::from_micros(12_345), Duration::from_secs(3));
            for micros in [3_012_346, 4_000_000, 4_000_001, 9_999_999] {
                let shown = Moment::ZERO + Duration::from_micros(micros);
                let at = clock.when(shown);
                assert!(shown <= clock.shows(at), "{pace}: {at:?}");
            }
        }
    }
}
