//! The transaction log: segments, group commit, replay.
//!
//! ZooKeeper: `FileTxnLog`, `FilePadding`, `FileTxnSnapLog.restore`. A segment is a file of fixed size, filled with zeros ahead of time
//! and recycled; a frame in it is one group commit, written with one direct `O_DSYNC` write. What each byte means is in
//! `docs/disk.md`.
//!
//! Pure: [`frame`], [`batch`], [`append`], [`segment`], [`scan`], [`replay`] (the decision table), [`cut`],
//! [`purge`]. Drivers: [`open`] (blocking, before any
//! shard starts), [`Log`] with its ring, and the preparer thread behind it;
//! [`LogReader`], for whoever reads what is there.
//!
//! Invariants: zxids strictly ascend over the whole log; one write is in flight at most; after a failed write every later append
//! fails. Absent here: what a transaction means, sockets, the lock on the directory (the caller has it).

extern crate alloc;

pub mod append;
pub mod batch;
pub mod cut;
mod disk;
pub mod frame;
mod hold;
pub mod inspect;
mod log;
mod map;
mod open;
mod preparer;
pub mod purge;
mod reader;
pub mod replay;
mod ring;
pub mod scan;
pub mod seal;
pub mod segment;

pub use batch::{Batch, Records, each};
pub use log::{AppendError, Errno, Log};
pub use map::FileMap;
pub use open::{Base, Direct, ForceSync, LogTail, OpenError, Options, ReplayReport, open};
pub use preparer::{DiskSpace, Releaser};
pub use reader::{LogCursor, LogReader, ReadError};
pub use ring::Ring;
