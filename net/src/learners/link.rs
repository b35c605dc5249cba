//! One connection of the learner port: its socket, what came and what goes.

use std::io::{ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use quorum::wire::PacketStream;
use quorum::zab::{Group, Link};
use quorum::{Moment, Sid};
use rustix::event::epoll::EventFlags;
use rustix::net::{Shutdown, shutdown};
use tracing::debug;

use super::QUEUED_MARK;
use super::outbox::{Outbox, Stream};
use crate::port::{Source, Watch};
use crate::tls::Line;

/// Pieces that one call sends.
const PIECES: usize = 16;

/// What comes on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Packets.
    Packets,
    /// A snapshot.
    Raw,
    /// Nothing that matters: we have closed it, and it ends at that moment at the latest.
    Closing { until: Moment },
}

/// A connection.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) socket: OwnedFd,
    pub(super) line: Line,
    pub(super) peer: SocketAddr,
    pub(super) stage: Stage,
    /// Whom we have called, as long as the handshake lasts, and until when it may.
    pub(super) hailing: Option<(Sid, Moment)>,
    pub(super) stream: PacketStream,
    /// What came back at the end of a snapshot.
    pub(super) unread: Vec<u8>,
    pub(super) outbox: Outbox,
    pub(super) group: Option<Group>,
    /// What epoll tells of it.
    pub(super) interest: EventFlags,
    /// Whether the queue was above the mark since it was said that it is not.
    pub(super) above_mark: bool,
    /// Whether we have said that nothing more comes.
    is_shut: bool,
}

impl Channel {
    pub(super) fn new(
        (socket, line): (OwnedFd, Line),
        peer: SocketAddr,
        data_len_max: usize,
    ) -> Self {
        Self {
            socket,
            line,
            peer,
            stage: Stage::Packets,
            hailing: None,
            stream: PacketStream::new(data_len_max),
            unread: Vec::new(),
            outbox: Outbox::default(),
            group: None,
            interest: EventFlags::IN,
            above_mark: false,
            is_shut: false,
        }
    }

    pub(super) fn is_closing(&self) -> bool {
        matches!(self.stage, Stage::Closing { .. })
    }

    /// When a closed link is given up, or one that is not there yet.
    pub(super) fn given_up_at(&self) -> Option<Moment> {
        match self.stage {
            Stage::Closing { until } => Some(until),
            Stage::Packets | Stage::Raw => self.hailing.map(|(_, by)| by),
        }
    }

    /// The stream of its group.
    pub(super) fn stream<'a>(&self, streams: &'a [Stream; 2]) -> Option<&'a Stream> {
        self.group.map(|it| &streams[it as usize])
    }

    /// Whether the queue, of this length, is below the mark again; says so once.
    pub(super) fn has_drained(&mut self, queued: usize) -> bool {
        let has_drained = self.above_mark && queued <= QUEUED_MARK;
        self.above_mark &= !has_drained;
        has_drained
    }

    /// Sends once. When all of a closed link has gone, says so to the other side.
    ///
    /// A broken connection is left to the reading side, which first takes what came before.
    pub(super) fn write(&mut self, shared: Option<&Stream>, watch: &Watch, link: Link) {
        let mut slices = [IoSlice::new(&[]); PIECES];
        let slices = self.outbox.slices(shared, &mut slices);
        match self.line.write(&self.socket, slices) {
            Ok(len) => self.outbox.sent(len),
            Err(it) if matches!(it.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => {
                debug!(?link, peer = %self.peer, "nothing can be sent: {error}");
                let queued = self.outbox.queued(shared);
                self.outbox.sent(queued);
                shutdown(&self.socket, Shutdown::Both).ok();
            }
        }
        let queued = self.outbox.queued(shared);
        if queued == 0 && self.is_closing() && !self.is_shut && self.line.say_closed(&self.socket) {
            self.is_shut = true;
            shutdown(&self.socket, Shutdown::Write).ok();
        }
        self.tell_of_room(queued, watch, link);
    }

    /// Hears of room in the kernel iff something waits for it, with so much in the queue.
    pub(super) fn tell_of_room(&mut self, queued: usize, watch: &Watch, link: Link) {
        let out = self.line.wants_write(queued);
        self.tell_of(watch, link, if out { EventFlags::OUT } else { EventFlags::empty() });
    }

    fn tell_of(&mut self, watch: &Watch, link: Link, more: EventFlags) {
        let interest = EventFlags::IN | more;
        if self.interest != interest {
            self.interest = interest;
            watch.change(&self.socket, Source::Conn(link.0), interest);
        }
    }
}
