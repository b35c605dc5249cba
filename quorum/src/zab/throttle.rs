//! How many observers may be brought to the history at a time.
//!
//! ZooKeeper: `LearnerSyncThrottler`. A follower is never held up, since the ensemble may need it, but takes its place in the count. An observer for which there
//! is no place is sent away, and comes back by itself. A place is taken before anything is read for the learner, and given back when it has acked NEWLEADER or
//! has gone. **Differs:** the reference asks for a place when everything is queued already.

use core::hash::{Hash, Hasher};

/// How many learners may be synchronised at a time before observers are sent away. A follower that tells observers counts its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SyncLimits {
    /// With images; at least 1. Source: `zookeeper.leader.maxConcurrentSnapSyncs`, 10.
    pub snap_max: u32,
    /// From the log; at least 1. Source: `zookeeper.leader.maxConcurrentDiffSyncs`, 100.
    pub diff_max: u32,
}

impl Default for SyncLimits {
    fn default() -> Self {
        Self { snap_max: 10, diff_max: 100 }
    }
}

impl SyncLimits {
    /// How many of this kind.
    pub fn max(&self, kind: SyncKind) -> u32 {
        match kind {
            SyncKind::Snap => self.snap_max,
            SyncKind::Diff => self.diff_max,
        }
    }
}

/// How a learner gets the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SyncKind {
    /// By an image, and what follows it.
    Snap,
    /// By what it lacks, or by a cut.
    Diff,
}

/// When a learner gets an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SyncBy {
    /// When that is shorter, or there is no other way.
    #[default]
    Need,
    /// Once the leader serves, wherever there can be one that holds all that the learner has: for trials. Source: `zookeeper.forceSnapshotSync`.
    ///
    /// **Differs:** a leader that has no quorum yet does not know how much of its log is decided, so that no image holds it: learners that it needs get a
    /// difference, where the reference sends its tree with what may never be decided.
    Force,
}

/// The place that a learner has.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place(pub(super) Option<SyncKind>);

/// Nothing of it: what a learner is sent does not depend on it, unless observers are sent away.
impl Hash for Place {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}
