//! How the small world goes from one state to another.

use std::hash::{Hash, Hasher};
use std::rc::Rc;
use std::time::Duration;

use jute::{Record, SessionId, TxnHeader, Zxid};
use quorum::wire::{Message, QuorumPacket};
use quorum::zab::{Input, LeaveReason, Link, LinkError, Output, Packet, To, Write, WriteId};
use quorum::{Epoch, Moment, Peer, PeerState};

use super::names::LINKS;
use super::part::{Part, sum_of};
use super::state::{PIPES, Pipe, SERVERS, State, number_of, peer, sid};
use super::{Event, Manner};
use crate::disk::{DiskWrite, Image, Txn};
use crate::violation::{Violation, is_broken_protocol};

/// Longer than anybody waits.
const TOO_LONG: Duration = Duration::from_hours(1);

impl State {
    /// Something happens.
    pub(super) fn go(&mut self, event: Event) {
        match event {
            Event::Lead(node) => {
                self.left.leaders -= 1;
                self.end_stays();
                self.step(node, Input::Elected { leader: sid(node) });
            }
            Event::Follow(node, leader) => {
                self.step(node, Input::Elected { leader: sid(leader) });
                if self.manner == Manner::Fewer {
                    self.call(node);
                }
            }
            Event::Call(node) => self.call(node),
            Event::Take(pipe, side) => self.take(pipe, side),
            Event::Hear(pipe, side) => self.hear(pipe, side),
            Event::Disk(node) => self.disk(node),
            Event::Crash(node) => self.crash(node),
            Event::Start(node) => self.start(node),
            Event::Cut(pipe) => {
                self.left.cuts -= 1;
                if let Some(pipe) = self.pipes.get_mut(&pipe) {
                    pipe.edit().is_cut = true;
                }
            }
            Event::Break(pipe, side) => {
                self.left.cuts -= 1;
                self.hear(pipe, side);
            }
            Event::Deaf(pipe) => {
                if let Some(pipe) = self.pipes.get_mut(&pipe).map(Part::edit) {
                    pipe.is_deaf = true;
                    pipe.coming[0].clear();
                }
            }
            Event::Slow(node) => self.nodes[usize::from(node)].edit().is_slow = true,
            Event::Stay(node) => self.nodes[usize::from(node)].edit().stays = true,
            Event::Propose(node) => self.propose(node),
            Event::GiveUp(node) => self.give_up(node),
        }
        let before = self.pipes.len();
        self.pipes.retain(|_, it| !(it.is_gone[0] && it.is_gone[1]));
        if self.pipes.len() < before {
            // Those that are left have fewer older ones.
            self.nodes.iter_mut().for_each(Part::forget_sums);
        }
        if !(0..SERVERS).any(|it| self.leads(it)) {
            self.end_stays();
        }
    }

    /// There is another leader, or none: who searches looks again.
    fn end_stays(&mut self) {
        for node in self.nodes.iter_mut().filter(|it| it.stays) {
            node.edit().stays = false;
        }
    }

    fn start(&mut self, number: u8) {
        let node = self.nodes[usize::from(number)].edit();
        let restored = node.files.restore();
        node.view = node.files.clone();
        node.applied = node.view.image;
        node.peer = Some(peer(number, &restored));
        #[cfg(planted)]
        if let (Some(peer), Some(bug)) = (&mut node.peer, node.bug) {
            peer.plant(bug);
        }
    }

    fn crash(&mut self, number: u8) {
        self.left.crashes -= 1;
        let node = self.nodes[usize::from(number)].edit();
        node.peer = None;
        node.pending.clear();
        node.groups.clear();
        node.wants = None;
        (node.is_slow, node.stays) = (false, false);
        // Nothing of a server that is down is its own any more.
        node.view = node.files.clone();
        node.applied = Image::default();
        for pipe in self.pipes.values_mut() {
            for side in [0, 1] {
                if pipe.ends[side] == number && !pipe.is_gone[side] {
                    gone(pipe.edit(), side);
                }
            }
        }
        if self.manner == Manner::Fewer {
            self.start(number);
        }
    }

    /// A learner reaches its leader.
    fn call(&mut self, number: u8) {
        let Some(leader) = self.nodes[usize::from(number)].edit().wants.take() else { return };
        let other = number_of(leader);
        // What a connection is called says whose it is, and which are older. In the other manner there is no end of connections that one end
        // has not heard the last of, and it says whose it is.
        let first = number * PIPES;
        let mut numbers = first..first + PIPES - 1;
        let free = match self.manner {
            Manner::Every => numbers.find(|it| !self.pipes.contains_key(it)),
            Manner::Alike | Manner::Fewer => {
                numbers.rfind(|it| *it == first || self.pipes.contains_key(&(it - 1)))
            }
        };
        let Some(free) = free else { unreachable!("so many connections at once") };
        let (ends, coming, is_gone) = ([number, other], Default::default(), [false; 2]);
        let pipe = Pipe { ends, coming, is_gone, is_cut: false, is_deaf: false };
        self.pipes.insert(free, Part::new(pipe));
        let link = link_of(free);
        self.step(other, Input::Accepted { link });
        self.step(number, Input::Connected { link, to: leader });
    }

    fn take(&mut self, number: u8, side: u8) {
        let at = usize::from(side);
        let Some(pipe) = self.pipes.get_mut(&number).map(Part::edit) else { return };
        let Some(told) = pipe.coming[at].pop_front() else { return };
        let node = pipe.ends[at];
        self.wake(node);
        let Ok(Some((packet, _))) = QuorumPacket::split(&told.bytes, usize::MAX) else {
            return self.fail(Violation::BadPacket);
        };
        let Ok(message) = Message::read(&packet) else { return self.fail(Violation::BadPacket) };
        self.step(node, Input::Packet { link: link_of(number), message });
    }

    fn hear(&mut self, number: u8, side: u8) {
        let Some(pipe) = self.pipes.get_mut(&number).map(Part::edit) else { return };
        let node = pipe.ends[usize::from(side)];
        gone(pipe, usize::from(side));
        let link = link_of(number);
        self.nodes[usize::from(node)].edit().groups.remove(&link);
        self.wake(node);
        self.step(node, Input::Closed { link });
    }

    /// Its writes go on.
    fn wake(&mut self, number: u8) {
        if self.nodes[usize::from(number)].is_slow {
            self.nodes[usize::from(number)].edit().is_slow = false;
        }
    }

    fn disk(&mut self, number: u8) {
        let node = self.nodes[usize::from(number)].edit();
        let Some((id, write)) = node.pending.pop_front() else { return };
        if let Err(violation) = node.files.write(&write) {
            return self.fail(violation);
        }
        self.step(number, Input::Durable { write: id });
    }

    fn propose(&mut self, number: u8) {
        let peer = self.nodes[usize::from(number)].peer.as_ref();
        let Some(zxid) = peer.and_then(Peer::next_zxid) else { return };
        self.left.txns -= 1;
        let mut txn = Vec::new();
        let header = TxnHeader { client: SessionId(1), cxid: 0, zxid, time_ms: 0, op: 5 };
        header.encode(&mut txn);
        self.step(number, Input::Propose { zxid, txn: &txn });
    }

    /// A server has heard nobody for too long: whatever it is, it searches then.
    fn give_up(&mut self, number: u8) {
        if self.nodes[usize::from(number)].edit().wants.take().is_none() {
            self.left.timeouts -= 1;
        }
        self.wake(number);
        for times in 1..=2 {
            self.step_at(number, Moment::ZERO + TOO_LONG * times, Input::Deadline);
            let peer = self.nodes[usize::from(number)].peer.as_ref();
            if peer.is_some_and(|it| it.state() == PeerState::Looking) {
                return;
            }
        }
        self.fail(Violation::NoProgress { wait_s: TOO_LONG.as_secs() });
    }

    fn step(&mut self, number: u8, input: Input<'_>) {
        self.step_at(number, Moment::ZERO, input);
    }

    fn step_at(&mut self, number: u8, now: Moment, input: Input<'_>) {
        let Some(mut peer) = self.nodes[usize::from(number)].edit().peer.take() else { return };
        let mut out = Vec::new();
        peer.step(now, input, &mut out);
        for output in out {
            self.perform(number, &peer, output);
        }
        self.nodes[usize::from(number)].edit().peer = Some(peer);
        self.answer(number);
    }

    fn perform(&mut self, number: u8, peer: &Peer, output: Output) {
        let node = self.nodes[usize::from(number)].edit();
        match output {
            Output::Send { to, packet } => self.send(number, peer, to, &packet),
            Output::Join { link, group } => {
                node.groups.insert(link, group);
            }
            Output::Close { link, why } => {
                node.groups.remove(&link);
                let pipe = self.pipes.get_mut(&pipe_of(link));
                if let Some((pipe, side)) = pipe.and_then(|it| end_of(number, it)) {
                    gone(pipe.edit(), side);
                }
                self.check_reason(number, why);
            }
            Output::Elected { .. } => {}
            Output::Connect { to } => node.wants = Some(to),
            Output::Write { write, what } => self.order(number, peer, write, what),
            Output::AskLog { link, zxid } => {
                let floor = node.view.floor(zxid);
                node.asked.push_back((link, Asked::Floor(floor)));
            }
            Output::StreamLog { link, after, upto } => {
                node.asked.push_back((link, Asked::Log(after, upto)));
            }
            Output::Commit { upto } => self.apply(number, upto),
            Output::Serve { epoch } => {
                if matches!(peer.state(), PeerState::Leading { .. }) {
                    self.lead(number, epoch);
                }
            }
            Output::Look { why } => {
                node.groups.clear();
                node.wants = None;
                if let LeaveReason::Leader(why) = why {
                    self.check_reason(number, Some(why));
                }
            }
            _ => unreachable!("no images, no clients: {output:?}"),
        }
    }
}

impl State {
    /// Among our own servers nobody breaks the protocol.
    fn check_reason(&mut self, number: u8, why: Option<LinkError>) {
        if let Some(why) = why.filter(|&it| is_broken_protocol(it)) {
            self.fail(Violation::Protocol { sid: sid(number), why });
        }
    }

    /// What a learner says of the epochs that it has promised and taken.
    fn check_promise(&mut self, number: u8, message: &Message<'_>) {
        let (sid, node) = (sid(number), &self.nodes[usize::from(number)]);
        let (durable, promised) = (node.files.accepted, node.view.accepted);
        match *message {
            // A promise is durable before anybody hears of it.
            Message::AckEpoch { .. } if durable < promised => {
                self.fail(Violation::PromiseNotDurable { sid, epoch: promised });
            }
            Message::Ack { zxid } if zxid.counter() == 0 && Epoch::of(zxid) < promised => {
                self.fail(Violation::OldLeader { sid, epoch: Epoch::of(zxid), promised });
            }
            _ => {}
        }
    }

    /// A packet goes on its way.
    fn send(&mut self, number: u8, peer: &Peer, to: To, packet: &Packet) {
        let message = peer.message(packet);
        match to {
            To::Link(link) => self.write(number, link, &message),
            To::Group(group) => {
                let groups = self.nodes[usize::from(number)].groups.iter();
                let links: Vec<Link> =
                    groups.filter(|&(_, it)| *it == group).map(|(&link, _)| link).collect();
                for link in links {
                    self.write(number, link, &message);
                }
            }
        }
    }

    fn write(&mut self, number: u8, link: Link, message: &Message<'_>) {
        self.check_promise(number, message);
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        let pipe = self.pipes.get_mut(&pipe_of(link));
        if let Some((pipe, side)) = pipe.and_then(|it| end_of(number, it))
            && !pipe.is_cut
            && !(pipe.is_deaf && side == 1)
        {
            let sum = match *message {
                // Who it is, is known by the connection.
                Message::FollowerInfo { accepted, info } => {
                    sum_of((accepted, info.protocol, info.config_version))
                }
                _ => sum_of(&bytes),
            };
            pipe.edit().coming[1 - side].push_back(Told { bytes: bytes.into(), sum });
        }
    }

    /// A write is ordered.
    fn order(&mut self, number: u8, peer: &Peer, id: WriteId, what: Write) {
        let node = self.nodes[usize::from(number)].edit();
        let write = match what {
            Write::Append { zxid } => {
                let Some(bytes) = peer.txn(zxid) else {
                    return self.fail(Violation::CommittedUnknown { sid: sid(number), zxid });
                };
                DiskWrite::Append(Txn { zxid, bytes: bytes.into() })
            }
            Write::Truncate { to } => {
                let applied = node.applied.zxid;
                if to < applied {
                    let sid = sid(number);
                    return self.fail(Violation::AppliedTakenBack { sid, to, applied });
                }
                DiskWrite::Truncate(to)
            }
            Write::AcceptedEpoch(epoch) => DiskWrite::Accepted(epoch),
            Write::CurrentEpoch(epoch) => DiskWrite::Current(epoch),
            Write::InstallSnapshot { .. } => unreachable!("no images"),
        };
        let done = node.view.write(&write);
        node.pending.push_back((id, write));
        if let Err(violation) = done {
            self.fail(violation);
        }
    }

    /// Everything up to `upto` is committed.
    fn apply(&mut self, number: u8, upto: Zxid) {
        let node = &self.nodes[usize::from(number)];
        let applied = node.applied;
        let behind = node.view.log.iter().filter(|it| applied.zxid < it.zxid && it.zxid <= upto);
        for txn in behind.cloned().collect::<Vec<_>>() {
            let node = self.nodes[usize::from(number)].edit();
            node.applied = node.applied.after(&txn);
            let (after, zxid, sid) = (node.applied, txn.zxid, sid(number));
            match self.known.history.get(after.count as usize - 1) {
                None => {
                    self.known.edit().history.push(after);
                    self.check_quorum(zxid);
                }
                Some(known) if known.zxid != zxid => {
                    let (count, expected) = (after.count, known.zxid);
                    self.fail(Violation::Disagreement { sid, zxid, count, expected });
                }
                Some(known) if known.digest != after.digest => {
                    self.fail(Violation::OtherState { sid, zxid });
                }
                Some(_) => {}
            }
        }
        if self.nodes[usize::from(number)].applied.zxid < upto {
            self.fail(Violation::CommittedUnknown { sid: sid(number), zxid: upto });
        }
    }

    /// A leader begins to serve.
    fn lead(&mut self, number: u8, epoch: Epoch) {
        let (sid, count) = (sid(number), self.nodes[usize::from(number)].applied.count);
        let committed = self.known.history.len() as u64;
        let is_last = self.known.leaders.keys().all(|&it| it < epoch);
        if let Some(one) = self.known.edit().leaders.insert(epoch, sid) {
            self.fail(Violation::TwoLeaders { epoch, one, other: sid });
        } else if is_last && count < committed {
            self.fail(Violation::LeaderLacks { sid, epoch, count, committed });
        }
    }

    /// A leader's driver has looked into the log for its machine.
    fn answer(&mut self, number: u8) {
        while !self.nodes[usize::from(number)].asked.is_empty()
            && let Some((link, asked)) = self.nodes[usize::from(number)].edit().asked.pop_front()
        {
            match asked {
                Asked::Floor(floor) => self.step(number, Input::LogFloor { link, floor }),
                Asked::Log(after, upto) => {
                    let log = &self.nodes[usize::from(number)].view.log;
                    let part = log.iter().filter(|it| after < it.zxid && it.zxid <= upto);
                    for txn in part.cloned().collect::<Vec<_>>() {
                        let zxid = txn.zxid;
                        self.write(number, link, &Message::Proposal { zxid, txn: &txn.bytes });
                        self.write(number, link, &Message::Commit { zxid });
                    }
                    self.step(number, Input::LogStreamed { link });
                }
            }
        }
    }
}

/// A packet on its way.
#[derive(Clone, Debug)]
pub(super) struct Told {
    bytes: Rc<[u8]>,
    sum: u64,
}

impl Hash for Told {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.sum.hash(state);
    }
}

/// What a connection is called by its machines.
fn link_of(pipe: u8) -> Link {
    Link(LINKS + u64::from(pipe))
}

fn pipe_of(link: Link) -> u8 {
    (link.0 - LINKS) as u8
}

/// What a leader's machine asked of its driver; answered before anything else happens.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) enum Asked {
    Floor(Option<Zxid>),
    Log(Zxid, Zxid),
}

/// A server's end of a connection, if it is there.
fn end_of(number: u8, pipe: &mut Part<Pipe>) -> Option<(&mut Part<Pipe>, usize)> {
    let side = (0..2).find(|&it| pipe.ends[it] == number && !pipe.is_gone[it])?;
    Some((pipe, side))
}

/// An end is no more; the other will hear of it.
fn gone(pipe: &mut Pipe, side: usize) {
    pipe.is_gone[side] = true;
    pipe.coming[side].clear();
    pipe.is_cut = true;
}
