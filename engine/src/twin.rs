//! Prep, apply and reads beside a model: random requests, several outstanding at once, compared in every reply, event,
//! digest, and in all of the tree; and the log of it all replayed.

mod generate;
mod model;
mod order;
mod reads;

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use jute::{AclEntry, AclList, Code, Field as _, Op, Perms, SessionId, Xid, Zxid};

use crate::apply::{Effects, Event, Replay};
use crate::arena::Memory;
use crate::auth::{AuthConfig, AuthId, AuthIds};
use crate::chance::Chance;
use crate::prep::{Prep, Prepared, Request};
use crate::rules::{ExtendedTypes, QuotaCheck, Rules};
use crate::state::State;
use crate::tree::{StatPersisted, Tree, TreeView};
use generate::{SESSIONS, random};
use model::{Acl, Do, Happened, Model, Node, Who};

/// What a transaction said beside changing the tree.
#[derive(Debug, Default)]
struct Seen {
    body: Vec<u8>,
    events: Vec<Happened>,
}

impl Effects for Seen {
    fn event(&mut self, event: Event<'_>) {
        let path = String::from_utf8(event.path.to_vec()).expect("as the test has it");
        self.events.push((event.kind, path));
    }
    fn reply(&mut self) -> Option<&mut Vec<u8>> {
        Some(&mut self.body)
    }
}

/// An entry, and what the model expects of it.
struct Expected {
    entry: Vec<u8>,
    result: Result<Vec<u8>, Code>,
    events: Vec<Happened>,
    digest: u64,
}

/// Both sides, and what is on its way.
struct Twin {
    state: State,
    prep: Prep,
    model: Model,
    rules: Rules,
    outstanding: Vec<Expected>,
    log: Vec<Vec<u8>>,
    /// How often each op had each outcome.
    outcomes: BTreeMap<(i32, i32), u32>,
}

fn tree() -> Tree {
    Tree::format(Memory::leaked(1 << 19), [1, 2]).expect("as the test has it")
}

impl Twin {
    fn new(quota: QuotaCheck) -> Self {
        let auth = AuthConfig::default();
        let rules = Rules { auth, extended_types: ExtendedTypes::On, quota, ..Rules::default() };
        let state = State::new(tree());
        let prep = Prep::new(rules.clone(), &state);
        let mut model = Model::new();
        model.enforce = quota == QuotaCheck::On;
        Self {
            state,
            prep,
            model,
            rules,
            outstanding: Vec::new(),
            log: Vec::new(),
            outcomes: BTreeMap::new(),
        }
    }

    /// Both are asked; ours prepares only.
    fn ask(&mut self, who: &Who, what: &Do) {
        let expected = self.model.ask(who, what);
        let (op, body) = generate::encode(what);
        let auth = auth_ids(who);
        let session = SessionId(if matches!(what, Do::Reap { .. }) { 0 } else { who.session });
        let request = Request { session, cxid: Xid(1), op, body: &body, auth: &auth };
        let mut entry = Vec::new();
        let prepared = self.prep.prepare(&self.state, who.now, &request, &mut entry);
        assert_eq!(prepared, Prepared::Txn(Zxid(self.model.zxid)), "{who:?} {what:?}");
        self.prep.check_owned(&self.state.tree);
        let events = self.model.events.clone();
        let events = if expected.is_ok() { events } else { Vec::new() };
        let digest = self.model.digest();
        if expected.is_ok() {
            let tail = &entry[entry.len() - 8..];
            assert_eq!(tail, digest.to_be_bytes(), "{who:?} {what:?}");
        }
        self.outstanding.push(Expected { entry, result: expected, events, digest });
    }

    /// What is outstanding is applied.
    fn settle(&mut self) {
        self.state.begin();
        let mut last = self.state.tree().zxid();
        for Expected { entry, result, mut events, digest } in self.outstanding.drain(..) {
            let mut seen = Seen::default();
            let applied = self.state.apply(&entry, &mut seen).expect("as the test has it");
            last = applied.header.zxid;
            let got = if applied.code == Code::Ok { Ok(seen.body) } else { Err(applied.code) };
            let op = Op::from_number(applied.header.op);
            assert_eq!(got, result, "{op:?} at {last}");
            let outcome = (applied.header.op, applied.code.number());
            *self.outcomes.entry(outcome).or_default() += 1;
            if op == Some(Op::CloseSession) {
                events.sort_by(|a, b| a.1.cmp(&b.1));
                seen.events.sort_by(|a, b| a.1.cmp(&b.1));
            }
            assert_eq!(seen.events, events, "{op:?} at {last}");
            assert_eq!(self.state.tree().look(TreeView::digest), digest, "{op:?} at {last}");
            self.log.push(entry);
        }
        self.state.commit(last);
        self.prep.applied(last);
        assert_eq!(self.prep.outstanding(), 0);
    }

    /// All of our tree is all of the model's.
    fn compare(&self) {
        assert_eq!(dump(self.state.tree()), self.model.nodes);
        let sessions = self.state.tree().look(TreeView::session_count);
        assert_eq!(sessions as usize, self.model.sessions.len());
    }

    /// The log alone makes the same tree.
    fn replay(&self) {
        let mut state = State::new(tree());
        state.begin();
        for entry in &self.log {
            state.apply(entry, &mut Replay).expect("as the test has it");
        }
        state.commit(Zxid(self.model.zxid));
        assert_eq!(dump(state.tree()), self.model.nodes);
        let digest = |tree: &Tree| tree.look(TreeView::digest);
        assert_eq!(digest(state.tree()), digest(self.state.tree()));
        let loaded = State::new(state.tree);
        assert_eq!(loaded.perishables().len(), state.perishables.len());
        assert_eq!(loaded.quotas().len(), state.quotas.len());
    }
}

fn auth_ids(who: &Who) -> AuthIds {
    let id = |it: &(String, String)| AuthId {
        scheme: it.0.clone().into_bytes(),
        id: it.1.clone().into_bytes(),
    };
    AuthIds { ids: who.auth.iter().map(id).collect() }
}

/// The whole tree, as the model keeps it.
fn dump(tree: &Tree) -> BTreeMap<String, Node> {
    let mut nodes = BTreeMap::new();
    let root = tree.look(TreeView::root);
    let mut next = Some(root);
    while let Some(znode) = next {
        let (mut path, mut data, mut acl) = (Vec::new(), Vec::new(), Vec::new());
        tree.look(|it| it.path(znode, &mut path));
        let len = tree.look(|it| it.data(znode, &mut data));
        let id = tree.look(|it| it.acl(znode));
        tree.look(|it| it.encode_acl(id, &mut acl));
        let stat: StatPersisted = tree.look(|it| it.stat(znode));
        let node = Node {
            data: len.map(|_| data),
            acl: entries(AclList::decode(&acl).expect("as the test has it")),
            xids: [stat.czxid, stat.mzxid, stat.pzxid],
            times: [stat.ctime, stat.mtime],
            versions: [stat.version, stat.cversion, stat.aversion],
            owner: stat.owner.raw(),
        };
        nodes.insert(String::from_utf8(path).expect("as the test has it"), node);
        next = tree.look(|it| it.next_below(root, znode));
    }
    nodes
}

fn entries(list: AclList<'_>) -> Acl {
    let text = |bytes: Option<&[u8]>| {
        String::from_utf8(bytes.expect("as the test has it").to_vec()).expect("as the test has it")
    };
    let entry = |it: AclEntry<'_>| (it.perms.0, text(it.scheme), text(it.id));
    list.iter().map(entry).collect()
}

fn encode_acl(acl: &Acl, out: &mut Vec<u8>) {
    (acl.len() as i32).write(out);
    for (perms, scheme, id) in acl {
        let perms = Perms(*perms);
        AclEntry { perms, scheme: Some(scheme.as_bytes()), id: Some(id.as_bytes()) }.write(out);
    }
}

/// A quota on /a, of 3 znodes and 40 bytes.
fn set_quota(twin: &mut Twin) {
    let auth = [("super".to_string(), String::new())].to_vec();
    let who = Who { session: SESSIONS[0], now: 1, auth };
    let limits = "count=-1,bytes=-1=;byteHardLimit=40;countHardLimit=3";
    let znodes = [("", ""), ("/zookeeper_limits", limits), ("/zookeeper_stats", "count=0,bytes=0")];
    for (name, text) in znodes {
        let path = "/zookeeper/quota/a".to_string() + name;
        let (data, acl) = (Some(text.as_bytes().to_vec()), model::anyone(31));
        twin.ask(&who, &Do::Create { op: 1, path, data, acl, flags: 0, ttl: -1 });
    }
}

fn run(seed: u64, steps: u64, depth: u64, quota: QuotaCheck) -> BTreeMap<(i32, i32), u32> {
    let mut chance = Chance(seed);
    let mut twin = Twin::new(quota);
    for session in SESSIONS {
        let who = Who { session, now: 1, auth: Vec::new() };
        twin.ask(&who, &Do::Open { timeout: 4000 });
    }
    if chance.below(2) == 0 {
        set_quota(&mut twin);
    }
    for _ in 0..steps {
        for _ in 0..=chance.below(depth) {
            let (who, what) = random(&mut chance, &twin.model);
            twin.ask(&who, &what);
        }
        twin.settle();
        reads::compare(&mut chance, &twin);
        if chance.below(20) == 0 {
            twin.compare();
        }
    }
    twin.compare();
    twin.replay();
    twin.outcomes
}

fn run_all(seeds: core::ops::Range<u64>, steps: u64, depth: u64, quota: QuotaCheck) {
    let mut outcomes: BTreeMap<(i32, i32), u32> = BTreeMap::new();
    for seed in seeds {
        for (outcome, count) in run(seed, steps, depth, quota) {
            *outcomes.entry(outcome).or_default() += count;
        }
    }
    for op in [1, 2, 5, 7, 14, 15, 19, 20, 21, -10, -11] {
        let count = outcomes.get(&(op, 0)).copied().unwrap_or(0);
        assert!(10 < count, "op {op} went through {count} times");
    }
    for code in [-8, -101, -102, -103, -108, -110, -111, -112, -114, -123, -125] {
        let count = outcomes.get(&(-1, code)).copied().unwrap_or(0);
        let reachable = code != -125 || quota == QuotaCheck::On;
        assert!(!reachable || 10 < count, "code {code} came {count} times");
    }
}

#[test]
fn random_requests_one_by_one_are_the_models() {
    run_all(0..40, 300, 1, QuotaCheck::On);
}

#[test]
fn random_requests_with_others_outstanding_are_the_models() {
    run_all(100..140, 60, 12, QuotaCheck::Off);
}
