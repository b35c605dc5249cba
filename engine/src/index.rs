//! Hash to offset: linear hashing in the arena, so that growth is one small split at a time.
//!
//! ZooKeeper: `NodeHashMapImpl`, `sessionsWithTimeouts`, `ReferenceCountedACLCache.aclKeyMap`.
//! A bucket is one cache line: seven entries and a link to an overflow bucket. An entry is 28 bits of
//! hash and the offset of what it leads to, which holds the key itself. Buckets come in segments
//! (`stairs`) that hang from a row in the header. A bucket that overflows its share is split with
//! the bits that the entries carry: no key is hashed again.
//!
//! Invariants: entries of a chain are packed, without a gap; an entry is in the bucket that its low
//! hash bits name. Absent: shrinking, the buckets of a smaller table stay.

use siphasher::sip::SipHasher13;

use crate::{
    arena::{Arena, Full, Offset, Torn, View, layout::Word, sure},
    stairs,
};

/// Log2 of the buckets in the first segment: it is one page.
const BASE: u32 = 6;
/// Words of a bucket.
const BUCKET: u64 = 8;
/// Entries of a bucket; the last word is the link.
const ENTRIES: u64 = BUCKET - 1;
/// A split is due when there are more entries than this for each bucket.
const LOAD: u64 = 5;
/// Hash bits in an entry.
const TAG_BITS: u32 = 64 - Offset::BITS;
/// Buckets are never more than this: their number must be told from the entries' hash bits.
const BUCKETS_MAX: u64 = 1 << TAG_BITS;
/// Links that a reader follows before it calls the chain torn.
const CHAIN_MAX: u32 = 1 << 16;
/// Words of an index in the header: two counters, then the row of segments.
pub(crate) const INDEX_WORDS: u64 = ROW + 1 + 4 * (TAG_BITS - BASE) as u64;
/// Where the row begins.
const ROW: u64 = 2;

/// The hash of `key` under the region's seed.
pub(crate) fn hash(view: View<'_>, key: &[u8]) -> Result<u64, Torn> {
    let [k0, k1] = view.words(Word::Seed0.at())?;
    Ok(SipHasher13::new_with_keys(k0, k1).hash(key))
}

/// An index whose counters and row lie at `root`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Index {
    root: Offset,
}

/// Znodes by the whole path.
pub(crate) const ZNODES: Index = Index { root: Word::ZnodeIndex.at() };
/// Sessions by id.
pub(crate) const SESSIONS: Index = Index { root: Word::SessionIndex.at() };
/// ACL lists by content.
pub(crate) const ACLS: Index = Index { root: Word::AclIndex.at() };

impl Index {
    /// Makes the first segment.
    ///
    /// # Errors
    /// [`Full`].
    pub(crate) fn format(self, arena: &mut Arena) -> Result<(), Full> {
        let segment = arena.alloc(BUCKET << BASE)?;
        for i in 0..BUCKET << BASE {
            arena.set(segment.plus(i), 0);
        }
        arena.write(self.root, &[0, 1 << BASE, segment.get()]);
        Ok(())
    }

    /// The offset with this hash that `is_it` recognises.
    #[inline]
    pub(crate) fn find(
        self,
        view: View<'_>,
        hash: u64,
        mut is_it: impl FnMut(Offset) -> Result<bool, Torn>,
    ) -> Result<Option<Offset>, Torn> {
        let tag = tag_of(hash);
        let mut bucket = self.bucket_of(view, tag)?;
        for link in 0..CHAIN_MAX {
            if link % 16 == 15 {
                view.check()?;
            }
            let words: [u64; BUCKET as usize] = view.words(bucket)?;
            let [entries @ .., link] = words;
            for entry in entries {
                if entry >> Offset::BITS == tag && entry != 0 && is_it(Offset::new(entry))? {
                    return Ok(Some(Offset::new(entry)));
                }
            }
            if link == 0 {
                return Ok(None);
            }
            bucket = Offset::new(link);
        }
        Err(Torn)
    }

    /// Entries.
    pub(crate) fn count(self, view: View<'_>) -> Result<u64, Torn> {
        view.word(self.root)
    }

    /// A word of the bucket where this hash belongs.
    #[inline]
    pub(crate) fn touch(self, view: View<'_>, hash: u64) -> Result<u64, Torn> {
        view.word(self.bucket_of(view, tag_of(hash))?)
    }

    /// Adds an entry; the caller knows that the key is not there.
    ///
    /// # Errors
    /// [`Full`]: nothing is changed.
    pub(crate) fn insert(self, arena: &mut Arena, hash: u64, at: Offset) -> Result<(), Full> {
        let tag = tag_of(hash);
        let bucket = sure(self.bucket_of(arena.view(), tag));
        append(arena, bucket, entry(tag, at))?;
        let count = arena.word(self.root) + 1;
        arena.set(self.root, count);
        if LOAD * self.bucket_count(arena) < count {
            self.split(arena);
        }
        Ok(())
    }

    /// Takes out the entry for `at`, which is there.
    pub(crate) fn remove(self, arena: &mut Arena, hash: u64, at: Offset) {
        let tag = tag_of(hash);
        let first = sure(self.bucket_of(arena.view(), tag));
        let place = position(arena, first, entry(tag, at));
        let place = place.expect("an indexed offset");
        let last = pop(arena, first);
        // If the entry was the last itself, its place is gone already.
        if last != entry(tag, at) {
            arena.set(place, last);
        }
        let count = arena.word(self.root);
        arena.set(self.root, count - 1);
    }

    fn bucket_count(self, arena: &Arena) -> u64 {
        arena.word(self.root.plus(1))
    }

    /// The first bucket for a tag.
    #[inline]
    fn bucket_of(self, view: View<'_>, tag: u64) -> Result<Offset, Torn> {
        let buckets = view.word(self.root.plus(1))?;
        if buckets == 0 || BUCKETS_MAX < buckets {
            return Err(Torn);
        }
        let low = 1 << buckets.ilog2();
        let long = tag & (2 * low - 1);
        self.bucket(view, if long < buckets { long } else { long - low })
    }

    /// Bucket number `number`.
    #[inline]
    fn bucket(self, view: View<'_>, number: u64) -> Result<Offset, Torn> {
        let (segment, at) = stairs::place(BASE, number);
        let segment = view.word(self.root.plus(ROW + segment))?;
        Ok(Offset::new(segment).plus(BUCKET * at))
    }

    /// Splits the next bucket in turn. Without room for that, chains grow longer instead.
    fn split(self, arena: &mut Arena) {
        let buckets = self.bucket_count(arena);
        if buckets == BUCKETS_MAX {
            return;
        }
        let (segment, at) = stairs::place(BASE, buckets);
        if at == 0 {
            let Ok(block) = arena.alloc(BUCKET * stairs::segment_len(BASE, segment)) else {
                return;
            };
            arena.set(self.root.plus(ROW + segment), block.get());
        }
        let low = 1 << buckets.ilog2();
        let from = sure(self.bucket(arena.view(), buckets - low));
        let to = sure(self.bucket(arena.view(), buckets));
        arena.write(to, &[0; BUCKET as usize]);
        move_half(arena, from, to, low);
        arena.set(self.root.plus(1), buckets + 1);
    }
}

/// Moves the entries whose hash has the bit `low` from one chain to another, empty one.
fn move_half(arena: &mut Arena, from: Offset, to: Offset, low: u64) {
    let mut n = 0;
    while let Some(place) = nth_place(arena, from, n) {
        let entry = arena.word(place);
        if (entry >> Offset::BITS) & low == 0 {
            n += 1;
            continue;
        }
        let last = pop(arena, from);
        if last != entry {
            arena.set(place, last);
        }
        // Two chains with n entries in all never take more overflow buckets than one chain did.
        append(arena, to, entry).expect("an overflow bucket of the old chain");
    }
}

const fn tag_of(hash: u64) -> u64 {
    hash & (BUCKETS_MAX - 1)
}

const fn entry(tag: u64, at: Offset) -> u64 {
    tag << Offset::BITS | at.get()
}

/// Puts an entry behind the last one of a chain.
fn append(arena: &mut Arena, first: Offset, entry: u64) -> Result<(), Full> {
    let mut bucket = first;
    loop {
        let link = Offset::new(arena.word(bucket.plus(ENTRIES)));
        if !link.is_none() {
            bucket = link;
            continue;
        }
        for i in 0..ENTRIES {
            if arena.word(bucket.plus(i)) == 0 {
                arena.set(bucket.plus(i), entry);
                return Ok(());
            }
        }
        let overflow = arena.alloc(BUCKET)?;
        arena.write(overflow, &[entry, 0, 0, 0, 0, 0, 0, 0]);
        arena.set(bucket.plus(ENTRIES), overflow.get());
        return Ok(());
    }
}

/// Where an entry lies in a chain.
fn position(arena: &Arena, first: Offset, entry: u64) -> Option<Offset> {
    let mut bucket = first;
    while !bucket.is_none() {
        let found = (0..ENTRIES).map(|i| bucket.plus(i)).find(|&it| arena.word(it) == entry);
        if found.is_some() {
            return found;
        }
        bucket = Offset::new(arena.word(bucket.plus(ENTRIES)));
    }
    None
}

/// Where entry number `n` of a chain lies.
fn nth_place(arena: &Arena, first: Offset, n: u64) -> Option<Offset> {
    let mut bucket = first;
    for _ in 0..n / ENTRIES {
        bucket = Offset::new(arena.word(bucket.plus(ENTRIES)));
        if bucket.is_none() {
            return None;
        }
    }
    let place = bucket.plus(n % ENTRIES);
    (arena.word(place) != 0).then_some(place)
}

/// Takes the last entry off a chain that has one; an overflow bucket left empty is given back.
fn pop(arena: &mut Arena, first: Offset) -> u64 {
    let (mut before, mut bucket) = (Offset::NONE, first);
    loop {
        let link = Offset::new(arena.word(bucket.plus(ENTRIES)));
        if link.is_none() {
            break;
        }
        (before, bucket) = (bucket, link);
    }
    let i = (0..ENTRIES).rev().find(|&i| arena.word(bucket.plus(i)) != 0);
    let i = i.expect("an entry in the last bucket of a chain");
    let entry = arena.word(bucket.plus(i));
    arena.set(bucket.plus(i), 0);
    if i == 0 && !before.is_none() {
        arena.set(before.plus(ENTRIES), 0);
        arena.free(bucket, BUCKET);
    }
    entry
}

#[cfg(all(test, not(loom)))]
mod tests {
    use alloc::collections::BTreeMap;

    use jute::Zxid;

    use super::*;
    use crate::{arena::Memory, chance::Chance};

    /// The offset that stands for a key: never looked at.
    fn place_of(key: u64) -> Offset {
        Offset::new(key + (1 << 30))
    }

    fn check(arena: &Arena, twin: &BTreeMap<u64, u64>, keys: u64) {
        assert_eq!(arena.word(ZNODES.root), twin.len() as u64);
        for key in 0..keys {
            let hash = twin.get(&key).copied().unwrap_or(key);
            let found = ZNODES.find(arena.view(), hash, |at| Ok(at == place_of(key)));
            let expected = twin.contains_key(&key).then(|| place_of(key));
            assert_eq!(found, Ok(expected), "key {key} of {keys}");
        }
    }

    /// Random insertions and removals of `keys` keys, with hashes of so many bits.
    fn run(arena: &mut Arena, keys: u64, hash_bits: u32) {
        let (mut chance, mut twin) = (Chance(keys), BTreeMap::new());
        for step in 0..4 * keys {
            let key = chance.below(keys);
            if let Some(hash) = twin.remove(&key) {
                ZNODES.remove(arena, hash, place_of(key));
            } else {
                let hash = chance.next() >> (64 - hash_bits);
                ZNODES.insert(arena, hash, place_of(key)).expect("room");
                twin.insert(key, hash);
            }
            if step % keys == 0 {
                check(arena, &twin, keys);
            }
        }
        check(arena, &twin, keys);
        for (key, hash) in twin {
            ZNODES.remove(arena, hash, place_of(key));
        }
    }

    #[test]
    fn random_insertions_and_removals_leave_the_same_index_as_a_map() {
        let mut arena = Arena::format(Memory::leaked(1 << 20), [1, 2]).expect("a good size");
        arena.begin();
        ZNODES.format(&mut arena).expect("room");
        run(&mut arena, 500, 64);
        run(&mut arena, 100_000, 64);
        arena.commit(Zxid(1));
    }

    #[test]
    fn keys_with_few_hashes_make_long_chains_and_give_them_back() {
        let mut arena = Arena::format(Memory::leaked(1 << 18), [1, 2]).expect("a good size");
        arena.begin();
        ZNODES.format(&mut arena).expect("room");
        run(&mut arena, 3000, 3);
        let buckets = arena.word(ZNODES.root.plus(1));
        let segments = stairs::place(BASE, buckets - 1).0 + 1;
        let words = BUCKET * stairs::capacity(BASE, segments);
        assert_eq!(arena.headroom().live, words, "overflow buckets are left");
        arena.commit(Zxid(1));
    }
}
