//! Looking ahead: what the next requests, or the next entries of a log, will need is asked of memory at once, so that it is waited for once.
//!
//! In a tree that the core's own cache does not hold, a request waits some ten to a hundred nanoseconds for its bucket of the index, and as long again
//! for the znode. The processor follows several such reads at a time, if nothing that depends on one stands between.
//!
//! Absent: anything that decides. Whatever is read here is read again. A small tree is not looked at: there the look costs what it saves.

use jute::{Field as _, Op, Reader, TxnHeader, Zxid};

use crate::state::State;
use crate::tree::TreeView;

/// How many requests or entries one look covers.
pub const AHEAD: usize = 32;

/// Znodes from which on it pays: at some 250 bytes each, more than a core's own cache holds. Measured with 10,000, where a look costs up to 3 % of a
/// read or a write, and with a million, where it saves 8 to 19 %.
const ZNODES_MIN: u64 = 32_768;

/// Looks at what the first [`AHEAD`] of `requests` are about: their ops, and the records behind the request headers. One alone gains nothing.
pub fn look<'a>(view: TreeView<'_>, requests: impl Iterator<Item = (Op, &'a [u8])>) {
    if !pays(view) {
        return;
    }
    let begins_with_path = |&(op, _): &(Op, &[u8])| begins_with_path(op);
    let paths = requests.take(AHEAD).filter(begins_with_path);
    look_at(view, paths.filter_map(|(_, body)| path(&mut Reader::new(body))));
}

/// Entries of a log on their way to be applied.
#[derive(Clone, Debug)]
pub struct Entries<I> {
    entries: I,
    taken: usize,
}

impl<'a, I: Iterator<Item = (Zxid, &'a [u8])> + Clone> Entries<I> {
    /// In their order.
    pub fn new(entries: I) -> Self {
        Self { entries, taken: 0 }
    }

    /// The next; now and then the ones behind it are looked at, in the tree as it is.
    pub fn next(&mut self, state: &State) -> Option<(Zxid, &'a [u8])> {
        if self.taken.is_multiple_of(AHEAD) {
            let next = self.entries.clone().take(AHEAD);
            state.tree().look(|view| {
                if pays(view) {
                    look_at(view, next.clone().filter_map(|it| path_of(it.1)));
                }
                Ok(())
            });
        }
        self.taken += 1;
        self.entries.next()
    }
}

fn pays(view: TreeView<'_>) -> bool {
    view.indexed_count().is_ok_and(|count| ZNODES_MIN <= count)
}

fn look_at<'a>(view: TreeView<'_>, paths: impl Iterator<Item = &'a [u8]>) {
    let mut hashes = [0; AHEAD];
    let mut count = 0;
    for path in paths {
        // Torn or not, nothing comes of it.
        hashes[count] = view.hash(path).unwrap_or_default();
        count += 1;
    }
    if 1 < count {
        view.touch(&mut hashes[..count]).unwrap_or_default();
    }
}

/// The znode that an entry is about; of a multi, and of what is no change of one znode, none.
fn path_of(entry: &[u8]) -> Option<&[u8]> {
    let mut reader = Reader::new(entry);
    let header = TxnHeader::read(&mut reader).ok()?;
    let op = Op::from_number(header.op)?;
    if begins_with_path(op) { path(&mut reader) } else { None }
}

fn path<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    <&[u8]>::read(reader).ok()
}

/// Whether the record of a request, or of its transaction, begins with the path of the one znode that it is about.
fn begins_with_path(op: Op) -> bool {
    let is_change = op.is_write() && !matches!(op, Op::Multi | Op::Reconfig);
    let is_read =
        matches!(op, Op::GetData | Op::Exists | Op::GetChildren | Op::GetChildren2 | Op::GetAcl);
    is_change || is_read || op == Op::DeleteContainer
}

#[cfg(all(test, not(loom)))]
mod tests {
    use alloc::format;
    use alloc::vec::Vec;

    use jute::{CreateTxn, DeleteTxn, Record as _, SessionId};

    use super::*;
    use crate::apply::Replay;
    use crate::arena::Memory;
    use crate::tree::Tree;

    /// Entries that create `/0`, `/1` and so on, each third one behind the delete of what is not there, and one of no sense.
    fn entries(count: usize) -> Vec<(Zxid, Vec<u8>)> {
        let record = |zxid: usize, op: Op, write: &dyn Fn(&mut Vec<u8>)| {
            let (client, zxid) = (SessionId(7), Zxid(zxid as i64));
            let mut out = Vec::new();
            TxnHeader { client, cxid: 1, zxid, time_ms: 1, op: op.number() }.write(&mut out);
            write(&mut out);
            (zxid, out)
        };
        let each = |number: usize| {
            let path = format!("/{number}");
            let acl = jute::AclList::open();
            let path = path.as_bytes();
            record(number + 1, Op::Create, &|out| {
                if number % 3 == 2 {
                    return out.extend_from_slice(b"no record");
                }
                let (data, parent_cversion) = (Some(path), -1);
                CreateTxn { path, data, acl, ephemeral: false, parent_cversion }.encode(out);
            })
        };
        let mut all: Vec<_> = (0..count).map(each).collect();
        all.push(record(count + 1, Op::Delete, &|out| DeleteTxn { path: b"/gone" }.encode(out)));
        all
    }

    fn grown(count: usize) -> State {
        let tree = Tree::format(Memory::leaked(1 << 22), [1, 2]).expect("a good size");
        let mut state = State::new(tree);
        state.begin();
        for (_, entry) in entries(count).iter().filter(|it| path_of(&it.1).is_some()) {
            // The delete is an outcome.
            state.apply(entry, &mut Replay).expect("as the test has it");
        }
        state.commit(Zxid(count as i64 + 1));
        state
    }

    #[test]
    fn entries_come_whole_and_in_order_whatever_is_looked_at() {
        for znodes in [0, 50_000] {
            let state = grown(znodes);
            assert_eq!(state.tree().look(|it| Ok(pays(it))), znodes != 0);
            for count in [0, 1, AHEAD - 1, AHEAD, 3 * AHEAD + 5] {
                let all = entries(count);
                let mut entries = Entries::new(all.iter().map(|it| (it.0, it.1.as_slice())));
                for (zxid, entry) in &all {
                    assert_eq!(entries.next(&state), Some((*zxid, entry.as_slice())));
                }
                assert_eq!(entries.next(&state), None);
            }
        }
    }

    #[test]
    fn requests_of_every_op_and_of_no_sense_are_looked_at() {
        let state = grown(50_000);
        let bodies: [&[u8]; 5] =
            [b"", b"\0\0\0\x02/1", b"\xff\xff\xff\xff", b"\0\0\0\x09/", b"\0\0\0\0"];
        for number in -20..200 {
            let Some(op) = Op::from_number(number) else { continue };
            let requests = bodies.iter().cycle().take(2 * AHEAD).map(|body| (op, *body));
            state.tree().look(|view| {
                look(view, requests.clone());
                Ok(())
            });
        }
    }
}
