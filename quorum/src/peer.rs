//! One server of the ensemble: looking for a leader, then in a role, then looking again.
//!
//! ZooKeeper: `QuorumPeer.run`. The election is beside it: [`Output::Look`] asks for one with [`Peer::vote`], and
//! [`Input::Elected`] ends it. A role is a struct that is made with the election's outcome and consumed when it ends, so no
//! packet, no ack and no queue of one role reaches the next; writes that were ordered go on, in their order.
//!
//! *How it is driven.* See [`crate::zab`] for the contract. A turn: for each input `step`, perform the outputs, then once
//! `step` with [`Input::Deadline`]; sleep until [`Peer::next_deadline`]. A leader's pipeline numbers its transactions from
//! [`Peer::next_zxid`], gives each to `step` when the batch's write begins, and applies on [`Output::Commit`].
//!
//! *Absent:* sockets, files, the election, the tree.

use alloc::vec::Vec;

use jute::Zxid;

use crate::wire::{Message, Touches};
use crate::zab::{
    Input, Leader, Learner, LearnerCounts, LeaveReason, Link, LinkError, Output, Packet, Phase,
    Plain, Replica, Restored, Settings, Step, Validity, WriteId,
};
use crate::{Epoch, Moment, Sid, Views};

/// What a server is doing.
#[derive(Clone, Debug, Hash)]
enum State {
    /// It elects.
    Looking,
    /// It was elected.
    Leading(Leader),
    /// Somebody else was: as a follower, or as an observer.
    Learning(Learner),
}

/// What a server is doing, by name. Source: `QuorumPeer.ServerState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerState {
    /// It elects.
    Looking,
    /// It leads, or means to.
    Leading {
        /// How far.
        phase: Phase,
        /// The epoch.
        epoch: Epoch,
    },
    /// It follows, or means to.
    Following {
        /// Whom.
        leader: Sid,
    },
    /// It observes, or means to.
    Observing {
        /// Whom.
        leader: Sid,
    },
}

/// What a server says of itself in an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnVote {
    /// The last transaction logged; −1 if what is applied here is of no use, which counts for nobody.
    pub zxid: Zxid,
    /// The current epoch.
    pub epoch: Epoch,
}

/// One server's whole machine.
#[derive(Clone, Debug, Hash)]
pub struct Peer {
    replica: Replica,
    state: State,
}

impl Peer {
    /// A server that begins to look, with what its disk holds.
    pub fn new(sid: Sid, settings: Settings, views: Views, restored: &Restored) -> Self {
        Self { replica: Replica::new(sid, settings, views, restored), state: State::Looking }
    }

    /// Before the first role: the disk is empty and should not be.
    ///
    /// What this server promised and acked is forgotten, so it says −1 as its last transaction, in votes and in ACKEPOCH, as one does
    /// whose tree is not the ensemble's: it counts for nobody, the reference's servers among them, and is sent an image.
    pub fn forget(&mut self) {
        assert!(matches!(self.state, State::Looking) && self.replica.history.last() == Zxid::ZERO);
        self.replica.diverged = true;
    }

    /// Puts a bug in.
    #[cfg(planted)]
    pub fn plant(&mut self, bug: crate::zab::Bug) {
        self.replica.plant(bug);
    }

    /// Takes one input at `now`; pushes what to do about it, in order.
    pub fn step(&mut self, now: Moment, input: Input<'_>, out: &mut Vec<Output>) {
        if let Input::Durable { write } = input {
            self.replica.set_durable(write);
        }
        if matches!(input, Input::Diverged) {
            self.replica.diverged = true;
            if !matches!(self.state, State::Looking) {
                self.leave(now, LeaveReason::Diverged, out);
            }
            return;
        }
        let settled = match &self.state {
            State::Looking => Zxid::ZERO,
            State::Leading(leader) => leader.settled(),
            State::Learning(learner) => learner.settled(),
        };
        self.replica.history.trim(settled);
        let mut step = Step { now, replica: &mut self.replica, out };
        let done = match &mut self.state {
            State::Looking => {
                self.state = Self::look(&mut step, input);
                return;
            }
            State::Leading(leader) => leader.step(&mut step, input),
            State::Learning(learner) => learner.step(&mut step, input),
        };
        if let Err(why) = done {
            self.leave(now, why, out);
        }
    }

    /// Takes an input while looking.
    fn look(step: &mut Step<'_>, input: Input<'_>) -> State {
        match input {
            Input::Elected { leader } => {
                step.out.push(Output::Elected { leader });
                return if leader == step.replica.sid {
                    State::Leading(Leader::elected(step))
                } else {
                    State::Learning(Learner::elected(step, leader))
                };
            }
            Input::Accepted { link } | Input::Connected { link, .. } => {
                step.out.push(Output::Close { link, why: Some(LinkError::NotLeading) });
            }
            Input::Learned { config } => {
                step.replica.commit_config(config, step.out);
            }
            // Of a role that has ended.
            _ => {}
        }
        State::Looking
    }

    /// Ends the role.
    fn leave(&mut self, now: Moment, why: LeaveReason, out: &mut Vec<Output>) {
        let mut step = Step { now, replica: &mut self.replica, out };
        match core::mem::replace(&mut self.state, State::Looking) {
            State::Looking => {}
            State::Leading(leader) => leader.leave(&mut step),
            State::Learning(learner) => learner.leave(&mut step),
        }
        out.push(Output::Look { why });
    }

    /// When to call `step` with [`Input::Deadline`] if nothing else happens.
    pub fn next_deadline(&self) -> Option<Moment> {
        match &self.state {
            State::Looking => None,
            State::Leading(leader) => Some(leader.next_deadline()),
            State::Learning(learner) => Some(learner.next_deadline()),
        }
    }

    /// What it is doing.
    pub fn state(&self) -> PeerState {
        match &self.state {
            State::Looking => PeerState::Looking,
            State::Leading(it) => PeerState::Leading { phase: it.phase(), epoch: it.epoch() },
            State::Learning(it) if it.is_observer() => PeerState::Observing { leader: it.leader() },
            State::Learning(it) => PeerState::Following { leader: it.leader() },
        }
    }

    /// A leader's learners; `None` if it does not lead.
    pub fn learner_counts(&self) -> Option<LearnerCounts> {
        let is_voter = |sid| self.replica.views.committed().verifier().is_voter(sid);
        match &self.state {
            State::Leading(leader) => Some(leader.counts(is_voter)),
            _ => None,
        }
    }

    /// How many observers this server tells; `None` if it tells none.
    pub fn observer_count(&self) -> Option<usize> {
        match &self.state {
            State::Leading(leader) => Some(leader.counts(|_| true).synced_observers),
            State::Learning(learner) => learner.observer_count(&self.replica.settings),
            State::Looking => None,
        }
    }

    /// Who tells a learner; `None` if it is none.
    pub fn told_by(&self) -> Option<Sid> {
        match &self.state {
            State::Learning(it) => Some(it.told_by()),
            _ => None,
        }
    }

    /// Which server this is.
    pub fn sid(&self) -> Sid {
        self.replica.sid
    }

    /// What to elect with.
    pub fn vote(&self) -> OwnVote {
        OwnVote { zxid: self.replica.shown_last(), epoch: self.replica.current }
    }

    /// The last write that was ordered, if it is not durable.
    pub(crate) fn owed(&self) -> Option<WriteId> {
        self.replica.owed()
    }

    /// Whether this write is durable.
    pub(crate) fn is_durable(&self, write: WriteId) -> bool {
        self.replica.is_durable(write)
    }

    /// The configurations it knows.
    pub fn views(&self) -> &Views {
        &self.replica.views
    }

    /// The zxid of the next proposal; `None` if this server takes none.
    pub fn next_zxid(&self) -> Option<Zxid> {
        match &self.state {
            State::Leading(leader) => leader.next_zxid(&self.replica),
            _ => None,
        }
    }

    /// The servers that a reconfiguration may count on: those that follow this leader and are in step, and itself; whether
    /// they vote or not. Nobody if it does not lead.
    pub fn synced(&self) -> impl Iterator<Item = Sid> + '_ {
        let leader = match &self.state {
            State::Leading(leader) => Some(leader),
            _ => None,
        };
        let itself = leader.map(|_| self.replica.sid);
        leader.into_iter().flat_map(|it| it.synced(&self.replica)).chain(itself)
    }

    /// Where a learner's driver sends its clients' requests, as [`Message::Request`]; `None` if it does not serve.
    pub fn request_link(&self) -> Option<Link> {
        match &self.state {
            State::Learning(learner) => learner.request_link(),
            _ => None,
        }
    }

    /// The bytes of a transaction that an output of the last step names.
    pub fn txn(&self, zxid: Zxid) -> Option<&[u8]> {
        self.replica.history.get(zxid)
    }

    /// The promised epoch, and the current one.
    pub fn epochs(&self) -> (Epoch, Epoch) {
        (self.replica.accepted, self.replica.current)
    }

    /// The last transaction that is known to be committed.
    pub fn committed(&self) -> Zxid {
        self.replica.committed
    }

    /// What of the log is in memory.
    pub fn history(&self) -> &crate::zab::History {
        &self.replica.history
    }

    /// A packet of the last step's outputs, as it goes out.
    pub fn message<'a>(&'a self, packet: &'a Packet) -> Message<'a> {
        let txn = |zxid| self.txn(zxid).unwrap_or_else(|| unreachable!("{zxid} was just named"));
        match *packet {
            Packet::Proposal { zxid } => Message::Proposal { zxid, txn: txn(zxid) },
            Packet::Inform { zxid } => Message::Inform { zxid, txn: txn(zxid) },
            Packet::InformAndActivate { zxid, designated } => {
                Message::InformAndActivate { zxid, designated, txn: txn(zxid) }
            }
            Packet::PingAnswer { zxid, ref touches } => {
                Message::Ping { zxid, touches: Touches::decode(touches) }
            }
            Packet::NewLeader { epoch, ref config } => {
                Message::NewLeader { epoch, config: Some(config) }
            }
            Packet::Plain(plain) => plain_message(plain),
        }
    }
}

/// The message of a packet of numbers.
fn plain_message(plain: Plain) -> Message<'static> {
    match plain {
        Plain::Ack { zxid } => Message::Ack { zxid },
        Plain::Commit { zxid } => Message::Commit { zxid },
        Plain::CommitAndActivate { zxid, designated } => {
            Message::CommitAndActivate { zxid, designated }
        }
        Plain::Ping { zxid } => Message::Ping { zxid, touches: None },
        Plain::Sync => Message::Sync,
        Plain::Revalidate(touch) => Message::Revalidate(touch),
        Plain::Revalidated { session, valid } => {
            Message::Revalidated { session, valid: valid == Validity::Alive }
        }
        Plain::FollowerInfo { accepted, info } => Message::FollowerInfo { accepted, info },
        Plain::ObserverInfo { accepted, info } => Message::ObserverInfo { accepted, info },
        Plain::LeaderInfo { epoch, protocol } => Message::LeaderInfo { epoch, protocol },
        Plain::AckEpoch { zxid, current } => Message::AckEpoch { zxid, current },
        Plain::UpToDate => Message::UpToDate,
        Plain::Diff { zxid } => Message::Diff { zxid },
        Plain::Trunc { zxid } => Message::Trunc { zxid },
        Plain::Snap { zxid } => Message::Snap { zxid },
    }
}

#[cfg(test)]
mod conversation_tests;
#[cfg(test)]
mod image_tests;
#[cfg(test)]
mod late_tests;
#[cfg(test)]
mod sync_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod throttle_tests;
