//! A region of memory for the arena: reserved large, touched as it fills.
//!
//! Driver. The address range is reserved once and never moves; the kernel gives pages as they are first written. Huge pages are advised: fewer
//! misses of the address cache under random reads.

use core::sync::atomic::{AtomicU8, AtomicU64};
use std::io;

use memmap2::{Advice, MmapMut, MmapOptions};
use tracing::warn;
use zerocopy::FromBytes as _;

use crate::format::PAGE_LEN;

/// A private, zeroed range of memory, not yet shared.
#[derive(Debug)]
pub struct Region {
    pub(crate) map: MmapMut,
}

impl Region {
    /// Reserves `len` bytes, rounded up to whole pages; takes no memory yet.
    ///
    /// # Errors
    /// The system refuses the range: with `vm.overcommit_memory=2`, one larger than its limit.
    pub fn reserve(len: usize) -> io::Result<Self> {
        let mut options = MmapOptions::new();
        options.len(len.next_multiple_of(PAGE_LEN)).no_reserve_swap();
        let map = options.map_anon()?;
        if let Err(err) = map.advise(Advice::HugePage) {
            warn!(%err, "no huge pages for the arena: random reads are a little slower");
        }
        Ok(Self { map })
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Never: a region has at least a page. For form's sake beside [`Self::len`].
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// To fill it before it is shared.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.map
    }

    /// The region as the arena sees it, for as long as the process lives.
    pub fn share_words(self) -> &'static [AtomicU64] {
        let map: &'static mut MmapMut = Box::leak(Box::new(self.map));
        <[AtomicU64]>::mut_from_bytes(map)
            .unwrap_or_else(|_| unreachable!("whole pages are whole words"))
    }

    /// The region as bytes that threads may change, for as long as the process lives: the table of page states.
    pub fn share_bytes(self) -> &'static [AtomicU8] {
        let map: &'static mut MmapMut = Box::leak(Box::new(self.map));
        <[AtomicU8]>::mut_from_bytes(map)
            .unwrap_or_else(|_| unreachable!("bytes have no size to miss"))
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::Ordering::Relaxed;

    use super::*;

    #[test]
    fn a_large_range_takes_no_memory_until_it_is_written() {
        let words = Region::reserve(64 << 30).unwrap().share_words();
        assert_eq!(words.len(), 8 << 30);
        words[5 << 30].store(7, Relaxed);
        assert_eq!((words[5 << 30].load(Relaxed), words[0].load(Relaxed)), (7, 0));
    }

    #[test]
    fn what_is_put_in_before_sharing_is_there_after() {
        let mut region = Region::reserve(1).unwrap();
        assert_eq!(region.len(), PAGE_LEN);
        region.bytes_mut()[8] = 1;
        let words = region.share_words();
        assert_eq!((words.len(), words[0].load(Relaxed)), (512, 0));
        assert_ne!(words[1].load(Relaxed), 0);
        assert_eq!(Region::reserve(1).unwrap().share_bytes().len(), PAGE_LEN);
    }
}
