//! Lists of words in the arena: children, sessions, ephemerals, ACL lists by id.
//!
//! ZooKeeper: the `HashSet`s of `DataNode.children` and `DataTree.ephemerals`. Order is no part of them:
//! an item is removed by moving the last one into its place, which each item remembers.
//! Up to 512 items are one block that doubles; beyond, segments hang from a head block and nothing
//! is ever copied.

use crate::{
    arena::{Arena, Full, Offset, Torn, View, sure},
    stairs,
};

/// A list: where it is and how long. The owner keeps both, in words of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct List {
    /// 36 bits of offset, 5 bits of shape; 0 for an empty list. See [`List::HEAD_BITS`].
    pub(crate) head: u64,
    /// Items, 0 to 2^32 - 1.
    pub(crate) count: u32,
}

/// Log2 of the longest single block, and of the first segment.
const BASE: u32 = 9;
/// The shape of a list with segments; smaller shapes are log2 of a single block's length.
const STAIRS: u64 = 31;
/// Words of the block that points to segments. Word 0 says how many there are.
const HEAD_WORDS: u64 = 1 + 1 + 4 * 23;

impl List {
    /// A list without items or blocks.
    pub(crate) const EMPTY: Self = Self { head: 0, count: 0 };
    /// Bits of `head` that are in use, the lower ones.
    pub(crate) const HEAD_BITS: u32 = Offset::BITS + 5;

    const fn block(self) -> Offset {
        Offset::new(self.head)
    }

    const fn shape(self) -> u64 {
        (self.head >> Offset::BITS) & 31
    }

    const fn of(block: Offset, shape: u64, count: u32) -> Self {
        Self { head: shape << Offset::BITS | block.get(), count }
    }

    /// Where item `i` lies.
    #[inline]
    fn place(self, view: View<'_>, i: u32) -> Result<Offset, Torn> {
        if self.count <= i {
            return Err(Torn);
        }
        if self.shape() != STAIRS {
            return Ok(self.block().plus(u64::from(i)));
        }
        let (segment, at) = stairs::place(BASE, u64::from(i));
        Ok(Offset::new(view.word(self.block().plus(1 + segment))?).plus(at))
    }

    /// Item `i`.
    #[inline]
    pub(crate) fn at(self, view: View<'_>, i: u32) -> Result<u64, Torn> {
        view.word(self.place(view, i)?)
    }

    /// Replaces item `i`.
    pub(crate) fn set(self, arena: &mut Arena, i: u32, value: u64) {
        let at = sure(self.place(arena.view(), i));
        arena.set(at, value);
    }

    /// Appends an item and gives the list as it is then.
    ///
    /// # Errors
    /// [`Full`]: nothing is changed.
    pub(crate) fn push(self, arena: &mut Arena, value: u64) -> Result<Self, Full> {
        let grown =
            if u64::from(self.count) == self.capacity(arena) { self.grow(arena)? } else { self };
        let list = Self { count: self.count.checked_add(1).ok_or(Full)?, ..grown };
        list.set(arena, self.count, value);
        Ok(list)
    }

    /// Removes item `i`; the last item takes its place and is returned too, if it was another.
    pub(crate) fn swap_remove(self, arena: &mut Arena, i: u32) -> (Self, Option<u64>) {
        let last = self.count.checked_sub(1);
        let last = last.expect("an item of an empty list");
        let moved = (i != last).then(|| sure(self.at(arena.view(), last)));
        if let Some(moved) = moved {
            self.set(arena, i, moved);
        }
        (Self { count: last, ..self }.shrink(arena), moved)
    }

    fn capacity(self, arena: &Arena) -> u64 {
        match (self.head, self.shape()) {
            (0, _) => 0,
            (_, STAIRS) => stairs::capacity(BASE, arena.word(self.block())),
            (_, log2) => 1 << log2,
        }
    }

    fn grow(self, arena: &mut Arena) -> Result<Self, Full> {
        match (self.head, self.shape()) {
            (0, _) => Ok(Self::of(arena.alloc(1)?, 0, self.count)),
            (_, STAIRS) => {
                let segments = arena.word(self.block());
                let segment = arena.alloc(stairs::segment_len(BASE, segments))?;
                arena.set(self.block().plus(1 + segments), segment.get());
                arena.set(self.block(), segments + 1);
                Ok(self)
            }
            (_, log2) if log2 < u64::from(BASE) => self.resize(arena, log2 + 1),
            _ => {
                let head = arena.alloc(HEAD_WORDS)?;
                let segment = match arena.alloc(stairs::segment_len(BASE, 1)) {
                    Ok(segment) => segment,
                    Err(full) => {
                        arena.free(head, HEAD_WORDS);
                        return Err(full);
                    }
                };
                arena.write(head, &[2, self.block().get(), segment.get()]);
                Ok(Self::of(head, STAIRS, self.count))
            }
        }
    }

    /// Gives back what is not needed, but not so early that the next push wants it again.
    fn shrink(self, arena: &mut Arena) -> Self {
        let count = u64::from(self.count);
        match (self.head, self.shape()) {
            (_, STAIRS) => self.shrink_stairs(arena),
            (_, log2) if count == 0 => {
                arena.free(self.block(), 1 << log2);
                Self::EMPTY
            }
            // If there is no room for the smaller block, the larger one serves as well.
            (_, log2) if count <= (1 << log2) / 4 => self.resize(arena, log2 - 1).unwrap_or(self),
            _ => self,
        }
    }

    fn shrink_stairs(self, arena: &mut Arena) -> Self {
        let count = u64::from(self.count);
        let segments = arena.word(self.block());
        if segments == 1 && count <= 1 << (BASE - 1) {
            let only = Offset::new(arena.word(self.block().plus(1)));
            arena.free(self.block(), HEAD_WORDS);
            return Self::of(only, u64::from(BASE), self.count);
        }
        if 1 < segments
            && count + stairs::segment_len(BASE, segments - 1) / 2
                <= stairs::capacity(BASE, segments - 1)
        {
            let last = Offset::new(arena.word(self.block().plus(segments)));
            arena.free(last, stairs::segment_len(BASE, segments - 1));
            arena.set(self.block(), segments - 1);
        }
        self
    }

    /// Copies a single block to one of 2^`log2` words.
    fn resize(self, arena: &mut Arena, log2: u64) -> Result<Self, Full> {
        let to = arena.alloc(1 << log2)?;
        for i in 0..u64::from(self.count) {
            let item = arena.word(self.block().plus(i));
            arena.set(to.plus(i), item);
        }
        arena.free(self.block(), 1 << self.shape());
        Ok(Self::of(to, log2, self.count))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use alloc::vec::Vec;

    use jute::Zxid;

    use super::*;
    use crate::{arena::Memory, chance::Chance};

    #[test]
    fn random_pushes_and_removals_leave_the_same_list_as_a_vector() {
        let mut arena = Arena::format(Memory::leaked(1 << 20), [1, 2]).expect("a good size");
        let live = arena.headroom().live;
        let mut chance = Chance(5);
        let (mut list, mut twin) = (List::EMPTY, Vec::new());
        arena.begin();
        for (goal, steps) in [(3, 50), (600, 3000), (500, 4000), (40_000, 90_000), (0, 90_000)] {
            for step in 0..steps {
                if chance.below(40_000) < 10_000 && !twin.is_empty() || goal <= twin.len() {
                    let Some(last) = twin.len().checked_sub(1) else { break };
                    let i = chance.below(twin.len() as u64) as usize;
                    let (shorter, moved) = list.swap_remove(&mut arena, i as u32);
                    list = shorter;
                    assert_eq!(moved, (i != last).then(|| twin[last]));
                    twin.swap_remove(i);
                } else {
                    twin.push(chance.next());
                    list = list.push(&mut arena, twin[twin.len() - 1]).expect("room");
                }
                if step % 1024 == 0 || twin.len() < 10 {
                    assert_eq!(list.count as usize, twin.len());
                    let same = |(i, &it): (usize, _)| list.at(arena.view(), i as u32) == Ok(it);
                    assert!(twin.iter().enumerate().all(same));
                }
                let capacity = list.capacity(&arena) as usize;
                assert!(capacity <= (4 * twin.len()).max(1), "{} of {capacity}", twin.len());
            }
        }
        assert_eq!((twin.len(), list), (0, List::EMPTY));
        assert_eq!(arena.headroom().live, live);
        arena.commit(Zxid(1));
    }
}
