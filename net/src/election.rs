//! The election port: connections of votes, on real sockets.
//!
//! ZooKeeper: `QuorumCnxManager`. The rules are in [`quorum::election::links`], which the caller has as a part of its [`quorum::Server`]; this
//! moves the bytes, on the caller's thread: no call waits. An ensemble says a few small things when its leader is lost and hardly anything otherwise.
//!
//! **Differs:** what was sent and is not acknowledged by the other machine within [`SILENCE_MAX`] ends the connection, which is
//! then made anew; the reference keeps it for the quarter of an hour in which the kernel tries.
//!
//! *Invariants:* what one connection can make us keep is bounded: one frame out, one frame in, [`STRANGERS_MAX`] connections that
//! have not said who they are; the links close all but one of the others for each server. *Absent:* the election itself; SASL.

mod conn;

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use quorum::election::links::{self, Conn as ConnId};
use quorum::server::Input;
use quorum::wire::Initial;
use quorum::{Address, Moment, Sid};
use rustix::event::epoll::EventFlags;
use tracing::{debug, warn};

use self::conn::{Conn, End, Heard, Sent};
use crate::driver::KeepAlive;
pub use crate::port::PortError;
use crate::port::{Called, Dialled, Dials, Ears, Listening, PortKind, Security, Source, Watch};
use crate::tls::Line;

/// Connections that may be open without having said who they are; a further one is closed at once.
pub const STRANGERS_MAX: usize = 64;
/// How long what was sent may stay unacknowledged by the other machine.
pub const SILENCE_MAX: Duration = Duration::from_secs(10);
/// How long a connection that we have closed may take to bring away what was sent by TLS.
const LINGER: Duration = Duration::from_secs(5);
/// Bytes that one read may bring.
const SCRATCH_LEN: usize = 16 << 10;

/// How the port behaves.
#[derive(Clone, Debug)]
pub struct ElectionPortSettings {
    /// Who this is.
    pub myid: Sid,
    /// Where it listens, and what it tells others of that.
    pub own_addresses: Vec<Address>,
    /// Whether it listens on every address of the machine, at the ports of its own. Source: `quorumListenOnAllIPs`.
    pub listen_on_all: bool,
    /// How long a connection may take. Source: `zookeeper.cnxTimeout`.
    pub connect_timeout: Duration,
    /// How long who has connected may take to say who it is. Source: `quorumCnxnTimeoutMs`.
    pub handshake_timeout: Duration,
    /// Whether the kernel probes silent connections. Source: `zookeeper.tcpKeepAlive`.
    pub keep_alive: KeepAlive,
    /// How connections are protected.
    pub security: Security,
}

/// The port. Dropping it closes everything.
#[derive(Debug)]
pub struct ElectionPort {
    settings: ElectionPortSettings,
    watch: Watch,
    ears: Ears,
    dials: Dials,
    conns: BTreeMap<ConnId, Conn>,
    /// Of the next connection.
    number: u64,
    /// What the links have not been told yet.
    told: VecDeque<links::Input>,
    scratch: Box<[u8]>,
}

impl ElectionPort {
    /// Listens. This may wait for the name of an address of our own.
    ///
    /// # Errors
    /// [`PortError`] if an address of our own cannot be listened on.
    pub fn open(settings: ElectionPortSettings) -> Result<Self, PortError> {
        let watch = Watch::new()?;
        let mut ears = Ears::new(settings.listening())?;
        ears.open(&watch)?;
        let dials = Dials::new(&watch, settings.connect_timeout, settings.keep_alive)?;
        Ok(Self {
            settings,
            watch,
            ears,
            dials,
            conns: BTreeMap::new(),
            number: 0,
            told: VecDeque::new(),
            scratch: vec![0; SCRATCH_LEN].into(),
        })
    }

    /// Readable when there is something for [`ElectionPort::turn`]. Never changes.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.watch.fd()
    }

    /// When [`ElectionPort::turn`] is due if `fd` does not become readable before.
    pub fn next_deadline(&self) -> Option<Moment> {
        if !self.told.is_empty() {
            return Some(Moment::ZERO);
        }
        let own = [self.dials.next_deadline(), self.ears.next_deadline()];
        let due = self.conns.values().filter_map(Conn::due_by);
        own.into_iter().flatten().chain(due).min()
    }

    /// Does what the links order. The answer, if it is known at once, is their next input.
    ///
    /// # Panics
    /// If it is for the election: who was reached, or lost.
    pub fn perform(&mut self, now: Moment, output: links::Output) -> Option<links::Input> {
        match output {
            links::Output::Connect { to, addresses } => {
                // A failure at once is told later: it is an input like others.
                self.dials.call(&self.watch, now, to, &addresses);
                None
            }
            links::Output::Write { conn: id, frame } => {
                let conn = self.conns.get_mut(&id)?;
                let sent = conn.begin(frame, &self.watch, id.0);
                (sent == Sent::Everything).then_some(links::Input::Written { conn: id })
            }
            links::Output::Close { conn: id } => {
                let conn = self.conns.get_mut(&id)?;
                // The kernel still delivers what was written plain.
                if !conn.linger(now + LINGER, &self.watch, id.0) {
                    self.conns.remove(&id);
                }
                None
            }
            links::Output::Reached { .. } | links::Output::Lost { .. } => {
                unreachable!("the election was told")
            }
        }
    }

    /// Moves the bytes that can be moved, and says what came, as inputs of the server.
    pub fn turn(&mut self, now: Moment, heard: &mut dyn FnMut(Input<'_>)) {
        for idx in 0..self.watch.look() {
            let Some((source, events)) = self.watch.event(idx) else { break };
            match source {
                Source::Ear(ear) => self.accept(now, ear),
                Source::Names => self.dials.resolved(&self.watch, now),
                Source::Dial(number) => self.dials.ready(&self.watch, now, number),
                Source::Conn(number) => self.serve(now, ConnId(number), events, heard),
            }
            self.take_calls(now);
        }
        self.deadlines(now);
        self.tell(heard);
    }

    /// Says what became of connections.
    fn tell(&mut self, heard: &mut dyn FnMut(Input<'_>)) {
        for told in self.told.drain(..) {
            heard(Input::Links(told));
        }
    }

    /// Ends what has taken too long, and begins what is due.
    fn deadlines(&mut self, now: Moment) {
        self.ears.deadline(&self.watch, now);
        self.dials.go_on(&self.watch, now);
        self.take_calls(now);
        let Self { conns, told, .. } = self;
        conns.retain(|conn, it| {
            let late = it.due_by().is_some_and(|by| by <= now);
            if late && it.is_stranger() {
                debug!(?conn, peer = %it.peer(), "an election connection did not say who it is");
            }
            if let Some(to) = it.hailed().filter(|_| late) {
                debug!(%to, peer = %it.peer(), "no election connection: {}", PortError::NoHandshake);
                told.push_back(links::Input::Refused { to });
            }
            !late
        });
    }

    /// Our own addresses are these from now on: there we listen at once. May wait for a name.
    ///
    /// # Errors
    /// [`PortError`]: they stay what they were.
    pub fn set_own_addresses(&mut self, addresses: Vec<Address>) -> Result<(), PortError> {
        if addresses != self.settings.own_addresses {
            let settings =
                ElectionPortSettings { own_addresses: addresses, ..self.settings.clone() };
            self.ears.move_to(&self.watch, settings.listening())?;
            self.settings = settings;
        }
        Ok(())
    }

    fn accept(&mut self, now: Moment, ear: u64) {
        let Self { ears, watch, conns, number, settings, .. } = self;
        ears.accept(watch, now, ear, |socket, peer| {
            let strangers = conns.values().filter(|it| it.is_stranger()).count();
            if STRANGERS_MAX <= strangers {
                return warn!(%peer, strangers, "too many election connections do not say who they are");
            }
            *number += 1;
            let line = Line::accepted(&settings.security, peer);
            let conn = Conn::accepted((socket, line), peer, now + settings.handshake_timeout);
            if let Err(errno) = conn.watch(watch, *number) {
                return warn!(%peer, "an election connection is not watched: {errno}");
            }
            conns.insert(ConnId(*number), conn);
        });
    }

    /// Takes up calls that ended.
    fn take_calls(&mut self, now: Moment) {
        while let Some(ended) = self.dials.ended.pop_front() {
            let told = match ended {
                Dialled::Failed { to, why } => {
                    debug!(%to, "no election connection: {why}");
                    Some(links::Input::Refused { to })
                }
                Dialled::Connected { to, socket, at } => self.hail(now, to, socket, at),
            };
            self.told.extend(told);
        }
    }

    /// Begins the handshake on a connection that we made; if there is none to be, says who we are.
    fn hail(&mut self, now: Moment, to: Sid, socket: OwnedFd, at: Called) -> Option<links::Input> {
        let peer = at.0;
        let ElectionPortSettings { security, handshake_timeout, .. } = &self.settings;
        let by = now + *handshake_timeout;
        self.number += 1;
        let id = ConnId(self.number);
        let conn = Line::connected(security, &socket, at).and_then(|line| {
            let conn = Conn::connected((socket, line), peer, to, by);
            conn.watch(&self.watch, id.0)
                .map_err(|errno| PortError::Broken { error: errno.into() })?;
            Ok(conn)
        });
        match conn {
            Ok(mut conn) => {
                conn.tell_of_room(&self.watch, id.0);
                let is_up = conn.hailed().is_none();
                self.conns.insert(id, conn);
                is_up.then(|| self.greet(to, id))
            }
            Err(error) => {
                debug!(%to, %peer, "an election connection broke at once: {error}");
                Some(links::Input::Refused { to })
            }
        }
    }

    /// Says who we are, in one write, to whom we have called.
    fn greet(&mut self, to: Sid, id: ConnId) -> links::Input {
        let ElectionPortSettings { myid: sid, own_addresses, .. } = &self.settings;
        let mut bytes = Vec::new();
        Initial { sid: *sid, addresses: own_addresses.clone() }.encode(&mut bytes);
        let Some(conn) = self.conns.get_mut(&id) else { return links::Input::Refused { to } };
        if let Err(error) = conn.greet(&bytes) {
            debug!(%to, peer = %conn.peer(), "an election connection broke at once: {error}");
            self.conns.remove(&id);
            return links::Input::Refused { to };
        }
        conn.tell_of_room(&self.watch, id.0);
        links::Input::Connected { to, conn: id }
    }

    /// Reads and writes one connection.
    fn serve(
        &mut self,
        now: Moment,
        id: ConnId,
        events: EventFlags,
        heard: &mut dyn FnMut(Input<'_>),
    ) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        if events.contains(EventFlags::OUT) && conn.write(&self.watch, id.0) == Sent::Everything {
            self.told.push_back(links::Input::Written { conn: id });
        }
        if !events.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            return;
        }
        while self.hear(now, id, heard) {}
    }

    /// Reads one connection once; whether there is more to read at once.
    fn hear(&mut self, now: Moment, id: ConnId, heard: &mut dyn FnMut(Input<'_>)) -> bool {
        let Some(conn) = self.conns.get_mut(&id) else { return false };
        let read = conn.read(now, &mut self.scratch);
        conn.tell_of_room(&self.watch, id.0);
        let more = match read {
            Ok((Heard::Nothing, more)) => more,
            Ok((Heard::Up { to }, more)) => {
                let told = self.greet(to, id);
                self.told.push_back(told);
                more
            }
            Ok((Heard::Said(initial), more)) => {
                debug!(sid = %initial.sid, conn = ?id, "an election connection was accepted");
                self.told.push_back(links::Input::Accepted { conn: id, initial });
                more
            }
            Err(end) => {
                self.ended(id, &end);
                return false;
            }
        };
        // Whose it is, before what it says.
        self.tell(heard);
        let Some(conn) = self.conns.get_mut(&id) else { return false };
        loop {
            match conn.next_frame() {
                Ok(None) => return more,
                Ok(Some(body)) => heard(Input::Frame { conn: id, body }),
                Err(error) => {
                    self.ended(id, &End::Nonsense(error));
                    return false;
                }
            }
        }
    }

    /// A connection is over.
    fn ended(&mut self, id: ConnId, end: &End) {
        let Some(conn) = self.conns.remove(&id) else { return };
        let peer = conn.peer();
        match end {
            End::Closed => debug!(%peer, "an election connection was closed"),
            End::Nonsense(error) => warn!(%peer, "an election connection is closed: {error}"),
        }
        if conn.is_closing() {
            return;
        }
        self.told.push_back(match conn.hailed() {
            Some(to) => links::Input::Refused { to },
            None => links::Input::Closed { conn: id },
        });
    }
}

impl ElectionPortSettings {
    fn listening(&self) -> Listening {
        Listening {
            myid: self.myid,
            kind: PortKind::Election,
            addresses: self.own_addresses.clone(),
            on_all: self.listen_on_all,
            keep_alive: self.keep_alive,
        }
    }
}
