//! Taking an image while the writer goes on: page copy-on-write.
//!
//! [`Arena::begin_image`] fixes the moment. Another thread then copies page after page with
//! [`ImageSource::page`]; the writer, before its first change to a page that is still pending, copies it
//! aside. Each page has a state, and one compare-and-swap on it decides whose copy counts, so the image
//! is exactly the state at one zxid, and neither side ever waits.
//!
//! | state | who made it so | meaning |
//! |---|---|---|
//! | pending | `begin_image` | unchanged since the moment |
//! | done | the copying thread | it has the page |
//! | aside | the writer | the page comes from the writer, as an [`Aside`] |

use alloc::{boxed::Box, vec::Vec};

use jute::Zxid;

use super::{Arena, AtomicU8, AtomicU64, Full, Ordering, layout::Word};

/// Words of a page: 4 KiB.
pub const PAGE_WORDS: usize = 512;
/// The words of a page.
pub type Page = [u64; PAGE_WORDS];

const PENDING: u8 = 0;
const DONE: u8 = 1;
const ASIDE: u8 = 2;

/// A page as it was when the image began, copied by the writer before it changed it.
#[derive(Debug)]
pub struct Aside {
    /// Number of the page, from 0.
    pub number: u64,
    /// What it held.
    pub words: Box<Page>,
}

/// Where a page of the image comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageState {
    /// It was copied just now.
    Copied,
    /// The writer has copied it: it comes, or came, as an [`Aside`].
    Aside,
}

/// The copying thread's end: shared references only.
#[derive(Clone, Debug)]
pub struct ImageSource {
    words: &'static [AtomicU64],
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

    /// Copies page `number` into `out`; with [`PageState::Aside`] what `out` holds is of no meaning.
    ///
    /// Words keep their values: what goes to a disk is up to the caller.
    pub fn page(&self, number: u64, out: &mut Page) -> PageState {
        let number = number as usize;
        let words = &self.words[number * PAGE_WORDS..][..PAGE_WORDS];
        take(&self.states[number], words, out)
    }
}

/// The copying thread's half of the protocol for one page.
pub(super) fn take(state: &AtomicU8, words: &[AtomicU64], out: &mut [u64]) -> PageState {
    if state.load(Ordering::Relaxed) == ASIDE {
        return PageState::Aside;
    }
    copy(words, out);
    // Release: the loads above are over before the writer can see `DONE` and change a word.
    match state.compare_exchange(PENDING, DONE, Ordering::Release, Ordering::Relaxed) {
        Ok(_) => PageState::Copied,
        Err(found) => {
            assert!(found == ASIDE, "a page was asked for twice");
            PageState::Aside
        }
    }
}

/// The writer's half: whether it is the writer who must copy the page before it changes it.
pub(super) fn claim(state: &AtomicU8) -> bool {
    // Acquire: having seen `DONE`, our stores come after the other thread's loads.
    state.load(Ordering::Acquire) == PENDING
        && state.compare_exchange(PENDING, ASIDE, Ordering::Acquire, Ordering::Acquire).is_ok()
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
        ImageSource { words: self.memory.words, states, zxid: self.zxid() }
    }

    /// Ends it: the copying thread has every page, or has given up. Asides not taken are dropped.
    pub fn end_image(&mut self) {
        self.image_pages = 0;
        self.asides = Vec::new();
        self.spares = Vec::new();
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

    /// The pages copied aside since the last call, for the copying thread. Take them after each batch.
    pub fn asides(&mut self) -> impl Iterator<Item = Aside> {
        self.asides.drain(..)
    }

    /// Gives back a page that the copying thread has done with, to save an allocation.
    pub fn recycle(&mut self, page: Box<Page>) {
        self.spares.push(page);
    }

    /// Called before the pages `first..=last` change while an image is being taken.
    #[cold]
    #[inline(never)]
    pub(super) fn keep_pages(&mut self, first: usize, last: usize) {
        for number in first..=last {
            if (number as u64) < self.image_pages {
                self.keep_page(number);
            }
        }
    }

    fn keep_page(&mut self, number: usize) {
        if claim(&self.memory.page_states[number]) {
            let mut words = self.spares.pop().unwrap_or_else(|| Box::new([0; PAGE_WORDS]));
            copy(&self.memory.words[number * PAGE_WORDS..][..PAGE_WORDS], &mut words[..]);
            self.asides.push(Aside { number: number as u64, words });
        }
    }
}
