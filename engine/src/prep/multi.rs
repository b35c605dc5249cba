//! multi: all of its ops, or none.

use alloc::vec::Vec;

use jute::{Code, CreateMode, ErrorTxn, Field as _, MultiOps, Op};

use super::change::Change;
use super::create::Creation;
use super::{Ask, Prep, Room, marshalling};

impl Prep {
    /// One transaction of all ops. If an op fails it holds what the ops before would have done, the code, and
    /// `RuntimeInconsistency` for the ops behind: to be answered, not to be done.
    ///
    /// # Errors
    /// The request is none, and takes no zxid.
    pub(super) fn multi(&mut self, ask: &Ask<'_>, out: &mut Vec<u8>) -> Result<(), Code> {
        let Some(changes) = changes(ask.request.body)? else {
            ask.write_error(Code::MarshallingError, out);
            return Ok(());
        };
        if self.room == Room::Tight && changes.iter().any(|it| it.1.grows()) {
            return Err(Code::OperationTimeout);
        }
        let (start, digest) = (out.len(), self.digest);
        ask.header(Op::Multi).write(out);
        (changes.len() as i32).write(out);
        self.overlay.begin();
        let mut failed = None;
        for (op, change) in &changes {
            let at = out.len();
            let done = match failed {
                Some(_) => Err(Code::RuntimeInconsistency),
                None => self.sub(ask, *op, change, out),
            };
            let Err(code) = done else { continue };
            out.truncate(at);
            write_error(code, out);
            if failed.is_none() {
                self.overlay.roll_back(ask.zxid);
                self.digest = digest;
                failed = Some(code);
            }
        }
        self.overlay.keep();
        if failed == Some(Code::MarshallingError) {
            out.truncate(start);
            ask.write_error(Code::MarshallingError, out);
        } else {
            self.write_digest(out);
        }
        Ok(())
    }

    /// One op: its type, and its record as a buffer.
    fn sub(
        &mut self,
        ask: &Ask<'_>,
        op: Op,
        change: &Change<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Code> {
        op.number().write(out);
        let at = out.len();
        0_i32.write(out);
        self.change(ask, change, out)?;
        let len = (out.len() - at - 4) as i32;
        out[at..at + 4].copy_from_slice(&len.to_be_bytes());
        Ok(())
    }
}

/// The ops with the types that their transactions have; `None` for what the reference fails as a whole.
///
/// # Errors
/// What it fails as a whole before it takes a zxid: a create without an ACL.
fn changes(body: &[u8]) -> Result<Option<Vec<(Op, Change<'_>)>>, Code> {
    let Ok(ops) = MultiOps::decode(body) else { return Ok(None) };
    if ops.is_read() {
        return Ok(None);
    }
    let mut changes = Vec::with_capacity(ops.len());
    for (op, record) in ops {
        let mut change = Change::decode(op, record).map_err(marshalling)?;
        let mut op = op;
        if let Change::Create(creation) = &mut change {
            let null_acl = creation.acl.is_null() && op != Op::CreateTtl;
            if null_acl {
                return Err(Code::MarshallingError);
            }
            op = retyped(creation);
        }
        if change.path().is_none() {
            return Ok(None);
        }
        changes.push((op, change));
    }
    Ok(Some(changes))
}

/// In a multi, the flags decide with the op which transaction a create becomes. Source: `Op.Create.getOpcode`.
fn retyped(creation: &mut Creation<'_>) -> Op {
    let mode = CreateMode::from_flags(creation.flags).unwrap_or(CreateMode::Persistent);
    let op = match creation.op {
        Op::CreateTtl if mode.is_ttl() => Op::CreateTtl,
        _ if mode.is_container() => Op::CreateContainer,
        Op::CreateTtl => Op::Create,
        op => op,
    };
    if op != Op::CreateTtl {
        creation.ttl_ms = -1;
    }
    creation.op = op;
    op
}

fn write_error(code: Code, out: &mut Vec<u8>) {
    Op::Error.number().write(out);
    4_i32.write(out);
    ErrorTxn { err: code.number() }.write(out);
}
