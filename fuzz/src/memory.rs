//! How much an input may make us allocate, and memory for trees that is used again.

use std::sync::atomic::Ordering;

use engine::arena::Memory;
use engine::state::State;
use engine::tree::Tree;
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// Runs `target` on `bytes`; fails if it holds more memory at once than the input justifies.
pub fn bounded(bytes: &[u8], target: fn(&[u8])) {
    let before = ALLOCATED.current_usage();
    ALLOCATED.reset_peak_usage();
    target(bytes);
    let most = ALLOCATED.peak_usage().saturating_sub(before);
    let allowed = FIXED + PER_BYTE * bytes.len();
    assert!(most <= allowed, "{} bytes of input, {most} bytes allocated", bytes.len());
}

thread_local! {
    /// The fuzzer's thread alone uses it, one tree after the other.
    static REGION: Memory = Memory::leaked(WORDS);
}

/// A region of zeros, on every call the same one.
pub(crate) fn region() -> Memory {
    REGION.with(|memory| {
        for word in memory.words {
            word.store(0, Ordering::Relaxed);
        }
        *memory
    })
}

/// A fresh server's state.
pub(crate) fn state() -> State {
    State::new(Tree::format(region(), [1, 2]).expect("the region is large enough"))
}

/// Words of a region: 512 KiB.
const WORDS: usize = 2 * Memory::WORDS_MIN;

/// What a target may allocate for itself.
const FIXED: usize = 4 << 20;

/// What it may allocate for each byte of its input: an entry of an ACL is 12 bytes, and 100 in a set of them.
const PER_BYTE: usize = 64;
