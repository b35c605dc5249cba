//! Tags and lengths of DER, as certificates and key stores are written. Borrows; reading allocates nothing.
//!
//! *Absent:* indefinite lengths, which DER has not; tags above 30.

use super::store::StoreError;

/// A whole number.
pub(super) const INTEGER: u8 = 0x02;
/// Bytes.
pub(super) const OCTETS: u8 = 0x04;
/// The name of a kind of thing.
pub(super) const OID: u8 = 0x06;
/// Text of two bytes a character.
pub(super) const BMP_STRING: u8 = 0x1e;
/// Things in order.
pub(super) const SEQUENCE: u8 = 0x30;
/// Things in no order.
pub(super) const SET: u8 = 0x31;

/// The tag of the explicit field with that number.
pub(super) const fn field(number: u8) -> u8 {
    0xa0 | number
}

/// What is left to read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The tag of the next thing.
    pub(super) fn peek(self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The next thing: its tag and what it holds.
    ///
    /// # Errors
    /// [`StoreError::Malformed`].
    pub(super) fn next(&mut self) -> Result<(u8, &'a [u8]), StoreError> {
        let (tag, body, _) = self.next_whole()?;
        Ok((tag, body))
    }

    /// The same, and the bytes with tag and length.
    ///
    /// # Errors
    /// [`StoreError::Malformed`].
    pub(super) fn next_whole(&mut self) -> Result<(u8, &'a [u8], &'a [u8]), StoreError> {
        let all = self.0;
        let [tag, first, rest @ ..] = all else { return Err(StoreError::Malformed) };
        let (len, rest) = match first {
            len @ 0..=0x7f => (usize::from(*len), rest),
            0x81..=0x84 => {
                let (len, rest) = rest
                    .split_at_checked(usize::from(first & 0x7f))
                    .ok_or(StoreError::Malformed)?;
                (len.iter().fold(0, |len, &byte| len << 8 | usize::from(byte)), rest)
            }
            _ => return Err(StoreError::Malformed),
        };
        let (body, rest) = rest.split_at_checked(len).ok_or(StoreError::Malformed)?;
        self.0 = rest;
        Ok((*tag, body, &all[..all.len() - rest.len()]))
    }

    /// What the next thing holds, which has to be a `tag`.
    ///
    /// # Errors
    /// [`StoreError::Malformed`].
    pub(super) fn take(&mut self, tag: u8) -> Result<&'a [u8], StoreError> {
        match self.next()? {
            (found, body) if found == tag => Ok(body),
            _ => Err(StoreError::Malformed),
        }
    }

    /// The same, to read on in it.
    ///
    /// # Errors
    /// [`StoreError::Malformed`].
    pub(super) fn enter(&mut self, tag: u8) -> Result<Self, StoreError> {
        self.take(tag).map(Self)
    }

    /// A number that is not negative.
    ///
    /// # Errors
    /// [`StoreError::Malformed`], also if it has more than 31 bits.
    pub(super) fn number(&mut self) -> Result<u32, StoreError> {
        let bytes = self.take(INTEGER)?;
        if bytes.is_empty() || 4 < bytes.len() || 0x80 <= bytes[0] {
            return Err(StoreError::Malformed);
        }
        Ok(bytes.iter().fold(0, |number, &byte| number << 8 | u32::from(byte)))
    }
}
