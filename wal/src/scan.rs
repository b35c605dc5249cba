//! A scan: the frames of one segment, in order, until something is not the next frame.
//!
//! Pure, over the segment's bytes. What it means that a scan stops is not decided here but in [`crate::replay`].

use jute::Zxid;

use crate::batch::Records;
use crate::frame::{BLOCK, Chain, FrameHeader, HEADER_LEN, SegmentId};
use crate::seal::Seal;
use crate::segment::FIRST_FRAME_AT;

/// A good frame: every checksum holds, and it follows the one before.
#[derive(Clone, Debug)]
pub struct Frame<'a> {
    /// What its header says.
    pub header: FrameHeader,
    records: Records<'a>,
}

impl<'a> Frame<'a> {
    /// Its records in order.
    pub fn records(&self) -> Records<'a> {
        self.records.clone()
    }

    /// The same, with their length words, as they lie there.
    pub(crate) fn payload(&self) -> &'a [u8] {
        self.records.rest()
    }
}

/// Why a scan stopped where it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The file is over.
    FileEnd,
    /// Zeros: nothing was ever written here.
    Zeros,
    /// The log's seal: it rested here.
    Sealed,
    /// A frame of the file's earlier life.
    Stale,
    /// Bytes that are no good frame: torn, or damaged.
    Bad,
    /// A frame of this segment whose chain is not that of the frame before it.
    Unchained,
    /// A frame of this segment in its place whose zxid is not above the one before.
    Backwards(Zxid),
}

/// Walks a segment's frames.
#[derive(Clone, Debug)]
pub struct Scan<'a> {
    bytes: &'a [u8],
    segment: SegmentId,
    at: usize,
    chain: Chain,
    last_zxid: Zxid,
    stop: Option<Stop>,
}

impl<'a> Scan<'a> {
    /// Over a whole segment's `bytes`; `chain` is its header's checksum, `prev_zxid` the last zxid before it.
    pub fn new(bytes: &'a [u8], segment: SegmentId, chain: Chain, prev_zxid: Zxid) -> Self {
        Self { bytes, segment, at: FIRST_FRAME_AT, chain, last_zxid: prev_zxid, stop: None }
    }

    /// Where the next frame is, or would be: bytes.
    pub fn offset(&self) -> usize {
        self.at
    }

    /// Checksum of the last good frame's header, or of the segment's header.
    pub fn end_chain(&self) -> Chain {
        self.chain
    }

    /// Zxid of the last good frame's last record, or the one before the segment.
    pub fn last_zxid(&self) -> Zxid {
        self.last_zxid
    }

    /// Why it stopped; `None` while it has not.
    pub fn stop(&self) -> Option<Stop> {
        self.stop
    }

    /// After the stop: where a frame of this same segment, or its seal, stands behind it, if one does. Its presence proves that
    /// the place of the stop once held a whole frame, because both are only written when the frame before is durable.
    pub fn live_behind(&self) -> Option<usize> {
        // Bytes within a frame whose header is whole are its own, whatever they look like.
        let own = self.bytes.get(self.at..).and_then(FrameHeader::decode);
        let own = own.filter(|(it, _)| it.segment == self.segment && it.offset == self.at as u64);
        let from = self.at + own.map_or(BLOCK, |(it, _)| it.frame_len());
        first_live_from(self.bytes, from, |segment, _| segment == self.segment)
    }

    fn try_next(&self) -> Result<(Frame<'a>, Chain), Stop> {
        let rest = self.bytes.get(self.at..).filter(|it| HEADER_LEN <= it.len());
        let rest = rest.ok_or(Stop::FileEnd)?;
        if rest[..HEADER_LEN].iter().all(|&it| it == 0) {
            return Err(Stop::Zeros);
        }
        if let Some(seal) = Seal::decode(rest) {
            return Err(self.sealed(&seal));
        }
        let (header, chain) = FrameHeader::decode(rest).ok_or(Stop::Bad)?;
        if header.segment != self.segment {
            return Err(Stop::Stale);
        }
        if header.offset != self.at as u64 {
            return Err(Stop::Bad);
        }
        let payload = rest[HEADER_LEN..].get(..header.payload_len as usize).ok_or(Stop::Bad)?;
        if crc32c::crc32c(payload) != header.payload_crc {
            return Err(Stop::Bad);
        }
        if header.chain != self.chain {
            return Err(Stop::Unchained);
        }
        if header.first_zxid <= self.last_zxid {
            return Err(Stop::Backwards(header.first_zxid));
        }
        let records = Records::check(payload, &header).ok_or(Stop::Bad)?;
        Ok((Frame { header, records }, chain))
    }

    /// Why a scan stops at a seal.
    fn sealed(&self, seal: &Seal) -> Stop {
        if seal.segment != self.segment {
            Stop::Stale
        } else if seal.offset != self.at as u64 {
            Stop::Bad
        } else if seal.chain == self.chain {
            Stop::Sealed
        } else {
            Stop::Unchained
        }
    }
}

impl<'a> Iterator for Scan<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.stop.is_some() {
            return None;
        }
        match self.try_next() {
            Ok((frame, chain)) => {
                self.at += frame.header.frame_len();
                self.chain = chain;
                self.last_zxid = frame.header.last_zxid;
                Some(frame)
            }
            Err(stop) => {
                self.stop = Some(stop);
                None
            }
        }
    }
}

/// The first block boundary at or behind `from` where a whole frame header, or a seal, stands in its place that `wanted` takes by its
/// segment and its first zxid, or that of the last record before the seal.
pub(crate) fn first_live_from(
    bytes: &[u8],
    from: usize,
    wanted: impl Fn(SegmentId, Zxid) -> bool,
) -> Option<usize> {
    (from.next_multiple_of(BLOCK)..bytes.len()).step_by(BLOCK).find(|&at| {
        let rest = &bytes[at..];
        let frame = FrameHeader::decode(rest).map(|(it, _)| (it.offset, it.segment, it.first_zxid));
        let seal = || Seal::decode(rest).map(|it| (it.offset, it.segment, it.last_zxid));
        let found = frame.or_else(seal).filter(|it| it.0 == at as u64);
        found.is_some_and(|(_, segment, zxid)| wanted(segment, zxid))
    })
}
