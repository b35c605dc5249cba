//! Members come and go under writes, from one to five, and ports move: ours, and one of Java's that joins.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::ensure;
use libtest_mimic::Trial;

use super::{
    await_config, await_files, config, launch, prepare, prepare_with, reconfigure, write_once,
};
use crate::ensemble::{Ensemble, check, trial};
use crate::server::{Kind, free_port};
use crate::wire::{Body, Client, op};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("reconfig_three_grow_to_five_and_shrink_to_three_under_writes", grow_and_shrink),
        trial("reconfig_one_alone_grows_to_three_and_shrinks_to_one", grow_from_one),
        trial("reconfig_ports_of_a_server_move", move_ports),
    ]
}

/// Writes one path after another until told to stop, at whichever server takes it; gives what was acknowledged.
fn write_on(ensemble: &Ensemble, stop: &AtomicBool) -> Vec<String> {
    let mut paths = Vec::new();
    let mut client: Option<Client> = None;
    for turn in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let number = turn % ensemble.servers.len();
        let Some(writer) = &mut client else {
            client = Client::connect(ensemble.address(number)).ok();
            thread::sleep(Duration::from_millis(2));
            continue;
        };
        let path = format!("/written-{turn}");
        match writer.ask(op::CREATE, &Body::default().create(&path, b"acknowledged", 0)) {
            Ok(reply) if reply.err == 0 => paths.push(path),
            _ => client = None,
        }
    }
    paths
}

fn grow_and_shrink() -> anyhow::Result<()> {
    let (mut ensemble, lines) = prepare(&[Kind::Ringkeeper; 5], 3)?;
    launch(&mut ensemble, &[0, 1, 2])?;
    let first = config(&ensemble, 0)?;
    ensure!(first.starts_with(&lines[0]) && !first.ends_with("version=0"), "{first}");
    launch(&mut ensemble, &[3, 4])?;
    let stop = AtomicBool::new(false);
    let (paths, last) = thread::scope(|scope| {
        let writer = scope.spawn(|| write_on(&ensemble, &stop));
        let changes = || -> anyhow::Result<String> {
            let all = [0, 1, 2, 3, 4];
            reconfigure(&ensemble, 0, (&lines[3], ""), &all)?;
            reconfigure(&ensemble, 4, (&lines[4], ""), &all)?;
            let leader = ensemble.leader()?;
            let other = (leader + 1) % 5;
            let leaving = format!("{},{}", leader + 1, other + 1);
            reconfigure(&ensemble, (leader + 2) % 5, ("", &leaving), &all)
        };
        let done = changes();
        thread::sleep(Duration::from_millis(200));
        stop.store(true, Ordering::Relaxed);
        let paths = writer.join().expect("the writer does not panic");
        done.map(|text| (paths, text))
    })?;
    println!("{} writes were acknowledged", paths.len());
    let stays = |it: &usize| last.contains(&lines[*it]);
    let (staying, leaving): (Vec<usize>, Vec<usize>) = (0..5).partition(stays);
    ensure!(staying.len() == 3, "{last}");
    for number in leaving {
        ensemble.servers[number].kill()?;
    }
    for &number in &staying {
        await_files(&ensemble.servers[number], &last)?;
        ensemble.servers[number].kill()?;
    }
    launch(&mut ensemble, &staying)?;
    for &number in &staying {
        check(&ensemble, number, &paths)?;
        await_config(&ensemble, number, &last)?;
    }
    Ok(())
}

/// An ensemble of one is joined by Java's and by another of ours, and that one stays alone.
fn grow_from_one() -> anyhow::Result<()> {
    let kinds = [Kind::Ringkeeper, Kind::Reference, Kind::Ringkeeper];
    let (mut ensemble, lines) = prepare_with(&kinds, 1, "standaloneEnabled=false\n")?;
    launch(&mut ensemble, &[0])?;
    let mut paths = vec!["/alone".to_owned()];
    write_once(&ensemble, 0, "/alone")?;
    launch(&mut ensemble, &[1])?;
    reconfigure(&ensemble, 0, (&lines[1], ""), &[0, 1])?;
    launch(&mut ensemble, &[2])?;
    let all = reconfigure(&ensemble, 1, (&lines[2], ""), &[0, 1, 2])?;
    ensure!(lines.iter().all(|it| all.contains(it)), "{all}");
    write_once(&ensemble, 2, "/three")?;
    paths.push("/three".to_owned());
    for number in 0..3 {
        check(&ensemble, number, &paths)?;
    }
    let last = reconfigure(&ensemble, 1, ("", "1,2"), &[2])?;
    ensure!(last.starts_with(&lines[2]), "{last}");
    ensemble.servers[0].kill()?;
    ensemble.servers[1].kill()?;
    ensemble.servers[2].kill()?;
    launch(&mut ensemble, &[2])?;
    await_config(&ensemble, 2, &last)?;
    check(&ensemble, 2, &paths)
}

/// Every port of the leader, and then of a follower, becomes another.
fn move_ports() -> anyhow::Result<()> {
    let (mut ensemble, _) = prepare(&[Kind::Ringkeeper; 3], 3)?;
    launch(&mut ensemble, &[0, 1, 2])?;
    for turn in 0..2 {
        let leader = ensemble.leader()?;
        let moving = if turn == 0 { leader } else { (leader + 1) % 3 };
        let (quorum, election, client) = (free_port()?, free_port()?, free_port()?);
        let line = format!(
            "server.{}=127.0.0.1:{quorum}:{election}:participant;127.0.0.1:{client}",
            moving + 1
        );
        let other = (moving + 1) % 3;
        let text = reconfigure(&ensemble, other, (&line, ""), &[other])?;
        ensemble.servers[moving].move_to(client);
        for number in 0..3 {
            await_config(&ensemble, number, &text)?;
        }
        let path = format!("/moved-{turn}");
        write_once(&ensemble, moving, &path)?;
        // Whoever is killed, the others find each other at the ports of now.
        ensemble.servers[other].kill()?;
        check(&ensemble, moving, &[path])?;
        launch(&mut ensemble, &[other])?;
    }
    Ok(())
}
