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

use super::incoming::Place;

/// What a learner needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) link: Link,
    /// The image must hold everything up to here.
    pub(super) at_least: Zxid,
}

/// An image that a learner is sent.
#[derive(Debug)]
pub(super) struct Aside {
    /// What the learner needs.
    pub(super) wanted: Wanted,
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
    /// There is none, or none so new.
    TooOld,
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
    /// An image must be made first.
    TooOld,
    /// There is none; the thread has said why.
    Failed,
}

impl Aside {
    /// Looks for the newest image; `waker` is told whenever there is something to do.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn begin(place: &Place, wanted: Wanted, waker: Waker) -> std::io::Result<Self> {
        let (to, pieces) = sync_channel(PIECES_AHEAD);
        let (dir, Wanted { link, at_least }) = (place.dir.clone(), wanted);
        place.helpers.start("send-image", move || {
            if let Err(error) = read((&dir, at_least), &to, &waker) {
                tracing::error!(?link, "a learner needs an image, which cannot be sent: {error}");
            }
            drop(to);
            waker.wake();
        })?;
        Ok(Self { wanted, pieces, stage: Stage::Choosing })
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
            Ok(Piece::TooOld) => Next::TooOld,
            Ok(Piece::Bytes(bytes)) => Next::Bytes(bytes),
            Ok(Piece::End) => Next::Sent,
            Err(TryRecvError::Empty) => Next::Nothing,
            Err(TryRecvError::Disconnected) => Next::Failed,
        }
    }
}

/// Gives the newest image away, until all of it is, or nobody takes it any more.
fn read(
    (dir, at_least): (&Path, Zxid),
    to: &SyncSender<Piece>,
    waker: &Waker,
) -> Result<(), BesideError> {
    let give = |piece: Piece| {
        let taken = to.send(piece).is_ok();
        waker.wake_by_ref();
        taken
    };
    let Some(beside) = Beside::newest(dir)?.filter(|it| at_least <= it.zxid()) else {
        give(Piece::TooOld);
        return Ok(());
    };
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

/// Bytes of a piece, or a little more; one znode may take it beyond.
const PIECE_LEN: usize = 256 << 10;

/// Pieces that are ready before the link takes them.
const PIECES_AHEAD: usize = 4;
