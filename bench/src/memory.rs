//! What znodes cost: resident memory each, and the time from a kill to the first read.
//!
//! The reference's memory is given twice, because a JVM's resident memory is as much its options' doing as its data's:
//! resident bytes as the operator pays them, and the heap that is alive after a forced collection, which no heap size can go below.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use jute::{AclList, CreateRequest, Field, Op, PathWatchRequest};

use crate::compare::say;
use crate::connection::{Asked, Connection};
use crate::crowd::Crowd;
use crate::jvm;
use crate::meter::code_name;
use crate::process::Usage;
use crate::server::{Kind, Programs, Server};
use crate::tree::{Tree, TreeShape};

/// What to fill.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Filling {
    /// Its shape.
    pub(crate) shape: TreeShape,
    /// Leaves.
    pub(crate) znodes: u64,
    /// Data of each leaf, bytes; the field shape has its own.
    pub(crate) size: usize,
    /// Kills and starts behind the fill.
    pub(crate) restarts: usize,
}

/// Memory and restart of one server with a tree.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Filled {
    /// Which.
    pub(crate) server: Kind,
    /// With what.
    pub(crate) filling: Filling,
    /// Options of the JVM, if it is one.
    pub(crate) jvm_flags: Option<String>,
    /// Znodes with the directories.
    pub(crate) znodes: u64,
    /// Seconds that the creates took.
    pub(crate) fill_seconds: f64,
    /// Resident bytes of the empty server.
    pub(crate) resident_empty: u64,
    /// Resident bytes with the tree.
    pub(crate) resident: u64,
    /// Heap that is alive after a forced collection, bytes: empty and with the tree.
    pub(crate) live_heap: Option<[u64; 2]>,
    /// Resident bytes behind that collection.
    pub(crate) resident_collected: Option<u64>,
    /// Resident bytes after the last restart, before any load.
    pub(crate) resident_restarted: Option<u64>,
    /// From the start after a kill to the reply to the first read, seconds; each time.
    pub(crate) restart_seconds: Vec<f64>,
}

impl Filled {
    /// Resident bytes that each znode adds.
    pub(crate) fn bytes_each(&self) -> f64 {
        self.resident.saturating_sub(self.resident_empty) as f64 / self.znodes as f64
    }

    /// Bytes of live heap that each znode adds.
    pub(crate) fn live_each(&self) -> Option<f64> {
        self.live_heap.map(|[empty, full]| full.saturating_sub(empty) as f64 / self.znodes as f64)
    }

    /// The middle of the restarts, seconds.
    pub(crate) fn restart_median(&self) -> Option<f64> {
        let mut all = self.restart_seconds.clone();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied()
    }
}

impl std::fmt::Display for Filled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:?}: {} znodes ({:?}) in {:.1} s: {:.1} MiB resident, {:.0} B a znode",
            self.server,
            self.znodes,
            self.filling.shape,
            self.fill_seconds,
            self.resident as f64 / f64::from(1 << 20),
            self.bytes_each()
        )?;
        if let (Some([_, live]), Some(each)) = (self.live_heap, self.live_each()) {
            let mib = live as f64 / f64::from(1 << 20);
            write!(f, "; live heap after a collection {mib:.1} MiB, {each:.0} B a znode")?;
        }
        if let Some(median) = self.restart_median() {
            write!(f, "; kill to first read {median:.2} s (of {:.2?})", self.restart_seconds)?;
        }
        Ok(())
    }
}

/// Fills a server, measures it, kills it and starts it again.
///
/// # Errors
/// A server does not start, a create fails, or the tree is not there after a restart.
pub(crate) fn fill(kind: Kind, programs: &Programs, filling: Filling) -> Result<Filled> {
    let mut server = Server::start(kind, programs)?;
    say(&format!("{}: creates {} znodes", kind.word(), filling.znodes));
    let tree = Tree::new(filling.shape, filling.znodes, filling.size);
    let mut crowd = Crowd::open(&[server.address], 16)?;
    let empty_heap = jvm::live_heap(kind, server.pid())?;
    let resident_empty = Usage::of(server.pid())?.resident;
    let start = Instant::now();
    let directories = tree.directories();
    plant(&mut crowd, &tree, &directories)?;
    let fill_seconds = start.elapsed().as_secs_f64();
    let resident = Usage::of(server.pid())?.resident;
    let full_heap = jvm::live_heap(kind, server.pid())?;
    let resident_collected = match full_heap {
        Some(_) => Some(Usage::of(server.pid())?.resident),
        None => None,
    };
    drop(crowd);
    let mut restart_seconds = Vec::new();
    for number in 1..=filling.restarts {
        say(&format!("{}: kill and start {number}/{}", kind.word(), filling.restarts));
        restart_seconds.push(restart(&mut server, &tree)?.as_secs_f64());
    }
    let resident_restarted = match filling.restarts {
        0 => None,
        _ => Some(Usage::of(server.pid())?.resident),
    };
    Ok(Filled {
        server: kind,
        filling,
        jvm_flags: (kind == Kind::Reference).then(|| programs.jvm_flags.clone()),
        znodes: filling.znodes + directories.len() as u64,
        fill_seconds,
        resident_empty,
        resident,
        live_heap: empty_heap.zip(full_heap).map(|(empty, full)| [empty, full]),
        resident_collected,
        resident_restarted,
        restart_seconds,
    })
}

/// Creates every znode of a tree, many at a time.
///
/// # Errors
/// A create fails with anything but NodeExists.
pub(crate) fn plant(crowd: &mut Crowd, tree: &Tree, directories: &[String]) -> Result<()> {
    let create = |path: &[u8], data: &[u8], out: &mut Vec<u8>| {
        let (path, data) = (Some(path), Some(data));
        CreateRequest { path, data, acl: AclList::open(), flags: 0 }.write(out);
    };
    // One connection, because a parent has to come before its children.
    crowd.send_all(1, directories.len() as u64, 256, |number, connection| {
        let path = directories[number as usize].as_bytes();
        connection.request(Asked::default(), Op::Create, |out| create(path, b"", out));
    })?;
    crowd.send_all(usize::MAX, tree.leaves(), 256, |number, connection| {
        let (path, data) = tree.leaf(number);
        connection.request(Asked::default(), Op::Create, |out| create(path.as_bytes(), data, out));
    })
}

/// Kills and starts the server; from the start to the reply to a read of the last leaf.
fn restart(server: &mut Server, tree: &Tree) -> Result<Duration> {
    let start = server.kill_and_start()?;
    let (path, _) = tree.leaf(tree.leaves().saturating_sub(1));
    let mut connection = Connection::open(server.address, 30_000)?;
    connection.request(Asked::default(), Op::GetData, |out| {
        PathWatchRequest { path: Some(path.as_bytes()), watch: false }.write(out);
    });
    let err = connection.wait(Duration::from_secs(30)).context("the first read")?;
    ensure!(err == 0, "{path} is not there after a restart: {}", code_name(err));
    Ok(start.elapsed())
}
