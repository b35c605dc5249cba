//! Requests that the shard answers by itself, and those it refuses.

use engine::auth::{AuthConfig, DigestAlg};
use jute::{AuthPacket, Code, Field as _, Op};

use super::rig::{Rig, Sent, Watch, failed, ok, read_of, request};
use crate::message::ForwardItem;
use crate::shard::{Notice, ShardSettings};

fn auth_packet(scheme: &str, auth: &str) -> Vec<u8> {
    let mut body = Vec::new();
    let (scheme, auth) = (Some(scheme.as_bytes()), Some(auth.as_bytes()));
    AuthPacket { kind: 0, scheme, auth }.write(&mut body);
    body
}

#[test]
fn a_ping_is_answered_with_a_header() {
    let mut rig = Rig::new();
    let conn = rig.connect();
    rig.ask(conn, -2, Op::Ping, &[]);
    assert_eq!(rig.sent(conn), [ok(-2, 0, &[])]);
}

#[test]
fn credentials_are_answered_ahead_of_pending_requests_and_told_to_the_pipeline() {
    let mut rig = Rig::new();
    let conn = rig.connect();
    rig.ask(conn, 1, Op::SetData, &[]);
    rig.ask(conn, -4, Op::Auth, &auth_packet("digest", "user:secret"));
    rig.ask(conn, 2, Op::SetData, &[]);
    assert_eq!(rig.sent(conn), [ok(-4, 0, &[])]);
    let forward = rig.forwarded();
    let [_, ForwardItem::Auth { auth, .. }, ForwardItem::Request { .. }] = &forward.items[..]
    else {
        panic!("{forward:?}")
    };
    assert_eq!(auth.ids.len(), 2);
}

#[test]
fn the_same_credentials_again_are_no_news() {
    let mut rig = Rig::new();
    let conn = rig.connect();
    for _ in 0..2 {
        rig.ask(conn, -4, Op::Auth, &auth_packet("digest", "user:secret"));
    }
    assert_eq!(rig.sent(conn), [ok(-4, 0, &[]), ok(-4, 0, &[])]);
    assert_eq!(rig.forwarded().items.len(), 1);
}

#[test]
fn an_unknown_scheme_is_answered_then_closed() {
    let mut rig = Rig::new();
    let conn = rig.connect();
    rig.ask(conn, -4, Op::Auth, &auth_packet("nobody\n", "x"));
    assert_eq!(rig.sent(conn), [failed(-4, 0, Code::AuthFailed)]);
    assert!(rig.is_closed(conn));
    let [notice] = &rig.notices[..] else { panic!("{:?}", rig.notices) };
    assert!(!notice.to_string().contains('\n'), "a client cannot end a log line");
}

#[test]
fn a_sasl_token_is_answered_with_null() {
    let mut rig = Rig::new();
    let conn = rig.connect();
    rig.ask(conn, 5, Op::Sasl, &[0, 0, 0, 0]);
    assert_eq!(rig.sent(conn), [ok(5, 0, &[0xff; 4])]);
}

#[test]
fn without_an_enforced_scheme_only_credentials_are_taken() {
    let auth = AuthConfig {
        enforced: vec![b"digest".to_vec()],
        digest: Some(DigestAlg::Sha1),
        ..AuthConfig::default()
    };
    let mut rig = Rig::settled(ShardSettings { auth, ..Default::default() });
    let conn = rig.connect();
    rig.ask(conn, -2, Op::Ping, &[]);
    assert_eq!(rig.sent(conn), [failed(-2, 0, Code::SessionClosedRequireAuth)]);
    assert!(rig.is_closed(conn));
    let conn = rig.connect();
    rig.ask(conn, -4, Op::Auth, &auth_packet("digest", "user:secret"));
    rig.ask(conn, -2, Op::Ping, &[]);
    assert_eq!(rig.sent(conn), [ok(-4, 0, &[]), ok(-2, 0, &[])]);
}

#[test]
fn what_nobody_may_ask_for_is_answered_then_closed() {
    for op in [0, 10, 13, 20, 23, -10, -1, -12, 108, i32::MIN, i32::MAX] {
        let mut rig = Rig::new();
        let conn = rig.connect();
        rig.read(conn, &request(3, op, &[0; 32]));
        assert_eq!(rig.sent(conn), [failed(3, -1, Code::Unimplemented)], "{op}");
        assert!(rig.is_closed(conn), "{op}");
        assert!(
            rig.forwarded().items.iter().all(|it| matches!(it, ForwardItem::Gone { .. })),
            "{op}"
        );
    }
}

#[test]
fn an_unknown_op_waits_for_its_turn_and_nothing_behind_it_is_taken() {
    let mut rig = Rig::new();
    let conn = rig.connect();
    rig.ask(conn, 1, Op::SetData, &[]);
    rig.read(conn, &request(2, 99, &[]));
    rig.ask(conn, 3, Op::SetData, &[]);
    assert_eq!(rig.sent(conn), []);
    assert_eq!(rig.answer_all(Code::Ok), 1);
    assert_eq!(rig.sent(conn), [ok(1, 0, &[]), failed(2, -1, Code::Unimplemented)]);
    assert!(rig.is_closed(conn));
}

#[test]
fn an_undecodable_read_is_answered_and_the_connection_lives() {
    let mut rig = Rig::new();
    let conn = rig.connect();
    rig.ask(conn, 1, Op::GetData, &[0x7f, 0xff, 0xff, 0xff]);
    rig.ask(conn, 2, Op::AddWatch, &[]);
    rig.ask(conn, 3, Op::Ping, &[]);
    let expected =
        [failed(1, 0, Code::MarshallingError), failed(2, 0, Code::MarshallingError), ok(3, 0, &[])];
    assert_eq!(rig.sent(conn), expected);
}

#[test]
fn a_record_too_short_for_its_header_ends_the_connection() {
    let mut rig = Rig::new();
    let conn = rig.connect();
    rig.read(conn, &[0, 0, 0, 7, 1, 2, 3, 4, 5, 6, 7]);
    assert!(rig.is_closed(conn));
    assert!(matches!(rig.notices[..], [Notice::Record { .. }]));
}

#[test]
fn what_was_asked_and_answered_is_counted() {
    let mut rig = Rig::new();
    rig.znode("/a", 3);
    let conn = rig.connect();
    rig.ask(conn, 1, Op::GetData, &read_of("/a", Watch::No));
    rig.ask(conn, 2, Op::SetData, &[]);
    rig.now_ms += 7;
    rig.answer_all(Code::Ok);
    assert!(matches!(rig.sent(conn)[..], [Sent::Reply { .. }, Sent::Reply { .. }]));
    let figures = rig.shard.figures();
    assert_eq!((figures.packets_received, figures.packets_sent), (3, 3));
    assert_eq!((figures.latency.count, figures.latency.max), (2, 7));
    assert_eq!((figures.readlatency.summary.count, figures.updatelatency.summary.count), (1, 1));
    let report = rig.shard.report(1_000);
    let [row] = &report.rows[..] else { panic!("{report:?}") };
    let session = row.session.unwrap();
    assert_eq!((row.received, row.sent, session.last_op), (3, 3, Some(Op::SetData)));
    assert_eq!((session.last_cxid, session.last_latency_ms), (2, 7));
    assert_eq!(session.established_ms, 101_000);
    rig.shard.reset_figures();
    rig.shard.reset_connections();
    assert_eq!(rig.shard.figures().packets_received, 0);
    assert_eq!(rig.shard.report(0).rows[0].received, 0);
}

#[test]
fn sessions_heard_of_are_reported_at_most_twice_a_tick_with_the_last_moment() {
    let mut rig = Rig::new();
    let conn = rig.connect();
    let start_ms = rig.now_ms;
    rig.now_ms = start_ms + 2_000;
    rig.ask(conn, -2, Op::Ping, &[]);
    assert_eq!(rig.forwarded().touched, [(super::rig::SESSION, start_ms + 2_000)]);
    for ms in [2_100, 2_200, 2_300] {
        rig.now_ms = start_ms + ms;
        rig.ask(conn, -2, Op::Ping, &[]);
    }
    assert_eq!(rig.forwarded().touched, []);
    let at_ms = rig.shard.next_deadline().unwrap();
    assert_eq!(at_ms, start_ms + 2_100 + 1_500);
    rig.at(at_ms);
    assert_eq!(rig.forwarded().touched, [(super::rig::SESSION, start_ms + 2_300)]);
}

#[test]
fn a_session_heard_of_just_before_its_connection_ends_is_reported_with_that_moment() {
    let mut rig = Rig::new();
    let conn = rig.connect();
    let start_ms = rig.now_ms;
    for ms in [2_000, 2_900] {
        rig.now_ms = start_ms + ms;
        rig.ask(conn, -2, Op::Ping, &[]);
    }
    assert_eq!(rig.forwarded().touched, [(super::rig::SESSION, start_ms + 2_000)]);
    rig.shard.ended(conn);
    assert_eq!(rig.forwarded().touched, [(super::rig::SESSION, start_ms + 2_900)]);
}
