//! The epoll of one port. Its descriptor is watched by the epoll of the port's thread.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use tracing::warn;

use super::PortError;

/// Events that one turn takes; the rest comes with the next.
const EVENTS: usize = 128;
/// The number of a source stands below its kind.
const KIND_SHIFT: u32 = 62;

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A listening socket, by its index.
    Ear(u64),
    /// Names were resolved.
    Names,
    /// A socket that connects.
    Dial(u64),
    /// A connection.
    Conn(u64),
}

impl Source {
    fn data(self) -> EventData {
        let (kind, number) = match self {
            Self::Ear(it) => (0, it),
            Self::Names => (1, 0),
            Self::Dial(it) => (2, it),
            Self::Conn(it) => (3, it),
        };
        EventData::new_u64(kind << KIND_SHIFT | number)
    }

    fn of(data: EventData) -> Self {
        let data = data.u64();
        let number = data & ((1 << KIND_SHIFT) - 1);
        match data >> KIND_SHIFT {
            0 => Self::Ear(number),
            1 => Self::Names,
            2 => Self::Dial(number),
            _ => Self::Conn(number),
        }
    }
}

/// An epoll, and the events that it had last.
pub(crate) struct Watch {
    epoll: OwnedFd,
    /// Not as the system has them: those cannot go to another thread.
    events: Vec<(Source, EventFlags)>,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("epoll", &self.epoll).finish_non_exhaustive()
    }
}

impl Watch {
    /// # Errors
    /// The system gives none.
    pub(crate) fn new() -> Result<Self, PortError> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)
            .map_err(|errno| PortError::System { what: "no epoll", error: errno.into() })?;
        Ok(Self { epoll, events: Vec::with_capacity(EVENTS) })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    /// Watches `fd` until it is closed.
    ///
    /// # Errors
    /// The system has no room for it.
    pub(crate) fn add(
        &self,
        fd: impl AsFd,
        source: Source,
        interest: EventFlags,
    ) -> Result<(), Errno> {
        epoll::add(&self.epoll, fd, source.data(), interest)
    }

    /// Changes what is told of `fd`.
    pub(crate) fn change(&self, fd: impl AsFd, source: Source, interest: EventFlags) {
        if let Err(errno) = epoll::modify(&self.epoll, fd, source.data(), interest) {
            warn!("epoll: {errno}");
        }
    }

    /// Watches `fd` no longer.
    pub(crate) fn forget(&self, fd: impl AsFd) {
        if let Err(errno) = epoll::delete(&self.epoll, fd) {
            warn!("epoll: {errno}");
        }
    }

    /// Looks what there is, without waiting; how many.
    pub(crate) fn look(&mut self) -> usize {
        self.events.clear();
        let mut found = [const { MaybeUninit::uninit() }; EVENTS];
        match epoll::wait(&self.epoll, &mut found[..], Some(&Timespec::default())) {
            Ok((found, _)) => {
                self.events.extend(found.iter().map(|it| (Source::of(it.data), it.flags)));
            }
            Err(Errno::INTR) => {}
            Err(errno) => warn!("epoll: {errno}"),
        }
        self.events.len()
    }

    /// One of what the last look found.
    pub(crate) fn event(&self, idx: usize) -> Option<(Source, EventFlags)> {
        self.events.get(idx).copied()
    }
}
