//! A transaction as lines: one, and one more for each op of a multi.

use std::io::{self, ErrorKind, Write};

use jute::{
    AclList, CheckVersionTxn, CloseSessionTxn, CreateContainerTxn, CreateSessionTxn, CreateTtlTxn,
    CreateTxn, DecodeError, DeleteTxn, ErrorTxn, Field as _, MultiTxn, Op, Reader, SetAclTxn,
    SetDataTxn, TxnHeader,
};

use super::line::Line;
use crate::cli::InspectArgs;

/// Prints an entry of the log, if `args` want it.
///
/// # Errors
/// The output's; `InvalidData` if the entry is none.
pub(super) fn show(args: &InspectArgs, entry: &[u8], out: &mut dyn Write) -> io::Result<()> {
    for (path, line) in
        lines(args, entry).map_err(|err| io::Error::new(ErrorKind::InvalidData, err))?
    {
        if args.path.is_none() || is_wanted(args, path.as_deref()) {
            line.print(args, out)?;
        }
    }
    Ok(())
}

/// Whether `path` is the one asked for, or below it.
pub(super) fn is_wanted(args: &InspectArgs, path: Option<&[u8]>) -> bool {
    let Some(top) = args.path.as_deref().map(|it| it.trim_end_matches('/').as_bytes()) else {
        return true;
    };
    path.and_then(|it| it.strip_prefix(top)).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

type Shown = (Option<Vec<u8>>, Line);

fn lines(args: &InspectArgs, entry: &[u8]) -> Result<Vec<Shown>, DecodeError> {
    let mut reader = Reader::new(entry);
    let header = TxnHeader::read(&mut reader)?;
    if args.zxids.as_ref().is_some_and(|it| !it.contains(&(header.zxid.0 as u64))) {
        return Ok(Vec::new());
    }
    let mut line = Line::new("transaction");
    line.hex("zxid", header.zxid.0);
    line.number("time_ms", header.time_ms);
    line.hex("session", header.client.0);
    line.number("cxid", header.cxid);
    if Op::from_number(header.op) != Some(Op::Multi) {
        let path = record(&mut line, header.op, &mut reader)?;
        return Ok(vec![(path, line)]);
    }
    let subs = MultiTxn::read(&mut reader)?.txns;
    line.text("op", "multi");
    line.number("ops", subs.len());
    let mut shown = vec![(None, line)];
    for sub in &subs {
        let mut line = Line::new("part");
        line.hex("zxid", header.zxid.0);
        let path = record(&mut line, sub.op, &mut Reader::new(sub.record))?;
        shown.push((path, line));
    }
    Ok(shown)
}

/// Adds what the record of an op says; the path it is about.
fn record(
    line: &mut Line,
    number: i32,
    reader: &mut Reader<'_>,
) -> Result<Option<Vec<u8>>, DecodeError> {
    let op = Op::from_number(number);
    line.text("op", &op.map_or_else(|| number.to_string(), name));
    let path = match op {
        Some(Op::Create | Op::Create2) => {
            let txn = CreateTxn::read(reader)?;
            created(line, txn.path, txn.data, &txn.acl);
            line.text("ephemeral", if txn.ephemeral { "yes" } else { "no" });
            txn.path
        }
        Some(Op::CreateTtl) => {
            let txn = CreateTtlTxn::read(reader)?;
            created(line, txn.path, txn.data, &txn.acl);
            line.number("ttl_ms", txn.ttl_ms);
            txn.path
        }
        Some(Op::CreateContainer) => {
            let txn = CreateContainerTxn::read(reader)?;
            created(line, txn.path, txn.data, &txn.acl);
            txn.path
        }
        Some(Op::Delete | Op::DeleteContainer) => {
            let txn = DeleteTxn::read(reader)?;
            line.bytes("path", txn.path);
            txn.path
        }
        Some(Op::SetData | Op::Reconfig) => {
            let txn = SetDataTxn::read(reader)?;
            line.bytes("path", txn.path);
            line.number("version", txn.version);
            data(line, txn.data);
            txn.path
        }
        Some(Op::SetAcl) => {
            let txn = SetAclTxn::read(reader)?;
            line.bytes("path", txn.path);
            line.number("version", txn.version);
            acl(line, &txn.acl);
            txn.path
        }
        Some(Op::Check) => {
            let txn = CheckVersionTxn::read(reader)?;
            line.bytes("path", txn.path);
            line.number("version", txn.version);
            txn.path
        }
        other => {
            session(line, other, reader)?;
            return Ok(None);
        }
    };
    Ok(Some(path.to_vec()))
}

fn session(line: &mut Line, op: Option<Op>, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    if op == Some(Op::CreateSession) {
        line.number("timeout_ms", CreateSessionTxn::read(reader)?.timeout_ms);
    } else if op == Some(Op::CloseSession) {
        let paths: Vec<String> = CloseSessionTxn::read(reader)?
            .paths
            .into_iter()
            .map(|it| String::from_utf8_lossy(it).into_owned())
            .collect();
        line.number("ephemerals", paths.len());
        line.text("paths", &paths.join(" "));
    } else if op == Some(Op::Error) {
        line.number("err", ErrorTxn::read(reader)?.err);
    }
    Ok(())
}

fn created(line: &mut Line, path: &[u8], bytes: Option<&[u8]>, list: &AclList<'_>) {
    line.bytes("path", path);
    data(line, bytes);
    acl(line, list);
}

/// Adds data: its length, and what it says.
pub(super) fn data(line: &mut Line, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => {
            line.number("length", bytes.len());
            line.bytes("data", bytes);
        }
        None => line.number("length", "null"),
    }
}

/// Adds an access list as zkCli writes it: `scheme:id:permissions`, commas between.
pub(super) fn acl(line: &mut Line, list: &AclList<'_>) {
    let entry = |it: jute::AclEntry<'_>| {
        let text = |it: Option<&[u8]>| String::from_utf8_lossy(it.unwrap_or_default()).into_owned();
        let perms = ['r', 'w', 'c', 'd', 'a'].into_iter().enumerate();
        let perms: String =
            perms.filter(|(bit, _)| it.perms.0 >> bit & 1 == 1).map(|it| it.1).collect();
        format!("{}:{}:{perms}", text(it.scheme), text(it.id))
    };
    let entries: Vec<_> = list.iter().map(entry).collect();
    line.text("acl", &entries.join(","));
}

/// The op as zkCli and the audit log would name it.
fn name(op: Op) -> String {
    let name = format!("{op:?}");
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |it| it.to_lowercase().chain(letters).collect())
}
