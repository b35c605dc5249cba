//! Requests that are held back, and large ones that are too many.

use jute::{Code, Op};

use super::rig::{Rig, failed, ok, request};
use crate::shard::{Notice, RequestThrottle, ShardSettings, StaleRequests};

fn throttled(throttle: RequestThrottle) -> Rig {
    Rig::settled(ShardSettings { throttle, ..Default::default() })
}

fn one_at_a_time() -> RequestThrottle {
    RequestThrottle { requests_max: 1, ..Default::default() }
}

#[test]
fn with_the_limit_at_the_pipeline_others_wait_until_one_is_answered() {
    let mut rig = throttled(one_at_a_time());
    let (first, second) = (rig.connect(), rig.connect());
    rig.ask(first, 1, Op::SetData, &[]);
    rig.ask(second, 2, Op::SetData, &[]);
    rig.ask(second, 3, Op::Ping, &[]);
    assert!(!rig.shard.wants_read(second));
    assert_eq!(rig.answer_all(Code::Ok), 1);
    assert_eq!(rig.sent(first), [ok(1, 0, &[])]);
    assert_eq!(rig.sent(second), []);
    assert_eq!(rig.answer_all(Code::Ok), 1);
    assert_eq!(rig.sent(second), [ok(2, 0, &[]), ok(3, 0, &[])]);
    assert!(rig.shard.wants_read(second));
    let figures = rig.shard.figures();
    assert_eq!(figures.request_throttle_wait_count, 1);
    assert_eq!(figures.throttled_ops, 0);
}

#[test]
fn without_a_limit_nobody_waits() {
    let mut rig = throttled(RequestThrottle::default());
    let (first, second) = (rig.connect(), rig.connect());
    rig.ask(first, 1, Op::SetData, &[]);
    rig.ask(second, 2, Op::SetData, &[]);
    assert_eq!(rig.answer_all(Code::Ok), 2);
    assert_eq!(rig.shard.figures().request_throttle_wait_count, 0);
}

#[test]
fn a_request_that_waited_too_long_is_answered_throttled_but_a_ping_is_not() {
    let mut rig = throttled(RequestThrottle { op_wait_ms: Some(50), ..one_at_a_time() });
    let (first, second) = (rig.connect(), rig.connect());
    rig.ask(first, 1, Op::SetData, &[]);
    let both = [request(2, Op::SetData.number(), &[]), request(-2, Op::Ping.number(), &[])];
    rig.read(second, &both.concat());
    rig.now_ms += 51;
    assert_eq!(rig.answer_all(Code::Ok), 1);
    assert_eq!(rig.sent(second), [failed(2, 0, Code::ThrottledOp), ok(-2, 0, &[])]);
    assert_eq!(rig.answer_all(Code::Ok), 0);
    let figures = rig.shard.figures();
    assert_eq!(figures.throttled_ops, 1);
    assert_eq!(figures.request_throttle_queue_time_ms.summary.max, 51);
}

#[test]
fn a_request_that_waited_as_long_as_allowed_is_carried_out() {
    let mut rig = throttled(RequestThrottle { op_wait_ms: Some(50), ..one_at_a_time() });
    let (first, second) = (rig.connect(), rig.connect());
    rig.ask(first, 1, Op::SetData, &[]);
    rig.ask(second, 2, Op::SetData, &[]);
    rig.now_ms += 50;
    assert_eq!(rig.answer_all(Code::Ok), 1);
    assert_eq!(rig.answer_all(Code::Ok), 1);
    // What comes afterwards has not waited.
    rig.now_ms += 500;
    rig.ask(second, 3, Op::SetData, &[]);
    assert_eq!(rig.answer_all(Code::Ok), 1);
    assert_eq!(rig.sent(second), [ok(2, 0, &[]), ok(3, 0, &[])]);
}

#[test]
fn a_request_older_than_its_sessions_timeout_ends_the_connection_if_so_configured() {
    for (stale, is_closed) in [(StaleRequests::Kept, false), (StaleRequests::Dropped, true)] {
        let mut rig = throttled(RequestThrottle { stale, ..one_at_a_time() });
        let (first, second) = (rig.connect(), rig.connect());
        rig.ask(first, 1, Op::SetData, &[]);
        rig.ask(second, 2, Op::SetData, &[]);
        rig.now_ms += 60_000;
        rig.answer_all(Code::Ok);
        assert_eq!(rig.is_closed(second), is_closed);
        assert_eq!(rig.shard.figures().stale_requests_dropped, u64::from(is_closed));
    }
}

#[test]
fn large_requests_beyond_their_bytes_end_their_connection() {
    let large = RequestThrottle { large_len: 100, large_bytes_max: 300, ..Default::default() };
    let mut rig = throttled(large);
    let (first, second) = (rig.connect(), rig.connect());
    let body = [0; 193];
    rig.ask(first, 1, Op::SetData, &body);
    rig.ask(second, 2, Op::SetData, &[0; 92]);
    rig.ask(second, 3, Op::SetData, &[0; 92]);
    assert!(!rig.is_closed(second), "a request of 100 bytes is not large");
    rig.ask(second, 4, Op::SetData, &body);
    assert!(rig.is_closed(second));
    let [Notice::Large { len: 201, in_flight: 201, len_max: 300, .. }] = rig.notices[..] else {
        panic!("{:?}", rig.notices)
    };
    assert_eq!(rig.shard.figures().large_requests_rejected, 1);
    rig.answer_all(Code::Ok);
    rig.ask(first, 5, Op::SetData, &body);
    assert!(!rig.is_closed(first), "the first has been answered");
    assert_eq!(rig.answer_all(Code::Ok), 1);
}

#[test]
fn the_bytes_of_a_large_request_go_with_its_connection() {
    let large = RequestThrottle { large_len: 100, large_bytes_max: 300, ..Default::default() };
    let mut rig = throttled(large);
    let (first, second) = (rig.connect(), rig.connect());
    rig.ask(first, 1, Op::SetData, &[0; 250]);
    rig.shard.ended(first);
    rig.ask(second, 2, Op::SetData, &[0; 250]);
    assert!(!rig.is_closed(second));
}
