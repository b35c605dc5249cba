//! Whether a thread of shards looks out for events for a moment before it sleeps.
//!
//! To be woken costs a thread more than most requests do. One that asks again and again for [`LOOK`] before it sleeps is
//! there when the next request comes, if that comes soon; if not, it has burnt the core for nothing. So it looks only while
//! looks find something. And it looks only while the core is its own: who never sleeps has used up his share when somebody else
//! wants to run, and the scheduler lets him wait for milliseconds where it lets a sleeper in at once. So it measures how much of
//! the time it did not run although it wanted to, and keeps from looking for long when that was too much.
//!
//! Invariants: waits that are longer than [`SHORT`] are not looked into, so an idle server never looks; looks that find nothing grow
//! rarer up to [`REST_MAX`], and looks on a core that others want up to [`SHUN_MAX`]. Times are since any one moment.
//! Absent here: clocks and waits ([`super::Sleeper`]); whether a write to the log is under way, which nobody may look beside.

use std::time::Duration;

/// How long a wait is looked into.
pub(super) const LOOK: Duration = Duration::from_micros(50);
/// Looks begin when events come within so much, being woken included, and end when one does not.
const SHORT: Duration = Duration::from_micros(200);
/// So many such waits in a row.
const SHORT_WAITS: u32 = 4;

/// What a look that finds something is worth; one that does not costs [`MISS`], so two of three have to find.
const HIT: u32 = 1;
const MISS: u32 = 2;
/// The credit that looks begin with. They end when it is used up.
const CREDIT: u32 = 6;
/// With so much, looking has paid.
const CREDIT_MAX: u32 = 12;
/// For how long looks rest that have not paid: first, and at most.
const REST: Duration = Duration::from_millis(1);
const REST_MAX: Duration = Duration::from_millis(1 << 10);

/// The core is wanted when the thread has waited for it for so much longer than the allowed share of the time. Somebody who never
/// sleeps takes a few milliseconds at a time; what every system does now and then takes one or two, once in a second.
const WAITED_MAX: Duration = Duration::from_millis(5);
/// The share: one part of so many.
const WAITED_SHARE: u32 = 16;
/// For how long a wanted core is not looked on: first, and at most.
const SHUN: Duration = Duration::from_secs(1);
const SHUN_MAX: Duration = Duration::from_secs(64);

/// What came of a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Something,
    Nothing,
}

/// A look that is over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Looked {
    pub(super) found: Found,
    /// Since the end of the look before it, or since its own begin if the thread has slept in between.
    pub(super) lasted: Duration,
    /// How much of that the thread has run.
    pub(super) ran: Duration,
}

/// What a thread knows of its waits.
#[derive(Debug)]
pub(super) struct Lookout {
    /// Waits up to the last whose event came within [`SHORT`].
    short_waits: u32,
    /// Invariant: at least 1, at most [`CREDIT_MAX`].
    credit: u32,
    rest: Pause,
    shun: Pause,
    /// How long the thread has waited for the core, less the allowed share.
    waited: Duration,
    /// How long looks have gone on since the core was wanted last.
    unhindered: Duration,
}

/// A time without looks, each longer than the one before.
#[derive(Debug)]
struct Pause {
    until: Duration,
    next: Duration,
    most: Duration,
}

impl Pause {
    fn new(first: Duration, most: Duration) -> Self {
        Self { until: Duration::ZERO, next: first, most }
    }

    /// Begins it; how long it is.
    fn begin(&mut self, now: Duration) -> Duration {
        let time = self.next;
        self.until = now + time;
        self.next = (self.next * 2).min(self.most);
        time
    }
}

impl Lookout {
    pub(super) fn new() -> Self {
        Self {
            short_waits: 0,
            credit: CREDIT,
            rest: Pause::new(REST, REST_MAX),
            shun: Pause::new(SHUN, SHUN_MAX),
            waited: Duration::ZERO,
            unhindered: Duration::ZERO,
        }
    }

    /// How long the wait that begins may be looked into; none: not at all.
    pub(super) fn span(&self, now: Duration) -> Option<Duration> {
        let pays = SHORT_WAITS <= self.short_waits && self.rest.until <= now;
        (pays && self.shun.until <= now).then_some(LOOK)
    }

    /// A wait, looked into or not, has ended `after` it began.
    pub(super) fn woke(&mut self, after: Duration) {
        self.short_waits = if after < SHORT { self.short_waits.saturating_add(1) } else { 0 };
    }

    /// A look has ended at `now`. What was there before it began was not found by it. If others turn out to want the core: for how
    /// long it is not looked on.
    pub(super) fn looked(&mut self, now: Duration, looked: Looked) -> Option<Duration> {
        match looked.found {
            Found::Something => {
                self.credit = (self.credit + HIT).min(CREDIT_MAX);
                if self.credit == CREDIT_MAX {
                    self.rest.next = REST;
                }
            }
            Found::Nothing if self.credit <= MISS => {
                self.credit = CREDIT;
                self.rest.begin(now);
            }
            Found::Nothing => self.credit -= MISS,
        }
        self.measure(now, looked.lasted, looked.ran)
    }

    /// Sees whether others want the core.
    fn measure(&mut self, now: Duration, lasted: Duration, ran: Duration) -> Option<Duration> {
        self.waited += lasted.saturating_sub(ran);
        self.waited = self.waited.saturating_sub(lasted / WAITED_SHARE);
        self.unhindered += lasted;
        if WAITED_MAX < self.waited {
            self.waited = Duration::ZERO;
            self.unhindered = Duration::ZERO;
            return Some(self.shun.begin(now));
        }
        if self.shun.next <= self.unhindered {
            // Who wanted the core does so no more.
            self.shun.next = (self.shun.next / 2).max(SHUN);
            self.unhindered = Duration::ZERO;
        }
        None
    }
}

#[cfg(test)]
mod tests;
