//! How a member stands in its ensemble, for those who watch it: since when it has its role, with whom, and what finding it took.
//!
//! ZooKeeper: `QuorumPeer.setPeerState` and `setZabState`, `Leader.proposalStats`, what `Leader`, `Follower` and `Observer` measure.
//! *Absent:* the words that show it.

use jute::{Record as _, TxnHeader, Zxid};
use net::figures::{PipelineFigures, Sizes};
use net::words::{LeaderGauges, MemberGauges};
use quorum::wire::Message;
use quorum::zab::{LearnerCounts, LeaveReason, Packet, Plain};
use quorum::{Peer, PeerState, Sid};
use wal::Batch;

use crate::pipeline::Mode;

/// Moments and sizes of the present role. All times are monotonic milliseconds.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// Since when nobody is served.
    unavailable_since: u64,
    /// When the election ended.
    elected_at: u64,
    /// Since when the role serves.
    serving_since: u64,
    proposal_size: Sizes,
}

impl Standing {
    /// The search for a leader begins.
    pub(super) fn look(&mut self, now_ms: u64, figures: &mut PipelineFigures) {
        figures.looking_count += 1;
        self.unavailable_since = now_ms;
    }

    /// It has ended.
    pub(super) fn elected(&mut self, now_ms: u64, figures: &mut PipelineFigures) {
        figures.election_time.add(now_ms - self.unavailable_since);
        self.elected_at = now_ms;
    }

    /// The role serves.
    pub(super) fn serve(&mut self, now_ms: u64, mode: Mode, figures: &mut PipelineFigures) {
        let unavailable_ms = now_ms - self.unavailable_since;
        figures.unavailable_time.add(unavailable_ms);
        let sync_ms = now_ms - self.elected_at;
        match mode {
            Mode::Leader => figures.leader_unavailable_time.add(unavailable_ms),
            Mode::Follower => figures.follower_sync_time.add(sync_ms),
            Mode::Observer => figures.observer_sync_time.add(sync_ms),
            Mode::Standalone | Mode::Looking | Mode::ReadOnly => {}
        }
        self.serving_since = now_ms;
        self.proposal_size = Sizes::default();
    }

    /// Those who read only are served.
    pub(super) fn serve_read_only(&mut self, now_ms: u64) {
        self.serving_since = now_ms;
    }

    /// A transaction of so many bytes is proposed.
    pub(super) fn proposed(&mut self, len: usize) {
        self.proposal_size.add(len as u64);
    }

    /// A batch is durable here, and acked.
    pub(super) fn acked(batch: &Batch, wall_ms: i64, figures: &mut PipelineFigures) {
        if let Some((_, first)) = batch.records().next()
            && let Some(latency_ms) = age(first, wall_ms)
        {
            figures.proposal_ack_creation_latency.add(latency_ms);
        }
    }

    /// What is shown of it.
    pub(super) fn gauges(&self, peer: &Peer, now_ms: u64) -> MemberGauges {
        let (doing, learner_master) = match peer.state() {
            PeerState::Looking => ("looking", None),
            PeerState::Leading { .. } => ("leading - broadcast", None),
            PeerState::Following { .. } => ("following - broadcast", None),
            PeerState::Observing { .. } => ("observing - broadcast", peer.told_by()),
        };
        let uptime_ms = now_ms - self.serving_since;
        let members = peer.views().committed();
        MemberGauges {
            peer_state: doing,
            learner_master: learner_master.map(|Sid(number)| number),
            quorum_size: members.verifier().voters().len() as u64,
            uptime_ms,
            membership: members.to_string(),
            synced_observers: peer.observer_count().map(|it| it as u64),
            leader: peer
                .learner_counts()
                .map(|it| leader_gauges(it, self.proposal_size, uptime_ms)),
        }
    }
}

/// A packet came while this server learns and serves, where everything up to `committed` is decided.
pub(super) fn arrived(
    message: &Message<'_>,
    committed: Zxid,
    wall_ms: i64,
    figures: &mut PipelineFigures,
) {
    match *message {
        Message::Proposal { txn, .. } => {
            figures.learner_proposal_received_count += 1;
            if let Some(latency_ms) = age(txn, wall_ms) {
                figures.proposal_latency.add(latency_ms);
            }
        }
        // Of a leader of ours it is of a whole batch.
        Message::Commit { zxid } if zxid.epoch() == committed.epoch() => {
            let count = zxid.counter().saturating_sub(committed.counter());
            figures.learner_commit_received_count += u64::from(count.max(1));
        }
        Message::Commit { .. } | Message::Inform { .. } => {
            figures.learner_commit_received_count += 1;
        }
        _ => {}
    }
}

/// A packet leaves: `figures` are asked for where it begins to bring a learner up.
pub(super) fn sent<'a>(packet: &Packet, figures: impl FnOnce() -> &'a mut PipelineFigures) {
    match packet {
        Packet::Plain(Plain::Diff { .. } | Plain::Trunc { .. }) => figures().diff_count += 1,
        Packet::Plain(Plain::Snap { .. }) => figures().snap_count += 1,
        _ => {}
    }
}

/// The role has ended.
pub(super) fn left(why: &LeaveReason, figures: &mut PipelineFigures) {
    if let LeaveReason::Outpaced { .. } | LeaveReason::Disloyal { .. } = why {
        figures.quit_leading_due_to_disloyal_voter += 1;
    }
}

/// Milliseconds since a transaction was made, by the clock of who made it; none if that is ahead.
fn age(txn: &[u8], wall_ms: i64) -> Option<u64> {
    let header = TxnHeader::decode(txn).ok()?;
    u64::try_from(wall_ms - header.time_ms).ok()
}

fn leader_gauges(it: LearnerCounts, proposal_size: Sizes, uptime_ms: u64) -> LeaderGauges {
    LeaderGauges {
        learners: it.connected as u64,
        synced_followers: it.synced_followers as u64,
        synced_non_voting_followers: it.synced_non_voting as u64,
        pending_syncs: it.pending_syncs as u64,
        uptime_ms,
        proposal_size,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_counted_for_each_transaction_that_it_is_of() {
        let mut figures = PipelineFigures::default();
        let mut count = |committed, zxid| {
            let before = figures.learner_commit_received_count;
            arrived(&Message::Commit { zxid: Zxid(zxid) }, Zxid(committed), 0, &mut figures);
            figures.learner_commit_received_count - before
        };
        assert_eq!(count(0x1_0000_0004, 0x1_0000_0009), 5, "the last of a batch");
        assert_eq!(count(0x1_0000_0004, 0x1_0000_0005), 1);
        assert_eq!(count(0x1_0000_0004, 0x1_0000_0003), 1, "decided already");
        assert_eq!(count(0x1_0000_0004, 0x2_0000_0001), 1, "of the next epoch");
    }
}
