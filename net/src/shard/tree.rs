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

    /// Answers a read as [`engine::read::serve`] does: appends the reply's body to `out`, and says at which zxid it is true.
    /// `out` may have grown without an answer.
    fn serve(&self, read: Read<'_>, out: &mut Vec<u8>) -> Option<(Zxid, Code)>;
}
