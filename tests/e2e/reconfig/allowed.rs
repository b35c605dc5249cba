//! Who may change members: a member of ours and one of 3.9.5 are asked for the same by anybody, by the super user and by those that the ACL of
//! `/zookeeper/config` names, and answer alike.

use std::io::Write as _;

use anyhow::ensure;
use libtest_mimic::Trial;

use super::{become_super, change, launch, prepare_with};
use crate::ensemble::{Ensemble, connect, trial};
use crate::server::Kind;
use crate::wire::{Body, Client, op};

pub(super) fn trials() -> Vec<Trial> {
    let cases = [
        ("by_the_acl", ""),
        ("by_everybody_without_acls", "skipACL=yes\n"),
        ("by_nobody_where_members_stay", "reconfigEnabled=false\n"),
    ];
    let one = |(name, more)| {
        trial(&format!("reconfig_is_allowed_as_the_reference_allows_it_{name}"), move || {
            let [theirs, ours] =
                [Kind::Reference, Kind::Ringkeeper].map(|kind| answers(kind, more));
            let (theirs, ours) = (theirs?, ours?);
            ensure!(theirs == ours, "there {theirs:#?}\nhere {ours:#?}");
            let codes: Vec<_> = ours.iter().map(|it| it.1).collect();
            let changed = codes.contains(&0);
            ensure!(changed && (codes.iter().any(|&it| it != 0) || !more.is_empty()), "{ours:?}");
            Ok(())
        })
    };
    cases.into_iter().map(one).collect()
}

const SET_ACL: i32 = 7;
const GET_ACL: i32 = 6;
const CONFIG: &[u8] = b"/zookeeper/config";

/// Permissions: to read, to write, all.
const READ: i32 = 1;
const WRITE: i32 = 2;
const ALL: i32 = 31;

/// An ACL of such entries for the configuration.
fn set_acl(entries: &[(i32, &str, &str)]) -> Body {
    let body = Body::default().buffer(CONFIG).int(entries.len() as i32);
    let entry = |body: Body, it: &(i32, &str, &str)| {
        body.int(it.0).buffer(it.1.as_bytes()).buffer(it.2.as_bytes())
    };
    entries.iter().fold(body, entry).int(-1)
}

/// Somebody with this name and password.
fn be(client: &mut Client, who: &str) -> anyhow::Result<()> {
    let auth = Body::default().int(-4).int(100).int(0).buffer(b"digest").buffer(who.as_bytes());
    client.socket().write_all(&auth.frame())?;
    ensure!(client.reply()?.err == 0, "{who} is refused");
    Ok(())
}

/// What a member that is alone answers to each.
fn answers(kind: Kind, more: &str) -> anyhow::Result<Vec<(&'static str, i32)>> {
    let (mut ensemble, _) = prepare_with(&[kind], 1, &format!("standaloneEnabled=false\n{more}"))?;
    launch(&mut ensemble, &[0])?;
    let mut anybody = connect(&ensemble, 0)?;
    let mut alice = connect(&ensemble, 0)?;
    be(&mut alice, "alice:secret")?;
    let mut root = connect(&ensemble, 0)?;
    become_super(&mut root)?;
    // For an ACL of `auth`, which names whoever sets it.
    let mut both = connect(&ensemble, 0)?;
    be(&mut both, "alice:secret")?;
    become_super(&mut both)?;
    ask_all(&ensemble, [&mut anybody, &mut alice, &mut root, &mut both])
}

fn ask_all(
    ensemble: &Ensemble,
    [anybody, alice, root, both]: [&mut Client; 4],
) -> anyhow::Result<Vec<(&'static str, i32)>> {
    let mut told = Vec::new();
    let mut ask = |what, client: &mut Client, op, body: &Body| -> anyhow::Result<()> {
        let reply = client.ask(op, body).map_err(|err| {
            anyhow::Error::from(err).context(format!("{what}\n{}", ensemble.logs()))
        })?;
        told.push((what, reply.err));
        Ok(())
    };
    let comes = change("server.9=127.0.0.1:1:2:observer;3", "", -1);
    let goes = change("", "9", -1);
    let data = Body::default().buffer(CONFIG).buffer(b"x").int(-1);
    let config = Body::default().buffer(CONFIG);
    let anyone = |perms| set_acl(&[(perms, "world", "anyone")]);
    ask("anybody adds", anybody, op::RECONFIG, &comes)?;
    ask("alice adds", alice, op::RECONFIG, &comes)?;
    ask("anybody reads", anybody, op::GET_DATA, &config.clone().byte(0))?;
    ask("anybody reads the acl", anybody, GET_ACL, &config)?;
    ask("anybody writes the znode", anybody, op::SET_DATA, &data)?;
    ask("alice writes the znode", alice, op::SET_DATA, &data)?;
    let child = Body::default().create("/zookeeper/config/child", b"", 0);
    ask("anybody creates below", anybody, op::CREATE, &child)?;
    ask("anybody deletes it", anybody, op::DELETE, &config.clone().int(-1))?;
    ask("anybody opens it", anybody, SET_ACL, &anyone(ALL))?;
    ask("anybody reads it again", anybody, op::GET_DATA, &config.clone().byte(0))?;
    ask("root adds", root, op::RECONFIG, &comes)?;
    ask("root removes", root, op::RECONFIG, &goes)?;
    ask(
        "root lets alice write",
        both,
        SET_ACL,
        &set_acl(&[(WRITE, "auth", ""), (READ, "world", "anyone")]),
    )?;
    ask("alice adds, let", alice, op::RECONFIG, &comes)?;
    ask("anybody removes", anybody, op::RECONFIG, &goes)?;
    ask("alice removes", alice, op::RECONFIG, &goes)?;
    ask("root lets everybody read only", root, SET_ACL, &anyone(READ))?;
    ask("alice adds, not let", alice, op::RECONFIG, &comes)?;
    ask("root adds all the same", root, op::RECONFIG, &comes)?;
    ask("root lets nobody read", root, SET_ACL, &set_acl(&[(ALL, "auth", "")]))?;
    ask("anybody reads, not let", anybody, op::GET_DATA, &config.clone().byte(0))?;
    ask("root lets everybody do everything", root, SET_ACL, &anyone(ALL))?;
    ask("anybody removes, let", anybody, op::RECONFIG, &goes)?;
    Ok(told)
}
