//! A set of numbers, each with a tag of three bits: four bytes an element while it is small, about ten when large.
//!
//! Invariant: a number is there once. Walks ascend.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

/// Numbers are below this.
pub(super) const LIMIT: u32 = 1 << 29;

/// The numbers; an element is `number << 3 | tag`.
#[derive(Debug)]
pub(super) enum Ids {
    /// Sorted.
    Few(Vec<u32>),
    /// Where inserting into a sorted list would move too much.
    Many(BTreeSet<u32>),
}

impl Default for Ids {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Ids {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Few(list) => list.len(),
            Self::Many(set) => set.len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The tag of `id`, if it is there.
    pub(super) fn tag(&self, id: u32) -> Option<u8> {
        let element = match self {
            Self::Few(list) => list[place(list, id)..].first().filter(|&&it| it >> 3 == id),
            Self::Many(set) => set.range(id << 3..=id << 3 | 7).next(),
        };
        element.map(|element| (element & 7) as u8)
    }

    /// Puts `id` there with `tag`, whatever its tag was.
    pub(super) fn insert(&mut self, id: u32, tag: u8) {
        assert!(id < LIMIT, "{id} does not fit into 29 bits");
        let element = id << 3 | u32::from(tag);
        match self {
            Self::Few(list) => {
                let at = place(list, id);
                if list.get(at).is_some_and(|it| it >> 3 == id) {
                    list[at] = element;
                } else {
                    list.insert(at, element);
                    if FEW < list.len() {
                        *self = Self::Many(list.iter().copied().collect());
                    }
                }
            }
            Self::Many(set) => {
                if let Some(&before) = set.range(id << 3..=id << 3 | 7).next() {
                    set.remove(&before);
                }
                set.insert(element);
            }
        }
    }

    /// Takes `id` out; its tag, if it was there.
    pub(super) fn remove(&mut self, id: u32) -> Option<u8> {
        let tag = self.tag(id)?;
        match self {
            Self::Few(list) => {
                let at = place(list, id);
                list.remove(at);
                shrink(list);
            }
            Self::Many(set) => {
                set.remove(&(id << 3 | u32::from(tag)));
                if set.len() < FEW / 2 {
                    *self = Self::Few(set.iter().copied().collect());
                }
            }
        }
        Some(tag)
    }

    /// Clears `bits` in every tag and takes out what has no bit left. Calls `visit` with each number and what is left of
    /// its tag, ascending.
    pub(super) fn clear_bits(&mut self, bits: u8, mut visit: impl FnMut(u32, u8)) {
        let mask = !u32::from(bits);
        let mut keep = |element: u32| {
            let left = element & mask;
            visit(element >> 3, (left & 7) as u8);
            (left & 7 != 0).then_some(left)
        };
        match self {
            Self::Few(list) => {
                list.retain_mut(|element| match keep(*element) {
                    Some(left) => {
                        *element = left;
                        true
                    }
                    None => false,
                });
                shrink(list);
            }
            Self::Many(set) => {
                if set.iter().any(|element| element & !mask != 0) {
                    let left: Vec<u32> = set.iter().filter_map(|&element| keep(element)).collect();
                    *self = if left.len() <= FEW {
                        Self::Few(left)
                    } else {
                        Self::Many(left.into_iter().collect())
                    };
                } else {
                    for &element in set.iter() {
                        keep(element);
                    }
                }
            }
        }
    }

    /// Numbers and tags, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, u8)> {
        let (few, many) = match self {
            Self::Few(list) => (Some(list.iter()), None),
            Self::Many(set) => (None, Some(set.iter())),
        };
        let elements = few.into_iter().flatten().chain(many.into_iter().flatten());
        elements.map(|element| (element >> 3, (element & 7) as u8))
    }
}

/// Where `id` is or would be.
fn place(list: &[u32], id: u32) -> usize {
    list.partition_point(|element| element >> 3 < id)
}

/// Gives memory back when three quarters of it are unused.
fn shrink(list: &mut Vec<u32>) {
    if list.is_empty() {
        *list = Vec::new();
    } else if 16 < list.capacity() && list.len() < list.capacity() / 4 {
        list.shrink_to(list.len() * 2);
    }
}

/// Most elements of a sorted list: inserting moves 2 KiB on average.
const FEW: usize = 1024;
