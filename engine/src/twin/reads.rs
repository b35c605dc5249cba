//! Reads beside the model.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use jute::{AclList, Code, Field as _, Op, Reader, SessionId, Strings};

use super::generate::{SESSIONS, read_path};
use super::model::{Acl, Model, Who, permit};
use super::{Twin, auth_ids, encode_acl, entries};
use crate::chance::Chance;
use crate::read::{Left, ReadRequest, serve};

/// A few random reads.
pub(super) fn compare(chance: &mut Chance, twin: &Twin) {
    for _ in 0..4 {
        let path = read_path(chance, &twin.model);
        let auth = match chance.below(3) {
            0 => Vec::new(),
            1 => [("digest".to_string(), "u:x".to_string())].to_vec(),
            _ => [("super".to_string(), String::new())].to_vec(),
        };
        let who = Who { session: *chance.pick(&SESSIONS), now: 0, auth };
        let ops = [
            Op::Exists,
            Op::GetData,
            Op::GetAcl,
            Op::GetChildren,
            Op::GetChildren2,
            Op::GetAllChildrenNumber,
            Op::GetEphemerals,
        ];
        one(twin, &who, *chance.pick(&ops), &path);
    }
}

fn one(twin: &Twin, who: &Who, op: Op, path: &str) {
    let mut body = Vec::new();
    path.as_bytes().write(&mut body);
    body.push(1);
    let auth = auth_ids(who);
    let request = ReadRequest { op, body: &body, session: SessionId(who.session), auth: &auth };
    let mut out = b"before".to_vec();
    let served = serve(twin.state.tree().view(), &twin.rules, &request, &mut out)
        .expect("as the test has it");
    let out = out.strip_prefix(b"before").expect("as the test has it");
    let expected = expected(&twin.model, who, op, path);
    let code = expected.as_ref().err().copied().unwrap_or(Code::Ok);
    assert_eq!(served.code, code, "{op:?} {path:?} {who:?}");
    let left = match (op, code) {
        (Op::Exists, Code::NoNode) => Some(Left::Exist),
        (Op::Exists | Op::GetData, Code::Ok) => Some(Left::Data),
        (Op::GetChildren | Op::GetChildren2, Code::Ok) => Some(Left::Child),
        _ => None,
    };
    assert_eq!(served.watch, left.map(|it| (it, path.as_bytes())));
    assert_eq!(sorted(op, out), expected.unwrap_or_default(), "{op:?} {path:?}");
}

/// The body, its strings in order.
fn sorted(op: Op, out: &[u8]) -> Vec<u8> {
    if !matches!(op, Op::GetChildren | Op::GetChildren2 | Op::GetEphemerals) || out.is_empty() {
        return out.to_vec();
    }
    let mut reader = Reader::new(out);
    let strings = Strings::read(&mut reader).expect("as the test has it");
    let mut strings: Vec<_> = strings.iter().collect();
    strings.sort_unstable();
    let mut out = vector(&strings);
    out.extend(reader.rest());
    out
}

fn vector(strings: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    (strings.len() as i32).write(&mut out);
    for string in strings {
        string.write(&mut out);
    }
    out
}

fn expected(model: &Model, who: &Who, op: Op, path: &str) -> Result<Vec<u8>, Code> {
    if op == Op::GetEphemerals {
        let owned = model.nodes.iter().filter(|it| it.1.owner == who.session);
        let prefix = if path == "/" { "" } else { path };
        let owned: Vec<_> = owned.filter(|it| it.0.starts_with(prefix)).collect();
        return Ok(vector(&owned.iter().map(|it| it.0.as_bytes()).collect::<Vec<_>>()));
    }
    if op == Op::Exists && path.contains('\0') {
        return Err(Code::BadArguments);
    }
    let name = if path.is_empty() { "/" } else { path };
    let node = model.nodes.get(name).ok_or(Code::NoNode)?;
    permit(who, &node.acl, if op == Op::GetAcl { 17 } else { 1 })?;
    let mut out = Vec::new();
    match op {
        Op::GetData => node.data.as_deref().write(&mut out),
        Op::GetChildren | Op::GetChildren2 => {
            let children = model.children(name);
            out = vector(&children.iter().map(String::as_bytes).collect::<Vec<_>>());
        }
        Op::GetAcl => encode_acl(&shown(who, &node.acl), &mut out),
        Op::GetAllChildrenNumber => {
            let prefix = if name == "/" { "/".to_string() } else { name.to_string() + "/" };
            let count = model.nodes.keys().filter(|it| it.starts_with(&prefix)).count() as i32;
            // "/" itself has that prefix; the reference counts it only for "".
            (count - i32::from(path == "/")).write(&mut out);
        }
        _ => {}
    }
    if !matches!(op, Op::GetChildren | Op::GetAllChildrenNumber) {
        out.extend(model.stat(name));
    }
    Ok(out)
}

fn shown(who: &Who, acl: &Acl) -> Acl {
    if permit(who, acl, 16).is_ok() {
        return acl.clone();
    }
    let masked = |(perms, scheme, id): &(i32, String, String)| {
        let user = id.split(':').next().expect("as the test has it");
        let id = if scheme == "digest" { user.to_string() + ":x" } else { id.clone() };
        (*perms, scheme.clone(), id)
    };
    acl.iter().map(masked).collect()
}

#[test]
fn a_list_reads_back_as_it_was_written() {
    let acl: Acl = [(31, "digest".to_string(), "u:x".to_string())].to_vec();
    let mut bytes = Vec::new();
    encode_acl(&acl, &mut bytes);
    assert_eq!(entries(AclList::decode(&bytes).expect("as the test has it")), acl);
}
