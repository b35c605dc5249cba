//! What a server's machines say to what it does for clients, and back: the program's thread between two sleeps.
//!
//! *Absent:* what requests mean, which is the program's ([`Service`](crate::service::Service)).

use std::time::Duration;

use engine::auth::{AuthId, AuthIds};
use jute::{Op, Record as _, SessionId, TxnHeader, Xid, Zxid};
use net::message::{Forward, ForwardItem};
use quorum::wire::{Id, IdList, Message, Touch};
use quorum::zab::{Input, Link, SyncFrom, Validity};
use quorum::{Moment, Sid};
use ringkeeper::pipeline::{self, Applier, Home, Owner, RemoteRequest, ToLeader};

use super::{Event, World};
use crate::client::Client;
use crate::disk::Txn;
use crate::locals::{Greeter, Locals, Place};
use crate::service::{Role, Service};
use crate::violation::Violation;

/// Wall milliseconds at the beginning of the world.
const WALL_MS: i64 = 1_700_000_000_000;

/// What the packet of a step carries for the leader's pipeline.
#[derive(Clone, Debug)]
pub enum Carried {
    /// A request of a learner's client.
    Request {
        /// Whose.
        session: SessionId,
        /// The client's number for it.
        cxid: i32,
        /// The op's number.
        op: i32,
        /// The record behind the header.
        body: Vec<u8>,
        /// Who the client is.
        auth: AuthIds,
    },
    /// Sessions that showed life at a learner.
    Touches(Vec<Touch>),
}

/// An input that follows from an output.
#[derive(Clone, Copy, Debug)]
pub enum Later {
    /// The turn of a learner's `sync` has come.
    Sync(Link),
    /// Whether a session lives.
    Revalidated(Link, SessionId, Validity),
}

impl Later {
    pub(super) fn input(self) -> Input<'static> {
        match self {
            Self::Sync(link) => Input::Sync { from: SyncFrom::Learner(link) },
            Self::Revalidated(link, session, valid) => Input::Revalidated { link, session, valid },
        }
    }
}

impl World {
    /// The moment as the pipeline of a server knows it.
    pub(super) fn moment(&self, node: usize) -> pipeline::Moment {
        let it = &self.nodes[node];
        let now_ms = it.clock.shows(self.now).micros() / 1_000;
        pipeline::Moment { now_ms, wall_ms: WALL_MS + it.wall_off_ms + now_ms as i64 }
    }

    /// A server in its role, at this moment.
    pub(super) fn greeter(&self, node: usize) -> Greeter {
        let place = Place { node, stint: self.nodes[node].stint };
        Greeter { place, now_ms: self.moment(node).now_ms }
    }

    /// Somebody sets a server's wall clock, now and then: by hours, or by years.
    fn set_wall_clock(&mut self, node: usize) {
        if self.walls_chance.hits(300) {
            let most = [3_600_000, 10 * 365 * 86_400_000][self.walls_chance.index(2)];
            let off = self.walls_chance.within(0..2 * most) as i64 - most as i64;
            self.nodes[node].wall_off_ms = off;
        }
    }

    /// A process begins: with the image that its disk holds, if it holds one.
    pub(super) fn open_service(&mut self, node: usize) {
        self.set_wall_clock(node);
        let moment = self.moment(node);
        let tick_ms = self.plan.settings.tick.as_millis() as u64;
        let it = &mut self.nodes[node];
        let zxid = it.applied.zxid;
        let image = it.images.get(&zxid).map(|bytes| (zxid, &**bytes));
        assert!(image.is_some() || zxid == Zxid::ZERO, "the disk has its image");
        let policy = self.plan.sessions;
        it.service = Some(Service::new(&it.region, it.sid, tick_ms, moment, image, policy));
    }

    /// The transactions of a server's log behind `after`, up to what is decided.
    fn decided(&self, node: usize, after: Zxid) -> Vec<Txn> {
        let it = &self.nodes[node];
        let log = &it.view.log;
        let from = log.partition_point(|txn| txn.zxid <= after);
        let end = log.partition_point(|txn| txn.zxid <= it.applied.zxid);
        log[from.min(end)..end].to_vec()
    }

    /// The tree holds what is decided, while nobody is served.
    pub(super) fn catch_up(&mut self, node: usize) {
        let Some(service) = &self.nodes[node].service else { return };
        if !matches!(service.role, Role::Idle(_)) {
            return;
        }
        let txns = self.decided(node, service.tree().0);
        if let Some(service) = self.nodes[node].service.as_mut().filter(|_| !txns.is_empty()) {
            service.catch_up(txns.iter().map(|it| &*it.bytes));
        }
        self.check_tree(node);
    }

    /// Clients may be served.
    pub(super) fn open_doors(&mut self, node: usize) {
        self.catch_up(node);
        self.set_wall_clock(node);
        let moment = self.moment(node);
        let it = &mut self.nodes[node];
        it.office.clear();
        it.in_office_ms = moment.now_ms;
        let Some(server) = &it.server else { return };
        if let Some(service) = &mut it.service {
            service.serve(moment, server.peer());
        }
    }

    /// The role has ended.
    pub(super) fn close_doors(&mut self, node: usize) {
        let moment = self.moment(node);
        self.nodes[node].behind.clear();
        if let Some(service) = &mut self.nodes[node].service {
            service.end_role(moment);
        }
    }

    /// At equal zxid all trees are equal, and none is other than its transactions say.
    fn check_tree(&mut self, node: usize) {
        let it = &self.nodes[node];
        let Some(service) = &it.service else { return };
        let (sid, (zxid, digest)) = (it.sid, service.tree());
        let checked = match service.diverged() {
            Some(_) => Err(Violation::Diverged { sid, zxid }),
            None => self.checker.tree(sid, zxid, digest),
        };
        if let Err(violation) = checked {
            self.fail(violation);
        }
    }

    /// The session shard has a turn soon: now, or a little later.
    pub(super) fn shard_soon(&mut self, node: usize) {
        if self.wire_chance.hits(700) {
            return self.settle(node);
        }
        let life = self.nodes[node].life;
        let delay = Duration::from_micros(self.wire_chance.within(5..400));
        self.after(delay, Event::Shard { node, life });
    }

    /// Everything goes where it is to go: what clients want to the pipeline and the leader, what is decided into the tree, what
    /// that says to the clients.
    pub(super) fn tend(&mut self, node: usize) {
        while self.nodes[node].server.is_some() {
            let now_ms = self.moment(node).now_ms;
            let mut any = self.take_forwards(node);
            any |= self.tell_leader(node);
            any |= self.apply_decided(node);
            any |= self.hand_out(node, now_ms);
            self.talk(node);
            if !any {
                return;
            }
        }
    }

    /// What is new goes to the shard, which looks at it now, or only when it next has something to do.
    fn hand_out(&mut self, node: usize, now_ms: u64) -> bool {
        let Some(service) = &mut self.nodes[node].service else { return false };
        let any = service.collect();
        if service.has_news() && self.wire_chance.hits(300) {
            let life = self.nodes[node].life;
            let delay = Duration::from_micros(self.wire_chance.within(5..2_000));
            self.after(delay, Event::Shard { node, life });
        } else {
            service.drain(now_ms);
        }
        any
    }

    /// What the shard has collected.
    fn take_forwards(&mut self, node: usize) -> bool {
        let (moment, greeter) = (self.moment(node), self.greeter(node));
        let mut any = false;
        let mut syncs = Vec::new();
        let it = &mut self.nodes[node];
        let Some(service) = &mut it.service else { return false };
        if let (Role::Leading(pipeline), Some(server)) = (&mut service.role, &it.server)
            && let Some(membership) = pipeline.membership_mut()
        {
            membership.set(server.peer().views(), server.peer().synced());
        }
        while let Some(forward) = service.shard.take_forward(None) {
            any = true;
            it.office.hear(moment.now_ms, &forward, service.applier().sessions());
            hear_locals(&mut self.checker.replay.locals, service.applier(), &forward, greeter);
            syncs.extend(service.take(moment, &forward));
        }
        let leads = any && matches!(service.role, Role::Leading(_));
        for id in syncs {
            self.take_input(node, Input::Sync { from: SyncFrom::Local(id) });
        }
        if leads {
            self.pump_soon(node);
        }
        any
    }

    /// What a learner's clients want of the leader.
    fn tell_leader(&mut self, node: usize) -> bool {
        let Some(service) = &mut self.nodes[node].service else { return false };
        let orders = service.to_leader();
        let any = !orders.is_empty();
        for order in orders {
            match order {
                ToLeader::Request { session, cxid, op, body, auth } => {
                    self.pass(node, (session, cxid), op, &body, &auth);
                }
                ToLeader::Sync { id, session, cxid, body } => {
                    self.pass(node, (session, cxid), Op::Sync, &body, &AuthIds::default());
                    self.take_input(node, Input::Sync { from: SyncFrom::Local(id) });
                }
                ToLeader::Revalidate(touch) => self.take_input(node, Input::Revalidate(touch)),
                ToLeader::Touch(touch) => self.take_input(node, Input::Touch(touch)),
            }
        }
        any
    }

    fn pass(
        &mut self,
        node: usize,
        (session, cxid): (SessionId, Xid),
        op: Op,
        body: &[u8],
        auth: &AuthIds,
    ) {
        let Some(link) = self.nodes[node].peer().and_then(quorum::Peer::request_link) else {
            return;
        };
        let mut ids = Vec::new();
        let each = auth.ids.iter();
        IdList::write_all(
            each.map(|it| Id { scheme: Some(&it.scheme), id: Some(&it.id) }),
            &mut ids,
        );
        let authinfo = IdList::decode(&ids).unwrap_or(IdList::NULL);
        let (cxid, op) = (cxid.0, op.number());
        self.write(node, link, &Message::Request { session, cxid, op, body, authinfo });
    }

    /// What the machine will ask to be done with the packet of this step.
    pub(super) fn note_carried(&mut self, node: usize, message: &Message<'_>) {
        if let Message::FollowerInfo { accepted, .. } | Message::ObserverInfo { accepted, .. } =
            *message
        {
            self.nodes[node].named.push(accepted);
        }
        self.nodes[node].carried = match *message {
            Message::Request { session, cxid, op, body, authinfo } => {
                let id = |it: Id<'_>| AuthId {
                    scheme: it.scheme.unwrap_or_default().to_vec(),
                    id: it.id.unwrap_or_default().to_vec(),
                };
                let auth = AuthIds { ids: authinfo.iter().map(id).collect() };
                Some(Carried::Request { session, cxid, op, body: body.to_vec(), auth })
            }
            Message::Ping { touches: Some(touches), .. } => {
                Some(Carried::Touches(touches.iter().collect()))
            }
            _ => None,
        };
    }

    /// A learner's client wants something, or showed life.
    pub(super) fn take_carried(&mut self, node: usize, link: Link) {
        let moment = self.moment(node);
        let it = &mut self.nodes[node];
        let Some(carried) = it.carried.take() else { return };
        if it.follows() {
            return self.pass_on(node, link, carried);
        }
        let Some(Service { role: Role::Leading(pipeline), .. }) = &mut it.service else { return };
        match carried {
            Carried::Request { op, .. } if op == Op::Sync.number() => {
                it.behind_filled(Later::Sync(link));
            }
            Carried::Request { session, cxid, op, body, auth } => {
                let Some(op) = Op::from_number(op) else { return };
                if let (Some(server), Some(membership)) = (&it.server, pipeline.membership_mut()) {
                    membership.set(server.peer().views(), server.peer().synced());
                }
                let opens = op == Op::CreateSession;
                let sessions = pipeline.applier().sessions();
                // Whose session has moved, or has ended, is not heard.
                let is_theirs = sessions.owner(session).is_none_or(|it| *it == Home::There(link));
                if opens || is_theirs && sessions.is_open(session) {
                    it.office.touch(moment.now_ms, session);
                }
                let remote =
                    RemoteRequest { session, cxid: Xid(cxid), op, body: &body, auth: &auth };
                pipeline.take_remote(moment, link, &remote);
                self.pump_soon(node);
            }
            Carried::Touches(touches) => {
                for touch in touches {
                    if pipeline.applier().sessions().is_open(touch.session) {
                        it.office.touch(moment.now_ms, touch.session);
                    }
                    pipeline.touched(moment, touch);
                }
            }
        }
    }

    /// An observer's client wants something of the leader of this follower.
    fn pass_on(&mut self, node: usize, link: Link, carried: Carried) {
        let Carried::Request { session, cxid, op, body, auth } = carried else { return };
        let Some(op) = Op::from_number(op) else { return };
        if let Some(Service { role: Role::Learning(learning), .. }) = &self.nodes[node].service
            && !learning.may_pass(link, session, op)
        {
            return;
        }
        self.summary.passed += 1;
        self.pass(node, (session, Xid(cxid)), op, &body, &auth);
        if op == Op::Sync {
            self.nodes[node].later.push_back(Later::Sync(link));
        }
    }

    /// A learner's client wants to go on with a session.
    pub(super) fn revalidate(&mut self, node: usize, link: Link, touch: Touch) {
        let moment = self.moment(node);
        let it = &mut self.nodes[node];
        if let Some(Service { role: Role::Learning(learning), .. }) = &mut it.service {
            return learning.moves_to(link, touch.session);
        }
        // One that is to hand over serves nobody.
        let Some(Service { role: Role::Leading(pipeline), .. }) = &mut it.service else { return };
        let Some(valid) = pipeline.revalidate(moment, link, touch) else { return };
        if valid == Validity::Alive {
            it.office.touch(moment.now_ms, touch.session);
        }
        it.behind_filled(Later::Revalidated(link, touch.session, valid));
    }

    /// The leader has answered for a session.
    pub(super) fn session_is(&mut self, node: usize, session: SessionId, valid: Validity) {
        let moment = self.moment(node);
        if let Some(Service { role: Role::Learning(learning), .. }) = &mut self.nodes[node].service
        {
            learning.session_is(moment, session, valid);
        }
    }

    /// What was committed when a `sync` began is applied here, or is about to be.
    pub(super) fn synced(&mut self, node: usize, id: u64) {
        self.apply_decided(node);
        match &mut self.nodes[node].service {
            Some(Service { role: Role::Learning(learning), .. }) => learning.synced(id),
            Some(it) => it.synced = it.synced.max(id),
            None => {}
        }
    }

    /// Applies what is decided, by the role. Whether anything was.
    pub(super) fn apply_decided(&mut self, node: usize) -> bool {
        let moment = self.moment(node);
        let upto = self.nodes[node].applied.zxid;
        let Some(service) = &mut self.nodes[node].service else { return false };
        let any = match &service.role {
            Role::Leading(_) => {
                let any = service.apply_batch(moment, upto);
                if any {
                    self.pump_soon(node);
                }
                any
            }
            Role::Learning(_) => {
                let after = service.tree().0;
                let txns = self.decided(node, after);
                if let Some(service) =
                    self.nodes[node].service.as_mut().filter(|_| !txns.is_empty())
                {
                    service.apply(moment, txns.iter().map(|it| &*it.bytes));
                }
                !txns.is_empty()
            }
            Role::Idle(_) | Role::Changing => false,
        };
        if any {
            self.check_tree(node);
        }
        any && self.violation.is_none()
    }

    /// The role, or the shard, looks at the clock if it is time.
    pub(super) fn look_at_clock(&mut self, node: usize) {
        let moment = self.moment(node);
        let Some(service) = &mut self.nodes[node].service else { return };
        if service.next_deadline().is_some_and(|at| at <= moment.now_ms) {
            service.deadline(moment);
            if let Role::Leading(_) = service.role {
                self.pump_soon(node);
            }
        }
    }

    /// When to do so.
    pub(super) fn service_deadline(&self, node: usize) -> Option<Moment> {
        let service = self.nodes[node].service.as_ref()?;
        service.next_deadline().map(Moment::from_millis)
    }

    /// A leader's pipeline has something to do.
    pub(super) fn pump_soon(&mut self, node: usize) {
        if !self.nodes[node].is_pumping {
            self.nodes[node].is_pumping = true;
            let life = self.nodes[node].life;
            let delay = Duration::from_micros(self.load.within(10..500));
            self.after(delay, Event::Pump { node, life });
        }
    }

    /// A turn of a leader's pipeline: everything that waits, in its order.
    pub(super) fn pump(&mut self, node: usize, life: u64) {
        if !self.is_here(node, life, Event::Pump { node, life }) {
            return;
        }
        let it = &mut self.nodes[node];
        it.is_pumping = false;
        let stint = it.stint;
        let takes = it.peer().is_some_and(|it| it.next_zxid().is_some());
        let Some(service) = it.service.as_mut().filter(|_| takes) else { return };
        for (offered, (zxid, txn)) in (1..).zip(service.next_batch()) {
            let it = &self.nodes[node];
            if it.stint != stint || it.life != life {
                return;
            }
            let sid = it.sid;
            assert_eq!(it.peer().and_then(quorum::Peer::next_zxid), Some(zxid));
            self.check_expiry(node, zxid, &txn);
            if let Err(violation) = self.checker.propose(sid, zxid, &txn) {
                return self.fail(violation);
            }
            self.take_input(node, Input::Propose { zxid, txn: &txn });
            let first = |it: &mut (u32, Later)| it.0 <= offered;
            while let Some((_, later)) = self.nodes[node].behind.pop_front_if(first) {
                self.take_input(node, later.input());
            }
        }
        self.settle(node);
    }

    /// A leader ends a session for its silence: that was as long as it may be, and not much longer.
    fn check_expiry(&mut self, node: usize, zxid: Zxid, txn: &[u8]) {
        let Ok(header) = TxnHeader::decode(txn) else { return self.fail(Violation::BadPacket) };
        if header.op != Op::CloseSession.number() {
            return;
        }
        let session = header.client;
        if header.cxid != 0 {
            return;
        }
        self.summary.expired += 1;
        let it = &self.nodes[node];
        let heard_ms = it.office.heard(session).unwrap_or(0).max(it.in_office_ms);
        let silent_ms = self.moment(node).now_ms - heard_ms;
        let timeout_ms = self.checker.replay.life(session).map_or(0, |it| it.timeout_ms) as u64;
        if silent_ms < timeout_ms {
            let sid: Sid = it.sid;
            return self.fail(Violation::ExpiredEarly {
                sid,
                session,
                zxid,
                silent_ms,
                timeout_ms,
            });
        }
        // In calm weather, and with a connection that stands long enough, nobody's session ends.
        let sid = it.sid;
        let long = Duration::from_millis(timeout_ms * 3);
        // An idle one says that it lives, on a connection of calm weather.
        let settled_at = self.healed_at.map(|it| it + Duration::from_secs(1));
        let is_kept = |client: &Client| {
            is_there_since(client, session, Duration::from_millis(timeout_ms / 2), self.now)
                && settled_at.is_some_and(|it| it < client.connected_at)
        };
        let idlers = &self.clients[..self.plan.idlers];
        let is_calm = self.healed_at.is_some_and(|at| long < self.now.since(at));
        let is_there = |it: &Client| is_there_since(it, session, long, self.now);
        let is_known = is_calm && self.clients.iter().any(is_there);
        if !self.is_ailing && (is_known || idlers.iter().any(is_kept)) {
            self.fail(Violation::ExpiredThough { sid, session, zxid });
        }
    }
}

/// The local sessions of a turn of the shard show life, of the connections that have them. Of one that has just ended the shard
/// may not have heard.
fn hear_locals(locals: &mut Locals, applier: &Applier, forward: &Forward, greeter: Greeter) {
    for &(session, now_ms) in &forward.touched {
        if applier.home(session).is_some() {
            locals.hear(session, Greeter { now_ms, ..greeter });
        }
    }
    for item in &forward.items {
        if let ForwardItem::Request { session, conn, .. } = *item
            && applier.home(session) == Some(&Home::Here(Owner { shard: 0, conn }))
        {
            locals.hear(session, greeter);
        }
    }
}

/// Whether the client has had its session on one connection for longer than that, and was not asleep meanwhile.
fn is_there_since(client: &Client, session: SessionId, long: Duration, now: Moment) -> bool {
    client.session == session
        && client.is_connected
        && long < now.since(client.connected_at)
        && client.asleep_until < client.connected_at
}
