//! The ids that a forwarded request was authenticated with.

use alloc::vec::Vec;

use jute::{DecodeError, Field, List, Reader};

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

/// A vector of ids; every packet but REQUEST carries the null one.
pub type IdList<'a> = List<'a, Id<'a>>;
