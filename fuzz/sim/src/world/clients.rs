//! Clients of the world: they come, ask, watch, move to other servers, fall asleep and go; their bytes are on their way.

use std::collections::VecDeque;
use std::time::Duration;

use jute::{
    AclList, CheckVersionRequest, Code, CreateRequest, CreateTtlRequest, DeleteRequest, Field as _,
    MultiHeader, Op, PathRequest, ReconfigRequest, SetDataRequest,
};
use net::message::ConnId;
use quorum::Moment;

use super::{Event, World};
use crate::client::{Client, Heard, Known, Mode, Watched, What};
use crate::locals::Greeter;
use crate::model::{Do, anyone};
use crate::replay::Asked;
use crate::service::Said;

/// How long a client waits for an answer before it looks for another server.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// Requests that a client has under way at most.
const PENDING_MAX: usize = 4;

/// What clients make, beside sequential znodes.
const PATHS: [&str; 9] = ["/a", "/b", "/c", "/a/x", "/a/y", "/b/x", "/b/y", "/c/x", "/a/x/z"];

/// Where sequential znodes are made.
const SEQUENTIAL: [&str; 3] = ["/a/s-", "/b/s-", "/s-"];

/// What travels between a client and a server.
#[derive(Debug)]
enum Parcel {
    /// The connection itself.
    Call,
    /// Some bytes.
    Bytes(Vec<u8>),
    /// The other side has closed.
    End,
}

/// One end of a client's connection.
#[derive(Debug, Default)]
struct End {
    coming: VecDeque<Parcel>,
    last_at: Moment,
    is_closed: bool,
}

/// The client's end.
const CLIENT: usize = 0;

/// The server's end.
const SERVER: usize = 1;

/// A client's connection.
#[derive(Debug)]
pub(super) struct Wire {
    client: usize,
    node: usize,
    life: u64,
    conn: Option<ConnId>,
    /// When the server first said something, and in which role.
    greeter: Option<Greeter>,
    ends: [End; 2],
}

impl World {
    /// A client's turn.
    pub(super) fn client(&mut self, number: usize) {
        let think = Duration::from_micros(self.load.within(500..60_000));
        self.after(think, Event::Client { client: number });
        let (now, patience) = (self.now, PATIENCE);
        let client = &mut self.clients[number];
        if now < client.asleep_until {
            return;
        }
        let Some(wire) = client.wire else { return self.dial(number) };
        let waits = client.pending() != 0 || !client.is_connected;
        if waits && patience < now.since(client.heard_at) {
            return self.hang_up(number, wire);
        }
        if !client.is_connected {
            return;
        }
        if self.lure_of(number).is_some() && self.load.hits(500) {
            self.hang_up(number, wire);
            return self.dial(number);
        }
        let client = &mut self.clients[number];
        let third = Duration::from_millis(client.timeout_ms as u64 / 3);
        if third < now.since(client.said_at) {
            let before = self.checker.told_max();
            let bytes = client.request(jute::Xid::PING.0, (Op::Ping, &[]), What::Ping, before);
            self.say(number, bytes);
        }
        if !self.is_stormy && number < self.plan.idlers {
            if self.load.hits(100) {
                self.read_something(number);
            }
            return;
        }
        let waits = self.checker.acked_count() <= self.acked_at_heal;
        if !self.is_stormy && !waits && !self.load.hits(self.plan.asks_per_mille()) {
            return;
        }
        match self.load.index(100) {
            // It goes elsewhere, and the server may not hear of it.
            0 | 1 => self.hang_up(number, wire),
            // It lets its session end, or nearly so.
            2 if self.is_stormy => {
                let timeout_ms = self.clients[number].timeout_ms as u64;
                let tick_ms = self.plan.settings.tick.as_millis() as u64;
                let sleep = if self.load.hits(400) {
                    // So that it wakes about when its session is ended.
                    timeout_ms + self.load.within(0..tick_ms * 2)
                } else {
                    self.load.within(timeout_ms / 4..timeout_ms * 2)
                };
                self.clients[number].asleep_until = now + Duration::from_millis(sleep);
            }
            3 if self.plan.readers <= number => self.close_session(number),
            _ => self.ask(number),
        }
    }

    /// Asks for something, if not too much is under way.
    fn ask(&mut self, number: usize) {
        for _ in 0..=self.load.index(3) {
            if PENDING_MAX <= self.clients[number].pending() {
                return;
            }
            let only_reads = number < self.plan.readers;
            match self.load.index(10) {
                0..=3 if only_reads => self.sync(number),
                0..=4 if !only_reads => {
                    let what = self.any_write();
                    self.write_request(number, what);
                }
                5 => self.sync(number),
                _ => self.read_something(number),
            }
        }
    }

    fn read_something(&mut self, number: usize) {
        let path = self.any_path();
        if self.load.hits(20) {
            let mode = [Mode::Persistent, Mode::Recursive][self.load.index(2)];
            let bytes = self.clients[number].add_watch(&path, mode);
            return self.say(number, bytes);
        }
        let op = [Op::GetData, Op::GetData, Op::Exists, Op::GetChildren2][self.load.index(4)];
        let watch = if self.load.hits(400) { Watched::Yes } else { Watched::No };
        let bytes = self.clients[number].read(op, &path, watch);
        self.say(number, bytes);
    }

    fn sync(&mut self, number: usize) {
        let mut body = Vec::new();
        PathRequest { path: Some(b"/a") }.write(&mut body);
        self.ask_one(number, (Op::Sync, &body), What::Sync, None);
    }

    fn close_session(&mut self, number: usize) {
        self.ask_one(number, (Op::CloseSession, &[]), What::Close, Some(Asked::Known(Do::Close)));
    }

    fn write_request(&mut self, number: usize, what: Do) {
        let mut body = Vec::new();
        let op = encode(&what, &mut body);
        self.ask_one(number, (op, &body), What::Write, Some(Asked::Known(what)));
    }

    /// Somebody asks for other members.
    pub(super) fn ask_for_members(&mut self, joining: &str, leaving: &str) {
        let ready = |it: &usize| {
            let client = &self.clients[*it];
            client.is_connected && client.asleep_until <= self.now
        };
        let ready: Vec<usize> = (0..self.clients.len()).filter(ready).collect();
        if ready.is_empty() {
            return;
        }
        let number = ready[self.members.index(ready.len())];
        let mut body = Vec::new();
        ReconfigRequest {
            joining: Some(joining.as_bytes()),
            leaving: Some(leaving.as_bytes()),
            members: None,
            config: -1,
        }
        .write(&mut body);
        self.ask_one(number, (Op::Reconfig, &body), What::Write, Some(Asked::Members));
    }

    fn ask_one(
        &mut self,
        number: usize,
        (op, body): (Op, &[u8]),
        what: What,
        asked: Option<Asked>,
    ) {
        let before = self.checker.told_max();
        let client = &mut self.clients[number];
        let xid = client.next_xid();
        if let Some(asked) = asked {
            self.checker.replay.ask(client.session, xid, asked);
        }
        let session = client.session;
        let bytes = client.request(xid, (op, body), what, before);
        self.tell_client(number, &format_args!("{session} asks {xid}: {op:?}"));
        self.say(number, bytes);
    }

    #[expect(clippy::print_stdout, reason = "asked for")]
    fn tell_client(&self, number: usize, what: &dyn std::fmt::Display) {
        if self.is_told {
            println!("{:?} client {number}: {what}", self.now);
        }
    }

    fn any_path(&mut self) -> String {
        let there = self.checker.replay.paths().count();
        if there != 0 && self.load.hits(600) {
            let at = self.load.index(there);
            if let Some(path) = self.checker.replay.paths().nth(at) {
                return path.clone();
            }
        }
        PATHS[self.load.index(PATHS.len())].to_owned()
    }

    fn any_version(&mut self, path: &str) -> i32 {
        match self.load.index(4) {
            0 => self.checker.replay.version(path),
            1 => self.load.index(3) as i32,
            _ => -1,
        }
    }

    fn any_write(&mut self) -> Do {
        if self.load.hits(850) {
            return self.any_change(InMulti::No);
        }
        let count = 1 + self.load.index(3);
        Do::Multi((0..count).map(|_| self.any_change(InMulti::Yes)).collect())
    }

    fn any_change(&mut self, within: InMulti) -> Do {
        match self.load.index(14) {
            0..=2 => {
                let path = PATHS[self.load.index(PATHS.len())].to_owned();
                let flags = [0, 0, 1][self.load.index(3)];
                self.create(path, flags)
            }
            3 | 4 => {
                let path = SEQUENTIAL[self.load.index(SEQUENTIAL.len())].to_owned();
                let flags = [2, 3, 3][self.load.index(3)];
                self.create(path, flags)
            }
            5..=7 => {
                let path = self.any_path();
                let version = self.any_version(&path);
                Do::Delete { path, version }
            }
            8 if within == InMulti::Yes => {
                let path = self.any_path();
                let version = self.any_version(&path);
                Do::Check { path, version }
            }
            8 | 9 => self.create_perishable(),
            _ => {
                let path = self.any_path();
                let version = self.any_version(&path);
                let data = Some(self.any_data());
                Do::Set { path, data, version }
            }
        }
    }

    fn create(&mut self, path: String, flags: i32) -> Do {
        let op = [1, 15][self.load.index(2)];
        let data = Some(self.any_data());
        Do::Create { op, path, data, acl: anyone(31), flags, ttl: -1 }
    }

    /// A container, a znode in one, or a znode with a time to live.
    fn create_perishable(&mut self) -> Do {
        let (data, acl) = (Some(self.any_data()), anyone(31));
        match self.load.index(4) {
            0 => {
                let path = format!("/k{}", self.load.index(40));
                Do::Create { op: 19, path, data, acl, flags: 4, ttl: -1 }
            }
            1 => {
                let (path, flags) = [("/a/t-", 6), ("/t", 5)][self.load.index(2)];
                let ttl = self.load.within(1..3_000) as i64;
                Do::Create { op: 21, path: path.to_owned(), data, acl, flags, ttl }
            }
            _ => {
                let there = self.checker.replay.containers().count().max(1);
                let at = self.load.index(there);
                let container = self.checker.replay.containers().nth(at);
                let path = container.map_or_else(|| "/b/s-".to_owned(), |it| format!("{it}/s-"));
                let flags = [2, 3, 3][self.load.index(3)];
                self.create(path, flags)
            }
        }
    }

    fn any_data(&mut self) -> Vec<u8> {
        let len = self.load.index(20);
        vec![self.load.draw() as u8; len]
    }

    /// A leader that was deposed and does not know it, if others have shown the client what that one has not.
    fn lure_of(&self, number: usize) -> Option<usize> {
        let (node, until) = self.lure?;
        let is_ahead = self.nodes[node].applied.zxid < self.clients[number].seen();
        (self.now < until && is_ahead).then_some(node)
    }

    /// A server's clients hear nothing from it any more.
    pub(super) fn cut_off_clients(&mut self, node: usize) {
        let is_there = |it: &(&u64, &Wire)| it.1.node == node;
        let there: Vec<_> =
            self.wires.iter().filter(is_there).map(|it| (*it.0, it.1.client)).collect();
        for (wire, number) in there {
            if self.clients[number].wire == Some(wire) {
                self.hang_up(number, wire);
            }
        }
    }

    /// A client connects to any server.
    fn dial(&mut self, number: usize) {
        let any = self.load.index(self.nodes.len());
        let lure = self.lure_of(number).filter(|_| self.load.hits(500));
        let node = lure.unwrap_or(any);
        let tick_ms = self.plan.settings.tick.as_millis() as u64;
        // An idle one's is long enough for what it says to come through.
        let ticks = if number < self.plan.idlers { 10..14 } else { 3..20 };
        let timeout_ms = self.load.within(tick_ms * ticks.start..tick_ms * ticks.end) as i32;
        let client = &mut self.clients[number];
        let timeout_ms = if client.timeout_ms == 0 { timeout_ms } else { client.timeout_ms };
        self.wire_count += 1;
        let wire = self.wire_count;
        client.wire = Some(wire);
        client.heard_at = self.now;
        let life = self.checker.replay.life(client.session);
        client.known = Known::of(life);
        client.greeter = None;
        let bytes = client.handshake(timeout_ms);
        let session = client.session;
        self.tell_client(number, &format_args!("goes to server {} with {session}", node + 1));
        let life = self.nodes[node].life;
        let ends = Default::default();
        let (conn, greeter) = (None, None);
        self.wires.insert(wire, Wire { client: number, node, life, conn, greeter, ends });
        self.carry(wire, SERVER, Parcel::Call);
        self.say(number, bytes);
    }

    fn say(&mut self, number: usize, bytes: Vec<u8>) {
        let client = &mut self.clients[number];
        client.said_at = self.now;
        if let Some(wire) = client.wire {
            self.carry(wire, SERVER, Parcel::Bytes(bytes));
        }
    }

    /// A client gives its connection up; now and then the server does not hear of it.
    fn hang_up(&mut self, number: usize, wire: u64) {
        self.tell_client(number, &"hangs up");
        self.clients[number].lose();
        let is_heard = self.wire_chance.hits(700);
        let Some(it) = self.wires.get_mut(&wire) else { return };
        it.ends[CLIENT].is_closed = true;
        if is_heard {
            self.carry(wire, SERVER, Parcel::End);
        }
    }

    /// A parcel begins to travel; none overtakes another.
    fn carry(&mut self, wire: u64, side: usize, parcel: Parcel) {
        let mean = self.plan.net_us;
        let factor = if self.is_stormy && self.wire_chance.hits(10) { 50 } else { 1 };
        let delay = Duration::from_micros(self.wire_chance.within(mean / 2..mean * 2) * factor);
        let Some(it) = self.wires.get_mut(&wire) else { return };
        let end = &mut it.ends[side];
        let at = (self.now + delay).max(end.last_at);
        end.last_at = at;
        end.coming.push_back(parcel);
        self.at(at, Event::Wire { wire, side });
    }

    /// A parcel reaches an end.
    pub(super) fn wire(&mut self, number: u64, side: usize) {
        let Some(wire) = self.wires.get_mut(&number) else { return };
        let (node, life, client) = (wire.node, wire.life, wire.client);
        if side == SERVER && self.lives(node, life) && self.now < self.nodes[node].paused_until {
            let at = self.nodes[node].paused_until;
            return self.at(at, Event::Wire { wire: number, side });
        }
        let asleep_until = self.clients[client].asleep_until;
        if side == CLIENT && self.now < asleep_until {
            return self.at(asleep_until, Event::Wire { wire: number, side });
        }
        let Some(wire) = self.wires.get_mut(&number) else { return };
        let end = &mut wire.ends[side];
        let Some(parcel) = end.coming.pop_front().filter(|_| !end.is_closed) else { return };
        if side == SERVER {
            self.reach_server(number, node, life, parcel);
        } else {
            self.reach_client(number, client, parcel);
        }
    }

    fn reach_server(&mut self, number: u64, node: usize, life: u64, parcel: Parcel) {
        let is_up = self.lives(node, life);
        let now_ms = self.moment(node).now_ms;
        let Some(wire) = self.wires.get_mut(&number) else { return };
        let service = self.nodes[node].service.as_mut().filter(|_| is_up);
        let Some(service) = service else {
            wire.ends[SERVER].is_closed = true;
            return self.carry(number, CLIENT, Parcel::End);
        };
        match (parcel, wire.conn) {
            (Parcel::Call, _) => {
                if let Some(conn) = service.accept(now_ms) {
                    wire.conn = Some(conn);
                    self.nodes[node].wires.insert(conn, number);
                } else {
                    wire.ends[SERVER].is_closed = true;
                    self.carry(number, CLIENT, Parcel::End);
                }
            }
            (Parcel::Bytes(bytes), Some(conn)) => {
                service.shard.received(now_ms, conn, &bytes, &mut service.inbox);
            }
            (Parcel::End, Some(conn)) => {
                wire.ends[SERVER].is_closed = true;
                service.shard.ended(conn);
                self.nodes[node].wires.remove(&conn);
            }
            (Parcel::Bytes(_) | Parcel::End, None) => {}
        }
        self.shard_soon(node);
    }

    fn reach_client(&mut self, number: u64, client: usize, parcel: Parcel) {
        let it: &mut Client = &mut self.clients[client];
        if it.wire != Some(number) {
            return;
        }
        let bytes = match parcel {
            Parcel::Bytes(bytes) => bytes,
            Parcel::End => {
                it.lose();
                self.wires.remove(&number);
                return;
            }
            Parcel::Call => return,
        };
        it.heard_at = self.now;
        it.greeter = self.wires.get(&number).and_then(|it| it.greeter);
        let (mut heard, mut out) = (Vec::new(), Vec::new());
        if let Err(violation) = it.take(&bytes, &mut self.checker.replay, &mut heard, &mut out) {
            return self.fail(violation);
        }
        self.mix(&heard);
        if !out.is_empty() {
            self.say(client, out);
        }
        for what in heard {
            self.heard(client, number, what);
        }
    }

    fn heard(&mut self, number: usize, wire: u64, what: Heard) {
        self.tell_client(number, &format_args!("{what:?}"));
        match what {
            Heard::Nothing => {}
            Heard::Written { code: Code::SessionExpired, .. } => self.hang_up(number, wire),
            Heard::Written { zxid, before, .. } => {
                if let Err(violation) = self.checker.ack(before, zxid) {
                    self.fail(violation);
                }
            }
            Heard::Read => self.summary.reads += 1,
            Heard::Synced => self.summary.syncs += 1,
            Heard::Event => self.summary.events += 1,
            Heard::Connected => {
                self.clients[number].connected_at = self.now;
                let session = self.clients[number].session;
                self.summary.locals += u64::from(self.checker.replay.is_local(session));
                self.summary.moves += u64::from(1 < self.clients[number].tries);
            }
            Heard::Expired => {
                self.left_at.insert(self.clients[number].session, self.now);
                self.hang_up(number, wire);
                self.clients[number].forget();
            }
        }
    }

    /// What a server's shard sends goes on its way.
    pub(super) fn talk(&mut self, node: usize) {
        let greeter = self.greeter(node);
        let now_ms = greeter.now_ms;
        let Some(service) = &mut self.nodes[node].service else { return };
        for said in service.said(now_ms) {
            let (conn, parcel) = match said {
                Said::Bytes(conn, bytes) => (conn, Parcel::Bytes(bytes)),
                Said::Close(conn) => (conn, Parcel::End),
            };
            let Some(&wire) = self.nodes[node].wires.get(&conn) else { continue };
            if let Some(it) = self.wires.get_mut(&wire) {
                it.greeter.get_or_insert(greeter);
            }
            if matches!(parcel, Parcel::End) {
                self.nodes[node].wires.remove(&conn);
                if let Some(it) = self.wires.get_mut(&wire) {
                    it.ends[SERVER].is_closed = true;
                }
            }
            self.carry(wire, CLIENT, parcel);
        }
    }

    /// A server dies, and the connections of its clients with it; now and then a client does not hear of that.
    pub(super) fn drop_wires_of(&mut self, node: usize) {
        for wire in std::mem::take(&mut self.nodes[node].wires).into_values() {
            if let Some(it) = self.wires.get_mut(&wire) {
                it.ends[SERVER].is_closed = true;
            }
            if self.wire_chance.hits(900) {
                self.carry(wire, CLIENT, Parcel::End);
            }
        }
    }
}

/// Whether a change is one of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InMulti {
    Yes,
    No,
}

/// The op and the body of a request.
fn encode(what: &Do, out: &mut Vec<u8>) -> Op {
    match what {
        Do::Create { op: 21, path, data, flags, ttl, .. } => {
            let (path, data) = (Some(path.as_bytes()), data.as_deref());
            let (acl, flags, ttl_ms) = (AclList::open(), *flags, *ttl);
            CreateTtlRequest { path, data, acl, flags, ttl_ms }.write(out);
            Op::CreateTtl
        }
        Do::Create { op, path, data, flags, .. } => {
            let (path, data) = (Some(path.as_bytes()), data.as_deref());
            CreateRequest { path, data, acl: AclList::open(), flags: *flags }.write(out);
            match *op {
                1 => Op::Create,
                19 => Op::CreateContainer,
                _ => Op::Create2,
            }
        }
        Do::Delete { path, version } => {
            DeleteRequest { path: Some(path.as_bytes()), version: *version }.write(out);
            Op::Delete
        }
        Do::Check { path, version } => {
            CheckVersionRequest { path: Some(path.as_bytes()), version: *version }.write(out);
            Op::Check
        }
        Do::Set { path, data, version } => {
            let (path, data) = (Some(path.as_bytes()), data.as_deref());
            SetDataRequest { path, data, version: *version }.write(out);
            Op::SetData
        }
        Do::Multi(subs) => {
            for sub in subs {
                let mut record = Vec::new();
                let op = encode(sub, &mut record);
                MultiHeader { op: op.number(), done: false, err: -1 }.write(out);
                out.extend(record);
            }
            MultiHeader::END.write(out);
            Op::Multi
        }
        Do::Reap { .. } | Do::SetAcl { .. } | Do::Open { .. } | Do::Close | Do::Reconfig => {
            unreachable!("clients here do not ask that")
        }
    }
}
