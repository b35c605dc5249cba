//! Closed and open loops over many connections, on one thread.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use hdrhistogram::Histogram;
use jute::{Code, Op};
use mio::{Events, Interest, Poll, Token};

use crate::connection::Connection;
use crate::workload::{self, Requests, Workload, Znodes};

/// How hard to press.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub(crate) struct Shape {
    /// Connections, each with a session.
    pub(crate) connections: usize,
    /// Requests in flight on each.
    pub(crate) depth: usize,
    /// Requests per second in all, due at fixed moments (open loop); none for as many as are answered (closed loop).
    pub(crate) rate: Option<f64>,
    /// How long, after the warm-up.
    pub(crate) seconds: f64,
    /// How long before anything is counted.
    pub(crate) warmup_seconds: f64,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Replies while it counted.
    pub(crate) replies: u64,
    /// Replies with an error among them.
    pub(crate) errors: u64,
    /// How long it counted.
    pub(crate) elapsed: Duration,
    /// From due to reply, nanoseconds.
    pub(crate) latency: Histogram<u64>,
}

impl Outcome {
    /// Replies per second.
    pub(crate) fn per_second(&self) -> f64 {
        self.replies as f64 / self.elapsed.as_secs_f64()
    }
}

/// Connections under one poll.
#[derive(Debug)]
pub(crate) struct Driver {
    poll: Poll,
    connections: Vec<Connection>,
    scratch: Vec<u8>,
}

impl Driver {
    /// Opens the connections.
    ///
    /// # Errors
    /// One of them cannot be opened.
    pub(crate) fn open(server: SocketAddr, connections: usize) -> Result<Self> {
        let poll = Poll::new()?;
        let mut opened = Vec::with_capacity(connections);
        for token in 0..connections {
            let mut connection = Connection::open(server, 30_000)?;
            let both = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut connection.socket, Token(token), both)?;
            opened.push(connection);
        }
        Ok(Self { poll, connections: opened, scratch: vec![0; 256 << 10] })
    }

    /// Creates the root and `znodes.count` znodes below it, many at a time.
    ///
    /// # Errors
    /// A create fails with anything but NodeExists, or the connection ends.
    pub(crate) fn prepare(&mut self, znodes: &Znodes) -> Result<()> {
        for end in znodes.root.match_indices('/').skip(1).map(|(at, _)| at) {
            self.one(Op::Create, &znodes.root[..end], b"")?;
        }
        self.one(Op::Create, &znodes.root, b"")?;
        let mut requests =
            Requests::new(Workload::Create, Znodes { count: 0, ..znodes.clone() }, 1);
        self.send_all(usize::MAX, znodes.count, 256, |_, due, connection| {
            requests.next(due, connection);
        })
    }

    fn one(&mut self, op: Op, path: &str, data: &[u8]) -> Result<()> {
        let connection = &mut self.connections[0];
        workload::write(connection, Instant::now(), op, path.as_bytes(), data);
        self.drain(&[0])
    }

    /// Sends requests 0 to `count`, made by `make`, `depth` in flight on each of the first `connections` connections.
    ///
    /// # Errors
    /// A request fails with anything but NodeExists, or a connection ends.
    pub(crate) fn send_all(
        &mut self,
        connections: usize,
        count: u64,
        depth: usize,
        mut make: impl FnMut(u64, Instant, &mut Connection),
    ) -> Result<()> {
        let mut next = 0;
        let mut refill = |connection: &mut Connection| {
            let now = Instant::now();
            while next < count && connection.in_flight() < depth {
                make(next, now, connection);
                next += 1;
            }
        };
        let mut events = Events::with_capacity(1024);
        let mut failed = None;
        for connection in self.connections.iter_mut().take(connections) {
            refill(connection);
            connection.flush()?;
        }
        while self.connections.iter().any(|it| it.in_flight() > 0) {
            self.poll.poll(&mut events, Some(Duration::from_secs(30)))?;
            ensure!(!events.is_empty(), "no reply for 30 s");
            for event in &events {
                let connection = &mut self.connections[event.token().0];
                connection.receive(&mut self.scratch, |reply| {
                    if reply.err != 0 && reply.err != Code::NodeExists.number() {
                        failed = Some(reply.err);
                    }
                })?;
                if event.token().0 < connections {
                    refill(connection);
                }
                connection.flush()?;
            }
            ensure!(failed.is_none(), "a request failed with code {failed:?}");
        }
        Ok(())
    }

    fn drain(&mut self, which: &[usize]) -> Result<()> {
        let mut events = Events::with_capacity(64);
        for &at in which {
            self.connections[at].flush()?;
        }
        while which.iter().any(|&at| self.connections[at].in_flight() > 0) {
            self.poll.poll(&mut events, Some(Duration::from_millis(100)))?;
            for &at in which {
                self.connections[at].flush()?;
                self.connections[at].receive(&mut self.scratch, |_| {})?;
            }
        }
        Ok(())
    }

    /// Runs a load.
    ///
    /// # Errors
    /// A connection ends, or nothing is answered for ten seconds.
    pub(crate) fn run(&mut self, shape: Shape, requests: &mut Requests) -> Result<Outcome> {
        let start = Instant::now();
        let counted_from = start + Duration::from_secs_f64(shape.warmup_seconds);
        let end = counted_from + Duration::from_secs_f64(shape.seconds);
        let mut pace = Pace::new(shape, start);
        let mut outcome = Outcome {
            replies: 0,
            errors: 0,
            elapsed: Duration::from_secs_f64(shape.seconds),
            latency: Histogram::new_with_bounds(1, 60_000_000_000, 3)?,
        };
        let mut events = Events::with_capacity(1024);
        let mut now = start;
        let mut last_reply = start;
        for connection in &mut self.connections {
            pace.fill(now, connection, requests);
            connection.flush()?;
        }
        while now < end {
            self.poll.poll(&mut events, Some(pace.wait(now)))?;
            now = Instant::now();
            for event in &events {
                let connection = &mut self.connections[event.token().0];
                connection.receive(&mut self.scratch, |reply| {
                    last_reply = now;
                    if now >= counted_from {
                        outcome.replies += 1;
                        outcome.errors += u64::from(reply.err != 0);
                        outcome.latency.saturating_record((now - reply.due).as_nanos() as u64);
                    }
                })?;
                pace.fill(now, connection, requests);
                connection.flush()?;
            }
            if shape.rate.is_some() {
                for connection in &mut self.connections {
                    pace.fill(now, connection, requests);
                    connection.flush()?;
                }
            }
            ensure!(now - last_reply < Duration::from_secs(10), "no reply for 10 s");
        }
        let all: Vec<usize> = (0..self.connections.len()).collect();
        self.drain(&all)?;
        Ok(outcome)
    }
}

/// When the next request is due.
#[derive(Debug)]
struct Pace {
    depth: usize,
    /// Between two requests of an open loop.
    interval: Option<Duration>,
    next_due: Instant,
}

impl Pace {
    fn new(shape: Shape, start: Instant) -> Self {
        let interval = shape.rate.map(|rate| Duration::from_secs_f64(1.0 / rate));
        Self { depth: shape.depth, interval, next_due: start }
    }

    fn fill(&mut self, now: Instant, connection: &mut Connection, requests: &mut Requests) {
        while connection.in_flight() < self.depth {
            match self.interval {
                None => requests.next(now, connection),
                Some(_) if self.next_due > now => return,
                Some(interval) => {
                    requests.next(self.next_due, connection);
                    self.next_due += interval;
                }
            }
        }
    }

    fn wait(&self, now: Instant) -> Duration {
        match self.interval {
            None => Duration::from_millis(200),
            Some(_) => self.next_due.saturating_duration_since(now),
        }
    }
}
