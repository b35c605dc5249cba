//! Parts of a state that many states share, and the numbers that they are known by.
//!
//! A step changes one server and a connection or two; all else is shared with the state before, its number too.

use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::rc::Rc;

/// A part of a state.
#[derive(Clone, Debug)]
pub(super) struct Part<T> {
    value: Rc<T>,
    /// The numbers of `value`, as it looks from two sides; zeros if they are not known.
    sums: [u64; 2],
}

impl<T: Clone> Part<T> {
    pub(super) fn new(value: T) -> Self {
        Self { value: Rc::new(value), sums: [0; 2] }
    }

    /// To be changed: an own copy, if others share it.
    pub(super) fn edit(&mut self) -> &mut T {
        self.forget_sums();
        Rc::make_mut(&mut self.value)
    }

    /// Something that its numbers rest on has changed.
    pub(super) fn forget_sums(&mut self) {
        self.sums = [0; 2];
    }

    /// Its numbers, by this rule: always the same for all parts of a kind.
    pub(super) fn sums(&mut self, of: impl FnOnce(&T) -> [u64; 2]) -> [u64; 2] {
        if self.sums == [0; 2] {
            self.sums = of(&*self.value).map(|it| it | 1);
        }
        self.sums
    }
}

impl<T: Clone + Hash> Part<T> {
    /// Its number, where one is enough.
    pub(super) fn sum(&mut self) -> u64 {
        let [sum, _] = self.sums(|it| [sum_of(it), 0]);
        sum
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
#[derive(Clone, Copy, Debug)]
pub(super) struct Mix(pub(super) u64);

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
