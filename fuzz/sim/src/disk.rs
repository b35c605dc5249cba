//! A server's disk: what is durable, and what is on its way.
//!
//! Writes are made in their order: appends in one go, anything else alone. A crash leaves a beginning of what was under way, and
//! nothing of what waited behind it.

use std::collections::VecDeque;
use std::rc::Rc;

use jute::Zxid;
use quorum::Epoch;
use quorum::zab::{Restored, WriteId};

use crate::chance::Chance;
use crate::violation::Violation;

/// A transaction.
#[derive(Clone, Debug, Hash)]
pub struct Txn {
    /// Its place.
    pub zxid: Zxid,
    /// Its bytes.
    pub bytes: Rc<[u8]>,
}

/// The state after a number of transactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Image {
    /// The last of them.
    pub zxid: Zxid,
    /// How many.
    pub count: u64,
    /// What they amount to.
    pub digest: u64,
}

impl Image {
    /// The state after one more.
    #[must_use]
    pub fn after(self, txn: &Txn) -> Self {
        let mut digest = self.digest ^ txn.zxid.0 as u64;
        for &byte in &*txn.bytes {
            digest = (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Self { zxid: txn.zxid, count: self.count + 1, digest }
    }
}

/// The files.
#[derive(Clone, Debug, Hash)]
pub struct Files {
    /// The promised epoch.
    pub accepted: Epoch,
    /// The current epoch.
    pub current: Epoch,
    /// The newest image.
    pub image: Image,
    /// The log holds everything behind this one.
    pub log_after: Zxid,
    /// The log.
    pub log: Vec<Txn>,
}

impl Default for Files {
    fn default() -> Self {
        Self {
            accepted: Epoch::ZERO,
            current: Epoch::ZERO,
            image: Image::default(),
            log_after: Zxid::ZERO,
            log: Vec::new(),
        }
    }
}

impl Files {
    /// The last transaction that they hold.
    pub fn last(&self) -> Zxid {
        self.log.last().map_or(self.log_after, |it| it.zxid).max(self.image.zxid)
    }

    /// Whether a transaction is in the log, or in the image.
    pub fn holds(&self, zxid: Zxid) -> bool {
        zxid <= self.image.zxid || self.log.binary_search_by_key(&zxid, |it| it.zxid).is_ok()
    }

    /// The last transaction of the log up to `zxid`, if the log can be read from there.
    pub fn floor(&self, zxid: Zxid) -> Option<Zxid> {
        let idx = self.log.partition_point(|it| it.zxid <= zxid);
        match idx.checked_sub(1) {
            Some(idx) => Some(self.log[idx].zxid),
            None => (self.log_after <= zxid).then_some(self.log_after),
        }
    }

    /// Drops the log up to and including `zxid`, which an image covers.
    pub fn purge(&mut self, zxid: Zxid) {
        let zxid = zxid.min(self.image.zxid);
        let count = self.log.partition_point(|it| it.zxid <= zxid);
        if let Some(last) = self.log.drain(..count).next_back() {
            self.log_after = last.zxid;
        }
    }

    /// Makes one write.
    ///
    /// # Errors
    /// [`Violation`] if it is one that must never be made.
    pub fn write(&mut self, write: &DiskWrite) -> Result<(), Violation> {
        match write {
            DiskWrite::Append(txn) => {
                let (last, zxid) = (self.last(), txn.zxid);
                let follows =
                    zxid == last.next() || last.epoch() < zxid.epoch() && zxid.counter() == 1;
                if !follows {
                    return Err(Violation::LogGap { last, zxid });
                }
                self.log.push(txn.clone());
            }
            DiskWrite::Truncate(to) => {
                let count = self.log.partition_point(|it| it.zxid <= *to);
                self.log.truncate(count);
            }
            DiskWrite::Accepted(epoch) => {
                if *epoch < self.accepted {
                    return Err(Violation::EpochWentBack { from: self.accepted, to: *epoch });
                }
                self.accepted = *epoch;
            }
            DiskWrite::Current(epoch) => {
                if *epoch < self.current || self.accepted < *epoch {
                    return Err(Violation::EpochWentBack { from: self.current, to: *epoch });
                }
                self.current = *epoch;
            }
            DiskWrite::Install(image) => {
                self.image = *image;
                self.log.clear();
                self.log_after = image.zxid;
            }
        }
        Ok(())
    }

    /// What a server finds when it starts. A log that ends in front of the image is of no use any more.
    pub fn restore(&mut self) -> Restored {
        if self.log.last().map_or(self.log_after, |it| it.zxid) < self.image.zxid {
            self.log.clear();
            self.log_after = self.image.zxid;
        }
        Restored {
            accepted: self.accepted,
            current: self.current,
            last: self.last(),
            committed: self.image.zxid,
        }
    }
}

/// A write.
#[derive(Clone, Debug, Hash)]
pub enum DiskWrite {
    /// A transaction behind the last.
    Append(Txn),
    /// Nothing behind this one.
    Truncate(Zxid),
    /// The promised epoch.
    Accepted(Epoch),
    /// The current epoch.
    Current(Epoch),
    /// An image instead of everything.
    Install(Image),
}

/// The files, and the writes on their way to them.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    /// What is durable.
    pub files: Files,
    waiting: VecDeque<(WriteId, DiskWrite)>,
    under_way: Vec<(WriteId, DiskWrite)>,
}

impl Disk {
    /// A write is ordered.
    pub fn order(&mut self, id: WriteId, write: DiskWrite) {
        self.waiting.push_back((id, write));
    }

    /// Begins the next writes if none are under way. Whether any are now.
    pub fn begin(&mut self) -> bool {
        if !self.under_way.is_empty() {
            return false;
        }
        while let Some(next) = self.waiting.pop_front() {
            let is_append = matches!(next.1, DiskWrite::Append(_));
            self.under_way.push(next);
            let more = self.waiting.front();
            if !is_append || !more.is_some_and(|(_, it)| matches!(it, DiskWrite::Append(_))) {
                break;
            }
        }
        !self.under_way.is_empty()
    }

    /// The writes under way are durable. The last of them.
    ///
    /// # Errors
    /// [`Violation`] if one must never be made.
    pub fn end(&mut self) -> Result<Option<WriteId>, Violation> {
        let mut last = None;
        for (id, write) in std::mem::take(&mut self.under_way) {
            self.files.write(&write)?;
            last = Some(id);
        }
        Ok(last)
    }

    /// Nothing that waits will be written, and of what is under way only a beginning is.
    ///
    /// # Errors
    /// [`Violation`] if one of these must never be made.
    pub fn crash(&mut self, chance: &mut Chance) -> Result<(), Violation> {
        self.waiting.clear();
        let count = chance.index(self.under_way.len() + 1);
        for (_, write) in std::mem::take(&mut self.under_way).into_iter().take(count) {
            self.files.write(&write)?;
        }
        Ok(())
    }
}
