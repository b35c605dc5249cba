//! The image file: names, header, trailer, and where each page lies.
//!
//! Pure. `header | pages | checksums | trailer`, all in blocks of 4,096 bytes. A page's place depends on its number alone, so pages are written
//! in any order; the checksums and the trailer come last.

use alloc::string::ToString as _;
use core::fmt;

use engine::state::Fuzzy;
use jute::Zxid;

/// Bytes of a page, and of the header and trailer blocks.
pub const PAGE_LEN: usize = 4096;

/// Most pages in an image: 512 GiB, the largest arena.
pub const PAGE_COUNT_MAX: u64 = 1 << 27;

/// `RKIM`
const HEADER_MAGIC: u32 = 0x524b_494d;
/// `RKIE`
const TRAILER_MAGIC: u32 = 0x524b_4945;
const VERSION: u32 = 1;
const CRC_AT: usize = PAGE_LEN - 4;

/// Pages go to the disk as they lie in memory: little-endian words. Another machine would have to turn them.
const _: () = assert!(cfg!(target_endian = "little"));
const _: () = assert!(PAGE_LEN == engine::arena::PAGE_WORDS * 8);

/// What the writer says about the state in an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Label {
    /// ZooKeeper's digest of the tree.
    pub tree_digest: u64,
    /// Wall time when the image was begun, ms since 1970: for people reading it.
    pub begun_at_ms: i64,
    /// Log segments up to this number are not what follows the image; 0: none. Not 0 once an image came from another server.
    pub void_sequence: u64,
    /// Whether the state may hold some of what follows it too.
    pub fuzzy: Fuzzy,
}

/// The first block of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageHeader {
    /// The transaction that the image is the state after; the file is named after it.
    pub zxid: Zxid,
    /// Pages; at most [`PAGE_COUNT_MAX`].
    pub page_count: u64,
    /// What the writer says.
    pub label: Label,
}

/// What is wrong with an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// The file has another length than its header says.
    #[error("{found} bytes long, expected {expected}")]
    Length {
        /// Bytes by the header.
        expected: u64,
        /// Bytes of the file.
        found: u64,
    },
    /// The header block is not whole.
    #[error("the header is damaged")]
    Header,
    /// Written by something newer.
    #[error("format version {found}, this program reads {VERSION}")]
    Version {
        /// The file's.
        found: u32,
    },
    /// The file is named after another zxid.
    #[error("the header names zxid {found}, the file's name another")]
    Misnamed {
        /// The header's.
        found: Zxid,
    },
    /// The trailer block is not whole, or not this image's.
    #[error("the trailer is damaged")]
    Trailer,
    /// The checksums are damaged.
    #[error("the table of checksums is damaged")]
    Table,
    /// A page is not what was written.
    #[error("page {number} at byte {offset}: checksum {found:#010x}, expected {expected:#010x}")]
    Page {
        /// From 0.
        number: u64,
        /// In the file.
        offset: u64,
        /// By the table.
        expected: u32,
        /// Of what was read.
        found: u32,
    },
    /// The region is too small for it.
    #[error("{page_count} pages, but the region has {room}")]
    TooLarge {
        /// By the header.
        page_count: u64,
        /// Pages of the region.
        room: u64,
    },
}

impl ImageHeader {
    /// The block.
    pub fn encode(&self, block: &mut [u8]) {
        assert_eq!(block.len(), PAGE_LEN);
        block.fill(0);
        block[0..4].copy_from_slice(&HEADER_MAGIC.to_be_bytes());
        block[4..8].copy_from_slice(&VERSION.to_be_bytes());
        block[8..12].copy_from_slice(&(PAGE_LEN as u32).to_be_bytes());
        block[16..24].copy_from_slice(&self.zxid.0.to_be_bytes());
        block[24..32].copy_from_slice(&self.page_count.to_be_bytes());
        block[32..40].copy_from_slice(&self.label.tree_digest.to_be_bytes());
        block[40..48].copy_from_slice(&self.label.begun_at_ms.to_be_bytes());
        block[48..56].copy_from_slice(&self.label.void_sequence.to_be_bytes());
        block[59] = u8::from(self.label.fuzzy == Fuzzy::Yes);
        seal(block);
    }

    /// Reads the block.
    ///
    /// # Errors
    /// [`Damage::Header`] or [`Damage::Version`].
    pub fn decode(block: &[u8]) -> Result<Self, Damage> {
        let block = sealed(block).ok_or(Damage::Header)?;
        if u32_at(block, 0) != HEADER_MAGIC {
            return Err(Damage::Header);
        }
        if u32_at(block, 4) != VERSION {
            return Err(Damage::Version { found: u32_at(block, 4) });
        }
        let header = Self {
            zxid: Zxid(u64_at(block, 16) as i64),
            page_count: u64_at(block, 24),
            label: Label {
                tree_digest: u64_at(block, 32),
                begun_at_ms: u64_at(block, 40) as i64,
                void_sequence: u64_at(block, 48),
                fuzzy: if u32_at(block, 56) == 0 { Fuzzy::No } else { Fuzzy::Yes },
            },
        };
        let sound = u32_at(block, 8) as usize == PAGE_LEN && header.page_count <= PAGE_COUNT_MAX;
        if sound { Ok(header) } else { Err(Damage::Header) }
    }

    /// Where page `number` lies: bytes.
    pub fn page_at(number: u64) -> u64 {
        (1 + number) * PAGE_LEN as u64
    }

    /// Where the checksums lie: bytes.
    pub fn table_at(&self) -> u64 {
        Self::page_at(self.page_count)
    }

    /// Bytes of the checksums, filled up to a block.
    pub fn table_len(&self) -> usize {
        (4 * self.page_count as usize).next_multiple_of(PAGE_LEN)
    }

    /// Where the trailer lies: bytes.
    pub fn trailer_at(&self) -> u64 {
        self.table_at() + self.table_len() as u64
    }

    /// Bytes of the whole file.
    pub fn file_len(&self) -> u64 {
        self.trailer_at() + PAGE_LEN as u64
    }

    /// The table's bytes, for the pages' checksums in order.
    pub fn encode_table(&self, checksums: &[u32], out: &mut [u8]) {
        assert_eq!(checksums.len() as u64, self.page_count);
        assert_eq!(out.len(), self.table_len());
        out.fill(0);
        for (to, crc) in out.as_chunks_mut::<4>().0.iter_mut().zip(checksums) {
            *to = crc.to_be_bytes();
        }
    }

    /// The last block: that the table is the one written with this header.
    pub fn encode_trailer(&self, table: &[u8], block: &mut [u8]) {
        assert_eq!(block.len(), PAGE_LEN);
        block.fill(0);
        block[0..4].copy_from_slice(&TRAILER_MAGIC.to_be_bytes());
        block[4..8].copy_from_slice(&crc32c::crc32c(table).to_be_bytes());
        block[8..16].copy_from_slice(&self.zxid.0.to_be_bytes());
        block[16..24].copy_from_slice(&self.page_count.to_be_bytes());
        seal(block);
    }

    /// Checks the trailer and the table against each other and this header; gives the pages' checksums in order.
    ///
    /// # Errors
    /// [`Damage::Trailer`] or [`Damage::Table`].
    pub fn decode_table<'a>(
        &self,
        table: &'a [u8],
        trailer: &[u8],
    ) -> Result<impl Iterator<Item = u32> + use<'a>, Damage> {
        let trailer = sealed(trailer).ok_or(Damage::Trailer)?;
        let same = u32_at(trailer, 0) == TRAILER_MAGIC
            && u64_at(trailer, 8) as i64 == self.zxid.0
            && u64_at(trailer, 16) == self.page_count;
        if !same {
            return Err(Damage::Trailer);
        }
        if table.len() != self.table_len() || crc32c::crc32c(table) != u32_at(trailer, 4) {
            return Err(Damage::Table);
        }
        let count = self.page_count as usize;
        Ok(table.as_chunks::<4>().0.iter().take(count).map(|it| u32::from_be_bytes(*it)))
    }
}

/// What a file in the directory is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileName {
    /// `image.<16 hex digits>`: a whole image, by zxid.
    Image(Zxid),
    /// `image.<16 hex digits>.tmp`: one that was never finished.
    Unfinished(Zxid),
    /// `image.<16 hex digits>.spare`: one that is not retained any more, and will be written again.
    Spare(Zxid),
}

impl FileName {
    /// `None`: not a name of ours, and left alone.
    pub fn parse(name: &str) -> Option<Self> {
        let rest = name.strip_prefix("image.")?;
        let zxid = |hex: &str| u64::from_str_radix(hex, 16).ok().map(|it| Zxid(it as i64));
        let parsed = if let Some(hex) = rest.strip_suffix(".tmp") {
            Self::Unfinished(zxid(hex)?)
        } else if let Some(hex) = rest.strip_suffix(".spare") {
            Self::Spare(zxid(hex)?)
        } else {
            Self::Image(zxid(rest)?)
        };
        // One name per file: no other spelling of the number is ours.
        (parsed.to_string() == name).then_some(parsed)
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image(zxid) => write!(f, "image.{:016x}", zxid.0),
            Self::Unfinished(zxid) => write!(f, "image.{:016x}.tmp", zxid.0),
            Self::Spare(zxid) => write!(f, "image.{:016x}.spare", zxid.0),
        }
    }
}

/// Puts the block's checksum into its last four bytes.
fn seal(block: &mut [u8]) {
    let crc = crc32c::crc32c(&block[..CRC_AT]);
    block[CRC_AT..].copy_from_slice(&crc.to_be_bytes());
}

/// The block, if it is a whole one and its checksum is right.
fn sealed(block: &[u8]) -> Option<&[u8]> {
    (block.len() == PAGE_LEN && crc32c::crc32c(&block[..CRC_AT]) == u32_at(block, CRC_AT))
        .then_some(block)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_be_bytes(word)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_be_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> ImageHeader {
        let label = Label {
            tree_digest: 0xdead_beef,
            void_sequence: 3,
            fuzzy: Fuzzy::Yes,
            ..Label::default()
        };
        ImageHeader { zxid: Zxid(0x1_0000_0007), page_count: 1025, label }
    }

    #[test]
    fn the_parts_of_a_file_touch_and_do_not_overlap() {
        let header = header();
        assert_eq!(ImageHeader::page_at(0), 4096);
        assert_eq!(header.table_at(), 1026 * 4096);
        assert_eq!(header.trailer_at() - header.table_at(), 2 * 4096);
        assert_eq!(header.file_len(), 1029 * 4096);
    }

    #[test]
    fn header_table_and_trailer_read_back_and_no_bit_of_them_may_flip() {
        let (mut block, mut trailer) = ([0; PAGE_LEN], [0; PAGE_LEN]);
        let mut table = vec![0; header().table_len()];
        let checksums: Vec<u32> = (0..1025).collect();
        header().encode(&mut block);
        header().encode_table(&checksums, &mut table);
        header().encode_trailer(&table, &mut trailer);
        assert_eq!(ImageHeader::decode(&block), Ok(header()));
        assert!(header().decode_table(&table, &trailer).unwrap().eq(checksums));
        for bit in (0..PAGE_LEN * 8).step_by(7) {
            let flip = |bytes: &mut [u8]| bytes[bit / 8] ^= 1 << (bit % 8);
            flip(&mut block);
            assert_eq!(ImageHeader::decode(&block), Err(Damage::Header));
            flip(&mut block);
            flip(&mut trailer);
            assert_eq!(header().decode_table(&table, &trailer).err(), Some(Damage::Trailer));
            flip(&mut trailer);
            flip(&mut table);
            assert_eq!(header().decode_table(&table, &trailer).err(), Some(Damage::Table));
            flip(&mut table);
        }
    }

    #[test]
    fn a_trailer_of_another_image_is_refused() {
        let other = ImageHeader { zxid: Zxid(8), ..header() };
        let table = vec![0; other.table_len()];
        let mut trailer = [0; PAGE_LEN];
        other.encode_trailer(&table, &mut trailer);
        assert_eq!(header().decode_table(&table, &trailer).err(), Some(Damage::Trailer));
    }

    #[test]
    fn names_read_back_and_strange_ones_are_left_alone() {
        let zxid = Zxid(0x1_0000_00ab);
        for name in [FileName::Image(zxid), FileName::Unfinished(Zxid(0)), FileName::Spare(zxid)] {
            assert_eq!(FileName::parse(&name.to_string()), Some(name));
        }
        for strange in [
            "image.",
            "image.1",
            "image.00000001000000AB",
            "snapshot.0",
            "image.0000000100000001.gz",
        ] {
            assert_eq!(FileName::parse(strange), None, "{strange}");
        }
    }
}
