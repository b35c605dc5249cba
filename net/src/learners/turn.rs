//! The turn of the learner port: accept, connect, read.

use std::os::fd::OwnedFd;

use quorum::wire::{Message, PacketStream};
use quorum::zab::Link;
use quorum::{Moment, Sid};
use rustix::event::epoll::EventFlags;
use tracing::{debug, info, warn};

use super::link::{Channel, Stage};
use super::{Arrived, LINKS_MAX, LearnerPort, Pending, PortError};
use crate::port::{Called, Dialled, Source};
use crate::tls::{Line, Read};

/// Who takes what arrives.
type Taker<'a> = dyn FnMut(&mut LearnerPort, Arrived<'_>) + 'a;

impl LearnerPort {
    /// Reads each link that has something once, and says what came. The port may be used from within `arrived`.
    pub fn turn(&mut self, now: Moment, arrived: &mut dyn FnMut(&mut Self, Arrived<'_>)) {
        self.now = now;
        // Not those that come while they are told.
        for _ in 0..self.pending.len() {
            let Some(pending) = self.pending.pop_front() else { break };
            self.tell(pending, arrived);
        }
        for idx in 0..self.watch.look() {
            let Some((source, events)) = self.watch.event(idx) else { break };
            match source {
                Source::Ear(ear) => self.accept(ear, arrived),
                Source::Names => self.dials.resolved(&self.watch, now),
                Source::Dial(number) => self.dials.ready(&self.watch, now, number),
                Source::Conn(number) => self.serve(Link(number), events, arrived),
            }
        }
        self.ears.deadline(&self.watch, now);
        if let Some(ears) = &mut self.observer_ears {
            ears.deadline(&self.watch, now);
        }
        self.dials.go_on(&self.watch, now);
        self.take_calls(arrived);
        self.give_up(now, arrived);
    }

    /// Ends what has taken too long.
    fn give_up(&mut self, now: Moment, arrived: &mut Taker<'_>) {
        let is_late = |it: &Channel| it.given_up_at().is_some_and(|at| at <= now);
        if !self.links.values().any(is_late) {
            return;
        }
        let late: Vec<_> =
            self.links.iter().filter(|it| is_late(it.1)).map(|(link, _)| *link).collect();
        for link in late {
            debug!(?link, peer = ?self.peer_address(link), "a link is given up");
            self.ended(link, Some(PortError::NoHandshake), arrived);
        }
    }

    fn tell(&mut self, pending: Pending, arrived: &mut Taker<'_>) {
        match pending {
            Pending::Closed { link, why } => {
                arrived(self, Arrived::Closed { link, why: Some(why) });
            }
            Pending::Drained { link } => {
                if self.open_channel(link).is_some() {
                    arrived(self, Arrived::Drained { link });
                }
            }
            Pending::Unread { link } => self.take(link, 0, arrived),
        }
    }

    fn accept(&mut self, ear: u64, arrived: &mut Taker<'_>) {
        let mut accepted = Vec::new();
        let Self { ears, observer_ears, watch, now, .. } = self;
        let ears = observer_ears.as_mut().filter(|it| it.is_open()).unwrap_or(ears);
        ears.accept(watch, *now, ear, |socket, peer| accepted.push((socket, peer)));
        for (socket, peer) in accepted {
            if LINKS_MAX <= self.links.len() {
                warn!(%peer, links = self.links.len(), "too many learners");
                continue;
            }
            let line = Line::accepted(&self.settings.security, peer);
            let channel = Channel::new((socket, line), peer, self.settings.data_len_max);
            if let Some(link) = self.admit(channel) {
                debug!(?link, %peer, "a learner has connected");
                arrived(self, Arrived::Accepted { link });
            }
        }
    }

    /// Takes up calls that ended.
    fn take_calls(&mut self, arrived: &mut Taker<'_>) {
        while let Some(ended) = self.dials.ended.pop_front() {
            match ended {
                Dialled::Failed { to, why } => {
                    info!(%to, "the leader cannot be connected to: {why}");
                    arrived(self, Arrived::ConnectFailed { to });
                }
                Dialled::Connected { to, socket, at } => self.hail(to, socket, at, arrived),
            }
        }
    }

    /// Begins the handshake, if there is to be one, on a connection that we made.
    fn hail(&mut self, to: Sid, socket: OwnedFd, at: Called, arrived: &mut Taker<'_>) {
        let (peer, len_max) = (at.0, self.settings.leader_data_len_max);
        let line = match Line::connected(&self.settings.security, &socket, at) {
            Ok(line) => line,
            Err(error) => {
                info!(%to, %peer, "the leader cannot be connected to: {error}");
                return arrived(self, Arrived::ConnectFailed { to });
            }
        };
        let mut channel = Channel::new((socket, line), peer, len_max);
        let is_up = channel.line.is_up();
        if !is_up {
            channel.hailing = Some((to, self.now + self.settings.connect_timeout));
        }
        match self.admit(channel) {
            Some(link) if is_up => arrived(self, Arrived::Connected { link, to }),
            Some(_) => {}
            None => arrived(self, Arrived::ConnectFailed { to }),
        }
    }

    /// Numbers and watches a connection.
    fn admit(&mut self, channel: Channel) -> Option<Link> {
        self.number += 1;
        let link = Link(self.number);
        let watched = self.watch.add(&channel.socket, Source::Conn(link.0), channel.interest);
        if let Err(errno) = watched {
            warn!(peer = %channel.peer, "a link is not watched: {errno}");
            return None;
        }
        self.links.insert(link, channel);
        Some(link)
    }

    /// Writes and reads one link.
    fn serve(&mut self, link: Link, events: EventFlags, arrived: &mut Taker<'_>) {
        if events.contains(EventFlags::OUT)
            && let Some(channel) = self.links.get_mut(&link)
        {
            let stream = channel.group.map(|it| &self.streams[it as usize]);
            channel.write(stream, &self.watch, link);
            if channel.has_drained(channel.outbox.queued(stream)) {
                self.pending.push_back(Pending::Drained { link });
            }
        }
        if !events.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            return;
        }
        loop {
            let Some(channel) = self.links.get_mut(&link) else { return };
            let read = channel.line.read(&channel.socket, self.now, &mut self.scratch);
            if !channel.line.is_plain() {
                self.encrypted(link, arrived);
            }
            match read {
                Ok(Read::Nothing) => return,
                Ok(Read::Closed) => return self.ended(link, None, arrived),
                Ok(Read::Bytes { len, more }) => {
                    self.take(link, len, arrived);
                    if !more {
                        return;
                    }
                }
                Err(why) => return self.ended(link, Some(why), arrived),
            }
        }
    }

    /// What reading an encrypted link can bring beside bytes: it is there, or has something to answer.
    fn encrypted(&mut self, link: Link, arrived: &mut Taker<'_>) {
        let queued = self.queued(link);
        let Some(channel) = self.links.get_mut(&link) else { return };
        channel.tell_of_room(queued, &self.watch, link);
        if channel.line.is_up()
            && let Some((to, _)) = channel.hailing.take()
        {
            arrived(self, Arrived::Connected { link, to });
        }
    }

    /// Takes the first `len` bytes of the scratch buffer as what came on a link, behind what came back.
    fn take(&mut self, link: Link, len: usize, arrived: &mut Taker<'_>) {
        let scratch = std::mem::take(&mut self.scratch);
        if let Some(channel) = self.open_channel(link) {
            // Taken out, so that the port may be used while a packet is looked at.
            let mut stream = std::mem::replace(&mut channel.stream, PacketStream::new(0));
            stream.feed(&channel.unread);
            channel.unread.clear();
            let done = self.hand_out(link, &mut stream, &scratch[..len], arrived);
            if let Some(channel) = self.links.get_mut(&link) {
                channel.stream = stream;
            }
            if let Err(why) = done {
                self.ended(link, Some(why), arrived);
            }
        }
        self.scratch = scratch;
    }

    /// Hands out packets and pieces of a snapshot until nothing whole is left, or the link is closed.
    fn hand_out(
        &mut self,
        link: Link,
        stream: &mut PacketStream,
        bytes: &[u8],
        arrived: &mut Taker<'_>,
    ) -> Result<(), PortError> {
        let stage = |it: &mut Self| it.open_channel(link).map(|it| it.stage);
        let mut bytes = bytes;
        loop {
            match stage(self) {
                Some(Stage::Packets) => {
                    stream.feed(bytes);
                    bytes = &[];
                    let Some(packet) = stream.next_packet()? else { return Ok(()) };
                    let message = Message::read(&packet)?;
                    arrived(self, Arrived::Packet { link, message });
                }
                Some(Stage::Raw) => {
                    let from_stream = stream.raw().len();
                    let piece = if from_stream == 0 { bytes } else { stream.raw() };
                    if piece.is_empty() {
                        return Ok(());
                    }
                    arrived(self, Arrived::SnapshotBytes { link, bytes: piece });
                    if from_stream == 0 {
                        bytes = &[];
                    } else {
                        stream.take_raw(from_stream);
                    }
                    if let Some(channel) = self.open_channel(link) {
                        stream.feed(&channel.unread);
                        channel.unread.clear();
                    }
                }
                Some(Stage::Closing { .. }) | None => return Ok(()),
            }
        }
    }

    /// A link is over.
    fn ended(&mut self, link: Link, why: Option<PortError>, arrived: &mut Taker<'_>) {
        let Some(channel) = self.links.remove(&link) else { return };
        if channel.is_closing() {
            return;
        }
        if let Some((to, _)) = channel.hailing {
            let why = why.map_or_else(|| "it closed the connection".into(), |it| it.to_string());
            info!(%to, peer = %channel.peer, "the leader cannot be connected to: {why}");
            return arrived(self, Arrived::ConnectFailed { to });
        }
        match &why {
            None | Some(PortError::Broken { .. }) => {
                debug!(?link, peer = %channel.peer, ?why, "a link was closed");
            }
            Some(error) => warn!(?link, peer = %channel.peer, "a link is closed: {error}"),
        }
        arrived(self, Arrived::Closed { link, why });
    }
}
