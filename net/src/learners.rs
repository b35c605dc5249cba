//! The learner port: connections of a leader and its learners, on real sockets. Documents say "quorum port".
//!
//! ZooKeeper: the sockets of `Leader.LearnerCnxAcceptor`, `LearnerHandler` and `Learner`. One thread, the caller's: no call waits. A
//! turn reads each link once, [`LearnerPort::flush`] writes to each once; between them the caller steps the machine. The machine's
//! outputs are queued in their order, also the closes.
//!
//! *Invariants:* numbers of links are never used twice; after [`Arrived::Closed`] or [`LearnerPort::close`] nothing more is heard of a
//! link. What one link can make us keep is bounded: a packet and a read coming in, [`LearnerPortSettings::queued_max`] going out, and
//! [`LINKS_MAX`] links. *Absent:* what packets mean; when to connect again; SASL.

mod link;
mod outbox;
mod turn;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use quorum::wire::Message;
use quorum::zab::{Group, Link, To};
use quorum::{Address, Moment, Sid};
use rustix::event::epoll::EventFlags;
use tracing::warn;

use self::link::{Channel, Stage};
use self::outbox::Stream;
use crate::driver::KeepAlive;
pub use crate::port::PortError;
use crate::port::{Dials, Ears, Listening, PortKind, Security, Watch};

/// Above so many queued bytes a link is not given more of a snapshot or of the log, until [`Arrived::Drained`].
pub const QUEUED_MARK: usize = 1 << 20;
/// Links that may be open; a further one is closed at once.
pub const LINKS_MAX: usize = 1_024;
/// How long a closed link may take to bring away what was queued, and to hear that the other side has closed.
pub const LINGER: Duration = Duration::from_secs(5);
/// Bytes that one read may bring.
const SCRATCH_LEN: usize = 256 << 10;

/// How the port behaves.
#[derive(Clone, Debug)]
pub struct LearnerPortSettings {
    /// Who this is.
    pub myid: Sid,
    /// Where it listens while it leads.
    pub own_addresses: Vec<Address>,
    /// Where it listens for observers while it follows; nowhere if it is empty. Source: `observerMasterPort`.
    pub observer_addresses: Vec<Address>,
    /// Whether it listens on every address of the machine, at the ports of its own. Source: `quorumListenOnAllIPs`.
    pub listen_on_all: bool,
    /// How long one call of [`LearnerPort::connect`] may take.
    pub connect_timeout: Duration,
    /// Whether the kernel probes silent connections. Source: `zookeeper.tcpKeepAlive`.
    pub keep_alive: KeepAlive,
    /// How connections are protected.
    pub security: Security,
    /// Longest data of a packet from who connected to us, bytes: of a request. Source: `jute.maxbuffer` and
    /// `zookeeper.jute.maxbuffer.extrasize`.
    pub data_len_max: usize,
    /// Longest data of a packet from a leader, bytes: of a transaction that is decided, or may be, and has to be taken.
    pub leader_data_len_max: usize,
    /// Bytes that may wait for a learner that does not read; then it is closed.
    pub queued_max: usize,
}

/// Something that happened.
#[derive(Debug)]
pub enum Arrived<'a> {
    /// Somebody connected to us.
    Accepted {
        /// The connection.
        link: Link,
    },
    /// [`LearnerPort::connect`] succeeded.
    Connected {
        /// The connection.
        link: Link,
        /// Whom to.
        to: Sid,
    },
    /// [`LearnerPort::connect`] failed at every address.
    ConnectFailed {
        /// Whom to.
        to: Sid,
    },
    /// The other side, or what it sent, ended a connection. Not for those closed by [`LearnerPort::close`].
    Closed {
        /// The connection.
        link: Link,
        /// Why; `None`: the other side closed it.
        why: Option<PortError>,
    },
    /// A packet came.
    Packet {
        /// The connection.
        link: Link,
        /// The packet.
        message: Message<'a>,
    },
    /// The queue was above [`QUEUED_MARK`] and is below it again.
    Drained {
        /// The connection.
        link: Link,
    },
    /// Bytes of a snapshot came, behind [`LearnerPort::take_raw`].
    SnapshotBytes {
        /// The connection.
        link: Link,
        /// As they came.
        bytes: &'a [u8],
    },
}

/// What the next turn begins with.
#[derive(Debug)]
enum Pending {
    Closed {
        link: Link,
        why: PortError,
    },
    Drained {
        link: Link,
    },
    /// Bytes came back behind a snapshot.
    Unread {
        link: Link,
    },
}

/// The port. Dropping it closes everything.
#[derive(Debug)]
pub struct LearnerPort {
    settings: LearnerPortSettings,
    watch: Watch,
    ears: Ears,
    /// While this server follows. At most one of the two is open.
    observer_ears: Option<Ears>,
    dials: Dials,
    links: BTreeMap<Link, Channel>,
    /// Of the next link.
    number: u64,
    /// By [`Group`].
    streams: [Stream; 2],
    pending: VecDeque<Pending>,
    scratch: Box<[u8]>,
    /// That of the last turn.
    now: Moment,
}

impl LearnerPort {
    /// A port that connects; it listens from [`LearnerPort::listen`] on. This may wait for the name of an address of our own.
    ///
    /// Tries to listen, so that an address that is taken is known at the start.
    ///
    /// # Errors
    /// [`PortError`] if an address of our own cannot be listened on.
    pub fn open(settings: LearnerPortSettings) -> Result<Self, PortError> {
        let watch = Watch::new()?;
        let mut ears = Ears::new(settings.listening(settings.own_addresses.clone()))?;
        ears.open(&watch)?;
        ears.close();
        let observer_ears = if settings.observer_addresses.is_empty() {
            None
        } else {
            Some(Ears::new(settings.listening(settings.observer_addresses.clone()))?)
        };
        Ok(Self {
            dials: Dials::new(&watch, settings.connect_timeout, settings.keep_alive)?,
            settings,
            watch,
            ears,
            observer_ears,
            links: BTreeMap::new(),
            number: 0,
            streams: [Stream::default(), Stream::default()],
            pending: VecDeque::new(),
            scratch: vec![0; SCRATCH_LEN].into(),
            now: Moment::ZERO,
        })
    }

    /// Accepts learners from now on. To be called when this server is elected leader, before its machine is told.
    ///
    /// Who does not lead must not listen: a learner that is refused tries again, one that is accepted and closed elects again.
    ///
    /// # Errors
    /// [`PortError`] if an address of our own cannot be listened on.
    pub fn listen(&mut self) -> Result<(), PortError> {
        self.stop_listening();
        self.ears.open(&self.watch)
    }

    /// Accepts observers from now on, if it may. To be called when this server follows and serves.
    ///
    /// # Errors
    /// [`PortError`] if an address for them cannot be listened on.
    pub fn listen_for_observers(&mut self) -> Result<(), PortError> {
        self.stop_listening();
        self.observer_ears.as_mut().map_or(Ok(()), |it| it.open(&self.watch))
    }

    /// Accepts no more. Connections stay.
    pub fn stop_listening(&mut self) {
        self.ears.close();
        if let Some(ears) = &mut self.observer_ears {
            ears.close();
        }
    }

    /// Our own addresses are these from now on: there we listen the next time, or at once if we do. May wait for a name.
    ///
    /// # Errors
    /// [`PortError`]: they stay what they were.
    pub fn set_own_addresses(&mut self, addresses: Vec<Address>) -> Result<(), PortError> {
        if addresses != self.settings.own_addresses {
            let listening = self.settings.listening(addresses.clone());
            self.ears.move_to(&self.watch, listening)?;
            self.settings.own_addresses = addresses;
        }
        Ok(())
    }

    /// The same for those where observers are heard, if they are at all.
    ///
    /// # Errors
    /// [`PortError`]: they stay what they were.
    pub fn set_observer_addresses(&mut self, addresses: Vec<Address>) -> Result<(), PortError> {
        let listening = self.settings.listening(addresses.clone());
        if addresses != self.settings.observer_addresses
            && let Some(ears) = &mut self.observer_ears
        {
            ears.move_to(&self.watch, listening)?;
            self.settings.observer_addresses = addresses;
        }
        Ok(())
    }

    /// Readable when there is something for [`LearnerPort::turn`]. Never changes.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.watch.fd()
    }

    /// When [`LearnerPort::turn`] is due if `fd` does not become readable before.
    pub fn next_deadline(&self) -> Option<Moment> {
        if !self.pending.is_empty() {
            return Some(Moment::ZERO);
        }
        let observers = self.observer_ears.as_ref().and_then(Ears::next_deadline);
        let own = [self.dials.next_deadline(), self.ears.next_deadline(), observers];
        let given_up = self.links.values().filter_map(Channel::given_up_at);
        own.into_iter().flatten().chain(given_up).min()
    }

    /// Who is at the other end of a link.
    pub fn peer_address(&self, link: Link) -> Option<SocketAddr> {
        self.links.get(&link).map(|it| it.peer)
    }

    /// Connects to the first of `addresses` that answers. Then [`Arrived::Connected`] or [`Arrived::ConnectFailed`].
    ///
    /// A call for the same server that is not over is given up, and says nothing more.
    pub fn connect(&mut self, now: Moment, to: Sid, addresses: &[Address]) {
        self.links.retain(|_, it| it.hailing.is_none_or(|(of, _)| of != to));
        self.dials.call(&self.watch, now, to, addresses);
    }

    /// Queues a packet; [`LearnerPort::flush`] sends it. For a group it is encoded and kept once.
    pub fn send(&mut self, to: To, message: &Message<'_>) {
        match to {
            To::Link(link) => self.queue(link, |out| message.encode(out)),
            To::Group(group) => {
                if self.links.values().any(|it| it.group == Some(group)) {
                    self.streams[group as usize].append(|out| message.encode(out));
                }
            }
        }
    }

    /// From here on the link gets what its group gets.
    pub fn join(&mut self, link: Link, group: Group) {
        if let Some(channel) = self.open_channel(link) {
            channel.group = Some(group);
        }
        let stream = &self.streams[group as usize];
        if let Some(channel) = self.links.get_mut(&link).filter(|it| it.group.is_some()) {
            channel.outbox.join(stream);
        }
    }

    /// Closes a link behind what was queued for it. Nothing more is heard of it.
    pub fn close(&mut self, link: Link) {
        let until = self.now + LINGER;
        self.pending.retain(|it| !matches!(it, Pending::Closed { link: of, .. } if *of == link));
        let Some(channel) = self.links.get_mut(&link) else { return };
        if let Some(group) = channel.group.take() {
            channel.outbox.leave(&self.streams[group as usize]);
        }
        if !channel.is_closing() {
            channel.stage = Stage::Closing { until };
        }
    }

    /// Bytes that the kernel has not taken; 0 if the link is closed.
    pub fn queued(&self, link: Link) -> usize {
        self.links.get(&link).map_or(0, |it| it.outbox.queued(it.stream(&self.streams)))
    }

    /// Queues bytes as they are: those of a snapshot.
    pub fn send_raw(&mut self, link: Link, bytes: &[u8]) {
        self.queue(link, |out| out.extend_from_slice(bytes));
    }

    /// What comes behind the packet that is being taken is a snapshot, until [`LearnerPort::end_raw`].
    pub fn take_raw(&mut self, link: Link) {
        if let Some(channel) = self.open_channel(link) {
            channel.stage = Stage::Raw;
        }
    }

    /// The snapshot is over; `unread` is what was given behind its end, and is packets.
    pub fn end_raw(&mut self, link: Link, unread: &[u8]) {
        let Some(channel) = self.open_channel(link) else { return };
        channel.stage = Stage::Packets;
        channel.unread.extend_from_slice(unread);
        if !unread.is_empty() {
            self.pending.push_back(Pending::Unread { link });
        }
    }

    /// A link that is not closing.
    fn open_channel(&mut self, link: Link) -> Option<&mut Channel> {
        self.links.get_mut(&link).filter(|it| !it.is_closing())
    }

    /// Queues what `write` appends, and closes a link that does not read.
    fn queue(&mut self, link: Link, write: impl FnOnce(&mut Vec<u8>)) {
        let Self { links, streams, .. } = self;
        let Some(channel) = links.get_mut(&link).filter(|it| !it.is_closing()) else { return };
        let stream = channel.group.map(|it| &streams[it as usize]);
        channel.outbox.append(stream, write);
        self.check_queue(link);
    }

    /// Notes a queue above the mark, also one that is below it again before the next flush, and closes a link whose queue is too long.
    fn check_queue(&mut self, link: Link) {
        let queued = self.queued(link);
        let queued_max = self.settings.queued_max;
        if QUEUED_MARK < queued
            && let Some(channel) = self.open_channel(link)
        {
            channel.above_mark = true;
        }
        if queued_max < queued && self.open_channel(link).is_some() {
            let why = PortError::NotReading { queued, queued_max };
            warn!(?link, peer = ?self.peer_address(link), "a link is closed: {why}");
            self.links.remove(&link);
            self.pending.push_back(Pending::Closed { link, why });
        }
    }

    /// Sends what is queued: one call for each link.
    pub fn flush(&mut self) {
        let mut over = None;
        for (&link, channel) in &mut self.links {
            let stream = channel.group.map(|it| &self.streams[it as usize]);
            channel.above_mark |= QUEUED_MARK < channel.outbox.queued(stream);
            if !channel.interest.contains(EventFlags::OUT) {
                channel.write(stream, &self.watch, link);
            }
            let queued = channel.outbox.queued(stream);
            if self.settings.queued_max < queued {
                over = Some(link);
            }
            if channel.has_drained(queued) {
                self.pending.push_back(Pending::Drained { link });
            }
        }
        if let Some(link) = over {
            self.check_queue(link);
        }
        self.forget_sent();
    }

    /// Gives memory back that no link of a group needs.
    fn forget_sent(&mut self) {
        for group in [Group::Followers, Group::Observers] {
            let members = self.links.values().filter(|it| it.group == Some(group));
            let least = members.filter_map(|it| it.outbox.place()).min();
            let stream = &mut self.streams[group as usize];
            stream.forget(least.unwrap_or_else(|| stream.end()));
        }
    }
}

impl LearnerPortSettings {
    fn listening(&self, addresses: Vec<Address>) -> Listening {
        Listening {
            myid: self.myid,
            kind: PortKind::Quorum,
            addresses,
            on_all: self.listen_on_all,
            keep_alive: self.keep_alive,
        }
    }
}
