//! The turn of the learner port: accept, connect, read.

use quorum::Moment;
use quorum::wire::{Message, PacketStream};
use quorum::zab::Link;
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use tracing::{debug, info, warn};

use super::link::{Channel, Stage};
use super::{Arrived, LINKS_MAX, LearnerPort, Pending, PortError};
use crate::port::{Dialled, Source};

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
        self.links.retain(|link, it| {
            let late = it.lingers_until().is_some_and(|until| until <= now);
            if late {
                debug!(?link, peer = %it.peer, "a closed link is given up");
            }
            !late
        });
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
            let channel = Channel::new(socket, peer, self.settings.data_len_max);
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
                Dialled::Connected { to, socket, peer } => {
                    let len_max = self.settings.leader_data_len_max;
                    let channel = Channel::new(socket, peer, len_max);
                    match self.admit(channel) {
                        Some(link) => arrived(self, Arrived::Connected { link, to }),
                        None => arrived(self, Arrived::ConnectFailed { to }),
                    }
                }
            }
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
        let Some(channel) = self.links.get(&link) else { return };
        match recv(&channel.socket, &mut *self.scratch, RecvFlags::empty()) {
            Ok((0, _)) => self.ended(link, None, arrived),
            Ok((len, _)) => self.take(link, len, arrived),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => {
                let why = PortError::Broken { error: errno.into() };
                self.ended(link, Some(why), arrived);
            }
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
        match &why {
            None | Some(PortError::Broken { .. }) => {
                debug!(?link, peer = %channel.peer, ?why, "a link was closed");
            }
            Some(error) => warn!(?link, peer = %channel.peer, "a link is closed: {error}"),
        }
        arrived(self, Arrived::Closed { link, why });
    }
}
