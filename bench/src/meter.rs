//! What is counted of replies: how many, with which outcome, after how long.

use std::collections::BTreeMap;
use std::sync::Arc;

use hdrhistogram::Histogram;
use jute::Code;

use crate::live::Live;

/// The moments between which replies count, nanoseconds of [`crate::clock`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// The end of the warm-up.
    pub(crate) from: u64,
    /// The end.
    pub(crate) to: u64,
}

/// Counts of one kind of request.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// Its name.
    pub(crate) name: String,
    /// Replies.
    pub(crate) replies: u64,
    /// Nanoseconds from due to reply, three digits, of any length.
    pub(crate) latency: Histogram<u64>,
}

/// Counts of a load, by kind of request.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    /// When it counts.
    pub(crate) window: Window,
    /// By tag.
    pub(crate) rows: Vec<Row>,
    /// Replies with an error, by code.
    pub(crate) errors: BTreeMap<i32, u64>,
    /// Events of watches.
    pub(crate) events: u64,
    /// Replies and events at any time.
    pub(crate) handled: u64,
    /// CPU time of the generator's thread for them, nanoseconds.
    pub(crate) cpu_ns: u64,
    /// Where the person who waits sees the counts.
    pub(crate) live: Option<Arc<Live>>,
    /// When each request was due and when its reply came, if that is asked for.
    pub(crate) series: Option<Vec<(u64, u64)>>,
    /// Replies and errors that `live` has not been told, and since when.
    untold: (u64, u64, u64),
}

/// How often `live` is told, nanoseconds.
const TELL_NS: u64 = 50_000_000;

impl Meter {
    /// A meter of these kinds.
    pub(crate) fn new(window: Window, names: impl IntoIterator<Item = String>) -> Self {
        let latency = Histogram::new(3).expect("three digits are allowed");
        let row = |name| Row { name, replies: 0, latency: latency.clone() };
        let rows = names.into_iter().map(row).collect();
        Self {
            window,
            rows,
            errors: BTreeMap::new(),
            events: 0,
            handled: 0,
            cpu_ns: 0,
            live: None,
            series: None,
            untold: (0, 0, 0),
        }
    }

    /// Whether replies count now.
    pub(crate) fn counts(&self, now: u64) -> bool {
        self.window.from <= now && now < self.window.to
    }

    /// Counts a reply.
    pub(crate) fn reply(&mut self, now: u64, due: u64, tag: usize, err: i32) {
        self.handled += 1;
        self.untold.0 += 1;
        self.untold.1 += u64::from(err != 0);
        if now.saturating_sub(self.untold.2) > TELL_NS {
            self.tell(now);
        }
        if self.counts(now) {
            if let Some(series) = &mut self.series {
                series.push((due, now));
            }
            let row = &mut self.rows[tag];
            row.replies += 1;
            row.latency += now.saturating_sub(due).max(1);
            if err != 0 {
                *self.errors.entry(err).or_default() += 1;
            }
        }
    }

    fn tell(&mut self, now: u64) {
        if let Some(live) = &self.live {
            live.add(self.untold.0, self.untold.1);
        }
        self.untold = (0, 0, now);
    }

    /// Counts an event of a watch.
    pub(crate) fn event(&mut self, now: u64) {
        self.events += u64::from(self.counts(now));
    }

    /// Adds what another thread counted.
    pub(crate) fn add(&mut self, other: &Self) {
        for (row, more) in self.rows.iter_mut().zip(&other.rows) {
            row.replies += more.replies;
            row.latency += &more.latency;
        }
        for (code, count) in &other.errors {
            *self.errors.entry(*code).or_default() += count;
        }
        if let (Some(all), Some(more)) = (&mut self.series, &other.series) {
            all.extend(more);
        }
        self.events += other.events;
        self.handled += other.handled;
        self.cpu_ns += other.cpu_ns;
    }

    /// Replies of all kinds.
    pub(crate) fn replies(&self) -> u64 {
        self.rows.iter().map(|row| row.replies).sum()
    }

    /// Latencies of all kinds.
    pub(crate) fn latency(&self) -> Histogram<u64> {
        let mut all = Histogram::new(3).expect("three digits are allowed");
        for row in &self.rows {
            all += &row.latency;
        }
        all
    }
}

/// A code by its name, or its number.
pub(crate) fn code_name(code: i32) -> String {
    Code::from_number(code).map_or_else(|| format!("code {code}"), |it| format!("{it:?}"))
}

#[cfg(test)]
mod tests {
    use super::{Meter, Window};

    #[test]
    fn replies_outside_of_the_window_do_not_count_and_none_inside_is_lost() {
        let mut meter = Meter::new(Window { from: 100, to: 200 }, ["get".to_owned()]);
        for now in [99, 100, 199, 200] {
            meter.reply(now, 0, 0, -101);
        }
        assert_eq!((meter.replies(), meter.errors[&-101]), (2, 2));
        let hour = 3_600_000_000_000;
        meter.window.to = u64::MAX;
        meter.reply(hour, 0, 0, 0);
        assert_eq!(meter.latency().len(), 3);
        assert!(meter.latency().max() >= hour);
    }
}
