//! One connection of the election port: its socket, the bytes that came, the frame that goes.

use std::io::{ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use quorum::wire::{FrameStream, Initial};
use quorum::{Moment, Sid};
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{Shutdown, shutdown, sockopt};

use super::SILENCE_MAX;
use crate::port::{PortError, Source, Watch};
use crate::tls::{Line, Read};

/// How a connection ended.
#[derive(Debug)]
pub(super) enum End {
    /// The other side closed it, or it broke.
    Closed,
    /// What came makes no sense.
    Nonsense(PortError),
}

/// What came.
#[derive(Debug)]
pub(super) enum Heard {
    /// Nothing that is not in the frames.
    Nothing,
    /// The handshake with whom we have called is over.
    Up { to: Sid },
    /// Who it is.
    Said(Initial),
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
    line: Line,
    peer: SocketAddr,
    stage: Stage,
    /// What goes, and how much of it has gone.
    frame: Option<(Arc<[u8]>, usize)>,
    /// What epoll tells of it.
    interest: EventFlags,
}

#[derive(Debug)]
enum Stage {
    /// We have called it, and the handshake is not over.
    Hailing { to: Sid, by: Moment },
    /// Has not said who it is.
    Stranger { bytes: Vec<u8>, by: Moment },
    /// Sends frames.
    Talking(FrameStream),
    /// We have closed it; what was sent may be on its way until then.
    Closing { by: Moment },
}

impl Conn {
    /// One that was made to us; it must have said who it is at the moment `by`.
    pub(super) fn accepted(ends: (OwnedFd, Line), peer: SocketAddr, by: Moment) -> Self {
        Self::new(ends, peer, Stage::Stranger { bytes: Vec::new(), by })
    }

    /// One that we made to that server; if there is a handshake it must be over at the moment `by`.
    pub(super) fn connected(ends: (OwnedFd, Line), peer: SocketAddr, to: Sid, by: Moment) -> Self {
        let is_up = ends.1.is_up();
        let talking = Stage::Talking(FrameStream::new());
        Self::new(ends, peer, if is_up { talking } else { Stage::Hailing { to, by } })
    }

    fn new((socket, line): (OwnedFd, Line), peer: SocketAddr, stage: Stage) -> Self {
        // Without it the connection only lives too long.
        sockopt::set_tcp_user_timeout(&socket, SILENCE_MAX.as_millis() as u32).ok();
        Self { socket, line, peer, stage, frame: None, interest: EventFlags::IN }
    }

    pub(super) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Until when it has to be past its stage.
    pub(super) fn due_by(&self) -> Option<Moment> {
        match self.stage {
            Stage::Hailing { by, .. } | Stage::Stranger { by, .. } | Stage::Closing { by } => {
                Some(by)
            }
            Stage::Talking(_) => None,
        }
    }

    /// Whether it has yet to say who it is.
    pub(super) fn is_stranger(&self) -> bool {
        matches!(self.stage, Stage::Stranger { .. })
    }

    /// Whom we have called, if the handshake is not over.
    pub(super) fn hailed(&self) -> Option<Sid> {
        match self.stage {
            Stage::Hailing { to, .. } => Some(to),
            _ => None,
        }
    }

    /// Whether we have closed it.
    pub(super) fn is_closing(&self) -> bool {
        matches!(self.stage, Stage::Closing { .. })
    }

    /// Closes it, if it has to stay for that: what was sent by TLS is lost if the kernel meets an unread answer at the end. Whether it has.
    pub(super) fn linger(&mut self, by: Moment, watch: &Watch, number: u64) -> bool {
        if !self.line.is_up() || self.line.is_plain() {
            return false;
        }
        (self.stage, self.frame) = (Stage::Closing { by }, None);
        self.shut();
        self.tell_of_room(watch, number);
        true
    }

    /// Says that nothing more comes, once everything has gone.
    fn shut(&mut self) {
        if self.line.say_closed(&self.socket) {
            shutdown(&self.socket, Shutdown::Write).ok();
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
    pub(super) fn greet(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self.line.write(&self.socket, &[IoSlice::new(bytes)])? {
            len if len == bytes.len() => Ok(()),
            _ => Err(Errno::NOBUFS.into()),
        }
    }

    /// Reads once: what came beside frames, and whether there is more to read at once.
    ///
    /// # Errors
    /// [`End`].
    pub(super) fn read(&mut self, now: Moment, scratch: &mut [u8]) -> Result<(Heard, bool), End> {
        let read = match self.line.read(&self.socket, now, scratch) {
            Ok(read) => read,
            Err(PortError::Broken { .. }) => return Err(End::Closed),
            Err(error) => return Err(End::Nonsense(error)),
        };
        let (bytes, more) = match read {
            Read::Closed => return Err(End::Closed),
            Read::Nothing => (&[][..], false),
            Read::Bytes { len, more } => (&scratch[..len], more),
        };
        Ok((self.take(bytes)?, more))
    }

    fn take(&mut self, read: &[u8]) -> Result<Heard, End> {
        match &mut self.stage {
            Stage::Closing { .. } => Ok(Heard::Nothing),
            &mut Stage::Hailing { to, .. } => {
                if !self.line.is_up() {
                    return Ok(Heard::Nothing);
                }
                let mut frames = FrameStream::new();
                frames.feed(read);
                self.stage = Stage::Talking(frames);
                Ok(Heard::Up { to })
            }
            Stage::Talking(frames) => {
                frames.feed(read);
                Ok(Heard::Nothing)
            }
            Stage::Stranger { bytes, .. } => {
                bytes.extend_from_slice(read);
                let split = Initial::split(bytes).map_err(|error| End::Nonsense(error.into()))?;
                let Some((initial, len)) = split else { return Ok(Heard::Nothing) };
                let mut frames = FrameStream::new();
                frames.feed(&bytes[len..]);
                self.stage = Stage::Talking(frames);
                Ok(Heard::Said(initial))
            }
        }
    }

    /// The next frame that came, without its length.
    ///
    /// # Errors
    /// Bytes that are none.
    pub(super) fn next_frame(&mut self) -> Result<Option<&[u8]>, PortError> {
        match &mut self.stage {
            Stage::Talking(frames) => Ok(frames.next_frame()?),
            _ => Ok(None),
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
        if self.is_closing() {
            self.shut();
        }
        let waiting = self.frame.as_ref().map_or(&[][..], |(frame, at)| &frame[*at..]);
        let sent = match self.line.write(&self.socket, &[IoSlice::new(waiting)]) {
            Ok(len) => Some(len),
            Err(it) if matches!(it.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                Some(0)
            }
            Err(_) => None,
        };
        let became = match (&mut self.frame, sent) {
            (None, _) => Sent::Nothing,
            (Some(_), None) => {
                self.frame = None;
                Sent::Nothing
            }
            (Some((frame, at)), Some(sent)) => {
                *at += sent;
                // What the line keeps has not left either.
                if *at < frame.len() || self.line.wants_write(0) {
                    Sent::Part
                } else {
                    self.frame = None;
                    Sent::Everything
                }
            }
        };
        self.tell_of_room(watch, number);
        became
    }

    /// Hears of room in the kernel iff something waits for it.
    pub(super) fn tell_of_room(&mut self, watch: &Watch, number: u64) {
        let waiting = self.frame.as_ref().map_or(0, |(frame, at)| frame.len() - at);
        let out = self.line.wants_write(waiting);
        let interest = if out { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
        if self.interest != interest {
            self.interest = interest;
            watch.change(&self.socket, Source::Conn(number), interest);
        }
    }
}
