//! Reconfigurations among whole servers whose packets come at once and whose disks are as fast.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use jute::{Record, SessionId, SetDataTxn, TxnHeader};

use super::*;
use crate::QuorumConfig;
use crate::wire::{PacketKind, QuorumPacket, Touch};
use crate::zab::{Group, ObserverMasters, Reconfig, SyncFrom, To};

mod batches;
mod ended;
mod halves;
mod rollover;

/// A server's end of a connection.
#[derive(Clone, Copy)]
struct End {
    other: (Sid, Link),
    group: Option<Group>,
}

struct World {
    now: Moment,
    peers: BTreeMap<Sid, Peer>,
    ends: BTreeMap<(Sid, Link), End>,
    links: u64,
    /// Bytes on their way to an end.
    packets: VecDeque<((Sid, Link), Vec<u8>)>,
    committed: BTreeMap<Sid, Zxid>,
    activated: BTreeMap<Sid, i64>,
    left: Vec<(Sid, LeaveReason)>,
    /// What servers are told of sessions and syncs.
    told: Vec<(Sid, Output)>,
    /// Who hears nothing and is not heard, and what waits for that to end.
    silent: BTreeSet<Sid>,
    held: Vec<((Sid, Link), Vec<u8>)>,
    /// While disks take their time: what is not durable.
    owed: Option<BTreeMap<Sid, WriteId>>,
    /// Whose packet came to whom.
    came: Vec<(Sid, Sid, PacketKind)>,
}

fn text(voters: &[i64], observers: &[i64]) -> String {
    let line = |sid: &i64, role| format!("server.{sid}=h{sid}:2888:3888:{role};2181\n");
    let voters = voters.iter().map(|it| line(it, "participant"));
    let observers = observers.iter().map(|it| line(it, "observer"));
    voters.chain(observers).collect()
}

fn settings() -> Settings {
    Settings {
        tick: Duration::from_millis(100),
        reconfig: Reconfig::Enabled,
        ..Settings::default()
    }
}

fn peer(sid: i64, members: &str, settings: Settings) -> Peer {
    let [accepted, current] = [Epoch::ZERO; 2];
    let restored = Restored { accepted, current, last: Zxid::ZERO, committed: Zxid::ZERO };
    let config = QuorumConfig::parse(members).expect("a configuration");
    Peer::new(Sid(sid), settings, Views::new(Arc::new(config)), &restored)
}

impl World {
    /// Servers that know these members; the last of `sids` leads, and all serve.
    fn new(sids: &[i64], members: &str) -> Self {
        Self::with(sids, members, ObserverMasters::Off)
    }

    fn with(sids: &[i64], members: &str, observer_masters: ObserverMasters) -> Self {
        Self::made(sids, members, Settings { observer_masters, ..settings() })
    }

    fn made(sids: &[i64], members: &str, settings: Settings) -> Self {
        Self::made_of(sids, members, |_| settings)
    }

    fn made_of(sids: &[i64], members: &str, settings: impl Fn(i64) -> Settings) -> Self {
        let peer = |&sid: &i64| (Sid(sid), peer(sid, members, settings(sid)));
        let mut world = Self {
            now: Moment::ZERO,
            peers: sids.iter().map(peer).collect(),
            ends: BTreeMap::new(),
            links: 0,
            packets: VecDeque::new(),
            committed: BTreeMap::new(),
            activated: BTreeMap::new(),
            left: Vec::new(),
            told: Vec::new(),
            silent: BTreeSet::new(),
            held: Vec::new(),
            owed: None,
            came: Vec::new(),
        };
        let leader = Sid(*sids.last().expect("somebody"));
        for &sid in sids.iter().rev() {
            world.step(Sid(sid), Input::Elected { leader });
        }
        world.run();
        world
    }

    fn step(&mut self, sid: Sid, input: Input<'_>) {
        let mut out = Vec::new();
        let peer = self.peers.get_mut(&sid).expect("a server");
        peer.step(self.now, input, &mut out);
        for output in out {
            self.perform(sid, output);
        }
    }

    fn perform(&mut self, sid: Sid, output: Output) {
        match output {
            Output::Send { to, packet } => {
                let to: Vec<_> = match to {
                    To::Link(link) => Vec::from([(sid, link)]),
                    To::Group(group) => {
                        let ends = self.ends.iter().filter(|it| it.1.group == Some(group));
                        ends.map(|it| *it.0).filter(|it| it.0 == sid).collect()
                    }
                };
                let mut bytes = Vec::new();
                self.peers[&sid].message(&packet).encode(&mut bytes);
                for end in to {
                    if let Some(end) = self.ends.get(&end) {
                        self.packets.push_back((end.other, bytes.clone()));
                    }
                }
            }
            Output::Join { link, group } => {
                self.ends.get_mut(&(sid, link)).expect("a link").group = Some(group);
            }
            // What was sent before still comes.
            Output::Close { link, .. } => {
                let end = self.ends.remove(&(sid, link));
                self.packets.extend(end.map(|it| (it.other, Vec::new())));
            }
            Output::Connect { to } => self.connect(sid, to),
            Output::Write { write, .. } => match &mut self.owed {
                Some(owed) => drop(owed.insert(sid, write)),
                None => self.step(sid, Input::Durable { write }),
            },
            Output::Commit { upto } => drop(self.committed.insert(sid, upto)),
            Output::Activate { config } => drop(self.activated.insert(sid, config.version())),
            Output::Look { why } => {
                self.left.push((sid, why));
                if let LeaveReason::Reconfigured { designated: leader }
                | LeaveReason::Resumed { leader } = why
                {
                    self.step(sid, Input::Elected { leader });
                }
            }
            // Its leader is asked; this server only hears of it.
            Output::Revalidate { .. } if self.peers[&sid].told_by().is_some() => {
                self.told.push((sid, output));
            }
            Output::Revalidate { link, touch } => {
                let (session, valid) = (touch.session, Validity::Alive);
                self.told.push((sid, Output::Touched { link }));
                self.step(sid, Input::Revalidated { link, session, valid });
            }
            Output::Request { link } => self.pass_sync_on(sid, link),
            Output::Synced { .. } | Output::SessionIs { .. } | Output::Touched { .. } => {
                self.told.push((sid, output));
            }
            _ => {}
        }
    }

    /// A learner's sync, the only request here, goes on to the leader.
    fn pass_sync_on(&mut self, sid: Sid, link: Link) {
        self.forward_sync(sid);
        self.step(sid, Input::Sync { from: SyncFrom::Learner(link) });
    }

    fn forward_sync(&mut self, sid: Sid) {
        let Some(link) = self.peers[&sid].request_link() else { return };
        let (session, cxid, op, body) = (SessionId(1), 1, jute::Op::Sync.number(), &b""[..]);
        let authinfo = crate::wire::IdList::NULL;
        let mut bytes = Vec::new();
        Message::Request { session, cxid, op, body, authinfo }.encode(&mut bytes);
        self.packets.push_back((self.ends[&(sid, link)].other, bytes));
    }

    fn connect(&mut self, sid: Sid, to: Sid) {
        let master = &self.peers[&to];
        let leads = matches!(master.state(), PeerState::Leading { .. });
        let hosts = master.observer_count().is_some() && master.request_link().is_some();
        if !leads && !hosts || self.silent.contains(&to) {
            return self.step(sid, Input::ConnectFailed { to });
        }
        let [here, there] = [Link(self.links + 1), Link(self.links + 2)];
        self.links += 2;
        self.ends.insert((sid, here), End { other: (to, there), group: None });
        self.ends.insert((to, there), End { other: (sid, here), group: None });
        self.step(to, Input::Accepted { link: there });
        self.step(sid, Input::Connected { link: here, to });
    }

    /// Until nobody has anything to say.
    fn run(&mut self) {
        while let Some((end, bytes)) = self.packets.pop_front() {
            let (sid, link) = end;
            let Some(&End { other, .. }) = self.ends.get(&end) else { continue };
            if bytes.is_empty() {
                self.ends.remove(&end);
                self.step(sid, Input::Closed { link });
            } else if self.silent.contains(&sid) || self.silent.contains(&other.0) {
                self.held.push((end, bytes));
            } else {
                let split = QuorumPacket::split(&bytes, usize::MAX).expect("a packet");
                let packet = split.expect("a whole one").0;
                self.came.push((other.0, sid, packet.kind));
                let message = Message::read(&packet).expect("a message");
                self.step(sid, Input::Packet { link, message });
            }
        }
    }

    /// These and no others hear nothing from now on.
    fn hush(&mut self, sids: &[i64]) {
        self.silent = sids.iter().map(|&it| Sid(it)).collect();
        // Older than what is on its way.
        let newer = core::mem::take(&mut self.packets);
        self.packets.extend(self.held.drain(..).chain(newer));
        self.run();
    }

    /// The roles of those end by silence, and this one is elected by them.
    fn elect(&mut self, leader: i64, sids: &[i64]) {
        self.wait(1_500);
        for &sid in sids {
            assert_eq!(self.state(sid), PeerState::Looking);
            self.step(Sid(sid), Input::Elected { leader: Sid(leader) });
        }
        self.run();
    }

    /// So much time goes by.
    fn wait(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        while self.now < end {
            self.now = self.now + Duration::from_millis(10);
            for sid in self.peers.keys().copied().collect::<Vec<_>>() {
                if self.peers[&sid].next_deadline().is_some_and(|it| it <= self.now) {
                    self.step(sid, Input::Deadline);
                }
            }
            self.run();
        }
    }

    /// A transaction of this op with this text.
    fn propose(&mut self, leader: i64, op: i32, data: &str) -> Zxid {
        let zxid = self.peers[&Sid(leader)].next_zxid().expect("it takes proposals");
        let mut txn = Vec::new();
        TxnHeader { client: SessionId(1), cxid: 1, zxid, time_ms: 0, op }.encode(&mut txn);
        let data = format!("{data}version={:x}", zxid.0);
        let path = b"/zookeeper/config";
        SetDataTxn { path, data: Some(data.as_bytes()), version: -1 }.encode(&mut txn);
        self.step(Sid(leader), Input::Propose { zxid, txn: &txn });
        zxid
    }

    fn write(&mut self, leader: i64) -> Zxid {
        self.propose(leader, 5, "")
    }

    fn reconfigure(&mut self, leader: i64, members: &str) -> Zxid {
        self.propose(leader, 16, members)
    }

    fn committed_by(&self, zxid: Zxid) -> Vec<i64> {
        let those = self.committed.iter().filter(|it| zxid <= *it.1);
        those.map(|it| it.0.0).collect()
    }

    fn state(&self, sid: i64) -> PeerState {
        self.peers[&Sid(sid)].state()
    }

    fn voters(&self, sid: i64) -> Vec<i64> {
        let voters = self.peers[&Sid(sid)].views().committed().verifier().voters();
        voters.iter().map(|it| it.0).collect()
    }
}

#[test]
fn a_configuration_without_a_version_gets_one_with_the_first_leader() {
    let world = World::new(&[1, 2, 3], &text(&[1, 2, 3], &[]));
    for sid in 1..=3 {
        assert_eq!(world.activated[&Sid(sid)], 1 << 32);
        assert!(!world.peers[&Sid(sid)].views().is_changing());
    }
}

/// Five of whom three vote; 3 leads.
fn three_of_five() -> World {
    World::new(&[4, 5, 1, 2, 3], &text(&[1, 2, 3], &[]))
}

#[test]
fn while_members_change_every_write_needs_both_majorities() {
    let mut world = three_of_five();
    world.hush(&[2, 4, 5]);
    let before = world.write(3);
    let change = world.reconfigure(3, &text(&[1, 2, 3, 4, 5], &[]));
    let after = world.write(3);
    world.run();
    assert_eq!(world.committed_by(before), [1, 3], "two of three are enough before");
    assert!(world.committed_by(change).is_empty(), "two of five are not");
    world.hush(&[2, 5]);
    assert_eq!(world.committed_by(after), [1, 3, 4]);
    assert_eq!(world.voters(4), [1, 2, 3, 4, 5]);
    world.hush(&[]);
    assert_eq!(world.committed_by(after), [1, 2, 3, 4, 5]);
}

#[test]
fn the_new_majority_alone_decides_nothing_either() {
    let mut world = three_of_five();
    world.hush(&[1, 2]);
    let change = world.reconfigure(3, &text(&[1, 2, 3, 4, 5], &[]));
    world.run();
    assert!(
        world.committed_by(change).is_empty(),
        "3, 4 and 5 are three of five, but one of three"
    );
    world.hush(&[1]);
    assert_eq!(world.committed_by(change), [2, 3, 4, 5]);
    let after = world.write(3);
    world.hush(&[1, 2]);
    assert_eq!(world.committed_by(after), [3, 4, 5], "from then on three of five are enough");
}

#[test]
fn servers_that_follow_without_a_voice_can_be_counted_on() {
    let world = three_of_five();
    let mut synced: Vec<_> = world.peers[&Sid(3)].synced().map(|it| it.0).collect();
    synced.sort_unstable();
    assert_eq!(synced, [1, 2, 3, 4, 5]);
    assert_eq!(world.peers[&Sid(2)].synced().count(), 0, "who follows knows nobody");
}

#[test]
fn who_is_about_to_observe_cannot_be_counted_on() {
    let mut world = World::new(&[1, 2, 3], &text(&[1, 2, 3], &[]));
    world.hush(&[1]);
    world.reconfigure(3, &text(&[2, 3], &[1]));
    world.run();
    let synced: Vec<_> = world.peers[&Sid(3)].synced().map(|it| it.0).collect();
    assert_eq!(synced, [2, 3], "1 is still connected as a follower");
}

#[test]
fn an_observer_that_gets_a_vote_comes_again_as_a_follower_and_the_other_way_round() {
    let mut world = World::new(&[4, 1, 2, 3], &text(&[1, 2, 3], &[4]));
    let leader = Sid(3);
    assert_eq!(world.state(4), PeerState::Observing { leader });
    world.reconfigure(3, &text(&[1, 3, 4], &[2]));
    world.run();
    assert_eq!(world.state(4), PeerState::Following { leader });
    assert_eq!(world.state(2), PeerState::Observing { leader });
    let after = world.write(3);
    world.run();
    assert_eq!(world.committed_by(after), [1, 2, 3, 4]);
}

#[test]
fn a_leader_that_is_removed_hands_over_and_follows_without_a_voice() {
    let mut world = three_of_five();
    world.reconfigure(3, &text(&[1, 2, 4, 5], &[]));
    world.hush(&[5]);
    assert_eq!(world.peers[&Sid(3)].next_zxid(), None, "it takes no more");
    world.hush(&[]);
    world.wait(300);
    let PeerState::Following { leader } = world.state(3) else { panic!("{:?}", world.state(3)) };
    assert!([1, 2, 4].contains(&leader.0), "{leader} had not acked");
    for sid in (1..=5).filter(|&it| it != leader.0) {
        assert_eq!(world.state(sid), PeerState::Following { leader });
    }
    let after = world.write(leader.0);
    world.run();
    assert_eq!(world.committed_by(after), [1, 2, 3, 4, 5]);
    world.hush(&[3]);
    let without = world.write(leader.0);
    world.run();
    assert_eq!(world.committed_by(without), [1, 2, 4, 5]);
}

#[test]
fn a_leader_whose_address_changes_hands_over() {
    let mut world = World::new(&[1, 2, 3], &text(&[1, 2, 3], &[]));
    let members = text(&[1, 2, 3], &[]);
    world.reconfigure(3, &members.replace("h3:2888", "h3:2889"));
    world.run();
    world.wait(300);
    let PeerState::Following { leader } = world.state(3) else { panic!("{:?}", world.state(3)) };
    let after = world.write(leader.0);
    world.run();
    assert_eq!(world.committed_by(after), [1, 2, 3]);
}

#[test]
fn other_ports_of_the_leader_may_change_under_it() {
    let mut world = World::new(&[1, 2, 3], &text(&[1, 2, 3], &[]));
    let members = text(&[1, 2, 3], &[]);
    world.reconfigure(3, &members.replace("3888:participant;2181", "3889:participant;2182"));
    world.run();
    world.wait(300);
    assert!(matches!(world.state(3), PeerState::Leading { .. }), "{:?}", world.left);
}

#[test]
fn who_leads_next_ends_a_change_that_was_proposed() {
    let mut world = three_of_five();
    world.hush(&[1, 4, 5]);
    world.reconfigure(3, &text(&[1, 2, 3, 4, 5], &[]));
    world.run();
    assert!(world.peers[&Sid(2)].views().is_changing());
    world.hush(&[3]);
    world.elect(2, &[2, 1, 4, 5]);
    for sid in [1, 2, 4, 5] {
        assert_eq!(world.voters(sid), [1, 2, 3, 4, 5]);
        assert!(!world.peers[&Sid(sid)].views().is_changing());
    }
}

#[test]
fn who_is_elected_and_removed_by_a_change_that_was_proposed_ends_it_and_leaves() {
    let mut world = three_of_five();
    world.hush(&[1, 4, 5]);
    world.reconfigure(3, &text(&[1, 3, 4, 5], &[]));
    world.run();
    world.hush(&[3]);
    world.elect(2, &[2, 1, 4, 5]);
    assert_eq!(world.voters(4), [1, 3, 4, 5]);
    assert_eq!(world.peers[&Sid(2)].next_zxid(), None, "it takes nothing");
    world.wait(100);
    assert!(!matches!(world.state(2), PeerState::Leading { .. }), "{:?}", world.left);
    world.elect(5, &[5, 1, 4]);
    let after = world.write(5);
    world.run();
    assert!(world.committed_by(after).starts_with(&[1]), "{:?}", world.committed);
}

#[test]
fn who_joins_while_a_change_is_proposed_knows_it_and_does_not_take_it_for_agreed() {
    let mut world = three_of_five();
    world.hush(&[1, 2, 5]);
    let before = world.voters(3);
    world.reconfigure(3, &text(&[1, 3, 4, 5], &[]));
    world.run();
    // 4 comes anew.
    let end = *world.ends.keys().find(|it| it.0 == Sid(4)).expect("it follows");
    world.step(end.0, Input::Closed { link: end.1 });
    world.ends.remove(&end);
    world.step(Sid(4), Input::Elected { leader: Sid(3) });
    world.run();
    let views = world.peers[&Sid(4)].views();
    assert!(views.is_changing());
    assert_eq!(world.voters(4), before);
    let after = world.write(3);
    world.hush(&[2]);
    assert_eq!(world.committed_by(after), [1, 3, 4, 5]);
    assert_eq!(world.voters(4), [1, 3, 4, 5]);
}

#[test]
fn a_change_that_nobody_else_has_seen_is_forgotten() {
    let mut world = three_of_five();
    world.hush(&[1, 2, 4, 5]);
    world.reconfigure(3, &text(&[1, 2, 3, 4, 5], &[]));
    world.run();
    world.hush(&[3]);
    world.elect(2, &[2, 1]);
    world.hush(&[]);
    world.wait(100);
    world.elect(2, &[3]);
    let after = world.write(2);
    world.run();
    assert!(world.committed_by(after).starts_with(&[1, 2, 3]));
    assert_eq!(world.voters(3), [1, 2, 3]);
    assert!(!world.peers[&Sid(3)].views().is_changing());
}

#[test]
fn a_follower_tells_observers_what_it_is_told() {
    let members = text(&[1, 2, 3], &[4]);
    let mut world = World::with(&[4, 1, 2, 3], &members, ObserverMasters::On);
    world.wait(300);
    let observer = Sid(4);
    let master = world.peers[&observer].told_by().expect("a learner");
    assert!([Sid(1), Sid(2)].contains(&master), "{master} tells it");
    assert_eq!(world.peers[&master].observer_count(), Some(1));
    let counts = world.peers[&Sid(3)].learner_counts().expect("a leader");
    assert_eq!((counts.connected, counts.synced_observers), (2, 0));
    let zxid = world.write(3);
    world.run();
    assert_eq!(world.committed_by(zxid), [1, 2, 3, 4]);

    // What its clients ask goes to the leader and comes back, in order with those of the follower.
    let touch = |session| Touch { session: SessionId(session), timeout_ms: 4_000 };
    world.step(master, Input::Revalidate(touch(6)));
    world.step(observer, Input::Revalidate(touch(7)));
    world.step(master, Input::Sync { from: SyncFrom::Local(1) });
    world.forward_sync(master);
    world.step(observer, Input::Sync { from: SyncFrom::Local(2) });
    world.forward_sync(observer);
    world.run();
    let valid = Validity::Alive;
    let is = |session| Output::SessionIs { session: SessionId(session), valid };
    for told in [(master, is(6)), (observer, is(7))] {
        assert_eq!(world.told.iter().filter(|it| **it == told).count(), 1, "{:?}", world.told);
    }
    let passes =
        |it: &Output| matches!(it, Output::Revalidate { touch: its, .. } if *its == touch(7));
    let passed = world.told.iter().filter(|it| it.0 == master && passes(&it.1)).count();
    assert_eq!(passed, 1, "the follower hears whose session goes on behind it: {:?}", world.told);
    for told in [(master, Output::Synced { id: 1 }), (observer, Output::Synced { id: 2 })] {
        assert_eq!(world.told.iter().filter(|it| **it == told).count(), 1, "{:?}", world.told);
    }
    world.told.clear();
    world.step(observer, Input::Touch(touch(7)));
    world.wait(300);
    assert!(world.told.iter().any(|it| matches!(it, (Sid(3), Output::Touched { .. }))));

    // The follower's role ends, and with it what it tells.
    let others: Vec<_> = [1, 2, 3].into_iter().filter(|&it| Sid(it) != master).collect();
    world.hush(&others);
    world.wait(2_000);
    assert!(world.left.contains(&(observer, LeaveReason::LinkLost)), "{:?}", world.left);
}

#[test]
fn an_observer_that_is_ahead_of_a_follower_is_sent_away() {
    let members = text(&[1, 2, 3], &[4]);
    let mut world = World::with(&[1, 2, 3], &members, ObserverMasters::On);
    // Committed, and this follower has not heard of it.
    world.silent.insert(Sid(1));
    let zxid = world.write(3);
    world.run();
    assert_eq!(world.committed_by(zxid), [2, 3]);
    let follower = world.peers.get_mut(&Sid(1)).expect("a server");
    let mut out = Vec::new();
    let link = Link(1_000);
    follower.step(world.now, Input::Accepted { link }, &mut out);
    let info = crate::wire::LearnerInfo::new(Sid(4), crate::wire::PROTOCOL_VERSION, 0);
    let hello = Message::ObserverInfo { accepted: Epoch(1), info };
    follower.step(world.now, Input::Packet { link, message: hello }, &mut out);
    out.clear();
    let promise = Message::AckEpoch { zxid, current: Some(Epoch(1)) };
    follower.step(world.now, Input::Packet { link, message: promise }, &mut out);
    let [Output::Close { why: Some(LinkError::LearnerAhead { zxid: theirs, .. }), .. }] = out[..]
    else {
        panic!("{out:?}")
    };
    assert_eq!(theirs, zxid);
}

#[test]
fn a_sync_is_answered_though_all_who_were_asked_lost_their_connections() {
    let mut world = World::new(&[1, 2, 3], &text(&[1, 2, 3], &[]));
    world.hush(&[1, 2]);
    world.step(Sid(3), Input::Sync { from: SyncFrom::Local(7) });
    world.run();
    let answer = (Sid(3), Output::Synced { id: 7 });
    assert!(!world.told.contains(&answer), "nobody has said that 3 still leads");
    for (sid, link) in world.ends.keys().copied().collect::<Vec<_>>() {
        world.ends.remove(&(sid, link));
        world.step(sid, Input::Closed { link });
    }
    world.hush(&[]);
    for sid in [1, 2] {
        world.step(Sid(sid), Input::Elected { leader: Sid(3) });
    }
    world.run();
    assert!(matches!(world.state(3), PeerState::Leading { epoch: Epoch(1), .. }), "the same role");
    assert!(world.told.contains(&answer), "{:?}", world.told);
}
