//! Sessions that one server knows, and servers without a leader.

use jute::MultiHeader;

use super::super::{LocalPolicy, LocalSessions, ReadOnly, RemoteRequest};
use super::learning::{LINK, Pair};
use super::*;

/// Ids go on behind those of the server's global sessions.
fn local(policy: LocalPolicy) -> LocalSessions {
    let seed = MapSeed { low: 3, high: 4 };
    LocalSessions::new(policy, SessionTracker::new(TICK_MS, SessionId(0), seed))
}

/// The same server with local sessions.
fn with(world: World, policy: LocalPolicy) -> World {
    let World { pipeline, now_ms } = world;
    let reaping = pipeline.reaping;
    let mut applier = pipeline.into_applier();
    applier.set_local(local(policy));
    World { pipeline: Pipeline::new(applier, reaping, now_ms), now_ms }
}

/// A leader and a learner that have local sessions; their ids say whose they are.
fn pair(policy: LocalPolicy) -> Pair {
    let mut pair = Pair::new();
    pair.leader = with(pair.leader, policy);
    let learner = pair.learner.applier_mut();
    learner.set_local(local(policy));
    let seed = MapSeed { low: 5, high: 6 };
    learner.sessions = SessionTracker::new(TICK_MS, SessionId(2 << 56), seed);
    pair
}

/// A session at the learner, of which the leader hears nothing.
fn connect(pair: &mut Pair) -> Client {
    let owner = owner(0, 0);
    pair.handshake(owner, SessionId::NONE);
    let told = pair.turn();
    assert_eq!(told[0], [format!("0 is {}, 4000 ms", SessionId(2 << 56)), "up to 0x0".to_owned()]);
    Client { owner, session: SessionId(2 << 56) }
}

fn multi_of_an_ephemeral(path: &str) -> (Op, Vec<u8>) {
    let body = encoded(|out| {
        let (op, body) = ephemeral(path);
        MultiHeader { op: op.number(), done: false, err: -1 }.write(out);
        out.extend_from_slice(&body);
        MultiHeader::END.write(out);
    });
    (Op::Multi, body)
}

#[test]
fn a_local_session_is_no_transaction_and_writes_like_any_other() {
    let mut pair = pair(LocalPolicy::Refusing);
    let client = connect(&mut pair);
    pair.ask(client, 1, create("/a"));
    let told = pair.turn();
    assert!(told[0].contains(&"0: 1 Ok at 0x1 /a".to_owned()), "{told:?}");
    pair.ask(client, 2, close_session());
    let told = pair.turn();
    assert!(told[0].contains(&"0: 2 Ok at 0x1".to_owned()), "{told:?}");
    assert!(pair.agree());
    assert_eq!(pair.learner.applier().local_count(), 0);
}

#[test]
fn an_ephemeral_of_a_local_session_is_refused_without_upgrades() {
    let mut pair = pair(LocalPolicy::Refusing);
    let client = connect(&mut pair);
    for (xid, request) in [(1, ephemeral("/e")), (2, multi_of_an_ephemeral("/e"))] {
        pair.ask(client, xid, request);
        let told = pair.turn();
        let refused = format!("0: {xid} EphemeralOnLocalSession at 0x0");
        assert!(told[0].contains(&refused), "{told:?}");
    }
    let owner = owner(1, 3);
    let leader = &mut pair.leader;
    leader.handshake(owner, SessionId::NONE, &[]);
    let session = leader.pipeline.applier().find(owner).expect("it is connected").0;
    leader.ask(Client { owner, session }, 1, ephemeral("/e"));
    assert!(!leader.pipeline.has_transactions());
    let told = leader.turn();
    assert!(told[1].contains(&"3: 1 EphemeralOnLocalSession at 0x0".to_owned()), "{told:?}");
}

#[test]
fn the_first_ephemeral_makes_a_learners_session_a_global_one() {
    for request in [ephemeral("/e"), multi_of_an_ephemeral("/e")] {
        let mut pair = pair(LocalPolicy::Upgrading);
        let client = connect(&mut pair);
        pair.ask(client, 1, create("/a"));
        pair.ask(client, 2, request);
        pair.ask(client, 3, get("/e"));
        let told = pair.turn();
        for reply in ["0: 1 Ok at 0x1 /a", "0: 2 Ok at 0x3", "0: 3 Ok at 0x3"] {
            assert!(told[0].iter().any(|it| it.starts_with(reply)), "no {reply} in {told:?}");
        }
        assert_eq!(pair.learner.applier().local_count(), 0);
        assert!(pair.leader.pipeline.applier().sessions().is_open(client.session));
        pair.ask(client, 4, close_session());
        let told = pair.turn();
        assert!(told[0].iter().any(|it| it.starts_with("NodeDeleted /e")), "{told:?}");
        assert!(pair.agree());
    }
}

#[test]
fn what_a_session_asked_before_its_end_is_refused_behind_it_though_it_was_local_once() {
    let mut pair = pair(LocalPolicy::Upgrading);
    let client = connect(&mut pair);
    pair.ask(client, 1, ephemeral("/e"));
    pair.turn();
    pair.leader.now_ms += 10_000;
    pair.leader.pipeline.deadline(pair.leader.moment());
    pair.turn();
    // It has ended, and this was long on its way.
    let ((op, body), auth) = (create("/late"), AuthIds::default());
    let Client { session, .. } = client;
    let late = RemoteRequest { session, cxid: Xid(2), op, body: &body, auth: &auth };
    pair.leader.pipeline.take_remote(pair.leader.moment(), LINK, &late);
    pair.turn();
    assert_eq!(pair.leader.seen("/late"), "none");
    assert!(pair.agree());
}

#[test]
fn the_first_ephemeral_makes_a_leaders_session_a_global_one() {
    let mut world = with(World::new(), LocalPolicy::Upgrading);
    let owner = owner(0, 0);
    world.handshake(owner, SessionId::NONE, &[]);
    assert_eq!(world.heard(0)[0], "0 is 0x100, 4000 ms");
    let client = Client { owner, session: SessionId(0x100) };
    world.ask(client, 1, ephemeral("/e"));
    let told = world.turn();
    assert!(told[0].contains(&"0: 1 Ok at 0x2 /e".to_owned()), "{told:?}");
    // It expires as others do, with its ephemeral.
    let told = world.pass(10_000);
    assert!(told[0].iter().any(|it| it.starts_with("NodeDeleted /e")), "{told:?}");
}

#[test]
fn a_local_session_goes_on_here_and_nowhere_else() {
    let mut pair = pair(LocalPolicy::Refusing);
    let client = connect(&mut pair);
    pair.handshake(owner(1, 4), client.session);
    let told = pair.turn();
    assert_eq!(told[0], ["0 is to close", "up to 0x0"]);
    assert_eq!(told[1], [format!("4 is {}, 4000 ms", client.session), "up to 0x0".to_owned()]);
    let leader = &mut pair.leader;
    leader.handshake(owner(0, 7), client.session, &jute::password(client.session));
    assert_eq!(leader.turn()[0], ["7 is refused", "up to 0x0"]);
    // Nor does one live on in the next role.
    pair.learner.applier_mut().start_over(20_000);
    assert_eq!(pair.learner.applier().local_count(), 0);
}

#[test]
fn a_silent_local_session_expires_and_its_connection_is_closed() {
    let mut pair = pair(LocalPolicy::Refusing);
    let client = connect(&mut pair);
    let deadline = pair.learner.applier().local_deadline().expect("a session has an end");
    let at = |now_ms| Moment { now_ms, wall_ms: 0 };
    let forward = Forward {
        items: Vec::new(),
        bytes: Vec::new(),
        touched: vec![(client.session, deadline - 1)],
    };
    pair.learner.take(at(deadline - 1), 0, &forward);
    pair.learner.deadline(at(deadline));
    assert_eq!(pair.turn(), Told::default(), "it showed life");
    pair.learner.deadline(at(deadline + 5_000));
    assert_eq!(pair.turn()[0], ["0 is to close", "up to 0x0"]);
    assert_eq!(pair.learner.applier().local_count(), 0);
}

#[test]
fn a_leader_without_local_sessions_refuses_writes_of_sessions_that_it_does_not_know() {
    let mut pair = pair(LocalPolicy::Refusing);
    pair.leader = with(pair.leader, LocalPolicy::Off);
    let client = connect(&mut pair);
    pair.ask(client, 1, create("/a"));
    let told = pair.turn();
    assert!(told[0].contains(&"0: 1 SessionExpired at 0x1".to_owned()), "{told:?}");
}

#[test]
fn a_server_without_a_leader_answers_reads_and_refuses_the_rest() {
    let mut world = World::new();
    let before = world.connect(0, 0);
    world.ask(before, 1, create("/a"));
    world.turn();
    let mut applier = world.pipeline.into_applier();
    applier.set_local(local(LocalPolicy::Off));
    applier.start_over(10_000);
    let mut read_only = ReadOnly::new(applier);
    let moment = Moment { now_ms: 11_000, wall_ms: 0 };
    let mut take = |slot: u32, bytes: &[u8], item: ForwardItem| {
        let forward = Forward { items: vec![item], bytes: bytes.to_vec(), touched: Vec::new() };
        read_only.take(moment, 0, &forward);
        let owner = owner(0, slot);
        let session = read_only.applier().find(owner).map(|it| it.0);
        let told = read_only.applier_mut().deliver(0).map(|it| lines(&it)).unwrap_or_default();
        (session, told)
    };
    let shake = |slot: u32, session: SessionId| ForwardItem::Connect {
        conn: owner(0, slot).conn,
        session,
        password: 0..16,
        timeout_ms: TIMEOUT_MS,
        auth: Arc::default(),
    };
    let (session, told) = take(1, &[0; 16], shake(1, SessionId::NONE));
    let session = session.expect("a session of its own");
    assert_eq!(told[0], format!("1 is {session}, 4000 ms"));
    // A global session lives on where the ensemble is, and one that nobody knows has expired.
    let (_, told) = take(2, &jute::password(before.session), shake(2, before.session));
    assert_eq!(told[0], "2 is to close");
    let unknown = SessionId(0x77);
    let (_, told) = take(3, &jute::password(unknown), shake(3, unknown));
    assert_eq!(told[0], "3 is refused");
    for (xid, (op, body), expected) in [
        (1, get("/a"), "1: 1 Ok at 0x2 new"),
        (2, create("/b"), "1: 2 NotReadOnly at 0x2"),
        (3, set("/a", "x"), "1: 3 NotReadOnly at 0x2"),
        (4, sync("/"), "1: 4 NotReadOnly at 0x2"),
        (5, multi_of_an_ephemeral("/e"), "1: 5 NotReadOnly at 0x2"),
        (6, ping(), "1: 6 Ok at 0x2"),
        (7, close_session(), "1: 7 Ok at 0x2"),
    ] {
        let conn = owner(0, 1).conn;
        let at = 0..body.len() as u32;
        let item = ForwardItem::Request { conn, session, xid: Xid(xid), op, body: at };
        let (_, told) = take(1, &body, item);
        assert_eq!(told[0], expected);
    }
    assert_eq!(read_only.applier().local_count(), 0);
}
