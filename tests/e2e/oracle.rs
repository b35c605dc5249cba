//! Two voters of which one goes: whether the other goes on is what the operator says in the file of `oraclePath`, and nobody else.
//!
//! Ours alone, and ours with a reference server in each part. Each server has a file of its own, `oracle` in its folder.

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::ensure;
use libtest_mimic::Trial;

use crate::ensemble::{Ensemble, check, trial, write};
use crate::server::Kind;

/// The tests.
pub(crate) fn trials() -> Vec<Trial> {
    use Kind::{Reference, Ringkeeper};
    let ours = [Ringkeeper; 2];
    vec![
        trial("oracle_lets_the_follower_go_on_alone_or_not", move || {
            go_alone(&ours, |leader| leader)
        }),
        trial("oracle_lets_the_leader_go_on_alone_or_not", move || {
            go_alone(&ours, |leader| 1 - leader)
        }),
        trial("oracle_mixed_lets_ours_go_on_without_a_reference_server", || {
            go_alone(&[Ringkeeper, Reference], |_| 1)
        }),
        trial("oracle_mixed_lets_a_reference_server_go_on_without_ours", || {
            go_alone(&[Ringkeeper, Reference], |_| 0)
        }),
    ]
}

/// How long a server that must not go on is watched.
const WATCHED: Duration = Duration::from_secs(4);

/// Of two servers one goes, which is chosen by who leads; the other goes on when its oracle says so, and the one that comes back has everything.
fn go_alone(kinds: &[Kind], who_goes: impl Fn(usize) -> usize) -> anyhow::Result<()> {
    let mut ensemble = Ensemble::prepare(kinds, 0, "oraclePath=oracle\n")?;
    for number in 0..2 {
        say(&ensemble, number, "0")?;
    }
    ensemble.launch_all(kinds)?;
    for number in 0..2 {
        ensemble.await_service(number)?;
    }
    let goes = who_goes(ensemble.leader()?);
    let stays = 1 - goes;
    let mut paths = ["/before", "/alone", "/alone-too", "/both", "/again"].map(str::to_owned);
    write(&ensemble, None, &paths[0])?;
    ensemble.servers[goes].kill()?;
    ensemble.until("it has noticed", || Ok(ensemble.mode(stays).is_none()))?;
    stays_silent(&ensemble, stays)?;

    say(&ensemble, stays, "1\n")?;
    leads(&ensemble, stays)?;
    write(&ensemble, Some(goes), &paths[1])?;
    write(&ensemble, Some(goes), &paths[2])?;

    ensemble.servers[goes].launch()?;
    check(&ensemble, goes, &paths[..3])?;
    leads(&ensemble, stays)?;
    write(&ensemble, None, &paths[3])?;
    for number in 0..2 {
        check(&ensemble, number, &paths[..4])?;
    }
    // While it says 1, the other's end is hardly noticed; and not at all behind a 0.
    ensemble.servers[goes].kill()?;
    write(&ensemble, Some(goes), &paths[4])?;
    say(&ensemble, stays, "0")?;
    ensemble.until("it leads no longer", || Ok(ensemble.mode(stays).is_none()))?;
    stays_silent(&ensemble, stays)?;
    ensemble.servers[goes].launch()?;
    paths.sort();
    for number in 0..2 {
        check(&ensemble, number, &paths)?;
    }
    Ok(())
}

fn say(ensemble: &Ensemble, number: usize, word: &str) -> anyhow::Result<()> {
    // It is never there without its word.
    let dir = ensemble.servers[number].dir();
    fs::write(dir.join("next"), word)?;
    Ok(fs::rename(dir.join("next"), dir.join("oracle"))?)
}

fn leads(ensemble: &Ensemble, number: usize) -> anyhow::Result<()> {
    ensemble.until("it leads", || Ok(ensemble.mode(number).as_deref() == Some("leader")))
}

fn stays_silent(ensemble: &Ensemble, number: usize) -> anyhow::Result<()> {
    let every = Duration::from_millis(50);
    for _ in 0..WATCHED.as_millis() / every.as_millis() {
        let mode = ensemble.mode(number);
        ensure!(mode.is_none(), "without leave it is {mode:?}\n{}", ensemble.logs());
        thread::sleep(every);
    }
    Ok(())
}
