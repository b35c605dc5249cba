//! What entries do to a tree, and what they say of it.

use alloc::format;
use alloc::vec::Vec;

use jute::{
    AclList, Code, CreateRequest, CreateSessionTxn, CreateTtlTxn, CreateTxn, DeleteTxn, EventType,
    Field as _, Op, Record as _, SessionId, SetAclTxn, SetDataTxn, TxnDigest, TxnHeader, Xid, Zxid,
};

use super::{Applied, ApplyError, Effects, Event};
use crate::arena::Memory;
use crate::auth::AuthIds;
use crate::chance::Chance;
use crate::prep::{Prep, Prepared, Request};
use crate::rules::Rules;
use crate::state::{Fuzzy, State};
use crate::tree::{Tree, TreeView};

#[derive(Default)]
struct Body(Vec<u8>);

impl Effects for Body {
    fn reply(&mut self) -> Option<&mut Vec<u8>> {
        Some(&mut self.0)
    }
}

fn state() -> State {
    State::new(Tree::format(Memory::leaked(1 << 18), [1, 2]).expect("as the test has it"))
}

fn apply(state: &mut State, entry: &[u8], effects: &mut impl Effects) -> Applied {
    state.begin();
    let applied = state.apply(entry, effects).expect("as the test has it");
    state.commit(applied.header.zxid);
    applied
}

#[test]
fn a_created_znode_leaves_the_digest_of_the_reference() {
    let mut state = state();
    let session = SessionId(7);
    let mut body = Vec::new();
    CreateSessionTxn { timeout_ms: 4000 }.encode(&mut body);
    let auth = AuthIds::default();
    state.begin();
    state.commit(Zxid(0x1_0000_0000));
    let mut prep = Prep::new(Rules::default(), &state);
    let mut entry = Vec::new();
    let open = Request { session, cxid: Xid(0), op: Op::CreateSession, body: &body, auth: &auth };
    let prepared = prep.prepare(&state, 1, &open, &mut entry);
    assert_eq!(prepared, Prepared::Txn(Zxid(0x1_0000_0001)));
    apply(&mut state, &entry, &mut Body::default());
    prep.applied(Zxid(0x1_0000_0001));
    body.clear();
    let acl = AclList::open();
    CreateRequest { path: Some(b"/a"), data: Some(b"hello"), acl, flags: 0 }.encode(&mut body);
    let create = Request { session, cxid: Xid(1), op: Op::Create, body: &body, auth: &auth };
    entry.clear();
    prep.prepare(&state, 0x1a1_fb4f_44be, &create, &mut entry);
    assert_eq!(entry[entry.len() - 8..], 0x1_a527_1005_i64.to_be_bytes());
    let mut reply = Body::default();
    let applied = apply(&mut state, &entry, &mut reply);
    assert_eq!((applied.code, reply.0.as_slice()), (Code::Ok, b"\0\0\0\x02/a".as_slice()));
    assert_eq!(state.tree().look(TreeView::digest), 0x1_a527_1005);
}

/// Kind, path, ACL, parent's ACL.
type Told = (EventType, Vec<u8>, Vec<u8>, Vec<u8>);

#[derive(Default)]
struct Listener {
    events: Vec<Told>,
    sessions: Vec<(SessionId, i32)>,
}

impl Effects for Listener {
    fn event(&mut self, event: Event<'_>) {
        let Event { kind, path, acl, parent_acl, .. } = event;
        self.events.push((kind, path.to_vec(), acl.to_vec(), parent_acl.to_vec()));
    }
    fn session_opened(&mut self, session: SessionId, timeout_ms: i32) {
        self.sessions.push((session, timeout_ms));
    }
    fn session_closed(&mut self, session: SessionId) {
        self.sessions.push((session, 0));
    }
}

/// An entry of session 7.
fn entry(zxid: i64, op: Op, record: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    let (client, zxid) = (SessionId(7), Zxid(zxid));
    TxnHeader { client, cxid: 1, zxid, time_ms: 1, op: op.number() }.write(&mut out);
    record(&mut out);
    out
}

fn create(zxid: i64, path: &'static [u8], acl: AclList<'_>) -> Vec<u8> {
    let txn = CreateTxn { path, data: None, acl, ephemeral: false, parent_cversion: -1 };
    entry(zxid, Op::Create, |out| txn.write(out))
}

fn delete(zxid: i64, path: &'static [u8]) -> Vec<u8> {
    entry(zxid, Op::Delete, |out| DeleteTxn { path }.write(out))
}

#[test]
fn an_event_carries_the_acls_of_that_moment_unless_anybody_may_read() {
    const LOCKED: &[u8] = b"\0\0\0\x01\0\0\0\x1f\0\0\0\x06digest\0\0\0\x03u:x";
    let locked = AclList::decode(LOCKED).expect("a list");
    let mut state = state();
    let mut told = Listener::default();
    apply(&mut state, &create(1, b"/a", AclList::read_only()), &mut told);
    apply(&mut state, &create(2, b"/l", locked), &mut told);
    apply(&mut state, &create(3, b"/l/x", AclList::open()), &mut told);
    let set = SetDataTxn { path: b"/l", data: None, version: 1 };
    apply(&mut state, &entry(4, Op::SetData, |out| set.write(out)), &mut told);
    apply(&mut state, &delete(5, b"/l/x"), &mut told);
    let acl = SetAclTxn { path: b"/l", acl: AclList::open(), version: 1 };
    apply(&mut state, &entry(6, Op::SetAcl, |out| acl.write(out)), &mut told);
    apply(&mut state, &delete(7, b"/l"), &mut told);
    let (created, deleted, changed) =
        (EventType::NodeCreated, EventType::NodeDeleted, EventType::NodeDataChanged);
    let row = |kind, path: &[u8], acl: &[u8], parent: &[u8]| -> Told {
        (kind, path.to_vec(), acl.to_vec(), parent.to_vec())
    };
    let expected = [
        row(created, b"/a", b"", b""),
        row(created, b"/l", LOCKED, b""),
        row(created, b"/l/x", b"", LOCKED),
        row(changed, b"/l", LOCKED, b""),
        row(deleted, b"/l/x", b"", LOCKED),
        row(deleted, b"/l", b"", b""),
    ];
    assert_eq!(told.events, expected);
}

#[test]
fn sessions_are_told_when_they_begin_and_when_their_ephemerals_have_gone() {
    let mut state = state();
    let mut told = Listener::default();
    let open = CreateSessionTxn { timeout_ms: 4000 };
    apply(&mut state, &entry(1, Op::CreateSession, |out| open.encode(out)), &mut told);
    let (data, acl) = (None, AclList::open());
    let txn = CreateTxn { path: b"/e", data, acl, ephemeral: true, parent_cversion: 1 };
    apply(&mut state, &entry(2, Op::Create, |out| txn.write(out)), &mut told);
    // As a server without closeSessionTxn.enabled writes it: no record.
    apply(&mut state, &entry(3, Op::CloseSession, |_| {}), &mut told);
    assert_eq!(told.sessions, [(SessionId(7), 4000), (SessionId(7), 0)]);
    assert_eq!(told.events.last().map(|it| it.0), Some(EventType::NodeDeleted));
    assert_eq!(state.tree().look(|it| it.find(b"/e")), None);
}

#[test]
fn what_was_done_before_is_an_outcome_and_no_fault() {
    let mut state = state();
    let mut told = Listener::default();
    apply(&mut state, &create(1, b"/a", AclList::open()), &mut told);
    let again = apply(&mut state, &create(2, b"/a", AclList::read_only()), &mut told);
    assert_eq!(again.code, Code::NodeExists);
    let znode = state.tree().look(|it| it.find(b"/a")).expect("it is there");
    let mut acl = Vec::new();
    let id = state.tree().look(|it| it.acl(znode));
    state.tree().look(|it| it.encode_acl(id, &mut acl));
    assert_eq!(AclList::decode(&acl), Ok(AclList::read_only()));
    let root = state.tree().look(TreeView::root);
    let stat = state.tree().look(|it| it.stat(root));
    assert_eq!((stat.cversion, stat.pzxid), (2, 2));
    let gone = apply(&mut state, &delete(3, b"/none"), &mut told);
    assert_eq!(gone.code, Code::NoNode);
    assert_eq!(state.tree().look(|it| it.stat(root)).pzxid, 3);
    assert_eq!(told.events.len(), 1);
}

#[test]
fn an_entry_that_is_none_or_comes_late_is_refused() {
    let refused = |entry: &[u8]| {
        let mut state = state();
        apply(&mut state, &create(4, b"/a", AclList::open()), &mut Listener::default());
        apply(&mut state, &create(5, b"/a/b", AclList::open()), &mut Listener::default());
        state.begin();
        state.apply(entry, &mut Listener::default()).expect_err("it is refused")
    };
    let zxid = Zxid(6);
    let check = entry(6, Op::Check, |out| out.extend([0; 12]));
    assert_eq!(refused(&check), ApplyError::Type { zxid, op: 13 });
    let read = entry(6, Op::GetData, |out| out.extend([0; 12]));
    assert_eq!(refused(&read), ApplyError::Type { zxid, op: 4 });
    let last = Zxid(5);
    assert_eq!(refused(&delete(5, b"/a/b")), ApplyError::Order { zxid: last, last });
    assert_eq!(refused(&delete(6, b"/a")), ApplyError::Children { zxid, count: 1 });
    assert!(matches!(refused(&delete(6, b"/a/b")[..38]), ApplyError::Decode { .. }));
    assert!(matches!(refused(&[1, 2, 3]), ApplyError::Decode { .. }));
    let mut other = delete(6, b"/a/b");
    TxnDigest { version: 2, tree: 1 }.write(&mut other);
    assert!(matches!(refused(&other), ApplyError::Digest { expected: 1, .. }));
    let ttl = CreateTtlTxn {
        path: b"/t",
        data: None,
        acl: AclList::open(),
        parent_cversion: 1,
        ttl_ms: -1,
    };
    let ttl = entry(6, Op::CreateTtl, |out| ttl.write(out));
    assert_eq!(refused(&ttl), ApplyError::Number { zxid, number: -1 });
}

/// Makes entries by chance, with digests, and applies each. Gives them.
fn history(state: &mut State, chance: &mut Chance, count: usize) -> Vec<Vec<u8>> {
    let auth = AuthIds::default();
    let mut prep = Prep::new(Rules::default(), state);
    let mut entries = Vec::new();
    if state.tree().zxid() == Zxid::ZERO {
        let open = CreateSessionTxn { timeout_ms: 4000 };
        entries.push(entry(1, Op::CreateSession, |out| open.encode(out)));
        apply(state, &entries[0], &mut Body::default());
        prep = Prep::new(Rules::default(), state);
    }
    while entries.len() < count {
        let mut path = format!("/{}", chance.below(4));
        for _ in 0..chance.below(3) {
            path += &format!("/{}", chance.below(2));
        }
        let (path, mut body) = (path.as_bytes(), Vec::new());
        let op = match chance.below(5) {
            0 | 1 => Op::Create,
            2 | 3 => Op::Delete,
            _ => Op::SetData,
        };
        match op {
            Op::Create => {
                let acl = if chance.below(2) == 0 { AclList::open() } else { AclList::read_only() };
                CreateRequest { path: Some(path), data: Some(b"x"), acl, flags: 0 }
                    .encode(&mut body);
            }
            Op::Delete => {
                Some(path).write(&mut body);
                (-1_i32).write(&mut body);
            }
            _ => {
                Some(path).write(&mut body);
                Some(b"other".as_slice()).write(&mut body);
                (-1_i32).write(&mut body);
            }
        }
        let (session, cxid) = (SessionId(7), Xid(1));
        let request = Request { session, cxid, op, body: &body, auth: &auth };
        let mut entry = Vec::new();
        let Prepared::Txn(zxid) = prep.prepare(state, 5, &request, &mut entry) else { continue };
        apply(state, &entry, &mut Body::default());
        prep.applied(zxid);
        entries.push(entry);
    }
    entries
}

/// The first number in an entry's path.
fn top(entry: &[u8]) -> u8 {
    entry.get(TxnHeader::LEN + 5).map_or(0, |it| it & 3)
}

#[test]
fn a_fuzzy_tree_is_exact_once_all_that_it_could_be_ahead_by_is_applied() {
    let mut chance = Chance(5);
    let mut cleared = 0;
    for _ in 0..200 {
        let mut exact = state();
        let entries = history(&mut exact, &mut chance, 100);
        let (before, behind) = entries.split_at(20);
        let mut fuzzy = state();
        for entry in before {
            apply(&mut fuzzy, entry, &mut Body::default());
        }
        // As a walk sees it while the tree changes: some parts are later than others.
        let zxid = fuzzy.tree().zxid();
        fuzzy.set_fuzzy(Fuzzy::Yes);
        let parts = chance.below(16) as u8;
        for entry in behind.iter().filter(|it| parts >> top(it) & 1 == 1) {
            apply(&mut fuzzy, entry, &mut Body::default());
        }
        fuzzy.begin();
        fuzzy.commit(zxid);
        let mut fuzzy = State::new(fuzzy.tree);
        fuzzy.set_fuzzy(Fuzzy::Yes);
        for entry in behind {
            let count = fuzzy.tree().look(TreeView::counters).znodes;
            apply(&mut fuzzy, entry, &mut Body::default());
            let after = fuzzy.tree().look(TreeView::counters).znodes;
            cleared += u32::from(after + 1 < count);
        }
        let digest = |it: &State| it.tree().look(TreeView::digest);
        assert_eq!(digest(&fuzzy), digest(&exact));
        fuzzy.set_fuzzy(Fuzzy::No);
        for entry in history(&mut exact, &mut chance, 20) {
            apply(&mut fuzzy, &entry, &mut Body::default());
        }
    }
    assert!(20 < cleared, "only {cleared} deletes met children");
}

#[test]
fn a_tree_that_takes_the_place_of_another_is_all_that_is_left() {
    let mut chance = Chance(9);
    let (mut small, mut large) = (state(), state());
    history(&mut small, &mut chance, 5);
    history(&mut large, &mut chance, 500);
    let seen = |it: &State| {
        let tree = it.tree();
        (tree.zxid(), tree.look(TreeView::digest), tree.headroom(), tree.look(TreeView::counters))
    };
    let (before, after) = (seen(&small), seen(&large));
    let mut third = state();
    third.replace(large.tree()).expect("as the test has it");
    assert_eq!(seen(&third), after);
    third.replace(small.tree()).expect("as the test has it");
    assert_eq!(seen(&third), before);
    // What is written behind it is what is written to the other.
    let entries = history(&mut small, &mut chance, 300);
    for entry in entries {
        apply(&mut third, &entry, &mut Body::default());
    }
    assert_eq!(seen(&third), seen(&small));
}
