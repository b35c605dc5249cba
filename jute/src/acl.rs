//! Access control lists, kept as the bytes they came in.

use alloc::vec::Vec;

use crate::{DecodeError, Field, Reader};

/// Permission bits. Source: `ZooDefs.Perms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Perms(pub i32);

impl Perms {
    /// Data and children may be read.
    pub const READ: Self = Self(1);
    /// Data may be set.
    pub const WRITE: Self = Self(2);
    /// Children may be created.
    pub const CREATE: Self = Self(4);
    /// Children may be deleted.
    pub const DELETE: Self = Self(8);
    /// The ACL may be set.
    pub const ADMIN: Self = Self(16);
    /// Everything.
    pub const ALL: Self = Self(31);

    /// Whether any bit of `wanted` is here.
    pub fn any(self, wanted: Self) -> bool {
        self.0 & wanted.0 != 0
    }

    /// The bits of both.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// One entry of an ACL: permissions for an id of a scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AclEntry<'a> {
    /// What is allowed.
    pub perms: Perms,
    /// How `id` is to be read; `None` is jute's null.
    pub scheme: Option<&'a [u8]>,
    /// Who; `None` is jute's null.
    pub id: Option<&'a [u8]>,
}

impl<'a> Field<'a> for AclEntry<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { perms: Perms(reader.i32()?), scheme: reader.bytes()?, id: reader.bytes()? })
    }
    fn write(&self, out: &mut Vec<u8>) {
        self.perms.0.write(out);
        self.scheme.write(out);
        self.id.write(out);
    }
}

/// A vector of ACL entries, checked when read, kept as its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AclList<'a> {
    /// The entries' encodings, without the count.
    raw: &'a [u8],
    /// `None` is jute's null vector.
    count: Option<u32>,
}

impl<'a> AclList<'a> {
    /// `world:anyone` may do everything; without the count.
    const OPEN: &'static [u8] = b"\0\0\0\x1f\0\0\0\x05world\0\0\0\x06anyone";
    /// `world:anyone` may read; without the count.
    const READ: &'static [u8] = b"\0\0\0\x01\0\0\0\x05world\0\0\0\x06anyone";

    /// Everything for `world:anyone`. Source: `ZooDefs.Ids.OPEN_ACL_UNSAFE`.
    pub fn open() -> AclList<'static> {
        AclList { raw: AclList::OPEN, count: Some(1) }
    }

    /// Reading for `world:anyone`. Source: `ZooDefs.Ids.READ_ACL_UNSAFE`.
    pub fn read_only() -> AclList<'static> {
        AclList { raw: AclList::READ, count: Some(1) }
    }

    /// The list that stands in `bytes`, count first, as [`Field::write`] made it.
    ///
    /// # Errors
    /// [`DecodeError`] if `bytes` hold no list.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        Self::read(&mut Reader::new(bytes))
    }

    /// Whether this is jute's null vector, which is not the empty one.
    pub fn is_null(&self) -> bool {
        self.count.is_none()
    }

    /// How many entries; 0 for null.
    pub fn len(&self) -> usize {
        self.count.unwrap_or(0) as usize
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entries in order.
    pub fn iter(&self) -> AclIter<'a> {
        AclIter { reader: Reader::new(self.raw), left: self.len() }
    }
}

impl<'a> IntoIterator for &AclList<'a> {
    type Item = AclEntry<'a>;
    type IntoIter = AclIter<'a>;
    fn into_iter(self) -> AclIter<'a> {
        self.iter()
    }
}

/// Walks an [`AclList`].
#[derive(Clone, Debug)]
pub struct AclIter<'a> {
    reader: Reader<'a>,
    left: usize,
}

impl<'a> Iterator for AclIter<'a> {
    type Item = AclEntry<'a>;
    fn next(&mut self) -> Option<AclEntry<'a>> {
        self.left = self.left.checked_sub(1)?;
        AclEntry::read(&mut self.reader).ok()
    }
}

impl<'a> Field<'a> for AclList<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let count = reader.count()?;
        let start = reader.rest();
        for _ in 0..count.unwrap_or(0) {
            AclEntry::read(reader)?;
        }
        let raw = &start[..start.len() - reader.rest().len()];
        Ok(Self { raw, count })
    }
    fn write(&self, out: &mut Vec<u8>) {
        self.count.map_or(-1, |count| count as i32).write(out);
        out.extend_from_slice(self.raw);
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::{AclEntry, AclList, Perms};
    use crate::Field;

    #[test]
    fn the_open_list_is_world_anyone_with_every_permission() {
        let mut bytes = Vec::new();
        AclList::open().write(&mut bytes);
        let list = AclList::decode(&bytes).unwrap();
        let world =
            AclEntry { perms: Perms::ALL, scheme: Some(b"world"), id: Some(b"anyone".as_slice()) };
        assert_eq!(list.iter().collect::<Vec<_>>(), [world]);
        assert_eq!(list, AclList::open());
    }

    #[test]
    fn a_count_larger_than_the_bytes_is_refused() {
        assert!(AclList::decode(&[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 1]).is_err());
    }
}
