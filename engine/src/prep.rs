//! Requests become transactions: checked against the tree and everything that is still on its way to it.
//!
//! ZooKeeper: `PrepRequestProcessor`. Checks come in its order and answer with its codes. A request that fails is a
//! transaction too, of type error. An entry is the header, the record and, unless it failed, the digest that the tree
//! will have.
//!
//! Invariants: zxids ascend by one; the overlay holds every znode that an entry not yet applied touches, as it will be;
//! a failed request leaves nothing in it.
//!
//! Differs: the version after −2 is 0, since −1 means any; a znode's owner follows from the op alone, as it does when
//! the transaction is applied; `/` has one entry in the overlay, where the reference has two; a closing session's
//! ephemerals count no longer as children; createTTL with flags that name no TTL is refused; so is what would be longer than
//! [`Rules::txn_len_max`], and an ephemeral with which the end of its session would be.
//! Absent: the op's number as it came (ops that no client may ask for are the caller's to refuse), expiry, the log.

mod change;
mod create;
mod multi;
mod overlay;
mod owned;
mod sessions;
#[cfg(all(test, not(loom)))]
mod tests;

use alloc::vec::Vec;

use jute::{
    AclList, Code, DecodeError, ErrorTxn, Field as _, Op, Perms, ReconfigRequest, Record as _,
    SessionId, TxnDigest, TxnHeader, Xid, Zxid,
};

use crate::auth::{AuthIds, check_acl};
use crate::eager;
use crate::planted::{self, Bug};
use crate::quota::Exceeded;
use crate::rules::{Digest, Rules, UnknownSessions};
use crate::state::State;
use crate::tree::TreeView;
use change::Change;
use overlay::{Guard, Known, Overlay};
use owned::Owned;
use sessions::OpenSessions;

/// A request that would change something.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Who asks; for createSession the session to be. None for deleteContainer.
    pub session: SessionId,
    /// The client's number for it.
    pub cxid: Xid,
    /// What. createSession and deleteContainer are for the server itself to ask.
    pub op: Op,
    /// The record behind the request header.
    pub body: &'a [u8],
    /// Who the connection is.
    pub auth: &'a AuthIds,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prepared {
    /// It is a transaction: an entry was appended.
    Txn(Zxid),
    /// It is none, and took no zxid: nothing was appended. This is its answer, in its place in the order.
    Refused(Code),
}

/// Whether there is room for more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Room {
    /// There is.
    #[default]
    Ample,
    /// The disk or the tree's memory is nearly full: what creates or sets something is refused with
    /// `OperationTimeout`, which clients try again. Deletes and sessions go on.
    Tight,
}

/// Makes transactions. One per leader.
#[derive(Debug)]
pub struct Prep {
    rules: Rules,
    /// The last zxid given out.
    last: Zxid,
    /// The last reconfig that was given one and was not refused; zero at the start.
    last_reconfig: Zxid,
    /// The tree's digest after `last`.
    digest: u64,
    overlay: Overlay,
    open: OpenSessions,
    owned: Owned,
    room: Room,
    /// What the last request exceeded.
    exceeded: Vec<Exceeded>,
    /// A path that is being made.
    path: Vec<u8>,
    /// An ACL that is being looked at.
    acl: Vec<u8>,
}

impl Prep {
    /// Goes on behind what the tree holds.
    pub fn new(rules: Rules, state: &State) -> Self {
        Self {
            rules,
            last: state.tree.zxid(),
            last_reconfig: Zxid::ZERO,
            digest: state.tree.look(TreeView::digest),
            overlay: Overlay::default(),
            open: OpenSessions::default(),
            owned: Owned::default(),
            room: Room::Ample,
            exceeded: Vec::new(),
            path: Vec::new(),
            acl: Vec::new(),
        }
    }

    /// Makes a request a transaction at `now_wall_ms`, milliseconds since 1970, and appends its entry to `out`.
    pub fn prepare(
        &mut self,
        state: &State,
        now_wall_ms: i64,
        request: &Request<'_>,
        out: &mut Vec<u8>,
    ) -> Prepared {
        self.exceeded.clear();
        let ask = Ask { state, request, zxid: self.last.next(), now_wall_ms };
        let done = match request.op {
            Op::Multi => self.multi(&ask, out),
            Op::CreateSession => self.create_session(&ask, out),
            Op::CloseSession => self.close_session(&ask, out),
            Op::Create
            | Op::Create2
            | Op::CreateContainer
            | Op::CreateTtl
            | Op::Delete
            | Op::DeleteContainer
            | Op::SetData
            | Op::SetAcl
            | Op::Reconfig => self.single(&ask, out),
            _ => Err(Code::Unimplemented),
        };
        match done {
            Ok(()) => {
                self.last = ask.zxid;
                Prepared::Txn(ask.zxid)
            }
            Err(code) => Prepared::Refused(code),
        }
    }

    /// As [`Prep::prepare`], of a reconfig to which the ensemble has said its word: the new configuration, or a code. `asked` is
    /// asked for it with the zxid that the transaction would have.
    pub fn prepare_reconfig(
        &mut self,
        state: &State,
        now_wall_ms: i64,
        request: &Request<'_>,
        asked: impl FnOnce(Zxid) -> Result<Vec<u8>, Code>,
        out: &mut Vec<u8>,
    ) -> Prepared {
        assert!(request.op == Op::Reconfig);
        self.exceeded.clear();
        let ask = Ask { state, request, zxid: self.last.next(), now_wall_ms };
        if let Err(error) = ReconfigRequest::decode(request.body) {
            return Prepared::Refused(marshalling(error));
        }
        let start = out.len();
        ask.header(request.op).write(out);
        let members = asked(ask.zxid);
        match self.reconfig(&ask, members.as_deref().map_err(|&code| code), out) {
            Ok(()) => {
                self.last_reconfig = ask.zxid;
                self.write_digest(out);
            }
            Err(code) => {
                out.truncate(start);
                ask.write_error(code, out);
            }
        }
        self.last = ask.zxid;
        Prepared::Txn(ask.zxid)
    }

    /// The next transaction comes behind `zxid`, the beginning of an epoch. Nothing is outstanding.
    pub fn begin_epoch(&mut self, zxid: Zxid) {
        assert!(self.last <= zxid && self.overlay.len() == 0, "{zxid} behind {}", self.last);
        self.last = zxid;
    }

    /// Makes a request that is refused a transaction of type error all the same: of a learner's client, who hears only of
    /// transactions.
    pub fn fail(
        &mut self,
        state: &State,
        now_wall_ms: i64,
        request: &Request<'_>,
        code: Code,
        out: &mut Vec<u8>,
    ) -> Zxid {
        let ask = Ask { state, request, zxid: self.last.next(), now_wall_ms };
        ask.write_error(code, out);
        self.last = ask.zxid;
        ask.zxid
    }

    /// The code that a request of this server's own client is refused with before it is made a transaction. See [`crate::eager`].
    pub fn refuses(&mut self, state: &State, request: &Request<'_>) -> Option<Code> {
        let Request { op, body, auth, .. } = *request;
        let guarded = match eager::guarded(&self.rules, auth, op, body) {
            Ok(guarded) => guarded?,
            Err(code) => return Some(code),
        };
        let ask = Ask { state, request, zxid: self.last, now_wall_ms: 0 };
        let known = self.find(&ask, guarded.path).ok()?;
        self.check_acl(&ask, &known, guarded.perms).err()
    }

    /// The tree holds every transaction up to `zxid` now.
    pub fn applied(&mut self, zxid: Zxid) {
        assert!(zxid <= self.last, "{zxid} was applied, {} was the last prepared", self.last);
        self.overlay.applied(zxid);
    }

    /// From now on there is this much room.
    pub fn set_room(&mut self, room: Room) {
        self.room = room;
    }

    /// The last zxid given out.
    pub fn last_zxid(&self) -> Zxid {
        self.last
    }

    /// The last reconfig that became a transaction of its own kind; zero if none did.
    pub fn last_reconfig(&self) -> Zxid {
        self.last_reconfig
    }

    /// How many znodes are on their way to being something else.
    pub fn outstanding(&self) -> usize {
        self.overlay.len()
    }

    /// The quotas that the last request exceeded, or would have: for the operator. At most two for each of its ops.
    pub fn exceeded(&mut self) -> impl Iterator<Item = Exceeded> {
        self.exceeded.drain(..)
    }

    /// One change, outside of a multi.
    fn single(&mut self, ask: &Ask<'_>, out: &mut Vec<u8>) -> Result<(), Code> {
        let change = Change::decode(ask.request.op, ask.request.body).map_err(marshalling)?;
        if self.len_max() < ask.request.body.len() {
            return Err(Code::BadArguments);
        }
        if self.room == Room::Tight && change.grows() {
            return Err(Code::OperationTimeout);
        }
        let start = out.len();
        ask.header(ask.request.op).write(out);
        match self.change(ask, &change, out) {
            Ok(()) => self.write_digest(out),
            Err(code) => {
                out.truncate(start);
                ask.write_error(code, out);
            }
        }
        Ok(())
    }

    /// Bytes that a transaction may take without its digest.
    fn len_max(&self) -> usize {
        self.rules.txn_len_max.0.saturating_sub(DIGEST_LEN)
    }

    fn write_digest(&self, out: &mut Vec<u8>) {
        if self.rules.digest == Digest::On {
            TxnDigest { version: TxnDigest::VERSION, tree: self.digest as i64 }.write(out);
        }
    }

    /// Source: `SessionTrackerImpl.checkSession`, `LeaderSessionTracker.checkSession`. Differs: a session that is not known is answered
    /// as an expired one, unless it may be a local one.
    fn check_session(&mut self, ask: &Ask<'_>) -> Result<(), Code> {
        let session = ask.request.session;
        if self.open.holds(session) || planted::has(Bug::EphemeralAfterClose) {
            return Ok(());
        }
        let open = self.overlay.session_is_open(session).or_else(|| {
            let known = ask.state.tree.look(|it| it.session(session));
            known.map(|it| it.timeout_ms != 0)
        });
        match open {
            Some(true) => self.open.add(session),
            None if self.rules.unknown_sessions == UnknownSessions::Local => {}
            Some(false) | None => return Err(Code::SessionExpired),
        }
        Ok(())
    }

    /// As [`Prep::check_session`], of one that is to have an ephemeral. Source: `LeaderSessionTracker.checkGlobalSession`.
    fn check_owner(&mut self, ask: &Ask<'_>) -> Result<(), Code> {
        self.check_session(ask)?;
        if self.open.holds(ask.request.session) || planted::has(Bug::EphemeralAfterClose) {
            Ok(())
        } else {
            Err(Code::SessionExpired)
        }
    }

    /// Whether the asking connection has any of `perms` on a znode.
    fn check_acl(&mut self, ask: &Ask<'_>, known: &Known, perms: Perms) -> Result<(), Code> {
        let bytes = match &known.acl {
            Guard::Kept(acl) if acl.is_open() => return Ok(()),
            Guard::Kept(acl) => {
                self.acl.clear();
                ask.state.tree.look(|it| it.encode_acl(*acl, &mut self.acl));
                &self.acl
            }
            Guard::New(bytes) => &bytes[..],
        };
        let list = AclList::decode(bytes).expect("the tree's lists are lists");
        if check_acl(&self.rules.auth, ask.request.auth, list, perms) {
            Ok(())
        } else {
            Err(Code::NoAuth)
        }
    }

    /// The znode at `path`, as it will be.
    fn find(&self, ask: &Ask<'_>, path: &[u8]) -> Result<Known, Code> {
        self.overlay.look(&ask.state.tree, path).map_err(|_| Code::NoNode)
    }

    /// The znode at `path` will be so.
    fn put(&mut self, ask: &Ask<'_>, path: &[u8], mut known: Known) {
        if self.rules.digest == Digest::On {
            let before = u64::from(known.digest);
            known.refresh_digest();
            let after = u64::from(known.digest);
            self.digest = self.digest.wrapping_sub(before).wrapping_add(after);
        }
        self.overlay.put(known.key, path, ask.zxid, Some(known));
    }

    /// The znode at `path`, which is `known`, will not be there.
    fn put_gone(&mut self, ask: &Ask<'_>, path: &[u8], known: &Known) {
        if self.rules.digest == Digest::On {
            self.digest = self.digest.wrapping_sub(u64::from(known.digest));
        }
        self.overlay.put(known.key, path, ask.zxid, None);
    }
}

/// A request that is being prepared.
#[derive(Clone, Copy, Debug)]
struct Ask<'a> {
    state: &'a State,
    request: &'a Request<'a>,
    zxid: Zxid,
    now_wall_ms: i64,
}

impl Ask<'_> {
    fn header(&self, op: Op) -> TxnHeader {
        TxnHeader {
            client: self.request.session,
            cxid: self.request.cxid.0,
            zxid: self.zxid,
            time_ms: self.now_wall_ms,
            op: op.number(),
        }
    }

    /// Appends the entry of a request that failed.
    fn write_error(&self, code: Code, out: &mut Vec<u8>) {
        self.header(Op::Error).write(out);
        ErrorTxn { err: code.number() }.write(out);
    }
}

/// Bytes of a `TxnHeader`.
const HEADER_LEN: usize = 32;

/// Bytes of a [`TxnDigest`].
const DIGEST_LEN: usize = 12;

/// What the reference answers to bytes that are no such request.
fn marshalling(_: DecodeError) -> Code {
    Code::MarshallingError
}

/// The version after `version`, if `expected` is that or −1.
fn next_version(version: i32, expected: i32) -> Result<i32, Code> {
    if expected != -1 && expected != version {
        return Err(Code::BadVersion);
    }
    match version.wrapping_add(1) {
        -1 => Ok(0),
        next => Ok(next),
    }
}
