//! Disks that fail under a running server, by errors of the kernel's: EIO, ENOSPC, writes that are cut short, at the log, at its next segment and at
//! snapshots; and disks that fill.
//!
//! The disk is `faulty`'s, or a small file system in memory. What a failed write leaves is judged by the workers of `durability`: everything
//! acknowledged is there after a restart, and nothing else half. Where no disk can be mounted these tests fail and say so.

use std::fs;
use std::path::Path;
use std::thread;

use anyhow::{Context as _, ensure};
use faulty::{Disk, Fault, How, Op, with_disk, with_small_disk, without_io_uring};
use libtest_mimic::Trial;

use crate::durability::Worker;
use crate::ensemble;
use crate::process::{PATIENCE, until};
use crate::server::{Kind, Server, four_letters};
use crate::wire::{Body, Chance, Client, op};

/// The system's numbers: not permitted, input/output error, no space left.
const EPERM: i32 = 1;
const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// What a write is answered with that the server has no room for. Clients may try it again.
const OPERATION_TIMEOUT: i32 = -7;

/// `UNEXPECTED_ERROR` of ZooKeeper's exit codes, with which its critical threads end.
const UNEXPECTED_ERROR: i32 = 1;

/// `UNABLE_TO_ACCESS_DATADIR` of the same.
const UNABLE_TO_ACCESS_DATADIR: i32 = 3;

const WRITES: [How; 5] =
    [How::Error(EIO), How::Error(ENOSPC), How::Torn(EIO), How::Late(EIO), How::Short];

/// What the server says of its log and its room.
const PREPARING_FAILED: &str = "preparing a log segment failed";
const NEARLY_FULL: &str = "nearly full";
const ROOM_AGAIN: &str = "there is room again";

type Story = fn(&Disk) -> anyhow::Result<()>;

/// The tests; nothing of the reference server is judged by them.
pub(crate) fn trials() -> Vec<Trial> {
    let stories: [(&str, Story); 8] = [
        ("without_direct_io_serves_as_safely_and_is_warned_about", no_direct_io),
        ("the_first_write_fails_and_nothing_is_acknowledged", first_write),
        ("any_write_fails_under_load_and_what_was_acknowledged_is_there", later_write),
        ("no_segment_can_be_made_and_what_grows_is_refused_until_one_can", preparation),
        ("no_segment_was_ever_made_and_the_server_ends", never_prepared),
        ("a_snapshot_fails_and_the_server_goes_on", snapshot),
        ("a_disk_that_cannot_be_read_ends_the_start_and_harms_nothing", unreadable),
        ("a_nearly_full_disk_refuses_what_grows_and_comes_back", nearly_full),
    ];
    let mut trials: Vec<_> = stories
        .into_iter()
        .map(|(name, story)| (name, move || anyhow::Ok(with_disk(story)??)))
        .map(|(name, story)| trial(name, story))
        .collect();
    let full = || anyhow::Ok(with_small_disk(FULL_AT, really_full)??);
    trials.push(trial("a_full_disk_refuses_what_grows_and_comes_back", full));
    let ringless = || anyhow::Ok(without_io_uring(EPERM, no_io_uring)??);
    trials.push(trial("no_io_uring_ends_the_start_and_says_what_to_do", ringless));
    trials
}

fn trial(name: &str, story: impl FnOnce() -> anyhow::Result<()> + Send + 'static) -> Trial {
    let trial = ensemble::trial(&format!("disk_{name}"), story);
    trial.with_ignored_flag(Kind::chosen() == Kind::Reference)
}

/// Small segments and frequent snapshots: a second has many of both.
fn configured(dir: &Path) -> anyhow::Result<Server> {
    Server::configured(&format!(
        "dataDir={}\ntickTime=2000\n4lw.commands.whitelist=*\nsnapCount=500\npreAllocSize=1024\nringkeeper.diskReserveMiB=4\n",
        dir.join("data").display()
    ))
}

/// It has ended because its log failed, and the last line of the log names each of `words`.
fn died(server: &mut Server, code: i32, words: &[&str]) -> anyhow::Result<()> {
    let ended = server.ended()?;
    let log = server.log();
    ensure!(ended == Some(code), "it ended with {ended:?}\n{log}");
    let line = log.lines().rfind(|it| it.contains("ERROR")).unwrap_or_default();
    for word in words {
        ensure!(line.contains(word), "no `{word}` in `{line}`\n{log}");
    }
    Ok(())
}

/// What the system calls an error.
fn text(how: How) -> &'static str {
    match how {
        How::Error(ENOSPC) | How::Torn(ENOSPC) | How::Late(ENOSPC) => "No space left on device",
        How::Error(_) | How::Torn(_) | How::Late(_) => "Input/output error",
        How::Short => "were written",
    }
}

fn create(client: &mut Client, path: &str, len: usize) -> anyhow::Result<i32> {
    Ok(client.ask(op::CREATE, &Body::default().create(path, &vec![7; len], 0))?.err)
}

fn exists(client: &mut Client, path: &str) -> anyhow::Result<i32> {
    Ok(client.ask(op::EXISTS, &Body::default().buffer(path.as_bytes()).byte(0))?.err)
}

/// How often the server has said so.
fn said(server: &Server, what: &str) -> usize {
    server.whole_log().matches(what).count()
}

/// Waits until the server has said so more often than before: it may answer a client first.
fn says(server: &Server, what: &str, before: usize) -> anyhow::Result<()> {
    server.until(what, || Ok(before < said(server, what)))
}

fn names(dir: &Path) -> anyhow::Result<Vec<String>> {
    let entries = fs::read_dir(dir.join("data/ringkeeper-1"))?;
    entries.map(|it| Ok(it?.file_name().to_string_lossy().into_owned())).collect()
}

/// Waits for an image: the load has flowed then.
fn image_written(disk: &Disk) -> anyhow::Result<()> {
    until("an image is there", || {
        let is_image = |it: &String| it.starts_with("image.") && !it.ends_with("tmp");
        Ok(names(disk.below())?.iter().any(is_image))
    })
}

fn first_write(disk: &Disk) -> anyhow::Result<()> {
    for how in WRITES {
        let mut server = configured(disk.path())?;
        server.begin()?;
        let prepared = || Ok(names(disk.below())?.iter().any(|it| it == "spare.0"));
        until("the first segment is prepared", prepared)?;
        disk.fail(Fault::every(Op::Write, "spare.0", how));
        let session = Client::connect(server.address());
        ensure!(session.is_err(), "{how:?}: a session was given and is not on the disk");
        let words = ["the log failed", "spare.0", " at 0 ", text(how)];
        died(&mut server, UNEXPECTED_ERROR, &words).with_context(|| format!("{how:?}"))?;
        let failed = disk.heal();
        // The kernel itself tries to write the rest of a write that was cut short.
        let expected = if how == How::Short { 2 } else { 1 };
        ensure!(failed.len() == expected, "{how:?}: tried again: {failed:?}");
        server.begin()?;
        let mut client = Client::connect(server.address())?;
        ensure!(create(&mut client, "/after", 10)? == 0, "{how:?}: a create after the restart");
        server.kill()?;
        fs::remove_dir_all(disk.below().join("data"))?;
    }
    Ok(())
}

/// A server, and connections that change what they remember.
struct Scene {
    server: Server,
    workers: Vec<Worker>,
}

impl Scene {
    fn new(dir: &Path, seed: u64) -> anyhow::Result<Self> {
        let mut server = configured(dir)?;
        server.begin()?;
        let address = server.address();
        // The load is to last until the disk fails.
        let stays = |mut it: Worker| {
            it.stays = true;
            it
        };
        let worker = |number| Worker::new(number, seed, address).map(stays);
        let workers =
            (0..3).map(worker).collect::<anyhow::Result<_>>().with_context(|| server.log())?;
        Ok(Self { server, workers })
    }

    /// Runs `act` under load, which ends with the server.
    fn under_load<T>(
        &mut self,
        act: impl FnOnce(&mut Server) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let address = self.server.address();
        thread::scope(|scope| {
            let load = |worker| scope.spawn(move || Worker::load(worker, address));
            let running: Vec<_> = self.workers.iter_mut().map(load).collect();
            let done = act(&mut self.server);
            if done.is_err() && self.server.process().is_some() {
                // The load is not to outlive it.
                self.server.kill()?;
            }
            let done = done?;
            for worker in running {
                worker.join().expect("a worker does not panic")?;
            }
            Ok(done)
        })
    }

    /// Starts the server and looks for what was acknowledged.
    fn restart(&mut self) -> anyhow::Result<()> {
        self.server.begin()?;
        let address = self.server.address();
        for worker in &mut self.workers {
            worker.compare(address).with_context(|| format!("the subtree {}", worker.root))?;
        }
        Ok(())
    }
}

fn later_write(disk: &Disk) -> anyhow::Result<()> {
    let mut chance = Chance::new(3);
    let mut scene = Scene::new(disk.path(), 3)?;
    let mut acked = 0;
    for round in 0..4 {
        for how in WRITES {
            let skip = chance.below(300);
            // One write of the log fails; or the whole disk does, and nothing is done to it any more.
            let fault = match round % 2 {
                0 => Fault { op: Some(Op::Write), name: "log.", skip, times: 1, how },
                _ => Fault { times: u64::MAX, ..Fault::nth(skip, how) },
            };
            let told = format!("round {round}, {fault:?}");
            disk.fail(fault);
            let words = ["the log failed, and nothing that was in flight was acknowledged"];
            scene
                .under_load(|server| died(server, UNEXPECTED_ERROR, &words))
                .context(told.clone())?;
            if fault.times == 1 {
                let failed = disk.failed();
                let place = failed.first().and_then(|it| it.strip_prefix("Write "));
                let (file, at) = place.and_then(|it| it.split_once(" at ")).context("a place")?;
                let log = scene.server.log();
                let line = log.lines().rfind(|it| it.contains("ERROR")).unwrap_or_default();
                let said =
                    [file, &format!("at {at}"), text(how)].iter().all(|it| line.contains(it));
                ensure!(said, "{told}: `{line}` says not all of {failed:?}");
            }
            disk.heal();
            acked += scene.workers.iter().map(|it| it.acked).sum::<usize>();
            scene.restart().with_context(|| format!("{told}\n{}", scene.server.log()))?;
        }
    }
    ensure!(1000 < acked, "only {acked} writes were acknowledged");
    Ok(())
}

fn preparation(disk: &Disk) -> anyhow::Result<()> {
    let mut server = configured(disk.path())?;
    server.begin()?;
    let mut client = Client::connect(server.address())?;
    let mut made = Made::default();
    let faults = [
        (Op::Create, How::Error(ENOSPC)),
        (Op::Allocate, How::Error(ENOSPC)),
        (Op::Write, How::Error(EIO)),
        (Op::Write, How::Short),
        (Op::Sync, How::Error(EIO)),
        (Op::Rename, How::Error(EIO)),
        (Op::SyncDir, How::Error(EIO)),
    ];
    for _ in 0..20 {
        ensure!(made.more(&mut client)?, "a create on a whole disk");
    }
    for (op, how) in faults {
        let told = format!("{op:?} {how:?}");
        let name = if op == Op::SyncDir { "ringkeeper" } else { ".tmp" };
        let failed = said(&server, PREPARING_FAILED);
        disk.fail(Fault::every(op, name, how));
        // It goes on with what it has, and when there is no next segment it keeps the rest of this one for what frees.
        until("refused", || Ok(!made.more(&mut client)?))
            .with_context(|| format!("{told}\n{}", server.log()))?;
        says(&server, PREPARING_FAILED, failed).with_context(|| told.clone())?;
        ensure!(exists(&mut client, &made.paths[0])? == 0, "{told}: a read");
        let body = Body::default().buffer(made.paths.remove(0).as_bytes()).int(-1);
        ensure!(client.ask(op::DELETE, &body)?.err == 0, "{told}: a delete");
        if how != How::Short {
            ensure!(!disk.failed().is_empty(), "{told}: nothing failed");
        }
        let room = said(&server, ROOM_AGAIN);
        disk.heal();
        until("accepted", || made.more(&mut client))
            .with_context(|| format!("{told}\n{}", server.log()))?;
        says(&server, ROOM_AGAIN, room).with_context(|| told.clone())?;
    }
    let spares = names(disk.below())?.into_iter().filter(|it| it.starts_with("spare")).count();
    ensure!(spares <= 3, "{spares} spares are left behind");
    server.kill()?;
    server.begin()?;
    let mut client = Client::connect(server.address())?;
    for path in &made.paths {
        ensure!(exists(&mut client, path)? == 0, "{path} is not there");
    }
    Ok(())
}

fn never_prepared(disk: &Disk) -> anyhow::Result<()> {
    disk.fail(Fault::every(Op::Allocate, "spare.", How::Error(ENOSPC)));
    let mut server = configured(disk.path())?;
    server.begin()?;
    ensure!(Client::connect(server.address()).is_err(), "a session was given");
    died(&mut server, UNEXPECTED_ERROR, &["no log segment can be prepared", "No space left"])?;
    disk.heal();
    server.begin()?;
    Client::connect(server.address())?;
    Ok(())
}

fn no_direct_io(disk: &Disk) -> anyhow::Result<()> {
    disk.refuse_direct();
    let mut scene = Scene::new(disk.path(), 11)?;
    let log = scene.server.log();
    let line = log.lines().find(|it| it.contains("no direct I/O")).unwrap_or_default();
    for word in ["WARN", "slower and as safe", "dataLogDir", "ringkeeper-1"] {
        ensure!(line.contains(word), "no `{word}` in `{line}`\n{log}");
    }
    scene.under_load(|server| {
        image_written(disk)?;
        server.kill()
    })?;
    scene.restart()
}

fn no_io_uring() -> anyhow::Result<()> {
    let server = Server::configured("")?;
    let mut process = server.spawn()?;
    let status = process.wait(PATIENCE)?.context("it does not end")?;
    let log = server.log();
    ensure!(!status.success(), "it ended with {status}\n{log}");
    let line = log.lines().rfind(|it| it.contains("ERROR")).unwrap_or_default();
    for word in ["io_uring cannot be used", "sysctl -w kernel.io_uring_disabled=0", "seccomp"] {
        ensure!(line.contains(word), "no `{word}` in `{line}`\n{log}");
    }
    ensure!(!log.contains("listening on"), "it listened first\n{log}");
    Ok(())
}

/// How often the server has said that an image was not written, and that this was why.
fn failures(server: &Server, how: How) -> usize {
    let words = ["the snapshot was not written", "image.", text(how)];
    let log = server.whole_log();
    log.lines().filter(|line| words.iter().all(|word| line.contains(word))).count()
}

fn snapshot(disk: &Disk) -> anyhow::Result<()> {
    let mut scene = Scene::new(disk.path(), 5)?;
    let address = scene.server.address();
    let figure = |name: &str| -> anyhow::Result<u64> {
        let text = four_letters(address, "mntr")?;
        let row = text.lines().find_map(|it| it.strip_prefix(name)).context("a row of mntr")?;
        Ok(row.trim().parse()?)
    };
    let faults = [
        (Op::Create, How::Error(ENOSPC)),
        (Op::Allocate, How::Error(ENOSPC)),
        (Op::Write, How::Error(EIO)),
        (Op::Write, How::Torn(ENOSPC)),
        (Op::Sync, How::Error(EIO)),
        (Op::Rename, How::Error(EIO)),
        (Op::Rename, How::Late(EIO)),
    ];
    for (op, how) in faults {
        let told = format!("{op:?} {how:?}");
        scene
            .under_load(|server| {
                let (before, done) =
                    (figure("zk_snapshot_error_count\t")?, figure("zk_cnt_snapshottime\t")?);
                let told_before = failures(server, how);
                disk.fail(Fault::every(op, "image.", how));
                until("an image fails", || Ok(before < figure("zk_snapshot_error_count\t")?))?;
                server.until("it says so", || Ok(told_before < failures(server, how)))?;
                disk.heal();
                until("an image is written again", || Ok(done < figure("zk_cnt_snapshottime\t")?))?;
                server.kill()
            })
            .with_context(|| told.clone())?;
        scene.restart().with_context(|| format!("{told}\n{}", scene.server.log()))?;
        // What was replayed may be in the next image soon.
        scene.server.until(format!("no unfinished image is left behind {told}"), || {
            let names = names(disk.below())?;
            Ok(names.iter().all(|it| !it.contains("image") || !it.ends_with("tmp")))
        })?;
    }
    Ok(())
}

fn unreadable(disk: &Disk) -> anyhow::Result<()> {
    let mut scene = Scene::new(disk.path(), 7)?;
    scene.under_load(|server| {
        image_written(disk)?;
        server.kill()
    })?;
    for (op, name) in
        [(Op::Read, "log."), (Op::Open, "log."), (Op::Read, "image."), (Op::Create, "spare.")]
    {
        disk.fail(Fault::every(op, name, How::Error(EIO)));
        let said = format!("{op:?} {name}");
        let refused = op != Op::Create;
        if refused {
            let mut process = scene.server.spawn()?;
            let status =
                process.wait(PATIENCE)?.with_context(|| format!("{said}: it does not end"))?;
            let log = scene.server.log();
            ensure!(status.code() == Some(UNABLE_TO_ACCESS_DATADIR), "{said}: {status}\n{log}");
            let line =
                log.lines().rfind(|it| it.contains("Input/output error")).unwrap_or_default();
            ensure!(line.contains(name), "{said}\n{log}");
        }
        disk.heal();
        scene.restart().with_context(|| format!("{said}\n{}", scene.server.log()))?;
        scene.server.kill()?;
    }
    Ok(())
}

/// Znodes of 9,000 bytes that a test has made.
#[derive(Default)]
struct Made {
    paths: Vec<String>,
    tried: usize,
}

impl Made {
    /// Makes one more, unless there is no room for it.
    fn more(&mut self, client: &mut Client) -> anyhow::Result<bool> {
        self.tried += 1;
        let path = format!("/made{}", self.tried);
        let err = create(client, &path, 9000)?;
        ensure!(err == 0 || err == OPERATION_TIMEOUT, "{path}: {err}");
        if err == 0 {
            self.paths.push(path);
        }
        Ok(err == 0)
    }
}

/// Reads, deletes and ends of sessions go on while creates are refused. Whether what grows is refused: if not, nothing was deleted.
fn goes_on(server: &Server, there: &str, spare: &str) -> anyhow::Result<bool> {
    let mut client = Client::connect(server.address())?;
    ensure!(exists(&mut client, there)? == 0, "a read of {there}");
    let set = Body::default().buffer(there.as_bytes()).buffer(b"grown").int(-1);
    let multi = Body::default().part(op::CREATE).create("/many", b"", 0).end();
    for (op, body) in [(op::SET_DATA, set), (op::MULTI, multi)] {
        let err = client.ask(op, &body)?.err;
        ensure!([0, OPERATION_TIMEOUT].contains(&err), "op {op}: {err}");
        if err == 0 {
            return Ok(false);
        }
    }
    let delete = Body::default().buffer(spare.as_bytes()).int(-1);
    ensure!(client.ask(op::DELETE, &delete)?.err == 0, "a delete of {spare}");
    ensure!(client.ask(op::CLOSE_SESSION, &Body::default())?.err == 0, "the end of a session");
    Ok(true)
}

fn nearly_full(disk: &Disk) -> anyhow::Result<()> {
    let mut server = configured(disk.path())?;
    server.begin()?;
    let mut client = Client::connect(server.address())?;
    for number in 0..4 {
        ensure!(create(&mut client, &format!("/z{number}"), 10)? == 0, "z{number}");
    }
    for round in 0..2 {
        let (full, room) = (said(&server, NEARLY_FULL), said(&server, ROOM_AGAIN));
        disk.say_free(Some(2 << 20));
        let path = format!("/more{round}");
        let mut number = 0;
        until("a create is refused", || {
            number += 1;
            Ok(create(&mut client, &format!("{path}-{number}"), 10)? == OPERATION_TIMEOUT)
        })?;
        let is_refused = goes_on(&server, "/z0", &format!("/z{}", round + 1))?;
        ensure!(is_refused, "a set or a multi is not refused");
        says(&server, NEARLY_FULL, full)?;
        disk.say_free(None);
        until("a create is done", || Ok(create(&mut client, &path, 10)? == 0))?;
        says(&server, ROOM_AGAIN, room)?;
    }
    // A server that starts on such a disk serves what it has.
    disk.say_free(Some(2 << 20));
    server.stop()?;
    server.begin()?;
    let mut client = Client::connect(server.address())?;
    until("a create is refused", || Ok(create(&mut client, "/late", 1)? == OPERATION_TIMEOUT))?;
    ensure!(goes_on(&server, "/z0", "/z3")?, "a set or a multi is not refused");
    Ok(())
}

/// Bytes of the small disk.
const FULL_AT: u64 = 56 << 20;

/// Bytes of it that are taken and given back. More than the rest of it: an image may be begun just then, of all that is there, and no other goes for it.
const BALLAST: usize = 32 << 20;

fn really_full(dir: &Path) -> anyhow::Result<()> {
    let ballast = dir.join("ballast");
    fs::write(&ballast, vec![0; BALLAST])?;
    let mut server = configured(dir)?;
    server.begin()?;
    let mut client = Client::connect(server.address())?;
    let mut made = Made::default();
    // An image may have been on its way, and make room once more.
    server.until("it is full, and goes on", || {
        while made.more(&mut client)? {}
        goes_on(&server, "/made2", "/made1")
    })?;
    fs::remove_file(&ballast)?;
    until("a create is done", || made.more(&mut client)).with_context(|| server.log())?;
    while made.more(&mut client).with_context(|| server.log())? {}
    ensure!(500 < made.paths.len(), "only {} were made", made.paths.len());
    server.kill()?;
    server.begin()?;
    let mut client = Client::connect(server.address())?;
    for path in &made.paths[1..] {
        ensure!(exists(&mut client, path)? == 0, "{path} is not there\n{}", server.log());
    }
    Ok(())
}
