//! What is answered to logs that differ; and every pair of small logs that a leader and a learner can have.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::*;
use crate::zab::WindowLimits;

const LIMITS: WindowLimits = WindowLimits { count_max: 100, bytes_max: 1 << 20 };

fn zxid(epoch: i64, counter: i64) -> Zxid {
    Zxid(epoch << 32 | counter)
}

#[test]
fn what_is_outstanding_is_taken_back_and_proposed_again() {
    let mut history = History::new(Zxid::ZERO, LIMITS);
    history.append(zxid(1, 1), b"t");
    history.append(zxid(1, 2), b"t");
    let plan = SyncPlan::choose(zxid(1, 2), zxid(1, 1), &history);
    assert_eq!(plan, SyncPlan::Trunc { to: zxid(1, 1) });
}

#[test]
fn a_counter_of_zero_is_never_cut() {
    let mut history = History::new(Zxid::ZERO, LIMITS);
    history.append(zxid(1, 1), b"t");
    history.append(zxid(3, 1), b"t");
    for epoch in 1..5 {
        let last = zxid(epoch, 0);
        assert_eq!(SyncPlan::choose(last, zxid(3, 1), &history), SyncPlan::Diff { from: last });
    }
}

#[test]
fn a_learner_in_front_of_memory_is_looked_for_on_the_disk() {
    let history = History::new(zxid(2, 7), LIMITS);
    let plan = SyncPlan::choose(zxid(2, 3), zxid(2, 7), &history);
    assert_eq!(plan, SyncPlan::AskLog);
    assert_eq!(
        SyncPlan::choose(zxid(2, 7), zxid(2, 7), &history),
        SyncPlan::Diff { from: zxid(2, 7) }
    );
}

/// Three servers, as their disks are: the current epoch, and the log.
type Disks = [(i64, Vec<Zxid>); 3];

/// Epochs, and transactions in each at most.
const EPOCHS: i64 = 3;
const TXNS: i64 = 2;

fn recency(disk: &(i64, Vec<Zxid>)) -> (i64, Zxid) {
    (disk.0, disk.1.last().copied().unwrap_or_default())
}

/// Who can lead: whoever is not behind one of the others, so that the two are a quorum.
fn leads(disks: &Disks, leader: usize) -> bool {
    (0..3).any(|it| it != leader && recency(&disks[it]) <= recency(&disks[leader]))
}

/// The longest beginning that both logs have.
fn common(one: &[Zxid], other: &[Zxid]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

/// Where an epoch can leave the disks: its leader comes as far as it comes, and each other server takes part of it, or not.
///
/// A learner is cut to what it shares with the leader, then logs what the leader has, then makes the epoch current; it may
/// be stopped anywhere on the way, also behind transactions of the epoch. Those there are only once two have the epoch.
fn end(disks: &Disks, leader: usize, epoch: i64, found: &mut BTreeSet<Disks>) {
    let others: Vec<usize> = (0..3).filter(|&it| it != leader).collect();
    let first = disks[leader].1.len();
    for count in 0..=TXNS {
        let mut own = disks[leader].1.clone();
        own.extend((1..=count).map(|counter| zxid(epoch, counter)));
        // What a server may hold in the end, and whether the epoch is current there.
        let ends = |server: usize| {
            let log = &disks[server].1;
            let mut ends = BTreeSet::from([disks[server].clone()]);
            for kept in common(log, &own)..=own.len() {
                ends.insert((disks[server].0, own[..kept].to_vec()));
                if first <= kept {
                    ends.insert((epoch, own[..kept].to_vec()));
                }
            }
            ends
        };
        for one in ends(others[0]) {
            for other in ends(others[1]) {
                let follows = one.0 == epoch || other.0 == epoch;
                if 0 < count && !follows {
                    continue;
                }
                // The leader's own log may be behind what it proposed.
                for kept in first..=own.len() {
                    let mut next = disks.clone();
                    next[leader] = (epoch, own[..kept].to_vec());
                    next[others[0]] = one.clone();
                    next[others[1]] = other.clone();
                    found.insert(next);
                }
            }
        }
    }
}

#[test]
fn whoever_can_lead_cuts_every_learner_to_what_both_have() {
    let mut worlds = BTreeSet::from([core::array::from_fn(|_| (0, Vec::new()))]);
    let mut pairs = BTreeSet::new();
    for epoch in 1..=EPOCHS + 1 {
        let mut next = BTreeSet::new();
        for disks in &worlds {
            for leader in (0..3).filter(|&it| leads(disks, it)) {
                let theirs = (0..3).filter(|&it| it != leader);
                pairs.extend(theirs.map(|it| (disks[leader].1.clone(), disks[it].1.clone())));
                if epoch <= EPOCHS {
                    end(disks, leader, epoch, &mut next);
                }
            }
        }
        worlds = next;
    }
    assert!(100 < pairs.len(), "{} pairs", pairs.len());
    for (ours, theirs) in &pairs {
        let last = theirs.last().copied().unwrap_or_default();
        let both = common(ours, theirs);
        let expected = match both.checked_sub(1).map_or(Zxid::ZERO, |it| ours[it]) {
            it if it == last => SyncPlan::Diff { from: last },
            to => SyncPlan::Trunc { to },
        };
        // Whatever of the log is in memory: the disk answers for the rest.
        for before in 0..=ours.len() {
            let start = before.checked_sub(1).map_or(Zxid::ZERO, |it| ours[it]);
            let mut history = History::new(start, LIMITS);
            for &it in &ours[before..] {
                history.append(it, b"t");
            }
            let plan = match SyncPlan::choose(last, history.last(), &history) {
                SyncPlan::AskLog => {
                    let floor = ours.iter().rev().find(|&&it| it <= last);
                    SyncPlan::from_floor(last, floor.copied().unwrap_or_default())
                }
                plan => plan,
            };
            assert_eq!(plan, expected, "ours {ours:?}, theirs {theirs:?}, {before} on the disk");
        }
    }
}
