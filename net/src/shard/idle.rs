//! When to look at which connection again: a queue of moments, a tick apart.
//!
//! ZooKeeper: `ExpiryQueue`. A connection stands under one moment; when the moment comes, it is looked at, and put
//! under a later one if something was heard of it meanwhile. So hearing something costs nothing here.

use std::collections::BTreeMap;

use crate::message::ConnId;

/// The queue. Invariant: no bucket is empty.
#[derive(Debug)]
pub(crate) struct IdleQueue {
    tick_ms: u64,
    buckets: BTreeMap<u64, Vec<ConnId>>,
}

impl IdleQueue {
    pub(crate) fn new(tick_ms: u64) -> Self {
        Self { tick_ms: tick_ms.max(1), buckets: BTreeMap::new() }
    }

    /// Puts a connection under the first moment after `at_ms`, which is given back. Its earlier entry is void from now
    /// on: the caller compares [`super::connection::Connection::due_ms`].
    pub(crate) fn insert(&mut self, at_ms: u64, conn: ConnId) -> u64 {
        let due_ms = (at_ms / self.tick_ms + 1) * self.tick_ms;
        self.buckets.entry(due_ms).or_default().push(conn);
        due_ms
    }

    /// The connections of the oldest moment that has come, and the moment.
    pub(crate) fn pop(&mut self, now_ms: u64) -> Option<(u64, Vec<ConnId>)> {
        let entry = self.buckets.first_entry()?;
        if now_ms < *entry.key() {
            return None;
        }
        Some(entry.remove_entry())
    }

    /// The next moment.
    pub(crate) fn next_ms(&self) -> Option<u64> {
        self.buckets.first_key_value().map(|(due_ms, _)| *due_ms)
    }
}
