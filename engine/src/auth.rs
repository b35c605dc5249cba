//! Who a connection is: the ids that its ACL checks go by.

use alloc::vec::Vec;

/// One id of one scheme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthId {
    /// The scheme, as in an ACL entry.
    pub scheme: Vec<u8>,
    /// The id within the scheme.
    pub id: Vec<u8>,
}

/// All ids of a connection, in the order they were added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthIds {
    /// The ids; the first is the address.
    pub ids: Vec<AuthId>,
}
