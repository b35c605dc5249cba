//! Leader election: rounds of votes until a quorum votes alike.
//!
//! ZooKeeper: `FastLeaderElection`: its loop and its receiving thread. One machine lives as long as the process: a
//! server that has its leader still answers those that search.
//!
//! **Differs:**
//! - No fixed wait of 200 ms for a better vote where none can come: none when every voter has voted in this round,
//!   a short one when all have that can be reached. Nothing but time depends on the wait: a server that has chosen
//!   too early finds no leader where it thought, and searches again.
//! - The logical clock never goes back while the process lives, so that a server chooses once in a round at most.
//! - A searching server answers a stranger with what it proposes now, not with its vote of the last election.
//! - What a voter says that searches already is kept until this server searches, too: two that lose their leader at once
//!   would else wait for the pause before one of them votes again.
//! - Who joins a leader that others follow needs a quorum of the agreed members only. One that is proposed may be known
//!   to this server alone, and have no quorum for ever; the leader it joins says what became of it.
//! - The round of a voter that votes for nobody counts: one that gets its vote by the change that is proposed would else wait in
//!   a later round than all others, for ever if the new quorum needs it.
//! - A newer configuration in a message ends no election where reconfiguration is off.
//!
//! *Absent:* connections ([`links`]), how long a leader waits for those that elected it.

pub mod links;
mod planted;
mod vote;

#[cfg(planted)]
pub use planted::Bug;
pub use vote::{Candidate, Vote};

use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};
use core::time::Duration;

use jute::Zxid;

use crate::wire::{Notification, NotificationError, ServerState};
use crate::{Epoch, Moment, Oracle, Permit, QuorumConfig, Role, Sid, Views};
#[cfg(not(planted))]
use planted::Bug;

/// How long to wait for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timing {
    /// First pause before the vote is sent again; doubles. `zookeeper.fastleader.minNotificationInterval`.
    pub resend_min: Duration,
    /// Longest such pause. `zookeeper.fastleader.maxNotificationInterval`.
    pub resend_max: Duration,
    /// How long a better vote may still come while a voter that might be there has not voted.
    pub finalize: Duration,
    /// The same where all those have not voted that cannot be reached.
    pub finalize_reached: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            resend_min: Duration::from_millis(200),
            resend_max: Duration::from_mins(1),
            finalize: Duration::from_millis(200),
            finalize_reached: Duration::from_millis(20),
        }
    }
}

/// Whether the members may change while the ensemble runs: `reconfigEnabled`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reconfig {
    /// They are as the files say.
    #[default]
    Off,
    /// A newer configuration may come in a message.
    On,
}

/// What does not change while the process lives.
#[derive(Clone, Copy, Debug, Hash)]
pub struct Settings {
    /// Who this is. Whether it votes, its agreed configuration says; who is not in that asks to follow.
    pub myid: Sid,
    /// How long to wait.
    pub timing: Timing,
    /// Whether newer configurations are taken.
    pub reconfig: Reconfig,
    /// Whether there is one to ask where one of two voters is alone.
    pub oracle: Oracle,
}

/// How far this server has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct History {
    /// Its last logged transaction, committed or not; −1: it has lost its data and must not be trusted.
    pub last_logged: Zxid,
    /// Its current epoch.
    pub current_epoch: Epoch,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// There is no leader any more, or there was none yet: search.
    Look {
        /// How far this server has come.
        history: History,
    },
    /// A frame's body came from a server.
    Message {
        /// Who sent it.
        from: Sid,
        /// The body.
        body: &'a [u8],
    },
    /// There is a connection to a server, or it could be made.
    Reached {
        /// Whose.
        sid: Sid,
    },
    /// A connection was refused, or broke.
    Lost {
        /// Whose.
        sid: Sid,
    },
    /// The new leader's epoch was established: votes that are asked for carry it from now on.
    ///
    /// Source: `QuorumPeer.updateElectionVote`.
    Established {
        /// The epoch.
        epoch: Epoch,
    },
    /// The members changed, or a change was proposed. A running search begins anew.
    Reconfigured {
        /// The configurations now.
        views: Views,
    },
    /// A reconfiguration named the leader: there is no search.
    Appointed {
        /// What this server is now.
        state: ServerState,
        /// Its vote.
        candidate: Candidate,
    },
    /// The oracle has been asked. Not asked, it has said nothing.
    Oracle {
        /// What it allows.
        permit: Permit,
    },
    /// The moment of [`Election::next_deadline`].
    Deadline,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Give a frame to a server, instead of any that still waits to be sent to it.
    Send {
        /// To whom.
        to: Sid,
        /// The frame, its length before it.
        frame: Arc<[u8]>,
    },
    /// Try again every connection that is missing.
    Reconnect,
    /// The search is over.
    Elected {
        /// What this server is now.
        state: ServerState,
        /// Its vote; the leader is in it.
        vote: Vote,
    },
    /// A message brought an agreed configuration that is newer than ours; it is in force here from now on.
    Activate {
        /// The configuration.
        config: Arc<QuorumConfig>,
    },
}

/// Whether a voter could be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Reach {
    Reached,
    Lost,
}

/// A search for a leader.
#[derive(Clone, Debug, Hash)]
struct Search {
    /// How far this server has come.
    history: History,
    /// For whom it votes.
    proposal: Candidate,
    /// The votes of this round, one per voter; ours too. Source: `recvset`.
    votes: BTreeMap<Sid, Vote>,
    /// The votes of servers that have their leader, of any round. Source: `outofelection`.
    settled: BTreeMap<Sid, Vote>,
    /// When the vote is sent again.
    resend_at: Moment,
    /// The pause after that.
    resend_pause: Duration,
    /// When the choice is final; `None` while no quorum votes as we do.
    final_at: Option<Moment>,
}

/// Who voted for whoever was elected last.
#[derive(Clone, Debug, Default)]
struct Electors(Vec<Sid>);

/// Nothing of them: the election itself does not look at them.
impl Hash for Electors {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// One server's part in every election. See the module's page.
#[derive(Clone, Debug, Hash)]
pub struct Election {
    settings: Settings,
    views: Views,
    /// What this server is doing. Invariant: searching as long as `search` is there.
    state: ServerState,
    /// The vote of the last election.
    current: Candidate,
    /// The round of `current`.
    current_round: i64,
    /// The round. Invariant: never goes back. Source: `logicalclock`.
    clock: i64,
    search: Option<Search>,
    /// Who voted for this server, if it was elected.
    electors: Electors,
    /// What is known of each server since it was last tried.
    reach: BTreeMap<Sid, Reach>,
    /// Notifications of voters that search already, in a round that is not ours yet; the last of each.
    early: BTreeMap<Sid, Vec<u8>>,
    /// What the oracle has said.
    permit: Permit,
    #[cfg(planted)]
    bug: Option<Bug>,
}

impl Election {
    /// A server that does nothing yet; until [`Input::Look`] it votes for itself.
    pub fn new(settings: Settings, views: Views, history: History) -> Self {
        let History { last_logged: zxid, current_epoch: peer_epoch } = history;
        let current = Candidate { peer_epoch, zxid, leader: settings.myid };
        let (search, reach, early) = (None, BTreeMap::new(), BTreeMap::new());
        let state = ServerState::Looking;
        Self {
            settings,
            views,
            state,
            current,
            current_round: 0,
            clock: 0,
            electors: Electors::default(),
            search,
            reach,
            early,
            permit: Permit::default(),
            #[cfg(planted)]
            bug: None,
        }
    }

    /// What this server is doing.
    pub fn state(&self) -> ServerState {
        self.state
    }

    /// The configurations that decide.
    pub fn views(&self) -> &Views {
        &self.views
    }

    /// For whom it votes: while it searches what it proposes, otherwise its leader.
    pub fn candidate(&self) -> Candidate {
        self.search.as_ref().map_or(self.current, |it| it.proposal)
    }

    /// Whether this server's vote was among those that ended the last search.
    pub fn was_elected_by(&self, sid: Sid) -> bool {
        self.electors.0.contains(&sid)
    }

    /// The round it is in.
    pub fn clock(&self) -> i64 {
        self.clock
    }

    /// When to call `step` with [`Input::Deadline`] if nothing else happens.
    pub fn next_deadline(&self) -> Option<Moment> {
        let search = self.search.as_ref()?;
        Some(search.final_at.map_or(search.resend_at, |it| it.min(search.resend_at)))
    }

    /// Takes one input at `now`; pushes what to do about it, in order.
    ///
    /// # Errors
    /// [`NotificationError`] if a message is none. It is dropped, and the state is as before.
    pub fn step(
        &mut self,
        now: Moment,
        input: Input<'_>,
        out: &mut Vec<Output>,
    ) -> Result<(), NotificationError> {
        match input {
            Input::Look { history } => self.look(now, history, out),
            Input::Message { from, body } => {
                let it = Notification::decode(body)?;
                self.keep_early(from, &it, body);
                self.message(now, from, &it, out);
            }
            Input::Reached { sid } => drop(self.reach.insert(sid, Reach::Reached)),
            Input::Lost { sid } => {
                self.reach.insert(sid, Reach::Lost);
                self.conclude(now, out);
            }
            Input::Established { epoch } => self.current.peer_epoch = epoch,
            Input::Reconfigured { views } => {
                self.views = views;
                if let Some(search) = &self.search {
                    self.look(now, search.history, out);
                }
            }
            Input::Appointed { state, candidate } => {
                assert!(state != ServerState::Looking, "a server is appointed to search");
                (self.state, self.current, self.search) = (state, candidate, None);
                self.current_round = self.clock;
            }
            Input::Oracle { permit } => {
                self.permit = permit;
                self.conclude(now, out);
            }
            Input::Deadline => self.deadline(now, out),
        }
        assert!(self.search.is_none() || self.state == ServerState::Looking);
        Ok(())
    }

    /// Begins a search, in a new round. Source: `lookForLeader`.
    fn look(&mut self, now: Moment, history: History, out: &mut Vec<Output>) {
        if self.clock == 0 || !self.has(Bug::StayInRound) {
            self.clock = self.clock.saturating_add(1);
        }
        self.state = ServerState::Looking;
        let pause = self.settings.timing.resend_min;
        self.search = Some(Search {
            history,
            proposal: self.own_candidate(history),
            votes: BTreeMap::new(),
            settled: BTreeMap::new(),
            resend_at: now + pause,
            resend_pause: pause,
            final_at: None,
        });
        self.broadcast(out);
        self.conclude(now, out);
        for (from, body) in core::mem::take(&mut self.early) {
            if let Ok(it) = Notification::decode(&body) {
                self.message(now, from, &it, out);
            }
        }
    }

    /// Keeps what a voter says that began to search before this server does: it would say it again only after a pause.
    fn keep_early(&mut self, from: Sid, it: &Notification<'_>, body: &[u8]) {
        self.early.remove(&from);
        let they_search =
            it.state == ServerState::Looking && self.current_round < it.election_epoch;
        if self.search.is_none() && they_search && self.views.is_voter(from) {
            self.early.insert(from, body.into());
        }
    }

    /// What this server votes for before it has heard of anybody.
    ///
    /// Who is no voter proposes nobody; an observer also has no history that could win.
    fn own_candidate(&self, history: History) -> Candidate {
        let myid = self.settings.myid;
        let voter = self.views.committed().verifier().is_voter(myid);
        let leader = if voter { myid } else { Sid::NEVER };
        match self.role() {
            Role::Participant => {
                let History { last_logged: zxid, current_epoch: peer_epoch } = history;
                Candidate { peer_epoch, zxid, leader }
            }
            Role::Observer => Candidate { peer_epoch: Epoch::NEVER, zxid: Zxid(i64::MIN), leader },
        }
    }

    /// Whether it asks to follow or to observe. Source: `QuorumPeer.updateLearnerType`.
    fn role(&self) -> Role {
        self.views.committed().member(self.settings.myid).map_or(Role::Participant, |it| it.role)
    }

    /// Takes a notification. Source: `WorkerReceiver.run`.
    fn message(&mut self, now: Moment, from: Sid, it: &Notification<'_>, out: &mut Vec<Output>) {
        if from == self.settings.myid {
            return; // Our own vote is counted without a message.
        }
        if self.search.is_some() && self.take_config(now, it, out) {
            return;
        }
        let counts = self.has(Bug::CountObservers) && self.search.is_some();
        if !self.views.is_voter(from) && !counts {
            let frame = self.frame(self.candidate(), self.clock);
            out.push(Output::Send { to: from, frame });
            return;
        }
        let they_search = it.state == ServerState::Looking;
        if self.search.is_none() {
            if they_search {
                let frame = self.frame(self.current, self.current_round);
                out.push(Output::Send { to: from, frame });
            }
            return;
        }
        let lags = they_search && it.election_epoch < self.clock;
        // Who may not lead before a change of members is agreed votes for nobody at first; its round counts all the same.
        let for_nobody = they_search && it.leader == Sid::NEVER;
        if self.views.is_voter(it.leader) || for_nobody {
            match it.state {
                ServerState::Looking => self.searching_peer(now, from, it, out),
                ServerState::Following | ServerState::Leading => self.settled_peer(from, it, out),
                ServerState::Observing => {}
            }
        }
        if lags && self.search.is_some() {
            let frame = self.frame(self.candidate(), self.clock);
            out.push(Output::Send { to: from, frame });
        }
    }

    /// Takes a newer agreed configuration; says whether that began the search anew, and so ends the message.
    fn take_config(&mut self, now: Moment, it: &Notification<'_>, out: &mut Vec<Output>) -> bool {
        let Some(text) = it.config.filter(|_| self.settings.reconfig == Reconfig::On) else {
            return false;
        };
        // A text that cannot be read does not hurt the vote that came with it.
        let Ok(text) = core::str::from_utf8(text) else { return false };
        let Ok(config) = QuorumConfig::parse(text) else { return false };
        let before = Arc::clone(self.views.committed());
        let config = Arc::new(config);
        if !self.views.commit(Arc::clone(&config)) {
            return false;
        }
        let differs = *before != *config;
        out.push(Output::Activate { config });
        if differs && let Some(search) = &self.search {
            self.look(now, search.history, out);
        }
        differs
    }

    /// Takes the vote of a server that searches, too.
    fn searching_peer(
        &mut self,
        now: Moment,
        from: Sid,
        it: &Notification<'_>,
        out: &mut Vec<Output>,
    ) {
        let Vote { candidate, .. } = Vote::of(it);
        let Some(&Search { history, proposal, .. }) = self.search.as_ref() else { return };
        // −1: a server that has lost its data neither wins votes nor gives them.
        if history.last_logged == Zxid(-1) || it.zxid == Zxid(-1) {
            return;
        }
        if it.election_epoch < self.clock && !self.has(Bug::CountOlderRounds) {
            return;
        }
        let wins =
            it.leader != Sid::NEVER && self.views.committed().verifier().weight(it.leader) != 0;
        if self.clock < it.election_epoch {
            self.clock = it.election_epoch;
            if let Some(search) = &mut self.search {
                search.votes.clear();
            }
            let own = self.own_candidate(history);
            let wins = wins && self.is_better(candidate, own);
            self.propose(if wins { candidate } else { own }, out);
        } else if wins && self.is_better(candidate, proposal) {
            self.propose(candidate, out);
        }
        if let Some(search) = &mut self.search {
            search.votes.insert(from, Vote::looking(candidate, self.clock));
        }
        self.conclude(now, out);
    }

    /// Votes for `candidate` from now on, and tells everybody.
    fn propose(&mut self, candidate: Candidate, out: &mut Vec<Output>) {
        if let Some(search) = &mut self.search {
            (search.proposal, search.final_at) = (candidate, None);
        }
        self.broadcast(out);
    }

    /// Takes the vote of a server that has its leader. Source: `receivedFollowingNotification`.
    fn settled_peer(&mut self, from: Sid, it: &Notification<'_>, out: &mut Vec<Output>) {
        let vote = Vote::of(it);
        let Some(search) = &mut self.search else { return };
        if it.election_epoch == self.clock {
            search.votes.insert(from, vote.without_version());
        }
        search.settled.insert(from, vote);
        let Some(search) = &self.search else { return };
        let in_round = it.election_epoch == self.clock && self.joins(&search.votes, &vote);
        if in_round || self.joins(&search.settled, &vote) {
            self.clock = self.clock.max(it.election_epoch);
            self.elected(vote.candidate, it.election_epoch, out);
        }
    }

    /// Whether `votes` are enough to join the leadership that `vote` speaks of.
    ///
    /// Unless it is this server, the leader itself must have said that it leads. Source: `checkLeader`.
    fn joins(&self, votes: &BTreeMap<Sid, Vote>, vote: &Vote) -> bool {
        let leader = vote.candidate.leader;
        let leads = if leader == self.settings.myid {
            vote.election_epoch == self.clock
        } else {
            votes.get(&leader).is_some_and(|it| it.state == ServerState::Leading)
                || self.has(Bug::JoinUnheardLeader)
        };
        let agrees = |sid| votes.get(&sid).is_some_and(|it| it.agrees(vote));
        let enough = if leader == self.settings.myid {
            self.views.contains_quorum(agrees)
        } else {
            let members = self.views.committed().verifier();
            // Who leads alone of two has been allowed to.
            let asked = self.settings.oracle == Oracle::Asked;
            members.contains_quorum(agrees) || asked && members.is_half(leader, agrees)
        };
        leads && enough
    }

    /// Ends the search if a quorum votes as we do and no better vote is to be waited for.
    fn conclude(&mut self, now: Moment, out: &mut Vec<Output>) {
        let Some(search) = &self.search else { return };
        let ours = Vote::looking(search.proposal, self.clock);
        let agree = |sid| search.votes.get(&sid).is_some_and(|it| it.agrees(&ours));
        let alike = || search.votes.values().filter(|it| it.agrees(&ours)).count();
        let myid = self.settings.myid;
        let alone = || {
            let ours = search.proposal.leader == myid && self.permit.holds(now);
            ours && self.views.contains_half(myid, agree)
        };
        let enough = self.views.contains_quorum(agree)
            || alone()
            || self.has(Bug::LeaveBeforeQuorum)
            || self.has(Bug::CountObservers) && 2 <= alike();
        let final_at = enough.then(|| {
            let wait = now + self.wait_for_better(search);
            search.final_at.map_or(wait, |it| it.min(wait))
        });
        if let Some(search) = &mut self.search {
            search.final_at = final_at;
        }
        if final_at.is_some_and(|it| it <= now) {
            self.elected(ours.candidate, self.clock, out);
        }
    }

    /// How long a better vote than the quorum's may still come.
    fn wait_for_better(&self, search: &Search) -> Duration {
        let voters = self.views.voters();
        let mut silent = voters.iter().filter(|it| !search.votes.contains_key(it)).peekable();
        if silent.peek().is_none() {
            Duration::ZERO
        } else if silent.all(|it| self.reach.get(it) == Some(&Reach::Lost)) {
            self.settings.timing.finalize_reached
        } else {
            self.settings.timing.finalize
        }
    }

    /// Ends the search. Source: `setPeerState`, `leaveInstance`.
    fn elected(&mut self, candidate: Candidate, round: i64, out: &mut Vec<Output>) {
        self.state = match self.role() {
            _ if candidate.leader == self.settings.myid => ServerState::Leading,
            Role::Participant => ServerState::Following,
            Role::Observer => ServerState::Observing,
        };
        let votes = self.search.iter().flat_map(|it| &it.votes);
        let same = votes.filter(|it| it.1.candidate.leader == candidate.leader);
        self.electors = Electors(same.map(|it| *it.0).collect());
        (self.search, self.current, self.current_round) = (None, candidate, round);
        let vote = Vote {
            candidate,
            election_epoch: round,
            state: self.state,
            version: Notification::VERSION,
        };
        out.push(Output::Elected { state: self.state, vote });
    }

    /// Sends the vote again, or ends the search.
    fn deadline(&mut self, now: Moment, out: &mut Vec<Output>) {
        self.conclude(now, out);
        let Some(search) = &mut self.search else { return };
        if now < search.resend_at {
            return;
        }
        search.resend_pause = (search.resend_pause * 2).min(self.settings.timing.resend_max);
        search.resend_at = now + search.resend_pause;
        out.push(Output::Reconnect);
        self.broadcast(out);
    }

    /// Sends the proposal to every voter, and counts it as our vote. Source: `sendNotifications`.
    fn broadcast(&mut self, out: &mut Vec<Output>) {
        let myid = self.settings.myid;
        let Some(search) = &mut self.search else { return };
        if self.views.is_voter(myid) && search.history.last_logged != Zxid(-1) {
            search.votes.insert(myid, Vote::looking(search.proposal, self.clock));
        }
        let frame = self.frame(self.candidate(), self.clock);
        for to in self.views.voters() {
            if to != myid {
                out.push(Output::Send { to, frame: Arc::clone(&frame) });
            }
        }
    }

    /// A frame with `candidate`, in `round`, and our agreed configuration.
    fn frame(&self, candidate: Candidate, round: i64) -> Arc<[u8]> {
        let config = self.views.committed().to_string();
        let mut frame = Vec::new();
        Notification {
            state: self.state,
            leader: candidate.leader,
            zxid: candidate.zxid,
            election_epoch: round,
            peer_epoch: candidate.peer_epoch,
            version: Notification::VERSION,
            config: Some(config.as_bytes()),
        }
        .encode_frame(&mut frame);
        frame.into()
    }
}

#[cfg(test)]
mod tests;
