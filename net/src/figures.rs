//! The figures that a server keeps of itself: plain numbers, one set per thread, merged only when somebody asks.
//!
//! ZooKeeper: `ServerStats`, `ServerMetrics`, `AvgMinMaxCounter`, `AvgMinMaxPercentileCounter`. Every figure has the name of
//! the line of `mntr` that shows it. Counting is an addition, an observation a few; nothing is shared between threads.
//! Absent: figures of the state (znodes, sessions, watches), which are read when asked, and their rendering, see `words`.

use std::collections::BTreeMap;

/// How often something was observed, and how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Observations.
    pub count: u64,
    /// Of all observations.
    pub sum: u64,
    /// Least observation; `u64::MAX` before the first.
    least: u64,
    /// Greatest observation; 0 before the first.
    pub max: u64,
}

impl Default for Summary {
    fn default() -> Self {
        Self { count: 0, sum: 0, least: u64::MAX, max: 0 }
    }
}

impl Summary {
    /// Takes in one observation.
    pub fn add(&mut self, value: u64) {
        self.add_times(value, 1);
    }

    /// Takes in `times` observations of the same value; for a batch that was measured as one.
    pub fn add_times(&mut self, value: u64, times: u64) {
        if times == 0 {
            return;
        }
        self.count += times;
        self.sum = self.sum.saturating_add(value.saturating_mul(times));
        self.least = self.least.min(value);
        self.max = self.max.max(value);
    }

    /// Least observation; 0 before the first.
    pub fn min(&self) -> u64 {
        if self.count == 0 { 0 } else { self.least }
    }

    /// Average, rounded half up to four decimals as the reference does; 0 before the first observation.
    pub fn avg(&self) -> f64 {
        if self.count == 0 {
            return 0.0;
        }
        let (sum, count) = (u128::from(self.sum), u128::from(self.count));
        ((sum * 10_000 + count / 2) / count) as f64 / 10_000.0
    }

    /// Takes in what another thread observed.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum = self.sum.saturating_add(other.sum);
        self.least = self.least.min(other.least);
        self.max = self.max.max(other.max);
    }
}

/// A [`Summary`] that knows about its middle too.
///
/// Differs: the reference keeps a random sample of 4,096 observations; this counts all, exact up to 15 and within an eighth
/// above. 2 KiB each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Percentiles {
    /// Count, sum, least and greatest.
    pub summary: Summary,
    /// Observations per bucket: eight to each doubling.
    buckets: [u64; BUCKETS],
}

/// Buckets of a [`Percentiles`]: what is above the last counts there. The last starts at 15 * 2^30, half a year in ms.
const BUCKETS: usize = 256;

/// Buckets to each doubling, as a power of two.
const SPLIT: u32 = 3;

impl Default for Percentiles {
    fn default() -> Self {
        Self { summary: Summary::default(), buckets: [0; BUCKETS] }
    }
}

impl Percentiles {
    /// Takes in one observation.
    pub fn add(&mut self, value: u64) {
        self.add_times(value, 1);
    }

    /// Takes in `times` observations of the same value.
    pub fn add_times(&mut self, value: u64, times: u64) {
        self.summary.add_times(value, times);
        if let Some(bucket) = self.buckets.get_mut(bucket_of(value)) {
            *bucket += times;
        }
    }

    /// The value that `share` of the observations, from 0 to 1, do not exceed; 0 before the first observation.
    pub fn quantile(&self, share: f64) -> u64 {
        let rank = (share * self.summary.count as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, &count) in self.buckets.iter().enumerate() {
            seen += count;
            if rank <= seen {
                return last_of(bucket).clamp(self.summary.min(), self.summary.max);
            }
        }
        self.summary.max
    }

    /// Takes in what another thread observed.
    pub fn merge(&mut self, other: &Self) {
        self.summary.merge(&other.summary);
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
    }
}

/// Bucket that `value` counts in.
fn bucket_of(value: u64) -> usize {
    let octave = value.checked_ilog2().unwrap_or(0).saturating_sub(SPLIT);
    let bucket = (u64::from(octave) << SPLIT) + (value >> octave);
    (bucket as usize).min(BUCKETS - 1)
}

/// Greatest value that counts in `bucket`.
fn last_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let octave = (bucket >> SPLIT).saturating_sub(1);
    let first = (bucket - (octave << SPLIT)) << octave;
    first + (1 << octave) - 1
}

/// Size of the last, smallest and largest of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Last, smallest, largest; none before the first. Bytes.
    seen: Option<(u64, u64, u64)>,
}

impl Sizes {
    /// Takes in one size, in bytes.
    pub fn add(&mut self, len: u64) {
        let (_, min, max) = self.seen.unwrap_or((len, len, len));
        self.seen = Some((len, min.min(len), max.max(len)));
    }

    /// Last, smallest, largest in bytes; -1 each before the first, as the reference says.
    pub fn last_min_max(&self) -> (i64, i64, i64) {
        self.seen.map_or((-1, -1, -1), |(last, min, max)| (last as i64, min as i64, max as i64))
    }

    /// Takes in what another thread saw. Whose last is last cannot be known; it is `other`'s.
    pub fn merge(&mut self, other: &Self) {
        self.seen = match (self.seen, other.seen) {
            (Some((_, a, b)), Some((last, c, d))) => Some((last, a.min(c), b.max(d))),
            (mine, theirs) => theirs.or(mine),
        };
    }
}

/// Defines a set of figures with `merge`, which adds another thread's. Resetting is assigning the default.
/// A count for each of some names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// Those that are not 0.
    pub counts: BTreeMap<String, u64>,
}

impl Named {
    /// One more of `name`.
    pub fn add(&mut self, name: &str) {
        match self.counts.get_mut(name) {
            Some(count) => *count += 1,
            None => drop(self.counts.insert(name.to_owned(), 1)),
        }
    }

    /// Takes in what another thread counted.
    pub fn merge(&mut self, other: &Self) {
        for (name, count) in &other.counts {
            *self.counts.entry(name.clone()).or_default() += count;
        }
    }
}

macro_rules! figures {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $name { $($(#[$field_doc])* pub $field: $kind,)* }

        impl $name {
            /// Adds the figures of another thread.
            pub fn merge(&mut self, other: &Self) {
                $(figures!(@merge $kind self.$field, other.$field);)*
            }
        }
    };
    (@merge u64 $mine:expr, $theirs:expr) => { $mine += $theirs };
    (@merge $kind:ident $mine:expr, $theirs:expr) => { $mine.merge(&$theirs) };
}

figures! {
    /// What a session shard counts: connections, frames, watches. `srst` resets all of it.
    ShardFigures {
        /// Frames received, four-letter words included.
        packets_received: u64,
        /// Frames sent: replies, events and answers to four-letter words.
        packets_sent: u64,
        /// Bytes received: frames with their lengths, four-letter words.
        bytes_received_count: u64,
        /// Bytes of replies, without the four of each length.
        response_bytes: u64,
        /// Bytes of events, the same way.
        watch_bytes: u64,
        /// Sizes of replies.
        client_response_size: Sizes,
        /// Milliseconds from reading a request to its reply, pings included.
        latency: Summary,
        /// The same for reads.
        readlatency: Percentiles,
        /// The same for writes.
        updatelatency: Percentiles,
        /// Handshakes asked for.
        connection_request_count: u64,
        /// Handshakes that ask for a session which is there already.
        connection_revalidate_count: u64,
        /// Connections refused because there are too many, of one address or in all, or too many new ones.
        connection_rejected: u64,
        /// Connections ended by this side for a fault: bad frame, end of stream, IO error.
        connection_drop_count: u64,
        /// Connections that were quiet too long without a session.
        sessionless_connections_expired: u64,
        /// Tokens missing from the bucket at each handshake.
        connection_token_deficit: Summary,
        /// Refused authentications.
        auth_failed_count: u64,
        /// Requests found stale.
        stale_requests: u64,
        /// Requests dropped because they were stale.
        stale_requests_dropped: u64,
        /// Replies that found their connection gone.
        stale_replies: u64,
        /// Requests that waited before the pipeline.
        request_throttle_wait_count: u64,
        /// Milliseconds they waited.
        request_throttle_queue_time_ms: Percentiles,
        /// Requests answered THROTTLEDOP.
        throttled_ops: u64,
        /// Requests refused for the bytes of large ones in flight.
        large_requests_rejected: u64,
        /// Watches that fired per znode created, where one did.
        node_created_watch_count: Summary,
        /// The same per znode deleted.
        node_deleted_watch_count: Summary,
        /// The same per znode changed.
        node_changed_watch_count: Summary,
        /// The same per list of children changed.
        node_children_watch_count: Summary,
    }
}

figures! {
    /// What the pipeline shard counts: prep, log, apply, snapshots. `srst` resets all of it.
    PipelineFigures {
        /// Requests that came to be prepared.
        prep_processor_request_queued: u64,
        /// Requests taken from the rings per turn.
        prep_processor_queue_size: Summary,
        /// Transactions prepared and not yet applied: so many were added.
        outstanding_changes_queued: u64,
        /// So many were taken away.
        outstanding_changes_removed: u64,
        /// Requests refused by a hard quota, by top-level znode.
        quota_exceeded_error_per_namespace: Named,
        /// Transactions given to the log.
        sync_processor_request_queued: u64,
        /// Transactions waiting while a batch is written, per batch.
        sync_processor_queue_size: Summary,
        /// Transactions per batch.
        sync_processor_batch_size: Summary,
        /// Milliseconds that writing a batch took, until it was on the disk. The same as `fsynctime`, with its middle.
        sync_processor_queue_flush_time_ms: Percentiles,
        /// Milliseconds per write to the log.
        fsynctime: Summary,
        /// Milliseconds from preparing a transaction to applying it, the wait for the disk included.
        propagation_latency: Percentiles,
        /// Milliseconds per snapshot.
        snapshottime: Summary,
        /// Snapshots that failed.
        snapshot_error_count: u64,
        /// Milliseconds of reading the newest snapshot, at the start.
        startup_snap_load_time: Summary,
        /// Milliseconds of replaying the log, at the start.
        startup_txns_load_time: Summary,
        /// Transactions replayed at the start.
        startup_txns_loaded: Summary,
        /// Milliseconds of both.
        dbinittime: Summary,
        /// Sessions that expired.
        stale_sessions_expired: u64,
        /// Searches for a leader.
        looking_count: u64,
        /// Milliseconds that an election took.
        election_time: Summary,
        /// Milliseconds without service.
        unavailable_time: Summary,
        /// The same where this server led then.
        leader_unavailable_time: Summary,
        /// Milliseconds from an election to service, as follower.
        follower_sync_time: Summary,
        /// The same as observer.
        observer_sync_time: Summary,
        /// Transactions proposed, as leader.
        proposal_count: u64,
        /// Transactions committed, as leader.
        commit_count: u64,
        /// Proposals that came, as follower.
        learner_proposal_received_count: u64,
        /// Commits that came, as learner.
        learner_commit_received_count: u64,
        /// Learners that were brought up by a difference.
        diff_count: u64,
        /// Learners that were brought up by a snapshot.
        snap_count: u64,
        /// Sessions that learners asked about.
        revalidate_count: u64,
        /// Times this server led no longer because a voter had promised a later epoch.
        quit_leading_due_to_disloyal_voter: u64,
        /// Milliseconds from preparing a transaction to the quorum's acks, as leader.
        quorum_ack_latency: Percentiles,
        /// Milliseconds from preparing a transaction to its commit's arrival, as learner, by two clocks.
        commit_propagation_latency: Percentiles,
        /// Milliseconds from preparing a transaction to its arrival, as follower, by two clocks.
        proposal_latency: Percentiles,
        /// Milliseconds from preparing the first transaction of a write to the log to its end.
        proposal_ack_creation_latency: Percentiles,
    }
}

#[cfg(test)]
mod tests;
