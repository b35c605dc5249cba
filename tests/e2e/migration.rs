//! From Apache ZooKeeper 3.8 to Ringkeeper, one server at a time under load, and back to ZooKeeper, 3.9 now.
//!
//! A new server begins with an empty directory and is sent the tree. Clients hold one session each the whole time, with an ephemeral; they
//! move to another server when theirs goes away. No session ends, and everything acknowledged is on every server.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;

use crate::ensemble::{Ensemble, asked, check, connect, trial};
use crate::nomad::{Nomad, flow};
use crate::server::Kind;
use crate::wire::{Body, op};

/// Clients that write.
const CLIENTS: usize = 3;

/// Writes that must come through before a server is replaced, and behind it.
const FLOW: u64 = 60;

/// The tests.
pub(crate) fn trials() -> Vec<Trial> {
    vec![trial("ensemble_mixed_servers_are_replaced_one_by_one_and_back_again", there_and_back)]
}

fn there_and_back() -> anyhow::Result<()> {
    let mut ensemble = Ensemble::start(&[Kind::Older; 3])?;
    let addresses: Vec<_> = (0..3).map(|it| ensemble.address(it)).collect();
    let clients = (0..CLIENTS).map(|number| {
        let at = number % addresses.len();
        Ok(Nomad::new(addresses.clone(), at, connect(&ensemble, at)?))
    });
    let clients = clients.collect::<anyhow::Result<Vec<_>>>()?;
    let (over, done) = (AtomicBool::new(false), AtomicU64::new(0));
    let paths = thread::scope(|scope| {
        let load = |(number, client)| {
            let (over, done) = (&over, &done);
            scope.spawn(move || write_until(number, client, over, done))
        };
        let running: Vec<_> = clients.into_iter().enumerate().map(load).collect();
        let moved = replace_all(&mut ensemble, &done);
        over.store(true, Ordering::Relaxed);
        let mut paths = Vec::new();
        let mut clients = Vec::new();
        for one in running {
            let (own, client) = one.join().expect("a client does not panic")?;
            paths.extend(own);
            clients.push(client);
        }
        moved?;
        // The sessions still live, so their ephemerals are among what must be there.
        for number in 0..ensemble.servers.len() {
            check(&ensemble, number, &paths)?;
        }
        for (number, mut client) in clients.into_iter().enumerate() {
            client.ask(op::CLOSE_SESSION, &Body::default())?;
            let mut other = connect(&ensemble, 0)?;
            asked(&mut other, op::SYNC, &Body::default().buffer(b"/"))?;
            let ephemeral = format!("/session-{number}");
            let left =
                other.ask(op::EXISTS, &Body::default().buffer(ephemeral.as_bytes()).byte(0))?;
            ensure!(left.err == -101, "{ephemeral} outlives its session: {}", left.err);
        }
        anyhow::Ok(paths)
    });
    let paths = paths.with_context(|| ensemble.logs())?;
    println!("{} writes through six replaced servers", paths.len());
    Ok(())
}

/// Each server by one of ours, and then each by one of Java's again.
fn replace_all(ensemble: &mut Ensemble, done: &AtomicU64) -> anyhow::Result<()> {
    for kind in [Kind::Ringkeeper, Kind::Reference] {
        for number in 0..ensemble.servers.len() {
            flow(done, FLOW)?;
            ensemble.replace(number, kind)?;
        }
    }
    flow(done, FLOW)
}

/// Writes one znode after the other; what was acknowledged, and the session.
fn write_until(
    number: usize,
    mut client: Nomad,
    over: &AtomicBool,
    done: &AtomicU64,
) -> anyhow::Result<(Vec<String>, Nomad)> {
    let mut paths = vec![format!("/session-{number}")];
    client.create(&paths[0], 1)?;
    while !over.load(Ordering::Relaxed) {
        let path = format!("/from-{number}-{}", paths.len());
        client.create(&path, 0)?;
        paths.push(path);
        done.fetch_add(1, Ordering::Relaxed);
    }
    Ok((paths, client))
}
