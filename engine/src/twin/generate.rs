//! Random requests, and their bytes.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};

use jute::{Field as _, MultiHeader, Op};

use super::encode_acl;
use super::model::{Acl, Do, Model, Who, anyone};
use crate::chance::Chance;

/// The sessions that come and go.
pub(super) const SESSIONS: [i64; 3] = [7, 8, 0x0100_0000_0000_0009];

const PATHS: [&str; 14] = [
    "/a",
    "/b",
    "/c",
    "/a/b",
    "/a/c",
    "/b/c",
    "/b/d",
    "/a/b/c",
    "/a/b/d",
    "/a/s-",
    "/c/s-",
    "/c/",
    "/zookeeper/quota/a",
    "/zookeeper/quota/b",
];

const ODD_PATHS: [&str; 14] = [
    "/",
    "",
    "x",
    "/a/",
    "/a//b",
    "/a\0",
    "/a/..",
    "/zookeeper",
    "/zookeeper/x",
    "/zookeeper/quota",
    "/zookeeper/config",
    "/zookeeper/quota/b/zookeeper_limits",
    "/zookeeper/quota/a/zookeeper_limits",
    "/zookeeper/quota/b/zookeeper_stats",
];

fn path(chance: &mut Chance, model: &Model) -> String {
    match chance.below(12) {
        0..=4 => {
            let there: Vec<_> = model.nodes.keys().collect();
            (*chance.pick(&there)).clone()
        }
        5 => (*chance.pick(&ODD_PATHS)).to_string(),
        _ => (*chance.pick(&PATHS)).to_string(),
    }
}

fn data(chance: &mut Chance, path: &str) -> Option<Vec<u8>> {
    if path.ends_with("zookeeper_limits") {
        let texts = ["count=3,bytes=20", "count=-1,bytes=-1=;byteHardLimit=40;countHardLimit=3"];
        return Some(chance.pick(&texts).as_bytes().to_vec());
    }
    if path.ends_with("zookeeper_stats") {
        return Some(b"count=0,bytes=0".to_vec());
    }
    let len = *chance.pick(&[0, 1, 7, 8, 9, 20, 100]);
    (chance.below(8) != 0).then(|| vec![b'd'; len])
}

fn acl(chance: &mut Chance) -> Acl {
    let entry = |perms, scheme: &str, id: &str| (perms, scheme.to_string(), id.to_string());
    match chance.below(40) {
        0 => vec![],
        1 | 8..=11 => anyone(1),
        2 => vec![entry(31, "digest", "u:x")],
        3 => vec![entry(31, "auth", "")],
        4 => vec![entry(31, "nobody", "u")],
        5 => vec![
            entry(1, "world", "anyone"),
            entry(30, "digest", "u:x"),
            entry(1, "world", "anyone"),
        ],
        6 => vec![entry(31, "digest", "v:y"), entry(4, "world", "anyone")],
        7 => vec![entry(31, "world", "anybody")],
        _ => anyone(31),
    }
}

fn version(chance: &mut Chance) -> i32 {
    *chance.pick(&[-1, -1, -1, -1, 0, 1])
}

fn create(chance: &mut Chance, model: &Model) -> Do {
    let path = match chance.below(3) {
        0 => path(chance, model),
        _ => (*chance.pick(&PATHS)).to_string(),
    };
    let op = *chance.pick(&[1, 1, 1, 15, 15, 19, 21]);
    let flags = match (op, chance.below(6)) {
        (_, 0) if chance.below(4) == 0 => *chance.pick(&[0, 1, 2, 3, 4, 5, 6, 7, -1]),
        (19, _) => 4,
        (21, _) => 5 + chance.below(2) as i32,
        _ => chance.below(4) as i32,
    };
    let ttl = if op == 21 { *chance.pick(&[1, 1000, 1000, 1000, 0, -1, 1 << 40]) } else { -1 };
    let data = data(chance, &path);
    Do::Create { op, path, data, acl: acl(chance), flags, ttl }
}

fn change(chance: &mut Chance, model: &Model) -> Do {
    match chance.below(12) {
        0..=4 => create(chance, model),
        5 | 6 => Do::Delete { path: path(chance, model), version: version(chance) },
        7..=9 => {
            let path = path(chance, model);
            // The text of usage is the server's.
            let path = if path.ends_with("_stats") { "/a".to_string() } else { path };
            let data = data(chance, &path);
            Do::Set { path, data, version: version(chance) }
        }
        10 => Do::Check { path: path(chance, model), version: version(chance) },
        _ => Do::SetAcl { path: path(chance, model), acl: acl(chance), version: version(chance) },
    }
}

/// One request of somebody.
pub(super) fn random(chance: &mut Chance, model: &Model) -> (Who, Do) {
    let auth = match chance.below(8) {
        0 => vec![],
        1 => vec![("digest", "u:x"), ("digest", "v:y")],
        2 => vec![("digest", "v:y")],
        3..=6 => vec![("ip", "127.0.0.1"), ("super", "")],
        _ => vec![("ip", "127.0.0.1"), ("digest", "u:x")],
    };
    let auth = auth.iter().map(|it| (it.0.to_string(), it.1.to_string())).collect();
    let open: Vec<_> = model.sessions.iter().copied().collect();
    let any = open.is_empty() || chance.below(20) == 0;
    let session = *chance.pick(if any { &SESSIONS } else { &open });
    let who = Who { session, now: 1000 + chance.below(1000) as i64, auth };
    let what = match chance.below(40) {
        0 => Do::Open { timeout: 4000 },
        1 if chance.below(4) == 0 => Do::Close,
        2 => Do::Reap { path: path(chance, model) },
        3 if any => Do::Reconfig,
        4..=11 => Do::Multi((0..chance.below(5)).map(|_| sub(chance, model)).collect()),
        _ => loop {
            let what = change(chance, model);
            if !matches!(what, Do::Check { .. }) {
                break what;
            }
        },
    };
    (who, what)
}

/// An op that a multi can hold, with flags that let the type stay what it is.
fn sub(chance: &mut Chance, model: &Model) -> Do {
    loop {
        let what = change(chance, model);
        match &what {
            Do::SetAcl { .. } => {}
            Do::Create { op: 19, flags, .. } if *flags != 4 => {}
            Do::Create { op: 21, flags, .. } if !(5..=6).contains(flags) => {}
            Do::Create { op: 1 | 15, flags, .. } if !(0..=3).contains(flags) => {}
            _ => return what,
        }
    }
}

/// The op, and the record behind the request header.
pub(super) fn encode(what: &Do) -> (Op, Vec<u8>) {
    let mut out = Vec::new();
    let op = match what {
        Do::Create { op, path, data, acl, flags, ttl } => {
            path.as_bytes().write(&mut out);
            data.as_deref().write(&mut out);
            encode_acl(acl, &mut out);
            flags.write(&mut out);
            if *op == 21 {
                ttl.write(&mut out);
            }
            Op::from_number(*op).expect("as the test has it")
        }
        Do::Delete { path, version } => pair(path, *version, Op::Delete, &mut out),
        Do::Check { path, version } => pair(path, *version, Op::Check, &mut out),
        Do::Reap { path } => {
            path.as_bytes().write(&mut out);
            Op::DeleteContainer
        }
        Do::Set { path, data, version } => {
            path.as_bytes().write(&mut out);
            data.as_deref().write(&mut out);
            version.write(&mut out);
            Op::SetData
        }
        Do::SetAcl { path, acl, version } => {
            path.as_bytes().write(&mut out);
            encode_acl(acl, &mut out);
            version.write(&mut out);
            Op::SetAcl
        }
        Do::Multi(subs) => {
            for sub in subs {
                let (op, record) = encode(sub);
                MultiHeader { op: op.number(), done: false, err: -1 }.write(&mut out);
                out.extend(record);
            }
            MultiHeader::END.write(&mut out);
            Op::Multi
        }
        Do::Open { timeout } => {
            timeout.write(&mut out);
            Op::CreateSession
        }
        Do::Close => Op::CloseSession,
        Do::Reconfig => {
            out.extend([0xff; 20]);
            Op::Reconfig
        }
    };
    (op, out)
}

fn pair(path: &str, version: i32, op: Op, out: &mut Vec<u8>) -> Op {
    path.as_bytes().write(out);
    version.write(out);
    op
}

/// A path for a read.
pub(super) fn read_path(chance: &mut Chance, model: &Model) -> String {
    match chance.below(10) {
        0 => format!("/none{}", chance.below(3)),
        _ => path(chance, model),
    }
}
