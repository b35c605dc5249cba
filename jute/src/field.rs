//! How a field is read and written, and the macro that makes records of fields.

use alloc::vec::Vec;

use crate::{DecodeError, Reader};

/// A value with one jute encoding.
pub trait Field<'a>: Sized {
    /// Reads the value at the cursor.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes hold no such value.
    fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError>;
    /// Appends the value's encoding.
    fn write(&self, out: &mut Vec<u8>);
}

/// A sequence of fields: a jute record. Bytes behind its last field are ignored, as the reference ignores them.
pub trait Record<'a>: Field<'a> {
    /// Reads the record from the start of `bytes`.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes hold no such record.
    fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        Self::read(&mut Reader::new(bytes))
    }

    /// Appends the record to `out`.
    fn encode(&self, out: &mut Vec<u8>) {
        self.write(out);
    }
}

impl Field<'_> for bool {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.bool()
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
}

impl Field<'_> for i32 {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.i32()
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_be_bytes());
    }
}

impl Field<'_> for i64 {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.i64()
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_be_bytes());
    }
}

/// A buffer or a ustring; `None` is jute's null.
impl<'a> Field<'a> for Option<&'a [u8]> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        reader.bytes()
    }
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            None => (-1_i32).write(out),
            Some(bytes) => {
                (bytes.len() as i32).write(out);
                out.extend_from_slice(bytes);
            }
        }
    }
}

/// A buffer or a ustring where null reads as empty and is never written.
impl<'a> Field<'a> for &'a [u8] {
    fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(reader.bytes()?.unwrap_or_default())
    }
    fn write(&self, out: &mut Vec<u8>) {
        Some(*self).write(out);
    }
}

/// A vector of ustrings, checked when read, kept as its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strings<'a> {
    /// The elements' encodings, without the count.
    raw: &'a [u8],
    /// `None` is jute's null vector.
    count: Option<u32>,
}

impl<'a> Strings<'a> {
    /// How many strings; 0 for null.
    pub fn len(&self) -> usize {
        self.count.unwrap_or(0) as usize
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether this is jute's null vector, which is not the empty one.
    pub fn is_null(&self) -> bool {
        self.count.is_none()
    }

    /// The strings in order; a null string is empty.
    pub fn iter(&self) -> StringIter<'a> {
        StringIter { reader: Reader::new(self.raw), left: self.len() }
    }
}

impl<'a> IntoIterator for &Strings<'a> {
    type Item = &'a [u8];
    type IntoIter = StringIter<'a>;
    fn into_iter(self) -> StringIter<'a> {
        self.iter()
    }
}

/// Walks [`Strings`].
#[derive(Clone, Debug)]
pub struct StringIter<'a> {
    reader: Reader<'a>,
    left: usize,
}

impl<'a> Iterator for StringIter<'a> {
    type Item = &'a [u8];
    fn next(&mut self) -> Option<&'a [u8]> {
        self.left = self.left.checked_sub(1)?;
        let string = self.reader.bytes().ok()?;
        Some(string.unwrap_or_default())
    }
}

impl<'a> Field<'a> for Strings<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let count = reader.count()?;
        let start = reader.rest();
        for _ in 0..count.unwrap_or(0) {
            reader.bytes()?;
        }
        let raw = &start[..start.len() - reader.rest().len()];
        Ok(Self { raw, count })
    }
    fn write(&self, out: &mut Vec<u8>) {
        self.count.map_or(-1, |count| count as i32).write(out);
        out.extend_from_slice(self.raw);
    }
}

/// Declares a record: its fields in wire order.
macro_rules! record {
    ($(#[$doc:meta])* $name:ident<$life:lifetime> { $($(#[$fdoc:meta])* $field:ident: $kind:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name<$life> { $($(#[$fdoc])* pub $field: $kind,)* }
        impl<$life> $crate::Field<$life> for $name<$life> {
            fn read(reader: &mut $crate::Reader<$life>) -> Result<Self, $crate::DecodeError> {
                Ok(Self { $($field: $crate::Field::read(reader)?,)* })
            }
            fn write(&self, out: &mut alloc::vec::Vec<u8>) {
                $($crate::Field::write(&self.$field, out);)*
            }
        }
        impl<$life> $crate::Record<$life> for $name<$life> {}
    };
    ($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident: $kind:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name { $($(#[$fdoc])* pub $field: $kind,)* }
        impl $crate::Field<'_> for $name {
            fn read(reader: &mut $crate::Reader<'_>) -> Result<Self, $crate::DecodeError> {
                Ok(Self { $($field: $crate::Field::read(reader)?,)* })
            }
            fn write(&self, out: &mut alloc::vec::Vec<u8>) {
                $($crate::Field::write(&self.$field, out);)*
            }
        }
        impl $crate::Record<'_> for $name {}
    };
}
pub(crate) use record;
