//! The election port: connections of votes, on real sockets.
//!
//! ZooKeeper: `QuorumCnxManager`. The rules are in [`quorum::election::links`]; this moves its bytes, on the caller's thread: no
//! call waits. An ensemble says a few small things when its leader is lost and hardly anything otherwise.
//!
//! **Differs:** what was sent and is not acknowledged by the other machine within [`SILENCE_MAX`] ends the connection, which is
//! then made anew; the reference keeps it for the quarter of an hour in which the kernel tries.
//!
//! *Invariants:* what one connection can make us keep is bounded: one frame out, one frame in, [`STRANGERS_MAX`] connections that
//! have not said who they are; the links close all but one of the others for each server. *Absent:* the election itself; SASL and TLS.

mod conn;

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use quorum::election::links::{self, Conn as ConnId, Links};
use quorum::wire::Initial;
use quorum::{Address, Member, Moment, Sid, Views};
use rustix::event::epoll::EventFlags;
use tracing::{debug, warn};

use self::conn::{Conn, End, Sent};
use crate::driver::KeepAlive;
pub use crate::port::PortError;
use crate::port::{Dialled, Dials, Ears, Listening, PortKind, Source, Watch};

/// Connections that may be open without having said who they are; a further one is closed at once.
pub const STRANGERS_MAX: usize = 64;
/// How long what was sent may stay unacknowledged by the other machine.
pub const SILENCE_MAX: Duration = Duration::from_secs(10);
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
}

/// What the port has to say to the election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard<'a> {
    /// A message came.
    Message {
        /// Whose.
        from: Sid,
        /// The frame without its length.
        body: &'a [u8],
    },
    /// The server can be talked to.
    Reached {
        /// Which.
        sid: Sid,
    },
    /// The server could not be connected to, or its connection broke.
    Lost {
        /// Which.
        sid: Sid,
    },
}

/// The port. Dropping it closes everything.
#[derive(Debug)]
pub struct ElectionPort {
    settings: ElectionPortSettings,
    watch: Watch,
    ears: Ears,
    dials: Dials,
    links: Links,
    conns: BTreeMap<ConnId, Conn>,
    /// Of the next connection.
    number: u64,
    /// What the links have to be told.
    inputs: VecDeque<links::Input>,
    /// Reused.
    outputs: Vec<links::Output>,
    /// What the election has to be told: reached, or lost.
    told: VecDeque<links::Output>,
    scratch: Box<[u8]>,
}

impl ElectionPort {
    /// Listens, and begins to connect. This may wait for the name of an address of our own.
    ///
    /// # Errors
    /// [`PortError`] if an address of our own cannot be listened on.
    pub fn open(
        settings: ElectionPortSettings,
        views: Views,
        now: Moment,
    ) -> Result<Self, PortError> {
        let watch = Watch::new()?;
        let mut ears = Ears::new(settings.listening())?;
        ears.open(&watch)?;
        let dials = Dials::new(&watch, settings.connect_timeout, settings.keep_alive)?;
        let mut port = Self {
            links: Links::new(settings.myid, views),
            settings,
            watch,
            ears,
            dials,
            conns: BTreeMap::new(),
            number: 0,
            inputs: VecDeque::new(),
            outputs: Vec::new(),
            told: VecDeque::new(),
            scratch: vec![0; SCRATCH_LEN].into(),
        };
        port.step(now, links::Input::Deadline);
        Ok(port)
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
        let own =
            [self.links.next_deadline(), self.dials.next_deadline(), self.ears.next_deadline()];
        let greetings = self.conns.values().filter_map(Conn::greeted_by);
        own.into_iter().flatten().chain(greetings).min()
    }

    /// Sends a frame, its length before it, instead of any that still waits to be sent to `to`.
    pub fn send(&mut self, now: Moment, to: Sid, frame: Arc<[u8]>) {
        self.step(now, links::Input::Send { to, frame });
    }

    /// Tries at once every connection that is missing.
    pub fn reconnect(&mut self, now: Moment) {
        self.step(now, links::Input::Reconnect);
    }

    /// The members changed, or a change was proposed. If our own address did, we listen there, which may wait for its name.
    pub fn reconfigured(&mut self, now: Moment, views: Views) {
        self.move_ears(&views);
        self.step(now, links::Input::Reconfigured { views });
    }

    /// Moves the bytes that can be moved, and says what came.
    pub fn turn(&mut self, now: Moment, heard: &mut dyn FnMut(Heard<'_>)) {
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

    /// Says who was reached, and who was lost.
    fn tell(&mut self, heard: &mut dyn FnMut(Heard<'_>)) {
        for told in self.told.drain(..) {
            match told {
                links::Output::Reached { sid } => heard(Heard::Reached { sid }),
                links::Output::Lost { sid } => heard(Heard::Lost { sid }),
                _ => {}
            }
        }
    }

    /// Ends what has taken too long, and begins what is due.
    fn deadlines(&mut self, now: Moment) {
        self.ears.deadline(&self.watch, now);
        self.dials.go_on(&self.watch, now);
        self.take_calls(now);
        self.conns.retain(|conn, it| {
            let late = it.greeted_by().is_some_and(|by| by <= now);
            if late {
                debug!(?conn, peer = %it.peer(), "an election connection did not say who it is");
            }
            !late
        });
        if self.links.next_deadline().is_some_and(|it| it <= now) {
            self.step(now, links::Input::Deadline);
        }
    }

    /// Listens where the configuration says that we are, if that has changed.
    fn move_ears(&mut self, views: &Views) {
        let Some(own) = views.committed().member(self.settings.myid) else { return };
        let addresses: Vec<_> = Member::election_addresses(own).collect();
        if addresses == self.settings.own_addresses {
            return;
        }
        let mut settings = self.settings.clone();
        settings.own_addresses = addresses;
        // The old ones first: one of them may be among the new.
        self.ears.close();
        let moved = Ears::new(settings.listening()).and_then(|mut ears| {
            ears.open(&self.watch)?;
            Ok(ears)
        });
        match moved {
            Ok(ears) => (self.ears, self.settings) = (ears, settings),
            Err(error) => {
                warn!("our new address is of no use, the old one stays: {error}");
                if let Err(error) = self.ears.open(&self.watch) {
                    warn!("nor is the old one: {error}");
                }
            }
        }
    }

    fn accept(&mut self, now: Moment, ear: u64) {
        let Self { ears, watch, conns, number, settings, .. } = self;
        ears.accept(watch, now, ear, |socket, peer| {
            let strangers = conns.values().filter(|it| it.greeted_by().is_some()).count();
            if STRANGERS_MAX <= strangers {
                return warn!(%peer, strangers, "too many election connections do not say who they are");
            }
            *number += 1;
            let conn = Conn::accepted(socket, peer, now + settings.handshake_timeout);
            if let Err(errno) = conn.watch(watch, *number) {
                return warn!(%peer, "an election connection is not watched: {errno}");
            }
            conns.insert(ConnId(*number), conn);
        });
    }

    /// Takes up calls that ended.
    fn take_calls(&mut self, now: Moment) {
        while let Some(ended) = self.dials.ended.pop_front() {
            match ended {
                Dialled::Failed { to, why } => {
                    debug!(%to, "no election connection: {why}");
                    self.step(now, links::Input::Refused { to });
                }
                Dialled::Connected { to, socket, peer } => self.greet(now, to, socket, peer),
            }
        }
    }

    /// Says who we are, in one write, on a connection that we made.
    fn greet(&mut self, now: Moment, to: Sid, socket: OwnedFd, peer: std::net::SocketAddr) {
        let ElectionPortSettings { myid: sid, own_addresses, .. } = &self.settings;
        let mut bytes = Vec::new();
        Initial { sid: *sid, addresses: own_addresses.clone() }.encode(&mut bytes);
        self.number += 1;
        let conn = Conn::connected(socket, peer);
        let greeted = conn.greet(&bytes).and_then(|()| conn.watch(&self.watch, self.number));
        if let Err(errno) = greeted {
            debug!(%to, %peer, "an election connection broke at once: {errno}");
            return self.step(now, links::Input::Refused { to });
        }
        let id = ConnId(self.number);
        self.conns.insert(id, conn);
        self.step(now, links::Input::Connected { to, conn: id });
    }

    /// Reads and writes one connection.
    fn serve(
        &mut self,
        now: Moment,
        id: ConnId,
        events: EventFlags,
        heard: &mut dyn FnMut(Heard<'_>),
    ) {
        if events.contains(EventFlags::OUT) {
            self.write_on(now, id);
        }
        if !events.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            return;
        }
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let initial = match conn.read(&mut self.scratch) {
            Ok(initial) => initial,
            Err(end) => return self.ended(now, id, &end),
        };
        if let Some(initial) = initial {
            debug!(sid = %initial.sid, conn = ?id, "an election connection was accepted");
            self.step(now, links::Input::Accepted { conn: id, initial });
        }
        // Who was reached, before what it says.
        self.tell(heard);
        let Some(conn) = self.conns.get_mut(&id) else { return };
        loop {
            match conn.next_frame() {
                Ok(None) => return,
                // Of a connection that is not in use, nothing is heard.
                Ok(Some(body)) => {
                    if let Some(from) = self.links.owner(id) {
                        heard(Heard::Message { from, body });
                    }
                }
                Err(error) => return self.ended(now, id, &End::Nonsense(error)),
            }
        }
    }

    /// A connection is over.
    fn ended(&mut self, now: Moment, id: ConnId, end: &End) {
        let Some(conn) = self.conns.remove(&id) else { return };
        let (peer, sid) = (conn.peer(), self.links.owner(id));
        match end {
            End::Closed => debug!(%peer, ?sid, "an election connection was closed"),
            End::Nonsense(error) => warn!(%peer, ?sid, "an election connection is closed: {error}"),
        }
        self.step(now, links::Input::Closed { conn: id });
    }

    /// Writes what is left of a frame.
    fn write_on(&mut self, now: Moment, id: ConnId) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        match conn.write(&self.watch, id.0) {
            Sent::Everything => self.step(now, links::Input::Written { conn: id }),
            Sent::Part | Sent::Nothing => {}
        }
    }

    /// Steps the links, and performs what they put out, until nothing is left to do.
    fn step(&mut self, now: Moment, input: links::Input) {
        self.inputs.push_back(input);
        let mut outputs = std::mem::take(&mut self.outputs);
        while let Some(input) = self.inputs.pop_front() {
            self.links.step(now, input, &mut outputs);
            for output in outputs.drain(..) {
                self.perform(now, output);
            }
        }
        self.outputs = outputs;
    }

    fn perform(&mut self, now: Moment, output: links::Output) {
        match output {
            links::Output::Connect { to, addresses } => {
                self.dials.call(&self.watch, now, to, &addresses);
                // A failure at once is told later: it is an input like others.
            }
            links::Output::Write { conn: id, frame } => {
                if let Some(conn) = self.conns.get_mut(&id)
                    && conn.begin(frame, &self.watch, id.0) == Sent::Everything
                {
                    self.inputs.push_back(links::Input::Written { conn: id });
                }
            }
            // The kernel still delivers what was written.
            links::Output::Close { conn } => drop(self.conns.remove(&conn)),
            told @ (links::Output::Reached { .. } | links::Output::Lost { .. }) => {
                self.told.push_back(told);
            }
        }
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
