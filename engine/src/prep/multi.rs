//! multi: all of its ops, or none.

use alloc::vec::Vec;

use jute::{Code, CreateMode, ErrorTxn, Field as _, MultiHeader, Op, PathWatchRequest, Reader};

use super::change::Change;
use super::create::Creation;
use super::{Ask, Prep, Room};

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
        self.owned.begin();
        let len_max = self.len_max();
        let mut failed = None;
        for (op, change) in &changes {
            let at = out.len();
            let done = match failed {
                Some(_) => Err(Code::RuntimeInconsistency),
                None => self.sub(ask, *op, change, out),
            };
            let code = match done {
                Ok(()) if out.len() - start <= len_max => continue,
                Ok(()) => Code::BadArguments,
                Err(code) => code,
            };
            out.truncate(at);
            write_error(code, out);
            if failed.is_none() {
                self.overlay.roll_back(ask.zxid);
                self.owned.roll_back();
                self.digest = digest;
                failed = Some(code);
            }
        }
        self.overlay.keep();
        self.owned.keep();
        // One that failed may be too long by the codes of the ops behind.
        let is_long = len_max < out.len() - start;
        let whole = failed.filter(|&it| is_long || it == Code::MarshallingError);
        match whole {
            None => self.write_digest(out),
            Some(code) => {
                out.truncate(start);
                ask.write_error(code, out);
            }
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
/// What it fails as a whole before it takes a zxid: a create without an ACL that is met before any other fault.
fn changes(body: &[u8]) -> Result<Option<Vec<(Op, Change<'_>)>>, Code> {
    let mut reader = Reader::new(body);
    let mut changes = Vec::new();
    // Ops that have no path, and ops that only multiRead may hold, fail the request when all of it has been read.
    let (mut pathless, mut reads) = (0, 0);
    loop {
        let Ok(header) = MultiHeader::read(&mut reader) else { return Ok(None) };
        if header.done {
            break;
        }
        let op = match Op::from_number(header.op) {
            Some(Op::GetData | Op::GetChildren) => {
                if !changes.is_empty() || PathWatchRequest::read(&mut reader).is_err() {
                    return Ok(None);
                }
                reads += 1;
                continue;
            }
            Some(
                op @ (Op::Create
                | Op::Create2
                | Op::CreateContainer
                | Op::CreateTtl
                | Op::Delete
                | Op::SetData
                | Op::Check),
            ) => op,
            _ => return Ok(None),
        };
        let Ok(mut change) = Change::read(op, &mut reader) else { return Ok(None) };
        let mut op = op;
        if let Change::Create(creation) = &mut change {
            match CreateMode::from_flags(creation.flags) {
                _ if op == Op::CreateTtl => {}
                None => return Ok(None),
                Some(_) if creation.acl.is_null() => return Err(Code::MarshallingError),
                // Only createTTL has a TTL to give.
                Some(mode) if mode.is_ttl() => return Ok(None),
                Some(_) => {}
            }
            op = retyped(creation);
        }
        if reads != 0 {
            return Ok(None);
        }
        pathless += usize::from(change.path().is_none());
        changes.push((op, change));
    }
    Ok((pathless == 0 && reads == 0).then_some(changes))
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
