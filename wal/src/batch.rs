//! A batch: the records of one group commit, being filled while the one before is written.
//!
//! ZooKeeper: `SyncRequestProcessor.toFlush`. Pure. A record is a transaction as ZAB carries it: `TxnHeader` ++ txn ++ optional digest.
//! The log looks at one thing in it, the header's zxid.

use alloc::vec::Vec;

use jute::Zxid;

use crate::frame::{PAYLOAD_LEN_MAX, u32_at, u64_at};

/// Where a record's zxid stands: behind `TxnHeader.clientId` (8 bytes) and `cxid` (4).
const ZXID_AT: usize = 12;

/// Bytes of a `TxnHeader`: no record is shorter.
pub const RECORD_LEN_MIN: usize = 32;

/// Bytes of the length word before each record.
pub(crate) const LENGTH_LEN: usize = 4;

/// Records in zxid order, each behind its length; reused from commit to commit.
///
/// Invariant: zxids strictly ascend; each record's bytes carry the zxid it was pushed with.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    payload: Vec<u8>,
    count: u32,
    first_zxid: Zxid,
    last_zxid: Zxid,
    /// Where the record being filled has its length word.
    open_at: Option<usize>,
}

impl Batch {
    /// An empty batch with room for `bytes` before it grows.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { payload: Vec::with_capacity(bytes), ..Self::default() }
    }

    /// Appends one record: `fill` appends its bytes to the vector it is given, and touches nothing before them.
    ///
    /// Asserts what [`Self::finish`] asserts.
    pub fn push(&mut self, zxid: Zxid, fill: impl FnOnce(&mut Vec<u8>)) {
        fill(self.begin());
        self.finish(zxid);
    }

    /// Begins a record: append its bytes to what this returns, then [`Self::finish`].
    pub fn begin(&mut self) -> &mut Vec<u8> {
        assert!(self.open_at.is_none());
        self.open_at = Some(self.payload.len());
        self.payload.extend_from_slice(&[0; LENGTH_LEN]);
        &mut self.payload
    }

    /// Ends the record begun last; returns its bytes.
    ///
    /// Asserts that the record has its `TxnHeader`, that the zxid in it is `zxid`, and that this is above the one before.
    pub fn finish(&mut self, zxid: Zxid) -> &[u8] {
        let at = self.open_at.take();
        assert!(at.is_some());
        let at = at.unwrap_or_default();
        let record_at = at + LENGTH_LEN;
        assert!(record_at + RECORD_LEN_MIN <= self.payload.len());
        assert!(self.payload.len() <= PAYLOAD_LEN_MAX);
        assert_eq!(zxid_of(&self.payload[record_at..]), zxid);
        assert!(self.count == 0 || self.last_zxid < zxid);
        let len = (self.payload.len() - record_at) as u32;
        self.payload[at..record_at].copy_from_slice(&len.to_be_bytes());
        if self.count == 0 {
            self.first_zxid = zxid;
        }
        self.last_zxid = zxid;
        self.count += 1;
        &self.payload[record_at..]
    }

    /// Takes back the record begun last, as if it had never been.
    pub fn cancel(&mut self) {
        if let Some(at) = self.open_at.take() {
            self.payload.truncate(at);
        }
    }

    /// No record yet.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Records.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Bytes that the records take with their length words: what bounds a batch from outside.
    pub fn len_bytes(&self) -> usize {
        self.payload.len()
    }

    /// Of the first record; `None` if empty.
    pub fn first_zxid(&self) -> Option<Zxid> {
        (0 < self.count).then_some(self.first_zxid)
    }

    /// Of the last record; `None` if empty.
    pub fn last_zxid(&self) -> Option<Zxid> {
        (0 < self.count).then_some(self.last_zxid)
    }

    /// The records in order.
    pub fn records(&self) -> Records<'_> {
        assert!(self.open_at.is_none());
        Records { rest: &self.payload }
    }

    /// The records above `after` and up to `upto`, in order.
    pub fn between(&self, after: Zxid, upto: Zxid) -> Records<'_> {
        let mut records = self.records();
        if self.first_zxid <= after {
            records = records.after(after);
        }
        if upto < self.last_zxid {
            let behind = records.clone().after(upto).rest.len();
            records.rest = &records.rest[..records.rest.len() - behind];
        }
        records
    }

    /// Forgets the records, keeps the memory.
    pub fn clear(&mut self) {
        self.payload.clear();
        self.count = 0;
        self.open_at = None;
    }

    /// The records with their length words, as they go into a frame.
    pub(crate) fn payload(&self) -> &[u8] {
        assert!(self.open_at.is_none());
        &self.payload
    }
}

/// Walks the records of a payload: zxid and bytes of each.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    /// Over a frame's payload. `None` if it does not hold exactly `count` records with strictly ascending zxids above `above`,
    /// from `first_zxid` to `last_zxid`.
    pub(crate) fn check(payload: &'a [u8], header: &crate::frame::FrameHeader) -> Option<Self> {
        let mut rest = payload;
        let mut last = None;
        for _ in 0..header.count {
            let (record, behind) = split_record(rest)?;
            let zxid = zxid_of(record);
            if last.is_some_and(|it| zxid <= it) || (last.is_none() && zxid != header.first_zxid) {
                return None;
            }
            last = Some(zxid);
            rest = behind;
        }
        (rest.is_empty() && last == Some(header.last_zxid)).then_some(Self { rest: payload })
    }

    /// Over a payload that was checked, from the start of a record on.
    pub(crate) fn of(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    /// Those above `zxid`.
    pub(crate) fn after(mut self, zxid: Zxid) -> Self {
        while self.clone().next().is_some_and(|it| it.0 <= zxid) {
            self.next();
        }
        self
    }

    /// What is left to walk.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = (Zxid, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (record, rest) = split_record(self.rest)?;
        self.rest = rest;
        Some((zxid_of(record), record))
    }
}

/// The record at the head of `bytes` and what follows it; `None` if there is no whole one.
fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_at_checked(LENGTH_LEN)?;
    let len = u32_at(length, 0) as usize;
    if len < RECORD_LEN_MIN {
        return None;
    }
    rest.split_at_checked(len)
}

/// For whoever takes records one by one where a frame's come together; an error goes with the zxid it was returned for.
pub fn each<E>(
    mut apply: impl FnMut(Zxid, &[u8]) -> Result<(), E>,
) -> impl FnMut(Records<'_>) -> Result<(), (Zxid, E)> {
    move |mut records| {
        records.try_for_each(|(zxid, record)| apply(zxid, record).map_err(|err| (zxid, err)))
    }
}

fn zxid_of(record: &[u8]) -> Zxid {
    Zxid(u64_at(record, ZXID_AT) as i64)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A record as the server makes them, with `body` bytes behind the header.
    pub(crate) fn record(zxid: i64, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&0x55aa_i64.to_be_bytes());
        out.extend_from_slice(&7_i32.to_be_bytes());
        out.extend_from_slice(&zxid.to_be_bytes());
        out.extend_from_slice(&1_700_000_000_000_i64.to_be_bytes());
        out.extend_from_slice(&5_i32.to_be_bytes());
        out.extend_from_slice(body);
        out
    }

    #[test]
    fn records_come_out_as_they_went_in() {
        let mut batch = Batch::default();
        assert!(batch.is_empty() && batch.first_zxid().is_none());
        for zxid in 3..6 {
            batch.push(Zxid(zxid), |out| out.extend_from_slice(&record(zxid, b"body")));
        }
        let got: Vec<_> = batch.records().collect();
        assert_eq!(got.len(), 3);
        for ((zxid, bytes), want) in got.into_iter().zip(3..) {
            assert_eq!((zxid, bytes), (Zxid(want), record(want, b"body").as_slice()));
        }
        assert_eq!((batch.first_zxid(), batch.last_zxid()), (Some(Zxid(3)), Some(Zxid(5))));
        batch.clear();
        assert!(batch.is_empty() && batch.records().next().is_none());
    }

    #[test]
    fn a_part_of_a_batch_is_the_records_between_its_ends() {
        let mut batch = Batch::default();
        assert!(batch.between(Zxid(0), Zxid(9)).next().is_none());
        for zxid in [3, 4, 6] {
            batch.push(Zxid(zxid), |out| out.extend_from_slice(&record(zxid, b"body")));
        }
        for after in 0..9 {
            for upto in 0..9 {
                let got: Vec<_> = batch.between(Zxid(after), Zxid(upto)).map(|it| it.0.0).collect();
                let want: Vec<_> =
                    [3, 4, 6].into_iter().filter(|&it| after < it && it <= upto).collect();
                assert_eq!(got, want, "above {after} up to {upto}");
            }
        }
    }

    #[test]
    fn a_cancelled_record_leaves_no_trace() {
        let mut batch = Batch::default();
        batch.push(Zxid(1), |out| out.extend_from_slice(&record(1, b"")));
        let before = batch.payload().to_vec();
        batch.begin().extend_from_slice(b"half a rec");
        batch.cancel();
        assert_eq!(batch.payload(), before);
        assert_eq!(batch.last_zxid(), Some(Zxid(1)));
    }
}
