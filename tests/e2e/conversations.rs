//! What servers say to each other, captured on the wire: Apache ZooKeeper 3.9.5 among itself, and beside ours.
//!
//! Of three servers the third leads, and the first is watched: it joins, takes part in some writes, is killed and comes back with what it had,
//! and again with nothing. Both sides of its connections to the leader are put together from the frames of the switch. With
//! `RK_CAPTURE=DIR` they are written there: `tests/reference/conversations` makes the golden vectors of `quorum/src/peer/conversation_tests.rs` so.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use std::{env, fs, thread};

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;

use crate::ensemble::{Ensemble, asked, check, connect, trial, write_id};
use crate::faults::{ELECTION_PORT, Members, QUORUM_PORT, World};
use crate::process::Patience;
use crate::server::{Kind, four_letters};
use crate::switch::Passed;
use crate::wire::{Body, op};

/// Who is watched, and who leads.
const FOLLOWER: usize = 0;
const LEADER: usize = 2;

/// The captures; none unless they are asked for, for they take a minute.
pub(crate) fn trials() -> Vec<Trial> {
    use Kind::{Reference, Ringkeeper};
    let pairs = [
        ("java-follows-java", Reference, Reference),
        ("java-follows-ours", Reference, Ringkeeper),
        ("ours-follows-java", Ringkeeper, Reference),
    ];
    let make = |(name, follower, leader): (&'static str, _, _)| {
        trial(&format!("conversation_{name}_is_captured_whole"), move || {
            captured(name, &[follower, leader, leader])
        })
    };
    let is_wanted = env::var_os("RK_CAPTURE").is_some();
    pairs.into_iter().filter(|_| is_wanted).map(make).collect()
}

/// One connection between the two.
struct Conversation {
    port: u16,
    /// Who connected.
    by: usize,
    /// The next byte of each side, by the machine that sends it.
    next: BTreeMap<usize, u32>,
    /// Who said what, in their order.
    said: Vec<(usize, Vec<u8>)>,
}

fn captured(name: &str, kinds: &[Kind]) -> anyhow::Result<()> {
    let (world, mut ensemble) = World::prepare(kinds, Members::Stay)?;
    let Some(net) = world.net() else { return Ok(()) };
    net.switch().keep();
    // The last is elected if it is there when the others come.
    ensemble.servers[LEADER].launch()?;
    let patience = Patience::begin();
    while four_letters(ensemble.address(LEADER), "ruok").is_err() {
        ensure!(!patience.is_over(), "it does not begin\n{}", ensemble.logs());
        thread::sleep(Duration::from_millis(20));
    }
    for number in [FOLLOWER, 1] {
        ensemble.servers[number].launch()?;
        ensemble.await_service(number)?;
    }
    ensure!(ensemble.leader()? == LEADER, "the last does not lead\n{}", ensemble.logs());
    talk(&mut ensemble).with_context(|| ensemble.logs())?;
    let conversations = put_together(net.switch().kept())?;
    let text = shown(&conversations);
    let learner = conversations.iter().filter(|it| it.port == QUORUM_PORT).count();
    ensure!(learner == 3, "{learner} conversations with the leader\n{}", ensemble.logs());
    if let Some(dir) = env::var_os("RK_CAPTURE") {
        fs::write(Path::new(&dir).join(format!("{name}.txt")), text)?;
    }
    Ok(())
}

fn talk(ensemble: &mut Ensemble) -> anyhow::Result<()> {
    let mut client = connect(ensemble, FOLLOWER)?;
    asked(&mut client, op::CREATE, &Body::default().create("/a", b"acknowledged", 0))?;
    asked(&mut client, op::SYNC, &Body::default().buffer(b"/"))?;
    asked(&mut client, op::SET_DATA, &Body::default().buffer(b"/a").buffer(b"twice").int(0))?;
    let refused = client.ask(op::DELETE, &Body::default().buffer(b"/missing").int(-1))?;
    ensure!(refused.err == -101, "error {}", refused.err);
    asked(&mut client, op::CLOSE_SESSION, &Body::default())?;
    let mut client = connect(ensemble, LEADER)?;
    asked(&mut client, op::CREATE, &Body::default().create("/b", b"acknowledged", 0))?;
    for turn in 0..2 {
        ensemble.servers[FOLLOWER].kill()?;
        if turn == 1 {
            for entry in fs::read_dir(ensemble.servers[FOLLOWER].dir().join("data"))?.flatten() {
                let path = entry.path();
                if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
            }
            write_id(&ensemble.servers[FOLLOWER], FOLLOWER + 1)?;
        }
        let path = format!("/c-{turn}");
        asked(&mut client, op::CREATE, &Body::default().create(&path, b"acknowledged", 0))?;
        ensemble.servers[FOLLOWER].launch()?;
        check(ensemble, FOLLOWER, &["/b".to_owned(), path])?;
    }
    // A ping or two.
    thread::sleep(Duration::from_millis(600));
    Ok(())
}

/// Segments of TCP between the two, in order, without what was sent twice.
fn put_together(frames: Vec<Passed>) -> anyhow::Result<Vec<Conversation>> {
    let mut all: Vec<Conversation> = Vec::new();
    // By the connecting machine, and its port.
    let mut open: BTreeMap<(usize, u16), usize> = BTreeMap::new();
    for (from, frame) in frames {
        let Some(segment) = Segment::read(&frame) else { continue };
        let to = usize::from(frame[5]) - 1;
        if [from, to] != [FOLLOWER, LEADER] && [from, to] != [LEADER, FOLLOWER] {
            continue;
        }
        let [source, target] = segment.ports;
        let is_ours = |port: u16| [QUORUM_PORT, ELECTION_PORT].contains(&port);
        let own = if is_ours(target) { (from, source) } else { (to, target) };
        let begins = segment.flags & (SYN | ACK) == SYN;
        if begins {
            open.insert(own, all.len());
            let (next, said) = (BTreeMap::new(), Vec::new());
            all.push(Conversation { port: target, by: from, next, said });
        }
        let Some(conversation) = open.get(&own).and_then(|it| all.get_mut(*it)) else { continue };
        if segment.flags & SYN != 0 {
            conversation.next.insert(from, segment.sequence.wrapping_add(1));
            continue;
        }
        // One that was refused has no other side.
        let Some(next) = conversation.next.get_mut(&from) else { continue };
        if segment.payload.is_empty() {
            continue;
        }
        if segment.sequence != *next {
            let is_old = (segment.sequence.wrapping_sub(*next) as i32) < 0;
            ensure!(is_old, "a segment is missing before {:#x}", segment.sequence);
            continue;
        }
        *next = next.wrapping_add(segment.payload.len() as u32);
        conversation.said.push((from, segment.payload.to_vec()));
    }
    all.retain(|it| !it.said.is_empty());
    Ok(all)
}

/// One line of hexadecimal numbers for each thing said.
fn shown(conversations: &[Conversation]) -> String {
    let mut text = String::from("# Made by tests/reference/conversations.\n");
    for it in conversations {
        let port = if it.port == QUORUM_PORT { "learner" } else { "election" };
        text.push_str(&format!("== {port} port, connected to by {}\n", it.by + 1));
        for (who, bytes) in &it.said {
            text.push_str(&format!("{} ", who + 1));
            for byte in bytes {
                text.push_str(&format!("{byte:02x}"));
            }
            text.push('\n');
        }
    }
    text
}

/// What counts of a frame with TCP in it.
struct Segment<'a> {
    ports: [u16; 2],
    sequence: u32,
    flags: u8,
    payload: &'a [u8],
}

const SYN: u8 = 2;
const ACK: u8 = 16;

impl<'a> Segment<'a> {
    fn read(frame: &'a [u8]) -> Option<Self> {
        let packet = frame.get(14..).filter(|_| frame[12..14] == [8, 0])?;
        if packet.get(9) != Some(&6) {
            return None;
        }
        let len = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
        let segment = packet.get(usize::from(packet[0] & 15) * 4..len)?;
        let ports = [0, 2].map(|at| u16::from_be_bytes([segment[at], segment[at + 1]]));
        let sequence = u32::from_be_bytes([segment[4], segment[5], segment[6], segment[7]]);
        let payload = segment.get(usize::from(segment[12] >> 4) * 4..)?;
        Some(Self { ports, sequence, flags: segment[13], payload })
    }
}
