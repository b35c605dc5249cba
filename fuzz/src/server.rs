//! A whole server without sockets, threads and disk: a session shard's machine, prep, apply.
//!
//! Invariant: what prep has made, apply takes, and the tree then has the digest that prep said.

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;

use engine::apply::{ApplyError, Effects, Event, Replay};
use engine::arena::Reader;
use engine::auth::{AuthIds, authenticate};
use engine::map::MapSeed;
use engine::prep::{Prep, Prepared, Request};
use engine::read::{ReadRequest, changed, is_read, serve};
use engine::rules::{ExtendedTypes, QuotaCheck, Rules};
use engine::state::State;
use engine::tree::TreeView;
use jute::{
    Code, CreateSessionTxn, EventType, Field as _, Op, PathRequest, Record as _, SessionId,
    TxnHeader, Xid, Zxid,
};
use net::admission::{Admission, AdmissionSettings};
use net::message::{ConnId, Deliver, DeliverItem, Forward, ForwardItem};
use net::shard::{Inbox, Output, Read, Shard, ShardSettings, Stamps, Tree};
use net::words::Whitelist;

use crate::memory::state;

/// Everything behind the session shard.
pub(crate) struct Server {
    pub(crate) state: State,
    prep: Prep,
    rules: Rules,
    next_session: i64,
    /// Who is connected.
    auth: BTreeMap<ConnId, Arc<AuthIds>>,
}

impl Server {
    pub(crate) fn new() -> Self {
        let state = state();
        let rules =
            Rules { extended_types: ExtendedTypes::On, quota: QuotaCheck::On, ..Rules::default() };
        let prep = Prep::new(rules.clone(), &state);
        Self { state, prep, rules, next_session: 1, auth: BTreeMap::new() }
    }

    /// Prepares a request and applies what came of it; the outcome, and the entry if there is one.
    pub(crate) fn ask(
        &mut self,
        request: &Request<'_>,
        sink: &mut Sink<'_>,
    ) -> (Code, Option<Vec<u8>>) {
        let mut entry = Vec::new();
        let zxid = match self.prep.prepare(&self.state, NOW_WALL_MS, request, &mut entry) {
            Prepared::Refused(code) => return (code, None),
            Prepared::Txn(zxid) => zxid,
        };
        self.state.begin();
        let applied = self.state.apply(&entry, sink);
        self.state.commit(zxid);
        match applied {
            Ok(applied) => {
                self.prep.applied(zxid);
                (applied.code, Some(entry))
            }
            Err(ApplyError::Full { .. }) => panic!("inputs are too short to fill a region"),
            Err(error) => panic!("{error}: {request:?}"),
        }
    }

    /// Does everything that the shard wants done.
    fn turn(&mut self, forward: &Forward) -> Deliver {
        let mut deliver = Deliver::default();
        for item in &forward.items {
            self.item(item, &forward.bytes, &mut deliver);
        }
        deliver.applied = self.state.tree().zxid();
        deliver
    }

    fn item(&mut self, item: &ForwardItem, bytes: &[u8], deliver: &mut Deliver) {
        match item {
            ForwardItem::Connect { conn, session, timeout_ms, auth, .. } => {
                self.auth.insert(*conn, Arc::clone(auth));
                self.connect(*conn, *session, *timeout_ms, deliver);
            }
            ForwardItem::Auth { conn, auth } => {
                self.auth.insert(*conn, Arc::clone(auth));
            }
            ForwardItem::Request { conn, session, xid, op, body } => {
                let body = &bytes[body.start as usize..body.end as usize];
                let auth = self.auth.get(conn).cloned().unwrap_or_default();
                let request = Request { session: *session, cxid: *xid, op: *op, body, auth: &auth };
                self.reply(*conn, &request, deliver);
            }
            ForwardItem::Fence { conn, xid } => {
                let zxid = self.state.tree().zxid();
                let (conn, xid) = (*conn, *xid);
                deliver.items.push(DeliverItem::Reply {
                    conn,
                    xid,
                    zxid,
                    code: Code::Ok,
                    body: 0..0,
                });
            }
            ForwardItem::Gone { conn, .. } => {
                self.auth.remove(conn);
            }
        }
    }

    fn connect(
        &mut self,
        conn: ConnId,
        session: SessionId,
        timeout_ms: i32,
        deliver: &mut Deliver,
    ) {
        if session != SessionId::NONE {
            let known = self.state.tree().look(|view| view.session(session)).is_some();
            deliver.items.push(if known {
                DeliverItem::Connected { conn, session, timeout_ms }
            } else {
                DeliverItem::Refused { conn }
            });
            return;
        }
        let session = SessionId(self.next_session);
        self.next_session += 1;
        let mut body = Vec::new();
        CreateSessionTxn { timeout_ms }.encode(&mut body);
        let auth = AuthIds::default();
        let (op, cxid) = (Op::CreateSession, Xid(0));
        let request = Request { session, cxid, op, body: &body, auth: &auth };
        let (code, _) = self.ask(&request, &mut Sink::new(deliver));
        assert_eq!(code, Code::Ok);
        deliver.items.push(DeliverItem::Connected { conn, session, timeout_ms });
    }

    fn reply(&mut self, conn: ConnId, request: &Request<'_>, deliver: &mut Deliver) {
        let start = deliver.bytes.len() as u32;
        let code = if is_read(request.op) {
            let Request { op, body, session, auth, .. } = *request;
            let read = ReadRequest { op, body, session, auth };
            let (rules, out) = (&self.rules, &mut deliver.bytes);
            self.state.tree().look(|view| serve(view, rules, &read, out)).code
        } else if request.op == Op::Ping {
            Code::Ok
        } else {
            let mut sink = Sink::new(deliver);
            let (code, _) = self.ask(request, &mut sink);
            let body = sink.body;
            let start = deliver.bytes.len() as u32;
            deliver.bytes.extend_from_slice(&body);
            return self.answer(
                conn,
                request.cxid,
                code,
                start..start + body.len() as u32,
                deliver,
            );
        };
        let end = deliver.bytes.len() as u32;
        self.answer(conn, request.cxid, code, start..end, deliver);
    }

    fn answer(
        &mut self,
        conn: ConnId,
        xid: Xid,
        code: Code,
        body: Range<u32>,
        deliver: &mut Deliver,
    ) {
        let zxid = self.state.tree().zxid();
        deliver.items.push(DeliverItem::Reply { conn, xid, zxid, code, body });
    }
}

/// Where events go, and the body of the reply.
pub(crate) struct Sink<'a> {
    deliver: &'a mut Deliver,
    body: Vec<u8>,
}

impl<'a> Sink<'a> {
    pub(crate) fn new(deliver: &'a mut Deliver) -> Self {
        Self { deliver, body: Vec::new() }
    }

    fn put(&mut self, bytes: &[u8]) -> Range<u32> {
        let start = self.deliver.bytes.len() as u32;
        self.deliver.bytes.extend_from_slice(bytes);
        start..start + bytes.len() as u32
    }
}

impl Effects for Sink<'_> {
    fn event(&mut self, event: Event<'_>) {
        let Event { zxid, kind, path, acl, parent_acl } = event;
        assert!(kind != EventType::None && kind != EventType::NodeChildrenChanged);
        let (path, acl, parent_acl) = (self.put(path), self.put(acl), self.put(parent_acl));
        self.deliver.items.push(DeliverItem::Event { zxid, kind, path, acl, parent_acl });
    }

    fn reply(&mut self) -> Option<&mut Vec<u8>> {
        Some(&mut self.body)
    }
}

/// The arena, read as session shards read it.
struct Local {
    reader: Reader,
    rules: Rules,
}

impl Tree for Local {
    fn zxid(&self) -> Option<Zxid> {
        self.reader.read(|_| Ok(())).map(|((), zxid)| zxid)
    }

    fn serve(&self, read: Read<'_>, out: &mut Vec<u8>) -> Option<(Zxid, Code)> {
        let Read { session, auth, op, body } = read;
        let request = ReadRequest { op, body, session, auth };
        let start = out.len();
        let served = self.reader.read(|view| {
            out.truncate(start);
            serve(TreeView::new(view), &self.rules, &request, out)
        });
        served.map(|(served, zxid)| (zxid, served.code))
    }

    fn stamps(&self, path: &[u8]) -> Option<(Zxid, Option<Stamps>)> {
        let found = self.reader.read(|view| changed(TreeView::new(view), path));
        found.map(|(found, zxid)| {
            (zxid, found.map(|it| Stamps { mzxid: it.mzxid, pzxid: it.pzxid }))
        })
    }
}

struct Queue(VecDeque<Deliver>);

impl Inbox for Queue {
    fn next(&mut self) -> Option<Deliver> {
        self.0.pop_front()
    }

    fn spent(&mut self, deliver: Deliver) {
        drop(deliver);
    }
}

/// What three clients send: pieces, each with a byte that says whose it is and whether the server has a turn after it, and
/// a byte with its length.
pub fn client(bytes: &[u8]) {
    let mut server = Server::new();
    let tree = Local { reader: server.state.tree().reader(), rules: server.rules.clone() };
    let admission = Arc::new(Admission::new(AdmissionSettings::default(), 0, 1));
    let settings = ShardSettings {
        request_len_max: 1 << 12,
        skip_len_max: 1 << 13,
        set_watches_len_max: 1 << 13,
        words: Whitelist::all(),
        watches_max: 8,
        ..ShardSettings::default()
    };
    let mut shard = Shard::new(settings, tree, admission, MapSeed { low: 1, high: 2 });
    let mut inbox = Queue(VecDeque::new());
    let mut clients = [None; 3];
    let (mut rest, mut now_ms) = (bytes, 0);
    while let Some((&[who, len], tail)) = rest.split_first_chunk() {
        let (piece, tail) = tail.split_at(tail.len().min(len as usize));
        rest = tail;
        now_ms += u64::from(who >> 4) * 500;
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let slot = &mut clients[who as usize % 3];
        let conn = match *slot {
            Some(conn) => conn,
            None => *slot.insert(shard.accept(now_ms, peer).expect("three may come in")),
        };
        if shard.wants_read(conn) {
            shard.received(now_ms, conn, piece, &mut inbox);
        }
        if who & 4 == 0 {
            turn(&mut shard, &mut server, now_ms, &mut inbox);
        }
        if who & 8 != 0 {
            shard.deadline(now_ms);
        }
        close_those_that_shall(&mut shard, &mut clients);
    }
    turn(&mut shard, &mut server, now_ms, &mut inbox);
    close_those_that_shall(&mut shard, &mut clients);
    for conn in clients.into_iter().flatten() {
        shard.ended(conn);
    }
    let gauges = shard.gauges();
    assert_eq!((gauges.connections, gauges.watches), (0, 0), "nobody is there");
}

fn turn(shard: &mut Shard<Local>, server: &mut Server, now_ms: u64, inbox: &mut Queue) {
    while let Some(forward) = shard.take_forward(None) {
        inbox.0.push_back(server.turn(&forward));
        shard.drain(now_ms, inbox);
    }
    while let Some(conn) = shard.next_unsent() {
        let len = shard.unsent(conn).len();
        shard.sent(now_ms, conn, len);
    }
}

fn close_those_that_shall(shard: &mut Shard<Local>, clients: &mut [Option<ConnId>; 3]) {
    while let Some(output) = shard.next_output() {
        match output {
            Output::Word { conn, .. } => shard.answer(conn, b"a word\n"),
            Output::Close { conn } => {
                for client in clients.iter_mut().filter(|it| **it == Some(conn)) {
                    *client = None;
                }
            }
            Output::Resume { .. } | Output::Notice(_) => {}
        }
    }
}

/// Requests of two sessions: a byte with the op, one that says whose, one with the length of the record, and that.
pub fn txn(bytes: &[u8]) {
    let mut server = Server::new();
    let mut twin = Vec::new();
    let digest = replay_as_well(&mut server, bytes, &mut twin);
    // The entries alone make the same tree.
    let mut other = state();
    for entry in &twin {
        let header = TxnHeader::decode(entry).expect("it was made here");
        other.begin();
        let applied = other.apply(entry, &mut Replay);
        other.commit(header.zxid);
        assert!(applied.is_ok(), "{applied:?}");
    }
    assert_eq!(other.tree().look(TreeView::digest), digest);
}

fn replay_as_well(server: &mut Server, bytes: &[u8], entries: &mut Vec<Vec<u8>>) -> u64 {
    let mut auth = AuthIds::of_address(Ipv4Addr::LOCALHOST.into());
    authenticate(&server.rules.auth, &mut auth, Some(b"digest"), Some(b"pat:pw"));
    let mut deliver = Deliver::default();
    let mut rest = bytes;
    let mut timeout = Vec::new();
    CreateSessionTxn { timeout_ms: 4_000 }.encode(&mut timeout);
    for session in [1, 2] {
        let (session, cxid, op) = (SessionId(session), Xid(0), Op::CreateSession);
        let request = Request { session, cxid, op, body: &timeout, auth: &auth };
        let (_, entry) = server.ask(&request, &mut Sink::new(&mut deliver));
        entries.extend(entry);
    }
    while let Some((&[op, who, len], tail)) = rest.split_first_chunk() {
        let (body, tail) = tail.split_at(tail.len().min(len as usize));
        rest = tail;
        let Some(op) = Op::from_number(i32::from(op as i8)) else { continue };
        let session = match op {
            Op::DeleteContainer => SessionId::NONE,
            Op::CreateSession => continue,
            _ => SessionId(1 + i64::from(who & 1)),
        };
        let request = Request { session, cxid: Xid(1), op, body, auth: &auth };
        let (_, entry) = server.ask(&request, &mut Sink::new(&mut deliver));
        entries.extend(entry);
    }
    server.state.tree().look(TreeView::digest)
}

/// Entries of a log, each behind two bytes of length. Their zxids are put right: replay has looked at those.
pub fn entry(bytes: &[u8]) {
    let mut state = state();
    let mut rest = bytes;
    while let Some((&[high, low], tail)) = rest.split_first_chunk() {
        let len = usize::from(high) << 8 | usize::from(low);
        let (entry, tail) = tail.split_at(tail.len().min(len));
        rest = tail;
        let zxid = state.tree().zxid().next();
        let mut entry = entry.to_vec();
        if let Some(place) = entry.get_mut(12..20) {
            place.copy_from_slice(&zxid.0.to_be_bytes());
        }
        state.begin();
        let applied = state.apply(&entry, &mut Replay);
        state.commit(zxid);
        if let Err(error) = applied {
            assert!(!error.to_string().is_empty());
            // Nothing may be served from this tree any more.
            return;
        }
    }
    let mut answer = Vec::new();
    let mut body = Vec::new();
    PathRequest { path: Some(b"/") }.write(&mut body);
    let auth = AuthIds::default();
    let read = ReadRequest {
        op: Op::GetAllChildrenNumber,
        body: &body,
        session: SessionId::NONE,
        auth: &auth,
    };
    state.tree().look(|view| serve(view, &Rules::default(), &read, &mut answer).map(drop));
}

const NOW_WALL_MS: i64 = 1_700_000_000_000;
