//! The numbers that identify things: zxid, session id, xid.

use alloc::vec::Vec;
use core::fmt;

use crate::{DecodeError, Field, Reader};

/// The order of transactions: epoch in the high 32 bits, counter in the low. Compared as a signed number, as Java does.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Zxid(pub i64);

impl Zxid {
    /// Before every transaction.
    pub const ZERO: Self = Self(0);

    /// The leader generation that made this zxid.
    pub fn epoch(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The count within its epoch.
    pub fn counter(self) -> u32 {
        self.0 as u32
    }

    /// The zxid after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Zxid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Debug for Zxid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A client's lease. 0 is no session.
///
/// Source: `SessionTrackerImpl.initializeNextSessionId`.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub i64);

impl SessionId {
    /// No session.
    pub const NONE: Self = Self(0);

    /// The first id that a server gives out: one byte of server id, 40 bits of milliseconds, 16 zero bits.
    ///
    /// `monotonic_ms` is milliseconds of a clock that does not go back; the next ids count up from here.
    /// Source: `SessionTrackerImpl.initializeNextSessionId`. The container constant is never given out.
    pub fn first(server_id: u8, monotonic_ms: i64) -> Self {
        let ms = ((monotonic_ms << 24) as u64) >> 8;
        let id = ms as i64 | (i64::from(server_id) << 56);
        Self(if id == i64::MIN { id + 1 } else { id })
    }

    /// The id after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A client's number for its request; the reply carries it back. Negative ones have a fixed meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Xid(pub i32);

impl Xid {
    /// A watch event.
    pub const NOTIFICATION: Self = Self(-1);
    /// A ping and its reply.
    pub const PING: Self = Self(-2);
    /// An auth packet and its reply.
    pub const AUTH: Self = Self(-4);
    /// Watches set again after a reconnect, and the reply.
    pub const SET_WATCHES: Self = Self(-8);
}

macro_rules! transparent {
    ($($name:ident: $inner:ty),*) => { $(
        impl Field<'_> for $name {
            fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Ok(Self(<$inner>::read(reader)?))
            }
            fn write(&self, out: &mut Vec<u8>) {
                self.0.write(out);
            }
        }
    )* };
}
transparent!(Zxid: i64, SessionId: i64, Xid: i32);

#[cfg(test)]
mod tests {
    use super::SessionId;

    #[test]
    fn a_server_id_of_128_makes_negative_session_ids() {
        assert!(SessionId::first(128, 0).0 < 0);
        assert_ne!(SessionId::first(128, 0).0, i64::MIN);
    }

    #[test]
    fn the_first_id_has_sixteen_zero_bits_below_the_milliseconds() {
        let id = SessionId::first(1, 0x12_3456_789a);
        assert_eq!(id.0, 0x0112_3456_789a_0000);
        assert_eq!(SessionId::first(1, 0x7f12_3456_789a).0, id.0);
    }
}
