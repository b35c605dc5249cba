//! Batches, and the order in which they are answered.

use std::sync::Arc;

use engine::auth::AuthIds;
use jute::{AclEntry, EventType, Field as _, Op, Perms, Record as _, SetAclRequest};
use net::message::ForwardItem;

use super::*;

#[test]
fn a_batch_is_what_came_while_the_one_before_was_being_written() {
    let mut world = World::new();
    let client = world.connect(0, 0);
    world.ask(client, 1, create("/a"));
    let first = world.pipeline.next_batch().expect("a request waits");
    assert_eq!(first.count(), 1);
    for xid in 2..7 {
        world.ask(client, xid, set("/a", "later"));
    }
    world.finish(first);
    let second = world.pipeline.next_batch().expect("five wait");
    assert_eq!(second.count(), 5);
    world.finish(second);
    assert!(world.pipeline.next_batch().is_none(), "a batch of nothing");
}

#[test]
fn a_batch_may_be_written_before_the_one_before_is_applied() {
    let mut world = World::new();
    let client = world.connect(0, 0);
    world.ask(client, 1, create("/a"));
    let first = world.pipeline.next_batch().expect("a request waits");
    world.ask(client, 2, create("/a/b"));
    assert!(world.pipeline.has_transactions());
    let second = world.pipeline.next_batch().expect("another waits");
    assert!(!world.pipeline.has_transactions());
    world.finish(first);
    assert_eq!((world.seen("/a/b"), world.zxid()), ("none".into(), 2));
    world.finish(second);
    assert_eq!(world.zxid(), 3);
    assert_ne!(world.seen("/a/b"), "none");
}

#[test]
fn answers_come_in_the_order_of_the_requests_whatever_becomes_of_them() {
    let mut world = World::new();
    let client = world.connect(0, 0);
    let asked = [
        create("/a"),
        ping(),
        delete("/none"),
        get("/a"),
        nonsense(),
        set("/a", "one"),
        sync("/a"),
        get("/none"),
        get("/a"),
        close_session(),
    ];
    for (xid, request) in asked.into_iter().enumerate() {
        world.ask(client, xid as i32, request);
    }
    let told = world.turn();
    let expected = [
        "NodeCreated /a at 0x2",
        "0: 0 Ok at 0x2 /a",
        "0: 1 Ok at 0x2",
        "0: 2 NoNode at 0x3",
        "0: 3 Ok at 0x3 new",
        "0: 4 MarshallingError at 0x3",
        "NodeDataChanged /a at 0x4",
        "0: 5 Ok at 0x4",
        "0: 6 Ok at 0x4 /a",
        "0: 7 NoNode at 0x4",
        "0: 8 Ok at 0x4 one",
        "0: 9 Ok at 0x5",
        "up to 0x5",
    ];
    assert_eq!(told[0], expected);
    assert_eq!(told[1], ["NodeCreated /a at 0x2", "NodeDataChanged /a at 0x4", "up to 0x5"]);
}

#[test]
fn requests_of_two_shards_are_one_order_and_each_shard_hears_its_own_answers() {
    let mut world = World::new();
    let (one, two) = (world.connect(0, 3), world.connect(1, 3));
    world.ask(one, 1, create("/a"));
    world.ask(two, 1, create("/a"));
    world.ask(two, 2, set("/a", "two"));
    world.ask(one, 2, get("/a"));
    let told = world.turn();
    let (created, changed) = ("NodeCreated /a at 0x3", "NodeDataChanged /a at 0x5");
    let to_one = [created, "3: 1 Ok at 0x3 /a", changed, "3: 2 Ok at 0x5 two", "up to 0x5"];
    let to_two = [created, "3: 1 NodeExists at 0x4", changed, "3: 2 Ok at 0x5", "up to 0x5"];
    assert_eq!(told, [to_one, to_two]);
}

#[test]
fn an_event_comes_before_every_reply_that_shows_its_change() {
    let mut world = World::new();
    let (writer, reader) = (world.connect(0, 0), world.connect(1, 0));
    world.ask(writer, 1, create("/a"));
    world.ask(reader, 1, get("/a"));
    let told = world.turn();
    assert_eq!(told[0], ["NodeCreated /a at 0x3", "0: 1 Ok at 0x3 /a", "up to 0x3"]);
    assert_eq!(told[1], ["NodeCreated /a at 0x3", "0: 1 Ok at 0x3 new", "up to 0x3"]);
}

#[test]
fn watches_set_again_are_compared_with_the_tree_at_their_place() {
    let mut world = World::new();
    let client = world.connect(0, 0);
    world.ask(client, 1, create("/a"));
    world.turn();
    let set_again = || {
        let mut body = 2_i64.to_be_bytes().to_vec();
        for _ in ["data", "exist", "child"] {
            body.extend(b"\0\0\0\x01\0\0\0\x02/a");
        }
        (Op::SetWatches, body)
    };
    for (xid, request) in
        (2..).zip([set_again(), set("/a", "x"), set_again(), delete("/a"), set_again()])
    {
        world.ask(client, xid, request);
    }
    let batch = world.pipeline.next_batch().expect("requests wait");
    world.pipeline.durable(world.moment(), batch);
    let deliver = world.pipeline.applier_mut().deliver(0).expect("answers");
    world.pipeline.publish();
    let bodies: Vec<_> = deliver.items.iter().filter_map(|item| body_of(&deliver, item)).collect();
    let created = EventType::NodeCreated as u8;
    let [deleted, changed] =
        [EventType::NodeDeleted, EventType::NodeDataChanged].map(|it| it as u8);
    assert_eq!(bodies, [[0, created, 0], [changed, created, 0], [deleted, 0, deleted]]);
}

/// The body of a reply to setWatches.
fn body_of<'a>(deliver: &'a Deliver, item: &DeliverItem) -> Option<&'a [u8]> {
    let DeliverItem::Reply { xid, body, .. } = item else { return None };
    (xid.0 % 2 == 0).then(|| &deliver.bytes[body.start as usize..body.end as usize])
}

#[test]
fn nothing_is_said_or_seen_of_a_write_before_it_is_durable() {
    let mut world = World::new();
    let client = world.connect(0, 0);
    world.ask(client, 1, create("/a"));
    world.ask(client, 2, get("/a"));
    let batch = world.pipeline.next_batch().expect("a request waits");
    world.pass(100);
    assert_eq!([world.heard(0), world.heard(1)], [vec![], vec![]] as [Vec<String>; 2]);
    assert_eq!((world.seen("/a"), world.zxid()), ("none".into(), 1));
    world.finish(batch);
    assert_eq!((world.seen("/a"), world.zxid()), ("new".into(), 2));
}

#[test]
fn messages_are_ready_before_readers_see_the_change() {
    let mut world = World::new();
    let client = world.connect(0, 0);
    world.ask(client, 1, create("/a"));
    let batch = world.pipeline.next_batch().expect("a request waits");
    world.pipeline.durable(world.moment(), batch);
    assert_eq!(world.seen("/a"), "torn");
    assert_eq!(world.heard(1), ["NodeCreated /a at 0x2", "up to 0x2"]);
    assert_eq!(world.seen("/a"), "torn");
    world.pipeline.publish();
    assert_eq!(world.seen("/a"), "new");
}

#[test]
fn after_a_write_that_never_becomes_durable_nothing_is_written_answered_or_seen() {
    let mut world = World::new();
    let client = world.connect(0, 0);
    world.ask(client, 1, create("/a"));
    drop(world.pipeline.next_batch());
    for xid in 2..5 {
        world.ask(client, xid, get("/"));
        world.ask(client, xid, create("/b"));
        world.handshake(owner(1, 0), SessionId::NONE, &[]);
        assert_eq!([world.heard(0), world.heard(1)], Told::default());
        assert_eq!((world.seen("/a"), world.zxid()), ("none".into(), 1));
    }
}

#[test]
fn a_read_sees_the_writes_before_it_and_none_behind_it() {
    let mut world = World::new();
    let client = world.connect(0, 0);
    world.ask(client, 1, create("/a"));
    for xid in [2, 4, 6] {
        world.ask(client, xid, set("/a", &format!("value {xid}")));
        world.ask(client, xid + 1, get("/a"));
    }
    world.ask(client, 8, delete("/a"));
    world.ask(client, 9, get("/a"));
    let told = world.turn();
    let reads: Vec<_> = told[0].iter().filter(|it| it.contains("value")).collect();
    let expected = ["0: 3 Ok at 0x3 value 2", "0: 5 Ok at 0x4 value 4", "0: 7 Ok at 0x5 value 6"];
    assert_eq!(reads, expected);
    assert!(told[0].contains(&"0: 9 NoNode at 0x6".to_string()), "{told:?}");
}

#[test]
fn answers_alone_need_no_write_and_move_nothing() {
    let mut world = World::new();
    let client = world.connect(0, 0);
    for (xid, request) in [ping(), get("/none"), sync("/"), nonsense()].into_iter().enumerate() {
        world.ask(client, xid as i32, request);
    }
    let batch = world.pipeline.next_batch().expect("four wait");
    assert!(batch.is_empty());
    let told = world.finish(batch);
    let expected = [
        "0: 0 Ok at 0x1",
        "0: 1 NoNode at 0x1",
        "0: 2 Ok at 0x1 /",
        "0: 3 MarshallingError at 0x1",
        "up to 0x1",
    ];
    assert_eq!(told, [&expected[..], &[]]);
    assert_eq!(world.zxid(), 1);
}

#[test]
fn a_shard_that_hears_nothing_else_hears_that_the_tree_has_moved() {
    let mut world = World::new();
    let client = world.connect(0, 0);
    world.ask(client, 1, set("/none", ""));
    assert_eq!(world.turn()[1], ["up to 0x2"]);
    assert_eq!(world.heard(1), Vec::<String>::new(), "once");
}

#[test]
fn a_connection_that_has_gone_is_no_longer_listened_to() {
    let mut world = World::new();
    let client = world.connect(0, 0);
    world.gone(client.owner);
    world.ask(client, 1, create("/a"));
    world.ask(client, 2, get("/"));
    assert!(world.pipeline.next_batch().is_none());
    let stranger = Client { owner: owner(1, 7), session: client.session };
    world.ask(stranger, 1, create("/a"));
    let other = world.connect(1, 0);
    world.ask(Client { session: client.session, ..other }, 1, create("/a"));
    assert!(world.pipeline.next_batch().is_none(), "a request for somebody else's session");
}

#[test]
fn what_a_connection_asked_before_it_went_is_done() {
    let mut world = World::new();
    let client = world.connect(0, 0);
    world.ask(client, 1, create("/a"));
    world.ask(client, 2, get("/a"));
    world.gone(client.owner);
    world.turn();
    assert_eq!(world.seen("/a"), "new");
}

#[test]
fn ids_that_a_connection_gains_hold_for_what_it_asks_from_then_on() {
    let mut world = World::new();
    let client = world.connect(0, 0);
    let entry = AclEntry { perms: Perms::ALL, scheme: Some(b"digest"), id: Some(b"u:x") };
    let list = encoded(|out| {
        1_i32.write(out);
        entry.write(out);
    });
    let (path, acl) = (Some(b"/a".as_slice()), AclList::decode(&list).expect("a list"));
    let guard = encoded(|out| SetAclRequest { path, acl, version: -1 }.encode(out));
    world.ask(client, 1, create("/a"));
    world.ask(client, 2, (Op::SetAcl, guard));
    world.ask(client, 3, set("/a", "mine"));
    world.ask(client, 4, get("/a"));
    let told = world.turn();
    assert!(told[0].contains(&"0: 3 NoAuth at 0x4".to_string()), "{told:?}");
    assert!(told[0].contains(&"0: 4 NoAuth at 0x4".to_string()), "{told:?}");
    let mut ids = AuthIds::default();
    ids.add(b"digest", b"u:x");
    let conn = client.owner.conn;
    world.take(0, &[], ForwardItem::Auth { conn, auth: Arc::new(ids) });
    world.ask(client, 5, set("/a", "mine"));
    world.ask(client, 6, get("/a"));
    let told = world.turn();
    let changed = "NodeDataChanged /a at 0x5";
    assert_eq!(told[0], [changed, "0: 5 Ok at 0x5", "0: 6 Ok at 0x5 mine", "up to 0x5"]);
}
