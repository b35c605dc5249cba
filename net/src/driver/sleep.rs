//! Where a thread of shards sleeps: one epoll, which sockets, other descriptors and other threads end.
//!
//! Before it sleeps it looks out for events for a moment, where that pays (see [`super::look`]). Absent here: what is done when it is awake.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::thread::sched_yield;
use rustix::time::{ClockId, clock_gettime};
use tracing::debug;

use super::bell::Bell;
use super::look::{Found, Looked, Lookout};

/// Sockets that one sleep may name.
const EVENTS: usize = 512;

/// The marks from here on belong to no socket: the bell's, a source's, those of listeners.
pub(super) const MARKS: u64 = u32::MAX as u64 - 0xff;
const BELL: u64 = u32::MAX as u64;
const SOURCE: u64 = BELL - 1;

/// What a thread may do before it sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// Look out for a moment.
    Look,
    /// Nothing: something is on its way that needs an idle core. On a disk without FUA the kernel ends each write in a worker on one
    /// core, which has to wait for a tick of the clock if that core never idles.
    Nothing,
}

/// A thread's place to sleep.
pub struct Sleeper {
    epoll: Arc<OwnedFd>,
    bell: Arc<Bell>,
    lookout: Lookout,
    /// When the last look ended, if the thread has not slept since.
    looked: Option<Moment>,
    pub(super) events: Vec<Event>,
}

/// What the clocks say.
#[derive(Clone, Copy)]
struct Moment {
    now: Duration,
    /// How long this thread has run.
    ran: Duration,
}

impl Moment {
    fn read() -> Self {
        Self { now: read(ClockId::Monotonic), ran: read(ClockId::ThreadCPUTime) }
    }
}

fn read(clock: ClockId) -> Duration {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(clock);
    Duration::new(tv_sec as u64, tv_nsec as u32)
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
        let (epoll, events) = (Arc::new(epoll), Vec::with_capacity(EVENTS));
        Ok(Self { epoll, bell, lookout: Lookout::new(), looked: None, events })
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
    pub fn sleep(&mut self, limit_ms: Option<u64>, before: Before) -> std::io::Result<()> {
        self.events.clear();
        if before == Before::Nothing || limit_ms == Some(0) {
            self.looked = None;
            return self.lie_down(limit_ms);
        }
        let began = read(ClockId::Monotonic);
        let seen = match self.lookout.span(began) {
            Some(span) => self.look(began, span)?,
            None => false,
        };
        if !seen {
            self.looked = None;
            self.lie_down(limit_ms)?;
        }
        self.lookout.woke(read(ClockId::Monotonic).saturating_sub(began));
        Ok(())
    }

    fn lie_down(&mut self, limit_ms: Option<u64>) -> std::io::Result<()> {
        let limit_ms = if self.bell.lie_down() { Some(0) } else { limit_ms };
        let done = self.wait(limit_ms);
        self.bell.get_up();
        done
    }

    /// Asks for events until there are some, for `span` at most; whether there are.
    fn look(&mut self, began: Duration, span: Duration) -> std::io::Result<bool> {
        if self.ask()? {
            return Ok(true);
        }
        let from = self.looked.take().unwrap_or_else(Moment::read);
        let found = loop {
            // Whoever else wants the core has it at once, and is noticed.
            sched_yield();
            if self.ask()? {
                break Found::Something;
            }
            if began + span <= read(ClockId::Monotonic) {
                break Found::Nothing;
            }
        };
        let to = Moment::read();
        let (lasted, ran) = (to.now.saturating_sub(from.now), to.ran.saturating_sub(from.ran));
        let shunned = self.lookout.looked(to.now, Looked { found, lasted, ran });
        if let Some(time) = shunned {
            debug!(?lasted, ?ran, ?time, "others want the core: it is let go at once for a while");
        }
        self.looked = Some(to);
        Ok(found == Found::Something)
    }

    fn ask(&mut self) -> std::io::Result<bool> {
        if self.bell.take() {
            return Ok(true);
        }
        self.wait(Some(0))?;
        Ok(!self.events.is_empty())
    }

    fn wait(&mut self, limit_ms: Option<u64>) -> std::io::Result<()> {
        let limit = limit_ms.map(|ms| Timespec {
            tv_sec: (ms / 1_000) as i64,
            tv_nsec: (ms % 1_000) as i64 * 1_000_000,
        });
        match epoll::wait(&*self.epoll, spare_capacity(&mut self.events), limit.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The epoll, for those who add sockets and change what it tells of them.
    pub(super) fn epoll(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.epoll)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    fn now() -> Duration {
        read(ClockId::Monotonic)
    }

    /// Waits until it may look, a thousand times at most; somebody has rung before each of them. Whether it may.
    fn may_look(sleeper: &mut Sleeper, before: Before) -> bool {
        (0..1_000).any(|_| {
            sleeper.waker().wake();
            sleeper.sleep(None, before).unwrap();
            sleeper.lookout.span(now()).is_some()
        })
    }

    #[test]
    fn a_look_sees_a_ring() {
        let mut sleeper = Sleeper::new().unwrap();
        let waker = sleeper.waker();
        let ringer = std::thread::Builder::new().spawn(move || waker.wake()).unwrap();
        assert!(sleeper.look(now(), LONG).unwrap());
        ringer.join().unwrap();
    }

    #[test]
    fn a_look_sees_a_source_and_says_what_it_is() {
        let mut sleeper = Sleeper::new().unwrap();
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        sleeper.watch(&ours).unwrap();
        let writer = std::thread::Builder::new()
            .spawn(move || rustix::io::write(&theirs, b"x").unwrap())
            .unwrap();
        assert!(sleeper.look(now(), LONG).unwrap());
        let events: Vec<u64> = sleeper.events.iter().map(|it| it.data.u64()).collect();
        assert_eq!(events, [SOURCE]);
        writer.join().unwrap();
    }

    #[test]
    fn a_look_without_an_event_ends() {
        let mut sleeper = Sleeper::new().unwrap();
        let began = now();
        assert!(!sleeper.look(began, Duration::from_millis(5)).unwrap());
        assert!(Duration::from_millis(5) <= now().saturating_sub(began));
        assert!(sleeper.events.is_empty());
    }

    #[test]
    fn waits_for_what_needs_an_idle_core_are_neither_looked_into_nor_counted() {
        let mut sleeper = Sleeper::new().unwrap();
        assert!(!may_look(&mut sleeper, Before::Nothing));
        assert!(may_look(&mut sleeper, Before::Look));
        // Long, without an event: a look into it would have been the last for now.
        sleeper.sleep(Some(5), Before::Nothing).unwrap();
        assert!(sleeper.lookout.span(now()).is_some());
    }
}
