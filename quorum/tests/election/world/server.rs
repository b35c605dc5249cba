//! A server: its election and its links, and what they want done.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use quorum::election::links::{self, Conn, Links};
use quorum::election::{self, Election, History, Reconfig, Settings, Timing};
use quorum::{Epoch, Moment, Sid, Views};

use super::network::Pipe;
use super::{Event, World};

/// What there is of a server.
pub(super) struct Server {
    /// What survives a crash.
    pub(super) history: History,
    pub(super) accepted_epoch: Epoch,
    /// Absent while it is down.
    pub(super) machines: Option<(Election, Links)>,
    /// Counts elections and crashes, so that old pulses are known.
    pub(super) generation: u64,
    /// Whom it follows, once that one let it in.
    pub(super) joined: Option<Sid>,
    /// Whether its epoch is established, as a leader.
    pub(super) established: bool,
    pub(super) pulses: u32,
    /// When its machines have something due.
    pub(super) timer: Option<Moment>,
}

impl World {
    pub(super) fn start(&mut self, sid: Sid) {
        let views = Views::new(Arc::clone(&self.config));
        let server = self.server(sid);
        let timing = Timing::default();
        let settings =
            Settings { myid: sid, timing, reconfig: Reconfig::Off, oracle: quorum::Oracle::None };
        let election = Election::new(settings, views.clone(), server.history);
        server.machines = Some((election, Links::new(sid, views)));
        let wait = Duration::from_millis(self.rng.u64(..500));
        let generation = self.next_generation(sid);
        self.after(wait, Event::Pulse { sid, generation });
    }

    pub(super) fn next_generation(&mut self, sid: Sid) -> u64 {
        let server = self.server(sid);
        server.generation += 1;
        (server.joined, server.established, server.pulses) = (None, false, 0);
        server.generation
    }

    /// Gives an input to a server's election.
    pub(super) fn elect(&mut self, sid: Sid, input: election::Input<'_>) {
        let now = self.now;
        let Some((election, _)) = &mut self.server(sid).machines else { return };
        let mut out = Vec::new();
        election.step(now, input, &mut out).expect("no message");
        self.elections(sid, out);
    }

    pub(super) fn elections(&mut self, sid: Sid, out: Vec<election::Output>) {
        for it in out {
            match it {
                election::Output::Send { to, frame } => {
                    self.links(sid, links::Input::Send { to, frame });
                }
                election::Output::Reconnect => self.links(sid, links::Input::Reconnect),
                election::Output::Elected { vote, .. } => {
                    self.trace.push(format!("{:?} {sid} {vote:?}", self.now));
                    let chosen = (vote.election_epoch, vote.candidate.leader);
                    self.choose(sid, chosen);
                    let generation = self.next_generation(sid);
                    self.after(Duration::from_millis(1), Event::Pulse { sid, generation });
                }
                election::Output::Activate { .. } => {
                    self.failure = Some("a reconfiguration".into());
                }
            }
        }
        self.set_timer(sid);
    }

    /// At most one leader of a round has a quorum behind it. A crash resets a server's clock, and so allows for two.
    fn choose(&mut self, sid: Sid, chosen: (i64, Sid)) {
        self.chosen.entry(chosen).or_default().insert(sid);
        let round = self.chosen.range((chosen.0, Sid::NEVER)..=(chosen.0, Sid(i64::MAX)));
        let verifier = self.config.verifier();
        let quorums = round.filter(|(_, by)| verifier.contains_quorum(|it| by.contains(&it)));
        let leaders: Vec<_> = quorums.map(|((_, leader), _)| *leader).collect();
        if !self.restarts && 1 < leaders.len() {
            self.failure = Some(format!("round {} has the leaders {leaders:?}", chosen.0));
        }
    }

    /// Gives an input to a server's links.
    pub(super) fn links(&mut self, sid: Sid, input: links::Input) {
        let now = self.now;
        let Some((_, links)) = &mut self.server(sid).machines else { return };
        let mut out = Vec::new();
        links.step(now, input, &mut out);
        for it in out {
            match it {
                links::Output::Connect { to, .. } => {
                    self.count += 1;
                    let conn = Conn(self.count);
                    let arrives = BTreeMap::new();
                    self.pipes.insert(conn, Pipe { caller: sid, callee: to, arrives });
                    let wait = self.delay();
                    self.after(wait, Event::Call { conn, caller: sid, callee: to });
                }
                links::Output::Write { conn, frame } => {
                    self.arrive(conn, sid, |from| Event::Frame { conn, from, frame });
                    self.after(Duration::from_micros(50), Event::Written { conn, by: sid });
                }
                links::Output::Close { conn } => {
                    self.arrive(conn, sid, |from| Event::Closing { conn, from });
                }
                links::Output::Reached { sid: other } => {
                    self.elect(sid, election::Input::Reached { sid: other });
                }
                links::Output::Lost { sid: other } => {
                    self.elect(sid, election::Input::Lost { sid: other });
                }
            }
        }
        self.set_timer(sid);
    }

    fn set_timer(&mut self, sid: Sid) {
        let Some((election, links)) = &self.servers[&sid].machines else { return };
        let due = [election.next_deadline(), links.next_deadline()];
        if let Some(at) = due.into_iter().flatten().min() {
            let at = at.max(self.now);
            if self.servers[&sid].timer != Some(at) {
                self.server(sid).timer = Some(at);
                self.after(at.since(self.now), Event::Timer { sid });
            }
        }
    }

    pub(super) fn timer(&mut self, sid: Sid) {
        if self.servers[&sid].timer == Some(self.now) {
            self.server(sid).timer = None;
            self.elect(sid, election::Input::Deadline);
            self.links(sid, links::Input::Deadline);
        }
    }
}
