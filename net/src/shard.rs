//! A session shard: the connections of one core, from bytes read to bytes to send.
//!
//! ZooKeeper: `NIOServerCnxn`, `ZooKeeperServer.processPacket`, the reading half of `FinalRequestProcessor`. A machine:
//! what was read comes in with `now`, what to send, what to ask the pipeline and whom to close go out. Reads are answered
//! here from the arena, unless a request of the same session is still at the pipeline: then they follow it there.
//!
//! Invariants:
//! 1. Replies leave in the order of the requests; auth and sasl alone are answered at once.
//! 2. A reply that shows zxid Z stands behind every event of transactions up to Z in the connection's send buffer: a local
//!    read first walks the inbox, and is accepted only if the arena then shows exactly what was walked.
//! 3. A connection without unfinished requests and unsent replies holds no buffer.
//! 4. What a client sends is never asserted, and costs memory in proportion to its bytes, up to the configured bounds.
//!
//! Absent here: sockets, rings, clocks, the tree (behind [`Tree`]), what four-letter words answer.

mod connection;
mod deliver;
mod frame;
mod handshake;
mod idle;
mod notice;
mod outbound;
mod report;
mod request;
mod settings;
mod table;
#[cfg(test)]
mod tests;
mod throttle;
mod tree;
mod watches;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use engine::map::MapSeed;
use engine::watch::{WatchTable, Watcher};
use jute::{SessionId, Zxid};

use self::connection::{Connection, Stage, Work};
use self::idle::IdleQueue;
use self::outbound::Outbound;
use self::report::Load;
use self::table::Table;
use crate::admission::{Admission, Refusal};
use crate::figures::ShardFigures;
use crate::message::{ConnId, Deliver, Forward, ForwardItem};
use crate::words::{Serving, TRACE_MASK_LEN, Word};

pub use self::notice::{Fate, Notice};
pub use self::report::{ShardGauges, ShardReport, WatchRows};
pub use self::settings::{RequestThrottle, ShardSettings, StaleRequests};
pub use self::tree::{Read, Tree};

/// Something that the driver shall do for one connection.
#[derive(Debug)]
pub enum Output {
    /// Answer the word with [`Shard::answer`].
    Word {
        /// Who asks.
        conn: ConnId,
        /// What.
        word: Word,
        /// What followed the word: the mask of `stmk`.
        argument: [u8; TRACE_MASK_LEN],
    },
    /// Read from it again.
    Resume {
        /// Which.
        conn: ConnId,
    },
    /// Close its socket. The connection is forgotten already.
    Close {
        /// Which.
        conn: ConnId,
    },
    /// Say this in the log.
    Notice(Notice),
}

/// What the pipeline has for this shard and the driver has not handed over: [`crate::ring::Receiver`] is one.
pub trait Inbox {
    /// The oldest message, if there is one.
    fn next(&mut self) -> Option<Deliver>;
    /// Takes a message back that was walked.
    fn spent(&mut self, deliver: Deliver);
}

impl Inbox for crate::ring::Receiver<Deliver> {
    fn next(&mut self) -> Option<Deliver> {
        self.pop()
    }

    fn spent(&mut self, deliver: Deliver) {
        self.give_back(deliver);
    }
}

/// The session shard.
#[derive(Debug)]
pub struct Shard<T> {
    settings: ShardSettings,
    tree: T,
    admission: Arc<Admission>,
    table: Table,
    watches: WatchTable,
    /// The turn's orders to the pipeline.
    forward: Forward,
    outbound: Outbound,
    outputs: VecDeque<Output>,
    /// Connections whose unread bytes are to be looked at again.
    resume: VecDeque<ConnId>,
    /// Connections that wait until the pipeline has answered others.
    stalled: VecDeque<ConnId>,
    idle: IdleQueue,
    /// Connections heard of since their session was last reported.
    touched: Vec<ConnId>,
    /// When to report them.
    touch_at_ms: Option<u64>,
    /// Every event of transactions up to this one has been written to the connections that watch.
    applied: Zxid,
    load: Load,
    /// Whether clients are let in.
    serving: Serving,
    figures: ShardFigures,
    /// The connection accepted last, to share ids of an address.
    newest: Option<ConnId>,
}

impl<T: Tree> Shard<T> {
    /// A shard without connections. `seed` is chance, for the hash of watched paths.
    pub fn new(settings: ShardSettings, tree: T, admission: Arc<Admission>, seed: MapSeed) -> Self {
        let idle = IdleQueue::new(settings.tick_ms);
        let watches_max = u32::try_from(settings.watches_max).unwrap_or(u32::MAX);
        Self {
            settings,
            tree,
            admission,
            table: Table::default(),
            watches: WatchTable::new(seed, watches_max),
            forward: Forward::default(),
            outbound: Outbound::default(),
            outputs: VecDeque::new(),
            resume: VecDeque::new(),
            stalled: VecDeque::new(),
            idle,
            touched: Vec::new(),
            touch_at_ms: None,
            applied: Zxid::ZERO,
            load: Load::default(),
            serving: Serving::ReadWrite,
            figures: ShardFigures::default(),
            newest: None,
        }
    }

    /// Whether clients are let in until [`DeliverItem::Serve`](crate::message::DeliverItem::Serve) or
    /// [`Stop`](crate::message::DeliverItem::Stop) says otherwise. A new shard lets them in.
    pub fn set_serving(&mut self, serving: Serving) {
        self.serving = serving;
    }

    /// A connection from `peer` was accepted.
    ///
    /// # Errors
    /// [`Refusal`]: close it.
    pub fn accept(&mut self, now_ms: u64, peer: SocketAddr) -> Result<ConnId, Refusal> {
        if let Err(refusal) = self.admission.enter(peer.ip()) {
            self.figures.connection_rejected += 1;
            return Err(refusal);
        }
        let auth = self.table.ids_of(peer.ip(), self.newest);
        let conn = self.table.insert(Connection::new(now_ms, peer, auth));
        self.newest = Some(conn);
        self.look_at(conn, now_ms + self.settings.sessionless_ms);
        Ok(conn)
    }

    /// `bytes` were read from `conn`. Reads of the tree walk `inbox` first.
    pub fn received(&mut self, now_ms: u64, conn: ConnId, bytes: &[u8], inbox: &mut dyn Inbox) {
        if self.hear(now_ms, conn).is_none() {
            return;
        }
        self.pump(now_ms, conn, bytes, inbox);
        self.resume_all(now_ms, inbox);
    }

    /// Walks everything that the pipeline has for this shard, and reads on where that was waited for.
    pub fn drain(&mut self, now_ms: u64, inbox: &mut dyn Inbox) {
        self.walk_all(now_ms, inbox);
        if self.load.have_room(&self.settings, &self.outbound) {
            // Each of them may take a request; those behind keep their place.
            let settings = &self.settings;
            let limit = settings.outstanding_max.min(settings.throttle.requests_max);
            let room = limit - self.load.outstanding;
            for _ in 0..room.min(self.stalled.len()) {
                if let Some(conn) = self.stalled.pop_front() {
                    self.wake(conn);
                }
            }
        }
        self.resume_all(now_ms, inbox);
    }

    /// The socket of `conn` has ended, or failed.
    pub fn ended(&mut self, conn: ConnId) {
        self.figures.connection_drop_count += u64::from(self.table.get(conn).is_some());
        self.finish(conn);
    }

    /// Ends every connection of `session`, or all of them.
    pub fn shed(&mut self, session: Option<SessionId>) {
        let doomed = |connection: &Connection| session.is_none_or(|it| it == connection.session);
        let conns: Vec<ConnId> =
            self.table.iter().filter(|(_, it)| doomed(it)).map(|(conn, _)| conn).collect();
        for conn in conns {
            self.finish(conn);
        }
    }

    /// Does what time asks for: reports who was heard of, ends who was not.
    pub fn deadline(&mut self, now_ms: u64) {
        if self.touch_at_ms.is_some_and(|at_ms| at_ms <= now_ms) {
            self.touch_at_ms = None;
            self.report_touched(now_ms);
        }
        while let Some((due_ms, conns)) = self.idle.pop(now_ms) {
            for conn in conns {
                self.look(now_ms, due_ms, conn);
            }
        }
    }

    /// When to call [`Shard::deadline`] if nothing else happens.
    pub fn next_deadline(&self) -> Option<u64> {
        let idle_ms = self.idle.next_ms();
        match (idle_ms, self.touch_at_ms) {
            (Some(idle_ms), Some(touch_ms)) => Some(idle_ms.min(touch_ms)),
            (one, other) => one.or(other),
        }
    }

    /// What the pipeline shall do, if there is anything; `spare` takes its place.
    pub fn take_forward(&mut self, spare: Option<Forward>) -> Option<Forward> {
        let forward = &self.forward;
        if forward.items.is_empty() && forward.touched.is_empty() {
            return None;
        }
        let mut spare = spare.unwrap_or_default();
        spare.items.clear();
        spare.bytes.clear();
        spare.touched.clear();
        spare.bytes.shrink_to(FORWARD_LEN_KEPT);
        Some(std::mem::replace(&mut self.forward, spare))
    }

    /// Whether there is something for the pipeline.
    pub fn has_forward(&self) -> bool {
        !self.forward.items.is_empty() || !self.forward.touched.is_empty()
    }

    /// The next thing to do for a connection.
    pub fn next_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The next connection that has something new to send; none if it has gone.
    pub fn next_unsent(&mut self) -> Option<ConnId> {
        while let Some(conn) = self.outbound.next_dirty() {
            if let Some(connection) = self.table.get_mut(conn) {
                connection.dirty = false;
                if !connection.out.is_empty() {
                    return Some(conn);
                }
            }
        }
        None
    }

    /// What is to be sent to `conn`.
    pub fn unsent(&self, conn: ConnId) -> &[u8] {
        self.table.get(conn).map_or(&[], |connection| &connection.out.bytes[connection.out.sent..])
    }

    /// The socket of `conn` took the first `len` bytes of what is to be sent.
    pub fn sent(&mut self, now_ms: u64, conn: ConnId, len: usize) {
        let Some(connection) = self.table.get_mut(conn) else { return };
        self.outbound.sent(connection, len);
        if connection.stage == Stage::Closing && connection.out.is_empty() {
            self.finish(conn);
        } else if connection.stalled && connection.out.len() <= self.settings.unsent_len_high / 2 {
            // It was not read because it did not read: that it does now is a sign of life.
            self.hear(now_ms, conn);
            self.wake(conn);
        }
    }

    /// Whether to read from `conn`. If not, [`Output::Resume`] says when.
    pub fn wants_read(&mut self, conn: ConnId) -> bool {
        let Some(connection) = self.table.get_mut(conn) else { return false };
        if self.load.can_take(&self.settings, &self.outbound, &self.forward, connection) {
            return true;
        }
        connection.paused = true;
        self.stall(conn);
        false
    }

    /// Sends `text` as the answer to a four-letter word, then closes.
    pub fn answer(&mut self, conn: ConnId, text: &[u8]) {
        let Some(connection) = self.table.get_mut(conn) else { return };
        self.outbound.raw(conn, connection, [text, b""]);
        self.figures.packets_sent += 1;
        self.close(conn);
    }

    /// Something was heard of the connection.
    fn hear(&mut self, now_ms: u64, conn: ConnId) -> Option<()> {
        let connection = self.table.get_mut(conn)?;
        connection.heard_ms = now_ms;
        if connection.stage != Stage::Connected || connection.touched {
            return Some(());
        }
        let half_tick_ms = self.settings.tick_ms / 2;
        if self.forward.touched.len() < TOUCHED_AT_ONCE
            && half_tick_ms <= now_ms.saturating_sub(connection.reported_ms)
        {
            connection.reported_ms = now_ms;
            self.forward.touched.push((connection.session, now_ms));
            return Some(());
        }
        connection.touched = true;
        self.touched.push(conn);
        self.touch_at_ms.get_or_insert(now_ms + half_tick_ms);
        Some(())
    }

    fn report_touched(&mut self, now_ms: u64) {
        if TOUCHED_AT_ONCE <= self.forward.touched.len() {
            // The pipeline has not taken the last report yet.
            self.touch_at_ms = Some(now_ms + (self.settings.tick_ms / 2).max(1));
            return;
        }
        let mut touched = std::mem::take(&mut self.touched);
        for conn in touched.drain(..) {
            let Some(connection) = self.table.get_mut(conn) else { continue };
            connection.touched = false;
            connection.reported_ms = now_ms;
            if connection.stage == Stage::Connected {
                self.forward.touched.push((connection.session, connection.heard_ms));
            }
        }
        self.touched = touched;
    }

    /// The moment has come that the connection stood under.
    fn look(&mut self, now_ms: u64, due_ms: u64, conn: ConnId) {
        let Some(connection) = self.table.get_mut(conn) else { return };
        if connection.due_ms != due_ms {
            return;
        }
        let held = connection.stage == Stage::Connected
            && connection.out.len() <= self.settings.unsent_len_high
            && (connection.stalled || !connection.pending.is_empty());
        if held {
            // It is we who let it wait: the session must not end over that.
            self.hear(now_ms, conn);
        }
        let Some(connection) = self.table.get_mut(conn) else { return };
        let limit_ms = match connection.stage {
            Stage::Connected => connection.timeout_ms.max(1) as u64,
            _ => self.settings.sessionless_ms,
        };
        if now_ms < connection.heard_ms + limit_ms {
            let at_ms = connection.heard_ms + limit_ms;
            if connection.pending.is_empty() {
                connection.pending = VecDeque::new();
            }
            return self.look_at(conn, at_ms);
        }
        if connection.stage != Stage::Connected {
            self.figures.sessionless_connections_expired += 1;
        }
        let (peer, session) = (connection.peer, connection.session);
        let silent_ms = now_ms - connection.heard_ms;
        let notice = if connection.out.is_empty() {
            Notice::Silent { peer, session, silent_ms }
        } else {
            Notice::Deaf { peer, session, len: connection.out.len() }
        };
        self.outputs.push_back(Output::Notice(notice));
        self.finish(conn);
    }

    fn look_at(&mut self, conn: ConnId, at_ms: u64) {
        let due_ms = self.idle.insert(at_ms, conn);
        if let Some(connection) = self.table.get_mut(conn) {
            connection.due_ms = due_ms;
        }
    }

    /// Nothing is taken from the connection until it is woken.
    fn stall(&mut self, conn: ConnId) {
        let Some(connection) = self.table.get_mut(conn) else { return };
        if !connection.stalled {
            connection.stalled = true;
            // Any other waits for its session, or its end.
            if matches!(connection.stage, Stage::Fresh | Stage::Connected) {
                self.stalled.push_back(conn);
            }
        }
    }

    /// What the connection waited for may be there.
    fn wake(&mut self, conn: ConnId) {
        if let Some(connection) = self.table.get_mut(conn)
            && connection.stalled
        {
            connection.stalled = false;
            self.resume.push_back(conn);
        }
    }

    fn resume_all(&mut self, now_ms: u64, inbox: &mut dyn Inbox) {
        while let Some(conn) = self.resume.pop_front() {
            self.pump(now_ms, conn, &[], inbox);
            let Some(connection) = self.table.get_mut(conn) else { continue };
            if !connection.paused {
                continue;
            }
            if self.load.can_take(&self.settings, &self.outbound, &self.forward, connection) {
                connection.paused = false;
                self.outputs.push_back(Output::Resume { conn });
            } else {
                self.stall(conn);
            }
        }
        self.shed_largest();
    }

    /// Buffers hold twice what they may: whoever holds most is cut off.
    fn shed_largest(&mut self) {
        if self.outbound.buffered / 2 < self.settings.buffered_bytes_max {
            return;
        }
        let largest = self.table.iter().max_by_key(|(_, connection)| connection.buffered());
        let Some((conn, connection)) = largest else { return };
        let (peer, session) = (connection.peer, connection.session);
        let len = connection.buffered();
        self.outputs.push_back(Output::Notice(Notice::Deaf { peer, session, len }));
        self.finish(conn);
    }

    /// Sends what is unsent, then closes. Nothing more is read or written.
    fn close(&mut self, conn: ConnId) {
        let Some(connection) = self.table.get_mut(conn) else { return };
        if connection.out.is_empty() {
            return self.finish(conn);
        }
        connection.stage = Stage::Closing;
        self.outbound.buffered -= connection.unread.len();
        self.outbound.give_back(std::mem::take(&mut connection.unread));
        self.watches.remove_all(Watcher(conn.slot));
    }

    /// Forgets the connection; the driver closes its socket.
    fn finish(&mut self, conn: ConnId) {
        let Some(mut connection) = self.table.remove(conn) else { return };
        self.watches.remove_all(Watcher(conn.slot));
        self.admission.leave(connection.peer.ip());
        self.load.outstanding -= connection.outstanding as usize;
        for pending in &connection.pending {
            if let Work::Remote { len, .. } = pending.work {
                self.load.arrive(&self.settings.throttle, len as usize);
            }
        }
        self.outbound.forget(&mut connection);
        self.outbound.buffered -= connection.unread.len();
        self.outbound.give_back(connection.unread);
        if connection.touched && connection.stage == Stage::Connected {
            // Not told yet, and nobody else will: the session would end up to half a tick too early.
            self.forward.touched.push((connection.session, connection.heard_ms));
        }
        if connection.asked_for_session {
            self.forward.items.push(ForwardItem::Gone { conn });
        }
        self.outputs.push_back(Output::Close { conn });
    }
}

/// With so many sessions named in a message that the pipeline has not taken, others are named in a later one: a turn names
/// fewer.
const TOUCHED_AT_ONCE: usize = 1_024;

/// A message to the pipeline with more memory than this is not kept for the next.
const FORWARD_LEN_KEPT: usize = 1 << 20;
