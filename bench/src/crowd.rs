//! Many connections under one poll, and the loop that drives whoever talks over them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Error, Result, bail, ensure};
use jute::{Code, Op};
use mio::{Events, Interest, Poll, Token};

use crate::clock;
use crate::connection::{Asked, Connection, Incoming, Ticket};

/// Who talks over the connections of a crowd.
pub(crate) trait Actor {
    /// Something came in on connection `at`; may queue on that connection.
    fn incoming(&mut self, at: usize, now: u64, what: Incoming<'_>, connection: &mut Connection);

    /// What came in has been handed out; may queue on any connection, and open new ones.
    ///
    /// # Errors
    /// The load cannot go on.
    fn turn(&mut self, now: u64, crowd: &mut Crowd) -> Result<()>;

    /// A connection has ended.
    ///
    /// # Errors
    /// `error`, unless that was to be expected.
    fn ended(&mut self, at: usize, now: u64, error: Error) -> Result<()> {
        let _ = now;
        Err(error.context(format!("connection {at}")))
    }

    /// When [`Actor::turn`] has something to do even if nothing comes in, nanoseconds.
    fn next_turn(&self) -> Option<u64> {
        None
    }

    /// Whether there is nothing left to do.
    fn is_done(&self) -> bool {
        false
    }
}

/// Connections under one poll.
#[derive(Debug)]
pub(crate) struct Crowd {
    poll: Poll,
    servers: Vec<SocketAddr>,
    connections: Vec<Connection>,
    scratch: Vec<u8>,
    /// Connections with something queued outside of their own turn.
    dirty: Vec<usize>,
    pinged_at: u64,
}

/// The sessions' timeout, milliseconds; pings go after a third of it.
const TIMEOUT_MS: i32 = 30_000;

/// How often is looked who has been silent, nanoseconds.
const PING_ROUND: u64 = 100_000_000;

/// Connections that are made from one address: fewer than it has ephemeral ports.
const PER_ADDRESS: usize = 20_000;

/// How long a server may be silent while requests wait.
const PATIENCE: Duration = Duration::from_secs(30);

impl Crowd {
    /// Opens connections, spread over the servers, and waits until all are open.
    ///
    /// # Errors
    /// One of them cannot be opened.
    pub(crate) fn open(servers: &[SocketAddr], connections: usize) -> Result<Self> {
        ensure!(!servers.is_empty(), "no server is named");
        let mut crowd = Self {
            poll: Poll::new()?,
            servers: servers.to_vec(),
            connections: Vec::with_capacity(connections),
            scratch: vec![0; 256 << 10],
            dirty: Vec::new(),
            pinged_at: clock::now(),
        };
        crowd.grow(connections)?;
        Ok(crowd)
    }

    /// Opens connections until there are `count`.
    ///
    /// # Errors
    /// One of them cannot be opened; those before it stay.
    pub(crate) fn grow(&mut self, count: usize) -> Result<()> {
        while self.len() < count {
            let first = self.len();
            // Fewer at a time than the shortest backlog in use.
            let last = count.min(first + 32);
            for at in first..last {
                self.connect(at, Ticket::NEW)?;
            }
            self.run(&mut Opening { left: last - first, refused: false }, u64::MAX)?;
        }
        Ok(())
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.connections.len()
    }

    /// A connection, to queue on.
    pub(crate) fn queue(&mut self, at: usize) -> &mut Connection {
        self.dirty.push(at);
        &mut self.connections[at]
    }

    /// A connection, to look at.
    pub(crate) fn at(&self, at: usize) -> &Connection {
        &self.connections[at]
    }

    /// Begins to connect place `at` anew; what was there is closed without a word.
    ///
    /// # Errors
    /// There is no socket to be had.
    pub(crate) fn connect(&mut self, at: usize, ticket: Ticket) -> Result<()> {
        let server = self.servers[at % self.servers.len()];
        let mut connection = match (at / PER_ADDRESS) as u8 {
            0 => Connection::start(server, ticket, TIMEOUT_MS)?,
            host if server.ip().is_loopback() => {
                let from = IpAddr::V4(Ipv4Addr::new(127, 0, 1, host));
                Connection::start_from(from, server, ticket, TIMEOUT_MS)?
            }
            _ => bail!("more than {PER_ADDRESS} connections only to a loopback address"),
        };
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut connection.socket, Token(at), both)?;
        if at < self.connections.len() {
            self.connections[at] = connection;
        } else {
            assert!(at == self.connections.len(), "places are filled from the first");
            self.connections.push(connection);
        }
        self.dirty.push(at);
        Ok(())
    }

    /// Lets the actor talk until `stop`, nanoseconds, or until it is done.
    ///
    /// # Errors
    /// A connection ends where that was not expected, or nothing comes in for too long.
    pub(crate) fn run(&mut self, actor: &mut impl Actor, stop: u64) -> Result<()> {
        let mut events = Events::with_capacity(4096);
        let mut now = clock::now();
        let mut heard_at = now;
        loop {
            actor.turn(now, self)?;
            self.flush(now, actor)?;
            if now >= stop || actor.is_done() {
                return Ok(());
            }
            let wait = wait(now, stop, actor.next_turn());
            if wait.is_zero() {
                // Without this the kernel's own threads on this core, which end others' writes to the disk, wait for the next tick.
                rustix::thread::sched_yield();
            }
            if let Err(error) = self.poll.poll(&mut events, Some(wait))
                && error.kind() != std::io::ErrorKind::Interrupted
            {
                return Err(error).context("poll");
            }
            now = clock::now();
            for event in &events {
                heard_at = now;
                self.take(event.token().0, now, actor)?;
                // The end came with the last bytes, and is not told of again.
                if event.is_read_closed() {
                    self.take(event.token().0, now, actor)?;
                }
            }
            if now - self.pinged_at > PING_ROUND {
                self.pinged_at = now;
                self.ping_idle(now);
                let silent = Duration::from_nanos(now - heard_at);
                let waiting = || self.connections.iter().any(|it| it.in_flight() > 0);
                ensure!(silent < PATIENCE || !waiting(), "no reply for {silent:?}");
            }
        }
    }

    fn take(&mut self, at: usize, now: u64, actor: &mut impl Actor) -> Result<()> {
        let connection = &mut self.connections[at];
        if connection.ended {
            return Ok(());
        }
        let each = |connection: &mut Connection, what: Incoming<'_>| {
            actor.incoming(at, now, what, connection);
        };
        let taken = connection.receive(&mut self.scratch, each).and_then(|()| connection.flush());
        taken.or_else(|error| {
            self.connections[at].ended = true;
            actor.ended(at, now, error)
        })
    }

    fn flush(&mut self, now: u64, actor: &mut impl Actor) -> Result<()> {
        while let Some(at) = self.dirty.pop() {
            let connection = &mut self.connections[at];
            if connection.ended {
                continue;
            }
            if let Err(error) = connection.flush() {
                connection.ended = true;
                actor.ended(at, now, error)?;
            }
        }
        Ok(())
    }

    fn ping_idle(&mut self, now: u64) {
        let third = TIMEOUT_MS as u64 * 1_000_000 / 3;
        for (at, connection) in self.connections.iter_mut().enumerate() {
            if connection.is_open()
                && !connection.ended
                && now.saturating_sub(connection.sent_at) > third
            {
                connection.ping();
                self.dirty.push(at);
            }
        }
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
        make: impl FnMut(u64, &mut Connection),
    ) -> Result<()> {
        let connections = connections.min(self.connections.len());
        let mut sending =
            Sending { connections, count, depth, make, next: 0, done: 0, failed: None };
        self.run(&mut sending, u64::MAX)
    }

    /// Pings that were answered on connections that are still there.
    pub(crate) fn pings(&self) -> u64 {
        self.connections.iter().map(|it| it.pings).sum()
    }

    /// Ends every session and connection.
    ///
    /// # Errors
    /// The poll fails.
    pub(crate) fn close(mut self) -> Result<()> {
        for at in 0..self.len() {
            self.queue(at).request(Asked::default(), Op::CloseSession, |_| {});
        }
        let left = self.connections.iter().filter(|it| !it.ended).count();
        let mut closing = Closing { left };
        self.run(&mut closing, clock::now() + 10_000_000_000)
    }
}

/// How long to wait for the sockets. The last millisecond before something is due is spent looking, because sleep is coarse.
fn wait(now: u64, stop: u64, due: Option<u64>) -> Duration {
    let until = due.unwrap_or(u64::MAX).min(stop).saturating_sub(now);
    let coarse = 1_100_000;
    Duration::from_nanos(until.saturating_sub(coarse).min(200_000_000))
}

/// Waits for handshakes.
struct Opening {
    left: usize,
    refused: bool,
}

impl Actor for Opening {
    fn incoming(&mut self, _: usize, _: u64, what: Incoming<'_>, _: &mut Connection) {
        self.left -= usize::from(matches!(what, Incoming::Connected));
        self.refused |= matches!(what, Incoming::Refused);
    }

    fn turn(&mut self, _: u64, _: &mut Crowd) -> Result<()> {
        ensure!(!self.refused, "the server refused a session");
        Ok(())
    }

    fn ended(&mut self, at: usize, _: u64, error: Error) -> Result<()> {
        let why = "ended before its session was there: servers let one address have no more than maxClientCnxns connections, 60 unless configured";
        Err(error.context(format!("connection {at} {why}")))
    }

    fn is_done(&self) -> bool {
        self.left == 0
    }
}

/// Lets connections idle; the crowd pings.
#[derive(Debug, Default)]
pub(crate) struct Idle {
    /// Connections that have ended.
    pub(crate) lost: usize,
}

impl Actor for Idle {
    fn incoming(&mut self, _: usize, _: u64, _: Incoming<'_>, _: &mut Connection) {}

    fn turn(&mut self, _: u64, _: &mut Crowd) -> Result<()> {
        Ok(())
    }

    fn ended(&mut self, _: usize, _: u64, _: Error) -> Result<()> {
        self.lost += 1;
        Ok(())
    }
}

/// Waits for the ends.
struct Closing {
    left: usize,
}

impl Actor for Closing {
    fn incoming(&mut self, _: usize, _: u64, _: Incoming<'_>, _: &mut Connection) {}

    fn turn(&mut self, _: u64, _: &mut Crowd) -> Result<()> {
        Ok(())
    }

    fn ended(&mut self, _: usize, _: u64, _: Error) -> Result<()> {
        self.left = self.left.saturating_sub(1);
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.left == 0
    }
}

/// Sends a number of requests.
struct Sending<F> {
    connections: usize,
    count: u64,
    depth: usize,
    make: F,
    next: u64,
    done: u64,
    failed: Option<i32>,
}

impl<F: FnMut(u64, &mut Connection)> Sending<F> {
    fn refill(&mut self, connection: &mut Connection) {
        while self.next < self.count && connection.in_flight() < self.depth {
            (self.make)(self.next, connection);
            self.next += 1;
        }
    }
}

impl<F: FnMut(u64, &mut Connection)> Actor for Sending<F> {
    fn incoming(&mut self, at: usize, _: u64, what: Incoming<'_>, connection: &mut Connection) {
        if let Incoming::Reply(reply) = what {
            self.done += 1;
            if reply.err != 0 && reply.err != Code::NodeExists.number() {
                self.failed = Some(reply.err);
            }
            if at < self.connections {
                self.refill(connection);
            }
        }
    }

    fn turn(&mut self, _: u64, crowd: &mut Crowd) -> Result<()> {
        if self.next == 0 {
            for at in 0..self.connections {
                self.refill(crowd.queue(at));
            }
        }
        if let Some(code) = self.failed {
            bail!("a request failed with code {code}");
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.done == self.count
    }
}
