//! Clients: they write and sync, at any server that serves, and remember what they were told.

use std::time::Duration;

use jute::{Record, SessionId, TxnHeader, Zxid};
use quorum::Moment;
use quorum::wire::{IdList, Message};
use quorum::zab::{Input, SyncFrom};

use super::{Event, World};
use crate::disk::Txn;
use crate::node::Request;
use crate::violation::Violation;

/// The op of `sync`. Source: `ZooDefs.OpCode.sync`.
pub(super) const SYNC: i32 = 9;

/// The op of the writes: `setData`.
const WRITE: i32 = 5;

/// How long a client waits before it gives up, and comes back as another.
const PATIENCE: Duration = Duration::from_secs(2);

/// A client.
#[derive(Clone, Debug)]
pub(super) struct Client {
    session: SessionId,
    cxid: i32,
    waiting: Option<Waiting>,
}

/// What a client waits for.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    node: usize,
    /// Which role of which life of the server.
    stint: u64,
    cxid: i32,
    is_sync: bool,
    since: Moment,
    /// What was acknowledged to anybody when it began.
    before: Zxid,
}

impl Client {
    pub(super) fn new(number: usize) -> Self {
        Self { session: SessionId((number as i64 + 1) << 32), cxid: 0, waiting: None }
    }
}

/// The transaction of a write.
pub(super) fn txn(zxid: Zxid, client: SessionId, cxid: i32) -> Vec<u8> {
    let mut bytes = Vec::new();
    TxnHeader { client, cxid, zxid, time_ms: 0, op: WRITE }.encode(&mut bytes);
    bytes.resize(bytes.len() + (cxid as usize * 7) % 90, cxid as u8);
    bytes
}

impl World {
    /// A client's turn.
    pub(super) fn client(&mut self, number: usize) {
        let think = Duration::from_micros(self.load.within(500..60_000));
        self.after(think, Event::Client { client: number });
        let client = &mut self.clients[number];
        if let Some(waiting) = client.waiting {
            let stint = self.nodes[waiting.node].stint;
            if stint == waiting.stint && self.now.since(waiting.since) < PATIENCE {
                return;
            }
            // Whether it was done is not known: it comes back as another.
            client.waiting = None;
            client.session = client.session.next();
            client.cxid = 0;
        }
        let node = self.load.index(self.nodes.len());
        let it = &self.nodes[node];
        if it.serving.is_none() || it.server.is_none() || self.now < it.paused_until {
            return;
        }
        let is_sync = self.load.hits(200);
        let client = &mut self.clients[number];
        client.cxid += 1;
        let (session, cxid) = (client.session, client.cxid);
        let before = self.checker.acked_max();
        let stint = self.nodes[node].stint;
        let since = self.now;
        client.waiting = Some(Waiting { node, stint, cxid, is_sync, since, before });
        let id = (number as u64) << 32 | cxid as u64;
        self.submit(node, (session, cxid), is_sync.then_some(id));
    }

    /// A server takes a client's request: a write, or a sync of this number.
    fn submit(&mut self, node: usize, (session, cxid): (SessionId, i32), sync: Option<u64>) {
        let Some(peer) = self.nodes[node].peer() else { return };
        if let Some(link) = peer.request_link() {
            let op = if sync.is_some() { SYNC } else { WRITE };
            let authinfo = IdList::NULL;
            let message = Message::Request { session, cxid, op, body: b"body", authinfo };
            self.write(node, link, &message);
            if let Some(id) = sync {
                self.step(node, Input::Sync { from: SyncFrom::Local(id) });
            }
            self.flush(node);
        } else if peer.next_zxid().is_some() {
            let request = match sync {
                Some(id) => Request::Sync(SyncFrom::Local(id)),
                None => Request::Write { session, cxid },
            };
            self.nodes[node].requests.push_back(request);
            self.pump_soon(node);
        }
    }

    /// A server has applied a transaction: if it is its client's, the client is told.
    pub(super) fn reply(&mut self, node: usize, txn: &Txn) {
        let Ok(header) = TxnHeader::decode(&txn.bytes) else { return };
        let stint = self.nodes[node].stint;
        let Some(client) = self.clients.iter_mut().find(|it| it.session == header.client) else {
            return;
        };
        let waits = |it: &mut Waiting| {
            !it.is_sync && (it.node, it.stint, it.cxid) == (node, stint, header.cxid)
        };
        if let Some(waiting) = client.waiting.take_if(waits)
            && let Err(violation) = self.checker.ack(waiting.before, txn.zxid)
        {
            self.fail(violation);
        }
    }

    /// A server says that it has caught up for a client.
    pub(super) fn synced(&mut self, node: usize, id: u64) {
        let client = &mut self.clients[(id >> 32) as usize];
        let cxid = id as u32 as i32;
        let stint = self.nodes[node].stint;
        let waits =
            |it: &mut Waiting| it.is_sync && (it.node, it.stint, it.cxid) == (node, stint, cxid);
        let Some(waiting) = client.waiting.take_if(waits) else { return };
        self.summary.syncs += 1;
        let applied = self.nodes[node].applied.zxid;
        if applied < waiting.before {
            let sid = self.nodes[node].sid;
            self.fail(Violation::StaleSync { sid, applied, acked: waiting.before });
        }
    }
}
