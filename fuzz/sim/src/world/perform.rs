//! What machines order, done.

use std::time::Duration;

use jute::Zxid;
use quorum::election::links;
use quorum::wire::Message;
use quorum::zab::{Input, LeaveReason, Link, LinkError, Output, Packet, To, Write, WriteId};
use quorum::{Epoch, Sid};

use super::{Answer, Event, World};
use crate::disk::{DiskWrite, Txn};
use crate::net::{Conn, Port};
use crate::violation::{Violation, is_broken_protocol};

impl World {
    /// Does one thing that a server's machine ordered.
    pub(super) fn perform(&mut self, node: usize, output: Output) {
        let life = self.nodes[node].life;
        match output {
            Output::Send { to, packet } => self.send(node, to, &packet),
            Output::Join { link, group } => {
                self.nodes[node].groups.insert(link, group);
            }
            Output::Close { link, why } => {
                self.check_reason(node, why);
                self.close(node, link);
            }
            Output::Connect { to } => {
                self.call(node, to, Port::Quorum);
            }
            Output::Write { write, what } => self.order(node, write, what),
            Output::AskLog { link, zxid } => self.answer_soon(node, link, Answer::Floor { zxid }),
            Output::StreamLog { link, after, upto } => {
                self.answer_soon(node, link, Answer::Log { after, upto });
            }
            Output::SendSnapshot { link, .. } => self.answer_soon(node, link, Answer::Choose),
            Output::StreamSnapshot { link } => self.answer_soon(node, link, Answer::Image),
            Output::ReceiveSnapshot { link, zxid } => {
                let end = |conn: &mut Conn| conn.side_of(node, life);
                if let Some(conn) = self.conns.get_mut(&link.0)
                    && let Some(side) = end(conn)
                {
                    conn.ends[side].image = Some(zxid);
                }
            }
            Output::Commit { upto } => self.apply(node, upto),
            Output::Serve { epoch } => self.serve(node, epoch),
            Output::Look { why } => {
                if let LeaveReason::Leader(why) = why {
                    self.check_reason(node, Some(why));
                }
                self.nodes[node].end_role();
                self.close_doors(node);
                if self.is_stormy && self.election.hits(self.plan.odd_leader_per_mille) {
                    let delay = Duration::from_micros(self.election.within(1_000..60_000));
                    self.after(delay, Event::Appoint { node, life });
                }
            }
            Output::Request { link } | Output::Touched { link } => self.take_carried(node, link),
            Output::Revalidate { link, touch } => self.revalidate(node, link, touch),
            Output::SessionIs { session, valid } => self.session_is(node, session, valid),
            Output::Synced { id } => self.synced(node, id),
            Output::Propose { config } => self.keep_proposed(node, config),
            Output::Activate { config } => self.keep_agreed(node, config),
            // Who may be called, this world sees for itself.
            Output::Elected { .. } => {}
        }
    }

    /// Among our own servers nobody breaks the protocol.
    fn check_reason(&mut self, node: usize, why: Option<LinkError>) {
        if let Some(why) = why.filter(|&it| is_broken_protocol(it)) {
            let sid = self.nodes[node].sid;
            self.fail(Violation::Protocol { sid, why });
        }
    }

    /// Does one thing that the connections of a server's election ordered.
    pub(super) fn perform_link(&mut self, node: usize, output: links::Output) {
        match output {
            links::Output::Connect { to, .. } => self.call(node, to, Port::Election),
            links::Output::Write { conn, frame } => {
                self.mix(&conn);
                self.write_bytes(node, conn.0, &frame);
                let life = self.nodes[node].life;
                let delay = Duration::from_micros(self.net.within(10..200));
                self.after(delay, Event::Written { node, life, conn: conn.0 });
            }
            links::Output::Close { conn } => self.close(node, Link(conn.0)),
            links::Output::Reached { .. } | links::Output::Lost { .. } => {
                unreachable!("the election was told")
            }
        }
    }

    fn send(&mut self, node: usize, to: To, packet: &Packet) {
        let links: Vec<Link> = match to {
            To::Link(link) => vec![link],
            To::Group(group) => {
                let groups = self.nodes[node].groups.iter();
                groups.filter(|&(_, it)| *it == group).map(|(&link, _)| link).collect()
            }
        };
        // A machine that lives; its transaction is there until its next step.
        let Some(server) = self.nodes[node].server.take() else { return };
        for link in links {
            self.write(node, link, &server.peer().message(packet));
        }
        self.nodes[node].server = Some(server);
    }

    /// A write is ordered: the files will be like that.
    fn order(&mut self, node: usize, id: WriteId, what: Write) {
        let moment = self.moment(node);
        let it = &mut self.nodes[node];
        let write = match what {
            Write::Append { zxid } => {
                let bytes = it.server.as_ref().and_then(|it| it.peer().txn(zxid));
                let Some(bytes) = bytes else {
                    let sid = it.sid;
                    return self.fail(Violation::CommittedUnknown { sid, zxid });
                };
                DiskWrite::Append(Txn { zxid, bytes: bytes.into() })
            }
            Write::Truncate { to } => {
                if to < it.applied.zxid {
                    let (sid, applied) = (it.sid, it.applied.zxid);
                    return self.fail(Violation::AppliedTakenBack { sid, to, applied });
                }
                self.summary.truncs += 1;
                DiskWrite::Truncate(to)
            }
            Write::AcceptedEpoch(epoch) => {
                // A leader decides on an epoch that is above all that its learners have promised.
                let named = it.named.drain(..).max().unwrap_or(Epoch::ZERO);
                if epoch <= named && it.leads() {
                    let sid = it.sid;
                    return self.fail(Violation::EpochNotAbove { sid, epoch, named });
                }
                DiskWrite::Accepted(epoch)
            }
            Write::CurrentEpoch(epoch) => DiskWrite::Current(epoch),
            Write::InstallSnapshot { zxid } => {
                let Some((image, tree)) = it.received.take() else {
                    let sid = it.sid;
                    return self.fail(Violation::CommittedUnknown { sid, zxid });
                };
                if image.zxid < it.applied.zxid {
                    let (sid, applied) = (it.sid, it.applied.zxid);
                    return self.fail(Violation::AppliedTakenBack { sid, to: zxid, applied });
                }
                it.applied = image;
                self.summary.images += 1;
                if let Some(service) = &mut it.service {
                    service.replace(moment, zxid, &tree);
                }
                it.images.insert(zxid, tree);
                if let Err(violation) = self.checker.check_image(it.sid, image) {
                    return self.fail(violation);
                }
                DiskWrite::Install(image)
            }
        };
        if let Err(violation) = it.view.write(&write) {
            return self.fail(violation);
        }
        it.disk.order(id, write);
    }

    /// Everything up to `upto` is committed.
    fn apply(&mut self, node: usize, upto: Zxid) {
        let applied = self.nodes[node].applied;
        let log = &self.nodes[node].view.log;
        let from = log.partition_point(|it| it.zxid <= applied.zxid);
        let end = log.partition_point(|it| it.zxid <= upto);
        let txns: Vec<Txn> = log[from.min(end)..end].to_vec();
        for txn in txns {
            let after = self.nodes[node].applied.after(&txn);
            self.nodes[node].applied = after;
            match self.checker.apply(self.nodes[node].sid, &txn, after) {
                Err(violation) => return self.fail(violation),
                Ok(true) => self.check_quorum(node, txn.zxid),
                Ok(false) => {}
            }
        }
        if self.nodes[node].applied.zxid < upto {
            let sid = self.nodes[node].sid;
            self.fail(Violation::CommittedUnknown { sid, zxid: upto });
        }
    }

    /// What is committed is on the disks of a quorum, as the one that applied it first knows the members.
    fn check_quorum(&mut self, node: usize, zxid: Zxid) {
        let Some(peer) = self.nodes[node].peer() else { return };
        let voters = peer.views().committed().verifier().voters();
        let has = |sid: &Sid| self.node_of(*sid).is_some_and(|it| self.nodes[it].has_durable(zxid));
        let count = voters.iter().filter(|it| has(it)).count();
        if 2 * count <= voters.len() {
            self.fail(Violation::NoQuorumHasIt { zxid, count });
        }
    }

    fn serve(&mut self, node: usize, epoch: Epoch) {
        let it = &mut self.nodes[node];
        it.serving = Some(epoch);
        if it.leads() {
            self.summary.epochs += 1;
            if let Err(violation) = self.checker.lead((it.sid, it.life), epoch, it.applied) {
                self.fail(violation);
            }
        }
        self.open_doors(node);
    }

    fn answer_soon(&mut self, node: usize, link: Link, what: Answer) {
        let life = self.nodes[node].life;
        let delay = Duration::from_micros(self.disk.within(100..self.plan.disk_us * 4 + 200));
        self.after(delay, Event::Answer { node, life, link: link.0, what });
    }

    /// A leader's driver answers about a learner.
    pub(super) fn answer(&mut self, node: usize, life: u64, link: Link, what: Answer) {
        let event = Event::Answer { node, life, link: link.0, what };
        let is_open = self.conns.get(&link.0).is_some_and(|conn| {
            conn.side_of(node, life).is_some_and(|side| !conn.ends[side].is_closed)
        });
        if !is_open || !self.is_here(node, life, event) {
            return;
        }
        match what {
            Answer::Floor { zxid } => {
                let it = &self.nodes[node];
                let floor = it.view.floor(zxid).filter(|_| !it.is_unreadable);
                self.step(node, Input::LogFloor { link, floor });
            }
            Answer::Choose => {
                self.catch_up(node);
                let Some(service) = &self.nodes[node].service else { return };
                let (zxid, _) = service.tree();
                let tree = service.image();
                let image = self.checker.image_at(zxid).unwrap_or_default();
                self.nodes[node].chosen.insert(link, (image, tree));
                self.step(node, Input::SnapshotChosen { link, zxid });
            }
            Answer::Image => {
                if let Some((image, tree)) = self.nodes[node].chosen.remove(&link) {
                    self.write_image(node, link, image, &tree);
                    self.step(node, Input::SnapshotSent { link });
                }
            }
            Answer::Log { after, upto } => self.stream(node, link, (after, upto)),
        }
    }

    /// Sends a part of the log; if it was dropped meanwhile, there is no going on.
    fn stream(&mut self, node: usize, link: Link, (after, upto): (Zxid, Zxid)) {
        let it = &mut self.nodes[node];
        if it.disk.files.last() < upto {
            return self.answer_soon(node, link, Answer::Log { after, upto });
        }
        let is_there = it.view.log_after <= after;
        let Some(txns) = it.disk.read(after, upto).filter(|_| is_there) else {
            it.is_unreadable |= it.disk.is_scarred();
            if is_there && !it.is_unreadable {
                return self.fail(Violation::DiskLost { zxid: upto });
            }
            self.close(node, link);
            return self.step(node, Input::Closed { link });
        };
        for txn in &txns {
            let zxid = txn.zxid;
            self.write(node, link, &Message::Proposal { zxid, txn: &txn.bytes });
            self.write(node, link, &Message::Commit { zxid });
        }
        self.summary.streams += 1;
        self.step(node, Input::LogStreamed { link });
    }
}
