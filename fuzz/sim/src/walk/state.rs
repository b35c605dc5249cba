//! A state of the small world, and what can happen in it.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use jute::Zxid;
use quorum::zab::{Group, Link, Reconfig, Restored, Settings, WindowLimits, WriteId};
use quorum::{Epoch, Peer, PeerState, QuorumConfig, Sid, Views};

use super::happen::Asked;
use super::part::{Part, sum_of};
use super::{Bounds, Event, Manner, Runs, Walked};
use crate::Violation;
use crate::disk::{DiskWrite, Files, Image};

/// Servers.
pub(super) const SERVERS: u8 = 3;

/// Connections at once: two of each learner that end, and one that does not, are many.
const PIPES_MAX: usize = 16;

/// A server.
#[derive(Clone, Debug, Hash)]
pub(super) struct Node {
    pub(super) peer: Option<Peer>,
    /// What is durable.
    pub(super) files: Files,
    /// What is ordered and not durable.
    pub(super) pending: VecDeque<(WriteId, DiskWrite)>,
    /// The files when all that is durable.
    pub(super) view: Files,
    pub(super) applied: Image,
    pub(super) groups: BTreeMap<Link, Group>,
    /// What its driver owes it; empty between events.
    pub(super) asked: VecDeque<(Link, Asked)>,
    /// Whom it wants to reach.
    pub(super) wants: Option<Sid>,
    /// Its next write is not durable before it has taken a packet, or has heard that its connection is no more.
    pub(super) is_slow: bool,
    /// It finds no leader before there is another one.
    pub(super) stays: bool,
    #[cfg(planted)]
    pub(super) bug: Option<quorum::zab::Bug>,
}

/// A connection: the learner's end is 0, the leader's 1.
#[derive(Clone, Debug, Hash)]
pub(super) struct Pipe {
    pub(super) ends: [u8; 2],
    /// On their way to each end.
    pub(super) coming: [VecDeque<Rc<[u8]>>; 2],
    /// Which ends are no more.
    pub(super) is_gone: [bool; 2],
    /// Whether it is broken: an end that is there will hear of it.
    pub(super) is_cut: bool,
    /// Its learner takes nothing more from it, until it hears that it is no more.
    pub(super) is_deaf: bool,
}

/// What is known of the whole, and of no server.
#[derive(Clone, Debug, Hash)]
pub(super) struct Known {
    /// What was committed, with the state after each.
    pub(super) history: Vec<Image>,
    pub(super) leaders: BTreeMap<Epoch, Sid>,
}

/// Everything.
#[derive(Clone, Debug)]
pub struct State {
    pub(super) manner: Manner,
    pub(super) nodes: [Part<Node>; SERVERS as usize],
    /// By number: those of a learner are next to each other.
    pub(super) pipes: BTreeMap<u8, Part<Pipe>>,
    pub(super) left: Bounds,
    pub(super) known: Part<Known>,
    /// The rule that was broken; no part of what a state is.
    pub(super) broken: Option<Violation>,
}

impl State {
    /// Three servers with empty disks.
    pub fn new(left: Bounds, manner: Manner) -> Self {
        let node = Part::new(Node {
            peer: None,
            files: Files::default(),
            pending: VecDeque::new(),
            view: Files::default(),
            applied: Image::default(),
            groups: BTreeMap::new(),
            asked: VecDeque::new(),
            wants: None,
            is_slow: false,
            stays: false,
            #[cfg(planted)]
            bug: None,
        });
        let known = Known { history: Vec::new(), leaders: BTreeMap::new() };
        let mut state = Self {
            manner,
            nodes: std::array::from_fn(|_| node.clone()),
            pipes: BTreeMap::new(),
            left,
            known: Part::new(known),
            broken: None,
        };
        for node in 0..SERVERS {
            state.happen(Event::Start(node));
        }
        state
    }

    /// With this bug in every server.
    #[cfg(planted)]
    #[must_use]
    pub fn with_bug(mut self, bug: quorum::zab::Bug) -> Self {
        for number in 0..SERVERS {
            self.nodes[usize::from(number)].edit().bug = Some(bug);
            self.happen(Event::Start(number));
        }
        self
    }

    /// What servers have come to, where none has a role and all is written; none otherwise.
    pub(super) fn rest(&mut self) -> Option<u64> {
        let is_at_rest = |it: &Part<Node>| {
            let state = it.peer.as_ref().map(Peer::state);
            state == Some(PeerState::Looking) && it.pending.is_empty()
        };
        let all = self.nodes.iter().all(is_at_rest);
        all.then(|| sum_of((self.nodes.each_mut().map(Part::sum), self.left)))
    }

    pub(super) fn fail(&mut self, violation: Violation) {
        self.broken.get_or_insert(violation);
    }

    pub(super) fn leads(&self, node: u8) -> bool {
        let peer = self.nodes[usize::from(node)].peer.as_ref();
        peer.is_some_and(|it| matches!(it.state(), PeerState::Leading { .. }))
    }

    /// All that can happen.
    pub(super) fn all_events(&self, out: &mut Vec<Event>) {
        for number in 0..SERVERS {
            self.events_of(number, out);
        }
        for (&number, pipe) in &self.pipes {
            if !pipe.is_cut && 0 < self.left.cuts {
                out.push(Event::Cut(number));
            }
            for side in [0, 1] {
                let at = usize::from(side);
                if pipe.is_gone[at] {
                    continue;
                }
                if !pipe.coming[at].is_empty() {
                    out.push(Event::Take(number, side));
                }
                if pipe.is_cut {
                    out.push(Event::Hear(number, side));
                }
            }
        }
    }

    /// What can happen to a server.
    fn events_of(&self, number: u8, out: &mut Vec<Event>) {
        let node = &self.nodes[usize::from(number)];
        let Some(peer) = &node.peer else {
            return out.push(Event::Start(number));
        };
        if self.is_like_another(number) {
            return;
        }
        if 0 < self.left.crashes {
            out.push(Event::Crash(number));
        }
        if !node.pending.is_empty() {
            out.push(Event::Disk(number));
        }
        if peer.state() == PeerState::Looking {
            if 0 < self.left.leaders {
                out.push(Event::Lead(number));
            }
            let others = (0..SERVERS).filter(|&it| it != number && self.leads(it));
            out.extend(others.map(|it| Event::Follow(number, it)));
            return;
        }
        if let Some(leader) = node.wants {
            // Nobody waits for ever for one that does not lead.
            let leads = self.leads(leader.0 as u8 - 1);
            out.push(if leads { Event::Call(number) } else { Event::GiveUp(number) });
        } else if 0 < self.left.timeouts {
            out.push(Event::GiveUp(number));
        }
        if 0 < self.left.txns && peer.next_zxid().is_some() {
            out.push(Event::Propose(number));
        }
    }

    /// Servers to which nothing has happened are alike: the first of them stands for all.
    pub(super) fn is_like_another(&self, number: u8) -> bool {
        self.is_fresh(number) && (0..number).any(|it| self.is_fresh(it))
    }

    /// Whether nothing has happened to a server.
    pub(super) fn is_fresh(&self, number: u8) -> bool {
        let node = &self.nodes[usize::from(number)];
        node.peer.as_ref().is_some_and(|it| it.state() == PeerState::Looking)
            && !node.stays
            && node.view.accepted == Epoch::ZERO
            && !self.pipes.values().any(|it| it.ends.contains(&number))
    }

    /// What is committed must be on the disks of two.
    pub(super) fn check_quorum(&mut self, zxid: Zxid) {
        let count = self.nodes.iter().filter(|it| it.files.holds(zxid)).count();
        if count < 2 {
            self.fail(Violation::NoQuorumHasIt { zxid, count });
        }
    }
}

impl Runs for State {
    type Event = Event;

    fn events(&self, out: &mut Vec<Event>) {
        self.few_events(out);
    }

    fn happen(&mut self, event: Event) {
        self.go(event);
    }

    fn fingerprint(&mut self) -> u64 {
        let nodes = self.nodes.each_mut().map(Part::sum);
        let known = self.known.sum();
        let mut pipes = [(0, 0); PIPES_MAX];
        assert!(self.pipes.len() <= PIPES_MAX, "{} connections", self.pipes.len());
        for ((number, pipe), at) in self.pipes.iter_mut().zip(&mut pipes) {
            *at = (*number, pipe.sum());
        }
        sum_of((nodes, known, &pipes[..self.pipes.len()], self.left))
    }

    fn violation(&self) -> Option<Violation> {
        self.broken
    }

    fn note(&mut self, walked: &mut Walked) {
        walked.committed = walked.committed.max(self.known.history.len());
        walked.epochs = walked.epochs.max(self.known.leaders.len());
        walked.rests.extend(self.rest());
    }
}

/// A server's machine, from what its disk holds.
pub(super) fn peer(number: u8, restored: &Restored) -> Peer {
    let settings = Settings {
        tick: Duration::from_secs(1),
        init_limit: 1,
        sync_limit: 1,
        connect_pause: Duration::from_millis(100),
        window: WindowLimits::default(),
        reconfig: Reconfig::Disabled,
        first_counter: 0,
        ..Settings::default()
    };
    Peer::new(sid(number), settings, views(), restored)
}

/// The id of a server.
pub(super) fn sid(number: u8) -> Sid {
    Sid(i64::from(number) + 1)
}

/// The configuration that all know.
pub(super) fn views() -> Views {
    thread_local! {
        static VIEWS: Views = {
            let line = |sid| format!("server.{sid}=10.0.0.{sid}:2888:3888:participant\n");
            let text = (1..=SERVERS).map(line).collect::<String>() + "version=0";
            let config = QuorumConfig::parse(&text).unwrap_or_else(|err| panic!("{err}"));
            Views::new(Arc::new(config))
        };
    }
    VIEWS.with(Views::clone)
}
