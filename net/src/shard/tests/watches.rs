//! Watches: left, fired, set again, removed.

use jute::{AclEntry, AclList, Code, EventType, Field as _, Op, Perms, Xid, Zxid};

use super::rig::{Rig, Watch, changed, changed_with, event, failed, ok, read_of};
use crate::message::{ConnId, DeliverItem, Forward, ForwardItem};

const CREATED: EventType = EventType::NodeCreated;
const DELETED: EventType = EventType::NodeDeleted;
const CHANGED: EventType = EventType::NodeDataChanged;
const CHILDREN: EventType = EventType::NodeChildrenChanged;

fn happen(rig: &mut Rig, zxid: i64, kind: EventType, path: &str) {
    rig.tree.0.borrow_mut().zxid = zxid;
    let (item, bytes) = changed(zxid, kind, path);
    rig.deliver(vec![item], &bytes);
}

fn path_and(path: &str, number: i32) -> Vec<u8> {
    let mut body = Vec::new();
    Some(path.as_bytes()).write(&mut body);
    number.write(&mut body);
    body
}

fn set_watches(seen: i64, lists: &[&[&str]]) -> Vec<u8> {
    let mut body = seen.to_be_bytes().to_vec();
    for list in lists {
        (list.len() as i32).write(&mut body);
        for path in *list {
            Some(path.as_bytes()).write(&mut body);
        }
    }
    body
}

fn ops_of(forward: &Forward) -> Vec<Op> {
    let op_of = |item: &ForwardItem| match item {
        ForwardItem::Request { op, .. } => *op,
        other => panic!("no request: {other:?}"),
    };
    forward.items.iter().map(op_of).collect()
}

fn watching(op: Op, path: &str) -> (Rig, ConnId) {
    let mut rig = Rig::new();
    rig.znode("/a", 3);
    let conn = rig.connect();
    rig.ask(conn, 1, op, &read_of(path, Watch::Yes));
    rig.sent(conn);
    (rig, conn)
}

#[test]
fn reads_leave_the_watches_of_their_kind() {
    for (op, path, kind, told) in [
        (Op::GetData, "/a", CHANGED, Some(event(4, CHANGED, "/a"))),
        (Op::Exists, "/a", DELETED, Some(event(4, DELETED, "/a"))),
        (Op::Exists, "/b", CREATED, Some(event(4, CREATED, "/b"))),
        (Op::GetChildren, "/a", DELETED, Some(event(4, DELETED, "/a"))),
        (Op::GetChildren2, "/a", CHANGED, None),
        (Op::GetData, "/b", CREATED, None),
        (Op::GetChildren, "/b", CREATED, None),
    ] {
        let (mut rig, conn) = watching(op, path);
        happen(&mut rig, 4, kind, path);
        assert_eq!(rig.sent(conn), told.into_iter().collect::<Vec<_>>(), "{op:?} {path} {kind:?}");
        happen(&mut rig, 5, kind, path);
        assert_eq!(rig.sent(conn), [], "a watch fires once");
    }
}

#[test]
fn a_child_that_comes_or_goes_is_told_to_watchers_of_children() {
    let (mut rig, conn) = watching(Op::GetChildren, "/a");
    happen(&mut rig, 4, CREATED, "/a/b");
    assert_eq!(rig.sent(conn), [event(4, CHILDREN, "/a")]);
}

#[test]
fn a_read_without_the_flag_leaves_nothing() {
    let mut rig = Rig::new();
    rig.znode("/a", 3);
    let conn = rig.connect();
    rig.ask(conn, 1, Op::GetData, &read_of("/a", Watch::No));
    assert_eq!(rig.shard.gauges().watches, 0);
}

#[test]
fn who_may_not_read_is_not_told() {
    let mut acl = 1_i32.to_be_bytes().to_vec();
    let (scheme, id) = (Some(b"ip".as_slice()), Some(b"10.9.9.9".as_slice()));
    AclEntry { perms: Perms::ALL, scheme, id }.write(&mut acl);
    let closed = AclList::decode(&acl).unwrap();
    for (acl, told) in [(closed, 0), (AclList::open(), 1)] {
        let (mut rig, conn) = watching(Op::GetData, "/a");
        rig.tree.0.borrow_mut().zxid = 4;
        let (item, bytes) = changed_with(4, CHANGED, "/a", Some(acl));
        rig.deliver(vec![item], &bytes);
        assert_eq!(rig.sent(conn).len(), told);
        assert_eq!(rig.shard.gauges().watches, 0, "the watch has fired all the same");
    }
}

#[test]
fn an_acl_that_cannot_be_read_lets_nobody_hear() {
    let (mut rig, conn) = watching(Op::GetData, "/a");
    let (item, mut bytes) = changed_with(4, CHANGED, "/a", Some(AclList::open()));
    bytes[2..6].copy_from_slice(&[0x7f; 4]);
    rig.deliver(vec![item], &bytes);
    assert_eq!(rig.sent(conn), []);
}

#[test]
fn add_watch_answers_with_an_error_record_and_stays() {
    let mut rig = Rig::new();
    let conn = rig.connect();
    rig.ask(conn, 1, Op::AddWatch, &path_and("/a", 1));
    rig.ask(conn, 2, Op::AddWatch, &path_and("/a", 2));
    assert_eq!(rig.sent(conn), [ok(1, 0, &[0; 4]), failed(2, 0, Code::MarshallingError)]);
    for zxid in 1..4 {
        happen(&mut rig, zxid, CREATED, "/a/b/c");
        assert_eq!(rig.sent(conn), [event(zxid, CREATED, "/a/b/c")]);
    }
}

#[test]
fn watches_are_found_and_removed_by_type() {
    let (mut rig, conn) = watching(Op::GetData, "/a");
    let mut codes = Vec::new();
    for (op, kind) in [
        (Op::CheckWatches, 2),
        (Op::CheckWatches, 1),
        (Op::CheckWatches, 9),
        (Op::RemoveWatches, 1),
        (Op::RemoveWatches, 3),
        (Op::RemoveWatches, 3),
    ] {
        rig.ask(conn, 5, op, &path_and("/a", kind));
        codes.extend(rig.sent(conn));
    }
    let not = |code| failed(5, 3, code);
    let yes = ok(5, 3, &[]);
    let no = not(Code::NoWatcher);
    let bad = not(Code::MarshallingError);
    assert_eq!(codes, [yes.clone(), no.clone(), bad, no.clone(), yes, no]);
    happen(&mut rig, 4, CHANGED, "/a");
    assert_eq!(rig.sent(conn), []);
}

#[test]
fn watches_set_again_tell_what_was_missed_and_stay_where_nothing_was() {
    let mut rig = Rig::new();
    rig.znode("/old", 3);
    rig.znode("/new", 8);
    let conn = rig.connect();
    let all = ["/old", "/new", "/gone"];
    rig.ask(conn, -8, Op::SetWatches, &set_watches(5, &[&all, &all, &all]));
    let expected = [
        event(-1, CHANGED, "/new"),
        event(-1, DELETED, "/gone"),
        event(-1, CREATED, "/old"),
        event(-1, CREATED, "/new"),
        event(-1, CHILDREN, "/new"),
        event(-1, DELETED, "/gone"),
        ok(-8, 8, &[]),
    ];
    assert_eq!(rig.sent(conn), expected);
    happen(&mut rig, 9, DELETED, "/old");
    assert_eq!(rig.sent(conn), [event(9, DELETED, "/old")]);
    happen(&mut rig, 10, CREATED, "/gone");
    assert_eq!(rig.sent(conn), [event(10, CREATED, "/gone")]);
}

#[test]
fn persistent_watches_set_again_are_left_without_an_event() {
    let mut rig = Rig::new();
    rig.znode("/p", 8);
    let conn = rig.connect();
    let body = set_watches(5, &[&[], &[], &[], &["/p"], &["/r"]]);
    rig.ask(conn, -8, Op::SetWatches2, &body);
    assert_eq!(rig.sent(conn), [ok(-8, 8, &[])]);
    happen(&mut rig, 9, CREATED, "/r/x");
    happen(&mut rig, 10, CREATED, "/p/x");
    assert_eq!(rig.sent(conn), [event(9, CREATED, "/r/x"), event(10, CHILDREN, "/p")]);
}

#[test]
fn watches_set_again_behind_a_write_are_told_what_the_tree_said_at_their_place() {
    let mut rig = Rig::new();
    let conn = rig.connect();
    rig.ask(conn, 1, Op::SetData, &[]);
    let body = set_watches(3, &[&["/a", "/b"], &["/c"], &["/d"]]);
    rig.ask(conn, -8, Op::SetWatches, &body);
    rig.ask(conn, 2, Op::SetData, &[]);
    assert_eq!(rig.sent(conn), []);
    assert_eq!(ops_of(&rig.forwarded()), [Op::SetData, Op::SetWatches, Op::SetData]);
    // The tree has moved on since; what it says now is not asked.
    rig.znode("/a", 5);
    let (later, mut bytes) = changed(5, CHANGED, "/a");
    let missed = bytes.len() as u32..bytes.len() as u32 + 4;
    bytes.extend([0, CHANGED as u8, CREATED as u8, 0]);
    let reply = |xid, zxid, body| {
        let (xid, zxid) = (Xid(xid), Zxid(zxid));
        DeliverItem::Reply { conn, xid, zxid, code: Code::Ok, body }
    };
    let items = vec![reply(1, 4, 0..0), reply(-8, 4, missed), later, reply(2, 5, 0..0)];
    rig.deliver(items, &bytes);
    let expected = [
        ok(1, 4, &[]),
        event(-1, CHANGED, "/b"),
        event(-1, CREATED, "/c"),
        ok(-8, 4, &[]),
        event(5, CHANGED, "/a"),
        ok(2, 5, &[]),
    ];
    assert_eq!(rig.sent(conn), expected);
    happen(&mut rig, 6, CREATED, "/d/x");
    assert_eq!(rig.sent(conn), [event(6, CHILDREN, "/d")]);
}

#[test]
fn watches_set_again_while_the_writer_is_in_the_way_go_to_the_pipeline() {
    let mut rig = Rig::new();
    rig.znode("/a", 4);
    let conn = rig.connect();
    rig.tree.0.borrow_mut().torn = 1;
    rig.ask(conn, -8, Op::SetWatches, &set_watches(3, &[&["/a"], &[], &[]]));
    assert_eq!(rig.sent(conn), []);
    assert_eq!(ops_of(&rig.forwarded()), [Op::SetWatches]);
    let (xid, zxid, code) = (Xid(-8), Zxid(4), Code::Ok);
    let bytes = [CHANGED as u8];
    rig.deliver(vec![DeliverItem::Reply { conn, xid, zxid, code, body: 0..1 }], &bytes);
    assert_eq!(rig.sent(conn), [event(-1, CHANGED, "/a"), ok(-8, 4, &[])]);
}

#[test]
fn watches_set_again_that_are_refused_leave_nothing() {
    let mut rig = Rig::new();
    let conn = rig.connect();
    rig.ask(conn, 1, Op::SetData, &[]);
    rig.ask(conn, -8, Op::SetWatches, &set_watches(3, &[&["/a"], &[], &[]]));
    rig.answer_all(Code::NoAuth);
    let refused = [failed(1, 0, Code::NoAuth), failed(-8, 0, Code::NoAuth)];
    assert_eq!(rig.sent(conn), refused);
    assert_eq!(rig.shard.gauges().watches, 0);
}

#[test]
fn watches_set_again_do_not_hear_twice_of_what_waits_in_the_inbox() {
    let mut rig = Rig::new();
    rig.znode("/a", 4);
    let conn = rig.connect();
    let (item, bytes) = changed(4, CHANGED, "/a");
    rig.post(vec![item], &bytes);
    rig.ask(conn, -8, Op::SetWatches, &set_watches(3, &[&["/a"], &[], &[]]));
    assert_eq!(rig.sent(conn), [event(-1, CHANGED, "/a"), ok(-8, 4, &[])]);
}

#[test]
fn nobody_hears_for_a_connection_that_has_gone() {
    let (mut rig, conn) = watching(Op::GetData, "/a");
    rig.shard.ended(conn);
    let next = rig.connect();
    assert_eq!(conn.slot, next.slot);
    happen(&mut rig, 4, CHANGED, "/a");
    assert_eq!(rig.sent(next), []);
}

#[test]
fn who_watches_what_is_listed_both_ways() {
    let (rig, _) = watching(Op::GetData, "/a");
    let rows = rig.shard.watch_rows();
    assert_eq!(rows.by_session, [(super::rig::SESSION, vec![b"/a".to_vec()])]);
    assert_eq!(rows.by_path, [(b"/a".to_vec(), vec![super::rig::SESSION])]);
}
