//! `ringkeeper-bench`: loads, and side-by-side runs of Ringkeeper and Apache ZooKeeper.

#![expect(clippy::disallowed_methods, reason = "a load generator reads the clock and waits")]

mod arguments;
mod campaign;
mod ceiling;
mod clock;
mod compare;
mod connection;
mod crowd;
mod failover;
mod floor;
mod jvm;
mod live;
mod load;
mod machine;
mod memory;
mod meter;
mod outcome;
mod party;
mod plan;
mod preset;
mod process;
mod random;
mod report;
mod requests;
mod run;
mod scene;
mod server;
mod sessions;
mod snapshots;
mod spec;
mod suite;
mod tree;
mod write_floor;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, ensure};
use clap::Parser;

use arguments::{Alone, Arguments, Command, Fill, How, Need, Suite, Where};
use campaign::Campaign;
use compare::{Effort, Field, Trial};
use memory::Filling;
use outcome::Outcome;
use plan::Measured;
use preset::{Job, Work};
use report::{Report, goals};
use requests::Root;
use run::{Probe, Shape, Target};
use server::Kind;
use spec::Spec;
use suite::Size;

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Load { server, load, file, how, rounds, pid, data, json } => {
            let jobs = match &file {
                Some(file) => vec![from_file(file)?],
                None => preset::named(&load)?,
            };
            let target = Target { servers: run::resolve(&server)?, pids: pid, data };
            let all = run_loads(&target, jobs, &how, rounds)?;
            save(json.as_deref(), &all)?;
            let late = all.iter().filter(|it| !it.sustained).count();
            ensure!(late == 0, "{late} rounds did not reach their rate");
        }
        Command::Loads => {
            for (name, text) in preset::NAMES {
                print(&format!("{name:<18} {text}"));
            }
        }
        Command::Compare {
            how,
            programs,
            loads,
            servers,
            members,
            pairs,
            spare_pairs,
            jvm_warmup,
            suite,
            json,
        } => {
            let whole = suite.quick || suite.full;
            let seconds = jvm_warmup.unwrap_or(if suite.quick { 5.0 } else { 15.0 });
            let effort = Effort { pairs, spare_pairs, warmup_seconds: seconds };
            let all = if whole { Kind::ALL } else { Kind::COMPARED };
            let servers = if servers.is_empty() { all } else { &servers };
            if whole {
                return whole_report(&how, &programs, &suite, servers, (effort, json));
            }
            compare_loads(&how, &programs, &loads, (servers, members), (effort, json.as_deref()))?;
        }
        Command::Report { file, html, picture } => {
            let report = Report::read(&file)?;
            publish(&report, html.as_deref(), picture.as_deref())?;
        }
        Command::Snapshot { programs, servers, imaging, json } => {
            let one = |kind| snapshots::imaged(kind, &programs.filling(imaging.znodes), imaging);
            each(servers, json.as_deref(), one)?;
        }
        Command::Plan { need, programs, report, json } => {
            make_plan(&need, &programs, report.as_deref(), json.as_deref())?;
        }
        Command::FailOver { programs, servers, drill, json } => {
            let one = |kind| failover::drill(kind, &programs.filling(drill.znodes), drill);
            each(servers, json.as_deref(), one)?;
        }
        Command::Ceiling(ceiling) => ceiling.run()?,
        Command::Floor(alone) => run_floor(&alone)?,
        Command::Memory(fill) => run_fill(&fill, 0)?,
        Command::Restart { fill, restarts } => run_fill(&fill, restarts)?,
        Command::Sessions { programs, servers, count, seconds, json } => {
            let one = |kind| sessions::hold(kind, &programs.filling(count as u64), count, seconds);
            each(servers, json.as_deref(), one)?;
        }
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "results are the program's output")]
fn print(line: &str) {
    println!("{line}");
}

/// Measures one server after the other.
fn each<T: std::fmt::Display + serde::Serialize>(
    servers: Vec<Kind>,
    json: Option<&Path>,
    one: impl Fn(Kind) -> Result<T>,
) -> Result<()> {
    let mut all = Vec::new();
    for kind in servers {
        let measured = one(kind)?;
        print(&measured.to_string());
        all.push(measured);
    }
    save(json, &all)
}

fn run_loads(target: &Target, jobs: Vec<Job>, how: &How, rounds: usize) -> Result<Vec<Outcome>> {
    let mut all = Vec::new();
    for mut job in jobs {
        let shape = how.shape(&mut job);
        let root = Root(format!("/bench/{}-{}", job.name, std::process::id()));
        run::check(&job, &shape)?;
        for round in 0..rounds {
            // What a round used up is made again.
            if round == 0 || job.uses_up() {
                run::prepare(target, &job, &root)?;
            }
            let probe = Probe { live: Some(Arc::default()), series: false };
            let (outcome, _) = run::probed(target, &job, &shape, &root, &probe)?;
            print(&outcome.to_string());
            all.push(outcome);
        }
    }
    Ok(all)
}

fn compare_loads(
    how: &How,
    programs: &Where,
    loads: &[String],
    (servers, members): (&[Kind], usize),
    (effort, json): (Effort, Option<&Path>),
) -> Result<()> {
    let alone = members == 1;
    let programs = if alone { programs.programs() } else { programs.members() };
    let field = Field::start(servers, &programs, members)?;
    for party in field.parties() {
        print(&format!("{}: {}", party.kind().word(), party.command_line()));
    }
    let mut all = Vec::new();
    for name in loads {
        for mut job in preset::named(name)? {
            let shape = how.shape(&mut job);
            let servers = servers.iter().map(|kind| (*kind, shape.rate)).collect();
            let trial = Trial { name: job.name.clone(), job, shape, servers, effort };
            let compared = field.compare(&trial)?;
            print(&compared.to_string());
            all.push(compared);
        }
    }
    save(json, &all)
}

fn whole_report(
    how: &How,
    programs: &Where,
    suite: &Suite,
    servers: &[Kind],
    (effort, json): (Effort, Option<PathBuf>),
) -> Result<()> {
    let size = if suite.full { Size::Full } else { Size::Quick };
    let file = json.unwrap_or_else(|| "ringkeeper-bench.json".into());
    let loads = programs.programs();
    std::fs::create_dir_all(&loads.data)?;
    let again = suite.resume && file.exists();
    let mut report = if again { Report::read(&file)? } else { Report::new(&loads.data) };
    report.calls.push(std::env::args().collect::<Vec<_>>().join(" "));
    report.rows.retain(|row| !suite.again.contains(&row.name));
    if suite.remark.is_some() {
        report.remark.clone_from(&suite.remark);
    }
    let seconds = how.seconds.unwrap_or(if size == Size::Quick { 1.0 } else { 3.0 });
    let mut shape = suite_shape(seconds, how.warmup.min(seconds), programs.core);
    shape.threads = how.threads;
    if !how.load_cores.is_empty() {
        shape.cores.clone_from(&how.load_cores);
    }
    let campaign = Campaign {
        size,
        only: [&suite.rows[..], &suite.again].concat(),
        servers: servers.to_vec(),
        shape,
        effort,
        file: file.clone(),
        most_znodes: suite.most_znodes,
        core: programs.core,
        data: loads.data.clone(),
    };
    campaign.run(&mut report, [&loads, &programs.members()], |znodes| programs.filling(znodes))?;
    report.save(&file)?;
    for goal in goals(&report) {
        print(&goal.to_string());
    }
    publish(&report, suite.html.as_deref(), suite.picture.as_deref())
}

fn make_plan(
    need: &Need,
    programs: &Where,
    report: Option<&Path>,
    json: Option<&Path>,
) -> Result<()> {
    let report = match report {
        Some(file) => Report::read(file)?,
        None => measure(programs)?,
    };
    let needs = need.needs();
    let plan = plan::plan(needs, &Measured::of(&report, needs.servers)?)?;
    print(&plan.to_string());
    save(json, &plan)
}

/// Some minutes of measuring: what a plan needs, of Ringkeeper alone.
fn measure(programs: &Where) -> Result<Report> {
    let loads = programs.programs();
    std::fs::create_dir_all(&loads.data)?;
    let mut report = Report::new(&loads.data);
    let campaign = Campaign {
        size: Size::Quick,
        only: plan::ROWS.map(str::to_owned).to_vec(),
        servers: vec![Kind::Ringkeeper],
        shape: suite_shape(1.0, 0.5, programs.core),
        effort: Effort { pairs: 3, spare_pairs: 3, warmup_seconds: 0.0 },
        file: loads.data.join("plan.json"),
        most_znodes: 1_000_000,
        core: programs.core,
        data: loads.data.clone(),
    };
    campaign.run(&mut report, [&loads, &programs.members()], |znodes| programs.filling(znodes))?;
    std::fs::remove_file(&campaign.file)?;
    Ok(report)
}

/// Rounds of so many seconds on a core that is not the servers', if there is another.
fn suite_shape(seconds: f64, warmup_seconds: f64, servers: usize) -> Shape {
    let other = (0..process::cores()).find(|core| *core != servers);
    Shape {
        connections: 0,
        depth: 0,
        rate: None,
        seconds,
        warmup_seconds,
        threads: 1,
        cores: other.into_iter().collect(),
    }
}

fn publish(report: &Report, html: Option<&Path>, picture: Option<&Path>) -> Result<()> {
    if let Some(html) = html {
        std::fs::write(html, report::page(report)?)?;
    }
    if let Some(picture) = picture {
        std::fs::write(picture, report::picture(report)?)?;
    }
    Ok(())
}

fn from_file(file: &Path) -> Result<Job> {
    let spec = Spec::from_file(file)?;
    let name = spec.name.clone();
    Ok(Job { name, work: Work::Stream(spec), connections: None, depth: None })
}

fn run_floor(alone: &Alone) -> Result<()> {
    let mut job = preset::named("set")?.remove(0);
    let shape = alone.how.shape(&mut job);
    let floor = write_floor::measure(&alone.programs.programs(), &shape, alone.turns)?;
    print(&floor.to_string());
    save(alone.json.as_deref(), &floor)
}

fn run_fill(fill: &Fill, restarts: usize) -> Result<()> {
    let mut all = Vec::new();
    for &znodes in &fill.znodes {
        for &kind in &fill.servers {
            let filling = Filling { shape: fill.tree, znodes, size: fill.size, restarts };
            let filled = memory::fill(kind, &fill.programs.filling(znodes), filling)?;
            print(&filled.to_string());
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
