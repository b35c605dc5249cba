//! The log, open for appending: one write per batch, on the pipeline shard's executor.
//!
//! ZooKeeper: `FileTxnLog.append` and `commit`, `SyncRequestProcessor`. Driver (glommio).
//!
//! Invariants: one write is in flight at most; nothing is acknowledged that is not durable; after any failure every later append fails,
//! because what a failed write left on the disk is not known.

use std::io;
use std::path::{Path, PathBuf};

use glommio::GlommioError;
use glommio::io::{BufferedFile, DmaFile, OpenOptions};
use jute::Zxid;
use rustix::fs::OFlags;
use tracing::warn;

use crate::append::{Appender, Extent};
use crate::batch::Batch;
use crate::frame::{Chain, SegmentId};
use crate::hold;
use crate::open::{Direct, ForceSync, LogTail, Options};
use crate::preparer::{DiskSpace, Order, Preparer, Releaser, Spare};
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
    /// An earlier append was dropped before it was done: what it left on the disk is not known.
    #[error("an earlier append was abandoned in the middle")]
    Abandoned,
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

/// An open log. Belongs to one executor.
#[derive(Debug)]
pub struct Log {
    dir: PathBuf,
    options: Options,
    preparer: Preparer,
    appender: Appender,
    /// `None` until a segment is begun.
    file: Option<(FileName, Sink)>,
    latch: Option<AppendError>,
    /// Wall time of a segment's begin, for people: asked of the caller, who has the only clock.
    now_ms: fn() -> i64,
}

#[derive(Debug)]
enum Sink {
    Direct(DmaFile),
    Buffered(BufferedFile),
}

impl Log {
    /// Takes over from replay, on the executor that will append. `now_ms` gives wall time, ms since 1970, for segment headers.
    ///
    /// # Errors
    /// [`AppendError::Open`] if the newest segment does not open for writing.
    pub async fn start(tail: LogTail, now_ms: fn() -> i64) -> Result<Self, AppendError> {
        let LogTail { dir, options, end, newest_len, preparer } = tail;
        let appender = Appender::new(&end, newest_len);
        let mut log = Self { dir, options, preparer, appender, file: None, latch: None, now_ms };
        if let Some(position) = end.position {
            log.open(FileName::Log(position.first_zxid)).await?;
        }
        Ok(log)
    }

    /// Writes the batch, which must not be empty and must be above all before it, as one frame with one write. When this returns `Ok`
    /// it is durable, unless `forceSync` is off.
    ///
    /// # Errors
    /// [`AppendError`], for this and every later call.
    pub async fn append(&mut self, batch: &Batch) -> Result<(), AppendError> {
        if let Some(err) = self.latch {
            return Err(err);
        }
        // Stands if this future is dropped half way.
        self.latch = Some(AppendError::Abandoned);
        let done = self.write(batch).await;
        self.latch = done.err();
        done
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

    /// Closes the file and ends the preparer, after what it was ordered. Nothing is lost without this.
    ///
    /// # Errors
    /// What closing says.
    pub async fn close(mut self) -> io::Result<()> {
        match self.file.take() {
            Some((_, Sink::Direct(file))) => file.close().await.map_err(plain),
            Some((_, Sink::Buffered(file))) => file.close().await.map_err(plain),
            None => Ok(()),
        }
    }

    async fn write(&mut self, batch: &Batch) -> Result<(), AppendError> {
        let begun = if self.appender.fits(batch) { None } else { Some(self.begin().await?) };
        let Extent { offset, len } = self.appender.extent(batch);
        let Some((file, sink)) = &self.file else { unreachable!("a segment is begun") };
        let (file, mut chain) = (*file, Chain::default());
        let fill = |out: &mut [u8]| chain = self.appender.encode(batch, out);
        let written = sink.write_at(len, offset, fill).await;
        let written =
            written.map_err(|err| AppendError::Write { file, offset, len, errno: err.into() })?;
        if written != len {
            return Err(AppendError::Short { file, offset, len, written });
        }
        self.appender.durable(batch, chain);
        if let (Some(spare), Some(first_zxid)) = (begun, batch.first_zxid()) {
            self.preparer.order(Order::Name { spare: spare.number, first_zxid });
            self.file = self.file.take().map(|(_, sink)| (FileName::Log(first_zxid), sink));
        }
        Ok(())
    }

    async fn begin(&mut self) -> Result<Spare, AppendError> {
        let spare = self.preparer.spare().await;
        let spare = spare.map_err(|err| AppendError::NoSegment { errno: err.into() })?;
        self.open(FileName::Spare(spare.number)).await?;
        let id = random().map_err(|err| AppendError::NoSegment { errno: err.into() })?;
        self.appender.begin(id, spare.len, (self.now_ms)());
        Ok(spare)
    }

    /// Opens a segment's file in place of the one before, which is durable and is closed behind our back.
    async fn open(&mut self, name: FileName) -> Result<(), AppendError> {
        let sink = Sink::open(&self.dir.join(name.to_string()), &self.options).await;
        let sink = sink.map_err(|err| AppendError::Open { file: name, errno: err.into() })?;
        self.file = Some((name, sink));
        Ok(())
    }
}

impl Sink {
    async fn open(path: &Path, options: &Options) -> io::Result<Self> {
        let sync = match options.force_sync {
            ForceSync::On => OFlags::DSYNC.bits() as i32,
            ForceSync::Off => 0,
        };
        let mut how = OpenOptions::new();
        how.read(true).write(true).custom_flags(sync);
        if options.direct == Direct::IfPossible {
            match how.dma_open(path).await.map_err(plain) {
                Ok(file) => {
                    hold::hold(&file)?;
                    return Ok(Self::Direct(file));
                }
                Err(err) if err.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error()) => {
                    warn!(file = %path.display(), "this file system takes no direct I/O: the log goes through the page cache");
                }
                Err(err) => return Err(err),
            }
        }
        let file = how.buffered_open(path).await.map_err(plain)?;
        hold::hold(&file)?;
        Ok(Self::Buffered(file))
    }

    async fn write_at(
        &self,
        len: usize,
        offset: u64,
        fill: impl FnOnce(&mut [u8]),
    ) -> io::Result<usize> {
        match self {
            Self::Direct(file) => {
                let mut buf = file.alloc_dma_buffer(len);
                fill(buf.as_bytes_mut());
                file.write_at(buf, offset).await.map_err(plain)
            }
            Self::Buffered(file) => {
                let mut buf = vec![0; len];
                fill(&mut buf);
                file.write_at(buf, offset).await.map_err(plain)
            }
        }
    }
}

/// The system's own error, with its number, from under glommio's description.
fn plain(err: GlommioError<()>) -> io::Error {
    if let GlommioError::EnhancedIoError { source, .. } = err {
        return source;
    }
    io::Error::from(err)
}

/// A segment's id. The one draw of chance in the log: nobody outside can know it.
fn random() -> io::Result<SegmentId> {
    let mut bytes = [0; 8];
    io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut bytes)?;
    Ok(SegmentId(u64::from_be_bytes(bytes)))
}
