//! What servers have said to each other on real wires (`tests/reference/conversations`): every word of it is read and written as it was, and a machine
//! that is told what a leader of Apache ZooKeeper 3.9.5 has said answers, byte for byte, what a follower of it has.

use alloc::sync::Arc;
use std::string::String;

use super::*;
use crate::QuorumConfig;
use crate::wire::{FrameStream, Initial, Notification, PacketKind, PacketStream, QuorumPacket};
use crate::zab::To;

const FOLLOWER: usize = 1;
const LEADER: usize = 3;

const BOTH_JAVA: &str = include_str!("../../tests/golden/java-follows-java.txt");

const ALL: [&str; 3] = [
    BOTH_JAVA,
    include_str!("../../tests/golden/java-follows-ours.txt"),
    include_str!("../../tests/golden/ours-follows-java.txt"),
];

/// A packet's bytes, and what they say.
type Said = (usize, Vec<u8>);

/// Each conversation at this port: who connected, and who said what.
fn conversations(text: &str, port: &str) -> Vec<(usize, Vec<Said>)> {
    let parts = text.split("== ").skip(1);
    let of_port =
        parts.filter_map(|it| it.strip_prefix(port)?.strip_prefix(" port, connected to by "));
    let line = |it: &str| {
        let (who, hex) = it.split_once(' ').expect("who, and what");
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("two digits");
        (who.parse().expect("a server"), (0..hex.len()).step_by(2).map(byte).collect())
    };
    of_port
        .map(|it| {
            let mut lines = it.lines();
            let by = lines.next().and_then(|it| it.parse().ok()).expect("who connected");
            (by, lines.map(line).collect())
        })
        .collect()
}

/// The packets of both, in the order in which they were whole; an image comes as one, without what is around it.
fn packets(said: &[Said]) -> Vec<Said> {
    let mut streams = [(); 4].map(|()| PacketStream::new(1 << 20));
    let mut in_image = false;
    let mut packets = Vec::new();
    for (who, bytes) in said {
        let stream = &mut streams[*who];
        stream.feed(bytes);
        loop {
            if in_image && *who == LEADER {
                let end = stream.raw().windows(SIGNATURE.len()).position(|it| it == SIGNATURE);
                let Some(end) = end else { break };
                stream.take_raw(end + SIGNATURE.len());
                in_image = false;
            }
            let Some(packet) = stream.next_packet().expect("a packet") else { break };
            in_image |= packet.kind == PacketKind::Snap;
            let mut out = Vec::new();
            packet.encode(&mut out);
            packets.push((*who, out));
        }
    }
    let rest: Vec<_> = streams.iter().map(|it| it.raw().len()).collect();
    assert_eq!(rest, [0; 4], "bytes that are no packet");
    packets
}

/// What an image ends with.
const SIGNATURE: &[u8] = b"\0\0\0\x0aBenWasHere";

fn message(bytes: &[u8]) -> Message<'_> {
    let (packet, len) =
        QuorumPacket::split(bytes, 1 << 20).expect("a packet").expect("a whole one");
    assert_eq!(len, bytes.len());
    Message::read(&packet).expect("a message")
}

#[test]
fn every_packet_between_servers_is_written_as_it_was_read() {
    for text in ALL {
        let learners = conversations(text, "learner");
        assert_eq!(learners.len(), 3);
        for (by, said) in &learners {
            assert_eq!(*by, FOLLOWER);
            let sent: Vec<u8> =
                said.iter().filter(|it| it.0 == FOLLOWER).flat_map(|it| it.1.clone()).collect();
            let packets = packets(said);
            let mut written = Vec::new();
            for (who, bytes) in &packets {
                let mut out = Vec::new();
                message(bytes).encode(&mut out);
                assert_eq!(out, *bytes, "{:?}", message(bytes));
                if *who == FOLLOWER {
                    written.extend(out);
                }
            }
            assert_eq!(written, sent);
        }
    }
}

#[test]
fn every_notification_between_servers_is_written_as_it_was_read() {
    let mut seen = 0;
    for text in ALL {
        for (by, said) in conversations(text, "election") {
            for who in [FOLLOWER, LEADER] {
                let own = said.iter().filter(|it| it.0 == who);
                let sent: Vec<u8> = own.flat_map(|it| it.1.clone()).collect();
                let (mut written, mut rest) = (Vec::new(), &sent[..]);
                if who == by {
                    let split = Initial::split(rest).expect("a message");
                    let (initial, len) = split.expect("a whole one");
                    initial.encode(&mut written);
                    rest = &rest[len..];
                }
                let mut frames = FrameStream::new();
                frames.feed(rest);
                while let Some(body) = frames.next_frame().expect("a frame") {
                    Notification::decode(body).expect("a notification").encode_frame(&mut written);
                    seen += 1;
                }
                assert_eq!(written, sent);
            }
        }
    }
    assert!(10 < seen, "{seen} notifications");
}

/// Server 1, new, with the members that the leader names.
fn follower(packets: &[Said]) -> Peer {
    let text = packets.iter().find_map(|(_, bytes)| match message(bytes) {
        Message::NewLeader { config, .. } => {
            config.map(|it| String::from_utf8_lossy(it).into_owned())
        }
        _ => None,
    });
    let config = QuorumConfig::parse(&text.expect("NEWLEADER")).expect("a configuration");
    let [accepted, current] = [Epoch::ZERO; 2];
    let restored = Restored { accepted, current, last: Zxid::ZERO, committed: Zxid::ZERO };
    Peer::new(Sid(1), Settings::default(), Views::new(Arc::new(config)), &restored)
}

/// Gives the machine an input, on a disk that is at once as far. What it sends.
fn step(peer: &mut Peer, input: Input<'_>) -> Vec<Vec<u8>> {
    let (mut sent, mut inputs) = (Vec::new(), Vec::new());
    let mut out = Vec::new();
    peer.step(Moment::ZERO, input, &mut out);
    for it in out {
        match it {
            Output::Send { to: To::Link(_), packet } => {
                let mut bytes = Vec::new();
                peer.message(&packet).encode(&mut bytes);
                sent.push(bytes);
            }
            Output::Write { write, .. } => inputs.push(Input::Durable { write }),
            Output::ReceiveSnapshot { link, .. } => inputs.push(Input::SnapshotReceived { link }),
            _ => {}
        }
    }
    for input in inputs {
        sent.extend(step(peer, input));
    }
    sent
}

#[test]
fn a_follower_answers_a_java_leader_as_a_java_follower_has() {
    let mut before: Option<Peer> = None;
    for (number, (_, said)) in (1..).zip(conversations(BOTH_JAVA, "learner")) {
        let packets = packets(&said);
        // The third time it comes with nothing.
        let mut peer = before.filter(|_| number != 3).unwrap_or_else(|| follower(&packets));
        let link = Link(number);
        step(&mut peer, Input::Elected { leader: Sid(3) });
        let mut sent = step(&mut peer, Input::Connected { link, to: Sid(3) });
        for (_, bytes) in packets.iter().filter(|it| it.0 == LEADER) {
            sent.extend(step(&mut peer, Input::Packet { link, message: message(bytes) }));
        }
        // What clients want is not this machine's; what they touch goes with pings.
        let is_own = |it: &Vec<u8>| {
            let message = message(it);
            !matches!(
                message,
                Message::Request { .. } | Message::Revalidate(_) | Message::Ping { .. }
            )
        };
        sent.retain(is_own);
        // A learner of ours says besides that it knows what a leader of ours says at a counter's end.
        for hello in sent.iter_mut().filter(|it| it[3] == 11) {
            assert_eq!(hello[24..28], crate::wire::RESUMING_PROTOCOL.to_be_bytes());
            hello[27] = 0;
        }
        let expected = packets.iter().filter(|it| it.0 == FOLLOWER).map(|it| it.1.clone());
        let expected: Vec<_> = expected.filter(is_own).collect();
        let shown = |all: &[Vec<u8>]| {
            all.iter().map(|it| std::format!("{:?}", message(it))).collect::<Vec<_>>()
        };
        assert_eq!(shown(&sent), shown(&expected), "conversation {number}");
        assert_eq!(sent, expected);
        step(&mut peer, Input::Closed { link });
        before = Some(peer);
    }
}
