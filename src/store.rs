//! The data directories: locked, and read into the arena at start.
//!
//! ZooKeeper: `FileTxnSnapLog.restore`. What each file holds is in `docs/disk.md`.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

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
            locks.push(lock(&dir.join(DIR).join("lock"))?);
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

fn lock(path: &Path) -> Result<File, StoreError> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(at("cannot open the lock", path))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StoreError::InUse { path: path.to_owned() }),
        Err(errno) => Err(at("cannot lock", path)(errno.into())),
    }
}

fn at<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> StoreError + 'a {
    move |source| StoreError::Io { what, path: path.to_owned(), source }
}
