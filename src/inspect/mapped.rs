//! An image through its map.

use core::sync::atomic::Ordering::Relaxed;
use std::io;

use engine::arena::Memory;
use snapshot::Region;
use snapshot::format::{ImageHeader, PAGE_LEN};
use snapshot::inspect::Source;
use wal::FileMap;

/// Lends a map to whoever verifies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mapped<'a>(pub(super) &'a FileMap);

impl Source for Mapped<'_> {
    fn byte_len(&self) -> io::Result<u64> {
        Ok(self.0.len())
    }

    fn read_blocks(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.copy(offset, bytes)
    }
}

impl Mapped<'_> {
    /// The arena of a verified image, in place; nobody writes to it.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn memory(self, header: &ImageHeader) -> io::Result<Memory> {
        let mut words =
            self.0.words(ImageHeader::page_at(0), header.page_count as usize * PAGE_LEN)?;
        if words.len() < Memory::WORDS_MIN {
            // Of a tree that is nearly empty; the arena wants more behind it.
            let room = Region::reserve(Memory::WORDS_MIN * size_of::<u64>())?.share_words();
            for (to, from) in room.iter().zip(words) {
                to.store(from.load(Relaxed), Relaxed);
            }
            words = room;
        }
        Ok(snapshot::memory_of(words)?.0)
    }
}
