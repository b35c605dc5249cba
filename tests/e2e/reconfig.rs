//! Ensembles whose members change while they run: ours alone, ours asked by a shell of 3.9.5, and ours beside Apache ZooKeeper 3.9.5.
//!
//! The configuration is read back from `/zookeeper/config` of every server, and from the files that the next start reads.

use std::fs;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use libtest_mimic::Trial;

use crate::ensemble::{Ensemble, LINES, again, asked, check, connect, trial};
use crate::judge;
use crate::load::REFUSED;
use crate::process::PATIENCE;
use crate::server::{FOR_JUDGES, Kind, Server, free_port};
use crate::wire::{Body, Client, Fields, Session, op};
use crate::zkcli::Shell;

/// Codes of refusals.
const NEW_CONFIG_NO_QUORUM: i32 = -13;
const RECONFIG_IN_PROGRESS: i32 = -14;
const NO_AUTH: i32 = -102;
const BAD_VERSION: i32 = -103;
const NODE_EXISTS: i32 = -110;
const BAD_ARGUMENTS: i32 = -8;

/// The tests.
pub(crate) fn trials() -> Vec<Trial> {
    use Kind::{Reference, Ringkeeper};
    vec![
        trial("reconfig_three_grow_to_five_and_shrink_to_three_under_writes", grow_and_shrink),
        trial("reconfig_one_alone_grows_to_three_and_shrinks_to_one", grow_from_one),
        trial("reconfig_ports_of_a_server_move", move_ports),
        trial("reconfig_is_asked_by_a_shell", ask_by_shell),
        trial("reconfig_is_asked_by_kazoo", ask_by_kazoo),
        trial("reconfig_mixed_is_led_by_ours_and_by_java", || {
            led_by_each(&[Ringkeeper, Ringkeeper, Reference])
        }),
        trial("reconfig_mixed_leaders_leave_and_come_again", || {
            remove_leaders(&[Ringkeeper, Ringkeeper, Reference])
        }),
    ]
}

/// Servers whose lines say where clients connect. The first `known` know each other; every other one knows those and itself.
fn prepare(kinds: &[Kind], known: usize) -> anyhow::Result<(Ensemble, Vec<String>)> {
    prepare_with(kinds, known, "")
}

/// The same, with more lines.
fn prepare_with(
    kinds: &[Kind],
    known: usize,
    more: &str,
) -> anyhow::Result<(Ensemble, Vec<String>)> {
    let mut servers = Vec::new();
    let mut lines = Vec::new();
    for (sid, &kind) in (1..).zip(kinds) {
        let server =
            Server::prepare(kind, &format!("{FOR_JUDGES}{LINES}reconfigEnabled=true\n{more}"))?;
        let (quorum, election) = (free_port()?, free_port()?);
        let client = server.address();
        lines.push(format!("server.{sid}=127.0.0.1:{quorum}:{election}:participant;{client}"));
        servers.push(server);
    }
    for (number, server) in servers.iter().enumerate() {
        let others = lines.iter().enumerate().filter(|it| it.0 < known || it.0 == number);
        let listed: Vec<_> = others.map(|it| it.1.as_str()).collect();
        let file = server.dir().join("zoo.cfg");
        let text = fs::read_to_string(&file)?;
        fs::write(&file, format!("{text}{}\n", listed.join("\n")))?;
        let data = server.dir().join("data");
        fs::create_dir_all(&data)?;
        fs::write(data.join("myid"), format!("{}\n", number + 1))?;
    }
    Ok((Ensemble { servers, lines: lines.join("\n") }, lines))
}

fn launch(ensemble: &mut Ensemble, numbers: &[usize]) -> anyhow::Result<()> {
    for &number in numbers {
        ensemble.servers[number].launch()?;
    }
    for &number in numbers {
        ensemble.await_service(number)?;
    }
    Ok(())
}

/// A session of the super user.
fn connect_super(ensemble: &Ensemble, number: usize) -> anyhow::Result<Client> {
    let mut client = connect(ensemble, number)?;
    become_super(&mut client)?;
    Ok(client)
}

fn become_super(client: &mut Client) -> anyhow::Result<()> {
    let auth = Body::default().int(-4).int(100).int(0).buffer(b"digest").buffer(b"super:judge");
    std::io::Write::write_all(client.socket(), &auth.frame())?;
    let reply = client.reply()?;
    ensure!(reply.err == 0, "the super user is refused: {}", reply.err);
    Ok(())
}

/// Asks one server after the other for a member to join, or to be another, until that is done: what was asked may be lost, and asked again.
pub(crate) fn join_somehow(addresses: &[SocketAddr], line: &str) -> anyhow::Result<()> {
    const ANSWER: Duration = Duration::from_secs(3);
    let new = Session { timeout: 30_000, ..Session::default() };
    let ask = |address| -> anyhow::Result<i32> {
        let client = Client::resume_within(ANSWER, address, &new, 0)?;
        let mut client = client.context("no session was given")?;
        become_super(&mut client)?;
        Ok(client.ask(op::RECONFIG, &change(line, "", -1))?.err)
    };
    let end = Instant::now() + PATIENCE;
    for &address in addresses.iter().cycle() {
        match ask(address) {
            Ok(0) => return Ok(()),
            Ok(NEW_CONFIG_NO_QUORUM | RECONFIG_IN_PROGRESS | REFUSED) | Err(_) => {}
            Ok(err) => bail!("{line} is refused: {err}"),
        }
        ensure!(Instant::now() < end, "{line} does not become so");
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Waits until a server says that this line is one of the configuration.
pub(crate) fn await_line(ensemble: &Ensemble, number: usize, line: &str) -> anyhow::Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        let shown = again(|| config(ensemble, number))?;
        if shown.lines().any(|it| it == line) {
            return Ok(());
        }
        ensure!(Instant::now() < end, "server {} shows {shown}, not {line}", number + 1);
        thread::sleep(Duration::from_millis(20));
    }
}

/// The body of a reconfig; empty is null.
fn change(joining: &str, leaving: &str, version: i64) -> Body {
    let text = |body: Body, text: &str| match text {
        "" => body.int(-1),
        text => body.buffer(text.as_bytes()),
    };
    text(text(Body::default(), joining), leaving).int(-1).long(version)
}

/// Asks server `number` for a change until it is made, and waits until every one of `seen_by` shows it.
fn reconfigure(
    ensemble: &Ensemble,
    number: usize,
    (joining, leaving): (&str, &str),
    seen_by: &[usize],
) -> anyhow::Result<String> {
    let end = Instant::now() + PATIENCE;
    let text = loop {
        let mut client = again(|| connect_super(ensemble, number))?;
        let reply = client.ask(op::RECONFIG, &change(joining, leaving, -1));
        match reply {
            Ok(reply) if reply.err == 0 => {
                break String::from_utf8(Fields(&reply.body).buffer()?.to_vec())?;
            }
            Ok(reply) if ![NEW_CONFIG_NO_QUORUM, RECONFIG_IN_PROGRESS].contains(&reply.err) => {
                bail!("+{joining} -{leaving} is refused: {}\n{}", reply.err, ensemble.logs())
            }
            other => {
                // Also if the server left its role before it answered: then asking again does no harm.
                ensure!(Instant::now() < end, "{other:?}\n{}", ensemble.logs());
                thread::sleep(Duration::from_millis(50));
            }
        }
    };
    for &number in seen_by {
        await_config(ensemble, number, &text)?;
    }
    Ok(text)
}

fn config(ensemble: &Ensemble, number: usize) -> anyhow::Result<String> {
    let mut client = connect(ensemble, number)?;
    asked(&mut client, op::SYNC, &Body::default().buffer(b"/"))?;
    let body =
        asked(&mut client, op::GET_DATA, &Body::default().buffer(b"/zookeeper/config").byte(0))?;
    Ok(String::from_utf8(Fields(&body).buffer()?.to_vec())?)
}

/// Waits until a server shows this configuration.
fn await_config(ensemble: &Ensemble, number: usize, text: &str) -> anyhow::Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        let shown = config(ensemble, number);
        if shown.as_ref().is_ok_and(|it| it == text) {
            return Ok(());
        }
        ensure!(
            Instant::now() < end,
            "server {} shows {shown:?}, not {text}\n{}",
            number + 1,
            ensemble.logs()
        );
        thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until a server's files say this.
fn await_files(server: &Server, text: &str) -> anyhow::Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        match check_files(server, text) {
            Err(_) if Instant::now() < end => thread::sleep(Duration::from_millis(20)),
            done => return done,
        }
    }
}

/// The dynamic file that the static one names, and whether the lines went from that.
fn check_files(server: &Server, text: &str) -> anyhow::Result<()> {
    let version = text.rsplit_once("version=").context("no version")?.1;
    let fixed = fs::read_to_string(server.dir().join("zoo.cfg"))?;
    let name = server.dir().join(format!("zoo.cfg.dynamic.{version}"));
    ensure!(
        fixed.contains(&format!("dynamicConfigFile={}", name.display())),
        "the static file names another\n{fixed}"
    );
    ensure!(!fixed.contains("server.") && !fixed.contains("clientPort="), "lines stay\n{fixed}");
    let mut lines: Vec<_> = text.lines().filter(|it| !it.starts_with("version")).collect();
    lines.sort_unstable();
    ensure!(fs::read_to_string(name)? == lines.join("\n"), "the dynamic file differs");
    ensure!(!server.dir().join("zoo.cfg.dynamic.next").exists(), "the proposal stays");
    ensure!(server.dir().join("zoo.cfg.bak").exists(), "the file that listed servers is gone");
    Ok(())
}

/// Writes one path after another until told to stop, at whichever server takes it; gives what was acknowledged.
fn write_on(ensemble: &Ensemble, stop: &AtomicBool) -> Vec<String> {
    let mut paths = Vec::new();
    let mut client: Option<Client> = None;
    for turn in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let number = turn % ensemble.servers.len();
        let Some(writer) = &mut client else {
            client = Client::connect(ensemble.address(number)).ok();
            thread::sleep(Duration::from_millis(2));
            continue;
        };
        let path = format!("/written-{turn}");
        match writer.ask(op::CREATE, &Body::default().create(&path, b"acknowledged", 0)) {
            Ok(reply) if reply.err == 0 => paths.push(path),
            _ => client = None,
        }
    }
    paths
}

fn grow_and_shrink() -> anyhow::Result<()> {
    let (mut ensemble, lines) = prepare(&[Kind::Ringkeeper; 5], 3)?;
    launch(&mut ensemble, &[0, 1, 2])?;
    let first = config(&ensemble, 0)?;
    ensure!(first.starts_with(&lines[0]) && !first.ends_with("version=0"), "{first}");
    launch(&mut ensemble, &[3, 4])?;
    let stop = AtomicBool::new(false);
    let (paths, last) = thread::scope(|scope| {
        let writer = scope.spawn(|| write_on(&ensemble, &stop));
        let changes = || -> anyhow::Result<String> {
            let all = [0, 1, 2, 3, 4];
            reconfigure(&ensemble, 0, (&lines[3], ""), &all)?;
            reconfigure(&ensemble, 4, (&lines[4], ""), &all)?;
            let leader = ensemble.leader()?;
            let other = (leader + 1) % 5;
            let leaving = format!("{},{}", leader + 1, other + 1);
            reconfigure(&ensemble, (leader + 2) % 5, ("", &leaving), &all)
        };
        let done = changes();
        thread::sleep(Duration::from_millis(200));
        stop.store(true, Ordering::Relaxed);
        let paths = writer.join().expect("the writer does not panic");
        done.map(|text| (paths, text))
    })?;
    println!("{} writes were acknowledged", paths.len());
    let stays = |it: &usize| last.contains(&lines[*it]);
    let (staying, leaving): (Vec<usize>, Vec<usize>) = (0..5).partition(stays);
    ensure!(staying.len() == 3, "{last}");
    for number in leaving {
        ensemble.servers[number].kill()?;
    }
    for &number in &staying {
        await_files(&ensemble.servers[number], &last)?;
        ensemble.servers[number].kill()?;
    }
    launch(&mut ensemble, &staying)?;
    for &number in &staying {
        check(&ensemble, number, &paths)?;
        await_config(&ensemble, number, &last)?;
    }
    Ok(())
}

/// An ensemble of one is joined by Java's and by another of ours, and that one stays alone.
fn grow_from_one() -> anyhow::Result<()> {
    let kinds = [Kind::Ringkeeper, Kind::Reference, Kind::Ringkeeper];
    let (mut ensemble, lines) = prepare_with(&kinds, 1, "standaloneEnabled=false\n")?;
    launch(&mut ensemble, &[0])?;
    let mut paths = vec!["/alone".to_owned()];
    write_once(&ensemble, 0, "/alone")?;
    launch(&mut ensemble, &[1])?;
    reconfigure(&ensemble, 0, (&lines[1], ""), &[0, 1])?;
    launch(&mut ensemble, &[2])?;
    let all = reconfigure(&ensemble, 1, (&lines[2], ""), &[0, 1, 2])?;
    ensure!(lines.iter().all(|it| all.contains(it)), "{all}");
    write_once(&ensemble, 2, "/three")?;
    paths.push("/three".to_owned());
    for number in 0..3 {
        check(&ensemble, number, &paths)?;
    }
    let last = reconfigure(&ensemble, 1, ("", "1,2"), &[2])?;
    ensure!(last.starts_with(&lines[2]), "{last}");
    ensemble.servers[0].kill()?;
    ensemble.servers[1].kill()?;
    ensemble.servers[2].kill()?;
    launch(&mut ensemble, &[2])?;
    await_config(&ensemble, 2, &last)?;
    check(&ensemble, 2, &paths)
}

/// Every port of the leader, and then of a follower, becomes another.
fn move_ports() -> anyhow::Result<()> {
    let (mut ensemble, _) = prepare(&[Kind::Ringkeeper; 3], 3)?;
    launch(&mut ensemble, &[0, 1, 2])?;
    for turn in 0..2 {
        let leader = ensemble.leader()?;
        let moving = if turn == 0 { leader } else { (leader + 1) % 3 };
        let (quorum, election, client) = (free_port()?, free_port()?, free_port()?);
        let line = format!(
            "server.{}=127.0.0.1:{quorum}:{election}:participant;127.0.0.1:{client}",
            moving + 1
        );
        let other = (moving + 1) % 3;
        let text = reconfigure(&ensemble, other, (&line, ""), &[other])?;
        ensemble.servers[moving].move_to(client);
        for number in 0..3 {
            await_config(&ensemble, number, &text)?;
        }
        let path = format!("/moved-{turn}");
        write_once(&ensemble, moving, &path)?;
        // Whoever is killed, the others find each other at the ports of now.
        ensemble.servers[other].kill()?;
        check(&ensemble, moving, &[path])?;
        launch(&mut ensemble, &[other])?;
    }
    Ok(())
}

fn ask_by_shell() -> anyhow::Result<()> {
    let (mut ensemble, lines) = prepare(&[Kind::Ringkeeper; 3], 3)?;
    launch(&mut ensemble, &[0, 1, 2])?;
    let leader = ensemble.leader()?;
    let other = (leader + 1) % 3;
    let mut client = connect(&ensemble, other)?;
    let leaves = (other + 1).to_string();
    let reply = client.ask(op::RECONFIG, &change("", &leaves, -1))?;
    ensure!(reply.err == NO_AUTH, "anybody may: {}", reply.err);
    let mut client = connect_super(&ensemble, other)?;
    for (body, code) in [
        (change("", &leaves, 7), BAD_VERSION),
        (change("server.9=127.0.0.1:1:2", "", -1), BAD_ARGUMENTS),
        (change("", "1,2", -1), BAD_ARGUMENTS),
        (
            change("server.7=h:1:2;3,server.8=h:4:5;6,server.9=h:7:8;9", "", -1),
            NEW_CONFIG_NO_QUORUM,
        ),
    ] {
        let reply = client.ask(op::RECONFIG, &body)?;
        ensure!(reply.err == code, "{body:?} is answered {}, not {code}", reply.err);
    }
    let server = &ensemble.servers[(leader + 2) % 3];
    let mut shell = Shell::open("shell", server.address(), server.dir())?;
    shell.expect("config", &lines[1])?;
    shell.expect("addauth digest super:judge", "")?;
    shell.expect(&format!("reconfig -remove {leaves}"), "Committed new configuration:\nserver.")?;
    shell.expect("config -w", "version=")?;
    let reply = client.ask(op::RECONFIG, &change(&lines[other], "", -1))?;
    ensure!(reply.err == 0, "{} cannot come again: {}", lines[other], reply.err);
    shell.event("NodeDataChanged", "/zookeeper/config")?;
    shell.expect("get /zookeeper/config", &lines[other])?;
    shell.expect(&format!("reconfig -remove {leaves}"), "version=")?;
    shell.expect(&format!("reconfig -add {}", lines[other]), &lines[other])?;
    shell.expect("config", &lines[other])?;
    let observer = lines[other].replace("participant", "observer");
    let members = [&lines[leader], &lines[(leader + 2) % 3], &observer].map(String::as_str);
    fs::write(server.dir().join("members"), members.join("\n"))?;
    let file = server.dir().join("members").display().to_string();
    shell.expect(&format!("reconfig -file {file}"), &observer)?;
    shell.quit()?;
    let mode = await_mode(&ensemble, other, "observer")?;
    ensure!(mode == "observer", "{mode}");
    Ok(())
}

/// The judge wants a member last that does not lead.
fn ask_by_kazoo() -> anyhow::Result<()> {
    let (mut ensemble, lines) = prepare(&[Kind::Ringkeeper; 3], 3)?;
    launch(&mut ensemble, &[0, 1, 2])?;
    let leader = ensemble.leader()?;
    let members = [leader, (leader + 1) % 3, (leader + 2) % 3].map(|it| ensemble.address(it));
    judge::of_members("python", "reconfiguration", &members, &mut |line| bail!("{line}?"))
        .map_err(|error| error.context(ensemble.logs()))?;
    for number in 0..3 {
        await_line(&ensemble, number, &lines[(leader + 2) % 3])?;
    }
    Ok(())
}

fn await_mode(ensemble: &Ensemble, number: usize, mode: &str) -> anyhow::Result<String> {
    let end = Instant::now() + PATIENCE;
    loop {
        let now = ensemble.await_service(number)?;
        if now == mode || end < Instant::now() {
            return Ok(now);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Whoever leads is killed and comes again until one of this kind leads.
fn make_lead(ensemble: &mut Ensemble, kinds: &[Kind], leads: Kind) -> anyhow::Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        let leader = ensemble.leader()?;
        if kinds[leader] == leads {
            return Ok(());
        }
        ensure!(Instant::now() < end, "server {} leads\n{}", leader + 1, ensemble.logs());
        ensemble.servers[leader].kill()?;
        ensemble.leader()?;
        launch(ensemble, &[leader])?;
    }
}

/// A server leaves and comes again, first led by ours and then by Java.
fn led_by_each(kinds: &[Kind]) -> anyhow::Result<()> {
    let (mut ensemble, lines) = prepare(kinds, 3)?;
    launch(&mut ensemble, &[0, 1])?;
    launch(&mut ensemble, &[2])?;
    let mut paths = Vec::new();
    for (turn, leads) in [Kind::Ringkeeper, Kind::Reference].into_iter().enumerate() {
        make_lead(&mut ensemble, kinds, leads)?;
        let leaving = if turn == 0 { 2 } else { 0 };
        let sid = (leaving + 1).to_string();
        let asked_of = [leaving, (leaving + 1) % 3, (leaving + 2) % 3];
        reconfigure(&ensemble, asked_of[1], ("", &sid), &[0, 1, 2])?;
        let path = format!("/without-{turn}");
        write_once(&ensemble, asked_of[2], &path)?;
        paths.push(path);
        let text = reconfigure(&ensemble, asked_of[2], (&lines[leaving], ""), &[0, 1, 2])?;
        ensure!(text.starts_with("server.1="), "{text}");
        for server in &ensemble.servers {
            await_files(server, &text)?;
        }
        for number in 0..3 {
            check(&ensemble, number, &paths)?;
        }
    }
    Ok(())
}

/// Whoever leads leaves, and comes again without a lead, until one of each kind has.
fn remove_leaders(kinds: &[Kind]) -> anyhow::Result<()> {
    let (mut ensemble, lines) = prepare(kinds, 3)?;
    launch(&mut ensemble, &[0, 1])?;
    launch(&mut ensemble, &[2])?;
    let mut removed = Vec::new();
    let mut paths = Vec::new();
    for turn in 0..6 {
        let leader = ensemble.leader()?;
        removed.push(kinds[leader]);
        let (one, other) = ((leader + 1) % 3, (leader + 2) % 3);
        reconfigure(&ensemble, one, ("", &(leader + 1).to_string()), &[0, 1, 2])?;
        let path = format!("/without-{turn}");
        write_once(&ensemble, leader, &path)?;
        paths.push(path);
        let end = Instant::now() + PATIENCE;
        while ensemble.leader()? == leader {
            ensure!(Instant::now() < end, "who was removed leads\n{}", ensemble.logs());
        }
        reconfigure(&ensemble, other, (&lines[leader], ""), &[0, 1, 2])?;
        if removed.contains(&Kind::Reference) && removed.contains(&Kind::Ringkeeper) {
            break;
        }
    }
    ensure!(removed.contains(&Kind::Reference), "Java never led: {removed:?}");
    for number in 0..3 {
        check(&ensemble, number, &paths)?;
    }
    Ok(())
}

/// Writes at this server; one that leads no more ends its connections, and an answer may be lost.
fn write_once(ensemble: &Ensemble, number: usize, path: &str) -> anyhow::Result<()> {
    again(|| {
        let create = Body::default().create(path, b"acknowledged", 0);
        let err = connect(ensemble, number)?.ask(op::CREATE, &create)?.err;
        ensure!([0, NODE_EXISTS].contains(&err), "{path} is answered with error {err}");
        Ok(())
    })
}
