//! The records behind a reply header whose outcome is `Ok`. A ping, delete, setWatches or check is answered by the
//! header alone.

use crate::field::record;
use crate::{AclList, List, Stat, Strings};

record! {
    /// create, sync: the path.
    PathResponse<'a> {
        /// With its counter, if it was sequential.
        path: &'a [u8],
    }
}

record! {
    /// create2, createContainer, createTTL.
    Create2Response<'a> {
        /// With its counter, if it was sequential.
        path: &'a [u8],
        /// As it was created.
        stat: Stat,
    }
}

record! {
    /// exists, setData, setACL.
    StatResponse {
        /// As it is now.
        stat: Stat,
    }
}

record! {
    /// getData, reconfig.
    GetDataResponse<'a> {
        /// The data; null stays null.
        data: Option<&'a [u8]>,
        /// As it is now.
        stat: Stat,
    }
}

record! {
    /// getChildren, getEphemerals.
    StringsResponse<'a> {
        /// Names of children; paths of ephemerals.
        strings: Strings<'a>,
    }
}

record! {
    /// getChildren2.
    GetChildren2Response<'a> {
        /// Their names.
        children: Strings<'a>,
        /// The parent's.
        stat: Stat,
    }
}

record! {
    /// getACL.
    GetAclResponse<'a> {
        /// Masked for who may not set it.
        acl: AclList<'a>,
        /// As it is now.
        stat: Stat,
    }
}

record! {
    /// getAllChildrenNumber.
    GetAllChildrenNumberResponse {
        /// How many znodes are below.
        total: i32,
    }
}

record! {
    /// The result of one op of a multi that did not do what it should. Source: `ErrorResponse`.
    ErrorResponse {
        /// Why.
        err: i32,
    }
}

record! {
    /// sasl, both ways.
    SaslResponse<'a> {
        /// The mechanism's bytes.
        token: Option<&'a [u8]>,
    }
}

record! {
    /// One id of a connection, as whoAmI shows it.
    ClientInfo<'a> {
        /// The scheme.
        scheme: &'a [u8],
        /// Who, without secrets.
        user: &'a [u8],
    }
}

record! {
    /// whoAmI.
    WhoAmIResponse<'a> {
        /// The connection's ids.
        ids: List<'a, ClientInfo<'a>>,
    }
}
