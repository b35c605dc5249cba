//! Server 1 of two, which hears nothing of the other, and what its oracle makes of that.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use core::time::Duration;

use super::*;
use crate::wire::Initial;
use crate::{Epoch, QuorumConfig};

const FINALIZE: Duration = Duration::from_millis(200);

/// Server 1 of `members`, searching.
fn searching(members: &str, oracle: Oracle) -> (Server, Outputs) {
    let settings = Settings { oracle, ..Settings::default() };
    let [accepted, current, last, committed] = [0; 4];
    let (accepted, current) = (Epoch(accepted), Epoch(current));
    let restored = Restored { accepted, current, last: Zxid(last), committed: Zxid(committed) };
    let views = Views::new(Arc::new(QuorumConfig::parse(members).expect("a configuration")));
    let mut server = Server::new(Sid(1), settings, Timing::default(), views, &restored);
    let mut out = Outputs::default();
    server.start(Moment::ZERO, &mut out);
    (server, out)
}

fn members(voters: i64) -> String {
    let line = |sid| format!("server.{sid}=h{sid}:2888:3888:participant\n");
    (1..=voters).map(line).collect()
}

/// Whether it leads after the oracle has said this, and as long as a better vote is waited for.
fn leads_after(members: &str, word: Word) -> bool {
    let (mut server, mut out) = searching(members, Oracle::Asked);
    server.step(Moment::ZERO, Input::Oracle { word }, &mut out).expect("no frame");
    assert_eq!(server.peer().state(), PeerState::Looking);
    server.step(Moment::ZERO + FINALIZE, Input::Deadline, &mut out).expect("no frame");
    matches!(server.peer().state(), PeerState::Leading { .. })
}

#[test]
fn one_of_two_is_elected_alone_if_the_oracle_lets_it() {
    assert!(leads_after(&members(2), Word::GoOn));
    assert!(!leads_after(&members(2), Word::Wait));
    assert!(!leads_after(&members(3), Word::GoOn), "of three two are needed");
    let groups = format!("{}group.1=1\ngroup.2=2\n", members(2));
    assert!(!leads_after(&groups, Word::GoOn), "groups are asked as ever");
    let observer = "server.1=h1:1:2:observer\nserver.2=h2:1:2\nserver.3=h3:1:2\n";
    assert!(!leads_after(observer, Word::GoOn), "it does not vote");
}

#[test]
fn a_word_that_is_older_than_a_tick_elects_nobody() {
    let (mut server, mut out) = searching(&members(2), Oracle::Asked);
    let word = Word::GoOn;
    server.step(Moment::ZERO, Input::Oracle { word }, &mut out).expect("no frame");
    let late = Moment::ZERO + Settings::default().tick;
    server.step(late, Input::Deadline, &mut out).expect("no frame");
    assert_eq!(server.peer().state(), PeerState::Looking);
}

#[test]
fn the_oracle_is_asked_where_one_of_two_has_nobody_to_follow() {
    assert!(searching(&members(2), Oracle::Asked).0.asks_oracle());
    assert!(!searching(&members(2), Oracle::None).0.asks_oracle());
    assert!(!searching(&members(3), Oracle::Asked).0.asks_oracle());
    let (mut server, mut out) = searching(&members(2), Oracle::Asked);
    server.appoint(Moment::ZERO, Sid(1), &mut out);
    assert!(server.asks_oracle(), "a leader may lose its follower at any time");
    let (mut server, mut out) = searching(&members(2), Oracle::Asked);
    server.appoint(Moment::ZERO, Sid(2), &mut out);
    assert!(!server.asks_oracle());
}

/// What it does when server 2 says that it does this, with server 2 as its leader.
fn after_word_of_two(oracle: Oracle, state: ServerState, members: &str) -> PeerState {
    let (mut server, mut out) = searching(members, oracle);
    let initial = Initial { sid: Sid(2), addresses: Vec::new() };
    let accepted = Input::Links(links::Input::Accepted { conn: Conn(7), initial });
    server.step(Moment::ZERO, accepted, &mut out).expect("no frame");
    let mut frame = Vec::new();
    Notification {
        state,
        leader: Sid(2),
        zxid: Zxid(0x1_0000_0001),
        election_epoch: 5,
        peer_epoch: Epoch(1),
        version: Notification::VERSION,
        config: None,
    }
    .encode_frame(&mut frame);
    let body = Input::Frame { conn: Conn(7), body: &frame[4..] };
    server.step(Moment::ZERO, body, &mut out).expect("a notification");
    server.peer().state()
}

#[test]
fn who_comes_back_joins_the_one_that_went_on_alone() {
    let two = Sid(2);
    let following = PeerState::Following { leader: two };
    let leading = ServerState::Leading;
    assert_eq!(after_word_of_two(Oracle::Asked, leading, &members(2)), following);
    assert_eq!(after_word_of_two(Oracle::None, leading, &members(2)), PeerState::Looking);
    assert_eq!(after_word_of_two(Oracle::Asked, leading, &members(3)), PeerState::Looking);
    let observer = "server.1=h1:1:2:observer\nserver.2=h2:1:2\nserver.3=h3:1:2\n";
    let observing = PeerState::Observing { leader: two };
    assert_eq!(after_word_of_two(Oracle::Asked, leading, observer), observing);
    let follower = ServerState::Following;
    let joined = after_word_of_two(Oracle::Asked, follower, &members(2));
    assert_eq!(joined, PeerState::Looking, "the leader itself has not said so");
}
