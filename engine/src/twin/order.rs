//! Requests with two faults at once are answered with the one that is looked for first.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};

use jute::Code;

use super::model::{Acl, Do, Who, anyone};
use super::{Twin, run};
use crate::rules::QuotaCheck;

const ALIVE: i64 = 7;
const DEAD: i64 = 99;

pub(super) fn who(session: i64) -> Who {
    Who { session, now: 5, auth: vec![("digest".to_string(), "u:x".to_string())] }
}

pub(super) fn create(op: i32, path: &str, acl: Acl, flags: i32, ttl: i64) -> Do {
    Do::Create { op, path: path.to_string(), data: None, acl, flags, ttl }
}

fn delete(path: &str, version: i32) -> Do {
    Do::Delete { path: path.to_string(), version }
}

fn set(path: &str, bytes: usize, version: i32) -> Do {
    Do::Set { path: path.to_string(), data: Some(vec![b'd'; bytes]), version }
}

fn set_acl(path: &str, acl: Acl, version: i32) -> Do {
    Do::SetAcl { path: path.to_string(), acl, version }
}

fn check(path: &str, version: i32) -> Do {
    Do::Check { path: path.to_string(), version }
}

fn reap(path: &str) -> Do {
    Do::Reap { path: path.to_string() }
}

fn invalid() -> Acl {
    vec![(31, "nobody".to_string(), String::new())]
}

/// /a with a child, /e of a session, /locked that only somebody else may touch, /full at its quota.
pub(super) fn furnished() -> Twin {
    let mut twin = Twin::new(QuotaCheck::On);
    let somebody = vec![(31, "digest".to_string(), "v:y".to_string())];
    let ours = |op, path: &str, flags| create(op, path, anyone(31), flags, -1);
    twin.ask(&who(ALIVE), &Do::Open { timeout: 4000 });
    let setup = [
        ours(1, "/a", 0),
        ours(1, "/a/b", 0),
        ours(1, "/e", 1),
        ours(1, "/locked", 0),
        ours(1, "/locked/in", 0),
        ours(1, "/locked/e", 1),
        ours(19, "/c", 4),
        ours(19, "/c2", 4),
        ours(1, "/c2/in", 0),
        ours(1, "/full", 0),
        set_acl("/locked", somebody, -1),
    ];
    for what in setup {
        twin.ask(&who(ALIVE), &what);
    }
    let text = "count=-1,bytes=-1=;byteHardLimit=0;countHardLimit=0";
    for (name, text) in [("", ""), ("/zookeeper_limits", text), ("/zookeeper_stats", "")] {
        let path = format!("/zookeeper/quota/full{name}");
        let (data, acl) = (Some(text.as_bytes().to_vec()), anyone(31));
        let what = Do::Create { op: 1, path, data, acl, flags: 0, ttl: -1 };
        twin.ask(&who(ALIVE), &what);
    }
    twin.settle();
    twin
}

#[test]
fn the_first_fault_in_the_references_order_is_the_answer() {
    let open = || anyone(31);
    let table: Vec<(i64, Do, Code)> = vec![
        // create: flags, TTL, session, slash, ACL, parent, CREATE, path, exists, ephemeral parent, quota.
        (DEAD, create(1, "/a/n", open(), 9, -1), Code::BadArguments),
        (DEAD, create(21, "/a/n", open(), 5, 0), Code::BadArguments),
        (DEAD, create(1, "no", open(), 0, -1), Code::SessionExpired),
        (ALIVE, create(1, "no", invalid(), 0, -1), Code::BadArguments),
        (ALIVE, create(1, "/none/x", invalid(), 0, -1), Code::InvalidAcl),
        (ALIVE, create(1, "/none/a//b", open(), 0, -1), Code::NoNode),
        (ALIVE, create(1, "/locked/\u{1}", open(), 0, -1), Code::NoAuth),
        (ALIVE, create(1, "/locked/in", open(), 0, -1), Code::NoAuth),
        (ALIVE, create(1, "/e/..", open(), 0, -1), Code::BadArguments),
        (ALIVE, create(1, "/full/", open(), 0, -1), Code::BadArguments),
        (ALIVE, create(1, "/e/x", open(), 0, -1), Code::NoChildrenForEphemerals),
        (ALIVE, create(1, "/full/x", open(), 0, -1), Code::QuotaExceeded),
        // delete: session, path, parent, DELETE, znode, version, children.
        (DEAD, delete("/zookeeper", 0), Code::SessionExpired),
        (ALIVE, delete("/zookeeper", 9), Code::BadArguments),
        (ALIVE, delete("/none/x", 9), Code::NoNode),
        (ALIVE, delete("/locked/none", 9), Code::NoAuth),
        (ALIVE, delete("/a/none", 9), Code::NoNode),
        (ALIVE, delete("/a", 9), Code::BadVersion),
        (ALIVE, delete("/a", -1), Code::NotEmpty),
        // deleteContainer: path, znode, children, kind; no session.
        (DEAD, reap("/zookeeper"), Code::BadArguments),
        (DEAD, reap("/none"), Code::NoNode),
        (DEAD, reap("/a"), Code::NotEmpty),
        (DEAD, reap("/c2"), Code::NotEmpty),
        (DEAD, reap("/full"), Code::BadVersion),
        (DEAD, reap("/e"), Code::BadVersion),
        // setData: session, path, znode, WRITE, quota, version.
        (DEAD, set("x", 0, -1), Code::SessionExpired),
        (ALIVE, set("/none/", 0, -1), Code::BadArguments),
        (ALIVE, set("/none", 0, 9), Code::NoNode),
        (ALIVE, set("/locked", 0, 9), Code::NoAuth),
        (ALIVE, set("/full", 9, 9), Code::QuotaExceeded),
        (ALIVE, set("/a", 9, 9), Code::BadVersion),
        // setACL: session, path, ACL, znode, ADMIN, version.
        (DEAD, set_acl("x", invalid(), -1), Code::SessionExpired),
        (ALIVE, set_acl("x", invalid(), -1), Code::BadArguments),
        (ALIVE, set_acl("/none", invalid(), -1), Code::InvalidAcl),
        (ALIVE, set_acl("/none", open(), 9), Code::NoNode),
        (ALIVE, set_acl("/locked", open(), 9), Code::NoAuth),
        (ALIVE, set_acl("/a", open(), 9), Code::BadVersion),
    ];
    let mut twin = furnished();
    for (session, what, code) in table {
        twin.ask(&who(session), &what);
        let expected = twin.outstanding.last().map(|it| it.result.clone());
        assert_eq!(expected, Some(Err(code)), "{session} {what:?}");
        twin.settle();
    }
}

#[test]
fn a_check_in_a_multi_looks_for_session_path_znode_read_and_version() {
    let table = [
        (DEAD, check("x", -1), Code::SessionExpired),
        (ALIVE, check("x", -1), Code::BadArguments),
        (ALIVE, check("/none", 9), Code::NoNode),
        (ALIVE, check("/locked", 9), Code::NoAuth),
        (ALIVE, check("/a", 9), Code::BadVersion),
    ];
    let mut twin = furnished();
    for (session, what, code) in table {
        twin.ask(&who(session), &Do::Multi(vec![what]));
        let body = twin.outstanding.last().and_then(|it| it.result.clone().ok());
        let body = body.expect("a multi that failed is answered");
        assert_eq!(body[5..9], code.number().to_be_bytes());
        twin.settle();
    }
}

#[test]
fn every_multi_of_up_to_three_ops_is_the_models() {
    let ops = [
        create(1, "/n", anyone(31), 0, -1),
        create(15, "/n/s", anyone(31), 2, -1),
        create(15, "/n", anyone(1), 1, -1),
        create(19, "/a/k", anyone(31), 4, -1),
        create(21, "/a/k", anyone(31), 6, 1000),
        delete("/n", -1),
        delete("/a/b", 0),
        set("/n", 3, 0),
        set("/a/b", 3, -1),
        check("/a/b", 0),
        check("/n", 1),
        set("/locked", 1, -1),
    ];
    let mut twin = furnished();
    let mut multis = vec![vec![]];
    for op in &ops {
        multis.push(vec![op.clone()]);
        for second in &ops {
            multis.push(vec![op.clone(), second.clone()]);
            for third in &ops {
                multis.push(vec![op.clone(), second.clone(), third.clone()]);
            }
        }
    }
    for multi in multis {
        twin.ask(&who(ALIVE), &Do::Multi(multi));
        twin.settle();
        restore(&mut twin);
    }
    twin.compare();
    twin.replay();
}

/// Makes /a/b and removes /n and what is in /n and /a besides.
fn restore(twin: &mut Twin) {
    let extra = |it: &&String| it.starts_with("/n") || it.starts_with("/a/") && *it != "/a/b";
    let extra: Vec<_> = twin.model.nodes.keys().filter(extra).rev().cloned().collect();
    for path in extra {
        twin.ask(&who(ALIVE), &Do::Delete { path, version: -1 });
    }
    if twin.model.nodes.get("/a/b").is_none_or(|it| it.versions[0] != 0) {
        twin.ask(&who(ALIVE), &delete("/a/b", -1));
        twin.ask(&who(ALIVE), &create(1, "/a/b", anyone(31), 0, -1));
    }
    twin.settle();
}

#[test]
fn a_long_run_with_quotas_is_the_models() {
    for seed in 1000..1003 {
        run(seed, 3000, 1, QuotaCheck::On);
    }
}
