//! One learner, as the leader sees it.
//!
//! ZooKeeper: `LearnerHandler`, `SyncLimitCheck`. A handler lives as long as its connection: what it acked counts no longer.

use jute::Zxid;

use crate::wire::BATCHING_PROTOCOL;
use crate::{Moment, Sid};

use super::super::io::{Group, Link};
use super::super::throttle::Place;

/// A learner's connection.
#[derive(Clone, Debug, Hash)]
pub(super) struct Handler {
    pub(super) link: Link,
    /// Who it is; [`Sid::NEVER`] until it said so.
    pub(super) sid: Sid,
    /// What it speaks.
    pub(super) protocol: i32,
    pub(super) group: Group,
    pub(super) stage: Stage,
    /// Of those that are synchronised: from when it is known how until it has acked NEWLEADER.
    pub(super) place: Place,
    /// When it was heard last, or when it last began to be waited for.
    pub(super) heard_at: Moment,
    /// The tick up to which it counts as being in step.
    pub(super) in_step_until: u64,
    /// Its log's last transaction, as it said.
    pub(super) last: Zxid,
    /// Everything of this leader's history up to here is durable at the learner. Counts from [`Stage::Acked`] on.
    pub(super) acked: Zxid,
    pub(super) slow: SlowAck,
    /// Pings since UPTODATE: sent, answered, and how many answers confirm the round of `sync` under way.
    pub(super) pings: Pings,
}

/// How far a learner is. In order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Stage {
    /// Connected; says who it is next.
    Accepted,
    /// Waits for the epoch.
    Named,
    /// Knows the epoch; accepts it next.
    Offered,
    /// Has accepted the epoch; waits until a quorum has.
    Promised,
    /// The log on the disk is asked, or sent, or an image is chosen, or sent.
    Asking,
    Streaming {
        /// Up to here.
        upto: Zxid,
    },
    Choosing,
    Imaging {
        /// The image's last.
        zxid: Zxid,
    },
    /// Has everything and gets everything; acks NEWLEADER next.
    Synced,
    /// Has acked NEWLEADER; waits until a quorum has.
    Acked,
    /// Serves.
    UpToDate,
}

impl Handler {
    pub(super) fn new(link: Link, now: Moment, in_step_until: u64) -> Self {
        Self {
            link,
            sid: Sid::NEVER,
            protocol: 0,
            group: Group::Observers,
            stage: Stage::Accepted,
            place: Place::default(),
            heard_at: now,
            in_step_until,
            last: Zxid::ZERO,
            acked: Zxid::ZERO,
            slow: SlowAck::default(),
            pings: Pings::default(),
        }
    }

    /// Whether it gets what its group gets.
    pub(super) fn is_joined(&self) -> bool {
        Stage::Synced <= self.stage
    }

    /// Whether an ACK or COMMIT between it and a leader that speaks `protocol` is of everything up to its zxid.
    pub(super) fn takes_batches(&self, protocol: i32) -> bool {
        BATCHING_PROTOCOL <= self.protocol.min(protocol)
    }

    /// Whether the leader waits for a packet of it.
    pub(super) fn is_awaited(&self) -> bool {
        matches!(self.stage, Stage::Accepted | Stage::Offered) || self.is_joined()
    }
}

/// Pings and their answers, which carry no numbers but come in order.
#[derive(Clone, Copy, Debug, Default, Hash)]
pub(super) struct Pings {
    pub(super) sent: u64,
    pub(super) answered: u64,
    pub(super) wanted: u64,
}

/// How long the oldest unacked proposal has waited.
///
/// Source: `LearnerHandler.SyncLimitCheck`. Two marks are enough: when the first is acked, the one set meanwhile takes over.
#[derive(Clone, Copy, Debug, Default, Hash)]
pub(super) struct SlowAck {
    first: Option<(Zxid, Moment)>,
    next: Option<(Zxid, Moment)>,
}

impl SlowAck {
    /// A proposal goes out.
    pub(super) fn sent(&mut self, zxid: Zxid, now: Moment) {
        if self.first.is_none() {
            self.first = Some((zxid, now));
        } else {
            self.next = Some((zxid, now));
        }
    }

    /// Everything up to `zxid` is acked.
    pub(super) fn acked(&mut self, zxid: Zxid) {
        if self.first.is_some_and(|(it, _)| it <= zxid) {
            self.first = self.next.take().filter(|&(it, _)| zxid < it);
        }
    }

    /// The proposal that waits, and since when.
    pub(super) fn waiting(&self) -> Option<(Zxid, Moment)> {
        self.first
    }
}
