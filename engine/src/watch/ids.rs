//! A set of numbers, each with a tag of three bits: four bytes an element, and little more.
//!
//! Invariants: a number is there once; walks ascend. A large set is a row of sorted lists, none of them empty and none
//! longer than [`LIST_MAX`], so that inserting moves 4 KiB at most, however many there are.

use alloc::boxed::Box;
use alloc::vec::Vec;

/// Numbers are below this.
pub(super) const LIMIT: u32 = 1 << 29;

/// The numbers; an element is `number << 3 | tag`.
#[derive(Debug)]
pub(super) enum Ids {
    /// One sorted list.
    Few(Vec<u32>),
    /// More than fit into one.
    Many(Box<Lists>),
}

/// A row of lists.
#[derive(Debug)]
pub(super) struct Lists {
    lists: Vec<Vec<u32>>,
    /// Elements in all of them.
    len: usize,
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
            Self::Many(lists) => lists.len,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The tag of `id`, if it is there.
    pub(super) fn tag(&self, id: u32) -> Option<u8> {
        let list = match self {
            Self::Few(list) => list,
            Self::Many(lists) => &lists.lists[lists.place(id)],
        };
        let element = list.get(place(list, id)).filter(|&&it| it >> 3 == id);
        element.map(|element| (element & 7) as u8)
    }

    /// Puts `id` there with `tag`, whatever its tag was.
    pub(super) fn insert(&mut self, id: u32, tag: u8) {
        assert!(id < LIMIT, "{id} does not fit into 29 bits");
        let element = id << 3 | u32::from(tag);
        match self {
            Self::Few(list) => {
                if list.len() < LIST_MAX {
                    put(list, element);
                } else {
                    let mut lists =
                        Lists { len: list.len(), lists: [core::mem::take(list)].into() };
                    lists.insert(element);
                    *self = Self::Many(Box::new(lists));
                }
            }
            Self::Many(lists) => lists.insert(element),
        }
    }

    /// Takes `id` out; its tag, if it was there.
    pub(super) fn remove(&mut self, id: u32) -> Option<u8> {
        let element = match self {
            Self::Few(list) => {
                let removed = take(list, id);
                shrink(list);
                removed
            }
            Self::Many(lists) => lists.remove(id),
        };
        self.settle();
        element.map(|element| (element & 7) as u8)
    }

    /// Clears `bits` in every tag and takes out what has no bit left. Calls `visit` with each number and what is left of
    /// its tag, ascending.
    pub(super) fn clear_bits(&mut self, bits: u8, mut visit: impl FnMut(u32, u8)) {
        let mask = !u32::from(bits);
        let mut keep = |element: &mut u32| {
            *element &= mask;
            let left = (*element & 7) as u8;
            visit(*element >> 3, left);
            left != 0
        };
        match self {
            Self::Few(list) => {
                list.retain_mut(keep);
                shrink(list);
            }
            Self::Many(lists) => {
                for list in &mut lists.lists {
                    list.retain_mut(&mut keep);
                }
                lists.lists.retain(|list| !list.is_empty());
                lists.len = lists.lists.iter().map(Vec::len).sum();
                lists.merge_all();
            }
        }
        self.settle();
    }

    /// Numbers and tags, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, u8)> {
        let (few, many) = match self {
            Self::Few(list) => (Some(list), None),
            Self::Many(lists) => (None, Some(&lists.lists)),
        };
        let elements = few.into_iter().chain(many.into_iter().flatten()).flatten();
        elements.map(|element| (element >> 3, (element & 7) as u8))
    }

    /// One list again, when everything fits into half of one.
    fn settle(&mut self) {
        if let Self::Many(lists) = self
            && lists.len <= LIST_MAX / 2
        {
            *self = Self::Few(lists.lists.concat());
        }
    }
}

impl Lists {
    /// The list in which `id` is or would be.
    fn place(&self, id: u32) -> usize {
        let behind =
            self.lists.partition_point(|list| list.first().is_some_and(|it| it >> 3 <= id));
        behind.saturating_sub(1)
    }

    fn insert(&mut self, element: u32) {
        let at = self.place(element >> 3);
        let list = &mut self.lists[at];
        let before = list.len();
        put(list, element);
        self.len += list.len() - before;
        if list.len() <= LIST_MAX {
            return;
        }
        // Numbers mostly come ascending: then the full list stays full, and the next one is begun.
        let last = at + 1 == self.lists.len();
        let list = &mut self.lists[at];
        let keep = if last { LIST_MAX - LIST_MAX / 8 } else { LIST_MAX / 2 };
        let mut behind = Vec::with_capacity(LIST_MAX);
        behind.extend(list.drain(keep..));
        list.shrink_to(LIST_MAX);
        self.lists.insert(at + 1, behind);
    }

    fn remove(&mut self, id: u32) -> Option<u32> {
        let at = self.place(id);
        let element = take(&mut self.lists[at], id)?;
        self.len -= 1;
        if self.lists[at].is_empty() {
            self.lists.remove(at);
        } else if self.lists[at].len() < LIST_MAX / 4 {
            self.merge(at);
        }
        Some(element)
    }

    /// Joins list `at` with the one behind it, if both fit well into one.
    fn merge(&mut self, at: usize) {
        let len = |at: usize| self.lists.get(at).map_or(LIST_MAX, Vec::len);
        if len(at) + len(at + 1) <= LIST_MAX * 3 / 4 {
            let behind = self.lists.remove(at + 1);
            self.lists[at].extend(behind);
        }
    }

    fn merge_all(&mut self) {
        for at in (0..self.lists.len().saturating_sub(1)).rev() {
            self.merge(at);
        }
    }
}

/// Where `id` is or would be.
fn place(list: &[u32], id: u32) -> usize {
    list.partition_point(|element| element >> 3 < id)
}

/// Puts an element into a sorted list, over the one of the same number.
fn put(list: &mut Vec<u32>, element: u32) {
    let at = place(list, element >> 3);
    match list.get_mut(at) {
        Some(there) if *there >> 3 == element >> 3 => *there = element,
        _ => list.insert(at, element),
    }
}

/// Takes the element of a number out of a sorted list.
fn take(list: &mut Vec<u32>, id: u32) -> Option<u32> {
    let at = place(list, id);
    (list.get(at)? >> 3 == id).then(|| list.remove(at))
}

/// Gives memory back when three quarters of it are unused.
fn shrink(list: &mut Vec<u32>) {
    if list.is_empty() {
        *list = Vec::new();
    } else if 16 < list.capacity() && list.len() < list.capacity() / 4 {
        list.shrink_to(list.len() * 2);
    }
}

/// Most elements of a list.
const LIST_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::vec::Vec;

    use super::{Ids, LIST_MAX};

    fn check(ids: &Ids, model: &BTreeMap<u32, u8>) {
        assert_eq!(ids.len(), model.len());
        assert!(ids.iter().eq(model.iter().map(|(&id, &tag)| (id, tag))));
        if let Ids::Many(lists) = ids {
            assert!(LIST_MAX / 2 < lists.len);
            assert!(lists.lists.iter().all(|list| (1..=LIST_MAX).contains(&list.len())));
        }
    }

    #[test]
    fn a_set_of_any_size_is_the_models() {
        for (seed, end) in [(1, 50), (2, 3_000), (3, 20_000), (4, 200_000)] {
            let (mut ids, mut model) = (Ids::default(), BTreeMap::new());
            let mut state: u64 = seed;
            let mut below = |end: u32| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                ((state >> 33) % u64::from(end)) as u32
            };
            for round in 0..60_000 {
                let (id, tag) = (below(end), 1 + below(7) as u8);
                // First it grows, then it shrinks.
                if below(60_000) < 55_000 - round * 5 / 6 {
                    ids.insert(id, tag);
                    model.insert(id, tag);
                } else {
                    assert_eq!(ids.tag(id), model.get(&id).copied());
                    assert_eq!(ids.remove(id), model.remove(&id));
                }
                if round % 1_000 == 0 {
                    check(&ids, &model);
                }
                if round % 20_000 == 19_999 {
                    let mut visited = Vec::new();
                    ids.clear_bits(1, |id, left| visited.push((id, left)));
                    for tag in model.values_mut() {
                        *tag &= !1;
                    }
                    assert!(visited.iter().copied().eq(model.iter().map(|(&id, &tag)| (id, tag))));
                    model.retain(|_, tag| *tag != 0);
                    check(&ids, &model);
                }
            }
            for id in model.keys() {
                assert!(ids.remove(*id).is_some());
            }
            assert!(ids.is_empty() && matches!(ids, Ids::Few(list) if list.capacity() == 0));
        }
    }

    #[test]
    fn ascending_numbers_fill_their_lists() {
        let mut ids = Ids::default();
        for id in 0..100_000 {
            ids.insert(id, 1);
        }
        let Ids::Many(lists) = &ids else { panic!("a hundred thousand are many") };
        assert!(lists.lists.len() <= 100_000 * 8 / 7 / LIST_MAX + 2, "{}", lists.lists.len());
    }
}
