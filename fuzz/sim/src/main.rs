//! Runs seeds: `cargo run --release -p sim -- --seed 0x5eed`, or `--seeds 0..10000`.

use std::ops::Range;
use std::process::ExitCode;

use clap::Parser;
use sim::walk::{self, Bounds, Manner};
use sim::{Failure, Plan, Summary, Violation, World};

/// Ensembles in one thread, from seeds.
#[derive(Debug, Parser)]
struct Arguments {
    /// One seed; tells what servers do.
    #[arg(long, value_parser = number)]
    seed: Option<u64>,
    /// A range of seeds, one run each: FROM..TO.
    #[arg(long, value_parser = range, default_value = "0..300")]
    seeds: Range<u64>,
    /// Puts each bug in and counts the seeds until it is found; or only the one of this name.
    #[cfg(planted)]
    #[arg(long, num_args = 0..=1, default_missing_value = "")]
    planted: Option<String>,
    /// Follows every run of a small world: crashes, broken connections, transactions, leaders, servers that give up, states at most.
    #[arg(long, num_args = 6, value_names = ["CRASHES", "CUTS", "TXNS", "LEADERS", "TIMEOUTS", "STATES"])]
    walk: Option<Vec<u64>>,
    /// Follows every election of three servers, and of two with an observer, whatever their histories: crashes, broken connections, servers that give up, states at most.
    #[arg(long, num_args = 4, value_names = ["CRASHES", "CUTS", "TIMEOUTS", "STATES"])]
    elections: Option<Vec<u64>>,
    /// With `--walk` or `--elections`: every order, also of what has nothing to do with each other.
    #[arg(long)]
    every: bool,
    /// Print only what was found.
    #[arg(long)]
    quiet: bool,
}

/// Reads a number, decimal or hexadecimal.
fn number(text: &str) -> Result<u64, std::num::ParseIntError> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    }
}

/// Reads FROM..TO.
fn range(text: &str) -> Result<Range<u64>, anyhow::Error> {
    let (from, to) = text.split_once("..").ok_or_else(|| anyhow::anyhow!("FROM..TO"))?;
    Ok(number(from)?..number(to)?)
}

/// One run; each hundredth seed twice, and the traces compared.
fn run(seed: u64) -> Result<Summary, Box<Failure>> {
    let summary = World::new(Plan::new(seed)).run()?;
    if seed.is_multiple_of(100) {
        let again = World::new(Plan::new(seed)).run()?;
        if again.trace != summary.trace {
            let violation = Violation::NotTheSame { one: summary.trace, other: again.trace };
            return Err(Box::new(Failure { violation, summary }));
        }
    }
    Ok(summary)
}

#[expect(clippy::print_stdout, reason = "a program's answer")]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    #[cfg(planted)]
    if let Some(name) = &arguments.planted {
        if let Some(&[.., states_max]) = arguments.walk.as_deref() {
            let manner = if arguments.every { Manner::Every } else { Manner::Fewer };
            walk::planted::run(name, manner, states_max);
            return ExitCode::SUCCESS;
        }
        if let Some(&[.., states_max]) = arguments.elections.as_deref() {
            let manner = if arguments.every { Manner::Every } else { Manner::Alike };
            walk::planted::run_elections(name, manner, states_max);
            return ExitCode::SUCCESS;
        }
        return sim::planted::run(name, arguments.seed);
    }
    if let Some(numbers) = &arguments.walk {
        let manner = if arguments.every { Manner::Every } else { Manner::Fewer };
        return walk(numbers, manner);
    }
    if let Some(numbers) = &arguments.elections {
        let manner = if arguments.every { Manner::Every } else { Manner::Alike };
        return elections(numbers, manner);
    }
    if let Some(seed) = arguments.seed {
        let plan = Plan::new(seed);
        println!("{plan:?}");
        return match World::new(plan).told().run() {
            Ok(summary) => {
                println!("{summary:?}");
                ExitCode::SUCCESS
            }
            Err(failure) => {
                println!("{}\n{:?}", failure.violation, failure.summary);
                ExitCode::FAILURE
            }
        };
    }
    let mut found = 0;
    let mut sum = Summary::default();
    let count = arguments.seeds.end.saturating_sub(arguments.seeds.start);
    for seed in arguments.seeds {
        // A machine that stops itself ends the process: this says which seed it was.
        std::panic::set_hook(Box::new(move |info| {
            println!("{info}\nagain: cargo run --release -p sim -- --seed {seed}");
        }));
        match run(seed) {
            Ok(summary) => add(&mut sum, &summary),
            Err(failure) => {
                found += 1;
                println!(
                    "{}\nagain: cargo run --release -p sim -- --seed {seed}",
                    failure.violation
                );
            }
        }
    }
    if !arguments.quiet {
        println!("{count} seeds, {found} failed: {sum:?}");
    }
    if found == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Follows every run of a small world.
#[expect(clippy::print_stdout, reason = "a program's answer")]
fn walk(numbers: &[u64], manner: Manner) -> ExitCode {
    let &[crashes, cuts, txns, leaders, timeouts, states_max] = numbers else {
        return ExitCode::FAILURE;
    };
    let small = |it: u64| u8::try_from(it).unwrap_or(u8::MAX);
    let bounds = Bounds {
        crashes: small(crashes),
        cuts: small(cuts),
        txns: small(txns),
        leaders: small(leaders),
        timeouts: small(timeouts),
    };
    match walk::walk(&walk::World::new(bounds, manner), states_max) {
        Ok(walked) => {
            let (rests, whole) = (walked.rests.len(), walked.is_whole);
            let rest = walked.rests.iter().fold(0, |sum, it| sum ^ it.0);
            let walk::Walked { states, events, committed, epochs, depth, .. } = walked;
            println!("{states} states, {events} ways, depth {depth}, whole: {whole}");
            println!("{committed} committed, {epochs} epochs, {rests} states at rest ({rest:x})");
            ExitCode::SUCCESS
        }
        Err(broken) => {
            for event in &broken.path {
                println!("{event:?}");
            }
            println!("{}", broken.violation);
            ExitCode::FAILURE
        }
    }
}

/// Follows every election, for each order of three candidates, and of two with an observer.
#[expect(clippy::print_stdout, reason = "a program's answer")]
fn elections(numbers: &[u64], manner: Manner) -> ExitCode {
    let &[crashes, cuts, timeouts, states_max] = numbers else {
        return ExitCode::FAILURE;
    };
    let small = |it: u64| u8::try_from(it).unwrap_or(u8::MAX);
    let bounds = walk::election::Bounds {
        crashes: small(crashes),
        cuts: small(cuts),
        timeouts: small(timeouts),
    };
    for (members, histories) in walk::election::worlds() {
        match walk::walk(
            &walk::election::Elections::new(bounds, members, manner, histories),
            states_max,
        ) {
            Ok(it) => {
                let rest = it.rests.iter().fold(0, |sum, it| sum ^ it.0);
                let walk::Walked { states, events, depth, ends, is_whole, rests, .. } = it;
                let rests = rests.len();
                println!(
                    "{members:?} {histories:?}: {states} states, {events} ways, depth {depth}, {rests} at rest ({rest:x}), {ends} ends, whole: {is_whole}"
                );
            }
            Err(broken) => {
                for event in &broken.path {
                    println!("{event:?}");
                }
                println!("{members:?} {histories:?}: {}", broken.violation);
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

fn add(sum: &mut Summary, one: &Summary) {
    sum.steps += one.steps;
    sum.committed += one.committed;
    sum.acked += one.acked;
    sum.epochs += one.epochs;
    sum.faults += one.faults;
    sum.syncs += one.syncs;
    sum.reads += one.reads;
    sum.events += one.events;
    sum.moves += one.moves;
    sum.sessions += one.sessions;
    sum.locals += one.locals;
    sum.upgrades += one.upgrades;
    sum.expired += one.expired;
    sum.images += one.images;
    sum.streams += one.streams;
    sum.truncs += one.truncs;
    sum.passed += one.passed;
    sum.changes += one.changes;
    sum.write_errors += one.write_errors;
    sum.refusals += one.refusals;
    sum.seals += one.seals;
    sum.sealed_refusals += one.sealed_refusals;
    sum.blanks += one.blanks;
    sum.millis += one.millis;
    sum.trace ^= one.trace;
}
