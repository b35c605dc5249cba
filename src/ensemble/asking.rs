//! Where the log can be read from for a learner that is behind what is in memory, and whether that, or an image, is the shorter way.
//!
//! ZooKeeper: `LearnerHandler.syncFollower`, `ZKDatabase.calculateTxnLogSizeLimit`. **Differs:** the reference sends an image if the log's files are
//! longer than a third of it; here the bytes on either way are compared. A thread of its own reads, since both may be long.

use std::error::Error;
use std::path::Path;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::task::Waker;

use jute::Zxid;
use quorum::zab::Link;
use wal::LogReader;

use super::incoming::Place;

/// A learner for which the log is asked.
#[derive(Debug)]
pub(super) struct Asking {
    pub(super) link: Link,
    answer: Receiver<Floor>,
}

/// What the log has answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Floor(
    /// The last transaction up to the one asked for; none if an image is to be sent.
    pub(super) Option<Zxid>,
);

impl Asking {
    /// Looks for the last transaction up to and including `zxid`; `waker` is told when that is known.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn begin(
        log: LogReader,
        place: &Place,
        (link, zxid): (Link, Zxid),
        waker: Waker,
    ) -> std::io::Result<Self> {
        let (to, answer) = channel();
        let dir = place.dir.clone();
        place.helpers.start("ask-log", move || {
            let floor = floor(&log, &dir, zxid).unwrap_or_else(|error| {
                tracing::error!(?link, "the log cannot be read for a learner: {error}");
                None
            });
            if to.send(Floor(floor)).is_ok() {
                waker.wake();
            }
        })?;
        Ok(Self { link, answer })
    }

    /// The answer, once it is there.
    pub(super) fn poll(&self) -> Option<Floor> {
        match self.answer.try_recv() {
            Ok(floor) => Some(floor),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => unreachable!("the thread says what it found"),
        }
    }
}

fn floor(log: &LogReader, dir: &Path, zxid: Zxid) -> Result<Option<Zxid>, Box<dyn Error>> {
    let Some(floor) = log.floor(zxid)? else { return Ok(None) };
    // What follows an image is sent either way.
    if let Some((image, len)) = snapshot::inspect::newest(dir)?
        && floor < image
        && log.is_longer(floor, image, len)?
    {
        tracing::info!(%floor, %image, image_len = len, "an image is shorter than the log");
        return Ok(None);
    }
    Ok(Some(floor))
}
