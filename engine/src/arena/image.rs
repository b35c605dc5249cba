//! Taking an image while the writer goes on: page copy-on-write.
//!
//! [`Arena::begin_image`] fixes the moment. Another thread then copies page after page with
//! [`ImageSource::page`]; the writer, before its first change to a page that is still pending, copies it
//! to the shadow, a second region in which each page has the same place. Each page has a state, and one
//! compare-and-swap on it decides whose copy counts, so the image is exactly the state at one zxid, and
//! neither side ever waits.
//!
//! | state | who made it so | meaning |
//! |---|---|---|
//! | pending | `begin_image` | unchanged since the moment |
//! | done | the copying thread | it has the page, or does not want it; unchanged since the moment |
//! | aside | the writer | changed since the moment; the page as it was is in the shadow |
//! | changed | the writer | changed since the moment, and nobody needs the page as it was |
//!
//! Between images too a page's first change makes it `changed`. So the next [`Arena::begin_image`] knows what changed since the one before, and
//! writes it beside the states: whoever has an older image can ask which pages of it are still right ([`ImageSource::changed_since`]).

use core::ops::RangeInclusive;

use jute::Zxid;

use super::{Arena, AtomicU8, AtomicU32, AtomicU64, Full, Memory, Ordering, layout::Word};

/// Words of a page: 4 KiB.
pub const PAGE_WORDS: usize = 512;
/// The words of a page.
pub type Page = [u64; PAGE_WORDS];

const PENDING: u8 = 0;
const DONE: u8 = 1;
/// This and all above: changed since the newest image began.
const ASIDE: u8 = 2;
const CHANGED: u8 = 3;

/// The copying thread's end: shared references only.
#[derive(Clone, Debug)]
pub struct ImageSource {
    words: &'static [AtomicU64],
    shadow: &'static [AtomicU64],
    states: &'static [AtomicU8],
    last_changes: &'static [AtomicU32],
    number: u32,
    zxid: Zxid,
}

impl ImageSource {
    /// Pages of the image. Each is asked for once, in any order.
    pub fn page_count(&self) -> u64 {
        self.states.len() as u64
    }

    /// The transaction that the image is the state after.
    pub fn zxid(&self) -> Zxid {
        self.zxid
    }

    /// Counts the images of this arena since it was opened, from 1.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Whether this page may differ from what it was in image `number` of the same arena, if that had it.
    pub fn changed_since(&self, page: u64, number: u32) -> bool {
        // Relaxed: written before the handle was handed over.
        number <= self.last_changes[page as usize].load(Ordering::Relaxed)
    }

    /// Page `number` will not be asked for: the writer need not keep it.
    pub fn forgo(&self, number: u64) {
        // Relaxed: nothing of the page was read. If it is aside already, it is of no use and no harm.
        let state = &self.states[number as usize];
        state.compare_exchange(PENDING, DONE, Ordering::Relaxed, Ordering::Relaxed).ok();
    }

    /// How many of these pages are in the shadow, as far as this thread has heard; not more than 65,535 pages.
    pub fn aside(&self, pages: core::ops::Range<u64>) -> u16 {
        let states = &self.states[pages.start as usize..pages.end as usize];
        states.iter().filter(|it| it.load(Ordering::Relaxed) == ASIDE).count() as u16
    }

    /// Copies page `number`, as it was when the image began, into `out`.
    ///
    /// Words keep their values: what goes to a disk is up to the caller.
    pub fn page(&self, number: u64, out: &mut Page) {
        let number = number as usize;
        let of = |region: &'static [AtomicU64]| &region[number * PAGE_WORDS..][..PAGE_WORDS];
        take(&self.states[number], of(self.words), || of(self.shadow), out);
    }
}

/// The copying thread's half of the protocol for one page.
pub(super) fn take<'a>(
    state: &AtomicU8,
    words: &[AtomicU64],
    shadow: impl FnOnce() -> &'a [AtomicU64],
    out: &mut [u64],
) {
    // Acquire, here and below: having seen `ASIDE`, our loads come after the writer's stores to the shadow.
    let mut found = state.load(Ordering::Acquire);
    if found == PENDING {
        copy(words, out);
        // Release: the loads above are over before the writer can see `DONE` and change a word.
        match state.compare_exchange(PENDING, DONE, Ordering::Release, Ordering::Acquire) {
            Ok(_) => return,
            Err(meanwhile) => found = meanwhile,
        }
    }
    assert!(found == ASIDE, "a page was asked for twice");
    copy(shadow(), out);
}

/// Whether the page has changed since the newest image began; the writer knows.
#[inline]
pub(super) fn has_changed(state: &AtomicU8) -> bool {
    ASIDE <= state.load(Ordering::Relaxed)
}

/// The writer's half for a page of an image, which [has not changed](has_changed): until it returns, the page may not change.
pub(super) fn keep(state: &AtomicU8, words: &[AtomicU64], shadow: &[AtomicU64]) {
    // Acquire, here and below: having seen `DONE`, our stores come after the other thread's loads.
    if state.load(Ordering::Acquire) == PENDING {
        for (to, from) in shadow.iter().zip(words) {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        // Release: who sees `ASIDE` sees the copy. If the other thread was first, the copy is of no use and no harm.
        let kept = state.compare_exchange(PENDING, ASIDE, Ordering::Release, Ordering::Acquire);
        if kept.is_ok() {
            return;
        }
    }
    // The other thread is done with the page: from here on its state is the writer's.
    state.store(CHANGED, Ordering::Relaxed);
}

fn copy(words: &[AtomicU64], out: &mut [u64]) {
    for (to, from) in out.iter_mut().zip(words) {
        *to = from.load(Ordering::Relaxed);
    }
}

impl Arena {
    /// Begins an image of the state as it is. Called between batches, when no other image is being
    /// taken. The handle goes to the copying thread in a message.
    pub fn begin_image(&mut self) -> ImageSource {
        assert!(self.version.is_multiple_of(2), "an image inside a batch");
        assert!(self.image_pages == 0, "an image is being taken");
        let pages = self.word(Word::PageBump.at()) / PAGE_WORDS as u64;
        let Memory { words, shadow, page_states, last_changes, .. } = self.memory;
        let states = &page_states[..pages as usize];
        for (state, last_change) in states.iter().zip(last_changes) {
            if has_changed(state) {
                last_change.store(self.images, Ordering::Relaxed);
            }
            state.store(PENDING, Ordering::Relaxed);
        }
        self.image_pages = pages;
        self.images += 1;
        let (number, zxid) = (self.images, self.zxid());
        ImageSource { words, shadow, states, last_changes, number, zxid }
    }

    /// Ends it: the copying thread has every page, or has given up. What the shadow holds is of no meaning from now on.
    pub fn end_image(&mut self) {
        self.image_pages = 0;
    }

    /// Takes over the whole state of `other`, in one batch. Called between batches, when no image is being taken.
    ///
    /// # Errors
    /// [`Full`] if it does not fit; nothing is changed.
    pub fn replace(&mut self, other: &Self) -> Result<(), Full> {
        assert!(self.image_pages == 0, "an image is being taken");
        let used = other.word(Word::PageBump.at()) as usize;
        let before = self.word(Word::PageBump.at()) as usize;
        if self.memory.words.len() < used {
            return Err(Full);
        }
        self.begin();
        for (to, from) in self.memory.words[..used].iter().zip(other.memory.words) {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        for word in &self.memory.words[used..before.max(used)] {
            word.store(0, Ordering::Relaxed);
        }
        for state in &self.memory.page_states[..before.max(used).div_ceil(PAGE_WORDS)] {
            state.store(CHANGED, Ordering::Relaxed);
        }
        self.commit(other.zxid());
        Ok(())
    }

    /// Called before pages change, some of which have not since the newest image began.
    #[cold]
    #[inline(never)]
    pub(super) fn first_changes(&self, pages: RangeInclusive<usize>) {
        let Memory { words, shadow, page_states, .. } = self.memory;
        for number in pages {
            let state = &page_states[number];
            if has_changed(state) {
                continue;
            }
            if (number as u64) < self.image_pages {
                let of =
                    |region: &'static [AtomicU64]| &region[number * PAGE_WORDS..][..PAGE_WORDS];
                keep(state, of(words), of(shadow));
            } else {
                state.store(CHANGED, Ordering::Relaxed);
            }
        }
    }
}
