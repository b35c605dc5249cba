//! Tests of the tree.

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
