//! The log, open for appending: one write per batch, on the pipeline shard's thread.
//!
//! ZooKeeper: `FileTxnLog.append` and `commit`, `SyncRequestProcessor`. Driver: an append is begun and asked for, so that the thread can do
//! other things meanwhile.
//!
//! Invariants: one write is in flight at most; nothing is acknowledged that is not durable; after any failure every later append fails,
//! because what a failed write left on the disk is not known.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use jute::Zxid;
use rustix::fs::OFlags;

use crate::append::{Appender, Extent};
use crate::batch::Batch;
use crate::frame::{Chain, HEADER_LEN, SegmentId};
use crate::hold;
use crate::open::{Direct, ForceSync, LogTail, Options};
use crate::preparer::{DiskSpace, Order, Preparer, Releaser, Spare, Truncated};
use crate::reader::LogReader;
use crate::ring::Ring;
use crate::segment::FileName;

/// An append failed. Nothing of its batch may be acknowledged; the log takes no more. Step down and exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The device or the file system refused the write.
    #[error("{file}: writing {len} bytes at {offset} failed: {errno}")]
    Write {
        /// The segment.
        file: FileName,
        /// Byte in it.
        offset: u64,
        /// Bytes of the write.
        len: usize,
        /// Why.
        errno: Errno,
    },
    /// Fewer bytes were written than given.
    #[error("{file}: only {written} of {len} bytes at {offset} were written")]
    Short {
        /// The segment.
        file: FileName,
        /// Byte in it.
        offset: u64,
        /// Bytes of the write.
        len: usize,
        /// Bytes that it took.
        written: usize,
    },
    /// The next segment does not open.
    #[error("{file}: opening the log segment failed: {errno}")]
    Open {
        /// The segment.
        file: FileName,
        /// Why.
        errno: Errno,
    },
    /// There is no next segment, and none can be made.
    #[error("no log segment can be prepared: {errno}")]
    NoSegment {
        /// Why.
        errno: Errno,
    },
    /// The log could not be cut.
    #[error("cutting the log behind zxid {to} failed: {errno}")]
    Cut {
        /// What was to be the last.
        to: Zxid,
        /// Why.
        errno: Errno,
    },
    /// The kernel gives no ring, or takes nothing from it.
    #[error("io_uring cannot be used for the log: {errno}; {}", remedy(*.errno))]
    Ring {
        /// Why.
        errno: Errno,
    },
}

/// The system's error number; prints as its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

impl core::fmt::Display for Errno {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        io::Error::from_raw_os_error(self.0).fmt(f)
    }
}

impl From<io::Error> for Errno {
    fn from(err: io::Error) -> Self {
        Self(err.raw_os_error().unwrap_or(rustix::io::Errno::IO.raw_os_error()))
    }
}

/// What an operator does about a ring that the kernel does not give.
fn remedy(errno: Errno) -> &'static str {
    match rustix::io::Errno::from_raw_os_error(errno.0) {
        rustix::io::Errno::PERM | rustix::io::Errno::ACCESS => {
            "run `sysctl -w kernel.io_uring_disabled=0`, and in a container allow io_uring_setup, io_uring_enter and \
             io_uring_register in its seccomp profile (docker run --security-opt seccomp=unconfined)"
        }
        rustix::io::Errno::NOMEM => {
            "raise the limit of locked memory: `ulimit -l unlimited`, or LimitMEMLOCK=infinity in the systemd unit"
        }
        rustix::io::Errno::MFILE | rustix::io::Errno::NFILE => {
            "raise the limit of open files: `ulimit -n 65536`, or LimitNOFILE=65536 in the systemd unit"
        }
        _ => {
            "it needs Linux 5.11 or later with CONFIG_IO_URING (see `uname -r`), and a seccomp profile that allows io_uring_setup"
        }
    }
}

/// An open log. Belongs to the thread that started it.
#[derive(Debug)]
pub struct Log {
    dir: PathBuf,
    options: Options,
    preparer: Preparer,
    appender: Appender,
    ring: Ring,
    /// `None` until a segment is begun.
    file: Option<(FileName, File)>,
    /// What is to be done before the append under way is done.
    phase: Phase,
    /// Whether the seal is being written; the append under way waits for it.
    is_sealing: bool,
    /// Since when nothing is appended, as far as [`Self::rest`] knows. Monotonic milliseconds.
    rests_since_ms: Option<u64>,
    /// The spare that the append under way begins.
    begun: Option<Spare>,
    latch: Option<AppendError>,
    /// Wall time of a segment's begin, for people: asked of the caller, who has the only clock.
    now_ms: fn() -> i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing is under way.
    Idle,
    /// A spare is waited for, if the segment has no room.
    Spare,
    /// The write is under way; the next frame is chained to this.
    Write(Chain),
}

impl Log {
    /// Takes over from replay, on the thread that will append. `now_ms` gives wall time, ms since 1970, for segment headers.
    ///
    /// # Errors
    /// [`AppendError::Open`] if the newest segment does not open for writing, [`AppendError::Ring`] if there is no ring.
    pub fn start(tail: LogTail, now_ms: fn() -> i64) -> Result<Self, AppendError> {
        let LogTail { dir, options, end, newest_len, preparer } = tail;
        let ring = Ring::new().map_err(|err| AppendError::Ring { errno: err.into() })?;
        let mut log = Self {
            dir,
            options,
            preparer,
            appender: Appender::new(&end, newest_len),
            ring,
            file: None,
            phase: Phase::Idle,
            is_sealing: false,
            rests_since_ms: None,
            begun: None,
            latch: None,
            now_ms,
        };
        if let Some(position) = end.position {
            log.open(FileName::Log(position.first_zxid))?;
        }
        Ok(log)
    }

    /// Begins to write the batch, which must not be empty and must be above all before it, as one frame with one write. Nothing
    /// is under way.
    ///
    /// # Errors
    /// [`AppendError`], for this and every later batch.
    pub fn begin_append(&mut self, batch: &Batch, cx: &Context<'_>) -> Result<(), AppendError> {
        assert_eq!(self.phase, Phase::Idle, "one write is in flight at most");
        if let Some(err) = self.latch {
            return Err(err);
        }
        self.phase = Phase::Spare;
        self.rests_since_ms = None;
        match self.advance(batch, cx) {
            Poll::Ready(done) => done,
            Poll::Pending => Ok(()),
        }
    }

    /// Whether the batch that was begun is durable, unless `forceSync` is off. Until it is, look again when [`Self::ring`] is readable,
    /// when a wait for it was interrupted, and when `cx` is woken.
    ///
    /// # Errors
    /// As [`Self::begin_append`].
    pub fn poll_append(
        &mut self,
        batch: &Batch,
        cx: &Context<'_>,
    ) -> Poll<Result<(), AppendError>> {
        assert_ne!(self.phase, Phase::Idle, "it was begun");
        if self.advance(batch, cx)?.is_pending() {
            return Poll::Pending;
        }
        let Phase::Write(chain) = self.phase else { unreachable!("the write is under way") };
        let Some(written) = self.ring.poll() else { return Poll::Pending };
        self.phase = Phase::Idle;
        let done = self.written(batch, chain, written);
        self.latch = done.err();
        Poll::Ready(done)
    }

    /// Both, for a thread that has nothing else to do.
    ///
    /// # Errors
    /// As [`Self::begin_append`].
    pub fn append(&mut self, batch: &Batch) -> Result<(), AppendError> {
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let cx = Context::from_waker(&waker);
        self.begin_append(batch, &cx)?;
        loop {
            if let Poll::Ready(done) = self.poll_append(batch, &cx) {
                return done;
            }
            if self.is_sealing || matches!(self.phase, Phase::Write(_)) {
                self.ring.wait().map_err(|err| AppendError::Ring { errno: err.into() })?;
            } else {
                std::thread::park();
            }
        }
    }

    /// Forgets every transaction above `to`, durably: the log then ends with the last one that is not. Nothing is under way. Blocks:
    /// reads the segment that is cut, and makes one write for each frame that goes. A crash leaves the log whole, ending with that
    /// transaction or with one behind it.
    ///
    /// Source: `ZKDatabase.truncateLog`.
    ///
    /// # Errors
    /// [`AppendError::Cut`], for this and everything later.
    pub fn truncate(&mut self, to: Zxid) -> Result<(), AppendError> {
        self.cut(to, Appender::restart)
    }

    /// Forgets every transaction: the log is empty, behind an image of `zxid`. Nothing is under way, and the image is durable, with
    /// [`Self::sequence`] in it, so that a start does not take what a crash leaves of the log for what follows it.
    ///
    /// # Errors
    /// As [`Self::truncate`].
    pub fn restart(&mut self, zxid: Zxid) -> Result<(), AppendError> {
        self.cut(Zxid(i64::MIN), |appender, _| appender.restart(zxid))
    }

    /// The number of the last segment that was begun; 0 before the first.
    pub fn sequence(&self) -> u64 {
        self.appender.sequence()
    }

    /// For reading what is durable now, on any thread.
    pub fn reader(&self) -> LogReader {
        LogReader::new(&self.dir, self.appender.last_zxid(), self.appender.chain())
    }

    /// `emptied` is told the last transaction in front of a log that has no segment left.
    fn cut(&mut self, to: Zxid, emptied: impl Fn(&mut Appender, Zxid)) -> Result<(), AppendError> {
        assert_eq!(self.phase, Phase::Idle, "nothing is under way");
        if let Some(err) = self.latch {
            return Err(err);
        }
        while !self.poll_seal()? {
            self.ring.wait().map_err(|err| AppendError::Ring { errno: err.into() })?;
        }
        self.file = None;
        // What all goes of need not be whole.
        let is_logged = self.appender.chain() != Chain(0) && Zxid::ZERO <= to;
        let last = is_logged.then(|| self.appender.last_zxid());
        let done = match self.preparer.truncate(to, last) {
            Err(err) => Err(AppendError::Cut { to, errno: err.into() }),
            Ok(Truncated::Before(before)) => {
                let last = self.appender.last_zxid();
                emptied(&mut self.appender, before.unwrap_or(last));
                Ok(())
            }
            Ok(Truncated::Within(end, len)) => {
                self.appender = Appender::new(&end, len);
                end.position.map_or(Ok(()), |it| self.open(FileName::Log(it.first_zxid)))
            }
        };
        self.latch = done.err();
        done
    }

    /// What there is to do while nothing is appended, at `now_ms`, monotonic: a log that has rested for a second gets a seal. To be
    /// called now and then, and when [`Self::ring`] is readable.
    ///
    /// # Errors
    /// As [`Self::begin_append`].
    pub fn rest(&mut self, now_ms: u64) -> Result<(), AppendError> {
        assert_eq!(self.phase, Phase::Idle, "nothing is appended");
        if let Some(err) = self.latch {
            return Err(err);
        }
        let is_sealing = !self.poll_seal()?;
        // Where the disk writes in any order a seal proves nothing.
        let (Some((extent, seal)), false, ForceSync::On) =
            (self.appender.seal(), is_sealing, self.options.force_sync)
        else {
            return Ok(());
        };
        let since_ms = *self.rests_since_ms.get_or_insert(now_ms);
        if now_ms < since_ms + SEAL_AFTER_MS {
            return Ok(());
        }
        let Some((_, segment)) = &self.file else { unreachable!("a frame is written") };
        let fill = |out: &mut [u8]| {
            out.fill(0);
            out[..HEADER_LEN].copy_from_slice(&seal.encode());
        };
        let begun = self.ring.write(segment, (extent.offset, extent.len), fill);
        self.is_sealing = begun.is_ok();
        self.sealed(extent, begun.map(|()| extent.len))
    }

    /// Whether a seal is being written.
    pub fn is_sealing(&self) -> bool {
        self.is_sealing
    }

    /// Whether no seal is being written.
    fn poll_seal(&mut self) -> Result<bool, AppendError> {
        if !self.is_sealing {
            return Ok(true);
        }
        let Some((extent, _)) = self.appender.seal() else { unreachable!("it is being written") };
        let Some(written) = self.ring.poll() else { return Ok(false) };
        self.is_sealing = false;
        self.sealed(extent, written)?;
        self.appender.sealed();
        Ok(true)
    }

    /// What the system said of the seal's write.
    fn sealed(&mut self, extent: Extent, written: io::Result<usize>) -> Result<(), AppendError> {
        let Some((file, _)) = self.file else { unreachable!("a frame is written") };
        let done = whole(file, extent, written);
        self.latch = done.err();
        done
    }

    /// Readable when the write under way is done.
    pub fn ring(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }

    /// The last zxid that is durable here.
    pub fn last_zxid(&self) -> Zxid {
        self.appender.last_zxid()
    }

    /// The room on its disk.
    pub fn space(&self) -> DiskSpace {
        self.preparer.space()
    }

    /// For whoever purges images.
    pub fn releaser(&self) -> Releaser {
        self.preparer.releaser()
    }

    /// Goes as far as the write; ready when it is under way, or was.
    fn advance(&mut self, batch: &Batch, cx: &Context<'_>) -> Poll<Result<(), AppendError>> {
        if self.phase != Phase::Spare {
            return Poll::Ready(Ok(()));
        }
        match self.poll_seal() {
            Ok(true) => {}
            Ok(false) => return Poll::Pending,
            Err(err) => {
                self.phase = Phase::Idle;
                return Poll::Ready(Err(err));
            }
        }
        let begun = if self.appender.fits(batch) {
            self.write(batch)
        } else {
            let Poll::Ready(spare) = self.preparer.poll_spare(cx) else { return Poll::Pending };
            let spare = spare.map_err(|err| AppendError::NoSegment { errno: err.into() });
            spare.and_then(|it| self.begin(it)).and_then(|()| self.write(batch))
        };
        if let Err(err) = begun {
            self.latch = Some(err);
            self.phase = Phase::Idle;
        }
        Poll::Ready(begun)
    }

    fn write(&mut self, batch: &Batch) -> Result<(), AppendError> {
        let Extent { offset, len } = self.appender.extent(batch);
        let Some((file, segment)) = &self.file else { unreachable!("a segment is begun") };
        let (file, mut chain) = (*file, Chain::default());
        let fill = |out: &mut [u8]| chain = self.appender.encode(batch, out);
        let begun = self.ring.write(segment, (offset, len), fill);
        begun.map_err(|err| AppendError::Write { file, offset, len, errno: err.into() })?;
        self.phase = Phase::Write(chain);
        Ok(())
    }

    fn written(
        &mut self,
        batch: &Batch,
        chain: Chain,
        written: io::Result<usize>,
    ) -> Result<(), AppendError> {
        let Some((file, _)) = self.file else { unreachable!("a segment is begun") };
        whole(file, self.appender.extent(batch), written)?;
        self.appender.durable(batch, chain);
        if let (Some(spare), Some(first_zxid)) = (self.begun.take(), batch.first_zxid()) {
            self.preparer.order(Order::Name { spare: spare.number, first_zxid });
            self.file = self.file.take().map(|(_, file)| (FileName::Log(first_zxid), file));
        }
        Ok(())
    }

    fn begin(&mut self, spare: Spare) -> Result<(), AppendError> {
        self.open(FileName::Spare(spare.number))?;
        let id = random().map_err(|err| AppendError::NoSegment { errno: err.into() })?;
        self.appender.begin(id, spare.len, (self.now_ms)());
        self.begun = Some(spare);
        Ok(())
    }

    /// Opens a segment's file in place of the one before, which is durable.
    fn open(&mut self, name: FileName) -> Result<(), AppendError> {
        let file = open_segment(&self.dir.join(name.to_string()), &self.options);
        let file = file.map_err(|err| AppendError::Open { file: name, errno: err.into() })?;
        self.file = Some((name, file));
        Ok(())
    }
}

/// Whether all of a write was done.
fn whole(file: FileName, extent: Extent, written: io::Result<usize>) -> Result<(), AppendError> {
    let Extent { offset, len } = extent;
    let written =
        written.map_err(|err| AppendError::Write { file, offset, len, errno: err.into() })?;
    if written == len { Ok(()) } else { Err(AppendError::Short { file, offset, len, written }) }
}

/// How long nothing is appended before the log is sealed, milliseconds.
const SEAL_AFTER_MS: u64 = 1_000;

/// Opens a segment for writes that are durable when they are done, and holds it.
fn open_segment(path: &Path, options: &Options) -> io::Result<File> {
    let sync = match options.force_sync {
        ForceSync::On => OFlags::DSYNC,
        ForceSync::Off => OFlags::empty(),
    };
    let open = |flags: OFlags| {
        OpenOptions::new().read(true).write(true).custom_flags(flags.bits() as i32).open(path)
    };
    let file = match options.direct {
        Direct::Off => open(sync)?,
        Direct::IfPossible => match open(sync | OFlags::DIRECT) {
            Err(err) if err.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error()) => {
                open(sync)?
            }
            opened => opened?,
        },
    };
    hold::hold(&file)?;
    Ok(file)
}

/// Wakes a thread that waits for a spare.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// A segment's id. The one draw of chance in the log: nobody outside can know it.
fn random() -> io::Result<SegmentId> {
    let mut bytes = [0; 8];
    io::Read::read_exact(&mut File::open("/dev/urandom")?, &mut bytes)?;
    Ok(SegmentId(u64::from_be_bytes(bytes)))
}
