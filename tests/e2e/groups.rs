//! Voters in groups, with weights: what is a quorum goes on, and what is none does not, however many servers that is. Ours, and ours beside a reference server.

use std::thread;
use std::time::Duration;

use anyhow::ensure;
use libtest_mimic::Trial;

use crate::ensemble::{Ensemble, check, trial, write};
use crate::server::Kind;

/// The tests.
pub(crate) fn trials() -> Vec<Trial> {
    let mut mixed = [Kind::Ringkeeper; 5];
    mixed[4] = Kind::Reference;
    vec![
        trial("groups_decide_by_weight", || decide([Kind::Ringkeeper; 5])),
        trial("groups_mixed_decide_by_weight", move || decide(mixed)),
    ]
}

/// Server 1 outweighs server 2; servers 3 and 4 need each other; server 5 is a group by itself. Two groups are a quorum.
const GROUPS: &str = "group.1=1:2\ngroup.2=3:4\ngroup.3=5\nweight.1=3\nweight.2=1\nweight.3=1\nweight.4=1\nweight.5=1\n";

/// How long those that must not go on are watched.
const WATCHED: Duration = Duration::from_secs(4);

fn decide(kinds: [Kind; 5]) -> anyhow::Result<()> {
    let mut ensemble = Ensemble::start_with(&kinds, 0, GROUPS)?;
    let mut paths = Vec::new();
    // By index: who is left, and whether that is a quorum.
    for (round, (left, decides)) in [
        (vec![0, 4], true),
        (vec![1, 2, 3], false),
        (vec![0, 2, 3], true),
        (vec![0, 1, 2], false),
        (vec![1, 2, 3, 4], true),
    ]
    .into_iter()
    .enumerate()
    {
        println!("round {round}: {left:?}");
        let before = format!("/before-{round}");
        write(&ensemble, None, &before)?;
        paths.push(before);
        let gone: Vec<_> = (0..5).filter(|it| !left.contains(it)).collect();
        for &number in &gone {
            ensemble.servers[number].kill()?;
        }
        if decides {
            let path = format!("/by-a-quorum-{round}");
            write(&ensemble, Some(gone[0]), &path)?;
            paths.push(path);
            for &number in &left {
                check(&ensemble, number, &paths)?;
            }
        } else {
            stand_still(&ensemble, &left)?;
        }
        for &number in &gone {
            ensemble.servers[number].launch()?;
        }
        for number in 0..5 {
            check(&ensemble, number, &paths)?;
        }
    }
    Ok(())
}

/// None of them serves, from when each has noticed.
fn stand_still(ensemble: &Ensemble, left: &[usize]) -> anyhow::Result<()> {
    let serves = |it: &&usize| ensemble.mode(**it).is_some();
    ensemble.until("nobody serves", || Ok(left.iter().find(serves).is_none()))?;
    let every = Duration::from_millis(100);
    for _ in 0..WATCHED.as_millis() / every.as_millis() {
        let found = left.iter().find(serves);
        ensure!(found.is_none(), "{left:?} are no quorum, and {found:?} serves");
        thread::sleep(every);
    }
    Ok(())
}
