//! What is answered to logs that differ.

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
