//! Ensembles whose members change while they run: ours alone, ours asked by a shell of 3.9.5, and ours beside Apache ZooKeeper 3.9.5.
//!
//! The configuration is read back from `/zookeeper/config` of every server, and from the files that the next start reads.

mod allowed;
mod asked;
mod growth;
mod mixed;

use std::fs;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use libtest_mimic::Trial;

use crate::ensemble::{self, Ensemble, LINES, again, connect};
use crate::load::REFUSED;
use crate::process::{Patience, until_some};
use crate::server::{FOR_JUDGES, Kind, Server, free_port};
use crate::wire::{Body, Client, Fields, Session, op};

/// Codes of refusals.
const NEW_CONFIG_NO_QUORUM: i32 = -13;
const RECONFIG_IN_PROGRESS: i32 = -14;
const NODE_EXISTS: i32 = -110;

/// The tests.
pub(crate) fn trials() -> Vec<Trial> {
    [growth::trials(), allowed::trials(), asked::trials(), mixed::trials()]
        .into_iter()
        .flatten()
        .collect()
}

/// Servers whose lines say where clients connect. The first `known` know each other; every other one knows those and itself.
fn prepare(kinds: &[Kind], known: usize) -> anyhow::Result<(Ensemble, Vec<String>)> {
    prepare_with(kinds, known, "")
}

/// The same, with more lines.
fn prepare_with(
    kinds: &[Kind],
    known: usize,
    more: &str,
) -> anyhow::Result<(Ensemble, Vec<String>)> {
    let mut servers = Vec::new();
    let mut lines = Vec::new();
    for (sid, &kind) in (1..).zip(kinds) {
        let server =
            Server::prepare(kind, &format!("{FOR_JUDGES}{LINES}reconfigEnabled=true\n{more}"))?;
        let (quorum, election) = (free_port()?, free_port()?);
        let client = server.address();
        lines.push(format!("server.{sid}=127.0.0.1:{quorum}:{election}:participant;{client}"));
        servers.push(server);
    }
    for (number, server) in servers.iter().enumerate() {
        let others = lines.iter().enumerate().filter(|it| it.0 < known || it.0 == number);
        let listed: Vec<_> = others.map(|it| it.1.as_str()).collect();
        let file = server.dir().join("zoo.cfg");
        let text = fs::read_to_string(&file)?;
        fs::write(&file, format!("{text}{}\n", listed.join("\n")))?;
        let data = server.dir().join("data");
        fs::create_dir_all(&data)?;
        fs::write(data.join("myid"), format!("{}\n", number + 1))?;
    }
    Ok((Ensemble { servers, lines: lines.join("\n") }, lines))
}

fn launch(ensemble: &mut Ensemble, numbers: &[usize]) -> anyhow::Result<()> {
    for &number in numbers {
        ensemble.servers[number].launch()?;
    }
    for &number in numbers {
        ensemble.await_service(number)?;
    }
    Ok(())
}

/// A session of the super user.
fn connect_super(ensemble: &Ensemble, number: usize) -> anyhow::Result<Client> {
    let mut client = connect(ensemble, number)?;
    become_super(&mut client)?;
    Ok(client)
}

fn become_super(client: &mut Client) -> anyhow::Result<()> {
    let auth = Body::default().int(-4).int(100).int(0).buffer(b"digest").buffer(b"super:judge");
    std::io::Write::write_all(client.socket(), &auth.frame())?;
    let reply = client.reply()?;
    ensure!(reply.err == 0, "the super user is refused: {}", reply.err);
    Ok(())
}

/// Asks one server after the other for a member to join, or to be another, until that is done: what was asked may be lost, and asked again.
pub(crate) fn join_somehow(addresses: &[SocketAddr], line: &str) -> anyhow::Result<()> {
    const ANSWER: Duration = Duration::from_secs(3);
    let new = Session { timeout: 30_000, ..Session::default() };
    let ask = |address| -> anyhow::Result<i32> {
        let client = Client::resume_within(ANSWER, address, &new, 0)?;
        let mut client = client.context("no session was given")?;
        become_super(&mut client)?;
        Ok(client.ask(op::RECONFIG, &change(line, "", -1))?.err)
    };
    let patience = Patience::begin();
    for &address in addresses.iter().cycle() {
        match ask(address) {
            Ok(0) => return Ok(()),
            Ok(NEW_CONFIG_NO_QUORUM | RECONFIG_IN_PROGRESS | REFUSED) | Err(_) => {}
            Ok(err) => bail!("{line} is refused: {err}"),
        }
        ensure!(!patience.is_over(), "{line} does not become so");
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Waits until a server says that this line is one of the configuration.
pub(crate) fn await_line(ensemble: &Ensemble, number: usize, line: &str) -> anyhow::Result<()> {
    ensemble.until(format!("server {} shows {line}", number + 1), || {
        Ok(again(|| config(ensemble, number))?.lines().any(|it| it == line))
    })
}

/// The body of a reconfig; empty is null.
fn change(joining: &str, leaving: &str, version: i64) -> Body {
    let text = |body: Body, text: &str| match text {
        "" => body.int(-1),
        text => body.buffer(text.as_bytes()),
    };
    text(text(Body::default(), joining), leaving).int(-1).long(version)
}

/// Asks server `number` for a change until it is made, and waits until every one of `seen_by` shows it.
fn reconfigure(
    ensemble: &Ensemble,
    number: usize,
    (joining, leaving): (&str, &str),
    seen_by: &[usize],
) -> anyhow::Result<String> {
    let text = until_some(format!("+{joining} -{leaving} is done"), || {
        let mut client = again(|| connect_super(ensemble, number))?;
        match client.ask(op::RECONFIG, &change(joining, leaving, -1)) {
            Ok(reply) if reply.err == 0 => {
                Ok(Some(String::from_utf8(Fields(&reply.body).buffer()?.to_vec())?))
            }
            Ok(reply) if ![NEW_CONFIG_NO_QUORUM, RECONFIG_IN_PROGRESS].contains(&reply.err) => {
                bail!("+{joining} -{leaving} is refused: {}", reply.err)
            }
            // Also if the server left its role before it answered: then asking again does no harm.
            _ => Ok(None),
        }
    });
    let text = text.with_context(|| ensemble.logs())?;
    for &number in seen_by {
        await_config(ensemble, number, &text)?;
    }
    Ok(text)
}

fn config(ensemble: &Ensemble, number: usize) -> anyhow::Result<String> {
    let mut client = connect(ensemble, number)?;
    ensemble::asked(&mut client, op::SYNC, &Body::default().buffer(b"/"))?;
    let body = ensemble::asked(
        &mut client,
        op::GET_DATA,
        &Body::default().buffer(b"/zookeeper/config").byte(0),
    )?;
    Ok(String::from_utf8(Fields(&body).buffer()?.to_vec())?)
}

/// Waits until a server shows this configuration.
fn await_config(ensemble: &Ensemble, number: usize, text: &str) -> anyhow::Result<()> {
    ensemble.until(format!("server {} shows {text}", number + 1), || {
        Ok(config(ensemble, number).is_ok_and(|it| it == text))
    })
}

/// Waits until a server's files say this.
fn await_files(server: &Server, text: &str) -> anyhow::Result<()> {
    let files = server.until("its files say so", || Ok(check_files(server, text).is_ok()));
    files
        .and_then(|()| check_files(server, text))
        .with_context(|| format!("{text}\n{}", server.log()))
}

/// The dynamic file that the static one names, and whether the lines went from that.
fn check_files(server: &Server, text: &str) -> anyhow::Result<()> {
    let version = text.rsplit_once("version=").context("no version")?.1;
    let fixed = fs::read_to_string(server.dir().join("zoo.cfg"))?;
    let name = server.dir().join(format!("zoo.cfg.dynamic.{version}"));
    ensure!(
        fixed.contains(&format!("dynamicConfigFile={}", name.display())),
        "the static file names another\n{fixed}"
    );
    ensure!(!fixed.contains("server.") && !fixed.contains("clientPort="), "lines stay\n{fixed}");
    let mut lines: Vec<_> = text.lines().filter(|it| !it.starts_with("version")).collect();
    lines.sort_unstable();
    ensure!(fs::read_to_string(name)? == lines.join("\n"), "the dynamic file differs");
    ensure!(!server.dir().join("zoo.cfg.dynamic.next").exists(), "the proposal stays");
    ensure!(server.dir().join("zoo.cfg.bak").exists(), "the file that listed servers is gone");
    Ok(())
}

/// Writes at this server; one that leads no more ends its connections, and an answer may be lost.
fn write_once(ensemble: &Ensemble, number: usize, path: &str) -> anyhow::Result<()> {
    again(|| {
        let create = Body::default().create(path, b"acknowledged", 0);
        let err = connect(ensemble, number)?.ask(op::CREATE, &create)?.err;
        ensure!([0, NODE_EXISTS].contains(&err), "{path} is answered with error {err}");
        Ok(())
    })
}
