//! A state of the small world, and what can happen in it.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use jute::Zxid;
use quorum::zab::{Group, Link, Reconfig, Restored, Settings, WindowLimits, WriteId};
use quorum::{Epoch, Peer, PeerState, QuorumConfig, Sid, Views};

use super::happen::Asked;
use super::{Bounds, Event};
use crate::Violation;
use crate::disk::{DiskWrite, Files, Image};

/// Servers.
pub(super) const SERVERS: u8 = 3;

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
}

/// Everything.
#[derive(Clone, Debug, Hash)]
pub struct State {
    pub(super) nodes: Vec<Node>,
    pub(super) pipes: BTreeMap<u8, Pipe>,
    pub(super) left: Bounds,
    /// What was committed, with the state after each.
    pub(super) history: Vec<Image>,
    pub(super) leaders: BTreeMap<Epoch, Sid>,
    pub(super) broken: Broken,
}

/// The rule that was broken; no part of what a state is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Broken(pub(super) Option<Violation>);

impl Hash for Broken {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl State {
    /// Three servers with empty disks.
    pub fn new(left: Bounds) -> Self {
        let node = || Node {
            peer: None,
            files: Files::default(),
            pending: VecDeque::new(),
            view: Files::default(),
            applied: Image::default(),
            groups: BTreeMap::new(),
            asked: VecDeque::new(),
            wants: None,
        };
        let mut state = Self {
            nodes: (0..SERVERS).map(|_| node()).collect(),
            pipes: BTreeMap::new(),
            left,
            history: Vec::new(),
            leaders: BTreeMap::new(),
            broken: Broken(None),
        };
        for node in 0..SERVERS {
            state.happen(Event::Start(node));
        }
        state
    }

    /// A number that two states share only if they are the same.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }

    pub(super) fn committed(&self) -> usize {
        self.history.len()
    }

    pub(super) fn epochs(&self) -> usize {
        self.leaders.len()
    }

    /// The rule that was broken.
    pub(super) fn violation(&self) -> Option<Violation> {
        self.broken.0
    }

    pub(super) fn fail(&mut self, violation: Violation) {
        self.broken.0.get_or_insert(violation);
    }

    fn leads(&self, node: u8) -> bool {
        let peer = self.nodes[usize::from(node)].peer.as_ref();
        peer.is_some_and(|it| matches!(it.state(), PeerState::Leading { .. }))
    }

    /// What can happen.
    pub(super) fn events(&self, out: &mut Vec<Event>) {
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
        // Servers to which nothing has happened are alike: one of them stands for all.
        if self.is_fresh(number) && (0..number).any(|it| self.is_fresh(it)) {
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

    /// Whether nothing has happened to a server.
    fn is_fresh(&self, number: u8) -> bool {
        let node = &self.nodes[usize::from(number)];
        node.peer.as_ref().is_some_and(|it| it.state() == PeerState::Looking)
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
        observer_masters: quorum::zab::ObserverMasters::Off,
        observer_delays: quorum::zab::ObserverDelays::default(),
    };
    Peer::new(sid(number), settings, views(), restored)
}

/// The id of a server.
pub(super) fn sid(number: u8) -> Sid {
    Sid(i64::from(number) + 1)
}

/// The configuration that all know.
fn views() -> Views {
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
