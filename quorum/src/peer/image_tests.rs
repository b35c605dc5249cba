//! A learner and the image that it is sent.

use alloc::sync::Arc;
use core::time::Duration;

use super::*;
use crate::QuorumConfig;
use crate::wire::PROTOCOL_VERSION;
use crate::zab::{To, Write};

const LINK: Link = Link(4);
const LEADER: Sid = Sid(3);
const LAST: Zxid = Zxid(0x1_0000_0009);
const INIT: Duration = Duration::from_secs(20);

/// Server 1 of three, with a log up to [`LAST`], which is decided.
fn peer() -> Peer {
    let epoch = Epoch(1);
    peer_of(&Restored { accepted: epoch, current: epoch, last: LAST, committed: LAST })
}

/// The same with what its disk holds.
fn peer_of(restored: &Restored) -> Peer {
    let members: Vec<_> =
        (1..4).map(|it| alloc::format!("server.{it}=10.0.0.{it}:2888:3888:participant")).collect();
    let config = QuorumConfig::parse(&(members.join("\n") + "\nversion=0")).expect("a config");
    let settings = Settings::default();
    Peer::new(Sid(1), settings, Views::new(Arc::new(config)), restored)
}

struct Rig {
    peer: Peer,
    now: Moment,
}

impl Rig {
    fn step(&mut self, input: Input<'_>) -> Vec<Output> {
        let mut out = Vec::new();
        self.peer.step(self.now, input, &mut out);
        for it in out.clone() {
            if let Output::Write { write, .. } = it {
                self.peer.step(self.now, Input::Durable { write }, &mut out);
            }
        }
        out
    }

    fn packet(&mut self, message: Message<'_>) -> Vec<Output> {
        self.step(Input::Packet { link: LINK, message })
    }

    /// Follows the leader of epoch 2 up to ACKEPOCH; gives the zxid in that.
    fn promise(&mut self) -> Zxid {
        self.step(Input::Elected { leader: LEADER });
        self.step(Input::Connected { link: LINK, to: LEADER });
        let out = self.packet(Message::LeaderInfo { epoch: Epoch(2), protocol: PROTOCOL_VERSION });
        let zxid = out.iter().find_map(|it| match it {
            Output::Send {
                to: To::Link(LINK),
                packet: Packet::Plain(Plain::AckEpoch { zxid, .. }),
            } => Some(*zxid),
            _ => None,
        });
        zxid.expect("an ACKEPOCH")
    }
}

fn left(out: &[Output]) -> Option<LeaveReason> {
    out.iter().find_map(|it| if let Output::Look { why } = it { Some(*why) } else { None })
}

#[test]
fn a_server_whose_tree_differs_decides_nothing_until_an_image_is_here() {
    let mut rig = Rig { peer: peer(), now: Moment::ZERO };
    assert_eq!(rig.promise(), LAST);
    let out = rig.step(Input::Diverged);
    assert_eq!(left(&out), Some(LeaveReason::Diverged));
    assert_eq!(rig.peer.vote().zxid, Zxid(-1));
    for refused in [Message::Diff { zxid: LAST }, Message::Trunc { zxid: LAST }] {
        assert_eq!(rig.promise(), Zxid(-1));
        assert!(matches!(left(&rig.packet(refused)), Some(LeaveReason::Leader(_))));
    }
    assert_eq!(rig.promise(), Zxid(-1));
    // One that lacks what is committed here would take it away.
    let old = Zxid(LAST.0 - 1);
    assert!(left(&rig.packet(Message::Snap { zxid: old })).is_some());
    rig.promise();
    let out = rig.packet(Message::Snap { zxid: LAST });
    assert_eq!(out, [Output::ReceiveSnapshot { link: LINK, zxid: LAST }]);
    assert_eq!(rig.peer.vote().zxid, Zxid(-1), "it is not here yet");
    let out = rig.step(Input::SnapshotReceived { link: LINK });
    let installed = |it: &Output| {
        matches!(it, Output::Write { what: Write::InstallSnapshot { zxid: LAST }, .. })
    };
    assert!(out.iter().any(installed));
    assert_eq!(rig.peer.vote().zxid, LAST);
}

#[test]
fn a_server_that_has_lost_its_data_decides_nothing_until_an_image_is_here() {
    let restored = Restored {
        accepted: Epoch::ZERO,
        current: Epoch::ZERO,
        last: Zxid::ZERO,
        committed: Zxid::ZERO,
    };
    let mut rig = Rig { peer: peer_of(&restored), now: Moment::ZERO };
    assert_eq!(rig.peer.vote().zxid, Zxid::ZERO, "a new ensemble is three of these");
    rig.peer.forget();
    assert_eq!(rig.peer.vote().zxid, Zxid(-1));
    assert_eq!(rig.promise(), Zxid(-1));
    rig.packet(Message::Snap { zxid: LAST });
    rig.step(Input::SnapshotReceived { link: LINK });
    assert_eq!(rig.peer.vote().zxid, LAST);
}

#[test]
fn an_image_may_take_as_long_as_it_comes() {
    let mut rig = Rig { peer: peer(), now: Moment::ZERO };
    rig.promise();
    rig.packet(Message::Snap { zxid: LAST });
    for _ in 0..5 {
        rig.now = rig.now + INIT / 2;
        rig.step(Input::SnapshotPart { link: LINK });
        assert_eq!(left(&rig.step(Input::Deadline)), None);
    }
    rig.now = rig.now + INIT;
    assert_eq!(left(&rig.step(Input::Deadline)), Some(LeaveReason::Leader(LinkError::Silent)));
}
