//! Closed and open loops of independent requests.

use anyhow::{Result, ensure};

use crate::connection::{Connection, Incoming};
use crate::crowd::{Actor, Crowd};
use crate::meter::Meter;
use crate::requests::{Requests, TAG};

/// Requests in a closed loop (as many in flight as the depth says) or an open one (due at fixed moments, whatever the answers do).
#[derive(Debug)]
pub(crate) struct Stream {
    requests: Requests,
    depth: usize,
    pace: Option<Pace>,
    /// What was counted.
    pub(crate) meter: Meter,
    started: bool,
    exhausted: bool,
    waiting: usize,
}

/// The moments of an open loop.
///
/// Sent is at every quarter of a [`ROUND`], what is due by then; what is due within a round goes to one connection. So a thread sends
/// more requests a second than it could make system calls, as clients do that have several under way, and what a request waits
/// for its fellows is part of its latency. Slower than a request a round, each is sent at its moment, to one connection after the other.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// Nanoseconds between two requests.
    interval: f64,
    start: u64,
    sent: u64,
    /// Requests that go to one connection before it is the next one's turn.
    run: u64,
    /// The connection that is next.
    at: usize,
}

/// Nanoseconds in which the requests that fall due go to one connection.
const ROUND: u64 = 100_000;

impl Pace {
    fn new(rate: f64, start: u64) -> Self {
        let interval = 1e9 / rate;
        Self { interval, start, sent: 0, run: ((ROUND as f64 / interval) as u64).max(1), at: 0 }
    }

    fn next_due(&self) -> u64 {
        self.start + (self.sent as f64 * self.interval) as u64
    }

    /// When it is to be sent.
    fn next_turn(&self) -> u64 {
        let due = self.next_due();
        if self.run == 1 {
            return due;
        }
        self.start + (due - self.start).next_multiple_of(ROUND / 4)
    }

    /// One was sent, and `connections` there are.
    fn advance(&mut self, connections: usize) {
        self.sent += 1;
        if self.sent.is_multiple_of(self.run) {
            self.at = (self.at + 1) % connections;
        }
    }
}

impl Stream {
    /// A loop. `rate` is of this thread, requests per second; none for a closed loop.
    pub(crate) fn new(requests: Requests, depth: usize, rate: Option<f64>, meter: Meter) -> Self {
        let start = crate::clock::now();
        let pace = rate.map(|rate| Pace::new(rate, start));
        Self { requests, depth, pace, meter, started: false, exhausted: false, waiting: 0 }
    }

    /// How far behind its schedule an open loop is, nanoseconds; 0 for a closed one.
    pub(crate) fn behind(&self, now: u64) -> u64 {
        self.pace.map_or(0, |pace| now.saturating_sub(pace.next_due()))
    }

    fn refill(&mut self, at: usize, now: u64, connection: &mut Connection) {
        while connection.in_flight() < self.depth && !self.exhausted {
            self.ask(at, now, connection);
        }
    }

    fn ask(&mut self, at: usize, due: u64, connection: &mut Connection) {
        if self.requests.next(at, due, connection) {
            self.waiting += 1;
        } else {
            self.exhausted = true;
            // What was done until now counts for the time until now.
            self.meter.window.to = self.meter.window.to.min(crate::clock::now());
        }
    }

    /// Sends what is due. A connection that is full is passed over; if all are, what is due waits, and its latency runs.
    fn send_due(&mut self, now: u64, crowd: &mut Crowd) {
        let Some(mut pace) = self.pace else { return };
        if now < pace.next_turn() {
            return;
        }
        let mut full = 0;
        while pace.next_due() <= now && full < crowd.len() && !self.exhausted {
            let at = pace.at;
            if crowd.at(at).in_flight() >= self.depth {
                pace.at = (at + 1) % crowd.len();
                full += 1;
                continue;
            }
            full = 0;
            self.ask(at, pace.next_due(), crowd.queue(at));
            pace.advance(crowd.len());
        }
        self.pace = Some(pace);
    }
}

impl Actor for Stream {
    fn incoming(&mut self, at: usize, now: u64, what: Incoming<'_>, connection: &mut Connection) {
        match what {
            Incoming::Reply(reply) => {
                if !self.requests.follow(&reply, connection) {
                    self.waiting -= 1;
                    let tag = reply.asked.tag as usize & TAG;
                    self.meter.reply(now, reply.asked.due, tag, reply.err);
                    if self.pace.is_none() {
                        self.refill(at, now, connection);
                    }
                }
            }
            Incoming::Event => self.meter.event(now),
            Incoming::Connected | Incoming::Refused => {}
        }
    }

    fn turn(&mut self, now: u64, crowd: &mut Crowd) -> Result<()> {
        ensure!(crowd.len() > 0, "a load without connections");
        if self.pace.is_some() {
            self.send_due(now, crowd);
        } else if !self.started {
            for at in 0..crowd.len() {
                self.refill(at, now, crowd.queue(at));
            }
        }
        self.started = true;
        Ok(())
    }

    fn next_turn(&self) -> Option<u64> {
        self.pace.map(|pace| pace.next_turn())
    }

    fn is_done(&self) -> bool {
        self.exhausted && self.waiting == 0
    }
}

#[cfg(test)]
mod tests {
    use super::{Pace, ROUND};

    /// Sends until `end`; the connection of each, and the longest that one waited behind its moment.
    fn sent(rate: f64, end: u64) -> (Vec<usize>, u64) {
        let mut pace = Pace::new(rate, 7);
        let (mut connections, mut late) = (Vec::new(), 0);
        while pace.next_turn() <= end {
            let now = pace.next_turn();
            while pace.next_due() <= now {
                late = late.max(now - pace.next_due());
                connections.push(pace.at);
                pace.advance(3);
            }
        }
        (connections, late)
    }

    #[test]
    fn a_slow_loop_sends_each_at_its_moment_to_one_after_the_other() {
        let (connections, late) = sent(10_000.0, 10_000_000);
        assert_eq!((connections.len(), late), (100, 0));
        assert!(connections.iter().enumerate().all(|(i, at)| *at == i % 3));
    }

    #[test]
    fn a_fast_loop_sends_what_is_due_four_times_a_round_in_runs() {
        let (connections, late) = sent(250_000.0, 100_000_000);
        assert!(connections.len().abs_diff(25_000) <= 10, "{}", connections.len());
        assert!(late < ROUND / 4, "{late} ns late");
        assert!(connections.iter().enumerate().all(|(i, at)| *at == i / 25 % 3));
    }
}
