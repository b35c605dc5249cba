//! From a tree to the stream, some bytes at a time.

use alloc::vec::Vec;

use engine::arena::Torn;
use engine::tree::{AclId, StatPersisted, Tree, TreeView, Znode};

use super::{SIGNATURE, STAT_LEN};

/// A walk over a tree that does not change until it is over.
#[derive(Clone, Copy, Debug, Default)]
pub struct Encoder {
    stage: Stage,
    end: &'static [u8],
}

#[derive(Clone, Copy, Debug, Default)]
enum Stage {
    /// Nothing is written.
    #[default]
    Begin,
    /// Session number so much is next.
    Sessions(u32),
    /// The list behind this one is next.
    Acls(Option<AclId>),
    /// This znode is next.
    Znodes(Znode),
    /// All is written.
    Done,
}

impl Encoder {
    /// At the begin of a file's stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// At the begin of a leader's stream, which has [`SIGNATURE`] at its end.
    pub fn signed() -> Self {
        Self { end: SIGNATURE, ..Self::default() }
    }

    /// Whether the stream is written whole.
    pub fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Done)
    }

    /// Appends the next of the stream of `tree`, the same as before, until `out` has `len_min` bytes or the stream is over: one znode may take
    /// it beyond.
    pub fn fill(&mut self, tree: &Tree, len_min: usize, out: &mut Vec<u8>) {
        while out.len() < len_min && !self.is_done() {
            self.stage = tree.look(|it| step(self.stage, it, out));
            if self.is_done() && !self.end.is_empty() {
                out.extend_from_slice(&(self.end.len() as u32).to_be_bytes());
                out.extend_from_slice(self.end);
            }
        }
    }
}

/// Writes one session, list or znode, or a count.
fn step(stage: Stage, tree: TreeView<'_>, out: &mut Vec<u8>) -> Result<Stage, Torn> {
    match stage {
        Stage::Begin => {
            let mut count = 0_u32;
            for i in 0..tree.session_count()? {
                count += u32::from(tree.session_at(i)?.timeout_ms != 0);
            }
            out.extend_from_slice(&count.to_be_bytes());
            Ok(Stage::Sessions(0))
        }
        Stage::Sessions(i) if i < tree.session_count()? => {
            let session = tree.session_at(i)?;
            // One with a timeout of 0 was never opened: it is there for its ephemerals.
            if session.timeout_ms != 0 {
                out.extend_from_slice(&session.id.0.to_be_bytes());
                out.extend_from_slice(&session.timeout_ms.to_be_bytes());
            }
            Ok(Stage::Sessions(i + 1))
        }
        Stage::Sessions(_) => {
            let (mut count, mut last) = (0_u32, None);
            while let Some(next) = tree.next_acl(last)? {
                (count, last) = (count + 1, Some(next));
            }
            out.extend_from_slice(&count.to_be_bytes());
            Ok(Stage::Acls(None))
        }
        Stage::Acls(last) => {
            let Some(next) = tree.next_acl(last)? else { return Ok(Stage::Znodes(tree.root()?)) };
            out.extend_from_slice(&next.number().to_be_bytes());
            tree.encode_acl(next, out)?;
            Ok(Stage::Acls(Some(next)))
        }
        Stage::Znodes(at) => {
            znode(tree, at, out)?;
            if let Some(next) = tree.next_below(tree.root()?, at)? {
                return Ok(Stage::Znodes(next));
            }
            // The path of no znode: the root's is empty.
            out.extend_from_slice(b"\0\0\0\x01/");
            Ok(Stage::Done)
        }
        Stage::Done => Ok(Stage::Done),
    }
}

/// Path, data, ACL and header.
fn znode(tree: TreeView<'_>, at: Znode, out: &mut Vec<u8>) -> Result<(), Torn> {
    let length_at = out.len();
    out.extend_from_slice(&[0; 4]);
    tree.path_or_empty(at, out)?;
    let len = (out.len() - length_at - 4) as u32;
    out[length_at..length_at + 4].copy_from_slice(&len.to_be_bytes());
    tree.encode_data(at, out)?;
    out.extend_from_slice(&tree.acl(at)?.number().to_be_bytes());
    out.extend_from_slice(&stat(&tree.stat(at)?));
    Ok(())
}

fn stat(stat: &StatPersisted) -> [u8; STAT_LEN] {
    let mut out = [0; STAT_LEN];
    let (head, tail) = out.split_at_mut(32);
    let longs = [stat.czxid, stat.mzxid, stat.ctime, stat.mtime];
    for (to, long) in head.as_chunks_mut::<8>().0.iter_mut().zip(longs) {
        *to = long.to_be_bytes();
    }
    let ints = [stat.version, stat.cversion, stat.aversion];
    for (to, int) in tail.as_chunks_mut::<4>().0.iter_mut().zip(ints) {
        *to = int.to_be_bytes();
    }
    tail[12..20].copy_from_slice(&stat.owner.raw().to_be_bytes());
    tail[20..28].copy_from_slice(&stat.pzxid.to_be_bytes());
    out
}
