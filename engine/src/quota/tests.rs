//! Limits, usage, and their text.

use alloc::vec::Vec;
use alloc::{format, vec};

use super::{Exceeded, Growth, Hardness, Limited, Quotas, StatsTrack};
use crate::arena::Memory;
use crate::tree::{Owner, StatPersisted, Tree};

fn tree() -> Tree {
    Tree::format(Memory::leaked(1 << 17), [1, 2]).expect("a good size")
}

fn add(tree: &mut Tree, quotas: &mut Quotas, path: &str, data: &str) {
    let above = jute::parent(path.as_bytes()).expect("a parent");
    let parent = tree.look(|it| it.find(above)).expect("it is there");
    let stat = StatPersisted::created(jute::Zxid(1), 1, Owner::Nobody);
    tree.begin();
    let made = tree.create(parent, path.as_bytes(), Some(data.as_bytes()), None, &stat);
    made.expect("room");
    quotas.created(tree, path.as_bytes(), data.len()).expect("room");
    tree.commit(jute::Zxid(1));
}

/// Puts a quota on `root`, as zkCli's setquota does.
fn limit(tree: &mut Tree, quotas: &mut Quotas, root: &str, limits: &str) {
    let mut path = "/zookeeper/quota".as_bytes().to_vec();
    for component in root[1..].split('/') {
        path.push(b'/');
        path.extend_from_slice(component.as_bytes());
        if tree.look(|it| it.find(&path)).is_none() {
            add(tree, quotas, core::str::from_utf8(&path).expect("a path"), "");
        }
    }
    add(tree, quotas, &format!("/zookeeper/quota{root}/zookeeper_limits"), limits);
    add(tree, quotas, &format!("/zookeeper/quota{root}/zookeeper_stats"), "count=0,bytes=0");
}

fn usage(tree: &Tree, root: &str) -> Vec<u8> {
    let path = format!("/zookeeper/quota{root}/zookeeper_stats");
    let znode = tree.look(|it| it.find(path.as_bytes())).expect("it is there");
    let mut text = Vec::new();
    tree.look(|it| it.data(znode, &mut text));
    text
}

#[test]
fn the_text_reads_and_writes_as_the_references() {
    let texts = [
        ("count=1,bytes=2", "count=1,bytes=2"),
        ("bytes=2;count=1", "count=1,bytes=2"),
        (
            "count=1,bytes=2=;byteHardLimit=3;countHardLimit=4",
            "count=1,bytes=2=;byteHardLimit=3;countHardLimit=4",
        ),
        ("countHardLimit=4", "count=-1,bytes=-1=;countHardLimit=4"),
        ("", "count=-1,bytes=-1"),
        ("count=,bytes=7", "count=-1,bytes=7"),
        ("nonsense", "count=-1,bytes=-1"),
        (",;,count=5,,", "count=5,bytes=-1"),
    ];
    for (text, expected) in texts {
        let encoded = StatsTrack::parse(text.as_bytes()).encode();
        assert_eq!(core::str::from_utf8(&encoded), Ok(expected), "{text:?}");
    }
}

#[test]
fn usage_begins_with_what_is_there_and_follows_it() {
    let (mut tree, mut quotas) = (tree(), Quotas::default());
    add(&mut tree, &mut quotas, "/a", "12345");
    add(&mut tree, &mut quotas, "/a/b", "1");
    add(&mut tree, &mut quotas, "/ab", "1");
    limit(&mut tree, &mut quotas, "/a", "count=9,bytes=9");
    assert_eq!(usage(&tree, "/a"), b"count=2,bytes=6");
    add(&mut tree, &mut quotas, "/a/b/c", "123");
    add(&mut tree, &mut quotas, "/ab/c", "123");
    assert_eq!(usage(&tree, "/a"), b"count=3,bytes=9");
    tree.begin();
    quotas.removed(&mut tree, b"/a/b/c", 3).expect("room");
    quotas.grew(&mut tree, b"/a/b", Growth { count: 0, bytes: -1 }).expect("room");
    tree.commit(jute::Zxid(2));
    assert_eq!(usage(&tree, "/a"), b"count=2,bytes=5");
}

#[test]
fn only_the_longest_quota_counts() {
    let (mut tree, mut quotas) = (tree(), Quotas::default());
    for path in ["/a", "/a/b", "/a/c"] {
        add(&mut tree, &mut quotas, path, "");
    }
    limit(&mut tree, &mut quotas, "/a", "count=9,bytes=9");
    limit(&mut tree, &mut quotas, "/a/b", "count=9,bytes=9");
    add(&mut tree, &mut quotas, "/a/b/x", "123");
    add(&mut tree, &mut quotas, "/a/c/x", "1");
    assert_eq!(usage(&tree, "/a"), b"count=4,bytes=1");
    assert_eq!(usage(&tree, "/a/b"), b"count=2,bytes=3");
    assert_eq!(quotas.root_of(b"/a/bx"), Some(b"/a".as_slice()));
    assert_eq!(quotas.root_of(b"/b"), None);
}

#[test]
fn a_loaded_tree_has_the_quotas_it_was_saved_with() {
    let (mut tree, mut quotas) = (tree(), Quotas::default());
    for path in ["/a", "/b", "/b/c"] {
        add(&mut tree, &mut quotas, path, "");
        limit(&mut tree, &mut quotas, path, "count=9,bytes=9");
    }
    assert_eq!(Quotas::of(&tree).roots, quotas.roots);
    tree.begin();
    quotas.removed(&mut tree, b"/zookeeper/quota/b/zookeeper_limits", 0).expect("room");
    tree.commit(jute::Zxid(2));
    assert_eq!(quotas.len(), 2);
    assert_eq!(quotas.root_of(b"/b/x"), None);
}

#[test]
fn a_hard_limit_refuses_and_a_soft_one_is_noted() {
    let (mut tree, mut quotas) = (tree(), Quotas::default());
    for root in ["/soft", "/hard"] {
        add(&mut tree, &mut quotas, root, "");
    }
    limit(&mut tree, &mut quotas, "/soft", "count=1,bytes=4");
    limit(&mut tree, &mut quotas, "/hard", "count=0,bytes=0=;byteHardLimit=4;countHardLimit=1");
    let check = |path: &[u8], count, bytes| {
        let mut notes = Vec::new();
        let checked = quotas.check(&tree, path, Growth { count, bytes }, &mut notes);
        let note = |it: Exceeded| (it.what, it.wanted, it.limit, it.hardness);
        (checked.is_ok(), notes.into_iter().map(note).collect::<Vec<_>>())
    };
    let (soft, hard) = (Hardness::Soft, Hardness::Hard);
    let (count, bytes) = (Limited::Count, Limited::Bytes);
    assert_eq!(check(b"/soft", 0, 4), (true, vec![]));
    assert_eq!(check(b"/soft", 0, 5), (true, vec![(bytes, 5, 4, soft)]));
    assert_eq!(check(b"/soft/x", 1, 0), (true, vec![(count, 2, 1, soft)]));
    assert_eq!(check(b"/soft/x", 1, 6), (true, vec![(count, 2, 1, soft), (bytes, 6, 4, soft)]));
    assert_eq!(check(b"/hard", 0, 4), (true, vec![]));
    assert_eq!(check(b"/hard", 0, 5), (false, vec![(bytes, 5, 4, hard)]));
    assert_eq!(check(b"/hard/x", 1, 9), (false, vec![(count, 2, 1, hard)]));
    assert_eq!(check(b"/elsewhere", 9, 9), (true, vec![]));
}
