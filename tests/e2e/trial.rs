//! `ringkeeper ensemble` as whoever tries it meets it: lines that say what runs where, a kill, a stop, and a start with the same data. Ours only.

use std::io::{BufRead as _, BufReader, Lines};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{ChildStdout, Command};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use libtest_mimic::{Failed, Trial};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::ensemble::again;
use crate::process::{PATIENCE, Process, Talk, tail};
use crate::server::{Kind, binary};
use crate::wire::{Body, Client, op};

/// Nothing of the reference server is judged by it.
pub(crate) fn trials() -> Vec<Trial> {
    let run = || story().map_err(|err| Failed::from(format!("{err:#}")));
    let trial = Trial::test("program_ensemble_starts_three_servers_and_stops_them", run);
    vec![trial.with_ignored_flag(Kind::chosen() == Kind::Reference)]
}

/// One of the servers, as its line has it.
#[derive(Debug)]
struct Member {
    address: SocketAddr,
    process: Pid,
    role: String,
}

struct Started {
    process: Process,
    lines: Lines<BufReader<ChildStdout>>,
    members: Vec<Member>,
}

/// Starts three, and reads a line of each.
fn start(dir: &Path) -> anyhow::Result<Started> {
    let mut command = Command::new(binary());
    command.args(["ensemble", "--servers", "3", "--client-port", "0", "--data-dir", "trial"]);
    command.current_dir(dir);
    let mut process = Process::spawn(&command, Talk::Pipes, &dir.join("log"))?;
    let mut lines = BufReader::new(process.pipes().1).lines();
    let mut members = Vec::new();
    for number in 1..=3 {
        let line = lines.next().with_context(|| tail(&dir.join("log"), 2_000))??;
        let read = || {
            let rest = line.strip_prefix(&format!("server {number} at "))?;
            let (address, rest) = rest.split_once(", all of it in ")?;
            let (_, rest) = rest.split_once(", process ")?;
            let (process, role) = rest.split_once(": ")?;
            let process = Pid::from_raw(process.parse().ok()?)?;
            Some(Member { address: address.parse().ok()?, process, role: role.to_owned() })
        };
        members.push(read().with_context(|| line.clone())?);
    }
    let clients = lines.next().context("a line for clients")??;
    let addresses: Vec<_> = members.iter().map(|it| it.address.to_string()).collect();
    ensure!(clients.starts_with(&format!("clients: {};", addresses.join(","))), "{clients}");
    Ok(Started { process, lines, members })
}

/// Creates a znode at the first server that does it, or finds that it is there.
fn write(addresses: &[SocketAddr], path: &str) -> anyhow::Result<()> {
    let end = Instant::now() + PATIENCE;
    let body = Body::default().create(path, b"", 0);
    for address in addresses.iter().cycle() {
        let done = Client::connect(*address).and_then(|mut it| it.ask(op::CREATE, &body));
        if done.as_ref().is_ok_and(|it| it.err == 0 || it.err == -110) {
            break;
        }
        ensure!(Instant::now() < end, "{path}: {done:?}");
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn story() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let mut first = start(dir.path())?;
    let roles: Vec<_> = first.members.iter().map(|it| it.role.as_str()).collect();
    ensure!(roles.iter().filter(|&&it| it == "leader").count() == 1, "{roles:?}");
    ensure!(roles.iter().filter(|&&it| it == "follower").count() == 2, "{roles:?}");
    let addresses: Vec<_> = first.members.iter().map(|it| it.address).collect();
    write(&addresses, "/all")?;
    kill_process(first.members[0].process, Signal::KILL)?;
    let line = first.lines.next().context("a line for the killed one")??;
    ensure!(line.starts_with("server 1 has ended with signal: 9"), "{line}");
    write(&addresses[1..], "/two")?;
    first.process.terminate()?;
    let status = first.process.wait(PATIENCE)?;
    ensure!(status.is_some_and(|it| it.success()), "{status:?}");
    for member in &first.members {
        ensure!(test_kill_process(member.process).is_err(), "{member:?} still runs");
    }

    let mut second = start(dir.path())?;
    for path in ["/all", "/two"] {
        let err = again(|| {
            let mut client = Client::connect(second.members[0].address)?;
            client.ask(op::SYNC, &Body::default().buffer(b"/"))?;
            let exists = Body::default().buffer(path.as_bytes()).byte(0);
            Ok(client.ask(op::EXISTS, &exists)?.err)
        })?;
        ensure!(err == 0, "{path}: {err}");
    }
    // Its members end with it, however it ends.
    kill_process(Pid::from_raw(second.process.id() as i32).context("a number")?, Signal::KILL)?;
    let end = Instant::now() + PATIENCE;
    for member in &second.members {
        while test_kill_process(member.process).is_ok() {
            ensure!(Instant::now() < end, "{member:?} still runs");
            thread::sleep(Duration::from_millis(10));
        }
    }
    second.process.wait(PATIENCE)?.context("it was killed")?;
    Ok(())
}
