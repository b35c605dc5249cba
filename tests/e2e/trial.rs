//! `ringkeeper ensemble` as whoever tries it meets it: lines that say what runs where, a kill, a stop, and a start with the same data. Ours only.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use libtest_mimic::{Failed, Trial};
use rustix::process::{Pid, Signal, kill_process};

use crate::ensemble::again;
use crate::process::{PATIENCE, Patience, Process, Talk, lines_of, tail, until};
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
    lines: Receiver<String>,
    members: Vec<Member>,
}

impl Started {
    /// The next line that it says.
    fn line(&self) -> anyhow::Result<String> {
        self.lines.recv_timeout(PATIENCE).context("no line comes")
    }
}

/// Whether the process of a member is there: a process that has ended has no command line, and a later one with its number has another.
fn runs(member: &Member) -> bool {
    let file = format!("/proc/{}/cmdline", member.process.as_raw_nonzero());
    let program = binary().as_os_str().as_encoded_bytes().to_vec();
    fs::read(file).is_ok_and(|it| it.starts_with(&program))
}

/// Starts three, and reads a line of each.
fn start(dir: &Path) -> anyhow::Result<Started> {
    let mut command = Command::new(binary());
    command.args(["ensemble", "--servers", "3", "--client-port", "0", "--data-dir", "trial"]);
    command.current_dir(dir);
    let mut process = Process::spawn(&command, Talk::Pipes, &dir.join("log"))?;
    let lines = lines_of(process.pipes().1);
    let mut started = Started { process, lines, members: Vec::new() };
    for number in 1..=3 {
        let line = started.line().with_context(|| tail(&dir.join("log"), 2_000))?;
        let read = || {
            let rest = line.strip_prefix(&format!("server {number} at "))?;
            let (address, rest) = rest.split_once(", all of it in ")?;
            let (_, rest) = rest.split_once(", process ")?;
            let (process, role) = rest.split_once(": ")?;
            let process = Pid::from_raw(process.parse().ok()?)?;
            Some(Member { address: address.parse().ok()?, process, role: role.to_owned() })
        };
        started.members.push(read().with_context(|| line.clone())?);
    }
    let clients = started.line().context("a line for clients")?;
    let addresses: Vec<_> = started.members.iter().map(|it| it.address.to_string()).collect();
    ensure!(clients.starts_with(&format!("clients: {};", addresses.join(","))), "{clients}");
    Ok(started)
}

/// Creates a znode at the first server that does it, or finds that it is there.
fn write(addresses: &[SocketAddr], path: &str) -> anyhow::Result<()> {
    let patience = Patience::begin();
    let body = Body::default().create(path, b"", 0);
    for address in addresses.iter().cycle() {
        let done = Client::connect(*address).and_then(|mut it| it.ask(op::CREATE, &body));
        if done.as_ref().is_ok_and(|it| it.err == 0 || it.err == -110) {
            break;
        }
        ensure!(!patience.is_over(), "{path}: {done:?}");
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn story() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let mut first = start(dir.path())?;
    ensure!(first.members.iter().all(runs), "{:?}", first.members);
    let roles: Vec<_> = first.members.iter().map(|it| it.role.as_str()).collect();
    ensure!(roles.iter().filter(|&&it| it == "leader").count() == 1, "{roles:?}");
    ensure!(roles.iter().filter(|&&it| it == "follower").count() == 2, "{roles:?}");
    let addresses: Vec<_> = first.members.iter().map(|it| it.address).collect();
    write(&addresses, "/all")?;
    kill_process(first.members[0].process, Signal::KILL)?;
    let line = first.line().context("a line for the killed one")?;
    ensure!(line.starts_with("server 1 has ended with signal: 9"), "{line}");
    write(&addresses[1..], "/two")?;
    first.process.terminate()?;
    let status = first.process.wait(PATIENCE)?;
    ensure!(status.is_some_and(|it| it.success()), "{status:?}");
    for member in &first.members {
        ensure!(!runs(member), "{member:?} still runs");
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
    for member in &second.members {
        until(format!("{member:?} ends"), || Ok(!runs(member)))?;
    }
    second.process.wait(PATIENCE)?.context("it was killed")?;
    Ok(())
}
