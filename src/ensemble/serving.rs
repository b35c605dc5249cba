//! From an election to service, and from service to the next election.
//!
//! ZooKeeper: the beginnings and ends of `QuorumPeer.run`'s states, and of the servers that they make.
//!
//! Invariant: a change of role ends every connection, and clients are let in by the role that they are for.

use engine::state::Fuzzy;
use net::learners::LearnerPort;
use net::words::Serving;
use quorum::Sid;

use super::{Core, Role, role};
use crate::clock;
use crate::pipeline::{Learning, Mode, Moment, Pipeline, ReadOnly};

impl Core {
    /// A search for a leader begins.
    pub(super) fn look(&mut self) {
        let now_ms = clock::now_ms();
        self.read_only_at = self.manners.read_only_after_ms.map(|after_ms| now_ms + after_ms);
        self.standing.look(now_ms, self.role.applier().figures_mut());
        self.behind.clear();
    }

    /// It has ended.
    pub(super) fn elected(&mut self, port: &mut LearnerPort, leader: Sid) {
        let state = self.server.election().state();
        let epoch = self.server.election().candidate().peer_epoch;
        tracing::info!(?state, %leader, %epoch, "elected");
        self.standing.elected(clock::now_ms(), self.role.applier().figures_mut());
        self.end_read_only();
        if leader == self.server.peer().sid()
            && let Err(error) = port.listen()
        {
            panic!("elected, and cannot hear learners: {error}");
        }
    }

    /// Applies what is decided while nobody is served.
    pub(super) fn catch_up(&mut self) {
        let committed = self.committed;
        let applier = self.role.applier();
        let after = applier.state().tree().zxid();
        if self.backlog.holds(after, committed) {
            let backlog = &mut self.backlog;
            applier.replay(|apply| drop(backlog.take_upto(after, committed, apply)));
        }
    }

    /// The machine says that clients may be served.
    pub(super) fn serve(&mut self, epoch: quorum::Epoch) {
        self.catch_up();
        if self.role.applier().diverged().is_some() {
            return;
        }
        self.role.applier().settle();
        let moment: Moment = clock::now();
        let mode = role::mode(self.server.peer().state());
        let mut applier = self.role.take();
        applier.start_over(moment.now_ms);
        applier.set_mode(mode);
        self.standing.serve(moment.now_ms, mode, applier.figures_mut());
        let config = self.server.peer().views().committed();
        if let Err(full) = applier.show_config(config, moment.wall_ms) {
            tracing::error!("/zookeeper/config is out of date: {full}");
        }
        if mode != Mode::Leader || self.manners.leader_serves {
            applier.tell_all(|| net::message::DeliverItem::Serve(Serving::ReadWrite));
        }
        self.role = if mode == Mode::Leader {
            assert!(self.backlog.is_empty(), "a leader has applied all that was before it");
            let mut pipeline = Pipeline::new(applier, self.reaping, moment.now_ms);
            let Some(first) = self.server.peer().next_zxid() else {
                unreachable!("a leader that begins to serve takes proposals")
            };
            pipeline.begin_epoch(first);
            if let Some(membership) = self.membership() {
                pipeline.set_membership(membership);
            }
            Role::Leading(Box::new(pipeline))
        } else {
            Role::Learning(Box::new(Learning::new(applier)))
        };
        self.synced = 0;
        tracing::info!(%epoch, mode = mode.name(), zxid = %self.server.peer().vote().zxid, "serving");
    }

    /// No leader is found: those who read only are served what is applied.
    pub(super) fn serve_read_only(&mut self, moment: Moment) {
        self.read_only_at = None;
        // A tree that is not the ensemble's, or not yet, or is about to be replaced, is shown to nobody.
        let is_fuzzy = self.role.applier().state().fuzzy() == Fuzzy::Yes;
        if is_fuzzy || self.is_fenced || !self.disk.is_idle() {
            self.read_only_at = Some(moment.now_ms + READ_ONLY_AGAIN_MS);
            return;
        }
        let mut applier = self.role.take();
        applier.set_mode(Mode::ReadOnly);
        self.standing.serve_read_only(moment.now_ms);
        applier.tell_all(|| net::message::DeliverItem::Serve(Serving::ReadOnly));
        tracing::info!(zxid = %applier.state().tree().zxid(), "no leader yet: serving those who read only");
        self.role = Role::ReadOnly(Box::new(ReadOnly::new(applier)));
    }

    /// A leader is found: those who read only are to come back when it serves.
    pub(super) fn end_read_only(&mut self) {
        self.read_only_at = None;
        if let Role::ReadOnly(_) = self.role {
            let mut applier = self.role.take();
            applier.start_over(clock::now_ms());
            applier.set_mode(Mode::Looking);
            applier.tell_all(|| net::message::DeliverItem::Stop);
            self.role = Role::Idle(Box::new(applier));
        }
    }

    /// The role has ended, and its clients with it.
    pub(super) fn end_role(&mut self) {
        let mut applier = self.role.take();
        applier.start_over(clock::now_ms());
        applier.set_mode(Mode::Looking);
        applier.tell_all(|| net::message::DeliverItem::Stop);
        self.role = Role::Idle(Box::new(applier));
        self.backlog.disown();
        self.disk.disown();
        self.askings.clear();
        self.streams.clear();
        self.asides.clear();
        self.wanted.clear();
        self.incoming = None;
    }
}

/// After so many milliseconds it is tried again whether the tree may be shown.
const READ_ONLY_AGAIN_MS: u64 = 500;
