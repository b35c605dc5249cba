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
//! | done | the copying thread | it has the page |
//! | aside | the writer | the page as it was is in the shadow |

use jute::Zxid;

use super::{Arena, AtomicU8, AtomicU64, Full, Memory, Ordering, layout::Word};

/// Words of a page: 4 KiB.
pub const PAGE_WORDS: usize = 512;
/// The words of a page.
pub type Page = [u64; PAGE_WORDS];

const PENDING: u8 = 0;
const DONE: u8 = 1;
const ASIDE: u8 = 2;

/// The copying thread's end: shared references only.
#[derive(Clone, Debug)]
pub struct ImageSource {
    words: &'static [AtomicU64],
    shadow: &'static [AtomicU64],
    states: &'static [AtomicU8],
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

/// The writer's half: until it returns, the page may not change.
pub(super) fn keep(state: &AtomicU8, words: &[AtomicU64], shadow: &[AtomicU64]) {
    // Acquire, here and below: having seen `DONE`, our stores come after the other thread's loads.
    if state.load(Ordering::Acquire) != PENDING {
        return;
    }
    for (to, from) in shadow.iter().zip(words) {
        to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
    }
    // Release: who sees `ASIDE` sees the copy. If the other thread was first, the copy is of no use and no harm.
    let found = state.compare_exchange(PENDING, ASIDE, Ordering::Release, Ordering::Acquire);
    assert!(found != Err(ASIDE), "there is one writer");
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
        let states = &self.memory.page_states[..pages as usize];
        for state in states {
            state.store(PENDING, Ordering::Relaxed);
        }
        self.image_pages = pages;
        let Memory { words, shadow, .. } = self.memory;
        ImageSource { words, shadow, states, zxid: self.zxid() }
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
        self.commit(other.zxid());
        Ok(())
    }

    /// Called before the pages `first..=last` change while an image is being taken.
    #[cold]
    #[inline(never)]
    pub(super) fn keep_pages(&self, first: usize, last: usize) {
        for number in first..=last {
            if (number as u64) < self.image_pages {
                let of =
                    |region: &'static [AtomicU64]| &region[number * PAGE_WORDS..][..PAGE_WORDS];
                let Memory { words, shadow, page_states, .. } = self.memory;
                keep(&page_states[number], of(words), of(shadow));
            }
        }
    }
}
