//! Vectors on the wire, kept as the bytes they came in.
//!
//! ZooKeeper: `Index` of `InputArchive`. Invariant: what the bytes hold was read once, so walking them cannot fail.

use alloc::vec::Vec;
use core::marker::PhantomData;

use crate::{DecodeError, Field, Reader};

/// A vector of `T`, checked when read, kept as its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct List<'a, T> {
    /// The elements' encodings, without the count.
    raw: &'a [u8],
    /// `None` is jute's null vector.
    count: Option<u32>,
    of: PhantomData<T>,
}

/// A vector of ustrings; a null string is empty.
pub type Strings<'a> = List<'a, &'a [u8]>;

impl<'a, T: Field<'a>> List<'a, T> {
    /// Jute's null vector.
    pub const NULL: Self = Self { raw: &[], count: None, of: PhantomData };
    /// The vector without elements.
    pub const EMPTY: Self = Self { raw: &[], count: Some(0), of: PhantomData };

    /// The list of `count` elements whose encodings are `raw`.
    pub(crate) const fn of(count: u32, raw: &'a [u8]) -> Self {
        Self { raw, count: Some(count), of: PhantomData }
    }

    /// The list that stands in `bytes`, count first, as [`Field::write`] and [`List::write_all`] make it.
    ///
    /// # Errors
    /// [`DecodeError`] if `bytes` hold no list.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        Self::read(&mut Reader::new(bytes))
    }

    /// Appends a list of `items` to `out`, count first.
    pub fn write_all(items: impl ExactSizeIterator<Item = T>, out: &mut Vec<u8>) {
        (items.len() as i32).write(out);
        for item in items {
            item.write(out);
        }
    }

    /// Whether this is jute's null vector, which is not the empty one.
    pub fn is_null(&self) -> bool {
        self.count.is_none()
    }

    /// How many elements; 0 for null.
    pub fn len(&self) -> usize {
        self.count.unwrap_or(0) as usize
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements in order.
    pub fn iter(&self) -> ListIter<'a, T> {
        ListIter { reader: Reader::new(self.raw), left: self.len(), of: PhantomData }
    }
}

impl<'a, T: Field<'a>> Field<'a> for List<'a, T> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let count = reader.count()?;
        let start = reader.rest();
        for _ in 0..count.unwrap_or(0) {
            T::read(reader)?;
        }
        let raw = &start[..start.len() - reader.rest().len()];
        Ok(Self { raw, count, of: PhantomData })
    }
    fn write(&self, out: &mut Vec<u8>) {
        self.count.map_or(-1, |count| count as i32).write(out);
        out.extend_from_slice(self.raw);
    }
}

impl<'a, T: Field<'a>> IntoIterator for &List<'a, T> {
    type Item = T;
    type IntoIter = ListIter<'a, T>;
    fn into_iter(self) -> ListIter<'a, T> {
        self.iter()
    }
}

/// Walks a [`List`].
#[derive(Clone, Debug)]
pub struct ListIter<'a, T> {
    reader: Reader<'a>,
    left: usize,
    of: PhantomData<T>,
}

impl<'a, T: Field<'a>> Iterator for ListIter<'a, T> {
    type Item = T;
    fn next(&mut self) -> Option<T> {
        self.left = self.left.checked_sub(1)?;
        T::read(&mut self.reader).ok()
    }
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<'a, T: Field<'a>> ExactSizeIterator for ListIter<'a, T> {}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::{List, Strings};
    use crate::Field as _;

    #[test]
    fn a_list_reads_back_as_it_was_written() {
        let mut bytes = Vec::new();
        List::write_all([7_i64, -1].into_iter(), &mut bytes);
        let list = List::<i64>::decode(&bytes).unwrap();
        assert_eq!((list.len(), list.iter().collect::<Vec<_>>()), (2, [7, -1].to_vec()));
        let mut again = Vec::new();
        list.write(&mut again);
        assert_eq!(again, bytes);
    }

    #[test]
    fn null_and_empty_are_two_lists_without_elements() {
        for (list, wire) in [(Strings::NULL, [0xff; 4]), (Strings::EMPTY, [0; 4])] {
            let mut bytes = Vec::new();
            list.write(&mut bytes);
            assert_eq!((bytes.as_slice(), Strings::decode(&bytes)), (wire.as_slice(), Ok(list)));
            assert_eq!((list.is_empty(), list.iter().next()), (true, None));
        }
        assert!(Strings::NULL.is_null() && !Strings::EMPTY.is_null());
    }

    #[test]
    fn a_count_larger_than_the_bytes_is_refused() {
        assert!(List::<i32>::decode(&[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 1]).is_err());
    }
}
