//! The tree as a session shard sees it: reads that say at which zxid they are true.

use engine::auth::AuthIds;
use jute::{Code, Op, SessionId, Zxid};

/// One read.
#[derive(Clone, Copy, Debug)]
pub struct Read<'a> {
    /// Who asks.
    pub session: SessionId,
    /// Who it is.
    pub auth: &'a AuthIds,
    /// What it asks for.
    pub op: Op,
    /// The record behind the request header.
    pub body: &'a [u8],
}

/// Reads of the tree. `None` from any of them: the writer was in the way, ask the pipeline.
pub trait Tree {
    /// Where the tree is.
    fn zxid(&self) -> Option<Zxid>;

    /// Asks memory for what the first of these reads will need: their ops, and the records behind the request headers. Changes nothing,
    /// and need do nothing.
    fn look_ahead<'a>(&self, requests: impl Iterator<Item = (Op, &'a [u8])>) {
        drop(requests);
    }

    /// Answers a read as [`engine::read::serve`] does: appends the reply's body to `out`, and says at which zxid it is true.
    /// `out` may have grown without an answer.
    fn serve(&self, read: Read<'_>, out: &mut Vec<u8>) -> Option<(Zxid, Code)>;
}
