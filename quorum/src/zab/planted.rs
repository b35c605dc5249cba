//! Bugs that others had, put back in on purpose, so that the simulator can show that it would find them.
//!
//! They exist only in a build with `--cfg planted`, which nothing asks for by itself: without it [`Replica::has`]
//! is `false` at compile time, and there is no way to name a bug. A release build with that flag does not compile:
//! the simulator's is of the profile `planted`, which has debug assertions.
//!
//! [`Replica::has`]: super::Replica

#[cfg(all(planted, not(debug_assertions)))]
compile_error!("bugs are put in for the simulator only: build it with --profile planted");

/// A bug. Beside each: where it was, as the reference's tracker numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(not(planted), expect(unreachable_pub, reason = "only a planted build names them"))]
pub enum Bug {
    /// A proposal is acked when it comes, not when it is durable. Z-4646.
    AckBeforeDurable,
    /// NEWLEADER is acked when it comes, while the history is still being written. Z-3911.
    AckNewLeaderBeforeDurable,
    /// The current epoch is written before the history that it names. Z-4643, Z-4785.
    CurrentEpochBeforeHistory,
    /// The current epoch is never written. Z-335.
    ForgetCurrentEpoch,
    /// A leader of an epoch that is older than the promised one is accepted. Z-1653.
    AcceptOlderEpoch,
    /// The promise of an epoch is not written before it is acked. Z-1343.
    AckEpochBeforeDurable,
    /// The leader leads learners that are ahead of it. The paper's discovery, left out.
    LeadTheAhead,
    /// A log that goes on where the leader's ended is kept. Z-1154.
    SkipTrunc,
    /// TRUNC keeps one too many. Z-1549.
    TruncTooLittle,
    /// A proposal commits as soon as it has its quorum, whatever is in front of it. Z-3125.
    CommitOutOfOrder,
    /// Observers count in quorums. Z-2959.
    CountObservers,
    /// Half of the voters are enough. A wrong `>=`.
    HalfIsAQuorum,
    /// While members change, the majority of those before decides alone. The paper's second quorum, left out.
    OldMajorityAlone,
    /// The acks of a learner count on when its connection has gone. Z-3240.
    KeepAcksOfTheGone,
    /// A learner acks what is proposed before it acks NEWLEADER, and the leader counts that. Z-4685.
    CountEarlyAcks,
    /// The leader serves before its history is on a quorum. Z-3023.
    ServeBeforeQuorum,
    /// What is proposed while a learner syncs is not sent to it. Z-3104.
    LoseProposalsInSync,
    /// A DIFF begins behind one that the learner lacks. Z-4925.
    DiffWithHole,
    /// The same, and the learner does not see the gap. Z-4925, whole.
    AcceptGaps,
    /// `sync` is answered without asking the quorum. Z-2136.
    SyncWithoutQuorum,
    /// The leader goes on without followers. Z-2247.
    LeadAlone,
    /// The epoch is made of the own accepted one only. Z-1419.
    EpochFromOwn,
    /// The learner applies what it synced before the leader is established. Z-1558.
    ApplyBeforeUpToDate,
    /// A follower tells observers of what is only proposed. The observer master, wrongly.
    TellUncommitted,
    /// A follower cuts the log of an observer that is ahead of it. The reference as it is.
    CutTheAhead,
    /// A server whose disk hangs votes, and is elected again and again. The reference as it is.
    VoteThoughHanging,
}

#[cfg(planted)]
impl Bug {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::AckBeforeDurable,
        Self::AckNewLeaderBeforeDurable,
        Self::CurrentEpochBeforeHistory,
        Self::ForgetCurrentEpoch,
        Self::AcceptOlderEpoch,
        Self::AckEpochBeforeDurable,
        Self::LeadTheAhead,
        Self::SkipTrunc,
        Self::TruncTooLittle,
        Self::CommitOutOfOrder,
        Self::CountObservers,
        Self::HalfIsAQuorum,
        Self::OldMajorityAlone,
        Self::KeepAcksOfTheGone,
        Self::CountEarlyAcks,
        Self::ServeBeforeQuorum,
        Self::LoseProposalsInSync,
        Self::DiffWithHole,
        Self::AcceptGaps,
        Self::SyncWithoutQuorum,
        Self::LeadAlone,
        Self::EpochFromOwn,
        Self::ApplyBeforeUpToDate,
        Self::TellUncommitted,
        Self::CutTheAhead,
        Self::VoteThoughHanging,
    ];
}
