//! Members change where ours and Apache ZooKeeper 3.9.5 lead in turn, and where whoever leads leaves.

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;

use super::{await_files, launch, prepare, reconfigure, write_once};
use crate::ensemble::{Ensemble, check, trial};
use crate::process::until;
use crate::server::Kind;

pub(super) fn trials() -> Vec<Trial> {
    use Kind::{Reference, Ringkeeper};
    vec![
        trial("reconfig_mixed_is_led_by_ours_and_by_java", || {
            led_by_each(&[Ringkeeper, Ringkeeper, Reference])
        }),
        trial("reconfig_mixed_leaders_leave_and_come_again", || {
            remove_leaders(&[Ringkeeper, Ringkeeper, Reference])
        }),
    ]
}

/// Whoever leads is killed and comes again until one of this kind leads.
fn make_lead(ensemble: &mut Ensemble, kinds: &[Kind], leads: Kind) -> anyhow::Result<()> {
    let made = || {
        let leader = ensemble.leader()?;
        if kinds[leader] != leads {
            ensemble.servers[leader].kill()?;
            ensemble.leader()?;
            launch(ensemble, &[leader])?;
        }
        Ok(kinds[ensemble.leader()?] == leads)
    };
    until(format!("one of {leads:?} leads"), made).with_context(|| ensemble.logs())
}

/// A server leaves and comes again, first led by ours and then by Java.
fn led_by_each(kinds: &[Kind]) -> anyhow::Result<()> {
    let (mut ensemble, lines) = prepare(kinds, 3)?;
    launch(&mut ensemble, &[0, 1])?;
    launch(&mut ensemble, &[2])?;
    let mut paths = Vec::new();
    for (turn, leads) in [Kind::Ringkeeper, Kind::Reference].into_iter().enumerate() {
        make_lead(&mut ensemble, kinds, leads)?;
        let leaving = if turn == 0 { 2 } else { 0 };
        let sid = (leaving + 1).to_string();
        let asked_of = [leaving, (leaving + 1) % 3, (leaving + 2) % 3];
        reconfigure(&ensemble, asked_of[1], ("", &sid), &[0, 1, 2])?;
        let path = format!("/without-{turn}");
        write_once(&ensemble, asked_of[2], &path)?;
        paths.push(path);
        let text = reconfigure(&ensemble, asked_of[2], (&lines[leaving], ""), &[0, 1, 2])?;
        ensure!(text.starts_with("server.1="), "{text}");
        for server in &ensemble.servers {
            await_files(server, &text)?;
        }
        for number in 0..3 {
            check(&ensemble, number, &paths)?;
        }
    }
    Ok(())
}

/// Whoever leads leaves, and comes again without a lead, until one of each kind has.
fn remove_leaders(kinds: &[Kind]) -> anyhow::Result<()> {
    let (mut ensemble, lines) = prepare(kinds, 3)?;
    launch(&mut ensemble, &[0, 1])?;
    launch(&mut ensemble, &[2])?;
    let mut removed = Vec::new();
    let mut paths = Vec::new();
    for turn in 0..6 {
        // Who follows a leader that leaves is for them to say. In the end whoever has not led yet is made to.
        if 3 < turn {
            let has_led = removed.contains(&Kind::Reference);
            let missing = if has_led { Kind::Ringkeeper } else { Kind::Reference };
            make_lead(&mut ensemble, kinds, missing)?;
        }
        let leader = ensemble.leader()?;
        removed.push(kinds[leader]);
        let (one, other) = ((leader + 1) % 3, (leader + 2) % 3);
        reconfigure(&ensemble, one, ("", &(leader + 1).to_string()), &[0, 1, 2])?;
        let path = format!("/without-{turn}");
        write_once(&ensemble, leader, &path)?;
        paths.push(path);
        ensemble.until("who was removed does not lead", || Ok(ensemble.leader()? != leader))?;
        reconfigure(&ensemble, other, (&lines[leader], ""), &[0, 1, 2])?;
        if removed.contains(&Kind::Reference) && removed.contains(&Kind::Ringkeeper) {
            break;
        }
    }
    ensure!(removed.contains(&Kind::Reference), "Java never led: {removed:?}");
    for number in 0..3 {
        check(&ensemble, number, &paths)?;
    }
    Ok(())
}
