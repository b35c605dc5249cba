//! The disk as a peer of the ensemble's machine: writes in the order in which they were ordered, each durable before the next
//! of another kind begins.
//!
//! Transactions go to the log, those that wait as one write. Epochs and cuts of the log are rare, at elections only, and block; a leader's image
//! is written by a thread of its own.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::task::{Context, Poll};

use jute::Zxid;
use quorum::Epoch;
use quorum::zab::WriteId;
use snapshot::Beside;
use wal::{Batch, Log};

use super::backlog::{Logged, Whose};
use super::incoming::{Installing, Place};
use crate::clock;
use crate::epochs::{Epochs, Which};
use crate::threads::ShardError;

/// Bytes of transactions after which another batch is begun.
const BATCH_BYTES_MAX: usize = 4 << 20;

/// Bytes of a batch whose memory is kept for another.
const SPARE_BYTES_MAX: usize = 256 << 10;

/// One batch on its way to the log.
#[derive(Debug)]
struct Append {
    logged: Logged,
    /// Its last write.
    last: WriteId,
}

#[derive(Debug)]
enum Job {
    Append(Append),
    Truncate { to: Zxid, write: WriteId },
    Epoch { which: Which, epoch: Epoch, write: WriteId },
    Install { image: Box<Beside>, write: WriteId },
}

/// Something is durable.
#[derive(Debug)]
pub(crate) enum Written {
    /// A batch is in the log.
    Batch { logged: Logged, last: WriteId, took_ms: u64 },
    /// The log ends with `to`.
    Truncated { to: Zxid, write: WriteId },
    /// An epoch is in its file.
    Epoch { write: WriteId },
    /// An image is on the disk, and the log empty behind it; segments up to the number are void.
    Installed { image: Box<Beside>, void_sequence: u64, write: WriteId },
}

/// The log, the epoch files, and what is on its way to them.
#[derive(Debug)]
pub(crate) struct Disk {
    log: Log,
    epochs: Epochs,
    jobs: VecDeque<Job>,
    writing: Option<Append>,
    /// An image that is being written, and the number of the last segment in front of it.
    installing: Option<(Installing, u64, WriteId)>,
    place: Place,
    /// An empty batch that has memory.
    spare: Option<Batch>,
    /// When that was begun, monotonic milliseconds.
    began_ms: u64,
}

impl Disk {
    pub(crate) fn new(log: Log, epochs: Epochs, place: Place) -> Self {
        let (jobs, writing, installing) = (VecDeque::new(), None, None);
        Self { log, epochs, jobs, writing, installing, place, spare: None, began_ms: 0 }
    }

    /// Where images are.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Readable when the write under way is done.
    pub(crate) fn ring(&self) -> BorrowedFd<'_> {
        self.log.ring()
    }

    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    /// Whether nothing is on its way.
    pub(crate) fn is_idle(&self) -> bool {
        self.writing.is_none() && self.installing.is_none() && self.jobs.is_empty()
    }

    /// Orders a transaction from a leader.
    pub(crate) fn append(&mut self, write: WriteId, zxid: Zxid, txn: &[u8]) {
        let push = |batch: &mut Batch| batch.push(zxid, |out| out.extend_from_slice(txn));
        if let Some(Job::Append(append)) = self.jobs.back_mut()
            && append.logged.whose == Whose::Nobody
            && append.logged.batch.len_bytes() + txn.len() < BATCH_BYTES_MAX
        {
            push(&mut append.logged.batch);
            append.last = write;
            return;
        }
        let mut batch = self.spare.take().unwrap_or_default();
        push(&mut batch);
        let logged = Logged { batch, whose: Whose::Nobody };
        self.jobs.push_back(Job::Append(Append { logged, last: write }));
    }

    /// Takes a batch back whose records are applied, for its memory.
    pub(crate) fn take_back(&mut self, done: Option<Batch>) {
        if let Some(mut batch) = done.filter(|it| it.len_bytes() <= SPARE_BYTES_MAX) {
            batch.clear();
            self.spare = Some(batch);
        }
    }

    /// Orders a batch of the pipeline of this leader.
    pub(crate) fn append_batch(&mut self, last: WriteId, batch: Batch) {
        let logged = Logged { batch, whose: Whose::Pipeline };
        self.jobs.push_back(Job::Append(Append { logged, last }));
    }

    /// Orders a cut of the log.
    pub(crate) fn truncate(&mut self, write: WriteId, to: Zxid) {
        self.jobs.push_back(Job::Truncate { to, write });
    }

    /// Orders an epoch.
    pub(crate) fn set_epoch(&mut self, write: WriteId, which: Which, epoch: Epoch) {
        self.jobs.push_back(Job::Epoch { which, epoch, write });
    }

    /// Orders that an image takes the place of all images and of the log.
    pub(crate) fn install(&mut self, write: WriteId, image: Beside) {
        self.jobs.push_back(Job::Install { image: Box::new(image), write });
    }

    /// The role has ended: nobody waits for any batch.
    pub(crate) fn disown(&mut self) {
        let queued = self.jobs.iter_mut().filter_map(|job| match job {
            Job::Append(append) => Some(append),
            _ => None,
        });
        for append in queued.chain(&mut self.writing) {
            append.logged.whose = Whose::Nobody;
        }
    }

    /// Begins what is next, and says what is durable; looks again when [`Disk::ring`] is readable.
    ///
    /// # Errors
    /// [`ShardError`]: a write failed, and nothing behind it is ever acknowledged.
    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Result<Option<Written>, ShardError> {
        loop {
            if let Some(append) = self.writing.take() {
                match self.log.poll_append(&append.logged.batch, cx) {
                    Poll::Pending => {
                        self.writing = Some(append);
                        return Ok(None);
                    }
                    Poll::Ready(done) => {
                        done?;
                        let took_ms = clock::now_ms().saturating_sub(self.began_ms);
                        let Append { logged, last } = append;
                        return Ok(Some(Written::Batch { logged, last, took_ms }));
                    }
                }
            }
            if let Some((installing, void_sequence, write)) = self.installing.take() {
                let Some((image, done)) = installing.poll() else {
                    self.installing = Some((installing, void_sequence, write));
                    self.log.rest(clock::now_ms())?;
                    return Ok(None);
                };
                done?;
                // Behind the image: a crash in between leaves segments that it calls void.
                self.log.restart(image.zxid())?;
                let image = Box::new(image);
                return Ok(Some(Written::Installed { image, void_sequence, write }));
            }
            match self.jobs.pop_front() {
                None => {
                    self.log.rest(clock::now_ms())?;
                    return Ok(None);
                }
                Some(Job::Install { image, write }) => {
                    let void_sequence = self.log.sequence();
                    let stamp = (void_sequence, clock::wall_ms());
                    let waker = cx.waker().clone();
                    let begun = Installing::begin(*image, &self.place, stamp, waker);
                    let installing = begun.map_err(ShardError::Thread)?;
                    self.installing = Some((installing, void_sequence, write));
                }
                Some(Job::Append(append)) => {
                    self.began_ms = clock::now_ms();
                    self.log.begin_append(&append.logged.batch, cx)?;
                    self.writing = Some(append);
                }
                Some(Job::Truncate { to, write }) => {
                    self.log.truncate(to)?;
                    return Ok(Some(Written::Truncated { to, write }));
                }
                Some(Job::Epoch { which, epoch, write }) => {
                    self.epochs.write(which, epoch).map_err(ShardError::Epoch)?;
                    return Ok(Some(Written::Epoch { write }));
                }
            }
        }
    }
}
