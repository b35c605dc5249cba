//! How a load is doing, a line each second for the person who waits.

use std::sync::atomic::{AtomicU64, Ordering};

/// What all threads of a load have counted so far, warm-up included.
#[derive(Debug, Default)]
pub(crate) struct Live {
    replies: AtomicU64,
    errors: AtomicU64,
}

impl Live {
    /// Adds what a thread has counted since it last did.
    pub(crate) fn add(&self, replies: u64, errors: u64) {
        self.replies.fetch_add(replies, Ordering::Relaxed);
        self.errors.fetch_add(errors, Ordering::Relaxed);
    }

    fn counts(&self) -> (u64, u64) {
        (self.replies.load(Ordering::Relaxed), self.errors.load(Ordering::Relaxed))
    }
}

/// Prints what came since the line before.
#[derive(Debug)]
pub(crate) struct Ticker<'a> {
    live: &'a Live,
    said: u64,
    at: u64,
}

impl<'a> Ticker<'a> {
    /// The first line tells what comes from now on.
    pub(crate) fn new(live: &'a Live, now: u64) -> Self {
        Self { live, said: live.counts().0, at: now }
    }

    /// One line. `left_s`: seconds until the load ends.
    #[expect(clippy::print_stderr, reason = "progress is for the person who waits")]
    pub(crate) fn tick(&mut self, name: &str, now: u64, left_s: f64) {
        let (replies, errors) = self.live.counts();
        let seconds = now.saturating_sub(self.at).max(1) as f64 / 1e9;
        let rate = (replies - self.said) as f64 / seconds;
        eprintln!("{name}: {rate:.0}/s, {errors} errors, {left_s:.0} s to go");
        (self.said, self.at) = (replies, now);
    }
}
