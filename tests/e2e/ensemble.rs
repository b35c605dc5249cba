//! Ensembles of real processes on loopback: ours alone, and ours beside Apache ZooKeeper 3.9.5.
//!
//! A client writes; servers are killed with SIGKILL and come back. What was acknowledged must be on every server in the end, in the
//! order of its zxids. Absent here: networks that fail, which the simulator has.

use std::fmt::Display;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use libtest_mimic::{Failed, Trial};

use crate::process::{Patience, until, until_some};
use crate::server::{
    FOR_JUDGES, Kind, Server, four_letters, four_letters_within, free_port, with_last_words,
};
use crate::wire::{Body, Client, Fields, op};

/// A peer that says nothing for twenty seconds has gone: who is killed is known to be at once, and who waits for a busy machine has not.
/// Sessions last for ten minutes: clients of the harness do not ping.
pub(crate) const LINES: &str =
    "initLimit=40\nsyncLimit=40\nforceSync=yes\nmaxSessionTimeout=600000\n";

/// The tests.
pub(crate) fn trials() -> Vec<Trial> {
    let ours = [Kind::Ringkeeper; 3];
    let mut trials = vec![
        trial("ensemble_three_servers_survive_kills_of_each", move || kill_each(&ours, 6)),
        trial("ensemble_a_session_moves_between_servers", move || move_session(&ours)),
        trial("ensemble_an_emptied_member_decides_nothing", move || empty_a_member(&ours)),
        trial("ensemble_a_member_whose_last_write_rots_does_not_go_on_without_it", move || {
            rot_a_member(&ours)
        }),
    ];
    let mixes: [(&str, [Kind; 3]); 4] = [
        ("two_java", [Kind::Reference, Kind::Reference, Kind::Ringkeeper]),
        ("one_java", [Kind::Ringkeeper, Kind::Reference, Kind::Ringkeeper]),
        ("two_java_3_8", [Kind::Older, Kind::Older, Kind::Ringkeeper]),
        ("one_java_3_8", [Kind::Ringkeeper, Kind::Older, Kind::Ringkeeper]),
    ];
    trials.push(trial("ensemble_a_counter_that_ends_costs_no_election", move || {
        let (ensemble, leader) = end_the_counter(&ours)?;
        ensure!(ensemble.leader()? == leader, "another leads\n{}", ensemble.logs());
        // The last may just have ended.
        for number in 0..3 {
            let what = format!("every role of server {} that ended goes on", number + 1);
            ensemble.until(what, || {
                let log = ensemble.servers[number].whole_log();
                let [ends, resumed] =
                    ["the role ends", "leads the next epoch too"].map(|it| log.matches(it).count());
                Ok(0 < resumed && ends == resumed)
            })?;
        }
        Ok(())
    }));
    trials.push(trial("ensemble_mixed_a_counter_that_ends_costs_an_election", || {
        end_the_counter(&[Kind::Ringkeeper, Kind::Reference, Kind::Ringkeeper]).map(drop)
    }));
    for (name, kinds) in mixes {
        let kills = format!("ensemble_mixed_{name}_survives_kills_of_each");
        trials.push(trial(&kills, move || kill_each(&kinds, 3)));
    }
    trials
}

pub(crate) fn trial(
    name: &str,
    run: impl FnOnce() -> anyhow::Result<()> + Send + 'static,
) -> Trial {
    Trial::test(name, move || with_last_words(run).map_err(|err| Failed::from(format!("{err:#}"))))
}

/// Servers that know each other.
pub(crate) struct Ensemble {
    pub(crate) servers: Vec<Server>,
    /// What every zoo.cfg says.
    pub(crate) lines: String,
}

impl Ensemble {
    /// Starts one of each kind, and waits until all serve.
    pub(crate) fn start(kinds: &[Kind]) -> anyhow::Result<Self> {
        Self::start_with(kinds, 0, "")
    }

    /// The same where so many of the last are observers, with these lines in every zoo.cfg.
    pub(crate) fn start_with(kinds: &[Kind], observers: usize, more: &str) -> anyhow::Result<Self> {
        let ensemble = Self::launch(kinds, observers, more)?;
        for number in 0..ensemble.servers.len() {
            ensemble.await_service(number)?;
        }
        Ok(ensemble)
    }

    /// The same, without waiting for anything.
    pub(crate) fn launch(kinds: &[Kind], observers: usize, more: &str) -> anyhow::Result<Self> {
        let mut ensemble = Self::prepare(kinds, observers, more)?;
        ensemble.launch_all(kinds)?;
        Ok(ensemble)
    }

    /// Starts servers of these kinds.
    pub(crate) fn launch_all(&mut self, kinds: &[Kind]) -> anyhow::Result<()> {
        // Ours first: a reference server that leads sends a snapshot to whoever comes with nothing once it serves.
        for ours in [true, false] {
            let whose = |kind: &Kind| ours == (*kind == Kind::Ringkeeper);
            for (server, _) in self.servers.iter_mut().zip(kinds).filter(|it| whose(it.1)) {
                server.launch()?;
            }
        }
        Ok(())
    }

    /// The same, and none is started.
    pub(crate) fn prepare(kinds: &[Kind], observers: usize, more: &str) -> anyhow::Result<Self> {
        Self::prepare_at(kinds, observers, more, |_| "127.0.0.1".to_owned())
    }

    /// The same with hosts for the servers' ports among themselves, by number.
    pub(crate) fn prepare_at(
        kinds: &[Kind],
        observers: usize,
        more: &str,
        host: impl Fn(usize) -> String,
    ) -> anyhow::Result<Self> {
        let voters = kinds.len() - observers;
        let mut lines = format!("{FOR_JUDGES}{LINES}{more}");
        for (number, sid) in (1..=kinds.len()).enumerate() {
            let (quorum, election) = (free_port()?, free_port()?);
            let role = if number < voters { "participant" } else { "observer" };
            let host = host(number);
            lines.push_str(&format!("server.{sid}={host}:{quorum}:{election}:{role}\n"));
        }
        let mut servers = Vec::new();
        for (number, (sid, &kind)) in (1..).zip(kinds).enumerate() {
            let peer_type = if number < voters { "" } else { "peerType=observer\n" };
            let server = Server::prepare(kind, &format!("{lines}{peer_type}"))?;
            write_id(&server, sid)?;
            servers.push(server);
        }
        Ok(Self { servers, lines })
    }

    /// Stops a voter, and starts one of this kind in its place, with an empty directory; waits until it serves.
    pub(crate) fn replace(&mut self, number: usize, kind: Kind) -> anyhow::Result<()> {
        self.servers[number].stop()?;
        let address = self.address(number);
        self.servers[number] = Server::prepare_at(kind, address, &self.lines)?;
        write_id(&self.servers[number], number + 1)?;
        self.servers[number].launch()?;
        self.await_service(number)?;
        Ok(())
    }

    pub(crate) fn mode(&self, number: usize) -> Option<String> {
        mode(&four_letters(self.servers[number].address(), "srvr").ok()?)
    }

    /// Waits until a server leads or follows.
    pub(crate) fn await_service(&self, number: usize) -> anyhow::Result<String> {
        let what = format!("server {} serves", number + 1);
        until_some(what, || Ok(self.mode(number))).with_context(|| self.logs())
    }

    /// The server that leads, once the others that run follow.
    pub(crate) fn leader(&self) -> anyhow::Result<usize> {
        let one = || {
            let leads = |it: &usize| self.mode(*it).as_deref() == Some("leader");
            let leaders: Vec<_> = (0..self.servers.len()).filter(leads).collect();
            Ok(if let [leader] = leaders[..] { Some(leader) } else { None })
        };
        until_some("one server leads", one).with_context(|| self.logs())
    }

    /// Asks until it is so; the logs of all if it never is.
    pub(crate) fn until(
        &self,
        what: impl Display,
        ready: impl FnMut() -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        until(what, ready).with_context(|| self.logs())
    }

    /// What has come through and took long is told with all logs: nobody would know why otherwise.
    pub(crate) fn tell_if_slow(&self, what: impl Display, begin: Instant) {
        const LONG: Duration = Duration::from_secs(15);
        let took = begin.elapsed();
        if LONG < took {
            println!("slow: {took:?} {what}\n{}", self.logs());
        }
    }

    pub(crate) fn address(&self, number: usize) -> SocketAddr {
        self.servers[number].address()
    }

    /// What each server says that it is now, and the end of its log.
    pub(crate) fn logs(&self) -> String {
        let now = |server: &Server| {
            let answer = four_letters_within(Duration::from_secs(1), server.address(), "srvr");
            answer.map_or_else(|error| error.to_string(), |it| mode(&it).unwrap_or(it))
        };
        let all = (1..).zip(&self.servers);
        let one = |(sid, it)| format!("---- server {sid}: {}\n{}\n", now(it), it.log());
        all.map(one).collect::<Vec<_>>().concat()
    }
}

/// The role in the answer to `srvr`.
fn mode(answer: &str) -> Option<String> {
    answer.lines().find_map(|line| line.strip_prefix("Mode: ")).map(str::to_owned)
}

pub(crate) fn write_id(server: &Server, sid: usize) -> anyhow::Result<()> {
    let data = server.dir().join("data");
    fs::create_dir_all(&data)?;
    Ok(fs::write(data.join("myid"), format!("{sid}\n"))?)
}

/// A session at one server, which may be about to let clients in.
pub(crate) fn connect(ensemble: &Ensemble, number: usize) -> anyhow::Result<Client> {
    connect_within(Client::PATIENCE, ensemble, number)
}

/// The same, with this patience for each answer.
fn connect_within(wait: Duration, ensemble: &Ensemble, number: usize) -> anyhow::Result<Client> {
    let patience = Patience::begin();
    loop {
        match Client::connect_within(wait, ensemble.address(number)) {
            Ok(client) => return Ok(client),
            Err(error) if patience.is_over() => {
                bail!("no session at server {}: {error}\n{}", number + 1, ensemble.logs())
            }
            Err(_) => thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// Does it again while connections break, as they may around an election.
pub(crate) fn again<T>(mut run: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let patience = Patience::begin();
    loop {
        match run() {
            Err(error) if error.is::<io::Error>() && !patience.is_over() => {
                thread::sleep(Duration::from_millis(20));
            }
            done => return done,
        }
    }
}

/// Asks, and gives the reply if it is Ok.
pub(crate) fn asked(client: &mut Client, op: i32, body: &Body) -> anyhow::Result<Vec<u8>> {
    let reply = client.ask(op, body)?;
    ensure!(reply.err == 0, "op {op} was answered with error {}", reply.err);
    Ok(reply.body)
}

/// Connects to any server but `except`, and writes; again until it is acknowledged.
pub(crate) fn write(
    ensemble: &Ensemble,
    except: Option<usize>,
    path: &str,
) -> anyhow::Result<Duration> {
    let (begin, patience) = (Instant::now(), Patience::begin());
    let numbers: Vec<_> = (0..ensemble.servers.len()).filter(|&it| Some(it) != except).collect();
    for turn in 0.. {
        let number = numbers[turn % numbers.len()];
        let body = Body::default().create(path, b"acknowledged", 0);
        let done = Client::connect(ensemble.address(number))
            .and_then(|mut client| client.ask(op::CREATE, &body));
        match done {
            // The one before was done, and its answer was lost.
            Ok(reply) if reply.err == 0 || reply.err == -110 => break,
            _ if patience.is_over() => {
                bail!("{path} cannot be written: {done:?}\n{}", ensemble.logs())
            }
            _ => thread::sleep(Duration::from_millis(10)),
        }
    }
    Ok(begin.elapsed())
}

/// Every path is there, read at this server behind a sync.
pub(crate) fn check(ensemble: &Ensemble, number: usize, paths: &[String]) -> anyhow::Result<()> {
    let begin = Instant::now();
    let checked = again(|| {
        let mut client = connect_synced(ensemble, number)?;
        check_once(ensemble, number, &mut client, paths)
    });
    ensemble.tell_if_slow(format!("to check server {}", number + 1), begin);
    checked
}

/// A session at a server, behind a sync. What a server around an election has lost is never answered, so the first waits are short.
pub(crate) fn connect_synced(ensemble: &Ensemble, number: usize) -> anyhow::Result<Client> {
    let mut wait = Duration::from_secs(4);
    again(|| {
        ensemble.await_service(number)?;
        wait = (wait * 2).min(Client::PATIENCE);
        let mut client = connect_within(wait, ensemble, number)?;
        asked(&mut client, op::SYNC, &Body::default().buffer(b"/"))?;
        Ok(client)
    })
}

fn check_once(
    ensemble: &Ensemble,
    number: usize,
    client: &mut Client,
    paths: &[String],
) -> anyhow::Result<()> {
    for path in paths {
        let body = Body::default().buffer(path.as_bytes()).byte(0);
        let reply = client.ask(op::GET_DATA, &body)?;
        ensure!(
            reply.err == 0,
            "{path} is lost at server {}: error {}\n{}",
            number + 1,
            reply.err,
            ensemble.logs()
        );
        let data = Fields(&reply.body).buffer()?.to_vec();
        ensure!(data == b"acknowledged", "{path} holds {data:?}");
    }
    Ok(())
}

/// Every server is killed in its turn, the leader now and then, under writes.
fn kill_each(kinds: &[Kind], rounds: usize) -> anyhow::Result<()> {
    kill_each_with(kinds, "", rounds)
}

/// The same with these lines in every zoo.cfg.
pub(crate) fn kill_each_with(kinds: &[Kind], more: &str, rounds: usize) -> anyhow::Result<()> {
    let mut ensemble = Ensemble::start_with(kinds, 0, more)?;
    let mut paths = Vec::new();
    for number in 0..kinds.len() {
        paths.push(format!("/through-{number}"));
        let others = (0..kinds.len()).filter(|&it| it != number).collect::<Vec<_>>();
        let path = &paths[number];
        let body = Body::default().create(path, b"acknowledged", 0);
        let mut client = connect(&ensemble, number)?;
        asked(&mut client, op::CREATE, &body)?;
        for other in others {
            check(&ensemble, other, &paths)?;
        }
    }
    for round in 0..rounds {
        let leader = ensemble.leader()?;
        // The leader every second time.
        let victim = if round % 2 == 0 { leader } else { (leader + 1) % kinds.len() };
        let path = format!("/before-{round}");
        write(&ensemble, None, &path)?;
        paths.push(path);
        ensemble.servers[victim].kill()?;
        let path = format!("/without-{round}");
        let took = write(&ensemble, Some(victim), &path)?;
        println!("round {round}: server {} killed, next write after {took:?}", victim + 1);
        paths.push(path);
        ensemble.servers[victim].launch()?;
        check(&ensemble, victim, &paths)?;
    }
    for number in 0..kinds.len() {
        check(&ensemble, number, &paths)?;
    }
    Ok(())
}

/// Each leader's counter has room for fourteen transactions; more are written.
fn end_the_counter(kinds: &[Kind]) -> anyhow::Result<(Ensemble, usize)> {
    let ensemble =
        Ensemble::start_with(kinds, 0, "zookeeper.testingonly.initialZxid=4294967280\n")?;
    let leader = ensemble.leader()?;
    let paths: Vec<_> = (0..20).map(|number| format!("/counted-{number}")).collect();
    for path in &paths {
        write(&ensemble, None, path)?;
    }
    let patience = Patience::begin();
    for number in 0..kinds.len() {
        // A counter may end meanwhile, and every connection with it.
        while let Err(error) = check(&ensemble, number, &paths) {
            ensure!(!patience.is_over(), "{error:#}");
        }
    }
    let answer = four_letters(ensemble.address(ensemble.leader()?), "srvr")?;
    let epoch = answer.lines().find_map(|line| {
        let zxid = line.strip_prefix("Zxid: 0x")?;
        i64::from_str_radix(zxid, 16).ok().map(|it| it >> 32)
    });
    ensure!(epoch.is_some_and(|it| 2 <= it), "no counter has ended\n{answer}");
    Ok((ensemble, leader))
}

/// Where `db.autocreate` is off, a member whose data was removed does not make up a quorum with one that lacks what it had.
fn empty_a_member(kinds: &[Kind]) -> anyhow::Result<()> {
    let mut ensemble = Ensemble::prepare(kinds, 0, "db.autocreate=false\n")?;
    for server in &ensemble.servers {
        fs::write(server.dir().join("data/initialize"), "")?;
    }
    ensemble.launch_all(kinds)?;
    let paths = ["/before", "/after"].map(str::to_owned);
    write(&ensemble, None, &paths[0])?;
    ensemble.await_service(2)?;
    ensemble.servers[2].stop()?;
    write(&ensemble, Some(2), &paths[1])?;
    ensemble.servers[1].stop()?;
    ensemble.servers[0].stop()?;
    fs::remove_dir_all(ensemble.servers[1].dir().join("data"))?;
    write_id(&ensemble.servers[1], 2)?;
    for number in [1, 2] {
        ensemble.servers[number].launch()?;
    }
    for number in [1, 2] {
        let address = ensemble.address(number);
        ensemble.until("it is there", || Ok(four_letters(address, "ruok").is_ok()))?;
    }
    thread::sleep(Duration::from_secs(3));
    let modes = [1, 2].map(|it| ensemble.mode(it));
    ensure!(modes == [None, None], "{modes:?}\n{}", ensemble.logs());
    ensemble.servers[0].launch()?;
    for number in 0..3 {
        check(&ensemble, number, &paths)?;
    }
    // It has what the others have, and counts again.
    ensemble.servers[2].kill()?;
    write(&ensemble, Some(2), "/then")?;
    Ok(())
}

/// What a member that rested has written last rots: it ends at its start, and comes back when its disk was emptied.
fn rot_a_member(kinds: &[Kind]) -> anyhow::Result<()> {
    let mut ensemble = Ensemble::prepare(kinds, 0, "db.autocreate=false\npreAllocSize=256\n")?;
    for server in &ensemble.servers {
        fs::write(server.dir().join("data/initialize"), "")?;
    }
    ensemble.launch_all(kinds)?;
    let paths = ["/before", "/meanwhile"].map(str::to_owned);
    write(&ensemble, None, &paths[0])?;
    check(&ensemble, 2, &paths[..1])?;
    let (log, mut bytes, frame) = again(|| {
        ensemble.servers[2].until("its log has a seal", || Ok(sealed(&ensemble)?.is_some()))?;
        ensemble.servers[2].kill()?;
        let found = sealed(&ensemble)?;
        if found.is_none() {
            // Something came to it before its end.
            ensemble.servers[2].launch()?;
        }
        Ok(found.ok_or_else(|| io::Error::other("the seal is overwritten"))?)
    })?;
    bytes[frame + 80] ^= 1;
    fs::write(log, bytes)?;
    ensemble.servers[2].launch()?;
    let code = ensemble.servers[2].ended()?;
    let said = ensemble.servers[2].whole_log();
    ensure!(code == Some(3) && said.contains("that was once whole"), "{code:?}\n{said}");
    write(&ensemble, Some(2), &paths[1])?;
    fs::remove_dir_all(ensemble.servers[2].dir().join("data"))?;
    write_id(&ensemble.servers[2], 3)?;
    ensemble.servers[2].launch()?;
    for number in 0..3 {
        check(&ensemble, number, &paths)?;
    }
    Ok(())
}

/// The newest segment of the third server: its file, its bytes, and where its last frame is, if that is sealed.
fn sealed(ensemble: &Ensemble) -> anyhow::Result<Option<(PathBuf, Vec<u8>, usize)>> {
    let mut newest = PathBuf::new();
    for entry in fs::read_dir(ensemble.servers[2].dir().join("data/ringkeeper-1"))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("log.") {
            newest = newest.max(path);
        }
    }
    let Ok(bytes) = fs::read(&newest) else { return Ok(None) };
    let blocks = || bytes.chunks(4096).enumerate();
    let last =
        |mark: &[u8]| blocks().filter(|it| it.1.starts_with(mark)).map(|it| it.0).next_back();
    let (frame, seal) = (last(b"RKFR"), last(b"RKSL"));
    Ok(frame.filter(|_| frame < seal).map(|it| (newest, bytes, 4096 * it)))
}

/// A session with an ephemeral goes on at another server, and its ephemeral goes with it when it is closed.
fn move_session(kinds: &[Kind]) -> anyhow::Result<()> {
    let ensemble = Ensemble::start(kinds)?;
    move_between(&ensemble).with_context(|| ensemble.logs())
}

fn move_between(ensemble: &Ensemble) -> anyhow::Result<()> {
    for (from, to) in [(0, 1), (1, 2), (2, 0)] {
        let path = format!("/mine-{from}");
        let mut client = connect(ensemble, from)?;
        asked(&mut client, op::CREATE, &Body::default().create(&path, b"here", 1))?;
        let session = client.session.clone();
        let moved = again(|| Ok(Client::resume(ensemble.address(to), &session, 0)?))?;
        let mut moved = moved.with_context(|| format!("the session ended\n{}", ensemble.logs()))?;
        ensure!(moved.session.id == session.id, "another session was given");
        asked(&mut moved, op::SYNC, &Body::default().buffer(b"/"))?;
        asked(
            &mut moved,
            op::SET_DATA,
            &Body::default().buffer(path.as_bytes()).buffer(b"there").int(-1),
        )?;
        asked(&mut moved, op::CLOSE_SESSION, &Body::default())?;
        let mut other = connect(ensemble, from)?;
        asked(&mut other, op::SYNC, &Body::default().buffer(b"/"))?;
        let reply = other.ask(op::EXISTS, &Body::default().buffer(path.as_bytes()).byte(0))?;
        ensure!(reply.err == -101, "{path} outlives its session: {}", reply.err);
        let resumed = again(|| Ok(Client::resume(ensemble.address(from), &session, 0)?))?;
        ensure!(resumed.is_none(), "a closed session goes on");
    }
    Ok(())
}
