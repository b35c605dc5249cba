//! `ringkeeper-bench`: loads, and side-by-side runs of Ringkeeper and Apache ZooKeeper.

#![expect(clippy::disallowed_methods, reason = "a load generator reads the clock and waits")]

mod arguments;
mod ceiling;
mod clock;
mod compare;
mod connection;
mod crowd;
mod jvm;
mod load;
mod memory;
mod meter;
mod preset;
mod process;
mod random;
mod requests;
mod run;
mod scene;
mod server;
mod sessions;
mod spec;
mod tree;

use std::path::Path;

use anyhow::{Result, ensure};
use clap::Parser;

use arguments::{Arguments, Command, Fill};
use compare::{Effort, Field};
use memory::Filling;
use preset::{Job, Work};
use requests::Root;
use run::Target;
use spec::Spec;

#[expect(clippy::print_stdout, reason = "results are the program's output")]
fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Load { server, load, file, how, rounds, pid, data, json } => {
            let jobs = match &file {
                Some(file) => vec![from_file(file)?],
                None => preset::named(&load)?,
            };
            let target = Target { servers: run::resolve(&server)?, pid, data };
            let mut all = Vec::new();
            for mut job in jobs {
                let shape = how.shape(&mut job);
                let root = Root(format!("/bench/{}-{}", job.name, std::process::id()));
                run::check(&job, &shape)?;
                for round in 0..rounds {
                    // What a round used up is made again.
                    if round == 0 || job.setup().is_some_and(|setup| setup.spare > 0) {
                        run::prepare(&target, &job, &root)?;
                    }
                    let outcome = run::round(&target, &job, &shape, &root)?;
                    println!("{outcome}");
                    all.push(outcome);
                }
            }
            save(json.as_deref(), &all)?;
            let late = all.iter().filter(|it| !it.sustained).count();
            ensure!(late == 0, "{late} rounds did not reach their rate");
        }
        Command::Loads => {
            for (name, text) in preset::NAMES {
                println!("{name:<18} {text}");
            }
        }
        Command::Compare { how, programs, loads, servers, pairs, jvm_warmup, json } => {
            let field = Field::start(&servers, &programs.programs())?;
            for (kind, line) in field.commands() {
                println!("{}: {line}", kind.word());
            }
            let mut all = Vec::new();
            for name in &loads {
                for mut job in preset::named(name)? {
                    let shape = how.shape(&mut job);
                    let effort = Effort { pairs, warmup_seconds: jvm_warmup };
                    let compared = field.compare(&job, &shape, effort)?;
                    println!("{compared}");
                    all.push(compared);
                }
            }
            save(json.as_deref(), &all)?;
        }
        Command::Ceiling(ceiling) => ceiling.run()?,
        Command::Memory(fill) => run_fill(&fill, 0)?,
        Command::Restart { fill, restarts } => run_fill(&fill, restarts)?,
        Command::Sessions { programs, servers, count, seconds, json } => {
            let mut all = Vec::new();
            for kind in servers {
                let held = sessions::hold(kind, &programs.filling(count as u64), count, seconds)?;
                println!("{held}");
                all.push(held);
            }
            save(json.as_deref(), &all)?;
        }
    }
    Ok(())
}

fn from_file(file: &Path) -> Result<Job> {
    let spec = Spec::from_file(file)?;
    let name = spec.name.clone();
    Ok(Job { name, work: Work::Stream(spec), connections: None, depth: None })
}

#[expect(clippy::print_stdout, reason = "results are the program's output")]
fn run_fill(fill: &Fill, restarts: usize) -> Result<()> {
    let mut all = Vec::new();
    for &znodes in &fill.znodes {
        for &kind in &fill.servers {
            let filling = Filling { shape: fill.tree, znodes, size: fill.size, restarts };
            let filled = memory::fill(kind, &fill.programs.filling(znodes), filling)?;
            println!("{filled}");
            all.push(filled);
        }
    }
    save(fill.json.as_deref(), &all)
}

fn save(file: Option<&Path>, results: &impl serde::Serialize) -> Result<()> {
    if let Some(file) = file {
        std::fs::write(file, serde_json::to_string_pretty(results)?)?;
    }
    Ok(())
}
