//! A whole server but for sessions and files: it elects, leads or follows, and keeps what is committed in memory.

use std::collections::BTreeMap;
use std::time::Duration;

use jute::{Record as _, SessionId, TxnHeader};
use net::driver::KeepAlive;
use net::election::ElectionPort;
use net::learners::{Arrived, LearnerPort, LearnerPortSettings, QUEUED_MARK};
use quorum::election::Timing;
use quorum::server::{self, Outputs};
use quorum::wire::{IdList, Message};
use quorum::zab::{
    Input, Link, Output, Packet, Reconfig, Restored, Settings, To, WindowLimits, Write, WriteId,
};
use quorum::{Epoch, Moment, Peer, PeerState, Sid, Views, Zxid};

use super::counting::{apart, counted};
use super::now;
use super::voter::port_settings;

/// A tick of these servers.
const TICK: Duration = Duration::from_millis(50);
/// The op of all transactions: setData.
const OP: i32 = 5;

/// A transaction.
pub(crate) type Txn = (Zxid, Vec<u8>);

/// What outlives a server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    accepted: i64,
    current: i64,
    /// Everything up to the last of an image.
    image: Vec<Txn>,
    /// What is behind the image, or from before it too.
    log: Vec<Txn>,
    /// The log holds everything behind this one.
    log_after: i64,
}

impl Disk {
    fn restored(&self) -> Restored {
        let image = self.image.last().map_or(Zxid::ZERO, |it| it.0);
        Restored {
            accepted: Epoch(self.accepted),
            current: Epoch(self.current),
            last: self.log.last().map_or(image, |it| it.0),
            committed: image,
        }
    }

    fn floor(&self, zxid: Zxid) -> Option<Zxid> {
        let last = self.log.iter().rev().find(|it| it.0 <= zxid).map(|it| it.0);
        last.or_else(|| (Zxid(self.log_after) <= zxid).then_some(Zxid(self.log_after)))
    }
}

/// What a step has to be followed by.
enum Next {
    Floor { link: Link, floor: Option<Zxid> },
    LogStreamed { link: Link },
    Chosen { link: Link, zxid: Zxid },
    Sent { link: Link },
    Received { link: Link },
    Propose { session: SessionId, cxid: i32 },
}

/// What is sent at the pace of a link.
struct Outgoing {
    /// Packets one by one, or pieces of an image.
    pieces: Vec<Vec<u8>>,
    is_image: bool,
}

/// A server without its ports.
pub(crate) struct Core {
    machines: quorum::Server,
    pub(crate) disk: Disk,
    /// What is committed here.
    pub(crate) applied: Vec<Txn>,
    /// Whether clients may come.
    pub(crate) serves: bool,
    /// Images that came whole.
    pub(crate) images: usize,
    /// Roles that ended.
    pub(crate) left: usize,
    views: Views,
    written: Option<WriteId>,
    outgoing: BTreeMap<Link, Outgoing>,
    /// An image that is coming.
    coming: Vec<u8>,
    received: Vec<Txn>,
    request: Option<(SessionId, i32)>,
    out: Outputs,
    next: Vec<Next>,
    /// Images are the reference's: nothing is taken from them but where they end.
    pub(crate) reads_java: bool,
    /// Bytes of each transaction.
    pub(crate) txn_len: usize,
}

/// A running server.
pub(crate) struct Server {
    pub(crate) core: Core,
    pub(crate) votes: ElectionPort,
    pub(crate) learners: LearnerPort,
}

/// Settings of a learner port at `port`.
pub(crate) fn learner_settings(myid: i64, port: u16) -> LearnerPortSettings {
    LearnerPortSettings {
        myid: Sid(myid),
        own_addresses: vec![quorum::Address::new("127.0.0.1", port)],
        observer_addresses: Vec::new(),
        listen_on_all: false,
        connect_timeout: Duration::from_secs(2),
        keep_alive: KeepAlive::Off,
        security: super::security(),
        data_len_max: 1 << 20,
        leader_data_len_max: 1 << 20,
        queued_max: 64 << 20,
    }
}

impl Server {
    /// Starts with what the disk holds, its quorum port at `port`.
    pub(crate) fn start(myid: i64, views: &Views, port: u16, disk: Disk) -> Self {
        Self::start_with(myid, views, port, disk, TICK)
    }

    /// Starts with ticks of this length.
    pub(crate) fn start_with(
        myid: i64,
        views: &Views,
        port: u16,
        disk: Disk,
        tick: Duration,
    ) -> Self {
        let settings = Settings {
            tick,
            // A machine that compiles meanwhile stops these servers for a second now and then.
            init_limit: 100,
            sync_limit: 60,
            connect_pause: Duration::from_millis(100),
            window: WindowLimits { count_max: 16, bytes_max: 1 << 20 },
            reconfig: Reconfig::Disabled,
            first_counter: 0,
            observer_masters: quorum::zab::ObserverMasters::Off,
            ..Settings::default()
        };
        let (timing, restored) = (Timing::default(), disk.restored());
        let machines = quorum::Server::new(Sid(myid), settings, timing, views.clone(), &restored);
        let core = Core {
            machines,
            applied: disk.image.clone(),
            disk,
            serves: false,
            images: 0,
            left: 0,
            views: views.clone(),
            written: None,
            outgoing: BTreeMap::new(),
            coming: Vec::new(),
            received: Vec::new(),
            request: None,
            out: Outputs::default(),
            next: Vec::new(),
            reads_java: false,
            txn_len: 100,
        };
        let votes = port_settings(myid, views);
        let mut server = Self {
            core,
            votes: ElectionPort::open(votes).unwrap(),
            learners: LearnerPort::open(learner_settings(myid, port)).unwrap(),
        };
        let Self { core, learners, .. } = &mut server;
        core.machines.start(now(), &mut core.out);
        core.perform_all(now(), learners);
        server
    }

    /// Whether it leads and takes writes.
    pub(crate) fn leads(&self) -> bool {
        self.core.serves && matches!(self.core.peer().state(), PeerState::Leading { .. })
    }

    /// Asks for a write.
    pub(crate) fn write(&mut self, cxid: i32) {
        let session = SessionId(7);
        if self.leads() {
            self.core.next.push(Next::Propose { session, cxid });
            self.core.go_on(now(), &mut self.learners);
        } else if let Some(link) = self.core.peer().request_link() {
            let authinfo = IdList::NULL;
            let message = Message::Request { session, cxid, op: OP, body: b"what", authinfo };
            self.learners.send(To::Link(link), &message);
        } else {
            panic!("it does not serve");
        }
    }

    /// One turn: everything that came, everything that is due, one flush.
    pub(crate) fn turn(&mut self, now: Moment) {
        let Self { core, votes, learners } = self;
        votes.turn(now, &mut |input| core.step(now, learners, input));
        counted(|| {
            learners.turn(now, &mut |port, arrived| apart(|| core.arrived(now, port, &arrived)));
        });
        if let Some(write) = core.written.take() {
            core.input(now, learners, Input::Durable { write });
        }
        core.step(now, learners, server::Input::Deadline);
        while !core.out.links.is_empty() {
            for output in std::mem::take(&mut core.out.links) {
                if let Some(input) = votes.perform(now, output) {
                    core.step(now, learners, server::Input::Links(input));
                }
            }
        }
        counted(|| learners.flush());
    }

    /// When it wants a turn.
    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        if self.core.written.is_some() {
            return Some(Moment::ZERO);
        }
        let ports = [self.votes.next_deadline(), self.learners.next_deadline()];
        ports.into_iter().chain([self.core.machines.next_deadline()]).flatten().min()
    }
}

impl Core {
    pub(crate) fn peer(&self) -> &Peer {
        self.machines.peer()
    }

    /// Writes an image, and forgets the log.
    pub(crate) fn purge(&mut self) {
        let Some(last) = self.applied.last().map(|it| it.0) else { return };
        self.disk.image.clone_from(&self.applied);
        self.disk.log.retain(|it| last < it.0);
        self.disk.log_after = last.0;
    }

    fn arrived(&mut self, now: Moment, port: &mut LearnerPort, arrived: &Arrived<'_>) {
        match *arrived {
            Arrived::Accepted { link } => self.input(now, port, Input::Accepted { link }),
            Arrived::Connected { link, to } => {
                self.input(now, port, Input::Connected { link, to });
            }
            Arrived::ConnectFailed { to } => self.input(now, port, Input::ConnectFailed { to }),
            Arrived::Closed { link, .. } => {
                self.outgoing.remove(&link);
                self.input(now, port, Input::Closed { link });
            }
            Arrived::Packet { link, message } => {
                if let Message::Request { session, cxid, .. } = message {
                    self.request = Some((session, cxid));
                }
                self.input(now, port, Input::Packet { link, message });
            }
            Arrived::Drained { link } => {
                self.pour(port, link);
                self.go_on(now, port);
            }
            Arrived::SnapshotBytes { link, bytes } => {
                self.coming.extend_from_slice(bytes);
                let read = if self.reads_java { skip_java_image } else { read_image };
                if let Some((txns, len)) = read(&self.coming) {
                    port.end_raw(link, &self.coming[len..]);
                    self.received = txns;
                    self.images += 1;
                    self.coming.clear();
                    self.next.push(Next::Received { link });
                    self.go_on(now, port);
                }
            }
        }
    }

    /// The role takes one input; what comes of it is done.
    fn input(&mut self, now: Moment, port: &mut LearnerPort, input: Input<'_>) {
        self.step(now, port, server::Input::Zab(input));
    }

    /// Takes one input, and does what comes of it, but for the election's connections.
    fn step(&mut self, now: Moment, port: &mut LearnerPort, input: server::Input<'_>) {
        counted(|| self.machines.step(now, input, &mut self.out)).unwrap();
        self.perform_all(now, port);
    }

    fn perform_all(&mut self, now: Moment, port: &mut LearnerPort) {
        let mut out = std::mem::take(&mut self.out.zab);
        for output in out.drain(..) {
            self.perform(now, port, output);
        }
        self.out.zab = out;
        self.go_on(now, port);
    }

    /// What was put off until the step was done.
    fn go_on(&mut self, now: Moment, port: &mut LearnerPort) {
        for next in std::mem::take(&mut self.next) {
            match next {
                Next::Floor { link, floor } => {
                    self.input(now, port, Input::LogFloor { link, floor });
                }
                Next::LogStreamed { link } => self.input(now, port, Input::LogStreamed { link }),
                Next::Chosen { link, zxid } => {
                    self.input(now, port, Input::SnapshotChosen { link, zxid });
                }
                Next::Sent { link } => self.input(now, port, Input::SnapshotSent { link }),
                Next::Received { link } => {
                    self.input(now, port, Input::SnapshotReceived { link });
                }
                Next::Propose { session, cxid } => {
                    let Some(zxid) = self.peer().next_zxid() else { continue };
                    let mut txn = Vec::new();
                    TxnHeader { client: session, cxid, zxid, time_ms: 0, op: OP }.encode(&mut txn);
                    txn.resize(txn.len() + self.txn_len, cxid as u8);
                    self.input(now, port, Input::Propose { zxid, txn: &txn });
                }
            }
        }
    }

    fn perform(&mut self, now: Moment, port: &mut LearnerPort, output: Output) {
        match output {
            Output::Send { to, packet } => self.send(port, to, &packet),
            Output::Join { link, group } => port.join(link, group),
            Output::Close { link, .. } => {
                self.outgoing.remove(&link);
                port.close(link);
            }
            Output::Connect { to } => {
                let member = self.views.committed().member(to).unwrap();
                let addresses: Vec<_> = member.quorum_addresses().collect();
                port.connect(now, to, &addresses);
            }
            Output::Write { write, what } => {
                self.order(what);
                self.written = Some(write);
            }
            Output::AskLog { link, zxid } => {
                self.next.push(Next::Floor { link, floor: self.disk.floor(zxid) });
            }
            Output::StreamLog { link, after, upto } => {
                let txns = self.disk.log.iter().filter(|it| after < it.0 && it.0 <= upto);
                let pieces = txns.map(|(zxid, txn)| {
                    let mut bytes = Vec::new();
                    Message::Proposal { zxid: *zxid, txn }.encode(&mut bytes);
                    Message::Commit { zxid: *zxid }.encode(&mut bytes);
                    bytes
                });
                let pieces = pieces.rev().collect();
                self.outgoing.insert(link, Outgoing { pieces, is_image: false });
                self.pour(port, link);
            }
            Output::SendSnapshot { link, .. } => {
                let zxid = self.applied.last().map_or(Zxid::ZERO, |it| it.0);
                self.next.push(Next::Chosen { link, zxid });
            }
            Output::StreamSnapshot { link } => {
                let image = write_image(&self.applied);
                let pieces = image.chunks(100_000).rev().map(<[u8]>::to_vec).collect();
                self.outgoing.insert(link, Outgoing { pieces, is_image: true });
                self.pour(port, link);
            }
            Output::ReceiveSnapshot { link, .. } => {
                self.coming.clear();
                port.take_raw(link);
            }
            Output::Commit { upto } => self.apply(upto),
            Output::Elected { leader } => {
                if leader == self.peer().sid() {
                    port.listen().unwrap();
                }
            }
            Output::Serve { .. } => self.serves = true,
            Output::Look { .. } => {
                port.stop_listening();
                self.serves = false;
                self.left += 1;
                self.outgoing.clear();
            }
            Output::Request { .. } => {
                let (session, cxid) = self.request.take().unwrap();
                self.next.push(Next::Propose { session, cxid });
            }
            Output::Activate { .. }
            | Output::Propose { .. }
            | Output::Touched { .. }
            | Output::Revalidate { .. }
            | Output::SessionIs { .. }
            | Output::Synced { .. } => {}
        }
    }

    fn send(&self, port: &mut LearnerPort, to: To, packet: &Packet) {
        counted(|| port.send(to, &self.peer().message(packet)));
    }

    /// Gives a link as much as it has room for.
    fn pour(&mut self, port: &mut LearnerPort, link: Link) {
        let Some(outgoing) = self.outgoing.get_mut(&link) else { return };
        while port.queued(link) <= QUEUED_MARK {
            let Some(piece) = outgoing.pieces.pop() else {
                let is_image = outgoing.is_image;
                self.outgoing.remove(&link);
                let sent = Next::Sent { link };
                self.next.push(if is_image { sent } else { Next::LogStreamed { link } });
                return;
            };
            port.send_raw(link, &piece);
        }
    }

    fn order(&mut self, what: Write) {
        let disk = &mut self.disk;
        match what {
            Write::Append { zxid } => {
                let txn = self.machines.peer().txn(zxid).unwrap();
                disk.log.push((zxid, txn.to_vec()));
            }
            Write::Truncate { to } => disk.log.retain(|it| it.0 <= to),
            Write::AcceptedEpoch(epoch) => disk.accepted = epoch.0,
            Write::CurrentEpoch(epoch) => disk.current = epoch.0,
            Write::InstallSnapshot { zxid } => {
                self.applied = std::mem::take(&mut self.received);
                if self.reads_java {
                    self.applied.push((zxid, Vec::new()));
                }
                assert_eq!(self.applied.last().map(|it| it.0), Some(zxid));
                disk.image.clone_from(&self.applied);
                disk.log.clear();
                disk.log_after = zxid.0;
            }
        }
    }

    fn apply(&mut self, upto: Zxid) {
        let last = self.applied.last().map_or(Zxid::ZERO, |it| it.0);
        let txns = self.disk.log.iter().filter(|it| last < it.0 && it.0 <= upto);
        self.applied.extend(txns.cloned());
    }
}

fn write_image(txns: &[Txn]) -> Vec<u8> {
    let mut bytes = (txns.len() as u32).to_be_bytes().to_vec();
    for (zxid, txn) in txns {
        bytes.extend_from_slice(&zxid.0.to_be_bytes());
        bytes.extend_from_slice(&(txn.len() as u32).to_be_bytes());
        bytes.extend_from_slice(txn);
    }
    bytes
}

/// An image and its length, if it is there whole.
fn read_image(bytes: &[u8]) -> Option<(Vec<Txn>, usize)> {
    let mut rest = bytes;
    let mut txns = Vec::new();
    for _ in 0..u32::from_be_bytes(*rest.split_off(..4)?.first_chunk()?) {
        let zxid = i64::from_be_bytes(*rest.split_off(..8)?.first_chunk()?);
        let len = u32::from_be_bytes(*rest.split_off(..4)?.first_chunk()?);
        txns.push((Zxid(zxid), rest.split_off(..len as usize)?.to_vec()));
    }
    Some((txns, bytes.len() - rest.len()))
}

/// No transactions, and the length of an image of the reference, if it is there whole: its signature ends it.
fn skip_java_image(bytes: &[u8]) -> Option<(Vec<Txn>, usize)> {
    let signature = b"BenWasHere";
    let at = bytes.windows(signature.len()).position(|it| it == signature)?;
    Some((Vec::new(), at + signature.len()))
}
