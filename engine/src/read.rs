//! Reads: replies from the tree alone, on any core.
//!
//! ZooKeeper: the reads of `FinalRequestProcessor`. Paths are not checked: one that is none names no znode, and "" is
//! the root. Whether the session may still ask is the caller's business, and so is leaving the watch.
//!
//! Invariant: what is appended is whole, or nothing is. Absent: watches, `addWatch` and its like, ping.

mod acl;
mod again;
mod listing;
#[cfg(all(test, not(loom)))]
mod tests;

use alloc::vec::Vec;

use jute::{
    AclList, Code, DecodeError, Field as _, MultiHeader, MultiOps, Op, PathRequest,
    PathWatchRequest, Perms, Record as _, SessionId,
};

use crate::arena::Torn;
use crate::auth::{AuthIds, check_acl};
use crate::rules::Rules;
use crate::tree::{TreeView, Znode};

pub use self::again::{Changed, missed, one_shot};

/// A request that changes nothing.
#[derive(Clone, Copy, Debug)]
pub struct ReadRequest<'a> {
    /// What.
    pub op: Op,
    /// The record behind the request header.
    pub body: &'a [u8],
    /// Who asks.
    pub session: SessionId,
    /// Who the connection is.
    pub auth: &'a AuthIds,
}

/// What a read says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served<'a> {
    /// The outcome; a body was appended if it is `Ok` and the op has one.
    pub code: Code,
    /// The watch to leave, and the path to leave it at.
    pub watch: Option<(Left, &'a [u8])>,
}

/// A watch that a read leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// By getData, and by exists on a znode that is there.
    Data,
    /// By exists on a znode that is not there.
    Exist,
    /// By getChildren.
    Child,
}

/// Whether `op` is served here.
pub fn is_read(op: Op) -> bool {
    matches!(
        op,
        Op::Exists
            | Op::GetData
            | Op::GetAcl
            | Op::GetChildren
            | Op::GetChildren2
            | Op::GetEphemerals
            | Op::GetAllChildrenNumber
            | Op::MultiRead
            | Op::WhoAmI
            | Op::Sync
            | Op::SetWatches
            | Op::SetWatches2
    )
}

/// Answers a read. An op that is none is answered with `Unimplemented`.
///
/// # Errors
/// [`Torn`]: nothing was appended; try again.
pub fn serve<'a>(
    view: TreeView<'_>,
    rules: &Rules,
    request: &ReadRequest<'a>,
    out: &mut Vec<u8>,
) -> Result<Served<'a>, Torn> {
    let start = out.len();
    let read = Read { view, rules, request };
    let done = read.serve(out);
    let (code, watch) = match done {
        Ok(watch) => (Code::Ok, watch),
        Err(Stop::Code(code)) => (code, None),
        Err(Stop::Missing(watch)) => (Code::NoNode, watch),
        Err(Stop::Torn) => (Code::SystemError, None),
    };
    if done.is_err() {
        out.truncate(start);
    }
    match done {
        Err(Stop::Torn) => Err(Torn),
        _ => Ok(Served { code, watch }),
    }
}

type Watch<'a> = Option<(Left, &'a [u8])>;

/// Why there is no body.
#[derive(Clone, Copy, Debug)]
enum Stop<'a> {
    Torn,
    Code(Code),
    /// exists found nothing, and leaves this watch.
    Missing(Watch<'a>),
}

impl From<Torn> for Stop<'_> {
    fn from(_: Torn) -> Self {
        Self::Torn
    }
}

impl From<Code> for Stop<'_> {
    fn from(code: Code) -> Self {
        Self::Code(code)
    }
}

impl From<DecodeError> for Stop<'_> {
    fn from(_: DecodeError) -> Self {
        Self::Code(Code::MarshallingError)
    }
}

/// One read being answered.
#[derive(Clone, Copy, Debug)]
struct Read<'v, 'r, 'a> {
    view: TreeView<'v>,
    rules: &'r Rules,
    request: &'r ReadRequest<'a>,
}

impl<'a> Read<'_, '_, 'a> {
    #[inline]
    fn serve(&self, out: &mut Vec<u8>) -> Result<Watch<'a>, Stop<'a>> {
        let body = self.request.body;
        match self.request.op {
            Op::GetData => {
                let request = PathWatchRequest::decode(body)?;
                let path = self.data(request.path, out)?;
                Ok(request.watch.then_some((Left::Data, path)))
            }
            Op::Exists => self.exists(PathWatchRequest::decode(body)?, out),
            Op::GetChildren | Op::GetChildren2 => {
                let request = PathWatchRequest::decode(body)?;
                let (path, znode) = self.children(request.path, out)?;
                if self.request.op == Op::GetChildren2 {
                    self.view.encode_stat(znode, out)?;
                }
                Ok(request.watch.then_some((Left::Child, path)))
            }
            _ => self.serve_rarer(out).map(|()| None),
        }
    }

    fn serve_rarer(&self, out: &mut Vec<u8>) -> Result<(), Stop<'a>> {
        let body = self.request.body;
        match self.request.op {
            Op::GetAcl => self.acl(PathRequest::decode(body)?.path, out),
            Op::GetEphemerals => self.ephemerals(PathRequest::decode(body)?.path, out),
            Op::GetAllChildrenNumber => self.descendants(PathRequest::decode(body)?.path, out),
            Op::MultiRead => self.multi(out),
            Op::SetWatches | Op::SetWatches2 => self.missed(out),
            Op::WhoAmI => {
                self.who_am_i(out);
                Ok(())
            }
            Op::Sync => {
                PathRequest::decode(body)?.write(out);
                Ok(())
            }
            _ => Err(Code::Unimplemented.into()),
        }
    }

    fn exists(
        &self,
        request: PathWatchRequest<'a>,
        out: &mut Vec<u8>,
    ) -> Result<Watch<'a>, Stop<'a>> {
        let path = request.path.ok_or(Code::MarshallingError)?;
        if path.contains(&0) {
            return Err(Code::BadArguments.into());
        }
        let Some(znode) = self.view.find(path)? else {
            return Err(Stop::Missing(request.watch.then_some((Left::Exist, path))));
        };
        self.check(znode, Perms::READ, out)?;
        self.view.encode_stat(znode, out)?;
        Ok(request.watch.then_some((Left::Data, path)))
    }

    /// Appends data and stat.
    #[inline]
    fn data(&self, path: Option<&'a [u8]>, out: &mut Vec<u8>) -> Result<&'a [u8], Stop<'a>> {
        let (path, znode) = self.readable(path, out)?;
        self.view.encode_data(znode, out)?;
        self.view.encode_stat(znode, out)?;
        Ok(path)
    }

    /// Appends the names of the children.
    fn children(
        &self,
        path: Option<&'a [u8]>,
        out: &mut Vec<u8>,
    ) -> Result<(&'a [u8], Znode), Stop<'a>> {
        let (path, znode) = self.readable(path, out)?;
        self.view.encode_children(znode, out)?;
        Ok((path, znode))
    }

    /// Each read's result, or its error; they are of one version of the tree.
    fn multi(&self, out: &mut Vec<u8>) -> Result<(), Stop<'a>> {
        let ops = MultiOps::decode(self.request.body)?;
        if !ops.is_empty() && !ops.is_read() {
            return Err(Code::MarshallingError.into());
        }
        for (op, record) in ops {
            let path = PathWatchRequest::decode(record)?.path;
            let start = out.len();
            MultiHeader { op: op.number(), done: false, err: 0 }.write(out);
            let done = match op {
                Op::GetChildren => self.children(path, out).map(drop),
                _ => self.data(path, out).map(drop),
            };
            match done {
                Ok(()) => {}
                Err(Stop::Code(code)) if code != Code::MarshallingError => {
                    out.truncate(start);
                    let err = code.number();
                    MultiHeader { op: Op::Error.number(), done: false, err }.write(out);
                    err.write(out);
                }
                Err(stop) => return Err(stop),
            }
        }
        MultiHeader::END.write(out);
        Ok(())
    }

    fn find(&self, path: Option<&'a [u8]>) -> Result<(&'a [u8], Znode), Stop<'a>> {
        let path = path.ok_or(Code::MarshallingError)?;
        let znode = self.view.find(path)?.ok_or(Code::NoNode)?;
        Ok((path, znode))
    }

    /// The znode, if it is there and may be read.
    #[inline]
    fn readable(
        &self,
        path: Option<&'a [u8]>,
        out: &mut Vec<u8>,
    ) -> Result<(&'a [u8], Znode), Stop<'a>> {
        let (path, znode) = self.find(path)?;
        self.check(znode, Perms::READ, out)?;
        Ok((path, znode))
    }

    /// Whether the connection has any of `perms` on the znode. Uses the end of `out`, and leaves it as it was.
    #[inline]
    fn check(&self, znode: Znode, perms: Perms, out: &mut Vec<u8>) -> Result<(), Stop<'a>> {
        let acl = self.view.acl(znode)?;
        if acl.is_open() {
            return Ok(());
        }
        let start = out.len();
        self.view.encode_acl(acl, out)?;
        let list = AclList::decode(&out[start..]).map_err(|_| Torn)?;
        let passes = check_acl(&self.rules.auth, self.request.auth, list, perms);
        out.truncate(start);
        if passes { Ok(()) } else { Err(Code::NoAuth.into()) }
    }
}
