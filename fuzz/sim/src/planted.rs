//! How soon bugs that were put in are found: the simulator's own test.
//!
//! One seed after the other with the same bug; a run that breaks a rule, or a machine that stops itself, has found it. The
//! table in `docs/simulator.md` is what this prints.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use engine::planted;
use quorum::zab::Bug;

use crate::{Plan, Violation, World};

/// So many times each bug is found, unless it takes too long.
const FOUND_MAX: usize = 15;

/// The seeds in which it must be found once.
const SEEDS_MAX: u64 = 10_000;

/// A bug, and whose.
#[derive(Clone, Copy, Debug)]
enum Planted {
    /// Of election, discovery, synchronization, broadcast.
    Zab(Bug),
    /// Of sessions, watches, the tree.
    Service(planted::Bug),
}

impl Planted {
    fn name(self) -> String {
        match self {
            Self::Zab(bug) => format!("{bug:?}"),
            Self::Service(bug) => format!("{bug:?}"),
        }
    }

    /// Puts it in, and no other.
    fn put_into(self, world: World) -> World {
        match self {
            Self::Zab(bug) => {
                planted::plant(None);
                world.with_bug(bug)
            }
            Self::Service(bug) => {
                planted::plant(Some(bug));
                world
            }
        }
    }
}

/// Prints a row for each bug, or for the one of this name; with a seed, tells that run.
#[expect(clippy::print_stdout, reason = "asked for")]
pub fn run(name: &str, seed: Option<u64>) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    let zab = Bug::ALL.iter().map(|&it| Planted::Zab(it));
    let all = zab.chain(planted::Bug::ALL.iter().map(|&it| Planted::Service(it)));
    for bug in all.filter(|it| name.is_empty() || it.name() == name) {
        if let Some(seed) = seed {
            let run = bug.put_into(World::new(Plan::new(seed))).told().run();
            println!("{run:?}");
            continue;
        }
        let row = row(bug);
        println!("{}", row.as_deref().unwrap_or("not found"));
        if row.is_none() {
            println!("{} is not found in {SEEDS_MAX} seeds", bug.name());
            code = ExitCode::FAILURE;
        }
    }
    code
}

/// The row of a bug: its name, seeds to find it in the median and at most, and by what it is found most. Findings are told as they come.
#[expect(clippy::print_stderr, reason = "it takes long")]
fn row(bug: Planted) -> Option<String> {
    std::panic::set_hook(Box::new(|_| {}));
    let (mut gaps, mut last) = (Vec::new(), 0);
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for seed in 0..SEEDS_MAX {
        let run =
            catch_unwind(AssertUnwindSafe(|| bug.put_into(World::new(Plan::new(seed))).run()));
        let violation = match run {
            Ok(Ok(_)) => continue,
            Ok(Err(failure)) => failure.violation,
            Err(_) => Violation::Panic,
        };
        eprintln!("{bug:?} in seed {seed}: {violation}");
        gaps.push(seed + 1 - last);
        last = seed + 1;
        let text = format!("{violation:?}");
        let kind = text.split([' ', '{']).next().unwrap_or_default().to_owned();
        *kinds.entry(kind).or_default() += 1;
        if gaps.len() == FOUND_MAX {
            break;
        }
    }
    let _ = std::panic::take_hook();
    gaps.sort_unstable();
    let (median, longest) = (gaps.get(gaps.len() / 2)?, gaps.last()?);
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    let kinds: Vec<_> = kinds.into_iter().take(3).map(|(kind, _)| kind).collect();
    let name = bug.name();
    Some(format!("| {name} | {median} | {longest} | {} | {} |", gaps.len(), kinds.join(", ")))
}
