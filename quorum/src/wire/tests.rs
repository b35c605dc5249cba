//! The records against bytes that Java servers sent, and against bytes that nobody should send.

use alloc::string::String;
use alloc::vec::Vec;
use std::vec;

use jute::{SessionId, Zxid};

use super::*;
use crate::{Address, Epoch, QuorumConfig, Sid};

const LEN_MAX: usize = 1_000;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: String = hex.split_whitespace().collect();
    let pairs = (0..digits.len()).step_by(2);
    pairs.map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

/// The packet that `hex` is, which must take all of it and encode to it again.
fn same(hex: &str, message: Message<'_>) {
    let wire = bytes(hex);
    let (packet, len) = QuorumPacket::split(&wire, LEN_MAX).unwrap().unwrap();
    assert_eq!(len, wire.len());
    assert_eq!(Message::read(&packet).unwrap(), message);
    let mut again = Vec::new();
    message.encode(&mut again);
    assert_eq!(again, wire, "{message:?}");
}

/// What a learner of the reference says.
fn reference(sid: Sid, config_version: i64) -> LearnerInfo {
    LearnerInfo::new(sid, PROTOCOL_VERSION, config_version)
}

#[test]
fn packets_of_a_java_server_are_read_and_written_byte_for_byte() {
    same(
        "0000000b 0000000000000000 00000014 0000000000000001 00010000 0000000000000000 ffffffff",
        Message::FollowerInfo { accepted: Epoch(0), info: reference(Sid(1), 0) },
    );
    same(
        "00000011 0000000200000000 00000004 00010000 ffffffff",
        Message::LeaderInfo { epoch: Epoch(2), protocol: PROTOCOL_VERSION },
    );
    same(
        "00000012 0000000000000000 00000004 00000000 ffffffff",
        Message::AckEpoch { zxid: Zxid(0), current: Some(Epoch(0)) },
    );
    same(
        "0000000f 0000000100000019 ffffffff ffffffff",
        Message::Snap { zxid: Zxid(0x1_0000_0019) },
    );
    same("00000003 0000000200000000 ffffffff ffffffff", Message::Ack { zxid: Epoch(2).zxid() });
    same("0000000c ffffffffffffffff ffffffff ffffffff", Message::UpToDate);
    let zxid = Epoch(2).zxid();
    same("00000005 0000000200000000 ffffffff ffffffff", Message::Ping { zxid, touches: None });
    same(
        "00000005 0000000200000000 00000000 ffffffff",
        Message::Ping { zxid, touches: Some(Touches::EMPTY) },
    );
}

#[test]
fn every_other_message_reads_back_as_it_was_written() {
    let mut auth = Vec::new();
    let id = Id { scheme: Some(b"ip"), id: Some(b"127.0.0.1".as_slice()) };
    IdList::write_all([id].into_iter(), &mut auth);
    let mut touched = Vec::new();
    let touch = Touch { session: SessionId(7), timeout_ms: 4_000 };
    Touches::push(&mut touched, touch);
    let (zxid, txn) = (Zxid(0x2_0000_0003), b"a txn".as_slice());
    let session = SessionId(0x100_0000_0000_0007);
    let authinfo = IdList::decode(&auth).unwrap();
    assert_eq!(authinfo.iter().collect::<Vec<_>>(), [id]);
    let messages = [
        Message::Request { session, cxid: 3, op: 1, body: b"body", authinfo },
        Message::Request { session, cxid: 0, op: -10, body: b"", authinfo: IdList::NULL },
        Message::Proposal { zxid, txn },
        Message::Commit { zxid },
        Message::Ping { zxid, touches: Touches::decode(&touched) },
        Message::Revalidate(touch),
        Message::Revalidated { session, valid: true },
        Message::Sync,
        Message::Inform { zxid, txn },
        Message::CommitAndActivate { zxid, designated: Sid(3) },
        Message::NewLeader { epoch: Epoch(2), config: Some(b"version=0") },
        Message::NewLeader { epoch: Epoch(2), config: None },
        Message::Diff { zxid },
        Message::Trunc { zxid },
        Message::ObserverInfo {
            accepted: Epoch(1),
            info: LearnerInfo::new(Sid(4), BATCHING_PROTOCOL, 9),
        },
        Message::AckEpoch { zxid, current: None },
        Message::InformAndActivate { zxid, designated: Sid(1), txn },
        Message::Other { kind: 77 },
    ];
    for message in messages {
        let mut wire = Vec::new();
        message.encode(&mut wire);
        let (packet, len) = QuorumPacket::split(&wire, LEN_MAX).unwrap().unwrap();
        assert_eq!((len, Message::read(&packet).unwrap()), (wire.len(), message));
        for cut in 0..wire.len() {
            assert_eq!(QuorumPacket::split(&wire[..cut], LEN_MAX).unwrap(), None);
        }
    }
}

#[test]
fn a_packet_longer_than_allowed_is_refused_before_its_bytes_come() {
    let long = bytes("00000002 0000000000000001 000003e9");
    let err = PacketError::TooLong { len: 1_001, len_max: LEN_MAX };
    assert_eq!(QuorumPacket::split(&long, LEN_MAX), Err(err));
    let many = bytes("00000001 0000000000000001 ffffffff 7fffffff 000003e8");
    let err = PacketError::TooLong { len: 1_000, len_max: LEN_MAX - 4 };
    assert_eq!(QuorumPacket::split(&many, LEN_MAX), Err(err));
    let negative = bytes("00000002 0000000000000001 fffffffe");
    assert!(QuorumPacket::split(&negative, LEN_MAX).is_err());
}

#[test]
fn a_stream_yields_the_same_packets_however_it_is_cut() {
    let mut wire = Vec::new();
    let zxids: Vec<_> = (1..9).map(Zxid).collect();
    for &zxid in &zxids {
        Message::Proposal { zxid, txn: &[7; 13] }.encode(&mut wire);
    }
    for size in 1..wire.len() {
        let mut stream = PacketStream::new(LEN_MAX);
        let mut seen = Vec::new();
        for part in wire.chunks(size) {
            stream.feed(part);
            while let Some(packet) = stream.next_packet().unwrap() {
                seen.push(packet.zxid);
            }
        }
        assert_eq!(seen, zxids);
        assert!(stream.raw().is_empty());
    }
}

#[test]
fn the_state_behind_snap_is_taken_raw_and_packets_go_on_behind_it() {
    let mut wire = Vec::new();
    Message::Snap { zxid: Zxid(5) }.encode(&mut wire);
    wire.extend(b"the state");
    Message::UpToDate.encode(&mut wire);
    let mut stream = PacketStream::new(LEN_MAX);
    stream.feed(&wire);
    assert_eq!(stream.next_packet().unwrap().unwrap().kind, PacketKind::Snap);
    assert!(stream.raw().starts_with(b"the state"));
    stream.take_raw(9);
    assert_eq!(stream.next_packet().unwrap().unwrap().kind, PacketKind::UpToDate);
}

#[test]
fn every_kind_has_the_number_it_is_read_by() {
    for number in -1..30 {
        assert_eq!(PacketKind::of(number).number(), number);
    }
    assert_eq!(PacketKind::of(19), PacketKind::InformAndActivate);
    assert_eq!(PacketKind::of(20), PacketKind::Other(20));
}

#[test]
fn a_learner_may_say_little_of_itself() {
    let all = bytes("0000000000000004 00010000 0000000000000009");
    let said = |len: usize| LearnerInfo::decode(Some(&all[..len]));
    let sid = Some(Sid(4));
    assert_eq!(said(20), reference(Sid(4), 9));
    assert_eq!(said(12), LearnerInfo { sid, protocol: PROTOCOL_VERSION, config_version: None });
    assert_eq!(said(8), LearnerInfo { sid, protocol: 1, config_version: None });
    let nothing = LearnerInfo { sid: None, protocol: 1, config_version: None };
    assert_eq!(LearnerInfo::decode(None), nothing);
}

#[test]
fn the_first_message_of_a_java_server_is_read_and_written_byte_for_byte() {
    let wire = bytes("ffffffffffff0000 0000000000000001 0000000f 3132372e302e302e313a3133383831");
    let message = Initial { sid: Sid(1), addresses: vec![Address::new("127.0.0.1", 13_881)] };
    assert_eq!(Initial::split(&wire).unwrap().unwrap(), (message.clone(), wire.len()));
    let mut again = Vec::new();
    message.encode(&mut again);
    assert_eq!(again, wire);
    for cut in 0..wire.len() {
        assert_eq!(Initial::split(&wire[..cut]).unwrap(), None);
    }
}

#[test]
fn several_addresses_go_in_the_second_form_and_wildcards_are_dropped() {
    let addresses = vec![Address::new("10.0.0.1", 3_888), Address::new("fd00::1", 3_888)];
    let message = Initial { sid: Sid(2), addresses };
    let mut wire = Vec::new();
    message.encode(&mut wire);
    assert!(wire.starts_with(&bytes("ffffffffffff0001")));
    assert!(wire.ends_with(b"10.0.0.1:3888|[fd00::1]:3888"));
    assert_eq!(Initial::split(&wire).unwrap().unwrap().0, message);
    let wild = Initial { sid: Sid(2), addresses: vec![Address::new("0.0.0.0", 3_888)] };
    wire.clear();
    wild.encode(&mut wire);
    assert_eq!(Initial::split(&wire).unwrap().unwrap().0.addresses, []);
}

#[test]
fn a_peer_from_before_3_5_sends_its_bare_id() {
    let (message, len) = Initial::split(&bytes("0000000000000003 0000")).unwrap().unwrap();
    assert_eq!((message.sid, message.addresses, len), (Sid(3), vec![], 8));
}

#[test]
fn a_first_message_that_is_none_is_refused() {
    let bad = bytes("fffffffffffeffff");
    assert_eq!(Initial::split(&bad), Err(InitialError::Version { version: -65_537 }));
    for len in ["00000000", "ffffffff", "00000801"] {
        let mut wire = bytes("ffffffffffff0000 0000000000000001");
        wire.extend(bytes(len));
        assert!(matches!(Initial::split(&wire), Err(InitialError::Length { .. })), "{len}");
    }
    let mut wire = bytes("ffffffffffff0000 0000000000000001 00000002");
    wire.extend(b"x:");
    assert_eq!(Initial::split(&wire), Err(InitialError::Address { len: 2 }));
}

const CONFIG: &str = "server.1=127.0.0.1:22881:23881:participant\nserver.2=127.0.0.1:12882:13882:participant\nversion=0";

fn vote(config: Option<&[u8]>) -> Notification<'_> {
    Notification {
        state: ServerState::Looking,
        leader: Sid(2),
        zxid: Zxid(0x1_0000_0019),
        election_epoch: 3,
        peer_epoch: Epoch(1),
        version: Notification::VERSION,
        config,
    }
}

#[test]
fn a_notification_with_two_members_has_the_length_that_java_servers_send() {
    let mut wire = Vec::new();
    vote(Some(CONFIG.as_bytes())).encode_frame(&mut wire);
    assert_eq!(CONFIG.len(), 0x5f);
    assert!(wire.starts_with(&bytes("0000008b 00000000 0000000000000002 0000000100000019")));
    let mut stream = FrameStream::new();
    for &byte in &wire[..wire.len() - 1] {
        stream.feed(&[byte]);
        assert_eq!(stream.next_frame(), Ok(None));
    }
    stream.feed(&wire[wire.len() - 1..]);
    let body = stream.next_frame().unwrap().unwrap();
    let read = Notification::decode(body).unwrap();
    assert_eq!(read, vote(Some(CONFIG.as_bytes())));
    let config = QuorumConfig::parse(core::str::from_utf8(read.config.unwrap()).unwrap()).unwrap();
    assert_eq!(std::string::ToString::to_string(&config), CONFIG);
}

#[test]
fn older_forms_lack_the_epoch_the_form_or_the_configuration() {
    let mut wire = Vec::new();
    vote(Some(b"")).encode_frame(&mut wire);
    let body = &wire[4..];
    let of_28 = Notification::decode(&body[..28]).unwrap();
    assert_eq!(of_28, Notification { version: 0, ..vote(None) });
    let of_40 = Notification::decode(&body[..40]).unwrap();
    assert_eq!(of_40, Notification { version: 0, ..vote(None) });
    let mut first = body[..44].to_vec();
    first[39] = 1;
    assert_eq!(Notification::decode(&first).unwrap(), Notification { version: 1, ..vote(None) });
}

#[test]
fn a_notification_that_is_none_is_dropped() {
    let mut wire = Vec::new();
    vote(Some(b"version=0")).encode_frame(&mut wire);
    let body = wire.split_off(4);
    for len in (0..body.len()).filter(|it| ![28, 40].contains(it)) {
        assert!(Notification::decode(&body[..len]).is_err(), "{len} bytes");
    }
    let mut state = body.clone();
    state[3] = 4;
    assert_eq!(Notification::decode(&state), Err(NotificationError::State { state: 4 }));
    let mut config = body;
    config[40] = 0x80;
    assert!(matches!(Notification::decode(&config), Err(NotificationError::Config { .. })));
}

#[test]
fn a_frame_of_no_bytes_or_too_many_closes_the_connection() {
    for (hex, len) in [("00000000", 0), ("ffffffff", -1), ("00080001", 524_289)] {
        let mut stream = FrameStream::new();
        stream.feed(&bytes(hex));
        assert_eq!(stream.next_frame(), Err(NotificationError::Frame { len }));
    }
}
