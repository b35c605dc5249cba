//! How often the code under test allocates: on the calling thread, where it is asked to count.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, with a count.
struct Counting;

thread_local! {
    static IS_COUNTED: Cell<bool> = const { Cell::new(false) };
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn note() {
    // A thread that ends has no counts any more.
    if IS_COUNTED.try_with(Cell::get).unwrap_or(false) {
        COUNT.with(|it| it.set(it.get() + 1));
    }
}

// SAFETY: the system's allocator does everything; counting touches cells of the thread, which allocate nothing.
#[expect(unsafe_code, reason = "an allocator is one")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller's promises are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are the same, and it came from there.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, len: usize) -> *mut u8 {
        note();
        // SAFETY: the caller's promises are the same, and it came from there.
        unsafe { System.realloc(at, layout, len) }
    }
}

/// Counts while this runs.
pub(crate) fn counted<T>(run: impl FnOnce() -> T) -> T {
    let before = IS_COUNTED.replace(true);
    let done = run();
    IS_COUNTED.set(before);
    done
}

/// Does not, for what a test does in between.
pub(crate) fn apart<T>(run: impl FnOnce() -> T) -> T {
    let before = IS_COUNTED.replace(false);
    let done = run();
    IS_COUNTED.set(before);
    done
}

/// How often this thread has allocated where it was counted.
pub(crate) fn count() -> u64 {
    COUNT.get()
}
