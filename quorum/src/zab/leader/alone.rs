//! A leader that nobody follows, of an ensemble of two, where the oracle lets it go on.
//!
//! ZooKeeper: `QuorumVerifier.overrideQuorumDecision`, `revalidateOutstandingProp`. Invariant: from the moment a follower joins, what is decided
//! needs its ack, as ever.

use crate::{Permit, Sid, Views};

use super::super::Step;
use super::super::io::Group;
use super::Leader;
use super::handler::Handler;

impl Leader {
    /// The oracle has said something: what waits for a quorum may have waited for that.
    pub(super) fn permitted(&mut self, step: &mut Step<'_>, permit: Permit) {
        self.permit = permit;
        self.decide_epoch(step);
        self.seal(step);
        self.establish(step);
        self.commit_ready(step);
    }

    /// Whether the servers for which `acked` holds are a quorum wherever `views` needs one, or this server may do without.
    pub(super) fn has_quorum(
        &self,
        step: &Step<'_>,
        views: &Views,
        acked: impl Fn(Sid) -> bool,
    ) -> bool {
        step.replica.has_quorum(views, &acked)
            || self.may_go_alone(step) && views.contains_half(step.replica.sid, &acked)
    }

    fn may_go_alone(&self, step: &Step<'_>) -> bool {
        let mut followers = self.handlers.iter().filter(|it| it.group == Group::Followers);
        self.permit.holds(step.now) && !followers.any(Handler::is_joined)
    }
}
