//! Servers that come with nothing, or too late for the log, and are sent the tree as a whole: ours from ours, ours from Apache
//! ZooKeeper 3.9.5, and that from ours.
//!
//! What a client sees of each znode, its header, ACL and owner included, is the same at all servers in the end; and every transaction
//! behind the image carries the tree's digest, which each server compares.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;

use crate::ensemble::{Ensemble, again, asked, check, connect, trial};
use crate::server::{Kind, Server, four_letters};
use crate::wire::{Body, Client, Fields, op};

/// Images and short log segments, so that the log's begin is soon gone.
///
/// Sessions last for ten minutes: nobody pings, and a busy machine takes its time.
pub(crate) const SHORT_LOG: &str =
    "snapCount=500\npreAllocSize=256\ncommitLogCount=500\nmaxSessionTimeout=600000\n";

/// What a server says when it is sent an image, when it sends one, and when it has one.
const COMES: &str = "the leader sends an image";
const GOES: &str = "a learner is sent an image";
const INSTALLED: &str = "the leader's image is installed";
const FENCED: &str = "this server is fenced";

const GET_ACL: i32 = 6;
const GET_CHILDREN2: i32 = 12;

/// The tests.
pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("snap_sync_an_emptied_follower_comes_back_by_an_image", emptied),
        trial("snap_sync_a_learner_far_behind_is_sent_what_is_shorter", shorter),
        trial("snap_sync_kills_while_an_image_is_taken_leave_the_old_or_the_new", killed),
        trial("snap_sync_a_server_whose_tree_differs_fences_itself_until_it_has_an_image", || {
            spoiled([Kind::Ringkeeper; 3])
        }),
        trial("snap_sync_a_server_whose_tree_differs_takes_the_image_of_a_java_leader", || {
            spoiled([Kind::Ringkeeper, Kind::Reference, Kind::Reference])
        }),
        trial("snap_sync_ours_takes_the_image_of_a_java_leader_that_is_written_to", from_java),
        trial("snap_sync_a_java_server_takes_the_image_of_our_leader", to_java),
    ]
}

/// Creates `/<top>/<n>` for each of `range`, a hundred in flight, with `len` bytes each.
pub(crate) fn fill(
    client: &mut Client,
    top: &str,
    range: std::ops::Range<usize>,
    len: usize,
) -> anyhow::Result<()> {
    let range: Vec<usize> = range.collect();
    for numbers in range.chunks(100) {
        for number in numbers {
            let path = format!("/{top}/{number}");
            client.put(op::CREATE, &Body::default().create(&path, &vec![b'x'; len], 0));
        }
        client.flush()?;
        for number in numbers {
            let reply = client.reply()?;
            ensure!(reply.err == 0, "/{top}/{number} is answered with error {}", reply.err);
        }
    }
    Ok(())
}

/// The same at a server of an ensemble that may elect meanwhile.
pub(crate) fn fill_at(
    ensemble: &Ensemble,
    number: usize,
    range: std::ops::Range<usize>,
) -> anyhow::Result<()> {
    let mut connected: Option<Client> = None;
    for one in range {
        let create = Body::default().create(&format!("/many/{one}"), &[b'x'; 100], 0);
        again(|| {
            let taken = connected.take().map_or_else(|| connect(ensemble, number), Ok);
            let mut client = taken?;
            let err = client.ask(op::CREATE, &create)?.err;
            // An answer may have been lost.
            ensure!([0, -110].contains(&err), "/many/{one} is answered with error {err}");
            connected = Some(client);
            Ok(())
        })?;
    }
    Ok(())
}

/// Sets the data of the first `count` that were created.
fn overwrite(client: &mut Client, count: usize, len: usize) -> anyhow::Result<()> {
    for number in 0..count {
        let path = format!("/many/{number}");
        let body = Body::default().buffer(path.as_bytes()).buffer(&vec![b'y'; len]).int(-1);
        client.put(op::SET_DATA, &body);
    }
    client.flush()?;
    for _ in 0..count {
        let err = client.reply()?.err;
        ensure!(err == 0, "a set is answered with error {err}");
    }
    Ok(())
}

/// What clients see of every znode outside /zookeeper, at this server behind a sync.
fn seen(ensemble: &Ensemble, number: usize) -> anyhow::Result<Tree> {
    again(|| {
        ensemble.await_service(number)?;
        read_tree(&mut connect(ensemble, number)?)
    })
}

/// Data with its stat, ACL, and stat, by path.
pub(crate) type Tree = BTreeMap<String, Vec<Vec<u8>>>;

/// What a client sees of every znode outside /zookeeper, behind a sync.
pub(crate) fn read_tree(client: &mut Client) -> anyhow::Result<Tree> {
    asked(client, op::SYNC, &Body::default().buffer(b"/"))?;
    let (mut seen, mut left) = (BTreeMap::new(), vec!["/".to_owned()]);
    while !left.is_empty() {
        let some: Vec<String> = left.split_off(left.len().saturating_sub(100));
        for path in &some {
            let path = Body::default().buffer(path.as_bytes());
            client.put(op::GET_DATA, &path.clone().byte(0));
            client.put(GET_ACL, &path);
            client.put(GET_CHILDREN2, &path.byte(0));
        }
        client.flush()?;
        for path in some {
            let replies = [client.reply()?, client.reply()?, client.reply()?];
            ensure!(replies.iter().all(|it| it.err == 0), "{path}: {replies:?}");
            let [data, acl, children] = replies.map(|it| it.body);
            let mut fields = Fields(&children);
            for _ in 0..fields.int()? {
                let name = String::from_utf8(fields.buffer()?.to_vec())?;
                let slash = if path == "/" { "" } else { "/" };
                let child = format!("{path}{slash}{name}");
                left.extend(Some(child).filter(|it| it != "/zookeeper"));
            }
            seen.insert(path, vec![data, acl, fields.0.to_vec()]);
        }
    }
    Ok(seen)
}

/// All servers show the same.
pub(crate) fn compare(ensemble: &Ensemble, count_min: usize) -> anyhow::Result<()> {
    let first = seen(ensemble, 0)?;
    ensure!(count_min <= first.len(), "{} znodes", first.len());
    for number in 1..ensemble.servers.len() {
        let other = seen(ensemble, number)?;
        let differs = first.iter().find(|&(path, it)| other.get(path) != Some(it));
        if let Some((path, it)) = differs {
            let found = other.get(path);
            anyhow::bail!("{path} at server {}: {found:?} instead of {it:?}", number + 1);
        }
        ensure!(first.len() == other.len(), "server {} has more", number + 1);
    }
    Ok(())
}

/// The data of one of ours.
fn data_dir(ensemble: &Ensemble, number: usize) -> PathBuf {
    ensemble.servers[number].dir().join("data/ringkeeper-1")
}

/// How often a server has said something.
pub(crate) fn said(ensemble: &Ensemble, number: usize, what: &str) -> usize {
    ensemble.servers[number].whole_log().matches(what).count()
}

/// Waits until a server has said something more often than `before`.
fn await_said(
    ensemble: &Ensemble,
    number: usize,
    (what, before): (&str, usize),
) -> anyhow::Result<()> {
    let waits_for = format!("server {} says `{what}` for the time {}", number + 1, before + 1);
    ensemble.until(waits_for, || Ok(before < said(ensemble, number, what)))
}

/// Three of ours with a tree of which the log's begin is gone, and the number of a follower.
fn with_short_log(len: usize) -> anyhow::Result<(Ensemble, usize)> {
    let ensemble = Ensemble::start_with(&[Kind::Ringkeeper; 3], 0, SHORT_LOG)?;
    let leader = ensemble.leader()?;
    let follower = (leader + 1) % 3;
    let mut client = connect(&ensemble, follower)?;
    asked(&mut client, op::CREATE, &Body::default().create("/many", b"", 0))?;
    let logged = seen_zxid(&mut client)?;
    fill(&mut client, "many", 0..6_000, len)?;
    purge(&ensemble, leader, logged, &mut client)?;
    Ok((ensemble, follower))
}

/// Changes what `fill` has made until a server's log begins behind this transaction.
fn purge(
    ensemble: &Ensemble,
    number: usize,
    logged: i64,
    client: &mut Client,
) -> anyhow::Result<()> {
    let what = format!("the log of server {} begins behind {logged:#x}", number + 1);
    ensemble.until(what, || {
        let is_purged = logged < log_begin(ensemble, number)?;
        if !is_purged {
            overwrite(client, 1_000, 900)?;
        }
        Ok(is_purged)
    })
}

/// A follower loses its disk; an ephemeral's session goes on there in the end.
fn emptied() -> anyhow::Result<()> {
    let (mut ensemble, follower) = with_short_log(900)?;
    let leader = ensemble.leader()?;
    let mut owner = connect(&ensemble, leader)?;
    asked(&mut owner, op::CREATE, &Body::default().create("/mine", b"here", 1))?;
    let (gone, before) = (said(&ensemble, leader, GOES), said(&ensemble, follower, INSTALLED));
    ensemble.servers[follower].kill()?;
    fs::remove_dir_all(data_dir(&ensemble, follower))?;
    fill(&mut owner, "many", 6_000..6_300, 900)?;
    ensemble.servers[follower].launch()?;
    fill(&mut owner, "many", 6_300..6_600, 900)?;
    ensemble.await_service(follower)?;
    let installed = said(&ensemble, follower, INSTALLED);
    ensure!(before < installed, "no image\n{}", ensemble.logs());
    ensure!(gone < said(&ensemble, leader, GOES), "no image was sent");
    compare(&ensemble, 6_600)?;
    let session = owner.session.clone();
    let moved = Client::resume(ensemble.address(follower), &session, 0)?;
    let mut moved = moved.context("the image has no sessions")?;
    fill(&mut moved, "many", 6_600..6_700, 900)?;
    asked(&mut moved, op::CLOSE_SESSION, &Body::default())?;
    compare(&ensemble, 6_700)?;
    // What is on the disk is whole, too.
    for round in 0..2 {
        ensemble.servers[follower].kill()?;
        ensemble.servers[follower].launch()?;
        compare(&ensemble, 6_700).with_context(|| format!("after start {round}"))?;
    }
    let now = said(&ensemble, follower, INSTALLED);
    ensure!(now == installed, "an image again\n{}", ensemble.logs());
    Ok(())
}

/// Followers come back to a log that is whole: far behind, where the changes are many and the tree is small; a little behind.
fn shorter() -> anyhow::Result<()> {
    let more =
        "snapCount=2000\npreAllocSize=256\ncommitLogCount=500\nautopurge.snapRetainCount=1000\n";
    let mut ensemble = Ensemble::start_with(&[Kind::Ringkeeper; 3], 0, more)?;
    let leader = ensemble.leader()?;
    let [far, near] = [(leader + 1) % 3, (leader + 2) % 3];
    let mut client = connect(&ensemble, leader)?;
    asked(&mut client, op::CREATE, &Body::default().create("/many", b"", 0))?;
    fill(&mut client, "many", 0..100, 900)?;
    check(&ensemble, far, &[])?;
    let installed = said(&ensemble, far, INSTALLED);
    ensemble.servers[far].kill()?;
    for _ in 0..100 {
        overwrite(&mut client, 100, 5_000)?;
    }
    ensemble.servers[far].launch()?;
    compare(&ensemble, 100)?;
    ensure!(
        installed < said(&ensemble, far, INSTALLED),
        "all changes were sent\n{}",
        ensemble.logs()
    );
    // More than memory holds, and less than the tree.
    fill(&mut client, "many", 100..10_100, 300)?;
    check(&ensemble, near, &[])?;
    let installed = said(&ensemble, near, INSTALLED);
    ensemble.servers[near].kill()?;
    overwrite(&mut client, 700, 300)?;
    ensemble.servers[near].launch()?;
    compare(&ensemble, 10_100)?;
    ensure!(
        said(&ensemble, near, INSTALLED) == installed,
        "an image was sent\n{}",
        ensemble.logs()
    );
    Ok(())
}

/// The last transaction, by a reply.
fn seen_zxid(client: &mut Client) -> anyhow::Result<i64> {
    Ok(client.ask(op::SYNC, &Body::default().buffer(b"/"))?.zxid)
}

/// The first transaction in a server's log, by the names of its files.
fn log_begin(ensemble: &Ensemble, number: usize) -> anyhow::Result<i64> {
    let mut begin = i64::MAX;
    for entry in fs::read_dir(data_dir(ensemble, number))? {
        let name = entry?.file_name();
        let first = name.to_str().and_then(|it| it.strip_prefix("log."));
        if let Some(first) = first.and_then(|it| i64::from_str_radix(it, 16).ok()) {
            begin = begin.min(first);
        }
    }
    Ok(begin)
}

/// SIGKILL at moments of the transfer: of one that has an old tree, and of one that has none.
fn killed() -> anyhow::Result<()> {
    let (mut ensemble, follower) = with_short_log(900)?;
    let mut count = 6_000;
    for (round, delay_ms) in [0, 2, 10, 30, 60, 120].into_iter().enumerate() {
        ensemble.servers[follower].kill()?;
        // With nothing, or with what the leader's log does not reach back to.
        let mut client = connect(&ensemble, (follower + 1) % 3)?;
        let leader = ensemble.leader()?;
        let logged = if round % 2 == 0 {
            fs::remove_dir_all(data_dir(&ensemble, follower))?;
            0
        } else {
            seen_zxid(&mut client)?
        };
        overwrite(&mut client, 1_000, 900)?;
        purge(&ensemble, leader, logged, &mut client)?;
        fill(&mut client, "many", count..count + 100, 900)?;
        count += 100;
        let (comes, installed) =
            (said(&ensemble, follower, COMES), said(&ensemble, follower, INSTALLED));
        ensemble.servers[follower].launch()?;
        await_said(&ensemble, follower, (COMES, comes))?;
        thread::sleep(Duration::from_millis(delay_ms));
        ensemble.servers[follower].kill()?;
        let done = said(&ensemble, follower, INSTALLED) - installed;
        println!("killed {delay_ms} ms behind the begin; installed: {done}");
        ensemble.servers[follower].launch()?;
        check(&ensemble, follower, &[])?;
    }
    compare(&ensemble, count)
}

/// Everything that a znode can have: owners, ACLs, versions, no data; and who owns the ephemeral.
pub(crate) fn plant(mut owner: Client) -> anyhow::Result<Client> {
    for top in ["/many", "/kinds", "/busy"] {
        asked(&mut owner, op::CREATE, &Body::default().create(top, b"", 0))?;
    }
    asked(&mut owner, op::CREATE, &Body::default().create("/kinds/ephemeral", b"here", 1))?;
    asked(&mut owner, op::CREATE, &Body::default().create("/kinds/sequence-", b"", 2))?;
    // Container, TTL, null data, and two entries in the ACL.
    let kind = |path: &str| Body::default().buffer(path.as_bytes()).buffer(b"x").open_acl();
    asked(&mut owner, 19, &kind("/kinds/container").int(4))?;
    asked(&mut owner, op::CREATE, &Body::default().create("/kinds/container/child", b"", 0))?;
    asked(&mut owner, 21, &kind("/kinds/ttl").int(5).long(600_000))?;
    let null = Body::default().buffer(b"/kinds/null").int(-1);
    let acl = |body: Body| {
        let body = body.int(2).int(31).buffer(b"world").buffer(b"anyone");
        body.int(1).buffer(b"ip").buffer(b"127.0.0.1")
    };
    asked(&mut owner, op::CREATE, &acl(null).int(0))?;
    for version in 0..3 {
        let set = Body::default().buffer(b"/kinds/ttl").buffer(b"changed").int(version);
        asked(&mut owner, op::SET_DATA, &set)?;
    }
    Ok(owner)
}

/// Creates, changes and deletes at a server until `stop`.
fn churn(ensemble: &Ensemble, number: usize, stop: &AtomicBool) -> anyhow::Result<usize> {
    let mut client = connect(ensemble, number)?;
    let mut turns = 0;
    while !stop.load(Ordering::Relaxed) {
        for name in 0..8 {
            let path = format!("/busy/{name}");
            let below = format!("{path}/below");
            let path_body = |it: &str| Body::default().buffer(it.as_bytes());
            client.put(op::CREATE, &Body::default().create(&path, b"", 0));
            client.put(op::CREATE, &Body::default().create(&below, b"", i32::from(turns % 2 == 1)));
            client.put(op::SET_DATA, &path_body(&path).buffer(b"some data").int(-1));
            client.put(op::DELETE, &path_body(&below).int(-1));
            client.put(op::DELETE, &path_body(&path).int(-1));
            client.put(op::SET_DATA, &path_body("/busy").buffer(b"again").int(-1));
        }
        client.flush()?;
        for _ in 0..8 * 6 {
            let reply = client.reply()?;
            ensure!(reply.err == 0, "error {} under load", reply.err);
        }
        turns += 1;
    }
    Ok(turns)
}

/// The last transaction that a server has applied.
fn zxid(server: &Server) -> anyhow::Result<i64> {
    let answer = four_letters(server.address(), "srvr")?;
    let zxid = answer.lines().find_map(|it| it.strip_prefix("Zxid: 0x")).context(answer.clone())?;
    Ok(i64::from_str_radix(zxid, 16)?)
}

/// Two servers of the one kind, and then a third with nothing, while clients write.
fn third_joins(kinds: [Kind; 3], line: &str) -> anyhow::Result<Ensemble> {
    let more = format!("{SHORT_LOG}zookeeper.forceSnapshotSync=true\n");
    let mut ensemble = Ensemble::prepare(&kinds, 0, &more)?;
    for server in &mut ensemble.servers[..2] {
        server.launch()?;
    }
    let leader = ensemble.leader()?;
    let mut owner = plant(connect(&ensemble, leader)?)?;
    fill(&mut owner, "many", 0..6_000, 300)?;
    let stop = AtomicBool::new(false);
    // Taken out, so that the others may be looked at meanwhile.
    let mut third = ensemble.servers.pop().context("there are three")?;
    let sender = if kinds[2] == Kind::Ringkeeper { None } else { Some(leader) };
    let before = sender.map_or(0, |it| said(&ensemble, it, line));
    let joined = thread::scope(|scope| -> anyhow::Result<()> {
        let busy = scope.spawn(|| churn(&ensemble, leader, &stop));
        let joined = third.begin().context("the third does not serve");
        // And on, with transactions whose digests it compares.
        let joined = joined.and_then(|()| {
            let from = zxid(&third)?;
            third.until("it has some more", || Ok(from + 500 < zxid(&third)?))
        });
        stop.store(true, Ordering::Relaxed);
        let turns = busy.join().expect("a thread that answers")?;
        println!("{turns} turns of load meanwhile");
        joined
    });
    ensemble.servers.push(third);
    joined.with_context(|| ensemble.logs())?;
    compare(&ensemble, 6_009).with_context(|| ensemble.logs())?;
    let sent = said(&ensemble, sender.unwrap_or(2), line);
    ensure!(before < sent, "no image\n{}", ensemble.logs());
    let session = owner.session.clone();
    let moved = Client::resume(ensemble.address(2), &session, 0)?;
    let mut moved = moved.context("the image has no sessions")?;
    fill(&mut moved, "many", 6_000..6_100, 300)?;
    asked(&mut moved, op::CLOSE_SESSION, &Body::default())?;
    compare(&ensemble, 6_108)?;
    Ok(ensemble)
}

fn from_java() -> anyhow::Result<()> {
    let kinds = [Kind::Reference, Kind::Reference, Kind::Ringkeeper];
    let mut ensemble = third_joins(kinds, INSTALLED)?;
    ensemble.servers[2].kill()?;
    ensemble.servers[2].launch()?;
    compare(&ensemble, 6_108)
}

fn to_java() -> anyhow::Result<()> {
    let kinds = [Kind::Ringkeeper, Kind::Ringkeeper, Kind::Reference];
    let mut ensemble = third_joins(kinds, GOES)?;
    ensure!(said(&ensemble, 2, "Digests are not matching") == 0, "{}", ensemble.logs());
    ensemble.servers[2].kill()?;
    ensemble.servers[2].launch()?;
    compare(&ensemble, 6_108)
}

/// The last image that one of ours has finished, if there is one.
fn newest_image(ensemble: &Ensemble, number: usize) -> anyhow::Result<Option<PathBuf>> {
    let is_image = |it: &PathBuf| {
        it.file_name().is_some_and(|it| it.as_encoded_bytes().starts_with(b"image."))
    };
    let entries = fs::read_dir(data_dir(ensemble, number))?.flatten().map(|it| it.path());
    Ok(entries.filter(|it| is_image(it) && it.extension().is_some_and(|it| it != "tmp")).max())
}

/// Changes the sum of the digests of all znodes in the newest image of one of ours, and the checksums with it.
fn spoil(ensemble: &Ensemble, number: usize) -> anyhow::Result<()> {
    let path = newest_image(ensemble, number)?.context("no image")?;
    let mut bytes = fs::read(&path)?;
    let pages = u64::from_be_bytes(bytes[24..32].try_into()?) as usize;
    // Header, pages, checksums, trailer; the sum is word 20.
    let (table, trailer) = (BLOCK * (1 + pages), bytes.len() - BLOCK);
    bytes[BLOCK + 20 * 8] ^= 0x10;
    let page = crc32c(&bytes[BLOCK..2 * BLOCK]);
    bytes[table..table + 4].copy_from_slice(&page.to_be_bytes());
    let sum = crc32c(&bytes[table..trailer]);
    bytes[trailer + 4..trailer + 8].copy_from_slice(&sum.to_be_bytes());
    let end = bytes.len() - 4;
    let seal = crc32c(&bytes[trailer..end]);
    bytes[end..].copy_from_slice(&seal.to_be_bytes());
    Ok(fs::write(path, bytes)?)
}

const BLOCK: usize = 4_096;

fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), step))
}

/// The tree of one of ours is no more what its log says.
fn spoiled(kinds: [Kind; 3]) -> anyhow::Result<()> {
    let mut ensemble = Ensemble::prepare(&kinds, 0, SHORT_LOG)?;
    // The first with the least to lead with.
    for server in ensemble.servers.iter_mut().rev() {
        server.launch()?;
    }
    let leader = ensemble.leader()?;
    let victim = if kinds[1] == Kind::Reference { 0 } else { (leader + 1) % 3 };
    let mut client = connect(&ensemble, (victim + 1) % 3)?;
    asked(&mut client, op::CREATE, &Body::default().create("/many", b"", 0))?;
    fill(&mut client, "many", 0..3_000, 100)?;
    check(&ensemble, victim, &[])?;
    let mut count = 3_000;
    for round in 0..2 {
        let installed = said(&ensemble, victim, INSTALLED);
        ensure!(said(&ensemble, victim, FENCED) == round, "{}", ensemble.logs());
        ensemble
            .until("the victim has an image", || Ok(newest_image(&ensemble, victim)?.is_some()))?;
        ensemble.servers[victim].kill()?;
        spoil(&ensemble, victim)?;
        ensemble.servers[victim].launch()?;
        let mut client = connect(&ensemble, (victim + 1) % 3)?;
        fill(&mut client, "many", count..count + 100, 100)?;
        count += 100;
        // Behind an image that a leader has sent, digests are compared from when it serves.
        let is_fenced = || round < said(&ensemble, victim, FENCED);
        ensemble.until("it serves or is fenced", || {
            Ok(is_fenced() || ensemble.mode(victim).is_some())
        })?;
        ensemble.until("it is fenced", || {
            if !is_fenced() {
                fill(&mut client, "many", count..count + 1, 100)?;
                count += 1;
            }
            Ok(is_fenced())
        })?;
        await_said(&ensemble, victim, (INSTALLED, installed))?;
        compare(&ensemble, count)?;
        ensure!(said(&ensemble, victim, FENCED) == round + 1, "{}", ensemble.logs());
    }
    Ok(())
}
