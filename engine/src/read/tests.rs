//! Reads that are rare, or wrong.

use alloc::vec::Vec;

use jute::{
    Code, EventType, Field as _, MultiHeader, Op, PathWatchRequest, Record as _, SessionId, Zxid,
};

use super::{ReadRequest, Served, serve};
use crate::arena::Memory;
use crate::auth::AuthIds;
use crate::rules::Rules;
use crate::tree::{Owner, StatPersisted, Tree};

/// /a with the data `x`, and /locked.
fn tree() -> Tree {
    let mut tree = Tree::format(Memory::leaked(1 << 16), [1, 2]).expect("a good size");
    let root = tree.look(crate::tree::TreeView::root);
    let stat = StatPersisted::created(Zxid(5), 1, Owner::Nobody);
    let locked = b"\0\0\0\x01\0\0\0\x1f\0\0\0\x06digest\0\0\0\x03u:x";
    tree.begin();
    tree.create(root, b"/a", Some(b"x"), None, &stat).expect("room");
    tree.create(root, b"/locked", None, Some(locked), &stat).expect("room");
    tree.commit(Zxid(5));
    tree
}

fn ask(op: Op, body: &[u8]) -> (Code, Vec<u8>) {
    let (tree, rules, mut auth) = (tree(), Rules::default(), AuthIds::default());
    auth.add(b"ip", b"127.0.0.1");
    auth.add(b"digest", b"v:y");
    let request = ReadRequest { op, body, session: SessionId(1), auth: &auth };
    let mut out = b"before".to_vec();
    let served = serve(tree.view(), &rules, &request, &mut out).expect("nobody writes");
    assert!(served.code == Code::Ok || out == b"before", "{op:?} leaves what it began");
    (served.code, out.split_off(6))
}

fn path(path: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    PathWatchRequest { path: Some(path), watch: false }.encode(&mut body);
    body
}

fn multi(ops: &[(Op, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (op, record) in ops {
        MultiHeader { op: op.number(), done: false, err: -1 }.write(&mut body);
        body.extend_from_slice(record);
    }
    MultiHeader::END.write(&mut body);
    body
}

#[test]
fn a_null_path_is_no_request_but_for_ephemerals_and_sync() {
    let null = [0xff; 5];
    let ops = [Op::Exists, Op::GetData, Op::GetAcl, Op::GetChildren, Op::GetChildren2];
    for op in ops.into_iter().chain([Op::GetAllChildrenNumber]) {
        assert_eq!(ask(op, &null).0, Code::MarshallingError, "{op:?}");
        assert_eq!(ask(op, &[0, 0, 0, 9]).0, Code::MarshallingError, "{op:?}");
    }
    assert_eq!(ask(Op::GetEphemerals, &null), (Code::Ok, [0; 4].to_vec()));
    assert_eq!(ask(Op::Sync, &null), (Code::Ok, [0xff; 4].to_vec()));
}

#[test]
fn a_path_that_is_none_names_no_znode_and_the_empty_one_the_root() {
    for bad in [b"a".as_slice(), b"/a/", b"//", b"/a//", b"/a\0", b"/\xff"] {
        assert_eq!(ask(Op::GetData, &path(bad)).0, Code::NoNode, "{bad:?}");
    }
    assert_eq!(ask(Op::Exists, &path(b"/a\0")).0, Code::BadArguments);
    let root = ask(Op::GetData, &path(b""));
    assert_eq!(root, ask(Op::GetData, &path(b"/")));
    assert_eq!((root.0, root.1.len()), (Code::Ok, 4 + 68));
}

#[test]
fn sync_gives_its_path_back_and_whoami_the_users() {
    assert_eq!(ask(Op::Sync, b"\0\0\0\x02/q"), (Code::Ok, b"\0\0\0\x02/q".to_vec()));
    let (code, body) = ask(Op::WhoAmI, b"");
    assert_eq!(code, Code::Ok);
    let expected = b"\0\0\0\x02\0\0\0\x02ip\0\0\0\x09127.0.0.1\0\0\0\x06digest\0\0\0\x01v";
    assert_eq!(body, expected);
}

#[test]
fn a_multi_read_tells_what_failed_and_goes_on() {
    let (a, none, locked) = (path(b"/a"), path(b"/none"), path(b"/locked"));
    let body = multi(&[
        (Op::GetData, &a),
        (Op::GetData, &none),
        (Op::GetChildren, &locked),
        (Op::GetChildren, &a),
    ]);
    let (code, body) = ask(Op::MultiRead, &body);
    let mut expected = Vec::new();
    MultiHeader { op: 4, done: false, err: 0 }.write(&mut expected);
    expected.extend(ask(Op::GetData, &a).1);
    for code in [Code::NoNode, Code::NoAuth] {
        MultiHeader { op: -1, done: false, err: code.number() }.write(&mut expected);
        code.number().write(&mut expected);
    }
    MultiHeader { op: 8, done: false, err: 0 }.write(&mut expected);
    expected.extend([0; 4]);
    MultiHeader::END.write(&mut expected);
    assert_eq!((code, body), (Code::Ok, expected));
    let mut end = Vec::new();
    MultiHeader::END.write(&mut end);
    assert_eq!(ask(Op::MultiRead, &multi(&[])), (Code::Ok, end));
}

#[test]
fn a_multi_read_with_a_write_or_without_a_path_is_no_request() {
    let delete = b"\0\0\0\x02/a\xff\xff\xff\xff";
    let refused = (Code::MarshallingError, Vec::new());
    assert_eq!(ask(Op::MultiRead, &multi(&[(Op::Delete, delete)])), refused);
    assert_eq!(ask(Op::MultiRead, &multi(&[(Op::GetData, &[0xff; 5])])), refused);
    assert_eq!(ask(Op::MultiRead, &[0, 0]), refused);
}

#[test]
fn what_is_no_read_is_not_served() {
    for &op in Op::ALL {
        if !super::is_read(op) {
            assert_eq!(ask(op, &path(b"/a")), (Code::Unimplemented, Vec::new()), "{op:?}");
        }
    }
}

#[test]
fn a_znode_that_may_not_be_read_leaves_no_watch() {
    let (tree, rules, auth) = (tree(), Rules::default(), AuthIds::default());
    let body = b"\0\0\0\x07/locked\x01";
    for op in [Op::Exists, Op::GetData, Op::GetChildren] {
        let request = ReadRequest { op, body, session: SessionId(1), auth: &auth };
        let served = serve(tree.view(), &rules, &request, &mut Vec::new());
        assert_eq!(served, Ok(Served { code: Code::NoAuth, watch: None }), "{op:?}");
    }
}

#[test]
fn watches_set_again_are_answered_with_what_was_missed_of_each_path() {
    let record = |seen: i64, lists: usize| {
        let mut body = seen.to_be_bytes().to_vec();
        for _ in 0..lists {
            body.extend([0, 0, 0, 2]);
            Some(b"/a".as_slice()).write(&mut body);
            Some(b"/none".as_slice()).write(&mut body);
        }
        body
    };
    let told = |events: [Option<EventType>; 6]| {
        (Code::Ok, events.map(|event| event.map_or(0, |event| event as u8)).to_vec())
    };
    let (created, deleted) = (Some(EventType::NodeCreated), Some(EventType::NodeDeleted));
    let (data, child) = (Some(EventType::NodeDataChanged), Some(EventType::NodeChildrenChanged));
    let before = told([data, deleted, created, None, child, deleted]);
    let since = told([None, deleted, created, None, None, deleted]);
    for (op, lists) in [(Op::SetWatches, 3), (Op::SetWatches2, 5)] {
        assert_eq!(ask(op, &record(4, lists)), before);
        assert_eq!(ask(op, &record(5, lists)), since);
        assert_eq!(ask(op, &record(4, lists - 1)), (Code::MarshallingError, Vec::new()));
    }
}
