//! What a transaction costs: nanoseconds to prepare and to apply, one thread, no disk.
//!
//! `cargo run --release -p engine --example txn_cost [znodes]`
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

use std::time::Instant;

use engine::apply::Effects;
use engine::arena::Memory;
use engine::auth::AuthIds;
use engine::prep::{Prep, Prepared, Request};
use engine::read::{ReadRequest, serve};
use engine::rules::Rules;
use engine::state::State;
use engine::tree::Tree;
use jute::{
    AclList, CreateRequest, CreateSessionTxn, Op, PathWatchRequest, Record as _, SessionId,
    SetDataRequest, Xid, Zxid,
};

const SESSION: SessionId = SessionId(0x0100_0000_0000_0001);
const BATCH: usize = 256;
const DATA: [u8; 100] = [b'd'; 100];

#[derive(Default)]
struct Reply(Vec<u8>);

impl Effects for Reply {
    fn reply(&mut self) -> Option<&mut Vec<u8>> {
        Some(&mut self.0)
    }
}

struct Bench {
    state: State,
    prep: Prep,
    auth: AuthIds,
    prepare_ns: u128,
    apply_ns: u128,
}

#[expect(clippy::disallowed_methods, reason = "a program that measures")]
fn now() -> Instant {
    Instant::now()
}

impl Bench {
    /// Prepares and applies requests in batches; gives nanoseconds each.
    fn run(&mut self, op: Op, bodies: &[Vec<u8>]) -> (u128, u128) {
        (self.prepare_ns, self.apply_ns) = (0, 0);
        let mut entries = Vec::new();
        let mut ends = Vec::new();
        let mut reply = Reply::default();
        for batch in bodies.chunks(BATCH) {
            entries.clear();
            ends.clear();
            let start = now();
            let mut last = Zxid::ZERO;
            for body in batch {
                let auth = &self.auth;
                let request = Request { session: SESSION, cxid: Xid(1), op, body, auth };
                let prepared = self.prep.prepare(&self.state, 1, &request, &mut entries);
                let Prepared::Txn(zxid) = prepared else { panic!("{prepared:?}") };
                last = zxid;
                ends.push(entries.len());
            }
            self.prepare_ns += start.elapsed().as_nanos();
            let start = now();
            self.state.begin();
            let mut from = 0;
            for &end in &ends {
                reply.0.clear();
                let applied = self.state.apply(&entries[from..end], &mut reply);
                applied.expect("what was prepared can be applied");
                from = end;
            }
            self.state.commit(last);
            self.prep.applied(last);
            self.apply_ns += start.elapsed().as_nanos();
        }
        let count = bodies.len() as u128;
        (self.prepare_ns / count, self.apply_ns / count)
    }
}

fn main() {
    let count = std::env::args().nth(1).map_or(1_000_000, |it| it.parse().expect("a number"));
    let tree = Tree::format(Memory::leaked(count * 64 + (1 << 20)), [1, 2]);
    let state = State::new(tree.expect("a region of a good size"));
    let prep = Prep::new(Rules::default(), &state);
    let mut bench = Bench { state, prep, auth: AuthIds::default(), prepare_ns: 0, apply_ns: 0 };
    let encoded = |record: &dyn Fn(&mut Vec<u8>)| {
        let mut body = Vec::new();
        record(&mut body);
        body
    };
    let session = encoded(&|out| CreateSessionTxn { timeout_ms: 4000 }.encode(out));
    bench.run(Op::CreateSession, &[session]);
    let path = |i: usize| format!("/bench/node-{i:08}");
    let create = |path: &str| {
        encoded(&|out| {
            let (path, data, acl) = (Some(path.as_bytes()), Some(DATA.as_slice()), AclList::open());
            CreateRequest { path, data, acl, flags: 0 }.encode(out);
        })
    };
    bench.run(Op::Create, &[create("/bench")]);
    let creates: Vec<_> = (0..count).map(|i| create(&path(i))).collect();
    let (prepare, apply) = bench.run(Op::Create, &creates);
    println!("create   prepare {prepare:5} ns  apply {apply:5} ns");
    let order = |i: usize| (i * 7_368_787) % count;
    let sets: Vec<_> = (0..count)
        .map(|i| {
            let path = path(order(i));
            encoded(&|out| {
                let (path, data) = (Some(path.as_bytes()), Some(DATA.as_slice()));
                SetDataRequest { path, data, version: -1 }.encode(out);
            })
        })
        .collect();
    let (prepare, apply) = bench.run(Op::SetData, &sets);
    println!("setData  prepare {prepare:5} ns  apply {apply:5} ns");
    let gets: Vec<_> = (0..count)
        .map(|i| {
            let path = path(order(i));
            encoded(&|out| {
                PathWatchRequest { path: Some(path.as_bytes()), watch: false }.encode(out);
            })
        })
        .collect();
    let rules = Rules::default();
    let mut out = Vec::new();
    let start = now();
    for body in &gets {
        out.clear();
        let request = ReadRequest { op: Op::GetData, body, session: SESSION, auth: &bench.auth };
        let served = serve(bench.state.tree().view(), &rules, &request, &mut out);
        assert!(served.is_ok(), "nobody writes");
    }
    println!("getData  {:5} ns", start.elapsed().as_nanos() / count as u128);
}
