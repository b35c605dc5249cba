//! The first bytes of an election connection: who connects, and where it listens.

use alloc::string::ToString;
use alloc::vec::Vec;

use jute::{DecodeError, Field, Reader};

use crate::{Address, Sid};

/// First long of the form with one address.
const V1: i64 = -65_536;
/// First long of the form with several.
const V2: i64 = -65_535;
/// The longest address part. Bytes.
const ADDRESS_LEN_MAX: usize = 2_048;

/// A connection that does not begin as one does. It is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InitialError {
    /// A form that nobody speaks.
    #[error("election protocol version {version}")]
    Version {
        /// The first long.
        version: i64,
    },
    /// An address part of impossible length.
    #[error("an address of {len} bytes, 1 to {ADDRESS_LEN_MAX} are allowed")]
    Length {
        /// The length as read.
        len: i32,
    },
    /// An address that is none.
    #[error("no address in {len} bytes that should hold one")]
    Address {
        /// Their count.
        len: usize,
    },
}

/// Who connects, and where it listens.
///
/// Source: `QuorumCnxManager.InitialMessage`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Initial {
    /// The connecting server; [`Sid::ANONYMOUS`] if it has no id.
    pub sid: Sid,
    /// Where it listens for election messages; without wildcards, which nobody can connect to. Empty: as configured.
    pub addresses: Vec<Address>,
}

impl Initial {
    /// The longest first message. Bytes.
    pub const LEN_MAX: usize = 20 + ADDRESS_LEN_MAX;

    /// Cuts the message off `bytes`: it, and its length. `None` while it is incomplete.
    ///
    /// # Errors
    /// [`InitialError`].
    pub fn split(bytes: &[u8]) -> Result<Option<(Self, usize)>, InitialError> {
        let mut reader = Reader::new(bytes);
        let Ok(version) = reader.i64() else { return Ok(None) };
        if 0 <= version {
            // Before 3.5 the id stood alone.
            return Ok(Some((Self { sid: Sid(version), addresses: Vec::new() }, 8)));
        }
        if version != V1 && version != V2 {
            return Err(InitialError::Version { version });
        }
        let (Ok(sid), Ok(len)) = (reader.i64(), reader.i32()) else { return Ok(None) };
        let text_len = usize::try_from(len).unwrap_or(0);
        if text_len == 0 || ADDRESS_LEN_MAX < text_len {
            return Err(InitialError::Length { len });
        }
        match reader.take(text_len) {
            Err(DecodeError::Short { .. }) => Ok(None),
            Err(_) => Err(InitialError::Length { len }),
            Ok(text) => {
                let addresses = addresses(text).ok_or(InitialError::Address { len: text_len })?;
                Ok(Some((Self { sid: Sid(sid), addresses }, 20 + text_len)))
            }
        }
    }

    /// Appends the message: form 1 with one address, form 2 with several.
    ///
    /// It must leave in one write: the reference reads the address only once.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let texts: Vec<_> = self.addresses.iter().map(ToString::to_string).collect();
        let version = if self.addresses.len() <= 1 { V1 } else { V2 };
        version.write(out);
        self.sid.0.write(out);
        texts.join("|").as_bytes().write(out);
    }
}

/// Reads `host:port|…`, and drops the wildcards.
fn addresses(text: &[u8]) -> Option<Vec<Address>> {
    let text = core::str::from_utf8(text).ok()?;
    let mut addresses = Vec::new();
    for part in text.split('|') {
        let address = Address::parse(part).ok()?;
        if !address.is_wildcard() {
            addresses.push(address);
        }
    }
    Some(addresses)
}
