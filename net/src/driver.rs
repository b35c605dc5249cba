//! The driver of a session shard on glommio: sockets and rings on one side, [`crate::shard::Shard`] on the other.
//!
//! One task per connection waits until its socket can be read and reads into the one scratch buffer of the shard; one
//! task takes the turns: it runs behind every task that had something to read, walks what the pipeline has done, hands
//! over what it shall do, and sends to each connection once. So a burst of requests costs one message and one send per
//! connection, and an idle connection holds no buffer.
//!
//! Invariants: the machine is entered by one task at a time and never across an await; a stream is there exactly while
//! the machine has its connection; a full ring stops reading, never sending. Absent here: protocol (see
//! [`crate::shard`]), threads, TLS.

mod accept;
mod listen;

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_lite::io::{AsyncRead as _, AsyncWrite as _};
use futures_lite::{Future as _, future};
use glommio::net::TcpStream;
use glommio::timer::Timer;
use tracing::{debug, warn};

use crate::message::{ConnId, Deliver, Forward};
use crate::ring::{Mailbox, Receiver, Sender};
use crate::shard::{Output, Shard, ShardReport, Tree, WatchRows};
use crate::words::{TRACE_MASK_LEN, Word};

pub use self::listen::{KeepAlive, ListenError, ListenSettings, Sharing, listen};

/// A four-letter word that came in. Answer it with [`Order::Answer`] to the shard it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WordAsked {
    /// Which shard.
    pub shard: usize,
    /// Which of its connections.
    pub conn: ConnId,
    /// What.
    pub word: Word,
    /// The mask that followed `stmk`.
    pub argument: [u8; TRACE_MASK_LEN],
}

/// What the control thread may ask of a shard.
#[derive(Debug)]
pub enum Order {
    /// Send `text` as the answer to a word, then close.
    Answer {
        /// To whom.
        conn: ConnId,
        /// What.
        text: Vec<u8>,
    },
    /// Say everything. See [`Shard::report`].
    Report {
        /// What the wall clock is ahead of the monotonic one, milliseconds.
        wall_offset_ms: i64,
        /// Where to.
        to: std::sync::mpsc::Sender<ShardReport>,
    },
    /// Say who watches what.
    WatchRows {
        /// Where to.
        to: std::sync::mpsc::Sender<WatchRows>,
    },
    /// Forget what was counted for the server.
    ResetFigures,
    /// Forget what was counted for each connection.
    ResetConnections,
    /// Close the connections of a session, or all.
    Shed {
        /// Whose; all if none.
        session: Option<jute::SessionId>,
    },
    /// Close everything and come back.
    Stop,
}

/// What ties a shard to the rest of the server.
pub struct Links {
    /// To the pipeline.
    pub forward: Sender<Forward>,
    /// From the pipeline.
    pub deliver: Receiver<Deliver>,
    /// From the control thread.
    pub orders: Mailbox<Order>,
    /// To the control thread. Must not block.
    pub words: Box<dyn Fn(WordAsked) + Send>,
    /// The number of this shard.
    pub shard: usize,
    /// The monotonic clock, milliseconds: one for all shards and the pipeline.
    pub clock: fn() -> u64,
}

impl std::fmt::Debug for Links {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Links").field("shard", &self.shard).finish_non_exhaustive()
    }
}

/// Serves the connections of `listeners` until [`Order::Stop`] comes.
///
/// Call it on a task of the shard's executor, in a task queue with `Latency::Matters`: the tasks of connections are spawned
/// into the same queue.
pub async fn serve<T: Tree + 'static>(
    shard: Shard<T>,
    listeners: Vec<std::net::TcpListener>,
    links: Links,
) {
    let driver = Rc::new(RefCell::new(Driver::new(shard, links)));
    let mut accepting = Vec::new();
    for listener in listeners {
        let task = accept::accept_all(Rc::clone(&driver), listener);
        accepting.push(glommio::spawn_local(task));
    }
    future::poll_fn(|cx| driver.borrow_mut().poll_turns(cx)).await;
    for task in accepting {
        task.cancel().await;
    }
    driver.borrow_mut().end();
}

/// Bytes that one read may bring. Larger requests come in pieces.
const SCRATCH_LEN: usize = 128 << 10;

/// The machine, its sockets and its links.
struct Driver<T> {
    shard: Shard<T>,
    links: Links,
    /// By slot.
    streams: Vec<Option<Live>>,
    scratch: Vec<u8>,
    /// The task that takes the turns.
    turn: Option<Waker>,
    /// Whether it has been woken and not run.
    turn_due: bool,
    /// Whether the ring to the pipeline is full: then nobody reads.
    blocked: bool,
    /// Connections whose socket was full and may not be now.
    writable: Vec<ConnId>,
    timer: Option<(u64, Timer)>,
    stopped: bool,
}

/// An open socket.
struct Live {
    generation: u32,
    stream: TcpStream,
    /// The connection's task.
    task: Option<Waker>,
    /// Whether the socket was full when it was last written to.
    full: bool,
}

impl<T: Tree + 'static> Driver<T> {
    fn new(shard: Shard<T>, links: Links) -> Self {
        Self {
            shard,
            links,
            streams: Vec::new(),
            scratch: vec![0; SCRATCH_LEN],
            turn: None,
            turn_due: false,
            blocked: false,
            writable: Vec::new(),
            timer: None,
            stopped: false,
        }
    }

    /// Takes an accepted socket, if the machine does.
    fn open(&mut self, stream: TcpStream, peer: std::net::SocketAddr) -> Option<ConnId> {
        let conn = match self.shard.accept((self.links.clock)(), peer) {
            Ok(conn) => conn,
            Err(refusal) => {
                warn!("connection refused: {refusal}");
                return None;
            }
        };
        let slot = conn.slot as usize;
        if self.streams.len() <= slot {
            self.streams.resize_with(slot + 1, || None);
        }
        let live = Live { generation: conn.generation, stream, task: None, full: false };
        // Whatever stood there was forgotten by the machine: dropping it closes it.
        self.streams[slot] = Some(live);
        self.want_turn();
        Some(conn)
    }

    /// Has a turn taken behind the tasks that are ready now.
    fn want_turn(&mut self) {
        if !self.turn_due {
            self.turn_due = true;
            if let Some(turn) = &self.turn {
                turn.wake_by_ref();
            }
        }
    }

    fn live(&mut self, conn: ConnId) -> Option<&mut Live> {
        let live = self.streams.get_mut(conn.slot as usize)?.as_mut()?;
        (live.generation == conn.generation).then_some(live)
    }

    /// Reads once from a connection, if it is to be read. Ready when it has ended.
    fn poll_connection(&mut self, cx: &mut Context<'_>, conn: ConnId) -> Poll<()> {
        let Some(live) = self.live(conn) else { return Poll::Ready(()) };
        if !live.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            live.task = Some(cx.waker().clone());
        }
        if std::mem::take(&mut live.full) {
            self.writable.push(conn);
            self.want_turn();
        }
        while !self.blocked && self.shard.wants_read(conn) {
            let Some(Some(live)) = self.streams.get_mut(conn.slot as usize) else { break };
            match Pin::new(&mut live.stream).poll_read(cx, &mut self.scratch) {
                Poll::Pending => break,
                Poll::Ready(Ok(len)) if 0 < len => {
                    let now_ms = (self.links.clock)();
                    let bytes = &self.scratch[..len];
                    self.shard.received(now_ms, conn, bytes, &mut self.links.deliver);
                    self.want_turn();
                    if len == self.scratch.len() {
                        // There is more, but others wait too.
                        cx.waker().wake_by_ref();
                        break;
                    }
                }
                Poll::Ready(end) => {
                    debug!(?conn, ?end, "connection ended");
                    self.shard.ended(conn);
                    self.want_turn();
                    break;
                }
            }
        }
        Poll::Pending
    }

    /// Takes turns. Ready when it shall stop.
    fn poll_turns(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.turn.as_ref().is_some_and(|turn| turn.will_wake(cx.waker())) {
            self.turn = Some(cx.waker().clone());
        }
        self.turn_due = false;
        while let Poll::Ready(order) = self.links.orders.poll_next(cx) {
            self.obey(order);
        }
        let now_ms = (self.links.clock)();
        if self.shard.next_deadline().is_some_and(|at_ms| at_ms <= now_ms) {
            self.shard.deadline(now_ms);
        }
        loop {
            self.shard.drain(now_ms, &mut self.links.deliver);
            self.hand_over(cx);
            self.put_out();
            let sent = self.send_all(now_ms, cx);
            // Sending may let requests in that were waiting for it; leaving the waker comes before the last look.
            let more = self.links.deliver.poll_item(cx).is_ready();
            let forward = self.shard.has_forward() && !self.blocked;
            if !more && !sent && !forward {
                break;
            }
        }
        self.put_out();
        self.set_timer(cx, now_ms);
        if self.stopped { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Gives the pipeline what there is for it. With a full ring nobody is read until there is room.
    fn hand_over(&mut self, cx: &Context<'_>) {
        if !self.shard.has_forward() {
            return;
        }
        let was_blocked = self.blocked;
        self.blocked = self.links.forward.poll_room(cx).is_pending();
        if self.blocked {
            return;
        }
        let spare = self.links.forward.spare();
        if let Some(forward) = self.shard.take_forward(spare) {
            // There is room, and nobody else pushes; or the pipeline has gone, and the process with it.
            drop(self.links.forward.push(forward));
        }
        if was_blocked {
            for live in self.streams.iter().flatten() {
                live.task.as_ref().inspect(|task| task.wake_by_ref());
            }
        }
    }

    /// Does what the machine asks for.
    fn put_out(&mut self) {
        while let Some(output) = self.shard.next_output() {
            match output {
                Output::Word { conn, word, argument } => {
                    let shard = self.links.shard;
                    (self.links.words)(WordAsked { shard, conn, word, argument });
                }
                Output::Resume { conn } => {
                    if let Some(Live { task: Some(task), .. }) = self.live(conn) {
                        task.wake_by_ref();
                    }
                }
                Output::Close { conn } => {
                    if self.live(conn).is_some()
                        && let Some(live) = self.streams[conn.slot as usize].take()
                    {
                        live.task.inspect(Waker::wake_by_ref);
                    }
                }
                Output::Notice(notice) => warn!("{notice}"),
            }
        }
    }

    /// Sends to everybody who has something new, and to those whose socket was full; whether bytes went out.
    fn send_all(&mut self, now_ms: u64, cx: &mut Context<'_>) -> bool {
        let mut any = false;
        while let Some(conn) = self.shard.next_unsent() {
            any |= self.send(now_ms, cx, conn);
        }
        while let Some(conn) = self.writable.pop() {
            any |= self.send(now_ms, cx, conn);
        }
        any
    }

    fn send(&mut self, now_ms: u64, cx: &mut Context<'_>, conn: ConnId) -> bool {
        let mut any = false;
        loop {
            let bytes = self.shard.unsent(conn);
            let Some(Some(live)) = self.streams.get_mut(conn.slot as usize) else { break };
            if bytes.is_empty() || live.generation != conn.generation {
                break;
            }
            // Who waits for room in the socket is the connection's own task.
            let task = live.task.clone();
            let mut waiting = Context::from_waker(task.as_ref().unwrap_or_else(|| cx.waker()));
            match Pin::new(&mut live.stream).poll_write(&mut waiting, bytes) {
                Poll::Ready(Ok(len)) if 0 < len => {
                    any = true;
                    self.shard.sent(now_ms, conn, len);
                }
                Poll::Ready(end) => {
                    debug!(?conn, ?end, "connection ended");
                    self.shard.ended(conn);
                    break;
                }
                Poll::Pending => {
                    live.full = true;
                    break;
                }
            }
        }
        any
    }

    fn set_timer(&mut self, cx: &mut Context<'_>, now_ms: u64) {
        let Some(at_ms) = self.shard.next_deadline() else { return };
        // A timer that is early finds nothing to do and is set again.
        if self.timer.as_ref().is_none_or(|(set_ms, _)| at_ms < *set_ms || *set_ms <= now_ms) {
            let wait = Duration::from_millis(at_ms.saturating_sub(now_ms).max(1));
            self.timer = Some((at_ms, Timer::new(wait)));
        }
        if let Some((_, timer)) = &mut self.timer
            && Pin::new(timer).poll(cx).is_ready()
        {
            self.timer = None;
            self.want_turn();
            cx.waker().wake_by_ref();
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Answer { conn, text } => self.shard.answer(conn, &text),
            // Who asked may have given up waiting.
            Order::Report { wall_offset_ms, to } => {
                drop(to.send(self.shard.report(wall_offset_ms)));
            }
            Order::WatchRows { to } => drop(to.send(self.shard.watch_rows())),
            Order::ResetFigures => self.shard.reset_figures(),
            Order::ResetConnections => self.shard.reset_connections(),
            Order::Shed { session } => self.shard.shed(session),
            Order::Stop => {
                self.shard.shed(None);
                self.stopped = true;
            }
        }
    }

    /// Closes what is open; the tasks end when they see it.
    fn end(&mut self) {
        for live in self.streams.drain(..).flatten() {
            live.task.inspect(Waker::wake_by_ref);
        }
        self.turn = None;
    }
}
