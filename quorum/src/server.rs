//! One server whole: the election, the connections of the election, and the role that follows.
//!
//! ZooKeeper: `QuorumPeer`, with its `QuorumCnxManager` and `FastLeaderElection`. The three machines know nothing of one another;
//! here is what each is told of the others: a role that ends begins a search with what is logged; a search that ends begins a
//! role; an epoch that is established goes into the votes; a configuration goes to all three.
//!
//! *How it is driven.* As [`crate::zab`] says, with one more kind of connection. A turn: for each input `step`, then both lists of
//! [`Outputs`] performed, each in its order; nothing in one waits for anything in the other. Then once `step` with
//! [`Input::Deadline`]; sleep until [`Server::next_deadline`].
//!
//! A server whose disk hangs is not elected: while a write has been waiting for longer than `syncLimit`, it says −1 as its last transaction in votes, which in
//! all servers, the reference's among them, counts for nobody. It searches anew, with its vote, when that write is durable.
//!
//! **Differs:** the reference's waits for its disk wherever it is; whoever is elected then is elected again and again.
//!
//! *Absent:* sockets, files, names, the tree.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use jute::Zxid;

use crate::election::links::{self, Conn, Links};
use crate::election::{self, Candidate, Election, History, Timing};
use crate::oracle::Word;
use crate::wire::{Notification, NotificationError, ServerState};
use crate::zab::{self, LeaveReason, Reconfig, Restored, Settings, WriteId};
use crate::{Moment, Oracle, Peer, PeerState, Permit, Role, Sid, Views};

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// To the role: everything but [`zab::Input::Elected`] and [`zab::Input::Deadline`], which come from here.
    Zab(zab::Input<'a>),
    /// To a connection of the election: everything but [`links::Input::Send`], [`links::Input::Reconnect`],
    /// [`links::Input::Reconfigured`] and [`links::Input::Deadline`], which come from here.
    Links(links::Input),
    /// A frame came whole on a connection of the election.
    Frame {
        /// Which.
        conn: Conn,
        /// The frame behind its length.
        body: &'a [u8],
    },
    /// What the oracle says, if [`Server::asks_oracle`].
    Oracle {
        /// The word.
        word: Word,
    },
    /// Nothing but time.
    Deadline,
}

/// What to do, in two lists; each is emptied by the driver.
#[derive(Clone, Debug, Default)]
pub struct Outputs {
    /// The role's.
    pub zab: Vec<zab::Output>,
    /// The election's connections': [`links::Output::Connect`], [`links::Output::Write`] and [`links::Output::Close`] only.
    pub links: Vec<links::Output>,
}

/// One server's three machines.
#[derive(Clone, Debug)]
pub struct Server {
    sid: Sid,
    election: Election,
    links: Links,
    peer: Peer,
    /// When to begin a search that waits: an observer's.
    search_at: Option<Moment>,
    /// See [`zab::ObserverDelays::election`].
    election_delay: Duration,
    /// Writes that are not durable, and when they were ordered: of each step the last. Invariant: both ascend.
    owed: VecDeque<(WriteId, Moment)>,
    /// Of a search without this server's vote: the write that its disk owes.
    abstains_until: Option<WriteId>,
    /// How long the disk may owe a write.
    sync_time: Duration,
    /// Whether there is an oracle, and how long its word counts.
    oracle: (Oracle, Duration),
    /// Empty between steps.
    votes: Vec<election::Output>,
}

impl Server {
    /// A server with what its disk holds. It does nothing before [`Server::start`].
    pub fn new(
        sid: Sid,
        settings: Settings,
        timing: Timing,
        views: Views,
        restored: &Restored,
    ) -> Self {
        let reconfig = match settings.reconfig {
            Reconfig::Enabled => election::Reconfig::On,
            Reconfig::Disabled => election::Reconfig::Off,
        };
        let history = History { last_logged: restored.last, current_epoch: restored.current };
        let electing = election::Settings { myid: sid, timing, reconfig, oracle: settings.oracle };
        Self {
            sid,
            election: Election::new(electing, views.clone(), history),
            links: Links::new(sid, views.clone()),
            peer: Peer::new(sid, settings, views, restored),
            search_at: None,
            election_delay: settings.observer_delays.election,
            owed: VecDeque::new(),
            abstains_until: None,
            sync_time: settings.sync_time(),
            oracle: (settings.oracle, settings.tick),
            votes: Vec::new(),
        }
    }

    /// Before the start: the disk is empty and should not be. This server neither votes nor leads before a leader has sent it an image.
    ///
    /// Source: `FileTxnSnapLog.restore`, where `db.autocreate` is off.
    pub fn forget(&mut self) {
        self.peer.forget();
    }

    /// Begins the first search.
    pub fn start(&mut self, now: Moment, out: &mut Outputs) {
        self.search(now, None, out);
        self.settle(now, out);
    }

    /// Takes one input at `now`; pushes what to do about it.
    ///
    /// # Errors
    /// [`NotificationError`] if a frame holds no notification. Nothing is changed.
    pub fn step(
        &mut self,
        now: Moment,
        input: Input<'_>,
        out: &mut Outputs,
    ) -> Result<(), NotificationError> {
        match input {
            Input::Zab(input) => self.role(now, input, out),
            Input::Links(input) => self.connect(now, input, out),
            Input::Frame { conn, body } => {
                if let Some(from) = self.links.owner(conn) {
                    let message = election::Input::Message { from, body };
                    self.election.step(now, message, &mut self.votes)?;
                    self.note_searcher(now, from, body, out);
                }
            }
            Input::Oracle { word } => {
                let permit = Permit::heard(now, word, self.oracle.1);
                self.elect(now, election::Input::Oracle { permit });
                self.role(now, zab::Input::Oracle { permit }, out);
            }
            Input::Deadline => self.deadline(now, out),
        }
        self.settle(now, out);
        Ok(())
    }

    /// Makes a server the leader without a search, if this one has none.
    pub fn appoint(&mut self, now: Moment, leader: Sid, out: &mut Outputs) {
        if self.peer.state() == PeerState::Looking {
            self.search(now, Some(leader), out);
            self.settle(now, out);
        }
    }

    /// Whether the oracle may have something to decide: this server is one of two voters, and follows nobody. Its word counts for a tick.
    pub fn asks_oracle(&self) -> bool {
        let views = self.peer.views();
        let half = |it: &crate::QuorumConfig| it.verifier().is_half(self.sid, |_| true);
        let follows = matches!(self.peer.state(), PeerState::Following { .. });
        self.oracle.0 == Oracle::Asked
            && !follows
            && (half(views.committed()) || half(views.last_seen()))
    }

    /// When to call `step` with [`Input::Deadline`] if nothing else happens.
    pub fn next_deadline(&self) -> Option<Moment> {
        let machines =
            [self.peer.next_deadline(), self.election.next_deadline(), self.links.next_deadline()];
        machines.into_iter().chain([self.search_at]).flatten().min()
    }

    /// The role.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The election.
    pub fn election(&self) -> &Election {
        &self.election
    }

    /// Puts a bug in.
    #[cfg(planted)]
    pub fn plant(&mut self, bug: zab::Bug) {
        self.peer.plant(bug);
    }

    /// Gives the role an input, and the others what follows from what it ordered.
    fn role(&mut self, now: Moment, input: zab::Input<'_>, out: &mut Outputs) {
        let before = out.zab.len();
        let observed = matches!(self.peer.state(), PeerState::Observing { .. });
        self.peer.step(now, input, &mut out.zab);
        self.note_disk(now);
        for at in before..out.zab.len() {
            match out.zab.get(at) {
                Some(&zab::Output::Look { why: LeaveReason::Reconfigured { designated } }) => {
                    self.reconfigure(now, out);
                    self.search(now, Some(designated), out);
                }
                Some(&zab::Output::Look { why: LeaveReason::Resumed { leader } }) => {
                    self.search(now, Some(leader), out);
                }
                Some(zab::Output::Look { .. }) if observed && !self.election_delay.is_zero() => {
                    let round = self.election.clock() as u64;
                    let delay = Moment::spread(self.sid, round, self.election_delay);
                    self.search_at = Some(now + delay);
                }
                Some(zab::Output::Look { .. }) => self.search(now, None, out),
                Some(&zab::Output::Serve { epoch }) => {
                    self.elect(now, election::Input::Established { epoch });
                }
                Some(zab::Output::Activate { .. } | zab::Output::Propose { .. }) => {
                    self.reconfigure(now, out);
                }
                _ => {}
            }
        }
        if self.abstains_until.is_some_and(|it| self.peer.is_durable(it)) {
            self.abstains_until = None;
            if self.peer.state() == PeerState::Looking {
                self.search(now, None, out);
            }
        }
    }

    /// Tells a leader that waits for a quorum that one of those that elected it searches again.
    fn note_searcher(&mut self, now: Moment, from: Sid, body: &[u8], out: &mut Outputs) {
        let discovery = zab::Phase::Discovery;
        let waits =
            matches!(self.peer.state(), PeerState::Leading { phase, .. } if phase == discovery);
        let searches = Notification::decode(body).is_ok_and(|it| it.state == ServerState::Looking);
        if waits && searches && self.election.was_elected_by(from) {
            self.role(now, zab::Input::Searches { sid: from }, out);
        }
    }

    /// Notes what the disk owes.
    fn note_disk(&mut self, now: Moment) {
        while self.owed.pop_front_if(|it| self.peer.is_durable(it.0)).is_some() {}
        let noted = self.owed.back().map(|it| it.0);
        if let Some(write) = self.peer.owed().filter(|&it| noted < Some(it)) {
            self.owed.push_back((write, now));
        }
    }

    /// Begins a search, or ends it at once if a leader is named.
    fn search(&mut self, now: Moment, leader: Option<Sid>, out: &mut Outputs) {
        self.search_at = None;
        self.abstains_until = None;
        let vote = self.peer.vote();
        let Some(leader) = leader else {
            let late = self.owed.front().filter(|it| self.sync_time < now.since(it.1));
            self.abstains_until = late.map(|it| it.0);
            let last_logged = late.map_or(vote.zxid, |_| Zxid(-1));
            let history = History { last_logged, current_epoch: vote.epoch };
            return self.elect(now, election::Input::Look { history });
        };
        let observes = self.peer.views().committed().member(self.sid);
        let state = match observes.map(|it| it.role) {
            _ if leader == self.sid => ServerState::Leading,
            Some(Role::Observer) => ServerState::Observing,
            _ => ServerState::Following,
        };
        let candidate = Candidate { peer_epoch: vote.epoch, zxid: vote.zxid, leader };
        self.elect(now, election::Input::Appointed { state, candidate });
        self.peer.step(now, zab::Input::Elected { leader }, &mut out.zab);
    }

    /// Tells the election and its connections of the configurations as they are now.
    fn reconfigure(&mut self, now: Moment, out: &mut Outputs) {
        let views = self.peer.views().clone();
        self.connect(now, links::Input::Reconfigured { views: views.clone() }, out);
        // The election has heard of it first, if it came with a vote.
        if self.election.views().versions() != views.versions() {
            self.elect(now, election::Input::Reconfigured { views });
        }
    }

    /// Gives the election an input that is no message.
    fn elect(&mut self, now: Moment, input: election::Input<'_>) {
        if self.election.step(now, input, &mut self.votes).is_err() {
            unreachable!("only a message can be none");
        }
    }

    /// Gives the connections an input, and the election what they learn of the others.
    fn connect(&mut self, now: Moment, input: links::Input, out: &mut Outputs) {
        let before = out.links.len();
        self.links.step(now, input, &mut out.links);
        let mut at = before;
        while let Some(output) = out.links.get(at) {
            let heard = match *output {
                links::Output::Reached { sid } => election::Input::Reached { sid },
                links::Output::Lost { sid } => election::Input::Lost { sid },
                _ => {
                    at += 1;
                    continue;
                }
            };
            out.links.remove(at);
            self.elect(now, heard);
        }
    }

    /// Looks at the clock for whom it is time.
    fn deadline(&mut self, now: Moment, out: &mut Outputs) {
        let is_due = |at: Option<Moment>| at.is_some_and(|at| at <= now);
        if is_due(self.links.next_deadline()) {
            self.connect(now, links::Input::Deadline, out);
        }
        if is_due(self.election.next_deadline()) {
            self.elect(now, election::Input::Deadline);
        }
        if is_due(self.peer.next_deadline()) {
            self.role(now, zab::Input::Deadline, out);
        }
        if is_due(self.search_at) {
            self.search(now, None, out);
        }
    }

    /// Does what the election asks of the other two, until it asks nothing more.
    fn settle(&mut self, now: Moment, out: &mut Outputs) {
        while !self.votes.is_empty() {
            for output in core::mem::take(&mut self.votes) {
                match output {
                    election::Output::Send { to, frame } => {
                        self.connect(now, links::Input::Send { to, frame }, out);
                    }
                    election::Output::Reconnect => {
                        self.connect(now, links::Input::Reconnect, out);
                    }
                    election::Output::Elected { vote, .. } => {
                        let leader = vote.candidate.leader;
                        self.role(now, zab::Input::Elected { leader }, out);
                    }
                    election::Output::Activate { config } => {
                        self.role(now, zab::Input::Learned { config: &config }, out);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod oracle_tests;
#[cfg(test)]
mod tests;
