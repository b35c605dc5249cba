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

use crate::batch::Batch;
use crate::frame::{BLOCK, Chain, FrameHeader, HEADER_LEN, SegmentId, frame_len};
use crate::open::{Direct, ForceSync, LogTail, Options};
use crate::preparer::{DiskSpace, Order, Preparer, Releaser, Spare};
use crate::segment::{FIRST_FRAME_AT, FileName, SegmentHeader};

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
    /// `None` until a segment is begun.
    current: Option<Segment>,
    last_zxid: Zxid,
    chain: Chain,
    sequence: u64,
    latch: Option<AppendError>,
    /// Wall time of a segment's begin, for people: asked of the caller, who has the only clock.
    now_ms: fn() -> i64,
}

#[derive(Debug)]
struct Segment {
    name: FileName,
    file: Sink,
    id: SegmentId,
    len: u64,
    offset: u64,
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
        let LogTail { dir, options, end, preparer } = tail;
        let mut current = None;
        if let Some(position) = end.position {
            let name = FileName::Log(position.first_zxid);
            let path = dir.join(name.to_string());
            let opened = async {
                let len = std::fs::metadata(&path)?.len();
                Ok::<_, io::Error>((Sink::open(&path, &options).await?, len))
            };
            let (file, len) =
                opened.await.map_err(|err| AppendError::Open { file: name, errno: err.into() })?;
            current = Some(Segment { name, file, id: position.id, len, offset: position.offset });
        }
        Ok(Self {
            dir,
            options,
            preparer,
            current,
            last_zxid: end.last_zxid,
            chain: end.chain,
            sequence: end.sequence,
            latch: None,
            now_ms,
        })
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
        self.last_zxid
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
        match self.current.take().map(|it| it.file) {
            Some(Sink::Direct(file)) => file.close().await.map_err(plain),
            Some(Sink::Buffered(file)) => file.close().await.map_err(plain),
            None => Ok(()),
        }
    }

    async fn write(&mut self, batch: &Batch) -> Result<(), AppendError> {
        let (Some(first_zxid), Some(last_zxid)) = (batch.first_zxid(), batch.last_zxid()) else {
            unreachable!("an empty batch is never appended");
        };
        assert!(self.last_zxid < first_zxid);
        let len = frame_len(batch.payload().len()) as u64;
        match self.current.take_if(|it| it.len < it.offset + len) {
            // A segment that is full is closed behind our back; it is durable already.
            Some(full) => drop(full),
            None if self.current.is_some() => return self.write_frame(batch, None).await,
            None => {}
        }
        let spare = self.preparer.spare().await;
        let spare = spare.map_err(|err| AppendError::NoSegment { errno: err.into() })?;
        let header = self.begin(spare, first_zxid).await?;
        self.write_frame(batch, Some(header)).await?;
        self.preparer.order(Order::Name { spare: spare.number, first_zxid });
        if let Some(segment) = &mut self.current {
            segment.name = FileName::Log(first_zxid);
        }
        assert_eq!(self.last_zxid, last_zxid);
        Ok(())
    }

    async fn begin(
        &mut self,
        spare: Spare,
        first_zxid: Zxid,
    ) -> Result<SegmentHeader, AppendError> {
        let name = FileName::Spare(spare.number);
        let opened = async {
            let id = random()?;
            Ok::<_, io::Error>((
                Sink::open(&self.dir.join(name.to_string()), &self.options).await?,
                id,
            ))
        };
        let (file, id) =
            opened.await.map_err(|err| AppendError::Open { file: name, errno: err.into() })?;
        self.current =
            Some(Segment { name, file, id, len: spare.len, offset: FIRST_FRAME_AT as u64 });
        Ok(SegmentHeader {
            sequence: self.sequence + 1,
            id,
            first_zxid,
            prev_zxid: self.last_zxid,
            chain: self.chain,
            begun_at_ms: (self.now_ms)(),
        })
    }

    /// One write: the frame, behind the segment's header if it is the first.
    async fn write_frame(
        &mut self,
        batch: &Batch,
        begun: Option<SegmentHeader>,
    ) -> Result<(), AppendError> {
        let (Some(first_zxid), Some(last_zxid), Some(segment)) =
            (batch.first_zxid(), batch.last_zxid(), self.current.as_mut())
        else {
            unreachable!("a segment is begun and the batch has records");
        };
        let payload = batch.payload();
        let header_len = if begun.is_some() { BLOCK } else { 0 };
        let mut chain = self.chain;
        let mut next_chain = chain;
        let len = header_len + frame_len(payload.len());
        let fill = |out: &mut [u8]| {
            let (block, frame) = out.split_at_mut(header_len);
            if let Some(header) = &begun {
                chain = header.encode(block);
            }
            let header = FrameHeader {
                segment: segment.id,
                first_zxid,
                last_zxid,
                count: batch.count(),
                payload_len: payload.len() as u32,
                payload_crc: crc32c::crc32c(payload),
                chain,
                offset: segment.offset,
            };
            let (bytes, own_chain) = header.encode();
            frame[..HEADER_LEN].copy_from_slice(&bytes);
            let (records, padding) = frame[HEADER_LEN..].split_at_mut(payload.len());
            records.copy_from_slice(payload);
            padding.fill(0);
            next_chain = own_chain;
        };
        let offset = segment.offset - header_len as u64;
        let file = segment.name;
        let written = segment.file.write_at(len, offset, fill).await;
        let written =
            written.map_err(|err| AppendError::Write { file, offset, len, errno: err.into() })?;
        if written != len {
            return Err(AppendError::Short { file, offset, len, written });
        }
        segment.offset = offset + len as u64;
        self.last_zxid = last_zxid;
        self.chain = next_chain;
        self.sequence += u64::from(begun.is_some());
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
                Ok(file) => return Ok(Self::Direct(file)),
                Err(err) if err.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error()) => {
                    warn!(file = %path.display(), "this file system takes no direct I/O: the log goes through the page cache");
                }
                Err(err) => return Err(err),
            }
        }
        how.buffered_open(path).await.map(Self::Buffered).map_err(plain)
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
