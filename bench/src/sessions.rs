//! Idle sessions: how many fit, what each costs in memory, and what their pings cost.

use std::time::Instant;

use anyhow::Result;

use crate::clock;
use crate::crowd::{Crowd, Idle};
use crate::process::{self, Usage};
use crate::server::{Kind, Programs, Server};

/// What idle sessions cost one server.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
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
    /// Sessions opened per second, 32 at a time.
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

/// Sessions that are opened between two looks at the time.
const STEP: usize = 1_000;

/// Opens `count` sessions of 30 s, or as many as fit, and lets them idle for `seconds`. Each pings every third of its timeout, as
/// ZooKeeper's own client does.
///
/// # Errors
/// The server does not start.
pub(crate) fn hold(kind: Kind, programs: &Programs, count: usize, seconds: f64) -> Result<Held> {
    process::raise_file_limit();
    let server = Server::start(kind, programs)?;
    // What a first session brings along is not each one's.
    let mut crowd = Crowd::open(&[server.address], 1)?;
    let empty_heap = crate::jvm::live_heap(kind, server.pid())?;
    let empty = Usage::of(server.pid())?.resident;
    let start = Instant::now();
    let mut refused = None;
    while crowd.len() < count && refused.is_none() {
        let step = count.min(crowd.len() + STEP);
        refused = crowd.grow(step).err().map(|error| format!("{error:#}"));
    }
    let sessions = crowd.len();
    let opened_per_second = sessions as f64 / start.elapsed().as_secs_f64();
    let full = Usage::of(server.pid())?;
    let full_heap = crate::jvm::live_heap(kind, server.pid())?;
    let (before, pings) = (Usage::of(server.pid())?, crowd.pings());
    let mut idle = Idle::default();
    crowd.run(&mut idle, clock::now() + clock::ns(seconds))?;
    let used = Usage::of(server.pid())?.since(before);
    let each = |empty: u64, full: u64| full.saturating_sub(empty) as f64 / sessions as f64;
    Ok(Held {
        server: kind,
        jvm_flags: (kind == Kind::Reference).then(|| programs.jvm_flags.clone()),
        asked: count,
        sessions,
        refused,
        opened_per_second,
        resident_each: each(empty, full.resident),
        live_each: empty_heap.zip(full_heap).map(|(empty, full)| each(empty, full)),
        pings_per_second: (crowd.pings() - pings) as f64 / seconds,
        cpu_percent: used.cpu_us as f64 / 1e4 / seconds,
        lost: idle.lost,
    })
}
