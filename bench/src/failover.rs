//! Drills of an ensemble: its leader is killed, and a follower that comes back.
//!
//! What a client sees is what counts: from the kill to the reply to a write that was sent after it, asked of all survivors at once;
//! and from the follower's start to its first session. Names and ticks are the servers' defaults.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use jute::{AclList, Code, CreateRequest, Field, Op, SetDataRequest};

use crate::compare::{Spread, say};
use crate::connection::{Asked, Connection};
use crate::crowd::Crowd;
use crate::memory::plant;
use crate::party::Party;
use crate::server::{Kind, Programs};
use crate::tree::{Tree, TreeShape};

/// What to do.
#[derive(Clone, Copy, Debug, clap::Args, serde::Serialize, serde::Deserialize)]
pub(crate) struct Drill {
    /// Members of the ensemble.
    #[arg(long, default_value_t = 3)]
    pub(crate) members: usize,
    /// Znodes of 100 bytes in the tree.
    #[arg(long, default_value_t = 0)]
    pub(crate) znodes: u64,
    /// Kills of the leader.
    #[arg(long, default_value_t = 20)]
    pub(crate) kills: usize,
    /// Kills of a follower, which misses a thousand writes.
    #[arg(long, default_value_t = 3)]
    pub(crate) returns: usize,
}

/// What came of it.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Drilled {
    /// Which server.
    pub(crate) server: Kind,
    /// With what.
    pub(crate) drill: Drill,
    /// From each kill of the leader to the reply to a write that was sent after it, milliseconds.
    pub(crate) write_ms: Vec<f64>,
    /// From a follower's start, a thousand writes behind, to its first session, seconds.
    pub(crate) return_seconds: Vec<f64>,
}

impl Drilled {
    /// So many percent of the kills took this long or less, milliseconds.
    pub(crate) fn percentile_ms(&self, percent: usize) -> Option<f64> {
        let mut all = self.write_ms.clone();
        all.sort_by(f64::total_cmp);
        all.get((all.len() * percent).div_ceil(100).max(1) - 1).copied()
    }

    /// How long followers took to come back.
    pub(crate) fn returned(&self) -> Option<Spread> {
        Spread::of(self.return_seconds.clone())
    }
}

impl std::fmt::Display for Drilled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Drill { members, znodes, kills, .. } = self.drill;
        let at = |percent| self.percentile_ms(percent).unwrap_or(f64::NAN);
        write!(
            f,
            "{:?}: {members} members, {znodes} znodes, {kills} leaders killed: the next write after {:.0} ms, p99 {:.0}, worst {:.0}",
            self.server,
            at(50),
            at(99),
            at(100)
        )?;
        if let Some(seconds) = self.returned() {
            write!(f, "; a follower a thousand writes behind serves {seconds} s after its start")?;
        }
        Ok(())
    }
}

/// Writes that a follower misses.
const MISSED: u64 = 1_000;

/// How long an ensemble may take to serve again.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long the ensemble is whole before the next kill.
const REST: Duration = Duration::from_millis(300);

const PATH: &[u8] = b"/bench-drill";

/// Starts an ensemble, fills it, and kills its members one at a time.
///
/// # Errors
/// It does not start, or does not serve again within a minute.
pub(crate) fn drill(kind: Kind, programs: &Programs, drill: Drill) -> Result<Drilled> {
    ensure!(2 < drill.members, "{} members cannot do without one", drill.members);
    let mut party = Party::start(kind, programs, drill.members)?;
    let leader = party.members[party.leader()?].address;
    if 0 < drill.znodes {
        say(&format!("{}: creates {} znodes", kind.word(), drill.znodes));
        let tree = Tree::new(TreeShape::Leaves, drill.znodes, 100);
        let mut crowd = Crowd::open(&[leader], 16)?;
        plant(&mut crowd, &tree, &tree.directories())?;
        crowd.close()?;
    }
    create(leader)?;
    let mut drilled =
        Drilled { server: kind, drill, write_ms: Vec::new(), return_seconds: Vec::new() };
    for number in 1..=drill.kills {
        let took = kill_leader(&mut party).with_context(|| party.last_words())?;
        let ms = took.as_secs_f64() * 1e3;
        say(&format!("{}: kill {number}/{}: {ms:.0} ms", kind.word(), drill.kills));
        drilled.write_ms.push(ms);
    }
    for number in 1..=drill.returns {
        let took = miss_writes(&mut party).with_context(|| party.last_words())?.as_secs_f64();
        say(&format!("{}: return {number}/{}: {took:.2} s", kind.word(), drill.returns));
        drilled.return_seconds.push(took);
    }
    Ok(drilled)
}

fn create(server: SocketAddr) -> Result<()> {
    let mut connection = Connection::open(server, 30_000)?;
    connection.request(Asked::default(), Op::Create, |out| {
        CreateRequest { path: Some(PATH), data: Some(b""), acl: AclList::open(), flags: 0 }
            .write(out);
    });
    let err = connection.wait(PATIENCE)?;
    ensure!(err == Code::Ok.number(), "the create: {err}");
    Ok(())
}

/// Kills the leader, and waits until the ensemble is whole again. The time to the next write.
fn kill_leader(party: &mut Party) -> Result<Duration> {
    let leader = party.leader()?;
    let survivors: Vec<SocketAddr> = others(party, leader);
    let start = Instant::now();
    party.members[leader].kill_now()?;
    let took = next_write(&survivors, start)?;
    come_back(party, leader)?;
    Ok(took)
}

fn others(party: &Party, but: usize) -> Vec<SocketAddr> {
    let others = party.members.iter().enumerate().filter(|it| it.0 != but);
    others.map(|it| it.1.address).collect()
}

/// Starts a killed member; from then to its first session.
fn come_back(party: &mut Party, member: usize) -> Result<Duration> {
    party.members[member].kill()?;
    let start = party.members[member].start_again()?;
    party.members[member].wait()?;
    let took = start.elapsed();
    std::thread::sleep(REST);
    Ok(took)
}

/// When the first of `servers` has acknowledged a write of a new session, counted from `start`.
fn next_write(servers: &[SocketAddr], start: Instant) -> Result<Duration> {
    let done = AtomicBool::new(false);
    let ask = |server: SocketAddr| {
        while !done.load(Ordering::Relaxed) && start.elapsed() < PATIENCE {
            if write_once(server).is_ok() {
                done.store(true, Ordering::Relaxed);
                return Some(start.elapsed());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        None
    };
    let took = std::thread::scope(|scope| {
        let asking: Vec<_> = servers.iter().map(|it| scope.spawn(|| ask(*it))).collect();
        asking.into_iter().filter_map(|it| it.join().ok().flatten()).min()
    });
    took.context("no write was acknowledged within a minute")
}

fn write_once(server: SocketAddr) -> Result<()> {
    let mut connection = Connection::open_within(server, Duration::from_secs(2))?;
    set(&mut connection);
    let err = connection.wait(Duration::from_secs(2))?;
    ensure!(err == Code::Ok.number(), "the set: {err}");
    Ok(())
}

fn set(connection: &mut Connection) {
    connection.request(Asked::default(), Op::SetData, |out| {
        SetDataRequest { path: Some(PATH), data: Some(b"x"), version: -1 }.write(out);
    });
}

/// Kills a follower, writes, and starts it again; from there to its first session.
fn miss_writes(party: &mut Party) -> Result<Duration> {
    let leader = party.leader()?;
    let follower = (leader + 1) % party.members.len();
    party.members[follower].kill()?;
    let mut crowd = Crowd::open(&[party.members[leader].address], 1)?;
    crowd.send_all(1, MISSED, 64, |_, connection| set(connection))?;
    crowd.close()?;
    come_back(party, follower)
}

#[cfg(test)]
mod tests {
    use super::{Drill, Drilled};
    use crate::server::Kind;

    #[test]
    fn percentiles_are_of_what_was_measured() {
        let drill = Drill { members: 3, znodes: 0, kills: 4, returns: 0 };
        let (server, return_seconds) = (Kind::Ringkeeper, Vec::new());
        let write_ms = vec![40.0, 10.0, 30.0, 20.0];
        let drilled = Drilled { server, drill, write_ms, return_seconds };
        assert_eq!(drilled.percentile_ms(50), Some(20.0));
        assert_eq!(drilled.percentile_ms(99), Some(40.0));
        assert_eq!(Drilled { write_ms: Vec::new(), ..drilled }.percentile_ms(99), None);
    }
}
