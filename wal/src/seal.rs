//! A seal: what stands behind the last frame of a log that rests, and proves that this frame was once whole.
//!
//! ZooKeeper has no counterpart. Without it a damaged last frame looks like one that a crash has torn, whose transactions nobody was
//! told of. A seal is written when the frame is durable, where the next frame goes, which overwrites it: by the first sector, that
//! holds all of the one or of the other. Pure.

use jute::Zxid;

use crate::frame::{Chain, HEADER_LEN, SegmentId, u32_at, u64_at};

/// `RKSL`
const MAGIC: u32 = 0x524b_534c;
const VERSION: u16 = 1;

/// What a seal says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal {
    /// The segment's life that it belongs to.
    pub segment: SegmentId,
    /// Of the last record before it.
    pub last_zxid: Zxid,
    /// Checksum of the header of the last frame.
    pub chain: Chain,
    /// Where in the file it stands, bytes.
    pub offset: u64,
}

impl Seal {
    /// The seal as bytes, as long as a frame's header, whose fields stand where they do there.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        out[..4].copy_from_slice(&MAGIC.to_be_bytes());
        out[4..6].copy_from_slice(&VERSION.to_be_bytes());
        out[8..16].copy_from_slice(&self.segment.0.to_be_bytes());
        out[24..32].copy_from_slice(&self.last_zxid.0.to_be_bytes());
        out[44..48].copy_from_slice(&self.chain.0.to_be_bytes());
        out[48..56].copy_from_slice(&self.offset.to_be_bytes());
        let crc = crc32c::crc32c(&out[..60]);
        out[60..].copy_from_slice(&crc.to_be_bytes());
        out
    }

    /// Reads a seal at the start of `bytes`. `None`: these bytes are none, or a damaged one.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..HEADER_LEN)?;
        if u32_at(bytes, 0) != MAGIC || u16::from_be_bytes([bytes[4], bytes[5]]) != VERSION {
            return None;
        }
        (crc32c::crc32c(&bytes[..60]) == u32_at(bytes, 60)).then(|| Self {
            segment: SegmentId(u64_at(bytes, 8)),
            last_zxid: Zxid(u64_at(bytes, 24) as i64),
            chain: Chain(u32_at(bytes, 44)),
            offset: u64_at(bytes, 48),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::FrameHeader;

    #[test]
    fn a_seal_reads_back_and_with_any_bit_flipped_is_none() {
        let seal =
            Seal { segment: SegmentId(7), last_zxid: Zxid(9), chain: Chain(11), offset: 4096 };
        let bytes = seal.encode();
        assert_eq!(Seal::decode(&bytes), Some(seal));
        assert_eq!(FrameHeader::decode(&bytes), None);
        for bit in 0..HEADER_LEN * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Seal::decode(&flipped), None, "bit {bit}");
        }
    }
}
