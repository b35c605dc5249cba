//! Requests: from bytes to an answer, or to the pipeline.
//!
//! ZooKeeper: `NIOServerCnxn.readRequest`, `ZooKeeperServer.processPacket`, the reads of `FinalRequestProcessor`.

use engine::ahead::AHEAD;
use engine::auth::{AuthOutcome, authenticate};
use engine::planted::{self, Bug};
use engine::watch::{WatchKind, Watcher};
use jute::{
    AuthPacket, Code, Op, PathWatchRequest, Record as _, ReplyHeader, RequestHeader, Xid, Zxid,
};

use super::connection::{Pending, Refused, Stage, Work};
use super::frame::{Frame, LENGTH_LEN};
use super::notice::printable;
use super::outbound::{FrameStart, Outbound};
use super::tree::Read;
use super::{Fate, Inbox, Notice, Output, Shard, Tree};
use crate::message::{ConnId, ForwardItem};

/// The answer to a request that is too long.
///
/// Differs: the reference closes the connection, and clients try the same again for ever. Of the codes that can mean it,
/// this is the one that every client knows and none retries.
const OVERSIZE_CODE: Code = Code::BadArguments;

/// Bytes of a request header.
const HEADER_LEN: usize = 8;

/// How often a local read is tried before the pipeline is asked.
const READ_TRIES: u32 = 64;

/// One request that was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) conn: ConnId,
    pub(super) xid: Xid,
    pub(super) op: Op,
    pub(super) body: &'a [u8],
    pub(super) started_ms: u64,
}

/// The reads among the next [`AHEAD`] whole requests at the front of `input`.
fn reads(input: &[u8], len_max: usize) -> impl Iterator<Item = (Op, &[u8])> {
    let mut rest = input;
    let records = std::iter::from_fn(move || {
        let Frame::Whole(record) = Frame::parse(rest, len_max) else { return None };
        rest = &rest[LENGTH_LEN + record.len()..];
        Some(record)
    });
    let records = records.take(AHEAD);
    records.filter_map(|it| Some((op_of(it)?, it.get(HEADER_LEN..)?))).filter(|it| !it.0.is_write())
}

impl<T: Tree> Shard<T> {
    /// Takes as many requests as may be taken now from what was left unread and `bytes`; keeps the rest.
    pub(super) fn pump(&mut self, now_ms: u64, conn: ConnId, bytes: &[u8], inbox: &mut dyn Inbox) {
        let Some(connection) = self.table.get_mut(conn) else { return };
        if connection.stage == Stage::Closing {
            return;
        }
        if connection.unread.is_empty() {
            let taken = self.take_requests(now_ms, conn, bytes, inbox);
            if taken < bytes.len()
                && let Some(connection) = self.table.get_mut(conn)
                && connection.stage != Stage::Closing
            {
                connection.unread = self.outbound.buffer();
                connection.unread.extend_from_slice(&bytes[taken..]);
                self.outbound.buffered += bytes.len() - taken;
            }
            return;
        }
        let mut unread = std::mem::take(&mut connection.unread);
        self.outbound.buffered -= unread.len();
        unread.extend_from_slice(bytes);
        let taken = self.take_requests(now_ms, conn, &unread, inbox);
        match self.table.get_mut(conn) {
            Some(connection) if connection.stage != Stage::Closing && taken < unread.len() => {
                unread.drain(..taken);
                self.outbound.buffered += unread.len();
                connection.unread = unread;
            }
            other => {
                if let Some(connection) = other {
                    connection.held_back_ms = None;
                }
                self.outbound.give_back(unread);
            }
        }
    }

    /// Takes requests from the front of `input`; how many bytes that was.
    fn take_requests(
        &mut self,
        now_ms: u64,
        conn: ConnId,
        input: &[u8],
        inbox: &mut dyn Inbox,
    ) -> usize {
        let (mut at, mut count) = (0, 0_usize);
        while let Some(connection) = self.table.get_mut(conn) {
            let skipped = connection.skip.min(input.len() - at);
            connection.skip -= skipped;
            at += skipped;
            if at == input.len() {
                break;
            }
            let load = &self.load;
            if !load.can_take(&self.settings, &self.outbound, &self.forward, connection) {
                if self.load.holds_back(&self.settings.throttle, connection) {
                    self.hold_back(now_ms, conn);
                }
                self.stall(conn);
                break;
            }
            let rest = &input[at..];
            let taken = if connection.stage == Stage::Fresh {
                self.greet(now_ms, conn, rest)
            } else {
                if count.is_multiple_of(AHEAD) {
                    self.tree.look_ahead(reads(rest, self.settings.request_len_max));
                }
                count += 1;
                self.take_request(now_ms, conn, rest, inbox)
            };
            if taken == 0 {
                break;
            }
            at += taken;
        }
        at
    }

    /// Takes the request at the front of `input`, if it is whole; how many bytes that was.
    fn take_request(
        &mut self,
        now_ms: u64,
        conn: ConnId,
        input: &[u8],
        inbox: &mut dyn Inbox,
    ) -> usize {
        match Frame::parse(input, self.settings.request_len_max) {
            Frame::Part => 0,
            Frame::Whole(body) => {
                self.request(now_ms, conn, body, inbox);
                LENGTH_LEN + body.len()
            }
            Frame::Oversize { len, head } => {
                let long_ok = len <= self.settings.set_watches_len_max;
                if long_ok && op_of(head).is_some_and(is_set_watches) {
                    let Frame::Whole(body) = Frame::parse(input, len) else { return 0 };
                    self.request(now_ms, conn, body, inbox);
                    return LENGTH_LEN + body.len();
                }
                self.oversize(now_ms, conn, len, head)
            }
            Frame::Negative(len) => self.refuse_length(conn, i64::from(len)),
        }
    }

    fn oversize(&mut self, now_ms: u64, conn: ConnId, len: usize, head: &[u8]) -> usize {
        let Some(connection) = self.table.get_mut(conn) else { return 0 };
        let op = op_of(head);
        let skippable = len <= self.settings.skip_len_max
            && op.is_some_and(|op| !matches!(op, Op::Auth | Op::Sasl));
        let fate = if skippable { Fate::Answered } else { Fate::Closed };
        self.load.oversize += 1;
        let (peer, session) = (connection.peer, connection.session);
        let (path, len_max) = (path_of(head), self.settings.request_len_max);
        let notice = Notice::Oversize { peer, session, op, path, len, len_max, fate };
        self.outputs.push_back(Output::Notice(notice));
        let (Some(op), Ok(header), true) = (op, RequestHeader::decode(head), skippable) else {
            self.close(conn);
            return 0;
        };
        connection.skip = len - head.len();
        connection.counts.received += 1;
        self.figures.packets_received += 1;
        self.figures.bytes_received_count += (LENGTH_LEN + len) as u64;
        let request = Request { conn, xid: header.xid, op, body: &[], started_ms: now_ms };
        self.refuse(request, Refused::Answer(OVERSIZE_CODE));
        LENGTH_LEN + head.len()
    }

    /// One whole request.
    fn request(&mut self, now_ms: u64, conn: ConnId, record: &[u8], inbox: &mut dyn Inbox) {
        let Some(connection) = self.table.get_mut(conn) else { return };
        let header = match RequestHeader::decode(record) {
            Ok(header) => header,
            Err(error) => return self.refuse_record(conn, error),
        };
        connection.counts.received += 1;
        self.figures.packets_received += 1;
        self.figures.bytes_received_count += (LENGTH_LEN + record.len()) as u64;
        let (xid, body) = (header.xid, &record[HEADER_LEN..]);
        let op = Op::from_number(header.op);
        if !matches!(op, Some(Op::Auth | Op::Sasl)) && !self.settings.auth.lets_in(&connection.auth)
        {
            self.reply_now(conn, xid, Zxid::ZERO, Code::SessionClosedRequireAuth);
            return self.close(conn);
        }
        let Some(op) = op else {
            let request = Request { conn, xid, op: Op::Error, body, started_ms: now_ms };
            return self.refuse(request, Refused::Unimplemented);
        };
        let request = Request { conn, xid, op, body, started_ms: now_ms };
        if self.is_in_time(request) {
            self.dispatch(request, inbox);
        }
    }

    fn dispatch(&mut self, request: Request<'_>, inbox: &mut dyn Inbox) {
        let Some(connection) = self.table.get_mut(request.conn) else { return };
        let alone = connection.pending.is_empty();
        match request.op {
            Op::Auth => self.auth(request),
            Op::Sasl => self.sasl(request),
            Op::Exists
            | Op::GetData
            | Op::GetAcl
            | Op::GetChildren
            | Op::GetChildren2
            | Op::MultiRead
            | Op::GetEphemerals
            | Op::GetAllChildrenNumber
            | Op::WhoAmI
            | Op::SetWatches
            | Op::SetWatches2 => {
                if alone || planted::has(Bug::ReadBeforeWrite) {
                    self.read(request, inbox);
                } else {
                    self.forward(request);
                }
            }
            Op::Ping | Op::AddWatch | Op::CheckWatches | Op::RemoveWatches => {
                if alone {
                    self.catch_up(request.started_ms, inbox);
                    self.run(request.started_ms, request);
                } else {
                    self.wait(request, Work::Local(request.body.into()));
                }
            }
            op if op.is_write() || op == Op::Sync => self.forward(request),
            Op::CloseSession => {
                connection.ending = true;
                self.forward(request);
            }
            // What only servers ask for among themselves, and a check outside of a multi.
            _ => self.refuse(request, Refused::Unimplemented),
        }
    }

    /// Answers a read from the arena, or hands it over.
    fn read(&mut self, request: Request<'_>, inbox: &mut dyn Inbox) {
        let Request { conn, op, body, started_ms, .. } = request;
        for _ in 0..READ_TRIES {
            let Some(connection) = self.table.get_mut(conn) else { return };
            let start = self.outbound.begin_reply(connection);
            let read = Read { session: connection.session, auth: &connection.auth, op, body };
            let served = self.tree.serve(read, &mut connection.out.bytes);
            if let Some((zxid, code)) = served
                && (zxid == self.applied || planted::has(Bug::ReadBeforeEvent))
            {
                return self.served(request, start, (zxid, code));
            }
            self.outbound.undo(connection, start);
            match served {
                None => break,
                // The arena is ahead of what was walked: walk on. Nothing there means that nothing concerned this shard.
                Some((zxid, _)) if self.applied < zxid => {
                    if self.walk_all(started_ms, inbox) == 0 {
                        self.applied = zxid;
                    }
                }
                // The pipeline has told, and publishes within the next moment.
                Some(_) => std::hint::spin_loop(),
            }
        }
        self.load.handed_over += 1;
        self.forward(request);
    }

    /// Walks on as far as the arena is, so that what a shard answers itself is no older than what another has shown. If the writer stays
    /// in the way, the answer is of the moment before.
    fn catch_up(&mut self, now_ms: u64, inbox: &mut dyn Inbox) {
        for _ in 0..READ_TRIES {
            match self.tree.zxid() {
                Some(zxid) if zxid == self.applied => return,
                Some(zxid) if self.applied < zxid => {
                    if self.walk_all(now_ms, inbox) == 0 {
                        self.applied = zxid;
                    }
                }
                // It is being applied, or published within the next moment.
                _ => std::hint::spin_loop(),
            }
        }
    }

    /// Ends the reply to a read that the arena answered.
    fn served(&mut self, request: Request<'_>, start: FrameStart, (zxid, code): (Zxid, Code)) {
        let Request { conn, xid, op, body, started_ms } = request;
        if is_set_watches(op) {
            let Some(connection) = self.table.get_mut(conn) else { return };
            // Its events come before its reply.
            let missed = connection.out.bytes.split_off(Outbound::body_at(start));
            self.outbound.undo(connection, start);
            let code = self.set_again(conn, code, (op, body), &missed);
            self.reply_now(conn, xid, zxid, code);
        } else {
            let code = self.watch_for(conn, op, code, body);
            let Some(connection) = self.table.get_mut(conn) else { return };
            let header = ReplyHeader::new(xid, zxid, code);
            self.outbound.end_reply(conn, connection, start, header);
            connection.counts.sent += 1;
            self.figures.packets_sent += 1;
        }
        self.counted(started_ms, request, zxid);
    }

    /// Leaves the watch that an answered read asked for. The code to answer.
    fn watch_for(&mut self, conn: ConnId, op: Op, code: Code, body: &[u8]) -> Code {
        let Some((kind, path)) = watch_of(op, body) else { return code };
        self.leave_watch(conn, kind, path, code)
    }

    /// Leaves a watch if a read of this outcome does. The code to answer.
    pub(super) fn leave_watch(
        &mut self,
        conn: ConnId,
        kind: WatchKind,
        path: &[u8],
        code: Code,
    ) -> Code {
        let kind = match (kind, code) {
            (_, Code::Ok) => kind,
            (WatchKind::Exist, Code::NoNode) => WatchKind::Exist,
            _ => return code,
        };
        match self.watches.add(Watcher(conn.slot), path, kind) {
            Ok(_) => code,
            Err(_) => Code::QuotaExceeded,
        }
    }

    /// Sends a request to the pipeline.
    fn forward(&mut self, request: Request<'_>) {
        let Request { conn, xid, op, body, .. } = request;
        let Some(connection) = self.table.get_mut(conn) else { return };
        if !self.load.depart(&self.settings.throttle, body.len()) {
            return self.refuse_large(request);
        }
        let start = self.forward.bytes.len() as u32;
        self.forward.bytes.extend_from_slice(body);
        let range = start..self.forward.bytes.len() as u32;
        let session = connection.session;
        self.forward.items.push(ForwardItem::Request { conn, session, xid, op, body: range });
        if 0 < xid.0 {
            connection.outstanding += 1;
            self.load.outstanding += 1;
        }
        let watch = if is_set_watches(op) {
            Some(body.into())
        } else {
            watch_of(op, body).map(|(_, path)| path.into())
        };
        self.wait(request, Work::Remote { len: body.len() as u32, watch });
    }

    fn wait(&mut self, request: Request<'_>, work: Work) {
        let Request { conn, xid, op, started_ms, .. } = request;
        if let Some(connection) = self.table.get_mut(conn) {
            connection.pending.push_back(Pending { xid, op, started_ms, work });
        }
    }

    /// Says no, in its turn.
    pub(super) fn refuse(&mut self, request: Request<'_>, refused: Refused) {
        let Some(connection) = self.table.get_mut(request.conn) else { return };
        connection.ending |= refused == Refused::Unimplemented;
        if connection.pending.is_empty() {
            self.run_refused(request, refused);
        } else {
            self.wait(request, Work::Refused(refused));
        }
    }

    pub(super) fn run_refused(&mut self, request: Request<'_>, refused: Refused) {
        let Request { conn, xid, .. } = request;
        match refused {
            Refused::Answer(code) => {
                self.reply_now(conn, xid, self.applied, code);
                self.counted(request.started_ms, request, self.applied);
            }
            Refused::Unimplemented => {
                self.reply_now(conn, xid, Zxid(-1), Code::Unimplemented);
                self.close(conn);
            }
        }
    }

    /// A reply without a body, ahead of whatever is pending.
    pub(super) fn reply_now(&mut self, conn: ConnId, xid: Xid, zxid: Zxid, code: Code) {
        let Some(connection) = self.table.get_mut(conn) else { return };
        let header = ReplyHeader::new(xid, zxid, code);
        self.outbound.reply(conn, connection, header, &[]);
        connection.counts.sent += 1;
        self.figures.packets_sent += 1;
    }

    /// Counts an answered request.
    pub(super) fn counted(&mut self, now_ms: u64, request: Request<'_>, zxid: Zxid) {
        let Some(connection) = self.table.get_mut(request.conn) else { return };
        let ms = now_ms.saturating_sub(request.started_ms);
        let counts = &mut connection.counts;
        counts.latency.add(ms);
        counts.last_op = Some(request.op);
        counts.last_cxid = Some(request.xid);
        counts.last_zxid = zxid.0;
        counts.last_response_ms = now_ms;
        counts.last_latency_ms = ms;
        let len = self.outbound.last_len as u64;
        self.figures.response_bytes += len;
        self.figures.client_response_size.add(len);
        self.figures.latency.add(ms);
        match request.op {
            Op::Exists | Op::GetData | Op::GetAcl | Op::GetChildren | Op::GetChildren2 => {
                self.figures.readlatency.add(ms);
            }
            Op::Ping => {}
            op if op.is_write() => self.figures.updatelatency.add(ms),
            _ => {}
        }
    }

    fn auth(&mut self, request: Request<'_>) {
        let Request { conn, xid, body, .. } = request;
        let packet = match AuthPacket::decode(body) {
            Ok(packet) => packet,
            Err(error) => return self.refuse_record(conn, error),
        };
        let Some(connection) = self.table.get_mut(conn) else { return };
        let mut ids = (*connection.auth).clone();
        let outcome = authenticate(&self.settings.auth, &mut ids, packet.scheme, packet.auth);
        match outcome {
            AuthOutcome::Proved => {
                if ids != *connection.auth {
                    connection.auth = ids.into();
                    let auth = connection.auth.clone();
                    self.forward.items.push(ForwardItem::Auth { conn, auth });
                }
                self.reply_now(conn, xid, Zxid::ZERO, Code::Ok);
            }
            AuthOutcome::Failed => {
                self.figures.auth_failed_count += 1;
                let (peer, session) = (connection.peer, connection.session);
                let scheme = printable(packet.scheme.unwrap_or_default());
                self.outputs.push_back(Output::Notice(Notice::AuthFailed {
                    peer,
                    session,
                    scheme,
                }));
                self.reply_now(conn, xid, Zxid::ZERO, Code::AuthFailed);
                self.close(conn);
            }
            AuthOutcome::WrongEnsemble => self.close(conn),
        }
    }

    /// Without a JAAS section, the reference answers every token with null.
    fn sasl(&mut self, request: Request<'_>) {
        let Some(connection) = self.table.get_mut(request.conn) else { return };
        let header = ReplyHeader::new(request.xid, Zxid::ZERO, Code::Ok);
        self.outbound.reply(request.conn, connection, header, &(-1_i32).to_be_bytes());
        connection.counts.sent += 1;
        self.figures.packets_sent += 1;
    }
}

/// Whether an op sets a client's watches again.
pub(super) fn is_set_watches(op: Op) -> bool {
    matches!(op, Op::SetWatches | Op::SetWatches2)
}

/// The watch that a read asks for.
fn watch_of(op: Op, body: &[u8]) -> Option<(WatchKind, &[u8])> {
    let kind = match op {
        Op::GetData => WatchKind::Data,
        Op::Exists => WatchKind::Exist,
        Op::GetChildren | Op::GetChildren2 => WatchKind::Child,
        _ => return None,
    };
    let request = PathWatchRequest::decode(body).ok()?;
    request.watch.then(|| (kind, request.path.unwrap_or_default()))
}

fn op_of(head: &[u8]) -> Option<Op> {
    RequestHeader::decode(head).ok().and_then(|header| Op::from_number(header.op))
}

/// The beginning of the path in the head of a request: nearly every record starts with it.
fn path_of(head: &[u8]) -> String {
    let body = head.get(HEADER_LEN..).unwrap_or_default();
    let Some((len, rest)) = body.split_first_chunk::<4>() else { return String::new() };
    let len = usize::try_from(i32::from_be_bytes(*len)).unwrap_or(0);
    printable(&rest[..len.min(rest.len())])
}
