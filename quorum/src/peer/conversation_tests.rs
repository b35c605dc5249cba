//! What servers have said to each other on real wires (`tests/reference/conversations`): every word of it is read and written as it was, and a machine
//! that is told what a leader of Apache ZooKeeper 3.9.5 has said answers, byte for byte, what a follower of it has, and the other way round.

use alloc::sync::Arc;
use std::string::String;

use super::*;
use crate::QuorumConfig;
use crate::wire::{
    FrameStream, Initial, LearnerInfo, Notification, PROTOCOL_VERSION, PacketKind, PacketStream,
    QuorumPacket,
};
use crate::zab::{Group, SyncFrom, To, WindowLimits};

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

/// A server, new, with the members that the leader names. Its memory holds two transactions.
fn new(sid: usize, packets: &[Said]) -> Peer {
    let text = packets.iter().find_map(|(_, bytes)| match message(bytes) {
        Message::NewLeader { config, .. } => {
            config.map(|it| String::from_utf8_lossy(it).into_owned())
        }
        _ => None,
    });
    let config = QuorumConfig::parse(&text.expect("NEWLEADER")).expect("a configuration");
    let [accepted, current] = [Epoch::ZERO; 2];
    let restored = Restored { accepted, current, last: Zxid::ZERO, committed: Zxid::ZERO };
    let window = WindowLimits { count_max: 2, ..WindowLimits::default() };
    let settings = Settings { window, ..Settings::default() };
    Peer::new(Sid(sid as i64), settings, Views::new(Arc::new(config)), &restored)
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
        let mut peer = before.filter(|_| number != 3).unwrap_or_else(|| new(FOLLOWER, &packets));
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
        // A learner of ours says besides what it knows of leaders of ours.
        for hello in sent.iter_mut().filter(|it| it[3] == 11) {
            assert_eq!(hello[24..28], crate::wire::BATCHING_PROTOCOL.to_be_bytes());
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

/// Our leader, on a disk that is at once as far, whose learners answer pings at once.
struct Lead {
    peer: Peer,
    /// Links that get what followers get.
    joined: Vec<Link>,
    /// The captured follower's, and what was sent there beside pings.
    watched: Link,
    sent: Vec<Vec<u8>>,
}

/// The other follower, which is not captured.
const OTHER: Link = Link(100);

/// `sync`, as a request.
const SYNC: i32 = 9;

impl Lead {
    fn new(packets: &[Said]) -> Self {
        let (joined, sent) = (Vec::new(), Vec::new());
        let mut lead = Self { peer: new(LEADER, packets), joined, watched: Link(0), sent };
        lead.step(Input::Elected { leader: Sid(3) });
        lead
    }

    fn step(&mut self, input: Input<'_>) {
        let (mut out, mut inputs) = (Vec::new(), Vec::new());
        self.peer.step(Moment::ZERO, input, &mut out);
        for it in out {
            match it {
                Output::Send { to, packet } => {
                    let links = match to {
                        To::Link(link) => Vec::from([link]),
                        To::Group(Group::Followers) => self.joined.clone(),
                        To::Group(Group::Observers) => Vec::new(),
                    };
                    let said = self.peer.message(&packet);
                    if let Message::Ping { zxid, .. } = said {
                        let message = Message::Ping { zxid, touches: None };
                        inputs.extend(links.iter().map(|&link| Input::Packet { link, message }));
                    } else if links.contains(&self.watched) {
                        let mut bytes = Vec::new();
                        said.encode(&mut bytes);
                        self.sent.push(bytes);
                    }
                }
                Output::Join { link, .. } => self.joined.push(link),
                Output::Write { write, .. } => inputs.push(Input::Durable { write }),
                // Nothing but memory is known of its log.
                Output::AskLog { link, .. } => inputs.push(Input::LogFloor { link, floor: None }),
                Output::SendSnapshot { link, .. } => {
                    inputs.push(Input::SnapshotChosen { link, zxid: self.peer.committed() });
                }
                Output::StreamSnapshot { link } => inputs.push(Input::SnapshotSent { link }),
                Output::Close { link, why } => panic!("{link:?} is closed: {why:?}"),
                _ => {}
            }
        }
        for input in inputs {
            self.step(input);
        }
    }

    fn hear(&mut self, link: Link, message: Message<'_>) {
        self.step(Input::Packet { link, message });
        if let Message::Request { op: SYNC, .. } = message {
            self.step(Input::Sync { from: SyncFrom::Learner(link) });
        }
    }

    /// The other follower comes, and has the history at once.
    fn joined_by_the_other(&mut self) {
        self.step(Input::Accepted { link: OTHER });
        let info =
            LearnerInfo { sid: Some(Sid(2)), protocol: PROTOCOL_VERSION, config_version: Some(0) };
        self.hear(OTHER, Message::FollowerInfo { accepted: Epoch::ZERO, info });
        self.hear(OTHER, Message::AckEpoch { zxid: Zxid::ZERO, current: Some(Epoch::ZERO) });
        self.hear(OTHER, Message::Ack { zxid: Epoch(1).zxid() });
    }

    /// A transaction like this one while the captured follower is away.
    fn propose_alone(&mut self, mut txn: Vec<u8>) {
        let zxid = self.peer.next_zxid().expect("it leads");
        // Behind the session and the request's number.
        txn[12..20].copy_from_slice(&zxid.0.to_be_bytes());
        self.step(Input::Propose { zxid, txn: &txn });
        self.hear(OTHER, Message::Ack { zxid });
        assert_eq!(self.peer.committed(), zxid);
    }

    /// What the other leader has said, and we are to say now, for reasons that are not in this conversation.
    fn be_moved_to_say(&mut self, expected: &Message<'_>) {
        match *expected {
            Message::Proposal { zxid, txn } => {
                assert_eq!(self.peer.next_zxid(), Some(zxid));
                self.step(Input::Propose { zxid, txn });
            }
            // The other follower was faster.
            Message::Commit { zxid } => self.hear(OTHER, Message::Ack { zxid }),
            _ => {}
        }
    }
}

#[test]
fn a_leader_answers_a_java_follower_as_a_java_leader_has() {
    let mut lead: Option<Lead> = None;
    for (number, (_, said)) in (1..).zip(conversations(BOTH_JAVA, "learner")) {
        let packets = packets(&said);
        let lead = lead.get_or_insert_with(|| Lead::new(&packets));
        // Each time it comes back it has missed one; of the first the bytes are known.
        let missed = packets.iter().find_map(|(_, bytes)| match message(bytes) {
            Message::Proposal { txn, .. } => Some(txn.to_vec()),
            _ => None,
        });
        if 1 < number {
            lead.propose_alone(missed.expect("a proposal"));
        }
        lead.watched = Link(number);
        lead.step(Input::Accepted { link: Link(number) });
        let mut compared = 0;
        for (who, bytes) in &packets {
            let expected = message(bytes);
            match (who, expected) {
                (_, Message::Ping { touches: None, .. }) if *who == LEADER => continue,
                (&FOLLOWER, heard) => {
                    lead.hear(Link(number), heard);
                    continue;
                }
                _ => {}
            }
            if lead.sent.is_empty() {
                lead.be_moved_to_say(&expected);
            }
            assert!(!lead.sent.is_empty(), "conversation {number}: not said: {expected:?}");
            let sent = lead.sent.remove(0);
            assert_eq!(message(&sent), expected, "conversation {number}");
            assert_eq!(sent, *bytes);
            compared += 1;
            if number == 1 && matches!(expected, Message::UpToDate) {
                lead.joined_by_the_other();
            }
        }
        let rest: Vec<_> = lead.sent.iter().map(|it| std::format!("{:?}", message(it))).collect();
        assert!(rest.is_empty() && 6 < compared, "conversation {number}: also said: {rest:?}");
        lead.joined.retain(|it| *it != Link(number));
        lead.step(Input::Closed { link: Link(number) });
    }
}
