//! Reading the region: offsets, bounds-checked views, and the version word that tells a torn read.
//!
//! A view never trusts what it reads: an offset out of bounds is [`Torn`], every loop is bounded, and
//! before a long copy the version is looked at again. So a reader that races with the writer gets
//! `Torn` or a wrong answer that is thrown away, but never a panic, a hang or a huge allocation.

use alloc::vec::Vec;
use core::hint::spin_loop;

use jute::Zxid;

use super::{AtomicU64, Ordering, fence, layout::Word, words_for};

/// Index of a word in the region: 36 bits. 0, the first header word, stands for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(u64);

impl Offset {
    /// No offset.
    pub const NONE: Self = Self(0);
    /// Bits that an offset takes in a word shared with something else.
    pub const BITS: u32 = 36;
    const MASK: u64 = (1 << Self::BITS) - 1;

    /// The offset of the word number `word`; bits above 36 are dropped.
    pub const fn new(word: u64) -> Self {
        Self(word & Self::MASK)
    }

    /// The number of the word.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Whether this is [`Offset::NONE`].
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// The word `words` further on.
    #[must_use]
    pub const fn plus(self, words: u64) -> Self {
        Self(self.0 + words)
    }

    pub(crate) const fn idx(self) -> usize {
        self.0 as usize
    }
}

/// What was read makes no sense, because the writer was changing it. Try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a read was torn by a write")]
pub struct Torn;

/// The writer's way of reading: nobody else writes, so a torn read is a damaged region.
#[inline]
#[track_caller]
pub fn sure<T>(read: Result<T, Torn>) -> T {
    match read {
        Ok(value) => value,
        Err(Torn) => panic!("the arena contradicts itself"),
    }
}

/// Odd while a batch is being applied, and different after each. Has a cache line of its own.
#[derive(Debug)]
#[repr(align(128))]
pub struct VersionWord(AtomicU64);

impl Default for VersionWord {
    fn default() -> Self {
        Self::new()
    }
}

impl VersionWord {
    /// A version word for a region that nobody reads yet.
    pub fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// The version that a new writer starts from: even.
    pub(super) fn start(&self) -> u64 {
        let version = self.0.load(Ordering::Relaxed);
        assert!(version.is_multiple_of(2), "the region has a writer");
        version
    }

    /// The fence keeps the batch's stores behind this one: who sees any of them sees `odd`.
    pub(super) fn open(&self, odd: u64) {
        self.0.store(odd, Ordering::Relaxed);
        fence(Ordering::Release);
    }

    /// Who sees `even` sees the whole batch.
    pub(super) fn close(&self, even: u64) {
        self.0.store(even, Ordering::Release);
    }

    fn load(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Whether nothing was changed since `version` was loaded. The fence keeps earlier reads before it.
    fn is_still(&self, version: u64) -> bool {
        fence(Ordering::Acquire);
        self.0.load(Ordering::Relaxed) == version
    }
}

/// Reads the region from any thread, without writing anything.
#[derive(Clone, Debug)]
pub struct Reader {
    words: &'static [AtomicU64],
    version: &'static VersionWord,
}

impl Reader {
    /// How often [`Reader::read`] tries.
    pub const TRIES: u32 = if cfg!(loom) { 2 } else { 8 };
    /// How often one try looks at the version before it gives up on the batch being applied.
    const SPINS: u32 = if cfg!(loom) { 1 } else { 64 };

    pub(super) const fn new(words: &'static [AtomicU64], version: &'static VersionWord) -> Self {
        Self { words, version }
    }

    /// Runs `read` on a state that is whole, and says at which zxid. Gives `None` if the writer was
    /// in the way [`Reader::TRIES`] times: the pipeline shard must then answer.
    ///
    /// `read` may run more than once, and see nonsense each time but the last: it starts by emptying
    /// (or cutting back) what it writes to.
    pub fn read<T>(&self, mut read: impl FnMut(View<'_>) -> Result<T, Torn>) -> Option<(T, Zxid)> {
        for _ in 0..Self::TRIES {
            let Some(version) = self.even() else { continue };
            let view = View { words: self.words, guard: Some((self.version, version)) };
            let zxid = view.word(Word::Zxid.at());
            let value = read(view);
            if !self.version.is_still(version) {
                continue;
            }
            // The version stood still: what was read is what is there.
            return Some((sure(value), Zxid(sure(zxid) as i64)));
        }
        None
    }

    /// Runs `look` for what it leaves in the processor's caches; what it reads may make no sense.
    pub fn glance(&self, look: impl FnOnce(View<'_>)) {
        let version = self.version.load();
        look(View { words: self.words, guard: Some((self.version, version)) });
    }

    fn even(&self) -> Option<u64> {
        for _ in 0..Self::SPINS {
            let version = self.version.load();
            if version.is_multiple_of(2) {
                return Some(version);
            }
            spin_loop();
        }
        None
    }
}

/// A look at the region. Everything it returns is to be believed only if the read was not torn.
#[derive(Clone, Copy)]
pub struct View<'a> {
    words: &'a [AtomicU64],
    /// Absent for the writer.
    guard: Option<(&'a VersionWord, u64)>,
}

impl core::fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("View").field("words", &self.words.len()).finish_non_exhaustive()
    }
}

/// Reads longer than this look at the version first, bytes.
const LONG: usize = 16 << 10;

impl<'a> View<'a> {
    pub(super) const fn of_writer(words: &'a [AtomicU64]) -> Self {
        Self { words, guard: None }
    }

    /// A view of a state that is gone: as a reader has it that was overtaken.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn outdated(words: &'a [AtomicU64], version: &'a VersionWord) -> Self {
        Self { words, guard: Some((version, version.load() + 1)) }
    }

    /// The word at `at`.
    ///
    /// # Errors
    /// [`Torn`] if there is none.
    #[inline]
    pub fn word(self, at: Offset) -> Result<u64, Torn> {
        self.words.get(at.idx()).map(|it| it.load(Ordering::Relaxed)).ok_or(Torn)
    }

    /// `N` words from `at`.
    ///
    /// # Errors
    /// [`Torn`] if they are not all there.
    #[inline]
    pub fn words<const N: usize>(self, at: Offset) -> Result<[u64; N], Torn> {
        let words = self.words.get(at.idx()..).and_then(<[_]>::first_chunk::<N>).ok_or(Torn)?;
        Ok(core::array::from_fn(|i| words[i].load(Ordering::Relaxed)))
    }

    /// Whether nothing was changed so far. Call it now and then in a long loop.
    ///
    /// # Errors
    /// [`Torn`] if something was.
    #[inline]
    pub fn check(self) -> Result<(), Torn> {
        match self.guard {
            Some((word, version)) if !word.is_still(version) => Err(Torn),
            _ => Ok(()),
        }
    }

    /// Appends the `len` bytes that begin at `at`.
    ///
    /// # Errors
    /// [`Torn`] if they are not all there; `out` may have grown.
    pub fn bytes(self, at: Offset, len: usize, out: &mut Vec<u8>) -> Result<(), Torn> {
        if LONG < len {
            self.check()?;
        }
        let end = at.idx() + words_for(len);
        if self.words.len() < end {
            return Err(Torn);
        }
        let start = out.len();
        out.resize(start + len, 0);
        self.bytes_into(at, &mut out[start..])
    }

    /// Fills `out` with the bytes that begin at `at`.
    ///
    /// # Errors
    /// [`Torn`] if they are not all there.
    pub fn bytes_into(self, at: Offset, out: &mut [u8]) -> Result<(), Torn> {
        let end = at.idx() + words_for(out.len());
        let words = self.words.get(at.idx()..end).ok_or(Torn)?;
        let (whole, rest) = out.as_chunks_mut::<8>();
        for (chunk, word) in whole.iter_mut().zip(words) {
            *chunk = word.load(Ordering::Relaxed).to_be_bytes();
        }
        if let (false, Some(last)) = (rest.is_empty(), words.last()) {
            let last = last.load(Ordering::Relaxed).to_be_bytes();
            rest.copy_from_slice(&last[..rest.len()]);
        }
        Ok(())
    }

    /// Whether the bytes that begin at `at` are `bytes`.
    ///
    /// # Errors
    /// [`Torn`] if there are not so many.
    #[inline]
    pub fn bytes_are(self, at: Offset, bytes: &[u8]) -> Result<bool, Torn> {
        let end = at.idx() + words_for(bytes.len());
        let words = self.words.get(at.idx()..end).ok_or(Torn)?;
        let (whole, rest) = bytes.as_chunks::<8>();
        let same = words
            .iter()
            .zip(whole)
            .all(|(word, &chunk)| word.load(Ordering::Relaxed) == u64::from_be_bytes(chunk));
        Ok(same
            && match words.last() {
                Some(last) if !rest.is_empty() => last.load(Ordering::Relaxed) == packed(rest),
                _ => true,
            })
    }
}

/// Up to eight bytes as the first bytes of a word, zeros behind them.
#[inline]
pub(super) fn packed(bytes: &[u8]) -> u64 {
    let mut chunk = [0; 8];
    chunk[..bytes.len()].copy_from_slice(bytes);
    u64::from_be_bytes(chunk)
}
