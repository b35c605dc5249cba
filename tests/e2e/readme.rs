//! The commands of README.md that start three servers, as they stand there: another folder, other ports, and this binary are all that is changed.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;

use crate::ensemble::trial;
use crate::process::{Patience, Process, Talk, tail, until_some};
use crate::server::{binary, four_letters, free_port, tests_dir};
use crate::wire::{Body, Client, op};

/// The test.
pub(crate) fn trials() -> Vec<Trial> {
    vec![trial("readme_three_servers_are_started_by_its_commands", by_hand)]
}

/// The commands behind this line.
fn commands(readme: &str, line: &str) -> anyhow::Result<String> {
    let behind = readme.split_once(line).with_context(|| format!("no `{line}`"))?.1;
    let block =
        behind.split("```").nth(1).with_context(|| format!("no commands behind `{line}`"))?;
    Ok(block.trim().to_owned())
}

/// A text with everything that stands there `times` times replaced.
fn replaced(text: &str, from: &str, to: &str, times: usize) -> anyhow::Result<String> {
    ensure!(text.matches(from).count() == times, "`{from}` stands not {times} times in\n{text}");
    Ok(text.replace(from, to))
}

fn by_hand() -> anyhow::Result<()> {
    let readme = fs::read_to_string(tests_dir().with_file_name("README.md"))?;
    let mut script = commands(&readme, "The same three by hand:")?;
    let dir = tempfile::tempdir()?;
    script = script.replace("/tmp/rk", &format!("{}/rk", dir.path().display()));
    script = replaced(&script, "target/release/ringkeeper", &binary().display().to_string(), 1)?;
    let mut clients = Vec::new();
    let mut cases = String::new();
    for number in 1..=3 {
        for port in [2880 + number, 3880 + number] {
            script = replaced(&script, &format!(":{port}"), &format!(":{}", free_port()?), 1)?;
        }
        let port = free_port()?;
        clients.push(SocketAddr::from(([127, 0, 0, 1], port)));
        cases.push_str(&format!("{number}) client={port};; "));
    }
    script = replaced(&script, "clientPort=218$i", "clientPort=$client", 1)?;
    script = replaced(&script, "do\n", &format!("do case $i in {cases} esac\n"), 1)?;
    // The shell of the commands goes on while they do.
    let mut command = Command::new("sh");
    command.args(["-ec", &format!("{script}\nwait")]).current_dir(dir.path());
    let log = dir.path().join("log");
    let process = Process::spawn(&command, Talk::Log, &log)?;
    let told = || format!("{script}\n{}", tail(&log, 6_000));
    let roles = || {
        let mut roles = Vec::new();
        for &address in &clients {
            let answer = four_letters(address, "srvr").unwrap_or_default();
            roles
                .extend(answer.lines().find_map(|it| it.strip_prefix("Mode: ")).map(str::to_owned));
        }
        roles.sort();
        Ok((roles.len() == 3).then_some(roles))
    };
    let roles = until_some("all three serve", roles).with_context(told)?;
    ensure!(roles == ["follower", "follower", "leader"], "{roles:?}");
    let patience = Patience::begin();
    let body = Body::default().create("/by-hand", b"", 0);
    loop {
        match Client::connect(clients[0]).and_then(|mut it| it.ask(op::CREATE, &body)) {
            Ok(reply) if [0, -110].contains(&reply.err) => break,
            done => ensure!(!patience.is_over(), "{done:?}\n{}", told()),
        }
    }
    for &address in &clients {
        let exists = Body::default().buffer(b"/by-hand").byte(0);
        let mut client = Client::connect(address)?;
        client.ask(op::SYNC, &Body::default().buffer(b"/"))?;
        ensure!(client.ask(op::EXISTS, &exists)?.err == 0, "{address} has it not\n{}", told());
    }
    drop(process);
    Ok(())
}
