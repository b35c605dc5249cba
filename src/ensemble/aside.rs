//! An image of the tree on its way to a learner.
//!
//! ZooKeeper: `LearnerHandler.run`, where `needSnap`. **Differs:** what is sent is the newest image on the disk, as one exact state, and what came
//! after it follows from the log; the tree that serves is not walked. A thread of its own reads and encodes, as far ahead of the link as the
//! channel is long.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::task::Waker;

use jute::Zxid;
use quorum::zab::Link;
use snapshot::java::Encoder;
use snapshot::{Beside, BesideError};

use crate::threads::Unpinned;

/// An image that a learner is sent.
#[derive(Debug)]
pub(super) struct Aside {
    pub(super) link: Link,
    pieces: Receiver<Piece>,
    stage: Stage,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The image is looked for.
    Choosing,
    /// It waits to be asked for.
    Chosen,
    /// It is sent.
    Sending,
}

/// What the thread says, in this order.
#[derive(Debug)]
enum Piece {
    /// The image's last transaction.
    Chosen(Zxid),
    /// The next of the stream.
    Bytes(Vec<u8>),
    /// That was all.
    End,
}

/// What is to be done next.
#[derive(Debug)]
pub(super) enum Next {
    /// Nothing yet.
    Nothing,
    /// The machine is told which image it is.
    Chosen(Zxid),
    /// Bytes for the link.
    Bytes(Vec<u8>),
    /// The machine is told that it is sent.
    Sent,
    /// There is none; the thread has said why.
    Failed,
}

impl Aside {
    /// Looks for the newest image in `dir`; `waker` is told whenever there is something to do.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn begin(
        dir: &Path,
        link: Link,
        helpers: &Unpinned,
        waker: Waker,
    ) -> std::io::Result<Self> {
        let (to, pieces) = sync_channel(PIECES_AHEAD);
        let dir = dir.to_owned();
        helpers.start("send-image", move || {
            if let Err(error) = read(&dir, &to, &waker) {
                tracing::error!(?link, "a learner needs an image, which cannot be sent: {error}");
            }
            drop(to);
            waker.wake();
        })?;
        Ok(Self { link, pieces, stage: Stage::Choosing })
    }

    /// The link is ready for it.
    pub(super) fn ask(&mut self) {
        self.stage = Stage::Sending;
    }

    /// What is to be done; the link takes bytes now.
    pub(super) fn next(&mut self) -> Next {
        if self.stage == Stage::Chosen {
            return Next::Nothing;
        }
        match self.pieces.try_recv() {
            Ok(Piece::Chosen(zxid)) => {
                self.stage = Stage::Chosen;
                Next::Chosen(zxid)
            }
            Ok(Piece::Bytes(bytes)) => Next::Bytes(bytes),
            Ok(Piece::End) => Next::Sent,
            Err(TryRecvError::Empty) => Next::Nothing,
            Err(TryRecvError::Disconnected) => Next::Failed,
        }
    }
}

/// Gives the newest image away, until all of it is, or nobody takes it any more.
fn read(dir: &Path, to: &SyncSender<Piece>, waker: &Waker) -> Result<(), AsideError> {
    let give = |piece: Piece| {
        let taken = to.send(piece).is_ok();
        waker.wake_by_ref();
        taken
    };
    let beside = Beside::newest(dir)?.ok_or(AsideError::None)?;
    let mut encoder = Encoder::signed();
    let mut goes_on = give(Piece::Chosen(beside.zxid()));
    while goes_on && !encoder.is_done() {
        let mut bytes = Vec::with_capacity(PIECE_LEN + PIECE_LEN / 4);
        beside.give(&mut encoder, PIECE_LEN, &mut bytes);
        goes_on = give(Piece::Bytes(bytes));
    }
    give(Piece::End);
    Ok(())
}

/// No image can be sent.
#[derive(Debug, thiserror::Error)]
enum AsideError {
    #[error(transparent)]
    Beside(#[from] BesideError),
    #[error("no whole image is there")]
    None,
}

/// Bytes of a piece, or a little more; one znode may take it beyond.
const PIECE_LEN: usize = 256 << 10;

/// Pieces that are ready before the link takes them.
const PIECES_AHEAD: usize = 4;
