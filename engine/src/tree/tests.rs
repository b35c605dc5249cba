//! Tests of the tree.

use alloc::{format, vec::Vec};

use jute::{SessionId, Zxid};

use super::{Owner, StatPersisted, Tree, TreeView};
use crate::arena::Memory;

fn tree() -> Tree {
    Tree::format(Memory::leaked(1 << 18), [1, 2]).expect("a region of a good size")
}

#[test]
fn a_new_tree_has_the_counters_and_the_digest_of_the_reference() {
    let tree = tree();
    let counters = tree.look(TreeView::counters);
    assert_eq!((counters.znodes, counters.data_bytes), (5, 44));
    assert_eq!(tree.look(TreeView::digest), 1_371_985_504);
}

#[test]
fn a_created_znode_is_found_and_digested_as_by_the_reference() {
    let mut tree = tree();
    let (zxid, time) = (Zxid(0x1_0000_0002), 0x1a1_fb4f_44be);
    let root = tree.look(TreeView::root);
    tree.begin();
    let stat = StatPersisted::created(zxid, time, Owner::Nobody);
    let a = tree.create(root, b"/a", Some(b"hello"), None, &stat).unwrap();
    tree.set_children_stat(root, 1, zxid);
    tree.commit(zxid);
    assert_eq!(tree.look(|it| it.find(b"/a")), Some(a));
    assert_eq!(tree.look(|it| it.find(b"/b")), None);
    assert_eq!(tree.look(TreeView::digest), 0x1_a527_1005);
}

#[test]
fn a_session_without_a_timeout_goes_with_its_last_ephemeral() {
    let mut tree = tree();
    let root = tree.look(TreeView::root);
    tree.begin();
    let stat = StatPersisted::created(Zxid(1), 0, Owner::Session(SessionId(7)));
    let e = tree.create(root, b"/e", None, None, &stat).unwrap();
    assert_eq!(tree.look(|it| it.session(SessionId(7))).unwrap().timeout_ms, 0);
    tree.remove(e);
    assert_eq!(tree.look(|it| it.session(SessionId(7))), None);
    tree.commit(Zxid(1));
}

#[test]
fn what_was_created_and_removed_leaves_no_trace() {
    let mut tree = tree();
    let root = tree.look(TreeView::root);
    let stat = StatPersisted::created(Zxid(1), 0, Owner::Nobody);
    let mut before = None;
    // The index keeps its buckets: the second time shows whether anything else stays.
    for _ in 0..2 {
        tree.begin();
        let wide = tree.create(root, b"/wide", None, None, &stat).expect("room");
        let of = |i: u32| match i % 3 {
            0 => Owner::Session(SessionId(i64::from(i % 7) + 1)),
            1 => Owner::ttl(7),
            _ => Owner::Nobody,
        };
        let children: Vec<_> = (0..5000)
            .map(|i| {
                let path = format!("/wide/{i}");
                let stat = StatPersisted { owner: of(i), ..stat };
                let acl = format!("list {}", i % 50);
                let data = [7; 300];
                let data = &data[..i as usize % 300];
                tree.create(wide, path.as_bytes(), Some(data), Some(acl.as_bytes()), &stat)
            })
            .collect();
        assert_eq!(tree.look(|it| it.descendant_count(wide)), 5000);
        assert_eq!(tree.look(|it| it.descendant_count(root)), 5004);
        for child in children {
            tree.remove(child.expect("room"));
        }
        tree.remove(wide);
        tree.commit(Zxid(1));
        let after =
            (tree.look(TreeView::counters), tree.look(TreeView::digest), tree.headroom().live);
        assert_eq!((after.0.znodes, after.0.data_bytes, after.1), (5, 44, 1_371_985_504));
        assert!(before.is_none_or(|it| it == after), "{before:?} {after:?}");
        before = Some(after);
    }
}

#[test]
fn null_data_is_not_empty_data() {
    let mut tree = tree();
    let root = tree.look(TreeView::root);
    let stat = StatPersisted::created(Zxid(1), 0, Owner::Nobody);
    tree.begin();
    for (path, data, wire) in [
        (b"/a", None, &b"\xff\xff\xff\xff"[..]),
        (b"/b", Some(&b""[..]), b"\0\0\0\0"),
        (b"/c", Some(b"123456789"), b"\0\0\0\x09123456789"),
    ] {
        let at = tree.create(root, path, data, None, &stat).expect("room");
        let mut out = Vec::new();
        tree.look(|it| it.encode_data(at, &mut out));
        assert_eq!(out, wire);
        assert_eq!(tree.look(|it| it.data_len(at)), data.map(<[u8]>::len));
    }
    tree.commit(Zxid(1));
}

#[test]
fn a_path_is_found_only_as_it_is_written() {
    let mut tree = tree();
    let root = tree.look(TreeView::root);
    let stat = StatPersisted::created(Zxid(1), 0, Owner::Nobody);
    tree.begin();
    let a = tree.create(root, b"/a", None, None, &stat).expect("room");
    let b = tree.create(a, b"/a/b", None, None, &stat).expect("room");
    tree.commit(Zxid(1));
    let find = |path: &str| tree.look(|it| it.find(path.as_bytes()));
    assert_eq!(
        [find(""), find("/"), find("/a"), find("/a/b")].map(Option::unwrap),
        [root, root, a, b]
    );
    for path in ["a", "a/b", "/a/", "//a", "/a//b", "/a/b/", "/b", "/a/a", "/ab", "x", "//", "/A"] {
        assert_eq!(find(path), None, "{path}");
    }
}
