//! create, create2, createContainer, createTTL, and the names of sequential znodes.

use alloc::vec::Vec;
use core::mem::take;

use jute::{
    AclList, Code, CreateContainerTxn, CreateMode, CreateTtlTxn, CreateTxn, Field as _, Op, Path,
    Perms,
};

use super::overlay::{Known, Share};
use super::owned::path_len;
use super::{Ask, HEADER_LEN, Prep};
use crate::quota::Growth;
use crate::rules::ExtendedTypes;
use crate::tree::{Owner, StatPersisted, digest_prefix};

/// What every create asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Creation<'a> {
    /// Which transaction it becomes.
    pub(super) op: Op,
    pub(super) path: Option<&'a [u8]>,
    pub(super) data: Option<&'a [u8]>,
    pub(super) acl: AclList<'a>,
    pub(super) flags: i32,
    /// −1 if the request has none.
    pub(super) ttl_ms: i64,
}

impl Prep {
    pub(super) fn create(
        &mut self,
        ask: &Ask<'_>,
        creation: &Creation<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Code> {
        let mode = CreateMode::from_flags(creation.flags).ok_or(Code::BadArguments)?;
        self.check_ttl(mode, creation)?;
        if mode.is_ephemeral() {
            self.check_owner(ask)?;
        } else {
            self.check_session(ask)?;
        }
        let mut path = take(&mut self.path);
        let created = self.create_at(ask, creation, mode, &mut path, out);
        self.path = path;
        created
    }

    /// `path` is where the final path is made.
    fn create_at(
        &mut self,
        ask: &Ask<'_>,
        creation: &Creation<'_>,
        mode: CreateMode,
        path: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<(), Code> {
        let asked = creation.path.ok_or(Code::MarshallingError)?;
        let slash = asked.iter().rposition(|&byte| byte == b'/').ok_or(Code::BadArguments)?;
        if asked.contains(&0) {
            return Err(Code::BadArguments);
        }
        let above = &asked[..slash];
        let data_len = creation.data.map_or(0, <[u8]>::len);
        let acl = self.fixed_acl(ask, creation.acl, asked.len() + data_len)?;
        let parent = self.find(ask, above)?;
        self.check_acl(ask, &parent, Perms::CREATE)?;
        path.clear();
        path.extend_from_slice(asked);
        if mode.is_sequential() {
            write_counter(parent.stat.cversion, path);
        }
        Path::parse(path)?;
        let Err(key) = self.overlay.look(&ask.state.tree, path) else {
            return Err(Code::NodeExists);
        };
        if let Owner::Session(_) = parent.stat.owner {
            return Err(Code::NoChildrenForEphemerals);
        }
        self.check_quota(ask, path, Growth { count: 1, bytes: data_len as i64 })?;
        let cversion = parent.stat.cversion.wrapping_add(1);
        let owner = owner(ask, creation, mode);
        self.check_end(ask, owner, path)?;
        write_txn(creation, path, acl.list(), owner, cversion, out);
        let prefix = digest_prefix(path, creation.data);
        let share = if path.starts_with(b"/zookeeper/") { Share::None } else { Share::Some };
        let stat = StatPersisted::created(ask.zxid, ask.now_wall_ms, owner);
        let known = Known { key, stat, child_count: 0, acl, data_len, prefix, digest: 0, share };
        self.put_parent(ask, above, parent, cversion);
        self.put(ask, path, known);
        if let Owner::Session(session) = owner {
            self.owned.add(session, path);
        }
        Ok(())
    }

    /// Whether the session can still end in one transaction if it gets the ephemeral `path` too.
    fn check_end(&mut self, ask: &Ask<'_>, owner: Owner, path: &[u8]) -> Result<(), Code> {
        let Owner::Session(session) = owner else { return Ok(()) };
        let Self { owned, overlay, .. } = self;
        let count =
            || overlay.kept_ephemerals(&ask.state.tree, session).map(|it| path_len(&it)).sum();
        let len = HEADER_LEN + size_of::<i32>() + owned.len_of(session, count) + path_len(path);
        if self.len_max() < len { Err(Code::QuotaExceeded) } else { Ok(()) }
    }

    /// A child is born. As when it is applied: a count that has wrapped stays, and pzxid with it.
    fn put_parent(&mut self, ask: &Ask<'_>, above: &[u8], mut parent: Known, cversion: i32) {
        parent.child_count += 1;
        if parent.stat.cversion < cversion {
            parent.stat.cversion = cversion;
            parent.stat.pzxid = ask.zxid.0;
        }
        self.put(ask, above, parent);
    }

    /// Source: `PrepRequestProcessor.validateCreateRequest`, `EphemeralType.validateTTL`.
    fn check_ttl(&self, mode: CreateMode, creation: &Creation<'_>) -> Result<(), Code> {
        let ttl_ms = creation.ttl_ms;
        if !mode.is_ttl() {
            // A createTTL without one would be a transaction that no server can apply.
            let fine = ttl_ms < 0 && creation.op != Op::CreateTtl;
            return if fine { Ok(()) } else { Err(Code::BadArguments) };
        }
        if self.rules.extended_types == ExtendedTypes::Off {
            return Err(Code::Unimplemented);
        }
        if (1..=Owner::TTL_MASK).contains(&ttl_ms) { Ok(()) } else { Err(Code::BadArguments) }
    }
}

/// Whose the znode will be when the transaction is applied: what the op says, whatever the flags say.
fn owner(ask: &Ask<'_>, creation: &Creation<'_>, mode: CreateMode) -> Owner {
    match creation.op {
        Op::CreateContainer => Owner::Container,
        Op::CreateTtl => Owner::ttl(creation.ttl_ms),
        _ if mode.is_ephemeral() => Owner::Session(ask.request.session),
        _ => Owner::Nobody,
    }
}

fn write_txn(
    creation: &Creation<'_>,
    path: &[u8],
    acl: AclList<'_>,
    owner: Owner,
    parent_cversion: i32,
    out: &mut Vec<u8>,
) {
    let data = creation.data;
    match owner {
        Owner::Container => CreateContainerTxn { path, data, acl, parent_cversion }.write(out),
        Owner::Ttl(_) => {
            let ttl_ms = creation.ttl_ms;
            CreateTtlTxn { path, data, acl, parent_cversion, ttl_ms }.write(out);
        }
        Owner::Nobody | Owner::Session(_) => {
            let ephemeral = owner != Owner::Nobody;
            CreateTxn { path, data, acl, ephemeral, parent_cversion }.write(out);
        }
    }
}

/// Appends the counter as Java's `%010d` prints it: ten places at least, a sign among them.
fn write_counter(counter: i32, out: &mut Vec<u8>) {
    let mut digits = [b'0'; 10];
    let mut rest = counter.unsigned_abs();
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let sign = counter < 0;
    let skip = usize::from(sign && digits[0] == b'0');
    if sign {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[skip..]);
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::write_counter;

    #[test]
    fn a_counter_is_printed_as_java_does() {
        let cases: [(i32, &str); 7] = [
            (0, "0000000000"),
            (7, "0000000007"),
            (i32::MAX, "2147483647"),
            (i32::MIN, "-2147483648"),
            (-5, "-000000005"),
            (-999_999_999, "-999999999"),
            (-1_000_000_000, "-1000000000"),
        ];
        for (counter, expected) in cases {
            let mut out = Vec::new();
            write_counter(counter, &mut out);
            assert_eq!(core::str::from_utf8(&out), Ok(expected));
        }
    }
}
