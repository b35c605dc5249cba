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

/// Walks the frames of a segment whose bytes are all there.
#[derive(Clone, Debug)]
pub struct Scan<'a> {
    bytes: &'a [u8],
    walk: Walk,
}

impl<'a> Scan<'a> {
    /// Over a whole segment's `bytes`; `chain` is its header's checksum, `prev_zxid` the last zxid before it.
    pub fn new(bytes: &'a [u8], segment: SegmentId, chain: Chain, prev_zxid: Zxid) -> Self {
        Self { bytes, walk: Walk::new(segment, chain, prev_zxid) }
    }

    /// Where the next frame is, or would be: bytes.
    pub fn offset(&self) -> usize {
        self.walk.at
    }

    /// Checksum of the last good frame's header, or of the segment's header.
    pub fn end_chain(&self) -> Chain {
        self.walk.chain
    }

    /// Zxid of the last good frame's last record, or the one before the segment.
    pub fn last_zxid(&self) -> Zxid {
        self.walk.last_zxid
    }

    /// Why it stopped; `None` while it has not.
    pub fn stop(&self) -> Option<Stop> {
        self.walk.stop
    }

    /// After the stop: where a frame of this same segment, or its seal, stands behind it, if one does. Its presence proves that
    /// the place of the stop once held a whole frame, because both are only written when the frame before is durable.
    pub fn live_behind(&self) -> Option<usize> {
        let from = self.walk.live_from(self.rest());
        let is_own = |segment, _| segment == self.walk.segment;
        first_live_from(self.bytes.get(from..).unwrap_or_default(), from, is_own)
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.walk.at..).unwrap_or_default()
    }
}

impl<'a> Iterator for Scan<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.walk.step(self.rest(), Behind::Nothing) {
            Step::Frame(frame) => Some(frame),
            Step::More(_) | Step::Stopped => None,
        }
    }
}

/// Where a walk over a segment's frames is; the bytes come from outside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk {
    pub(crate) segment: SegmentId,
    /// Where the next frame is, or would be: bytes.
    pub(crate) at: usize,
    pub(crate) chain: Chain,
    pub(crate) last_zxid: Zxid,
    pub(crate) stop: Option<Stop>,
}

/// What follows the bytes that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// The file is over.
    Nothing,
    /// More of the segment.
    More,
}

/// What a walk met.
#[derive(Debug)]
pub(crate) enum Step<'a> {
    /// A good frame; the walk is behind it.
    Frame(Frame<'a>),
    /// Nothing yet: from where it is it must see so many bytes.
    More(usize),
    /// Something else: see [`Walk::stop`].
    Stopped,
}

/// Why there is no frame.
enum Pause {
    More(usize),
    Stop(Stop),
}

impl Walk {
    pub(crate) const fn new(segment: SegmentId, chain: Chain, prev_zxid: Zxid) -> Self {
        Self { segment, at: FIRST_FRAME_AT, chain, last_zxid: prev_zxid, stop: None }
    }

    /// The next frame; `rest` begins where the walk is.
    pub(crate) fn step<'a>(&mut self, rest: &'a [u8], behind: Behind) -> Step<'a> {
        if self.stop.is_some() {
            return Step::Stopped;
        }
        match self.try_step(rest, behind) {
            Ok((frame, chain)) => {
                self.at += frame.header.frame_len();
                self.chain = chain;
                self.last_zxid = frame.header.last_zxid;
                Step::Frame(frame)
            }
            Err(Pause::More(len)) => Step::More(len),
            Err(Pause::Stop(stop)) => {
                self.stop = Some(stop);
                Step::Stopped
            }
        }
    }

    /// After the stop, with what stands there: from where on a frame or seal of this segment would prove that the place once held a whole frame.
    pub(crate) fn live_from(&self, rest: &[u8]) -> usize {
        // Bytes within a frame whose header is whole are its own, whatever they look like.
        let own = FrameHeader::decode(rest);
        let own = own.filter(|(it, _)| it.segment == self.segment && it.offset == self.at as u64);
        self.at + own.map_or(BLOCK, |(it, _)| it.frame_len())
    }

    fn try_step<'a>(&self, rest: &'a [u8], behind: Behind) -> Result<(Frame<'a>, Chain), Pause> {
        let short = |len, stop| match behind {
            Behind::More => Pause::More(len),
            Behind::Nothing => Pause::Stop(stop),
        };
        if rest.len() < HEADER_LEN {
            return Err(short(HEADER_LEN, Stop::FileEnd));
        }
        let stop = |it| Err(Pause::Stop(it));
        if rest[..HEADER_LEN].iter().all(|&it| it == 0) {
            return stop(Stop::Zeros);
        }
        if let Some(seal) = Seal::decode(rest) {
            return stop(self.sealed(&seal));
        }
        let Some((header, chain)) = FrameHeader::decode(rest) else { return stop(Stop::Bad) };
        if header.segment != self.segment {
            return stop(Stop::Stale);
        }
        if header.offset != self.at as u64 {
            return stop(Stop::Bad);
        }
        let payload = rest[HEADER_LEN..].get(..header.payload_len as usize);
        let payload = payload.ok_or_else(|| short(header.frame_len(), Stop::Bad))?;
        if crc32c::crc32c(payload) != header.payload_crc {
            return stop(Stop::Bad);
        }
        if header.chain != self.chain {
            return stop(Stop::Unchained);
        }
        if header.first_zxid <= self.last_zxid {
            return stop(Stop::Backwards(header.first_zxid));
        }
        let records = Records::check(payload, &header).ok_or(Pause::Stop(Stop::Bad))?;
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

/// In `bytes`, which begin at byte `from` of a segment: the first block boundary where a whole frame header, or a seal, stands in its place that
/// `wanted` takes by its segment and its first zxid, or that of the last record before the seal.
pub(crate) fn first_live_from(
    bytes: &[u8],
    from: usize,
    wanted: impl Fn(SegmentId, Zxid) -> bool,
) -> Option<usize> {
    (from.next_multiple_of(BLOCK)..from + bytes.len()).step_by(BLOCK).find(|&at| {
        let rest = &bytes[at - from..];
        let frame = FrameHeader::decode(rest).map(|(it, _)| (it.offset, it.segment, it.first_zxid));
        let seal = || Seal::decode(rest).map(|it| (it.offset, it.segment, it.last_zxid));
        let found = frame.or_else(seal).filter(|it| it.0 == at as u64);
        found.is_some_and(|(_, segment, zxid)| wanted(segment, zxid))
    })
}
