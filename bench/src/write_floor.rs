//! A write beside what it cannot do without: a bare round trip, and one bare write that is forced to the same disk.
//!
//! The round trip is the same request to the epoll ceiling. The bare write is a block, direct and O_DSYNC, over zeros, by a thread
//! on the server's core. All of them take turns, pair by pair. Also how many writes of the device a transaction costs, alone and
//! with 256 in flight.

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::compare::Spread;
use crate::floor;
use crate::outcome::Outcome;
use crate::party::Party;
use crate::preset::{self, Job};
use crate::requests::Root;
use crate::run::{self, Shape};
use crate::server::{Kind, Programs};

/// One turn of each.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Turn {
    /// p50 of a set, one connection with one in flight, microseconds.
    pub(crate) set_us: f64,
    /// p50 of the same request to the epoll ceiling, microseconds.
    pub(crate) round_trip_us: f64,
    /// p50 of the bare write, microseconds.
    pub(crate) bare_write_us: f64,
    /// `set_us` divided by the sum of the other two.
    pub(crate) ratio: f64,
    /// Writes of the device per transaction in that set.
    pub(crate) device_writes_alone: f64,
    /// Writes of the device per transaction with 16 connections and 16 in flight on each.
    pub(crate) device_writes_crowded: f64,
}

/// All turns.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Floor {
    /// In their order.
    pub(crate) turns: Vec<Turn>,
}

/// Takes `turns` turns, each with rounds as `shape` says but for connections and depth.
///
/// # Errors
/// A server does not start, or the disk takes no direct writes.
pub(crate) fn measure(programs: &Programs, shape: &Shape, turns: usize) -> Result<Floor> {
    let ours = Party::start(Kind::Ringkeeper, programs, 1)?;
    let bare = Party::start(Kind::Epoll, programs, 1)?;
    let job = preset::named("set")?.pop().context("set is a load")?;
    let root = Root("/bench/floor".to_owned());
    for server in [&ours, &bare] {
        run::prepare(&server.target(), &job, &root)?;
    }
    let round = |server: &Party, job: &Job, connections, depth| -> Result<Outcome> {
        let shape = Shape { connections, depth, threads: 1, rate: None, ..shape.clone() };
        run::round(&server.target(), job, &shape, &root)
    };
    let mut all = Vec::new();
    for _ in 0..turns {
        let set = round(&ours, &job, 1, 1)?;
        let trip = round(&bare, &job, 1, 1)?;
        let bare_write_us = floor::forced_writes(&programs.data, programs.core, shape.seconds)?.p50;
        let crowded = round(&ours, &job, 16, 16)?;
        let writes = |it: &Outcome| it.server.map_or(f64::NAN, |used| used.disk_writes);
        let (set_us, round_trip_us) = (set.latency_us.p50, trip.latency_us.p50);
        all.push(Turn {
            set_us,
            round_trip_us,
            bare_write_us,
            ratio: set_us / (round_trip_us + bare_write_us),
            device_writes_alone: writes(&set),
            device_writes_crowded: writes(&crowded),
        });
    }
    Ok(Floor { turns: all })
}

impl std::fmt::Display for Floor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let spread = |figure: fn(&Turn) -> f64| {
            let spread = Spread::of(self.turns.iter().map(figure).collect());
            spread.map_or_else(|| "-".to_owned(), |it| it.to_string())
        };
        write!(
            f,
            "set, one in flight: p50 {} us\nbare round trip: p50 {} us\nbare O_DSYNC write: p50 {} us\n\
             set / (round trip + write): {}\ndevice writes per transaction: {} alone, {} with 256 in flight",
            spread(|it| it.set_us),
            spread(|it| it.round_trip_us),
            spread(|it| it.bare_write_us),
            spread(|it| it.ratio),
            spread(|it| it.device_writes_alone),
            spread(|it| it.device_writes_crowded),
        )
    }
}
