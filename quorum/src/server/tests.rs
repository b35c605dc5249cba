//! What the three machines are told of one another.

use alloc::sync::Arc;
use core::time::Duration;

use jute::Zxid;

use super::*;
use crate::wire::Initial;
use crate::{Epoch, PeerState, QuorumConfig};

/// Server 1 of so many, with an empty disk.
fn server(voters: i64) -> Server {
    member(1, voters, Settings::default())
}

/// A server beside so many voters, with an empty disk; whoever is not among them observes.
fn member(sid: i64, voters: i64, settings: Settings) -> Server {
    let mut text = alloc::string::String::new();
    for sid in 1..=voters {
        text += &alloc::format!("server.{sid}=10.0.0.{sid}:2888:3888:participant\n");
    }
    if voters < sid {
        text += &alloc::format!("server.{sid}=10.0.0.{sid}:2888:3888:observer\n");
    }
    text += "version=0";
    let config = QuorumConfig::parse(&text).expect("a configuration");
    let restored = Restored {
        accepted: Epoch::ZERO,
        current: Epoch::ZERO,
        last: Zxid::ZERO,
        committed: Zxid::ZERO,
    };
    Server::new(Sid(sid), settings, Timing::default(), Views::new(Arc::new(config)), &restored)
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

/// A lone voter whose promise stays in its disk: the promise, and when its role ended.
fn with_a_disk_that_hangs(settings: Settings) -> (Server, WriteId, Moment) {
    let (mut server, mut out) = (member(1, 1, settings), Outputs::default());
    server.start(Moment::ZERO, &mut out);
    let promise = out.zab.iter().find_map(|it| match *it {
        zab::Output::Write { write, .. } => Some(write),
        _ => None,
    });
    let until = Moment::ZERO + settings.init_time();
    out.zab.clear();
    server.step(until, Input::Deadline, &mut out).expect("no frame");
    let left = |it: &zab::Output| matches!(it, zab::Output::Look { .. });
    assert!(out.zab.iter().any(left), "{:?}", out.zab);
    (server, promise.expect("its promise"), until)
}

#[test]
fn a_server_whose_disk_hangs_is_not_elected_until_it_does_not() {
    let (mut server, write, ended) = with_a_disk_that_hangs(Settings::default());
    let mut out = Outputs::default();
    let later = ended + Duration::from_mins(1);
    server.step(later, Input::Deadline, &mut out).expect("no frame");
    assert_eq!(server.peer().state(), PeerState::Looking);
    let durable = Input::Zab(zab::Input::Durable { write });
    server.step(later, durable, &mut out).expect("no frame");
    assert!(matches!(server.peer().state(), PeerState::Leading { .. }));
}

#[test]
fn a_server_whose_disk_is_only_slow_is_elected() {
    let settings = Settings { init_limit: 2, sync_limit: 3, ..Settings::default() };
    let (server, ..) = with_a_disk_that_hangs(settings);
    assert!(matches!(server.peer().state(), PeerState::Leading { .. }));
}

#[test]
fn an_observer_that_has_lost_its_leader_searches_after_a_part_of_its_delay() {
    let delays: Vec<Duration> = (4..12)
        .map(|sid| {
            let mut out = Outputs::default();
            let mut server = member(sid, 3, Settings::default());
            server.start(Moment::ZERO, &mut out);
            server.appoint(Moment::ZERO, Sid(2), &mut out);
            let round = server.election().clock();
            assert_eq!(server.peer().state(), PeerState::Observing { leader: Sid(2) });
            let lost = Moment::ZERO + Duration::from_mins(1);
            server.step(lost, Input::Deadline, &mut out).expect("no frame");
            assert_eq!(server.election().clock(), round, "it does not search at once");
            let at = server.next_deadline().expect("it will");
            server.step(at, Input::Deadline, &mut out).expect("no frame");
            assert_eq!(server.election().clock(), round + 1);
            at.since(lost)
        })
        .collect();
    assert!(delays.iter().all(|it| *it <= Duration::from_millis(200)), "{delays:?}");
    let most = delays.iter().max().expect("eight");
    let least = delays.iter().min().expect("eight");
    assert!(*least + Duration::from_millis(50) < *most, "all at once: {delays:?}");
}

#[test]
fn an_observer_calls_a_leader_after_a_part_of_its_delay_and_a_follower_at_once() {
    let reconnect = Duration::from_secs(4);
    let delays = zab::ObserverDelays { reconnect, ..zab::ObserverDelays::default() };
    let settings = Settings { observer_delays: delays, ..Settings::default() };
    let calls = |out: &Outputs| {
        out.zab.iter().filter(|it| matches!(it, zab::Output::Connect { to: Sid(2) })).count()
    };
    let (mut observer, mut out) = (member(4, 3, settings), Outputs::default());
    observer.start(Moment::ZERO, &mut out);
    observer.appoint(Moment::ZERO, Sid(2), &mut out);
    assert_eq!(calls(&out), 0);
    let at = observer.peer().next_deadline().expect("it will");
    assert!(at <= Moment::ZERO + reconnect, "{at:?}");
    observer.step(at, Input::Deadline, &mut out).expect("no frame");
    assert_eq!(calls(&out), 1);

    let (mut follower, mut out) = (member(1, 3, settings), Outputs::default());
    follower.start(Moment::ZERO, &mut out);
    follower.appoint(Moment::ZERO, Sid(2), &mut out);
    assert_eq!(calls(&out), 1);
}

/// Server 1 of three, elected by itself and server 2, which has not come since; and whether server `searching` saying so at this moment ends that.
fn leaves_when_one_searches(epoch_wait: Option<Duration>, searching: i64, after_ms: u64) -> bool {
    let settings = Settings { epoch_wait, ..Settings::default() };
    let (mut server, mut out) = (member(1, 3, settings), Outputs::default());
    server.start(Moment::ZERO, &mut out);
    let mut hear = |conn: u64, from: i64, election_epoch, at: Moment| {
        let initial = Initial { sid: Sid(from), addresses: Vec::new() };
        let accepted = Input::Links(links::Input::Accepted { conn: Conn(conn), initial });
        server.step(at, accepted, &mut out).expect("no frame");
        let mut frame = Vec::new();
        let candidate = server.election().candidate();
        Notification {
            state: ServerState::Looking,
            leader: Sid(1),
            zxid: candidate.zxid,
            election_epoch,
            peer_epoch: candidate.peer_epoch,
            version: 0,
            config: None,
        }
        .encode_frame(&mut frame);
        let body = Input::Frame { conn: Conn(conn), body: &frame[4..] };
        server.step(at, body, &mut out).expect("a notification");
        let now = at + Timing::default().finalize;
        server.step(now, Input::Deadline, &mut out).expect("no frame");
        server.peer().state()
    };
    let leads = hear(7, 2, 1, Moment::ZERO);
    assert!(matches!(leads, PeerState::Leading { phase: zab::Phase::Discovery, .. }));
    // It leads since `finalize` was over.
    let at = Moment::ZERO + Timing::default().finalize + Duration::from_millis(after_ms);
    hear(8, searching, 2, at);
    let sid = Sid(searching);
    out.zab.contains(&zab::Output::Look { why: LeaveReason::Disloyal { sid } })
}

#[test]
fn a_leader_waits_only_so_long_for_a_server_that_has_changed_its_mind() {
    let most = Some(Duration::from_millis(500));
    assert!(leaves_when_one_searches(most, 2, 501));
    assert!(!leaves_when_one_searches(most, 2, 500), "it waits for so long");
    assert!(!leaves_when_one_searches(most, 3, 501), "that one never voted for it");
    assert!(!leaves_when_one_searches(None, 2, 501), "it waits for initLimit");
}
