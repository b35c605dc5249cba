//! The driver of a session shard: sockets and rings on one side, [`crate::shard::Shard`] on the other.
//!
//! One thread, one epoll, blocking nowhere but in the wait. A turn is: wait; read once from every socket that has
//! something, into the one scratch buffer; walk what the pipeline has done; hand over what it shall do; send to each
//! connection once. So a burst of requests costs one message and one send per connection, and an idle connection holds no
//! buffer. Level-triggered, so that a socket left unread is told of again.
//!
//! Why no executor: this costs 3 system calls per request at one connection with one in flight, and a third less of the core
//! per request at any load, than readiness through glommio's rings, which need 6 (measured side by side, see the history).
//!
//! Invariants: a socket is there exactly while the machine has its connection; a full ring to the
//! pipeline stops neither reading nor sending, the machine's limits do. Absent here: protocol (see [`crate::shard`]), starting and pinning the thread, TLS.

mod bell;
mod listen;
mod look;
mod sleep;

use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::task::{Context, Poll};

use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, acceptfrom_with, recv, send};
use tracing::{debug, warn};

use self::sleep::MARKS;
use crate::message::{ConnId, Deliver, Forward};
use crate::ring::{Mailbox, Receiver, Sender};
use crate::shard::{Output, Shard, ShardReport, Tree, WatchRows};
use crate::words::{TRACE_MASK_LEN, Word};

pub use self::listen::{KeepAlive, ListenError, ListenSettings, Sharing, listen};
pub use self::sleep::{Before, Sleeper};

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
    /// Say which paths are watched. See [`Shard::watched_paths`].
    WatchedPaths {
        /// Where to.
        to: std::sync::mpsc::Sender<Vec<Vec<u8>>>,
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
    /// Accept on these and no longer on those before; connections stay. None: accept nobody.
    Listen {
        /// Each listens.
        listeners: Vec<TcpListener>,
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

/// Serves the connections of `listeners` until [`Order::Stop`] comes. Takes the calling thread.
///
/// # Errors
/// What the system says if it gives no epoll.
pub fn run<T: Tree>(
    shard: Shard<T>,
    listeners: Vec<TcpListener>,
    links: Links,
) -> std::io::Result<()> {
    let mut sleeper = Sleeper::new()?;
    let waker = sleeper.waker();
    let mut driver = Driver::new(shard, listeners, links, &sleeper)?;
    while !driver.is_stopped() {
        driver.turn(&mut Context::from_waker(&waker));
        // The pipeline is on another core, and a write of its log may want this one.
        sleeper.sleep(driver.sleep_limit_ms(), Before::Nothing)?;
        driver.serve(&mut sleeper);
    }
    Ok(())
}

/// Bytes that one read may bring. Larger requests come in pieces.
const SCRATCH_LEN: usize = 128 << 10;
/// Connections accepted before others have their turn.
const ACCEPTS: usize = 64;
/// How long nothing is accepted when the system has nothing left for a connection. Milliseconds.
const REST_MS: u64 = 100;
/// The mark of the first listener among slots; the others follow.
const LISTENER: u64 = MARKS;

/// An open socket.
struct Live {
    generation: u32,
    socket: OwnedFd,
    /// What epoll tells of it.
    interest: EventFlags,
}

/// A session shard with its sockets and rings, between two sleeps of its thread.
pub struct Driver<T> {
    shard: Shard<T>,
    links: Links,
    epoll: Arc<OwnedFd>,
    listeners: Vec<TcpListener>,
    /// By slot.
    sockets: Vec<Option<Live>>,
    scratch: Box<[u8]>,
    /// Connections whose socket has room again.
    writable: Vec<ConnId>,
    /// Kept back so that a connection can be told that there is no file descriptor for it.
    reserve: Option<OwnedFd>,
    /// Nothing is accepted before, monotonic milliseconds.
    rest_until_ms: Option<u64>,
    stopped: bool,
}

impl<T> std::fmt::Debug for Driver<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("links", &self.links).finish_non_exhaustive()
    }
}

impl<T: Tree> Driver<T> {
    /// A shard whose sockets end the sleep of `sleeper`.
    ///
    /// # Errors
    /// What the system says if it has no room for a listener.
    pub fn new(
        shard: Shard<T>,
        listeners: Vec<TcpListener>,
        links: Links,
        sleeper: &Sleeper,
    ) -> std::io::Result<Self> {
        let epoll = sleeper.epoll();
        watch(&epoll, &listeners)?;
        Ok(Self {
            shard,
            links,
            epoll,
            listeners,
            sockets: Vec::new(),
            scratch: vec![0; SCRATCH_LEN].into(),
            writable: Vec::new(),
            reserve: null(),
            rest_until_ms: None,
            stopped: false,
        })
    }

    /// Whether [`Order::Stop`] has come: then it takes no more turns.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// How long its thread may sleep before a turn is due, milliseconds; for ever if none.
    pub fn sleep_limit_ms(&self) -> Option<u64> {
        let at_ms = [self.shard.next_deadline(), self.rest_until_ms].into_iter().flatten().min();
        at_ms.map(|at_ms| at_ms.saturating_sub((self.links.clock)()))
    }

    /// Accepts and reads what the last sleep has told of.
    pub fn serve(&mut self, sleeper: &mut Sleeper) {
        let now_ms = (self.links.clock)();
        for event in sleeper.events.drain(..) {
            self.serve_one(now_ms, event);
        }
    }

    fn serve_one(&mut self, now_ms: u64, event: Event) {
        let data = event.data.u64();
        let slot = data & u64::from(u32::MAX);
        if MARKS <= slot {
            let number = (slot - LISTENER) as usize;
            // Not the bell, and no other source.
            if number < self.listeners.len() {
                self.accept(number, now_ms);
            }
            return;
        }
        let conn = ConnId { slot: slot as u32, generation: (data >> 32) as u32 };
        let flags = event.flags;
        if flags.contains(EventFlags::OUT) {
            self.change_interest(conn, EventFlags::OUT, EventFlags::empty());
            self.writable.push(conn);
        }
        if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            self.read(now_ms, conn, flags);
        }
    }

    fn live(&self, conn: ConnId) -> Option<&Live> {
        let live = self.sockets.get(conn.slot as usize)?.as_ref()?;
        (live.generation == conn.generation).then_some(live)
    }

    fn read(&mut self, now_ms: u64, conn: ConnId, flags: EventFlags) {
        if !self.shard.wants_read(conn) {
            if flags.intersects(EventFlags::HUP | EventFlags::ERR) {
                // It would be told of for ever, and nothing can be sent any more.
                return self.shard.ended(conn);
            }
            return self.change_interest(conn, EventFlags::IN, EventFlags::empty());
        }
        let Some(Some(live)) = self.sockets.get(conn.slot as usize) else { return };
        match recv(&live.socket, &mut self.scratch[..], RecvFlags::empty()) {
            Ok((len, _)) if 0 < len => {
                let bytes = &self.scratch[..len];
                self.shard.received(now_ms, conn, bytes, &mut self.links.deliver);
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            end => {
                debug!(?conn, ?end, "connection ended");
                self.shard.ended(conn);
            }
        }
    }

    /// Takes `less` out of what epoll tells of a connection, and puts `more` in.
    fn change_interest(&mut self, conn: ConnId, less: EventFlags, more: EventFlags) {
        let Some(Some(live)) = self.sockets.get_mut(conn.slot as usize) else { return };
        let interest = live.interest.difference(less).union(more);
        if live.generation == conn.generation && live.interest != interest {
            live.interest = interest;
            let changed = epoll::modify(&*self.epoll, &live.socket, data_of(conn), interest);
            if let Err(errno) = changed {
                warn!(?conn, "epoll: {errno}");
            }
        }
    }

    /// Everything but accepting and reading; leaves `cx` with the rings, to be woken by them.
    pub fn turn(&mut self, cx: &mut Context<'_>) {
        let now_ms = (self.links.clock)();
        while let Poll::Ready(order) = self.links.orders.poll_next(cx) {
            self.stopped |= matches!(order, Order::Stop);
            match order {
                Order::Listen { listeners } => self.listen(listeners),
                order => obey(&mut self.shard, order),
            }
        }
        if self.shard.next_deadline().is_some_and(|at_ms| at_ms <= now_ms) {
            self.shard.deadline(now_ms);
        }
        if self.rest_until_ms.is_some_and(|at_ms| at_ms <= now_ms) {
            self.rest_until_ms = None;
            self.listen_for(EventFlags::IN);
        }
        loop {
            self.shard.drain(now_ms, &mut self.links.deliver);
            // What was handed over, or sent, may let those go on that were held back for it.
            let mut progress = hand_over(&mut self.shard, &mut self.links, cx);
            self.put_out();
            progress |= self.send_all(now_ms);
            progress |= self.links.deliver.poll_item(cx).is_ready();
            if !progress {
                break;
            }
        }
    }

    fn put_out(&mut self) {
        while let Some(output) = self.shard.next_output() {
            match output {
                Output::Word { conn, word, argument } => {
                    let shard = self.links.shard;
                    (self.links.words)(WordAsked { shard, conn, word, argument });
                }
                Output::Resume { conn } => {
                    self.change_interest(conn, EventFlags::empty(), EventFlags::IN);
                }
                Output::Close { conn } => {
                    if self.live(conn).is_some() {
                        self.sockets[conn.slot as usize] = None;
                    }
                }
                Output::Notice(notice) => warn!("{notice}"),
            }
        }
    }

    /// Sends to everybody who has something new, and to those whose socket has room again; whether something came of it.
    fn send_all(&mut self, now_ms: u64) -> bool {
        let mut any = false;
        while let Some(conn) = self.shard.next_unsent() {
            any |= self.send(now_ms, conn);
        }
        while let Some(conn) = self.writable.pop() {
            any |= self.send(now_ms, conn);
        }
        any
    }

    /// Sends until the socket is full; whether something came of it. One send nearly always takes everything.
    fn send(&mut self, now_ms: u64, conn: ConnId) -> bool {
        let mut any = false;
        loop {
            let bytes = self.shard.unsent(conn);
            let (false, Some(live)) = (bytes.is_empty(), self.live(conn)) else { return any };
            match send(&live.socket, bytes, SendFlags::NOSIGNAL) {
                Ok(len) if 0 < len => {
                    any = true;
                    self.shard.sent(now_ms, conn, len);
                }
                Err(Errno::AGAIN) => {
                    self.change_interest(conn, EventFlags::empty(), EventFlags::OUT);
                    return any;
                }
                Err(Errno::INTR) => {}
                end => {
                    debug!(?conn, ?end, "connection ended");
                    self.shard.ended(conn);
                    return true;
                }
            }
        }
    }

    fn accept(&mut self, listener: usize, now_ms: u64) {
        for _ in 0..ACCEPTS {
            let Some(listener) = self.listeners.get(listener) else { return };
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            match acceptfrom_with(listener, flags) {
                Ok((socket, peer)) => {
                    let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
                    // A client that has gone already has no address; dropping the socket closes it.
                    if let Some(peer) = peer {
                        self.open(now_ms, socket, peer);
                    }
                }
                Err(Errno::AGAIN) => return,
                // The client has gone before it was accepted.
                Err(Errno::CONNABORTED | Errno::INTR) => {}
                Err(errno @ (Errno::MFILE | Errno::NFILE)) if self.reserve.is_some() => {
                    warn!("no file descriptor is left for a connection, closing it: {errno}");
                    self.reserve = None;
                    drop(acceptfrom_with(listener, flags));
                    self.reserve = null();
                }
                Err(errno) => {
                    warn!("nothing is accepted for {REST_MS} ms: {errno}");
                    self.reserve = self.reserve.take().or_else(null);
                    self.rest_until_ms = Some(now_ms + REST_MS);
                    return self.listen_for(EventFlags::empty());
                }
            }
        }
    }

    /// Accepts on other sockets from now on; a socket that is dropped is no longer told of.
    fn listen(&mut self, listeners: Vec<TcpListener>) {
        if let Err(error) = watch(&self.epoll, &listeners) {
            return warn!("the client port stays where it is: {error}");
        }
        self.listeners = listeners;
        self.rest_until_ms = None;
    }

    /// Sets what epoll tells of the listeners.
    fn listen_for(&self, interest: EventFlags) {
        for (number, listener) in self.listeners.iter().enumerate() {
            if let Err(errno) =
                epoll::modify(&*self.epoll, listener, listener_data(number), interest)
            {
                warn!("epoll: {errno}");
            }
        }
    }

    fn open(&mut self, now_ms: u64, socket: OwnedFd, peer: SocketAddr) {
        let conn = match self.shard.accept(now_ms, peer) {
            Ok(conn) => conn,
            Err(refusal) => return warn!("connection refused: {refusal}"),
        };
        let slot = conn.slot as usize;
        if self.sockets.len() <= slot {
            self.sockets.resize_with(slot + 1, || None);
        }
        let interest = EventFlags::IN;
        if let Err(errno) = epoll::add(&*self.epoll, socket.as_fd(), data_of(conn), interest) {
            warn!(?conn, "epoll: {errno}");
            return self.shard.ended(conn);
        }
        // Whatever stood there was forgotten by the machine: dropping it closes it.
        self.sockets[slot] = Some(Live { generation: conn.generation, socket, interest });
    }
}

/// Has epoll tell of listeners.
fn watch(epoll: &OwnedFd, listeners: &[TcpListener]) -> std::io::Result<()> {
    for (number, listener) in listeners.iter().enumerate() {
        listener.set_nonblocking(true)?;
        epoll::add(epoll, listener, listener_data(number), EventFlags::IN)?;
    }
    Ok(())
}

fn listener_data(number: usize) -> EventData {
    EventData::new_u64(LISTENER + number as u64)
}

fn data_of(conn: ConnId) -> EventData {
    EventData::new_u64(u64::from(conn.slot) | u64::from(conn.generation) << 32)
}

fn null() -> Option<OwnedFd> {
    std::fs::File::open("/dev/null").map(OwnedFd::from).ok()
}

/// Gives the pipeline what there is for it; whether that was something. While the ring is full it waits: reads and pings go
/// on, and the limits on what the pipeline has not taken keep it small.
fn hand_over<T: Tree>(shard: &mut Shard<T>, links: &mut Links, cx: &Context<'_>) -> bool {
    if !shard.has_forward() || links.forward.poll_room(cx).is_pending() {
        return false;
    }
    let spare = links.forward.spare();
    let Some(forward) = shard.take_forward(spare) else { return false };
    // There is room, and nobody else pushes; or the pipeline has gone, and the process with it.
    drop(links.forward.push(forward));
    true
}

/// Does what the control thread asks for.
fn obey<T: Tree>(shard: &mut Shard<T>, order: Order) {
    match order {
        Order::Answer { conn, text } => shard.answer(conn, &text),
        // Who asked may have given up waiting.
        Order::Report { wall_offset_ms, to } => drop(to.send(shard.report(wall_offset_ms))),
        Order::WatchRows { to } => drop(to.send(shard.watch_rows())),
        Order::WatchedPaths { to } => drop(to.send(shard.watched_paths())),
        Order::ResetFigures => shard.reset_figures(),
        Order::ResetConnections => shard.reset_connections(),
        Order::Shed { session } => shard.shed(session),
        // The driver's own.
        Order::Listen { .. } => {}
        Order::Stop => shard.shed(None),
    }
}
