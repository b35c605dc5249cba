//! A learner's `sync` among the commits around it: a reference server that follows takes both in the order of its own requests.

use alloc::sync::Arc;

use jute::{Op, Record as _, SessionId, TxnHeader};

use super::*;
use crate::QuorumConfig;
use crate::wire::{LearnerInfo, PROTOCOL_VERSION, Touches};
use crate::zab::{Group, SyncFrom, To};

const ASKS: Link = Link(1);
const OTHER: Link = Link(2);

/// A server of three that has nothing.
pub(super) fn server_3_of_three() -> Peer {
    let members = "server.1=h1:2888:3888\nserver.2=h2:2888:3888\nserver.3=h3:2888:3888";
    let config = Arc::new(QuorumConfig::parse(members).expect("a configuration"));
    let [accepted, current] = [Epoch::ZERO; 2];
    let restored = Restored { accepted, current, last: Zxid::ZERO, committed: Zxid::ZERO };
    Peer::new(Sid(3), Settings::default(), Views::new(config), &restored)
}

struct Rig {
    leader: Peer,
    /// What is written, and not durable yet.
    written: Option<WriteId>,
}

impl Rig {
    /// Server 3 leads, 1 and 2 follow, and all serve.
    fn new() -> Self {
        let (leader, accepted) = (server_3_of_three(), Epoch::ZERO);
        let mut rig = Self { leader, written: None };
        rig.step(Input::Elected { leader: Sid(3) });
        for (link, sid) in [(ASKS, Sid(1)), (OTHER, Sid(2))] {
            rig.step(Input::Accepted { link });
            let info =
                LearnerInfo { sid: Some(sid), protocol: PROTOCOL_VERSION, config_version: Some(0) };
            rig.packet(link, Message::FollowerInfo { accepted, info });
        }
        rig.durable();
        for link in [ASKS, OTHER] {
            let current = Some(Epoch::ZERO);
            rig.packet(link, Message::AckEpoch { zxid: Zxid::ZERO, current });
        }
        rig.durable();
        for link in [ASKS, OTHER, ASKS, OTHER] {
            rig.packet(link, Message::Ack { zxid: Epoch(1).zxid() });
        }
        assert_eq!(rig.leader.next_zxid(), Some(zxid(1)), "it leads");
        rig
    }

    /// What is sent to the one that asks: commits and syncs, as words.
    fn step(&mut self, input: Input<'_>) -> Vec<Packet> {
        let mut out = Vec::new();
        self.leader.step(Moment::ZERO, input, &mut out);
        let mut sent = Vec::new();
        for it in out {
            match it {
                Output::Write { write, .. } => self.written = Some(write),
                Output::Send { to: To::Link(ASKS) | To::Group(Group::Followers), packet } => {
                    let counts = [
                        Packet::Plain(Plain::Sync),
                        Packet::Plain(commit(1)),
                        Packet::Plain(commit(2)),
                    ];
                    sent.extend(Some(packet).filter(|it| counts.contains(it)));
                }
                _ => {}
            }
        }
        sent
    }

    fn packet(&mut self, link: Link, message: Message<'_>) -> Vec<Packet> {
        self.step(Input::Packet { link, message })
    }

    fn durable(&mut self) -> Vec<Packet> {
        let mut sent = Vec::new();
        while let Some(write) = self.written.take() {
            sent.extend(self.step(Input::Durable { write }));
        }
        sent
    }

    /// Proposes the next, and makes it durable here.
    fn propose(&mut self, number: i64) -> Vec<Packet> {
        let zxid = zxid(number);
        let (client, op) = (SessionId(1), Op::CloseSession.number());
        let mut txn = Vec::new();
        TxnHeader { client, cxid: 1, zxid, time_ms: 1, op }.encode(&mut txn);
        let sent = self.step(Input::Propose { zxid, txn: &txn });
        [sent, self.durable()].concat()
    }
}

fn zxid(number: i64) -> Zxid {
    Zxid(1 << 32 | number)
}

fn commit(number: i64) -> Plain {
    Plain::Commit { zxid: zxid(number) }
}

const PING: Message<'_> = Message::Ping { zxid: Zxid::ZERO, touches: Some(Touches::EMPTY) };

#[test]
fn a_commit_does_not_overtake_the_answer_to_an_earlier_sync() {
    let mut rig = Rig::new();
    rig.propose(1);
    assert_eq!(rig.step(Input::Sync { from: SyncFrom::Learner(ASKS) }), []);
    rig.propose(2);
    let first = rig.packet(OTHER, Message::Ack { zxid: zxid(2) });
    assert_eq!(first, [Packet::Plain(commit(1))], "what was proposed before the sync");
    let rest = rig.packet(OTHER, PING);
    assert_eq!(rest, [Packet::Plain(Plain::Sync), Packet::Plain(commit(2))]);
}

#[test]
fn commits_go_on_when_the_one_that_waits_for_a_sync_is_gone() {
    let mut rig = Rig::new();
    rig.step(Input::Sync { from: SyncFrom::Learner(ASKS) });
    rig.propose(1);
    assert_eq!(rig.packet(OTHER, Message::Ack { zxid: zxid(1) }), []);
    assert_eq!(rig.step(Input::Closed { link: ASKS }), [Packet::Plain(commit(1))]);
    rig.step(Input::Sync { from: SyncFrom::Learner(ASKS) });
    rig.propose(2);
    let sent = rig.packet(OTHER, Message::Ack { zxid: zxid(2) });
    assert_eq!(sent, [Packet::Plain(commit(2))], "nobody waits for that one");
}

#[test]
fn a_sync_of_the_leaders_own_client_holds_no_commit_up() {
    let mut rig = Rig::new();
    rig.step(Input::Sync { from: SyncFrom::Local(1) });
    rig.propose(1);
    assert_eq!(rig.packet(OTHER, Message::Ack { zxid: zxid(1) }), [Packet::Plain(commit(1))]);
}
