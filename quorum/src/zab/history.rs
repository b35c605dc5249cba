//! What a server has logged: the newest part in memory, and how far the rest reaches.
//!
//! ZooKeeper: `ZKDatabase.committedLog`, `Leader.outstandingProposals` and `Follower.pendingTxns`, which are one list here:
//! a transaction is encoded once, into the chunk it stays in, and everybody who sends or writes it reads it there.
//!
//! Invariants: zxids strictly ascend; the window is the end of the log, without a gap; what is not settled is in the window.
//! *Absent:* the disk, and what a transaction means.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

use jute::Zxid;

/// Bytes of a chunk, unless one transaction is larger.
const CHUNK_LEN: usize = 256 << 10;

/// Chunks kept for reuse.
const SPARES_MAX: usize = 4;

/// How much of what is settled stays in memory, so that a learner that was away for a moment is served without the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WindowLimits {
    /// Transactions. Source: `zookeeper.commitLogCount`.
    pub count_max: usize,
    /// Bytes of them.
    pub bytes_max: usize,
}

impl Default for WindowLimits {
    fn default() -> Self {
        Self { count_max: 4_096, bytes_max: 8 << 20 }
    }
}

/// Where a transaction's bytes are.
#[derive(Clone, Copy, Debug)]
struct Slot {
    zxid: Zxid,
    /// Number of its chunk, counted from the first there ever was.
    chunk: u64,
    at: usize,
    len: usize,
}

/// The end of the log.
#[derive(Clone, Debug)]
pub struct History {
    slots: VecDeque<Slot>,
    chunks: VecDeque<Vec<u8>>,
    /// Number of the first of `chunks`.
    first_chunk: u64,
    /// Emptied chunks.
    spares: Vec<Vec<u8>>,
    /// Bytes of the transactions in the window.
    bytes: usize,
    /// The last one in front of the window.
    before: Zxid,
    limits: WindowLimits,
}

/// By zxids, which name the bytes: two logs that hold the same may be cut to chunks differently.
impl Hash for History {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.before.hash(state);
        for slot in &self.slots {
            slot.zxid.hash(state);
        }
    }
}

impl History {
    /// A log that ends with `last` and is on the disk only.
    pub fn new(last: Zxid, limits: WindowLimits) -> Self {
        Self {
            slots: VecDeque::new(),
            chunks: VecDeque::new(),
            first_chunk: 0,
            spares: Vec::new(),
            bytes: 0,
            before: last,
            limits,
        }
    }

    /// The last transaction logged, durable or not; [`Zxid::ZERO`] if there was never one.
    pub fn last(&self) -> Zxid {
        self.slots.back().map_or(self.before, |it| it.zxid)
    }

    /// The last transaction that is not in memory: whoever has it is served from memory.
    pub fn before(&self) -> Zxid {
        self.before
    }

    /// Transactions in memory.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether none is in memory.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Bytes of transactions in memory.
    pub fn len_bytes(&self) -> usize {
        self.bytes
    }

    /// Takes a transaction behind the last.
    pub fn append(&mut self, zxid: Zxid, txn: &[u8]) {
        assert!(self.last() < zxid, "{zxid} behind {}", self.last());
        let room = self.chunks.back().map_or(0, |it| it.capacity() - it.len());
        if room < txn.len() {
            let mut chunk = self.spares.pop().unwrap_or_default();
            chunk.reserve(txn.len().max(CHUNK_LEN));
            self.chunks.push_back(chunk);
        }
        let number = self.first_chunk + self.chunks.len() as u64 - 1;
        let Some(chunk) = self.chunks.back_mut() else { unreachable!("one was just made") };
        self.slots.push_back(Slot { zxid, chunk: number, at: chunk.len(), len: txn.len() });
        chunk.extend_from_slice(txn);
        self.bytes += txn.len();
    }

    /// The bytes of a transaction in memory.
    pub fn get(&self, zxid: Zxid) -> Option<&[u8]> {
        // Without a gap, as within an epoch, the place is known; the last is asked for most.
        let behind = usize::try_from(self.last().0.checked_sub(zxid.0)?).ok()?;
        let at = self.slots.len().checked_sub(behind.checked_add(1)?);
        let idx = match at.filter(|&it| self.slots[it].zxid == zxid) {
            Some(idx) => idx,
            None => self.slots.binary_search_by_key(&zxid, |it| it.zxid).ok()?,
        };
        let slot = self.slots[idx];
        let chunk = &self.chunks[(slot.chunk - self.first_chunk) as usize];
        Some(&chunk[slot.at..slot.at + slot.len])
    }

    /// The last transaction up to and including `zxid`; `None` if that is in front of what memory knows.
    pub fn floor(&self, zxid: Zxid) -> Option<Zxid> {
        let idx = self.slots.partition_point(|it| it.zxid <= zxid);
        match idx.checked_sub(1) {
            Some(idx) => Some(self.slots[idx].zxid),
            None => (self.before <= zxid).then_some(self.before),
        }
    }

    /// The zxids behind `zxid`; `None` if memory does not hold them all.
    pub fn after(&self, zxid: Zxid) -> Option<impl Iterator<Item = Zxid> + '_> {
        let idx = self.slots.partition_point(|it| it.zxid <= zxid);
        (self.before <= zxid).then(|| self.slots.range(idx..).map(|it| it.zxid))
    }

    /// Forgets what is behind `to`, which the disk forgets too.
    pub fn truncate(&mut self, to: Zxid) {
        while let Some(slot) = self.slots.pop_back_if(|it| to < it.zxid) {
            self.bytes -= slot.len;
            let chunk = (slot.chunk - self.first_chunk) as usize;
            self.chunks.truncate(chunk + 1);
            self.chunks[chunk].truncate(slot.at);
        }
        if self.slots.is_empty() {
            self.chunks.clear();
            self.before = self.before.min(to);
        }
    }

    /// Begins anew behind a snapshot of `zxid`.
    pub fn restart(&mut self, zxid: Zxid) {
        *self = Self::new(zxid, self.limits);
    }

    /// Lets go of the oldest, as far as they are settled and more than the limits allow.
    pub fn trim(&mut self, settled: Zxid) {
        while self.limits.count_max < self.slots.len() || self.limits.bytes_max < self.bytes {
            let Some(slot) = self.slots.pop_front_if(|it| it.zxid <= settled) else { return };
            self.bytes -= slot.len;
            self.before = slot.zxid;
            let needed = self.slots.front().map_or(slot.chunk, |it| it.chunk);
            while self.first_chunk < needed {
                let Some(mut chunk) = self.chunks.pop_front() else { return };
                self.first_chunk += 1;
                if self.spares.len() < SPARES_MAX && chunk.capacity() <= 2 * CHUNK_LEN {
                    chunk.clear();
                    self.spares.push(chunk);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
