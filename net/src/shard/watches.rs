//! Requests that the shard itself answers: watches and pings; and watches that are set again, once the tree was asked.
//!
//! ZooKeeper: `DataTree.setWatches`, `addWatch`, `removeWatch`, `containsWatcher`, and their cases in
//! `FinalRequestProcessor`.

use engine::planted::{self, Bug};
use engine::read::one_shot;
use engine::watch::{TooManyWatches, WatchKind, Watcher, WatcherType};
use jute::{
    AddWatchRequest, Code, KeeperState, Op, PathTypeRequest, Record as _, ReplyHeader, SetWatches2,
    WatcherEvent, Zxid,
};

use super::request::Request;
use super::{Shard, Tree};
use crate::message::ConnId;

impl<T: Tree> Shard<T> {
    /// Runs a request that is first in its turn.
    pub(super) fn run(&mut self, now_ms: u64, request: Request<'_>) {
        let Request { conn, op, body, .. } = request;
        let code = match op {
            Op::Ping => Ok(Code::Ok),
            Op::AddWatch => AddWatchRequest::decode(body).map(|it| self.add_watch(request, it)),
            Op::CheckWatches => PathTypeRequest::decode(body).map(|it| self.check(request, it)),
            Op::RemoveWatches => PathTypeRequest::decode(body).map(|it| self.remove(request, it)),
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

    /// Sets a client's watches again, and tells it what it has missed. The code to answer, where that of the read was `code`.
    ///
    /// `missed` is what the tree says of the record, at a zxid up to which everything has been told and nothing later: so
    /// nothing is missed, and nothing is told twice. Source: `DataTree.setWatches`.
    pub(super) fn set_again(
        &mut self,
        conn: ConnId,
        code: Code,
        (op, record): (Op, &[u8]),
        missed: &[u8],
    ) -> Code {
        let (Code::Ok, Ok(record)) = (code, SetWatches2::decode_as(op, record)) else {
            return code;
        };
        let mut missed = missed.iter();
        for (kind, paths) in one_shot(&record) {
            for path in &paths {
                match missed.next() {
                    Some(0) if self.leave(conn, path, kind).is_err() => return Code::QuotaExceeded,
                    Some(0) => {}
                    Some(_) if planted::has(Bug::ForgetMissed) => {}
                    Some(&event) => self.fire_now(conn, event.into(), path),
                    None => panic!("an answer to {op:?} that says nothing of some path"),
                }
            }
        }
        let standing = [
            (WatchKind::Persistent, record.persistent),
            (WatchKind::PersistentRecursive, record.recursive),
        ];
        for (kind, paths) in standing {
            for path in &paths {
                if planted::has(Bug::ForgetStanding) {
                    continue;
                }
                if self.leave(conn, path, kind).is_err() {
                    return Code::QuotaExceeded;
                }
            }
        }
        Code::Ok
    }

    fn leave(&mut self, conn: ConnId, path: &[u8], kind: WatchKind) -> Result<(), TooManyWatches> {
        self.watches.add(Watcher(conn.slot), path, kind).map(drop)
    }

    /// Tells one connection what it has missed. No transaction of now did it, so the zxid is −1.
    fn fire_now(&mut self, conn: ConnId, kind: i32, path: &[u8]) {
        let Some(connection) = self.table.get_mut(conn) else { return };
        let state = KeeperState::SyncConnected as i32;
        let event = WatcherEvent { kind, state, path };
        self.outbound.event(conn, connection, Zxid(-1), event);
        connection.counts.sent += 1;
        self.figures.packets_sent += 1;
        self.load.events += 1;
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
