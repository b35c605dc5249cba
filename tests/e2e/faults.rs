//! Faults of real processes: servers that are killed, paused, cut off, slow to reach, or out of room on their disks.
//!
//! Each server has a machine of its own, as far as the network goes, and a disk of its own, which is a small file system in memory. Where the system
//! gives no namespaces, servers are killed and paused only, and the world says so.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rustix::fs::FallocateFlags;
use rustix::process::{Pid, Signal, kill_process};

use crate::ensemble::{Ensemble, write_id};
use crate::namespaces::Namespaces;
use crate::process::until;
use crate::server::{FOR_JUDGES, Kind, Server, free_port};
use crate::switch::{ALL_LOST, Obstacle, What};

/// Of clients, of the leader for its learners, and of elections.
const CLIENT_PORT: u16 = 2181;
pub(crate) const QUORUM_PORT: u16 = 2888;
pub(crate) const ELECTION_PORT: u16 = 3888;

/// Two seconds without a word from a peer are its end. Segments are small beside the disk, and the log behind three snapshots fits. Sessions are
/// to last until all is judged.
const LINES: &str = "initLimit=20\nsyncLimit=4\nsnapCount=3000\npreAllocSize=4096\n\
                     ringkeeper.diskReserveMiB=8\nmaxSessionTimeout=600000\n";

/// Which of the packets between a server and others are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// All.
    Both,
    /// What the server sends: it hears, and is not heard.
    Out,
    /// What it is sent: it is heard, and does not hear.
    In,
}

/// What happens to a server.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// SIGKILL, and a start.
    Killed,
    /// SIGSTOP for so many milliseconds.
    Paused(u64),
    /// Nothing passes between it and the other servers.
    CutOff(Way),
    /// Nothing passes of one port: of the other servers' packets, or with the client port of the clients'.
    PortCut(u16, Way),
    /// Everything between it and all others comes so many milliseconds later, and up to as many more.
    Late(u64),
    /// So many of a hundred packets between it and all others are lost.
    Lossy(u64),
    /// Its disk is full.
    Full,
}

/// All that can happen, the most different first: an ordinary run takes a few. The last is for long ones.
pub(crate) const FAULTS: [Fault; 21] = [
    Fault::PortCut(QUORUM_PORT, Way::In),
    Fault::Killed,
    Fault::Lossy(15),
    Fault::Full,
    Fault::CutOff(Way::Out),
    Fault::Paused(3_000),
    Fault::PortCut(ELECTION_PORT, Way::Both),
    Fault::Late(40),
    Fault::CutOff(Way::Both),
    Fault::PortCut(CLIENT_PORT, Way::Out),
    Fault::Paused(50),
    Fault::PortCut(QUORUM_PORT, Way::Out),
    Fault::CutOff(Way::In),
    Fault::PortCut(CLIENT_PORT, Way::In),
    Fault::Paused(700),
    Fault::PortCut(QUORUM_PORT, Way::Both),
    Fault::PortCut(ELECTION_PORT, Way::In),
    Fault::Paused(8_000),
    Fault::PortCut(CLIENT_PORT, Way::Both),
    Fault::PortCut(ELECTION_PORT, Way::Out),
    Fault::Paused(60_000),
];

/// Whether members may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Members {
    /// All vote, always.
    Stay,
    /// The last observes, always.
    Observe,
    /// The last observes in the beginning.
    Change,
    /// All vote, and are known by names, which [`host`] gives them.
    Move,
}

/// The name of a server that was given another so many times.
pub(crate) fn host(number: usize, renamed: usize) -> String {
    format!("member-{}-{renamed}", number + 1)
}

/// Machines, and disks. The servers are in an [`Ensemble`].
pub(crate) struct World {
    /// None where the system gives no namespaces.
    net: Option<Namespaces>,
    disks: Vec<SmallDisk>,
}

impl World {
    /// Starts an ensemble with one of each kind.
    pub(crate) fn build(kinds: &[Kind], members: Members) -> anyhow::Result<(Self, Ensemble)> {
        let (world, mut ensemble) = Self::prepare(kinds, members)?;
        ensemble.launch_all(kinds)?;
        for number in 0..kinds.len() {
            ensemble.await_service(number)?;
        }
        Ok((world, ensemble))
    }

    /// The same, and none is started.
    pub(crate) fn prepare(kinds: &[Kind], members: Members) -> anyhow::Result<(Self, Ensemble)> {
        let net = Namespaces::build(kinds.len());
        let net = net.inspect_err(|error| {
            println!("servers are killed and paused only, for there is no network: {error:#}");
        });
        let net = net.ok();
        let mut lines = format!("{FOR_JUDGES}{LINES}");
        let may_change = [Members::Change, Members::Move].contains(&members);
        if may_change {
            lines.push_str("reconfigEnabled=true\n");
        }
        let mut places = Vec::new();
        for number in 0..kinds.len() {
            let (ip, ports) = match &net {
                Some(net) => (net.address(number), [CLIENT_PORT, QUORUM_PORT, ELECTION_PORT]),
                None => (Ipv4Addr::LOCALHOST, [free_port()?, free_port()?, free_port()?]),
            };
            let [client, quorum, election] = ports;
            let host = if members == Members::Move { host(number, 0) } else { ip.to_string() };
            lines.push_str(&format!("server.{}={host}:{quorum}:{election}", number + 1));
            if members != Members::Stay {
                let observes = number + 1 == kinds.len() && members != Members::Move;
                lines.push_str(if observes { ":observer" } else { ":participant" });
            }
            if may_change {
                lines.push_str(&format!(";{ip}:{client}"));
            }
            lines.push('\n');
            places.push(SocketAddr::from((ip, client)));
        }
        let (mut servers, mut disks) = (Vec::new(), Vec::new());
        for (number, &kind) in kinds.iter().enumerate() {
            let observes = members == Members::Observe && number + 1 == kinds.len();
            let role = if observes { "peerType=observer\n" } else { "" };
            let mut server = Server::prepare_at(kind, places[number], &format!("{lines}{role}"))?;
            if let Some(net) = &net {
                server.live_in(net.name(number));
                disks.push(SmallDisk::mount(&server.dir().join("data"))?);
            }
            write_id(&server, number + 1)?;
            servers.push(server);
        }
        Ok((Self { net, disks }, Ensemble { servers, lines }))
    }

    /// The network, if there is one.
    pub(crate) fn net(&self) -> Option<&Namespaces> {
        self.net.as_ref()
    }

    /// Lets a fault happen to a server for some time, and end.
    pub(crate) fn suffer(
        &self,
        ensemble: &mut Ensemble,
        victim: usize,
        fault: Fault,
        last: Duration,
    ) -> anyhow::Result<()> {
        self.suffer_while(ensemble, victim, fault, |_| {
            thread::sleep(fault.lasts(last));
            Ok(())
        })
    }

    /// Lets a fault happen to a server until something is done.
    pub(crate) fn suffer_while(
        &self,
        ensemble: &mut Ensemble,
        victim: usize,
        fault: Fault,
        meanwhile: impl FnOnce(&mut Ensemble) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        match (fault, &self.net) {
            (Fault::Killed, _) => {
                ensemble.servers[victim].kill()?;
                meanwhile(ensemble)?;
                ensemble.servers[victim].launch()
            }
            (Fault::Full, Some(_)) => {
                let filled = self.disks[victim].fill()?;
                meanwhile(ensemble)?;
                Ok(fs::remove_file(filled)?)
            }
            (Fault::Paused(_), _) | (_, None) => {
                signal(&ensemble.servers[victim], Signal::STOP)?;
                meanwhile(ensemble)?;
                signal(&ensemble.servers[victim], Signal::CONT)
            }
            (_, Some(net)) => {
                net.switch().set(&obstacles(net, ensemble.servers.len(), victim, fault));
                meanwhile(ensemble)?;
                net.switch().set(&[]);
                Ok(())
            }
        }
    }
}

impl Fault {
    /// How long it lasts, if what has no time of its own lasts so long.
    pub(crate) fn lasts(self, otherwise: Duration) -> Duration {
        if let Self::Paused(ms) = self { Duration::from_millis(ms) } else { otherwise }
    }
}

/// Waits until all serve. One that found no room for its log ends, as a reference server does that cannot write, and is started again.
pub(crate) fn recover(ensemble: &mut Ensemble) -> anyhow::Result<()> {
    let all = || {
        for server in &mut ensemble.servers {
            if server.has_ended()? {
                server.launch()?;
            }
        }
        Ok((0..ensemble.servers.len()).all(|it| ensemble.mode(it).is_some()))
    };
    until("all servers serve again", all).with_context(|| ensemble.logs())
}

fn signal(server: &Server, signal: Signal) -> anyhow::Result<()> {
    let process = server.process().context("it runs")?;
    let pid = Pid::from_raw(process.id() as i32).context("a process has a number")?;
    Ok(kill_process(pid, signal)?)
}

/// What is in the way of the network then.
fn obstacles(net: &Namespaces, servers: usize, victim: usize, fault: Fault) -> Vec<Obstacle> {
    let harness = net.harness();
    let (port, way, what) = match fault {
        Fault::CutOff(way) => (None, way, ALL_LOST),
        Fault::PortCut(port, way) => (Some(port), way, ALL_LOST),
        Fault::Late(ms) => (None, Way::Both, What::Late { ms, jitter_ms: ms }),
        Fault::Lossy(percent) => (None, Way::Both, What::Lost { percent }),
        Fault::Killed | Fault::Paused(_) | Fault::Full => return Vec::new(),
    };
    // Clients are there too, unless this is about servers among themselves.
    let is_for = |it: &usize| match (fault, port) {
        (_, Some(CLIENT_PORT)) => *it == harness,
        (Fault::CutOff(_), _) | (_, Some(_)) => *it != harness,
        _ => true,
    };
    let mut all = Vec::new();
    for other in (0..servers).chain([harness]).filter(|it| *it != victim).filter(is_for) {
        if way != Way::In {
            all.push(Obstacle { from: victim, to: other, port, what });
        }
        if way != Way::Out {
            all.push(Obstacle { from: other, to: victim, port, what });
        }
    }
    all
}

/// A small file system in memory, mounted for as long as this lives.
struct SmallDisk {
    at: PathBuf,
}

impl SmallDisk {
    fn mount(at: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(at)?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", DISK_SIZE, "ringkeeper-e2e"]).arg(at);
        ensure!(mount.status()?.success(), "no small disk can be mounted at {}", at.display());
        Ok(Self { at: at.to_owned() })
    }

    /// Takes all the room; the file that does.
    fn fill(&self) -> anyhow::Result<PathBuf> {
        let path = self.at.join("ballast");
        let file = File::create(&path)?;
        let mut len = 0;
        for step in [1 << 20, 1 << 12] {
            while rustix::fs::fallocate(&file, FallocateFlags::empty(), len, step).is_ok() {
                len += step;
            }
        }
        ensure!(0 < len, "the disk was full before");
        Ok(path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.at).status();
        if !unmounted.is_ok_and(|it| it.success()) {
            eprintln!("{} is still mounted", self.at.display());
        }
        // The folder of a server that went before its disk could not go.
        drop(self.at.parent().map(fs::remove_dir_all));
    }
}

const DISK_SIZE: &str = "size=384m";
