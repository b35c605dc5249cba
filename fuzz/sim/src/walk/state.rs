//! A state of the small world, and what can happen in it.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use jute::Zxid;
use quorum::zab::{Group, Link, Reconfig, Restored, Settings, WindowLimits, WriteId};
use quorum::{Epoch, Peer, PeerState, QuorumConfig, Sid, Views};

use super::happen::{Asked, Told};
use super::names::{Namer, Names, SIDS, WRITES, places};
use super::part::{Part, sum_of};
use super::{Bounds, Event, Left, Manner, Runs, Walked};
use crate::Violation;
use crate::disk::{DiskWrite, Files, Image};

/// Servers.
pub(super) const SERVERS: u8 = 3;

/// Connections at once: two of each learner that end, and one that does not, are many.
const PIPES_MAX: usize = 16;

/// A learner's connections are numbered from a multiple of this.
pub(super) const PIPES: u8 = 64;

/// A server.
#[derive(Clone, Debug)]
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
#[derive(Clone, Debug)]
pub(super) struct Pipe {
    pub(super) ends: [u8; 2],
    /// On their way to each end.
    pub(super) coming: [VecDeque<Told>; 2],
    /// Which ends are no more.
    pub(super) is_gone: [bool; 2],
    /// Whether it is broken: an end that is there will hear of it.
    pub(super) is_cut: bool,
    /// Its learner takes nothing more from it, until it hears that it is no more.
    pub(super) is_deaf: bool,
}

/// What is known of the whole, and of no server.
#[derive(Clone, Debug)]
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
    /// The servers in the order in which the state is known by its number.
    pub(super) order: [u8; SERVERS as usize],
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
            order: [0, 1, 2],
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
        all.then(|| {
            let seen = |by| Names::Seen { by, durable: WRITES, older: &[0; 256] };
            let sums = [0, 1, 2].map(|it| self.nodes[usize::from(it)].numbers(seen(it)));
            orders().map(|(side, order)| sum_of(order.map(|it| sums[usize::from(it)][side]))).min()
        })?
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
            let leads = self.leads(number_of(leader));
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

    fn number(&mut self) -> u64 {
        let sums = self.sums_of_nodes();
        let mut room = [PipeSum::default(); PIPES_MAX];
        let pipes = self.sums_of_pipes(&mut room);
        let [history, known] = self.known.sums(Known::numbers);
        if self.manner == Manner::Every {
            return sum_of((sums.map(|[sum, _]| sum), known, pipes, self.left));
        }
        let mut least = (u64::MAX, self.order);
        for (side, order) in orders() {
            let place = |it: u8| places(it, order[0])[side];
            let of_pipe = |it: &PipeSum| sum_of((it.ends.map(place), it.number, it.sum));
            let pipes = pipes.iter().map(of_pipe).fold(0, u64::wrapping_add);
            let of_leader = |(epoch, sid): (&Epoch, &Sid)| sum_of((epoch, place(number_of(*sid))));
            let leaders = self.known.leaders.iter().map(of_leader).fold(0, u64::wrapping_add);
            let nodes = order.map(|it| sums[usize::from(it)][side]);
            least = least.min((sum_of((nodes, history, pipes, leaders)), order));
        }
        self.order = least.1;
        least.0
    }

    fn left(&self) -> Left {
        match self.manner {
            Manner::Every => Left::default(),
            Manner::Alike | Manner::Fewer => self.left.left(),
        }
    }

    fn uses(&self, event: Event) -> bool {
        let uses = match event {
            Event::Lead(_)
            | Event::Crash(_)
            | Event::Cut(_)
            | Event::Propose(_)
            | Event::Break(..) => true,
            // Nobody waits for ever for one that does not lead.
            Event::GiveUp(it) => self.nodes[usize::from(it)].wants.is_none(),
            Event::Follow(..)
            | Event::Call(_)
            | Event::Take(..)
            | Event::Hear(..)
            | Event::Disk(_)
            | Event::Start(_)
            | Event::Deaf(_)
            | Event::Slow(_)
            | Event::Stay(_) => false,
        };
        uses && self.manner != Manner::Every
    }

    fn violation(&self) -> Option<Violation> {
        self.broken
    }

    fn note(&mut self, walked: &mut Walked) {
        walked.committed = walked.committed.max(self.known.history.len());
        walked.epochs = walked.epochs.max(self.known.leaders.len());
        let left = self.left.left();
        walked.rests.extend(self.rest().map(|it| (it, left)));
    }
}

impl State {
    /// The numbers of the servers.
    pub(super) fn sums_of_nodes(&mut self) -> [[u64; 2]; SERVERS as usize] {
        let mut older = [0; 256];
        for &number in self.pipes.keys() {
            let first = number / PIPES * PIPES;
            older[usize::from(number)] = self.pipes.range(first..number).count() as u8;
        }
        let manner = self.manner;
        let mut by = 0..SERVERS;
        self.nodes.each_mut().map(|node| {
            let by = by.next().unwrap_or_default();
            node.sums(|it| {
                let first = it.pending.front();
                let durable = first.map_or(WRITES, |(write, _)| write.0 - 1);
                it.numbers(match manner {
                    Manner::Every => Names::Own,
                    Manner::Alike | Manner::Fewer => Names::Seen { by, durable, older: &older },
                })
            })
        })
    }
}

/// A connection, by numbers.
#[derive(Clone, Copy, Debug, Default, Hash)]
struct PipeSum {
    ends: [u8; 2],
    /// Its number, or how many of its learner's are older.
    number: u8,
    sum: u64,
}

impl State {
    fn sums_of_pipes<'a>(&mut self, room: &'a mut [PipeSum; PIPES_MAX]) -> &'a [PipeSum] {
        assert!(self.pipes.len() <= PIPES_MAX, "{} connections", self.pipes.len());
        let mut older = (SERVERS, 0);
        for ((&number, pipe), at) in self.pipes.iter_mut().zip(&mut *room) {
            let ends = pipe.ends;
            older = if older.0 == ends[0] { (ends[0], older.1 + 1) } else { (ends[0], 0) };
            let number = if self.manner == Manner::Every { number } else { older.1 };
            *at = PipeSum { ends, number, sum: pipe.sum() };
        }
        &room[..self.pipes.len()]
    }
}

impl Known {
    /// What was committed; that and who led.
    fn numbers(&self) -> [u64; 2] {
        let history = sum_of(&self.history);
        [history, sum_of((history, &self.leaders))]
    }
}

/// What is on a connection; whose it is, is known beside that.
impl Hash for Pipe {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.coming, self.is_gone, self.is_cut, self.is_deaf).hash(state);
    }
}

/// The servers in each order, and which way round that is.
fn orders() -> impl Iterator<Item = (usize, [u8; SERVERS as usize])> {
    let round = |first| (0, [first, (first + 1) % SERVERS, (first + 2) % SERVERS]);
    let back = |first| (1, [first, (first + 2) % SERVERS, (first + 1) % SERVERS]);
    (0..SERVERS).flat_map(move |it| [round(it), back(it)])
}

impl Node {
    /// The numbers of a server.
    fn numbers(&self, names: Names<'_>) -> [u64; 2] {
        assert!(self.asked.is_empty(), "a driver answers at once");
        let mut namer = Namer::new(names);
        self.peer.hash(&mut namer);
        namer.end_link();
        self.groups.hash(&mut namer);
        namer.end_link();
        self.files.hash(&mut namer);
        self.pending.hash(&mut namer);
        self.view.hash(&mut namer);
        self.applied.hash(&mut namer);
        self.wants.hash(&mut namer);
        (self.is_slow, self.stays).hash(&mut namer);
        namer.sums()
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
    Sid(SIDS + i64::from(number))
}

/// The server of an id.
pub(super) fn number_of(sid: Sid) -> u8 {
    (sid.0 - SIDS) as u8
}

/// Whose a connection is.
pub(super) fn learner_of(pipe: u8) -> u8 {
    pipe / PIPES
}

/// The configuration that all know.
pub(super) fn views() -> Views {
    thread_local! {
        static VIEWS: Views = {
            let line = |it| format!("server.{}=10.0.0.{it}:2888:3888:participant\n", sid(it));
            let text = (0..SERVERS).map(line).collect::<String>() + "version=0";
            let config = QuorumConfig::parse(&text).unwrap_or_else(|err| panic!("{err}"));
            Views::new(Arc::new(config))
        };
    }
    VIEWS.with(Views::clone)
}
