//! A server's disk: what is durable, and what is on its way.
//!
//! Writes are made in their order: appends in one go, anything else alone. They are bytes ([`store`]) on a [`medium`]; beside that
//! stands what they mean ([`Files`]), and after each crash what is read of the one is held against the other.

pub mod medium;
pub mod store;

use std::collections::VecDeque;
use std::rc::Rc;

use jute::Zxid;
use quorum::Epoch;
use quorum::zab::{Restored, WriteId};

use crate::chance::Chance;
use crate::violation::Violation;
use store::{Job, Room, Store, WriteError};
pub use store::{Keeping, Refusal, Struck};

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

/// Whether `zxid` comes next behind `last`, where epochs begin behind this counter.
pub fn follows(first_counter: u32, last: Zxid, zxid: Zxid) -> bool {
    let is_first = last.epoch() < zxid.epoch() && zxid.counter() == first_counter + 1;
    is_first || zxid == last.next() && first_counter < last.counter()
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
    /// An epoch's transactions are numbered from behind this counter.
    pub first_counter: u32,
}

impl Default for Files {
    fn default() -> Self {
        Self {
            accepted: Epoch::ZERO,
            current: Epoch::ZERO,
            image: Image::default(),
            log_after: Zxid::ZERO,
            log: Vec::new(),
            first_counter: 0,
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
        let count = self.log.partition_point(|it| it.zxid <= zxid);
        self.log.drain(..count);
        self.log_after = self.log_after.max(zxid);
    }

    /// Makes one write.
    ///
    /// # Errors
    /// [`Violation`] if it is one that must never be made.
    pub fn write(&mut self, write: &DiskWrite) -> Result<(), Violation> {
        match write {
            DiskWrite::Append(txn) => {
                let (last, zxid) = (self.last(), txn.zxid);
                if !follows(self.first_counter, last, zxid) {
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

/// What a disk is like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// It does what it is told.
    #[default]
    Good,
    /// It has no room for another file.
    Full,
    /// Every write ends with an error.
    Failing,
    /// No write ends.
    Hanging,
}

/// The files, and the writes on their way to them.
#[derive(Clone, Debug)]
pub struct Disk {
    /// What is durable, as the server knows.
    pub files: Files,
    /// What it is like.
    pub health: Health,
    /// The bytes.
    store: Store,
    waiting: VecDeque<(WriteId, DiskWrite)>,
    under_way: Vec<(WriteId, DiskWrite)>,
    /// How the writes under way are made; a seal, if there are none.
    job: Option<Result<Job, WriteError>>,
    /// See [`Self::has_bad_end`].
    has_bad_end: bool,
}

/// How writes ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// They are durable, up to this one.
    Durable(WriteId),
    /// The log is sealed.
    Sealed,
    /// None was under way.
    Nothing,
    /// The disk says that they are not: the server ends.
    Failed,
}

/// What a disk does with writes that it says are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Faith {
    /// It has done them.
    Kept,
    /// The last one is elsewhere, or nowhere.
    Broken,
}

impl Disk {
    /// An empty one.
    pub fn new(keeping: Keeping) -> Self {
        Self {
            files: Files { first_counter: keeping.first_counter, ..Files::default() },
            health: Health::Good,
            store: Store::new(keeping),
            waiting: VecDeque::new(),
            under_way: Vec::new(),
            job: None,
            has_bad_end: false,
        }
    }

    /// A write is ordered.
    pub fn order(&mut self, id: WriteId, write: DiskWrite) {
        self.waiting.push_back((id, write));
    }

    /// Begins the next writes if none are under way. Whether any are now.
    pub fn begin(&mut self, chance: &mut Chance) -> bool {
        if self.is_busy() {
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
        if self.under_way.is_empty() {
            return false;
        }
        let writes: Vec<DiskWrite> = self.under_way.iter().map(|it| it.1.clone()).collect();
        self.job = Some(self.store.plan(&writes, self.room(), chance));
        true
    }

    /// Begins to seal the log, if it rests and has no seal. Whether it does.
    pub fn seal(&mut self) -> bool {
        if self.is_busy() || !self.waiting.is_empty() {
            return false;
        }
        self.job = self.store.plan_seal().map(Ok);
        self.job.is_some()
    }

    /// Whether writes, or a seal, are under way.
    fn is_busy(&self) -> bool {
        !self.under_way.is_empty() || self.job.is_some()
    }

    fn room(&self) -> Room {
        if self.health == Health::Full { Room::None } else { Room::Some }
    }

    /// The writes under way are done, or have failed.
    ///
    /// # Errors
    /// [`Violation`] if one must never be made.
    pub fn end(&mut self, faith: Faith, chance: &mut Chance) -> Result<Ended, Violation> {
        if !self.is_busy() {
            return Ok(Ended::Nothing);
        }
        match self.job.take() {
            Some(Ok(job)) if self.health != Health::Failing => match faith {
                Faith::Kept => self.store.finish(job),
                Faith::Broken => self.store.misdirect(job, chance),
            },
            failed => {
                self.job = failed;
                return Ok(Ended::Failed);
            }
        }
        let mut ended = Ended::Sealed;
        for (id, write) in std::mem::take(&mut self.under_way) {
            self.files.write(&write)?;
            ended = Ended::Durable(id);
        }
        Ok(ended)
    }

    /// Nothing that waits will be written, and of what is under way some bytes are.
    ///
    /// # Errors
    /// [`Violation`] if a start would find what it must not find.
    pub fn crash(&mut self, chance: &mut Chance) -> Result<(), Violation> {
        self.waiting.clear();
        let under_way = std::mem::take(&mut self.under_way);
        let job = self.job.take().and_then(Result::ok);
        self.store.crash(job, chance);
        self.store.spare_last_frame();
        self.has_bad_end = self.store.has_bad_end();
        let Ok(found) = self.store.open() else {
            // Nobody knows what it holds, if it was not the crash alone.
            return if self.store.is_scarred() { Ok(()) } else { Err(Violation::DiskRefused) };
        };
        self.check(&found, &under_way)?;
        self.files = found;
        Ok(())
    }

    /// What a start finds, if it finds what was written.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn open(&mut self) -> Result<Files, Refusal> {
        self.store.spare_last_frame();
        let files = self.store.open()?;
        self.files = files.clone();
        Ok(files)
    }

    /// What is found is what was durable, with a beginning of what was under way.
    fn check(&self, found: &Files, under_way: &[(WriteId, DiskWrite)]) -> Result<(), Violation> {
        let mut known = self.files.clone();
        let mut least = self.files.last();
        let mut epochs = [(known.accepted, known.current); 2];
        for (_, write) in under_way {
            match write {
                DiskWrite::Append(txn) => known.log.push(txn.clone()),
                DiskWrite::Truncate(to) => least = least.min(*to),
                DiskWrite::Accepted(epoch) => epochs[1].0 = *epoch,
                DiskWrite::Current(epoch) => epochs[1].1 = *epoch,
                DiskWrite::Install(image) => {
                    if found.image == *image {
                        let is_empty = found.log.is_empty();
                        return is_empty
                            .then_some(())
                            .ok_or(Violation::DiskLost { zxid: image.zxid });
                    }
                }
            }
        }
        // The files of the epochs are made with the log, at the first start.
        let is_known =
            epochs.contains(&(found.accepted, found.current)) || self.files.accepted == Epoch::ZERO;
        if found.last() < least || !is_known {
            return Err(Violation::DiskLost { zxid: least });
        }
        for txn in found.log.iter().filter(|it| known.log_after < it.zxid) {
            let there = known.log.binary_search_by_key(&txn.zxid, |it| it.zxid);
            if there.is_err() || there.is_ok_and(|it| known.log[it].bytes != txn.bytes) {
                return Err(Violation::DiskLost { zxid: txn.zxid });
            }
        }
        Ok(())
    }

    /// Whether a cut or an image is on its way.
    pub fn is_changing(&self) -> bool {
        let mut all = self.under_way.iter().chain(&self.waiting).map(|it| &it.1);
        all.any(|it| matches!(it, DiskWrite::Truncate(_) | DiskWrite::Install(_)))
    }

    /// Writes an image, whole, and lets go of what it makes needless. What is in front of the log then; none if nothing was done.
    pub fn take_image(&mut self, image: Image) -> Option<Zxid> {
        // A job that was planned knows the directory as it was.
        let is_mute = matches!(self.health, Health::Failing | Health::Hanging);
        if self.is_busy() || is_mute {
            return None;
        }
        let job = self.store.plan_image(image, self.room()).ok()?;
        self.store.finish(job);
        self.files.image = image;
        Some(self.store.log_after().unwrap_or(image.zxid))
    }

    /// The transactions behind `after` up to `upto`, as they lie in the log; none if they cannot be read.
    pub fn read(&self, after: Zxid, upto: Zxid) -> Option<Vec<Txn>> {
        self.store.read(after, upto)
    }

    /// Some bytes change by themselves: which.
    pub fn rot(&mut self, chance: &mut Chance) -> Struck {
        self.store.rot(chance)
    }

    /// Whether the last crash left a log whose last frame is bad, and was once whole beyond doubt.
    pub fn has_bad_end(&self) -> bool {
        self.has_bad_end
    }

    /// Whether it has done what a disk must not do.
    pub fn is_scarred(&self) -> bool {
        self.store.is_scarred()
    }

    /// Whether there is nothing: neither image nor log.
    pub fn is_empty(&self) -> bool {
        self.files.image.count == 0 && self.files.log.is_empty()
    }
}
