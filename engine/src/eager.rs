//! What a member of an ensemble refuses by ACL before it asks the leader, or, as the leader, before it orders it: no transaction is made of it.
//!
//! ZooKeeper: `ZooKeeperServer.authWriteRequest`. create, create2, delete, setData and setACL are looked at, and nothing else. What is no request, names no path or no
//! znode goes its ordinary way, whose answer it is to have.
//!
//! **Differs:** the reference answers such a request at once, before what its client has asked earlier, which a client takes for a broken connection; and it looks at an
//! ACL that an earlier request of the same client may be about to change. So a learner refuses only where the client waits for nothing else, and a leader
//! looks at what its tree will be.

use alloc::vec::Vec;

use jute::{
    AclList, Code, CreateRequest, DeleteRequest, Op, Perms, Record as _, SetAclRequest,
    SetDataRequest,
};

use crate::arena::Torn;
use crate::auth::{AuthIds, check_acl, fixup_acl};
use crate::rules::{EagerAcl, Rules};
use crate::tree::TreeView;

/// A znode whose ACL decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Guarded<'a> {
    pub(crate) path: &'a [u8],
    pub(crate) perms: Perms,
}

/// The code that a request of a connection with these ids is refused with, as far as the tree shows it.
///
/// # Errors
/// [`Torn`]: try again.
pub fn refusal(
    view: TreeView<'_>,
    rules: &Rules,
    auth: &AuthIds,
    (op, body): (Op, &[u8]),
) -> Result<Option<Code>, Torn> {
    let guarded = match guarded(rules, auth, op, body) {
        Ok(Some(guarded)) => guarded,
        Ok(None) => return Ok(None),
        Err(code) => return Ok(Some(code)),
    };
    let Some(znode) = view.find(guarded.path)? else { return Ok(None) };
    let acl = view.acl(znode)?;
    if acl.is_open() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    view.encode_acl(acl, &mut bytes)?;
    let list = AclList::decode(&bytes).map_err(|_| Torn)?;
    let passes = check_acl(&rules.auth, auth, list, guarded.perms);
    Ok((!passes).then_some(Code::NoAuth))
}

/// Whose ACL decides; `None`: nobody's, here.
///
/// # Errors
/// [`Code::InvalidAcl`]: the request would set one.
pub(crate) fn guarded<'a>(
    rules: &Rules,
    auth: &AuthIds,
    op: Op,
    body: &'a [u8],
) -> Result<Option<Guarded<'a>>, Code> {
    if rules.eager_acl == EagerAcl::Off {
        return Ok(None);
    }
    let of = |path: Option<&'a [u8]>, perms| path.map(|path| Guarded { path, perms });
    let below = |path: Option<&'a [u8]>, perms| of(path.and_then(parent), perms);
    let (guarded, acl) = match op {
        Op::Create | Op::Create2 => match CreateRequest::decode(body) {
            Ok(it) => (below(it.path, Perms::CREATE), Some(it.acl)),
            Err(_) => return Ok(None),
        },
        Op::Delete => match DeleteRequest::decode(body) {
            Ok(it) => (below(it.path, Perms::DELETE), None),
            Err(_) => return Ok(None),
        },
        Op::SetData => match SetDataRequest::decode(body) {
            Ok(it) => (of(it.path, Perms::WRITE), None),
            Err(_) => return Ok(None),
        },
        Op::SetAcl => match SetAclRequest::decode(body) {
            Ok(it) => (of(it.path, Perms::ADMIN), Some(it.acl)),
            Err(_) => return Ok(None),
        },
        _ => return Ok(None),
    };
    // A list that cannot be told from a good one is whoever makes the transaction's to refuse.
    if guarded.is_some()
        && let Some(acl) = acl
        && fixup_acl(&rules.auth, auth, acl, rules.txn_len_max.0) == Err(Code::InvalidAcl)
    {
        return Err(Code::InvalidAcl);
    }
    Ok(guarded)
}

/// The parent of a path, if it may have one. Source: `ZooKeeperServer.parentPath`.
fn parent(path: &[u8]) -> Option<&[u8]> {
    let special: [&[u8]; 4] = [b"/", b"/zookeeper", b"/zookeeper/quota", crate::state::CONFIG];
    let slash = path.iter().rposition(|&byte| byte == b'/')?;
    let may = !path.contains(&0) && !special.contains(&path);
    may.then(|| if slash == 0 { b"/".as_slice() } else { &path[..slash] })
}

#[cfg(all(test, not(loom)))]
mod tests;
