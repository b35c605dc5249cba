//! One server: the machine, its disk, its state, and the requests it holds.

use std::collections::{BTreeMap, VecDeque};

use jute::{SessionId, Zxid};
use quorum::election::Timing;
use quorum::server::Server;
use quorum::zab::{Group, Link, Settings, SyncFrom};
use quorum::{Epoch, Moment, Peer, PeerState, Sid};

use crate::disk::{Disk, Files, Image};
use crate::world::MembersFiles;

/// A request at the leader, on its way to become a transaction.
#[derive(Clone, Copy, Debug)]
pub enum Request {
    /// Other members.
    Change,
    /// A write.
    Write {
        /// Whose.
        session: SessionId,
        /// The client's number for it.
        cxid: i32,
    },
    /// A sync.
    Sync(SyncFrom),
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
    /// The request that the packet of this step is.
    pub incoming: Option<Request>,
    /// Requests that it has not proposed, while it leads.
    pub requests: VecDeque<Request>,
    /// Whether a turn of its pipeline is on its way.
    pub is_pumping: bool,
    /// An image that has come whole.
    pub received: Option<Image>,
    /// Images that were chosen for learners.
    pub chosen: BTreeMap<Link, Image>,
    /// How much slower its disk is than others.
    pub disk_factor: u64,
    /// When it will look at the clock.
    pub wake_at: Option<Moment>,
}

impl Node {
    /// One that was never started.
    pub fn new(sid: Sid, members: MembersFiles) -> Self {
        Self {
            sid,
            server: None,
            life: 0,
            stint: 0,
            disk: Disk::default(),
            view: Files::default(),
            members,
            applied: Image::default(),
            serving: None,
            paused_until: Moment::ZERO,
            groups: BTreeMap::new(),
            incoming: None,
            requests: VecDeque::new(),
            is_pumping: false,
            received: None,
            chosen: BTreeMap::new(),
            disk_factor: 1,
            wake_at: None,
        }
    }

    /// Starts with what the disk holds.
    pub fn start(&mut self, settings: Settings) {
        let restored = self.disk.files.restore();
        self.view = self.disk.files.clone();
        self.applied = self.view.image;
        self.life += 1;
        self.end_role();
        let timing = Timing::default();
        let views = self.members.views();
        self.server = Some(Server::new(self.sid, settings, timing, views, &restored));
    }

    /// Its role; none while it is down.
    pub fn peer(&self) -> Option<&Peer> {
        self.server.as_ref().map(Server::peer)
    }

    /// Whether it leads, or means to.
    pub fn leads(&self) -> bool {
        self.peer().is_some_and(|it| matches!(it.state(), PeerState::Leading { .. }))
    }

    /// What a role leaves behind: nothing.
    pub fn end_role(&mut self) {
        self.stint += 1;
        self.serving = None;
        self.groups.clear();
        self.requests.clear();
        self.received = None;
        self.chosen.clear();
    }

    /// Whether its durable files hold a transaction.
    pub fn has_durable(&self, zxid: Zxid) -> bool {
        self.disk.files.holds(zxid)
    }

    /// Writes an image and drops the log that it covers, but for `keep` transactions.
    pub fn take_image(&mut self, keep: usize) {
        let image = self.applied;
        let files = &self.disk.files;
        let is_logged = files.log.binary_search_by_key(&image.zxid, |it| it.zxid).is_ok();
        // An image on its way in is newer than what is here; and an image never holds what the log does not.
        if !is_logged || self.view.image != files.image || self.view.log_after != files.log_after {
            return;
        }
        let mut last = self.view.log.iter().rev().map(|it| it.zxid).filter(|&it| it <= image.zxid);
        let upto = last.nth(keep).unwrap_or_default();
        for files in [&mut self.disk.files, &mut self.view] {
            files.image = image;
            files.purge(upto);
        }
    }
}
