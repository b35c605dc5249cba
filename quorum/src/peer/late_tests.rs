//! A leader that serves, and what is late: its own disk, a learner's ack, a learner's word.

use core::time::Duration;

use jute::{Op, Record as _, SessionId, TxnHeader};

use super::sync_tests::server_3_of_three;
use super::*;
use crate::wire::{LearnerInfo, PROTOCOL_VERSION};

const EPOCH: Epoch = Epoch(1);
const FIRST: Zxid = Zxid(1 << 32 | 1);
const LINKS: [(Link, Sid); 2] = [(Link(1), Sid(1)), (Link(2), Sid(2))];

struct Rig {
    leader: Peer,
    now: Moment,
    /// Whether writes are durable at once.
    is_quick: bool,
    closed: Vec<(Link, LinkError)>,
    left: Option<LeaveReason>,
}

impl Rig {
    /// Server 3 leads, 1 and 2 follow, and all serve.
    fn new() -> Self {
        let (leader, [accepted, current]) = (server_3_of_three(), [Epoch::ZERO; 2]);
        let (now, closed) = (Moment::ZERO, Vec::new());
        let mut rig = Self { leader, now, is_quick: true, closed, left: None };
        rig.step(Input::Elected { leader: Sid(3) });
        for (link, sid) in LINKS {
            rig.step(Input::Accepted { link });
            let info =
                LearnerInfo { sid: Some(sid), protocol: PROTOCOL_VERSION, config_version: Some(0) };
            rig.packet(link, Message::FollowerInfo { accepted, info });
            rig.packet(link, Message::AckEpoch { zxid: Zxid::ZERO, current: Some(current) });
            rig.packet(link, Message::Ack { zxid: EPOCH.zxid() });
        }
        assert_eq!(rig.leader.next_zxid(), Some(FIRST), "it serves");
        rig
    }

    fn step(&mut self, input: Input<'_>) {
        let mut out = Vec::new();
        self.leader.step(self.now, input, &mut out);
        for it in out {
            match it {
                Output::Write { write, .. } if self.is_quick => self.step(Input::Durable { write }),
                Output::Close { link, why: Some(why) } => self.closed.push((link, why)),
                Output::Look { why } => self.left = Some(why),
                _ => {}
            }
        }
    }

    fn packet(&mut self, link: Link, message: Message<'_>) {
        self.step(Input::Packet { link, message });
    }

    fn propose(&mut self) {
        let mut txn = Vec::new();
        let op = Op::CloseSession.number();
        TxnHeader { client: SessionId(1), cxid: 1, zxid: FIRST, time_ms: 1, op }.encode(&mut txn);
        self.step(Input::Propose { zxid: FIRST, txn: &txn });
    }

    /// So long passes, in half ticks, while these answer pings.
    fn pass(&mut self, span: Duration, answer: &[Link]) {
        let until = self.now + span;
        while self.left.is_none() && self.now < until {
            self.now = self.now + Settings::default().tick / 2;
            for &link in answer {
                self.packet(link, Message::Ping { zxid: FIRST, touches: None });
            }
            self.step(Input::Deadline);
        }
    }
}

#[test]
fn a_leader_whose_own_disk_is_behind_by_sync_limit_leaves() {
    let mut rig = Rig::new();
    rig.is_quick = false;
    rig.propose();
    let links = LINKS.map(|it| it.0);
    for link in links {
        rig.packet(link, Message::Ack { zxid: FIRST });
    }
    assert_eq!(rig.leader.committed(), FIRST, "the others are a quorum");
    rig.pass(Settings::default().sync_time(), &links);
    assert_eq!(rig.left, None, "so long it may take");
    rig.pass(Settings::default().tick * 2, &links);
    assert_eq!(rig.left, Some(LeaveReason::SlowDisk));
}

#[test]
fn a_learner_that_is_silent_for_sync_limit_is_closed_and_the_others_go_on() {
    let mut rig = Rig::new();
    let [(silent, _), (other, _)] = LINKS;
    rig.pass(Settings::default().sync_time(), &[other]);
    assert_eq!(rig.closed, []);
    rig.pass(Settings::default().tick * 2, &[other]);
    assert_eq!((&rig.closed[..], rig.left), (&[(silent, LinkError::Silent)][..], None));
    rig.pass(Settings::default().sync_time() * 2, &[]);
    assert_eq!(rig.left, Some(LeaveReason::QuorumLost));
}

#[test]
fn a_learner_that_owes_an_ack_for_sync_limit_is_closed_though_it_answers_pings() {
    let mut rig = Rig::new();
    let [(owes, _), (other, _)] = LINKS;
    rig.propose();
    rig.packet(other, Message::Ack { zxid: FIRST });
    rig.pass(Settings::default().sync_time(), &[owes, other]);
    assert_eq!(rig.closed, []);
    rig.pass(Settings::default().tick * 2, &[owes, other]);
    assert_eq!(rig.closed, [(owes, LinkError::SlowAck { zxid: FIRST })]);
    assert_eq!(rig.left, None);
}
