//! What a member does with others that the harness plays: observers that never end their synchronisation, and a voter that changes its mind.
//!
//! Written from the protocol, as `wire` is; each plays just as much as its trial needs.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use libtest_mimic::Trial;

use crate::ensemble::{Ensemble, trial, write};
use crate::process::Patience;
use crate::server::Kind;
use crate::wire::{Body, Fields};

/// The tests.
pub(crate) fn trials() -> Vec<Trial> {
    let sync = |name, how, more| trial(name, move || come_back(how, more));
    vec![
        sync(
            "sync_limit_of_images_sends_an_observer_away",
            "Snap",
            "forceSnapshotSync=true\nleader.maxConcurrentSnapSyncs=1\n",
        ),
        sync(
            "sync_limit_of_differences_sends_an_observer_away",
            "Diff",
            "leader.maxConcurrentDiffSyncs=1\n",
        ),
        trial("epoch_wait_ends_with_a_voter_that_changes_its_mind", change_mind),
    ]
}

/// A member's lines, as the configuration has them: where its learners and its votes go.
pub(crate) fn ports(ensemble: &Ensemble, number: usize) -> anyhow::Result<[SocketAddr; 2]> {
    let key = format!("server.{}=", number + 1);
    let line = ensemble.lines.lines().find_map(|it| it.strip_prefix(&key)).context("its line")?;
    let parts: Vec<_> = line.split(':').collect();
    let [_, learners, votes, ..] = parts[..] else { bail!("no ports in {line}") };
    Ok([learners.parse()?, votes.parse()?].map(|it: u16| SocketAddr::from(([127, 0, 0, 1], it))))
}

const OBSERVER_INFO: i32 = 16;
const LEADER_INFO: i32 = 17;
const ACK_EPOCH: i32 = 18;

/// An observer that says who it is, accepts the epoch, and takes what comes without ever saying that it has it.
struct Stranger(TcpStream);

impl Stranger {
    fn join(leader: SocketAddr, sid: i64) -> io::Result<Self> {
        let mut stream = TcpStream::connect(leader)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let info = Body::default().long(sid).int(0x1_0000).long(0);
        stream.write_all(&packet(OBSERVER_INFO, 0, &info).0)?;
        // Type, zxid, the protocol, no ids.
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        let mut fields = Fields(&head);
        let (kind, zxid) = (fields.int()?, fields.long()?);
        if kind != LEADER_INFO {
            return Err(io::Error::other(format!("packet {kind} instead of LEADERINFO")));
        }
        stream.read_exact(&mut [0; 4 + 4 + 4])?;
        stream.write_all(&packet(ACK_EPOCH, 0, &Body::default().int((zxid >> 32) as i32)).0)?;
        Ok(Self(stream))
    }

    /// Whether it is let go, at the latest in two seconds, or has bytes to read that whole time.
    fn is_sent_away(&mut self) -> anyhow::Result<bool> {
        let (begin, mut bytes) = (Instant::now(), vec![0; 1 << 16]);
        while begin.elapsed() < Duration::from_secs(2) {
            self.0.set_read_timeout(Some(Duration::from_millis(100)))?;
            match self.0.read(&mut bytes) {
                Ok(0) => return Ok(true),
                Err(it) if it.kind() == io::ErrorKind::ConnectionReset => return Ok(true),
                Ok(_) => {}
                Err(it) if it.kind() == io::ErrorKind::WouldBlock => {}
                Err(it) => return Err(it.into()),
            }
        }
        Ok(false)
    }
}

fn packet(kind: i32, zxid: i64, data: &Body) -> Body {
    // No ids.
    Body::default().int(kind).long(zxid).buffer(&data.0).int(-1)
}

/// With one place, a second observer is sent away, a real one too, and comes in when the first has gone. A follower is let in all the same.
fn come_back(how: &str, more: &str) -> anyhow::Result<()> {
    // Whoever plays an observer is not taken for dead.
    let more = format!("{more}initLimit=400\n");
    let mut ensemble = Ensemble::prepare(&[Kind::Ringkeeper; 5], 2, &more)?;
    for number in 0..3 {
        ensemble.servers[number].launch()?;
    }
    for number in 0..3 {
        ensemble.await_service(number)?;
    }
    write(&ensemble, None, "/something")?;
    let leader = ensemble.leader()?;
    let address = ports(&ensemble, leader)?[0];
    let follower = (leader + 1) % 3;
    ensemble.servers[follower].kill()?;
    let refusal = format!("1 learners are synchronised by {how}, 1 is the most");
    let refused =
        |ensemble: &Ensemble| ensemble.servers[leader].whole_log().matches(&refusal).count();

    let mut first = Stranger::join(address, 5).with_context(|| ensemble.logs())?;
    ensure!(!first.is_sent_away()?, "the first is sent away\n{}", ensemble.logs());
    ensure!(refused(&ensemble) == 0);
    ensemble.servers[3].launch()?;
    ensemble.until("the second is sent away", || Ok(0 < refused(&ensemble)))?;
    ensure!(ensemble.mode(3).is_none(), "it serves all the same");
    ensemble.servers[follower].launch()?;
    ensemble.await_service(follower)?;
    ensure!(ensemble.mode(3).is_none(), "it serves all the same");
    drop(first);
    ensemble.await_service(3)?;
    ensure!(ensemble.leader()? == leader, "another leads\n{}", ensemble.logs());
    Ok(())
}

/// The third voter of three, as an election connection of its own.
struct Voter(TcpStream);

impl Voter {
    /// A server with a smaller number is called by one with a larger.
    fn call(address: SocketAddr) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        let own = b"127.0.0.1:1";
        let initial = Body::default().long(-65_536).long(3).buffer(own);
        stream.write_all(&initial.0)?;
        Ok(Self(stream))
    }

    /// It searches, in this round, and votes for server 1, which has nothing.
    fn vote(&mut self, round: i64) -> io::Result<()> {
        const LOOKING: i32 = 0;
        let vote =
            Body::default().int(LOOKING).long(1).long(0).long(round).long(0).int(2).buffer(b"");
        self.0.write_all(&vote.frame())
    }
}

/// The first of three is elected by a voter that never comes and, later, searches again: that ends its wait when the key says so, and else not.
fn change_mind() -> anyhow::Result<()> {
    const DISLOYAL: &str = "server 3, which voted for this one, has changed its mind";
    for (more, leaves) in [("leader.maxTimeToWaitForEpoch=1000\n", true), ("", false)] {
        // It waits for forty ticks otherwise.
        let mut ensemble = Ensemble::prepare(&[Kind::Ringkeeper; 3], 0, more)?;
        ensemble.servers[0].launch()?;
        let address = ports(&ensemble, 0)?[1];
        let patience = Patience::begin();
        let mut voter = loop {
            match Voter::call(address) {
                Ok(voter) => break voter,
                Err(error) => ensure!(!patience.is_over(), "{error}\n{}", ensemble.logs()),
            }
            thread::sleep(Duration::from_millis(20));
        };
        voter.vote(1)?;
        let log = |ensemble: &Ensemble| ensemble.servers[0].whole_log();
        ensemble.until("it is elected", || Ok(log(&ensemble).contains("elected")))?;
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(8) && !log(&ensemble).contains(DISLOYAL) {
            voter.vote(2)?;
            thread::sleep(Duration::from_millis(100));
        }
        let left = log(&ensemble).contains(DISLOYAL);
        ensure!(left == leaves, "with `{more}` it left: {left}\n{}", ensemble.logs());
        if left {
            ensure!(Duration::from_millis(500) < begin.elapsed(), "it did not wait");
        }
    }
    Ok(())
}
