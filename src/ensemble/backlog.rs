//! What is logged and not applied: durable here, and not known to be decided.
//!
//! ZooKeeper: `FollowerZooKeeperServer.pendingTxns`, `Leader.toBeApplied`, and the end of the log that a start has not applied.
//!
//! Invariant: batches are in zxid order, and so are their records. Absent here: who decides.

use std::collections::VecDeque;

use jute::Zxid;
use wal::Batch;
use wal::batch::Records;

/// Who waits for a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// The pipeline of this leader, which has answers behind it.
    Pipeline,
    /// Nobody: it came from a leader, or was left by a role that has ended.
    Nobody,
}

/// A batch that is durable.
#[derive(Debug)]
pub(crate) struct Logged {
    pub(crate) batch: Batch,
    pub(crate) whose: Whose,
}

/// The end of the log that is not applied.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    logged: VecDeque<Logged>,
}

impl Backlog {
    pub(crate) fn push(&mut self, logged: Logged) {
        self.logged.push_back(logged);
    }

    /// Takes a record that a start finds in the log.
    pub(crate) fn push_record(&mut self, zxid: Zxid, record: &[u8]) {
        let fits = |it: &Logged| it.batch.len_bytes() < BATCH_BYTES;
        if !self.logged.back().is_some_and(fits) {
            let logged = Logged { batch: Batch::default(), whose: Whose::Nobody };
            self.logged.push_back(logged);
        }
        let Some(last) = self.logged.back_mut() else { unreachable!("one was just made") };
        last.batch.push(zxid, |out| out.extend_from_slice(record));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.logged.is_empty()
    }

    pub(crate) fn front(&self) -> Option<&Logged> {
        self.logged.front()
    }

    pub(crate) fn pop(&mut self) -> Option<Logged> {
        self.logged.pop_front()
    }

    /// The role has ended: nobody waits for any of it.
    pub(crate) fn disown(&mut self) {
        self.logged.retain(|it| !it.batch.is_empty());
        for it in &mut self.logged {
            it.whose = Whose::Nobody;
        }
    }

    /// Whether [`Backlog::take_upto`] would take something.
    pub(crate) fn holds(&self, after: Zxid, upto: Zxid) -> bool {
        let Some(Logged { batch, .. }) = self.logged.front() else { return false };
        let (first, last) = (batch.first_zxid(), batch.last_zxid());
        // A batch of which a part is decided stays there, and that part is taken once.
        first.is_some_and(|it| it <= upto) && (after < upto || last.is_some_and(|it| it <= upto))
    }

    /// Gives every record behind `after` up to `upto` to `each`, in order, those of a batch at a time, and lets go of batches that are done: of the last,
    /// if there is one, gives the memory back.
    pub(crate) fn take_upto(
        &mut self,
        after: Zxid,
        upto: Zxid,
        mut each: impl FnMut(Records<'_>),
    ) -> Option<Batch> {
        let mut done = None;
        while let Some(Logged { batch, .. }) = self.logged.front() {
            each(batch.between(after, upto));
            if batch.last_zxid().is_some_and(|last| upto < last) {
                break;
            }
            done = self.logged.pop_front().map(|it| it.batch);
        }
        done
    }

    /// Forgets what is behind `to`, as the log has.
    pub(crate) fn truncate(&mut self, to: Zxid) {
        while let Some(Logged { batch, whose }) = self.logged.pop_back() {
            if batch.last_zxid().is_none_or(|last| last <= to) {
                self.logged.push_back(Logged { batch, whose });
                return;
            }
            if batch.first_zxid().is_some_and(|first| first <= to) {
                let mut kept = Batch::default();
                for (zxid, record) in batch.records().filter(|it| it.0 <= to) {
                    kept.push(zxid, |out| out.extend_from_slice(record));
                }
                self.logged.push_back(Logged { batch: kept, whose });
                return;
            }
        }
    }
}

/// Bytes after which a start begins another batch.
const BATCH_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use jute::{Op, Record as _, SessionId, TxnHeader};

    use super::*;

    fn record(zxid: i64) -> Vec<u8> {
        let header = TxnHeader {
            client: SessionId(1),
            cxid: 1,
            zxid: Zxid(zxid),
            time_ms: 0,
            op: Op::Delete.number(),
        };
        let mut out = Vec::new();
        header.encode(&mut out);
        out
    }

    fn backlog(batches: &[&[i64]]) -> Backlog {
        let mut backlog = Backlog::default();
        for zxids in batches {
            let mut batch = Batch::default();
            for &zxid in *zxids {
                batch.push(Zxid(zxid), |out| out.extend_from_slice(&record(zxid)));
            }
            backlog.push(Logged { batch, whose: Whose::Nobody });
        }
        backlog
    }

    fn taken(backlog: &mut Backlog, after: i64, upto: i64) -> Vec<i64> {
        let mut zxids = Vec::new();
        backlog.take_upto(Zxid(after), Zxid(upto), |decided| {
            for (zxid, record) in decided {
                assert_eq!(TxnHeader::decode(record).expect("a header").zxid, zxid);
                zxids.push(zxid.0);
            }
        });
        zxids
    }

    #[test]
    fn records_are_taken_once_and_in_order_wherever_batches_end() {
        let mut backlog = backlog(&[&[1, 2], &[3], &[4, 5, 6]]);
        assert_eq!(taken(&mut backlog, 0, 1), [1]);
        assert_eq!(taken(&mut backlog, 1, 4), [2, 3, 4]);
        assert!(!backlog.holds(Zxid(4), Zxid(4)), "a part of the last batch is there, and taken");
        assert!(backlog.holds(Zxid(4), Zxid(5)));
        assert_eq!(taken(&mut backlog, 4, 9), [5, 6]);
        assert!(backlog.is_empty());
    }

    #[test]
    fn a_cut_leaves_what_is_up_to_it() {
        for to in 0..=7 {
            let mut backlog = backlog(&[&[1, 2], &[3], &[4, 5, 6]]);
            backlog.truncate(Zxid(to));
            let kept: Vec<i64> = (1..=6).filter(|&it| it <= to).collect();
            assert_eq!(taken(&mut backlog, 0, 9), kept);
        }
    }
}
