//! Readers on other threads while the writer changes what they read: every answer is of one moment.

use alloc::{format, vec, vec::Vec};
use core::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use jute::{SessionId, Zxid};

use super::{Owner, StatPersisted, Tree, TreeView, Znode};
use crate::{
    arena::{Memory, Offset, Reader, Torn, View},
    chance::Chance,
};

/// Children of /d at a zxid: as many, each with data as long and as old.
const SPREAD: u64 = 40;

fn child_count(zxid: i64) -> usize {
    (zxid as u64 * 7 % SPREAD) as usize
}

fn data(zxid: i64) -> Vec<u8> {
    vec![zxid as u8; (zxid as u64 * 13 % 900) as usize]
}

/// Rewrites everything below /d: other names, other data, other sessions, so that blocks change hands.
fn write(tree: &mut Tree, dir: Znode, zxid: i64) {
    tree.begin();
    while tree.look(|it| it.child_count(dir)) != 0 {
        let child = tree.look(|it| it.child(dir, 0));
        tree.remove(child);
    }
    let owner = Owner::Session(SessionId(zxid % 3 + 1));
    for i in 0..child_count(zxid) {
        let path = format!("/d/{zxid}-{i}");
        let stat = StatPersisted::created(Zxid(zxid), zxid, owner);
        let acl = format!("list {zxid}");
        let made =
            tree.create(dir, path.as_bytes(), Some(&data(zxid)), Some(acl.as_bytes()), &stat);
        made.expect("room");
    }
    tree.set_children_stat(dir, zxid as i32, Zxid(zxid));
    tree.commit(Zxid(zxid));
}

/// What a reader sees of it.
#[derive(Debug, Default)]
struct Seen {
    names: Vec<u8>,
    data: Vec<Vec<u8>>,
    acl: Vec<u8>,
    paths: Vec<Vec<u8>>,
    stat: StatPersisted,
    below: u64,
    ephemerals: u32,
}

fn look(tree: TreeView<'_>) -> Result<Seen, Torn> {
    let mut seen = Seen::default();
    let dir = tree.find(b"/d")?.ok_or(Torn)?;
    tree.touch(&mut [tree.hash(b"/d")?, tree.hash(b"/d/17-3")?, tree.hash(b"/")?])?;
    seen.stat = tree.stat(dir)?;
    tree.encode_children(dir, &mut seen.names)?;
    seen.below = tree.descendant_count(dir)?;
    for i in 0..tree.child_count(dir)?.min(SPREAD as u32) {
        let child = tree.child(dir, i)?;
        let mut bytes = Vec::new();
        tree.data(child, &mut bytes)?;
        seen.data.push(bytes);
        let mut path = Vec::new();
        tree.path(child, &mut path)?;
        if tree.find(&path)? != Some(child) {
            return Err(Torn);
        }
        seen.paths.push(path);
        seen.acl.clear();
        tree.encode_acl(tree.acl(child)?, &mut seen.acl)?;
    }
    for i in 0..tree.session_count()?.min(8) {
        seen.ephemerals += tree.session_at(i)?.ephemeral_count;
    }
    Ok(seen)
}

fn check(seen: &Seen, zxid: i64) {
    let count = child_count(zxid);
    assert_eq!((seen.below, seen.paths.len()), (count as u64, count), "at {zxid}");
    assert_eq!((seen.stat.pzxid, seen.ephemerals as usize), (zxid, count));
    assert!(seen.data.iter().all(|it| *it == data(zxid)), "at {zxid}");
    assert!(count == 0 || seen.acl == format!("list {zxid}").into_bytes());
    let names: Vec<_> = (0..count).map(|i| format!("/d/{zxid}-{i}").into_bytes()).collect();
    assert!(names.iter().all(|it| seen.paths.contains(it)), "at {zxid}");
    let len: usize = names.iter().map(|it| it.len() - 3 + 4).sum();
    assert_eq!(seen.names.len(), 4 + len);
}

fn read(reader: &Reader, stop: &AtomicBool) -> u64 {
    let mut answers = 0;
    while !stop.load(Ordering::Relaxed) {
        // What comes of it is nothing, torn or not.
        reader.glance(|view| drop(look(TreeView::new(view))));
        if let Some((seen, zxid)) = reader.read(|view| look(TreeView::new(view))) {
            check(&seen, zxid.0);
            answers += 1;
        }
    }
    answers
}

#[test]
fn readers_see_one_moment_while_everything_changes() {
    let mut tree = Tree::format(Memory::leaked(1 << 18), [1, 2]).expect("a good size");
    tree.begin();
    let root = tree.look(TreeView::root);
    let stat = StatPersisted::created(Zxid(0), 0, Owner::Nobody);
    let dir = tree.create(root, b"/d", None, None, &stat).expect("room");
    tree.commit(Zxid(0));
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let readers = [(); 3].map(|()| {
            let reader = tree.reader();
            scope.spawn(|| {
                let reader = reader;
                read(&reader, &stop)
            })
        });
        for zxid in 1..6000 {
            write(&mut tree, dir, zxid);
            if zxid % 16 == 0 {
                thread::yield_now();
            }
        }
        stop.store(true, Ordering::Relaxed);
        let answers = readers.map(|it| it.join().expect("a reading thread"));
        assert!(answers.iter().all(|&it| 10 < it), "{answers:?}");
    });
}

#[test]
fn garbage_in_the_region_never_makes_a_reader_panic_or_hang() {
    const WORDS: u64 = 1 << 16;
    let memory = Memory::leaked(WORDS as usize);
    let mut tree = Tree::format(memory, [1, 2]).expect("a good size");
    let root = tree.look(TreeView::root);
    let stat = StatPersisted::created(Zxid(0), 0, Owner::Nobody);
    tree.begin();
    let dir = tree.create(root, b"/d", None, None, &stat).expect("room");
    tree.commit(Zxid(0));
    write(&mut tree, dir, 17);
    let used = WORDS - tree.headroom().fresh;
    let good: Vec<u64> = (0..used).map(|i| tree.arena().word(Offset::new(i))).collect();
    let view = View::outdated(memory.words, memory.version);
    let mut chance = Chance(9);
    let mut torn = 0;
    for _ in 0..4000 {
        let changes: Vec<_> = (0..100).map(|_| chance.below(used) as usize).collect();
        for &at in &changes {
            let (other, some) = (*chance.pick(&good), chance.next());
            let junk = *chance.pick(&[0, u64::MAX, some, other, other << 8, good[at] + 1]);
            memory.words[at].store(junk, Ordering::Relaxed);
        }
        // Whatever comes back is as good as anything else.
        torn += u32::from(look(TreeView::new(view)).is_err());
        for &at in &changes {
            memory.words[at].store(good[at], Ordering::Relaxed);
        }
    }
    assert!(400 < torn && torn < 4000, "{torn} of 4000 reads were torn");
}
