//! A frame: one group commit as it lies in a segment. Header, records, zeros up to the next block.
//!
//! ZooKeeper has no counterpart: its log has an Adler-32 per record, so a torn batch is seen record by record. Pure: bytes in,
//! bytes out.

use jute::Zxid;

/// Everything in a segment starts at a multiple of this: 4,096 bytes, which every direct-I/O device accepts.
pub const BLOCK: usize = 4096;

/// Bytes of a frame's header; the first record follows at once.
pub const HEADER_LEN: usize = 64;

/// Most bytes of records in one frame. Fixed by what one write call takes (2 GiB less a page), and less than a length field holds.
pub const PAYLOAD_LEN_MAX: usize = (1 << 31) - 2 * BLOCK;

/// `RKFR`
const MAGIC: u32 = 0x524b_4652;
const VERSION: u16 = 1;

const _: () = assert!(HEADER_LEN < BLOCK && BLOCK.is_power_of_two());
const _: () = assert!(PAYLOAD_LEN_MAX < u32::MAX as usize);

/// A number drawn at random when a segment is begun. Frames that carry another one are left over from the file's earlier life.
///
/// Never shown to clients: bytes of theirs cannot pass for a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentId(pub u64);

/// The CRC32C of the header before: it strings frames together, from segment to segment. 0 before the first frame of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chain(pub u32);

/// What stands at the head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// The segment's life that this frame belongs to.
    pub segment: SegmentId,
    /// Of the first record.
    pub first_zxid: Zxid,
    /// Of the last record; not below `first_zxid`.
    pub last_zxid: Zxid,
    /// Records, at least 1.
    pub count: u32,
    /// Bytes of all records with their length words, without the zeros behind; 1 to [`PAYLOAD_LEN_MAX`].
    pub payload_len: u32,
    /// CRC32C of the records with their length words.
    pub payload_crc: u32,
    /// Checksum of the header before; of the segment's header, for the first frame.
    pub chain: Chain,
    /// Where in the file this frame starts, bytes: tells a write that went astray.
    pub offset: u64,
}

impl FrameHeader {
    /// The header as bytes, and the checksum that the next frame will carry.
    pub fn encode(&self) -> ([u8; HEADER_LEN], Chain) {
        let mut out = [0; HEADER_LEN];
        put(&mut out, 0, &MAGIC.to_be_bytes());
        put(&mut out, 4, &VERSION.to_be_bytes());
        put(&mut out, 8, &self.segment.0.to_be_bytes());
        put(&mut out, 16, &self.first_zxid.0.to_be_bytes());
        put(&mut out, 24, &self.last_zxid.0.to_be_bytes());
        put(&mut out, 32, &self.count.to_be_bytes());
        put(&mut out, 36, &self.payload_len.to_be_bytes());
        put(&mut out, 40, &self.payload_crc.to_be_bytes());
        put(&mut out, 44, &self.chain.0.to_be_bytes());
        put(&mut out, 48, &self.offset.to_be_bytes());
        let crc = crc32c::crc32c(&out[..60]);
        put(&mut out, 60, &crc.to_be_bytes());
        (out, Chain(crc))
    }

    /// Reads a header at the start of `bytes`, with its checksum. `None`: these bytes are no header, or a damaged one.
    pub fn decode(bytes: &[u8]) -> Option<(Self, Chain)> {
        let bytes = bytes.get(..HEADER_LEN)?;
        if u32_at(bytes, 0) != MAGIC || u16::from_be_bytes([bytes[4], bytes[5]]) != VERSION {
            return None;
        }
        let crc = crc32c::crc32c(&bytes[..60]);
        if crc != u32_at(bytes, 60) {
            return None;
        }
        let header = Self {
            segment: SegmentId(u64_at(bytes, 8)),
            first_zxid: Zxid(u64_at(bytes, 16) as i64),
            last_zxid: Zxid(u64_at(bytes, 24) as i64),
            count: u32_at(bytes, 32),
            payload_len: u32_at(bytes, 36),
            payload_crc: u32_at(bytes, 40),
            chain: Chain(u32_at(bytes, 44)),
            offset: u64_at(bytes, 48),
        };
        let whole = 0 < header.count
            && 0 < header.payload_len
            && header.payload_len as usize <= PAYLOAD_LEN_MAX
            && header.first_zxid <= header.last_zxid;
        whole.then_some((header, Chain(crc)))
    }

    /// Bytes of the whole frame, with header and padding: a multiple of [`BLOCK`].
    pub fn frame_len(&self) -> usize {
        frame_len(self.payload_len as usize)
    }
}

/// Bytes of a frame around a payload: a multiple of [`BLOCK`].
pub const fn frame_len(payload_len: usize) -> usize {
    (HEADER_LEN + payload_len).next_multiple_of(BLOCK)
}

fn put(out: &mut [u8], at: usize, bytes: &[u8]) {
    out[at..at + bytes.len()].copy_from_slice(bytes);
}

/// A big-endian number at `at`; the caller has checked the length.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_be_bytes(word)
}

/// A big-endian number at `at`; the caller has checked the length.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_be_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> FrameHeader {
        FrameHeader {
            segment: SegmentId(7),
            first_zxid: Zxid(0x1_0000_0001),
            last_zxid: Zxid(0x1_0000_0003),
            count: 3,
            payload_len: 5000,
            payload_crc: 9,
            chain: Chain(11),
            offset: 4096,
        }
    }

    #[test]
    fn a_header_reads_back_with_the_checksum_it_was_written_with() {
        let (bytes, chain) = header().encode();
        assert_eq!(FrameHeader::decode(&bytes), Some((header(), chain)));
        assert_eq!(header().frame_len(), 2 * BLOCK);
    }

    #[test]
    fn a_header_with_any_bit_flipped_or_byte_missing_is_none() {
        let (bytes, _) = header().encode();
        for bit in 0..HEADER_LEN * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(FrameHeader::decode(&flipped), None, "bit {bit}");
        }
        for len in 0..HEADER_LEN {
            assert_eq!(FrameHeader::decode(&bytes[..len]), None, "{len} bytes");
        }
    }

    #[test]
    fn a_header_that_no_writer_makes_is_none_even_with_a_right_checksum() {
        for bad in [
            FrameHeader { count: 0, ..header() },
            FrameHeader { payload_len: 0, ..header() },
            FrameHeader { payload_len: u32::MAX, ..header() },
            FrameHeader { first_zxid: Zxid(0x1_0000_0004), ..header() },
        ] {
            assert_eq!(FrameHeader::decode(&bad.encode().0), None, "{bad:?}");
        }
    }
}
