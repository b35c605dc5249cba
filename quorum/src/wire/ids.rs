//! The ids that a forwarded request was authenticated with.

use alloc::vec::Vec;

use jute::{DecodeError, Field, Reader};

/// One id of a client: a scheme and what it vouches for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id<'a> {
    /// How `id` is to be read; `None` is jute's null.
    pub scheme: Option<&'a [u8]>,
    /// Who; `None` is jute's null.
    pub id: Option<&'a [u8]>,
}

impl<'a> Field<'a> for Id<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { scheme: reader.bytes()?, id: reader.bytes()? })
    }
    fn write(&self, out: &mut Vec<u8>) {
        self.scheme.write(out);
        self.id.write(out);
    }
}

/// A vector of ids, checked when read, kept as its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdList<'a> {
    /// The entries' encodings, without the count.
    raw: &'a [u8],
    /// `None` is jute's null vector.
    count: Option<u32>,
}

impl<'a> IdList<'a> {
    /// Jute's null vector, which every packet but REQUEST carries.
    pub const NULL: Self = Self { raw: &[], count: None };

    /// The list that stands in `bytes`, count first, as [`Field::write`] and [`IdList::write_all`] make it.
    ///
    /// # Errors
    /// [`DecodeError`] if `bytes` hold no list.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        Self::read(&mut Reader::new(bytes))
    }

    /// Appends a list of `ids` to `out`, count first.
    pub fn write_all<'b>(ids: impl ExactSizeIterator<Item = Id<'b>>, out: &mut Vec<u8>) {
        (ids.len() as i32).write(out);
        for id in ids {
            id.write(out);
        }
    }

    /// Whether this is jute's null vector, which is not the empty one.
    pub fn is_null(&self) -> bool {
        self.count.is_none()
    }

    /// How many ids; 0 for null.
    pub fn len(&self) -> usize {
        self.count.unwrap_or(0) as usize
    }

    /// Whether there is no id.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The ids in order.
    pub fn iter(&self) -> IdIter<'a> {
        IdIter { reader: Reader::new(self.raw), left: self.len() }
    }
}

impl<'a> IntoIterator for &IdList<'a> {
    type Item = Id<'a>;
    type IntoIter = IdIter<'a>;
    fn into_iter(self) -> IdIter<'a> {
        self.iter()
    }
}

impl<'a> Field<'a> for IdList<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let count = reader.count()?;
        let start = reader.rest();
        for _ in 0..count.unwrap_or(0) {
            Id::read(reader)?;
        }
        Ok(Self { raw: &start[..start.len() - reader.rest().len()], count })
    }
    fn write(&self, out: &mut Vec<u8>) {
        self.count.map_or(-1, |count| count as i32).write(out);
        out.extend_from_slice(self.raw);
    }
}

/// Walks an [`IdList`].
#[derive(Clone, Debug)]
pub struct IdIter<'a> {
    reader: Reader<'a>,
    left: usize,
}

impl<'a> Iterator for IdIter<'a> {
    type Item = Id<'a>;
    fn next(&mut self) -> Option<Id<'a>> {
        self.left = self.left.checked_sub(1)?;
        Id::read(&mut self.reader).ok()
    }
}
