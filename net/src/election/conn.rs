//! One connection of the election port: its socket, the bytes that came, the frame that goes.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use quorum::Moment;
use quorum::wire::{FrameStream, Initial};
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send, sockopt};

use super::SILENCE_MAX;
use crate::port::{PortError, Source, Watch};

/// How a connection ended.
#[derive(Debug)]
pub(super) enum End {
    /// The other side closed it, or it broke.
    Closed,
    /// What came makes no sense.
    Nonsense(PortError),
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// The kernel has it.
    Everything,
    /// The kernel has no room for the rest.
    Part,
    /// There is no frame; or the connection is broken, and reading it will say so.
    Nothing,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Conn {
    socket: OwnedFd,
    peer: SocketAddr,
    stage: Stage,
    /// What goes, and how much of it has gone.
    frame: Option<(Arc<[u8]>, usize)>,
    /// What epoll tells of it.
    interest: EventFlags,
}

#[derive(Debug)]
enum Stage {
    /// Has not said who it is.
    Stranger { bytes: Vec<u8>, by: Moment },
    /// Sends frames.
    Talking(FrameStream),
}

impl Conn {
    /// One that was made to us; it must have said who it is at the moment `by`.
    pub(super) fn accepted(socket: OwnedFd, peer: SocketAddr, by: Moment) -> Self {
        Self::new(socket, peer, Stage::Stranger { bytes: Vec::new(), by })
    }

    /// One that we made.
    pub(super) fn connected(socket: OwnedFd, peer: SocketAddr) -> Self {
        Self::new(socket, peer, Stage::Talking(FrameStream::new()))
    }

    fn new(socket: OwnedFd, peer: SocketAddr, stage: Stage) -> Self {
        // Without it the connection only lives too long.
        sockopt::set_tcp_user_timeout(&socket, SILENCE_MAX.as_millis() as u32).ok();
        Self { socket, peer, stage, frame: None, interest: EventFlags::IN }
    }

    pub(super) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Until when it has to say who it is; `None` if it has.
    pub(super) fn greeted_by(&self) -> Option<Moment> {
        match self.stage {
            Stage::Stranger { by, .. } => Some(by),
            Stage::Talking(_) => None,
        }
    }

    /// # Errors
    /// The system has no room for it.
    pub(super) fn watch(&self, watch: &Watch, number: u64) -> Result<(), Errno> {
        watch.add(&self.socket, Source::Conn(number), self.interest)
    }

    /// Writes the first message whole: the reference reads it but once.
    ///
    /// # Errors
    /// The connection is broken.
    pub(super) fn greet(&self, bytes: &[u8]) -> Result<(), Errno> {
        match send(&self.socket, bytes, SendFlags::NOSIGNAL)? {
            len if len == bytes.len() => Ok(()),
            _ => Err(Errno::NOBUFS),
        }
    }

    /// Reads once. Says who it is, if it has just said so.
    ///
    /// # Errors
    /// [`End`].
    pub(super) fn read(&mut self, scratch: &mut [u8]) -> Result<Option<Initial>, End> {
        let read = match recv(&self.socket, &mut *scratch, RecvFlags::empty()) {
            Ok((0, _)) => return Err(End::Closed),
            Ok((len, _)) => &scratch[..len],
            Err(Errno::AGAIN | Errno::INTR) => return Ok(None),
            Err(_) => return Err(End::Closed),
        };
        match &mut self.stage {
            Stage::Talking(frames) => {
                frames.feed(read);
                Ok(None)
            }
            Stage::Stranger { bytes, .. } => {
                bytes.extend_from_slice(read);
                let split = Initial::split(bytes).map_err(|error| End::Nonsense(error.into()))?;
                let Some((initial, len)) = split else { return Ok(None) };
                let mut frames = FrameStream::new();
                frames.feed(&bytes[len..]);
                self.stage = Stage::Talking(frames);
                Ok(Some(initial))
            }
        }
    }

    /// The next frame that came, without its length.
    ///
    /// # Errors
    /// Bytes that are none.
    pub(super) fn next_frame(&mut self) -> Result<Option<&[u8]>, PortError> {
        match &mut self.stage {
            Stage::Stranger { .. } => Ok(None),
            Stage::Talking(frames) => Ok(frames.next_frame()?),
        }
    }

    /// Begins to write a frame; the one before has gone.
    pub(super) fn begin(&mut self, frame: Arc<[u8]>, watch: &Watch, number: u64) -> Sent {
        assert!(self.frame.is_none(), "two frames on one connection");
        self.frame = Some((frame, 0));
        self.write(watch, number)
    }

    /// Writes on.
    pub(super) fn write(&mut self, watch: &Watch, number: u64) -> Sent {
        let Some((frame, at)) = &mut self.frame else { return Sent::Nothing };
        let sent = match send(&self.socket, &frame[*at..], SendFlags::NOSIGNAL) {
            Ok(len) => len,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(_) => {
                self.frame = None;
                self.tell_of(watch, number, EventFlags::IN);
                return Sent::Nothing;
            }
        };
        *at += sent;
        if *at < frame.len() {
            self.tell_of(watch, number, EventFlags::IN | EventFlags::OUT);
            return Sent::Part;
        }
        self.frame = None;
        self.tell_of(watch, number, EventFlags::IN);
        Sent::Everything
    }

    fn tell_of(&mut self, watch: &Watch, number: u64, interest: EventFlags) {
        if self.interest != interest {
            self.interest = interest;
            watch.change(&self.socket, Source::Conn(number), interest);
        }
    }
}
