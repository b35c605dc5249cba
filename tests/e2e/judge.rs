//! Runs the judges of `tests/clients`: programs around other people's clients, one server each.
//!
//! The protocol between judge and harness is in `tests/README.md`.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use libtest_mimic::{Failed, Trial};

use crate::process::{Process, Talk, lines_of, tail};
use crate::server::{FOR_JUDGES, Server, tests_dir};

/// How long a judge may take.
const PATIENCE: Duration = Duration::from_mins(5);

/// How long building all judges of one language may take: the first time, everything is fetched.
const PREPARE_PATIENCE: Duration = Duration::from_mins(10);

/// One language's folder.
struct Language {
    name: String,
    judge: PathBuf,
}

/// The languages, by name.
fn languages() -> impl Iterator<Item = Language> {
    let clients = tests_dir().join("clients");
    let entries = std::fs::read_dir(&clients).expect("tests/clients is there");
    let mut folders: Vec<_> = entries.map(|it| it.expect("it can be listed").path()).collect();
    folders.sort();
    folders.into_iter().filter_map(|folder| {
        let judge = folder.join("judge");
        let name = folder.file_name().expect("an entry has a name").to_string_lossy().into();
        judge.is_file().then_some(Language { name, judge })
    })
}

/// Every judge of every language, as tests named `language_judge`.
pub(crate) fn trials() -> Vec<Trial> {
    languages().flat_map(Language::trials).collect()
}

/// The languages that can be prepared, each with the names of its judges.
pub(crate) fn lists() -> Vec<(String, Vec<String>)> {
    let prepared = languages().filter(|it| it.prepare().is_ok());
    prepared.map(|it| (it.name.clone(), it.list())).collect()
}

impl Language {
    /// Prepares the language, because only then every one of them can list its judges.
    fn trials(self) -> Vec<Trial> {
        if let Err(err) = self.prepare() {
            let failed = Failed::from(format!("{err:#}"));
            return vec![Trial::test(format!("{}_prepare", self.name), move || Err(failed))];
        }
        let list = self.list();
        let language = Arc::new(self);
        let trial = |name: &str| {
            let (language, name) = (Arc::clone(&language), name.to_owned());
            let title = format!("{}_{name}", language.name);
            let run = move || language.run(&name).map_err(|err| Failed::from(format!("{err:#}")));
            Trial::test(title, run)
        };
        list.iter().map(|it| trial(it)).collect()
    }

    fn list(&self) -> Vec<String> {
        let list = Command::new(&self.judge).arg("list").output();
        let list = list.unwrap_or_else(|err| panic!("{}: {err}", self.judge.display()));
        assert!(list.status.success(), "{} list: {}", self.judge.display(), list.status);
        let list = String::from_utf8(list.stdout).expect("names are ASCII");
        list.split_whitespace().map(str::to_owned).collect()
    }

    fn run(&self, name: &str) -> anyhow::Result<()> {
        let mut server = Server::start(FOR_JUDGES)?;
        let mut command = Command::new(&self.judge);
        command.args(["run", name, &server.address().to_string()]);
        let log = server.dir().join("judge.log");
        let mut story = Vec::new();
        let mut do_it = |line: &str| obey(line, &mut server);
        attend(&command, &mut do_it, &log, &mut story).with_context(|| {
            let story = story.join("\n");
            format!("{}\n---- judge\n{story}\n{}", server.log(), tail(&log, 6_000))
        })
    }

    fn of(name: &str) -> Self {
        Self { name: name.into(), judge: tests_dir().join("clients").join(name).join("judge") }
    }

    fn prepare(&self) -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        let log = dir.path().join("prepare.log");
        let mut command = Command::new(&self.judge);
        command.arg("prepare");
        let status = Process::spawn(&command, Talk::Log, &log)?.wait(PREPARE_PATIENCE)?;
        let good = status.is_some_and(|it| it.success());
        ensure!(good, "{} prepare: {status:?}\n{}", self.judge.display(), tail(&log, 6_000));
        Ok(())
    }
}

/// Runs a judge of one language that is not in its list, because it wants an ensemble: these servers. `obey` does what it asks.
pub(crate) fn of_members(
    language: &str,
    name: &str,
    members: &[SocketAddr],
    obey: &mut dyn FnMut(&str) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let language = Language::of(language);
    language.prepare()?;
    let members: Vec<_> = members.iter().map(ToString::to_string).collect();
    let mut command = Command::new(&language.judge);
    command.args(["run", name, &members.join(",")]);
    let dir = tempfile::tempdir()?;
    let log = dir.path().join("judge.log");
    let mut story = Vec::new();
    attend(&command, obey, &log, &mut story).with_context(|| {
        format!("---- {} judge\n{}\n{}", language.name, story.join("\n"), tail(&log, 6_000))
    })
}

/// Starts the judge and does what it asks until it ends; what it says goes to `story`.
fn attend(
    command: &Command,
    obey: &mut dyn FnMut(&str) -> anyhow::Result<()>,
    log: &Path,
    story: &mut Vec<String>,
) -> anyhow::Result<()> {
    let end = Instant::now() + PATIENCE;
    let mut process = Process::spawn(command, Talk::Pipes, log)?;
    let (mut stdin, stdout) = process.pipes();
    let lines = lines_of(stdout);
    loop {
        match lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                if line.starts_with('@') {
                    obey(line.trim())?;
                    stdin.write_all(b"ok\n").context("the judge does not listen")?;
                }
                story.push(line);
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => bail!("the judge took more than {PATIENCE:?}"),
        }
    }
    let status = process.wait(PATIENCE)?;
    let status = status.context("the judge closed its output and did not end")?;
    ensure!(status.success(), "the judge ended with {status}");
    Ok(())
}

fn obey(line: &str, server: &mut Server) -> anyhow::Result<()> {
    match line {
        "@restart" => {
            server.stop()?;
            server.begin()?;
        }
        "@stop" => {
            server.stop()?;
        }
        "@kill" => server.kill()?,
        "@start" => server.begin()?,
        _ => bail!("the judge asks for `{line}`, which the harness does not know"),
    }
    Ok(())
}
