//! One contiguous region of words that holds the whole replicated state.
//!
//! ZooKeeper: the heap behind `DataTree`. The region is a row of [`AtomicU64`] handed in by a
//! driver; a reference is an [`Offset`] into it, never a pointer, so a copy of the words is the
//! state (an image), wherever it lies. There is one writer, [`Arena`]; any thread may read through a
//! [`Reader`], which accepts an answer only if no batch was applied meanwhile.
//!
//! Invariants:
//! 1. Words change only between [`Arena::begin`] and [`Arena::commit`].
//! 2. Everything that must survive a restart is a word of the region: the header (`layout`) too.
//! 3. A page's state says that it changes before it does; while an image is being taken, it is copied aside before that (`image`).
//!
//! Absent: what the words mean (see [`crate::tree`]), and how the region comes to be (mapped by a
//! driver, leaked by a test).

mod blocks;
mod image;
pub(crate) mod layout;
mod view;

#[cfg(all(test, loom))]
mod models;
#[cfg(all(test, not(loom)))]
mod tests;

pub(crate) use self::blocks::block_words;
pub use self::{
    blocks::{Full, Headroom},
    image::{ImageSource, PAGE_WORDS, Page},
    view::{Offset, Reader, Torn, VersionWord, View, sure},
};

use alloc::boxed::Box;

use jute::Zxid;

#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering, fence};
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering, fence};

use self::layout::{HEADER_WORDS, LAYOUT, MAGIC, Word};

/// What a driver hands in: the region and the three things that lie beside it.
///
/// `words` is all zero for a new state, or holds an image in its first words and zero behind it.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// The region. At least [`Memory::WORDS_MIN`] words, at most 2^36, whole pages.
    pub words: &'static [AtomicU64],
    /// Odd while a batch is being applied. On a cache line of its own.
    pub version: &'static VersionWord,
    /// One state for each page of `words`; what they hold before the first image is of no matter.
    pub page_states: &'static [AtomicU8],
    /// For each page of `words`, the number of the last image before its last change; what they hold before is of no matter.
    pub last_changes: &'static [AtomicU32],
    /// As long as `words`: where the writer keeps pages that it changes while an image is being taken. Between images nothing is kept in it,
    /// and its memory may be given back.
    pub shadow: &'static [AtomicU64],
}

impl Memory {
    /// The smallest region that holds an empty state, in words.
    pub const WORDS_MIN: usize = 64 * PAGE_WORDS;

    /// A region of `words` zeros on the heap that is never given back: for tests, the simulator and
    /// short programs. A server maps its region.
    pub fn leaked(words: usize) -> Self {
        let region = || Box::leak((0..words).map(|_| AtomicU64::new(0)).collect());
        Self {
            words: region(),
            shadow: region(),
            version: Box::leak(Box::new(VersionWord::new())),
            page_states: Box::leak((0..words / PAGE_WORDS).map(|_| AtomicU8::new(0)).collect()),
            last_changes: Box::leak((0..words / PAGE_WORDS).map(|_| AtomicU32::new(0)).collect()),
        }
    }
}

/// Opening a region failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The region, or what lies beside it, has a size that cannot be used.
    #[error(
        "a region of {words} words with tables of {tables} pages and {shadow} words of shadow cannot be used"
    )]
    Size {
        /// Words of the region.
        words: usize,
        /// Entries of the shorter of the tables beside it.
        tables: usize,
        /// Words of its shadow.
        shadow: usize,
    },
    /// The first word is not ours.
    #[error("magic {found:#018x}, expected {expected:#018x}")]
    Magic {
        /// What the first word holds.
        found: u64,
        /// What it holds in an image of ours.
        expected: u64,
    },
    /// The image was written by a program with another layout.
    #[error("layout version {found}, expected {expected}")]
    Layout {
        /// The image's layout version.
        found: u64,
        /// This program's.
        expected: u64,
    },
    /// The image has more words than the region.
    #[error("the image uses {used} words, the region has {words}")]
    TooSmall {
        /// Words that the image uses.
        used: u64,
        /// Words of the region.
        words: u64,
    },
}

/// The one writer of a region.
///
/// Every change lies between [`Arena::begin`] and [`Arena::commit`]. Reading needs no bracket.
pub struct Arena {
    memory: Memory,
    /// Odd between `begin` and `commit`.
    version: u64,
    /// Pages of the image being taken, 0 if none is.
    image_pages: u64,
    /// Images begun.
    images: u32,
}

impl core::fmt::Debug for Arena {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Arena")
            .field("words", &self.memory.words.len())
            .field("version", &self.version)
            .field("image_pages", &self.image_pages)
            .finish_non_exhaustive()
    }
}

impl Arena {
    /// Makes an empty state in a region of zeros. `seed` keys the hash of paths; take it from chance.
    ///
    /// # Errors
    /// [`OpenError::Size`].
    pub fn format(memory: Memory, seed: [u64; 2]) -> Result<Self, OpenError> {
        let mut arena = Self::over(memory)?;
        arena.begin();
        arena.set(Word::Magic.at(), MAGIC);
        arena.set(Word::Layout.at(), LAYOUT);
        arena.set(Word::Seed0.at(), seed[0]);
        arena.set(Word::Seed1.at(), seed[1]);
        arena.set(Word::PageBump.at(), HEADER_WORDS);
        arena.commit(Zxid::ZERO);
        Ok(arena)
    }

    /// Takes over a region whose first words are an image.
    ///
    /// The caller has verified the image's checksums: a word that lies is found only when it is used.
    ///
    /// # Errors
    /// [`OpenError`] if the region is no image of ours, or does not fit.
    pub fn open(memory: Memory) -> Result<Self, OpenError> {
        let arena = Self::over(memory)?;
        let found = arena.word(Word::Magic.at());
        if found != MAGIC {
            return Err(OpenError::Magic { found, expected: MAGIC });
        }
        let found = arena.word(Word::Layout.at());
        if found != LAYOUT {
            return Err(OpenError::Layout { found, expected: LAYOUT });
        }
        let (used, words) = (arena.word(Word::PageBump.at()), memory.words.len() as u64);
        if words < used {
            return Err(OpenError::TooSmall { used, words });
        }
        Ok(arena)
    }

    fn over(memory: Memory) -> Result<Self, OpenError> {
        let (words, shadow) = (memory.words.len(), memory.shadow.len());
        let tables = memory.page_states.len().min(memory.last_changes.len());
        let fits = (Memory::WORDS_MIN..=1 << 36).contains(&words) && words % PAGE_WORDS == 0;
        if !fits || tables < words / PAGE_WORDS || shadow < words {
            return Err(OpenError::Size { words, tables, shadow });
        }
        let version = memory.version.start();
        Ok(Self { memory, version, image_pages: 0, images: 0 })
    }

    /// Opens a batch: until [`Arena::commit`] readers wait or turn away.
    pub fn begin(&mut self) {
        assert!(self.version.is_multiple_of(2), "begin inside a batch");
        self.version += 1;
        self.memory.version.open(self.version);
    }

    /// Closes a batch: readers see all of it, at `zxid`, the last transaction applied.
    pub fn commit(&mut self, zxid: Zxid) {
        self.set(Word::Zxid.at(), zxid.0 as u64);
        assert!(!self.version.is_multiple_of(2), "commit outside a batch");
        self.version += 1;
        self.memory.version.close(self.version);
    }

    /// The transaction that was applied last, as of the last [`Arena::commit`].
    pub fn zxid(&self) -> Zxid {
        Zxid(self.word(Word::Zxid.at()) as i64)
    }

    /// Reading, without any waiting: the writer knows that nobody else writes.
    #[inline]
    pub fn view(&self) -> View<'_> {
        View::of_writer(self.memory.words)
    }

    /// A handle for other threads.
    pub fn reader(&self) -> Reader {
        Reader::new(self.memory.words, self.memory.version)
    }

    /// The word at `at`.
    #[inline]
    pub fn word(&self, at: Offset) -> u64 {
        self.memory.words[at.idx()].load(Ordering::Relaxed)
    }

    /// Changes one word.
    #[inline]
    pub fn set(&mut self, at: Offset, value: u64) {
        let idx = at.idx();
        self.touch(idx, idx);
        self.memory.words[idx].store(value, Ordering::Relaxed);
    }

    /// Changes consecutive words.
    #[inline]
    pub fn write(&mut self, at: Offset, values: &[u64]) {
        let idx = at.idx();
        if values.is_empty() {
            return;
        }
        self.touch(idx, idx + values.len() - 1);
        let words = &self.memory.words[idx..idx + values.len()];
        for (word, &value) in words.iter().zip(values) {
            word.store(value, Ordering::Relaxed);
        }
    }

    /// Writes bytes, eight to a word, the last word filled up with zeros.
    pub fn write_bytes(&mut self, at: Offset, bytes: &[u8]) {
        let idx = at.idx();
        let len = words_for(bytes.len());
        if len == 0 {
            return;
        }
        self.touch(idx, idx + len - 1);
        let words = &self.memory.words[idx..idx + len];
        let (whole, rest) = bytes.as_chunks::<8>();
        for (word, &chunk) in words.iter().zip(whole) {
            word.store(u64::from_be_bytes(chunk), Ordering::Relaxed);
        }
        if !rest.is_empty() {
            words[len - 1].store(view::packed(rest), Ordering::Relaxed);
        }
    }

    /// Called before the words `first..=last` change.
    #[inline]
    fn touch(&mut self, first: usize, last: usize) {
        debug_assert!(!self.version.is_multiple_of(2), "a change outside a batch");
        let (first, last) = (first / PAGE_WORDS, last / PAGE_WORDS);
        if first != last || !image::has_changed(&self.memory.page_states[first]) {
            self.first_changes(first..=last);
        }
    }
}

/// Words that `len` bytes take.
pub(crate) const fn words_for(len: usize) -> usize {
    len.div_ceil(8)
}
