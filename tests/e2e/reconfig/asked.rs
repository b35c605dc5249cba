//! Who may ask for other members, and how: a shell of 3.9.5 and kazoo ask ours, and refusals have their codes.

use std::fs;

use anyhow::{bail, ensure};
use libtest_mimic::Trial;

use super::{NEW_CONFIG_NO_QUORUM, await_line, change, connect_super, launch, prepare};
use crate::ensemble::{Ensemble, connect, trial};
use crate::judge;
use crate::server::Kind;
use crate::wire::op;
use crate::zkcli::Shell;

/// Codes of refusals.
const BAD_ARGUMENTS: i32 = -8;
const NO_AUTH: i32 = -102;
const BAD_VERSION: i32 = -103;

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("reconfig_is_asked_by_a_shell", ask_by_shell),
        trial("reconfig_is_asked_by_kazoo", ask_by_kazoo),
    ]
}

fn ask_by_shell() -> anyhow::Result<()> {
    let (mut ensemble, lines) = prepare(&[Kind::Ringkeeper; 3], 3)?;
    launch(&mut ensemble, &[0, 1, 2])?;
    let leader = ensemble.leader()?;
    let other = (leader + 1) % 3;
    let mut client = connect(&ensemble, other)?;
    let leaves = (other + 1).to_string();
    let reply = client.ask(op::RECONFIG, &change("", &leaves, -1))?;
    ensure!(reply.err == NO_AUTH, "anybody may: {}", reply.err);
    let mut client = connect_super(&ensemble, other)?;
    for (body, code) in [
        (change("", &leaves, 7), BAD_VERSION),
        (change("server.9=127.0.0.1:1:2", "", -1), BAD_ARGUMENTS),
        (change("", "1,2", -1), BAD_ARGUMENTS),
        (
            change("server.7=h:1:2;3,server.8=h:4:5;6,server.9=h:7:8;9", "", -1),
            NEW_CONFIG_NO_QUORUM,
        ),
    ] {
        let reply = client.ask(op::RECONFIG, &body)?;
        ensure!(reply.err == code, "{body:?} is answered {}, not {code}", reply.err);
    }
    let server = &ensemble.servers[(leader + 2) % 3];
    let mut shell = Shell::open("shell", server.address(), server.dir())?;
    shell.expect("config", &lines[1])?;
    shell.expect("addauth digest super:judge", "")?;
    shell.expect(&format!("reconfig -remove {leaves}"), "Committed new configuration:\nserver.")?;
    shell.expect("config -w", "version=")?;
    let reply = client.ask(op::RECONFIG, &change(&lines[other], "", -1))?;
    ensure!(reply.err == 0, "{} cannot come again: {}", lines[other], reply.err);
    shell.event("NodeDataChanged", "/zookeeper/config")?;
    shell.expect("get /zookeeper/config", &lines[other])?;
    shell.expect(&format!("reconfig -remove {leaves}"), "version=")?;
    shell.expect(&format!("reconfig -add {}", lines[other]), &lines[other])?;
    shell.expect("config", &lines[other])?;
    let observer = lines[other].replace("participant", "observer");
    let members = [&lines[leader], &lines[(leader + 2) % 3], &observer].map(String::as_str);
    fs::write(server.dir().join("members"), members.join("\n"))?;
    let file = server.dir().join("members").display().to_string();
    shell.expect(&format!("reconfig -file {file}"), &observer)?;
    shell.quit()?;
    await_mode(&ensemble, other, "observer")
}

/// The judge wants a member last that does not lead.
fn ask_by_kazoo() -> anyhow::Result<()> {
    let (mut ensemble, lines) = prepare(&[Kind::Ringkeeper; 3], 3)?;
    launch(&mut ensemble, &[0, 1, 2])?;
    let leader = ensemble.leader()?;
    let members = [leader, (leader + 1) % 3, (leader + 2) % 3].map(|it| ensemble.address(it));
    judge::of_members("python", "reconfiguration", &members, &mut |line| bail!("{line}?"))
        .map_err(|error| error.context(ensemble.logs()))?;
    for number in 0..3 {
        await_line(&ensemble, number, &lines[(leader + 2) % 3])?;
    }
    Ok(())
}

/// Waits until a server is this.
fn await_mode(ensemble: &Ensemble, number: usize, mode: &str) -> anyhow::Result<()> {
    let what = format!("server {} is {mode}", number + 1);
    ensemble.until(what, || Ok(ensemble.mode(number).as_deref() == Some(mode)))
}
