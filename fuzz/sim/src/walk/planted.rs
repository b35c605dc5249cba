//! Which of the bugs that were put in a walk finds, and in how small a world.

use std::panic::{AssertUnwindSafe, catch_unwind};

use quorum::zab::Bug;

use super::election::{self, Elections};
use super::{Bounds, Manner, Runs, World, walk};

/// From the smallest: crashes, cuts, transactions, leaders.
const WORLDS: [[u8; 4]; 12] = [
    [0, 0, 2, 1],
    [1, 0, 0, 1],
    [0, 1, 0, 2],
    [1, 0, 0, 2],
    [0, 1, 1, 2],
    [1, 0, 1, 2],
    [1, 0, 2, 2],
    [0, 1, 2, 2],
    [2, 0, 1, 2],
    [1, 1, 1, 2],
    [1, 1, 0, 3],
    [2, 0, 1, 3],
];

/// Prints a row for each bug, or for the one of this name: the first world in which it is found, after how many states, at which depth, and by
/// which rule.
#[expect(clippy::print_stdout, reason = "asked for")]
pub fn run(name: &str, manner: Manner, states_max: u64) {
    std::panic::set_hook(Box::new(|_| {}));
    for &bug in Bug::ALL.iter().filter(|it| name.is_empty() || format!("{it:?}") == name) {
        let row = WORLDS.iter().find_map(|&world| row(bug, world, manner, states_max));
        println!("| {bug:?} | {}", row.unwrap_or_else(|| "not found |".into()));
    }
}

/// From the smallest: crashes, broken connections, servers that give up.
const ELECTIONS: [[u8; 3]; 5] = [[0, 0, 0], [0, 1, 0], [0, 2, 0], [0, 0, 1], [1, 0, 0]];

/// The same for bugs of elections.
#[expect(clippy::print_stdout, reason = "asked for")]
pub fn run_elections(name: &str, manner: Manner, states_max: u64) {
    use quorum::election::Bug;
    std::panic::set_hook(Box::new(|_| {}));
    for &bug in Bug::ALL.iter().filter(|it| name.is_empty() || format!("{it:?}") == name) {
        let row = ELECTIONS.iter().find_map(|&[crashes, cuts, timeouts]| {
            let bounds = election::Bounds { crashes, cuts, timeouts };
            election::worlds().find_map(|(members, histories)| {
                let start = || Elections::new(bounds, members, manner, histories).with_bug(bug);
                let end = found(start, states_max)?;
                Some(format!("{crashes}, {cuts}, {timeouts} | {members:?} | {end}"))
            })
        });
        println!("| {bug:?} | {}", row.unwrap_or_else(|| "not found |".into()));
    }
}

/// The end of the bug's row, if it is found in this world.
fn row(bug: Bug, world: [u8; 4], manner: Manner, states_max: u64) -> Option<String> {
    let [crashes, cuts, txns, leaders] = world;
    let bounds = Bounds { crashes, cuts, txns, leaders, timeouts: 0 };
    let end = found(|| World::new(bounds, manner).with_bug(bug), states_max)?;
    Some(format!("{crashes}, {cuts}, {txns}, {leaders} | {end}"))
}

/// After how many states, at which depth and by which rule a walk ends, if it does before its time.
fn found<S: Runs>(start: impl Fn() -> S, states_max: u64) -> Option<String> {
    match catch_unwind(AssertUnwindSafe(|| walk(&start(), states_max))) {
        Ok(Ok(_)) => None,
        Ok(Err(broken)) => {
            let kind = format!("{:?}", broken.violation);
            let kind = kind.split([' ', '{']).next().unwrap_or_default();
            Some(format!("{} | {} | {kind} |", broken.states, broken.path.len()))
        }
        Err(_) => Some("| | the machine stops itself |".into()),
    }
}
