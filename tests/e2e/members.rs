//! What clients see of members that are no leader's: read-only mode, and sessions that one member knows.
//!
//! The clients are other people's; what they are to see is in `tests/clients/java/src/judge/Members.java` and `tests/clients/python/members.py`.

use anyhow::{Context as _, bail, ensure};
use libtest_mimic::Trial;

use crate::ensemble::{Ensemble, asked, connect, trial, write};
use crate::judge;
use crate::process::until_some;
use crate::server::{Kind, four_letters};
use crate::wire::{Body, Client, op};

/// The code EphemeralOnLocalSession.
const EPHEMERAL_ON_LOCAL_SESSION: i32 = -120;

/// The code NoAuth.
const NO_AUTH: i32 = -102;

/// The tests.
pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("ensemble_a_member_left_alone_serves_those_who_read_only", read_only),
        trial("ensemble_local_sessions_become_global_at_their_first_ephemeral", || {
            upgrading(&[Kind::Ringkeeper; 3])
        }),
        trial("ensemble_mixed_local_sessions_become_global_at_their_first_ephemeral", || {
            upgrading(&[Kind::Ringkeeper, Kind::Reference, Kind::Ringkeeper])
        }),
        trial("ensemble_local_sessions_may_be_refused_ephemerals", refusing),
        trial("ensemble_a_leader_may_leave_clients_to_the_others", leader_that_does_not_serve),
        trial("ensemble_an_eager_member_refuses_by_acl_without_a_transaction", refuse_early),
    ]
}

fn read_only() -> anyhow::Result<()> {
    let mut ensemble =
        Ensemble::start_with(&[Kind::Ringkeeper; 3], 0, "readonlymode.enabled=true\n")?;
    let addresses: Vec<_> = (0..3).map(|it| ensemble.address(it)).collect();
    for language in ["python", "java"] {
        let mut obey = |line: &str| match line {
            "@kill" => {
                for server in &mut ensemble.servers[1..] {
                    server.kill()?;
                }
                for (word, expected) in [("isro", "ro"), ("srvr", "Mode: read-only\n")] {
                    await_word(&ensemble, 0, word, expected)?;
                }
                let seen = four_letters(ensemble.address(0), "stat")?;
                ensure!(
                    seen.contains("READ-ONLY mode; serving only read-only clients\n"),
                    "{seen}"
                );
                let refused = Client::connect(ensemble.address(0));
                ensure!(refused.is_err(), "a client that writes was let in");
                Ok(())
            }
            "@start" => {
                for server in &mut ensemble.servers[1..] {
                    server.launch()?;
                }
                await_word(&ensemble, 0, "isro", "rw")
            }
            _ => bail!("{line}?"),
        };
        judge::of_members(language, "read_only_mode", &addresses, &mut obey)
            .map_err(|err| err.context(ensemble.logs()))?;
    }
    Ok(())
}

/// Waits until a server's answer to a word has this in it.
fn await_word(
    ensemble: &Ensemble,
    number: usize,
    word: &str,
    expected: &str,
) -> anyhow::Result<()> {
    ensemble.until(format!("{word} of server {} says {expected}", number + 1), || {
        Ok(four_letters(ensemble.address(number), word).is_ok_and(|it| it.contains(expected)))
    })
}

fn upgrading(kinds: &[Kind]) -> anyhow::Result<()> {
    let lines = "localSessionsEnabled=true\nlocalSessionsUpgradingEnabled=true\n";
    let ensemble = Ensemble::start_with(kinds, 0, lines)?;
    let addresses: Vec<_> = (0..kinds.len()).map(|it| ensemble.address(it)).collect();
    judge::of_members("java", "local_sessions", &addresses, &mut |line| bail!("{line}?"))
        .map_err(|err| err.context(ensemble.logs()))
}

fn refusing() -> anyhow::Result<()> {
    let ensemble = Ensemble::start_with(&[Kind::Ringkeeper; 3], 0, "localSessionsEnabled=true\n")?;
    for number in 0..3 {
        let mut client = connect(&ensemble, number)?;
        let create = |path: &str, flags| Body::default().create(path, b"", flags);
        asked(&mut client, op::CREATE, &create(&format!("/plain-{number}"), 0))?;
        let refused = client.ask(op::CREATE, &create("/ephemeral", 1))?;
        ensure!(refused.err == EPHEMERAL_ON_LOCAL_SESSION, "answered {}", refused.err);
        let mut multi = Body::default().part(op::CREATE);
        multi.0.extend(create("/ephemeral", 1).0);
        let refused = client.ask(op::MULTI, &multi.end())?;
        ensure!(refused.err == EPHEMERAL_ON_LOCAL_SESSION, "answered {}", refused.err);
        asked(&mut client, op::SET_DATA, &Body::default().buffer(b"/").buffer(b"x").int(-1))?;
        let again = Client::resume(ensemble.address(number), &client.session, 0)?;
        ensure!(again.is_some(), "a local session goes on at its server");
        let there = Client::resume(ensemble.address((number + 1) % 3), &client.session, 0)?;
        ensure!(there.is_none(), "a local session goes on nowhere else");
        let dump = four_letters(ensemble.address(number), "dump")?;
        ensure!(dump.starts_with("SessionTracker dump:\nLocal Session Sets (1)/(1):\n"), "{dump}");
    }
    Ok(())
}

fn leader_that_does_not_serve() -> anyhow::Result<()> {
    let ensemble = Ensemble::launch(&[Kind::Ringkeeper; 3], 0, "leaderServes=no\n")?;
    let silent = || {
        let silent: Vec<_> = (0..3).filter(|&it| ensemble.mode(it).is_none()).collect();
        Ok(if let [leader] = silent[..] { Some(leader) } else { None })
    };
    let leader = until_some("all serve but one", silent).with_context(|| ensemble.logs())?;
    write(&ensemble, Some(leader), "/through-others")?;
    ensure!(Client::connect(ensemble.address(leader)).is_err(), "the leader lets a client in");
    await_word(&ensemble, leader, "srvr", "not currently serving requests")?;
    await_word(&ensemble, leader, "isro", "null")
}

/// What an ACL forbids costs a transaction where the leader refuses it, and none where the member that is asked does; both are answered alike but for the zxid.
fn refuse_early() -> anyhow::Result<()> {
    for (more, costs) in [("enableEagerACLCheck=true\n", 0), ("", 1)] {
        let ensemble = Ensemble::start_with(&[Kind::Ringkeeper; 3], 0, more)?;
        let leader = ensemble.leader()?;
        for number in [leader, (leader + 1) % 3] {
            let mut client = connect(&ensemble, number)?;
            // Everybody may read, and nobody else anything.
            let path = format!("/closed-{number}");
            let closed = Body::default().buffer(path.as_bytes()).buffer(b"");
            let closed = closed.int(1).int(1).buffer(b"world").buffer(b"anyone").int(0);
            asked(&mut client, op::CREATE, &closed)?;
            asked(&mut client, op::SYNC, &Body::default().buffer(b"/"))?;
            let body = Body::default().buffer(path.as_bytes()).buffer(b"x").int(-1);
            let before = last_zxid(&ensemble, leader)?;
            let refused = client.ask(op::SET_DATA, &body)?;
            ensure!(refused.err == NO_AUTH, "answered {}", refused.err);
            ensure!((refused.zxid == 0) == (costs == 0), "with `{more}` zxid {:x}", refused.zxid);
            let took = last_zxid(&ensemble, leader)? - before;
            ensure!(took == costs, "with `{more}` it took {took} transactions");
        }
    }
    Ok(())
}

/// The last transaction that a server has applied.
fn last_zxid(ensemble: &Ensemble, number: usize) -> anyhow::Result<i64> {
    let answer = four_letters(ensemble.address(number), "srvr")?;
    let zxid = answer.lines().find_map(|it| it.strip_prefix("Zxid: 0x"));
    Ok(i64::from_str_radix(zxid.with_context(|| answer.clone())?, 16)?)
}
