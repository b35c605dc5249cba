//! The lives of containers and TTL znodes, in simulated time.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use jute::Zxid;

use super::{Perishables, ReaperConfig};
use crate::arena::Memory;
use crate::tree::{Owner, StatPersisted, Tree};

struct Garden {
    tree: Tree,
    perishables: Perishables,
}

impl Garden {
    fn new() -> Self {
        let tree = Tree::format(Memory::leaked(1 << 16), [1, 2]).expect("a good size");
        Self { tree, perishables: Perishables::default() }
    }

    /// Creates a znode at `time`, and counts it at its parent.
    fn add(&mut self, path: &str, owner: Owner, time: i64) {
        let parent = jute::parent(path.as_bytes()).expect("a parent");
        let parent = self.tree.look(|it| it.find(parent)).expect("it is there");
        let above = self.tree.look(|it| it.stat(parent));
        let stat = StatPersisted::created(Zxid(1), time, owner);
        self.tree.begin();
        let made = self.tree.create(parent, path.as_bytes(), None, None, &stat).expect("room");
        self.tree.set_children_stat(parent, above.cversion + 1, Zxid(1));
        self.tree.commit(Zxid(1));
        self.perishables.created(made, owner);
    }

    fn remove(&mut self, path: &str) {
        let znode = self.tree.look(|it| it.find(path.as_bytes())).expect("it is there");
        self.perishables.removed(znode);
        self.tree.begin();
        self.tree.remove(znode);
        self.tree.commit(Zxid(2));
    }

    fn due(&self, now: i64, never_used_ms_max: i64) -> Vec<String> {
        let due = self.perishables.due(&self.tree, now, ReaperConfig { never_used_ms_max });
        let text = |path: &Vec<u8>| String::from_utf8_lossy(path).to_string();
        let mut due: Vec<String> = due.iter().map(text).collect();
        due.sort();
        due
    }
}

#[test]
fn a_container_goes_after_its_last_child_and_not_before_its_first() {
    let mut garden = Garden::new();
    garden.add("/c", Owner::Container, 100);
    assert!(garden.due(1_000_000, 0).is_empty());
    garden.add("/c/x", Owner::Nobody, 100);
    assert!(garden.due(1_000_000, 0).is_empty());
    garden.remove("/c/x");
    assert_eq!(garden.due(100, 0), ["/c"]);
    garden.remove("/c");
    assert!(garden.due(1_000_000, 0).is_empty());
    assert!(garden.perishables.is_empty());
}

#[test]
fn a_container_that_never_had_a_child_goes_when_it_is_told_to() {
    let mut garden = Garden::new();
    garden.add("/c", Owner::Container, 100);
    assert!(garden.due(400, 300).is_empty());
    assert_eq!(garden.due(401, 300), ["/c"]);
    assert!(garden.due(401, 0).is_empty());
}

#[test]
fn a_ttl_znode_goes_when_its_time_is_up_and_it_has_no_child() {
    let mut garden = Garden::new();
    garden.add("/t", Owner::ttl(50), 100);
    garden.add("/u", Owner::ttl(50), 100);
    garden.add("/u/x", Owner::Nobody, 100);
    assert!(garden.due(150, 0).is_empty());
    assert_eq!(garden.due(151, 0), ["/t"]);
    garden.remove("/u/x");
    assert_eq!(garden.due(151, 0), ["/t", "/u"]);
    // A clock that goes back kills nothing.
    assert!(garden.due(0, 0).is_empty());
}

#[test]
fn a_loaded_tree_has_the_perishables_it_was_saved_with() {
    let mut garden = Garden::new();
    garden.add("/a", Owner::Nobody, 1);
    garden.add("/a/c", Owner::Container, 1);
    garden.add("/a/t", Owner::ttl(1), 1);
    garden.add("/a/c/t", Owner::ttl(2), 1);
    let loaded = Perishables::of(&garden.tree);
    assert_eq!(loaded.znodes, garden.perishables.znodes);
    assert_eq!(loaded.len(), 3);
}
