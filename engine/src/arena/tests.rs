//! Tests of the arena: blocks, bytes, torn reads on real threads, images under change.

use alloc::{collections::BTreeMap, vec, vec::Vec};
use std::thread;

use super::*;
use crate::chance::Chance;

const WORDS: usize = 1 << 20;

fn arena(words: usize) -> Arena {
    let mut arena = Arena::format(Memory::leaked(words), [1, 2]).expect("a region of a good size");
    arena.begin();
    arena
}

/// Every word is in the header, in use, free or fresh.
fn check_sum(arena: &Arena) {
    let Headroom { fresh, free, live } = arena.headroom();
    assert_eq!(HEADER_WORDS + fresh + free + live, arena.memory.words.len() as u64);
}

fn random_size(chance: &mut Chance) -> u64 {
    match chance.below(10) {
        0 => 1 + chance.below(40 * PAGE_WORDS as u64),
        1..4 => 1 + chance.below(1000),
        _ => 1 + chance.below(40),
    }
}

#[test]
fn blocks_never_overlap_and_no_word_is_lost() {
    let mut arena = arena(WORDS);
    let mut chance = Chance(7);
    let mut blocks = BTreeMap::new();
    let mut full = 0;
    for round in 0..200_000_u64 {
        if chance.below(100) < 48 && !blocks.is_empty() {
            let from = chance.below(WORDS as u64);
            let at = *blocks.range(from..).chain(blocks.iter()).next().expect("a block").0;
            let (words, stamp) = blocks.remove(&at).expect("the block");
            assert_eq!(arena.word(Offset::new(at)), stamp);
            assert_eq!(arena.word(Offset::new(at + words - 1)), stamp);
            arena.free(Offset::new(at), words);
        } else {
            let words = random_size(&mut chance);
            let Ok(at) = arena.alloc(words) else {
                full += 1;
                continue;
            };
            let (at, end) = (at.get(), at.get() + words);
            let before = blocks.range(..end).next_back();
            assert!(before.is_none_or(|(&other, &(words, _))| other + words <= at));
            assert!(words < PAGE_WORDS as u64 || at.is_multiple_of(PAGE_WORDS as u64));
            arena.set(Offset::new(at), round);
            arena.set(Offset::new(end - 1), round);
            blocks.insert(at, (words, round));
        }
        check_sum(&arena);
    }
    assert!(0 < full, "the region was never full");
    for (at, (words, _)) in blocks {
        arena.free(Offset::new(at), words);
    }
    check_sum(&arena);
    assert_eq!(arena.headroom().live, 0);
}

#[test]
fn a_full_arena_says_so_and_changes_nothing() {
    let mut arena = arena(Memory::WORDS_MIN);
    while arena.alloc(100).is_ok() {}
    let before = arena.headroom();
    assert_eq!(arena.alloc(100), Err(Full));
    assert_eq!(arena.alloc(1 << 40), Err(Full));
    assert_eq!(arena.headroom(), before);
}

#[test]
fn without_fresh_words_a_bigger_free_block_is_split() {
    let mut arena = arena(Memory::WORDS_MIN);
    let big = arena.alloc(8 * PAGE_WORDS as u64).expect("room");
    while arena.alloc(PAGE_WORDS as u64).is_ok() {}
    while arena.alloc(3).is_ok() {}
    arena.free(big, 8 * PAGE_WORDS as u64);
    let live = arena.headroom().live;
    let mut count = 0;
    while arena.alloc(3).is_ok() {
        count += 1;
    }
    assert!(8 * PAGE_WORDS as u64 / 4 <= count * 3, "only {count} blocks of three words");
    assert_eq!(arena.headroom().live, live + count * 3);
    check_sum(&arena);
}

#[test]
fn a_freed_block_is_the_next_of_its_size() {
    let mut arena = arena(WORDS);
    for words in [1, 32, 33, 480, 481, 512, 5000, 100_000] {
        let at = arena.alloc(words).expect("room");
        arena.free(at, words);
        assert_eq!(arena.alloc(words), Ok(at));
    }
}

#[test]
fn a_class_wastes_at_most_an_eighth() {
    for words in 1..3_000_000_u64 {
        let block = block_words(words);
        assert!(words <= block);
        let waste = block - words;
        assert!(waste <= words / 8 || waste < PAGE_WORDS as u64 && 480 < words, "{words}: {block}");
    }
}

#[test]
fn bytes_of_any_length_come_back() {
    let mut arena = arena(WORDS);
    let mut chance = Chance(3);
    for len in (0..70).chain([4095, 4096, 4097, 100_001]) {
        let bytes: Vec<u8> = (0..len).map(|_| chance.next() as u8).collect();
        let at = arena.alloc(words_for(len).max(1) as u64).expect("room");
        arena.write_bytes(at, &bytes);
        let mut back = vec![9];
        arena.view().bytes(at, len, &mut back).expect("a whole read");
        assert_eq!(back[1..], bytes);
        assert_eq!(arena.view().bytes_are(at, &bytes), Ok(true));
        if let Some(last) = back.last_mut().filter(|_| len != 0) {
            *last ^= 1;
            assert_eq!(arena.view().bytes_are(at, &back[1..]), Ok(false));
        }
    }
}

#[test]
fn an_offset_out_of_bounds_is_torn() {
    let arena = arena(Memory::WORDS_MIN);
    let end = Offset::new(Memory::WORDS_MIN as u64);
    assert_eq!(arena.view().word(end), Err(Torn));
    assert_eq!(arena.view().words::<2>(Offset::new(end.get() - 1)), Err(Torn));
    assert_eq!(arena.view().bytes(Offset::new(end.get() - 1), 9, &mut Vec::new()), Err(Torn));
    assert_eq!(arena.view().bytes_are(Offset::new(u64::MAX), b"x"), Err(Torn));
}

#[test]
fn what_is_no_image_of_ours_is_not_opened() {
    let open = |memory| Arena::open(memory).expect_err("an error");
    let memory = Memory::leaked(Memory::WORDS_MIN);
    assert_eq!(open(memory), OpenError::Magic { found: 0, expected: MAGIC });
    memory.words[0].store(MAGIC, Ordering::Relaxed);
    assert_eq!(open(memory), OpenError::Layout { found: 0, expected: LAYOUT });
    memory.words[1].store(LAYOUT, Ordering::Relaxed);
    memory.words[Word::PageBump as usize].store(1 << 30, Ordering::Relaxed);
    let words = Memory::WORDS_MIN as u64;
    assert_eq!(open(memory), OpenError::TooSmall { used: 1 << 30, words });
    assert!(matches!(open(Memory { page_states: &[], ..memory }), OpenError::Size { .. }));
    assert!(matches!(open(Memory { last_changes: &[], ..memory }), OpenError::Size { .. }));
    assert!(matches!(open(Memory { shadow: &[], ..memory }), OpenError::Size { .. }));
}

#[test]
fn a_read_is_never_a_mix_of_two_batches() {
    const BATCHES: u64 = 30_000;
    let mut arena = arena(WORDS);
    let at = arena.alloc(64).expect("room");
    arena.write(at, &[0; 64]);
    arena.commit(Zxid(0));
    let reader = arena.reader();
    thread::scope(|scope| {
        let reading = scope.spawn(move || {
            let (mut last, mut seen) = (0, 0_u64);
            while last < BATCHES {
                let read = reader.read(|view| view.words::<64>(at));
                let Some((words, zxid)) = read else { continue };
                assert!(words.iter().all(|&it| it == zxid.0 as u64), "{words:?} at {zxid}");
                assert!(last <= zxid.0 as u64);
                seen += u64::from(last != zxid.0 as u64);
                last = zxid.0 as u64;
            }
            seen
        });
        for batch in 1..=BATCHES {
            arena.begin();
            for i in 0..64 {
                arena.set(at.plus(i), batch);
            }
            arena.commit(Zxid(batch as i64));
        }
        assert!(0 < reading.join().expect("the reading thread"));
    });
}

#[test]
fn an_open_batch_turns_readers_away() {
    let mut arena = arena(Memory::WORDS_MIN);
    let reader = arena.reader();
    assert!(reader.read(|_| Ok(())).is_none());
    arena.commit(Zxid(5));
    assert_eq!(reader.read(|_| Ok(1)), Some((1, Zxid(5))));
}

/// Puts an image together.
fn gather(source: &ImageSource) -> Vec<u64> {
    let mut image = vec![0; source.page_count() as usize * PAGE_WORDS];
    let (pages, _) = image.as_chunks_mut::<PAGE_WORDS>();
    for (number, page) in (0..).zip(pages) {
        source.page(number, page);
    }
    image
}

#[test]
fn an_image_is_the_moment_it_began_whatever_is_written_meanwhile() {
    let mut arena = arena(WORDS);
    let mut chance = Chance(11);
    arena.alloc(200_000).expect("room");
    arena.commit(Zxid(1));
    for round in 2..40 {
        let pages = arena.word(Word::PageBump.at()) as usize;
        let moment: Vec<u64> = (0..pages).map(|i| arena.word(Offset::new(i as u64))).collect();
        let source = arena.begin_image();
        assert_eq!(source.zxid(), arena.zxid());
        let image = thread::scope(|scope| {
            let gathering = scope.spawn(move || gather(&source));
            for _ in 0..200 {
                arena.begin();
                for _ in 0..20 {
                    let at = HEADER_WORDS + chance.below(200_000);
                    arena.set(Offset::new(at), chance.next());
                }
                arena.alloc(1 + chance.below(20)).expect("room");
                arena.commit(Zxid(round));
            }
            gathering.join().expect("the gathering thread")
        });
        arena.end_image();
        assert!(image == moment, "round {round}");
    }
}

/// Puts an image together from an older one: takes only what may have changed since. How much that was.
fn mend(source: &ImageSource, image: &mut Vec<u64>, number: u32) -> usize {
    let had = (image.len() / PAGE_WORDS) as u64;
    image.resize(source.page_count() as usize * PAGE_WORDS, 0);
    let (pages, _) = image.as_chunks_mut::<PAGE_WORDS>();
    let mut taken = 0;
    for (page, words) in (0..).zip(pages) {
        if page < had && !source.changed_since(page, number) {
            source.forgo(page);
        } else {
            source.page(page, words);
            taken += 1;
        }
    }
    taken
}

#[test]
fn an_older_image_and_what_changed_since_are_the_newer_one() {
    let mut arena = arena(WORDS);
    let mut chance = Chance(12);
    let block = arena.alloc(200_000).expect("room");
    arena.commit(Zxid(1));
    // Three images take turns, as if they were files; each is mended from what it was three rounds before.
    let mut images = [const { (Vec::new(), 0) }; 3];
    let mut taken = 0;
    for round in 2..60 {
        let pages = arena.word(Word::PageBump.at()) as usize;
        let moment: Vec<u64> = (0..pages).map(|i| arena.word(Offset::new(i as u64))).collect();
        let source = arena.begin_image();
        let (mut image, number) = core::mem::take(&mut images[round % 3]);
        let next_number = source.number();
        let given_up = chance.below(10) == 0;
        let (image, count) = thread::scope(|scope| {
            let mending = scope.spawn(move || {
                if given_up {
                    return (Vec::new(), 0);
                }
                let count = mend(&source, &mut image, number);
                (image, count)
            });
            for _ in 0..3 {
                arena.begin();
                for _ in 0..10 {
                    arena.set(block.plus(chance.below(200_000)), chance.next());
                }
                let at = arena.alloc(1 + chance.below(2000)).expect("room");
                arena.write(at, &[chance.next()]);
                arena.commit(Zxid(round as i64));
            }
            mending.join().expect("the mending thread")
        });
        arena.end_image();
        if !given_up {
            assert!(image == moment, "round {round}");
            taken += if number == 0 { 0 } else { count };
            images[round % 3] = (image, next_number);
        }
    }
    // 90 words of 390 pages change in three rounds.
    assert!(taken < 55 * 150, "{taken} pages were taken");
}
