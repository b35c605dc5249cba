//! One server: the machine, its disk, its state, and the requests it holds.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use engine::session::SessionTracker;
use jute::{SessionId, Zxid};
use net::message::{ConnId, Forward, ForwardItem};
use quorum::election::Timing;
use quorum::server::Server;
use quorum::zab::{Group, Link, Settings};
use quorum::{Epoch, Moment, Peer, PeerState, Sid};
use ringkeeper::pipeline::{Home, Owner};

use crate::clock::Clock;
use crate::disk::{Disk, Files, Image, Keeping, Refusal};
use crate::service::{Region, Role, Service};
use crate::world::{Carried, Later, MembersFiles};

/// When a leader last heard of each session, monotonic milliseconds: what it is held to when it ends one.
#[derive(Clone, Debug, Default)]
pub struct Office(BTreeMap<SessionId, u64>);

impl Office {
    /// A session shows life.
    pub fn touch(&mut self, now_ms: u64, session: SessionId) {
        let at = self.0.entry(session).or_default();
        *at = now_ms.max(*at);
    }

    /// The sessions of a turn of the shard show life, of those that are open. What a connection asks whose session has moved
    /// comes too late to be a sign of life.
    pub fn hear(&mut self, now_ms: u64, forward: &Forward, sessions: &SessionTracker<Home>) {
        for &(session, seen_ms) in &forward.touched {
            if sessions.is_open(session) {
                self.touch(seen_ms, session);
            }
        }
        for item in &forward.items {
            let session = match *item {
                ForwardItem::Connect { session, .. } => session,
                ForwardItem::Request { session, conn, .. } => {
                    let home = Home::Here(Owner { shard: 0, conn });
                    if sessions.owner(session).is_some_and(|it| *it != home) {
                        continue;
                    }
                    session
                }
                _ => continue,
            };
            if sessions.is_open(session) {
                self.touch(now_ms, session);
            }
        }
    }

    /// When a session was last heard of.
    pub fn heard(&self, session: SessionId) -> Option<u64> {
        self.0.get(&session).copied()
    }

    /// Nobody was heard of.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// Whether a server has the disk that it began with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supply {
    /// It has.
    First,
    /// It gets an empty one before it starts again.
    Ordered,
    /// It has an empty one in its place, and was told so (`db.autocreate` is off): it neither votes nor leads before it has an image.
    Second,
}

/// A server.
#[derive(Debug)]
pub struct Node {
    /// Its id.
    pub sid: Sid,
    /// Its machines; none while it is down.
    pub server: Option<Server>,
    /// Counts its starts.
    pub life: u64,
    /// Counts its roles: what a client waits for ends with a role.
    pub stint: u64,
    /// Its disk.
    pub disk: Disk,
    /// Its files as they will be when everything ordered is written.
    pub view: Files,
    /// The members, as its files have them.
    pub members: MembersFiles,
    /// Its state.
    pub applied: Image,
    /// Its epoch, while it serves.
    pub serving: Option<Epoch>,
    /// Until when it sleeps.
    pub paused_until: Moment,
    /// Its learners that get what their group gets.
    pub groups: BTreeMap<Link, Group>,
    /// What it does for clients, and their connections.
    pub service: Option<Service>,
    /// The memory of its tree.
    pub region: Region,
    /// The connections of its clients.
    pub wires: BTreeMap<ConnId, u64>,
    /// The trees of the images on its disk.
    pub images: BTreeMap<Zxid, Rc<[u8]>>,
    /// What the packet of this step carries.
    pub carried: Option<Carried>,
    /// Inputs that follow from this step's outputs.
    pub later: VecDeque<Later>,
    /// Inputs that come behind so many transactions of the leader's next batch.
    pub behind: VecDeque<(u32, Later)>,
    /// Of a leader: whom it has heard of.
    pub office: Office,
    /// Since when it leads, monotonic milliseconds.
    pub in_office_ms: u64,
    /// How wrong its wall clock is, milliseconds.
    pub wall_off_ms: i64,
    /// Whether a turn of its pipeline is on its way.
    pub is_pumping: bool,
    /// An image that has come whole, and its tree.
    pub received: Option<(Image, Rc<[u8]>)>,
    /// Images that were chosen for learners.
    pub chosen: BTreeMap<Link, (Image, Rc<[u8]>)>,
    /// How much slower its disk is than others.
    pub disk_factor: u64,
    /// When it will look at the clock.
    pub wake_at: Option<Moment>,
    /// Its clock.
    pub clock: Clock,
    /// When it last wrote.
    pub wrote_at: Moment,
    /// Whether somebody will look if its log rests.
    pub is_watched: bool,
    /// Whether its disk is the one it began with.
    pub supply: Supply,
    /// Not before: nobody starts it.
    pub starts_at: Moment,
    /// Its log could not be read for a learner.
    pub is_unreadable: bool,
    /// Connections to other servers with bytes that this turn wrote.
    pub unsent: Vec<u64>,
    /// What learners had promised when they came, before this leader decided on its epoch.
    pub named: Vec<Epoch>,
}

impl Node {
    /// One that was never started.
    pub fn new(sid: Sid, members: MembersFiles, keeping: Keeping, clock: Clock) -> Self {
        Self {
            sid,
            server: None,
            life: 0,
            stint: 0,
            disk: Disk::new(keeping),
            view: Files::default(),
            members,
            applied: Image::default(),
            serving: None,
            paused_until: Moment::ZERO,
            groups: BTreeMap::new(),
            service: None,
            region: Region::default(),
            wires: BTreeMap::new(),
            images: BTreeMap::new(),
            carried: None,
            later: VecDeque::new(),
            behind: VecDeque::new(),
            office: Office::default(),
            in_office_ms: 0,
            wall_off_ms: 0,
            is_pumping: false,
            received: None,
            chosen: BTreeMap::new(),
            disk_factor: 1,
            wake_at: None,
            clock,
            wrote_at: Moment::ZERO,
            is_watched: false,
            supply: Supply::First,
            starts_at: Moment::ZERO,
            is_unreadable: false,
            unsent: Vec::new(),
            named: Vec::new(),
        }
    }

    /// Starts with what the disk holds.
    ///
    /// # Errors
    /// [`Refusal`]: it does not start.
    pub fn start(&mut self, settings: Settings) -> Result<(), Refusal> {
        self.view = self.disk.open()?;
        let restored = self.view.restore();
        self.applied = self.view.image;
        self.life += 1;
        self.is_pumping = false;
        self.end_role();
        let timing = Timing::default();
        let views = self.members.views();
        self.is_unreadable = false;
        self.server = Some(Server::new(self.sid, settings, timing, views, &restored));
        Ok(())
    }

    /// Whether it has lost what it promised, and may neither vote nor lead.
    pub fn is_blank(&self) -> bool {
        self.supply == Supply::Second && self.disk.is_empty()
    }

    /// The input comes when what the leader's pipeline holds is offered.
    pub fn behind_filled(&mut self, later: Later) {
        let Some(Service { role: Role::Leading(pipeline), .. }) = &self.service else { return };
        match pipeline.filled() {
            0 => self.later.push_back(later),
            filled => self.behind.push_back((filled, later)),
        }
    }

    /// Its role; none while it is down.
    pub fn peer(&self) -> Option<&Peer> {
        self.server.as_ref().map(Server::peer)
    }

    /// Whether it leads, or means to.
    pub fn leads(&self) -> bool {
        self.peer().is_some_and(|it| matches!(it.state(), PeerState::Leading { .. }))
    }

    /// Whether it follows.
    pub fn follows(&self) -> bool {
        self.peer().is_some_and(|it| matches!(it.state(), PeerState::Following { .. }))
    }

    /// What a role leaves behind: nothing.
    pub fn end_role(&mut self) {
        self.stint += 1;
        self.serving = None;
        self.groups.clear();
        self.later.clear();
        self.behind.clear();
        if self.server.is_none() {
            self.service = None;
        }
        self.received = None;
        self.chosen.clear();
        self.named.clear();
    }

    /// Whether its durable files hold a transaction.
    pub fn has_durable(&self, zxid: Zxid) -> bool {
        self.disk.files.holds(zxid)
    }

    /// Writes an image, and lets go of the log that it makes needless.
    pub fn take_image(&mut self) {
        let image = self.applied;
        let files = &self.disk.files;
        let Some(service) = self.service.as_ref().filter(|it| it.tree().0 == image.zxid) else {
            return;
        };
        let is_logged = files.log.binary_search_by_key(&image.zxid, |it| it.zxid).is_ok();
        // An image never holds what the log does not.
        if !is_logged || self.disk.is_changing() {
            return;
        }
        let tree = service.image();
        if let Some(after) = self.disk.take_image(image) {
            self.images.insert(image.zxid, tree);
            for files in [&mut self.disk.files, &mut self.view] {
                files.image = image;
                files.purge(after);
            }
        }
    }
}
