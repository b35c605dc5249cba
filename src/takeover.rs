//! Taking over the data of a ZooKeeper server: what is in `version-2` becomes an image and a log of ours, once.
//!
//! ZooKeeper: `FileTxnSnapLog.restore`. Its files stay as they are. The newest whole snapshot becomes an image, which may be ahead of its zxid as that is;
//! what the logs hold behind it becomes our log, so that of a member the ensemble says how much is decided. A mark stands in our directory while that
//! is under way, and another one when it is done, with the last transaction: a ZooKeeper server that goes on writing there is then noticed.
//!
//! Absent: the way back, which is `export`.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use engine::state::Fuzzy;
use jute::{Record as _, TxnHeader, Zxid};
use snapshot::java::log::{LogError, LogFile};
use snapshot::java::{ExtendedTypes, file, log};
use snapshot::{Beside, ImageError, Label};
use wal::{AppendError, Batch, Log};

use crate::clock::wall_ms;
use crate::store::Store;

/// The data cannot be taken over. The ZooKeeper server's files are as they were.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TakeoverError {
    /// The system refused a file or directory.
    #[error("{path}: {what}: {source}", path = .path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A log file is damaged.
    #[error("{path}: {source}; restore the directory from a copy, or choose an empty one", path = .path.display())]
    Log {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: LogError,
    },
    /// Something in a log file is no transaction.
    #[error("{path}: no transaction stands behind {last}", path = .path.display())]
    NoTxn {
        /// Which file.
        path: PathBuf,
        /// The last good one.
        last: Zxid,
    },
    /// Transactions are missing.
    #[error("{path}: {zxid} follows {last}: what was in between is missing; restore the directory from a copy", path = .path.display())]
    Gap {
        /// Where the next one stands.
        path: PathBuf,
        /// Which is the next.
        zxid: Zxid,
        /// Which was the last.
        last: Zxid,
    },
    /// No snapshot loads.
    #[error("{path}: none of the {count} snapshots is whole; restore the directory from a copy, or choose an empty one", path = .path.display())]
    AllDamaged {
        /// Where.
        path: PathBuf,
        /// How many there are.
        count: usize,
    },
    /// Our data is there, too.
    #[error("{ours} and {theirs}: there is data of ours and of a ZooKeeper server, and it is not known which is to be served; move one of them away",
        ours = .ours.display(), theirs = .theirs.display())]
    Both {
        /// Ours.
        ours: PathBuf,
        /// A file of the ZooKeeper server.
        theirs: PathBuf,
    },
    /// A ZooKeeper server has written since.
    #[error("{path}: a ZooKeeper server has written here since its data was taken over at {taken}: up to {found}; move it away to go on with ours, or move \
        ours away to take it over again", path = .path.display())]
    WrittenSince {
        /// Its files.
        path: PathBuf,
        /// What was taken.
        taken: Zxid,
        /// What is there.
        found: Zxid,
    },
    /// The image cannot be written.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The tree cannot be made.
    #[error(transparent)]
    Tree(#[from] snapshot::BesideError),
    /// Our log does not open.
    #[error(transparent)]
    Open(#[from] Box<wal::OpenError<std::convert::Infallible>>),
    /// Our log cannot be written.
    #[error(transparent)]
    Append(#[from] AppendError),
}

/// What the new tree is made with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Making {
    pub(crate) region_len: usize,
    pub(crate) seed: [u64; 2],
    pub(crate) types: ExtendedTypes,
    pub(crate) log: wal::Options,
}

/// A ZooKeeper server's files, each list in the order of zxids.
#[derive(Debug)]
struct Found {
    dir: PathBuf,
    snapshots: Vec<(Zxid, PathBuf)>,
    logs: Vec<(Zxid, PathBuf)>,
}

/// Takes over what a ZooKeeper server has left in the directories, unless that is done or there is nothing. What was taken: its last transaction.
///
/// # Errors
/// [`TakeoverError`].
pub(crate) fn take_over(store: &Store, making: &Making) -> Result<Option<Zxid>, TakeoverError> {
    let found = Found::look(&store.foreign)?;
    let Some(newest) = found.newest() else { return Ok(None) };
    let [under_way, done] = [UNDER_WAY, DONE].map(|it| store.images.join(it));
    if let Ok(text) = fs::read_to_string(&done) {
        let taken = i64::from_str_radix(text.trim(), 16).map_or(Zxid::ZERO, Zxid);
        let last = found.last()?;
        if last == taken {
            return Ok(None);
        }
        return Err(TakeoverError::WrittenSince { path: found.dir, taken, found: last });
    }
    let ours = [&store.images, &store.log].into_iter().flat_map(|it| own_files(it));
    let mut ours: Vec<PathBuf> = ours.collect();
    // The directories may be one.
    ours.sort();
    ours.dedup();
    if under_way.exists() {
        for path in &ours {
            fs::remove_file(path).map_err(at("removing what was begun", path))?;
        }
    } else if let Some(ours) = ours.first() {
        return Err(TakeoverError::Both { ours: ours.clone(), theirs: newest });
    }
    mark(&under_way, "")?;
    let base = found.make_image(store, making)?;
    let last = found.make_log(store, making, base)?;
    for name in ["acceptedEpoch", "currentEpoch"] {
        if let Ok(text) = fs::read_to_string(store.foreign[0].join(name)) {
            mark(&store.images.join(name), &text)?;
        }
    }
    mark(&done, &format!("{:x}\n", last.0))?;
    fs::remove_file(&under_way).map_err(at("removing the mark", &under_way))?;
    Ok(Some(last))
}

/// Images, log segments and epochs in a directory of ours.
fn own_files(dir: &Path) -> Vec<PathBuf> {
    let is_data = |it: &str| {
        ["image.", "log.", "spare."].iter().any(|prefix| it.starts_with(prefix))
            || it.ends_with("Epoch")
    };
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter(|it| it.file_name().to_str().is_some_and(is_data)).map(|it| it.path()).collect()
}

/// Writes a small file, durably.
fn mark(path: &Path, text: &str) -> Result<(), TakeoverError> {
    let unfinished = path.with_extension("tmp");
    let write = || {
        fs::write(&unfinished, text)?;
        File::open(&unfinished)?.sync_all()?;
        fs::rename(&unfinished, path)?;
        path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
    };
    write().map_err(at("writing a mark", path))
}

impl Found {
    /// Looks into the directories of snapshots and of logs.
    fn look(dirs: &[PathBuf; 2]) -> Result<Self, TakeoverError> {
        let (mut snapshots, mut logs) = (Vec::new(), Vec::new());
        for dir in dirs {
            let entries = match fs::read_dir(dir) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                read => read.map_err(at("listing the directory", dir))?,
            };
            for entry in entries {
                let path = entry.map_err(at("listing the directory", dir))?.path();
                let name = path.file_name().and_then(|it| it.to_str()).unwrap_or_default();
                if let Some(zxid) = file::zxid_of(name) {
                    snapshots.push((zxid, path));
                } else if let Some(zxid) = log::zxid_of(name) {
                    logs.push((zxid, path));
                }
            }
        }
        for files in [&mut snapshots, &mut logs] {
            files.sort();
            files.dedup();
        }
        Ok(Self { dir: dirs[0].clone(), snapshots, logs })
    }

    /// A file of theirs, if there is one.
    fn newest(&self) -> Option<PathBuf> {
        self.logs.last().or_else(|| self.snapshots.last()).map(|it| it.1.clone())
    }

    /// The last transaction.
    fn last(&self) -> Result<Zxid, TakeoverError> {
        let mut last = self.snapshots.last().map_or(Zxid::ZERO, |it| it.0);
        for (_, path) in self.logs.iter().rev().take(2) {
            each_txn(path, |zxid, _| {
                last = last.max(zxid);
                Ok(())
            })?;
        }
        Ok(last)
    }

    /// Makes an image of the newest snapshot that is whole. Its zxid; 0 if there is no snapshot.
    fn make_image(&self, store: &Store, making: &Making) -> Result<Zxid, TakeoverError> {
        for (zxid, path) in self.snapshots.iter().rev() {
            if *zxid == Zxid::ZERO {
                return Ok(Zxid::ZERO);
            }
            let memory = (making.region_len, making.seed);
            match Beside::of_java(path, *zxid, making.types, memory) {
                Ok(mut beside) => {
                    let (begun_at_ms, fuzzy) = (wall_ms(), Fuzzy::Yes);
                    beside
                        .write(&store.images, Label { begun_at_ms, fuzzy, ..Label::default() })?;
                    return Ok(*zxid);
                }
                Err(error) => tracing::error!("snapshot not taken, trying the one before: {error}"),
            }
        }
        match self.snapshots.len() {
            0 => Ok(Zxid::ZERO),
            count => Err(TakeoverError::AllDamaged { path: self.dir.clone(), count }),
        }
    }

    /// Writes what the logs hold behind `base` to a log of ours. The last transaction.
    fn make_log(&self, store: &Store, making: &Making, base: Zxid) -> Result<Zxid, TakeoverError> {
        let opened = wal::open(&store.log, &making.log, base, |_| Ok(()));
        let (tail, _) = opened.map_err(Box::new)?;
        let mut to = Log::start(tail, wall_ms)?;
        let (mut batch, mut last) = (Batch::default(), base);
        // The one that begins at the base or before it holds what follows.
        let first = self.logs.partition_point(|it| it.0 <= base).saturating_sub(1);
        for (_, path) in &self.logs[first..] {
            each_txn(path, |zxid, txn| {
                if zxid <= last {
                    return Ok(());
                }
                if zxid != last.next() && (zxid.0 >> 32 <= last.0 >> 32 || zxid.counter() != 1) {
                    return Err(TakeoverError::Gap { path: path.clone(), zxid, last });
                }
                last = zxid;
                batch.push(zxid, |out| out.extend_from_slice(txn));
                if BATCH_BYTES <= batch.len_bytes() {
                    to.append(&batch)?;
                    batch = Batch::default();
                }
                Ok(())
            })?;
        }
        if !batch.is_empty() {
            to.append(&batch)?;
        }
        Ok(last)
    }
}

/// Gives every transaction of a log file.
fn each_txn(
    path: &Path,
    mut each: impl FnMut(Zxid, &[u8]) -> Result<(), TakeoverError>,
) -> Result<(), TakeoverError> {
    let damaged = |source| TakeoverError::Log { path: path.to_owned(), source };
    let file = File::open(path).map_err(at("opening the log", path))?;
    let mut log = LogFile::open(BufReader::new(file)).map_err(damaged)?;
    let mut last = Zxid::ZERO;
    while let Some(txn) = log.next_txn().map_err(damaged)? {
        let header = TxnHeader::decode(txn);
        let header = header.map_err(|_| TakeoverError::NoTxn { path: path.to_owned(), last })?;
        last = header.zxid;
        each(last, txn)?;
    }
    Ok(())
}

fn at<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> TakeoverError + 'a {
    move |source| TakeoverError::Io { what, path: path.to_owned(), source }
}

/// Stands while a takeover is under way.
const UNDER_WAY: &str = "taking-over";
/// Stands when it is done, and holds the last transaction in hex.
const DONE: &str = "taken-over";

/// Bytes of transactions in one write.
const BATCH_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests;
