//! Connections of the world: made, cut, walled off; bytes on their way.

use std::time::Duration;

use jute::Zxid;
use quorum::election::links;
use quorum::server;
use quorum::wire::{FrameStream, Initial, Message, PacketStream};
use quorum::zab::{Input, Link};
use quorum::{Epoch, Member, Moment, Peer, PeerState, Sid};

use super::{Event, World};
use crate::disk::Image;
use crate::net::{Conn, Incoming, Parcel, Port};
use crate::violation::Violation;

/// Bytes of an image's numbers, behind its length.
const IMAGE_LEN: usize = 24;

/// How often a call behind a wall is repeated.
const TRIES_MAX: u8 = 3;

/// When a parcel behind a wall is looked at again.
const BEHIND_WALL: Duration = Duration::from_millis(20);

impl World {
    /// The number of a server.
    pub(super) fn node_of(&self, sid: Sid) -> Option<usize> {
        let idx = usize::try_from(sid.0 - 1).ok()?;
        (idx < self.nodes.len()).then_some(idx)
    }

    fn is_walled(&self, port: Port, from: usize, to: usize) -> bool {
        self.walls.values().any(|it| it.is_blocked(port, from, to))
    }

    fn delay(&mut self) -> Duration {
        let mean = self.plan.net_us;
        let factor = if self.is_stormy && self.net.hits(10) { 100 } else { 1 };
        Duration::from_micros(self.net.within(mean / 2..mean * 2) * factor)
    }

    /// A server begins to connect.
    pub(super) fn call(&mut self, node: usize, to: Sid, port: Port) {
        let life = self.nodes[node].life;
        let delay = Duration::from_micros(self.net.within(100..5_000));
        self.after(delay, Event::Connect { node, life, to, port, tries: 0 });
    }

    /// An attempt to connect ends, or goes on behind a wall.
    pub(super) fn connect(&mut self, node: usize, to: Sid, port: Port, tries: u8) {
        let life = self.nodes[node].life;
        let target = self.node_of(to);
        let is_walled = target
            .is_some_and(|it| self.is_walled(port, node, it) || self.is_walled(port, it, node));
        if is_walled && tries < TRIES_MAX && self.net.hits(700) {
            let delay = Duration::from_millis(self.net.within(50..1_500));
            let tries = tries + 1;
            return self.after(delay, Event::Connect { node, life, to, port, tries });
        }
        let target = target.filter(|&it| !is_walled && self.listens(it, node, port));
        let Some(target) = target else {
            return match port {
                Port::Quorum => self.step(node, Input::ConnectFailed { to }),
                Port::Election => self.step_links(node, links::Input::Refused { to }),
            };
        };
        self.conn_count += 1;
        let number = self.conn_count;
        let conn = Conn::new(port, (node, life), (target, self.nodes[target].life));
        self.conns.insert(number, conn);
        self.parcel(number, 1, Parcel::Call);
        match port {
            Port::Quorum => self.step(node, Input::Connected { link: Link(number), to }),
            Port::Election => {
                let views = self.plan.views();
                let member = views.committed().member(self.nodes[node].sid);
                let addresses = member.into_iter().flat_map(Member::election_addresses).collect();
                let mut bytes = Vec::new();
                Initial { sid: self.nodes[node].sid, addresses }.encode(&mut bytes);
                self.write_bytes(node, number, &bytes);
                let conn = links::Conn(number);
                self.step_links(node, links::Input::Connected { to, conn });
            }
        }
    }

    /// Whether a server is there for another: a leader for its learners, a follower that serves for observers.
    fn listens(&self, node: usize, from: usize, port: Port) -> bool {
        let it = &self.nodes[node];
        if it.server.is_none() || port == Port::Election {
            return it.server.is_some();
        }
        // Only an observer connects to somebody who does not lead.
        let is_elsewhere = match self.nodes[from].peer().map(Peer::state) {
            Some(PeerState::Observing { leader }) => leader != it.sid,
            _ => false,
        };
        if is_elsewhere { it.serving.is_some() && it.follows() } else { it.leads() }
    }

    /// Writes bytes to a connection.
    pub(super) fn write_bytes(&mut self, node: usize, number: u64, bytes: &[u8]) {
        let life = self.nodes[node].life;
        if let Some(conn) = self.conns.get_mut(&number)
            && let Some(side) = conn.side_of(node, life)
        {
            if conn.ends[side].written.is_empty() {
                self.nodes[node].unsent.push(number);
            }
            conn.ends[side].written.extend_from_slice(bytes);
        }
    }

    /// Writes a message to a connection.
    pub(super) fn write(&mut self, node: usize, link: Link, message: &Message<'_>) {
        let life = self.nodes[node].life;
        let sid = self.nodes[node].sid;
        let Some(conn) = self.conns.get_mut(&link.0) else { return };
        let Some(side) = conn.side_of(node, life) else { return };
        let end = &mut conn.ends[side];
        if end.written.is_empty() {
            self.nodes[node].unsent.push(link.0);
        }
        let it = &self.nodes[node];
        let broken = match *message {
            // A promise is durable before anybody hears of it.
            Message::AckEpoch { .. } if it.disk.files.accepted < it.view.accepted => {
                Some(Violation::PromiseNotDurable { sid, epoch: it.view.accepted })
            }
            Message::Ack { zxid } if zxid.counter() == 0 => {
                end.has_acked = true;
                let (epoch, promised) = (Epoch::of(zxid), it.view.accepted);
                // An observer's promise is nobody's quorum.
                let own = it.members.views();
                let own = own.committed().member(sid);
                let is_old = own.is_none_or(Member::is_participant) && epoch < promised;
                is_old.then_some(Violation::OldLeader { sid, epoch, promised })
            }
            Message::Ack { zxid } if !end.has_acked => Some(Violation::AckOrder { sid, zxid }),
            _ => None,
        };
        if let Some(violation) = broken {
            self.violation.get_or_insert(violation);
        }
        message.encode(&mut end.written);
    }

    /// Writes an image to a connection: its numbers, and its tree.
    pub(super) fn write_image(&mut self, node: usize, link: Link, image: Image, tree: &[u8]) {
        let mut bytes = ((IMAGE_LEN + tree.len()) as u32).to_be_bytes().to_vec();
        bytes.extend_from_slice(&image.zxid.0.to_be_bytes());
        bytes.extend_from_slice(&image.count.to_be_bytes());
        bytes.extend_from_slice(&image.digest.to_be_bytes());
        bytes.extend_from_slice(tree);
        self.write_bytes(node, link.0, &bytes);
    }

    /// What a server has written in this turn goes on its way.
    pub(super) fn flush(&mut self, node: usize) {
        let life = self.nodes[node].life;
        let mut unsent = std::mem::take(&mut self.nodes[node].unsent);
        unsent.sort_unstable();
        for number in unsent {
            let Some(conn) = self.conns.get_mut(&number) else { continue };
            let Some(side) = conn.side_of(node, life) else { continue };
            let mut bytes = std::mem::take(&mut conn.ends[side].written);
            if bytes.is_empty() {
                continue;
            }
            // Now and then in two pieces, cut anywhere.
            if self.net.hits(50) {
                let rest = bytes.split_off(self.net.index(bytes.len()));
                self.parcel(number, 1 - side, Parcel::Bytes(bytes));
                self.parcel(number, 1 - side, Parcel::Bytes(rest));
            } else {
                self.parcel(number, 1 - side, Parcel::Bytes(bytes));
            }
        }
    }

    /// A parcel begins to travel to an end; none overtakes another.
    fn parcel(&mut self, number: u64, side: usize, parcel: Parcel) {
        let delay = self.delay();
        let Some(conn) = self.conns.get_mut(&number) else { return };
        if conn.is_cut {
            // Whoever writes to what is no more hears of it in the end.
            let delay = Duration::from_millis(self.net.within(10..2_000));
            return self.after(delay, Event::Lost { conn: number, side: 1 - side });
        }
        let end = &mut conn.ends[side];
        let at = (self.now + delay).max(end.last_at);
        end.last_at = at;
        end.coming.push_back(parcel);
        self.at(at, Event::Arrive { conn: number, side });
    }

    /// A server closes a connection; what it wrote still goes out.
    pub(super) fn close(&mut self, node: usize, link: Link) {
        let life = self.nodes[node].life;
        self.flush(node);
        let Some(conn) = self.conns.get_mut(&link.0) else { return };
        let Some(side) = conn.side_of(node, life) else { return };
        if !conn.ends[side].is_closed {
            conn.ends[side].is_closed = true;
            self.parcel(link.0, 1 - side, Parcel::End);
        }
        self.nodes[node].groups.remove(&link);
    }

    /// A connection breaks: both ends hear of it, sooner or later, and of what travels only a beginning arrives.
    pub(super) fn cut(&mut self, number: u64) {
        if self.conns.get_mut(&number).is_none_or(|it| std::mem::replace(&mut it.is_cut, true)) {
            return;
        }
        for side in [0, 1] {
            let Some(conn) = self.conns.get_mut(&number) else { return };
            let keep = self.net.index(conn.ends[side].coming.len() + 1);
            let coming = &mut conn.ends[side].coming;
            coming.truncate(keep);
            if let Some(Parcel::Bytes(bytes)) = coming.back_mut()
                && !bytes.is_empty()
            {
                bytes.truncate(self.net.index(bytes.len()));
            }
            // Now and then an end does not hear: its peer has just gone.
            let delay = Duration::from_micros(self.net.within(10..50_000));
            if !self.net.hits(100) {
                self.after(delay, Event::Lost { conn: number, side });
            }
        }
    }

    /// An end hears that its connection is no more.
    pub(super) fn lost(&mut self, number: u64, side: usize) {
        let Some(conn) = self.conns.get_mut(&number) else { return };
        let end = &mut conn.ends[side];
        if end.is_closed {
            return;
        }
        let (node, life) = (end.node, end.life);
        if !self.is_here(node, life, Event::Lost { conn: number, side }) {
            return;
        }
        self.end_of(number, side);
    }

    fn end_of(&mut self, number: u64, side: usize) {
        let Some(conn) = self.conns.get_mut(&number) else { return };
        conn.ends[side].is_closed = true;
        let conn_port = conn.port;
        let node = conn.ends[side].node;
        let other = &conn.ends[1 - side];
        let is_over = other.is_closed || self.nodes[other.node].life != other.life;
        if is_over {
            self.conns.remove(&number);
        }
        match conn_port {
            Port::Quorum => {
                let link = Link(number);
                self.nodes[node].groups.remove(&link);
                self.step(node, Input::Closed { link });
            }
            Port::Election => {
                let conn = links::Conn(number);
                self.step_links(node, links::Input::Closed { conn });
            }
        }
    }

    /// A parcel reaches an end.
    pub(super) fn arrive(&mut self, number: u64, side: usize) {
        let Some(conn) = self.conns.get_mut(&number) else { return };
        let end = &conn.ends[side];
        let (node, life, is_closed) = (end.node, end.life, end.is_closed);
        let from = conn.ends[1 - side].node;
        let event = Event::Arrive { conn: number, side };
        let port = conn.port;
        if self.is_walled(port, from, node) {
            return self.after(BEHIND_WALL, event);
        }
        if is_closed || !self.is_here(node, life, event) {
            return;
        }
        let Some(conn) = self.conns.get_mut(&number) else { return };
        match conn.ends[side].coming.pop_front() {
            Some(Parcel::End) => self.end_of(number, side),
            Some(Parcel::Call) if port == Port::Quorum => {
                self.step(node, Input::Accepted { link: Link(number) });
            }
            None | Some(Parcel::Call) => {}
            Some(Parcel::Bytes(bytes)) => {
                let Some(mut stream) = conn.ends[side].stream.take() else { return };
                self.feed(number, side, &mut stream, &bytes);
                if let Some(conn) = self.conns.get_mut(&number) {
                    conn.ends[side].stream = Some(stream);
                }
            }
        }
    }

    /// An end takes bytes, and what is whole with them.
    fn feed(&mut self, number: u64, side: usize, stream: &mut Incoming, bytes: &[u8]) {
        match stream {
            Incoming::Packets(stream) => {
                stream.feed(bytes);
                self.read(number, side, stream);
            }
            Incoming::Frames(frames) => {
                frames.feed(bytes);
                self.read_frames(number, side, frames);
            }
            Incoming::First(first) => {
                first.extend_from_slice(bytes);
                let Ok(split) = Initial::split(first) else {
                    return self.fail(Violation::BadPacket);
                };
                let Some((initial, len)) = split else { return };
                let mut frames = FrameStream::new();
                frames.feed(&first[len..]);
                let Some(node) = self.listener(number, side) else { return };
                let conn = links::Conn(number);
                self.step_links(node, links::Input::Accepted { conn, initial });
                self.read_frames(number, side, &mut frames);
                *stream = Incoming::Frames(frames);
            }
        }
    }

    /// The server at an end, if it still listens there.
    fn listener(&self, number: u64, side: usize) -> Option<usize> {
        let end = &self.conns.get(&number)?.ends[side];
        (!end.is_closed && self.lives(end.node, end.life)).then_some(end.node)
    }

    /// Takes what is whole from a stream of frames.
    fn read_frames(&mut self, number: u64, side: usize, frames: &mut FrameStream) {
        while let Some(node) = self.listener(number, side) {
            match frames.next_frame() {
                Ok(None) => return,
                Ok(Some(body)) => {
                    let conn = links::Conn(number);
                    self.turn(node, |server, now, out| {
                        server.step(now, server::Input::Frame { conn, body }, out)
                    });
                }
                Err(_) => return self.fail(Violation::BadPacket),
            }
        }
    }

    /// Takes what is whole from a stream of packets.
    fn read(&mut self, number: u64, side: usize, stream: &mut PacketStream) {
        while let Some(node) = self.listener(number, side) {
            let image = self.conns.get(&number).and_then(|it| it.ends[side].image);
            if let Some(zxid) = image {
                if !self.read_image(number, side, zxid, stream) {
                    return;
                }
                continue;
            }
            let link = Link(number);
            match stream.next_packet() {
                Ok(None) => return,
                Ok(Some(packet)) => match Message::read(&packet) {
                    Ok(message) => {
                        self.note_carried(node, &message);
                        self.step(node, Input::Packet { link, message });
                    }
                    Err(_) => return self.fail(Violation::BadPacket),
                },
                Err(_) => return self.fail(Violation::BadPacket),
            }
        }
    }

    /// Takes an image from a stream, if it is whole.
    fn read_image(
        &mut self,
        number: u64,
        side: usize,
        zxid: Zxid,
        stream: &mut PacketStream,
    ) -> bool {
        let raw = stream.raw();
        let Some(&len) = raw.first_chunk::<4>() else { return false };
        let len = 4 + u32::from_be_bytes(len) as usize;
        if raw.len() < len {
            return false;
        }
        let word = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&raw[4 + at..12 + at]);
            u64::from_be_bytes(bytes)
        };
        let image = Image { zxid: Zxid(word(0) as i64), count: word(8), digest: word(16) };
        assert_eq!(image.zxid, zxid);
        let tree = raw[4 + IMAGE_LEN..len].into();
        stream.take_raw(len);
        let Some(conn) = self.conns.get_mut(&number) else { return false };
        conn.ends[side].image = None;
        let node = conn.ends[side].node;
        self.nodes[node].received = Some((image, tree));
        self.step(node, Input::SnapshotReceived { link: Link(number) });
        true
    }

    /// Forgets connections of servers that are no more.
    pub(super) fn drop_conns_of(&mut self, node: usize) {
        self.drop_wires_of(node);
        self.nodes[node].unsent.clear();
        let life = self.nodes[node].life;
        let mut ended = Vec::new();
        for (&number, conn) in &mut self.conns {
            if let Some(side) = conn.side_of(node, life) {
                conn.ends[side].is_closed = true;
                conn.ends[side].written.clear();
                ended.push((number, 1 - side));
            }
        }
        for (number, side) in ended {
            let at = self.conns.get(&number).map_or(Moment::ZERO, |it| it.ends[side].last_at);
            let delay = self.delay();
            self.at((self.now + delay).max(at), Event::Lost { conn: number, side });
        }
    }
}
