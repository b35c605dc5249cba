//! The reading end: a cursor over bytes from outside.
//!
//! ZooKeeper: `BinaryInputArchive`. Invariant: the cursor never passes the end of its bytes.

/// Bytes from outside do not hold the record they should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end inside a field.
    #[error("{wanted} bytes wanted, {left} left")]
    Short {
        /// Bytes that the field needs.
        wanted: usize,
        /// Bytes that are left.
        left: usize,
    },
    /// A length below −1.
    #[error("length {len} is negative")]
    Length {
        /// The length as read.
        len: i32,
    },
    /// An op that this record cannot hold.
    #[error("op {op} has no place here")]
    Op {
        /// The op's number.
        op: i32,
    },
    /// Create flags that name no mode.
    #[error("create flags {flags} name no mode")]
    Flags {
        /// The flags as read.
        flags: i32,
    },
    /// Reads and writes in one multi.
    #[error("reads and writes are mixed in one multi")]
    Mixed,
}

/// A cursor over one record's bytes.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether everything has been read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    /// [`DecodeError::Short`] if there are fewer.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let Some((head, rest)) = self.rest.split_at_checked(len) else {
            return Err(DecodeError::Short { wanted: len, left: self.rest.len() });
        };
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let Some((head, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(DecodeError::Short { wanted: N, left: self.rest.len() });
        };
        self.rest = rest;
        Ok(*head)
    }

    /// One signed byte.
    ///
    /// # Errors
    /// [`DecodeError::Short`].
    pub fn i8(&mut self) -> Result<i8, DecodeError> {
        Ok(i8::from_be_bytes(self.array()?))
    }

    /// A boolean: any byte but zero is true.
    ///
    /// # Errors
    /// [`DecodeError::Short`].
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        Ok(self.i8()? != 0)
    }

    /// A jute int.
    ///
    /// # Errors
    /// [`DecodeError::Short`].
    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    /// A jute long.
    ///
    /// # Errors
    /// [`DecodeError::Short`].
    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    /// A jute buffer or ustring: an int length, then that many bytes; −1 is null.
    ///
    /// # Errors
    /// [`DecodeError::Short`], [`DecodeError::Length`].
    pub fn bytes(&mut self) -> Result<Option<&'a [u8]>, DecodeError> {
        match self.i32()? {
            -1 => Ok(None),
            len if len < 0 => Err(DecodeError::Length { len }),
            len => self.take(len as usize).map(Some),
        }
    }

    /// The count of a jute vector: `None` for null, and 0 for any other negative count, as the reference reads it.
    ///
    /// # Errors
    /// [`DecodeError::Short`].
    pub fn count(&mut self) -> Result<Option<u32>, DecodeError> {
        Ok(match self.i32()? {
            -1 => None,
            count => Some(count.max(0) as u32),
        })
    }
}
