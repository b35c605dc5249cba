//! A shard with a scripted tree and a pipeline that the test plays itself.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use engine::map::MapSeed;
use engine::read::{Changed, missed, one_shot};
use jute::{
    AclList, Code, ConnectRequest, EventType, Field as _, Op, PathWatchRequest, Record as _,
    ReplyHeader, RequestHeader, SessionId, SetWatches2, WatcherEvent, Xid, Zxid,
};

use crate::admission::{Admission, AdmissionSettings};
use crate::message::{ConnId, Deliver, DeliverItem, Forward, ForwardItem};
use crate::shard::{Inbox, Notice, Output, Read, Shard, ShardSettings, Tree};

pub(super) const PEER: ([u8; 4], u16) = ([10, 1, 2, 3], 4567);
pub(super) const SESSION: SessionId = SessionId(0x1234);

/// What the scripted tree holds: paths, their data and when they changed.
#[derive(Debug, Default)]
pub(super) struct Scene {
    pub(super) zxid: i64,
    pub(super) znodes: BTreeMap<Vec<u8>, (Vec<u8>, Changed)>,
    /// So many reads are torn from now on.
    pub(super) torn: usize,
    /// Reads that were answered.
    pub(super) served: usize,
}

impl Scene {
    /// The answer to watches that are set again.
    pub(super) fn missed(&self, record: &SetWatches2<'_>) -> Vec<u8> {
        let mut events = Vec::new();
        for (kind, paths) in one_shot(record) {
            for path in &paths {
                let changed = self.znodes.get(path).map(|(_, changed)| *changed);
                let event = missed(kind, changed, record.relative_zxid);
                events.push(event.map_or(0, |event| event as u8));
            }
        }
        events
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct ScriptedTree(pub(super) Rc<RefCell<Scene>>);

impl ScriptedTree {
    fn whole(&self) -> Option<Zxid> {
        let mut scene = self.0.borrow_mut();
        if 0 < scene.torn {
            scene.torn -= 1;
            return None;
        }
        Some(Zxid(scene.zxid))
    }
}

impl Tree for ScriptedTree {
    fn zxid(&self) -> Option<Zxid> {
        self.whole()
    }

    fn serve(&self, read: Read<'_>, out: &mut Vec<u8>) -> Option<(Zxid, Code)> {
        out.extend_from_slice(b"torn");
        let zxid = self.whole()?;
        out.truncate(out.len() - 4);
        let mut scene = self.0.borrow_mut();
        scene.served += 1;
        if read.op == Op::WhoAmI {
            return Some((zxid, Code::Ok));
        }
        if let Ok(record) = SetWatches2::decode_as(read.op, read.body)
            && matches!(read.op, Op::SetWatches | Op::SetWatches2)
        {
            out.extend(scene.missed(&record));
            return Some((zxid, Code::Ok));
        }
        let Ok(request) = PathWatchRequest::decode(read.body) else {
            return Some((zxid, Code::MarshallingError));
        };
        match scene.znodes.get(request.path.unwrap_or_default()) {
            Some((data, _)) => {
                out.extend_from_slice(data);
                Some((zxid, Code::Ok))
            }
            None => Some((zxid, Code::NoNode)),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Letters(pub(super) VecDeque<Deliver>);

impl Inbox for Letters {
    fn next(&mut self) -> Option<Deliver> {
        self.0.pop_front()
    }

    fn spent(&mut self, _: Deliver) {}
}

/// A frame that the shard sent, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    Reply { xid: i32, zxid: i64, code: i32, body: Vec<u8> },
    Event { zxid: i64, kind: i32, path: String },
}

/// A shard, its tree, and what the pipeline and the driver would hold.
pub(super) struct Rig {
    pub(super) shard: Shard<ScriptedTree>,
    pub(super) tree: ScriptedTree,
    pub(super) inbox: Letters,
    pub(super) now_ms: u64,
    pub(super) notices: Vec<Notice>,
    pub(super) closed: Vec<ConnId>,
    pub(super) others: Vec<Output>,
}

impl Rig {
    pub(super) fn new() -> Self {
        Self::settled(ShardSettings::default())
    }

    pub(super) fn settled(settings: ShardSettings) -> Self {
        Self::with(settings, AdmissionSettings::default())
    }

    pub(super) fn with(settings: ShardSettings, admission: AdmissionSettings) -> Self {
        let tree = ScriptedTree::default();
        let admission = Arc::new(Admission::new(admission, 0, 1));
        let shard = Shard::new(settings, tree.clone(), admission, MapSeed { low: 1, high: 2 });
        Self {
            shard,
            tree,
            inbox: Letters::default(),
            now_ms: 100_000,
            notices: Vec::new(),
            closed: Vec::new(),
            others: Vec::new(),
        }
    }

    pub(super) fn accept(&mut self) -> ConnId {
        self.shard.accept(self.now_ms, SocketAddr::from(PEER)).unwrap()
    }

    /// A connection whose session is there; the handshake's answer has been read.
    pub(super) fn connect(&mut self) -> ConnId {
        let conn = self.accept();
        self.read(conn, &hello(SessionId::NONE, 0));
        self.forwarded();
        self.deliver(
            vec![DeliverItem::Connected { conn, session: SESSION, timeout_ms: 10_000 }],
            &[],
        );
        let answer = self.take(conn);
        assert_eq!(answer.len(), 41);
        conn
    }

    pub(super) fn read(&mut self, conn: ConnId, bytes: &[u8]) {
        self.shard.received(self.now_ms, conn, bytes, &mut self.inbox);
        self.outputs();
    }

    pub(super) fn ask(&mut self, conn: ConnId, xid: i32, op: Op, body: &[u8]) {
        self.read(conn, &request(xid, op.number(), body));
    }

    /// Everything that the pipeline was asked since the last call.
    pub(super) fn forwarded(&mut self) -> Forward {
        self.shard.take_forward(None).unwrap_or_default()
    }

    /// One message of the pipeline; its ranges mean `bytes`.
    pub(super) fn deliver(&mut self, items: Vec<DeliverItem>, bytes: &[u8]) {
        self.post(items, bytes);
        self.shard.drain(self.now_ms, &mut self.inbox);
        self.outputs();
    }

    /// Leaves a message in the inbox, and the tree where it says.
    pub(super) fn post(&mut self, items: Vec<DeliverItem>, bytes: &[u8]) {
        let applied = Zxid(self.tree.0.borrow().zxid);
        self.inbox.0.push_back(Deliver { applied, items, bytes: bytes.to_vec() });
    }

    /// Answers every request that is forwarded, in order, with its code and its body.
    pub(super) fn answer_all(&mut self, code: Code) -> usize {
        let forward = self.forwarded();
        let mut items = Vec::new();
        for item in &forward.items {
            if let ForwardItem::Request { conn, xid, body, .. } = item {
                let zxid = Zxid(self.tree.0.borrow().zxid);
                let (conn, xid, body) = (*conn, *xid, body.clone());
                items.push(DeliverItem::Reply { conn, xid, zxid, code, body });
            }
        }
        let count = items.len();
        self.deliver(items, &forward.bytes);
        count
    }

    fn outputs(&mut self) {
        while let Some(output) = self.shard.next_output() {
            match output {
                Output::Notice(notice) => self.notices.push(notice),
                Output::Close { conn } => self.closed.push(conn),
                other => self.others.push(other),
            }
        }
    }

    /// What is unsent to `conn`, as if the socket had taken it.
    pub(super) fn take(&mut self, conn: ConnId) -> Vec<u8> {
        let bytes = self.shard.unsent(conn).to_vec();
        self.shard.sent(self.now_ms, conn, bytes.len());
        self.shard.drain(self.now_ms, &mut self.inbox);
        self.outputs();
        bytes
    }

    /// The same, taken apart.
    pub(super) fn sent(&mut self, conn: ConnId) -> Vec<Sent> {
        frames(&self.take(conn))
    }

    pub(super) fn at(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
        self.shard.deadline(now_ms);
        self.outputs();
    }

    pub(super) fn znode(&mut self, path: &str, zxid: i64) {
        let stamps = Changed { mzxid: Zxid(zxid), pzxid: Zxid(zxid) };
        let mut scene = self.tree.0.borrow_mut();
        scene.znodes.insert(path.into(), (b"data".to_vec(), stamps));
        scene.zxid = scene.zxid.max(zxid);
    }

    pub(super) fn is_closed(&self, conn: ConnId) -> bool {
        self.closed.contains(&conn)
    }
}

/// Takes a stream of frames apart.
pub(super) fn frames(mut bytes: &[u8]) -> Vec<Sent> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let len = i32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
        let (frame, rest) = bytes[4..].split_at(len);
        let header = ReplyHeader::decode(frame).unwrap();
        let body = &frame[ReplyHeader::LEN..];
        frames.push(if header.xid == Xid::NOTIFICATION {
            let event = WatcherEvent::decode(body).unwrap();
            assert_eq!(event.state, 3);
            let path = String::from_utf8(event.path.to_vec()).unwrap();
            Sent::Event { zxid: header.zxid.0, kind: event.kind, path }
        } else {
            let (xid, zxid) = (header.xid.0, header.zxid.0);
            Sent::Reply { xid, zxid, code: header.err, body: body.to_vec() }
        });
        bytes = rest;
    }
    frames
}

pub(super) fn ok(xid: i32, zxid: i64, body: &[u8]) -> Sent {
    Sent::Reply { xid, zxid, code: 0, body: body.to_vec() }
}

pub(super) fn failed(xid: i32, zxid: i64, code: Code) -> Sent {
    Sent::Reply { xid, zxid, code: code.number(), body: Vec::new() }
}

pub(super) fn event(zxid: i64, kind: EventType, path: &str) -> Sent {
    Sent::Event { zxid, kind: kind as i32, path: path.into() }
}

pub(super) fn framed(record: &[u8]) -> Vec<u8> {
    let mut bytes = (record.len() as i32).to_be_bytes().to_vec();
    bytes.extend_from_slice(record);
    bytes
}

pub(super) fn request(xid: i32, op: i32, body: &[u8]) -> Vec<u8> {
    let mut record = Vec::new();
    RequestHeader { xid: Xid(xid), op }.write(&mut record);
    record.extend_from_slice(body);
    framed(&record)
}

pub(super) fn hello_record(session: SessionId, last_zxid_seen: i64) -> Vec<u8> {
    let mut record = Vec::new();
    ConnectRequest {
        protocol_version: 0,
        last_zxid_seen: Zxid(last_zxid_seen),
        timeout_ms: 10_000,
        session,
        password: Some(&[7; 16]),
        read_only: Some(false),
    }
    .write(&mut record);
    record
}

pub(super) fn hello(session: SessionId, last_zxid_seen: i64) -> Vec<u8> {
    framed(&hello_record(session, last_zxid_seen))
}

/// The body of a read with or without a watch.
pub(super) fn read_of(path: &str, watch: Watch) -> Vec<u8> {
    let mut body = Vec::new();
    PathWatchRequest { path: Some(path.as_bytes()), watch: watch == Watch::Yes }.write(&mut body);
    body
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Watch {
    Yes,
    No,
}

/// An event item, and the bytes that it means: path, ACL, parent's ACL.
pub(super) fn changed(zxid: i64, kind: EventType, path: &str) -> (DeliverItem, Vec<u8>) {
    changed_with(zxid, kind, path, None)
}

pub(super) fn changed_with(
    zxid: i64,
    kind: EventType,
    path: &str,
    acl: Option<AclList<'_>>,
) -> (DeliverItem, Vec<u8>) {
    let mut bytes = path.as_bytes().to_vec();
    let path = 0..bytes.len() as u32;
    if let Some(acl) = acl {
        acl.write(&mut bytes);
    }
    let acl = path.end..bytes.len() as u32;
    (DeliverItem::Event { zxid: Zxid(zxid), kind, path, acl: acl.clone(), parent_acl: acl }, bytes)
}
