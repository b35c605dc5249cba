//! Looking ahead: what the next entries of a log will need is asked of memory at once, so that it is waited for once.
//!
//! In a tree that no cache holds, an entry waits some hundred nanoseconds for its bucket of the index, and a change of a znode as
//! long again for the znode. The processor follows several such reads at a time, if nothing that depends on one stands between.
//!
//! Absent: anything that decides. Whatever is read here is read again.

use jute::{Field as _, Op, Reader, TxnHeader};

use crate::state::State;
use crate::tree::TreeView;

/// Entries that one look covers.
pub(crate) const AHEAD: usize = 32;

/// Looks at what the first [`AHEAD`] of `entries` are about.
pub(crate) fn look<'a>(state: &State, entries: impl Iterator<Item = &'a [u8]>) {
    let mut hashes = [0; AHEAD];
    let mut count = 0;
    for path in entries.take(AHEAD).filter_map(path_of) {
        hashes[count] = state.tree.look(|it| it.hash(path));
        count += 1;
    }
    state.tree.look(|it| TreeView::touch(it, &hashes[..count]));
}

/// The znode that an entry is about; of a multi, and of what is no change of one znode, none.
fn path_of(entry: &[u8]) -> Option<&[u8]> {
    let mut reader = Reader::new(entry);
    let header = TxnHeader::read(&mut reader).ok()?;
    let op = Op::from_number(header.op)?;
    let is_one = op.is_write() && op != Op::Multi || op == Op::DeleteContainer;
    if is_one { <&[u8]>::read(&mut reader).ok() } else { None }
}
