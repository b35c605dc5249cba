//! Idle sessions: how many fit, what each costs in memory, and what their pings cost.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::connection::Connection;
use crate::process::{self, Usage};
use crate::server::{Kind, Programs, Server};

/// What idle sessions cost one server.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Held {
    /// Which.
    pub(crate) server: Kind,
    /// Options of the JVM, if it is one.
    pub(crate) jvm_flags: Option<String>,
    /// Sessions that were asked for.
    pub(crate) asked: usize,
    /// Sessions that were opened.
    pub(crate) sessions: usize,
    /// Why there are not more, if there are fewer than asked for.
    pub(crate) refused: Option<String>,
    /// Sessions opened per second, one after the other.
    pub(crate) opened_per_second: f64,
    /// Resident bytes that each adds to the server: user space, the kernel's socket buffers are not in it.
    pub(crate) resident_each: f64,
    /// Bytes of live heap that each adds, if the server has a heap that is collected.
    pub(crate) live_each: Option<f64>,
    /// Pings answered per second.
    pub(crate) pings_per_second: f64,
    /// The server's CPU time over the time of the pings, percent of one core.
    pub(crate) cpu_percent: f64,
    /// Sessions that were lost while they idled.
    pub(crate) lost: usize,
}

impl std::fmt::Display for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:?}: {} idle sessions of {} ({:.0} opened per second), {:.0} B each resident",
            self.server, self.sessions, self.asked, self.opened_per_second, self.resident_each
        )?;
        if let Some(live) = self.live_each {
            write!(f, ", {live:.0} B each of live heap")?;
        }
        write!(
            f,
            "; {:.0} pings per second take {:.2} % of a core, {} sessions lost",
            self.pings_per_second, self.cpu_percent, self.lost
        )?;
        match &self.refused {
            Some(reason) => write!(f, "; no more because: {reason}"),
            None => Ok(()),
        }
    }
}

/// The sessions' timeout; they ping every third of it, as ZooKeeper's own client does.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Sockets that one loopback address is used for: fewer than there are ephemeral ports.
const PER_ADDRESS: usize = 20_000;

/// Opens `count` sessions, or as many as fit, and lets them idle for `seconds`.
///
/// # Errors
/// The server does not start.
pub(crate) fn hold(kind: Kind, programs: &Programs, count: usize, seconds: f64) -> Result<Held> {
    process::raise_file_limit();
    let server = Server::start(kind, programs)?;
    // What a first session brings along is not each one's.
    drop(Connection::open(server.address, 30_000)?);
    let empty_heap = crate::jvm::live_heap(kind, server.pid())?;
    let empty = Usage::of(server.pid())?.resident;
    let start = Instant::now();
    let mut held = Vec::with_capacity(count);
    let mut refused = None;
    while held.len() < count && refused.is_none() {
        let host = 1 + (held.len() / PER_ADDRESS) as u8;
        let from = IpAddr::V4(Ipv4Addr::new(127, 0, 1, host));
        match Connection::open_from(from, server.address, TIMEOUT.as_millis() as i32) {
            Ok(connection) => held.push(connection),
            Err(error) => refused = Some(format!("{error:#}")),
        }
    }
    let opened_per_second = held.len() as f64 / start.elapsed().as_secs_f64();
    let full = Usage::of(server.pid())?;
    let full_heap = crate::jvm::live_heap(kind, server.pid())?;
    let before = Usage::of(server.pid())?;
    let (pings, lost) = idle(&mut held, Duration::from_secs_f64(seconds));
    let used = Usage::of(server.pid())?.since(before);
    let sessions = held.len() as f64;
    let each = |empty: u64, full: u64| full.saturating_sub(empty) as f64 / sessions;
    Ok(Held {
        server: kind,
        jvm_flags: (kind == Kind::Reference).then(|| programs.jvm_flags.clone()),
        asked: count,
        sessions: held.len(),
        refused,
        opened_per_second,
        resident_each: each(empty, full.resident),
        live_each: empty_heap.zip(full_heap).map(|(empty, full)| each(empty, full)),
        pings_per_second: pings as f64 / seconds,
        cpu_percent: used.cpu_us as f64 / 1e4 / seconds,
        lost,
    })
}

/// Pings every session each third of its timeout, evenly; pings answered, and sessions lost.
fn idle(held: &mut [Connection], time: Duration) -> (u64, usize) {
    let mut scratch = vec![0; 4096];
    let mut lost = vec![false; held.len()];
    let interval = TIMEOUT / 3 / held.len().max(1) as u32;
    let start = Instant::now();
    let mut at = 0;
    while start.elapsed() < time && !held.is_empty() {
        let due = interval * at as u32;
        if let Some(early) = due.checked_sub(start.elapsed()) {
            // Sleeping is coarse; what becomes due meanwhile is sent in one go.
            std::thread::sleep(early.max(Duration::from_millis(2)));
        }
        let which = at % held.len();
        at += 1;
        let connection = &mut held[which];
        // The answer to the ping of ten seconds ago is in its socket.
        let alive = connection.receive(&mut scratch, |_| {}).is_ok();
        connection.ping();
        lost[which] |= !alive || connection.flush().is_err();
    }
    std::thread::sleep(Duration::from_millis(20));
    for (connection, lost) in held.iter_mut().zip(&mut lost) {
        *lost |= connection.receive(&mut scratch, |_| {}).is_err();
    }
    let pings = held.iter().map(|it| it.pings).sum();
    (pings, lost.iter().filter(|it| **it).count())
}
