//! The rules of sessions, and the tracker beside the dullest one that is right.

use alloc::vec::Vec;

use jute::{Code, SessionId};

use super::SessionTracker;
use crate::map::MapSeed;

const SEED: MapSeed = MapSeed { low: 1, high: 2 };
const A: SessionId = SessionId(0xa);
const B: SessionId = SessionId(0xb);

fn tracker() -> SessionTracker<&'static str> {
    SessionTracker::new(2_000, SessionId::first(1, 77), SEED)
}

fn expired(tracker: &mut SessionTracker<&'static str>, now: u64) -> Vec<SessionId> {
    let mut out = Vec::new();
    tracker.expire(now, usize::MAX, &mut out);
    out
}

#[test]
fn a_session_expires_at_the_end_of_the_tick_in_which_its_timeout_ends() {
    let mut sessions = tracker();
    sessions.open(1_000, A, 4_000);
    sessions.open(1_000, B, 3_000);
    assert_eq!(sessions.next_deadline(), Some(6_000));
    assert_eq!(expired(&mut sessions, 5_999), []);
    assert_eq!(expired(&mut sessions, 6_000), [A, B]);
    assert_eq!(expired(&mut sessions, 60_000), []);
}

#[test]
fn a_touch_that_comes_after_closing_is_refused() {
    let mut sessions = tracker();
    sessions.open(0, A, 4_000);
    sessions.open(0, B, 4_000);
    sessions.set_closing(A);
    assert!(!sessions.touch(1, A, 4_000));
    assert_eq!(expired(&mut sessions, 6_000), [B]);
    assert!(!sessions.touch_again(6_001, B));
    assert_eq!(sessions.check(B, &"conn"), Err(Code::SessionExpired));
}
