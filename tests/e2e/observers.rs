//! Observers among ours and Apache ZooKeeper 3.9.5: they forward writes, outlive leaders, come back from a kill, and have no voice.

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;

use crate::ensemble::{Ensemble, again, asked, check, connect, trial, write};
use crate::process::until_some;
use crate::server::{Kind, four_letters, free_port};
use crate::wire::{Body, Client, op};

/// The tests.
pub(crate) fn trials() -> Vec<Trial> {
    let (ours, theirs) = (Kind::Ringkeeper, Kind::Reference);
    [
        ("ensemble_observer_of_ours", [ours, ours, ours, ours]),
        ("ensemble_mixed_observer_of_java", [theirs, theirs, theirs, ours]),
        ("ensemble_mixed_observer_java_of_ours", [ours, ours, ours, theirs]),
    ]
    .into_iter()
    .flat_map(|(name, kinds)| {
        let masters = format!("{name}_told_by_followers");
        [
            trial(name, move || observe(&mut Ensemble::start_with(&kinds, 1, "")?)),
            trial(&masters, move || told_by_followers(kinds)),
        ]
    })
    .collect()
}

/// The same where followers tell the observer.
fn told_by_followers(kinds: [Kind; 4]) -> anyhow::Result<()> {
    // One port for all, so that each has an address of its own.
    let lines = format!("observerMasterPort={}\n", free_port()?);
    let host = |number| format!("127.0.0.{}", number + 1);
    let mut ensemble = Ensemble::prepare_at(&kinds, 1, &lines, host)?;
    // Voters first: an observer that finds no follower stays with the leader.
    for server in &mut ensemble.servers[..OBSERVER] {
        server.launch()?;
    }
    for number in 0..OBSERVER {
        ensemble.await_service(number)?;
    }
    ensemble.servers[OBSERVER].launch()?;
    ensemble.await_service(OBSERVER)?;
    let master = master(&mut ensemble)?;
    let leader = ensemble.leader()?;
    await_row(&ensemble, leader, "learners", "2")?;
    await_row(&ensemble, master, "synced_observers", "1")?;
    observe(&mut ensemble)?;
    // Without its master it finds another.
    let before = self::master(&mut ensemble)?;
    ensemble.servers[before].kill()?;
    write(&ensemble, Some(before), "/without-its-master")?;
    check(&ensemble, OBSERVER, &["/without-its-master".to_owned()])
}

/// The number of the server that tells the observer. An observer that found no follower that listens is told by the leader, and stays: it starts again then.
fn master(ensemble: &mut Ensemble) -> anyhow::Result<usize> {
    let told = || {
        ensemble.await_service(OBSERVER)?;
        let found = row(ensemble, OBSERVER, "observer_master_id");
        let master = found.ok().and_then(|it| it.parse::<usize>().ok());
        if master.is_some_and(|it| Ok(it - 1) == ensemble.leader().map_err(drop)) {
            ensemble.servers[OBSERVER].kill()?;
            ensemble.servers[OBSERVER].launch()?;
            return Ok(None);
        }
        Ok(master.map(|it| it - 1))
    };
    until_some("a follower tells the observer", told).with_context(|| ensemble.logs())
}

fn row(ensemble: &Ensemble, number: usize, name: &str) -> anyhow::Result<String> {
    let mntr = four_letters(ensemble.address(number), "mntr")?;
    let mut lines = mntr.lines();
    let row = lines.find_map(|it| it.strip_prefix("zk_")?.strip_prefix(name)?.strip_prefix('\t'));
    Ok(row.with_context(|| format!("no {name} in\n{mntr}"))?.to_owned())
}

fn await_row(ensemble: &Ensemble, number: usize, name: &str, expected: &str) -> anyhow::Result<()> {
    ensemble.until(format!("{name} of server {} is {expected}", number + 1), || {
        Ok(row(ensemble, number, name).is_ok_and(|it| it == expected))
    })
}

/// The number of the observer.
const OBSERVER: usize = 3;

fn observe(ensemble: &mut Ensemble) -> anyhow::Result<()> {
    let mode = ensemble.await_service(OBSERVER)?;
    ensure!(mode == "observer", "it is {mode}");
    let mut paths = vec!["/through-it".to_owned()];
    let mut client = connect(ensemble, OBSERVER)?;
    asked(&mut client, op::CREATE, &Body::default().create(&paths[0], b"acknowledged", 0))?;
    asked(&mut client, op::CREATE, &Body::default().create("/its", b"", 1))?;
    asked(&mut client, op::SYNC, &Body::default().buffer(b"/"))?;
    for number in 0..3 {
        check(ensemble, number, &paths)?;
    }
    // A session moves from it to a voter, with its ephemeral.
    let moved = again(|| Ok(Client::resume(ensemble.address(0), &client.session, 0)?))?;
    let mut moved = moved.with_context(|| format!("the session ended\n{}", ensemble.logs()))?;
    asked(&mut moved, op::CLOSE_SESSION, &Body::default())?;
    let mut client = connect(ensemble, OBSERVER)?;
    asked(&mut client, op::SYNC, &Body::default().buffer(b"/"))?;
    let reply = client.ask(op::EXISTS, &Body::default().buffer(b"/its").byte(0))?;
    ensure!(reply.err == -101, "the ephemeral outlives its session: {}", reply.err);

    let leader = ensemble.leader()?;
    ensemble.servers[leader].kill()?;
    for number in 0..4 {
        if number != leader {
            let path = format!("/without-the-leader-{number}");
            write(ensemble, Some(leader), &path)?;
            paths.push(path);
        }
    }
    check(ensemble, OBSERVER, &paths)?;
    ensemble.servers[leader].launch()?;
    check(ensemble, leader, &paths)?;

    ensemble.servers[OBSERVER].kill()?;
    write(ensemble, Some(OBSERVER), "/without-it")?;
    paths.push("/without-it".to_owned());
    ensemble.servers[OBSERVER].launch()?;
    check(ensemble, OBSERVER, &paths)?;

    // It is no part of a majority.
    let leader = ensemble.leader()?;
    let others: Vec<_> = (0..3).filter(|&it| it != leader).collect();
    for &number in &others {
        ensemble.servers[number].kill()?;
    }
    let body = Body::default().create("/by-a-minority", b"", 0);
    let done = Client::connect(ensemble.address(OBSERVER))
        .and_then(|mut client| client.ask(op::CREATE, &body));
    ensure!(done.is_err(), "a minority has decided: {done:?}");
    for number in others {
        ensemble.servers[number].launch()?;
    }
    for number in 0..4 {
        check(ensemble, number, &paths)?;
    }
    Ok(())
}
