//! A learner: finds its leader, gets its history, and then follows it. A follower acks; an observer is told.
//!
//! ZooKeeper: `Learner`, `Follower`, `Observer`. Getting the history is in [`sync`].
//!
//! Invariants, in the order of writes: the promise before ACKEPOCH leaves; the whole history, then the current epoch, before
//! NEWLEADER is acked; a transaction before it is acked; no ack of a transaction before that of NEWLEADER. Nothing is applied
//! before UPTODATE says that the history is the ensemble's, so nothing applied is ever taken back.
//!
//! **Differs:** the reference keeps what is proposed while it syncs in memory; here it goes to the log as it comes.

mod hosting;
mod sync;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use jute::{SessionId, Zxid};

use crate::wire::{LearnerInfo, Message, PacketKind, Touch, Touches};
use crate::{Epoch, Moment, QuorumConfig, Sid};

use super::io::{Input, Link, Output, Packet, Plain, SyncFrom, To, Validity, WriteId};
use super::planted::Bug;
use super::{Leader, LeaveReason, LinkError, Step};
pub use hosting::ObserverMasters;

/// Connection attempts, in about as much time as the reference's five. Source: `Learner.connectToLeader`.
const TRIES_MAX: u32 = 12;

/// From the first attempt to the second; the pause doubles then, up to [`Settings::connect_pause`](super::Settings::connect_pause).
///
/// Differs: the reference always waits for the longest pause. A leader listens some tenths of a millisecond after the first of its followers
/// knows of its election, and that pause was most of a fail-over.
const RETRY_MIN: Duration = Duration::from_millis(1);

/// How far it is. In order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stage {
    /// Tries again at this moment.
    Pausing {
        until: Moment,
    },
    Connecting,
    /// Has said who it is; is told the epoch next.
    Named,
    /// The promise is being written.
    Promising {
        write: WriteId,
        /// What was current before; `None` if the epoch was promised before.
        current: Option<Epoch>,
    },
    /// Has promised; DIFF, TRUNC or SNAP next.
    Promised,
    /// An image is coming.
    Imaging {
        zxid: Zxid,
    },
    /// Gets the history; NEWLEADER ends it.
    Syncing,
    /// The history is being written, and the epoch behind it.
    Sealing {
        write: WriteId,
    },
    /// Has acked NEWLEADER; UPTODATE next.
    Sealed,
    /// Serves.
    Serving,
}

/// A server that was elected as somebody's follower or observer.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Learner {
    leader: Sid,
    /// Who is connected to, or is being: the leader, or of an observer maybe a follower.
    master: Sid,
    is_observer: bool,
    stage: Stage,
    link: Option<Link>,
    tries: u32,
    /// Until when the leader must be heard.
    heard_until: Moment,
    /// The leader's.
    epoch: Epoch,
    /// Proposed and not committed. Invariant: the end of the log.
    pending: VecDeque<Zxid>,
    /// Everything up to here is committed, by what the leader said.
    committed: Zxid,
    /// Appends to ack.
    acks: VecDeque<(WriteId, Zxid)>,
    /// The version of the last change of members that this leader proposed; 0 if it proposed none.
    changed: i64,
    /// Whether an ACK or COMMIT is of everything up to its zxid: the leader has said so.
    batches: bool,
    /// What NEWLEADER carried.
    config: Option<Arc<QuorumConfig>>,
    /// Sessions that showed life since the last ping, and their timeouts.
    touched: BTreeMap<SessionId, i32>,
    /// Who waits for `sync`, in the order of their requests.
    syncs: VecDeque<SyncFrom>,
    /// Which observer each question about a session is of, in order; `None`: a client of this server.
    asked: VecDeque<Option<Link>>,
    /// Observers of this follower.
    hosted: Option<Box<Leader>>,
}

impl Learner {
    /// Begins to connect.
    pub(crate) fn elected(step: &mut Step<'_>, leader: Sid) -> Self {
        let is_observer = step.replica.is_observer();
        let until = step.now + Self::rest(step, leader, 0);
        let mut learner = Self {
            leader,
            master: leader,
            is_observer,
            stage: Stage::Pausing { until },
            link: None,
            tries: 0,
            heard_until: until + step.replica.settings.init_time(),
            epoch: Epoch::ZERO,
            pending: VecDeque::new(),
            committed: Zxid::ZERO,
            acks: VecDeque::new(),
            changed: 0,
            batches: false,
            config: None,
            touched: BTreeMap::new(),
            syncs: VecDeque::new(),
            asked: VecDeque::new(),
            hosted: None,
        };
        if until <= step.now {
            learner.call(step);
        }
        learner
    }

    /// Connects to whoever is next.
    fn call(&mut self, step: &mut Step<'_>) {
        self.stage = Stage::Connecting;
        self.master = Self::master(step, self.leader, self.tries);
        self.tries += 1;
        step.out.push(Output::Connect { to: self.master });
    }

    /// Whom it follows.
    pub(crate) fn leader(&self) -> Sid {
        self.leader
    }

    /// Who tells it.
    pub(crate) fn told_by(&self) -> Sid {
        self.master
    }

    /// Whether it is told, and has no voice.
    pub(crate) fn is_observer(&self) -> bool {
        self.is_observer
    }

    /// The connection to the leader, once requests may be sent on it.
    pub(crate) fn request_link(&self) -> Option<Link> {
        self.link.filter(|_| self.stage == Stage::Serving)
    }

    /// What may be forgotten from memory.
    pub(crate) fn settled(&self) -> Zxid {
        self.committed
    }

    /// When to be called if nothing else happens.
    pub(crate) fn next_deadline(&self) -> Moment {
        let own = match self.stage {
            Stage::Pausing { until } => until.min(self.heard_until),
            _ => self.heard_until,
        };
        self.hosted.as_ref().map_or(own, |it| it.next_deadline().min(own))
    }

    /// Takes one input.
    ///
    /// # Errors
    /// [`LeaveReason`]: this server follows no longer.
    pub(crate) fn step(
        &mut self,
        step: &mut Step<'_>,
        input: Input<'_>,
    ) -> Result<(), LeaveReason> {
        match input {
            Input::Deadline => {
                self.host_deadline(step);
                self.deadline(step)
            }
            Input::Connected { link, to } => {
                self.connected(step, link, to);
                Ok(())
            }
            Input::ConnectFailed { to } if to == self.master => self.connect_failed(step),
            Input::Closed { link } if self.link == Some(link) => Err(LeaveReason::LinkLost),
            Input::Packet { link, message } if self.link == Some(link) => {
                self.packet(step, &message)
            }
            Input::Durable { .. } => {
                self.durable(step);
                Ok(())
            }
            Input::SnapshotPart { link } if self.link == Some(link) => {
                if matches!(self.stage, Stage::Imaging { .. }) {
                    self.heard_until = step.now + step.replica.settings.init_time();
                }
                Ok(())
            }
            Input::SnapshotReceived { link } if self.link == Some(link) => {
                self.image_received(step);
                Ok(())
            }
            Input::Touch(touch) => {
                self.touched.insert(touch.session, touch.timeout_ms);
                Ok(())
            }
            Input::Revalidate(touch) => {
                self.revalidate(step, touch, None);
                Ok(())
            }
            Input::Sync { from } => {
                self.syncs.push_back(from);
                Ok(())
            }
            Input::Accepted { .. }
            | Input::Packet { .. }
            | Input::Closed { .. }
            | Input::LogFloor { .. }
            | Input::LogStreamed { .. }
            | Input::SnapshotChosen { .. }
            | Input::SnapshotSent { .. } => {
                self.host(step, input);
                Ok(())
            }
            // A leader's, or of a connection that is no more.
            _ => Ok(()),
        }
    }

    /// Gives the role up.
    pub(crate) fn leave(self, step: &mut Step<'_>) {
        if let Some(hosted) = self.hosted {
            hosted.leave(step);
        }
        if let Some(link) = self.link {
            step.out.push(Output::Close { link, why: None });
        }
    }

    fn connected(&mut self, step: &mut Step<'_>, link: Link, to: Sid) {
        if self.stage != Stage::Connecting || to != self.master {
            step.out.push(Output::Close { link, why: Some(LinkError::NotLeading) });
            return;
        }
        self.link = Some(link);
        self.stage = Stage::Named;
        self.heard_until = step.now + step.replica.settings.init_time();
        let version = step.replica.views.committed().version();
        let info = LearnerInfo::new(step.replica.sid, step.replica.settings.protocol, version);
        let accepted = step.replica.accepted;
        let plain = if self.is_observer {
            Plain::ObserverInfo { accepted, info }
        } else {
            Plain::FollowerInfo { accepted, info }
        };
        step.send(To::Link(link), plain);
    }

    fn connect_failed(&mut self, step: &Step<'_>) -> Result<(), LeaveReason> {
        if self.stage == Stage::Connecting {
            if self.tries == TRIES_MAX {
                return Err(LeaveReason::Unreachable { leader: self.leader });
            }
            let pause = RETRY_MIN * (1 << self.tries.saturating_sub(1).min(TRIES_MAX));
            let pause = pause.min(step.replica.settings.connect_pause);
            let rest = Self::rest(step, self.leader, self.tries);
            self.stage = Stage::Pausing { until: step.now + pause.max(rest) };
            self.heard_until = self.heard_until + rest;
        }
        Ok(())
    }

    fn deadline(&mut self, step: &mut Step<'_>) -> Result<(), LeaveReason> {
        if self.heard_until <= step.now {
            return Err(match self.stage {
                Stage::Pausing { .. } | Stage::Connecting => {
                    LeaveReason::Unreachable { leader: self.leader }
                }
                _ => LeaveReason::Leader(LinkError::Silent),
            });
        }
        if let Stage::Pausing { until } = self.stage
            && until <= step.now
        {
            self.call(step);
        }
        Ok(())
    }

    /// Takes a packet of the leader.
    fn packet(&mut self, step: &mut Step<'_>, message: &Message<'_>) -> Result<(), LeaveReason> {
        let settings = &step.replica.settings;
        let sealed = matches!(self.stage, Stage::Sealed | Stage::Serving);
        let limit = if sealed { settings.sync_time() } else { settings.init_time() };
        self.heard_until = step.now + limit;
        if self.stage == Stage::Serving {
            self.follow(step, message)
        } else {
            self.sync(step, message)
        }
    }

    /// Takes a packet while serving.
    fn follow(&mut self, step: &mut Step<'_>, message: &Message<'_>) -> Result<(), LeaveReason> {
        match *message {
            Message::Proposal { zxid, txn } => {
                self.proposed(step, zxid, txn)?;
                if step.replica.has(Bug::TellUncommitted) {
                    self.inform(step, zxid, Packet::Inform { zxid });
                }
            }
            Message::Commit { zxid } => {
                let before = self.committed;
                self.commit(zxid, step.replica.has(Bug::CommitOutOfOrder))?;
                step.replica.commit(self.committed, step.out);
                self.inform_behind(step, before);
            }
            Message::Inform { zxid, txn } => {
                self.proposed(step, zxid, txn)?;
                self.commit(zxid, false)?;
                step.replica.commit(self.committed, step.out);
            }
            Message::CommitAndActivate { zxid, designated } => {
                self.commit(zxid, false)?;
                step.replica.commit(self.committed, step.out);
                self.inform(step, zxid, Packet::InformAndActivate { zxid, designated });
                self.activate(step, zxid, designated)?;
            }
            Message::InformAndActivate { zxid, designated, txn } => {
                self.proposed(step, zxid, txn)?;
                self.commit(zxid, false)?;
                step.replica.commit(self.committed, step.out);
                self.activate(step, zxid, designated)?;
            }
            Message::Ping { zxid, .. } => self.answer_ping(step, zxid),
            Message::Sync => self.synced(step),
            Message::Revalidated { session, valid } => {
                let valid = if valid { Validity::Alive } else { Validity::Expired };
                match self.asked.pop_front().flatten() {
                    Some(link) => {
                        self.tell_observer(step, link, Plain::Revalidated { session, valid });
                    }
                    None => step.out.push(Output::SessionIs { session, valid }),
                }
            }
            Message::LeaderInfo { epoch, protocol } if self.epoch < epoch => {
                self.tell_observers(step, Plain::LeaderInfo { epoch, protocol });
                return Err(LeaveReason::Resumed { leader: self.leader });
            }
            Message::Diff { .. } => return Err(out_of_turn(PacketKind::Diff)),
            Message::Trunc { .. } => return Err(out_of_turn(PacketKind::Trunc)),
            Message::Snap { .. } => return Err(out_of_turn(PacketKind::Snap)),
            Message::NewLeader { .. } => return Err(out_of_turn(PacketKind::NewLeader)),
            // Ignored wherever it comes, as by the reference.
            _ => {}
        }
        Ok(())
    }

    /// A transaction behind the last; one that is logged already is passed over.
    fn proposed(&mut self, step: &mut Step<'_>, zxid: Zxid, txn: &[u8]) -> Result<(), LeaveReason> {
        let last = step.replica.history.last();
        if zxid <= last {
            return Ok(());
        }
        let follows = zxid == last.next()
            || Epoch::of(last) < Epoch::of(zxid)
                && zxid == step.replica.settings.before_first(Epoch::of(zxid)).next()
            || step.replica.has(Bug::AcceptGaps);
        if !follows {
            return Err(LeaveReason::Leader(LinkError::Gap { zxid, last }));
        }
        let config = super::replica::inspect(zxid, txn).map_err(LeaveReason::Leader)?;
        let write = step.replica.append(zxid, txn, step.out);
        self.pending.push_back(zxid);
        if !self.is_observer {
            self.acks.push_back((write, zxid));
        }
        if let Some(config) = config {
            self.changed = config.version();
            step.replica.propose_config(&config, step.out);
        }
        if self.stage == Stage::Serving || step.replica.has(Bug::CountEarlyAcks) {
            self.ack_durable(step);
        }
        Ok(())
    }

    /// What is proposed first is committed first; `zxid` may be the last of a run.
    fn commit(&mut self, zxid: Zxid, any_order: impl Into<AnyOrder>) -> Result<(), LeaveReason> {
        if zxid <= self.committed {
            return Ok(());
        }
        while self.batches && self.pending.pop_front_if(|it| *it < zxid).is_some() {}
        let next = self.pending.front().copied().unwrap_or_default();
        if next != zxid && !any_order.into().0 {
            return Err(LeaveReason::Leader(LinkError::CommitOrder { zxid, next }));
        }
        self.pending.pop_front();
        self.committed = zxid;
        Ok(())
    }

    /// The reconfiguration at `zxid` is agreed.
    fn activate(
        &mut self,
        step: &mut Step<'_>,
        zxid: Zxid,
        designated: Sid,
    ) -> Result<(), LeaveReason> {
        let Some(txn) = step.replica.history.get(zxid) else { return Ok(()) };
        let config = super::replica::inspect(zxid, txn).map_err(LeaveReason::Leader)?;
        if let Some(config) = config
            && step.replica.commit_config(&config, step.out)
            && (designated != self.leader || step.replica.is_observer() != self.is_observer)
        {
            return Err(LeaveReason::Reconfigured { designated });
        }
        Ok(())
    }

    fn answer_ping(&mut self, step: &mut Step<'_>, zxid: Zxid) {
        let Some(link) = self.link else { return };
        let mut touches = Vec::with_capacity(self.touched.len() * Touches::LEN);
        for (&session, &timeout_ms) in &self.touched {
            Touches::push(&mut touches, Touch { session, timeout_ms });
        }
        self.touched.clear();
        let packet = Packet::PingAnswer { zxid, touches };
        step.out.push(Output::Send { to: To::Link(link), packet });
    }

    /// A write is durable.
    fn durable(&mut self, step: &mut Step<'_>) {
        match self.stage {
            Stage::Promising { write, current } if step.replica.is_durable(write) => {
                self.promise(step, current);
            }
            Stage::Sealing { write } if step.replica.is_durable(write) => self.ack_leader(step),
            Stage::Serving => self.ack_durable(step),
            _ if step.replica.has(Bug::CountEarlyAcks) => self.ack_durable(step),
            _ => {}
        }
    }

    /// Acks what is durable: the last of it, or one by one, as the reference counts.
    fn ack_durable(&mut self, step: &mut Step<'_>) {
        let Some(link) = self.link else { return };
        let careless = step.replica.has(Bug::AckBeforeDurable);
        let is_ready = |it: &(WriteId, Zxid)| step.replica.is_durable(it.0) || careless;
        while let Some((_, zxid)) = self.acks.pop_front_if(|it| is_ready(it)) {
            if self.batches && self.acks.front().is_some_and(is_ready) {
                continue;
            }
            let packet = Packet::Plain(Plain::Ack { zxid });
            step.out.push(Output::Send { to: To::Link(link), packet });
        }
    }
}

/// Planted only: whether commits may come in any order.
struct AnyOrder(bool);

impl From<bool> for AnyOrder {
    fn from(any: bool) -> Self {
        Self(any)
    }
}

/// The leader sent what cannot come now.
fn out_of_turn(kind: PacketKind) -> LeaveReason {
    LeaveReason::Leader(LinkError::OutOfTurn { kind })
}
