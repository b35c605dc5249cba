//! What the three machines are told of one another.

use alloc::sync::Arc;
use core::time::Duration;

use jute::Zxid;

use super::*;
use crate::wire::Initial;
use crate::{Epoch, PeerState, QuorumConfig};

/// Server 1 of so many, with an empty disk.
fn server(voters: i64) -> Server {
    let mut text = alloc::string::String::new();
    for sid in 1..=voters {
        text += &alloc::format!("server.{sid}=10.0.0.{sid}:2888:3888:participant\n");
    }
    text += "version=0";
    let config = QuorumConfig::parse(&text).expect("a configuration");
    let settings = Settings::default();
    let restored = Restored {
        accepted: Epoch::ZERO,
        current: Epoch::ZERO,
        last: Zxid::ZERO,
        committed: Zxid::ZERO,
    };
    Server::new(Sid(1), settings, Timing::default(), Views::new(Arc::new(config)), &restored)
}

#[test]
fn a_lone_voter_leads_in_the_step_in_which_it_starts() {
    let (mut server, mut out) = (server(1), Outputs::default());
    server.start(Moment::ZERO, &mut out);
    assert!(matches!(server.peer().state(), PeerState::Leading { .. }));
    assert!(
        matches!(out.zab[..], [zab::Output::Elected { leader: Sid(1) }, zab::Output::Write { .. }]),
        "{:?}",
        out.zab
    );
}

#[test]
fn a_search_asks_for_every_voter_and_the_driver_hears_of_connections_only() {
    let (mut server, mut out) = (server(3), Outputs::default());
    server.start(Moment::ZERO, &mut out);
    let called = |sid| {
        let is =
            |it: &links::Output| matches!(it, links::Output::Connect { to, .. } if to.0 == sid);
        out.links.iter().any(is)
    };
    assert!(called(2) && called(3), "{:?}", out.links);
    out.links.clear();
    let input = Input::Links(links::Input::Refused { to: Sid(2) });
    server.step(Moment::ZERO, input, &mut out).expect("no frame");
    assert!(!out.links.iter().any(|it| matches!(it, links::Output::Lost { .. })));
}

#[test]
fn a_frame_of_a_connection_that_is_not_in_use_is_dropped() {
    let (mut server, mut out) = (server(3), Outputs::default());
    server.start(Moment::ZERO, &mut out);
    let frame = Input::Frame { conn: Conn(7), body: b"no notification" };
    assert_eq!(server.step(Moment::ZERO, frame.clone(), &mut out), Ok(()));
    let initial = Initial { sid: Sid(2), addresses: Vec::new() };
    let accepted = Input::Links(links::Input::Accepted { conn: Conn(7), initial });
    server.step(Moment::ZERO, accepted, &mut out).expect("no frame");
    assert!(server.step(Moment::ZERO, frame, &mut out).is_err());
}

#[test]
fn a_role_that_ends_begins_a_search_in_a_new_round() {
    let (mut server, mut out) = (server(3), Outputs::default());
    server.start(Moment::ZERO, &mut out);
    server.appoint(Moment::ZERO, Sid(2), &mut out);
    assert_eq!(server.peer().state(), PeerState::Following { leader: Sid(2) });
    assert_eq!(server.election().state(), ServerState::Following);
    let round = server.election().clock();
    let late = Moment::ZERO + Duration::from_mins(1);
    server.step(late, Input::Deadline, &mut out).expect("no frame");
    assert_eq!(server.peer().state(), PeerState::Looking);
    assert_eq!(server.election().clock(), round + 1);
}
