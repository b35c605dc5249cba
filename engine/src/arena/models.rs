//! The arena's two protocols under every interleaving and every value that a relaxed load may see.
//!
//! Known not to be seen by it: a load that sees a store which comes later. The release and acquire of a page's
//! state, which forbid just that, rest on the argument beside them.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p engine --target-dir target/loom models`

use alloc::{boxed::Box, vec::Vec};

use loom::thread;

use super::{
    image::{has_changed, keep, take},
    *,
};

/// A region of a few words: enough for the zxid and two words behind it.
fn memory() -> Memory {
    let words: Vec<_> = (0..8).map(|_| AtomicU64::new(0)).collect();
    Memory {
        words: Box::leak(words.into_boxed_slice()),
        version: Box::leak(Box::new(VersionWord::new())),
        page_states: Box::leak(Box::new([AtomicU8::new(0)])),
        last_changes: &[],
        shadow: &[],
    }
}

/// Up to three switches away from a thread that could go on: a bug that needs more is not known.
fn model(run: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(run);
}

const A: Offset = Offset::new(6);
const B: Offset = Offset::new(7);

/// A writer of a region that holds no tables.
fn writer(memory: Memory) -> Arena {
    Arena { memory, version: 0, image_pages: 0, images: 0 }
}

fn write(arena: &mut Arena, value: u64) {
    arena.begin();
    arena.set(A, value);
    arena.set(B, value);
    arena.commit(Zxid(value as i64));
}

#[test]
fn a_reader_sees_one_batch_or_nothing() {
    model(|| {
        let mut arena = writer(memory());
        let reader = arena.reader();
        let reading = thread::spawn(move || reader.read(|view| Ok((view.word(A)?, view.word(B)?))));
        write(&mut arena, 1);
        write(&mut arena, 2);
        if let Some(((a, b), zxid)) = reading.join().expect("the reading thread") {
            assert_eq!((a, b), (zxid.0 as u64, zxid.0 as u64));
        }
    });
}

#[test]
fn a_second_look_goes_not_back() {
    model(|| {
        let mut arena = writer(memory());
        let reader = arena.reader();
        let reading = thread::spawn(move || {
            let first = reader.read(|view| view.word(A));
            let second = reader.read(|view| view.word(B));
            (first, second)
        });
        write(&mut arena, 1);
        if let (Some((a, _)), Some((b, _))) = reading.join().expect("the reading thread") {
            assert!(a <= b, "{a} and then {b}");
        }
    });
}

#[test]
fn a_page_of_an_image_is_as_it_was_whoever_copies_it() {
    model(|| {
        let words: &'static [AtomicU64; 2] =
            Box::leak(Box::new([AtomicU64::new(1), AtomicU64::new(1)]));
        let state: &'static AtomicU8 = Box::leak(Box::new(AtomicU8::new(0)));
        let shadow: &'static [AtomicU64; 2] =
            Box::leak(Box::new([AtomicU64::new(0), AtomicU64::new(0)]));
        let taking = thread::spawn(move || {
            let mut page = [0; 2];
            take(state, words, || shadow, &mut page);
            page
        });
        for value in 2..4 {
            for word in words {
                if !has_changed(state) {
                    keep(state, words, shadow);
                }
                word.store(value, Ordering::Relaxed);
            }
        }
        assert_eq!(taking.join().expect("the copying thread"), [1, 1]);
    });
}
