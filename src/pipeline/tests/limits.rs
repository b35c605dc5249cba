//! What is bounded, what is held back, and what goes by the clock.

use engine::prep::Room;

use super::super::applier::DIGESTS_MAX;
use super::super::{BATCH_BYTES_MAX, EXPIRED_PER_TURN_MAX};
use super::*;

#[test]
fn a_batch_that_is_full_takes_no_more_until_it_is_on_its_way() {
    let mut world = World::new();
    let client = world.connect(0, 0);
    let large = "x".repeat(BATCH_BYTES_MAX / 4);
    for xid in 0..4 {
        assert!(world.pipeline.has_room(), "before the {xid}th");
        world.ask(client, xid, set("/none", &large));
    }
    // Failed requests are small transactions.
    assert!(world.pipeline.has_room());
    world.ask(client, 4, create("/a"));
    for xid in 5..9 {
        assert!(world.pipeline.has_room(), "before the {xid}th");
        world.ask(client, xid, set("/a", &large));
    }
    assert!(!world.pipeline.has_room());
    let batch = world.pipeline.next_batch().expect("nine wait");
    assert!(world.pipeline.has_room());
    world.finish(batch);
}

#[test]
fn reads_that_wait_fill_a_batch_too() {
    let mut world = World::new();
    let client = world.connect(0, 0);
    let (op, mut body) = get("/");
    body.resize(BATCH_BYTES_MAX / 2, 0);
    for xid in 0..2 {
        assert!(world.pipeline.has_room());
        world.ask(client, xid, (op, body.clone()));
    }
    assert!(!world.pipeline.has_room());
    assert_eq!(world.turn()[0].len(), 3);
    assert!(world.pipeline.has_room());
}

#[test]
fn many_sessions_that_expire_at_once_leave_room_for_others() {
    let mut world = World::new();
    let count = EXPIRED_PER_TURN_MAX + 44;
    for slot in 0..count as u32 {
        world.handshake(owner(0, slot), SessionId::NONE, &[]);
    }
    world.turn();
    assert_eq!(world.pipeline.applier().sessions().len(), count);
    world.pass(4_500);
    assert_eq!(world.pipeline.applier().sessions().len(), 44);
    assert!(world.pipeline.next_deadline() <= world.now_ms, "the rest is due at once");
    world.pass(0);
    assert!(world.pipeline.applier().sessions().is_empty());
}

#[test]
fn sessions_that_expire_with_a_batch_full_of_paths_each_end_in_turns_of_their_own() {
    let memory = Memory::leaked(1 << 22);
    let tree = Tree::format(memory, [1, 2]).expect("a region of a good size");
    let mut world = World::on(State::new(tree));
    let clients: Vec<_> = (0..3).map(|slot| world.connect(0, slot)).collect();
    for (number, client) in clients.into_iter().enumerate() {
        for xid in 0..5 {
            let path = format!("/{}-{number}-{xid}", "x".repeat(BATCH_BYTES_MAX / 4));
            world.ask(client, xid, ephemeral(&path));
            world.turn();
        }
    }
    for left in [2, 1, 0] {
        world.pass(if left == 2 { 4_500 } else { 0 });
        assert_eq!(world.pipeline.applier().sessions().len(), left);
    }
}

#[test]
fn a_session_with_a_hundred_thousand_long_ephemerals_ends_in_one_transaction() {
    let memory = Memory::leaked(1 << 23);
    let tree = Tree::format(memory, [1, 2]).expect("a region of a good size");
    let mut world = World::on(State::new(tree));
    let client = world.connect(0, 0);
    let parent = format!("/{}", "x".repeat(180));
    world.ask(client, 0, create(&parent));
    for xid in 1..=100_000 {
        world.ask(client, xid, ephemeral(&format!("{parent}/of-the-session-{xid:06}")));
        if !world.pipeline.has_room() {
            world.turn();
        }
    }
    world.turn();
    world.ask(client, 100_001, close_session());
    let batch = world.pipeline.next_batch().expect("the end of a session");
    let len = batch.len_bytes();
    // All the paths, and less than a follower takes in one packet.
    assert!((200 * 100_000..64 << 20).contains(&len), "{len}");
    world.finish(batch);
    assert!(world.pipeline.applier().sessions().is_empty());
    let tree = world.pipeline.applier().state().tree();
    let children = tree.look(|view| {
        let parent = view.find(parent.as_bytes())?;
        parent.map(|it| view.child_count(it)).transpose()
    });
    assert_eq!(children, Some(0));
}

#[test]
fn containers_that_are_empty_go_one_by_one_at_their_pace() {
    let mut world = World::new();
    let client = world.connect(0, 0);
    for path in ["/a", "/b", "/c", "/d"] {
        world.ask(client, 1, container(path));
        world.ask(client, 2, create(&format!("{path}/child")));
        world.ask(client, 3, delete(&format!("{path}/child")));
    }
    world.ask(client, 4, create("/d/child"));
    world.turn();
    let there = |world: &World| ["/a", "/b", "/c", "/d"].map(|path| world.seen(path) == "new");
    assert_eq!(world.pass(999), Told::default());
    assert_eq!(world.pass(1), Told::default(), "now they are found");
    assert_eq!(world.pass(99), Told::default());
    assert_eq!(world.pass(1)[1], ["NodeDeleted /a at 0xf", "up to 0xf"]);
    assert_eq!(world.pass(99), Told::default());
    assert_eq!(there(&world), [false, true, true, true]);
    // One that is in use again is left.
    world.ask(client, 5, create("/b/child"));
    assert_eq!(world.pass(1)[1], ["NodeCreated /b/child at 0x10", "up to 0x11"]);
    assert_eq!(world.pass(100)[1], ["NodeDeleted /c at 0x12", "up to 0x12"]);
    assert_eq!(there(&world), [false, true, false, true]);
}

#[test]
fn without_room_what_grows_is_refused_in_its_place() {
    let mut world = World::new();
    let client = world.connect(0, 0);
    world.ask(client, 1, create("/a"));
    world.turn();
    world.pipeline.set_room(Room::Tight);
    let asked = [create("/b"), get("/a"), delete("/a"), create("/c")];
    for (request, xid) in asked.into_iter().zip(2..) {
        world.ask(client, xid, request);
    }
    let expected = [
        "0: 2 OperationTimeout at 0x2",
        "0: 3 Ok at 0x2 new",
        "NodeDeleted /a at 0x3",
        "0: 4 Ok at 0x3",
        "0: 5 OperationTimeout at 0x3",
        "up to 0x3",
    ];
    assert_eq!(world.turn()[0], expected);
    world.pipeline.set_room(Room::Ample);
    world.ask(client, 6, create("/b"));
    assert_eq!(world.turn()[0][1], "0: 6 Ok at 0x4 /b");
}

#[test]
fn the_digest_is_kept_of_every_128th_transaction_and_of_the_last_thousand() {
    let mut world = World::new();
    let client = world.connect(0, 0);
    world.ask(client, 1, create("/a"));
    for _ in 2..=128 * (DIGESTS_MAX + 2) {
        world.ask(client, 2, set("/none", ""));
        if world.pipeline.filling.steps.len() == 1 << 12 {
            world.turn();
        }
    }
    world.turn();
    let kept: Vec<_> = world.pipeline.applier().digests().collect();
    let expected = world.pipeline.applier().state().tree().look(TreeView::digest);
    let zxids: Vec<_> = (3..DIGESTS_MAX as i64 + 3).map(|it| jute::Zxid(128 * it)).collect();
    assert_eq!(kept, zxids.into_iter().map(|it| (it, expected)).collect::<Vec<_>>());
}

#[test]
fn what_is_outstanding_is_counted() {
    let mut world = World::new();
    let client = world.connect(0, 0);
    let outstanding = |world: &World| {
        let figures = world.pipeline.applier().figures();
        figures.outstanding_changes_queued - figures.outstanding_changes_removed
    };
    world.ask(client, 1, create("/a"));
    world.ask(client, 2, get("/a"));
    world.ask(client, 3, nonsense());
    let batch = world.pipeline.next_batch().expect("three wait");
    world.ask(client, 4, set("/a", "one"));
    assert_eq!(outstanding(&world), 2);
    world.finish(batch);
    assert_eq!(outstanding(&world), 1);
    world.turn();
    assert_eq!(outstanding(&world), 0);
    assert_eq!(world.pipeline.prep.outstanding(), 0);
}

#[test]
fn what_one_turn_asks_beyond_a_full_batch_goes_into_those_behind_it() {
    let mut world = World::new();
    let clients = [1, 2, 3].map(|slot| world.connect(0, slot));
    for (number, &client) in clients.iter().enumerate() {
        for xid in 0..20 {
            world.ask(client, xid, ephemeral(&format!("/{number}-{xid:0>60}")));
        }
    }
    world.turn();
    world.pipeline.batch_bytes_max = 1_000;
    let before = world.zxid();
    // One turn: three ends of more than that each, the first twice, and a read behind one of them.
    let (op, body) = get("/zookeeper");
    let (none, all) = (0..0, 0..body.len() as u32);
    let end = |at: usize| (clients[at], Op::CloseSession, none.clone());
    let asked = [end(0), (clients[1], op, all), end(1), end(2)];
    let items = asked.into_iter().map(|(Client { owner, session }, op, body)| {
        let conn = owner.conn;
        ForwardItem::Request { conn, session, xid: Xid(30), op, body }
    });
    let forward = Forward { items: items.collect(), bytes: body, touched: Vec::new() };
    world.pipeline.take(world.moment(), 0, &forward);
    assert_eq!((world.pipeline.filled(), world.pipeline.has_room()), (3, false));
    let mut batches = Vec::new();
    while let Some(batch) = world.pipeline.next_batch() {
        assert!(1_000 < batch.len_bytes() && batch.len_bytes() < 2_000, "one end is in it");
        batches.push(batch);
    }
    assert_eq!(batches.len(), 3);
    assert_eq!((world.pipeline.filled(), world.pipeline.has_room()), (0, true));
    let told: Vec<_> = batches.into_iter().flat_map(|it| world.finish(it)[0].clone()).collect();
    let answers: Vec<_> =
        told.iter().filter(|it| it.contains(": 30 ")).map(|it| &it[..8]).collect();
    assert_eq!(answers, ["1: 30 Ok", "2: 30 Ok", "2: 30 Ok", "3: 30 Ok"]);
    assert_eq!(world.zxid(), before + 3);
    assert_eq!(told.iter().filter(|it| it.starts_with("NodeDeleted")).count(), 60);
}

#[test]
fn what_learners_ask_beyond_a_full_batch_goes_into_those_behind_it_too() {
    let mut pair = learning::Pair::new();
    let client = pair.connect(0, 0);
    pair.leader.pipeline.batch_bytes_max = 300;
    for xid in 1..9 {
        pair.ask(client, xid, create(&format!("/{}", "a".repeat(100))));
    }
    pair.forward();
    let mut counts = Vec::new();
    while pair.leader.pipeline.has_transactions() {
        let batch = pair.leader.pipeline.next_batch().expect("it has some");
        counts.push(batch.count());
        pair.leader.finish(batch);
    }
    // The first is made, the others are refused, which is as good a transaction.
    assert_eq!(counts.iter().sum::<u32>(), 8);
    assert!(1 < counts.len(), "{counts:?}");
}
