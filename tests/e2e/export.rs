//! From ours back to Apache ZooKeeper, by `ringkeeper export`: a server alone, and an ensemble one by one while it serves.
//!
//! Ours is killed with SIGKILL, so that there is a log behind its image. Java must show the same tree, know the session and its ephemerals, and
//! find every digest right.

use std::fs;
use std::process::{Command, Output};

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;

use crate::ensemble::{asked, trial};
use crate::server::{FOR_JUDGES, Kind, Server, binary};
use crate::snap_sync::{SHORT_LOG, fill, plant, read_tree};
use crate::takeover::one_by_one;
use crate::wire::{Body, Client, op};

/// What the reference says of a tree that is not the one of the digest.
const DIGEST_DIFFERS: &str = "Digests are not matching";

const QUOTA: &str = "/zookeeper/quota/many";

/// The tests.
pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("export_java_goes_on_with_what_ours_has_written", || alone(Kind::Reference)),
        trial("export_java_3_8_goes_on_with_what_ours_has_written", || alone(Kind::Older)),
        trial("export_an_ensemble_of_ours_becomes_java_one_by_one", || {
            one_by_one(Kind::Ringkeeper, Kind::Reference)
        }),
        trial("export_says_what_it_cannot_do", refusals),
    ]
}

/// Runs the program on what a server has, in place: `version-2` of its own dataDir is what a Java server reads.
pub(crate) fn export(server: &Server) -> anyhow::Result<String> {
    let output = run(server, &[])?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "export: {said}\n{}", server.log());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn run(server: &Server, more: &[&str]) -> anyhow::Result<Output> {
    let mut command = Command::new(binary());
    command.args(["export", "--config", "zoo.cfg", "--to", "data"]).args(more);
    Ok(command.current_dir(server.dir()).output()?)
}

/// Whether one of ours has finished an image.
fn has_image(server: &Server) -> anyhow::Result<bool> {
    let names = fs::read_dir(server.dir().join("data/ringkeeper-1"))?.flatten();
    let names = names.map(|it| it.file_name().to_string_lossy().into_owned());
    Ok(names.into_iter().any(|it| it.starts_with("image.") && !it.ends_with("tmp")))
}

/// Sees the same tree, and its digests.
fn alone(kind: Kind) -> anyhow::Result<()> {
    let mut server = Server::of(Kind::Ringkeeper, &format!("{FOR_JUDGES}{SHORT_LOG}"))?;
    let mut owner = plant(Client::connect(server.address())?)?;
    for (path, data) in [(QUOTA, ""), (&format!("{QUOTA}/zookeeper_limits"), "count=5000,bytes=-1")]
    {
        asked(&mut owner, op::CREATE, &Body::default().create(path, data.as_bytes(), 0))?;
    }
    asked(
        &mut owner,
        op::CREATE,
        &Body::default().create(&format!("{QUOTA}/zookeeper_stats"), b"count=1,bytes=0", 0),
    )?;
    fill(&mut owner, "many", 0..1_500, 100)?;
    server.until("an image is there", || has_image(&server))?;
    // It stays the newest: what is written from now on is behind it.
    let session = owner.session.clone();
    server.kill()?;
    server.configure("snapCount=500", "snapCount=100000")?;
    server.begin()?;
    let owner = Client::resume(server.address(), &session, 0)?;
    let mut owner = owner.with_context(|| format!("no session\n{}", server.log()))?;
    fill(&mut owner, "many", 1_500..1_600, 100)?;
    let before = (read_tree(&mut owner)?, quota(&mut owner)?);
    server.kill()?;
    let said = export(&server)?;
    let behind = said.split(" transactions").next().and_then(|it| it.rsplit(' ').next());
    let behind: usize = behind.context("no count")?.parse()?;
    ensure!((100..1_600).contains(&behind), "an image and a log behind it: {said}");
    server.become_kind(kind);
    server.begin()?;
    let owner = Client::resume(server.address(), &session, 0)?;
    let mut owner = owner.with_context(|| format!("no session\n{}", server.log()))?;
    let after = (read_tree(&mut owner)?, quota(&mut owner)?);
    let differs = before.0.iter().find(|&(path, it)| after.0.get(path) != Some(it));
    ensure!(differs.is_none(), "{differs:?}\n{said}");
    ensure!(before == after, "{:?} and then {:?}\n{said}", before.1, after.1);
    fill(&mut owner, "many", 1_600..1_700, 100)?;
    asked(&mut owner, op::CLOSE_SESSION, &Body::default())?;
    let mut other = Client::connect(server.address())?;
    let ephemeral = Body::default().buffer(b"/kinds/ephemeral").byte(0);
    let left = other.ask(op::EXISTS, &ephemeral)?.err;
    ensure!(left == -101, "the ephemeral outlives its session: {left}");
    ensure!(!digest_differs(&server), "{}", server.log());
    Ok(())
}

/// The limits and the figures of a quota.
fn quota(client: &mut Client) -> anyhow::Result<Vec<Vec<u8>>> {
    let names = ["zookeeper_limits", "zookeeper_stats"];
    let read = names.map(|name| {
        let path = format!("{QUOTA}/{name}");
        asked(client, op::GET_DATA, &Body::default().buffer(path.as_bytes()).byte(0))
    });
    read.into_iter().collect()
}

pub(crate) fn digest_differs(server: &Server) -> bool {
    server.whole_log().contains(DIGEST_DIFFERS)
}

fn refusals() -> anyhow::Result<()> {
    let mut server = Server::prepare(Kind::Ringkeeper, FOR_JUDGES)?;
    let refused = |server: &Server, why: &str| {
        let output = run(server, &[])?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.code() == Some(3) && said.contains(why), "{said}");
        anyhow::Ok(())
    };
    refused(&server, "no data of this server")?;
    server.begin()?;
    fill_one(&server)?;
    refused(&server, "another server uses this data directory")?;
    server.stop()?;
    export(&server)?;
    refused(&server, "there is data of a ZooKeeper server already")?;
    // And ours does not start either, for it cannot know which is newer.
    server.launch()?;
    ensure!(server.ended()? == Some(3), "it starts beside an export\n{}", server.log());
    // A log directory of its own.
    let output = run(&server, &["--to-log", "log"])?;
    ensure!(output.status.code() == Some(3), "the snapshots' directory is occupied");
    fs::remove_dir_all(server.dir().join("data/version-2"))?;
    let output = run(&server, &["--to-log", "log"])?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let files = |dir: &str| -> anyhow::Result<Vec<String>> {
        let entries = fs::read_dir(server.dir().join(dir).join("version-2"))?;
        Ok(entries.flatten().map(|it| it.file_name().to_string_lossy().into_owned()).collect())
    };
    ensure!(files("data")? == ["snapshot.0"] && files("log")? == ["log.1"], "{:?}", files("log"));
    Ok(())
}

fn fill_one(server: &Server) -> anyhow::Result<()> {
    let mut client = Client::connect(server.address())?;
    asked(&mut client, op::CREATE, &Body::default().create("/many", b"", 0))?;
    fill(&mut client, "many", 0..10, 10)
}
