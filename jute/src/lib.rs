//! Bytes to records and back: ZooKeeper's client and transaction records, ids, paths and codes.
//!
//! ZooKeeper: `zookeeper.jute`, `BinaryInputArchive`, `BinaryOutputArchive`. Everything is big-endian, without
//! tags. Records borrow from the bytes they were read from, and nothing is allocated while reading, so a length
//! or a count in the input can never cost more memory than the input itself.
//!
//! Absent here: sockets, framing limits, what a record means.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod acl;
mod code;
mod connect;
mod field;
mod ids;
mod list;
mod multi;
mod op;
mod path;
mod read;
mod reply;
mod request;
mod response;
mod stat;
mod txn;

pub use acl::{AclEntry, AclList, Perms};
pub use code::Code;
pub use connect::{ConnectRequest, ConnectResponse, PASSWORD_LEN, password};
pub use field::{Field, Record};
pub use ids::{SessionId, Xid, Zxid};
pub use list::{List, ListIter, Strings};
pub use multi::{MultiHeader, MultiOps};
pub use op::{CreateMode, Op};
pub use path::{Path, PathError, parent};
pub use read::{DecodeError, Reader};
pub use reply::{EventType, KeeperState, ReplyHeader, WatcherEvent};
pub use request::{
    AddWatchRequest, AuthPacket, CheckVersionRequest, CreateRequest, CreateTtlRequest,
    DeleteRequest, PathRequest, PathTypeRequest, PathWatchRequest, ReconfigRequest, RequestHeader,
    SaslRequest, SetAclRequest, SetDataRequest, SetWatches, SetWatches2,
};
pub use response::{
    ClientInfo, Create2Response, ErrorResponse, GetAclResponse, GetAllChildrenNumberResponse,
    GetChildren2Response, GetDataResponse, PathResponse, SaslResponse, StatResponse,
    StringsResponse, WhoAmIResponse,
};
pub use stat::Stat;
pub use txn::{
    CheckVersionTxn, CloseSessionTxn, CreateContainerTxn, CreateSessionTxn, CreateTtlTxn,
    CreateTxn, DeleteTxn, ErrorTxn, MultiTxn, SetAclTxn, SetDataTxn, SubTxn, TxnDigest, TxnHeader,
};
