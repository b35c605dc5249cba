//! From Apache ZooKeeper 3.9.5 to ours, on the same data directory: a server alone, and an ensemble one by one while it serves.
//!
//! The reference is killed with SIGKILL, so its last log file is as a crash leaves it. The way back, in `export`, is one by one the same story.

use std::fs;

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;

use crate::ensemble::{Ensemble, again, asked, connect, trial};
use crate::export::{digest_differs, export};
use crate::server::{FOR_JUDGES, Kind, Server, four_letters};
use crate::snap_sync::{SHORT_LOG, compare, fill, fill_at, plant, read_tree};
use crate::wire::{Body, Client, op};

const TAKEN: &str = "the data of a ZooKeeper server is taken over";

/// The tests.
pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("takeover_a_server_of_ours_goes_on_with_what_java_left", alone),
        trial("takeover_an_ensemble_of_java_becomes_ours_one_by_one", || {
            one_by_one(Kind::Reference, Kind::Ringkeeper)
        }),
        trial("takeover_reads_snapshots_that_java_has_compressed_with_gzip", || compressed("gz")),
        trial("takeover_reads_snapshots_that_java_has_compressed_with_snappy", || {
            compressed("snappy")
        }),
    ]
}

/// How often it has taken data over.
fn taken(server: &Server) -> usize {
    server.whole_log().matches(TAKEN).count()
}

fn alone() -> anyhow::Result<()> {
    let mut server = Server::of(Kind::Reference, &format!("{FOR_JUDGES}snapCount=500\n"))?;
    let mut owner = plant(Client::connect(server.address())?)?;
    fill(&mut owner, "many", 0..1_500, 100)?;
    let before = read_tree(&mut owner)?;
    let session = owner.session.clone();
    server.kill()?;
    server.become_kind(Kind::Ringkeeper);
    for round in 0..2 {
        server.begin()?;
        let owner = Client::resume(server.address(), &session, 0)?;
        let mut owner = owner.with_context(|| format!("no session\n{}", server.log()))?;
        let after = read_tree(&mut owner)?;
        let differs = before.iter().find(|&(path, it)| after.get(path) != Some(it));
        ensure!(differs.is_none(), "round {round}: {differs:?}");
        ensure!(after.len() == before.len() && taken(&server) == 1, "{}", server.log());
        server.kill()?;
    }
    server.begin()?;
    fill(&mut Client::connect(server.address())?, "many", 1_500..1_600, 100)?;
    server.stop()?;
    // Whoever goes back writes where ours does not look.
    server.become_kind(Kind::Reference);
    server.begin()?;
    fill(&mut Client::connect(server.address())?, "many", 1_500..1_510, 100)?;
    server.kill()?;
    server.become_kind(Kind::Ringkeeper);
    server.launch()?;
    ensure!(server.ended()? == Some(3), "it starts with old data\n{}", server.log());
    ensure!(server.log().contains("has written here since"), "{}", server.log());
    Ok(())
}

fn compressed(method: &str) -> anyhow::Result<()> {
    let lines = format!("{FOR_JUDGES}snapCount=200\nsnapshot.compression.method={method}\n");
    let mut server = Server::of(Kind::Reference, &lines)?;
    let mut owner = plant(Client::connect(server.address())?)?;
    fill(&mut owner, "many", 0..1_000, 100)?;
    let before = read_tree(&mut owner)?;
    let is_packed = |it: &fs::DirEntry| {
        let name = it.file_name().to_string_lossy().into_owned();
        name.starts_with("snapshot.")
            && name.ends_with(method)
            && name != format!("snapshot.0.{method}")
    };
    server.until("the reference has compressed a snapshot, behind that of its start", || {
        let mntr = four_letters(server.address(), "mntr")?;
        let taken = mntr.lines().find_map(|it| it.strip_prefix("zk_cnt_snapshottime\t"));
        let taken: u64 = taken.context("a row of mntr")?.parse()?;
        let mut files = fs::read_dir(server.dir().join("data/version-2"))?.flatten();
        Ok(1 < taken && files.any(|it| is_packed(&it)))
    })?;
    server.kill()?;
    server.become_kind(Kind::Ringkeeper);
    server.begin()?;
    let after = read_tree(&mut Client::connect(server.address())?)?;
    ensure!(after == before && taken(&server) == 1, "the trees differ\n{}", server.log());
    Ok(())
}

/// Servers of the one kind become servers of the other, each on its own data, while the others serve.
pub(crate) fn one_by_one(from: Kind, to: Kind) -> anyhow::Result<()> {
    let mut ensemble = Ensemble::start_with(&[from; 3], 0, SHORT_LOG)?;
    let leader = ensemble.leader()?;
    let mut owner = plant(connect(&ensemble, leader)?)?;
    fill(&mut owner, "many", 0..1_500, 100)?;
    // The leader last: until then one of the old kind leads the new ones.
    for (round, number) in [leader + 1, leader + 2, leader].into_iter().enumerate() {
        let number = number % 3;
        let server = &mut ensemble.servers[number];
        server.kill()?;
        if from == Kind::Ringkeeper {
            export(server)?;
        }
        server.become_kind(to);
        let more = 1_500 + 100 * round..1_600 + 100 * round;
        fill_at(&ensemble, (number + 1) % 3, more)?;
        ensemble.servers[number].launch()?;
        compare(&ensemble, 1_600 + 100 * round).with_context(|| ensemble.logs())?;
        let has_taken = taken(&ensemble.servers[number]) == 1;
        ensure!(has_taken == (to == Kind::Ringkeeper), "{}", ensemble.logs());
    }
    let session = owner.session.clone();
    let moved = again(|| Ok(Client::resume(ensemble.address(leader), &session, 0)?))?;
    let mut moved = moved.with_context(|| format!("no session\n{}", ensemble.logs()))?;
    fill(&mut moved, "many", 1_800..1_900, 100)?;
    asked(&mut moved, op::CLOSE_SESSION, &Body::default())?;
    compare(&ensemble, 1_908)?;
    for server in &ensemble.servers {
        ensure!(!digest_differs(server), "{}", server.log());
    }
    Ok(())
}
