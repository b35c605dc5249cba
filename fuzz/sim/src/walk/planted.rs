//! Which of the bugs that were put in a walk finds, and in how small a world.

use std::panic::{AssertUnwindSafe, catch_unwind};

use quorum::zab::Bug;

use super::{Bounds, Manner, World, walk};

/// From the smallest: crashes, cuts, transactions, leaders.
const WORLDS: [[u8; 4]; 9] = [
    [0, 0, 2, 1],
    [1, 0, 0, 1],
    [0, 1, 0, 2],
    [1, 0, 0, 2],
    [0, 1, 1, 2],
    [1, 0, 1, 2],
    [1, 0, 2, 2],
    [0, 1, 2, 2],
    [2, 0, 1, 2],
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

/// The end of the bug's row, if it is found in this world.
fn row(bug: Bug, world: [u8; 4], manner: Manner, states_max: u64) -> Option<String> {
    let [crashes, cuts, txns, leaders] = world;
    let bounds = Bounds { crashes, cuts, txns, leaders, timeouts: 0 };
    let start = || World::new(bounds, manner).with_bug(bug);
    let named = format!("{crashes}, {cuts}, {txns}, {leaders}");
    match catch_unwind(AssertUnwindSafe(|| walk(start(), states_max))) {
        Ok(Ok(_)) => None,
        Ok(Err(broken)) => {
            let kind = format!("{:?}", broken.violation);
            let kind = kind.split([' ', '{']).next().unwrap_or_default();
            Some(format!("{named} | {} | {} | {kind} |", broken.states, broken.path.len()))
        }
        Err(_) => Some(format!("{named} | | | the machine stops itself |")),
    }
}
