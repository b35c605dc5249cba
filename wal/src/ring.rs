//! A ring of the kernel's with one write under way at most.
//!
//! Driver (io_uring). The write's bytes lie in memory of the ring's own, so that the kernel never sees memory that somebody else could
//! free. A write is handed over with one system call; when it is done the ring's descriptor becomes readable, which an epoll can tell.
//!
//! Why not an executor's ring: see `ARCHITECTURE.md`, "The log's ring". Absent here: what is written, and where.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use io_uring::{IoUring, opcode, types};
use zerocopy::{FromBytes, FromZeros as _, IntoBytes};

use crate::frame::BLOCK;

/// A block of memory as direct writes want it.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes)]
#[repr(C, align(4096))]
struct Page([u8; BLOCK]);

/// The ring and the memory of its write.
pub struct Ring {
    kernel: IoUring,
    pages: Vec<Page>,
    /// Bytes of the write under way.
    under_way: Option<usize>,
}

impl core::fmt::Debug for Ring {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Ring").field("under_way", &self.under_way).finish_non_exhaustive()
    }
}

impl Ring {
    /// A ring for the calling thread alone.
    ///
    /// # Errors
    /// What the system says if it gives none.
    pub fn new() -> io::Result<Self> {
        let mut builder = IoUring::builder();
        // A thread that computes is not interrupted by its write being done, and is told when it next asks the kernel for anything.
        builder.setup_single_issuer().setup_coop_taskrun();
        let kernel = builder.build(ENTRIES).or_else(|error| {
            // Before Linux 6.0 such flags are not known.
            if error.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error()) {
                IoUring::new(ENTRIES)
            } else {
                Err(error)
            }
        })?;
        Ok(Self { kernel, pages: Vec::new(), under_way: None })
    }

    /// Starts to write `len` bytes, which `fill` puts there, to `file` at `offset`. Nothing is under way.
    ///
    /// # Errors
    /// What the system says if it takes no write: then it was not begun.
    pub fn write(
        &mut self,
        file: &impl AsFd,
        (offset, len): (u64, usize),
        fill: impl FnOnce(&mut [u8]),
    ) -> io::Result<()> {
        assert_eq!(self.under_way, None);
        let pages = len.div_ceil(BLOCK);
        if self.pages.len() < pages {
            self.pages = vec![Page::new_zeroed(); pages.next_power_of_two()];
        }
        let bytes = &mut self.pages.as_mut_bytes()[..len];
        fill(bytes);
        let fd = types::Fd(file.as_fd().as_raw_fd());
        let write = opcode::Write::new(fd, bytes.as_ptr(), len as u32).offset(offset).build();
        // SAFETY: the bytes are the ring's own, which neither moves nor frees them while `under_way` says so, not even when it is
        // dropped; the descriptor is open now, and the kernel takes hold of the file when it takes the write, a line below.
        #[expect(unsafe_code, reason = "the kernel reads memory that it is told of by address")]
        let pushed = unsafe { self.kernel.submission().push(&write) };
        assert!(pushed.is_ok(), "the queue is empty when nothing is under way");
        self.under_way = Some(len);
        self.submit(0)
    }

    /// Bytes that the write has written, once it is done.
    ///
    /// # Errors
    /// What the system says of the write.
    pub fn poll(&mut self) -> Option<io::Result<usize>> {
        let done = self.kernel.completion().next()?;
        assert!(self.under_way.take().is_some());
        Some(match done.result() {
            errno if errno < 0 => Err(io::Error::from_raw_os_error(-errno)),
            len => Ok(len as usize),
        })
    }

    /// Sleeps until the write that is under way is done.
    ///
    /// # Errors
    /// What the system says of the wait.
    pub fn wait(&self) -> io::Result<()> {
        assert!(self.under_way.is_some());
        self.submit(1)
    }

    fn submit(&self, want: usize) -> io::Result<()> {
        loop {
            match self.kernel.submit_and_wait(want) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the ring's descriptor is open as long as the ring, from which the lifetime comes.
        #[expect(unsafe_code, reason = "the crate tells its descriptor as a number only")]
        unsafe {
            BorrowedFd::borrow_raw(self.kernel.as_raw_fd())
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // The kernel may be reading the memory.
        while self.under_way.is_some() {
            if self.poll().is_none()
                && let Err(error) = self.wait()
            {
                // The memory is leaked, the kernel may have it.
                tracing::error!(%error, "a write to the log is under way and cannot be waited for");
                core::mem::take(&mut self.pages).leak();
                return;
            }
        }
    }
}

/// One write, and room.
const ENTRIES: u32 = 4;
