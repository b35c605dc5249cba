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
