//! What the pipeline has done: events and replies, into the send buffers, in its order.
//!
//! ZooKeeper: the writing half of `FinalRequestProcessor`, `NIOServerCnxn.process`.

use std::ops::Range;

use engine::auth::check_acl;
use engine::watch::{Firing, Subject};
use jute::{AclList, Code, EventType, KeeperState, Op, Perms, ReplyHeader, WatcherEvent, Zxid};

use super::connection::{Pending, Stage, Work};
use super::report::PENDING_MAX;
use super::request::{Request, is_set_watches};
use super::{Inbox, Notice, Output, Shard, Tree};
use crate::message::{ConnId, Deliver, DeliverItem};
use crate::words::Serving;

impl<T: Tree> Shard<T> {
    /// Walks every message of the inbox; how many there were.
    pub(super) fn walk_all(&mut self, now_ms: u64, inbox: &mut dyn Inbox) -> usize {
        let mut count = 0;
        while let Some(deliver) = inbox.next() {
            self.walk(now_ms, &deliver);
            inbox.spent(deliver);
            count += 1;
        }
        count
    }

    /// Walks one message from front to back.
    fn walk(&mut self, now_ms: u64, deliver: &Deliver) {
        let bytes = |range: &Range<u32>| &deliver.bytes[range.start as usize..range.end as usize];
        for item in &deliver.items {
            match item {
                DeliverItem::Event { zxid, kind, path, acl, parent_acl } => {
                    self.applied = self.applied.max(*zxid);
                    self.event(*zxid, *kind, bytes(path), [bytes(acl), bytes(parent_acl)]);
                }
                DeliverItem::Reply { conn, xid, zxid, code, body } => {
                    self.applied = self.applied.max(*zxid);
                    let header = ReplyHeader::new(*xid, *zxid, *code);
                    self.replied(now_ms, *conn, header, bytes(body));
                }
                DeliverItem::Connected { conn, session, timeout_ms } => {
                    self.connected(now_ms, *conn, *session, *timeout_ms);
                }
                DeliverItem::Refused { conn } => self.refused(*conn),
                DeliverItem::Close { conn } => self.close(*conn),
                DeliverItem::Serve(serving) => self.serving = *serving,
                DeliverItem::Stop => {
                    self.serving = Serving::Not;
                    self.shed(None);
                }
            }
        }
        self.applied = self.applied.max(deliver.applied);
    }

    /// A znode changed: everybody hears of it who watches it and may read it.
    ///
    /// `acls` are the znode's and its parent's. Source: `WatchManager.triggerWatch`, `ServerCnxn.process`.
    fn event(&mut self, zxid: Zxid, kind: EventType, path: &[u8], acls: [&[u8]; 2]) {
        let Self { watches, table, outbound, outputs, load, figures, settings, .. } = self;
        let mut deaf = Vec::new();
        let mut fired = [0_u64; 2];
        watches.trigger(kind, path, |firing| {
            let Some(conn) = table.at(firing.watcher.0) else { return };
            let Some(connection) = table.get_mut(conn) else { return };
            let Firing { kind, path, subject, .. } = firing;
            let acl = match subject {
                Subject::Node => acls[0],
                Subject::Parent => acls[1],
            };
            let readable = acl.is_empty()
                || AclList::decode(acl)
                    .is_ok_and(|acl| check_acl(&settings.auth, &connection.auth, acl, Perms::READ));
            if !readable || connection.stage != Stage::Connected {
                return;
            }
            let state = KeeperState::SyncConnected as i32;
            let event = WatcherEvent { kind: kind as i32, state, path };
            outbound.event(conn, connection, zxid, event);
            connection.counts.sent += 1;
            figures.packets_sent += 1;
            load.events += 1;
            figures.watch_bytes += outbound.last_len as u64;
            fired[usize::from(subject == Subject::Parent)] += 1;
            if settings.unsent_len_max < connection.out.len() {
                let (peer, session) = (connection.peer, connection.session);
                let len = connection.out.len();
                outputs.push_back(Output::Notice(Notice::Deaf { peer, session, len }));
                deaf.push(conn);
            }
        });
        let counted = match kind {
            EventType::NodeCreated => Some(&mut figures.node_created_watch_count),
            EventType::NodeDeleted => Some(&mut figures.node_deleted_watch_count),
            EventType::NodeDataChanged => Some(&mut figures.node_changed_watch_count),
            EventType::None | EventType::NodeChildrenChanged => None,
        };
        // A znode that nobody watches is not counted.
        if let Some(counted) = counted.filter(|_| 0 < fired[0]) {
            counted.add(fired[0]);
        }
        if 0 < fired[1] {
            figures.node_children_watch_count.add(fired[1]);
        }
        for conn in deaf {
            self.finish(conn);
        }
    }

    /// The pipeline answered the oldest request of `conn`.
    fn replied(&mut self, now_ms: u64, conn: ConnId, header: ReplyHeader, body: &[u8]) {
        let Some(connection) = self.table.get_mut(conn) else {
            self.figures.stale_replies += 1;
            return;
        };
        if connection.stage == Stage::Closing {
            self.figures.stale_replies += 1;
            return;
        }
        let Some(Pending { xid, op, started_ms, work }) = connection.pending.pop_front() else {
            panic!("an answer to {:?} of {conn:?}, which waits for none", header.xid);
        };
        assert!(
            xid == header.xid,
            "an answer to {:?} of {conn:?} where {xid:?} is next",
            header.xid
        );
        let Work::Remote { len, watch } = work else {
            panic!("an answer to {xid:?} of {conn:?}, which was never sent");
        };
        self.load.arrive(&self.settings.throttle, len as usize);
        if 0 < xid.0 {
            connection.outstanding -= 1;
            self.load.outstanding -= 1;
        }
        let code = Code::from_number(header.err).unwrap_or(Code::SystemError);
        if code == Code::SessionMoved {
            // The reference says nothing: the client has another connection already.
            return self.close(conn);
        }
        let request = Request { conn, xid, op, body: &[], started_ms };
        self.write_reply(now_ms, request, header, code, (body, watch));
        if op == Op::CloseSession {
            return self.close(conn);
        }
        self.run_waiting(now_ms, conn);
        if let Some(connection) = self.table.get(conn)
            && (connection.outstanding == 0 || connection.pending.len() == PENDING_MAX / 2)
        {
            self.wake(conn);
        }
    }

    fn write_reply(
        &mut self,
        now_ms: u64,
        request: Request<'_>,
        header: ReplyHeader,
        code: Code,
        (body, watch): (&[u8], Option<Box<[u8]>>),
    ) {
        let Request { conn, xid, op, .. } = request;
        let (mut answer, mut body) = (code, body);
        if let (Some(record), true) = (&watch, is_set_watches(op)) {
            answer = self.set_again(conn, code, (op, record), body);
            body = &[];
        } else if let (Some(path), Some(kind)) = (&watch, super::watches::kind_of(op)) {
            answer = self.leave_watch(conn, kind, path, code);
        }
        let Some(connection) = self.table.get_mut(conn) else { return };
        let header =
            if answer == code { header } else { ReplyHeader::new(xid, header.zxid, answer) };
        self.outbound.reply(conn, connection, header, body);
        connection.counts.sent += 1;
        self.figures.packets_sent += 1;
        self.counted(now_ms, request, header.zxid);
        self.check_deaf(conn);
    }

    /// A client that lets more than the bound pile up is cut off.
    fn check_deaf(&mut self, conn: ConnId) {
        let Some(connection) = self.table.get(conn) else { return };
        let len = connection.out.len();
        if self.settings.unsent_len_max < len {
            let (peer, session) = (connection.peer, connection.session);
            self.outputs.push_back(Output::Notice(Notice::Deaf { peer, session, len }));
            self.finish(conn);
        }
    }

    /// Does what waited for the reply that was just written.
    fn run_waiting(&mut self, now_ms: u64, conn: ConnId) {
        while let Some(connection) = self.table.get_mut(conn) {
            let local = |pending: &mut Pending| !matches!(pending.work, Work::Remote { .. });
            let Some(Pending { xid, op, started_ms, work }) =
                connection.pending.pop_front_if(local)
            else {
                return;
            };
            match work {
                Work::Local(body) => {
                    let request = Request { conn, xid, op, body: &body, started_ms };
                    self.run(now_ms, request);
                }
                Work::Refused(refused) => {
                    let request = Request { conn, xid, op, body: &[], started_ms };
                    self.run_refused(request, refused);
                }
                Work::Remote { .. } => return,
            }
        }
    }
}
