//! What is counted, as the reference counts it.

use jute::{EventType, Op, SessionId};

use super::rig::{Rig, Watch, changed, hello, read_of, request};
use crate::figures::ShardFigures;

const HELLO_LEN: u64 = 49;

fn happen(rig: &mut Rig, zxid: i64, kind: EventType, path: &str) {
    rig.tree.0.borrow_mut().zxid = zxid;
    let (item, bytes) = changed(zxid, kind, path);
    rig.deliver(vec![item], &bytes);
}

#[test]
fn frames_and_bytes_are_counted_with_lengths_in_and_without_them_out() {
    assert_eq!(hello(SessionId::NONE, 0).len() as u64, HELLO_LEN);
    let mut rig = Rig::new();
    rig.znode("/a", 3);
    let conn = rig.connect();
    let ask = request(1, Op::GetData.number(), &read_of("/a", Watch::No));
    rig.read(conn, &ask);
    let found = rig.shard.figures();
    assert_eq!((found.packets_received, found.packets_sent), (2, 2));
    assert_eq!(found.bytes_received_count, HELLO_LEN + ask.len() as u64);
    // The handshake's answer is no reply: header and "data" alone.
    assert_eq!(found.response_bytes, 16 + 4);
    assert_eq!(found.client_response_size.last_min_max(), (20, 20, 20));
    assert_eq!((found.latency.count, found.readlatency.summary.count), (1, 1));
    rig.shard.reset_figures();
    assert_eq!(*rig.shard.figures(), ShardFigures::default());
}

#[test]
fn a_four_letter_word_is_a_frame_of_four_bytes() {
    let mut rig = Rig::new();
    let conn = rig.accept();
    rig.read(conn, b"srvr");
    let found = rig.shard.figures();
    assert_eq!((found.packets_received, found.bytes_received_count), (1, 4));
    assert_eq!(rig.shard.report(0).rows[0].received, 1);
}

#[test]
fn a_change_that_nobody_watches_is_not_counted() {
    let mut rig = Rig::new();
    rig.znode("/a", 3);
    let conn = rig.connect();
    happen(&mut rig, 4, EventType::NodeDataChanged, "/a");
    happen(&mut rig, 5, EventType::NodeCreated, "/a/b");
    let found = rig.shard.figures();
    assert_eq!(found.node_changed_watch_count.count, 0);
    assert_eq!(found.node_children_watch_count.count, 0);
    rig.tree.0.borrow_mut().zxid = 5;
    rig.ask(conn, 1, Op::GetData, &read_of("/a", Watch::Yes));
    happen(&mut rig, 6, EventType::NodeDataChanged, "/a");
    let found = rig.shard.figures();
    assert_eq!((found.node_changed_watch_count.count, found.node_changed_watch_count.sum), (1, 1));
    // Header, type, state, length of the path, path.
    assert_eq!(found.watch_bytes, 16 + 4 + 4 + 4 + 2);
}

#[test]
fn a_client_that_goes_without_a_word_is_counted() {
    let mut rig = Rig::new();
    let conn = rig.connect();
    rig.shard.ended(conn);
    rig.shard.ended(conn);
    assert_eq!(rig.shard.figures().connection_drop_count, 1);
}
