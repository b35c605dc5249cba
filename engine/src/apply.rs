//! Transactions become changes of the tree, events, and the bodies of replies.
//!
//! ZooKeeper: `DataTree.processTxn`, `ZKDatabase`, and the bodies that `FinalRequestProcessor` makes of its results.
//! The same for a server that prepared the transaction, one that was sent it, and one that replays its log.
//!
//! Invariants: what is done depends on the tree and the entry alone; after an entry that carries a digest, the tree
//! has that digest, unless the tree was ahead ([`Fuzzy`]).

mod sessions;
#[cfg(all(test, not(loom)))]
mod tests;
mod znodes;

use alloc::vec::Vec;

use jute::{
    Code, DecodeError, ErrorTxn, EventType, Field as _, List, MultiHeader, MultiTxn, Op, PathError,
    Reader, Record as _, SessionId, SubTxn, TxnDigest, TxnHeader, Zxid,
};

use crate::arena::Full;
use crate::state::{Fuzzy, State};
use crate::tree::TreeView;

/// Something happened to a znode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// The transaction.
    pub zxid: Zxid,
    /// Created, deleted, or data changed; of the first two, watchers of the parent's children hear too.
    pub kind: EventType,
    /// The znode.
    pub path: &'a [u8],
    /// The znode's ACL, as a jute list, as it was when it happened; empty if anybody may read the znode.
    pub acl: &'a [u8],
    /// The same of the parent; empty for a change of data.
    pub parent_acl: &'a [u8],
}

/// Who wants to know what a transaction does beside changing the tree. Everything has a default: nobody does.
pub trait Effects {
    /// Something happened to a znode. In the order in which watches fire.
    fn event(&mut self, event: Event<'_>) {
        let _: Event<'_> = event;
    }

    /// A session has begun.
    fn session_opened(&mut self, session: SessionId, timeout_ms: i32) {
        let _: (SessionId, i32) = (session, timeout_ms);
    }

    /// A session has ended; its ephemerals have gone.
    fn session_closed(&mut self, session: SessionId) {
        let _: SessionId = session;
    }

    /// Where the body of the reply goes, if somebody waits for it.
    fn reply(&mut self) -> Option<&mut Vec<u8>> {
        None
    }
}

/// Nobody wants to know: for replay.
#[derive(Clone, Copy, Debug, Default)]
pub struct Replay;

impl Effects for Replay {}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Who asked for it, which it is, and when.
    pub header: TxnHeader,
    /// The outcome, for the reply's header. A multi that failed is `Ok`: its body says more.
    pub code: Code,
}

/// An entry could not be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// It is no transaction.
    #[error("transaction {zxid}: {error}")]
    Decode {
        /// Which.
        zxid: Zxid,
        /// Why.
        error: DecodeError,
    },
    /// Its type is none that a log can hold.
    #[error("transaction {zxid} has type {op}")]
    Type {
        /// Which.
        zxid: Zxid,
        /// The type's number.
        op: i32,
    },
    /// Its error code, or its TTL, is none.
    #[error("transaction {zxid} carries the number {number}, which means nothing")]
    Number {
        /// Which.
        zxid: Zxid,
        /// The number.
        number: i64,
    },
    /// It creates a znode where none can be.
    #[error("transaction {zxid} creates a znode: {error}")]
    Path {
        /// Which.
        zxid: Zxid,
        /// Why none can be there.
        error: PathError,
    },
    /// It does not come after what the tree holds.
    #[error("transaction {zxid} after {last}")]
    Order {
        /// Which.
        zxid: Zxid,
        /// The last one of the tree.
        last: Zxid,
    },
    /// It removes a znode that has children.
    #[error("transaction {zxid} removes a znode with {count} children")]
    Children {
        /// Which.
        zxid: Zxid,
        /// How many children.
        count: u32,
    },
    /// The tree's digest is not what it should be after it.
    #[error("transaction {zxid}: the tree's digest is {found:#x}, expected {expected:#x}")]
    Digest {
        /// Which.
        zxid: Zxid,
        /// What the tree has.
        found: u64,
        /// What the transaction carries.
        expected: u64,
    },
    /// The region has no room.
    #[error("transaction {zxid}: no room in the tree's memory")]
    Full {
        /// Which.
        zxid: Zxid,
    },
}

/// Why one step did not go through.
#[derive(Clone, Copy, Debug)]
enum Stop {
    /// It is an outcome: the transaction does nothing more.
    Code(Code),
    /// The entry is at fault.
    Decode(DecodeError),
    Type(i32),
    Number(i64),
    Path(PathError),
    Children(u32),
    /// There is no room.
    Full,
}

impl From<DecodeError> for Stop {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

impl From<PathError> for Stop {
    fn from(error: PathError) -> Self {
        Self::Path(error)
    }
}

impl From<Full> for Stop {
    fn from(_: Full) -> Self {
        Self::Full
    }
}

impl Stop {
    fn error(self, zxid: Zxid) -> ApplyError {
        match self {
            Self::Code(code) => ApplyError::Number { zxid, number: code.number().into() },
            Self::Decode(error) => ApplyError::Decode { zxid, error },
            Self::Type(op) => ApplyError::Type { zxid, op },
            Self::Number(number) => ApplyError::Number { zxid, number },
            Self::Path(error) => ApplyError::Path { zxid, error },
            Self::Children(count) => ApplyError::Children { zxid, count },
            Self::Full => ApplyError::Full { zxid },
        }
    }
}

/// One transaction being applied.
#[derive(Debug)]
pub(crate) struct Apply<'a, E> {
    state: &'a mut State,
    effects: &'a mut E,
    header: TxnHeader,
}

impl<'a, E: Effects> Apply<'a, E> {
    /// Applies a whole entry.
    pub(crate) fn entry(
        state: &'a mut State,
        entry: &[u8],
        effects: &'a mut E,
    ) -> Result<Applied, ApplyError> {
        let mut reader = Reader::new(entry);
        let header = TxnHeader::read(&mut reader);
        let header = header.map_err(|error| ApplyError::Decode { zxid: Zxid::ZERO, error })?;
        let zxid = header.zxid;
        let last = core::mem::replace(&mut state.last, zxid);
        if zxid <= last {
            return Err(ApplyError::Order { zxid, last });
        }
        let mut apply = Self { state, effects, header };
        let code = match apply.record(&mut reader) {
            Ok(()) => Code::Ok,
            Err(Stop::Code(code)) => code,
            Err(stop) => return Err(stop.error(zxid)),
        };
        if apply.state.fuzzy == Fuzzy::No
            && let Ok(digest) = TxnDigest::read(&mut reader)
        {
            let (found, expected) = (apply.state.tree.look(TreeView::digest), digest.tree as u64);
            if digest.version == TxnDigest::VERSION && found != expected {
                return Err(ApplyError::Digest { zxid, found, expected });
            }
        }
        Ok(Applied { header, code })
    }

    /// Reads the record that the header's type names, and does what it says.
    fn record(&mut self, reader: &mut Reader<'_>) -> Result<(), Stop> {
        let number = self.header.op;
        let op = Op::from_number(number).ok_or(Stop::Type(number))?;
        match op {
            Op::Error => Err(Stop::Code(error_code(reader)?)),
            Op::Multi => self.multi(MultiTxn::read(reader)?.txns),
            Op::CreateSession => self.create_session(reader),
            Op::CloseSession => self.close_session(reader),
            Op::SetAcl => self.set_acl(reader),
            Op::Reconfig => self.reconfig(reader),
            Op::Check => Err(Stop::Type(number)),
            _ => self.change(op, reader),
        }
    }

    /// Does what a transaction, or an op of a multi, says.
    fn change(&mut self, op: Op, reader: &mut Reader<'_>) -> Result<(), Stop> {
        match op {
            Op::Create | Op::Create2 | Op::CreateContainer | Op::CreateTtl => {
                self.create(op, reader)
            }
            Op::Delete | Op::DeleteContainer => self.delete(reader),
            Op::SetData => self.set_data(reader),
            Op::Check => Ok(()),
            _ => Err(Stop::Type(op.number())),
        }
    }

    fn multi(&mut self, txns: List<'_, SubTxn<'_>>) -> Result<(), Stop> {
        if txns.iter().any(|sub| sub.op == Op::Error.number()) {
            return self.failed_multi(&txns);
        }
        for sub in &txns {
            let op = Op::from_number(sub.op).ok_or(Stop::Type(sub.op))?;
            let shown = match op {
                Op::CreateContainer | Op::CreateTtl => Op::Create2,
                Op::DeleteContainer => Op::Delete,
                _ => op,
            };
            let header = MultiHeader { op: shown.number(), done: false, err: 0 };
            self.write(|out| header.write(out));
            let mut reader = Reader::new(sub.record);
            match self.change(op, &mut reader) {
                // What a sub-op could not do to a tree that is ahead of it was done before.
                Ok(()) | Err(Stop::Code(_)) => {}
                Err(stop) => return Err(stop),
            }
        }
        self.write(|out| MultiHeader::END.write(out));
        Ok(())
    }

    /// Nothing is done; each op's result is an error: none before the one that failed, its own, and
    /// `RuntimeInconsistency` behind it.
    fn failed_multi(&mut self, txns: &List<'_, SubTxn<'_>>) -> Result<(), Stop> {
        let mut failed = false;
        for sub in txns {
            let err = match Op::from_number(sub.op) {
                Some(Op::Error) => ErrorTxn::decode(sub.record)?.err,
                _ if failed => Code::RuntimeInconsistency.number(),
                _ => Code::Ok.number(),
            };
            failed |= sub.op == Op::Error.number();
            self.write(|out| {
                MultiHeader { op: Op::Error.number(), done: false, err }.write(out);
                err.write(out);
            });
        }
        self.write(|out| MultiHeader::END.write(out));
        Ok(())
    }

    fn write(&mut self, body: impl FnOnce(&mut Vec<u8>)) {
        if let Some(out) = self.effects.reply() {
            body(out);
        }
    }
}

fn error_code(reader: &mut Reader<'_>) -> Result<Code, Stop> {
    let number = ErrorTxn::read(reader)?.err;
    Code::from_number(number).ok_or_else(|| Stop::Number(number.into()))
}
