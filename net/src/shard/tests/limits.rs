//! Bounds: on length, on number, on memory.

use jute::{Code, Op};

use super::rig::{Rig, Sent, Watch, failed, framed, ok, read_of, request};
use crate::message::DeliverItem;
use crate::shard::{Fate, Notice, Output, ShardSettings};

fn small() -> ShardSettings {
    ShardSettings {
        request_len_max: 1_000,
        skip_len_max: 16_000,
        set_watches_len_max: 64_000,
        ..Default::default()
    }
}

fn oversize(len: usize, op: Op) -> Vec<u8> {
    let mut body = vec![b'x'; len - 8];
    body[..10].copy_from_slice(b"\0\0\0\x06/a\nb\x1b/");
    request(9, op.number(), &body)
}

#[test]
fn an_oversize_request_is_skipped_and_answered_on_its_own_xid() {
    let mut rig = Rig::settled(small());
    rig.znode("/a", 3);
    let conn = rig.connect();
    let mut bytes = oversize(5_000, Op::SetData);
    bytes.extend(request(10, Op::GetData.number(), &read_of("/a", Watch::No)));
    for piece in bytes.chunks(700) {
        rig.read(conn, piece);
    }
    assert_eq!(rig.sent(conn), [failed(9, 3, Code::BadArguments), ok(10, 3, b"data")]);
    assert!(rig.forwarded().items.is_empty());
    let [notice] = &rig.notices[..] else { panic!("{:?}", rig.notices) };
    let Notice::Oversize { len: 5_000, op: Some(Op::SetData), fate: Fate::Answered, .. } = notice
    else {
        panic!("{notice:?}")
    };
    let line = notice.to_string();
    assert!(line.contains("10.1.2.3:4567") && line.contains("/a\\\\nb"), "{line}");
}

#[test]
fn an_oversize_request_keeps_its_place_behind_a_write() {
    let mut rig = Rig::settled(small());
    let conn = rig.connect();
    rig.ask(conn, 8, Op::SetData, &[]);
    rig.read(conn, &oversize(5_000, Op::Create));
    assert_eq!(rig.sent(conn), []);
    rig.answer_all(Code::Ok);
    assert_eq!(rig.sent(conn), [ok(8, 0, &[]), failed(9, 0, Code::BadArguments)]);
}

#[test]
fn while_an_oversize_request_is_skipped_nothing_of_it_is_kept() {
    let mut rig = Rig::settled(small());
    let conn = rig.connect();
    let bytes = oversize(16_000, Op::SetData);
    rig.read(conn, &bytes[..8_000]);
    rig.sent(conn);
    assert_eq!(rig.shard.gauges().buffered_bytes, 0);
}

#[test]
fn a_request_too_long_to_skip_ends_the_connection() {
    let mut rig = Rig::settled(small());
    let conn = rig.connect();
    rig.read(conn, &oversize(16_001, Op::SetData)[..300]);
    assert!(rig.is_closed(conn));
    assert!(matches!(rig.notices[..], [Notice::Oversize { fate: Fate::Closed, .. }]));
}

#[test]
fn a_negative_length_ends_the_connection() {
    let mut rig = Rig::new();
    let conn = rig.connect();
    rig.read(conn, &(-1_i32).to_be_bytes());
    assert!(rig.is_closed(conn));
    assert!(matches!(rig.notices[..], [Notice::Length { len: -1, .. }]));
}

#[test]
fn a_request_of_exactly_the_limit_is_taken() {
    let mut rig = Rig::settled(small());
    let conn = rig.connect();
    rig.read(conn, &oversize(1_000, Op::SetData));
    assert_eq!(rig.answer_all(Code::Ok), 1);
}

#[test]
fn set_watches_may_be_longer_than_other_requests() {
    let mut rig = Rig::settled(small());
    let conn = rig.connect();
    let mut body = vec![0; 8];
    body.extend(100_i32.to_be_bytes());
    for number in 0..100 {
        let path = format!("/watched/{number:030}");
        body.extend((path.len() as i32).to_be_bytes());
        body.extend(path.as_bytes());
    }
    body.extend([0; 8]);
    assert!(1_000 < body.len());
    rig.ask(conn, -8, Op::SetWatches, &body);
    let sent = rig.sent(conn);
    // Nothing is there, so all hundred are told that it was deleted.
    assert_eq!(sent.len(), 101);
    assert_eq!(sent.last(), Some(&ok(-8, 0, &[])));
}

#[test]
fn over_the_outstanding_limit_connections_with_requests_wait_and_others_do_not() {
    let settings = ShardSettings { outstanding_max: 2, ..Default::default() };
    let mut rig = Rig::settled(settings);
    let (busy, idle) = (rig.connect(), rig.connect());
    let mut bytes = Vec::new();
    for xid in 1..=4 {
        bytes.extend(request(xid, Op::SetData.number(), &[]));
    }
    rig.read(busy, &bytes);
    assert_eq!(rig.shard.gauges().outstanding, 2);
    assert!(!rig.shard.wants_read(busy));
    assert!(rig.shard.wants_read(idle));
    rig.ask(idle, -2, Op::Ping, &[]);
    assert_eq!(rig.sent(idle), [ok(-2, 0, &[])]);
    // The answers let the rest in, without a byte read.
    assert_eq!(rig.answer_all(Code::Ok), 2);
    assert_eq!(rig.shard.gauges().outstanding, 2);
    assert!(!rig.others.iter().any(|it| matches!(it, Output::Resume { conn } if *conn == busy)));
    rig.answer_all(Code::Ok);
    assert!(rig.others.iter().any(|it| matches!(it, Output::Resume { conn } if *conn == busy)));
    assert_eq!(rig.sent(busy).len(), 4);
}

#[test]
fn a_connection_that_we_let_wait_is_not_taken_for_silent() {
    let mut rig = Rig::new();
    let conn = rig.connect();
    rig.ask(conn, 1, Op::SetData, &[]);
    let start_ms = rig.now_ms;
    for second in 1..60 {
        rig.at(start_ms + second * 1_000);
    }
    assert!(!rig.is_closed(conn));
    rig.answer_all(Code::Ok);
    assert_eq!(rig.sent(conn), [ok(1, 0, &[])]);
}

#[test]
fn a_client_that_does_not_read_is_not_read_and_goes_on_when_it_reads() {
    let settings = ShardSettings { unsent_len_high: 200, ..Default::default() };
    let mut rig = Rig::settled(settings);
    rig.znode("/a", 3);
    let conn = rig.connect();
    let mut bytes = Vec::new();
    for xid in 1..=100 {
        bytes.extend(request(xid, Op::GetData.number(), &read_of("/a", Watch::No)));
    }
    rig.read(conn, &bytes);
    assert!(rig.shard.unsent(conn).len() < 300);
    assert!(!rig.shard.wants_read(conn));
    let mut got = Vec::new();
    while got.len() < 100 {
        let more = rig.sent(conn);
        assert!(!more.is_empty());
        got.extend(more);
    }
    let expected: Vec<Sent> = (1..=100).map(|xid| ok(xid, 3, b"data")).collect();
    assert_eq!(got, expected);
    assert!(rig.shard.wants_read(conn));
    assert_eq!(rig.shard.gauges().buffered_bytes, 0);
}

#[test]
fn a_client_that_lets_replies_pile_up_is_cut_off() {
    let settings = ShardSettings { unsent_len_max: 300, ..Default::default() };
    let mut rig = Rig::settled(settings);
    let conn = rig.connect();
    rig.ask(conn, 1, Op::SetData, &[7; 400]);
    rig.answer_all(Code::Ok);
    assert!(rig.is_closed(conn));
    assert!(matches!(rig.notices[..], [Notice::Deaf { .. }]));
    assert_eq!(rig.shard.gauges().buffered_bytes, 0);
}

#[test]
fn when_buffers_hold_twice_their_bound_the_largest_is_cut_off() {
    let settings = ShardSettings { buffered_bytes_max: 1_000, ..Default::default() };
    let mut rig = Rig::settled(settings);
    let (small, large) = (rig.connect(), rig.connect());
    rig.read(small, &framed(&[0; 900])[..800]);
    rig.read(large, &framed(&[0; 1_900])[..1_500]);
    assert!(rig.is_closed(large));
    assert!(!rig.is_closed(small));
    assert_eq!(rig.shard.gauges().buffered_bytes, 800);
}

#[test]
fn one_watch_too_many_is_answered_quota_exceeded() {
    let settings = ShardSettings { watches_max: 2, ..Default::default() };
    let mut rig = Rig::settled(settings);
    rig.znode("/a", 3);
    let conn = rig.connect();
    for (xid, path) in [(1, "/a"), (2, "/b"), (3, "/c"), (4, "/a")] {
        rig.ask(conn, xid, Op::Exists, &read_of(path, Watch::Yes));
    }
    let codes: Vec<i32> = rig
        .sent(conn)
        .iter()
        .map(|sent| match sent {
            Sent::Reply { code, .. } => *code,
            Sent::Event { .. } => panic!(),
        })
        .collect();
    assert_eq!(codes, [0, -101, Code::QuotaExceeded.number(), 0]);
}

#[test]
fn a_connection_that_ends_leaves_nothing_behind() {
    let mut rig = Rig::new();
    rig.znode("/a", 3);
    for _ in 0..1_000 {
        let conn = rig.connect();
        rig.ask(conn, 1, Op::GetData, &read_of("/a", Watch::Yes));
        rig.ask(conn, 2, Op::SetData, &[1; 100]);
        rig.read(conn, &[0, 0, 1, 0, 5, 5]);
        rig.shard.ended(conn);
        rig.forwarded();
    }
    let gauges = rig.shard.gauges();
    assert_eq!((gauges.connections, gauges.watches, gauges.outstanding), (0, 0, 0));
    assert_eq!(gauges.buffered_bytes, 0);
    rig.deliver(Vec::<DeliverItem>::new(), &[]);
}

#[test]
fn what_a_pipeline_that_stands_still_has_not_taken_is_bounded() {
    let settings = ShardSettings { in_flight_bytes_max: 10_000, ..Default::default() };
    let mut rig = Rig::settled(settings);
    let conn = rig.connect();
    rig.forwarded();
    let mut last = rig.accept();
    for _ in 0..10_000 {
        rig.read(last, &super::rig::hello(jute::SessionId::NONE, 0));
        rig.shard.ended(last);
        last = rig.accept();
        rig.at(rig.now_ms + 10);
        rig.ask(conn, -2, Op::Ping, &[]);
        assert_eq!(rig.sent(conn).len(), 1);
    }
    assert!(!rig.shard.wants_read(last));
    let forward = rig.forwarded();
    assert!(forward.memory_len() < 40_000, "{}", forward.memory_len());
    assert!(forward.touched.len() < 1_200, "{}", forward.touched.len());
    // Whoever had to wait is heard now.
    rig.shard.drain(rig.now_ms, &mut rig.inbox);
    assert!(rig.shard.wants_read(last));
}
