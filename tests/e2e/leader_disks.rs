//! A leader whose disk hangs, is slow, or fails while it serves: what the others do meanwhile, and what is acknowledged.
//!
//! A disk hangs by a control group that lets a byte through each second, and fails by `faulty`. Where a write hangs on FUSE the call itself does (Linux 6.18, io_uring), which
//! no block device does. Absent here: a server that is alone, see `disk_faults`.

use std::fs;
use std::io;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use faulty::{Disk, Fault, How, Op, with_disk};
use libtest_mimic::Trial;

use crate::ensemble::{Ensemble, asked, check, connect, trial, write};
use crate::process::Patience;
use crate::server::{Kind, Server};
use crate::throttle::Throttle;
use crate::wire::{Body, Client, op};

/// Input/output error, and the exit code of a server whose log failed.
const EIO: i32 = 5;
const UNEXPECTED_ERROR: i32 = 1;

/// The server on the disk that fails.
const ILL: usize = 2;

/// The tests.
pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("leaders_disk_hangs_and_another_leads", hang),
        trial("leaders_disk_fails_and_another_leads", || with_disk(fail)?),
        trial("leaders_disk_is_slow_and_its_followers_decide", decide_without_it),
        trial("followers_disk_is_slow_and_nothing_is_decided_without_it", wait_for_it),
    ]
}

/// From now on the writes of this server hang, until the value is dropped or its limit lifted.
fn hold_up(ensemble: &Ensemble, number: usize) -> anyhow::Result<Throttle> {
    let server = &ensemble.servers[number];
    let throttle = Throttle::hanging(server.dir()).context("no disk can be made to hang here")?;
    throttle.slow_down(server.process().context("it runs")?)?;
    Ok(throttle)
}

/// Three, of which the third is on the disk, and serves.
fn start_on(disk: &Disk) -> anyhow::Result<Ensemble> {
    let kinds = [Kind::Ringkeeper; 3];
    let mut ensemble = Ensemble::prepare(&kinds, 0, "")?;
    let ill = &ensemble.servers[ILL];
    let [here, there] = [ill.dir(), disk.path()].map(|it| format!("dataDir={}/data", it.display()));
    ill.configure(&here, &there)?;
    fs::create_dir(disk.path().join("data"))?;
    fs::copy(ill.dir().join("data/myid"), disk.path().join("data/myid"))?;
    ensemble.launch_all(&kinds)?;
    for number in 0..3 {
        ensemble.await_service(number)?;
    }
    Ok(ensemble)
}

/// Kills leaders until the third leads.
fn make_it_lead(ensemble: &mut Ensemble) -> anyhow::Result<()> {
    let patience = Patience::begin();
    loop {
        let leader = ensemble.leader()?;
        for number in 0..3 {
            ensemble.await_service(number)?;
        }
        if leader == ILL {
            return Ok(());
        }
        ensure!(!patience.is_over(), "server {} leads again and again", leader + 1);
        ensemble.servers[leader].kill()?;
        ensemble.until("another leads", || {
            Ok((0..3).any(|it| it != leader && ensemble.mode(it).as_deref() == Some("leader")))
        })?;
        ensemble.servers[leader].launch()?;
        ensemble.await_service(leader)?;
    }
}

/// Writes this at any server that takes it in a few seconds: whoever is left with the one that is ill asks another.
fn write_soon(ensemble: &Ensemble, path: &str) -> anyhow::Result<()> {
    let patience = Patience::begin();
    let body = Body::default().create(path, b"acknowledged", 0);
    for number in (0..3).cycle() {
        let done = Client::connect_within(Duration::from_secs(2), ensemble.address(number))
            .and_then(|mut client| client.ask(op::CREATE, &body));
        // The one before may have been done, and its answer lost.
        if done.as_ref().is_ok_and(|it| it.err == 0 || it.err == -110) {
            break;
        }
        ensure!(!patience.is_over(), "{path}: {done:?}\n{}", ensemble.logs());
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Writes paths of this name until another leads, and one more.
fn write_until_another_leads(
    ensemble: &Ensemble,
    (leader, name): (usize, &str),
    paths: &mut Vec<String>,
) -> anyhow::Result<()> {
    let leads = |it: &usize| *it != leader && ensemble.mode(*it).as_deref() == Some("leader");
    let patience = Patience::begin();
    for count in 0.. {
        let another = (0..3).any(|it| leads(&it));
        let path = format!("/{name}-{count}");
        write_soon(ensemble, &path)?;
        paths.push(path);
        if another {
            break;
        }
        ensure!(!patience.is_over(), "no other leads\n{}", ensemble.logs());
    }
    Ok(())
}

fn hang() -> anyhow::Result<()> {
    // A disk may owe a write for three seconds.
    let ensemble = Ensemble::start_with(&[Kind::Ringkeeper; 3], 0, "syncLimit=6\n")?;
    let leader = ensemble.leader()?;
    let mut paths = vec!["/before".to_owned()];
    write(&ensemble, None, &paths[0])?;
    let held_up = hold_up(&ensemble, leader)?;
    write_until_another_leads(&ensemble, (leader, "while-it-hangs"), &mut paths)?;
    let said = ensemble.servers[leader].whole_log();
    ensure!(said.contains("the own disk is too slow to lead"), "{said}");
    for number in (0..3).filter(|&it| it != leader) {
        check(&ensemble, number, &paths)?;
    }
    held_up.lift()?;
    for number in 0..3 {
        check(&ensemble, number, &paths)?;
    }
    Ok(())
}

fn fail(disk: &Disk) -> anyhow::Result<()> {
    let mut ensemble = start_on(disk)?;
    make_it_lead(&mut ensemble)?;
    let mut paths = vec!["/before".to_owned()];
    write(&ensemble, None, &paths[0])?;
    disk.fail(Fault::every(Op::Write, "log.", How::Error(EIO)));
    write_until_another_leads(&ensemble, (ILL, "since-it-failed"), &mut paths)?;
    let code = ensemble.servers[ILL].ended()?;
    ensure!(code == Some(UNEXPECTED_ERROR), "it ended with {code:?}\n{}", ensemble.logs());
    disk.heal();
    ensemble.servers[ILL].launch()?;
    for number in 0..3 {
        check(&ensemble, number, &paths)?;
    }
    Ok(())
}

/// Whether a file of a server's log has these bytes.
fn is_logged(server: &Server, text: &str) -> io::Result<bool> {
    for entry in fs::read_dir(server.dir().join("data/ringkeeper-1"))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("log.")
            && fs::read(&path)?.windows(text.len()).any(|it| it == text.as_bytes())
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A proposal leaves when the leader's own write begins; two followers that have it are a quorum.
fn decide_without_it() -> anyhow::Result<()> {
    let ensemble = Ensemble::start(&[Kind::Ringkeeper; 3])?;
    let leader = ensemble.leader()?;
    let others = [(leader + 1) % 3, (leader + 2) % 3];
    // Sessions are transactions too.
    let [mut one, mut other] = [connect(&ensemble, others[0])?, connect(&ensemble, others[1])?];
    let held_up = hold_up(&ensemble, leader)?;
    let path = "/decided-by-its-followers";
    let create = Body::default().create(path, b"acknowledged", 0);
    asked(&mut one, op::CREATE, &create).with_context(|| ensemble.logs())?;
    let exists = Body::default().buffer(path.as_bytes()).byte(0);
    ensemble.until("the other follower has it", || Ok(other.ask(op::EXISTS, &exists)?.err == 0))?;
    for number in others {
        let logged = is_logged(&ensemble.servers[number], path)?;
        ensure!(logged, "server {} acks what it has not", number + 1);
    }
    ensure!(!is_logged(&ensemble.servers[leader], path)?, "the leader's write has ended");
    ensure!(ensemble.leader()? == leader, "another leads\n{}", ensemble.logs());
    held_up.lift()?;
    for number in 0..3 {
        check(&ensemble, number, &[path.to_owned()])?;
    }
    ensure!(is_logged(&ensemble.servers[leader], path)?, "it is not in its log");
    Ok(())
}

/// An ack never leaves before the write has ended: with one follower, whose disk hangs, nothing is acknowledged.
fn wait_for_it() -> anyhow::Result<()> {
    let mut ensemble = Ensemble::start(&[Kind::Ringkeeper; 3])?;
    let leader = ensemble.leader()?;
    let [gone, slow] = [(leader + 1) % 3, (leader + 2) % 3];
    ensemble.servers[gone].kill()?;
    let mut client = connect(&ensemble, leader)?;
    let held_up = hold_up(&ensemble, slow)?;
    let path = "/needs-both";
    let number = client.put(op::CREATE, &Body::default().create(path, b"acknowledged", 0));
    client.flush()?;
    ensemble.until("the leader has it", || Ok(is_logged(&ensemble.servers[leader], path)?))?;
    client.socket().set_read_timeout(Some(Duration::from_secs(2)))?;
    let early = client.reply();
    let waits =
        |it: &io::Error| [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut].contains(&it.kind());
    ensure!(early.as_ref().is_err_and(waits), "before it is on the disk: {early:?}");
    ensure!(!is_logged(&ensemble.servers[slow], path)?, "its write has ended");
    held_up.lift()?;
    client.socket().set_read_timeout(Some(Client::PATIENCE))?;
    let reply = client.reply().with_context(|| ensemble.logs())?;
    ensure!((reply.xid, reply.err) == (number, 0), "{reply:?}");
    ensure!(is_logged(&ensemble.servers[slow], path)?, "it acks what it has not");
    Ok(())
}
