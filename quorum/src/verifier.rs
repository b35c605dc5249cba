//! What a quorum is: more than half of the voters, or more than half of the groups by weight.
//!
//! ZooKeeper: `QuorumMaj`, `QuorumHierarchical`, and `SyncedLearnerTracker` for two configurations at a time.
//! **Differs:** only voters are ever counted, whatever set is asked about; and a weight is known for every id.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

use crate::{QuorumConfig, Sid};

/// Decides which sets of servers are a quorum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verifier {
    /// Ascending.
    voters: Vec<Sid>,
    /// Empty: a plain majority.
    groups: Vec<Group>,
}

/// Servers that count together.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    /// Of all its members.
    weight: i64,
    /// The voters among its members, and what each weighs.
    voters: Vec<(Sid, i64)>,
}

impl Verifier {
    /// More than half of `voters`.
    pub fn majority(voters: impl IntoIterator<Item = Sid>) -> Self {
        let mut voters: Vec<_> = voters.into_iter().collect();
        voters.sort_unstable();
        voters.dedup();
        Self { voters, groups: Vec::new() }
    }

    /// More than half of the weight in more than half of the groups that weigh anything.
    ///
    /// `group_of` and `weight_of` are the `group.N` and `weight.N` lines; a server without a weight weighs 1.
    /// Source: `QuorumHierarchical.containsQuorum`.
    pub fn hierarchical(
        voters: impl IntoIterator<Item = Sid>,
        group_of: &BTreeMap<Sid, i64>,
        weight_of: &BTreeMap<Sid, i64>,
    ) -> Self {
        let Self { voters, .. } = Self::majority(voters);
        let mut groups = BTreeMap::new();
        for (&sid, &gid) in group_of {
            let weight = weight_of.get(&sid).copied().unwrap_or(1);
            let group =
                groups.entry(gid).or_insert_with(|| Group { weight: 0, voters: Vec::new() });
            group.weight = group.weight.saturating_add(weight);
            if voters.binary_search(&sid).is_ok() {
                group.voters.push((sid, weight));
            }
        }
        Self { voters, groups: groups.into_values().collect() }
    }

    /// Who votes, ascending.
    pub fn voters(&self) -> &[Sid] {
        &self.voters
    }

    /// Whether `sid` votes.
    pub fn is_voter(&self, sid: Sid) -> bool {
        self.voters.binary_search(&sid).is_ok()
    }

    /// What `sid` weighs: 1 under a plain majority, whoever it is. A server of weight 0 cannot lead.
    pub fn weight(&self, sid: Sid) -> i64 {
        if self.groups.is_empty() {
            return 1;
        }
        let mut weights = self.groups.iter().flat_map(|it| &it.voters);
        weights.find(|&&(it, _)| it == sid).map_or(0, |&(_, weight)| weight)
    }

    /// Whether `sid` is one of two voters that count alike, and has acked. See [`crate::oracle`].
    pub fn is_half(&self, sid: Sid, acked: impl Fn(Sid) -> bool) -> bool {
        self.groups.is_empty() && self.voters.len() == 2 && self.is_voter(sid) && acked(sid)
    }

    /// Whether the voters for which `acked` holds are a quorum.
    pub fn contains_quorum(&self, acked: impl Fn(Sid) -> bool) -> bool {
        if self.groups.is_empty() {
            return self.voters.iter().filter(|&&it| acked(it)).count() > self.voters.len() / 2;
        }
        let weighty = self.groups.iter().filter(|it| it.weight != 0);
        let agreeing = weighty.clone().filter(|group| {
            let acks = group.voters.iter().filter(|&&(sid, _)| acked(sid));
            acks.map(|&(_, weight)| weight).sum::<i64>() > group.weight / 2
        });
        agreeing.count() > weighty.count() / 2
    }
}

/// The two configurations that a server knows: what was agreed, and what was proposed last.
///
/// Every decision needs a quorum of the first, and of the second too while it is newer.
/// Source: `QuorumPeer.getQuorumVerifier`, `getLastSeenQuorumVerifier`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Views {
    committed: Arc<QuorumConfig>,
    last_seen: Arc<QuorumConfig>,
}

/// Nothing of them: what is equal by version may differ in members, and the other way round.
impl Hash for Views {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl Views {
    /// One configuration, agreed.
    pub fn new(committed: Arc<QuorumConfig>) -> Self {
        Self { last_seen: Arc::clone(&committed), committed }
    }

    /// The agreed configuration.
    pub fn committed(&self) -> &Arc<QuorumConfig> {
        &self.committed
    }

    /// The configuration proposed last; the agreed one if there was no other.
    pub fn last_seen(&self) -> &Arc<QuorumConfig> {
        &self.last_seen
    }

    /// The versions of both. Views are equal with other versions too, if the members are the same.
    pub fn versions(&self) -> [i64; 2] {
        [self.committed.version(), self.last_seen.version()]
    }

    /// Takes a proposed configuration; one with the version of the last is ignored, an older one is taken.
    ///
    /// Source: `QuorumPeer.setLastSeenQuorumVerifier`. The driver does not call this where reconfigEnabled is off.
    pub fn propose(&mut self, config: Arc<QuorumConfig>) {
        if config.version() != self.last_seen.version() {
            self.last_seen = config;
        }
    }

    /// Takes an agreed configuration, and says whether it was newer than the one before.
    ///
    /// Source: `QuorumPeer.setQuorumVerifier`.
    pub fn commit(&mut self, config: Arc<QuorumConfig>) -> bool {
        if config.version() <= self.committed.version() {
            return false;
        }
        if self.last_seen.version() < config.version() {
            self.last_seen = Arc::clone(&config);
        }
        self.committed = config;
        true
    }

    /// Whether two quorums are needed.
    pub fn is_changing(&self) -> bool {
        self.committed.version() < self.last_seen.version()
    }

    /// Whether `sid` votes in either configuration.
    pub fn is_voter(&self, sid: Sid) -> bool {
        self.committed.verifier().is_voter(sid) || self.last_seen.verifier().is_voter(sid)
    }

    /// The voters of both configurations, each once.
    pub fn each_voter(&self) -> impl Iterator<Item = Sid> + '_ {
        let (one, other) = (self.committed.verifier(), self.last_seen.verifier());
        let others = other.voters().iter().filter(|&&it| !one.is_voter(it));
        one.voters().iter().chain(others).copied()
    }

    /// The same, ascending.
    pub fn voters(&self) -> Vec<Sid> {
        let mut voters: Vec<_> = self.each_voter().collect();
        voters.sort_unstable();
        voters
    }

    /// Whether the servers for which `acked` holds are a quorum wherever one is needed.
    pub fn contains_quorum(&self, acked: impl Fn(Sid) -> bool) -> bool {
        self.committed.verifier().contains_quorum(&acked)
            && (!self.is_changing() || self.last_seen.verifier().contains_quorum(&acked))
    }

    /// The same where `sid` may go on alone, wherever it is one of two.
    pub fn contains_half(&self, sid: Sid, acked: impl Fn(Sid) -> bool) -> bool {
        let enough = |it: &Verifier| it.contains_quorum(&acked) || it.is_half(sid, &acked);
        enough(self.committed.verifier())
            && (!self.is_changing() || enough(self.last_seen.verifier()))
    }
}

#[cfg(test)]
mod tests;
