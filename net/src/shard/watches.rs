//! Requests that the shard itself answers: watches and pings.
//!
//! ZooKeeper: `DataTree.setWatches`, `addWatch`, `removeWatch`, `containsWatcher`, and their cases in
//! `FinalRequestProcessor`.

use engine::watch::{TooManyWatches, WatchKind, Watcher, WatcherType};
use jute::{
    AddWatchRequest, Code, DecodeError, EventType, KeeperState, Op, PathTypeRequest, Record,
    ReplyHeader, SetWatches, SetWatches2, Strings, WatcherEvent, Zxid,
};

use super::request::Request;
use super::tree::Stamps;
use super::{Inbox, Shard, Tree};

/// What becomes of a watch that a client sets again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    /// It fires at once: the client has missed this.
    Fire(EventType),
    /// It is left.
    Leave,
}

impl<T: Tree> Shard<T> {
    /// Runs a request that is first in its turn. `inbox` is none in the middle of walking it.
    pub(super) fn run(&mut self, request: Request<'_>, inbox: Option<&mut dyn Inbox>) {
        self.run_at(request.started_ms, request, inbox);
    }

    pub(super) fn run_at(
        &mut self,
        now_ms: u64,
        request: Request<'_>,
        inbox: Option<&mut dyn Inbox>,
    ) {
        let Request { conn, op, body, .. } = request;
        let code = match op {
            Op::Ping => Ok(Code::Ok),
            Op::AddWatch => AddWatchRequest::decode(body).map(|it| self.add_watch(request, it)),
            Op::CheckWatches => PathTypeRequest::decode(body).map(|it| self.check(request, it)),
            Op::RemoveWatches => PathTypeRequest::decode(body).map(|it| self.remove(request, it)),
            Op::SetWatches => self.set_watches(now_ms, request, inbox),
            Op::SetWatches2 => self.set_watches_2(now_ms, request, inbox),
            _ => unreachable!("{op:?} is not run by the shard"),
        };
        let code = code.unwrap_or(Code::MarshallingError);
        let zxid = self.applied;
        let Some(connection) = self.table.get_mut(conn) else { return };
        // addWatch alone has a body: an error record that says Ok.
        let body: &[u8] = if op == Op::AddWatch { &[0; 4] } else { &[] };
        self.outbound.reply(
            conn,
            connection,
            ReplyHeader::new(request.xid, zxid, code),
            match code {
                Code::Ok => body,
                _ => &[],
            },
        );
        connection.counts.sent += 1;
        self.figures.packets_sent += 1;
        self.counted(now_ms, request, zxid);
    }

    fn add_watch(&mut self, request: Request<'_>, record: AddWatchRequest<'_>) -> Code {
        let (Some(kind), Some(path)) = (WatchKind::from_add_mode(record.mode), record.path) else {
            return Code::MarshallingError;
        };
        match self.watches.add(Watcher(request.conn.slot), path, kind) {
            Ok(_) => Code::Ok,
            Err(TooManyWatches { .. }) => Code::QuotaExceeded,
        }
    }

    fn check(&self, request: Request<'_>, record: PathTypeRequest<'_>) -> Code {
        let (Some(kind), Some(path)) = (WatcherType::from_number(record.kind), record.path) else {
            return Code::MarshallingError;
        };
        let there = self.watches.contains(Watcher(request.conn.slot), path, kind);
        if there { Code::Ok } else { Code::NoWatcher }
    }

    fn remove(&mut self, request: Request<'_>, record: PathTypeRequest<'_>) -> Code {
        let (Some(kind), Some(path)) = (WatcherType::from_number(record.kind), record.path) else {
            return Code::MarshallingError;
        };
        let removed = self.watches.remove(Watcher(request.conn.slot), path, kind);
        if removed { Code::Ok } else { Code::NoWatcher }
    }

    fn set_watches(
        &mut self,
        now_ms: u64,
        request: Request<'_>,
        inbox: Option<&mut dyn Inbox>,
    ) -> Result<Code, DecodeError> {
        let record = SetWatches::decode(request.body)?;
        let SetWatches { relative_zxid, data, exist, child } = record;
        let none = Strings::EMPTY;
        let record =
            SetWatches2 { relative_zxid, data, exist, child, persistent: none, recursive: none };
        Ok(self.set_again(now_ms, request, record, inbox))
    }

    fn set_watches_2(
        &mut self,
        now_ms: u64,
        request: Request<'_>,
        inbox: Option<&mut dyn Inbox>,
    ) -> Result<Code, DecodeError> {
        let record = SetWatches2::decode(request.body)?;
        Ok(self.set_again(now_ms, request, record, inbox))
    }

    /// Sets a client's watches again, and tells it what it has missed.
    ///
    /// A watch is left before the events of later transactions are walked, and the tree is read where everything earlier
    /// has been walked: nothing is missed, and nothing is told that did not happen.
    fn set_again(
        &mut self,
        now_ms: u64,
        request: Request<'_>,
        record: SetWatches2<'_>,
        mut inbox: Option<&mut dyn Inbox>,
    ) -> Code {
        let seen = record.relative_zxid;
        let one_shot = [
            (WatchKind::Data, record.data),
            (WatchKind::Exist, record.exist),
            (WatchKind::Child, record.child),
        ];
        for (kind, paths) in one_shot {
            for path in &paths {
                let stamps = self.stamps(now_ms, path, &mut inbox);
                match again(kind, stamps, seen) {
                    Again::Fire(event) => self.fire_now(request, event, path),
                    Again::Leave if self.leave(request, path, kind).is_err() => {
                        return Code::QuotaExceeded;
                    }
                    Again::Leave => {}
                }
            }
        }
        let standing = [
            (WatchKind::Persistent, record.persistent),
            (WatchKind::PersistentRecursive, record.recursive),
        ];
        for (kind, paths) in standing {
            for path in &paths {
                if self.leave(request, path, kind).is_err() {
                    return Code::QuotaExceeded;
                }
            }
        }
        Code::Ok
    }

    fn leave(
        &mut self,
        request: Request<'_>,
        path: &[u8],
        kind: WatchKind,
    ) -> Result<(), TooManyWatches> {
        self.watches.add(Watcher(request.conn.slot), path, kind).map(drop)
    }

    /// Tells one connection what it has missed. No transaction of now did it, so the zxid is −1.
    fn fire_now(&mut self, request: Request<'_>, kind: EventType, path: &[u8]) {
        let Some(connection) = self.table.get_mut(request.conn) else { return };
        let state = KeeperState::SyncConnected as i32;
        let event = WatcherEvent { kind: kind as i32, state, path };
        self.outbound.event(request.conn, connection, Zxid(-1), event);
        connection.counts.sent += 1;
        self.figures.packets_sent += 1;
        self.load.events += 1;
    }

    /// When `path` last changed, in a tree that is not behind what was walked.
    ///
    /// Waits for the writer: between telling and publishing a batch it does nothing else, so that is a moment.
    fn stamps(
        &mut self,
        now_ms: u64,
        path: &[u8],
        inbox: &mut Option<&mut dyn Inbox>,
    ) -> Option<Stamps> {
        let mut tries = 0_u32;
        loop {
            match (self.tree.stamps(path), inbox.as_mut()) {
                (Some((zxid, stamps)), _) if zxid == self.applied => return stamps,
                (Some((zxid, _)), Some(inbox)) if self.applied < zxid => {
                    if self.walk_all(now_ms, *inbox) == 0 {
                        self.applied = zxid;
                    }
                }
                // In the middle of a walk. The events up to `zxid` that are still to come may fire what is left now: they
                // tell the truth, if late.
                (Some((zxid, stamps)), None) if self.applied < zxid => return stamps,
                _ => {
                    tries += 1;
                    std::hint::spin_loop();
                    if tries.is_multiple_of(1_000) {
                        std::thread::yield_now();
                    }
                }
            }
        }
    }
}

/// What becomes of a one-shot watch of a client that has seen everything up to `seen`.
///
/// Source: `DataTree.setWatches`.
fn again(kind: WatchKind, stamps: Option<Stamps>, seen: Zxid) -> Again {
    match (kind, stamps) {
        (WatchKind::Exist, Some(_)) => Again::Fire(EventType::NodeCreated),
        (WatchKind::Data | WatchKind::Child, None) => Again::Fire(EventType::NodeDeleted),
        (WatchKind::Data, Some(stamps)) if seen < stamps.mzxid => {
            Again::Fire(EventType::NodeDataChanged)
        }
        (WatchKind::Child, Some(stamps)) if seen < stamps.pzxid => {
            Again::Fire(EventType::NodeChildrenChanged)
        }
        _ => Again::Leave,
    }
}

/// The watch that an op can leave.
pub(super) fn kind_of(op: Op) -> Option<WatchKind> {
    match op {
        Op::GetData => Some(WatchKind::Data),
        Op::Exists => Some(WatchKind::Exist),
        Op::GetChildren | Op::GetChildren2 => Some(WatchKind::Child),
        _ => None,
    }
}
