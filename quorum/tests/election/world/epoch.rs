//! A small model of what follows an election: a leader needs a quorum that promises its epoch, and refuses who is ahead of it.

use std::collections::BTreeSet;
use std::time::Duration;

use quorum::Sid;
use quorum::election::{self, History};
use quorum::wire::ServerState;

use super::server::Server;
use super::{Event, World};

/// The limit of the model for a leader to gather a quorum, and for a follower to be let in. Pulses of 100 ms.
const INIT_PULSES: u32 = 20;
impl World {
    /// A server looks after what it is.
    pub(super) fn pulse(&mut self, sid: Sid, generation: u64) {
        let Some(state) = self.state(sid).filter(|_| self.servers[&sid].generation == generation)
        else {
            return;
        };
        let keep = match state {
            ServerState::Looking => false,
            ServerState::Leading => self.lead(sid),
            ServerState::Following | ServerState::Observing => self.follow(sid),
        };
        if keep {
            self.server(sid).pulses += 1;
            self.after(Duration::from_millis(100), Event::Pulse { sid, generation });
        } else {
            self.next_generation(sid);
            let history = self.server(sid).history;
            self.elect(sid, election::Input::Look { history });
        }
    }

    /// Keeps a leader as long as a quorum is with it; it writes now and then.
    fn lead(&mut self, sid: Sid) -> bool {
        let with = |it: &Sid| *it == sid || self.servers[it].joined == Some(sid);
        let with: BTreeSet<_> = self.servers.keys().copied().filter(with).collect();
        let quorum = self.config.verifier().contains_quorum(|it| with.contains(&it));
        let server = &self.servers[&sid];
        let (established, pulses) = (server.established, server.pulses);
        if established || !quorum {
            return if established { quorum } else { pulses < INIT_PULSES };
        }
        // A quorum promises an epoch that is larger than any that it promised before.
        let epoch = with.iter().map(|it| self.servers[it].accepted_epoch).max().expect("us").next();
        if let Some(other) = self.leaders.insert(epoch, sid) {
            self.failure = Some(format!("{epoch:?} has the leaders {other} and {sid}"));
        }
        let zxid = self.servers[&sid].history.last_logged;
        let ours = (self.servers[&sid].history.current_epoch, zxid);
        if ours < self.committed {
            self.failure = Some(format!("{sid} leads with {ours:?} of {:?}", self.committed));
        }
        self.server(sid).established = true;
        for it in with {
            let history = History { last_logged: zxid, current_epoch: epoch };
            let server = self.server(it);
            (server.accepted_epoch, server.history) = (epoch, history);
            self.elect(it, election::Input::Established { epoch });
        }
        self.committed = (epoch, zxid);
        true
    }

    /// Keeps a learner as long as its leader is there and takes it.
    fn follow(&mut self, sid: Sid) -> bool {
        let Some((election, _)) = &self.servers[&sid].machines else { return false };
        let leader = election.candidate().leader;
        let there =
            !self.is_blocked(sid, leader) && self.state(leader) == Some(ServerState::Leading);
        let Server { joined, pulses, history, accepted_epoch, .. } = self.servers[&sid];
        if joined.is_some() || !there {
            return there || (joined.is_none() && pulses < 5);
        }
        let leads = &self.servers[&leader];
        let (established, lead) = (leads.established, leads.history);
        let ahead = |it: History| (it.current_epoch, it.last_logged);
        if established && lead.current_epoch < accepted_epoch || ahead(lead) < ahead(history) {
            return false;
        }
        self.server(sid).joined = Some(leader);
        if established {
            let epoch = lead.current_epoch;
            let server = self.server(sid);
            (server.accepted_epoch, server.history) = (epoch, lead);
            self.elect(sid, election::Input::Established { epoch });
        }
        true
    }
}
