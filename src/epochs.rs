//! The two epochs that a member of an ensemble must not forget: files `acceptedEpoch` and `currentEpoch` beside the images.
//!
//! ZooKeeper: `QuorumPeer.loadDataBase`, `setAcceptedEpoch`, `setCurrentEpoch`, `AtomicFileOutputStream`. The text is
//! [`quorum::epoch_file`]'s, which Java reads. A file is replaced whole: another one is written beside it, synced and renamed over it, and the directory is synced; so after a
//! crash it is the old one or the new one.
//!
//! **Differs:** a last transaction of a later epoch than the current one is no error. A learner logs what its leader sends before that leader's
//! epoch becomes its current one (docs/zab.md, "Where we do otherwise"), and a crash in between leaves that.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use jute::Zxid;
use quorum::Epoch;
pub use quorum::epoch_file::EpochFile as Which;
use quorum::epoch_file::{self, EpochFileError};

/// The epochs cannot be had. Starting without would break what this server promised.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EpochError {
    /// The system refused a file.
    #[error("{path}: {what}: {source}", path = .path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file holds something else, or not what was written.
    #[error(
        "{path}: '{found}': {source}; restore this directory from a copy, or empty it to let the server learn everything from the others",
        path = .path.display()
    )]
    Garbage {
        /// Which file.
        path: PathBuf,
        /// Its first line, cut.
        found: String,
        /// What is wrong with it.
        source: EpochFileError,
    },
    /// What is current was never accepted.
    #[error(
        "{path}: the accepted epoch {accepted} is below the current epoch {current}: a file is old or lost; restore this directory from a \
         copy, or empty it to let the server learn everything from the others",
        path = .path.display()
    )]
    Crossed {
        /// The file of the accepted epoch.
        path: PathBuf,
        /// What it says, or what follows from the log if it is missing.
        accepted: Epoch,
        /// What the other says.
        current: Epoch,
    },
}

/// The files. Invariant: the current epoch is not above the accepted one.
#[derive(Debug)]
pub struct Epochs {
    dir: PathBuf,
    accepted: Epoch,
    current: Epoch,
}

impl Epochs {
    /// Reads the files in `dir`. One that is missing is written with the epoch of `last`, the last transaction logged.
    ///
    /// # Errors
    /// [`EpochError`].
    pub fn open(dir: &Path, last: Zxid) -> Result<Self, EpochError> {
        let mut epochs =
            Self { dir: dir.to_owned(), accepted: Epoch::of(last), current: Epoch::of(last) };
        let (accepted, current) = (epochs.read(Which::Accepted)?, epochs.read(Which::Current)?);
        epochs.accepted = accepted.unwrap_or(epochs.accepted);
        epochs.current = current.unwrap_or(epochs.current);
        let path = dir.join(Which::Accepted.name());
        if epochs.accepted < epochs.current {
            let (accepted, current) = (epochs.accepted, epochs.current);
            return Err(EpochError::Crossed { path, accepted, current });
        }
        for (which, found) in [(Which::Accepted, accepted), (Which::Current, current)] {
            if found.is_none() {
                let path = dir.join(which.name());
                let epoch = epochs.epoch(which);
                epochs.replace(which, epoch).map_err(|source| EpochError::Io {
                    what: "cannot write the epoch",
                    path,
                    source,
                })?;
            }
        }
        Ok(epochs)
    }

    /// What the file says.
    pub fn epoch(&self, which: Which) -> Epoch {
        match which {
            Which::Accepted => self.accepted,
            Which::Current => self.current,
        }
    }

    /// Makes `epoch` durable. Blocks for two syncs; an election needs two of these.
    ///
    /// Asserts that the epoch does not go back, and that what becomes current was accepted.
    ///
    /// # Errors
    /// The system's. What is on the disk is then not known: the server must not go on.
    pub fn write(&mut self, which: Which, epoch: Epoch) -> io::Result<()> {
        assert!(self.epoch(which) <= epoch, "{} goes back to {epoch}", which.name());
        assert!(which == Which::Accepted || epoch <= self.accepted, "{epoch} was not accepted");
        self.replace(which, epoch)?;
        match which {
            Which::Accepted => self.accepted = epoch,
            Which::Current => self.current = epoch,
        }
        Ok(())
    }

    fn replace(&self, which: Which, epoch: Epoch) -> io::Result<()> {
        let path = self.dir.join(which.name());
        let unfinished = self.dir.join(format!("{}.tmp", which.name()));
        let mut file = File::create(&unfinished)?;
        file.write_all(epoch_file::text(which, epoch).as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, &path)?;
        File::open(&self.dir)?.sync_all()
    }

    /// What a file says; `None` if it is missing.
    fn read(&self, which: Which) -> Result<Option<Epoch>, EpochError> {
        let path = self.dir.join(which.name());
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(EpochError::Io { what: "cannot read the epoch", path, source });
            }
        };
        let source = match epoch_file::read(which, &bytes) {
            Ok(epoch) => return Ok(Some(epoch)),
            Err(source) => source,
        };
        let text = String::from_utf8_lossy(&bytes);
        let line = text.lines().next().unwrap_or("");
        let found = line.chars().take(FOUND_MAX).flat_map(char::escape_debug).collect();
        Err(EpochError::Garbage { path, found, source })
    }
}

/// Characters of a strange file that are shown.
const FOUND_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(dir: &Path, last: i64) -> (Epoch, Epoch) {
        let epochs = Epochs::open(dir, Zxid(last)).unwrap();
        (epochs.epoch(Which::Accepted), epochs.epoch(Which::Current))
    }

    fn refusal(files: &[(&str, &str)], last: i64) -> String {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let text = Epochs::open(dir.path(), Zxid(last)).unwrap_err().to_string();
        text.replace(dir.path().to_str().unwrap(), "")
    }

    #[test]
    fn what_is_written_is_read_as_java_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut epochs = Epochs::open(dir.path(), Zxid::ZERO).unwrap();
        assert_eq!(opened(dir.path(), 0), (Epoch::ZERO, Epoch::ZERO));
        epochs.write(Which::Accepted, Epoch(7)).unwrap();
        assert_eq!(opened(dir.path(), 0), (Epoch(7), Epoch::ZERO));
        epochs.write(Which::Current, Epoch(7)).unwrap();
        assert_eq!(opened(dir.path(), 0), (Epoch(7), Epoch(7)));
        let text = fs::read_to_string(dir.path().join("acceptedEpoch")).unwrap();
        assert_eq!(text.lines().next(), Some("7"), "Java reads no more");
        fs::write(dir.path().join("currentEpoch"), "6\n").unwrap();
        assert_eq!(opened(dir.path(), 0), (Epoch(7), Epoch(6)));
    }

    #[test]
    fn a_missing_file_is_made_with_the_epoch_of_the_last_transaction() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(opened(dir.path(), 0x3_0000_0009), (Epoch(3), Epoch(3)));
        assert_eq!(opened(dir.path(), 0x4_0000_0000), (Epoch(3), Epoch(3)), "and then it counts");
    }

    #[test]
    fn a_log_may_be_ahead_of_the_current_epoch() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("acceptedEpoch"), "5").unwrap();
        fs::write(dir.path().join("currentEpoch"), "4").unwrap();
        assert_eq!(opened(dir.path(), 0x5_0000_0002), (Epoch(5), Epoch(4)));
    }

    #[test]
    fn what_is_no_epoch_is_named() {
        for text in ["", "x", "-1", "+1", " 1", "1 2", "99999999999999999999", "\n7"] {
            let found = text.lines().next().unwrap_or("");
            let want = format!("/currentEpoch: '{found}': allowed is one decimal number");
            assert!(refusal(&[("currentEpoch", text)], 0).starts_with(&want), "{text}");
        }
    }

    #[test]
    fn a_number_that_is_not_the_one_that_was_written_is_refused() {
        let text = epoch_file::text(Which::Current, Epoch(12)).replace("12\n", "13\n");
        let refusal = refusal(&[("acceptedEpoch", "20"), ("currentEpoch", &text)], 0);
        assert!(refusal.starts_with("/currentEpoch: '13': the checksum is not that of 13"));
    }

    #[test]
    fn a_current_epoch_that_was_never_accepted_is_refused() {
        let text = refusal(&[("acceptedEpoch", "4"), ("currentEpoch", "5")], 0);
        assert!(text.starts_with("/acceptedEpoch: the accepted epoch 4 is below the current"));
        let text = refusal(&[("currentEpoch", "5")], 0x4_0000_0001);
        assert!(text.starts_with("/acceptedEpoch: the accepted epoch 4 is below the current"));
    }

    #[test]
    fn what_a_crash_left_half_written_is_written_anew() {
        let dir = tempfile::tempdir().unwrap();
        let mut epochs = Epochs::open(dir.path(), Zxid::ZERO).unwrap();
        fs::write(dir.path().join("acceptedEpoch.tmp"), "12345").unwrap();
        assert_eq!(opened(dir.path(), 0), (Epoch::ZERO, Epoch::ZERO));
        epochs.write(Which::Accepted, Epoch(1)).unwrap();
        assert_eq!(opened(dir.path(), 0), (Epoch(1), Epoch::ZERO));
    }

    #[test]
    fn a_disk_that_refuses_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let mut epochs = Epochs::open(dir.path(), Zxid::ZERO).unwrap();
        fs::remove_dir_all(dir.path()).unwrap();
        assert!(epochs.write(Which::Accepted, Epoch(1)).is_err());
        assert_eq!(epochs.epoch(Which::Accepted), Epoch::ZERO);
        assert!(Epochs::open(dir.path(), Zxid::ZERO).is_err());
    }
}
