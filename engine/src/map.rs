//! Maps whose order nobody can see.
//!
//! A hash table keyed by a seed that the caller gives: the outside cannot aim at one bucket, and a run with the same
//! seed is the same run. There is no iterator, so no output can hang on the order of the buckets; what has to be
//! listed is listed by [`Map::sorted_keys`].
//!
//! ZooKeeper: `ConcurrentHashMap`. Absent here: shared access, iteration.

use alloc::vec::Vec;
use core::borrow::Borrow;
use core::hash::{BuildHasher, Hash};

use siphasher::sip::SipHasher13;

/// The key of a table's hash: chance, once per process, given by whoever builds the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapSeed {
    /// The first half.
    pub low: u64,
    /// The second half.
    pub high: u64,
}

impl BuildHasher for MapSeed {
    type Hasher = SipHasher13;
    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.low, self.high)
    }
}

/// A map from `K` to `V`.
#[derive(Clone, Debug)]
pub struct Map<K, V> {
    inner: hashbrown::HashMap<K, V, MapSeed>,
}

impl<K: Eq + Hash, V> Map<K, V> {
    /// An empty map. Allocates nothing.
    pub fn new(seed: MapSeed) -> Self {
        Self { inner: hashbrown::HashMap::with_hasher(seed) }
    }

    /// How many entries.
    pub fn len(&self) -> usize {
        self.inner.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }

    /// The value of `key`.
    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.inner.get(key)
    }

    /// The value of `key`, to change.
    pub fn get_mut<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.inner.get_mut(key)
    }

    /// Whether `key` has a value.
    pub fn contains<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.inner.contains_key(key)
    }

    /// Sets the value of `key`; gives back the one before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.inner.insert(key, value)
    }

    /// The value of `key`, which is first set to `make()` if there is none.
    pub fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        self.inner.entry(key).or_insert_with(make)
    }

    /// Takes `key` out. Gives memory back when nearly all of it is unused.
    pub fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let value = self.inner.remove(key)?;
        if SHRINK_AT < self.inner.capacity() && self.inner.len() < self.inner.capacity() / 8 {
            self.inner.shrink_to(self.inner.len() * 2);
        }
        Some(value)
    }

    /// Takes everything out.
    pub fn clear(&mut self) {
        self.inner.clear();
        self.inner.shrink_to(0);
    }

    /// Every key, ascending: for listings, not for hot paths.
    pub fn sorted_keys(&self) -> Vec<&K>
    where
        K: Ord,
    {
        let mut keys: Vec<&K> = self.inner.keys().collect();
        keys.sort_unstable();
        keys
    }
}

/// Below this capacity a table keeps its memory.
const SHRINK_AT: usize = 1024;

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::{Map, MapSeed};

    #[test]
    fn keys_are_listed_in_their_own_order_whatever_the_seed() {
        for seed in 0..20 {
            let mut map = Map::new(MapSeed { low: seed, high: 1 });
            for key in [5, 1, 9, 3] {
                map.insert(key, key * 10);
            }
            assert_eq!(map.sorted_keys(), [&1, &3, &5, &9]);
        }
    }

    #[test]
    fn memory_goes_back_when_the_entries_have_gone() {
        let mut map = Map::new(MapSeed { low: 1, high: 2 });
        for key in 0..100_000_u32 {
            map.insert(key, ());
        }
        let full = map.inner.capacity();
        let keys: Vec<u32> = (0..100_000).collect();
        for key in &keys {
            assert!(map.remove(key).is_some());
        }
        assert!(map.is_empty());
        assert!(map.inner.capacity() * 8 < full, "{} of {full}", map.inner.capacity());
    }
}
