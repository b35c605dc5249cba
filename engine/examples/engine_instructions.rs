//! Transactions, reads and watches, to have their instructions counted: `bench/instructions` runs `engine_instructions CASE COUNT`.
//!
//! All on a tree of 1,000 znodes with 100 bytes each below one parent, and what `COUNT` creates add.
#![expect(clippy::print_stdout, reason = "lists its cases")]

use std::hint::black_box;

use engine::apply::Effects;
use engine::arena::Memory;
use engine::auth::AuthIds;
use engine::map::MapSeed;
use engine::prep::{Prep, Prepared, Request};
use engine::read::{ReadRequest, serve};
use engine::rules::Rules;
use engine::state::State;
use engine::tree::Tree;
use engine::watch::{WatchKind, WatchTable, Watcher};
use jute::{
    AclList, CreateRequest, CreateSessionTxn, DeleteRequest, EventType, Op, PathWatchRequest,
    Record as _, SessionId, SetDataRequest, Xid, Zxid,
};

const SESSION: SessionId = SessionId(0x0100_0000_0000_0001);
const BATCH: usize = 64;
const ZNODES: usize = 1_000;
const DATA: [u8; 100] = [b'd'; 100];
const CASES: &str = "prep-create create prep-set set delete get exists get-children watch-trigger";

#[derive(Default)]
struct Reply(Vec<u8>);

impl Effects for Reply {
    fn reply(&mut self) -> Option<&mut Vec<u8>> {
        Some(&mut self.0)
    }
}

struct Server {
    state: State,
    prep: Prep,
    auth: AuthIds,
}

fn path(i: usize) -> String {
    format!("/bench/n{i:010}")
}

fn create(path: &str) -> Vec<u8> {
    let (path, data, acl) = (Some(path.as_bytes()), Some(DATA.as_slice()), AclList::open());
    let mut out = Vec::new();
    CreateRequest { path, data, acl, flags: 0 }.encode(&mut out);
    out
}

fn set(i: usize) -> Vec<u8> {
    let path = path(i);
    let (path, data) = (Some(path.as_bytes()), Some(DATA.as_slice()));
    let mut out = Vec::new();
    SetDataRequest { path, data, version: -1 }.encode(&mut out);
    out
}

fn delete(i: usize) -> Vec<u8> {
    let path = path(i);
    let mut out = Vec::new();
    DeleteRequest { path: Some(path.as_bytes()), version: -1 }.encode(&mut out);
    out
}

fn read(path: &str) -> Vec<u8> {
    let mut out = Vec::new();
    PathWatchRequest { path: Some(path.as_bytes()), watch: false }.encode(&mut out);
    out
}

impl Server {
    fn new(count: usize) -> Self {
        let words = (ZNODES + count) * 64 + (1 << 20);
        let tree = Tree::format(Memory::leaked(words), [1, 2]).expect("a region of a good size");
        let state = State::new(tree);
        let prep = Prep::new(Rules::default(), &state);
        let mut server = Self { state, prep, auth: AuthIds::default() };
        let mut session = Vec::new();
        CreateSessionTxn { timeout_ms: 4000 }.encode(&mut session);
        server.write(Op::CreateSession, 1, |_| session.clone());
        server.write(Op::Create, 1, |_| create("/bench"));
        server.write(Op::Create, ZNODES, |i| create(&path(i)));
        server
    }

    /// Prepares a batch, and gives the end of each one's entries, and the last transaction.
    fn prepare(&mut self, op: Op, bodies: &[Vec<u8>], entries: &mut Vec<u8>) -> (Vec<usize>, Zxid) {
        let mut last = Zxid::ZERO;
        let mut ends = Vec::with_capacity(BATCH);
        for body in bodies {
            let request = Request { session: SESSION, cxid: Xid(1), op, body, auth: &self.auth };
            match self.prep.prepare(&self.state, 1, &request, entries) {
                Prepared::Txn(zxid) => last = zxid,
                Prepared::Refused(code) => panic!("{code:?}"),
            }
            ends.push(entries.len());
        }
        (ends, last)
    }

    /// Prepares and applies `count` requests, in batches.
    fn write(&mut self, op: Op, count: usize, make: impl Fn(usize) -> Vec<u8>) {
        let bodies: Vec<_> = (0..count).map(make).collect();
        let mut entries = Vec::new();
        let mut reply = Reply::default();
        for batch in bodies.chunks(BATCH) {
            entries.clear();
            let (ends, last) = self.prepare(op, batch, &mut entries);
            self.state.begin();
            let mut from = 0;
            for end in ends {
                reply.0.clear();
                let applied = self.state.apply(&entries[from..end], &mut reply);
                applied.expect("what was prepared can be applied");
                from = end;
            }
            self.state.commit(last);
            self.prep.applied(last);
        }
    }

    fn read(&self, op: Op, count: usize, make: impl Fn(usize) -> String) {
        let rules = Rules::default();
        let bodies: Vec<_> = (0..ZNODES).map(|i| read(&make(i))).collect();
        let mut out = Vec::new();
        for body in bodies.iter().cycle().take(count) {
            out.clear();
            let request = ReadRequest { op, body, session: SESSION, auth: &self.auth };
            let served = serve(self.state.tree().view(), &rules, &request, &mut out);
            assert!(served.is_ok(), "nobody writes");
            black_box(&out);
        }
    }
}

/// 10 watchers of each change, which leave their watch again: what one change and its 10 new watches cost.
fn watches(count: usize) {
    let mut table = WatchTable::new(MapSeed { low: 1, high: 2 }, u32::MAX);
    let path = path(1);
    let mut fired = 0;
    for _ in 0..count {
        for watcher in 0..10 {
            table.add(Watcher(watcher), path.as_bytes(), WatchKind::Data).expect("no limit");
        }
        table.trigger(EventType::NodeDataChanged, path.as_bytes(), |_| fired += 1);
    }
    assert_eq!(fired, 10 * count);
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(case), Some(count)) = (arguments.next(), arguments.next()) else {
        println!("{CASES}");
        return;
    };
    let count = count.parse().expect("a count");
    if case == "watch-trigger" {
        return watches(count);
    }
    let mut server = Server::new(count);
    let fresh = |i: usize| create(&path(ZNODES + i));
    match case.as_str() {
        // A batch that is prepared and never applied.
        "prep-create" => {
            let bodies: Vec<_> = (0..count).map(fresh).collect();
            server.prepare(Op::Create, &bodies, &mut Vec::new());
        }
        "prep-set" => {
            let bodies: Vec<_> = (0..count).map(|i| set(i % ZNODES)).collect();
            server.prepare(Op::SetData, &bodies, &mut Vec::new());
        }
        "create" => server.write(Op::Create, count, fresh),
        "set" => server.write(Op::SetData, count, |i| set(i % ZNODES)),
        "delete" => {
            server.write(Op::Create, count, fresh);
            server.write(Op::Delete, count, |i| delete(ZNODES + i));
        }
        "get" => server.read(Op::GetData, count, path),
        "exists" => server.read(Op::Exists, count, path),
        "get-children" => server.read(Op::GetChildren2, count, |_| "/bench".to_owned()),
        _ => println!("{CASES}"),
    }
}
