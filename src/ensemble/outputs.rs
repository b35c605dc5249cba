//! Doing what the server orders of its role.

use jute::{Op, SessionId, Xid, Zxid};
use net::learners::{LearnerPort, QUEUED_MARK};
use quorum::wire::Message;
use quorum::zab::{Input, Link, Output, SyncFrom, To, Validity, Write};
use quorum::{Address, PeerState, Sid, server};
use wal::{LogCursor, ReadError};

use super::aside::{Aside, Wanted};
use super::asking::{Asking, Floor};
use super::{Core, Role, standing};
use crate::clock;
use crate::epochs::Which;
use crate::pipeline::RemoteRequest;

/// How far a stream is.
enum Streamed {
    Part,
    Whole,
}

/// An input that follows from an output.
#[derive(Debug)]
pub(super) enum Deferred {
    LogFloor { link: Link, floor: Option<Zxid> },
    SnapshotChosen { link: Link, zxid: Zxid },
    SnapshotSent { link: Link },
    Closed { link: Link },
    LocalSync(u64),
    LearnerSync(Link),
    Revalidated { link: Link, session: SessionId, valid: Validity },
}

impl Deferred {
    pub(super) fn input(self) -> Input<'static> {
        match self {
            Self::LogFloor { link, floor } => Input::LogFloor { link, floor },
            Self::SnapshotChosen { link, zxid } => Input::SnapshotChosen { link, zxid },
            Self::SnapshotSent { link } => Input::SnapshotSent { link },
            Self::Closed { link } => Input::Closed { link },
            Self::LocalSync(id) => Input::Sync { from: SyncFrom::Local(id) },
            Self::LearnerSync(link) => Input::Sync { from: SyncFrom::Learner(link) },
            Self::Revalidated { link, session, valid } => {
                Input::Revalidated { link, session, valid }
            }
        }
    }
}

/// A part of the log on its way to a learner.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) link: Link,
    after: Zxid,
    upto: Zxid,
    /// Where it is, from when all of it is durable here.
    cursor: Option<LogCursor>,
}

impl Stream {
    /// The last transaction that was read.
    fn reached(&self) -> Zxid {
        self.cursor.as_ref().map_or(self.after, LogCursor::after)
    }
}

impl Core {
    /// Gives the role an input, and does what it orders.
    pub(super) fn step(&mut self, port: &mut LearnerPort, input: Input<'_>) {
        self.step_server(port, server::Input::Zab(input));
    }

    /// Gives the server an input, and does what it orders, but for the connections of its election.
    pub(super) fn step_server(&mut self, port: &mut LearnerPort, input: server::Input<'_>) {
        self.step_once(port, input);
        self.step_deferred(port);
    }

    /// Gives it the inputs that follow.
    pub(super) fn step_deferred(&mut self, port: &mut LearnerPort) {
        while let Some(deferred) = self.deferred.pop_front() {
            self.step_once(port, server::Input::Zab(deferred.input()));
        }
    }

    fn step_once(&mut self, port: &mut LearnerPort, input: server::Input<'_>) {
        let packet = match input {
            server::Input::Zab(Input::Packet { message, .. }) => Some(message),
            _ => None,
        };
        if let Err(error) = self.server.step(self.now, input, &mut self.out) {
            tracing::warn!("a notification is dropped: {error}");
        }
        self.perform(port, packet);
    }

    /// Begins the first search.
    pub(super) fn start(&mut self, port: &mut LearnerPort) {
        self.look();
        self.server.start(self.now, &mut self.out);
        self.perform(port, None);
    }

    /// Does what the last step orders, in order. `packet` is what it was about.
    fn perform(&mut self, port: &mut LearnerPort, packet: Option<Message<'_>>) {
        let mut out = std::mem::take(&mut self.out.zab);
        for output in out.drain(..) {
            match output {
                Output::Send { to, packet } => {
                    port.send(to, &self.server.peer().message(&packet));
                    standing::sent(&packet, || self.role.applier().figures_mut());
                }
                Output::Join { link, group } => port.join(link, group),
                Output::Close { link, why } => {
                    if let Some(why) = why {
                        tracing::warn!(?link, "closing a connection between servers: {why}");
                    }
                    self.forget_transfers(link);
                    port.close(link);
                }
                Output::Connect { to } => {
                    let addresses = self.quorum_addresses(to);
                    port.connect(clock::moment(), to, &addresses);
                }
                Output::Write { write, what } => self.order(write, what),
                Output::Commit { upto } => self.committed = self.committed.max(upto),
                Output::Serve { epoch } => {
                    self.serve(epoch);
                    self.hear_observers(port);
                }
                Output::Look { why } => {
                    tracing::warn!("the role ends: {why}");
                    standing::left(&why, self.role.applier().figures_mut());
                    port.stop_listening();
                    self.end_role();
                    self.look();
                }
                Output::Elected { leader } => self.elected(port, leader),
                Output::Propose { config } => self.members_proposed(&config),
                Output::Activate { config } => self.members_agreed(port, &config),
                ref other => self.perform_rarer(port, other, packet),
            }
        }
        self.out.zab = out;
    }

    fn perform_rarer(
        &mut self,
        port: &mut LearnerPort,
        output: &Output,
        packet: Option<Message<'_>>,
    ) {
        match *output {
            Output::Request { link } => match (&self.role, packet) {
                (Role::Learning(_), Some(message)) => self.pass_on(port, link, message),
                _ => self.request(link, packet),
            },
            Output::Touched { .. } => self.touched(packet),
            Output::Revalidate { link, touch } => {
                if let Role::Learning(learning) = &mut self.role {
                    return learning.moves_to(link, touch.session);
                }
                // One that was elected and is to hand over at once serves nobody: the next leader knows which sessions live.
                let Role::Leading(pipeline) = &mut self.role else { return };
                pipeline.applier_mut().figures_mut().revalidate_count += 1;
                if let Some(valid) = pipeline.revalidate(self.moment, link, touch) {
                    let session = touch.session;
                    self.behind_filled(Deferred::Revalidated { link, session, valid });
                }
            }
            Output::SessionIs { session, valid } => {
                if let Role::Learning(learning) = &mut self.role {
                    learning.session_is(self.moment, session, valid);
                }
            }
            Output::Synced { id } => match &mut self.role {
                Role::Leading(_) => self.synced = self.synced.max(id),
                Role::Learning(learning) => learning.synced(id),
                Role::Idle(_) | Role::ReadOnly(_) | Role::Changing => {}
            },
            Output::AskLog { link, zxid } if zxid <= self.unreadable_behind => {
                self.deferred.push_back(Deferred::LogFloor { link, floor: None });
            }
            Output::AskLog { link, zxid } => {
                let log = self.disk.log().reader();
                let waker = self.waker.clone();
                match Asking::begin(log, self.disk.place(), (link, zxid), waker) {
                    Ok(asking) => self.askings.push(asking),
                    // The learner waits until initLimit is over: closed at once, it were back at once.
                    Err(error) => tracing::error!(?link, "the log cannot be asked: {error}"),
                }
            }
            Output::StreamLog { link, after, upto } => {
                self.streams.push(Stream { link, after, upto, cursor: None });
            }
            Output::SendSnapshot { link, at_least } => {
                self.choose_image(Wanted { link, at_least });
            }
            Output::StreamSnapshot { link } => {
                self.asides.iter_mut().filter(|it| it.wanted.link == link).for_each(Aside::ask);
            }
            Output::ReceiveSnapshot { link, zxid } => self.expect_image(port, link, zxid),
            _ => unreachable!("the others are performed above"),
        }
    }

    fn quorum_addresses(&self, sid: Sid) -> Vec<Address> {
        let views = self.server.peer().views();
        let member = views.last_seen().member(sid).or_else(|| views.committed().member(sid));
        let addresses = member.into_iter().flat_map(quorum::Member::quorum_addresses);
        // Only an observer connects to somebody who does not lead.
        let port = match self.server.peer().state() {
            PeerState::Observing { leader } if leader != sid => self.manners.observer_master_port,
            _ => None,
        };
        addresses.map(|it| Address { port: port.unwrap_or(it.port), ..it }).collect()
    }

    /// A follower that serves has observers, if it may.
    fn hear_observers(&self, port: &mut LearnerPort) {
        if let PeerState::Following { .. } = self.server.peer().state()
            && let Err(error) = port.listen_for_observers()
        {
            tracing::error!("observers cannot be heard: {error}");
        }
    }

    /// An observer's client wants something of the leader.
    fn pass_on(&mut self, port: &mut LearnerPort, link: Link, message: Message<'_>) {
        if let (Role::Learning(learning), Message::Request { session, op, .. }) =
            (&self.role, message)
            && Op::from_number(op).is_some_and(|op| !learning.may_pass(link, session, op))
        {
            return;
        }
        let is_sync = matches!(message, Message::Request { op, .. } if op == Op::Sync.number());
        self.forward(port, message);
        if is_sync {
            self.deferred.push_back(Deferred::LearnerSync(link));
        }
    }

    fn order(&mut self, write: quorum::zab::WriteId, what: Write) {
        match what {
            Write::Append { zxid } => {
                if let Some(last) = &mut self.proposing {
                    *last = write;
                } else {
                    let txn = self.server.peer().txn(zxid);
                    let txn = txn.unwrap_or_else(|| unreachable!("{zxid} was just named"));
                    self.disk.append(write, zxid, txn);
                }
            }
            Write::Truncate { to } => self.disk.truncate(write, to),
            Write::AcceptedEpoch(epoch) => self.disk.set_epoch(write, Which::Accepted, epoch),
            Write::CurrentEpoch(epoch) => self.disk.set_epoch(write, Which::Current, epoch),
            Write::InstallSnapshot { zxid } => {
                let Some(image) = self.received.take().filter(|it| it.zxid() == zxid) else {
                    unreachable!("the image of {zxid} came whole")
                };
                // The tree that is here is not to become an image of that zxid.
                self.upkeep.images_mut().give_up(self.role.applier().state_mut());
                self.disk.install(write, image);
            }
        }
    }

    /// A learner's client wants something.
    fn request(&mut self, link: Link, packet: Option<Message<'_>>) {
        let Some(Message::Request { session, cxid, op, body, authinfo }) = packet else { return };
        self.tell_pipeline_of_members();
        let Role::Leading(pipeline) = &mut self.role else { return };
        match Op::from_number(op) {
            // A reference server that follows needs its answer in the order of its other requests: the machine sees to what is
            // offered already, and what is not yet is offered first.
            Some(Op::Sync) => self.behind_filled(Deferred::LearnerSync(link)),
            Some(op) => {
                let auth = self.last_ids.take(authinfo);
                let remote = RemoteRequest { session, cxid: Xid(cxid), op, body, auth };
                pipeline.take_remote(self.moment, link, &remote);
                self.say_refusal();
            }
            None => tracing::warn!(?link, op, "a learner forwards an op that is none"),
        }
    }

    /// The input comes when what the pipeline holds is offered.
    fn behind_filled(&mut self, input: Deferred) {
        let Role::Leading(pipeline) = &self.role else { return };
        match pipeline.filled() {
            0 => self.deferred.push_back(input),
            filled => self.behind.push(filled, input),
        }
    }

    fn touched(&mut self, packet: Option<Message<'_>>) {
        let Some(Message::Ping { touches: Some(touches), .. }) = packet else { return };
        let Role::Leading(pipeline) = &mut self.role else { return };
        for touch in touches.iter() {
            pipeline.touched(self.moment, touch);
        }
    }

    /// Tells the machine what the log has answered. Whether it has.
    pub(super) fn take_answers(&mut self, port: &mut LearnerPort) -> bool {
        let before = self.askings.len();
        let deferred = &mut self.deferred;
        self.askings.retain(|it| {
            let Some(Floor(floor)) = it.poll() else { return true };
            deferred.push_back(Deferred::LogFloor { link: it.link, floor });
            false
        });
        self.step_deferred(port);
        self.askings.len() < before
    }

    /// Gives learners more of the log, as fast as they take it.
    pub(super) fn stream(&mut self, port: &mut LearnerPort) {
        for mut stream in std::mem::take(&mut self.streams) {
            let link = stream.link;
            match self.stream_more(port, &mut stream) {
                Ok(Streamed::Part) => self.streams.push(stream),
                Ok(Streamed::Whole) => self.step(port, Input::LogStreamed { link }),
                Err(error) => {
                    // It comes back, and gets an image: asked again, the log would end where it does now.
                    tracing::error!(?link, "the log cannot be read for a learner: {error}");
                    self.unreadable_behind = self.unreadable_behind.max(stream.reached());
                    port.close(link);
                    self.step(port, Input::Closed { link });
                }
            }
        }
    }

    fn stream_more(
        &self,
        port: &mut LearnerPort,
        stream: &mut Stream,
    ) -> Result<Streamed, ReadError> {
        let link = To::Link(stream.link);
        if QUEUED_MARK <= port.queued(stream.link) {
            return Ok(Streamed::Part);
        }
        if stream.cursor.is_none() {
            let reader = self.disk.log().reader();
            if reader.last_zxid() < stream.upto {
                return Ok(Streamed::Part);
            }
            stream.cursor = Some(reader.range(stream.after, stream.upto)?);
        }
        let Some(cursor) = &mut stream.cursor else { return Ok(Streamed::Part) };
        cursor.read(QUEUED_MARK, |zxid, txn| {
            port.send(link, &Message::Proposal { zxid, txn });
            port.send(link, &Message::Commit { zxid });
        })?;
        Ok(if cursor.is_done() { Streamed::Whole } else { Streamed::Part })
    }
}
