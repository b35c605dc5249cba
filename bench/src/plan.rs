//! How much machine a need takes, from what was measured: cores, memory, disk, head-room, each with its reason.
//!
//! The figures are those of one server on one core, and of an ensemble's writes (a report's rows); what they cannot say is said.

mod measured;

use anyhow::{Result, ensure};
use serde::Serialize;

use crate::report::plot::{short, time};

pub(crate) use measured::{Measured, ROWS};

/// What somebody needs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Needs {
    /// Znodes.
    pub(crate) znodes: u64,
    /// Bytes of data of each.
    pub(crate) size: u64,
    /// Sessions at the same time.
    pub(crate) sessions: u64,
    /// Reads per second.
    pub(crate) reads: f64,
    /// Writes per second.
    pub(crate) writes: f64,
    /// Watchers that are told of each write, on average.
    pub(crate) watchers: f64,
    /// What 99 % of requests are to be quicker than, microseconds; none for no wish.
    pub(crate) p99_us: Option<f64>,
    /// Servers in the ensemble.
    pub(crate) servers: u32,
}

/// One thing that is needed, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Line {
    /// Of what.
    pub(crate) of: &'static str,
    /// How much, for people.
    pub(crate) need: String,
    /// Why.
    pub(crate) because: String,
}

/// What a need takes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Plan {
    /// The need.
    pub(crate) needs: Needs,
    /// Cores of each server.
    pub(crate) cores: u64,
    /// Memory of each server, bytes.
    pub(crate) memory: u64,
    /// What the disk of each server must take, bytes per second.
    pub(crate) disk_bandwidth: f64,
    /// Room on it, bytes.
    pub(crate) disk_space: u64,
    /// Ensembles that the tree has to be split over; 1 if one will do.
    pub(crate) ensembles: u64,
    /// The share of a core that may be busy before requests wait too long.
    pub(crate) busy_share: f64,
    /// Each of them with its reason, and what else is to be known.
    pub(crate) lines: Vec<Line>,
}

/// A core is planned to be half busy where nothing else is asked.
const BUSY_SHARE: f64 = 0.5;

/// Room for what was not thought of.
const SPARE: f64 = 1.2;

/// What a snapshot may add to memory while it is written.
const IMAGE_MEMORY: f64 = 1.1;

/// Snapshots that are kept, and the one that is being written.
const IMAGES: u64 = 4;

/// The server's default, and how far apart in time snapshots should be, seconds.
const SNAP_COUNT: f64 = 100_000.0;
const SNAP_SECONDS: f64 = 60.0;

/// Bytes of address space that the tree may take unless the configuration says more.
const ARENA: u64 = 65_536 << 20;

/// Sessions come down to one ping in a third of their timeout, seconds.
const PING_SECONDS: f64 = 10.0;

/// The smallest write to the log, bytes.
const BLOCK: f64 = 4_096.0;

/// What the needs take.
///
/// # Errors
/// A need is not a number of anything.
pub(crate) fn plan(needs: Needs, measured: &Measured) -> Result<Plan> {
    let count = |it: f64| it.is_finite() && it >= 0.0;
    for (name, value) in [("reads", needs.reads), ("writes", needs.writes)] {
        ensure!(count(value), "{value} {name} per second: it is to be 0 or more");
    }
    ensure!(count(needs.watchers), "{} watchers: it is to be 0 or more", needs.watchers);
    if let Some(p99) = needs.p99_us {
        ensure!(p99 > 0.0, "a p99 of {p99} microseconds: it is to be more than 0");
    }
    ensure!(
        needs.servers > 0 && needs.servers % 2 == 1,
        "{} servers: an odd number decides",
        needs.servers
    );
    let mut lines = Vec::new();
    let busy_share = busy(needs, measured, &mut lines);
    let (cores, ensembles) = cores(needs, measured, busy_share, &mut lines);
    let memory = memory(needs, measured, &mut lines);
    let (disk_bandwidth, disk_space) = disk(needs, measured, &mut lines);
    others(needs, measured, &mut lines);
    Ok(Plan { needs, cores, memory, disk_bandwidth, disk_space, ensembles, busy_share, lines })
}

/// How busy a core may be for the p99 that is wanted.
fn busy(needs: Needs, measured: &Measured, lines: &mut Vec<Line>) -> f64 {
    let mut say = |need: String, because: String| lines.push(Line { of: "load", need, because });
    let Some(wanted) = needs.p99_us else {
        say(
            format!("{:.0} % of a core", 100.0 * BUSY_SHARE),
            "no p99 is asked for; half leaves room for bursts and for the loss of a server".into(),
        );
        return BUSY_SHARE;
    };
    let within = measured.p99_by_share.iter().filter(|(_, p99)| *p99 <= wanted);
    let most = within.map(|(share, _)| *share).fold(0.0, f64::max);
    if most > 0.0 {
        let share = most.min(BUSY_SHARE);
        say(
            format!("{:.0} % of a core", 100.0 * share),
            format!(
                "p99 within {} was measured up to {:.0} % of saturation; more than {:.0} % would leave no room for bursts",
                time(wanted),
                100.0 * most,
                100.0 * BUSY_SHARE
            ),
        );
        return share;
    }
    let quickest = measured.p99_by_share.iter().map(|it| it.1).fold(f64::INFINITY, f64::min);
    let found = if quickest.is_finite() {
        format!("the quickest p99 that was measured is {}", time(quickest))
    } else {
        "latency against load was not measured".to_owned()
    };
    say(
        "not shown to be possible".into(),
        format!("p99 within {}: {found}; the rest is planned for 10 % busy", time(wanted)),
    );
    0.1
}

fn cores(needs: Needs, measured: &Measured, busy: f64, lines: &mut Vec<Line>) -> (u64, u64) {
    let told = needs.writes * needs.watchers;
    let pings = needs.sessions as f64 / PING_SECONDS;
    let servers = f64::from(needs.servers);
    // Every server does every write; reads, notifications and pings are shared out.
    let parts = [
        ("writes", needs.writes * measured.write_cpu_us / 1e6),
        ("reads", needs.reads * measured.read_cpu_us / 1e6 / servers),
        ("notifications", told * measured.event_cpu_us / 1e6 / servers),
        ("pings", pings * measured.ping_cpu_us / 1e6 / servers),
    ];
    let sum: f64 = parts.iter().map(|it| it.1).sum();
    let cores = ((sum / busy).ceil() as u64).max(1);
    let shares: Vec<String> =
        parts.iter().map(|(name, cores)| format!("{name} {cores:.3}")).collect();
    lines.push(Line {
        of: "cores of each server",
        need: cores.to_string(),
        because: format!(
            "busy cores: {} ({:.2} us a write, {:.2} us a read, {:.2} us a notification), {sum:.3} in all, of which each core gives {:.0} %; {:.0} % \
             of the planned cores stay free",
            shares.join(", "),
            measured.write_cpu_us,
            measured.read_cpu_us,
            measured.event_cpu_us,
            100.0 * busy,
            100.0 * (1.0 - sum / cores as f64),
        ),
    });
    let most = measured.writes_per_second * busy;
    let ensembles = (needs.writes / most).ceil().max(1.0) as u64;
    if ensembles > 1 {
        lines.push(Line {
            of: "ensembles",
            need: ensembles.to_string(),
            because: format!(
                "PAST ONE ENSEMBLE: one server orders all writes on one core, {} a second when saturated and {} when {:.0} % busy; more servers or cores do \
                 not help, so the tree has to be split",
                short(measured.writes_per_second),
                short(most),
                100.0 * busy
            ),
        });
    } else {
        lines.push(Line {
            of: "ensembles",
            need: "1".into(),
            because: format!(
                "one core orders up to {} writes a second, {:.0} times what is needed",
                short(measured.writes_per_second),
                measured.writes_per_second / needs.writes.max(1.0)
            ),
        });
    }
    (cores, ensembles)
}

fn memory(needs: Needs, measured: &Measured, lines: &mut Vec<Line>) -> u64 {
    let each = znode_bytes(needs, measured);
    let tree = each * needs.znodes as f64;
    let sessions = measured.session_bytes * needs.sessions as f64 / f64::from(needs.servers);
    let memory = (measured.empty_bytes + tree) * IMAGE_MEMORY + sessions;
    let memory = (memory * SPARE) as u64;
    lines.push(Line {
        of: "memory of each server",
        need: format!("{}B", short(memory as f64)),
        because: format!(
            "{} znodes of {each:.0} B are {}B, {:.0} B for each of its sessions {}B, the empty server {}B; a tenth more while a snapshot is written, and a fifth \
             to spare",
            short(needs.znodes as f64),
            short(tree),
            measured.session_bytes,
            short(sessions),
            short(measured.empty_bytes),
        ),
    });
    if tree > ARENA as f64 {
        lines.push(Line {
            of: "configuration",
            need: format!("ringkeeper.arenaReserveMiB={}", (tree * SPARE) as u64 >> 20),
            because: "the tree outgrows the address space that is reserved for it by default"
                .into(),
        });
    }
    memory
}

/// Bytes of memory of a znode: as measured, and what its data differs from the measured one's.
fn znode_bytes(needs: Needs, measured: &Measured) -> f64 {
    let more = needs.size as f64 - measured.znode_data as f64;
    (measured.znode_bytes + more).max(measured.znode_bytes - measured.znode_data as f64)
}

fn disk(needs: Needs, measured: &Measured, lines: &mut Vec<Line>) -> (f64, u64) {
    let image = znode_bytes(needs, measured) * needs.znodes as f64;
    // Larger data makes larger transactions.
    let more = (needs.size as f64 - measured.write_data as f64).max(0.0);
    let log_each = measured.log_bytes + more;
    // Writes that come one at a time take a block each.
    let log = (needs.writes * log_each).max(needs.writes.min(measured.forced_per_second) * BLOCK);
    let snap_count = SNAP_COUNT.max(needs.writes * SNAP_SECONDS);
    let images = needs.writes / (snap_count * 0.75) * image;
    let space = image * IMAGES as f64
        + snap_count * IMAGES as f64 * log_each.max(BLOCK.min(log / needs.writes.max(1.0)));
    let space = (space * SPARE) as u64;
    lines.push(Line {
        of: "disk bandwidth of each server",
        need: format!("{}B/s", short(log + images)),
        because: format!(
            "log {}B/s ({log_each:.0} B a write in large batches, at least a block of 4 KiB for each batch), snapshots {}B/s",
            short(log),
            short(images)
        ),
    });
    lines.push(Line {
        of: "disk space of each server",
        need: format!("{}B", short(space as f64)),
        because: format!(
            "{IMAGES} snapshots of {}B, with the log that the oldest needs, and a fifth to spare",
            short(image)
        ),
    });
    if snap_count > SNAP_COUNT {
        lines.push(Line {
            of: "configuration",
            need: format!("snapCount={snap_count:.0}"),
            because: format!(
                "the default of {SNAP_COUNT:.0} would mean a snapshot every {:.1} s",
                SNAP_COUNT * 0.75 / needs.writes
            ),
        });
    }
    (log + images, space)
}

fn others(needs: Needs, measured: &Measured, lines: &mut Vec<Line>) {
    let restart = measured.restart_seconds_per_znode * needs.znodes as f64;
    lines.push(Line {
        of: "restart",
        need: format!("about {restart:.1} s"),
        because: "as measured per znode; the log behind the last snapshot comes on top".into(),
    });
    let quickest = measured.write_p50_us;
    lines.push(Line {
        of: "one client's writes",
        need: format!("at most {} a second", short(1e6 / quickest.max(1.0))),
        because: format!(
            "a write alone takes {} (p50): a client that waits for each gets no more",
            time(quickest)
        ),
    });
    let unknown = match (needs.servers, measured.write_servers) {
        (1, _) => "one server alone is gone while it restarts".to_owned(),
        (_, 1) => "an ensemble adds a round trip to each write and the leader sends each write to every follower, which was not measured".to_owned(),
        (_, few) => format!(
            "writes are those of an ensemble of {few} that shared a core and a disk, no network between them; the leader does more than the average, and more with \
             each follower"
        ),
    };
    lines.push(Line {
        of: "what this does not know",
        need: "measure before you buy".into(),
        because: format!("figures are of {}, one server on one core; {unknown}", measured.machine),
    });
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for line in &self.lines {
            writeln!(f, "{:<30} {}\n{:<30}   {}", line.of, line.need, "", line.because)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
