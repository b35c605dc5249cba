//! The data directories: locked, and read into the arena at start.
//!
//! ZooKeeper: `FileTxnSnapLog.restore`. What each file holds is in `docs/disk.md`.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

/// A directory under the configured one, so that ZooKeeper's `version-2` stays alone.
pub(crate) const DIR: &str = "ringkeeper-1";

/// The data cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
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
    /// Another server has the directory.
    #[error("{path}: another server uses this data directory; stop it, or choose another by dataDir or --data-dir", path = .path.display())]
    InUse {
        /// The lock file.
        path: PathBuf,
    },
    /// The directory is not there, and is not to be made.
    #[error("{path}: no such directory, and zookeeper.datadir.autocreate is false; make it or set the key", path = .path.display())]
    Missing {
        /// Which.
        path: PathBuf,
    },
}

/// The directories of one server, held until dropped.
#[derive(Debug)]
pub(crate) struct Store {
    /// Where images are.
    pub(crate) images: PathBuf,
    /// Where log segments are.
    pub(crate) log: PathBuf,
    /// Where a ZooKeeper server would have kept its snapshots, and its log.
    pub(crate) foreign: [PathBuf; 2],
    /// The locks live as long as the files are open.
    _locks: Vec<File>,
}

/// Whether missing directories are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// They are made.
    Create,
    /// They are an error.
    Refuse,
}

impl Store {
    /// Locks the directories, which are made if they are missing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn open(data: &Path, log: &Path, missing: Missing) -> Result<Self, StoreError> {
        let mut locks = Vec::new();
        for dir in [data, log] {
            if missing == Missing::Refuse && !dir.is_dir() {
                return Err(StoreError::Missing { path: dir.to_owned() });
            }
            let ours = dir.join(DIR);
            fs::create_dir_all(&ours).map_err(at("cannot make the directory", &ours))?;
        }
        let mut locked = vec![data];
        if data != log {
            locked.push(log);
        }
        for dir in locked {
            locks.push(lock(&dir.join(DIR).join("lock"), PATIENCE)?);
        }
        let foreign = [data, log].map(|it| it.join("version-2"));
        Ok(Self { images: data.join(DIR), log: log.join(DIR), foreign, _locks: locks })
    }

    /// Whether an empty directory is meant to be: somebody made a file `initialize` in `data`, which is moved to ours now, or was before.
    ///
    /// Source: `FileTxnSnapLog.restore`, which removes it and writes an empty snapshot.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub(crate) fn is_initialized(&self, data: &Path) -> Result<bool, StoreError> {
        let (asked, done) = (data.join("initialize"), self.images.join("initialized"));
        if asked.exists() {
            fs::rename(&asked, &done).map_err(at("cannot move the file", &asked))?;
            let synced = File::open(&self.images).and_then(|it| it.sync_all());
            synced.map_err(at("cannot sync the directory", &self.images))?;
        }
        Ok(done.exists())
    }
}

/// How long a start waits for the lock: the kernel lets go of it some milliseconds after a server was killed, on a busy machine tenths of a second.
const PATIENCE: Duration = Duration::from_secs(3);

/// Takes the lock of a directory, within `patience`.
#[expect(clippy::disallowed_methods, reason = "no shard runs yet that could be blocked")]
fn lock(path: &Path, patience: Duration) -> Result<File, StoreError> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(at("cannot open the lock", path))?;
    // Counted in pauses, not by the clock: time in which this process does not run is no time in which the other one could have ended.
    for _ in 0..=patience.as_millis() / PAUSE.as_millis() {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(Errno::WOULDBLOCK) => std::thread::sleep(PAUSE),
            Err(errno) => return Err(at("cannot lock", path)(errno.into())),
        }
    }
    Err(StoreError::InUse { path: path.to_owned() })
}

/// Between two tries to take a lock.
const PAUSE: Duration = Duration::from_millis(5);

fn at<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> StoreError + 'a {
    move |source| StoreError::Io { what, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

    use super::*;

    #[test]
    fn a_lock_that_is_let_go_meanwhile_is_taken_and_another_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = lock(&path, Duration::ZERO).unwrap();
        let refused = lock(&path, 2 * PAUSE);
        assert!(matches!(refused, Err(StoreError::InUse { .. })), "{refused:?}");
        let let_go = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let taken = lock(&path, 10 * PATIENCE);
                (taken, let_go.load(SeqCst))
            });
            let_go.store(true, SeqCst);
            drop(held);
            let (taken, let_go) = waiting.join().unwrap();
            assert!(taken.is_ok() && let_go, "{taken:?}");
        });
    }
}
