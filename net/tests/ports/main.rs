//! The two ports of an ensemble's server, with the machines that they drive, over real sockets on this machine.
#![deny(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]
#![expect(clippy::disallowed_methods, reason = "tests read the clock, wait, and start threads")]

mod counting;
mod election;
mod ensemble;
mod java;
mod learners;
mod proxy;
mod server;
mod tls;
mod voter;

use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use quorum::{Moment, QuorumConfig, Views};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// The clock of the machines.
fn now() -> Moment {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    // Never zero, which is before everything.
    let micros = ORIGIN.get_or_init(Instant::now).elapsed().as_micros() + 1;
    Moment::from_micros(micros as u64)
}

/// Sleeps until one of `fds` is readable, or `deadline`, or for 50 ms.
fn sleep(fds: &[BorrowedFd<'_>], deadline: Option<Moment>) {
    let left = deadline.map_or(Duration::MAX, |it| it.since(now()));
    let left = left.min(Duration::from_millis(50));
    let mut fds: Vec<_> = fds.iter().map(|it| PollFd::new(it, PollFlags::IN)).collect();
    let left = Timespec { tv_sec: 0, tv_nsec: left.as_nanos() as i64 };
    poll(&mut fds, Some(&left)).unwrap();
}

/// Ports of this machine that nobody listens on, each given once. They are below those that connections go out from, which would take them
/// until a server listens there.
fn free_ports(count: usize) -> Vec<u16> {
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 10_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let from = std::process::id().wrapping_mul(37);
    let next = || FIRST + from.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
    let all = std::iter::repeat_with(|| next() as u16);
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    all.take(COUNT as usize).filter(is_free).take(count).collect()
}

/// Servers 1 to `count` at these quorum and election ports.
fn views_at(host: &str, ports: &[u16]) -> Views {
    let line = |(idx, pair): (usize, &[u16])| {
        format!("server.{}={host}:{}:{}:participant\n", idx + 1, pair[0], pair[1])
    };
    let text: String = ports.chunks_exact(2).enumerate().map(line).collect();
    Views::new(Arc::new(QuorumConfig::parse(&text).unwrap()))
}

/// How connections of the tests are protected that do not say: not at all. `PORTS_TLS=1`: servers call by TLS, and take both.
fn security() -> net::port::Security {
    match std::env::var_os("PORTS_TLS") {
        Some(_) => tls::security("member.pem", net::port::Incoming::Either),
        None => net::port::Security::default(),
    }
}

/// Servers 1 to `count` on free ports of this machine.
fn views(count: usize) -> Views {
    views_at("127.0.0.1", &free_ports(2 * count))
}
