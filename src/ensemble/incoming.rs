//! An image of the tree that a leader sends: put together beside the tree that is here, which stays as it is until the image is durable.
//!
//! ZooKeeper: `Learner.syncWithLeader`, where SNAP has come. **Differs:** the reference empties its tree first, and what a broken connection leaves
//! is read again from the disk.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::task::Waker;

use engine::state::Fuzzy;
use jute::Zxid;
use quorum::zab::Link;
use snapshot::java::{Decoder, ExtendedTypes, StreamError};
use snapshot::{Beside, BesideError, ImageError, Label};

use crate::threads::Unpinned;

/// Where images go, and what trees beside are made of.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The directory of images.
    pub(crate) dir: PathBuf,
    /// Bytes of the region that serves.
    pub(crate) region_len: usize,
    /// How owners of TTL znodes are read.
    pub(crate) types: ExtendedTypes,
    /// Chance, for hashes.
    pub(crate) seed: [u64; 2],
    /// Threads that may block.
    pub(crate) helpers: Unpinned,
}

/// An image that is coming.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) link: Link,
    zxid: Zxid,
    beside: Beside,
    decoder: Decoder,
    len: u64,
}

/// What became of a piece.
pub(super) enum Took {
    /// More is to come.
    Part,
    /// So many bytes of the piece were the image's last.
    Whole(usize),
}

impl Incoming {
    /// The image of `zxid` begins on `link`.
    ///
    /// # Errors
    /// No memory.
    pub(super) fn begin(place: &Place, link: Link, zxid: Zxid) -> Result<Self, BesideError> {
        let beside = Beside::fresh(place.region_len, place.seed)?;
        Ok(Self { link, zxid, beside, decoder: Decoder::signed(place.types), len: 0 })
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// [`StreamError`]; the image is then of no use.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<Took, StreamError> {
        let taken = self.beside.take(&mut self.decoder, bytes)?;
        self.len += taken as u64;
        Ok(if self.decoder.is_done() { Took::Whole(taken) } else { Took::Part })
    }

    /// The image, once it came whole.
    pub(super) fn whole(mut self) -> Beside {
        assert!(self.decoder.is_done());
        self.beside.set_zxid(self.zxid);
        tracing::info!(zxid = %self.zxid, bytes = self.len, "the leader's image has come");
        self.beside
    }
}

/// An image on its way to the disk.
#[derive(Debug)]
pub(super) struct Installing(Receiver<(Beside, Result<(), ImageError>)>);

impl Installing {
    /// Begins to write it, durably under its name; log segments up to `void_sequence` are void then. `waker` is told when it is done.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn begin(
        mut beside: Beside,
        place: &Place,
        (void_sequence, begun_at_ms): (u64, i64),
        waker: Waker,
    ) -> std::io::Result<Self> {
        let (to, done) = channel();
        let dir: PathBuf = Path::to_owned(&place.dir);
        place.helpers.start("take-image", move || {
            // A leader that is Java's may have changed the tree while it sent it.
            let label = Label { begun_at_ms, void_sequence, fuzzy: Fuzzy::Yes, ..Label::default() };
            let written = beside.write(&dir, label);
            // Nobody is there any more only when the process ends.
            drop(to.send((beside, written)));
            waker.wake();
        })?;
        Ok(Self(done))
    }

    /// The image and what became of it, once it is known.
    pub(super) fn poll(&self) -> Option<(Beside, Result<(), ImageError>)> {
        match self.0.try_recv() {
            Ok(done) => Some(done),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => unreachable!("the thread says how it ended"),
        }
    }
}
