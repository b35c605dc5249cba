//! A segment that is being written is held, so that a server which starts waits for the writes of one that was killed.
//!
//! A process is gone before its ring is: a write that was on its way to a slow disk may still land after the next server has read
//! the segment and written behind what it found. The lock taken here (flock) belongs to the open file, and a write on its way keeps
//! that open; so the lock is free only when all writes have ended. Absent here: the lock that keeps two servers apart, which the
//! caller has.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::fs::FlockOperation;
use rustix::io::Errno;
use tracing::warn;

/// How long a start waits for a file: a write takes microseconds, on a disk that hangs seconds. After this somebody should look.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Holds a segment's file as long as it is open, writes on their way included.
pub(crate) fn hold(file: &File) -> io::Result<()> {
    Ok(rustix::fs::flock(file, FlockOperation::NonBlockingLockShared)?)
}

/// Whether a file became free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// Nobody holds it.
    Free,
    /// Somebody still does, after all that patience.
    Held,
}

/// Waits until nobody holds the file at `path`, for `patience` at most.
///
/// # Errors
/// The system's.
pub(crate) fn wait(path: &Path, patience: Duration) -> io::Result<Waited> {
    // For writing too: a network file system gives an exclusive lock to nobody else.
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut waited = Duration::ZERO;
    loop {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Waited::Free),
            Err(Errno::WOULDBLOCK) if waited < patience => {}
            Err(Errno::WOULDBLOCK) => return Ok(Waited::Held),
            Err(errno) => return Err(errno.into()),
        }
        if waited == SAY_AFTER {
            warn!(file = %path.display(), "waiting for the writes of a killed server to end");
        }
        pause();
        waited += PAUSE;
    }
}

/// Of a process that was killed with nothing on its way, the kernel's tidying up takes some milliseconds.
const SAY_AFTER: Duration = Duration::from_millis(500);

const PAUSE: Duration = Duration::from_millis(1);

#[expect(clippy::disallowed_methods, reason = "runs before the shards start")]
fn pause() {
    std::thread::sleep(PAUSE);
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
    use std::thread;
    use std::time::Duration;

    use super::{PATIENCE, Waited, hold, pause, wait};

    #[test]
    fn a_held_file_is_waited_for_and_a_free_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("segment");
        let held = File::create(&path).unwrap();
        assert_eq!(wait(&path, Duration::ZERO).unwrap(), Waited::Free);
        hold(&held).unwrap();
        // As a write on its way does: the descriptor is closed, and the open file is not.
        let kept = held.try_clone().unwrap();
        drop(held);
        assert_eq!(wait(&path, Duration::from_millis(3)).unwrap(), Waited::Held);
        let ended = AtomicBool::new(false);
        thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                assert_eq!(wait(&path, PATIENCE).unwrap(), Waited::Free);
                ended.load(SeqCst)
            });
            pause();
            pause();
            ended.store(true, SeqCst);
            drop(kept);
            assert!(waiting.join().unwrap(), "the wait was over before the write");
        });
    }
}
