//! A region of memory for the arena: reserved large, touched as it fills.
//!
//! Driver. The address range is reserved once and never moves; the kernel gives pages as they are first written. Huge pages are advised: fewer
//! misses of the address cache under random reads. Not for the shadow, in which single pages are kept for the time of an image.
//!
//! *Unsafe:* [`Shadow::release`] lets the kernel take memory back that others see. Invariant: it was reserved here, private, as whole pages, and is
//! seen as atomic words only, so that to whoever looks it is as if a thread had stored zeros.

use core::ops::Range;
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};
use std::io;

use engine::arena::{Memory, PAGE_WORDS, VersionWord};
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
        let map = anonymous(len)?;
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

    /// The region as the arena wants it, for as long as the process lives: with what lies beside it.
    ///
    /// # Errors
    /// As [`Self::reserve`].
    pub fn share(self) -> io::Result<(Memory, Shadow)> {
        memory_of(self.share_words())
    }
}

/// A region of `words` as the arena wants it, with what lies beside it.
///
/// # Errors
/// As [`Region::reserve`].
pub fn memory_of(words: &'static [AtomicU64]) -> io::Result<(Memory, Shadow)> {
    let shadow = Shadow::reserve(size_of_val(words))?;
    let pages = words.len() / PAGE_WORDS;
    let table = |len| anonymous(len).map(|it| Box::leak(Box::new(it)));
    let page_states = <[AtomicU8]>::mut_from_bytes(table(pages)?)
        .unwrap_or_else(|_| unreachable!("bytes have no size to miss"));
    let last_changes = <[AtomicU32]>::mut_from_bytes(table(pages * size_of::<AtomicU32>())?)
        .unwrap_or_else(|_| unreachable!("whole pages are whole numbers"));
    let version = Box::leak(Box::new(VersionWord::new()));
    Ok((Memory { words, version, page_states, last_changes, shadow: shadow.words }, shadow))
}

/// Where the arena keeps pages while an image is being taken: see [`Memory::shadow`].
#[derive(Clone, Copy, Debug)]
pub struct Shadow {
    words: &'static [AtomicU64],
}

impl Shadow {
    fn reserve(len: usize) -> io::Result<Self> {
        Ok(Self { words: Region { map: anonymous(len)? }.share_words() })
    }

    /// Gives the memory of some pages back to the system: of those that the image has, and between images of all. Nobody reads them.
    pub fn release(self, pages: Range<u64>) {
        let words = &self.words[pages.start as usize * PAGE_WORDS..pages.end as usize * PAGE_WORDS];
        let (start, len) = (words.as_ptr().cast_mut().cast(), size_of_val(words));
        // SAFETY: the module's header says why.
        #[expect(unsafe_code, reason = "memory is told of by address")]
        let released =
            unsafe { rustix::mm::madvise(start, len, rustix::mm::Advice::LinuxDontNeed) };
        if let Err(err) = released {
            warn!(%err, "memory that an image needed was not given back");
        }
    }
}

/// Zeros, whole pages, which take no memory until they are written.
pub(crate) fn anonymous(len: usize) -> io::Result<MmapMut> {
    let mut options = MmapOptions::new();
    options.len(len.max(1).next_multiple_of(PAGE_LEN)).no_reserve_swap().map_anon()
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
    }

    #[test]
    fn pages_of_a_shadow_that_are_released_are_zero_and_take_no_memory() {
        let (memory, shadow) = Region::reserve(1 << 30).unwrap().share().unwrap();
        let resident = || {
            let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
            statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap()
        };
        let pages = 20_000;
        for page in memory.shadow.chunks(PAGE_WORDS).take(pages) {
            page[7].store(1, Relaxed);
        }
        let before = resident();
        shadow.release(1..pages as u64);
        assert!(resident() + pages / 2 < before, "{} of {before} pages", resident());
        assert_eq!(memory.shadow[PAGE_WORDS + 7].load(Relaxed), 0);
        assert_eq!(memory.shadow[7].load(Relaxed), 1);
    }
}
