//! The tree against the dullest tree there is: maps. Random operations on both, then everything compared,
//! also after the region was copied as an image and opened elsewhere.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    format, vec,
    vec::Vec,
};
use core::sync::atomic::Ordering;

use jute::{SessionId, Zxid};

use super::{AclId, OPEN_ACL, Owner, READ_ACL, StatPersisted, Tree, TreeView, Znode, digest};
use crate::{
    arena::{Memory, PAGE_WORDS},
    chance::Chance,
};

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    data: Option<Vec<u8>>,
    acl: Option<Vec<u8>>,
    stat: StatPersisted,
}

/// The dull tree.
#[derive(Clone, Default)]
struct Twin {
    znodes: BTreeMap<Vec<u8>, Entry>,
    sessions: BTreeMap<SessionId, u32>,
    zxid: i64,
}

fn parent_of(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|&it| it == b'/') {
        Some(0) | None => b"/",
        Some(slash) => &path[..slash],
    }
}

fn join(parent: &[u8], name: &[u8]) -> Vec<u8> {
    [if parent == b"/" { b"" } else { parent }, b"/", name].concat()
}

impl Twin {
    fn new() -> Self {
        let stat = StatPersisted::default();
        let entry = Entry { data: Some(vec![]), acl: None, stat };
        let mut twin = Self::default();
        for path in ["/", "/zookeeper", "/zookeeper/quota"] {
            twin.znodes.insert(path.into(), entry.clone());
        }
        let stat = StatPersisted { aversion: -1, ..stat };
        let config = Entry { acl: Some(READ_ACL.into()), stat, ..entry };
        twin.znodes.insert(b"/zookeeper/config".into(), config);
        twin
    }

    fn children(&self, path: &[u8]) -> BTreeSet<Vec<u8>> {
        let own = |it: &&Vec<u8>| it.len() > 1 && parent_of(it) == path;
        let prefix = join(path, b"");
        let below = self.znodes.range(prefix.clone()..).map(|it| it.0);
        let below = below.take_while(|it| it.starts_with(&prefix));
        below.filter(own).map(|it| it[prefix.len()..].to_vec()).collect()
    }

    fn ephemerals(&self, id: SessionId) -> BTreeSet<Vec<u8>> {
        let own = |it: &(&Vec<u8>, &Entry)| it.1.stat.owner == Owner::Session(id);
        self.znodes.iter().filter(own).map(|it| it.0.clone()).collect()
    }

    fn digest(&self) -> u64 {
        let mut sum = 0_u64;
        for (path, entry) in &self.znodes {
            if !path.starts_with(b"/zookeeper/") {
                let path: &[u8] = if path == b"/" { b"" } else { path };
                let prefix = digest::prefix(path, entry.data.as_deref());
                sum = sum.wrapping_add(u64::from(digest::of(prefix, &entry.stat)));
            }
        }
        sum
    }
}

/// What both trees are asked to do.
struct Run {
    tree: Tree,
    twin: Twin,
    chance: Chance,
    /// How often there was no room.
    full: u32,
}

/// Words of a run's region.
const WORDS: usize = 1 << 19;
const SESSIONS: [SessionId; 4] = [SessionId(1), SessionId(-7), SessionId(1 << 60), SessionId(9)];

impl Run {
    fn new(seed: u64) -> Self {
        let memory = Memory::leaked(WORDS);
        let tree = Tree::format(memory, [seed, 2]).expect("a region of a good size");
        Self { tree, twin: Twin::new(), chance: Chance(seed), full: 0 }
    }

    fn path(&mut self) -> Vec<u8> {
        let from = format!("/{:02x}", self.chance.below(256));
        let next = self.twin.znodes.range(from.into_bytes()..).next();
        next.or_else(|| self.twin.znodes.iter().next()).expect("a znode").0.clone()
    }

    fn data(&mut self) -> Option<Vec<u8>> {
        let len = match self.chance.below(20) {
            0 => return None,
            1 => 0,
            2 => self.chance.below(20_000),
            _ => self.chance.below(200),
        };
        Some((0..len).map(|_| self.chance.next() as u8).collect())
    }

    fn acl(&mut self) -> Option<Vec<u8>> {
        match self.chance.below(4) {
            0 => None,
            1 => Some(OPEN_ACL.into()),
            2 => Some(READ_ACL.into()),
            _ => Some(format!("list {}", self.chance.below(9)).into_bytes()),
        }
    }

    fn znode(&self, path: &[u8]) -> Znode {
        self.tree.look(|it| it.find(path)).expect("the path")
    }

    fn create(&mut self) {
        let parent = self.path();
        if matches!(self.twin.znodes[&parent].stat.owner, Owner::Session(_)) {
            return;
        }
        let name =
            format!("{:02x}{}", self.chance.below(256), "x".repeat(self.chance.below(12) as usize));
        let path = join(&parent, name.as_bytes());
        if self.twin.znodes.contains_key(&path) {
            return;
        }
        let owner = match self.chance.below(8) {
            0..3 => Owner::Session(*self.chance.pick(&SESSIONS)),
            3 => Owner::Container,
            4 => Owner::ttl(5),
            _ => Owner::Nobody,
        };
        let (data, acl) = (self.data(), self.acl());
        let stat = StatPersisted::created(Zxid(self.twin.zxid), self.twin.zxid * 3, owner);
        let at = self.znode(&parent);
        let made = self.tree.create(at, &path, data.as_deref(), acl.as_deref(), &stat);
        if made.is_err() {
            self.full += 1;
            return;
        }
        self.twin.znodes.insert(path, Entry { data, acl, stat });
        let zxid = self.twin.zxid;
        let above = self.twin.znodes.get_mut(&parent).expect("the parent");
        (above.stat.cversion, above.stat.pzxid) = (above.stat.cversion + 1, zxid);
        self.tree.set_children_stat(at, above.stat.cversion, Zxid(zxid));
    }

    fn remove(&mut self) {
        let path = self.path();
        if path == b"/" || path.starts_with(b"/zookeeper") || !self.twin.children(&path).is_empty()
        {
            return;
        }
        self.tree.remove(self.znode(&path));
        self.twin.znodes.remove(&path);
    }

    fn set_data(&mut self) {
        let (path, data, zxid) = (self.path(), self.data(), self.twin.zxid);
        let at = self.znode(&path);
        let entry = self.twin.znodes.get_mut(&path).expect("the path");
        let version = entry.stat.version + 1;
        if self.tree.set_data(at, data.as_deref(), version, Zxid(zxid), zxid * 5).is_ok() {
            let (mzxid, mtime) = (zxid, zxid * 5);
            entry.stat = StatPersisted { mzxid, mtime, version, ..entry.stat };
            entry.data = data;
        }
    }

    fn set_acl(&mut self) {
        let (path, acl) = (self.path(), self.acl());
        let at = self.znode(&path);
        let entry = self.twin.znodes.get_mut(&path).expect("the path");
        entry.stat.aversion += 1;
        let done = self.tree.set_acl(at, acl.as_deref(), entry.stat.aversion);
        done.expect("room for an ACL list");
        entry.acl = acl;
    }

    fn session(&mut self) {
        let id = *self.chance.pick(&SESSIONS);
        if self.chance.below(2) == 0 {
            let timeout_ms = 1 + self.chance.below(1000) as u32;
            self.tree.open_session(id, timeout_ms).expect("room for a session");
            self.twin.sessions.insert(id, timeout_ms);
            return;
        }
        for path in self.twin.ephemerals(id) {
            self.tree.remove(self.znode(&path));
            self.twin.znodes.remove(&path);
        }
        assert_eq!(self.tree.close_session(id), self.twin.sessions.remove(&id).is_some());
    }

    fn step(&mut self) {
        self.twin.zxid += 1;
        self.tree.begin();
        match self.chance.below(100) {
            0..45 => self.create(),
            45..70 => self.remove(),
            70..90 => self.set_data(),
            90..98 => self.set_acl(),
            _ => self.session(),
        }
        self.tree.commit(Zxid(self.twin.zxid));
    }

    /// Everything that can be read is the same.
    fn compare(&self) {
        let twin = &self.twin;
        let tree = self.tree.view();
        for (path, entry) in &twin.znodes {
            let znode = self.znode(path);
            self.tree.look(|it| compare_znode(it, znode, path, entry, &twin.children(path)));
        }
        assert_eq!(tree.zxid(), Ok(Zxid(twin.zxid)));
        assert_eq!(tree.digest(), Ok(twin.digest()));
        self.compare_walk();
        self.compare_sessions();
        self.compare_counters();
    }

    fn compare_walk(&self) {
        let root = self.tree.look(TreeView::root);
        let (mut at, mut seen) = (root, BTreeSet::new());
        loop {
            let mut path = vec![];
            self.tree.look(|it| it.path(at, &mut path));
            assert!(
                seen.is_empty() || seen.contains(parent_of(&path)),
                "a child before its parent"
            );
            assert!(seen.insert(path), "a znode twice");
            let Some(next) = self.tree.look(|it| it.next_below(root, at)) else { break };
            at = next;
        }
        assert!(seen.iter().eq(self.twin.znodes.keys()));
    }

    fn compare_sessions(&self) {
        let mut owners: BTreeSet<_> = self.twin.sessions.keys().copied().collect();
        owners.extend(SESSIONS.into_iter().filter(|&id| !self.twin.ephemerals(id).is_empty()));
        let count = self.tree.look(TreeView::session_count);
        let seen: BTreeSet<_> =
            (0..count).map(|i| self.tree.look(|it| it.session_at(i)).id).collect();
        assert_eq!((seen.len(), &seen), (count as usize, &owners));
        for id in SESSIONS {
            let session = self.tree.look(|it| it.session(id));
            assert_eq!(session.is_some(), owners.contains(&id));
            let Some(session) = session else { continue };
            assert_eq!(session.timeout_ms, self.twin.sessions.get(&id).copied().unwrap_or(0));
            let paths = (0..session.ephemeral_count).map(|i| {
                let mut path = vec![];
                self.tree.look(|it| it.path(it.ephemeral(session, i)?, &mut path));
                path
            });
            assert_eq!(paths.collect::<BTreeSet<_>>(), self.twin.ephemerals(id));
        }
    }

    fn compare_counters(&self) {
        let counters = self.tree.look(TreeView::counters);
        let of = |is: fn(Owner) -> bool| {
            self.twin.znodes.values().filter(|it| is(it.stat.owner)).count() as u64
        };
        assert_eq!(counters.znodes, self.twin.znodes.len() as u64 + 1);
        assert_eq!(counters.ephemerals, of(|it| matches!(it, Owner::Session(_))));
        assert_eq!(counters.containers, of(|it| it == Owner::Container));
        assert_eq!(counters.ttls, of(|it| matches!(it, Owner::Ttl(_))));
        assert_eq!(counters.sessions, self.twin.sessions.len() as u64);
        let data = |it: &Entry| it.data.as_ref().map_or(0, Vec::len);
        let bytes: usize = self.twin.znodes.iter().map(|(path, it)| path.len() + data(it)).sum();
        assert_eq!(counters.data_bytes, bytes as u64);
        let acls: BTreeSet<_> =
            self.twin.znodes.values().filter_map(|it| it.acl.as_deref()).collect();
        let with_open = acls.len() + usize::from(!acls.contains(OPEN_ACL));
        assert_eq!(counters.acls, with_open as u64);
        let (mut id, mut ids) = (None, 0);
        while let Some(next) = self.tree.look(|it| it.next_acl(id)) {
            (id, ids) = (Some(next), ids + 1);
        }
        assert_eq!(ids, with_open);
        let room = self.tree.headroom();
        assert_eq!(room.fresh + room.free + room.live + 2 * PAGE_WORDS as u64, WORDS as u64);
    }

    /// Copies the region as a snapshot would, while operations go on, and gives the copy with its twin.
    fn image(&mut self, steps_per_page: u32) -> (Tree, Twin) {
        let twin = self.twin.clone();
        let source = self.tree.begin_image();
        let memory = Memory::leaked(WORDS);
        let mut page = [0; PAGE_WORDS];
        for (number, to) in (0..source.page_count()).zip(memory.words.chunks(PAGE_WORDS)) {
            (0..steps_per_page).for_each(|_| self.step());
            source.page(number, &mut page);
            for (to, from) in to.iter().zip(page) {
                to.store(from, Ordering::Relaxed);
            }
        }
        self.tree.arena().end_image();
        (Tree::open(memory).expect("an image of our own"), twin)
    }

    /// Goes on with a copy.
    fn reopen(&mut self) {
        (self.tree, self.twin) = self.image(0);
    }

    /// An image that was overtaken by operations is the tree as it was, and serves as well.
    fn compare_with_image(&mut self) {
        let (tree, twin) = self.image(3);
        let mut other = Self { tree, twin, chance: Chance(self.chance.next()), full: 0 };
        other.compare();
        (0..50).for_each(|_| other.step());
        other.compare();
    }
}

fn compare_znode(
    tree: TreeView<'_>,
    znode: Znode,
    path: &[u8],
    entry: &Entry,
    children: &BTreeSet<Vec<u8>>,
) -> Result<(), crate::arena::Torn> {
    assert_eq!(tree.stat(znode)?, entry.stat);
    let mut out = vec![];
    assert_eq!(tree.data(znode, &mut out)?, entry.data.as_ref().map(Vec::len));
    assert_eq!(out, entry.data.as_deref().unwrap_or_default());
    let (mut found_path, mut name, mut acl, mut wire) = (vec![], vec![], vec![], vec![]);
    tree.path(znode, &mut found_path)?;
    tree.name(znode, &mut name)?;
    assert_eq!(found_path, path);
    assert_eq!(join(parent_of(path), &name), path);
    match tree.parent(znode)? {
        Some(parent) => assert_eq!(tree.find(parent_of(path))?, Some(parent)),
        None => assert_eq!(path, b"/"),
    }
    tree.encode_acl(tree.acl(znode)?, &mut acl)?;
    assert_eq!(acl, entry.acl.as_deref().unwrap_or(OPEN_ACL));
    assert_eq!(tree.acl(znode)? == AclId::NULL, entry.acl.is_none());

    tree.encode_children(znode, &mut wire)?;
    let names = <jute::Strings<'_> as jute::Field<'_>>::read(&mut jute::Reader::new(&wire));
    let names = names.expect("a vector of strings");
    let names: BTreeSet<Vec<u8>> = names.iter().map(<[u8]>::to_vec).collect();
    assert_eq!((&names, names.len()), (children, tree.child_count(znode)? as usize));

    wire.clear();
    tree.encode_stat(znode, &mut wire)?;
    let shown = tree.shown_stat(znode)?;
    let mut expected = vec![];
    jute::Field::write(&shown, &mut expected);
    assert_eq!(wire, expected);
    assert_eq!(shown.cversion, entry.stat.cversion * 2 - children.len() as i32);
    let owner = if let Owner::Session(id) = entry.stat.owner { id.0 } else { 0 };
    assert_eq!(shown.ephemeral_owner, owner);
    Ok(())
}

#[test]
fn random_operations_leave_the_same_tree_as_maps() {
    for seed in 0..4 {
        let mut run = Run::new(seed);
        for round in 0..60 {
            for _ in 0..250 {
                run.step();
            }
            run.compare();
            if round % 7 == 3 {
                run.reopen();
                run.compare();
            }
            if round % 11 == 5 {
                run.compare_with_image();
                run.compare();
            }
        }
    }
}

#[test]
fn in_a_region_too_small_what_does_not_fit_changes_nothing() {
    let mut run = Run::new(77);
    run.tree = Tree::format(Memory::leaked(WORDS), [5, 6]).expect("a region of a good size");
    // Fill it up: only a few blocks of each size are left.
    run.tree.begin();
    while run.tree.arena().alloc(4 * PAGE_WORDS as u64).is_ok() {}
    run.tree.commit(Zxid(0));
    for round in 0..400 {
        for _ in 0..20 {
            run.step();
        }
        if round % 10 == 0 {
            run.compare();
        }
    }
    assert!(50 < run.full, "no room only {} times", run.full);
}
