//! Where a thread of shards sleeps: one epoll, which sockets, other descriptors and other threads end.
//!
//! Absent here: what is done when it is awake.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::task::Waker;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;

use super::bell::Bell;

/// Sockets that one sleep may name.
const EVENTS: usize = 512;

/// The marks from here on belong to no socket: the bell's, a source's, those of listeners.
pub(super) const MARKS: u64 = u32::MAX as u64 - 0xff;
const BELL: u64 = u32::MAX as u64;
const SOURCE: u64 = BELL - 1;

/// A thread's place to sleep.
pub struct Sleeper {
    epoll: Arc<OwnedFd>,
    bell: Arc<Bell>,
    pub(super) events: Vec<Event>,
}

impl std::fmt::Debug for Sleeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sleeper").field("bell", &self.bell).finish_non_exhaustive()
    }
}

impl Sleeper {
    /// For one thread.
    ///
    /// # Errors
    /// What the system says if it gives no epoll.
    pub fn new() -> std::io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let bell = Arc::new(Bell::new()?);
        epoll::add(&epoll, &bell.fd, EventData::new_u64(BELL), EventFlags::IN | EventFlags::ET)?;
        Ok(Self { epoll: Arc::new(epoll), bell, events: Vec::with_capacity(EVENTS) })
    }

    /// Ends the sleep, from any thread; costs a system call only if there is one to end.
    pub fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.bell))
    }

    /// From now on `source` ends the sleep whenever it is readable, as long as it is open.
    ///
    /// # Errors
    /// The system's, which has no room for it.
    pub fn watch(&self, source: &impl AsFd) -> std::io::Result<()> {
        Ok(epoll::add(&self.epoll, source, EventData::new_u64(SOURCE), EventFlags::IN)?)
    }

    /// Whether somebody has rung since the last call.
    pub fn take_ring(&self) -> bool {
        self.bell.take()
    }

    /// Sleeps for `limit_ms` at most; not at all if somebody has rung.
    ///
    /// # Errors
    /// The system's; none is known that a program could meet.
    pub fn sleep(&mut self, limit_ms: Option<u64>) -> std::io::Result<()> {
        let limit_ms = if self.bell.lie_down() { Some(0) } else { limit_ms };
        let limit = limit_ms.map(|ms| Timespec {
            tv_sec: (ms / 1_000) as i64,
            tv_nsec: (ms % 1_000) as i64 * 1_000_000,
        });
        self.events.clear();
        let done = epoll::wait(&*self.epoll, spare_capacity(&mut self.events), limit.as_ref());
        self.bell.get_up();
        match done {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The epoll, for those who add sockets and change what it tells of them.
    pub(super) fn epoll(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.epoll)
    }
}
