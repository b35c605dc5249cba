//! What every run is checked for, as it runs: by the order of zxids, which everybody can see.
//!
//! The properties of the Zab paper (integrity, total order, agreement, primary order, prefix), what a client was told, and what
//! must be on whose disk when.

use std::collections::BTreeMap;

use jute::Zxid;
use quorum::{Epoch, Sid};

use crate::disk::{Image, Txn, follows};
use crate::replay::Replay;
use crate::violation::Violation;

/// What happened so far, as an observer sees it who sees everything.
#[derive(Debug, Default)]
pub struct Checker {
    /// Every transaction that anybody applied, in order, with the state after it.
    history: Vec<Image>,
    proposed: BTreeMap<Zxid, u64>,
    leaders: BTreeMap<Epoch, (Sid, u64)>,
    /// What the tree amounts to after some of them.
    digests: BTreeMap<Zxid, u64>,
    /// What they make, and what clients asked.
    pub(crate) replay: Replay,
    /// Epochs begin behind this counter.
    first_counter: u32,
    /// What clients were told.
    acked: Vec<Zxid>,
    /// The last of them.
    acked_max: Zxid,
}

/// Bytes to a number.
fn digest(bytes: &[u8]) -> u64 {
    let step = |it: u64, &byte: &u8| (it ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

impl Checker {
    /// Nothing has happened. Epochs begin behind this counter.
    pub fn new(first_counter: u32) -> Self {
        Self { first_counter, ..Self::default() }
    }

    /// How many transactions are committed.
    pub fn committed(&self) -> u64 {
        self.history.len() as u64
    }

    /// The last of them.
    pub fn end(&self) -> Zxid {
        self.history.last().map_or(Zxid::ZERO, |it| it.zxid)
    }

    /// The last transaction that a client knows to be written.
    pub fn told_max(&self) -> Zxid {
        self.acked_max
    }

    /// How many writes were acknowledged.
    pub fn acked_count(&self) -> usize {
        self.acked.len()
    }

    /// A leader proposes.
    ///
    /// # Errors
    /// [`Violation::NotProposed`] if the zxid was given away before.
    pub fn propose(&mut self, sid: Sid, zxid: Zxid, bytes: &[u8]) -> Result<(), Violation> {
        match self.proposed.insert(zxid, digest(bytes)) {
            Some(before) if before != digest(bytes) => Err(Violation::NotProposed { sid, zxid }),
            _ => Ok(()),
        }
    }

    /// A server applies a transaction, and is in this state then. Whether it is the first to do so.
    ///
    /// # Errors
    /// The [`Violation`].
    pub fn apply(&mut self, sid: Sid, txn: &Txn, after: Image) -> Result<bool, Violation> {
        let zxid = txn.zxid;
        if self.proposed.get(&zxid) != Some(&digest(&txn.bytes)) {
            return Err(Violation::NotProposed { sid, zxid });
        }
        if after.count <= self.committed() {
            self.check_image(sid, after)?;
            return Ok(false);
        }
        assert_eq!(after.count, self.committed() + 1);
        let last = self.history.last().map_or(Zxid::ZERO, |it| it.zxid);
        if !follows(self.first_counter, last, zxid) {
            return Err(Violation::OrderOfZxids { zxid, last });
        }
        self.history.push(after);
        self.replay.apply(&txn.bytes)?;
        Ok(true)
    }

    /// A server's tree amounts to this after that transaction.
    ///
    /// # Errors
    /// [`Violation::OtherTree`] if another's amounts to something else.
    pub fn tree(&mut self, sid: Sid, zxid: Zxid, digest: u64) -> Result<(), Violation> {
        let known = *self.digests.entry(zxid).or_insert(digest);
        if known == digest { Ok(()) } else { Err(Violation::OtherTree { sid, zxid }) }
    }

    /// The state behind a transaction of the history.
    pub fn image_at(&self, zxid: Zxid) -> Option<Image> {
        let idx = self.history.binary_search_by_key(&zxid, |it| it.zxid).ok()?;
        self.history.get(idx).copied()
    }

    /// A server is in this state.
    ///
    /// # Errors
    /// [`Violation::Disagreement`], [`Violation::OtherState`].
    pub fn check_image(&self, sid: Sid, image: Image) -> Result<(), Violation> {
        let Some(idx) = image.count.checked_sub(1) else { return Ok(()) };
        let Image { zxid, count, .. } = image;
        let Some(known) = self.history.get(idx as usize) else {
            return Err(Violation::CommittedUnknown { sid, zxid });
        };
        if known.zxid != zxid {
            Err(Violation::Disagreement { sid, zxid, count, expected: known.zxid })
        } else if known.digest != image.digest {
            Err(Violation::OtherState { sid, zxid })
        } else {
            Ok(())
        }
    }

    /// A leader begins to serve, in this state; `life` is which of its lives.
    ///
    /// # Errors
    /// [`Violation::TwoLeaders`], [`Violation::LeaderLacks`].
    pub fn lead(
        &mut self,
        (sid, life): (Sid, u64),
        epoch: Epoch,
        state: Image,
    ) -> Result<(), Violation> {
        // One that is late to hear of its quorum may serve behind its successor; it can commit nothing more.
        let is_last = self.leaders.keys().all(|&it| it < epoch);
        match self.leaders.insert(epoch, (sid, life)) {
            Some((one, _)) => Err(Violation::TwoLeaders { epoch, one, other: sid }),
            None if is_last && state.count < self.committed() => {
                let (count, committed) = (state.count, self.committed());
                Err(Violation::LeaderLacks { sid, epoch, count, committed })
            }
            None => Ok(()),
        }
    }

    /// A client is told that its write is done, which it began when `before` was acknowledged to somebody.
    ///
    /// # Errors
    /// [`Violation::RealTime`].
    pub fn ack(&mut self, before: Zxid, zxid: Zxid) -> Result<(), Violation> {
        if zxid <= before {
            return Err(Violation::RealTime { before, zxid });
        }
        self.acked.push(zxid);
        self.acked_max = self.acked_max.max(zxid);
        Ok(())
    }

    /// Whether everything that was acknowledged is in the history.
    ///
    /// # Errors
    /// [`Violation::AckedLost`].
    pub fn check_acked(&self) -> Result<(), Violation> {
        for &zxid in &self.acked {
            if self.history.binary_search_by_key(&zxid, |it| it.zxid).is_err() {
                return Err(Violation::AckedLost { zxid });
            }
        }
        Ok(())
    }
}
