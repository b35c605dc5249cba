//! The first words of a connection.

use jute::{ConnectResponse, Op, Record as _, SessionId};

use super::rig::{PEER, Rig, SESSION, framed, hello, hello_record};
use crate::admission::{AdmissionSettings, Refusal, ThrottleSettings};
use crate::message::{DeliverItem, ForwardItem};
use crate::shard::{Notice, Output, ShardSettings};
use crate::words::{Serving, Whitelist, Word};

fn connected(rig: &mut Rig, record: &[u8]) -> Vec<u8> {
    let conn = rig.accept();
    rig.read(conn, &framed(record));
    let forward = rig.forwarded();
    let [ForwardItem::Connect { conn: asked, session, password, timeout_ms, .. }] =
        &forward.items[..]
    else {
        panic!("{forward:?}")
    };
    assert_eq!((*asked, *session), (conn, SessionId::NONE));
    assert_eq!(forward.body(password), [7; 16]);
    let timeout_ms = *timeout_ms;
    rig.deliver(vec![DeliverItem::Connected { conn, session: SESSION, timeout_ms }], &[]);
    rig.take(conn)
}

#[test]
fn the_answer_has_the_session_its_password_and_the_timeout() {
    let bytes = connected(&mut Rig::new(), &hello_record(SessionId::NONE, 0));
    assert_eq!(bytes[..4], [0, 0, 0, 37]);
    let response = ConnectResponse::decode(&bytes[4..]).unwrap();
    assert_eq!((response.session, response.timeout_ms), (SESSION, 10_000));
    assert_eq!(response.password, Some(jute::password(SESSION).as_slice()));
    assert_eq!(response.read_only, Some(false));
}

#[test]
fn a_client_without_the_read_only_byte_is_answered_without_it() {
    let record = hello_record(SessionId::NONE, 0);
    let bytes = connected(&mut Rig::new(), &record[..44]);
    assert_eq!(bytes.len(), 4 + 36);
}

#[test]
fn without_a_leader_only_those_who_read_only_are_let_in_and_told_so() {
    let mut rig = Rig::new();
    rig.deliver(vec![DeliverItem::Serve(Serving::ReadOnly)], &[]);
    let record = hello_record(SessionId::NONE, 0);
    for writes in [&record[..], &record[..44]] {
        let conn = rig.accept();
        rig.read(conn, &framed(writes));
        assert!(rig.forwarded().items.iter().all(|it| !matches!(it, ForwardItem::Connect { .. })));
        assert_eq!(rig.closed, [conn]);
        rig.closed.clear();
    }
    let mut reads = record;
    *reads.last_mut().unwrap() = 1;
    let bytes = connected(&mut rig, &reads);
    let response = ConnectResponse::decode(&bytes[4..]).unwrap();
    assert_eq!((response.session, response.read_only), (SESSION, Some(true)));
}

#[test]
fn the_timeout_is_kept_between_its_bounds() {
    for (asked, given) in [(0, 6_000), (-5, 6_000), (7_000, 7_000), (1 << 30, 60_000)] {
        let mut rig = Rig::new();
        let mut record = hello_record(SessionId::NONE, 0);
        record[12..16].copy_from_slice(&i32::to_be_bytes(asked));
        let bytes = connected(&mut rig, &record);
        assert_eq!(bytes[8..12], i32::to_be_bytes(given), "{asked}");
    }
}

#[test]
fn a_refused_session_is_answered_with_zeros_then_closed() {
    let mut rig = Rig::new();
    let conn = rig.accept();
    rig.read(conn, &hello(SESSION, 0));
    rig.deliver(vec![DeliverItem::Refused { conn }], &[]);
    assert!(!rig.is_closed(conn));
    let bytes = rig.take(conn);
    let mut expected = vec![0; 41];
    expected[3] = 37;
    expected[23] = 16;
    assert_eq!(bytes, expected);
    assert!(rig.is_closed(conn));
}

#[test]
fn a_client_that_has_seen_more_is_closed_without_an_answer() {
    let mut rig = Rig::new();
    rig.znode("/a", 5);
    let conn = rig.accept();
    rig.read(conn, &hello(SessionId::NONE, 6));
    assert!(rig.is_closed(conn));
    assert!(matches!(rig.notices[..], [Notice::Ahead { .. }]));
    assert!(rig.forwarded().items.is_empty());
    let conn = rig.accept();
    rig.read(conn, &hello(SessionId::NONE, 5));
    assert!(!rig.is_closed(conn));
}

#[test]
fn nothing_is_parsed_until_the_session_is_there() {
    let mut rig = Rig::new();
    let conn = rig.accept();
    let mut bytes = hello(SessionId::NONE, 0);
    bytes.extend(super::rig::request(-2, Op::Ping.number(), &[]));
    rig.read(conn, &bytes);
    assert!(!rig.shard.wants_read(conn));
    assert_eq!(rig.take(conn), []);
    rig.deliver(vec![DeliverItem::Connected { conn, session: SESSION, timeout_ms: 9_000 }], &[]);
    assert!(matches!(rig.others[..], [Output::Resume { .. }]));
    assert!(rig.shard.wants_read(conn));
    let answer = rig.take(conn);
    assert_eq!(super::rig::frames(&answer[41..]), [super::rig::ok(-2, 0, &[])]);
}

#[test]
fn a_handshake_that_waits_is_closed_when_the_role_of_its_server_ends() {
    let mut rig = Rig::new();
    let conn = rig.accept();
    rig.read(conn, &hello(SessionId::NONE, 0));
    assert!(!rig.is_closed(conn));
    rig.deliver(vec![DeliverItem::Stop], &[]);
    assert!(rig.is_closed(conn));
    assert_eq!(rig.take(conn), []);
}

#[test]
fn lengths_that_no_handshake_has_end_the_connection_at_once() {
    for bytes in [[0xff; 4], *b"GET ", [0, 0, 0x20, 0]] {
        let mut rig = Rig::new();
        let conn = rig.accept();
        rig.read(conn, &bytes);
        assert!(rig.is_closed(conn), "{bytes:?}");
        assert!(matches!(rig.notices[..], [Notice::Length { .. }]));
    }
}

#[test]
fn a_handshake_that_is_too_short_ends_the_connection() {
    let mut rig = Rig::new();
    let conn = rig.accept();
    rig.read(conn, &framed(&[0; 20]));
    assert!(rig.is_closed(conn));
    assert!(matches!(rig.notices[..], [Notice::Record { .. }]));
}

#[test]
fn a_connection_that_says_nothing_ends_after_ten_seconds() {
    let mut rig = Rig::new();
    let conn = rig.accept();
    let start_ms = rig.now_ms;
    rig.at(start_ms + 9_999);
    assert!(!rig.is_closed(conn));
    rig.at(start_ms + 10_000 + 3_000);
    assert!(rig.is_closed(conn));
    assert!(rig.forwarded().items.is_empty());
}

#[test]
fn a_session_in_silence_loses_its_connection_after_its_timeout() {
    let mut rig = Rig::new();
    let conn = rig.connect();
    let start_ms = rig.now_ms;
    rig.now_ms += 8_000;
    rig.ask(conn, -2, Op::Ping, &[]);
    rig.sent(conn);
    rig.at(start_ms + 17_000);
    assert!(!rig.is_closed(conn));
    rig.at(start_ms + 18_000 + 3_000);
    assert!(rig.is_closed(conn));
    let gone = rig.forwarded();
    assert!(matches!(gone.items[..], [ForwardItem::Gone { conn: told }] if told == conn));
}

#[test]
fn a_deadline_is_named_for_as_long_as_there_is_a_connection() {
    let mut rig = Rig::new();
    assert_eq!(rig.shard.next_deadline(), None);
    let conn = rig.connect();
    let at_ms = rig.shard.next_deadline().unwrap();
    assert!(rig.now_ms < at_ms && at_ms <= rig.now_ms + 13_000);
    rig.shard.ended(conn);
    rig.at(rig.now_ms + 60_000);
    assert_eq!(rig.shard.next_deadline(), None);
}

#[test]
fn words_in_the_whitelist_are_handed_out_and_answered_then_closed() {
    let words = Whitelist::named(["ruok", "stmk"]);
    let mut rig = Rig::settled(ShardSettings { words, ..Default::default() });
    let conn = rig.accept();
    rig.read(conn, b"ru");
    assert!(rig.others.is_empty());
    rig.read(conn, b"ok\n");
    assert!(matches!(rig.others[..], [Output::Word { word: Word::Ruok, .. }]));
    rig.shard.answer(conn, b"imok");
    assert_eq!(rig.take(conn), b"imok");
    assert!(rig.is_closed(conn));
    let conn = rig.accept();
    rig.read(conn, b"stmk\0\0\0\0\0\0\x01\x32");
    let Some(Output::Word { argument, .. }) = rig.others.pop() else { panic!() };
    assert_eq!(i64::from_be_bytes(argument), 306);
}

#[test]
fn a_trace_mask_that_does_not_come_with_its_word_ends_the_connection() {
    let words = Whitelist::named(["stmk"]);
    for sent in [b"stmk".as_slice(), b"stmk\0\0\0\0\0\0\x01"] {
        let mut rig = Rig::settled(ShardSettings { words, ..Default::default() });
        let conn = rig.accept();
        rig.read(conn, sent);
        assert_eq!((rig.take(conn), rig.is_closed(conn)), (Vec::new(), true));
        assert!(rig.others.is_empty());
    }
}

#[test]
fn a_word_outside_the_whitelist_is_told_so() {
    let mut rig = Rig::new();
    let conn = rig.accept();
    rig.read(conn, b"ruok");
    assert_eq!(rig.take(conn), b"ruok is not executed because it is not in the whitelist.\n");
    assert!(rig.is_closed(conn));
}

#[test]
fn too_many_connections_of_an_address_are_refused_and_counted() {
    let admission = AdmissionSettings { cnxns_per_address_max: 2, ..Default::default() };
    let mut rig = Rig::with(ShardSettings::default(), admission);
    let first = rig.accept();
    rig.accept();
    let refused = rig.shard.accept(rig.now_ms, PEER.into());
    assert!(matches!(refused, Err(Refusal::Address { count: 2, .. })));
    assert_eq!(rig.shard.figures().connection_rejected, 1);
    rig.shard.ended(first);
    rig.accept();
}

#[test]
fn a_throttled_handshake_is_closed_without_an_answer() {
    let throttle = ThrottleSettings { tokens: 1, fill_count: 0, ..Default::default() };
    let admission = AdmissionSettings { throttle, ..Default::default() };
    let mut rig = Rig::with(ShardSettings::default(), admission);
    rig.connect();
    let conn = rig.accept();
    rig.read(conn, &hello(SessionId::NONE, 0));
    assert!(rig.is_closed(conn));
    assert_eq!(rig.take(conn), []);
}
