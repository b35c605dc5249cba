//! Handing out blocks of words: size classes with free lists.
//!
//! Classes: every word up to 256 B, then eight for each doubling up to a page, then whole pages: every
//! page up to eight, then eight for each doubling. A freed block goes on the list of its class, whose
//! head is in the header and whose links lie in the blocks. Small blocks come out of chunks of pages,
//! so that page runs stay aligned. Blocks are never joined; when nothing fresh is left, a bigger free
//! block is split.

use super::{Arena, Offset, PAGE_WORDS, layout::Word};

/// The region has no room for a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the arena is full")]
pub struct Full;

/// Room that is left, in words of 8 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headroom {
    /// Words that were never handed out: any block fits while it is not longer than this.
    pub fresh: u64,
    /// Words in freed blocks: they serve blocks of their size or smaller.
    pub free: u64,
    /// Words in use, headers and the rounding up to a class included.
    pub live: u64,
}

const PAGE: u64 = PAGE_WORDS as u64;
/// Small blocks are cut from chunks of this many words.
const CHUNK: u64 = 16 * PAGE;
/// Classes 0..32: one word to 32.
const EXACT: u64 = 32;
/// Classes 32..63: eight for each doubling up to a page; a whole page is a run.
const MIDDLE: u64 = 31;
/// Classes for runs of 1 to 8 pages, then eight for each of 20 doublings.
const RUNS: u64 = 8 + 8 * 20;
/// How many classes there are.
pub(super) const CLASS_COUNT: usize = (EXACT + MIDDLE + RUNS) as usize;
/// The longest block, in words: 32 GiB.
pub(super) const BLOCK_WORDS_MAX: u64 = (8 << 20) * PAGE;

/// The class that a block of `words` words comes from, 1 to [`BLOCK_WORDS_MAX`].
const fn class_of(words: u64) -> u64 {
    if words <= EXACT {
        words - 1
    } else if words <= PAGE - PAGE / 16 {
        EXACT + eighth(words, 5)
    } else {
        let pages = words.div_ceil(PAGE);
        let run = if pages <= 8 { pages - 1 } else { 8 + eighth(pages, 3) };
        EXACT + MIDDLE + run
    }
}

/// The words that a block of class `class` has.
const fn class_words(class: u64) -> u64 {
    if class < EXACT {
        class + 1
    } else if class < EXACT + MIDDLE {
        eighth_len(class - EXACT, 5)
    } else {
        let run = class - EXACT - MIDDLE;
        PAGE * if run < 8 { run + 1 } else { eighth_len(run - 8, 3) }
    }
}

/// Which eighth of a doubling `n` falls in, counted from 2^`log2`; `n` is above that.
const fn eighth(n: u64, log2: u32) -> u64 {
    let low = (n - 1).ilog2();
    let step = low - 3;
    (low - log2) as u64 * 8 + (((n - 1) >> step) & 7)
}

/// The largest number that falls in that eighth.
const fn eighth_len(eighth: u64, log2: u32) -> u64 {
    let low = log2 + (eighth / 8) as u32;
    (1 << low) + (eighth % 8 + 1) * (1 << (low - 3))
}

const _: () = assert!(class_of(BLOCK_WORDS_MAX) as usize == CLASS_COUNT - 1);
const _: () = assert!(class_words(EXACT + MIDDLE - 1) == PAGE - PAGE / 16);

/// The words that a request for `words` words really takes.
pub(crate) const fn block_words(words: u64) -> u64 {
    class_words(class_of(words))
}

impl Arena {
    /// Takes a block of at least `words` words; what they hold is of no meaning.
    /// Blocks of a page or more begin at a page.
    ///
    /// # Errors
    /// [`Full`] if there is no room, or `words` is beyond 32 GiB. Nothing is changed.
    pub fn alloc(&mut self, words: u64) -> Result<Offset, Full> {
        assert!(0 < words, "a block of no words");
        if BLOCK_WORDS_MAX < words {
            return Err(Full);
        }
        let class = class_of(words);
        let size = class_words(class);
        let at = match self.pop(class) {
            Some(at) => at,
            None if size < PAGE => self.fresh_small(size).or_else(|_| self.split(class))?,
            None => self.fresh_pages(size).or_else(|_| self.split(class))?,
        };
        self.add(Word::LiveWords, size);
        Ok(at)
    }

    /// Gives back a block that [`Arena::alloc`] handed out for the same number of words.
    pub fn free(&mut self, at: Offset, words: u64) {
        let class = class_of(words);
        self.sub(Word::LiveWords, class_words(class));
        self.push(class, at);
    }

    /// How much room is left.
    pub fn headroom(&self) -> Headroom {
        let chunk = self.word(Word::SmallEnd.at()) - self.word(Word::SmallBump.at());
        let pages = self.memory.words.len() as u64 - self.word(Word::PageBump.at());
        Headroom {
            fresh: chunk + pages,
            free: self.word(Word::FreeWords.at()),
            live: self.word(Word::LiveWords.at()),
        }
    }

    fn fresh_small(&mut self, size: u64) -> Result<Offset, Full> {
        let (mut bump, mut end) = (self.word(Word::SmallBump.at()), self.word(Word::SmallEnd.at()));
        if end < bump + size {
            let chunk = self.fresh_pages(CHUNK).or_else(|_| self.fresh_pages(PAGE))?.get();
            if chunk != end {
                self.carve(bump, end);
                bump = chunk;
            }
            end = self.word(Word::PageBump.at());
            self.set(Word::SmallEnd.at(), end);
        }
        self.set(Word::SmallBump.at(), bump + size);
        Ok(Offset::new(bump))
    }

    fn fresh_pages(&mut self, size: u64) -> Result<Offset, Full> {
        let bump = self.word(Word::PageBump.at());
        if (self.memory.words.len() as u64) < bump + size {
            return Err(Full);
        }
        self.set(Word::PageBump.at(), bump + size);
        Ok(Offset::new(bump))
    }

    /// Takes a block of `class` out of a bigger free one.
    fn split(&mut self, class: u64) -> Result<Offset, Full> {
        let (bigger, at) = (class + 1..CLASS_COUNT as u64)
            .find_map(|bigger| self.pop(bigger).map(|at| (bigger, at)))
            .ok_or(Full)?;
        let size = class_words(class);
        self.carve(at.get() + size, at.get() + class_words(bigger));
        Ok(at)
    }

    /// Puts the words `from..end` on free lists, page runs where whole pages lie.
    fn carve(&mut self, mut from: u64, end: u64) {
        while from < end {
            let room = end - from;
            let to_page = (PAGE - from % PAGE) % PAGE;
            let room = if room < PAGE || to_page != 0 && room < PAGE + to_page {
                room.min(PAGE - 1)
            } else if to_page != 0 {
                to_page
            } else {
                room
            };
            let class = largest_class_in(room);
            self.push(class, Offset::new(from));
            from += class_words(class);
        }
    }

    fn pop(&mut self, class: u64) -> Option<Offset> {
        let head = Word::FreeLists.at().plus(class);
        let at = Offset::new(self.word(head));
        if at.is_none() {
            return None;
        }
        let next = self.word(at);
        self.set(head, next);
        self.sub(Word::FreeWords, class_words(class));
        Some(at)
    }

    fn push(&mut self, class: u64, at: Offset) {
        let head = Word::FreeLists.at().plus(class);
        let next = self.word(head);
        self.set(at, next);
        self.set(head, at.get());
        self.add(Word::FreeWords, class_words(class));
    }

    /// Adds to a counter of the header.
    #[inline]
    pub(crate) fn add(&mut self, counter: Word, by: u64) {
        let was = self.word(counter.at());
        self.set(counter.at(), was + by);
    }

    /// Takes away from a counter of the header.
    #[inline]
    pub(crate) fn sub(&mut self, counter: Word, by: u64) {
        let was = self.word(counter.at());
        assert!(by <= was, "counter {counter:?} is {was}, less than {by}");
        self.set(counter.at(), was - by);
    }
}

/// The class with the longest blocks that are not longer than `words`.
const fn largest_class_in(words: u64) -> u64 {
    let class = class_of(words);
    if class_words(class) == words { class } else { class - 1 }
}
