//! The connections of an election: one for each pair of servers, made by the one with the larger id.
//!
//! ZooKeeper: `QuorumCnxManager`. A server that wants to talk to a larger one connects, says who it is, and closes:
//! the larger one then connects back. What waits to be sent is one frame for each server, the newest; and because a
//! frame may be lost with its connection, the last one is sent again on every new connection.
//!
//! **Differs:** missing connections to voters are tried again by themselves, with pauses that double up to
//! [`RETRY_MAX`], so that a server that comes back is heard at once and not at the end of a pause of the election.
//!
//! *Invariants:* at most one connection of a server is in use; frames of any other are dropped. At most one frame of
//! a connection is being written. *Absent:* sockets, names, the bytes of the first message.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use crate::wire::Initial;
use crate::{Address, Member, Moment, Sid, Views};

/// The first pause before a connection is tried again; it doubles.
pub const RETRY_MIN: Duration = Duration::from_millis(50);
/// The longest such pause.
pub const RETRY_MAX: Duration = Duration::from_secs(2);
/// How many servers that are in no configuration are remembered; the one that was heard first is forgotten for a new one.
pub const STRANGERS_MAX: usize = 64;

/// The driver's number for a connection; it never uses one twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Conn(pub u64);

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// A frame is to be sent to a server, instead of any that still waits.
    Send {
        /// To whom.
        to: Sid,
        /// The frame, its length before it.
        frame: Arc<[u8]>,
    },
    /// The members changed, or a change was proposed.
    Reconfigured {
        /// The configurations now.
        views: Views,
    },
    /// Try at once what is missing.
    Reconnect,
    /// A connection that we asked for is there, and our first message written.
    Connected {
        /// To whom.
        to: Sid,
        /// Its number.
        conn: Conn,
    },
    /// A connection that we asked for could not be made.
    Refused {
        /// To whom.
        to: Sid,
    },
    /// Somebody connected and said who it is.
    Accepted {
        /// Its number.
        conn: Conn,
        /// What it said.
        initial: Initial,
    },
    /// The frame of the last [`Output::Write`] on this connection has left.
    Written {
        /// Which.
        conn: Conn,
    },
    /// A connection is gone. Not for those that [`Output::Close`] closed.
    Closed {
        /// Which.
        conn: Conn,
    },
    /// The moment of [`Links::next_deadline`].
    Deadline,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Connect to the first of these that answers, write our first message at once, and say how it went.
    Connect {
        /// To whom.
        to: Sid,
        /// Where it listens; never empty.
        addresses: Vec<Address>,
    },
    /// Write a frame, and say when it has left.
    Write {
        /// Where.
        conn: Conn,
        /// The frame, its length before it.
        frame: Arc<[u8]>,
    },
    /// Close a connection. What was written before still has to arrive.
    Close {
        /// Which.
        conn: Conn,
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

/// What is known of one other server.
#[derive(Clone, Debug)]
struct Peer {
    /// The connection in use.
    link: Option<Conn>,
    /// Since when.
    linked_at: Moment,
    /// Whether its last frame has not left yet.
    writing: bool,
    /// Whether we asked for a connection and do not know yet how it went.
    connecting: bool,
    /// The newest frame that was not given to a connection.
    waiting: Option<Arc<[u8]>>,
    /// The last frame that was.
    last: Option<Arc<[u8]>>,
    /// Where it said that it listens; empty: as configured.
    heard: Vec<Address>,
    /// Not before this moment is it tried again.
    retry_at: Moment,
    /// The pause after that.
    retry_pause: Duration,
    /// When it first was of interest, in order.
    since: u64,
}

/// The connections of one server. See the module's page.
#[derive(Clone, Debug)]
pub struct Links {
    myid: Sid,
    views: Views,
    peers: BTreeMap<Sid, Peer>,
    /// The server at the other end of each connection in use.
    owners: BTreeMap<Conn, Sid>,
    /// The id for the next server that has none; descends.
    anonymous: i64,
    /// Counts up for `Peer::since`.
    count: u64,
}

impl Links {
    /// A server without connections.
    pub fn new(myid: Sid, views: Views) -> Self {
        let (peers, owners) = (BTreeMap::new(), BTreeMap::new());
        let mut links = Self { myid, views, peers, owners, anonymous: -1, count: 0 };
        links.know_voters();
        links
    }

    /// Who is at the other end of a connection in use. Frames of other connections are dropped.
    pub fn owner(&self, conn: Conn) -> Option<Sid> {
        self.owners.get(&conn).copied()
    }

    /// Whether there is a connection to `sid`.
    pub fn is_linked(&self, sid: Sid) -> bool {
        self.peers.get(&sid).is_some_and(|it| it.link.is_some())
    }

    /// When to call `step` with [`Input::Deadline`] if nothing else happens.
    pub fn next_deadline(&self) -> Option<Moment> {
        let missing = self.peers.iter().filter(|(sid, it)| self.is_missing(**sid, it));
        missing.map(|(_, it)| it.retry_at).min()
    }

    /// Takes one input at `now`; pushes what to do about it, in order.
    pub fn step(&mut self, now: Moment, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Send { to, frame } => {
                self.peer(to).waiting = Some(frame);
                self.write_waiting(to, out);
                self.connect_missing(now, out);
            }
            Input::Reconfigured { views } => {
                let before = core::mem::replace(&mut self.views, views);
                self.know_voters();
                self.leave_moved(now, &before, out);
                self.connect_missing(now, out);
            }
            Input::Reconnect => {
                for peer in self.peers.values_mut() {
                    peer.retry_at = now;
                }
                self.connect_missing(now, out);
            }
            Input::Connected { to, conn } => self.connected(now, to, conn, out),
            Input::Refused { to } => {
                let peer = self.peer(to);
                peer.connecting = false;
                peer.heard.clear(); // It may have moved: as configured next time.
                out.push(Output::Lost { sid: to });
            }
            Input::Accepted { conn, initial } => self.accepted(now, conn, initial, out),
            Input::Written { conn } => {
                if let Some(sid) = self.owner(conn) {
                    self.peer(sid).writing = false;
                    self.write_waiting(sid, out);
                }
            }
            Input::Closed { conn } => {
                if let Some(sid) = self.owners.remove(&conn) {
                    self.closed(now, sid, out);
                }
            }
            Input::Deadline => self.connect_missing(now, out),
        }
        self.check();
    }

    /// What is known of `sid`, from now on.
    fn peer(&mut self, sid: Sid) -> &mut Peer {
        self.count += 1;
        let since = self.count;
        self.peers.entry(sid).or_insert_with(|| Peer {
            link: None,
            linked_at: Moment::ZERO,
            writing: false,
            connecting: false,
            waiting: None,
            last: None,
            heard: Vec::new(),
            retry_at: Moment::ZERO,
            retry_pause: RETRY_MIN,
            since,
        })
    }

    /// Every voter is of interest.
    fn know_voters(&mut self) {
        for sid in self.views.voters() {
            if sid != self.myid {
                self.peer(sid);
            }
        }
    }

    /// Ends the connections to members that have come to listen elsewhere, and all if it is this one: at an address of before there may be
    /// nobody, not even to say so, and then it takes as long as the kernel tries until that is noticed.
    fn leave_moved(&mut self, now: Moment, before: &Views, out: &mut Vec<Output>) {
        let has_moved = |sid: Sid| {
            let [was, is] = [before, &self.views].map(|it| it.committed().member(sid));
            was.zip(is)
                .is_some_and(|(was, is)| was.election_addresses().ne(is.election_addresses()))
        };
        let all = has_moved(self.myid);
        let moved: Vec<_> = self.peers.keys().copied().filter(|&it| all || has_moved(it)).collect();
        for sid in moved {
            if !all {
                self.peer(sid).heard.clear();
            }
            if self.is_linked(sid) {
                self.drop_link(sid, out);
                self.closed(now, sid, out);
            }
        }
    }

    /// Whether a connection to the peer is wanted and not on its way.
    ///
    /// Voters are always wanted; others only while something waits for them and it is known where they are.
    fn is_missing(&self, sid: Sid, peer: &Peer) -> bool {
        let wanted = self.views.is_voter(sid) || peer.waiting.is_some();
        wanted && peer.link.is_none() && !peer.connecting && !self.addresses(sid, peer).is_empty()
    }

    /// Where to connect to: where the peer said, or as configured; the agreed configuration first.
    ///
    /// Source: `QuorumCnxManager.connectOne`.
    fn addresses(&self, sid: Sid, peer: &Peer) -> Vec<Address> {
        if !peer.heard.is_empty() {
            return peer.heard.clone();
        }
        let mut addresses = Vec::new();
        for config in [self.views.committed(), self.views.last_seen()] {
            for address in config.member(sid).into_iter().flat_map(Member::election_addresses) {
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
        addresses
    }

    /// Asks for every connection that is missing and due.
    fn connect_missing(&mut self, now: Moment, out: &mut Vec<Output>) {
        let due = |it: &(&Sid, &Peer)| it.1.retry_at <= now && self.is_missing(*it.0, it.1);
        let due: Vec<_> = self.peers.iter().filter(due).map(|(sid, _)| *sid).collect();
        for to in due {
            let addresses = self.peers.get(&to).map(|it| self.addresses(to, it));
            let peer = self.peer(to);
            peer.connecting = true;
            peer.retry_at = now + peer.retry_pause;
            peer.retry_pause = (peer.retry_pause * 2).min(RETRY_MAX);
            out.push(Output::Connect { to, addresses: addresses.unwrap_or_default() });
        }
    }

    /// A connection of ours is there: it is used if our id is the larger one.
    fn connected(&mut self, now: Moment, to: Sid, conn: Conn, out: &mut Vec<Output>) {
        self.peer(to).connecting = false;
        out.push(Output::Reached { sid: to });
        if to < self.myid {
            self.use_link(now, to, conn, out);
        } else {
            // It has read who we are, and connects back.
            out.push(Output::Close { conn });
        }
    }

    /// Somebody connected: it is used if its id is the larger one.
    fn accepted(&mut self, now: Moment, conn: Conn, initial: Initial, out: &mut Vec<Output>) {
        let Initial { mut sid, addresses } = initial;
        if sid == Sid::ANONYMOUS {
            sid = Sid(self.anonymous);
            self.anonymous = self.anonymous.saturating_sub(1);
        }
        if sid == self.myid {
            // A server with our id, or we ourselves.
            out.push(Output::Close { conn });
            return;
        }
        self.peer(sid).heard = addresses;
        out.push(Output::Reached { sid });
        if self.myid < sid {
            self.use_link(now, sid, conn, out);
        } else {
            out.push(Output::Close { conn });
            self.drop_link(sid, out);
            let peer = self.peer(sid);
            // It may only want to be asked; what was said last is said again.
            if peer.waiting.is_none() {
                peer.waiting = peer.last.take();
            }
            let addresses = self.peers.get(&sid).map(|it| self.addresses(sid, it));
            let addresses = addresses.unwrap_or_default();
            let peer = self.peer(sid);
            if !peer.connecting && !addresses.is_empty() {
                peer.connecting = true;
                peer.retry_at = now + peer.retry_pause;
                out.push(Output::Connect { to: sid, addresses });
            }
        }
        self.forget_strangers(sid, out);
    }

    /// The connection in use broke.
    ///
    /// Who connects with the larger id tries at once. The other one first waits to be connected to: its call could meet
    /// the new connection on its way, end that, and so for ever. After a short life the pauses go on doubling.
    fn closed(&mut self, now: Moment, sid: Sid, out: &mut Vec<Output>) {
        let initiates = sid < self.myid;
        let peer = self.peer(sid);
        (peer.link, peer.writing) = (None, false);
        if RETRY_MAX < now.since(peer.linked_at) {
            peer.retry_pause = RETRY_MIN;
        }
        peer.retry_at = if initiates { now } else { now + peer.retry_pause };
        out.push(Output::Lost { sid });
        self.connect_missing(now, out);
    }

    /// Uses a connection instead of any that was used before, and says again what was said last.
    fn use_link(&mut self, now: Moment, sid: Sid, conn: Conn, out: &mut Vec<Output>) {
        self.drop_link(sid, out);
        self.owners.insert(conn, sid);
        let peer = self.peer(sid);
        (peer.link, peer.writing, peer.linked_at) = (Some(conn), false, now);
        if peer.waiting.is_none() {
            peer.waiting = peer.last.take();
        }
        self.write_waiting(sid, out);
    }

    /// Closes the connection in use.
    fn drop_link(&mut self, sid: Sid, out: &mut Vec<Output>) {
        let peer = self.peer(sid);
        peer.writing = false;
        if let Some(conn) = peer.link.take() {
            self.owners.remove(&conn);
            out.push(Output::Close { conn });
        }
    }

    /// Gives the waiting frame to the connection, if that is free.
    fn write_waiting(&mut self, sid: Sid, out: &mut Vec<Output>) {
        let peer = self.peer(sid);
        let Some(conn) = peer.link.filter(|_| !peer.writing) else { return };
        if let Some(frame) = peer.waiting.take() {
            peer.last = Some(Arc::clone(&frame));
            peer.writing = true;
            out.push(Output::Write { conn, frame });
        }
    }

    /// Forgets the oldest of too many servers that are in no configuration; never `newest`.
    fn forget_strangers(&mut self, newest: Sid, out: &mut Vec<Output>) {
        let known = |sid: &Sid| {
            self.views.committed().member(*sid).is_some()
                || self.views.last_seen().member(*sid).is_some()
        };
        let strangers = self.peers.iter().filter(|(sid, _)| !known(sid) && **sid != newest);
        if STRANGERS_MAX <= strangers.clone().count()
            && let Some((&oldest, _)) = strangers.min_by_key(|(_, it)| it.since)
        {
            self.drop_link(oldest, out);
            self.peers.remove(&oldest);
        }
    }

    fn check(&self) {
        let links = self.peers.values().filter(|it| it.link.is_some()).count();
        assert!(links == self.owners.len(), "{links} links, {} owners", self.owners.len());
        for (conn, sid) in &self.owners {
            assert!(self.peers.get(sid).is_some_and(|it| it.link == Some(*conn)), "{conn:?}");
        }
    }
}

#[cfg(test)]
mod tests;
