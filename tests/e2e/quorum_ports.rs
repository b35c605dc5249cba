//! The ports of servers among themselves: how often one that is taken is tried, and whether the kernel probes silent connections.

use std::fs;
use std::net::TcpListener;

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;

use crate::ensemble::{Ensemble, trial};
use crate::server::Kind;
use crate::strangers::ports;

/// The tests.
pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("ports_that_are_taken_are_tried_as_often_as_said", try_again),
        trial("ports_that_are_taken_are_tried_for_ever_if_said", try_for_ever),
        trial("ports_connections_between_servers_are_kept_alive_if_said", keep_alive),
    ]
}

/// Three servers, of which the first finds its election port taken.
fn taken(kind: Kind, tries: u32) -> anyhow::Result<(Ensemble, TcpListener)> {
    let mut kinds = [Kind::Ringkeeper; 3];
    kinds[0] = kind;
    let more = format!("electionPortBindRetry={tries}\n");
    let mut ensemble = Ensemble::prepare(&kinds, 0, &more)?;
    let taken = TcpListener::bind(ports(&ensemble, 0)?[1])?;
    ensemble.servers[0].launch()?;
    Ok((ensemble, taken))
}

fn try_again() -> anyhow::Result<()> {
    let mut codes = Vec::new();
    for kind in [Kind::Reference, Kind::Ringkeeper] {
        for tries in [1, 3] {
            let (mut ensemble, _taken) = taken(kind, tries)?;
            let code = ensemble.servers[0].ended()?;
            codes.push(code.context("it ends by itself")?);
            let log = ensemble.servers[0].whole_log();
            if kind == Kind::Ringkeeper {
                let waits = log.matches(&format!(" of {tries}, the next in 1s")).count();
                ensure!(waits + 1 == tries as usize, "{waits} pauses between {tries} tries\n{log}");
                ensure!(log.contains("cannot listen on 127.0.0.1"), "{log}");
            }
        }
    }
    ensure!(codes == [codes[0]; 4], "there and here it ends with {codes:?}");
    Ok(())
}

fn try_for_ever() -> anyhow::Result<()> {
    let (mut ensemble, taken) = taken(Kind::Ringkeeper, 0)?;
    // More often than by default.
    ensemble.until("it tries five times", || {
        Ok(4 < ensemble.servers[0].whole_log().matches("the next in 1s").count())
    })?;
    drop(taken);
    for number in [1, 2] {
        ensemble.servers[number].launch()?;
    }
    for number in 0..3 {
        ensemble.await_service(number)?;
    }
    Ok(())
}

/// Both ends of what servers say to each other, those that were accepted and those that were made.
fn keep_alive() -> anyhow::Result<()> {
    for (more, expected) in [("tcpKeepAlive=true\n", true), ("", false)] {
        let ensemble = Ensemble::start_with(&[Kind::Ringkeeper; 3], 0, more)?;
        let mut all = Vec::new();
        for number in 0..3 {
            all.extend(ports(&ensemble, number)?.map(|it| it.port()));
        }
        ensemble
            .until(format!("with `{more}` the kernel probes: {expected}"), || {
                let ends = ends(&all)?;
                // Three pairs elect, and two learners follow.
                let whole = [true, false]
                    .iter()
                    .all(|made| 5 <= ends.iter().filter(|it| it.made == *made).count());
                Ok(whole && ends.iter().all(|it| it.probed == expected))
            })
            .with_context(|| format!("{:?}", ends(&all)))?;
    }
    Ok(())
}

/// One end of an established connection.
#[derive(Debug)]
struct End {
    /// Whether it goes to one of the ports, or has come there.
    made: bool,
    /// Whether the kernel probes it.
    probed: bool,
}

/// The ends of all connections with these ports, as the kernel lists them.
fn ends(ports: &[u16]) -> anyhow::Result<Vec<End>> {
    const ESTABLISHED: &str = "01";
    // What is unacknowledged has another timer for a moment.
    const KEEPALIVE: &str = "02";
    let port =
        |address: &str| address.rsplit_once(':').and_then(|it| u16::from_str_radix(it.1, 16).ok());
    let mut found = Vec::new();
    for line in fs::read_to_string("/proc/net/tcp")?.lines().skip(1) {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [_, here, there, state, _, timer, ..] = fields[..] else { continue };
        let [here, there] = [here, there].map(|it| port(it).is_some_and(|it| ports.contains(&it)));
        if state == ESTABLISHED && here != there {
            found.push(End { made: there, probed: timer.starts_with(KEEPALIVE) });
        }
    }
    Ok(found)
}
