//! Sessions: made, closed, expired, taken up again, and taken over.

use super::*;

#[test]
fn a_session_is_a_transaction_and_is_told_when_that_is_durable() {
    let mut world = World::new();
    world.handshake(owner(1, 4), SessionId::NONE, &[]);
    let batch = world.pipeline.next_batch().expect("a handshake waits");
    assert_eq!((batch.count(), world.pipeline.applier().sessions().len()), (1, 0));
    assert_eq!(world.heard(1), Vec::<String>::new());
    let told = world.finish(batch);
    assert_eq!(told, [vec!["up to 0x1"], vec!["4 is 0x100, 4000 ms", "up to 0x1"]]);
    let tree = world.pipeline.applier().state().tree();
    let known = tree.look(|it| it.session(SessionId(0x100))).expect("it is in the tree");
    assert_eq!(known.timeout_ms, 4_000);
}

#[test]
fn requests_that_follow_a_handshake_at_once_are_done_behind_it() {
    let mut world = World::new();
    world.handshake(owner(0, 0), SessionId::NONE, &[]);
    let client = Client { owner: owner(0, 0), session: SessionId(0x100) };
    world.ask(client, 1, ephemeral("/e"));
    let told = world.turn();
    let created = "NodeCreated /e at 0x2";
    assert_eq!(told[0], ["0 is 0x100, 4000 ms", created, "0: 1 Ok at 0x2 /e", "up to 0x2"]);
}

#[test]
fn a_wrong_password_is_refused_and_harms_nobody() {
    let mut world = World::new();
    let client = world.connect(0, 0);
    let mut wrong = jute::password(client.session);
    wrong[15] ^= 1;
    for password in [&wrong[..], &wrong[..15], &[]] {
        // On the shard that has the session, and on another.
        for shard in 0..SHARDS {
            world.handshake(owner(shard, 1), client.session, password);
            let told = world.turn();
            assert_eq!(told[shard], ["1 is refused", "up to 0x1"]);
            assert!(told[1 - shard].len() <= 1, "the other shard hears of it: {told:?}");
        }
    }
    world.ask(Client { owner: owner(0, 1), ..client }, 1, create("/a"));
    assert!(world.pipeline.next_batch().is_none());
    world.ask(client, 1, create("/b"));
    assert_eq!(world.turn()[0][1], "0: 1 Ok at 0x2 /b");
}

#[test]
fn a_session_that_never_was_or_has_ended_is_refused() {
    let mut world = World::new();
    world.reopen(owner(0, 1), SessionId(0x77));
    assert_eq!(world.turn()[0], ["1 is refused", "up to 0x0"]);
    let client = world.connect(0, 0);
    world.ask(client, 1, close_session());
    world.turn();
    world.reopen(owner(0, 1), client.session);
    assert_eq!(world.turn()[0], ["1 is refused", "up to 0x2"]);
}

#[test]
fn that_a_session_is_over_waits_for_a_quorum_as_a_sync_does() {
    let mut world = World::new();
    world.reopen(owner(0, 1), SessionId(0x77));
    world.reopen(owner(1, 1), SessionId(0x78));
    assert_eq!(world.pipeline.syncs(), 2);
    let batch = world.pipeline.next_batch().expect("two refusals wait");
    assert_eq!(world.pipeline.awaited_sync(), 2);
    world.finish(batch);
    // Whoever has no right to a session is told so by anybody.
    let client = world.connect(0, 0);
    world.handshake(owner(0, 2), client.session, &[0; 16]);
    assert_eq!(world.turn()[0], ["2 is refused", "up to 0x1"]);
    assert_eq!(world.pipeline.syncs(), 2);
}

#[test]
fn a_refusal_waits_for_its_place() {
    let mut world = World::new();
    let client = world.connect(0, 0);
    world.ask(client, 1, create("/a"));
    world.reopen(owner(0, 1), SessionId(0x77));
    world.ask(client, 2, ping());
    let created = "NodeCreated /a at 0x2";
    let expected = [created, "0: 1 Ok at 0x2 /a", "1 is refused", "0: 2 Ok at 0x2", "up to 0x2"];
    assert_eq!(world.turn()[0], expected);
}

#[test]
fn a_connection_whose_session_went_on_with_another_is_answered_all_that_it_asked_before() {
    let mut world = World::new();
    let before = world.connect(0, 0);
    world.ask(before, 1, create("/a"));
    world.ask(before, 2, get("/a"));
    world.ask(before, 3, set("/a", "x"));
    let after = world.reopen(owner(0, 1), before.session);
    world.ask(before, 4, set("/a", "y"));
    world.ask(after, 5, get("/a"));
    let expected = [
        "NodeCreated /a at 0x2",
        "0: 1 Ok at 0x2 /a",
        "0: 2 Ok at 0x2 new",
        "NodeDataChanged /a at 0x3",
        "0: 3 Ok at 0x3",
        "0 is to close",
        "1 is 0x100, 4000 ms",
        "1: 5 Ok at 0x3 x",
        "up to 0x3",
    ];
    assert_eq!(world.turn()[0], expected);
}

#[test]
fn a_session_that_comes_back_has_its_ephemerals() {
    let mut world = World::new();
    let before = world.connect(0, 0);
    world.ask(before, 1, ephemeral("/e"));
    world.turn();
    world.gone(before.owner);
    let after = world.reopen(owner(1, 5), before.session);
    // Nobody is told to close what has gone.
    assert_eq!(world.turn(), [vec![], vec!["5 is 0x100, 4000 ms", "up to 0x2"]]);
    assert_eq!((world.seen("/e"), world.zxid()), ("new".into(), 2));
    world.ask(after, 2, close_session());
    world.turn();
    assert_eq!(world.seen("/e"), "none");
}

#[test]
fn the_timeout_is_what_the_last_connection_asked_for() {
    let mut world = World::new();
    let client = world.connect(0, 0);
    let (conn, password) = (owner(0, 1).conn, jute::password(client.session));
    let auth = Arc::new(AuthIds::default());
    let session = client.session;
    let connect = ForwardItem::Connect { conn, session, password: 0..16, timeout_ms: 9_000, auth };
    world.take(0, &password, connect);
    let told = world.turn();
    assert_eq!(told[0], ["0 is to close", "1 is 0x100, 9000 ms", "up to 0x1"]);
    world.pass(8_000);
    assert!(world.pipeline.applier().sessions().is_open(session));
    world.pass(2_000);
    assert!(!world.pipeline.applier().sessions().is_open(session));
}

#[test]
fn a_second_connection_closes_the_first_behind_its_answers() {
    let mut world = World::new();
    let first = world.connect(0, 0);
    world.ask(first, 1, create("/a"));
    let second = world.reopen(owner(1, 0), first.session);
    world.ask(second, 2, set("/a", "two"));
    world.ask(first, 3, set("/a", "one"));
    world.ask(first, 4, get("/a"));
    let told = world.turn();
    let (created, changed) = ("NodeCreated /a at 0x2", "NodeDataChanged /a at 0x3");
    let to_first = [created, "0: 1 Ok at 0x2 /a", "0 is to close", changed, "up to 0x3"];
    let to_second = [created, "0 is 0x100, 4000 ms", changed, "0: 2 Ok at 0x3", "up to 0x3"];
    assert_eq!(told, [to_first, to_second]);
    assert_eq!(world.seen("/a"), "two");
}

#[test]
fn the_end_of_the_first_connection_is_not_that_of_the_second() {
    let mut world = World::new();
    let first = world.connect(0, 0);
    let second = world.reopen(owner(1, 0), first.session);
    world.turn();
    world.gone(first.owner);
    assert_eq!(
        world.pipeline.applier().sessions().owner(first.session),
        Some(&Home::Here(second.owner))
    );
    // A slot that is used again is another connection.
    let third = world.connect(0, 0);
    world.gone(Owner { shard: 0, conn: ConnId { slot: 0, generation: 9 } });
    world.ask(third, 1, ping());
    assert_eq!(world.turn()[0], ["0: 1 Ok at 0x2", "up to 0x2"]);
}

#[test]
fn a_session_ends_with_its_ephemerals_and_is_answered_last() {
    let mut world = World::new();
    let (client, other) = (world.connect(0, 0), world.connect(0, 1));
    world.ask(client, 1, ephemeral("/e"));
    world.ask(other, 1, ephemeral("/f"));
    world.turn();
    world.ask(client, 2, close_session());
    let told = world.turn();
    assert_eq!(told[0], ["NodeDeleted /e at 0x5", "0: 2 Ok at 0x5", "up to 0x5"]);
    assert_eq!((world.seen("/e"), world.seen("/f")), ("none".into(), "new".into()));
    assert_eq!(world.pipeline.applier().sessions().len(), 1);
    let tree = world.pipeline.applier().state().tree();
    assert!(tree.look(|it| it.session(client.session)).is_none());
}

#[test]
fn a_session_that_is_ending_cannot_be_taken_up() {
    let mut world = World::new();
    let client = world.connect(0, 0);
    world.ask(client, 1, close_session());
    world.reopen(owner(1, 0), client.session);
    let told = world.turn();
    assert_eq!(told, [vec!["0: 1 Ok at 0x2", "up to 0x2"], vec!["0 is refused", "up to 0x2"]]);
}

#[test]
fn a_silent_session_expires_with_its_ephemerals_and_its_connection() {
    let mut world = World::new();
    let (client, other) = (world.connect(0, 0), world.connect(1, 0));
    world.ask(client, 1, ephemeral("/e"));
    world.turn();
    world.now_ms += 4_000;
    world.ask(other, 1, ping());
    world.pass(0);
    assert!(world.pipeline.applier().sessions().is_open(client.session), "a tick early");
    assert!(world.pipeline.next_deadline() <= world.now_ms + 500);
    let told = world.pass(500);
    assert_eq!(told[0], ["NodeDeleted /e at 0x4", "0 is to close", "up to 0x4"]);
    assert_eq!(told[1], ["NodeDeleted /e at 0x4", "up to 0x4"]);
    assert_eq!(world.seen("/e"), "none");
    assert!(world.pipeline.applier().sessions().is_open(other.session));
    world.ask(client, 2, create("/a"));
    assert!(world.pipeline.next_batch().is_none(), "a connection that is closed asks");
    world.reopen(owner(0, 1), client.session);
    assert_eq!(world.turn()[0], ["1 is refused", "up to 0x4"]);
    assert_eq!(world.pipeline.applier().figures().stale_sessions_expired, 1);
}

#[test]
fn requests_of_a_session_whose_end_is_on_its_way_fail() {
    let mut world = World::new();
    let client = world.connect(0, 0);
    world.now_ms += 5_000;
    world.pipeline.deadline(world.moment());
    world.ask(client, 1, create("/a"));
    let told = world.turn();
    assert_eq!(told[0], ["0 is to close", "0: 1 SessionExpired at 0x3", "up to 0x3"]);
    assert_eq!(world.seen("/a"), "none");
}

#[test]
fn a_session_that_was_heard_of_elsewhere_lives_on() {
    let mut world = World::new();
    let client = world.connect(0, 0);
    for _ in 0..10 {
        world.now_ms += 3_000;
        // Its shard has answered a read of it by itself, a second ago.
        let touched = vec![(client.session, world.now_ms - 1_000)];
        let forward = Forward { touched, ..Forward::default() };
        world.pipeline.take(world.moment(), 0, &forward);
        world.pass(0);
    }
    assert!(world.pipeline.applier().sessions().is_open(client.session));
    world.pass(4_000);
    assert!(!world.pipeline.applier().sessions().is_open(client.session));
}

#[test]
fn a_session_whose_client_went_during_the_handshake_expires() {
    let mut world = World::new();
    world.handshake(owner(0, 0), SessionId::NONE, &[]);
    world.gone(owner(0, 0));
    world.turn();
    assert_eq!(world.pipeline.applier().sessions().owner(SessionId(0x100)), None);
    assert_eq!(world.pass(4_500)[0], ["up to 0x2"]);
    assert!(world.pipeline.applier().sessions().is_empty());
}

#[test]
fn when_the_server_starts_every_session_has_its_whole_timeout() {
    let mut world = World::new();
    let client = world.connect(0, 0);
    world.ask(client, 1, ephemeral("/e"));
    world.turn();
    let Applier { state, .. } = world.pipeline.into_applier();
    let mut world = World::on(state);
    world.pass(4_000);
    assert_eq!(world.seen("/e"), "new");
    let client = world.reopen(owner(0, 0), client.session);
    assert_eq!(world.turn()[0], ["0 is 0x100, 4000 ms", "up to 0x2"]);
    world.gone(client.owner);
    world.pass(4_500);
    assert_eq!(world.seen("/e"), "none");
}

#[test]
fn an_id_in_use_is_not_given_again_when_the_clock_has_gone_back() {
    let mut world = World::new();
    world.connect(0, 0);
    let Applier { state, .. } = world.pipeline.into_applier();
    let mut world = World::on(state);
    assert_eq!(world.connect(0, 0).session, SessionId(0x101));
}
