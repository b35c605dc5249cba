//! Access control lists, kept as the bytes they came in.

use alloc::vec::Vec;

use crate::field::record;
use crate::{DecodeError, Field, List, Reader};

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

impl Field<'_> for Perms {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.i32().map(Self)
    }
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }
}

record! {
    /// One entry of an ACL: permissions for an id of a scheme.
    AclEntry<'a> {
        /// What is allowed.
        perms: Perms,
        /// How `id` is to be read; `None` is jute's null.
        scheme: Option<&'a [u8]>,
        /// Who; `None` is jute's null.
        id: Option<&'a [u8]>,
    }
}

/// A vector of ACL entries.
pub type AclList<'a> = List<'a, AclEntry<'a>>;

impl AclList<'static> {
    /// Everything for `world:anyone`. Source: `ZooDefs.Ids.OPEN_ACL_UNSAFE`.
    pub const fn open() -> Self {
        Self::of(1, b"\0\0\0\x1f\0\0\0\x05world\0\0\0\x06anyone")
    }

    /// Reading for `world:anyone`. Source: `ZooDefs.Ids.READ_ACL_UNSAFE`.
    pub const fn read_only() -> Self {
        Self::of(1, b"\0\0\0\x01\0\0\0\x05world\0\0\0\x06anyone")
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
}
