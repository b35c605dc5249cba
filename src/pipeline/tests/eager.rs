//! Requests that an ACL forbids, where they are refused before anybody makes a transaction of them.

use engine::rules::EagerAcl;
use jute::SetAclRequest;

use super::learning::Pair;
use super::*;

/// Nobody of these tests is `u`.
const LOCKED: &[u8] = b"\0\0\0\x01\0\0\0\x1f\0\0\0\x06digest\0\0\0\x07u:aaaaa";

fn set_acl(path: &str, acl: AclList<'_>) -> (Op, Vec<u8>) {
    let path = Some(path.as_bytes());
    (Op::SetAcl, encoded(|out| SetAclRequest { path, acl, version: -1 }.encode(out)))
}

fn locked() -> AclList<'static> {
    AclList::decode(LOCKED).expect("a list")
}

impl World {
    /// The same tree, of a leader that looks early.
    fn eager(self) -> Self {
        let Self { pipeline, now_ms } = self;
        let reaping = pipeline.reaping;
        let mut applier = pipeline.into_applier();
        applier.rules.eager_acl = EagerAcl::On;
        Self { pipeline: Pipeline::new(applier, reaping, now_ms), now_ms }
    }
}

#[test]
fn a_leader_refuses_its_own_clients_in_their_order_and_makes_no_transaction_of_it() {
    let mut world = World::new();
    let client = world.connect(0, 1);
    world.ask(client, 1, create("/a"));
    world.turn();
    let mut world = world.eager();
    world.pipeline.applier.open(client.owner, client.session, Arc::default());
    let before = world.zxid();
    // What its tree will be counts: the znode is not locked yet where it is looked at.
    world.ask(client, 2, set_acl("/a", locked()));
    world.ask(client, 3, set("/a", "no"));
    world.ask(client, 4, get("/zookeeper"));
    world.ask(client, 5, set_acl("/nowhere", AclList::decode(&[0; 4]).expect("an empty list")));
    let told = world.turn();
    let after = before + 1;
    let lines = [
        format!("0: 3 NoAuth at {}", jute::Zxid(0)),
        format!("0: 4 Ok at {}", jute::Zxid(after)),
        format!("0: 5 InvalidAcl at {}", jute::Zxid(0)),
    ];
    let lines = lines.map(|it| it.replacen('0', "1", 1));
    assert!(told[0][0].starts_with("1: 2 Ok at"), "{told:?}");
    assert_eq!(told[0][1..4], lines);
    assert_eq!(world.zxid(), after, "one transaction");
}

/// A learner that refuses early, and its client, which has made `/a` and asks that nobody may change it.
fn about_to_be_locked() -> (Pair, Client) {
    let mut pair = Pair::new();
    pair.learner.applier_mut().rules.eager_acl = EagerAcl::On;
    let client = pair.connect(0, 0);
    pair.ask(client, 1, create("/a"));
    pair.turn();
    pair.ask(client, 2, set_acl("/a", locked()));
    (pair, client)
}

#[test]
fn a_learner_refuses_at_once_what_the_leader_then_never_hears_of() {
    let (mut pair, client) = about_to_be_locked();
    pair.turn();
    let before = pair.leader.zxid();
    pair.ask(client, 3, set("/a", "no"));
    pair.ask(client, 4, get("/zookeeper"));
    let told = pair.heard(0);
    assert_eq!(told[0], "0: 3 NoAuth at 0x0");
    assert!(told[1].starts_with("0: 4 Ok at"), "{told:?}");
    let orders: Vec<_> = pair.learner.to_leader().collect();
    let touches =
        |it: &crate::pipeline::ToLeader| matches!(it, crate::pipeline::ToLeader::Touch(_));
    assert!(!orders.is_empty() && orders.iter().all(touches), "it lives: {orders:?}");
    assert_eq!(pair.leader.zxid(), before);
}

#[test]
fn a_learner_leaves_to_the_leader_what_an_earlier_request_could_change() {
    let (mut pair, client) = about_to_be_locked();
    pair.ask(client, 3, set("/a", "no"));
    assert_eq!(pair.heard(0), [""; 0], "nothing overtakes");
    let told = pair.turn();
    assert!(told[0][0].starts_with("0: 2 Ok at"), "{told:?}");
    assert!(told[0][1].starts_with("0: 3 NoAuth at 0x4"), "{told:?}");
    assert!(pair.agree());
}
