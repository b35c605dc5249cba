//! Where the next frame goes, and its bytes.
//!
//! ZooKeeper: `FileTxnLog.append`. Pure: the driver ([`crate::Log`]) writes what this encodes, one write for each batch, and says when it is durable.
//!
//! Invariants: zxids strictly ascend; a frame is encoded only when the one before is durable; a segment's header goes out in one write with
//! its first frame, so that a segment without a frame never exists.

use jute::Zxid;

use crate::batch::Batch;
use crate::frame::{BLOCK, Chain, FrameHeader, HEADER_LEN, SegmentId, frame_len};
use crate::replay::End;
use crate::seal::Seal;
use crate::segment::{FIRST_FRAME_AT, SegmentHeader};

/// The end of the log, as the writer knows it.
#[derive(Clone, Debug)]
pub struct Appender {
    last_zxid: Zxid,
    chain: Chain,
    sequence: u64,
    segment: Option<Segment>,
    /// Whether the seal of the last frame is durable, as far as is known.
    is_sealed: bool,
}

#[derive(Clone, Debug)]
struct Segment {
    id: SegmentId,
    /// Bytes of the file.
    len: u64,
    /// Where the next frame goes, bytes.
    offset: u64,
    /// When it was begun, ms since 1970, as long as its header is not written.
    begun_at_ms: Option<i64>,
}

/// One write: where, and how many bytes. Both multiples of [`BLOCK`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Byte in the segment's file.
    pub offset: u64,
    /// Bytes.
    pub len: usize,
}

impl Appender {
    /// Goes on where replay ended; `len` is the newest segment's, bytes.
    pub fn new(end: &End, len: u64) -> Self {
        let segment =
            end.position.map(|it| Segment { id: it.id, len, offset: it.offset, begun_at_ms: None });
        let End { last_zxid, chain, sequence, .. } = *end;
        Self { last_zxid, chain, sequence, segment, is_sealed: false }
    }

    /// The log was cut behind `prev_zxid`, or begins anew behind an image of it, and has no segment; the numbers of segments go on.
    pub fn restart(&mut self, prev_zxid: Zxid) {
        (self.last_zxid, self.chain, self.segment) = (prev_zxid, Chain(0), None);
    }

    /// Checksum of the last frame's header; 0 if there is none in front of the next frame.
    pub fn chain(&self) -> Chain {
        self.chain
    }

    /// The last zxid that is durable.
    pub fn last_zxid(&self) -> Zxid {
        self.last_zxid
    }

    /// The number of the last segment that has a frame; 0 before the first.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Whether the batch has room in the segment; if not, [`Self::begin`] one.
    pub fn fits(&self, batch: &Batch) -> bool {
        let len = frame_len(batch.payload().len()) as u64;
        self.segment.as_ref().is_some_and(|it| it.offset + len <= it.len)
    }

    /// Begins a segment of `len` bytes. A batch that is larger makes it grow.
    pub fn begin(&mut self, id: SegmentId, len: u64, now_ms: i64) {
        let offset = FIRST_FRAME_AT as u64;
        self.segment = Some(Segment { id, len, offset, begun_at_ms: Some(now_ms) });
    }

    /// The write for this batch: its frame, behind the segment's header if it is the first.
    pub fn extent(&self, batch: &Batch) -> Extent {
        let segment = self.current();
        let header_len = if segment.begun_at_ms.is_some() { BLOCK } else { 0 };
        Extent {
            offset: segment.offset - header_len as u64,
            len: header_len + frame_len(batch.payload().len()),
        }
    }

    /// Fills `out`, as long as the extent says, with the bytes of that write. The batch has records, and all are above what is durable.
    /// Give what this returns to [`Self::durable`].
    pub fn encode(&self, batch: &Batch, out: &mut [u8]) -> Chain {
        let (Some(first_zxid), Some(last_zxid)) = (batch.first_zxid(), batch.last_zxid()) else {
            unreachable!("an empty batch is never appended");
        };
        assert!(self.last_zxid < first_zxid);
        let extent = self.extent(batch);
        assert_eq!(out.len(), extent.len);
        let segment = self.current();
        let (block, frame) = out.split_at_mut((segment.offset - extent.offset) as usize);
        let chain = match segment.begun_at_ms {
            None => self.chain,
            Some(begun_at_ms) => {
                let header = SegmentHeader {
                    sequence: self.sequence + 1,
                    id: segment.id,
                    first_zxid,
                    prev_zxid: self.last_zxid,
                    chain: self.chain,
                    begun_at_ms,
                };
                header.encode(block)
            }
        };
        let payload = batch.payload();
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
        own_chain
    }

    /// The write of this batch is durable.
    pub fn durable(&mut self, batch: &Batch, chain: Chain) {
        let end = self.extent(batch);
        let last_zxid = batch.last_zxid().unwrap_or_default();
        assert!(self.last_zxid < last_zxid);
        let Some(segment) = &mut self.segment else { unreachable!("a segment is begun") };
        segment.offset = end.offset + end.len as u64;
        self.sequence += u64::from(segment.begun_at_ms.take().is_some());
        self.chain = chain;
        self.last_zxid = last_zxid;
        self.is_sealed = false;
    }

    /// The write that seals the log: the block behind the last frame. `None`: it is sealed, or there is no room, or no frame.
    pub fn seal(&self) -> Option<(Extent, Seal)> {
        let segment = self.segment.as_ref().filter(|it| it.begun_at_ms.is_none())?;
        let has_room = segment.offset + BLOCK as u64 <= segment.len;
        let (last_zxid, chain, offset) = (self.last_zxid, self.chain, segment.offset);
        let seal = Seal { segment: segment.id, last_zxid, chain, offset };
        (has_room && !self.is_sealed).then_some((Extent { offset, len: BLOCK }, seal))
    }

    /// The write of the seal is durable.
    pub fn sealed(&mut self) {
        self.is_sealed = true;
    }

    fn current(&self) -> &Segment {
        self.segment.as_ref().unwrap_or_else(|| unreachable!("a segment is begun"))
    }
}
