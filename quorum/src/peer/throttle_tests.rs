//! How learners are brought to the history: how many at a time, and by what.

use alloc::sync::Arc;

use super::*;
use crate::QuorumConfig;
use crate::wire::{LearnerInfo, PROTOCOL_VERSION};
use crate::zab::{SyncBy, SyncKind, SyncLimits, To};

/// The last of what server 3 holds, all of it committed.
const LAST: Zxid = Zxid(0x1_0000_0009);

/// The epoch that it leads.
const EPOCH: Epoch = Epoch(2);

struct Rig {
    leader: Peer,
    out: Vec<Output>,
}

impl Rig {
    /// Server 3 of three leads; nobody follows yet. Of its history nothing is in memory, and `committed` is in its image.
    fn new(settings: Settings, committed: Zxid) -> Self {
        let mut members = alloc::string::String::new();
        for sid in 1..4 {
            members += &alloc::format!(
                "server.{sid}=h{sid}:2888:3888
"
            );
        }
        for sid in 11..16 {
            members += &alloc::format!(
                "server.{sid}=h{sid}:2888:3888:observer
"
            );
        }
        let config = Arc::new(QuorumConfig::parse(&members).expect("a configuration"));
        let epoch = Epoch(1);
        let restored = Restored { accepted: epoch, current: epoch, last: LAST, committed };
        let leader = Peer::new(Sid(3), settings, Views::new(config), &restored);
        let mut rig = Self { leader, out: Vec::new() };
        rig.step(Input::Elected { leader: Sid(3) });
        rig
    }

    /// The same with server 1 following, so that it serves.
    fn serving(settings: Settings) -> Self {
        let mut rig = Self::new(settings, LAST);
        rig.joins(1, LAST);
        rig.acks(1);
        assert!(rig.leader.next_zxid().is_some(), "it serves");
        rig
    }

    /// Gives an input, on a disk that is at once as far.
    fn step(&mut self, input: Input<'_>) {
        let mut out = Vec::new();
        self.leader.step(Moment::ZERO, input, &mut out);
        for it in &out {
            if let Output::Write { write, .. } = *it {
                self.step(Input::Durable { write });
            }
        }
        self.out.extend(out);
    }

    /// A learner with this last transaction comes, and says everything up to ACKEPOCH; observers are those above 10.
    fn joins(&mut self, sid: i64, zxid: Zxid) {
        let (link, accepted) = (Link(sid as u64), Epoch(1));
        self.out.clear();
        self.step(Input::Accepted { link });
        let (sid_, protocol) = (Some(Sid(sid)), PROTOCOL_VERSION);
        let info = LearnerInfo { sid: sid_, protocol, config_version: Some(0) };
        let message = match sid {
            ..=10 => Message::FollowerInfo { accepted, info },
            _ => Message::ObserverInfo { accepted, info },
        };
        self.step(Input::Packet { link, message });
        let message = Message::AckEpoch { zxid, current: Some(accepted) };
        self.step(Input::Packet { link, message });
    }

    fn acks(&mut self, sid: i64) {
        let message = Message::Ack { zxid: EPOCH.zxid() };
        self.step(Input::Packet { link: Link(sid as u64), message });
    }

    /// Why a learner was sent away.
    fn sent_away(&self, sid: i64) -> Option<LinkError> {
        self.out.iter().find_map(|it| match *it {
            Output::Close { link, why } if link == Link(sid as u64) => why,
            _ => None,
        })
    }

    /// Whether a learner is being sent an image.
    fn gets_image(&self, sid: i64) -> bool {
        let is = |it: &Output| matches!(*it, Output::SendSnapshot { link, .. } if link == Link(sid as u64));
        self.out.iter().any(is)
    }

    /// Whether a learner was told of a difference.
    fn gets_diff(&self, sid: i64) -> bool {
        self.out.iter().any(|it| {
            let Output::Send { to: To::Link(link), packet: Packet::Plain(Plain::Diff { .. }) } = it
            else {
                return false;
            };
            *link == Link(sid as u64)
        })
    }
}

fn limited(snap_max: u32, diff_max: u32) -> Settings {
    Settings { sync_limits: SyncLimits { snap_max, diff_max }, ..Settings::default() }
}

fn too_many(kind: SyncKind, count: u32, max: u32) -> LinkError {
    LinkError::TooManySyncs { kind, count, max }
}

#[test]
fn an_observer_too_many_is_sent_away_until_one_has_acked_and_a_follower_never_is() {
    let mut rig = Rig::serving(limited(1, 2));
    for sid in [11, 12] {
        rig.joins(sid, LAST);
        assert!(rig.gets_diff(sid) && rig.sent_away(sid).is_none());
    }
    rig.joins(13, LAST);
    assert_eq!(rig.sent_away(13), Some(too_many(SyncKind::Diff, 2, 2)));
    assert!(!rig.gets_diff(13), "nothing is sent to one that is sent away");
    // A follower takes a place that is not there.
    rig.joins(2, LAST);
    assert!(rig.gets_diff(2) && rig.sent_away(2).is_none());
    rig.acks(11);
    rig.joins(13, LAST);
    assert_eq!(rig.sent_away(13), Some(too_many(SyncKind::Diff, 2, 2)));
    rig.acks(2);
    rig.joins(13, LAST);
    assert!(rig.gets_diff(13) && rig.sent_away(13).is_none());
}

#[test]
fn a_learner_that_has_gone_leaves_its_place() {
    let mut rig = Rig::serving(limited(1, 1));
    rig.joins(11, LAST);
    rig.step(Input::Closed { link: Link(11) });
    rig.joins(12, LAST);
    assert_eq!(rig.sent_away(12), None);
}

#[test]
fn images_and_differences_are_counted_apart_and_no_image_is_made_for_one_that_is_sent_away() {
    let mut rig = Rig::serving(limited(1, 1));
    let lost = Zxid(-1);
    rig.joins(11, lost);
    assert!(rig.gets_image(11));
    rig.joins(12, LAST);
    assert!(rig.gets_diff(12) && rig.sent_away(12).is_none());
    rig.joins(13, lost);
    assert_eq!(rig.sent_away(13), Some(too_many(SyncKind::Snap, 1, 1)));
    assert!(!rig.gets_image(13));
    // An image is a place until what follows it is acked, too.
    rig.step(Input::SnapshotChosen { link: Link(11), zxid: LAST });
    rig.step(Input::SnapshotSent { link: Link(11) });
    rig.joins(13, lost);
    assert_eq!(rig.sent_away(13), Some(too_many(SyncKind::Snap, 1, 1)));
    rig.acks(11);
    rig.joins(13, lost);
    assert!(rig.gets_image(13));
}

#[test]
fn images_can_be_forced_on_learners_that_lack_nothing() {
    let settings = Settings { sync_by: SyncBy::Force, ..Settings::default() };
    let mut rig = Rig::new(settings, LAST);
    rig.joins(1, LAST);
    assert!(rig.gets_diff(1) && !rig.gets_image(1), "nobody can make an image yet");
    rig.acks(1);
    assert!(rig.leader.next_zxid().is_some(), "it serves");
    for sid in [2, 11] {
        rig.joins(sid, LAST);
        assert!(rig.gets_image(sid) && !rig.gets_diff(sid));
    }
}

#[test]
fn a_leader_that_knows_too_little_to_be_decided_forces_no_image() {
    let settings = Settings { sync_by: SyncBy::Force, ..Settings::default() };
    let mut rig = Rig::new(settings, Zxid(LAST.0 - 1));
    rig.joins(1, LAST);
    assert!(rig.gets_diff(1) && !rig.gets_image(1), "an image of less would take it away");
    rig.acks(1);
    assert!(rig.leader.next_zxid().is_some(), "it serves");
    rig.joins(2, LAST);
    assert!(rig.gets_image(2), "all is decided now");
}
