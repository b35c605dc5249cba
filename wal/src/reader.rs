//! Reading the log while it is appended to: where it can be read from, and what is in a range of it.
//!
//! ZooKeeper: `FileTxnSnapLog.readTxnLog`, `TxnLogProposalIterator`, `ZKDatabase.getProposalsFromTxnLog`. Driver, blocking, for any thread: it shares
//! nothing with the log but the files. Reads past the page cache where the file system allows, a window at a time.
//!
//! Invariants: nothing is read that was not durable when the reader was made; nothing is given that is not whole and in its place, so a segment
//! that is recycled meanwhile ends the reading with an error.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use jute::Zxid;

use crate::batch::Records;
use crate::disk::{self, AlignedBuf};
use crate::frame::{BLOCK, Chain, FrameHeader, HEADER_LEN};
use crate::inspect;
use crate::segment::{FIRST_FRAME_AT, FileName, SegmentHeader};

/// The log cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The system refused a file or the directory.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What should follow is not there, or no more: it was purged, or cut, or is damaged.
    #[error(
        "the log cannot be read behind zxid {after}: it ends there, or was purged, or is damaged"
    )]
    Gap {
        /// The last that was read.
        after: Zxid,
    },
}

/// The log as it was when this was asked of it. Make a new one to see more.
#[derive(Clone, Debug)]
pub struct LogReader {
    dir: PathBuf,
    last_zxid: Zxid,
    /// Whether the last transaction is in the log and not only in an image, or nowhere.
    is_logged: bool,
}

impl LogReader {
    /// `chain` is 0 if no frame ends with `last_zxid`.
    pub(crate) fn new(dir: &Path, last_zxid: Zxid, chain: Chain) -> Self {
        Self { dir: dir.to_path_buf(), last_zxid, is_logged: chain != Chain(0) }
    }

    /// The last transaction that this reader knows of.
    pub fn last_zxid(&self) -> Zxid {
        self.last_zxid
    }

    /// The last transaction up to and including `zxid`, if the log can be read from there on without a gap, or if there is none behind.
    /// Reads a segment's frames up to it.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn floor(&self, zxid: Zxid) -> Result<Option<Zxid>, ReadError> {
        if self.last_zxid <= zxid {
            return Ok(Some(self.last_zxid));
        }
        if !self.is_logged {
            return Ok(None);
        }
        // Where the segment before must end.
        let mut end = self.last_zxid;
        for (first_zxid, path) in self.segments()?.into_iter().rev() {
            let Some(mut segment) = Segment::open(&self.dir, first_zxid, &path)? else {
                return Ok(None);
            };
            if first_zxid <= zxid {
                return segment.floor(zxid, end);
            }
            end = segment.header.prev_zxid;
            if segment.header.chain == Chain(0) {
                // Here the log begins, or begins anew behind an image.
                break;
            }
        }
        Ok((end <= zxid).then_some(end))
    }

    /// A cursor over the transactions behind `after`, up to and including `upto`, which is not above [`Self::last_zxid`]. That
    /// `after` is in the log itself, or just in front of it, is for the caller to know, by [`Self::floor`].
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn range(&self, after: Zxid, upto: Zxid) -> Result<LogCursor, ReadError> {
        assert!(upto <= self.last_zxid, "{upto} is asked of a log up to {}", self.last_zxid);
        let mut segments = self.segments()?;
        let unneeded = segments.partition_point(|it| it.0 <= after).saturating_sub(1);
        segments.drain(..unneeded);
        let dir = self.dir.clone();
        Ok(LogCursor { dir, segments, segment: None, payload: Vec::new(), given: 0, after, upto })
    }

    /// Whether the transactions behind `after` up to `upto` take more than `len` bytes. `after` is as in [`Self::range`]. Reads the heads of
    /// frames until that is known.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn is_longer(&self, after: Zxid, upto: Zxid, len: u64) -> Result<bool, ReadError> {
        let mut found = 0;
        for (first_zxid, path) in self.range(after, upto.min(self.last_zxid))?.segments {
            let segment = Segment::open(&self.dir, first_zxid, &path)?;
            let mut segment = segment.ok_or(ReadError::Gap { after })?;
            while let Some(header) = segment.frame_behind(after)? {
                if upto < header.last_zxid {
                    return Ok(false);
                }
                found += u64::from(header.payload_len);
                if len < found {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// The segments with what this reader knows of, oldest first.
    fn segments(&self) -> Result<VecDeque<(Zxid, PathBuf)>, ReadError> {
        let files = inspect::files(&self.dir).map_err(at(&self.dir))?;
        Ok(files.into_iter().filter(|it| it.0 <= self.last_zxid).collect())
    }
}

/// A place in a range of the log. See [`LogReader::range`].
#[derive(Debug)]
pub struct LogCursor {
    dir: PathBuf,
    /// Not begun.
    segments: VecDeque<(Zxid, PathBuf)>,
    segment: Option<Segment>,
    /// Of the frame under way.
    payload: Vec<u8>,
    /// Bytes of it that were given, or passed over.
    given: usize,
    after: Zxid,
    upto: Zxid,
}

impl LogCursor {
    /// The last transaction that was given; at first the one to begin behind.
    pub fn after(&self) -> Zxid {
        self.after
    }

    /// Whether all was given.
    pub fn is_done(&self) -> bool {
        self.upto <= self.after
    }

    /// Gives the next transactions to `each`, in order, until all were given or about `bytes_max` of them: it stops behind the one that
    /// reaches that. Reads one frame at a time, so a frame is in memory at most.
    ///
    /// # Errors
    /// [`ReadError`]; what was given until then is right, and nothing more is to be had.
    pub fn read(
        &mut self,
        bytes_max: usize,
        mut each: impl FnMut(Zxid, &[u8]),
    ) -> Result<(), ReadError> {
        let mut bytes = 0;
        while bytes < bytes_max && !self.is_done() {
            if self.given == self.payload.len() {
                self.next_frame()?;
            }
            let mut records = Records::of(&self.payload[self.given..]);
            while bytes < bytes_max
                && !self.is_done()
                && let Some((zxid, record)) = records.next()
            {
                if self.after < zxid {
                    each(zxid, record);
                    self.after = zxid;
                    bytes += record.len();
                }
            }
            self.given = self.payload.len() - records.rest().len();
        }
        Ok(())
    }

    /// Reads the next frame with something above `after`.
    fn next_frame(&mut self) -> Result<(), ReadError> {
        let gap = || ReadError::Gap { after: self.after };
        loop {
            if let Some(segment) = &mut self.segment
                && let Some(header) = segment.frame_behind(self.after)?
            {
                let payload = segment.payload(&header)?;
                self.payload.clear();
                self.payload.extend_from_slice(payload.ok_or_else(gap)?);
                self.given = 0;
                return Ok(());
            }
            let (first_zxid, path) = self.segments.pop_front().ok_or_else(gap)?;
            let next = Segment::open(&self.dir, first_zxid, &path)?.ok_or_else(gap)?;
            let is_chained = self.segment.as_ref().is_none_or(|it| it.chain == next.header.chain);
            // What begins behind an image goes on from there.
            let follows = is_chained || next.header.prev_zxid == self.after;
            if !follows || self.after < next.header.prev_zxid {
                return Err(gap());
            }
            self.segment = Some(next);
        }
    }
}

/// A segment that is read from its first frame on.
#[derive(Debug)]
struct Segment {
    path: PathBuf,
    file: File,
    header: SegmentHeader,
    /// Where the next frame is, bytes.
    at: u64,
    /// Of the header before it.
    chain: Chain,
    last_zxid: Zxid,
    window: AlignedBuf,
    /// What of the file is in the window, from where: bytes.
    window_at: u64,
    window_len: usize,
}

impl Segment {
    /// Opens the segment that was listed at `path`, which may have got its name meanwhile. `None`: it is gone.
    fn open(dir: &Path, first_zxid: Zxid, path: &Path) -> Result<Option<Self>, ReadError> {
        let named = dir.join(FileName::Log(first_zxid).to_string());
        for path in [path, &named] {
            let file = match disk::open_direct(OpenOptions::new().read(true), path) {
                Err(err) if err.kind() == io::ErrorKind::NotFound => continue,
                opened => opened.map_err(at(path))?.0,
            };
            let mut segment = Self {
                path: path.to_path_buf(),
                file,
                header: SegmentHeader::default(),
                at: FIRST_FRAME_AT as u64,
                chain: Chain(0),
                last_zxid: Zxid::ZERO,
                window: AlignedBuf::zeroed(WINDOW_LEN).map_err(at(path))?,
                window_at: 0,
                window_len: 0,
            };
            let head = segment.bytes(0, BLOCK)?;
            if let Some((header, chain)) = head.and_then(|it| SegmentHeader::decode(it).ok())
                && header.first_zxid == first_zxid
            {
                (segment.header, segment.chain, segment.last_zxid) =
                    (header, chain, header.prev_zxid);
                return Ok(Some(segment));
            }
        }
        Ok(None)
    }

    /// The header of the next frame with its checksum; `None` where the segment ends.
    fn frame(&mut self) -> Result<Option<(FrameHeader, Chain)>, ReadError> {
        let Some(head) = self.bytes(self.at, HEADER_LEN)? else { return Ok(None) };
        let found = FrameHeader::decode(head);
        Ok(found.filter(|(it, _)| {
            it.segment == self.header.id
                && it.offset == self.at
                && it.chain == self.chain
                && self.last_zxid < it.first_zxid
        }))
    }

    /// The records of a frame that [`Self::frame`] gave; `None` if they are not whole.
    fn payload(&mut self, header: &FrameHeader) -> Result<Option<&[u8]>, ReadError> {
        let len = HEADER_LEN + header.payload_len as usize;
        let Some(bytes) = self.bytes(header.offset, len)? else { return Ok(None) };
        let payload = &bytes[HEADER_LEN..];
        let is_whole = crc32c::crc32c(payload) == header.payload_crc;
        Ok((is_whole && Records::check(payload, header).is_some()).then_some(payload))
    }

    /// The header of the next frame with something above `after`; [`Self::payload`] is then its. `None` where the segment ends.
    fn frame_behind(&mut self, after: Zxid) -> Result<Option<FrameHeader>, ReadError> {
        loop {
            let Some((header, chain)) = self.frame()? else { return Ok(None) };
            self.pass(&header, chain);
            if after < header.last_zxid {
                return Ok(Some(header));
            }
        }
    }

    /// Goes behind that frame.
    fn pass(&mut self, header: &FrameHeader, chain: Chain) {
        self.at += header.frame_len() as u64;
        (self.chain, self.last_zxid) = (chain, header.last_zxid);
    }

    /// The last transaction up to `zxid`, which is not below the segment's first; `None` if the segment ends in front of `end`.
    fn floor(&mut self, zxid: Zxid, end: Zxid) -> Result<Option<Zxid>, ReadError> {
        while let Some((header, chain)) = self.frame()? {
            if zxid < header.first_zxid {
                return Ok(Some(self.last_zxid));
            }
            if zxid < header.last_zxid {
                let payload = self.payload(&header)?;
                let mut records = payload.map(Records::of).into_iter().flatten();
                return Ok(records.by_ref().map(|it| it.0).take_while(|&it| it <= zxid).last());
            }
            self.pass(&header, chain);
        }
        Ok((self.last_zxid == end).then_some(end))
    }

    /// Bytes of the file from `from`, a multiple of [`BLOCK`]; `None` past its end.
    fn bytes(&mut self, from: u64, len: usize) -> Result<Option<&[u8]>, ReadError> {
        let end = from + len as u64;
        if from < self.window_at || self.window_at + (self.window_len as u64) < end {
            let wanted = len.next_multiple_of(BLOCK).max(WINDOW_LEN);
            if self.window.bytes().len() < wanted {
                self.window = AlignedBuf::zeroed(wanted).map_err(at(&self.path))?;
            }
            (self.window_at, self.window_len) = (from, 0);
            while self.window_len < len {
                let rest = &mut self.window.bytes_mut()[self.window_len..];
                match self.file.read_at(rest, from + self.window_len as u64) {
                    Ok(0) => return Ok(None),
                    Ok(count) => self.window_len += count,
                    Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                    Err(err) => return Err(at(&self.path)(err)),
                }
            }
        }
        let at = (from - self.window_at) as usize;
        Ok(Some(&self.window.bytes()[at..at + len]))
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> ReadError {
    let path = path.to_path_buf();
    move |source| ReadError::Io { path, source }
}

/// Bytes read at once.
const WINDOW_LEN: usize = 256 << 10;
