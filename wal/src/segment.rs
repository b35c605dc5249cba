//! A segment: its names and its header block.
//!
//! ZooKeeper: `FileHeader`, `Util.makeLogName`. **Differs:** the hex is padded to 16 digits, so that names sort. Pure.
//!
//! A file in the log's directory is one of: `log.<first zxid>`, a segment with frames in it; `spare.<n>`, zeros, and the next segment
//! to be; `*.tmp`, being made, worth nothing. A spare is written to under its own name and renamed after its first frame is durable,
//! so that no rename stands between a client and its answer: replay therefore looks into spares too.

use alloc::string::ToString as _;
use core::fmt;

use jute::Zxid;

use crate::frame::{BLOCK, Chain, SegmentId, u32_at, u64_at};

/// `RKLG`
const MAGIC: u32 = 0x524b_4c47;
const VERSION: u32 = 1;
const CRC_AT: usize = BLOCK - 4;

/// Where the first frame starts: behind the header block.
pub const FIRST_FRAME_AT: usize = BLOCK;

/// What stands in a segment's first block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Counts the segments of this log, from 1, without holes.
    pub sequence: u64,
    /// Tells this life of the file from earlier ones.
    pub id: SegmentId,
    /// The first zxid in it; the file is named after it.
    pub first_zxid: Zxid,
    /// The last zxid before it: in the segment before, or of the image that the log starts from. Below `first_zxid`.
    pub prev_zxid: Zxid,
    /// Checksum of the last frame header of the segment before; 0 if none.
    pub chain: Chain,
    /// Wall time when it was begun, ms since 1970: for people reading it.
    pub begun_at_ms: i64,
}

/// What is wrong with a header block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderFault {
    /// Too short, or all zero: none was ever written.
    Missing,
    /// Written by something newer.
    Version(u32),
    /// Anything else: the checksum, the magic, or numbers that cannot be.
    Damaged,
}

impl SegmentHeader {
    /// The block, and the checksum that the first frame will carry.
    pub fn encode(&self, block: &mut [u8]) -> Chain {
        assert_eq!(block.len(), BLOCK);
        block.fill(0);
        block[0..4].copy_from_slice(&MAGIC.to_be_bytes());
        block[4..8].copy_from_slice(&VERSION.to_be_bytes());
        block[8..16].copy_from_slice(&self.sequence.to_be_bytes());
        block[16..24].copy_from_slice(&self.id.0.to_be_bytes());
        block[24..32].copy_from_slice(&self.first_zxid.0.to_be_bytes());
        block[32..40].copy_from_slice(&self.prev_zxid.0.to_be_bytes());
        block[40..44].copy_from_slice(&self.chain.0.to_be_bytes());
        block[44..48].copy_from_slice(&(BLOCK as u32).to_be_bytes());
        block[48..56].copy_from_slice(&self.begun_at_ms.to_be_bytes());
        let crc = crc32c::crc32c(&block[..CRC_AT]);
        block[CRC_AT..].copy_from_slice(&crc.to_be_bytes());
        Chain(crc)
    }

    /// Reads the header at the start of `bytes`, with its checksum.
    ///
    /// # Errors
    /// [`HeaderFault`] says what stands there instead.
    pub fn decode(bytes: &[u8]) -> Result<(Self, Chain), HeaderFault> {
        let Some(block) = bytes.get(..BLOCK) else { return Err(HeaderFault::Missing) };
        if block.iter().all(|&it| it == 0) {
            return Err(HeaderFault::Missing);
        }
        let crc = crc32c::crc32c(&block[..CRC_AT]);
        if u32_at(block, 0) != MAGIC || u32_at(block, CRC_AT) != crc {
            return Err(HeaderFault::Damaged);
        }
        if u32_at(block, 4) != VERSION {
            return Err(HeaderFault::Version(u32_at(block, 4)));
        }
        let header = Self {
            sequence: u64_at(block, 8),
            id: SegmentId(u64_at(block, 16)),
            first_zxid: Zxid(u64_at(block, 24) as i64),
            prev_zxid: Zxid(u64_at(block, 32) as i64),
            chain: Chain(u32_at(block, 40)),
            begun_at_ms: u64_at(block, 48) as i64,
        };
        let sound = header.prev_zxid < header.first_zxid && u32_at(block, 44) as usize == BLOCK;
        if sound { Ok((header, Chain(crc))) } else { Err(HeaderFault::Damaged) }
    }
}

/// What a file in the log's directory is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileName {
    /// `log.<16 hex digits>`: a segment, by first zxid.
    Log(Zxid),
    /// `spare.<n>`: prepared, and perhaps begun.
    Spare(u64),
    /// `spare.<n>.tmp`: being prepared.
    Unfinished(u64),
}

impl FileName {
    /// `None`: not a name of ours, and left alone.
    pub fn parse(name: &str) -> Option<Self> {
        let parsed = if let Some(hex) = name.strip_prefix("log.") {
            Self::Log(Zxid(u64::from_str_radix(hex, 16).ok()? as i64))
        } else {
            let rest = name.strip_prefix("spare.")?;
            match rest.strip_suffix(".tmp") {
                Some(number) => Self::Unfinished(number.parse().ok()?),
                None => Self::Spare(rest.parse().ok()?),
            }
        };
        // One name per file: no other spelling of the number is ours.
        (parsed.to_string() == name).then_some(parsed)
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log(zxid) => write!(f, "log.{:016x}", zxid.0),
            Self::Spare(number) => write!(f, "spare.{number}"),
            Self::Unfinished(number) => write!(f, "spare.{number}.tmp"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> SegmentHeader {
        SegmentHeader {
            sequence: 3,
            id: SegmentId(0xfeed),
            first_zxid: Zxid(0x2_0000_0001),
            prev_zxid: Zxid(0x1_0000_0009),
            chain: Chain(77),
            begun_at_ms: 1_700_000_000_000,
        }
    }

    #[test]
    fn a_header_reads_back() {
        let mut block = [1; BLOCK];
        let chain = header().encode(&mut block);
        assert_eq!(SegmentHeader::decode(&block), Ok((header(), chain)));
    }

    #[test]
    fn a_header_with_any_bit_flipped_is_damaged() {
        let mut block = [0; BLOCK];
        header().encode(&mut block);
        for bit in 0..BLOCK * 8 {
            block[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::decode(&block), Err(HeaderFault::Damaged), "bit {bit}");
            block[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn a_block_of_zeros_or_half_a_block_has_no_header() {
        assert_eq!(SegmentHeader::decode(&[0; BLOCK]), Err(HeaderFault::Missing));
        assert_eq!(SegmentHeader::decode(&[1; BLOCK - 1]), Err(HeaderFault::Missing));
    }

    #[test]
    fn a_header_of_a_newer_version_says_so() {
        let mut block = [0; BLOCK];
        header().encode(&mut block);
        block[7] = 9;
        let crc = crc32c::crc32c(&block[..CRC_AT]);
        block[CRC_AT..].copy_from_slice(&crc.to_be_bytes());
        assert_eq!(SegmentHeader::decode(&block), Err(HeaderFault::Version(9)));
    }

    #[test]
    fn names_read_back_and_strange_ones_are_left_alone() {
        for name in
            [FileName::Log(Zxid(0x1_0000_00ab)), FileName::Spare(0), FileName::Unfinished(12)]
        {
            assert_eq!(FileName::parse(&name.to_string()), Some(name));
        }
        for strange in [
            "log.1000000ab",
            "log.00000001000000AB",
            "log.",
            "spare.",
            "spare.x",
            "spare.+1",
            "spare.01.tmp.tmp",
            "myid",
        ] {
            assert_eq!(FileName::parse(strange), None, "{strange}");
        }
    }
}
