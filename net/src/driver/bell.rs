//! How other threads wake a session shard: a waker over an eventfd, which costs a system call only if the shard sleeps.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;

use rustix::event::{EventfdFlags, eventfd};

/// Wakes the thread.
#[derive(Debug)]
pub(super) struct Bell {
    /// Written to, never read: it is told of by edge.
    pub(super) fd: OwnedFd,
    rung: AtomicBool,
    asleep: AtomicBool,
}

impl Bell {
    pub(super) fn new() -> std::io::Result<Self> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { fd, rung: AtomicBool::new(false), asleep: AtomicBool::new(false) })
    }

    /// Whether somebody has rung since the last call; if not, the next ring ends the sleep.
    pub(super) fn lie_down(&self) -> bool {
        self.asleep.store(true, Ordering::SeqCst);
        self.rung.swap(false, Ordering::SeqCst)
    }

    /// Whether somebody has rung since the last call.
    pub(super) fn take(&self) -> bool {
        self.rung.load(Ordering::Relaxed) && self.rung.swap(false, Ordering::SeqCst)
    }

    pub(super) fn get_up(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::SeqCst);
        if self.asleep.swap(false, Ordering::SeqCst) {
            // Can only fail when the count is full, after 2^64 rings.
            rustix::io::write(&self.fd, &ONE).ok();
        }
    }
}

/// What is added to the count.
#[expect(clippy::host_endian_bytes, reason = "the kernel counts in the machine's order")]
const ONE: [u8; 8] = 1_u64.to_ne_bytes();
