//! What the tree costs: bytes for each znode and nanoseconds for each step, on one thread.
//!
//! `cargo run --release -p engine --example tree_cost [znodes [per-directory]]`
#![expect(clippy::print_stdout, reason = "a report")]

use std::{env, fs, hint::black_box};

use engine::{
    arena::{Memory, PAGE_WORDS, Reader},
    tree::{OPEN_ACL, Owner, StatPersisted, Tree, TreeView},
};
use jute::Zxid;

/// Bytes of data of each znode.
const DATA: usize = 100;

struct Load {
    tree: Tree,
    memory: Memory,
    paths: Vec<String>,
    zxid: i64,
}

/// Nanoseconds that this thread has been running, whatever else the machine does.
fn cpu_ns() -> u64 {
    let stat = fs::read_to_string("/proc/self/schedstat").expect("Linux's accounting");
    stat.split(' ').next().and_then(|it| it.parse().ok()).expect("a number")
}

fn timed(what: &str, count: usize, run: impl FnOnce()) {
    let start = cpu_ns();
    run();
    let ns = (cpu_ns() - start) as f64 / count as f64;
    println!("{what:<34} {ns:>8.0} ns");
}

/// A row of numbers below `n` in no order that a cache could guess.
fn shuffled(n: usize) -> impl Iterator<Item = usize> {
    let mut x = 0x2545_f491_4f6c_dd1d_u64;
    (0..n).map(move |_| {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        (x % n as u64) as usize
    })
}

impl Load {
    fn new(znodes: usize, per_directory: usize) -> Self {
        let words = (znodes * 45 + (1 << 20)).next_multiple_of(PAGE_WORDS);
        let memory = Memory::leaked(words);
        let tree = Tree::format(memory, [3, 4]).expect("a region of a good size");
        let path = |i: usize| format!("/bench/d{:04}/node-{i:012}", i / per_directory);
        Self { tree, memory, paths: (0..znodes).map(path).collect(), zxid: 0 }
    }

    fn create(&mut self, path: &str, data: &[u8]) {
        self.zxid += 1;
        let zxid = Zxid(self.zxid);
        let parent = self.tree.look(|it| it.find(parent(path).as_bytes()));
        let parent = parent.expect("the parent");
        assert!(self.tree.look(|it| it.find(path.as_bytes())).is_none());
        let stat = StatPersisted::created(zxid, 1_700_000_000_000, Owner::Nobody);
        self.tree.begin();
        let made = self.tree.create(parent, path.as_bytes(), Some(data), Some(OPEN_ACL), &stat);
        made.expect("room");
        let cversion = self.tree.look(|it| it.stat(parent)).cversion + 1;
        self.tree.set_children_stat(parent, cversion, zxid);
        self.tree.commit(zxid);
    }

    fn set(&mut self, i: usize, data: &[u8]) {
        self.zxid += 1;
        let at = self.tree.look(|it| it.find(self.paths[i].as_bytes())).expect("the znode");
        let version = self.tree.look(|it| it.stat(at)).version + 1;
        self.tree.begin();
        let set = self.tree.set_data(at, Some(data), version, Zxid(self.zxid), self.zxid);
        set.expect("room");
        self.tree.commit(Zxid(self.zxid));
    }

    fn report_size(&self) {
        let room = self.tree.headroom();
        let znodes = self.paths.len() as u64;
        let used = self.memory.words.len() as u64 - room.fresh;
        let pages = self.memory.words[..used as usize].chunks(PAGE_WORDS);
        let zero = |page: &&[std::sync::atomic::AtomicU64]| {
            page.iter().all(|it| it.load(std::sync::atomic::Ordering::Relaxed) == 0)
        };
        let untouched = pages.filter(zero).count() * PAGE_WORDS;
        let each = |words: u64| words as f64 * 8.0 / znodes as f64;
        println!("live {:.1} B each, free {:.1}", each(room.live), each(room.free));
        println!(
            "handed out {:.1} B each, touched {:.1}",
            each(used),
            each(used - untouched as u64)
        );
    }
}

fn reads(load: &Load) {
    let (tree, paths) = (&load.tree, &load.paths);
    let n = paths.len();
    let find = |i: usize| {
        black_box(tree.look(|it| it.find(paths[i].as_bytes())).expect("the znode"));
    };
    timed("find, a few", n, || (0..n).for_each(|i| find(i % 64)));
    timed("find, in order", n, || (0..n).for_each(find));
    timed("find, at random", n, || shuffled(n).for_each(find));
    timed("find what is not there", n, || {
        for i in shuffled(n) {
            let path = &paths[i].as_bytes()[..paths[i].len() - 1];
            assert!(tree.look(|it| it.find(path)).is_none());
        }
    });
    let reader: Reader = tree.reader();
    let mut out = Vec::new();
    timed("getData through a reader, at random", n, || {
        for i in shuffled(n) {
            let read = reader.read(|view| {
                out.clear();
                let tree = TreeView::new(view);
                let at = tree.find(paths[i].as_bytes())?;
                let Some(at) = at else { return Ok(false) };
                assert!(tree.acl(at)?.is_open());
                tree.encode_data(at, &mut out)?;
                tree.encode_stat(at, &mut out)?;
                Ok(true)
            });
            assert!(black_box(read).expect("a whole read").0);
        }
    });
    let mut parents: Vec<&[u8]> = paths.iter().map(|it| parent(it).as_bytes()).collect();
    parents.dedup();
    timed("getChildren, for each child", n, || {
        for path in parents {
            out.clear();
            tree.look(|it| it.encode_children(it.find(path)?.expect("it"), &mut out));
            black_box(&out);
        }
    });
}

fn parent(path: &str) -> &str {
    &path[..path.rfind('/').expect("a slash")]
}

fn main() {
    let mut arguments = env::args().skip(1).map(|it| it.parse::<usize>().expect("a number"));
    let znodes = arguments.next().unwrap_or(1_000_000);
    let per_directory = arguments.next().unwrap_or(1000);
    let mut load = Load::new(znodes, per_directory);
    let paths = load.paths.clone();
    load.create("/bench", b"");
    for i in (0..znodes).step_by(per_directory) {
        load.create(parent(&paths[i]), b"");
    }
    let data = [7; DATA];
    println!("{znodes} znodes, path of {} B, data of {DATA} B", paths[0].len());
    timed("create", znodes, || paths.iter().for_each(|it| load.create(it, &data)));
    load.report_size();
    reads(&load);
    timed("setData, a few", znodes, || (0..znodes).for_each(|i| load.set(i % 64, &data)));
    timed("setData, at random", znodes, || shuffled(znodes).for_each(|i| load.set(i, &data)));
    timed("setData, other length", znodes, || {
        shuffled(znodes).for_each(|i| load.set(i, &data[..50]));
    });
    let mut source = None;
    timed("beginning an image, for each znode", znodes, || {
        source = Some(load.tree.begin_image());
    });
    timed("setData, at random, in an image", znodes, || {
        for i in shuffled(znodes) {
            load.set(i, &data);
        }
    });
    load.tree.arena().end_image();
    timed("delete", znodes, || {
        for (i, path) in paths.iter().enumerate() {
            let at = load.tree.look(|it| it.find(path.as_bytes())).expect("the znode");
            load.tree.begin();
            load.tree.remove(at);
            load.tree.commit(Zxid(i as i64));
        }
    });
    load.report_size();
}
