//! When an image begins, what it holds, and how it ends: with the real thread and real files.

use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use engine::apply::Replay;
use engine::auth::AuthIds;
use engine::prep::{Prep, Prepared, Request};
use engine::rules::Rules;
use engine::tree::Tree;
use jute::{AclList, CreateRequest, CreateSessionTxn, Op, Record as _, SessionId, Xid, Zxid};
use snapshot::{ImagerOptions, Region};

use super::*;

const MOMENT: Moment = Moment { now_ms: 5, wall_ms: 1_700_000_000_000 };
const WORDS: usize = 1 << 18;
const SESSION: SessionId = SessionId(7);

/// A tree that grows by a znode at a time, and the images of it.
struct World {
    state: State,
    prep: Prep,
    images: Images,
    events: Receiver<Event>,
    count: u64,
}

impl World {
    fn new(dir: &Path, limit: Due, seed: u64) -> Self {
        let region = Region::reserve(WORDS * size_of::<u64>()).expect("room for addresses");
        let (memory, shadow) = region.share().expect("room for addresses");
        let state = State::new(Tree::format(memory, [1, 2]).expect("a region of a good size"));
        let imager = Imager::start(ImagerOptions::new(dir), shadow).expect("a thread");
        let (sender, events) = channel();
        let images = Images::new(imager, sender, limit, seed);
        let prep = Prep::new(Rules::default(), &state);
        let mut world = Self { state, prep, images, events, count: 0 };
        let mut body = Vec::new();
        CreateSessionTxn { timeout_ms: 4_000 }.encode(&mut body);
        world.apply(Op::CreateSession, &body);
        world
    }

    fn apply(&mut self, op: Op, body: &[u8]) {
        let auth = AuthIds::default();
        let request = Request { session: SESSION, cxid: Xid(1), op, body, auth: &auth };
        let mut entry = Vec::new();
        let made = self.prep.prepare(&self.state, MOMENT.wall_ms, &request, &mut entry);
        let Prepared::Txn(zxid) = made else { panic!("{made:?}") };
        self.state.begin();
        self.state.apply(&entry, &mut Replay).expect("as the test has it");
        self.state.commit(zxid);
        self.prep.applied(zxid);
    }

    /// A batch of one transaction, counted as `bytes` of log.
    fn grow(&mut self, bytes: u64) -> Option<Outcome> {
        let path = format!("/{:04}", self.count);
        self.count += 1;
        let (path, data) = (Some(path.as_bytes()), Some([7; 900].as_slice()));
        let mut body = Vec::new();
        CreateRequest { path, data, acl: AclList::open(), flags: 0 }.encode(&mut body);
        self.apply(Op::Create, &body);
        self.images.after_batch(&mut self.state, MOMENT, Due { txns: 1, bytes })
    }

    /// Batches until an image begins; how many.
    fn grow_until_busy(&mut self, bytes: u64) -> u64 {
        let before = self.count;
        while !self.images.busy() {
            self.grow(bytes);
            assert!(self.count < before + 10_000, "none begins");
        }
        self.count - before
    }

    /// Waits for the end of an image.
    #[expect(clippy::disallowed_methods, reason = "a test waits for another thread")]
    fn finish(&mut self) -> Outcome {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let nothing = Due { txns: 0, bytes: 0 };
            if let Some(outcome) = self.images.after_batch(&mut self.state, MOMENT, nothing) {
                return outcome;
            }
            assert!(Instant::now() < end, "an image without an end");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Where the tree is, and its digest.
    fn mark(&self) -> (Zxid, u64) {
        let tree = self.state.tree();
        (tree.zxid(), tree.look(TreeView::digest))
    }
}

/// The newest image of a folder: its zxid, and the digest of its tree.
fn loaded(dir: &Path) -> (Zxid, u64) {
    let start = snapshot::load(dir, WORDS * 8).expect("an image that is whole");
    let label = start.loaded.expect("an image").label;
    let (memory, _) = start.region.share().expect("room for addresses");
    let tree = Tree::open(memory).expect("a tree");
    let digest = tree.look(TreeView::digest);
    assert_eq!((label.tree_digest, label.begun_at_ms), (digest, MOMENT.wall_ms));
    (tree.zxid(), digest)
}

fn txns(txns: u64) -> Due {
    Due { txns, bytes: 0 }
}

#[test]
fn an_image_begins_between_half_of_the_transactions_and_all_of_them() {
    let mut counts = Vec::new();
    for seed in 1..20 {
        let dir = tempfile::tempdir().expect("a folder");
        let count = World::new(dir.path(), txns(100), seed).grow_until_busy(1 << 30);
        assert!((50..100).contains(&count), "after {count}");
        counts.push(count);
    }
    counts.sort_unstable();
    counts.dedup();
    assert!(5 < counts.len(), "servers that begin together: {counts:?}");
}

#[test]
fn an_image_begins_between_half_of_the_bytes_and_all_of_them_unless_they_have_no_limit() {
    let dir = tempfile::tempdir().expect("a folder");
    let limit = Due { txns: 5_000, bytes: 1_000 };
    let count = World::new(dir.path(), limit, 3).grow_until_busy(10);
    assert!((50..=100).contains(&count), "after {count}");
}

#[test]
fn an_image_is_the_tree_of_when_it_began_though_it_was_overtaken() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut world = World::new(dir.path(), txns(200), 3);
    world.grow_until_busy(0);
    let began = world.mark();
    let mut ended = None;
    for _ in 0..60 {
        if let Some(outcome) = world.grow(0) {
            ended = Some(outcome);
        }
    }
    let outcome = ended.unwrap_or_else(|| world.finish());
    assert_written(&outcome, began.0);
    assert!(!world.images.busy() && began.0 < world.mark().0);
    assert_eq!(loaded(dir.path()), began);
    let told = world.events.try_recv().expect("the control thread hears of it");
    assert!(matches!(told, Event::ImageWritten(zxid) if zxid == began.0), "{told:?}");
}

#[test]
fn the_next_image_is_counted_from_the_beginning_of_the_last() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut world = World::new(dir.path(), txns(100), 3);
    world.grow_until_busy(0);
    let began = world.count;
    for _ in 0..20 {
        world.grow(0);
    }
    if world.images.busy() {
        world.finish();
    }
    world.grow_until_busy(0);
    let count = world.count - began;
    assert!((50..100).contains(&count), "after {count}");
    let second = world.mark();
    world.finish();
    assert_eq!(loaded(dir.path()), second);
}

#[test]
fn what_was_replayed_makes_an_image_due_sooner() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut world = World::new(dir.path(), txns(100), 3);
    world.images.replayed(40);
    let count = world.grow_until_busy(0);
    assert!((10..60).contains(&count), "after {count}");
    world.finish();
    // More than is due: at once, and without a write.
    world.images.replayed(100);
    let nothing = txns(0);
    assert!(world.images.after_batch(&mut world.state, MOMENT, nothing).is_none());
    assert!(world.images.busy());
    let (at, _) = world.mark();
    assert_written(&world.finish(), at);
}

#[test]
fn while_an_image_is_written_no_other_begins() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut world = World::new(dir.path(), txns(10), 3);
    world.grow_until_busy(0);
    let began = world.mark().0;
    // Due again and again, and by order.
    for _ in 0..60 {
        if let Some(outcome) = world.grow(0) {
            return assert_written(&outcome, began);
        }
        world.images.begin(&mut world.state, MOMENT);
    }
    assert_written(&world.finish(), began);
}

fn assert_written(outcome: &Outcome, expected: Zxid) {
    assert!(matches!(outcome, Outcome::Written { zxid, .. } if *zxid == expected), "{outcome:?}");
}

#[test]
fn an_image_that_cannot_be_written_is_said_and_the_next_is_tried() {
    let dir = tempfile::tempdir().expect("a folder");
    let images = dir.path().join("images");
    std::fs::create_dir(&images).expect("a folder");
    let mut world = World::new(&images, txns(10), 3);
    std::fs::remove_dir(&images).expect("it is empty");
    world.grow_until_busy(0);
    let outcome = world.finish();
    assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
    assert!(world.events.try_recv().is_err(), "nothing was written");
    std::fs::create_dir(&images).expect("a folder");
    world.grow_until_busy(0);
    let began = world.mark();
    let outcome = world.finish();
    assert!(matches!(outcome, Outcome::Written { .. }), "{outcome:?}");
    assert_eq!(loaded(&images), began);
}
