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
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// Nanoseconds between two requests.
    interval: f64,
    start: u64,
    sent: u64,
    /// The connection that is next.
    at: usize,
}

impl Pace {
    fn next_due(&self) -> u64 {
        self.start + (self.sent as f64 * self.interval) as u64
    }
}

impl Stream {
    /// A loop. `rate` is of this thread, requests per second; none for a closed loop.
    pub(crate) fn new(requests: Requests, depth: usize, rate: Option<f64>, meter: Meter) -> Self {
        let start = crate::clock::now();
        let pace = rate.map(|rate| Pace { interval: 1e9 / rate, start, sent: 0, at: 0 });
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
        let mut full = 0;
        while pace.next_due() <= now && full < crowd.len() && !self.exhausted {
            let at = pace.at;
            pace.at = (pace.at + 1) % crowd.len();
            if crowd.at(at).in_flight() >= self.depth {
                full += 1;
                continue;
            }
            full = 0;
            self.ask(at, pace.next_due(), crowd.queue(at));
            pace.sent += 1;
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
        self.pace.map(|pace| pace.next_due())
    }

    fn is_done(&self) -> bool {
        self.exhausted && self.waiting == 0
    }
}
