//! The machine from outside: requests in, batches out, and what every shard is told, as lines.

mod eager;
mod learning;
mod limits;
mod local;
mod order;
mod sessions;

use std::sync::Arc;

use engine::arena::Memory;
use engine::auth::AuthIds;
use engine::map::MapSeed;
use engine::reaper::ReaperConfig;
use engine::rules::{ExtendedTypes, Rules};
use engine::session::SessionTracker;
use engine::state::State;
use engine::tree::{Tree, TreeView};
use jute::{
    AclList, CreateRequest, DeleteRequest, Field as _, Op, PathRequest, PathWatchRequest, Reader,
    Record as _, SessionId, SetDataRequest, Xid,
};
use net::message::{ConnId, Deliver, DeliverItem, Forward, ForwardItem};
use wal::Batch;

use super::{Applier, Home, Moment, Owner, Pipeline, Reaping};

/// What sessions ask for, milliseconds.
const TIMEOUT_MS: i32 = 4_000;
const TICK_MS: u32 = 500;
const SHARDS: usize = 2;

/// A pipeline with two session shards, whose rings and log are the test's own hands.
struct World {
    pipeline: Pipeline,
    now_ms: u64,
}

/// A connection that has its session.
#[derive(Clone, Copy)]
struct Client {
    owner: Owner,
    session: SessionId,
}

/// What each shard is told, a line for each thing.
type Told = [Vec<String>; SHARDS];

impl World {
    fn new() -> Self {
        let memory = Memory::leaked(1 << 18);
        Self::on(State::new(Tree::format(memory, [1, 2]).expect("a region of a good size")))
    }

    /// A server that starts on this tree.
    fn on(state: State) -> Self {
        let seed = MapSeed { low: 1, high: 2 };
        let sessions = SessionTracker::new(TICK_MS, SessionId(0x100), seed);
        let config = ReaperConfig { never_used_ms_max: 0 };
        let reaping = Reaping { interval_ms: 1_000, per_minute_max: 600, config };
        let rules = Rules { extended_types: ExtendedTypes::On, ..Rules::default() };
        let now_ms = 10_000;
        let applier = Applier::new(state, rules, sessions, SHARDS, now_ms);
        Self { pipeline: Pipeline::new(applier, reaping, now_ms), now_ms }
    }

    fn moment(&self) -> Moment {
        Moment { now_ms: self.now_ms, wall_ms: 1_700_000_000_000 + self.now_ms as i64 }
    }

    /// One turn of a shard that says one thing, with these bytes.
    fn take(&mut self, shard: usize, bytes: &[u8], item: ForwardItem) {
        let forward = Forward { items: vec![item], bytes: bytes.to_vec(), touched: Vec::new() };
        self.pipeline.take(self.moment(), shard, &forward);
    }

    /// A connection asks for a session: 0 for a new one.
    fn handshake(&mut self, owner: Owner, session: SessionId, password: &[u8]) {
        let auth = Arc::new(AuthIds::default());
        let Owner { shard, conn } = owner;
        let password_at = 0..password.len() as u32;
        let item = ForwardItem::Connect {
            conn,
            session,
            password: password_at,
            timeout_ms: TIMEOUT_MS,
            auth,
        };
        self.take(shard, password, item);
    }

    /// Comes back to a session with its password.
    fn reopen(&mut self, owner: Owner, session: SessionId) -> Client {
        self.handshake(owner, session, &jute::password(session));
        Client { owner, session }
    }

    /// A new session, made and told of.
    fn connect(&mut self, shard: usize, slot: u32) -> Client {
        let owner = owner(shard, slot);
        self.handshake(owner, SessionId::NONE, &[]);
        let told = self.turn();
        let session = self.pipeline.applier.find(owner).map(|(session, _)| session);
        let session = session.expect("a connection that has asked for a session");
        assert!(told[shard].contains(&format!("{slot} is {session}, {TIMEOUT_MS} ms")), "{told:?}");
        Client { owner, session }
    }

    fn ask(&mut self, client: Client, xid: i32, (op, body): (Op, Vec<u8>)) {
        let Client { owner, session } = client;
        let at = 0..body.len() as u32;
        let item = ForwardItem::Request { conn: owner.conn, session, xid: Xid(xid), op, body: at };
        self.take(owner.shard, &body, item);
    }

    fn gone(&mut self, owner: Owner) {
        self.take(owner.shard, &[], ForwardItem::Gone { conn: owner.conn });
    }

    /// The batch is durable: what each shard is told.
    fn finish(&mut self, batch: Batch) -> Told {
        self.pipeline.durable(self.moment(), batch);
        let told = [0, 1].map(|shard| self.heard(shard));
        self.pipeline.publish();
        told
    }

    /// What waits for a shard.
    fn heard(&mut self, shard: usize) -> Vec<String> {
        self.pipeline.applier_mut().deliver(shard).map(|it| lines(&it)).unwrap_or_default()
    }

    /// Writes what there is, and finishes it.
    fn turn(&mut self) -> Told {
        self.pipeline.next_batch().map(|batch| self.finish(batch)).unwrap_or_default()
    }

    /// As time goes by.
    fn pass(&mut self, ms: u64) -> Told {
        self.now_ms += ms;
        self.pipeline.deadline(self.moment());
        self.turn()
    }

    /// Data of a znode as readers on other cores see it; "none" if it is not there, "torn" inside a batch.
    fn seen(&self, path: &str) -> String {
        let reader = self.pipeline.applier().state().tree().reader();
        let read = reader.read(|view| {
            let view = TreeView::new(view);
            let mut data = Vec::new();
            match view.find(path.as_bytes())? {
                Some(znode) => drop(view.data(znode, &mut data)?),
                None => data.extend_from_slice(b"none"),
            }
            Ok(String::from_utf8_lossy(&data).into_owned())
        });
        read.map_or_else(|| "torn".into(), |(seen, _)| seen)
    }

    fn zxid(&self) -> i64 {
        self.pipeline.applier().state().tree().zxid().0
    }
}

fn owner(shard: usize, slot: u32) -> Owner {
    Owner { shard, conn: ConnId { slot, generation: 0 } }
}

/// A message as lines. A reply shows its body's first string, if it begins with one: a path, or data.
fn lines(deliver: &Deliver) -> Vec<String> {
    let applied = deliver.applied;
    let line = |item: &DeliverItem| match item {
        DeliverItem::Event { zxid, kind, path, .. } => {
            let path = &deliver.bytes[path.start as usize..path.end as usize];
            format!("{kind:?} {} at {zxid}", String::from_utf8_lossy(path))
        }
        DeliverItem::Reply { conn, xid, zxid, code, body } => {
            let body = &deliver.bytes[body.start as usize..body.end as usize];
            let text = <&[u8]>::read(&mut Reader::new(body)).unwrap_or_default();
            let text = String::from_utf8_lossy(text);
            format!("{}: {} {code:?} at {zxid} {text}", conn.slot, xid.0).trim_end().to_string()
        }
        DeliverItem::Connected { conn, session, timeout_ms } => {
            format!("{} is {session}, {timeout_ms} ms", conn.slot)
        }
        DeliverItem::Refused { conn } => format!("{} is refused", conn.slot),
        DeliverItem::Close { conn } => format!("{} is to close", conn.slot),
        DeliverItem::Serve(how) => format!("serve {how:?}"),
        DeliverItem::Stop => "stop".to_owned(),
    };
    deliver.items.iter().map(line).chain([format!("up to {applied}")]).collect()
}

fn encoded(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

fn create_with(op: Op, path: &str, flags: i32) -> (Op, Vec<u8>) {
    let (path, acl) = (Some(path.as_bytes()), AclList::open());
    (op, encoded(|out| CreateRequest { path, data: Some(b"new"), acl, flags }.encode(out)))
}

fn create(path: &str) -> (Op, Vec<u8>) {
    create_with(Op::Create, path, 0)
}

fn ephemeral(path: &str) -> (Op, Vec<u8>) {
    create_with(Op::Create, path, 1)
}

fn container(path: &str) -> (Op, Vec<u8>) {
    create_with(Op::CreateContainer, path, 4)
}

fn set(path: &str, data: &str) -> (Op, Vec<u8>) {
    let (path, data) = (Some(path.as_bytes()), Some(data.as_bytes()));
    (Op::SetData, encoded(|out| SetDataRequest { path, data, version: -1 }.encode(out)))
}

fn delete(path: &str) -> (Op, Vec<u8>) {
    let path = Some(path.as_bytes());
    (Op::Delete, encoded(|out| DeleteRequest { path, version: -1 }.encode(out)))
}

fn get(path: &str) -> (Op, Vec<u8>) {
    let path = Some(path.as_bytes());
    (Op::GetData, encoded(|out| PathWatchRequest { path, watch: false }.encode(out)))
}

fn sync(path: &str) -> (Op, Vec<u8>) {
    (Op::Sync, encoded(|out| PathRequest { path: Some(path.as_bytes()) }.encode(out)))
}

fn ping() -> (Op, Vec<u8>) {
    (Op::Ping, Vec::new())
}

/// Bytes that are no request.
fn nonsense() -> (Op, Vec<u8>) {
    (Op::Create, b"\0\0\0\x07/".to_vec())
}

fn close_session() -> (Op, Vec<u8>) {
    (Op::CloseSession, Vec::new())
}
