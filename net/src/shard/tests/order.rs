//! What stands before what.

use jute::{Code, EventType, Op, Zxid};

use super::rig::{Rig, Sent, Watch, changed, event, failed, ok, read_of};
use crate::message::{ConnId, DeliverItem, ForwardItem};

#[test]
fn a_read_without_a_request_before_it_is_answered_at_once() {
    let mut rig = Rig::new();
    rig.znode("/a", 3);
    let conn = rig.connect();
    rig.ask(conn, 1, Op::GetData, &read_of("/a", Watch::No));
    rig.ask(conn, 2, Op::GetData, &read_of("/b", Watch::No));
    assert_eq!(rig.sent(conn), [ok(1, 3, b"data"), failed(2, 3, Code::NoNode)]);
    assert!(rig.forwarded().items.is_empty());
}

#[test]
fn a_read_behind_a_write_follows_it_to_the_pipeline() {
    let mut rig = Rig::new();
    rig.znode("/a", 3);
    let conn = rig.connect();
    rig.ask(conn, 1, Op::SetData, b"write");
    rig.ask(conn, 2, Op::GetData, &read_of("/a", Watch::No));
    rig.ask(conn, -2, Op::Ping, &[]);
    assert_eq!(rig.sent(conn), []);
    assert_eq!(rig.tree.0.borrow().served, 0);
    let forward = rig.forwarded();
    let ops: Vec<Op> = forward
        .items
        .iter()
        .map(|item| match item {
            ForwardItem::Request { op, .. } => *op,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ops, [Op::SetData, Op::GetData]);
    let reply = |xid, zxid| {
        let (xid, zxid) = (jute::Xid(xid), Zxid(zxid));
        DeliverItem::Reply { conn, xid, zxid, code: Code::Ok, body: 0..2 }
    };
    rig.tree.0.borrow_mut().zxid = 5;
    rig.deliver(vec![reply(1, 4), reply(2, 5)], b"hi");
    assert_eq!(rig.sent(conn), [ok(1, 4, b"hi"), ok(2, 5, b"hi"), ok(-2, 5, &[])]);
}

#[test]
fn what_another_client_waits_for_does_not_hold_a_read_up() {
    let mut rig = Rig::new();
    rig.znode("/a", 3);
    let (writer, reader) = (rig.connect(), rig.connect());
    rig.ask(writer, 1, Op::SetData, b"write");
    rig.ask(reader, 1, Op::GetData, &read_of("/a", Watch::No));
    assert_eq!(rig.sent(reader), [ok(1, 3, b"data")]);
}

#[test]
fn a_ping_behind_a_write_shows_no_zxid_beyond_the_writes() {
    let mut rig = Rig::new();
    let conn = rig.connect();
    rig.ask(conn, 1, Op::SetData, b"");
    rig.ask(conn, -2, Op::Ping, &[]);
    rig.tree.0.borrow_mut().zxid = 9;
    let xid = jute::Xid(1);
    let reply = DeliverItem::Reply { conn, xid, zxid: Zxid(4), code: Code::Ok, body: 0..0 };
    rig.deliver(vec![reply], &[]);
    assert_eq!(rig.sent(conn), [ok(1, 4, &[]), ok(-2, 4, &[])]);
}

/// A client that watches "/a", which has changed with zxid 4; the event waits in the inbox.
fn told_late() -> (Rig, ConnId) {
    let mut rig = Rig::new();
    rig.znode("/a", 3);
    let conn = rig.connect();
    rig.ask(conn, 1, Op::GetData, &read_of("/a", Watch::Yes));
    rig.sent(conn);
    rig.znode("/a", 4);
    let (item, bytes) = changed(4, EventType::NodeDataChanged, "/a");
    rig.post(vec![item], &bytes);
    (rig, conn)
}

#[test]
fn an_event_that_waits_in_the_inbox_stands_before_the_read_that_shows_it() {
    let (mut rig, conn) = told_late();
    rig.ask(conn, 2, Op::GetData, &read_of("/a", Watch::No));
    let event = event(4, EventType::NodeDataChanged, "/a");
    assert_eq!(rig.sent(conn), [event, ok(2, 4, b"data")]);
}

#[test]
fn a_ping_is_no_older_than_the_tree_and_comes_behind_the_events_up_to_there() {
    let (mut rig, conn) = told_late();
    rig.tree.0.borrow_mut().torn = 3;
    rig.ask(conn, -2, Op::Ping, &[]);
    let event = event(4, EventType::NodeDataChanged, "/a");
    assert_eq!(rig.sent(conn), [event, ok(-2, 4, &[])]);
    // Of what came after, nothing concerned this shard.
    rig.tree.0.borrow_mut().zxid = 6;
    rig.ask(conn, -2, Op::Ping, &[]);
    assert_eq!(rig.sent(conn), [ok(-2, 6, &[])]);
}

#[test]
fn a_watch_left_at_a_zxid_hears_only_of_later_ones() {
    let mut rig = Rig::new();
    let conn = rig.connect();
    rig.znode("/a", 4);
    // The tree shows 4, and the message about 4 is still in the ring.
    let (item, bytes) = changed(4, EventType::NodeDataChanged, "/a");
    rig.post(vec![item], &bytes);
    rig.ask(conn, 1, Op::GetData, &read_of("/a", Watch::Yes));
    assert_eq!(rig.sent(conn), [ok(1, 4, b"data")]);
    rig.znode("/a", 5);
    let (item, bytes) = changed(5, EventType::NodeDataChanged, "/a");
    rig.deliver(vec![item], &bytes);
    assert_eq!(rig.sent(conn), [event(5, EventType::NodeDataChanged, "/a")]);
}

#[test]
fn a_read_of_a_tree_behind_what_was_told_is_handed_over() {
    let mut rig = Rig::new();
    rig.znode("/a", 3);
    let conn = rig.connect();
    rig.tree.0.borrow_mut().zxid = 4;
    let (item, bytes) = changed(4, EventType::NodeDataChanged, "/b");
    rig.deliver(vec![item], &bytes);
    rig.tree.0.borrow_mut().zxid = 3;
    rig.ask(conn, 1, Op::GetData, &read_of("/a", Watch::No));
    assert_eq!(rig.sent(conn), []);
    assert_eq!(rig.answer_all(Code::Ok), 1);
    assert_eq!(rig.shard.gauges().handed_over, 1);
}

#[test]
fn a_torn_read_is_handed_over_and_its_watch_is_left_with_the_answer() {
    let mut rig = Rig::new();
    rig.znode("/a", 3);
    let conn = rig.connect();
    rig.tree.0.borrow_mut().torn = 1;
    rig.ask(conn, 1, Op::GetData, &read_of("/a", Watch::Yes));
    assert_eq!(rig.sent(conn), []);
    assert_eq!(rig.shard.gauges().watches, 0);
    assert_eq!(rig.answer_all(Code::Ok), 1);
    assert!(matches!(rig.sent(conn)[..], [Sent::Reply { xid: 1, code: 0, .. }]));
    assert_eq!(rig.shard.gauges().watches, 1);
}

#[test]
fn a_session_that_closes_is_answered_then_its_connection_closed() {
    let mut rig = Rig::new();
    let conn = rig.connect();
    rig.ask(conn, 7, Op::CloseSession, &[]);
    rig.ask(conn, 8, Op::Ping, &[]);
    assert!(!rig.shard.wants_read(conn));
    assert_eq!(rig.answer_all(Code::Ok), 1);
    assert!(!rig.is_closed(conn));
    assert_eq!(rig.sent(conn), [ok(7, 0, &[])]);
    assert!(rig.is_closed(conn));
}

#[test]
fn an_answer_to_a_connection_that_has_gone_reaches_nobody() {
    let mut rig = Rig::new();
    let first = rig.connect();
    rig.ask(first, 1, Op::SetData, b"");
    rig.shard.ended(first);
    let second = rig.connect();
    assert_eq!(first.slot, second.slot);
    let (xid, zxid) = (jute::Xid(1), Zxid(1));
    let reply = DeliverItem::Reply { conn: first, xid, zxid, code: Code::Ok, body: 0..0 };
    rig.deliver(vec![reply], &[]);
    assert_eq!(rig.sent(second), []);
    assert_eq!(rig.shard.gauges().outstanding, 0);
}

#[test]
fn a_close_without_a_word_still_sends_what_was_answered_before() {
    let mut rig = Rig::new();
    let conn = rig.connect();
    rig.ask(conn, -2, Op::Ping, &[]);
    rig.ask(conn, 1, Op::SetData, &[]);
    rig.deliver(vec![DeliverItem::Close { conn }], &[]);
    assert_eq!(rig.sent(conn), [ok(-2, 0, &[])]);
    assert!(rig.is_closed(conn));
}

#[test]
fn a_moved_session_is_closed_without_an_answer() {
    let mut rig = Rig::new();
    let conn = rig.connect();
    rig.ask(conn, 1, Op::SetData, &[]);
    rig.answer_all(Code::SessionMoved);
    assert_eq!(rig.sent(conn), []);
    assert!(rig.is_closed(conn));
}
