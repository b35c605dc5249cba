//! A learner and its leader: what clients ask at the one becomes transactions at the other, and comes back.

use jute::Zxid;
use quorum::wire::Touch;
use quorum::zab::{Link, Validity};

use super::super::{Learning, Mode, RemoteRequest, ToLeader};
use super::*;

pub(super) const LINK: Link = Link(7);

/// A leader with clients of its own, and a learner with its own.
pub(super) struct Pair {
    pub(super) leader: World,
    pub(super) learner: Learning,
    /// Transactions that the leader has decided and the learner has not heard of.
    decided: Vec<Vec<u8>>,
}

impl Pair {
    pub(super) fn new() -> Self {
        let memory = Memory::leaked(1 << 18);
        let state = State::new(Tree::format(memory, [1, 2]).expect("a region of a good size"));
        let seed = MapSeed { low: 1, high: 2 };
        // Ids of another server: they never meet the leader's.
        let sessions = SessionTracker::new(TICK_MS, SessionId(0x900), seed);
        let rules = Rules { extended_types: ExtendedTypes::On, ..Rules::default() };
        let applier = Applier::new(state, rules, sessions, SHARDS, 10_000);
        Self { leader: World::new(), learner: Learning::new(applier), decided: Vec::new() }
    }

    fn take(&mut self, shard: usize, bytes: &[u8], item: ForwardItem) {
        let forward = Forward { items: vec![item], bytes: bytes.to_vec(), touched: Vec::new() };
        self.learner.take(self.leader.moment(), shard, &forward);
    }

    pub(super) fn ask(&mut self, client: Client, xid: i32, (op, body): (Op, Vec<u8>)) {
        let Client { owner, session } = client;
        let at = 0..body.len() as u32;
        let item = ForwardItem::Request { conn: owner.conn, session, xid: Xid(xid), op, body: at };
        self.take(owner.shard, &body, item);
    }

    pub(super) fn handshake(&mut self, owner: Owner, session: SessionId) {
        let password = jute::password(session);
        let item = ForwardItem::Connect {
            conn: owner.conn,
            session,
            password: 0..password.len() as u32,
            timeout_ms: TIMEOUT_MS,
            auth: Arc::default(),
        };
        self.take(owner.shard, &password, item);
    }

    /// What the learner wants arrives at the leader. The numbers of syncs, which the leader's machine answers.
    pub(super) fn forward(&mut self) -> Vec<u64> {
        let moment = self.leader.moment();
        let mut syncs = Vec::new();
        let orders: Vec<_> = self.learner.to_leader().collect();
        for order in orders {
            let pipeline = &mut self.leader.pipeline;
            match order {
                ToLeader::Request { session, cxid, op, body, auth } => {
                    let remote = RemoteRequest { session, cxid, op, body: &body, auth: &auth };
                    pipeline.take_remote(moment, LINK, &remote);
                }
                ToLeader::Sync { id, .. } => syncs.push(id),
                ToLeader::Touch(touch) => pipeline.touched(moment, touch),
                ToLeader::Revalidate(touch) => {
                    if let Some(valid) = pipeline.revalidate(moment, LINK, touch) {
                        self.learner.session_is(moment, touch.session, valid);
                    }
                }
            }
        }
        syncs
    }

    /// The leader decides what it has.
    fn decide(&mut self) -> Told {
        let Some(batch) = self.leader.pipeline.next_batch() else { return Told::default() };
        self.decided.extend(batch.records().map(|(_, entry)| entry.to_vec()));
        self.leader.finish(batch)
    }

    /// The learner applies what is decided: what each of its shards is told.
    fn apply(&mut self) -> Told {
        let moment = self.leader.moment();
        if !self.decided.is_empty() {
            self.learner.begin();
            for entry in self.decided.drain(..) {
                self.learner.decided(moment, &entry);
            }
            self.learner.end();
        }
        let told = [0, 1].map(|shard| self.heard(shard));
        if told.iter().any(|it| !it.is_empty()) && self.learner.applier().owes_publish() {
            self.learner.publish();
        }
        told
    }

    pub(super) fn heard(&mut self, shard: usize) -> Vec<String> {
        let told = self.learner.applier_mut().deliver(shard);
        told.map(|it| lines(&it)).unwrap_or_default()
    }

    pub(super) fn turn(&mut self) -> Told {
        self.forward();
        self.decide();
        self.apply()
    }

    pub(super) fn connect(&mut self, shard: usize, slot: u32) -> Client {
        let owner = owner(shard, slot);
        self.handshake(owner, SessionId::NONE);
        self.turn();
        let session = self.learner.applier().find(owner).map(|(session, _)| session);
        Client { owner, session: session.expect("a connection that has its session") }
    }

    /// Both trees are one.
    pub(super) fn agree(&self) -> bool {
        let of = |applier: &Applier| {
            let tree = applier.state().tree();
            (tree.zxid(), tree.look(TreeView::digest))
        };
        of(self.leader.pipeline.applier()) == of(self.learner.applier())
    }
}

#[test]
fn a_session_at_a_learner_is_a_transaction_of_the_leader() {
    let mut pair = Pair::new();
    pair.handshake(owner(1, 4), SessionId::NONE);
    pair.forward();
    assert_eq!(pair.apply(), Told::default(), "nothing is told before it is decided");
    pair.decide();
    let told = pair.apply();
    assert_eq!(told, [vec!["up to 0x1"], vec!["4 is 0x900, 4000 ms", "up to 0x1"]]);
    assert!(pair.leader.pipeline.applier().sessions().is_open(SessionId(0x900)));
    assert!(pair.agree());
}

#[test]
fn a_learners_clients_are_answered_in_their_order_whatever_they_ask() {
    let mut pair = Pair::new();
    let client = pair.connect(0, 0);
    pair.ask(client, 1, create("/a"));
    pair.ask(client, 2, get("/a"));
    pair.ask(client, 3, create("/a"));
    pair.ask(client, 4, ping());
    assert_eq!(pair.apply(), Told::default(), "a read waits for the write before it");
    let told = pair.turn();
    let lines = [
        "NodeCreated /a at 0x2",
        "0: 1 Ok at 0x2 /a",
        "0: 2 Ok at 0x2 new",
        "0: 3 NodeExists at 0x3",
        "0: 4 Ok at 0x3",
        "up to 0x3",
    ];
    assert_eq!(told[0], lines);
    assert!(pair.agree());
}

#[test]
fn a_request_that_is_no_transaction_is_answered_at_a_learner_too() {
    let mut pair = Pair::new();
    let client = pair.connect(0, 0);
    pair.ask(client, 1, nonsense());
    pair.ask(client, 2, create("/a"));
    let told = pair.turn();
    assert!(told[0][0].starts_with("0: 1 MarshallingError at 0x2"), "{told:?}");
    assert!(told[0].contains(&"0: 2 Ok at 0x3 /a".to_owned()), "{told:?}");
    assert!(pair.agree());
}

#[test]
fn a_sync_waits_for_the_leader_and_what_follows_waits_for_it() {
    let mut pair = Pair::new();
    let client = pair.connect(0, 0);
    let other = pair.connect(0, 1);
    pair.ask(client, 1, sync("/"));
    pair.ask(client, 2, get("/zookeeper"));
    pair.ask(other, 1, get("/zookeeper"));
    let syncs = pair.forward();
    assert_eq!(syncs, [1]);
    assert_eq!(pair.heard(0), ["1: 1 Ok at 0x2", "up to 0x0"], "others do not wait");
    pair.learner.synced(1);
    assert_eq!(pair.heard(0), ["0: 1 Ok at 0x2 /", "0: 2 Ok at 0x2", "up to 0x0"]);
}

#[test]
fn a_session_that_moves_is_cut_off_where_it_was() {
    let mut pair = Pair::new();
    let client = pair.leader.connect(0, 3);
    pair.decided.clear();
    pair.handshake(owner(1, 5), client.session);
    pair.forward();
    assert_eq!(pair.heard(1)[0], format!("5 is {}, {TIMEOUT_MS} ms", client.session));
    assert_eq!(pair.leader.heard(0)[0], "3 is to close");
    pair.leader.ask(client, 9, create("/late"));
    assert!(pair.leader.pipeline.next_batch().is_none(), "its old connection has no say");
    // And back: the learner's connection has none then.
    pair.leader.reopen(owner(0, 6), client.session);
    pair.leader.turn();
    let there = Client { owner: owner(1, 5), session: client.session };
    pair.ask(there, 1, create("/there"));
    pair.forward();
    let batch = pair.leader.pipeline.next_batch().expect("an error is a transaction");
    pair.leader.finish(batch);
    assert_eq!(pair.leader.seen("/there"), "none");
}

#[test]
fn what_was_asked_before_a_session_moved_is_refused_though_its_last_connection_has_gone() {
    let mut pair = Pair::new();
    let client = pair.connect(1, 5);
    // It is on its way to the leader for long.
    pair.ask(client, 1, create("/late"));
    let second = pair.leader.reopen(owner(0, 6), client.session);
    pair.leader.ask(second, 2, create("/first"));
    pair.decide();
    pair.leader.gone(second.owner);
    pair.forward();
    pair.decide();
    assert_eq!(pair.leader.seen("/late"), "none");
    // Who goes on with the session at the learner is heard again.
    pair.handshake(owner(1, 6), client.session);
    pair.forward();
    pair.ask(Client { owner: owner(1, 6), session: client.session }, 3, create("/again"));
    pair.turn();
    assert_eq!(pair.leader.seen("/again"), "new");
}

#[test]
fn what_the_connection_before_asks_behind_a_handshake_is_not_forwarded() {
    let mut pair = Pair::new();
    let client = pair.connect(1, 5);
    // The learner has not heard that the first connection has gone.
    pair.handshake(owner(1, 6), client.session);
    pair.ask(client, 1, create("/late"));
    pair.turn();
    assert_eq!(pair.leader.seen("/late"), "none");
    pair.ask(Client { owner: owner(1, 6), session: client.session }, 2, create("/first"));
    pair.turn();
    assert_eq!(pair.leader.seen("/first"), "new");
}

#[test]
fn a_session_that_goes_on_at_the_same_learner_is_cut_off_from_its_first_connection() {
    let mut pair = Pair::new();
    let client = pair.connect(1, 5);
    pair.handshake(owner(1, 6), client.session);
    pair.forward();
    let told = ["5 is to close".to_owned(), format!("6 is {}, {TIMEOUT_MS} ms", client.session)];
    assert_eq!(pair.heard(1)[..2], told);
}

#[test]
fn an_answer_for_a_connection_that_has_gone_gives_it_no_session() {
    let mut pair = Pair::new();
    let client = pair.leader.connect(0, 3);
    pair.decided.clear();
    let gone = owner(1, 5);
    pair.handshake(gone, client.session);
    pair.take(1, &[], ForwardItem::Gone { conn: gone.conn });
    // Whoever asks next waits for an answer of its own.
    pair.handshake(owner(1, 6), client.session);
    pair.forward();
    assert_eq!(pair.heard(1)[0], format!("6 is {}, {TIMEOUT_MS} ms", client.session));
    assert!(pair.learner.applier().find(gone).is_none());
    let home = pair.learner.applier().sessions().owner(client.session);
    assert_eq!(home, Some(&Home::Here(owner(1, 6))));
    // A new session whose client has gone before it was made.
    pair.handshake(gone, SessionId::NONE);
    pair.take(1, &[], ForwardItem::Gone { conn: gone.conn });
    pair.forward();
    pair.decide();
    pair.apply();
    assert!(pair.learner.applier().find(gone).is_none());
}

/// Observers' links, at the follower that they hear.
const OBSERVERS: [Link; 2] = [Link(21), Link(22)];

#[test]
fn what_was_asked_at_an_observer_before_its_session_moved_to_its_follower_is_not_passed_on() {
    let mut pair = Pair::new();
    let client = pair.connect(1, 5);
    let may =
        |pair: &Pair, link: usize, op| pair.learner.may_pass(OBSERVERS[link], client.session, op);
    // To an observer: what it asked here comes too late.
    pair.learner.moves_to(OBSERVERS[0], client.session);
    assert_eq!(pair.heard(1)[0], "5 is to close");
    pair.ask(client, 1, create("/late"));
    pair.turn();
    assert_eq!(pair.leader.seen("/late"), "none");
    assert!(may(&pair, 0, Op::SetData) && !may(&pair, 1, Op::SetData));
    // To another observer.
    pair.learner.moves_to(OBSERVERS[1], client.session);
    assert!(!may(&pair, 0, Op::SetData) && may(&pair, 1, Op::SetData));
    // Here: from the question on, and for good, be that connection gone too.
    let here = owner(1, 6);
    pair.handshake(here, client.session);
    assert!(!may(&pair, 1, Op::SetData));
    pair.forward();
    assert_eq!(pair.heard(1)[0], format!("6 is {}, {TIMEOUT_MS} ms", client.session));
    pair.take(1, &[], ForwardItem::Gone { conn: here.conn });
    assert!(!may(&pair, 0, Op::SetData) && !may(&pair, 1, Op::SetData));
    // Answers to syncs have no numbers, so that none may be missing; an end comes when it comes.
    assert!(may(&pair, 1, Op::Sync) && may(&pair, 1, Op::CloseSession));
    pair.learner.moves_to(OBSERVERS[1], client.session);
    assert!(may(&pair, 1, Op::SetData));
}

#[test]
fn a_handshake_that_waits_is_given_up_when_its_session_moves_to_an_observer() {
    let mut pair = Pair::new();
    let client = pair.connect(1, 5);
    pair.handshake(owner(1, 6), client.session);
    pair.learner.moves_to(OBSERVERS[0], client.session);
    pair.forward();
    assert_eq!(pair.heard(1)[..2], ["5 is to close", "6 is to close"]);
    assert!(pair.learner.may_pass(OBSERVERS[0], client.session, Op::SetData));
}

#[test]
fn of_two_handshakes_of_a_session_the_last_goes_on_with_it() {
    let mut pair = Pair::new();
    let client = pair.connect(1, 5);
    let (first, last) = (owner(1, 6), owner(1, 7));
    pair.handshake(first, client.session);
    pair.handshake(last, client.session);
    pair.forward();
    let told = pair.heard(1);
    assert!(told.contains(&"6 is to close".to_owned()), "nobody else ends it: {told:?}");
    assert!(told.contains(&format!("7 is {}, {TIMEOUT_MS} ms", client.session)), "{told:?}");
    assert!(pair.learner.applier().find(first).is_none());
}

#[test]
fn a_session_that_has_ended_is_refused_at_a_learner() {
    let mut pair = Pair::new();
    pair.handshake(owner(0, 0), SessionId(0x77));
    pair.forward();
    assert_eq!(pair.heard(0)[0], "0 is refused");
}

#[test]
fn a_wrong_password_is_refused_without_the_leader() {
    let mut pair = Pair::new();
    let item = ForwardItem::Connect {
        conn: owner(0, 0).conn,
        session: SessionId(0x77),
        password: 0..3,
        timeout_ms: TIMEOUT_MS,
        auth: Arc::default(),
    };
    pair.take(0, b"bad", item);
    assert_eq!(pair.learner.to_leader().count(), 0);
    assert_eq!(pair.heard(0)[0], "0 is refused");
}

#[test]
fn a_learners_session_lives_as_long_as_its_touches_reach_the_leader() {
    let mut pair = Pair::new();
    let client = pair.connect(0, 0);
    let touch = Touch { session: client.session, timeout_ms: TIMEOUT_MS };
    for _ in 0..3 {
        pair.leader.pass(3_000);
        pair.leader.pipeline.touched(pair.leader.moment(), touch);
    }
    assert!(pair.leader.pipeline.applier().sessions().is_open(client.session));
    pair.leader.now_ms += 5_000;
    pair.leader.pipeline.deadline(pair.leader.moment());
    pair.decide();
    let told = pair.apply();
    assert_eq!(told[0][0], "0 is to close");
    let moment = pair.leader.moment();
    assert_eq!(pair.leader.pipeline.revalidate(moment, LINK, touch), Some(Validity::Expired));
    assert!(pair.agree());
}

#[test]
fn nothing_is_ordered_behind_the_end_of_an_epochs_counter() {
    let mut world = World::new();
    world.pipeline.begin_epoch(Zxid(0x5_ffff_fffb));
    let client = world.connect(0, 0);
    for (xid, path) in (1..).zip(["/a", "/b", "/c", "/d", "/e"]) {
        world.ask(client, xid, create(path));
    }
    world.ask(client, 6, get("/a"));
    world.handshake(owner(1, 1), SessionId::NONE, &[]);
    let told = world.turn();
    let last = |zxid| format!("up to {:#x}", 0x5_ffff_ff00_i64 + zxid);
    assert_eq!(told[0].last(), Some(&last(0xfe)));
    let said = |word: &str| told.iter().flatten().filter(|it| it.contains(word)).count();
    assert_eq!(said("Ok"), 3, "three creates are answered, and nothing behind them: {told:?}");
    assert_eq!(said(" ms"), 0, "{told:?}");
    // Nor is a session expired, nor a znode reaped; and of none is it said that it is over.
    assert_eq!(world.pass(60_000), Told::default());
    assert_eq!(world.zxid(), 0x5_ffff_fffe);
    let touch = Touch { session: client.session, timeout_ms: TIMEOUT_MS };
    assert_eq!(world.pipeline.revalidate(world.moment(), LINK, touch), None);
}

#[test]
fn a_leaders_first_transaction_begins_its_epoch() {
    let mut world = World::new();
    world.pipeline.begin_epoch(Zxid((5 << 32) + 1));
    let client = world.connect(0, 0);
    world.ask(client, 1, create("/a"));
    world.turn();
    assert_eq!(world.zxid(), (5 << 32) + 2);
}

#[test]
fn nobody_is_told_of_a_transaction_that_leaves_another_tree_than_it_should() {
    let mut pair = Pair::new();
    pair.learner.applier_mut().set_mode(Mode::Follower);
    let client = pair.connect(0, 0);
    for (xid, path) in (1..).zip(["/a", "/b", "/c"]) {
        pair.ask(client, xid, create(path));
    }
    pair.forward();
    pair.decide();
    // The last bytes are the digest.
    let digest = pair.decided[1].last_mut().expect("an entry");
    *digest ^= 1;
    let moment = pair.leader.moment();
    pair.learner.begin();
    for entry in pair.decided.drain(..) {
        pair.learner.decided(moment, &entry);
    }
    pair.learner.end();
    let diverged = pair.learner.applier().diverged().expect("another tree");
    assert!(
        diverged.to_string().starts_with("transaction 0x3: the tree's digest is"),
        "{diverged}"
    );
    assert!(pair.learner.applier().owes_publish(), "readers do not see it either");
    let mut applier = pair.learner.into_applier();
    applier.start_over(moment.now_ms);
    applier.tell_all(|| DeliverItem::Stop);
    let told = applier.deliver(0).map(|it| lines(&it)).unwrap_or_default();
    assert!(!told.iter().any(|it| it.contains("Ok")), "{told:?}");
}
