//! delete, deleteContainer, setData, setACL, check, reconfig.

use alloc::vec::Vec;

use jute::{
    AclList, CheckVersionRequest, CheckVersionTxn, Code, CreateRequest, CreateTtlRequest,
    DecodeError, DeleteRequest, DeleteTxn, Field as _, Op, Path, PathRequest, Perms, Reader,
    ReconfigRequest, SetAclRequest, SetAclTxn, SetDataRequest, SetDataTxn,
};

use super::create::Creation;
use super::overlay::{Guard, Known};
use super::{Ask, Prep, next_version};
use crate::auth::fixup_acl;
use crate::planted::{self, Bug};
use crate::quota::Growth;
use crate::rules::{QuotaCheck, Reconfig};
use crate::state::{CONFIG, State};
use crate::tree::{AclId, Owner, digest_prefix};

/// What a request, or an op of a multi, asks for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change<'a> {
    Create(Creation<'a>),
    Delete(DeleteRequest<'a>),
    DeleteContainer(PathRequest<'a>),
    SetData(SetDataRequest<'a>),
    SetAcl(SetAclRequest<'a>),
    Check(CheckVersionRequest<'a>),
    Reconfig,
}

impl<'a> Change<'a> {
    /// Reads the record that `op` names from the start of `body`.
    pub(super) fn decode(op: Op, body: &'a [u8]) -> Result<Self, DecodeError> {
        Self::read(op, &mut Reader::new(body))
    }

    /// Reads the record that `op` names.
    pub(super) fn read(op: Op, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(match op {
            Op::Create | Op::Create2 | Op::CreateContainer => {
                let CreateRequest { path, data, acl, flags } = CreateRequest::read(reader)?;
                Self::Create(Creation { op, path, data, acl, flags, ttl_ms: -1 })
            }
            Op::CreateTtl => {
                let CreateTtlRequest { path, data, acl, flags, ttl_ms } =
                    CreateTtlRequest::read(reader)?;
                Self::Create(Creation { op, path, data, acl, flags, ttl_ms })
            }
            Op::Delete => Self::Delete(DeleteRequest::read(reader)?),
            Op::DeleteContainer => Self::DeleteContainer(PathRequest::read(reader)?),
            Op::SetData => Self::SetData(SetDataRequest::read(reader)?),
            Op::SetAcl => Self::SetAcl(SetAclRequest::read(reader)?),
            Op::Check => Self::Check(CheckVersionRequest::read(reader)?),
            Op::Reconfig => {
                ReconfigRequest::read(reader)?;
                Self::Reconfig
            }
            _ => return Err(DecodeError::Op { op: op.number() }),
        })
    }

    /// Whether it takes room that it does not give back.
    pub(super) fn grows(&self) -> bool {
        matches!(self, Self::Create(_) | Self::SetData(_) | Self::SetAcl(_))
    }

    /// The path that it names.
    pub(super) fn path(&self) -> Option<&'a [u8]> {
        match self {
            Self::Create(it) => it.path,
            Self::Delete(it) => it.path,
            Self::DeleteContainer(it) => it.path,
            Self::SetData(it) => it.path,
            Self::SetAcl(it) => it.path,
            Self::Check(it) => it.path,
            Self::Reconfig => None,
        }
    }
}

impl Prep {
    /// Checks a change and appends its record; on an error nothing has happened to the overlay.
    ///
    /// # Errors
    /// The code that the change fails with. `MarshallingError` is no outcome of a change but of the whole request.
    pub(super) fn change(
        &mut self,
        ask: &Ask<'_>,
        change: &Change<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Code> {
        match change {
            Change::Create(it) => self.create(ask, it, out),
            Change::Delete(it) => self.delete(ask, it, out),
            Change::DeleteContainer(it) => self.delete_container(ask, it, out),
            Change::SetData(it) => self.set_data(ask, it, out),
            Change::SetAcl(it) => self.set_acl(ask, it, out),
            Change::Check(it) => self.check(ask, it, out),
            Change::Reconfig => self.reconfig(ask, Err(Code::Unimplemented), out),
        }
    }

    fn delete(
        &mut self,
        ask: &Ask<'_>,
        request: &DeleteRequest<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Code> {
        self.check_session(ask)?;
        let path = request.path.ok_or(Code::MarshallingError)?;
        let above = deletable(path)?;
        let parent = self.find(ask, above)?;
        self.check_acl(ask, &parent, Perms::DELETE)?;
        let known = self.find(ask, path)?;
        next_version(known.stat.version, request.version)?;
        if known.child_count != 0 {
            return Err(Code::NotEmpty);
        }
        DeleteTxn { path }.write(out);
        self.remove(ask, path, &known, above, parent);
        Ok(())
    }

    fn delete_container(
        &mut self,
        ask: &Ask<'_>,
        request: &PathRequest<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Code> {
        let path = request.path.ok_or(Code::MarshallingError)?;
        let above = deletable(path)?;
        let known = self.find(ask, path)?;
        if known.child_count != 0 && !planted::has(Bug::ReapUsed) {
            return Err(Code::NotEmpty);
        }
        if !matches!(known.stat.owner, Owner::Container | Owner::Ttl(_)) {
            return Err(Code::BadVersion);
        }
        let parent = self.find(ask, above)?;
        DeleteTxn { path }.write(out);
        self.remove(ask, path, &known, above, parent);
        Ok(())
    }

    /// A znode goes, and its parent knows.
    pub(super) fn remove(
        &mut self,
        ask: &Ask<'_>,
        path: &[u8],
        known: &Known,
        above: &[u8],
        mut parent: Known,
    ) {
        parent.child_count -= 1;
        parent.stat.pzxid = parent.stat.pzxid.max(ask.zxid.0);
        if let Owner::Session(session) = known.stat.owner {
            self.owned.take(session, path);
        }
        self.put(ask, above, parent);
        self.put_gone(ask, path, known);
    }

    fn set_data(
        &mut self,
        ask: &Ask<'_>,
        request: &SetDataRequest<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Code> {
        self.check_session(ask)?;
        let path = valid(request.path)?;
        let mut known = self.find(ask, path)?;
        self.check_acl(ask, &known, Perms::WRITE)?;
        let len = request.data.map_or(0, <[u8]>::len);
        let bytes = len as i64 - known.data_len as i64;
        self.check_quota(ask, path, Growth { count: 0, bytes })?;
        let version = next_version(known.stat.version, request.version)?;
        SetDataTxn { path, data: request.data, version }.write(out);
        known.stat.version = version;
        known.stat.mtime = ask.now_wall_ms;
        known.stat.mzxid = ask.zxid.0;
        known.data_len = len;
        known.prefix = digest_prefix(path, request.data);
        self.put(ask, path, known);
        Ok(())
    }

    fn set_acl(
        &mut self,
        ask: &Ask<'_>,
        request: &SetAclRequest<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Code> {
        self.check_session(ask)?;
        let path = valid(request.path)?;
        let acl = self.fixed_acl(ask, request.acl, path.len())?;
        let mut known = self.find(ask, path)?;
        self.check_acl(ask, &known, Perms::ADMIN)?;
        let version = next_version(known.stat.aversion, request.version)?;
        SetAclTxn { path, acl: acl.list(), version }.write(out);
        known.stat.aversion = version;
        known.acl = acl;
        self.put(ask, path, known);
        Ok(())
    }

    fn check(
        &mut self,
        ask: &Ask<'_>,
        request: &CheckVersionRequest<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Code> {
        self.check_session(ask)?;
        let path = valid(request.path)?;
        let known = self.find(ask, path)?;
        self.check_acl(ask, &known, Perms::READ)?;
        let version = next_version(known.stat.version, request.version)?;
        CheckVersionTxn { path, version }.write(out);
        Ok(())
    }

    /// The data of /zookeeper/config becomes `members`, or the request fails with that code: who asks is checked around it, as in
    /// `PrepRequestProcessor`.
    pub(super) fn reconfig(
        &mut self,
        ask: &Ask<'_>,
        members: Result<&[u8], Code>,
        out: &mut Vec<u8>,
    ) -> Result<(), Code> {
        if self.rules.reconfig == Reconfig::Off {
            return Err(Code::ReconfigDisabled);
        }
        self.check_session(ask)?;
        let (path, data, version) = (CONFIG, Some(members?), -1);
        let mut known = self.find(ask, path)?;
        self.check_acl(ask, &known, Perms::WRITE)?;
        SetDataTxn { path, data, version }.write(out);
        known.stat.version = version;
        known.stat.mtime = ask.now_wall_ms;
        known.stat.mzxid = ask.zxid.0;
        known.data_len = data.map_or(0, <[u8]>::len);
        self.put(ask, path, known);
        Ok(())
    }

    pub(super) fn check_quota(
        &mut self,
        ask: &Ask<'_>,
        path: &[u8],
        growth: Growth,
    ) -> Result<(), Code> {
        match self.rules.quota {
            QuotaCheck::Off => Ok(()),
            QuotaCheck::On => {
                let State { tree, quotas, .. } = ask.state;
                quotas.check(tree, path, growth, &mut self.exceeded)
            }
        }
    }

    /// The list that a znode gets when a client sends `acl`, beside `others_len` bytes of what else is stored.
    pub(super) fn fixed_acl(
        &self,
        ask: &Ask<'_>,
        acl: AclList<'_>,
        others_len: usize,
    ) -> Result<Guard, Code> {
        if acl == AclList::open() {
            return Ok(Guard::Kept(AclId::OPEN));
        }
        let len_max = self.len_max().saturating_sub(others_len + FIELDS_LEN_MAX);
        let fixed = fixup_acl(&self.rules.auth, ask.request.auth, acl, len_max);
        fixed.map(|bytes| Guard::New(bytes.into()))
    }
}

impl Guard {
    /// The list, of a guard that [`Prep::fixed_acl`] made.
    pub(super) fn list(&self) -> AclList<'_> {
        match self {
            Self::Kept(acl) => {
                assert!(*acl == AclId::OPEN, "a list that only the tree knows");
                AclList::open()
            }
            Self::New(bytes) => AclList::decode(bytes).expect("a list that was just made"),
        }
    }
}

/// Bytes of a transaction beside path, data and ACL, at most.
const FIELDS_LEN_MAX: usize = 128;

/// The parent of a path that may be deleted. Source: `PrepRequestProcessor.getParentPathAndValidate`.
fn deletable(path: &[u8]) -> Result<&[u8], Code> {
    let special: [&[u8]; 4] = [b"/", b"/zookeeper", b"/zookeeper/quota", CONFIG];
    let slash = path.iter().rposition(|&byte| byte == b'/');
    match slash {
        Some(slash) if !path.contains(&0) && !special.contains(&path) => Ok(&path[..slash]),
        _ => Err(Code::BadArguments),
    }
}

/// A path that names a znode.
fn valid(path: Option<&[u8]>) -> Result<&[u8], Code> {
    let path = path.ok_or(Code::BadArguments)?;
    Path::parse(path)?;
    Ok(path)
}
