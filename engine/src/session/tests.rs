//! The rules of sessions, and the tracker beside the dullest one that is right.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use jute::{Code, SessionId};

use super::{ExpiryRow, SessionTracker};
use crate::map::MapSeed;

const SEED: MapSeed = MapSeed { low: 1, high: 2 };
const TICK: u64 = 2_000;
const A: SessionId = SessionId(0xa);
const B: SessionId = SessionId(0xb);

fn tracker() -> SessionTracker<&'static str> {
    SessionTracker::new(TICK as u32, SessionId::first(1, 77), SEED)
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
fn a_touch_moves_the_end_and_a_shorter_timeout_moves_it_back() {
    let mut sessions = tracker();
    sessions.open(0, A, 4_000);
    assert!(sessions.touch(5_900, A, 4_000));
    assert_eq!(expired(&mut sessions, 9_999), []);
    assert!(sessions.touch(9_999, A, 40_000));
    assert_eq!(expired(&mut sessions, 40_000), []);
    assert!(sessions.touch(40_000, A, 4_000));
    assert_eq!(sessions.timeout_ms(A), Some(4_000));
    assert_eq!(expired(&mut sessions, 45_999), []);
    assert_eq!(expired(&mut sessions, 46_000), [A]);
}

#[test]
fn an_earlier_sign_of_life_that_is_told_later_takes_nothing_back() {
    let mut sessions = tracker();
    sessions.open(0, A, 4_000);
    assert!(sessions.touch(4_500, A, 4_000));
    assert!(sessions.touch_again(1_000, A));
    assert_eq!(expired(&mut sessions, 9_999), []);
    assert_eq!(expired(&mut sessions, 10_000), [A]);
}

#[test]
fn a_touch_that_comes_after_its_time_but_before_expiry_saves_the_session() {
    let mut sessions = tracker();
    sessions.open(0, A, 4_000);
    assert!(sessions.touch_again(7_000, A));
    assert_eq!(expired(&mut sessions, 7_000), []);
    assert_eq!(expired(&mut sessions, 12_000), [A]);
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
    assert!(!sessions.open(6_002, B, 4_000));
    assert!(!sessions.is_open(B));
    assert_eq!(sessions.set_owner(B, "conn"), Err(Code::SessionExpired));
    assert_eq!(expired(&mut sessions, 1_000_000), []);
}

#[test]
fn a_create_that_races_with_the_close_of_its_session_is_refused_at_every_stage() {
    for by_expiry in [false, true] {
        let mut sessions = tracker();
        sessions.open(0, A, 4_000);
        assert_eq!(sessions.check(A, &"conn"), Ok(()));
        if by_expiry {
            assert_eq!(expired(&mut sessions, 6_000), [A]);
        } else {
            sessions.set_closing(A);
        }
        // The closeSession is in the log, not applied; then it is.
        assert_eq!(sessions.check(A, &"conn"), Err(Code::SessionExpired));
        assert_eq!(sessions.len(), 1);
        assert_eq!(sessions.remove(A), Some("conn"));
        assert_eq!(sessions.check(A, &"conn"), Err(Code::SessionExpired));
        assert!(!sessions.touch(7_000, A, 4_000));
        assert!(sessions.is_empty());
    }
}

#[test]
fn no_jump_of_a_wall_clock_is_seen_and_a_clock_that_stands_expires_nobody() {
    let mut sessions = tracker();
    sessions.open(10_000, A, 4_000);
    for _ in 0..1_000 {
        assert_eq!(expired(&mut sessions, 10_000), []);
        // A caller whose clock goes back for a moment expires nobody either.
        assert_eq!(expired(&mut sessions, 0), []);
    }
    assert_eq!(expired(&mut sessions, 16_000), [A]);
}

#[test]
fn sessions_of_the_table_have_their_whole_timeout_left_when_the_server_starts() {
    let mut sessions = tracker();
    for id in 1..=3 {
        assert!(sessions.open(1_000_000, SessionId(id), id as i32 * 10_000));
    }
    assert_eq!(expired(&mut sessions, 1_010_000), []);
    assert_eq!(expired(&mut sessions, 1_012_000), [SessionId(1)]);
    let rows = sessions.expiry_rows();
    assert_eq!(
        rows,
        [
            ExpiryRow { expires_at: 1_012_000, sessions: [SessionId(1)].to_vec() },
            ExpiryRow { expires_at: 1_022_000, sessions: [SessionId(2)].to_vec() },
            ExpiryRow { expires_at: 1_032_000, sessions: [SessionId(3)].to_vec() },
        ]
    );
}

#[test]
fn ids_are_the_references_for_every_server_id_and_none_is_given_out_twice() {
    for (server_id, first) in [
        (1, 0x0100_0000_004d_0000_u64),
        (127, 0x7f00_0000_004d_0000),
        (128, 0x8000_0000_004d_0000),
        (254, 0xfe00_0000_004d_0000),
        (255, 0xff00_0000_004d_0000),
    ] {
        let mut sessions: SessionTracker<()> =
            SessionTracker::new(2_000, SessionId::first(server_id, 77), SEED);
        assert_eq!(sessions.next_id(), SessionId(first as i64));
        sessions.open(0, SessionId(first as i64 + 1), 4_000);
        assert_eq!(sessions.next_id(), SessionId(first as i64 + 2));
    }
    let mut edge: SessionTracker<()> = SessionTracker::new(2_000, SessionId(-1), SEED);
    assert_eq!([edge.next_id(), edge.next_id()], [SessionId(-1), SessionId(1)]);
    let mut edge: SessionTracker<()> = SessionTracker::new(2_000, SessionId(i64::MAX), SEED);
    assert_eq!([edge.next_id(), edge.next_id()], [SessionId(i64::MAX), SessionId(i64::MIN + 1)]);
}

#[test]
fn a_session_that_moves_is_taken_from_its_old_connection() {
    let mut sessions = tracker();
    sessions.open(0, A, 4_000);
    assert_eq!(sessions.set_owner(A, "old"), Ok(None));
    assert_eq!(sessions.set_owner(A, "old"), Ok(None), "it is the same connection");
    assert_eq!(sessions.set_owner(A, "new"), Ok(Some("old")));
    assert_eq!(sessions.check(A, &"old"), Err(Code::SessionMoved));
    assert_eq!(sessions.check(A, &"new"), Ok(()));
    assert_eq!(sessions.owner(A), Some(&"new"));
    assert_eq!(sessions.set_owner(B, "new"), Err(Code::SessionExpired));
}

#[test]
fn a_hundred_thousand_sessions_that_expire_at_once_come_in_portions() {
    const SESSIONS: i64 = 100_000;
    let mut sessions = tracker();
    for id in 1..=SESSIONS {
        sessions.open(0, SessionId(id), 4_000);
    }
    for id in 1..=10 {
        sessions.touch(5_000, SessionId(id), 4_000);
    }
    let (mut out, mut calls) = (Vec::new(), 0);
    while sessions.next_deadline().is_some_and(|at| at <= 6_000) {
        let before = out.len();
        sessions.expire(6_000, 500, &mut out);
        assert!(out.len() - before <= 500);
        calls += 1;
        // Others are heard in between.
        assert!(sessions.touch(6_000, SessionId(5), 4_000));
    }
    assert_eq!((calls, out.len()), (200, SESSIONS as usize - 10));
    assert!(out.is_sorted());
    for session in out {
        sessions.remove(session);
    }
    assert_eq!(sessions.len(), 10);
}

#[test]
fn sessions_that_come_and_go_leave_nothing_behind_their_timeout() {
    let mut sessions = tracker();
    let mut out = Vec::new();
    for n in 0..200_000_u64 {
        let id = sessions.next_id();
        sessions.open(n, id, 4_000);
        sessions.remove(id);
        sessions.expire(n, usize::MAX, &mut out);
        let kept: usize = sessions.buckets.values().map(VecDeque::len).sum();
        assert!(kept <= 6_001, "{kept} entries of sessions that have gone");
    }
    assert_eq!((out.len(), sessions.len()), (0, 0));
}

/// The dullest tracker that is right: it looks at every session each time.
#[derive(Default)]
struct Model {
    /// When it expires, or that it is closing.
    sessions: BTreeMap<SessionId, Option<u64>>,
}

impl Model {
    fn touch(&mut self, now: u64, session: SessionId, timeout_ms: i32) -> bool {
        let Some(Some(end)) = self.sessions.get_mut(&session) else { return false };
        *end = ((now + timeout_ms as u64) / TICK + 1) * TICK;
        true
    }

    fn expire(&mut self, now: u64) -> Vec<SessionId> {
        let mut out = Vec::new();
        for (&session, end) in &mut self.sessions {
            if end.is_some_and(|end| end <= now) {
                *end = None;
                out.push(session);
            }
        }
        out
    }
}

#[test]
fn long_random_histories_are_the_models() {
    for seed in 1..=20_u64 {
        let mut state = seed;
        let mut below = |end: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % end
        };
        let (mut sessions, mut model, mut now) = (tracker(), Model::default(), 0);
        for _ in 0..20_000 {
            now += below(300);
            let session = SessionId(below(40) as i64 + 1);
            let timeout_ms = [4_000, 5_500, 9_999, 40_000][below(4) as usize];
            match below(10) {
                0..2 => {
                    let fresh = sessions.open(now, session, timeout_ms);
                    assert_eq!(fresh, !model.sessions.contains_key(&session));
                    model.sessions.entry(session).or_insert(Some(0));
                    model.touch(now, session, timeout_ms);
                }
                2..7 => {
                    let touched = sessions.touch(now, session, timeout_ms);
                    assert_eq!(touched, model.touch(now, session, timeout_ms));
                }
                7 => {
                    sessions.set_closing(session);
                    model.sessions.entry(session).and_modify(|end| *end = None);
                }
                8 => {
                    sessions.remove(session);
                    model.sessions.remove(&session);
                }
                _ => {
                    let mut out = expired(&mut sessions, now);
                    out.sort_unstable();
                    assert_eq!(out, model.expire(now), "seed {seed}, now {now}");
                    assert!(sessions.next_deadline().is_none_or(|at| now < at));
                }
            }
            let soonest = model.sessions.values().flatten().min();
            if let Some(&soonest) = soonest {
                let deadline = sessions.next_deadline();
                assert!(deadline.is_some_and(|at| at <= soonest), "{deadline:?} {soonest}");
            }
            assert_eq!(sessions.len(), model.sessions.len());
        }
    }
}
