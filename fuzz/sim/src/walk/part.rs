//! Parts of a state that many states share, and the numbers that states are known by.
//!
//! A step changes one server and a connection or two; all else is shared with the state before, its number too.

use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::rc::Rc;

/// A part of a state.
#[derive(Clone, Debug)]
pub(super) struct Part<T> {
    value: Rc<T>,
    /// The number of `value`; 0 if it is not known.
    sum: u64,
}

impl<T: Clone + Hash> Part<T> {
    pub(super) fn new(value: T) -> Self {
        Self { value: Rc::new(value), sum: 0 }
    }

    /// To be changed: an own copy, if others share it.
    pub(super) fn edit(&mut self) -> &mut T {
        self.sum = 0;
        Rc::make_mut(&mut self.value)
    }

    /// Its number.
    pub(super) fn sum(&mut self) -> u64 {
        if self.sum == 0 {
            self.sum = sum_of(&*self.value) | 1;
        }
        self.sum
    }
}

impl<T> Deref for Part<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// The number of a value.
pub(super) fn sum_of(value: impl Hash) -> u64 {
    let mut mix = Mix(0x243f_6a88_85a3_08d3);
    value.hash(&mut mix);
    mix.finish()
}

/// Folded products, as others have them: fast, and as good as chance for what nobody chose to collide.
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        fold(self.0 ^ 0xa409_3822_299f_31d0, 0x9e37_79b9_7f4a_7c15)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_be_bytes(word));
        }
    }

    fn write_u8(&mut self, it: u8) {
        self.write_u64(u64::from(it));
    }

    fn write_u32(&mut self, it: u32) {
        self.write_u64(u64::from(it));
    }

    fn write_u64(&mut self, it: u64) {
        self.0 = fold(self.0 ^ it, 0xd6e8_feb8_6659_fd93).wrapping_add(it.rotate_left(23));
    }

    fn write_usize(&mut self, it: usize) {
        self.write_u64(it as u64);
    }
}

fn fold(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    product as u64 ^ (product >> 64) as u64
}

/// Numbers of states that were seen: 64 bits of each.
///
/// A state whose number another one has is not followed. Among n states that happens to n²/2⁶⁵ in the mean: to one in 40,000 walks of
/// thirty million.
#[derive(Debug)]
pub(super) struct Seen {
    slots: Vec<u64>,
    count: usize,
}

impl Seen {
    pub(super) fn new() -> Self {
        Self { slots: vec![0; 1 << 10], count: 0 }
    }

    /// Whether it is new.
    pub(super) fn insert(&mut self, sum: u64) -> bool {
        if self.slots.len() / 4 * 3 < self.count {
            let bigger = vec![0; self.slots.len() * 2];
            for old in std::mem::replace(&mut self.slots, bigger) {
                if old != 0 {
                    self.place(old);
                }
            }
        }
        let is_new = self.place(sum.max(1));
        self.count += usize::from(is_new);
        is_new
    }

    fn place(&mut self, sum: u64) -> bool {
        let mask = self.slots.len() - 1;
        let mut at = sum as usize & mask;
        while self.slots[at] != 0 {
            if self.slots[at] == sum {
                return false;
            }
            at = (at + 1) & mask;
        }
        self.slots[at] = sum;
        true
    }
}
